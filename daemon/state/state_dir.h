/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The folder of what must outlive the process (state.dir): one active instance, whole files only.
 * Files: lock (held while open, names the process), seed (16 random bytes, made once), instance (its name among those
 * that read the same topics), and what others save here. */
#include "base/err.h"
#include "base/hash.h"
#include "base/str.h"

struct sw_state_dir;

/* Makes the folder (mode 0750) if its parent is there, and takes the lock. -SW_ERR_UNAVAIL: another process has it,
 * named in reterr; -SW_ERR_IO; -SW_ERR_NOMEM. */
int sw_state_dir_open(const char *path, struct sw_state_dir **ret, struct sw_err *reterr);
struct sw_state_dir *sw_state_dir_close(struct sw_state_dir *d); /* NULL-safe, returns NULL */

/* The key of every hash table, the same at each start. */
int sw_state_dir_seed(struct sw_state_dir *d, struct sw_hash_key *ret, struct sw_err *reterr);

/* Replaces a file as a whole: after a crash there is the old content or the new. Any thread, one at a time per name. */
int sw_state_dir_save(const struct sw_state_dir *d, const char *name, struct sw_str content, struct sw_err *reterr);
void sw_state_dir_remove(const struct sw_state_dir *d, const char *name); /* if it is there */
/* 32 hex digits that name this folder, made once. */
int sw_state_dir_instance(struct sw_state_dir *d, char ret[33], struct sw_err *reterr);
/* Appends the content. -SW_ERR_NOENT: there is no such file. */
int sw_state_dir_load(const struct sw_state_dir *d, const char *name, struct sw_buf *out, struct sw_err *reterr);

/* For who works on such a folder without opening it. Root's files in a folder of somebody else are handed to them: the
 * daemon has to read what an administrator put there. Whoever is not root can do nothing, and nothing happens. 0 or
 * negative with errno. */
int sw_state_dir_own(int folder, int fd);
/* All of it. 0 or negative with errno. */
int sw_state_dir_write_all(int fd, const char *p, size_t n);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Files, folders and stdin as one stream of pieces in time order: each file is a partition, opened when
 * its turn comes. Head of an unopened file: the hour in its PT1H path (.../y=2024/m=12/d=12/h=04/...), else the time of
 * its first record. Gzip is recognised by its magic. Threads: one owner; a piece's bytes may be freed by any. */
#include "base/err.h"
#include "base/str.h"
#include "base/time.h"

struct sw_files;

int sw_files_new(struct sw_files **ret);
struct sw_files *sw_files_free(struct sw_files *f); /* NULL-safe, returns NULL; outstanding pieces stay valid */

/* A file, a folder (all regular files below it, hidden ones left out, in path order) or "-" for stdin.
 * 0 | -SW_ERR_NOENT | -SW_ERR_IO | -SW_ERR_NOMEM. Not after the first sw_files_next. */
int sw_files_add(struct sw_files *f, const char *path, struct sw_err *reterr);
uint32_t sw_files_count(const struct sw_files *f);
const char *sw_files_path(const struct sw_files *f, uint32_t file);
uint64_t sw_files_bytes(const struct sw_files *f);      /* on disk, for progress; 0 for stdin */
uint64_t sw_files_bytes_read(const struct sw_files *f); /* of these */

/* Finds the heads of all files, so that each can hold the watermark from the start; sw_files_next does it otherwise.
 * Negative: *ret_file could not be read; call again to go on with the others. */
int sw_files_peek(struct sw_files *f, uint32_t *ret_file, struct sw_err *reterr);

struct sw_file_piece {
        uint32_t file;
        struct sw_str bytes; /* until .done */
        unsigned flags;      /* SW_DECODE_* */
        uint64_t offset;     /* byte in the (inflated) file */
        void (*done)(void *owner);
        void *owner;
};
enum {
        SW_FILES_PIECE, /* *ret is set; then ask sw_files_head() of that file */
        SW_FILES_HEAD,  /* only the head of ret->file changed: no bytes */
        SW_FILES_END,
};
/* Negative: ret->file could not be read (on); call again to go on with the others. */
int sw_files_next(struct sw_files *f, struct sw_file_piece *ret, struct sw_err *reterr);
/* Lower bound of what a file brings next; NONE when it is unknown. *ret_at_end: it is drained. */
struct sw_etime sw_files_head(const struct sw_files *f, uint32_t file, bool *ret_at_end);

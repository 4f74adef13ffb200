/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The files that snapshots are kept in: snapshot.N in state.dir, N being the release that it was taken after. A new one
 * is written as snapshot.N.tmp, and counts once it was renamed, which is done only after the release is committed; two
 * are kept, so that one that turns out damaged has one before it.
 *
 * After a failed write or fsync nobody knows what is in the file: it is removed and never tried again, the next one is
 * a new file. What is in a snapshot is its writer's business. Threads: one at a time. */
#include "base/err.h"
#include "log.h"

#include <stdatomic.h>
#include <stddef.h>

#define SW_SNAPSHOTS_KEPT 2

struct sw_snapshots;
/* The folder must be there. What a crash left half written is removed. -SW_ERR_IO, -SW_ERR_NOMEM. */
int sw_snapshots_open(const char *dir, struct sw_snapshots **ret, struct sw_err *reterr);
/* The same without removing anything: for who only looks. */
int sw_snapshots_look(const char *dir, struct sw_snapshots **ret, struct sw_err *reterr);
struct sw_snapshots *sw_snapshots_close(struct sw_snapshots *s); /* NULL-safe, returns NULL */

struct sw_snapshots_file {
        uint64_t number, bytes;
        int64_t written_ms; /* wall clock */
};
/* Newest first. Valid until the next call that changes anything. */
const struct sw_snapshots_file *sw_snapshots_list(const struct sw_snapshots *s, uint32_t *ret_n);
/* "DIR/snapshot.N", valid until the next call. */
const char *sw_snapshots_path(struct sw_snapshots *s, uint64_t number);

/* Where the bytes come from: *ret_n = 0 at the end. 0 or negative. */
typedef int (*sw_snapshots_source)(void *ctx, void *buf, size_t n, size_t *ret_n);

enum {
        SW_SNAPSHOTS_OK,
        SW_SNAPSHOTS_FULL,    /* no room on the disk (or quota): skipped */
        SW_SNAPSHOTS_STOPPED, /* *stop */
};
/* Everything is on the platter when it returns 0, under the name that does not count yet. Else nothing is left of it.
 * Polls *stop, which may be NULL. SW_SNAPSHOTS_x, what the source returned, or -SW_ERR_IO. */
int sw_snapshots_write(struct sw_snapshots *s, uint64_t number, sw_snapshots_source source, void *ctx,
        const atomic_bool *stop, struct sw_err *reterr);
/* Makes it count, and removes all but the newest two. *ret_oldest: number of the older one kept; 0: there is one. */
int sw_snapshots_publish(struct sw_snapshots *s, uint64_t number, uint64_t *ret_oldest, struct sw_err *reterr);
void sw_snapshots_give_up(struct sw_snapshots *s, uint64_t number); /* what was written and must not count */
/* It turned out damaged: out of the way, under a name that says so, for whoever wants to look. */
void sw_snapshots_set_aside(struct sw_snapshots *s, uint64_t number);

/* Reading one. -SW_ERR_NOENT: a newer one took its place meanwhile. */
int sw_snapshots_read(struct sw_snapshots *s, uint64_t number, int *ret_fd, struct sw_err *reterr);
/* An sw_snapshot_source over an int file descriptor. */
int sw_snapshots_pull(void *fd, void *buf, size_t n, size_t *ret_n);

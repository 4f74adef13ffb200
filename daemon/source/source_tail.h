/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One file as a source of the daemon: one partition. Reading and framing happen on a thread of the pool, one step at a
 * time; the loop delivers. A file that is followed is looked at twice a second.
 * Threads: the loop's; the messages' `done` may be called by any thread, at any time. */
#include "base/err.h"
#include "log.h"
#include "loop.h"
#include "source/source.h"

/* Everything is read during _new only. */
struct sw_source_tail_conf {
        const char *name, *path;
        bool follow;
        size_t record_max;
        uint32_t id;    /* the caller's number of the partition */
        uint64_t inode; /* where to go on; 0: never read */
        int64_t next;
        bool parked; /* nothing is delivered before sw_source_tail_until */
};

struct sw_source_tail;
/* Opens the file and calls on_start, so that several files hold the watermark before one of them is read; a file that
 * cannot be opened is logged and tried again, never an error here. Offsets of messages are positions in the stream of
 * all files that are read one after the other. 0 | -SW_ERR_NOMEM | -SW_ERR_IO. */
int sw_source_tail_new(const struct sw_source_tail_conf *conf, struct sw_loop *loop, struct sw_log *log,
        const struct sw_source_hooks *hooks, struct sw_source_tail **ret, struct sw_err *reterr);
void sw_source_tail_stop(struct sw_source_tail *s); /* no hook is called any more */
/* After stop and after the loop was freed. NULL-safe, returns NULL. */
struct sw_source_tail *sw_source_tail_free(struct sw_source_tail *s);

void sw_source_tail_room(struct sw_source_tail *s);
/* Pieces that begin later than this event time are not delivered for now; NONE: all are. */
void sw_source_tail_limit(struct sw_source_tail *s, struct sw_etime limit);
/* Delivers up to byte at->until of the file at->inode and then waits, cutting there; before it, what is left of the
 * file from_inode. Any other file waits. at->until SW_SOURCE_EVERYTHING: no limit. */
void sw_source_tail_until(struct sw_source_tail *s, const struct sw_source_place *at, uint64_t from_inode);
/* Everything up to the limit that there is was delivered. */
bool sw_source_tail_reached(const struct sw_source_tail *s);
void sw_source_tail_stats(const struct sw_source_tail *s, struct sw_source_stats *ret);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A file of lines that people tail and shippers follow: alerts.jsonl, signals.jsonl, quarantine.jsonl.
 *
 * Lines are appended whole. A full disk makes append wait (it says so in the log and never drops or cuts a line);
 * the file may be truncated, moved or removed by others at any time (logrotate with copytruncate or with create):
 * writing goes on at the new end, in the new file. What others append is left alone; our next line begins a new one.
 * Our own rotation by size renames FILE to FILE.1, FILE.1 to FILE.2 and so on. New files have mode 0640. A line torn by
 * a crash is ended with a newline at open. Threads: any; an append that waits for the disk makes other appends wait. */
#include "base/err.h"
#include "log.h"

#include <stdatomic.h>

struct sw_sink_file_conf {
        const char *path;        /* copied */
        uint64_t rotate_bytes;   /* rotate before a line that would pass it; 0 = never */
        unsigned keep;           /* rotated files kept; 0 = the old one is removed */
        const atomic_bool *stop; /* polled while waiting for the disk; NULL = wait for ever */
        const char *when_full;   /* what happens meanwhile, for the log; NULL: nothing is read from the sources */
        bool keep_torn;          /* the caller completes what a crash left at the end, before its first append */
        /* The file below is another one now (moved, removed, rotated) or was cut by someone; nothing was written to
         * the new place yet, and what the old one has is on the platter if the file could still be reached. done: bytes
         * of the append under way that stand in the old place, whole lines. 0, SW_SINK_FILE_STOPPED or negative, which
         * the append returns. Called while appending or reopening; may ask sw_sink_file_place. May be NULL. */
        int (*on_switch)(void *ctx, size_t done);
        void *ctx;
};

enum { SW_SINK_FILE_OK, SW_SINK_FILE_STOPPED /* *stop while the disk had no room: not (wholly) written */ };

struct sw_sink_file;
/* Opens or creates; the folder must be there. -SW_ERR_IO with what to do in reterr, -SW_ERR_NOMEM. */
int sw_sink_file_open(
        const struct sw_sink_file_conf *conf, struct sw_log *log, struct sw_sink_file **ret, struct sw_err *reterr);
struct sw_sink_file *sw_sink_file_close(struct sw_sink_file *f); /* NULL-safe, returns NULL */
/* text: whole lines, each ending with \n. SW_SINK_FILE_* or -SW_ERR_IO. */
int sw_sink_file_append(struct sw_sink_file *f, const char *text, size_t n);
/* On the platter when it returns 0. Does nothing if nothing was appended since. */
int sw_sink_file_sync(struct sw_sink_file *f);
/* Where the next line would begin: for the thread that appends, and in on_switch. */
struct sw_sink_file_place {
        int fd; /* of the file, to look into it */
        uint64_t inode, size;
};
void sw_sink_file_place(const struct sw_sink_file *f, struct sw_sink_file_place *ret);
/* The caller wrote to the file by other means: with keep_torn, before the first append. */
void sw_sink_file_refresh(struct sw_sink_file *f);
/* Opens the path anew: at once, or with the next append if one is under way. */
void sw_sink_file_reopen(struct sw_sink_file *f);
/* True while append waits for the disk. */
bool sw_sink_file_is_blocked(const struct sw_sink_file *f);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Lines of a file that grows, is rotated (FILE -> FILE.1), moved or truncated while it is read. */
#include "base/err.h"
#include "base/str.h"

#define SW_TAIL_LINE_MAX (8 * 1024 * 1024)

/* One whole line without its newline, valid during the call. 0 or not 0: stop, handed through. */
typedef int (*sw_tail_each)(void *ctx, struct sw_str line);

struct sw_tail_file {
        const char *path; /* NULL: a stream that is never opened anew */
        int fd;           /* -1: not there */
        struct sw_buf line;
        bool skipping; /* within a line that is longer than SW_TAIL_LINE_MAX, or before the first newline */
};
#define SW_TAIL_FILE_NULL ((struct sw_tail_file){ .fd = -1 })

/* Opens path at the given byte; from > 0 starts after the next newline. 0 | -SW_ERR_IO, errno set. */
int sw_tail_file_open(struct sw_tail_file *t, const char *path, int64_t from);
void sw_tail_file_close(struct sw_tail_file *t);
/* All whole lines there are now; at_end: the last one may lack its newline (nobody will complete it). 0, -SW_ERR_IO,
 * -SW_ERR_NOMEM or what `each` returned. */
int sw_tail_file_read(struct sw_tail_file *t, bool at_end, sw_tail_each each, void *ctx);
/* Bytes read by the caller; at_end as above. */
int sw_tail_file_feed(struct sw_tail_file *t, struct sw_str bytes, bool at_end, sw_tail_each each, void *ctx);
/* As read, and goes on in the new file if path names another one by now, through all that came between. */
int sw_tail_file_follow(struct sw_tail_file *t, sw_tail_each each, void *ctx);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* gzip: whole payloads in one go, and files as a stream. */
#include "base/str.h"

#include <stdint.h>

static inline bool sw_inflate_is_gzip(struct sw_str s)
{
        return s.n >= 2 && (unsigned char)s.p[0] == 0x1f && (unsigned char)s.p[1] == 0x8b;
}

enum {
        SW_INFLATE_OK,
        SW_INFLATE_MORE,      /* stream: feed more bytes */
        SW_INFLATE_END,       /* stream: everything is out */
        SW_INFLATE_DAMAGED,   /* not gzip, cut off, wrong checksum, or more than 200 times its size */
        SW_INFLATE_TOO_LARGE, /* would pass max_bytes */
};

/* Replaces the content of *out by the inflated payload (one or more gzip members; zeros behind them are padding).
 * max_bytes: of the result. SW_INFLATE_OK, _DAMAGED, _TOO_LARGE | -SW_ERR_NOMEM. */
int sw_inflate_whole(struct sw_str gz, size_t max_bytes, struct sw_buf *out);

/* Stream. Memory: zlib's (about 40 KiB) and one output window. Threads: one owner. */
struct sw_inflate;
int sw_inflate_new(struct sw_inflate **ret); /* 0 | -SW_ERR_NOMEM */
struct sw_inflate *sw_inflate_free(struct sw_inflate *z);
/* The bytes are not copied: they must stay until next() has said MORE. */
void sw_inflate_feed(struct sw_inflate *z, const void *p, size_t n);
void sw_inflate_finish(struct sw_inflate *z); /* no more bytes will come */
/* OK: *ret is the next at most 256 KiB, valid until the next call. MORE, END, DAMAGED (for good) | -SW_ERR_NOMEM.
 * What was inflated before damage has been handed out. */
int sw_inflate_next(struct sw_inflate *z, struct sw_str *ret);

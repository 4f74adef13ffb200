/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Cuts a file of any size into pieces that the decoder takes one by one: whole records, at least one, at most about
 * piece_bytes (a single longer record makes a longer piece, up to record_max; beyond that it is skipped and counted).
 * Knows {"records":[...]}, bare arrays, single objects, newline-delimited values and block fragments; a BOM is
 * skipped. Inflating is the caller's (sw_inflate). Threads: one owner. */
#include "base/err.h"
#include "base/str.h"
#include "base/time.h"

struct sw_framer_conf {
        size_t piece_bytes; /* default 256 KiB */
        size_t record_max;  /* default 64 MiB */
};

struct sw_piece {
        struct sw_str bytes;  /* valid until the next call; what sw_decode takes */
        unsigned flags;       /* SW_DECODE_MESSAGE_START, _END */
        uint64_t offset;      /* of its first byte in the file */
        struct sw_etime time; /* "time" of its first record, NONE if it could not be found cheaply */
};

enum { SW_FRAMER_OK, SW_FRAMER_MORE /* feed more bytes */, SW_FRAMER_END /* finished and drained */ };

struct sw_framer;
int sw_framer_new(const struct sw_framer_conf *conf, struct sw_framer **ret);
struct sw_framer *sw_framer_free(struct sw_framer *f);
int sw_framer_feed(struct sw_framer *f, const void *p, size_t n); /* copies; 0 | -SW_ERR_NOMEM */
void sw_framer_finish(struct sw_framer *f);                       /* no more bytes will come */
int sw_framer_next(struct sw_framer *f, struct sw_piece *ret);    /* SW_FRAMER_* */

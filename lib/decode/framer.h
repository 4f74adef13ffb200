/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Cuts a file of any size into pieces that the decoder takes one by one: whole records, at least one, at most about
 * piece_bytes (a single longer record makes a longer piece, up to record_max; beyond that it is skipped, and a piece
 * with its first bytes and SW_DECODE_OVERSIZE lets the decoder count it). Knows {"records":[...]}, bare arrays, single
 * objects, newline-delimited values and block fragments; a BOM is skipped.
 *
 * A file that is one top-level value, or one fragment, is one message: MESSAGE_START on its first piece, MESSAGE_END on
 * its last. Small messages that follow one another share a piece, with SW_DECODE_LINES. Where pieces are cut depends on
 * the bytes alone, not on how they are fed. After bytes that are no JSON the next piece begins at the next line that
 * begins with '{' or '['; what is between is in no piece, so memory is that of one piece and one record.
 * Inflating is the caller's (sw_inflate). Threads: one owner. Cost: each byte is looked at once. */
#include "base/err.h"
#include "base/str.h"
#include "base/time.h"

struct sw_framer_conf {
        size_t piece_bytes; /* default 256 KiB */
        size_t record_max;  /* default 64 MiB */
};

struct sw_piece {
        struct sw_str bytes;  /* valid until the next call; what sw_decode takes */
        unsigned flags;       /* SW_DECODE_MESSAGE_START, _END, SW_DECODE_LINES, SW_DECODE_OVERSIZE */
        uint64_t offset;      /* of its first byte in the file */
        struct sw_etime time; /* "time" of its first record, NONE if it could not be found cheaply */
};

enum { SW_FRAMER_OK, SW_FRAMER_MORE /* feed more bytes */, SW_FRAMER_END /* finished and drained */ };

struct sw_framer;
int sw_framer_new(const struct sw_framer_conf *conf, struct sw_framer **ret);
struct sw_framer *sw_framer_free(struct sw_framer *f);
int sw_framer_feed(struct sw_framer *f, const void *p, size_t n); /* copies; 0 | -SW_ERR_NOMEM */
/* The same without a copy: room for n >= 1 bytes to read into, valid until the next call; then _fed says how many came.
 * NULL: no memory. */
char *sw_framer_room(struct sw_framer *f, size_t n);
void sw_framer_fed(struct sw_framer *f, size_t n);
void sw_framer_finish(struct sw_framer *f);                       /* no more bytes will come */
int sw_framer_next(struct sw_framer *f, struct sw_piece *ret);    /* SW_FRAMER_* */
/* After MORE, when no more bytes are there for now (a file that grows): hands out what is whole so far. A value that is
 * not complete yet stays and waits for its rest. SW_FRAMER_OK, or SW_FRAMER_MORE: there is nothing. */
int sw_framer_flush(struct sw_framer *f, struct sw_piece *ret);

/* The first "time": "..." in the bytes, NONE if there is none: a search, because the decoder will look properly. */
struct sw_etime sw_framer_peek_time(struct sw_str bytes);

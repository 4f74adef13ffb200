/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Walks what surrounds records: envelopes, arrays, lines, block fragments. Decoder and framer use the same walk, so
 * that a file cut into pieces means what it means whole.
 *
 * The walk is flat and lenient, because producers send fragments of blobs: an opener is entered, a closer or comma
 * too many is passed over, the rest of an enveloping object ("more":1 behind "records") is skipped. An object that has
 * a "records" array is such an opener, every other one is an item.
 *
 * A message is a run of values held together by nesting or commas; a value that follows another without a comma (next
 * line, or directly) begins the next one. After bytes that are no JSON the walk goes on at the next line that begins
 * with '{' or '['.
 *
 * Within an item the depth is limited, and so is the number of openers in a row. How many are open in all is not: it
 * costs nothing, and who begins in the middle of a message cannot know. */
#include "decode/scan.h"
#include "model/flow.h"

enum sw_item_kind {
        SW_ITEM_MESSAGE, /* a message begins at start */
        SW_ITEM_OBJECT,  /* a record, or what should be one */
        SW_ITEM_TAKEN,   /* a record that `take` has decoded */
        SW_ITEM_SCALAR,  /* a string, number or literal where a record should be */
        SW_ITEM_BAD,     /* no JSON from `end` on; also ends the message */
        SW_ITEM_MEMBER,  /* a member of an enveloping object, passed over */
        SW_ITEM_GAP,     /* SW_ITEM_GAP_BYTES of separators without an item */
        SW_ITEM_MORE,    /* feed more bytes */
        SW_ITEM_END,
};
#define SW_ITEM_GAP_BYTES ((size_t)16 * 1024)

struct sw_item {
        enum sw_item_kind kind;
        size_t start, end;
        enum sw_reason reason; /* of BAD */
        uint64_t n_values;     /* of OBJECT */
        bool odd;              /* sw_scan.odd */
};

struct sw_items {
        size_t at;          /* next byte to look at */
        size_t start;       /* of the value being scanned */
        size_t gap;         /* where the last item ended */
        uint64_t depth;     /* openers entered and not closed */
        uint32_t n_openers; /* of them, in a row up to here */
        size_t openers;     /* where the first of these is */
        uint8_t state;
        bool open;        /* a message has begun */
        bool ended;       /* something of it is complete */
        bool comma;       /* the last separator was one */
        bool string;      /* the scalar being scanned is one */
        bool line;        /* lost, but at the beginning of a line */
        size_t max_bytes; /* no envelope begins with more than this before its records; 0 = no limit */
        struct sw_scan scan;
        /* Decodes the object at `at` and returns its end; 0: not taken. NULL in the framer. */
        size_t (*take)(void *ctx, size_t at);
        void *ctx;
};

/* p[0..n) are the bytes there are. final: no more will come. */
void sw_items_next(struct sw_items *w, const char *p, size_t n, bool final, struct sw_item *ret);
/* The caller dropped `by` bytes in front; none of a value being scanned unless sw_items_is_scanning was asked. */
void sw_items_shift(struct sw_items *w, size_t by);
bool sw_items_is_scanning(const struct sw_items *w);
/* A place up to which everything is whole: who begins there sees the same. */
size_t sw_items_cut(const struct sw_items *w);
bool sw_items_is_lost(const struct sw_items *w); /* looking for a line to go on at */

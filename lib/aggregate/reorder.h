/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What waits for the watermark: tuples in buckets by event second, in chunks from one pool with a byte limit, and the
 * late ones apart. A second comes out in canonical order. Threads: one owner. */
#include "aggregate/order.h"
#include "base/pool.h"
#include "persist/state.h"

struct sw_reorder_bucket {
        int64_t second;
        uint32_t head, tail; /* chunks: id + 1, their pool in the top bit; 0 = none */
        uint32_t n, pad;
};

/* One second, sorted; points into the buffer until the next take. */
struct sw_reorder_run {
        struct sw_order_item *items;
        uint32_t n;
};

#define SW_REORDER_RECENT 256u /* power of two */

struct sw_reorder {
        const struct sw_directory *directory;
        struct sw_table buckets;
        int64_t *heap; /* seconds that have a bucket, smallest first */
        uint32_t n_heap, cap_heap;
        /* ids of buckets by their second's low bits, or anything: tuples of a record lie within few minutes */
        uint32_t recent[SW_REORDER_RECENT];
        struct sw_reorder_bucket late;
        struct sw_pool chunks[2]; /* small and large ones */
        uint32_t taken;           /* chunks behind the last run */
        struct sw_order_item *items, *scratch;
        uint32_t cap_items;
        size_t bytes, limit_bytes, free_bytes; /* free: of bytes, those in free chunks */
        uint64_t n_tuples;
};

int sw_reorder_init(
        struct sw_reorder *r, const struct sw_directory *d, size_t limit_bytes, const struct sw_hash_key *key);
void sw_reorder_deinit(struct sw_reorder *r);

enum { SW_REORDER_OK, SW_REORDER_E_FULL /* release the oldest second, then try again */ };
int sw_reorder_add(struct sw_reorder *r, const struct sw_otuple *t); /* copied */
/* The same for a tuple of that time that the caller writes in place, all of it. OK: *ret is set. */
int sw_reorder_add_room(struct sw_reorder *r, struct sw_etime time, struct sw_otuple **ret);
/* Ask for the memory that a tuple of that time will touch: where its bucket is filled, then its place there. */
void sw_reorder_prefetch(const struct sw_reorder *r, struct sw_etime time);
void sw_reorder_prefetch_room(const struct sw_reorder *r, struct sw_etime time);
int sw_reorder_add_late(struct sw_reorder *r, const struct sw_otuple *t);
bool sw_reorder_is_pressed(const struct sw_reorder *r); /* more than half of the limit is in use */

/* Oldest waiting second (late ones not counted); false: none. */
bool sw_reorder_next(const struct sw_reorder *r, int64_t *ret_second);
/* Takes the tuples of the oldest second with times <= until; the rest stays. 0 | -SW_ERR_NOMEM. */
int sw_reorder_take(struct sw_reorder *r, struct sw_etime until, struct sw_reorder_run *ret);
int sw_reorder_take_late(struct sw_reorder *r, struct sw_reorder_run *ret);
/* The last run is no longer needed: its memory can take new tuples. */
void sw_reorder_recycle(struct sw_reorder *r);

/* The last run must not be needed any more. */
void sw_reorder_state(struct sw_reorder *r, struct sw_state_io *s);
/* After buckets, chunks and section were read: checks the chains and what tuples refer to, makes the rest.
 * 0 | -SW_ERR_DATA | -SW_ERR_NOMEM. */
int sw_reorder_restored(struct sw_reorder *r);

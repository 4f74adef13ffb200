/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Arrays of entries read as they were at one moment by one other thread, while their owner goes on changing them.
 *
 * Entries are guarded in grains: one entry, or as many as fill two cache lines. Whoever needs a grain first copies it:
 * the reader when it gets there, or the owner just before its first change (sw_guard_touch), which has it in its cache
 * then, into a ring of bounded size. While the ring is full the owner waits for the reader, which empties it before it
 * reads on. Every grain is read exactly once, in no fixed order.
 *
 * Threads: touch, open and free belong to the owner; read to one reader; abandon to anybody. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sw_guard;
struct sw_guard_region; /* one array; its owner keeps the pointer while a guard is open */

struct sw_guard_source {
        const unsigned char *entries, *meta; /* meta: a byte per entry, 0 = free; may be NULL */
        uint32_t entry_size, n;              /* entries at this moment: later ones are nobody's business */
        bool skip_free;                      /* grains of free entries only are left out */
};

/* Called again and again by the owner while it waits for the reader: may sleep a little. */
typedef void (*sw_guard_wait)(void *ctx);

#define SW_GUARD_MIN_BYTES ((size_t)64 * 1024)
/* Takes ring_bytes (at least the minimum) of address space. wait NULL: yields. 0 | -SW_ERR_NOMEM. */
int sw_guard_new(size_t ring_bytes, sw_guard_wait wait, void *ctx, struct sw_guard **ret);
struct sw_guard *sw_guard_free(struct sw_guard *g); /* clears the owners' pointers. NULL-safe, returns NULL */
/* Before open. owner: where the pointer for sw_guard_touch goes; NULL: only appended to, so that nothing has to be
 * kept. Regions are numbered from 0 in this order. 0 | -SW_ERR_NOMEM. */
int sw_guard_add(struct sw_guard *g, const struct sw_guard_source *source, struct sw_guard_region **owner);
int sw_guard_open(struct sw_guard *g); /* 0 | -SW_ERR_NOMEM */

/* Before entry `id` (or its meta byte) is changed. Cold: without a guard it must not cost its callers a register. */
__attribute__((cold, noinline)) void sw_guard_touch(struct sw_guard_region *r, uint32_t id);

/* A piece as read: a head, n entries, n meta bytes if the region has them, zeros up to a multiple of 8. */
struct sw_guard_piece {
        uint32_t region, first, n, zero;
};
#define SW_GUARD_READ_BYTES ((size_t)64 * 1024) /* the least a read needs */
/* Whole pieces, as many as fit; 0: that was all, or it was abandoned. */
size_t sw_guard_read(struct sw_guard *g, void *buf, size_t n);
/* Nobody waits or copies any more; what was read is worthless. */
void sw_guard_abandon(struct sw_guard *g);
bool sw_guard_is_abandoned(const struct sw_guard *g);

struct sw_guard_stats {
        uint64_t copied_ahead, waits; /* grains copied by the owner; how often it had to wait */
        size_t ring_bytes;            /* the most of the ring that was in use */
};
struct sw_guard_stats sw_guard_stats(const struct sw_guard *g); /* owner, or after the reading */

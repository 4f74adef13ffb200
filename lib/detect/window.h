/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Distinct things of a sliding window, flat (no pointers), so that it can live inside a table entry.
 * The last SW_WINDOW_CAP distinct keys are kept exactly, each with its first and last time in milliseconds; beyond
 * the cap a HyperLogLog with 256 registers (6.5 %) estimates how many there were since the burst began. Its hash has a
 * fixed key: printed numbers must not depend on the seed, and a sender who makes hashes collide only makes the
 * number that is *reported* above 64 smaller, never the decision at a threshold below it. */
#include "model/signal.h"

#define SW_WINDOW_CAP 64
#define SW_WINDOW_REGISTERS 256
#define SW_WINDOW_BURST_MS SW_HOUR /* a burst ends when nothing was added for this long */

struct sw_window_item {
        uint32_t key;               /* host id, or whatever the detector counts */
        uint32_t first_ms, last_ms; /* low 32 bits of the event time: exact as long as items live less than 24 days */
        uint16_t port;              /* second part of the key */
        uint16_t flags;             /* the detector's own; SW_WINDOW_RAISED is set by sw_window_mark */
};
enum { SW_WINDOW_RAISED = 1 << 15 };

struct sw_window {
        int64_t last_ms;  /* newest add; 0 = never */
        int64_t burst_ms; /* when the burst began that the registers count */
        uint32_t n;
        uint32_t oldest_ms; /* low 32 bits of a time at or before every item's last; 0: not known */
        struct sw_window_item items[SW_WINDOW_CAP];
        uint8_t registers[SW_WINDOW_REGISTERS];
        /* From here on only what follows from the rest, so that a long scan need not look at all of it each time. */
        uint32_t estimate;            /* of these registers; 0: not known */
        uint32_t ordered;             /* a full one: places are known by the age of their items */
        uint8_t order[SW_WINDOW_CAP]; /* oldest first, of one millisecond by their place */
};
#define SW_WINDOW_STORED offsetof(struct sw_window, estimate) /* bytes that it had before it knew these */
/* For sw_table_spec.migrate: an entry with such a shorter window at `at`. False: it had another size. */
bool sw_window_migrate(const void *old, uint32_t old_size, void *entry, uint32_t size, size_t at);

/* Hash for the registers: of the address behind `key` and the port. */
uint64_t sw_window_hash(const struct sw_addr *a, uint16_t port);

/* Adds or refreshes (key, port) at `now`; forgets items that were not refreshed for keep_ms (at most 20 days).
 * A full window drops its least recent item. Never NULL; the item is valid until the next call. */
struct sw_window_item *sw_window_add(
        struct sw_window *w, struct sw_etime now, struct sw_window_item what, uint64_t hash, int64_t keep_ms);
/* Takes (key, port) out again; false if it was not there. The estimate keeps it. */
bool sw_window_remove(struct sw_window *w, uint32_t key, uint16_t port);

/* Whether the item's last time is within (now - span, now]: span - 1 ms is in, span is out. */
bool sw_window_in(const struct sw_window_item *i, struct sw_etime now, int64_t span_ms);
/* Items within the span whose flags, under `mask`, equal `want`. */
uint32_t sw_window_count(const struct sw_window *w, struct sw_etime now, int64_t span_ms, uint16_t mask, uint16_t want);
/* All items of the span: exact below the cap; at the cap the estimate for the burst, at least the cap. */
uint64_t sw_window_value(struct sw_window *w, struct sw_etime now, int64_t span_ms);
/* How long the counted time is: the span, or since the burst began when the estimate spoke (whole minutes). */
int64_t sw_window_span(const struct sw_window *w, struct sw_etime now, int64_t span_ms);
uint64_t sw_window_estimate(const struct sw_window *w);
/* ---- the same with plain items ---- */
uint32_t sw_window_count_items(const struct sw_window_item *items, uint32_t n, struct sw_etime now, int64_t span_ms,
        uint16_t mask, uint16_t want);
/* Moves the items that were refreshed within keep_ms to the front; how many are left. */
uint32_t sw_window_keep_items(struct sw_window_item *items, uint32_t n, struct sw_etime now, int64_t keep_ms);
/* Refreshes (key, port); else puts it behind the n, or, where n is cap, in place of the least recent. */
struct sw_window_item *sw_window_put_item(
        struct sw_window_item *items, uint32_t *inout_n, uint32_t cap, struct sw_etime now, struct sw_window_item what);
bool sw_window_remove_item(struct sw_window_item *items, uint32_t *inout_n, const struct sw_window_item *what);
struct sw_window_item *sw_window_find_item(
        struct sw_window_item *items, uint32_t n, const struct sw_window_item *what); /* NULL: none */
/* A window whose items were put there by hand: its estimate counts one of them, unless it is older than the burst. */
void sw_window_note(struct sw_window *w, const struct sw_window_item *item, uint64_t hash);
/* Marks all items of the span as raised. */
void sw_window_mark(struct sw_window *w, struct sw_etime now, int64_t span_ms);

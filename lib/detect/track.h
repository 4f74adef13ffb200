/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What a detector remembers of one key: a window of distinct things and the tuples that show them, in as little memory
 * as they need. Most sources do a thing once or twice, few do it often:
 *
 *   inside   2 things, 2 tuples, in the entry of the key itself
 *   middle   8 things, 5 tuples, in a second table
 *   large    window, evidence and ladder in a third one; what is told of is always large
 *
 * A track begins as a single thing that waits for a second, different one; alone it soon counts for nothing. The three
 * tables stand side by side among the detector's. What has slept longer than it counts is removed in passing, and is no
 * loss. Where a table is full, its victim is lost as if it had never been: the body of a track that lost it is looked
 * up by its whole key, so that it is never another's. */
#include "detect/raise.h"

#define SW_TRACK_INSIDE 2
#define SW_TRACK_MIDDLE 8
#define SW_TRACK_TABLES 3

enum sw_track_size { SW_TRACK_IS_INSIDE, SW_TRACK_IS_MIDDLE, SW_TRACK_IS_LARGE };
enum sw_track_stage { SW_TRACK_FIRST, SW_TRACK_WINDOW };

/* A struct sw_evidence without what its hosts and its track say. What does not fit needs a large track. */
struct sw_track_tuple {
        uint32_t time_ms; /* low 32 bits: it is at most some days older than its track's newest event */
        uint32_t dst, dst_serial;
        uint32_t dst_segment;
        uint32_t rule, sensor;
        uint16_t counters[SW_N_COUNTERS];
        uint16_t sport, dport;
        uint8_t proto, outcome;
        uint8_t state; /* | direction << 4 | reversed << 5 */
        uint8_t encryption;
};

struct sw_track {
        uint32_t key[4];   /* [0] is the source's id */
        int64_t last_ms;   /* newest event */
        uint32_t late_ms;  /* how late that one came */
        uint32_t burst_ms; /* low 32 bits of when the burst began (window.h) */
        uint32_t body;     /* id + 1 in the table of its size, 0 = inside */
        uint32_t src_serial, src_segment;
        uint8_t size, stage, n, n_tuples; /* n, n_tuples: not of large ones */
        struct sw_window_item items[SW_TRACK_INSIDE];
        struct sw_track_tuple tuples[SW_TRACK_INSIDE];
};

struct sw_track_middle {
        uint32_t key[4];
        struct sw_window_item items[SW_TRACK_MIDDLE];
        struct sw_track_tuple tuples[SW_SIGNAL_EVIDENCE];
};

struct sw_track_large {
        uint32_t key[4];
        struct sw_window window;
        struct sw_raise_evidence evidence;
        struct sw_raise_ladder ladder;
};

/* The rows of a detector's tables; shares in permille. */
#define SW_TRACK_DECLARE(name, name_middle, name_large, inside, middle, large)                                         \
        { { (name), 2, sizeof(struct sw_track), 16, sw_track_on_evict, NULL }, (inside) },                             \
                { { (name_middle), 1, sizeof(struct sw_track_middle), 16, NULL, NULL }, (middle) },                    \
        {                                                                                                              \
                { (name_large), 2, sizeof(struct sw_track_large), 16, NULL, sw_track_migrate_large }, (large)          \
        }
/* Takes the body along; ctx: the detector's struct sw_tables, whose tracks stand at 0, 3 ... */
void sw_track_on_evict(void *ctx, void *entry);
bool sw_track_migrate_large(uint32_t version, uint32_t size, const void *old, void *entry);

struct sw_track_what {
        uint32_t key[4];
        struct sw_window_item item; /* .key: the host behind it, whose address the estimate counts */
        int64_t keep_ms;            /* how long a thing counts */
        int64_t first_ms;           /* how long a single one waits for a second; 0: it need not wait */
        bool bare;                  /* no evidence */
};

/* A track in hand, until the next call for the same tables. */
struct sw_track_ref {
        struct sw_track *head;
        struct sw_window_item *items;
        struct sw_track_tuple *tuples; /* NULL: large */
        struct sw_track_large *large;  /* NULL: not large */
        uint32_t n;
};

/* For a detector's soon: its track will be looked up. And its last step: the body. */
static inline void sw_track_soon(struct sw_ahead *a, const struct sw_table *t, const uint32_t key[4])
{
        a->tracks |= 1u << a->n;
        sw_ahead_look(a, t, key);
}
void sw_track_fetch(const struct sw_table *t, uint64_t hash);
/* Notes the event. False while it is the first of its key, or the same again; or there is no room. */
bool sw_track_add(struct sw_table *t, const struct sw_track_what *what, const struct sw_view *v,
        const struct sw_conn_event *ev, struct sw_track_ref *ret);
/* False: nothing is known of the key, or not any more. */
bool sw_track_find(
        struct sw_table *t, const struct sw_track_what *what, const struct sw_view *v, struct sw_track_ref *ret);
/* Of a single one in hand: true if the event is about another thing; it waits no longer then. Else it is noted anew. */
bool sw_track_second(struct sw_table *t, const struct sw_track_what *what, const struct sw_view *v,
        const struct sw_conn_event *ev, struct sw_track_ref *r);
/* Takes the thing out again, unless it is a single one. */
void sw_track_forget(struct sw_table *t, const struct sw_track_what *what, const struct sw_view *v);
/* Makes it large. False: no room. */
bool sw_track_grow_large(struct sw_table *t, const struct sw_view *v, struct sw_track_ref *r);

/* Whether it was told of less than quiet_ms ago: what is told only once then need not be judged. */
static inline bool sw_track_told(const struct sw_track_ref *r, struct sw_etime now, int64_t quiet_ms)
{
        return r->large && r->large->ladder.raised_ms != 0 && now.ms - r->large->ladder.raised_ms < quiet_ms;
}
/* As sw_window_count and sw_window_value. */
uint32_t sw_track_count(
        const struct sw_track_ref *r, struct sw_etime now, int64_t span_ms, uint16_t mask, uint16_t want);
uint64_t sw_track_value(const struct sw_track_ref *r, struct sw_etime now, int64_t span_ms);

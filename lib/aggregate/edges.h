/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Baselines: which host spoke to which with what class on which days, and which classes hosts and
 * segments use at all. Keys are serials of hosts and segments, never ids that are reused. Rows not renewed for 30 days
 * count as never seen. Threads: one owner. Cost: one look-up per question. */
#include "aggregate/view.h"
#include "base/table.h"

struct sw_edge {
        uint32_t src, dst;
        uint8_t class;
        uint8_t tainted;
        uint16_t first_day, last_day;
        uint16_t class_day; /* on that day all its classes had been seen, of the segments below; 0 = not known */
        uint32_t days;      /* bit i: seen on last_day - i */
        uint32_t first_sec; /* of event time */
        uint16_t src_segment, dst_segment;
        uint32_t pad;
};

struct sw_edges {
        struct sw_table edges, classes;
        uint32_t last; /* id of the edge found last: a connection that succeeds asks twice */
};

/* Ends of a connection as the baseline knows them. */
struct sw_edge_key {
        uint32_t src, dst;                 /* host serials */
        uint32_t src_segment, dst_segment; /* segment serials */
        enum sw_service service;
        uint32_t hash; /* of the edge, by sw_edges_hash */
};

int sw_edges_init(struct sw_edges *e, size_t edge_bytes, size_t class_bytes, const struct sw_hash_key *key);
void sw_edges_deinit(struct sw_edges *e);

/* Fills k->hash from src, dst and service. */
void sw_edges_hash(const struct sw_edges *e, struct sw_edge_key *k);

bool sw_edges_get(struct sw_edges *e, const struct sw_edge_key *k, struct sw_etime now, struct sw_edge_info *ret);
/* SW_RARE bits without NOT_SERVER. classes: also look at those of hosts and segments. */
unsigned sw_edges_rarity(struct sw_edges *e, const struct sw_edge_key *k, struct sw_etime now, bool classes);
/* An OK connection was seen. A new edge of a tainted source is kept apart and teaches no class. */
void sw_edges_learn(struct sw_edges *e, const struct sw_edge_key *k, struct sw_etime now, bool tainted);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Totals per pair of segments. Distinct hosts are exact to 64, then HyperLogLog with 2^10 registers (3.3 %; Flajolet
 * et al. 2007). Host hashes are not keyed: printed numbers must not depend on a seed. Threads: one owner. */
#include "aggregate/view.h"
#include "base/table.h"

#define SW_PAIRS_EXACT 64u

struct sw_pair {
        uint32_t src, dst; /* segment serials */
        uint64_t flows_allowed, flows_denied;
        uint64_t totals[SW_N_COUNTERS];
        uint32_t n[2];                     /* hosts listed: sources, destinations; SW_PAIRS_EXACT + 1 = estimated */
        uint32_t sketch[2];                /* id of the estimate, checked against its key */
        uint32_t hosts[2][SW_PAIRS_EXACT]; /* hashes */
};

struct sw_pairs {
        struct sw_table pairs, sketches;
};

int sw_pairs_init(struct sw_pairs *p, size_t pair_bytes, size_t sketch_bytes, const struct sw_hash_key *key);
void sw_pairs_deinit(struct sw_pairs *p);
/* *inout_id: a guess from earlier, checked; avoids the look-up. NULL: no room (counted). */
struct sw_pair *sw_pairs_get(struct sw_pairs *p, uint32_t src, uint32_t dst, uint32_t *inout_id);
void sw_pairs_hosts(struct sw_pairs *p, struct sw_pair *x, const struct sw_host *src, const struct sw_host *dst);
/* side 0: sources, 1: destinations. */
uint32_t sw_pairs_distinct(struct sw_pairs *p, const struct sw_pair *x, unsigned side);

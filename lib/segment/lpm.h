/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Longest prefix match: a multibit trie with strides 16-8-8 for IPv4 and 16-8-8-... for IPv6, so that an IPv4
 * look-up reads at most three cache lines and an IPv6 /64 at most seven. Every slot keeps the best prefix that ends
 * in its node, so prefixes may come in any order and nest at will.
 * An IPv6 prefix never matches an IPv4 address, not even ::/0: a mapped prefix of at least 96 bits is IPv4.
 * Memory: 512 KiB per family in use and 2 KiB per inner node. Threads: any number of readers once built. */
#include "model/addr.h"

struct sw_lpm_slot {
        uint32_t value;      /* 0: no prefix ends here */
        uint32_t child : 24; /* 0: none, else node number + 1 */
        uint32_t bits : 8;   /* of the prefix that `value` belongs to, counted in the 128-bit form */
};

struct sw_lpm {
        struct sw_lpm_slot *roots[2]; /* IPv6, IPv4: 65536 slots each, made when first needed */
        struct sw_lpm_slot *nodes;    /* 256 slots each */
        uint32_t n_nodes, cap_nodes;
};
#define SW_LPM_NULL ((struct sw_lpm){ 0 })

void sw_lpm_deinit(struct sw_lpm *t); /* NULL-safe, twice is fine */

/* value: not 0. The same prefix again replaces its value. 0 | -SW_ERR_NOMEM | -SW_ERR_LIMIT. */
int sw_lpm_insert(struct sw_lpm *t, const struct sw_prefix *p, uint32_t value);

/* Value of the longest prefix that contains the address, 0 if none does. */
uint32_t sw_lpm_lookup(const struct sw_lpm *t, const struct sw_addr *a);

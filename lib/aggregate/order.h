/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Tuples in the form in which they wait for the watermark, and their canonical order: time, B<C<E<D,
 * addresses, ports, protocol, direction, encryption, counters, then the texts of sensor, ACL and rule. Never an intern
 * id: those follow arrival. */
#include "aggregate/directory.h"

/* The five-tuple as logged, with the realm of its sensor; contiguous, so that it is hashed in place. */
struct sw_conn_key {
        struct sw_addr src, dst;
        uint16_t sport, dport;
        uint8_t proto, zero;
        uint16_t realm;
};
_Static_assert(sizeof(struct sw_conn_key) == 40, "no padding inside a key");

struct sw_otuple {
        struct sw_conn_key key;
        struct sw_etime time;
        uint64_t counters[SW_N_COUNTERS];
        uint32_t rule, sensor; /* ids of the directory */
        uint8_t state, direction, encryption, counters_present;
        uint32_t fold : 31; /* the sensor's, kept here because the directory's line would be a miss for each tuple */
        uint32_t stateless : 1; /* SW_TUPLE_STATELESS */
};
_Static_assert(sizeof(struct sw_otuple) == 96, "what waits for the watermark is counted in bytes");

/* Prefix of the canonical order within one second of event time; equal prefixes need sw_order_cmp. */
uint64_t sw_order_prefix(const struct sw_otuple *t);
int sw_order_cmp(const struct sw_directory *d, const struct sw_otuple *a, const struct sw_otuple *b);

struct sw_order_item {
        uint64_t prefix;
        const struct sw_otuple *tuple;
};
/* Sorts tuples of one second; `scratch` has room for n. Equal tuples are the same in every printed value. */
void sw_order_sort(
        const struct sw_directory *d, struct sw_order_item *items, uint32_t n, struct sw_order_item *scratch);
/* Any times: late tuples. */
void sw_order_sort_any(const struct sw_directory *d, struct sw_order_item *items, uint32_t n);

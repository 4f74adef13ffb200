/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One tuple from its text. */
#include "model/flow.h"

enum sw_tuple_format {
        SW_TUPLE_VNET, /* 13 fields: ..., IANA protocol, direction, state, encryption, four counters */
        SW_TUPLE_NSG,  /* 8 (v1) or 13 (v2) fields: ..., T|U, direction, decision[, state, four counters] */
};

/* The fields as text, in the order of VNet; also what flat records have as members. absent: p is NULL. */
struct sw_tuple_text {
        struct sw_str time, src, dst, sport, dport, proto, direction, decision, state, encryption;
        struct sw_str counters[SW_N_COUNTERS];
};

/* 0 and *ret filled (but for .rule), or the reason as a positive number: 1 + enum sw_reason. */
int sw__tuple_parse(enum sw_tuple_format format, struct sw_str text, struct sw_tuple *ret);
int sw__tuple_from_text(enum sw_tuple_format format, const struct sw_tuple_text *text, struct sw_tuple *ret);

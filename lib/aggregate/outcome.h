/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Outcome of a connection from its counters. Pure. */
#include "aggregate/order.h"
#include "model/signal.h"

struct sw_payload {
        uint64_t fwd, rev;
};

/* Bytes less headers without options, 54 per packet (TCP) or 28 (all others), 20 more in IPv6; never below 0. */
struct sw_payload sw_outcome_payload(const struct sw_conn_key *key, const uint64_t counters[SW_N_COUNTERS]);
/* At the end of a life that nobody denied. known: some C or E carried counters, else UNKNOWN. REFUSED is told by the
 * answer: a reset has no TCP options, what answers at an open port has (its segment size at least), and so has nearly
 * every SYN (up to 40 bytes of them, which Azure counts). Everything else is OK: TCP that sent more than 4 packets (a
 * connection stood), and other protocols that were answered with empty packets. */
enum sw_outcome sw_outcome_final(const struct sw_conn_key *key, const uint64_t counters[SW_N_COUNTERS], bool known);

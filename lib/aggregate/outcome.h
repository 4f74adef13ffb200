/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Outcome of a connection from its counters. Pure. */
#include "model/signal.h"

struct sw_payload {
        uint64_t fwd, rev;
};

/* Bytes less 54 per packet (TCP) or 28 (all others), never below 0. */
struct sw_payload sw_outcome_payload(uint8_t proto, const uint64_t counters[SW_N_COUNTERS]);
/* At the end of a life that nobody denied. known: some C or E carried counters, else UNKNOWN.
 * Everything else is OK: TCP that was answered and sent more than 4 packets without payload (a
 * connection stood), and other protocols that were answered with empty packets. */
enum sw_outcome sw_outcome_final(uint8_t proto, const uint64_t counters[SW_N_COUNTERS], bool known);

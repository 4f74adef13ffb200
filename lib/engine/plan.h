/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The memory plan: memory.limit divided among all tables of the core, once, in permille. What detectors declare comes
 * on top; sw_plan_sum() must stay at or below 1000 (a test and sw_engine_new check it). Open connections pin their
 * hosts: each pool of hosts holds a third more than there can be connections, so that looking for a victim is short
 * whatever is open (a test checks that as well). */
#include <stddef.h>
#include <stdint.h>

/* X(enum, permille) */
#define SW_PLAN_MAP(X)                                                                                                 \
        X(REORDER, 136)                                                                                                \
        X(HELD, 8)                                                                                                     \
        X(DEDUPE, 50)                                                                                                  \
        X(DIRECTORY, 20)                                                                                               \
        X(SEGMENTS, 6)                                                                                                 \
        X(HOSTS, 90)                                                                                                   \
        X(HOSTS_INTERNET, 105)                                                                                         \
        X(CONNS, 124)                                                                                                  \
        X(CONNS_MORE, 60)                                                                                              \
        X(RPC, 5)                                                                                                      \
        X(TIMERS, 25)                                                                                                  \
        X(EDGES, 70)                                                                                                   \
        X(CLASSES, 20)                                                                                                 \
        X(ROLES, 15)                                                                                                   \
        X(FANOUT, 16)                                                                                                  \
        X(PAIRS, 25)                                                                                                   \
        X(SKETCHES, 8)                                                                                                 \
        X(CORRELATE, 30)                                                                                               \
        X(SNAPSHOT, 16)
enum sw_plan_row {
#define SW_PLAN_ENUM(name, permille) SW_PLAN_##name,
        SW_PLAN_MAP(SW_PLAN_ENUM)
#undef SW_PLAN_ENUM
                SW_N_PLAN_ROWS
};

size_t sw_plan_bytes(enum sw_plan_row row, uint64_t memory_limit_bytes);
unsigned sw_plan_sum(void); /* permille, with the detectors' tables */

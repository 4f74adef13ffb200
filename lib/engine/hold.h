/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Tuples far ahead of believed time: one wrong clock must not move time. "Far" is measured from what
 * the watermark would be if it were released now: the newest believed time of the partition, or the last release if
 * that is later; never from where a batch happened to start. Before anything is believed every time is far: the first
 * sensor to speak may be the one that is wrong. Kept tuples, bounded, are believed when
 * - another sensor says the same within an hour;
 * - three records in a row of the only sensor do, each within an hour of the one before;
 * - where other sensors are known, such a row spans more than an hour and nobody else was believed meanwhile: the
 *   others are gone, and to wait for them would be to see nothing any more;
 * - believed time gets to within an hour of them;
 * - a release reaches the newest believed time (end of a replay, idle): nothing is left that could contradict, so they
 *   are folded after everything else and end with it. In live service, where more may follow, the wall clock is the
 *   second witness: what is later than that stays.
 * Threads: one owner. */
#include "aggregate/order.h"
#include "persist/state.h"

struct sw_held {
        struct sw_otuple tuple;
        uint32_t partition, fold; /* fold: of the sensor */
};

struct sw_hold {
        struct sw_held *items;
        uint32_t n, cap;
        size_t limit_bytes;
        int64_t within_ms;
        /* records of one sensor in a row, nothing else between them */
        uint32_t run_fold, n_run;
        struct sw_etime run_from, run_time; /* of its first and its last */
        struct sw_etime oldest;             /* of the items; valid while n > 0 */
        uint64_t n_dropped;
};

void sw_hold_init(struct sw_hold *h, int64_t within_ms, size_t limit_bytes);
void sw_hold_deinit(struct sw_hold *h);
/* A record was taken as it is: a run of held ones ends. */
void sw_hold_interrupt(struct sw_hold *h);
/* A record of sensor `fold` is far ahead, newest tuple at `time`; only: no other sensor was ever believed. True: it is
 * believed, and so are the held tuples within an hour of it (sw_hold_take with the same time). */
bool sw_hold_ask(struct sw_hold *h, uint32_t fold, struct sw_etime time, bool only);
enum { SW_HOLD_OK, SW_HOLD_E_FULL /* not kept, counted in n_dropped */ };
/* SW_HOLD_ | -SW_ERR_NOMEM. */
int sw_hold_add(struct sw_hold *h, const struct sw_otuple *t, uint32_t partition, uint32_t fold);
/* Where time would start if nothing else came: the newest within an hour of the oldest; NONE: nothing is held. */
struct sw_etime sw_hold_start(const struct sw_hold *h);
/* Takes the held tuples with from <= time <= to, in the order in which they came: calls back for each; stops at the
 * first negative and returns it. */
int sw_hold_take(struct sw_hold *h, struct sw_etime from, struct sw_etime to,
        int (*each)(void *ctx, const struct sw_held *held), void *ctx);

/* What is held in another layout than today's is lost, counted as dropped. */
void sw_hold_state(struct sw_hold *h, struct sw_state_io *s);

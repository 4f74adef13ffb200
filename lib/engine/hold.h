/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Tuples far ahead of the watermark (design.md 4.5): one wrong clock must not move time. They are kept, bounded, until
 * another sensor, or three records in a row of the only one, say the same within an hour; or until time gets there by
 * itself. Threads: one owner. */
#include "aggregate/order.h"

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
        struct sw_etime run_time;
        uint64_t n_dropped;
};

void sw_hold_init(struct sw_hold *h, int64_t within_ms, size_t limit_bytes);
void sw_hold_deinit(struct sw_hold *h);
/* A record was taken as it is: a run of held ones ends. */
void sw_hold_interrupt(struct sw_hold *h);
/* A record of sensor `fold` is far ahead, newest tuple at `time`. True: it is believed, and so are the held tuples
 * within an hour of it (sw_hold_take with the same time). */
bool sw_hold_ask(struct sw_hold *h, uint32_t fold, struct sw_etime time);
/* Keeps a tuple; beyond the limit it is dropped and counted. 0 | -SW_ERR_NOMEM. */
int sw_hold_add(struct sw_hold *h, const struct sw_otuple *t, uint32_t partition, uint32_t fold);
/* Takes the held tuples with from <= time <= to, in the order in which they came: calls back for each; stops at the
 * first negative and returns it. */
int sw_hold_take(struct sw_hold *h, struct sw_etime from, struct sw_etime to,
        int (*each)(void *ctx, const struct sw_held *held), void *ctx);

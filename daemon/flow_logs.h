/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Which flow logs speak, and which fell silent: whoever switches a flow log off takes our sight first. Counted by
 * resource id, in event time, since the start of the process; bounded. Single NICs come and go with their machines, a
 * flow log does not. Threads: one owner. */
#include "base/hash.h"
#include "model/flow.h"

#define SW_FLOW_LOGS_MAX 4096u
#define SW_FLOW_LOG_NAME 256
#define SW_FLOW_LOG_SILENT_MS SW_HOUR /* at least; ten times its usual distance of records if that is more */
#define SW_FLOW_LOG_RECORDS 30u       /* before anything is usual */

struct sw_flow_log {
        char name[SW_FLOW_LOG_NAME]; /* as logged first; cut */
        uint64_t key;
        struct sw_etime first, last;
        uint64_t n_records;
};

struct sw_flow_logs {
        struct sw_flow_log *items;
        uint32_t *index; /* item + 1 by hash; 0 = free; twice as many slots as items */
        uint32_t n, cap;
        uint64_t n_refused; /* records of flow logs beyond the bound */
};
#define SW_FLOW_LOGS_NULL ((struct sw_flow_logs){ 0 })
void sw_flow_logs_deinit(struct sw_flow_logs *l);

/* Every record of a batch. newest: later times are taken for this one (clocks that run ahead). Without memory a flow
 * log is not followed. */
void sw_flow_logs_note(struct sw_flow_logs *l, const struct sw_batch *b, struct sw_etime newest);
/* Since when it counts as silent at this time; NONE: it does not, or was not heard for long enough to tell. */
struct sw_etime sw_flow_log_silent(const struct sw_flow_log *f, struct sw_etime now);

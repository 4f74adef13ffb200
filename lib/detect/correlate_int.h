/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Shared by correlate.c and correlate_state.c. */
#include "detect/budget.h"
#include "detect/incident.h"

/* Which incident a host takes part in as more than a target. */
struct sw_correlate_host_key {
        struct sw_addr addr;
        uint16_t realm, pad[3];
};
struct sw_correlate_host {
        struct sw_correlate_host_key key;
        int64_t since_ms;
        uint32_t slot;
        uint32_t role; /* enum sw_member_role */
};

struct sw_correlate {
        struct sw_correlate_conf conf;
        const struct sw_detector_conf *detectors;
        uint64_t limit_bytes;
        struct sw_incident **list; /* by slot; NULL = free */
        uint32_t n_slots;
        uint64_t n_numbers;
        struct sw_table hosts;
        struct sw_correlate_stats stats;
        struct sw_budget budget;
        struct sw_etime next;      /* of correlate_due over the list, and of storms; NONE if there are none */
        struct sw_finding finding; /* scratch: too large for the stack */
        struct sw_story_text text;
        struct sw_buf sentence;
        sw_finding_sink emit; /* of the call under way */
        void *ctx;
};

/* Looks for the next instant once per change, so that asking for it costs nothing. */
void sw__correlate_plan(struct sw_correlate *c);

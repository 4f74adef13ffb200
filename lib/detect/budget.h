/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* How many new findings an hour of event time may bring. A storm of 10^5 incidents helps
 * nobody: what exceeds the budget is folded, by segment of its actor, into one finding per segment and hour that says
 * how many there were, how bad, and where they began. Critical incidents never are. A severity only competes with its
 * own and those above, so that noise does not fold what is worse. Plain data of fixed size: copying it is a snapshot.
 */
#include "detect/incident.h"

#define SW_BUDGET_STORMS 16 /* segments with a storm at a time; the last takes all that have no place */
#define SW_BUDGET_SEGMENT 96

struct sw_storm {
        char segment[SW_BUDGET_SEGMENT]; /* name, cut; "" = several */
        char uid[33];
        int64_t hour; /* it ends with this hour, counted from 1970 */
        struct sw_etime created, first, last;
        struct sw_etime due; /* held-back update; NONE */
        uint64_t n_folded, n_told;
        uint32_t sequence;
        uint32_t severity; /* enum sw_severity: the highest folded */
        uint32_t risk;
        uint32_t n_hosts; /* listed, distinct */
        struct sw_addr hosts[SW_FINDING_HOSTS];
};

struct sw_budget {
        int64_t hour;                        /* that `used` is about */
        uint32_t used[SW_SEVERITY_CRITICAL]; /* by severity; UNKNOWN: findings of one detector's own */
        uint32_t n_storms;
        uint64_t n_folded; /* since the start */
        struct sw_storm storms[SW_BUDGET_STORMS];
};

static inline int64_t sw__budget_hour(struct sw_etime t)
{
        return t.ms / SW_HOUR;
}

/* Whether one more finding may be written at `now`; if so it counts. per_hour 0: no limit. Never false for CRITICAL. */
bool sw__budget_take(struct sw_budget *b, uint32_t per_hour, enum sw_severity severity, struct sw_etime now);

struct sw_budget_fold {
        struct sw_str segment; /* of the actor */
        struct sw_addr actor;
        enum sw_severity severity;
        uint8_t risk;
        struct sw_etime first; /* evidence */
        struct sw_etime now;
        bool again; /* counted in this hour before: it only got worse */
};
/* Adds to the storm of its segment and hour, which is made if there is none. Never NULL. A storm with sequence 0 has to
 * be written at once; later growth waits in `due`. */
struct sw_storm *sw__budget_fold(struct sw_budget *b, const struct sw_budget_fold *what, int64_t update_ms);

/* Earliest instant at which a storm is due, its end included; NONE without storms. */
struct sw_etime sw__budget_next(const struct sw_budget *b);
/* The storm that is due then (the first of several); NULL if none. `ends`: it is over, drop it once written. */
struct sw_storm *sw__budget_due(struct sw_budget *b, struct sw_etime now, bool *ret_ends);
void sw__budget_drop(struct sw_budget *b, struct sw_storm *s);

/* Fills f and *text for the next line about the storm. */
void sw__budget_tell(const struct sw_storm *s, uint32_t per_hour, struct sw_finding *f, struct sw_story_text *text);

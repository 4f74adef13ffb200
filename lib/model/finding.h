/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What is written to the alert file, with every id already resolved to text: encoders need nothing else.
 * Slices are valid during the emit call only. */
#include "model/signal.h"

#define SW_SEVERITY_MAP(X)                                                                                             \
        X(UNKNOWN, "Unknown", 0)                                                                                       \
        X(INFO, "Informational", 1)                                                                                    \
        X(LOW, "Low", 2)                                                                                               \
        X(MEDIUM, "Medium", 3)                                                                                         \
        X(HIGH, "High", 4)                                                                                             \
        X(CRITICAL, "Critical", 5)
enum sw_severity { /* numbers are OCSF's severity_id */
#define SW_SEVERITY_ENUM(name, text, id) SW_SEVERITY_##name = (id),
        SW_SEVERITY_MAP(SW_SEVERITY_ENUM)
#undef SW_SEVERITY_ENUM
};
const char *sw_severity_text(enum sw_severity s);
bool sw_severity_by_name(struct sw_str s, enum sw_severity *ret); /* case folded; "medium" */

enum sw_finding_kind { SW_FINDING_INCIDENT, SW_FINDING_DETECTOR, SW_FINDING_HEALTH };
enum sw_activity { SW_ACTIVITY_CREATE = 1, SW_ACTIVITY_UPDATE = 2, SW_ACTIVITY_CLOSE = 3 }; /* OCSF activity_id */

struct sw_finding_evidence {
        struct sw_evidence tuple;
        const char *detector; /* whose signal it belongs to */
        struct sw_str src_segment, dst_segment;
        struct sw_str acl, rule;
        struct sw_str flow_log, target;
        uint64_t mac;
};

struct sw_finding_technique {
        const char *uid, *name, *tactic_uid, *tactic_name;
};

#define SW_FINDING_EVIDENCE 16
#define SW_FINDING_HOSTS 64
#define SW_FINDING_TECHNIQUES 16
#define SW_FINDING_RULES 16

struct sw_finding {
        char uid[33];      /* stable id of the finding */
        char line_uid[33]; /* of this line: hash(uid, n-th line) */
        uint32_t sequence; /* n, from 1 */
        enum sw_finding_kind kind;
        enum sw_activity activity;
        enum sw_severity severity;
        uint8_t risk;                /* 0..100 */
        uint8_t confidence_pct;      /* 0..100 */
        bool historic;               /* a cold start found what is more than 1 h old (run only) */
        bool is_sample;              /* somebody tries the outputs; nothing happened */
        struct sw_etime decided;     /* the event time that decided this line */
        struct sw_etime logged;      /* metadata.logged_time: wall time in run, `decided` in replay */
        struct sw_etime first, last; /* of its evidence */
        struct sw_etime created;     /* when its first line was decided */
        uint64_t n_signals;
        struct sw_str title;         /* "Lateral movement: scan, admin fan-out, pivot" */
        struct sw_str message;       /* one plain sentence */
        struct sw_str story;         /* the chain in order, one sentence per line */
        struct sw_str detector;      /* of the heaviest signal; config name */
        struct sw_str detector_code; /* "D01" */
        char merged_into[33];        /* CLOSE after a merge; else "" */
        struct sw_addr actor;
        struct sw_str actor_segment;
        struct sw_str target_segment;
        struct sw_addr compromised[SW_FINDING_HOSTS], targets[SW_FINDING_HOSTS];
        uint32_t n_compromised, n_targets; /* listed */
        uint32_t n_compromised_total, n_targets_total;
        const char *detectors[16]; /* names of the distinct detectors behind it */
        uint32_t n_detectors;
        struct sw_finding_technique techniques[SW_FINDING_TECHNIQUES];
        uint32_t n_techniques;
        struct sw_str rules[SW_FINDING_RULES]; /* NSG rules that let it through, distinct */
        uint32_t n_rules;
        struct sw_finding_evidence evidence[SW_FINDING_EVIDENCE];
        uint32_t n_evidence, n_evidence_total;
};

/* Receives each finding; the engine encodes it. 0 or negative (stops the step). */
typedef int (*sw_finding_sink)(void *ctx, const struct sw_finding *f);

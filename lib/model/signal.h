/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What detectors raise: one statement about one actor and its targets, with evidence. Hosts, segments, rules and
 * sensors are ids of the engine's directories; correlation resolves them when it writes findings. */
#include "model/flow.h"
#include "model/service.h"

#define SW_HOST_NONE UINT32_MAX

/* Outcome of a connection. */
#define SW_OUTCOME_MAP(X)                                                                                              \
        X(UNKNOWN, "unknown") /* counters absent, nothing said */                                                      \
        X(OPEN, "open")                                                                                                \
        X(OK, "ok")                                                                                                    \
        X(NOREPLY, "no_reply")                                                                                         \
        X(REFUSED, "refused")                                                                                          \
        X(DENIED, "denied")
enum sw_outcome {
#define SW_OUTCOME_ENUM(name, text) SW_OUTCOME_##name,
        SW_OUTCOME_MAP(SW_OUTCOME_ENUM)
#undef SW_OUTCOME_ENUM
};
const char *sw_outcome_text(enum sw_outcome o);

/* The tuple that opened a connection, kept as evidence. */
struct sw_evidence {
        struct sw_etime time;
        struct sw_addr src, dst; /* as initiator and responder (after a turn-round) */
        uint64_t counters[SW_N_COUNTERS];
        uint32_t src_segment, dst_segment;
        uint32_t rule, sensor; /* ids: sw_view_rule(), sw_view_sensor() */
        uint16_t sport, dport;
        uint8_t proto, state, direction, encryption;
        uint8_t outcome;  /* enum sw_outcome when the signal was raised */
        uint8_t reversed; /* roles were turned round */
        uint16_t pad;
};
/* Canonical order: time, state, addresses, ports, protocol, direction, encryption, counters. */
int sw_evidence_cmp(const struct sw_evidence *a, const struct sw_evidence *b);

#define SW_SIGNAL_TARGETS 20
#define SW_SIGNAL_EVIDENCE 5
#define SW_SIGNAL_CHAIN 8

struct sw_signal {
        uint16_t detector;           /* enum sw_detector_id */
        bool alone;                  /* severe enough to open the actor's incident by itself, at least Medium */
        struct sw_etime time;        /* the event that decided it */
        struct sw_etime first, last; /* of its evidence window */
        uint32_t actor;
        uint32_t targets[SW_SIGNAL_TARGETS]; /* distinct, smallest address first */
        uint32_t n_targets;                  /* listed */
        uint32_t n_targets_total;            /* distinct in all */
        uint32_t src_segment, dst_segment;   /* dst: of the (first) target */
        uint8_t proto;
        uint16_t port;             /* 0 = several */
        uint8_t service;           /* enum sw_service */
        uint64_t value, threshold; /* measured and limit, in the detector's own unit */
        uint64_t normal;           /* what is normal there (baseline value); 0 = nothing known */
        int64_t window_ms;
        uint8_t confidence_pct, weight_pct; /* confidence and weight of its detector, times 100 */
        uint16_t techniques;                /* bit i: the detector's i-th technique applies */
        uint32_t chain[SW_SIGNAL_CHAIN];    /* hosts of a pivot chain, actor first; n_chain 0 otherwise */
        uint32_t n_chain;
        uint32_t variant;                                /* which rule of the detector fired; its own enum */
        struct sw_evidence evidence[SW_SIGNAL_EVIDENCE]; /* the canonically smallest */
        uint32_t n_evidence;
};

/* Growing list that detectors append to; cleared by the engine after each event. */
struct sw_signals {
        struct sw_signal *items;
        uint32_t n, cap;
};
struct sw_signal *sw_signals_add(struct sw_signals *s); /* zeroed; NULL: no memory */
void sw_signals_deinit(struct sw_signals *s);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Signals to incidents: one per actor, with a risk score, a life (create, update, close) and a story. All time is event
 * time. Threads: the engine's. */
#include "detect/detect.h"
#include "model/finding.h"
#include "persist/region.h"

struct sw_correlate_conf {
        enum sw_severity min_severity; /* of incidents that are written */
        int64_t update_ms;             /* coalescing of updates: 15 min */
        int64_t close_ms;              /* after the last signal: 24 h */
        uint32_t max_per_hour; /* new findings in an hour of event time; more are folded: budget.h. 0 = no limit */
};

struct sw_correlate;
int sw_correlate_new(const struct sw_correlate_conf *conf, const struct sw_detector_conf *detectors,
        uint64_t limit_bytes, const struct sw_hash_key *key, struct sw_correlate **ret);
struct sw_correlate *sw_correlate_free(struct sw_correlate *c);
void sw_correlate_set_conf(
        struct sw_correlate *c, const struct sw_correlate_conf *conf, const struct sw_detector_conf *detectors);

/* Takes one signal (copied). May emit. 0 or negative. */
int sw_correlate_signal(
        struct sw_correlate *c, struct sw_view *v, const struct sw_signal *s, sw_finding_sink emit, void *ctx);
/* Next instant at which something is due (held-back update, close); NONE if nothing is. */
struct sw_etime sw_correlate_next(const struct sw_correlate *c);
/* Does what is due at exactly `now` or before. */
int sw_correlate_advance(
        struct sw_correlate *c, struct sw_view *v, struct sw_etime now, sw_finding_sink emit, void *ctx);

struct sw_correlate_stats {
        uint64_t incidents_open, incidents_created, incidents_closed, incidents_merged, evicted, bytes;
        uint64_t folded; /* findings that the budget folded into a storm */
};
struct sw_correlate_stats sw_correlate_stats(const struct sw_correlate *c);

/* ---- snapshots ---- */
struct sw_region sw_correlate_region(struct sw_correlate *c);
/* Incidents, storms and counters. Detectors are told apart by their names; what one raised that is gone is left out. */
void sw_correlate_state(struct sw_correlate *c, struct sw_state_io *s);
/* After table and section were read. 0 | -SW_ERR_DATA. */
int sw_correlate_restored(struct sw_correlate *c);
/* No incidents any more; says nothing about them. Its table is the caller's to empty. */
void sw_correlate_forget(struct sw_correlate *c);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Inside of the engine, shared by engine.c (life), ingest.c (batches), release.c (watermark) and report.c. */
#include "aggregate/conns.h"
#include "aggregate/dedupe.h"
#include "aggregate/reorder.h"
#include "engine/engine.h"
#include "engine/hold.h"
#include "engine/plan.h"

#define SW_ENGINE_AHEAD 32u /* tuples whose memory is asked for together */

/* Stands for the newest time of a partition of which nothing is believed yet. */
#define SW_ENGINE_UNSURE ((struct sw_etime){ INT64_MIN + 1 })

struct sw_snapshot;

struct sw_engine {
        struct sw_core_conf conf;
        struct sw_hash_key seed;
        struct sw_snapshot *snapshot; /* under way; NULL */
        struct sw_segments *none;     /* stands in while no segments are configured */
        struct sw_world world;
        struct sw_view view; /* .now: event time of what is being folded; NONE before the first tuple */
        struct sw_conns *conns;
        struct sw_reorder reorder;
        struct sw_dedupe dedupe;
        struct sw_hold hold;
        struct sw_detect detect;
        struct sw_correlate *correlate;
        struct sw_etime correlate_next;
        int64_t next_minute; /* event time, ms */
        struct sw_conns_ahead ahead[SW_ENGINE_AHEAD];
        struct sw_ahead soon[SW_ENGINE_AHEAD]; /* the same for detectors */
        struct sw_signals signals;
        struct sw_engine_stats stats;
        uint32_t late_sensor; /* of stats.late_by_ms */
        struct sw_engine_tap tap;
        struct sw_etime *newest; /* believed, per partition; SW_ENGINE_UNSURE: heard, but nothing believed */
        uint32_t n_newest;
        struct sw_etime believed, released, wall; /* believed: newest of all partitions */
        uint32_t only_fold, n_folds;              /* sensors that were believed: the first, and 0, 1 or 2 (more) */
        bool cold;
        struct sw_actions *out; /* of the current step */
        struct sw_finding finding;
        struct sw_buf sentence;
        struct sw_etime signal_time; /* of the last signal line, */
        uint32_t signal_number;      /* and how many had that time */
        /* of the current batch */
        uint32_t *rule_ids;
        uint32_t n_rule_ids;
        uint32_t partition;
};

int sw__engine_ingest(struct sw_engine *e, const struct sw_batch *b, uint32_t partition, struct sw_etime carrier);
int sw__engine_release(struct sw_engine *e, struct sw_etime watermark);
/* The same without looking at held tuples; watermark is not before the last. */
int sw__engine_fold(struct sw_engine *e, struct sw_etime watermark);
/* Connection events arrive here; ctx is the engine. */
int sw__engine_event(void *ctx, const struct sw_conn_event *ev);
/* Tells the connections which events anybody wants; after every change of configuration. */
void sw__engine_want(struct sw_engine *e);
/* Writes and correlates what detectors appended to e->signals. */
int sw__engine_signals(struct sw_engine *e);
/* A tuple at its place: late list, or reorder buffer. */
int sw__engine_add(struct sw_engine *e, const struct sw_otuple *t);
/* A held tuple is believed; ctx is the engine. */
int sw__engine_believe(void *ctx, const struct sw_held *held);
/* Believes what is held no longer far ahead of believed time, nor of `reference`. */
int sw__engine_settle(struct sw_engine *e, struct sw_etime reference);
int sw__engine_finding(void *ctx, const struct sw_finding *f);

/* ---- engine_state.c: all that a snapshot holds ---- */
enum sw_group {
        SW_GROUP_TEXTS,    /* sensors and rules with their texts: ids of evidence */
        SW_GROUP_SEGMENTS, /* names, serials, learning clocks */
        SW_GROUP_HOSTS,
        SW_GROUP_BASELINE, /* each table for itself */
        SW_GROUP_SINGLE,   /* each table for itself */
        SW_GROUP_CONNS,
        SW_GROUP_REORDER,
        SW_GROUP_PRINTS,
        SW_GROUP_DETECT, /* each table for itself */
        SW_GROUP_INCIDENTS,
        SW_N_GROUPS
};
/* Every table, pool and text, in a fixed order; stops at the first that returns another value than 0, and returns it.
 */
typedef int (*sw_engine_each)(void *ctx, const struct sw_region *r, enum sw_group group);
int sw__engine_each(struct sw_engine *e, sw_engine_each each, void *ctx);
bool sw__engine_is_learned(enum sw_group group); /* whether learned state keeps it */

/* What stands beside them: one section each. */
struct sw_engine_part {
        const char *name;
        uint32_t version;
        enum sw_group group; /* lost with it; SW_N_GROUPS: nothing can be read without it */
        bool learned;        /* learned state has it too */
        void (*state)(struct sw_engine *e, struct sw_state_io *s);
};
extern const struct sw_engine_part sw__engine_parts[];
extern const unsigned sw__engine_n_parts;

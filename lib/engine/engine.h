/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The only door to the core: events in, actions out. Same events, same bytes. No clock, no file, no thread inside;
 * the live service, replay, tests and fuzzers all come through here. Threads: one owner. */
#include "detect/correlate.h"
#include "detect/detect.h"
#include "detect/suppress.h"
#include "model/flow.h"
#include "model/lines.h"

#define SW_MAX_PARTITIONS 65536

struct sw_core_conf {
        int64_t reorder_ms, lateness_ms, dedupe_ms; /* time.* */
        int64_t future_ms; /* clamp: a tuple later than its carrier by more than this (5 min) */
        int64_t ahead_ms;  /* hold: an event time ahead of the watermark by more than this (1 h) */
        int64_t learning_ms;
        int64_t tcp_idle_ms, udp_idle_ms; /* connection close without an end: 10 min, 2 min */
        uint64_t memory_limit_bytes;
        struct sw_correlate_conf incidents;
        struct sw_detector_conf detectors[SW_N_DETECTORS];
        const struct sw_suppressions *suppressions; /* NULL: none; outlives the engine or the next CONFIG */
        const struct sw_segments *segments;         /* NULL: none configured; outlives the engine or the next CONFIG */
        const char *version;                        /* of the program, for metadata */
        bool write_signals;                         /* whether actions carry lines for signals.jsonl */
};
/* Defaults: all detectors in mode signal with default thresholds. */
void sw_core_conf_default(struct sw_core_conf *conf);

enum sw_event_type {
        SW_EVENT_BATCH,   /* one decoded message or piece */
        SW_EVENT_RELEASE, /* fold everything up to a watermark */
        SW_EVENT_CONFIG,  /* between two releases */
};

struct sw_event {
        enum sw_event_type type;
        union {
                struct {
                        const struct sw_batch *batch; /* read, not kept */
                        uint32_t partition;           /* < SW_MAX_PARTITIONS, the daemon's numbering */
                        struct sw_etime carrier;      /* Kafka time stamp; NONE: the record's own time */
                } batch;
                struct {
                        struct sw_etime watermark;
                        struct sw_etime wall; /* NONE in replay: logged_time is then the deciding event time */
                        bool cold;            /* lines more than 1 h older than wall are marked historic */
                } release;
                const struct sw_core_conf *conf;
        };
};

struct sw_actions {
        struct sw_lines findings;   /* alert file */
        struct sw_lines signals;    /* signals.jsonl */
        struct sw_lines suppressed; /* suppressed.jsonl */
        bool forced;                /* the reorder buffer was full and released early */
};
void sw_actions_reset(struct sw_actions *a);
void sw_actions_deinit(struct sw_actions *a);

struct sw_engine;
int sw_engine_new(
        const struct sw_core_conf *conf, const struct sw_hash_key *seed, struct sw_engine **ret, struct sw_err *reterr);
struct sw_engine *sw_engine_free(struct sw_engine *e);

struct sw_hash_key sw_engine_seed(const struct sw_engine *e); /* a loaded engine has the snapshot's */

/* Appends to *ret_do (reset by the caller). 0 or negative: the engine must not be used again. */
int sw_engine_step(struct sw_engine *e, const struct sw_event *ev, struct sw_actions *ret_do);

/* Sees every connection event before the detectors, and every signal before correlation: for tests and explanations.
 * Functions may be NULL; they return 0 or negative (stops the step). */
struct sw_engine_tap {
        int (*on_event)(void *ctx, const struct sw_view *v, const struct sw_conn_event *ev);
        int (*on_signal)(void *ctx, const struct sw_view *v, const struct sw_signal *s);
        void *ctx;
};
void sw_engine_set_tap(struct sw_engine *e, const struct sw_engine_tap *tap);

/* Newest believed event time of a partition (held times do not count); NONE if it never had a record. Before anything
 * is believed it is provisional and may be taken back: where time would start if nothing else came. */
struct sw_etime sw_engine_newest(const struct sw_engine *e, uint32_t partition);
struct sw_etime sw_engine_watermark(const struct sw_engine *e); /* last released; NONE before the first */
/* An engine that was loaded from learned state tells and learns nothing of tuples up to there; NONE for others. */
struct sw_etime sw_engine_learned_until(const struct sw_engine *e);
/* What waits for a release takes more than half of its memory: release soon, if the watermark allows. */
bool sw_engine_is_pressed(const struct sw_engine *e);

/* What the daemon knows of a partition. */
struct sw_partition_fact {
        struct sw_etime newest; /* sw_engine_newest, or the head of a file not opened yet; NONE: never had a record */
        bool at_end, left_behind;
};
/* The watermark these facts allow; NONE if none can be given yet. `final`: end of a replay or idle: moves up to the
 * newest event time of all. Pure. */
struct sw_etime sw_watermark(const struct sw_partition_fact *facts, uint32_t n, int64_t reorder_ms, bool final);

/* Everything `--summary` and statistics print that the engine knows. */
struct sw_engine_stats {
        struct sw_decode_stats decode; /* summed over batches */
        uint64_t records, records_duplicate, records_old;
        uint64_t tuples, tuples_begin, tuples_continue, tuples_end, tuples_denied, tuples_stateless;
        uint64_t totals[SW_N_COUNTERS];
        uint64_t tuples_late, tuples_too_late, tuples_clamped, tuples_held, connections, edges, hosts;
        uint64_t connections_reversed, signals, suppressed, findings, evicted, reorder_forced, reorder_tuples;
        uint64_t findings_folded;       /* by the budget of the hour */
        uint64_t bytes;                 /* of all tables */
        uint64_t reasons[SW_N_REASONS]; /* of kept decode errors */
        int64_t late_by_ms;             /* how far behind the watermark the latest tuple was that is folded late */
        char late_flow_log[128];        /* who wrote it; cut if longer */
};
struct sw_engine_stats sw_engine_stats(const struct sw_engine *e);

/* Segments that are still learning: calls back once per segment. */
void sw_engine_learning(
        const struct sw_engine *e, void (*each)(void *ctx, const char *segment, struct sw_etime until), void *ctx);
/* Segment pair totals for summaries and reports, in (from, to) name order is the caller's business. */
struct sw_pair_info {
        const char *from, *to;
        uint64_t flows_allowed, flows_denied;
        uint64_t totals[SW_N_COUNTERS];
        uint32_t n_sources, n_destinations; /* distinct hosts, exact to 64, then estimated */
};
void sw_engine_pairs(const struct sw_engine *e, void (*each)(void *ctx, const struct sw_pair_info *p), void *ctx);
/* One row per table, for statistics: name, entries, bytes, evictions. */
struct sw_table_info {
        const char *name;
        uint64_t entries, bytes, limit_bytes, evicted;
};
void sw_engine_tables(const struct sw_engine *e, void (*each)(void *ctx, const struct sw_table_info *t), void *ctx);

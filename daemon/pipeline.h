/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* From bytes to actions, the same for `run`, `replay` and `demo`:
 *
 *   caller ── submit ──> queue ──> N decode workers ──> ordered by number ──> engine thread ──> hooks
 *
 * Items are numbered in the order of submission and the engine takes them in that order, whichever worker ends first.
 * The engine thread asks sw_watermark() after each item and releases: in replay after each whole second of watermark
 * advance, in run at most every release_ms, more often while much is caught up on. Hooks are called on the engine
 * thread and may wait for a disk. Threads: submit, fact and finish from one thread (the reader or the loop); resume and
 * stats from any.
 *
 * Each release of `run` is a row: how far every partition was consumed when it was made, and what it was given. Whoever
 * consumes the same again, row by row (sw_pipeline_repeat), has the same engine again. */
#include "beat.h"
#include "decode/decoder.h"
#include "engine/engine.h"
#include "flow_logs.h"

struct sw_pipeline_conf {
        const struct sw_core_conf *core;
        struct sw_decoder_conf decoder;
        struct sw_hash_key seed;
        unsigned n_workers;     /* at least 1 */
        size_t queue_max_bytes; /* of undelivered input, default 64 MiB */
        uint32_t queue_max_items;
        int64_t release_ms;       /* 0 = replay rule */
        bool wall_time;           /* run: logged_time is wall time */
        bool cold;                /* run: no state was there; ends by itself when the watermark comes near the clock */
        struct sw_engine *engine; /* taken over, also on failure: as it was saved; NULL: a new one */
        bool repeat;              /* releases nothing by itself before sw_pipeline_live */
};

/* How far a partition was consumed. */
struct sw_consumed {
        int64_t next;          /* Kafka offset, or byte of the file; -1: it was never started */
        uint64_t inode;        /* of the file; 0 for Kafka */
        struct sw_etime stamp; /* carrier of the last message; NONE: none, or it has none */
        uint64_t hash;         /* of its bytes (sw_checksum); 0: none */
};
#define SW_CONSUMED_NONE ((struct sw_consumed){ .next = -1, .stamp = SW_ETIME_NONE })

/* What a release was made of. */
struct sw_pipeline_row {
        uint64_t number; /* of a row that is repeated; 0: a new one */
        struct sw_etime watermark, wall;
        bool cold;
        const struct sw_consumed *consumed; /* by partition; of a new one */
        uint32_t n_consumed;
};

/* One message or piece. */
struct sw_input {
        uint32_t partition; /* sw_pipeline_add_partition */
        unsigned flags;     /* SW_DECODE_* */
        struct sw_str bytes;
        int64_t offset;            /* Kafka offset, or byte offset in the file */
        int64_t next;              /* the offset after it: where to resume once all of it is released; 0 = offset + 1 */
        uint64_t inode;            /* of a file: which, and */
        int64_t place;             /* the byte of it that follows; unused if inode is 0 */
        uint64_t base;             /* offset of bytes[0] for error messages: 0 for Kafka, the byte offset for files */
        struct sw_etime carrier;   /* Kafka time stamp, else NONE */
        void (*done)(void *owner); /* frees the bytes once they are no longer needed; any thread */
        void *owner;
};

struct sw_pipeline_hooks {
        void *ctx;
        /* After each release with content. 0 or negative: the pipeline stops and finish returns it. */
        int (*on_actions)(void *ctx, const struct sw_actions *a);
        /* For each batch that has errors, before it is folded: quarantine. `raw` is the message's bytes. */
        void (*on_errors)(void *ctx, uint32_t partition, int64_t offset, const struct sw_batch *b);
        /* The queue has room again after submit refused. Any thread; keep it short (uv_async_send). May be NULL. */
        void (*on_room)(void *ctx);
        /* After each release, when its actions were delivered. The engine is between two steps. 0 or negative. May be
         * NULL. */
        int (*on_release)(void *ctx, struct sw_engine *e, const struct sw_pipeline_row *row);
        /* Between two items, and at least every release_ms. SW_PIPELINE_x or negative. May be NULL. */
        int (*on_turn)(void *ctx, struct sw_engine *e);
        /* The configuration is in force; the one before it is not used any more. May be NULL. */
        void (*on_config)(void *ctx, const struct sw_core_conf *core);
};

/* What on_turn wants. */
enum { SW_PIPELINE_GO_ON, SW_PIPELINE_ROW /* a row now, at the watermark where it stands; not while repeating */ };

struct sw_pipeline;
int sw_pipeline_new(const struct sw_pipeline_conf *conf, const struct sw_pipeline_hooks *hooks,
        struct sw_pipeline **ret, struct sw_err *reterr);
/* Stops all threads; the engine is the caller's to end snapshots of. Only sw_pipeline_free may follow. */
void sw_pipeline_stop(struct sw_pipeline *p);
/* Stops without releasing what is buffered; joins all threads; frees all. NULL-safe, returns NULL. */
struct sw_pipeline *sw_pipeline_free(struct sw_pipeline *p);

/* Numbers from 0. -SW_ERR_LIMIT beyond SW_MAX_PARTITIONS. */
int sw_pipeline_add_partition(struct sw_pipeline *p, uint32_t *ret);

enum { SW_PIPELINE_OK, SW_PIPELINE_FULL /* not taken; on_room will be called */ };
/* Takes the bytes with 0. wait: block until there is room instead of returning FULL. Negative: it has failed. */
int sw_pipeline_submit(struct sw_pipeline *p, const struct sw_input *in, bool wait);

/* What the caller knows of a partition, from this point of the order on. head: lower bound of what it will bring next
 * (files); NONE = not known. */
struct sw_fact {
        struct sw_etime head;
        bool at_end, left_behind;
};
int sw_pipeline_fact(struct sw_pipeline *p, uint32_t partition, const struct sw_fact *f);
/* Reading starts (again) there. */
int sw_pipeline_start(struct sw_pipeline *p, uint32_t partition, const struct sw_consumed *c);
/* Releases as the row says, once everything before is folded. SW_PIPELINE_FULL: not taken, on_room will be called. */
int sw_pipeline_repeat(struct sw_pipeline *p, const struct sw_pipeline_row *row);
/* Everything is repeated: from here on it releases by itself. */
int sw_pipeline_live(struct sw_pipeline *p);
/* Nothing came for time.idle: move up to the newest event time. */
int sw_pipeline_idle(struct sw_pipeline *p);
/* New configuration, between two releases: a row ends what came before. `core` must outlive the next one, until
 * on_config told that (or the pipeline). */
int sw_pipeline_reconfigure(struct sw_pipeline *p, const struct sw_core_conf *core);
/* Wakes the engine thread so that release_ms is kept when nothing arrives. Negative: it has failed. */
int sw_pipeline_tick(struct sw_pipeline *p);

/* Waits until everything submitted is folded; final: releases up to the newest event time (end of a replay). Returns
 * the first failure of the engine or of a hook, or 0. The pipeline can be used further. */
int sw_pipeline_finish(struct sw_pipeline *p, bool final, struct sw_err *reterr);

/* Where to resume a partition: the lowest offset with an unreleased tuple, else the one after the last taken;
 * -1 = nothing taken yet. */
int64_t sw_pipeline_resume_offset(struct sw_pipeline *p, uint32_t partition);

/* Where the newest item of a partition that was folded leaves off. */
struct sw_consumed sw_pipeline_consumed(struct sw_pipeline *p, uint32_t partition);

struct sw_pipeline_progress {
        struct sw_engine_stats engine;     /* as of the last release or item */
        struct sw_etime watermark, newest; /* newest over all partitions */
        uint64_t bytes_taken, items_taken, releases;
};
void sw_pipeline_progress(struct sw_pipeline *p, struct sw_pipeline_progress *ret);
/* Newest event time and number of records taken of one partition. */
void sw_pipeline_partition(
        struct sw_pipeline *p, uint32_t partition, struct sw_etime *ret_newest, uint64_t *ret_records);

/* What the engine knows of itself, about a second old at most; not in a replay. Names are cut. */
#define SW_PIPELINE_TABLES 64
#define SW_PIPELINE_LEARNING 64
#define SW_PIPELINE_PAIRS 32
#define SW_PIPELINE_SILENT 16
#define SW_PIPELINE_NAME 64
struct sw_pipeline_sight {
        struct sw_pipeline_table {
                char name[32];
                uint64_t entries, bytes, limit_bytes, evicted;
        } tables[SW_PIPELINE_TABLES];
        uint32_t n_tables;
        struct sw_pipeline_learning {
                char segment[SW_PIPELINE_NAME];
                struct sw_etime until;
        } learning[SW_PIPELINE_LEARNING]; /* the first of n_learning */
        uint32_t n_learning;
        struct sw_etime learning_until; /* of the last one; NONE: nobody learns */
        struct sw_pipeline_pair {
                char from[SW_PIPELINE_NAME], to[SW_PIPELINE_NAME];
                uint64_t flows_allowed, flows_denied, bytes;
                uint32_t n_sources, n_destinations;
        } pairs[SW_PIPELINE_PAIRS]; /* those with most flows, of n_pairs */
        uint32_t n_pairs;
        struct sw_pipeline_silent {
                char flow_log[SW_FLOW_LOG_NAME];
                struct sw_etime last, since; /* last record; from when on it counts as silent */
        } silent[SW_PIPELINE_SILENT];        /* the latest of n_silent, latest first */
        uint32_t n_silent, n_flow_logs;
};
void sw_pipeline_look(struct sw_pipeline *p, struct sw_pipeline_sight *ret);
/* Pulses of its threads: 0 the engine, then the workers; NULL beyond. */
const struct sw_beat *sw_pipeline_beat(const struct sw_pipeline *p, unsigned i);

/* After finish, from the caller's thread: for summaries. */
const struct sw_engine *sw_pipeline_engine(const struct sw_pipeline *p);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Shared by pipeline.c (the caller's side), pipeline_decode.c (workers) and pipeline_fold.c (engine thread).
 *
 * One ring of items carries everything in the order of submission. An item moves through three hands:
 *
 *   tail   the caller puts it there                         (submit, fact, start, repeat, idle, reconfigure, finish)
 *   taken  a worker decodes it into a batch of the pool     (inputs only; the others need no decoding)
 *   head   the engine thread folds it once it is ready, and frees the slot
 *
 * A worker takes a batch before it takes an item, and items are taken in order, so the oldest item always has a batch
 * and the ring cannot lock up. Bytes and slots are bounded; batches are few, so memory does not depend on the input. */
#include "pipeline.h"

#include <pthread.h>

enum sw_item_type { ITEM_INPUT, ITEM_FACT, ITEM_START, ITEM_ROW, ITEM_LIVE, ITEM_IDLE, ITEM_CONFIG, ITEM_FINISH };

struct sw_item {
        enum sw_item_type type;
        bool ready;
        uint32_t partition;
        struct sw_input input;
        struct sw_batch *batch;
        uint64_t hash; /* of the input's bytes */
        union {
                struct sw_fact fact;
                struct sw_consumed start;
                struct sw_pipeline_row row;
                const struct sw_core_conf *core;
                bool final;
        };
};

/* An offset that must not be passed before the watermark reaches `until`. */
struct sw_offset_mark {
        int64_t offset;
        struct sw_etime until;
};

struct sw_pipeline_part {
        struct sw_fact fact;
        struct sw_offset_mark *marks; /* `until` strictly increasing: a later offset with an earlier time is covered */
        uint32_t n_marks, cap_marks;
        int64_t next_offset; /* after the newest taken; -1 = none */
        struct sw_consumed consumed;
        struct sw_etime newest;
        uint64_t n_records;
};

struct sw_pipeline {
        struct sw_pipeline_conf conf;
        struct sw_pipeline_hooks hooks;
        pthread_t *workers, engine_thread;
        unsigned n_workers_started;
        bool engine_started;
        struct sw_engine *engine; /* engine thread only, except between finish and the next submit */
        struct sw_actions actions;

        pthread_mutex_t lock;
        pthread_cond_t work, ready, room;
        /* under lock */
        struct sw_item *ring;
        uint32_t n_slots;
        uint64_t head, taken, tail; /* running numbers; slot = number % n_slots */
        size_t queued_bytes;
        struct sw_batch **free_batches;
        unsigned n_free_batches, n_batches;
        struct sw_batch **all_batches;
        bool stop, refused, finished;
        int failed;
        struct sw_err failure;
        struct sw_pipeline_part *partitions;
        uint32_t n_partitions, cap_partitions;
        struct sw_pipeline_progress progress;
        struct sw_pipeline_sight sight;
        unsigned n_beats; /* taken by their workers */

        struct sw_beat *beats; /* engine, then workers */

        /* engine thread only */
        struct sw_pipeline_sight sight_next;
        int64_t sight_next_ns;
        struct sw_flow_logs flow_logs;
        struct sw_partition_fact *facts;
        uint32_t cap_facts;
        struct sw_etime released;
        int64_t released_ns, progress_ns;
        bool pending; /* something was taken since the last release */
        bool repeating, cold;
        bool start_moved;             /* a partition begins elsewhere than the last row says */
        struct sw_consumed *consumed; /* as a row wants it */
        uint32_t cap_consumed;
};

static inline struct sw_item *sw__pipeline_slot(struct sw_pipeline *p, uint64_t number)
{
        return &p->ring[number % p->n_slots];
}

/* Keeps the first failure; everything after it only drains. Called with the lock. */
void sw__pipeline_fail(struct sw_pipeline *p, int code, const char *what);

void sw__pipeline_look(struct sw_pipeline *p);  /* pipeline_sight.c; engine thread, without the lock */
void *sw__pipeline_worker_main(void *pipeline); /* pipeline_decode.c */
void *sw__pipeline_engine_main(void *pipeline); /* pipeline_fold.c */

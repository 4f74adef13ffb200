/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What makes the daemon's work durable (ARCHITECTURE.md 6), shared by
 *   daemon_keeper.c    rows: what each release was made of goes to the outbox with its findings (engine thread)
 *   daemon_snapshot.c  the engine between two releases, written by a thread of its own
 *   daemon_restore.c   start: newest valid snapshot, what the outbox knows after it
 *   daemon_repeat.c    the rows after the snapshot, consumed and released again (loop) */
#include "daemon_int.h"
#include "engine/snapshot.h"
#include "state/cover.h"
#include "state/outbox.h"
#include "state/snapshots.h"

/* A release that is repeated. */
struct sw__keeper_row {
        uint64_t number;
        struct sw_etime watermark, wall;
        bool cold;
        char conf[SW_OUTBOX_HASH];
        struct sw_consumed *places; /* by partition; next < 0: it did not know that partition */
        uint32_t n_places;
        char (*uids)[33]; /* of its findings */
        uint32_t n_uids;
};

enum sw__keeper_stage {
        SW__KEEPER_IDLE,
        SW__KEEPER_READING, /* the thread pulls the engine's bytes */
        SW__KEEPER_READ     /* the engine may end the snapshot; the thread goes on with the file */
};

struct sw__keeper {
        struct sw_daemon *daemon;
        struct sw_snapshots *files; /* before the thread starts the main thread's, then the thread's */

        /* rows: engine thread */
        uint64_t last_row;
        atomic_uint_fast64_t row; /* last_row, for others */
        char conf_hash[SW_OUTBOX_HASH];
        struct sw_lines pending; /* findings since the last row */
        struct sw_outbox_offset *offsets;
        uint32_t cap_offsets;
        uint64_t items_at_row;

        /* snapshots */
        pthread_t thread;
        bool thread_runs;
        pthread_mutex_t lock;
        pthread_cond_t wake;
        atomic_bool give_up; /* the thread drops what it writes */
        _Atomic(enum sw__keeper_stage) stage;
        bool working, quit; /* under lock: a snapshot is on its way until `working` is false again */
        struct sw_snapshot *snapshot;
        uint64_t number; /* of the snapshot on its way */
        atomic_bool wanted;
        int64_t due_ms, began_ms; /* monotonic; loop, engine */
        atomic_uint_fast64_t n_written, n_failed, last_number, last_bytes, last_took_ms;
        atomic_int_fast64_t last_wall_ms; /* when it was published; 0: none since the start */
        atomic_uint n_failed_in_a_row;
        uint64_t committed_told; /* number of the snapshot that Kafka was told of */
        int64_t failed_told_ms;
        struct sw_watch *published;

        /* start */
        struct sw_cover cover;    /* of the snapshot that was loaded, or of what stands for it */
        struct sw_engine *engine; /* until the pipeline has it */
        struct sw__daemon_conf *engine_conf;
        bool cold;

        /* repeating: the loop's, but the rows are read by the engine thread as well */
        bool repeating;
        struct sw__keeper_row *rows;
        uint32_t n_rows, cap_rows, at_row;
        struct sw_consumed *places; /* by partition: where the row before the one that is repeated left off */
        bool *lost;                 /* by partition: what the rows point into is gone */
        uint32_t n_places;
        bool prepared, stepping, repeat_told;
        uint64_t repeat_submitted;
        int64_t repeat_began_ms, repeat_moved_ms, repeat_took_ms;
        atomic_uint_fast32_t n_repeated;
        atomic_uint_fast64_t n_compared, n_mismatches; /* engine thread; rows' findings */
};

/* daemon_restore.c */
int sw__keeper_open(struct sw_daemon *d, struct sw_err *reterr); /* after the outbox, before the pipeline */
/* After the pipeline was made: registers the partitions that were known, with their places. */
int sw__keeper_restore(struct sw_daemon *d, struct sw_err *reterr);
void sw__keeper_close(struct sw_daemon *d); /* after the pipeline was freed */
/* A configuration that a row or a snapshot names; NULL: its text is not there or not valid any more. */
struct sw__daemon_conf *sw__keeper_conf(struct sw_daemon *d, const char *hash);

/* daemon_keeper.c: hooks of the pipeline, engine thread */
int sw__keeper_on_findings(struct sw_daemon *d, const struct sw_lines *findings);
int sw__keeper_on_release(void *daemon, struct sw_engine *e, const struct sw_pipeline_row *row);
int sw__keeper_on_turn(void *daemon, struct sw_engine *e);
void sw__keeper_on_config(void *daemon, const struct sw_core_conf *core);

/* daemon_snapshot.c */
int sw__keeper_start_thread(struct sw_daemon *d, struct sw_err *reterr);
void sw__keeper_stop_thread(struct sw_daemon *d); /* gives up what is under way */
/* Engine thread, right after a release: takes one if it is wanted. */
void sw__keeper_begin(struct sw_daemon *d, struct sw_engine *e, const struct sw_outbox_release *r);
void sw__keeper_end(struct sw_daemon *d); /* engine thread, or after it ended */
void sw__keeper_watch(void *daemon);      /* loop, often: is one due, did the last ones fail */
/* Loop: one soon, whether it is due or not. 0 | -SW_ERR_UNAVAIL with the reason. */
int sw__keeper_ask(struct sw_daemon *d, struct sw_err *reterr);
/* Before the pipeline is finished: one more, if it can be written in time. */
void sw__keeper_want_last(struct sw_daemon *d);
void sw__keeper_wait_last(struct sw_daemon *d);

/* daemon_repeat.c: loop */
void sw__keeper_repeat(struct sw_daemon *d); /* often */
/* How far a source may deliver this partition now. */
int64_t sw__keeper_until(const struct sw_daemon *d, uint32_t id);
void sw__keeper_lost(struct sw_daemon *d, uint32_t id);
/* Up to where it was read before this process began, as far as releases tell; -1: nothing is repeated. */
int64_t sw__keeper_seen(const struct sw_daemon *d, uint32_t id);
/* "repeating release 12 of 40"; false: nothing is repeated. */
bool sw__keeper_repeat_text(const struct sw_daemon *d, struct sw_buf *out);

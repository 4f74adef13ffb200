/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Shared by the files of the daemon:
 *   daemon.c         start, signals, reload, stop
 *   daemon_input.c   sources to pipeline: partitions, facts, alignment, offsets
 *   daemon_output.c  pipeline to files: findings, signals, quarantine
 *   daemon_outputs.c outbox to remote sinks
 *   daemon_health.c  statistics, what is wrong, systemd
 *   daemon_sight.c   one look at everything, for status, metrics and readiness
 *   daemon_status.c  that look as JSON
 *   daemon_admin.c   the control socket and the HTTP port
 *   daemon_keeper.h  and its files: rows, snapshots, recovery
 * Threads: the loop's, unless a function says otherwise. */
#include "beat.h"
#include "behind.h"
#include "clock.h"
#include "conf.h"
#include "daemon.h"
#include "log.h"
#include "loop.h"
#include "outputs.h"
#include "pipeline.h"
#include "quarantine.h"
#include "sink/alert_export.h"
#include "sink/sink_file.h"
#include "source/source_kafka.h"
#include "source/source_tail.h"
#include "state/offsets.h"
#include "state/outbox_writer.h"
#include "state/state_dir.h"

#include <pthread.h>

struct sw_daemon;
struct sw__daemon_admin; /* daemon_admin.c */

/* What was written, by what operators count it by. Any thread. */
#define SW__DAEMON_RULES (SW_N_DETECTORS + 2) /* detectors, incident, health */
#define SW__DAEMON_LATENCIES 9
#define SW__DAEMON_RECENT 16u
struct sw__daemon_recent {
        struct sw_etime logged;
        uint8_t severity, activity;
        char rule[32], uid[33], message[256]; /* cut */
};
#define SW__DAEMON_SUPPRESSIONS 64u
struct sw__daemon_suppressed {
        char id[64]; /* cut if longer; "" of those that have no place of their own */
        uint64_t n;
};
struct sw__daemon_tally {
        pthread_mutex_t lock;                                                 /* of what follows */
        struct sw__daemon_suppressed suppressed[SW__DAEMON_SUPPRESSIONS + 1]; /* the last of all others */
        unsigned n_suppressed;
        struct sw__daemon_recent recent[SW__DAEMON_RECENT];
        uint64_t n_recent; /* ever; the newest is at (n_recent - 1) % SW__DAEMON_RECENT */
        /* without the lock */
        atomic_uint_fast64_t findings[SW__DAEMON_RULES][SW_SEVERITY_CRITICAL + 1][SW_ACTIVITY_CLOSE + 1];
        atomic_uint_fast64_t latency[SW__DAEMON_LATENCIES + 1]; /* by sw__tally_bounds_ms, then beyond */
        atomic_int_fast64_t latency_sum_ms;
};
extern const int64_t sw__tally_bounds_ms[SW__DAEMON_LATENCIES];

/* Losses of sight (daemon_loss.c), as they were last told. */
enum sw__daemon_loss_kind {
        SW__LOSS_LATE,
        SW__LOSS_FORCED,
        SW__LOSS_QUARANTINE,
        SW__LOSS_UNPARSED,
        SW__LOSS_TOO_LATE,
        SW__LOSS_OLD,
        SW__LOSS_CLOCK,
        SW__LOSS_PRESSURE,
        SW__LOSS_SILENT,
        SW__LOSS_N
};
struct sw__daemon_loss {
        int64_t told_ms; /* monotonic; 0: never */
        int64_t from_ms; /* since when it is counted */
        uint64_t lost_told, of_told;
};

/* What a source had brought at a time, for rates. */
#define SW__DAEMON_SAMPLES 31u /* seconds */
struct sw__daemon_sample {
        int64_t at_ms; /* monotonic; 0: none */
        uint64_t messages, records;
        int64_t lag;
};

struct sw__daemon_source {
        struct sw_daemon *daemon;
        uint32_t index;
        const struct sw_conf_source *conf; /* of the configuration it was started with */
        struct sw_source_kafka *kafka;     /* one of the two */
        struct sw_source_tail *tail;
        /* what the statistics saw last */
        uint64_t last_messages, last_records, quiet_records;
        int64_t quiet_since_ms; /* monotonic: no new flow record since */
        struct sw_wall last_record;
        struct sw_etime asked_front; /* the fastest front when it was last asked where the partitions end */
        bool quiet_told;
        struct sw__daemon_sample samples[SW__DAEMON_SAMPLES];
        unsigned n_samples; /* ever; the newest is at (n_samples - 1) % SW__DAEMON_SAMPLES */
};

/* Space of the file systems that are written to; looked at on a thread of the pool. */
struct sw__daemon_disk {
        bool looking;
        bool known;
        uint64_t state_free, state_size, alerts_free, alerts_size;
};

/* How the last attempt to read the configuration went. */
struct sw__daemon_reloads {
        bool failed;
        uint32_t n_errors;
        uint64_t n;
        struct sw_wall at, ok_at;   /* of the last attempt, and of the last that worked */
        struct sw_buf need_restart; /* options whose change waits for a restart, with a NUL; empty before a reload */
        uint64_t n_trimmed;         /* n when the allocator last gave back what reading them took */
};

#define SW__DAEMON_NO_SOURCE UINT32_MAX

/* One partition; its number in the pipeline is its index. */
struct sw__daemon_part {
        uint32_t source; /* SW__DAEMON_NO_SOURCE: of a former configuration */
        int32_t number;
        char *source_name, *topic; /* topic: path of a file */
        int64_t start;             /* where reading started; -1: not yet */
        struct sw_consumed at;     /* where it was left off when this process began */
        bool at_end, left_behind;
        bool asked;                 /* its end was asked for: `end` says when */
        struct sw_etime end;        /* the fastest front then; NONE: nobody had one */
        bool unheard;               /* it has messages, but none of them came yet: it holds the watermark down */
        struct sw_etime front;      /* what it brings next begins here; NONE: nothing came yet */
        struct sw_etime head;       /* front as last told to the pipeline */
        struct sw_behind behind;    /* the fastest */
        atomic_uint_fast64_t n_bad; /* messages of which nothing was used; engine thread */
};

/* A configuration that something may still point into. */
struct sw__daemon_conf {
        struct sw_conf conf;
        struct sw_core_conf core;
        char hash[33]; /* of its text: what `check --dump` prints */
        struct sw_buf text;
        uint64_t sequence; /* of the last time it was given to the engine */
        struct sw__daemon_conf *next;
};

struct sw_daemon {
        struct sw_daemon_options options;
        struct sw__daemon_conf *conf;       /* newest */
        struct sw__daemon_conf *boot;       /* the sources were started with it */
        struct sw__daemon_conf *confs;      /* all of them */
        uint64_t conf_sequence;             /* of the newest that was given to the engine */
        atomic_uint_fast64_t conf_in_force; /* of the one the engine has */
        struct sw__keeper *keeper;
        char instance[33]; /* names state.dir */
        struct sw_log *log;
        struct sw_loop *loop;
        struct sw_state_dir *state;
        struct sw_outbox *outbox;
        struct sw_outbox_writer *writer;
        struct sw_alert_export *alerts;
        struct sw_sink_file *signals, *suppressed, *quarantine, *rejected;
        struct sw_outputs *outputs;
        struct sw_watch *outputs_wake; /* NULL: nobody to wake */
        pthread_mutex_t outputs_lock;  /* of outputs_wake */
        struct sw__daemon_output_told {
                bool outage, known;
                uint64_t given_up, rejected;
                int64_t given_up_ms, rejected_ms; /* monotonic */
        } outputs_told[SW_CONF_MAX_OUTPUTS];
        atomic_int output_failed; /* negative: nothing is committed or written any more */
        struct sw_pipeline *pipeline;
        atomic_bool stop; /* set by the thread that waits for SIGTERM, or when the loop has ended */
        pthread_t stop_thread;
        bool stop_thread_runs;
        struct sw_watch *stop_asked;
        int exit_code;

        struct sw__daemon_source *sources;
        uint32_t n_sources;
        pthread_mutex_t parts_lock; /* the array grows on the loop and is read by the engine thread */
        struct sw__daemon_part **parts;
        uint32_t n_parts, cap_parts;
        struct sw_watch *room;
        uint64_t n_submitted;
        int64_t last_input_ms; /* monotonic */
        bool idle_told;

        struct sw_offsets offsets; /* of a version that kept them in a file of their own */
        struct sw_buf bad_lines;   /* engine thread, as are the next two */
        struct sw_quarantine_budget keep_budget;
        uint64_t keep_bytes; /* quarantine.message_max */
        atomic_uint_fast64_t n_findings, n_quarantined;
        struct sw__daemon_tally tally;
        struct sw__daemon_loss losses[SW__LOSS_N];
        struct sw_etime expiries_told; /* suppressions that ended up to there were told; valid if expiries_known */
        bool expiries_known;
        uint64_t evicted_told[SW_PIPELINE_TABLES];
        bool learning_told;
        int64_t progress_told_ms; /* of recovery or catching up */
        int64_t stats_at_ms, watchdog_ms;
        uint64_t watchdog_taken, last_tuples;
        int64_t watchdog_moved_ms;

        struct sw_sink_file *stats_file; /* NULL: not wanted */
        struct sw_buf stats_line;        /* being written by a thread of the pool while stats_writing */
        bool stats_writing;
        struct sw__daemon_admin *admin;
        bool paused;                        /* sources deliver nothing; see sw__daemon_pause */
        struct sw_mono started, stop_began; /* 0: it has not */
        struct sw_wall started_wall;
        struct sw__daemon_reloads reloads;
        int64_t trimmed_ms;                     /* monotonic: when the allocator last gave back what it had kept */
        struct sw__daemon_disk disk, disk_next; /* next: written by the pool's thread while looking */
        uint64_t findings_at[60];               /* n_findings, once a minute */
        unsigned n_findings_at;
        int64_t findings_at_ms;
        const struct sw_beat *beats[16]; /* threads beside the pipeline's, see sw__daemon_add_beat */
        unsigned n_beats;
};

/* daemon.c */
/* The one way to a new configuration, for SIGHUP and ctl. *report is filled in every case. 0 or negative: the old one
 * stays. */
int sw__daemon_reload(struct sw_daemon *d, struct sw_conf_report *report);
void sw__daemon_reopen(struct sw_daemon *d);
/* Gives a configuration to the engine, in its turn. */
int sw__daemon_configure(struct sw_daemon *d, struct sw__daemon_conf *c);
/* Loads from `text`, or if that is NULL from the file, and keeps it among d->confs. On an error *ret is not set. */
int sw__daemon_load_conf(
        struct sw_daemon *d, const struct sw_str *text, struct sw__daemon_conf **ret, struct sw_conf_report *report);

/* daemon_input.c */
int sw__daemon_open_sources(struct sw_daemon *d, struct sw_err *reterr);
void sw__daemon_source_stats(const struct sw__daemon_source *s, struct sw_source_stats *ret);
void sw__daemon_room(void *daemon);
/* While paused the sources go on polling, and keep what they fetched; event time stands still. */
void sw__daemon_pause(struct sw_daemon *d, bool paused);
void sw__daemon_align(void *daemon); /* often: who waits for whom, idle */
/* The partition of these names, made if need be. 0 | -SW_ERR_NOMEM | -SW_ERR_LIMIT. */
int sw__daemon_part(struct sw_daemon *d, const char *source, const char *topic, int32_t number, uint32_t *ret_id);
/* It was left off there. */
int sw__daemon_place(struct sw_daemon *d, uint32_t id, const struct sw_consumed *c);
int sw__daemon_load_offsets(struct sw_daemon *d, struct sw_err *reterr); /* of a version that kept them apart */
void sw__daemon_drop_offsets(struct sw_daemon *d);                       /* a snapshot has them now */
/* Tells the consumer groups what has been released, for lag tools. leaving: the process ends. */
void sw__daemon_commit(struct sw_daemon *d, bool leaving);
/* Gives everything to the engine as it comes: nothing is repeated any more. */
void sw__daemon_unpark(struct sw_daemon *d);
/* How far the partition's source may deliver it for now. */
void sw__daemon_until(struct sw_daemon *d, uint32_t id, const struct sw_consumed *at, uint64_t from_inode);
bool sw__daemon_reached(struct sw_daemon *d, uint32_t id, const struct sw_consumed *at);
void sw__daemon_fail(struct sw_daemon *d, int code, const char *what); /* ends the loop with an error */

/* daemon_output.c */
int sw__daemon_open_files(struct sw_daemon *d, struct sw_err *reterr);
void sw__daemon_close_files(struct sw_daemon *d); /* after the pipeline was freed */
void sw__daemon_hooks(struct sw_daemon *d, struct sw_pipeline_hooks *ret);
/* A release and its findings (either may be NULL), to be committed together; waits only for room in the queue. Any
 * thread. 0 | negative. */
int sw__daemon_put_release(struct sw_daemon *d, const struct sw_outbox_release *r, const struct sw_lines *findings);
uint64_t sw__daemon_committed(struct sw_daemon *d); /* number of the newest release on the disk; any thread */
/* Waits until all that was put is committed. 0 | -SW_ERR_UNAVAIL: told to stop while the disk was full | negative. */
int sw__daemon_flush(struct sw_daemon *d);
/* The engine waits for the disk, or soon will. What the alert file waits for waits in the outbox. */
bool sw__daemon_is_blocked(const struct sw_daemon *d);

/* daemon_outputs.c */
int sw__daemon_open_outputs(struct sw_daemon *d, struct sw_err *reterr); /* after the files */
void sw__daemon_wake_outputs(struct sw_daemon *d);                       /* any thread */
void sw__daemon_watch_outputs(struct sw_daemon *d);                      /* now and then: what findings have to say */
void sw__daemon_stats_outputs(const struct sw_daemon *d);                /* one line per output */
void sw__daemon_stop_outputs(struct sw_daemon *d);                       /* before the loop is freed */
void sw__daemon_close_outputs(struct sw_daemon *d);                      /* after it, before the files */

/* daemon_health.c */
void sw__daemon_watch(void *daemon);  /* every second: quiet sources, learning, watchdog */
void sw__daemon_stats(void *daemon);  /* one line per source and one of the engine */
void sw__daemon_status(void *daemon); /* STATUS= for systemctl */
struct sw__daemon_count {
        uint64_t records, bad;
        struct sw_etime newest;
};
struct sw__daemon_count sw__daemon_count(const struct sw_daemon *d, uint32_t source);
/* A thread that must not hang, beside the pipeline's. The beat outlives the daemon's loop. */
void sw__daemon_add_beat(struct sw_daemon *d, const struct sw_beat *beat);
/* Name of a thread that has been at one piece of work for longer than that; NULL: none. Waiting for the disk is fine.
 */
const char *sw__daemon_hangs(const struct sw_daemon *d, int64_t limit_ms);
/* A health finding in the alert file, written in the background. scope: what it is about; from: since when. */
void sw__daemon_health(struct sw_daemon *d, const char *kind, const char *scope, struct sw_wall from, const char *title,
        const char *message);
/* Codes of the detectors that are silent while learning, "D07, D08"; "" if none. */
void sw__daemon_learners(const struct sw_conf *conf, struct sw_buf *out);

/* daemon_admin.c */
/* What cannot be opened is an error where the configuration names it, else a warning. */
int sw__daemon_open_admin(struct sw_daemon *d, struct sw_err *reterr);
void sw__daemon_close_admin(struct sw_daemon *d);

/* daemon_tally.c */
/* Counts lines of the alert file that were written just now; any thread. */
void sw__daemon_tally(struct sw_daemon *d, struct sw_str lines);
/* The newest findings first, at most max; returns how many. Any thread. */
unsigned sw__tally_recent(struct sw_daemon *d, struct sw__daemon_recent *ret, unsigned max);
/* Counts lines of suppressed.jsonl by the suppression that kept them back. Engine thread. */
void sw__tally_suppressed(struct sw_daemon *d, struct sw_str lines);
/* Copies what was counted; returns how many, at most SW__DAEMON_SUPPRESSIONS + 1. */
unsigned sw__tally_suppressions(struct sw_daemon *d, struct sw__daemon_suppressed *ret);
const char *sw__tally_rule(unsigned rule); /* label of an index of findings */

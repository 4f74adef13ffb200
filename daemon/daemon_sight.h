/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One look at everything the daemon knows of itself: what status, stats, metrics and readiness are made of.
 * Threads: the loop's. */
#include "daemon_int.h"

/* Why the daemon does not see everything as it happens; the first that holds is its state. */
#define SW_SIGHT_TROUBLE_MAP(X)                                                                                        \
        X(HANGS, "hangs")                                                                                              \
        X(DISK, "disk_full")                                                                                           \
        X(PAUSED, "paused")                                                                                            \
        X(RECOVERING, "recovering")                                                                                    \
        X(STARTING, "starting")                                                                                        \
        X(BROKER, "source_failing")                                                                                    \
        X(CATCHING_UP, "catching_up")
enum sw_sight_trouble {
#define SW_SIGHT_TROUBLE_ENUM(id, name) SW_SIGHT_##id,
        SW_SIGHT_TROUBLE_MAP(SW_SIGHT_TROUBLE_ENUM)
#undef SW_SIGHT_TROUBLE_ENUM
                SW_SIGHT_N_TROUBLES
};
extern const char *const sw_sight_trouble_names[SW_SIGHT_N_TROUBLES];

struct sw__sight_source {
        const struct sw_conf_source *conf;
        const struct sw_source_kafka *kafka; /* NULL: a file */
        struct sw_source_stats stats;
        struct sw__daemon_count count;
        struct sw_wall last_record; /* when it came; ms 0: none yet */
        uint32_t n_left_behind;
        int64_t messages_per_s, records_per_s;
        bool catching_up;
        int64_t eta_ms; /* until its lag is gone, as it went lately; -1 unknown, or it grows */
};

struct sw__sight {
        struct sw_wall now;
        int64_t up_ms;
        struct sw_pipeline_progress progress;
        struct sw_pipeline_sight engine;
        struct sw__sight_source *sources;
        uint32_t n_sources;
        uint64_t findings, findings_hour, quarantined;
        bool trouble[SW_SIGHT_N_TROUBLES];
        struct sw__daemon_recent recent[SW__DAEMON_RECENT]; /* newest first */
        unsigned n_recent;
        struct sw__daemon_suppressed suppressed[SW__DAEMON_SUPPRESSIONS + 1];
        unsigned n_suppressed;
        const char *hangs; /* which thread; NULL: none */
        int64_t eta_ms;    /* of catching up: the longest of the sources; -1 unknown */
};

/* 0 | -SW_ERR_NOMEM. */
int sw__sight_look(struct sw_daemon *d, struct sw__sight *ret);
void sw__sight_deinit(struct sw__sight *s);
/* Every source's counters, for rates; once a second. */
void sw__sight_sample(struct sw_daemon *d);
uint64_t sw__sight_hour(const struct sw_daemon *d); /* findings of the last hour */
/* One sentence, for people. No newline. */
void sw__sight_tell(const struct sw_daemon *d, const struct sw__sight *s, enum sw_sight_trouble t, struct sw_buf *out);

/* daemon_status.c: members of a JSON object that is open. */
struct sw_jsonw;
void sw__status_write(const struct sw_daemon *d, const struct sw__sight *s, struct sw_jsonw *w);
void sw__stats_write(const struct sw_daemon *d, const struct sw__sight *s, struct sw_jsonw *w);
/* daemon_metrics.c: the text that Prometheus reads. */
void sw__metrics_write(const struct sw_daemon *d, const struct sw__sight *s, struct sw_buf *out);

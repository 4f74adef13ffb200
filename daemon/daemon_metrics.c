/* SPDX-License-Identifier: Apache-2.0 */
/* One table of metrics: a row is a name, what it counts, and where its value stands or how its samples are written.
 * Labels are bounded: sources, tables, detectors and closed lists of words; never an address. */
#include "daemon_metrics.h"
#include "base/time.h"
#include "daemon_admin.h"
#include "daemon_keeper.h"
#include "model/flow.h"

#include <dirent.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

struct metric_row {
        const char *name;
        enum sw_metric_type type;
        const char *help;
        size_t at;                                  /* 1 + offset of a uint64_t of struct sw__sight, or */
        void (*write)(const struct metric_look *l); /* every sample */
};

void sw__metric_put(const struct metric_look *l, uint64_t v)
{
        sw_metrics_u64(l->out, l->name, NULL, 0, v);
}

void sw__metric_put_ms(const struct metric_look *l, int64_t ms)
{
        sw_metrics_milli(l->out, l->name, NULL, 0, ms);
}

void sw__metric_put_label(const struct metric_look *l, const char *label, const char *value, uint64_t v)
{
        const struct sw_metric_label labels[] = { { label, sw_str_of(value) } };

        sw_metrics_u64(l->out, l->name, labels, 1, v);
}

/* ---- the daemon ---- */

static void write_build(const struct metric_look *l)
{
        const struct sw_metric_label labels[] = { { "version", sw_str_of(SW_VERSION) },
                { "librdkafka", sw_str_of(sw_source_kafka_version()) } };

        sw_metrics_u64(l->out, l->name, labels, 2, 1);
}

static void write_ready(const struct metric_look *l)
{
        unsigned i;
        bool ready = true;

        for (i = 0; i < SW_SIGHT_N_TROUBLES; i++)
                ready = ready && !l->s->trouble[i];
        sw__metric_put(l, ready);
}

static void write_troubles(const struct metric_look *l)
{
        unsigned i;

        for (i = 0; i < SW_SIGHT_N_TROUBLES; i++)
                sw__metric_put_label(l, "reason", sw_sight_trouble_names[i], l->s->trouble[i]);
}

static void write_eta(const struct metric_look *l)
{
        if (l->s->trouble[SW_SIGHT_CATCHING_UP] && l->s->eta_ms >= 0)
                sw__metric_put_ms(l, l->s->eta_ms);
}

static void write_reload_ok(const struct metric_look *l)
{
        sw__metric_put(l, !l->d->reloads.failed);
}

static void write_reload_time(const struct metric_look *l)
{
        sw__metric_put_ms(l, l->d->reloads.ok_at.ms);
}

static void write_memory_limit(const struct metric_look *l)
{
        sw__metric_put(l, l->d->boot->conf.memory.limit);
}

static void write_disk(const struct metric_look *l)
{
        if (!l->d->disk.known)
                return;
        sw__metric_put_label(l, "of", "state", l->d->disk.state_free);
        sw__metric_put_label(l, "of", "alerts", l->d->disk.alerts_free);
}

static void write_checkpoint_age(const struct metric_look *l)
{
        int64_t at_ms = atomic_load(&l->d->keeper->last_wall_ms);

        if (at_ms > 0)
                sw__metric_put_ms(l, l->s->now.ms - at_ms);
}

static void write_checkpoint_duration(const struct metric_look *l)
{
        if (atomic_load(&l->d->keeper->n_written) > 0)
                sw__metric_put_ms(l, (int64_t)atomic_load(&l->d->keeper->last_took_ms));
}

static void write_checkpoint_bytes(const struct metric_look *l)
{
        if (atomic_load(&l->d->keeper->n_written) > 0)
                sw__metric_put(l, atomic_load(&l->d->keeper->last_bytes));
}

static void write_checkpoints(const struct metric_look *l)
{
        sw__metric_put_label(l, "result", "written", atomic_load(&l->d->keeper->n_written));
        sw__metric_put_label(l, "result", "failed", atomic_load(&l->d->keeper->n_failed));
}

static void write_repeated(const struct metric_look *l)
{
        sw__metric_put(l, atomic_load(&l->d->keeper->n_repeated));
}

static void write_mismatches(const struct metric_look *l)
{
        sw__metric_put(l, atomic_load(&l->d->keeper->n_mismatches));
}

static void admin_sample(void *ctx, const char *socket, const struct sw_server_stats *s)
{
        sw__metric_put_label(ctx, "socket", socket, s->requests);
}

static void write_admin_requests(const struct metric_look *l)
{
        struct metric_look copy = *l;

        sw__admin_servers(l->d, admin_sample, &copy);
}

static void admin_refused_sample(void *ctx, const char *socket, const struct sw_server_stats *s)
{
        static const char *const reasons[] = { "busy", "too_long", "too_slow" };
        const struct metric_look *l = ctx;
        unsigned i;

        for (i = 0; i < 3; i++) {
                const struct sw_metric_label labels[] = { { "socket", sw_str_of(socket) },
                        { "reason", sw_str_of(reasons[i]) } };

                sw_metrics_u64(l->out, l->name, labels, 2, s->refused[i]);
        }
}

static void write_admin_refused(const struct metric_look *l)
{
        struct metric_look copy = *l;

        sw__admin_servers(l->d, admin_refused_sample, &copy);
}

/* ---- engine ---- */

static void write_tuples(const struct metric_look *l)
{
        const struct sw_engine_stats *e = &l->s->progress.engine;

        sw__metric_put_label(l, "state", "begin", e->tuples_begin);
        sw__metric_put_label(l, "state", "continue", e->tuples_continue);
        sw__metric_put_label(l, "state", "end", e->tuples_end);
        sw__metric_put_label(l, "state", "denied", e->tuples_denied);
        sw__metric_put_label(l, "state", "stateless", e->tuples_stateless);
}

static void write_reasons(const struct metric_look *l)
{
        unsigned i;

        for (i = 0; i < SW_N_REASONS; i++)
                sw__metric_put_label(l, "reason", sw_reason_name((enum sw_reason)i), l->s->progress.engine.reasons[i]);
}

/* METRIC_TABLES(name, field) */
#define METRIC_TABLES(id, field)                                                                                       \
        static void write_##id(const struct metric_look *l)                                                            \
        {                                                                                                              \
                uint32_t i;                                                                                            \
                                                                                                                       \
                for (i = 0; i < l->s->engine.n_tables; i++)                                                            \
                        sw__metric_put_label(l, "table", l->s->engine.tables[i].name, l->s->engine.tables[i].field);   \
        }
METRIC_TABLES(table_entries, entries)
METRIC_TABLES(table_bytes, bytes)
METRIC_TABLES(table_limit, limit_bytes)
METRIC_TABLES(table_evicted, evicted)
#undef METRIC_TABLES

static void write_watermark(const struct metric_look *l)
{
        if (!sw_etime_is_none(l->s->progress.watermark))
                sw__metric_put_ms(l, l->s->progress.watermark.ms);
}

static void write_watermark_lag(const struct metric_look *l)
{
        if (!sw_etime_is_none(l->s->progress.watermark))
                sw__metric_put_ms(l, l->s->now.ms - l->s->progress.watermark.ms);
}

static void write_learning(const struct metric_look *l)
{
        sw__metric_put(l, l->s->engine.n_learning);
}

static void write_flow_logs(const struct metric_look *l)
{
        sw__metric_put(l, l->s->engine.n_flow_logs);
}

static void write_flow_logs_silent(const struct metric_look *l)
{
        sw__metric_put(l, l->s->engine.n_silent);
}

/* ---- findings ---- */

static void write_suppressions(const struct metric_look *l)
{
        unsigned i;

        for (i = 0; i < l->s->n_suppressed; i++) {
                const struct sw__daemon_suppressed *s = &l->s->suppressed[i];

                sw__metric_put_label(l, "suppression", s->id[0] ? s->id : "(others)", s->n);
        }
}

static void write_findings(const struct metric_look *l)
{
        static const char *const severities[] = { "unknown", "informational", "low", "medium", "high", "critical" };
        static const char *const activities[] = { "unknown", "create", "update", "close" };
        unsigned rule, severity, activity;

        for (rule = 0; rule < SW__DAEMON_RULES; rule++)
                for (severity = 0; severity <= SW_SEVERITY_CRITICAL; severity++)
                        for (activity = 0; activity <= SW_ACTIVITY_CLOSE; activity++) {
                                const struct sw_metric_label labels[] = { { "rule", sw_str_of(sw__tally_rule(rule)) },
                                        { "severity", sw_str_of(severities[severity]) },
                                        { "activity", sw_str_of(activities[activity]) } };
                                uint64_t v = atomic_load(&l->d->tally.findings[rule][severity][activity]);

                                if (v > 0) /* of the many that there might be only those that are */
                                        sw_metrics_u64(l->out, l->name, labels, 3, v);
                        }
}

static void write_latency(const struct metric_look *l)
{
        uint64_t counts[SW__DAEMON_LATENCIES + 1];
        struct sw_metric_histogram h = { sw__tally_bounds_ms, counts, SW__DAEMON_LATENCIES,
                atomic_load(&l->d->tally.latency_sum_ms) };
        unsigned i;

        for (i = 0; i <= SW__DAEMON_LATENCIES; i++)
                counts[i] = atomic_load(&l->d->tally.latency[i]);
        sw_metrics_histogram(l->out, l->name, &h);
}

static void write_incidents(const struct metric_look *l)
{
        uint32_t i;

        for (i = 0; i < l->s->engine.n_tables; i++)
                if (sw_str_eq(sw_str_of(l->s->engine.tables[i].name), SW_STR("incidents")))
                        sw__metric_put(l, l->s->engine.tables[i].entries);
}

/* ---- the process ---- */

static void write_pages(const struct metric_look *l, unsigned which)
{
        FILE *f = fopen("/proc/self/statm", "re");
        unsigned long long v[2] = { 0 };
        long page = sysconf(_SC_PAGESIZE);

        if (f && fscanf(f, "%llu %llu", &v[0], &v[1]) == 2 && page > 0)
                sw__metric_put(l, v[which] * (unsigned long)page);
        if (f)
                (void)fclose(f);
}

static void write_virtual(const struct metric_look *l)
{
        write_pages(l, 0);
}

static void write_resident(const struct metric_look *l)
{
        write_pages(l, 1);
}

static void write_cpu(const struct metric_look *l)
{
        struct rusage u;

        if (getrusage(RUSAGE_SELF, &u) == 0)
                sw__metric_put_ms(l, ((int64_t)u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000 +
                                             (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1000);
}

static void write_start(const struct metric_look *l)
{
        sw__metric_put_ms(l, l->d->started_wall.ms);
}

static void write_fds(const struct metric_look *l)
{
        DIR *dir = opendir("/proc/self/fd");
        uint64_t n = 0;

        if (!dir)
                return;
        while (readdir(dir))
                n++;
        (void)closedir(dir);
        sw__metric_put(l, n > 3 ? n - 3 : 0); /* without . and .. and the folder itself */
}

static void write_max_fds(const struct metric_look *l)
{
        struct rlimit r;

        if (getrlimit(RLIMIT_NOFILE, &r) == 0)
                sw__metric_put(l, r.rlim_cur);
}

/* ---- the table ---- */

#define COUNTER SW_METRIC_COUNTER
#define GAUGE SW_METRIC_GAUGE
#define AT(field) 1 + offsetof(struct sw__sight, field), NULL
#define ENGINE(field) AT(progress.engine.field)
#define BY(id) 0, write_##id
#define OF(id) 0, sw__metric_##id /* daemon_metrics_io.c */

static const struct metric_row metric_rows[] = {
        { "segwatch_build_info", GAUGE, "Version of the program and of librdkafka.", BY(build) },
        { "segwatch_ready", GAUGE, "1 while everything is seen as it happens, as /readyz says.", BY(ready) },
        { "segwatch_trouble", GAUGE, "1 while this is why the daemon is not ready.", BY(troubles) },
        { "segwatch_catch_up_eta_seconds", GAUGE, "Until the lag is gone at the present speed; absent if unknown.",
                BY(eta) },
        /* sources */
        { "segwatch_source_up", GAUGE, "0 while the last thing heard of the source was an error.", OF(source_up) },
        { "segwatch_source_messages_total", COUNTER, "Messages, or pieces of a file, that were taken.",
                OF(source_messages) },
        { "segwatch_source_bytes_total", COUNTER, "Bytes of these messages.", OF(source_bytes) },
        { "segwatch_source_records_total", COUNTER, "Flow records in them, duplicates included.", OF(source_records) },
        { "segwatch_source_bad_messages_total", COUNTER, "Messages of which nothing was used.", OF(source_bad) },
        { "segwatch_source_gaps_total", COUNTER, "Times that messages were gone before they could be read.",
                OF(source_gaps) },
        { "segwatch_source_errors_total", COUNTER, "Errors of the brokers or the file.", OF(source_errors) },
        { "segwatch_source_partitions", GAUGE, "Partitions that are read.", OF(source_partitions) },
        { "segwatch_source_partitions_at_end", GAUGE, "Partitions of which everything was read.", OF(source_at_end) },
        { "segwatch_source_partitions_left_behind", GAUGE, "Partitions the others go on without.",
                OF(source_left_behind) },
        { "segwatch_source_last_record_timestamp_seconds", GAUGE, "Newest event time that the source brought.",
                OF(source_newest) },
        { "segwatch_source_lag_seconds", GAUGE, "How old that event time is.", OF(source_behind) },
        { "segwatch_kafka_messages_total", COUNTER, "Kafka messages that were taken.", OF(kafka_messages) },
        { "segwatch_kafka_bytes_total", COUNTER, "Bytes of these messages.", OF(kafka_bytes) },
        { "segwatch_kafka_lag_messages", GAUGE, "Messages not yet taken; absent if unknown.", OF(kafka_lag) },
        { "segwatch_kafka_lag_seconds", GAUGE, "Age of the newest event time of the topic.", OF(kafka_lag_seconds) },
        { "segwatch_kafka_errors_total", COUNTER, "Errors by kind.", OF(kafka_errors) },
        { "segwatch_kafka_throttle_seconds_total", COUNTER, "Pauses that the brokers asked for.", OF(kafka_throttle) },
        /* what was read */
        { "segwatch_messages_total", COUNTER, "Messages decoded.", ENGINE(decode.messages) },
        { "segwatch_message_errors_total", COUNTER, "Messages of which nothing was used.",
                ENGINE(decode.message_errors) },
        { "segwatch_records_total", COUNTER, "Flow records, duplicates included.", ENGINE(records) },
        { "segwatch_records_duplicate_total", COUNTER, "Flow records that were seen before.",
                ENGINE(records_duplicate) },
        { "segwatch_records_old_total", COUNTER, "Flow records older than time.dedupe.", ENGINE(records_old) },
        { "segwatch_records_skipped_total", COUNTER, "Records that carry no flows.", ENGINE(decode.records_skipped) },
        { "segwatch_record_errors_total", COUNTER, "Records that lack what they need.", ENGINE(decode.record_errors) },
        { "segwatch_records_unknown_version_total", COUNTER, "Records of an unknown version, read all the same.",
                ENGINE(decode.unknown_versions) },
        { "segwatch_tuples_total", COUNTER, "Flow tuples by state.", BY(tuples) },
        { "segwatch_tuple_errors_total", COUNTER, "Tuples that could not be read.", ENGINE(decode.tuple_errors) },
        { "segwatch_tuples_late_total", COUNTER, "Tuples that came after their time was folded.", ENGINE(tuples_late) },
        { "segwatch_tuples_too_late_total", COUNTER, "Tuples later than time.lateness, only counted.",
                ENGINE(tuples_too_late) },
        { "segwatch_tuples_future_total", COUNTER, "Tuples later than their message, set to its time.",
                ENGINE(tuples_clamped) },
        { "segwatch_tuples_held_total", COUNTER, "Tuples far ahead in time, held until another sensor confirms.",
                ENGINE(tuples_held) },
        { "segwatch_tuples_waiting", GAUGE, "Tuples that wait for the watermark.", ENGINE(reorder_tuples) },
        { "segwatch_reorder_forced_seconds_total", COUNTER, "Seconds of event time released early for want of memory.",
                ENGINE(reorder_forced) },
        { "segwatch_parse_errors_total", COUNTER, "What could not be decoded, by reason.", BY(reasons) },
        { "segwatch_quarantined_total", COUNTER, "Lines written to the quarantine.", AT(quarantined) },
        /* state */
        { "segwatch_watermark_timestamp_seconds", GAUGE, "Event time up to which everything was folded.",
                BY(watermark) },
        { "segwatch_watermark_lag_seconds", GAUGE, "How old the watermark is.", BY(watermark_lag) },
        { "segwatch_releases_total", COUNTER, "Releases of the watermark.", AT(progress.releases) },
        { "segwatch_connections_total", COUNTER, "Connections opened.", ENGINE(connections) },
        { "segwatch_hosts", GAUGE, "Hosts known.", ENGINE(hosts) },
        { "segwatch_edges", GAUGE, "Edges known: source, destination, service.", ENGINE(edges) },
        { "segwatch_learning_segments", GAUGE, "Segments whose baselines are not complete yet.", BY(learning) },
        { "segwatch_flow_logs", GAUGE, "Flow logs heard since the start.", BY(flow_logs) },
        { "segwatch_flow_logs_silent", GAUGE, "Of these, those that fell silent.", BY(flow_logs_silent) },
        { "segwatch_state_entries", GAUGE, "Entries of a table.", BY(table_entries) },
        { "segwatch_state_bytes", GAUGE, "Memory of a table.", BY(table_bytes) },
        { "segwatch_state_limit_bytes", GAUGE, "Share of memory.limit of a table.", BY(table_limit) },
        { "segwatch_state_evictions_total", COUNTER, "Entries a table lost for want of memory.", BY(table_evicted) },
        { "segwatch_memory_limit_bytes", GAUGE, "memory.limit.", BY(memory_limit) },
        { "segwatch_checkpoint_age_seconds", GAUGE, "Age of the newest snapshot.", BY(checkpoint_age) },
        { "segwatch_checkpoint_duration_seconds", GAUGE, "How long it took.", BY(checkpoint_duration) },
        { "segwatch_checkpoint_bytes", GAUGE, "Its size.", BY(checkpoint_bytes) },
        { "segwatch_checkpoints_total", COUNTER, "Snapshots since the start.", BY(checkpoints) },
        { "segwatch_recovery_releases_total", COUNTER, "Releases that the start repeated.", BY(repeated) },
        { "segwatch_recovery_mismatches_total", COUNTER, "Findings that came out otherwise when repeated.",
                BY(mismatches) },
        { "segwatch_disk_free_bytes", GAUGE, "Free space of state.dir and of the alert file.", BY(disk) },
        /* findings */
        { "segwatch_signals_total", COUNTER, "Signals of all detectors.", ENGINE(signals) },
        { "segwatch_signals_suppressed_total", COUNTER, "Signals that a suppression kept back.", ENGINE(suppressed) },
        { "segwatch_suppressions_total", COUNTER,
                "The same since the start, by suppression; the first 64, and all others.", BY(suppressions) },
        { "segwatch_incidents_open", GAUGE, "Incidents that may still grow.", BY(incidents) },
        { "segwatch_findings_total", COUNTER, "Lines written to the alert file.", BY(findings) },
        { "segwatch_findings_folded_total", COUNTER, "Findings that the hour's budget folded into one.",
                ENGINE(findings_folded) },
        { "segwatch_spool_rows", GAUGE, "Findings in the outbox that wait for a sink.", OF(spool_rows) },
        { "segwatch_spool_bytes", GAUGE, "Their size.", OF(spool_bytes) },
        { "segwatch_spool_oldest_seconds", GAUGE, "Age of the oldest of them; 0 if there is none.", OF(spool_oldest) },
        { "segwatch_spool_given_up_total", COUNTER, "Findings that a sink's full queue gave up.", OF(spool_given_up) },
        { "segwatch_spool_limit_bytes", GAUGE, "Size at which a sink's queue gives findings up.", OF(spool_limit) },
        { "segwatch_sink_up", GAUGE, "0 while an output takes nothing.", OF(sink_up) },
        { "segwatch_sink_rows_total", COUNTER, "Findings that an output took.", OF(sink_rows) },
        { "segwatch_sink_rejected_total", COUNTER, "Findings that an output refused for good.", OF(sink_rejected) },
        { "segwatch_sink_requests_total", COUNTER, "Requests to an output that ended, by the status of the answer.",
                OF(sink_requests) },
        { "segwatch_sink_request_duration_seconds", SW_METRIC_HISTOGRAM, "From sending to the answer.",
                OF(sink_duration) },
        { "segwatch_sink_payload_bytes", SW_METRIC_HISTOGRAM, "Size of what was sent in a request.", OF(sink_payload) },
        { "segwatch_sink_retries_total", COUNTER, "Requests that had to be sent again, by why.", OF(sink_retries) },
        { "segwatch_sink_sent_bytes_total", COUNTER, "Bytes sent to an output.", OF(sink_bytes) },
        { "segwatch_token_expiry_timestamp_seconds", GAUGE, "When the token that a source or an output shows expires.",
                OF(token_expiry) },
        { "segwatch_detect_latency_seconds", SW_METRIC_HISTOGRAM,
                "From the event time that decided a finding to its line in the alert file.", BY(latency) },
        /* control */
        { "segwatch_config_last_reload_successful", GAUGE, "Whether the last reload was taken over.", BY(reload_ok) },
        { "segwatch_config_last_reload_success_timestamp_seconds", GAUGE, "Since when the configuration is in force.",
                BY(reload_time) },
        { "segwatch_admin_requests_total", COUNTER, "Requests answered.", BY(admin_requests) },
        { "segwatch_admin_refused_total", COUNTER, "Clients that were let go without an answer.", BY(admin_refused) },
        { "process_cpu_seconds_total", COUNTER, "Processor time of the process.", BY(cpu) },
        { "process_resident_memory_bytes", GAUGE, "Resident memory of the process.", BY(resident) },
        { "process_virtual_memory_bytes", GAUGE, "Address space of the process.", BY(virtual) },
        { "process_open_fds", GAUGE, "Open descriptors.", BY(fds) },
        { "process_max_fds", GAUGE, "Limit of open descriptors.", BY(max_fds) },
        { "process_start_time_seconds", GAUGE, "When the process was started.", BY(start) },
};

void sw__metrics_write(const struct sw_daemon *d, const struct sw__sight *s, struct sw_buf *out)
{
        size_t i;

        for (i = 0; i < sizeof(metric_rows) / sizeof(*metric_rows); i++) {
                const struct metric_row *row = &metric_rows[i];
                const struct metric_look l = { d, s, out, row->name };

                sw_metrics_head(out, row->name, row->type, row->help);
                if (row->write)
                        row->write(&l);
                else
                        sw__metric_put(&l, *(const uint64_t *)(const void *)((const char *)s + row->at - 1));
        }
}

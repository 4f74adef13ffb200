/* SPDX-License-Identifier: Apache-2.0 */
/* Status and statistics as JSON: what an operator asks first, and every counter. Times are UTC, durations in ms. */
#include "base/jsonw.h"
#include "clock.h"
#include "conf_outputs.h"
#include "daemon_keeper.h"
#include "daemon_sight.h"
#include "detect/detector.h"

#include <unistd.h>

static void status_time(struct sw_jsonw *w, const char *key, struct sw_etime t)
{
        char text[SW_ETIME_TEXT];

        sw_jsonw_key(w, key);
        if (sw_etime_is_none(t) || t.ms <= 0) {
                w->after_key = false;
                sw_buf_puts(w->out, "null");
        } else {
                sw_jsonw_text(w, sw_etime_format(t, text));
        }
}

static void status_known(struct sw_jsonw *w, const char *key, int64_t v)
{
        if (v >= 0) {
                sw_jsonw_ki64(w, key, v);
                return;
        }
        sw_jsonw_key(w, key);
        w->after_key = false;
        sw_buf_puts(w->out, "null");
}

static void status_source(const struct sw__sight *s, const struct sw__sight_source *k, struct sw_jsonw *w)
{
        static const char *const kinds[] = { "eventhubs", "kafka", "file" };

        sw_jsonw_object(w);
        sw_jsonw_ktext(w, "name", k->conf->name);
        sw_jsonw_ktext(w, "kind", kinds[k->conf->kind]);
        sw_jsonw_ktext(w, k->conf->kind == SW_SOURCE_FILE ? "path" : "topic", k->stats.topic ? k->stats.topic : "");
        sw_jsonw_ktext(w, "state",
                k->stats.failing             ? "failing"
                : k->stats.n_partitions == 0 ? "starting"
                : k->stats.ended             ? "ended"
                : k->catching_up             ? "catching_up"
                                             : "reading");
        status_time(w, "last_record", k->count.newest);
        status_time(w, "last_arrival", (struct sw_etime){ k->last_record.ms });
        status_known(w, "silent_ms", k->last_record.ms > 0 ? s->now.ms - k->last_record.ms : -1);
        status_known(w, k->conf->kind == SW_SOURCE_FILE ? "lag_bytes" : "lag_messages", k->stats.lag);
        status_known(w, "behind_ms",
                sw_etime_is_none(k->count.newest) ? -1
                : s->now.ms > k->count.newest.ms  ? s->now.ms - k->count.newest.ms
                                                  : 0);
        status_known(w, "eta_ms", k->eta_ms);
        sw_jsonw_ku64(w, "partitions", k->stats.n_partitions);
        sw_jsonw_ku64(w, "partitions_at_end", k->stats.n_at_end);
        sw_jsonw_ku64(w, "partitions_ahead", k->stats.n_ahead);
        sw_jsonw_ku64(w, "partitions_left_behind", k->n_left_behind);
        sw_jsonw_ku64(w, "messages", k->stats.messages);
        sw_jsonw_ku64(w, "bytes", k->stats.bytes);
        sw_jsonw_ku64(w, "records", k->count.records);
        sw_jsonw_ku64(w, "messages_bad", k->count.bad);
        sw_jsonw_ku64(w, "gaps", k->stats.gaps);
        sw_jsonw_ku64(w, "errors", k->stats.n_errors);
        sw_jsonw_ki64(w, "messages_per_s", k->messages_per_s);
        sw_jsonw_ki64(w, "records_per_s", k->records_per_s);
        sw_jsonw_end_object(w);
}

static void status_learning(const struct sw_daemon *d, const struct sw__sight *s, struct sw_jsonw *w)
{
        const struct sw_conf *c = &d->conf->conf;
        uint32_t i;

        sw_jsonw_key(w, "learning");
        sw_jsonw_object(w);
        sw_jsonw_ku64(w, "segments", s->engine.n_learning);
        status_time(w, "until", s->engine.learning_until);
        sw_jsonw_key(w, "silent");
        sw_jsonw_array(w);
        for (i = 0; i < SW_N_DETECTORS && c->learning_ms > 0; i++)
                if (sw_detectors[i]->needs_baseline && c->detectors[i].mode != SW_MODE_OFF)
                        sw_jsonw_text(w, sw_detectors[i]->code);
        sw_jsonw_end_array(w);
        sw_jsonw_key(w, "by_segment"); /* the first of them */
        sw_jsonw_array(w);
        for (i = 0; i < s->engine.n_learning && i < SW_PIPELINE_LEARNING; i++) {
                sw_jsonw_object(w);
                sw_jsonw_ktext(w, "segment", s->engine.learning[i].segment);
                status_time(w, "until", s->engine.learning[i].until);
                sw_jsonw_end_object(w);
        }
        sw_jsonw_end_array(w);
        sw_jsonw_end_object(w);
}

static void status_sink(struct sw_jsonw *w, const char *name, const char *path, const struct sw_sink_file *f)
{
        if (!f)
                return;
        sw_jsonw_object(w);
        sw_jsonw_ktext(w, "name", name);
        sw_jsonw_ktext(w, "kind", "file");
        if (path)
                sw_jsonw_ktext(w, "path", path);
        sw_jsonw_ktext(w, "state", sw_sink_file_is_blocked(f) ? "disk_full" : "ok");
        sw_jsonw_end_object(w);
}

static void status_alerts(const struct sw_daemon *d, struct sw_jsonw *w)
{
        struct sw_outbox_sink_stats k;

        sw_jsonw_object(w);
        sw_jsonw_ktext(w, "name", "alerts");
        sw_jsonw_ktext(w, "kind", "file");
        sw_jsonw_ktext(w, "path", d->boot->conf.alerts.file);
        sw_jsonw_ktext(w, "state", sw_alert_export_is_blocked(d->alerts) ? "disk_full" : "ok");
        if (sw_outbox_sink_stats(d->outbox, SW_ALERT_SINK, &k) == 0) {
                sw_jsonw_ku64(w, "waiting_rows", k.rows);
                sw_jsonw_ku64(w, "waiting_bytes", k.bytes);
        }
        sw_jsonw_end_object(w);
}

static void status_outputs(const struct sw_daemon *d, struct sw_jsonw *w)
{
        static const char *const kinds[] = { "sentinel", "syslog", "webhook" };
        struct sw_mono now = sw_clock_mono();
        uint32_t i;

        for (i = 0; i < sw_outputs_n(d->outputs); i++) {
                const struct sw_conf_output *o = sw_outputs_row(d->outputs, i);
                struct sw_courier_stats k = sw_outputs_stats(d->outputs, i);

                sw_jsonw_object(w);
                sw_jsonw_ktext(w, "name", o->name);
                sw_jsonw_ktext(w, "kind", o->kind < sizeof(kinds) / sizeof(*kinds) ? kinds[o->kind] : "output");
                sw_jsonw_ktext(w, "state", k.failing_since_ms ? "failing" : "ok");
                if (k.failing_since_ms) {
                        sw_jsonw_ki64(w, "failing_ms", now.ms - k.failing_since_ms);
                        sw_jsonw_ktext(w, "reason", k.reason);
                }
                sw_jsonw_ku64(w, "delivered_rows", k.rows);
                sw_jsonw_ku64(w, "rejected_rows", k.rejected);
                sw_jsonw_ku64(w, "given_up_rows", k.waiting.given_up);
                sw_jsonw_ku64(w, "waiting_rows", k.waiting.rows);
                sw_jsonw_ku64(w, "waiting_bytes", k.waiting.bytes);
                sw_jsonw_ku64(w, "queue_bytes", o->queue);
                sw_jsonw_end_object(w);
        }
}

static void status_disk(const struct sw_daemon *d, struct sw_jsonw *w)
{
        sw_jsonw_key(w, "disk");
        sw_jsonw_object(w);
        sw_jsonw_ktext(w, "state_dir", d->boot->conf.state.dir);
        status_known(w, "state_free_bytes", d->disk.known ? (int64_t)d->disk.state_free : -1);
        status_known(w, "state_size_bytes", d->disk.known ? (int64_t)d->disk.state_size : -1);
        status_known(w, "alerts_free_bytes", d->disk.known ? (int64_t)d->disk.alerts_free : -1);
        status_known(w, "alerts_size_bytes", d->disk.known ? (int64_t)d->disk.alerts_size : -1);
        sw_jsonw_end_object(w);
}

static void status_troubles(const struct sw_daemon *d, const struct sw__sight *s, struct sw_jsonw *w)
{
        struct sw_buf text = SW_BUF_NULL;
        const char *state = "ok";
        unsigned i;

        for (i = SW_SIGHT_N_TROUBLES; i-- > 0;)
                if (s->trouble[i])
                        state = sw_sight_trouble_names[i];
        sw_jsonw_ktext(w, "state", state);
        sw_jsonw_key(w, "reasons");
        sw_jsonw_array(w);
        for (i = 0; i < SW_SIGHT_N_TROUBLES; i++) {
                if (!s->trouble[i])
                        continue;
                sw_buf_reset(&text);
                sw__sight_tell(d, s, (enum sw_sight_trouble)i, &text);
                sw_jsonw_str(w, (struct sw_str){ text.p, text.n });
        }
        sw_jsonw_end_array(w);
        w->out->failed = w->out->failed || text.failed;
        sw_buf_deinit(&text);
}

static void status_recent(const struct sw__sight *s, struct sw_jsonw *w)
{
        static const char *const activities[] = { "unknown", "create", "update", "close" };
        unsigned i;

        sw_jsonw_key(w, "recent");
        sw_jsonw_array(w);
        for (i = 0; i < s->n_recent; i++) {
                const struct sw__daemon_recent *r = &s->recent[i];

                sw_jsonw_object(w);
                status_time(w, "time", r->logged);
                sw_jsonw_ktext(w, "severity", sw_severity_text((enum sw_severity)r->severity));
                sw_jsonw_ktext(w, "activity", activities[r->activity]);
                sw_jsonw_ktext(w, "rule", r->rule);
                sw_jsonw_ktext(w, "uid", r->uid);
                sw_jsonw_ktext(w, "message", r->message);
                sw_jsonw_end_object(w);
        }
        sw_jsonw_end_array(w);
}

static void status_config(const struct sw_daemon *d, struct sw_jsonw *w)
{
        sw_jsonw_key(w, "config");
        sw_jsonw_object(w);
        sw_jsonw_ktext(w, "file", d->options.config ? d->options.config : "");
        sw_jsonw_kbool(w, "last_reload_ok", !d->reloads.failed);
        sw_jsonw_ku64(w, "last_reload_errors", d->reloads.n_errors);
        sw_jsonw_ktext(w, "needs_restart", d->reloads.need_restart.n ? d->reloads.need_restart.p : "");
        status_time(w, "in_force_since", (struct sw_etime){ d->reloads.ok_at.ms });
        sw_jsonw_end_object(w);
}

static void status_memory(const struct sw_daemon *d, const struct sw__sight *s, struct sw_jsonw *w)
{
        uint32_t i;

        sw_jsonw_key(w, "memory");
        sw_jsonw_object(w);
        sw_jsonw_ku64(w, "limit_bytes", d->boot->conf.memory.limit);
        sw_jsonw_ku64(w, "used_bytes", s->progress.engine.bytes);
        sw_jsonw_ku64(w, "evicted", s->progress.engine.evicted);
        sw_jsonw_key(w, "evicting");
        sw_jsonw_array(w);
        for (i = 0; i < s->engine.n_tables; i++)
                if (s->engine.tables[i].evicted > 0)
                        sw_jsonw_text(w, s->engine.tables[i].name);
        sw_jsonw_end_array(w);
        sw_jsonw_end_object(w);
}

static uint64_t status_entries(const struct sw__sight *s, const char *table)
{
        uint32_t i;

        for (i = 0; i < s->engine.n_tables; i++)
                if (sw_str_eq(sw_str_of(s->engine.tables[i].name), sw_str_of(table)))
                        return s->engine.tables[i].entries;
        return 0;
}

static void status_head(const struct sw_daemon *d, const struct sw__sight *s, struct sw_jsonw *w)
{
        sw_jsonw_ktext(w, "version", SW_VERSION);
        sw_jsonw_ki64(w, "pid", getpid());
        status_time(w, "time", (struct sw_etime){ s->now.ms });
        status_time(w, "started", (struct sw_etime){ d->started_wall.ms });
        sw_jsonw_ki64(w, "uptime_ms", s->up_ms);
}

void sw__status_write(const struct sw_daemon *d, const struct sw__sight *s, struct sw_jsonw *w)
{
        const struct sw__keeper *k = d->keeper;
        int64_t at_ms = atomic_load(&k->last_wall_ms);
        uint32_t i;

        status_head(d, s, w);
        status_troubles(d, s, w);
        status_time(w, "watermark", s->progress.watermark);
        status_time(w, "newest", s->progress.newest);
        sw_jsonw_key(w, "sources");
        sw_jsonw_array(w);
        for (i = 0; i < s->n_sources; i++)
                status_source(s, &s->sources[i], w);
        sw_jsonw_end_array(w);
        sw_jsonw_ku64(w, "flow_logs", s->engine.n_flow_logs);
        sw_jsonw_ku64(w, "flow_logs_silent", s->engine.n_silent);
        status_learning(d, s, w);
        sw_jsonw_key(w, "sinks");
        sw_jsonw_array(w);
        status_alerts(d, w);
        status_sink(w, "signals", NULL, d->signals);
        status_sink(w, "suppressed", NULL, d->suppressed);
        status_sink(w, "quarantine", d->boot->conf.alerts.quarantine, d->quarantine);
        status_outputs(d, w);
        sw_jsonw_end_array(w);
        status_disk(d, w);
        status_memory(d, s, w);
        sw_jsonw_key(w, "findings");
        sw_jsonw_object(w);
        sw_jsonw_ku64(w, "total", s->findings);
        sw_jsonw_ku64(w, "last_hour", s->findings_hour);
        sw_jsonw_ku64(w, "incidents_open", status_entries(s, "incidents"));
        sw_jsonw_ku64(w, "quarantined", s->quarantined);
        status_recent(s, w);
        sw_jsonw_end_object(w);
        status_config(d, w);
        sw_jsonw_key(w, "snapshot");
        sw_jsonw_object(w);
        status_time(w, "last", (struct sw_etime){ at_ms });
        status_known(w, "age_ms", at_ms > 0 ? s->now.ms - at_ms : -1);
        sw_jsonw_ku64(w, "bytes", atomic_load(&k->last_bytes));
        sw_jsonw_ku64(w, "took_ms", atomic_load(&k->last_took_ms));
        sw_jsonw_ku64(w, "written", atomic_load(&k->n_written));
        sw_jsonw_ku64(w, "failed", atomic_load(&k->n_failed));
        sw_jsonw_end_object(w);
}

/* ---- statistics ---- */

/* X(key, field of struct sw_engine_stats) */
#define STATS_MAP(X)                                                                                                   \
        X(messages, decode.messages)                                                                                   \
        X(message_errors, decode.message_errors)                                                                       \
        X(records, records)                                                                                            \
        X(records_duplicate, records_duplicate)                                                                        \
        X(records_old, records_old)                                                                                    \
        X(records_skipped, decode.records_skipped)                                                                     \
        X(record_errors, decode.record_errors)                                                                         \
        X(unknown_versions, decode.unknown_versions)                                                                   \
        X(tuples, tuples)                                                                                              \
        X(tuples_begin, tuples_begin)                                                                                  \
        X(tuples_continue, tuples_continue)                                                                            \
        X(tuples_end, tuples_end)                                                                                      \
        X(tuples_denied, tuples_denied)                                                                                \
        X(tuples_stateless, tuples_stateless)                                                                          \
        X(tuple_errors, decode.tuple_errors)                                                                           \
        X(packets_forward, totals[SW_PACKETS_FWD])                                                                     \
        X(bytes_forward, totals[SW_BYTES_FWD])                                                                         \
        X(packets_reverse, totals[SW_PACKETS_REV])                                                                     \
        X(bytes_reverse, totals[SW_BYTES_REV])                                                                         \
        X(tuples_late, tuples_late)                                                                                    \
        X(tuples_too_late, tuples_too_late)                                                                            \
        X(tuples_clamped, tuples_clamped)                                                                              \
        X(tuples_held, tuples_held)                                                                                    \
        X(tuples_waiting, reorder_tuples)                                                                              \
        X(seconds_released_early, reorder_forced)                                                                      \
        X(connections, connections)                                                                                    \
        X(connections_reversed, connections_reversed)                                                                  \
        X(edges, edges)                                                                                                \
        X(hosts, hosts)                                                                                                \
        X(signals_suppressed, suppressed)                                                                              \
        X(signals, signals)                                                                                            \
        X(evicted, evicted)                                                                                            \
        X(state_bytes, bytes)

static void stats_tables(const struct sw__sight *s, struct sw_jsonw *w)
{
        uint32_t i;

        sw_jsonw_key(w, "tables");
        sw_jsonw_array(w);
        for (i = 0; i < s->engine.n_tables; i++) {
                const struct sw_pipeline_table *t = &s->engine.tables[i];

                sw_jsonw_object(w);
                sw_jsonw_ktext(w, "name", t->name);
                sw_jsonw_ku64(w, "entries", t->entries);
                sw_jsonw_ku64(w, "bytes", t->bytes);
                sw_jsonw_ku64(w, "limit_bytes", t->limit_bytes);
                sw_jsonw_ku64(w, "evicted", t->evicted);
                sw_jsonw_end_object(w);
        }
        sw_jsonw_end_array(w);
}

static void stats_pairs(const struct sw__sight *s, struct sw_jsonw *w)
{
        uint32_t i;

        sw_jsonw_ku64(w, "segment_pairs", s->engine.n_pairs);
        sw_jsonw_key(w, "top_pairs");
        sw_jsonw_array(w);
        for (i = 0; i < s->engine.n_pairs && i < SW_PIPELINE_PAIRS; i++) {
                const struct sw_pipeline_pair *p = &s->engine.pairs[i];

                sw_jsonw_object(w);
                sw_jsonw_ktext(w, "from", p->from);
                sw_jsonw_ktext(w, "to", p->to);
                sw_jsonw_ku64(w, "flows_allowed", p->flows_allowed);
                sw_jsonw_ku64(w, "flows_denied", p->flows_denied);
                sw_jsonw_ku64(w, "bytes", p->bytes);
                sw_jsonw_ku64(w, "sources", p->n_sources);
                sw_jsonw_ku64(w, "destinations", p->n_destinations);
                sw_jsonw_end_object(w);
        }
        sw_jsonw_end_array(w);
}

void sw__stats_write(const struct sw_daemon *d, const struct sw__sight *s, struct sw_jsonw *w)
{
        const struct sw_engine_stats *e = &s->progress.engine;
        uint32_t i;

        status_head(d, s, w);
        status_time(w, "watermark", s->progress.watermark);
        sw_jsonw_key(w, "sources");
        sw_jsonw_array(w);
        for (i = 0; i < s->n_sources; i++)
                status_source(s, &s->sources[i], w);
        sw_jsonw_end_array(w);
        sw_jsonw_key(w, "engine");
        sw_jsonw_object(w);
#define STATS_FIELD(key, field) sw_jsonw_ku64(w, #key, e->field);
        STATS_MAP(STATS_FIELD)
#undef STATS_FIELD
        sw_jsonw_ku64(w, "findings", s->findings);
        sw_jsonw_ku64(w, "quarantined", s->quarantined);
        sw_jsonw_ku64(w, "releases", s->progress.releases);
        sw_jsonw_end_object(w);
        sw_jsonw_key(w, "quarantine_reasons");
        sw_jsonw_object(w);
        for (i = 0; i < SW_N_REASONS; i++)
                if (e->reasons[i])
                        sw_jsonw_ku64(w, sw_reason_name((enum sw_reason)i), e->reasons[i]);
        sw_jsonw_end_object(w);
        stats_tables(s, w);
        stats_pairs(s, w);
}

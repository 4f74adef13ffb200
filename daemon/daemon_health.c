/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"
#include "base/hash.h"
#include "base/jsonw.h"
#include "clock.h"
#include "daemon_loss.h"
#include "detect/detector.h"
#include "encode/enc_ocsf.h"
#include "service.h"

#include <stdio.h>
#include <string.h>

#define HEALTH_PROGRESS_MS (30 * SW_SECOND)

/* ---- health findings ---- */

struct health_line {
        struct sw_daemon *daemon;
        struct sw_lines lines; /* one */
};

/* Pool thread: the disk may make it wait. */
static void health_write(void *ctx)
{
        struct health_line *l = ctx;

        if (sw__daemon_put_release(l->daemon, NULL, &l->lines) == 0)
                sw__daemon_tally(l->daemon, (struct sw_str){ l->lines.text.p, l->lines.text.n });
}

static void health_written(void *ctx)
{
        struct health_line *l = ctx;

        sw_lines_deinit(&l->lines);
        sw_free(l);
}

static void health_fill(struct sw_finding *f, const char *kind, const char *scope, struct sw_wall from)
{
        struct sw_buf b = SW_BUF_NULL;

        sw_buf_printf(&b, "health|%s|%s|%lld", kind, scope, (long long)from.ms);
        sw_sha256_128(b.p, b.n, f->uid);
        sw_buf_puts(&b, "|1");
        sw_sha256_128(b.p, b.n, f->line_uid);
        sw_buf_deinit(&b);
        f->sequence = 1;
        f->kind = SW_FINDING_HEALTH;
        f->activity = SW_ACTIVITY_CREATE;
        f->severity = SW_SEVERITY_MEDIUM;
        f->risk = 30;
        f->confidence_pct = 100;
        f->decided = f->logged = f->last = f->created = (struct sw_etime){ sw_clock_wall().ms };
        f->first = (struct sw_etime){ from.ms };
        f->detector = sw_str_of(kind);
        f->detector_code = SW_STR("HEALTH");
}

void sw__daemon_health(struct sw_daemon *d, const char *kind, const char *scope, struct sw_wall from, const char *title,
        const char *message)
{
        struct sw_finding *f = sw_calloc(1, sizeof(*f)); /* too large for a stack */
        struct health_line *l = sw_calloc(1, sizeof(*l));

        if (f && l) {
                health_fill(f, kind, scope, from);
                f->title = sw_str_of(title);
                f->message = sw_str_of(message);
                l->daemon = d;
                sw_enc_ocsf(&l->lines.text, f, SW_VERSION);
                if (sw_lines_add(&l->lines, 0, (uint8_t)f->severity, f->line_uid) == 0 &&
                        sw_loop_work(d->loop, health_write, health_written, l) == 0) {
                        atomic_fetch_add(&d->n_findings, 1);
                        l = NULL;
                }
        }
        if (l)
                health_written(l);
        sw_free(f);
}

/* ---- sources without records ---- */

struct sw__daemon_count sw__daemon_count(const struct sw_daemon *d, uint32_t source)
{
        struct sw__daemon_count c = { .newest = SW_ETIME_NONE };
        struct sw_etime newest;
        uint64_t records;
        uint32_t i;

        for (i = 0; i < d->n_parts; i++) {
                if (d->parts[i]->source != source)
                        continue;
                sw_pipeline_partition(d->pipeline, i, &newest, &records);
                c.records += records;
                c.bad += atomic_load(&d->parts[i]->n_bad);
                c.newest = sw_etime_max(c.newest, newest);
        }
        return c;
}

static void health_file_reason(
        const struct sw_source_stats *k, const struct sw__daemon_count *c, bool read, struct sw_buf *out)
{
        if (!read)
                sw_buf_puts(out, "the file cannot be read; the log says why");
        else if (c->records > 0)
                sw_buf_printf(out, "%llu records came before: is what writes %s still running?",
                        (unsigned long long)c->records, k->topic);
        else if (k->messages == 0)
                sw_buf_printf(out, "%s is empty: is this the file that flow logs are written to?", k->topic);
        else
                sw_buf_printf(out,
                        "nothing in %s is a flow record (see quarantine.jsonl): is this the file that flow logs are "
                        "written to?",
                        k->topic);
        sw_buf_putc(out, '\0');
}

/* The likely reason, as one sentence. */
static void health_reason(const struct sw__daemon_source *s, const struct sw_source_stats *k,
        const struct sw__daemon_count *c, struct sw_buf *out)
{
        if (k->failing)
                sw_buf_puts(out, "the brokers cannot be read; the log says why");
        else if (c->records > 0)
                sw_buf_printf(out, "%llu records came before: is what writes flow logs into %s still running?",
                        (unsigned long long)c->records, k->topic);
        else if (k->messages == 0 && s->conf->start.kind == SW_START_LATEST)
                sw_buf_printf(out,
                        "no message came: start: latest reads only what is written to %s from now on, and nothing "
                        "was",
                        k->topic);
        else if (k->messages == 0)
                sw_buf_printf(
                        out, "no message came: %s is empty; is this the hub that flow logs are written to?", k->topic);
        else if (c->bad > 0)
                sw_buf_printf(out,
                        "%llu of %llu messages of %s are nothing that is known (see quarantine.jsonl): is this the "
                        "hub of the flow logs?",
                        (unsigned long long)c->bad, (unsigned long long)k->messages, k->topic);
        else
                sw_buf_printf(out,
                        "the %llu messages of %s carry no flows, only notices and other logs: is the flow log "
                        "category sent here?",
                        (unsigned long long)k->messages, k->topic);
        sw_buf_putc(out, '\0');
}

static void health_tell_quiet(struct sw__daemon_source *s, const struct sw_source_stats *k,
        const struct sw__daemon_count *c, int64_t quiet_ms)
{
        struct sw_daemon *d = s->daemon;
        struct sw_buf reason = SW_BUF_NULL, text = SW_BUF_NULL;
        struct sw_wall from = { sw_clock_wall().ms - quiet_ms };

        if (s->tail)
                health_file_reason(k, c, !k->failing, &reason);
        else
                health_reason(s, k, c, &reason);
        if (!reason.failed) {
                sw_log(d->log, SW_LOG_WARNING, "no_records", s->conf->name, "no flow record for %lld s: %s",
                        (long long)(quiet_ms / 1000), reason.p);
                sw_buf_printf(&text, "Source %s brought no flow record for %lld seconds: %s", s->conf->name,
                        (long long)(quiet_ms / 1000), reason.p);
                sw_buf_putc(&text, '\0');
        }
        if (!text.failed && text.n > 0)
                sw__daemon_health(d, "no_records", s->conf->name, from, "A source brings no flow records", text.p);
        sw_buf_deinit(&reason);
        sw_buf_deinit(&text);
}

static void health_watch_source(struct sw__daemon_source *s)
{
        struct sw_daemon *d = s->daemon;
        int64_t now = sw_clock_mono().ms, limit = d->options.quiet_ms;
        struct sw_source_stats k;
        struct sw__daemon_count c = sw__daemon_count(d, s->index);

        if (c.records != s->quiet_records) {
                if (s->quiet_told)
                        sw_log(d->log, SW_LOG_INFO, "records_again", s->conf->name, "flow records come again");
                s->quiet_records = c.records;
                s->quiet_since_ms = now;
                s->quiet_told = false;
                s->last_record = sw_clock_wall();
                return;
        }
        sw__daemon_source_stats(s, &k);
        /* our own slowness is not the source's silence */
        if (d->paused || k.waiting_for_room || k.n_ahead > 0 || k.ended || s->quiet_told ||
                now - s->quiet_since_ms < limit)
                return;
        s->quiet_told = true;
        health_tell_quiet(s, &k, &c, now - s->quiet_since_ms);
}

/* ---- learning ---- */

void sw__daemon_learners(const struct sw_conf *conf, struct sw_buf *out)
{
        unsigned i;

        for (i = 0; i < SW_N_DETECTORS; i++)
                if (sw_detectors[i]->needs_baseline && conf->detectors[i].mode != SW_MODE_OFF)
                        sw_buf_printf(out, "%s%s", out->n ? ", " : "", sw_detectors[i]->code);
        sw_buf_putc(out, '\0');
}

static void health_watch_learning(struct sw_daemon *d)
{
        const struct sw_conf *c = &d->conf->conf;
        struct sw_pipeline_progress p;
        struct sw_buf who = SW_BUF_NULL;
        char until[SW_ETIME_TEXT];

        if (d->learning_told || c->learning_ms == 0)
                return;
        sw_pipeline_progress(d->pipeline, &p);
        if (sw_etime_is_none(p.watermark))
                return;
        d->learning_told = true;
        sw__daemon_learners(c, &who);
        if (!who.failed && who.n > 1)
                sw_log(d->log, SW_LOG_INFO, "learning", NULL,
                        "learning until %s at least, longer in segments that are seen later: silent until then: %s",
                        sw_etime_format(sw_etime_add(p.watermark, c->learning_ms), until), who.p);
        sw_buf_deinit(&who);
}

/* ---- losses of sight ---- */

static void health_watch_loss(struct sw_daemon *d)
{
        struct sw__sight *s = sw_calloc(1, sizeof(*s)); /* too large for a stack */

        if (s && sw__sight_look(d, s) == 0) {
                sw__loss_watch(d, s);
                sw__sight_deinit(s);
        }
        sw_free(s);
}

/* ---- systemd ---- */

void sw__daemon_add_beat(struct sw_daemon *d, const struct sw_beat *beat)
{
        if (d->n_beats < sizeof(d->beats) / sizeof(*d->beats))
                d->beats[d->n_beats++] = beat;
}

const char *sw__daemon_hangs(const struct sw_daemon *d, int64_t limit_ms)
{
        const struct sw_mono now = sw_clock_mono();
        bool blocked = sw__daemon_is_blocked(d);
        const struct sw_beat *b;
        unsigned i;

        for (i = 0; (b = sw_pipeline_beat(d->pipeline, i)); i++)
                if (sw_beat_ms(b, now) > limit_ms && !(i == 0 && blocked))
                        return b->name;
        blocked = blocked || sw_alert_export_is_blocked(d->alerts);
        for (i = 0; i < d->n_beats && !blocked; i++)
                if (sw_beat_ms(d->beats[i], now) > limit_ms)
                        return d->beats[i]->name;
        return now.ms - d->watchdog_moved_ms > limit_ms ? "pipeline" : NULL;
}

/* The loop lives, since it runs this. No thread may be at one piece of work for long, and the engine takes what there
 * is to take, or waits for the disk. */
static void health_watchdog(struct sw_daemon *d)
{
        struct sw_pipeline_progress p;
        const char *hangs;

        sw_pipeline_progress(d->pipeline, &p);
        if (p.items_taken != d->watchdog_taken || p.items_taken >= d->n_submitted || sw__daemon_is_blocked(d)) {
                d->watchdog_taken = p.items_taken;
                d->watchdog_moved_ms = sw_clock_mono().ms;
        }
        if (d->watchdog_ms == 0)
                return;
        hangs = sw__daemon_hangs(d, d->watchdog_ms);
        if (!hangs)
                sw_service_notify("WATCHDOG=1");
        else
                sw_log(d->log, SW_LOG_ERROR, "hangs", hangs,
                        "the thread has not moved for %lld s: systemd is not told that all is well",
                        (long long)(d->watchdog_ms / SW_SECOND));
}

void sw__daemon_watch(void *ctx)
{
        struct sw_daemon *d = ctx;
        uint32_t i;

        for (i = 0; i < d->n_sources; i++)
                health_watch_source(&d->sources[i]);
        health_watch_learning(d);
        sw__daemon_watch_outputs(d);
        health_watchdog(d);
        sw__sight_sample(d);
        health_watch_loss(d);
        sw_log_flush(d->log);
}

static void health_time(struct sw_etime t, char buf[SW_ETIME_TEXT])
{
        if (sw_etime_is_none(t))
                strcpy(buf, "never");
        else
                sw_etime_format(t, buf);
}

static void health_lag(const struct sw_source_stats *k, char buf[32])
{
        if (k->lag < 0)
                strcpy(buf, "unknown");
        else
                snprintf(buf, 32, "%lld", (long long)k->lag);
}

/* How far a start or a catch-up is: into the status, and now and then into the log. */
static void health_progress(struct sw_daemon *d, struct sw_buf *out)
{
        static const enum sw_sight_trouble told[] = { SW_SIGHT_RECOVERING, SW_SIGHT_CATCHING_UP };
        int64_t now = sw_clock_mono().ms;
        struct sw__sight s;
        size_t i, from;

        if (sw__sight_look(d, &s) < 0)
                return;
        for (i = 0; i < sizeof(told) / sizeof(*told); i++) {
                if (!s.trouble[told[i]])
                        continue;
                from = out->n;
                sw__sight_tell(d, &s, told[i], out);
                if (!out->failed && (d->progress_told_ms == 0 || now - d->progress_told_ms >= HEALTH_PROGRESS_MS)) {
                        d->progress_told_ms = now;
                        sw_log(d->log, SW_LOG_INFO, sw_sight_trouble_names[told[i]], NULL, "%.*s", (int)(out->n - from),
                                out->p + from);
                }
                sw_buf_puts(out, "; ");
                break;
        }
        sw__sight_deinit(&s);
}

void sw__daemon_status(void *ctx)
{
        struct sw_daemon *d = ctx;
        struct sw_source_stats k;
        struct sw_buf b = SW_BUF_NULL;
        char time[SW_ETIME_TEXT], lag[32];
        uint32_t i;

        for (i = 0; i < d->n_sources && b.n < 800; i++) {
                sw__daemon_source_stats(&d->sources[i], &k);
                health_time(sw__daemon_count(d, i).newest, time);
                health_lag(&k, lag);
                sw_buf_printf(&b, "%s: last record %s, lag %s%s; ", d->sources[i].conf->name, time, lag,
                        k.failing ? ", failing" : "");
        }
        health_progress(d, &b);
        sw_buf_printf(&b, "findings %llu, %llu in the last hour%s", (unsigned long long)atomic_load(&d->n_findings),
                (unsigned long long)sw__sight_hour(d),
                sw__daemon_is_blocked(d) || sw_alert_export_is_blocked(d->alerts) ? "; waiting for the disk" : "");
        sw_buf_putc(&b, '\0');
        if (!b.failed)
                sw_service_notify("STATUS=%s", b.p);
        sw_buf_deinit(&b);
}

static void health_stats_source(struct sw__daemon_source *s, int64_t elapsed_ms)
{
        struct sw__daemon_count c = sw__daemon_count(s->daemon, s->index);
        struct sw_source_stats k;
        char time[SW_ETIME_TEXT], lag[32];

        sw__daemon_source_stats(s, &k);
        health_time(c.newest, time);
        health_lag(&k, lag);
        sw_log(s->daemon->log, SW_LOG_INFO, "stats_source", s->conf->name,
                "%llu messages (%.1f/s), %llu records (%.1f/s), last record %s, lag %s, %u of %u partitions at their "
                "end, "
                "%u ahead of the others, %llu bad messages, %llu gaps, %llu errors",
                (unsigned long long)k.messages, (double)(k.messages - s->last_messages) * 1000 / (double)elapsed_ms,
                (unsigned long long)c.records, (double)(c.records - s->last_records) * 1000 / (double)elapsed_ms, time,
                lag, k.n_at_end, k.n_partitions, k.n_ahead, (unsigned long long)c.bad, (unsigned long long)k.gaps,
                (unsigned long long)k.n_errors);
        s->last_messages = k.messages;
        s->last_records = c.records;
}

/* Pool thread: the disk may make it wait. */
static void health_stats_write(void *ctx)
{
        struct sw_daemon *d = ctx;

        (void)sw_sink_file_append(d->stats_file, d->stats_line.p, d->stats_line.n);
}

static void health_stats_written(void *ctx)
{
        struct sw_daemon *d = ctx;

        d->stats_writing = false;
}

/* The same object as `ctl stats` answers with, a line of stats.jsonl. */
static void health_stats_line(struct sw_daemon *d)
{
        struct sw__sight *s = sw_calloc(1, sizeof(*s));
        struct sw_jsonw w = sw_jsonw_start(&d->stats_line);

        if (s && sw__sight_look(d, s) == 0) {
                sw_buf_reset(&d->stats_line);
                sw_jsonw_object(&w);
                sw__stats_write(d, s, &w);
                sw_jsonw_end_object(&w);
                sw_buf_putc(&d->stats_line, '\n');
                if (!d->stats_line.failed)
                        d->stats_writing = sw_loop_work(d->loop, health_stats_write, health_stats_written, d) == 0;
                sw__sight_deinit(s);
        }
        sw_free(s);
}

void sw__daemon_stats(void *ctx)
{
        struct sw_daemon *d = ctx;
        int64_t now = sw_clock_mono().ms, elapsed = now > d->stats_at_ms ? now - d->stats_at_ms : 1;
        struct sw_pipeline_progress p;
        char watermark[SW_ETIME_TEXT];
        uint32_t i;

        for (i = 0; i < d->n_sources; i++)
                if (d->sources[i].kafka || d->sources[i].tail) /* it could not be opened */
                        health_stats_source(&d->sources[i], elapsed);
        sw__daemon_stats_outputs(d);
        sw_pipeline_progress(d->pipeline, &p);
        health_time(p.watermark, watermark);
        sw_log(d->log, SW_LOG_INFO, "stats", NULL,
                "watermark %s, %llu tuples (%.0f/s), %llu late, %llu too late, %llu waiting, %llu seconds released "
                "early, %llu held, %llu duplicate records, %llu connections, %llu hosts, %llu evicted, %llu signals, "
                "%llu findings, %llu folded, %llu quarantined, %llu MiB",
                watermark, (unsigned long long)p.engine.tuples,
                (double)(p.engine.tuples - d->last_tuples) * 1000 / (double)elapsed,
                (unsigned long long)p.engine.tuples_late, (unsigned long long)p.engine.tuples_too_late,
                (unsigned long long)p.engine.reorder_tuples, (unsigned long long)p.engine.reorder_forced,
                (unsigned long long)p.engine.tuples_held, (unsigned long long)p.engine.records_duplicate,
                (unsigned long long)p.engine.connections, (unsigned long long)p.engine.hosts,
                (unsigned long long)p.engine.evicted, (unsigned long long)p.engine.signals,
                (unsigned long long)atomic_load(&d->n_findings), (unsigned long long)p.engine.findings_folded,
                (unsigned long long)atomic_load(&d->n_quarantined), (unsigned long long)(p.engine.bytes >> 20));
        d->last_tuples = p.engine.tuples;
        d->stats_at_ms = now;
        if (d->stats_file && !d->stats_writing)
                health_stats_line(d);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"
#include "clock.h"
#include "daemon_keeper.h"
#include "quarantine.h"

/* ---- outbox ---- */

static void output_on_commit(void *ctx)
{
        struct sw_daemon *d = ctx;

        sw_alert_export_wake(d->alerts);
        sw__daemon_wake_outputs(d);
}

static void output_on_fail(void *ctx, int r)
{
        struct sw_daemon *d = ctx;

        atomic_store(&d->output_failed, r);
}

static int output_open_outbox(struct sw_daemon *d, struct sw_err *reterr)
{
        const struct sw_conf *c = &d->conf->conf;
        struct sw_outbox_conf outbox = { .dir = c->state.dir,
                .max_bytes = c->state.retention.size,
                .max_age_ms = c->state.retention.age_ms,
                .stop = &d->stop };
        struct sw_alert_export_conf alerts = { .path = c->alerts.file,
                .rotate_bytes = c->alerts.rotate.size,
                .keep = (unsigned)c->alerts.rotate.keep,
                .stop = &d->stop,
                .on_fail = output_on_fail,
                .ctx = d };
        struct sw_outbox_writer_conf writer = {
                .stop = &d->stop, .on_commit = output_on_commit, .on_fail = output_on_fail, .ctx = d
        };
        int r = sw_outbox_open(&outbox, d->log, &d->outbox, reterr);

        if (r < 0)
                return r;
        alerts.outbox = writer.outbox = d->outbox;
        r = sw_alert_export_new(&alerts, d->log, &d->alerts, reterr);
        if (r == 0 && sw_outbox_writer_new(&writer, &d->writer) < 0)
                r = sw_err_set(reterr, -SW_ERR_NOMEM, "out of memory");
        if (r == 0) {
                sw__daemon_add_beat(d, sw_outbox_writer_beat(d->writer));
                sw__daemon_add_beat(d, sw_alert_export_beat(d->alerts));
        }
        return r;
}

int sw__daemon_put_release(struct sw_daemon *d, const struct sw_outbox_release *r, const struct sw_lines *findings)
{
        return sw_outbox_writer_put(d->writer, r, findings, NULL);
}

uint64_t sw__daemon_committed(struct sw_daemon *d)
{
        return sw_outbox_writer_release(d->writer);
}

int sw__daemon_flush(struct sw_daemon *d)
{
        return sw_outbox_writer_wait(d->writer, sw_outbox_writer_ticket(d->writer));
}

bool sw__daemon_is_blocked(const struct sw_daemon *d)
{
        return sw_outbox_is_blocked(d->outbox) || (d->signals && sw_sink_file_is_blocked(d->signals)) ||
               sw_sink_file_is_blocked(d->suppressed) || sw_sink_file_is_blocked(d->quarantine);
}

/* ---- files ---- */

/* A file like "signals.jsonl" beside the alert file. */
static int output_open_beside(
        struct sw_daemon *d, const char *name, const char *when_full, struct sw_sink_file **ret, struct sw_err *reterr)
{
        const struct sw_conf *c = &d->conf->conf;
        struct sw_sink_file_conf f = { .rotate_bytes = c->alerts.rotate.size,
                .keep = (unsigned)c->alerts.rotate.keep,
                .stop = &d->stop,
                .when_full = when_full };
        struct sw_buf path = SW_BUF_NULL;
        int r;

        sw_buf_put_beside(&path, c->alerts.file, name);
        sw_buf_putc(&path, '\0');
        f.path = path.p;
        r = path.failed ? sw_err_set(reterr, -SW_ERR_NOMEM, "out of memory")
                        : sw_sink_file_open(&f, d->log, ret, reterr);
        sw_buf_deinit(&path);
        return r;
}

int sw__daemon_open_files(struct sw_daemon *d, struct sw_err *reterr)
{
        const struct sw_conf *c = &d->conf->conf;
        struct sw_sink_file_conf f = {
                .rotate_bytes = c->alerts.rotate.size, .keep = (unsigned)c->alerts.rotate.keep, .stop = &d->stop
        };
        int r = output_open_outbox(d, reterr);

        if (r == 0 && c->alerts.signals)
                r = output_open_beside(d, "signals.jsonl", NULL, &d->signals, reterr);
        if (r == 0 && c->alerts.stats)
                r = output_open_beside(
                        d, "stats.jsonl", "a line of statistics waits, nothing else", &d->stats_file, reterr);
        if (r == 0)
                r = output_open_beside(d, "suppressed.jsonl", NULL, &d->suppressed, reterr);
        f.path = c->alerts.quarantine;
        f.rotate_bytes = c->quarantine.size;
        f.keep = (unsigned)c->quarantine.keep;
        d->keep_budget = SW_QUARANTINE_BUDGET_INIT;
        d->keep_bytes = c->quarantine.message_max;
        if (r == 0)
                r = sw_sink_file_open(&f, d->log, &d->quarantine, reterr);
        return r;
}

void sw__daemon_close_files(struct sw_daemon *d)
{
        d->writer = sw_outbox_writer_free(d->writer); /* before whom it wakes */
        d->alerts = sw_alert_export_free(d->alerts);
        d->outbox = sw_outbox_close(d->outbox);
        d->signals = sw_sink_file_close(d->signals);
        d->stats_file = sw_sink_file_close(d->stats_file);
        d->suppressed = sw_sink_file_close(d->suppressed);
        d->quarantine = sw_sink_file_close(d->quarantine);
}

/* ---- hooks ---- */

/* Engine thread. Findings wait for the release they belong to; signals are written at least once. */
static int output_on_actions(void *ctx, const struct sw_actions *a)
{
        struct sw_daemon *d = ctx;
        int r = sw__keeper_on_findings(d, &a->findings);

        if (r == 0 && d->signals)
                r = sw_sink_file_append(d->signals, a->signals.text.p, a->signals.text.n);
        if (r == 0 && a->suppressed.n) {
                r = sw_sink_file_append(d->suppressed, a->suppressed.text.p, a->suppressed.text.n);
                sw__tally_suppressed(d, (struct sw_str){ a->suppressed.text.p, a->suppressed.text.n });
        }
        return r == SW_SINK_FILE_STOPPED ? -SW_ERR_UNAVAIL : r;
}

/* Engine thread. */
static void output_on_errors(void *ctx, uint32_t partition, int64_t offset, const struct sw_batch *b)
{
        struct sw_daemon *d = ctx;
        const struct sw__daemon_source *s;
        struct sw__daemon_part *part;
        struct sw_quarantine_place place;
        uint32_t i;

        pthread_mutex_lock(&d->parts_lock);
        part = d->parts[partition];
        pthread_mutex_unlock(&d->parts_lock);
        s = &d->sources[part->source];
        place = (struct sw_quarantine_place){
                .source = s->conf->name, .partition = part->number, .offset = offset, .time = { sw_clock_wall().ms }
        };
        if (s->kafka) {
                place.topic = part->topic;
                if (b->raw.n <= d->keep_bytes &&
                        sw_quarantine_budget_take(&d->keep_budget, sw_clock_mono().ms, b->raw.n))
                        place.keep_bytes = d->keep_bytes;
        } else
                place.file = part->topic;
        for (i = 0; i < b->n_errors; i++)
                if (b->errors[i].whole_message) {
                        atomic_fetch_add(&part->n_bad, 1);
                        break;
                }
        sw_buf_reset(&d->bad_lines);
        sw_quarantine_lines(&d->bad_lines, &place, b);
        if (d->bad_lines.failed)
                return;
        (void)sw_sink_file_append(d->quarantine, d->bad_lines.p, d->bad_lines.n);
        atomic_fetch_add(&d->n_quarantined, b->n_errors);
}

static void output_on_room(void *ctx)
{
        struct sw_daemon *d = ctx;

        sw_watch_wake(d->room);
}

void sw__daemon_hooks(struct sw_daemon *d, struct sw_pipeline_hooks *ret)
{
        *ret = (struct sw_pipeline_hooks){ .ctx = d,
                .on_actions = output_on_actions,
                .on_errors = output_on_errors,
                .on_room = output_on_room,
                .on_release = sw__keeper_on_release,
                .on_turn = sw__keeper_on_turn,
                .on_config = sw__keeper_on_config };
}

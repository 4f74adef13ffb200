/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"
#include "clock.h"
#include "daemon_int.h"
#include "quarantine.h"

#include <string.h>

#define OUTPUT_QUARANTINE_BYTES (UINT64_C(64) << 20)
#define OUTPUT_QUARANTINE_KEEP 2

/* "signals.jsonl" beside the alert file. */
static char *output_beside(const char *file, const char *name)
{
        const char *slash = strrchr(file, '/');
        struct sw_buf b = SW_BUF_NULL;

        if (slash)
                sw_buf_put(&b, file, (size_t)(slash - file) + 1);
        sw_buf_put(&b, name, strlen(name) + 1);
        if (b.failed)
                sw_buf_deinit(&b);
        return b.p;
}

int sw__daemon_open_files(struct sw_daemon *d, struct sw_err *reterr)
{
        const struct sw_conf *c = &d->conf->conf;
        struct sw_sink_file_conf f = { .path = c->alerts.file,
                .rotate_bytes = c->alerts.rotate.size,
                .keep = (unsigned)c->alerts.rotate.keep,
                .stop = &d->stop };
        char *signals;
        int r;

        r = sw_sink_file_open(&f, d->log, &d->alerts, reterr);
        if (r == 0 && c->alerts.signals) {
                signals = output_beside(c->alerts.file, "signals.jsonl");
                if (!signals)
                        return sw_err_set(reterr, -SW_ERR_NOMEM, "out of memory");
                f.path = signals;
                r = sw_sink_file_open(&f, d->log, &d->signals, reterr);
                sw_free(signals);
        }
        f.path = c->alerts.quarantine;
        f.rotate_bytes = OUTPUT_QUARANTINE_BYTES;
        f.keep = OUTPUT_QUARANTINE_KEEP;
        if (r == 0)
                r = sw_sink_file_open(&f, d->log, &d->quarantine, reterr);
        return r;
}

/* Engine thread. The findings are on the disk before the release counts as done, and with it the offsets. */
static int output_on_actions(void *ctx, const struct sw_actions *a)
{
        struct sw_daemon *d = ctx;
        int r;

        r = sw_sink_file_append(d->alerts, a->findings.text.p, a->findings.text.n);
        if (r == SW_SINK_FILE_OK && d->signals)
                r = sw_sink_file_append(d->signals, a->signals.text.p, a->signals.text.n);
        if (r == SW_SINK_FILE_OK)
                r = sw_sink_file_sync(d->alerts);
        if (r == SW_SINK_FILE_STOPPED)
                return -SW_ERR_UNAVAIL; /* not written, not released: read again after the restart */
        if (r == 0)
                atomic_fetch_add(&d->n_findings, a->findings.n);
        if (r == 0)
                sw__daemon_tally(d, (struct sw_str){ a->findings.text.p, a->findings.text.n });
        return r;
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
        if (s->kafka)
                place.topic = part->topic;
        else
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
        *ret = (struct sw_pipeline_hooks){
                .ctx = d, .on_actions = output_on_actions, .on_errors = output_on_errors, .on_room = output_on_room
        };
}

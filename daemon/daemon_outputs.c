/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"
#include "clock.h"
#include "conf_outputs.h"
#include "daemon_int.h"

#include <stdio.h>

#define OUTPUTS_REJECTED_BYTES (UINT64_C(64) << 20)
#define OUTPUTS_REJECTED_KEEP 2
#define OUTPUTS_OUTAGE_MS (15 * SW_MINUTE) /* from then on people hear of it */

static void outputs_on_fatal(void *ctx, int code, const char *what)
{
        sw__daemon_fail(ctx, code, what);
}

static void outputs_on_wake(void *ctx)
{
        struct sw_daemon *d = ctx;

        sw_outputs_wake(d->outputs);
}

/* "rejected.jsonl" beside the alert file, only where something may be rejected. */
static int outputs_open_rejected(struct sw_daemon *d, struct sw_err *reterr)
{
        struct sw_sink_file_conf f = { .rotate_bytes = OUTPUTS_REJECTED_BYTES,
                .keep = OUTPUTS_REJECTED_KEEP,
                .stop = &d->stop,
                .when_full = "the output that was refused a row waits" };
        struct sw_buf path = SW_BUF_NULL;
        int r;

        sw_buf_put_beside(&path, d->conf->conf.alerts.file, "rejected.jsonl");
        sw_buf_putc(&path, '\0');
        f.path = path.p;
        r = path.failed ? sw_err_set(reterr, -SW_ERR_NOMEM, "out of memory")
                        : sw_sink_file_open(&f, d->log, &d->rejected, reterr);
        sw_buf_deinit(&path);
        return r;
}

int sw__daemon_open_outputs(struct sw_daemon *d, struct sw_err *reterr)
{
        struct sw_outputs_conf conf = { .conf = &d->conf->conf,
                .outbox = d->outbox,
                .loop = d->loop,
                .log = d->log,
                .on_fatal = outputs_on_fatal,
                .ctx = d };
        int r = 0;

        if (conf.conf->outputs.n > 0) {
                r = outputs_open_rejected(d, reterr);
                conf.rejected = d->rejected;
                if (r == 0)
                        r = sw_outputs_new(&conf, &d->outputs, reterr);
                if (r == 0)
                        r = sw_loop_wakeable(d->loop, outputs_on_wake, d, &d->outputs_wake);
                if (r == 0)
                        r = sw_outputs_start(d->outputs);
        }
        /* what is no longer configured keeps nothing on the disk */
        if (r == 0 && sw_outbox_drop_others(d->outbox) < 0)
                r = sw_err_set(reterr, -SW_ERR_IO, "the outbox cannot be written");
        return r;
}

void sw__daemon_wake_outputs(struct sw_daemon *d)
{
        pthread_mutex_lock(&d->outputs_lock);
        sw_watch_wake(d->outputs_wake);
        pthread_mutex_unlock(&d->outputs_lock);
}

void sw__daemon_stop_outputs(struct sw_daemon *d)
{
        pthread_mutex_lock(&d->outputs_lock);
        d->outputs_wake = sw_watch_close(d->outputs_wake);
        pthread_mutex_unlock(&d->outputs_lock);
        sw_outputs_stop(d->outputs);
}

void sw__daemon_close_outputs(struct sw_daemon *d)
{
        d->outputs = sw_outputs_free(d->outputs);
        d->rejected = sw_sink_file_close(d->rejected);
}

static void outputs_tell_outage(struct sw_daemon *d, const char *name, const struct sw_courier_stats *s)
{
        int64_t ms = sw_clock_mono().ms - s->failing_since_ms;
        char title[128], message[512];

        (void)snprintf(title, sizeof(title), "Findings do not reach %s", name);
        (void)snprintf(message, sizeof(message),
                "The output %s has taken nothing for %lld min: %s. Nothing is lost: findings wait on the disk and are "
                "in "
                "the alert file.",
                name, (long long)(ms / SW_MINUTE), s->reason);
        sw__daemon_health(d, "sink_outage", name, (struct sw_wall){ sw_clock_wall().ms - ms }, title, message);
}

static void outputs_tell_given_up(struct sw_daemon *d, const char *name, uint64_t n)
{
        char title[128], message[400];

        (void)snprintf(title, sizeof(title), "Findings were given up for %s", name);
        (void)snprintf(message, sizeof(message),
                "What waits for the output %s reached its queue's size: %llu findings, the oldest of the least severe, "
                "will not be sent. The alert file has them; `segwatch resend` sends them again.",
                name, (unsigned long long)n);
        sw__daemon_health(d, "sink_given_up", name, sw_clock_wall(), title, message);
}

static void outputs_tell_rejected(struct sw_daemon *d, const char *name, uint64_t n)
{
        char title[128], message[512];

        (void)snprintf(title, sizeof(title), "Findings were refused by %s", name);
        (void)snprintf(message, sizeof(message),
                "The output %s refused %llu %s for good, each by itself; all others arrive. They are in rejected.jsonl "
                "beside the alert file, with the receiver's words, and in the alert file: does what receives them know "
                "every column and take texts of this size?",
                name, (unsigned long long)n, n == 1 ? "finding" : "findings");
        sw__daemon_health(d, "sink_rejected", name, sw_clock_wall(), title, message);
}

void sw__daemon_watch_outputs(struct sw_daemon *d)
{
        int64_t now = sw_clock_mono().ms, again = d->options.health_ms;
        uint32_t i;

        for (i = 0; i < sw_outputs_n(d->outputs); i++) {
                const char *name = sw_outputs_row(d->outputs, i)->name;
                struct sw_courier_stats s = sw_outputs_stats(d->outputs, i);
                struct sw__daemon_output_told *told = &d->outputs_told[i];
                bool outage = s.failing_since_ms &&
                              now - s.failing_since_ms >= (again < OUTPUTS_OUTAGE_MS ? again : OUTPUTS_OUTAGE_MS);

                if (outage && !told->outage)
                        outputs_tell_outage(d, name, &s);
                told->outage = outage;
                /* what was given up before this start was told by the one before */
                if (!told->known && s.requests + s.waiting.rows + s.waiting.given_up > 0)
                        told->given_up = s.waiting.given_up;
                told->known = told->known || s.requests > 0 || s.waiting.rows > 0;
                if (s.waiting.given_up > told->given_up &&
                        (told->given_up_ms == 0 || now - told->given_up_ms >= again)) {
                        outputs_tell_given_up(d, name, s.waiting.given_up - told->given_up);
                        told->given_up = s.waiting.given_up;
                        told->given_up_ms = now;
                }
                if (s.rejected > told->rejected && (told->rejected_ms == 0 || now - told->rejected_ms >= again)) {
                        outputs_tell_rejected(d, name, s.rejected - told->rejected);
                        told->rejected = s.rejected;
                        told->rejected_ms = now;
                }
        }
}

void sw__daemon_stats_outputs(const struct sw_daemon *d)
{
        uint32_t i;

        for (i = 0; i < sw_outputs_n(d->outputs); i++) {
                struct sw_courier_stats s = sw_outputs_stats(d->outputs, i);

                sw_log(d->log, SW_LOG_INFO, "stats_output", sw_outputs_row(d->outputs, i)->name,
                        "%llu findings delivered in %llu requests, %llu waiting, %llu refused, %llu given up%s%s",
                        (unsigned long long)s.rows, (unsigned long long)s.requests, (unsigned long long)s.waiting.rows,
                        (unsigned long long)s.rejected, (unsigned long long)s.waiting.given_up,
                        s.failing_since_ms ? "; an outage: " : "", s.reason);
        }
}

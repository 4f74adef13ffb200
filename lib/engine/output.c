/* SPDX-License-Identifier: Apache-2.0 */
#include "encode/enc_ocsf.h"
#include "engine/engine_int.h"

#include <stdio.h>

static const char *mode_text(enum sw_detector_mode m)
{
        static const char *const texts[] = { "signal", "alert", "shadow", "off" };

        return (unsigned)m < sizeof(texts) / sizeof(*texts) ? texts[m] : "off";
}

/* A signal is told apart by what it says; the number separates equal ones of one instant. */
static void signal_uid(struct sw_engine *e, const struct sw_signal *s, const struct sw_host *actor, char ret[33])
{
        char text[160], addr[SW_ADDR_TEXT];
        int n;

        if (sw_etime_cmp(e->signal_time, s->time) != 0) {
                e->signal_time = s->time;
                e->signal_number = 0;
        }
        n = snprintf(text, sizeof(text), "signal|%s|%u|%s|%lld|%u", sw_detectors[s->detector]->code,
                actor ? actor->realm : 0u, actor ? sw_addr_format(&actor->addr, addr) : "", (long long)s->time.ms,
                e->signal_number++);
        sw_sha256_128(text, (size_t)n, ret);
}

/* suppression: NULL unless it goes no further. */
static int write_signal(struct sw_engine *e, const struct sw_signal *s, const struct sw_suppression *suppression)
{
        const struct sw_detector *d = sw_detectors[s->detector];
        const struct sw_host *actor = sw_view_host(&e->view, s->actor), *target;
        struct sw_addr targets[SW_SIGNAL_TARGETS];
        struct sw_lines *lines = suppression ? &e->out->suppressed : &e->out->signals;
        struct sw_signal_line l = { .detector = d->name, .code = d->code, .targets = targets, .signal = s };
        size_t from = lines->text.n;
        uint32_t i;

        for (i = 0; i < s->n_targets && i < SW_SIGNAL_TARGETS; i++) {
                target = sw_view_host(&e->view, s->targets[i]);
                targets[i] = target ? target->addr : SW_ADDR_NULL;
        }
        sw_buf_reset(&e->sentence);
        if (d->tell)
                d->tell(&e->sentence, &e->view, s);
        if (e->sentence.failed)
                return -SW_ERR_NOMEM;
        l.suppression = suppression ? suppression->id : NULL;
        l.mode = mode_text(e->conf.detectors[s->detector].mode);
        l.sentence = (struct sw_str){ e->sentence.p, e->sentence.n };
        l.actor = actor ? actor->addr : SW_ADDR_NULL;
        l.src_segment = sw_str_of(sw_view_segment(&e->view, s->src_segment)->name);
        l.dst_segment = sw_str_of(sw_view_segment(&e->view, s->dst_segment)->name);
        signal_uid(e, s, actor, l.uid);
        sw_enc_signal(&lines->text, &l);
        return sw_lines_add(lines, from, SW_SEVERITY_INFO, l.uid);
}

static int take_signal(struct sw_engine *e, const struct sw_signal *s)
{
        const struct sw_suppression *suppression;
        int r = 0;

        if (s->detector >= SW_N_DETECTORS)
                return -SW_ERR_INTERNAL;
        e->stats.signals++;
        if (e->tap.on_signal)
                r = e->tap.on_signal(e->tap.ctx, &e->view, s);
        suppression = sw_suppress(e->conf.suppressions, &e->view, s);
        if (r == 0 && (suppression || e->conf.write_signals))
                r = write_signal(e, s, suppression);
        if (suppression) {
                e->stats.suppressed++;
                return r;
        }
        if (r == 0 && e->conf.detectors[s->detector].mode != SW_MODE_SHADOW)
                r = sw_correlate_signal(e->correlate, &e->view, s, sw__engine_finding, e);
        return r;
}

int sw__engine_signals(struct sw_engine *e)
{
        uint32_t i;
        int r = 0;

        for (i = 0; i < e->signals.n && r == 0; i++)
                r = take_signal(e, &e->signals.items[i]);
        e->signals.n = 0;
        e->correlate_next = sw_correlate_next(e->correlate);
        return r;
}

int sw__engine_finding(void *ctx, const struct sw_finding *f)
{
        struct sw_engine *e = ctx;
        struct sw_finding *x = &e->finding;
        struct sw_lines *lines = &e->out->findings;
        size_t from = lines->text.n;
        char text[64];
        int n;

        *x = *f;
        x->logged = sw_etime_is_none(e->wall) ? x->decided : e->wall;
        x->historic = e->cold && !sw_etime_is_none(e->wall) && x->decided.ms < e->wall.ms - SW_HOUR;
        if (!x->line_uid[0]) {
                n = snprintf(text, sizeof(text), "line|%s|%u", x->uid, x->sequence);
                sw_sha256_128(text, (size_t)n, x->line_uid);
        }
        e->stats.findings++;
        sw_enc_ocsf(&lines->text, x, e->conf.version);
        return sw_lines_add(lines, from, (uint8_t)x->severity, x->line_uid);
}

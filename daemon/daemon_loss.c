/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon_loss.h"

#include "clock.h"
#include "conf_lists.h"

#include <stdio.h>
#include <string.h>

/* Whether something may be told again; a finding per hour and kind is news, more is noise. */
static bool loss_may_tell(const struct sw_daemon *d, const struct sw__daemon_loss *l)
{
        return l->told_ms == 0 || sw_clock_mono().ms - l->told_ms >= d->options.health_ms;
}

static void loss_tell(struct sw_daemon *d, struct sw__daemon_loss *l, const char *kind, const char *scope,
        const char *title, struct sw_buf *text)
{
        sw_buf_putc(text, '\0');
        l->told_ms = sw_clock_mono().ms;
        if (!text->failed) {
                sw_log(d->log, SW_LOG_WARNING, kind, NULL, "%s", text->p);
                sw__daemon_health(d, kind, scope, sw_clock_wall(), title, text->p);
        }
        sw_buf_deinit(text);
}

/* ---- counters against what they are a part of ---- */

struct loss_rule {
        enum sw__daemon_loss_kind kind;
        const char *name, *title;
        uint64_t least, permille; /* within an hour, or since it was last told */
        uint64_t (*lost)(const struct sw__sight *s);
        uint64_t (*of)(const struct sw__sight *s);
        void (*text)(
                const struct sw_daemon *d, const struct sw__sight *s, uint64_t lost, uint64_t of, struct sw_buf *out);
};

static uint64_t loss_messages(const struct sw__sight *s)
{
        return s->progress.engine.decode.messages;
}

static uint64_t loss_tuples(const struct sw__sight *s)
{
        return s->progress.engine.tuples;
}

static uint64_t lost_quarantine(const struct sw__sight *s)
{
        return s->progress.engine.decode.message_errors;
}

/* The reason that stands for most of what could not be read. */
static const char *loss_top_reason(const struct sw__sight *s)
{
        unsigned i, top = 0;

        for (i = 1; i < SW_N_REASONS; i++)
                if (s->progress.engine.reasons[i] > s->progress.engine.reasons[top])
                        top = i;
        return s->progress.engine.reasons[top] ? sw_reason_text((enum sw_reason)top) : "no reason was kept";
}

static void text_quarantine(
        const struct sw_daemon *d, const struct sw__sight *s, uint64_t lost, uint64_t of, struct sw_buf *out)
{
        (void)d;
        sw_buf_printf(out,
                "%llu of %llu messages could not be used and went to the quarantine, most of them because: %s. What "
                "happened in them was not seen; quarantine.jsonl has their beginnings.",
                (unsigned long long)lost, (unsigned long long)of, loss_top_reason(s));
}

/* Beyond the messages of which nothing was used: these are told as such. */
static uint64_t lost_unparsed(const struct sw__sight *s)
{
        const struct sw_decode_stats *e = &s->progress.engine.decode;
        uint64_t all = e->tuple_errors + e->record_errors;

        return all > e->message_errors ? all - e->message_errors : 0;
}

static void text_unparsed(
        const struct sw_daemon *d, const struct sw__sight *s, uint64_t lost, uint64_t of, struct sw_buf *out)
{
        (void)d;
        sw_buf_printf(out,
                "%llu records and flow tuples could not be read beside %llu that could, most of them because: %s. "
                "Their "
                "flows were not seen; the reasons are in quarantine.jsonl.",
                (unsigned long long)lost, (unsigned long long)of, loss_top_reason(s));
}

static uint64_t lost_too_late(const struct sw__sight *s)
{
        return s->progress.engine.tuples_too_late;
}

static void text_too_late(
        const struct sw_daemon *d, const struct sw__sight *s, uint64_t lost, uint64_t of, struct sw_buf *out)
{
        (void)d;
        (void)s;
        sw_buf_printf(out,
                "%llu flow tuples came later than time.lateness allows and were only counted, beside %llu in time: "
                "what "
                "happened in them was not seen. A larger time.lateness would fold them.",
                (unsigned long long)lost, (unsigned long long)of);
}

static uint64_t lost_old(const struct sw__sight *s)
{
        return s->progress.engine.records_old;
}

static uint64_t loss_records(const struct sw__sight *s)
{
        return s->progress.engine.records;
}

static void text_old(
        const struct sw_daemon *d, const struct sw__sight *s, uint64_t lost, uint64_t of, struct sw_buf *out)
{
        (void)d;
        (void)s;
        sw_buf_printf(out,
                "%llu of %llu flow records were older than time.dedupe remembers and went no further: what happened in "
                "them was not seen.",
                (unsigned long long)lost, (unsigned long long)of);
}

static uint64_t lost_clock(const struct sw__sight *s)
{
        return s->progress.engine.tuples_held + s->progress.engine.tuples_clamped;
}

static void text_clock(
        const struct sw_daemon *d, const struct sw__sight *s, uint64_t lost, uint64_t of, struct sw_buf *out)
{
        (void)d;
        sw_buf_printf(out,
                "%llu of %llu flow tuples had a time that runs ahead: since the start %llu were set to the time of "
                "their "
                "message, %llu were held until another sensor confirms them. A clock is wrong, or flow logs are "
                "forged.",
                (unsigned long long)lost, (unsigned long long)of, (unsigned long long)s->progress.engine.tuples_clamped,
                (unsigned long long)s->progress.engine.tuples_held);
}

static uint64_t lost_late(const struct sw__sight *s)
{
        return s->progress.engine.tuples_late;
}

/* Names who is late, and the time.reorder that would have held it. */
static void text_late(
        const struct sw_daemon *d, const struct sw__sight *s, uint64_t lost, uint64_t of, struct sw_buf *out)
{
        const struct sw_engine_stats *e = &s->progress.engine;
        int64_t needed_ms = (d->conf->conf.time.reorder_ms + e->late_by_ms + SW_MINUTE) / SW_MINUTE * SW_MINUTE;

        sw_buf_printf(out,
                "%llu of %llu flow tuples came after their time had been folded, the latest by %lld s, from %s: "
                "detectors that depend on order did not see them. time.reorder: %lldm would have held them.",
                (unsigned long long)lost, (unsigned long long)of, (long long)(e->late_by_ms / SW_SECOND),
                e->late_flow_log[0] ? e->late_flow_log : "an unnamed flow log", (long long)(needed_ms / SW_MINUTE));
}

static uint64_t lost_forced(const struct sw__sight *s)
{
        return s->progress.engine.reorder_forced;
}

/* Tuples that wait for the watermark need more than their share: they go in the order they came, which can hide what
 * depends on order. */
static void text_forced(
        const struct sw_daemon *d, const struct sw__sight *s, uint64_t lost, uint64_t of, struct sw_buf *out)
{
        (void)d;
        (void)of;
        sw_buf_printf(out,
                "The memory for flow tuples that wait for their order was full: %llu seconds of event time were "
                "released "
                "early, and what came for them afterwards counts as late (%llu tuples so far). Raise memory.limit.",
                (unsigned long long)lost, (unsigned long long)s->progress.engine.tuples_late);
}

static const struct loss_rule loss_rules[] = {
        { SW__LOSS_LATE, "late", "Flow logs arrive late", 100, 10, lost_late, loss_tuples, text_late },
        { SW__LOSS_FORCED, "reorder_forced", "Flows were released early", 1, 0, lost_forced, loss_tuples, text_forced },
        { SW__LOSS_QUARANTINE, "quarantine", "Messages could not be used", 100, 10, lost_quarantine, loss_messages,
                text_quarantine },
        { SW__LOSS_UNPARSED, "unparsed", "Flow records could not be read", 100, 10, lost_unparsed, loss_tuples,
                text_unparsed },
        { SW__LOSS_TOO_LATE, "too_late", "Flow logs arrive too late to count", 100, 10, lost_too_late, loss_tuples,
                text_too_late },
        { SW__LOSS_OLD, "too_old", "Flow records are too old to count", 100, 10, lost_old, loss_records, text_old },
        { SW__LOSS_CLOCK, "clock", "A clock runs ahead", 100, 10, lost_clock, loss_tuples, text_clock },
};

static void loss_watch_rule(struct sw_daemon *d, const struct sw__sight *s, const struct loss_rule *rule)
{
        struct sw__daemon_loss *l = &d->losses[rule->kind];
        uint64_t lost_now = rule->lost(s), of_now = rule->of(s);
        uint64_t lost = lost_now > l->lost_told ? lost_now - l->lost_told : 0, of = of_now - l->of_told;
        int64_t now = sw_clock_mono().ms;
        struct sw_buf text = SW_BUF_NULL;

        if (l->from_ms == 0)
                l->from_ms = now;
        if (lost >= rule->least && lost * 1000 > of * rule->permille && loss_may_tell(d, l)) {
                rule->text(d, s, lost, of, &text);
                loss_tell(d, l, rule->name, rule->kind == SW__LOSS_LATE ? s->progress.engine.late_flow_log : "engine",
                        rule->title, &text);
        } else if (now - l->from_ms < d->options.health_ms) {
                return;
        }
        /* a good year must not hide a bad hour */
        l->from_ms = now;
        l->lost_told = lost_now;
        l->of_told = of_now;
}

/* ---- tables ---- */

#define LOSS_EVICTED_AT_LEAST 100u

/* More than a hundredth of a table since it was last told. */
static bool loss_is_pressed(const struct sw_pipeline_table *t, uint64_t told)
{
        uint64_t lost = t->evicted - told;

        return t->evicted > told && lost >= LOSS_EVICTED_AT_LEAST && lost * 100 > t->entries;
}

static void loss_watch_tables(struct sw_daemon *d, const struct sw__sight *s)
{
        struct sw__daemon_loss *l = &d->losses[SW__LOSS_PRESSURE];
        struct sw_buf text = SW_BUF_NULL;
        uint32_t i, n = 0;

        if (!loss_may_tell(d, l))
                return;
        for (i = 0; i < s->engine.n_tables; i++) {
                const struct sw_pipeline_table *t = &s->engine.tables[i];

                if (!loss_is_pressed(t, d->evicted_told[i]))
                        continue;
                sw_buf_printf(&text, "%s%s (%llu lost, %llu kept)",
                        n ? ", " : "Tables are full and lose entries: ", t->name,
                        (unsigned long long)(t->evicted - d->evicted_told[i]), (unsigned long long)t->entries);
                n++;
        }
        if (n == 0)
                return;
        for (i = 0; i < s->engine.n_tables; i++)
                d->evicted_told[i] = s->engine.tables[i].evicted;
        sw_buf_puts(&text,
                ". What was lost is learned anew, and detectors that need it are silent there meanwhile. Raise "
                "memory.limit, or look for a scan of many addresses.");
        loss_tell(d, l, "state_pressure", "engine", "State pressure: memory is full", &text);
}

/* ---- flow logs ---- */

#define LOSS_NAMED 5u

static void loss_watch_silent(struct sw_daemon *d, const struct sw__sight *s)
{
        struct sw__daemon_loss *l = &d->losses[SW__LOSS_SILENT];
        struct sw_etime upto = { l->told_ms ? (int64_t)l->lost_told : INT64_MIN };
        struct sw_buf text = SW_BUF_NULL;
        char time[SW_ETIME_TEXT];
        uint32_t i, n = 0;

        if (d->paused || !loss_may_tell(d, l))
                return;
        for (i = 0; i < s->engine.n_silent && i < SW_PIPELINE_SILENT; i++) {
                const struct sw_pipeline_silent *f = &s->engine.silent[i];

                if (sw_etime_cmp(f->since, upto) <= 0)
                        continue; /* told already */
                if (n < LOSS_NAMED)
                        sw_buf_printf(&text, "%s%s (last record %s)",
                                n ? ", " : "Flow logs fell silent while others go on: ", f->flow_log,
                                sw_etime_format(f->last, time));
                n++;
        }
        if (n == 0)
                return;
        if (n > LOSS_NAMED)
                sw_buf_printf(&text, " and %u more", n - LOSS_NAMED);
        sw_buf_puts(&text, ". Was logging switched off, or the network taken away? Nothing is seen there.");
        loss_tell(d, l, "silent_flow_log", s->engine.silent[0].flow_log, "Flow logs fell silent", &text);
        l->lost_told = (uint64_t)s->progress.watermark.ms;
}

/* ---- suppressions ---- */

/* Event time passed the end of a suppression: what it kept back is told again, and somebody should know why. Those that
 * were over before the first look were told when the configuration was read. */
static void loss_watch_expiries(struct sw_daemon *d, const struct sw__sight *s)
{
        const struct sw_conf_lists *lists = d->conf->conf.lists;
        const struct sw_conf_suppression *items = lists->suppressions.list.items, *first = NULL;
        struct sw_etime now = s->progress.watermark, told = d->expiries_told;
        struct sw_buf text = SW_BUF_NULL;
        char time[SW_ETIME_TEXT];
        uint32_t i, n = 0;

        if (sw_etime_is_none(now))
                return;
        d->expiries_told = now;
        if (!d->expiries_known) {
                d->expiries_known = true;
                return;
        }
        for (i = 0; i < lists->suppressions.list.n; i++) {
                const struct sw_conf_suppression *x = &items[i];

                if (sw_etime_is_none(x->expires.time) || sw_etime_cmp(x->expires.time, told) <= 0 ||
                        sw_etime_cmp(x->expires.time, now) > 0)
                        continue;
                first = first ? first : x;
                if (n++ < LOSS_NAMED)
                        sw_buf_printf(&text, "%s%s (owner %s, expired at %s)",
                                n == 1 ? "Suppressions that ended: " : ", ", x->id, x->owner,
                                sw_etime_format(x->expires.time, time));
        }
        if (!first)
                return;
        if (n > LOSS_NAMED)
                sw_buf_printf(&text, " and %u more", n - LOSS_NAMED);
        sw_buf_puts(
                &text, ". What they kept back is told again from there on. Renew them (`expires`), or remove them.");
        sw_buf_putc(&text, '\0');
        if (!text.failed) {
                sw_log(d->log, SW_LOG_WARNING, "suppression_expired", first->id, "%s", text.p);
                /* the same id should it be told again after a crash */
                sw__daemon_health(d, "suppression_expired", first->id, (struct sw_wall){ first->expires.time.ms },
                        "A suppression has ended", text.p);
        }
        sw_buf_deinit(&text);
}

void sw__loss_watch(struct sw_daemon *d, const struct sw__sight *s)
{
        size_t i;

        for (i = 0; i < sizeof(loss_rules) / sizeof(*loss_rules); i++)
                loss_watch_rule(d, s, &loss_rules[i]);
        loss_watch_tables(d, s);
        loss_watch_silent(d, s);
        loss_watch_expiries(d, s);
}

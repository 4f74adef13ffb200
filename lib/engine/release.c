/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/engine_int.h"

#include "base/fetch.h"

void sw__engine_want(struct sw_engine *e)
{
        unsigned i, kind;

        e->conns->some[0] = e->conns->some[1] = 0;
        for (kind = 0; kind < SW_CONN_KINDS; kind++) {
                unsigned wanted = 0, closed = 0;

                for (i = 0; i < SW_N_DETECTORS; i++) {
                        const struct sw_detector *det = sw_detectors[i];

                        if (e->conf.detectors[i].mode == SW_MODE_OFF || !sw_detector_is_asked(det, kind))
                                continue;
                        wanted |= det->events;
                        if (det->events & SW_ON(CLOSED))
                                closed |= det->outcomes ? det->outcomes : ~0u;
                }
                e->conns->wanted[kind] = e->tap.on_event ? ~0u : wanted;
                e->conns->closed[kind] = e->tap.on_event ? ~0u : closed;
                e->conns->some[(kind & SW_CONN_IS_ADMIN) != 0] |= e->conns->wanted[kind];
        }
}

int sw__engine_event(void *ctx, const struct sw_conn_event *ev)
{
        struct sw_engine *e = ctx;
        int r;

        if (e->tap.on_event) {
                r = e->tap.on_event(e->tap.ctx, &e->view, ev);
                if (r < 0)
                        return r;
        }
        if (ev->time.ms <= e->view.learned_until.ms)
                return 0;
        r = sw_detect_event(&e->detect, &e->view, ev, &e->signals);
        if (r < 0)
                return r;
        return e->signals.n ? sw__engine_signals(e) : 0;
}

static struct sw_etime min_due(struct sw_etime a, struct sw_etime b)
{
        if (sw_etime_is_none(a))
                return b;
        return sw_etime_is_none(b) ? a : sw_etime_min(a, b);
}

static int fire_minute(struct sw_engine *e)
{
        int r;

        e->next_minute += SW_MINUTE;
        if (e->view.now.ms <= e->view.learned_until.ms)
                return 0;
        r = sw_detect_minute(&e->detect, &e->view, e->view.now, &e->signals);
        if (r < 0)
                return r;
        return e->signals.n ? sw__engine_signals(e) : 0;
}

static int fire_correlate(struct sw_engine *e)
{
        int r = sw_correlate_advance(e->correlate, &e->view, e->view.now, sw__engine_finding, e);

        e->correlate_next = sw_correlate_next(e->correlate);
        /* It had its chance at this instant. */
        if (!sw_etime_is_none(e->correlate_next) && e->correlate_next.ms <= e->view.now.ms)
                e->correlate_next = sw_etime_add(e->view.now, 1);
        return r;
}

/* Fires everything due at or before `until`, in the order of time; at one instant connections first, then the minute,
 * then incidents. until lies in the second that is being released. */
static int fire_until(struct sw_engine *e, struct sw_etime until)
{
        int r = 0;

        while (r == 0) {
                struct sw_etime timer = sw_timers_next(e->conns->timers, until), minute = { e->next_minute },
                                due = min_due(min_due(timer, minute), e->correlate_next);

                if (e->conns->timers->failed)
                        return -SW_ERR_NOMEM;
                if (due.ms > until.ms)
                        return 0;
                e->view.now = sw_etime_max(e->view.now, due);
                if (timer.ms == due.ms)
                        r = sw_conns_timer(e->conns);
                else if (minute.ms == due.ms)
                        r = fire_minute(e);
                else
                        r = fire_correlate(e);
        }
        return r;
}

/* Asks for the memory that the next n tuples will need. Each step is taken for all of them before the next step: what
 * one step asked for is there when the next one reads it, and the walks through the page tables, on which a prefetch
 * waits, go on side by side. */
static void fold_ahead(struct sw_engine *e, const struct sw_order_item *items, uint32_t n)
{
        struct sw_conns_ahead *a = e->ahead;
        struct sw_ahead *d = e->soon;
        struct sw_conn_soon soon;
        uint32_t i;

        for (i = 0; i < n; i++)
                sw_conns_ahead(e->conns, items[i].tuple, &a[i]);
        for (i = 0; i < n; i++)
                sw_conns_fetch(e->conns, &a[i]);
        for (i = 0; i < n; i++)
                sw_conns_follow(e->conns, items[i].tuple, &a[i]);
        for (i = 0; i < n; i++)
                sw_conns_edge(e->conns, &a[i]);
        for (i = 0; i < n; i++) {
                d[i].n = d[i].tracks = 0;
                if (sw_conns_soon(e->conns, items[i].tuple, &a[i], &soon))
                        sw_detect_soon(&e->detect, &soon, &d[i]);
        }
        for (i = 0; i < n; i++)
                sw_conns_last(e->conns, &a[i]);
        for (i = 0; i < n; i++)
                sw_detect_fetch(&d[i]);
        for (i = 0; i < n; i++)
                sw_detect_fetch_more(&d[i]);
}

/* Folds sorted tuples, a block at a time. */
static int fold_run(struct sw_engine *e, const struct sw_reorder_run *run, bool late)
{
        uint32_t i, first, n;
        int r = 0;

        for (first = 0; first < run->n && r == 0; first += n) {
                const struct sw_order_item *items = run->items + first;

                n = run->n - first < SW_ENGINE_AHEAD ? run->n - first : SW_ENGINE_AHEAD;
                for (i = n; i < 2 * n && first + i < run->n; i++)
                        sw_fetch(items[i].tuple);
                fold_ahead(e, items, n);
                for (i = 0; i < n && r == 0; i++) {
                        const struct sw_otuple *t = items[i].tuple;

                        if (!late && t->time.ms > e->view.now.ms) {
                                r = fire_until(e, t->time);
                                e->view.now = t->time;
                        }
                        if (r == 0)
                                r = sw_conns_fold(e->conns, t, &e->ahead[i], late);
                }
        }
        return r;
}

static int release_second(struct sw_engine *e, int64_t second, struct sw_etime end)
{
        struct sw_reorder_run run = { 0 };
        int64_t waiting;
        int r = 0;

        if (sw_reorder_next(&e->reorder, &waiting) && waiting == second) {
                r = sw_reorder_take(&e->reorder, end, &run);
                if (r == 0 && run.n && run.items[0].tuple->time.ms == e->view.now.ms)
                        r = fire_until(e, e->view.now);
                if (r == 0)
                        r = fold_run(e, &run, false);
        }
        return r < 0 ? r : fire_until(e, end);
}

/* Next second in which anything happens; false: none at or before `end`. */
static bool release_next(struct sw_engine *e, struct sw_etime end, int64_t *ret)
{
        int64_t best = e->next_minute / SW_SECOND, second;

        if (sw_reorder_next(&e->reorder, &second) && second < best)
                best = second;
        if (sw_timers_next_second(e->conns->timers, &second) && second < best)
                best = second;
        if (!sw_etime_is_none(e->correlate_next)) {
                second = sw_etime_max(e->correlate_next, e->view.now).ms / SW_SECOND;
                if (second < best)
                        best = second;
        }
        *ret = best;
        return best * SW_SECOND <= end.ms;
}

static int release_late(struct sw_engine *e)
{
        struct sw_reorder_run run;
        int r = sw_reorder_take_late(&e->reorder, &run);

        if (r < 0)
                return r;
        /* A late tuple may be the first one at all: it starts time where the stream stands. */
        if (sw_etime_is_none(e->view.now)) {
                e->view.now = e->released;
                e->next_minute = (e->released.ms / SW_MINUTE + 1) * SW_MINUTE;
        }
        return fold_run(e, &run, true);
}

/* The end of a replay, or idle: the watermark is the newest time that is believed. */
static bool is_final(const struct sw_engine *e, struct sw_etime watermark)
{
        struct sw_etime newest = sw_etime_is_none(e->believed) ? sw_hold_start(&e->hold) : e->believed;

        return watermark.ms == newest.ms;
}

int sw__engine_release(struct sw_engine *e, struct sw_etime watermark)
{
        int r = 0;

        if (sw_etime_is_none(watermark) || (!sw_etime_is_none(e->released) && watermark.ms < e->released.ms))
                return 0;
        if (e->hold.n && is_final(e, watermark)) {
                struct sw_etime until = { INT64_MAX };

                if (!sw_etime_is_none(e->wall))
                        until = sw_etime_add(e->wall, e->conf.future_ms);
                r = sw_hold_take(&e->hold, SW_ETIME_NONE, until, sw__engine_believe, e);
                watermark = sw_etime_max(watermark, e->believed);
        }
        if (r == 0)
                r = sw__engine_settle(e, watermark);
        return r < 0 ? r : sw__engine_fold(e, watermark);
}

int sw__engine_fold(struct sw_engine *e, struct sw_etime watermark)
{
        int64_t second;
        int r = 0;

        if (e->reorder.late.n)
                r = release_late(e);
        if (r == 0 && sw_etime_is_none(e->view.now) && sw_reorder_next(&e->reorder, &second) &&
                second * SW_SECOND <= watermark.ms) {
                e->view.now.ms = second * SW_SECOND;
                e->next_minute = (second * SW_SECOND + SW_MINUTE - 1) / SW_MINUTE * SW_MINUTE;
        }
        while (r == 0 && !sw_etime_is_none(e->view.now) && release_next(e, watermark, &second)) {
                struct sw_etime end = { second * SW_SECOND + SW_SECOND - 1 };

                r = release_second(e, second, sw_etime_min(end, watermark));
                if (end.ms >= watermark.ms)
                        break;
        }
        if (r < 0)
                return r;
        if (!sw_etime_is_none(e->view.now))
                e->view.now = sw_etime_max(e->view.now, watermark);
        e->released = watermark;
        sw_dedupe_expire(&e->dedupe, watermark);
        return 0;
}

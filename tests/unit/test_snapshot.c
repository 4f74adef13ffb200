/* SPDX-License-Identifier: Apache-2.0 */
#include "../lib/play.h"
#include "engine/engine_int.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static void assert_same_text(const struct sw_buf *a, size_t from, const struct sw_buf *b, const char *what)
{
        cr_assert_eq(a->n - from, b->n, "%s: %zu and %zu bytes", what, a->n - from, b->n);
        cr_assert(b->n == 0 || memcmp(a->p + from, b->p, b->n) == 0, "%s", what);
}

#define N_CUTS 5u

/* One engine plays to the end and is saved on the way; others go on from there. */
static void play_cut(struct play *p)
{
        struct sw_engine *whole = play_fresh(p), *e;
        struct sw_actions out = { 0 }, rest = { 0 };
        struct play_bytes saved[N_CUTS], again;
        uint32_t at[N_CUTS], i, done = 0;
        size_t findings[N_CUTS], signals[N_CUTS];
        char *want, *got;

        for (i = 0; i < N_CUTS; i++) {
                at[i] = (uint32_t)((uint64_t)p->n * (i * 2 + 1) / (N_CUTS * 2)) + i;
                play_run(p, whole, &out, done, at[i]);
                done = at[i];
                findings[i] = out.findings.text.n;
                signals[i] = out.signals.text.n;
                saved[i] = play_save(whole, "");
        }
        play_run(p, whole, &out, done, p->n);
        want = play_stats(whole);
        cr_assert_gt(out.findings.n, 3);
        cr_assert_gt(out.signals.n, 10);
        for (i = 0; i < N_CUTS; i++) {
                e = play_load(p, &saved[i]);
                again = play_save(e, "");
                cr_assert_eq(again.n, saved[i].n);
                cr_assert_eq(memcmp(again.p, saved[i].p, again.n), 0, "a loaded engine is saved as the same bytes");
                free(again.p);
                play_run(p, e, &rest, at[i], p->n);
                assert_same_text(&out.findings.text, findings[i], &rest.findings.text, "findings");
                assert_same_text(&out.signals.text, signals[i], &rest.signals.text, "signals");
                got = play_stats(e);
                cr_assert_str_eq(got, want);
                free(got);
                sw_engine_free(e);
                sw_actions_reset(&rest);
                free(saved[i].p);
        }
        sw_buf_deinit(&(struct sw_buf){ .p = want });
        sw_engine_free(whole);
        sw_actions_deinit(&out);
        sw_actions_deinit(&rest);
}

Test(snapshot, a_loaded_engine_goes_on_as_if_nothing_had_happened)
{
        struct play p;

        play_init(&p, 5, 8);
        play_cut(&p);
        play_deinit(&p);
}

Test(snapshot, also_with_wrong_clocks_late_and_repeated_records)
{
        struct play p;

        play_init(&p, 6, 6);
        p.odd = true;
        play_cut(&p);
        play_deinit(&p);
}

Test(snapshot, also_while_tables_are_full)
{
        struct play p;
        struct sw_engine *e;
        struct sw_actions out = { 0 };

        play_init(&p, 7, 6);
        p.odd = true;
        p.conf.memory_limit_bytes = 8 << 20;
        e = play_fresh(&p);
        play_run(&p, e, &out, 0, p.n);
        cr_assert_gt(sw_engine_stats(e).evicted, 100);
        sw_engine_free(e);
        sw_actions_deinit(&out);
        play_cut(&p);
        play_deinit(&p);
}

/* ---- while the engine goes on ---- */

struct slow {
        struct sw_snapshot *s;
        struct play_bytes b;
        size_t cap;
        bool is_over;
};

static void slow_read(struct slow *x, size_t n)
{
        size_t got = 0;

        if (x->is_over)
                return;
        if (x->cap - x->b.n < n)
                x->b.p = realloc(x->b.p, x->cap = x->cap * 2 + n);
        cr_assert_eq(sw_snapshot_read(x->s, x->b.p + x->b.n, n, &got), 0);
        x->b.n += got;
        x->is_over = got == 0;
}

static void slow_wait(void *ctx)
{
        slow_read(ctx, 4096);
}

static int blind(void *ctx, const struct sw_region *r, enum sw_group group)
{
        (void)ctx;
        (void)group;
        if (r->table)
                r->table->guard = NULL;
        if (r->pool)
                r->pool->guard = NULL;
        return 0;
}

/* Saves at once, then again while playing on from there: same content? guarded false: a negative control. */
static bool play_slow(struct play *p, uint32_t from, size_t per_message, bool guarded, uint64_t *ret_waits)
{
        struct slow x = { 0 };
        struct sw_snapshot_conf conf = { .extra = SW_STR("x"), .buffer_bytes = 1, .wait = slow_wait, .ctx = &x };
        struct sw_engine *e = play_fresh(p), *loaded = NULL;
        struct sw_actions out = { 0 };
        struct play_bytes once, again = { 0 };
        struct sw_err err = SW_ERR_NULL;
        bool same;
        uint32_t i;

        play_run(p, e, &out, 0, from);
        once = play_save(e, "x");
        cr_assert_eq(sw_snapshot_begin_as(e, &conf, &x.s), 0);
        if (!guarded)
                cr_assert_eq(sw__engine_each(e, blind, NULL), 0);
        for (i = from; i < p->n && !x.is_over; i++) {
                play_run(p, e, &out, i, i + 1);
                slow_read(&x, per_message);
        }
        while (!x.is_over)
                slow_read(&x, 65536);
        if (ret_waits) {
                *ret_waits = sw_snapshot_stats(x.s).waits;
                cr_assert_gt(sw_snapshot_stats(x.s).chunks_copied_ahead, 100);
        }
        sw_snapshot_end(x.s);
        same = sw_engine_load(&p->conf, play_source, &x.b, NULL, NULL, &loaded, &err) == 0;
        cr_assert(same || !guarded, "%s", err.msg);
        if (same)
                again = play_save(loaded, "x");
        same = same && again.n == once.n && memcmp(again.p, once.p, once.n) == 0;
        sw_engine_free(loaded);
        sw_engine_free(e);
        sw_actions_deinit(&out);
        free(once.p);
        free(again.p);
        free(x.b.p);
        return same;
}

Test(snapshot, what_is_read_slowly_is_what_was_there_at_begin)
{
        struct play p;
        uint64_t waits;

        play_init(&p, 8, 6);
        p.odd = true;
        cr_assert(play_slow(&p, p.n / 3, 10000, true, &waits));
        cr_assert(play_slow(&p, p.n / 2, 700, true, &waits));
        cr_assert_gt(waits, 0, "the copy buffers were full");
        cr_assert(play_slow(&p, p.n * 3 / 4, 40000, true, NULL));
        play_deinit(&p);
}

Test(snapshot, without_the_guard_it_would_not_be)
{
        struct play p;

        play_init(&p, 8, 6);
        cr_assert_not(play_slow(&p, p.n / 2, 20000, false, NULL));
        play_deinit(&p);
}

Test(snapshot, one_at_a_time_and_given_up_any_time)
{
        struct play p;
        struct sw_engine *e;
        struct sw_actions out = { 0 };
        struct sw_snapshot *s, *second;
        char buf[100];
        size_t n;

        play_init(&p, 9, 2);
        e = play_fresh(&p);
        play_run(&p, e, &out, 0, p.n / 2);
        cr_assert_eq(sw_snapshot_begin(e, SW_STR(""), &s), 0);
        cr_assert_eq(sw_snapshot_begin(e, SW_STR(""), &second), -SW_ERR_UNAVAIL);
        cr_assert_eq(sw_snapshot_read(s, buf, sizeof(buf), &n), 0);
        sw_snapshot_abandon(s);
        cr_assert_eq(sw_snapshot_read(s, buf, sizeof(buf), &n), -SW_ERR_UNAVAIL);
        play_run(&p, e, &out, p.n / 2, p.n); /* nobody reads, and nobody waits */
        cr_assert_null(sw_snapshot_end(s));
        cr_assert_null(sw_snapshot_end(NULL));
        cr_assert_eq(sw_snapshot_begin(e, SW_STR(""), &s), 0);
        sw_snapshot_end(s);
        sw_engine_free(e);
        sw_actions_deinit(&out);
        play_deinit(&p);
}

/* What sw_engine_stats() works out when it is asked; everything else must be saved. */
static bool is_derived(const uint64_t *word, const struct sw_engine_stats *s)
{
        return word == &s->connections || word == &s->edges || word == &s->hosts || word == &s->connections_reversed ||
               word == &s->evicted || word == &s->reorder_tuples || word == &s->findings_folded || word == &s->bytes;
}

Test(snapshot, every_counter_comes_back)
{
        struct sw_engine *e, *loaded;
        struct play_bytes b;
        uint64_t *words;
        struct play p;
        size_t i;

        play_init(&p, 9, 1);
        e = play_fresh(&p);
        words = (uint64_t *)(void *)&e->stats;
        for (i = 0; i < offsetof(struct sw_engine_stats, late_flow_log) / sizeof(*words); i++)
                words[i] = 1000 + i;
        b = play_save(e, "");
        loaded = play_load(&p, &b);
        for (i = 0; i < offsetof(struct sw_engine_stats, late_flow_log) / sizeof(*words); i++) {
                const uint64_t *got = (const uint64_t *)(const void *)&loaded->stats + i;

                cr_assert(is_derived(got, &loaded->stats) || *got == 1000 + i, "word %zu of the statistics", i);
        }
        sw_engine_free(e);
        sw_engine_free(loaded);
        free(b.p);
        play_deinit(&p);
}

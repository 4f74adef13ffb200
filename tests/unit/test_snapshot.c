/* SPDX-License-Identifier: Apache-2.0 */
#include "../lib/play.h"
#include "engine/engine_int.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static struct sw_engine *fresh(const struct play *p)
{
        const struct sw_hash_key seed = { 11, 22 };
        struct sw_err err = SW_ERR_NULL;
        struct sw_engine *e;

        cr_assert_eq(sw_engine_new(&p->conf, &seed, &e, &err), 0, "%s", err.msg);
        return e;
}

static void assert_same_text(const struct sw_buf *a, size_t from, const struct sw_buf *b, const char *what)
{
        cr_assert_eq(a->n - from, b->n, "%s: %zu and %zu bytes", what, a->n - from, b->n);
        cr_assert(b->n == 0 || memcmp(a->p + from, b->p, b->n) == 0, "%s", what);
}

#define N_CUTS 5u

/* One engine plays to the end and is saved on the way; others go on from there. */
static void play_cut(struct play *p)
{
        struct sw_engine *whole = fresh(p), *e;
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
        e = fresh(&p);
        play_run(&p, e, &out, 0, p.n);
        cr_assert_gt(sw_engine_stats(e).evicted, 100);
        sw_engine_free(e);
        sw_actions_deinit(&out);
        play_cut(&p);
        play_deinit(&p);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The engine without memory, with a listener that fails, and with buffers that are full in every way. What fails ends
 * the step with its own error, wherever in it that happens, and leaves an engine that can be freed. */
#include "../lib/fail.h"
#include "../lib/fail_alloc.h"
#include "../lib/play.h"
#include "base/alloc.h"
#include "engine/engine_int.h"

#include <criterion/criterion.h>
#include <limits.h>

FAIL_ALLOC(fail_now())
FAIL_RESERVE(fail_now())

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STEP 7
#else
#define STEP 1
#endif

static struct play network;

static void setup(void)
{
        play_init(&network, 4, 2);
        network.odd = true;
        network.conf.memory_limit_bytes = 12 << 20;
}

static void teardown(void)
{
        play_deinit(&network);
}

TestSuite(engine_faults, .init = setup, .fini = teardown);

static bool same_text(const struct sw_lines *a, const struct sw_lines *b)
{
        return a->text.n == b->text.n && (a->text.n == 0 || memcmp(a->text.p, b->text.p, a->text.n) == 0);
}

Test(engine_faults, any_allocation_may_fail, .timeout = 200)
{
        struct sw_engine *e = play_fresh(&network);
        struct sw_actions undisturbed = { 0 };
        unsigned long at, n_failed = 0;
        uint64_t evicted;
        bool hit = true;

        play_run(&network, e, &undisturbed, 0, network.n);
        evicted = sw_engine_stats(e).evicted;
        sw_engine_free(e);
        cr_assert_gt(undisturbed.findings.n, 0);
        for (at = 1; hit; at += (at < 300 ? 3 : 17) * STEP) {
                struct sw_actions out = { 0 };
                int r;

                e = play_fresh(&network);
                fail_arm(at, false);
                r = play_try(&network, e, &out, 0, network.n);
                hit = fail_disarm();
                cr_assert(r == 0 || r == -SW_ERR_NOMEM, "allocation %lu: %d", at, r);
                n_failed += r != 0;
                if (r == 0) {
                        bool same = same_text(&out.findings, &undisturbed.findings) &&
                                    same_text(&out.signals, &undisturbed.signals);

                        /* a table that cannot grow is a full one: what it loses is counted */
                        cr_assert(same || sw_engine_stats(e).evicted > evicted, "allocation %lu", at);
                }
                sw_engine_free(e);
                sw_actions_deinit(&out);
        }
        cr_assert_gt(n_failed, 10 / STEP);
        sw_actions_deinit(&undisturbed);
}

/* ---- a listener that fails ---- */

static unsigned long events_left;

static int fail_on_event(void *ctx, const struct sw_view *view, const struct sw_conn_event *ev)
{
        (void)ctx;
        (void)view;
        (void)ev;
        return events_left-- == 0 ? -SW_ERR_IO : 0;
}

Test(engine_faults, what_a_listener_returns_ends_the_step_wherever_it_is, .timeout = 200)
{
        const struct sw_engine_tap tap = { .on_event = fail_on_event };
        unsigned long at, n_failed = 0;
        int r = -1;

        for (at = 0; r != 0; at += (at < 40 ? 3 : 611) * STEP) {
                struct sw_engine *e = play_fresh(&network);
                struct sw_actions out = { 0 };

                sw_engine_set_tap(e, &tap);
                events_left = at;
                r = play_try(&network, e, &out, 0, network.n);
                cr_assert(r == 0 || r == -SW_ERR_IO, "event %lu: %d", at, r);
                cr_assert_eq(r == 0, events_left <= at, "event %lu", at);
                n_failed += r != 0;
                sw_engine_free(e);
                sw_actions_deinit(&out);
        }
        cr_assert_gt(n_failed, 20 / STEP);
}

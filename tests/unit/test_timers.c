/* SPDX-License-Identifier: Apache-2.0 */
#include "aggregate/timers.h"

#include <criterion/criterion.h>
#include <stdio.h>

#define T0 INT64_C(1767571200000)

static struct sw_etime at(int64_t ms)
{
        return (struct sw_etime){ T0 + ms };
}

/* Fires everything up to `until`, second by second as the engine does, and lists "id@ms". */
static void fire(struct sw_timers *t, int64_t until, char *ret, size_t size)
{
        int64_t second;
        size_t n = 0;

        ret[0] = '\0';
        while (sw_timers_next_second(t, &second) && second * SW_SECOND <= T0 + until) {
                struct sw_etime end = { second * SW_SECOND + SW_SECOND - 1 }, due;

                if (end.ms > T0 + until)
                        end.ms = T0 + until;
                while (!sw_etime_is_none(due = sw_timers_next(t, end))) {
                        uint32_t id = sw_timers_pop(t);

                        n += (size_t)snprintf(ret + n, size - n, "%u@%lld ", id, (long long)(due.ms - T0));
                }
                if (end.ms == T0 + until)
                        break;
        }
}

Test(timers, fire_by_deadline_then_by_order_of_arming)
{
        struct sw_timers *t = sw_timers_new(1 << 20);
        char got[200];

        sw_timers_arm(t, at(0), at(2500), 1);
        sw_timers_arm(t, at(0), at(1000), 2);
        sw_timers_arm(t, at(0), at(2500), 3);
        sw_timers_arm(t, at(0), at(2499), 4);
        fire(t, 2499, got, sizeof(got));
        cr_assert_str_eq(got, "2@1000 4@2499 ");
        fire(t, 10000, got, sizeof(got));
        cr_assert_str_eq(got, "1@2500 3@2500 ");
        cr_assert_eq(t->n_armed, 0);
        sw_timers_free(t);
}

Test(timers, a_timer_armed_for_the_second_that_is_being_fired_still_fires)
{
        struct sw_timers *t = sw_timers_new(1 << 20);
        char got[200];

        sw_timers_arm(t, at(0), at(1100), 1);
        sw_timers_arm(t, at(0), at(1900), 2);
        fire(t, 1100, got, sizeof(got));
        cr_assert_str_eq(got, "1@1100 ");
        sw_timers_arm(t, at(1100), at(1500), 3);
        sw_timers_arm(t, at(1100), at(1900), 4);
        sw_timers_arm(t, at(1100), at(1101), 5);
        fire(t, 1999, got, sizeof(got));
        cr_assert_str_eq(got, "5@1101 3@1500 2@1900 4@1900 ");
        sw_timers_arm(t, at(1950), at(1960), 6);
        fire(t, 3000, got, sizeof(got));
        cr_assert_str_eq(got, "6@1960 ");
        sw_timers_free(t);
}

Test(timers, far_deadlines_fire_early_and_never_after_a_wrong_turn)
{
        struct sw_timers *t = sw_timers_new(1 << 20);
        struct sw_etime due = sw_timers_arm(t, at(0), at(100 * SW_DAY), 1);
        char got[200], want[64];

        cr_assert_eq(due.ms, T0 + SW_TIMERS_MAX_MS);
        fire(t, SW_TIMERS_MAX_MS - 1, got, sizeof(got));
        cr_assert_str_eq(got, "");
        /* Nearly a turn later: the bucket before the one that is due must not be mistaken for it. */
        sw_timers_arm(t, at(SW_TIMERS_MAX_MS - 1), at(2 * SW_TIMERS_MAX_MS - 1), 2);
        fire(t, SW_TIMERS_MAX_MS, got, sizeof(got));
        (void)snprintf(want, sizeof(want), "1@%lld ", (long long)SW_TIMERS_MAX_MS);
        cr_assert_str_eq(got, want);
        fire(t, 3 * SW_TIMERS_MAX_MS, got, sizeof(got));
        (void)snprintf(want, sizeof(want), "2@%lld ", (long long)(2 * SW_TIMERS_MAX_MS - 1));
        cr_assert_str_eq(got, want);
        sw_timers_free(t);
}

Test(timers, a_long_silence_is_skipped)
{
        struct sw_timers *t = sw_timers_new(1 << 20);
        char got[200];

        sw_timers_arm(t, at(0), at(1000), 1);
        fire(t, 365 * SW_DAY, got, sizeof(got));
        cr_assert_str_eq(got, "1@1000 ");
        sw_timers_arm(t, at(365 * SW_DAY), at(365 * SW_DAY + 5), 2);
        fire(t, 365 * SW_DAY + 4, got, sizeof(got));
        cr_assert_str_eq(got, "");
        fire(t, 365 * SW_DAY + 5, got, sizeof(got));
        cr_assert_str_eq(got, "2@31536000005 ");
        sw_timers_free(t);
}

Test(timers, agree_with_a_sorted_list_under_random_use)
{
        struct sw_timers *t = sw_timers_new(4 << 20);
        static int64_t due[20000];
        uint32_t rng = 12345, n = 0, fired = 0, i;
        int64_t now = 0, last = 0;

        while (n < 20000 || fired < n) {
                struct sw_etime next;
                int64_t second;

                for (i = 0; i < 20 && n < 20000; i++) {
                        rng = rng * 1664525 + 1013904223;
                        due[n] = now + 1 + rng % 700000;
                        cr_assert_eq(sw_timers_arm(t, at(now), at(due[n]), n).ms, T0 + due[n]);
                        n++;
                }
                cr_assert(sw_timers_next_second(t, &second));
                next = sw_timers_next(t, (struct sw_etime){ second * SW_SECOND + SW_SECOND - 1 });
                if (sw_etime_is_none(next)) {
                        now = second * SW_SECOND + SW_SECOND - T0;
                        continue;
                }
                now = next.ms - T0;
                cr_assert_geq(now, last);
                cr_assert_eq(due[sw_timers_pop(t)], now);
                last = now;
                fired++;
        }
        cr_assert_eq(t->n_armed, 0);
        cr_assert_eq(t->n_dropped, 0);
        sw_timers_free(t);
}

Test(timers, memory_is_bounded_and_losses_are_counted)
{
        size_t limit = sizeof(struct sw_timers) + 8192;
        struct sw_timers *t = sw_timers_new(limit);
        uint32_t i;

        for (i = 0; i < 5000; i++)
                sw_timers_arm(t, at(0), at(1000 + i % 3 * 1000), i);
        cr_assert_gt(t->n_dropped, 0);
        cr_assert_eq(t->n_armed + t->n_dropped, 5000);
        cr_assert_leq(t->bytes, limit);
        sw_timers_free(t);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "detect/window.h"

#include <criterion/criterion.h>

#define T0 INT64_C(1767225600000)

static struct sw_window w;

static struct sw_window_item *add(int64_t ms, uint32_t key, uint16_t port)
{
        struct sw_addr a = sw_addr_v4(key);

        return sw_window_add(&w, (struct sw_etime){ T0 + ms }, (struct sw_window_item){ .key = key, .port = port },
                sw_window_hash(&a, port), SW_DAY);
}

static struct sw_etime at(int64_t ms)
{
        return (struct sw_etime){ T0 + ms };
}

Test(window, counts_up_to_one_millisecond_before_the_edge)
{
        add(0, 1, 0);
        cr_assert_eq(sw_window_count(&w, at(5 * SW_MINUTE - 1), 5 * SW_MINUTE, 0, 0), 1);
        cr_assert_eq(sw_window_count(&w, at(5 * SW_MINUTE), 5 * SW_MINUTE, 0, 0), 0);
}

Test(window, counts_the_same_key_once_and_refreshes_it)
{
        add(0, 1, 80);
        add(1000, 1, 80);
        add(2000, 1, 81);
        cr_assert_eq(w.n, 2);
        cr_assert_eq(sw_window_count(&w, at(301000 - 1), 5 * SW_MINUTE, 0, 0), 2);
        cr_assert_eq(sw_window_count(&w, at(301000), 5 * SW_MINUTE, 0, 0), 1);
}

Test(window, is_exact_at_63_and_64_and_estimates_beyond)
{
        uint32_t i;

        for (i = 0; i < 63; i++)
                add(i, i, 0);
        cr_assert_eq(sw_window_value(&w, at(100), SW_MINUTE), 63);
        add(63, 63, 0);
        cr_assert_geq(sw_window_value(&w, at(100), SW_MINUTE), 64);
        for (; i < 1000; i++)
                add(i, i, 0);
        cr_assert_eq(w.n, SW_WINDOW_CAP);
        cr_assert_gt(sw_window_value(&w, at(1000), SW_MINUTE), 800);
        cr_assert_lt(sw_window_value(&w, at(1000), SW_MINUTE), 1200);
}

Test(window, drops_the_least_recent_item_when_it_is_full)
{
        uint32_t i;

        for (i = 0; i < 65; i++)
                add(i * 1000, i, 0);
        cr_assert_not(sw_window_remove(&w, 0, 0));
        cr_assert(sw_window_remove(&w, 1, 0));
        cr_assert(sw_window_remove(&w, 64, 0));
}

Test(window, forgets_what_it_saw_before_a_long_sleep)
{
        uint32_t i;

        for (i = 0; i < 10; i++)
                add(0, i, 0);
        /* 2^32 ms later the 32-bit stamps look fresh; they must not count. */
        add((INT64_C(1) << 32) + 5, 99, 0);
        cr_assert_eq(w.n, 1);
        cr_assert_eq(sw_window_count(&w, at((INT64_C(1) << 32) + 5), SW_DAY, 0, 0), 1);
}

Test(window, takes_late_adds_without_turning_time_back)
{
        add(10 * SW_MINUTE, 1, 0);
        add(6 * SW_MINUTE, 2, 0);
        cr_assert_eq(w.last_ms, T0 + 10 * SW_MINUTE);
        cr_assert_eq(sw_window_count(&w, at(10 * SW_MINUTE), 5 * SW_MINUTE, 0, 0), 2);
        cr_assert_eq(sw_window_count(&w, at(11 * SW_MINUTE), 5 * SW_MINUTE, 0, 0), 1);
}

Test(window, does_not_refresh_an_item_backwards)
{
        add(10 * SW_MINUTE, 1, 0);
        add(6 * SW_MINUTE, 1, 0);
        cr_assert_eq(sw_window_count(&w, at(14 * SW_MINUTE), 5 * SW_MINUTE, 0, 0), 1);
}

Test(window, starts_a_new_estimate_after_a_quiet_hour)
{
        uint32_t i;

        for (i = 0; i < 500; i++)
                add(i, i, 0);
        add(2 * SW_HOUR, 7, 0);
        cr_assert_leq(sw_window_estimate(&w), 1);
        cr_assert_eq(w.burst_ms, T0 + 2 * SW_HOUR);
}

static uint64_t next_random(uint64_t *x)
{
        *x ^= *x << 13;
        *x ^= *x >> 7;
        *x ^= *x << 17;
        return *x;
}

/* The window looks for what is over only when something may be: nobody can tell. */
Test(window, forgets_at_the_millisecond_also_what_came_late)
{
        static struct {
                int64_t last;
                bool in;
        } truth[40];
        uint64_t x = 88172645463325252ULL;
        int64_t ms = SW_DAY, newest = 0;
        unsigned step, k, n;

        for (step = 0; step < 20000; step++) {
                uint64_t r = next_random(&x);
                int64_t late = r >> 60 == 0 ? (int64_t)(r >> 8) % SW_HOUR : 0, at;

                ms += (int64_t)(r >> 20) % (step % 64 ? 20 * SW_MINUTE : 9 * SW_HOUR);
                at = ms - late;
                newest = at > newest ? at : newest;
                for (k = 0; k < 40; k++)
                        truth[k].in = truth[k].in && newest - truth[k].last < SW_DAY;
                k = (unsigned)(r >> 40) % 40;
                if (!truth[k].in || truth[k].last < at)
                        truth[k].last = at;
                truth[k].in = true;
                (void)add(at, k, 0);
                for (k = n = 0; k < 40; k++)
                        n += truth[k].in;
                cr_assert_eq(w.n, n, "step %u", step);
        }
}

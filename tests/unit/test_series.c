/* SPDX-License-Identifier: Apache-2.0 */
#include "detect/series.h"

#include <criterion/criterion.h>

static void add(struct sw_series *s, uint32_t minute, uint64_t forward, uint64_t reverse)
{
        sw_series_add(
                sw_series_ref(s), (struct sw_etime){ (int64_t)(29453760 + minute) * SW_MINUTE + 17 }, forward, reverse);
}

static bool in_step(struct sw_series *x, struct sw_series *y, unsigned min_common, unsigned min_pct)
{
        struct sw_series_ref a = sw_series_ref(x), b = sw_series_ref(y);

        return sw_series_in_step(&a, &b, min_common, min_pct);
}

Test(series, needs_enough_common_minutes)
{
        struct sw_series a = { 0 }, b = { 0 };
        uint32_t i;

        for (i = 0; i < 3; i++) {
                add(&a, i, 100 * i, 7 * i);
                add(&b, i, 100 * i + 5, 7 * i + 1);
        }
        cr_assert_not(in_step(&a, &b, 4, 80));
        add(&a, 3, 900, 50);
        cr_assert_not(in_step(&a, &b, 4, 80));
        add(&b, 3, 901, 52);
        cr_assert(in_step(&a, &b, 4, 80));
}

Test(series, needs_both_directions)
{
        struct sw_series a = { 0 }, b = { 0 };
        uint32_t i;

        for (i = 0; i < 8; i++) {
                add(&a, i, 100 * i, 100 * i);
                add(&b, i, 100 * i, 100 * (8 - i));
        }
        cr_assert_not(in_step(&a, &b, 4, 80));
}

Test(series, takes_a_constant_rate_for_no_evidence)
{
        struct sw_series a = { 0 }, b = { 0 };
        uint32_t i;

        for (i = 0; i < 8; i++) {
                add(&a, i, 100, 100);
                add(&b, i, 100, 100);
        }
        cr_assert_not(in_step(&a, &b, 4, 80));
}

Test(series, adds_up_within_a_minute_and_keeps_the_last_sixteen)
{
        struct sw_series a = { 0 };
        uint32_t i;

        for (i = 0; i < 20; i++) {
                add(&a, i, 1, 2);
                add(&a, i, 1, UINT64_MAX);
        }
        cr_assert_eq(a.n, SW_SERIES_LENGTH);
        cr_assert_eq(a.points[0].minute, 29453760 + 4);
        cr_assert_eq(a.points[15].forward, 2);
        cr_assert_eq(a.points[15].reverse, UINT32_MAX);
}

Test(series, of_few_points_drops_the_oldest_and_says_before_that_it_is_full)
{
        struct sw_series_point points[3] = { 0 };
        uint32_t n = 0, i;
        struct sw_series_ref s = { points, &n, 3 };

        for (i = 1; i <= 3; i++) {
                struct sw_etime t = { i * SW_MINUTE };

                cr_assert_not(sw_series_is_full(&s, t));
                sw_series_add(s, t, i, 0);
        }
        cr_assert_not(sw_series_is_full(&s, (struct sw_etime){ 4 * SW_MINUTE - 1 }), "the same minute needs none");
        cr_assert(sw_series_is_full(&s, (struct sw_etime){ 4 * SW_MINUTE }));
        sw_series_add(s, (struct sw_etime){ 4 * SW_MINUTE }, 4, 0);
        cr_assert_eq(n, 3);
        cr_assert_eq(points[0].minute, 2);
        cr_assert_eq(points[2].forward, 4);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "detect/series.h"

#include <criterion/criterion.h>

static void add(struct sw_series *s, uint32_t minute, uint64_t forward, uint64_t reverse)
{
        sw_series_add(s, (struct sw_etime){ (int64_t)(29453760 + minute) * SW_MINUTE + 17 }, forward, reverse);
}

Test(series, needs_enough_common_minutes)
{
        struct sw_series a = { 0 }, b = { 0 };
        uint32_t i;

        for (i = 0; i < 3; i++) {
                add(&a, i, 100 * i, 7 * i);
                add(&b, i, 100 * i + 5, 7 * i + 1);
        }
        cr_assert_not(sw_series_in_step(&a, &b, 4, 80));
        add(&a, 3, 900, 50);
        cr_assert_not(sw_series_in_step(&a, &b, 4, 80));
        add(&b, 3, 901, 52);
        cr_assert(sw_series_in_step(&a, &b, 4, 80));
}

Test(series, needs_both_directions)
{
        struct sw_series a = { 0 }, b = { 0 };
        uint32_t i;

        for (i = 0; i < 8; i++) {
                add(&a, i, 100 * i, 100 * i);
                add(&b, i, 100 * i, 100 * (8 - i));
        }
        cr_assert_not(sw_series_in_step(&a, &b, 4, 80));
}

Test(series, takes_a_constant_rate_for_no_evidence)
{
        struct sw_series a = { 0 }, b = { 0 };
        uint32_t i;

        for (i = 0; i < 8; i++) {
                add(&a, i, 100, 100);
                add(&b, i, 100, 100);
        }
        cr_assert_not(sw_series_in_step(&a, &b, 4, 80));
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

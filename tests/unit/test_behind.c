/* SPDX-License-Identifier: Apache-2.0 */
#include "behind.h"

#include <criterion/criterion.h>

Test(behind, one_that_stands_still_is_counted_from_the_first_step)
{
        struct sw_behind b = { 0 };

        cr_assert_eq(sw_behind_step(&b, 100, 1000), 0);
        cr_assert_eq(sw_behind_step(&b, 100, 1050), 50);
        cr_assert_eq(sw_behind_step(&b, 250, 601000), 600000, "the others went on");
}

Test(behind, one_that_moves_as_fast_as_the_others_does_not_come_closer)
{
        struct sw_behind b = { 0 };
        int64_t i, r = 0;

        for (i = 0; i <= 600; i++)
                r = sw_behind_step(&b, 7200000 + i % 2, i * 1000);
        cr_assert_eq(r, 600000);
}

Test(behind, coming_closer_by_a_millisecond_counts_anew)
{
        struct sw_behind b = { 0 };

        sw_behind_step(&b, 100, 0);
        cr_assert_eq(sw_behind_step(&b, 99, 599999), 0);
        cr_assert_eq(sw_behind_step(&b, 100, 600000), 1, "further again: compared with the closest");
        cr_assert_eq(sw_behind_step(&b, 99, 600001), 2);
}

Test(behind, reset_counts_anew)
{
        struct sw_behind b = { 0 };

        sw_behind_step(&b, INT64_MAX, 0);
        cr_assert_eq(sw_behind_step(&b, INT64_MAX, 5), 5);
        sw_behind_reset(&b);
        cr_assert_eq(sw_behind_step(&b, INT64_MAX, 9), 0);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "aggregate/dedupe.h"

#include <criterion/criterion.h>

#define T0 INT64_C(1767571200000)
static const struct sw_hash_key seed = { 1, 2 };

static int check(struct sw_dedupe *d, uint64_t fingerprint, int64_t ms, int64_t watermark)
{
        return sw_dedupe_check(d, (struct sw_u128){ fingerprint, 7 }, (struct sw_etime){ T0 + ms },
                watermark < 0 ? SW_ETIME_NONE : (struct sw_etime){ T0 + watermark });
}

Test(dedupe, remembers_for_the_window_and_refuses_what_is_older)
{
        struct sw_dedupe d;
        int64_t w = 5 * SW_HOUR;

        cr_assert_eq(sw_dedupe_init(&d, 2 * SW_HOUR, 1 << 20, &seed), 0);
        cr_assert_eq(check(&d, 1, 0, -1), SW_DEDUPE_NEW);
        cr_assert_eq(check(&d, 1, 0, -1), SW_DEDUPE_DUPLICATE);
        cr_assert_eq(check(&d, 2, w, w), SW_DEDUPE_NEW);
        cr_assert_eq(check(&d, 3, w - 2 * SW_HOUR, w), SW_DEDUPE_NEW);
        cr_assert_eq(check(&d, 4, w - 2 * SW_HOUR - 1, w), SW_DEDUPE_OLD);
        cr_assert_eq(check(&d, 4, w - 2 * SW_HOUR - 1, w), SW_DEDUPE_OLD, "what is old is not remembered");
        sw_dedupe_expire(&d, (struct sw_etime){ T0 + w });
        cr_assert_eq(d.table.n_used, 2, "the one from before the window is forgotten");
        cr_assert_eq(check(&d, 2, w, w), SW_DEDUPE_DUPLICATE);
        cr_assert_eq(check(&d, 3, w - 2 * SW_HOUR, w), SW_DEDUPE_DUPLICATE);
        sw_dedupe_expire(&d, (struct sw_etime){ T0 + 30 * SW_DAY });
        cr_assert_eq(d.table.n_used, 0);
        sw_dedupe_deinit(&d);
}

Test(dedupe, the_full_table_forgets_and_counts_and_stays_consistent)
{
        struct sw_dedupe d;
        uint64_t i;

        cr_assert_eq(sw_dedupe_init(&d, 2 * SW_HOUR, 64 << 10, &seed), 0);
        for (i = 0; i < 20000; i++)
                cr_assert_eq(check(&d, i, (int64_t)i * 100, -1), SW_DEDUPE_NEW);
        cr_assert_gt(d.table.n_evicted, 0);
        cr_assert_leq(d.table.bytes, (size_t)64 << 10);
        cr_assert_eq(check(&d, 19999, 1999900, -1), SW_DEDUPE_DUPLICATE);
        for (i = 0; i < 40; i++)
                sw_dedupe_expire(&d, (struct sw_etime){ T0 + 2 * SW_HOUR + (int64_t)i * SW_MINUTE });
        cr_assert_eq(d.table.n_used, 0);
        sw_dedupe_deinit(&d);
}

Test(dedupe, records_far_ahead_share_the_last_bucket_and_are_forgotten_in_time)
{
        struct sw_dedupe d;

        cr_assert_eq(sw_dedupe_init(&d, 2 * SW_HOUR, 1 << 20, &seed), 0);
        cr_assert_eq(check(&d, 1, 0, -1), SW_DEDUPE_NEW);
        cr_assert_eq(check(&d, 2, 400 * SW_DAY, 0), SW_DEDUPE_NEW);
        cr_assert_eq(check(&d, 2, 400 * SW_DAY, 0), SW_DEDUPE_DUPLICATE);
        sw_dedupe_expire(&d, (struct sw_etime){ T0 + 2 * SW_DAY });
        cr_assert_eq(d.table.n_used, 0);
        sw_dedupe_deinit(&d);
}

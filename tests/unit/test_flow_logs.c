/* SPDX-License-Identifier: Apache-2.0 */
#include "flow_logs.h"

#include <criterion/criterion.h>
#include <stdio.h>

#define T0 (SW_ETIME_MIN_MS + SW_DAY)

static struct sw_batch b;
static struct sw_flow_logs l;

static void note(const char *name, int64_t ms, int64_t newest)
{
        struct sw_record *r;

        sw_batch_reset(&b);
        r = sw_batch_add_record(&b);
        *r = (struct sw_record){ .time = { ms }, .flow_log = sw_str_of(name) };
        sw_flow_logs_note(&l, &b, (struct sw_etime){ newest });
}

static void done(void)
{
        sw_batch_deinit(&b);
        sw_flow_logs_deinit(&l);
}

static bool silent(uint32_t i, int64_t now)
{
        return !sw_etime_is_none(sw_flow_log_silent(&l.items[i], (struct sw_etime){ now }));
}

Test(flow_logs, one_that_spoke_every_minute_is_silent_after_an_hour)
{
        int64_t last = 0, i;

        for (i = 0; i <= 60; i++)
                note("/subscriptions/a", last = T0 + i * SW_MINUTE, INT64_MIN);
        cr_assert_eq(l.n, 1);
        cr_assert_not(silent(0, last));
        cr_assert_not(silent(0, last + SW_HOUR));
        cr_assert(silent(0, last + SW_HOUR + 1));
        cr_assert_eq(sw_flow_log_silent(&l.items[0], (struct sw_etime){ last + SW_DAY }).ms, last + SW_HOUR);
        cr_assert_not(!sw_etime_is_none(sw_flow_log_silent(&l.items[0], SW_ETIME_NONE)));
        note("/subscriptions/a", last + SW_DAY, INT64_MIN);
        cr_assert_not(silent(0, last + SW_DAY), "it speaks again");
        done();
}

Test(flow_logs, one_that_speaks_rarely_has_ten_times_its_distance)
{
        int64_t last = 0, i;

        for (i = 0; i < 40; i++)
                note("rare", last = T0 + i * SW_HOUR, INT64_MIN);
        cr_assert_not(silent(0, last + 10 * SW_HOUR));
        cr_assert(silent(0, last + 10 * SW_HOUR + 1));
        done();
}

Test(flow_logs, nothing_is_usual_before_30_records_and_half_an_hour)
{
        int64_t i;

        for (i = 0; i < 29; i++)
                note("few", T0 + i * 2 * SW_MINUTE, INT64_MIN);
        cr_assert_not(silent(0, T0 + SW_DAY));
        note("few", T0 + 58 * SW_MINUTE, INT64_MIN);
        cr_assert(silent(0, T0 + SW_DAY));
        for (i = 0; i < 30; i++)
                note("short", T0 + i * SW_MINUTE, INT64_MIN);
        cr_assert_not(silent(1, T0 + SW_DAY), "29 minutes");
        note("short", T0 + 30 * SW_MINUTE, INT64_MIN);
        cr_assert(silent(1, T0 + SW_DAY));
        done();
}

Test(flow_logs, case_does_not_matter_and_a_wrong_clock_does_not_help)
{
        note("/Sub/A", T0, INT64_MIN);
        note("/SUB/a", T0 + 5, INT64_MIN);
        cr_assert_eq(l.n, 1);
        cr_assert_str_eq(l.items[0].name, "/Sub/A");
        note("/sub/a", T0 + SW_DAY, T0 + 7);
        cr_assert_eq(l.items[0].last.ms, T0 + 7, "what nobody believes yet");
        done();
}

Test(flow_logs, their_number_is_bounded)
{
        char name[32];
        uint32_t i;

        for (i = 0; i < SW_FLOW_LOGS_MAX + 5; i++) {
                snprintf(name, sizeof(name), "log-%u", i);
                note(name, T0 + i, INT64_MIN);
        }
        cr_assert_eq(l.n, SW_FLOW_LOGS_MAX);
        cr_assert_eq(l.n_refused, 5);
        note("log-0", T0 + SW_DAY, INT64_MIN);
        cr_assert_eq(l.items[0].n_records, 2);
        note("", T0, INT64_MIN);
        cr_assert_eq(l.n_refused, 5, "records without a name are nobody's");
        done();
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "base/time.h"

#include <criterion/criterion.h>

static int64_t parse(const char *z)
{
        struct sw_etime t;

        return sw_etime_parse(sw_str_of(z), &t) ? t.ms : -1;
}

Test(time, parses_what_azure_writes)
{
        cr_assert_eq(parse("2024-12-12T04:00:53.1234567Z"), INT64_C(1733976053123));
        cr_assert_eq(parse("2025-04-30T09:07:40.986182+00:00"), INT64_C(1746004060986));
        cr_assert_eq(parse("2024-02-29T23:59:59Z"), INT64_C(1709251199000));
        cr_assert_eq(parse("2024-12-12 04:00:53"), INT64_C(1733976053000));
        cr_assert_eq(parse("2024-12-12T06:00:53+02:00"), INT64_C(1733976053000));
        cr_assert_eq(parse("2024-12-12T01:30:53-02:30"), INT64_C(1733976053000));
        cr_assert_eq(parse("2000-02-29T00:00:00Z"), -1, "before what is accepted");
        cr_assert_eq(parse("2096-02-29T00:00:00Z"), INT64_C(3981312000000));
}

Test(time, refuses_what_is_no_time)
{
        static const char *const bad[] = { "", "2024", "2024-13-01T00:00:00Z", "2023-02-29T00:00:00Z",
                "2024-12-12T24:00:00Z", "2024-12-12T04:00:53.Z", "2024-12-12T04:00:53X", "1999-01-01T00:00:00Z",
                "2024-12-12T04:00:53Z ", "20x4-12-12T04:00:53Z", "2100-02-29T00:00:00Z", "2025-02-29T00:00:00Z",
                "2024-00-01T00:00:00Z", "2024-04-31T00:00:00Z", "2024-12-00T00:00:00Z", "2024-12-12T04:60:00Z",
                "2024-12-12T04:00:53+", "2024-12-12T04:00:53+2:00", "2024-12-12T04:00:53+24:00",
                "2024-12-12T04:00:53+02:60", "2024-12-12T04:00:53+0200x", "2024/12/12T04:00:53Z",
                "2024-12-12X04:00:53Z" };
        size_t i;

        for (i = 0; i < sizeof(bad) / sizeof(*bad); i++)
                cr_assert_eq(parse(bad[i]), -1, "%s", bad[i]);
}

Test(time, format_and_parse_agree)
{
        char text[SW_ETIME_TEXT];
        int64_t ms;

        for (ms = SW_ETIME_MIN_MS; ms < SW_ETIME_MAX_MS; ms += INT64_C(86399999) * 13)
                cr_assert_eq(parse(sw_etime_format((struct sw_etime){ ms }, text)), ms, "%s", text);
}

Test(time, tells_seconds_from_milliseconds)
{
        struct sw_etime t;

        cr_assert(sw_etime_from_epoch(1708978215, &t));
        cr_assert_eq(t.ms, INT64_C(1708978215000));
        cr_assert(sw_etime_from_epoch(UINT64_C(1733975962447), &t));
        cr_assert_eq(t.ms, INT64_C(1733975962447));
        cr_assert_not(sw_etime_from_epoch(12, &t));
        cr_assert_not(sw_etime_from_epoch(UINT64_MAX, &t));
}

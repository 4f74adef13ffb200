/* SPDX-License-Identifier: Apache-2.0 */
#include "quarantine.h"

#include <criterion/criterion.h>
#include <string.h>

static const char *lines(struct sw_buf *out, const struct sw_quarantine_place *place)
{
        struct sw_batch b = SW_BATCH_NULL;

        b.raw = SW_STR("0123456789");
        sw_batch_add_error(&b, SW_REASON_JSON, 7, SW_STR("\"\x1b\n\xff"), true);
        sw_batch_add_error(&b, SW_REASON_TUPLE_PORT, 9, SW_STR("70000"), false);
        sw_quarantine_lines(out, place, &b);
        sw_buf_putc(out, '\0');
        sw_batch_deinit(&b);
        return out->p;
}

Test(quarantine, tells_topic_partition_and_offset)
{
        struct sw_quarantine_place place = {
                .source = "weu", .topic = "flowlogs", .partition = 3, .offset = 42, .time = { 1733976053123 }
        };
        struct sw_buf out = SW_BUF_NULL;

        cr_assert_str_eq(lines(&out, &place),
                "{\"time\":\"2024-12-12T04:00:53.123Z\",\"source\":\"weu\",\"topic\":\"flowlogs\",\"partition\":3,"
                "\"offset\":42,\"byte\":7,\"reason\":\"json\",\"text\":\"not valid JSON\",\"whole_message\":true,"
                "\"bytes\":10,\"excerpt\":\"\\\"\\u001b\\n\xef\xbf\xbd\"}\n"
                "{\"time\":\"2024-12-12T04:00:53.123Z\",\"source\":\"weu\",\"topic\":\"flowlogs\",\"partition\":3,"
                "\"offset\":42,\"byte\":9,\"reason\":\"tuple_port\",\"text\":\"tuple port is not 0..65535\","
                "\"whole_message\":false,\"excerpt\":\"70000\"}\n");
        sw_buf_deinit(&out);
}

Test(quarantine, tells_file_and_byte_without_a_clock)
{
        struct sw_quarantine_place place = { .file = "PT1H.json", .time = SW_ETIME_NONE };
        struct sw_buf out = SW_BUF_NULL;

        cr_assert_eq(strncmp(lines(&out, &place), "{\"file\":\"PT1H.json\",\"byte\":7,", 29), 0);
        sw_buf_deinit(&out);
}

Test(quarantine, keeps_a_small_message_whole_once)
{
        struct sw_quarantine_place place = {
                .source = "weu", .topic = "flowlogs", .time = SW_ETIME_NONE, .keep_bytes = 10
        };
        struct sw_buf out = SW_BUF_NULL, back = SW_BUF_NULL;
        static const char want[] = "\"message_base64\":\"MDEyMzQ1Njc4OQ==\"}\n";
        const char *text = lines(&out, &place), *at = strstr(text, "\"message_base64\":\"");

        cr_assert_not_null(at);
        cr_assert_eq(strncmp(at, want, strlen(want)), 0, "%s", at);
        cr_assert_null(strstr(at + 2, "message_base64"), "the second error of the same message");
        cr_assert(sw_quarantine_message(SW_STR("MDEyMzQ1Njc4OQ=="), &back));
        cr_assert_eq(back.n, 10);
        cr_assert_eq(memcmp(back.p, "0123456789", 10), 0);
        sw_buf_deinit(&out);
        sw_buf_deinit(&back);
}

Test(quarantine, keeps_no_message_that_is_larger_or_of_a_file)
{
        struct sw_quarantine_place topic = { .topic = "t", .time = SW_ETIME_NONE, .keep_bytes = 9 };
        struct sw_quarantine_place file = { .file = "f", .time = SW_ETIME_NONE, .keep_bytes = 10 };
        struct sw_buf out = SW_BUF_NULL;

        cr_assert_null(strstr(lines(&out, &topic), "message_base64"));
        sw_buf_reset(&out);
        cr_assert_null(strstr(lines(&out, &file), "message_base64"));
        sw_buf_deinit(&out);
}

Test(quarantine, reads_any_bytes_back_and_refuses_what_is_no_base64)
{
        static const char *const good[][2] = { { "", "" }, { "AA==", "\0" }, { "AP8=", "\0\xff" },
                { "AP8K", "\0\xff\n" } };
        static const char *const bad[] = { "A", "AAA", "A*==" };
        struct sw_buf back = SW_BUF_NULL;
        size_t i;

        for (i = 0; i < 4; i++) {
                sw_buf_reset(&back);
                cr_assert(sw_quarantine_message(sw_str_of(good[i][0]), &back), "%s", good[i][0]);
                cr_assert_eq(back.n, i);
                cr_assert(i == 0 || memcmp(back.p, good[i][1], i) == 0);
        }
        for (i = 0; i < sizeof(bad) / sizeof(*bad); i++)
                cr_assert_not(sw_quarantine_message(sw_str_of(bad[i]), &back), "%s", bad[i]);
        sw_buf_deinit(&back);
}

Test(quarantine, a_flood_runs_out_of_its_budget_and_gets_it_back_with_time)
{
        struct sw_quarantine_budget b = SW_QUARANTINE_BUDGET_INIT;

        cr_assert(sw_quarantine_budget_take(&b, 5, SW_QUARANTINE_KEEP_BURST));
        cr_assert_not(sw_quarantine_budget_take(&b, 5, 1));
        cr_assert_not(sw_quarantine_budget_take(&b, 1004, SW_QUARANTINE_KEEP_PER_SECOND));
        cr_assert(sw_quarantine_budget_take(&b, 2005, SW_QUARANTINE_KEEP_PER_SECOND));
        cr_assert(sw_quarantine_budget_take(&b, INT64_MAX, SW_QUARANTINE_KEEP_BURST));
        cr_assert_not(sw_quarantine_budget_take(&b, 0, 1), "a clock that goes back fills nothing");
}

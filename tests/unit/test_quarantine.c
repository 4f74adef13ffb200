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

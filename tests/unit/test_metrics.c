/* SPDX-License-Identifier: Apache-2.0 */
#include "metrics/text.h"

#include <criterion/criterion.h>
#include <string.h>

static struct sw_buf b;

static const char *text(void)
{
        sw_buf_putc(&b, '\0');
        return b.p;
}

Test(metrics, a_name_has_its_help_and_type)
{
        sw_metrics_head(&b, "segwatch_x_total", SW_METRIC_COUNTER, "a \\ b\nc");
        sw_metrics_u64(&b, "segwatch_x_total", NULL, 0, UINT64_MAX);
        cr_assert_str_eq(text(), "# HELP segwatch_x_total a \\\\ b\\nc\n# TYPE segwatch_x_total counter\n"
                                 "segwatch_x_total 18446744073709551615\n");
        sw_buf_deinit(&b);
}

Test(metrics, values_of_labels_are_escaped)
{
        struct sw_metric_label l[] = { { "a", SW_STR("q\"u\\o\nte") }, { "b", SW_STR("") },
                { "c", SW_STR("\xc3\xa9") } };

        sw_metrics_u64(&b, "x", l, 3, 1);
        cr_assert_str_eq(text(), "x{a=\"q\\\"u\\\\o\\nte\",b=\"\",c=\"\xc3\xa9\"} 1\n");
        sw_buf_deinit(&b);
}

Test(metrics, a_histogram_with_labels_that_is_not_of_time)
{
        static const int64_t bounds[] = { 1024, 4096 };
        static const uint64_t counts[] = { 2, 0, 1 };
        const struct sw_metric_label label = { "sink", SW_STR("a\"b") };

        sw_metrics_histogram(&b, "x_bytes",
                &(const struct sw_metric_histogram){
                        bounds, counts, 2, .sum_ms = 9000, .labels = &label, .n_labels = 1, .whole = true });
        cr_assert_str_eq(text(), "x_bytes_bucket{sink=\"a\\\"b\",le=\"1024\"} 2\n"
                                 "x_bytes_bucket{sink=\"a\\\"b\",le=\"4096\"} 2\n"
                                 "x_bytes_bucket{sink=\"a\\\"b\",le=\"+Inf\"} 3\n"
                                 "x_bytes_sum{sink=\"a\\\"b\"} 9000\nx_bytes_count{sink=\"a\\\"b\"} 3\n");
        sw_buf_deinit(&b);
}

Test(metrics, bytes_that_are_no_utf8_are_replaced)
{
        static const char *const bad[] = { "\xff", "\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                "\xc3", "\xf0\x82\x82\xac" };
        size_t i;

        for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
                struct sw_metric_label l = { "a", sw_str_of(bad[i]) };
                size_t k;

                sw_buf_reset(&b);
                sw_metrics_u64(&b, "x", &l, 1, 1);
                cr_assert_eq(strncmp(text(), "x{a=\"\xef\xbf\xbd", 8), 0, "%zu", i);
                for (k = 5; k + 5 < b.n - 1; k += 3)
                        cr_assert_eq(memcmp(b.p + k, "\xef\xbf\xbd", 3), 0, "%zu: every byte", i);
        }
        sw_buf_deinit(&b);
}

Test(metrics, a_long_value_is_cut_between_characters)
{
        char value[300];
        struct sw_metric_label l = { "a", { value, sizeof(value) } };
        size_t i;

        memset(value, 'x', sizeof(value));
        sw_metrics_u64(&b, "x", &l, 1, 1);
        cr_assert_eq(b.n, strlen("x{a=\"\"} 1\n") + SW_METRIC_LABEL_MAX);
        sw_buf_reset(&b);
        value[0] = 'x';
        for (i = 1; i + 1 < sizeof(value); i += 2)
                memcpy(value + i, "\xc3\xa9", 2);
        sw_metrics_u64(&b, "x", &l, 1, 1);
        cr_assert_eq(b.n, strlen("x{a=\"\"} 1\n") + SW_METRIC_LABEL_MAX - 1, "127 bytes: the next one has two");
        sw_buf_deinit(&b);
}

Test(metrics, milliseconds_come_out_as_exact_seconds)
{
        static const struct {
                int64_t ms;
                const char *text;
        } rows[] = { { 0, "0" }, { 1, "0.001" }, { 999, "0.999" }, { 1000, "1" }, { 1010, "1.010" }, { -1, "-0.001" },
                { -1500, "-1.500" }, { INT64_MAX, "9223372036854775.807" }, { INT64_MIN, "-9223372036854775.808" } };
        size_t i;

        for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
                sw_buf_reset(&b);
                sw_metrics_milli(&b, "x", NULL, 0, rows[i].ms);
                cr_assert_eq(strncmp(text() + 2, rows[i].text, strlen(rows[i].text)), 0, "%s", b.p);
                cr_assert_eq(b.p[2 + strlen(rows[i].text)], '\n');
        }
        sw_buf_deinit(&b);
}

Test(metrics, buckets_of_a_histogram_add_up)
{
        static const int64_t bounds[] = { 500, 1000, 60000 };
        static const uint64_t counts[] = { 1, 0, 2, 3 };
        struct sw_metric_histogram h = { bounds, counts, 3, 123456 };

        sw_metrics_histogram(&b, "d_seconds", &h);
        cr_assert_str_eq(text(), "d_seconds_bucket{le=\"0.500\"} 1\nd_seconds_bucket{le=\"1\"} 1\n"
                                 "d_seconds_bucket{le=\"60\"} 3\nd_seconds_bucket{le=\"+Inf\"} 6\n"
                                 "d_seconds_sum 123.456\nd_seconds_count 6\n");
        sw_buf_deinit(&b);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "../lib/fixture.h"

#include <criterion/criterion.h>
#include <stdio.h>

static void put_pair(void *ctx, const struct sw_pair_info *p)
{
        sw_buf_printf(ctx, "%s>%s %llu/%llu %llu/%llu/%llu/%llu %u>%u\n", p->from, p->to,
                (unsigned long long)p->flows_allowed, (unsigned long long)p->flows_denied,
                (unsigned long long)p->totals[0], (unsigned long long)p->totals[1], (unsigned long long)p->totals[2],
                (unsigned long long)p->totals[3], p->n_sources, p->n_destinations);
}

static void put_learning(void *ctx, const char *segment, struct sw_etime until)
{
        sw_buf_printf(ctx, "%s %lld\n", segment, (long long)(until.ms - SW_FIXTURE_BASE_MS));
}

static void check_table(void *ctx, const struct sw_table_info *t)
{
        uint64_t *sum = ctx;

        cr_assert(t->name && *t->name);
        cr_assert_leq(t->bytes, t->limit_bytes, "%s: %llu of %llu", t->name, (unsigned long long)t->bytes,
                (unsigned long long)t->limit_bytes);
        sum[0] += t->bytes;
        sum[1] += t->limit_bytes;
}

Test(report, pairs_count_each_flow_once_and_take_the_larger_sensor)
{
        struct sw_buf out = SW_BUF_NULL;
        struct sw_fixture f;

        sw_fixture_init(&f);
        sw_fixture_run(&f, "0     O B tcp 10.0.1.1:50000 10.0.2.1:22\n"
                           "0.001 I B tcp 10.0.1.1:50000 10.0.2.1:22\n"
                           "1     O E tcp 10.0.1.1:50000 10.0.2.1:22 10/2000/8/1500\n"
                           "1     I E tcp 10.0.1.1:50000 10.0.2.1:22 11/2054/8/1500\n"
                           "5     O C tcp 10.0.1.1:50000 10.0.2.1:22 5/500/0/0\n"
                           "10    O B tcp 10.0.1.2:50000 10.0.2.1:22\n"
                           "10    I D tcp 10.0.1.2:50000 10.0.2.1:22\n"
                           "20    I D tcp 10.0.1.3:50000 10.0.2.2:22\n"
                           "release 60\n");
        sw_engine_pairs(f.engine, put_pair, &out);
        sw_buf_putc(&out, '\0');
        cr_assert_str_eq(out.p, "10.0.1.0/24>10.0.2.0/24 1/2 15/2500/8/1500 3>2\n", "%s", out.p);
        sw_buf_deinit(&out);
        sw_fixture_deinit(&f);
}

Test(report, learning_names_each_segment_until_its_own_end)
{
        struct sw_buf out = SW_BUF_NULL;
        struct sw_fixture f;

        sw_fixture_init(&f);
        f.conf.learning_ms = SW_DAY;
        sw_fixture_run(&f, "0  O B tcp 10.0.1.1:50000 10.0.2.1:22\n"
                           "1h O B tcp 10.0.3.1:50000 10.0.2.1:22\n"
                           "release 1d\n");
        cr_assert_eq(sw_fixture_count(&f, "learning"), 4, "%.*s", (int)f.trace.n, f.trace.p);
        sw_engine_learning(f.engine, put_learning, &out);
        sw_buf_putc(&out, '\0');
        cr_assert_str_eq(out.p, "10.0.3.0/24 90000000\n", "%s", out.p);
        sw_buf_deinit(&out);
        sw_fixture_deinit(&f);
}

Test(report, a_flood_stays_within_the_limit_of_every_table_and_is_counted)
{
        uint64_t sum[2] = { 0, 0 };
        struct sw_fixture f;
        int i;

        sw_fixture_init(&f);
        f.conf.memory_limit_bytes = UINT64_C(12) << 20;
        f.trace_progress = false;
        for (i = 0; i < 60000; i++) {
                sw_fixture_line(&f, "%d.%03d O B tcp %d.%d.%d.1:%d 10.1.%d.1:22 - nic=%d rule=r%d", i / 1000, i % 1000,
                        i % 2 ? 10 : 20, i / 250 % 250, i % 250, 1024 + i % 60000, i % 200, i, i);
                if (i % 5000 == 0)
                        sw_fixture_line(&f, "release %d", i / 1000 > 2 ? i / 1000 - 2 : 0);
                sw_buf_reset(&f.trace);
        }
        sw_fixture_run(&f, "final\n");
        sw_engine_tables(f.engine, check_table, sum);
        cr_assert_eq(sum[0], sw_fixture_stats(&f).bytes);
        cr_assert_leq(sum[1], f.conf.memory_limit_bytes);
        cr_assert_gt(sw_fixture_stats(&f).evicted, 1000);
        cr_assert_eq(sw_fixture_stats(&f).connections, 60000);
        sw_fixture_deinit(&f);
}

Test(report, segments_may_change_while_connections_are_open)
{
        struct sw_prefix p[2];
        struct sw_segment_spec s[2] = {
                { .segment = { .name = "web", .criticality = 2 }, .cidrs = &p[0], .n_cidrs = 1 },
                { .segment = { .name = "db", .criticality = 4 }, .cidrs = &p[1], .n_cidrs = 1 }
        };
        struct sw_segments_spec spec = { .segments = s, .n_segments = 1 };
        struct sw_segments *one, *two;
        struct sw_buf out = SW_BUF_NULL;
        struct sw_core_conf conf;
        struct sw_fixture f;
        struct sw_event ev = { .type = SW_EVENT_CONFIG, .conf = &conf };

        cr_assert(sw_prefix_parse(SW_STR("10.0.1.0/24"), &p[0], NULL));
        cr_assert(sw_prefix_parse(SW_STR("10.0.2.0/24"), &p[1], NULL));
        cr_assert_eq(sw_segments_new(&spec, &one, NULL), 0);
        spec.n_segments = 2;
        cr_assert_eq(sw_segments_new(&spec, &two, NULL), 0);
        sw_fixture_init(&f);
        f.conf.segments = one;
        sw_fixture_run(&f, "0 O B tcp 10.0.1.1:50000 10.0.2.1:22\n"
                           "release 1\n");
        conf = f.conf;
        conf.segments = two;
        cr_assert_eq(sw_engine_step(f.engine, &ev, &f.actions), 0);
        sw_segments_free(one);
        sw_fixture_run(&f, "2 O E tcp 10.0.1.1:50000 10.0.2.1:22 10/2000/8/1500\n"
                           "3 O B tcp 10.0.1.1:50001 10.0.2.1:22\n"
                           "release 10\n");
        sw_engine_pairs(f.engine, put_pair, &out);
        sw_buf_putc(&out, '\0');
        cr_assert_str_eq(out.p,
                "web>10.0.2.0/24 1/0 0/0/0/0 1>1\n"
                "web>db 1/0 10/2000/8/1500 1>1\n",
                "%s", out.p);
        conf.segments = NULL;
        cr_assert_eq(sw_engine_step(f.engine, &ev, &f.actions), 0);
        sw_segments_free(two);
        sw_fixture_run(&f, "11 O B tcp 10.0.1.1:50002 10.0.2.1:22\n"
                           "release 20m\n");
        cr_assert_eq(sw_fixture_count(&f, "CLOSED"), 3);
        sw_buf_deinit(&out);
        sw_fixture_deinit(&f);
}

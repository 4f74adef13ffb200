/* SPDX-License-Identifier: Apache-2.0 */
#include "aggregate/order.h"
#include "aggregate/reorder.h"

#include <criterion/criterion.h>
#include <stdio.h>

#define T0 INT64_C(1767571200000)
static const struct sw_hash_key seed = { 1, 2 };

static struct sw_directory directory(void)
{
        struct sw_directory d;

        cr_assert_eq(sw_directory_init(&d, 1 << 20, &seed), 0);
        return d;
}

static uint32_t sensor(struct sw_directory *d, const char *flow_log, uint64_t mac)
{
        struct sw_record r = { .flow_log = sw_str_of(flow_log), .mac = mac };

        return sw_directory_sensor(d, &r, NULL);
}

static uint32_t rule(struct sw_directory *d, const char *acl, const char *name)
{
        struct sw_rule r = { sw_str_of(acl), sw_str_of(name) };

        return sw_directory_rule(d, &r);
}

static struct sw_addr address(const char *text)
{
        struct sw_addr a;

        cr_assert(sw_addr_parse(sw_str_of(text), &a));
        return a;
}

Test(order, follows_time_state_addresses_ports_and_counters_then_texts)
{
        struct sw_directory d = directory();
        uint32_t rule_z = rule(&d, "acl", "z"), rule_a = rule(&d, "acl", "a"), nic_2 = sensor(&d, "/log", 2),
                 nic_1 = sensor(&d, "/log", 1), i, j;
        struct sw_otuple base = {
                .key = { .src = address("10.0.0.1"), .dst = address("10.0.0.2"), .sport = 5, .dport = 5, .proto = 6 },
                .time = { T0 + 5 },
                .state = SW_STATE_CONTINUE,
                .direction = SW_INBOUND,
                .encryption = 1,
                .counters = { 5, 5, 5, 5 },
                .sensor = nic_1,
                .rule = rule_a
        };
        struct sw_otuple rows[18];
        struct sw_order_item items[18], scratch[18];

        for (i = 0; i < 18; i++)
                rows[i] = base;
        rows[0].time.ms -= 1;
        rows[0].state = SW_STATE_DENIED;
        rows[1].state = SW_STATE_BEGIN;
        rows[1].key.src = address("ffff::1");
        rows[2].key.src = address("::1"); /* before every IPv4 address, which is ::ffff:a.b.c.d */
        rows[3].rule = rule_a;
        rows[4].rule = rule_z;
        rows[5].sensor = nic_2;
        rows[6].stateless = 1;
        rows[7].counters_present = 1;
        rows[8].counters[3] = 6;
        rows[9].counters[0] = 6;
        rows[10].encryption = 2;
        rows[11].direction = SW_OUTBOUND;
        rows[12].key.proto = 17;
        rows[13].key.dport = 6;
        rows[14].key.sport = 6;
        rows[15].key.dst = address("10.0.1.2");
        rows[16].key.src = address("fd00::1");
        rows[17].state = SW_STATE_END;
        for (i = 0; i < 18; i++)
                for (j = 0; j < 18; j++) {
                        uint64_t p = sw_order_prefix(&rows[i]), q = sw_order_prefix(&rows[j]);

                        cr_assert_eq(sw_order_cmp(&d, &rows[i], &rows[j]) < 0, i < j, "%u %u", i, j);
                        cr_assert(i >= j || p <= q, "prefix %u %u", i, j);
                }
        for (i = 0; i < 18; i++)
                items[i] = (struct sw_order_item){ sw_order_prefix(&rows[17 - i]), &rows[17 - i] };
        sw_order_sort(&d, items, 18, scratch);
        for (i = 0; i < 18; i++)
                cr_assert_eq(items[i].tuple, &rows[i]);
        sw_directory_deinit(&d);
}

/* n tuples over that many milliseconds of one second. */
static void sorts(uint32_t n, uint32_t ms)
{
        enum { N = 20000 };
        static struct sw_otuple rows[N];
        static struct sw_order_item items[N], scratch[N];
        struct sw_directory d = directory();
        uint32_t rng = 99, i;

        memset(rows, 0, sizeof(rows));
        for (i = 0; i < n; i++) {
                rng = rng * 1664525 + 1013904223;
                rows[i].time.ms = T0 + (rng >> 8) % ms;
                rows[i].state = (uint8_t)(rng >> 16 & 3);
                rows[i].key.src = sw_addr_v4(0x0a000000 + (rng >> 20 & 7));
                rows[i].key.dst = sw_addr_v4(0x0a000000 + (rng >> 23 & 1) * 0x10000 + (rng >> 24 & 31));
                if (rng % 50 == 0)
                        rows[i].key.src.b[0] = 0xfd;
                rows[i].key.dport = (uint16_t)(rng & 3);
                items[i] = (struct sw_order_item){ sw_order_prefix(&rows[i]), &rows[i] };
        }
        sw_order_sort(&d, items, n, scratch);
        for (i = 1; i < n; i++)
                cr_assert_leq(sw_order_cmp(&d, items[i - 1].tuple, items[i].tuple), 0, "%u in %u ms at %u", n, ms, i);
        sw_directory_deinit(&d);
}

Test(order, many_tuples_come_out_as_a_full_sort_would_put_them)
{
        sorts(40, 1000);
        sorts(700, 1000);
        sorts(5000, 1000);
        sorts(5000, 20);
        sorts(5000, 1);
        sorts(20000, 1000);
}

Test(order, spellings_are_told_apart_but_are_one_sensor)
{
        struct sw_directory d = directory();
        uint32_t upper = sensor(&d, "/SUBSCRIPTIONS/A", 1), lower = sensor(&d, "/subscriptions/a", 1),
                 other = sensor(&d, "/subscriptions/a", 2);
        uint32_t r1 = rule(&d, "x", "Allow"), r2 = rule(&d, "x", "allow"), r3 = rule(&d, "xA", "llow");

        cr_assert_neq(upper, lower);
        cr_assert_eq(sw_directory_sensor_at(&d, upper)->fold, sw_directory_sensor_at(&d, lower)->fold);
        cr_assert_neq(sw_directory_sensor_at(&d, upper)->fold, sw_directory_sensor_at(&d, other)->fold);
        cr_assert_eq(upper, sensor(&d, "/SUBSCRIPTIONS/A", 1));
        cr_assert_lt(sw_directory_sensor_cmp(&d, upper, lower), 0);
        cr_assert_lt(sw_directory_sensor_cmp(&d, lower, other), 0);
        cr_assert(r1 != r2 && r2 != r3 && r1 != r3, "texts are not glued together");
        cr_assert(sw_str_eq(sw_directory_rule_at(&d, r1).name, SW_STR("Allow")), "as logged");
        sw_directory_deinit(&d);
}

Test(order, a_full_directory_answers_with_the_empty_text_and_counts)
{
        struct sw_directory d;
        char name[32];
        uint32_t id = 1, first;
        int i;

        cr_assert_eq(sw_directory_init(&d, 64 << 10, &seed), 0);
        first = rule(&d, "acl", "first");
        for (i = 0; i < 100000 && id; i++) {
                (void)snprintf(name, sizeof(name), "rule %d", i);
                id = rule(&d, "acl", name);
        }
        cr_assert_eq(id, 0);
        cr_assert_gt(i, 20);
        cr_assert_eq(d.n_refused, 1);
        cr_assert_eq(rule(&d, "acl", "first"), first, "what is known stays known");
        cr_assert_leq(sw_directory_bytes(&d), (size_t)(64 << 10) + 64 * 1024);
        sw_directory_deinit(&d);
}

Test(order, subnet_of_a_target)
{
        struct sw_str vnet, subnet;

        cr_assert(sw_directory_subnet(
                SW_STR("/subscriptions/0/providers/Microsoft.Network/virtualNetworks/Hub/SUBNETS/App"), &vnet,
                &subnet));
        cr_assert(sw_str_eq(vnet, SW_STR("Hub")));
        cr_assert(sw_str_eq(subnet, SW_STR("App")));
        cr_assert_not(sw_directory_subnet(SW_STR("/providers/x/virtualNetworks/Hub"), &vnet, &subnet));
        cr_assert_not(sw_directory_subnet(SW_STR("/virtualNetworks/Hub/subnets/"), &vnet, &subnet));
        cr_assert_not(sw_directory_subnet(SW_STR(""), &vnet, &subnet));
}

static void add(struct sw_reorder *r, int64_t ms, uint16_t port)
{
        struct sw_otuple t = { .time = { T0 + ms }, .key = { .sport = port } };

        cr_assert_eq(sw_reorder_add(r, &t), SW_REORDER_OK);
}

Test(order, the_buffer_gives_out_a_second_in_parts)
{
        struct sw_directory d = directory();
        struct sw_reorder r;
        struct sw_reorder_run run;
        int64_t second;

        cr_assert_eq(sw_reorder_init(&r, &d, 1 << 20, &seed), 0);
        cr_assert_not(sw_reorder_next(&r, &second));
        add(&r, 5500, 3);
        add(&r, 1999, 2);
        add(&r, 1000, 1);
        add(&r, 1500, 7);
        cr_assert(sw_reorder_next(&r, &second));
        cr_assert_eq(second, T0 / 1000 + 1);
        cr_assert_eq(sw_reorder_take(&r, (struct sw_etime){ T0 + 1500 }, &run), 0);
        cr_assert_eq(run.n, 2);
        cr_assert_eq(run.items[0].tuple->key.sport, 1);
        cr_assert_eq(run.items[1].tuple->key.sport, 7);
        add(&r, 1501, 9);
        cr_assert_eq(sw_reorder_take(&r, (struct sw_etime){ T0 + 9000 }, &run), 0);
        cr_assert_eq(run.n, 2);
        cr_assert_eq(run.items[0].tuple->key.sport, 9);
        cr_assert_eq(run.items[1].tuple->key.sport, 2);
        cr_assert(sw_reorder_next(&r, &second));
        cr_assert_eq(second, T0 / 1000 + 5);
        cr_assert_eq(r.n_tuples, 1);
        sw_reorder_deinit(&r);
        sw_directory_deinit(&d);
}

/* Adds seconds [from, ...) of one tuple each until the buffer is full; how many it took. */
static uint32_t fill(struct sw_reorder *r, uint32_t from)
{
        uint32_t n;

        for (n = 0; n < 1000000; n++) {
                struct sw_otuple t = { .time = { T0 + (int64_t)(from + n) * 1000 } };

                if (sw_reorder_add(r, &t) == SW_REORDER_E_FULL)
                        return n;
        }
        return n;
}

static void empty(struct sw_reorder *r)
{
        struct sw_reorder_run run;
        int64_t second;

        while (sw_reorder_next(r, &second))
                cr_assert_eq(sw_reorder_take(r, (struct sw_etime){ second * 1000 + 999 }, &run), 0);
        sw_reorder_recycle(r);
}

Test(order, a_buffer_that_was_full_once_takes_as_much_again)
{
        struct sw_directory d = directory();
        struct sw_reorder r;
        uint32_t n, turn;

        cr_assert_eq(sw_reorder_init(&r, &d, 1 << 20, &seed), 0);
        n = fill(&r, 0);
        cr_assert_gt(n, 1000);
        cr_assert(sw_reorder_is_pressed(&r));
        for (turn = 1; turn < 4; turn++) {
                empty(&r);
                cr_assert_not(sw_reorder_is_pressed(&r));
                cr_assert_geq(fill(&r, turn * 1000000), n);
                cr_assert_leq(r.bytes + r.buckets.bytes, r.limit_bytes);
        }
        sw_reorder_deinit(&r);
        sw_directory_deinit(&d);
}

Test(order, a_full_buffer_gives_way_one_second_at_a_time)
{
        struct sw_directory d = directory();
        struct sw_reorder r;
        struct sw_reorder_run run;
        uint32_t n, i;

        cr_assert_eq(sw_reorder_init(&r, &d, 1 << 20, &seed), 0);
        n = fill(&r, 0);
        for (i = 0; i < 5000; i++) {
                cr_assert_eq(sw_reorder_take(&r, (struct sw_etime){ INT64_MAX - 1000 }, &run), 0);
                sw_reorder_recycle(&r);
                add(&r, (int64_t)(n + i) * 1000, 1);
                cr_assert_eq(r.n_tuples, n);
        }
        cr_assert_leq(r.bytes + r.buckets.bytes, r.limit_bytes);
        sw_reorder_deinit(&r);
        sw_directory_deinit(&d);
}

Test(order, late_tuples_that_fill_the_buffer_give_way_to_a_second)
{
        struct sw_directory d = directory();
        struct sw_reorder r;
        struct sw_reorder_run run;
        struct sw_otuple t = { .time = { T0 } };

        cr_assert_eq(sw_reorder_init(&r, &d, 1 << 20, &seed), 0);
        while (sw_reorder_add_late(&r, &t) == SW_REORDER_OK)
                ;
        t.time.ms += 1000;
        cr_assert_eq(sw_reorder_add(&r, &t), SW_REORDER_E_FULL);
        cr_assert_eq(sw_reorder_take_late(&r, &run), 0);
        cr_assert_gt(run.n, 1000);
        sw_reorder_recycle(&r);
        cr_assert_eq(sw_reorder_add(&r, &t), SW_REORDER_OK);
        sw_reorder_deinit(&r);
        sw_directory_deinit(&d);
}

Test(order, thousands_of_nics_share_the_texts_of_their_flow_log)
{
        static const char flow_log[] =
                "/SUBSCRIPTIONS/00000000-0000-0000-0000-000000000001/RESOURCEGROUPS/NETWORKWATCHERRG/"
                "PROVIDERS/MICROSOFT.NETWORK/NETWORKWATCHERS/NETWORKWATCHER_WESTEUROPE/FLOWLOGS/VNET";
        struct sw_record r = { .kind = SW_KIND_VNET, .flow_log = SW_STR(flow_log), .target = SW_STR(flow_log) };
        struct sw_directory d;
        uint64_t mac;
        uint32_t id, last = 0;

        cr_assert_eq(sw_directory_init(&d, 2 << 20, &seed), 0);
        for (mac = 1; mac <= 5000; mac++) {
                r.mac = mac;
                id = sw_directory_sensor(&d, &r, NULL);
                cr_assert_gt(id, last);
                last = id;
        }
        cr_assert_eq(d.n_refused, 0);
        cr_assert_leq(sw_directory_bytes(&d), 2 << 20);
        cr_assert(sw_str_eq(sw_directory_text(&d, sw_directory_sensor_at(&d, last)->flow_log,
                                    sw_directory_sensor_at(&d, last)->n_flow_log),
                SW_STR(flow_log)));
        sw_directory_deinit(&d);
}

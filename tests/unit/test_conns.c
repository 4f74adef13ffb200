/* SPDX-License-Identifier: Apache-2.0 */
#include "../lib/fixture.h"
#include "aggregate/world.h"

#include <criterion/criterion.h>
#include <stdio.h>

static void expect(struct sw_fixture *f, const char *want)
{
        const char *got = sw_fixture_trace(f);

        cr_assert_str_eq(got, want, "\ngot:\n%swant:\n%s", got, want);
}

static void story(const char *in, const char *want)
{
        struct sw_fixture f;

        sw_fixture_init(&f);
        sw_fixture_run(&f, in);
        expect(&f, want);
        sw_fixture_deinit(&f);
}

Test(conns, two_sensors_of_one_connection_make_one_life_with_the_volume_of_the_larger)
{
        story("0     O B tcp 10.0.1.1:50000 10.0.2.1:445\n"
              "0.002 I B tcp 10.0.1.1:50000 10.0.2.1:445\n"
              "5     O E tcp 10.0.1.1:50000 10.0.2.1:445 10/2000/8/1500\n"
              "5.1   I E tcp 10.0.1.1:50000 10.0.2.1:445 11/2066/8/1500\n"
              "release 20\n",
                "0.000 OPENED 10.0.1.1:50000>10.0.2.1:445/tcp smb open\n"
                "5.000 PROGRESSED 10.0.1.1:50000>10.0.2.1:445/tcp smb open 10/2000/8/1500\n"
                "5.000 SUCCEEDED 10.0.1.1:50000>10.0.2.1:445/tcp smb ok 10/2000/8/1500\n"
                "5.100 PROGRESSED 10.0.1.1:50000>10.0.2.1:445/tcp smb ok 1/66/0/0\n"
                "6.000 CLOSED 10.0.1.1:50000>10.0.2.1:445/tcp smb ok 11/2066/8/1500\n");
}

Test(conns, volume_is_that_of_the_largest_of_four_sensors_and_a_fifth_is_not_counted)
{
        story("0   O B tcp 10.0.1.1:50000 10.0.2.1:443 nic=1\n"
              "5   O C tcp 10.0.1.1:50000 10.0.2.1:443 10/2000/8/1500 nic=1\n"
              "5.1 O C tcp 10.0.1.1:50000 10.0.2.1:443 11/2100/8/1500 nic=2\n"
              "5.2 O C tcp 10.0.1.1:50000 10.0.2.1:443 12/2200/8/1500 nic=3\n"
              "5.3 O C tcp 10.0.1.1:50000 10.0.2.1:443 14/2400/8/1500 nic=4\n"
              "5.4 O C tcp 10.0.1.1:50000 10.0.2.1:443 90/9000/8/1500 nic=5\n"
              "6   O E tcp 10.0.1.1:50000 10.0.2.1:443 5/500/1/100 nic=3\n"
              "release 20\n",
                "0.000 OPENED 10.0.1.1:50000>10.0.2.1:443/tcp https open\n"
                "5.000 PROGRESSED 10.0.1.1:50000>10.0.2.1:443/tcp https open 10/2000/8/1500\n"
                "5.000 SUCCEEDED 10.0.1.1:50000>10.0.2.1:443/tcp https ok 10/2000/8/1500\n"
                "5.100 PROGRESSED 10.0.1.1:50000>10.0.2.1:443/tcp https ok 1/100/0/0\n"
                "5.200 PROGRESSED 10.0.1.1:50000>10.0.2.1:443/tcp https ok 1/100/0/0\n"
                "5.300 PROGRESSED 10.0.1.1:50000>10.0.2.1:443/tcp https ok 2/200/0/0\n"
                "6.000 PROGRESSED 10.0.1.1:50000>10.0.2.1:443/tcp https ok 3/300/1/100\n"
                "7.000 CLOSED 10.0.1.1:50000>10.0.2.1:443/tcp https ok 17/2700/9/1600\n");
}

static int keep_first(void *ctx, const struct sw_view *v, const struct sw_conn_event *ev)
{
        (void)v;
        memcpy(ctx, ev->first.counters, sizeof(ev->first.counters));
        return 0;
}

Test(conns, counters_of_the_first_tuple_are_evidence_also_where_the_beginning_was_not_seen)
{
        uint64_t first[SW_N_COUNTERS] = { 9, 9, 9, 9 };
        const struct sw_engine_tap tap = { .on_event = keep_first, .ctx = first };
        struct sw_fixture f;

        sw_fixture_init(&f);
        sw_fixture_run(&f, "0   O C tcp 10.0.1.1:50000 10.0.2.1:443 10/2000/8/1500\n");
        sw_engine_set_tap(f.engine, &tap);
        sw_fixture_run(&f, "5   O E tcp 10.0.1.1:50000 10.0.2.1:443 7/700/6/600\n"
                           "release 20\n");
        cr_assert_eq(first[0], 10);
        cr_assert_eq(first[2], 8);
        /* A new life of the same five-tuple begins with nothing. */
        sw_fixture_run(&f, "30  O B tcp 10.0.1.1:50000 10.0.2.1:443 0/0/0/0\n"
                           "31  O E tcp 10.0.1.1:50000 10.0.2.1:443 7/700/6/600\n"
                           "release 50\n");
        cr_assert_eq(first[0] | first[1] | first[2] | first[3], 0);
        sw_fixture_deinit(&f);
}

struct deciding {
        unsigned direction;
        char rule[16];
};

static int keep_deciding(void *ctx, const struct sw_view *v, const struct sw_conn_event *ev)
{
        struct deciding *d = ctx;
        struct sw_str rule = sw_directory_rule_at(&v->world->directory, ev->first.rule).name;

        if (ev->type == SW_CONN_CLOSED) {
                d->direction = ev->first.direction;
                snprintf(d->rule, sizeof(d->rule), "%.*s", (int)rule.n, rule.p);
        }
        return 0;
}

static void decided_by(const char *in, unsigned direction, const char *rule)
{
        struct deciding d = { 99, "" };
        const struct sw_engine_tap tap = { .on_event = keep_deciding, .ctx = &d };
        struct sw_fixture f;

        sw_fixture_init(&f);
        sw_fixture_run(&f, "0 O B udp 10.0.9.1:5000 10.0.9.2:53\n"); /* there is an engine now */
        sw_engine_set_tap(f.engine, &tap);
        sw_fixture_run(&f, in);
        cr_assert_eq(d.direction, direction, "%s", in);
        cr_assert_str_eq(d.rule, rule, "%s", in);
        sw_fixture_deinit(&f);
}

Test(conns, rule_and_direction_of_the_evidence_are_of_one_side)
{
        decided_by("0    O B tcp 10.0.1.1:50000 10.0.2.1:445 rule=out\n"
                   "0.01 I B tcp 10.0.1.1:50000 10.0.2.1:445 rule=in\n"
                   "5    O E tcp 10.0.1.1:50000 10.0.2.1:445 10/2000/8/1500 rule=out\n"
                   "release 20\n",
                SW_INBOUND, "in");
        decided_by("0 O B tcp 10.0.1.1:50000 10.0.2.1:445 rule=out\n"
                   "5 O E tcp 10.0.1.1:50000 10.0.2.1:445 10/2000/8/1500 rule=out\n"
                   "release 20\n",
                SW_OUTBOUND, "out");
        decided_by("0    O B tcp 10.0.1.1:50000 10.0.2.1:445 rule=out\n"
                   "0.01 I D tcp 10.0.1.1:50000 10.0.2.1:445 rule=in\n"
                   "release 20\n",
                SW_INBOUND, "in");
        decided_by("0 O D tcp 10.0.1.1:50000 10.0.2.1:445 rule=out\n"
                   "release 20\n",
                SW_OUTBOUND, "out");
}

Test(conns, counters_of_continue_and_end_add_up_as_in_the_documented_example)
{
        struct sw_fixture f;

        sw_fixture_init(&f);
        sw_fixture_run(&f, "0 O B tcp 10.0.1.1:50000 10.0.2.1:443\n"
                           "60 O C tcp 10.0.1.1:50000 10.0.2.1:443 1021/588096/8005/4610880\n"
                           "90 O E tcp 10.0.1.1:50000 10.0.2.1:443 52/29952/47/27072\n"
                           "release 100\n");
        cr_assert_eq(sw_fixture_count(&f, "CLOSED 10.0.1.1:50000>10.0.2.1:443/tcp https ok 1073/618048/8052/4637952"),
                1, "%.*s", (int)f.trace.n, f.trace.p);
        sw_fixture_deinit(&f);
}

Test(conns, destination_denies_what_the_source_allowed_and_repeats_are_absorbed_for_two_minutes)
{
        story("0        O B tcp 10.0.1.1:50000 10.0.2.1:445\n"
              "0.010    I D tcp 10.0.1.1:50000 10.0.2.1:445 rule=UserRule_deny\n"
              "60       I D tcp 10.0.1.1:50000 10.0.2.1:445\n"
              "120.009  I D tcp 10.0.1.1:50000 10.0.2.1:445\n"
              "120.010  I D tcp 10.0.1.1:50000 10.0.2.1:445\n"
              "release 125\n",
                "0.000 OPENED 10.0.1.1:50000>10.0.2.1:445/tcp smb open\n"
                "0.010 DENIED 10.0.1.1:50000>10.0.2.1:445/tcp smb denied\n"
                "0.010 CLOSED 10.0.1.1:50000>10.0.2.1:445/tcp smb denied\n"
                "2m0.010 DENIED 10.0.1.1:50000>10.0.2.1:445/tcp smb denied\n"
                "2m0.010 CLOSED 10.0.1.1:50000>10.0.2.1:445/tcp smb denied\n");
}

Test(conns, source_denial_does_not_count_when_the_destination_saw_the_traffic)
{
        story("0     I B tcp 10.0.1.1:50000 10.0.2.1:22\n"
              "0.010 O D tcp 10.0.1.1:50000 10.0.2.1:22\n"
              "1     I E tcp 10.0.1.1:50000 10.0.2.1:22 5/900/5/900\n"
              "release 10\n",
                "0.000 OPENED 10.0.1.1:50000>10.0.2.1:22/tcp ssh open\n"
                "1.000 PROGRESSED 10.0.1.1:50000>10.0.2.1:22/tcp ssh open 5/900/5/900\n"
                "1.000 SUCCEEDED 10.0.1.1:50000>10.0.2.1:22/tcp ssh ok 5/900/5/900\n"
                "2.000 CLOSED 10.0.1.1:50000>10.0.2.1:22/tcp ssh ok 5/900/5/900\n");
}

Test(conns, denial_by_a_sensor_whose_clock_is_ahead_swallows_the_other_sensors_begin)
{
        story("0     I D tcp 10.0.1.1:50000 10.0.2.1:445\n"
              "0.900 O B tcp 10.0.1.1:50000 10.0.2.1:445\n"
              "release 30\n",
                "0.000 DENIED 10.0.1.1:50000>10.0.2.1:445/tcp smb denied\n"
                "0.000 CLOSED 10.0.1.1:50000>10.0.2.1:445/tcp smb denied\n");
}

Test(conns, outcome_table)
{
        static const struct {
                const char *proto, *counters, *outcome;
                bool ipv6;
        } rows[] = {
                { "tcp", "3/180/0/0", "no_reply" },
                { "tcp", "4/216/1/54", "refused" },
                { "tcp", "4/216/1/55", "ok" },
                { "tcp", "4/376/4/216", "refused" }, /* as many options as there can be */
                { "tcp", "4/377/4/216", "ok" },      /* and one byte of payload */
                { "tcp", "1/74/1/54", "refused" },   /* a SYN of Linux at a closed port */
                { "tcp", "1/66/1/54", "refused" },   /* of Windows */
                { "tcp", "3/198/3/162", "refused" }, /* which tries three times */
                { "tcp", "1/58/1/54", "refused" },   /* of nmap -sS */
                { "tcp", "1/60/1/40", "refused" },   /* without link headers */
                { "tcp", "2/112/1/58", "ok" },       /* of nmap at an open port: it answers with its segment size */
                { "tcp", "2/132/1/66", "ok" },
                { "tcp", "1/94/1/74", "refused", true },
                { "tcp", "1/94/1/78", "ok", true },
                { "tcp", "5/270/4/216", "ok" }, /* a connection stood, nothing was said */
                { "tcp", "0/0/0/0", "no_reply" },
                { "udp", "1/28/1/28", "ok" },
                { "udp", "1/60/0/0", "no_reply" },
                { "tcp", "-", "unknown" },
        };
        size_t i;

        for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
                const char *ends =
                        rows[i].ipv6 ? "[fd00::1]:50000 [fd00:0:0:1::2]:7777" : "10.0.1.1:50000 10.0.2.1:7777";
                struct sw_fixture f;
                char want[128];

                sw_fixture_init(&f);
                sw_fixture_line(&f, "0 O B %s %s", rows[i].proto, ends);
                sw_fixture_line(&f, "1 O E %s %s %s", rows[i].proto, ends, rows[i].counters);
                sw_fixture_line(&f, "release 1.999");
                cr_assert_eq(sw_fixture_count(&f, "CLOSED"), 0, "decided a second after the end, not before");
                sw_fixture_line(&f, "release 2");
                (void)snprintf(want, sizeof(want), "2.000 CLOSED %s/%s other %s",
                        rows[i].ipv6 ? "[fd00::1]:50000>[fd00:0:0:1::2]:7777" : "10.0.1.1:50000>10.0.2.1:7777",
                        rows[i].proto, rows[i].outcome);
                cr_assert_eq(sw_fixture_count(&f, want), 1, "%s\n%.*s", want, (int)f.trace.n, f.trace.p);
                cr_assert_eq(sw_fixture_count(&f, "FAILED"),
                        strcmp(rows[i].outcome, "no_reply") == 0 || strcmp(rows[i].outcome, "refused") == 0);
                sw_fixture_deinit(&f);
        }
}

Test(conns, early_no_reply_after_sixty_seconds_is_withdrawn_when_an_answer_comes)
{
        story("0      O B tcp 10.0.1.1:50000 10.0.2.1:22\n"
              "59.999 O C tcp 10.0.1.1:50000 10.0.2.1:22 2/120/0/0\n"
              "60     O C tcp 10.0.1.1:50000 10.0.2.1:22 1/60/0/0\n"
              "90     O C tcp 10.0.1.1:50000 10.0.2.1:22 9/5000/9/5000\n"
              "100    O E tcp 10.0.1.1:50000 10.0.2.1:22 1/54/1/54\n"
              "release 120\n",
                "0.000 OPENED 10.0.1.1:50000>10.0.2.1:22/tcp ssh open\n"
                "59.999 PROGRESSED 10.0.1.1:50000>10.0.2.1:22/tcp ssh open 2/120/0/0\n"
                "1m0.000 PROGRESSED 10.0.1.1:50000>10.0.2.1:22/tcp ssh open 1/60/0/0\n"
                "1m0.000 FAILED 10.0.1.1:50000>10.0.2.1:22/tcp ssh no_reply 3/180/0/0\n"
                "1m30.000 PROGRESSED 10.0.1.1:50000>10.0.2.1:22/tcp ssh no_reply 9/5000/9/5000\n"
                "1m30.000 WITHDRAWN 10.0.1.1:50000>10.0.2.1:22/tcp ssh ok 12/5180/9/5000\n"
                "1m30.000 SUCCEEDED 10.0.1.1:50000>10.0.2.1:22/tcp ssh ok 12/5180/9/5000\n"
                "1m40.000 PROGRESSED 10.0.1.1:50000>10.0.2.1:22/tcp ssh ok 1/54/1/54\n"
                "1m41.000 CLOSED 10.0.1.1:50000>10.0.2.1:22/tcp ssh ok 13/5234/10/5054\n");
}

Test(conns, a_new_begin_starts_a_new_life_even_before_the_old_one_is_decided)
{
        story("0   O B udp 10.0.1.1:123 10.0.2.1:123\n"
              "0.1 O E udp 10.0.1.1:123 10.0.2.1:123 1/76/1/76\n"
              "0.5 O B udp 10.0.1.1:123 10.0.2.1:123\n"
              "0.6 O E udp 10.0.1.1:123 10.0.2.1:123 1/76/0/0\n"
              "30  O C udp 10.0.1.1:123 10.0.2.1:123 1/76/1/76\n"
              "release 60\n",
                "0.000 OPENED 10.0.1.1:123>10.0.2.1:123/udp ntp open\n"
                "0.100 PROGRESSED 10.0.1.1:123>10.0.2.1:123/udp ntp open 1/76/1/76\n"
                "0.100 SUCCEEDED 10.0.1.1:123>10.0.2.1:123/udp ntp ok 1/76/1/76\n"
                "0.500 CLOSED 10.0.1.1:123>10.0.2.1:123/udp ntp ok 1/76/1/76\n"
                "0.500 OPENED 10.0.1.1:123>10.0.2.1:123/udp ntp open\n"
                "0.600 PROGRESSED 10.0.1.1:123>10.0.2.1:123/udp ntp open 1/76/0/0\n"
                "1.600 FAILED 10.0.1.1:123>10.0.2.1:123/udp ntp no_reply 1/76/0/0\n"
                "1.600 CLOSED 10.0.1.1:123>10.0.2.1:123/udp ntp no_reply 1/76/0/0\n");
}

Test(conns, idle_tcp_closes_after_ten_minutes_and_udp_after_two)
{
        story("0     O B tcp 10.0.1.1:50000 10.0.2.1:22\n"
              "0     O B udp 10.0.1.1:50000 10.0.2.1:53\n"
              "0.5   O C tcp 10.0.1.1:50000 10.0.2.1:22 5/1000/5/1000\n"
              "0.5   O C udp 10.0.1.1:50000 10.0.2.1:53 1/80/1/80\n"
              "release 2m0.499\n"
              "release 10m0.499\n"
              "release 10m0.500\n",
                "0.000 OPENED 10.0.1.1:50000>10.0.2.1:22/tcp ssh open\n"
                "0.000 OPENED 10.0.1.1:50000>10.0.2.1:53/udp dns open\n"
                "0.500 PROGRESSED 10.0.1.1:50000>10.0.2.1:22/tcp ssh open 5/1000/5/1000\n"
                "0.500 SUCCEEDED 10.0.1.1:50000>10.0.2.1:22/tcp ssh ok 5/1000/5/1000\n"
                "0.500 PROGRESSED 10.0.1.1:50000>10.0.2.1:53/udp dns open 1/80/1/80\n"
                "0.500 SUCCEEDED 10.0.1.1:50000>10.0.2.1:53/udp dns ok 1/80/1/80\n"
                "2m0.500 CLOSED 10.0.1.1:50000>10.0.2.1:53/udp dns ok 1/80/1/80\n"
                "10m0.500 CLOSED 10.0.1.1:50000>10.0.2.1:22/tcp ssh ok 5/1000/5/1000\n");
}

Test(conns, roles_are_turned_only_without_a_begin_and_when_the_ports_say_so)
{
        story("0 I C tcp 10.0.2.1:445 10.0.1.1:50000 8/1500/10/2000\n"
              "1 I C tcp 10.0.2.1:50001 10.0.1.1:50002 8/1500/10/2000\n"
              "2 O B tcp 10.0.2.1:445 10.0.1.1:50003\n"
              "release 3\n",
                "0.000 OPENED 10.0.1.1:50000>10.0.2.1:445/tcp smb open reversed\n"
                "0.000 PROGRESSED 10.0.1.1:50000>10.0.2.1:445/tcp smb open 10/2000/8/1500 reversed\n"
                "0.000 SUCCEEDED 10.0.1.1:50000>10.0.2.1:445/tcp smb ok 10/2000/8/1500 reversed\n"
                "1.000 OPENED 10.0.2.1:50001>10.0.1.1:50002/tcp other open\n"
                "1.000 PROGRESSED 10.0.2.1:50001>10.0.1.1:50002/tcp other open 8/1500/10/2000\n"
                "1.000 SUCCEEDED 10.0.2.1:50001>10.0.1.1:50002/tcp other ok 8/1500/10/2000\n"
                "2.000 OPENED 10.0.2.1:445>10.0.1.1:50003/tcp other open\n");
}

Test(conns, stateless_tuples_are_unknown_and_close_by_idle)
{
        story("0  I S tcp 10.0.1.1:50000 10.0.2.1:22\n"
              "60 I S tcp 10.0.1.1:50000 10.0.2.1:22\n"
              "release 20m\n",
                "0.000 OPENED 10.0.1.1:50000>10.0.2.1:22/tcp ssh open\n"
                "11m0.000 CLOSED 10.0.1.1:50000>10.0.2.1:22/tcp ssh unknown\n");
}

Test(conns, dynamic_ports_soon_after_the_endpoint_mapper_are_rpc)
{
        struct sw_fixture f;

        sw_fixture_init(&f);
        sw_fixture_run(&f, "0     O B tcp 10.0.1.1:50000 10.0.2.1:135\n"
                           "120   O B tcp 10.0.1.1:50001 10.0.2.1:49152\n"
                           "120   O B tcp 10.0.1.1:50001 10.0.2.1:49151\n"
                           "120   O B tcp 10.0.1.1:50002 10.0.2.2:49152\n"
                           "121   O B tcp 10.0.1.1:50003 10.0.2.1:49152\n"
                           "release 200\n");
        cr_assert_eq(sw_fixture_count(&f, "10.0.2.1:49152/tcp rpc"), 1);
        cr_assert_eq(sw_fixture_count(&f, "10.0.2.1:49151/tcp other"), 1);
        cr_assert_eq(sw_fixture_count(&f, "10.0.2.2:49152/tcp other"), 1);
        cr_assert_eq(sw_fixture_count(&f, "50003>10.0.2.1:49152/tcp other"), 1);
        sw_fixture_deinit(&f);
}

Test(conns, ipv6_is_folded_like_ipv4)
{
        story("0 O B tcp [fd00::1]:50000 [fd00:0:0:1::2]:3389\n"
              "1 I E tcp [fd00::1]:50000 [fd00:0:0:1::2]:3389 30/9000/30/9000\n"
              "release 5\n",
                "0.000 OPENED [fd00::1]:50000>[fd00:0:0:1::2]:3389/tcp rdp open\n"
                "1.000 PROGRESSED [fd00::1]:50000>[fd00:0:0:1::2]:3389/tcp rdp open 30/9000/30/9000\n"
                "1.000 SUCCEEDED [fd00::1]:50000>[fd00:0:0:1::2]:3389/tcp rdp ok 30/9000/30/9000\n"
                "2.000 CLOSED [fd00::1]:50000>[fd00:0:0:1::2]:3389/tcp rdp ok 30/9000/30/9000\n");
}

Test(conns, counters_saturate_instead_of_wrapping)
{
        struct sw_fixture f;

        sw_fixture_init(&f);
        sw_fixture_run(&f, "0 O B tcp 10.0.1.1:50000 10.0.2.1:22\n"
                           "1 O C tcp 10.0.1.1:50000 10.0.2.1:22 9/18446744073709551615/9/9000\n"
                           "2 O E tcp 10.0.1.1:50000 10.0.2.1:22 9/18446744073709551615/9/9000\n"
                           "release 5\n");
        cr_assert_eq(
                sw_fixture_count(&f, "CLOSED 10.0.1.1:50000>10.0.2.1:22/tcp ssh ok 18/18446744073709551615/18/18000"),
                1, "%.*s", (int)f.trace.n, f.trace.p);
        sw_fixture_deinit(&f);
}

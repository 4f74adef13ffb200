/* SPDX-License-Identifier: Apache-2.0 */
/* Detectors through the whole engine: tuples in, signals and findings out. */
#include "../lib/fixture.h"

#include <criterion/criterion.h>
#include <stdio.h>

static struct sw_fixture f;
static struct sw_segments *segments;

static void setup(void)
{
        static const struct {
                const char *name, *cidr;
                enum sw_segment_role role;
        } rows[] = {
                { "web", "10.1.0.0/24", SW_SEGMENT_ROLE_APP },
                { "db", "10.2.0.0/24", SW_SEGMENT_ROLE_DATA },
                { "mgmt", "10.3.0.0/24", SW_SEGMENT_ROLE_MGMT },
                { "six", "fd00:1::/64", SW_SEGMENT_ROLE_APP },
        };
        static const struct sw_port_range sql = { SW_PROTO_TCP, 1433, 1433 };
        struct sw_port_range services[1] = { sql };
        const struct sw_policy_row policy = {
                .from = SW_SEGMENT_FIRST, .to = SW_SEGMENT_FIRST + 1, .services = services, .n_services = 1
        };
        struct sw_segment_spec specs[4];
        struct sw_prefix prefixes[4];
        const struct sw_segments_spec spec = { .segments = specs, .n_segments = 4, .policy = &policy, .n_policy = 1 };
        unsigned i;

        for (i = 0; i < 4; i++) {
                cr_assert(sw_prefix_parse(sw_str_of(rows[i].cidr), &prefixes[i], NULL));
                specs[i] = (struct sw_segment_spec){
                        .segment = { .name = rows[i].name, .role = rows[i].role, .criticality = 2 },
                        .cidrs = &prefixes[i],
                        .n_cidrs = 1
                };
        }
        cr_assert_eq(sw_segments_new(&spec, &segments, NULL), 0);
        sw_fixture_init(&f);
        f.conf.segments = segments;
        f.conf.learning_ms = SW_DAY;
        f.trace_progress = false;
        f.trace_signals = true;
}

static void teardown(void)
{
        sw_fixture_deinit(&f);
        segments = sw_segments_free(segments);
}

TestSuite(stories, .init = setup, .fini = teardown);

/* Only the signal lines of what came out. */
static const char *signals(void)
{
        static char text[8192];
        const char *p = sw_fixture_trace(&f), *eol;
        size_t n = 0;

        for (; *p; p = eol + 1) {
                eol = strchr(p, '\n');
                if (!memmem(p, (size_t)(eol - p), " SIGNAL ", 8))
                        continue;
                cr_assert_lt(n + (size_t)(eol + 1 - p), sizeof(text));
                memcpy(text + n, p, (size_t)(eol + 1 - p));
                n += (size_t)(eol + 1 - p);
        }
        text[n] = '\0';
        return text;
}

static void expect(const char *wanted)
{
        const char *got = signals();

        cr_assert_str_eq(got, wanted, "wanted:\n%s\ngot:\n%s", wanted, got);
}

static void only(enum sw_detector_id id)
{
        unsigned i;

        for (i = 0; i < SW_N_DETECTORS; i++)
                f.conf.detectors[i].mode = i == id ? SW_MODE_SIGNAL : SW_MODE_OFF;
}

/* One connection of a second that moves payload, logged by both ends. */
static void talk(const char *minute, const char *src, const char *dst, unsigned port, unsigned sport)
{
        static const char states[] = { 'B', 'E' };
        static const char *const counters[] = { "-", "20/9000/20/9000" };
        unsigned i;

        for (i = 0; i < 2; i++) {
                sw_fixture_line(
                        &f, "%s%u O %c tcp %s:%u %s:%u %s", minute, i, states[i], src, sport, dst, port, counters[i]);
                sw_fixture_line(
                        &f, "%s%u I %c tcp %s:%u %s:%u %s", minute, i, states[i], src, sport, dst, port, counters[i]);
        }
}

/* A day in which the segments learn that 10.1.0.4 uses the database, and that hosts exist. */
static void learn(void)
{
        unsigned i;
        char src[32];

        for (i = 4; i < 12; i++) {
                (void)snprintf(src, sizeof(src), "10.1.0.%u", i);
                talk("0d0h0m", src, "10.2.0.5", 1433, 50000 + i);
                (void)snprintf(src, sizeof(src), "10.2.0.%u", i);
                talk("0d0h1m", src, "10.3.0.5", 443, 50000 + i);
                (void)snprintf(src, sizeof(src), "10.3.0.%u", i);
                talk("0d0h2m", src, "10.1.0.5", 443, 50000 + i);
        }
        sw_fixture_run(&f, "release 2d0h0m0");
        (void)sw_fixture_trace(&f);
}

Test(stories, a_scan_logged_by_both_ends_is_counted_once)
{
        unsigned i;

        only(SW_DETECTOR_HORIZONTAL_SCAN);
        learn();
        for (i = 0; i < 9; i++) {
                sw_fixture_line(&f, "2d1h0m%u O B tcp 10.1.0.4:%u 10.2.0.%u:445", i, 40000 + i, 20 + i);
                sw_fixture_line(&f, "2d1h0m%u I D tcp 10.1.0.4:%u 10.2.0.%u:445", i, 40000 + i, 20 + i);
        }
        sw_fixture_run(&f, "release 2d1h2m0");
        expect("");
        sw_fixture_run(&f, "2d1h3m0 O B tcp 10.1.0.4:40100 10.2.0.40:445\n"
                           "2d1h3m0 I D tcp 10.1.0.4:40100 10.2.0.40:445\n"
                           "release 2d1h5m0");
        expect("2d1h3m0.000 SIGNAL horizontal_scan 10.1.0.4 > 10.2.0.20 10.2.0.21 10.2.0.22 10.2.0.23 10.2.0.24 "
               "10.2.0.25 "
               "10.2.0.26 10.2.0.27 10.2.0.28 10.2.0.40 10/10\n");
}

Test(stories, ports_of_one_host_are_a_vertical_scan)
{
        unsigned i;

        only(SW_DETECTOR_VERTICAL_SCAN);
        learn();
        for (i = 0; i < 12; i++)
                sw_fixture_line(&f, "2d1h0m%u I D tcp 10.1.0.4:%u 10.2.0.5:%u", i, 40000 + i, 7000 + i);
        sw_fixture_run(&f, "release 2d1h2m0");
        expect("2d1h0m11.000 SIGNAL vertical_scan 10.1.0.4 > 10.2.0.5 12/12\n");
}

Test(stories, a_denied_tuple_that_repeats_counts_once)
{
        unsigned i;

        only(SW_DETECTOR_DENIED_SCAN);
        learn();
        for (i = 0; i < 100; i++)
                sw_fixture_line(&f, "2d1h0m%u.%u I D tcp 10.1.0.4:%u 10.2.0.5:22", i / 2, i % 2 * 5, 40000 + i);
        sw_fixture_run(&f, "release 2d1h2m0");
        expect("");
        for (i = 0; i < 7; i++)
                sw_fixture_line(&f, "2d1h2m%u I D tcp 10.1.0.4:%u 10.2.0.%u:22", i + 1, 50000 + i, 6 + i);
        sw_fixture_run(&f, "release 2d1h5m0");
        expect("2d1h2m7.000 SIGNAL denied_scan 10.1.0.4 > 10.2.0.5 10.2.0.6 10.2.0.7 10.2.0.8 10.2.0.9 10.2.0.10 "
               "10.2.0.11 "
               "10.2.0.12 8/8\n");
}

Test(stories, three_new_administered_hosts_are_a_fan_out_after_learning_only)
{
        only(SW_DETECTOR_ADMIN_FANOUT);
        talk("0d3h0m", "10.1.0.4", "10.3.0.6", 22, 40000);
        talk("0d3h1m", "10.1.0.4", "10.3.0.7", 22, 40001);
        talk("0d3h2m", "10.1.0.4", "10.3.0.8", 22, 40002);
        learn();
        talk("2d1h0m", "10.1.0.4", "10.3.0.6", 22, 40010); /* known since yesterday */
        talk("2d1h1m", "10.1.0.4", "10.3.0.9", 22, 40011);
        talk("2d1h2m", "10.1.0.4", "10.3.0.10", 22, 40012);
        sw_fixture_run(&f, "release 2d1h4m0");
        expect("");
        talk("2d1h5m", "10.1.0.4", "10.3.0.11", 22, 40013);
        sw_fixture_run(&f, "release 2d1h8m0");
        expect("2d1h5m1.000 SIGNAL admin_fanout 10.1.0.4 > 10.3.0.9 10.3.0.10 10.3.0.11 3/3\n");
}

Test(stories, one_rare_administrative_connection_after_learning_opens_an_incident)
{
        only(SW_DETECTOR_NEW_ADMIN_EDGE);
        talk("0d3h0m", "10.1.0.4", "10.3.0.6", 22, 40000);
        learn();
        cr_assert_eq(f.actions.findings.n, 0);
        talk("2d1h0m", "10.1.0.4", "10.3.0.6", 22, 40001); /* learned */
        talk("2d1h1m", "10.1.0.4", "10.2.0.6", 5985, 40002);
        talk("2d1h2m", "10.1.0.4", "10.2.0.6", 5985, 40003); /* told already */
        sw_fixture_run(&f, "release 2d1h4m0");
        expect("2d1h1m1.000 SIGNAL new_admin_edge 10.1.0.4 > 10.2.0.6 4/1\n");
        cr_assert_eq(f.actions.findings.n, 1);
}

Test(stories, two_hops_are_a_chain_whoever_logs_them_first)
{
        only(SW_DETECTOR_PIVOT_CHAIN);
        learn();
        sw_fixture_run(&f, "2d1h0m0 I B tcp 10.1.0.4:40000 10.3.0.6:3389\n"
                           "2d1h5m5 I B tcp 10.3.0.6:40001 10.2.0.6:22\n"
                           "2d1h5m9 O E tcp 10.3.0.6:40001 10.2.0.6:22 40/9000/40/9000\n"
                           "2d1h5m0 I C tcp 10.1.0.4:40000 10.3.0.6:3389 900/90000/900/90000\n"
                           "2d1h5m5 O B tcp 10.3.0.6:40001 10.2.0.6:22\n"
                           "release 2d1h8m0");
        expect("2d1h5m9.000 SIGNAL pivot_chain 10.1.0.4 > 10.2.0.6 2/2\n");
}

Test(stories, a_port_open_to_the_internet_is_told_twice_when_it_answers)
{
        only(SW_DETECTOR_EXPOSED_ADMIN);
        learn();
        sw_fixture_run(&f, "2d1h0m0 I B tcp 198.51.100.7:40000 10.1.0.4:3389 - rule=UserRule_vendor\n"
                           "2d1h0m1 I E tcp 198.51.100.7:40000 10.1.0.4:3389 1/60/0/0 rule=UserRule_vendor\n"
                           "2d1h1m0 I B tcp 198.51.100.8:40000 10.1.0.4:3389 - rule=UserRule_vendor\n"
                           "2d1h1m1 I E tcp 198.51.100.8:40000 10.1.0.4:3389 9/2000/9/2000 rule=UserRule_vendor\n"
                           "2d1h2m0 I B tcp 198.51.100.9:40000 10.1.0.4:3389 - rule=PlatformRule\n"
                           "2d1h2m1 I E tcp 198.51.100.9:40000 10.1.0.4:3389 9/2000/9/2000 rule=PlatformRule\n"
                           "release 2d1h5m0");
        expect("2d1h0m2.000 SIGNAL exposed_admin 198.51.100.7 > 10.1.0.4 1/1\n"
               "2d1h1m1.000 SIGNAL exposed_admin 198.51.100.8 > 10.1.0.4 1/1\n");
}

Test(stories, a_broken_policy_row_is_a_finding_once_a_day)
{
        only(SW_DETECTOR_SEGMENT_POLICY);
        learn();
        talk("2d1h0m", "10.1.0.4", "10.2.0.5", 1433, 40000);
        talk("2d1h1m", "10.1.0.4", "10.2.0.5", 8080, 40001);
        talk("2d1h2m", "10.1.0.4", "10.2.0.6", 8080, 40002);
        sw_fixture_run(&f, "release 2d1h5m0");
        expect("2d1h1m1.000 SIGNAL segment_policy 10.1.0.4 > 10.2.0.5 1/1\n");
        cr_assert_eq(f.actions.findings.n, 1);
        talk("3d0h0m", "10.1.0.4", "10.2.0.5", 8080, 40003);
        sw_fixture_run(&f, "release 3d0h5m0");
        expect("3d0h0m1.000 SIGNAL segment_policy 10.1.0.4 > 10.2.0.5 2/1\n");
        cr_assert_eq(f.actions.findings.n, 2);
}

static void attack(void)
{
        unsigned i;

        learn();
        sw_fixture_run(&f, "2d1h0m0 I B tcp 198.51.100.7:40000 10.1.0.4:3389\n"
                           "2d1h5m0 I C tcp 198.51.100.7:40000 10.1.0.4:3389 900/90000/900/900000\n");
        for (i = 0; i < 12; i++)
                sw_fixture_line(&f, "2d1h6m%u I D tcp 10.1.0.4:%u 10.2.0.%u:445", i, 41000 + i, 20 + i);
        for (i = 0; i < 3; i++) {
                sw_fixture_line(&f, "2d1h7m%u O B tcp 10.1.0.4:%u 10.3.0.%u:22", i, 42000 + i, 6 + i);
                sw_fixture_line(&f, "2d1h8m%u O C tcp 10.1.0.4:%u 10.3.0.%u:22 90/9000/90/9000", i, 42000 + i, 6 + i);
        }
        sw_fixture_run(&f, "2d1h9m0 O B tcp 10.3.0.6:43000 10.2.0.30:22\n"
                           "2d1h9m9 O E tcp 10.3.0.6:43000 10.2.0.30:22 90/9000/90/9000\n"
                           "release 2d2h0m0\nrelease 3d3h0m0");
}

Test(stories, a_whole_attack_is_one_incident_with_a_life)
{
        unsigned i, n_create = 0, n_update = 0, n_close = 0;
        const char *p;

        attack();
        sw_buf_putc(&f.actions.findings.text, '\0');
        for (i = 0; i < f.actions.findings.n; i++) {
                p = f.actions.findings.text.p + f.actions.findings.items[i].offset;
                if (!memmem(p, f.actions.findings.items[i].n, "\"kind\":\"incident\"", 17))
                        continue;
                cr_assert(memmem(p, f.actions.findings.items[i].n, "\"actor\":\"10.1.0.4\"", 18));
                n_create += memmem(p, f.actions.findings.items[i].n, "\"activity_id\":1,", 16) != NULL;
                n_update += memmem(p, f.actions.findings.items[i].n, "\"activity_id\":2,", 16) != NULL;
                n_close += memmem(p, f.actions.findings.items[i].n, "\"activity_id\":3,", 16) != NULL;
        }
        cr_assert_eq(n_create, 1);
        cr_assert_geq(n_update, 1);
        cr_assert_eq(n_close, 1);
}

Test(stories, the_hash_seed_changes_no_byte_of_findings_and_signals)
{
        static char findings[2][262144], lines[2][262144];
        unsigned i;

        for (i = 0; i < 2; i++) {
                f.seed = (struct sw_hash_key){ i * 77777 + 1, i };
                attack();
                cr_assert_lt(f.actions.findings.text.n, sizeof(findings[0]));
                cr_assert_lt(f.actions.signals.text.n, sizeof(lines[0]));
                memcpy(findings[i], f.actions.findings.text.p, f.actions.findings.text.n);
                memcpy(lines[i], f.actions.signals.text.p, f.actions.signals.text.n);
                cr_assert_gt(f.actions.findings.n, 2);
                sw_fixture_deinit(&f);
                sw_fixture_init(&f);
                f.conf.segments = segments;
                f.conf.learning_ms = SW_DAY;
        }
        cr_assert_str_eq(findings[0], findings[1]);
        cr_assert_str_eq(lines[0], lines[1]);
}

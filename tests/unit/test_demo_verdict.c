/* SPDX-License-Identifier: Apache-2.0 */
#include "demo/demo.h"

#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct fixture {
        struct sw_scenario *truth;
        struct sw_demo_verdict v;
        char attacker[SW_ADDR_TEXT], foothold[SW_ADDR_TEXT];
};

static struct fixture start(void)
{
        struct sw_scenario_conf conf = sw_scenario_default();
        struct fixture f;
        struct sw_addr a;

        conf.n_hosts = 60;
        conf.minutes = 300;
        conf.attacks = "full";
        cr_assert_eq(sw_scenario_new(&conf, &f.truth, NULL), 0);
        sw_demo_verdict_init(&f.v, f.truth);
        a = sw_scenario_step(f.truth, 0).actor;
        sw_addr_format(&a, f.attacker);
        a = sw_scenario_step(f.truth, 1).actor;
        sw_addr_format(&a, f.foothold);
        return f;
}

static void end(struct fixture *f)
{
        sw_demo_verdict_deinit(&f->v);
        sw_scenario_free(f->truth);
}

/* One line with a tuple in evidence and a detector per step whose letter is in `steps` (e s d f p), `late_ms` after the
 * step's begin. */
static void add_late(
        struct fixture *f, const char *uid, const char *actor, const char *steps, const char *rest, int64_t late_ms)
{
        static const char letters[] = "esdfp";
        char evidences[2048] = "", detectors[512] = "", line[4096], host[SW_ADDR_TEXT];
        size_t n = 0, m = 0, i;

        for (i = 0; steps[i]; i++) {
                struct sw_scenario_step s = sw_scenario_step(f->truth, (uint32_t)(strchr(letters, steps[i]) - letters));

                n += (size_t)snprintf(evidences + n, sizeof(evidences) - n,
                        "%s{\"dst_endpoint\":{\"ip\":\"%s\"},\"data\":{\"time\":%lld}}", i ? "," : "",
                        sw_addr_format(&s.hosts[s.n_hosts - 1], host), (long long)(s.first.ms + late_ms));
                m += (size_t)snprintf(detectors + m, sizeof(detectors) - m, "%s\"%s\"", i ? "," : "", s.detectors);
        }
        n = (size_t)snprintf(line, sizeof(line),
                "{\"class_uid\":2004,\"time\":1772440000000,\"severity_id\":4,\"message\":\"m\",\"finding_info\":{"
                "\"uid\":\"%s\",\"modified_time\":1772440000000},\"unmapped\":{\"kind\":\"incident\",\"actor\":\"%s\","
                "\"detectors\":[%s]%s},\"evidences\":[%s]}",
                uid, actor, detectors, rest, evidences);
        cr_assert_lt(n, sizeof(line));
        cr_assert_eq(sw_demo_verdict_add(&f->v, (struct sw_str){ line, n }), 0);
}

static void add(struct fixture *f, const char *uid, const char *actor, const char *steps, const char *rest)
{
        add_late(f, uid, actor, steps, rest, 10);
}

Test(demo_verdict, one_incident_with_all_steps_is_complete)
{
        struct fixture f = start();

        add(&f, "aa", f.foothold, "sdfp", "");
        cr_assert(!sw_demo_verdict_complete(&f.v));
        add(&f, "aa", f.foothold, "sdfpe", "");
        cr_assert(sw_demo_verdict_complete(&f.v));
        cr_assert_eq(sw_demo_verdict_false(&f.v), 0);
        end(&f);
}

Test(demo_verdict, evidence_from_outside_the_time_of_a_step_does_not_name_it)
{
        struct fixture f = start();

        add_late(&f, "aa", f.foothold, "esdfp", "", -10);
        add_late(&f, "aa", f.foothold, "esdfp", "", 6 * SW_HOUR);
        cr_assert_eq(f.v.steps[1].time, 0);
        cr_assert(!sw_demo_verdict_complete(&f.v));
        end(&f);
}

Test(demo_verdict, a_host_named_after_the_step_began_is_enough_beside_its_detector)
{
        struct fixture f = start();
        struct sw_scenario_step denied = sw_scenario_step(f.truth, 2);
        char line[512], host[SW_ADDR_TEXT];
        static const struct {
                const char *detector;
                int64_t late_ms;
                bool found;
        } rows[] = { { "denied_scan", -1000, false }, { "vertical_scan", 1000, false }, { "denied_scan", 1000, true } };
        size_t i;
        int n;

        for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
                n = snprintf(line, sizeof(line),
                        "{\"finding_info\":{\"uid\":\"aa\",\"modified_time\":%lld},\"unmapped\":{\"kind\":\"incident\","
                        "\"actor\":\"%s\",\"targets\":[\"%s\"],\"detectors\":[\"%s\"]}}",
                        (long long)(denied.first.ms + rows[i].late_ms), f.foothold,
                        sw_addr_format(&denied.hosts[0], host), rows[i].detector);
                cr_assert_eq(sw_demo_verdict_add(&f.v, (struct sw_str){ line, (size_t)n }), 0);
                cr_assert_eq(f.v.steps[2].time != 0, rows[i].found, "row %zu", i);
        }
        end(&f);
}

Test(demo_verdict, two_incidents_are_complete_only_once_one_is_merged_into_the_other)
{
        struct fixture f = start();

        add(&f, "aa", f.attacker, "e", "");
        add(&f, "bb", f.foothold, "sdfp", "");
        cr_assert(!sw_demo_verdict_complete(&f.v));
        add(&f, "bb", f.foothold, "sdfp", ",\"merged_into\":\"aa\"");
        cr_assert(sw_demo_verdict_complete(&f.v));
        end(&f);
}

Test(demo_verdict, findings_about_others_are_false_and_name_no_step)
{
        struct fixture f = start();

        add(&f, "cc", "10.9.9.9", "sdfpe", "");
        add(&f, "dd", "10.9.9.8", "", "");
        add(&f, "dd", "10.9.9.8", "", "");
        cr_assert_eq(sw_demo_verdict_false(&f.v), 2);
        cr_assert_eq(f.v.steps[0].time, 0);
        cr_assert(!sw_demo_verdict_complete(&f.v));
        end(&f);
}

Test(demo_verdict, an_incident_that_lists_the_foothold_as_compromised_is_about_the_attack)
{
        struct fixture f = start();
        char rest[128];

        snprintf(rest, sizeof(rest), ",\"compromised\":[\"%s\"]", f.foothold);
        add(&f, "aa", "198.51.100.1", "p", rest);
        cr_assert_eq(sw_demo_verdict_false(&f.v), 0);
        cr_assert_neq(f.v.steps[4].time, 0);
        end(&f);
}

Test(demo_verdict, health_and_broken_lines_are_left_out)
{
        struct fixture f = start();
        static const char health[] = "{\"finding_info\":{\"uid\":\"ee\"},\"unmapped\":{\"kind\":\"health\"}}";

        cr_assert_eq(sw_demo_verdict_add(&f.v, SW_STR(health)), 0);
        cr_assert_eq(sw_demo_verdict_add(&f.v, SW_STR("{\"finding_info\":")), 0);
        cr_assert_eq(sw_demo_verdict_add(&f.v, SW_STR("{}")), 0);
        cr_assert_eq(f.v.n_health, 1);
        cr_assert_eq(sw_demo_verdict_false(&f.v), 0);
        end(&f);
}

Test(demo_verdict, the_text_names_what_was_missed)
{
        struct fixture f = start();
        struct sw_buf out = SW_BUF_NULL;

        add(&f, "aa", f.attacker, "e", "");
        add(&f, "cc", "10.9.9.9", "s", "");
        sw_demo_verdict_print(&f.v, &out);
        sw_buf_putc(&out, '\0');
        cr_assert(!out.failed);
        cr_assert_not_null(strstr(out.p, "found by exposed_admin"));
        cr_assert_not_null(strstr(out.p, "NOT found (looked for pivot_chain)"));
        cr_assert_not_null(strstr(out.p, "False findings: 1"));
        sw_buf_deinit(&out);
        end(&f);
}

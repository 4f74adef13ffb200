/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_view.h"

#include <criterion/criterion.h>

/* The detector's own struct starts with its list of allowed sources. */
struct conf {
        char *allow_from;
        uint64_t session_bytes;
        int64_t session_time;
};

static struct fake_run r;

static void setup(void)
{
        fake_run_init(&r, SW_DETECTOR_EXPOSED_ADMIN);
}

static void teardown(void)
{
        fake_run_deinit(&r);
}

TestSuite(det_exposed_admin, .init = setup, .fini = teardown);

#define X "198.51.100.7"
#define Y "203.0.114.9"

static uint32_t session(int64_t ms, const char *src, const char *dst, int64_t seconds, uint64_t bytes)
{
        struct sw_conn_event ev = fake_event(r.v, SW_CONN_PROGRESSED, ms, src, dst, 3389);

        ev.opened.ms -= seconds * 1000;
        ev.payload_fwd = bytes / 2;
        ev.payload_rev = bytes - bytes / 2;
        return fake_give(&r, &ev);
}

Test(det_exposed_admin, tells_reachable_from_answering)
{
        cr_assert_eq(fake_see(&r, SW_CONN_FAILED, 0, X, "10.1.0.4", 22), 1);
        cr_assert_eq(fake_last(&r)->weight_pct, 30);
        cr_assert_str_eq(fake_told(&r), "was let through to 10.1.0.4 in segment web on 22/tcp (ssh) from the Internet");
        cr_assert_eq(fake_see(&r, SW_CONN_SUCCEEDED, 1, X, "10.1.0.4", 22), 1);
        cr_assert_eq(fake_last(&r)->weight_pct, 60);
        cr_assert_eq(fake_last(&r)->variant, SW_EXPOSED_ADMIN_ANSWERS);
}

Test(det_exposed_admin, says_a_port_once_a_day)
{
        cr_assert_eq(fake_see(&r, SW_CONN_SUCCEEDED, 0, X, "10.1.0.4", 22), 1);
        cr_assert_eq(fake_see(&r, SW_CONN_SUCCEEDED, SW_DAY - 1, Y, "10.1.0.4", 22), 0);
        cr_assert_eq(fake_see(&r, SW_CONN_SUCCEEDED, SW_DAY, Y, "10.1.0.4", 22), 1);
        cr_assert_eq(fake_see(&r, SW_CONN_SUCCEEDED, SW_DAY, Y, "10.1.0.4", 3389), 1);
        cr_assert_eq(fake_see(&r, SW_CONN_SUCCEEDED, SW_DAY, Y, "10.1.0.5", 22), 1);
}

Test(det_exposed_admin, tells_every_source_that_holds_a_session)
{
        cr_assert_eq(session(0, X, "10.1.0.4", 60, 19999), 0);
        cr_assert_eq(session(0, X, "10.1.0.4", 59, 20000), 0);
        cr_assert_eq(session(0, X, "10.1.0.4", 60, 20000), 1);
        cr_assert_eq(fake_last(&r)->variant, SW_EXPOSED_ADMIN_SESSION);
        cr_assert_eq(fake_last(&r)->confidence_pct, 75);
        cr_assert_eq(session(1, X, "10.1.0.4", 90, 90000), 0);
        cr_assert_eq(session(2, Y, "10.1.0.4", 90, 90000), 1);
        cr_assert_str_eq(fake_told(&r),
                "held a session on 10.1.0.4 in segment web on 3389/tcp (rdp) from the Internet: 90 kB in 90 s");
}

Test(det_exposed_admin, never_takes_the_platform_rule_for_an_open_door)
{
        r.v->rule.name = SW_STR("platformrule");
        cr_assert_eq(fake_see(&r, SW_CONN_SUCCEEDED, 0, X, "10.1.0.4", 22), 0);
}

Test(det_exposed_admin, ignores_the_platform_private_sources_other_ports_and_denied)
{
        cr_assert_eq(fake_see(&r, SW_CONN_SUCCEEDED, 0, "168.63.129.16", "10.1.0.4", 22), 0);
        cr_assert_eq(fake_see(&r, SW_CONN_SUCCEEDED, 0, "10.2.0.4", "10.1.0.4", 22), 0);
        cr_assert_eq(fake_see(&r, SW_CONN_SUCCEEDED, 0, X, "10.1.0.4", 443), 0);
        cr_assert_eq(fake_see(&r, SW_CONN_DENIED, 0, X, "10.1.0.4", 22), 0);
        cr_assert_eq(fake_see(&r, SW_CONN_SUCCEEDED, 0, X, Y, 22), 0);
}

Test(det_exposed_admin, knows_its_friends)
{
        char list[] = "203.0.114.0/24, 2001:db8::/32";
        struct conf c;

        cr_assert_eq(sw_detector_conf_default(&sw_det_exposed_admin, &c), 0);
        c.allow_from = list;
        r.conf[SW_DETECTOR_EXPOSED_ADMIN].conf = &c;
        cr_assert_eq(fake_see(&r, SW_CONN_SUCCEEDED, 0, Y, "10.1.0.4", 22), 0);
        cr_assert_eq(fake_see(&r, SW_CONN_SUCCEEDED, 0, X, "10.1.0.4", 22), 1);
}

Test(det_exposed_admin, refuses_a_list_that_it_cannot_read)
{
        char good[] = " 203.0.114.0/24 198.51.100.7,", bad[] = "203.0.114.0/24, office";
        struct sw_err err = SW_ERR_NULL;
        struct conf c = { .allow_from = good };

        cr_assert_eq(sw_det_exposed_admin.check(&c, &err), 0);
        c.allow_from = bad;
        cr_assert_eq(sw_det_exposed_admin.check(&c, &err), -SW_ERR_CONFIG);
        cr_assert(strstr(err.msg, "office"));
}

Test(det_exposed_admin, makes_do_without_counters)
{
        struct sw_conn_event ev = fake_event(r.v, SW_CONN_CLOSED, 0, X, "10.1.0.4", 22);

        ev.outcome = SW_OUTCOME_UNKNOWN;
        ev.payload_fwd = ev.payload_rev = 0;
        cr_assert_eq(fake_give(&r, &ev), 1);
        cr_assert_eq(fake_last(&r)->weight_pct, 30);
}

Test(det_exposed_admin, knows_ipv6)
{
        cr_assert_eq(fake_see(&r, SW_CONN_SUCCEEDED, 0, "2a01:111::7", "fd00:1::4", 22), 1);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_view.h"

#include <criterion/criterion.h>

static struct fake_run r;

static void setup(void)
{
        static const struct fake_row rows[] = { { FAKE_WEB, FAKE_DB, 1433 }, { FAKE_MGMT, FAKE_DB, 22 } };

        fake_run_init(&r, SW_DETECTOR_SEGMENT_POLICY);
        fake_policy(r.v, rows, 2);
}

static void teardown(void)
{
        fake_run_deinit(&r);
}

TestSuite(det_segment_policy, .init = setup, .fini = teardown);

Test(det_segment_policy, knows_the_matrix)
{
        static const struct {
                const char *src, *dst;
                uint16_t port;
                uint32_t n;
        } rows[] = {
                { "10.1.0.4", "10.2.0.1", 1433, 0 },      /* a row allows it */
                { "10.1.0.4", "10.2.0.1", 22, 1 },        /* another port */
                { "10.3.0.4", "10.2.0.1", 22, 0 },        /* another row */
                { "10.4.0.4", "10.2.0.1", 1433, 1 },      /* another segment */
                { "10.2.0.4", "10.2.0.1", 1433, 0 },      /* inside a segment */
                { "10.2.0.4", "10.1.0.4", 443, 0 },       /* web is not default-deny */
                { "192.168.7.7", "10.2.0.1", 1433, 1 },   /* unassigned */
                { "198.51.100.7", "10.2.0.1", 1433, 1 },  /* the Internet */
                { "168.63.129.16", "10.2.0.1", 1433, 0 }, /* the platform is no subject of policy */
        };
        unsigned i;

        for (i = 0; i < sizeof(rows) / sizeof(*rows); i++)
                cr_assert_eq(fake_see(&r, SW_CONN_SUCCEEDED, i, rows[i].src, rows[i].dst, rows[i].port), rows[i].n,
                        "row %u", i);
}

Test(det_segment_policy, what_the_platform_lets_in_is_nobodys_violation)
{
        r.v->rule.name = SW_STR("PlatformRule");
        cr_assert_eq(fake_see(&r, SW_CONN_SUCCEEDED, 0, "198.51.100.7", "10.2.0.1", 1433), 0);
        cr_assert_eq(fake_see(&r, SW_CONN_SUCCEEDED, 1, "10.4.0.4", "10.2.0.1", 1433), 1, "from inside it is");
        r.v->rule.name = SW_STR("UserRule_x");
        cr_assert_eq(fake_see(&r, SW_CONN_SUCCEEDED, 2, "198.51.100.7", "10.2.0.1", 1433), 1);
}

Test(det_segment_policy, says_a_row_once_a_utc_day_with_its_count)
{
        unsigned i;

        cr_assert_eq(fake_see(&r, SW_CONN_SUCCEEDED, 0, "10.1.0.4", "10.2.0.1", 22), 1);
        cr_assert_eq(fake_last(&r)->variant, SW_SEGMENT_POLICY_FINDING);
        cr_assert_eq(fake_last(&r)->weight_pct, 70);
        cr_assert_eq(fake_last(&r)->value, 1);
        for (i = 1; i <= 9; i++)
                cr_assert_eq(fake_see(&r, SW_CONN_SUCCEEDED, i * SW_HOUR, "10.1.0.4", "10.2.0.2", 22), 0);
        cr_assert_eq(fake_see(&r, SW_CONN_SUCCEEDED, SW_DAY - 1, "10.1.0.4", "10.2.0.1", 22), 0);
        cr_assert_eq(fake_see(&r, SW_CONN_SUCCEEDED, SW_DAY, "10.1.0.4", "10.2.0.1", 22), 1);
        cr_assert_eq(fake_last(&r)->value, 11);
        cr_assert_str_eq(fake_told(&r),
                "used 22/tcp from segment web to 10.2.0.1 in segment db, which no policy row allows "
                "(11 flows between these segments since it was last told)");
}

Test(det_segment_policy, feeds_the_incident_of_every_further_source_without_a_finding)
{
        cr_assert_eq(fake_see(&r, SW_CONN_SUCCEEDED, 0, "10.1.0.4", "10.2.0.1", 22), 1);
        cr_assert_eq(fake_see(&r, SW_CONN_SUCCEEDED, 1, "10.1.0.5", "10.2.0.1", 22), 1);
        cr_assert_neq(fake_last(&r)->variant, SW_SEGMENT_POLICY_FINDING);
        cr_assert_eq(fake_see(&r, SW_CONN_SUCCEEDED, 2, "10.1.0.5", "10.2.0.1", 22), 0);
        cr_assert_eq(fake_see(&r, SW_CONN_SUCCEEDED, 3, "198.51.100.7", "10.2.0.1", 22), 1);
        cr_assert_eq(fake_see(&r, SW_CONN_SUCCEEDED, 4, "198.51.100.8", "10.2.0.1", 22), 0);
}

Test(det_segment_policy, says_a_row_of_the_internet_once_a_week)
{
        unsigned day;

        for (day = 0; day < 14; day++)
                cr_assert_eq(
                        fake_see(&r, SW_CONN_SUCCEEDED, day * SW_DAY, fake_addr("198.51.100.", day), "10.2.0.1", 22),
                        day % 7 == 0);
        cr_assert_eq(fake_last(&r)->value, 7);
}

Test(det_segment_policy, needs_proof_that_it_was_let_through)
{
        struct sw_conn_event ev = fake_event(r.v, SW_CONN_FAILED, 0, "10.1.0.4", "10.2.0.1", 22);

        cr_assert_eq(fake_give(&r, &ev), 0); /* no reply */
        cr_assert_eq(fake_see(&r, SW_CONN_DENIED, 1, "10.1.0.4", "10.2.0.1", 22), 0);
        ev.outcome = SW_OUTCOME_REFUSED;
        cr_assert_eq(fake_give(&r, &ev), 1);
        cr_assert_neq(fake_last(&r)->variant, SW_SEGMENT_POLICY_FINDING);
        cr_assert_eq(fake_see(&r, SW_CONN_SUCCEEDED, 2, "10.1.0.4", "10.2.0.1", 22), 1); /* now somebody used it */
        cr_assert_eq(fake_last(&r)->variant, SW_SEGMENT_POLICY_FINDING);
}

Test(det_segment_policy, makes_do_without_counters)
{
        struct sw_conn_event ev = fake_event(r.v, SW_CONN_CLOSED, 0, "10.1.0.4", "10.2.0.1", 22);

        cr_assert_eq(fake_give(&r, &ev), 0); /* it was told when it succeeded */
        ev.outcome = SW_OUTCOME_UNKNOWN;
        cr_assert_eq(fake_give(&r, &ev), 1);
}

Test(det_segment_policy, leaves_icmp_out)
{
        struct sw_conn_event ev = fake_event(r.v, SW_CONN_SUCCEEDED, 0, "10.1.0.4", "10.2.0.1", 0);

        ev.first.proto = SW_PROTO_ICMP;
        cr_assert_eq(fake_give(&r, &ev), 0);
}

Test(det_segment_policy, learns_where_nothing_is_written)
{
        struct sw_conn_event ev = fake_event(r.v, SW_CONN_SUCCEEDED, 0, "10.1.0.4", "10.3.0.1", 22);

        cr_assert_eq(fake_give(&r, &ev), 0); /* known */
        ev.rarity = SW_RARE_PAIR_CLASS;
        ev.learning = true;
        cr_assert_eq(fake_give(&r, &ev), 0);
        ev.learning = false;
        cr_assert_eq(fake_give(&r, &ev), 1);
        cr_assert_eq(fake_last(&r)->weight_pct, 35);
        cr_assert_eq(fake_give(&r, &ev), 0);
        ev = fake_event(r.v, SW_CONN_SUCCEEDED, 0, "198.51.100.7", "10.3.0.1", 22);
        ev.rarity = SW_RARE_PAIR_CLASS;
        cr_assert_eq(fake_give(&r, &ev), 0);
        fake_role(r.v, "10.1.0.9", SW_HOST_ROLE(SCANNER));
        ev = fake_event(r.v, SW_CONN_SUCCEEDED, 0, "10.1.0.9", "10.4.0.1", 22);
        ev.rarity = SW_RARE_PAIR_CLASS;
        cr_assert_eq(fake_give(&r, &ev), 0);
}

Test(det_segment_policy, knows_ipv6_and_late_events)
{
        struct sw_conn_event ev = fake_event(r.v, SW_CONN_SUCCEEDED, 0, "fd00:1::4", "10.2.0.1", 22);

        ev.late = true;
        cr_assert_eq(fake_give(&r, &ev), 1);
}

Test(det_segment_policy, declared_scanners_try_what_is_forbidden)
{
        fake_role(r.v, "10.4.0.4", SW_HOST_ROLE(SCANNER));
        fake_role(r.v, "10.4.0.5", SW_HOST_ROLE(MONITOR));
        cr_assert_eq(fake_see(&r, SW_CONN_SUCCEEDED, 0, "10.4.0.4", "10.2.0.1", 1433), 0);
        cr_assert_eq(fake_see(&r, SW_CONN_SUCCEEDED, 1, "10.4.0.5", "10.2.0.1", 1433), 0);
        cr_assert_eq(fake_see(&r, SW_CONN_SUCCEEDED, 2, "10.4.0.6", "10.2.0.1", 1433), 1);
}

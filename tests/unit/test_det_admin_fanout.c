/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_view.h"

#include <criterion/criterion.h>

static struct fake_run r;

static void setup(void)
{
        fake_run_init(&r, SW_DETECTOR_ADMIN_FANOUT);
}

static void teardown(void)
{
        fake_run_deinit(&r);
}

TestSuite(det_admin_fanout, .init = setup, .fini = teardown);

static uint32_t reach(const char *src, const char *dst, int64_t ms, uint16_t port, bool is_new)
{
        struct sw_conn_event ev = fake_event(r.v, SW_CONN_SUCCEEDED, ms, src, dst, port);

        ev.rarity = is_new ? SW_RARE_NEW_EDGE : 0;
        return fake_give(&r, &ev);
}

static uint32_t reach_many(const char *src, const char *net, unsigned n, int64_t from, int64_t step_ms, bool is_new)
{
        uint32_t raised = 0;
        unsigned i;

        for (i = 0; i < n; i++)
                raised += reach(src, fake_addr(net, i + 1), from + i * step_ms, 3389, is_new);
        return raised;
}

Test(det_admin_fanout, fires_at_the_third_new_host_in_half_an_hour)
{
        cr_assert_eq(reach_many("10.1.0.4", "10.2.0.", 2, 0, 14 * SW_MINUTE, true), 0);
        cr_assert_eq(reach("10.1.0.4", "10.2.0.3", 30 * SW_MINUTE - 1, 3389, true), 1);
        cr_assert_eq(fake_last(&r)->value, 3);
        cr_assert_eq(fake_last(&r)->n_targets, 3);
        cr_assert_eq(fake_last(&r)->techniques, 2); /* T1021.001 */
        cr_assert_str_eq(fake_told(&r),
                "reached 3 hosts in segment db with rdp in 30 min that it never used it on before "
                "(it had never done so before)");
}

Test(det_admin_fanout, does_not_count_the_first_one_after_half_an_hour)
{
        cr_assert_eq(reach_many("10.1.0.4", "10.2.0.", 2, 0, 14 * SW_MINUTE, true), 0);
        cr_assert_eq(reach("10.1.0.4", "10.2.0.3", 30 * SW_MINUTE, 3389, true), 0);
}

Test(det_admin_fanout, needs_five_known_hosts_in_ten_minutes)
{
        cr_assert_eq(reach_many("10.1.0.4", "10.2.0.", 4, 0, 1000, false), 0);
        cr_assert_eq(reach("10.1.0.4", "10.2.0.5", 10 * SW_MINUTE - 1, 3389, false), 1);
        cr_assert_eq(reach_many("10.1.0.5", "10.2.0.", 4, 0, 0, false), 0);
        cr_assert_eq(reach("10.1.0.5", "10.2.0.5", 10 * SW_MINUTE, 3389, false), 0);
}

Test(det_admin_fanout, needs_more_than_twice_the_most_of_30_days)
{
        r.v->fanout_max = 10;
        cr_assert_eq(reach_many("10.1.0.4", "10.2.0.", 20, 0, 100, false), 0);
        cr_assert_eq(reach("10.1.0.4", "10.2.0.21", 3000, 3389, false), 1);
        cr_assert_eq(fake_last(&r)->threshold, 21);
        cr_assert_eq(fake_last(&r)->normal, 10);
}

Test(det_admin_fanout, lets_administrators_reach_new_hosts)
{
        r.v->admin_source = true;
        cr_assert_eq(reach_many("10.1.0.4", "10.2.0.", 4, 0, 100, true), 0);
        cr_assert_eq(reach("10.1.0.4", "10.2.0.5", 1000, 3389, true), 1);
}

Test(det_admin_fanout, leaves_declared_roles_alone)
{
        static const uint32_t roles[] = { SW_HOST_ROLE(JUMP), SW_HOST_ROLE(PATCH), SW_HOST_ROLE(MONITOR),
                SW_HOST_ROLE(BACKUP), SW_HOST_ROLE(SCANNER), SW_HOST_ROLE(DEPLOY) };
        unsigned i;

        for (i = 0; i < 6; i++) {
                const char *src = fake_addr("10.1.0.", 10 + i);

                fake_role(r.v, src, roles[i]);
                cr_assert_eq(reach_many(src, "10.2.0.", 30, 0, 100, true), 0);
        }
}

Test(det_admin_fanout, never_counts_directory_traffic_to_domain_controllers)
{
        unsigned i;

        for (i = 0; i < 10; i++) {
                fake_role(r.v, fake_addr("10.3.0.", i + 1), SW_HOST_ROLE(DC));
                cr_assert_eq(reach("10.4.0.4", fake_addr("10.3.0.", i + 1), i, 389, true), 0);
        }
}

Test(det_admin_fanout, is_silent_while_learning_for_late_events_and_towards_the_internet)
{
        struct sw_conn_event ev;
        unsigned i;

        for (i = 0; i < 10; i++) {
                ev = fake_event(r.v, SW_CONN_SUCCEEDED, i, "10.1.0.4", fake_addr("10.2.0.", i + 1), 22);
                ev.rarity = SW_RARE_NEW_EDGE;
                ev.learning = true;
                cr_assert_eq(fake_give(&r, &ev), 0);
                ev.learning = false;
                ev.late = true;
                cr_assert_eq(fake_give(&r, &ev), 0);
        }
        cr_assert_eq(reach_many("10.1.0.4", "198.51.100.", 10, 0, 1, true), 0);
        cr_assert_eq(reach_many("198.51.100.7", "10.2.0.", 10, 0, 1, true), 0);
}

Test(det_admin_fanout, keeps_services_apart_and_knows_ipv6)
{
        cr_assert_eq(reach("fd00:1::4", "fd00:1::5", 0, 22, true), 0);
        cr_assert_eq(reach("fd00:1::4", "fd00:1::6", 1, 3389, true), 0);
        cr_assert_eq(reach("fd00:1::4", "fd00:1::7", 2, 22, true), 0);
        cr_assert_eq(reach("fd00:1::4", "fd00:1::8", 3, 22, true), 1);
}

Test(det_admin_fanout, speaks_again_only_when_it_doubles)
{
        cr_assert_eq(reach_many("10.1.0.4", "10.2.0.", 12, 0, 100, true), 3); /* 3, 6, 12 */
}

Test(det_admin_fanout, leaves_the_segments_of_administrators_alone)
{
        r.v->segments[FAKE_MGMT].role = SW_SEGMENT_ROLE_BASTION;
        cr_assert_eq(reach_many("10.3.0.4", "10.2.0.", 30, 0, 100, true), 0);
        r.v->segments[FAKE_MGMT].role = SW_SEGMENT_ROLE_MGMT;
        cr_assert_gt(reach_many("10.3.0.5", "10.2.0.", 30, 0, 100, true), 0);
}

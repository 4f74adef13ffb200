/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_view.h"

#include <criterion/criterion.h>

static struct fake_run r;

static void setup(void)
{
        fake_run_init(&r, SW_DETECTOR_NEW_ADMIN_EDGE);
}

static void teardown(void)
{
        fake_run_deinit(&r);
}

TestSuite(det_new_admin_edge, .init = setup, .fini = teardown);

#define ALL_RARE (SW_RARE_NEW_EDGE | SW_RARE_SRC_CLASS | SW_RARE_DST_CLASS | SW_RARE_PAIR_CLASS | SW_RARE_NOT_SERVER)

static uint32_t connect_at(int64_t ms, const char *src, const char *dst, uint16_t port, unsigned rarity)
{
        struct sw_conn_event ev = fake_event(r.v, SW_CONN_SUCCEEDED, ms, src, dst, port);

        ev.rarity = rarity;
        return fake_give(&r, &ev);
}

Test(det_new_admin_edge, weighs_rarity_and_stands_alone_at_four_points)
{
        static const struct {
                unsigned rarity;
                uint8_t confidence, weight;
                bool alone;
        } rows[] = {
                { SW_RARE_NEW_EDGE | SW_RARE_SRC_CLASS, 25, 30, false },
                { SW_RARE_NEW_EDGE | SW_RARE_SRC_CLASS | SW_RARE_DST_CLASS, 50, 42, false },
                { SW_RARE_NEW_EDGE | SW_RARE_SRC_CLASS | SW_RARE_DST_CLASS | SW_RARE_PAIR_CLASS, 75, 53, false },
                { ALL_RARE, 100, 65, true },
        };
        unsigned i;

        for (i = 0; i < 4; i++) {
                cr_assert_eq(connect_at(i, "10.1.0.4", fake_addr("10.2.0.", i + 1), 5985, rows[i].rarity), 1);
                cr_assert_eq(fake_last(&r)->confidence_pct, rows[i].confidence);
                cr_assert_eq(fake_last(&r)->weight_pct, rows[i].weight);
                cr_assert_eq(fake_last(&r)->alone, rows[i].alone);
        }
        cr_assert_eq(fake_last(&r)->n_evidence, 1);
        cr_assert_str_eq(fake_told(&r),
                "opened its first winrm connection to 10.2.0.4 in segment db on 5985/tcp, which "
                "nobody in segment web did before (rarity 4 of 4)");
}

Test(det_new_admin_edge, is_silent_about_known_and_merely_new_edges)
{
        cr_assert_eq(connect_at(0, "10.1.0.4", "10.2.0.1", 22, ALL_RARE & ~SW_RARE_NEW_EDGE), 0);
        cr_assert_eq(connect_at(0, "10.1.0.4", "10.2.0.1", 22, SW_RARE_NEW_EDGE), 0);
}

Test(det_new_admin_edge, says_an_edge_once_a_day)
{
        cr_assert_eq(connect_at(0, "10.1.0.4", "10.2.0.1", 22, ALL_RARE), 1);
        cr_assert_eq(connect_at(SW_DAY - 1, "10.1.0.4", "10.2.0.1", 22, ALL_RARE), 0);
        cr_assert_eq(connect_at(SW_DAY, "10.1.0.4", "10.2.0.1", 22, ALL_RARE), 1);
}

Test(det_new_admin_edge, gives_a_point_for_neighbouring_workstations)
{
        cr_assert_eq(connect_at(0, "10.4.0.4", "10.4.0.5", 445, SW_RARE_NEW_EDGE), 1);
        cr_assert_eq(fake_last(&r)->value, 1);
        cr_assert_eq(connect_at(0, "10.4.0.4", "10.4.0.5", 22, SW_RARE_NEW_EDGE), 0);
        cr_assert_eq(connect_at(0, "10.1.0.4", "10.1.0.5", 445, SW_RARE_NEW_EDGE), 0);
}

Test(det_new_admin_edge, believes_little_of_new_hosts_and_deployment)
{
        r.v->hosts[fake_host(r.v, "10.1.0.7")].first_seen.ms = FAKE_START - SW_DAY + 1000;
        fake_role(r.v, "10.1.0.8", SW_HOST_ROLE(DEPLOY));
        cr_assert_eq(connect_at(0, "10.1.0.7", "10.2.0.1", 22, ALL_RARE), 1);
        cr_assert_eq(fake_last(&r)->confidence_pct, 30);
        cr_assert_not(fake_last(&r)->alone);
        cr_assert_eq(connect_at(0, "10.1.0.8", "10.2.0.1", 22, ALL_RARE), 1);
        cr_assert_eq(fake_last(&r)->confidence_pct, 30);
        fake_role(r.v, "10.1.0.9", SW_HOST_ROLE(JUMP));
        cr_assert_eq(connect_at(0, "10.1.0.9", "10.2.0.1", 22, ALL_RARE), 1);
        cr_assert_eq(fake_last(&r)->confidence_pct, 15);
        cr_assert_eq(connect_at(1000, "10.1.0.7", "10.2.0.2", 22, ALL_RARE), 1); /* a day old */
        cr_assert_eq(fake_last(&r)->confidence_pct, 100);
}

Test(det_new_admin_edge, is_silent_while_learning_and_for_late_events)
{
        struct sw_conn_event ev = fake_event(r.v, SW_CONN_SUCCEEDED, 0, "10.1.0.4", "10.2.0.1", 22);

        ev.rarity = ALL_RARE;
        ev.learning = true;
        cr_assert_eq(fake_give(&r, &ev), 0);
        ev.learning = false;
        ev.late = true;
        cr_assert_eq(fake_give(&r, &ev), 0);
        ev.late = false;
        ev.tainted = true; /* a host under an incident still tells */
        cr_assert_eq(fake_give(&r, &ev), 1);
}

Test(det_new_admin_edge, concerns_administration_inside_only)
{
        fake_role(r.v, "10.3.0.10", SW_HOST_ROLE(DC));
        fake_role(r.v, "10.1.0.9", SW_HOST_ROLE(SCANNER));
        cr_assert_eq(connect_at(0, "10.1.0.4", "10.2.0.1", 443, ALL_RARE), 0);
        cr_assert_eq(connect_at(0, "10.1.0.4", "198.51.100.7", 22, ALL_RARE), 0);
        cr_assert_eq(connect_at(0, "198.51.100.7", "10.2.0.1", 22, ALL_RARE), 0);
        cr_assert_eq(connect_at(0, "10.4.0.4", "10.3.0.10", 88, ALL_RARE), 0);
        cr_assert_eq(connect_at(0, "10.1.0.9", "10.2.0.1", 22, ALL_RARE), 0);
        cr_assert_eq(connect_at(0, "fd00:1::4", "fd00:1::5", 22, ALL_RARE), 1);
}

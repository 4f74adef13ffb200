/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_view.h"

#include <criterion/criterion.h>

static struct fake_run r;

static void setup(void)
{
        fake_run_init(&r, SW_DETECTOR_VERTICAL_SCAN);
}

static void teardown(void)
{
        fake_run_deinit(&r);
}

TestSuite(det_vertical_scan, .init = setup, .fini = teardown);

static uint32_t scan(const char *src, const char *dst, unsigned first_port, unsigned n, int64_t from, int64_t step_ms)
{
        uint32_t raised = 0;
        unsigned i;

        for (i = 0; i < n; i++)
                raised += fake_see(&r, SW_CONN_FAILED, from + i * step_ms, src, dst, (uint16_t)(first_port + i));
        return raised;
}

Test(det_vertical_scan, is_silent_at_eleven_and_fires_at_twelve)
{
        cr_assert_eq(scan("10.1.0.4", "10.2.0.1", 7000, 11, 0, 1000), 0);
        cr_assert_eq(fake_see(&r, SW_CONN_FAILED, 11000, "10.1.0.4", "10.2.0.1", 7011), 1);
        cr_assert_eq(fake_last(&r)->value, 12);
        cr_assert_eq(fake_last(&r)->weight_pct, 55);
        cr_assert_eq(fake_last(&r)->n_evidence, 5);
        cr_assert_str_eq(fake_told(&r), "tried 12 ports of 10.2.0.1 in segment db in 5 min (threshold 12)");
}

Test(det_vertical_scan, keeps_the_window_to_the_millisecond)
{
        cr_assert_eq(scan("10.1.0.4", "10.2.0.1", 7000, 11, 0, 0), 0);
        cr_assert_eq(scan("10.1.0.5", "10.2.0.1", 7000, 11, 0, 0), 0);
        cr_assert_eq(fake_see(&r, SW_CONN_FAILED, 5 * SW_MINUTE - 1, "10.1.0.4", "10.2.0.1", 7011), 1);
        cr_assert_eq(fake_see(&r, SW_CONN_FAILED, 5 * SW_MINUTE, "10.1.0.5", "10.2.0.1", 7011), 0);
}

Test(det_vertical_scan, counts_repeated_ports_once)
{
        unsigned i;

        for (i = 0; i < 100; i++)
                cr_assert_eq(fake_see(&r, SW_CONN_FAILED, i, "10.1.0.4", "10.2.0.1", (uint16_t)(7000 + i % 11)), 0);
}

Test(det_vertical_scan, needs_five_sensitive_ports_and_two_failures)
{
        cr_assert_eq(fake_see(&r, SW_CONN_FAILED, 0, "10.1.0.4", "10.2.0.1", 22), 0);
        cr_assert_eq(fake_see(&r, SW_CONN_SUCCEEDED, 1, "10.1.0.4", "10.2.0.1", 445), 0);
        cr_assert_eq(fake_see(&r, SW_CONN_SUCCEEDED, 2, "10.1.0.4", "10.2.0.1", 3389), 0);
        cr_assert_eq(fake_see(&r, SW_CONN_SUCCEEDED, 3, "10.1.0.4", "10.2.0.1", 5985), 0);
        cr_assert_eq(fake_see(&r, SW_CONN_SUCCEEDED, 4, "10.1.0.4", "10.2.0.1", 135), 0); /* five, one failed */
        cr_assert_eq(fake_see(&r, SW_CONN_FAILED, 5, "10.1.0.4", "10.2.0.1", 1433), 1);
        cr_assert_eq(fake_last(&r)->value, 6);
        cr_assert_str_eq(
                fake_told(&r), "tried 6 ports for administration of 10.2.0.1 in segment db in 5 min (threshold 5)");
}

Test(det_vertical_scan, lets_clients_use_the_many_ports_of_a_domain_controller)
{
        static const uint16_t ports[] = { 88, 135, 389, 445, 464, 636, 3268 };
        unsigned i;

        fake_role(r.v, "10.3.0.10", SW_HOST_ROLE(DC));
        for (i = 0; i < 7; i++)
                cr_assert_eq(
                        fake_see(&r, i % 2 ? SW_CONN_SUCCEEDED : SW_CONN_FAILED, i, "10.4.0.4", "10.3.0.10", ports[i]),
                        0);
}

Test(det_vertical_scan, does_not_count_dynamic_ports_of_a_pair_that_works)
{
        fake_edge(r.v, "10.1.0.4", "10.2.0.1", SW_SERVICE_RPC);
        cr_assert_eq(scan("10.1.0.4", "10.2.0.1", 49152, 60, 0, 100), 0);
        cr_assert_eq(scan("10.1.0.4", "10.2.0.2", 49152, 12, 0, 100), 1);
}

Test(det_vertical_scan, is_no_scan_when_a_server_answers_client_ports)
{
        struct sw_conn_event ev;
        unsigned i;

        for (i = 0; i < 40; i++) {
                ev = fake_event(r.v, SW_CONN_FAILED, i, "10.2.0.1", "10.1.0.4", (uint16_t)(40000 + i));
                ev.first.sport = 443;
                cr_assert_eq(fake_give(&r, &ev), 0);
        }
}

Test(det_vertical_scan, finds_forty_ports_in_a_day)
{
        cr_assert_eq(scan("10.1.0.4", "10.2.0.1", 7000, 39, 0, 30 * SW_MINUTE), 0);
        cr_assert_eq(fake_see(&r, SW_CONN_FAILED, 39 * 30 * SW_MINUTE, "10.1.0.4", "10.2.0.1", 7039), 1);
        cr_assert_eq(fake_last(&r)->window_ms, SW_DAY);
}

Test(det_vertical_scan, estimates_a_scan_of_a_thousand_ports)
{
        cr_assert_eq(scan("10.1.0.4", "10.2.0.1", 1, 1000, 0, 10), 7); /* 12 or 5 sensitive, then doubled */
        cr_assert_gt(fake_last(&r)->value, 400);
        cr_assert(strncmp(fake_told(&r), "tried about ", 12) == 0);
}

Test(det_vertical_scan, leaves_scanners_alone_and_knows_ipv6)
{
        fake_role(r.v, "10.1.0.4", SW_HOST_ROLE(SCANNER));
        cr_assert_eq(scan("10.1.0.4", "10.2.0.1", 7000, 60, 0, 100), 0);
        cr_assert_eq(scan("fd00:1::4", "fd00:1::5", 7000, 12, 0, 100), 1);
}

Test(det_vertical_scan, says_little_about_the_internet)
{
        cr_assert_eq(scan("198.51.100.7", "10.2.0.1", 7000, 60, 0, 100), 1);
        cr_assert_eq(fake_last(&r)->weight_pct, 20);
}

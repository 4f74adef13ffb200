/* SPDX-License-Identifier: Apache-2.0 */
#include "detect/track.h"
#include "fake_view.h"

#include <criterion/criterion.h>

static struct fake_run r;

static void setup(void)
{
        fake_run_init(&r, SW_DETECTOR_HORIZONTAL_SCAN);
}

static void teardown(void)
{
        fake_run_deinit(&r);
}

TestSuite(det_horizontal_scan, .init = setup, .fini = teardown);

/* n hosts fail, one every step_ms, from `from`; returns the signals raised. */
static uint32_t scan(const char *src, const char *net, unsigned n, int64_t from, int64_t step_ms, uint16_t port)
{
        uint32_t raised = 0;
        unsigned i;

        for (i = 0; i < n; i++)
                raised += fake_see(&r, SW_CONN_FAILED, from + i * step_ms, src, fake_addr(net, i + 1), port);
        return raised;
}

Test(det_horizontal_scan, is_silent_at_nine_and_fires_at_ten)
{
        cr_assert_eq(scan("10.1.0.4", "10.2.0.", 9, 0, 1000, 445), 0);
        cr_assert_eq(fake_see(&r, SW_CONN_FAILED, 9000, "10.1.0.4", "10.2.0.10", 445), 1);
        cr_assert_eq(fake_last(&r)->value, 10);
        cr_assert_eq(fake_last(&r)->threshold, 10);
        cr_assert_eq(fake_last(&r)->confidence_pct, 75);
        cr_assert_eq(fake_last(&r)->weight_pct, 70);
        cr_assert_eq(fake_last(&r)->n_targets, 10);
        cr_assert_eq(fake_last(&r)->n_evidence, 5);
        cr_assert_eq(fake_last(&r)->first.ms, FAKE_START);
        cr_assert_str_eq(
                fake_told(&r), "scanned 10 hosts in segment db on 445/tcp in 5 min without success (threshold 10)");
}

Test(det_horizontal_scan, counts_the_first_failure_until_one_millisecond_before_five_minutes)
{
        cr_assert_eq(scan("10.1.0.4", "10.2.0.", 9, 0, 0, 445), 0);
        cr_assert_eq(fake_see(&r, SW_CONN_FAILED, 5 * SW_MINUTE - 1, "10.1.0.4", "10.2.0.10", 445), 1);
}

Test(det_horizontal_scan, does_not_count_it_at_five_minutes)
{
        cr_assert_eq(scan("10.1.0.4", "10.2.0.", 9, 0, 0, 445), 0);
        cr_assert_eq(fake_see(&r, SW_CONN_FAILED, 5 * SW_MINUTE, "10.1.0.4", "10.2.0.10", 445), 0);
}

Test(det_horizontal_scan, finds_a_scan_of_one_host_in_140_seconds_in_the_hour)
{
        cr_assert_eq(scan("10.1.0.4", "10.2.0.", 24, 0, 140 * SW_SECOND, 22), 0);
        cr_assert_eq(fake_see(&r, SW_CONN_FAILED, 24 * 140 * SW_SECOND, "10.1.0.4", "10.2.0.25", 22), 1);
        cr_assert_eq(fake_last(&r)->window_ms, SW_HOUR);
        cr_assert_eq(fake_last(&r)->n_evidence, 5);
}

Test(det_horizontal_scan, finds_a_scan_that_takes_a_day)
{
        cr_assert_eq(scan("10.1.0.4", "10.2.0.", 59, 0, 20 * SW_MINUTE, 22), 0);
        cr_assert_eq(fake_see(&r, SW_CONN_FAILED, 59 * 20 * SW_MINUTE, "10.1.0.4", "10.2.0.60", 22), 1);
        cr_assert_eq(fake_last(&r)->window_ms, SW_DAY);
}

Test(det_horizontal_scan, speaks_again_when_the_count_doubles_and_not_for_every_tuple)
{
        cr_assert_eq(scan("10.1.0.4", "10.2.0.", 40, 0, 100, 445), 3); /* 10, 20, 40 */
        cr_assert_eq(fake_last(&r)->value, 40);
        cr_assert_eq(fake_last(&r)->confidence_pct, 100);
}

Test(det_horizontal_scan, speaks_again_for_a_new_target_segment)
{
        cr_assert_eq(scan("10.1.0.4", "10.2.0.", 10, 0, 100, 445), 1);
        cr_assert_eq(fake_see(&r, SW_CONN_FAILED, 2000, "10.1.0.4", "10.3.0.1", 445), 1);
        cr_assert_eq(fake_see(&r, SW_CONN_FAILED, 2100, "10.1.0.4", "10.3.0.2", 445), 0);
}

Test(det_horizontal_scan, tells_a_host_that_keeps_failing_once)
{
        unsigned round;

        cr_assert_eq(scan("10.1.0.4", "10.2.0.", 12, 0, 100, 8080), 1);
        for (round = 1; round < 40; round++)
                cr_assert_eq(scan("10.1.0.4", "10.2.0.", 12, round * 30 * SW_MINUTE, 100, 8080), 0);
}

Test(det_horizontal_scan, does_not_count_hosts_that_the_source_is_known_to_use)
{
        unsigned i;

        for (i = 1; i <= 30; i++)
                fake_edge(r.v, "10.1.0.4", fake_addr("10.2.0.", i), SW_SERVICE_DB);
        cr_assert_eq(scan("10.1.0.4", "10.2.0.", 30, 0, 100, 1433), 0);
}

Test(det_horizontal_scan, stays_silent_while_most_hosts_answer)
{
        unsigned i;

        cr_assert_eq(fake_see(&r, SW_CONN_FAILED, 0, "10.1.0.4", "10.2.0.1", 443), 0);
        for (i = 0; i < 40; i++)
                cr_assert_eq(fake_see(&r, SW_CONN_SUCCEEDED, 10 + i, "10.1.0.4", fake_addr("10.3.0.", i + 1), 443), 0);
        cr_assert_eq(scan("10.1.0.4", "10.2.0.", 30, 100, 100, 443), 0);
}

Test(det_horizontal_scan, takes_back_a_failure_that_was_none)
{
        cr_assert_eq(scan("10.1.0.4", "10.2.0.", 9, 0, 100, 445), 0);
        cr_assert_eq(fake_see(&r, SW_CONN_WITHDRAWN, 2000, "10.1.0.4", "10.2.0.3", 445), 0);
        cr_assert_eq(fake_see(&r, SW_CONN_FAILED, 3000, "10.1.0.4", "10.2.0.10", 445), 0);
        cr_assert_eq(fake_see(&r, SW_CONN_FAILED, 3000, "10.1.0.4", "10.2.0.11", 445), 1);
}

Test(det_horizontal_scan, counts_denied_connections_as_failures)
{
        unsigned i;

        for (i = 1; i <= 9; i++)
                cr_assert_eq(fake_see(&r, SW_CONN_DENIED, i, "10.1.0.4", fake_addr("10.2.0.", i), 445), 0);
        cr_assert_eq(fake_see(&r, SW_CONN_DENIED, 10, "10.1.0.4", "10.2.0.10", 445), 1);
}

Test(det_horizontal_scan, leaves_scanners_and_monitors_alone)
{
        fake_role(r.v, "10.1.0.4", SW_HOST_ROLE(SCANNER));
        fake_role(r.v, "10.1.0.5", SW_HOST_ROLE(MONITOR));
        cr_assert_eq(scan("10.1.0.4", "10.2.0.", 50, 0, 100, 445), 0);
        cr_assert_eq(scan("10.1.0.5", "10.2.0.", 50, 0, 100, 445), 0);
}

Test(det_horizontal_scan, halves_its_confidence_for_shared_addresses)
{
        fake_role(r.v, "10.1.0.4", SW_HOST_ROLE(SHARED));
        cr_assert_eq(scan("10.1.0.4", "10.2.0.", 10, 0, 100, 8080), 1);
        cr_assert_eq(fake_last(&r)->confidence_pct, 25);
}

Test(det_horizontal_scan, is_surer_when_the_target_matters_most)
{
        cr_assert_eq(scan("10.1.0.4", "10.9.0.", 10, 0, 100, 8080), 1);
        cr_assert_eq(fake_last(&r)->confidence_pct, 58);
}

Test(det_horizontal_scan, knows_ipv6)
{
        cr_assert_eq(scan("fd00:1::4", "fd00:1::1:", 10, 0, 100, 22), 1);
        cr_assert_str_eq(
                fake_told(&r), "scanned 10 hosts in segment six on 22/tcp in 5 min without success (threshold 10)");
}

Test(det_horizontal_scan, says_less_about_ports_of_applications)
{
        cr_assert_eq(scan("10.1.0.4", "10.2.0.", 10, 0, 100, 8080), 1);
        cr_assert_eq(fake_last(&r)->confidence_pct, 50);
        cr_assert_eq(fake_last(&r)->weight_pct, 50);
}

Test(det_horizontal_scan, keeps_ports_apart)
{
        cr_assert_eq(scan("10.1.0.4", "10.2.0.", 9, 0, 100, 445), 0);
        cr_assert_eq(scan("10.1.0.4", "10.2.1.", 9, 1000, 100, 22), 0);
}

Test(det_horizontal_scan, needs_more_from_the_internet_and_says_it_once_a_day)
{
        cr_assert_eq(scan("198.51.100.7", "10.2.0.", 19, 0, 100, 445), 0);
        cr_assert_eq(scan("198.51.100.7", "10.2.1.", 30, 5000, 100, 445), 1);
        cr_assert_eq(fake_last(&r)->weight_pct, 20);
        cr_assert_eq(scan("198.51.100.7", "10.2.2.", 60, 6 * SW_HOUR, 100, 445), 0);
        cr_assert_eq(scan("198.51.100.7", "10.3.0.", 20, 6 * SW_HOUR, 100, 445), 1); /* another segment */
}

Test(det_horizontal_scan, ignores_dead_servers_on_the_internet_and_the_platform)
{
        cr_assert_eq(scan("10.1.0.4", "198.51.100.", 60, 0, 100, 443), 0);
        cr_assert_eq(scan("168.63.129.16", "10.2.0.", 60, 0, 100, 443), 0);
        cr_assert_eq(scan("10.1.0.4", "224.0.0.", 60, 0, 100, 443), 0);
}

Test(det_horizontal_scan, counts_late_failures)
{
        struct sw_conn_event ev;
        unsigned i;

        cr_assert_eq(scan("10.1.0.4", "10.2.0.", 5, 4 * SW_MINUTE, 0, 445), 0);
        for (i = 0; i < 5; i++) {
                ev = fake_event(r.v, SW_CONN_FAILED, 3 * SW_MINUTE, "10.1.0.4", fake_addr("10.2.1.", i + 1), 445);
                ev.late = true;
                cr_assert_eq(fake_give(&r, &ev), i == 4 ? 1 : 0);
        }
}

Test(det_horizontal_scan, weighs_less_while_learning)
{
        struct sw_conn_event ev;
        uint32_t n = 0;
        unsigned i;

        for (i = 0; i < 10; i++) {
                ev = fake_event(r.v, SW_CONN_FAILED, i, "10.1.0.4", fake_addr("10.2.0.", i + 1), 8080);
                ev.learning = true;
                n += fake_give(&r, &ev);
        }
        cr_assert_eq(n, 1);
        cr_assert_eq(fake_last(&r)->confidence_pct, 35);
}

Test(det_horizontal_scan, lists_the_smallest_twenty_targets)
{
        unsigned i;

        for (i = 40; i > 0; i--)
                fake_see(&r, SW_CONN_FAILED, 100 - i, "10.1.0.4", fake_addr("10.2.0.", i), 445);
        cr_assert_eq(fake_last(&r)->n_targets, 20);
        cr_assert_eq(fake_last(&r)->n_targets_total, 40);
        cr_assert_eq(fake_last(&r)->targets[0], fake_host(r.v, "10.2.0.1"));
        cr_assert_eq(fake_last(&r)->targets[19], fake_host(r.v, "10.2.0.20"));
}

Test(det_horizontal_scan, a_flood_from_the_internet_takes_nothing_from_internal_sources)
{
        const struct sw_tables *own = &r.detect.tables[SW_DETECTOR_HORIZONTAL_SCAN];
        unsigned i, k;

        cr_assert_eq(scan("10.1.0.4", "10.2.0.", 1, 0, 1000, 445), 0); /* one that waits for its second */
        cr_assert_eq(scan("10.1.0.5", "10.2.0.", 9, 0, 1000, 445), 0);
        for (i = 0; i < 4; i++)
                for (k = 0; k < 20000; k++)
                        fake_see(&r, SW_CONN_DENIED, 9000, fake_addr("198.51.100.", i + 1), "10.2.0.1",
                                (uint16_t)(k + 1));
        cr_assert_gt(own->t[SW_TRACK_TABLES].n_evicted, 0, "the flood was large enough");
        for (i = 0; i < SW_TRACK_TABLES; i++)
                cr_assert_eq(own->t[i].n_evicted, 0);
        cr_assert_eq(fake_see(&r, SW_CONN_FAILED, 9001, "10.1.0.5", "10.2.0.10", 445), 1);
        for (i = 2; i <= 10; i++)
                k = fake_see(&r, SW_CONN_FAILED, 9000 + i, "10.1.0.4", fake_addr("10.2.0.", i), 445);
        cr_assert_eq(k, 1);
}

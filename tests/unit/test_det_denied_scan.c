/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_view.h"

#include <criterion/criterion.h>

static struct fake_run r;

static void setup(void)
{
        fake_run_init(&r, SW_DETECTOR_DENIED_SCAN);
}

static void teardown(void)
{
        fake_run_deinit(&r);
}

TestSuite(det_denied_scan, .init = setup, .fini = teardown);

static uint32_t denied(const char *src, const char *net, unsigned n, int64_t from, int64_t step_ms)
{
        uint32_t raised = 0;
        unsigned i;

        for (i = 0; i < n; i++)
                raised += fake_see(
                        &r, SW_CONN_DENIED, from + i * step_ms, src, fake_addr(net, 1 + i / 2), i % 2 ? 22 : 445);
        return raised;
}

Test(det_denied_scan, is_silent_at_seven_and_fires_at_eight)
{
        cr_assert_eq(denied("10.1.0.4", "10.2.0.", 7, 0, 1000), 0);
        cr_assert_eq(fake_see(&r, SW_CONN_DENIED, 8000, "10.1.0.4", "10.2.0.9", 22), 1);
        cr_assert_eq(fake_last(&r)->value, 8);
        cr_assert_eq(fake_last(&r)->n_targets_total, 5);
        cr_assert_str_eq(
                fake_told(&r), "was denied at 8 ports of 5 hosts in 5 min, the last one in segment db (threshold 8)");
}

Test(det_denied_scan, keeps_the_window_to_the_millisecond)
{
        cr_assert_eq(denied("10.1.0.4", "10.2.0.", 7, 0, 0), 0);
        cr_assert_eq(denied("10.1.0.5", "10.2.0.", 7, 0, 0), 0);
        cr_assert_eq(fake_see(&r, SW_CONN_DENIED, 5 * SW_MINUTE - 1, "10.1.0.4", "10.2.0.9", 22), 1);
        cr_assert_eq(fake_see(&r, SW_CONN_DENIED, 5 * SW_MINUTE, "10.1.0.5", "10.2.0.9", 22), 0);
}

Test(det_denied_scan, is_silent_about_one_tuple_a_hundred_times)
{
        unsigned i;

        for (i = 0; i < 100; i++)
                cr_assert_eq(fake_see(&r, SW_CONN_DENIED, i * 1000, "10.1.0.4", "10.2.0.1", 445), 0);
}

Test(det_denied_scan, finds_twenty_in_an_hour)
{
        cr_assert_eq(denied("10.1.0.4", "10.2.0.", 19, 0, 150 * SW_SECOND), 0);
        cr_assert_eq(fake_see(&r, SW_CONN_DENIED, 20 * 150 * SW_SECOND, "10.1.0.4", "10.2.0.99", 22), 1);
        cr_assert_eq(fake_last(&r)->window_ms, SW_HOUR);
}

Test(det_denied_scan, does_not_count_what_is_denied_for_more_than_a_day)
{
        unsigned hour, i;

        /* Seven tuples of a broken application, every hour for two days, stay below the threshold ... */
        for (hour = 0; hour < 48; hour++)
                for (i = 0; i < 7; i++)
                        cr_assert_eq(fake_see(&r, SW_CONN_DENIED, hour * SW_HOUR, "10.1.0.4",
                                             fake_addr("10.2.0.", i + 1), 445),
                                0);
        /* ... and do not help seven new ones over it. */
        for (i = 0; i < 7; i++)
                cr_assert_eq(
                        fake_see(&r, SW_CONN_DENIED, 48 * SW_HOUR, "10.1.0.4", fake_addr("10.3.0.", i + 1), 22), 0);
        cr_assert_eq(fake_see(&r, SW_CONN_DENIED, 48 * SW_HOUR, "10.1.0.4", "10.3.0.8", 22), 1);
}

Test(det_denied_scan, calls_three_segments_a_hunt_once)
{
        cr_assert_eq(denied("10.1.0.4", "10.2.0.", 6, 0, 100), 0);
        cr_assert_eq(denied("10.1.0.4", "10.3.0.", 1, 1000, 100), 0);
        cr_assert_eq(fake_see(&r, SW_CONN_DENIED, 2000, "10.1.0.4", "10.9.0.1", 22), 2); /* the hunt and the scan */
        cr_assert_eq(r.out.items[0].value, 3);
        cr_assert_eq(r.out.items[0].variant, 1);
        cr_assert_eq(fake_see(&r, SW_CONN_DENIED, 2100, "10.1.0.4", "10.9.0.2", 22), 0);
}

Test(det_denied_scan, sees_a_third_segment_at_once_where_two_are_known)
{
        cr_assert_eq(denied("10.1.0.4", "10.2.0.", 60, 0, 10), 3); /* at 8, 16 and 32 */
        (void)denied("10.1.0.4", "10.3.0.", 20, 1000, 10);
        cr_assert_eq(denied("10.1.0.4", "10.2.0.", 60, 2000, 10), 0);
        cr_assert_eq(fake_see(&r, SW_CONN_DENIED, 3000, "10.1.0.4", "10.9.0.1", 22), 2);
        cr_assert_eq(r.out.items[r.out.n - 2].variant, 1);
        cr_assert_eq(r.out.items[r.out.n - 2].value, 3);
}

Test(det_denied_scan, hears_internal_sources_and_targets_only)
{
        cr_assert_eq(denied("198.51.100.7", "10.2.0.", 60, 0, 100), 0);
        cr_assert_eq(denied("10.1.0.4", "198.51.100.", 60, 0, 100), 0);
        cr_assert_eq(denied("168.63.129.16", "10.2.0.", 60, 0, 100), 0);
}

Test(det_denied_scan, leaves_scanners_alone_and_knows_ipv6)
{
        fake_role(r.v, "10.1.0.4", SW_HOST_ROLE(SCANNER));
        cr_assert_eq(denied("10.1.0.4", "10.2.0.", 60, 0, 100), 0);
        cr_assert_eq(denied("fd00:1::4", "fd00:1::1:", 8, 0, 100), 1);
}

Test(det_denied_scan, what_encryption_drops_is_no_probing)
{
        struct sw_conn_event ev;
        unsigned i;

        for (i = 0; i < 30; i++) {
                ev = fake_event(r.v, SW_CONN_DENIED, i, "10.1.0.4", fake_addr("10.2.0.", i + 1), 1433);
                ev.first.encryption = i % 2 ? SW_ENCRYPTION_NX_NOT_ACCEPTED : SW_ENCRYPTION_NX_SW_NOT_READY;
                cr_assert_eq(fake_give(&r, &ev), 0);
        }
        for (i = 0; i < 8; i++) {
                ev = fake_event(r.v, SW_CONN_DENIED, i, "10.1.0.4", fake_addr("10.2.0.", i + 1), 1433);
                ev.first.encryption = SW_ENCRYPTION_NX;
                cr_assert_eq(fake_give(&r, &ev), i == 7, "a rule did that");
        }
}

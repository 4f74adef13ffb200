/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_view.h"

#include <criterion/criterion.h>

static struct fake_run r;

static void setup(void)
{
        fake_run_init(&r, SW_N_DETECTORS);
}

static void teardown(void)
{
        fake_run_deinit(&r);
}

TestSuite(detect, .init = setup, .fini = teardown);

Test(detect, registers_every_detector_completely)
{
        unsigned i, k, permille = 0;

        for (i = 0; i < SW_N_DETECTORS; i++) {
                const struct sw_detector *d = sw_detectors[i];

                cr_assert(d->name && d->code && d->summary && d->title && d->noun && d->tell && d->on_event);
                cr_assert(d->events, "%s wants no event", d->name);
                for (k = 0; d->techniques[k].uid; k++)
                        cr_assert_lt(k, 16);
                cr_assert_gt(k, 0);
                for (k = 0; d->options[k].key; k++)
                        cr_assert(d->options[k].doc, "%s.%s is not explained", d->name, d->options[k].key);
                for (k = 0; d->tables[k].spec.name; k++)
                        permille += d->tables[k].permille;
                if (i > 0)
                        cr_assert_lt(strcmp(sw_detectors[i - 1]->name, d->name), 0, "the register is alphabetical");
        }
        cr_assert_leq(permille, 250);
}

Test(detect, fills_defaults_from_the_option_tables)
{
        uint64_t c[16] = { 0 };

        cr_assert_eq(sw_detector_conf_default(&sw_det_horizontal_scan, c), 0);
        cr_assert_eq(c[0], 10);
        cr_assert_eq(c[1], 25);
        cr_assert_eq(c[6], 50);
        cr_assert_eq(sw_detector_conf_default(&sw_det_exposed_admin, c), 0);
        cr_assert_eq(c[2], 60000);
}

Test(detect, switches_a_detector_off_and_changes_thresholds_between_events)
{
        uint64_t c[7] = { 3, 25, 60, 20, 50, 200, 50 };
        struct sw_detector_conf conf[SW_N_DETECTORS] = { [0] = { .mode = SW_MODE_SIGNAL } };
        unsigned i;

        for (i = 0; i < 2; i++)
                cr_assert_eq(fake_see(&r, SW_CONN_FAILED, i, "10.1.0.4", fake_addr("10.2.0.", i + 1), 445), 0);
        conf[SW_DETECTOR_HORIZONTAL_SCAN].conf = c;
        sw_detect_set_conf(&r.detect, conf);
        cr_assert_eq(fake_see(&r, SW_CONN_FAILED, 3, "10.1.0.4", "10.2.0.3", 445), 1);
        cr_assert_eq(r.detect.n_signals[SW_DETECTOR_HORIZONTAL_SCAN], 1);
        conf[SW_DETECTOR_HORIZONTAL_SCAN].mode = SW_MODE_OFF;
        sw_detect_set_conf(&r.detect, conf);
        for (i = 4; i < 30; i++)
                cr_assert_eq(fake_see(&r, SW_CONN_FAILED, i, "10.1.0.4", fake_addr("10.2.0.", i), 445), 0);
}

Test(detect, refuses_too_little_memory)
{
        static const struct sw_hash_key key = { 1, 2 };
        struct sw_err err = SW_ERR_NULL;
        struct sw_detect d;

        cr_assert_lt(sw_detect_init(&d, r.conf, 100000, &key, &err), 0);
        cr_assert(strstr(err.msg, "memory.limit"));
}

Test(detect, stays_within_its_share_and_counts_what_it_forgets)
{
        static const struct sw_hash_key key = { 1, 2 };
        struct sw_detect d;
        uint64_t limit = 32 << 20;
        unsigned i;

        cr_assert_eq(sw_detect_init(&d, r.conf, limit, &key, NULL), 0);
        for (i = 0; i < 3000; i++) {
                struct sw_conn_event ev = fake_event(r.v, SW_CONN_FAILED, i, fake_addr("10.1.7.", i % 250 + 1),
                        fake_addr("10.2.7.", i % 240 + 1), (uint16_t)(1000 + i));

                cr_assert_eq(sw_detect_event(&d, r.v, &ev, &r.out), 0);
        }
        cr_assert_gt(sw_detect_evicted(&d), 0);
        cr_assert_leq(sw_detect_bytes(&d), limit / 4);
        sw_detect_deinit(&d);
}

/* What is asked for early is what is looked up then, and asking changes nothing. */
Test(detect, knows_before_an_event_what_it_will_look_up)
{
        static const unsigned many[] = { 1, 2, 5, 20 }; /* every size of a track */
        unsigned i, k, t;

        for (i = 0; i < 4; i++)
                for (k = 0; k < many[i]; k++)
                        fake_see(&r, SW_CONN_DENIED, i * 100 + k, fake_addr("10.1.0.", i + 1),
                                fake_addr("10.2.0.", k + 1), 445);
        for (i = 0; i < 4; i++) {
                struct sw_conn_event ev =
                        fake_event(r.v, SW_CONN_DENIED, 1000, fake_addr("10.1.0.", i + 1), "10.2.0.1", 445);
                const struct sw_conn_soon soon = { .events = SW_ON(DENIED),
                        .src = ev.src,
                        .dst = ev.dst,
                        .src_host = ev.src_host,
                        .src_segment = ev.src_segment,
                        .dst_segment = ev.dst_segment,
                        .dport = 445,
                        .proto = SW_PROTO_TCP };
                struct sw_tables before[SW_N_DETECTORS];
                struct sw_ahead a = { 0 };

                memcpy(before, r.detect.tables, sizeof(before));
                sw_detect_soon(&r.detect, &soon, &a);
                cr_assert_eq(a.n, 2);
                cr_assert_eq(a.tracks, 3);
                for (t = 0; t < a.n; t++) {
                        const uint32_t *key = sw_table_guess(a.looks[t].t, a.looks[t].hash);

                        cr_assert(key && key[0] == ev.src, "look %u of %u", t, i);
                }
                sw_detect_fetch(&a);
                sw_detect_fetch_more(&a);
                cr_assert_eq(memcmp(before, r.detect.tables, sizeof(before)), 0);
        }
}

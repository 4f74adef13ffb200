/* SPDX-License-Identifier: Apache-2.0 */
#include "../lib/fixture.h"
#include "aggregate/conns.h"
#include "engine/plan.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

/* A quarter of an hour of a small network: scans, two-sided connections, ends at the same millisecond, long ones. */
#define N_LINES 600
static char lines[N_LINES][160];

static uint32_t next_random(uint32_t *rng)
{
        *rng ^= *rng << 13;
        *rng ^= *rng >> 17;
        *rng ^= *rng << 5;
        return *rng;
}

static void make_lines(void)
{
        static const char *const counters[] = { "3/180/0/0", "9/2000/9/1500", "2/108/1/54", "40/90000/30/2000" };
        uint32_t rng = 2463534242u;
        int i;

        for (i = 0; i < N_LINES; i++) {
                uint32_t r = next_random(&rng), port = next_random(&rng) % 40;
                char state = "BBCEED"[r % 6];

                (void)snprintf(lines[i], sizeof(lines[i]),
                        "%u.%03u %c %c %s 10.0.%u.%u:%u 10.1.0.%u:%u %s rule=r%u part=%d", r / 7 % 900,
                        r / 11 % 4 * 250, "IO"[r / 13 % 2], state, r % 5 ? "tcp" : "udp", r / 17 % 2, r / 19 % 5,
                        50000 + port, r / 23 % 4, r % 3 ? 445 : 22,
                        state == 'C' || state == 'E' ? counters[r / 29 % 4] : "-", r / 31 % 3, i % 3);
        }
}

static int by_time(const void *a, const void *b)
{
        struct sw_etime x, y;
        char t[2][160];

        memcpy(t[0], a, 160);
        memcpy(t[1], b, 160);
        x = sw_fixture_time(strtok(t[0], " "));
        y = sw_fixture_time(strtok(t[1], " "));
        return sw_etime_cmp(x, y);
}

static void shuffle(uint32_t seed)
{
        char tmp[160];
        int i;

        for (i = N_LINES - 1; i > 0; i--) {
                int j = (int)(next_random(&seed) % (uint32_t)(i + 1));

                memcpy(tmp, lines[i], 160);
                memcpy(lines[i], lines[j], 160);
                memcpy(lines[j], tmp, 160);
        }
}

/* Feeds all lines, releasing behind the newest by the reorder time each `every` lines (0: only at the end). */
static char *play(uint64_t seed, int every, int64_t reorder_ms)
{
        struct sw_fixture f;
        struct sw_etime newest = SW_ETIME_NONE;
        char *text, words[160];
        int i;

        sw_fixture_init(&f);
        f.seed = (struct sw_hash_key){ seed, seed * 7 + 1 };
        for (i = 0; i < N_LINES; i++) {
                sw_fixture_line(&f, "%s", lines[i]);
                memcpy(words, lines[i], sizeof(words));
                newest = sw_etime_max(newest, sw_fixture_time(strtok(words, " ")));
                if (every && i % every == 0) {
                        struct sw_event ev = { .type = SW_EVENT_RELEASE,
                                .release = { .watermark = { newest.ms - reorder_ms - 1 }, .wall = SW_ETIME_NONE } };

                        cr_assert_eq(sw_engine_step(f.engine, &ev, &f.actions), 0);
                }
        }
        sw_fixture_run(&f, "release 1h");
        cr_assert_eq(sw_fixture_stats(&f).tuples_late, 0);
        cr_assert_gt(sw_fixture_count(&f, "CLOSED"), 100);
        cr_assert_gt(f.actions.signals.n, 0);
        cr_assert_gt(f.actions.findings.n, 0);
        /* Events, signals and the bytes of both files. */
        sw_buf_put(&f.trace, f.actions.signals.text.p, f.actions.signals.text.n);
        sw_buf_put(&f.trace, f.actions.findings.text.p, f.actions.findings.text.n);
        text = strdup(sw_fixture_trace(&f));
        sw_fixture_deinit(&f);
        return text;
}

Test(engine, any_arrival_order_gives_the_same_events)
{
        char *want, *got;
        uint32_t seed;

        make_lines();
        want = play(1, 0, 0);
        for (seed = 1; seed <= 3; seed++) {
                shuffle(seed * 77777);
                got = play(1, 0, 0);
                cr_assert_str_eq(got, want);
                free(got);
        }
        free(want);
}

Test(engine, a_chain_of_releases_equals_one)
{
        char *want, *got;

        make_lines();
        qsort(lines, N_LINES, sizeof(lines[0]), by_time);
        want = play(1, 0, 0);
        got = play(1, 1, 0);
        cr_assert_str_eq(got, want);
        free(got);
        got = play(1, 17, 120000);
        cr_assert_str_eq(got, want);
        free(got);
        free(want);
}

Test(engine, hash_seeds_change_nothing)
{
        char *want, *got;

        make_lines();
        want = play(1, 0, 0);
        got = play(0xfeedface12345678u, 0, 0);
        cr_assert_str_eq(got, want);
        free(got);
        free(want);
}

Test(engine, a_tuple_at_the_watermark_is_released_and_one_after_it_is_not)
{
        struct sw_fixture f;

        sw_fixture_init(&f);
        sw_fixture_run(&f, "1.499 O B tcp 10.0.1.1:50000 10.0.2.1:22\n"
                           "1.500 O B tcp 10.0.1.1:50001 10.0.2.1:22\n"
                           "1.501 O B tcp 10.0.1.1:50002 10.0.2.1:22\n"
                           "release 1.500\n");
        cr_assert_eq(sw_fixture_count(&f, "OPENED"), 2);
        sw_fixture_run(&f, "release 1.501\n");
        cr_assert_eq(sw_fixture_count(&f, "OPENED"), 3);
        sw_fixture_deinit(&f);
}

Test(engine, late_means_not_after_the_watermark_and_too_late_means_beyond_lateness)
{
        struct sw_fixture f;

        sw_fixture_init(&f);
        sw_fixture_run(&f, "2h O B tcp 10.0.1.1:50000 10.0.2.1:22\n"
                           "release 2h\n"
                           "2h0.001 O B tcp 10.0.1.1:50001 10.0.2.1:22\n"
                           "2h      O B tcp 10.0.1.1:50002 10.0.2.1:22\n"
                           "1h      O B tcp 10.0.1.1:50003 10.0.2.1:22\n"
                           "59m59.999 O B tcp 10.0.1.1:50004 10.0.2.1:22\n");
        cr_assert_eq(sw_fixture_count(&f, "OPENED"), 1, "late tuples wait for the next release");
        sw_fixture_run(&f, "release 2h0.001\n");
        cr_assert_str_eq(sw_fixture_trace(&f), "2h0m0.000 OPENED 10.0.1.1:50000>10.0.2.1:22/tcp ssh open\n"
                                               "1h0m0.000 OPENED 10.0.1.1:50003>10.0.2.1:22/tcp ssh open late\n"
                                               "2h0m0.000 OPENED 10.0.1.1:50002>10.0.2.1:22/tcp ssh open late\n"
                                               "2h0m0.001 OPENED 10.0.1.1:50001>10.0.2.1:22/tcp ssh open\n");
        cr_assert_eq(sw_fixture_stats(&f).tuples_late, 3);
        cr_assert_eq(sw_fixture_stats(&f).tuples_too_late, 1);
        cr_assert_eq(sw_fixture_stats(&f).late_by_ms, SW_HOUR, "the latest that lateness still folds");
        cr_assert_str_eq(sw_fixture_stats(&f).late_flow_log, "/flowlogs/test");
        sw_fixture_deinit(&f);
}

Test(engine, a_record_counts_once_within_the_window_and_not_at_all_before_it)
{
        struct sw_fixture f;
        struct sw_engine_stats s;

        sw_fixture_init(&f);
        sw_fixture_run(&f, "4h O E tcp 10.0.1.1:50000 10.0.2.1:22 5/900/5/900 rec=1\n"
                           "4h O E tcp 10.0.1.1:50000 10.0.2.1:22 5/900/5/900 rec=1\n"
                           "release 4h\n"
                           "4h O E tcp 10.0.1.1:50000 10.0.2.1:22 5/900/5/900 rec=1\n"
                           "2h O B tcp 10.0.1.1:50001 10.0.2.1:22 - rec=2\n"
                           "1h59m59.999 O B tcp 10.0.1.1:50001 10.0.2.1:22 - rec=3\n"
                           "1h59m59.999 O B tcp 10.0.1.1:50001 10.0.2.1:22 - rec=3\n"
                           "release 5h\n");
        s = sw_fixture_stats(&f);
        cr_assert_eq(s.records, 6);
        cr_assert_eq(s.records_duplicate, 2);
        cr_assert_eq(s.records_old, 2);
        cr_assert_eq(s.tuples, 4);
        cr_assert_eq(s.tuples_end, 1);
        cr_assert_eq(s.totals[SW_BYTES_FWD], 900);
        cr_assert_eq(s.tuples_too_late, 1, "2 h is in the window of fingerprints, not in that of late tuples");
        sw_fixture_deinit(&f);
}

Test(engine, a_tuple_far_after_its_record_is_set_to_the_records_time)
{
        struct sw_fixture f;

        sw_fixture_init(&f);
        sw_fixture_run(&f, "10m5.000 O B tcp 10.0.1.1:50000 10.0.2.1:22 - at=5m5.000\n"
                           "10m5.001 O B tcp 10.0.1.1:50001 10.0.2.1:22 - at=5m5.000\n"
                           "release 20m\n");
        cr_assert_eq(sw_fixture_stats(&f).tuples_clamped, 1);
        cr_assert_eq(sw_fixture_count(&f, "10m5.000 OPENED 10.0.1.1:50000"), 1);
        cr_assert_eq(sw_fixture_count(&f, " OPENED 10.0.1.1:50001"), 1);
        cr_assert_eq(strncmp(f.trace.p, "5m5.000 OPENED 10.0.1.1:50001", 29), 0);
        sw_fixture_deinit(&f);
}

Test(engine, one_sensor_far_ahead_moves_nothing_until_another_agrees)
{
        struct sw_fixture f;

        sw_fixture_init(&f);
        f.conf.ahead_ms = SW_HOUR;
        sw_fixture_run(&f, "0 O B tcp 10.0.1.1:50000 10.0.2.1:22\n"
                           "release 0\n"
                           "1h O B tcp 10.0.1.2:50000 10.0.2.1:22 - part=1\n"
                           "1h0.001 O B tcp 10.0.1.3:50000 10.0.2.1:22 - part=2\n"
                           "1h0.002 O B tcp 10.0.1.3:50001 10.0.2.1:22 - part=2\n");
        cr_assert_eq(sw_engine_newest(f.engine, 1).ms, sw_fixture_time("1h").ms, "an hour is not far");
        cr_assert(sw_etime_is_none(sw_engine_newest(f.engine, 2)));
        cr_assert_eq(sw_fixture_stats(&f).tuples_held, 2);
        sw_fixture_run(&f, "1h30m O B tcp 10.0.1.4:50001 10.0.2.1:22 - part=3\n");
        cr_assert_eq(sw_engine_newest(f.engine, 2).ms, sw_fixture_time("1h0.002").ms);
        cr_assert_eq(sw_engine_newest(f.engine, 3).ms, sw_fixture_time("1h30m").ms);
        sw_fixture_run(&f, "release 2h\n");
        cr_assert_eq(sw_fixture_count(&f, "OPENED"), 5);
        cr_assert_eq(sw_fixture_stats(&f).tuples_late, 0);
        sw_fixture_deinit(&f);
}

Test(engine, three_records_in_a_row_of_the_only_sensor_are_believed)
{
        struct sw_fixture f;

        sw_fixture_init(&f);
        f.conf.ahead_ms = SW_HOUR;
        sw_fixture_run(&f, "0 O B tcp 10.0.1.1:50000 10.0.2.1:22\n"
                           "release 0\n"
                           "5h O B tcp 10.0.1.1:50001 10.0.2.1:22\n"
                           "5h1m O B tcp 10.0.1.1:50002 10.0.2.1:22\n"
                           "1 O B tcp 10.0.1.1:50003 10.0.2.1:22\n"
                           "5h2m O B tcp 10.0.1.1:50004 10.0.2.1:22\n"
                           "5h3m O B tcp 10.0.1.1:50005 10.0.2.1:22\n");
        cr_assert_eq(sw_engine_newest(f.engine, 0).ms, sw_fixture_time("1").ms, "something else came in between");
        sw_fixture_run(&f, "5h4m O B tcp 10.0.1.1:50006 10.0.2.1:22\n");
        cr_assert_eq(sw_engine_newest(f.engine, 0).ms, sw_fixture_time("5h4m").ms);
        sw_fixture_run(&f, "release 6h\n");
        cr_assert_eq(sw_fixture_count(&f, "OPENED"), 7);
        sw_fixture_deinit(&f);
}

Test(engine, held_tuples_are_folded_when_time_gets_there_by_itself)
{
        struct sw_fixture f;

        sw_fixture_init(&f);
        f.conf.ahead_ms = SW_HOUR;
        sw_fixture_run(&f, "0 O B tcp 10.0.1.1:50000 10.0.2.1:22\n"
                           "release 0\n"
                           "1h0.001 O B tcp 10.0.1.2:50000 10.0.2.1:22\n"
                           "release 50m\n"
                           "release 2h\n");
        cr_assert_eq(sw_fixture_count(&f, "1h0m0.001 OPENED"), 1);
        cr_assert_eq(sw_fixture_stats(&f).tuples_late, 0);
        sw_fixture_deinit(&f);
}

/* One record of each sensor of `story`, in one batch, in batches of `per`, or with a release behind each. */
static char *cut(const char *const *story, unsigned per, bool release)
{
        struct sw_fixture f;
        struct sw_batch whole = SW_BATCH_NULL;
        char *text;
        unsigned i, n = 0;

        sw_fixture_init(&f);
        f.conf.ahead_ms = SW_HOUR;
        sw_fixture_run(&f, "release 0\n");
        for (i = 0; story[i]; i++) {
                struct sw_event ev = { .type = SW_EVENT_BATCH, .batch = { .batch = &whole, .carrier = SW_ETIME_NONE } };
                struct sw_record *r = sw_batch_add_record(&whole);
                struct sw_tuple *t = sw_batch_add_tuple(&whole);
                unsigned nic, host = i % 200 + 1;
                char time[32], src[32];

                cr_assert_eq(sscanf(story[i], "%31s %u", time, &nic), 2);
                (void)snprintf(src, sizeof(src), "10.0.1.%u", host);
                t->time = r->time = sw_fixture_time(time);
                cr_assert(sw_addr_parse(sw_str_of(src), &t->src));
                cr_assert(sw_addr_parse(SW_STR("10.1.0.1"), &t->dst));
                t->sport = (uint16_t)(40000 + i);
                t->dport = 22;
                t->proto = SW_PROTO_TCP;
                t->direction = SW_OUTBOUND;
                r->kind = SW_KIND_VNET;
                r->flow_log = SW_STR("/flowlogs/test");
                r->mac = nic;
                r->first_tuple = n++;
                r->n_tuples = 1;
                r->fingerprint.lo = i + 1;
                if (n < per && story[i + 1])
                        continue;
                cr_assert_eq(sw_engine_step(f.engine, &ev, &f.actions), 0);
                sw_batch_reset(&whole);
                n = 0;
                if (release && sw_engine_newest(f.engine, 0).ms - f.conf.reorder_ms > SW_FIXTURE_BASE_MS) {
                        ev = (struct sw_event){ .type = SW_EVENT_RELEASE, .release = { .wall = SW_ETIME_NONE } };
                        ev.release.watermark = sw_etime_add(sw_engine_newest(f.engine, 0), -f.conf.reorder_ms);
                        cr_assert_eq(sw_engine_step(f.engine, &ev, &f.actions), 0);
                }
        }
        sw_fixture_run(&f, "final\n");
        cr_assert_eq(sw_fixture_stats(&f).connections, i, "nothing is lost");
        cr_assert_eq(sw_fixture_stats(&f).tuples_late, 0);
        text = strdup(sw_fixture_trace(&f));
        sw_batch_deinit(&whole);
        sw_fixture_deinit(&f);
        return text;
}

static void cut_changes_nothing(const char *const *story)
{
        char *want = cut(story, UINT32_MAX, false);
        unsigned i;

        for (i = 1; i <= 3; i++) {
                char *got = cut(story, i, false), *released = cut(story, i, true);

                cr_assert_str_eq(got, want);
                cr_assert_str_eq(released, want);
                free(got);
                free(released);
        }
        free(want);
}

Test(engine, how_sparse_input_is_cut_into_batches_and_releases_changes_nothing)
{
        static const char *const every_40m[] = { "1m 1", "41m 1", "81m 1", "121m 1", "161m 1", "201m 1", "241m 1",
                NULL };
        static const char *const every_3h[] = { "1m 1", "3h 1", "6h 1", "9h 1", "12h 1", NULL };
        static const char *const two_sensors[] = { "1m 1", "2m 2", "3h 1", "3h40m 1", "3h50m 2", "4h 1", "9h 1", NULL };
        static const char *const wrong_clock[] = { "1m 1", "2m 2", "3d 3", "3m 1", "3d1m 3", "4m 2", "5m 1", NULL };

        cut_changes_nothing(every_40m);
        cut_changes_nothing(every_3h);
        cut_changes_nothing(two_sensors);
        cut_changes_nothing(wrong_clock);
}

Test(engine, records_in_a_row_are_each_within_an_hour_of_the_one_before)
{
        struct sw_fixture f;

        sw_fixture_init(&f);
        f.conf.ahead_ms = SW_HOUR;
        sw_fixture_run(&f, "0 O B tcp 10.0.1.1:50000 10.0.2.1:22\n"
                           "release 0\n"
                           "5h O B tcp 10.0.1.1:50001 10.0.2.1:22\n"
                           "5h40m O B tcp 10.0.1.1:50002 10.0.2.1:22\n");
        cr_assert_eq(sw_engine_newest(f.engine, 0).ms, sw_fixture_time("0").ms);
        sw_fixture_run(&f, "6h20m O B tcp 10.0.1.1:50003 10.0.2.1:22\n");
        cr_assert_eq(sw_engine_newest(f.engine, 0).ms, sw_fixture_time("6h20m").ms);
        sw_fixture_run(&f, "final\n");
        cr_assert_eq(sw_fixture_count(&f, "OPENED"), 4);
        cr_assert_eq(sw_fixture_stats(&f).tuples_late, 0);
        sw_fixture_deinit(&f);
}

Test(engine, the_last_release_folds_what_is_held_after_everything_else)
{
        struct sw_fixture f;
        struct sw_event ev = { .type = SW_EVENT_RELEASE };

        sw_fixture_init(&f);
        f.conf.ahead_ms = SW_HOUR;
        sw_fixture_run(&f, "0 O B tcp 10.0.1.1:50000 10.0.2.1:22\n"
                           "release 0\n"
                           "3d O B tcp 10.0.1.2:50001 10.0.2.1:22\n"
                           "5m O B tcp 10.0.1.1:50002 10.0.2.1:22\n");
        /* in live service more may follow: what is later than the wall clock stays held */
        ev.release.watermark = sw_fixture_time("5m");
        ev.release.wall = sw_fixture_time("8m");
        cr_assert_eq(sw_engine_step(f.engine, &ev, &f.actions), 0);
        cr_assert_eq(sw_fixture_count(&f, "OPENED"), 2);
        cr_assert_eq(sw_engine_watermark(f.engine).ms, sw_fixture_time("5m").ms);
        sw_fixture_run(&f, "6m O B tcp 10.0.1.1:50003 10.0.2.1:22\n"
                           "final\n");
        cr_assert_eq(sw_fixture_count(&f, "OPENED"), 4);
        cr_assert_eq(sw_fixture_count(&f, "3d0h0m0.000 OPENED"), 1);
        cr_assert_eq(sw_fixture_stats(&f).tuples_late, 0);
        sw_fixture_deinit(&f);
}

Test(engine, a_wrong_clock_that_speaks_first_does_not_start_time)
{
        struct sw_fixture f;

        sw_fixture_init(&f);
        f.conf.ahead_ms = SW_HOUR;
        sw_fixture_run(&f, "300d O B tcp 10.0.1.9:50000 10.0.2.1:22\n"
                           "0 O B tcp 10.0.1.1:50001 10.0.2.1:22\n");
        cr_assert_eq(sw_engine_newest(f.engine, 0).ms, sw_fixture_time("0").ms, "the oldest is the start");
        sw_fixture_run(&f, "1m O B tcp 10.0.1.2:50002 10.0.2.1:22\n"
                           "2m O B tcp 10.0.1.1:50003 10.0.2.1:22\n");
        cr_assert_eq(sw_engine_newest(f.engine, 0).ms, sw_fixture_time("2m").ms);
        sw_fixture_run(&f, "release 1m\n");
        cr_assert_eq(sw_fixture_count(&f, "OPENED"), 2);
        sw_fixture_run(&f, "final\n");
        cr_assert_eq(sw_fixture_count(&f, "OPENED"), 4);
        cr_assert_eq(sw_fixture_stats(&f).tuples_late, 0);
        sw_fixture_deinit(&f);
}

Test(engine, a_single_record_is_folded_by_the_last_release)
{
        struct sw_fixture f;

        sw_fixture_init(&f);
        f.conf.ahead_ms = SW_HOUR;
        sw_fixture_run(&f, "1m O B tcp 10.0.1.1:50001 10.0.2.1:22\n"
                           "final\n");
        cr_assert_eq(sw_fixture_count(&f, "OPENED"), 1);
        sw_fixture_deinit(&f);
}

Test(engine, three_records_in_a_row_are_not_enough_where_other_sensors_speak)
{
        struct sw_fixture f;
        int i;

        sw_fixture_init(&f);
        f.conf.ahead_ms = SW_HOUR;
        sw_fixture_run(&f, "0 O B tcp 10.0.1.1:50000 10.0.2.1:22\n"
                           "1 O B tcp 10.0.1.2:50000 10.0.2.1:22\n"
                           "release 1\n");
        for (i = 0; i < 4; i++)
                sw_fixture_line(&f, "3d%dm O B tcp 10.0.1.3:%d 10.0.2.1:22", i, 50000 + i);
        cr_assert_eq(sw_engine_newest(f.engine, 0).ms, sw_fixture_time("1").ms);
        sw_fixture_run(&f, "2m O B tcp 10.0.1.1:50001 10.0.2.1:22\n"
                           "release 1m\n");
        cr_assert_eq(sw_fixture_stats(&f).tuples_late, 0);
        /* alone for more than an hour: the others are gone */
        sw_fixture_run(&f, "5h O B tcp 10.0.1.1:50002 10.0.2.1:22\n"
                           "5h30m O B tcp 10.0.1.1:50003 10.0.2.1:22\n"
                           "6h O B tcp 10.0.1.1:50004 10.0.2.1:22\n");
        cr_assert_eq(sw_engine_newest(f.engine, 0).ms, sw_fixture_time("2m").ms);
        sw_fixture_run(&f, "6h0.001 O B tcp 10.0.1.1:50005 10.0.2.1:22\n");
        cr_assert_eq(sw_engine_newest(f.engine, 0).ms, sw_fixture_time("6h0.001").ms);
        sw_fixture_deinit(&f);
}

Test(engine, a_full_reorder_buffer_releases_its_oldest_seconds_and_drops_nothing)
{
        struct sw_fixture f;
        int i;

        sw_fixture_init(&f);
        f.conf.memory_limit_bytes = UINT64_C(12) << 20;
        for (i = 0; i < 40000; i++)
                sw_fixture_line(&f, "%d O D tcp 10.0.%d.1:50000 10.1.0.1:%d", i / 10, i % 50, i);
        cr_assert_gt(sw_fixture_stats(&f).reorder_forced, 0);
        cr_assert(f.actions.forced);
        sw_fixture_run(&f, "final\n");
        cr_assert_eq(sw_fixture_stats(&f).connections, 40000);
        cr_assert_eq(sw_fixture_stats(&f).reorder_tuples, 0);
        cr_assert_leq(sw_fixture_stats(&f).bytes, f.conf.memory_limit_bytes);
        sw_fixture_deinit(&f);
}

Test(engine, a_buffer_that_was_full_once_still_holds_what_is_out_of_order)
{
        struct sw_engine_stats before, after;
        struct sw_fixture f;
        int i;

        sw_fixture_init(&f);
        f.conf.memory_limit_bytes = UINT64_C(12) << 20;
        for (i = 0; i < 40000; i++)
                sw_fixture_line(&f, "%d O D tcp 10.0.%d.1:50000 10.1.0.1:%d", i / 10, i % 50, i);
        sw_fixture_run(&f, "release 4000\n");
        before = sw_fixture_stats(&f);
        cr_assert_gt(before.reorder_forced, 0);
        /* two partitions side by side, the second a minute behind */
        for (i = 0; i < 1000; i++) {
                sw_fixture_line(&f, "%d O D tcp 10.0.1.1:50000 10.2.0.1:%d", 4100 + i, i);
                sw_fixture_line(&f, "%d O D tcp 10.0.1.1:50000 10.2.0.2:%d", 4040 + i, i);
                if (i % 50 == 0)
                        sw_fixture_line(&f, "release %d", 4000 + i);
        }
        after = sw_fixture_stats(&f);
        cr_assert_eq(after.reorder_forced, before.reorder_forced);
        cr_assert_eq(after.tuples_late, before.tuples_late);
        sw_fixture_deinit(&f);
}

/* Nothing waits for its second: late tuples alone have filled it. */
Test(engine, a_buffer_full_of_late_tuples_gives_way_as_well)
{
        struct sw_fixture f;
        int i;

        sw_fixture_init(&f);
        f.conf.memory_limit_bytes = UINT64_C(12) << 20;
        sw_fixture_run(&f, "2h O B tcp 10.0.1.1:50000 10.0.2.1:22\nrelease 2h\n");
        for (i = 0; i < 30000; i++)
                sw_fixture_line(&f, "1h30m O D tcp 10.0.%d.1:50000 10.1.0.1:%d", i % 50, i);
        cr_assert_gt(sw_fixture_stats(&f).reorder_forced, 0);
        cr_assert_eq(sw_fixture_stats(&f).tuples_late, 30000);
        sw_fixture_run(&f, "release 2h\nrelease 2h1m\n");
        cr_assert_eq(sw_fixture_stats(&f).reorder_tuples, 0);
        cr_assert_eq(sw_fixture_stats(&f).connections, 30001);
        sw_fixture_deinit(&f);
}

/* More than can be doubted: whoever speaks first with so much is believed. */
Test(engine, a_first_record_larger_than_what_is_held_back_is_believed)
{
        enum { N = 4000 };
        struct sw_batch b = SW_BATCH_NULL;
        struct sw_event ev = { .type = SW_EVENT_BATCH, .batch = { .batch = &b, .carrier = SW_ETIME_NONE } };
        struct sw_record *r = sw_batch_add_record(&b);
        struct sw_fixture f;
        uint32_t i;

        *r = (struct sw_record){ .time = sw_fixture_time("0"), .n_tuples = N, .flow_log = SW_STR("/l"), .mac = 1 };
        for (i = 0; i < N; i++)
                *sw_batch_add_tuple(&b) = (struct sw_tuple){ .time = sw_fixture_time("0"),
                        .src = sw_addr_v4(0x0a000001),
                        .dst = sw_addr_v4(0x0a010000 + i),
                        .sport = 50000,
                        .dport = 22,
                        .proto = 6,
                        .direction = SW_OUTBOUND };
        *sw_batch_add_rule(&b) = (struct sw_rule){ .name = SW_STR("r") };
        sw_fixture_init(&f);
        f.conf.memory_limit_bytes = UINT64_C(12) << 20;
        f.conf.ahead_ms = SW_HOUR;
        sw_fixture_run(&f, "# makes the engine\nrelease 0\n");
        sw_engine_free(f.engine);
        cr_assert_eq(sw_engine_new(&f.conf, &f.seed, &f.engine, NULL), 0);
        cr_assert_eq(sw_engine_step(f.engine, &ev, &f.actions), 0);
        cr_assert_eq(sw_engine_newest(f.engine, 0).ms, sw_fixture_time("0").ms);
        sw_fixture_run(&f, "release 1h\n");
        cr_assert_eq(sw_fixture_stats(&f).tuples, N);
        cr_assert_eq(sw_fixture_stats(&f).tuples_held, 0);
        cr_assert_eq(sw_fixture_stats(&f).tuples_late, 0);
        cr_assert_eq(sw_fixture_stats(&f).connections, N);
        sw_batch_deinit(&b);
        sw_fixture_deinit(&f);
}

Test(engine, a_late_tuple_may_be_the_first_of_all)
{
        struct sw_event nothing = { .type = SW_EVENT_RELEASE,
                .release = { .watermark = SW_ETIME_NONE, .wall = SW_ETIME_NONE } };
        struct sw_fixture f;

        sw_fixture_init(&f);
        sw_fixture_run(&f, "release 10m\n5m O B tcp 10.0.1.1:50000 10.0.2.1:22\n");
        cr_assert_eq(sw_fixture_stats(&f).tuples_late, 1);
        cr_assert_eq(sw_engine_step(f.engine, &nothing, &f.actions), 0);
        cr_assert_eq(sw_engine_watermark(f.engine).ms, sw_fixture_time("10m").ms);
        sw_fixture_run(&f, "release 11m\n");
        cr_assert_eq(sw_fixture_count(&f, "OPENED"), 1);
        sw_fixture_deinit(&f);
}

Test(engine, odd_batches_are_taken_or_refused)
{
        struct sw_batch b = SW_BATCH_NULL;
        struct sw_event ev = { .type = SW_EVENT_BATCH, .batch = { .batch = &b, .carrier = SW_ETIME_NONE } };
        struct sw_fixture f;

        sw_fixture_init(&f);
        sw_fixture_run(&f, "0 O B tcp 10.0.1.1:50000 10.0.2.1:22 - part=100\n");
        cr_assert_eq(sw_engine_newest(f.engine, 100).ms, sw_fixture_time("0").ms);
        ev.batch.partition = SW_MAX_PARTITIONS;
        cr_assert_eq(sw_engine_step(f.engine, &ev, &f.actions), -SW_ERR_INVAL);
        ev.batch.partition = 0;
        /* a record without a time and without tuples, and faults of the message */
        *sw_batch_add_record(&b) = (struct sw_record){ .time = SW_ETIME_NONE, .flow_log = SW_STR("/l"), .mac = 1 };
        sw_batch_add_error(&b, SW_REASON_JSON, 0, SW_STR("x"), true);
        b.stats.message_errors = 1;
        cr_assert_eq(sw_engine_step(f.engine, &ev, &f.actions), 0);
        cr_assert_eq(sw_fixture_stats(&f).records, 2);
        cr_assert_eq(sw_fixture_stats(&f).reasons[SW_REASON_JSON], 1);
        cr_assert_eq(sw_fixture_stats(&f).decode.message_errors, 1);
        /* the carrier says when it was written: a tuple far after that is set to it */
        *sw_batch_add_tuple(&b) = (struct sw_tuple){ .time = sw_fixture_time("9m"),
                .src = sw_addr_v4(0x0a000001),
                .dst = sw_addr_v4(0x0a010001),
                .sport = 50000,
                .dport = 22,
                .proto = 6,
                .direction = SW_OUTBOUND };
        *sw_batch_add_rule(&b) = (struct sw_rule){ .name = SW_STR("r") };
        b.records[0].n_tuples = 1;
        b.n_errors = 0;
        ev.batch.carrier = sw_fixture_time("1m");
        cr_assert_eq(sw_engine_step(f.engine, &ev, &f.actions), 0);
        cr_assert_eq(sw_fixture_stats(&f).tuples_clamped, 1);
        cr_assert_eq(sw_engine_newest(f.engine, 0).ms, sw_fixture_time("1m").ms);
        /* neither time nor carrier: as it stands */
        b.tuples[0].sport = 50001;
        ev.batch.carrier = SW_ETIME_NONE;
        b.records[0].fingerprint.lo = 7;
        cr_assert_eq(sw_engine_step(f.engine, &ev, &f.actions), 0);
        cr_assert_eq(sw_engine_newest(f.engine, 0).ms, sw_fixture_time("9m").ms);
        sw_fixture_run(&f, "release 1h\n");
        cr_assert_eq(sw_fixture_stats(&f).connections, 3);
        sw_batch_deinit(&b);
        sw_fixture_deinit(&f);
}

Test(engine, the_memory_plan_gives_away_no_more_than_there_is)
{
        cr_assert_leq(sw_plan_sum(), 1000);
        cr_assert_gt(sw_plan_sum(), 800);
        cr_assert_eq(sw_plan_bytes(SW_PLAN_CONNS, 1000000), 124000);
}

Test(engine, pools_hold_a_third_more_hosts_than_connections_can_pin)
{
        /* bytes of an entry, of its meta byte and of its slots at a load between 3/8 and 3/4 */
        const size_t host_bytes = sizeof(struct sw_host) + 1 + 22, conn_bytes = sizeof(struct sw_conn) + 1 + 11;
        const size_t n_conns = sw_plan_bytes(SW_PLAN_CONNS, UINT64_C(1) << 30) / conn_bytes;

        cr_assert_gt(sw_plan_bytes(SW_PLAN_HOSTS, UINT64_C(1) << 30) / host_bytes, n_conns * 4 / 3);
        cr_assert_gt(sw_plan_bytes(SW_PLAN_HOSTS_INTERNET, UINT64_C(1) << 30) / host_bytes, n_conns * 4 / 3);
}

Test(engine, too_little_memory_is_refused_with_a_word)
{
        struct sw_engine *e = NULL;
        struct sw_core_conf conf;
        struct sw_hash_key seed = { 1, 2 };
        struct sw_err err = SW_ERR_NULL;

        sw_core_conf_default(&conf);
        conf.memory_limit_bytes = 65536;
        cr_assert_lt(sw_engine_new(&conf, &seed, &e, &err), 0);
        cr_assert(strstr(err.msg, "memory.limit"), "%s", err.msg);
        cr_assert_null(e);
}

static struct sw_partition_fact fact(const char *newest, bool at_end, bool left_behind)
{
        return (struct sw_partition_fact){ newest ? sw_fixture_time(newest) : SW_ETIME_NONE, at_end, left_behind };
}

static void watermark_is(const struct sw_partition_fact *facts, uint32_t n, bool final, const char *want)
{
        struct sw_etime w = sw_watermark(facts, n, 2 * SW_MINUTE, final);

        cr_assert_eq(w.ms, want ? sw_fixture_time(want).ms : SW_ETIME_NONE.ms, "%lld", (long long)w.ms);
}

Test(engine, watermark_is_the_slowest_holder_less_reorder)
{
        struct sw_partition_fact f[3] = { fact("10m", false, false), fact("20m", false, false),
                fact(NULL, false, false) };

        watermark_is(f, 0, false, NULL);
        watermark_is(f + 2, 1, false, NULL);
        watermark_is(f + 2, 1, true, NULL);
        watermark_is(f, 3, false, "8m");
        f[0] = fact("10m", true, false);
        watermark_is(f, 3, false, "18m");
        f[0] = fact("10m", false, true);
        watermark_is(f, 3, false, "18m");
        f[1].at_end = true;
        watermark_is(f, 3, false, "18m");
        watermark_is(f, 3, true, "20m");
        f[0] = fact("30m", false, true);
        watermark_is(f, 3, true, "30m");
}

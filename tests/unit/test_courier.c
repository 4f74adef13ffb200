/* SPDX-License-Identifier: Apache-2.0 */
#include "sink/courier.h"

#include "base/alloc.h"
#include "clock.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_ROWS 256

/* An outbox in memory, and a sink that answers by a plan. */
struct fixture {
        struct sw_loop *loop;
        struct sw_log *log;
        struct sw_courier *c;
        struct sw_watch *answer, *end;
        atomic_uint n_rows;
        unsigned more, more_at; /* so many rows come after so many ms */
        unsigned ticks, max_ticks;
        atomic_llong marked;
        unsigned per_finding; /* rows in a row of one finding; 0: 1 */
        int64_t time_step_ms;
        bool bad[MAX_ROWS], large[MAX_ROWS]; /* refused; too large until squeezed twice */
        unsigned outage_at;                  /* one at this request */
        unsigned outages;                    /* how often to fail first */
        int status;                          /* of these; 0: none */
        bool says_retry_after;
        int64_t retry_after_ms;            /* of these, if so */
        bool statuses;                     /* each time with another one */
        unsigned too_large_above;          /* rows per request */
        unsigned refuse_from, refuse_upto; /* requests that are refused whatever is in them */
        /* seen */
        unsigned delivered[MAX_ROWS], n_requests, max_rows;
        unsigned order[4 * MAX_ROWS], n_order;
        char payload[4096];
        bool aborted;
};

static const char *row_line(const struct fixture *x, unsigned n, char buf[256])
{
        unsigned per = x->per_finding ? x->per_finding : 1;

        snprintf(buf, 256,
                "{\"metadata\":{\"uid\":\"%032u\",\"logged_time\":%lld},\"unmapped\":{\"detectors\":[\"%s\"]},"
                "\"activity_id\":%d,\"finding_info\":{\"uid\":\"f%u\"}}",
                n, (long long)(INT64_C(1767225600000) + n * x->time_step_ms), n % 2 ? "odd" : "even",
                n % per == 0 ? 1 : 2, n / per);
        return buf;
}

static int feed_read(
        void *ctx, int64_t after, uint32_t max, int (*each)(void *to, const struct sw_courier_row *r), void *to)
{
        struct fixture *x = ctx;
        int64_t n = after > x->marked ? after : x->marked;
        char line[256], uid[33];
        int r = 0;

        for (; n < x->n_rows && max > 0 && r == 0; n++, max--) {
                const struct sw_courier_row row = { .number = n + 1,
                        .severity = (uint8_t)(n % 5 + 1),
                        .uid = uid,
                        .line = sw_str_of(row_line(x, (unsigned)n, line)) };

                snprintf(uid, sizeof(uid), "%032u", (unsigned)n);
                r = each(to, &row);
        }
        return r;
}

static int feed_mark(void *ctx, int64_t number)
{
        struct fixture *x = ctx;

        cr_assert_geq(number, x->marked, "marks only go on");
        cr_assert_leq(number, x->n_rows);
        x->marked = number;
        return 0;
}

/* "17/0 ": the row and how often it was squeezed */
static int sink_encode(
        void *ctx, const struct sw_json *finding, struct sw_str line, unsigned squeeze, struct sw_buf *out)
{
        (void)ctx;
        (void)line;
        sw_buf_printf(out, "%d/%u ", atoi(sw_json_str(sw_json_at(finding, "metadata.uid")).p + 20), squeeze);
        return SW_COURIER_OK;
}

static int sink_pack(void *ctx, const struct sw_courier_batch *b, struct sw_buf *out)
{
        uint32_t i;

        (void)ctx;
        for (i = 0; i < b->n; i++)
                sw_buf_put(out, b->text + b->items[i].at, b->items[i].n);
        return 0;
}

static void sink_send(void *ctx, struct sw_str payload, uint32_t n_rows)
{
        struct fixture *x = ctx;

        cr_assert_lt(payload.n, sizeof(x->payload));
        memcpy(x->payload, payload.p, payload.n);
        x->payload[payload.n] = '\0';
        x->max_rows = n_rows > x->max_rows ? n_rows : x->max_rows;
        sw_watch_wake(x->answer);
}

static void sink_abort(void *ctx)
{
        struct fixture *x = ctx;

        x->aborted = true;
}

static void sink_answer(void *ctx)
{
        struct fixture *x = ctx;
        struct sw_courier_outcome o = {
                .verdict = SW_COURIER_DELIVERED, .retry_after_ms = -1, .reason = "planned", .answer = SW_STR("words")
        };
        const char *at = x->payload;
        unsigned row, squeeze, n = 0;
        int used;

        if (x->n_requests >= x->refuse_from && x->n_requests < x->refuse_upto)
                o.verdict = SW_COURIER_REFUSED;
        x->n_requests++;
        for (; sscanf(at, "%u/%u %n", &row, &squeeze, &used) == 2; at += used, n++) {
                if (x->bad[row])
                        o.verdict = SW_COURIER_REFUSED;
                if (x->large[row] && squeeze < 2)
                        o.verdict = SW_COURIER_TOO_LARGE;
        }
        if (x->too_large_above && n > x->too_large_above)
                o.verdict = SW_COURIER_TOO_LARGE;
        if (x->outage_at && x->n_requests == x->outage_at + 1)
                o.verdict = SW_COURIER_OUTAGE;
        if (x->outages) {
                o.status = x->statuses ? 500 + (int)x->outages : x->status;
                x->outages--;
                o.retry_after_ms = x->says_retry_after ? x->retry_after_ms : -1;
                o.cause = SW_COURIER_CAUSE_TIMEOUT; /* said where there is no status */
                o.verdict = SW_COURIER_OUTAGE;
        }
        for (at = x->payload; o.verdict == SW_COURIER_DELIVERED && sscanf(at, "%u/%u %n", &row, &squeeze, &used) == 2;
                at += used) {
                x->delivered[row]++;
                cr_assert_lt(x->n_order, 4 * MAX_ROWS);
                x->order[x->n_order++] = row;
        }
        sw_courier_done(x->c, &o);
}

static void look_for_end(void *ctx)
{
        struct fixture *x = ctx;

        x->ticks++;
        if (x->more && x->ticks >= x->more_at) {
                x->n_rows += x->more;
                x->more = 0;
                sw_courier_wake(x->c);
        }
        if ((x->marked == x->n_rows && !x->more) || x->ticks > x->max_ticks)
                sw_loop_stop(x->loop);
}

static const struct sw_courier_ops ops = { sink_encode, sink_pack, sink_send, sink_abort };

static struct sw_courier_stats run_some(struct fixture *x, struct sw_courier_conf conf)
{
        const struct sw_courier_feed feed = { x, feed_read, feed_mark, NULL };
        struct sw_courier_stats s;

        conf.name = "test";
        conf.body_max = conf.body_max ? conf.body_max : 100000;
        conf.rows_max = conf.rows_max ? conf.rows_max : 1000;
        conf.retry_first_ms = conf.retry_first_ms ? conf.retry_first_ms : 1;
        conf.retry_max_ms = conf.retry_max_ms ? conf.retry_max_ms : 2;
        x->max_ticks = x->max_ticks ? x->max_ticks : 10000;
        x->ticks = 0;
        conf.poll_ms = 5;
        cr_assert_eq(sw_loop_new(&x->loop), 0);
        cr_assert_eq(sw_log_new(open("/dev/null", O_WRONLY), SW_LOG_DEBUG, SW_LOG_LOGFMT, &x->log), 0);
        cr_assert_eq(sw_loop_wakeable(x->loop, sink_answer, x, &x->answer), 0);
        cr_assert_eq(sw_loop_timer(x->loop, 1, 1, look_for_end, x, &x->end), 0);
        cr_assert_eq(sw_courier_new(&conf, &ops, x, &feed, x->loop, x->log, &x->c), 0);
        cr_assert_eq(sw_courier_start(x->c), 0);
        sw_loop_run(x->loop);
        s = sw_courier_stats(x->c);
        sw_courier_stop(x->c);
        x->loop = sw_loop_free(x->loop);
        x->c = sw_courier_free(x->c);
        x->log = sw_log_free(x->log);
        return s;
}

static struct sw_courier_stats run(struct fixture *x, struct sw_courier_conf conf)
{
        struct sw_courier_stats s = run_some(x, conf);

        cr_assert_eq(x->marked, x->n_rows, "%lld of %u", (long long)x->marked, x->n_rows);
        return s;
}

static void expect_once(const struct fixture *x)
{
        unsigned i;

        for (i = 0; i < x->n_rows; i++)
                cr_assert_eq(x->delivered[i], x->bad[i] ? 0 : 1, "row %u: %u times", i, x->delivered[i]);
}

Test(courier, one_batch_carries_all)
{
        struct fixture x = { .n_rows = 40 };
        struct sw_courier_stats s = run(&x, (struct sw_courier_conf){ 0 });

        expect_once(&x);
        cr_assert_eq(s.rows, 40);
        cr_assert_eq(x.n_requests, 1);
}

Test(courier, rows_bytes_and_times_bound_a_batch)
{
        struct fixture x = { .n_rows = 40 }, y = { .n_rows = 40 }, z = { .n_rows = 40, .time_step_ms = 60000 };

        run(&x, (struct sw_courier_conf){ .rows_max = 7 });
        expect_once(&x);
        cr_assert_eq(x.max_rows, 7);
        run(&y, (struct sw_courier_conf){ .body_max = 25 });
        expect_once(&y);
        cr_assert_eq(y.max_rows, 6, "%u", y.max_rows); /* "0/0 " of 4 bytes each */
        run(&z, (struct sw_courier_conf){ .spread_max_ms = 10 * 60000 });
        expect_once(&z);
        cr_assert_eq(z.max_rows, 10, "less than ten minutes apart");
}

Test(courier, an_outage_sends_the_same_again)
{
        struct fixture x = { .n_rows = 10, .outages = 6 };
        struct sw_courier_stats s = run(&x, (struct sw_courier_conf){ 0 });

        expect_once(&x);
        cr_assert_eq(s.retries, 6);
        cr_assert_eq(s.retries_by[SW_COURIER_CAUSE_TIMEOUT], 6);
        cr_assert_eq(x.n_requests, 7);
        cr_assert_eq(s.failing_since_ms, 0);
}

Test(courier, retry_after_is_obeyed_up_to_its_cap)
{
        static const struct {
                int64_t said, least, most;
        } rows[] = { { 3000, 3000, 3400 }, { 0, 0, 100 }, { INT64_C(3600000), 600000, 660100 }, { -1, 1, 2 } };
        unsigned i;

        for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
                struct fixture x = { .n_rows = 1, .outages = 1000000, .status = 429, .max_ticks = 20 };
                struct sw_courier_stats s;
                int64_t before = sw_clock_mono().ms, after;

                x.retry_after_ms = rows[i].said;
                x.says_retry_after = true;
                s = run_some(&x, (struct sw_courier_conf){ 0 });
                after = sw_clock_mono().ms;
                cr_assert_geq(s.next_try_ms, before + rows[i].least, "row %u", i);
                cr_assert_leq(s.next_try_ms, after + rows[i].most, "row %u", i);
                if (rows[i].said >= 3000)
                        cr_assert_eq(x.n_requests, 1);
        }
}

Test(courier, so_many_codes_are_told_apart)
{
        struct fixture x = { .n_rows = 3, .outages = 2 }, y = { .n_rows = 3, .outages = 20, .statuses = true };
        struct sw_courier_stats s = run(&x, (struct sw_courier_conf){ 0 });
        uint64_t n = 0;
        uint32_t i;

        cr_assert_eq(s.n_codes, 2);
        cr_assert(s.codes[0].status == 0 && s.codes[0].n == 2, "no answer at all");
        cr_assert(s.codes[1].status == 200 && s.codes[1].n == 1, "taken, by a protocol without codes");
        s = run(&y, (struct sw_courier_conf){ 0 });
        cr_assert_eq(s.n_codes, SW_COURIER_CODES);
        cr_assert(s.codes[0].status == 520 && s.codes[0].n == 1);
        cr_assert_eq(s.retries_by[SW_COURIER_CAUSE_SERVER], 20);
        cr_assert(s.codes[SW_COURIER_CODES - 1].status == -1 && s.codes[SW_COURIER_CODES - 1].n == 10);
        for (i = 0; i <= SW_COURIER_DURATIONS; i++)
                n += s.durations[i];
        cr_assert_eq(n, 21);
        cr_assert_eq(s.sizes[0], 21);
}

Test(courier, a_retry_has_the_reason_that_the_status_says)
{
        static const struct {
                int status;
                enum sw_courier_cause cause;
        } rows[] = { { 401, SW_COURIER_CAUSE_AUTH }, { 403, SW_COURIER_CAUSE_AUTH }, { 407, SW_COURIER_CAUSE_AUTH },
                { 408, SW_COURIER_CAUSE_TIMEOUT }, { 429, SW_COURIER_CAUSE_THROTTLED },
                { 500, SW_COURIER_CAUSE_SERVER }, { 503, SW_COURIER_CAUSE_SERVER }, { 404, SW_COURIER_CAUSE_STATUS },
                { 302, SW_COURIER_CAUSE_STATUS } };
        unsigned i, k;

        for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
                struct fixture x = { .n_rows = 1, .outages = 2, .status = rows[i].status };
                struct sw_courier_stats s = run(&x, (struct sw_courier_conf){ 0 });

                for (k = 0; k < SW_COURIER_N_CAUSES; k++)
                        cr_assert_eq(s.retries_by[k], k == rows[i].cause ? 2 : 0, "%d: %s", rows[i].status,
                                sw_courier_causes[k]);
        }
}

Test(courier, refused_rows_are_found_by_halving)
{
        struct fixture x = { .n_rows = 64, .bad = { [0] = true, [31] = true, [63] = true } };
        struct sw_courier_stats s = run(&x, (struct sw_courier_conf){ 0 });

        expect_once(&x);
        cr_assert_eq(s.rejected, 3);
        cr_assert_leq(x.n_requests, 3 * 9, "%u", x.n_requests);
}

static void expect_order(const struct fixture *x)
{
        unsigned per = x->per_finding ? x->per_finding : 1, last[MAX_ROWS] = { 0 }, i;

        for (i = 0; i < x->n_order; i++) {
                unsigned f = x->order[i] / per;

                cr_assert_leq(last[f], x->order[i] + 1, "finding %u: row %u late", f, x->order[i]);
                last[f] = x->order[i] + 1;
        }
}

static unsigned count_bad(const struct fixture *x)
{
        unsigned n = 0, i;

        for (i = 0; i < x->n_rows; i++)
                n += x->bad[i];
        return n;
}

Test(courier, fifty_bad_rows_in_a_row_do_not_hold_up_those_behind_them)
{
        static const unsigned rows_max[] = { 1000, 7, 1 };
        unsigned i, k;

        for (k = 0; k < 3; k++) {
                struct fixture x = { .n_rows = 120, .per_finding = 3 };
                struct sw_courier_stats s;

                for (i = 5; i < 55; i++)
                        x.bad[i] = true;
                s = run(&x, (struct sw_courier_conf){ .rows_max = rows_max[k] });
                expect_once(&x);
                expect_order(&x);
                cr_assert_eq(s.rejected, 50);
                cr_assert_eq(s.rows, 70);
                cr_assert_leq(x.n_requests, 400, "%u", x.n_requests);
        }
}

Test(courier, who_refuses_everything_refuses_no_row_whatever_is_restarted)
{
        struct fixture x = { .n_rows = 100, .per_finding = 2, .refuse_upto = UINT32_MAX, .max_ticks = 150 };
        struct sw_courier_stats s;
        unsigned start;

        for (start = 0; start < 4; start++) {
                s = run_some(&x, (struct sw_courier_conf){ 0 });
                cr_assert_eq(s.rejected, 0);
                cr_assert_eq(s.rows, 0);
                cr_assert_eq(x.marked, 0);
                cr_assert_gt(s.retries_by[SW_COURIER_CAUSE_REFUSED], 2, "and tries on");
                cr_assert_neq(s.failing_since_ms, 0);
                cr_assert(strstr(s.reason, "every row is refused") && strstr(s.reason, "words"), "%s", s.reason);
        }
        x.refuse_upto = 0;
        x.max_ticks = 0;
        s = run(&x, (struct sw_courier_conf){ 0 });
        expect_once(&x);
        cr_assert_eq(s.rejected, 0);
}

/* The worst moment is within the search for who is to blame. */
Test(courier, a_service_that_works_again_at_any_moment_has_refused_no_row)
{
        unsigned from, n;

        for (from = 0; from < 6; from += 5)
                for (n = 0; n < 70; n++) {
                        struct fixture x = {
                                .n_rows = 60, .per_finding = 3, .refuse_from = from, .refuse_upto = from + n
                        };
                        struct sw_courier_stats s = run(&x, (struct sw_courier_conf){ .rows_max = 8 });

                        expect_once(&x);
                        expect_order(&x);
                        cr_assert_eq(s.rejected, 0, "%u refusals from %u", n, from);
                        cr_assert_eq(s.rows, 60);
                }
}

Test(courier, what_was_good_and_then_refuses_everything_has_refused_no_row)
{
        struct fixture x = { .n_rows = 60, .refuse_from = 3, .refuse_upto = UINT32_MAX, .max_ticks = 100 };
        struct sw_courier_stats s = run_some(&x, (struct sw_courier_conf){ .rows_max = 8 });

        cr_assert_eq(s.rows, 24);
        cr_assert_eq(s.rejected, 0);
        cr_assert_eq(x.marked, 24);
}

/* Half of the batch was taken, so the bad row is in the other half: but is it, after an outage? */
Test(courier, what_was_seen_before_an_outage_proves_nothing_after_it)
{
        struct fixture x = { .n_rows = 8,
                .bad = { [3] = true },
                .outage_at = 2,
                .refuse_from = 3,
                .refuse_upto = UINT32_MAX,
                .max_ticks = 60 };
        struct sw_courier_stats s = run_some(&x, (struct sw_courier_conf){ .rows_max = 4 });

        cr_assert_eq(s.rows, 2);
        cr_assert_eq(s.rejected, 0);
        x.refuse_upto = x.max_ticks = 0;
        s = run(&x, (struct sw_courier_conf){ .rows_max = 4 });
        expect_once(&x);
        cr_assert_eq(s.rejected, 1);
}

Test(courier, a_bad_row_alone_waits_for_another_one)
{
        struct fixture x = { .n_rows = 1, .bad = { true }, .max_ticks = 60 },
                       y = { .n_rows = 1, .bad = { true }, .more = 2, .more_at = 60 };
        struct sw_courier_stats s = run_some(&x, (struct sw_courier_conf){ 0 });

        cr_assert_eq(s.rejected, 0);
        cr_assert_eq(x.marked, 0);
        cr_assert(strstr(s.reason, "no other finding"), "%s", s.reason);
        /* the other one is tried at once, not when the pause of a minute is over */
        s = run(&y, (struct sw_courier_conf){ .retry_first_ms = 60000, .retry_max_ms = 60000 });
        expect_once(&y);
        cr_assert_eq(s.rejected, 1);
        cr_assert_eq(s.rows, 2);
        cr_assert_lt(y.ticks, 3000);
}

Test(courier, rows_behind_a_suspect_of_their_finding_wait_for_it)
{
        struct fixture x = { .n_rows = 3, .per_finding = 3, .bad = { true }, .max_ticks = 60 };
        struct sw_courier_stats s = run_some(&x, (struct sw_courier_conf){ 0 });

        cr_assert_eq(s.rows + s.rejected, 0, "nobody else says whose fault it is");
        x.n_rows = 4;
        x.max_ticks = 0;
        s = run(&x, (struct sw_courier_conf){ 0 });
        expect_once(&x);
        expect_order(&x);
        cr_assert_eq(s.rejected, 1);
}

Test(courier, whatever_rows_are_bad_the_others_arrive_once_and_in_order)
{
        unsigned seed, i, random;

        for (seed = 1; seed <= 150; seed++) {
                struct fixture x = { .per_finding = 1 + seed % 3,
                        .outages = seed % 5 == 0 ? 20 : 0,
                        .too_large_above = seed % 7 == 0 ? 3 : 0 };
                struct sw_courier_stats s;
                bool bad = false;

                random = seed * 2654435761U;
                x.n_rows = 20 + seed % 150;
                for (i = 0; i + 4 < x.n_rows; i++) {
                        random = random * 1664525 + 1013904223;
                        if (random >> 28 < 1 + seed % 6)
                                bad = !bad; /* in runs */
                        x.bad[i] = bad;
                }
                s = run(&x, (struct sw_courier_conf){ .rows_max = 1 + seed % 40 });
                expect_once(&x);
                expect_order(&x);
                cr_assert_eq(s.rejected, count_bad(&x), "seed %u", seed);
        }
}

Test(courier, too_many_bytes_are_halved_and_a_single_row_is_squeezed)
{
        struct fixture x = { .n_rows = 32, .too_large_above = 5, .large = { [9] = true } };
        struct sw_courier_stats s = run(&x, (struct sw_courier_conf){ 0 });

        expect_once(&x);
        cr_assert_eq(s.rejected, 0);
}

Test(courier, rows_nobody_wants_are_marked_and_not_sent)
{
        static const char *const odd[] = { "odd" };
        struct fixture x = { .n_rows = 40 };
        struct sw_courier_stats s =
                run(&x, (struct sw_courier_conf){ .min_severity = 3, .detectors = odd, .n_detectors = 1 });
        unsigned i;

        for (i = 0; i < 40; i++)
                cr_assert_eq(x.delivered[i], i % 2 == 1 && i % 5 + 1 >= 3, "row %u", i);
        cr_assert_eq(s.rows + s.filtered, 40);
}

Test(courier, pauses_grow_to_their_bound_and_are_never_nothing)
{
        unsigned n;

        for (n = 0; n < 40; n++) {
                int64_t top = n < 9 ? INT64_C(1000) << n : 300000;

                top = top > 300000 ? 300000 : top;
                cr_assert_eq(sw_courier_backoff(1000, 300000, n, 0), top / 10);
                cr_assert_geq(sw_courier_backoff(1000, 300000, n, UINT32_MAX), top - 2);
                cr_assert_leq(sw_courier_backoff(1000, 300000, n, UINT32_MAX), top);
        }
}

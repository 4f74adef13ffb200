/* SPDX-License-Identifier: Apache-2.0 */
#include "pipeline.h"

#include <criterion/criterion.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BASE_S 1760000000LL
#define N_MESSAGES 300

static struct sw_core_conf core_conf(void)
{
        struct sw_core_conf c;

        sw_core_conf_default(&c);
        c.memory_limit_bytes = 64 << 20;
        c.learning_ms = 0;
        c.write_signals = true;
        c.version = "test";
        return c;
}

struct sink {
        struct sw_buf lines;
        uint32_t n_errors;
        int fail_after; /* calls of on_actions; -1 never */
        atomic_int n_done;
        atomic_int n_room;
};

static int on_actions(void *ctx, const struct sw_actions *a)
{
        struct sink *s = ctx;

        if (s->fail_after >= 0 && s->fail_after-- == 0)
                return -SW_ERR_IO;
        sw_buf_put(&s->lines, a->findings.text.p, a->findings.text.n);
        sw_buf_put(&s->lines, a->signals.text.p, a->signals.text.n);
        return 0;
}

static void on_errors(void *ctx, uint32_t partition, int64_t offset, const struct sw_batch *b)
{
        struct sink *s = ctx;

        (void)partition;
        (void)offset;
        s->n_errors += b->n_errors;
}

static void on_room(void *ctx)
{
        atomic_fetch_add(&((struct sink *)ctx)->n_room, 1);
}

struct message {
        struct sink *sink;
        char text[700];
};

static void message_done(void *owner)
{
        struct message *m = owner;

        atomic_fetch_add(&m->sink->n_done, 1);
        free(m);
}

/* One denied probe per second from one host to ever new hosts: a scan. */
static struct message *make(struct sink *s, int i)
{
        struct message *m = malloc(sizeof(*m));
        long long t = BASE_S + i;

        cr_assert_not_null(m);
        m->sink = s;
        snprintf(m->text, sizeof(m->text),
                "{\"records\":[{\"time\":\"2025-10-09T%02lld:%02lld:%02lld.5000000Z\",\"flowLogVersion\":4,"
                "\"flowLogGUID\":\"g\",\"macAddress\":\"002248AAAA01\",\"category\":\"FlowLogFlowEvent\","
                "\"flowLogResourceID\":\"/SUBSCRIPTIONS/A/FLOWLOGS/X\",\"targetResourceID\":\"/subscriptions/a/v\","
                "\"operationName\":\"FlowLogFlowEvent\",\"flowRecords\":{\"flows\":[{\"aclID\":\"x\",\"flowGroups\":[{"
                "\"rule\":\"DenyAll\",\"flowTuples\":[\"%lld000,10.0.0.5,10.0.%d.%d,%d,445,6,O,D,NX,0,0,0,0\"]}]}]}}]}",
                t / 3600 % 24, t / 60 % 60, t % 60, t, 1 + i / 200, 1 + i % 200, 40000 + i);
        return m;
}

static struct sw_pipeline *open_pipeline(
        struct sink *s, struct sw_core_conf *core, unsigned workers, int64_t release_ms)
{
        struct sw_pipeline_conf conf = { .core = core, .n_workers = workers, .release_ms = release_ms };
        struct sw_pipeline_hooks hooks = { s, on_actions, on_errors, on_room };
        struct sw_pipeline *p;
        struct sw_err err;
        uint32_t partition;

        conf.seed = (struct sw_hash_key){ workers, 7 };
        cr_assert_eq(sw_pipeline_new(&conf, &hooks, &p, &err), 0, "%s", err.msg);
        cr_assert_eq(sw_pipeline_add_partition(p, &partition), 0);
        return p;
}

static int submit(struct sw_pipeline *p, struct message *m, int64_t offset, bool wait)
{
        struct sw_input in = { .flags = SW_DECODE_MESSAGE, .offset = offset, .carrier = SW_ETIME_NONE };
        int r;

        in.bytes = sw_str_of(m->text);
        in.done = message_done;
        in.owner = m;
        r = sw_pipeline_submit(p, &in, wait);
        if (r != SW_PIPELINE_OK)
                free(m);
        return r;
}

static struct sink run(unsigned workers)
{
        struct sink s = { .fail_after = -1 };
        struct sw_core_conf core = core_conf();
        struct sw_pipeline *p = open_pipeline(&s, &core, workers, 0);
        struct sw_pipeline_progress progress;
        int i;

        for (i = 0; i < N_MESSAGES; i++)
                cr_assert_eq(submit(p, make(&s, i), i, true), 0);
        cr_assert_eq(sw_pipeline_finish(p, true, NULL), 0);
        sw_pipeline_progress(p, &progress);
        cr_assert_eq(progress.engine.tuples, N_MESSAGES);
        cr_assert_eq(progress.items_taken, N_MESSAGES);
        cr_assert_gt(progress.releases, 50);
        sw_pipeline_free(p);
        cr_assert_eq(atomic_load(&s.n_done), N_MESSAGES);
        return s;
}

Test(pipeline, one_worker_and_four_give_the_same_bytes)
{
        struct sink one = run(1), four = run(4);

        cr_assert_gt(one.lines.n, 0);
        cr_assert_eq(one.lines.n, four.lines.n);
        cr_assert_eq(memcmp(one.lines.p, four.lines.p, one.lines.n), 0);
        sw_buf_deinit(&one.lines);
        sw_buf_deinit(&four.lines);
}

Test(pipeline, resumes_at_the_lowest_offset_with_an_unreleased_tuple)
{
        struct sink s = { .fail_after = -1 };
        struct sw_core_conf core = core_conf();
        struct sw_pipeline *p = open_pipeline(&s, &core, 2, 1);
        int64_t resume;
        int i;

        cr_assert_eq(sw_pipeline_resume_offset(p, 0), -1);
        for (i = 0; i < 240; i++)
                cr_assert_eq(submit(p, make(&s, i), 1000 + i, true), 0);
        cr_assert_eq(sw_pipeline_finish(p, false, NULL), 0);
        /* Newest is second 239; reorder is 120 s: at most seconds up to 119 are released, whatever the wall clock did.
         */
        resume = sw_pipeline_resume_offset(p, 0);
        cr_assert_geq(resume, 1000);
        cr_assert_leq(resume, 1000 + 120);
        cr_assert_eq(sw_pipeline_idle(p), 0);
        cr_assert_eq(sw_pipeline_finish(p, false, NULL), 0);
        cr_assert_eq(sw_pipeline_resume_offset(p, 0), 1240);
        sw_pipeline_free(p);
        sw_buf_deinit(&s.lines);
}

Test(pipeline, what_spans_many_offsets_is_resumed_at_its_first_or_behind_it)
{
        struct sink s = { .fail_after = -1 };
        struct sw_core_conf core = core_conf();
        struct sw_pipeline *p = open_pipeline(&s, &core, 2, 1);
        struct sw_input in = { .flags = SW_DECODE_MESSAGE, .carrier = SW_ETIME_NONE, .done = message_done };
        int i;

        for (i = 0; i < 2; i++) {
                struct message *m = make(&s, i);

                in.bytes = sw_str_of(m->text);
                in.owner = m;
                in.offset = 64 * i;
                in.next = 64 * (i + 1);
                cr_assert_eq(sw_pipeline_submit(p, &in, true), 0);
        }
        cr_assert_eq(sw_pipeline_finish(p, false, NULL), 0);
        cr_assert_eq(sw_pipeline_resume_offset(p, 0), 0);
        cr_assert_eq(sw_pipeline_idle(p), 0);
        cr_assert_eq(sw_pipeline_finish(p, false, NULL), 0);
        cr_assert_eq(sw_pipeline_resume_offset(p, 0), 128);
        sw_pipeline_free(p);
        sw_buf_deinit(&s.lines);
}

Test(pipeline, a_clock_that_is_set_back_does_not_hold_the_offset)
{
        struct sink s = { .fail_after = -1 };
        struct sw_core_conf core = core_conf();
        struct sw_pipeline *p = open_pipeline(&s, &core, 1, 1);
        struct message *m;
        int i;

        for (i = 0; i < 10; i++) {
                struct sw_input in = { .flags = SW_DECODE_MESSAGE, .offset = i };

                m = make(&s, i == 4 ? 86400 * 300 : i); /* one is dated 300 days ahead: set to its carrier's stamp */
                in.bytes = sw_str_of(m->text);
                in.carrier.ms = (BASE_S + i) * 1000;
                in.done = message_done;
                in.owner = m;
                cr_assert_eq(sw_pipeline_submit(p, &in, true), 0);
        }
        cr_assert_eq(sw_pipeline_idle(p), 0);
        cr_assert_eq(sw_pipeline_finish(p, true, NULL), 0);
        cr_assert_eq(sw_pipeline_idle(p), 0);
        cr_assert_eq(sw_pipeline_finish(p, true, NULL), 0);
        cr_assert_geq(sw_pipeline_resume_offset(p, 0), 4 + 1, "%lld", (long long)sw_pipeline_resume_offset(p, 0));
        sw_pipeline_free(p);
        sw_buf_deinit(&s.lines);
}

Test(pipeline, refuses_when_full_and_tells_when_there_is_room)
{
        struct sink s = { .fail_after = -1 };
        struct sw_core_conf core = core_conf();
        struct sw_pipeline_conf conf = { .core = &core, .n_workers = 1, .queue_max_items = 4 };
        struct sw_pipeline_hooks hooks = { &s, on_actions, on_errors, on_room };
        struct sw_pipeline *p;
        uint32_t partition;
        int i, n_full = 0;

        cr_assert_eq(sw_pipeline_new(&conf, &hooks, &p, NULL), 0);
        cr_assert_eq(sw_pipeline_add_partition(p, &partition), 0);
        for (i = 0; i < 20000 && n_full < 3; i++)
                n_full += submit(p, make(&s, i % 200), i, false) == SW_PIPELINE_FULL;
        cr_assert_eq(n_full, 3);
        cr_assert_eq(sw_pipeline_finish(p, false, NULL), 0);
        cr_assert_geq(atomic_load(&s.n_room), 1);
        sw_pipeline_free(p);
        sw_buf_deinit(&s.lines);
}

static int wait_for_disk(void *ctx, const struct sw_actions *a)
{
        struct sink *s = ctx;

        (void)a;
        while (atomic_load(&s->n_room) >= 0) /* negative: there is room on the disk again */
                usleep(1000);
        return 0;
}

Test(pipeline, facts_and_configurations_do_not_wait_for_a_disk)
{
        struct sink s = { .fail_after = -1 };
        struct sw_core_conf core = core_conf();
        struct sw_pipeline_conf conf = { .core = &core, .n_workers = 1, .queue_max_items = 64 };
        struct sw_pipeline_hooks hooks = { .ctx = &s, .on_actions = wait_for_disk };
        struct sw_fact fact = { .head = SW_ETIME_NONE };
        struct sw_pipeline *p;
        uint32_t partition;
        int i, r = SW_PIPELINE_OK;

        cr_assert_eq(sw_pipeline_new(&conf, &hooks, &p, NULL), 0);
        cr_assert_eq(sw_pipeline_add_partition(p, &partition), 0);
        for (i = 0; i < 100000 && r != SW_PIPELINE_FULL; i++) {
                r = submit(p, make(&s, i % 400 + i / 100), i, false);
                usleep(r == SW_PIPELINE_OK && i < 400 ? 100 : 0);
        }
        cr_assert_eq(r, SW_PIPELINE_FULL);
        for (i = 0; i < 8; i++)
                cr_assert_eq(sw_pipeline_fact(p, partition, &fact), 0);
        cr_assert_eq(sw_pipeline_reconfigure(p, &core), 0);
        atomic_store(&s.n_room, -1000000);
        cr_assert_eq(sw_pipeline_finish(p, true, NULL), 0);
        sw_pipeline_free(p);
}

Test(pipeline, a_failing_hook_stops_it_with_its_code_and_frees_everything)
{
        struct sink s = { .fail_after = 0 };
        struct sw_core_conf core = core_conf();
        struct sw_pipeline *p = open_pipeline(&s, &core, 2, 0);
        struct sw_err err = SW_ERR_NULL;
        int i, taken = 0;

        for (i = 0; i < N_MESSAGES; i++)
                taken += submit(p, make(&s, i), i, true) == SW_PIPELINE_OK;
        cr_assert_eq(sw_pipeline_finish(p, true, &err), -SW_ERR_IO);
        cr_assert_neq(err.msg[0], '\0');
        sw_pipeline_free(p);
        cr_assert_eq(atomic_load(&s.n_done), taken);
        sw_buf_deinit(&s.lines);
}

Test(pipeline, facts_without_input_may_go_round_the_ring)
{
        struct sink s = { .fail_after = -1 };
        struct sw_core_conf core = core_conf();
        struct sw_pipeline *p = open_pipeline(&s, &core, 2, 0);
        struct sw_fact fact = { .head = { BASE_S * 1000 } };
        struct sw_pipeline_progress progress;
        int i;

        for (i = 0; i < 5000; i++)
                cr_assert_eq(sw_pipeline_fact(p, 0, &fact), 0);
        for (i = 0; i < 100; i++)
                cr_assert_eq(submit(p, make(&s, i), i, true), 0);
        for (i = 0; i < 5000; i++)
                cr_assert_eq(sw_pipeline_fact(p, 0, &fact), 0);
        for (i = 100; i < 200; i++)
                cr_assert_eq(submit(p, make(&s, i), i, true), 0);
        cr_assert_eq(sw_pipeline_finish(p, true, NULL), 0);
        sw_pipeline_progress(p, &progress);
        cr_assert_eq(progress.engine.tuples, 200);
        sw_pipeline_free(p);
        sw_buf_deinit(&s.lines);
}

/* Hours of event time within one release_ms: what is read faster than it is released must neither fill the buffer nor
 * look like clocks that run ahead. */
Test(pipeline, a_catch_up_is_released_by_event_time)
{
        struct sink s = { .fail_after = -1 };
        struct sw_core_conf core = core_conf();
        struct sw_pipeline *p = open_pipeline(&s, &core, 1, SW_HOUR);
        struct sw_pipeline_progress progress;
        int i, n = 6 * 3600;

        for (i = 0; i < n; i++)
                cr_assert_eq(submit(p, make(&s, i), i, true), 0);
        cr_assert_eq(sw_pipeline_finish(p, false, NULL), 0);
        sw_pipeline_progress(p, &progress);
        cr_assert_eq(progress.engine.tuples, n);
        cr_assert_eq(progress.engine.reorder_forced, 0);
        cr_assert_eq(progress.engine.tuples_held, 0);
        cr_assert_eq(progress.engine.tuples_late, 0);
        cr_assert_geq(progress.releases, 70);
        cr_assert_lt(progress.releases, 80, "every 5 minutes of event time");
        cr_assert_leq(progress.engine.reorder_tuples, 120 + 300);
        sw_pipeline_free(p);
        sw_buf_deinit(&s.lines);
}

Test(pipeline, a_buffer_that_is_half_full_is_released_without_waiting)
{
        struct sink s = { .fail_after = -1 };
        struct sw_core_conf core = core_conf();
        struct sw_pipeline_progress progress;
        struct sw_pipeline *p;
        int i, n = 6000;

        core.memory_limit_bytes = 12 << 20;
        core.reorder_ms = 45 * SW_MINUTE; /* takes more than half of what 12 MiB leave to what waits */
        p = open_pipeline(&s, &core, 1, SW_HOUR);
        for (i = 0; i < n; i++)
                cr_assert_eq(submit(p, make(&s, i), i, true), 0);
        cr_assert_eq(sw_pipeline_finish(p, false, NULL), 0);
        sw_pipeline_progress(p, &progress);
        cr_assert_eq(progress.engine.reorder_forced, 0);
        cr_assert_eq(progress.engine.tuples_late, 0);
        cr_assert_geq(progress.releases, 3000);
        cr_assert_leq(progress.engine.reorder_tuples, 2702);
        sw_pipeline_free(p);
        sw_buf_deinit(&s.lines);
}

Test(pipeline, nothing_is_released_before_every_partition_was_heard)
{
        struct sink s = { .fail_after = -1 };
        struct sw_core_conf core = core_conf();
        struct sw_pipeline *p = open_pipeline(&s, &core, 1, 1);
        struct sw_fact unheard = { .head = { SW_ETIME_MIN_MS } };
        struct sw_pipeline_progress progress;
        uint32_t other;
        int i;

        cr_assert_eq(sw_pipeline_add_partition(p, &other), 0);
        cr_assert_eq(sw_pipeline_fact(p, other, &unheard), 0);
        for (i = 0; i < 240; i++)
                cr_assert_eq(submit(p, make(&s, i), i, true), 0);
        cr_assert_eq(sw_pipeline_finish(p, false, NULL), 0);
        sw_pipeline_progress(p, &progress);
        cr_assert_eq(progress.releases, 0);
        cr_assert_eq(progress.engine.tuples_held, 0);
        sw_pipeline_free(p);
        sw_buf_deinit(&s.lines);
}

/* What waits in a partition and was not decoded may have a wrong clock: it holds nobody back and takes nobody along. */
Test(pipeline, the_head_of_a_partition_moves_time_only_as_far_as_somebody_is_believed)
{
        struct sink s = { .fail_after = -1 };
        struct sw_core_conf core = core_conf();
        struct sw_pipeline *p = open_pipeline(&s, &core, 1, 1);
        struct sw_fact ahead = { .head = { (BASE_S + 365 * 86400) * 1000 } },
                       end = { .head = SW_ETIME_NONE, .at_end = true };
        struct sw_etime reached;
        uint32_t other;
        int i;

        cr_assert_eq(sw_pipeline_add_partition(p, &other), 0);
        cr_assert_eq(sw_pipeline_fact(p, other, &ahead), 0);
        for (i = 0; i < 240; i++)
                cr_assert_eq(submit(p, make(&s, i), i, true), 0);
        cr_assert_eq(sw_pipeline_fact(p, 0, &end), 0);
        usleep(5000);
        cr_assert_eq(sw_pipeline_tick(p), 0);
        cr_assert_eq(sw_pipeline_finish(p, false, NULL), 0);
        reached = sw_engine_watermark(sw_pipeline_engine(p)); /* when the last release fell due is the clock's matter */
        cr_assert_geq(reached.ms, BASE_S * 1000 - core.reorder_ms);
        cr_assert_leq(reached.ms, (BASE_S + 239) * 1000 - core.reorder_ms);
        sw_pipeline_free(p);
        sw_buf_deinit(&s.lines);
}

Test(pipeline, bad_messages_reach_the_quarantine_hook)
{
        struct sink s = { .fail_after = -1 };
        struct sw_core_conf core = core_conf();
        struct sw_pipeline *p = open_pipeline(&s, &core, 1, 0);
        struct message *m = make(&s, 0);

        strcpy(m->text, "{\"records\":[{\"time\":");
        cr_assert_eq(submit(p, m, 5, true), 0);
        cr_assert_eq(sw_pipeline_finish(p, true, NULL), 0);
        cr_assert_geq(s.n_errors, 1);
        sw_pipeline_free(p);
        sw_buf_deinit(&s.lines);
}

/* ---- rows ---- */

struct rows {
        struct sink sink;
        struct {
                struct sw_pipeline_row row;
                struct sw_consumed consumed[2];
                size_t at; /* bytes of lines before */
        } items[64];
        uint32_t n, n_repeated;
        bool want_row;
};

static int on_release(void *ctx, struct sw_engine *e, const struct sw_pipeline_row *row)
{
        struct rows *r = ctx;

        cr_assert_not_null(e);
        if (row->number) {
                r->n_repeated++;
                return 0;
        }
        cr_assert_lt(r->n, 64);
        r->items[r->n].row = *row;
        memcpy(r->items[r->n].consumed, row->consumed, row->n_consumed * sizeof(*row->consumed));
        r->items[r->n++].at = r->sink.lines.n;
        return 0;
}

static int on_turn(void *ctx, struct sw_engine *e)
{
        struct rows *r = ctx;
        bool want = r->want_row;

        (void)e;
        r->want_row = false;
        return want ? SW_PIPELINE_ROW : SW_PIPELINE_GO_ON;
}

static struct sw_pipeline *open_rows(struct rows *r, struct sw_core_conf *core, bool repeat)
{
        struct sw_pipeline_conf conf = { .core = core, .n_workers = 2, .release_ms = SW_HOUR, .repeat = repeat };
        struct sw_pipeline_hooks hooks = { r, on_actions, on_errors, on_room, on_release, on_turn, NULL };
        struct sw_pipeline *p;
        uint32_t id;

        conf.seed = (struct sw_hash_key){ 1, 7 };
        cr_assert_eq(sw_pipeline_new(&conf, &hooks, &p, NULL), 0);
        cr_assert_eq(sw_pipeline_add_partition(p, &id), 0);
        cr_assert_eq(sw_pipeline_add_partition(p, &id), 0);
        return p;
}

static void submit_to(struct sw_pipeline *p, struct sink *s, int i, uint32_t partition)
{
        struct message *m = make(s, i);
        struct sw_input in = { .partition = partition,
                .flags = SW_DECODE_MESSAGE,
                .offset = i,
                .carrier = { (BASE_S + i) * 1000 },
                .bytes = sw_str_of(m->text),
                .done = message_done,
                .owner = m };

        cr_assert_eq(sw_pipeline_submit(p, &in, true), 0);
}

#define N_ROWS_MESSAGES 3600

/* Every other message to the other partition; what was consumed between two rows comes in another order the second
 * time. */
static void live(struct rows *r, struct sw_core_conf *core)
{
        struct sw_pipeline *p = open_rows(r, core, false);
        const struct sw_consumed start = { .next = 0, .stamp = SW_ETIME_NONE };
        int i;

        for (i = 0; i < 2; i++)
                cr_assert_eq(sw_pipeline_start(p, (uint32_t)i, &start), 0);
        for (i = 0; i < N_ROWS_MESSAGES; i++)
                submit_to(p, &r->sink, i, (uint32_t)i % 2);
        cr_assert_eq(sw_pipeline_finish(p, false, NULL), 0);
        r->want_row = true;
        cr_assert_eq(sw_pipeline_finish(p, false, NULL), 0);
        sw_pipeline_free(p);
}

Test(pipeline, rows_repeated_give_the_same_findings_in_any_order_between_them)
{
        static struct rows first, again;
        struct sw_core_conf core = core_conf();
        struct sw_pipeline *p;
        int next[2] = { 0, 1 };
        uint32_t n, part;

        first.sink.fail_after = again.sink.fail_after = -1;
        live(&first, &core);
        cr_assert_geq(first.n, 10, "%u", first.n);
        p = open_rows(&again, &core, true);
        for (n = 0; n < first.n; n++) {
                struct sw_pipeline_row row = first.items[n].row;

                row.number = n + 1;
                for (part = 2; part-- > 0;)
                        for (; next[part] < first.items[n].consumed[part].next; next[part] += 2)
                                submit_to(p, &again.sink, next[part], part);
                while (sw_pipeline_repeat(p, &row) == SW_PIPELINE_FULL)
                        usleep(100);
                cr_assert_eq(sw_pipeline_finish(p, false, NULL), 0);
                cr_assert_eq(again.sink.lines.n, first.items[n].at, "row %u", n);
        }
        cr_assert_eq(again.n_repeated, first.n);
        cr_assert_eq(again.n, 0, "nothing is released by itself before it is live");
        cr_assert_gt(first.sink.lines.n, 0);
        cr_assert_eq(memcmp(again.sink.lines.p, first.sink.lines.p, again.sink.lines.n), 0);
        cr_assert_eq(sw_pipeline_live(p), 0);
        cr_assert_eq(sw_pipeline_idle(p), 0);
        cr_assert_eq(sw_pipeline_finish(p, false, NULL), 0);
        cr_assert_geq(again.n, 1);
        sw_pipeline_free(p);
        sw_buf_deinit(&first.sink.lines);
        sw_buf_deinit(&again.sink.lines);
}

Test(pipeline, a_row_says_how_far_each_partition_was_consumed)
{
        static struct rows r;
        struct sw_core_conf core = core_conf();
        const struct sw_consumed *c;

        r.sink.fail_after = -1;
        live(&r, &core);
        cr_assert(sw_etime_is_none(r.items[0].row.watermark), "where a partition begins is a row of its own");
        cr_assert_eq(r.items[0].consumed[0].next, 0);
        cr_assert_eq(r.items[0].consumed[1].next, -1, "the other one was not started yet");
        c = r.items[r.n - 1].consumed;
        cr_assert_eq(c[0].next, N_ROWS_MESSAGES - 1);
        cr_assert_eq(c[1].next, N_ROWS_MESSAGES);
        cr_assert_eq(c[1].stamp.ms, (BASE_S + N_ROWS_MESSAGES - 1) * 1000);
        cr_assert_neq(c[1].hash, 0);
        cr_assert_neq(c[0].hash, c[1].hash);
        sw_buf_deinit(&r.sink.lines);
}

Test(pipeline, a_configuration_begins_with_a_row_of_its_own)
{
        static struct rows r;
        struct sw_core_conf core = core_conf(), other = core_conf();
        struct sw_pipeline *p;
        uint32_t before;

        r.sink.fail_after = -1;
        p = open_rows(&r, &core, false);
        submit_to(p, &r.sink, 0, 0); /* the first one is released at once */
        submit_to(p, &r.sink, 1, 0);
        cr_assert_eq(sw_pipeline_finish(p, false, NULL), 0);
        before = r.n;
        cr_assert_eq(sw_pipeline_reconfigure(p, &other), 0);
        cr_assert_eq(sw_pipeline_finish(p, false, NULL), 0);
        cr_assert_eq(r.n, before + 1);
        cr_assert_eq(r.items[r.n - 1].consumed[0].next, 2);
        cr_assert_eq(sw_pipeline_reconfigure(p, &core), 0);
        cr_assert_eq(sw_pipeline_finish(p, false, NULL), 0);
        cr_assert_eq(r.n, before + 1, "nothing was consumed in between");
        sw_pipeline_free(p);
        sw_buf_deinit(&r.sink.lines);
}

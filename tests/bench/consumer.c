/* SPDX-License-Identifier: Apache-2.0 */
#include "consumer.h"

#include "loop.h"
#include "pipeline.h"
#include "source/source_kafka.h"

#include <stdatomic.h>

struct consumer {
        struct sw_loop *loop;
        struct sw_watch *room;
        struct sw_source_kafka *source;
        struct sw_pipeline *pipeline;
        unsigned long n, n_wanted;
        unsigned long long bytes;
        int64_t began, began_cpu;
        _Atomic(const char *) failed; /* why; also of the engine's thread */
};

int64_t consumer_now_ns(clockid_t clock)
{
        struct timespec t;

        clock_gettime(clock, &t);
        return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static void consumer_fail(struct consumer *c, const char *why)
{
        atomic_store(&c->failed, why);
}

static int on_actions(void *ctx, const struct sw_actions *a)
{
        (void)ctx, (void)a;
        return 0;
}

static void on_errors(void *ctx, uint32_t partition, int64_t offset, const struct sw_batch *batch)
{
        (void)partition, (void)offset, (void)batch;
        consumer_fail(ctx, "a message cannot be decoded");
}

static void on_room(void *ctx)
{
        sw_watch_wake(((struct consumer *)ctx)->room);
}

static void room_again(void *ctx)
{
        sw_source_kafka_room(((struct consumer *)ctx)->source);
}

static int on_partition(void *ctx, const char *topic, int32_t partition, uint32_t *ret_id, struct sw_source_place *ret)
{
        /* Before its first record a partition holds the watermark too: all begin at the same time here. */
        struct sw_fact fact = { .head = { SW_ETIME_MIN_MS } };
        struct consumer *c = ctx;
        int r;

        (void)topic, (void)partition;
        *ret = (struct sw_source_place){ .next = SW_SOURCE_NEVER_READ, .until = SW_SOURCE_EVERYTHING };
        r = sw_pipeline_add_partition(c->pipeline, ret_id);
        return r < 0 ? r : sw_pipeline_fact(c->pipeline, *ret_id, &fact);
}

static void on_start(void *ctx, uint32_t id, const struct sw_source_place *at, bool has_more)
{
        (void)ctx, (void)id, (void)at, (void)has_more;
}

static int on_message(void *ctx, uint32_t id, const struct sw_source_message *m)
{
        struct consumer *c = ctx;
        struct sw_input in = { .partition = id,
                .flags = SW_DECODE_MESSAGE,
                .bytes = m->bytes,
                .offset = m->offset,
                .carrier = SW_ETIME_NONE,
                .done = m->done,
                .owner = m->owner };
        int r;

        if (!c->began) {
                c->began = consumer_now_ns(CLOCK_MONOTONIC);
                c->began_cpu = consumer_now_ns(CLOCK_PROCESS_CPUTIME_ID);
        }
        r = sw_pipeline_submit(c->pipeline, &in, false);
        if (r != SW_PIPELINE_OK)
                return r;
        c->bytes += in.bytes.n;
        if (++c->n == c->n_wanted)
                sw_loop_stop(c->loop);
        return 0;
}

static void on_at_end(void *ctx, uint32_t id, bool at_end)
{
        struct sw_fact fact = { .head = SW_ETIME_NONE, .at_end = at_end };

        if (sw_pipeline_fact(((struct consumer *)ctx)->pipeline, id, &fact) < 0)
                consumer_fail(ctx, "a partition's fact is not taken");
}

static void on_gap(void *ctx, uint32_t id, int64_t from, int64_t to)
{
        (void)id, (void)from, (void)to;
        consumer_fail(ctx, "a gap in the topic");
}

static int consumer_open(struct consumer *c, const struct sw_core_conf *core, const char *brokers, struct sw_log *log,
        struct sw_err *reterr)
{
        struct sw_pipeline_conf pipeline = { .core = core, .n_workers = 1 };
        struct sw_pipeline_hooks hooks = {
                .ctx = c, .on_actions = on_actions, .on_errors = on_errors, .on_room = on_room
        };
        struct sw_source_kafka_conf conf = { .name = "bench", .brokers = brokers, .topic = "bench" };
        struct sw_source_hooks source = { .ctx = c,
                .on_partition = on_partition,
                .on_start = on_start,
                .on_message = on_message,
                .on_at_end = on_at_end,
                .on_gap = on_gap };
        int r = sw_pipeline_new(&pipeline, &hooks, &c->pipeline, reterr);

        if (r == 0)
                r = sw_loop_new(&c->loop);
        if (r == 0)
                r = sw_loop_wakeable(c->loop, room_again, c, &c->room);
        return r < 0 ? r : sw_source_kafka_new(&conf, c->loop, log, &source, &c->source, reterr);
}

static void consumer_close(struct consumer *c)
{
        if (c->source)
                sw_source_kafka_stop(c->source);
        c->pipeline = sw_pipeline_free(c->pipeline);
        c->loop = sw_loop_free(c->loop);
        c->source = sw_source_kafka_free(c->source);
}

int consumer_pass(const struct sw_core_conf *core, const char *brokers, unsigned long n, struct sw_log *log,
        struct consumer_pass *ret, struct sw_err *reterr)
{
        struct consumer c = { .n_wanted = n };
        int r = consumer_open(&c, core, brokers, log, reterr);

        if (r == 0) {
                sw_loop_run(c.loop);
                r = sw_pipeline_finish(c.pipeline, true, reterr);
        }
        if (r == 0 && !atomic_load(&c.failed) && c.n != n)
                consumer_fail(&c, "not every message came");
        if (r == 0 && atomic_load(&c.failed))
                r = sw_err_set(reterr, -SW_ERR_INTERNAL, "%s", atomic_load(&c.failed));
        if (r == 0)
                *ret = (struct consumer_pass){ .bytes = c.bytes,
                        .tuples_late = sw_engine_stats(sw_pipeline_engine(c.pipeline)).tuples_late,
                        .ns = consumer_now_ns(CLOCK_MONOTONIC) - c.began,
                        .cpu_ns = consumer_now_ns(CLOCK_PROCESS_CPUTIME_ID) - c.began_cpu };
        consumer_close(&c);
        return r;
}

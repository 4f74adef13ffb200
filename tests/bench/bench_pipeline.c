/* SPDX-License-Identifier: Apache-2.0 */
/* The Kafka path of `segwatch run` without its files: event loop, Kafka source, pipeline. Takes N messages of the topic
 * "bench", folds and releases them all, prints nanoseconds from the first message to the end, bytes, and late tuples.
 *
 *   bench_pipeline CONFIG BROKERS MESSAGES */
#include "conf.h"
#include "loop.h"
#include "pipeline.h"
#include "source/source_kafka.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct bench {
        struct sw_loop *loop;
        struct sw_watch *room;
        struct sw_source_kafka *source;
        struct sw_pipeline *pipeline;
        unsigned long n, n_wanted;
        unsigned long long bytes, out_bytes;
        long long began;
        int failed;
};

static long long now_ns(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int on_actions(void *ctx, const struct sw_actions *a)
{
        ((struct bench *)ctx)->out_bytes += a->findings.text.n;
        return 0;
}

static void on_errors(void *ctx, uint32_t partition, int64_t offset, const struct sw_batch *b)
{
        (void)partition, (void)offset, (void)b;
        ((struct bench *)ctx)->failed = 1;
}

static void on_room(void *ctx)
{
        sw_watch_wake(((struct bench *)ctx)->room);
}

static void room_again(void *ctx)
{
        sw_source_kafka_room(((struct bench *)ctx)->source);
}

static int on_partition(void *ctx, const char *topic, int32_t partition, uint32_t *ret_id, struct sw_source_place *ret)
{
        /* Before its first record a partition holds the watermark too: all begin at the same time here. */
        struct sw_fact fact = { .head = { SW_ETIME_MIN_MS } };
        struct bench *b = ctx;
        int r;

        (void)topic, (void)partition;
        *ret = (struct sw_source_place){ .next = SW_SOURCE_NEVER_READ, .until = SW_SOURCE_EVERYTHING };
        r = sw_pipeline_add_partition(b->pipeline, ret_id);
        return r < 0 ? r : sw_pipeline_fact(b->pipeline, *ret_id, &fact);
}

static void on_start(void *ctx, uint32_t id, const struct sw_source_place *at, bool has_more)
{
        (void)ctx, (void)id, (void)at, (void)has_more;
}

static int on_message(void *ctx, uint32_t id, const struct sw_source_message *m)
{
        struct bench *b = ctx;
        struct sw_input in = { .partition = id,
                .flags = SW_DECODE_MESSAGE,
                .bytes = m->bytes,
                .offset = m->offset,
                .carrier = SW_ETIME_NONE,
                .done = m->done,
                .owner = m->owner };
        int r;

        if (!b->began)
                b->began = now_ns();
        r = sw_pipeline_submit(b->pipeline, &in, false);
        if (r != SW_PIPELINE_OK)
                return r;
        b->bytes += in.bytes.n;
        if (++b->n == b->n_wanted)
                sw_loop_stop(b->loop);
        return 0;
}

static void on_at_end(void *ctx, uint32_t id, bool at_end)
{
        struct sw_fact fact = { .head = SW_ETIME_NONE, .at_end = at_end };

        if (sw_pipeline_fact(((struct bench *)ctx)->pipeline, id, &fact) < 0)
                ((struct bench *)ctx)->failed = 1;
}

static void on_gap(void *ctx, uint32_t id, int64_t from, int64_t to)
{
        (void)id, (void)from, (void)to;
        ((struct bench *)ctx)->failed = 1;
}

static int bench_open(struct bench *b, const struct sw_core_conf *core, const char *brokers, struct sw_log *log)
{
        struct sw_pipeline_conf pipeline = { .core = core, .n_workers = 1 };
        struct sw_pipeline_hooks hooks = {
                .ctx = b, .on_actions = on_actions, .on_errors = on_errors, .on_room = on_room
        };
        struct sw_source_kafka_conf conf = { .name = "bench", .brokers = brokers, .topic = "bench" };
        struct sw_source_hooks source = { .ctx = b,
                .on_partition = on_partition,
                .on_start = on_start,
                .on_message = on_message,
                .on_at_end = on_at_end,
                .on_gap = on_gap };
        struct sw_err err = SW_ERR_NULL;
        int r = sw_pipeline_new(&pipeline, &hooks, &b->pipeline, &err);

        if (r == 0)
                r = sw_loop_new(&b->loop);
        if (r == 0)
                r = sw_loop_wakeable(b->loop, room_again, b, &b->room);
        if (r == 0)
                r = sw_source_kafka_new(&conf, b->loop, log, &source, &b->source, &err);
        if (r < 0)
                fprintf(stderr, "bench_pipeline: %s\n", err.msg);
        return r;
}

int main(int argc, char **argv)
{
        struct sw_conf_report report = { 0 };
        struct bench b = { 0 };
        struct sw_core_conf core;
        struct sw_err err = SW_ERR_NULL;
        struct sw_conf conf;
        struct sw_log *log;

        if (argc != 4) {
                fprintf(stderr, "usage: bench_pipeline CONFIG BROKERS MESSAGES\n");
                return 64;
        }
        b.n_wanted = strtoul(argv[3], NULL, 10);
        if (sw_conf_load(argv[1], false, &conf, &report) < 0 ||
                sw_log_new(2, SW_LOG_WARNING, SW_LOG_LOGFMT, &log) < 0) {
                sw_conf_report_print(&report);
                return 1;
        }
        sw_conf_core(&conf, &core);
        if (bench_open(&b, &core, argv[2], log) < 0)
                return 1;
        sw_loop_run(b.loop);
        if (sw_pipeline_finish(b.pipeline, true, &err) < 0)
                b.failed = 1;
        if (!b.failed && b.n == b.n_wanted) {
                struct sw_engine_stats st = sw_engine_stats(sw_pipeline_engine(b.pipeline));

                printf("%lld %llu %llu\n", now_ns() - b.began, b.bytes, (unsigned long long)st.tuples_late);
        }
        sw_source_kafka_stop(b.source);
        sw_pipeline_free(b.pipeline);
        sw_loop_free(b.loop);
        sw_source_kafka_free(b.source);
        sw_log_free(log);
        sw_conf_deinit(&conf);
        return b.failed || b.n != b.n_wanted;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What a snapshot costs the engine: how long begin stops it, and how fast it is while another thread reads.
 *
 * Usage: bench_snapshot [MEMORY-MIB [OPEN-CONNECTIONS]]
 * The state is filled first; then the same traffic is measured for a while without a snapshot, through one, and without
 * again. The reader copies what it gets, as a writer to the page cache would. Lines: name, value. */
#include "engine/engine.h"
#include "engine/snapshot.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define PER_SECOND 3000u
#define PER_RECORD 30u
#define READ_BYTES ((size_t)1 << 20)

static double now_s(void)
{
        struct timespec ts;

        (void)clock_gettime(CLOCK_MONOTONIC, &ts);
        return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Of the engine's thread: what a busy machine does not disturb. It spins while it waits for the reader. */
static double cpu_s(void)
{
        struct timespec ts;

        (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
        return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

struct spent {
        double wall, cpu;
};

struct bench {
        struct sw_engine *e;
        struct sw_actions out;
        struct sw_batch batch;
        uint64_t rng, record, n_open, n_hosts, next;
        int64_t second;
        uint64_t tuples;
        double longest; /* step, seconds */
};

static uint64_t bench_random(uint64_t *s)
{
        *s ^= *s << 13;
        *s ^= *s >> 7;
        *s ^= *s << 17;
        return *s;
}

/* Every connection is opened once, in order; afterwards any of them goes on. */
static void make_tuple(struct bench *b, struct sw_tuple *t)
{
        static const uint16_t ports[] = { 443, 443, 443, 445, 53, 1433, 22, 8080 };
        uint64_t r = bench_random(&b->rng), slot = b->next < b->n_open ? b->next : r % b->n_open;

        t->time.ms = b->second * 1000 + (int64_t)(r >> 40) % 1000;
        t->src = sw_addr_v4(0x0a000000u + (uint32_t)(slot * 2654435761u % b->n_hosts));
        t->dst = sw_addr_v4(0x0a800000u + (uint32_t)(slot * 40503u % b->n_hosts));
        t->sport = (uint16_t)(32768 + slot % 28000);
        t->dport = ports[slot % 8];
        t->proto = SW_PROTO_TCP;
        t->direction = SW_OUTBOUND;
        t->encryption = SW_ENCRYPTION_NX;
        t->rule = (uint32_t)(r >> 20) % 8;
        t->state = SW_STATE_BEGIN;
        if (b->next < b->n_open) {
                b->next++;
                return;
        }
        t->state = SW_STATE_CONTINUE;
        t->counters_present = 0xf;
        t->counters[SW_PACKETS_FWD] = 5 + (r >> 50);
        t->counters[SW_BYTES_FWD] = t->counters[SW_PACKETS_FWD] * 300;
        t->counters[SW_PACKETS_REV] = 4 + (r >> 50);
        t->counters[SW_BYTES_REV] = t->counters[SW_PACKETS_REV] * 700;
}

static void make_batch(struct bench *b)
{
        static char names[8][16];
        uint32_t i, j;

        sw_batch_reset(&b->batch);
        for (i = 0; i < 8; i++) {
                (void)snprintf(names[i], sizeof(names[i]), "UserRule_%u", i);
                sw_batch_add_rule(&b->batch)->name = sw_str_of(names[i]);
        }
        for (i = 0; i < PER_SECOND; i += PER_RECORD) {
                struct sw_record *r = sw_batch_add_record(&b->batch);

                r->time.ms = b->second * 1000 + 60000;
                r->flow_log = SW_STR("/subscriptions/0/resourcegroups/rg/providers/microsoft.network/flowlogs/bench");
                r->mac = 1 + bench_random(&b->rng) % 5000;
                r->fingerprint.hi = ++b->record;
                r->n_tuples = PER_RECORD;
                for (j = 0; j < PER_RECORD; j++)
                        make_tuple(b, sw_batch_add_tuple(&b->batch));
        }
}

/* One second of event time; returns what the engine took. Event time stands still enough that nothing idles out. */
static struct spent bench_second(struct bench *b)
{
        struct sw_event ev = { .type = SW_EVENT_BATCH, .batch = { .batch = &b->batch, .carrier = SW_ETIME_NONE } };
        struct spent took, t;

        make_batch(b);
        t = (struct spent){ now_s(), cpu_s() };
        if (sw_engine_step(b->e, &ev, &b->out) < 0)
                exit(1);
        ev = (struct sw_event){ .type = SW_EVENT_RELEASE,
                .release = { .watermark = { (b->second - 30) * 1000 }, .wall = SW_ETIME_NONE } };
        if (sw_engine_step(b->e, &ev, &b->out) < 0)
                exit(1);
        took = (struct spent){ now_s() - t.wall, cpu_s() - t.cpu };
        sw_actions_reset(&b->out);
        b->second += 1;
        b->tuples += PER_SECOND;
        if (took.wall > b->longest)
                b->longest = took.wall;
        return took;
}

static void bench_add(struct spent *to, struct spent x)
{
        to->wall += x.wall;
        to->cpu += x.cpu;
}

/* What a million tuples take, measured over about `seconds`. */
static struct spent bench_cost(struct bench *b, double seconds)
{
        struct spent spent = { 0 };
        uint64_t from = b->tuples;
        double m;

        b->longest = 0;
        while (spent.wall < seconds)
                bench_add(&spent, bench_second(b));
        m = (double)(b->tuples - from) / 1e6;
        return (struct spent){ spent.wall / m, spent.cpu / m };
}

struct reader {
        struct sw_snapshot *s;
        int result;
        _Atomic int is_over;
};

static void *bench_read(void *ctx)
{
        struct reader *r = ctx;
        char *buf = malloc(READ_BYTES);
        size_t n = 1;

        while (buf && r->result == 0 && n)
                r->result = sw_snapshot_read(r->s, buf, READ_BYTES, &n);
        free(buf);
        r->is_over = 1;
        return NULL;
}

int main(int argc, char **argv)
{
        uint64_t mib = argc > 1 ? strtoull(argv[1], NULL, 10) : 4096;
        struct bench b = { .rng = 88172645463325252u, .second = 1767571200 };
        const struct sw_hash_key seed = { 1, 2 };
        struct sw_err err = SW_ERR_NULL;
        struct sw_snapshot_stats stats;
        struct sw_core_conf conf;
        struct reader r = { 0 };
        struct spent before, during = { 0 }, after;
        double begin, t, quiet, m;
        uint64_t from;
        pthread_t thread;

        b.n_open = argc > 2 ? strtoull(argv[2], NULL, 10) : mib * 520;
        b.n_hosts = mib * 200;
        sw_core_conf_default(&conf);
        conf.memory_limit_bytes = mib << 20;
        conf.tcp_idle_ms = SW_DAY;
        conf.reorder_ms = 30 * SW_SECOND;
        if (sw_engine_new(&conf, &seed, &b.e, &err) < 0) {
                (void)fprintf(stderr, "bench_snapshot: %s\n", err.msg);
                return 1;
        }
        while (b.next < b.n_open)
                (void)bench_second(&b);
        (void)bench_cost(&b, 1);
        before = bench_cost(&b, 2);
        quiet = b.longest;
        t = now_s();
        if (sw_snapshot_begin(b.e, SW_STR(""), &r.s) < 0)
                return 1;
        begin = now_s() - t;
        t = now_s();
        if (pthread_create(&thread, NULL, bench_read, &r) != 0)
                return 1;
        b.longest = 0;
        for (from = b.tuples; !r.is_over;)
                bench_add(&during, bench_second(&b));
        (void)pthread_join(thread, NULL);
        t = now_s() - t;
        m = (double)(b.tuples - from) / 1e6;
        during = (struct spent){ during.wall / m, during.cpu / m };
        stats = sw_snapshot_stats(r.s);
        (void)printf(
                "snapshot_mib %.0f\nbegin_ms %.2f\nread_s %.2f\n", (double)stats.bytes / (1 << 20), begin * 1e3, t);
        (void)printf("longest_step_ms %.2f\nlongest_step_quiet_ms %.2f\n", b.longest * 1e3, quiet * 1e3);
        t = now_s();
        sw_snapshot_end(r.s);
        (void)printf("end_ms %.2f\n", (now_s() - t) * 1e3);
        after = bench_cost(&b, 2);
        (void)printf("copied_ahead %llu\nwaits %llu\n", (unsigned long long)stats.chunks_copied_ahead,
                (unsigned long long)stats.waits);
        (void)printf("ns_before %.0f %.0f\nns_during %.0f %.0f\nns_after %.0f %.0f\n", before.wall * 1e3,
                before.cpu * 1e3, during.wall * 1e3, during.cpu * 1e3, after.wall * 1e3, after.cpu * 1e3);
        (void)printf("speed %.3f\nspeed_cpu %.3f\n", (before.wall + after.wall) / 2 / during.wall,
                (before.cpu + after.cpu) / 2 / during.cpu);
        sw_engine_free(b.e);
        sw_actions_deinit(&b.out);
        sw_batch_deinit(&b.batch);
        return r.result < 0;
}

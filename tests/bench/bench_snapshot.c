/* SPDX-License-Identifier: Apache-2.0 */
/* What a snapshot costs the engine: how long begin stops it, and how fast it is while another thread reads.
 *
 * Usage: bench_snapshot [MEMORY-MIB [FILE [ROUNDS [OPEN-CONNECTIONS [EXTRA]]]]]
 * The state is filled first. Then, ROUNDS times, the same traffic is measured for a while without a snapshot and
 * through one. With FILE ("" is none) the reader does what the daemon's does: write in blocks of 256 KiB, and fsync;
 * without it only takes the bytes, faster than any disk. Connections go on at random, so that nearly every tuple is the
 * first one of its connection after begin: the worst that there is. EXTRA is what the daemon writes about itself.
 * Lines: name, value; of rounds the median (speeds), the sum (counts) or the worst. */
#include "engine/engine.h"
#include "engine/snapshot.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define PER_SECOND 3000u
#define PER_RECORD 30u
#define READ_BYTES ((size_t)256 << 10)
#define MAX_ROUNDS 64u
#define QUIET_S 1.0

static double now_s(void)
{
        struct timespec ts;

        (void)clock_gettime(CLOCK_MONOTONIC, &ts);
        return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Of the engine's thread: what a busy machine disturbs less. It spins while it waits for the reader. */
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
        const char *path;
        int result;
        double took;
        _Atomic int is_over;
};

static void bench_write(struct reader *r, int fd, const char *p, size_t n)
{
        while (fd >= 0 && n) {
                ssize_t done = write(fd, p, n);

                if (done < 0) {
                        r->result = -1;
                        return;
                }
                p += done;
                n -= (size_t)done;
        }
}

static void *bench_read(void *ctx)
{
        struct reader *r = ctx;
        char *buf = malloc(READ_BYTES);
        int fd = *r->path ? open(r->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
        double t = now_s();
        size_t n = 1;

        r->result = !buf || (*r->path && fd < 0) ? -1 : 0;
        while (r->result == 0 && n) {
                r->result = sw_snapshot_read(r->s, buf, READ_BYTES, &n);
                if (r->result == 0)
                        bench_write(r, fd, buf, n);
        }
        r->took = now_s() - t;
        r->is_over = 1; /* the engine is slowed down no more */
        if (fd >= 0) {
                r->result |= fsync(fd);
                (void)close(fd);
        }
        free(buf);
        return NULL;
}

struct round {
        struct spent quiet, during;
        double begin, end, longest, longest_quiet, read, all;
        struct sw_snapshot_stats stats;
};

static void bench_round(struct bench *b, const char *path, const char *extra, struct round *ret)
{
        struct reader r = { .path = path };
        pthread_t thread;
        uint64_t from;
        double t, m;

        ret->quiet = bench_cost(b, QUIET_S);
        ret->longest_quiet = b->longest;
        t = now_s();
        if (sw_snapshot_begin(b->e, sw_str_of(extra), &r.s) < 0)
                exit(1);
        ret->begin = now_s() - t;
        t = now_s();
        if (pthread_create(&thread, NULL, bench_read, &r) != 0)
                exit(1);
        b->longest = 0;
        ret->during = (struct spent){ 0 };
        for (from = b->tuples; !r.is_over;)
                bench_add(&ret->during, bench_second(b));
        (void)pthread_join(thread, NULL);
        ret->all = now_s() - t;
        ret->read = r.took;
        ret->longest = b->longest;
        m = (double)(b->tuples - from) / 1e6;
        ret->during = (struct spent){ ret->during.wall / m, ret->during.cpu / m };
        ret->stats = sw_snapshot_stats(r.s);
        t = now_s();
        sw_snapshot_end(r.s);
        ret->end = now_s() - t;
        if (r.result != 0) {
                (void)fprintf(stderr, "bench_snapshot: the snapshot could not be read, or %s not be written\n", path);
                exit(1);
        }
}

static int bench_order(const void *a, const void *b)
{
        double x = *(const double *)a, y = *(const double *)b;

        return (x > y) - (x < y);
}

static double bench_median(double *x, unsigned n)
{
        qsort(x, n, sizeof(*x), bench_order);
        return x[n / 2];
}

/* Each snapshot against the mean of the quiet times before and after it. */
static void bench_show(const struct round *r, unsigned n)
{
        double wall[MAX_ROUNDS], cpu[MAX_ROUNDS], q_wall[MAX_ROUNDS], q_cpu[MAX_ROUNDS], d_wall[MAX_ROUNDS],
                d_cpu[MAX_ROUNDS], begin = 0, end = 0, longest = 0, quiet = 0, read = 0, all = 0, ring = 0, mib = 0;
        uint64_t ahead = 0, waits = 0;
        unsigned i;

        for (i = 0; i < n; i++) {
                wall[i] = (r[i].quiet.wall + r[i + 1].quiet.wall) / 2 / r[i].during.wall;
                cpu[i] = (r[i].quiet.cpu + r[i + 1].quiet.cpu) / 2 / r[i].during.cpu;
                q_wall[i] = r[i].quiet.wall;
                q_cpu[i] = r[i].quiet.cpu;
                d_wall[i] = r[i].during.wall;
                d_cpu[i] = r[i].during.cpu;
                begin = r[i].begin > begin ? r[i].begin : begin;
                end = r[i].end > end ? r[i].end : end;
                longest = r[i].longest > longest ? r[i].longest : longest;
                quiet = r[i].longest_quiet > quiet ? r[i].longest_quiet : quiet;
                ring = (double)r[i].stats.buffer_bytes > ring ? (double)r[i].stats.buffer_bytes : ring;
                mib = (double)r[i].stats.bytes / (1 << 20);
                read += r[i].read / n;
                all += r[i].all / n;
                ahead += r[i].stats.chunks_copied_ahead;
                waits += r[i].stats.waits;
        }
        (void)printf("snapshot_mib %.0f\nread_s %.3f\nwritten_s %.3f\n", mib, read, all);
        (void)printf("begin_ms %.2f\nend_ms %.2f\nlongest_step_ms %.2f\nlongest_step_quiet_ms %.2f\n", begin * 1e3,
                end * 1e3, longest * 1e3, quiet * 1e3);
        (void)printf("copied_ahead %llu\nwaits %llu\nbuffers_mib %.2f\n", (unsigned long long)ahead,
                (unsigned long long)waits, ring / (1 << 20));
        (void)printf("ns_quiet %.0f %.0f\nns_during %.0f %.0f\n", bench_median(q_wall, n) * 1e3,
                bench_median(q_cpu, n) * 1e3, bench_median(d_wall, n) * 1e3, bench_median(d_cpu, n) * 1e3);
        (void)printf("speed %.3f\nspeed_cpu %.3f\n", bench_median(wall, n), bench_median(cpu, n));
}

int main(int argc, char **argv)
{
        uint64_t mib = argc > 1 ? strtoull(argv[1], NULL, 10) : 4096;
        const char *path = argc > 2 ? argv[2] : "";
        unsigned rounds = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 1, i;
        struct bench b = { .rng = 88172645463325252u, .second = 1767571200 };
        const struct sw_hash_key seed = { 1, 2 };
        struct sw_err err = SW_ERR_NULL;
        struct sw_core_conf conf;
        static struct round r[MAX_ROUNDS + 1];

        if (rounds < 1 || rounds > MAX_ROUNDS || mib == 0)
                return 2;
        b.n_open = argc > 4 && atoi(argv[4]) ? strtoull(argv[4], NULL, 10) : mib * 520;
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
        for (i = 0; i < rounds; i++)
                bench_round(&b, path, argc > 5 ? argv[5] : "", &r[i]);
        r[rounds].quiet = bench_cost(&b, QUIET_S);
        bench_show(r, rounds);
        sw_engine_free(b.e);
        sw_actions_deinit(&b.out);
        sw_batch_deinit(&b.batch);
        return 0;
}

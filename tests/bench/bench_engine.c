/* SPDX-License-Identifier: Apache-2.0 */
/* CPU cost of the engine per tuple, without decoding: ingest (dedupe, intern, buffer) and release (order, fold, detect).
 *
 * Usage: bench_engine [TUPLES [OPEN-CONNECTIONS [HOSTS]]]
 * Traffic: OPEN five-tuples live at random; a tuple begins one that is closed, else continues it, or ends it one time
 * in five. Each line of the table is nanoseconds per tuple; the last two are counts that must not change by themselves.
 */
#include "engine/engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define PER_SECOND 3300u
#define PER_RECORD 40u

static double now_ns(void)
{
        struct timespec ts;

        (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
        return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static uint64_t bench_random(uint64_t *s)
{
        *s ^= *s << 13;
        *s ^= *s >> 7;
        *s ^= *s << 17;
        return *s;
}

struct traffic {
        uint8_t *open;
        uint64_t rng, n, record;
        uint32_t n_open, n_hosts;
};

static void make_tuple(struct traffic *tr, struct sw_tuple *t, int64_t second)
{
        static const uint16_t ports[] = { 443, 443, 443, 445, 53, 1433, 22, 8080 };
        uint64_t r = bench_random(&tr->rng);
        uint32_t slot = (uint32_t)(r % tr->n_open), a = slot * 2654435761u % tr->n_hosts,
                 b = slot * 40503u % tr->n_hosts;

        t->time.ms = second * 1000 + (int64_t)(r >> 40) % 1000;
        t->src = sw_addr_v4(0x0a000000u + a);
        t->dst = sw_addr_v4(0x0a100000u + b);
        t->sport = (uint16_t)(32768 + slot % 28000);
        t->dport = ports[slot % 8];
        t->proto = t->dport == 53 ? SW_PROTO_UDP : SW_PROTO_TCP;
        t->direction = SW_OUTBOUND;
        t->encryption = SW_ENCRYPTION_NX;
        t->rule = (uint32_t)(r >> 20) % 8;
        if (!tr->open[slot]) {
                t->state = SW_STATE_BEGIN;
                tr->open[slot] = 1;
                return;
        }
        t->state = (r >> 33) % 5 ? SW_STATE_CONTINUE : SW_STATE_END;
        tr->open[slot] = t->state == SW_STATE_CONTINUE;
        t->counters_present = 0xf;
        t->counters[SW_PACKETS_FWD] = 5 + (r >> 50);
        t->counters[SW_BYTES_FWD] = t->counters[SW_PACKETS_FWD] * 300;
        t->counters[SW_PACKETS_REV] = 4 + (r >> 50);
        t->counters[SW_BYTES_REV] = t->counters[SW_PACKETS_REV] * 700;
}

static void make_batch(struct traffic *tr, struct sw_batch *b, int64_t second)
{
        static char names[8][16];
        uint32_t i, j;

        sw_batch_reset(b);
        for (i = 0; i < 8; i++) {
                (void)snprintf(names[i], sizeof(names[i]), "UserRule_%u", i);
                sw_batch_add_rule(b)->name = sw_str_of(names[i]);
        }
        for (i = 0; i < PER_SECOND; i += PER_RECORD) {
                struct sw_record *r = sw_batch_add_record(b);

                r->time.ms = second * 1000 + 60000;
                r->flow_log = SW_STR("/subscriptions/0/resourcegroups/rg/providers/microsoft.network/flowlogs/bench");
                r->mac = 1 + bench_random(&tr->rng) % 5000;
                r->fingerprint.hi = ++tr->record;
                r->n_tuples = PER_RECORD;
                for (j = 0; j < PER_RECORD; j++)
                        make_tuple(tr, sw_batch_add_tuple(b), second);
        }
}

static int bench_step(struct sw_engine *e, const struct sw_event *ev, struct sw_actions *out)
{
        int r = sw_engine_step(e, ev, out);

        if (r < 0)
                (void)fprintf(stderr, "bench_engine: %s\n", sw_error_text(r));
        return r;
}

int main(int argc, char **argv)
{
        struct traffic tr = { .rng = 88172645463325252u,
                .n = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000,
                .n_open = argc > 2 ? (uint32_t)atoi(argv[2]) : 300000,
                .n_hosts = argc > 3 ? (uint32_t)atoi(argv[3]) : 20000 };
        struct sw_core_conf conf;
        struct sw_hash_key seed = { 1, 2 };
        struct sw_engine *e;
        struct sw_actions out = { 0 };
        struct sw_batch b = SW_BATCH_NULL;
        struct sw_err err = SW_ERR_NULL;
        struct sw_engine_stats s;
        double ingest = 0, release = 0, t;
        int64_t second = 1767571200, end = second + (int64_t)(tr.n / PER_SECOND) + 1;
        int r = 0;

        tr.open = calloc(tr.n_open, 1);
        sw_core_conf_default(&conf);
        if (!tr.open || sw_engine_new(&conf, &seed, &e, &err) < 0) {
                (void)fprintf(stderr, "bench_engine: %s\n", err.msg);
                return 1;
        }
        for (; second < end && r == 0; second++) {
                struct sw_event ev = { .type = SW_EVENT_BATCH, .batch = { .batch = &b, .carrier = SW_ETIME_NONE } };

                make_batch(&tr, &b, second);
                t = now_ns();
                r = bench_step(e, &ev, &out);
                ingest += now_ns() - t;
                ev = (struct sw_event){ .type = SW_EVENT_RELEASE,
                        .release = { .watermark = { (second - 120) * 1000 }, .wall = SW_ETIME_NONE } };
                t = now_ns();
                r = r ? r : bench_step(e, &ev, &out);
                release += now_ns() - t;
                sw_actions_reset(&out);
        }
        s = sw_engine_stats(e);
        (void)printf("tuples       %llu\ningest_ns    %.1f\nrelease_ns   %.1f\ntotal_ns     %.1f\nbytes        %llu\n",
                (unsigned long long)s.tuples, ingest / (double)s.tuples,
                release / (double)(s.tuples - s.reorder_tuples),
                ingest / (double)s.tuples + release / (double)(s.tuples - s.reorder_tuples),
                (unsigned long long)s.bytes);
        (void)printf("connections  %llu\nevicted      %llu\n", (unsigned long long)s.connections,
                (unsigned long long)s.evicted);
        sw_engine_free(e);
        sw_actions_deinit(&out);
        sw_batch_deinit(&b);
        free(tr.open);
        return r < 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "play.h"

#include "base/alloc.h"

#include <stdio.h>
#include <stdlib.h>

#define PARTITIONS 4u

static void play_add(struct play *p, struct sw_decoder *d, const struct sw_scenario_message *m)
{
        struct sw_str bytes;

        if (p->n == p->cap) {
                p->cap = p->cap ? p->cap * 2 : 256;
                p->batches = realloc(p->batches, p->cap * sizeof(*p->batches));
                p->partitions = realloc(p->partitions, p->cap * sizeof(*p->partitions));
        }
        p->batches[p->n] = SW_BATCH_NULL;
        p->partitions[p->n] = m->partition;
        bytes = (struct sw_str){ sw_arena_copy(&p->messages, m->bytes.p, m->bytes.n), m->bytes.n };
        PLAY_CHECK(sw_decode(d, bytes, SW_DECODE_MESSAGE, 0, &p->batches[p->n]) == 0, "decode");
        p->n++;
}

void play_init(struct play *p, uint64_t seed, uint32_t hours)
{
        struct sw_scenario_conf conf = sw_scenario_default();
        struct sw_decoder_conf decoder = { .message_max_bytes = 4 << 20, .seed = 1 };
        struct sw_err err = SW_ERR_NULL;
        struct sw_scenario_message m;
        struct sw_scenario *s;
        struct sw_decoder *d;

        conf.seed = seed;
        conf.n_hosts = 60;
        conf.minutes = hours * 60;
        conf.attacks = "full";
        conf.n_partitions = PARTITIONS;
        conf.message_min = 4096;
        conf.message_max = 16384;
        *p = (struct play){ 0 };
        sw_core_conf_default(&p->conf);
        p->conf.learning_ms = (int64_t)hours * 20 * SW_MINUTE;
        p->conf.memory_limit_bytes = 64 << 20;
        p->conf.write_signals = true;
        PLAY_CHECK(sw_decoder_new(&decoder, &d) == 0, "decoder");
        PLAY_CHECK(sw_scenario_new(&conf, &s, &err) == 0, "%s", err.msg);
        while (sw_scenario_next(s, &m) == SW_SCENARIO_OK)
                play_add(p, d, &m);
        sw_scenario_free(s);
        sw_decoder_free(d);
}

void play_deinit(struct play *p)
{
        uint32_t i;

        for (i = 0; i < p->n; i++)
                sw_batch_deinit(&p->batches[i]);
        sw_arena_deinit(&p->messages);
        free(p->batches);
        free(p->partitions);
}

static void play_shift(struct sw_batch *b, int64_t ms)
{
        uint32_t i;

        for (i = 0; i < b->n_tuples; i++)
                b->tuples[i].time.ms += ms;
        for (i = 0; i < b->n_records; i++)
                b->records[i].time.ms += ms;
}

static int play_batch(struct play *p, struct sw_engine *e, struct sw_actions *out, uint32_t i, int64_t shift)
{
        struct sw_event ev = { .type = SW_EVENT_BATCH,
                .batch = { .batch = &p->batches[i], .partition = p->partitions[i], .carrier = SW_ETIME_NONE } };
        int r;

        play_shift(&p->batches[i], shift);
        r = sw_engine_step(e, &ev, out);
        play_shift(&p->batches[i], -shift);
        return r;
}

static int play_release(struct sw_engine *e, struct sw_actions *out, int64_t reorder_ms, bool final)
{
        struct sw_partition_fact facts[PARTITIONS];
        struct sw_event ev = { .type = SW_EVENT_RELEASE, .release = { .wall = SW_ETIME_NONE } };
        uint32_t i;

        for (i = 0; i < PARTITIONS; i++)
                facts[i] = (struct sw_partition_fact){ .newest = sw_engine_newest(e, i) };
        ev.release.watermark = sw_watermark(facts, PARTITIONS, reorder_ms, final);
        return sw_etime_is_none(ev.release.watermark) ? 0 : sw_engine_step(e, &ev, out);
}

int play_try(struct play *p, struct sw_engine *e, struct sw_actions *out, uint32_t from, uint32_t to)
{
        uint32_t i;
        int r = 0;

        for (i = from; i < to && r == 0; i++) {
                if (p->odd && i >= 40 && i % 97 == 13)
                        r = play_batch(p, e, out, i - 40, 0); /* again, or late */
                if (r == 0)
                        r = play_batch(p, e, out, i, p->odd && i % 211 == 17 ? 2 * SW_HOUR : 0);
                if (r == 0 && i % 5 == 0)
                        r = play_release(e, out, p->conf.reorder_ms, false);
        }
        if (to == p->n && r == 0)
                r = play_release(e, out, p->conf.reorder_ms, true);
        if (to == p->n && r == 0)
                r = play_release(e, out, p->conf.reorder_ms, true);
        return r;
}

void play_run(struct play *p, struct sw_engine *e, struct sw_actions *out, uint32_t from, uint32_t to)
{
        PLAY_CHECK(play_try(p, e, out, from, to) == 0, "step");
}

struct sw_engine *play_fresh(const struct play *p)
{
        const struct sw_hash_key seed = { 11, 22 };
        struct sw_err err = SW_ERR_NULL;
        struct sw_engine *e;

        PLAY_CHECK(sw_engine_new(&p->conf, &seed, &e, &err) == 0, "%s", err.msg);
        return e;
}

struct play_bytes play_read(struct sw_snapshot *s)
{
        struct play_bytes b = { 0 };
        size_t cap = 1 << 16, n;

        b.p = malloc(cap);
        for (;;) {
                if (cap - b.n < 10000)
                        b.p = realloc(b.p, cap *= 2);
                PLAY_CHECK(sw_snapshot_read(s, b.p + b.n, 9973, &n) == 0, "read");
                if (n == 0)
                        break;
                b.n += n;
        }
        PLAY_CHECK(sw_snapshot_stats(s).bytes == b.n, "bytes");
        sw_snapshot_end(s);
        return b;
}

struct play_bytes play_save(struct sw_engine *e, const char *extra)
{
        struct sw_snapshot *s;

        PLAY_CHECK(sw_snapshot_begin(e, sw_str_of(extra), &s) == 0, "begin");
        return play_read(s);
}

int play_source(void *ctx, void *buf, size_t n, size_t *ret_n)
{
        struct play_bytes *b = ctx;

        *ret_n = n < b->n - b->at ? n : b->n - b->at;
        if (*ret_n)
                memcpy(buf, b->p + b->at, *ret_n);
        b->at += *ret_n;
        return 0;
}

static void play_on_dropped(void *ctx, const char *section, const char *why)
{
        (void)ctx;
        PLAY_CHECK(false, "%s was dropped: %s", section, why);
}

struct sw_engine *play_load(const struct play *p, struct play_bytes *b)
{
        const struct sw_snapshot_hooks hooks = { .on_dropped = play_on_dropped, .ctx = NULL };
        struct sw_err err = SW_ERR_NULL;
        struct sw_engine *e;
        int r;

        b->at = 0;
        r = sw_engine_load(&p->conf, play_source, b, &hooks, NULL, &e, &err);
        PLAY_CHECK(r == 0, "%s", err.msg);
        return e;
}

static void play_row(void *ctx, const struct sw_table_info *t)
{
        sw_buf_printf(ctx, "%s %llu %llu %llu\n", t->name, (unsigned long long)t->entries, (unsigned long long)t->bytes,
                (unsigned long long)t->evicted);
}

static void play_pair(void *ctx, const struct sw_pair_info *x)
{
        sw_buf_printf(ctx, "%s > %s %llu %llu %llu %u %u\n", x->from, x->to, (unsigned long long)x->flows_allowed,
                (unsigned long long)x->flows_denied, (unsigned long long)x->totals[1], x->n_sources, x->n_destinations);
}

static void play_segment(void *ctx, const char *segment, struct sw_etime until)
{
        sw_buf_printf(ctx, "learning %s %lld\n", segment, (long long)until.ms);
}

char *play_stats(struct sw_engine *e)
{
        struct sw_engine_stats s = sw_engine_stats(e);
        struct sw_buf b = SW_BUF_NULL;
        const uint64_t *words = (const uint64_t *)(const void *)&s;
        size_t i;

        for (i = 0; i < offsetof(struct sw_engine_stats, late_flow_log) / sizeof(*words); i++)
                sw_buf_printf(&b, "%llu ", (unsigned long long)words[i]);
        sw_buf_printf(&b, "%s\n%lld\n", s.late_flow_log, (long long)sw_engine_watermark(e).ms);
        sw_engine_tables(e, play_row, &b);
        sw_engine_pairs(e, play_pair, &b);
        sw_engine_learning(e, play_segment, &b);
        sw_buf_putc(&b, '\0');
        return b.p;
}

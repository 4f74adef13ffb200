/* SPDX-License-Identifier: Apache-2.0 */
/* What only the engine's thread can see, copied now and then for whoever asks. */
#include "pipeline_int.h"

#include <string.h>
#include <time.h>

#define SIGHT_EVERY_NS INT64_C(1000000000)
#define SIGHT_SHARE 50 /* looking takes at most one part in this of the engine's time */

static void sight_text(char *to, size_t size, const char *from)
{
        size_t n = strnlen(from, size - 1);

        memcpy(to, from, n);
        to[n] = '\0';
}

static void sight_table(void *ctx, const struct sw_table_info *t)
{
        struct sw_pipeline_sight *s = ctx;
        struct sw_pipeline_table *row;

        if (s->n_tables == SW_PIPELINE_TABLES)
                return;
        row = &s->tables[s->n_tables++];
        sight_text(row->name, sizeof(row->name), t->name);
        row->entries = t->entries;
        row->bytes = t->bytes;
        row->limit_bytes = t->limit_bytes;
        row->evicted = t->evicted;
}

static void sight_learning(void *ctx, const char *segment, struct sw_etime until)
{
        struct sw_pipeline_sight *s = ctx;

        s->n_learning++;
        s->learning_until = sw_etime_max(s->learning_until, until);
        if (s->n_learning > SW_PIPELINE_LEARNING)
                return;
        sight_text(s->learning[s->n_learning - 1].segment, SW_PIPELINE_NAME, segment);
        s->learning[s->n_learning - 1].until = until;
}

static uint64_t sight_flows(const struct sw_pipeline_pair *p)
{
        return p->flows_allowed + p->flows_denied;
}

/* Most flows first; equal ones by name, so that the order says nothing about tables. */
static bool sight_before(const struct sw_pipeline_pair *a, const struct sw_pipeline_pair *b)
{
        int r;

        if (sight_flows(a) != sight_flows(b))
                return sight_flows(a) > sight_flows(b);
        r = strcmp(a->from, b->from);
        return r ? r < 0 : strcmp(a->to, b->to) < 0;
}

static void sight_pair(void *ctx, const struct sw_pair_info *p)
{
        struct sw_pipeline_sight *s = ctx;
        struct sw_pipeline_pair x = { .flows_allowed = p->flows_allowed,
                .flows_denied = p->flows_denied,
                .bytes = p->totals[SW_BYTES_FWD] + p->totals[SW_BYTES_REV],
                .n_sources = p->n_sources,
                .n_destinations = p->n_destinations };
        uint32_t i, kept = s->n_pairs < SW_PIPELINE_PAIRS ? s->n_pairs : SW_PIPELINE_PAIRS;

        s->n_pairs++;
        sight_text(x.from, sizeof(x.from), p->from);
        sight_text(x.to, sizeof(x.to), p->to);
        if (kept == SW_PIPELINE_PAIRS && !sight_before(&x, &s->pairs[kept - 1]))
                return;
        i = kept < SW_PIPELINE_PAIRS ? kept : kept - 1;
        for (; i > 0 && sight_before(&x, &s->pairs[i - 1]); i--)
                s->pairs[i] = s->pairs[i - 1];
        s->pairs[i] = x;
}

static void sight_silent(struct sw_pipeline *p, struct sw_pipeline_sight *s)
{
        uint32_t i, k, kept;

        s->n_flow_logs = p->flow_logs.n;
        for (i = 0; i < p->flow_logs.n; i++) {
                const struct sw_flow_log *f = &p->flow_logs.items[i];
                struct sw_etime since = sw_flow_log_silent(f, p->released);

                if (sw_etime_is_none(since))
                        continue;
                kept = s->n_silent < SW_PIPELINE_SILENT ? s->n_silent : SW_PIPELINE_SILENT;
                s->n_silent++;
                if (kept == SW_PIPELINE_SILENT && since.ms <= s->silent[kept - 1].since.ms)
                        continue;
                k = kept < SW_PIPELINE_SILENT ? kept : kept - 1;
                for (; k > 0 && since.ms > s->silent[k - 1].since.ms; k--)
                        s->silent[k] = s->silent[k - 1];
                s->silent[k].last = f->last;
                s->silent[k].since = since;
                memcpy(s->silent[k].flow_log, f->name, sizeof(f->name));
        }
}

static int64_t sight_ns(void)
{
        struct timespec ts;

        (void)clock_gettime(CLOCK_MONOTONIC, &ts);
        return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

void sw__pipeline_look(struct sw_pipeline *p)
{
        struct sw_engine_stats stats;
        int64_t now, took;
        uint32_t i;

        if (p->conf.release_ms == 0) /* a replay is asked for its engine at the end */
                return;
        now = sight_ns();
        if (now < p->sight_next_ns)
                return;
        p->sight_next = (struct sw_pipeline_sight){ .learning_until = SW_ETIME_NONE };
        sw_engine_tables(p->engine, sight_table, &p->sight_next);
        sw_engine_learning(p->engine, sight_learning, &p->sight_next);
        sw_engine_pairs(p->engine, sight_pair, &p->sight_next);
        sight_silent(p, &p->sight_next);
        stats = sw_engine_stats(p->engine);
        pthread_mutex_lock(&p->lock);
        p->sight = p->sight_next;
        p->progress.engine = stats; /* with what came after the last release */
        p->progress.watermark = p->released;
        for (i = 0; i < p->n_partitions; i++)
                p->progress.newest = sw_etime_max(p->progress.newest, p->partitions[i].newest);
        pthread_mutex_unlock(&p->lock);
        took = sight_ns() - now;
        p->sight_next_ns = now + took + (took * SIGHT_SHARE > SIGHT_EVERY_NS ? took * SIGHT_SHARE : SIGHT_EVERY_NS);
}

void sw_pipeline_look(struct sw_pipeline *p, struct sw_pipeline_sight *ret)
{
        pthread_mutex_lock(&p->lock);
        *ret = p->sight;
        pthread_mutex_unlock(&p->lock);
}

const struct sw_beat *sw_pipeline_beat(const struct sw_pipeline *p, unsigned i)
{
        return i <= p->conf.n_workers ? &p->beats[i] : NULL;
}

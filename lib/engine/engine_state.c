/* SPDX-License-Identifier: Apache-2.0 */
/* Everything the engine knows, as a snapshot sees it. Whatever is added to the state is added here, except tables of
 * detectors, which come by themselves. */
#include "engine/engine_int.h"

/* ---- tables, pools and texts ---- */

struct listing {
        sw_engine_each each;
        void *ctx;
};

static int list_table(const struct listing *l, struct sw_table *t, enum sw_group group)
{
        struct sw_region r = sw_region_table(t);

        return l->each(l->ctx, &r, group);
}

static int list_pool(const struct listing *l, struct sw_pool *p, enum sw_group group)
{
        struct sw_region r = sw_region_pool(p);

        return l->each(l->ctx, &r, group);
}

static int list_texts(const struct listing *l, struct sw_texts *t, enum sw_group group)
{
        struct sw_region r = sw_region_texts(t);

        return l->each(l->ctx, &r, group);
}

static int list_detector(void *ctx, struct sw_table *t)
{
        return list_table(ctx, t, SW_GROUP_DETECT);
}

int sw__engine_each(struct sw_engine *e, sw_engine_each each, void *ctx)
{
        struct listing l = { each, ctx };
        struct sw_world *w = &e->world;
        struct {
                struct sw_table *t;
                enum sw_group group;
        } tables[] = {
                { &w->directory.sensors, SW_GROUP_TEXTS },
                { &w->directory.folds, SW_GROUP_TEXTS },
                { &w->directory.rules, SW_GROUP_TEXTS },
                { &w->directory.text_ids, SW_GROUP_TEXTS },
                { &w->segs.names, SW_GROUP_SEGMENTS },
                { &w->hosts.internal, SW_GROUP_HOSTS },
                { &w->hosts.internet, SW_GROUP_HOSTS },
                { &w->edges.edges, SW_GROUP_BASELINE },
                { &w->edges.classes, SW_GROUP_BASELINE },
                { &w->roles.progress, SW_GROUP_BASELINE },
                { &w->roles.fanout, SW_GROUP_BASELINE },
                { &w->pairs.pairs, SW_GROUP_SINGLE },
                { &w->pairs.sketches, SW_GROUP_SINGLE },
                { &e->conns->rpc, SW_GROUP_SINGLE },
                { &e->conns->table, SW_GROUP_CONNS },
                { &e->conns->more, SW_GROUP_CONNS },
                { &e->reorder.buckets, SW_GROUP_REORDER },
                { &e->dedupe.table, SW_GROUP_PRINTS },
        };
        unsigned i;
        int r = list_texts(&l, &w->directory.texts, SW_GROUP_TEXTS);

        if (r == 0)
                r = list_texts(&l, &w->segs.texts, SW_GROUP_SEGMENTS);
        for (i = 0; i < sizeof(tables) / sizeof(tables[0]) && r == 0; i++)
                r = list_table(&l, tables[i].t, tables[i].group);
        if (r == 0)
                r = list_pool(&l, &e->conns->timers->chunks, SW_GROUP_CONNS);
        for (i = 0; i < 2 && r == 0; i++)
                r = list_pool(&l, &e->reorder.chunks[i], SW_GROUP_REORDER);
        if (r == 0) {
                struct sw_region incidents = sw_correlate_region(e->correlate);

                r = each(ctx, &incidents, SW_GROUP_INCIDENTS);
        }
        return r == 0 ? sw_detect_each(&e->detect, list_detector, &l) : r;
}

bool sw__engine_is_learned(enum sw_group group)
{
        return group == SW_GROUP_SEGMENTS || group == SW_GROUP_HOSTS || group == SW_GROUP_BASELINE;
}

/* ---- what stands beside them ---- */

static void world_part(struct sw_engine *e, struct sw_state_io *s)
{
        sw_world_state(&e->world, s);
}

static void conns_part(struct sw_engine *e, struct sw_state_io *s)
{
        sw_conns_state(e->conns, s);
}

static void reorder_part(struct sw_engine *e, struct sw_state_io *s)
{
        sw_reorder_state(&e->reorder, s);
}

static void dedupe_part(struct sw_engine *e, struct sw_state_io *s)
{
        sw_dedupe_state(&e->dedupe, s);
}

static void hold_part(struct sw_engine *e, struct sw_state_io *s)
{
        sw_hold_state(&e->hold, s);
}

static void detect_part(struct sw_engine *e, struct sw_state_io *s)
{
        sw_detect_state(&e->detect, s);
}

static void incidents_part(struct sw_engine *e, struct sw_state_io *s)
{
        sw_correlate_state(e->correlate, s);
}

static void u64s(struct sw_state_io *s, uint64_t *const *values, unsigned n)
{
        unsigned i;

        for (i = 0; i < n; i++)
                sw_state_u64(s, values[i]);
}

/* By name: numbers of reasons shift. */
static void reasons_state(struct sw_engine_stats *t, struct sw_state_io *s)
{
        uint32_t n = sw_state_count(s, SW_N_REASONS, 1024, 12), i, k;

        for (i = 0; i < n; i++) {
                struct sw_str name = sw_state_reads(s) ? SW_STR_NULL : sw_str_of(sw_reason_name((enum sw_reason)i));
                uint64_t value = sw_state_reads(s) ? 0 : t->reasons[i];

                sw_state_text(s, &name, 256);
                sw_state_u64(s, &value);
                for (k = 0; sw_state_reads(s) && k < SW_N_REASONS; k++)
                        if (sw_str_eq(name, sw_str_of(sw_reason_name((enum sw_reason)k))))
                                t->reasons[k] = value;
        }
}

/* Only what the engine counts itself: the rest is asked for when somebody wants statistics. */
static void stats_state(struct sw_engine_stats *t, struct sw_state_io *s)
{
        uint64_t *const values[] = { &t->decode.messages, &t->decode.message_errors, &t->decode.records_skipped,
                &t->decode.record_errors, &t->decode.tuple_errors, &t->decode.unknown_versions, &t->records,
                &t->records_duplicate, &t->records_old, &t->tuples, &t->tuples_begin, &t->tuples_continue,
                &t->tuples_end, &t->tuples_denied, &t->tuples_stateless, &t->totals[0], &t->totals[1], &t->totals[2],
                &t->totals[3], &t->tuples_late, &t->tuples_too_late, &t->tuples_clamped, &t->tuples_held, &t->signals,
                &t->suppressed, &t->findings, &t->reorder_forced };

        _Static_assert(SW_N_COUNTERS == 4, "all totals are listed");
        u64s(s, values, sizeof(values) / sizeof(values[0]));
        sw_state_i64(s, &t->late_by_ms);
        reasons_state(t, s);
}

static void newest_state(struct sw_engine *e, struct sw_state_io *s)
{
        uint32_t n = sw_state_count(s, e->n_newest, SW_MAX_PARTITIONS, sizeof(struct sw_etime)), i;

        if (sw_state_reads(s)) {
                sw_free(e->newest);
                e->n_newest = 0;
                e->newest = n ? sw_calloc(n, sizeof(*e->newest)) : NULL;
                if (n && !e->newest) {
                        sw_state_no_memory(s);
                        return;
                }
                e->n_newest = n;
        }
        for (i = 0; i < n; i++)
                sw_state_etime(s, &e->newest[i]);
}

static void engine_part(struct sw_engine *e, struct sw_state_io *s)
{
        stats_state(&e->stats, s);
        sw_state_u32(s, &e->late_sensor);
        newest_state(e, s);
        sw_state_etime(s, &e->view.now);
        sw_state_etime(s, &e->view.learned_until);
        sw_state_etime(s, &e->correlate_next);
        sw_state_i64(s, &e->next_minute);
        sw_state_etime(s, &e->believed);
        sw_state_etime(s, &e->released);
        sw_state_etime(s, &e->wall);
        sw_state_u32(s, &e->only_fold);
        sw_state_u32(s, &e->n_folds);
        sw_state_bool(s, &e->cold);
        sw_state_etime(s, &e->signal_time);
        sw_state_u32(s, &e->signal_number);
}

const struct sw_engine_part sw__engine_parts[] = {
        { "world", 1, SW_N_GROUPS, true, world_part },
        { "connections", 1, SW_GROUP_CONNS, false, conns_part },
        { "reorder", 1, SW_GROUP_REORDER, false, reorder_part },
        { "fingerprints", 1, SW_GROUP_PRINTS, false, dedupe_part },
        { "held", 1, SW_N_GROUPS, false, hold_part },
        { "detectors", 1, SW_N_GROUPS, false, detect_part },
        { "incidents", 1, SW_GROUP_INCIDENTS, false, incidents_part },
        { "engine", 1, SW_N_GROUPS, false, engine_part },
};
const unsigned sw__engine_n_parts = sizeof(sw__engine_parts) / sizeof(sw__engine_parts[0]);

/* SPDX-License-Identifier: Apache-2.0 */
/* What statistics and summaries ask. */
#include "engine/engine_int.h"

struct rows {
        void (*each)(void *ctx, const struct sw_table_info *t);
        void *ctx;
};

static void report_row(
        const struct rows *o, const char *name, uint64_t entries, uint64_t bytes, uint64_t limit_evicted[2])
{
        struct sw_table_info t = {
                .name = name,
                .entries = entries,
                .bytes = bytes,
                .limit_bytes = limit_evicted[0],
                .evicted = limit_evicted[1],
        };

        o->each(o->ctx, &t);
}

static void report_table(const struct rows *o, const struct sw_table *t)
{
        report_row(o, t->spec.name, t->n_used, t->bytes, (uint64_t[2]){ t->limit_bytes, t->n_evicted });
}

void sw_engine_tables(const struct sw_engine *e, void (*each)(void *ctx, const struct sw_table_info *t), void *ctx)
{
        const struct rows o = { each, ctx };
        const struct sw_world *s = &e->world;
        const struct sw_correlate_stats c = sw_correlate_stats(e->correlate);
        uint64_t m = e->conf.memory_limit_bytes;
        unsigned i, j;

        report_row(&o, "reorder", e->reorder.n_tuples, e->reorder.bytes + e->reorder.buckets.bytes,
                (uint64_t[2]){ e->reorder.limit_bytes, 0 });
        report_row(&o, "held", e->hold.n, e->hold.cap * sizeof(*e->hold.items),
                (uint64_t[2]){ e->hold.limit_bytes, e->hold.n_dropped });
        report_table(&o, &e->dedupe.table);
        report_row(&o, "directory", (uint64_t)s->directory.sensors.n_used + s->directory.rules.n_used,
                sw_directory_bytes(&s->directory),
                (uint64_t[2]){ sw_plan_bytes(SW_PLAN_DIRECTORY, m), s->directory.n_refused });
        report_row(&o, "segments", s->segs.names.n_used, sw_segs_bytes(&s->segs),
                (uint64_t[2]){ sw_plan_bytes(SW_PLAN_SEGMENTS, m), s->segs.n_refused });
        report_table(&o, &s->hosts.internal);
        report_table(&o, &s->hosts.internet);
        report_table(&o, &e->conns->table);
        report_table(&o, &e->conns->more);
        report_table(&o, &e->conns->rpc);
        report_row(&o, "timers", e->conns->timers->n_armed, e->conns->timers->bytes,
                (uint64_t[2]){ e->conns->timers->limit_bytes, e->conns->timers->n_dropped });
        report_table(&o, &s->edges.edges);
        report_table(&o, &s->edges.classes);
        report_table(&o, &s->roles.progress);
        report_table(&o, &s->roles.fanout);
        report_table(&o, &s->pairs.pairs);
        report_table(&o, &s->pairs.sketches);
        for (i = 0; i < SW_N_DETECTORS; i++)
                for (j = 0; j < e->detect.tables[i].n; j++)
                        report_table(&o, &e->detect.tables[i].t[j]);
        report_row(&o, "incidents", c.incidents_open, c.bytes,
                (uint64_t[2]){ sw_plan_bytes(SW_PLAN_CORRELATE, m), c.evicted });
}

static void add_row(void *ctx, const struct sw_table_info *t)
{
        struct sw_engine_stats *s = ctx;

        s->bytes += t->bytes;
        s->evicted += t->evicted;
}

struct sw_engine_stats sw_engine_stats(const struct sw_engine *e)
{
        struct sw_engine_stats s = e->stats;

        s.connections = e->conns->n_opened;
        s.connections_reversed = e->conns->n_reversed;
        s.edges = e->world.edges.edges.n_used;
        s.hosts = sw_hosts_count(&e->world.hosts);
        s.reorder_tuples = e->reorder.n_tuples;
        s.evicted = e->conns->n_no_host;
        s.findings_folded = sw_correlate_stats(e->correlate).folded;
        sw_engine_tables(e, add_row, &s);
        if (s.tuples_late) {
                const struct sw_str log = sw_view_sensor(&e->view, e->late_sensor).flow_log;
                size_t n = log.n < sizeof(s.late_flow_log) ? log.n : sizeof(s.late_flow_log) - 1;

                memcpy(s.late_flow_log, log.p, n);
                s.late_flow_log[n] = '\0';
        }
        return s;
}

void sw_engine_learning(
        const struct sw_engine *e, void (*each)(void *ctx, const char *segment, struct sw_etime until), void *ctx)
{
        const struct sw_segs *s = &e->world.segs;
        const struct sw_segs_name *n;
        uint32_t id;

        if (s->learning_ms == 0 || sw_etime_is_none(e->view.now))
                return;
        for (id = 0; (n = sw_table_next(&s->names, &id)); id++) {
                struct sw_etime until;

                if (sw_etime_is_none(n->start))
                        continue;
                until = sw_etime_add(n->start, s->learning_ms);
                if (e->view.now.ms < until.ms)
                        each(ctx, sw_segs_name_text(s, n), until);
        }
}

static const char *serial_name(const struct sw_segs *s, uint32_t serial)
{
        const struct sw_segs_name *n = sw_table_at(&s->names, serial);

        return n ? sw_segs_name_text(s, n) : "unassigned";
}

void sw_engine_pairs(const struct sw_engine *e, void (*each)(void *ctx, const struct sw_pair_info *p), void *ctx)
{
        /* Looking a sketch up only marks it as used, which is why the state is not const inside the view. */
        struct sw_pairs *pairs = &e->view.world->pairs;
        const struct sw_pair *x;
        uint32_t id;

        for (id = 0; (x = sw_table_next(&pairs->pairs, &id)); id++) {
                struct sw_pair_info p = {
                        .from = serial_name(&e->world.segs, x->src),
                        .to = serial_name(&e->world.segs, x->dst),
                        .flows_allowed = x->flows_allowed,
                        .flows_denied = x->flows_denied,
                        .n_sources = sw_pairs_distinct(pairs, x, 0),
                        .n_destinations = sw_pairs_distinct(pairs, x, 1),
                };

                memcpy(p.totals, x->totals, sizeof(p.totals));
                each(ctx, &p);
        }
}

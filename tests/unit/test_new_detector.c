/* SPDX-License-Identifier: Apache-2.0 */
/* A detector is added: this file and one line of the register (SW_DETECTOR_MAP_EXTRA, set by tests/meson.build). Its
 * table must be bounded, counted and part of snapshots without a line anywhere else. */
#include "../lib/play.h"
#include "engine/engine_int.h"
#include "engine/plan.h"

#include <criterion/criterion.h>
#include <string.h>

struct probe_row {
        uint32_t src, dst;
        uint64_t n, bytes;
};

struct probe_conf {
        uint64_t every;
};

static const struct sw_opt options[] = {
        { .key = "every",
                .type = SW_OPT_UINT,
                .flags = SW_OPT_RELOAD,
                .offset = offsetof(struct probe_conf, every),
                .min = 1,
                .max = 1000,
                .def = "64",
                .doc = "Connections of a pair of hosts after which it speaks." },
        SW_OPT_END,
};

static const struct sw_technique techniques[] = {
        { "T1046", "Network Service Discovery", "TA0007", "Discovery" },
        { NULL, NULL, NULL, NULL },
};

static int probe_on_event(struct sw_tables *own, const void *conf, const struct sw_view *v,
        const struct sw_conn_event *ev, struct sw_signals *out)
{
        const struct probe_conf *c = conf;
        uint32_t key[2] = { ev->src, ev->dst };
        struct probe_row *row;
        struct sw_signal *s;
        bool created;

        (void)v;
        row = sw_table_insert(&own->t[0], key, &created);
        if (!row)
                return 0;
        row->bytes += ev->total[SW_BYTES_FWD];
        if (++row->n % c->every)
                return 0;
        s = sw_signals_add(out);
        if (!s)
                return -SW_ERR_NOMEM;
        s->detector = SW_DETECTOR_PROBE;
        s->time = s->first = s->last = ev->time;
        s->actor = ev->src;
        s->targets[0] = ev->dst;
        s->n_targets = s->n_targets_total = 1;
        s->src_segment = ev->src_segment;
        s->dst_segment = ev->dst_segment;
        s->value = row->bytes;
        s->threshold = c->every;
        s->techniques = 1;
        return 0;
}

static void probe_tell(struct sw_buf *out, const struct sw_view *v, const struct sw_signal *s)
{
        (void)v;
        sw_buf_printf(out, "moved %llu bytes", (unsigned long long)s->value);
}

const struct sw_detector sw_det_probe = {
        .name = "probe",
        .code = "D99",
        .summary = "Counts connections",
        .title = "Probe",
        .noun = "probe",
        .options = options,
        .conf_size = sizeof(struct probe_conf),
        .techniques = techniques,
        .tables = {
                { { .name = "probe_rows", .version = 1, .entry_size = sizeof(struct probe_row), .key_size = 8 }, 1 },
        },
        .events = SW_ON(CLOSED),
        .on_event = probe_on_event,
        .tell = probe_tell,
};

struct row {
        struct sw_table_info info;
        bool found;
};

static void find_row(void *ctx, const struct sw_table_info *t)
{
        struct row *r = ctx;

        if (strcmp(t->name, "probe_rows") == 0)
                *r = (struct row){ *t, true };
}

static unsigned count(const struct sw_lines *l, size_t from, const char *word)
{
        unsigned n = 0;
        uint32_t i;

        for (i = 0; i < l->n; i++)
                n += l->items[i].offset >= from &&
                     memmem(l->text.p + l->items[i].offset, l->items[i].n, word, strlen(word));
        return n;
}

Test(new_detector, is_counted_and_bounded)
{
        struct sw_actions out = { 0 };
        struct row row = { 0 };
        struct sw_engine *e;
        struct play p;

        cr_assert_leq(sw_plan_sum(), 1000);
        play_init(&p, 12, 6);
        p.conf.memory_limit_bytes = 12 << 20; /* of which its table has a thousandth */
        e = play_fresh(&p);
        play_run(&p, e, &out, 0, p.n);
        sw_engine_tables(e, find_row, &row);
        cr_assert(row.found);
        cr_assert_leq(row.info.bytes, row.info.limit_bytes);
        cr_assert_gt(row.info.entries, 100);
        cr_assert_gt(row.info.evicted, 0);
        cr_assert_gt(count(&out.signals, 0, "\"probe\""), 0, "%.300s", out.signals.text.p);
        sw_engine_free(e);
        sw_actions_deinit(&out);
        play_deinit(&p);
}

Test(new_detector, is_part_of_snapshots)
{
        struct sw_actions out = { 0 }, rest = { 0 };
        struct sw_engine *e, *loaded;
        struct row a = { 0 }, b = { 0 };
        struct play_bytes saved;
        struct play p;
        size_t from;

        play_init(&p, 12, 6);
        e = play_fresh(&p);
        play_run(&p, e, &out, 0, p.n / 2);
        from = out.signals.text.n;
        saved = play_save(e, "");
        loaded = play_load(&p, &saved);
        sw_engine_tables(e, find_row, &a);
        sw_engine_tables(loaded, find_row, &b);
        cr_assert(a.found && b.found);
        cr_assert_gt(a.info.entries, 10);
        cr_assert_eq(a.info.entries, b.info.entries);
        cr_assert_eq(a.info.bytes, b.info.bytes);
        play_run(&p, e, &out, p.n / 2, p.n);
        play_run(&p, loaded, &rest, p.n / 2, p.n);
        cr_assert_gt(count(&rest.signals, 0, "\"probe\""), 0);
        cr_assert_eq(count(&rest.signals, 0, "\"probe\""), count(&out.signals, from, "\"probe\""));
        cr_assert_eq(rest.signals.text.n, out.signals.text.n - from);
        cr_assert_eq(memcmp(rest.signals.text.p, out.signals.text.p + from, rest.signals.text.n), 0);
        cr_assert_eq(e->detect.n_signals[SW_DETECTOR_PROBE], loaded->detect.n_signals[SW_DETECTOR_PROBE]);
        sw_engine_free(e);
        sw_engine_free(loaded);
        sw_actions_deinit(&out);
        sw_actions_deinit(&rest);
        play_deinit(&p);
        free(saved.p);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Files as they may come back: damaged, cut, of another version, for another configuration, without memory. */
#include "../lib/fail_alloc.h"
#include "../lib/heal.h"
#include "../lib/play.h"
#include "base/alloc.h"
#include "engine/engine_int.h"

#include <criterion/criterion.h>
#include <limits.h>

static unsigned left = UINT_MAX; /* allocations until one fails */

static bool fails(void)
{
        return left != UINT_MAX && left-- == 0;
}

FAIL_ALLOC(fails())
FAIL_RESERVE(fails())

/* A sanitizer takes ten times as long for the same bytes. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define FLIP_STEP 7
#else
#define FLIP_STEP 1
#endif

static struct play network;

static void setup(void)
{
        play_init(&network, 4, 2);
        network.conf.memory_limit_bytes = 12 << 20;
}

static void teardown(void)
{
        play_deinit(&network);
}

TestSuite(snapshot_file, .init = setup, .fini = teardown);

/* After `to` messages; with incidents if many. */
static struct play_bytes saved_at(uint32_t to)
{
        struct sw_engine *e = play_fresh(&network);
        struct sw_actions out = { 0 };
        struct play_bytes b;

        play_run(&network, e, &out, 0, to);
        b = play_save(e, "extra");
        sw_engine_free(e);
        sw_actions_deinit(&out);
        return b;
}

struct lost {
        char names[4096];
        unsigned n;
};

static void note_lost(void *ctx, const char *section, const char *why)
{
        struct lost *l = ctx;

        cr_assert(why[0]);
        (void)snprintf(l->names + strlen(l->names), sizeof(l->names) - strlen(l->names), " %s", section);
        l->n++;
}

/* What loading gives; the engine, if any, in *ret. */
static int try_load(struct play_bytes b, struct lost *lost, struct sw_engine **ret, struct sw_err *err)
{
        const struct sw_snapshot_hooks hooks = { .on_dropped = note_lost, .ctx = lost };

        *ret = NULL;
        *err = SW_ERR_NULL;
        b.at = 0;
        return sw_engine_load(&network.conf, play_source, &b, lost ? &hooks : NULL, NULL, ret, err);
}

Test(snapshot_file, extra_comes_back)
{
        struct play_bytes b = saved_at(50);
        struct sw_buf extra = SW_BUF_NULL;
        struct sw_engine *e;

        cr_assert_eq(sw_engine_load(&network.conf, play_source, &b, NULL, &extra, &e, NULL), 0);
        cr_assert(sw_str_eq((struct sw_str){ extra.p, extra.n }, SW_STR("extra")));
        sw_buf_deinit(&extra);
        sw_engine_free(e);
        free(b.p);
}

Test(snapshot_file, every_damaged_byte_is_noticed, .timeout = 120)
{
        struct play_bytes b = saved_at(2);
        struct sw_err err;
        struct sw_engine *e;
        size_t i;

        cr_assert_eq(try_load(b, NULL, &e, &err), 0, "%s", err.msg);
        sw_engine_free(e);
        cr_assert_lt(b.n, 100000);
        for (i = 0; i < b.n; i += FLIP_STEP) {
                b.p[i] ^= (unsigned char)(1u << i % 8);
                cr_assert_eq(try_load(b, NULL, &e, &err), -SW_ERR_DATA, "byte %zu of %zu", i, b.n);
                cr_assert(err.msg[0]);
                b.p[i] ^= (unsigned char)(1u << i % 8);
        }
        free(b.p);
}

Test(snapshot_file, every_cut_is_noticed, .timeout = 120)
{
        struct play_bytes b = saved_at(2), longer;
        struct sw_err err;
        struct sw_engine *e;
        size_t i;

        for (i = 0; i < b.n; i += i < 2000 ? 1 : 17) {
                struct play_bytes cut = { b.p, i, 0 };

                cr_assert_eq(try_load(cut, NULL, &e, &err), -SW_ERR_DATA, "after %zu of %zu bytes", i, b.n);
        }
        longer = (struct play_bytes){ malloc(b.n + 1), b.n + 1, 0 };
        memcpy(longer.p, b.p, b.n);
        longer.p[b.n] = 0;
        cr_assert_eq(try_load(longer, NULL, &e, &err), -SW_ERR_DATA, "something follows");
        free(longer.p);
        free(b.p);
}

/* Behind right checksums: whatever it says, it is refused or an engine. */
Test(snapshot_file, wrong_content_never_crashes, .timeout = 120)
{
        struct play_bytes b = saved_at(network.n * 3 / 4), x;
        uint32_t rng = 2463534242u, i, k;
        unsigned refused = 0;
        struct sw_err err;
        struct sw_engine *e;

        x = (struct play_bytes){ malloc(b.n), b.n, 0 };
        for (i = 0; i < 150; i++) {
                memcpy(x.p, b.p, b.n);
                for (k = 0; k <= i % 4; k++) {
                        rng ^= rng << 13;
                        rng ^= rng >> 17;
                        rng ^= rng << 5;
                        /* Small parts stand first: they are what is followed. */
                        x.p[rng % (i % 2 ? 60000 : b.n)] = (unsigned char)(rng >> 24);
                }
                heal(x.p, x.n);
                refused += try_load(x, NULL, &e, &err) < 0;
                sw_engine_free(e);
        }
        cr_assert_gt(refused, 20);
        free(x.p);
        free(b.p);
}

Test(snapshot_file, any_allocation_may_fail, .timeout = 120)
{
        struct sw_engine *e = play_fresh(&network), *loaded;
        struct sw_actions out = { 0 };
        struct sw_snapshot *s = NULL;
        struct play_bytes b;
        struct sw_err err;
        unsigned i;
        int r;

        play_run(&network, e, &out, 0, network.n * 3 / 4);
        for (i = 0, r = -1; r < 0; i++) {
                left = i;
                r = sw_snapshot_begin(e, SW_STR("x"), &s);
                left = UINT_MAX;
                cr_assert(r == 0 || r == -SW_ERR_NOMEM);
        }
        cr_assert_gt(i, 5);
        b = play_read(s);
        for (i = 0, r = -1; r < 0; i++) {
                left = i;
                r = try_load(b, NULL, &loaded, &err);
                left = UINT_MAX;
                cr_assert(r == 0 || r == -SW_ERR_NOMEM, "%u: %s", i, err.msg);
                cr_assert(r == 0 || err.msg[0]);
        }
        cr_assert_gt(i, 100);
        sw_engine_free(loaded);
        sw_engine_free(e);
        sw_actions_deinit(&out);
        free(b.p);
}

/* ---- versions ---- */

/* Where the head of a section stands. */
static unsigned char *section_of(struct play_bytes b, const char *name)
{
        size_t at = SW_FILE_HEAD;
        uint64_t n;

        while (heal_next(b.p, b.n, &at, &n)) {
                if (strcmp((const char *)b.p + at, name) == 0)
                        return b.p + at;
                at += SW_SECTION_HEAD + (size_t)n + SW_SECTION_TAIL;
        }
        cr_assert(false, "no section %s", name);
        return NULL;
}

static void set_version(struct play_bytes b, const char *name, uint32_t version)
{
        memcpy(section_of(b, name) + SW_SECTION_NAME, &version, sizeof(version));
        heal(b.p, b.n);
}

/* The loaded engine must work, not only be there. */
static void go_on(struct sw_engine *e)
{
        struct sw_actions out = { 0 };
        struct play_bytes again;

        play_run(&network, e, &out, network.n * 3 / 4, network.n);
        again = play_save(e, "");
        free(again.p);
        sw_actions_deinit(&out);
        sw_engine_free(e);
}

Test(snapshot_file, a_newer_format_is_refused_clearly)
{
        struct play_bytes b = saved_at(50);
        uint32_t format = SW_STATE_FORMAT + 1;
        struct sw_err err;
        struct sw_engine *e;

        memcpy(b.p + 8, &format, sizeof(format));
        heal(b.p, b.n);
        cr_assert_eq(try_load(b, NULL, &e, &err), -SW_ERR_VERSION);
        cr_assert_not_null(strstr(err.msg, "newer version"), "%s", err.msg);
        free(b.p);
}

Test(snapshot_file, a_table_of_another_version_is_lost_alone)
{
        static const char *const names[] = { "table:edges", "table:roles", "table:segment_pairs", "table:rpc",
                "table:pivot_hosts", "table:horizontal_scan" };
        struct play_bytes b = saved_at(network.n * 3 / 4);
        struct sw_engine *e;
        struct sw_err err;
        unsigned i;

        for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
                struct lost lost = { 0 };
                uint32_t version;

                memcpy(&version, section_of(b, names[i]) + SW_SECTION_NAME, sizeof(version));
                set_version(b, names[i], 99);
                cr_assert_eq(try_load(b, &lost, &e, &err), 0, "%s", err.msg);
                cr_assert_eq(lost.n, 1, "%s", lost.names);
                cr_assert_str_eq(lost.names + 1, names[i] + strlen("table:"));
                go_on(e);
                set_version(b, names[i], version);
        }
        free(b.p);
}

Test(snapshot_file, what_refers_to_a_lost_table_is_lost_with_it)
{
        static const struct {
                const char *section, *also;
        } cases[] = {
                { "table:hosts", " connections " },
                { "table:hosts_internet", " incident_hosts" },
                { "table:connections", " timers" },
                { "table:timers", " connections" },
                { "table:reorder_large", " reorder_seconds" },
                { "table:fingerprints", " fingerprints" },
                { "incidents", " incident_hosts" },
        };
        struct play_bytes b = saved_at(network.n * 3 / 4);
        struct sw_engine *e;
        struct sw_err err;
        unsigned i;

        for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                struct lost lost = { 0 };
                uint32_t version;

                memcpy(&version, section_of(b, cases[i].section) + SW_SECTION_NAME, sizeof(version));
                set_version(b, cases[i].section, 99);
                cr_assert_eq(try_load(b, &lost, &e, &err), 0, "%s", err.msg);
                cr_assert_not_null(strstr(lost.names, cases[i].also), "%s:%s", cases[i].section, lost.names);
                go_on(e);
                set_version(b, cases[i].section, version);
        }
        free(b.p);
}

Test(snapshot_file, what_all_else_refers_to_is_refused_in_another_version)
{
        static const char *const names[] = { "table:segments", "table:directory_texts", "table:sensors", "world",
                "engine" };
        struct play_bytes b = saved_at(network.n * 3 / 4);
        struct sw_engine *e;
        struct sw_err err;
        unsigned i;

        for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
                set_version(b, names[i], 99);
                cr_assert_eq(try_load(b, NULL, &e, &err), -SW_ERR_VERSION, "%s", err.msg);
                set_version(b, names[i], 1);
        }
        free(b.p);
}

Test(snapshot_file, what_this_version_does_not_know_is_left_out)
{
        struct play_bytes b = saved_at(network.n * 3 / 4);
        struct lost lost = { 0 };
        struct sw_engine *e;
        struct sw_err err;

        memcpy(section_of(b, "table:pivot_told"), "table:tomorrows_told", 21);
        heal(b.p, b.n);
        cr_assert_eq(try_load(b, &lost, &e, &err), 0, "%s", err.msg);
        cr_assert_str_eq(lost.names, " tomorrows_told");
        go_on(e);
        free(b.p);
}

/* ---- another configuration ---- */

Test(snapshot_file, less_memory_is_refused_with_a_word)
{
        struct sw_engine *e;
        struct play_bytes b;
        struct sw_err err;

        play_deinit(&network);
        play_init(&network, 4, 6); /* more than fits 8 MiB */
        network.conf.memory_limit_bytes = 12 << 20;
        b = saved_at(network.n * 3 / 4);
        network.conf.memory_limit_bytes = 64 << 20;
        cr_assert_eq(try_load(b, NULL, &e, &err), 0, "%s", err.msg);
        go_on(e);
        network.conf.memory_limit_bytes = 8 << 20;
        cr_assert_eq(try_load(b, NULL, &e, &err), -SW_ERR_LIMIT);
        cr_assert_not_null(strstr(err.msg, "memory.limit"), "%s", err.msg);
        free(b.p);
}

Test(snapshot_file, another_window_of_fingerprints_keeps_them)
{
        struct play_bytes b = saved_at(network.n / 2);
        struct sw_actions out = { 0 };
        struct sw_engine *e;
        struct sw_err err;
        int64_t hours;

        for (hours = 1; hours <= 4; hours += 3) {
                uint64_t duplicates;

                network.conf.dedupe_ms = hours * SW_HOUR;
                cr_assert_eq(try_load(b, NULL, &e, &err), 0, "%s", err.msg);
                duplicates = sw_engine_stats(e).records_duplicate;
                play_run(&network, e, &out, network.n / 2 - 5, network.n / 2);
                cr_assert_gt(sw_engine_stats(e).records_duplicate, duplicates, "seen before");
                go_on(e);
                sw_actions_reset(&out);
        }
        sw_actions_deinit(&out);
        free(b.p);
}

static struct sw_segments *segments(const char *name, const char *cidr)
{
        struct sw_prefix p;
        struct sw_segment_spec s = { .segment = { .name = name, .criticality = 3 }, .cidrs = &p, .n_cidrs = 1 };
        const struct sw_segments_spec spec = { .segments = &s, .n_segments = 1 };
        struct sw_segments *ret;

        cr_assert(sw_prefix_parse(sw_str_of(cidr), &p, NULL));
        cr_assert_eq(sw_segments_new(&spec, &ret, NULL), 0);
        return ret;
}

static void find_until(void *ctx, const char *segment, struct sw_etime until)
{
        if (strcmp(segment, "renamed") == 0)
                *(struct sw_etime *)ctx = until;
}

Test(snapshot_file, segments_are_resolved_again_and_inherit_their_clocks)
{
        struct sw_segments *one = segments("app", "10.2.0.0/24"), *two = segments("renamed", "10.2.0.0/24");
        struct sw_etime until = SW_ETIME_NONE;
        struct sw_engine *e;
        struct sw_err err;
        struct play_bytes b;

        network.conf.segments = one;
        network.conf.learning_ms = 30 * SW_DAY;
        b = saved_at(network.n * 3 / 4);
        network.conf.segments = two;
        cr_assert_eq(try_load(b, NULL, &e, &err), 0, "%s", err.msg);
        sw_engine_learning(e, find_until, &until);
        cr_assert_not(sw_etime_is_none(until), "it learns since its hosts were seen first");
        cr_assert_lt(until.ms, sw_engine_watermark(e).ms + network.conf.learning_ms - SW_HOUR);
        go_on(e);
        sw_segments_free(one);
        sw_segments_free(two);
        free(b.p);
}

/* ---- learned state ---- */

static struct play_bytes learned_at(uint32_t to, struct sw_etime *ret_until)
{
        const struct sw_snapshot_conf conf = { .learned = true };
        struct sw_engine *e = play_fresh(&network);
        struct sw_actions out = { 0 };
        struct sw_snapshot *s;
        struct play_bytes b;

        play_run(&network, e, &out, 0, to);
        *ret_until = sw_engine_watermark(e);
        cr_assert_gt(out.signals.n, 0);
        cr_assert_eq(sw_snapshot_begin_as(e, &conf, &s), 0);
        b = play_read(s);
        sw_engine_free(e);
        sw_actions_deinit(&out);
        return b;
}

static uint32_t entries(struct sw_engine *e)
{
        return e->world.edges.edges.n_used + e->world.edges.classes.n_used + e->world.roles.progress.n_used +
               e->world.roles.fanout.n_used;
}

Test(snapshot_file, learned_state_keeps_baselines_and_nothing_else)
{
        struct sw_etime until;
        struct play_bytes b = learned_at(network.n * 3 / 4, &until), full = saved_at(network.n * 3 / 4);
        struct sw_engine *e, *whole;
        struct sw_engine_stats s;
        struct sw_err err;

        cr_assert_lt(b.n, full.n / 2);
        cr_assert_eq(try_load(b, NULL, &e, &err), 0, "%s", err.msg);
        cr_assert_eq(try_load(full, NULL, &whole, &err), 0, "%s", err.msg);
        cr_assert_geq(sw_engine_learned_until(e).ms, until.ms);
        cr_assert(sw_etime_is_none(sw_engine_learned_until(whole)));
        cr_assert(sw_etime_is_none(sw_engine_watermark(e)));
        cr_assert(sw_etime_is_none(sw_engine_newest(e, 0)));
        cr_assert_gt(entries(e), 100);
        cr_assert_eq(entries(e), entries(whole));
        s = sw_engine_stats(e);
        cr_assert_eq(s.hosts, sw_engine_stats(whole).hosts);
        cr_assert_eq(s.records + s.tuples + s.connections + s.signals + s.findings + s.reorder_tuples, 0);
        cr_assert_eq(e->dedupe.table.n_used + e->conns->table.n_used, 0);
        sw_engine_free(e);
        sw_engine_free(whole);
        free(b.p);
        free(full.p);
}

Test(snapshot_file, what_was_learned_is_neither_told_nor_learned_twice)
{
        struct sw_etime until;
        uint32_t cut = network.n * 3 / 4, before;
        struct play_bytes b = learned_at(cut, &until), again;
        struct sw_actions out = { 0 };
        struct sw_engine *e, *later;
        struct sw_err err;

        cr_assert_eq(try_load(b, NULL, &e, &err), 0, "%s", err.msg);
        before = entries(e);
        play_run(&network, e, &out, 0, cut);
        cr_assert_eq(out.signals.n, 0);
        cr_assert_eq(out.findings.n, 0);
        cr_assert_eq(entries(e), before);
        cr_assert_gt(sw_engine_stats(e).tuples, 1000, "they were folded");
        /* That survives a restart of the daemon in the middle. */
        again = play_save(e, "");
        sw_engine_free(e);
        cr_assert_eq(try_load(again, NULL, &later, &err), 0, "%s", err.msg);
        cr_assert_geq(sw_engine_learned_until(later).ms, until.ms);
        play_run(&network, later, &out, cut, network.n);
        cr_assert_gt(out.signals.n, 0, "what comes behind is told");
        cr_assert_gt(entries(later), before, "and learned");
        sw_engine_free(later);
        sw_actions_deinit(&out);
        free(again.p);
        free(b.p);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots that are wrong behind right checksums: every number of every small section, sections that are missing,
 * twice, unknown or at another place, and a source that fails anywhere. */
#include "../lib/heal.h"
#include "../lib/play.h"
#include "base/alloc.h"
#include "engine/engine_int.h"

#include <criterion/criterion.h>

/* A sanitizer takes ten times as long for the same bytes. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STEP 11
#else
#define STEP 1
#endif

static struct play network;
static struct play_bytes saved; /* three quarters of the network */

static void setup(void)
{
        struct sw_engine *e;
        struct sw_actions out = { 0 };

        play_init(&network, 4, 2);
        network.odd = true;
        network.conf.memory_limit_bytes = 12 << 20;
        e = play_fresh(&network);
        play_run(&network, e, &out, 0, network.n * 3 / 4);
        saved = play_save(e, "extra");
        sw_engine_free(e);
        sw_actions_deinit(&out);
}

static void teardown(void)
{
        free(saved.p);
        play_deinit(&network);
}

TestSuite(snapshot_damage, .init = setup, .fini = teardown);

static unsigned n_lost;
static char last_lost[64];

static void note_lost(void *ctx, const char *section, const char *why)
{
        (void)ctx;
        cr_assert(why[0]);
        (void)snprintf(last_lost, sizeof(last_lost), "%s", section);
        n_lost++;
}

/* What is taken must work, too. */
static int load(struct play_bytes b, struct sw_err *err)
{
        const struct sw_snapshot_hooks hooks = { .on_dropped = note_lost, .ctx = NULL };
        struct sw_actions out = { 0 };
        struct sw_engine *e = NULL;
        int r;

        *err = SW_ERR_NULL;
        n_lost = 0;
        b.at = 0;
        r = sw_engine_load(&network.conf, play_source, &b, &hooks, NULL, &e, err);
        cr_assert((r == 0) == (e != NULL));
        cr_assert(r == 0 || err->msg[0]);
        if (r == 0)
                (void)play_try(&network, e, &out, network.n * 3 / 4, network.n * 3 / 4 + 3);
        sw_actions_deinit(&out);
        sw_engine_free(e);
        return r;
}

/* ---- sections as a list ---- */

#define MAX_SECTIONS 2048

struct piece {
        const unsigned char *p;
        size_t n; /* with head and checksum */
};

struct list {
        struct piece items[MAX_SECTIONS];
        unsigned n;
};

static const char *name_of(const struct piece *x)
{
        return (const char *)x->p;
}

static void cut(struct play_bytes b, struct list *ret)
{
        size_t at = SW_FILE_HEAD;
        uint64_t n;

        ret->n = 0;
        while (heal_next(b.p, b.n, &at, &n)) {
                size_t bytes = SW_SECTION_HEAD + (size_t)n + SW_SECTION_TAIL;

                cr_assert_lt(ret->n, MAX_SECTIONS);
                ret->items[ret->n++] = (struct piece){ b.p + at, bytes };
                at += bytes;
        }
        cr_assert_eq(at, b.n);
}

static struct play_bytes joined(const struct list *l)
{
        struct play_bytes b = { .n = SW_FILE_HEAD };
        unsigned i;

        for (i = 0; i < l->n; i++)
                b.n += l->items[i].n;
        b.p = malloc(b.n);
        memcpy(b.p, saved.p, SW_FILE_HEAD);
        b.n = SW_FILE_HEAD;
        for (i = 0; i < l->n; i++) {
                memcpy(b.p + b.n, l->items[i].p, l->items[i].n);
                b.n += l->items[i].n;
        }
        heal(b.p, b.n);
        return b;
}

static int load_list(const struct list *l, struct sw_err *err)
{
        struct play_bytes b = joined(l);
        int r = load(b, err);

        free(b.p);
        return r;
}

static void put_in(struct list *l, unsigned at, struct piece x)
{
        cr_assert_lt(l->n, MAX_SECTIONS);
        memmove(l->items + at + 1, l->items + at, (l->n++ - at) * sizeof(*l->items));
        l->items[at] = x;
}

static void take_out(struct list *l, unsigned at)
{
        memmove(l->items + at, l->items + at + 1, (--l->n - at) * sizeof(*l->items));
}

static bool is_piece(const struct piece *x)
{
        return strcmp(name_of(x), "pieces") == 0;
}

static bool is_table(const struct piece *x)
{
        return strncmp(name_of(x), "table:", 6) == 0;
}

/* A section of one's own. */
static struct piece made(const char *name, const void *p, size_t n)
{
        unsigned char *all = calloc(1, SW_SECTION_HEAD + n + SW_SECTION_TAIL);

        memcpy(all + SW_SECTION_HEAD, p, n);
        sw_section_seal(all, name, 1, n, 0);
        return (struct piece){ all, SW_SECTION_HEAD + n + SW_SECTION_TAIL };
}

static unsigned find(const struct list *l, const char *name)
{
        unsigned i;

        for (i = 0; i < l->n; i++)
                if (strcmp(name_of(&l->items[i]), name) == 0)
                        return i;
        cr_assert(false, "no section %s", name);
        return 0;
}

/* ---- the source ---- */

struct failing {
        struct play_bytes b;
        unsigned left; /* calls until it fails */
        bool failed;
};

static int failing_source(void *ctx, void *buf, size_t n, size_t *ret_n)
{
        struct failing *f = ctx;

        if (f->left == 0) {
                f->failed = true;
                return -SW_ERR_IO;
        }
        f->left--;
        return play_source(&f->b, buf, n, ret_n);
}

Test(snapshot_damage, a_source_that_fails_is_told_wherever_it_does, .timeout = 120)
{
        struct sw_engine *e = NULL;
        struct sw_err err;
        unsigned calls;
        int r;

        for (calls = 0;; calls += calls < 40 ? 1 : STEP) {
                struct failing f = { .b = { saved.p, saved.n, 0 }, .left = calls };

                err = SW_ERR_NULL;
                r = sw_engine_load(&network.conf, failing_source, &f, NULL, NULL, &e, &err);
                if (!f.failed)
                        break;
                cr_assert_eq(r, -SW_ERR_IO, "call %u", calls);
                cr_assert_null(e);
                cr_assert(err.msg[0]);
        }
        cr_assert_eq(r, 0, "%s", err.msg);
        cr_assert_gt(calls, 100);
        sw_engine_free(e);
}

/* ---- sections ---- */

Test(snapshot_damage, a_section_that_is_missing_is_noticed)
{
        struct list all, l;
        struct sw_err err;
        unsigned i, refused = 0;
        int r;

        cut(saved, &all);
        for (i = 0; i < all.n; i++) {
                const char *name = name_of(&all.items[i]);

                l = all;
                take_out(&l, i);
                r = load_list(&l, &err);
                if (strcmp(name, "extra") == 0 || r == 0) {
                        cr_assert_eq(r, 0, "%s: %s", name, err.msg);
                        continue;
                }
                cr_assert(r == -SW_ERR_DATA || r == -SW_ERR_VERSION, "%s: %d", name, r);
                refused++;
                if (strcmp(name, "snapshot") == 0)
                        cr_assert_not_null(strstr(err.msg, "the first section is another one"), "%s", err.msg);
                else if (strcmp(name, "end") == 0)
                        cr_assert_not_null(strstr(err.msg, "the file ends before it"), "%s", err.msg);
        }
        cr_assert_gt(refused, 20);
}

Test(snapshot_damage, a_section_that_is_there_twice_is_noticed)
{
        struct list all, l;
        struct sw_err err;
        unsigned i;
        int r;

        cut(saved, &all);
        for (i = 0; i < all.n; i++) {
                const char *name = name_of(&all.items[i]);

                l = all;
                put_in(&l, i + 1, all.items[i]);
                r = load_list(&l, &err);
                if (strcmp(name, "snapshot") == 0) {
                        cr_assert_eq(r, 0, "%s", err.msg);
                        cr_assert_str_eq(last_lost, "snapshot", "once it is the head, then nothing that is known");
                } else if (strcmp(name, "extra") == 0) {
                        cr_assert_eq(r, 0, "%s", err.msg);
                } else if (!is_piece(&all.items[i])) {
                        cr_assert_eq(r, -SW_ERR_DATA, "%s", name);
                        cr_assert_not_null(
                                strstr(err.msg, strcmp(name, "end") ? "twice" : "something follows"), "%s", err.msg);
                }
        }
}

Test(snapshot_damage, a_section_of_another_version_is_refused_or_lost_with_a_word)
{
        struct list all;
        unsigned i, refused = 0, lost = 0;
        struct sw_err err;
        int r;

        cut(saved, &all);
        for (i = 0; i < all.n; i++) {
                size_t at = (size_t)(all.items[i].p - saved.p) + SW_SECTION_NAME;
                uint32_t version, other;

                if (is_piece(&all.items[i]))
                        continue;
                memcpy(&version, saved.p + at, sizeof(version));
                other = version + 1;
                memcpy(saved.p + at, &other, sizeof(other));
                heal(saved.p, saved.n);
                r = load(saved, &err);
                cr_assert(r == 0 || r == -SW_ERR_VERSION, "%s: %d %s", name_of(&all.items[i]), r, err.msg);
                refused += r != 0;
                lost += n_lost > 0;
                memcpy(saved.p + at, &version, sizeof(version));
                heal(saved.p, saved.n);
        }
        cr_assert_gt(refused, 3);
        cr_assert_gt(lost, 20);
        cr_assert_eq(load(saved, &err), 0, "%s", err.msg);
}

Test(snapshot_damage, too_much_of_anything_is_refused)
{
        struct list all, l;
        struct piece table, large;
        struct sw_err err;
        unsigned i;
        size_t n = (17 << 20) + 1;
        char *zeros = calloc(1, n);

        cut(saved, &all);
        l = all;
        table = all.items[find(&all, "world") - 1];
        for (i = 0; i < all.n && !is_table(&all.items[i]); i++)
                ;
        table = all.items[i];
        table = made("table:unknown", table.p + SW_SECTION_HEAD, table.n - SW_SECTION_HEAD - SW_SECTION_TAIL);
        for (i = 0; i < 256; i++)
                put_in(&l, l.n - 1, table);
        cr_assert_eq(load_list(&l, &err), -SW_ERR_DATA);
        cr_assert_not_null(strstr(err.msg, "too many tables"), "%s", err.msg);
        free((void *)(uintptr_t)table.p);
        large = made("extra", zeros, n);
        l = all;
        l.items[find(&l, "extra")] = large;
        cr_assert_eq(load_list(&l, &err), -SW_ERR_DATA);
        cr_assert_not_null(strstr(err.msg, "larger than a section can be"), "%s", err.msg);
        network.conf.memory_limit_bytes = 64 << 20;
        cr_assert_eq(load_list(&l, &err), -SW_ERR_DATA);
        cr_assert_not_null(strstr(err.msg, "too large"), "%s", err.msg);
        free((void *)(uintptr_t)large.p);
        free(zeros);
}

/* Bytes of [from, to) of a section, every step-th. */
static void damage_some(const struct piece *x, size_t from, size_t to, size_t step, unsigned *refused, unsigned *n)
{
        unsigned char *p = saved.p + (x->p - saved.p) + SW_SECTION_HEAD;
        struct sw_err err;
        unsigned k;
        size_t at;
        int r;

        for (at = from; at < to; at += step) {
                unsigned char was = p[at];

                for (k = 0; k < 2; k++) {
                        p[at] = k ? 0xff : (unsigned char)(was - 1);
                        heal(saved.p, saved.n);
                        r = load(saved, &err);
                        cr_assert(r == 0 || r == -SW_ERR_DATA || r == -SW_ERR_VERSION || r == -SW_ERR_LIMIT,
                                "%s at %zu: %d %s", name_of(x), at, r, err.msg);
                        *refused += r != 0;
                        ++*n;
                }
                p[at] = was;
        }
}

/* What stands beside the tables: what all else is followed by. */
Test(snapshot_damage, wrong_numbers_in_small_sections_are_refused_or_harmless, .timeout = 120)
{
        unsigned i, refused = 0, n = 0;
        struct sw_err err;
        struct list all;

        cut(saved, &all);
        for (i = 0; i < all.n; i++) {
                const struct piece *x = &all.items[i];
                size_t size = x->n - SW_SECTION_HEAD - SW_SECTION_TAIL;

                if (is_piece(x))
                        continue;
                if (size <= 400) {
                        damage_some(x, 0, size, 5 * STEP, &refused, &n);
                } else { /* begins with what is counted, and so it ends */
                        damage_some(x, 0, 64, 3 * STEP, &refused, &n);
                        damage_some(x, 64, size - 64, size / 20, &refused, &n);
                        damage_some(x, size - 64, size, 3 * STEP, &refused, &n);
                }
        }
        heal(saved.p, saved.n);
        cr_assert_eq(load(saved, &err), 0, "%s", err.msg);
        cr_assert_gt(refused, n / 10);
}

/* ---- entries ---- */

struct shape {
        uint32_t size;
        bool has_meta;
};

/* The shapes of the tables in their order, and the place of one of them among them. */
static uint32_t shapes_of(const struct list *l, const char *name, struct shape ret[256])
{
        uint32_t n = 0, found = UINT32_MAX;
        unsigned i;

        for (i = 0; i < l->n; i++) {
                const unsigned char *p = l->items[i].p + SW_SECTION_HEAD;

                if (!is_table(&l->items[i]))
                        continue;
                if (strcmp(name_of(&l->items[i]) + 6, name) == 0)
                        found = n;
                memcpy(&ret[n].size, p, sizeof(ret[n].size));
                ret[n++].has_meta = p[8];
        }
        cr_assert_neq(found, UINT32_MAX, "%s", name);
        return found;
}

/* The first entry in use of a table, NULL if it has none. */
static unsigned char *entry_of(const struct list *l, const char *name, uint32_t *ret_size)
{
        struct shape shapes[256];
        uint32_t want = shapes_of(l, name, shapes);
        unsigned i;

        *ret_size = shapes[want].size;
        for (i = 0; i < l->n; i++) {
                unsigned char *p = saved.p + (l->items[i].p - saved.p) + SW_SECTION_HEAD;
                const unsigned char *end = p + l->items[i].n - SW_SECTION_HEAD - SW_SECTION_TAIL;

                while (is_piece(&l->items[i]) && p < end) {
                        const struct shape *shape;
                        struct sw_guard_piece head;
                        uint32_t k;

                        memcpy(&head, p, sizeof(head));
                        p += sizeof(head);
                        shape = &shapes[head.region];
                        for (k = 0; k < head.n && head.region == want; k++)
                                if (!shape->has_meta || p[(size_t)head.n * shape->size + k])
                                        return p + (size_t)k * shape->size;
                        p += ((size_t)head.n * shape->size + (shape->has_meta ? head.n : 0) + 7) & ~(size_t)7;
                }
        }
        return NULL;
}

/* What an index is made of, a chain follows, or another table is taken to have. */
Test(snapshot_damage, wrong_entries_are_refused_or_harmless, .timeout = 120)
{
        static const char *const names[] = { "connections", "connections_more", "timers", "reorder_seconds",
                "reorder_small", "reorder_large", "fingerprints", "sensors", "hosts" };
        unsigned i, k, found = 0, refused = 0;
        struct sw_err err;
        struct list all;
        uint32_t size, at;
        int r;

        cut(saved, &all);
        for (i = 0; i < sizeof(names) / sizeof(*names); i++) {
                unsigned char *p = entry_of(&all, names[i], &size);

                if (!p)
                        continue;
                found++;
                for (at = 0; at < size; at += i == 0 ? STEP : at < 96 ? 3 * STEP : 53 * STEP) {
                        unsigned char was = p[at];

                        for (k = i == 0; k < 2; k++) {
                                p[at] = k ? 0xff : (unsigned char)(was ^ 1);
                                heal(saved.p, saved.n);
                                r = load(saved, &err);
                                cr_assert(r == 0 || r == -SW_ERR_DATA || r == -SW_ERR_LIMIT, "%s at %u: %d %s",
                                        names[i], at, r, err.msg);
                                refused += r != 0;
                        }
                        p[at] = was;
                }
        }
        heal(saved.p, saved.n);
        cr_assert_eq(load(saved, &err), 0, "%s", err.msg);
        cr_assert_gt(found, 5);
        cr_assert_gt(refused, 100 / STEP);
}

Test(snapshot_damage, pieces_that_are_cut_or_of_no_table_are_refused)
{
        struct list all, l;
        struct sw_err err;
        unsigned i, at = 0;
        static const struct {
                struct sw_guard_piece head;
                size_t n;
                const char *why;
        } rows[] = { { { 0 }, 5, "one is cut" }, { { .region = 9999, .n = 1 }, 16, "one is of no table" },
                { { .region = 0, .n = 0 }, 16, "one does not fit its table" },
                { { .region = 0, .n = 1 }, 16, "one does not fit its table" },
                { { .region = 0, .n = UINT32_MAX }, 16, "one does not fit its table" } };

        cut(saved, &all);
        for (i = 0; i < all.n; i++)
                if (is_piece(&all.items[i]))
                        at = i;
        for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
                struct piece x = made("pieces", &rows[i].head, rows[i].n);

                l = all;
                put_in(&l, at + 1, x);
                cr_assert_eq(load_list(&l, &err), -SW_ERR_DATA, "row %u", i);
                cr_assert_not_null(strstr(err.msg, rows[i].why), "row %u: %s", i, err.msg);
                free((void *)(uintptr_t)x.p);
        }
}

Test(snapshot_damage, whoever_asks_for_no_words_gets_none)
{
        const struct sw_snapshot_hooks silent = { .on_dropped = NULL };
        struct play_bytes b = saved;
        struct sw_engine *e = NULL;
        struct list all;
        uint32_t version;
        unsigned char *p;

        cut(saved, &all);
        p = saved.p + (all.items[find(&all, "table:roles")].p - saved.p) + SW_SECTION_NAME;
        memcpy(&version, p, sizeof(version));
        version++;
        memcpy(p, &version, sizeof(version));
        heal(saved.p, saved.n);
        b.at = 0;
        cr_assert_eq(sw_engine_load(&network.conf, play_source, &b, &silent, NULL, &e, NULL), 0);
        sw_engine_free(e);
        b.p[0] ^= 1;
        b.at = 0;
        e = NULL;
        cr_assert_eq(sw_engine_load(&network.conf, play_source, &b, NULL, NULL, &e, NULL), -SW_ERR_DATA);
        cr_assert_null(e);
}

/* What is held is taken as it lies: a partition is an index, a time is walked to. */
Test(snapshot_damage, held_tuples_that_refer_to_nothing_are_refused)
{
        enum { PARTITION, TIME_BELOW, TIME_BEYOND, STATE, RULE, SENSOR, NOTHING };
        struct sw_engine *e = play_fresh(&network);
        struct sw_actions out = { 0 };
        unsigned what, tried = 0;
        struct play_bytes b;
        struct sw_err err;
        struct sw_batch one = network.batches[60]; /* its first record alone, from a clock five hours ahead */
        struct sw_event ev = { .type = SW_EVENT_BATCH, .batch = { .batch = &one, .carrier = SW_ETIME_NONE } };
        uint32_t i;

        play_run(&network, e, &out, 0, 60);
        one.n_records = 1;
        one.records[0].time.ms += 5 * SW_HOUR;
        for (i = 0; i < one.records[0].n_tuples; i++)
                one.tuples[one.records[0].first_tuple + i].time.ms += 5 * SW_HOUR;
        cr_assert_eq(sw_engine_step(e, &ev, &out), 0);
        cr_assert_gt(e->hold.n, 0);
        b = play_save(e, "");
        for (what = 0; what <= NOTHING; what++) {
                struct sw_held x = e->hold.items[0], wrong = x;
                unsigned char *at = memmem(b.p, b.n, &e->hold.items[0], sizeof(x)); /* with its padding */

                cr_assert_not_null(at);
                wrong.partition = what == PARTITION ? e->n_newest : x.partition;
                wrong.tuple.time.ms = what == TIME_BELOW ? -1 : what == TIME_BEYOND ? INT64_MAX : x.tuple.time.ms;
                wrong.tuple.state = what == STATE ? SW_STATE_DENIED + 1 : x.tuple.state;
                wrong.tuple.rule = what == RULE ? 1000000 : x.tuple.rule;
                wrong.tuple.sensor = what == SENSOR ? 1000000 : x.tuple.sensor;
                memcpy(at, &wrong, sizeof(wrong));
                heal(b.p, b.n);
                cr_assert_eq(load(b, &err), what == NOTHING ? 0 : -SW_ERR_DATA, "%u: %s", what, err.msg);
                memcpy(at, &e->hold.items[0], sizeof(x));
                tried++;
        }
        cr_assert_eq(tried, NOTHING + 1);
        sw_engine_free(e);
        sw_actions_deinit(&out);
        free(b.p);
}

/* A table of an older version whose entries are not what that version wrote: it is lost alone, with a word, and what
 * still comes for it is skipped. */
Test(snapshot_damage, entries_that_cannot_be_migrated_lose_their_table_alone)
{
        const uint32_t version = 1;
        struct list all;
        struct sw_err err;
        uint32_t size;

        cut(saved, &all);
        cr_assert_not_null(entry_of(&all, "denied_scan", &size), "there is something to be lost");
        memcpy(saved.p + (all.items[find(&all, "table:denied_scan")].p - saved.p) + SW_SECTION_NAME, &version,
                sizeof(version));
        heal(saved.p, saved.n);
        cr_assert_eq(load(saved, &err), 0, "%s", err.msg);
        cr_assert_eq(n_lost, 1);
        cr_assert_str_eq(last_lost, "denied_scan");
}

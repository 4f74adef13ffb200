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

static int load(struct play_bytes b, struct sw_err *err)
{
        const struct sw_snapshot_loss loss = { note_lost, NULL };
        struct sw_engine *e = NULL;
        int r;

        *err = SW_ERR_NULL;
        n_lost = 0;
        b.at = 0;
        r = sw_engine_load(&network.conf, play_source, &b, &loss, NULL, &e, err);
        cr_assert((r == 0) == (e != NULL));
        cr_assert(r == 0 || err->msg[0]);
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

/* Bytes all over what is small: what all else is followed by. */
Test(snapshot_damage, wrong_numbers_in_small_sections_are_refused_or_harmless, .timeout = 120)
{
        struct list all;
        unsigned i, k, refused = 0, n = 0;
        struct sw_err err;
        int r;

        cut(saved, &all);
        for (i = 0; i < all.n; i++) {
                size_t from = (size_t)(all.items[i].p - saved.p) + SW_SECTION_HEAD, at;
                size_t end = from + all.items[i].n - SW_SECTION_HEAD - SW_SECTION_TAIL;

                if (is_piece(&all.items[i]) || end - from > 4000)
                        continue;
                for (at = from; at<end; at += end - from> 400 ? 13 * STEP : STEP) {
                        unsigned char was = saved.p[at];
                        const unsigned char others[] = { 0xff, (unsigned char)(was - 1) };

                        for (k = 0; k < 2; k++) {
                                saved.p[at] = others[k];
                                heal(saved.p, saved.n);
                                r = load(saved, &err);
                                cr_assert(r == 0 || r == -SW_ERR_DATA || r == -SW_ERR_VERSION || r == -SW_ERR_LIMIT,
                                        "%s at %zu: %d %s", name_of(&all.items[i]), at - from, r, err.msg);
                                refused += r != 0;
                                n++;
                        }
                        saved.p[at] = was;
                }
        }
        heal(saved.p, saved.n);
        cr_assert_eq(load(saved, &err), 0, "%s", err.msg);
        cr_assert_gt(refused, n / 10);
}

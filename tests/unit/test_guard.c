/* SPDX-License-Identifier: Apache-2.0 */
#include "base/guard.h"
#include "base/table.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

struct row {
        uint32_t key, value[5];
};

static const struct sw_table_spec spec = {
        .name = "rows", .version = 1, .entry_size = sizeof(struct row), .key_size = 4
};
static const struct sw_hash_key seed = { 3, 4 };

struct image {
        struct sw_guard *g;
        uint32_t n;
        unsigned char *rows, *meta; /* as they were */
        unsigned char *got_rows, *got_meta, *times;
        bool is_over;
};

static struct image open_guard(struct sw_table *t, sw_guard_wait wait, void *ctx)
{
        struct image x = { .n = t->n_high };
        const struct sw_guard_source source = {
                .entries = t->pool, .meta = t->meta, .entry_size = sizeof(struct row), .n = t->n_high
        };

        x.rows = malloc(x.n * sizeof(struct row));
        x.meta = malloc(x.n);
        memcpy(x.rows, t->pool, x.n * sizeof(struct row));
        memcpy(x.meta, t->meta, x.n);
        x.got_rows = calloc(x.n, sizeof(struct row));
        x.got_meta = calloc(x.n, 1);
        x.times = calloc(x.n, 1);
        cr_assert_eq(sw_guard_new(1, wait, ctx, &x.g), 0);
        cr_assert_eq(sw_guard_add(x.g, &source, &t->guard), 0);
        cr_assert_eq(sw_guard_open(x.g), 0);
        cr_assert_not_null(t->guard);
        return x;
}

static void read_some(struct image *x)
{
        static unsigned char block[SW_GUARD_READ_BYTES];
        size_t n = sw_guard_read(x->g, block, sizeof(block)), at = 0;

        x->is_over = n == 0;
        while (at < n) {
                struct sw_guard_piece p;
                uint32_t i;

                memcpy(&p, block + at, sizeof(p));
                cr_assert_eq(p.region, 0);
                cr_assert_leq(p.first + p.n, x->n);
                at += sizeof(p);
                memcpy(x->got_rows + p.first * sizeof(struct row), block + at, p.n * sizeof(struct row));
                at += p.n * sizeof(struct row);
                memcpy(x->got_meta + p.first, block + at, p.n);
                at = (at + p.n + 7) & ~(size_t)7;
                for (i = 0; i < p.n; i++)
                        cr_assert_eq(x->times[p.first + i]++, 0, "each entry comes once");
        }
        cr_assert_eq(at, n);
}

static void wait_by_reading(void *ctx)
{
        read_some(ctx);
}

static void close_guard(struct image *x)
{
        uint32_t i;

        for (i = 0; i < x->n; i++)
                cr_assert_eq(x->times[i], 1, "entry %u came", i);
        cr_assert_eq(memcmp(x->rows, x->got_rows, x->n * sizeof(struct row)), 0);
        cr_assert_eq(memcmp(x->meta, x->got_meta, x->n), 0);
        sw_guard_free(x->g);
        free(x->rows);
        free(x->meta);
        free(x->got_rows);
        free(x->got_meta);
        free(x->times);
}

static uint32_t next_random(uint32_t *rng)
{
        *rng ^= *rng << 13;
        *rng ^= *rng >> 17;
        *rng ^= *rng << 5;
        return *rng;
}

/* One change through any of the doors that change something or hand it out to be changed. */
static void change(struct sw_table *t, uint32_t *rng)
{
        uint32_t key = next_random(rng) % 6000, id = next_random(rng) % (t->n_high + 10), dice = next_random(rng) % 8;
        struct row *r = NULL;
        bool created;

        if (dice < 3)
                r = sw_table_insert(t, &key, &created);
        else if (dice < 5)
                r = sw_table_find(t, &key);
        else if (dice == 5)
                r = sw_table_at(t, id);
        else if (dice == 6 && sw_table_at(t, id))
                sw_table_remove_id(t, id);
        else if (sw_table_at(t, id))
                sw_table_pin(t, id, id % 7 == 0);
        if (r)
                r->value[dice % 5] = next_random(rng);
}

Test(guard, random_changes_meanwhile_are_not_seen)
{
        struct sw_table t;
        struct image x;
        uint32_t rng = 88172645, i, round;

        cr_assert_eq(sw_table_init(&t, &spec, 160 << 10, &seed, NULL), 0);
        for (i = 0; i < 8000; i++)
                change(&t, &rng);
        for (round = 1; round <= 5; round++) {
                x = open_guard(&t, wait_by_reading, &x);
                for (i = 0; !x.is_over; i++) {
                        change(&t, &rng);
                        if (i % (round * round * 300) == 0)
                                read_some(&x);
                }
                cr_assert(round == 1 || sw_guard_stats(x.g).copied_ahead > 0);
                close_guard(&x);
                cr_assert_null(t.guard);
        }
        cr_assert_gt(t.n_evicted, 0, "the hand of the clock moved as well");
        sw_table_deinit(&t);
}

Test(guard, a_full_ring_makes_the_owner_wait_for_the_reader)
{
        struct sw_table t;
        struct image x;
        uint32_t i;
        bool created;

        cr_assert_eq(sw_table_init(&t, &spec, 4 << 20, &seed, NULL), 0);
        for (i = 0; i < 40000; i++)
                (void)sw_table_insert(&t, &i, &created);
        x = open_guard(&t, wait_by_reading, &x);
        for (i = 40000; i-- > 0;)
                ((struct row *)sw_table_find(&t, &i))->value[0]++;
        cr_assert_gt(sw_guard_stats(x.g).waits, 5);
        while (!x.is_over)
                read_some(&x);
        close_guard(&x);
        sw_table_deinit(&t);
}

Test(guard, a_table_that_is_emptied_was_full_at_begin)
{
        struct sw_table t;
        struct image x;
        uint32_t i;
        bool created;

        cr_assert_eq(sw_table_init(&t, &spec, 1 << 20, &seed, NULL), 0);
        for (i = 0; i < 1000; i++)
                (void)sw_table_insert(&t, &i, &created);
        x = open_guard(&t, wait_by_reading, &x);
        sw_table_clear(&t);
        while (!x.is_over)
                read_some(&x);
        close_guard(&x);
        sw_table_deinit(&t);
}

Test(guard, nobody_waits_for_a_reader_that_gave_up)
{
        struct sw_table t;
        struct image x;
        uint32_t i;
        bool created;

        cr_assert_eq(sw_table_init(&t, &spec, 4 << 20, &seed, NULL), 0);
        for (i = 0; i < 40000; i++)
                (void)sw_table_insert(&t, &i, &created);
        x = open_guard(&t, NULL, NULL);
        read_some(&x);
        cr_assert_not(sw_guard_is_abandoned(x.g));
        sw_guard_abandon(x.g);
        for (i = 0; i < 40000; i++)
                ((struct row *)sw_table_find(&t, &i))->value[0]++;
        read_some(&x);
        cr_assert(x.is_over);
        sw_guard_free(x.g);
        free(x.rows);
        free(x.meta);
        free(x.got_rows);
        free(x.got_meta);
        free(x.times);
        sw_table_deinit(&t);
}

Test(guard, an_empty_table_is_over_at_once)
{
        struct sw_table t;
        struct image x;

        cr_assert_eq(sw_table_init(&t, &spec, 1 << 20, &seed, NULL), 0);
        x = (struct image){ 0 };
        cr_assert_eq(sw_guard_new(1, NULL, NULL, &x.g), 0);
        cr_assert_eq(sw_guard_add(x.g, &(struct sw_guard_source){ .entry_size = 24 }, &t.guard), 0);
        cr_assert_eq(sw_guard_open(x.g), 0);
        read_some(&x);
        cr_assert(x.is_over);
        sw_guard_free(x.g);
        sw_table_deinit(&t);
}

/* Entries of any size, some free, changed from the far end: each comes once, as it was, and free ones of a pool not. */
static void guard_size(uint32_t entry_size, uint32_t n, bool skip_free)
{
        static unsigned char block[SW_GUARD_READ_BYTES];
        unsigned char *entries = malloc((size_t)n * entry_size), *meta = malloc(n), *times = calloc(n, 1);
        const struct sw_guard_source source = {
                .entries = entries, .meta = meta, .entry_size = entry_size, .n = n, .skip_free = skip_free
        };
        struct sw_guard_region *region = NULL;
        struct sw_guard *g;
        uint32_t i, changed = n;
        size_t got, at;

        for (i = 0; i < n; i++) {
                memset(entries + (size_t)i * entry_size, (int)(i % 251), entry_size);
                meta[i] = i % 3 ? 1 : 0;
        }
        cr_assert_eq(sw_guard_new(256 << 10, NULL, NULL, &g), 0);
        cr_assert_eq(sw_guard_add(g, &source, &region), 0);
        cr_assert_eq(sw_guard_open(g), 0);
        do {
                for (i = 0; i < 7 && changed; i++) {
                        changed -= changed < 5 ? changed : 5;
                        sw_guard_touch(region, changed);
                        sw_guard_touch(region, changed);
                        entries[(size_t)changed * entry_size + entry_size - 1] ^= 0xff;
                        meta[changed] ^= 2;
                }
                got = sw_guard_read(g, block, sizeof(block));
                for (at = 0; at < got; at = (at + 7) & ~(size_t)7) {
                        struct sw_guard_piece p;

                        memcpy(&p, block + at, sizeof(p));
                        at += sizeof(p);
                        for (i = 0; i < p.n; i++) {
                                uint32_t id = p.first + i;

                                cr_assert_lt(id, n);
                                cr_assert_eq(times[id]++, 0, "size %u: entry %u twice", entry_size, id);
                                cr_assert_eq(block[at + (size_t)i * entry_size], id % 251);
                                cr_assert_eq(block[at + (size_t)(i + 1) * entry_size - 1], id % 251, "entry %u", id);
                                cr_assert_eq(block[at + (size_t)p.n * entry_size + i], id % 3 ? 1 : 0);
                        }
                        at += (size_t)p.n * (entry_size + 1);
                }
                cr_assert_eq(at, got);
        } while (got);
        for (i = 0; i < n; i++)
                cr_assert(times[i] || (skip_free && i % 3 == 0), "size %u: entry %u of %u", entry_size, i, n);
        if (skip_free && entry_size > 64)
                cr_assert_eq(times[0], 0);
        cr_assert_gt(sw_guard_stats(g).copied_ahead, 0);
        cr_assert_leq(sw_guard_stats(g).ring_bytes, 256 << 10);
        sw_guard_free(g);
        free(entries);
        free(meta);
        free(times);
}

Test(guard, entries_of_any_size_come_once_as_they_were)
{
        static const uint32_t sizes[] = { 8, 24, 64, 72, 136, 1000, 8192 };
        unsigned i;

        for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
                guard_size(sizes[i], 3000, false);
                guard_size(sizes[i], 64 * 16, true);
                guard_size(sizes[i], 1, false);
        }
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "persist/region.h"

#include "base/err.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

struct old_row {
        uint32_t key, value;
};

struct new_row {
        uint64_t key, value, twice;
};

static bool bring_up(uint32_t version, uint32_t entry_size, const void *old, void *entry)
{
        struct old_row from;
        struct new_row *to = entry;

        if (version != 1 || entry_size != sizeof(from))
                return false;
        memcpy(&from, old, sizeof(from));
        to->key = from.key;
        to->value = from.value;
        to->twice = from.value * 2ull;
        return from.value != 666;
}

static const struct sw_table_spec old_spec = {
        .name = "rows", .version = 1, .entry_size = sizeof(struct old_row), .key_size = 4
};
static const struct sw_table_spec new_spec = {
        .name = "rows", .version = 2, .entry_size = sizeof(struct new_row), .key_size = 8, .migrate = bring_up
};
static const struct sw_hash_key seed = { 7, 8 };

#define N_ROWS 3000u

static void fill(struct sw_table *t, uint32_t bad)
{
        uint32_t i;
        bool created;

        cr_assert_eq(sw_table_init(t, &old_spec, 1 << 20, &seed, NULL), 0);
        for (i = 1; i <= N_ROWS; i++) {
                struct old_row *r = sw_table_insert(t, &i, &created);

                r->value = i == bad ? 666 : i + 1000;
        }
        for (i = 3; i <= N_ROWS; i += 3)
                sw_table_remove(t, sw_table_find(t, &i));
}

/* Saves one region and loads it into another; what load_end (or the first refusal) says. */
static int carry(const struct sw_region *from, const struct sw_region *to, struct sw_region_load *l, const char **why)
{
        struct sw_buf head = SW_BUF_NULL;
        struct sw_state_io w = { .out = &head }, r;
        static unsigned char block[1 << 18];
        struct sw_guard *g;
        size_t n, at;
        int e;

        cr_assert_eq(sw_guard_new(1, NULL, NULL, &g), 0);
        cr_assert_eq(sw_region_save(from, g, &w), 0);
        cr_assert_eq(sw_guard_open(g), 0);
        r = (struct sw_state_io){ .p = (unsigned char *)head.p, .n = head.n, .version = from->version };
        e = sw_region_load_begin(l, to, &r, why);
        while ((n = sw_guard_read(g, block, sizeof(block))) > 0)
                for (at = 0; at < n && e >= 0;) {
                        struct sw_guard_piece p;

                        memcpy(&p, block + at, sizeof(p));
                        at += sizeof(p);
                        e = sw_region_load_piece(l, &p, block + at, n - at);
                        at += sw_region_piece_bytes(l, p.n);
                }
        sw_guard_free(g);
        sw_buf_deinit(&head);
        return e < 0 ? e : sw_region_load_end(l);
}

Test(region, a_table_comes_back_with_ids_free_list_and_hand)
{
        struct sw_table a, b;
        struct sw_region from, to;
        struct sw_region_load l;
        const char *why = NULL;
        uint32_t i, x, y;
        bool created;

        fill(&a, 0);
        cr_assert_eq(sw_table_init(&b, &old_spec, 1 << 20, &seed, NULL), 0);
        from = sw_region_table(&a);
        to = sw_region_table(&b);
        cr_assert_eq(carry(&from, &to, &l, &why), 0);
        cr_assert_null(why);
        cr_assert_eq(b.n_used, N_ROWS - N_ROWS / 3);
        cr_assert_eq(a.bytes, b.bytes);
        for (i = 1; i <= N_ROWS; i++) {
                const struct old_row *p = sw_table_find_id(&a, &i, &x), *q = sw_table_find_id(&b, &i, &y);

                cr_assert_eq(p != NULL, q != NULL);
                cr_assert(!p || (x == y && p->value == q->value));
        }
        for (i = N_ROWS + 1; i < 3 * N_ROWS; i++) { /* used again in the same order, then new ones */
                (void)sw_table_insert_id(&a, &i, &created, &x);
                (void)sw_table_insert_id(&b, &i, &created, &y);
                cr_assert_eq(x, y);
        }
        sw_table_deinit(&a);
        sw_table_deinit(&b);
}

Test(region, an_older_version_is_migrated_where_that_is_declared)
{
        struct sw_table a, b;
        struct sw_region from, to;
        struct sw_region_load l;
        const char *why = NULL;
        uint64_t i;

        fill(&a, 0);
        cr_assert_eq(sw_table_init(&b, &new_spec, 1 << 20, &seed, NULL), 0);
        from = sw_region_table(&a);
        to = sw_region_table(&b);
        cr_assert_eq(carry(&from, &to, &l, &why), 0);
        cr_assert_not(l.dropped);
        for (i = 1; i <= N_ROWS; i++) {
                const struct new_row *p = sw_table_find(&b, &i);

                cr_assert_eq(p != NULL, i % 3 != 0);
                cr_assert(!p || (p->value == i + 1000 && p->twice == 2 * i + 2000));
        }
        sw_table_deinit(&a);
        sw_table_deinit(&b);
}

Test(region, what_cannot_be_migrated_is_dropped_and_the_table_works)
{
        struct sw_table a, b;
        struct sw_region from, to;
        struct sw_region_load l;
        const char *why = NULL;
        uint64_t key = 5;
        bool created;

        fill(&a, 2000); /* refused in the middle */
        cr_assert_eq(sw_table_init(&b, &new_spec, 1 << 20, &seed, NULL), 0);
        from = sw_region_table(&a);
        to = sw_region_table(&b);
        cr_assert_eq(carry(&from, &to, &l, &why), 0);
        cr_assert(l.dropped);
        cr_assert_eq(b.n_used, 0);
        cr_assert_not_null(sw_table_insert(&b, &key, &created));
        cr_assert(created);
        sw_table_deinit(&a);
        sw_table_deinit(&b);
}

Test(region, another_version_without_a_migration_is_dropped)
{
        struct sw_table_spec spec = old_spec;
        struct sw_table a, b;
        struct sw_region from, to;
        struct sw_region_load l;
        const char *why = NULL;

        fill(&a, 0);
        spec.version = 2;
        cr_assert_eq(sw_table_init(&b, &spec, 1 << 20, &seed, NULL), 0);
        from = sw_region_table(&a);
        to = sw_region_table(&b);
        cr_assert_eq(carry(&from, &to, &l, &why), 0);
        cr_assert(l.dropped);
        cr_assert_not_null(why);
        cr_assert_eq(b.n_used, 0);
        sw_table_deinit(&a);
        sw_table_deinit(&b);
}

Test(region, less_memory_than_the_content_needs_is_refused)
{
        struct sw_table a, b;
        struct sw_region from, to;
        struct sw_region_load l;
        const char *why = NULL;

        fill(&a, 0);
        cr_assert_eq(sw_table_init(&b, &old_spec, 16 << 10, &seed, NULL), 0);
        from = sw_region_table(&a);
        to = sw_region_table(&b);
        cr_assert_eq(carry(&from, &to, &l, &why), -SW_ERR_LIMIT);
        sw_table_deinit(&a);
        sw_table_deinit(&b);
}

Test(region, a_pool_leaves_out_what_is_free)
{
        static const struct sw_pool_spec spec = { .name = "chunks", .version = 1, .entry_size = 4096 };
        struct sw_pool a, b;
        struct sw_region from, to;
        struct sw_region_load l;
        const char *why = NULL;
        uint32_t i, id;

        sw_pool_init(&a, &spec, 1 << 20);
        sw_pool_init(&b, &spec, 1 << 20);
        for (i = 0; i < 100; i++)
                memset(sw_pool_take(&a, &id), (int)i + 1, 4096);
        for (i = 0; i < 100; i++)
                if (i % 10)
                        sw_pool_give(&a, i);
        from = sw_region_pool(&a);
        to = sw_region_pool(&b);
        cr_assert_eq(carry(&from, &to, &l, &why), 0);
        cr_assert_eq(b.n_used, 10);
        cr_assert_eq(l.n_left, 90);
        for (i = 0; i < 100; i += 10)
                cr_assert_eq(memcmp(sw_pool_peek(&a, i), sw_pool_peek(&b, i), 4096), 0);
        for (i = 0; i < 90; i++)
                cr_assert_not_null(sw_pool_take(&b, &id));
        cr_assert_eq(b.n_high, 100);
        for (; sw_pool_take(&b, &id);)
                ;
        cr_assert_eq(b.n_high, (1 << 20) / 4096, "and not one more");
        sw_pool_deinit(&a);
        sw_pool_deinit(&b);
}

Test(region, texts_come_back_where_they_stood)
{
        struct sw_texts a, b;
        struct sw_region from, to;
        struct sw_region_load l;
        const char *why = NULL;
        char word[32];
        uint32_t refs[500], i;

        sw_texts_init(&a, "words", 1 << 16);
        sw_texts_init(&b, "words", 1 << 16);
        for (i = 0; i < 500; i++) {
                (void)snprintf(word, sizeof(word), "%.*s%u", (int)(i % 20), "....................", i);
                cr_assert(sw_texts_add(&a, sw_str_of(word), &refs[i]));
        }
        from = sw_region_texts(&a);
        to = sw_region_texts(&b);
        cr_assert_eq(carry(&from, &to, &l, &why), 0);
        for (i = 0; i < 500; i++) {
                cr_assert_str_eq(sw_texts_at(&a, refs[i]), sw_texts_at(&b, refs[i]));
                cr_assert(sw_texts_has(&b, refs[i], (uint32_t)strlen(sw_texts_at(&b, refs[i]))));
        }
        cr_assert_not(sw_texts_has(&b, refs[499] + 10, 0));
        cr_assert_not(sw_texts_has(&b, 0, UINT32_MAX));
        while (sw_texts_add(&b, SW_STR("12345678"), &i))
                ;
        cr_assert_leq(b.used_bytes, b.max_bytes);
        sw_texts_deinit(&a);
        sw_texts_deinit(&b);
}

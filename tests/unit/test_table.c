/* SPDX-License-Identifier: Apache-2.0 */
#include "base/table.h"

#include <criterion/criterion.h>

struct entry {
        uint64_t key, value;
};

static const struct sw_table_spec spec = {
        .name = "test",
        .version = 1,
        .entry_size = sizeof(struct entry),
        .key_size = 8,
};
static const struct sw_hash_key seed = { 1, 2 };

static struct sw_table make(size_t limit)
{
        struct sw_table t;

        cr_assert_eq(sw_table_init(&t, &spec, limit, &seed, NULL), 0);
        return t;
}

Test(table, finds_what_was_inserted_and_nothing_else)
{
        struct sw_table t = make(64 << 20);
        uint64_t k;
        bool created;

        for (k = 0; k < 100000; k++) {
                struct entry *e = sw_table_insert(&t, &k, &created);

                cr_assert(e && created);
                e->value = k * 3;
        }
        for (k = 0; k < 200000; k++) {
                struct entry *e = sw_table_find(&t, &k);

                cr_assert_eq(e != NULL, k < 100000);
                if (e)
                        cr_assert_eq(e->value, k * 3);
        }
        cr_assert_eq(t.n_used, 100000);
        cr_assert_leq(t.bytes, t.limit_bytes);
        sw_table_deinit(&t);
}

Test(table, agrees_with_a_plain_array_under_random_inserts_and_removals)
{
        struct sw_table t = make(64 << 20);
        static uint64_t truth[5000];
        uint64_t rng = 88172645463325252ULL, k;
        int step;
        bool created;

        for (step = 0; step < 400000; step++) {
                struct entry *e;

                rng ^= rng << 13;
                rng ^= rng >> 7;
                rng ^= rng << 17;
                k = rng % 5000;
                if (rng >> 60 < 6) {
                        e = sw_table_find(&t, &k);
                        cr_assert_eq(e != NULL, truth[k] != 0);
                        if (e)
                                sw_table_remove(&t, e);
                        truth[k] = 0;
                        continue;
                }
                e = sw_table_insert(&t, &k, &created);
                cr_assert_eq(created, truth[k] == 0);
                e->value = truth[k] = (rng >> 8) | 1;
        }
        for (k = 0; k < 5000; k++) {
                struct entry *e = sw_table_find(&t, &k);

                cr_assert_eq(e ? e->value : 0, truth[k]);
        }
        sw_table_deinit(&t);
}

Test(table, stays_within_its_limit_and_counts_evictions)
{
        struct sw_table t = make(1 << 20);
        uint64_t k;
        bool created;

        for (k = 0; k < 1000000; k++)
                cr_assert_not_null(sw_table_insert(&t, &k, &created));
        cr_assert_leq(t.bytes, t.limit_bytes);
        cr_assert_gt(t.n_used, 20000);
        cr_assert_eq(t.n_evicted, 1000000 - t.n_used);
        sw_table_deinit(&t);
}

Test(table, never_evicts_pinned_entries)
{
        struct sw_table t = make(256 << 10);
        uint64_t k = 7;
        uint32_t id;
        bool created;

        sw_table_insert_id(&t, &k, &created, &id);
        sw_table_pin(&t, id, true);
        for (k = 1000; k < 100000; k++)
                sw_table_insert(&t, &k, &created);
        k = 7;
        cr_assert_not_null(sw_table_find(&t, &k));
        cr_assert_eq(sw_table_at(&t, id), sw_table_find(&t, &k));
        sw_table_deinit(&t);
}

Test(table, victims_do_not_depend_on_the_seed)
{
        struct sw_table a = make(256 << 10), b;
        struct sw_hash_key other = { 99, 100 };
        uint64_t k;
        bool created;

        cr_assert_eq(sw_table_init(&b, &spec, 256 << 10, &other, NULL), 0);
        for (k = 0; k < 50000; k++) {
                sw_table_insert(&a, &k, &created);
                sw_table_insert(&b, &k, &created);
        }
        for (k = 0; k < 50000; k++)
                cr_assert_eq(sw_table_find(&a, &k) != NULL, sw_table_find(&b, &k) != NULL);
        sw_table_deinit(&a);
        sw_table_deinit(&b);
}

Test(table, says_what_the_next_insert_will_take)
{
        struct sw_table t = make(256 << 10);
        size_t before, growth;
        uint64_t k;
        bool created;

        for (k = 0; t.n_evicted == 0 && k < 100000; k++) {
                before = t.bytes;
                growth = sw_table_growth(&t);
                sw_table_insert(&t, &k, &created);
                if (growth == 0)
                        cr_assert_eq(t.bytes, before);
                else if (before + growth <= t.limit_bytes)
                        cr_assert(t.bytes > before && t.bytes <= before + growth && t.n_evicted == 0);
        }
        cr_assert_gt(t.n_evicted, 0);
        sw_table_remove_id(&t, 0);
        cr_assert_eq(sw_table_growth(&t), 0, "a free entry is room");
        sw_table_deinit(&t);
}

Test(table, refuses_a_limit_too_small_to_be_of_use)
{
        struct sw_table t;

        cr_assert_lt(sw_table_init(&t, &spec, 100, &seed, NULL), 0);
}

/* A zero factor would swallow half of a key: also a secret of zeros must spread keys whose second half is zero. */
Test(table, spreads_keys_under_any_secret)
{
        static const struct sw_hash_key secrets[] = { { 0, 0 }, { 1, 0 }, { 0, 1 }, { UINT64_MAX, UINT64_MAX } };
        static unsigned char hit[1 << 16];
        unsigned s, n;
        uint64_t key[2];

        for (s = 0; s < sizeof(secrets) / sizeof(*secrets); s++) {
                memset(hit, 0, sizeof(hit));
                for (key[0] = n = 0; key[0] < sizeof(hit); key[0]++) {
                        unsigned char *h;

                        key[1] = 0;
                        h = &hit[sw_keyhash(&secrets[s], key, sizeof(key)) % sizeof(hit)];
                        n += !*h;
                        *h = 1;
                }
                cr_assert_gt(n, 40000, "secret %u: %u of 65536 slots, 41427 are expected of chance", s, n);
        }
}

/* Longest way from a key's home to its slot. */
static unsigned longest_probe(const struct sw_table *t)
{
        unsigned longest = 0;
        uint32_t i, id;

        for (i = 0; i <= t->slot_mask; i++) {
                const void *e;
                uint32_t home;

                if (!t->slots[i])
                        continue;
                id = (uint32_t)t->slots[i] - 1;
                e = sw_table_at(t, id);
                cr_assert_not_null(e);
                home = (uint32_t)sw_table_hash(t, e) & t->slot_mask;
                if (((i - home) & t->slot_mask) > longest)
                        longest = (i - home) & t->slot_mask;
        }
        return longest;
}

/* Keys that all share a home under a secret that somebody knows: the worst he can send. */
Test(table, keys_aimed_at_one_secret_are_spread_by_another)
{
        enum { N = 1000, MASK = 1023 };
        static const struct sw_hash_key known = { 42, 43 }, secret = { 7, 8 };
        struct sw_table aimed, safe;
        uint64_t key = 0;
        bool created;
        unsigned n;

        cr_assert_eq(sw_table_init(&aimed, &spec, 1 << 20, &known, NULL), 0);
        cr_assert_eq(sw_table_init(&safe, &spec, 1 << 20, &secret, NULL), 0);
        for (n = 0; n < N; key++) {
                if ((sw_table_hash(&aimed, &key) & MASK) != 17)
                        continue;
                cr_assert_not_null(sw_table_insert(&aimed, &key, &created));
                cr_assert_not_null(sw_table_insert(&safe, &key, &created));
                n++;
        }
        cr_assert_gt(longest_probe(&aimed), N / 4, "%u: the keys collide as they should", longest_probe(&aimed));
        cr_assert_lt(longest_probe(&safe), 64, "%u", longest_probe(&safe));
        sw_table_deinit(&aimed);
        sw_table_deinit(&safe);
}

static bool is_odd(void *ctx, const void *entry)
{
        (*(unsigned *)ctx)++;
        return ((const struct entry *)entry)->key & 1;
}

Test(table, sweeping_removes_a_few_at_a_time_and_spares_pinned_ones)
{
        struct sw_table t = make(1 << 20);
        unsigned looked = 0;
        uint32_t id;
        uint64_t k;
        bool created;

        sw_table_sweep(&t, 10, is_odd, &looked);
        cr_assert_eq(looked, 0, "an empty table");
        for (k = 0; k < 100; k++)
                (void)sw_table_insert(&t, &k, &created);
        k = 7;
        cr_assert(sw_table_find_id(&t, &k, &id));
        sw_table_pin(&t, id, true);
        sw_table_sweep(&t, 10, is_odd, &looked);
        cr_assert_eq(looked, 9);
        cr_assert_eq(t.n_used, 96);
        sw_table_sweep(&t, 95, is_odd, &looked);
        cr_assert_eq(t.n_used, 51);
        cr_assert_eq(t.n_evicted, 0, "that is no loss");
        for (k = 0; k < 100; k++)
                cr_assert_eq(sw_table_find(&t, &k) != NULL, k % 2 == 0 || k == 7);
        sw_table_deinit(&t);
}

Test(table, what_is_used_by_its_id_is_spared_like_what_is_found)
{
        struct sw_table t = make(4096);
        uint32_t id, n;
        uint64_t k;
        bool created;

        cr_assert_null(sw_table_use(&t, 0), "an empty table");
        for (k = 0; !t.n_evicted; k++)
                (void)sw_table_insert(&t, &k, &created);
        n = t.n_high; /* all lost their mark when a victim was looked for */
        for (id = 0; id < n; id += 2)
                if (sw_table_peek(&t, id))
                        cr_assert_not_null(sw_table_use(&t, id));
        cr_assert_null(sw_table_use(&t, n));
        cr_assert_null(sw_table_use(&t, SW_TABLE_NO_ID));
        for (id = 0, k = 1000; id < n / 4; id++, k++)
                (void)sw_table_insert(&t, &k, &created);
        for (id = 0; id < n; id += 2)
                cr_assert_lt(((const struct entry *)sw_table_peek(&t, id))->key, 1000, "%u", id);
        sw_table_deinit(&t);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "segment/lpm.h"

#include <criterion/criterion.h>

static struct sw_prefix prefix(const char *z)
{
        struct sw_prefix p;

        cr_assert(sw_prefix_parse(sw_str_of(z), &p, NULL), "%s", z);
        return p;
}

static uint32_t look(const struct sw_lpm *t, const char *z)
{
        struct sw_addr a;

        cr_assert(sw_addr_parse(sw_str_of(z), &a), "%s", z);
        return sw_lpm_lookup(t, &a);
}

static void insert(struct sw_lpm *t, const char *z, uint32_t value)
{
        struct sw_prefix p = prefix(z);

        cr_assert_eq(sw_lpm_insert(t, &p, value), 0);
}

Test(lpm, empty_table_matches_nothing)
{
        struct sw_lpm t = SW_LPM_NULL;

        cr_assert_eq(look(&t, "10.0.0.1"), 0);
        cr_assert_eq(look(&t, "fd00::1"), 0);
        sw_lpm_deinit(&t);
        sw_lpm_deinit(&t);
        sw_lpm_deinit(NULL);
}

Test(lpm, longest_prefix_wins_in_any_order)
{
        static const char *const rows[] = { "10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/23", "10.1.2.0/24", "10.1.2.128/25",
                "10.1.2.200/32" };
        unsigned order;

        for (order = 0; order < 2; order++) {
                struct sw_lpm t = SW_LPM_NULL;
                unsigned i;

                for (i = 0; i < 6; i++) {
                        unsigned k = order ? 5 - i : i;

                        insert(&t, rows[k], k + 1);
                }
                cr_assert_eq(look(&t, "10.200.0.0"), 1);
                cr_assert_eq(look(&t, "10.1.255.255"), 2);
                cr_assert_eq(look(&t, "10.1.3.0"), 3);
                cr_assert_eq(look(&t, "10.1.2.127"), 4);
                cr_assert_eq(look(&t, "10.1.2.199"), 5);
                cr_assert_eq(look(&t, "10.1.2.200"), 6);
                cr_assert_eq(look(&t, "10.1.2.201"), 5);
                cr_assert_eq(look(&t, "11.0.0.0"), 0);
                cr_assert_eq(look(&t, "9.255.255.255"), 0);
                sw_lpm_deinit(&t);
        }
}

Test(lpm, default_routes_are_per_family)
{
        struct sw_lpm t = SW_LPM_NULL;

        insert(&t, "::/0", 6);
        cr_assert_eq(look(&t, "10.0.0.1"), 0, "an IPv6 prefix never matches IPv4");
        insert(&t, "0.0.0.0/0", 4);
        cr_assert_eq(look(&t, "10.0.0.1"), 4);
        cr_assert_eq(look(&t, "255.255.255.255"), 4);
        cr_assert_eq(look(&t, "2001:db8::1"), 6);
        insert(&t, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128", 7);
        cr_assert_eq(look(&t, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), 7);
        cr_assert_eq(look(&t, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe"), 6);
        sw_lpm_deinit(&t);
}

Test(lpm, same_prefix_again_replaces)
{
        struct sw_lpm t = SW_LPM_NULL;

        insert(&t, "fd00:1::/64", 1);
        insert(&t, "fd00:1::/64", 2);
        cr_assert_eq(look(&t, "fd00:1::5"), 2);
        cr_assert_eq(look(&t, "fd00:1:0:1::5"), 0);
        sw_lpm_deinit(&t);
}

/* xorshift64*, so that the cases are the same on every machine */
static uint64_t next_random(uint64_t *state)
{
        *state ^= *state >> 12;
        *state ^= *state << 25;
        *state ^= *state >> 27;
        return *state * UINT64_C(0x2545f4914f6cdd1d);
}

/* Few distinct byte values per place, so that prefixes nest and addresses hit. */
static struct sw_addr random_addr(uint64_t *state, bool v4)
{
        struct sw_addr a = sw_addr_v4(0);
        unsigned i;

        for (i = v4 ? 12 : 0; i < 16; i++) {
                uint64_t r = next_random(state);

                a.b[i] = r % 8 == 0 ? (uint8_t)(r >> 8) : (uint8_t)(r >> 16 & 0x81);
        }
        if (!v4)
                a.b[0] = 0xfd;
        return a;
}

#define N_PREFIXES 600
#define N_LOOKUPS 60000

static void agrees_with_linear_search(bool v4)
{
        static struct sw_prefix list[N_PREFIXES];
        struct sw_lpm t = SW_LPM_NULL;
        uint64_t state = v4 ? 4 : 6;
        unsigned i, k, n_hits = 0;

        for (i = 0; i < N_PREFIXES; i++) {
                struct sw_addr a = random_addr(&state, v4);

                list[i] = sw_prefix_of(
                        &a, v4 ? 96 + (unsigned)(next_random(&state) % 33) : (unsigned)(next_random(&state) % 129));
                cr_assert_eq(sw_lpm_insert(&t, &list[i], i + 1), 0);
        }
        for (k = 0; k < N_LOOKUPS; k++) {
                struct sw_addr a = random_addr(&state, v4);
                uint32_t want = 0;
                unsigned bits = 0;

                if (k % 4 == 0) { /* an edge of a prefix, or its neighbour */
                        a = list[next_random(&state) % N_PREFIXES].addr;
                        a.b[15] = (uint8_t)(a.b[15] - (next_random(&state) & 1));
                }
                for (i = 0; i < N_PREFIXES; i++)
                        if (list[i].bits >= bits && sw_prefix_contains(&list[i], &a)) {
                                want = i + 1;
                                bits = list[i].bits;
                        }
                cr_assert_eq(sw_lpm_lookup(&t, &a), want);
                n_hits += want != 0;
        }
        cr_assert_gt(n_hits, N_LOOKUPS / 4);
        sw_lpm_deinit(&t);
}

Test(lpm, agrees_with_linear_search_v4)
{
        agrees_with_linear_search(true);
}

Test(lpm, agrees_with_linear_search_v6)
{
        agrees_with_linear_search(false);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "detect/window.h"

#include <criterion/criterion.h>

#define T0 INT64_C(1767225600000)

static struct sw_window w;

static struct sw_window_item *add(int64_t ms, uint32_t key, uint16_t port)
{
        struct sw_addr a = sw_addr_v4(key);

        return sw_window_add(&w, (struct sw_etime){ T0 + ms }, (struct sw_window_item){ .key = key, .port = port },
                sw_window_hash(&a, port), SW_DAY);
}

static struct sw_etime at(int64_t ms)
{
        return (struct sw_etime){ T0 + ms };
}

Test(window, counts_up_to_one_millisecond_before_the_edge)
{
        add(0, 1, 0);
        cr_assert_eq(sw_window_count(&w, at(5 * SW_MINUTE - 1), 5 * SW_MINUTE, 0, 0), 1);
        cr_assert_eq(sw_window_count(&w, at(5 * SW_MINUTE), 5 * SW_MINUTE, 0, 0), 0);
}

Test(window, counts_the_same_key_once_and_refreshes_it)
{
        add(0, 1, 80);
        add(1000, 1, 80);
        add(2000, 1, 81);
        cr_assert_eq(w.n, 2);
        cr_assert_eq(sw_window_count(&w, at(301000 - 1), 5 * SW_MINUTE, 0, 0), 2);
        cr_assert_eq(sw_window_count(&w, at(301000), 5 * SW_MINUTE, 0, 0), 1);
}

Test(window, is_exact_at_63_and_64_and_estimates_beyond)
{
        uint32_t i;

        for (i = 0; i < 63; i++)
                add(i, i, 0);
        cr_assert_eq(sw_window_value(&w, at(100), SW_MINUTE), 63);
        add(63, 63, 0);
        cr_assert_geq(sw_window_value(&w, at(100), SW_MINUTE), 64);
        for (; i < 1000; i++)
                add(i, i, 0);
        cr_assert_eq(w.n, SW_WINDOW_CAP);
        cr_assert_gt(sw_window_value(&w, at(1000), SW_MINUTE), 800);
        cr_assert_lt(sw_window_value(&w, at(1000), SW_MINUTE), 1200);
}

Test(window, drops_the_least_recent_item_when_it_is_full)
{
        uint32_t i;

        for (i = 0; i < 65; i++)
                add(i * 1000, i, 0);
        cr_assert_not(sw_window_remove(&w, 0, 0));
        cr_assert(sw_window_remove(&w, 1, 0));
        cr_assert(sw_window_remove(&w, 64, 0));
}

Test(window, forgets_what_it_saw_before_a_long_sleep)
{
        uint32_t i;

        for (i = 0; i < 10; i++)
                add(0, i, 0);
        /* 2^32 ms later the 32-bit stamps look fresh; they must not count. */
        add((INT64_C(1) << 32) + 5, 99, 0);
        cr_assert_eq(w.n, 1);
        cr_assert_eq(sw_window_count(&w, at((INT64_C(1) << 32) + 5), SW_DAY, 0, 0), 1);
}

Test(window, takes_late_adds_without_turning_time_back)
{
        add(10 * SW_MINUTE, 1, 0);
        add(6 * SW_MINUTE, 2, 0);
        cr_assert_eq(w.last_ms, T0 + 10 * SW_MINUTE);
        cr_assert_eq(sw_window_count(&w, at(10 * SW_MINUTE), 5 * SW_MINUTE, 0, 0), 2);
        cr_assert_eq(sw_window_count(&w, at(11 * SW_MINUTE), 5 * SW_MINUTE, 0, 0), 1);
}

Test(window, does_not_refresh_an_item_backwards)
{
        add(10 * SW_MINUTE, 1, 0);
        add(6 * SW_MINUTE, 1, 0);
        cr_assert_eq(sw_window_count(&w, at(14 * SW_MINUTE), 5 * SW_MINUTE, 0, 0), 1);
}

Test(window, starts_a_new_estimate_after_a_quiet_hour)
{
        uint32_t i;

        for (i = 0; i < 500; i++)
                add(i, i, 0);
        add(2 * SW_HOUR, 7, 0);
        cr_assert_leq(sw_window_estimate(&w), 1);
        cr_assert_eq(w.burst_ms, T0 + 2 * SW_HOUR);
}

static uint64_t next_random(uint64_t *x)
{
        *x ^= *x << 13;
        *x ^= *x >> 7;
        *x ^= *x << 17;
        return *x;
}

/* The window looks for what is over only when something may be: nobody can tell. */
Test(window, forgets_at_the_millisecond_also_what_came_late)
{
        static struct {
                int64_t last;
                bool in;
        } truth[40];
        uint64_t x = 88172645463325252ULL;
        int64_t ms = SW_DAY, newest = 0;
        unsigned step, k, n;

        for (step = 0; step < 20000; step++) {
                uint64_t r = next_random(&x);
                int64_t late = r >> 60 == 0 ? (int64_t)(r >> 8) % SW_HOUR : 0, at;

                ms += (int64_t)(r >> 20) % (step % 64 ? 20 * SW_MINUTE : 9 * SW_HOUR);
                at = ms - late;
                newest = at > newest ? at : newest;
                for (k = 0; k < 40; k++)
                        truth[k].in = truth[k].in && newest - truth[k].last < SW_DAY;
                k = (unsigned)(r >> 40) % 40;
                if (!truth[k].in || truth[k].last < at)
                        truth[k].last = at;
                truth[k].in = true;
                (void)add(at, k, 0);
                for (k = n = 0; k < 40; k++)
                        n += truth[k].in;
                cr_assert_eq(w.n, n, "step %u", step);
        }
}

/* One that asks every item each time: what the window knows of its order and its estimate changes nothing. */
Test(window, loses_items_in_the_same_order_as_one_that_looks_at_all)
{
        static struct sw_window_item plain[SW_WINDOW_CAP];
        static const uint32_t keys[] = { 70, 100, 400, 1000000 }, steps[] = { 1, 3, 2000 };
        uint64_t x = 88172645463325252ULL;
        uint32_t n = 0, step, n_full = 0;
        int64_t ms = SW_DAY;

        for (step = 0; step < 200000; step++) {
                uint64_t r = next_random(&x);
                /* Calm times and wild ones: hardly any time between two adds, few keys, late ones, one taken out. */
                int64_t late = step & 4096 && r >> 61 == 0 ? (int64_t)(r >> 8) % 5000 : 0, at_ms;
                struct sw_window_item what = { .key = (uint32_t)(r >> 16) % keys[step >> 10 & 3], .port = r & 1 },
                                      *item;

                ms += (int64_t)(r >> 20) % steps[step >> 13 & 1 ? step >> 12 & 1 : 2];
                at_ms = ms - late;
                item = add(at_ms, what.key, what.port);
                cr_assert(item->key == what.key && item->port == what.port);
                n = sw_window_keep_items(plain, n, (struct sw_etime){ w.last_ms }, SW_DAY);
                (void)sw_window_put_item(plain, &n, SW_WINDOW_CAP, at(at_ms), what);
                cr_assert_eq(w.n, n, "step %u", step);
                cr_assert_eq(memcmp(w.items, plain, n * sizeof(*plain)), 0, "step %u", step);
                if (n == SW_WINDOW_CAP) {
                        uint64_t all = sw_window_estimate(&w),
                                 few = sw_window_count_items(plain, n, at(at_ms), 500, 0, 0);

                        n_full++;
                        cr_assert_eq(sw_window_count(&w, at(at_ms), 500, 0, 0), few, "step %u", step);
                        if (few == n)
                                cr_assert_eq(sw_window_value(&w, at(at_ms), 500), all > n ? all : n, "step %u", step);
                }
                if (r >> 55 == 3) {
                        cr_assert_eq(
                                sw_window_remove(&w, what.key, what.port), sw_window_remove_item(plain, &n, &what));
                }
        }
        cr_assert_gt(n_full, 100000);
}

Test(window, is_read_from_what_was_stored_before_it_knew_its_order)
{
        struct entry {
                uint64_t key;
                struct sw_window w;
                uint64_t behind;
        } now = { 0 };
        unsigned char old[offsetof(struct entry, w) + SW_WINDOW_STORED + 8];
        const uint64_t key = 7, behind = 9;
        uint32_t i;

        for (i = 0; i < 1000; i++)
                add(i, i, 0);
        memcpy(old, &key, 8);
        memcpy(old + 8, &w, SW_WINDOW_STORED);
        memcpy(old + 8 + SW_WINDOW_STORED, &behind, 8);
        cr_assert_not(sw_window_migrate(old, sizeof(old) - 8, &now, sizeof(now), 8));
        cr_assert_not(sw_window_migrate(old, 16, &now, sizeof(now), 8));
        cr_assert(sw_window_migrate(old, sizeof(old), &now, sizeof(now), 8));
        cr_assert(now.key == key && now.behind == behind);
        cr_assert_eq(sw_window_value(&now.w, at(1000), SW_MINUTE), sw_window_value(&w, at(1000), SW_MINUTE));
        for (; i < 1100; i++) {
                const struct sw_window_item what = { .key = i };

                add(i, i, 0);
                (void)sw_window_add(&now.w, at(i), what, 0, SW_DAY);
                cr_assert_eq(memcmp(now.w.items, w.items, sizeof(w.items)), 0);
        }
}

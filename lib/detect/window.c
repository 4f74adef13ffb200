/* SPDX-License-Identifier: Apache-2.0 */
#include "detect/window.h"

#include <assert.h>
#include <math.h>

#define KEEP_MAX_MS (20 * SW_DAY)

bool sw_window_migrate(const void *old, uint32_t old_size, void *entry, uint32_t size, size_t at)
{
        const size_t stored = at + SW_WINDOW_STORED, all = at + sizeof(struct sw_window);

        if (old_size < stored || old_size - stored != size - all)
                return false;
        memcpy(entry, old, stored);
        memcpy((char *)entry + all, (const char *)old + stored, size - all);
        return true;
}

uint64_t sw_window_hash(const struct sw_addr *a, uint16_t port)
{
        static const struct sw_hash_key fixed = { UINT64_C(0x7365677761746368), UINT64_C(0x77696e646f770001) };
        unsigned char key[18];

        memcpy(key, a->b, 16);
        key[16] = (unsigned char)(port >> 8);
        key[17] = (unsigned char)port;
        return sw_siphash(&fixed, key, sizeof(key));
}

static uint32_t window_low(struct sw_etime t)
{
        return (uint32_t)(uint64_t)t.ms;
}

/* Milliseconds since the item's last time; items newer than `now` (a late event asks) count as age 0. */
static uint32_t window_age(const struct sw_window_item *i, struct sw_etime now)
{
        uint32_t age = window_low(now) - i->last_ms;

        return age > UINT32_MAX / 2 ? 0 : age;
}

uint32_t sw_window_keep_items(struct sw_window_item *items, uint32_t n, struct sw_etime now, int64_t keep_ms)
{
        uint32_t i, kept = 0;

        for (i = 0; i < n && window_age(&items[i], now) < keep_ms; i++)
                kept++;
        for (; i < n; i++)
                if (window_age(&items[i], now) < keep_ms)
                        items[kept++] = items[i];
        return kept;
}

static void window_purge(struct sw_window *w, struct sw_etime now, int64_t keep_ms)
{
        uint32_t i, n = w->n;

        /* The 32-bit stamps of a window that slept longer than any window are meaningless. */
        if (w->last_ms && now.ms - w->last_ms >= KEEP_MAX_MS)
                w->n = w->oldest_ms = 0;
        if (w->oldest_ms && (int64_t)(window_low(now) - w->oldest_ms) < keep_ms)
                return; /* nothing is that old */
        w->n = sw_window_keep_items(w->items, w->n, now, keep_ms);
        if (w->n != n)
                w->ordered = 0;
        w->oldest_ms = window_low(now);
        for (i = 0; i < w->n; i++)
                if (window_age(&w->items[i], now) > window_low(now) - w->oldest_ms)
                        w->oldest_ms = w->items[i].last_ms;
}

static void window_register(struct sw_window *w, uint64_t hash)
{
        uint64_t rest = hash << 8 | 0x80;
        uint8_t rank = (uint8_t)(__builtin_clzll(rest) + 1), *r = &w->registers[hash >> 56];

        if (rank <= *r)
                return;
        *r = rank;
        w->estimate = 0;
}

struct sw_window_item *sw_window_find_item(struct sw_window_item *items, uint32_t n, const struct sw_window_item *what)
{
        uint32_t i;

        for (i = 0; i < n; i++)
                if (items[i].key == what->key && items[i].port == what->port)
                        return &items[i];
        return NULL;
}

struct sw_window_item *sw_window_put_item(
        struct sw_window_item *items, uint32_t *inout_n, uint32_t cap, struct sw_etime now, struct sw_window_item what)
{
        struct sw_window_item *oldest = sw_window_find_item(items, *inout_n, &what);
        uint32_t i;

        if (oldest) {
                if (window_age(oldest, now) > 0)
                        oldest->last_ms = window_low(now);
                oldest->flags |= what.flags;
                return oldest;
        }
        what.first_ms = what.last_ms = window_low(now);
        if (*inout_n < cap) {
                items[*inout_n] = what;
                return &items[(*inout_n)++];
        }
        oldest = &items[0];
        for (i = 1; i < *inout_n; i++)
                if (window_age(&items[i], now) > window_age(oldest, now))
                        oldest = &items[i];
        *oldest = what;
        return oldest;
}

/* ---- whose turn it is, as sw_window_put_item says, without asking each of them ---- */

static uint8_t window_place(const struct sw_window *w, uint32_t i)
{
        return w->order[i] % SW_WINDOW_CAP; /* whatever a damaged snapshot says */
}

/* Into the first n of the order, from behind: most are the newest. */
static void window_order_in(struct sw_window *w, uint32_t n, uint8_t place)
{
        for (; n > 0; n--) {
                uint8_t other = window_place(w, n - 1);
                int32_t later = (int32_t)(w->items[place].last_ms - w->items[other].last_ms);

                if (later > 0 || (later == 0 && place > other))
                        break;
                w->order[n] = other;
        }
        w->order[n] = place;
}

static void window_order(struct sw_window *w)
{
        uint8_t place;

        for (place = 0; place < SW_WINDOW_CAP; place++)
                window_order_in(w, place, place);
        w->ordered = 1;
}

/* The item has another time. */
static void window_order_again(struct sw_window *w, const struct sw_window_item *item)
{
        uint8_t place = (uint8_t)(item - w->items);
        uint32_t i = 0;

        if (!w->ordered)
                return;
        while (i < SW_WINDOW_CAP - 1 && window_place(w, i) != place)
                i++;
        memmove(&w->order[i], &w->order[i + 1], SW_WINDOW_CAP - 1 - i);
        window_order_in(w, SW_WINDOW_CAP - 1, place);
}

/* As sw_window_put_item. */
static struct sw_window_item *window_put(struct sw_window *w, struct sw_etime now, struct sw_window_item what)
{
        struct sw_window_item *item = sw_window_find_item(w->items, w->n, &what);

        if (item) {
                item->flags |= what.flags;
                if (window_age(item, now) == 0)
                        return item;
                item->last_ms = window_low(now);
                window_order_again(w, item);
                return item;
        }
        what.first_ms = what.last_ms = window_low(now);
        if (w->n < SW_WINDOW_CAP) {
                w->ordered = 0;
                w->items[w->n] = what;
                return &w->items[w->n++];
        }
        if (!w->ordered)
                window_order(w);
        item = &w->items[window_place(w, 0)];
        if (window_age(item, now) == 0)
                item = w->items; /* a late one: to it all are as young */
        *item = what;
        window_order_again(w, item);
        return item;
}

void sw_window_note(struct sw_window *w, const struct sw_window_item *item, uint64_t hash)
{
        struct sw_etime last = { w->last_ms };

        if (window_age(item, last) <= w->last_ms - w->burst_ms)
                window_register(w, hash);
}

struct sw_window_item *sw_window_add(
        struct sw_window *w, struct sw_etime now, struct sw_window_item what, uint64_t hash, int64_t keep_ms)
{
        struct sw_etime at = now;

        assert(keep_ms > 0 && keep_ms <= KEEP_MAX_MS);
        if (w->last_ms > at.ms)
                at.ms = w->last_ms; /* a late event does not turn time back for the others */
        if (w->n > SW_WINDOW_CAP)
                w->n = w->ordered = 0; /* nobody wrote that */
        window_purge(w, at, keep_ms);
        if (w->last_ms == 0 || at.ms - w->last_ms >= SW_WINDOW_BURST_MS) {
                memset(w->registers, 0, sizeof(w->registers));
                w->estimate = 0;
                w->burst_ms = at.ms;
        }
        w->last_ms = at.ms;
        window_register(w, hash);
        if (window_low(at) - window_low(now) > window_low(at) - w->oldest_ms)
                w->oldest_ms = window_low(now); /* a late one */
        return window_put(w, now, what);
}

bool sw_window_remove(struct sw_window *w, uint32_t key, uint16_t port)
{
        const struct sw_window_item what = { .key = key, .port = port };

        w->ordered = 0;
        return sw_window_remove_item(w->items, &w->n, &what);
}

bool sw_window_remove_item(struct sw_window_item *items, uint32_t *inout_n, const struct sw_window_item *what)
{
        struct sw_window_item *i = sw_window_find_item(items, *inout_n, what);

        if (!i)
                return false;
        (*inout_n)--;
        memmove(i, i + 1, (size_t)(items + *inout_n - i) * sizeof(*i));
        return true;
}

bool sw_window_in(const struct sw_window_item *i, struct sw_etime now, int64_t span_ms)
{
        return window_age(i, now) < span_ms;
}

uint32_t sw_window_count_items(const struct sw_window_item *items, uint32_t n, struct sw_etime now, int64_t span_ms,
        uint16_t mask, uint16_t want)
{
        uint32_t i, found = 0;

        for (i = 0; i < n; i++)
                found += (items[i].flags & mask) == want && sw_window_in(&items[i], now, span_ms);
        return found;
}

uint32_t sw_window_count(const struct sw_window *w, struct sw_etime now, int64_t span_ms, uint16_t mask, uint16_t want)
{
        if (w->last_ms == 0 || now.ms - w->last_ms >= span_ms)
                return 0;
        if (!mask && !want && w->ordered && sw_window_in(&w->items[window_place(w, 0)], now, span_ms))
                return w->n; /* as the oldest one, so all */
        return sw_window_count_items(w->items, w->n, now, span_ms, mask, want);
}

uint64_t sw_window_value(struct sw_window *w, struct sw_etime now, int64_t span_ms)
{
        uint32_t n = sw_window_count(w, now, span_ms, 0, 0);
        uint64_t estimate = w->estimate;

        if (n < SW_WINDOW_CAP)
                return n;
        if (!estimate) {
                estimate = sw_window_estimate(w);
                w->estimate = estimate <= UINT32_MAX ? (uint32_t)estimate : 0;
        }
        return estimate > n ? estimate : n;
}

int64_t sw_window_span(const struct sw_window *w, struct sw_etime now, int64_t span_ms)
{
        int64_t burst;

        if (sw_window_count(w, now, span_ms, 0, 0) < SW_WINDOW_CAP)
                return span_ms;
        burst = now.ms - w->burst_ms + SW_MINUTE - 1;
        return burst < SW_MINUTE ? SW_MINUTE : burst - burst % SW_MINUTE;
}

/* 2^-n, as IEEE 754 writes it down; n: 0..64. A library call here is a third of the time under a sweep. */
static double window_pow2(unsigned n)
{
        uint64_t bits = (uint64_t)(1023 - n) << 52;
        double v;

        memcpy(&v, &bits, sizeof(v));
        return v;
}

/* Flajolet et al. 2007, with linear counting while registers are empty. */
uint64_t sw_window_estimate(const struct sw_window *w)
{
        const double m = SW_WINDOW_REGISTERS, alpha = 0.7213 / (1 + 1.079 / m);
        double part[4] = { 0 }, sum, estimate;
        int i, j, zeros = 0;

        /* Four sums side by side: one would wait for itself. Powers of two that near each other add up without
         * rounding. */
        for (i = 0; i < SW_WINDOW_REGISTERS; i += 4)
                for (j = 0; j < 4; j++) {
                        part[j] += window_pow2(w->registers[i + j]);
                        zeros += w->registers[i + j] == 0;
                }
        sum = part[0] + part[1] + part[2] + part[3];
        estimate = alpha * m * m / sum;
        if (estimate <= 2.5 * m && zeros > 0)
                estimate = m * log(m / zeros);
        return (uint64_t)llround(estimate);
}

void sw_window_mark(struct sw_window *w, struct sw_etime now, int64_t span_ms)
{
        uint32_t i;

        for (i = 0; i < w->n; i++)
                if (sw_window_in(&w->items[i], now, span_ms))
                        w->items[i].flags |= SW_WINDOW_RAISED;
}

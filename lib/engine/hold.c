/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/hold.h"

#define RECORDS_IN_A_ROW 3u

void sw_hold_init(struct sw_hold *h, int64_t within_ms, size_t limit_bytes)
{
        *h = (struct sw_hold){ .within_ms = within_ms, .limit_bytes = limit_bytes };
}

void sw_hold_deinit(struct sw_hold *h)
{
        sw_free(h->items);
        h->items = NULL;
        h->n = h->cap = 0;
}

void sw_hold_interrupt(struct sw_hold *h)
{
        h->n_run = 0;
}

static bool is_near(const struct sw_hold *h, struct sw_etime a, struct sw_etime b)
{
        return a.ms > b.ms ? a.ms - b.ms <= h->within_ms : b.ms - a.ms <= h->within_ms;
}

bool sw_hold_ask(struct sw_hold *h, uint32_t fold, struct sw_etime time, bool only)
{
        uint32_t i;

        for (i = 0; i < h->n; i++) {
                if (h->items[i].fold == fold)
                        continue;
                if (is_near(h, h->items[i].tuple.time, time)) {
                        h->n_run = 0;
                        return true;
                }
                only = false;
        }
        if (h->n_run && (h->run_fold != fold || !is_near(h, h->run_time, time)))
                h->n_run = 0;
        if (h->n_run == 0) {
                h->run_fold = fold;
                h->run_from = time;
        }
        h->run_time = time;
        if (++h->n_run < RECORDS_IN_A_ROW || (!only && is_near(h, h->run_from, time)))
                return false;
        h->n_run = 0;
        return true;
}

int sw_hold_add(struct sw_hold *h, const struct sw_otuple *t, uint32_t partition, uint32_t fold)
{
        if (h->n == h->cap) {
                uint32_t cap = h->cap ? h->cap * 2 : 64;
                struct sw_held *p;

                if ((size_t)cap * sizeof(*p) > h->limit_bytes) {
                        h->n_dropped++;
                        return SW_HOLD_E_FULL;
                }
                p = sw_realloc_array(h->items, cap, sizeof(*p));
                if (!p)
                        return -SW_ERR_NOMEM;
                h->items = p;
                h->cap = cap;
        }
        h->oldest = h->n ? sw_etime_min(h->oldest, t->time) : t->time;
        h->items[h->n++] = (struct sw_held){ .tuple = *t, .partition = partition, .fold = fold };
        return SW_HOLD_OK;
}

struct sw_etime sw_hold_start(const struct sw_hold *h)
{
        struct sw_etime start = SW_ETIME_NONE;
        uint32_t i;

        for (i = 0; i < h->n; i++)
                if (h->items[i].tuple.time.ms <= h->oldest.ms + h->within_ms)
                        start = sw_etime_max(start, h->items[i].tuple.time);
        return start;
}

int sw_hold_take(struct sw_hold *h, struct sw_etime from, struct sw_etime to,
        int (*each)(void *ctx, const struct sw_held *held), void *ctx)
{
        uint32_t i, n = 0;
        int r = 0;

        for (i = 0; i < h->n; i++) {
                const struct sw_held *x = &h->items[i];

                if (r == 0 && x->tuple.time.ms >= from.ms && x->tuple.time.ms <= to.ms) {
                        r = each(ctx, x);
                        continue;
                }
                h->oldest = n ? sw_etime_min(h->oldest, x->tuple.time) : x->tuple.time;
                h->items[n++] = *x;
        }
        h->n = n;
        return r;
}

/* Copied as they lie in memory, so only into the same layout. */
static void held_state(struct sw_hold *h, struct sw_state_io *s)
{
        uint32_t size = sizeof(struct sw_held), n, cap = h->cap;

        sw_state_u32(s, &size);
        if (size == 0) {
                sw_state_fail(s);
                return;
        }
        sw_state_u32(s, &cap);
        n = sw_state_count(s, h->n, UINT32_MAX, size);
        if (!sw_state_reads(s)) {
                if (n)
                        sw_state_raw(s, h->items, n * sizeof(*h->items));
                return;
        }
        if (s->failed || cap < n || (cap > h->limit_bytes / size && cap / 2 > n)) {
                sw_state_fail(s);
                return;
        }
        if (size != sizeof(struct sw_held)) {
                h->n_dropped += n;
                s->p += (size_t)n * size;
                s->n -= (size_t)n * size;
                return;
        }
        if (cap == 0)
                return;
        h->items = sw_realloc_array(h->items, cap, sizeof(*h->items));
        if (!h->items) {
                sw_state_no_memory(s);
                return;
        }
        h->cap = cap;
        h->n = n;
        sw_state_raw(s, h->items, n * sizeof(*h->items));
}

void sw_hold_state(struct sw_hold *h, struct sw_state_io *s)
{
        sw_state_u64(s, &h->n_dropped);
        held_state(h, s);
        sw_state_u32(s, &h->run_fold);
        sw_state_u32(s, &h->n_run);
        sw_state_etime(s, &h->run_from);
        sw_state_etime(s, &h->run_time);
        sw_state_etime(s, &h->oldest);
}

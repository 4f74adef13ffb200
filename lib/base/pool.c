/* SPDX-License-Identifier: Apache-2.0 */
#include "base/pool.h"

#include "base/alloc.h"
#include "base/err.h"

#include <assert.h>
#include <string.h>

#define HUGE_BYTES ((size_t)2 << 20)

void sw_pool_init(struct sw_pool *p, const struct sw_pool_spec *spec, size_t bytes)
{
        size_t max = bytes / spec->entry_size;

        assert(spec->entry_size % 8 == 0 && spec->entry_size >= 8 && spec->entry_size <= 8192);
        *p = (struct sw_pool){ .spec = *spec, .max = max < INT32_MAX ? (uint32_t)max : INT32_MAX };
}

void sw_pool_deinit(struct sw_pool *p)
{
        if (!p)
                return;
        sw_unreserve(p->entries, (size_t)p->max * p->spec.entry_size);
        sw_unreserve(p->meta, p->max);
        p->entries = p->meta = NULL;
        p->n_high = p->n_used = p->free_head = 0;
}

static bool pool_reserve(struct sw_pool *p)
{
        if (p->entries)
                return true;
        if (p->max == 0)
                return false;
        p->entries = sw_reserve((size_t)p->max * p->spec.entry_size);
        p->meta = p->entries ? sw_reserve(p->max) : NULL;
        if (p->meta)
                return true;
        sw_unreserve(p->entries, (size_t)p->max * p->spec.entry_size);
        p->entries = NULL;
        return false;
}

static unsigned char *pool_entry(const struct sw_pool *p, uint32_t id)
{
        return p->entries + (size_t)id * p->spec.entry_size;
}

/* A small pool must not cost a huge page: the hint runs one ahead of what is used. */
static void pool_hint(struct sw_pool *p)
{
        size_t end = (size_t)p->n_high * p->spec.entry_size, begin = end - p->spec.entry_size,
               all = (size_t)p->max * p->spec.entry_size;

        if (begin >= HUGE_BYTES && begin / HUGE_BYTES != end / HUGE_BYTES)
                sw_reserve_huge(p->entries, begin, end + 2 * HUGE_BYTES < all ? end + 2 * HUGE_BYTES : all);
}

void *sw_pool_take(struct sw_pool *p, uint32_t *ret_id)
{
        uint32_t id;

        if (p->free_head) {
                id = p->free_head - 1;
                if (__builtin_expect(p->guard != NULL, 0))
                        sw_guard_touch(p->guard, id);
                memcpy(&p->free_head, pool_entry(p, id), sizeof(p->free_head));
        } else {
                if (!pool_reserve(p) || p->n_high == p->max)
                        return NULL;
                id = p->n_high++;
                pool_hint(p);
        }
        p->meta[id] = 1;
        p->n_used++;
        *ret_id = id;
        return pool_entry(p, id);
}

void sw_pool_give(struct sw_pool *p, uint32_t id)
{
        assert(id < p->n_high && p->meta[id]);
        if (__builtin_expect(p->guard != NULL, 0))
                sw_guard_touch(p->guard, id);
        memcpy(pool_entry(p, id), &p->free_head, sizeof(p->free_head));
        p->free_head = id + 1;
        p->meta[id] = 0;
        p->n_used--;
}

void *sw_pool_at(struct sw_pool *p, uint32_t id)
{
        if (__builtin_expect(p->guard != NULL, 0))
                sw_guard_touch(p->guard, id);
        return pool_entry(p, id);
}

int sw_pool_restore(struct sw_pool *p, uint32_t n_high)
{
        if (n_high > p->max)
                return -SW_ERR_LIMIT;
        if (n_high && !pool_reserve(p))
                return -SW_ERR_NOMEM;
        if ((size_t)n_high * p->spec.entry_size >= 2 * HUGE_BYTES)
                sw_reserve_huge(p->entries, HUGE_BYTES, (size_t)n_high * p->spec.entry_size);
        p->n_high = n_high;
        return 0;
}

void sw_pool_put(struct sw_pool *p, uint32_t first, uint32_t n, const unsigned char *entries, const unsigned char *meta)
{
        uint32_t i;

        assert(first <= p->n_high && n <= p->n_high - first);
        memcpy(pool_entry(p, first), entries, (size_t)n * p->spec.entry_size);
        for (i = 0; i < n; i++)
                p->meta[first + i] = meta[i] != 0;
}

int sw_pool_restore_end(struct sw_pool *p, uint32_t n_used)
{
        uint32_t id;

        for (id = p->n_high; id-- > 0;) {
                if (p->meta[id]) {
                        p->n_used++;
                        continue;
                }
                memcpy(pool_entry(p, id), &p->free_head, sizeof(p->free_head));
                p->free_head = id + 1;
        }
        return p->n_used == n_used ? 0 : -SW_ERR_DATA;
}

void sw_texts_init(struct sw_texts *t, const char *name, size_t max_bytes)
{
        *t = (struct sw_texts){ .name = name, .version = 1, .max_bytes = max_bytes & ~(size_t)(SW_TEXTS_UNIT - 1) };
        if (t->max_bytes > (size_t)UINT32_MAX * SW_TEXTS_UNIT)
                t->max_bytes = (size_t)UINT32_MAX * SW_TEXTS_UNIT;
}

void sw_texts_deinit(struct sw_texts *t)
{
        sw_unreserve(t->p, t->max_bytes);
        t->p = NULL;
        t->used_bytes = 0;
}

static bool texts_reserve(struct sw_texts *t)
{
        if (!t->p && t->max_bytes)
                t->p = sw_reserve(t->max_bytes);
        return t->p != NULL;
}

bool sw_texts_add(struct sw_texts *t, struct sw_str s, uint32_t *ret_ref)
{
        size_t n;

        if (s.n >= t->max_bytes || !texts_reserve(t))
                return false;
        n = (s.n + SW_TEXTS_UNIT) & ~(size_t)(SW_TEXTS_UNIT - 1);
        if (n > t->max_bytes - t->used_bytes)
                return false;
        if (s.n)
                memcpy(t->p + t->used_bytes, s.p, s.n);
        memset(t->p + t->used_bytes + s.n, 0, n - s.n);
        *ret_ref = (uint32_t)(t->used_bytes / SW_TEXTS_UNIT);
        t->used_bytes += n;
        return true;
}

int sw_texts_restore(struct sw_texts *t, uint32_t units)
{
        if ((size_t)units * SW_TEXTS_UNIT > t->max_bytes)
                return -SW_ERR_LIMIT;
        if (units && !texts_reserve(t))
                return -SW_ERR_NOMEM;
        t->used_bytes = (size_t)units * SW_TEXTS_UNIT;
        return 0;
}

bool sw_texts_has(const struct sw_texts *t, uint32_t ref, uint32_t n)
{
        size_t at = (size_t)ref * SW_TEXTS_UNIT;

        return at < t->used_bytes && n < t->used_bytes - at && t->p[at + n] == '\0';
}

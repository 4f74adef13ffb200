/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Entries of one size behind ids, in address space that is reserved at once and backed as it is used: what a table is
 * without its index. Freed entries are used again, the latest first. A snapshot leaves free ones out.
 *
 * And texts: appended, never moved or freed, referred to by a number. Threads: one owner. */
#include "base/guard.h"
#include "base/str.h"

struct sw_pool_spec {
        const char *name;    /* snapshot section: snake_case */
        uint32_t version;    /* raise it when the entry's meaning changes: old content is then dropped */
        uint32_t entry_size; /* bytes, multiple of 8, at most 8 KiB */
};

struct sw_pool {
        struct sw_pool_spec spec;
        unsigned char *entries, *meta; /* reservations; meta: 1 = in use */
        uint32_t max, n_high, n_used;
        uint32_t free_head; /* id + 1 */
        struct sw_guard_region *guard;
};

/* Takes no memory yet; at most `bytes` of entries. */
void sw_pool_init(struct sw_pool *p, const struct sw_pool_spec *spec, size_t bytes);
void sw_pool_deinit(struct sw_pool *p); /* NULL-safe, twice is fine */

/* The caller keeps its limits by n_high. Content is undefined. NULL: full, or no memory. */
void *sw_pool_take(struct sw_pool *p, uint32_t *ret_id);
void sw_pool_give(struct sw_pool *p, uint32_t id);
void *sw_pool_at(struct sw_pool *p, uint32_t id); /* to change it; id is in use */
static inline const void *sw_pool_peek(const struct sw_pool *p, uint32_t id)
{
        return p->entries + (size_t)id * p->spec.entry_size;
}

/* A pool as it was saved: n_high entries, filled by _put (ranges within n_high), free ones listed by _end. p is as
 * after init. 0 | -SW_ERR_LIMIT | -SW_ERR_NOMEM; _end: -SW_ERR_DATA if not n_used entries came. */
int sw_pool_restore(struct sw_pool *p, uint32_t n_high);
void sw_pool_put(
        struct sw_pool *p, uint32_t first, uint32_t n, const unsigned char *entries, const unsigned char *meta);
int sw_pool_restore_end(struct sw_pool *p, uint32_t n_used);

#define SW_TEXTS_UNIT 8u
struct sw_texts {
        char *p; /* reservation; addresses stay */
        size_t used_bytes, max_bytes;
        uint32_t version;
        const char *name;
};
void sw_texts_init(struct sw_texts *t, const char *name, size_t max_bytes);
void sw_texts_deinit(struct sw_texts *t);
/* Copies, adds a NUL. False: full, or no memory. */
bool sw_texts_add(struct sw_texts *t, struct sw_str s, uint32_t *ret_ref);
static inline const char *sw_texts_at(const struct sw_texts *t, uint32_t ref)
{
        return t->p + (size_t)ref * SW_TEXTS_UNIT;
}
/* Room for `units`, to be filled by the caller. 0 | -SW_ERR_LIMIT | -SW_ERR_NOMEM. */
int sw_texts_restore(struct sw_texts *t, uint32_t units);
/* Whether n bytes and their NUL stand there: for references out of a file. */
bool sw_texts_has(const struct sw_texts *t, uint32_t ref, uint32_t n);

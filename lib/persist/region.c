/* SPDX-License-Identifier: Apache-2.0 */
#include "persist/region.h"

#include "base/err.h"

#include <string.h>

struct sw_region sw_region_table(struct sw_table *t)
{
        return (struct sw_region){ .name = t->spec.name,
                .version = t->spec.version,
                .entry_size = t->spec.entry_size,
                .key_size = t->spec.key_size,
                .table = t };
}

struct sw_region sw_region_pool(struct sw_pool *p)
{
        return (struct sw_region){
                .name = p->spec.name, .version = p->spec.version, .entry_size = p->spec.entry_size, .pool = p
        };
}

struct sw_region sw_region_texts(struct sw_texts *t)
{
        return (struct sw_region){ .name = t->name, .version = t->version, .entry_size = SW_TEXTS_UNIT, .texts = t };
}

static struct sw_table_image region_image(const struct sw_region *r)
{
        if (r->table)
                return sw_table_image(r->table);
        if (r->pool)
                return (struct sw_table_image){ .n_high = r->pool->n_high, .n_used = r->pool->n_used };
        return (struct sw_table_image){ .n_high = (uint32_t)(r->texts->used_bytes / SW_TEXTS_UNIT) };
}

/* What the pieces of a region are cut by. */
struct shape {
        uint32_t entry_size, key_size;
        bool has_meta;
};

static void region_numbers(struct sw_state_io *s, struct shape *shape, struct sw_table_image *i)
{
        sw_state_u32(s, &shape->entry_size);
        sw_state_u32(s, &shape->key_size);
        sw_state_bool(s, &shape->has_meta);
        sw_state_u32(s, &i->n_high);
        sw_state_u32(s, &i->n_used);
        sw_state_u32(s, &i->free_head);
        sw_state_u32(s, &i->hand);
        sw_state_u32(s, &i->n_slots);
        sw_state_u64(s, &i->n_evicted);
}

int sw_region_save(const struct sw_region *r, struct sw_guard *g, struct sw_state_io *s)
{
        struct sw_table_image image = region_image(r);
        struct sw_guard_source source = { .entry_size = r->entry_size, .n = image.n_high };
        struct shape shape = { r->entry_size, r->key_size, !r->texts };
        struct sw_guard_region **owner = NULL;

        region_numbers(s, &shape, &image);
        if (r->table) {
                source.entries = r->table->pool;
                source.meta = r->table->meta;
                owner = &r->table->guard;
        } else if (r->pool) {
                source.entries = r->pool->entries;
                source.meta = r->pool->meta;
                source.skip_free = true;
                owner = &r->pool->guard;
        } else {
                source.entries = (const unsigned char *)r->texts->p;
        }
        return sw_guard_add(g, &source, owner);
}

static void empty_table(struct sw_table *t)
{
        struct sw_table_spec spec = t->spec;
        struct sw_hash_key key = t->key;
        size_t limit = t->limit_bytes;
        void *ctx = t->ctx;

        sw_table_deinit(t);
        (void)sw_table_init(t, &spec, limit, &key, ctx); /* the limit was enough before */
}

static void empty_region(const struct sw_region *r)
{
        if (r->table)
                empty_table(r->table);
        else if (r->pool)
                sw_pool_deinit(r->pool);
        else if (r->texts)
                sw_texts_deinit(r->texts);
}

void sw_region_load_drop(struct sw_region_load *l)
{
        empty_region(&l->region);
        l->dropped = true;
}

int sw_region_load_begin(
        struct sw_region_load *l, const struct sw_region *r, struct sw_state_io *s, const char **ret_why)
{
        struct shape shape = { 0 };
        int e;

        *l = (struct sw_region_load){ .region = *r, .version = s->version };
        region_numbers(s, &shape, &l->image);
        l->entry_size = shape.entry_size;
        l->has_meta = shape.has_meta;
        if (!sw_state_ok(s) || l->entry_size < 8 || l->entry_size > 8192)
                return -SW_ERR_DATA;
        l->n_left = l->image.n_high;
        l->dropped = true;
        empty_region(r);
        if (l->version != r->version || l->entry_size != r->entry_size || shape.key_size != r->key_size ||
                l->has_meta == (r->texts != NULL)) {
                *ret_why = l->version == r->version ? "its entries have another size" : "it is of another version";
                if (!r->table || !r->table->spec.migrate || l->version == r->version || !l->has_meta)
                        return SW_REGION_E_DROP;
                l->migrates = true;
        }
        if (r->table)
                e = sw_table_restore(r->table, &l->image);
        else if (r->pool)
                e = sw_pool_restore(r->pool, l->image.n_high);
        else
                e = sw_texts_restore(r->texts, l->image.n_high);
        l->dropped = e < 0;
        return e;
}

void sw_region_room(const struct sw_region *r, void (*room)(void *ctx, void *p, size_t n_bytes), void *ctx)
{
        if (r->table && r->table->n_high) {
                room(ctx, r->table->pool, (size_t)r->table->n_high * r->entry_size);
                if (r->table->slots)
                        room(ctx, r->table->slots, ((size_t)r->table->slot_mask + 1) * sizeof(*r->table->slots));
        } else if (r->pool && r->pool->n_high) {
                room(ctx, r->pool->entries, (size_t)r->pool->n_high * r->entry_size);
        }
}

size_t sw_region_piece_bytes(const struct sw_region_load *l, uint32_t n)
{
        size_t bytes = (size_t)n * l->entry_size + (l->has_meta ? n : 0);

        return (bytes + 7) & ~(size_t)7;
}

static int migrate(struct sw_region_load *l, const struct sw_guard_piece *head, const unsigned char *p)
{
        const unsigned char *meta = p + (size_t)head->n * l->entry_size;
        uint64_t entry[8192 / sizeof(uint64_t)];
        struct sw_table *t = l->region.table;
        uint32_t i;

        for (i = 0; i < head->n; i++, p += l->entry_size) {
                memset(entry, 0, t->spec.entry_size);
                if (!meta[i]) {
                        memcpy(entry, p, sizeof(uint32_t)); /* the next free one */
                } else if (!t->spec.migrate(l->version, l->entry_size, p, entry)) {
                        sw_region_load_drop(l);
                        return SW_REGION_E_DROP;
                }
                sw_table_put(t, head->first + i, 1, (const unsigned char *)entry, meta + i);
        }
        return 0;
}

int sw_region_load_piece(struct sw_region_load *l, const struct sw_guard_piece *head, const unsigned char *p, size_t n)
{
        const unsigned char *meta = p + (size_t)head->n * l->entry_size;

        if (head->n == 0 || n < sw_region_piece_bytes(l, head->n) || head->n > l->n_left ||
                head->first > l->image.n_high || head->n > l->image.n_high - head->first)
                return -SW_ERR_DATA;
        l->n_left -= head->n;
        if (l->dropped)
                return 0;
        if (l->migrates)
                return migrate(l, head, p);
        if (l->region.table)
                sw_table_put(l->region.table, head->first, head->n, p, meta);
        else if (l->region.pool)
                sw_pool_put(l->region.pool, head->first, head->n, p, meta);
        else
                memcpy(l->region.texts->p + (size_t)head->first * SW_TEXTS_UNIT, p, (size_t)head->n * SW_TEXTS_UNIT);
        return 0;
}

int sw_region_load_end(struct sw_region_load *l)
{
        if (l->dropped || l->ended)
                return 0;
        l->ended = true;
        if (l->n_left && !l->region.pool)
                return -SW_ERR_DATA;
        if (l->region.table)
                return sw_table_restore_end(l->region.table, &l->image);
        return l->region.pool ? sw_pool_restore_end(l->region.pool, l->image.n_used) : 0;
}

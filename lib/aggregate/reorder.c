/* SPDX-License-Identifier: Apache-2.0 */
#include "aggregate/reorder.h"

#include <assert.h>

/* A quiet second takes a small chunk, a busy one fills large ones. */
static const uint32_t chunk_tuples[2] = { 4, 40 };

struct sw_reorder_chunk {
        struct sw_reorder_chunk *next;
        uint32_t n, size_class;
        struct sw_otuple tuples[];
};

static const struct sw_table_spec bucket_spec = {
        .name = "reorder_seconds", .version = 1, .entry_size = sizeof(struct sw_reorder_bucket), .key_size = 8
};

int sw_reorder_init(
        struct sw_reorder *r, const struct sw_directory *d, size_t limit_bytes, const struct sw_hash_key *key)
{
        *r = (struct sw_reorder){ .directory = d, .limit_bytes = limit_bytes };
        return sw_table_init(&r->buckets, &bucket_spec, limit_bytes, key, NULL);
}

static void free_chain(struct sw_reorder_chunk *c)
{
        while (c) {
                struct sw_reorder_chunk *next = c->next;

                sw_free(c);
                c = next;
        }
}

void sw_reorder_deinit(struct sw_reorder *r)
{
        struct sw_reorder_bucket *b;
        uint32_t id;

        for (id = 0; (b = sw_table_next(&r->buckets, &id)); id++)
                free_chain(b->head);
        free_chain(r->late.head);
        free_chain(r->free[0]);
        free_chain(r->free[1]);
        free_chain(r->taken);
        sw_table_deinit(&r->buckets);
        sw_free(r->heap);
        sw_free(r->items);
        sw_free(r->scratch);
        *r = (struct sw_reorder){ 0 };
}

static size_t reorder_chunk_bytes(unsigned size_class)
{
        return sizeof(struct sw_reorder_chunk) + chunk_tuples[size_class] * sizeof(struct sw_otuple);
}

static struct sw_reorder_chunk *reorder_chunk(struct sw_reorder *r, unsigned size_class)
{
        struct sw_reorder_chunk *c = r->free[size_class];

        if (c) {
                r->free[size_class] = c->next;
                r->free_bytes -= reorder_chunk_bytes(size_class);
        } else {
                if (r->bytes + r->buckets.bytes + reorder_chunk_bytes(size_class) > r->limit_bytes)
                        return NULL;
                c = sw_alloc(reorder_chunk_bytes(size_class));
                if (!c)
                        return NULL;
                r->bytes += reorder_chunk_bytes(size_class);
                c->size_class = size_class;
        }
        c->next = NULL;
        c->n = 0;
        return c;
}

static bool append(struct sw_reorder *r, struct sw_reorder_bucket *b, const struct sw_otuple *t)
{
        struct sw_reorder_chunk *c = b->tail;

        if (!c || c->n == chunk_tuples[c->size_class]) {
                unsigned size_class = b->n >= chunk_tuples[0] * 2;

                c = reorder_chunk(r, size_class);
                if (!c)
                        c = reorder_chunk(r, !size_class);
                if (!c)
                        return false;
                if (b->tail)
                        b->tail->next = c;
                else
                        b->head = c;
                b->tail = c;
        }
        c->tuples[c->n++] = *t;
        b->n++;
        r->n_tuples++;
        return true;
}

static bool heap_push(struct sw_reorder *r, int64_t second)
{
        uint32_t i = r->n_heap;

        if (r->n_heap == r->cap_heap) {
                uint32_t cap = r->cap_heap ? r->cap_heap * 2 : 256;
                int64_t *p = sw_realloc_array(r->heap, cap, sizeof(*p));

                if (!p)
                        return false;
                r->bytes += (cap - r->cap_heap) * sizeof(*p);
                r->heap = p;
                r->cap_heap = cap;
        }
        r->n_heap++;
        for (; i > 0 && r->heap[(i - 1) / 2] > second; i = (i - 1) / 2)
                r->heap[i] = r->heap[(i - 1) / 2];
        r->heap[i] = second;
        return true;
}

static void heap_pop(struct sw_reorder *r)
{
        int64_t last = r->heap[--r->n_heap];
        uint32_t i = 0, child;

        while ((child = 2 * i + 1) < r->n_heap) {
                if (child + 1 < r->n_heap && r->heap[child + 1] < r->heap[child])
                        child++;
                if (r->heap[child] >= last)
                        break;
                r->heap[i] = r->heap[child];
                i = child;
        }
        if (r->n_heap)
                r->heap[i] = last;
}

/* Room for one more second and its first tuple. Chunks that came back count: bytes never go down, so that a buffer
 * which was full once would otherwise stay full for ever. */
static bool reorder_has_room(const struct sw_reorder *r)
{
        size_t more = sw_table_growth(&r->buckets);

        if (r->n_heap == r->cap_heap)
                more += (r->cap_heap ? r->cap_heap : 256) * sizeof(*r->heap);
        if (!r->free[0] && !r->free[1])
                more += reorder_chunk_bytes(0);
        return r->bytes + r->buckets.bytes + more <= r->limit_bytes;
}

bool sw_reorder_is_pressed(const struct sw_reorder *r)
{
        return r->bytes + r->buckets.bytes - r->free_bytes > r->limit_bytes / 2;
}

int sw_reorder_add(struct sw_reorder *r, const struct sw_otuple *t)
{
        int64_t second = t->time.ms / SW_SECOND;
        struct sw_reorder_bucket *b =
                r->last && r->last->second == second ? r->last : sw_table_find(&r->buckets, &second);
        bool created;
        uint32_t id;

        if (!b) {
                /* Never evict a bucket: room for one more is checked before. */
                if (!reorder_has_room(r) && (r->n_heap || r->late.n))
                        return SW_REORDER_E_FULL;
                b = sw_table_insert_id(&r->buckets, &second, &created, &id);
                if (!b)
                        return r->n_heap ? SW_REORDER_E_FULL : -SW_ERR_NOMEM;
                sw_table_pin(&r->buckets, id, true);
                if (!heap_push(r, second))
                        return -SW_ERR_NOMEM;
        }
        r->last = b;
        if (append(r, b, t))
                return SW_REORDER_OK;
        return SW_REORDER_E_FULL;
}

int sw_reorder_add_late(struct sw_reorder *r, const struct sw_otuple *t)
{
        return append(r, &r->late, t) ? SW_REORDER_OK : SW_REORDER_E_FULL;
}

bool sw_reorder_next(const struct sw_reorder *r, int64_t *ret_second)
{
        if (!r->n_heap)
                return false;
        *ret_second = r->heap[0];
        return true;
}

void sw_reorder_recycle(struct sw_reorder *r)
{
        while (r->taken) {
                struct sw_reorder_chunk *c = r->taken;

                r->taken = c->next;
                c->next = r->free[c->size_class];
                r->free[c->size_class] = c;
                r->free_bytes += reorder_chunk_bytes(c->size_class);
        }
}

static int reserve(struct sw_reorder *r, uint32_t n)
{
        struct sw_order_item *p;
        uint32_t cap = r->cap_items ? r->cap_items : 1024;

        while (cap < n)
                cap *= 2;
        if (cap == r->cap_items)
                return 0;
        p = sw_realloc_array(r->items, cap, sizeof(*p));
        if (!p)
                return -SW_ERR_NOMEM;
        r->items = p;
        p = sw_realloc_array(r->scratch, cap, sizeof(*p));
        if (!p)
                return -SW_ERR_NOMEM;
        r->scratch = p;
        r->cap_items = cap;
        return 0;
}

/* Lists the tuples of a chain that are due; others are put behind *rest. */
static int collect(struct sw_reorder *r, struct sw_reorder_bucket *b, struct sw_etime until, bool prefix,
        struct sw_reorder_bucket *rest)
{
        struct sw_reorder_chunk *c;
        uint32_t n = 0, i;

        for (c = b->head; c; c = c->next)
                for (i = 0; i < c->n; i++) {
                        struct sw_otuple *t = &c->tuples[i];

                        if (t->time.ms > until.ms) {
                                if (!append(r, rest, t))
                                        return -SW_ERR_NOMEM;
                                r->n_tuples--;
                                continue;
                        }
                        r->items[n].prefix = prefix ? sw_order_prefix(t) : 0;
                        r->items[n++].tuple = t;
                }
        return (int)n;
}

int sw_reorder_take(struct sw_reorder *r, struct sw_etime until, struct sw_reorder_run *ret)
{
        struct sw_reorder_bucket *b, rest = { 0 };
        int n;

        assert(r->n_heap);
        sw_reorder_recycle(r);
        b = sw_table_find(&r->buckets, &r->heap[0]);
        assert(b);
        if (reserve(r, b->n) < 0)
                return -SW_ERR_NOMEM;
        /* Only the last second of a release can be cut; its chunks then need some slack beyond the limit. */
        if (b->second * SW_SECOND + SW_SECOND - 1 > until.ms)
                r->limit_bytes += (size_t)(b->n / chunk_tuples[0] + 2) * reorder_chunk_bytes(1);
        n = collect(r, b, until, true, &rest);
        if (b->second * SW_SECOND + SW_SECOND - 1 > until.ms)
                r->limit_bytes -= (size_t)(b->n / chunk_tuples[0] + 2) * reorder_chunk_bytes(1);
        if (n < 0) {
                free_chain(rest.head);
                return n;
        }
        r->taken = b->head;
        r->n_tuples -= (uint32_t)n;
        if (rest.n) {
                b->head = rest.head;
                b->tail = rest.tail;
                b->n = rest.n;
        } else {
                r->last = NULL;
                sw_table_remove(&r->buckets, b);
                heap_pop(r);
        }
        sw_order_sort(r->directory, r->items, (uint32_t)n, r->scratch);
        *ret = (struct sw_reorder_run){ r->items, (uint32_t)n };
        return 0;
}

int sw_reorder_take_late(struct sw_reorder *r, struct sw_reorder_run *ret)
{
        struct sw_reorder_bucket none = { 0 };
        int n;

        sw_reorder_recycle(r);
        if (reserve(r, r->late.n) < 0)
                return -SW_ERR_NOMEM;
        n = collect(r, &r->late, (struct sw_etime){ INT64_MAX }, false, &none);
        r->taken = r->late.head;
        r->n_tuples -= (uint32_t)n;
        r->late = (struct sw_reorder_bucket){ 0 };
        sw_order_sort_any(r->directory, r->items, (uint32_t)n);
        *ret = (struct sw_reorder_run){ r->items, (uint32_t)n };
        return 0;
}

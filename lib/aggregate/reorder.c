/* SPDX-License-Identifier: Apache-2.0 */
#include "aggregate/reorder.h"

#include "base/fetch.h"

#include <assert.h>

/* A quiet second takes a small chunk, a busy one fills large ones. */
#define CHUNK_SMALL_TUPLES 4u
#define CHUNK_LARGE_TUPLES 40u

struct chunk {
        uint32_t next; /* as the head of a bucket */
        uint32_t n;
        struct sw_otuple tuples[];
};

#define CHUNK_LARGE UINT32_C(0x80000000)
#define CHUNK_BYTES(tuples) (sizeof(struct chunk) + (tuples) * sizeof(struct sw_otuple))

static const struct sw_table_spec bucket_spec = {
        .name = "reorder_seconds", .version = 1, .entry_size = sizeof(struct sw_reorder_bucket), .key_size = 8
};
static const struct sw_pool_spec chunk_specs[2] = {
        { .name = "reorder_small", .version = 1, .entry_size = CHUNK_BYTES(CHUNK_SMALL_TUPLES) },
        { .name = "reorder_large", .version = 1, .entry_size = CHUNK_BYTES(CHUNK_LARGE_TUPLES) },
};

int sw_reorder_init(
        struct sw_reorder *r, const struct sw_directory *d, size_t limit_bytes, const struct sw_hash_key *key)
{
        *r = (struct sw_reorder){ .directory = d, .limit_bytes = limit_bytes };
        /* Address space only: what is used is bounded by limit_bytes, and by the slack that cutting a second needs. */
        sw_pool_init(&r->chunks[0], &chunk_specs[0], limit_bytes * 2);
        sw_pool_init(&r->chunks[1], &chunk_specs[1], limit_bytes * 2);
        return sw_table_init(&r->buckets, &bucket_spec, limit_bytes, key, NULL);
}

void sw_reorder_deinit(struct sw_reorder *r)
{
        sw_pool_deinit(&r->chunks[0]);
        sw_pool_deinit(&r->chunks[1]);
        sw_table_deinit(&r->buckets);
        sw_free(r->heap);
        sw_free(r->items);
        sw_free(r->scratch);
        *r = (struct sw_reorder){ 0 };
}

static size_t reorder_chunk_bytes(unsigned size_class)
{
        return chunk_specs[size_class].entry_size;
}

static const struct chunk *chunk_peek(const struct sw_reorder *r, uint32_t ref)
{
        return sw_pool_peek(&r->chunks[(ref & CHUNK_LARGE) != 0], (ref & ~CHUNK_LARGE) - 1);
}

static struct chunk *chunk_at(struct sw_reorder *r, uint32_t ref)
{
        return sw_pool_at(&r->chunks[(ref & CHUNK_LARGE) != 0], (ref & ~CHUNK_LARGE) - 1);
}

static void chunk_give(struct sw_reorder *r, uint32_t ref)
{
        unsigned size_class = (ref & CHUNK_LARGE) != 0;

        sw_pool_give(&r->chunks[size_class], (ref & ~CHUNK_LARGE) - 1);
        r->free_bytes += reorder_chunk_bytes(size_class);
}

static void give_chain(struct sw_reorder *r, uint32_t ref)
{
        uint32_t next;

        for (; ref; ref = next) {
                next = chunk_peek(r, ref)->next;
                chunk_give(r, ref);
        }
}

static uint32_t reorder_chunk(struct sw_reorder *r, unsigned size_class)
{
        bool fresh = !r->chunks[size_class].free_head;
        struct chunk *c;
        uint32_t id;

        if (fresh && r->bytes + r->buckets.bytes + reorder_chunk_bytes(size_class) > r->limit_bytes)
                return 0;
        c = sw_pool_take(&r->chunks[size_class], &id);
        if (!c)
                return 0;
        if (fresh)
                r->bytes += reorder_chunk_bytes(size_class);
        else
                r->free_bytes -= reorder_chunk_bytes(size_class);
        c->next = 0;
        c->n = 0;
        return (id + 1) | (size_class ? CHUNK_LARGE : 0);
}

static uint32_t chunk_room(uint32_t ref)
{
        return ref & CHUNK_LARGE ? CHUNK_LARGE_TUPLES : CHUNK_SMALL_TUPLES;
}

/* Where the next tuple of the bucket goes, counted already; NULL: no room. */
static struct sw_otuple *append_room(struct sw_reorder *r, struct sw_reorder_bucket *b)
{
        struct chunk *c = b->tail ? chunk_at(r, b->tail) : NULL;

        if (!c || c->n == chunk_room(b->tail)) {
                unsigned size_class = b->n >= CHUNK_SMALL_TUPLES * 2;
                uint32_t ref = reorder_chunk(r, size_class);

                if (!ref)
                        ref = reorder_chunk(r, !size_class);
                if (!ref)
                        return NULL;
                if (c)
                        c->next = ref;
                else
                        b->head = ref;
                b->tail = ref;
                c = chunk_at(r, ref);
        }
        b->n++;
        r->n_tuples++;
        return &c->tuples[c->n++];
}

static bool append(struct sw_reorder *r, struct sw_reorder_bucket *b, const struct sw_otuple *t)
{
        struct sw_otuple *room = append_room(r, b);

        if (room)
                *room = *t;
        return room != NULL;
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
        if (!r->chunks[0].free_head && !r->chunks[1].free_head)
                more += reorder_chunk_bytes(0);
        return r->bytes + r->buckets.bytes + more <= r->limit_bytes;
}

bool sw_reorder_is_pressed(const struct sw_reorder *r)
{
        return r->bytes + r->buckets.bytes - r->free_bytes > r->limit_bytes / 2;
}

int sw_reorder_add_room(struct sw_reorder *r, struct sw_etime time, struct sw_otuple **ret)
{
        int64_t second = time.ms / SW_SECOND;
        uint32_t *recent = &r->recent[second & (SW_REORDER_RECENT - 1)], id = *recent;
        struct sw_reorder_bucket *b = sw_table_at(&r->buckets, id);
        bool created;

        if (!b || b->second != second)
                b = sw_table_find_id(&r->buckets, &second, &id);
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
        *recent = id;
        *ret = append_room(r, b);
        return *ret ? SW_REORDER_OK : SW_REORDER_E_FULL;
}

/* The chunk at the end of that second's bucket; NULL: there is none, or it is not a recent one. */
static const struct chunk *recent_tail(const struct sw_reorder *r, struct sw_etime time)
{
        int64_t second = time.ms / SW_SECOND;
        const struct sw_reorder_bucket *b = sw_table_peek(&r->buckets, r->recent[second & (SW_REORDER_RECENT - 1)]);

        return b && b->second == second && b->tail ? chunk_peek(r, b->tail) : NULL;
}

void sw_reorder_prefetch(const struct sw_reorder *r, struct sw_etime time)
{
        const struct chunk *c = recent_tail(r, time);

        if (c)
                sw_fetch(c);
}

void sw_reorder_prefetch_room(const struct sw_reorder *r, struct sw_etime time)
{
        const struct chunk *c = recent_tail(r, time);

        if (!c)
                return;
        sw_fetch(&c->tuples[c->n]);
        sw_fetch((const unsigned char *)&c->tuples[c->n] + sizeof(struct sw_otuple) - 1);
}

int sw_reorder_add(struct sw_reorder *r, const struct sw_otuple *t)
{
        struct sw_otuple *room;
        int result = sw_reorder_add_room(r, t->time, &room);

        if (result == SW_REORDER_OK)
                *room = *t;
        return result;
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
        give_chain(r, r->taken);
        r->taken = 0;
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
        const struct chunk *c;
        uint32_t n = 0, i, ref;

        for (ref = b->head; ref; ref = c->next) {
                c = chunk_peek(r, ref);
                for (i = 0; i < c->n; i++) {
                        const struct sw_otuple *t = &c->tuples[i];

                        if (t->time.ms > until.ms) {
                                if (!append(r, rest, t))
                                        return -SW_ERR_NOMEM;
                                r->n_tuples--;
                                continue;
                        }
                        r->items[n].prefix = prefix ? sw_order_prefix(t) : 0;
                        r->items[n++].tuple = t;
                }
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
                r->limit_bytes += (size_t)(b->n / CHUNK_SMALL_TUPLES + 2) * reorder_chunk_bytes(1);
        n = collect(r, b, until, true, &rest);
        if (b->second * SW_SECOND + SW_SECOND - 1 > until.ms)
                r->limit_bytes -= (size_t)(b->n / CHUNK_SMALL_TUPLES + 2) * reorder_chunk_bytes(1);
        if (n < 0) {
                give_chain(r, rest.head);
                return n;
        }
        r->taken = b->head;
        r->n_tuples -= (uint32_t)n;
        if (rest.n) {
                b->head = rest.head;
                b->tail = rest.tail;
                b->n = rest.n;
        } else {
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

void sw_reorder_state(struct sw_reorder *r, struct sw_state_io *s)
{
        sw_reorder_recycle(r);
        sw_state_u32(s, &r->late.head);
        sw_state_u32(s, &r->late.tail);
        sw_state_u32(s, &r->late.n);
        sw_state_u32(s, &r->cap_heap);
}

/* Chunks are in one chain each: more than there are would be a loop. So would be a tuple that is not of the bucket's
 * second: it would be waited for. */
static bool chain_is_whole(
        const struct sw_reorder *r, const struct sw_reorder_bucket *b, bool late, uint32_t *inout_chunks)
{
        const struct chunk *c;
        uint32_t ref, last = 0, n = 0, i;

        for (ref = b->head; ref; ref = c->next) {
                const struct sw_pool *p = &r->chunks[(ref & CHUNK_LARGE) != 0];
                uint32_t id = (ref & ~CHUNK_LARGE) - 1;

                if (id >= p->n_high || !p->meta[id] || (*inout_chunks)-- == 0)
                        return false;
                c = chunk_peek(r, ref);
                if (c->n > chunk_room(ref))
                        return false;
                for (i = 0; i < c->n; i++)
                        if (!sw_table_at(&r->directory->rules, c->tuples[i].rule) ||
                                c->tuples[i].state > SW_STATE_DENIED ||
                                (!late && c->tuples[i].time.ms / SW_SECOND != b->second))
                                return false;
                n += c->n;
                last = ref;
        }
        return n == b->n && last == b->tail;
}

int sw_reorder_restored(struct sw_reorder *r)
{
        uint32_t id, left = r->chunks[0].n_used + r->chunks[1].n_used, cap = r->cap_heap;
        const struct sw_reorder_bucket *b;
        unsigned i;

        for (i = 0; i < 2; i++) {
                r->bytes += r->chunks[i].n_high * reorder_chunk_bytes(i);
                r->free_bytes += (r->chunks[i].n_high - r->chunks[i].n_used) * reorder_chunk_bytes(i);
        }
        r->cap_heap = 0;
        if (cap > r->limit_bytes / sizeof(*r->heap) || (cap && (cap < 256 || (cap & (cap - 1)))))
                return -SW_ERR_DATA;
        if (cap) {
                r->heap = sw_realloc_array(NULL, cap, sizeof(*r->heap));
                if (!r->heap)
                        return -SW_ERR_NOMEM;
                r->bytes += cap * sizeof(*r->heap);
                r->cap_heap = cap;
        }
        for (id = 0; (b = sw_table_next(&r->buckets, &id)); id++) {
                if (b->n == 0 || !chain_is_whole(r, b, false, &left) || r->n_heap == cap)
                        return -SW_ERR_DATA;
                r->n_tuples += b->n;
                (void)heap_push(r, b->second);
        }
        r->n_tuples += r->late.n;
        return chain_is_whole(r, &r->late, true, &left) && left == 0 ? 0 : -SW_ERR_DATA;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "base/table.h"

#include "base/alloc.h"
#include "base/err.h"
#include "base/fetch.h"

#include <assert.h>

#define CHUNK_BYTES ((size_t)64 * 1024)
#define HUGE_BYTES ((size_t)2 << 20) /* pools and indexes from here on ask for huge pages */
#define MIN_SLOTS 64u

enum { META_USED = 1, META_RECENT = 2, META_PINNED = 4 };

static uint32_t chunk_entries(const struct sw_table *t)
{
        return UINT32_C(1) << t->chunk_shift;
}

static size_t chunk_bytes(const struct sw_table *t)
{
        return (size_t)chunk_entries(t) * t->spec.entry_size;
}

static void *entry_ptr(const struct sw_table *t, uint32_t id)
{
        return t->pool + (size_t)id * t->spec.entry_size;
}

static unsigned char *meta_ptr(const struct sw_table *t, uint32_t id)
{
        return t->meta + id;
}

/* Stands before every change of an entry or its meta byte, and before an entry is handed out that may be changed. */
static inline void table_touch(const struct sw_table *t, uint32_t id)
{
        if (__builtin_expect(t->guard != NULL, 0))
                sw_guard_touch(t->guard, id);
}

static size_t meta_bytes(const struct sw_table *t)
{
        return t->pool_bytes / t->spec.entry_size + chunk_entries(t);
}

int sw_table_init(struct sw_table *t, const struct sw_table_spec *spec, size_t limit_bytes,
        const struct sw_hash_key *key, void *ctx)
{
        assert(spec->entry_size % 8 == 0 && spec->entry_size >= 8 && spec->entry_size <= 8192);
        assert(spec->key_size >= 4 && spec->key_size <= spec->entry_size);
        *t = (struct sw_table){ .spec = *spec, .key = *key, .ctx = ctx, .limit_bytes = limit_bytes };
        while ((size_t)(2u << t->chunk_shift) * spec->entry_size <= CHUNK_BYTES)
                t->chunk_shift++;
        /* A small limit gets small chunks, so that it can be used up. */
        while (t->chunk_shift > 4 && chunk_bytes(t) > limit_bytes / 4)
                t->chunk_shift--;
        if (chunk_bytes(t) + chunk_entries(t) + MIN_SLOTS * sizeof(uint64_t) > limit_bytes)
                return -SW_ERR_INVAL;
        return 0;
}

/* Large indexes are reservations, so that they can have huge pages. */
static bool slots_reserved(uint32_t n)
{
        return (size_t)n * sizeof(uint64_t) >= HUGE_BYTES;
}

static uint64_t *new_slots(uint32_t n)
{
        size_t bytes = (size_t)n * sizeof(uint64_t);
        uint64_t *slots;

        if (!slots_reserved(n))
                return sw_calloc(n, sizeof(uint64_t));
        slots = sw_reserve(bytes);
        if (slots)
                sw_reserve_huge(slots, 0, bytes);
        return slots;
}

static void free_slots(uint64_t *slots, uint32_t mask)
{
        if (slots && slots_reserved(mask + 1))
                sw_unreserve(slots, ((size_t)mask + 1) * sizeof(uint64_t));
        else
                sw_free(slots);
}

void sw_table_deinit(struct sw_table *t)
{
        if (!t)
                return;
        sw_unreserve(t->pool, t->pool_bytes);
        if (t->meta)
                sw_unreserve(t->meta, meta_bytes(t));
        free_slots(t->slots, t->slot_mask);
        t->pool = NULL;
        t->meta = NULL;
        t->slots = NULL;
        t->n_chunks = t->n_used = t->n_high = t->free_head = t->hand = t->slot_mask = 0;
        t->bytes = 0;
}

void sw_table_clear(struct sw_table *t)
{
        uint32_t id;

        for (id = 0; t->guard && id < t->n_high; id++)
                table_touch(t, id);
        if (t->pool)
                memset(t->pool, 0, chunk_bytes(t) * t->n_chunks);
        if (t->meta)
                memset(t->meta, 0, (size_t)t->n_chunks << t->chunk_shift);
        if (t->slots)
                memset(t->slots, 0, ((size_t)t->slot_mask + 1) * sizeof(uint64_t));
        t->n_used = t->n_high = t->free_head = t->hand = 0;
}

uint64_t sw_table_hash(const struct sw_table *t, const void *key)
{
        /* A constant length unrolls to half the instructions: the sizes of the busiest tables. */
        switch (t->spec.key_size) {
        case 8:
                return sw_keyhash(&t->key, key, 8);
        case 9:
                return sw_keyhash(&t->key, key, 9);
        case 16:
                return sw_keyhash(&t->key, key, 16);
        case 24:
                return sw_keyhash(&t->key, key, 24);
        case 40:
                return sw_keyhash(&t->key, key, 40);
        default:
                return sw_keyhash(&t->key, key, t->spec.key_size);
        }
}

void sw_table_prefetch(const struct sw_table *t, uint64_t hash)
{
        if (t->slots)
                sw_fetch(&t->slots[(uint32_t)hash & t->slot_mask]);
}

/* A function of its own: hashing is worth inlining only where a tuple cannot do without. */
__attribute__((noinline)) uint64_t sw_table_look_ahead(const struct sw_table *t, const void *key)
{
        uint64_t hash = sw_table_hash(t, key);

        sw_table_prefetch(t, hash);
        return hash;
}

/* Three lines at most, and the byte that a hit marks. */
static void prefetch_id(const struct sw_table *t, uint32_t id)
{
        const unsigned char *e = entry_ptr(t, id);

        sw_fetch(e);
        if (t->spec.entry_size > 64)
                sw_fetch(e + 64);
        if (t->spec.entry_size > 128)
                sw_fetch(e + 128);
        sw_fetch(meta_ptr(t, id));
}

static uint32_t guess_id(const struct sw_table *t, uint64_t hash)
{
        uint32_t tag = (uint32_t)hash, i, step;

        if (!t->slots)
                return SW_TABLE_NO_ID;
        for (step = 0, i = tag & t->slot_mask; step < 8 && t->slots[i]; step++, i = (i + 1) & t->slot_mask)
                if ((uint32_t)(t->slots[i] >> 32) == tag)
                        return (uint32_t)t->slots[i] - 1;
        return SW_TABLE_NO_ID;
}

const void *sw_table_guess(const struct sw_table *t, uint64_t hash)
{
        uint32_t id = guess_id(t, hash);

        return id == SW_TABLE_NO_ID ? NULL : entry_ptr(t, id);
}

void sw_table_prefetch_entry(const struct sw_table *t, uint64_t hash)
{
        uint32_t id = guess_id(t, hash);

        if (id != SW_TABLE_NO_ID)
                prefetch_id(t, id);
}

void sw_table_prefetch_id(const struct sw_table *t, uint32_t id)
{
        if (id < t->n_high)
                prefetch_id(t, id);
}

/* By words: keys are a few of them, and a call to memcmp costs more than it compares. */
static bool same_key(const struct sw_table *t, const void *entry, const void *key)
{
        const unsigned char *a = entry, *b = key;
        size_t n = t->spec.key_size;
        uint64_t x, y;

        for (; n >= 8; a += 8, b += 8, n -= 8) {
                memcpy(&x, a, 8);
                memcpy(&y, b, 8);
                if (x != y)
                        return false;
        }
        if (n == 0)
                return true;
        if (t->spec.key_size < 8) { /* and at least 4 */
                uint32_t v, w;

                memcpy(&v, a, 4);
                memcpy(&w, b, 4);
                if (v != w)
                        return false;
                memcpy(&v, a + n - 4, 4);
                memcpy(&w, b + n - 4, 4);
                return v == w;
        }
        /* The last word, which begins inside the one before. */
        memcpy(&x, a + n - 8, 8);
        memcpy(&y, b + n - 8, 8);
        return x == y;
}

/* Slot of a key, or of the empty slot that ends its probe. */
static uint32_t probe(const struct sw_table *t, const void *key, uint64_t hash)
{
        uint32_t tag = (uint32_t)hash, i;

        for (i = tag & t->slot_mask; t->slots[i]; i = (i + 1) & t->slot_mask) {
                if ((uint32_t)(t->slots[i] >> 32) != tag)
                        continue;
                if (same_key(t, entry_ptr(t, (uint32_t)t->slots[i] - 1), key))
                        break;
        }
        return i;
}

static void *hit(const struct sw_table *t, uint32_t slot, uint32_t *ret_id)
{
        uint32_t id = (uint32_t)t->slots[slot] - 1;
        unsigned char *m = meta_ptr(t, id);

        table_touch(t, id);
        if (!(*m & META_RECENT))
                *m |= META_RECENT;
        if (ret_id)
                *ret_id = id;
        return entry_ptr(t, id);
}

static void *find(struct sw_table *t, const void *key, uint64_t hash, uint32_t *ret_id)
{
        uint32_t slot;

        if (!t->slots)
                return NULL;
        slot = probe(t, key, hash);
        return t->slots[slot] ? hit(t, slot, ret_id) : NULL;
}

void *sw_table_find_hashed(struct sw_table *t, const void *key, uint64_t hash)
{
        return find(t, key, hash, NULL);
}

void *sw_table_find(struct sw_table *t, const void *key)
{
        return find(t, key, sw_table_hash(t, key), NULL);
}

void *sw_table_find_id(struct sw_table *t, const void *key, uint32_t *ret_id)
{
        return find(t, key, sw_table_hash(t, key), ret_id);
}

/* Doubles the index if that stays under the limit (old and new exist side by side for a moment). */
static bool grow_index(struct sw_table *t)
{
        uint32_t n_old = t->slots ? t->slot_mask + 1 : 0, n = n_old ? n_old * 2 : MIN_SLOTS, i, j;
        uint64_t *slots;

        if (n < n_old || t->bytes + (size_t)n * sizeof(*slots) > t->limit_bytes)
                return false;
        slots = new_slots(n);
        if (!slots)
                return false;
        for (i = 0; i < n_old; i++) {
                if (!t->slots[i])
                        continue;
                for (j = (uint32_t)(t->slots[i] >> 32) & (n - 1); slots[j]; j = (j + 1) & (n - 1))
                        ;
                slots[j] = t->slots[i];
        }
        free_slots(t->slots, t->slot_mask);
        t->slots = slots;
        t->slot_mask = n - 1;
        t->bytes += (size_t)(n - n_old) * sizeof(*slots);
        return true;
}

static size_t table_pool_step(const struct sw_table *t)
{
        return chunk_bytes(t) + chunk_entries(t);
}

static bool table_index_is_full(const struct sw_table *t)
{
        return t->n_used + 1 > (t->slots ? t->slot_mask + 1 : 0) / 4 * 3; /* load at most 3/4 */
}

static bool table_pool_is_full(const struct sw_table *t)
{
        return !t->free_head && t->n_high == t->n_chunks << t->chunk_shift;
}

size_t sw_table_growth(const struct sw_table *t)
{
        size_t n = 0;

        if (table_index_is_full(t))
                n += (t->slots ? ((size_t)t->slot_mask + 1) * 2 : MIN_SLOTS) * sizeof(*t->slots);
        if (table_pool_is_full(t))
                n += table_pool_step(t);
        return n;
}

/* Address space for as much as the limit allows: neither entries nor meta bytes ever move. */
static bool table_reserve(struct sw_table *t)
{
        if (t->pool)
                return true;
        t->pool_bytes = t->limit_bytes;
        t->pool = sw_reserve(t->pool_bytes);
        t->meta = t->pool ? sw_reserve(meta_bytes(t)) : NULL;
        if (t->meta)
                return true;
        sw_unreserve(t->pool, t->pool_bytes);
        t->pool = NULL;
        return false;
}

/* Takes one more chunk of the reservation into use. */
static bool grow_pool(struct sw_table *t)
{
        size_t more = table_pool_step(t), used = chunk_bytes(t) * t->n_chunks;

        if (t->bytes + more > t->limit_bytes || (uint64_t)(t->n_chunks + 1) << t->chunk_shift > UINT32_MAX - 1)
                return false;
        if (!table_reserve(t))
                return false;
        /* A small table must not cost a huge page: the hint runs one ahead of what is used. */
        if (used >= HUGE_BYTES && used / HUGE_BYTES != (used + chunk_bytes(t)) / HUGE_BYTES)
                sw_reserve_huge(
                        t->pool, used, used + 2 * HUGE_BYTES < t->pool_bytes ? used + 2 * HUGE_BYTES : t->pool_bytes);
        t->n_chunks++;
        t->bytes += more;
        return true;
}

static uint32_t slot_of_id(const struct sw_table *t, uint32_t id, uint32_t hash)
{
        uint32_t i;

        for (i = hash & t->slot_mask; (uint32_t)t->slots[i] != id + 1; i = (i + 1) & t->slot_mask)
                assert(t->slots[i]);
        return i;
}

/* Closes the gap that a removal leaves, so that probes never need tombstones. */
static void unlink_slot(struct sw_table *t, uint32_t hole)
{
        uint32_t i = hole;

        for (;;) {
                uint32_t home;

                i = (i + 1) & t->slot_mask;
                if (!t->slots[i])
                        break;
                home = (uint32_t)(t->slots[i] >> 32) & t->slot_mask;
                if (((i - home) & t->slot_mask) < ((i - hole) & t->slot_mask))
                        continue;
                t->slots[hole] = t->slots[i];
                hole = i;
        }
        t->slots[hole] = 0;
}

void sw_table_remove_id(struct sw_table *t, uint32_t id)
{
        sw_table_remove_id_hashed(t, id, sw_table_hash(t, entry_ptr(t, id)));
}

void sw_table_remove_id_hashed(struct sw_table *t, uint32_t id, uint64_t hash)
{
        unsigned char *e = entry_ptr(t, id);

        assert(*meta_ptr(t, id) & META_USED);
        table_touch(t, id);
        unlink_slot(t, slot_of_id(t, id, (uint32_t)hash));
        *meta_ptr(t, id) = 0;
        memcpy(e, &t->free_head, sizeof(t->free_head)); /* the rest is zeroed when it is used again, warm then */
        t->free_head = id + 1;
        t->n_used--;
}

uint32_t sw_table_id(const struct sw_table *t, const void *entry)
{
        const unsigned char *e = entry;

        if (!t->pool || e < t->pool || e >= t->pool + (size_t)t->n_high * t->spec.entry_size)
                return SW_TABLE_NO_ID;
        return (uint32_t)((size_t)(e - t->pool) / t->spec.entry_size);
}

void sw_table_remove(struct sw_table *t, void *entry)
{
        uint32_t id;

        /* By its key, in O(1): the entry's own bytes still hold it. */
        if (!sw_table_find_id(t, entry, &id))
                return;
        sw_table_remove_id(t, id);
}

/* Second chance: two full turns find a victim unless all entries are pinned. */
static bool evict_one(struct sw_table *t)
{
        uint64_t step, n = (uint64_t)t->n_high * 2 + 1;

        for (step = 0; step < n; step++) {
                uint32_t id = t->hand;
                unsigned char *m;

                t->hand = t->hand + 1 < t->n_high ? t->hand + 1 : 0;
                m = meta_ptr(t, id);
                if (!(*m & META_USED) || *m & META_PINNED)
                        continue;
                table_touch(t, id);
                if (*m & META_RECENT) {
                        *m &= (unsigned char)~META_RECENT;
                        continue;
                }
                if (t->spec.on_evict)
                        t->spec.on_evict(t->ctx, entry_ptr(t, id));
                sw_table_remove_id(t, id);
                return true;
        }
        return false;
}

static bool take_id(struct sw_table *t, uint32_t *ret_id)
{
        if (table_pool_is_full(t) && !grow_pool(t)) {
                t->n_evicted++;
                if (!t->n_high || !evict_one(t))
                        return false;
        }
        if (t->free_head) {
                *ret_id = t->free_head - 1;
                table_touch(t, *ret_id);
                memcpy(&t->free_head, entry_ptr(t, *ret_id), sizeof(t->free_head));
                memset(entry_ptr(t, *ret_id), 0, t->spec.entry_size);
                return true;
        }
        *ret_id = t->n_high++;
        return true;
}

static void *insert(struct sw_table *t, const void *key, uint64_t hash, bool *ret_created, uint32_t *ret_id)
{
        const uint64_t *slots = t->slots, evicted = t->n_evicted;
        uint32_t slot = 0, id, n_slots = t->slots ? t->slot_mask + 1 : 0;

        if (n_slots) {
                slot = probe(t, key, hash);
                if (t->slots[slot]) {
                        *ret_created = false;
                        return hit(t, slot, ret_id);
                }
        }
        /* Where the index cannot grow, an old entry makes room instead. */
        if (table_index_is_full(t) && !grow_index(t)) {
                t->n_evicted++;
                if (!n_slots || !evict_one(t))
                        return NULL;
        }
        if (!take_id(t, &id))
                return NULL;
        /* Still the one that was found empty, unless the index is another or an entry left it. */
        if (t->slots != slots || t->n_evicted != evicted)
                slot = probe(t, key, hash);
        t->slots[slot] = hash << 32 | (uint64_t)(id + 1);
        memcpy(entry_ptr(t, id), key, t->spec.key_size);
        *meta_ptr(t, id) = META_USED | META_RECENT;
        t->n_used++;
        *ret_created = true;
        if (ret_id)
                *ret_id = id;
        return entry_ptr(t, id);
}

void *sw_table_insert_hashed(struct sw_table *t, const void *key, uint64_t hash, bool *ret_created)
{
        return insert(t, key, hash, ret_created, NULL);
}

void *sw_table_insert(struct sw_table *t, const void *key, bool *ret_created)
{
        return insert(t, key, sw_table_hash(t, key), ret_created, NULL);
}

void *sw_table_insert_id(struct sw_table *t, const void *key, bool *ret_created, uint32_t *ret_id)
{
        return insert(t, key, sw_table_hash(t, key), ret_created, ret_id);
}

void *sw_table_insert_id_hashed(struct sw_table *t, const void *key, uint64_t hash, bool *ret_created, uint32_t *ret_id)
{
        return insert(t, key, hash, ret_created, ret_id);
}

void *sw_table_find_id_hashed(struct sw_table *t, const void *key, uint64_t hash, uint32_t *ret_id)
{
        return find(t, key, hash, ret_id);
}

void *sw_table_at(const struct sw_table *t, uint32_t id)
{
        if (id >= t->n_high || !(*meta_ptr(t, id) & META_USED))
                return NULL;
        table_touch(t, id);
        return entry_ptr(t, id);
}

const void *sw_table_peek(const struct sw_table *t, uint32_t id)
{
        return id < t->n_high && *meta_ptr(t, id) & META_USED ? entry_ptr(t, id) : NULL;
}

void *sw_table_use(struct sw_table *t, uint32_t id)
{
        unsigned char *m;

        if (id >= t->n_high || !(*meta_ptr(t, id) & META_USED))
                return NULL;
        table_touch(t, id);
        m = meta_ptr(t, id);
        if (!(*m & META_RECENT))
                *m |= META_RECENT;
        return entry_ptr(t, id);
}

void sw_table_sweep(struct sw_table *t, uint32_t n, bool (*over)(void *ctx, const void *entry), void *ctx)
{
        uint32_t i, id, ahead;

        for (i = 0; i < n && t->n_high > 0; i++) {
                id = t->hand;
                t->hand = t->hand + 1 < t->n_high ? t->hand + 1 : 0;
                if ((*meta_ptr(t, id) & (META_USED | META_PINNED)) == META_USED && over(ctx, entry_ptr(t, id)))
                        sw_table_remove_id(t, id);
        }
        /* The next ones will leave their slots, which lie anywhere. */
        for (id = t->hand, ahead = 0; ahead < n && id < t->n_high; ahead++, id++)
                if (*meta_ptr(t, id) & META_USED)
                        (void)sw_table_look_ahead(t, entry_ptr(t, id));
}

void sw_table_pin(struct sw_table *t, uint32_t id, bool pinned)
{
        unsigned char *m = meta_ptr(t, id);

        table_touch(t, id);
        *m = (unsigned char)(pinned ? *m | META_PINNED : *m & ~META_PINNED);
}

void *sw_table_next(const struct sw_table *t, uint32_t *inout_id)
{
        for (; *inout_id < t->n_high; (*inout_id)++)
                if (*meta_ptr(t, *inout_id) & META_USED) {
                        table_touch(t, *inout_id);
                        return entry_ptr(t, *inout_id);
                }
        return NULL;
}

struct sw_table_image sw_table_image(const struct sw_table *t)
{
        return (struct sw_table_image){
                .n_high = t->n_high,
                .n_used = t->n_used,
                .free_head = t->free_head,
                .hand = t->hand,
                .n_slots = t->slots ? t->slot_mask + 1 : 0,
                .n_evicted = t->n_evicted,
        };
}

int sw_table_restore(struct sw_table *t, const struct sw_table_image *image)
{
        uint64_t n_chunks = ((uint64_t)image->n_high + chunk_entries(t) - 1) >> t->chunk_shift, n = image->n_slots;

        assert(!t->n_high && !t->slots);
        if ((n & (n - 1)) || (n && n < MIN_SLOTS) || n > UINT32_C(1) << 31 || image->n_used > n / 4 * 3 ||
                image->n_used > image->n_high || (image->hand && image->hand >= image->n_high))
                return -SW_ERR_DATA;
        if (n_chunks > UINT32_MAX || n_chunks * table_pool_step(t) + n * sizeof(*t->slots) > t->limit_bytes)
                return -SW_ERR_LIMIT;
        while (t->n_chunks < n_chunks)
                if (!grow_pool(t))
                        return -SW_ERR_NOMEM;
        if (n) {
                t->slots = new_slots((uint32_t)n);
                if (!t->slots)
                        return -SW_ERR_NOMEM;
                t->slot_mask = (uint32_t)n - 1;
                t->bytes += (size_t)n * sizeof(*t->slots);
        }
        t->n_high = image->n_high;
        t->hand = image->hand;
        t->n_evicted = image->n_evicted;
        return 0;
}

void sw_table_put(
        struct sw_table *t, uint32_t first, uint32_t n, const unsigned char *entries, const unsigned char *meta)
{
        assert(first <= t->n_high && n <= t->n_high - first);
        memcpy(entry_ptr(t, first), entries, (size_t)n * t->spec.entry_size);
        memcpy(meta_ptr(t, first), meta, n);
}

/* Puts what is in use into the index. Where an entry belongs is asked for some entries ahead: the index of a large
 * table is in no cache. */
static int restore_index(struct sw_table *t, const struct sw_table_image *image)
{
        enum { AHEAD = 16 };
        uint64_t hashes[AHEAD], hash;
        uint32_t ids[AHEAD], id, slot, i, n_asked = 0;

        for (id = 0, i = 0; id < t->n_high || i < n_asked;) {
                if (id < t->n_high && n_asked - i < AHEAD) {
                        if (*meta_ptr(t, id) & ~(META_USED | META_RECENT | META_PINNED))
                                return -SW_ERR_DATA;
                        if (*meta_ptr(t, id) & META_USED) {
                                if (n_asked == image->n_used)
                                        return -SW_ERR_DATA;
                                hashes[n_asked % AHEAD] = sw_table_hash(t, entry_ptr(t, id));
                                ids[n_asked % AHEAD] = id;
                                sw_table_prefetch(t, hashes[n_asked++ % AHEAD]);
                        }
                        id++;
                        continue;
                }
                hash = hashes[i % AHEAD];
                slot = probe(t, entry_ptr(t, ids[i % AHEAD]), hash);
                if (t->slots[slot])
                        return -SW_ERR_DATA;
                t->slots[slot] = hash << 32 | (uint64_t)(ids[i++ % AHEAD] + 1);
                t->n_used++;
        }
        return 0;
}

int sw_table_restore_end(struct sw_table *t, const struct sw_table_image *image)
{
        uint32_t next, n_free = t->n_high - image->n_used;
        int r = restore_index(t, image);

        if (r < 0)
                return r;
        /* As long as it should be, so it has no loop; all entries that are not in use. */
        for (next = image->free_head; next; n_free--) {
                if (!n_free || next > t->n_high || *meta_ptr(t, next - 1))
                        return -SW_ERR_DATA;
                memcpy(&next, entry_ptr(t, next - 1), sizeof(next));
        }
        if (n_free || t->n_used != image->n_used)
                return -SW_ERR_DATA;
        t->free_head = image->free_head;
        return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The one hash table of the hot path: fixed-size entries in a dense pool, found through a flat index.
 *
 *   pool    grows in place, 64 KiB at a time; an entry keeps its address and its id (0, 1, 2 ...) for life. Ids follow
 *           insertion, so walking the pool does not depend on the hash seed. What the clock needs to know of an
 *           entry is a byte in an array of its own, which stays in the cache.
 *   index   open addressing with linear probing, one 64-bit slot = 32 hash bits | entry id + 1; growing it
 *           touches no entry. Keys are hashed under the caller's secret.
 *   limit   pool and index together never pass limit_bytes. At the limit an insert evicts by second chance
 *           (a clock hand over the pool; entries used since its last pass and pinned ones are spared), so the
 *           victim does not depend on the seed either.
 *
 * The key is the first key_size bytes of an entry. Threads: one owner. Cost: O(1) expected. */
#include "base/guard.h"
#include "base/hash.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SW_TABLE_NO_ID UINT32_MAX

struct sw_table_spec {
        const char *name;    /* metric label and snapshot section: snake_case */
        uint32_t version;    /* raise it when the entry's meaning changes: old content is then dropped */
        uint32_t entry_size; /* bytes, multiple of 8, at most 8 KiB */
        uint32_t key_size;   /* bytes, padding zeroed by the caller */
        /* Told before an entry is evicted (not removed); may be NULL. ctx is given at init. */
        void (*on_evict)(void *ctx, void *entry);
        /* Makes an entry of today's version (zeroed, entry_size bytes, key included) out of one of an older snapshot.
         * False: that version cannot be read, the table is dropped. May be NULL. */
        bool (*migrate)(uint32_t version, uint32_t entry_size, const void *old, void *entry);
};

struct sw_table {
        struct sw_table_spec spec;
        struct sw_hash_key key;
        void *ctx;
        unsigned char *pool;           /* reservation of pool_bytes; n_chunks of it are in use */
        unsigned char *meta;           /* reservation: a byte per entry of all chunks */
        struct sw_guard_region *guard; /* while a snapshot is read; else NULL */
        uint64_t *slots;
        size_t pool_bytes;
        uint32_t n_chunks, chunk_shift; /* 1 << chunk_shift entries per chunk */
        uint32_t slot_mask;             /* slots - 1; 0 slots before the first insert */
        uint32_t n_used, n_high;        /* live entries; ids handed out so far */
        uint32_t free_head;             /* id + 1 of the first free entry, 0 = none */
        uint32_t hand;                  /* clock position */
        size_t limit_bytes, bytes;
        uint64_t n_evicted;
};

/* Takes no memory yet. 0 | -SW_ERR_INVAL if the limit cannot hold 16 entries. */
int sw_table_init(struct sw_table *t, const struct sw_table_spec *spec, size_t limit_bytes,
        const struct sw_hash_key *key, void *ctx);
void sw_table_deinit(struct sw_table *t); /* NULL-safe, twice is fine */

uint64_t sw_table_hash(const struct sw_table *t, const void *key);
void sw_table_prefetch(const struct sw_table *t, uint64_t hash);
uint64_t sw_table_look_ahead(const struct sw_table *t, const void *key); /* both */
/* Second step, some look-ups after the first: the entry that the (now cached) slots near its home point to; NULL if
 * there seems to be none. Its key was not compared: good for prefetching only. */
const void *sw_table_guess(const struct sw_table *t, uint64_t hash);
void sw_table_prefetch_entry(const struct sw_table *t, uint64_t hash);
void sw_table_prefetch_id(const struct sw_table *t, uint32_t id);

/* NULL if absent. A hit marks the entry as used for the clock. Valid until it is removed or evicted. */
void *sw_table_find(struct sw_table *t, const void *key);
void *sw_table_find_hashed(struct sw_table *t, const void *key, uint64_t hash);

/* Finds or inserts (rest zeroed). NULL only when every entry is pinned or memory is out: counted as evicted. */
void *sw_table_insert(struct sw_table *t, const void *key, bool *ret_created);
void *sw_table_insert_hashed(struct sw_table *t, const void *key, uint64_t hash, bool *ret_created);
void sw_table_remove(struct sw_table *t, void *entry);
void sw_table_clear(struct sw_table *t); /* keeps memory */
/* Bytes that inserting one new key would take beyond t->bytes, for a moment at least; 0: there is room already. */
size_t sw_table_growth(const struct sw_table *t);

uint32_t sw_table_id(const struct sw_table *t, const void *entry);
void *sw_table_at(const struct sw_table *t, uint32_t id); /* NULL if free or out of range */
/* The same, only to look at it: while a snapshot is read, what is not changed need not be copied. */
const void *sw_table_peek(const struct sw_table *t, uint32_t id);
/* The same as a hit would be: marked as used for the clock. */
void *sw_table_use(struct sw_table *t, uint32_t id);
void *sw_table_insert_id(struct sw_table *t, const void *key, bool *ret_created, uint32_t *ret_id);
void *sw_table_find_id(struct sw_table *t, const void *key, uint32_t *ret_id);
/* The same with a hash that is known already. */
void *sw_table_insert_id_hashed(
        struct sw_table *t, const void *key, uint64_t hash, bool *ret_created, uint32_t *ret_id);
void *sw_table_find_id_hashed(struct sw_table *t, const void *key, uint64_t hash, uint32_t *ret_id);
void sw_table_remove_id(struct sw_table *t, uint32_t id);
void sw_table_remove_id_hashed(struct sw_table *t, uint32_t id, uint64_t hash);
void sw_table_pin(struct sw_table *t, uint32_t id, bool pinned); /* pinned entries are never evicted */

/* Looks at the next n places of the clock and removes what `over` says is of no use any more: no loss, not counted.
 * A few at each insertion keep a table of short-lived entries small. `over` may not touch the table. */
void sw_table_sweep(struct sw_table *t, uint32_t n, bool (*over)(void *ctx, const void *entry), void *ctx);

/* Walks live entries in id order: `for (id = 0; (e = sw_table_next(t, &id)); id++)`. */
void *sw_table_next(const struct sw_table *t, uint32_t *inout_id);

/* ---- snapshots ----
 * A table is saved as its pool, the meta bytes and these numbers; the index is made anew. */
struct sw_table_image {
        uint32_t n_high, n_used, free_head, hand, n_slots;
        uint64_t n_evicted;
};
struct sw_table_image sw_table_image(const struct sw_table *t);
/* Prepares an empty table for the content of an image, filled by _put (ranges within n_high). 0 | -SW_ERR_LIMIT (more
 * than limit_bytes) | -SW_ERR_NOMEM | -SW_ERR_DATA (such a table never was). */
int sw_table_restore(struct sw_table *t, const struct sw_table_image *image);
void sw_table_put(
        struct sw_table *t, uint32_t first, uint32_t n, const unsigned char *entries, const unsigned char *meta);
/* Makes the index. 0 | -SW_ERR_DATA: entries, free list and image do not fit each other, or a key is there twice. */
int sw_table_restore_end(struct sw_table *t, const struct sw_table_image *image);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What a snapshot holds as it lies in memory: tables, pools and texts. Whoever owns such things lists them; saving,
 * loading, counting and bounding go through the same list. */
#include "base/guard.h"
#include "base/pool.h"
#include "base/table.h"
#include "persist/state.h"

struct sw_region {
        const char *name; /* section "table:NAME" */
        uint32_t version, entry_size, key_size;
        struct sw_table *table; /* one of these three */
        struct sw_pool *pool;
        struct sw_texts *texts;
};
struct sw_region sw_region_table(struct sw_table *t);
struct sw_region sw_region_pool(struct sw_pool *p);
struct sw_region sw_region_texts(struct sw_texts *t);

/* Adds the region to the guard and writes what its section says. 0 | -SW_ERR_NOMEM. */
int sw_region_save(const struct sw_region *r, struct sw_guard *g, struct sw_state_io *s);

/* A region while it is loaded. */
struct sw_region_load {
        struct sw_region region;
        struct sw_table_image image;
        uint32_t version, entry_size; /* of the file */
        uint32_t n_left;              /* entries that did not come yet; pools: free ones never come */
        bool has_meta, migrates, dropped, ended;
};
enum { SW_REGION_OK, SW_REGION_E_DROP /* of another version: its entries are to be skipped */ };
/* Says what memory the region has, to be filled by the pieces and at the end. */
void sw_region_room(const struct sw_region *r, void (*room)(void *ctx, void *p, size_t n_bytes), void *ctx);
/* From its section; what the region holds is forgotten first. Positive: *ret_why says why it cannot be used.
 * -SW_ERR_DATA | -SW_ERR_NOMEM | -SW_ERR_LIMIT (it does not fit the memory it may take). */
int sw_region_load_begin(
        struct sw_region_load *l, const struct sw_region *r, struct sw_state_io *s, const char **ret_why);
/* A piece (guard.h) of n_bytes at p; takes it off the front. 0 | -SW_ERR_DATA | SW_REGION_E_DROP: could not be
 * migrated, the region is empty again. */
int sw_region_load_piece(struct sw_region_load *l, const struct sw_guard_piece *head, const unsigned char *p, size_t n);
/* Bytes of a piece behind its head, padding included. */
size_t sw_region_piece_bytes(const struct sw_region_load *l, uint32_t n);
int sw_region_load_end(struct sw_region_load *l); /* 0 | -SW_ERR_DATA */
/* Empties the region; what still comes for it is skipped. */
void sw_region_load_drop(struct sw_region_load *l);

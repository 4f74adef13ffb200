/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The one door to the heap, so that tests can make the n-th allocation fail (linker --wrap=malloc and
 * friends) and so that sizes are checked for overflow. All return NULL when memory is out. */
#include <stddef.h>

void *sw_alloc(size_t n_bytes);
void *sw_calloc(size_t n, size_t size);                 /* zeroed; NULL on overflow of n * size */
void *sw_realloc_array(void *p, size_t n, size_t size); /* p stays valid when NULL is returned */
void sw_free(void *p);                                  /* NULL is fine */
char *sw_strdup(const char *s);

/* Address space for a pool that grows in place: zeroed, page aligned, backed by memory only where it is touched. From
 * 4 MiB on it has huge pages: most of what a look-up in a large table waits for is the address translation. */
void *sw_reserve(size_t n_bytes); /* NULL: refused */
void sw_unreserve(void *p, size_t n_bytes);
/* Says that [p + from, p + to) of a reservation will be used at random: huge pages spare most TLB misses. */
void sw_reserve_huge(void *p, size_t from, size_t to);

/* Bump allocator: freed as a whole; never shrinks until deinit, so steady state allocates nothing.
 * Threads: one owner. */
struct sw_arena_block;
struct sw_arena {
        struct sw_arena_block *blocks; /* current first */
        size_t used_bytes;             /* handed out since the last reset */
};
#define SW_ARENA_NULL ((struct sw_arena){ 0 })
void *sw_arena_alloc(struct sw_arena *a, size_t n_bytes);         /* 8-byte aligned; NULL: no memory */
char *sw_arena_copy(struct sw_arena *a, const char *p, size_t n); /* adds a NUL; NULL: no memory */
void sw_arena_reset(struct sw_arena *a);                          /* keeps the largest block */
void sw_arena_deinit(struct sw_arena *a);

/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define ARENA_BLOCK_BYTES ((size_t)64 * 1024)
#define PAGE ((size_t)4096)
#define HUGE_PAGE ((uintptr_t)2 << 20)
#define LARGE_BYTES (2 * HUGE_PAGE) /* reservations from here on have huge pages from their first byte on */

struct sw_arena_block {
        struct sw_arena_block *next;
        size_t size, used;
        _Alignas(16) unsigned char data[];
};

void *sw_alloc(size_t n_bytes)
{
        return malloc(n_bytes ? n_bytes : 1);
}

void *sw_calloc(size_t n, size_t size)
{
        return calloc(n ? n : 1, size ? size : 1);
}

void *sw_realloc_array(void *p, size_t n, size_t size)
{
        if (size && n > SIZE_MAX / size)
                return NULL;
        return realloc(p, n == 0 || size == 0 ? 1 : n * size);
}

void sw_free(void *p)
{
        free(p);
}

char *sw_strdup(const char *s)
{
        size_t n = strlen(s) + 1;
        char *p = sw_alloc(n);

        return p ? memcpy(p, s, n) : NULL;
}

void *sw_reserve(size_t n_bytes)
{
        bool large = n_bytes >= LARGE_BYTES && n_bytes < SIZE_MAX - 2 * HUGE_PAGE;
        size_t used = (n_bytes + PAGE - 1) & ~(PAGE - 1), n = large ? used + HUGE_PAGE : n_bytes, head;
        char *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

        if (p == MAP_FAILED)
                return NULL;
        if (!large)
                return p;
        /* On the border of a huge page; what is left over goes back. */
        head = (size_t)(-(uintptr_t)p & (HUGE_PAGE - 1));
        if (head)
                (void)munmap(p, head);
        if (n - head > used)
                (void)munmap(p + head + used, n - head - used);
        sw_reserve_huge(p + head, 0, used);
        return p + head;
}

void sw_unreserve(void *p, size_t n_bytes)
{
        if (p)
                (void)munmap(p, n_bytes);
}

void sw_reserve_huge(void *p, size_t from, size_t to)
{
        uintptr_t base = (uintptr_t)p, a = (base + from + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1),
                  b = (base + to) & ~(HUGE_PAGE - 1);

        /* Only a hint: without huge pages everything works, slower. */
        if (b > a)
                (void)madvise((char *)p + (a - base), b - a, MADV_HUGEPAGE);
}

void *sw_arena_alloc(struct sw_arena *a, size_t n_bytes)
{
        struct sw_arena_block *b = a->blocks;
        size_t n = (n_bytes + 7) & ~(size_t)7, want;

        if (n < n_bytes)
                return NULL;
        if (!b || b->size - b->used < n) {
                want = b ? b->size * 2 : ARENA_BLOCK_BYTES;
                if (want < n)
                        want = n;
                if (want > SIZE_MAX - sizeof(*b))
                        return NULL;
                b = sw_alloc(sizeof(*b) + want);
                if (!b)
                        return NULL;
                *b = (struct sw_arena_block){ .next = a->blocks, .size = want };
                a->blocks = b;
        }
        b->used += n;
        a->used_bytes += n;
        return b->data + b->used - n;
}

char *sw_arena_copy(struct sw_arena *a, const char *p, size_t n)
{
        char *s = n < SIZE_MAX ? sw_arena_alloc(a, n + 1) : NULL;

        if (!s)
                return NULL;
        if (n)
                memcpy(s, p, n);
        s[n] = '\0';
        return s;
}

void sw_arena_reset(struct sw_arena *a)
{
        struct sw_arena_block *b = a->blocks, *next;

        a->used_bytes = 0;
        if (!b)
                return;
        /* Blocks double, so the newest is the largest: keep it, free the rest. */
        for (next = b->next; next;) {
                struct sw_arena_block *gone = next;

                next = next->next;
                sw_free(gone);
        }
        b->next = NULL;
        b->used = 0;
}

void sw_arena_deinit(struct sw_arena *a)
{
        struct sw_arena_block *b = a->blocks, *next;

        for (; b; b = next) {
                next = b->next;
                sw_free(b);
        }
        *a = SW_ARENA_NULL;
}

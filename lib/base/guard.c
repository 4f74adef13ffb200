/* SPDX-License-Identifier: Apache-2.0 */
#include "base/guard.h"

#include "base/alloc.h"
#include "base/err.h"

#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#define GRAIN_BYTES 512u
#define RUN_BYTES ((size_t)16 * 1024) /* read in one go before the ring is looked at again */
#define SPINS 64u
#define WRAP UINT32_MAX /* region of a piece that only fills the ring's end */

enum { GRAIN_UNTOUCHED, GRAIN_BUSY, GRAIN_SAVED };

struct sw_guard_region {
        struct sw_guard *guard;
        struct sw_guard_source source;
        struct sw_guard_region **owner;
        _Atomic unsigned char *state;    /* per grain */
        uint32_t index, shift, n_grains; /* 1 << shift entries per grain */
};

struct sw_guard {
        struct sw_guard_region *regions;
        uint32_t n_regions, cap_regions;
        void *states; /* of all regions */
        unsigned char *ring;
        size_t ring_bytes;
        _Atomic uint64_t head, tail; /* bytes ever put and taken */
        _Atomic bool abandoned;
        sw_guard_wait wait;
        void *ctx;
        uint64_t n_total;
        /* the reader's */
        uint64_t n_read;
        uint32_t region, grain; /* where it goes on */
        /* the owner's */
        struct sw_guard_stats stats;
};

int sw_guard_new(size_t ring_bytes, sw_guard_wait wait, void *ctx, struct sw_guard **ret)
{
        struct sw_guard *g = sw_calloc(1, sizeof(*g));

        if (!g)
                return -SW_ERR_NOMEM;
        if (ring_bytes < SW_GUARD_MIN_BYTES)
                ring_bytes = SW_GUARD_MIN_BYTES;
        g->ring_bytes = ring_bytes & ~(size_t)15;
        g->wait = wait;
        g->ctx = ctx;
        g->ring = sw_reserve(g->ring_bytes);
        if (!g->ring) {
                sw_free(g);
                return -SW_ERR_NOMEM;
        }
        *ret = g;
        return 0;
}

struct sw_guard *sw_guard_free(struct sw_guard *g)
{
        uint32_t i;

        if (!g)
                return NULL;
        for (i = 0; i < g->n_regions; i++)
                if (g->regions[i].owner && *g->regions[i].owner == &g->regions[i])
                        *g->regions[i].owner = NULL;
        sw_unreserve(g->ring, g->ring_bytes);
        sw_free(g->regions);
        sw_free(g->states);
        sw_free(g);
        return NULL;
}

int sw_guard_add(struct sw_guard *g, const struct sw_guard_source *source, struct sw_guard_region **owner)
{
        struct sw_guard_region *r;

        if (g->n_regions == g->cap_regions) {
                uint32_t cap = g->cap_regions ? g->cap_regions * 2 : 64;

                r = sw_realloc_array(g->regions, cap, sizeof(*r));
                if (!r)
                        return -SW_ERR_NOMEM;
                g->regions = r;
                g->cap_regions = cap;
        }
        r = &g->regions[g->n_regions];
        *r = (struct sw_guard_region){ .guard = g, .source = *source, .owner = owner, .index = g->n_regions++ };
        while ((2u << r->shift) * source->entry_size <= GRAIN_BYTES)
                r->shift++;
        r->n_grains = (uint32_t)(((uint64_t)source->n + (1u << r->shift) - 1) >> r->shift);
        g->n_total += r->n_grains;
        return 0;
}

int sw_guard_open(struct sw_guard *g)
{
        _Atomic unsigned char *state = sw_calloc(g->n_total, 1);
        uint32_t i;

        if (!state)
                return -SW_ERR_NOMEM;
        g->states = state;
        for (i = 0; i < g->n_regions; i++) {
                g->regions[i].state = state;
                state += g->regions[i].n_grains;
                if (g->regions[i].owner)
                        *g->regions[i].owner = &g->regions[i];
        }
        return 0;
}

static size_t piece_bytes(const struct sw_guard_region *r, uint32_t n)
{
        size_t bytes = sizeof(struct sw_guard_piece) + (size_t)n * r->source.entry_size + (r->source.meta ? n : 0);

        return (bytes + 7) & ~(size_t)7;
}

static uint32_t grain_entries(const struct sw_guard_region *r, uint32_t grain)
{
        uint32_t first = grain << r->shift, left = r->source.n - first;

        return left < 1u << r->shift ? left : 1u << r->shift;
}

static bool grain_is_free(const struct sw_guard_region *r, uint32_t grain)
{
        const unsigned char *m;
        uint32_t i, n;

        if (!r->source.skip_free || !r->source.meta)
                return false;
        n = grain_entries(r, grain);
        m = r->source.meta + ((size_t)grain << r->shift);
        for (i = 0; i < n && !m[i]; i++)
                ;
        return i == n;
}

/* ---- the owner ---- */

static void guard_pause(const struct sw_guard *g, unsigned *inout_spins)
{
        if ((*inout_spins)++ < SPINS) {
#if defined(__x86_64__) || defined(__i386__)
                __builtin_ia32_pause();
#endif
                return;
        }
        if (g->wait)
                g->wait(g->ctx);
        else
                (void)sched_yield();
}

/* Room for n contiguous bytes; NULL: none now. Fills the ring's end when that is too short. */
static unsigned char *ring_room(struct sw_guard *g, size_t n)
{
        uint64_t head = atomic_load_explicit(&g->head, memory_order_relaxed);
        uint64_t used = head - atomic_load_explicit(&g->tail, memory_order_acquire);
        size_t at = (size_t)(head % g->ring_bytes), to_end = g->ring_bytes - at;

        if (n > to_end) {
                const struct sw_guard_piece wrap = { .region = WRAP, .n = (uint32_t)to_end };

                if (used + to_end > g->ring_bytes)
                        return NULL;
                if (to_end >= sizeof(wrap))
                        memcpy(g->ring + at, &wrap, sizeof(wrap));
                atomic_store_explicit(&g->head, head + to_end, memory_order_release);
                used += to_end;
                at = 0;
        }
        return used + n <= g->ring_bytes ? g->ring + at : NULL;
}

/* Head, entries and meta of a run of grains that this thread has claimed. */
static void put_piece(unsigned char *to, const struct sw_guard_region *r, uint32_t first, uint32_t n)
{
        const struct sw_guard_piece head = { .region = r->index, .first = first, .n = n };
        size_t bytes = (size_t)n * r->source.entry_size, end = sizeof(head) + bytes;

        memcpy(to, &head, sizeof(head));
        if (bytes)
                memcpy(to + sizeof(head), r->source.entries + (size_t)first * r->source.entry_size, bytes);
        if (r->source.meta && n) {
                memcpy(to + end, r->source.meta + first, n);
                end += n;
        }
        memset(to + end, 0, ((end + 7) & ~(size_t)7) - end);
}

static __attribute__((noinline)) void guard_save(struct sw_guard_region *r, uint32_t grain)
{
        struct sw_guard *g = r->guard;
        unsigned char *to = NULL, expected = GRAIN_UNTOUCHED;
        uint32_t n = grain_entries(r, grain);
        unsigned spins = 0;
        bool abandoned;

        /* Room first: a grain is then claimed only as long as copying it takes. */
        while (!(abandoned = atomic_load_explicit(&g->abandoned, memory_order_acquire)) &&
                !(to = ring_room(g, piece_bytes(r, n)))) {
                g->stats.waits += spins == 0;
                guard_pause(g, &spins);
        }
        if (atomic_compare_exchange_strong_explicit(&r->state[grain], &expected, abandoned ? GRAIN_SAVED : GRAIN_BUSY,
                    memory_order_acq_rel, memory_order_acquire)) {
                if (abandoned)
                        return;
                if (grain_is_free(r, grain))
                        n = 0;
                put_piece(to, r, grain << r->shift, n);
                atomic_store_explicit(&g->head,
                        atomic_load_explicit(&g->head, memory_order_relaxed) + piece_bytes(r, n), memory_order_release);
                atomic_store_explicit(&r->state[grain], GRAIN_SAVED, memory_order_release);
                g->stats.copied_ahead++;
                return;
        }
        for (spins = 0; atomic_load_explicit(&r->state[grain], memory_order_acquire) != GRAIN_SAVED;)
                guard_pause(g, &spins);
}

void sw_guard_touch(struct sw_guard_region *r, uint32_t id)
{
        uint32_t grain = id >> r->shift;

        if (id < r->source.n && atomic_load_explicit(&r->state[grain], memory_order_acquire) != GRAIN_SAVED)
                guard_save(r, grain);
}

/* ---- the reader ---- */

/* Takes what the owner copied; stops when the next piece does not fit. Returns bytes. */
static size_t read_ring(struct sw_guard *g, unsigned char *buf, size_t n)
{
        uint64_t tail = atomic_load_explicit(&g->tail, memory_order_relaxed);
        uint64_t head = atomic_load_explicit(&g->head, memory_order_acquire);
        size_t out = 0;

        while (tail < head) {
                size_t at = (size_t)(tail % g->ring_bytes), bytes;
                struct sw_guard_piece p = { .region = WRAP };

                if (g->ring_bytes - at >= sizeof(p))
                        memcpy(&p, g->ring + at, sizeof(p));
                if (p.region == WRAP) {
                        tail += g->ring_bytes - at;
                        atomic_store_explicit(&g->tail, tail, memory_order_release);
                        continue;
                }
                bytes = piece_bytes(&g->regions[p.region], p.n);
                if (p.n && bytes > n - out)
                        break;
                if (p.n) {
                        memcpy(buf + out, g->ring + at, bytes);
                        out += bytes;
                }
                tail += bytes;
                atomic_store_explicit(&g->tail, tail, memory_order_release);
                g->n_read++;
        }
        return out;
}

static bool reader_claims(struct sw_guard *g, struct sw_guard_region *r, uint32_t grain)
{
        unsigned char expected = GRAIN_UNTOUCHED;

        return !atomic_load_explicit(&g->abandoned, memory_order_relaxed) &&
               atomic_compare_exchange_strong_explicit(
                       &r->state[grain], &expected, GRAIN_BUSY, memory_order_acq_rel, memory_order_relaxed);
}

/* One piece out of untouched grains in a row; each is given back as soon as it is copied. Returns bytes. */
static size_t read_run(struct sw_guard *g, struct sw_guard_region *r, unsigned char *buf, size_t n)
{
        unsigned char meta[RUN_BYTES / 8 + (GRAIN_BYTES / 8)];
        uint32_t first = g->grain << r->shift, count = 0;
        struct sw_guard_piece head = { .region = r->index, .first = first };
        unsigned char *to = buf + sizeof(head);

        for (; g->grain < r->n_grains; g->grain++) {
                uint32_t id = g->grain << r->shift, k = grain_entries(r, g->grain);
                bool is_free;

                if (count && ((size_t)count * r->source.entry_size >= RUN_BYTES || piece_bytes(r, count + k) > n))
                        break;
                if (!reader_claims(g, r, g->grain)) {
                        if (count)
                                break;
                        first = (g->grain + 1) << r->shift;
                        continue;
                }
                is_free = grain_is_free(r, g->grain);
                if (!is_free) {
                        memcpy(to + (size_t)count * r->source.entry_size,
                                r->source.entries + (size_t)id * r->source.entry_size,
                                (size_t)k * r->source.entry_size);
                        if (r->source.meta)
                                memcpy(meta + count, r->source.meta + id, k);
                }
                atomic_store_explicit(&r->state[g->grain], GRAIN_SAVED, memory_order_release);
                g->n_read++;
                if (!is_free) {
                        count += k;
                        continue;
                }
                if (count) {
                        g->grain++;
                        break;
                }
                first = (g->grain + 1) << r->shift;
        }
        if (!count)
                return 0;
        head.first = first;
        head.n = count;
        memcpy(buf, &head, sizeof(head));
        n = sizeof(head) + (size_t)count * r->source.entry_size;
        if (r->source.meta) {
                memcpy(buf + n, meta, count);
                n += count;
        }
        memset(buf + n, 0, ((n + 7) & ~(size_t)7) - n);
        return (n + 7) & ~(size_t)7;
}

size_t sw_guard_read(struct sw_guard *g, void *buf, size_t n)
{
        unsigned char *to = buf;
        unsigned spins = 0;
        size_t out = 0;

        while (!atomic_load_explicit(&g->abandoned, memory_order_relaxed)) {
                out += read_ring(g, to + out, n - out);
                /* A run ends below RUN_BYTES and one more grain, which is one entry of at most 8 KiB. */
                if (n - out < RUN_BYTES + 16 * 1024)
                        return out;
                while (g->region < g->n_regions && g->grain == g->regions[g->region].n_grains) {
                        g->region++;
                        g->grain = 0;
                }
                if (g->region < g->n_regions) {
                        out += read_run(g, &g->regions[g->region], to + out, n - out);
                        continue;
                }
                if (g->n_read == g->n_total || out)
                        return out;
                /* The owner is about to hand over its last grains. */
                if (spins++ >= SPINS)
                        (void)sched_yield();
        }
        return 0;
}

void sw_guard_abandon(struct sw_guard *g)
{
        atomic_store_explicit(&g->abandoned, true, memory_order_release);
}

bool sw_guard_is_abandoned(const struct sw_guard *g)
{
        return atomic_load_explicit(&g->abandoned, memory_order_acquire);
}

struct sw_guard_stats sw_guard_stats(const struct sw_guard *g)
{
        return g->stats;
}

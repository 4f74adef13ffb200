/* SPDX-License-Identifier: Apache-2.0 */
#include "base/guard.h"

#include "base/alloc.h"
#include "base/err.h"

#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#define GRAIN_BYTES 128u                /* copied at a time: an entry, or a few small ones */
#define GRAINS 64u                      /* a word's: as many can be claimed by the reader at once */
#define RUN_BYTES ((size_t)16 * 1024)   /* as much is claimed at most, unless one grain is more */
#define CHUNK_BYTES ((size_t)32 * 1024) /* of the ring */
#define READS_PER_LOOK 8u               /* runs, after which the reader looks into the ring again */
#define SPINS 64u
#define NO_CHUNK UINT32_MAX

/* A grain belongs to whoever sets its bit in `claimed`. What else it takes is to know when the other one is through:
 * `done` says it of the reader, and the owner never waits for itself. */
struct sw_guard_region {
        struct sw_guard *guard;
        struct sw_guard_source source;
        struct sw_guard_region **owner;
        _Atomic uint64_t *claimed;       /* a bit per grain */
        uint64_t *settled;               /* a bit per grain, the owner's: nothing is left to do for it */
        _Atomic uint32_t *done;          /* the reader's, on a line of its own: grains before this one are read */
        uint32_t index, shift, n_grains; /* 1 << shift entries per grain */
        uint32_t n_run;                  /* grains that the reader claims at once: a power of two */
};

struct guard_link {
        uint32_t chunk, bytes;
};

struct guard_bits {
        _Atomic uint64_t word;
};

/* The ring is chunks, filled by the owner and emptied by the reader in the same order. The lowest free one is taken
 * next: only as much memory is touched, and only as much of the cache, as the reader is behind. */
struct sw_guard {
        struct sw_guard_region *regions;
        uint32_t n_regions, cap_regions;
        void *states; /* what is there per grain, of all regions */
        unsigned char *ring;
        uint32_t n_chunks;
        struct guard_link *links;   /* the i-th chunk to be filled is at i % n_chunks */
        struct guard_bits *is_free; /* a bit per chunk */
        _Atomic bool abandoned;
        sw_guard_wait wait;
        void *ctx;
        char pad_reader[64]; /* the threads must not share lines that one of them writes all the time */
        uint32_t region, grain;
        uint32_t n_emptied, emptied; /* chunks, and bytes of the next one */
        uint64_t n_owed, n_came;     /* grains that the owner took, and that came through the ring */
        char pad_owner[64];
        unsigned char *chunk;      /* the one that is filled, or NULL */
        uint32_t n_filled, filled; /* chunks, and bytes of this one */
        struct sw_guard_stats stats;
        char pad_progress[64];
        _Atomic uint64_t progress; /* n_filled << 32 | filled */
        char pad_end[64];
};

int sw_guard_new(size_t ring_bytes, sw_guard_wait wait, void *ctx, struct sw_guard **ret)
{
        struct sw_guard *g = sw_calloc(1, sizeof(*g));
        uint32_t i, n_words;

        if (!g)
                return -SW_ERR_NOMEM;
        if (ring_bytes < SW_GUARD_MIN_BYTES)
                ring_bytes = SW_GUARD_MIN_BYTES;
        g->n_chunks = ring_bytes / CHUNK_BYTES < INT32_MAX ? (uint32_t)(ring_bytes / CHUNK_BYTES) : INT32_MAX;
        n_words = (g->n_chunks + 63) / 64;
        g->wait = wait;
        g->ctx = ctx;
        g->links = sw_calloc(g->n_chunks, sizeof(*g->links));
        g->is_free = sw_calloc(n_words, sizeof(*g->is_free));
        g->ring = sw_reserve(g->n_chunks * CHUNK_BYTES);
        if (!g->links || !g->is_free || !g->ring) {
                sw_guard_free(g);
                return -SW_ERR_NOMEM;
        }
        for (i = 0; i < g->n_chunks; i++)
                g->is_free[i / 64].word |= UINT64_C(1) << i % 64;
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
        sw_unreserve(g->ring, g->n_chunks * CHUNK_BYTES);
        sw_free(g->links);
        sw_free(g->is_free);
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
        r->n_run = GRAINS;
        while (r->n_run > 1 && ((size_t)r->n_run << r->shift) * source->entry_size > RUN_BYTES)
                r->n_run /= 2;
        return 0;
}

static size_t region_words(const struct sw_guard_region *r)
{
        return ((size_t)r->n_grains + GRAINS - 1) / GRAINS;
}

/* One allocation: of each region a line for the reader's place, then all bits. */
int sw_guard_open(struct sw_guard *g)
{
        const size_t line = 64 / sizeof(uint64_t);
        size_t n = line;
        uint64_t *at;
        uint32_t i;

        for (i = 0; i < g->n_regions; i++)
                n += line + 2 * region_words(&g->regions[i]);
        at = sw_calloc(n, sizeof(*at));
        if (!at)
                return -SW_ERR_NOMEM;
        g->states = at;
        for (i = 0; i < g->n_regions; i++, at += line)
                g->regions[i].done = (_Atomic uint32_t *)at;
        for (at += line, i = 0; i < g->n_regions; i++) {
                struct sw_guard_region *r = &g->regions[i];

                r->claimed = (_Atomic uint64_t *)at;
                r->settled = at + region_words(r);
                at += 2 * region_words(r);
                if (r->owner)
                        *r->owner = r;
        }
        return 0;
}

static size_t piece_bytes(const struct sw_guard_region *r, uint32_t n)
{
        size_t bytes = sizeof(struct sw_guard_piece) + (size_t)n * r->source.entry_size + (r->source.meta ? n : 0);

        return (bytes + 7) & ~(size_t)7;
}

/* Of n grains in a row; the last one of a region may be short. */
static uint32_t grains_entries(const struct sw_guard_region *r, uint32_t grain, uint32_t n)
{
        uint32_t first = grain << r->shift, left = r->source.n - first;

        return left < n << r->shift ? left : n << r->shift;
}

static bool grain_is_free(const struct sw_guard_region *r, uint32_t grain)
{
        const unsigned char *m;
        uint32_t i, n;

        if (!r->source.skip_free || !r->source.meta)
                return false;
        n = grains_entries(r, grain, 1);
        m = r->source.meta + ((size_t)grain << r->shift);
        for (i = 0; i < n && !m[i]; i++)
                ;
        return i == n;
}

/* Meta of n entries behind their end, and the piece's own end. Returns bytes of the piece. */
static inline size_t put_meta(
        unsigned char *to, const struct sw_guard_region *r, const struct sw_guard_piece *head, size_t end)
{
        uint32_t i;

        for (i = 0; r->source.meta && i < head->n; i++)
                to[end++] = r->source.meta[head->first + i];
        while (end % 8)
                to[end++] = 0;
        return end;
}

/* Head, entries and meta of a run of entries that this thread has claimed. Returns bytes. */
static size_t put_piece(unsigned char *to, const struct sw_guard_region *r, uint32_t first, uint32_t n)
{
        const struct sw_guard_piece head = { .region = r->index, .first = first, .n = n };
        size_t bytes = (size_t)n * r->source.entry_size;

        memcpy(to, &head, sizeof(head));
        memcpy(to + sizeof(head), r->source.entries + (size_t)first * r->source.entry_size, bytes);
        return put_meta(to, r, &head, sizeof(head) + bytes);
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

static void ring_tell(struct sw_guard *g)
{
        atomic_store_explicit(&g->progress, (uint64_t)g->n_filled << 32 | g->filled, memory_order_release);
}

/* The lowest free one. */
static uint32_t ring_take(struct sw_guard *g)
{
        uint32_t i, n_words = (g->n_chunks + 63) / 64;

        for (i = 0; i < n_words; i++) {
                uint64_t word = atomic_load_explicit(&g->is_free[i].word, memory_order_acquire);
                uint32_t bit;

                if (!word)
                        continue;
                bit = (uint32_t)__builtin_ctzll(word);
                atomic_fetch_and_explicit(&g->is_free[i].word, ~(UINT64_C(1) << bit), memory_order_relaxed);
                return i * 64 + bit;
        }
        return NO_CHUNK;
}

/* Room for n bytes in a row; NULL: none now. */
static unsigned char *ring_room(struct sw_guard *g, size_t n)
{
        uint32_t chunk;

        if (g->chunk && n <= CHUNK_BYTES - g->filled)
                return g->chunk + g->filled;
        if (g->chunk) {
                g->links[g->n_filled % g->n_chunks].bytes = g->filled;
                g->n_filled++;
                g->filled = 0;
                g->chunk = NULL;
                ring_tell(g);
        }
        chunk = ring_take(g);
        if (chunk == NO_CHUNK)
                return NULL;
        if ((chunk + 1) * CHUNK_BYTES > g->stats.ring_bytes)
                g->stats.ring_bytes = (chunk + 1) * CHUNK_BYTES;
        g->links[g->n_filled % g->n_chunks].chunk = chunk;
        g->chunk = g->ring + chunk * CHUNK_BYTES;
        return g->chunk;
}

/* The same of one grain, word by word. Compilers hold that this happens seldom (it does) and would copy it by the
 * shortest instruction there is, which takes longer than everything else here: the empty asm keeps the loop. */
static size_t put_grain(unsigned char *to, const struct sw_guard_region *r, uint32_t first, uint32_t n)
{
        const struct sw_guard_piece head = { .region = r->index, .first = first, .n = n };
        const unsigned char *from = r->source.entries + (size_t)first * r->source.entry_size;
        size_t bytes = (size_t)n * r->source.entry_size, i;
        uint64_t word;

        memcpy(to, &head, sizeof(head));
        for (i = 0; i < bytes; i += sizeof(word)) {
                memcpy(&word, from + i, sizeof(word));
                __asm__ volatile("" : "+r"(word));
                memcpy(to + sizeof(head) + i, &word, sizeof(word));
        }
        return put_meta(to, r, &head, sizeof(head) + bytes);
}

static __attribute__((noinline)) void guard_save(struct sw_guard_region *r, uint32_t grain)
{
        struct sw_guard *g = r->guard;
        uint64_t bit = UINT64_C(1) << grain % GRAINS;
        uint32_t n = grains_entries(r, grain, 1);
        unsigned char *to = NULL;
        unsigned spins = 0;
        bool abandoned;

        /* Room first: what is claimed is then copied without delay. */
        while (!(abandoned = atomic_load_explicit(&g->abandoned, memory_order_acquire)) &&
                !(to = ring_room(g, piece_bytes(r, n)))) {
                g->stats.waits += spins == 0;
                guard_pause(g, &spins);
        }
        r->settled[grain / GRAINS] |= bit;
        if (atomic_fetch_or_explicit(&r->claimed[grain / GRAINS], bit, memory_order_acq_rel) & bit) {
                /* The reader's: read already, or any moment now. */
                for (spins = 0; atomic_load_explicit(r->done, memory_order_acquire) <= grain;)
                        guard_pause(g, &spins);
                return;
        }
        if (abandoned)
                return;
        if (grain_is_free(r, grain))
                n = 0;
        g->filled += (uint32_t)put_grain(to, r, grain << r->shift, n);
        ring_tell(g);
        g->stats.copied_ahead++;
}

void sw_guard_touch(struct sw_guard_region *r, uint32_t id)
{
        uint32_t grain = id >> r->shift;

        if (id >= r->source.n || r->settled[grain / GRAINS] >> grain % GRAINS & 1 ||
                grain < atomic_load_explicit(r->done, memory_order_acquire))
                return;
        guard_save(r, grain);
}

/* ---- the reader ---- */

/* Takes what the owner copied, of the chunk that is being filled only if `all`; stops when the next piece does not
 * fit. Returns bytes. */
static size_t read_ring(struct sw_guard *g, unsigned char *buf, size_t n, bool all)
{
        uint64_t progress = atomic_load_explicit(&g->progress, memory_order_acquire);
        uint32_t n_filled = (uint32_t)(progress >> 32);
        size_t out = 0;

        while (g->n_emptied != n_filled || all) {
                const struct guard_link *link = &g->links[g->n_emptied % g->n_chunks];
                uint32_t end = g->n_emptied != n_filled ? link->bytes : (uint32_t)progress, chunk;

                while (g->emptied < end) {
                        const unsigned char *from = g->ring + link->chunk * CHUNK_BYTES + g->emptied;
                        struct sw_guard_piece p;
                        size_t bytes;

                        memcpy(&p, from, sizeof(p));
                        bytes = piece_bytes(&g->regions[p.region], p.n);
                        if (p.n && bytes > n - out)
                                return out;
                        if (p.n) {
                                memcpy(buf + out, from, bytes);
                                out += bytes;
                        }
                        g->emptied += (uint32_t)bytes;
                        g->n_came++;
                }
                if (g->n_emptied == n_filled)
                        break;
                chunk = link->chunk;
                g->n_emptied++;
                g->emptied = 0;
                atomic_fetch_or_explicit(&g->is_free[chunk / 64].word, UINT64_C(1) << chunk % 64, memory_order_release);
        }
        return out;
}

/* What nobody changes need not be claimed. */
static size_t read_plain(struct sw_guard *g, struct sw_guard_region *r, unsigned char *buf)
{
        uint32_t n = r->n_grains - g->grain < r->n_run ? r->n_grains - g->grain : r->n_run,
                 first = g->grain << r->shift;

        n = grains_entries(r, g->grain, n);
        g->grain = (first + n + (1u << r->shift) - 1) >> r->shift;
        return put_piece(buf, r, first, n);
}

/* Claims up to n_run grains of a word and reads those that the owner had not taken. Returns bytes. */
static size_t read_run(struct sw_guard *g, struct sw_guard_region *r, unsigned char *buf)
{
        uint32_t word = g->grain / GRAINS, n = r->n_grains - g->grain, at, k;
        uint64_t all, mine;
        size_t out = 0;

        n = n < r->n_run ? n : r->n_run;
        all = (n == GRAINS ? UINT64_MAX : (UINT64_C(1) << n) - 1) << g->grain % GRAINS;
        mine = all & ~atomic_fetch_or_explicit(&r->claimed[word], all, memory_order_acq_rel);
        g->n_owed += n - (uint32_t)__builtin_popcountll(mine);
        if (r->source.skip_free)
                for (at = 0; at < GRAINS; at++)
                        if (mine >> at & 1 && grain_is_free(r, word * GRAINS + at))
                                mine &= ~(UINT64_C(1) << at);
        while (mine) {
                at = (uint32_t)__builtin_ctzll(mine);
                k = ~(mine >> at) ? (uint32_t)__builtin_ctzll(~(mine >> at)) : GRAINS;
                out += put_piece(
                        buf + out, r, (word * GRAINS + at) << r->shift, grains_entries(r, word * GRAINS + at, k));
                mine = at + k < GRAINS ? mine >> (at + k) << (at + k) : 0;
        }
        g->grain += n;
        atomic_store_explicit(r->done, g->grain, memory_order_release);
        return out;
}

size_t sw_guard_read(struct sw_guard *g, void *buf, size_t n)
{
        unsigned char *to = buf;
        unsigned spins = 0, i;
        size_t out = 0;

        while (!atomic_load_explicit(&g->abandoned, memory_order_relaxed)) {
                out += read_ring(g, to + out, n - out, g->region == g->n_regions);
                for (i = 0; i < READS_PER_LOOK && g->region < g->n_regions; i++) {
                        struct sw_guard_region *r = &g->regions[g->region];

                        /* A run is at most RUN_BYTES, or one entry of 8 KiB, and its heads and meta. */
                        if (n - out < 2 * RUN_BYTES)
                                return out;
                        if (g->grain < r->n_grains)
                                out += r->owner ? read_run(g, r, to + out) : read_plain(g, r, to + out);
                        if (g->grain == r->n_grains) {
                                g->region++;
                                g->grain = 0;
                        }
                }
                if (g->region < g->n_regions)
                        continue;
                if (g->n_came == g->n_owed || out)
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

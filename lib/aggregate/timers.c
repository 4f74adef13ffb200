/* SPDX-License-Identifier: Apache-2.0 */
#include "aggregate/timers.h"

#include "base/alloc.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

#define CHUNK_TIMERS 62u

struct chunk {
        uint32_t next; /* id + 1 */
        uint32_t n;
        uint64_t items[CHUNK_TIMERS]; /* millisecond << 32 | id */
};

static const struct sw_pool_spec chunk_spec = { .name = "timers", .version = 1, .entry_size = sizeof(struct chunk) };

struct sw_timers *sw_timers_new(size_t limit_bytes)
{
        struct sw_timers *t = sw_calloc(1, sizeof(*t));

        if (!t)
                return NULL;
        t->bytes = sizeof(*t);
        t->limit_bytes = limit_bytes;
        sw_pool_init(&t->chunks, &chunk_spec, limit_bytes);
        return t;
}

struct sw_timers *sw_timers_free(struct sw_timers *t)
{
        if (!t)
                return NULL;
        sw_pool_deinit(&t->chunks);
        sw_free(t->due);
        sw_free(t);
        return NULL;
}

static struct chunk *timers_chunk(struct sw_timers *t, uint32_t *ret_id)
{
        bool fresh = !t->chunks.free_head;
        struct chunk *c;

        if (fresh && t->bytes + sizeof(*c) > t->limit_bytes)
                return NULL;
        c = sw_pool_take(&t->chunks, ret_id);
        if (!c)
                return NULL;
        t->bytes += fresh ? sizeof(*c) : 0;
        c->next = 0;
        c->n = 0;
        return c;
}

/* The second that is being fired is an array by now: keeps it sorted, behind its equals. */
static bool arm_loaded(struct sw_timers *t, uint64_t item)
{
        uint32_t i;

        if (t->n_due == t->cap_due) {
                uint32_t cap = t->cap_due + 64;
                uint64_t *due = sw_realloc_array(t->due, cap, sizeof(*due));

                if (!due)
                        return false;
                t->bytes += (cap - t->cap_due) * sizeof(*due);
                t->due = due;
                t->cap_due = cap;
        }
        for (i = t->n_due++; i > t->next_due && t->due[i - 1] >> 32 > item >> 32; i--)
                t->due[i] = t->due[i - 1];
        t->due[i] = item;
        return true;
}

static bool arm_bucket(struct sw_timers *t, uint32_t i, uint64_t item)
{
        uint32_t tail = t->buckets[i].tail, id;
        struct chunk *c = tail ? sw_pool_at(&t->chunks, tail - 1) : NULL, *last = c;

        if (!c || c->n == CHUNK_TIMERS) {
                c = timers_chunk(t, &id);
                if (!c)
                        return false;
                if (last)
                        last->next = id + 1;
                else
                        t->buckets[i].head = id + 1;
                t->buckets[i].tail = id + 1;
                t->occupied[i / 64] |= UINT64_C(1) << (i % 64);
        }
        c->items[c->n++] = item;
        return true;
}

struct sw_etime sw_timers_arm(struct sw_timers *t, struct sw_etime now, struct sw_etime at, uint32_t id)
{
        uint64_t item;
        bool ok;

        assert(at.ms > now.ms);
        if (at.ms > now.ms + SW_TIMERS_MAX_MS)
                at.ms = now.ms + SW_TIMERS_MAX_MS;
        /* Everything before now has fired, so a turn of the wheel is counted from here. */
        if (t->second < now.ms / SW_SECOND) {
                assert(!t->loaded || t->next_due == t->n_due);
                t->loaded = false;
                t->second = now.ms / SW_SECOND;
        }
        item = (uint64_t)(at.ms % SW_SECOND) << 32 | id;
        if (t->loaded && at.ms / SW_SECOND == t->second)
                ok = arm_loaded(t, item);
        else
                ok = arm_bucket(t, (uint32_t)(at.ms / SW_SECOND % SW_TIMERS_BUCKETS), item);
        t->n_armed += ok;
        t->n_dropped += !ok;
        return at;
}

/* Stable counting sort by millisecond: order of arming stays among equals. */
static bool load(struct sw_timers *t, uint32_t i)
{
        const struct chunk *c;
        uint32_t start[SW_SECOND + 1] = { 0 }, n = 0, k, id, next;

        for (id = t->buckets[i].head; id; id = c->next) {
                c = sw_pool_peek(&t->chunks, id - 1);
                n += c->n;
                for (k = 0; k < c->n; k++)
                        start[(c->items[k] >> 32) + 1]++;
        }
        if (n > t->cap_due) {
                uint64_t *due = sw_realloc_array(t->due, n, sizeof(*due));

                if (!due)
                        return false;
                t->bytes += (n - t->cap_due) * sizeof(*due);
                t->due = due;
                t->cap_due = n;
        }
        for (k = 1; k < SW_SECOND; k++)
                start[k] += start[k - 1];
        for (id = t->buckets[i].head; id; id = next) {
                c = sw_pool_peek(&t->chunks, id - 1);
                next = c->next;
                for (k = 0; k < c->n; k++)
                        t->due[start[c->items[k] >> 32]++] = c->items[k];
                sw_pool_give(&t->chunks, id - 1);
        }
        t->buckets[i].head = t->buckets[i].tail = 0;
        t->occupied[i / 64] &= ~(UINT64_C(1) << (i % 64));
        t->n_due = n;
        t->next_due = 0;
        t->loaded = true;
        return true;
}

bool sw_timers_next_second(const struct sw_timers *t, int64_t *ret)
{
        uint32_t i = (uint32_t)(t->second % SW_TIMERS_BUCKETS), steps = 0;

        if (t->loaded && t->next_due < t->n_due) {
                *ret = t->second;
                return true;
        }
        if (t->n_armed == 0)
                return false;
        while (steps < SW_TIMERS_BUCKETS) {
                uint64_t word = t->occupied[i / 64] >> (i % 64);

                if (word) {
                        steps += (uint32_t)__builtin_ctzll(word);
                        if (steps >= SW_TIMERS_BUCKETS)
                                return false;
                        *ret = t->second + steps;
                        return true;
                }
                steps += 64 - i % 64;
                i = (i + 64 - i % 64) % SW_TIMERS_BUCKETS;
        }
        return false;
}

struct sw_etime sw_timers_next(struct sw_timers *t, struct sw_etime limit)
{
        int64_t second;

        for (;;) {
                if (t->loaded) {
                        struct sw_etime at;

                        if (t->next_due == t->n_due) {
                                if (t->second >= limit.ms / SW_SECOND)
                                        return SW_ETIME_NONE;
                                t->loaded = false;
                                t->second++;
                                continue;
                        }
                        at.ms = t->second * SW_SECOND + (int64_t)(t->due[t->next_due] >> 32);
                        return at.ms <= limit.ms ? at : SW_ETIME_NONE;
                }
                if (!sw_timers_next_second(t, &second) || second * SW_SECOND > limit.ms)
                        return SW_ETIME_NONE;
                t->second = second;
                t->failed = !load(t, (uint32_t)(second % SW_TIMERS_BUCKETS));
                if (t->failed)
                        return SW_ETIME_NONE;
        }
}

uint32_t sw_timers_pop(struct sw_timers *t)
{
        assert(t->loaded && t->next_due < t->n_due);
        t->n_armed--;
        return (uint32_t)t->due[t->next_due++];
}

bool sw_timers_peek(const struct sw_timers *t, uint32_t n, uint32_t *ret)
{
        if (!t->loaded || n > t->n_due || t->next_due >= t->n_due - n)
                return false;
        *ret = (uint32_t)t->due[t->next_due + n];
        return true;
}

/* Those that have a timer, with their numbers. */
static void buckets_state(struct sw_timers *t, struct sw_state_io *s)
{
        uint32_t i, n = 0, k;

        for (i = 0; i < SW_TIMERS_BUCKETS; i++)
                n += t->buckets[i].head != 0;
        n = sw_state_count(s, n, SW_TIMERS_BUCKETS, 3 * sizeof(uint32_t));
        for (i = 0, k = 0; k < n; k++, i++) {
                while (!sw_state_reads(s) && !t->buckets[i].head)
                        i++;
                sw_state_u32(s, &i);
                if (i >= SW_TIMERS_BUCKETS || (sw_state_reads(s) && t->buckets[i].head)) {
                        sw_state_fail(s);
                        return;
                }
                sw_state_u32(s, &t->buckets[i].head);
                sw_state_u32(s, &t->buckets[i].tail);
        }
}

void sw_timers_state(struct sw_timers *t, struct sw_state_io *s)
{
        uint32_t i;

        buckets_state(t, s);
        sw_state_i64(s, &t->second);
        sw_state_bool(s, &t->loaded);
        sw_state_u64(s, &t->n_armed);
        sw_state_u64(s, &t->n_dropped);
        sw_state_u32(s, &t->cap_due);
        t->n_due = sw_state_count(s, t->n_due, UINT32_MAX, sizeof(*t->due));
        sw_state_u32(s, &t->next_due);
        if (sw_state_reads(s)) {
                if (t->cap_due < t->n_due || t->cap_due > t->limit_bytes / sizeof(*t->due) + t->n_due)
                        sw_state_fail(s);
                t->due = s->failed ? NULL : sw_realloc_array(t->due, t->cap_due, sizeof(*t->due));
                if (!t->due) {
                        t->n_due = t->next_due = t->cap_due = 0;
                        if (!s->failed)
                                sw_state_no_memory(s);
                }
        }
        for (i = 0; i < t->n_due; i++)
                sw_state_u64(s, &t->due[i]);
}

void sw_timers_forget(struct sw_timers *t)
{
        memset(t->buckets, 0, sizeof(t->buckets));
        memset(t->occupied, 0, sizeof(t->occupied));
        t->loaded = false;
        t->n_due = t->next_due = 0;
        t->n_armed = 0;
}

/* Chunks are in one chain each: more than there are would be a loop. */
static bool bucket_is_whole(const struct sw_timers *t, uint32_t i, uint32_t *inout_chunks, uint64_t *inout_n)
{
        const struct chunk *c;
        uint32_t id, last = 0, k;

        for (id = t->buckets[i].head; id; id = c->next) {
                if (id > t->chunks.n_high || !t->chunks.meta[id - 1] || (*inout_chunks)-- == 0)
                        return false;
                c = sw_pool_peek(&t->chunks, id - 1);
                if (c->n == 0 || c->n > CHUNK_TIMERS)
                        return false;
                for (k = 0; k < c->n; k++)
                        if (c->items[k] >> 32 >= SW_SECOND)
                                return false;
                *inout_n += c->n;
                last = id;
        }
        return last == t->buckets[i].tail;
}

int sw_timers_restored(struct sw_timers *t)
{
        uint32_t i, left = t->chunks.n_used;
        uint64_t n = t->n_due - t->next_due;

        if (t->next_due > t->n_due || t->second < 0 || t->second > SW_ETIME_MAX_MS / SW_SECOND)
                return -SW_ERR_DATA;
        for (i = t->next_due; i < t->n_due; i++)
                if (t->due[i] >> 32 >= SW_SECOND || (i > t->next_due && t->due[i] >> 32 < t->due[i - 1] >> 32))
                        return -SW_ERR_DATA;
        for (i = 0; i < SW_TIMERS_BUCKETS; i++) {
                if (!bucket_is_whole(t, i, &left, &n))
                        return -SW_ERR_DATA;
                if (t->buckets[i].head)
                        t->occupied[i / 64] |= UINT64_C(1) << (i % 64);
        }
        t->bytes = sizeof(*t) + (size_t)t->chunks.n_high * sizeof(struct chunk) + t->cap_due * sizeof(*t->due);
        return left == 0 && n == t->n_armed ? 0 : -SW_ERR_DATA;
}

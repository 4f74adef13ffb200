/* SPDX-License-Identifier: Apache-2.0 */
#include "aggregate/dedupe.h"

#include "base/alloc.h"

/* Records ahead of the window (wrong clocks, a start without a watermark) share its last bucket. */
#define AHEAD_MINUTES 180

struct print {
        struct sw_u128 key;
        uint32_t next, prev; /* id + 1 */
        uint32_t head;       /* index of its bucket */
        uint32_t id;
};

static void unlink_print(struct sw_dedupe *d, const struct print *p)
{
        struct print *next = p->next ? sw_table_at(&d->table, p->next - 1) : NULL;
        struct print *prev = p->prev ? sw_table_at(&d->table, p->prev - 1) : NULL;

        if (next)
                next->prev = p->prev;
        if (prev)
                prev->next = p->next;
        else
                d->heads[p->head] = p->next;
}

static void dedupe_on_evict(void *ctx, void *entry)
{
        unlink_print(ctx, entry);
}

int sw_dedupe_init(struct sw_dedupe *d, int64_t keep_ms, size_t limit_bytes, const struct sw_hash_key *key)
{
        static const struct sw_table_spec spec = { .name = "fingerprints",
                .version = 1,
                .entry_size = sizeof(struct print),
                .key_size = sizeof(struct sw_u128),
                .on_evict = dedupe_on_evict };

        *d = (struct sw_dedupe){ .base_minute = -1, .keep_ms = keep_ms };
        d->n_heads = (uint32_t)(keep_ms / SW_MINUTE) + 2 + AHEAD_MINUTES;
        d->heads = sw_calloc(d->n_heads, sizeof(*d->heads));
        if (!d->heads)
                return -SW_ERR_NOMEM;
        return sw_table_init(&d->table, &spec, limit_bytes, key, d);
}

void sw_dedupe_deinit(struct sw_dedupe *d)
{
        sw_table_deinit(&d->table);
        sw_free(d->heads);
        sw_free(d->saved_heads);
        d->heads = d->saved_heads = NULL;
}

void sw_dedupe_prefetch(const struct sw_dedupe *d, const struct sw_u128 *fingerprint)
{
        sw_table_prefetch(&d->table, sw_table_hash(&d->table, fingerprint));
}

int sw_dedupe_check(struct sw_dedupe *d, struct sw_u128 fingerprint, struct sw_etime time, struct sw_etime watermark)
{
        int64_t minute = time.ms / SW_MINUTE;
        struct print *p, *head;
        bool created;
        uint32_t id;

        if (!sw_etime_is_none(watermark) && time.ms < watermark.ms - d->keep_ms)
                return SW_DEDUPE_OLD;
        p = sw_table_insert_id(&d->table, &fingerprint, &created, &id);
        if (!p)
                return SW_DEDUPE_NEW;
        if (!created)
                return SW_DEDUPE_DUPLICATE;
        if (d->base_minute < 0)
                d->base_minute = minute > AHEAD_MINUTES / 2 ? minute - AHEAD_MINUTES / 2 : 0;
        if (minute < d->base_minute)
                minute = d->base_minute;
        if (minute >= d->base_minute + d->n_heads)
                minute = d->base_minute + d->n_heads - 1;
        p->id = id;
        p->head = (uint32_t)(minute % d->n_heads);
        p->next = d->heads[p->head];
        p->prev = 0;
        head = p->next ? sw_table_at(&d->table, p->next - 1) : NULL;
        if (head)
                head->prev = id + 1;
        d->heads[p->head] = id + 1;
        return SW_DEDUPE_NEW;
}

void sw_dedupe_expire(struct sw_dedupe *d, struct sw_etime watermark)
{
        int64_t until = (watermark.ms - d->keep_ms) / SW_MINUTE, n;

        if (d->base_minute < 0 || until <= d->base_minute)
                return;
        n = until - d->base_minute < d->n_heads ? until - d->base_minute : d->n_heads;
        for (; n > 0; n--) {
                uint32_t *head = &d->heads[d->base_minute % d->n_heads];

                while (*head) {
                        struct print *p = sw_table_at(&d->table, *head - 1);
                        uint32_t id = p->id;

                        unlink_print(d, p);
                        sw_table_remove_id(&d->table, id);
                }
                d->base_minute++;
        }
        d->base_minute = until;
}

size_t sw_dedupe_bytes(const struct sw_dedupe *d)
{
        return d->table.bytes + d->n_heads * sizeof(*d->heads);
}

void sw_dedupe_state(struct sw_dedupe *d, struct sw_state_io *s)
{
        uint32_t n = sw_state_count(s, d->n_heads, UINT32_MAX / 2, sizeof(uint32_t)), i, *heads = d->heads;

        if (sw_state_reads(s)) {
                heads = sw_calloc(n, sizeof(*heads));
                if (!heads) {
                        sw_state_no_memory(s);
                        return;
                }
                d->saved_heads = heads;
                d->n_saved_heads = n;
        }
        for (i = 0; i < n; i++)
                sw_state_u32(s, &heads[i]);
        sw_state_i64(s, &d->base_minute);
}

void sw_dedupe_forget(struct sw_dedupe *d)
{
        sw_free(d->saved_heads);
        d->saved_heads = NULL;
        d->base_minute = -1;
}

/* Every entry is in exactly one list, and knows its place there. */
static bool lists_are_whole(const struct sw_dedupe *d)
{
        uint32_t i, n = 0, next, prev;

        for (i = 0; i < d->n_saved_heads; i++)
                for (next = d->saved_heads[i], prev = 0; next; n++) {
                        const struct print *p = sw_table_at(&d->table, next - 1);

                        if (!p || p->id != next - 1 || p->head != i || p->prev != prev || n == d->table.n_used)
                                return false;
                        prev = next;
                        next = p->next;
                }
        return n == d->table.n_used;
}

int sw_dedupe_restored(struct sw_dedupe *d)
{
        uint32_t id, n_old = d->n_saved_heads, first;
        struct print *p, *head;

        if (!d->saved_heads)
                return d->table.n_used ? -SW_ERR_DATA : 0;
        if (!lists_are_whole(d) || (d->base_minute < 0 && d->table.n_used))
                return -SW_ERR_DATA;
        if (n_old == d->n_heads) {
                sw_free(d->heads);
                d->heads = d->saved_heads;
                d->saved_heads = NULL;
                return 0;
        }
        first = n_old ? (uint32_t)(d->base_minute % n_old) : 0;
        for (id = 0; (p = sw_table_next(&d->table, &id)); id++) {
                uint32_t ahead = (p->head + n_old - first) % n_old;

                if (ahead >= d->n_heads)
                        ahead = d->n_heads - 1;
                p->head = (uint32_t)((d->base_minute + ahead) % d->n_heads);
                p->prev = 0;
                p->next = d->heads[p->head];
                head = p->next ? sw_table_at(&d->table, p->next - 1) : NULL;
                if (head)
                        head->prev = id + 1;
                d->heads[p->head] = id + 1;
        }
        sw_free(d->saved_heads);
        d->saved_heads = NULL;
        return 0;
}

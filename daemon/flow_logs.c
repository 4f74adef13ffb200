/* SPDX-License-Identifier: Apache-2.0 */
#include "flow_logs.h"

#include "base/alloc.h"

#include <string.h>

#define FLOW_LOGS_FIRST 16u
#define FLOW_LOGS_USUAL_MS (30 * SW_MINUTE) /* heard for this long before anything is usual */

void sw_flow_logs_deinit(struct sw_flow_logs *l)
{
        sw_free(l->items);
        sw_free(l->index);
        *l = SW_FLOW_LOGS_NULL;
}

/* Case does not matter in resource ids. FNV-1a: names come from a few resources of ours, and the number is bounded. */
static uint64_t logs_key(struct sw_str s)
{
        uint64_t h = UINT64_C(0xcbf29ce484222325);
        size_t i;

        for (i = 0; i < s.n; i++) {
                char c = s.p[i];

                h ^= (unsigned char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
                h *= UINT64_C(0x100000001b3);
        }
        return h;
}

static uint32_t *logs_slot(const struct sw_flow_logs *l, uint64_t key)
{
        uint32_t mask = 2 * l->cap - 1, i = (uint32_t)(key >> 32) & mask;

        while (l->index[i] != 0 && l->items[l->index[i] - 1].key != key)
                i = (i + 1) & mask;
        return &l->index[i];
}

static bool logs_grow(struct sw_flow_logs *l)
{
        struct sw_flow_logs next = {
                .n = l->n, .cap = l->cap ? 2 * l->cap : FLOW_LOGS_FIRST, .n_refused = l->n_refused
        };
        uint32_t i;

        if (next.cap > SW_FLOW_LOGS_MAX)
                return false;
        next.index = sw_calloc(2 * (size_t)next.cap, sizeof(*next.index));
        next.items = next.index ? sw_realloc_array(l->items, next.cap, sizeof(*next.items)) : NULL;
        if (!next.items) {
                sw_free(next.index);
                return false;
        }
        for (i = 0; i < next.n; i++)
                *logs_slot(&next, next.items[i].key) = i + 1;
        sw_free(l->index);
        *l = next;
        return true;
}

static struct sw_flow_log *logs_get(struct sw_flow_logs *l, struct sw_str name)
{
        uint64_t key = logs_key(name);
        uint32_t *slot = l->cap ? logs_slot(l, key) : NULL;
        struct sw_flow_log *f;
        size_t n = name.n < SW_FLOW_LOG_NAME - 1 ? name.n : SW_FLOW_LOG_NAME - 1;

        if (slot && *slot)
                return &l->items[*slot - 1];
        if (l->n == l->cap) {
                if (!logs_grow(l))
                        return NULL;
                slot = logs_slot(l, key);
        }
        f = &l->items[l->n++];
        *slot = l->n;
        *f = (struct sw_flow_log){ .key = key, .first = SW_ETIME_NONE, .last = SW_ETIME_NONE };
        memcpy(f->name, name.p, n);
        return f;
}

void sw_flow_logs_note(struct sw_flow_logs *l, const struct sw_batch *b, struct sw_etime newest)
{
        struct sw_flow_log *f = NULL;
        struct sw_str last = SW_STR_NULL;
        struct sw_etime t;
        uint32_t i;

        for (i = 0; i < b->n_records; i++) {
                const struct sw_record *r = &b->records[i];

                if (r->flow_log.n == 0)
                        continue;
                if (!f || !sw_str_eq(r->flow_log, last)) { /* a message is of one flow log, as a rule */
                        f = logs_get(l, r->flow_log);
                        last = r->flow_log;
                }
                if (!f) {
                        l->n_refused++;
                        continue;
                }
                t = sw_etime_is_none(r->time) ? b->newest : r->time;
                if (!sw_etime_is_none(newest))
                        t = sw_etime_min(t, newest);
                if (sw_etime_is_none(t))
                        continue;
                f->first = sw_etime_is_none(f->first) ? t : sw_etime_min(f->first, t);
                f->last = sw_etime_max(f->last, t);
                f->n_records++;
        }
}

struct sw_etime sw_flow_log_silent(const struct sw_flow_log *f, struct sw_etime now)
{
        int64_t heard_ms, limit_ms;

        if (sw_etime_is_none(now) || f->n_records < SW_FLOW_LOG_RECORDS)
                return SW_ETIME_NONE;
        heard_ms = f->last.ms - f->first.ms;
        if (heard_ms < FLOW_LOGS_USUAL_MS)
                return SW_ETIME_NONE;
        limit_ms = 10 * (heard_ms / (int64_t)(f->n_records - 1));
        if (limit_ms < SW_FLOW_LOG_SILENT_MS)
                limit_ms = SW_FLOW_LOG_SILENT_MS;
        return now.ms - f->last.ms > limit_ms ? sw_etime_add(f->last, limit_ms) : SW_ETIME_NONE;
}

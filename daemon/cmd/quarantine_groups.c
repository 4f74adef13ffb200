/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/quarantine_groups.h"

#include "base/jsonw.h"
#include "term.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *groups_copy(struct sw_str s)
{
        char *copy = sw_alloc(s.n + 1);

        if (!copy)
                return NULL;
        memcpy(copy, s.p, s.n);
        copy[s.n] = '\0';
        return copy;
}

static struct sw_quarantine_group *groups_find(
        struct sw_quarantine_groups *g, struct sw_str reason, struct sw_str where)
{
        uint32_t i;

        for (i = g->n; i-- > 0;) /* the last one is the likely one */
                if (sw_str_eq(where, sw_str_of(g->items[i].where)) && sw_str_eq(reason, sw_str_of(g->items[i].reason)))
                        return &g->items[i];
        return NULL;
}

static struct sw_quarantine_group *groups_new(struct sw_quarantine_groups *g, struct sw_str reason, struct sw_str where)
{
        struct sw_quarantine_group *item;

        if (g->n == g->cap) {
                uint32_t cap = g->cap ? g->cap * 2 : 16;
                struct sw_quarantine_group *items = sw_realloc_array(g->items, cap, sizeof(*items));

                if (!items)
                        return NULL;
                g->items = items;
                g->cap = cap;
        }
        item = &g->items[g->n];
        *item = (struct sw_quarantine_group){ .reason = groups_copy(reason), .where = groups_copy(where) };
        if (!item->reason || !item->where) {
                sw_free(item->reason);
                sw_free(item->where);
                return NULL;
        }
        g->n++;
        return item;
}

static void groups_time(char to[32], struct sw_str time)
{
        if (time.n < 32) {
                memcpy(to, time.p ? time.p : "", time.n);
                to[time.n] = '\0';
        }
}

int sw_quarantine_groups_add(struct sw_quarantine_groups *g, const struct sw_quarantine_entry *e)
{
        struct sw_str reason = e->reason, where = e->where;
        struct sw_quarantine_group *item = groups_find(g, reason, where);

        if (!item && g->n >= SW_QUARANTINE_GROUPS_MAX) {
                reason = where = SW_STR("(others)");
                item = groups_find(g, reason, where);
        }
        if (!item)
                item = groups_new(g, reason, where);
        if (!item)
                return -SW_ERR_NOMEM;
        if (item->n == 0)
                groups_time(item->first, e->time);
        groups_time(item->last, e->time);
        item->n++;
        item->n_kept += e->message.p != NULL;
        return 0;
}

static int groups_order(const void *pa, const void *pb)
{
        const struct sw_quarantine_group *a = pa, *b = pb;
        int r;

        if (a->n != b->n)
                return a->n > b->n ? -1 : 1;
        r = strcmp(a->reason, b->reason);
        return r ? r : strcmp(a->where, b->where);
}

void sw_quarantine_groups_sort(struct sw_quarantine_groups *g)
{
        if (g->n)
                qsort(g->items, g->n, sizeof(*g->items), groups_order);
}

void sw_quarantine_groups_print(const struct sw_quarantine_groups *g, struct sw_buf *out)
{
        uint32_t i;

        sw_buf_printf(out, "%9s %9s  %-15s %-25s %-25s %s\n", "ENTRIES", "KEPT", "REASON", "FIRST", "LAST", "WHERE");
        for (i = 0; i < g->n; i++) {
                const struct sw_quarantine_group *p = &g->items[i];

                sw_buf_printf(out, "%9llu %9llu  ", (unsigned long long)p->n, (unsigned long long)p->n_kept);
                sw_term_put(out, sw_str_of(p->reason));
                sw_buf_printf(out, "%*s ", (int)(strlen(p->reason) < 15 ? 15 - strlen(p->reason) : 0), "");
                sw_buf_printf(out, "%-25s %-25s ", *p->first ? p->first : "-", *p->last ? p->last : "-");
                sw_term_put(out, sw_str_of(p->where));
                sw_buf_putc(out, '\n');
        }
}

void sw_quarantine_groups_json(const struct sw_quarantine_groups *g, struct sw_buf *out)
{
        uint32_t i;

        for (i = 0; i < g->n; i++) {
                const struct sw_quarantine_group *p = &g->items[i];
                struct sw_jsonw w = sw_jsonw_start(out);

                sw_jsonw_object(&w);
                sw_jsonw_ku64(&w, "entries", p->n);
                sw_jsonw_ku64(&w, "kept", p->n_kept);
                sw_jsonw_ktext(&w, "reason", p->reason);
                sw_jsonw_ktext(&w, "where", p->where);
                if (*p->first) {
                        sw_jsonw_ktext(&w, "first", p->first);
                        sw_jsonw_ktext(&w, "last", p->last);
                }
                sw_jsonw_end_object(&w);
                sw_buf_putc(out, '\n');
        }
}

void sw_quarantine_groups_deinit(struct sw_quarantine_groups *g)
{
        uint32_t i;

        for (i = 0; i < g->n; i++) {
                sw_free(g->items[i].reason);
                sw_free(g->items[i].where);
        }
        sw_free(g->items);
        *g = SW_QUARANTINE_GROUPS_NULL;
}

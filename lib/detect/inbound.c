/* SPDX-License-Identifier: Apache-2.0 */
#include "detect/inbound.h"

#define NEW_MS SW_DAY
#define BUDGET 256u
#define SESSION_BYTES 20000u /* from the Internet: less is a bot trying passwords */

struct sw_inbound_host *sw_inbound_host(struct sw_table *hosts, uint32_t host)
{
        return sw_table_find(hosts, &host);
}

struct sw_inbound *sw_inbound_ring(struct sw_table *hosts, struct sw_inbound_host *h)
{
        struct sw_inbound_more *more = h->more ? sw_table_use(&hosts[1], h->more - 1) : NULL;

        if (more && more->host == h->host && h->n <= SW_INBOUND_RING)
                return more->ring;
        if (h->more || h->n > SW_INBOUND_INSIDE) /* it was lost */
                h->more = h->n = 0;
        return h->inside;
}

void sw_inbound_on_evict(void *ctx, void *entry)
{
        const struct sw_inbound_host *h = entry;
        struct sw_tables *own = ctx;
        const struct sw_inbound_more *more = h->more ? sw_table_peek(&own->t[1], h->more - 1) : NULL;

        if (more && more->host == h->host)
                sw_table_remove_id(&own->t[1], h->more - 1);
}

/* False: no room. */
static bool inbound_grow(struct sw_table *hosts, struct sw_inbound_host *h)
{
        struct sw_inbound_more *more;
        uint32_t id;
        bool created;

        if (h->more)
                return false;
        more = sw_table_insert_id(&hosts[1], &h->host, &created, &id);
        if (!more)
                return false;
        memcpy(more->ring, h->inside, sizeof(h->inside));
        h->more = id + 1;
        return true;
}

/* The slot of a source in the host's ring: its own, a free one, or the one that matters least. */
static struct sw_inbound *inbound_slot(
        struct sw_table *hosts, struct sw_inbound_host *h, uint32_t src, uint32_t service)
{
        struct sw_inbound *ring = sw_inbound_ring(hosts, h), *worst = NULL;
        uint32_t i;

        for (i = 0; i < h->n; i++) {
                struct sw_inbound *p = &ring[i];

                if (p->src == src && p->service == service)
                        return p;
                if (!worst || (p->new_ms != 0) < (worst->new_ms != 0) ||
                        ((p->new_ms != 0) == (worst->new_ms != 0) && p->last_ms < worst->last_ms))
                        worst = p;
        }
        if (h->n == SW_INBOUND_INSIDE && inbound_grow(hosts, h))
                ring = sw_inbound_ring(hosts, h);
        if (h->n < (h->more ? SW_INBOUND_RING : SW_INBOUND_INSIDE))
                worst = &ring[h->n++];
        memset(worst, 0, sizeof(*worst));
        return worst;
}

void sw_inbound_add(struct sw_table *hosts, const struct sw_conn_event *ev)
{
        bool created, continues, internet = sw_raise_is_internet(ev->src_segment);
        struct sw_inbound_host *h;
        struct sw_inbound *p;

        if (!sw_raise_controls(ev->service))
                return;
        if (internet && ev->payload_fwd + ev->payload_rev < SESSION_BYTES)
                return;
        h = sw_table_insert(hosts, &ev->dst, &created);
        if (!h)
                return;
        p = inbound_slot(hosts, h, ev->src, (uint32_t)ev->service);
        continues = p->start_ms != 0 && (p->conn == ev->conn || ev->opened.ms - p->last_ms <= SW_INBOUND_AFTER_MS);
        if (p->new_ms && ev->time.ms - p->new_ms >= NEW_MS)
                p->new_ms = 0;
        if ((ev->rarity & SW_RARE_NEW_EDGE) || internet)
                p->new_ms = ev->time.ms;
        if (!continues) {
                p->start_ms = ev->opened.ms;
                p->first = ev->first;
                p->last_ms = 0;
                p->has_answered = 0;
        }
        p->src = ev->src;
        p->service = (uint32_t)ev->service;
        p->conn = ev->conn;
        p->is_open = 1;
        if (ev->last.ms > p->last_ms)
                p->last_ms = ev->last.ms;
        if (ev->outcome == SW_OUTCOME_OK) {
                p->has_answered = 1;
                p->first.outcome = (uint8_t)ev->outcome;
        }
}

static struct sw_inbound *inbound_find(
        struct sw_table *hosts, const struct sw_conn_event *ev, struct sw_inbound_host **ret_host)
{
        struct sw_inbound_host *h = sw_raise_controls(ev->service) ? sw_inbound_host(hosts, ev->dst) : NULL;
        struct sw_inbound *ring = h ? sw_inbound_ring(hosts, h) : NULL;
        uint32_t i;

        for (i = 0; h && i < h->n; i++)
                if (ring[i].src == ev->src && ring[i].service == (uint32_t)ev->service) {
                        *ret_host = h;
                        return &ring[i];
                }
        return NULL;
}

void sw_inbound_progress(struct sw_table *hosts, const struct sw_conn_event *ev)
{
        struct sw_inbound_host *h;
        struct sw_inbound *p = inbound_find(hosts, ev, &h);

        if (!p) {
                if (sw_raise_is_internet(ev->src_segment))
                        sw_inbound_add(hosts, ev); /* it may have become a session by now */
                return;
        }
        p->conn = ev->conn;
        p->is_open = 1;
        if (ev->last.ms > p->last_ms)
                p->last_ms = ev->last.ms;
}

void sw_inbound_end(struct sw_table *hosts, const struct sw_conn_event *ev)
{
        struct sw_inbound_host *h;
        struct sw_inbound *p = inbound_find(hosts, ev, &h);

        if (!p || p->conn != ev->conn)
                return;
        p->is_open = 0;
        if (!p->has_answered && (ev->type != SW_CONN_CLOSED || ev->outcome == SW_OUTCOME_DENIED ||
                                        ev->outcome == SW_OUTCOME_NOREPLY || ev->outcome == SW_OUTCOME_REFUSED))
                *p = sw_inbound_ring(hosts, h)[--h->n];
        else if (ev->last.ms > p->last_ms)
                p->last_ms = ev->last.ms;
}

static void inbound_extend(struct sw_table *hosts, const struct sw_view *v, struct sw_inbound_path *path,
        struct sw_inbound_path *longest, unsigned *inout_budget)
{
        const struct sw_inbound *into = path->hops[path->n - 2];
        const struct sw_inbound *ring;
        struct sw_inbound_host *h;
        uint32_t i, k;

        if (path->n > longest->n)
                *longest = *path;
        if (path->n > SW_INBOUND_DEPTH)
                return;
        h = sw_inbound_host(hosts, path->hosts[path->n - 1]);
        ring = h ? sw_inbound_ring(hosts, h) : NULL;
        for (i = 0; h && i<h->n && * inout_budget> 0; i++) {
                const struct sw_inbound *p = &ring[i];
                bool known = false;

                (*inout_budget)--;
                if (!p->new_ms || p->start_ms >= into->start_ms ||
                        (!p->is_open && into->start_ms > p->last_ms + SW_INBOUND_AFTER_MS))
                        continue;
                for (k = 0; k < path->n; k++)
                        known |= path->hosts[k] == p->src;
                if (known || !sw_view_host(v, p->src))
                        continue;
                path->hops[path->n - 1] = p;
                path->hosts[path->n++] = p->src;
                inbound_extend(hosts, v, path, longest, inout_budget);
                path->n--;
        }
}

void sw_inbound_walk(struct sw_table *hosts, const struct sw_view *v, const struct sw_inbound_path *from,
        struct sw_inbound_path *ret_longest)
{
        struct sw_inbound_path path = *from;
        unsigned budget = BUDGET;

        ret_longest->n = 0;
        inbound_extend(hosts, v, &path, ret_longest, &budget);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What can be asked for before a tuple has its turn: most of the time of folding is waiting for memory. */
#include "aggregate/conns_int.h"

void sw_conns_ahead(const struct sw_conns *c, const struct sw_otuple *t, struct sw_conns_ahead *ret)
{
        const struct sw_hosts *hosts = &c->view->world->hosts;

        ret->hash = sw_table_hash(&c->table, &t->key);
        sw_table_prefetch(&c->table, ret->hash);
        ret->has_edge = ret->has_roles = false;
        ret->begins = t->state == SW_STATE_BEGIN || t->state == SW_STATE_DENIED;
        if (!ret->begins)
                return;
        ret->src = sw_hosts_probe(hosts, t->key.realm, &t->key.src);
        ret->dst = sw_hosts_probe(hosts, t->key.realm, &t->key.dst);
        sw_hosts_prefetch(hosts, &ret->src, false);
        sw_hosts_prefetch(hosts, &ret->dst, false);
}

void sw_conns_fetch(const struct sw_conns *c, const struct sw_conns_ahead *a)
{
        const struct sw_hosts *hosts = &c->view->world->hosts;

        sw_table_prefetch_entry(&c->table, a->hash);
        if (!a->begins)
                return;
        sw_hosts_prefetch(hosts, &a->src, true);
        sw_hosts_prefetch(hosts, &a->dst, true);
}

/* The edge of a new connection, unless its service turns out to be RPC. Many end within milliseconds, before there is
 * a connection that could be followed. */
static void ahead_begins(const struct sw_conns *c, const struct sw_otuple *t, struct sw_conns_ahead *a)
{
        const struct sw_world *w = c->view->world;
        const struct sw_host *src = sw_hosts_guess(&w->hosts, &a->src), *dst = sw_hosts_guess(&w->hosts, &a->dst);
        struct sw_edge_key key = { .service = sw__conns_port_service(c, t->key.proto, t->key.dport) };

        if (!src || !dst)
                return;
        key.src = a->src_serial = src->serial;
        key.dst = dst->serial;
        sw_edges_hash(&w->edges, &key);
        a->service = (uint8_t)key.service;
        a->edge_hash = key.hash;
        a->has_edge = true;
        sw_table_prefetch(&w->edges.edges, key.hash);
}

void sw_conns_follow(const struct sw_conns *c, const struct sw_otuple *t, struct sw_conns_ahead *a)
{
        const struct sw_world *w = c->view->world;
        const struct sw_conn *x;

        if (a->begins) {
                ahead_begins(c, t, a);
                return;
        }
        x = sw_table_guess(&c->table, a->hash);
        if (!x)
                return;
        sw_hosts_prefetch_id(&w->hosts, x->src);
        sw_hosts_prefetch_id(&w->hosts, x->dst);
        sw_table_prefetch_id(&w->pairs.pairs, x->pair);
        if (x->flags & FLAG_SUCCEEDED || x->life == LIFE_LINGER)
                return;
        a->service = x->service;
        a->src_serial = x->src; /* the id: its entry is on the way */
        a->edge_hash = x->edge_hash;
        a->has_edge = true;
        sw_table_prefetch(&w->edges.edges, x->edge_hash);
}

void sw_conns_edge(const struct sw_conns *c, struct sw_conns_ahead *a)
{
        const struct sw_world *w = c->view->world;
        const struct sw_host *src;

        if (!a->has_edge)
                return;
        sw_table_prefetch_entry(&w->edges.edges, a->edge_hash);
        if (!sw_service_is_admin((enum sw_service)a->service))
                return;
        if (!a->begins) {
                src = sw_hosts_peek(&w->hosts, a->src_serial);
                if (!src)
                        return;
                a->src_serial = src->serial;
        }
        a->roles = sw_roles_prefetch(&w->roles, a->src_serial, (enum sw_service)a->service);
        a->has_roles = true;
}

void sw_conns_last(const struct sw_conns *c, const struct sw_conns_ahead *a)
{
        if (a->has_roles)
                sw_roles_prefetch_entries(&c->view->world->roles, &a->roles);
}

static bool soon_denied(
        const struct sw_conns *c, const struct sw_otuple *t, const struct sw_conns_ahead *a, struct sw_conn_soon *ret)
{
        const struct sw_hosts *hosts = &c->view->world->hosts;
        const struct sw_host *src = sw_hosts_guess(hosts, &a->src), *dst = sw_hosts_guess(hosts, &a->dst);

        if (!src || !dst)
                return false;
        *ret = (struct sw_conn_soon){ .events = 1u << SW_CONN_DENIED,
                .src = sw_hosts_id(hosts, src),
                .dst = sw_hosts_id(hosts, dst),
                .src_host = src,
                .src_segment = src->segment,
                .dst_segment = dst->segment,
                .dport = t->key.dport,
                .proto = t->key.proto };
        return true;
}

bool sw_conns_soon(
        const struct sw_conns *c, const struct sw_otuple *t, const struct sw_conns_ahead *a, struct sw_conn_soon *ret)
{
        const struct sw_world *w = c->view->world;
        const struct sw_host *src, *dst = NULL;
        const struct sw_conn *x;
        unsigned events;
        bool admin;

        if (a->begins)
                return t->state == SW_STATE_DENIED && soon_denied(c, t, a, ret);
        x = sw_table_guess(&c->table, a->hash);
        if (!x || x->life == LIFE_LINGER)
                return false;
        admin = sw_service_is_admin((enum sw_service)x->service);
        events = (x->flags & FLAG_SUCCEEDED ? 0 : 1u << SW_CONN_SUCCEEDED) | (admin ? 1u << SW_CONN_PROGRESSED : 0);
        events &= c->some[admin];
        if (!events)
                return false;
        src = sw_hosts_peek(&w->hosts, x->src);
        if (!src || (!admin && !src->failed_ports))
                return false;
        if (src->segment == SW_SEGMENT_INTERNET)
                dst = sw_hosts_peek(&w->hosts, x->dst);
        *ret = (struct sw_conn_soon){ .events = events,
                .conn = x->id,
                .src = x->src,
                .dst = x->dst,
                .src_host = src,
                .src_segment = src->segment,
                .dst_segment = dst ? dst->segment : SW_SEGMENT_UNASSIGNED,
                .service = (enum sw_service)x->service,
                .dport = x->flags & FLAG_REVERSED ? x->key.sport : x->key.dport,
                .proto = x->key.proto,
                .learning = admin && sw_segs_learning(&w->segs, src->segment, c->view->now, NULL) };
        return true;
}

/* Of the timers that come next in this second. */
static void ahead_timer(const struct sw_conns *c, uint32_t n)
{
        uint32_t id;

        if (sw_timers_peek(c->timers, n, &id))
                sw_table_prefetch_id(&c->table, id);
}

void sw__conns_timers_ahead(const struct sw_conns *c, bool first)
{
        const struct sw_hosts *hosts = &c->view->world->hosts;
        const struct sw_conn *x;
        uint32_t id, n;

        for (n = first ? 0 : TIMERS_AHEAD; n <= TIMERS_AHEAD; n++)
                ahead_timer(c, n);
        if (!sw_timers_peek(c->timers, TIMERS_AHEAD / 2, &id))
                return;
        x = sw_table_peek(&c->table, id);
        if (!x)
                return;
        sw_hosts_prefetch_id(hosts, x->src);
        sw_hosts_prefetch_id(hosts, x->dst);
        if (x->life == LIFE_LINGER)
                sw_table_prefetch(&c->table, x->hash);
}

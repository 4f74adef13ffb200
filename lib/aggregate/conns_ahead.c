/* SPDX-License-Identifier: Apache-2.0 */
/* What can be asked for before a tuple has its turn: most of the time of folding is waiting for memory. */
#include "aggregate/conns_int.h"

void sw_conns_ahead(const struct sw_conns *c, const struct sw_otuple *t, struct sw_conns_ahead *ret)
{
        const struct sw_hosts *hosts = &c->view->world->hosts;

        ret->hash = sw_table_hash(&c->table, &t->key);
        sw_table_prefetch(&c->table, ret->hash);
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

void sw_conns_follow(const struct sw_conns *c, const struct sw_conns_ahead *a)
{
        const struct sw_world *w = c->view->world;
        const struct sw_conn *x = sw_table_guess(&c->table, a->hash);

        if (!x || a->begins)
                return;
        sw_hosts_prefetch_id(&w->hosts, x->src);
        sw_hosts_prefetch_id(&w->hosts, x->dst);
        sw_table_prefetch_id(&w->pairs.pairs, x->pair);
        if (!(x->flags & FLAG_SUCCEEDED))
                sw_table_prefetch(&w->edges.edges, x->edge_hash);
}

void sw_conns_edge(const struct sw_conns *c, const struct sw_conns_ahead *a)
{
        const struct sw_conn *x = a->begins ? NULL : sw_table_guess(&c->table, a->hash);

        if (x && !(x->flags & FLAG_SUCCEEDED))
                sw_table_prefetch_entry(&c->view->world->edges.edges, x->edge_hash);
}

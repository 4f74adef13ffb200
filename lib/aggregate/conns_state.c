/* SPDX-License-Identifier: Apache-2.0 */
#include "aggregate/conns_int.h"

void sw_conns_state(struct sw_conns *c, struct sw_state_io *s)
{
        sw_state_u64(s, &c->n_opened);
        sw_state_u64(s, &c->n_reversed);
        sw_state_u64(s, &c->n_no_host);
        sw_timers_state(c->timers, s);
}

/* What would be used as an index, or is taken to be there. */
static bool conn_is_sound(const struct sw_conns *c, const struct sw_conn *x, uint32_t id)
{
        const struct sw_hosts *hosts = &c->view->world->hosts;
        const struct sw_conn_more *more = sw__conns_more(c, x);

        if (x->hash != (uint32_t)sw_table_hash(&c->table, &x->key) || (x->more && !(more && more->conn == id)))
                return false;
        return x->id == id && (more || x->n_sides <= SW_CONN_SIDES_INSIDE) && x->life <= LIFE_LINGER &&
               x->service < SW_N_SERVICES && x->n_sides <= SW_CONN_SIDES && (x->best < x->n_sides || x->best == 0) &&
               sw_hosts_at(hosts, x->src) && sw_hosts_at(hosts, x->dst);
}

int sw_conns_restored(struct sw_conns *c)
{
        const struct sw_conn_more *more;
        const struct sw_conn *x;
        uint32_t id;

        for (id = 0; (x = sw_table_next(&c->table, &id)); id++)
                if (!conn_is_sound(c, x, id))
                        return -SW_ERR_DATA;
        for (id = 0; (more = sw_table_next(&c->more, &id)); id++) {
                x = sw_table_at(&c->table, more->conn);
                if (!x || x->more != id + 1)
                        return -SW_ERR_DATA;
        }
        return sw_timers_restored(c->timers);
}

void sw_conns_pin(struct sw_conns *c)
{
        const struct sw_conn *x;
        uint32_t id;

        for (id = 0; (x = sw_table_next(&c->table, &id)); id++) {
                sw_hosts_pin(&c->view->world->hosts, x->src, true);
                sw_hosts_pin(&c->view->world->hosts, x->dst, true);
        }
}

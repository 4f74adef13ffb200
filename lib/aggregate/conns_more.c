/* SPDX-License-Identifier: Apache-2.0 */
/* What few connections have, apart so that the others fit into three cache lines. */
#include "aggregate/conns_int.h"

/* Its connection loses the sensors beyond the second and the counters of its first tuple. */
static void more_on_evict(void *ctx, void *entry)
{
        struct sw_conns *c = ctx;
        const struct sw_conn_more *m = entry;
        struct sw_conn *x = sw_table_at(&c->table, m->conn);

        if (!x)
                return;
        x->more = 0;
        if (x->n_sides > SW_CONN_SIDES_INSIDE)
                x->n_sides = SW_CONN_SIDES_INSIDE;
        if (x->best >= SW_CONN_SIDES_INSIDE)
                x->best = 0;
}

int sw__conns_more_init(struct sw_conns *c, size_t limit_bytes, const struct sw_hash_key *key)
{
        static const struct sw_table_spec spec = { .name = "connections_more",
                .version = 1,
                .entry_size = sizeof(struct sw_conn_more),
                .key_size = 8,
                .on_evict = more_on_evict };

        return sw_table_init(&c->more, &spec, limit_bytes, key, c);
}

struct sw_conn_more *sw__conns_more(const struct sw_conns *c, const struct sw_conn *x)
{
        return x->more ? sw_table_at(&c->more, x->more - 1) : NULL;
}

struct sw_conn_more *sw__conns_more_make(struct sw_conns *c, struct sw_conn *x)
{
        const uint32_t key[2] = { x->id, 0 };
        struct sw_conn_more *m = sw__conns_more(c, x);
        bool created;
        uint32_t id;

        if (m)
                return m;
        m = sw_table_insert_id(&c->more, key, &created, &id);
        if (m)
                x->more = id + 1;
        return m;
}

void sw__conns_more_drop(struct sw_conns *c, struct sw_conn *x)
{
        if (x->more)
                sw_table_remove_id(&c->more, x->more - 1);
        x->more = 0;
}

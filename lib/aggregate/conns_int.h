/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Shared by conns.c, conns_ahead.c and conns_more.c. */
#include "aggregate/conns.h"

enum { LIFE_OPEN, LIFE_ENDED, LIFE_LINGER };

enum {
        FLAG_REVERSED = 1 << 0,
        FLAG_KNOWN = 1 << 1,     /* some C or E carried counters */
        FLAG_FAILED = 1 << 2,    /* an early NOREPLY was told */
        FLAG_SUCCEEDED = 1 << 3, /* OK was told */
        FLAG_RESPONDER = 1 << 4, /* evidence rule and sensor are the destination's */
        FLAG_ALLOWED = 1 << 5,   /* counted as allowed in its segment pair */
};

#define TIMERS_AHEAD 12u /* connections whose timers come next are fetched early */

static inline enum sw_service sw__conns_port_service(const struct sw_conns *c, uint8_t proto, uint16_t port)
{
        if (proto == SW_PROTO_TCP)
                return (enum sw_service)c->tcp_service[port];
        return proto == SW_PROTO_UDP ? (enum sw_service)c->udp_service[port] : SW_SERVICE_OTHER;
}

/* A timer was taken. first: the first one of its second. */
void sw__conns_timers_ahead(const struct sw_conns *c, bool first);

int sw__conns_more_init(struct sw_conns *c, size_t limit_bytes, const struct sw_hash_key *key);
struct sw_conn_more *sw__conns_more(const struct sw_conns *c, const struct sw_conn *x); /* NULL: it has none */
/* Makes it; NULL: no room (counted). Others may lose theirs. */
struct sw_conn_more *sw__conns_more_make(struct sw_conns *c, struct sw_conn *x);
void sw__conns_more_drop(struct sw_conns *c, struct sw_conn *x); /* no harm if it has none */

/* i < x->n_sides. */
static inline struct sw_conn_side *conns_side_at(const struct sw_conns *c, struct sw_conn *x, unsigned i)
{
        return i < SW_CONN_SIDES_INSIDE ? &x->sides[i] : &sw__conns_more(c, x)->sides[i - SW_CONN_SIDES_INSIDE];
}

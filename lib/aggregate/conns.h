/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Connections: five-tuples with their life, folded from tuples in canonical event-time order. Found by the five-tuple
 * as logged, so that one look-up serves an ordinary tuple; hosts are looked up once per life and stay pinned through
 * it.
 *
 *   OPEN ── first E ──> ENDED ── 1 s ──> decided ──> LINGER ── 2 min ──> gone
 *   OPEN ── idle ─────────────────────> decided ──> LINGER
 *   OPEN, ENDED, new ── D that decides ─────────────> LINGER
 *   LINGER, or ENDED at the sensor that ended it ── B ──> a new life, OPEN
 *
 * Events of one tuple come in the order OPENED, PROGRESSED, WITHDRAWN, SUCCEEDED | FAILED | DENIED, CLOSED. Threads:
 * one owner. */
#include "aggregate/order.h"
#include "aggregate/timers.h"
#include "aggregate/world.h"

#define SW_CONN_SIDES 4u
#define SW_CONN_SIDES_INSIDE 2u
#define SW_CONN_DECIDE_MS SW_SECOND         /* after the first E */
#define SW_CONN_LINGER_MS (2 * SW_MINUTE)   /* after the decision */
#define SW_CONN_NOREPLY_MS (60 * SW_SECOND) /* a C without an answer this long after the opening */
#define SW_CONN_REFUSED_PACKETS 4u          /* forward, at most */
#define SW_CONN_RPC_MS (120 * SW_SECOND)    /* dynamic ports after 135 or 445 */

/* Header estimate per packet. */
#define SW_CONN_TCP_HEADER 54u
#define SW_CONN_TCP_OPTIONS 40u /* at most */
#define SW_CONN_IPV6_MORE 20u   /* than an IPv4 header */
#define SW_CONN_UDP_HEADER 28u

/* What one sensor said; a sensor is its fold, whatever the spelling. */
struct sw_conn_side {
        uint64_t counters[SW_N_COUNTERS]; /* initiator to responder first */
        uint32_t sensor;                  /* fold */
        uint8_t states;                   /* bit per enum sw_state */
        uint8_t direction;                /* after a turn-round */
        uint8_t pad[2];
};

/* Three cache lines; what most connections never have is a struct sw_conn_more. */
struct sw_conn {
        struct sw_conn_key key; /* as logged */
        struct sw_etime opened, last;
        uint32_t due; /* when the timer that counts fires: the low bits of its millisecond */
        uint8_t life, flags, n_sides, best;
        uint32_t src, dst;     /* host ids: initiator, responder */
        uint32_t pair;         /* guess for sw_pairs_get */
        uint32_t edge_hash;    /* of its edge */
        uint32_t rule, sensor; /* evidence, of the deciding side */
        uint8_t outcome, service, rarity;
        uint8_t first_state, direction, first_encryption, pad[2]; /* direction: of the deciding side */
        uint32_t id;
        uint32_t hash; /* of the key, as the table's index has it */
        uint32_t more; /* id + 1 of its struct sw_conn_more, 0 = none */
        struct sw_conn_side sides[SW_CONN_SIDES_INSIDE];
};
_Static_assert(sizeof(struct sw_conn) == 192, "three cache lines");

/* Of a connection whose first tuple had counters (its beginning was not seen) or that more than two sensors log. */
struct sw_conn_more {
        uint32_t conn, pad; /* key */
        uint64_t first_counters[SW_N_COUNTERS];
        struct sw_conn_side sides[SW_CONN_SIDES - SW_CONN_SIDES_INSIDE];
};

struct sw_conns_conf {
        int64_t tcp_idle_ms, udp_idle_ms;
};

struct sw_conns_limits {
        size_t table, more, rpc, timers;
};

/* Takes each event; 0 or negative (forwarded). */
typedef int (*sw_conn_sink)(void *ctx, const struct sw_conn_event *ev);

struct sw_conns {
        struct sw_table table, more, rpc;
        struct sw_timers *timers;
        struct sw_view *view;
        struct sw_conns_conf conf;
        sw_conn_sink sink;
        void *ctx;
        unsigned wanted[SW_CONN_KINDS]; /* bit per event type: the rest is not told */
        unsigned some[2];               /* those of other and of administrative services together */
        unsigned closed[SW_CONN_KINDS]; /* the same, of CLOSED: bit per outcome */
        struct sw_etime at; /* of the event being folded: view->now, or the tuple's own time when it is late */
        bool late;
        struct sw_conn_event event; /* scratch */
        uint8_t tcp_service[65536], udp_service[65536];
        uint64_t n_opened, n_reversed, n_no_host;
};

/* view and its state outlive it. */
int sw_conns_new(struct sw_view *view, const struct sw_conns_conf *conf, const struct sw_conns_limits *limits,
        const struct sw_hash_key *key, struct sw_conns **ret);
struct sw_conns *sw_conns_free(struct sw_conns *c);

/* What is known of a tuple before its turn. Some tuples ahead of folding it, in this order and a few tuples apart:
 * _ahead computes hashes and asks for slots, _fetch asks for entries, _follow for what the entries point to, _edge for
 * the edge of a connection that may succeed, _last for what an administrative one teaches. */
struct sw_conns_ahead {
        uint64_t hash;
        bool begins;              /* it seems to begin a life: its hosts are looked up */
        bool has_edge, has_roles; /* the fields below are set */
        uint8_t service;          /* of the edge, as its hash */
        uint32_t edge_hash;
        uint32_t src_serial;           /* until _edge its id, if no life begins */
        struct sw_host_probe src, dst; /* as logged */
        struct sw_roles_ahead roles;
};
void sw_conns_ahead(const struct sw_conns *c, const struct sw_otuple *t, struct sw_conns_ahead *ret);
void sw_conns_fetch(const struct sw_conns *c, const struct sw_conns_ahead *a);
void sw_conns_follow(const struct sw_conns *c, const struct sw_otuple *t, struct sw_conns_ahead *a);
void sw_conns_edge(const struct sw_conns *c, struct sw_conns_ahead *a);
void sw_conns_last(const struct sw_conns *c, const struct sw_conns_ahead *a);
/* After _follow: the events that detectors may need memory for. False: none. */
bool sw_conns_soon(
        const struct sw_conns *c, const struct sw_otuple *t, const struct sw_conns_ahead *a, struct sw_conn_soon *ret);

/* view->now is the tuple's time, or later for a late one. */
int sw_conns_fold(struct sw_conns *c, const struct sw_otuple *t, const struct sw_conns_ahead *a, bool late);
/* Fires the timer that sw_timers_next(c->timers) announced; view->now is its time. */
int sw_conns_timer(struct sw_conns *c);
size_t sw_conns_bytes(const struct sw_conns *c);

/* Without its tables, with its timers. */
void sw_conns_state(struct sw_conns *c, struct sw_state_io *s);
/* After tables, timers and hosts were read: checks what entries say. 0 | -SW_ERR_DATA. */
int sw_conns_restored(struct sw_conns *c);
/* Pins the hosts of all connections again. */
void sw_conns_pin(struct sw_conns *c);

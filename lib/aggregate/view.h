/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The read-only door for detectors and correlation: one connection event, and what is known about its hosts, edges,
 * segments, roles and baselines at that instant. Nothing handed out here may be kept past the call, except ids. */
#include "model/signal.h"
#include "segment/segments.h"

/* A host is (realm, address). Ids are reused after eviction; pinned hosts (open connections, incidents) stay. */
struct sw_host {
        /* key, 24 bytes */
        struct sw_addr addr;
        uint16_t realm;
        uint16_t key_pad[3];
        /* facts */
        uint32_t segment;       /* id; resolved once per configuration */
        uint32_t pinned_roles;  /* SW_HOST_ROLE bits from configuration */
        uint32_t learned_roles; /* SW_HOST_ROLE bits learned (dc ...) */
        uint32_t served;        /* bit per enum sw_service: answered >= 5 distinct clients OK */
        uint32_t n_pins;
        uint32_t serial;   /* never reused, unlike the id: baselines are keyed by it */
        uint32_t n_taints; /* open incidents that name it */
        uint32_t digest;   /* of the key, the same whatever the seed: for counting distinct hosts */
        /* As a source: a bit per port, and per destination, on which a connection failed or was denied. Many share a
         * bit; what is not set never happened. See sw_host_failed. */
        uint32_t failed_ports, failed_hosts;
        uint64_t mac; /* of the NIC that logged it as its own end; 0 = unknown */
        struct sw_etime first_seen, last_seen;
};

/* Whether a connection of the source to that port may have failed or been denied before; and to that host, on any. */
static inline bool sw_host_failed_port(const struct sw_host *src, uint16_t dport, uint8_t proto)
{
        return src->failed_ports >> ((dport ^ dport >> 5 ^ dport >> 10 ^ proto) & 31) & 1;
}

static inline bool sw_host_failed_host(const struct sw_host *src, uint32_t dst)
{
        return src->failed_hosts >> ((dst ^ dst >> 5 ^ dst >> 10) & 31) & 1;
}

/* Before detectors see it. */
static inline void sw_host_fails(struct sw_host *src, uint32_t dst, uint16_t dport, uint8_t proto)
{
        src->failed_ports |= UINT32_C(1) << ((dport ^ dport >> 5 ^ dport >> 10 ^ proto) & 31);
        src->failed_hosts |= UINT32_C(1) << ((dst ^ dst >> 5 ^ dst >> 10) & 31);
}

enum sw_conn_event_type {
        SW_CONN_OPENED,     /* first tuple of a life, not denied */
        SW_CONN_PROGRESSED, /* a C or E brought counters: `delta` */
        SW_CONN_SUCCEEDED,  /* the outcome became OK (payload moved) */
        SW_CONN_FAILED,     /* NOREPLY or REFUSED was decided; an early NOREPLY may be withdrawn later */
        SW_CONN_DENIED,     /* by the deciding side */
        SW_CONN_WITHDRAWN,  /* the early NOREPLY of this connection was wrong: it is OK now (SUCCEEDED follows) */
        SW_CONN_CLOSED,     /* end of life: outcome and totals are final */
};

/* Rarity of an edge against the baseline before this connection (D07), valid after learning. Judged when
 * the connection opens for administrative classes; for the others only NEW_EDGE is known, from SUCCEEDED on. */
enum {
        SW_RARE_SRC_CLASS = 1 << 0,  /* source never used this class */
        SW_RARE_DST_CLASS = 1 << 1,  /* destination never received it from the source's segment */
        SW_RARE_PAIR_CLASS = 1 << 2, /* the segment pair never had it */
        SW_RARE_NOT_SERVER = 1 << 3, /* destination is not a learned server of the class */
        SW_RARE_NEW_EDGE = 1 << 4,   /* (source, destination, class) was not in the baseline */
};

struct sw_conn_event {
        enum sw_conn_event_type type;
        struct sw_etime time;
        uint32_t conn; /* id, stable through the life of the connection; reused afterwards */
        uint32_t src, dst;
        const struct sw_host *src_host, *dst_host;
        uint32_t src_segment, dst_segment;
        enum sw_service service;
        enum sw_outcome outcome;       /* so far */
        bool late;                     /* order-dependent detectors ignore it (see .handles_late) */
        bool learning;                 /* the source's segment is still learning: no baseline verdicts */
        bool tainted;                  /* the source is under an open incident: its new edges never become baseline */
        unsigned rarity;               /* SW_RARE bits */
        struct sw_etime opened, last;  /* of this life; last = newest tuple so far */
        uint64_t total[SW_N_COUNTERS]; /* of the sensor with the most packets, never the sum */
        uint64_t delta[SW_N_COUNTERS]; /* PROGRESSED: what this tuple added to that sensor */
        uint64_t payload_fwd, payload_rev; /* total bytes less header estimate */
        struct sw_evidence first;          /* the tuple that opened it, with rule and sensor of the deciding side */
};

#define SW_CONN_EVENT_TYPES (SW_CONN_CLOSED + 1)

/* What of an event, besides its type, decides whether anybody wants it; a bit each. */
enum {
        SW_CONN_IS_ADMIN = 1 << 0,    /* of an administrative service */
        SW_CONN_IS_INTERNET = 1 << 1, /* its source is on the Internet */
        SW_CONN_IS_LEARNING = 1 << 2, /* its source's segment still learns */
        SW_CONN_IS_LATE = 1 << 3,
        SW_CONN_KINDS = 1 << 4,
};
static inline unsigned sw_conn_kind(const struct sw_conn_event *ev)
{
        return (sw_service_is_admin(ev->service) ? SW_CONN_IS_ADMIN : 0) |
               (ev->src_segment == SW_SEGMENT_INTERNET ? SW_CONN_IS_INTERNET : 0) |
               (ev->learning ? SW_CONN_IS_LEARNING : 0) | (ev->late ? SW_CONN_IS_LATE : 0);
}

/* What a tuple that is still some places away may become: enough to ask for memory early. */
struct sw_conn_soon {
        unsigned events;         /* bit per event type */
        uint32_t conn, src, dst; /* conn: not of SW_CONN_DENIED */
        const struct sw_host *src_host;
        uint32_t src_segment, dst_segment; /* dst_segment: of sources on the Internet only */
        enum sw_service service;
        uint16_t dport;
        uint8_t proto;
        bool learning;
};

struct sw_view; /* of the engine */

struct sw_etime sw_view_now(const struct sw_view *v);
const struct sw_segments *sw_view_segments(const struct sw_view *v);
/* Works for every id, implicit ones included; never NULL. */
const struct sw_segment *sw_view_segment(const struct sw_view *v, uint32_t id);
const struct sw_host *sw_view_host(const struct sw_view *v, uint32_t id); /* NULL if it was evicted */
static inline uint32_t sw_host_roles(const struct sw_host *h)
{
        return h->pinned_roles | h->learned_roles;
}

/* Whether the segment is still learning, and until when (NONE if it is not). */
bool sw_view_learning(const struct sw_view *v, uint32_t segment, struct sw_etime *ret_until);

/* Baseline of an edge (src, dst, service): false if it was never seen. Days are UTC day numbers. */
struct sw_edge_info {
        uint32_t first_day, last_day, n_days;
        struct sw_etime first_seen;
        bool tainted;
};
bool sw_view_edge(
        const struct sw_view *v, uint32_t src, uint32_t dst, enum sw_service service, struct sw_edge_info *ret);
/* Most distinct destinations of an admin class that a source reached in any window of 10 min in 30 days. */
uint32_t sw_view_fanout_max(const struct sw_view *v, uint32_t src, enum sw_service service);
/* Distinct destinations and days on which a source used a class (admin_src: >= 5 destinations on >= 3 days). */
bool sw_view_is_admin_source(const struct sw_view *v, uint32_t src, enum sw_service service);

/* Texts behind the ids of sw_evidence: ACL and rule as logged; flow log, target and MAC of the sensor. */
struct sw_sensor {
        struct sw_str flow_log, target;
        uint64_t mac;
        enum sw_kind kind;
};
struct sw_rule sw_view_rule(const struct sw_view *v, uint32_t rule);
struct sw_sensor sw_view_sensor(const struct sw_view *v, uint32_t sensor);

/* Incidents taint their actor and compromised hosts while open and pin them. */
void sw_view_taint(struct sw_view *v, uint32_t host, bool on);

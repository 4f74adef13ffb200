/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Who administered a host lately: for each host the last 16 (source, service) that opened a connection which gives
 * control of it. One table entry per host, keyed by its id, and, for the few with more than two, one in the table that
 * stands behind it. Walking from host to host backwards in time gives
 * the chains that lead to it. */
#include "detect/raise.h"

#define SW_INBOUND_RING 16u
#define SW_INBOUND_INSIDE 2u
#define SW_INBOUND_DEPTH 5u                  /* hops that are walked back */
#define SW_INBOUND_AFTER_MS (10 * SW_MINUTE) /* a connection counts this long after its end */

struct sw_inbound {
        int64_t start_ms, last_ms; /* of the connections of this source that followed one another */
        int64_t new_ms;            /* when the edge was new, within a day; 0 = it is known */
        uint32_t src, conn;        /* conn: the latest, id valid while is_open */
        uint32_t service;
        uint16_t is_open, has_answered;
        struct sw_evidence first;
};

struct sw_inbound_host {
        uint32_t host; /* key */
        uint32_t n;
        struct {
                uint32_t day, n_chains; /* new chains through it that day */
                uint32_t segments[4];   /* target segments told that day */
                uint32_t n_segments, pad;
        } told;             /* the detector's */
        uint32_t more, pad; /* id + 1 of its struct sw_inbound_more, 0 = none */
        struct sw_inbound inside[SW_INBOUND_INSIDE];
};

struct sw_inbound_more {
        uint32_t host, pad; /* key: host */
        struct sw_inbound ring[SW_INBOUND_RING];
};

/* The two tables; shares in permille. */
#define SW_INBOUND_DECLARE(hosts, more)                                                                                \
        { { "pivot_hosts", 2, sizeof(struct sw_inbound_host), 4, sw_inbound_on_evict, NULL }, (hosts) },               \
        {                                                                                                              \
                { "pivot_hosts_more", 1, sizeof(struct sw_inbound_more), 4, NULL, NULL }, (more)                       \
        }
/* Takes what stands in the second table along; ctx: the detector's struct sw_tables, which begins with the two. */
void sw_inbound_on_evict(void *ctx, void *entry);

/* `hosts` is the first of the two from here on. */
/* Its h->n; valid until something is added. */
struct sw_inbound *sw_inbound_ring(struct sw_table *hosts, struct sw_inbound_host *h);
/* OPENED and SUCCEEDED events; from the Internet only what holds a session. Does nothing for other services. */
void sw_inbound_add(struct sw_table *hosts, const struct sw_conn_event *ev);
/* PROGRESSED: it goes on. */
void sw_inbound_progress(struct sw_table *hosts, const struct sw_conn_event *ev);
/* FAILED, DENIED, CLOSED: what nobody got in by is forgotten. */
void sw_inbound_end(struct sw_table *hosts, const struct sw_conn_event *ev);
struct sw_inbound_host *sw_inbound_host(struct sw_table *hosts, uint32_t host); /* NULL: nobody */

struct sw_inbound_path {
        uint32_t hosts[SW_INBOUND_DEPTH + 1];                /* backwards: C, B, A ... */
        const struct sw_inbound *hops[SW_INBOUND_DEPTH + 1]; /* hops[i] led into hosts[i]; [0] is the new one: NULL */
        uint32_t n;                                          /* hosts */
};
/* Longest way back from the path's end over new hops, each before the next one; visits at most 256. */
void sw_inbound_walk(struct sw_table *hosts, const struct sw_view *v, const struct sw_inbound_path *from,
        struct sw_inbound_path *ret_longest);

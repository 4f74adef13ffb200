/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A view over plain arrays, so that each detector and the correlator can be tested alone: it implements every
 * sw_view function of aggregate/view.h. Hosts get ids in the order in which they are first named. */
#include "aggregate/view.h"
#include "detect/correlate.h"
#include "detect/detect.h"

#define FAKE_HOSTS 4096
#define FAKE_SEGMENTS 16
#define FAKE_EDGES 1024

struct fake_edge {
        uint32_t src, dst;
        enum sw_service service;
        struct sw_edge_info info;
};

struct sw_view {
        struct sw_etime now;
        struct sw_host hosts[FAKE_HOSTS];
        uint32_t n_hosts;
        int taints[FAKE_HOSTS];
        struct sw_segment segments[FAKE_SEGMENTS]; /* by id: fixed ones and SW_SEGMENT_FIRST + i */
        struct sw_prefix prefixes[FAKE_SEGMENTS];
        uint32_t n_segments; /* highest id + 1 */
        struct fake_edge edges[FAKE_EDGES];
        uint32_t n_edges;
        uint32_t fanout_max;
        bool admin_source;
        struct sw_segments *configured; /* for policy; NULL: none */
        struct sw_rule rule;
        struct sw_sensor sensor;
};

/* Segments of every fake network: web 10.1.0.0/16 (id 8), db 10.2.0.0/16 (9, criticality 3), mgmt 10.3.0.0/16 (10),
 * clients 10.4.0.0/16 (11, role client), six fd00:1::/64 (12), crown 10.9.0.0/16 (13, criticality 4); the rest of
 * private space is unassigned. */
enum { FAKE_WEB = 8, FAKE_DB, FAKE_MGMT, FAKE_CLIENTS, FAKE_SIX, FAKE_CROWN };

struct sw_view *fake_view_new(void);
struct sw_view *fake_view_free(struct sw_view *v);
uint32_t fake_host(struct sw_view *v, const char *addr);
void fake_role(struct sw_view *v, const char *addr, uint32_t roles);
void fake_edge(struct sw_view *v, const char *src, const char *dst, enum sw_service service);
/* Policy rows over the fake segments: allow `from` -> `to` on one tcp port each. */
struct fake_row {
        uint32_t from, to;
        uint16_t port;
};
void fake_policy(struct sw_view *v, const struct fake_row *rows, uint32_t n);

/* An event from src to dst, at `ms` after FAKE_START, on a tcp port. */
#define FAKE_START INT64_C(1767225600000) /* 2026-01-01T00:00:00Z */
struct sw_conn_event fake_event(
        struct sw_view *v, enum sw_conn_event_type type, int64_t ms, const char *src, const char *dst, uint16_t port);

/* All detectors over one view. */
struct fake_run {
        struct sw_view *v;
        struct sw_detect detect;
        struct sw_detector_conf conf[SW_N_DETECTORS];
        struct sw_signals out; /* all signals so far */
};
/* Only the given detector runs; SW_N_DETECTORS: all. */
void fake_run_init(struct fake_run *r, enum sw_detector_id only);
void fake_run_deinit(struct fake_run *r);
/* Gives one event; returns how many signals it raised. */
uint32_t fake_give(struct fake_run *r, const struct sw_conn_event *ev);
/* fake_event + fake_give. */
uint32_t fake_see(
        struct fake_run *r, enum sw_conn_event_type type, int64_t ms, const char *src, const char *dst, uint16_t port);
struct sw_signal *fake_last(struct fake_run *r);
/* tell() of the last signal, in a static buffer. */
const char *fake_told(struct fake_run *r);
/* "10.2.0.<n>" in a rotating static buffer. */
const char *fake_addr(const char *prefix, unsigned n);

/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_view.h"

#include "base/alloc.h"

#include <assert.h>
#include <stdio.h>

static void fake_segment(struct sw_view *v, uint32_t id, struct sw_segment s, const char *cidr)
{
        v->segments[id] = s;
        if (cidr)
                assert(sw_prefix_parse(sw_str_of(cidr), &v->prefixes[id], NULL));
        if (id >= v->n_segments)
                v->n_segments = id + 1;
}

struct sw_view *fake_view_new(void)
{
        struct sw_view *v = sw_calloc(1, sizeof(*v));

        assert(v);
        fake_segment(v, SW_SEGMENT_INTERNET, (struct sw_segment){ .name = "internet", .criticality = 1 }, NULL);
        fake_segment(v, SW_SEGMENT_UNASSIGNED, (struct sw_segment){ .name = "unassigned", .criticality = 2 }, NULL);
        fake_segment(v, SW_SEGMENT_PLATFORM, (struct sw_segment){ .name = "platform", .criticality = 1 }, NULL);
        fake_segment(v, FAKE_WEB, (struct sw_segment){ .name = "web", .role = SW_SEGMENT_ROLE_APP, .criticality = 2 },
                "10.1.0.0/16");
        fake_segment(v, FAKE_DB, (struct sw_segment){ .name = "db", .role = SW_SEGMENT_ROLE_DATA, .criticality = 3 },
                "10.2.0.0/16");
        fake_segment(v, FAKE_MGMT,
                (struct sw_segment){ .name = "mgmt", .role = SW_SEGMENT_ROLE_MGMT, .criticality = 2 }, "10.3.0.0/16");
        fake_segment(v, FAKE_CLIENTS,
                (struct sw_segment){ .name = "clients", .role = SW_SEGMENT_ROLE_CLIENT, .criticality = 2 },
                "10.4.0.0/16");
        fake_segment(v, FAKE_SIX, (struct sw_segment){ .name = "six", .role = SW_SEGMENT_ROLE_APP, .criticality = 2 },
                "fd00:1::/64");
        fake_segment(v, FAKE_CROWN,
                (struct sw_segment){ .name = "crown", .role = SW_SEGMENT_ROLE_DATA, .criticality = 4 }, "10.9.0.0/16");
        v->rule = (struct sw_rule){ .acl = SW_STR("acl-1"), .name = SW_STR("AllowAll") };
        v->sensor = (struct sw_sensor){ .flow_log = SW_STR("/subscriptions/s-1/flowlogs/f"),
                .target = SW_STR("/subscriptions/s-1/virtualnetworks/v"),
                .mac = 0x0022487bc205 };
        v->now.ms = FAKE_START;
        return v;
}

struct sw_view *fake_view_free(struct sw_view *v)
{
        if (v)
                sw_segments_free(v->configured);
        sw_free(v);
        return NULL;
}

static uint32_t fake_segment_of(const struct sw_view *v, const struct sw_addr *a)
{
        uint32_t i;

        for (i = SW_SEGMENT_FIRST; i < v->n_segments; i++)
                if (sw_prefix_contains(&v->prefixes[i], a))
                        return i;
        switch (sw_addr_class(a)) {
        case SW_ADDR_PUBLIC:
                return SW_SEGMENT_INTERNET;
        case SW_ADDR_PLATFORM:
                return SW_SEGMENT_PLATFORM;
        default:
                return SW_SEGMENT_UNASSIGNED;
        }
}

uint32_t fake_host(struct sw_view *v, const char *addr)
{
        struct sw_addr a;
        uint32_t i;

        assert(sw_addr_parse(sw_str_of(addr), &a));
        for (i = 0; i < v->n_hosts; i++)
                if (sw_addr_cmp(&v->hosts[i].addr, &a) == 0)
                        return i;
        assert(v->n_hosts < FAKE_HOSTS);
        v->hosts[v->n_hosts] = (struct sw_host){
                .addr = a,
                .segment = fake_segment_of(v, &a),
                .first_seen = { FAKE_START - 30 * SW_DAY },
                .last_seen = { FAKE_START },
        };
        return v->n_hosts++;
}

void fake_role(struct sw_view *v, const char *addr, uint32_t roles)
{
        v->hosts[fake_host(v, addr)].pinned_roles |= roles;
}

void fake_edge(struct sw_view *v, const char *src, const char *dst, enum sw_service service)
{
        assert(v->n_edges < FAKE_EDGES);
        v->edges[v->n_edges++] = (struct fake_edge){ fake_host(v, src), fake_host(v, dst), service,
                { .first_day = 1, .last_day = 2, .n_days = 2, .first_seen = { FAKE_START - 20 * SW_DAY } } };
}

void fake_policy(struct sw_view *v, const struct fake_row *rows, uint32_t n)
{
        struct sw_segment_spec segments[FAKE_SEGMENTS];
        struct sw_policy_row policy[16];
        struct sw_port_range ports[16];
        struct sw_segments_spec spec = { .segments = segments, .policy = policy, .n_policy = n };
        uint32_t i;

        assert(n <= 16);
        for (i = SW_SEGMENT_FIRST; i < v->n_segments; i++)
                segments[spec.n_segments++] =
                        (struct sw_segment_spec){ .segment = v->segments[i], .cidrs = &v->prefixes[i], .n_cidrs = 1 };
        for (i = 0; i < n; i++) {
                ports[i] = (struct sw_port_range){ SW_PROTO_TCP, rows[i].port, rows[i].port };
                policy[i] = (struct sw_policy_row){
                        .from = rows[i].from, .to = rows[i].to, .services = &ports[i], .n_services = 1
                };
        }
        sw_segments_free(v->configured);
        assert(sw_segments_new(&spec, &v->configured, NULL) == 0);
}

struct sw_conn_event fake_event(
        struct sw_view *v, enum sw_conn_event_type type, int64_t ms, const char *src, const char *dst, uint16_t port)
{
        static const enum sw_outcome outcomes[] = { SW_OUTCOME_OPEN, SW_OUTCOME_OPEN, SW_OUTCOME_OK, SW_OUTCOME_NOREPLY,
                SW_OUTCOME_DENIED, SW_OUTCOME_OK, SW_OUTCOME_OK };
        static uint32_t conns;
        struct sw_conn_event ev = { .type = type, .time = { FAKE_START + ms } };

        ev.src = fake_host(v, src);
        ev.dst = fake_host(v, dst);
        ev.src_host = &v->hosts[ev.src];
        ev.dst_host = &v->hosts[ev.dst];
        ev.src_segment = ev.src_host->segment;
        ev.dst_segment = ev.dst_host->segment;
        ev.service = sw_service_of(SW_PROTO_TCP, port);
        ev.outcome = outcomes[type];
        ev.conn = ++conns;
        ev.opened = ev.last = ev.time;
        if (ev.outcome == SW_OUTCOME_OK) {
                ev.payload_fwd = 1000;
                ev.payload_rev = 2000;
        }
        ev.first = (struct sw_evidence){
                .time = ev.time,
                .src = ev.src_host->addr,
                .dst = ev.dst_host->addr,
                .counters = { 5, 1270, 4, 2216 },
                .src_segment = ev.src_segment,
                .dst_segment = ev.dst_segment,
                .sport = (uint16_t)(40000 + conns % 20000),
                .dport = port,
                .proto = SW_PROTO_TCP,
                .state = type == SW_CONN_DENIED ? SW_STATE_DENIED : SW_STATE_BEGIN,
                .outcome = (uint8_t)ev.outcome,
        };
        return ev;
}

void fake_run_init(struct fake_run *r, enum sw_detector_id only)
{
        static const struct sw_hash_key key = { 1, 2 };
        unsigned i;

        *r = (struct fake_run){ .v = fake_view_new() };
        for (i = 0; i < SW_N_DETECTORS; i++)
                r->conf[i].mode = only == SW_N_DETECTORS || only == i ? SW_MODE_SIGNAL : SW_MODE_OFF;
        assert(sw_detect_init(&r->detect, r->conf, 512 << 20, &key, NULL) == 0);
}

void fake_run_deinit(struct fake_run *r)
{
        sw_detect_deinit(&r->detect);
        sw_signals_deinit(&r->out);
        r->v = fake_view_free(r->v);
}

uint32_t fake_give(struct fake_run *r, const struct sw_conn_event *ev)
{
        uint32_t before = r->out.n;

        if (ev->time.ms > r->v->now.ms)
                r->v->now = ev->time;
        if (ev->type == SW_CONN_FAILED || ev->type == SW_CONN_DENIED)
                sw_host_fails(&r->v->hosts[ev->src], ev->dst, ev->first.dport, ev->first.proto);
        assert(sw_detect_event(&r->detect, r->v, ev, &r->out) == 0);
        return r->out.n - before;
}

uint32_t fake_see(
        struct fake_run *r, enum sw_conn_event_type type, int64_t ms, const char *src, const char *dst, uint16_t port)
{
        struct sw_conn_event ev = fake_event(r->v, type, ms, src, dst, port);

        return fake_give(r, &ev);
}

struct sw_signal *fake_last(struct fake_run *r)
{
        assert(r->out.n > 0);
        return &r->out.items[r->out.n - 1];
}

const char *fake_told(struct fake_run *r)
{
        static char text[1024];
        struct sw_buf b = SW_BUF_NULL;
        struct sw_signal *s = fake_last(r);

        sw_detectors[s->detector]->tell(&b, r->v, s);
        assert(!b.failed && b.n < sizeof(text));
        memcpy(text, b.p, b.n);
        text[b.n] = '\0';
        sw_buf_deinit(&b);
        return text;
}

const char *fake_addr(const char *prefix, unsigned n)
{
        static char texts[64][48];
        static unsigned next;
        char *t = texts[next++ % 64];

        (void)snprintf(t, sizeof(texts[0]), "%s%u", prefix, n);
        return t;
}

/* ---- aggregate/view.h ---- */

struct sw_etime sw_view_now(const struct sw_view *v)
{
        return v->now;
}

const struct sw_segments *sw_view_segments(const struct sw_view *v)
{
        return v->configured;
}

const struct sw_segment *sw_view_segment(const struct sw_view *v, uint32_t id)
{
        return id < v->n_segments ? &v->segments[id] : &v->segments[SW_SEGMENT_UNASSIGNED];
}

const struct sw_host *sw_view_host(const struct sw_view *v, uint32_t id)
{
        return id < v->n_hosts ? &v->hosts[id] : NULL;
}

bool sw_view_learning(const struct sw_view *v, uint32_t segment, struct sw_etime *ret_until)
{
        (void)v;
        (void)segment;
        *ret_until = SW_ETIME_NONE;
        return false;
}

bool sw_view_edge(
        const struct sw_view *v, uint32_t src, uint32_t dst, enum sw_service service, struct sw_edge_info *ret)
{
        uint32_t i;

        for (i = 0; i < v->n_edges; i++)
                if (v->edges[i].src == src && v->edges[i].dst == dst && v->edges[i].service == service) {
                        *ret = v->edges[i].info;
                        return true;
                }
        return false;
}

uint32_t sw_view_fanout_max(const struct sw_view *v, uint32_t src, enum sw_service service)
{
        (void)src;
        (void)service;
        return v->fanout_max;
}

bool sw_view_is_admin_source(const struct sw_view *v, uint32_t src, enum sw_service service)
{
        (void)src;
        (void)service;
        return v->admin_source;
}

struct sw_rule sw_view_rule(const struct sw_view *v, uint32_t rule)
{
        (void)rule;
        return v->rule;
}

struct sw_sensor sw_view_sensor(const struct sw_view *v, uint32_t sensor)
{
        (void)sensor;
        return v->sensor;
}

void sw_view_taint(struct sw_view *v, uint32_t host, bool on)
{
        v->taints[host] += on ? 1 : -1;
}

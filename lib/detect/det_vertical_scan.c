/* SPDX-License-Identifier: Apache-2.0 */
/* D02: one source tries many ports of one host. Besides the number of failed ports, a handful of administrative
 * ports tried on one host is enough when some of them fail: nobody needs SSH, RDP, SMB, WinRM and SQL at once. */
#include "detect/track.h"

#define KEEP_MS (25 * SW_HOUR)
#define INTERNET_FIRST_MS (10 * SW_MINUTE) /* the Internet knocks once here and there all day */
#define NEW_FOR_REPEAT 3
#define DYNAMIC_FIRST 49152u /* IANA dynamic ports: RPC, passive FTP */
#define CLIENT_PORT_FIRST 32768u

struct vertical_scan_conf {
        uint64_t ports_5m, ports_24h, sensitive_ports_5m, sensitive_failures_5m;
};

enum { FLAG_FAILED = 1, FLAG_SENSITIVE = 2 };
enum { VARIANT_PORTS, VARIANT_SENSITIVE, VARIANT_INTERNET };
enum { TABLES_INTERNAL, TABLES_INTERNET = SW_TRACK_TABLES };

#define OPT(name, low, high, text, help)                                                                               \
        {                                                                                                              \
                .key = #name, .type = SW_OPT_UINT, .flags = SW_OPT_RELOAD,                                             \
                .offset = offsetof(struct vertical_scan_conf, name), .min = (low), .max = (high), .def = (text),       \
                .doc = (help)                                                                                          \
        }
static const struct sw_opt options[] = {
        OPT(ports_5m, 3, 64, "12", "Distinct ports of one host that a source fails to reach within 5 minutes."),
        OPT(ports_24h, 3, 10000, "40", "The same within 24 hours."),
        OPT(sensitive_ports_5m, 2, 64, "5", "Distinct administrative ports of one host tried within 5 minutes."),
        OPT(sensitive_failures_5m, 1, 64, "2", "How many of these must have failed."),
        SW_OPT_END,
};
#undef OPT

static const struct sw_technique techniques[] = {
        { "T1046", "Network Service Discovery", "TA0007", "Discovery" },
        { NULL, NULL, NULL, NULL },
};

struct vertical_scan_hit {
        uint64_t value, threshold;
        int64_t window_ms;
        uint32_t variant;
};

/* Tried ports: failed ones, and sensitive ones that answered. */
static bool vertical_scan_judge(const struct vertical_scan_conf *c, const struct sw_track_ref *w,
        const struct sw_conn_event *ev, struct vertical_scan_hit *ret)
{
        struct sw_etime now = ev->time;
        uint64_t failed, day, sensitive;

        if (w->n < c->ports_5m && w->n < c->ports_24h && w->n < c->sensitive_ports_5m && w->n < SW_WINDOW_CAP)
                return false;
        failed = sw_track_count(w, now, 5 * SW_MINUTE, FLAG_FAILED, FLAG_FAILED);

        if (failed >= c->ports_5m) {
                if (failed == SW_WINDOW_CAP)
                        failed = sw_track_value(w, now, 5 * SW_MINUTE);
                *ret = (struct vertical_scan_hit){ failed, c->ports_5m, 5 * SW_MINUTE, VARIANT_PORTS };
                return true;
        }
        /* A client of a domain controller uses six administrative ports of it every morning. */
        sensitive = sw_track_count(w, now, 5 * SW_MINUTE, FLAG_SENSITIVE, FLAG_SENSITIVE);
        if (sensitive >= c->sensitive_ports_5m && !sw_raise_has_role(ev->dst_host, SW_HOST_ROLE(DC)) &&
                sw_track_count(w, now, 5 * SW_MINUTE, FLAG_SENSITIVE | FLAG_FAILED, FLAG_SENSITIVE | FLAG_FAILED) >=
                        c->sensitive_failures_5m) {
                *ret = (struct vertical_scan_hit){ sensitive, c->sensitive_ports_5m, 5 * SW_MINUTE, VARIANT_SENSITIVE };
                return true;
        }
        day = sw_track_count(w, now, SW_DAY, FLAG_FAILED, FLAG_FAILED);
        if (day == SW_WINDOW_CAP)
                day = sw_track_value(w, now, SW_DAY);
        *ret = (struct vertical_scan_hit){ day, c->ports_24h, SW_DAY, VARIANT_PORTS };
        return day >= c->ports_24h;
}

static int vertical_scan_raise(struct sw_track_large *e, const struct sw_view *v, const struct sw_conn_event *ev,
        const struct vertical_scan_hit *hit, struct sw_signals *out)
{
        bool internet = sw_raise_is_internet(ev->src_segment);
        int64_t quiet = internet || hit->window_ms > SW_HOUR ? SW_DAY : SW_HOUR;
        enum sw_raise_step step = sw_raise_due(&e->ladder, ev->time, hit->value, quiet, ev->dst_segment);
        struct sw_signal *s;

        if (step == SW_RAISE_NOT || (internet && step == SW_RAISE_MORE))
                return 0;
        if (step == SW_RAISE_AGAIN &&
                sw_window_count(&e->window, ev->time, hit->window_ms, SW_WINDOW_RAISED, 0) < NEW_FOR_REPEAT)
                return 0;
        s = sw_raise(out, SW_DETECTOR_VERTICAL_SCAN, ev);
        if (!s)
                return -SW_ERR_NOMEM;
        s->value = hit->value;
        s->threshold = hit->threshold;
        s->window_ms = sw_window_span(&e->window, ev->time, hit->window_ms);
        s->confidence_pct = sw_raise_confidence(v, ev, hit->value, hit->threshold);
        s->weight_pct = internet ? 20 : 55;
        s->variant = internet ? VARIANT_INTERNET : hit->variant;
        s->port = 0;
        s->service = SW_SERVICE_OTHER;
        sw_raise_add_evidence(s, &e->evidence, hit->window_ms);
        sw_raise_done(&e->ladder, ev->time, hit->value, ev->dst_segment, step == SW_RAISE_AGAIN);
        sw_window_mark(&e->window, ev->time, hit->window_ms);
        return 0;
}

static bool vertical_scan_concerns(const struct sw_conn_event *ev)
{
        uint8_t proto = ev->first.proto;

        if (!sw_raise_is_internal(ev->dst_segment, ev->dst_host) || ev->src_segment == SW_SEGMENT_PLATFORM ||
                sw_raise_is_encryption_drop(ev))
                return false;
        if (proto != SW_PROTO_TCP && proto != SW_PROTO_UDP)
                return false;
        if (sw_raise_has_role(ev->src_host, SW_HOST_ROLE(SCANNER) | SW_HOST_ROLE(MONITOR)))
                return false;
        /* Answers of a server whose question was not logged: 53 or 443 to a client's port. */
        return !(ev->first.dport >= CLIENT_PORT_FIRST && sw_service_of(proto, ev->first.sport) != SW_SERVICE_OTHER);
}

/* Dynamic ports of a pair that works (RPC after 135 or 445) fail and succeed by the dozen. */
static bool vertical_scan_is_dynamic(const struct sw_view *v, const struct sw_conn_event *ev)
{
        struct sw_edge_info edge;

        if (ev->first.dport < DYNAMIC_FIRST)
                return false;
        return ev->service == SW_SERVICE_RPC || sw_view_edge(v, ev->src, ev->dst, SW_SERVICE_RPC, &edge) ||
               sw_view_edge(v, ev->src, ev->dst, SW_SERVICE_SMB, &edge) ||
               sw_view_edge(v, ev->src, ev->dst, SW_SERVICE_OTHER, &edge);
}

static int vertical_scan_on_event(struct sw_tables *own, const void *conf, const struct sw_view *v,
        const struct sw_conn_event *ev, struct sw_signals *out)
{
        bool internet = sw_raise_is_internet(ev->src_segment);
        struct sw_table *t = &own->t[internet ? TABLES_INTERNET : TABLES_INTERNAL];
        struct sw_track_what what = { .key = { ev->src, ev->dst, 0, 0 },
                .item = { .key = ev->dst, .port = ev->first.dport },
                .keep_ms = KEEP_MS,
                .first_ms = internet ? INTERNET_FIRST_MS : KEEP_MS };
        struct vertical_scan_hit hit;
        struct sw_track_ref r;

        /* Most answers end here. */
        if (ev->type == SW_CONN_SUCCEEDED && !sw_host_failed_host(ev->src_host, ev->dst))
                return 0;
        /* By its port: the class of a connection also knows what follows a call for the RPC mapper. */
        if (sw_service_is_admin(ev->service) &&
                (ev->first.dport < DYNAMIC_FIRST ||
                        sw_service_is_admin(sw_service_of(ev->first.proto, ev->first.dport))))
                what.item.flags = FLAG_SENSITIVE;
        if ((ev->type == SW_CONN_SUCCEEDED && !what.item.flags) || !vertical_scan_concerns(ev))
                return 0;
        if (ev->type == SW_CONN_WITHDRAWN) {
                sw_track_forget(t, &what, v);
                return 0;
        }
        if (ev->type != SW_CONN_SUCCEEDED) {
                if (vertical_scan_is_dynamic(v, ev))
                        return 0;
                what.item.flags |= FLAG_FAILED;
        } else if (!sw_track_find(t, &what, v, &r)) {
                return 0;
        }
        if (!sw_track_add(t, &what, v, ev, &r) || (internet && sw_track_told(&r, ev->time, SW_DAY)) ||
                !vertical_scan_judge(conf, &r, ev, &hit) || !sw_track_grow_large(t, v, &r))
                return 0;
        return vertical_scan_raise(r.large, v, ev, &hit, out);
}

static void vertical_scan_soon(const struct sw_tables *own, const struct sw_conn_soon *ev, struct sw_ahead *a)
{
        const uint32_t key[4] = { ev->src, ev->dst, 0, 0 };

        if (ev->events & SW_ON(DENIED) || sw_host_failed_host(ev->src_host, ev->dst))
                sw_track_soon(
                        a, &own->t[sw_raise_is_internet(ev->src_segment) ? TABLES_INTERNET : TABLES_INTERNAL], key);
}

static void vertical_scan_tell(struct sw_buf *out, const struct sw_view *v, const struct sw_signal *s)
{
        sw_buf_puts(out, "tried ");
        if (s->value > SW_WINDOW_CAP)
                sw_buf_puts(out, "about ");
        sw_say_count(out, s->value, "port", "ports");
        sw_buf_puts(out, s->variant == VARIANT_SENSITIVE ? " for administration of " : " of ");
        sw_say_host(out, v, s->targets[0]);
        sw_buf_puts(out, " in ");
        sw_say_segment(out, v, s->dst_segment);
        sw_buf_puts(out, " in ");
        sw_say_span(out, s->window_ms);
        sw_buf_printf(out, " (threshold %llu)", (unsigned long long)s->threshold);
}

const struct sw_detector sw_det_vertical_scan = {
        .name = "vertical_scan",
        .code = "D02",
        .summary = "One source tries many ports of one host",
        .title = "Port scan",
        .noun = "port scan",
        .options = options,
        .conf_size = sizeof(struct vertical_scan_conf),
        .techniques = techniques,
        .tables = {
                SW_TRACK_DECLARE("vertical_scan", "vertical_scan_mid", "vertical_scan_large", 4, 2, 4),
                SW_TRACK_DECLARE("vertical_scan_internet", "vertical_internet_mid", "vertical_internet_large", 20, 20, 4),
        },
        .handles_late = true,
        .many_ports = true,
        .events = SW_ON(FAILED) | SW_ON(DENIED) | SW_ON(SUCCEEDED) | SW_ON(WITHDRAWN),
        .on_event = vertical_scan_on_event,
        .soon = vertical_scan_soon,
        .tell = vertical_scan_tell,
};

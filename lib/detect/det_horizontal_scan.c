/* SPDX-License-Identifier: Apache-2.0 */
/* D01: one source fails to reach many destinations on one port. A single set of destinations per (source, port)
 * answers all three windows. Failing to reach a host that the source is known to use is an outage, not a scan. */
#include "detect/track.h"

#define KEEP_MS (25 * SW_HOUR)
#define INTERNET_FIRST_MS (10 * SW_MINUTE) /* the Internet knocks once here and there all day */
#define NEW_FOR_REPEAT 3                   /* a host that keeps failing to the same hosts is told of once */

struct horizontal_scan_conf {
        uint64_t targets_5m, targets_60m, targets_24h;
        uint64_t internet_targets_5m, internet_targets_60m, internet_targets_24h;
        uint64_t failure_ratio_pct;
};

enum { VARIANT_SERVICE, VARIANT_CONTROL, VARIANT_INTERNET };
enum { TABLES_INTERNAL, TABLES_INTERNET = SW_TRACK_TABLES };

#define OPT(name, low, high, text, help)                                                                               \
        {                                                                                                              \
                .key = #name, .type = SW_OPT_UINT, .flags = SW_OPT_RELOAD,                                             \
                .offset = offsetof(struct horizontal_scan_conf, name), .min = (low), .max = (high), .def = (text),     \
                .doc = (help)                                                                                          \
        }
static const struct sw_opt options[] = {
        OPT(targets_5m, 3, 64, "10", "Distinct hosts that a source fails to reach on one port within 5 minutes."),
        OPT(targets_60m, 3, 1000, "25", "The same within 60 minutes."),
        OPT(targets_24h, 3, 10000, "60", "The same within 24 hours."),
        OPT(internet_targets_5m, 3, 64, "20", "For sources on the Internet, per target segment, within 5 minutes."),
        OPT(internet_targets_60m, 3, 1000, "50", "The same within 60 minutes."),
        OPT(internet_targets_24h, 3, 10000, "200", "The same within 24 hours."),
        OPT(failure_ratio_pct, 0, 100, "50", "Share of failures among the hosts tried, in percent."),
        SW_OPT_END,
};
#undef OPT

static const struct sw_technique techniques[] = {
        { "T1046", "Network Service Discovery", "TA0007", "Discovery" },
        { "T1018", "Remote System Discovery", "TA0007", "Discovery" },
        { NULL, NULL, NULL, NULL },
};

static bool horizontal_scan_concerns(const struct sw_conn_event *ev)
{
        /* Reaching out to dead servers on the Internet is everyday life, and no lateral movement. */
        return sw_raise_is_internal(ev->dst_segment, ev->dst_host) && ev->src_segment != SW_SEGMENT_PLATFORM &&
               !sw_raise_is_encryption_drop(ev) &&
               !sw_raise_has_role(ev->src_host, SW_HOST_ROLE(SCANNER) | SW_HOST_ROLE(MONITOR));
}

struct horizontal_scan_hit {
        uint64_t value, threshold;
        int64_t window_ms;
};

/* A track per source and port; of sources on the Internet also per segment of the target. */
static struct sw_track_what horizontal_scan_what(const struct sw_conn_event *ev)
{
        bool internet = sw_raise_is_internet(ev->src_segment);

        return (struct sw_track_what){
                .key = { ev->src, internet ? ev->dst_segment : 0, ev->first.dport | (uint32_t)ev->first.proto << 16,
                        0 },
                .item = { .key = ev->dst },
                .keep_ms = KEEP_MS,
                .first_ms = internet ? INTERNET_FIRST_MS : KEEP_MS,
        };
}

/* Beside it another one of those that answered, where there are any. */
static struct sw_track_what horizontal_scan_answers(const struct sw_conn_event *ev)
{
        struct sw_track_what what = horizontal_scan_what(ev);

        what.key[3] = 1;
        what.first_ms = 0;
        what.bare = true;
        return what;
}

static bool horizontal_scan_cannot(const struct horizontal_scan_conf *c, uint32_t n, bool internet)
{
        return n < SW_WINDOW_CAP && n < (internet ? c->internet_targets_5m : c->targets_5m) &&
               n < (internet ? c->internet_targets_60m : c->targets_60m) &&
               n < (internet ? c->internet_targets_24h : c->targets_24h);
}

/* The shortest window whose threshold is reached. */
static bool horizontal_scan_judge(const struct horizontal_scan_conf *c, struct sw_table *t, const struct sw_view *v,
        const struct sw_conn_event *ev, struct sw_track_ref *failed, struct horizontal_scan_hit *ret)
{
        bool internet = sw_raise_is_internet(ev->src_segment);
        const struct {
                int64_t ms;
                uint64_t threshold;
        } windows[] = {
                { 5 * SW_MINUTE, internet ? c->internet_targets_5m : c->targets_5m },
                { SW_HOUR, internet ? c->internet_targets_60m : c->targets_60m },
                { SW_DAY, internet ? c->internet_targets_24h : c->targets_24h },
        };
        struct sw_track_what what = horizontal_scan_answers(ev);
        struct sw_track_ref answers;
        unsigned i;

        for (i = 0; i < sizeof(windows) / sizeof(*windows); i++) {
                uint64_t n = sw_track_value(failed, ev->time, windows[i].ms), answered = 0;

                if (n < windows[i].threshold)
                        continue;
                if (sw_track_find(t, &what, v, &answers))
                        answered = sw_track_value(&answers, ev->time, windows[i].ms);
                if (n * 100 < c->failure_ratio_pct * (n + answered))
                        continue;
                *ret = (struct horizontal_scan_hit){ n, windows[i].threshold, windows[i].ms };
                return true;
        }
        return false;
}

static int horizontal_scan_raise(struct sw_track_large *e, const struct sw_view *v, const struct sw_conn_event *ev,
        const struct horizontal_scan_hit *hit, struct sw_signals *out)
{
        bool internet = sw_raise_is_internet(ev->src_segment);
        bool control = !internet && sw_raise_controls(ev->service);
        int64_t quiet = internet || hit->window_ms > SW_HOUR ? SW_DAY : SW_HOUR;
        enum sw_raise_step step = sw_raise_due(&e->ladder, ev->time, hit->value, quiet, ev->dst_segment);
        struct sw_signal *s;

        if (step == SW_RAISE_NOT || (internet && step == SW_RAISE_MORE))
                return 0;
        if (step == SW_RAISE_AGAIN &&
                sw_window_count(&e->window, ev->time, hit->window_ms, SW_WINDOW_RAISED, 0) < NEW_FOR_REPEAT)
                return 0;
        s = sw_raise(out, SW_DETECTOR_HORIZONTAL_SCAN, ev);
        if (!s)
                return -SW_ERR_NOMEM;
        s->value = hit->value;
        s->threshold = hit->threshold;
        s->window_ms = sw_window_span(&e->window, ev->time, hit->window_ms);
        /* Nobody needs ten hosts by SMB, SSH or RDP that he never reached before and that are not there: that alone is
         * an incident. A port of an application has more innocent reasons. */
        s->confidence_pct = sw_raise_confidence(v, ev, control ? 2 * hit->value : hit->value, hit->threshold);
        s->weight_pct = internet ? 20 : control ? 70 : 50;
        s->variant = internet ? VARIANT_INTERNET : control ? VARIANT_CONTROL : VARIANT_SERVICE;
        s->techniques = 1 | 2;
        sw_raise_add_targets(s, v, &e->window, hit->window_ms, 0);
        if (hit->value > s->n_targets_total)
                s->n_targets_total = (uint32_t)hit->value;
        sw_raise_add_evidence(s, &e->evidence, hit->window_ms);
        sw_raise_done(&e->ladder, ev->time, hit->value, ev->dst_segment, step == SW_RAISE_AGAIN);
        sw_window_mark(&e->window, ev->time, hit->window_ms);
        return 0;
}

/* An answer, or the news that a failure was none. */
static void horizontal_scan_answered(struct sw_table *t, const struct sw_view *v, const struct sw_conn_event *ev)
{
        struct sw_track_what what = horizontal_scan_what(ev), answers = horizontal_scan_answers(ev);
        struct sw_track_ref r;

        if (ev->type == SW_CONN_WITHDRAWN) {
                sw_track_forget(t, &what, v);
                return;
        }
        if (!sw_track_find(t, &what, v, &r))
                return;
        /* Where one host failed already, answers count from now on; not for the crowd of the Internet. */
        if (r.head->stage == SW_TRACK_FIRST &&
                (sw_raise_is_internet(ev->src_segment) || !sw_track_second(t, &what, v, ev, &r)))
                return;
        (void)sw_track_add(t, &answers, v, ev, &r);
}

static int horizontal_scan_on_event(struct sw_tables *own, const void *conf, const struct sw_view *v,
        const struct sw_conn_event *ev, struct sw_signals *out)
{
        bool internet = sw_raise_is_internet(ev->src_segment);
        struct sw_table *t = &own->t[internet ? TABLES_INTERNET : TABLES_INTERNAL];
        struct horizontal_scan_hit hit;
        struct sw_track_what what;
        struct sw_edge_info edge;
        struct sw_track_ref r;

        if (ev->type == SW_CONN_WITHDRAWN || ev->type == SW_CONN_SUCCEEDED) {
                /* Nothing is kept of a port on which nothing failed: most answers end here. */
                if (sw_host_failed_port(ev->src_host, ev->first.dport, ev->first.proto) && horizontal_scan_concerns(ev))
                        horizontal_scan_answered(t, v, ev);
                return 0;
        }
        if (!horizontal_scan_concerns(ev))
                return 0;
        if (sw_view_edge(v, ev->src, ev->dst, ev->service, &edge) && !edge.tainted)
                return 0;
        what = horizontal_scan_what(ev);
        if (!sw_track_add(t, &what, v, ev, &r) || (internet && sw_track_told(&r, ev->time, SW_DAY)) ||
                horizontal_scan_cannot(conf, r.n, internet) || !horizontal_scan_judge(conf, t, v, ev, &r, &hit) ||
                !sw_track_grow_large(t, v, &r))
                return 0;
        return horizontal_scan_raise(r.large, v, ev, &hit, out);
}

static void horizontal_scan_soon(const struct sw_tables *own, const struct sw_conn_soon *ev, struct sw_ahead *a)
{
        bool internet = sw_raise_is_internet(ev->src_segment);
        const uint32_t key[4] = { ev->src, internet ? ev->dst_segment : 0, ev->dport | (uint32_t)ev->proto << 16, 0 };

        if (ev->events & SW_ON(DENIED) || sw_host_failed_port(ev->src_host, ev->dport, ev->proto))
                sw_track_soon(a, &own->t[internet ? TABLES_INTERNET : TABLES_INTERNAL], key);
}

static void horizontal_scan_tell(struct sw_buf *out, const struct sw_view *v, const struct sw_signal *s)
{
        sw_buf_puts(out, "scanned ");
        if (s->value > SW_WINDOW_CAP)
                sw_buf_puts(out, "about ");
        sw_say_count(out, s->value, "host", "hosts");
        sw_buf_puts(out, " in ");
        sw_say_target_segments(out, v, s);
        sw_buf_puts(out, " on ");
        sw_say_port(out, s->proto, s->port);
        sw_buf_puts(out, " in ");
        sw_say_span(out, s->window_ms);
        sw_buf_puts(out, " without success (threshold ");
        sw_buf_u64(out, s->threshold);
        sw_buf_putc(out, ')');
}

const struct sw_detector sw_det_horizontal_scan = {
        .name = "horizontal_scan",
        .code = "D01",
        .summary = "One source fails to reach many hosts on one port",
        .title = "Horizontal scan",
        .noun = "scan",
        .options = options,
        .conf_size = sizeof(struct horizontal_scan_conf),
        .techniques = techniques,
        .tables = {
                SW_TRACK_DECLARE("horizontal_scan", "horizontal_scan_mid", "horizontal_scan_large", 14, 3, 4),
                SW_TRACK_DECLARE("horizontal_scan_internet", "horizontal_internet_mid", "horizontal_internet_large", 14, 3,
                        17),
        },
        .handles_late = true,
        .events = SW_ON(FAILED) | SW_ON(DENIED) | SW_ON(SUCCEEDED) | SW_ON(WITHDRAWN),
        .on_event = horizontal_scan_on_event,
        .soon = horizontal_scan_soon,
        .tell = horizontal_scan_tell,
};

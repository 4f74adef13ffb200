/* SPDX-License-Identifier: Apache-2.0 */
/* D01: one source fails to reach many destinations on one port. A single set of destinations per (source, port)
 * answers all three windows. Failing to reach a host that the source is known to use is an outage, not a scan. */
#include "detect/raise.h"

#define KEEP_MS (25 * SW_HOUR)
#define INTERNET_FIRST_MS (10 * SW_MINUTE) /* the Internet knocks once here and there all day */
#define NEW_FOR_REPEAT 3                   /* a host that keeps failing to the same hosts is told of once */

struct horizontal_scan_conf {
        uint64_t targets_5m, targets_60m, targets_24h;
        uint64_t internet_targets_5m, internet_targets_60m, internet_targets_24h;
        uint64_t failure_ratio_pct;
};

struct horizontal_scan_key {
        uint32_t src;
        uint32_t segment; /* of the target, for Internet sources only; else 0 */
        uint16_t dport, proto;
        uint32_t pad;
};

struct horizontal_scan_entry {
        struct horizontal_scan_key key;
        struct sw_window failed, answered;
        struct sw_raise_evidence evidence;
        struct sw_raise_ladder ladder;
};

enum { VARIANT_SERVICE, VARIANT_CONTROL, VARIANT_INTERNET };
enum { TABLE_INTERNAL, TABLE_INTERNET, TABLE_FIRST };

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
               !sw_raise_has_role(ev->src_host, SW_HOST_ROLE(SCANNER) | SW_HOST_ROLE(MONITOR));
}

struct horizontal_scan_hit {
        uint64_t value, threshold;
        int64_t window_ms;
};

/* The shortest window whose threshold is reached. */
static bool horizontal_scan_judge(const struct horizontal_scan_conf *c, const struct horizontal_scan_entry *e,
        struct sw_etime now, bool internet, struct horizontal_scan_hit *ret)
{
        const struct {
                int64_t ms;
                uint64_t threshold;
        } windows[] = {
                { 5 * SW_MINUTE, internet ? c->internet_targets_5m : c->targets_5m },
                { SW_HOUR, internet ? c->internet_targets_60m : c->targets_60m },
                { SW_DAY, internet ? c->internet_targets_24h : c->targets_24h },
        };
        unsigned i;

        for (i = 0; i < sizeof(windows) / sizeof(*windows); i++) {
                uint64_t failed = sw_window_value(&e->failed, now, windows[i].ms), answered;

                if (failed < windows[i].threshold)
                        continue;
                answered = sw_window_value(&e->answered, now, windows[i].ms);
                if (failed * 100 < c->failure_ratio_pct * (failed + answered))
                        continue;
                *ret = (struct horizontal_scan_hit){ failed, windows[i].threshold, windows[i].ms };
                return true;
        }
        return false;
}

static int horizontal_scan_raise(struct horizontal_scan_entry *e, const struct sw_view *v,
        const struct sw_conn_event *ev, const struct horizontal_scan_hit *hit, struct sw_signals *out)
{
        bool internet = sw_raise_is_internet(ev->src_segment);
        bool control = !internet && sw_raise_controls(ev->service);
        int64_t quiet = internet || hit->window_ms > SW_HOUR ? SW_DAY : SW_HOUR;
        enum sw_raise_step step = sw_raise_due(&e->ladder, ev->time, hit->value, quiet, ev->dst_segment);
        struct sw_signal *s;

        if (step == SW_RAISE_NOT || (internet && step == SW_RAISE_MORE))
                return 0;
        if (step == SW_RAISE_AGAIN &&
                sw_window_count(&e->failed, ev->time, hit->window_ms, SW_WINDOW_RAISED, 0) < NEW_FOR_REPEAT)
                return 0;
        s = sw_raise(out, SW_DETECTOR_HORIZONTAL_SCAN, ev);
        if (!s)
                return -SW_ERR_NOMEM;
        s->value = hit->value;
        s->threshold = hit->threshold;
        s->window_ms = sw_window_span(&e->failed, ev->time, hit->window_ms);
        /* Nobody needs ten hosts by SMB, SSH or RDP that he never reached before and that are not there: that alone is
         * an incident. A port of an application has more innocent reasons. */
        s->confidence_pct = sw_raise_confidence(v, ev, control ? 2 * hit->value : hit->value, hit->threshold);
        s->weight_pct = internet ? 20 : control ? 70 : 50;
        s->variant = internet ? VARIANT_INTERNET : control ? VARIANT_CONTROL : VARIANT_SERVICE;
        s->techniques = 1 | 2;
        sw_raise_add_targets(s, v, &e->failed, hit->window_ms, 0);
        if (hit->value > s->n_targets_total)
                s->n_targets_total = (uint32_t)hit->value;
        sw_raise_add_evidence(s, &e->evidence, hit->window_ms);
        sw_raise_done(&e->ladder, ev->time, hit->value, ev->dst_segment, step == SW_RAISE_AGAIN);
        sw_window_mark(&e->failed, ev->time, hit->window_ms);
        return 0;
}

/* The entry of the key; NULL while only one destination was seen. */
static struct horizontal_scan_entry *horizontal_scan_entry_of(struct sw_tables *own, struct sw_table *t,
        const struct horizontal_scan_key *key, const struct sw_view *v, const struct sw_conn_event *ev)
{
        const struct sw_window_item item = { .key = ev->dst };
        struct horizontal_scan_entry *e = sw_table_find(t, key);
        struct sw_raise_first first;
        const struct sw_host *h;
        uint32_t words[4];
        bool created;

        if (e)
                return e;
        memcpy(words, key, sizeof(words));
        if (!sw_raise_second(
                    &own->t[TABLE_FIRST], words, ev, &item, key->segment ? INTERNET_FIRST_MS : KEEP_MS, &first))
                return NULL;
        e = sw_table_insert(t, key, &created);
        h = sw_view_host(v, first.item.key);
        if (e && h)
                sw_raise_move(&first, &h->addr, &e->failed, &e->evidence, KEEP_MS);
        return e;
}

/* An answer, or the news that a failure was none. */
static void horizontal_scan_answered(struct sw_tables *own, struct sw_table *t, const struct horizontal_scan_key *key,
        const struct sw_view *v, const struct sw_conn_event *ev)
{
        struct horizontal_scan_entry *e;

        /* Nothing is kept of a port on which nothing failed: most answers end here. */
        if (!sw_host_failed_port(ev->src_host, ev->first.dport, ev->first.proto))
                return;
        e = sw_table_find(t, key);
        if (ev->type == SW_CONN_WITHDRAWN) {
                if (e)
                        (void)sw_window_remove(&e->failed, ev->dst, 0);
                return;
        }
        /* Where one host failed already, answers count from now on; not for the crowd of the Internet. */
        if (!e && !key->segment && sw_table_find(&own->t[TABLE_FIRST], key))
                e = horizontal_scan_entry_of(own, t, key, v, ev);
        if (e)
                (void)sw_window_add(&e->answered, ev->time, (struct sw_window_item){ .key = ev->dst },
                        sw_window_hash(&ev->dst_host->addr, 0), KEEP_MS);
}

static int horizontal_scan_on_event(struct sw_tables *own, const void *conf, const struct sw_view *v,
        const struct sw_conn_event *ev, struct sw_signals *out)
{
        bool internet = sw_raise_is_internet(ev->src_segment);
        struct sw_table *t = &own->t[internet ? TABLE_INTERNET : TABLE_INTERNAL];
        struct horizontal_scan_key key = { ev->src, internet ? ev->dst_segment : 0, ev->first.dport, ev->first.proto,
                0 };
        struct horizontal_scan_entry *e;
        struct horizontal_scan_hit hit;
        struct sw_edge_info edge;

        if (!horizontal_scan_concerns(ev))
                return 0;
        if (ev->type == SW_CONN_WITHDRAWN || ev->type == SW_CONN_SUCCEEDED) {
                horizontal_scan_answered(own, t, &key, v, ev);
                return 0;
        }
        if (sw_view_edge(v, ev->src, ev->dst, ev->service, &edge) && !edge.tainted)
                return 0;
        e = horizontal_scan_entry_of(own, t, &key, v, ev);
        if (!e)
                return 0;
        (void)sw_window_add(&e->failed, ev->time, (struct sw_window_item){ .key = ev->dst },
                sw_window_hash(&ev->dst_host->addr, 0), KEEP_MS);
        sw_raise_keep(&e->evidence, ev);
        if (e->failed.n < 3 || !horizontal_scan_judge(conf, e, ev->time, internet, &hit))
                return 0;
        return horizontal_scan_raise(e, v, ev, &hit, out);
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
        sw_buf_puts(out, " without an answer (threshold ");
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
                { { "horizontal_scan", 1, sizeof(struct horizontal_scan_entry), sizeof(struct horizontal_scan_key), NULL },
                        24 },
                { { "horizontal_scan_internet", 1, sizeof(struct horizontal_scan_entry),
                          sizeof(struct horizontal_scan_key), NULL },
                        8 },
                { { "horizontal_scan_first", 1, sizeof(struct sw_raise_first), 16, NULL }, 12 },
        },
        .handles_late = true,
        .events = SW_ON(FAILED) | SW_ON(DENIED) | SW_ON(SUCCEEDED) | SW_ON(WITHDRAWN),
        .on_event = horizontal_scan_on_event,
        .tell = horizontal_scan_tell,
};

/* SPDX-License-Identifier: Apache-2.0 */
/* D04: policy turns one internal source away from many different (host, port) pairs. A denied tuple that repeats
 * counts once, and one that is denied for more than a day is broken configuration, not probing. Denied traffic to
 * the Internet (blocked telemetry, updates) is left out: it says nothing about movement inside. */
#include "detect/raise.h"

#define KNOWN_MS SW_DAY
#define KEEP_MS (49 * SW_HOUR)
#define NEW_FOR_REPEAT 3
#define SEGMENTS_KNOWN 2             /* one less than the default of hunt_segments */
#define SEGMENTS_MS (10 * SW_SECOND) /* a host may change its segment, but not every moment */

struct denied_scan_conf {
        uint64_t targets_5m, targets_60m, hunt_segments;
};

struct denied_scan_entry {
        uint32_t src, pad;
        struct sw_window denied; /* (host, port) */
        struct sw_raise_evidence evidence;
        struct sw_raise_ladder ladder;
        int64_t hunt_ms; /* when the policy hole hunt was told; 0 = never */
        /* The segments of all that was denied in the hour before segments_ms and since then. */
        int64_t segments_ms; /* 0: not known */
        uint32_t segments[SEGMENTS_KNOWN];
        uint32_t n_segments, pad_segments;
};

static bool denied_scan_migrate(uint32_t version, uint32_t size, const void *old, void *entry)
{
        return version == 1 && sw_window_migrate(old, size, entry, offsetof(struct denied_scan_entry, segments_ms),
                                       offsetof(struct denied_scan_entry, denied));
}

enum { FLAG_KNOWN = 1 };
enum { VARIANT_DENIED, VARIANT_HUNT };

#define OPT(name, low, high, text, help)                                                                               \
        {                                                                                                              \
                .key = #name, .type = SW_OPT_UINT, .flags = SW_OPT_RELOAD,                                             \
                .offset = offsetof(struct denied_scan_conf, name), .min = (low), .max = (high), .def = (text),         \
                .doc = (help)                                                                                          \
        }
static const struct sw_opt options[] = {
        OPT(targets_5m, 3, 64, "8", "Distinct (host, port) pairs denied to one internal source within 5 minutes."),
        OPT(targets_60m, 3, 1000, "20", "The same within 60 minutes."),
        OPT(hunt_segments, 2, 64, "3", "Target segments from which on it is a hunt for a hole in the policy."),
        SW_OPT_END,
};
#undef OPT

static const struct sw_technique techniques[] = {
        { "T1046", "Network Service Discovery", "TA0007", "Discovery" },
        { NULL, NULL, NULL, NULL },
};

static uint64_t denied_scan_value(struct sw_window *w, struct sw_etime now, int64_t span_ms)
{
        uint32_t fresh = sw_window_count(w, now, span_ms, FLAG_KNOWN, 0);

        return fresh == SW_WINDOW_CAP ? sw_window_value(w, now, span_ms) : fresh;
}

static uint32_t denied_scan_segments(
        const struct sw_view *v, const struct sw_window *w, struct sw_etime now, uint32_t seen[SW_WINDOW_CAP])
{
        uint32_t n = 0, i, j;

        for (i = 0; i < w->n; i++) {
                const struct sw_host *h;

                if ((w->items[i].flags & FLAG_KNOWN) || !sw_window_in(&w->items[i], now, SW_HOUR))
                        continue;
                h = sw_view_host(v, w->items[i].key);
                if (!h)
                        continue;
                for (j = 0; j < n && seen[j] != h->segment;)
                        j++;
                if (j == n)
                        seen[n++] = h->segment;
        }
        return n;
}

/* How many, 0 if that is nothing to tell of. A scan of few segments asks for each tuple, so it is known of these. */
static uint32_t denied_scan_hunts(
        struct denied_scan_entry *e, const struct denied_scan_conf *c, const struct sw_view *v, struct sw_etime now)
{
        uint32_t seen[SW_WINDOW_CAP], n;

        if (e->hunt_ms != 0 && now.ms - e->hunt_ms < SW_DAY)
                return 0;
        if (e->segments_ms && now.ms >= e->segments_ms && now.ms - e->segments_ms < SEGMENTS_MS &&
                e->n_segments < c->hunt_segments)
                return 0;
        n = denied_scan_segments(v, &e->denied, now, seen);
        e->segments_ms = n <= SEGMENTS_KNOWN ? now.ms : 0;
        if (e->segments_ms) {
                e->n_segments = n;
                memcpy(e->segments, seen, n * sizeof(*seen));
        }
        return n >= c->hunt_segments ? n : 0;
}

static void denied_scan_note_segment(struct denied_scan_entry *e, uint32_t segment)
{
        uint32_t i;

        for (i = 0; i < e->n_segments && i < SEGMENTS_KNOWN; i++)
                if (e->segments[i] == segment)
                        return;
        e->segments_ms = 0;
}

static struct sw_signal *denied_scan_signal(
        struct denied_scan_entry *e, const struct sw_view *v, const struct sw_conn_event *ev, struct sw_signals *out)
{
        struct sw_signal *s = sw_raise(out, SW_DETECTOR_DENIED_SCAN, ev);

        if (!s)
                return NULL;
        s->port = 0;
        s->service = SW_SERVICE_OTHER;
        s->weight_pct = 50;
        sw_raise_add_targets(s, v, &e->denied, SW_HOUR, 0);
        sw_raise_add_evidence(s, &e->evidence, SW_HOUR);
        return s;
}

static int denied_scan_raise(struct denied_scan_entry *e, const struct denied_scan_conf *c, const struct sw_view *v,
        const struct sw_conn_event *ev, struct sw_signals *out)
{
        uint64_t value = denied_scan_value(&e->denied, ev->time, 5 * SW_MINUTE), threshold = c->targets_5m;
        int64_t span = 5 * SW_MINUTE;
        enum sw_raise_step step;
        struct sw_signal *s;
        uint32_t segments;

        if (value < threshold) {
                span = SW_HOUR;
                threshold = c->targets_60m;
                value = denied_scan_value(&e->denied, ev->time, span);
                if (value < threshold)
                        return 0;
        }
        segments = denied_scan_hunts(e, c, v, ev->time);
        if (segments) {
                s = denied_scan_signal(e, v, ev, out);
                if (!s)
                        return -SW_ERR_NOMEM;
                s->variant = VARIANT_HUNT;
                s->value = segments;
                s->threshold = c->hunt_segments;
                s->window_ms = SW_HOUR;
                s->confidence_pct = sw_raise_confidence(v, ev, value, threshold);
                e->hunt_ms = ev->time.ms;
        }
        step = sw_raise_due(&e->ladder, ev->time, value, SW_HOUR, ev->dst_segment);
        if (step == SW_RAISE_NOT)
                return 0;
        if (step == SW_RAISE_AGAIN &&
                sw_window_count(&e->denied, ev->time, span, SW_WINDOW_RAISED | FLAG_KNOWN, 0) < NEW_FOR_REPEAT)
                return 0;
        s = denied_scan_signal(e, v, ev, out);
        if (!s)
                return -SW_ERR_NOMEM;
        s->variant = VARIANT_DENIED;
        s->value = value;
        s->threshold = threshold;
        s->window_ms = span;
        s->confidence_pct = sw_raise_confidence(v, ev, value, threshold);
        sw_raise_done(&e->ladder, ev->time, value, ev->dst_segment, step == SW_RAISE_AGAIN);
        sw_window_mark(&e->denied, ev->time, span);
        return 0;
}

static int denied_scan_on_event(struct sw_tables *own, const void *conf, const struct sw_view *v,
        const struct sw_conn_event *ev, struct sw_signals *out)
{
        struct {
                uint32_t src, pad;
        } key = { ev->src, 0 };
        struct sw_window_item item = { .key = ev->dst, .port = ev->first.dport }, *kept;
        struct denied_scan_entry *e;
        bool created;

        if (!sw_raise_is_internal(ev->src_segment, ev->src_host) ||
                !sw_raise_is_internal(ev->dst_segment, ev->dst_host) || sw_raise_is_encryption_drop(ev))
                return 0;
        if (sw_raise_has_role(ev->src_host, SW_HOST_ROLE(SCANNER) | SW_HOST_ROLE(MONITOR)))
                return 0;
        e = sw_table_insert(&own->t[0], &key, &created);
        if (!e)
                return 0;
        kept = sw_window_add(&e->denied, ev->time, item, sw_window_hash(&ev->dst_host->addr, ev->first.dport), KEEP_MS);
        if (kept->last_ms - kept->first_ms > (uint32_t)KNOWN_MS)
                kept->flags |= FLAG_KNOWN;
        sw_raise_keep(&e->evidence, ev);
        denied_scan_note_segment(e, ev->dst_host->segment);
        if (kept->flags & FLAG_KNOWN)
                return 0;
        return denied_scan_raise(e, conf, v, ev, out);
}

static void denied_scan_tell(struct sw_buf *out, const struct sw_view *v, const struct sw_signal *s)
{
        if (s->variant == VARIANT_HUNT) {
                sw_buf_puts(out, "probed the policy: it was denied in ");
                sw_say_count(out, s->value, "segment", "different segments");
                sw_buf_puts(out, " in ");
                sw_say_span(out, s->window_ms);
                return;
        }
        sw_buf_puts(out, "was denied at ");
        if (s->value > SW_WINDOW_CAP)
                sw_buf_puts(out, "about ");
        sw_say_count(out, s->value, "port", "ports");
        sw_buf_puts(out, " of ");
        sw_say_count(out, s->n_targets_total, "host", "hosts");
        sw_buf_puts(out, " in ");
        sw_say_span(out, s->window_ms);
        sw_buf_puts(out, ", the last one in ");
        sw_say_segment(out, v, s->dst_segment);
        sw_buf_printf(out, " (threshold %llu)", (unsigned long long)s->threshold);
}

const struct sw_detector sw_det_denied_scan = {
        .name = "denied_scan",
        .code = "D04",
        .summary = "Policy denies one internal source many ports of hosts",
        .title = "Denied scan",
        .noun = "denied probing",
        .options = options,
        .conf_size = sizeof(struct denied_scan_conf),
        .techniques = techniques,
        .tables = {
                { { "denied_scan", 2, sizeof(struct denied_scan_entry), 8, NULL, denied_scan_migrate }, 5 },
        },
        .handles_late = true,
        .many_ports = true,
        .events = SW_ON(DENIED),
        .on_event = denied_scan_on_event,
        .tell = denied_scan_tell,
};

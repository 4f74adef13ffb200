/* SPDX-License-Identifier: Apache-2.0 */
/* D09: traffic got through that no policy row allows (explicit), or a service appeared between two segments that
 * never had it (learned). A row (segment pair, service) is told once a day with how often it was used since; every
 * further source of that row only feeds its own incident, so that a gap in the written policy makes one finding. */
#include "detect/raise.h"

struct segment_policy_conf {
        bool learned;
};

struct segment_policy_key {
        uint32_t from, to;
        uint16_t dport;
        uint8_t proto, learned;
        uint32_t src; /* 0 in the row's own entry: ids of sources are kept as id + 1 */
};

struct segment_policy_entry {
        struct segment_policy_key key;
        uint32_t day;   /* UTC day of the last telling, + 1 */
        uint32_t flows; /* since then */
};

/* FINDING: the first of its row today, written as a finding of its own (correlate.c). */
enum { VARIANT_FINDING = SW_SEGMENT_POLICY_FINDING, VARIANT_SOURCE, VARIANT_LEARNED };

static const struct sw_opt options[] = {
        { .key = "learned",
                .type = SW_OPT_BOOL,
                .flags = SW_OPT_RELOAD,
                .offset = offsetof(struct segment_policy_conf, learned),
                .def = "true",
                .doc = "Whether a service that is new between two segments is a signal where no policy is written." },
        SW_OPT_END,
};

static const struct sw_technique techniques[] = {
        { "T1021", "Remote Services", "TA0008", "Lateral Movement" },
        { "T1133", "External Remote Services", "TA0001", "Initial Access" },
        { NULL, NULL, NULL, NULL },
};

/* Counts the flow; true once a UTC day, or once a week for the Internet, whose crowd never stops. *ret_flows: seen
 * since the last telling, this one included. */
static bool segment_policy_count(
        struct sw_table *t, const struct segment_policy_key *key, struct sw_etime now, uint64_t *ret_flows)
{
        uint32_t day = sw_etime_day(now) + 1, period = sw_raise_is_internet(key->from) ? 7 : 1;
        struct segment_policy_entry *e;
        bool created;

        e = sw_table_insert(t, key, &created);
        if (!e)
                return false;
        if (e->flows < UINT32_MAX)
                e->flows++;
        if (e->day != 0 && day < e->day + period)
                return false;
        *ret_flows = e->flows;
        e->flows = 0;
        e->day = day;
        return true;
}

static int segment_policy_raise(const struct sw_view *v, const struct sw_conn_event *ev, uint32_t variant,
        uint64_t flows, struct sw_signals *out)
{
        struct sw_signal *s = sw_raise(out, SW_DETECTOR_SEGMENT_POLICY, ev);

        if (!s)
                return -SW_ERR_NOMEM;
        s->variant = variant;
        s->value = flows;
        s->threshold = 1;
        s->window_ms = SW_DAY;
        s->weight_pct = variant == VARIANT_LEARNED ? 35 : 70;
        s->confidence_pct = sw_raise_confidence(v, ev, 1, 1);
        if (variant == VARIANT_LEARNED)
                s->confidence_pct = sw_raise_scale(s->confidence_pct, sw_raise_novelty_pct(v, ev));
        s->techniques = sw_raise_is_internet(ev->src_segment) ? 2 : 1;
        sw_raise_add_tuple(s, ev);
        return 0;
}

static int segment_policy_explicit(
        struct sw_tables *own, const struct sw_view *v, const struct sw_conn_event *ev, struct sw_signals *out)
{
        struct segment_policy_key key = { ev->src_segment, ev->dst_segment, ev->first.dport, ev->first.proto, 0, 0 };
        uint64_t flows = 0, own_flows = 0;
        bool row = false, source = false;

        /* Declared: it is to try what the policy forbids. */
        if (ev->src_host->pinned_roles & (SW_HOST_ROLE(SCANNER) | SW_HOST_ROLE(MONITOR)))
                return 0;
        /* A port that answers with a reset is open in the policy, but nobody used it: whoever tries many ports would
         * make a finding of each. */
        if (ev->type != SW_CONN_FAILED)
                row = segment_policy_count(&own->t[0], &key, ev->time, &flows);
        if (!sw_raise_is_internet(ev->src_segment)) {
                key.src = ev->src + 1;
                source = segment_policy_count(&own->t[1], &key, ev->time, &own_flows);
        }
        if (row)
                return segment_policy_raise(v, ev, VARIANT_FINDING, flows, out);
        if (source)
                return segment_policy_raise(v, ev, VARIANT_SOURCE, own_flows, out);
        return 0;
}

static int segment_policy_learned(
        struct sw_tables *own, const struct sw_view *v, const struct sw_conn_event *ev, struct sw_signals *out)
{
        struct segment_policy_key key = { ev->src_segment, ev->dst_segment, (uint16_t)ev->service, 0, 1, 0 };
        uint64_t flows;

        if (ev->learning || !(ev->rarity & SW_RARE_PAIR_CLASS) || ev->src_segment == ev->dst_segment ||
                !sw_raise_is_internal(ev->src_segment, ev->src_host) ||
                sw_raise_has_role(ev->src_host, SW_HOST_ROLE(SCANNER) | SW_HOST_ROLE(MONITOR)))
                return 0;
        if (!segment_policy_count(&own->t[0], &key, ev->time, &flows))
                return 0;
        return segment_policy_raise(v, ev, VARIANT_LEARNED, flows, out);
}

static int segment_policy_on_event(struct sw_tables *own, const void *conf, const struct sw_view *v,
        const struct sw_conn_event *ev, struct sw_signals *out)
{
        const struct segment_policy_conf *c = conf;
        uint8_t proto = ev->first.proto;
        enum sw_policy_verdict verdict;

        /* Proven to be let through: payload came back, or at least a reset did. ICMP and the like are left out. */
        if (ev->type == SW_CONN_FAILED && ev->outcome != SW_OUTCOME_REFUSED)
                return 0;
        /* Logs without counters (NSG version 1) say that it was allowed, and no more. */
        if (ev->type == SW_CONN_CLOSED && ev->outcome != SW_OUTCOME_UNKNOWN)
                return 0;
        if (proto != SW_PROTO_TCP && proto != SW_PROTO_UDP && proto != SW_PROTO_SCTP)
                return 0;
        if (ev->src_segment == SW_SEGMENT_PLATFORM || !sw_raise_is_internal(ev->dst_segment, ev->dst_host))
                return 0;
        verdict =
                sw_segments_policy(sw_view_segments(v), ev->src_segment, ev->dst_segment, proto, ev->first.dport, NULL);
        if (verdict != SW_POLICY_ALLOWED && ev->src_segment == SW_SEGMENT_INTERNET && sw_raise_is_platform(v, ev))
                return 0;
        switch (verdict) {
        case SW_POLICY_VIOLATION:
                return segment_policy_explicit(own, v, ev, out);
        case SW_POLICY_NO_RULE:
                return c->learned ? segment_policy_learned(own, v, ev, out) : 0;
        default:
                return 0;
        }
}

static void segment_policy_tell(struct sw_buf *out, const struct sw_view *v, const struct sw_signal *s)
{
        sw_buf_puts(out, "used ");
        sw_say_port(out, s->proto, s->port);
        sw_buf_puts(out, " from ");
        sw_say_segment(out, v, s->src_segment);
        sw_buf_puts(out, " to ");
        sw_say_host(out, v, s->targets[0]);
        sw_buf_puts(out, " in ");
        sw_say_segment(out, v, s->dst_segment);
        if (s->variant == VARIANT_LEARNED) {
                sw_buf_printf(out, ", the first %s between these segments",
                        s->service == SW_SERVICE_OTHER ? "unclassified service" : sw_service_text(s->service));
                return;
        }
        sw_buf_puts(out, ", which no policy row allows");
        if (s->value > 1) {
                sw_buf_puts(out, " (");
                sw_say_count(out, s->value, "flow", "flows");
                sw_buf_puts(out, s->variant == VARIANT_SOURCE ? " of it since it was last told)"
                                                              : " between these segments since it was last told)");
        }
}

const struct sw_detector sw_det_segment_policy = {
        .name = "segment_policy",
        .code = "D09",
        .summary = "Traffic passed between segments that no policy row allows, or that is new there",
        .title = "Segment policy violation",
        .noun = "policy violation",
        .options = options,
        .conf_size = sizeof(struct segment_policy_conf),
        .techniques = techniques,
        .tables = {
                { { "segment_policy", 1, sizeof(struct segment_policy_entry), sizeof(struct segment_policy_key), NULL }, 2 },
                { { "segment_policy_sources", 1, sizeof(struct segment_policy_entry), sizeof(struct segment_policy_key),
                          NULL },
                        2 },
        },
        .handles_late = true,
        .events = SW_ON(SUCCEEDED) | SW_ON(FAILED) | SW_ON(CLOSED),
        .outcomes = 1u << SW_OUTCOME_UNKNOWN,
        .on_event = segment_policy_on_event,
        .tell = segment_policy_tell,
};

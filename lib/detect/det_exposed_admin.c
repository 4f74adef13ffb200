/* SPDX-License-Identifier: Apache-2.0 */
/* D18: an administrative port of an internal host is open to the Internet. Weak while it is only reachable, stronger
 * when it answers, strongest when somebody holds a session on it: that source may have come in. */
#include "detect/raise.h"

#define AGAIN_MS SW_DAY

struct exposed_admin_conf {
        char *allow_from; /* CIDRs, separated by commas or spaces */
        uint64_t session_bytes;
        int64_t session_time;
};

struct exposed_admin_key {
        uint32_t dst;
        uint16_t port;
        uint8_t proto, pad;
        uint32_t src; /* id + 1 in the sessions table, else 0 */
        uint32_t pad2;
};

struct exposed_admin_entry {
        struct exposed_admin_key key;
        int64_t raised_ms;
        uint32_t variant;
        uint32_t pad;
};

enum {
        VARIANT_REACHABLE,
        VARIANT_ANSWERS = SW_EXPOSED_ADMIN_ANSWERS,
        VARIANT_SESSION = SW_EXPOSED_ADMIN_SESSION,
};
enum { TABLE_PORTS, TABLE_SESSIONS };

static const struct sw_opt options[] = {
        { .key = "allow_from",
                .type = SW_OPT_STRING,
                .flags = SW_OPT_RELOAD,
                .offset = offsetof(struct exposed_admin_conf, allow_from),
                .doc = "Public CIDRs that may administer from outside, separated by commas or spaces." },
        { .key = "session_bytes",
                .type = SW_OPT_UINT,
                .flags = SW_OPT_RELOAD,
                .offset = offsetof(struct exposed_admin_conf, session_bytes),
                .min = 1000,
                .max = UINT64_C(1) << 40,
                .def = "20000",
                .doc = "Payload of both directions from which on a connection is taken for a session; bots that only "
                       "try "
                       "passwords stay below." },
        { .key = "session_time",
                .type = SW_OPT_DURATION,
                .flags = SW_OPT_RELOAD,
                .offset = offsetof(struct exposed_admin_conf, session_time),
                .min = 0,
                .max = SW_DAY,
                .def = "60s",
                .doc = "How long it must have been open as well." },
        SW_OPT_END,
};

static const struct sw_technique techniques[] = {
        { "T1133", "External Remote Services", "TA0001", "Initial Access" },
        { "T1190", "Exploit Public-Facing Application", "TA0001", "Initial Access" },
        { NULL, NULL, NULL, NULL },
};

/* Next CIDR of the list; false at its end. *ret_bad: it cannot be read. */
static bool exposed_admin_next(const char **inout, struct sw_prefix *ret, bool *ret_bad)
{
        const char *p = *inout;
        size_t n = 0;

        while (*p == ' ' || *p == ',' || *p == '\t')
                p++;
        while (p[n] && p[n] != ' ' && p[n] != ',' && p[n] != '\t')
                n++;
        *inout = p + n;
        *ret_bad = n > 0 && !sw_prefix_parse((struct sw_str){ p, n }, ret, NULL);
        return n > 0;
}

static int exposed_admin_check(const void *conf, struct sw_err *reterr)
{
        const struct exposed_admin_conf *c = conf;
        const char *p = c->allow_from;
        struct sw_prefix prefix;
        bool bad;

        while (p && exposed_admin_next(&p, &prefix, &bad))
                if (bad)
                        return sw_err_set(
                                reterr, -SW_ERR_CONFIG, "allow_from: \"%.100s\" is not a list of CIDRs", c->allow_from);
        return 0;
}

static bool exposed_admin_is_allowed(const struct exposed_admin_conf *c, const struct sw_addr *a)
{
        const char *p = c->allow_from;
        struct sw_prefix prefix;
        bool bad;

        while (p && exposed_admin_next(&p, &prefix, &bad))
                if (!bad && sw_prefix_contains(&prefix, a))
                        return true;
        return false;
}

static bool exposed_admin_variant(const struct exposed_admin_conf *c, const struct sw_conn_event *ev, uint32_t *ret)
{
        switch (ev->type) {
        case SW_CONN_FAILED:
                *ret = VARIANT_REACHABLE; /* let in, although nobody answered */
                return true;
        case SW_CONN_SUCCEEDED:
                *ret = ev->payload_fwd > 0 && ev->payload_rev > 0 ? VARIANT_ANSWERS : VARIANT_REACHABLE;
                return true;
        default:
                /* Logs without counters (NSG version 1) know no more than that it was let in. */
                if (ev->type == SW_CONN_CLOSED && ev->outcome == SW_OUTCOME_UNKNOWN) {
                        *ret = VARIANT_REACHABLE;
                        return true;
                }
                *ret = VARIANT_SESSION;
                return ev->payload_fwd > 0 && ev->payload_rev > 0 &&
                       ev->payload_fwd + ev->payload_rev >= c->session_bytes &&
                       ev->last.ms - ev->opened.ms >= c->session_time;
        }
}

static int exposed_admin_on_event(struct sw_tables *own, const void *conf, const struct sw_view *v,
        const struct sw_conn_event *ev, struct sw_signals *out)
{
        static const uint8_t weights[] = { 30, 60, 60 };
        const struct exposed_admin_conf *c = conf;
        struct exposed_admin_key key = { .dst = ev->dst, .port = ev->first.dport, .proto = ev->first.proto };
        struct exposed_admin_entry *e;
        struct sw_signal *s;
        uint32_t variant;
        bool created;

        if (!sw_raise_is_internal(ev->dst_segment, ev->dst_host))
                return 0;
        if (!exposed_admin_variant(c, ev, &variant) || exposed_admin_is_allowed(c, &ev->src_host->addr))
                return 0;
        if (sw_raise_is_platform(v, ev))
                return 0;
        if (variant == VARIANT_SESSION)
                key.src = ev->src + 1;
        e = sw_table_insert(&own->t[variant == VARIANT_SESSION ? TABLE_SESSIONS : TABLE_PORTS], &key, &created);
        if (!e || (!created && ev->time.ms - e->raised_ms < AGAIN_MS && variant <= e->variant))
                return 0;
        e->raised_ms = ev->time.ms;
        e->variant = variant;
        s = sw_raise(out, SW_DETECTOR_EXPOSED_ADMIN, ev);
        if (!s)
                return -SW_ERR_NOMEM;
        s->variant = variant;
        s->value = variant == VARIANT_SESSION ? ev->payload_fwd + ev->payload_rev : 1;
        s->threshold = variant == VARIANT_SESSION ? c->session_bytes : 1;
        s->window_ms = variant == VARIANT_SESSION ? ev->last.ms - ev->opened.ms : 0;
        s->weight_pct = weights[variant];
        s->confidence_pct = sw_raise_confidence(v, ev, variant == VARIANT_SESSION ? 2 : 1, 1);
        sw_raise_add_tuple(s, ev);
        return 0;
}

static void exposed_admin_tell(struct sw_buf *out, const struct sw_view *v, const struct sw_signal *s)
{
        static const char *const verbs[] = { "was let through to ", "got an answer from ", "held a session on " };

        sw_buf_puts(out, verbs[s->variant <= VARIANT_SESSION ? s->variant : 0]);
        sw_say_host(out, v, s->targets[0]);
        sw_buf_puts(out, " in ");
        sw_say_segment(out, v, s->dst_segment);
        sw_buf_puts(out, " on ");
        sw_say_port(out, s->proto, s->port);
        sw_buf_printf(out, " (%s) from the Internet", sw_service_text(s->service));
        if (s->variant == VARIANT_SESSION) {
                sw_buf_puts(out, ": ");
                sw_say_bytes(out, s->value);
                sw_buf_puts(out, " in ");
                sw_say_span(out, s->window_ms);
        }
}

const struct sw_detector sw_det_exposed_admin = {
        .name = "exposed_admin",
        .code = "D18",
        .summary = "An administrative port of an internal host is open to the Internet",
        .title = "Exposed administrative port",
        .noun = "exposed admin port",
        .options = options,
        .conf_size = sizeof(struct exposed_admin_conf),
        .techniques = techniques,
        .tables = {
                { { "exposed_admin", 1, sizeof(struct exposed_admin_entry), sizeof(struct exposed_admin_key), NULL }, 2 },
                { { "exposed_admin_sessions", 1, sizeof(struct exposed_admin_entry), sizeof(struct exposed_admin_key),
                          NULL },
                        2 },
        },
        .handles_late = true,
        .admin_only = true,
        .internet_only = true,
        .events = SW_ON(SUCCEEDED) | SW_ON(FAILED) | SW_ON(PROGRESSED) | SW_ON(CLOSED),
        .check = exposed_admin_check,
        .on_event = exposed_admin_on_event,
        .tell = exposed_admin_tell,
};

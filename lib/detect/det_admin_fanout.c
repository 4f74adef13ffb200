/* SPDX-License-Identifier: Apache-2.0 */
/* D06: one source administers many hosts of one kind within minutes: more than twice what it ever did, or three
 * that it never touched before within half an hour. */
#include "detect/track.h"

#define FANOUT_MS (10 * SW_MINUTE)
#define NEW_MS (30 * SW_MINUTE)
#define KEEP_MS SW_HOUR
#define ROLES_SILENT                                                                                                   \
        (SW_HOST_ROLE(JUMP) | SW_HOST_ROLE(PATCH) | SW_HOST_ROLE(MONITOR) | SW_HOST_ROLE(BACKUP) |                     \
                SW_HOST_ROLE(SCANNER) | SW_HOST_ROLE(DEPLOY))

struct admin_fanout_conf {
        uint64_t targets_10m, new_targets_30m;
};

enum { FLAG_NEW = 1 };
enum { VARIANT_MANY, VARIANT_NEW };

#define OPT(name, low, high, text, help)                                                                               \
        {                                                                                                              \
                .key = #name, .type = SW_OPT_UINT, .flags = SW_OPT_RELOAD,                                             \
                .offset = offsetof(struct admin_fanout_conf, name), .min = (low), .max = (high), .def = (text),        \
                .doc = (help)                                                                                          \
        }
static const struct sw_opt options[] = {
        OPT(targets_10m, 2, 64, "5",
                "Hosts reached with one administrative service within 10 minutes, and more than twice the most of 30 "
                "days."),
        OPT(new_targets_30m, 2, 64, "3", "Hosts reached for the first time within 30 minutes."),
        SW_OPT_END,
};
#undef OPT

static bool admin_fanout_concerns(const struct sw_view *v, const struct sw_conn_event *ev)
{
        if (!sw_raise_is_internal(ev->src_segment, ev->src_host) ||
                !sw_raise_is_internal(ev->dst_segment, ev->dst_host))
                return false;
        if (sw_raise_has_role(ev->src_host, ROLES_SILENT) || sw_raise_is_jump(v, ev->src_segment, ev->src_host))
                return false;
        return !sw_raise_is_directory(v, ev);
}

struct admin_fanout_hit {
        uint64_t value, threshold, normal;
        int64_t window_ms;
        uint32_t variant;
};

static bool admin_fanout_judge(const struct admin_fanout_conf *c, const struct sw_track_ref *e, const struct sw_view *v,
        const struct sw_conn_event *ev, struct admin_fanout_hit *ret)
{
        uint64_t most, many, n;

        if (e->n < c->new_targets_30m && e->n < c->targets_10m)
                return false;
        most = sw_view_fanout_max(v, ev->src, ev->service);
        many = 2 * most + 1;
        n = sw_track_count(e, ev->time, NEW_MS, FLAG_NEW, FLAG_NEW);
        if (n >= c->new_targets_30m && !sw_view_is_admin_source(v, ev->src, ev->service)) {
                *ret = (struct admin_fanout_hit){ n, c->new_targets_30m, most, NEW_MS, VARIANT_NEW };
                return true;
        }
        if (many < c->targets_10m)
                many = c->targets_10m;
        n = sw_track_value(e, ev->time, FANOUT_MS);
        *ret = (struct admin_fanout_hit){ n, many, most, FANOUT_MS, VARIANT_MANY };
        return n >= many;
}

static int admin_fanout_on_event(struct sw_tables *own, const void *conf, const struct sw_view *v,
        const struct sw_conn_event *ev, struct sw_signals *out)
{
        struct sw_track_what what = { .key = { ev->src, (uint32_t)ev->service, 0, 0 },
                .item = { .key = ev->dst, .flags = ev->rarity & SW_RARE_NEW_EDGE ? FLAG_NEW : 0 },
                .keep_ms = KEEP_MS,
                .first_ms = KEEP_MS };
        struct sw_track_large *e;
        struct sw_track_ref r;
        struct admin_fanout_hit hit;
        enum sw_raise_step step;
        struct sw_signal *s;

        if (!admin_fanout_concerns(v, ev))
                return 0;
        if (!sw_track_add(own->t, &what, v, ev, &r) || !admin_fanout_judge(conf, &r, v, ev, &hit) ||
                !sw_track_grow_large(own->t, v, &r))
                return 0;
        e = r.large;
        step = sw_raise_due(&e->ladder, ev->time, hit.value, SW_HOUR, ev->dst_segment);
        if (step == SW_RAISE_NOT)
                return 0;
        s = sw_raise(out, SW_DETECTOR_ADMIN_FANOUT, ev);
        if (!s)
                return -SW_ERR_NOMEM;
        s->value = hit.value;
        s->threshold = hit.threshold;
        s->normal = hit.normal;
        s->window_ms = sw_window_span(&e->window, ev->time, hit.window_ms);
        s->variant = hit.variant;
        s->weight_pct = 65;
        s->confidence_pct = sw_raise_confidence(v, ev, hit.value, hit.threshold);
        s->techniques = sw_raise_admin_technique(ev->service);
        sw_raise_add_targets(s, v, &e->window, hit.window_ms, hit.variant == VARIANT_NEW ? FLAG_NEW : 0);
        if (hit.value > s->n_targets_total)
                s->n_targets_total = (uint32_t)hit.value;
        sw_raise_add_evidence(s, &e->evidence, hit.window_ms);
        sw_raise_done(&e->ladder, ev->time, hit.value, ev->dst_segment, step == SW_RAISE_AGAIN);
        return 0;
}

static void admin_fanout_soon(const struct sw_tables *own, const struct sw_conn_soon *ev, struct sw_ahead *a)
{
        const uint32_t key[4] = { ev->src, (uint32_t)ev->service, 0, 0 };

        if (!ev->learning && sw_service_is_admin(ev->service) && !sw_raise_has_role(ev->src_host, ROLES_SILENT))
                sw_track_soon(a, own->t, key);
}

static void admin_fanout_tell(struct sw_buf *out, const struct sw_view *v, const struct sw_signal *s)
{
        sw_buf_puts(out, "reached ");
        if (s->value > SW_WINDOW_CAP)
                sw_buf_puts(out, "about ");
        sw_say_count(out, s->value, "host", "hosts");
        sw_buf_puts(out, " in ");
        sw_say_target_segments(out, v, s);
        sw_buf_printf(out, " with %s in ", sw_service_text(s->service));
        sw_say_span(out, s->window_ms);
        if (s->variant == VARIANT_NEW)
                sw_buf_puts(out, " that it never used it on before");
        if (s->normal > 0)
                sw_buf_printf(out, " (its most in 10 min before: %llu)", (unsigned long long)s->normal);
        else
                sw_buf_puts(out, " (it had never done so before)");
}

const struct sw_detector sw_det_admin_fanout = {
        .name = "admin_fanout",
        .code = "D06",
        .summary = "One source administers unusually many hosts within minutes",
        .title = "Administrative fan-out",
        .noun = "admin fan-out",
        .options = options,
        .conf_size = sizeof(struct admin_fanout_conf),
        .techniques = sw_raise_admin_techniques,
        .tables = {
                SW_TRACK_DECLARE("admin_fanout", "admin_fanout_mid", "admin_fanout_large", 6, 3, 4),
        },
        .needs_baseline = true,
        .admin_only = true,
        .events = SW_ON(SUCCEEDED),
        .on_event = admin_fanout_on_event,
        .soon = admin_fanout_soon,
        .tell = admin_fanout_tell,
};

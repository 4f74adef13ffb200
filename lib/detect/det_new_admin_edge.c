/* SPDX-License-Identifier: Apache-2.0 */
/* D07: an administrative connection that was never there before. How rare it is (0 to 4 points) decides how much it
 * says; all that a single hop with stolen credentials leaves in flow logs is this. */
#include "detect/raise.h"

#define AGAIN_MS SW_DAY
#define YOUNG_MS SW_DAY
#define ROLES_SILENT (SW_HOST_ROLE(SCANNER) | SW_HOST_ROLE(MONITOR))
struct new_admin_edge_conf {
        uint64_t points, alone_points;
};

struct new_admin_edge_key {
        uint32_t src, dst, service, pad;
};

struct new_admin_edge_entry {
        struct new_admin_edge_key key;
        int64_t raised_ms;
};

#define OPT(name, low, high, text, help)                                                                               \
        {                                                                                                              \
                .key = #name, .type = SW_OPT_UINT, .flags = SW_OPT_RELOAD,                                             \
                .offset = offsetof(struct new_admin_edge_conf, name), .min = (low), .max = (high), .def = (text),      \
                .doc = (help)                                                                                          \
        }
static const struct sw_opt options[] = {
        OPT(points, 1, 4, "1", "Rarity points (0 to 4) from which on a new administrative connection is a signal."),
        OPT(alone_points, 1, 5, "4", "Rarity points at which it opens an incident by itself; 5 = never."),
        SW_OPT_END,
};
#undef OPT

static unsigned new_admin_edge_points(const struct sw_view *v, const struct sw_conn_event *ev)
{
        enum sw_segment_role role = sw_view_segment(v, ev->src_segment)->role;
        unsigned points = 0;

        points += (ev->rarity & SW_RARE_SRC_CLASS) != 0;
        points += (ev->rarity & SW_RARE_DST_CLASS) != 0;
        points += (ev->rarity & SW_RARE_PAIR_CLASS) != 0;
        points += (ev->rarity & SW_RARE_NOT_SERVER) != 0;
        /* From one workstation to its neighbour: nothing but administration and malware does that. */
        points += ev->src_segment == ev->dst_segment &&
                  (role == SW_SEGMENT_ROLE_CLIENT || role == SW_SEGMENT_ROLE_AVD) &&
                  (ev->service == SW_SERVICE_SMB || ev->service == SW_SERVICE_RPC || ev->service == SW_SERVICE_WINRM);
        return points > 4 ? 4 : points;
}

static bool new_admin_edge_is_young(const struct sw_host *h, struct sw_etime now)
{
        return now.ms - h->first_seen.ms < YOUNG_MS;
}

static int new_admin_edge_on_event(struct sw_tables *own, const void *conf, const struct sw_view *v,
        const struct sw_conn_event *ev, struct sw_signals *out)
{
        /* w: .3 at one point to .65 at four */
        static const uint8_t weights[] = { 0, 30, 42, 53, 65 };
        const struct new_admin_edge_conf *c = conf;
        struct new_admin_edge_key key = { ev->src, ev->dst, (uint32_t)ev->service, 0 };
        struct new_admin_edge_entry *e;
        struct sw_signal *s;
        unsigned points, novelty;
        bool created;

        if (!(ev->rarity & SW_RARE_NEW_EDGE) || sw_raise_is_directory(v, ev) ||
                sw_raise_has_role(ev->src_host, ROLES_SILENT))
                return 0;
        if (!sw_raise_is_internal(ev->src_segment, ev->src_host) ||
                !sw_raise_is_internal(ev->dst_segment, ev->dst_host))
                return 0;
        points = new_admin_edge_points(v, ev);
        if (points < c->points || points == 0)
                return 0;
        /* The edges of a host under an incident never become baseline: told once a day. */
        e = sw_table_insert(&own->t[0], &key, &created);
        if (!e || (!created && ev->time.ms - e->raised_ms < AGAIN_MS))
                return 0;
        e->raised_ms = ev->time.ms;
        s = sw_raise(out, SW_DETECTOR_NEW_ADMIN_EDGE, ev);
        if (!s)
                return -SW_ERR_NOMEM;
        s->value = points;
        s->threshold = c->points;
        s->weight_pct = weights[points];
        s->confidence_pct = (uint8_t)(points * 25);
        s->alone = points >= c->alone_points;
        novelty = sw_raise_novelty_pct(v, ev);
        if (novelty == 100 &&
                (new_admin_edge_is_young(ev->src_host, ev->time) || new_admin_edge_is_young(ev->dst_host, ev->time)))
                novelty = 30;
        s->confidence_pct = sw_raise_scale(s->confidence_pct, novelty);
        s->alone = s->alone && novelty == 100;
        if (sw_raise_has_role(ev->src_host, SW_HOST_ROLE(SHARED)))
                s->confidence_pct = sw_raise_scale(s->confidence_pct, 50);
        s->variant = ev->rarity;
        s->techniques = sw_raise_admin_technique(ev->service);
        sw_raise_add_tuple(s, ev);
        return 0;
}

static void new_admin_edge_tell(struct sw_buf *out, const struct sw_view *v, const struct sw_signal *s)
{
        sw_buf_printf(out, "opened its first %s connection to ", sw_service_text(s->service));
        sw_say_host(out, v, s->targets[0]);
        sw_buf_puts(out, " in ");
        sw_say_segment(out, v, s->dst_segment);
        sw_buf_puts(out, " on ");
        sw_say_port(out, s->proto, s->port);
        if (s->variant & SW_RARE_PAIR_CLASS) {
                sw_buf_puts(out, ", which nobody in ");
                sw_say_segment(out, v, s->src_segment);
                sw_buf_puts(out, " did before");
        } else if (s->variant & SW_RARE_DST_CLASS) {
                sw_buf_puts(out, ", which never came from ");
                sw_say_segment(out, v, s->src_segment);
                sw_buf_puts(out, " to that host before");
        } else if (s->variant & SW_RARE_SRC_CLASS) {
                sw_buf_printf(out, "; it had never used %s", sw_service_text(s->service));
        }
        sw_buf_printf(out, " (rarity %llu of 4)", (unsigned long long)s->value);
}

const struct sw_detector sw_det_new_admin_edge = {
        .name = "new_admin_edge",
        .code = "D07",
        .summary = "An administrative connection that was never there before",
        .title = "New administrative connection",
        .noun = "new admin connection",
        .options = options,
        .conf_size = sizeof(struct new_admin_edge_conf),
        .techniques = sw_raise_admin_techniques,
        .tables = {
                { { "new_admin_edge", 1, sizeof(struct new_admin_edge_entry), sizeof(struct new_admin_edge_key), NULL }, 3 },
        },
        .needs_baseline = true,
        .admin_only = true,
        .events = SW_ON(SUCCEEDED),
        .on_event = new_admin_edge_on_event,
        .tell = new_admin_edge_tell,
};

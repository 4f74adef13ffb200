/* SPDX-License-Identifier: Apache-2.0 */
/* D08: A administers B, and while that lasts (or within minutes after) B administers C: the shape of somebody who
 * moves on (Apruzzese et al. 2017). Each host remembers who administered it lately; a new connection looks back
 * through these, host by host. A hop is telling when its edge is new or when both connections carry the same rhythm
 * (a relay); the actor is where the first telling hop began. */
#include "detect/inbound.h"
#include "detect/series.h"

#define AGAIN_MS SW_DAY

struct pivot_chain_conf {
        uint64_t score_pct, alone_score_pct, alone_hops;
};

#define SHORT 6 /* points; few connections last longer */
struct pivot_flow {
        uint32_t conn, pad;
        int64_t opened_ms;
        uint32_t n, more; /* more: id + 1 of its struct pivot_long, 0 = none; then n is not used */
        struct sw_series_point points[SHORT];
};

struct pivot_long {
        uint32_t conn, pad;
        struct sw_series series;
};

struct pivot_told {
        uint32_t root, pivot, target, score;
        int64_t raised_ms;
};

enum { TABLE_HOSTS, TABLE_MORE, TABLE_FLOWS, TABLE_LONG, TABLE_TOLD };
enum { VARIANT_CHAIN, VARIANT_JUMP = SW_PIVOT_CHAIN_JUMP, VARIANT_RELAY };

#define OPT(name, low, high, text, help)                                                                               \
        {                                                                                                              \
                .key = #name, .type = SW_OPT_UINT, .flags = SW_OPT_RELOAD,                                             \
                .offset = offsetof(struct pivot_chain_conf, name), .min = (low), .max = (high), .def = (text),         \
                .doc = (help)                                                                                          \
        }
static const struct sw_opt options[] = {
        OPT(score_pct, 30, 100, "50",
                "Score of a chain from which on it is a signal: 30, plus 20 for each of the last "
                "two hops that is new, 20 for a relay, 10 for each further hop."),
        OPT(alone_score_pct, 30, 200, "80", "Score at which it opens an incident by itself."),
        OPT(alone_hops, 2, 6, "3", "Hops at which it opens an incident by itself."),
        SW_OPT_END,
};
#undef OPT

static const struct sw_technique techniques[] = {
        { "T1021", "Remote Services", "TA0008", "Lateral Movement" },
        { "T1090.001", "Internal Proxy", "TA0011", "Command and Control" },
        { "T1570", "Lateral Tool Transfer", "TA0008", "Lateral Movement" },
        { NULL, NULL, NULL, NULL },
};

/* A new edge. Of services that programs use, and towards domain controllers, only one that is rare in another way
 * as well: pools of servers and load balancing make plain new edges every day. */
static bool pivot_is_new(const struct sw_conn_event *ev)
{
        if (!(ev->rarity & SW_RARE_NEW_EDGE))
                return false;
        if (sw_raise_controls(ev->service) && !sw_raise_has_role(ev->dst_host, SW_HOST_ROLE(DC)))
                return true;
        return (ev->rarity & (SW_RARE_SRC_CLASS | SW_RARE_PAIR_CLASS)) != 0;
}

static bool pivot_is_relayer(const struct sw_view *v, uint32_t segment, const struct sw_host *h)
{
        enum sw_segment_role role = sw_view_segment(v, segment)->role;

        /* These connect on behalf of others all day. */
        return sw_raise_has_role(h, SW_HOST_ROLE(DC) | SW_HOST_ROLE(PROXY) | SW_HOST_ROLE(SHARED)) ||
               role == SW_SEGMENT_ROLE_FIREWALL || role == SW_SEGMENT_ROLE_GATEWAY ||
               role == SW_SEGMENT_ROLE_LB_INGRESS;
}

static void pivot_on_evict(void *ctx, void *entry)
{
        const struct pivot_flow *f = entry;
        struct sw_table *t = &((struct sw_tables *)ctx)->t[TABLE_LONG];
        const struct pivot_long *more = f->more ? sw_table_peek(t, f->more - 1) : NULL;

        if (more && more->conn == f->conn)
                sw_table_remove_id(t, f->more - 1);
}

/* Where the flow's points are. */
static struct sw_series_ref pivot_points(struct sw_tables *own, struct pivot_flow *f)
{
        struct pivot_long *more = f->more ? sw_table_use(&own->t[TABLE_LONG], f->more - 1) : NULL;

        if (more && more->conn == f->conn && more->series.n <= SW_SERIES_LENGTH)
                return sw_series_ref(&more->series);
        if (f->more || f->n > SHORT) /* it was lost */
                f->more = f->n = 0;
        return (struct sw_series_ref){ f->points, &f->n, SHORT };
}

static bool pivot_series(struct sw_tables *own, uint32_t conn, struct sw_series_ref *ret)
{
        const uint32_t key[2] = { conn, 0 };
        struct pivot_flow *f = sw_table_find(&own->t[TABLE_FLOWS], key);

        if (f)
                *ret = pivot_points(own, f);
        return f != NULL;
}

/* False: no room. */
static bool pivot_series_add(struct sw_tables *own, const struct sw_conn_event *ev, struct sw_series_ref *ret)
{
        const uint32_t key[2] = { ev->conn, 0 };
        struct pivot_flow *f;
        struct pivot_long *more;
        uint32_t id;
        bool created;

        f = sw_table_insert(&own->t[TABLE_FLOWS], key, &created);
        if (!f)
                return false;
        if (f->opened_ms != ev->opened.ms) { /* new, or its id was used by an older connection */
                pivot_on_evict(own, f);
                f->opened_ms = ev->opened.ms;
                f->more = f->n = 0;
        }
        *ret = pivot_points(own, f);
        if (!f->more && sw_series_is_full(ret, ev->time)) {
                more = sw_table_insert_id(&own->t[TABLE_LONG], key, &created, &id);
                if (more) {
                        more->series.n = f->n;
                        memcpy(more->series.points, f->points, sizeof(f->points));
                        f->more = id + 1;
                        *ret = sw_series_ref(&more->series);
                }
        }
        sw_series_add(*ret, ev->time, ev->delta[SW_BYTES_FWD], ev->delta[SW_BYTES_REV]);
        return true;
}

struct pivot_verdict {
        struct sw_inbound_path path;
        unsigned score;
        bool relay, jump;
};

static bool pivot_better(const struct sw_view *v, const struct pivot_verdict *a, const struct pivot_verdict *b)
{
        const struct sw_host *x, *y;

        if (b->path.n == 0 || a->score != b->score)
                return b->path.n == 0 || a->score > b->score;
        x = sw_view_host(v, a->path.hosts[a->path.n - 1]);
        y = sw_view_host(v, b->path.hosts[b->path.n - 1]);
        return x && y && sw_addr_cmp(&x->addr, &y->addr) < 0;
}

/* Judges ev (B to C) against one connection into B. */
static bool pivot_judge(struct sw_tables *own, const struct sw_view *v, const struct sw_conn_event *ev,
        const struct sw_inbound *in, struct pivot_verdict *ret)
{
        struct sw_series_ref a, b;
        struct sw_inbound_path path = { .hosts = { ev->dst, ev->src, in->src }, .hops = { NULL, in, NULL }, .n = 3 };
        bool is_new = pivot_is_new(ev);

        if (in->src == ev->dst || in->start_ms >= ev->opened.ms || !sw_view_host(v, in->src))
                return false;
        if (!in->is_open && ev->opened.ms > in->last_ms + SW_INBOUND_AFTER_MS)
                return false;
        *ret = (struct pivot_verdict){ .score = 30 };
        /* A closed one's id may be another's by now. */
        ret->relay = in->is_open && pivot_series(own, in->conn, &a) && pivot_series(own, ev->conn, &b) &&
                     sw_series_in_step(&a, &b, 4, 80);
        ret->jump = sw_raise_is_jump(v, ev->src_segment, ev->src_host);
        ret->score += is_new ? 20 : 0;
        ret->score += in->new_ms ? 20 : 0;
        ret->score += ret->relay ? 20 : 0;
        sw_inbound_walk(&own->t[TABLE_HOSTS], v, &path, &ret->path);
        ret->score += 10 * (ret->path.n - 3);
        /* An administrator at work on a host that then does something new is D07's business: both hops must tell. A
         * relay over edges that were always there is somebody's proxy.
         * A declared jump host is told apart, so that what it does can be told of whoever sits at it. */
        if (ret->jump)
                return is_new;
        return (is_new && in->new_ms) || (ret->relay && (is_new || in->new_ms));
}

/* What goes out of one pivot on one day is told at the 1st, 2nd, 4th, 8th ... chain and for each new target segment:
 * between these the fan-out says it. */
static bool pivot_is_step(struct sw_inbound_host *h, const struct sw_conn_event *ev, bool created)
{
        uint32_t i, day = sw_etime_day(ev->time);

        if (h->told.day != day) {
                h->told.day = day;
                h->told.n_chains = h->told.n_segments = 0;
        }
        h->told.n_chains += created;
        for (i = 0; i < h->told.n_segments && h->told.segments[i] != ev->dst_segment;)
                i++;
        if (i == h->told.n_segments && h->told.n_segments < sizeof(h->told.segments) / sizeof(h->told.segments[0])) {
                h->told.segments[h->told.n_segments++] = ev->dst_segment;
                return true;
        }
        return (h->told.n_chains & (h->told.n_chains - 1)) == 0;
}

static bool pivot_already_told(struct sw_tables *own, const struct sw_conn_event *ev, struct sw_inbound_host *h,
        const struct pivot_verdict *best, bool alone)
{
        struct {
                uint32_t root, pivot, target, score;
        } key = { best->path.hosts[best->path.n - 1], ev->src, ev->dst, 0 };
        struct pivot_told *t;
        bool created;

        t = sw_table_insert(&own->t[TABLE_TOLD], &key, &created);
        if (!t)
                return true;
        if (!created && ev->time.ms - t->raised_ms < AGAIN_MS && (!alone || t->score))
                return true;
        t->raised_ms = ev->time.ms;
        t->score = alone;
        return !pivot_is_step(h, ev, created) && !(alone && !created);
}

static int pivot_raise(const struct sw_view *v, const struct sw_conn_event *ev, const struct pivot_verdict *best,
        bool alone, struct sw_signals *out)
{
        struct sw_signal *s = sw_raise(out, SW_DETECTOR_PIVOT_CHAIN, ev);
        uint32_t i, n = best->path.n;
        const struct sw_host *root;

        if (!s)
                return -SW_ERR_NOMEM;
        for (i = 0; i < n; i++)
                s->chain[i] = best->path.hosts[n - 1 - i];
        s->n_chain = n;
        root = sw_view_host(v, s->chain[0]);
        s->actor = root && sw_raise_is_internet(root->segment) ? s->chain[1] : s->chain[0];
        root = sw_view_host(v, s->actor);
        s->src_segment = root ? root->segment : ev->src_segment;
        s->value = n - 1;
        s->threshold = 2;
        s->window_ms = ev->time.ms - best->path.hops[n - 2]->start_ms;
        s->confidence_pct = (uint8_t)(best->score > 100 ? 100 : best->score);
        if (ev->src_host->pinned_roles & SW_HOST_ROLE(SHARED))
                s->confidence_pct = sw_raise_scale(s->confidence_pct, 50);
        s->weight_pct = best->jump ? 0 : 80;
        s->variant = best->jump ? VARIANT_JUMP : best->relay ? VARIANT_RELAY : VARIANT_CHAIN;
        s->techniques = (uint16_t)(1 | (best->relay ? 2 : 0));
        s->alone = alone;
        for (i = n - 2; i > 0 && s->n_evidence < SW_SIGNAL_EVIDENCE - 1; i--)
                s->evidence[s->n_evidence++] = best->path.hops[i]->first;
        if (s->n_evidence > 0)
                s->first = s->evidence[0].time;
        sw_raise_add_tuple(s, ev);
        return 0;
}

/* ev leads from B to C: is somebody on B right now, or was a moment ago? */
static int pivot_look_back(struct sw_tables *own, const struct pivot_chain_conf *c, const struct sw_view *v,
        const struct sw_conn_event *ev, struct sw_signals *out)
{
        struct sw_inbound_host *h = sw_inbound_host(&own->t[TABLE_HOSTS], ev->src);
        struct pivot_verdict best = { .score = 0 }, one;
        const struct sw_inbound *ring;
        uint32_t i, n_at_jump = 0;
        bool alone;

        if (!h || pivot_is_relayer(v, ev->src_segment, ev->src_host))
                return 0;
        ring = sw_inbound_ring(&own->t[TABLE_HOSTS], h);
        for (i = 0; i < h->n; i++) {
                if (!pivot_judge(own, v, ev, &ring[i], &one))
                        continue;
                n_at_jump += one.jump;
                if (pivot_better(v, &one, &best))
                        best = one;
        }
        if (best.path.n == 0 || n_at_jump > 1 || best.score < c->score_pct)
                return 0;
        alone = !best.jump && (best.score >= c->alone_score_pct || best.path.n - 1 >= c->alone_hops);
        if (pivot_already_told(own, ev, h, &best, alone))
                return 0;
        return pivot_raise(v, ev, &best, alone, out);
}

static void pivot_ended(struct sw_tables *own, const struct sw_conn_event *ev)
{
        const uint32_t key[2] = { ev->conn, 0 };
        struct pivot_flow *f;

        sw_inbound_end(&own->t[TABLE_HOSTS], ev);
        if (ev->type != SW_CONN_CLOSED)
                return;
        f = sw_table_find(&own->t[TABLE_FLOWS], &key);
        if (!f)
                return;
        pivot_on_evict(own, f);
        sw_table_remove_id(&own->t[TABLE_FLOWS], sw_table_id(&own->t[TABLE_FLOWS], f));
}

static int pivot_on_event(struct sw_tables *own, const void *conf, const struct sw_view *v,
        const struct sw_conn_event *ev, struct sw_signals *out)
{
        struct sw_table *hosts = &own->t[TABLE_HOSTS];
        bool internet = sw_raise_is_internet(ev->src_segment);
        struct sw_series_ref s;

        if (!sw_raise_is_internal(ev->dst_segment, ev->dst_host) || ev->src_segment == SW_SEGMENT_PLATFORM ||
                ev->service == SW_SERVICE_KRB || ev->service == SW_SERVICE_LDAP)
                return 0;
        switch (ev->type) {
        case SW_CONN_OPENED:
                sw_inbound_add(hosts, ev);
                return 0;
        case SW_CONN_SUCCEEDED:
                sw_inbound_add(hosts, ev);
                return internet ? 0 : pivot_look_back(own, conf, v, ev, out);
        case SW_CONN_PROGRESSED:
                sw_inbound_progress(hosts, ev);
                /* A rhythm shows after a while: look again at every fourth minute. */
                if (!pivot_series_add(own, ev, &s) || internet || *s.n < 4 || *s.n % 4 != 0 ||
                        ev->outcome != SW_OUTCOME_OK)
                        return 0;
                return pivot_look_back(own, conf, v, ev, out);
        default:
                pivot_ended(own, ev);
                return 0;
        }
}

static void pivot_soon(const struct sw_tables *own, const struct sw_conn_soon *ev, struct sw_ahead *a)
{
        const uint32_t key[2] = { ev->conn, 0 };

        if (ev->learning || !(ev->events & SW_ON(PROGRESSED)))
                return;
        sw_ahead_look(a, &own->t[TABLE_FLOWS], key);
        if (sw_raise_controls(ev->service))
                sw_ahead_look(a, &own->t[TABLE_HOSTS], &ev->dst);
}

static void pivot_tell(struct sw_buf *out, const struct sw_view *v, const struct sw_signal *s)
{
        uint32_t i;

        if (s->variant == VARIANT_JUMP)
                sw_buf_puts(out, "worked through a jump host: ");
        else
                sw_buf_printf(out, "moved on over %u hops: ", (unsigned)s->value);
        for (i = 0; i < s->n_chain; i++) {
                if (i > 0)
                        sw_buf_puts(out, " -> ");
                sw_say_host(out, v, s->chain[i]);
        }
        sw_buf_puts(out, " in ");
        sw_say_segment(out, v, s->dst_segment);
        sw_buf_printf(out, ", the last one with %s, in ", sw_service_text(s->service));
        sw_say_span(out, s->window_ms);
        if (s->variant == VARIANT_RELAY)
                sw_buf_puts(out, "; both connections carry the same traffic");
}

const struct sw_detector sw_det_pivot_chain = {
        .name = "pivot_chain",
        .code = "D08",
        .summary = "An administrative connection made from a host that was itself being administered",
        .title = "Pivot chain",
        .noun = "pivot",
        .options = options,
        .conf_size = sizeof(struct pivot_chain_conf),
        .techniques = techniques,
        .tables = {
                SW_INBOUND_DECLARE(8, 5),
                { { "pivot_flows", 2, sizeof(struct pivot_flow), 8, pivot_on_evict, NULL }, 16 },
                { { "pivot_long", 1, sizeof(struct pivot_long), 8, NULL, NULL }, 2 },
                { { "pivot_told", 1, sizeof(struct pivot_told), 12, NULL, NULL }, 1 },
        },
        .needs_baseline = true,
        .admin_only = true,
        .events = SW_ON(OPENED) | SW_ON(SUCCEEDED) | SW_ON(PROGRESSED) | SW_ON(FAILED) | SW_ON(DENIED) | SW_ON(CLOSED),
        .on_event = pivot_on_event,
        .soon = pivot_soon,
        .tell = pivot_tell,
};

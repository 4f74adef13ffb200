/* SPDX-License-Identifier: Apache-2.0 */
#include "aggregate/conns_int.h"

#include "aggregate/outcome.h"

#include <limits.h>

struct rpc_row {
        uint32_t src, dst; /* host serials */
        uint32_t sec, pad;
};

/* An evicted life says nothing more; its hosts may go. */
static void conns_on_evict(void *ctx, void *entry)
{
        struct sw_conns *c = ctx;
        struct sw_conn *x = entry;

        sw__conns_more_drop(c, x);
        sw_hosts_pin(&c->view->world->hosts, x->src, false);
        sw_hosts_pin(&c->view->world->hosts, x->dst, false);
}

static void fill_services(struct sw_conns *c)
{
        unsigned s, nth, port;
        struct sw_port_range p;

        for (s = 0; s < SW_N_SERVICES; s++)
                for (nth = 0; sw_service_port((enum sw_service)s, nth, &p); nth++)
                        for (port = p.lo; port <= p.hi; port++) {
                                if (p.proto != SW_PROTO_UDP)
                                        c->tcp_service[port] = (uint8_t)s;
                                if (p.proto != SW_PROTO_TCP)
                                        c->udp_service[port] = (uint8_t)s;
                        }
}

int sw_conns_new(struct sw_view *view, const struct sw_conns_conf *conf, const struct sw_conns_limits *limits,
        const struct sw_hash_key *key, struct sw_conns **ret)
{
        static const struct sw_table_spec spec = { .name = "connections",
                .version = 2,
                .entry_size = sizeof(struct sw_conn),
                .key_size = sizeof(struct sw_conn_key),
                .on_evict = conns_on_evict };
        static const struct sw_table_spec rpc_spec = {
                .name = "rpc", .version = 1, .entry_size = sizeof(struct rpc_row), .key_size = 8
        };
        struct sw_conns *c = sw_calloc(1, sizeof(*c));
        int r;

        if (!c)
                return -SW_ERR_NOMEM;
        c->view = view;
        c->conf = *conf;
        memset(c->wanted, 0xff, sizeof(c->wanted));
        memset(c->closed, 0xff, sizeof(c->closed));
        memset(c->some, 0xff, sizeof(c->some));
        r = sw_table_init(&c->table, &spec, limits->table, key, c);
        if (r == 0)
                r = sw__conns_more_init(c, limits->more, key);
        if (r == 0)
                r = sw_table_init(&c->rpc, &rpc_spec, limits->rpc, key, NULL);
        c->timers = r == 0 ? sw_timers_new(limits->timers) : NULL;
        if (r == 0 && !c->timers)
                r = -SW_ERR_NOMEM;
        if (r < 0) {
                sw_conns_free(c);
                return r;
        }
        fill_services(c);
        *ret = c;
        return 0;
}

struct sw_conns *sw_conns_free(struct sw_conns *c)
{
        if (!c)
                return NULL;
        sw_table_deinit(&c->table);
        sw_table_deinit(&c->more);
        sw_table_deinit(&c->rpc);
        sw_timers_free(c->timers);
        sw_free(c);
        return NULL;
}

static const uint64_t no_counters[SW_N_COUNTERS];

static const uint64_t *conn_total(const struct sw_conns *c, const struct sw_conn *x)
{
        if (!x->n_sides)
                return no_counters;
        return x->best < SW_CONN_SIDES_INSIDE ? x->sides[x->best].counters
                                              : sw__conns_more(c, x)->sides[x->best - SW_CONN_SIDES_INSIDE].counters;
}

static void fill_evidence(
        const struct sw_conns *c, const struct sw_conn *x, const struct sw_conn_event *ev, struct sw_evidence *e)
{
        const struct sw_conn_more *more = sw__conns_more(c, x);
        bool turned = x->flags & FLAG_REVERSED;

        e->time = x->opened;
        e->src = turned ? x->key.dst : x->key.src;
        e->dst = turned ? x->key.src : x->key.dst;
        memcpy(e->counters, more ? more->first_counters : no_counters, sizeof(e->counters));
        e->src_segment = ev->src_segment;
        e->dst_segment = ev->dst_segment;
        e->rule = x->rule;
        e->sensor = x->sensor;
        e->sport = turned ? x->key.dport : x->key.sport;
        e->dport = turned ? x->key.sport : x->key.dport;
        e->proto = x->key.proto;
        e->state = x->first_state;
        e->direction = x->direction;
        e->encryption = x->first_encryption;
        e->outcome = x->outcome;
        e->reversed = turned;
}

static int conns_emit(struct sw_conns *c, const struct sw_conn *x, enum sw_conn_event_type type, const uint64_t *delta)
{
        struct sw_conn_event *ev = &c->event;
        const struct sw_world *s = c->view->world;
        struct sw_payload payload;
        unsigned kind;

        if (!(c->some[sw_service_is_admin((enum sw_service)x->service)] >> type & 1))
                return 0;
        ev->src_host = sw_hosts_peek(&s->hosts, x->src);
        if (!ev->src_host)
                return -SW_ERR_INTERNAL;
        ev->service = (enum sw_service)x->service;
        ev->src_segment = ev->src_host->segment;
        ev->late = c->late;
        ev->learning = sw_segs_learning(&s->segs, ev->src_segment, c->view->now, NULL);
        kind = sw_conn_kind(ev);
        if (!(c->wanted[kind] >> type & 1) || (type == SW_CONN_CLOSED && !(c->closed[kind] >> x->outcome & 1)))
                return 0;
        ev->type = type;
        ev->time = c->at;
        ev->conn = x->id;
        ev->src = x->src;
        ev->dst = x->dst;
        ev->dst_host = sw_hosts_peek(&s->hosts, x->dst);
        if (!ev->dst_host)
                return -SW_ERR_INTERNAL;
        ev->dst_segment = ev->dst_host->segment;
        ev->outcome = (enum sw_outcome)x->outcome;
        ev->tainted = ev->src_host->n_taints > 0;
        ev->rarity = x->rarity;
        ev->opened = x->opened;
        ev->last = x->last;
        memcpy(ev->total, conn_total(c, x), sizeof(ev->total));
        if (delta)
                memcpy(ev->delta, delta, sizeof(ev->delta));
        else
                memset(ev->delta, 0, sizeof(ev->delta));
        payload = sw_outcome_payload(&x->key, ev->total);
        ev->payload_fwd = payload.fwd;
        ev->payload_rev = payload.rev;
        fill_evidence(c, x, ev, &ev->first);
        return c->sink(c->ctx, ev);
}

/* FAILED or DENIED. */
static int conns_emit_failure(struct sw_conns *c, const struct sw_conn *x, enum sw_conn_event_type type)
{
        struct sw_host *src = sw_hosts_at(&c->view->world->hosts, x->src);

        if (src)
                sw_host_fails(src, x->dst, x->flags & FLAG_REVERSED ? x->key.sport : x->key.dport, x->key.proto);
        return conns_emit(c, x, type, NULL);
}

static void conns_arm(struct sw_conns *c, struct sw_conn *x, int64_t after_ms)
{
        struct sw_etime at = sw_etime_add(c->view->now, after_ms);

        x->due = (uint32_t)sw_timers_arm(c->timers, c->view->now, at, x->id).ms;
}

static int64_t conns_idle_ms(const struct sw_conns *c, const struct sw_conn *x)
{
        return x->key.proto == SW_PROTO_TCP ? c->conf.tcp_idle_ms : c->conf.udp_idle_ms;
}

/* Roles are reversed when the start was not seen and only the source port is one that serves. */
static bool is_turned(const struct sw_conns *c, const struct sw_otuple *t)
{
        const struct sw_conn_key *k = &t->key;

        return (t->state == SW_STATE_CONTINUE || t->state == SW_STATE_END) && k->sport < 32768 && k->dport >= 32768 &&
               sw__conns_port_service(c, k->proto, k->sport) != SW_SERVICE_OTHER;
}

/* Class of the connection; remembers 135 and 445 so that dynamic ports that follow are known as RPC. */
static enum sw_service conns_service(
        struct sw_conns *c, const struct sw_host *src, const struct sw_host *dst, uint8_t proto, uint16_t dport)
{
        enum sw_service service = sw__conns_port_service(c, proto, dport);
        uint32_t key[2] = { src->serial, dst->serial }, sec = (uint32_t)(c->view->now.ms / SW_SECOND);
        struct rpc_row *row;
        bool created;

        if (proto != SW_PROTO_TCP)
                return service;
        if (dport == 135 || dport == 445) {
                row = sw_table_insert(&c->rpc, key, &created);
                if (row)
                        row->sec = sec;
                return service;
        }
        if (dport < 49152 || service != SW_SERVICE_OTHER)
                return service;
        row = sw_table_find(&c->rpc, key);
        return row && sec <= row->sec + SW_CONN_RPC_MS / SW_SECOND ? SW_SERVICE_RPC : service;
}

/* A tuple in the orientation of its connection. */
struct folded {
        const struct sw_otuple *t;
        uint64_t counters[SW_N_COUNTERS];
        uint32_t fold;
        uint8_t direction;
        bool known; /* its counters say something: those of a B or D only if they are not 0 */
};

static struct folded orient(const struct sw_otuple *t, bool turned)
{
        struct folded f = { .t = t, .direction = t->direction };

        f.fold = t->fold;
        memcpy(f.counters, t->counters, sizeof(f.counters));
        if (turned) {
                f.counters[SW_PACKETS_FWD] = t->counters[SW_PACKETS_REV];
                f.counters[SW_BYTES_FWD] = t->counters[SW_BYTES_REV];
                f.counters[SW_PACKETS_REV] = t->counters[SW_PACKETS_FWD];
                f.counters[SW_BYTES_REV] = t->counters[SW_BYTES_FWD];
                f.direction = t->direction == SW_INBOUND ? SW_OUTBOUND : SW_INBOUND;
        }
        f.known = t->counters_present && (t->state == SW_STATE_CONTINUE || t->state == SW_STATE_END ||
                                                 (t->counters[0] | t->counters[1] | t->counters[2] | t->counters[3]));
        return f;
}

static void own_end(struct sw_conns *c, const struct sw_conn *x, const struct folded *f)
{
        const struct sw_directory_sensor *s = sw_directory_sensor_at(&c->view->world->directory, f->t->sensor);
        struct sw_hosts *hosts = &c->view->world->hosts;
        struct sw_host *own = sw_hosts_at(hosts, f->direction == SW_OUTBOUND ? x->src : x->dst);
        struct sw_str vnet = SW_STR_NULL, subnet = SW_STR_NULL;

        if (!own || own->mac || !s->mac)
                return;
        if (s->has_subnet)
                (void)sw_directory_subnet(
                        sw_directory_text(&c->view->world->directory, s->target, s->n_target), &vnet, &subnet);
        sw_hosts_own(hosts, own, s->mac, vnet, subnet);
}

/* A rule says nothing without the side it was applied on. */
static void conn_decided_by(struct sw_conn *x, const struct folded *f)
{
        x->rule = f->t->rule;
        x->sensor = f->t->sensor;
        x->direction = f->direction;
}

/* Clears an entry for a new life; key, id and pinned hosts stay. */
static void conn_reset(struct sw_conns *c, struct sw_conn *x, const struct folded *f, bool turned)
{
        struct sw_conn_more *more;
        struct sw_conn_key key = x->key;
        uint32_t src = x->src, dst = x->dst, id = x->id, pair = x->pair, hash = x->hash;

        sw__conns_more_drop(c, x);
        *x = (struct sw_conn){ .key = key, .src = src, .dst = dst, .id = id, .pair = pair, .hash = hash };
        x->opened = x->last = f->t->time;
        x->outcome = SW_OUTCOME_OPEN;
        x->flags = turned ? FLAG_REVERSED : 0;
        conn_decided_by(x, f);
        x->first_state = f->t->state;
        x->first_encryption = f->t->encryption;
        if (f->counters[0] | f->counters[1] | f->counters[2] | f->counters[3]) {
                more = sw__conns_more_make(c, x);
                if (more)
                        memcpy(more->first_counters, f->counters, sizeof(more->first_counters));
        }
        c->n_opened++;
        c->n_reversed += turned;
}

static struct sw_pair *conns_pair(
        struct sw_conns *c, struct sw_conn *x, const struct sw_host *src, const struct sw_host *dst)
{
        struct sw_world *s = c->view->world;

        return sw_pairs_get(
                &s->pairs, sw_segs_serial(&s->segs, src->segment), sw_segs_serial(&s->segs, dst->segment), &x->pair);
}

/* First tuple of a life: who, to whom, what class, how rare; OPENED unless it is denied at once. */
static int conns_begin(struct sw_conns *c, struct sw_conn *x, const struct folded *f, bool turned)
{
        struct sw_world *s = c->view->world;
        const struct sw_host *src, *dst;
        struct sw_edge_key key;
        struct sw_pair *pair;
        bool denied = f->t->state == SW_STATE_DENIED;

        conn_reset(c, x, f, turned);
        own_end(c, x, f);
        src = sw_hosts_peek(&s->hosts, x->src);
        dst = sw_hosts_peek(&s->hosts, x->dst);
        if (!src || !dst)
                return -SW_ERR_INTERNAL;
        sw_segs_touch(&s->segs, src->segment, c->view->now);
        sw_segs_touch(&s->segs, dst->segment, c->view->now);
        x->service = (uint8_t)conns_service(c, src, dst, x->key.proto, turned ? x->key.sport : x->key.dport);
        key = sw_world_edge_key(s, src, dst, (enum sw_service)x->service);
        sw_edges_hash(&s->edges, &key);
        x->edge_hash = key.hash;
        if (sw_service_is_admin((enum sw_service)x->service) && !denied) {
                x->rarity = (uint8_t)sw_edges_rarity(&s->edges, &key, c->view->now, true);
                if (!(dst->served >> x->service & 1))
                        x->rarity |= SW_RARE_NOT_SERVER;
        }
        pair = conns_pair(c, x, src, dst);
        if (pair)
                sw_pairs_hosts(&s->pairs, pair, src, dst);
        if (denied)
                return 0;
        if (pair)
                pair->flows_allowed++;
        x->flags |= FLAG_ALLOWED;
        conns_arm(c, x, conns_idle_ms(c, x));
        return conns_emit(c, x, SW_CONN_OPENED, NULL);
}

/* Makes the entry of a five-tuple that is not in the table. *ret NULL: there is no room for it or its hosts. */
static void conns_insert(struct sw_conns *c, const struct sw_otuple *t, const struct sw_conns_ahead *a, bool turned,
        struct sw_conn **ret)
{
        struct sw_hosts *hosts = &c->view->world->hosts;
        struct sw_host_probe logged_src = a->begins ? a->src : sw_hosts_probe(hosts, t->key.realm, &t->key.src);
        struct sw_host_probe logged_dst = a->begins ? a->dst : sw_hosts_probe(hosts, t->key.realm, &t->key.dst);
        struct sw_conn *x;
        uint32_t id, src, dst;
        bool created;

        *ret = NULL;
        x = sw_table_insert_id_hashed(&c->table, &t->key, a->hash, &created, &id);
        if (!x)
                return;
        /* The entry must not be taken for the pair (0, 0) should interning hosts ever touch this table. */
        x->id = id;
        x->hash = (uint32_t)a->hash;
        x->pair = SW_TABLE_NO_ID;
        if (!sw_hosts_intern_probe(hosts, turned ? &logged_dst : &logged_src, c->view->now, &src)) {
                c->n_no_host++;
                sw_table_remove_id(&c->table, id);
                return;
        }
        sw_hosts_pin(hosts, src, true);
        if (!sw_hosts_intern_probe(hosts, turned ? &logged_src : &logged_dst, c->view->now, &dst)) {
                c->n_no_host++;
                sw_hosts_pin(hosts, src, false);
                sw_table_remove_id(&c->table, id);
                return;
        }
        sw_hosts_pin(hosts, dst, true);
        x->src = src;
        x->dst = dst;
        *ret = x;
}

static void conns_remove(struct sw_conns *c, struct sw_conn *x)
{
        sw__conns_more_drop(c, x);
        sw_hosts_pin(&c->view->world->hosts, x->src, false);
        sw_hosts_pin(&c->view->world->hosts, x->dst, false);
        sw_table_remove_id_hashed(&c->table, x->id, x->hash);
}

static struct sw_conn_side *conn_side(struct sw_conns *c, struct sw_conn *x, const struct folded *f)
{
        struct sw_conn_side *side;
        unsigned i;

        for (i = 0; i < x->n_sides; i++) {
                side = conns_side_at(c, x, i);
                if (side->sensor == f->fold && side->direction == f->direction)
                        return side;
        }
        if (i == SW_CONN_SIDES || (i >= SW_CONN_SIDES_INSIDE && !sw__conns_more_make(c, x)))
                return NULL;
        x->n_sides++;
        side = conns_side_at(c, x, i);
        side->sensor = f->fold;
        side->direction = f->direction;
        if (i > 0)
                own_end(c, x, f);
        return side;
}

static uint64_t side_packets(const struct sw_conn_side *s)
{
        uint64_t sum;

        return __builtin_add_overflow(s->counters[SW_PACKETS_FWD], s->counters[SW_PACKETS_REV], &sum) ? UINT64_MAX
                                                                                                      : sum;
}

static void side_best(struct sw_conns *c, struct sw_conn *x, const struct sw_conn_side *side)
{
        unsigned i;

        if (side_packets(side) <= side_packets(conns_side_at(c, x, x->best)))
                return;
        for (i = 0; conns_side_at(c, x, i) != side; i++)
                ;
        x->best = (uint8_t)i;
}

/* Adds a tuple to its sensor and tells by how much the volume, which is that of the largest sensor, grew. */
static bool conns_count(
        struct sw_conns *c, struct sw_conn *x, const struct folded *f, uint64_t ret_delta[SW_N_COUNTERS])
{
        struct sw_conn_side *side = conn_side(c, x, f);
        uint64_t before[SW_N_COUNTERS];
        bool grew = false;
        unsigned i;

        if (!side)
                return false;
        side->states |= (uint8_t)(1u << f->t->state);
        if (!f->known)
                return false;
        x->flags |= FLAG_KNOWN;
        memcpy(before, conn_total(c, x), sizeof(before));
        for (i = 0; i < SW_N_COUNTERS; i++)
                if (__builtin_add_overflow(side->counters[i], f->counters[i], &side->counters[i]))
                        side->counters[i] = UINT64_MAX;
        side_best(c, x, side);
        for (i = 0; i < SW_N_COUNTERS; i++) {
                uint64_t now = conn_total(c, x)[i];

                ret_delta[i] = now > before[i] ? now - before[i] : 0;
                grew = grew || ret_delta[i];
        }
        return grew;
}

static void pair_totals(struct sw_conns *c, struct sw_conn *x, const uint64_t delta[SW_N_COUNTERS])
{
        struct sw_hosts *hosts = &c->view->world->hosts;
        struct sw_pair *pair = conns_pair(c, x, sw_hosts_peek(hosts, x->src), sw_hosts_peek(hosts, x->dst));
        unsigned i;

        for (i = 0; pair && i < SW_N_COUNTERS; i++)
                pair->totals[i] += delta[i];
}

/* What an OK connection teaches, after its event, so that detectors judge it by what was known before. */
static void conns_learn(struct sw_conns *c, const struct sw_conn *x)
{
        struct sw_world *s = c->view->world;
        struct sw_host *src = sw_hosts_at(&s->hosts, x->src), *dst = sw_hosts_at(&s->hosts, x->dst);
        enum sw_service service = (enum sw_service)x->service;
        struct sw_edge_key key = sw_world_edge_key(s, src, dst, service);
        bool tainted = src->n_taints > 0;

        if (c->at.ms <= c->view->learned_until.ms)
                return;
        key.hash = x->edge_hash;
        sw_edges_learn(&s->edges, &key, c->at, tainted);
        if (!tainted)
                sw_roles_learn(&s->roles, src, dst, service, c->at);
}

static int conns_succeed(struct sw_conns *c, struct sw_conn *x)
{
        struct sw_world *s = c->view->world;
        struct sw_edge_key key;
        int r;

        x->outcome = SW_OUTCOME_OK;
        if (x->flags & FLAG_FAILED) {
                r = conns_emit(c, x, SW_CONN_WITHDRAWN, NULL);
                if (r < 0)
                        return r;
        }
        if (!sw_service_is_admin((enum sw_service)x->service)) {
                key = sw_world_edge_key(s, sw_hosts_peek(&s->hosts, x->src), sw_hosts_peek(&s->hosts, x->dst),
                        (enum sw_service)x->service);
                key.hash = x->edge_hash;
                x->rarity = (uint8_t)sw_edges_rarity(&s->edges, &key, c->view->now, false);
        }
        x->flags |= FLAG_SUCCEEDED;
        r = conns_emit(c, x, SW_CONN_SUCCEEDED, NULL);
        if (r < 0)
                return r;
        conns_learn(c, x);
        return 0;
}

/* From here on the five-tuple only lingers. */
static int conns_close(struct sw_conns *c, struct sw_conn *x)
{
        struct sw_hosts *hosts = &c->view->world->hosts;
        struct sw_host *src = sw_hosts_at(hosts, x->src), *dst = sw_hosts_at(hosts, x->dst);

        x->life = LIFE_LINGER;
        src->last_seen = sw_etime_max(src->last_seen, x->last);
        dst->last_seen = sw_etime_max(dst->last_seen, x->last);
        conns_arm(c, x, SW_CONN_LINGER_MS);
        return conns_emit(c, x, SW_CONN_CLOSED, NULL);
}

/* End or idle: the counters decide. */
static int conns_decide(struct sw_conns *c, struct sw_conn *x)
{
        enum sw_outcome outcome = x->flags & FLAG_SUCCEEDED
                                          ? SW_OUTCOME_OK
                                          : sw_outcome_final(&x->key, conn_total(c, x), x->flags & FLAG_KNOWN);
        int r = 0;

        if (outcome == SW_OUTCOME_OK && !(x->flags & FLAG_SUCCEEDED))
                r = conns_succeed(c, x);
        x->outcome = (uint8_t)outcome;
        if ((outcome == SW_OUTCOME_NOREPLY || outcome == SW_OUTCOME_REFUSED) && !(x->flags & FLAG_FAILED))
                r = conns_emit_failure(c, x, SW_CONN_FAILED);
        return r < 0 ? r : conns_close(c, x);
}

/* The destination's word counts; the source's only while the destination is silent. Traffic that already moved both
 * ways was let through, whatever a later rule says. */
static bool denial_decides(const struct sw_conns *c, struct sw_conn *x, const struct folded *f)
{
        const struct sw_conn_side *side;
        unsigned i;

        if (x->flags & FLAG_SUCCEEDED)
                return false;
        if (f->direction == SW_INBOUND)
                return true;
        for (i = 0; i < x->n_sides; i++) {
                side = conns_side_at(c, x, i);
                if (side->direction == SW_INBOUND && side->states & ~(1u << SW_STATE_DENIED))
                        return false;
        }
        return true;
}

static int conns_deny(struct sw_conns *c, struct sw_conn *x, const struct folded *f)
{
        struct sw_hosts *hosts = &c->view->world->hosts;
        struct sw_pair *pair = conns_pair(c, x, sw_hosts_peek(hosts, x->src), sw_hosts_peek(hosts, x->dst));
        int r;

        x->outcome = SW_OUTCOME_DENIED;
        conn_decided_by(x, f);
        if (pair) {
                pair->flows_denied++;
                if (x->flags & FLAG_ALLOWED)
                        pair->flows_allowed--;
        }
        r = conns_emit_failure(c, x, SW_CONN_DENIED);
        return r < 0 ? r : conns_close(c, x);
}

/* What an open life makes of a tuple beyond its counters. */
static int conns_progress(struct sw_conns *c, struct sw_conn *x, const struct folded *f, const uint64_t *delta)
{
        struct sw_payload payload;
        int r = 0;

        if (f->direction == SW_INBOUND && !(x->flags & FLAG_RESPONDER)) {
                x->flags |= FLAG_RESPONDER;
                conn_decided_by(x, f);
        }
        if (f->t->state == SW_STATE_DENIED)
                return denial_decides(c, x, f) ? conns_deny(c, x, f) : 0;
        if (delta) {
                pair_totals(c, x, delta);
                r = conns_emit(c, x, SW_CONN_PROGRESSED, delta);
                if (r < 0)
                        return r;
                if (!(x->flags & FLAG_SUCCEEDED)) {
                        payload = sw_outcome_payload(&x->key, conn_total(c, x));
                        if (payload.fwd && payload.rev)
                                r = conns_succeed(c, x);
                }
        }
        if (r == 0 && f->t->state == SW_STATE_CONTINUE && x->outcome == SW_OUTCOME_OPEN && x->flags & FLAG_KNOWN &&
                conn_total(c, x)[SW_PACKETS_REV] == 0 && f->t->time.ms - x->opened.ms >= SW_CONN_NOREPLY_MS) {
                x->outcome = SW_OUTCOME_NOREPLY;
                x->flags |= FLAG_FAILED;
                r = conns_emit_failure(c, x, SW_CONN_FAILED);
        }
        if (f->t->state == SW_STATE_END && x->life == LIFE_OPEN) {
                x->life = LIFE_ENDED;
                conns_arm(c, x, SW_CONN_DECIDE_MS);
        }
        return r;
}

/* Whether a B means that the five-tuple starts again: after its end, or at a sensor that saw it end. The B of another
 * sensor within a second belongs to the life that is there: its clock only runs behind (a D before its B). */
static bool is_new_life(const struct sw_conns *c, struct sw_conn *x, const struct sw_otuple *t, uint32_t fold)
{
        const struct sw_conn_side *side;
        unsigned i;

        if (t->state != SW_STATE_BEGIN)
                return false;
        if (x->life == LIFE_LINGER) {
                for (i = 0; i < x->n_sides && conns_side_at(c, x, i)->sensor != fold; i++)
                        ;
                return i < x->n_sides || t->time.ms - x->last.ms > SW_CONN_DECIDE_MS;
        }
        for (i = 0; i < x->n_sides; i++) {
                side = conns_side_at(c, x, i);
                if (side->sensor == fold && side->states & 1u << SW_STATE_END)
                        return true;
        }
        return false;
}

int sw_conns_fold(struct sw_conns *c, const struct sw_otuple *t, const struct sw_conns_ahead *a, bool late)
{
        struct sw_conn *x = sw_table_find_hashed(&c->table, &t->key, a->hash);
        bool turned = x ? x->flags & FLAG_REVERSED : is_turned(c, t), fresh = !x;
        uint64_t delta[SW_N_COUNTERS];
        struct folded f = orient(t, turned);
        int r = 0;

        c->at = late ? t->time : c->view->now;
        c->late = late;
        if (!x) {
                conns_insert(c, t, a, turned, &x);
                if (!x)
                        return 0;
        } else if (is_new_life(c, x, t, f.fold)) {
                if (x->life != LIFE_LINGER)
                        r = conns_decide(c, x);
                if (r < 0)
                        return r;
                /* A start tells who starts it: a turn that was guessed before is undone. */
                if (turned) {
                        uint32_t src = x->src;

                        x->src = x->dst;
                        x->dst = src;
                        turned = false;
                        f = orient(t, false);
                }
                fresh = true;
        }
        if (fresh)
                r = conns_begin(c, x, &f, turned);
        if (r < 0)
                return r;
        x->last = sw_etime_max(x->last, t->time);
        if (!conns_count(c, x, &f, delta))
                return x->life == LIFE_LINGER ? 0 : conns_progress(c, x, &f, NULL);
        if (x->life != LIFE_LINGER)
                return conns_progress(c, x, &f, delta);
        pair_totals(c, x, delta);
        return 0;
}

int sw_conns_timer(struct sw_conns *c)
{
        struct sw_etime now = c->view->now, idle_end;
        uint32_t id = sw_timers_pop(c->timers);
        struct sw_conn *x = sw_table_at(&c->table, id);

        sw__conns_timers_ahead(c, c->timers->next_due == 1);
        if (!x || x->due != (uint32_t)now.ms)
                return 0;
        c->at = now;
        c->late = false;
        if (x->life == LIFE_LINGER) {
                conns_remove(c, x);
                return 0;
        }
        if (x->life == LIFE_ENDED)
                return conns_decide(c, x);
        idle_end = sw_etime_add(x->last, conns_idle_ms(c, x));
        if (idle_end.ms <= now.ms)
                return conns_decide(c, x);
        conns_arm(c, x, idle_end.ms - now.ms);
        return 0;
}

size_t sw_conns_bytes(const struct sw_conns *c)
{
        return c->table.bytes + c->more.bytes + c->rpc.bytes + c->timers->bytes;
}

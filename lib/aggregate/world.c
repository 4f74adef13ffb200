/* SPDX-License-Identifier: Apache-2.0 */
#include "aggregate/world.h"

int sw_world_init(struct sw_world *s, const struct sw_segments *segments, int64_t learning_ms,
        const struct sw_world_limits *limits, const struct sw_hash_key *key)
{
        int r;

        *s = (struct sw_world){ 0 };
        r = sw_directory_init(&s->directory, limits->directory, key);
        if (r == 0)
                r = sw_segs_init(&s->segs, segments, learning_ms, limits->segs, key);
        if (r == 0)
                r = sw_hosts_init(&s->hosts, &s->segs, limits->hosts, limits->hosts_internet, key);
        if (r == 0)
                r = sw_edges_init(&s->edges, limits->edges, limits->classes, key);
        if (r == 0)
                r = sw_roles_init(&s->roles, limits->roles, limits->fanout, key);
        if (r == 0)
                r = sw_pairs_init(&s->pairs, limits->pairs, limits->sketches, key);
        return r;
}

void sw_world_deinit(struct sw_world *s)
{
        if (!s)
                return;
        sw_pairs_deinit(&s->pairs);
        sw_roles_deinit(&s->roles);
        sw_edges_deinit(&s->edges);
        sw_hosts_deinit(&s->hosts);
        sw_segs_deinit(&s->segs);
        sw_directory_deinit(&s->directory);
}

int sw_world_set_conf(struct sw_world *s, const struct sw_segments *segments, int64_t learning_ms)
{
        int r = sw_segs_set_conf(&s->segs, segments, learning_ms);

        if (r < 0)
                return r;
        sw_hosts_resolve_again(&s->hosts);
        sw_directory_set_segments(&s->directory, segments);
        return 0;
}

struct sw_edge_key sw_world_edge_key(
        const struct sw_world *s, const struct sw_host *src, const struct sw_host *dst, enum sw_service service)
{
        return (struct sw_edge_key){
                .src = src->serial,
                .dst = dst->serial,
                .src_segment = sw_segs_serial(&s->segs, src->segment),
                .dst_segment = sw_segs_serial(&s->segs, dst->segment),
                .service = service,
        };
}

struct sw_etime sw_view_now(const struct sw_view *v)
{
        return v->now;
}

const struct sw_segments *sw_view_segments(const struct sw_view *v)
{
        return v->world->segs.conf;
}

const struct sw_segment *sw_view_segment(const struct sw_view *v, uint32_t id)
{
        return sw_segs_get(&v->world->segs, id);
}

const struct sw_host *sw_view_host(const struct sw_view *v, uint32_t id)
{
        return sw_hosts_peek(&v->world->hosts, id);
}

bool sw_view_learning(const struct sw_view *v, uint32_t segment, struct sw_etime *ret_until)
{
        struct sw_etime until = SW_ETIME_NONE;
        bool learning = sw_segs_learning(&v->world->segs, segment, v->now, &until);

        if (ret_until)
                *ret_until = until;
        return learning;
}

bool sw_view_edge(
        const struct sw_view *v, uint32_t src, uint32_t dst, enum sw_service service, struct sw_edge_info *ret)
{
        const struct sw_host *a = sw_view_host(v, src), *b = sw_view_host(v, dst);
        struct sw_edge_key key;

        if (!a || !b)
                return false;
        key = sw_world_edge_key(v->world, a, b, service);
        sw_edges_hash(&v->world->edges, &key);
        return sw_edges_get(&v->world->edges, &key, v->now, ret);
}

uint32_t sw_view_fanout_max(const struct sw_view *v, uint32_t src, enum sw_service service)
{
        const struct sw_host *h = sw_view_host(v, src);

        return h ? sw_roles_fanout_max(&v->world->roles, h->serial, service, v->now) : 0;
}

bool sw_view_is_admin_source(const struct sw_view *v, uint32_t src, enum sw_service service)
{
        const struct sw_host *h = sw_view_host(v, src);

        return h && sw_roles_is_admin(&v->world->roles, h->serial, service, v->now);
}

struct sw_rule sw_view_rule(const struct sw_view *v, uint32_t rule)
{
        return sw_directory_rule_at(&v->world->directory, rule);
}

struct sw_sensor sw_view_sensor(const struct sw_view *v, uint32_t sensor)
{
        const struct sw_directory *d = &v->world->directory;
        const struct sw_directory_sensor *s = sw_directory_sensor_at(d, sensor);

        return (struct sw_sensor){
                .flow_log = sw_directory_text(d, s->flow_log, s->n_flow_log),
                .target = sw_directory_text(d, s->target, s->n_target),
                .mac = s->mac,
                .kind = (enum sw_kind)s->kind,
        };
}

void sw_view_taint(struct sw_view *v, uint32_t host, bool on)
{
        sw_hosts_taint(&v->world->hosts, host, on);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "aggregate/world.h"

#include <criterion/criterion.h>
#include <stdio.h>

#define T0 INT64_C(1767571200000)
static const struct sw_hash_key seed = { 1, 2 };

struct world {
        struct sw_segments *segments;
        struct sw_world w;
        struct sw_view view;
};

static struct sw_etime at(int64_t ms)
{
        return (struct sw_etime){ T0 + ms };
}

static struct sw_addr address(const char *text)
{
        struct sw_addr a;

        cr_assert(sw_addr_parse(sw_str_of(text), &a));
        return a;
}

/* cidr NULL: nothing configured. */
static struct sw_segments *segments(const char *name, const char *cidr)
{
        struct sw_prefix p;
        struct sw_segment_spec s = { .segment = { .name = name, .criticality = 2 }, .cidrs = &p, .n_cidrs = 1 };
        struct sw_segments_spec spec = { .segments = &s, .n_segments = cidr != NULL };
        struct sw_segments *ret;

        cr_assert(!cidr || sw_prefix_parse(sw_str_of(cidr), &p, NULL));
        cr_assert_eq(sw_segments_new(&spec, &ret, NULL), 0);
        return ret;
}

static void world_init(struct world *x, const char *name, const char *cidr, size_t host_bytes)
{
        const struct sw_world_limits limits = { .directory = 1 << 20,
                .segs = 1 << 20,
                .hosts = host_bytes,
                .hosts_internet = host_bytes,
                .edges = 1 << 20,
                .classes = 1 << 20,
                .roles = 1 << 20,
                .fanout = 1 << 20,
                .pairs = 1 << 20,
                .sketches = 1 << 20 };

        x->segments = segments(name, cidr);
        cr_assert_eq(sw_world_init(&x->w, x->segments, 7 * SW_DAY, &limits, &seed), 0);
        x->view = (struct sw_view){ at(0), &x->w };
}

static void world_deinit(struct world *x)
{
        sw_world_deinit(&x->w);
        sw_segments_free(x->segments);
}

static uint32_t host(struct world *x, const char *text)
{
        struct sw_addr a = address(text);
        uint32_t id;

        cr_assert(sw_hosts_intern(&x->w.hosts, 0, &a, x->view.now, &id));
        return id;
}

static const char *segment_of(struct world *x, uint32_t id)
{
        return sw_view_segment(&x->view, sw_view_host(&x->view, id)->segment)->name;
}

Test(world, hosts_outside_segments_get_an_implicit_one)
{
        struct world x;
        struct sw_segments *next;
        uint32_t a, b, c;

        world_init(&x, "db", "10.1.2.0/24", 1 << 20);
        a = host(&x, "10.1.2.9");
        b = host(&x, "10.1.3.9");
        c = host(&x, "fd00:0:0:5::9");
        cr_assert_str_eq(segment_of(&x, a), "db");
        cr_assert_str_eq(segment_of(&x, b), "10.1.3.0/24");
        cr_assert_str_eq(segment_of(&x, c), "fd00:0:0:5::/64");
        cr_assert_eq(sw_view_host(&x.view, host(&x, "10.1.3.200"))->segment, sw_view_host(&x.view, b)->segment);
        cr_assert_str_eq(segment_of(&x, host(&x, "8.8.8.8")), "internet");
        next = segments("other", "10.1.3.0/24");
        cr_assert_eq(sw_world_set_conf(&x.w, next, 7 * SW_DAY), 0);
        cr_assert_str_eq(segment_of(&x, a), "10.1.2.0/24");
        cr_assert_str_eq(segment_of(&x, b), "other");
        world_deinit(&x);
        sw_segments_free(next);
}

Test(world, the_subnet_of_the_own_flow_log_names_the_implicit_segment)
{
        struct world x;
        uint32_t id;

        world_init(&x, "db", "10.1.2.0/24", 1 << 20);
        id = host(&x, "10.9.0.4");
        sw_segs_touch(&x.w.segs, sw_view_host(&x.view, id)->segment, at(-SW_DAY));
        sw_hosts_own(&x.w.hosts, sw_hosts_at(&x.w.hosts, id), 5, SW_STR("Hub"), SW_STR("App"));
        cr_assert_str_eq(segment_of(&x, id), "hub/app");
        cr_assert_eq(sw_view_host(&x.view, id)->mac, 5);
        cr_assert(sw_view_learning(&x.view, sw_view_host(&x.view, id)->segment, &x.view.now));
        cr_assert_eq(x.view.now.ms, T0 + 6 * SW_DAY, "the clock of the /24 is taken over");
        world_deinit(&x);
}

Test(world, learning_ends_exactly_after_its_time_and_renaming_does_not_restart_it)
{
        struct world x;
        struct sw_segments *renamed;
        uint32_t id, old;

        world_init(&x, "db", "10.1.2.0/24", 1 << 20);
        id = host(&x, "10.1.2.9");
        old = sw_view_host(&x.view, id)->segment;
        sw_segs_touch(&x.w.segs, old, at(0));
        sw_segs_touch(&x.w.segs, old, at(SW_DAY));
        x.view.now = at(7 * SW_DAY - 1);
        cr_assert(sw_view_learning(&x.view, old, NULL));
        x.view.now = at(7 * SW_DAY);
        cr_assert_not(sw_view_learning(&x.view, old, NULL));
        renamed = segments("database", "10.1.0.0/16");
        cr_assert_eq(sw_world_set_conf(&x.w, renamed, 7 * SW_DAY), 0);
        cr_assert_str_eq(segment_of(&x, id), "database");
        cr_assert_not(sw_view_learning(&x.view, sw_view_host(&x.view, id)->segment, NULL));
        cr_assert_eq(sw_world_set_conf(&x.w, renamed, 8 * SW_DAY), 0);
        cr_assert(sw_view_learning(&x.view, sw_view_host(&x.view, id)->segment, NULL));
        cr_assert_eq(sw_world_set_conf(&x.w, renamed, 0), 0);
        x.view.now = at(0);
        cr_assert_not(sw_view_learning(&x.view, sw_view_host(&x.view, id)->segment, NULL), "0 switches it off");
        world_deinit(&x);
        sw_segments_free(renamed);
}

Test(world, a_flood_of_internet_hosts_evicts_no_internal_one_and_no_pinned_one)
{
        struct world x;
        uint32_t internal, pinned, i, serial;

        world_init(&x, NULL, NULL, 64 << 10);
        internal = host(&x, "10.0.0.1");
        pinned = host(&x, "9.9.9.9");
        serial = sw_view_host(&x.view, pinned)->serial;
        sw_view_taint(&x.view, pinned, true);
        for (i = 0; i < 50000; i++) {
                struct sw_addr a = sw_addr_v4(0x08000000 + i);
                uint32_t id;

                cr_assert(sw_hosts_intern(&x.w.hosts, 0, &a, at(i), &id));
        }
        cr_assert_gt(x.w.hosts.internet.n_evicted, 40000);
        cr_assert_leq(x.w.hosts.internet.bytes, (size_t)64 << 10);
        cr_assert_eq(x.w.hosts.internal.n_evicted, 0);
        cr_assert(sw_view_host(&x.view, internal));
        cr_assert_eq(sw_view_host(&x.view, pinned)->serial, serial);
        sw_view_taint(&x.view, pinned, false);
        cr_assert_eq(sw_view_host(&x.view, pinned)->n_pins, 0);
        world_deinit(&x);
}

static void learn(struct world *x, uint32_t src, uint32_t dst, enum sw_service service, int64_t ms)
{
        struct sw_host *a = sw_hosts_at(&x->w.hosts, src), *b = sw_hosts_at(&x->w.hosts, dst);
        struct sw_edge_key key = sw_world_edge_key(&x->w, a, b, service);

        sw_edges_hash(&x->w.edges, &key);
        sw_edges_learn(&x->w.edges, &key, at(ms), a->n_taints > 0);
        if (!a->n_taints)
                sw_roles_learn(&x->w.roles, a, b, service, at(ms));
}

static unsigned rarity(struct world *x, uint32_t src, uint32_t dst, enum sw_service service, int64_t ms)
{
        struct sw_edge_key key =
                sw_world_edge_key(&x->w, sw_hosts_at(&x->w.hosts, src), sw_hosts_at(&x->w.hosts, dst), service);

        sw_edges_hash(&x->w.edges, &key);
        return sw_edges_rarity(&x->w.edges, &key, at(ms), true);
}

Test(world, rarity_tells_edge_source_destination_and_pair_apart)
{
        const unsigned classes = SW_RARE_SRC_CLASS | SW_RARE_DST_CLASS | SW_RARE_PAIR_CLASS;
        struct world x;
        uint32_t a, a2, b, b2, c;

        world_init(&x, NULL, NULL, 1 << 20);
        a = host(&x, "10.0.0.1");
        a2 = host(&x, "10.0.0.2");
        b = host(&x, "10.0.1.1");
        b2 = host(&x, "10.0.1.2");
        c = host(&x, "10.0.2.1");
        cr_assert_eq(rarity(&x, a, b, SW_SERVICE_RDP, 0), SW_RARE_NEW_EDGE | classes);
        learn(&x, a, b, SW_SERVICE_RDP, 0);
        cr_assert_eq(rarity(&x, a, b, SW_SERVICE_RDP, 1), 0);
        cr_assert_eq(rarity(&x, a, b, SW_SERVICE_SSH, 1), SW_RARE_NEW_EDGE | classes);
        cr_assert_eq(rarity(&x, a2, b, SW_SERVICE_RDP, 1), SW_RARE_NEW_EDGE | SW_RARE_SRC_CLASS);
        cr_assert_eq(rarity(&x, a, b2, SW_SERVICE_RDP, 1), SW_RARE_NEW_EDGE | SW_RARE_DST_CLASS);
        cr_assert_eq(rarity(&x, a, c, SW_SERVICE_RDP, 1), SW_RARE_NEW_EDGE | SW_RARE_DST_CLASS | SW_RARE_PAIR_CLASS);
        cr_assert_eq(rarity(&x, b, a, SW_SERVICE_RDP, 1), SW_RARE_NEW_EDGE | classes);
        cr_assert_eq(rarity(&x, a, b, SW_SERVICE_RDP, 30 * SW_DAY + SW_DAY - 1), 0, "30 days are remembered");
        cr_assert_eq(rarity(&x, a, b, SW_SERVICE_RDP, 31 * SW_DAY), SW_RARE_NEW_EDGE | classes);
        world_deinit(&x);
}

Test(world, an_edge_knows_its_days)
{
        struct sw_edge_info info;
        struct world x;
        uint32_t a, b, day = sw_etime_day(at(0));

        world_init(&x, NULL, NULL, 1 << 20);
        a = host(&x, "10.0.0.1");
        b = host(&x, "10.0.1.1");
        cr_assert_not(sw_view_edge(&x.view, a, b, SW_SERVICE_SSH, &info));
        learn(&x, a, b, SW_SERVICE_SSH, 5 * SW_DAY + 1234);
        learn(&x, a, b, SW_SERVICE_SSH, 5 * SW_DAY + 99999);
        learn(&x, a, b, SW_SERVICE_SSH, 8 * SW_DAY);
        learn(&x, a, b, SW_SERVICE_SSH, 7 * SW_DAY); /* late */
        x.view.now = at(9 * SW_DAY);
        cr_assert(sw_view_edge(&x.view, a, b, SW_SERVICE_SSH, &info));
        cr_assert_eq(info.first_day, day + 5);
        cr_assert_eq(info.last_day, day + 8);
        cr_assert_eq(info.n_days, 3);
        cr_assert_eq(info.first_seen.ms, T0 + 5 * SW_DAY + 1000);
        cr_assert_not(info.tainted);
        world_deinit(&x);
}

Test(world, edges_of_a_host_under_an_incident_never_become_normal)
{
        struct sw_edge_info info;
        struct world x;
        uint32_t a, b;

        world_init(&x, NULL, NULL, 1 << 20);
        a = host(&x, "10.0.0.1");
        b = host(&x, "10.0.1.1");
        sw_view_taint(&x.view, a, true);
        learn(&x, a, b, SW_SERVICE_SSH, 0);
        sw_view_taint(&x.view, a, false);
        learn(&x, a, b, SW_SERVICE_SSH, SW_DAY);
        cr_assert(sw_view_edge(&x.view, a, b, SW_SERVICE_SSH, &info));
        cr_assert(info.tainted);
        cr_assert(rarity(&x, a, b, SW_SERVICE_SSH, SW_DAY) & SW_RARE_NEW_EDGE);
        cr_assert(rarity(&x, a, b, SW_SERVICE_SSH, SW_DAY) & SW_RARE_SRC_CLASS);
        world_deinit(&x);
}

Test(world, five_clients_make_a_server_and_three_services_a_domain_controller)
{
        static const enum sw_service services[] = { SW_SERVICE_KRB, SW_SERVICE_LDAP, SW_SERVICE_SMB };
        struct world x;
        uint32_t dc, s;
        int i;

        world_init(&x, NULL, NULL, 1 << 20);
        dc = host(&x, "10.0.1.1");
        for (s = 0; s < 3; s++)
                for (i = 0; i < 9; i++) {
                        char text[16];

                        (void)snprintf(text, sizeof(text), "10.0.0.%d", i % 5);
                        cr_assert_eq(sw_view_host(&x.view, dc)->served >> services[s] & 1, i >= 5);
                        cr_assert_eq(sw_host_roles(sw_view_host(&x.view, dc)) & SW_HOST_ROLE(DC), 0);
                        learn(&x, host(&x, text), dc, services[s], i);
                        if (i == 4 && s == 2)
                                break;
                }
        cr_assert(sw_host_roles(sw_view_host(&x.view, dc)) & SW_HOST_ROLE(DC));
        world_deinit(&x);
}

Test(world, an_admin_source_has_five_destinations_on_three_days)
{
        struct world x;
        uint32_t a;
        int i;

        world_init(&x, NULL, NULL, 1 << 20);
        a = host(&x, "10.0.0.1");
        for (i = 0; i < 5; i++) {
                char text[16];

                (void)snprintf(text, sizeof(text), "10.0.1.%d", i);
                learn(&x, a, host(&x, text), SW_SERVICE_SSH, i < 4 ? 0 : SW_DAY);
        }
        x.view.now = at(2 * SW_DAY);
        cr_assert_not(sw_view_is_admin_source(&x.view, a, SW_SERVICE_SSH));
        learn(&x, a, host(&x, "10.0.1.0"), SW_SERVICE_SSH, 2 * SW_DAY);
        cr_assert(sw_view_is_admin_source(&x.view, a, SW_SERVICE_SSH));
        cr_assert_not(sw_view_is_admin_source(&x.view, a, SW_SERVICE_RDP));
        x.view.now = at(34 * SW_DAY);
        cr_assert_not(sw_view_is_admin_source(&x.view, a, SW_SERVICE_SSH));
        world_deinit(&x);
}

Test(world, fan_out_of_the_days_before_is_normal_and_of_today_is_not)
{
        struct world x;
        uint32_t a;
        int i;

        world_init(&x, NULL, NULL, 1 << 20);
        a = host(&x, "10.0.0.1");
        for (i = 0; i < 9; i++) {
                char text[16];

                (void)snprintf(text, sizeof(text), "10.0.1.%d", i);
                /* six within ten minutes, three more when the first have left the window */
                learn(&x, a, host(&x, text), SW_SERVICE_SSH, i < 6 ? i * SW_MINUTE : 20 * SW_MINUTE + i);
        }
        x.view.now = at(SW_DAY - 1);
        cr_assert_eq(sw_view_fanout_max(&x.view, a, SW_SERVICE_SSH), 0);
        x.view.now = at(SW_DAY);
        cr_assert_eq(sw_view_fanout_max(&x.view, a, SW_SERVICE_SSH), 6);
        x.view.now = at(25 * SW_DAY);
        cr_assert_eq(sw_view_fanout_max(&x.view, a, SW_SERVICE_SSH), 6);
        x.view.now = at(45 * SW_DAY);
        cr_assert_eq(sw_view_fanout_max(&x.view, a, SW_SERVICE_SSH), 0);
        world_deinit(&x);
}

Test(world, distinct_hosts_of_a_pair_are_exact_to_64_and_near_beyond)
{
        struct world x;
        struct sw_pair *p;
        struct sw_host src = { .addr = address("10.0.0.1") };
        uint32_t id = SW_TABLE_NO_ID, i, n;

        world_init(&x, NULL, NULL, 1 << 20);
        for (i = 0; i < 5000; i++) {
                struct sw_host dst = { .addr = sw_addr_v4(0x0a010000 + i) };

                dst.digest = sw_hosts_digest(&dst);
                p = sw_pairs_get(&x.w.pairs, 1, 2, &id);
                cr_assert(p);
                sw_pairs_hosts(&x.w.pairs, p, &src, &dst);
                sw_pairs_hosts(&x.w.pairs, p, &src, &dst);
                n = sw_pairs_distinct(&x.w.pairs, p, 1);
                if (i < 64)
                        cr_assert_eq(n, i + 1);
                else
                        cr_assert(n > (i + 1) * 85 / 100 && n < (i + 1) * 115 / 100, "%u for %u", n, i + 1);
        }
        cr_assert_eq(sw_pairs_distinct(&x.w.pairs, p, 0), 1);
        world_deinit(&x);
}

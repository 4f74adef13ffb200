/* SPDX-License-Identifier: Apache-2.0 */
/* Segments, policy, hosts and realms: rules across them, and the read-only form that the core uses. */
#include "conf_lists.h"

#include <stdlib.h>
#include <string.h>

#define N_FIXED 5
static const char *const reserved_names[N_FIXED] = { "internet", "unassigned", "any", "default", "platform" };

static void lists_check_name(
        struct sw_conf_check *check, const struct sw_conf_place *place, const char *what, const char *name)
{
        size_t i;

        if (!sw_conf_name_ok(check, place, what, name))
                return;
        for (i = 0; name && i < N_FIXED; i++)
                if (sw_str_ieq(sw_str_of(name), sw_str_of(reserved_names[i])))
                        sw_conf_error(check, place, "'%s' is a reserved name and cannot be a %s", name, what);
}

struct lists_claim {
        const struct sw_conf_cidr *cidr;
        const struct sw_conf_segment *segment;
        const char *realm; /* "" for the default one, NULL for the space that all realms share */
        uint32_t index;
};

static int lists_claim_cmp(const void *pa, const void *pb)
{
        const struct lists_claim *a = pa, *b = pb;
        int r = sw_addr_cmp(&a->cidr->prefix.addr, &b->cidr->prefix.addr);

        if (r == 0)
                r = (a->cidr->prefix.bits > b->cidr->prefix.bits) - (a->cidr->prefix.bits < b->cidr->prefix.bits);
        if (r == 0)
                r = strcmp(a->realm ? a->realm : "", b->realm ? b->realm : "");
        return r ? r : (a->index > b->index) - (a->index < b->index);
}

static bool lists_same_claim(const struct lists_claim *a, const struct lists_claim *b)
{
        return sw_addr_cmp(&a->cidr->prefix.addr, &b->cidr->prefix.addr) == 0 &&
               a->cidr->prefix.bits == b->cidr->prefix.bits &&
               strcmp(a->realm ? a->realm : "", b->realm ? b->realm : "") == 0;
}

static void lists_check_cidrs(const struct sw_conf_lists *lists, struct sw_conf_check *check)
{
        const struct sw_conf_segment *segments = lists->segments.items;
        struct lists_claim *claims;
        char text[SW_PREFIX_TEXT];
        uint32_t n = 0, i, k;

        for (i = 0; i < lists->segments.n; i++)
                n += segments[i].cidrs.n;
        claims = sw_calloc((size_t)n + 1, sizeof(*claims));
        if (!claims) {
                check->no_memory = true;
                return;
        }
        n = 0;
        for (i = 0; i < lists->segments.n; i++)
                for (k = 0; k < segments[i].cidrs.n; k++) {
                        const struct sw_conf_cidr *c = &segments[i].cidrs.items[k];
                        const char *realm = segments[i].realm.name && !sw_segments_is_shared(&c->prefix)
                                                    ? segments[i].realm.name
                                                    : NULL;

                        claims[n] = (struct lists_claim){ c, &segments[i], realm, n };
                        n++;
                }
        if (n)
                qsort(claims, n, sizeof(*claims), lists_claim_cmp);
        for (i = 1; i < n; i++) {
                const struct lists_claim *c = &claims[i], *first = c - 1;

                if (lists_same_claim(first, c))
                        sw_conf_error(check, &c->cidr->place, "%s stands already in segment '%s' at %s:%u",
                                sw_prefix_format(&c->cidr->prefix, text),
                                first->segment->name ? first->segment->name : "", first->cidr->place.file,
                                first->cidr->place.line);
        }
        sw_free(claims);
}

static uint32_t lists_find_segment(const struct sw_conf_lists *lists, const char *name)
{
        const struct sw_conf_segment *segments = lists->segments.items;
        uint32_t i;

        if (strcmp(name, "internet") == 0)
                return SW_SEGMENT_INTERNET;
        if (strcmp(name, "unassigned") == 0)
                return SW_SEGMENT_UNASSIGNED;
        for (i = 0; i < lists->segments.n; i++)
                if (segments[i].name && strcmp(segments[i].name, name) == 0)
                        return SW_SEGMENT_FIRST + i;
        return SW_SEGMENT_ANY;
}

void sw_conf_check_ref(
        const struct sw_conf_lists *lists, const struct sw_conf_ref *ref, const char *key, struct sw_conf_check *check)
{
        const struct sw_conf_segment *segments = lists->segments.items;
        char shown[SW_CONF_SHOWN], hint[SW_CONF_HINT];
        struct sw_conf_guess g;
        uint32_t i;

        if (!ref->name || strcmp(ref->name, "any") == 0 || lists_find_segment(lists, ref->name) != SW_SEGMENT_ANY)
                return;
        g = sw_conf_guess_start(sw_str_of(ref->name));
        for (i = 0; i < lists->segments.n; i++)
                sw_conf_guess_add(&g, segments[i].name);
        for (i = 0; i < 3; i++)
                sw_conf_guess_add(&g, reserved_names[i]);
        sw_conf_error(check, &ref->place, "%s: there is no segment '%s'%s", key,
                sw_conf_show(sw_str_of(ref->name), shown), sw_conf_guess_hint(&g, hint));
}

/* Number of a realm: 0 for none and `default`, UINT16_MAX if there is none of that name. */
static uint16_t lists_find_realm(const struct sw_conf_lists *lists, const char *name)
{
        const struct sw_conf_realm *realms = lists->realms.items;
        uint32_t i;

        if (!name || strcmp(name, "default") == 0)
                return 0;
        for (i = 0; i < lists->realms.n && i < UINT16_MAX - 1u; i++)
                if (realms[i].name && strcmp(realms[i].name, name) == 0)
                        return (uint16_t)(i + 1);
        return UINT16_MAX;
}

static void lists_check_segment(
        const struct sw_conf_lists *lists, const struct sw_conf_segment *s, struct sw_conf_check *check)
{
        const struct sw_conf_realm *realms = lists->realms.items;
        char shown[SW_CONF_SHOWN], hint[SW_CONF_HINT], text[SW_PREFIX_TEXT];
        struct sw_conf_guess g;
        uint32_t i;

        lists_check_name(check, &s->place, "segment", s->name);
        if (lists_find_realm(lists, s->realm.name) == UINT16_MAX) {
                g = sw_conf_guess_start(sw_str_of(s->realm.name));
                for (i = 0; i < lists->realms.n; i++)
                        sw_conf_guess_add(&g, realms[i].name);
                sw_conf_error(check, &s->realm.place, "realm: there is no realm '%s'%s",
                        sw_conf_show(sw_str_of(s->realm.name), shown), sw_conf_guess_hint(&g, hint));
        }
        for (i = 0; i < s->cidrs.n; i++) {
                const struct sw_prefix *p = &s->cidrs.items[i].prefix;

                if (sw_segments_is_shared(p) && p->bits < (sw_addr_is_v4(&p->addr) && p->bits >= 96 ? 104 : 16))
                        sw_conf_warn(check, &s->cidrs.items[i].place,
                                "%s covers much of the Internet: its hosts will count as segment '%s', not as "
                                "internet",
                                sw_prefix_format(p, text), s->name ? s->name : "");
        }
}

static void lists_check_policy(
        const struct sw_conf_lists *lists, const struct sw_conf_policy *row, struct sw_conf_check *check)
{
        sw_conf_check_ref(lists, &row->from, "from", check);
        sw_conf_check_ref(lists, &row->to, "to", check);
        if (row->from.name && row->to.name && strcmp(row->from.name, "any") == 0 && strcmp(row->to.name, "any") == 0 &&
                row->services.n == 0)
                sw_conf_warn(check, &row->place, "this row allows everything from everywhere to everywhere");
}

void sw_conf_check_lists(const struct sw_conf_lists *lists, struct sw_conf_check *check)
{
        const struct sw_conf_segment *segments = lists->segments.items;
        const struct sw_conf_policy *policy = lists->policy.items;
        const struct sw_conf_realm *realms = lists->realms.items;
        uint32_t i, k;

        for (i = 0; i < lists->realms.n; i++) {
                lists_check_name(check, &realms[i].place, "realm", realms[i].name);
                for (k = 0; k < realms[i].flow_logs.n; k++)
                        if (strspn(realms[i].flow_logs.items[k], "/") == strlen(realms[i].flow_logs.items[k]))
                                sw_conf_error(check, &realms[i].place,
                                        "flow_logs: a prefix of resource ids is needed, as in /subscriptions/ID");
        }
        for (i = 0; i < lists->segments.n; i++)
                lists_check_segment(lists, &segments[i], check);
        for (i = 0; i < lists->policy.n; i++)
                lists_check_policy(lists, &policy[i], check);
        lists_check_cidrs(lists, check);
}

/* Building */

static bool lists_fill_segments(
        const struct sw_conf_lists *lists, struct sw_arena *arena, struct sw_segments_spec *spec)
{
        const struct sw_conf_segment *from = lists->segments.items;
        struct sw_segment_spec *to = sw_arena_alloc(arena, (size_t)(lists->segments.n + 1) * sizeof(*to));
        uint32_t i, k;

        for (i = 0; to && i < lists->segments.n; i++) {
                struct sw_prefix *cidrs = sw_arena_alloc(arena, (size_t)(from[i].cidrs.n + 1) * sizeof(*cidrs));

                if (!cidrs)
                        return false;
                for (k = 0; k < from[i].cidrs.n; k++)
                        cidrs[k] = from[i].cidrs.items[k].prefix;
                to[i] = (struct sw_segment_spec){ .segment = { .name = from[i].name,
                                                          .role = (enum sw_segment_role)from[i].role,
                                                          .criticality = (uint8_t)from[i].criticality,
                                                          .isolate = from[i].isolate },
                        .cidrs = cidrs,
                        .n_cidrs = from[i].cidrs.n,
                        .realm = lists_find_realm(lists, from[i].realm.name) };
        }
        spec->segments = to;
        spec->n_segments = lists->segments.n;
        return to;
}

static uint32_t lists_ref_id(const struct sw_conf_lists *lists, const struct sw_conf_ref *ref)
{
        return strcmp(ref->name, "any") == 0 ? SW_SEGMENT_ANY : lists_find_segment(lists, ref->name);
}

static bool lists_fill_policy(const struct sw_conf_lists *lists, struct sw_arena *arena, struct sw_segments_spec *spec)
{
        const struct sw_conf_policy *from = lists->policy.items;
        struct sw_policy_row *to = sw_arena_alloc(arena, (size_t)(lists->policy.n + 1) * sizeof(*to));
        uint32_t i;

        for (i = 0; to && i < lists->policy.n; i++)
                to[i] = (struct sw_policy_row){ .from = lists_ref_id(lists, &from[i].from),
                        .to = lists_ref_id(lists, &from[i].to),
                        .services = from[i].services.items,
                        .n_services = from[i].services.n,
                        .require_encryption = from[i].require_encryption,
                        .line = from[i].place.line };
        spec->policy = to;
        spec->n_policy = lists->policy.n;
        return to;
}

static bool lists_fill_hosts(const struct sw_conf_lists *lists, struct sw_arena *arena, struct sw_segments_spec *spec)
{
        struct sw_host_role_spec *to = sw_arena_alloc(arena, (size_t)(lists->hosts.n + 1) * sizeof(*to));
        uint32_t i;

        for (i = 0; to && i < lists->hosts.n; i++)
                to[i] = (struct sw_host_role_spec){ lists->hosts.items[i].prefix,
                        UINT32_C(1) << lists->hosts.items[i].role_bit };
        spec->host_roles = to;
        spec->n_host_roles = lists->hosts.n;
        return to;
}

static bool lists_fill_realms(const struct sw_conf_lists *lists, struct sw_arena *arena, struct sw_segments_spec *spec)
{
        const struct sw_conf_realm *from = lists->realms.items;
        struct sw_realm_spec *to = sw_arena_alloc(arena, (size_t)(lists->realms.n + 1) * sizeof(*to));
        uint32_t i;

        for (i = 0; to && i < lists->realms.n; i++)
                to[i] = (struct sw_realm_spec){ from[i].name, (const char *const *)from[i].flow_logs.items,
                        from[i].flow_logs.n };
        spec->realms = to;
        spec->n_realms = lists->realms.n;
        return to;
}

int sw_conf_build_segments(struct sw_conf *conf, struct sw_conf_check *check)
{
        const struct sw_conf_lists *lists = conf->lists;
        struct sw_segments_spec spec = { 0 };
        struct sw_arena arena = SW_ARENA_NULL;
        struct sw_err err = SW_ERR_NULL;
        int r = -SW_ERR_NOMEM;

        if (lists_fill_segments(lists, &arena, &spec) && lists_fill_policy(lists, &arena, &spec) &&
                lists_fill_hosts(lists, &arena, &spec) && lists_fill_realms(lists, &arena, &spec))
                r = sw_segments_new(&spec, &conf->segments, &err);
        if (r == -SW_ERR_CONFIG)
                sw_conf_error(check, NULL, "%s", err.msg);
        sw_arena_deinit(&arena);
        return r;
}

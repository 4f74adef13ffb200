/* SPDX-License-Identifier: Apache-2.0 */
#include "segment/segments.h"

#include "base/alloc.h"
#include "segment/lpm.h"

#include <stdlib.h>

struct segments_realm {
        char *prefix; /* folded, without a final '/' */
        size_t n;
        uint16_t realm;
};

struct sw_segments {
        struct sw_arena text;
        struct sw_segment *segments; /* the first SW_SEGMENT_FIRST are the fixed ids */
        uint32_t n_segments;         /* configured */
        uint32_t *by_name;           /* ids in order of names */
        struct sw_policy_row *policy;
        uint32_t n_policy;
        uint32_t *by_pair;  /* policy rows in order of (to, from, line) */
        uint64_t pairs[32]; /* a bit per pair that has rows; many share one. Most pairs have none. */
        struct segments_realm *realms;
        uint32_t n_realm_prefixes;
        const char **realm_names;   /* of realm i + 1; n_spaces - 1 of them */
        struct sw_lpm public_space; /* public addresses are in one space, whatever the realm */
        struct sw_lpm *spaces;      /* everything else, by realm */
        uint32_t n_spaces;
        struct sw_lpm host_roles;
};

static const char *const segment_roles[] = {
#define SW_SEGMENT_ROLE_ROW(name, text) text,
        SW_SEGMENT_ROLE_MAP(SW_SEGMENT_ROLE_ROW)
#undef SW_SEGMENT_ROLE_ROW
};
static const char *const host_roles[] = {
#define SW_HOST_ROLE_ROW(name, text) text,
        SW_HOST_ROLE_MAP(SW_HOST_ROLE_ROW)
#undef SW_HOST_ROLE_ROW
};

const char *sw_segment_role_text(enum sw_segment_role r)
{
        return (unsigned)r < SW_N_SEGMENT_ROLES ? segment_roles[r] : "none";
}

bool sw_segment_role_by_name(struct sw_str s, enum sw_segment_role *ret)
{
        unsigned i;

        for (i = 0; i < SW_N_SEGMENT_ROLES; i++)
                if (sw_str_eq(s, sw_str_of(segment_roles[i]))) {
                        *ret = (enum sw_segment_role)i;
                        return true;
                }
        return false;
}

const char *sw_host_role_text(unsigned bit)
{
        return bit < SW_N_HOST_ROLES ? host_roles[bit] : "";
}

bool sw_host_role_by_name(struct sw_str s, unsigned *ret_bit)
{
        unsigned i;

        for (i = 0; i < SW_N_HOST_ROLES; i++)
                if (sw_str_eq(s, sw_str_of(host_roles[i]))) {
                        *ret_bit = i;
                        return true;
                }
        return false;
}

bool sw_segments_is_shared(const struct sw_prefix *p)
{
        static const char *const blocks[] = { "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10",
                "169.254.0.0/16", "fc00::/7", "fe80::/10" };
        size_t i;

        for (i = 0; i < sizeof(blocks) / sizeof(*blocks); i++) {
                struct sw_prefix block;

                if (sw_prefix_parse(sw_str_of(blocks[i]), &block, NULL) && p->bits >= block.bits &&
                        sw_prefix_contains(&block, &p->addr))
                        return false;
        }
        return true;
}

struct segments_claim {
        struct sw_prefix prefix;
        uint32_t space; /* realm, or UINT32_MAX: public space */
        uint32_t id;
};

static int segments_claim_cmp(const void *pa, const void *pb)
{
        const struct segments_claim *a = pa, *b = pb;
        int r = sw_addr_cmp(&a->prefix.addr, &b->prefix.addr);

        if (r == 0)
                r = (a->prefix.bits > b->prefix.bits) - (a->prefix.bits < b->prefix.bits);
        if (r == 0)
                r = (a->space > b->space) - (a->space < b->space);
        return r ? r : (a->id > b->id) - (a->id < b->id);
}

static int segments_insert_claims(struct sw_segments *s, struct segments_claim *claims, size_t n, struct sw_err *reterr)
{
        char text[SW_PREFIX_TEXT];
        size_t i;
        int r;

        if (n)
                qsort(claims, n, sizeof(*claims), segments_claim_cmp);
        for (i = 0; i < n; i++) {
                const struct segments_claim *c = &claims[i];

                if (i && c->space == c[-1].space && c->prefix.bits == c[-1].prefix.bits &&
                        sw_addr_cmp(&c->prefix.addr, &c[-1].prefix.addr) == 0)
                        return sw_err_set(reterr, -SW_ERR_CONFIG, "%s belongs to segment '%s' and to segment '%s'",
                                sw_prefix_format(&c->prefix, text), s->segments[c[-1].id].name,
                                s->segments[c->id].name);
                r = sw_lpm_insert(
                        c->space == UINT32_MAX ? &s->public_space : &s->spaces[c->space], &c->prefix, c->id + 1);
                if (r < 0)
                        return sw_err_set(reterr, r, "segments: %s", sw_error_text(r));
        }
        return 0;
}

static int segments_add_cidrs(struct sw_segments *s, const struct sw_segments_spec *spec, struct sw_err *reterr)
{
        struct segments_claim *claims;
        size_t n = 0;
        uint32_t i, k;
        int r;

        for (i = 0; i < spec->n_segments; i++)
                n += spec->segments[i].n_cidrs;
        claims = sw_calloc(n * 2 + 1, sizeof(*claims));
        if (!claims)
                return sw_err_set(reterr, -SW_ERR_NOMEM, "segments: %s", sw_error_text(-SW_ERR_NOMEM));
        n = 0;
        for (i = 0; i < spec->n_segments; i++)
                for (k = 0; k < spec->segments[i].n_cidrs; k++) {
                        const struct sw_prefix *p = &spec->segments[i].cidrs[k];
                        uint32_t realm = spec->segments[i].realm;

                        claims[n++] =
                                (struct segments_claim){ *p, realm < s->n_spaces ? realm : 0, SW_SEGMENT_FIRST + i };
                        if (sw_segments_is_shared(p))
                                claims[n++] = (struct segments_claim){ *p, UINT32_MAX, SW_SEGMENT_FIRST + i };
                }
        r = segments_insert_claims(s, claims, n, reterr);
        sw_free(claims);
        return r;
}

static int segments_spec_by_bits(const void *pa, const void *pb)
{
        const struct sw_host_role_spec *a = pa, *b = pb;

        return (a->prefix.bits > b->prefix.bits) - (a->prefix.bits < b->prefix.bits);
}

/* A host has the roles of all prefixes that contain it: shorter prefixes go first and are inherited. */
static int segments_add_host_roles(struct sw_segments *s, const struct sw_segments_spec *spec)
{
        struct sw_host_role_spec *sorted;
        uint32_t i;
        int r = 0;

        if (spec->n_host_roles == 0)
                return 0;
        sorted = sw_calloc(spec->n_host_roles, sizeof(*sorted));
        if (!sorted)
                return -SW_ERR_NOMEM;
        memcpy(sorted, spec->host_roles, spec->n_host_roles * sizeof(*sorted));
        qsort(sorted, spec->n_host_roles, sizeof(*sorted), segments_spec_by_bits);
        for (i = 0; i < spec->n_host_roles && r == 0; i++) {
                uint32_t roles = sorted[i].roles | sw_lpm_lookup(&s->host_roles, &sorted[i].prefix.addr);

                if (roles)
                        r = sw_lpm_insert(&s->host_roles, &sorted[i].prefix, roles);
        }
        sw_free(sorted);
        return r;
}

static char segments_fold(char c)
{
        return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static int segments_add_realms(struct sw_segments *s, const struct sw_segments_spec *spec)
{
        uint32_t i, k, n = 0;
        size_t c;

        for (i = 0; i < spec->n_realms; i++)
                n += spec->realms[i].n_flow_logs;
        s->realms = sw_calloc(n + 1u, sizeof(*s->realms));
        s->realm_names = sw_calloc(spec->n_realms + 1u, sizeof(*s->realm_names));
        if (!s->realms || !s->realm_names)
                return -SW_ERR_NOMEM;
        for (i = 0; i < spec->n_realms; i++) {
                const char *name = spec->realms[i].name ? spec->realms[i].name : "";

                s->realm_names[i] = sw_arena_copy(&s->text, name, strlen(name) + 1);
                if (!s->realm_names[i])
                        return -SW_ERR_NOMEM;
        }
        for (i = 0; i < spec->n_realms; i++)
                for (k = 0; k < spec->realms[i].n_flow_logs; k++) {
                        const char *text = spec->realms[i].flow_logs[k];
                        struct segments_realm *row = &s->realms[s->n_realm_prefixes++];

                        row->n = strlen(text);
                        while (row->n && text[row->n - 1] == '/')
                                row->n--;
                        row->realm = (uint16_t)(i + 1);
                        row->prefix = sw_arena_copy(&s->text, text, row->n);
                        if (!row->prefix)
                                return -SW_ERR_NOMEM;
                        for (c = 0; c < row->n; c++)
                                row->prefix[c] = segments_fold(row->prefix[c]);
                }
        return 0;
}

static int segments_by_name_cmp(const void *pa, const void *pb, void *ctx)
{
        const struct sw_segments *s = ctx;
        uint32_t a = *(const uint32_t *)pa, b = *(const uint32_t *)pb;
        int r = strcmp(s->segments[a].name, s->segments[b].name);

        return r ? r : (a > b) - (a < b);
}

static int segments_add_names(struct sw_segments *s, const struct sw_segments_spec *spec)
{
        uint32_t i;

        s->n_segments = spec->n_segments;
        s->segments = sw_calloc(SW_SEGMENT_FIRST + (size_t)spec->n_segments, sizeof(*s->segments));
        s->by_name = sw_calloc(spec->n_segments + (size_t)1, sizeof(*s->by_name));
        if (!s->segments || !s->by_name)
                return -SW_ERR_NOMEM;
        s->segments[SW_SEGMENT_INTERNET] = (struct sw_segment){ .name = "internet", .criticality = 1 };
        s->segments[SW_SEGMENT_UNASSIGNED] = (struct sw_segment){ .name = "unassigned", .criticality = 2 };
        s->segments[SW_SEGMENT_PLATFORM] = (struct sw_segment){ .name = "platform", .criticality = 1 };
        for (i = 0; i < spec->n_segments; i++) {
                struct sw_segment *to = &s->segments[SW_SEGMENT_FIRST + i];

                *to = spec->segments[i].segment;
                to->default_deny = false;
                to->name = sw_arena_copy(&s->text, to->name ? to->name : "", to->name ? strlen(to->name) : 0);
                if (!to->name)
                        return -SW_ERR_NOMEM;
                s->by_name[i] = SW_SEGMENT_FIRST + i;
        }
        if (s->n_segments)
                qsort_r(s->by_name, s->n_segments, sizeof(*s->by_name), segments_by_name_cmp, s);
        return 0;
}

static unsigned segments_pair_bit(uint32_t from, uint32_t to)
{
        return (from * UINT32_C(0x9e3779b1) + to * UINT32_C(0x85ebca6b)) >> 21; /* 11 bits: 32 words */
}

static int segments_by_pair_cmp(const void *pa, const void *pb, void *ctx)
{
        const struct sw_segments *s = ctx;
        uint32_t i = *(const uint32_t *)pa, k = *(const uint32_t *)pb;
        const struct sw_policy_row *a = &s->policy[i], *b = &s->policy[k];

        if (a->to != b->to)
                return a->to < b->to ? -1 : 1;
        if (a->from != b->from)
                return a->from < b->from ? -1 : 1;
        return (i > k) - (i < k);
}

static int segments_add_policy(struct sw_segments *s, const struct sw_segments_spec *spec)
{
        unsigned bit;
        uint32_t i;

        s->policy = sw_calloc(spec->n_policy + (size_t)1, sizeof(*s->policy));
        s->by_pair = sw_calloc(spec->n_policy + (size_t)1, sizeof(*s->by_pair));
        if (!s->policy || !s->by_pair)
                return -SW_ERR_NOMEM;
        for (i = 0; i < spec->n_policy; i++) {
                struct sw_policy_row *row = &s->policy[i];
                size_t size = spec->policy[i].n_services * sizeof(*row->services);

                *row = spec->policy[i];
                row->services = sw_arena_alloc(&s->text, size + 1);
                if (!row->services)
                        return -SW_ERR_NOMEM;
                if (size)
                        memcpy(row->services, spec->policy[i].services, size);
                s->by_pair[i] = i;
                bit = segments_pair_bit(row->from, row->to);
                s->pairs[bit / 64] |= UINT64_C(1) << bit % 64;
                if (row->to >= SW_SEGMENT_FIRST && row->to - SW_SEGMENT_FIRST < s->n_segments)
                        s->segments[row->to].default_deny = true;
        }
        s->n_policy = spec->n_policy;
        if (s->n_policy)
                qsort_r(s->by_pair, s->n_policy, sizeof(*s->by_pair), segments_by_pair_cmp, s);
        return 0;
}

static int segments_build(struct sw_segments *s, const struct sw_segments_spec *spec, struct sw_err *reterr)
{
        int r;

        if (spec->n_segments > SW_SEGMENT_IMPLICIT - SW_SEGMENT_FIRST || spec->n_realms >= UINT16_MAX)
                return sw_err_set(reterr, -SW_ERR_CONFIG, "too many segments or realms (at most %d and %d)",
                        SW_SEGMENT_IMPLICIT - SW_SEGMENT_FIRST, UINT16_MAX - 1);
        s->n_spaces = spec->n_realms + 1;
        s->spaces = sw_calloc(s->n_spaces, sizeof(*s->spaces));
        r = s->spaces ? segments_add_names(s, spec) : -SW_ERR_NOMEM;
        if (r == 0)
                r = segments_add_policy(s, spec);
        if (r == 0)
                r = segments_add_host_roles(s, spec);
        if (r == 0)
                r = segments_add_realms(s, spec);
        if (r < 0)
                return sw_err_set(reterr, r, "segments: %s", sw_error_text(r));
        return segments_add_cidrs(s, spec, reterr);
}

int sw_segments_new(const struct sw_segments_spec *spec, struct sw_segments **ret, struct sw_err *reterr)
{
        static const struct sw_segments_spec nothing = { 0 };
        struct sw_segments *s = sw_calloc(1, sizeof(*s));
        int r;

        if (!s)
                return sw_err_set(reterr, -SW_ERR_NOMEM, "segments: %s", sw_error_text(-SW_ERR_NOMEM));
        r = segments_build(s, spec ? spec : &nothing, reterr);
        if (r < 0) {
                sw_segments_free(s);
                return r;
        }
        *ret = s;
        return 0;
}

struct sw_segments *sw_segments_free(struct sw_segments *s)
{
        uint32_t i;

        if (!s)
                return NULL;
        for (i = 0; s->spaces && i < s->n_spaces; i++)
                sw_lpm_deinit(&s->spaces[i]);
        sw_free(s->spaces);
        sw_lpm_deinit(&s->public_space);
        sw_lpm_deinit(&s->host_roles);
        sw_free(s->segments);
        sw_free(s->by_name);
        sw_free(s->policy);
        sw_free(s->by_pair);
        sw_free(s->realms);
        sw_free(s->realm_names);
        sw_arena_deinit(&s->text);
        sw_free(s);
        return NULL;
}

uint32_t sw_segments_lookup(const struct sw_segments *s, uint16_t realm, const struct sw_addr *a)
{
        enum sw_addr_class class = sw_addr_class(a);
        uint32_t value;

        switch (class) {
        case SW_ADDR_PLATFORM:
                return SW_SEGMENT_PLATFORM;
        case SW_ADDR_PUBLIC:
                value = sw_lpm_lookup(&s->public_space, a);
                return value ? value - 1 : SW_SEGMENT_INTERNET;
        case SW_ADDR_PRIVATE:
        case SW_ADDR_SPECIAL:
        default:
                value = sw_lpm_lookup(&s->spaces[realm < s->n_spaces ? realm : 0], a);
                if (value)
                        return value - 1;
                return class == SW_ADDR_PRIVATE ? SW_SEGMENT_UNASSIGNED : SW_SEGMENT_PLATFORM;
        }
}

const struct sw_segment *sw_segments_get(const struct sw_segments *s, uint32_t id)
{
        if (id >= SW_SEGMENT_FIRST + s->n_segments || !s->segments[id].name)
                return NULL;
        return &s->segments[id];
}

uint32_t sw_segments_count(const struct sw_segments *s)
{
        return s->n_segments;
}

uint32_t sw_segments_by_name(const struct sw_segments *s, struct sw_str name)
{
        uint32_t lo = 0, hi = s->n_segments, id;

        for (id = 0; id < SW_SEGMENT_PLATFORM; id++)
                if (sw_str_eq(name, sw_str_of(s->segments[id].name)))
                        return id;
        while (lo < hi) {
                uint32_t mid = lo + (hi - lo) / 2;
                struct sw_str other = sw_str_of(s->segments[s->by_name[mid]].name);
                int r = memcmp(other.p, name.n ? name.p : "", other.n < name.n ? other.n : name.n);

                if (r == 0 && other.n == name.n)
                        return s->by_name[mid];
                if (r < 0 || (r == 0 && other.n < name.n))
                        lo = mid + 1;
                else
                        hi = mid;
        }
        return SW_SEGMENT_ANY;
}

uint32_t sw_segments_host_roles(const struct sw_segments *s, const struct sw_addr *a)
{
        return sw_lpm_lookup(&s->host_roles, a);
}

const char *sw_segments_realm_name(const struct sw_segments *s, uint16_t realm)
{
        return realm > 0 && realm < s->n_spaces ? s->realm_names[realm - 1] : "default";
}

uint16_t sw_segments_realm(const struct sw_segments *s, struct sw_str flow_log)
{
        size_t best = 0, c;
        uint16_t realm = 0;
        uint32_t i;

        for (i = 0; i < s->n_realm_prefixes; i++) {
                const struct segments_realm *row = &s->realms[i];

                if (row->n > flow_log.n || row->n <= best || (row->n < flow_log.n && flow_log.p[row->n] != '/'))
                        continue;
                for (c = 0; c < row->n && segments_fold(flow_log.p[c]) == row->prefix[c]; c++)
                        ;
                if (c == row->n) {
                        best = row->n;
                        realm = row->realm;
                }
        }
        return realm;
}

/* Ports that the row allows together with this one, smaller is more specific; 0: the row does not allow it. */
static uint32_t segments_row_width(const struct sw_policy_row *row, uint8_t proto, uint16_t dport)
{
        uint32_t best = 0, i;

        if (row->n_services == 0)
                return UINT32_MAX;
        for (i = 0; i < row->n_services; i++) {
                const struct sw_port_range *p = &row->services[i];
                uint32_t width = (uint32_t)(p->hi - p->lo + 1) * (p->proto ? 1 : 2);

                if (dport < p->lo || dport > p->hi)
                        continue;
                if (p->proto ? proto != p->proto : proto != SW_PROTO_TCP && proto != SW_PROTO_UDP)
                        continue;
                if (!best || width < best)
                        best = width;
        }
        return best;
}

/* The most specific row from exactly `from` to exactly `to` (either may be ANY) that allows the service. */
static const struct sw_policy_row *segments_pair_row(
        const struct sw_segments *s, uint32_t from, uint32_t to, uint8_t proto, uint16_t dport)
{
        const struct sw_policy_row *best = NULL;
        uint32_t lo = 0, hi = s->n_policy, best_width = 0;
        unsigned bit = segments_pair_bit(from, to);

        if (!(s->pairs[bit / 64] >> bit % 64 & 1))
                return NULL;
        while (lo < hi) {
                uint32_t mid = lo + (hi - lo) / 2;
                const struct sw_policy_row *row = &s->policy[s->by_pair[mid]];

                if (row->to < to || (row->to == to && row->from < from))
                        lo = mid + 1;
                else
                        hi = mid;
        }
        for (; lo < s->n_policy; lo++) {
                const struct sw_policy_row *row = &s->policy[s->by_pair[lo]];
                uint32_t width;

                if (row->to != to || row->from != from)
                        break;
                width = segments_row_width(row, proto, dport);
                if (width && (!best || width < best_width)) {
                        best = row;
                        best_width = width;
                }
        }
        return best;
}

enum sw_policy_verdict sw_segments_policy(const struct sw_segments *s, uint32_t from, uint32_t to, uint8_t proto,
        uint16_t dport, const struct sw_policy_row **ret_row)
{
        uint32_t f = from >= SW_SEGMENT_IMPLICIT ? SW_SEGMENT_UNASSIGNED : from;
        uint32_t t = to >= SW_SEGMENT_IMPLICIT ? SW_SEGMENT_UNASSIGNED : to;
        const uint32_t pairs[4][2] = { { f, t }, { SW_SEGMENT_ANY, t }, { f, SW_SEGMENT_ANY },
                { SW_SEGMENT_ANY, SW_SEGMENT_ANY } };
        const struct sw_segment *segment = sw_segments_get(s, t);
        const struct sw_policy_row *row = NULL;
        unsigned i;

        if (f != SW_SEGMENT_PLATFORM && t != SW_SEGMENT_PLATFORM)
                for (i = 0; i < 4 && !row; i++)
                        row = segments_pair_row(s, pairs[i][0], pairs[i][1], proto, dport);
        if (ret_row)
                *ret_row = row;
        if (row || f == SW_SEGMENT_PLATFORM || t == SW_SEGMENT_PLATFORM)
                return SW_POLICY_ALLOWED;
        if (from == to && from >= SW_SEGMENT_FIRST)
                return segment && segment->isolate ? SW_POLICY_VIOLATION : SW_POLICY_ALLOWED;
        return segment && segment->default_deny ? SW_POLICY_VIOLATION : SW_POLICY_NO_RULE;
}

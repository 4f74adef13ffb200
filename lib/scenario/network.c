/* SPDX-License-Identifier: Apache-2.0 */
/* A hub with identity, management and jump hosts, spokes for a web shop and an ERP, virtual desktops, private endpoints
 * and an office behind a gateway. Each subnet has an NSG; the rules are what such networks grow: a few strict ones at
 * the data tiers, the default AllowVnet elsewhere, and two forgotten ones that an attacker needs. */
#include "scenario/scenario_int.h"

#include <stdio.h>
#include <string.h>

const char *sw__scn_rule_text(unsigned rule)
{
        static const char *const names[] = {
#define SCN_RULE_TEXT(id, name) name,
                SCN_RULE_MAP(SCN_RULE_TEXT)
#undef SCN_RULE_TEXT
        };
        return names[rule];
}

struct segment_row {
        const char *name;
        uint32_t base;
        uint8_t min_bits;             /* longest prefix it may have */
        uint16_t permille, min_hosts; /* of conf.n_hosts */
        bool logged, v6;
};
static const struct segment_row segment_rows[SCN_N_SEGMENTS] = {
        [SCN_WEB] = { "web", 0x0a010000, 24, 120, 12, true, true },
        [SCN_APP] = { "app", 0x0a020000, 24, 150, 14, true, true },
        [SCN_DB] = { "db", 0x0a030000, 24, 50, 4, true, false },
        [SCN_ERP_APP] = { "erp-app", 0x0a040000, 24, 50, 4, true, false },
        [SCN_ERP_DB] = { "erp-db", 0x0a050000, 24, 20, 2, true, false },
        [SCN_FILES] = { "files", 0x0a060000, 24, 13, 2, true, false },
        [SCN_IDENTITY] = { "identity", 0x0a000300, 27, 0, 2, true, false },
        [SCN_MGMT] = { "mgmt", 0x0a000400, 26, 0, SCN_N_MGMT, true, false },
        [SCN_JUMP] = { "jump", 0x0a000500, 27, 0, 2, true, false },
        [SCN_PAAS] = { "paas", 0x0a070000, 26, 0, 8, false, false },
        [SCN_AVD] = { "avd", 0x0a100000, 24, 480, 12, true, false },
        [SCN_ONPREM] = { "onprem", 0xc0a80800, 23, 80, 4, false, false },
};

const char *sw__scn_segment_text(unsigned segment)
{
        return segment < SCN_N_SEGMENTS ? segment_rows[segment].name : "internet";
}

static const struct {
        uint32_t n;
        uint32_t base; /* 0 = anywhere public */
} pool_rows[SCN_N_POOLS] = {
        [SCN_POOL_UPDATES] = { 48, 0x14250000 }, /* 20.37.0.0 */
        [SCN_POOL_SITES] = { 2000, 0 },
        [SCN_POOL_VISITORS] = { 4000, 0 },
        [SCN_POOL_NOISE] = { 400, 0 },
        [SCN_POOL_ATTACKER] = { 4, 0xcb007140 }, /* 203.0.113.64, TEST-NET-3 */
};

static void net_end(struct scn_net *net, uint32_t i, struct sw_addr a, unsigned segment, uint32_t nic)
{
        struct scn_end *e = &net->ends[i];
        char text[SW_ADDR_TEXT];

        sw_addr_format(&a, text);
        e->addr = a;
        e->n_text = (uint8_t)strlen(text);
        memcpy(e->text, text, e->n_text);
        e->segment = (uint8_t)segment;
        e->nic = nic;
}

/* fd00:<segment>::<host> */
static struct sw_addr net_v6(unsigned segment, uint32_t host)
{
        struct sw_addr a = SW_ADDR_NULL;

        a.b[0] = 0xfd;
        a.b[3] = (uint8_t)(segment + 1);
        a.b[12] = (uint8_t)(host >> 24);
        a.b[13] = (uint8_t)(host >> 16);
        a.b[14] = (uint8_t)(host >> 8);
        a.b[15] = (uint8_t)host;
        return a;
}

/* A public IPv4 address that is nobody in particular. */
static uint32_t net_public(uint64_t *rng)
{
        static const uint8_t firsts[] = { 13, 23, 31, 45, 62, 77, 81, 93, 104, 142, 151, 185, 194, 212 };

        return (uint32_t)firsts[sw__scn_below(rng, sizeof(firsts))] << 24 |
               (uint32_t)(sw__scn_next(rng) >> 41 << 1) % 0xfffffe;
}

static uint32_t net_count(const struct sw_scenario_conf *conf, unsigned segment)
{
        const struct segment_row *r = &segment_rows[segment];
        uint32_t n = (uint32_t)((uint64_t)conf->n_hosts * r->permille / 1000);

        if (segment == SCN_ONPREM && n > 400)
                n = 400;
        return n < r->min_hosts ? r->min_hosts : n;
}

static void net_segment(struct scn_net *net, const struct sw_scenario_conf *conf, unsigned segment, uint32_t *end)
{
        const struct segment_row *r = &segment_rows[segment];
        struct scn_group *g = &net->segments[segment];
        uint32_t n = net_count(conf, segment), i;

        *g = (struct scn_group){ .first = *end, .n = n, .bits = r->min_bits, .base = r->base };
        while ((UINT32_C(1) << (32 - g->bits)) < n + n / 4 + 16)
                g->bits--;
        for (i = 0; i < n; i++) {
                uint32_t nic = SCN_NO_NIC;

                if (r->logged) {
                        uint64_t h = sw__scn_mix(conf->seed * 31 + net->n_nics + 1);

                        nic = net->n_nics++;
                        net->nics[nic] = (struct scn_nic){ .end = *end,
                                .segment = (uint8_t)segment,
                                .second = (uint8_t)(h % 60),
                                .lag_ms = (uint16_t)(3600 + (h >> 16) % 9000),
                                .partition = (uint32_t)((h >> 32) % conf->n_partitions) };
                }
                net_end(net, (*end)++, sw_addr_v4(r->base + 4 + i), segment, nic);
        }
        if (!r->v6)
                return;
        g->first6 = *end;
        for (i = 0; i < n; i++)
                net_end(net, (*end)++, net_v6(segment, 4 + i), segment, net->ends[g->first + i].nic);
}

static void net_sort_by_second(struct scn_net *net)
{
        uint32_t fill[60], i, s, at = 0;

        for (s = 0; s < 60; s++) {
                net->second_first[s] = fill[s] = at;
                for (i = 0; i < net->n_nics; i++)
                        at += net->nics[i].second == s;
        }
        net->second_first[60] = at;
        for (i = 0; i < net->n_nics; i++)
                net->by_second[fill[net->nics[i].second]++] = i;
}

int sw__scn_net_init(struct scn_net *net, const struct sw_scenario_conf *conf)
{
        uint64_t rng = sw__scn_mix(conf->seed ^ 0x6e6574);
        uint32_t n = 3, end = 0, i, k;

        for (i = 0; i < SCN_N_SEGMENTS; i++)
                n += net_count(conf, i) * (segment_rows[i].v6 ? 2 : 1);
        for (i = 0; i < SCN_N_POOLS; i++)
                n += pool_rows[i].n;
        net->ends = sw_calloc(n, sizeof(*net->ends));
        net->nics = sw_calloc(n, sizeof(*net->nics));
        net->by_second = sw_calloc(n, sizeof(*net->by_second));
        if (!net->ends || !net->nics || !net->by_second)
                return -SW_ERR_NOMEM;
        for (i = 0; i < SCN_N_SEGMENTS; i++)
                net_segment(net, conf, i, &end);
        for (i = 0; i < SCN_N_POOLS; i++) {
                net->pools[i] = (struct scn_group){ .first = end, .n = pool_rows[i].n };
                for (k = 0; k < pool_rows[i].n; k++)
                        net_end(net, end++,
                                sw_addr_v4(pool_rows[i].base ? pool_rows[i].base + 3 + k : net_public(&rng)),
                                SCN_INTERNET, SCN_NO_NIC);
        }
        net->platform = end;
        net_end(net, end++, sw_addr_v4(0xa83f8110), SCN_PLATFORM, SCN_NO_NIC);
        net->dead_app = end;
        net_end(net, end++, sw_addr_v4(segment_rows[SCN_APP].base + 3), SCN_APP, SCN_NO_NIC);
        net->dead_files = end;
        net_end(net, end++, sw_addr_v4(segment_rows[SCN_FILES].base + 3), SCN_FILES, SCN_NO_NIC);
        net->n_ends = end;
        net->exposed = sw__scn_host(net, SCN_WEB, sw__scn_below(&rng, 1000));
        net_sort_by_second(net);
        return 0;
}

void sw__scn_net_deinit(struct scn_net *net)
{
        sw_free(net->ends);
        sw_free(net->nics);
        sw_free(net->by_second);
}

static bool net_is_admin_port(uint16_t port)
{
        return port == 22 || port == 3389 || port == 5985 || port == 5986;
}

/* Inbound from the Internet: only the web tier is published. */
static bool net_from_internet(const struct scn_net *net, const struct scn_flow *f, uint8_t *ret_in)
{
        bool web = net->ends[f->dst].segment == SCN_WEB && f->proto == 6;
        uint32_t vendor = net->pools[SCN_POOL_ATTACKER].n; /* the rule is for a range that is no longer the vendor's */

        *ret_in = SCN_RULE_DENY_IN;
        if (web && (f->dport == 443 || f->dport == 80))
                *ret_in = SCN_RULE_HTTPS_IN;
        else if (web && f->dport == 3389 && f->dst == net->exposed &&
                 f->src - net->pools[SCN_POOL_ATTACKER].first < vendor)
                *ret_in = SCN_RULE_VENDOR_RDP;
        return *ret_in == SCN_RULE_DENY_IN;
}

bool sw__scn_decide(const struct scn_net *net, const struct scn_flow *f, uint8_t *ret_out, uint8_t *ret_in)
{
        unsigned src = net->ends[f->src].segment, dst = net->ends[f->dst].segment;
        bool admin = net_is_admin_port(f->dport);

        *ret_out = dst == SCN_INTERNET ? SCN_RULE_INTERNET_OUT : SCN_RULE_VNET_OUT;
        *ret_in = SCN_RULE_VNET_IN;
        if (src == SCN_INTERNET)
                return net_from_internet(net, f, ret_in);
        if (src == SCN_PLATFORM)
                *ret_in = SCN_RULE_LB_IN;
        else if (src == SCN_MGMT)
                *ret_in = SCN_RULE_MGMT_IN;
        else if (src == SCN_JUMP && admin)
                *ret_in = SCN_RULE_JUMP_IN;
        else if (dst == SCN_APP && src == SCN_WEB && f->dport == 8443)
                *ret_in = SCN_RULE_WEB_APP;
        else if (dst == SCN_DB || dst == SCN_ERP_DB) {
                bool own_app = src == (dst == SCN_DB ? SCN_APP : SCN_ERP_APP);

                if (own_app && f->dport == 1433)
                        *ret_in = SCN_RULE_APP_SQL;
                else if (dst == SCN_DB && own_app && admin)
                        *ret_in = SCN_RULE_LEGACY_ADMIN;
                else if (src != dst)
                        *ret_in = SCN_RULE_DENY_DATA;
        } else if (dst == SCN_MGMT)
                *ret_in = f->dport == 8530 ? SCN_RULE_UPDATES : SCN_RULE_DENY_MGMT;
        else if (dst == SCN_JUMP)
                *ret_in = src == SCN_AVD && f->dport == 3389 ? SCN_RULE_AVD_JUMP : SCN_RULE_DENY_MGMT;
        return *ret_in == SCN_RULE_DENY_DATA || *ret_in == SCN_RULE_DENY_MGMT;
}

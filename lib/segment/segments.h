/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Segments, realms, host roles and policy of one configuration: built once, then read-only (a reload builds a new
 * one). Longest prefix wins, IPv4 and IPv6 alike, per realm. Cost of a look-up: a few cache lines (16-8-8 trie,
 * segment/lpm.h). Threads: any number of readers. */
#include "base/err.h"
#include "model/addr.h"
#include "model/service.h"

/* Ids: the fixed ones, then the configured segments in configuration order, then the implicit ones that the
 * engine makes for private hosts outside any configured segment. */
enum {
        SW_SEGMENT_INTERNET = 0,
        SW_SEGMENT_UNASSIGNED = 1, /* private, before an implicit segment is found; also the policy word */
        SW_SEGMENT_PLATFORM = 2,   /* addresses of Azure itself: never the Internet, never a policy subject */
        SW_SEGMENT_FIRST = 8,      /* first configured segment */
        SW_SEGMENT_IMPLICIT = 1 << 16,
};
#define SW_SEGMENT_ANY UINT32_MAX /* in policy rows only */

#define SW_SEGMENT_ROLE_MAP(X)                                                                                         \
        X(NONE, "none")                                                                                                \
        X(APP, "app")                                                                                                  \
        X(DATA, "data")                                                                                                \
        X(HUB, "hub")                                                                                                  \
        X(SPOKE, "spoke")                                                                                              \
        X(FIREWALL, "firewall")                                                                                        \
        X(BASTION, "bastion")                                                                                          \
        X(JUMPBOX, "jumpbox")                                                                                          \
        X(IDENTITY, "identity")                                                                                        \
        X(AVD, "avd")                                                                                                  \
        X(PAAS, "paas")                                                                                                \
        X(VWAN, "vwan")                                                                                                \
        X(ONPREM, "onprem")                                                                                            \
        X(MGMT, "mgmt")                                                                                                \
        X(CLIENT, "client")                                                                                            \
        X(GATEWAY, "gateway")                                                                                          \
        X(LB_INGRESS, "lb-ingress")
enum sw_segment_role {
#define SW_SEGMENT_ROLE_ENUM(name, text) SW_SEGMENT_ROLE_##name,
        SW_SEGMENT_ROLE_MAP(SW_SEGMENT_ROLE_ENUM)
#undef SW_SEGMENT_ROLE_ENUM
                SW_N_SEGMENT_ROLES
};

/* Roles of single hosts, a bit each: configured in `hosts:`, some also learned (lib/aggregate). */
#define SW_HOST_ROLE_MAP(X)                                                                                            \
        X(SCANNER, "scanner")                                                                                          \
        X(JUMP, "jump")                                                                                                \
        X(MONITOR, "monitor")                                                                                          \
        X(BACKUP, "backup")                                                                                            \
        X(PATCH, "patch")                                                                                              \
        X(DEPLOY, "deploy")                                                                                            \
        X(RESOLVER, "resolver")                                                                                        \
        X(DC, "dc")                                                                                                    \
        X(PROXY, "proxy")                                                                                              \
        X(FILE_SERVER, "file-server")                                                                                  \
        X(SHARED, "shared")
enum sw_host_role_bit {
#define SW_HOST_ROLE_ENUM(name, text) SW_HOST_ROLE_BIT_##name,
        SW_HOST_ROLE_MAP(SW_HOST_ROLE_ENUM)
#undef SW_HOST_ROLE_ENUM
                SW_N_HOST_ROLES
};
#define SW_HOST_ROLE(name) (UINT32_C(1) << SW_HOST_ROLE_BIT_##name)

const char *sw_segment_role_text(enum sw_segment_role r);
bool sw_segment_role_by_name(struct sw_str s, enum sw_segment_role *ret);
const char *sw_host_role_text(unsigned bit);
bool sw_host_role_by_name(struct sw_str s, unsigned *ret_bit);

struct sw_segment {
        const char *name;
        enum sw_segment_role role;
        uint8_t criticality; /* 1..4, default 2 */
        bool isolate;        /* traffic inside needs a policy row too */
        bool default_deny;   /* some policy row names it as `to` */
};

/* One policy row after names were resolved. */
struct sw_policy_row {
        uint32_t from, to; /* segment id or SW_SEGMENT_ANY */
        struct sw_port_range *services;
        uint32_t n_services; /* 0 = all */
        bool require_encryption;
        unsigned line; /* where it stands, for messages */
};

/* What to build from; filled by the configuration, copied by sw_segments_new. */
struct sw_segment_spec {
        struct sw_segment segment;
        const struct sw_prefix *cidrs;
        uint32_t n_cidrs;
        uint16_t realm;
};
struct sw_host_role_spec {
        struct sw_prefix prefix;
        uint32_t roles; /* SW_HOST_ROLE bits */
};
struct sw_realm_spec {
        const char *name;
        const char *const *flow_logs; /* resource id prefixes, compared case folded */
        uint32_t n_flow_logs;
};
struct sw_segments_spec {
        const struct sw_segment_spec *segments; /* index i becomes id SW_SEGMENT_FIRST + i */
        uint32_t n_segments;
        const struct sw_policy_row *policy;
        uint32_t n_policy;
        const struct sw_host_role_spec *host_roles;
        uint32_t n_host_roles;
        const struct sw_realm_spec *realms; /* index i becomes realm i + 1; realm 0 is `default` */
        uint32_t n_realms;
};

struct sw_segments;
/* NULL spec: nothing configured. 0 | -SW_ERR_NOMEM | -SW_ERR_CONFIG (the same prefix twice in a realm). */
int sw_segments_new(const struct sw_segments_spec *spec, struct sw_segments **ret, struct sw_err *reterr);
struct sw_segments *sw_segments_free(struct sw_segments *s); /* NULL-safe, returns NULL */

/* Whether a prefix may hold public addresses. Those are in one space for all realms, so that such a prefix can belong
 * to one segment only; all others may be used once per realm. */
bool sw_segments_is_shared(const struct sw_prefix *p);

/* Id of the configured segment, or INTERNET, PLATFORM, UNASSIGNED. */
uint32_t sw_segments_lookup(const struct sw_segments *s, uint16_t realm, const struct sw_addr *a);
/* The segment of a fixed or configured id; NULL for implicit ids. */
const struct sw_segment *sw_segments_get(const struct sw_segments *s, uint32_t id);
uint32_t sw_segments_count(const struct sw_segments *s); /* configured ones */
/* SW_SEGMENT_ANY if there is none of that name. Knows "internet", "unassigned". */
uint32_t sw_segments_by_name(const struct sw_segments *s, struct sw_str name);
uint32_t sw_segments_host_roles(const struct sw_segments *s, const struct sw_addr *a); /* SW_HOST_ROLE bits */
uint16_t sw_segments_realm(const struct sw_segments *s, struct sw_str flow_log);       /* longest prefix; 0 = default */
const char *sw_segments_realm_name(const struct sw_segments *s, uint16_t realm);       /* "default" if there is none */

enum sw_policy_verdict {
        SW_POLICY_ALLOWED, /* a row names it, or it stays inside a segment that is not isolated */
        SW_POLICY_NO_RULE, /* the destination is not default-deny: only learned */
        SW_POLICY_VIOLATION,
};
/* Implicit ids are judged as `unassigned`. *ret_row (may be NULL): the row that allowed it, or NULL. */
enum sw_policy_verdict sw_segments_policy(const struct sw_segments *s, uint32_t from, uint32_t to, uint8_t proto,
        uint16_t dport, const struct sw_policy_row **ret_row);

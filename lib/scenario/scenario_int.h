/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Shared by the files of this room only.
 *
 *   network.c   who is there: segments, hosts, NICs, outside addresses; which NSG rule decides
 *   benign.c    habits: what each host does again and again
 *   attack.c    plans: connections of an attack, and the truth about them
 *   life.c      connections from begin to end as tuples of one or both NICs, in event-time order
 *   writer.c    tuples to records (per NIC and minute) to messages (per partition)
 *   export.c    configuration and truth
 *   scenario.c  the calls of scenario.h */
#include "base/alloc.h"
#include "model/flow.h"
#include "model/service.h"
#include "scenario/scenario.h"

enum scn_segment {
        SCN_WEB,
        SCN_APP,
        SCN_DB,
        SCN_ERP_APP,
        SCN_ERP_DB,
        SCN_FILES,
        SCN_IDENTITY,
        SCN_MGMT,
        SCN_JUMP,
        SCN_PAAS,
        SCN_AVD,
        SCN_ONPREM,
        SCN_N_SEGMENTS,
        SCN_INTERNET = SCN_N_SEGMENTS,
        SCN_PLATFORM
};

/* Hosts of the mgmt segment by position. */
enum { SCN_MONITOR, SCN_BACKUP, SCN_SCANNER, SCN_PATCH, SCN_DEPLOY, SCN_N_MGMT };

/* Pools of Internet addresses. */
enum scn_pool { SCN_POOL_UPDATES, SCN_POOL_SITES, SCN_POOL_VISITORS, SCN_POOL_NOISE, SCN_POOL_ATTACKER, SCN_N_POOLS };

#define SCN_RULE_MAP(X)                                                                                                \
        X(VNET_IN, "DefaultRule_AllowVnetInBound")                                                                     \
        X(VNET_OUT, "DefaultRule_AllowVnetOutBound")                                                                   \
        X(INTERNET_OUT, "DefaultRule_AllowInternetOutBound")                                                           \
        X(LB_IN, "DefaultRule_AllowAzureLoadBalancerInBound")                                                          \
        X(DENY_IN, "DefaultRule_DenyAllInBound")                                                                       \
        X(PLATFORM, "PlatformRule")                                                                                    \
        X(HTTPS_IN, "UserRule_allow-https-internet")                                                                   \
        X(WEB_APP, "UserRule_allow-web-to-app")                                                                        \
        X(APP_SQL, "UserRule_allow-app-to-sql")                                                                        \
        X(MGMT_IN, "UserRule_allow-mgmt")                                                                              \
        X(JUMP_IN, "UserRule_allow-admin-from-jump")                                                                   \
        X(AVD_JUMP, "UserRule_allow-rdp-avd-to-jump")                                                                  \
        X(UPDATES, "UserRule_allow-updates")                                                                           \
        X(DENY_DATA, "UserRule_deny-vnet-to-data")                                                                     \
        X(DENY_MGMT, "UserRule_deny-vnet-to-mgmt")                                                                     \
        X(VENDOR_RDP, "UserRule_temp-vendor-rdp")                                                                      \
        X(LEGACY_ADMIN, "UserRule_legacy-app-admin")
enum scn_rule {
#define SCN_RULE_ENUM(id, name) SCN_RULE_##id,
        SCN_RULE_MAP(SCN_RULE_ENUM)
#undef SCN_RULE_ENUM
                SCN_N_RULES
};

#define SCN_NO_NIC UINT32_MAX

/* One address: a host's IPv4 or IPv6, or somebody outside. */
struct scn_end {
        struct sw_addr addr;
        char text[40];
        uint8_t n_text, segment;
        uint32_t nic; /* that logs it, or SCN_NO_NIC */
};

struct scn_nic {
        uint32_t end;        /* its IPv4 */
        uint32_t head, tail; /* pending tuples, index + 1 */
        uint32_t partition;
        uint16_t lag_ms;         /* from the end of its minute to the record's time */
        uint8_t segment, second; /* of the minute at which its minute ends */
};

struct scn_group {
        uint32_t first, n; /* in ends */
        uint32_t first6;   /* the same hosts' IPv6, 0 = none */
        uint8_t bits;      /* prefix length of its IPv4 range */
        uint32_t base;     /* of that range */
};

struct scn_net {
        struct scn_end *ends;
        struct scn_nic *nics;
        uint32_t n_ends, n_nics;
        struct scn_group segments[SCN_N_SEGMENTS], pools[SCN_N_POOLS];
        uint32_t platform;             /* end of 168.63.129.16 */
        uint32_t dead_app, dead_files; /* addresses nobody answers at */
        uint32_t exposed;              /* the web host that a vendor's rule opens to the Internet */
        uint32_t second_first[61];     /* nics sorted by second: range of each */
        uint32_t *by_second;
};

struct scn_conn {
        int64_t start, end; /* ms */
        uint64_t total[SW_N_COUNTERS], sent[2][SW_N_COUNTERS];
        uint32_t src, dst;
        uint32_t shape; /* 0 = even flow; others: bursts, the same for the same number */
        uint16_t sport, dport;
        uint8_t proto, encryption, rule_out, rule_in;
        uint8_t n_sides, denied, stray, begun[2];
        uint32_t next_free;
};

/* A tuple waiting for its NIC's minute to end. */
struct scn_pending {
        int64_t time;
        uint64_t counters[SW_N_COUNTERS];
        uint32_t src, dst, next;
        uint16_t sport, dport;
        uint8_t proto, direction, state, encryption, rule;
};

/* What is asked of life.c. */
struct scn_flow {
        int64_t start, duration; /* ms */
        uint32_t src, dst;
        uint16_t sport, dport;
        uint8_t proto;
        uint8_t result;    /* enum scn_result; an NSG may still deny it */
        uint64_t fwd, rev; /* payload bytes */
        uint32_t shape;
};
/* STRAY: one packet of something older, logged under the platform's own rule as an end without a begin. */
enum scn_result { SCN_OK, SCN_NOREPLY, SCN_REFUSED, SCN_STRAY };

struct scn_habit {
        uint64_t rng;
        uint32_t src;
        uint16_t row, port;
        bool pooled; /* one connection after the other, each open for hours */
};

struct scn_step {
        const char *attack, *name, *what, *detectors, *technique;
        struct sw_addr actor;
        struct sw_addr *hosts;
        uint32_t n_hosts, n_flows;
        int64_t first, last;
};

struct scn_partition {
        struct sw_buf buf;
        int64_t opened, newest, oldest, time;
        uint64_t mac;
        uint32_t n_records, n_tuples, target;
        bool ready;
};

enum { SCN_MAX_AGE_MS = 20000 /* of an open message */ };

struct scn_item { /* of the timer heap: ordered by key = time since start << 30 | sequence */
        uint64_t key;
        uint32_t what, index;
};
enum { SCN_TIMER_SOURCE, SCN_TIMER_DESTINATION, SCN_TIMER_HABIT, SCN_TIMER_PLAN };

struct sw_scenario {
        struct sw_scenario_conf conf;
        struct scn_net net;
        struct scn_habit *habits;
        uint32_t n_habits, cap_habits;
        struct scn_flow *plan;
        uint32_t n_plan, cap_plan;
        struct scn_step *steps;
        uint32_t n_steps, cap_steps;
        struct scn_conn *conns;
        uint32_t n_conns, cap_conns, free_conn; /* index + 1 */
        struct scn_pending *pending;
        uint32_t n_pending, cap_pending, free_pending;
        struct scn_item *heap;
        uint32_t n_heap, cap_heap;
        uint64_t sequence, rng_sizes;
        struct scn_partition *partitions;
        uint32_t cursor;     /* partition to look at first */
        uint32_t drained;    /* partition whose message the caller holds, + 1 */
        int64_t second;      /* since start: everything before it has happened */
        uint32_t flush_next; /* position in by_second of the current second */
        bool ended, failed;
        struct sw_scenario_stats stats;
        struct sw_arena arena;
};

__extension__ typedef unsigned __int128 scn_u128;

/* splitmix64 (Steele, Lea, Flood 2014) */
static inline uint64_t sw__scn_mix(uint64_t z)
{
        z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
        return z ^ z >> 31;
}
static inline uint64_t sw__scn_next(uint64_t *state)
{
        return sw__scn_mix(*state += UINT64_C(0x9e3779b97f4a7c15));
}
/* 0..n-1; n > 0 */
static inline uint32_t sw__scn_below(uint64_t *state, uint32_t n)
{
        return (uint32_t)((sw__scn_next(state) >> 32) * n >> 32);
}
/* lo..hi, mostly near lo */
static inline uint64_t sw__scn_skewed(uint64_t *state, uint64_t lo, uint64_t hi)
{
        uint64_t r = sw__scn_next(state), a = r >> 44, b = r >> 24 & 0xfffff; /* 20 bits each */

        return lo + (uint64_t)((scn_u128)(hi - lo) * (a * b) >> 40);
}

const char *sw__scn_rule_text(unsigned rule);
const char *sw__scn_segment_text(unsigned segment);
int sw__scn_net_init(struct scn_net *net, const struct sw_scenario_conf *conf);
void sw__scn_net_deinit(struct scn_net *net);
/* True if the destination's NSG denies it. */
bool sw__scn_decide(const struct scn_net *net, const struct scn_flow *f, uint8_t *ret_out, uint8_t *ret_in);
static inline uint32_t sw__scn_host(const struct scn_net *net, unsigned segment, uint32_t i)
{
        return net->segments[segment].first + i % net->segments[segment].n;
}

int sw__scn_benign_init(struct sw_scenario *s);
int sw__scn_habit_fire(struct sw_scenario *s, uint32_t index, int64_t now);

int sw__scn_attack_init(struct sw_scenario *s, const char *names, struct sw_err *reterr);

int sw__scn_timer(struct sw_scenario *s, int64_t at, uint32_t what, uint32_t index);
int sw__scn_open(struct sw_scenario *s, const struct scn_flow *f);
/* Runs everything before `until`. */
int sw__scn_run(struct sw_scenario *s, int64_t until);

/* Writes the pending tuples of a NIC as one record into its partition. */
int sw__scn_flush(struct sw_scenario *s, uint32_t nic, int64_t now);
void sw__scn_close_message(struct sw_scenario *s, struct scn_partition *p);

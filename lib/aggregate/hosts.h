/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Hosts by (realm, address), in two pools: whoever floods source addresses from the Internet can only evict other
 * Internet hosts. The pool is the top bit of the id. Threads: one owner. */
#include "aggregate/segs.h"

#define SW_HOSTS_INTERNET_BIT UINT32_C(0x80000000)

struct sw_hosts {
        struct sw_table internal, internet;
        struct sw_segs *segs;
        uint32_t n_serial;
};

int sw_hosts_init(struct sw_hosts *h, struct sw_segs *segs, size_t internal_bytes, size_t internet_bytes,
        const struct sw_hash_key *key);
void sw_hosts_deinit(struct sw_hosts *h);

uint32_t sw_hosts_digest(const struct sw_host *h); /* of the key; what host->digest holds */
/* Finds or makes the host; public addresses are always in realm 0. NULL: its pool is full of pinned hosts (counted). */
struct sw_host *sw_hosts_intern(
        struct sw_hosts *h, uint16_t realm, const struct sw_addr *a, struct sw_etime now, uint32_t *ret_id);
/* A look-up whose hash is computed ahead of time, so that memory can be fetched meanwhile. */
struct sw_host_probe {
        struct sw_addr addr;
        uint16_t realm, pad[3];
        uint64_t hash;
        bool internet;
};
struct sw_host_probe sw_hosts_probe(const struct sw_hosts *h, uint16_t realm, const struct sw_addr *a);
struct sw_host *sw_hosts_intern_probe(
        struct sw_hosts *h, const struct sw_host_probe *p, struct sw_etime now, uint32_t *ret_id);
void sw_hosts_prefetch(const struct sw_hosts *h, const struct sw_host_probe *p, bool entry); /* slot, then entry */
void sw_hosts_prefetch_id(const struct sw_hosts *h, uint32_t id);
const struct sw_host *sw_hosts_guess(const struct sw_hosts *h, const struct sw_host_probe *p); /* see sw_table_guess */

uint32_t sw_hosts_id(const struct sw_hosts *h, const struct sw_host *host); /* of an entry */
struct sw_host *sw_hosts_at(const struct sw_hosts *h, uint32_t id);         /* NULL if it was evicted */
const struct sw_host *sw_hosts_peek(const struct sw_hosts *h, uint32_t id); /* only to look at it */
void sw_hosts_pin(struct sw_hosts *h, uint32_t id, bool on);                /* counts */
void sw_hosts_taint(struct sw_hosts *h, uint32_t id, bool on);              /* counts, and pins */
/* The NIC of `mac` logged the host as its own end; vnet and subnet name its flow log's target (empty: not a subnet). */
void sw_hosts_own(struct sw_hosts *h, struct sw_host *host, uint64_t mac, struct sw_str vnet, struct sw_str subnet);
/* Resolves all hosts again after sw_segs_set_conf; fresh segments inherit learning clocks. */
void sw_hosts_resolve_again(struct sw_hosts *h);
/* Whether the configuration says of every host what it said when the host was resolved. */
bool sw_hosts_is_resolved(const struct sw_hosts *h);
/* Nobody pins or taints a host any more; taints stay if `taints`. Who still needs hosts pins them again. */
void sw_hosts_unpin(struct sw_hosts *h, bool taints);
uint64_t sw_hosts_count(const struct sw_hosts *h);

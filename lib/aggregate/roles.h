/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What hosts turn out to be: servers of a class (5 distinct clients were answered), domain controllers, administrative
 * sources, and the widest fan-out a source had (for D06). Exact at every decision point; a flood can
 * only evict. Threads: one owner. */
#include "aggregate/view.h"
#include "base/table.h"

#define SW_ROLES_CLIENTS 5u /* distinct clients that make a server, and destinations that make an admin source */
#define SW_ROLES_ADMIN_DAYS 3u
#define SW_ROLES_FANOUT_EXACT 24u /* beyond it the width is an upper bound */
#define SW_ROLES_FANOUT_MS (10 * SW_MINUTE)

struct sw_roles {
        struct sw_table progress, fanout;
};

int sw_roles_init(struct sw_roles *r, size_t progress_bytes, size_t fanout_bytes, const struct sw_hash_key *key);
void sw_roles_deinit(struct sw_roles *r);

/* An OK connection of `service` from src to dst, neither tainted. Updates dst's served and learned_roles. */
void sw_roles_learn(struct sw_roles *r, const struct sw_host *src, struct sw_host *dst, enum sw_service service,
        struct sw_etime now);
/* For an administrative service, some tuples before sw_roles_learn: asks for the slots; later for the entries. */
struct sw_roles_ahead {
        uint64_t role, fanout; /* hashes */
};
struct sw_roles_ahead sw_roles_prefetch(const struct sw_roles *r, uint32_t src_serial, enum sw_service service);
void sw_roles_prefetch_entries(const struct sw_roles *r, const struct sw_roles_ahead *a);
bool sw_roles_is_admin(struct sw_roles *r, uint32_t src_serial, enum sw_service service, struct sw_etime now);
/* Widest window of the days before today, at most 30 (up to 39 back, in steps of ten). */
uint32_t sw_roles_fanout_max(struct sw_roles *r, uint32_t src_serial, enum sw_service service, struct sw_etime now);

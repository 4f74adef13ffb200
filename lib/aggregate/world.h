/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What stands behind view.h: everything the engine knows, put together once. Only lib/aggregate and lib/engine include
 * this; detectors and correlation see view.h. */
#include "aggregate/directory.h"
#include "aggregate/edges.h"
#include "aggregate/hosts.h"
#include "aggregate/pairs.h"
#include "aggregate/roles.h"
#include "aggregate/segs.h"
#include "persist/state.h"

struct sw_world {
        struct sw_directory directory;
        struct sw_segs segs;
        struct sw_hosts hosts;
        struct sw_edges edges;
        struct sw_roles roles;
        struct sw_pairs pairs;
};

struct sw_view {
        struct sw_etime now;
        struct sw_world *world;
        struct sw_etime learned_until; /* nothing up to there is learned or told again; NONE */
};

/* Bytes each part may take; the plan that divides memory.limit is the engine's. */
struct sw_world_limits {
        size_t directory, segs, hosts, hosts_internet, edges, classes, roles, fanout, pairs, sketches;
};

int sw_world_init(struct sw_world *s, const struct sw_segments *segments, int64_t learning_ms,
        const struct sw_world_limits *limits, const struct sw_hash_key *key);
void sw_world_deinit(struct sw_world *s); /* NULL-safe, half-built is fine */
int sw_world_set_conf(struct sw_world *s, const struct sw_segments *segments, int64_t learning_ms);

/* Without its hash: sw_edges_hash. */
struct sw_edge_key sw_world_edge_key(
        const struct sw_world *s, const struct sw_host *src, const struct sw_host *dst, enum sw_service service);

/* ---- snapshots: what stands beside the tables, pools and texts ---- */
void sw_world_state(struct sw_world *s, struct sw_state_io *st);
/* After everything was read into a world made for `segments`: checks references, makes what follows from the rest, and
 * resolves segments again if the configuration is another one. 0 | -SW_ERR_DATA | -SW_ERR_LIMIT | -SW_ERR_NOMEM. */
int sw_world_restored(struct sw_world *s, const struct sw_segments *segments, int64_t learning_ms);

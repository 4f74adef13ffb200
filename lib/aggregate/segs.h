/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Segments as the engine knows them: the configured ones, and implicit ones for private hosts outside them. Each name
 * has a serial that outlives changes of configuration; baselines are keyed by it, and the learning clock belongs to it.
 * Threads: one owner. */
#include "aggregate/view.h"
#include "base/pool.h"
#include "base/table.h"

struct sw_segs_name {
        uint64_t key[2];
        uint32_t name, n_name; /* sw_segs_name_text */
        struct sw_etime start; /* first tuple, or oldest start taken over; NONE = nothing seen */
        uint32_t implicit;     /* index + 1 of the implicit segment of that name, 0 = none */
        uint32_t fresh;        /* had no start when the configuration changed: may inherit */
};

struct sw_segs_implicit {
        struct sw_segment segment;
        uint32_t serial;
};

struct sw_segs {
        const struct sw_segments *conf;
        struct sw_table names;
        struct sw_texts texts;
        struct sw_segs_implicit *implicit; /* index = id - SW_SEGMENT_IMPLICIT */
        uint32_t n_implicit, cap_implicit, max_implicit;
        uint32_t *serials; /* of ids below SW_SEGMENT_FIRST + count */
        uint32_t n_serials;
        uint32_t *old_serials; /* of the configuration before, for hosts not resolved again yet */
        uint32_t n_old_serials;
        struct sw_hash_key keys[2];
        size_t text_limit_bytes;
        bool full;
        int64_t learning_ms;
        uint64_t n_refused; /* implicit segments beyond the limit: their hosts stay `unassigned` */
};

/* conf outlives it or the next set_conf. */
int sw_segs_init(struct sw_segs *s, const struct sw_segments *conf, int64_t learning_ms, size_t limit_bytes,
        const struct sw_hash_key *key);
void sw_segs_deinit(struct sw_segs *s);
/* Hosts must be resolved again afterwards. 0 | -SW_ERR_NOMEM. */
int sw_segs_set_conf(struct sw_segs *s, const struct sw_segments *conf, int64_t learning_ms);

const char *sw_segs_name_text(const struct sw_segs *s, const struct sw_segs_name *n); /* valid as long as s */
uint32_t sw_segs_resolve(struct sw_segs *s, uint16_t realm, const struct sw_addr *a);
/* The implicit segment of a subnet that a flow log's target names, "vnet/subnet"; UNASSIGNED if there is no room. */
uint32_t sw_segs_subnet(struct sw_segs *s, struct sw_str vnet, struct sw_str subnet);
uint32_t sw_segs_serial(const struct sw_segs *s, uint32_t id);
/* Serial that an id had before the last set_conf. */
uint32_t sw_segs_old_serial(const struct sw_segs *s, uint32_t id);
const struct sw_segment *sw_segs_get(const struct sw_segs *s, uint32_t id);

/* Starts the learning clock at a segment's first tuple. */
void sw_segs_touch(struct sw_segs *s, uint32_t id, struct sw_etime now);
/* Whether it still learns at `now`; a segment without a tuple has not started and learns. */
bool sw_segs_learning(const struct sw_segs *s, uint32_t id, struct sw_etime now, struct sw_etime *ret_until);
struct sw_etime sw_segs_start(const struct sw_segs *s, uint32_t serial);
/* A host moved to segment `id`: if the segment is fresh, it takes the older start. */
void sw_segs_inherit(struct sw_segs *s, uint32_t id, struct sw_etime start);
/* After its tables were read in: makes the implicit segments anew. `serials` then says what ids meant when the snapshot
 * was taken; *ret_same: they mean the same under the configuration it was made with. 0 | -SW_ERR_DATA | -SW_ERR_NOMEM.
 */
int sw_segs_restored(struct sw_segs *s, bool *ret_same);
size_t sw_segs_bytes(const struct sw_segs *s);

/* SPDX-License-Identifier: Apache-2.0 */
#include "aggregate/world.h"

static void serials_state(struct sw_segs *s, struct sw_state_io *st)
{
        uint32_t n = sw_state_count(st, s->n_serials, SW_SEGMENT_IMPLICIT, sizeof(uint32_t)), i, *p;

        if (sw_state_reads(st)) {
                p = sw_calloc(n, sizeof(*p));
                if (!p) {
                        sw_state_no_memory(st);
                        return;
                }
                sw_free(s->serials);
                s->serials = p;
                s->n_serials = n;
        }
        for (i = 0; i < n; i++)
                sw_state_u32(st, &s->serials[i]);
}

void sw_world_state(struct sw_world *s, struct sw_state_io *st)
{
        sw_state_bool(st, &s->directory.full);
        sw_state_u64(st, &s->directory.n_refused);
        sw_state_bool(st, &s->segs.full);
        sw_state_u64(st, &s->segs.n_refused);
        sw_state_u32(st, &s->segs.n_implicit);
        serials_state(&s->segs, st);
        sw_state_u32(st, &s->hosts.n_serial);
}

static bool realms_are_same(const struct sw_directory *d, const struct sw_segments *segments)
{
        const struct sw_directory_sensor *s;
        uint32_t id;

        for (id = 0; (s = sw_table_next(&d->sensors, &id)); id++)
                if (s->realm != sw_segments_realm(segments, sw_directory_text(d, s->flow_log, s->n_flow_log)))
                        return false;
        return true;
}

int sw_world_restored(struct sw_world *s, const struct sw_segments *segments, int64_t learning_ms)
{
        bool same;
        int r = sw_directory_is_whole(&s->directory) ? sw_segs_restored(&s->segs, &same) : -SW_ERR_DATA;

        if (r < 0)
                return r;
        /* Nothing is done where nothing changed: a change lets fresh segments inherit, once. */
        if (same && realms_are_same(&s->directory, segments) && sw_hosts_is_resolved(&s->hosts))
                return 0;
        return sw_world_set_conf(s, segments, learning_ms);
}

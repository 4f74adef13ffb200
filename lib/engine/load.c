/* SPDX-License-Identifier: Apache-2.0 */
/* An engine out of a snapshot. Everything is checked that this file or the first step would follow blindly; what a
 * later version wrote differently is lost alone where nothing else refers to it, and said. */
#include "engine/engine_int.h"
#include "engine/snapshot.h"

#include <assert.h>
#include <stdio.h>

#define MAX_REGIONS 256u
#define MAX_EXTRA ((size_t)16 << 20)

struct loading {
        struct sw_engine *e;
        const struct sw_core_conf *conf;
        const struct sw_snapshot_hooks *hooks;
        struct sw_section_reader reader;
        struct sw_buf *extra;
        struct sw_region regions[MAX_REGIONS]; /* of the engine */
        enum sw_group groups[MAX_REGIONS];
        bool came[MAX_REGIONS];
        unsigned n_regions;
        struct sw_region_load loads[MAX_REGIONS]; /* of the file, in its order */
        unsigned ours[MAX_REGIONS];               /* which of `regions`; MAX_REGIONS: none */
        unsigned n_loads;
        bool part_came[32];
        bool lost[SW_N_GROUPS];
        bool learned;
        struct sw_etime learned_until;
        struct sw_err *reterr;
};

static void say_lost(const struct loading *l, const char *section, const char *why)
{
        if (l->hooks && l->hooks->on_dropped)
                l->hooks->on_dropped(l->hooks->ctx, section, why);
}

static int refuse(struct loading *l, int code, const char *section, const char *why)
{
        if (code == -SW_ERR_NOMEM)
                why = sw_error_text(code);
        return sw_err_set(l->reterr, code, "snapshot: %s: %s", section, why);
}

static int note_region(void *ctx, const struct sw_region *r, enum sw_group group)
{
        struct loading *l = ctx;

        assert(l->n_regions < MAX_REGIONS);
        l->regions[l->n_regions] = *r;
        l->groups[l->n_regions++] = group;
        return 0;
}

/* ---- sections ---- */

static int load_head(struct loading *l, struct sw_section *x)
{
        struct sw_state_io io = { .p = x->p, .n = x->n, .version = x->version };
        struct sw_hash_key seed;
        int r;

        if (strcmp(x->name, "snapshot") != 0)
                return refuse(l, -SW_ERR_DATA, x->name, "the first section is another one");
        sw_state_bool(&io, &l->learned);
        sw_state_u64(&io, &seed.k0);
        sw_state_u64(&io, &seed.k1);
        sw_state_etime(&io, &l->learned_until);
        if (x->version != 1 || !sw_state_ok(&io))
                return refuse(l, -SW_ERR_VERSION, x->name, "written by a newer version");
        r = sw_engine_new(l->conf, &seed, &l->e, l->reterr);
        return r < 0 ? r : sw__engine_each(l->e, note_region, l);
}

static bool is_alone(enum sw_group g)
{
        return g == SW_GROUP_BASELINE || g == SW_GROUP_SINGLE || g == SW_GROUP_DETECT;
}

static int load_region(struct loading *l, const struct sw_section *x)
{
        struct sw_state_io io = { .p = x->p, .n = x->n, .version = x->version };
        const char *name = x->name + strlen("table:"), *why = "the program has no such table any more";
        struct sw_region none = { .name = "" };
        unsigned i;
        int r;

        if (l->n_loads == MAX_REGIONS)
                return refuse(l, -SW_ERR_DATA, x->name, "too many tables");
        for (i = 0; i < l->n_regions && strcmp(name, l->regions[i].name) != 0;)
                i++;
        if (i < l->n_regions && l->came[i])
                return refuse(l, -SW_ERR_DATA, x->name, "it is there twice");
        r = sw_region_load_begin(&l->loads[l->n_loads], i < l->n_regions ? &l->regions[i] : &none, &io, &why);
        l->ours[l->n_loads++] = i < l->n_regions ? i : MAX_REGIONS;
        if (r == -SW_ERR_LIMIT)
                return refuse(l, r, x->name, "memory.limit is too small for what it holds");
        if (r < 0)
                return refuse(l, r, x->name, r == -SW_ERR_DATA ? "its numbers do not fit" : sw_error_text(r));
        if (i < l->n_regions)
                l->came[i] = true;
        if (r == 0 && i < l->n_regions && l->hooks && l->hooks->on_room)
                sw_region_room(&l->regions[i], l->hooks->on_room, l->hooks->ctx);
        if (r != SW_REGION_E_DROP)
                return 0;
        if (i < l->n_regions && (l->groups[i] == SW_GROUP_TEXTS || l->groups[i] == SW_GROUP_SEGMENTS))
                return refuse(l, -SW_ERR_VERSION, x->name, "another version wrote it, and all else refers to it");
        say_lost(l, name, why);
        if (i < l->n_regions && !is_alone(l->groups[i]))
                l->lost[l->groups[i]] = true;
        return 0;
}

static int load_part(struct loading *l, unsigned i, const struct sw_section *x)
{
        const struct sw_engine_part *p = &sw__engine_parts[i];
        struct sw_state_io io = { .p = x->p, .n = x->n, .version = x->version };

        if (l->part_came[i])
                return refuse(l, -SW_ERR_DATA, x->name, "it is there twice");
        l->part_came[i] = true;
        if (p->group < SW_N_GROUPS && l->lost[p->group])
                return 0;
        if (x->version <= p->version)
                p->state(l->e, &io);
        if (x->version <= p->version && sw_state_ok(&io))
                return 0;
        if (io.no_memory)
                return refuse(l, -SW_ERR_NOMEM, x->name, "");
        if (p->group == SW_N_GROUPS)
                return refuse(l, -SW_ERR_VERSION, x->name, "it cannot be read by this version");
        say_lost(l, x->name, "it cannot be read by this version");
        l->lost[p->group] = true;
        return 0;
}

static int load_pieces(struct loading *l, const struct sw_section *x)
{
        const unsigned char *p = x->p;
        size_t n = x->n, bytes;
        struct sw_guard_piece head;
        int r;

        while (n) {
                if (n < sizeof(head))
                        return refuse(l, -SW_ERR_DATA, x->name, "one is cut");
                memcpy(&head, p, sizeof(head));
                p += sizeof(head);
                n -= sizeof(head);
                if (head.region >= l->n_loads)
                        return refuse(l, -SW_ERR_DATA, x->name, "one is of no table");
                bytes = sw_region_piece_bytes(&l->loads[head.region], head.n);
                r = sw_region_load_piece(&l->loads[head.region], &head, p, n);
                if (r < 0)
                        return refuse(l, r, x->name, "one does not fit its table");
                if (r == SW_REGION_E_DROP) {
                        const struct sw_region *g = &l->loads[head.region].region;
                        unsigned i = l->ours[head.region];

                        if (l->groups[i] == SW_GROUP_TEXTS || l->groups[i] == SW_GROUP_SEGMENTS)
                                return refuse(l, -SW_ERR_VERSION, g->name, "it could not be brought to this version");
                        say_lost(l, g->name, "it could not be brought to this version");
                        if (!is_alone(l->groups[i]))
                                l->lost[l->groups[i]] = true;
                }
                p += bytes;
                n -= bytes;
        }
        return 0;
}

static int load_section(struct loading *l, const struct sw_section *x)
{
        unsigned i;

        if (strcmp(x->name, "pieces") == 0)
                return load_pieces(l, x);
        if (strncmp(x->name, "table:", 6) == 0)
                return load_region(l, x);
        if (strcmp(x->name, "extra") == 0) {
                if (x->n > MAX_EXTRA)
                        return refuse(l, -SW_ERR_DATA, x->name, "too large");
                if (l->extra)
                        sw_buf_put(l->extra, x->p, x->n);
                return l->extra && l->extra->failed ? refuse(l, -SW_ERR_NOMEM, x->name, "") : 0;
        }
        for (i = 0; i < sw__engine_n_parts; i++)
                if (strcmp(x->name, sw__engine_parts[i].name) == 0)
                        return load_part(l, i, x);
        say_lost(l, x->name, "the program knows no such section");
        return 0;
}

/* ---- the end ---- */

static void lose(struct loading *l, enum sw_group group, const char *cause)
{
        unsigned i;

        for (i = 0; i < l->n_loads; i++) {
                if (l->ours[i] == MAX_REGIONS || l->groups[l->ours[i]] != group || l->loads[i].dropped)
                        continue;
                sw_region_load_drop(&l->loads[i]);
                say_lost(l, l->loads[i].region.name, cause);
        }
        l->lost[group] = true;
}

/* What refers to something that is lost is worth nothing. */
static void lose_the_rest(struct loading *l)
{
        struct sw_engine *e = l->e;
        unsigned i;

        if (l->lost[SW_GROUP_HOSTS]) {
                static const enum sw_group refer[] = { SW_GROUP_HOSTS, SW_GROUP_BASELINE, SW_GROUP_CONNS,
                        SW_GROUP_DETECT, SW_GROUP_INCIDENTS };

                for (i = 0; i < sizeof(refer) / sizeof(refer[0]); i++)
                        lose(l, refer[i], "it refers to hosts, which were lost");
        }
        if (l->lost[SW_GROUP_CONNS]) {
                lose(l, SW_GROUP_CONNS, "what belongs to it was lost");
                sw_timers_forget(e->conns->timers);
        }
        if (l->lost[SW_GROUP_REORDER]) {
                lose(l, SW_GROUP_REORDER, "what belongs to it was lost");
                e->reorder.late = (struct sw_reorder_bucket){ 0 };
                e->reorder.cap_heap = 0;
        }
        if (l->lost[SW_GROUP_PRINTS]) {
                lose(l, SW_GROUP_PRINTS, "what belongs to it was lost");
                sw_dedupe_forget(&e->dedupe);
        }
        if (l->lost[SW_GROUP_INCIDENTS]) {
                lose(l, SW_GROUP_INCIDENTS, "what belongs to it was lost");
                sw_correlate_forget(e->correlate);
        }
}

static int is_complete(struct loading *l)
{
        unsigned i;

        for (i = 0; i < sw__engine_n_parts; i++)
                if (!l->part_came[i] && (!l->learned || sw__engine_parts[i].learned))
                        return refuse(l, -SW_ERR_DATA, sw__engine_parts[i].name, "it is missing");
        for (i = 0; i < l->n_regions; i++)
                if (!l->came[i] && !is_alone(l->groups[i]) && (!l->learned || sw__engine_is_learned(l->groups[i])))
                        return refuse(l, -SW_ERR_DATA, l->regions[i].name, "it is missing");
        return 0;
}

/* No incident, no connection holds a host that was only learned. */
static void begin_learned(struct loading *l)
{
        struct sw_engine *e = l->e;

        e->world.directory.full = false;
        e->world.directory.n_refused = 0;
        e->view.learned_until = l->learned_until;
        sw_hosts_unpin(&e->world.hosts, false);
}

static bool is_time(struct sw_etime t)
{
        return sw_etime_is_none(t) || t.ms == SW_ENGINE_UNSURE.ms || (t.ms >= 0 && t.ms <= 2 * SW_ETIME_MAX_MS);
}

/* Time goes from minute to minute: from where a wrong number puts it, it would not arrive. */
static bool times_are_sound(const struct sw_engine *e)
{
        const struct sw_etime all[] = { e->view.now, e->view.learned_until, e->correlate_next, e->believed, e->released,
                e->wall, e->signal_time };
        uint32_t i;

        for (i = 0; i < sizeof(all) / sizeof(all[0]); i++)
                if (!is_time(all[i]))
                        return false;
        for (i = 0; i < e->n_newest; i++)
                if (!is_time(e->newest[i]))
                        return false;
        return sw_etime_is_none(e->view.now) ||
               (e->next_minute > e->view.now.ms && e->next_minute - e->view.now.ms <= SW_MINUTE);
}

static bool held_is_sound(const struct sw_engine *e)
{
        uint32_t i;

        for (i = 0; i < e->hold.n; i++) {
                const struct sw_held *x = &e->hold.items[i];

                if (x->partition >= e->n_newest || !is_time(x->tuple.time) || x->tuple.time.ms < 0 ||
                        x->tuple.state > SW_STATE_DENIED || !sw_table_at(&e->world.directory.rules, x->tuple.rule) ||
                        !sw_table_at(&e->world.directory.sensors, x->tuple.sensor))
                        return false;
        }
        return true;
}

static int restored(struct loading *l)
{
        struct sw_engine *e = l->e;
        int r = 0;

        if (l->learned) {
                begin_learned(l);
        } else {
                if (l->lost[SW_GROUP_CONNS] || l->lost[SW_GROUP_INCIDENTS]) {
                        sw_hosts_unpin(&e->world.hosts, !l->lost[SW_GROUP_INCIDENTS]);
                        sw_conns_pin(e->conns);
                }
                if (!times_are_sound(e) || !held_is_sound(e))
                        return refuse(l, -SW_ERR_DATA, "engine", "its times do not fit each other");
                r = sw_conns_restored(e->conns);
                if (r < 0)
                        return refuse(l, r, "connections", "its entries do not fit each other");
                r = sw_reorder_restored(&e->reorder);
                if (r < 0)
                        return refuse(l, r, "reorder", "its entries do not fit each other");
                r = sw_dedupe_restored(&e->dedupe);
                if (r < 0)
                        return refuse(l, r, "fingerprints", "its entries do not fit each other");
                r = sw_correlate_restored(e->correlate);
                if (r < 0)
                        return refuse(l, r, "incidents", "its entries do not fit each other");
        }
        r = sw_world_restored(&e->world, e->conf.segments ? e->conf.segments : e->none, e->conf.learning_ms);
        if (r < 0)
                return refuse(l, r, "world",
                        r == -SW_ERR_LIMIT ? "memory.limit is too small for its segments"
                                           : "its entries do not fit each other");
        return 0;
}

static int finish(struct loading *l)
{
        int r = is_complete(l);
        unsigned i;

        if (r < 0)
                return r;
        lose_the_rest(l);
        for (i = 0; i < l->n_loads; i++) {
                r = sw_region_load_end(&l->loads[i]);
                if (r < 0)
                        return refuse(l, r, l->loads[i].region.name, "its entries do not fit each other");
        }
        return restored(l);
}

static int load_all(struct loading *l)
{
        struct sw_section x;
        int r = sw_section_next(&l->reader, &x, l->reterr);

        if (r == 0)
                r = load_head(l, &x);
        while (r == 0) {
                r = sw_section_next(&l->reader, &x, l->reterr);
                if (r < 0 || l->reader.ended)
                        break;
                r = load_section(l, &x);
        }
        return r < 0 ? r : finish(l);
}

int sw_engine_load(const struct sw_core_conf *conf, sw_snapshot_source source, void *source_ctx,
        const struct sw_snapshot_hooks *hooks, struct sw_buf *extra, struct sw_engine **ret, struct sw_err *reterr)
{
        struct loading *l = sw_calloc(1, sizeof(*l));
        int r;

        if (!l)
                return sw_err_set(reterr, -SW_ERR_NOMEM, "%s", sw_error_text(-SW_ERR_NOMEM));
        l->conf = conf;
        l->hooks = hooks;
        l->extra = extra;
        l->reterr = reterr;
        r = sw_section_open(&l->reader, source, source_ctx, (size_t)conf->memory_limit_bytes, reterr);
        if (r == 0)
                r = load_all(l);
        if (r == 0)
                *ret = l->e;
        else
                sw_engine_free(l->e);
        sw_section_close(&l->reader);
        sw_free(l);
        return r;
}

int sw_snapshot_extra(sw_snapshot_source source, void *source_ctx, struct sw_buf *extra, struct sw_err *reterr)
{
        struct sw_section_reader reader;
        struct sw_section x;
        int r = sw_section_open(&reader, source, source_ctx, MAX_EXTRA, reterr);

        if (r == 0)
                r = sw_section_next(&reader, &x, reterr);
        if (r == 0 && strcmp(x.name, "snapshot") == 0)
                r = sw_section_next(&reader, &x, reterr);
        if (r == 0 && strcmp(x.name, "extra") != 0)
                r = sw_err_set(reterr, -SW_ERR_DATA, "snapshot: %s: the first sections are others", x.name);
        if (r == 0) {
                sw_buf_put(extra, x.p, x.n);
                if (extra->failed)
                        r = sw_err_set(reterr, -SW_ERR_NOMEM, "%s", sw_error_text(-SW_ERR_NOMEM));
        }
        sw_section_close(&reader);
        return r;
}

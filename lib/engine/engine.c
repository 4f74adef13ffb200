/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/engine_int.h"

#include <assert.h>

static const struct sw_segments *engine_segments(const struct sw_engine *e)
{
        return e->conf.segments ? e->conf.segments : e->none;
}

static int init_state(struct sw_engine *e, const struct sw_hash_key *seed)
{
        uint64_t m = e->conf.memory_limit_bytes;
        struct sw_world_limits limits = {
                .directory = sw_plan_bytes(SW_PLAN_DIRECTORY, m),
                .segs = sw_plan_bytes(SW_PLAN_SEGMENTS, m),
                .hosts = sw_plan_bytes(SW_PLAN_HOSTS, m),
                .hosts_internet = sw_plan_bytes(SW_PLAN_HOSTS_INTERNET, m),
                .edges = sw_plan_bytes(SW_PLAN_EDGES, m),
                .classes = sw_plan_bytes(SW_PLAN_CLASSES, m),
                .roles = sw_plan_bytes(SW_PLAN_ROLES, m),
                .fanout = sw_plan_bytes(SW_PLAN_FANOUT, m),
                .pairs = sw_plan_bytes(SW_PLAN_PAIRS, m),
                .sketches = sw_plan_bytes(SW_PLAN_SKETCHES, m),
        };
        struct sw_conns_limits conns = {
                .table = sw_plan_bytes(SW_PLAN_CONNS, m),
                .more = sw_plan_bytes(SW_PLAN_CONNS_MORE, m),
                .rpc = sw_plan_bytes(SW_PLAN_RPC, m),
                .timers = sw_plan_bytes(SW_PLAN_TIMERS, m),
        };
        struct sw_conns_conf idle = { e->conf.tcp_idle_ms, e->conf.udp_idle_ms };
        int r;

        r = sw_world_init(&e->world, engine_segments(e), e->conf.learning_ms, &limits, seed);
        if (r == 0)
                r = sw_conns_new(&e->view, &idle, &conns, seed, &e->conns);
        if (r == 0)
                r = sw_reorder_init(&e->reorder, &e->world.directory, sw_plan_bytes(SW_PLAN_REORDER, m), seed);
        if (r == 0)
                r = sw_dedupe_init(&e->dedupe, e->conf.dedupe_ms, sw_plan_bytes(SW_PLAN_DEDUPE, m), seed);
        if (r < 0)
                return r;
        sw__engine_want(e);
        e->conns->sink = sw__engine_event;
        e->conns->ctx = e;
        sw_hold_init(&e->hold, e->conf.ahead_ms, sw_plan_bytes(SW_PLAN_HELD, m));
        return 0;
}

static int engine_init(
        struct sw_engine *e, const struct sw_core_conf *conf, const struct sw_hash_key *seed, struct sw_err *reterr)
{
        int r;

        e->conf = *conf;
        e->seed = *seed;
        e->view = (struct sw_view){ .now = SW_ETIME_NONE, .learned_until = SW_ETIME_NONE, .world = &e->world };
        e->believed = e->released = e->wall = e->correlate_next = e->signal_time = SW_ETIME_NONE;
        if (sw_plan_sum() > 1000)
                return sw_err_set(reterr, -SW_ERR_INTERNAL, "memory plan: %u permille are given away", sw_plan_sum());
        if (!conf->segments) {
                r = sw_segments_new(NULL, &e->none, reterr);
                if (r < 0)
                        return r;
        }
        r = init_state(e, seed);
        if (r == -SW_ERR_INVAL)
                return sw_err_set(reterr, r, "memory.limit: %llu bytes are too few for the tables",
                        (unsigned long long)conf->memory_limit_bytes);
        if (r < 0)
                return sw_err_set(reterr, r, "%s", sw_error_text(r));
        r = sw_detect_init(&e->detect, e->conf.detectors, conf->memory_limit_bytes, seed, reterr);
        if (r < 0)
                return r;
        r = sw_correlate_new(&e->conf.incidents, e->conf.detectors,
                sw_plan_bytes(SW_PLAN_CORRELATE, conf->memory_limit_bytes), seed, &e->correlate);
        return r < 0 ? sw_err_set(reterr, r, "incidents: %s", sw_error_text(r)) : 0;
}

int sw_engine_new(
        const struct sw_core_conf *conf, const struct sw_hash_key *seed, struct sw_engine **ret, struct sw_err *reterr)
{
        struct sw_engine *e = sw_calloc(1, sizeof(*e));
        int r;

        if (!e)
                return sw_err_set(reterr, -SW_ERR_NOMEM, "%s", sw_error_text(-SW_ERR_NOMEM));
        r = engine_init(e, conf, seed, reterr);
        if (r < 0) {
                sw_engine_free(e);
                return r;
        }
        *ret = e;
        return 0;
}

struct sw_engine *sw_engine_free(struct sw_engine *e)
{
        if (!e)
                return NULL;
        assert(!e->snapshot);
        sw_correlate_free(e->correlate);
        sw_detect_deinit(&e->detect);
        sw_hold_deinit(&e->hold);
        sw_dedupe_deinit(&e->dedupe);
        sw_reorder_deinit(&e->reorder);
        sw_conns_free(e->conns);
        sw_world_deinit(&e->world);
        sw_segments_free(e->none);
        sw_signals_deinit(&e->signals);
        sw_buf_deinit(&e->sentence);
        sw_free(e->newest);
        sw_free(e->rule_ids);
        sw_free(e);
        return NULL;
}

/* Sizes and windows of the tables stay as they were made: those options need a restart. */
static int configure(struct sw_engine *e, const struct sw_core_conf *conf)
{
        struct sw_core_conf old = e->conf;
        int r;

        if (!conf->segments && !e->none) {
                r = sw_segments_new(NULL, &e->none, NULL);
                if (r < 0)
                        return r;
        }
        e->conf = *conf;
        e->conf.memory_limit_bytes = old.memory_limit_bytes;
        e->conf.dedupe_ms = old.dedupe_ms;
        r = sw_world_set_conf(&e->world, engine_segments(e), conf->learning_ms);
        if (r < 0)
                return r;
        e->conns->conf = (struct sw_conns_conf){ conf->tcp_idle_ms, conf->udp_idle_ms };
        e->hold.within_ms = conf->ahead_ms;
        sw__engine_want(e);
        sw_detect_set_conf(&e->detect, e->conf.detectors);
        sw_correlate_set_conf(e->correlate, &e->conf.incidents, e->conf.detectors);
        e->correlate_next = sw_correlate_next(e->correlate);
        return 0;
}

int sw_engine_step(struct sw_engine *e, const struct sw_event *ev, struct sw_actions *ret_do)
{
        int r = -SW_ERR_INVAL;

        e->out = ret_do;
        switch (ev->type) {
        case SW_EVENT_BATCH:
                r = sw__engine_ingest(e, ev->batch.batch, ev->batch.partition, ev->batch.carrier);
                break;
        case SW_EVENT_RELEASE:
                e->wall = ev->release.wall;
                e->cold = ev->release.cold;
                r = sw__engine_release(e, ev->release.watermark);
                break;
        case SW_EVENT_CONFIG:
                r = configure(e, ev->conf);
                break;
        }
        e->out = NULL;
        return r;
}

void sw_engine_set_tap(struct sw_engine *e, const struct sw_engine_tap *tap)
{
        e->tap = *tap;
        sw__engine_want(e);
}

struct sw_etime sw_engine_newest(const struct sw_engine *e, uint32_t partition)
{
        if (partition >= e->n_newest)
                return SW_ETIME_NONE;
        /* What one partition could not yet be believed must not hold the others back. */
        if (e->newest[partition].ms == SW_ENGINE_UNSURE.ms)
                return sw_etime_is_none(e->believed) ? sw_hold_start(&e->hold) : SW_ETIME_NONE;
        return e->newest[partition];
}

bool sw_engine_is_pressed(const struct sw_engine *e)
{
        return sw_reorder_is_pressed(&e->reorder);
}

struct sw_hash_key sw_engine_seed(const struct sw_engine *e)
{
        return e->seed;
}

struct sw_etime sw_engine_learned_until(const struct sw_engine *e)
{
        return e->view.learned_until;
}

struct sw_etime sw_engine_watermark(const struct sw_engine *e)
{
        return e->released;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario/scenario_int.h"

#include <string.h>

struct sw_scenario_conf sw_scenario_default(void)
{
        return (struct sw_scenario_conf){ .seed = 1,
                .start = { INT64_C(1772431200000) }, /* 2026-03-02 06:00 UTC, a Monday */
                .n_hosts = 300,
                .minutes = 30 * 60,
                .load_pct = 100,
                .n_partitions = 4,
                .message_min = 64 << 10,
                .message_max = 256 << 10,
                .scan_hosts = 40,
                .scan_gap_ms = 4000,
                .fanout_hosts = 6 };
}

static int scenario_check(const struct sw_scenario_conf *c, struct sw_err *reterr)
{
        if (c->n_hosts < 60 || c->n_hosts > 100000)
                return sw_err_set(reterr, -SW_ERR_INVAL, "hosts: %u is not in 60..100000", c->n_hosts);
        if (c->minutes < 10 || c->minutes > 180 * 24 * 60)
                return sw_err_set(reterr, -SW_ERR_INVAL, "minutes: %u is not in 10..259200", c->minutes);
        if (c->attack_minute >= c->minutes)
                return sw_err_set(reterr, -SW_ERR_INVAL, "the attack would begin after the end");
        if (c->load_pct < 1 || c->load_pct > 100000)
                return sw_err_set(reterr, -SW_ERR_INVAL, "load: %u is not in 1..100000 percent", c->load_pct);
        if (c->n_partitions < 1 || c->n_partitions > 256)
                return sw_err_set(reterr, -SW_ERR_INVAL, "partitions: %u is not in 1..256", c->n_partitions);
        if (c->message_min < 1024 || c->message_min > c->message_max || c->message_max > 3 << 20)
                return sw_err_set(reterr, -SW_ERR_INVAL, "message size: not 1 KiB <= min <= max <= 3 MiB");
        if (c->scan_hosts < 1 || c->scan_hosts > 4096 || c->fanout_hosts < 1 || c->fanout_hosts > 4096)
                return sw_err_set(reterr, -SW_ERR_INVAL, "targets of a scan or fan-out are not in 1..4096");
        if (c->start.ms < SW_ETIME_MIN_MS || c->start.ms > SW_ETIME_MAX_MS - 200 * SW_DAY || c->start.ms % SW_MINUTE)
                return sw_err_set(reterr, -SW_ERR_INVAL, "start: not a whole minute between 2001 and 2099");
        return 0;
}

/* The attack begins 2 h 20 min before the end, or after half of a short run; learning ends before it. */
static void scenario_schedule(struct sw_scenario *s)
{
        uint32_t minutes = s->conf.minutes, attack = s->conf.attack_minute;

        if (!attack)
                attack = minutes >= 300 ? minutes - 140 : minutes * 2 / 5;
        s->stats.attack = sw_etime_add(s->conf.start, attack * SW_MINUTE);
        s->stats.learning_minutes = attack > 25 * 60 ? 24 * 60 : attack / 2;
        s->stats.start = s->conf.start;
        s->stats.end = sw_etime_add(s->conf.start, minutes * SW_MINUTE);
}

int sw_scenario_new(const struct sw_scenario_conf *conf, struct sw_scenario **ret, struct sw_err *reterr)
{
        struct sw_scenario *s;
        uint32_t i;
        int r = scenario_check(conf, reterr);

        if (r < 0)
                return r;
        s = sw_calloc(1, sizeof(*s));
        if (!s)
                return sw_err_set(reterr, -SW_ERR_NOMEM, "out of memory");
        s->conf = *conf;
        s->conf.attacks = NULL;
        s->rng_sizes = sw__scn_mix(conf->seed ^ 0x73697a65);
        scenario_schedule(s);
        s->partitions = sw_calloc(conf->n_partitions, sizeof(*s->partitions));
        r = s->partitions ? sw__scn_net_init(&s->net, conf) : -SW_ERR_NOMEM;
        for (i = 0; r == 0 && i < SCN_N_SEGMENTS; i++)
                s->stats.n_hosts += s->net.segments[i].n;
        if (r == 0)
                r = sw__scn_benign_init(s);
        if (r < 0)
                sw_err_set(reterr, r, "out of memory");
        if (r == 0)
                r = sw__scn_attack_init(s, conf->attacks ? conf->attacks : "", reterr);
        if (r < 0) {
                sw_scenario_free(s);
                return r;
        }
        *ret = s;
        return 0;
}

struct sw_scenario *sw_scenario_free(struct sw_scenario *s)
{
        uint32_t i;

        if (!s)
                return NULL;
        for (i = 0; s->partitions && i < s->conf.n_partitions; i++)
                sw_buf_deinit(&s->partitions[i].buf);
        sw_free(s->partitions);
        sw__scn_net_deinit(&s->net);
        sw_free(s->habits);
        sw_free(s->plan);
        sw_free(s->steps);
        sw_free(s->conns);
        sw_free(s->pending);
        sw_free(s->heap);
        sw_arena_deinit(&s->arena);
        sw_free(s);
        return NULL;
}

/* No tuple that is still to come is older: NICs hold at most a minute, open messages know their own. */
static int64_t scenario_future_oldest(const struct sw_scenario *s, uint32_t but)
{
        int64_t t = s->conf.start.ms + (s->second - 61) * SW_SECOND;
        uint32_t i;

        for (i = 0; i < s->conf.n_partitions; i++)
                if (i != but && s->partitions[i].buf.n && s->partitions[i].oldest < t)
                        t = s->partitions[i].oldest;
        return t;
}

static bool scenario_take_ready(struct sw_scenario *s, struct sw_scenario_message *ret)
{
        uint32_t k;

        for (k = 0; k < s->conf.n_partitions; k++) {
                uint32_t i = (s->cursor + k) % s->conf.n_partitions;
                struct scn_partition *p = &s->partitions[i];

                if (!p->ready)
                        continue;
                s->cursor = (i + 1) % s->conf.n_partitions;
                s->drained = i + 1;
                *ret = (struct sw_scenario_message){ .partition = i,
                        .bytes = { p->buf.p, p->buf.n },
                        .time = { p->time },
                        .oldest = { p->oldest },
                        .newest = { p->newest },
                        .future_oldest = { scenario_future_oldest(s, i) },
                        .n_records = p->n_records,
                        .n_tuples = p->n_tuples,
                        .mac = p->mac };
                return true;
        }
        return false;
}

/* The next NIC whose minute ends at this second, or the next second. At the end every NIC writes what it has. */
static int scenario_advance(struct sw_scenario *s)
{
        int64_t now = s->conf.start.ms + s->second * SW_SECOND, last = (int64_t)s->conf.minutes * 60;
        uint32_t i, slot = (uint32_t)(s->second % 60);
        int r;

        if (s->second >= last) {
                if (s->flush_next < s->net.n_nics)
                        return sw__scn_flush(s, s->net.by_second[s->flush_next++], now);
                for (i = 0; i < s->conf.n_partitions; i++)
                        if (s->partitions[i].buf.n)
                                sw__scn_close_message(s, &s->partitions[i]);
                s->ended = true;
                return 0;
        }
        if (s->flush_next < s->net.second_first[slot + 1])
                return sw__scn_flush(s, s->net.by_second[s->flush_next++], now);
        s->second++;
        r = sw__scn_run(s, s->conf.start.ms + s->second * SW_SECOND);
        s->flush_next = s->second >= last ? 0 : s->net.second_first[s->second % 60];
        for (i = 0; i < s->conf.n_partitions; i++)
                if (s->partitions[i].buf.n && now + SW_SECOND - s->partitions[i].opened >= SCN_MAX_AGE_MS)
                        sw__scn_close_message(s, &s->partitions[i]);
        return r;
}

int sw_scenario_next(struct sw_scenario *s, struct sw_scenario_message *ret)
{
        int r;

        if (s->drained) {
                struct scn_partition *p = &s->partitions[s->drained - 1];

                sw_buf_reset(&p->buf);
                p->ready = false;
                s->drained = 0;
        }
        for (;;) {
                if (scenario_take_ready(s, ret))
                        return SW_SCENARIO_OK;
                if (s->ended)
                        return SW_SCENARIO_END;
                r = scenario_advance(s);
                if (r < 0)
                        return r;
        }
}

struct sw_scenario_stats sw_scenario_stats(const struct sw_scenario *s)
{
        return s->stats;
}

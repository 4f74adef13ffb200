/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/engine_int.h"

#include <assert.h>

#define PRINTS_AHEAD 4u /* records whose fingerprint slot is asked for before their turn */
#define ROOMS_AHEAD 4u  /* tuples whose place is asked for before their turn */

/* One record on its way in. */
struct intake {
        struct sw_engine *e;
        const struct sw_batch *b;
        const struct sw_record *r;
        uint32_t sensor, fold;
        uint16_t realm;
        struct sw_etime stamp; /* of the carrier, for clamping; NONE: nothing to compare with */
        bool hold;             /* tuples far ahead are kept back */
};

static void add_decode_stats(struct sw_engine *e, const struct sw_batch *b)
{
        struct sw_decode_stats *s = &e->stats.decode;
        uint32_t i;

        s->messages += b->stats.messages;
        s->message_errors += b->stats.message_errors;
        s->records_skipped += b->stats.records_skipped;
        s->record_errors += b->stats.record_errors;
        s->tuple_errors += b->stats.tuple_errors;
        s->unknown_versions += b->stats.unknown_versions;
        for (i = 0; i < b->n_errors; i++) {
                assert((unsigned)b->errors[i].reason < SW_N_REASONS);
                e->stats.reasons[b->errors[i].reason]++;
        }
}

/* What is asked of all tuples of a record before the first of them is taken. */
struct survey {
        struct sw_etime newest;
        uint64_t states[SW_STATE_DENIED + 2]; /* the last: stateless ones */
        uint64_t totals[SW_N_COUNTERS];
};

static struct survey survey_tuples(const struct sw_engine *e, const struct sw_batch *b, const struct sw_record *r)
{
        struct survey s = { .newest = SW_ETIME_NONE };
        uint32_t i, j;

        for (i = 0; i < r->n_tuples; i++) {
                const struct sw_tuple *t = &b->tuples[r->first_tuple + i];

                sw_reorder_prefetch(&e->reorder, t->time);
                s.newest = sw_etime_max(s.newest, t->time);
                /* No branch: states come in no order that could be foreseen. */
                s.states[t->flags & SW_TUPLE_STATELESS ? SW_STATE_DENIED + 1 : t->state]++;
                for (j = 0; j < SW_N_COUNTERS; j++)
                        s.totals[j] += t->counters[j];
        }
        return s;
}

static void count_tuples(struct sw_engine_stats *s, const struct survey *all, uint32_t n)
{
        uint32_t j;

        s->tuples += n;
        s->tuples_begin += all->states[SW_STATE_BEGIN];
        s->tuples_continue += all->states[SW_STATE_CONTINUE];
        s->tuples_end += all->states[SW_STATE_END];
        s->tuples_denied += all->states[SW_STATE_DENIED];
        s->tuples_stateless += all->states[SW_STATE_DENIED + 1];
        for (j = 0; j < SW_N_COUNTERS; j++)
                s->totals[j] += all->totals[j];
}

/* A full buffer gives way from its oldest end. */
static int make_room(struct sw_engine *e)
{
        int64_t second;
        int r;

        if (!sw_reorder_next(&e->reorder, &second)) {
                if (e->reorder.late.n == 0)
                        return -SW_ERR_NOMEM;
                second = e->released.ms / SW_SECOND - 1;
        }
        r = sw__engine_fold(e, sw_etime_max(e->released, (struct sw_etime){ second * SW_SECOND + SW_SECOND - 1 }));
        sw_reorder_recycle(&e->reorder);
        e->stats.reorder_forced++;
        e->out->forced = true;
        return r;
}

static void count_late(struct sw_engine *e, const struct sw_otuple *t)
{
        int64_t by = e->released.ms - t->time.ms;

        e->stats.tuples_late++;
        if (by >= e->stats.late_by_ms) {
                e->stats.late_by_ms = by;
                e->late_sensor = t->sensor;
        }
}

int sw__engine_add(struct sw_engine *e, const struct sw_otuple *t)
{
        int r;

        for (;;) {
                if (sw_etime_is_none(e->released) || t->time.ms > e->released.ms) {
                        r = sw_reorder_add(&e->reorder, t);
                } else if (t->time.ms < e->released.ms - e->conf.lateness_ms) {
                        e->stats.tuples_late++;
                        e->stats.tuples_too_late++;
                        return 0;
                } else {
                        r = sw_reorder_add_late(&e->reorder, t);
                        if (r == SW_REORDER_OK)
                                count_late(e, t);
                }
                if (r != SW_REORDER_E_FULL)
                        return r;
                r = make_room(e);
                if (r < 0)
                        return r;
        }
}

static void ingest_newest(struct sw_engine *e, uint32_t partition, struct sw_etime t)
{
        if (t.ms > e->newest[partition].ms)
                e->newest[partition] = t;
        e->believed = sw_etime_max(e->believed, t);
}

static void ingest_fold(struct sw_engine *e, uint32_t fold)
{
        if (e->n_folds == 0) {
                e->only_fold = fold;
                e->n_folds = 1;
        } else if (e->only_fold != fold) {
                e->n_folds = 2;
        }
}

static void ordered(const struct intake *in, const struct sw_tuple *t, struct sw_otuple *ret)
{
        *ret = (struct sw_otuple){
                .key = { .src = t->src,
                        .dst = t->dst,
                        .sport = t->sport,
                        .dport = t->dport,
                        .proto = t->proto,
                        .realm = in->realm },
                .time = t->time,
                .rule = 0,
                .sensor = in->sensor,
                .state = t->state,
                .direction = t->direction,
                .encryption = t->encryption,
                .counters_present = t->counters_present,
                .fold = in->fold & INT32_MAX,
                .stateless = (t->flags & SW_TUPLE_STATELESS) != 0,
        };

        memcpy(ret->counters, t->counters, sizeof(ret->counters));
}

static uint32_t ingest_rule(struct sw_engine *e, const struct sw_batch *b, uint32_t rule)
{
        if (rule >= b->n_rules)
                return 0;
        if (e->rule_ids[rule] == UINT32_MAX)
                e->rule_ids[rule] = sw_directory_rule(&e->world.directory, &b->rules[rule]);
        return e->rule_ids[rule];
}

/* Nothing to compare with yet. */
static bool is_unsure(const struct sw_engine *e)
{
        return sw_etime_is_none(e->believed) && sw_etime_is_none(e->released);
}

/* Where the watermark would be if it were released now, as far as this partition goes; one that was not heard yet
 * starts where the slowest is. */
static struct sw_etime ingest_reference(const struct sw_engine *e)
{
        struct sw_etime slowest = e->newest[e->partition];
        uint32_t i;

        if (slowest.ms <= SW_ENGINE_UNSURE.ms) {
                slowest = e->believed;
                for (i = 0; i < e->n_newest; i++)
                        if (e->newest[i].ms > SW_ENGINE_UNSURE.ms)
                                slowest = sw_etime_min(slowest, e->newest[i]);
        }
        return sw_etime_max(slowest, e->released);
}

static bool is_ahead(const struct sw_engine *e, struct sw_etime t)
{
        struct sw_etime newest = e->newest[e->partition];

        if (is_unsure(e))
                return true;
        if (newest.ms > SW_ENGINE_UNSURE.ms && t.ms <= newest.ms + e->conf.ahead_ms)
                return false;
        return t.ms > ingest_reference(e).ms + e->conf.ahead_ms;
}

static int ingest_hold(struct intake *in, const struct sw_otuple *o)
{
        struct sw_engine *e = in->e;
        bool unsure = is_unsure(e);
        int r = sw_hold_add(&e->hold, o, e->partition, in->fold);

        if (r < 0)
                return r;
        if (!unsure) {
                e->stats.tuples_held++;
                return 0;
        }
        if (r == SW_HOLD_OK) {
                e->newest[e->partition] = SW_ENGINE_UNSURE;
                return 0;
        }
        /* More came than can be doubted. */
        e->hold.n_dropped--;
        r = sw_hold_take(&e->hold, SW_ETIME_NONE, (struct sw_etime){ INT64_MAX }, sw__engine_believe, e);
        if (r < 0)
                return r;
        in->hold = false;
        return sw__engine_believe(e, &(struct sw_held){ *o, e->partition, in->fold });
}

static int ingest_tuple(struct intake *in, const struct sw_tuple *t)
{
        struct sw_engine *e = in->e;
        struct sw_etime time = t->time;
        struct sw_otuple o, *room;
        bool plain;

        if (!sw_etime_is_none(in->stamp) && time.ms > in->stamp.ms + e->conf.future_ms) {
                time = in->stamp;
                e->stats.tuples_clamped++;
        }
        /* Nearly all go to their place without being copied. */
        plain = !in->hold && (sw_etime_is_none(e->released) || time.ms > e->released.ms) &&
                sw_reorder_add_room(&e->reorder, time, &room) == SW_REORDER_OK;
        if (!plain)
                room = &o;
        ordered(in, t, room);
        room->rule = ingest_rule(e, in->b, t->rule);
        room->time = time;
        if (in->hold && is_ahead(e, time))
                return ingest_hold(in, &o);
        ingest_newest(e, e->partition, time);
        return plain ? 0 : sw__engine_add(e, &o);
}

int sw__engine_believe(void *ctx, const struct sw_held *held)
{
        struct sw_engine *e = ctx;

        ingest_fold(e, held->fold);
        ingest_newest(e, held->partition, held->tuple.time);
        return sw__engine_add(e, &held->tuple);
}

int sw__engine_settle(struct sw_engine *e, struct sw_etime reference)
{
        int r = 0;

        while (r == 0 && e->hold.n) {
                struct sw_etime until = sw_etime_max(e->believed, reference);

                if (sw_etime_is_none(until) || e->hold.oldest.ms > until.ms + e->conf.ahead_ms)
                        break;
                until = sw_etime_add(until, e->conf.ahead_ms);
                r = sw_hold_take(&e->hold, SW_ETIME_NONE, until, sw__engine_believe, e);
        }
        return r;
}

/* Newest time of the record after clamping decides whether its time is believed. */
static int ingest_ahead(struct intake *in, struct sw_etime newest)
{
        struct sw_engine *e = in->e;

        if (!sw_etime_is_none(in->stamp) && newest.ms > in->stamp.ms + e->conf.future_ms)
                newest = in->stamp;
        if (!is_ahead(e, newest)) {
                ingest_fold(e, in->fold);
                sw_hold_interrupt(&e->hold);
                return 0;
        }
        in->hold = !sw_hold_ask(
                &e->hold, in->fold, newest, e->n_folds == 0 || (e->n_folds == 1 && e->only_fold == in->fold));
        if (in->hold)
                return 0;
        ingest_fold(e, in->fold);
        return sw_hold_take(&e->hold, sw_etime_add(newest, -e->hold.within_ms), sw_etime_add(newest, e->hold.within_ms),
                sw__engine_believe, e);
}

static int ingest_record(
        struct sw_engine *e, const struct sw_batch *b, const struct sw_record *r, struct sw_etime carrier)
{
        struct intake in = { .e = e, .b = b, .r = r, .stamp = sw_etime_is_none(carrier) ? r->time : carrier };
        struct survey all = survey_tuples(e, b, r);
        struct sw_etime time = sw_etime_is_none(r->time) ? all.newest : r->time;
        const struct sw_directory_sensor *s;
        uint32_t i;
        int c = SW_DEDUPE_NEW, result;

        e->stats.records++;
        if (!sw_etime_is_none(time))
                c = sw_dedupe_check(&e->dedupe, r->fingerprint, time, e->released);
        if (c == SW_DEDUPE_DUPLICATE) {
                e->stats.records_duplicate++;
                return 0;
        }
        count_tuples(&e->stats, &all, r->n_tuples);
        if (c == SW_DEDUPE_OLD) {
                e->stats.records_old++;
                return 0;
        }
        if (r->n_tuples == 0)
                return 0;
        in.sensor = sw_directory_sensor(&e->world.directory, r, e->world.segs.conf);
        s = sw_directory_sensor_at(&e->world.directory, in.sensor);
        in.fold = s->fold;
        in.realm = s->realm;
        result = ingest_ahead(&in, all.newest);
        for (i = 0; i < r->n_tuples && result == 0; i++) {
                if (i + ROOMS_AHEAD < r->n_tuples)
                        sw_reorder_prefetch_room(&e->reorder, b->tuples[r->first_tuple + i + ROOMS_AHEAD].time);
                result = ingest_tuple(&in, &b->tuples[r->first_tuple + i]);
        }
        return result < 0 || in.hold ? result : sw__engine_settle(e, e->released);
}

static int reserve_partition(struct sw_engine *e, uint32_t partition)
{
        struct sw_etime *p;
        uint32_t n = e->n_newest ? e->n_newest : 16;

        if (partition >= SW_MAX_PARTITIONS)
                return -SW_ERR_INVAL;
        while (n <= partition)
                n *= 2;
        if (n == e->n_newest)
                return 0;
        p = sw_realloc_array(e->newest, n, sizeof(*p));
        if (!p)
                return -SW_ERR_NOMEM;
        e->newest = p;
        for (; e->n_newest < n; e->n_newest++)
                p[e->n_newest] = SW_ETIME_NONE;
        return 0;
}

int sw__engine_ingest(struct sw_engine *e, const struct sw_batch *b, uint32_t partition, struct sw_etime carrier)
{
        int r = reserve_partition(e, partition);
        uint32_t i;

        if (r < 0)
                return r;
        if (b->n_rules > e->n_rule_ids) {
                uint32_t *p = sw_realloc_array(e->rule_ids, b->n_rules, sizeof(*p));

                if (!p)
                        return -SW_ERR_NOMEM;
                e->rule_ids = p;
                e->n_rule_ids = b->n_rules;
        }
        for (i = 0; i < b->n_rules; i++)
                e->rule_ids[i] = UINT32_MAX;
        e->partition = partition;
        add_decode_stats(e, b);
        for (i = 0; i < b->n_records && r == 0; i++) {
                if (i + PRINTS_AHEAD < b->n_records)
                        sw_dedupe_prefetch(&e->dedupe, &b->records[i + PRINTS_AHEAD].fingerprint);
                r = ingest_record(e, b, &b->records[i], carrier);
        }
        return r;
}

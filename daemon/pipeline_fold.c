/* SPDX-License-Identifier: Apache-2.0 */
/* The engine thread: folds items in the order of their numbers and releases when the watermark says so. */
#include "pipeline_int.h"

#include <time.h>

#define PROGRESS_NS INT64_C(50000000)
/* Event time that one release covers when much is read at once: far less than what counts as a wrong clock (1 h ahead
 * of the last release). */
#define LEAP_MS (5 * SW_MINUTE)

static int64_t monotonic_ns(void)
{
        struct timespec ts;

        (void)clock_gettime(CLOCK_MONOTONIC, &ts);
        return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static struct sw_etime wall_time(void)
{
        struct timespec ts;

        (void)clock_gettime(CLOCK_REALTIME, &ts);
        return (struct sw_etime){ (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000 };
}

/* Facts as sw_watermark() wants them. Of a partition that is not at its end nothing older than its head will come, so
 * the head counts as seen; but only as far as somebody's time is believed: what nobody has decoded yet may be a wrong
 * clock, and must not move time. */
static struct sw_etime watermark(struct sw_pipeline *p, bool final)
{
        struct sw_etime w, believed = SW_ETIME_NONE;
        uint32_t i;

        pthread_mutex_lock(&p->lock);
        for (i = 0; i < p->n_partitions; i++)
                believed = sw_etime_max(believed, sw_engine_newest(p->engine, i));
        for (i = 0; i < p->n_partitions; i++) {
                const struct sw_pipeline_part *part = &p->partitions[i];
                struct sw_etime newest = sw_engine_newest(p->engine, i), head = part->fact.head;

                if (head.ms > SW_ETIME_MIN_MS) /* that one: not heard yet */
                        head = sw_etime_min(head, believed);
                if (!part->fact.at_end)
                        newest = sw_etime_max(newest, head);
                p->facts[i] = (struct sw_partition_fact){
                        .newest = newest, .at_end = part->fact.at_end, .left_behind = part->fact.left_behind
                };
        }
        w = sw_watermark(p->facts, i, p->conf.core->reorder_ms, final);
        pthread_mutex_unlock(&p->lock); /* a new partition may move the facts */
        /* One that was not heard yet holds at the beginning of time: to release that would make all others' clocks look
         * wrong. */
        return w.ms <= SW_ETIME_MIN_MS ? SW_ETIME_NONE : w;
}

static void drop_marks(struct sw_pipeline *p, struct sw_etime released)
{
        uint32_t i, n;

        for (i = 0; i < p->n_partitions; i++) {
                struct sw_pipeline_part *part = &p->partitions[i];

                for (n = 0; n < part->n_marks && part->marks[n].until.ms <= released.ms; n++)
                        ;
                if (n == 0)
                        continue;
                part->n_marks -= n;
                memmove(part->marks, part->marks + n, part->n_marks * sizeof(*part->marks));
        }
}

static void publish_progress(struct sw_pipeline *p, int64_t now)
{
        struct sw_engine_stats stats = sw_engine_stats(p->engine);
        struct sw_etime newest = SW_ETIME_NONE;
        uint32_t i;

        pthread_mutex_lock(&p->lock);
        for (i = 0; i < p->n_partitions; i++) {
                p->partitions[i].newest = sw_engine_newest(p->engine, i);
                newest = sw_etime_max(newest, p->partitions[i].newest);
        }
        p->progress.engine = stats;
        p->progress.watermark = p->released;
        p->progress.newest = newest;
        pthread_mutex_unlock(&p->lock);
        p->progress_ns = now;
}

/* After every step: a full reorder buffer releases inside a batch as well. */
static int deliver(struct sw_pipeline *p)
{
        if (!p->hooks.on_actions ||
                (p->actions.findings.n == 0 && p->actions.signals.n == 0 && p->actions.suppressed.n == 0))
                return 0;
        return p->hooks.on_actions(p->hooks.ctx, &p->actions);
}

/* Copies what a row says of the partitions: the array may move when one is added. */
static int collect_consumed(struct sw_pipeline *p, struct sw_pipeline_row *row)
{
        struct sw_consumed *c;
        uint32_t i, n;

        pthread_mutex_lock(&p->lock);
        n = p->n_partitions;
        if (n > p->cap_consumed) {
                c = sw_realloc_array(p->consumed, p->cap_partitions, sizeof(*c));
                if (!c) {
                        pthread_mutex_unlock(&p->lock);
                        return -SW_ERR_NOMEM;
                }
                p->consumed = c;
                p->cap_consumed = p->cap_partitions;
        }
        for (i = 0; i < n; i++)
                p->consumed[i] = p->partitions[i].consumed;
        pthread_mutex_unlock(&p->lock);
        row->consumed = p->consumed;
        row->n_consumed = n;
        return 0;
}

static int tell_release(struct sw_pipeline *p, struct sw_pipeline_row *row)
{
        int r = 0;

        if (!p->hooks.on_release)
                return 0;
        if (row->number == 0)
                r = collect_consumed(p, row);
        return r < 0 ? r : p->hooks.on_release(p->hooks.ctx, p->engine, row);
}

/* What is found before time came near the clock for the first time is history. */
static void end_cold(struct sw_pipeline *p, const struct sw_pipeline_row *row)
{
        p->cold = row->cold && (sw_etime_is_none(row->wall) || row->watermark.ms < row->wall.ms - SW_HOUR);
}

static int release_row(struct sw_pipeline *p, struct sw_pipeline_row *row)
{
        struct sw_event ev = { .type = SW_EVENT_RELEASE };
        struct sw_etime w = row->watermark;
        int64_t now;
        int r;

        ev.release.watermark = w;
        ev.release.wall = row->wall;
        ev.release.cold = row->cold;
        sw_actions_reset(&p->actions);
        r = sw_engine_step(p->engine, &ev, &p->actions);
        if (r < 0)
                return r;
        r = deliver(p);
        if (r == 0)
                r = tell_release(p, row);
        if (r < 0)
                return r;
        end_cold(p, row);
        now = monotonic_ns();
        if (w.ms > p->released.ms) /* a row without an advance delays none */
                p->released_ns = now;
        p->released = w;
        p->pending = p->start_moved = false;
        pthread_mutex_lock(&p->lock);
        drop_marks(p, w);
        p->progress.releases++;
        pthread_mutex_unlock(&p->lock);
        if (now - p->progress_ns > PROGRESS_NS)
                publish_progress(p, now);
        return 0;
}

static int release_to(struct sw_pipeline *p, struct sw_etime w)
{
        struct sw_pipeline_row row = {
                .watermark = w, .wall = p->conf.wall_time ? wall_time() : SW_ETIME_NONE, .cold = p->cold
        };

        return release_row(p, &row);
}

/* Replay: after each whole second of advance. Run: at most every release_ms, but a catch-up takes hours of event time
 * within that: then also where the buffer would fill up although the watermark allows to empty it, and before what is
 * read next looks like a wrong clock. */
static bool release_is_due(const struct sw_pipeline *p, struct sw_etime w)
{
        bool whole_second;

        if (sw_etime_is_none(w) || (!sw_etime_is_none(p->released) && w.ms <= p->released.ms))
                return false;
        whole_second = sw_etime_is_none(p->released) || w.ms / SW_SECOND > p->released.ms / SW_SECOND;
        if (p->conf.release_ms == 0)
                return whole_second;
        if (whole_second && sw_engine_is_pressed(p->engine))
                return true;
        if (!sw_etime_is_none(p->released) && w.ms - p->released.ms >= LEAP_MS)
                return true;
        return monotonic_ns() - p->released_ns >= p->conf.release_ms * 1000000;
}

static int release_if_due(struct sw_pipeline *p)
{
        struct sw_etime w;

        if (p->repeating)
                return 0;
        w = watermark(p, false);
        return release_is_due(p, w) ? release_to(p, w) : 0;
}

static int add_mark(struct sw_pipeline_part *part, int64_t offset, struct sw_etime until)
{
        if (part->n_marks && part->marks[part->n_marks - 1].until.ms >= until.ms)
                return 0;
        if (part->n_marks == part->cap_marks) {
                uint32_t cap = part->cap_marks ? part->cap_marks * 2 : 16;
                struct sw_offset_mark *marks = sw_realloc_array(part->marks, cap, sizeof(*marks));

                if (!marks)
                        return -SW_ERR_NOMEM;
                part->marks = marks;
                part->cap_marks = cap;
        }
        part->marks[part->n_marks++] = (struct sw_offset_mark){ offset, until };
        return 0;
}

/* Newest time that the batch can have in the engine: what lies beyond its carrier's stamp was set to the stamp. */
static struct sw_etime newest_kept(const struct sw_pipeline *p, const struct sw_item *it)
{
        int64_t future_ms = p->conf.core->future_ms;
        struct sw_etime newest = SW_ETIME_NONE;
        uint32_t i;

        if (!sw_etime_is_none(it->input.carrier))
                return sw_etime_min(it->batch->newest, sw_etime_add(it->input.carrier, future_ms));
        for (i = 0; i < it->batch->n_records; i++) {
                const struct sw_record *r = &it->batch->records[i];
                struct sw_etime limit =
                        sw_etime_is_none(r->time) ? it->batch->newest : sw_etime_add(r->time, future_ms);
                uint32_t j;

                for (j = 0; j < r->n_tuples; j++)
                        newest = sw_etime_max(newest, sw_etime_min(it->batch->tuples[r->first_tuple + j].time, limit));
        }
        return sw_etime_is_none(newest) ? it->batch->newest : newest;
}

static int fold_input(struct sw_pipeline *p, struct sw_item *it)
{
        struct sw_event ev = { .type = SW_EVENT_BATCH };
        struct sw_pipeline_part *part;
        int r;

        if (it->batch->n_errors && p->hooks.on_errors)
                p->hooks.on_errors(p->hooks.ctx, it->partition, it->input.offset, it->batch);
        ev.batch.batch = it->batch;
        ev.batch.partition = it->partition;
        ev.batch.carrier = it->input.carrier;
        sw_actions_reset(&p->actions);
        r = sw_engine_step(p->engine, &ev, &p->actions);
        if (r == 0)
                r = deliver(p);
        if (r < 0)
                return r;
        p->pending = true;
        if (p->conf.release_ms > 0)
                sw_flow_logs_note(&p->flow_logs, it->batch, sw_engine_newest(p->engine, it->partition));
        pthread_mutex_lock(&p->lock);
        part = &p->partitions[it->partition];
        part->next_offset = it->input.next ? it->input.next : it->input.offset + 1;
        part->consumed = (struct sw_consumed){ .next = it->input.inode ? it->input.place : part->next_offset,
                .inode = it->input.inode,
                .stamp = it->input.carrier,
                .hash = it->hash };
        part->newest = sw_engine_newest(p->engine, it->partition); /* readers align the partitions by it */
        part->n_records += it->batch->n_records;
        p->progress.bytes_taken += it->input.bytes.n;
        p->progress.items_taken++;
        if (p->conf.release_ms > 0 && it->batch->n_tuples) { /* a replay resumes nowhere */
                /* Whole seconds keep the list short; a late tuple waits for the next release as well. */
                struct sw_etime until = sw_etime_add(newest_kept(p, it), SW_SECOND - 1);

                until.ms -= until.ms % SW_SECOND;
                if (!sw_etime_is_none(p->released))
                        until = sw_etime_max(until, sw_etime_add(p->released, 1));
                r = add_mark(part, it->input.offset, until);
        }
        pthread_mutex_unlock(&p->lock);
        return r < 0 ? r : release_if_due(p);
}

static int fold_config(struct sw_pipeline *p, const struct sw_core_conf *core)
{
        struct sw_event ev = { .type = SW_EVENT_CONFIG, .conf = core };
        int r = 0;

        /* what came before it was read under the old one */
        if (p->pending && !p->repeating && p->conf.release_ms > 0)
                r = release_to(p, p->released);
        if (r < 0)
                return r;
        p->conf.core = core;
        sw_actions_reset(&p->actions);
        r = sw_engine_step(p->engine, &ev, &p->actions);
        if (r == 0)
                r = deliver(p);
        if (r == 0 && p->hooks.on_config)
                p->hooks.on_config(p->hooks.ctx, core);
        return r;
}

/* Where a partition begins is a row of its own: who repeats has to begin there as well. */
static int fold_start(struct sw_pipeline *p, const struct sw_item *it)
{
        struct sw_consumed *c;
        bool moved;

        pthread_mutex_lock(&p->lock);
        c = &p->partitions[it->partition].consumed;
        /* who starts where it ended still knows what it read last */
        moved = c->next != it->start.next || c->inode != it->start.inode;
        if (moved)
                *c = it->start;
        pthread_mutex_unlock(&p->lock);
        p->start_moved = p->start_moved || moved;
        return p->start_moved && !p->repeating && p->hooks.on_release ? release_to(p, p->released) : 0;
}

static int fold_repeated(struct sw_pipeline *p, const struct sw_item *it)
{
        struct sw_pipeline_row row = it->row;

        return release_row(p, &row);
}

/* Idle, or the end of a replay: up to the newest event time, never beyond. */
static int release_all(struct sw_pipeline *p)
{
        struct sw_etime w = watermark(p, true);

        if (sw_etime_is_none(w) || (!sw_etime_is_none(p->released) && w.ms < p->released.ms))
                return 0;
        /* At w == released late tuples may still wait for their fold. */
        return p->pending || sw_etime_is_none(p->released) || w.ms > p->released.ms ? release_to(p, w) : 0;
}

static int fold(struct sw_pipeline *p, struct sw_item *it)
{
        switch (it->type) {
        case ITEM_INPUT:
                return fold_input(p, it);
        case ITEM_FACT:
                pthread_mutex_lock(&p->lock);
                p->partitions[it->partition].fact = it->fact;
                pthread_mutex_unlock(&p->lock);
                return p->conf.release_ms > 0 ? 0 : release_if_due(p);
        case ITEM_START:
                return fold_start(p, it);
        case ITEM_ROW:
                return fold_repeated(p, it);
        case ITEM_LIVE:
                p->repeating = false;
                return p->start_moved && p->hooks.on_release ? release_to(p, p->released) : 0;
        case ITEM_IDLE:
                return p->repeating ? 0 : release_all(p);
        case ITEM_CONFIG:
                return fold_config(p, it->core);
        case ITEM_FINISH:
                return it->final ? release_all(p) : 0;
        }
        return -SW_ERR_INTERNAL;
}

/* Frees a slot. Called with the lock; returns whether a refused caller must be told. */
static bool pop(struct sw_pipeline *p, struct sw_item *it)
{
        bool tell = p->refused;

        if (it->type == ITEM_INPUT) {
                p->queued_bytes -= it->input.bytes.n;
                if (it->batch)
                        p->free_batches[p->n_free_batches++] = it->batch;
                pthread_cond_signal(&p->work);
        }
        if (it->type == ITEM_FINISH)
                p->finished = true;
        *it = (struct sw_item){ 0 };
        p->head++;
        p->refused = false;
        pthread_cond_broadcast(&p->room);
        return tell;
}

static void wait_for_item(struct sw_pipeline *p)
{
        struct timespec until;

        if (p->conf.release_ms == 0) {
                pthread_cond_wait(&p->ready, &p->lock);
                return;
        }
        (void)clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += (long)(p->conf.release_ms % 1000) * 1000000;
        until.tv_sec += p->conf.release_ms / 1000 + until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        (void)pthread_cond_timedwait(&p->ready, &p->lock, &until);
}

/* Between two items. */
static int turn(struct sw_pipeline *p)
{
        int r;

        sw__pipeline_look(p);
        if (!p->hooks.on_turn)
                return 0;
        r = p->hooks.on_turn(p->hooks.ctx, p->engine);
        return r == SW_PIPELINE_ROW && !p->repeating ? release_to(p, p->released) : r < 0 ? r : 0;
}

void *sw__pipeline_engine_main(void *arg)
{
        struct sw_pipeline *p = arg;
        int r, failed;

        (void)pthread_setname_np(pthread_self(), "engine");
        pthread_mutex_lock(&p->lock);
        while (!p->stop) {
                struct sw_item *it = sw__pipeline_slot(p, p->head);
                void (*done)(void *owner) = NULL;
                void *owner = NULL;
                bool tell;

                if (p->head == p->tail || !it->ready) {
                        sw_beat_idle(&p->beats[0]);
                        wait_for_item(p);
                        sw_beat_busy(&p->beats[0]);
                        if (p->conf.release_ms == 0 || p->stop || p->failed ||
                                (p->head < p->tail && sw__pipeline_slot(p, p->head)->ready))
                                continue;
                        pthread_mutex_unlock(&p->lock);
                        r = release_if_due(p);
                        if (r == 0)
                                r = turn(p);
                        pthread_mutex_lock(&p->lock);
                        if (r < 0)
                                sw__pipeline_fail(p, r, "engine");
                        continue;
                }
                failed = p->failed;
                pthread_mutex_unlock(&p->lock);
                sw_beat_busy(&p->beats[0]);
                r = failed ? 0 : fold(p, it);
                if (r == 0 && !failed)
                        r = turn(p);
                if (it->type == ITEM_FINISH)
                        publish_progress(p, monotonic_ns());
                if (it->type == ITEM_INPUT) {
                        done = it->input.done;
                        owner = it->input.owner;
                }
                if (done)
                        done(owner);
                pthread_mutex_lock(&p->lock);
                if (r < 0)
                        sw__pipeline_fail(p, r, "engine");
                tell = pop(p, it);
                if (tell && p->hooks.on_room) {
                        pthread_mutex_unlock(&p->lock);
                        p->hooks.on_room(p->hooks.ctx);
                        pthread_mutex_lock(&p->lock);
                }
        }
        sw_beat_idle(&p->beats[0]);
        pthread_mutex_unlock(&p->lock);
        return NULL;
}

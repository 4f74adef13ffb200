/* SPDX-License-Identifier: Apache-2.0 */
/* One ring of items carries everything in the order of submission. An item moves through three hands:
 *
 *   tail   the caller puts it there                         (submit, fact, idle, reconfigure, finish)
 *   taken  a worker decodes it into a batch of the pool     (inputs only; the others need no decoding)
 *   head   the engine thread folds it once it is ready, and frees the slot
 *
 * A worker takes a batch before it takes an item, and items are taken in order, so the oldest item always has a batch
 * and the ring cannot lock up. Bytes and slots are bounded; batches are few, so memory does not depend on the input. */
#include "pipeline.h"

#include <assert.h>
#include <pthread.h>
#include <time.h>

#define DEFAULT_QUEUE_BYTES ((size_t)16 << 20)
#define DEFAULT_QUEUE_ITEMS 1024u
#define TAKE_BYTES ((size_t)64 << 10)
#define PROGRESS_NS INT64_C(50000000)

enum item_type { ITEM_INPUT, ITEM_FACT, ITEM_IDLE, ITEM_CONFIG, ITEM_FINISH };

struct item {
        enum item_type type;
        bool ready;
        uint32_t partition;
        struct sw_input input;
        struct sw_batch *batch;
        union {
                struct sw_fact fact;
                const struct sw_core_conf *core;
                bool final;
        };
};

/* An offset that must not be passed before the watermark reaches `until`. */
struct mark {
        int64_t offset;
        struct sw_etime until;
};

struct partition {
        struct sw_fact fact;
        struct mark *marks; /* `until` strictly increasing: a later offset with an earlier time is covered */
        uint32_t n_marks, cap_marks;
        int64_t last_offset; /* newest taken; -1 = none */
        struct sw_etime newest;
        uint64_t n_records;
};

struct sw_pipeline {
        struct sw_pipeline_conf conf;
        struct sw_pipeline_hooks hooks;
        pthread_t *workers, engine_thread;
        unsigned n_workers_started;
        bool engine_started;
        struct sw_engine *engine; /* engine thread only, except between finish and the next submit */
        struct sw_actions actions;

        pthread_mutex_t lock;
        pthread_cond_t work, ready, room;
        /* under lock */
        struct item *ring;
        uint32_t n_slots;
        uint64_t head, taken, tail; /* running numbers; slot = number % n_slots */
        size_t queued_bytes;
        struct sw_batch **free_batches;
        unsigned n_free_batches, n_batches;
        struct sw_batch **all_batches;
        bool stop, refused, finished;
        int failed;
        struct sw_err failure;
        struct partition *partitions;
        uint32_t n_partitions, cap_partitions;
        struct sw_pipeline_progress progress;

        /* engine thread only */
        struct sw_partition_fact *facts;
        uint32_t cap_facts;
        struct sw_etime released;
        int64_t released_ns, progress_ns;
        bool pending; /* something was taken since the last release */
};

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

static struct item *slot(struct sw_pipeline *p, uint64_t number)
{
        return &p->ring[number % p->n_slots];
}

/* ---- decode workers ---- */

/* Takes consecutive items up to TAKE_BYTES; false: nothing to take now. Called with the lock. */
static bool take_items(struct sw_pipeline *p, uint64_t *ret_from, uint64_t *ret_to)
{
        size_t bytes = 0;

        if (p->taken < p->head) /* the engine has passed items that need no decoding */
                p->taken = p->head;
        for (; p->taken < p->tail; p->taken++) {
                if (slot(p, p->taken)->type == ITEM_INPUT)
                        break;
        }
        *ret_from = p->taken;
        for (; p->taken < p->tail && bytes < TAKE_BYTES && p->n_free_batches > 0; p->taken++) {
                struct item *it = slot(p, p->taken);

                if (it->type != ITEM_INPUT)
                        continue;
                it->batch = p->free_batches[--p->n_free_batches];
                bytes += it->input.bytes.n;
        }
        *ret_to = p->taken;
        return *ret_to > *ret_from;
}

static int decode_items(struct sw_pipeline *p, struct sw_decoder *d, uint64_t from, uint64_t to)
{
        uint64_t i;
        int r;

        for (i = from; i < to; i++) {
                struct item *it = slot(p, i);

                if (it->type != ITEM_INPUT)
                        continue;
                sw_batch_reset(it->batch);
                r = sw_decode(d, it->input.bytes, it->input.flags, it->input.base, it->batch);
                if (r < 0)
                        return r;
        }
        return 0;
}

static void fail(struct sw_pipeline *p, int code, const char *what)
{
        if (p->failed == 0) {
                p->failed = code;
                (void)sw_err_set(&p->failure, code, "%s: %s", what, sw_error_text(code));
        }
}

static void *worker_main(void *arg)
{
        struct sw_pipeline *p = arg;
        struct sw_decoder *d = NULL;
        uint64_t from, to, i;
        int r = sw_decoder_new(&p->conf.decoder, &d);

        pthread_mutex_lock(&p->lock);
        while (!p->stop) {
                int code;

                if (!take_items(p, &from, &to)) {
                        pthread_cond_wait(&p->work, &p->lock);
                        continue;
                }
                pthread_mutex_unlock(&p->lock);
                code = r < 0 ? r : decode_items(p, d, from, to);
                pthread_mutex_lock(&p->lock);
                if (code < 0)
                        fail(p, code, "decoder");
                for (i = from; i < to; i++)
                        slot(p, i)->ready = true;
                pthread_cond_signal(&p->ready);
        }
        pthread_mutex_unlock(&p->lock);
        sw_decoder_free(d);
        return NULL;
}

/* ---- engine thread ---- */

/* Facts as sw_watermark() wants them. A file brings nothing older than its head, so the head counts as seen. */
static struct sw_etime watermark(struct sw_pipeline *p, bool final)
{
        uint32_t i;

        pthread_mutex_lock(&p->lock);
        for (i = 0; i < p->n_partitions; i++) {
                const struct partition *part = &p->partitions[i];
                struct sw_etime newest = sw_engine_newest(p->engine, i);

                if (!part->fact.at_end)
                        newest = sw_etime_max(newest, part->fact.head);
                p->facts[i] = (struct sw_partition_fact){
                        .newest = newest, .at_end = part->fact.at_end, .left_behind = part->fact.left_behind
                };
        }
        pthread_mutex_unlock(&p->lock);
        return sw_watermark(p->facts, i, p->conf.core->reorder_ms, final);
}

static void drop_marks(struct sw_pipeline *p, struct sw_etime released)
{
        uint32_t i, n;

        for (i = 0; i < p->n_partitions; i++) {
                struct partition *part = &p->partitions[i];

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

static int release_to(struct sw_pipeline *p, struct sw_etime w)
{
        struct sw_event ev = { .type = SW_EVENT_RELEASE };
        int64_t now;
        int r;

        ev.release.watermark = w;
        ev.release.wall = p->conf.wall_time ? wall_time() : SW_ETIME_NONE;
        ev.release.cold = p->conf.cold;
        sw_actions_reset(&p->actions);
        r = sw_engine_step(p->engine, &ev, &p->actions);
        if (r < 0)
                return r;
        if (p->hooks.on_actions && (p->actions.findings.n || p->actions.signals.n)) {
                r = p->hooks.on_actions(p->hooks.ctx, &p->actions);
                if (r < 0)
                        return r;
        }
        p->released = w;
        p->pending = false;
        now = p->released_ns = monotonic_ns();
        pthread_mutex_lock(&p->lock);
        drop_marks(p, w);
        p->progress.releases++;
        pthread_mutex_unlock(&p->lock);
        if (now - p->progress_ns > PROGRESS_NS)
                publish_progress(p, now);
        return 0;
}

/* Replay: after each whole second of advance. Run: at most every release_ms. */
static bool release_is_due(const struct sw_pipeline *p, struct sw_etime w)
{
        if (sw_etime_is_none(w) || (!sw_etime_is_none(p->released) && w.ms <= p->released.ms))
                return false;
        if (p->conf.release_ms > 0)
                return monotonic_ns() - p->released_ns >= p->conf.release_ms * 1000000;
        return sw_etime_is_none(p->released) || w.ms / SW_SECOND > p->released.ms / SW_SECOND;
}

static int release_if_due(struct sw_pipeline *p)
{
        struct sw_etime w = watermark(p, false);

        return release_is_due(p, w) ? release_to(p, w) : 0;
}

static int add_mark(struct partition *part, int64_t offset, struct sw_etime until)
{
        if (part->n_marks && part->marks[part->n_marks - 1].until.ms >= until.ms)
                return 0;
        if (part->n_marks == part->cap_marks) {
                uint32_t cap = part->cap_marks ? part->cap_marks * 2 : 16;
                struct mark *marks = sw_realloc_array(part->marks, cap, sizeof(*marks));

                if (!marks)
                        return -SW_ERR_NOMEM;
                part->marks = marks;
                part->cap_marks = cap;
        }
        part->marks[part->n_marks++] = (struct mark){ offset, until };
        return 0;
}

static int fold_input(struct sw_pipeline *p, struct item *it)
{
        struct sw_event ev = { .type = SW_EVENT_BATCH };
        struct partition *part;
        int r;

        if (it->batch->n_errors && p->hooks.on_errors)
                p->hooks.on_errors(p->hooks.ctx, it->partition, it->input.offset, it->batch);
        ev.batch.batch = it->batch;
        ev.batch.partition = it->partition;
        ev.batch.carrier = it->input.carrier;
        sw_actions_reset(&p->actions);
        r = sw_engine_step(p->engine, &ev, &p->actions);
        if (r < 0)
                return r;
        p->pending = true;
        pthread_mutex_lock(&p->lock);
        part = &p->partitions[it->partition];
        part->last_offset = it->input.offset;
        part->n_records += it->batch->n_records;
        p->progress.bytes_taken += it->input.bytes.n;
        p->progress.items_taken++;
        if (p->conf.release_ms > 0 && it->batch->n_tuples) { /* a replay resumes nowhere */
                /* Whole seconds keep the list short; a late tuple waits for the next release as well. */
                struct sw_etime until = sw_etime_add(it->batch->newest, SW_SECOND - 1);

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

        p->conf.core = core;
        sw_actions_reset(&p->actions);
        return sw_engine_step(p->engine, &ev, &p->actions);
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

static int fold(struct sw_pipeline *p, struct item *it)
{
        switch (it->type) {
        case ITEM_INPUT:
                return fold_input(p, it);
        case ITEM_FACT:
                pthread_mutex_lock(&p->lock);
                p->partitions[it->partition].fact = it->fact;
                pthread_mutex_unlock(&p->lock);
                return p->conf.release_ms > 0 ? 0 : release_if_due(p);
        case ITEM_IDLE:
                return release_all(p);
        case ITEM_CONFIG:
                return fold_config(p, it->core);
        case ITEM_FINISH:
                return it->final ? release_all(p) : 0;
        }
        return -SW_ERR_INTERNAL;
}

/* Frees a slot. Called with the lock; returns whether a refused caller must be told. */
static bool pop(struct sw_pipeline *p, struct item *it)
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
        *it = (struct item){ 0 };
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

static void *engine_main(void *arg)
{
        struct sw_pipeline *p = arg;
        int r, failed;

        pthread_mutex_lock(&p->lock);
        while (!p->stop) {
                struct item *it = slot(p, p->head);
                void (*done)(void *owner) = NULL;
                void *owner = NULL;
                bool tell;

                if (p->head == p->tail || !it->ready) {
                        wait_for_item(p);
                        if (p->conf.release_ms == 0 || p->stop || p->failed ||
                                (p->head < p->tail && slot(p, p->head)->ready))
                                continue;
                        pthread_mutex_unlock(&p->lock);
                        r = release_if_due(p);
                        pthread_mutex_lock(&p->lock);
                        if (r < 0)
                                fail(p, r, "engine");
                        continue;
                }
                failed = p->failed;
                pthread_mutex_unlock(&p->lock);
                r = failed ? 0 : fold(p, it);
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
                        fail(p, r, "engine");
                tell = pop(p, it);
                if (tell && p->hooks.on_room) {
                        pthread_mutex_unlock(&p->lock);
                        p->hooks.on_room(p->hooks.ctx);
                        pthread_mutex_lock(&p->lock);
                }
        }
        pthread_mutex_unlock(&p->lock);
        return NULL;
}

/* ---- the caller's side ---- */

static int make_batches(struct sw_pipeline *p)
{
        unsigned n = p->conf.n_workers * 4 + 4;

        p->free_batches = sw_calloc(n, sizeof(struct sw_batch *));
        p->all_batches = sw_calloc(n, sizeof(struct sw_batch *));
        if (!p->free_batches || !p->all_batches)
                return -SW_ERR_NOMEM;
        for (; p->n_batches < n; p->n_batches++) {
                struct sw_batch *b = sw_calloc(1, sizeof(*b));

                if (!b)
                        return -SW_ERR_NOMEM;
                *b = SW_BATCH_NULL;
                p->all_batches[p->n_batches] = p->free_batches[p->n_free_batches++] = b;
        }
        return 0;
}

static int start_threads(struct sw_pipeline *p)
{
        p->workers = sw_calloc(p->conf.n_workers, sizeof(*p->workers));
        if (!p->workers)
                return -SW_ERR_NOMEM;
        for (; p->n_workers_started < p->conf.n_workers; p->n_workers_started++)
                if (pthread_create(&p->workers[p->n_workers_started], NULL, worker_main, p) != 0)
                        return -SW_ERR_UNAVAIL;
        if (pthread_create(&p->engine_thread, NULL, engine_main, p) != 0)
                return -SW_ERR_UNAVAIL;
        p->engine_started = true;
        return 0;
}

int sw_pipeline_new(const struct sw_pipeline_conf *conf, const struct sw_pipeline_hooks *hooks,
        struct sw_pipeline **ret, struct sw_err *reterr)
{
        struct sw_pipeline *p = sw_calloc(1, sizeof(*p));
        pthread_condattr_t attr;
        int r;

        if (!p)
                return sw_err_set(reterr, -SW_ERR_NOMEM, "out of memory");
        p->conf = *conf;
        p->hooks = *hooks;
        p->released = SW_ETIME_NONE;
        p->progress.watermark = p->progress.newest = SW_ETIME_NONE;
        if (p->conf.n_workers == 0)
                p->conf.n_workers = 1;
        if (p->conf.queue_max_bytes == 0)
                p->conf.queue_max_bytes = DEFAULT_QUEUE_BYTES;
        p->n_slots = p->conf.queue_max_items ? p->conf.queue_max_items : DEFAULT_QUEUE_ITEMS;
        (void)pthread_condattr_init(&attr);
        (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
        (void)pthread_mutex_init(&p->lock, NULL);
        (void)pthread_cond_init(&p->work, NULL);
        (void)pthread_cond_init(&p->ready, &attr);
        (void)pthread_cond_init(&p->room, NULL);
        (void)pthread_condattr_destroy(&attr);
        r = sw_engine_new(p->conf.core, &p->conf.seed, &p->engine, reterr);
        if (r < 0) {
                sw_pipeline_free(p);
                return r;
        }
        p->ring = sw_calloc(p->n_slots, sizeof(*p->ring));
        r = p->ring ? make_batches(p) : -SW_ERR_NOMEM;
        if (r == 0)
                r = start_threads(p);
        if (r < 0) {
                (void)sw_err_set(reterr, r, "pipeline: %s", sw_error_text(r));
                sw_pipeline_free(p);
                return r;
        }
        *ret = p;
        return 0;
}

static void join_threads(struct sw_pipeline *p)
{
        unsigned i;

        pthread_mutex_lock(&p->lock);
        p->stop = true;
        pthread_cond_broadcast(&p->work);
        pthread_cond_broadcast(&p->ready);
        pthread_cond_broadcast(&p->room);
        pthread_mutex_unlock(&p->lock);
        for (i = 0; i < p->n_workers_started; i++)
                (void)pthread_join(p->workers[i], NULL);
        if (p->engine_started)
                (void)pthread_join(p->engine_thread, NULL);
}

struct sw_pipeline *sw_pipeline_free(struct sw_pipeline *p)
{
        uint32_t i;

        if (!p)
                return NULL;
        join_threads(p);
        for (; p->head < p->tail; p->head++) {
                struct item *it = slot(p, p->head);

                if (it->type == ITEM_INPUT && it->input.done)
                        it->input.done(it->input.owner);
        }
        for (i = 0; i < p->n_batches; i++) {
                sw_batch_deinit(p->all_batches[i]);
                sw_free(p->all_batches[i]);
        }
        for (i = 0; i < p->n_partitions; i++)
                sw_free(p->partitions[i].marks);
        sw_actions_deinit(&p->actions);
        sw_engine_free(p->engine);
        sw_free(p->free_batches);
        sw_free(p->all_batches);
        sw_free(p->partitions);
        sw_free(p->facts);
        sw_free(p->workers);
        sw_free(p->ring);
        (void)pthread_cond_destroy(&p->work);
        (void)pthread_cond_destroy(&p->ready);
        (void)pthread_cond_destroy(&p->room);
        (void)pthread_mutex_destroy(&p->lock);
        sw_free(p);
        return NULL;
}

/* Both arrays grow together, under the lock; `facts` is written by the engine thread under the lock as well. */
static int grow_partitions(struct sw_pipeline *p)
{
        uint32_t cap = p->cap_partitions ? p->cap_partitions * 2 : 16;
        struct partition *partitions = sw_realloc_array(p->partitions, cap, sizeof(*partitions));
        struct sw_partition_fact *facts;

        if (!partitions)
                return -SW_ERR_NOMEM;
        p->partitions = partitions;
        facts = sw_realloc_array(p->facts, cap, sizeof(*facts));
        if (!facts)
                return -SW_ERR_NOMEM;
        p->facts = facts;
        p->cap_partitions = cap;
        return 0;
}

int sw_pipeline_add_partition(struct sw_pipeline *p, uint32_t *ret)
{
        int r = 0;

        pthread_mutex_lock(&p->lock);
        if (p->n_partitions == SW_MAX_PARTITIONS)
                r = -SW_ERR_LIMIT;
        else if (p->n_partitions == p->cap_partitions)
                r = grow_partitions(p);
        if (r == 0) {
                *ret = p->n_partitions++;
                p->partitions[*ret] = (struct partition){
                        .fact = { .head = SW_ETIME_NONE }, .last_offset = -1, .newest = SW_ETIME_NONE
                };
        }
        pthread_mutex_unlock(&p->lock);
        return r;
}

/* Puts one item at the tail. Called with the lock. */
static void push(struct sw_pipeline *p, const struct item *it)
{
        *slot(p, p->tail) = *it;
        p->tail++;
        if (it->type == ITEM_INPUT) {
                p->queued_bytes += it->input.bytes.n;
                pthread_cond_signal(&p->work);
        } else {
                pthread_cond_signal(&p->ready);
        }
}

static bool has_room(const struct sw_pipeline *p, size_t bytes)
{
        if (p->tail - p->head >= p->n_slots)
                return false;
        return p->queued_bytes == 0 || p->queued_bytes + bytes <= p->conf.queue_max_bytes;
}

static int enqueue(struct sw_pipeline *p, const struct item *it, bool wait)
{
        size_t bytes = it->type == ITEM_INPUT ? it->input.bytes.n : 0;
        int r = 0;

        pthread_mutex_lock(&p->lock);
        while (wait && !p->failed && !has_room(p, bytes))
                pthread_cond_wait(&p->room, &p->lock);
        if (p->failed) {
                r = p->failed;
        } else if (!has_room(p, bytes)) {
                p->refused = true;
                r = SW_PIPELINE_FULL;
        } else {
                push(p, it);
        }
        pthread_mutex_unlock(&p->lock);
        return r;
}

int sw_pipeline_submit(struct sw_pipeline *p, const struct sw_input *in, bool wait)
{
        struct item it = { .type = ITEM_INPUT, .partition = in->partition, .input = *in };

        assert(in->partition < p->n_partitions);
        return enqueue(p, &it, wait);
}

int sw_pipeline_fact(struct sw_pipeline *p, uint32_t partition, const struct sw_fact *f)
{
        struct item it = { .type = ITEM_FACT, .ready = true, .partition = partition, .fact = *f };

        assert(partition < p->n_partitions);
        return enqueue(p, &it, true);
}

int sw_pipeline_idle(struct sw_pipeline *p)
{
        struct item it = { .type = ITEM_IDLE, .ready = true };

        return enqueue(p, &it, true);
}

int sw_pipeline_reconfigure(struct sw_pipeline *p, const struct sw_core_conf *core)
{
        struct item it = { .type = ITEM_CONFIG, .ready = true, .core = core };

        return enqueue(p, &it, true);
}

int sw_pipeline_tick(struct sw_pipeline *p)
{
        pthread_mutex_lock(&p->lock);
        pthread_cond_signal(&p->ready);
        pthread_mutex_unlock(&p->lock);
        return 0;
}

int sw_pipeline_finish(struct sw_pipeline *p, bool final, struct sw_err *reterr)
{
        struct item it = { .type = ITEM_FINISH, .ready = true, .final = final };
        int r = enqueue(p, &it, true);

        pthread_mutex_lock(&p->lock);
        while (r == 0 && !p->finished)
                pthread_cond_wait(&p->room, &p->lock);
        p->finished = false;
        if (p->failed) {
                r = p->failed;
                if (reterr)
                        *reterr = p->failure;
        }
        pthread_mutex_unlock(&p->lock);
        return r;
}

int64_t sw_pipeline_resume_offset(struct sw_pipeline *p, uint32_t partition)
{
        const struct partition *part;
        int64_t offset;

        pthread_mutex_lock(&p->lock);
        part = &p->partitions[partition];
        offset = part->n_marks ? part->marks[0].offset : part->last_offset < 0 ? -1 : part->last_offset + 1;
        pthread_mutex_unlock(&p->lock);
        return offset;
}

void sw_pipeline_progress(struct sw_pipeline *p, struct sw_pipeline_progress *ret)
{
        pthread_mutex_lock(&p->lock);
        *ret = p->progress;
        pthread_mutex_unlock(&p->lock);
}

void sw_pipeline_partition(
        struct sw_pipeline *p, uint32_t partition, struct sw_etime *ret_newest, uint64_t *ret_records)
{
        pthread_mutex_lock(&p->lock);
        *ret_newest = p->partitions[partition].newest;
        *ret_records = p->partitions[partition].n_records;
        pthread_mutex_unlock(&p->lock);
}

const struct sw_engine *sw_pipeline_engine(const struct sw_pipeline *p)
{
        return p->engine;
}

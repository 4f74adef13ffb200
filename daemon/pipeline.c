/* SPDX-License-Identifier: Apache-2.0 */
/* The caller's side: set-up, the tail of the ring, questions. */
#include "pipeline_int.h"

#include <assert.h>

#define DEFAULT_QUEUE_BYTES ((size_t)16 << 20)
#define DEFAULT_QUEUE_ITEMS 1024u

void sw__pipeline_fail(struct sw_pipeline *p, int code, const char *what)
{
        if (p->failed == 0) {
                p->failed = code;
                (void)sw_err_set(&p->failure, code, "%s: %s", what, sw_error_text(code));
        }
}

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
        unsigned i;

        p->workers = sw_calloc(p->conf.n_workers, sizeof(*p->workers));
        p->beats = sw_calloc(p->conf.n_workers + 1, sizeof(*p->beats));
        if (!p->workers || !p->beats)
                return -SW_ERR_NOMEM;
        for (i = 0; i <= p->conf.n_workers; i++)
                p->beats[i].name = i ? "worker" : "engine";
        for (; p->n_workers_started < p->conf.n_workers; p->n_workers_started++)
                if (pthread_create(&p->workers[p->n_workers_started], NULL, sw__pipeline_worker_main, p) != 0)
                        return -SW_ERR_UNAVAIL;
        if (pthread_create(&p->engine_thread, NULL, sw__pipeline_engine_main, p) != 0)
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

        if (!p) {
                sw_engine_free(conf->engine);
                return sw_err_set(reterr, -SW_ERR_NOMEM, "out of memory");
        }
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
        p->repeating = conf->repeat;
        p->cold = conf->cold;
        p->engine = conf->engine;
        if (p->engine)
                p->released = p->progress.watermark = sw_engine_watermark(p->engine);
        r = p->engine ? 0 : sw_engine_new(p->conf.core, &p->conf.seed, &p->engine, reterr);
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
        p->n_workers_started = 0;
        p->engine_started = false;
}

void sw_pipeline_stop(struct sw_pipeline *p)
{
        join_threads(p);
}

struct sw_pipeline *sw_pipeline_free(struct sw_pipeline *p)
{
        uint32_t i;

        if (!p)
                return NULL;
        join_threads(p);
        for (; p->head < p->tail; p->head++) {
                struct sw_item *it = sw__pipeline_slot(p, p->head);

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
        sw_free(p->consumed);
        sw_free(p->workers);
        sw_free(p->beats);
        sw_flow_logs_deinit(&p->flow_logs);
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
        struct sw_pipeline_part *partitions = sw_realloc_array(p->partitions, cap, sizeof(*partitions));
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
                p->partitions[*ret] = (struct sw_pipeline_part){ .fact = { .head = SW_ETIME_NONE },
                        .next_offset = -1,
                        .consumed = SW_CONSUMED_NONE,
                        .newest = SW_ETIME_NONE };
        }
        pthread_mutex_unlock(&p->lock);
        return r;
}

/* Puts one item at the tail. Called with the lock. */
static void push(struct sw_pipeline *p, const struct sw_item *it)
{
        *sw__pipeline_slot(p, p->tail) = *it;
        p->tail++;
        if (it->type == ITEM_INPUT) {
                p->queued_bytes += it->input.bytes.n;
                pthread_cond_signal(&p->work);
        } else {
                pthread_cond_signal(&p->ready);
        }
}

/* Inputs leave slots to facts, and facts to the rest: the loop must not wait for the disk when it says that something
 * ended or that the configuration is new. */
static bool has_room(const struct sw_pipeline *p, enum sw_item_type type, size_t bytes)
{
        uint64_t used = p->tail - p->head;

        if (type == ITEM_INPUT)
                return used < p->n_slots - p->n_slots / 4 &&
                       (p->queued_bytes == 0 || p->queued_bytes + bytes <= p->conf.queue_max_bytes);
        return used < (type == ITEM_FACT || type == ITEM_ROW ? p->n_slots - p->n_slots / 16 : p->n_slots);
}

static int enqueue(struct sw_pipeline *p, const struct sw_item *it, bool wait)
{
        size_t bytes = it->type == ITEM_INPUT ? it->input.bytes.n : 0;
        int r = 0;

        pthread_mutex_lock(&p->lock);
        while (wait && !p->failed && !has_room(p, it->type, bytes))
                pthread_cond_wait(&p->room, &p->lock);
        if (p->failed) {
                r = p->failed;
        } else if (!has_room(p, it->type, bytes)) {
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
        struct sw_item it = { .type = ITEM_INPUT, .partition = in->partition, .input = *in };

        assert(in->partition < p->n_partitions);
        return enqueue(p, &it, wait);
}

int sw_pipeline_fact(struct sw_pipeline *p, uint32_t partition, const struct sw_fact *f)
{
        struct sw_item it = { .type = ITEM_FACT, .ready = true, .partition = partition, .fact = *f };

        assert(partition < p->n_partitions);
        return enqueue(p, &it, true);
}

int sw_pipeline_start(struct sw_pipeline *p, uint32_t partition, const struct sw_consumed *c)
{
        struct sw_item it = { .type = ITEM_START, .ready = true, .partition = partition, .start = *c };

        assert(partition < p->n_partitions);
        return enqueue(p, &it, true);
}

int sw_pipeline_repeat(struct sw_pipeline *p, const struct sw_pipeline_row *row)
{
        struct sw_item it = { .type = ITEM_ROW, .ready = true, .row = *row };

        return enqueue(p, &it, false);
}

int sw_pipeline_live(struct sw_pipeline *p)
{
        struct sw_item it = { .type = ITEM_LIVE, .ready = true };

        return enqueue(p, &it, true);
}

int sw_pipeline_idle(struct sw_pipeline *p)
{
        struct sw_item it = { .type = ITEM_IDLE, .ready = true };

        return enqueue(p, &it, true);
}

int sw_pipeline_reconfigure(struct sw_pipeline *p, const struct sw_core_conf *core)
{
        struct sw_item it = { .type = ITEM_CONFIG, .ready = true, .core = core };

        return enqueue(p, &it, true);
}

int sw_pipeline_tick(struct sw_pipeline *p)
{
        int r;

        pthread_mutex_lock(&p->lock);
        r = p->failed;
        pthread_cond_signal(&p->ready);
        pthread_mutex_unlock(&p->lock);
        return r;
}

int sw_pipeline_finish(struct sw_pipeline *p, bool final, struct sw_err *reterr)
{
        struct sw_item it = { .type = ITEM_FINISH, .ready = true, .final = final };
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
        const struct sw_pipeline_part *part;
        int64_t offset;

        pthread_mutex_lock(&p->lock);
        part = &p->partitions[partition];
        offset = part->n_marks ? part->marks[0].offset : part->next_offset;
        pthread_mutex_unlock(&p->lock);
        return offset;
}

struct sw_consumed sw_pipeline_consumed(struct sw_pipeline *p, uint32_t partition)
{
        struct sw_consumed c;

        pthread_mutex_lock(&p->lock);
        c = p->partitions[partition].consumed;
        pthread_mutex_unlock(&p->lock);
        return c;
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

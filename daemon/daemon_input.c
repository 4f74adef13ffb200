/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"
#include "clock.h"
#include "daemon_int.h"

#include <string.h>

#define INPUT_OFFSETS "offsets.json"
#define INPUT_AHEAD_MS (5 * SW_MINUTE) /* event time a partition may be ahead of the slowest holder */
#define INPUT_BEHIND_AFTER_MS (10 * SW_MINUTE)

/* ---- hooks of the sources ---- */

static int input_grow(struct sw_daemon *d)
{
        uint32_t cap = d->cap_parts ? 2 * d->cap_parts : 16;
        struct sw__daemon_part **parts = sw_calloc(cap, sizeof(struct sw__daemon_part *));

        if (!parts)
                return -SW_ERR_NOMEM;
        if (d->n_parts)
                memcpy(parts, d->parts, d->n_parts * sizeof(struct sw__daemon_part *));
        pthread_mutex_lock(&d->parts_lock);
        sw_free(d->parts);
        d->parts = parts;
        d->cap_parts = cap;
        pthread_mutex_unlock(&d->parts_lock);
        return 0;
}

static int input_add_part(struct sw__daemon_source *s, const char *topic, int32_t number, uint32_t *ret_id)
{
        struct sw_daemon *d = s->daemon;
        struct sw__daemon_part *p;
        uint32_t id;
        int r = 0;

        if (d->n_parts == d->cap_parts)
                r = input_grow(d);
        p = r == 0 ? sw_calloc(1, sizeof(*p)) : NULL;
        if (!p)
                return -SW_ERR_NOMEM;
        r = sw_pipeline_add_partition(d->pipeline, &id);
        if (r < 0) {
                sw_free(p);
                return r;
        }
        p->source = s->index;
        p->number = number;
        p->topic = topic;
        p->start = -1;
        p->front = p->head = SW_ETIME_NONE;
        pthread_mutex_lock(&d->parts_lock);
        d->parts[id] = p;
        d->n_parts = id + 1;
        pthread_mutex_unlock(&d->parts_lock);
        *ret_id = id;
        return 0;
}

static bool input_topic_is_known(const struct sw_offsets *o, const char *source, const char *topic)
{
        uint32_t i;

        for (i = 0; i < o->n; i++)
                if (strcmp(o->items[i].source, source) == 0 && strcmp(o->items[i].topic, topic) == 0)
                        return true;
        return false;
}

static int input_on_partition(void *ctx, const char *topic, int32_t number, uint32_t *ret_id, int64_t *ret_next)
{
        struct sw__daemon_source *s = ctx;
        struct sw_daemon *d = s->daemon;
        const struct sw_offset_key key = { s->conf->name, topic, number };
        const struct sw_offset *o = sw_offsets_get(&d->offsets, &key);

        if (o)
                *ret_next = o->next;
        else if (input_topic_is_known(&d->offsets, s->conf->name, topic))
                *ret_next = SW_SOURCE_NEW;
        else
                *ret_next = SW_SOURCE_NEVER_READ;
        return input_add_part(s, topic, number, ret_id);
}

static void input_fact(struct sw_daemon *d, uint32_t id)
{
        const struct sw__daemon_part *p = d->parts[id];
        const struct sw_fact f = { .head = p->head, .at_end = p->at_end, .left_behind = p->left_behind };
        int r = sw_pipeline_fact(d->pipeline, id, &f);

        if (r < 0)
                sw__daemon_fail(d, r, "pipeline");
}

/* Without this the first partition that is read would take the watermark with it before the others are heard. */
static void input_on_start(void *ctx, uint32_t id, int64_t next, bool has_more)
{
        struct sw__daemon_source *s = ctx;
        struct sw__daemon_part *p = s->daemon->parts[id];

        p->start = next;
        p->unheard = has_more;
        if (has_more)
                p->head = (struct sw_etime){ SW_ETIME_MIN_MS };
        input_fact(s->daemon, id);
}

static int input_on_message(void *ctx, uint32_t id, const struct sw_source_message *m)
{
        struct sw__daemon_source *s = ctx;
        struct sw_daemon *d = s->daemon;
        struct sw_input in = { .partition = id,
                .flags = m->flags,
                .bytes = m->bytes,
                .offset = m->offset,
                .next = m->next,
                .base = m->base,
                .carrier = m->carrier,
                .done = m->done,
                .owner = m->owner };
        int r = d->paused ? SW_PIPELINE_FULL : sw_pipeline_submit(d->pipeline, &in, false);

        if (r < 0)
                sw__daemon_fail(d, r, "pipeline");
        if (r != 0)
                return r;
        if (d->parts[id]->unheard) {
                d->parts[id]->unheard = false;
                d->parts[id]->head = SW_ETIME_NONE;
                input_fact(d, id);
        }
        d->n_submitted++;
        d->last_input_ms = sw_clock_mono().ms;
        d->idle_told = false;
        return 0;
}

static void input_on_at_end(void *ctx, uint32_t id, bool at_end)
{
        struct sw__daemon_source *s = ctx;

        s->daemon->parts[id]->at_end = at_end;
        input_fact(s->daemon, id);
}

static void input_on_gap(void *ctx, uint32_t id, int64_t from, int64_t to)
{
        struct sw__daemon_source *s = ctx;
        const struct sw__daemon_part *p = s->daemon->parts[id];
        struct sw_buf scope = SW_BUF_NULL, text = SW_BUF_NULL;

        sw_buf_printf(&scope, "%s/%s/%d/%lld", s->conf->name, p->topic, p->number, (long long)from);
        sw_buf_printf(&text,
                "%lld messages of partition %d of %s (offsets %lld to %lld) were deleted before they could be read: "
                "what "
                "happened in them was not seen.",
                (long long)(to - from), p->number, p->topic, (long long)from, (long long)(to - 1));
        sw_buf_putc(&scope, '\0');
        sw_buf_putc(&text, '\0');
        if (!scope.failed && !text.failed)
                sw__daemon_health(
                        s->daemon, "gap", scope.p, sw_clock_wall(), "Visibility gap: messages expired", text.p);
        sw_buf_deinit(&scope);
        sw_buf_deinit(&text);
}

void sw__daemon_room(void *ctx)
{
        struct sw_daemon *d = ctx;
        uint32_t i;

        for (i = 0; i < d->n_sources && !atomic_load(&d->stop) && !d->paused; i++)
                if (d->sources[i].kafka)
                        sw_source_kafka_room(d->sources[i].kafka);
                else if (d->sources[i].tail)
                        sw_source_tail_room(d->sources[i].tail);
}

void sw__daemon_pause(struct sw_daemon *d, bool paused)
{
        d->paused = paused;
        if (!paused) {
                d->last_input_ms = sw_clock_mono().ms;
                sw__daemon_room(d);
        }
}

void sw__daemon_source_stats(const struct sw__daemon_source *s, struct sw_source_stats *ret)
{
        if (s->kafka)
                sw_source_kafka_stats(s->kafka, ret);
        else
                sw_source_tail_stats(s->tail, ret);
}

/* ---- alignment ---- */

/* A partition that holds the others back, and does not catch up for long: they go on without it. */
static void input_leave_behind(struct sw_daemon *d, uint32_t id, struct sw_etime fastest)
{
        struct sw__daemon_part *p = d->parts[id];
        bool heard = !sw_etime_is_none(p->front);
        int64_t distance = heard ? fastest.ms - p->front.ms : INT64_MAX;
        bool behind = heard ? distance > d->conf->conf.time.lateness_ms : p->unheard && !sw_etime_is_none(fastest);
        struct sw_buf scope = SW_BUF_NULL;

        if (p->left_behind && !behind) {
                p->left_behind = false;
                input_fact(d, id);
        }
        if (p->left_behind)
                return;
        if (!behind || p->at_end || d->paused || sw__daemon_is_blocked(d)) {
                sw_behind_reset(&p->behind);
                return;
        }
        if (sw_behind_step(&p->behind, distance, sw_clock_mono().ms) < INPUT_BEHIND_AFTER_MS)
                return;
        p->left_behind = true;
        input_fact(d, id);
        sw_buf_printf(&scope, "%s/%s/%d", d->sources[p->source].conf->name, p->topic, p->number);
        sw_buf_putc(&scope, '\0');
        if (!scope.failed) {
                sw_log(d->log, SW_LOG_ERROR, "left_behind", scope.p,
                        "more than time.lateness behind the others and no closer for 10 min: they go on without it");
                sw__daemon_health(d, "left_behind", scope.p, sw_clock_wall(), "A partition was left behind",
                        "A partition is more than time.lateness behind the others and came no closer for 10 minutes: "
                        "they go on without it, and what it brings counts as late.");
        }
        sw_buf_deinit(&scope);
}

static bool input_holds(const struct sw__daemon_part *p)
{
        return !p->at_end && !p->left_behind && (p->unheard || !sw_etime_is_none(p->front));
}

static void input_idle(struct sw_daemon *d)
{
        struct sw_source_stats stats;
        uint32_t i;

        if (d->paused || d->idle_told || d->n_submitted == 0 ||
                sw_clock_mono().ms - d->last_input_ms < d->conf->conf.time.idle_ms || sw__daemon_is_blocked(d))
                return;
        for (i = 0; i < d->n_sources; i++) {
                sw__daemon_source_stats(&d->sources[i], &stats);
                if (stats.waiting_for_room)
                        return;
        }
        d->idle_told = true;
        if (sw_pipeline_idle(d->pipeline) < 0)
                sw__daemon_fail(d, -SW_ERR_INTERNAL, "pipeline");
}

/* Nobody is served what lies more than 5 min of event time ahead of the slowest that holds the watermark. */
static void input_align(struct sw_daemon *d)
{
        struct sw_etime slowest = SW_ETIME_NONE, limit = SW_ETIME_NONE;
        uint32_t i;

        for (i = 0; i < d->n_parts; i++) {
                const struct sw__daemon_part *p = d->parts[i];
                /* one that was not heard yet may bring anything */
                struct sw_etime front = sw_etime_is_none(p->front) ? (struct sw_etime){ SW_ETIME_MIN_MS } : p->front;

                if (input_holds(p))
                        slowest = sw_etime_is_none(slowest) ? front : sw_etime_min(slowest, front);
        }
        if (!sw_etime_is_none(slowest))
                limit = sw_etime_add(slowest, INPUT_AHEAD_MS);
        for (i = 0; i < d->n_sources; i++)
                if (d->sources[i].kafka)
                        sw_source_kafka_limit(d->sources[i].kafka, limit);
                else if (d->sources[i].tail)
                        sw_source_tail_limit(d->sources[i].tail, limit);
        /* one that waits must not hold the watermark at what it brought before a quiet time */
        for (i = 0; i < d->n_parts; i++) {
                struct sw__daemon_part *p = d->parts[i];

                if (sw_etime_is_none(p->front) || sw_etime_cmp(p->front, p->head) == 0 ||
                        (!p->unheard && (sw_etime_is_none(limit) || sw_etime_cmp(p->front, limit) <= 0)))
                        continue;
                p->head = p->front;
                input_fact(d, i);
        }
}

static void input_on_front(void *ctx, uint32_t id, struct sw_etime front)
{
        struct sw__daemon_source *s = ctx;

        s->daemon->parts[id]->front = front;
}

static void input_on_round(void *ctx)
{
        struct sw__daemon_source *s = ctx;

        input_align(s->daemon);
}

void sw__daemon_align(void *ctx)
{
        struct sw_daemon *d = ctx;

        struct sw_etime fastest = SW_ETIME_NONE;
        uint32_t i;

        input_align(d);
        for (i = 0; i < d->n_parts; i++)
                fastest = sw_etime_max(fastest, d->parts[i]->front);
        for (i = 0; i < d->n_parts; i++)
                input_leave_behind(d, i, fastest);
        input_idle(d);
}

/* ---- opening ---- */

static int input_open_kafka(struct sw__daemon_source *s, struct sw_err *reterr)
{
        const struct sw_conf_source *c = s->conf;
        const struct sw_source_kafka_conf conf = { .name = c->name,
                .eventhubs = c->kind == SW_SOURCE_EVENTHUBS,
                .connection_string = c->connection_string,
                .brokers = c->brokers,
                .topic = c->topic,
                .group = c->group,
                .ca_file = c->ca_file,
                .start = (enum sw_source_kafka_start)c->start.kind,
                .start_time = c->start.time,
                .librdkafka = &c->librdkafka };
        const struct sw_source_hooks hooks = { .ctx = s,
                .on_partition = input_on_partition,
                .on_start = input_on_start,
                .on_message = input_on_message,
                .on_at_end = input_on_at_end,
                .on_gap = input_on_gap,
                .on_front = input_on_front,
                .on_round = input_on_round };

        return sw_source_kafka_new(&conf, s->daemon->loop, s->daemon->log, &hooks, &s->kafka, reterr);
}

static int input_open_file(struct sw__daemon_source *s, struct sw_err *reterr)
{
        const struct sw_conf_source *c = s->conf;
        struct sw_daemon *d = s->daemon;
        const struct sw_offset_key key = { c->name, c->path, 0 };
        const struct sw_offset *o = sw_offsets_get(&d->offsets, &key);
        struct sw_source_tail_conf conf = { .name = c->name,
                .path = c->path,
                .follow = c->follow,
                .record_max = d->conf->conf.input.message_max,
                .inode = o ? o->inode : 0,
                .next = o ? o->next : 0 };
        const struct sw_source_hooks hooks = { .ctx = s,
                .on_start = input_on_start,
                .on_message = input_on_message,
                .on_at_end = input_on_at_end,
                .on_front = input_on_front,
                .on_round = input_on_round };
        int r = input_add_part(s, c->path, 0, &conf.id);

        if (r < 0)
                return sw_err_set(reterr, r, "sources: %s: %s", c->name, sw_error_text(r));
        return sw_source_tail_new(&conf, d->loop, d->log, &hooks, &s->tail, reterr);
}

int sw__daemon_open_sources(struct sw_daemon *d, struct sw_err *reterr)
{
        const struct sw_list *list = &d->conf->conf.sources;
        const struct sw_conf_source *confs = list->items;
        uint32_t i;
        int r;

        d->sources = sw_calloc(list->n ? list->n : 1, sizeof(*d->sources));
        if (!d->sources)
                return sw_err_set(reterr, -SW_ERR_NOMEM, "out of memory");
        for (i = 0; i < list->n; i++) {
                struct sw__daemon_source *s = &d->sources[i];

                *s = (struct sw__daemon_source){ .daemon = d, .index = i, .conf = &confs[i] };
                s->quiet_since_ms = sw_clock_mono().ms;
                d->n_sources = i + 1;
                r = s->conf->kind == SW_SOURCE_FILE ? input_open_file(s, reterr) : input_open_kafka(s, reterr);
                if (r < 0)
                        return r;
        }
        d->last_input_ms = sw_clock_mono().ms;
        return 0;
}

/* ---- offsets ---- */

int sw__daemon_load_offsets(struct sw_daemon *d, struct sw_err *reterr)
{
        struct sw_buf b = SW_BUF_NULL;
        int r = sw_state_dir_load(d->state, INPUT_OFFSETS, &b, reterr);

        if (r == 0) {
                r = sw_offsets_parse((struct sw_str){ b.p, b.n }, &d->offsets);
                if (r == -SW_ERR_DATA)
                        r = sw_err_set(reterr, r,
                                "%s in state.dir is damaged; move it away to go on from the group's offsets, "
                                "or from `start:`",
                                INPUT_OFFSETS);
        } else if (r == -SW_ERR_NOENT) {
                r = 0;
        }
        sw_buf_deinit(&b);
        return r;
}

/* One partition's row: the lowest offset that still has an unreleased tuple. -1: nothing to keep. */
static int64_t input_keep(struct sw_daemon *d, uint32_t id)
{
        const struct sw__daemon_part *p = d->parts[id];
        const struct sw__daemon_source *s = &d->sources[p->source];
        const struct sw_offset_key key = { s->conf->name, p->topic, p->number };
        int64_t at = sw_pipeline_resume_offset(d->pipeline, id), next;
        uint64_t inode = 0;

        if (at < 0)
                at = p->start;
        if (at < 0)
                return -1;
        next = at;
        if (s->tail && !sw_source_tail_place(s->tail, at, &inode, &next))
                return -1;
        (void)sw_offsets_set(&d->offsets, &key, inode, next);
        return at;
}

static void input_collect(struct sw_daemon *d, bool commit)
{
        uint32_t *ids = sw_calloc(d->n_parts + 1, sizeof(*ids)), i, k, n;
        int64_t *next = sw_calloc(d->n_parts + 1, sizeof(*next));

        /* what the group's offsets say is for others to see: without memory it is said the next time */
        commit = commit && ids && next;

        for (k = 0; k < d->n_sources; k++) {
                n = 0;
                for (i = 0; i < d->n_parts; i++) {
                        int64_t at = d->parts[i]->source == k ? input_keep(d, i) : -1;

                        if (at >= 0 && commit) {
                                ids[n] = i;
                                next[n++] = at;
                        }
                }
                if (commit && n > 0 && d->sources[k].kafka)
                        sw_source_kafka_commit(d->sources[k].kafka, ids, next, n);
        }
        sw_free(ids);
        sw_free(next);
}

/* Pool thread. */
static void input_save(void *ctx)
{
        struct sw_daemon *d = ctx;
        struct sw_err err = SW_ERR_NULL;
        int r = 0;

        pthread_mutex_lock(&d->save_lock);
        if (sw_outbox_writer_wait(d->writer, d->save_ticket) == 0 &&
                !atomic_load(&d->stop)) /* the last save is made by the loop's thread and is newer */
                r = sw_state_dir_save(d->state, INPUT_OFFSETS, (struct sw_str){ d->save_text.p, d->save_text.n }, &err);
        pthread_mutex_unlock(&d->save_lock);
        if (r < 0)
                sw_log(d->log, SW_LOG_ERROR, "offsets_save", NULL, "%s; after a crash more would be read again",
                        err.msg);
}

static void input_saved(void *ctx)
{
        struct sw_daemon *d = ctx;

        d->saving = false;
}

void sw__daemon_save_offsets(void *ctx)
{
        struct sw_daemon *d = ctx;

        if (d->saving || d->n_parts == 0)
                return;
        input_collect(d, true);
        sw_buf_reset(&d->save_text);
        sw_offsets_print(&d->offsets, &d->save_text);
        d->save_ticket = sw_outbox_writer_ticket(d->writer); /* what was found before these offsets were reached */
        if (!d->save_text.failed)
                d->saving = sw_loop_work(d->loop, input_save, input_saved, d) == 0;
}

int sw__daemon_save_offsets_now(struct sw_daemon *d, struct sw_err *reterr)
{
        struct sw_buf b = SW_BUF_NULL;
        int r;

        if (d->n_parts == 0)
                return 0;
        input_collect(d, true);
        sw_offsets_print(&d->offsets, &b);
        pthread_mutex_lock(&d->save_lock);
        r = b.failed ? sw_err_set(reterr, -SW_ERR_NOMEM, "out of memory")
                     : sw_state_dir_save(d->state, INPUT_OFFSETS, (struct sw_str){ b.p, b.n }, reterr);
        pthread_mutex_unlock(&d->save_lock);
        sw_buf_deinit(&b);
        return r;
}

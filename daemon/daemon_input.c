/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"
#include "clock.h"
#include "cmd/cmd.h"
#include "daemon_keeper.h"

#include <string.h>

#define INPUT_OFFSETS "offsets.json"
#define INPUT_AHEAD_MS (5 * SW_MINUTE) /* event time a partition may be ahead of the slowest holder */
#define INPUT_STALE_MIN_MS (10 * SW_SECOND)
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

static int input_add_part(struct sw_daemon *d, const char *source, const char *topic, int32_t number, uint32_t *ret_id)
{
        struct sw__daemon_part *p;
        uint32_t id;
        int r = 0;

        if (d->n_parts == d->cap_parts)
                r = input_grow(d);
        p = r == 0 ? sw_calloc(1, sizeof(*p)) : NULL;
        if (!p)
                return -SW_ERR_NOMEM;
        p->source_name = sw_strdup(source);
        p->topic = sw_strdup(topic);
        r = p->source_name && p->topic ? sw_pipeline_add_partition(d->pipeline, &id) : -SW_ERR_NOMEM;
        if (r < 0) {
                sw_free(p->source_name);
                sw_free(p->topic);
                sw_free(p);
                return r;
        }
        p->source = SW__DAEMON_NO_SOURCE;
        p->number = number;
        p->start = -1;
        p->at_end = true; /* as long as nobody reads it, it holds nothing up */
        p->at = SW_CONSUMED_NONE;
        p->front = p->head = SW_ETIME_NONE;
        pthread_mutex_lock(&d->parts_lock);
        d->parts[id] = p;
        d->n_parts = id + 1;
        pthread_mutex_unlock(&d->parts_lock);
        *ret_id = id;
        return 0;
}

int sw__daemon_part(struct sw_daemon *d, const char *source, const char *topic, int32_t number, uint32_t *ret_id)
{
        uint32_t i;

        for (i = 0; i < d->n_parts; i++)
                if (d->parts[i]->number == number && strcmp(d->parts[i]->source_name, source) == 0 &&
                        strcmp(d->parts[i]->topic, topic) == 0) {
                        *ret_id = i;
                        return 0;
                }
        return input_add_part(d, source, topic, number, ret_id);
}

int sw__daemon_place(struct sw_daemon *d, uint32_t id, const struct sw_consumed *c)
{
        const struct sw_fact f = { .head = SW_ETIME_NONE, .at_end = true };
        int r;

        d->parts[id]->at = *c;
        r = sw_pipeline_start(d->pipeline, id, c);
        return r < 0 ? r : sw_pipeline_fact(d->pipeline, id, &f);
}

static bool input_topic_is_known(const struct sw_daemon *d, const char *source, const char *topic)
{
        uint32_t i;

        for (i = 0; i < d->n_parts; i++)
                if (d->parts[i]->at.next >= 0 && strcmp(d->parts[i]->source_name, source) == 0 &&
                        strcmp(d->parts[i]->topic, topic) == 0)
                        return true;
        return false;
}

static int input_on_partition(
        void *ctx, const char *topic, int32_t number, uint32_t *ret_id, struct sw_source_place *ret)
{
        struct sw__daemon_source *s = ctx;
        struct sw_daemon *d = s->daemon;
        bool known = input_topic_is_known(d, s->conf->name, topic);
        struct sw__daemon_part *p;
        int r = sw__daemon_part(d, s->conf->name, topic, number, ret_id);

        if (r < 0)
                return r;
        p = d->parts[*ret_id];
        p->source = s->index;
        p->at_end = p->asked = false;
        p->end = SW_ETIME_NONE;
        *ret = (struct sw_source_place){ .next = p->at.next >= 0 ? p->at.next
                                                 : known         ? SW_SOURCE_NEW
                                                                 : SW_SOURCE_NEVER_READ,
                .until = sw__keeper_until(d, *ret_id),
                .stamp = p->at.stamp,
                .hash = p->at.hash };
        return 0;
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
static void input_on_start(void *ctx, uint32_t id, const struct sw_source_place *at, bool has_more)
{
        struct sw__daemon_source *s = ctx;
        struct sw__daemon_part *p = s->daemon->parts[id];
        const struct sw_consumed c = { .next = at->next, .inode = at->inode, .stamp = SW_ETIME_NONE };

        if (sw_pipeline_start(s->daemon->pipeline, id, &c) < 0)
                sw__daemon_fail(s->daemon, -SW_ERR_INTERNAL, "pipeline");
        p->start = at->next;
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
                .inode = m->inode,
                .place = m->place,
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

static struct sw_etime input_fastest(const struct sw_daemon *d)
{
        struct sw_etime fastest = SW_ETIME_NONE;
        uint32_t i;

        for (i = 0; i < d->n_parts; i++)
                fastest = sw_etime_max(fastest, d->parts[i]->front);
        return fastest;
}

static void input_on_ask(void *ctx)
{
        struct sw__daemon_source *s = ctx;

        s->asked_front = input_fastest(s->daemon);
}

static void input_on_asked(void *ctx, uint32_t id)
{
        struct sw__daemon_source *s = ctx;

        s->daemon->parts[id]->asked = true;
        s->daemon->parts[id]->end = s->asked_front;
}

static bool input_on_last(void *ctx, uint32_t id, struct sw_source_place *ret)
{
        struct sw__daemon_source *s = ctx;
        const struct sw_consumed c = sw_pipeline_consumed(s->daemon->pipeline, id);

        *ret = (struct sw_source_place){ .next = c.next, .stamp = c.stamp, .hash = c.hash };
        return c.next > 0 && c.hash != 0;
}

static void input_on_gap(void *ctx, uint32_t id, int64_t from, int64_t to)
{
        struct sw__daemon_source *s = ctx;
        const struct sw__daemon_part *p = s->daemon->parts[id];
        struct sw_buf scope = SW_BUF_NULL, text = SW_BUF_NULL;
        int64_t seen = sw__keeper_seen(s->daemon, id);

        /* what was read before a crash was seen, and told; it is only missing in what is repeated */
        if (from < seen)
                from = seen < to ? seen : to;
        if (from == to)
                return;
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

static void input_on_recreated(void *ctx, uint32_t id, int64_t expected, int64_t next)
{
        struct sw__daemon_source *s = ctx;
        const struct sw__daemon_part *p = s->daemon->parts[id];
        struct sw_buf scope = SW_BUF_NULL, text = SW_BUF_NULL;

        sw__keeper_lost(s->daemon, id);
        sw_buf_printf(&scope, "%s/%s/%d/%lld%c", s->conf->name, p->topic, p->number, (long long)expected, 0);
        sw_buf_printf(&text,
                "Partition %d of %s is not the one that was read up to %lld: it was made anew. What was written to it "
                "in between was not seen; it is read from %lld on.%c",
                p->number, p->topic, (long long)expected, (long long)next, 0);
        if (!scope.failed && !text.failed)
                sw__daemon_health(s->daemon, "recreated", scope.p, sw_clock_wall(),
                        "Visibility gap: a source was made anew", text.p);
        sw_buf_deinit(&scope);
        sw_buf_deinit(&text);
}

/* Two instances with states of their own would each see half of an incident. */
static void input_on_owner(void *ctx, const char *text)
{
        struct sw__daemon_source *s = ctx;
        struct sw_daemon *d = s->daemon;

        if (atomic_load(&d->stop) || d->exit_code)
                return;
        sw_log(d->log, SW_LOG_ERROR, "second_instance", s->conf->name, "%s", text);
        d->exit_code = SW_EXIT_TEMPFAIL;
        sw_loop_stop(d->loop);
}

void sw__daemon_room(void *ctx)
{
        struct sw_daemon *d = ctx;
        uint32_t i;

        sw__keeper_repeat(d);
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

/* ---- limits of what is repeated ---- */

void sw__daemon_until(struct sw_daemon *d, uint32_t id, const struct sw_consumed *at, uint64_t from_inode)
{
        const struct sw_source_place place = { .inode = at->inode, .until = at->next };
        const struct sw__daemon_part *p = d->parts[id];
        struct sw__daemon_source *s = p->source < d->n_sources ? &d->sources[p->source] : NULL;

        if (s && s->kafka)
                sw_source_kafka_until(s->kafka, id, at->next);
        else if (s && s->tail)
                sw_source_tail_until(s->tail, &place, from_inode);
}

bool sw__daemon_reached(struct sw_daemon *d, uint32_t id, const struct sw_consumed *at)
{
        const struct sw__daemon_part *p = d->parts[id];
        const struct sw__daemon_source *s = p->source < d->n_sources ? &d->sources[p->source] : NULL;
        int32_t n;

        if (s && s->tail)
                return sw_source_tail_reached(s->tail);
        if (!s || !s->kafka)
                return false;
        n = sw_source_kafka_n_partitions(s->kafka);
        if (n >= 0 && p->number >= n) {
                sw__keeper_lost(d, id);
                return true;
        }
        return sw_source_kafka_reached(s->kafka, id, at->next);
}

void sw__daemon_unpark(struct sw_daemon *d)
{
        const struct sw_consumed everything = { .next = SW_SOURCE_EVERYTHING };
        uint32_t i;

        for (i = 0; i < d->n_parts; i++)
                sw__daemon_until(d, i, &everything, 0);
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

        if (d->paused || d->keeper->repeating || d->idle_told || d->n_submitted == 0 ||
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

/* That a partition is at its end is known as of the event time when that was asked: when the others have come further
 * since than order may be disturbed, as they do when all catch up at once, it is asked again before they go on. */
static struct sw_etime input_ends(struct sw_daemon *d, struct sw_etime limit)
{
        int64_t reorder = d->conf->conf.time.reorder_ms;
        int64_t slack = reorder < INPUT_STALE_MIN_MS ? INPUT_STALE_MIN_MS
                        : reorder < INPUT_AHEAD_MS   ? reorder
                                                     : INPUT_AHEAD_MS;
        struct sw_etime fastest = input_fastest(d), until;
        uint32_t i;

        for (i = 0; i < d->n_parts; i++) {
                const struct sw__daemon_part *p = d->parts[i];

                if (!p->asked || !p->at_end || p->left_behind || p->source >= d->n_sources)
                        continue;
                until = sw_etime_add(sw_etime_is_none(p->end) ? (struct sw_etime){ SW_ETIME_MIN_MS } : p->end, slack);
                limit = sw_etime_is_none(limit) ? until : sw_etime_min(limit, until);
                if (sw_etime_cmp(fastest, until) > 0)
                        sw_source_kafka_ask_ends(d->sources[p->source].kafka);
        }
        return limit;
}

/* Nobody is served what lies more than 5 min of event time ahead of the slowest that holds the watermark. */
static void input_align(struct sw_daemon *d)
{
        struct sw_etime slowest = SW_ETIME_NONE, limit = SW_ETIME_NONE;
        uint32_t i;

        sw__keeper_repeat(d);
        for (i = 0; i < d->n_parts && !d->keeper->repeating; i++) { /* rows keep partitions together as well */
                const struct sw__daemon_part *p = d->parts[i];
                /* one that was not heard yet may bring anything */
                struct sw_etime front = sw_etime_is_none(p->front) ? (struct sw_etime){ SW_ETIME_MIN_MS } : p->front;

                if (input_holds(p))
                        slowest = sw_etime_is_none(slowest) ? front : sw_etime_min(slowest, front);
        }
        if (!sw_etime_is_none(slowest))
                limit = sw_etime_add(slowest, INPUT_AHEAD_MS);
        if (!d->keeper->repeating)
                limit = input_ends(d, limit);
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

/* The topic has fewer partitions than it had. */
static void input_disown(struct sw_daemon *d)
{
        uint32_t i;

        for (i = 0; i < d->n_parts; i++) {
                struct sw__daemon_part *p = d->parts[i];
                const struct sw__daemon_source *s = p->source < d->n_sources ? &d->sources[p->source] : NULL;

                if (!s || !s->kafka || p->start >= 0 || p->at_end || sw_source_kafka_n_partitions(s->kafka) < 0 ||
                        p->number < sw_source_kafka_n_partitions(s->kafka))
                        continue;
                sw_log_each(d->log, SW_LOG_ERROR, "kafka_partition", s->conf->name,
                        "partition %d of %s is not there any more", p->number, p->topic);
                p->unheard = p->asked = false;
                p->at_end = true;
                input_fact(d, i);
        }
}

void sw__daemon_align(void *ctx)
{
        struct sw_daemon *d = ctx;
        struct sw_etime fastest;
        uint32_t i;

        input_disown(d);
        input_align(d);
        fastest = input_fastest(d);
        for (i = 0; i < d->n_parts && !d->keeper->repeating; i++)
                if (d->parts[i]->source < d->n_sources)
                        input_leave_behind(d, i, fastest);
        input_idle(d);
}

/* ---- opening ---- */

static int input_open_kafka(struct sw__daemon_source *s, struct sw_err *reterr)
{
        struct sw_daemon *d = s->daemon;
        const struct sw_conf_source *c = s->conf;
        struct sw_token_conf token;
        const struct sw_source_kafka_conf conf = { .name = c->name,
                .eventhubs = c->kind == SW_SOURCE_EVENTHUBS,
                .connection_string = c->connection_string,
                .password = c->password,
                .auth = sw_conf_auth_given(&c->auth) ? &token : NULL,
                .brokers = c->brokers,
                .topic = c->topic,
                .group = c->group,
                .ca_file = c->ca_file,
                .instance = d->instance,
                .take_over = d->options.take_over,
                .start = (enum sw_source_kafka_start)c->start.kind,
                .start_time = c->start.time,
                .librdkafka = &c->librdkafka };
        const struct sw_source_hooks hooks = { .ctx = s,
                .on_partition = input_on_partition,
                .on_last = input_on_last,
                .on_start = input_on_start,
                .on_message = input_on_message,
                .on_at_end = input_on_at_end,
                .on_gap = input_on_gap,
                .on_recreated = input_on_recreated,
                .on_owner = input_on_owner,
                .on_ask = input_on_ask,
                .on_asked = input_on_asked,
                .on_front = input_on_front,
                .on_round = input_on_round };

        sw_conf_auth_token(&c->auth, c->name, &token);
        return sw_source_kafka_new(&conf, d->loop, d->log, &hooks, &s->kafka, reterr);
}

static int input_open_file(struct sw__daemon_source *s, struct sw_err *reterr)
{
        const struct sw_conf_source *c = s->conf;
        struct sw_daemon *d = s->daemon;
        struct sw_source_tail_conf conf = { .name = c->name,
                .path = c->path,
                .follow = c->follow,
                .record_max = d->conf->conf.input.message_max,
                .parked = d->keeper->repeating };
        struct sw__daemon_part *p;
        const struct sw_source_hooks hooks = { .ctx = s,
                .on_start = input_on_start,
                .on_message = input_on_message,
                .on_at_end = input_on_at_end,
                .on_front = input_on_front,
                .on_recreated = input_on_recreated,
                .on_round = input_on_round };
        int r = sw__daemon_part(d, c->name, c->path, 0, &conf.id);

        if (r < 0)
                return sw_err_set(reterr, r, "sources: %s: %s", c->name, sw_error_text(r));
        p = d->parts[conf.id];
        p->source = s->index;
        p->at_end = false;
        conf.inode = p->at.next >= 0 ? p->at.inode : 0;
        conf.next = p->at.next >= 0 ? p->at.next : 0;
        return sw_source_tail_new(&conf, d->loop, d->log, &hooks, &s->tail, reterr);
}

/* Partitions that were read before this process and belong to a source that is configured still. Until its broker
 * answers they hold the others up, like any that is behind. */
static void input_adopt(struct sw__daemon_source *s)
{
        struct sw_daemon *d = s->daemon;
        uint32_t i;

        for (i = 0; i < d->n_parts && s->kafka; i++) {
                struct sw__daemon_part *p = d->parts[i];

                if (strcmp(p->source_name, s->conf->name) != 0 ||
                        strcmp(p->topic, sw_source_kafka_topic(s->kafka)) != 0)
                        continue;
                p->source = s->index;
                p->at_end = false;
                p->unheard = true;
                input_fact(d, i);
        }
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
                input_adopt(s);
        }
        d->last_input_ms = sw_clock_mono().ms;
        d->keeper->prepared = false; /* there is somebody to be told now */
        sw__keeper_repeat(d);
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

void sw__daemon_drop_offsets(struct sw_daemon *d)
{
        if (d->offsets.n == 0)
                return;
        sw_offsets_deinit(&d->offsets);
        sw_state_dir_remove(d->state, INPUT_OFFSETS);
}

/* What the group is told is the lowest offset with an unreleased tuple: who has lost the state goes on there. */
void sw__daemon_commit(struct sw_daemon *d, bool leaving)
{
        uint32_t *ids = sw_calloc(d->n_parts + 1, sizeof(*ids)), i, k, n;
        int64_t *next = sw_calloc(d->n_parts + 1, sizeof(*next));

        for (k = 0; k < d->n_sources && ids && next; k++) {
                if (!d->sources[k].kafka)
                        continue;
                for (i = n = 0; i < d->n_parts; i++) {
                        int64_t at = sw_pipeline_resume_offset(d->pipeline, i);

                        if (at < 0)
                                at = d->parts[i]->start;
                        if (d->parts[i]->source != k || at < 0)
                                continue;
                        ids[n] = i;
                        next[n++] = at;
                }
                sw_source_kafka_commit(d->sources[k].kafka, ids, next, n, leaving);
        }
        sw_free(ids);
        sw_free(next);
}

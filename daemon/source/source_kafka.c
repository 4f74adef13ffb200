/* SPDX-License-Identifier: Apache-2.0 */
#include "source/source_kafka.h"

#include "base/alloc.h"
#include "clock.h"
#include "decode/decoder.h"
#include "decode/framer.h"
#include "source/source_kafka_int.h"

#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define KAFKA_DRAIN_MAX 512     /* messages per turn of the loop */
#define KAFKA_SHARE_MESSAGES 16 /* and of one partition before the next one has its turn: they advance together */
#define KAFKA_SHARE_BYTES (256 * 1024)
#define KAFKA_WAITING_BYTES ((size_t)64 << 20) /* fetched and not yet delivered, of all partitions */
#define KAFKA_PEEK_BYTES ((size_t)4096)
#define KAFKA_FUTURE_MS (5 * SW_MINUTE) /* sw_core_conf_default: later than its stamp by more is clamped */
#define KAFKA_WAITING_MIN ((size_t)256 << 10)
#define KAFKA_TICK_MS 250
#define KAFKA_END_CHECK_MS 5000 /* how old the knowledge "at its end" may be */
#define KAFKA_RETRY_MIN_MS 500
#define KAFKA_RETRY_MAX_MS 10000

/* ---- questions ---- */

static void kafka_answer(void *ctx);

static int32_t kafka_first_unknown(const struct sw_source_kafka *s)
{
        int32_t i;

        for (i = 0; i < s->n_partitions && s->partitions[i].known; i++)
                ;
        return i;
}

static void kafka_question_after(struct sw_source_kafka *s, int64_t now)
{
        int32_t i;

        s->ask.after = rd_kafka_topic_partition_list_new(8);
        for (i = 0; i < s->ask.first_new; i++)
                if (sw__kafka_wants_after(&s->partitions[i], now))
                        rd_kafka_topic_partition_list_add(s->ask.after, s->topic, i)->offset =
                                s->partitions[i].stamp.ms + 1;
}

/* What has to be known now, in one question; false: nothing. */
static bool kafka_question(struct sw_source_kafka *s, int64_t now)
{
        bool discover = now >= s->next_discovery_ms;
        bool check = discover || now >= s->next_end_check_ms || s->ends_wanted;
        int32_t i;

        sw__kafka_ask_reset(&s->ask);
        s->ask.rk = s->rk;
        s->ask.topic = s->rkt;
        s->ask.stop = &s->stop;
        s->ask.list = rd_kafka_topic_partition_list_new(8);
        s->ask.first_new = kafka_first_unknown(s);
        for (i = 0; i < s->ask.first_new; i++)
                if (s->partitions[i].reset_wanted || s->partitions[i].suspect || (check && s->partitions[i].started))
                        rd_kafka_topic_partition_list_add(s->ask.list, s->topic, i);
        if (discover) {
                s->ask.metadata = true;
                s->ask.committed = true;
                kafka_question_after(s, now);
                if (!s->started_once && s->start == SW_SOURCE_KAFKA_TIME)
                        s->ask.start_time = s->start_time;
        }
        return discover || s->ask.list->cnt > 0;
}

static void kafka_ask(struct sw_source_kafka *s)
{
        int64_t now = sw_clock_mono().ms;

        if (s->busy || s->stopped || !kafka_question(s, now))
                return;
        if (now >= s->next_end_check_ms || s->ends_wanted)
                s->next_end_check_ms = now + KAFKA_END_CHECK_MS;
        s->ends_wanted = false;
        if (s->hooks.on_ask)
                s->hooks.on_ask(s->hooks.ctx);
        s->busy = sw_loop_work(s->loop, sw__kafka_ask_run, kafka_answer, &s->ask) == 0;
}

static void kafka_unconfirmed(struct sw_source_kafka *s)
{
        int32_t i;

        for (i = 0; i < s->n_partitions; i++)
                if (s->partitions[i].known)
                        sw__kafka_set_at_end(s, &s->partitions[i], false);
}

static void kafka_answer(void *ctx)
{
        struct sw_source_kafka *s =
                (struct sw_source_kafka *)(void *)((char *)ctx - offsetof(struct sw_source_kafka, ask));
        int64_t now = sw_clock_mono().ms;
        bool again = false;
        int32_t i;

        s->busy = false;
        if (s->stopped)
                return;
        if (s->ask.err != RD_KAFKA_RESP_ERR_NO_ERROR) {
                sw__kafka_error(s, s->ask.err, rd_kafka_err2str(s->ask.err));
                kafka_unconfirmed(s);
                if (s->ask.err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
                        s->ask.err == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC)
                        sw__kafka_suspect(s);
                s->retry_ms = s->retry_ms
                                      ? (2 * s->retry_ms < KAFKA_RETRY_MAX_MS ? 2 * s->retry_ms : KAFKA_RETRY_MAX_MS)
                                      : KAFKA_RETRY_MIN_MS;
                if (s->ask.metadata)
                        s->next_discovery_ms = now + s->retry_ms;
                s->next_end_check_ms = now + s->retry_ms;
                return;
        }
        s->retry_ms = 0;
        sw__kafka_works(s);
        if (s->ask.committed && !sw__kafka_owner_check(s))
                return;
        if (s->ask.n_partitions >= 0 && sw__kafka_grow(s, s->ask.n_partitions) < 0)
                return;
        for (i = 0; i < s->n_partitions; i++) {
                if (s->partitions[i].known)
                        continue;
                if (i < s->ask.first_new || sw__kafka_add(s, i) != 0)
                        again = true;
        }
        for (i = 0; i < s->ask.list->cnt; i++)
                if (s->ask.list->elems[i].partition < s->ask.first_new) {
                        sw__kafka_use_after(s, s->ask.list->elems[i].partition);
                        sw__kafka_use_range(s, s->ask.list->elems[i].partition);
                }
        if (s->ask.metadata) {
                s->started_once = s->started_once || s->n_partitions > 0;
                s->next_discovery_ms = now + (again || s->n_partitions == 0 ? KAFKA_RETRY_MIN_MS : s->discovery_ms);
        }
        if (s->hooks.on_round)
                s->hooks.on_round(s->hooks.ctx); /* who waited for this answer may go on */
}

void sw_source_kafka_ask_ends(struct sw_source_kafka *s)
{
        if (s->busy || s->stopped || s->ends_wanted || s->retry_ms > 0)
                return; /* asked for again with the next round */
        s->ends_wanted = true;
        kafka_ask(s);
}

/* ---- messages ---- */

static void kafka_done(void *owner)
{
        rd_kafka_message_destroy(owner);
}

/* Hands one message over. false: there is no room, it stays where it is. */
static bool kafka_deliver(struct sw_source_kafka *s, rd_kafka_message_t *m)
{
        struct sw__kafka_partition *p = &s->partitions[m->partition];
        struct sw_source_message msg = {
                .flags = SW_DECODE_MESSAGE, .offset = m->offset, .next = m->offset + 1, .done = kafka_done, .owner = m
        };
        rd_kafka_timestamp_type_t type;
        int64_t stamp = rd_kafka_message_timestamp(m, &type), before = p->next;
        size_t n = m->len;
        int r;

        msg.bytes = (struct sw_str){ m->payload, n };
        msg.carrier = stamp >= SW_ETIME_MIN_MS && stamp <= SW_ETIME_MAX_MS ? (struct sw_etime){ stamp } : SW_ETIME_NONE;
        sw__kafka_set_at_end(s, p, false);
        p->next = m->offset + 1; /* before: m may be gone when the hook returns */
        r = s->hooks.on_message(s->hooks.ctx, p->id, &msg);
        if (r > 0) {
                p->next = before;
                s->full = true;
                return false;
        }
        if (r < 0) {
                rd_kafka_message_destroy(m);
                s->stopped = true;
                return true;
        }
        s->messages++;
        s->bytes += n;
        p->n_since += n;
        sw__kafka_works(s);
        return true;
}

static void kafka_condition(struct sw_source_kafka *s, rd_kafka_message_t *m)
{
        struct sw__kafka_partition *p = sw__kafka_has(s, m->partition) ? &s->partitions[m->partition] : NULL;

        switch ((int)m->err) {
        case RD_KAFKA_RESP_ERR__PARTITION_EOF:
                /* it comes after everything before it; the end lies beyond the last message where a transaction ended
                 */
                if (p && m->offset >= p->next) {
                        p->next = m->offset;
                        sw__kafka_set_at_end(s, p, true);
                }
                break;
        case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
        case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
                if (p)
                        p->reset_wanted = true;
                break;
        case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
        case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
        case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
                sw__kafka_suspect(s);
                /* fall through */
        default:
                sw__kafka_error(s, m->err, rd_kafka_message_errstr(m));
        }
        rd_kafka_message_destroy(m);
}

/* false: no room; m stays the caller's. */
static bool kafka_take(struct sw_source_kafka *s, rd_kafka_message_t *m)
{
        if (m->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
                kafka_condition(s, m);
                return true;
        }
        if (!sw__kafka_has(s, m->partition) || m->offset < s->partitions[m->partition].next) {
                rd_kafka_message_destroy(m); /* fetched again after a restart of its partition: was delivered */
                return true;
        }
        return kafka_deliver(s, m);
}

/* Event time of a message before it is decoded. Its time stamp comes second: it says when it was sent, and what is read
 * from a store and sent again is older than that. What claims to be later is a wrong clock, as the core sees it: its
 * partition must not wait for the others to get there. */
static struct sw_etime kafka_time(const rd_kafka_message_t *m)
{
        struct sw_str head = { m->payload, m->len < KAFKA_PEEK_BYTES ? m->len : KAFKA_PEEK_BYTES };
        rd_kafka_timestamp_type_t type;
        struct sw_etime t = SW_ETIME_NONE;
        int64_t stamp;

        if (m->err != RD_KAFKA_RESP_ERR_NO_ERROR)
                return t;
        if (head.n > 0)
                t = sw_framer_peek_time(head);
        stamp = rd_kafka_message_timestamp(m, &type);
        if (stamp < SW_ETIME_MIN_MS || stamp > SW_ETIME_MAX_MS)
                return t;
        if (sw_etime_is_none(t) || t.ms > stamp + KAFKA_FUTURE_MS)
                t.ms = stamp;
        return t;
}

static void kafka_tell_front(struct sw_source_kafka *s, const struct sw__kafka_partition *p)
{
        if (p->first && s->hooks.on_front && !sw_etime_is_none(p->first->time))
                s->hooks.on_front(s->hooks.ctx, p->id, p->first->time);
}

static bool kafka_is_ahead(const struct sw_source_kafka *s, const struct sw__kafka_partition *p)
{
        return p->first && !sw_etime_is_none(s->limit) && !sw_etime_is_none(p->first->time) &&
               sw_etime_cmp(p->first->time, s->limit) > 0;
}

/* What lies beyond waits here, within this partition's share, and holds nobody else up. */
static bool kafka_is_parked(const struct sw__kafka_partition *p)
{
        return p->first && p->first->m->err == RD_KAFKA_RESP_ERR_NO_ERROR && p->first->m->offset >= p->until;
}

/* Moves what was fetched to our side, up to this partition's share of the memory. */
static void kafka_fetch(struct sw_source_kafka *s, struct sw__kafka_partition *p)
{
        size_t share = KAFKA_WAITING_BYTES / (size_t)s->n_partitions;
        struct sw__kafka_waiting *w;
        rd_kafka_message_t *m;

        while (p->waiting_bytes < (share > KAFKA_WAITING_MIN ? share : KAFKA_WAITING_MIN)) {
                w = sw_alloc(sizeof(*w));
                m = w ? rd_kafka_consume_queue(p->queue, 0) : NULL;
                if (!m) {
                        sw_free(w);
                        return;
                }
                if (p->refilled || !sw__kafka_verify(s, p, m)) {
                        rd_kafka_message_destroy(m);
                        sw_free(w);
                        continue;
                }
                *w = (struct sw__kafka_waiting){ .m = m, .time = kafka_time(m) };
                if (p->last)
                        p->last->next = w;
                else
                        p->first = w;
                p->last = w;
                if (p->first == w)
                        kafka_tell_front(s, p);
                p->waiting_bytes += m->len + sizeof(*w);
        }
}

static void kafka_drop_first(struct sw__kafka_partition *p, size_t size)
{
        struct sw__kafka_waiting *w = p->first;

        p->first = w->next;
        if (!p->first)
                p->last = NULL;
        p->waiting_bytes -= size;
        sw_free(w);
}

/* One partition's share of a turn; how many messages it was. */
static int kafka_serve(struct sw_source_kafka *s, struct sw__kafka_partition *p)
{
        size_t bytes = 0, size;
        int n = 0;

        while (p->first && n < KAFKA_SHARE_MESSAGES && bytes < KAFKA_SHARE_BYTES && !s->stopped && !p->suspect &&
                !kafka_is_ahead(s, p) && !kafka_is_parked(p)) {
                size = p->first->m->len + sizeof(*p->first);
                if (!kafka_take(s, p->first->m))
                        break;
                kafka_drop_first(p, size);
                kafka_tell_front(s, p);
                bytes += size;
                n++;
        }
        return n;
}

/* Every partition in turn until none has anything, there is no room, or the loop has other things to do. */
static void kafka_drain(void *ctx)
{
        struct sw_source_kafka *s = ctx;
        rd_kafka_message_t *m;
        int total = 0, quiet = 0, n;
        int32_t i;

        if (s->draining || s->stopped)
                return;
        s->draining = true;
        while ((m = rd_kafka_consumer_poll(s->rk, 0))) { /* errors and callbacks */
                if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR)
                        rd_kafka_message_destroy(m);
                else
                        kafka_condition(s, m);
        }
        for (i = 0; i < s->n_partitions; i++)
                if (s->partitions[i].queue)
                        kafka_fetch(s, &s->partitions[i]);
        while (quiet < s->n_partitions && total < KAFKA_DRAIN_MAX && !s->full && !s->stopped) {
                s->turn = s->turn + 1 < s->n_partitions ? s->turn + 1 : 0;
                if (s->turn == 0 && s->hooks.on_round)
                        s->hooks.on_round(s->hooks.ctx);
                n = kafka_serve(s, &s->partitions[s->turn]);
                total += n;
                quiet = n ? 0 : quiet + 1;
        }
        s->draining = false;
        if (total > 0 && !s->full && !s->stopped)
                sw_watch_wake(s->again); /* what was delivered made room for more to be fetched */
}

static void kafka_readable(void *ctx)
{
        struct sw_source_kafka *s = ctx;
        uint64_t count;

        (void)!read(s->event_fd, &count, sizeof(count));
        kafka_drain(s);
}

/* The queue is looked at now and then without an event, too: a wake-up that got lost must not cost more than that. */
static void kafka_tick(void *ctx)
{
        struct sw_source_kafka *s = ctx;

        kafka_drain(s);
        sw__kafka_try_new_secret(s);
        sw__kafka_owner_tick(s);
        sw__kafka_same_tick(s);
        kafka_ask(s);
}

void sw_source_kafka_room(struct sw_source_kafka *s)
{
        if (s->stopped)
                return;
        s->full = false;
        kafka_drain(s);
}

void sw_source_kafka_limit(struct sw_source_kafka *s, struct sw_etime limit)
{
        bool more = sw_etime_is_none(limit) || (!sw_etime_is_none(s->limit) && sw_etime_cmp(limit, s->limit) > 0);

        if (sw_etime_cmp(s->limit, limit) == 0)
                return;
        s->limit = limit;
        if (more && !s->draining && !s->stopped)
                sw_watch_wake(s->again);
}

void sw_source_kafka_until(struct sw_source_kafka *s, uint32_t id, int64_t until)
{
        int32_t number;
        struct sw__kafka_partition *p = sw__kafka_find(s, id, &number);

        if (!p || p->until == until)
                return;
        p->until = until;
        if (!s->draining && !s->stopped)
                sw_watch_wake(s->again);
}

bool sw_source_kafka_reached(const struct sw_source_kafka *s, uint32_t id, int64_t until)
{
        int32_t number;
        const struct sw__kafka_partition *p = sw__kafka_find(s, id, &number);

        return p && !p->reset_wanted &&
               (p->next >= until ||
                       (p->first && p->first->m->err == RD_KAFKA_RESP_ERR_NO_ERROR && p->first->m->offset >= until));
}

int32_t sw_source_kafka_n_partitions(const struct sw_source_kafka *s)
{
        return s->started_once ? s->n_partitions : -1;
}

const char *sw_source_kafka_topic(const struct sw_source_kafka *s)
{
        return s->topic;
}

/* False: it is not known where the partition ends. */
static bool kafka_lag(const struct sw_source_kafka *s, int32_t number, int64_t *ret)
{
        const struct sw__kafka_partition *p = &s->partitions[number];
        int64_t low, high;

        if (!p->known || p->next < 0 ||
                rd_kafka_get_watermark_offsets(s->rk, s->topic, number, &low, &high) != RD_KAFKA_RESP_ERR_NO_ERROR ||
                high < 0)
                return false;
        *ret = high > p->next ? high - p->next : 0;
        return true;
}

void sw_source_kafka_lags(
        const struct sw_source_kafka *s, void (*each)(void *ctx, int32_t partition, int64_t lag), void *ctx)
{
        int64_t lag;
        int32_t i;

        for (i = 0; i < s->n_partitions; i++)
                if (kafka_lag(s, i, &lag))
                        each(ctx, i, lag);
}

void sw_source_kafka_stats(const struct sw_source_kafka *s, struct sw_source_stats *ret)
{
        int64_t lag;
        int32_t i;

        *ret = (struct sw_source_stats){ .topic = s->topic,
                .messages = s->messages,
                .bytes = s->bytes,
                .lag = -1,
                .gaps = s->gaps,
                .gap_messages = s->gap_messages,
                .n_errors = atomic_load(&s->n_errors),
                .waiting_for_room = s->full,
                .failing = s->failing };
        for (i = 0; i < s->n_partitions; i++) {
                const struct sw__kafka_partition *p = &s->partitions[i];

                if (!p->known)
                        continue;
                ret->n_partitions++;
                ret->n_at_end += p->at_end;
                ret->n_ahead += kafka_is_ahead(s, p);
                if (kafka_lag(s, i, &lag))
                        ret->lag = (ret->lag < 0 ? 0 : ret->lag) + lag;
        }
}

/* ---- life ---- */

static int kafka_start(struct sw_source_kafka *s, struct sw_err *reterr)
{
        static const uint64_t one = 1;
        int r = 0;

        s->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        s->queue = rd_kafka_queue_get_consumer(s->rk);
        s->rkt = rd_kafka_topic_new(s->rk, s->topic, NULL);
        if (s->event_fd < 0 || !s->queue || !s->rkt)
                return sw_err_set(reterr, -SW_ERR_IO, "sources: %s: the Kafka client cannot be started", s->name);
        rd_kafka_queue_io_event_enable(s->queue, s->event_fd, &one, sizeof(one));
        r = sw_loop_readable(s->loop, s->event_fd, kafka_readable, s, &s->readable);
        if (r == 0)
                r = sw_loop_wakeable(s->loop, kafka_drain, s, &s->again);
        if (r == 0)
                r = sw_loop_timer(s->loop, 0, KAFKA_TICK_MS, kafka_tick, s, &s->tick);
        return r == 0 ? 0 : sw_err_set(reterr, r, "sources: %s: %s", s->name, sw_error_text(r));
}

int sw_source_kafka_new(const struct sw_source_kafka_conf *conf, struct sw_loop *loop, struct sw_log *log,
        const struct sw_source_hooks *hooks, struct sw_source_kafka **ret, struct sw_err *reterr)
{
        struct sw_source_kafka *s = sw_calloc(1, sizeof(*s));
        const struct sw_secret_ref *secret;
        int r = 0;

        if (!s)
                return sw_err_set(reterr, -SW_ERR_NOMEM, "out of memory");
        s->event_fd = -1;
        s->eventhubs = conf->eventhubs;
        s->start = conf->start;
        s->start_time = conf->start_time;
        s->loop = loop;
        s->log = log;
        s->hooks = *hooks;
        s->ask.start_time = s->limit = SW_ETIME_NONE;
        s->name = sw_strdup(conf->name);
        s->owner.instance = conf->instance ? sw_strdup(conf->instance) : NULL;
        s->owner.take_over = conf->take_over;
        secret = conf->eventhubs ? &conf->connection_string : &conf->password;
        s->secret.file = secret->file ? sw_strdup(secret->file) : NULL;
        s->secret.credential = secret->credential ? sw_strdup(secret->credential) : NULL;
        if (!s->name || (conf->instance && !s->owner.instance) || (secret->file && !s->secret.file) ||
                (secret->credential && !s->secret.credential))
                r = sw_err_set(reterr, -SW_ERR_NOMEM, "out of memory");
        if (r == 0)
                r = sw__kafka_client_new(s, conf, reterr);
        if (r == 0)
                r = kafka_start(s, reterr);
        if (r < 0) {
                sw_source_kafka_stop(s);
                sw_source_kafka_free(s);
                return r;
        }
        *ret = s;
        return 0;
}

void sw_source_kafka_stop(struct sw_source_kafka *s)
{
        s->stopped = true;
        atomic_store(&s->stop, true);
        s->readable = sw_watch_close(s->readable);
        s->again = sw_watch_close(s->again);
        s->tick = sw_watch_close(s->tick);
        s->token = sw_token_free(s->token);
        s->http = sw_httpc_free(s->http);
}

static void kafka_close_partition(struct sw__kafka_partition *p)
{
        sw__kafka_flush(p);
        if (!p->queue)
                return;
        rd_kafka_queue_io_event_enable(p->queue, -1, NULL, 0);
        rd_kafka_queue_destroy(p->queue);
}

struct sw_source_kafka *sw_source_kafka_free(struct sw_source_kafka *s)
{
        int32_t i;

        if (!s)
                return NULL;
        sw__kafka_ask_reset(&s->ask);
        for (i = 0; i < s->n_partitions; i++)
                kafka_close_partition(&s->partitions[i]);
        if (s->queue) {
                rd_kafka_queue_io_event_enable(s->queue, -1, NULL, 0);
                rd_kafka_queue_destroy(s->queue);
        }
        if (s->rkt)
                rd_kafka_topic_destroy(s->rkt);
        if (s->rk)
                rd_kafka_destroy_flags(s->rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
        if (s->event_fd >= 0)
                close(s->event_fd);
        sw_free(s->partitions);
        sw_free(s->name);
        sw_free(s->topic);
        sw_free(s->brokers);
        sw_free(s->secret.file);
        sw_free(s->secret.credential);
        sw_free(s->user);
        sw_free(s->owner.instance);
        sw_free(s);
        return NULL;
}

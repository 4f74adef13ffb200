/* SPDX-License-Identifier: Apache-2.0 */
#include "sink/courier.h"

#include "base/alloc.h"
#include "clock.h"
#include "sink/courier_int.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define COURIER_RETRY_AFTER_MAX_MS (10 * SW_MINUTE)

const int64_t sw_courier_durations_ms[SW_COURIER_DURATIONS] = { 10, 25, 50, 100, 250, 500, 1000, 5000, 30000 };
const int64_t sw_courier_sizes[SW_COURIER_SIZES] = { 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20 };

const char *const sw_courier_causes[SW_COURIER_N_CAUSES] = {
#define COURIER_CAUSE_NAME(id, name) name,
        SW_COURIER_CAUSE_MAP(COURIER_CAUSE_NAME)
#undef COURIER_CAUSE_NAME
};

int64_t sw_courier_backoff(int64_t first_ms, int64_t max_ms, unsigned n, uint32_t random)
{
        int64_t top = first_ms;
        unsigned i;

        for (i = 0; i < n && top < max_ms; i++)
                top *= 2;
        if (top > max_ms)
                top = max_ms;
        /* never at once: a tenth is certain */
        return top / 10 + (int64_t)(((uint64_t)(top - top / 10) * random) >> 32);
}

uint32_t sw__courier_random(struct sw_courier *c)
{
        c->random ^= c->random << 13;
        c->random ^= c->random >> 7;
        c->random ^= c->random << 17;
        return (uint32_t)(c->random >> 32);
}

static void courier_go(struct sw_courier *c);
static void courier_no_probe(struct sw_courier *c);

static void courier_wait(struct sw_courier *c, int64_t ms)
{
        c->state = SW_COURIER_WAITING;
        c->stats.next_try_ms = sw_clock_mono().ms + ms;
        sw_watch_rearm(c->timer, ms < 1 ? 1 : ms);
}

static unsigned courier_bucket(const int64_t *bounds, unsigned n, int64_t v)
{
        unsigned i;

        for (i = 0; i < n && v > bounds[i]; i++)
                ;
        return i;
}

/* A server may answer with anything: so many are told apart. */
static void courier_count(struct sw_courier *c, const struct sw_courier_outcome *o)
{
        int64_t ms = sw_clock_mono().ms - c->last_send_ms;
        int status = o->status || o->verdict == SW_COURIER_OUTAGE ? o->status : 200;
        struct sw_courier_stats *s = &c->stats;
        uint32_t i;

        s->durations[courier_bucket(sw_courier_durations_ms, SW_COURIER_DURATIONS, ms)]++;
        s->durations_ms += ms;
        for (i = 0; i < s->n_codes && s->codes[i].status != status; i++)
                ;
        if (i == SW_COURIER_CODES) {
                i--;
                s->codes[i].status = -1;
        } else if (i == s->n_codes) {
                s->codes[s->n_codes++].status = status;
        }
        s->codes[i].n++;
}

static void courier_send(struct sw_courier *c)
{
        int64_t now = sw_clock_mono().ms, due = c->last_send_ms + c->conf.pace_ms;

        if (c->conf.pace_ms && c->last_send_ms && now < due) {
                c->keep = true;
                courier_wait(c, due - now);
                return;
        }
        c->state = SW_COURIER_SENDING;
        c->last_send_ms = now;
        c->seq++;
        c->peek = c->lonely = false;
        c->stats.requests++;
        c->stats.bytes += c->payload.n;
        c->stats.sizes[courier_bucket(sw_courier_sizes, SW_COURIER_SIZES, (int64_t)c->payload.n)]++;
        c->ops->send(c->sink, (struct sw_str){ c->payload.p, c->payload.n }, c->take);
}

static void courier_from_the_start(struct sw_courier *c)
{
        c->mode = COURIER_NORMAL;
        c->n_suspects = c->n = c->at = 0;
        c->keep = c->lonely = c->peek = false;
}

static void courier_worked(void *ctx)
{
        struct sw_courier *c = ctx;

        c->stats.filtered = c->n_filtered;
        c->stats.rejected = c->n_rejected;
        c->stats.waiting = c->waiting;
        if (c->stopped)
                return;
        c->state = SW_COURIER_IDLE;
        if (c->work_result < 0) {
                c->state = SW_COURIER_WAITING;
                sw_log(c->log, SW_LOG_ERROR, "sink_state", c->conf.name, "cannot %s the outbox: %s", c->work_what,
                        sw_error_text(c->work_result));
                if (c->work_result == -SW_ERR_NOMEM || c->work_result == -SW_ERR_UNAVAIL)
                        courier_wait(c, c->conf.retry_first_ms);
                else if (c->conf.on_fatal)
                        c->conf.on_fatal(c->conf.fatal_ctx, c->work_result, "outbox");
                return;
        }
        if (c->no_probe)
                courier_no_probe(c);
        else if (c->at < c->n && c->pack_failed)
                courier_wait(c, c->conf.retry_first_ms);
        else if (c->at < c->n)
                courier_send(c);
        else if (c->more || c->woken)
                courier_go(c);
        else
                sw_watch_rearm(c->timer, c->conf.poll_ms);
}

static void courier_go(struct sw_courier *c)
{
        c->state = SW_COURIER_WORKING;
        c->woken = false;
        if (sw_loop_work(c->loop, sw__courier_work, courier_worked, c) < 0)
                courier_wait(c, c->conf.retry_first_ms);
}

static void courier_on_timer(void *ctx)
{
        struct sw_courier *c = ctx;

        if (c->stopped || c->state == SW_COURIER_WORKING || c->state == SW_COURIER_SENDING)
                return;
        if (c->lonely)
                courier_from_the_start(c);
        courier_go(c);
}

void sw_courier_wake(struct sw_courier *c)
{
        if (c->stopped)
                return;
        c->woken = true;
        if (c->lonely && c->state == SW_COURIER_WAITING) {
                c->peek = true;
                c->near_left = COURIER_NEAR;
                c->far = 0;
                courier_go(c);
        } else if (c->state == SW_COURIER_IDLE) {
                courier_go(c);
        }
}

/* A probe: the service works, so the suspects may be bad. Or a suspect, which is none. */
static void courier_delivered_single(struct sw_courier *c)
{
        c->settle = c->items[c->at].number;
        c->at = c->n;
        if (c->mode == COURIER_PROBE) {
                c->mode = COURIER_CONFIRM;
                c->confirm = 0;
                c->near = COURIER_NEAR_MAX;
        } else {
                c->confirm++;
        }
        courier_go(c);
}

static void courier_delivered(struct sw_courier *c)
{
        if (c->stats.failing_since_ms)
                sw_log(c->log, SW_LOG_INFO, "sink_works", c->conf.name, "delivering again after %lld s",
                        (long long)((sw_clock_mono().ms - c->stats.failing_since_ms) / 1000));
        c->stats.failing_since_ms = 0;
        *c->stats.reason = '\0';
        c->n_failed = 0;
        c->n_all_refused = 0;
        c->taken_seq = c->seq;
        c->stats.rows += c->take;
        if (c->mode != COURIER_NORMAL) {
                courier_delivered_single(c);
                return;
        }
        c->mark_to = sw__courier_mark_of(c, c->at + c->take - 1);
        c->at += c->take;
        if (c->bad_end <= c->at)
                c->bad_end = 0;
        courier_go(c);
}

static enum sw_courier_cause courier_cause(const struct sw_courier_outcome *o)
{
        if (o->verdict != SW_COURIER_OUTAGE)
                return SW_COURIER_CAUSE_REFUSED;
        switch (o->status) {
        case 0:
                return o->cause;
        case 401:
        case 403:
        case 407:
                return SW_COURIER_CAUSE_AUTH;
        case 408:
                return SW_COURIER_CAUSE_TIMEOUT;
        case 429:
                return SW_COURIER_CAUSE_THROTTLED;
        default:
                return o->status >= 500 ? SW_COURIER_CAUSE_SERVER : SW_COURIER_CAUSE_STATUS;
        }
}

static void courier_pause(struct sw_courier *c, const struct sw_courier_outcome *o, const char *reason)
{
        int64_t ms =
                sw_courier_backoff(c->conf.retry_first_ms, c->conf.retry_max_ms, c->n_failed, sw__courier_random(c));

        if (o->retry_after_ms >= 0) {
                int64_t asked =
                        o->retry_after_ms < COURIER_RETRY_AFTER_MAX_MS ? o->retry_after_ms : COURIER_RETRY_AFTER_MAX_MS;

                /* the time asked for, and a little so that not everybody comes at once */
                ms = asked + (int64_t)(((uint64_t)(asked / 10 + 100) * sw__courier_random(c)) >> 32);
        }
        c->taken_seq = 0;
        c->n_failed += c->n_failed < 30;
        c->stats.retries++;
        c->stats.retries_by[courier_cause(o)]++;
        if (!c->stats.failing_since_ms)
                c->stats.failing_since_ms = sw_clock_mono().ms;
        (void)snprintf(c->stats.reason, sizeof(c->stats.reason), "%s", reason);
        sw_log(c->log, SW_LOG_WARNING, "sink_outage", c->conf.name, "%s; nothing is lost, next try in %lld.%lld s",
                reason, (long long)(ms / 1000), (long long)(ms % 1000 / 100));
        courier_wait(c, ms);
}

static void courier_outage(struct sw_courier *c, const struct sw_courier_outcome *o)
{
        if (c->mode == COURIER_NORMAL)
                c->keep = true;
        else
                courier_from_the_start(c);
        courier_pause(c, o, o->reason);
}

/* All that were tried were refused, or there is none to try. */
static void courier_no_probe(struct sw_courier *c)
{
        const struct sw_courier_outcome o = {
                .verdict = SW_COURIER_REFUSED, .status = c->suspect_status, .retry_after_ms = -1
        };
        bool lonely = c->n_suspects == 1;
        char text[sizeof(c->stats.reason)];

        if (c->peek) {
                c->peek = false;
                courier_wait(c, c->stats.next_try_ms - sw_clock_mono().ms);
                return;
        }
        (void)snprintf(text, sizeof(text), "%s: status %d: %.140s",
                lonely ? "refused, and no other finding waits that could show whether it is the finding or the service"
                       : "every row is refused, so it is not the rows",
                c->suspect_status, c->suspect_words);
        c->near = ++c->n_all_refused % 8 == 7 ? COURIER_NEAR_MAX : COURIER_NEAR;
        if (!lonely)
                courier_from_the_start(c);
        c->lonely = lonely;
        courier_pause(c, &o, text);
}

static void courier_reject(struct sw_courier *c, const struct sw_courier_outcome *o)
{
        struct sw_str words = sw_utf8_cut(o->answer, COURIER_SHOWN);

        c->reject = true;
        c->reject_status = o->status;
        (void)snprintf(c->reject_words, sizeof(c->reject_words), "%.*s", (int)words.n, words.p ? words.p : "");
        sw_log(c->log, SW_LOG_ERROR, "sink_rejected", c->conf.name,
                "finding line %s is refused and set aside (the alert file has it): %s: %s", c->items[c->at].uid,
                o->reason, c->reject_words);
        courier_go(c);
}

static void courier_suspect(struct sw_courier *c, const struct sw_courier_outcome *o)
{
        const struct sw_courier_item *i = &c->items[c->at];
        struct sw_str words = sw_utf8_cut(o->answer, sizeof(c->suspect_words) - 1);

        if (c->mode == COURIER_NORMAL) {
                c->mode = COURIER_PROBE;
                c->n_suspects = 0;
                c->near_left = c->near;
                c->far = 0;
                c->probe_upto = i->number;
                c->suspect_status = o->status;
                (void)snprintf(
                        c->suspect_words, sizeof(c->suspect_words), "%.*s", (int)words.n, words.p ? words.p : "");
        }
        c->suspects[c->n_suspects++] = (struct courier_suspect){ i->number, i->finding };
        c->at = c->n;
        courier_go(c);
}

static void courier_refused(struct sw_courier *c, const struct sw_courier_outcome *o)
{
        bool halving = c->bad_end > c->at;

        if (c->take > 1) {
                if (!halving)
                        c->refused_seq = c->seq;
                c->bad_end = c->at + c->take;
                courier_go(c);
        } else if (c->mode == COURIER_CONFIRM) {
                c->confirm++;
                courier_reject(c, o);
        } else if (c->mode == COURIER_NORMAL && halving && c->taken_seq > c->refused_seq) {
                courier_reject(c, o); /* the rows that were refused together with it were taken meanwhile */
        } else {
                courier_suspect(c, o);
        }
}

static void courier_too_large(struct sw_courier *c, const struct sw_courier_outcome *o)
{
        struct sw_courier_item *i = &c->items[c->at];

        if (c->take > 1) {
                c->take_max = c->take / 2;
                courier_go(c);
        } else if (i->squeeze < SW_COURIER_SQUEEZE_MAX) {
                i->squeeze++;
                c->squeeze = true;
                courier_go(c);
        } else {
                courier_refused(c, o);
        }
}

void sw_courier_done(struct sw_courier *c, const struct sw_courier_outcome *o)
{
        if (c->stopped)
                return;
        courier_count(c, o);
        switch (o->verdict) {
        case SW_COURIER_DELIVERED:
                courier_delivered(c);
                return;
        case SW_COURIER_TOO_LARGE:
                courier_too_large(c, o);
                return;
        case SW_COURIER_REFUSED:
                courier_refused(c, o);
                return;
        case SW_COURIER_OUTAGE:
        default:
                courier_outage(c, o);
        }
}

int sw_courier_new(const struct sw_courier_conf *conf, const struct sw_courier_ops *ops, void *sink,
        const struct sw_courier_feed *feed, struct sw_loop *loop, struct sw_log *log, struct sw_courier **ret)
{
        struct sw_courier *c = sw_calloc(1, sizeof(*c));

        if (!c)
                return -SW_ERR_NOMEM;
        c->conf = *conf;
        c->ops = ops;
        c->sink = sink;
        c->feed = *feed;
        c->loop = loop;
        c->log = log;
        c->near = COURIER_NEAR;
        if (getrandom(&c->random, sizeof(c->random), 0) != sizeof(c->random) || c->random == 0)
                c->random = 88172645463325252;
        *ret = c;
        return 0;
}

int sw_courier_start(struct sw_courier *c)
{
        int r = sw_loop_timer(c->loop, c->conf.poll_ms, 0, courier_on_timer, c, &c->timer);

        if (r == 0)
                sw_courier_wake(c);
        return r;
}

void sw_courier_stop(struct sw_courier *c)
{
        if (!c || c->stopped)
                return;
        c->stopped = true;
        if (c->state == SW_COURIER_SENDING)
                c->ops->abort(c->sink);
        c->timer = sw_watch_close(c->timer);
}

struct sw_courier *sw_courier_free(struct sw_courier *c)
{
        if (!c)
                return NULL;
        sw_buf_deinit(&c->text);
        sw_buf_deinit(&c->lines);
        sw_buf_deinit(&c->payload);
        sw_free(c->items);
        sw_free(c);
        return NULL;
}

struct sw_courier_stats sw_courier_stats(const struct sw_courier *c)
{
        struct sw_courier_stats s = c->stats;

        s.state = c->state;
        return s;
}

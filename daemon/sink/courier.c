/* SPDX-License-Identifier: Apache-2.0 */
#include "sink/courier.h"

#include "base/alloc.h"
#include "base/jsonw.h"
#include "clock.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define COURIER_READ_ROWS 256      /* rows of one question to the feed */
#define COURIER_FILTER_ROWS 8192   /* unwanted rows passed over in one job */
#define COURIER_REFUSED_IN_A_ROW 8 /* then it is not the rows */
#define COURIER_RETRY_AFTER_MAX_MS (10 * SW_MINUTE)
#define COURIER_SHOWN 400 /* bytes of an answer that are kept */

const int64_t sw_courier_durations_ms[SW_COURIER_DURATIONS] = { 10, 25, 50, 100, 250, 500, 1000, 5000, 30000 };
const int64_t sw_courier_sizes[SW_COURIER_SIZES] = { 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20 };

const char *const sw_courier_causes[SW_COURIER_N_CAUSES] = {
#define COURIER_CAUSE_NAME(id, name) name,
        SW_COURIER_CAUSE_MAP(COURIER_CAUSE_NAME)
#undef COURIER_CAUSE_NAME
};

struct sw_courier {
        struct sw_courier_conf conf;
        const struct sw_courier_ops *ops;
        void *sink;
        struct sw_courier_feed feed;
        struct sw_loop *loop;
        struct sw_log *log;
        struct sw_watch *timer;
        bool stopped, woken;
        enum sw_courier_state state;
        uint64_t random;

        /* the batch: the job's while WORKING */
        struct sw_courier_item *items;
        uint32_t n, cap;
        struct sw_buf text, lines, payload;
        struct sw_etime earliest, latest; /* of its rows */
        int64_t read_upto;                /* last row looked at for this batch */
        uint32_t at, take;                /* sent next: items [at, at + take) */
        uint32_t bad_end;                 /* there is a refused row in [at, bad_end); 0: not known of any */
        uint32_t take_max;                /* after "too large"; 0: none */
        int64_t mark_to;                  /* 0: nothing to mark */
        bool keep;                        /* the payload is sent as it is, once more */
        bool squeeze;                     /* encode item `at` anew, smaller */
        bool reject;                      /* set item `at` aside */
        int reject_status;
        char reject_words[COURIER_SHOWN + 1];
        int work_result;
        bool pack_failed, more;
        struct sw_courier_waiting waiting;
        uint64_t n_filtered, n_rejected; /* the job's; shown when it is over */
        const char *work_what;

        unsigned n_failed; /* in a row */
        uint32_t refused_in_a_row;
        int64_t last_send_ms;
        struct sw_courier_stats stats;
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

static uint32_t courier_random(struct sw_courier *c)
{
        c->random ^= c->random << 13;
        c->random ^= c->random >> 7;
        c->random ^= c->random << 17;
        return (uint32_t)(c->random >> 32);
}

/* ---- the job: threads of the pool ---- */

static bool courier_wants(const struct sw_courier *c, const struct sw_json *finding, uint8_t severity)
{
        const struct sw_json *d;
        uint32_t i;

        if (severity < c->conf.min_severity)
                return false;
        if (c->conf.n_detectors == 0)
                return true;
        for (d = sw_json_first(sw_json_at(finding, "unmapped.detectors")); d; d = sw_json_next(d))
                for (i = 0; i < c->conf.n_detectors; i++)
                        if (sw_str_eq(sw_json_str(d), sw_str_of(c->conf.detectors[i])))
                                return true;
        for (i = 0; i < c->conf.n_detectors; i++)
                if (sw_str_eq(sw_json_str(sw_json_at(finding, "finding_info.analytic.name")),
                            sw_str_of(c->conf.detectors[i])))
                        return true;
        return false;
}

/* Writes what is set aside as one line, beside the alert file. */
static void courier_set_aside(
        struct sw_courier *c, const char *uid, int status, struct sw_str words, struct sw_str finding)
{
        struct sw_buf line = SW_BUF_NULL;
        struct sw_jsonw w = sw_jsonw_start(&line);

        c->n_rejected++;
        if (!c->conf.rejected)
                return;
        sw_jsonw_object(&w);
        sw_jsonw_ktext(&w, "sink", c->conf.name);
        sw_jsonw_ki64(&w, "time", sw_clock_wall().ms);
        sw_jsonw_ktext(&w, "uid", uid);
        sw_jsonw_ki64(&w, "status", status);
        sw_jsonw_kstr(&w, "answer", words);
        sw_jsonw_kstr(&w, "finding", finding);
        sw_jsonw_end_object(&w);
        sw_buf_putc(&line, '\n');
        if (!line.failed)
                (void)sw_sink_file_append(c->conf.rejected, line.p, line.n);
        sw_buf_deinit(&line);
}

struct courier_fill {
        struct sw_courier *c;
        uint32_t n_seen;
        bool full;
};
enum { COURIER_FULL = 1 };

static int courier_grow(struct sw_courier *c)
{
        struct sw_courier_item *items;

        if (c->n < c->cap)
                return 0;
        items = sw_realloc_array(c->items, c->cap ? (size_t)c->cap * 2 : 64, sizeof(*items));
        if (!items)
                return -SW_ERR_NOMEM;
        c->items = items;
        c->cap = c->cap ? c->cap * 2 : 64;
        return 0;
}

/* Beyond what the times of one batch may differ. They ascend but for rows that are sent again. */
static bool courier_is_apart(struct sw_courier *c, struct sw_etime t)
{
        if (c->n == 0 || t.ms < c->earliest.ms)
                c->earliest = t;
        if (c->n == 0 || t.ms > c->latest.ms)
                c->latest = t;
        return c->conf.spread_max_ms && c->latest.ms - c->earliest.ms >= c->conf.spread_max_ms;
}

/* 0: taken or passed over | COURIER_FULL: not taken, the batch goes as it is | negative */
static int courier_take_row(void *to, const struct sw_courier_row *row)
{
        struct courier_fill *fill = to;
        struct sw_courier *c = fill->c;
        struct sw_courier_item item = { .number = row->number, .time = row->time, .severity = row->severity };
        struct sw_json *finding;
        int64_t logged;
        int r;

        if (c->n >= c->conf.rows_max)
                return COURIER_FULL;
        fill->n_seen++;
        (void)snprintf(item.uid, sizeof(item.uid), "%s", row->uid);
        finding = sw_json_parse(row->line);
        if (finding && !courier_wants(c, finding, row->severity)) {
                c->n_filtered++;
                c->read_upto = row->number;
                sw_json_free(finding);
                return 0;
        }
        /* what a row shows as its time, whatever the outbox says */
        if (sw_json_i64(sw_json_at(finding, "metadata.logged_time"), &logged))
                item.time.ms = logged;
        if (courier_is_apart(c, item.time)) {
                sw_json_free(finding);
                return COURIER_FULL;
        }
        item.at = c->text.n;
        r = finding ? c->ops->encode(c->sink, finding, row->line, 0, &c->text) : SW_COURIER_NOT_A_ROW;
        sw_json_free(finding);
        if (r < 0 || c->text.failed || courier_grow(c) < 0)
                return -SW_ERR_NOMEM;
        if (r == SW_COURIER_NOT_A_ROW) {
                c->text.n = item.at;
                courier_set_aside(c, item.uid, 0, SW_STR("not a finding"), row->line);
                c->read_upto = row->number;
                return 0;
        }
        item.n = c->text.n - item.at;
        if (c->n && c->text.n + (c->n + 1) * c->conf.overhead > c->conf.body_max) {
                c->text.n = item.at;
                return COURIER_FULL;
        }
        item.line_at = c->lines.n;
        item.line_n = row->line.n;
        sw_buf_put_str(&c->lines, row->line);
        if (c->lines.failed)
                return -SW_ERR_NOMEM;
        c->read_upto = row->number;
        c->items[c->n++] = item;
        return 0;
}

/* Rows nobody wants are marked as they are passed, so that they are not read again. */
static int courier_fill_batch(struct sw_courier *c)
{
        struct courier_fill fill = { .c = c };
        uint32_t seen = 0;
        int64_t marked = 0;
        int r;

        c->n = c->at = c->bad_end = c->take_max = 0;
        sw_buf_reset(&c->text);
        sw_buf_reset(&c->lines);
        c->read_upto = 0;
        c->more = false;
        do {
                fill.n_seen = 0;
                r = c->feed.read(c->feed.ctx, c->read_upto, COURIER_READ_ROWS, courier_take_row, &fill);
                if (r < 0)
                        return r;
                seen += fill.n_seen;
                if (c->n == 0 && c->read_upto > marked) {
                        marked = c->read_upto;
                        r = c->feed.mark(c->feed.ctx, marked);
                        if (r < 0)
                                return r;
                        r = 0;
                }
                c->more = fill.n_seen == COURIER_READ_ROWS;
        } while (r == 0 && fill.n_seen == COURIER_READ_ROWS && seen < COURIER_FILTER_ROWS);
        return 0;
}

static void courier_choose(struct sw_courier *c)
{
        uint32_t end = c->bad_end > c->at ? c->bad_end : c->n;

        c->take = end - c->at;
        if (c->bad_end > c->at && c->take > 1)
                c->take /= 2;
        if (c->take_max && c->take > c->take_max)
                c->take = c->take_max;
}

static int courier_pack(struct sw_courier *c)
{
        const struct sw_courier_batch b = { c->items + c->at, c->take, c->text.p, c->lines.p };
        int r;

        sw_buf_reset(&c->payload);
        r = c->ops->pack(c->sink, &b, &c->payload);
        return r == 0 && c->payload.failed ? -SW_ERR_NOMEM : r;
}

static struct sw_str courier_line(const struct sw_courier *c, const struct sw_courier_item *i)
{
        return (struct sw_str){ c->lines.p + i->line_at, i->line_n };
}

/* The row at `at` in a smaller form, at the end of the text. */
static int courier_encode_again(struct sw_courier *c)
{
        struct sw_courier_item *i = &c->items[c->at];
        struct sw_json *finding = sw_json_parse(courier_line(c, i));
        size_t from = c->text.n;
        int r = finding ? c->ops->encode(c->sink, finding, courier_line(c, i), i->squeeze, &c->text) : -SW_ERR_NOMEM;

        sw_json_free(finding);
        if (r != 0 || c->text.failed)
                return -SW_ERR_NOMEM;
        i->at = from;
        i->n = c->text.n - from;
        return 0;
}

/* Everything up to item i is dealt with; what was passed over behind it as well. */
static int64_t courier_mark_of(const struct sw_courier *c, uint32_t i)
{
        return i + 1 < c->n ? c->items[i + 1].number - 1 : c->read_upto;
}

static void courier_work(void *ctx)
{
        struct sw_courier *c = ctx;
        int r = 0;

        c->pack_failed = false;
        if (c->reject) {
                const struct sw_courier_item *i = &c->items[c->at];

                courier_set_aside(c, i->uid, c->reject_status, sw_str_of(c->reject_words), courier_line(c, i));
                c->mark_to = courier_mark_of(c, c->at);
                c->at++;
                c->bad_end = 0;
                c->reject = false;
        }
        if (c->mark_to) {
                c->work_what = "mark";
                r = c->feed.mark(c->feed.ctx, c->mark_to);
                c->mark_to = r < 0 ? c->mark_to : 0;
        }
        if (r >= 0 && c->at >= c->n) {
                c->work_what = "read";
                r = courier_fill_batch(c);
        }
        if (c->feed.waiting)
                c->feed.waiting(c->feed.ctx, &c->waiting);
        if (r >= 0 && c->at < c->n && !c->keep) {
                c->work_what = "encode";
                r = c->squeeze ? courier_encode_again(c) : 0;
                c->squeeze = false;
                courier_choose(c);
                c->pack_failed = r < 0 || courier_pack(c) < 0;
                r = 0;
        }
        c->keep = false;
        c->work_result = r;
}

/* ---- the loop ---- */

static void courier_go(struct sw_courier *c);

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
        c->stats.requests++;
        c->stats.bytes += c->payload.n;
        c->stats.sizes[courier_bucket(sw_courier_sizes, SW_COURIER_SIZES, (int64_t)c->payload.n)]++;
        c->ops->send(c->sink, (struct sw_str){ c->payload.p, c->payload.n }, c->take);
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
        if (c->at < c->n && c->pack_failed)
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
        if (sw_loop_work(c->loop, courier_work, courier_worked, c) < 0)
                courier_wait(c, c->conf.retry_first_ms);
}

static void courier_on_timer(void *ctx)
{
        struct sw_courier *c = ctx;

        if (c->stopped || c->state == SW_COURIER_WORKING || c->state == SW_COURIER_SENDING)
                return;
        courier_go(c);
}

void sw_courier_wake(struct sw_courier *c)
{
        if (c->stopped)
                return;
        c->woken = true;
        if (c->state == SW_COURIER_IDLE)
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
        c->refused_in_a_row = 0;
        c->stats.rows += c->take;
        c->mark_to = courier_mark_of(c, c->at + c->take - 1);
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

static void courier_outage(struct sw_courier *c, const struct sw_courier_outcome *o, const char *reason)
{
        int64_t ms = sw_courier_backoff(c->conf.retry_first_ms, c->conf.retry_max_ms, c->n_failed, courier_random(c));

        if (o->retry_after_ms >= 0) {
                int64_t asked =
                        o->retry_after_ms < COURIER_RETRY_AFTER_MAX_MS ? o->retry_after_ms : COURIER_RETRY_AFTER_MAX_MS;

                /* the time asked for, and a little so that not everybody comes at once */
                ms = asked + (int64_t)(((uint64_t)(asked / 10 + 100) * courier_random(c)) >> 32);
        }
        c->keep = true;
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

static void courier_refused(struct sw_courier *c, const struct sw_courier_outcome *o)
{
        char text[256];

        if (c->take > 1) {
                c->bad_end = c->at + c->take;
                courier_go(c);
                return;
        }
        if (c->refused_in_a_row >= COURIER_REFUSED_IN_A_ROW) {
                (void)snprintf(text, sizeof(text), "every row is refused, so it is not the rows: %s: %.100s", o->reason,
                        o->answer.p ? o->answer.p : "");
                courier_outage(c, o, text);
                return;
        }
        c->refused_in_a_row++;
        courier_reject(c, o);
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
                courier_outage(c, o, o->reason);
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

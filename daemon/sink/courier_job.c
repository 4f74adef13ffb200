/* SPDX-License-Identifier: Apache-2.0 */
#include "sink/courier_int.h"

#include "base/alloc.h"
#include "base/hash.h"
#include "base/jsonw.h"
#include "clock.h"
#include "model/finding.h"

#include <stdio.h>
#include <string.h>

#define COURIER_READ_ROWS 256    /* rows of one question to the feed */
#define COURIER_FILTER_ROWS 8192 /* unwanted rows passed over in one job */

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

static bool courier_is_ahead(const struct sw_courier *c, int64_t number)
{
        uint32_t i;

        for (i = 0; i < c->n_ahead; i++)
                if (c->ahead[i] == number)
                        return true;
        return false;
}

static void courier_add_ahead(struct sw_courier *c, int64_t number)
{
        if (c->n_ahead == COURIER_AHEAD)
                memmove(c->ahead, c->ahead + 1, --c->n_ahead * sizeof(*c->ahead));
        c->ahead[c->n_ahead++] = number;
}

static int courier_mark(struct sw_courier *c, int64_t number)
{
        int r = c->feed.mark(c->feed.ctx, number);
        uint32_t i, n = 0;

        if (r < 0)
                return r;
        for (i = 0; i < c->n_ahead; i++)
                if (c->ahead[i] > number)
                        c->ahead[n++] = c->ahead[i];
        c->n_ahead = n;
        return 0;
}

/* Rows with the same one stay in order. */
static uint64_t courier_finding(const struct sw_json *finding, const char *uid)
{
        static const struct sw_hash_key key = { 0 };
        struct sw_str s = sw_json_str(sw_json_at(finding, "finding_info.uid"));

        return s.n ? sw_siphash(&key, s.p, s.n) : sw_siphash(&key, uid, strlen(uid));
}

struct courier_fill {
        struct sw_courier *c;
        uint32_t n_seen;
        bool single; /* what is no row is left to who reads in order */
        bool far;
        int64_t number; /* the only one that is wanted */
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
        fill->n_seen += !fill->single;
        if (!fill->single && courier_is_ahead(c, row->number)) {
                c->read_upto = row->number;
                return 0;
        }
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
        item.finding = courier_finding(finding, item.uid);
        r = finding ? c->ops->encode(c->sink, finding, row->line, 0, &c->text) : SW_COURIER_NOT_A_ROW;
        sw_json_free(finding);
        if (r < 0 || c->text.failed || courier_grow(c) < 0)
                return -SW_ERR_NOMEM;
        if (r == SW_COURIER_NOT_A_ROW) {
                c->text.n = item.at;
                if (fill->single)
                        return 0;
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

static void courier_empty(struct sw_courier *c)
{
        c->n = c->at = c->bad_end = c->take_max = 0;
        sw_buf_reset(&c->text);
        sw_buf_reset(&c->lines);
}

/* Rows nobody wants are marked as they are passed, so that they are not read again. */
static int courier_fill_batch(struct sw_courier *c)
{
        struct courier_fill fill = { .c = c };
        uint32_t seen = 0;
        int64_t marked = 0;
        int r;

        courier_empty(c);
        c->read_upto = 0;
        c->more = false;
        do {
                fill.n_seen = 0;
                r = c->feed.read(c->feed.ctx, c->read_upto, COURIER_READ_ROWS, courier_take_row, &fill);
                if (r < 0)
                        return r;
                seen += fill.n_seen;
                if (c->n == 0 && c->read_upto > marked) {
                        int m = courier_mark(c, c->read_upto);

                        if (m < 0)
                                return m;
                        marked = c->read_upto;
                }
                c->more = fill.n_seen == COURIER_READ_ROWS;
        } while (r == 0 && fill.n_seen == COURIER_READ_ROWS && seen < COURIER_FILTER_ROWS);
        return 0;
}

static bool courier_is_suspect(const struct sw_courier *c, int64_t number, uint64_t finding)
{
        uint32_t i;

        for (i = 0; i < c->n_suspects; i++)
                if (c->suspects[i].number == number || c->suspects[i].finding == finding)
                        return true;
        return false;
}

/* Takes the first row that may be tried: COURIER_FULL. */
static int courier_try_row(void *to, const struct sw_courier_row *row)
{
        struct courier_fill *fill = to;
        struct sw_courier *c = fill->c;
        struct sw_json *finding;
        int64_t activity = 0;
        bool may;
        int r;

        fill->n_seen++;
        *(fill->far ? &c->far_upto : &c->probe_upto) = row->number;
        if (courier_is_ahead(c, row->number))
                return 0;
        finding = sw_json_parse(row->line);
        may = finding && courier_wants(c, finding, row->severity) &&
              !courier_is_suspect(c, row->number, courier_finding(finding, row->uid));
        /* far away only what is the first of its finding for sure */
        if (fill->far)
                may = may && sw_json_i64(sw_json_at(finding, "activity_id"), &activity) &&
                      activity == SW_ACTIVITY_CREATE;
        sw_json_free(finding);
        r = may ? courier_take_row(fill, row) : 0;
        return r < 0 ? r : c->n > 0 ? COURIER_FULL : 0;
}

/* Row after row, until one is taken. */
static int courier_try_rows(struct sw_courier *c, struct courier_fill *fill)
{
        const int64_t *upto = fill->far ? &c->far_upto : &c->probe_upto;
        uint32_t seen = 0;
        int r;

        do {
                fill->n_seen = 0;
                r = c->feed.read(c->feed.ctx, *upto, COURIER_READ_ROWS, courier_try_row, fill);
                seen += fill->n_seen;
        } while (r == 0 && fill->n_seen == COURIER_READ_ROWS && seen < COURIER_FILTER_ROWS);
        return r < 0 ? r : 0;
}

static int courier_try_far(struct sw_courier *c)
{
        struct courier_fill fill = { .c = c, .single = true, .far = true };
        int r = 0;

        while (r == 0 && c->n == 0 && c->far < COURIER_FAR) {
                int64_t from = c->far_upto, step = INT64_C(1) << c->far++;

                /* by chance, so that no pattern of bad rows is met each time */
                c->far_upto += (int64_t)(sw__courier_random(c) % (uint64_t)step);
                fill.n_seen = 0;
                r = c->feed.read(c->feed.ctx, c->far_upto, COURIER_READ_ROWS, courier_try_row, &fill);
                if (r < 0)
                        return r;
                if (fill.n_seen == 0) { /* beyond the last one */
                        c->far = COURIER_FAR;
                        c->far_upto = from;
                        return courier_try_rows(c, &fill);
                }
                r = 0;
        }
        return r;
}

/* The next row to be tried while there are suspects; none: no_probe. */
static int courier_find_probe(struct sw_courier *c)
{
        struct courier_fill fill = { .c = c, .single = true };
        int r = 0;

        courier_empty(c);
        if (c->near_left > 0) {
                r = courier_try_rows(c, &fill);
                c->near_left = c->n > 0 ? c->near_left - 1 : 0;
                c->far_upto = c->probe_upto;
        }
        if (r == 0 && c->n == 0)
                r = courier_try_far(c);
        c->no_probe = r == 0 && c->n == 0;
        return r;
}

static int courier_take_one(void *to, const struct sw_courier_row *row)
{
        const struct courier_fill *fill = to;

        return row->number == fill->number ? courier_take_row(to, row) : 0;
}

/* The next suspect to be confirmed. When there is none any more, all is as it was before. */
static int courier_find_suspect(struct sw_courier *c)
{
        struct courier_fill fill = { .c = c, .single = true };
        int r;

        courier_empty(c);
        for (; c->confirm < c->n_suspects; c->confirm++) {
                fill.number = c->suspects[c->confirm].number;
                r = c->feed.read(c->feed.ctx, fill.number - 1, 1, courier_take_one, &fill);
                if (r < 0 || c->n > 0)
                        return r < 0 ? r : 0;
        }
        c->mode = COURIER_NORMAL;
        c->n_suspects = 0;
        return 0;
}

static int courier_read(struct sw_courier *c)
{
        int r = 0;

        if (c->mode == COURIER_CONFIRM)
                r = courier_find_suspect(c);
        else if (c->mode == COURIER_PROBE)
                return courier_find_probe(c);
        return r == 0 && c->mode == COURIER_NORMAL ? courier_fill_batch(c) : r;
}

static struct sw_str courier_line(const struct sw_courier *c, const struct sw_courier_item *i)
{
        return (struct sw_str){ c->lines.p + i->line_at, i->line_n };
}

int64_t sw__courier_mark_of(const struct sw_courier *c, uint32_t i)
{
        return i + 1 < c->n ? c->items[i + 1].number - 1 : c->read_upto;
}

static void courier_reject_row(struct sw_courier *c)
{
        const struct sw_courier_item *i = &c->items[c->at];

        courier_set_aside(c, i->uid, c->reject_status, sw_str_of(c->reject_words), courier_line(c, i));
        if (c->mode == COURIER_NORMAL) {
                c->mark_to = sw__courier_mark_of(c, c->at);
                c->at++;
        } else {
                c->settle = i->number;
                c->at = c->n;
        }
        c->bad_end = 0;
        c->reject = false;
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

void sw__courier_work(void *ctx)
{
        struct sw_courier *c = ctx;
        int r = 0;

        c->pack_failed = false;
        c->no_probe = false;
        if (c->reject)
                courier_reject_row(c);
        if (c->settle)
                courier_add_ahead(c, c->settle);
        c->settle = 0;
        if (c->mark_to) {
                c->work_what = "mark";
                r = courier_mark(c, c->mark_to);
                c->mark_to = r < 0 ? c->mark_to : 0;
        }
        if (r >= 0 && c->at >= c->n) {
                c->work_what = "read";
                r = courier_read(c);
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

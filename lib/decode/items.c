/* SPDX-License-Identifier: Apache-2.0 */
#include "decode/items.h"

enum {
        BETWEEN,      /* looking for the next value */
        SCAN_OBJECT,  /* inside an object that may turn out to be an envelope */
        SCAN_SCALAR,  /* inside a string, number or literal */
        AFTER_STRING, /* a string is a scalar, or a key if a colon follows */
        MEMBER,       /* behind the colon of an enveloping object's member */
        SCAN_MEMBER,  /* inside the value of such a member */
        LOST,
};

/* The value at w->at is `levels` openers. False: too many of them follow each other. */
static bool items_enter(struct sw_items *w, uint32_t levels, size_t start)
{
        if (w->n_openers == 0)
                w->openers = start;
        if (w->n_openers + levels > SW_SCAN_MAX_DEPTH)
                return false;
        w->n_openers += levels;
        w->depth += levels;
        w->comma = false;
        w->state = BETWEEN;
        w->at++;
        return true;
}

/* Not JSON from w->at on. Goes one byte further, unless the walk can go on right there. What is too deep cannot: nobody
 * would see the fault in the bytes before. */
static bool items_bad(struct sw_items *w, struct sw_str b, enum sw_reason reason, struct sw_item *ret)
{
        *ret = (struct sw_item){ .kind = SW_ITEM_BAD, .start = w->start, .end = w->at, .reason = reason };
        w->state = LOST;
        w->depth = 0;
        w->n_openers = 0;
        w->open = w->ended = w->comma = false;
        w->line = w->at > 0 && b.p[w->at - 1] == '\n';
        if (w->at < b.n && !(reason != SW_REASON_DEPTH && w->line && (b.p[w->at] == '{' || b.p[w->at] == '['))) {
                w->line = b.p[w->at] == '\n';
                w->at++;
        }
        return true;
}

static bool items_too_deep(struct sw_items *w, struct sw_str b, struct sw_item *ret)
{
        w->start = w->openers; /* all of them are what is wrong */
        return items_bad(w, b, SW_REASON_DEPTH, ret);
}

/* A value begins at w->at. True: it opens a message, which is told first. */
static bool items_opens_message(struct sw_items *w, struct sw_item *ret)
{
        if (w->open && !(w->depth == 0 && w->ended && !w->comma))
                return false;
        w->open = true;
        w->ended = w->comma = false;
        *ret = (struct sw_item){ .kind = SW_ITEM_MESSAGE, .start = w->at, .end = w->at };
        return true;
}

static bool items_done(struct sw_items *w, enum sw_item_kind kind, struct sw_item *ret)
{
        *ret = (struct sw_item){
                .kind = kind, .start = w->start, .end = w->at, .n_values = w->scan.n_values, .odd = w->scan.odd
        };
        w->state = BETWEEN;
        w->ended = true;
        w->comma = false;
        w->n_openers = 0;
        w->gap = w->at;
        return true;
}

static bool items_at_value(struct sw_items *w, struct sw_str b, struct sw_item *ret)
{
        char c = b.p[w->at];
        size_t end;

        if (items_opens_message(w, ret))
                return true;
        w->start = w->at;
        if (c == '[')
                return !items_enter(w, 1, w->at) && items_too_deep(w, b, ret);
        if (c != '{') {
                sw_scan_start(&w->scan, false, 0);
                w->string = c == '"';
                w->state = SCAN_SCALAR;
                return false;
        }
        end = w->take ? w->take(w->ctx, w->at) : 0;
        if (end) {
                w->at = end;
                return items_done(w, SW_ITEM_TAKEN, ret);
        }
        sw_scan_start(&w->scan, true, SW_SCAN_MAX_DEPTH);
        w->state = SCAN_OBJECT;
        return false;
}

/* Separators. True: *ret is filled. */
static bool items_between(struct sw_items *w, const char *p, size_t n, bool final, struct sw_item *ret)
{
        while (w->at < n) {
                char c = p[w->at];

                if (w->at - w->gap >= SW_ITEM_GAP_BYTES) {
                        *ret = (struct sw_item){ .kind = SW_ITEM_GAP, .start = w->gap, .end = w->at };
                        w->gap = w->at;
                        w->n_openers = 0;
                        return true;
                }
                if (sw_scan_is_space(c)) {
                        w->at++;
                        continue;
                }
                if ((unsigned char)c == 0xef && (n - w->at >= 3 || !final)) {
                        if (n - w->at < 3)
                                break;
                        if (memcmp(p + w->at, "\xef\xbb\xbf", 3) == 0) {
                                w->at += 3;
                                continue;
                        }
                }
                if (c != ',' && c != ']' && c != '}') {
                        if (items_at_value(w, (struct sw_str){ p, n }, ret))
                                return true;
                        if (w->state != BETWEEN)
                                return false;
                        continue;
                }
                if (!w->open && items_opens_message(w, ret))
                        return true;
                w->comma = c == ',';
                w->n_openers = 0;
                if (c != ',') {
                        w->depth -= w->depth > 0;
                        w->ended = true;
                }
                w->at++;
        }
        *ret = (struct sw_item){ .kind = w->at == n && final ? SW_ITEM_END : SW_ITEM_MORE, .start = w->at };
        return true;
}

static bool items_after_scan(struct sw_items *w, struct sw_str b, enum sw_scan_result r, struct sw_item *ret)
{
        switch (r) {
        case SW_SCAN_MORE:
                *ret = (struct sw_item){ .kind = SW_ITEM_MORE, .start = w->start };
                return true;
        case SW_SCAN_BAD:
                return items_bad(w, b, SW_REASON_JSON, ret);
        case SW_SCAN_DEEP:
                return items_bad(w, b, SW_REASON_DEPTH, ret);
        case SW_SCAN_ENVELOPE:
                if (w->max_bytes && w->at - w->start > w->max_bytes) {
                        w->scan.envelope = false;
                        return false;
                }
                return !items_enter(w, 2, w->start) && items_too_deep(w, b, ret);
        case SW_SCAN_DONE:
                break;
        }
        if (w->state == SCAN_OBJECT)
                return items_done(w, SW_ITEM_OBJECT, ret);
        if (w->state == SCAN_SCALAR && w->string) {
                w->state = AFTER_STRING;
                return false;
        }
        if (w->state == SCAN_SCALAR)
                return items_done(w, SW_ITEM_SCALAR, ret);
        return items_done(w, SW_ITEM_MEMBER, ret);
}

static bool items_key_is_records(const struct sw_items *w, const char *p)
{
        return w->at - w->start > 9 && memcmp(p + w->start, "\"records\"", 9) == 0;
}

/* Looks past white space for the colon or the value. True: *ret is filled. */
static bool items_member(struct sw_items *w, const char *p, size_t n, bool final, struct sw_item *ret)
{
        size_t at = w->at;

        while (at < n && sw_scan_is_space(p[at]))
                at++;
        if (at == n && !final) {
                *ret = (struct sw_item){ .kind = SW_ITEM_MORE, .start = w->start };
                return true;
        }
        if (w->state == AFTER_STRING && (at == n || p[at] != ':'))
                return items_done(w, SW_ITEM_SCALAR, ret);
        w->at = at;
        if (w->state == AFTER_STRING) {
                w->at++;
                w->state = MEMBER;
                return false;
        }
        if (at < n && p[at] == '[' && items_key_is_records(w, p))
                return !items_enter(w, 1, w->start) && items_too_deep(w, (struct sw_str){ p, n }, ret);
        sw_scan_start(&w->scan, false, SW_SCAN_MAX_DEPTH);
        w->state = SCAN_MEMBER;
        return false;
}

/* After bytes that are no JSON: to the next line that begins like a value. */
static bool items_find_line(struct sw_items *w, const char *p, size_t n, bool final, struct sw_item *ret)
{
        while (w->at < n) {
                const char *line;

                if (w->line && (p[w->at] == '{' || p[w->at] == '[')) {
                        w->state = BETWEEN;
                        w->gap = w->at;
                        return false;
                }
                line = memchr(p + w->at, '\n', n - w->at);
                w->line = line != NULL;
                w->at = line ? (size_t)(line - p) + 1 : n;
        }
        *ret = (struct sw_item){ .kind = final ? SW_ITEM_END : SW_ITEM_MORE, .start = w->at };
        return true;
}

void sw_items_next(struct sw_items *w, const char *p, size_t n, bool final, struct sw_item *ret)
{
        bool told = false;

        while (!told) {
                switch (w->state) {
                case BETWEEN:
                        told = items_between(w, p, n, final, ret);
                        break;
                case AFTER_STRING:
                case MEMBER:
                        told = items_member(w, p, n, final, ret);
                        break;
                case LOST:
                        told = items_find_line(w, p, n, final, ret);
                        break;
                default:
                        told = items_after_scan(
                                w, (struct sw_str){ p, n }, sw_scan_run(&w->scan, p, n, &w->at, final), ret);
                        break;
                }
        }
}

void sw_items_shift(struct sw_items *w, size_t by)
{
        w->at -= by;
        w->start -= w->start < by ? w->start : by;
        w->gap -= w->gap < by ? w->gap : by;
        w->openers -= w->openers < by ? w->openers : by;
        w->scan.string_at -= w->scan.string_at < by ? w->scan.string_at : by;
}

size_t sw_items_cut(const struct sw_items *w)
{
        if (w->n_openers)
                return w->openers;
        return sw_items_is_scanning(w) ? w->start : w->at;
}

bool sw_items_is_scanning(const struct sw_items *w)
{
        return w->state != BETWEEN && w->state != LOST;
}

bool sw_items_is_lost(const struct sw_items *w)
{
        return w->state == LOST;
}

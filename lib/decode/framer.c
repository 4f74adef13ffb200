/* SPDX-License-Identifier: Apache-2.0 */
#include "decode/framer.h"

#include "base/alloc.h"
#include "decode/decoder.h"
#include "decode/items.h"

#include <string.h>

#define PIECE_BYTES ((size_t)256 * 1024)
#define RECORD_MAX ((size_t)64 * 1024 * 1024)
#define OVERSIZE_BYTES ((size_t)256) /* of a skipped record, for the error's excerpt */

/* The buffer holds the piece being gathered and the item being scanned. All positions count from buf[0].
 *
 *   buf ... piece ......... message ........ item ....... w.at ...... n
 *           the next piece  last message     what          scanned    there
 *           begins here     begun in it      is read
 */
struct sw_framer {
        struct sw_framer_conf conf;
        char *memory;
        size_t cap;
        char *buf; /* first byte still wanted, somewhere in memory */
        size_t n;
        uint64_t base;  /* offset of buf[0] in the file */
        size_t drop_to; /* bytes before it were handed out: dropped with the next call */
        bool final, done;

        struct sw_items w;
        struct sw_item item; /* read but not yet put into a piece, if has_item */
        bool has_item;

        bool in_piece; /* piece and message are set */
        bool whole;    /* the piece begins with a message */
        bool filled;   /* the last message of the piece has an item */
        bool flushed;  /* the piece begins where a flush ended: until it is filled it is separators only */
        bool skipping; /* over a record that is too long */
        size_t piece, message;
        uint64_t n_messages; /* that begin in the piece */
};

int sw_framer_new(const struct sw_framer_conf *conf, struct sw_framer **ret)
{
        struct sw_framer *f = sw_calloc(1, sizeof(*f));

        if (!f)
                return -SW_ERR_NOMEM;
        if (conf)
                f->conf = *conf;
        if (f->conf.piece_bytes == 0)
                f->conf.piece_bytes = PIECE_BYTES;
        if (f->conf.record_max == 0)
                f->conf.record_max = RECORD_MAX;
        if (f->conf.record_max < OVERSIZE_BYTES)
                f->conf.record_max = OVERSIZE_BYTES;
        f->w.max_bytes = f->conf.record_max;
        *ret = f;
        return 0;
}

struct sw_framer *sw_framer_free(struct sw_framer *f)
{
        if (!f)
                return NULL;
        sw_free(f->memory);
        sw_free(f);
        return NULL;
}

static void framer_drop(struct sw_framer *f)
{
        size_t by = f->drop_to;

        if (by == 0)
                return;
        f->drop_to = 0;
        f->buf += by;
        f->n -= by;
        f->base += by;
        f->piece -= by < f->piece ? by : f->piece;
        f->message -= by < f->message ? by : f->message;
        f->item.start -= by < f->item.start ? by : f->item.start;
        f->item.end -= by < f->item.end ? by : f->item.end;
        sw_items_shift(&f->w, by);
}

char *sw_framer_room(struct sw_framer *f, size_t n)
{
        size_t want, cap = f->cap ? f->cap : f->conf.piece_bytes;
        char *memory;

        framer_drop(f);
        if (__builtin_add_overflow(f->n, n, &want))
                return NULL;
        if (f->memory && f->cap - (size_t)(f->buf - f->memory) < want) {
                memmove(f->memory, f->buf, f->n);
                f->buf = f->memory;
        }
        if (want > f->cap) {
                while (cap < want)
                        cap = cap > SIZE_MAX / 2 ? want : cap * 2;
                memory = sw_realloc_array(f->memory, cap, 1);
                if (!memory)
                        return NULL;
                f->memory = f->buf = memory;
                f->cap = cap;
        }
        return f->buf + f->n;
}

void sw_framer_fed(struct sw_framer *f, size_t n)
{
        f->n += n;
}

int sw_framer_feed(struct sw_framer *f, const void *p, size_t n)
{
        char *room = n ? sw_framer_room(f, n) : NULL;

        if (n && !room)
                return -SW_ERR_NOMEM;
        if (n)
                memcpy(room, p, n);
        sw_framer_fed(f, n);
        return 0;
}

void sw_framer_finish(struct sw_framer *f)
{
        f->final = true;
}

struct sw_etime sw_framer_peek_time(struct sw_str piece)
{
        static const char key[] = "\"time\"";
        struct sw_etime t = SW_ETIME_NONE;
        const char *p = piece.p, *end = piece.p + piece.n, *quote;

        while ((p = memmem(p, (size_t)(end - p), key, sizeof(key) - 1))) {
                for (p += sizeof(key) - 1; p < end && sw_scan_is_space(*p); p++)
                        ;
                if (p == end || *p != ':')
                        continue;
                for (p++; p < end && sw_scan_is_space(*p); p++)
                        ;
                if (p == end || *p++ != '"')
                        return t;
                quote = memchr(p, '"', (size_t)(end - p));
                if (quote)
                        (void)sw_etime_parse((struct sw_str){ p, (size_t)(quote - p) }, &t);
                return t;
        }
        return t;
}

/* Hands out [piece, end). ends: the last message in it is complete. */
static int framer_emit(struct sw_framer *f, size_t end, bool ends, struct sw_piece *ret)
{
        *ret = (struct sw_piece){ .bytes = { f->buf + f->piece, end - f->piece }, .offset = f->base + f->piece };
        ret->time = sw_framer_peek_time(ret->bytes);
        if (f->whole)
                ret->flags |= SW_DECODE_MESSAGE_START;
        if (ends)
                ret->flags |= SW_DECODE_MESSAGE_END;
        if (f->n_messages > 1)
                ret->flags |= SW_DECODE_LINES;
        f->drop_to = end;
        return SW_FRAMER_OK;
}

static void framer_begin_piece(struct sw_framer *f, size_t at, bool whole)
{
        f->in_piece = true;
        f->whole = whole;
        f->filled = f->flushed = false;
        f->piece = f->message = at;
        f->n_messages = whole;
}

/* A message begins at `at`. OK: *ret is what came before it; it has to be said again. */
static int framer_begin_message(struct sw_framer *f, size_t at, struct sw_piece *ret)
{
        if (f->flushed && !f->filled)
                f->in_piece = false;
        if (f->in_piece && (!f->whole || at - f->piece >= f->conf.piece_bytes)) {
                (void)framer_emit(f, at, true, ret);
                f->in_piece = false;
                return SW_FRAMER_OK;
        }
        if (!f->in_piece) {
                framer_begin_piece(f, at, true);
                return SW_FRAMER_MORE;
        }
        f->n_messages++;
        f->message = at;
        f->filled = false;
        return SW_FRAMER_MORE;
}

/* Makes room in the piece for an item that begins at start and ends at end. OK: *ret is what had to leave. */
static int framer_make_room(struct sw_framer *f, size_t start, size_t end, struct sw_piece *ret)
{
        if (end - f->piece <= f->conf.piece_bytes)
                return SW_FRAMER_MORE;
        if (f->message > f->piece) {
                size_t message = f->message;
                bool filled = f->filled;

                f->n_messages--;
                (void)framer_emit(f, message, true, ret);
                framer_begin_piece(f, message, true);
                f->filled = filled;
                return SW_FRAMER_OK;
        }
        if (!f->filled)
                return SW_FRAMER_MORE;
        (void)framer_emit(f, start, false, ret);
        framer_begin_piece(f, start, false);
        return SW_FRAMER_OK;
}

/* A record that is too long: first what stands before it, then a piece with its beginning that says so. */
static int framer_oversize(struct sw_framer *f, size_t start, struct sw_piece *ret)
{
        if (f->message > f->piece)
                return framer_make_room(f, start, SIZE_MAX, ret);
        if (f->piece < start) {
                (void)framer_emit(f, start, false, ret);
                framer_begin_piece(f, start, false);
                return SW_FRAMER_OK;
        }
        (void)framer_emit(f, start + OVERSIZE_BYTES, false, ret);
        ret->flags |= SW_DECODE_OVERSIZE;
        f->in_piece = false;
        f->skipping = true;
        f->w.scan.envelope = false;
        return SW_FRAMER_OK;
}

/* As far as the walk has gone: so far that the decoder sees the fault, and no further. */
static int framer_take_bad(struct sw_framer *f, struct sw_piece *ret)
{
        size_t end = f->w.at;
        int r = framer_make_room(f, f->item.start, end, ret);

        if (r == SW_FRAMER_OK)
                return r;
        (void)framer_emit(f, end, true, ret);
        f->in_piece = f->has_item = false;
        return SW_FRAMER_OK;
}

/* Puts the item into the piece. OK: *ret is a piece, the item may be waiting still. */
static int framer_take_item(struct sw_framer *f, struct sw_piece *ret)
{
        size_t start = f->item.start, end = f->item.end;
        int r;

        if (f->item.kind == SW_ITEM_MESSAGE) {
                r = framer_begin_message(f, start, ret);
                f->has_item = r == SW_FRAMER_OK;
                return r;
        }
        if (f->skipping) {
                f->has_item = f->skipping = false;
                if (f->item.kind != SW_ITEM_BAD)
                        framer_begin_piece(f, end, false);
                return SW_FRAMER_MORE;
        }
        if (f->item.kind != SW_ITEM_GAP && end - start > f->conf.record_max)
                return framer_oversize(f, start, ret);
        if (f->item.kind == SW_ITEM_BAD)
                return framer_take_bad(f, ret);
        if (!f->in_piece) {
                f->has_item = false; /* separators before the first message */
                return SW_FRAMER_MORE;
        }
        r = framer_make_room(f, start, end, ret);
        if (r == SW_FRAMER_OK)
                return r;
        f->filled = true;
        f->has_item = false;
        return SW_FRAMER_MORE;
}

/* More bytes are needed: drops what no piece will have, notices records that are too long. */
static int framer_starve(struct sw_framer *f, struct sw_piece *ret)
{
        bool scanning = sw_items_is_scanning(&f->w);

        if (scanning && !f->skipping && f->w.at - f->w.start > f->conf.record_max)
                return framer_oversize(f, f->w.start, ret);
        if (f->skipping) /* but for one byte, which tells a line's beginning */
                f->drop_to = f->w.at ? f->w.at - 1 : 0;
        else if (!f->in_piece)
                f->drop_to = scanning ? f->w.start : f->w.at;
        return SW_FRAMER_MORE;
}

static int framer_end(struct sw_framer *f, struct sw_piece *ret)
{
        if (f->done || !f->in_piece || f->piece >= f->n || (f->flushed && !f->filled)) {
                f->done = true;
                return SW_FRAMER_END;
        }
        f->done = true;
        return framer_emit(f, f->n, true, ret);
}

int sw_framer_next(struct sw_framer *f, struct sw_piece *ret)
{
        framer_drop(f);
        if (f->done)
                return SW_FRAMER_END;
        for (;;) {
                int r;

                if (!f->has_item) {
                        sw_items_next(&f->w, f->buf, f->n, f->final, &f->item);
                        if (f->item.kind == SW_ITEM_END)
                                return framer_end(f, ret);
                        if (f->item.kind == SW_ITEM_MORE)
                                return framer_starve(f, ret);
                        f->has_item = true;
                }
                r = framer_take_item(f, ret);
                if (r == SW_FRAMER_OK)
                        return r;
        }
}

/* Between two values everything before w.at is whole; inside one, everything before it is. */
int sw_framer_flush(struct sw_framer *f, struct sw_piece *ret)
{
        bool scanning = sw_items_is_scanning(&f->w);
        size_t end;

        framer_drop(f);
        end = sw_items_cut(&f->w);
        if (f->done || !f->in_piece)
                return SW_FRAMER_MORE;
        if (!f->filled) { /* the last message has only begun */
                if (f->message == f->piece)
                        return SW_FRAMER_MORE;
                end = f->message;
                f->n_messages--;
                (void)framer_emit(f, end, true, ret);
                framer_begin_piece(f, end, true);
                return SW_FRAMER_OK;
        }
        (void)framer_emit(f, end, f->w.depth == 0 && !scanning, ret);
        framer_begin_piece(f, end, false);
        f->flushed = true;
        return SW_FRAMER_OK;
}

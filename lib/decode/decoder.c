/* SPDX-License-Identifier: Apache-2.0 */
#include "decode/decoder.h"

#include "decode/inflate.h"
#include "decode/items.h"
#include "decode/record.h"

#define INFLATED_MAX_BYTES ((size_t)64 * 1024 * 1024) /* where the message itself has no limit */

/* Counters at the beginning of a message, to see at its end what it brought. */
struct message_at {
        uint64_t records, skipped, faults;
        uint32_t first_error;
};

int sw_decoder_new(const struct sw_decoder_conf *conf, struct sw_decoder **ret)
{
        struct sw_decoder *d = sw_calloc(1, sizeof(*d));

        if (!d)
                return -SW_ERR_NOMEM;
        d->conf = *conf;
        d->avx2 = sw__fast_has_avx2();
        d->fingerprint = sw_fingerprint_new(conf->seed);
        if (!d->fingerprint) {
                sw_free(d);
                return -SW_ERR_NOMEM;
        }
        *ret = d;
        return 0;
}

struct sw_decoder *sw_decoder_free(struct sw_decoder *d)
{
        if (!d)
                return NULL;
        d->fingerprint = sw_fingerprint_free(d->fingerprint);
        sw_buf_deinit(&d->text);
        sw_buf_deinit(&d->plain);
        sw_buf_deinit(&d->inflated);
        sw_free(d);
        return NULL;
}

static struct message_at decoder_message_at(const struct sw_batch *b)
{
        return (struct message_at){ b->n_records, b->stats.records_skipped,
                b->stats.record_errors + b->stats.tuple_errors, b->n_errors };
}

/* A message that brought faults and nothing else goes to quarantine: its first error says so. */
static void decoder_end_message(struct sw_decoder *d, const struct message_at *began)
{
        struct sw_batch *b = d->b;
        struct message_at now = decoder_message_at(b);

        if (now.records > began->records || now.skipped > began->skipped || now.faults == began->faults)
                return;
        b->stats.message_errors++;
        if (b->n_errors > began->first_error)
                b->errors[began->first_error].whole_message = true;
}

static void decoder_refuse_message(struct sw_decoder *d, enum sw_reason reason)
{
        d->b->stats.message_errors++;
        sw_batch_add_error(d->b, reason, d->base_offset, d->raw, true);
}

static size_t decoder_take(void *ctx, size_t at)
{
        struct sw_decoder *d = ctx;
        size_t end = sw__fast_record(d, at);

        d->n_fast += end > 0;
        return end;
}

static void decoder_bad_item(struct sw_decoder *d, const struct sw_item *item)
{
        size_t at = item->end < d->raw.n ? item->end : item->start;

        sw__record_error(d, item->reason, at, (struct sw_str){ d->raw.p + at, d->raw.n - at });
}

/* False: not a byte but white space was there. */
static bool decoder_walk(struct sw_decoder *d, bool lines, struct message_at *began)
{
        struct sw_items w = { .take = d->conf.reference_only ? NULL : decoder_take, .ctx = d };
        struct sw_item item;
        uint64_t n_messages = 0;

        for (;;) {
                sw_items_next(&w, d->raw.p, d->raw.n, true, &item);
                switch (item.kind) {
                case SW_ITEM_MESSAGE:
                        if (lines && n_messages)
                                decoder_end_message(d, began);
                        if (lines && n_messages) {
                                *began = decoder_message_at(d->b);
                                d->b->stats.messages++;
                        }
                        n_messages++;
                        break;
                case SW_ITEM_OBJECT:
                        d->n_reference++;
                        sw__reference_record(d, item.start, item.end, item.n_values, item.odd);
                        break;
                case SW_ITEM_SCALAR:
                        sw__record_error(d, SW_REASON_SHAPE, item.start,
                                (struct sw_str){ d->raw.p + item.start, item.end - item.start });
                        break;
                case SW_ITEM_BAD:
                        decoder_bad_item(d, &item);
                        break;
                case SW_ITEM_TAKEN:
                case SW_ITEM_MEMBER:
                case SW_ITEM_GAP:
                        break;
                case SW_ITEM_MORE:
                case SW_ITEM_END:
                        return n_messages > 0;
                }
                if (d->no_memory)
                        return true;
        }
}

/* Moves the inflated payload into the batch, because slices of it outlive the call. 0, a reason + 1, or negative. */
static int decoder_inflate(struct sw_decoder *d)
{
        uint64_t max = d->conf.message_max_bytes;
        int r = sw_inflate_whole(d->raw, max && max < SIZE_MAX ? max : INFLATED_MAX_BYTES, &d->inflated);
        const char *p;

        if (r == SW_INFLATE_TOO_LARGE)
                return 1 + SW_REASON_TOO_LARGE;
        if (r)
                return r < 0 ? r : 1 + SW_REASON_GZIP;
        p = sw_arena_copy(&d->b->arena, d->inflated.p, d->inflated.n);
        if (!p)
                return -SW_ERR_NOMEM;
        d->raw = (struct sw_str){ p, d->inflated.n };
        return 0;
}

int sw_decode(struct sw_decoder *d, struct sw_str value, unsigned flags, uint64_t base_offset, struct sw_batch *b)
{
        bool whole = (flags & SW_DECODE_MESSAGE) == SW_DECODE_MESSAGE;
        struct message_at began = decoder_message_at(b);
        bool content;
        int r = 0;

        d->b = b;
        d->raw = b->raw = value;
        d->base_offset = base_offset;
        d->no_memory = false;
        b->stats.messages += (flags & SW_DECODE_MESSAGE_START) != 0;
        if (flags & SW_DECODE_OVERSIZE) {
                sw__record_error(d, SW_REASON_TOO_LARGE, 0, value);
                return 0;
        }
        if (d->conf.message_max_bytes && value.n > d->conf.message_max_bytes) {
                decoder_refuse_message(d, SW_REASON_TOO_LARGE);
                return 0;
        }
        if ((flags & SW_DECODE_MESSAGE_START) && sw_inflate_is_gzip(value))
                r = decoder_inflate(d);
        if (r > 0)
                decoder_refuse_message(d, (enum sw_reason)(r - 1));
        if (r)
                return r < 0 ? r : 0;
        content = decoder_walk(d, (flags & SW_DECODE_LINES) != 0, &began);
        if (d->no_memory)
                return -SW_ERR_NOMEM;
        if (!content && whole)
                decoder_refuse_message(d, SW_REASON_EMPTY);
        else if (whole)
                decoder_end_message(d, &began);
        return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/quarantine_retry.h"

#include "base/json.h"
#include "decode/inflate.h"
#include "quarantine.h"

#define RETRY_INFLATED_MAX ((size_t)64 << 20)

int sw_quarantine_retry_init(struct sw_quarantine_retry *r, uint64_t message_max)
{
        struct sw_decoder_conf conf = { .message_max_bytes = message_max };

        *r = (struct sw_quarantine_retry){ .batch = SW_BATCH_NULL };
        return sw_decoder_new(&conf, &r->decoder);
}

void sw_quarantine_retry_deinit(struct sw_quarantine_retry *r)
{
        sw_batch_deinit(&r->batch);
        sw_buf_deinit(&r->message);
        sw_buf_deinit(&r->inflated);
        r->decoder = sw_decoder_free(r->decoder);
}

/* The message as one line: inflated, without a BOM; a line break in JSON is white space. False: it is no JSON value by
 * itself, but a piece of a block. */
static int retry_line(struct sw_quarantine_retry *r, struct sw_str m, struct sw_buf *out, bool *ret_whole)
{
        struct sw_json *json;
        size_t i, from;

        if (sw_inflate_is_gzip(m)) {
                sw_buf_reset(&r->inflated);
                if (sw_inflate_whole(m, RETRY_INFLATED_MAX, &r->inflated) != 0)
                        return -SW_ERR_NOMEM; /* it has just been inflated by the decoder */
                m = (struct sw_str){ r->inflated.p, r->inflated.n };
        }
        if (sw_str_starts(m, SW_STR("\xef\xbb\xbf")))
                m = (struct sw_str){ m.p + 3, m.n - 3 };
        json = sw_json_parse(m);
        *ret_whole = json != NULL;
        sw_json_free(json);
        if (!*ret_whole)
                return 0;
        from = out->n;
        sw_buf_put_str(out, m);
        for (i = from; i < out->n && !out->failed; i++)
                if (out->p[i] == '\n' || out->p[i] == '\r')
                        out->p[i] = ' ';
        sw_buf_putc(out, '\n');
        return out->failed ? -SW_ERR_NOMEM : 0;
}

int sw_quarantine_retry_add(struct sw_quarantine_retry *r, const struct sw_quarantine_entry *e, struct sw_buf *out)
{
        struct sw_str m;
        bool whole;
        int ret;

        if (!e->whole) {
                r->n_partly += e->message.p != NULL;
                return 0;
        }
        r->n_entries++;
        sw_buf_reset(&r->message);
        if (!e->message.p || !sw_quarantine_message(e->message, &r->message))
                return r->message.failed ? -SW_ERR_NOMEM : 0;
        r->n_kept++;
        m = (struct sw_str){ r->message.p, r->message.n };
        sw_batch_reset(&r->batch);
        ret = sw_decode(r->decoder, m, SW_DECODE_MESSAGE, 0, &r->batch);
        if (ret < 0)
                return ret;
        if (r->batch.n_errors > 0) {
                r->n_still[r->batch.errors[0].reason]++;
                return 0;
        }
        ret = retry_line(r, m, out, &whole);
        if (ret < 0)
                return ret;
        r->n_fragments += !whole;
        r->n_now += whole;
        if (whole) {
                r->n_records += r->batch.n_records;
                r->n_tuples += r->batch.n_tuples;
        }
        return 0;
}

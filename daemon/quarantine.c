/* SPDX-License-Identifier: Apache-2.0 */
#include "quarantine.h"

#include "base/alloc.h"
#include "base/jsonw.h"

#include <openssl/evp.h>

#define QUARANTINE_MESSAGE_MAX (INT32_C(64) << 20)

/* Base64: a message may be gzip, or anything. */
static void quarantine_keep(struct sw_jsonw *w, struct sw_str raw)
{
        size_t n = (raw.n + 2) / 3 * 4;
        char *text = sw_alloc(n + 1);

        if (!text) {
                w->out->failed = true;
                return;
        }
        EVP_EncodeBlock((unsigned char *)text, (const unsigned char *)raw.p, (int)raw.n);
        sw_jsonw_kstr(w, "message_base64", (struct sw_str){ text, n });
        sw_free(text);
}

bool sw_quarantine_message(struct sw_str base64, struct sw_buf *out)
{
        unsigned char *bytes;
        size_t n;
        int r;

        if (base64.n % 4 != 0 || base64.n > QUARANTINE_MESSAGE_MAX)
                return false;
        n = base64.n / 4 * 3;
        bytes = sw_alloc(n + 1);
        r = bytes ? EVP_DecodeBlock(bytes, (const unsigned char *)base64.p, (int)base64.n) : -1;
        if (r >= 0 && (size_t)r == n) {
                n -= n && base64.p[base64.n - 1] == '=';
                n -= base64.n && base64.p[base64.n - 2] == '=';
                sw_buf_put(out, bytes, n);
        }
        sw_free(bytes);
        return r >= 0 && !out->failed;
}

bool sw_quarantine_budget_take(struct sw_quarantine_budget *b, int64_t now_ms, uint64_t n)
{
        uint64_t passed_ms = now_ms > b->filled_ms ? (uint64_t)(now_ms - b->filled_ms) : 0;

        passed_ms = passed_ms < 3600000 ? passed_ms : 3600000;
        b->left_bytes += SW_QUARANTINE_KEEP_PER_SECOND * passed_ms / 1000;
        if (b->left_bytes > SW_QUARANTINE_KEEP_BURST)
                b->left_bytes = SW_QUARANTINE_KEEP_BURST;
        b->filled_ms = now_ms;
        if (n > b->left_bytes)
                return false;
        b->left_bytes -= n;
        return true;
}

static void quarantine_line(struct sw_buf *out, const struct sw_quarantine_place *place, const struct sw_batch *b,
        const struct sw_decode_error *e)
{
        struct sw_jsonw w = sw_jsonw_start(out);
        char time[SW_ETIME_TEXT];

        sw_jsonw_object(&w);
        if (!sw_etime_is_none(place->time))
                sw_jsonw_ktext(&w, "time", sw_etime_format(place->time, time));
        if (place->source)
                sw_jsonw_ktext(&w, "source", place->source);
        if (place->topic) {
                sw_jsonw_ktext(&w, "topic", place->topic);
                sw_jsonw_ki64(&w, "partition", place->partition);
                sw_jsonw_ki64(&w, "offset", place->offset);
        } else if (place->file) {
                sw_jsonw_ktext(&w, "file", place->file);
        }
        sw_jsonw_ku64(&w, "byte", e->offset);
        sw_jsonw_ktext(&w, "reason", sw_reason_name(e->reason));
        sw_jsonw_ktext(&w, "text", sw_reason_text(e->reason));
        sw_jsonw_kbool(&w, "whole_message", e->whole_message);
        if (e->whole_message && place->topic)
                sw_jsonw_ku64(&w, "bytes", b->raw.n);
        sw_jsonw_kstr(&w, "excerpt", e->excerpt);
        if (e == b->errors && place->topic && b->raw.n && b->raw.n <= place->keep_bytes)
                quarantine_keep(&w, b->raw);
        sw_jsonw_end_object(&w);
        sw_buf_putc(out, '\n');
}

void sw_quarantine_lines(struct sw_buf *out, const struct sw_quarantine_place *place, const struct sw_batch *b)
{
        uint32_t i;

        for (i = 0; i < b->n_errors; i++)
                quarantine_line(out, place, b, &b->errors[i]);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "quarantine.h"

#include "base/jsonw.h"

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
        sw_jsonw_end_object(&w);
        sw_buf_putc(out, '\n');
}

void sw_quarantine_lines(struct sw_buf *out, const struct sw_quarantine_place *place, const struct sw_batch *b)
{
        uint32_t i;

        for (i = 0; i < b->n_errors; i++)
                quarantine_line(out, place, b, &b->errors[i]);
}

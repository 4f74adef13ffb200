/* SPDX-License-Identifier: Apache-2.0 */
#include "encode/enc_ocsf.h"

static void signal_evidence(struct sw_jsonw *w, const struct sw_signal *s)
{
        char text[SW_ADDR_TEXT];
        uint32_t i;

        sw_jsonw_key(w, "evidence");
        sw_jsonw_array(w);
        for (i = 0; i < s->n_evidence; i++) {
                const struct sw_evidence *e = &s->evidence[i];

                sw_jsonw_object(w);
                sw_jsonw_ki64(w, "time", e->time.ms);
                sw_jsonw_ktext(w, "src", sw_addr_format(&e->src, text));
                sw_jsonw_ki64(w, "sport", e->sport);
                sw_jsonw_ktext(w, "dst", sw_addr_format(&e->dst, text));
                sw_jsonw_ki64(w, "dport", e->dport);
                sw_jsonw_ki64(w, "proto", e->proto);
                sw_jsonw_ktext(w, "outcome", sw_outcome_text((enum sw_outcome)e->outcome));
                sw_jsonw_ku64(w, "bytes_out", e->counters[SW_BYTES_FWD]);
                sw_jsonw_ku64(w, "bytes_in", e->counters[SW_BYTES_REV]);
                sw_jsonw_end_object(w);
        }
        sw_jsonw_end_array(w);
}

void sw_enc_signal(struct sw_buf *out, const struct sw_signal_line *l)
{
        struct sw_jsonw writer = sw_jsonw_start(out), *w = &writer;
        const struct sw_signal *s = l->signal;
        char text[SW_ETIME_TEXT + SW_ADDR_TEXT];
        uint32_t i;

        sw_jsonw_object(w);
        sw_jsonw_ktext(w, "uid", l->uid);
        sw_jsonw_ki64(w, "time", s->time.ms);
        sw_jsonw_ktext(w, "detector", l->detector);
        sw_jsonw_ktext(w, "code", l->code);
        sw_jsonw_ktext(w, "mode", l->mode);
        if (l->suppression)
                sw_jsonw_ktext(w, "suppression", l->suppression);
        sw_jsonw_ktext(w, "actor", sw_addr_format(&l->actor, text));
        sw_jsonw_kstr(w, "segment_src", l->src_segment);
        sw_jsonw_kstr(w, "segment_dst", l->dst_segment);
        sw_jsonw_kstr(w, "sentence", l->sentence);
        sw_jsonw_ki64(w, "first_time", s->first.ms);
        sw_jsonw_ki64(w, "last_time", s->last.ms);
        sw_jsonw_ki64(w, "variant", s->variant);
        sw_jsonw_ku64(w, "value", s->value);
        sw_jsonw_ku64(w, "threshold", s->threshold);
        sw_jsonw_ku64(w, "normal", s->normal);
        sw_jsonw_ki64(w, "window_ms", s->window_ms);
        sw_jsonw_ki64(w, "confidence_pct", s->confidence_pct);
        sw_jsonw_ki64(w, "weight_pct", s->weight_pct);
        sw_jsonw_kbool(w, "alone", s->alone);
        sw_jsonw_key(w, "targets");
        sw_jsonw_array(w);
        for (i = 0; l->targets && i < s->n_targets; i++)
                sw_jsonw_text(w, sw_addr_format(&l->targets[i], text));
        sw_jsonw_end_array(w);
        sw_jsonw_ku64(w, "targets_count", s->n_targets_total);
        sw_jsonw_ki64(w, "proto", s->proto);
        sw_jsonw_ki64(w, "port", s->port);
        sw_jsonw_ktext(w, "service", sw_service_text((enum sw_service)s->service));
        signal_evidence(w, s);
        sw_jsonw_end_object(w);
}

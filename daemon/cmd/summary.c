/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/summary.h"

#include "base/jsonw.h"

void sw_summary_write(struct sw_buf *out, const struct sw_engine_stats *s, uint64_t bytes_read, uint64_t wall_ms)
{
        const struct {
                const char *key;
                uint64_t value;
        } rows[] = {
                { "messages", s->decode.messages },
                { "message_errors", s->decode.message_errors },
                { "records", s->records },
                { "records_duplicate", s->records_duplicate },
                { "records_skipped", s->decode.records_skipped },
                { "record_errors", s->decode.record_errors },
                { "tuples", s->tuples },
                { "tuples_begin", s->tuples_begin },
                { "tuples_continue", s->tuples_continue },
                { "tuples_end", s->tuples_end },
                { "tuples_denied", s->tuples_denied },
                { "tuples_stateless", s->tuples_stateless },
                { "tuple_errors", s->decode.tuple_errors },
                { "packets_forward", s->totals[SW_PACKETS_FWD] },
                { "bytes_forward", s->totals[SW_BYTES_FWD] },
                { "packets_reverse", s->totals[SW_PACKETS_REV] },
                { "bytes_reverse", s->totals[SW_BYTES_REV] },
                { "records_old", s->records_old },
                { "tuples_late", s->tuples_late },
                { "tuples_too_late", s->tuples_too_late },
                { "tuples_clamped", s->tuples_clamped },
                { "tuples_held", s->tuples_held },
                { "connections", s->connections },
                { "connections_reversed", s->connections_reversed },
                { "edges", s->edges },
                { "hosts", s->hosts },
                { "signals", s->signals },
                { "signals_suppressed", s->suppressed },
                { "findings", s->findings },
                { "findings_folded", s->findings_folded },
                { "evicted", s->evicted },
                { "reorder_forced", s->reorder_forced },
                { "unknown_versions", s->decode.unknown_versions },
                { "state_bytes", s->bytes },
                { "bytes_read", bytes_read },
                { "wall_ms", wall_ms },
        };
        struct sw_jsonw w = sw_jsonw_start(out);
        size_t i;

        sw_jsonw_object(&w);
        for (i = 0; i < sizeof(rows) / sizeof(*rows); i++)
                sw_jsonw_ku64(&w, rows[i].key, rows[i].value);
        sw_jsonw_end_object(&w);
}

struct learning {
        struct sw_etime until;
        uint32_t n;
        char first[64];
};

static void add_learning(void *ctx, const char *segment, struct sw_etime until)
{
        struct learning *l = ctx;
        size_t n = strlen(segment);

        l->until = sw_etime_max(l->until, until);
        if (l->n++ == 0) {
                n = n < sizeof(l->first) - 1 ? n : sizeof(l->first) - 1;
                memcpy(l->first, segment, n);
                l->first[n] = '\0';
        }
}

bool sw_summary_learning(struct sw_buf *out, const struct sw_engine *e, const struct sw_detector_conf *detectors)
{
        struct learning l = { .until = SW_ETIME_NONE };
        char text[SW_ETIME_TEXT];
        const char *comma = "";
        unsigned i;

        sw_engine_learning(e, add_learning, &l);
        if (l.n == 0)
                return false;
        sw_buf_printf(out, "learning until %s: ", sw_etime_format(l.until, text));
        for (i = 0; i < SW_N_DETECTORS; i++) {
                if (!sw_detectors[i]->needs_baseline || detectors[i].mode == SW_MODE_OFF)
                        continue;
                sw_buf_printf(out, "%s%s", comma, sw_detectors[i]->code);
                comma = ", ";
        }
        sw_buf_printf(out, " (segment %s", l.first);
        if (l.n > 1)
                sw_buf_printf(out, " and %u more", l.n - 1);
        sw_buf_putc(out, ')');
        return true;
}

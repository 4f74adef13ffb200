/* SPDX-License-Identifier: Apache-2.0 */
#include "decode/record.h"

#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/* Tuples are hashed as they lie in memory: any change of their struct changes every fingerprint. */
_Static_assert(sizeof(struct sw_tuple) == 88, "struct sw_tuple has no hidden padding");

void sw__record_error(struct sw_decoder *d, enum sw_reason reason, size_t at, struct sw_str excerpt)
{
        d->b->stats.record_errors++;
        sw_batch_add_error(d->b, reason, d->base_offset + at, excerpt, false);
}

void sw__tuple_error(struct sw_decoder *d, enum sw_reason reason, size_t at, struct sw_str excerpt)
{
        d->b->stats.tuple_errors++;
        sw_batch_add_error(d->b, reason, d->base_offset + at, excerpt, false);
}

static void record_fold(char *out, const char *in, size_t n)
{
        size_t i = 0;

#if defined(__SSE2__)
        for (; i + 16 <= n; i += 16) {
                __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(in + i));
                __m128i upper = _mm_and_si128(
                        _mm_cmpgt_epi8(v, _mm_set1_epi8('A' - 1)), _mm_cmplt_epi8(v, _mm_set1_epi8('Z' + 1)));

                _mm_storeu_si128(
                        (__m128i *)(void *)(out + i), _mm_or_si128(v, _mm_and_si128(upper, _mm_set1_epi8(32))));
        }
#endif
        for (; i < n; i++)
                out[i] = (char)(in[i] >= 'A' && in[i] <= 'Z' ? in[i] + 32 : in[i]);
}

static char *record_put_folded(char *out, struct sw_str s)
{
        record_fold(out, s.p, s.n);
        return out + s.n;
}

/* Sensor, time and rules as one text: lengths first, so that no two records share one. */
static bool record_put_names(struct sw_decoder *d, const struct sw_record *r, uint32_t first_rule)
{
        const struct sw_rule *rules = d->b->rules;
        uint32_t n_rules = d->b->n_rules - first_rule, i;
        struct {
                uint64_t mac;
                int64_t time_ms;
                uint64_t flow_log_bytes;
                uint32_t kind, n_tuples, n_rules, zero;
        } head = { r->mac, r->time.ms, r->flow_log.n, (uint32_t)r->kind, r->n_tuples, n_rules, 0 };
        size_t want = sizeof(head) + r->flow_log.n;
        char *out;

        for (i = first_rule; i < d->b->n_rules; i++)
                want += 16 + rules[i].acl.n + rules[i].name.n;
        if (want > d->text.cap) {
                out = sw_realloc_array(d->text.p, want * 2, 1);
                if (!out)
                        return false;
                d->text.p = out;
                d->text.cap = want * 2;
        }
        out = d->text.p;
        memcpy(out, &head, sizeof(head));
        out = record_put_folded(out + sizeof(head), r->flow_log);
        for (i = first_rule; i < d->b->n_rules; i++) {
                uint64_t bytes[2] = { rules[i].acl.n, rules[i].name.n };

                memcpy(out, bytes, sizeof(bytes));
                out = record_put_folded(out + sizeof(bytes), rules[i].acl);
                out = record_put_folded(out, rules[i].name);
        }
        sw_fingerprint_put(d->fingerprint, d->text.p, want);
        return true;
}

void sw__record_finish(struct sw_decoder *d, const struct sw_record *r, struct sw_record_at from)
{
        struct sw_batch *b = d->b;
        uint32_t i;
        struct sw_etime newest = b->newest;
        struct sw_record *kept = sw_batch_add_record(b);

        if (!kept) {
                d->no_memory = true;
                return;
        }
        *kept = *r;
        kept->first_tuple = from.first_tuple;
        kept->n_tuples = b->n_tuples - from.first_tuple;
        sw_fingerprint_reset(d->fingerprint);
        if (!record_put_names(d, kept, from.first_rule)) {
                d->no_memory = true;
                return;
        }
        if (kept->n_tuples)
                sw_fingerprint_put(d->fingerprint, b->tuples + from.first_tuple, kept->n_tuples * sizeof(*b->tuples));
        kept->fingerprint = sw_fingerprint_get(d->fingerprint);
        for (i = from.first_tuple; i < b->n_tuples; i++) {
                b->tuples[i].rule += from.first_rule;
                newest = sw_etime_max(newest, b->tuples[i].time);
        }
        b->newest = newest;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Samples of what comes in and what goes out; the rows are in daemon_metrics.c. */
#include "conf_outputs.h"
#include "daemon_metrics.h"

#include <stdio.h>

/* ---- sources ---- */

static void source_samples(const struct metric_look *l, bool kafka_only,
        bool (*sample)(const struct metric_look *l, const struct sw__sight_source *k, int64_t *ret), bool milli)
{
        uint32_t i;

        for (i = 0; i < l->s->n_sources; i++) {
                const struct sw__sight_source *k = &l->s->sources[i];
                const struct sw_metric_label labels[] = { { "source", sw_str_of(k->conf->name) },
                        { "topic", sw_str_of(k->stats.topic) } };
                unsigned n = kafka_only ? 2 : 1;
                int64_t v;

                if ((kafka_only && k->conf->kind == SW_SOURCE_FILE) || !sample(l, k, &v))
                        continue;
                if (milli)
                        sw_metrics_milli(l->out, l->name, labels, n, v);
                else
                        sw_metrics_u64(l->out, l->name, labels, n, (uint64_t)v);
        }
}

/* METRIC_SOURCE(name, value): a sample for each source */
#define METRIC_SOURCE(id, value)                                                                                       \
        static bool sample_##id(const struct metric_look *l, const struct sw__sight_source *k, int64_t *ret)           \
        {                                                                                                              \
                (void)l;                                                                                               \
                *ret = (int64_t)(value);                                                                               \
                return true;                                                                                           \
        }
METRIC_SOURCE(up, !k->stats.failing)
METRIC_SOURCE(messages, k->stats.messages)
METRIC_SOURCE(bytes, k->stats.bytes)
METRIC_SOURCE(records, k->count.records)
METRIC_SOURCE(bad, k->count.bad)
METRIC_SOURCE(gaps, k->stats.gaps)
METRIC_SOURCE(errors, k->stats.n_errors)
METRIC_SOURCE(partitions, k->stats.n_partitions)
METRIC_SOURCE(at_end, k->stats.n_at_end)
METRIC_SOURCE(left_behind, k->n_left_behind)
METRIC_SOURCE(throttled, k->kafka ? sw_source_kafka_throttled_ms(k->kafka) : 0)
#undef METRIC_SOURCE

static bool sample_newest(const struct metric_look *l, const struct sw__sight_source *k, int64_t *ret)
{
        (void)l;
        *ret = k->count.newest.ms;
        return !sw_etime_is_none(k->count.newest);
}

static bool sample_behind(const struct metric_look *l, const struct sw__sight_source *k, int64_t *ret)
{
        if (sw_etime_is_none(k->count.newest))
                return false;
        *ret = l->s->now.ms > k->count.newest.ms ? l->s->now.ms - k->count.newest.ms : 0;
        return true;
}

/* METRIC_SOURCES(name, kafka only, milliseconds): the row's function */
#define METRIC_SOURCES(id, name, kafka, milli)                                                                         \
        void sw__metric_##id(const struct metric_look *l)                                                              \
        {                                                                                                              \
                source_samples(l, kafka, sample_##name, milli);                                                        \
        }
METRIC_SOURCES(source_up, up, false, false)
METRIC_SOURCES(source_messages, messages, false, false)
METRIC_SOURCES(source_bytes, bytes, false, false)
METRIC_SOURCES(source_records, records, false, false)
METRIC_SOURCES(source_bad, bad, false, false)
METRIC_SOURCES(source_gaps, gaps, false, false)
METRIC_SOURCES(source_errors, errors, false, false)
METRIC_SOURCES(source_partitions, partitions, false, false)
METRIC_SOURCES(source_at_end, at_end, false, false)
METRIC_SOURCES(source_left_behind, left_behind, false, false)
METRIC_SOURCES(source_newest, newest, false, true)
METRIC_SOURCES(source_behind, behind, false, true)
METRIC_SOURCES(kafka_messages, messages, true, false)
METRIC_SOURCES(kafka_bytes, bytes, true, false)
METRIC_SOURCES(kafka_lag_seconds, behind, true, true)
METRIC_SOURCES(kafka_throttle, throttled, true, true)
#undef METRIC_SOURCES

struct metric_part {
        const struct metric_look *l;
        const struct sw__sight_source *k;
};

static void lag_sample(void *ctx, int32_t partition, int64_t lag)
{
        const struct metric_part *p = ctx;
        char number[16];
        const struct sw_metric_label labels[] = { { "source", sw_str_of(p->k->conf->name) },
                { "topic", sw_str_of(p->k->stats.topic) },
                { "partition", { number, (size_t)snprintf(number, sizeof(number), "%d", partition) } } };

        sw_metrics_u64(p->l->out, p->l->name, labels, 3, (uint64_t)lag);
}

void sw__metric_kafka_lag(const struct metric_look *l)
{
        uint32_t i;

        for (i = 0; i < l->s->n_sources; i++) {
                struct metric_part p = { l, &l->s->sources[i] };

                if (p.k->kafka)
                        sw_source_kafka_lags(p.k->kafka, lag_sample, &p);
        }
}

static void error_sample(void *ctx, const char *code, uint64_t n)
{
        const struct metric_part *p = ctx;
        const struct sw_metric_label labels[] = { { "source", sw_str_of(p->k->conf->name) },
                { "code", sw_str_of(code) } };

        sw_metrics_u64(p->l->out, p->l->name, labels, 2, n);
}

void sw__metric_kafka_errors(const struct metric_look *l)
{
        uint32_t i;

        for (i = 0; i < l->s->n_sources; i++) {
                struct metric_part p = { l, &l->s->sources[i] };

                if (p.k->kafka)
                        sw_source_kafka_errors(p.k->kafka, error_sample, &p);
        }
}

/* ---- the outbox and the outputs ---- */

static void spool_rows_sample(void *ctx, const char *name, const struct sw_outbox_sink_stats *s)
{
        sw__metric_put_label(ctx, "sink", name, s->rows);
}

static void spool_bytes_sample(void *ctx, const char *name, const struct sw_outbox_sink_stats *s)
{
        sw__metric_put_label(ctx, "sink", name, s->bytes);
}

static void spool_given_up_sample(void *ctx, const char *name, const struct sw_outbox_sink_stats *s)
{
        sw__metric_put_label(ctx, "sink", name, s->given_up);
}

static void spool_oldest_sample(void *ctx, const char *name, const struct sw_outbox_sink_stats *s)
{
        const struct metric_look *l = ctx;
        const struct sw_metric_label labels[] = { { "sink", sw_str_of(name) } };
        bool waits = s->rows > 0 && !sw_etime_is_none(s->oldest) && l->s->now.ms > s->oldest.ms;

        sw_metrics_milli(l->out, l->name, labels, 1, waits ? l->s->now.ms - s->oldest.ms : 0);
}

/* METRIC_SPOOL(name): a sample for each sink of the outbox, which does not wait for the disk */
#define METRIC_SPOOL(id)                                                                                               \
        void sw__metric_spool_##id(const struct metric_look *l)                                                        \
        {                                                                                                              \
                struct metric_look copy = *l;                                                                          \
                                                                                                                       \
                sw_outbox_each_sink(l->d->outbox, spool_##id##_sample, &copy);                                         \
        }
METRIC_SPOOL(rows)
METRIC_SPOOL(bytes)
METRIC_SPOOL(given_up)
METRIC_SPOOL(oldest)
#undef METRIC_SPOOL

void sw__metric_spool_limit(const struct metric_look *l)
{
        uint32_t i;

        for (i = 0; i < sw_outputs_n(l->d->outputs); i++) {
                const struct sw_conf_output *o = sw_outputs_row(l->d->outputs, i);

                sw__metric_put_label(l, "sink", o->name, o->queue);
        }
}

/* METRIC_OUTPUT(name, value): a sample for each output */
#define METRIC_OUTPUT(id, value)                                                                                       \
        void sw__metric_sink_##id(const struct metric_look *l)                                                         \
        {                                                                                                              \
                uint32_t i;                                                                                            \
                                                                                                                       \
                for (i = 0; i < sw_outputs_n(l->d->outputs); i++) {                                                    \
                        struct sw_courier_stats k = sw_outputs_stats(l->d->outputs, i);                                \
                                                                                                                       \
                        sw__metric_put_label(l, "sink", sw_outputs_row(l->d->outputs, i)->name, value);                \
                }                                                                                                      \
        }
METRIC_OUTPUT(up, k.failing_since_ms == 0)
METRIC_OUTPUT(rows, k.rows)
METRIC_OUTPUT(rejected, k.rejected)
METRIC_OUTPUT(bytes, k.bytes)
#undef METRIC_OUTPUT

void sw__metric_sink_retries(const struct metric_look *l)
{
        uint32_t i, k;

        for (i = 0; i < sw_outputs_n(l->d->outputs); i++) {
                const struct sw_courier_stats s = sw_outputs_stats(l->d->outputs, i);

                for (k = 0; k < SW_COURIER_N_CAUSES; k++) {
                        const struct sw_metric_label labels[] = {
                                { "sink", sw_str_of(sw_outputs_row(l->d->outputs, i)->name) },
                                { "reason", sw_str_of(sw_courier_causes[k]) }
                        };

                        sw_metrics_u64(l->out, l->name, labels, 2, s.retries_by[k]);
                }
        }
}

/* Requests by the answer's status; those that are under way are not among them. */
void sw__metric_sink_requests(const struct metric_look *l)
{
        uint32_t i, k;

        for (i = 0; i < sw_outputs_n(l->d->outputs); i++) {
                struct sw_courier_stats s = sw_outputs_stats(l->d->outputs, i);

                for (k = 0; k < s.n_codes; k++) {
                        const int code = s.codes[k].status;
                        char status[16] = "none";
                        struct sw_metric_label labels[] = {
                                { "sink", sw_str_of(sw_outputs_row(l->d->outputs, i)->name) }, { "code", SW_STR_NULL }
                        };

                        if (code > 0)
                                (void)snprintf(status, sizeof(status), "%d", code);
                        labels[1].value = code < 0 ? SW_STR("other") : sw_str_of(status);
                        sw_metrics_u64(l->out, l->name, labels, 2, s.codes[k].n);
                }
        }
}

void sw__metric_sink_duration(const struct metric_look *l)
{
        uint32_t i;

        for (i = 0; i < sw_outputs_n(l->d->outputs); i++) {
                const struct sw_courier_stats s = sw_outputs_stats(l->d->outputs, i);
                const struct sw_metric_label label = { "sink", sw_str_of(sw_outputs_row(l->d->outputs, i)->name) };

                sw_metrics_histogram(l->out, l->name,
                        &(const struct sw_metric_histogram){ .bounds_ms = sw_courier_durations_ms,
                                .counts = s.durations,
                                .n_bounds = SW_COURIER_DURATIONS,
                                .sum_ms = s.durations_ms,
                                .labels = &label,
                                .n_labels = 1 });
        }
}

void sw__metric_sink_payload(const struct metric_look *l)
{
        uint32_t i;

        for (i = 0; i < sw_outputs_n(l->d->outputs); i++) {
                const struct sw_courier_stats s = sw_outputs_stats(l->d->outputs, i);
                const struct sw_metric_label label = { "sink", sw_str_of(sw_outputs_row(l->d->outputs, i)->name) };

                sw_metrics_histogram(l->out, l->name,
                        &(const struct sw_metric_histogram){ .bounds_ms = sw_courier_sizes,
                                .counts = s.sizes,
                                .n_bounds = SW_COURIER_SIZES,
                                .sum_ms = (int64_t)s.bytes,
                                .labels = &label,
                                .n_labels = 1,
                                .whole = true });
        }
}

void sw__metric_token_expiry(const struct metric_look *l)
{
        uint32_t i;

        for (i = 0; i < l->s->n_sources; i++) {
                const struct sw__sight_source *k = &l->s->sources[i];
                const struct sw_metric_label label = { "source", sw_str_of(k->conf->name) };
                struct sw_wall expires = { k->kafka ? sw_source_kafka_token_expires(k->kafka).ms : 0 };

                if (expires.ms > 0)
                        sw_metrics_milli(l->out, l->name, &label, 1, expires.ms);
        }
        for (i = 0; i < sw_outputs_n(l->d->outputs); i++) {
                const struct sw_metric_label label = { "sink", sw_str_of(sw_outputs_row(l->d->outputs, i)->name) };
                struct sw_wall expires = sw_outputs_token_expires(l->d->outputs, i);

                if (expires.ms > 0)
                        sw_metrics_milli(l->out, l->name, &label, 1, expires.ms);
        }
}

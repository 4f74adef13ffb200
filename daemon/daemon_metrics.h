/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Shared by daemon_metrics.c (the table) and daemon_metrics_io.c (samples of sources, the outbox and the outputs). */
#include "daemon_sight.h"
#include "metrics/text.h"

struct metric_look {
        const struct sw_daemon *d;
        const struct sw__sight *s;
        struct sw_buf *out;
        const char *name; /* of the row being written */
};

void sw__metric_put(const struct metric_look *l, uint64_t v);
void sw__metric_put_ms(const struct metric_look *l, int64_t ms);
void sw__metric_put_label(const struct metric_look *l, const char *label, const char *value, uint64_t v);

/* Each writes every sample of its row. */
#define SW__METRICS_IO(X)                                                                                              \
        X(source_up)                                                                                                   \
        X(source_messages)                                                                                             \
        X(source_bytes)                                                                                                \
        X(source_records)                                                                                              \
        X(source_bad)                                                                                                  \
        X(source_gaps)                                                                                                 \
        X(source_errors)                                                                                               \
        X(source_partitions)                                                                                           \
        X(source_at_end)                                                                                               \
        X(source_left_behind)                                                                                          \
        X(source_newest)                                                                                               \
        X(source_behind)                                                                                               \
        X(kafka_messages)                                                                                              \
        X(kafka_bytes)                                                                                                 \
        X(kafka_lag_seconds)                                                                                           \
        X(kafka_throttle)                                                                                              \
        X(kafka_lag)                                                                                                   \
        X(kafka_errors)                                                                                                \
        X(spool_rows)                                                                                                  \
        X(spool_bytes)                                                                                                 \
        X(spool_oldest)                                                                                                \
        X(spool_given_up)                                                                                              \
        X(spool_limit)                                                                                                 \
        X(sink_up)                                                                                                     \
        X(sink_requests)                                                                                               \
        X(sink_retries)                                                                                                \
        X(sink_rows)                                                                                                   \
        X(sink_rejected)                                                                                               \
        X(sink_bytes)                                                                                                  \
        X(sink_duration)                                                                                               \
        X(sink_payload)                                                                                                \
        X(token_expiry)
#define SW__METRICS_IO_DECLARE(id) void sw__metric_##id(const struct metric_look *l);
SW__METRICS_IO(SW__METRICS_IO_DECLARE)
#undef SW__METRICS_IO_DECLARE

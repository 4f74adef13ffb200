/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The text format of Prometheus (exposition format 0.0.4): one HELP and TYPE per name, then its samples. Durations go
 * in as milliseconds and come out as seconds, exactly. Values of labels are escaped, cut at SW_METRIC_LABEL_MAX bytes,
 * and made valid UTF-8: one bad byte would make a scraper refuse everything. */
#include "base/str.h"

enum sw_metric_type { SW_METRIC_COUNTER, SW_METRIC_GAUGE, SW_METRIC_HISTOGRAM };

#define SW_METRIC_LABEL_MAX ((size_t)128)
struct sw_metric_label {
        const char *name;
        struct sw_str value;
};

void sw_metrics_head(struct sw_buf *out, const char *name, enum sw_metric_type type, const char *help);
void sw_metrics_u64(
        struct sw_buf *out, const char *name, const struct sw_metric_label *labels, unsigned n_labels, uint64_t v);
/* v / 1000 */
void sw_metrics_milli(
        struct sw_buf *out, const char *name, const struct sw_metric_label *labels, unsigned n_labels, int64_t v);

struct sw_metric_histogram {
        const int64_t *bounds_ms; /* ascending upper bounds, inclusive */
        const uint64_t *counts;   /* n_bounds + 1, each its own: the last one is beyond all bounds */
        unsigned n_bounds;
        int64_t sum_ms;
        const struct sw_metric_label *labels; /* may be NULL */
        unsigned n_labels;
        bool whole; /* bounds and sum are not milliseconds but come out as they are */
};
void sw_metrics_histogram(struct sw_buf *out, const char *name, const struct sw_metric_histogram *h);

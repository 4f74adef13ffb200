/* SPDX-License-Identifier: Apache-2.0 */
#include "metrics/text.h"

#include <stdio.h>

void sw_metrics_head(struct sw_buf *out, const char *name, enum sw_metric_type type, const char *help)
{
        static const char *const types[] = { "counter", "gauge", "histogram" };
        const char *p;

        sw_buf_printf(out, "# HELP %s ", name);
        for (p = help; *p; p++)
                if (*p == '\\')
                        sw_buf_puts(out, "\\\\");
                else if (*p == '\n')
                        sw_buf_puts(out, "\\n");
                else
                        sw_buf_putc(out, *p);
        sw_buf_printf(out, "\n# TYPE %s %s\n", name, types[type]);
}

/* Length of the valid UTF-8 sequence at p (RFC 3629), 0 if there is none. */
static size_t text_utf8(const unsigned char *p, size_t n)
{
        size_t len = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0, i;

        if (len == 0 || len > n)
                return 0;
        for (i = 1; i < len; i++)
                if ((p[i] & 0xc0) != 0x80)
                        return 0;
        if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf0 && p[1] < 0x90) ||
                (p[0] == 0xf4 && p[1] > 0x8f))
                return 0;
        return len;
}

static void text_value(struct sw_buf *out, struct sw_str s)
{
        size_t i, len;

        for (i = 0; i < s.n; i += len ? len : 1) {
                len = text_utf8((const unsigned char *)s.p + i, s.n - i);
                if (i + (len ? len : 1) > SW_METRIC_LABEL_MAX)
                        break;
                if (len == 0)
                        sw_buf_puts(out, "\xef\xbf\xbd");
                else if (s.p[i] == '\\' || s.p[i] == '"')
                        sw_buf_printf(out, "\\%c", s.p[i]);
                else if (s.p[i] == '\n')
                        sw_buf_puts(out, "\\n");
                else
                        sw_buf_put(out, s.p + i, len);
        }
}

/* Without braces. */
static void text_pairs(struct sw_buf *out, const struct sw_metric_label *labels, unsigned n)
{
        unsigned i;

        for (i = 0; i < n; i++) {
                sw_buf_printf(out, "%s%s=\"", i ? "," : "", labels[i].name);
                text_value(out, labels[i].value);
                sw_buf_putc(out, '"');
        }
}

static void text_labels(struct sw_buf *out, const struct sw_metric_label *labels, unsigned n)
{
        if (n == 0)
                return;
        sw_buf_putc(out, '{');
        text_pairs(out, labels, n);
        sw_buf_putc(out, '}');
}

void sw_metrics_u64(
        struct sw_buf *out, const char *name, const struct sw_metric_label *labels, unsigned n_labels, uint64_t v)
{
        sw_buf_puts(out, name);
        text_labels(out, labels, n_labels);
        sw_buf_putc(out, ' ');
        sw_buf_u64(out, v);
        sw_buf_putc(out, '\n');
}

static void text_milli(struct sw_buf *out, int64_t v)
{
        uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;

        sw_buf_printf(out, "%s%llu", v < 0 ? "-" : "", (unsigned long long)(u / 1000));
        if (u % 1000)
                sw_buf_printf(out, ".%03u", (unsigned)(u % 1000));
}

void sw_metrics_milli(
        struct sw_buf *out, const char *name, const struct sw_metric_label *labels, unsigned n_labels, int64_t v)
{
        sw_buf_puts(out, name);
        text_labels(out, labels, n_labels);
        sw_buf_putc(out, ' ');
        text_milli(out, v);
        sw_buf_putc(out, '\n');
}

static void text_bound(struct sw_buf *out, const struct sw_metric_histogram *h, int64_t v)
{
        if (h->whole)
                sw_buf_printf(out, "%lld", (long long)v);
        else
                text_milli(out, v);
}

void sw_metrics_histogram(struct sw_buf *out, const char *name, const struct sw_metric_histogram *h)
{
        uint64_t sum = 0;
        unsigned i;

        for (i = 0; i <= h->n_bounds; i++) {
                sum += h->counts[i];
                sw_buf_printf(out, "%s_bucket{", name);
                text_pairs(out, h->labels, h->n_labels);
                sw_buf_puts(out, h->n_labels ? ",le=\"" : "le=\"");
                if (i < h->n_bounds)
                        text_bound(out, h, h->bounds_ms[i]);
                else
                        sw_buf_puts(out, "+Inf");
                sw_buf_printf(out, "\"} %llu\n", (unsigned long long)sum);
        }
        sw_buf_printf(out, "%s_sum", name);
        text_labels(out, h->labels, h->n_labels);
        sw_buf_putc(out, ' ');
        text_bound(out, h, h->sum_ms);
        sw_buf_printf(out, "\n%s_count", name);
        text_labels(out, h->labels, h->n_labels);
        sw_buf_printf(out, " %llu\n", (unsigned long long)sum);
}

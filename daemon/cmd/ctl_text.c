/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/ctl_text.h"

#include "base/time.h"
#include "term.h"

#include <string.h>

void sw_ctl_duration(struct sw_buf *out, int64_t ms)
{
        if (ms < 0)
                sw_buf_puts(out, "unknown");
        else if (ms < 10 * SW_SECOND)
                sw_buf_printf(out, "%lld.%lld s", (long long)(ms / SW_SECOND), (long long)(ms % SW_SECOND / 100));
        else if (ms < SW_MINUTE)
                sw_buf_printf(out, "%lld s", (long long)(ms / SW_SECOND));
        else if (ms < SW_HOUR)
                sw_buf_printf(
                        out, "%lld m %lld s", (long long)(ms / SW_MINUTE), (long long)(ms % SW_MINUTE / SW_SECOND));
        else if (ms < SW_DAY)
                sw_buf_printf(out, "%lld h %lld m", (long long)(ms / SW_HOUR), (long long)(ms % SW_HOUR / SW_MINUTE));
        else
                sw_buf_printf(out, "%lld d %lld h", (long long)(ms / SW_DAY), (long long)(ms % SW_DAY / SW_HOUR));
}

void sw_ctl_bytes(struct sw_buf *out, int64_t bytes)
{
        static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
        int64_t tenths = bytes * 10;
        unsigned unit = 0;

        if (bytes < 0) {
                sw_buf_puts(out, "unknown");
                return;
        }
        if (bytes > INT64_MAX / 10)
                tenths = INT64_MAX;
        for (; tenths >= 10240 && unit < 4; unit++)
                tenths /= 1024;
        if (unit == 0)
                sw_buf_printf(out, "%lld B", (long long)bytes);
        else
                sw_buf_printf(out, "%lld.%lld %s", (long long)(tenths / 10), (long long)(tenths % 10), units[unit]);
}

void sw_ctl_number(struct sw_buf *out, const struct sw_json *j)
{
        int64_t v;

        if (sw_json_i64(j, &v))
                sw_buf_printf(out, "%lld", (long long)v);
        else
                sw_buf_putc(out, '-');
}

int64_t sw_ctl_int(const struct sw_json *object, const char *key, int64_t none)
{
        int64_t v;

        return sw_json_i64(sw_json_get(object, key), &v) ? v : none;
}

void sw_ctl_put(struct sw_buf *out, const struct sw_json *object, const char *key, const char *none)
{
        struct sw_str s = sw_json_str(sw_json_get(object, key));

        if (s.p && s.n)
                sw_term_put(out, s);
        else
                sw_buf_puts(out, none);
}

void sw_ctl_column(struct sw_buf *out, size_t from, size_t column)
{
        size_t n = 0, i;

        for (i = from; i < out->n; i++)
                n += ((unsigned char)out->p[i] & 0xc0) != 0x80;
        do
                sw_buf_putc(out, ' ');
        while (++n < column && !out->failed);
}

static void text_source(struct sw_buf *out, const struct sw_json *s)
{
        int64_t bytes = sw_ctl_int(s, "lag_bytes", -1), lag = sw_ctl_int(s, "lag_messages", -1),
                behind = sw_ctl_int(s, "behind_ms", -1), left = sw_ctl_int(s, "partitions_left_behind", 0);
        size_t from = out->n;

        sw_buf_puts(out, "  ");
        sw_ctl_put(out, s, "name", "?");
        sw_ctl_column(out, from, 18);
        sw_ctl_put(out, s, "state", "?");
        sw_ctl_column(out, from, 32);
        sw_ctl_put(out, s, "last_record", "never");
        sw_ctl_column(out, from, 58);
        if (bytes >= 0)
                sw_ctl_bytes(out, bytes);
        else if (lag >= 0)
                sw_buf_printf(out, "%lld", (long long)lag);
        else
                sw_buf_puts(out, "unknown");
        sw_ctl_column(out, from, 70);
        if (behind >= 0)
                sw_ctl_duration(out, behind);
        else
                sw_buf_putc(out, '-');
        sw_ctl_column(out, from, 82);
        sw_ctl_number(out, sw_json_get(s, "partitions_at_end"));
        sw_buf_putc(out, '/');
        sw_ctl_number(out, sw_json_get(s, "partitions"));
        if (left > 0)
                sw_buf_printf(out, " (%lld left)", (long long)left);
        sw_ctl_column(out, from, 94);
        sw_ctl_number(out, sw_json_get(s, "records_per_s"));
        sw_ctl_column(out, from, 104);
        sw_ctl_number(out, sw_json_get(s, "errors"));
        sw_buf_putc(out, '\n');
}

void sw_ctl_sources(struct sw_buf *out, const struct sw_json *result)
{
        const struct sw_json *s;

        sw_buf_puts(out,
                "  SOURCE          STATE         LAST RECORD               LAG         BEHIND      AT END      "
                "RECORDS/S ERRORS\n");
        for (s = sw_json_first(sw_json_get(result, "sources")); s; s = sw_json_next(s))
                text_source(out, s);
}

static void text_list(struct sw_buf *out, const struct sw_json *list, const char *none)
{
        const struct sw_json *x = sw_json_first(list);

        if (!x)
                sw_buf_puts(out, none);
        for (; x; x = sw_json_next(x)) {
                sw_term_put(out, sw_json_str(x));
                if (sw_json_next(x))
                        sw_buf_puts(out, ", ");
        }
}

static void text_learning(struct sw_buf *out, const struct sw_json *l)
{
        int64_t n = sw_ctl_int(l, "segments", 0);

        sw_buf_puts(out, "  learning   ");
        if (n > 0) {
                sw_buf_printf(out, "%lld segment%s until ", (long long)n, n == 1 ? "" : "s");
                sw_ctl_put(out, l, "until", "?");
                sw_buf_puts(out, "; silent there: ");
                text_list(out, sw_json_get(l, "silent"), "nobody");
        } else {
                sw_buf_puts(out, "no segment");
        }
        sw_buf_putc(out, '\n');
}

static void text_sinks(struct sw_buf *out, const struct sw_json *sinks)
{
        const struct sw_json *s;

        sw_buf_puts(out, "  sinks      ");
        for (s = sw_json_first(sinks); s; s = sw_json_next(s)) {
                sw_ctl_put(out, s, "name", "?");
                sw_buf_putc(out, ' ');
                sw_ctl_put(out, s, "state", "?");
                if (sw_ctl_int(s, "waiting_rows", 0) > 0)
                        sw_buf_printf(out, " (%lld wait)", (long long)sw_ctl_int(s, "waiting_rows", 0));
                if (sw_json_next(s))
                        sw_buf_puts(out, ", ");
        }
        sw_buf_putc(out, '\n');
        for (s = sw_json_first(sinks); s; s = sw_json_next(s)) {
                if (!sw_json_get(s, "reason"))
                        continue;
                sw_buf_puts(out, "  ! ");
                sw_ctl_put(out, s, "name", "?");
                sw_buf_puts(out, " takes nothing since ");
                sw_ctl_duration(out, sw_ctl_int(s, "failing_ms", -1));
                sw_buf_puts(out, ": ");
                sw_ctl_put(out, s, "reason", "?");
                sw_buf_putc(out, '\n');
        }
}

static void text_disk(struct sw_buf *out, const struct sw_json *d)
{
        sw_buf_puts(out, "  disk       state ");
        sw_ctl_bytes(out, sw_ctl_int(d, "state_free_bytes", -1));
        sw_buf_puts(out, " free of ");
        sw_ctl_bytes(out, sw_ctl_int(d, "state_size_bytes", -1));
        sw_buf_puts(out, ", alerts ");
        sw_ctl_bytes(out, sw_ctl_int(d, "alerts_free_bytes", -1));
        sw_buf_puts(out, " free of ");
        sw_ctl_bytes(out, sw_ctl_int(d, "alerts_size_bytes", -1));
        sw_buf_putc(out, '\n');
}

static void text_memory(struct sw_buf *out, const struct sw_json *m)
{
        sw_buf_puts(out, "  memory     ");
        sw_ctl_bytes(out, sw_ctl_int(m, "used_bytes", -1));
        sw_buf_puts(out, " of ");
        sw_ctl_bytes(out, sw_ctl_int(m, "limit_bytes", -1));
        sw_buf_puts(out, "; entries lost from: ");
        text_list(out, sw_json_get(m, "evicting"), "no table");
        sw_buf_putc(out, '\n');
}

static void text_tail(struct sw_buf *out, const struct sw_json *r)
{
        const struct sw_json *f = sw_json_get(r, "findings"), *c = sw_json_get(r, "config"),
                             *s = sw_json_get(r, "snapshot");

        sw_buf_printf(out, "  findings   %lld, %lld in the last hour; %lld incidents open; %lld quarantined\n",
                (long long)sw_ctl_int(f, "total", 0), (long long)sw_ctl_int(f, "last_hour", 0),
                (long long)sw_ctl_int(f, "incidents_open", 0), (long long)sw_ctl_int(f, "quarantined", 0));
        sw_buf_puts(out, "  config     ");
        sw_ctl_put(out, c, "file", "defaults");
        sw_buf_puts(out, ", in force since ");
        sw_ctl_put(out, c, "in_force_since", "?");
        if (sw_json_kind(sw_json_get(c, "last_reload_ok")) != SW_JSON_TRUE)
                sw_buf_printf(out, "; THE LAST RELOAD FAILED with %lld errors",
                        (long long)sw_ctl_int(c, "last_reload_errors", 0));
        if (sw_json_str(sw_json_get(c, "needs_restart")).n > 0) {
                sw_buf_puts(out, "; a restart is needed for ");
                sw_ctl_put(out, c, "needs_restart", "");
        }
        sw_buf_puts(out, "\n  snapshot   ");
        if (sw_ctl_int(s, "age_ms", -1) < 0)
                sw_buf_puts(out, "none yet");
        else {
                sw_ctl_duration(out, sw_ctl_int(s, "age_ms", -1));
                sw_buf_puts(out, " old, ");
                sw_ctl_bytes(out, sw_ctl_int(s, "bytes", -1));
        }
        sw_buf_putc(out, '\n');
}

void sw_ctl_recent(struct sw_buf *out, const struct sw_json *result, unsigned max)
{
        const struct sw_json *r = sw_json_first(sw_json_get(sw_json_get(result, "findings"), "recent"));

        if (r)
                sw_buf_puts(out, "  NEWEST FINDINGS\n");
        for (; r && max > 0; r = sw_json_next(r), max--) {
                size_t from = out->n;

                sw_buf_puts(out, "  ");
                sw_ctl_put(out, r, "time", "?");
                sw_ctl_column(out, from, 28);
                sw_ctl_put(out, r, "severity", "?");
                sw_ctl_column(out, from, 42);
                sw_ctl_put(out, r, "activity", "?");
                sw_ctl_column(out, from, 50);
                sw_ctl_put(out, r, "message", "?");
                sw_buf_putc(out, '\n');
        }
}

static void text_head(struct sw_buf *out, const struct sw_json *r)
{
        const struct sw_json *why;

        sw_buf_puts(out, "segwatch ");
        sw_ctl_put(out, r, "version", "?");
        sw_buf_printf(out, ", pid %lld, up ", (long long)sw_ctl_int(r, "pid", 0));
        sw_ctl_duration(out, sw_ctl_int(r, "uptime_ms", -1));
        if (sw_json_get(r, "state")) {
                sw_buf_puts(out, ": ");
                sw_ctl_put(out, r, "state", "?");
        }
        sw_buf_putc(out, '\n');
        for (why = sw_json_first(sw_json_get(r, "reasons")); why; why = sw_json_next(why)) {
                sw_buf_puts(out, "  ! ");
                sw_term_put(out, sw_json_str(why));
                sw_buf_putc(out, '\n');
        }
        sw_buf_puts(out, "  watermark  ");
        sw_ctl_put(out, r, "watermark", "none yet");
        sw_buf_putc(out, '\n');
}

void sw_ctl_status(struct sw_buf *out, const struct sw_json *r)
{
        text_head(out, r);
        sw_ctl_sources(out, r);
        text_learning(out, sw_json_get(r, "learning"));
        text_sinks(out, sw_json_get(r, "sinks"));
        text_disk(out, sw_json_get(r, "disk"));
        text_memory(out, sw_json_get(r, "memory"));
        text_tail(out, r);
        sw_ctl_recent(out, r, 5);
}

static void text_tables(struct sw_buf *out, const struct sw_json *tables)
{
        const struct sw_json *t;

        sw_buf_puts(out, "  TABLE                    ENTRIES     BYTES       LIMIT       EVICTED\n");
        for (t = sw_json_first(tables); t; t = sw_json_next(t)) {
                size_t from = out->n;

                sw_buf_puts(out, "  ");
                sw_ctl_put(out, t, "name", "?");
                sw_ctl_column(out, from, 27);
                sw_ctl_number(out, sw_json_get(t, "entries"));
                sw_ctl_column(out, from, 39);
                sw_ctl_bytes(out, sw_ctl_int(t, "bytes", -1));
                sw_ctl_column(out, from, 51);
                sw_ctl_bytes(out, sw_ctl_int(t, "limit_bytes", -1));
                sw_ctl_column(out, from, 63);
                sw_ctl_number(out, sw_json_get(t, "evicted"));
                sw_buf_putc(out, '\n');
        }
}

void sw_ctl_pairs(struct sw_buf *out, const struct sw_json *result, unsigned max)
{
        const struct sw_json *p = sw_json_first(sw_json_get(result, "top_pairs"));

        sw_buf_puts(out, "  FROM                      TO                        ALLOWED     DENIED      BYTES       "
                         "HOSTS\n");
        for (; p && max > 0; p = sw_json_next(p), max--) {
                size_t from = out->n;

                sw_buf_puts(out, "  ");
                sw_ctl_put(out, p, "from", "?");
                sw_ctl_column(out, from, 28);
                sw_ctl_put(out, p, "to", "?");
                sw_ctl_column(out, from, 54);
                sw_ctl_number(out, sw_json_get(p, "flows_allowed"));
                sw_ctl_column(out, from, 66);
                sw_ctl_number(out, sw_json_get(p, "flows_denied"));
                sw_ctl_column(out, from, 78);
                sw_ctl_bytes(out, sw_ctl_int(p, "bytes", -1));
                sw_ctl_column(out, from, 90);
                sw_ctl_number(out, sw_json_get(p, "sources"));
                sw_buf_puts(out, " > ");
                sw_ctl_number(out, sw_json_get(p, "destinations"));
                sw_buf_putc(out, '\n');
        }
}

void sw_ctl_stats(struct sw_buf *out, const struct sw_json *r)
{
        const struct sw_json *e;

        text_head(out, r);
        sw_ctl_sources(out, r);
        for (e = sw_json_first(sw_json_get(r, "engine")); e; e = sw_json_next(e)) {
                size_t from = out->n;

                sw_buf_puts(out, "  ");
                sw_term_put(out, sw_json_key(e));
                sw_ctl_column(out, from, 27);
                sw_ctl_number(out, e);
                sw_buf_putc(out, '\n');
        }
        text_tables(out, sw_json_get(r, "tables"));
        sw_ctl_pairs(out, r, 10);
}

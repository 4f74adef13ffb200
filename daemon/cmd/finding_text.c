/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/finding_text.h"

#include "base/json.h"
#include "term.h"

#include <stdio.h>

#define FINDING_TABLE "%-20s  %-8s  %4s  %-6s  %-15s  %-24s  %s"

bool sw_finding_severity(struct sw_str name, enum sw_severity *ret)
{
#define FINDING_SEVERITY(id, text, number)                                                                             \
        if (sw_str_ieq(name, SW_STR(text))) {                                                                          \
                *ret = SW_SEVERITY_##id;                                                                               \
                return true;                                                                                           \
        }
        SW_SEVERITY_MAP(FINDING_SEVERITY)
#undef FINDING_SEVERITY
        *ret = SW_SEVERITY_INFO;
        return sw_str_ieq(name, SW_STR("info"));
}

static bool finding_is(const struct sw_json *j)
{
        int64_t class_uid;

        return sw_json_i64(sw_json_get(j, "class_uid"), &class_uid) && class_uid == 2004;
}

static int64_t finding_i64(const struct sw_json *j, const char *key)
{
        int64_t v = 0;

        (void)sw_json_i64(sw_json_get(j, key), &v);
        return v;
}

/* When the line was decided: an update has the same `time` as its finding's first line. */
static struct sw_etime finding_time(const struct sw_json *j)
{
        struct sw_etime t = { finding_i64(sw_json_get(j, "finding_info"), "modified_time") };

        if (t.ms == 0)
                t.ms = finding_i64(j, "time");
        return t.ms >= SW_ETIME_MIN_MS && t.ms <= SW_ETIME_MAX_MS ? t : (struct sw_etime){ SW_ETIME_MIN_MS };
}

static bool finding_within(const struct sw_json *text, const struct sw_prefix *p)
{
        struct sw_addr a;

        return sw_addr_parse(sw_json_str(text), &a) && sw_prefix_contains(p, &a);
}

static bool finding_has_src(const struct sw_json *j, const struct sw_prefix *p)
{
        const struct sw_json *own = sw_json_get(j, "unmapped"), *i;

        if (finding_within(sw_json_get(own, "actor"), p))
                return true;
        for (i = sw_json_first(sw_json_get(own, "compromised")); i; i = sw_json_next(i))
                if (finding_within(i, p))
                        return true;
        for (i = sw_json_first(sw_json_get(j, "evidences")); i; i = sw_json_next(i))
                if (finding_within(sw_json_get(sw_json_get(i, "src_endpoint"), "ip"), p))
                        return true;
        return false;
}

int sw_finding_match(struct sw_str line, const struct sw_finding_filter *filter)
{
        struct sw_json *j = sw_json_parse(line);
        int r = SW_FINDING_MATCHES;

        if (!finding_is(j))
                r = SW_FINDING_INVALID;
        else if (!sw_etime_is_none(filter->since) && sw_etime_cmp(finding_time(j), filter->since) < 0)
                r = SW_FINDING_NO_MATCH;
        else if (finding_i64(j, "severity_id") < (int64_t)filter->severity)
                r = SW_FINDING_NO_MATCH;
        else if (filter->has_src && !finding_has_src(j, &filter->src))
                r = SW_FINDING_NO_MATCH;
        sw_json_free(j);
        return r;
}

static const char *finding_severity_name(int64_t id)
{
        static const char *const names[] = { "UNKNOWN", "INFO", "LOW", "MEDIUM", "HIGH", "CRITICAL" };

        return id >= 0 && id <= 5 ? names[id] : "OTHER";
}

static const char *finding_severity_color(int64_t id)
{
        static const char *const codes[] = { "", "\x1b[2m", "\x1b[36m", "\x1b[33m", "\x1b[1;31m", "\x1b[1;7;31m" };

        return id >= 0 && id <= 5 ? codes[id] : "";
}

static const char *finding_activity_name(int64_t id)
{
        return id == SW_ACTIVITY_CREATE   ? "new"
               : id == SW_ACTIVITY_UPDATE ? "update"
               : id == SW_ACTIVITY_CLOSE  ? "closed"
                                          : "other";
}

/* "2026-01-31T08:00:00Z": a line needs no milliseconds. */
static void finding_time_text(const struct sw_json *j, char buf[SW_ETIME_TEXT])
{
        struct sw_etime t = finding_time(j);

        t.ms -= t.ms % SW_SECOND;
        sw_etime_format(t, buf);
        memcpy(buf + 19, "Z", 2);
}

static void finding_put(struct sw_buf *out, const struct sw_json *text)
{
        struct sw_str s = sw_json_str(text);

        if (s.p)
                sw_term_put(out, s);
}

static void finding_segments(struct sw_buf *out, const struct sw_json *j)
{
        const struct sw_json *own = sw_json_get(j, "unmapped");
        struct sw_str src = sw_json_str(sw_json_get(own, "segment_src"));
        struct sw_str dst = sw_json_str(sw_json_get(own, "segment_dst"));

        sw_term_put(out, src);
        if (dst.n > 0 && !sw_str_eq(src, dst)) {
                sw_buf_puts(out, " -> ");
                sw_term_put(out, dst);
        }
}

static void finding_techniques(struct sw_buf *out, const struct sw_json *j)
{
        const struct sw_json *i = sw_json_first(sw_json_get(sw_json_get(j, "finding_info"), "attacks"));
        const char *before = " [";

        for (; i; i = sw_json_next(i)) {
                const struct sw_json *id = sw_json_get(sw_json_get(i, "technique"), "uid");

                if (!sw_json_str(id).p)
                        continue;
                sw_buf_puts(out, before);
                finding_put(out, id);
                before = " ";
        }
        if (*before == ' ' && before[1] == '\0')
                sw_buf_putc(out, ']');
}

static void finding_compact(struct sw_buf *out, const struct sw_json *j, bool color)
{
        const struct sw_json *info = sw_json_get(j, "finding_info");
        int64_t severity = finding_i64(j, "severity_id");
        struct sw_str uid = sw_json_str(sw_json_get(info, "uid"));
        char time[SW_ETIME_TEXT];

        finding_time_text(j, time);
        sw_buf_printf(out, "%s %s%-8s%s %3d %-6s ", time, color ? finding_severity_color(severity) : "",
                finding_severity_name(severity), color ? "\x1b[0m" : "", (int)finding_i64(j, "risk_score"),
                finding_activity_name(finding_i64(j, "activity_id")));
        finding_put(out,
                sw_json_str(sw_json_get(j, "message")).n > 0 ? sw_json_get(j, "message") : sw_json_get(info, "title"));
        sw_buf_puts(out, color ? " \x1b[2m(" : " (");
        finding_segments(out, j);
        sw_buf_putc(out, ')');
        finding_techniques(out, j);
        sw_buf_putc(out, ' ');
        uid.n = uid.n > 8 ? 8 : uid.n;
        sw_term_put(out, uid);
        sw_buf_puts(out, color ? "\x1b[0m\n" : "\n");
}

/* A cell: escaped, NUL-terminated. */
static const char *finding_cell(struct sw_buf *b)
{
        sw_buf_putc(b, '\0');
        return b->failed ? "" : b->p;
}

static void finding_table(struct sw_buf *out, const struct sw_json *j, bool color)
{
        struct sw_buf actor = SW_BUF_NULL, segments = SW_BUF_NULL, title = SW_BUF_NULL;
        int64_t severity = finding_i64(j, "severity_id");
        char time[SW_ETIME_TEXT], risk[24];

        finding_time_text(j, time);
        snprintf(risk, sizeof(risk), "%d", (int)finding_i64(j, "risk_score"));
        finding_put(&actor, sw_json_get(sw_json_get(j, "unmapped"), "actor"));
        finding_segments(&segments, j);
        finding_put(&title, sw_json_get(sw_json_get(j, "finding_info"), "title"));
        if (color)
                sw_buf_puts(out, finding_severity_color(severity));
        sw_buf_printf(out, FINDING_TABLE, time, finding_severity_name(severity), risk,
                finding_activity_name(finding_i64(j, "activity_id")), finding_cell(&actor), finding_cell(&segments),
                finding_cell(&title));
        sw_buf_puts(out, color ? "\x1b[0m\n" : "\n");
        sw_buf_deinit(&actor);
        sw_buf_deinit(&segments);
        sw_buf_deinit(&title);
}

void sw_finding_header(struct sw_buf *out, const struct sw_finding_style *style)
{
        if (style->format == SW_FINDING_TABLE)
                sw_buf_printf(out, FINDING_TABLE, "TIME", "SEVERITY", "RISK", "STATE", "ACTOR", "SEGMENTS", "TITLE\n");
}

void sw_finding_line(struct sw_buf *out, struct sw_str line, const struct sw_finding_style *style)
{
        struct sw_json *j;

        if (style->format == SW_FINDING_JSON) {
                if (style->terminal)
                        sw_term_put_json(out, line);
                else
                        sw_buf_put_str(out, line);
                sw_buf_putc(out, '\n');
                return;
        }
        j = sw_json_parse(line);
        if (style->format == SW_FINDING_TABLE)
                finding_table(out, j, style->color);
        else
                finding_compact(out, j, style->color);
        sw_json_free(j);
}

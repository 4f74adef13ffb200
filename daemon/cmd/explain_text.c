/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/explain_text.h"

#include "base/time.h"
#include "cmd/explain_act.h"
#include "term.h"

#include <stdio.h>
#include <string.h>

#define EXPLAIN_MEMBERS 16u  /* of a list */
#define EXPLAIN_EVIDENCE 16u /* lines of evidence */

static void explain_put(struct sw_buf *out, const struct sw_json *j, const char *path)
{
        sw_term_put(out, sw_json_str(sw_json_at(j, path)));
}

static int64_t explain_i64(const struct sw_json *j, const char *path)
{
        int64_t v = 0;

        (void)sw_json_i64(sw_json_at(j, path), &v);
        return v;
}

static void explain_time(struct sw_buf *out, int64_t ms)
{
        char text[SW_ETIME_TEXT];

        if (ms >= SW_ETIME_MIN_MS && ms <= SW_ETIME_MAX_MS)
                sw_buf_puts(out, sw_etime_format((struct sw_etime){ ms - ms % SW_SECOND }, text));
}

static bool explain_same(const struct sw_json *j, const char *path, struct sw_str uid)
{
        struct sw_str s = sw_json_str(sw_json_at(j, path));

        return uid.n && s.n >= uid.n && sw_str_ieq((struct sw_str){ s.p, uid.n }, uid);
}

bool sw_explain_is(const struct sw_json *finding, struct sw_str uid)
{
        return explain_same(finding, "finding_info.uid", uid) || explain_same(finding, "metadata.uid", uid);
}

struct sw_str sw_explain_uid(const struct sw_json *finding)
{
        return sw_json_str(sw_json_at(finding, "finding_info.uid"));
}

/* ---- what happened ---- */

static void explain_list(struct sw_buf *out, const struct sw_json *j, const char *label, const char *path)
{
        const struct sw_json *i = sw_json_first(sw_json_at(j, path));
        unsigned n = 0;

        if (!i)
                return;
        sw_buf_printf(out, "%-13s", label);
        for (; i && n < EXPLAIN_MEMBERS; i = sw_json_next(i), n++) {
                sw_buf_puts(out, n ? ", " : "");
                sw_term_put(out, sw_json_str(i));
        }
        sw_buf_puts(out, i ? ", ...\n" : "\n");
}

static void explain_head(struct sw_buf *out, const struct sw_json *f)
{
        explain_put(out, f, "finding_info.title");
        sw_buf_puts(out, "\n\nFinding      ");
        explain_put(out, f, "finding_info.uid");
        sw_buf_puts(out, " (");
        explain_put(out, f, "activity_name");
        sw_buf_printf(out, ", line %lld)\nSeverity     ", (long long)explain_i64(f, "metadata.sequence"));
        explain_put(out, f, "severity");
        sw_buf_printf(out, ", risk %lld of 100, confidence %lld of 100\nTime         ",
                (long long)explain_i64(f, "risk_score"), (long long)explain_i64(f, "confidence_score"));
        explain_time(out, explain_i64(f, "start_time"));
        sw_buf_puts(out, " to ");
        explain_time(out, explain_i64(f, "end_time"));
        sw_buf_puts(out, "\nActor        ");
        explain_put(out, f, "unmapped.actor");
        sw_buf_puts(out, " in segment ");
        explain_put(out, f, "unmapped.segment_src");
        sw_buf_putc(out, '\n');
        explain_list(out, f, "Compromised", "unmapped.compromised");
        explain_list(out, f, "Targets", "unmapped.targets");
        explain_list(out, f, "Detectors", "unmapped.detectors");
        sw_buf_puts(out, "\nWhat happened, and what is normal there\n  ");
        explain_put(out, f, "message");
        sw_buf_puts(out, "\n\nStep by step\n");
}

static void explain_story(struct sw_buf *out, const struct sw_json *f)
{
        struct sw_str desc = sw_json_str(sw_json_at(f, "finding_info.desc"));

        while (desc.n) {
                const char *end = memchr(desc.p, '\n', desc.n);
                size_t n = end ? (size_t)(end - desc.p) : desc.n;

                sw_buf_puts(out, "  ");
                sw_term_put(out, (struct sw_str){ desc.p, n });
                sw_buf_putc(out, '\n');
                n += end ? 1 : 0;
                desc = (struct sw_str){ desc.p + n, desc.n - n };
        }
}

static void explain_end_point(struct sw_buf *out, const struct sw_json *e, const char *ip, const char *port)
{
        explain_put(out, e, ip);
        sw_buf_printf(out, " port %lld", (long long)explain_i64(e, port));
}

static void explain_evidence_line(struct sw_buf *out, const struct sw_json *e)
{
        sw_buf_puts(out, "  ");
        explain_time(out, explain_i64(e, "data.time"));
        sw_buf_putc(out, ' ');
        explain_end_point(out, e, "src_endpoint.ip", "src_endpoint.port");
        sw_buf_puts(out, " -> ");
        explain_end_point(out, e, "dst_endpoint.ip", "dst_endpoint.port");
        sw_buf_putc(out, ' ');
        explain_put(out, e, "connection_info.protocol_name");
        sw_buf_puts(out, ", ");
        explain_put(out, e, "data.outcome");
        sw_buf_printf(out, ", %lld bytes there, %lld back; ", (long long)explain_i64(e, "data.bytes_out"),
                (long long)explain_i64(e, "data.bytes_in"));
        explain_put(out, e, "data.detector");
        sw_buf_puts(out, "; rule ");
        explain_put(out, e, "data.rule");
        sw_buf_putc(out, '\n');
}

/* Signals may share a tuple: a line is written once. */
static void explain_evidence(struct sw_buf *out, const struct sw_json *f)
{
        const struct sw_json *e = sw_json_first(sw_json_at(f, "evidences"));
        struct sw_buf line = SW_BUF_NULL;
        size_t begin;
        unsigned n = 0;

        sw_buf_puts(out, "\nEvidence\n");
        begin = out->n;
        for (; e && n < EXPLAIN_EVIDENCE; e = sw_json_next(e)) {
                sw_buf_reset(&line);
                explain_evidence_line(&line, e);
                if (out->failed || memmem(out->p + begin, out->n - begin, line.p, line.n))
                        continue;
                sw_buf_put_str(out, (struct sw_str){ line.p, line.n });
                n++;
        }
        if (e)
                sw_buf_puts(out, "  ... more in the line itself\n");
        out->failed = out->failed || line.failed;
        sw_buf_deinit(&line);
}

void sw_explain(struct sw_buf *out, const struct sw_json *f)
{
        explain_head(out, f);
        explain_story(out, f);
        explain_evidence(out, f);
        if (sw_str_eq(sw_json_str(sw_json_at(f, "unmapped.kind")), SW_STR("health")))
                return;
        sw_explain_denies(out, f);
        sw_explain_suppression(out, f);
}

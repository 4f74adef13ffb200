/* SPDX-License-Identifier: Apache-2.0 */
#include "encode/enc_row.h"

#include "base/time.h"

#include <stdio.h>
#include <string.h>

#define ROW_CUT_MARK "\xe2\x80\xa6" /* horizontal ellipsis */
#define ROW_DEPTH_MAX 24
#define ROW_EXACT_INT INT64_C(2147483647)

const char *sw_row_type_text(enum sw_row_type t)
{
        static const char *const texts[] = { "string", "int", "long", "boolean", "datetime", "dynamic" };

        return texts[t];
}

/* ---- values: each writes key and value, or nothing where the object has none; true: it had to be cut ---- */

static bool row_text(struct sw_jsonw *w, const struct sw_row_column *c, struct sw_str s)
{
        struct sw_buf cut = SW_BUF_NULL;
        bool is_cut = c->max && s.n > c->max;

        if (s.n == 0)
                return false;
        sw_jsonw_key(w, c->name);
        if (!is_cut) {
                sw_jsonw_str(w, s);
                return false;
        }
        sw_buf_put_str(&cut, sw_utf8_cut(s, c->max - (sizeof(ROW_CUT_MARK) - 1)));
        sw_buf_puts(&cut, ROW_CUT_MARK);
        sw_jsonw_str(w, (struct sw_str){ cut.p, cut.failed ? 0 : cut.n });
        w->out->failed = w->out->failed || cut.failed;
        sw_buf_deinit(&cut);
        return true;
}

static bool row_const(struct sw_jsonw *w, const struct sw_json *f, const struct sw_row_column *c)
{
        (void)f;
        return row_text(w, c, sw_str_of(c->from));
}

static bool row_str(struct sw_jsonw *w, const struct sw_json *f, const struct sw_row_column *c)
{
        return row_text(w, c, sw_json_str(sw_json_at(f, c->from)));
}

static bool row_time(struct sw_jsonw *w, const struct sw_json *f, const struct sw_row_column *c)
{
        char text[SW_ETIME_TEXT];
        int64_t ms;

        if (sw_json_i64(sw_json_at(f, c->from), &ms) && ms >= SW_ETIME_MIN_MS && ms <= SW_ETIME_MAX_MS)
                sw_jsonw_ktext(w, c->name, sw_etime_format((struct sw_etime){ ms }, text));
        return false;
}

/* Counters of flows are 64 bits without a sign; columns have one. */
static bool row_number(struct sw_jsonw *w, const struct sw_json *f, const struct sw_row_column *c)
{
        const int64_t most = c->type == SW_ROW_INT ? ROW_EXACT_INT : INT64_MAX;
        double v;

        if (!sw_json_double(sw_json_at(f, c->from), &v))
                return false;
        if (v >= (double)most)
                sw_jsonw_ki64(w, c->name, most);
        else if (v <= (double)-most)
                sw_jsonw_ki64(w, c->name, -most);
        else
                sw_jsonw_ki64(w, c->name, (int64_t)v);
        return false;
}

static bool row_bool(struct sw_jsonw *w, const struct sw_json *f, const struct sw_row_column *c)
{
        sw_jsonw_kbool(w, c->name, sw_json_kind(sw_json_at(f, c->from)) == SW_JSON_TRUE);
        return false;
}

static bool row_list(struct sw_jsonw *w, const struct sw_json *f, const struct sw_row_column *c)
{
        const struct sw_json *list = sw_json_at(f, c->from), *item;
        size_t used = 2;
        bool is_cut = false;

        if (sw_json_kind(list) != SW_JSON_ARRAY)
                return false;
        sw_jsonw_key(w, c->name);
        sw_jsonw_array(w);
        for (item = sw_json_first(list); item && !is_cut; item = sw_json_next(item)) {
                struct sw_str s = sw_json_str(item);

                used += s.n + 3;
                is_cut = used > c->max;
                if (!is_cut)
                        sw_jsonw_str(w, s);
        }
        sw_jsonw_end_array(w);
        return is_cut;
}

struct row_word {
        const char *from, *to;
};

static bool row_map(struct sw_jsonw *w, const struct sw_json *f, const struct sw_row_column *c,
        const struct row_word *words, size_t n)
{
        struct sw_str s = sw_json_str(sw_json_at(f, c->from));
        size_t i;

        for (i = 0; i < n; i++)
                if (sw_str_eq(s, sw_str_of(words[i].from)))
                        sw_jsonw_ktext(w, c->name, words[i].to);
        return false;
}
#define ROW_MAP(words) row_map(w, f, c, words, sizeof(words) / sizeof(*(words)))

static bool row_subtype(struct sw_jsonw *w, const struct sw_json *f, const struct sw_row_column *c)
{
        if (sw_str_eq(sw_json_str(sw_json_at(f, "unmapped.kind")), SW_STR("health")))
                return false;
        if (sw_str_eq(sw_json_str(sw_json_at(f, c->from)), SW_STR("segment_policy")))
                return row_text(w, c, SW_STR("Compliance Violation"));
        return row_text(w, c, SW_STR("Suspicious Activity"));
}

/* ASIM knows nothing above High; the original is beside it. */
static bool row_severity(struct sw_jsonw *w, const struct sw_json *f, const struct sw_row_column *c)
{
        static const struct row_word words[] = { { "Informational", "Informational" }, { "Low", "Low" },
                { "Medium", "Medium" }, { "High", "High" }, { "Critical", "High" } };

        return ROW_MAP(words);
}

static bool row_status(struct sw_jsonw *w, const struct sw_json *f, const struct sw_row_column *c)
{
        static const struct row_word words[] = { { "Create", "Active" }, { "Update", "Active" },
                { "Close", "Closed" } };

        return ROW_MAP(words);
}

static bool row_method(struct sw_jsonw *w, const struct sw_json *f, const struct sw_row_column *c)
{
        static const struct row_word words[] = { { "Behavioral", "Behavioral Analytics" },
                { "Rule", "Intrusion Detection" } };

        return ROW_MAP(words);
}

static bool row_direction(struct sw_jsonw *w, const struct sw_json *f, const struct sw_row_column *c)
{
        static const struct row_word words[] = { { "Inbound", "Inbound" }, { "Outbound", "Outbound" },
                { "Lateral", "Local" } };

        return ROW_MAP(words);
}

static bool row_action(struct sw_jsonw *w, const struct sw_json *f, const struct sw_row_column *c)
{
        static const struct row_word words[] = { { "Allowed", "Allow" }, { "Denied", "Deny" } };

        return ROW_MAP(words);
}

static bool row_protocol(struct sw_jsonw *w, const struct sw_json *f, const struct sw_row_column *c)
{
        struct sw_str s = sw_json_str(sw_json_at(f, c->from));
        char upper[16];
        size_t i;

        if (s.n >= sizeof(upper))
                return false;
        for (i = 0; i < s.n; i++)
                upper[i] = (char)(s.p[i] >= 'a' && s.p[i] <= 'z' ? s.p[i] - 'a' + 'A' : s.p[i]);
        return row_text(w, c, (struct sw_str){ upper, s.n });
}

/* "D08" is rule 8. */
static bool row_rule_number(struct sw_jsonw *w, const struct sw_json *f, const struct sw_row_column *c)
{
        struct sw_str s = sw_json_str(sw_json_at(f, c->from));
        uint64_t v;

        if (s.n > 1 && s.p[0] == 'D' && sw_parse_u64((struct sw_str){ s.p + 1, s.n - 1 }, &v) && v < 1000)
                sw_jsonw_ku64(w, c->name, v);
        return false;
}

static bool row_is_listed(const struct sw_buf *list, struct sw_str s)
{
        const char *at = list->p;
        size_t n = list->n;

        while (at && n >= s.n && (at = memmem(at, n, s.p, s.n)) != NULL) {
                if ((at == list->p || at[-1] == ' ') && (at + s.n == list->p + list->n || at[s.n] == ','))
                        return true;
                at++;
                n = (size_t)(list->p + list->n - at);
        }
        return false;
}

/* "Lateral Movement (TA0008), Discovery (TA0007)": each once, in the order of the object. */
static bool row_attacks(struct sw_jsonw *w, const struct sw_json *f, const struct sw_row_column *c, bool tactics)
{
        const struct sw_json *item = sw_json_first(sw_json_at(f, "finding_info.attacks"));
        struct sw_buf list = SW_BUF_NULL, one = SW_BUF_NULL;
        bool is_cut;

        for (; item; item = sw_json_next(item)) {
                const struct sw_json *t = sw_json_get(item, tactics ? "tactic" : "sub_technique");
                struct sw_str uid, name;

                if (!t && !tactics)
                        t = sw_json_get(item, "technique");
                uid = sw_json_str(sw_json_get(t, "uid"));
                name = sw_json_str(sw_json_get(t, "name"));
                if (uid.n == 0)
                        continue;
                sw_buf_reset(&one);
                sw_buf_put_str(&one, name);
                sw_buf_puts(&one, " (");
                sw_buf_put_str(&one, uid);
                sw_buf_putc(&one, ')');
                if (one.failed || row_is_listed(&list, (struct sw_str){ one.p, one.n }))
                        continue;
                if (list.n)
                        sw_buf_puts(&list, ", ");
                sw_buf_put(&list, one.p, one.n);
        }
        w->out->failed = w->out->failed || list.failed || one.failed;
        is_cut = row_text(w, c, (struct sw_str){ list.p, list.failed ? 0 : list.n });
        sw_buf_deinit(&list);
        sw_buf_deinit(&one);
        return is_cut;
}

static bool row_tactics(struct sw_jsonw *w, const struct sw_json *f, const struct sw_row_column *c)
{
        return row_attacks(w, f, c, true);
}

static bool row_techniques(struct sw_jsonw *w, const struct sw_json *f, const struct sw_row_column *c)
{
        return row_attacks(w, f, c, false);
}

/* ---- the whole object ---- */

struct row_shrink {     /* what may stay */
        uint32_t items; /* of evidences, observables, resources and lists of addresses */
        uint32_t text;  /* bytes of a text */
        bool is_cut;
};

/* Our own objects are eight levels deep; a stranger's may be a thousand. */
static void row_copy(struct sw_jsonw *w, const struct sw_json *j, struct row_shrink *s)
{
        const struct sw_json *child;
        char number[40];
        uint32_t n = 0;
        int64_t exact;
        double v;

        switch (w->depth < ROW_DEPTH_MAX ? sw_json_kind(j) : SW_JSON_NULL) {
        case SW_JSON_OBJECT:
                sw_jsonw_object(w);
                for (child = sw_json_first(j); child; child = sw_json_next(child)) {
                        sw_jsonw_key_str(w, sw_json_key(child));
                        if (sw_str_eq(sw_json_key(child), SW_STR("is_truncated")))
                                sw_jsonw_bool(w, true);
                        else
                                row_copy(w, child, s);
                }
                sw_jsonw_end_object(w);
                return;
        case SW_JSON_ARRAY:
                sw_jsonw_array(w);
                for (child = sw_json_first(j); child && n < s->items; child = sw_json_next(child), n++)
                        row_copy(w, child, s);
                s->is_cut = s->is_cut || child;
                sw_jsonw_end_array(w);
                return;
        case SW_JSON_STRING:
                s->is_cut = s->is_cut || sw_json_str(j).n > s->text;
                sw_jsonw_str(w, sw_utf8_cut(sw_json_str(j), s->text));
                return;
        case SW_JSON_NUMBER:
                if (sw_json_i64(j, &exact)) {
                        sw_jsonw_i64(w, exact);
                } else if (sw_json_double(j, &v)) {
                        (void)snprintf(number, sizeof(number), "%.17g", v);
                        sw_jsonw_raw(w, sw_str_of(number));
                } else {
                        sw_jsonw_raw(w, SW_STR("null"));
                }
                return;
        case SW_JSON_TRUE:
        case SW_JSON_FALSE:
                sw_jsonw_bool(w, sw_json_kind(j) == SW_JSON_TRUE);
                return;
        case SW_JSON_NONE:
        case SW_JSON_NULL:
        default:
                sw_jsonw_raw(w, SW_STR("null"));
        }
}

bool sw_enc_row_finding(struct sw_buf *out, const struct sw_json *f, struct sw_str line, uint32_t max)
{
        static const struct row_shrink levels[] = { { 12, 4096, false }, { 6, 1024, false }, { 3, 512, false },
                { 1, 256, false }, { 0, 64, false } };
        size_t i, from = out->n;

        if (line.n <= max) {
                sw_buf_put_str(out, line);
                return false;
        }
        for (i = 0; i < sizeof(levels) / sizeof(*levels); i++) {
                struct sw_jsonw w = sw_jsonw_start(out);
                struct row_shrink s = levels[i];

                out->n = from;
                row_copy(&w, f, &s);
                if (out->n - from <= max)
                        break;
        }
        return true;
}

static bool row_finding(struct sw_jsonw *w, const struct sw_json *f, struct sw_str line, uint32_t max)
{
        struct sw_buf text = SW_BUF_NULL;
        bool is_cut = sw_enc_row_finding(&text, f, line, max);

        sw_jsonw_key(w, "Finding");
        sw_jsonw_raw(w, text.failed ? SW_STR("null") : (struct sw_str){ text.p, text.n });
        w->out->failed = w->out->failed || text.failed;
        sw_buf_deinit(&text);
        return is_cut;
}

/* ---- the table ---- */

#define EVIDENCE "evidences[0]."
/* clang-format off */
static const struct sw_row_column row_columns[] = {
        { "TimeGenerated", SW_ROW_DATETIME, 0, "metadata.logged_time", row_time, "When the line was written." },
        { "EventUid", SW_ROW_STRING, 64, "finding_info.uid", row_str, "Id of the finding; the same in all lines about it." },
        { "EventOriginalUid", SW_ROW_STRING, 64, "metadata.uid", row_str, "Id of this line; the same if it is delivered twice." },
        { "EventType", SW_ROW_STRING, 0, "Alert", row_const, "Always Alert." },
        { "EventSubType", SW_ROW_STRING, 0, "finding_info.analytic.name", row_subtype, "Suspicious Activity, or Compliance Violation for segment_policy; none for health." },
        { "EventSchema", SW_ROW_STRING, 0, "AlertEvent", row_const, "ASIM schema." },
        { "EventSchemaVersion", SW_ROW_STRING, 0, "0.1", row_const, "Its version." },
        { "EventVendor", SW_ROW_STRING, 64, "metadata.product.vendor_name", row_str, "segwatch." },
        { "EventProduct", SW_ROW_STRING, 64, "metadata.product.name", row_str, "segwatch." },
        { "EventProductVersion", SW_ROW_STRING, 64, "metadata.product.version", row_str, "Version of the program." },
        { "EventCount", SW_ROW_INT, 0, "count", row_number, "Signals behind the finding." },
        { "EventStartTime", SW_ROW_DATETIME, 0, "start_time", row_time, "First evidence." },
        { "EventEndTime", SW_ROW_DATETIME, 0, "end_time", row_time, "Last evidence." },
        { "EventSeverity", SW_ROW_STRING, 0, "severity", row_severity, "Informational, Low, Medium or High." },
        { "EventOriginalSeverity", SW_ROW_STRING, 32, "severity", row_str, "As above, and Critical." },
        { "EventMessage", SW_ROW_STRING, 4096, "message", row_str, "One sentence: who did what to whom, and what is normal there." },
        { "AlertName", SW_ROW_STRING, 512, "finding_info.title", row_str, "Title." },
        { "AlertDescription", SW_ROW_STRING, 8192, "finding_info.desc", row_str, "The story, one sentence per line." },
        { "AlertStatus", SW_ROW_STRING, 0, "activity_name", row_status, "Active or Closed." },
        { "DetectionMethod", SW_ROW_STRING, 0, "finding_info.analytic.type", row_method, "Behavioral Analytics or Intrusion Detection." },
        { "RuleName", SW_ROW_STRING, 128, "finding_info.analytic.name", row_str, "Detector of the heaviest signal." },
        { "RuleNumber", SW_ROW_INT, 0, "finding_info.analytic.uid", row_rule_number, "Its number: 8 is D08." },
        { "AttackTactics", SW_ROW_STRING, 1024, "finding_info.attacks[].tactic", row_tactics, "MITRE ATT&CK tactics with their ids." },
        { "AttackTechniques", SW_ROW_STRING, 2048, "finding_info.attacks[].technique", row_techniques, "MITRE ATT&CK techniques with their ids." },
        { "ThreatConfidence", SW_ROW_INT, 0, "confidence_score", row_number, "0 to 100." },
        { "ThreatRiskLevel", SW_ROW_INT, 0, "risk_score", row_number, "0 to 100." },
        { "DvcIpAddr", SW_ROW_STRING, 64, "unmapped.actor", row_str, "The host that acts." },
        { "DvcSubscriptionId", SW_ROW_STRING, 64, "cloud.account.uid", row_str, "Azure subscription of the flow log." },
        { "DvcAction", SW_ROW_STRING, 0, "action", row_action, "Allow or Deny: what the network did." },
        { "SrcIpAddr", SW_ROW_STRING, 64, EVIDENCE "src_endpoint.ip", row_str, "Source of the first evidence." },
        { "SrcPortNumber", SW_ROW_INT, 0, EVIDENCE "src_endpoint.port", row_number, "Its port." },
        { "DstIpAddr", SW_ROW_STRING, 64, EVIDENCE "dst_endpoint.ip", row_str, "Destination of the first evidence." },
        { "DstPortNumber", SW_ROW_INT, 0, EVIDENCE "dst_endpoint.port", row_number, "Its port." },
        { "NetworkProtocol", SW_ROW_STRING, 0, EVIDENCE "connection_info.protocol_name", row_protocol, "TCP, UDP or a number." },
        { "NetworkDirection", SW_ROW_STRING, 0, EVIDENCE "connection_info.direction", row_direction, "Local, Inbound or Outbound." },
        { "SrcBytes", SW_ROW_LONG, 0, EVIDENCE "data.bytes_out", row_number, "Bytes from source to destination." },
        { "DstBytes", SW_ROW_LONG, 0, EVIDENCE "data.bytes_in", row_number, "Bytes back." },
        { "SrcPackets", SW_ROW_LONG, 0, EVIDENCE "data.packets_out", row_number, "Packets from source to destination." },
        { "DstPackets", SW_ROW_LONG, 0, EVIDENCE "data.packets_in", row_number, "Packets back." },
        { "NetworkRuleName", SW_ROW_STRING, 512, EVIDENCE "data.rule", row_str, "Security rule that decided." },
        { "SrcSegment", SW_ROW_STRING, 256, "unmapped.segment_src", row_str, "Segment of the actor." },
        { "DstSegment", SW_ROW_STRING, 256, "unmapped.segment_dst", row_str, "Segment that was reached." },
        { "FindingKind", SW_ROW_STRING, 32, "unmapped.kind", row_str, "incident, detector or health." },
        { "FindingActivity", SW_ROW_STRING, 32, "activity_name", row_str, "Create, Update or Close." },
        { "FindingSequence", SW_ROW_INT, 0, "metadata.sequence", row_number, "Number of this line among those of the finding, from 1." },
        { "Detectors", SW_ROW_DYNAMIC, 4096, "unmapped.detectors", row_list, "Detectors behind the finding." },
        { "Compromised", SW_ROW_DYNAMIC, 8192, "unmapped.compromised", row_list, "Hosts taken to be compromised, at most 64." },
        { "CompromisedCount", SW_ROW_LONG, 0, "unmapped.compromised_count", row_number, "How many they are." },
        { "Targets", SW_ROW_DYNAMIC, 8192, "unmapped.targets", row_list, "Hosts that were reached, at most 64." },
        { "TargetCount", SW_ROW_LONG, 0, "unmapped.targets_count", row_number, "How many they are." },
        { "MergedInto", SW_ROW_STRING, 64, "unmapped.merged_into", row_str, "Finding that goes on instead of this one." },
        { "Historic", SW_ROW_BOOLEAN, 0, "unmapped.historic", row_bool, "Whether a start from old data found it later than an hour afterwards." },
        { "IsSample", SW_ROW_BOOLEAN, 0, "unmapped.is_sample", row_bool, "A finding of `segwatch test-alert`: nothing happened." },
        { "Finding", SW_ROW_DYNAMIC, SW_ROW_FINDING_MAX, "the whole object", NULL, "OCSF 1.8.0 Detection Finding." },
        { "RowTruncated", SW_ROW_BOOLEAN, 0, "whether a column was cut", NULL, "The alert file has the whole finding." },
};
/* clang-format on */

const struct sw_row_column *sw_row_columns(uint32_t *ret_n)
{
        *ret_n = sizeof(row_columns) / sizeof(*row_columns);
        return row_columns;
}

int sw_enc_row(struct sw_buf *out, const struct sw_json *finding, struct sw_str line, uint32_t finding_max)
{
        struct sw_jsonw writer = sw_jsonw_start(out), *w = &writer;
        bool is_cut = false;
        int64_t ms;
        size_t i;

        if (!sw_json_is_object(finding) || sw_json_str(sw_json_at(finding, "finding_info.uid")).n == 0 ||
                !sw_json_i64(sw_json_at(finding, "metadata.logged_time"), &ms) || ms < SW_ETIME_MIN_MS ||
                ms > SW_ETIME_MAX_MS)
                return SW_ROW_NO_FINDING;
        sw_jsonw_object(w);
        for (i = 0; i < sizeof(row_columns) / sizeof(*row_columns); i++)
                if (row_columns[i].put)
                        is_cut = row_columns[i].put(w, finding, &row_columns[i]) || is_cut;
        is_cut = row_finding(w, finding, line, finding_max < SW_ROW_FINDING_MAX ? finding_max : SW_ROW_FINDING_MAX) ||
                 is_cut;
        sw_jsonw_kbool(w, "RowTruncated", is_cut);
        sw_jsonw_end_object(w);
        return SW_ROW_OK;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "encode/enc_row.h"

#include "encode/enc_cef.h"
#include "encode/enc_ocsf.h"
#include "encode/enc_syslog.h"

#include <criterion/criterion.h>
#include <ctype.h>
#include <stdio.h>

#define T0 INT64_C(1767225600000)

static char long_text[70000];

static struct sw_finding sample(void)
{
        struct sw_finding f = { .kind = SW_FINDING_INCIDENT,
                .activity = SW_ACTIVITY_CREATE,
                .severity = SW_SEVERITY_CRITICAL,
                .risk = 91,
                .confidence_pct = 80,
                .sequence = 3,
                .decided = { T0 },
                .logged = { T0 + 6 },
                .first = { T0 - 60000 },
                .last = { T0 - 1 },
                .created = { T0 },
                .n_signals = 7,
                .title = SW_STR("Scan | of db"),
                .message = SW_STR("10.1.0.4 did x=1."),
                .story = SW_STR("one\ntwo"),
                .detector = SW_STR("pivot_chain"),
                .detector_code = SW_STR("D08"),
                .actor_segment = SW_STR("web"),
                .target_segment = SW_STR("db") };
        struct sw_finding_evidence *e = &f.evidence[0];

        memcpy(f.uid, "0123456789abcdef0123456789abcdef", 33);
        memcpy(f.line_uid, "fedcba9876543210fedcba9876543210", 33);
        f.actor = sw_addr_v4(0x0a010004);
        f.targets[0] = sw_addr_v4(0x0a020007);
        f.n_targets = f.n_targets_total = 1;
        f.detectors[0] = "pivot_chain";
        f.n_detectors = 1;
        f.techniques[0] = (struct sw_finding_technique){ "T1021.004", "SSH", "TA0008", "Lateral Movement" };
        f.techniques[1] = (struct sw_finding_technique){ "T1021", "Remote Services", "TA0008", "Lateral Movement" };
        f.n_techniques = 2;
        e->tuple = (struct sw_evidence){ .time = { T0 - 60000 },
                .src = sw_addr_v4(0x0a010004),
                .dst = sw_addr_v4(0x0a020007),
                .counters = { 1, UINT64_MAX, 2, 9000 },
                .sport = 50000,
                .dport = 22,
                .proto = SW_PROTO_TCP,
                .outcome = SW_OUTCOME_OK };
        e->detector = "pivot_chain";
        e->rule = SW_STR("UserRule_x=y|z");
        e->flow_log = SW_STR("/SUBSCRIPTIONS/11111111-2222/X");
        f.n_evidence = 1;
        f.n_evidence_total = 1;
        return f;
}

struct row {
        struct sw_buf line, text;
        struct sw_json *finding, *json;
        int r;
};

static struct row row_of(const struct sw_finding *f, uint32_t max)
{
        struct row r = { .line = SW_BUF_NULL };

        sw_enc_ocsf(&r.line, f, "1.2.3");
        r.finding = sw_json_parse((struct sw_str){ r.line.p, r.line.n });
        r.r = sw_enc_row(&r.text, r.finding, (struct sw_str){ r.line.p, r.line.n }, max);
        r.json = sw_json_parse((struct sw_str){ r.text.p, r.text.n });
        return r;
}

static void row_free(struct row *r)
{
        sw_json_free(r->finding);
        sw_json_free(r->json);
        sw_buf_deinit(&r->line);
        sw_buf_deinit(&r->text);
}

static void expect_text(const struct row *r, const char *column, const char *want)
{
        struct sw_str s = sw_json_str(sw_json_get(r->json, column));

        cr_assert(sw_str_eq(s, sw_str_of(want)), "%s is '%.*s'", column, (int)s.n, s.p ? s.p : "");
}

static void expect_number(const struct row *r, const char *column, double want)
{
        double v = -1;

        cr_assert(sw_json_double(sw_json_get(r->json, column), &v), "%s", column);
        cr_assert_eq(v, want, "%s is %g", column, v);
}

Test(enc_row, columns_keep_the_rules_of_azure)
{
        static const char *const reserved[] = { "_ResourceId", "id", "_SubscriptionId", "TenantId", "Type", "UniqueId",
                "Title" };
        uint32_t n, i, k;
        const struct sw_row_column *c = sw_row_columns(&n);
        size_t at;

        cr_assert_gt(n, 40);
        for (i = 0; i < n; i++) {
                cr_assert(isalpha((unsigned char)c[i].name[0]) && strlen(c[i].name) <= 45, "%s", c[i].name);
                for (at = 0; c[i].name[at]; at++)
                        cr_assert(isalnum((unsigned char)c[i].name[at]) || c[i].name[at] == '_', "%s", c[i].name);
                for (k = 0; k < sizeof(reserved) / sizeof(*reserved); k++)
                        cr_assert_str_neq(c[i].name, reserved[k]);
                for (k = 0; k < i; k++)
                        cr_assert_str_neq(c[i].name, c[k].name);
                cr_assert(c[i].type != SW_ROW_DYNAMIC || c[i].max > 0, "%s", c[i].name);
        }
        cr_assert_str_eq(c[0].name, "TimeGenerated");
}

Test(enc_row, an_incident_fills_the_columns)
{
        struct sw_finding f = sample();
        struct row r = row_of(&f, SW_ROW_FINDING_MAX);
        const struct sw_json *copy;

        cr_assert_eq(r.r, SW_ROW_OK);
        cr_assert(r.json, "%.*s", (int)r.text.n, r.text.p);
        expect_text(&r, "TimeGenerated", "2026-01-01T00:00:00.006Z");
        expect_text(&r, "EventStartTime", "2025-12-31T23:59:00.000Z");
        expect_text(&r, "EventUid", f.uid);
        expect_text(&r, "EventOriginalUid", f.line_uid);
        expect_text(&r, "EventSeverity", "High");
        expect_text(&r, "EventOriginalSeverity", "Critical");
        expect_text(&r, "EventSubType", "Suspicious Activity");
        expect_text(&r, "AlertStatus", "Active");
        expect_text(&r, "DetectionMethod", "Behavioral Analytics");
        expect_text(&r, "AttackTactics", "Lateral Movement (TA0008)");
        expect_text(&r, "AttackTechniques", "SSH (T1021.004), Remote Services (T1021)");
        expect_text(&r, "NetworkProtocol", "TCP");
        expect_text(&r, "NetworkDirection", "Local");
        expect_text(&r, "DvcAction", "Allow");
        expect_text(&r, "DvcIpAddr", "10.1.0.4");
        expect_text(&r, "DstIpAddr", "10.2.0.7");
        expect_text(&r, "DvcSubscriptionId", "11111111-2222");
        expect_text(&r, "NetworkRuleName", "UserRule_x=y|z");
        expect_number(&r, "RuleNumber", 8);
        expect_number(&r, "EventCount", 7);
        expect_number(&r, "ThreatRiskLevel", 91);
        expect_number(&r, "DstBytes", 9000);
        expect_number(&r, "SrcBytes", (double)INT64_MAX);
        cr_assert_eq(sw_json_kind(sw_json_get(r.json, "RowTruncated")), SW_JSON_FALSE);
        copy = sw_json_get(r.json, "Finding");
        cr_assert(sw_str_eq(sw_json_str(sw_json_at(copy, "evidences[0].data.rule")), f.evidence[0].rule));
        cr_assert(memmem(r.text.p, r.text.n, r.line.p, r.line.n), "the object is the line, byte for byte");
        cr_assert_null(sw_json_get(r.json, "MergedInto"), "what the finding does not say is not there");
        row_free(&r);
}

Test(enc_row, every_key_of_a_row_is_a_column_in_order)
{
        struct sw_finding f = sample();
        struct row r = row_of(&f, SW_ROW_FINDING_MAX);
        uint32_t n, i = 0;
        const struct sw_row_column *c = sw_row_columns(&n);
        const struct sw_json *m;

        for (m = sw_json_first(r.json); m; m = sw_json_next(m)) {
                while (i < n && !sw_str_eq(sw_json_key(m), sw_str_of(c[i].name)))
                        i++;
                cr_assert_lt(i, n, "%s", sw_json_key(m).p);
        }
        row_free(&r);
}

Test(enc_row, what_is_too_long_is_cut_between_characters_and_marked)
{
        struct sw_finding f = sample();
        struct row r;
        struct sw_str s;
        size_t i;

        for (i = 0; i + 3 <= sizeof(long_text); i += 3)
                memcpy(long_text + i, "\xe2\x82\xac", 3);
        f.message = f.story = (struct sw_str){ long_text, i };
        r = row_of(&f, SW_ROW_FINDING_MAX);
        cr_assert(r.json);
        s = sw_json_str(sw_json_get(r.json, "EventMessage"));
        cr_assert(s.n <= 4096 && s.n > 4090, "%zu", s.n);
        cr_assert(memcmp(s.p + s.n - 3, "\xe2\x80\xa6", 3) == 0);
        for (i = 0; i < s.n; i += sw_utf8_length((struct sw_str){ s.p + i, s.n - i }))
                cr_assert_eq(sw_utf8_length((struct sw_str){ s.p + i, s.n - i }), 3);
        cr_assert_eq(sw_json_kind(sw_json_get(r.json, "RowTruncated")), SW_JSON_TRUE);
        cr_assert_eq(sw_json_kind(sw_json_at(r.json, "Finding.metadata.is_truncated")), SW_JSON_TRUE);
        cr_assert(sw_str_eq(sw_json_str(sw_json_at(r.json, "Finding.finding_info.uid")), sw_str_of(f.uid)));
        cr_assert_lt(r.text.n, 100000);
        row_free(&r);
}

Test(enc_row, a_smaller_bound_gives_a_smaller_row_that_still_is_one)
{
        struct sw_finding f = sample();
        uint32_t i;
        struct row r;

        for (i = 1; i < SW_FINDING_EVIDENCE; i++)
                f.evidence[i] = f.evidence[0];
        f.n_evidence = SW_FINDING_EVIDENCE;
        r = row_of(&f, 8000);
        cr_assert_gt(r.line.n, 8000);
        cr_assert(r.json);
        cr_assert_lt(r.text.n, 12000);
        cr_assert(sw_json_at(r.json, "Finding.evidences[2]"));
        cr_assert_eq(sw_json_kind(sw_json_get(r.json, "RowTruncated")), SW_JSON_TRUE);
        row_free(&r);
        r = row_of(&f, (uint32_t)sizeof(long_text)); /* never above the table's own bound */
        cr_assert_eq(sw_json_kind(sw_json_get(r.json, "RowTruncated")), SW_JSON_FALSE);
        row_free(&r);
}

Test(enc_row, what_is_not_a_finding_is_not_a_row)
{
        static const char *const lines[] = { "{}", "[]", "1", "{\"metadata\":{\"logged_time\":1}}",
                "{\"metadata\":{\"logged_time\":1767225600000},\"finding_info\":{\"uid\":\"\"}}" };
        struct sw_buf out = SW_BUF_NULL;
        size_t i;

        for (i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
                struct sw_json *j = sw_json_parse(sw_str_of(lines[i]));

                cr_assert_eq(sw_enc_row(&out, j, sw_str_of(lines[i]), 1000), SW_ROW_NO_FINDING);
                sw_json_free(j);
        }
        cr_assert_eq(sw_enc_row(&out, NULL, SW_STR(""), 1000), SW_ROW_NO_FINDING);
        cr_assert_eq(out.n, 0);
}

Test(enc_cef, a_finding_is_one_line_with_everything_escaped)
{
        struct sw_finding f = sample();
        struct row r = row_of(&f, 1000);
        struct sw_buf out = SW_BUF_NULL;

        cr_assert_eq(sw_enc_cef(&out, r.finding), SW_CEF_OK);
        sw_buf_putc(&out, '\0');
        cr_assert_str_eq(out.p,
                "CEF:0|segwatch|segwatch|1.2.3|D08|Scan \\| of db|10|rt=1767225600006 "
                "externalId=0123456789abcdef0123456789abcdef act=Allowed cat=incident cnt=7 start=1767225540000 "
                "end=1767225599999 dvc=10.1.0.4 src=10.1.0.4 spt=50000 dst=10.2.0.7 dpt=22 proto=tcp "
                "out=9223372036854775807 in=9000 cs1=pivot_chain cs1Label=Detector cs2=TA0008 cs2Label=AttackTactics "
                "cs3=T1021.004 T1021 cs3Label=AttackTechniques cs4=UserRule_x\\=y|z cs4Label=Rule cs5=web "
                "cs5Label=SrcSegment cs6=db cs6Label=DstSegment cn1=80 cn1Label=Confidence cn2=91 cn2Label=Risk "
                "flexString1=fedcba9876543210fedcba9876543210 flexString1Label=LineUid flexString2=Create "
                "flexString2Label=Activity msg=10.1.0.4 did x\\=1.");
        sw_buf_deinit(&out);
        row_free(&r);
}

Test(enc_cef, ipv6_has_keys_of_its_own)
{
        struct sw_finding f = sample();
        struct sw_buf out = SW_BUF_NULL;
        struct row r;

        cr_assert(sw_addr_parse(SW_STR("fd00:1::4"), &f.evidence[0].tuple.src));
        f.actor = f.evidence[0].tuple.src;
        r = row_of(&f, 1000);
        cr_assert_eq(sw_enc_cef(&out, r.finding), SW_CEF_OK);
        sw_buf_putc(&out, '\0');
        cr_assert(strstr(out.p, " c6a1=fd00:1::4 c6a1Label=DeviceIPv6 c6a2=fd00:1::4 c6a2Label=SourceIPv6 spt="));
        cr_assert_null(strstr(out.p, " src="));
        cr_assert(strstr(out.p, " dst=10.2.0.7 "));
        sw_buf_deinit(&out);
        row_free(&r);
}

Test(enc_cef, a_value_that_ends_in_a_bar_does_not_swallow_the_next_key)
{
        struct sw_finding f = sample();
        struct sw_buf out = SW_BUF_NULL;
        struct row r;

        f.evidence[0].rule = SW_STR("a|");
        r = row_of(&f, 1000);
        cr_assert_eq(sw_enc_cef(&out, r.finding), SW_CEF_OK);
        sw_buf_putc(&out, '\0');
        cr_assert(strstr(out.p, " cs4=a| cs4Label=Rule cs5="));
        sw_buf_deinit(&out);
        row_free(&r);
}

/* Walks the fields of a line in the order of the table; a line has nothing else. */
static void follow_table(const char *line)
{
        uint32_t n, i;
        const struct sw_cef_field *c = sw_cef_fields(&n);
        const char *at = line + strlen("CEF:0|");
        char key[64];

        for (i = 0; i < n; i++) {
                if (c[i].type == SW_CEF_HEADER) {
                        at = strchr(at, '|');
                        cr_assert(at, "%s", c[i].key);
                        at++;
                        continue;
                }
                (void)snprintf(key, sizeof(key), "%s=", c[i].key);
                cr_assert(c[i].type == SW_CEF_IPV6 || strncmp(at, key, strlen(key)) == 0, "%s at %s", key, at);
                if (strncmp(at, key, strlen(key)) != 0)
                        continue;
                at += strcspn(at, " ");
                if (c[i].label) {
                        (void)snprintf(key, sizeof(key), " %sLabel=%s", c[i].key, c[i].label);
                        at = strstr(at, key);
                        cr_assert(at, "%s", key);
                        at += strlen(key);
                }
                if (*at && !c[i].label && *at != ' ')
                        cr_assert_fail("%s", at);
                at += *at == ' ';
        }
        cr_assert_eq(*at, '\0', "not in the table: %s", at);
}

Test(enc_cef, the_table_is_what_a_line_has)
{
        uint32_t n, i, k;
        const struct sw_cef_field *c = sw_cef_fields(&n);
        struct sw_finding f = sample();
        struct sw_buf out = SW_BUF_NULL;
        struct row r;

        for (i = 0; i < n; i++) {
                cr_assert(c[i].doc && c[i].from && c[i].put, "%s", c[i].key);
                cr_assert(c[i].type != SW_CEF_STRING || c[i].max, "%s", c[i].key);
                for (k = 0; k < i; k++)
                        cr_assert_str_neq(c[i].key, c[k].key);
        }
        f.is_sample = true;
        f.n_techniques = 1;
        f.title = f.message = SW_STR("short");
        r = row_of(&f, 1000);
        cr_assert_eq(sw_enc_cef(&out, r.finding), SW_CEF_OK);
        sw_buf_putc(&out, '\0');
        cr_assert(strstr(out.p, " flexNumber1=1 flexNumber1Label=Sample "));
        follow_table(out.p);
        sw_buf_deinit(&out);
        row_free(&r);
}

Test(enc_row, a_sample_says_so)
{
        struct sw_finding f = sample();
        struct row r = row_of(&f, 1000);

        cr_assert_eq(sw_json_kind(sw_json_get(r.json, "IsSample")), SW_JSON_FALSE);
        row_free(&r);
        f.is_sample = true;
        r = row_of(&f, 1000);
        cr_assert_eq(sw_json_kind(sw_json_get(r.json, "IsSample")), SW_JSON_TRUE);
        row_free(&r);
}

Test(enc_syslog, the_head_says_when_who_and_how_bad)
{
        struct sw_syslog_head head = { 16, SW_STR("host 1"), SW_STR("segwatch"), SW_STR("1\"]") };
        struct sw_finding f = sample();
        struct row r = row_of(&f, 1000);
        struct sw_buf out = SW_BUF_NULL, frame = SW_BUF_NULL;

        sw_enc_syslog(&out, &head, r.finding, SW_STR("text"));
        sw_enc_syslog_frame(&frame, (struct sw_str){ out.p, out.n });
        sw_buf_putc(&frame, '\0');
        cr_assert_str_eq(frame.p, "110 <130>1 2026-01-01T00:00:00.006Z host_1 segwatch - incident [origin "
                                  "software=\"segwatch\" swVersion=\"1\\\"\\]\"] text");
        sw_buf_deinit(&out);
        sw_buf_deinit(&frame);
        row_free(&r);
}

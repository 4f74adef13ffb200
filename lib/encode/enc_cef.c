/* SPDX-License-Identifier: Apache-2.0 */
#include "encode/enc_cef.h"

#include "encode/enc_escape.h"
#include "model/addr.h"

#include <string.h>

const char *sw_cef_type_text(enum sw_cef_type t)
{
        static const char *const texts[] = { "header", "string", "long", "time", "ipv4", "ipv6" };

        return texts[t];
}

/* ---- values: each appends the escaped value, or nothing where the object has none ---- */

static void cef_text(struct sw_buf *out, const struct sw_cef_field *c, struct sw_str s)
{
        if (c->type == SW_CEF_HEADER)
                sw_enc_cef_header(out, s, c->max);
        else
                sw_enc_cef_value(out, s, c->max);
}

static void cef_str(struct sw_buf *out, const struct sw_json *f, const struct sw_cef_field *c)
{
        cef_text(out, c, sw_json_str(sw_json_at(f, c->from)));
}

/* Findings about segwatch itself come from no detector. */
static void cef_class(struct sw_buf *out, const struct sw_json *f, const struct sw_cef_field *c)
{
        struct sw_str code = sw_json_str(sw_json_at(f, c->from));

        cef_text(out, c, code.n ? code : sw_json_str(sw_json_at(f, "unmapped.kind")));
}

static void cef_severity(struct sw_buf *out, const struct sw_json *f, const struct sw_cef_field *c)
{
        static const uint8_t to[] = { 1, 1, 3, 5, 8, 10, 10 };
        int64_t id;

        if (!sw_json_i64(sw_json_at(f, c->from), &id) || id < 0 || id > 6)
                id = 0;
        sw_buf_u64(out, to[id]);
}

static void cef_number(struct sw_buf *out, const struct sw_json *f, const struct sw_cef_field *c)
{
        double v;

        if (sw_json_double(sw_json_at(f, c->from), &v) && v >= 0)
                sw_buf_u64(out, v >= 9.2e18 ? INT64_MAX : (uint64_t)v);
}

static void cef_true(struct sw_buf *out, const struct sw_json *f, const struct sw_cef_field *c)
{
        if (sw_json_kind(sw_json_at(f, c->from)) == SW_JSON_TRUE)
                sw_buf_putc(out, '1');
}

static void cef_addr(struct sw_buf *out, const struct sw_json *f, const struct sw_cef_field *c)
{
        struct sw_str s = sw_json_str(sw_json_at(f, c->from));
        struct sw_addr a;

        if (sw_addr_parse(s, &a) && sw_addr_is_v4(&a) == (c->type == SW_CEF_IPV4))
                cef_text(out, c, s);
}

/* "TA0008 TA0007" or "T1021.004 T1046", each once. */
static void cef_attacks(struct sw_buf *out, const struct sw_json *f, const struct sw_cef_field *c, bool tactics)
{
        const struct sw_json *item = sw_json_first(sw_json_at(f, "finding_info.attacks"));
        struct sw_buf list = SW_BUF_NULL;

        for (; item; item = sw_json_next(item)) {
                const struct sw_json *t = sw_json_get(item, tactics ? "tactic" : "sub_technique");
                struct sw_str uid;

                if (!t && !tactics)
                        t = sw_json_get(item, "technique");
                uid = sw_json_str(sw_json_get(t, "uid"));
                if (uid.n == 0 || (list.p && tactics && memmem(list.p, list.n, uid.p, uid.n)))
                        continue;
                if (list.n)
                        sw_buf_putc(&list, ' ');
                sw_buf_put_str(&list, uid);
        }
        cef_text(out, c, (struct sw_str){ list.p, list.failed ? 0 : list.n });
        out->failed = out->failed || list.failed;
        sw_buf_deinit(&list);
}

static void cef_tactics(struct sw_buf *out, const struct sw_json *f, const struct sw_cef_field *c)
{
        cef_attacks(out, f, c, true);
}

static void cef_techniques(struct sw_buf *out, const struct sw_json *f, const struct sw_cef_field *c)
{
        cef_attacks(out, f, c, false);
}

/* ---- the table; bounds are the specification's ---- */

#define EVIDENCE "evidences[0]."
/* clang-format off */
static const struct sw_cef_field cef_fields[] = {
        { "Device Vendor", SW_CEF_HEADER, 512, NULL, "metadata.product.vendor_name", cef_str, "segwatch." },
        { "Device Product", SW_CEF_HEADER, 512, NULL, "metadata.product.name", cef_str, "segwatch." },
        { "Device Version", SW_CEF_HEADER, 512, NULL, "metadata.product.version", cef_str, "Version of the program." },
        { "Device Event Class ID", SW_CEF_HEADER, 512, NULL, "finding_info.analytic.uid", cef_class, "Detector of the heaviest signal (D08); health for findings about segwatch itself." },
        { "Name", SW_CEF_HEADER, 512, NULL, "finding_info.title", cef_str, "Title." },
        { "Severity", SW_CEF_HEADER, 0, NULL, "severity_id", cef_severity, "1 informational, 3 low, 5 medium, 8 high, 10 critical." },
        { "rt", SW_CEF_TIME, 0, NULL, "metadata.logged_time", cef_number, "When the line was written." },
        { "externalId", SW_CEF_STRING, 40, NULL, "finding_info.uid", cef_str, "Id of the finding; the same in all lines about it." },
        { "act", SW_CEF_STRING, 63, NULL, "action", cef_str, "Allowed, Denied or Observed: what the network did." },
        { "cat", SW_CEF_STRING, 1023, NULL, "unmapped.kind", cef_str, "incident, detector or health." },
        { "cnt", SW_CEF_LONG, 0, NULL, "count", cef_number, "Signals behind the finding." },
        { "start", SW_CEF_TIME, 0, NULL, "start_time", cef_number, "First evidence." },
        { "end", SW_CEF_TIME, 0, NULL, "end_time", cef_number, "Last evidence." },
        { "dvc", SW_CEF_IPV4, 63, NULL, "unmapped.actor", cef_addr, "The host that acts." },
        { "c6a1", SW_CEF_IPV6, 63, "DeviceIPv6", "unmapped.actor", cef_addr, "The host that acts." },
        { "src", SW_CEF_IPV4, 63, NULL, EVIDENCE "src_endpoint.ip", cef_addr, "Source of the first evidence." },
        { "c6a2", SW_CEF_IPV6, 63, "SourceIPv6", EVIDENCE "src_endpoint.ip", cef_addr, "Source of the first evidence." },
        { "spt", SW_CEF_LONG, 0, NULL, EVIDENCE "src_endpoint.port", cef_number, "Its port." },
        { "dst", SW_CEF_IPV4, 63, NULL, EVIDENCE "dst_endpoint.ip", cef_addr, "Destination of the first evidence." },
        { "c6a3", SW_CEF_IPV6, 63, "DestinationIPv6", EVIDENCE "dst_endpoint.ip", cef_addr, "Destination of the first evidence." },
        { "dpt", SW_CEF_LONG, 0, NULL, EVIDENCE "dst_endpoint.port", cef_number, "Its port." },
        { "proto", SW_CEF_STRING, 31, NULL, EVIDENCE "connection_info.protocol_name", cef_str, "tcp, udp or a number." },
        { "out", SW_CEF_LONG, 0, NULL, EVIDENCE "data.bytes_out", cef_number, "Bytes from source to destination." },
        { "in", SW_CEF_LONG, 0, NULL, EVIDENCE "data.bytes_in", cef_number, "Bytes back." },
        { "cs1", SW_CEF_STRING, 4000, "Detector", "finding_info.analytic.name", cef_str, "Detector of the heaviest signal." },
        { "cs2", SW_CEF_STRING, 4000, "AttackTactics", "finding_info.attacks[].tactic.uid", cef_tactics, "MITRE ATT&CK tactics, separated by spaces." },
        { "cs3", SW_CEF_STRING, 4000, "AttackTechniques", "finding_info.attacks[].technique.uid", cef_techniques, "MITRE ATT&CK techniques, separated by spaces." },
        { "cs4", SW_CEF_STRING, 4000, "Rule", EVIDENCE "data.rule", cef_str, "Security rule that decided." },
        { "cs5", SW_CEF_STRING, 4000, "SrcSegment", "unmapped.segment_src", cef_str, "Segment of the actor." },
        { "cs6", SW_CEF_STRING, 4000, "DstSegment", "unmapped.segment_dst", cef_str, "Segment that was reached." },
        { "cn1", SW_CEF_LONG, 0, "Confidence", "confidence_score", cef_number, "0 to 100." },
        { "cn2", SW_CEF_LONG, 0, "Risk", "risk_score", cef_number, "0 to 100." },
        { "flexNumber1", SW_CEF_LONG, 0, "Sample", "unmapped.is_sample", cef_true, "1: a finding of `segwatch test-alert`; else not there." },
        { "flexString1", SW_CEF_STRING, 128, "LineUid", "metadata.uid", cef_str, "Id of this line; the same if it is delivered twice." },
        { "flexString2", SW_CEF_STRING, 128, "Activity", "activity_name", cef_str, "Create, Update or Close." },
        { "msg", SW_CEF_STRING, 1023, NULL, "message", cef_str, "One sentence: who did what to whom, and what is normal there." },
};
/* clang-format on */

const struct sw_cef_field *sw_cef_fields(uint32_t *ret_n)
{
        *ret_n = sizeof(cef_fields) / sizeof(*cef_fields);
        return cef_fields;
}

int sw_enc_cef(struct sw_buf *out, const struct sw_json *finding)
{
        struct sw_buf value = SW_BUF_NULL;
        bool first = true; /* of the extension; a value may end in a bar as well */
        size_t i;

        if (!sw_json_is_object(finding) || sw_json_str(sw_json_at(finding, "finding_info.uid")).n == 0)
                return SW_CEF_NO_FINDING;
        sw_buf_puts(out, "CEF:0|");
        for (i = 0; i < sizeof(cef_fields) / sizeof(*cef_fields); i++) {
                const struct sw_cef_field *c = &cef_fields[i];

                sw_buf_reset(&value);
                c->put(&value, finding, c);
                if (c->type != SW_CEF_HEADER && value.n == 0)
                        continue;
                if (c->type != SW_CEF_HEADER) {
                        sw_buf_printf(out, "%s%s=", first ? "" : " ", c->key);
                        first = false;
                }
                if (value.n)
                        sw_buf_put(out, value.p, value.n);
                if (c->type == SW_CEF_HEADER)
                        sw_buf_putc(out, '|');
                if (c->label)
                        sw_buf_printf(out, " %sLabel=%s", c->key, c->label);
        }
        out->failed = out->failed || value.failed;
        sw_buf_deinit(&value);
        return SW_CEF_OK;
}

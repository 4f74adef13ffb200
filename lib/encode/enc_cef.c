/* SPDX-License-Identifier: Apache-2.0 */
#include "encode/enc_cef.h"

#include "encode/enc_escape.h"
#include "model/addr.h"

#include <stdio.h>

#define CEF_HEADER_MAX 512
#define CEF_MSG_MAX 1023 /* the specification's bounds */
#define CEF_CUSTOM_MAX 4000
#define CEF_SHORT_MAX 63

#define EVIDENCE "evidences[0]."

/* Low 0-3, Medium 4-6, High 7-8, Very-High 9-10. */
static int cef_severity(const struct sw_json *f)
{
        static const int to[] = { 1, 1, 3, 5, 8, 10, 10 };
        int64_t id;

        if (!sw_json_i64(sw_json_get(f, "severity_id"), &id) || id < 0 || id > 6)
                return 1;
        return to[id];
}

static void cef_header(struct sw_buf *out, const struct sw_json *f, const char *path)
{
        sw_enc_cef_header(out, sw_json_str(sw_json_at(f, path)), CEF_HEADER_MAX);
        sw_buf_putc(out, '|');
}

static void cef_key(struct sw_buf *out, const char *key)
{
        if (out->n && out->p[out->n - 1] != '|')
                sw_buf_putc(out, ' ');
        sw_buf_puts(out, key);
        sw_buf_putc(out, '=');
}

static void cef_put(struct sw_buf *out, const char *key, struct sw_str s, size_t max)
{
        struct sw_buf value = SW_BUF_NULL;

        sw_enc_cef_value(&value, s, max);
        if (value.n) {
                cef_key(out, key);
                sw_buf_put(out, value.p, value.n);
        }
        out->failed = out->failed || value.failed;
        sw_buf_deinit(&value);
}

static void cef_str(struct sw_buf *out, const char *key, const struct sw_json *f, const char *path, size_t max)
{
        cef_put(out, key, sw_json_str(sw_json_at(f, path)), max);
}

static void cef_number(struct sw_buf *out, const char *key, const struct sw_json *f, const char *path)
{
        double v;

        if (!sw_json_double(sw_json_at(f, path), &v) || v < 0)
                return;
        cef_key(out, key);
        sw_buf_u64(out, v >= 9.2e18 ? INT64_MAX : (uint64_t)v);
}

static void cef_addr(struct sw_buf *out, const char *v4, const char *v6, const char *label, struct sw_str s)
{
        struct sw_addr a;

        if (!sw_addr_parse(s, &a))
                return;
        cef_put(out, sw_addr_is_v4(&a) ? v4 : v6, s, CEF_SHORT_MAX);
        if (!sw_addr_is_v4(&a)) {
                struct sw_buf key = SW_BUF_NULL;

                sw_buf_printf(&key, "%sLabel%c", v6, '\0');
                if (!key.failed)
                        cef_put(out, key.p, sw_str_of(label), CEF_SHORT_MAX);
                sw_buf_deinit(&key);
        }
}

static void cef_labelled(struct sw_buf *out, const char *key, const char *label, struct sw_str s, size_t max)
{
        char label_key[24];
        size_t before = out->n;

        cef_put(out, key, s, max);
        if (out->n == before)
                return;
        (void)snprintf(label_key, sizeof(label_key), "%sLabel", key);
        cef_put(out, label_key, sw_str_of(label), CEF_SHORT_MAX);
}

/* "TA0008 TA0007" or "T1021.004 T1046", each once. */
static void cef_attacks(struct sw_buf *out, const struct sw_json *f, bool tactics)
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
        cef_labelled(out, tactics ? "cs2" : "cs3", tactics ? "AttackTactics" : "AttackTechniques",
                (struct sw_str){ list.p, list.failed ? 0 : list.n }, CEF_CUSTOM_MAX);
        out->failed = out->failed || list.failed;
        sw_buf_deinit(&list);
}

static void cef_extension(struct sw_buf *out, const struct sw_json *f)
{
        cef_number(out, "rt", f, "metadata.logged_time");
        cef_str(out, "externalId", f, "finding_info.uid", 40);
        cef_str(out, "act", f, "action", CEF_SHORT_MAX);
        cef_str(out, "cat", f, "unmapped.kind", 1023);
        cef_number(out, "cnt", f, "count");
        cef_number(out, "start", f, "start_time");
        cef_number(out, "end", f, "end_time");
        cef_addr(out, "dvc", "c6a1", "DeviceIPv6", sw_json_str(sw_json_at(f, "unmapped.actor")));
        cef_addr(out, "src", "c6a2", "SourceIPv6", sw_json_str(sw_json_at(f, EVIDENCE "src_endpoint.ip")));
        cef_number(out, "spt", f, EVIDENCE "src_endpoint.port");
        cef_addr(out, "dst", "c6a3", "DestinationIPv6", sw_json_str(sw_json_at(f, EVIDENCE "dst_endpoint.ip")));
        cef_number(out, "dpt", f, EVIDENCE "dst_endpoint.port");
        cef_str(out, "proto", f, EVIDENCE "connection_info.protocol_name", 31);
        cef_number(out, "out", f, EVIDENCE "data.bytes_out");
        cef_number(out, "in", f, EVIDENCE "data.bytes_in");
        cef_labelled(out, "cs1", "Detector", sw_json_str(sw_json_at(f, "finding_info.analytic.name")), CEF_CUSTOM_MAX);
        cef_attacks(out, f, true);
        cef_attacks(out, f, false);
        cef_labelled(out, "cs4", "Rule", sw_json_str(sw_json_at(f, EVIDENCE "data.rule")), CEF_CUSTOM_MAX);
        cef_labelled(out, "cs5", "SrcSegment", sw_json_str(sw_json_at(f, "unmapped.segment_src")), CEF_CUSTOM_MAX);
        cef_labelled(out, "cs6", "DstSegment", sw_json_str(sw_json_at(f, "unmapped.segment_dst")), CEF_CUSTOM_MAX);
        cef_number(out, "cn1", f, "confidence_score");
        cef_put(out, "cn1Label", SW_STR("Confidence"), CEF_SHORT_MAX);
        cef_number(out, "cn2", f, "risk_score");
        cef_put(out, "cn2Label", SW_STR("Risk"), CEF_SHORT_MAX);
        cef_labelled(out, "flexString1", "LineUid", sw_json_str(sw_json_at(f, "metadata.uid")), 128);
        cef_labelled(out, "flexString2", "Activity", sw_json_str(sw_json_at(f, "activity_name")), 128);
        cef_str(out, "msg", f, "message", CEF_MSG_MAX);
}

int sw_enc_cef(struct sw_buf *out, const struct sw_json *finding)
{
        struct sw_str code = sw_json_str(sw_json_at(finding, "finding_info.analytic.uid"));

        if (!sw_json_is_object(finding) || sw_json_str(sw_json_at(finding, "finding_info.uid")).n == 0)
                return SW_CEF_NO_FINDING;
        sw_buf_puts(out, "CEF:0|");
        cef_header(out, finding, "metadata.product.vendor_name");
        cef_header(out, finding, "metadata.product.name");
        cef_header(out, finding, "metadata.product.version");
        sw_enc_cef_header(out, code.n ? code : sw_json_str(sw_json_at(finding, "unmapped.kind")), CEF_HEADER_MAX);
        sw_buf_putc(out, '|');
        cef_header(out, finding, "finding_info.title");
        sw_buf_printf(out, "%d|", cef_severity(finding));
        cef_extension(out, finding);
        return SW_CEF_OK;
}

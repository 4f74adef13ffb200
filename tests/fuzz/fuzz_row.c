/* SPDX-License-Identifier: Apache-2.0 */
/* Any JSON as a finding: what the projections make of it is a row of bounded size and valid JSON, one line of CEF, one
 * syslog message, an object by a template. */
#include "encode/enc_cef.h"
#include "encode/enc_row.h"
#include "encode/enc_syslog.h"
#include "fuzz.h"
#include "sink/template.h"

#include <string.h>

static void check_json(const struct sw_buf *b, const char *what)
{
        struct sw_json *j = sw_json_parse((struct sw_str){ b->p, b->n });

        FUZZ_CHECK(j, "%s is not JSON: %.*s", what, (int)b->n, b->p);
        sw_json_free(j);
}

static void check_row(const struct sw_json *j, struct sw_str line, uint32_t max)
{
        struct sw_buf out = SW_BUF_NULL;
        int r = sw_enc_row(&out, j, line, max);

        if (r == SW_ROW_OK) {
                check_json(&out, "row");
                FUZZ_CHECK(out.n < 400000, "a row of %zu bytes", out.n);
        } else {
                FUZZ_CHECK(out.n == 0, "refused, and yet something was written");
        }
        sw_buf_deinit(&out);
}

static void check_cef(const struct sw_json *j)
{
        const struct sw_syslog_head head = { 20, SW_STR("host"), SW_STR("app"), SW_STR("1") };
        struct sw_buf out = SW_BUF_NULL, message = SW_BUF_NULL;

        if (sw_enc_cef(&out, j) == SW_CEF_OK) {
                FUZZ_CHECK(!memchr(out.p, '\n', out.n) && !memchr(out.p, '\r', out.n), "more than one line");
                FUZZ_CHECK(out.n < 100000, "%zu bytes of CEF", out.n);
                sw_enc_syslog(&message, &head, j, (struct sw_str){ out.p, out.n });
                FUZZ_CHECK(!memchr(message.p, '\n', message.n), "more than one line");
        }
        sw_buf_deinit(&out);
        sw_buf_deinit(&message);
}

static void check_template(const struct sw_json *j, size_t max)
{
        char key[] = "k", whole[] = "{finding_info}", within[] = "{unmapped} {message}: {evidences[0].data.rule}";
        struct sw_kv kv[2] = { { key, whole, { 0 } }, { key, within, { 0 } } };
        const struct sw_kv_list fields = { kv, 2 };
        struct sw_template *t;
        struct sw_buf out = SW_BUF_NULL;

        if (sw_template_new(&fields, &t) < 0)
                return;
        sw_template_put(t, j, max, &out);
        check_json(&out, "template");
        sw_buf_deinit(&out);
        sw_template_free(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct sw_str line = { (const char *)data, size };
        struct sw_json *j = sw_json_parse(line);

        if (!j)
                return 0;
        check_row(j, line, SW_ROW_FINDING_MAX);
        check_row(j, line, 100);
        check_cef(j);
        check_template(j, SIZE_MAX);
        check_template(j, 60);
        sw_json_free(j);
        return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/schema_cef.h"

#include "config/emit.h"
#include "encode/enc_cef.h"

void sw_schema_cef_fields(struct sw_buf *out)
{
        struct sw_buf json = SW_BUF_NULL;
        struct sw_jsonw w = sw_jsonw_start(&json);
        uint32_t n, i;
        const struct sw_cef_field *c = sw_cef_fields(&n);

        sw_jsonw_array(&w);
        for (i = 0; i < n; i++) {
                sw_jsonw_object(&w);
                sw_jsonw_ktext(&w, "key", c[i].key);
                sw_jsonw_ktext(&w, "type", sw_cef_type_text(c[i].type));
                if (c[i].max)
                        sw_jsonw_ku64(&w, "max", c[i].max);
                if (c[i].label)
                        sw_jsonw_ktext(&w, "label", c[i].label);
                sw_jsonw_ktext(&w, "from", c[i].from);
                sw_jsonw_ktext(&w, "description", c[i].doc);
                sw_jsonw_end_object(&w);
        }
        sw_jsonw_end_array(&w);
        sw_emit_pretty(out, (struct sw_str){ json.p, json.n });
        out->failed = out->failed || json.failed;
        sw_buf_deinit(&json);
}

void sw_schema_cef_markdown(struct sw_buf *out)
{
        uint32_t n, i;
        const struct sw_cef_field *c = sw_cef_fields(&n);

        sw_buf_puts(out,
                "| key | label | type | bytes at most | from the OCSF object | meaning |\n|---|---|---|---|---|---|\n");
        for (i = 0; i < n; i++) {
                sw_buf_printf(out, "| `%s` | %s | %s | ", c[i].key, c[i].label ? c[i].label : "",
                        sw_cef_type_text(c[i].type));
                if (c[i].max)
                        sw_buf_u64(out, c[i].max);
                sw_buf_printf(out, " | `%s` | %s |\n", c[i].from, c[i].doc);
        }
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "sink/template.h"

#include <criterion/criterion.h>

static void check(const char *text, const char *want)
{
        struct sw_json *j =
                sw_json_parse(SW_STR("{\"a\":{\"s\":\"x\\\"\\n\",\"n\":12,\"big\":1e300},\"l\":[1,\"b\"],\"t\":true,"
                                     "\"o\":{\"k\":null}}"));
        char key[] = "k";
        struct sw_kv kv = { key, (void *)(uintptr_t)text, { 0 } };
        const struct sw_kv_list fields = { &kv, 1 };
        struct sw_template *t;
        struct sw_buf out = SW_BUF_NULL;

        cr_assert_not_null(j);
        cr_assert_null(sw_template_wrong(text));
        cr_assert_eq(sw_template_new(&fields, &t), 0);
        sw_template_put(t, j, &out);
        sw_buf_putc(&out, '\0');
        cr_assert_str_eq(out.p, want);
        sw_buf_deinit(&out);
        sw_template_free(t);
        sw_json_free(j);
}

Test(template, a_path_alone_keeps_its_type)
{
        check("{a.s}", "{\"k\":\"x\\\"\\n\"}");
        check("{a.n}", "{\"k\":12}");
        check("{l}", "{\"k\":[1,\"b\"]}");
        check("{l[1]}", "{\"k\":\"b\"}");
        check("{t}", "{\"k\":true}");
        check("{o}", "{\"k\":{\"k\":null}}");
        check("{none.at.all}", "{\"k\":null}");
}

Test(template, within_text_everything_is_text)
{
        check("<{a.s}>", "{\"k\":\"<x\\\"\\n>\"}");
        check("{a.n}{t}", "{\"k\":\"12true\"}");
        check("{l} and {none}.", "{\"k\":\"1, b and .\"}");
        check("{{a.n}", "{\"k\":\"{a.n}\"}");
        check("}", "{\"k\":\"}\"}");
        check("", "{\"k\":\"\"}");
}

Test(template, a_brace_that_is_not_closed_is_wrong)
{
        cr_assert_not_null(sw_template_wrong("{a"));
        cr_assert_not_null(sw_template_wrong("a {} b"));
        cr_assert_null(sw_template_wrong("{{ {a} }"));
}

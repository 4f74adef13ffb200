/* SPDX-License-Identifier: Apache-2.0 */
#include "sink/template.h"

#include <criterion/criterion.h>

static void check_max(const char *text, size_t max, const char *want)
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
        sw_template_put(t, j, max, &out);
        sw_buf_putc(&out, '\0');
        cr_assert_str_eq(out.p, want);
        sw_buf_deinit(&out);
        sw_template_free(t);
        sw_json_free(j);
}

static void check(const char *text, const char *want)
{
        check_max(text, SIZE_MAX, want);
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

Test(template, what_is_too_long_is_cut_and_stays_json)
{
        check_max("{a.s}", 2, "{\"k\":\"x\\\"\"}");
        check_max("{a.s}", 0, "{\"k\":\"\"}");
        check_max("{a.n}", 0, "{\"k\":12}");
        check_max("{l}", 2, "{\"k\":[1]}");
        check_max("{l}", 0, "{\"k\":[]}");
        check_max("{o}", 0, "{\"k\":{}}");
        check_max("{a}", 1, "{\"k\":{}}");
        check_max("{a}", 7, "{\"k\":{\"s\":\"x\\\"\"}}");
        check_max("<{a.n}> \xc3\xa4", 6, "{\"k\":\"<12> \"}");
        check_max("<{a.n}> \xc3\xa4", 7, "{\"k\":\"<12> \xc3\xa4\"}");
}

Test(template, a_brace_that_is_not_closed_is_wrong)
{
        cr_assert_not_null(sw_template_wrong("{a"));
        cr_assert_not_null(sw_template_wrong("a {} b"));
        cr_assert_null(sw_template_wrong("{{ {a} }"));
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

Test(json, walks_objects_and_arrays)
{
        struct sw_json *j = sw_json_parse(SW_STR(" {\"a\":{\"b\":[1,\"x\"]},\"n\":-5} \n"));
        const struct sw_json *item;
        int64_t v;

        cr_assert_not_null(j);
        cr_assert(sw_json_is_object(j));
        item = sw_json_first(sw_json_get(sw_json_get(j, "a"), "b"));
        cr_assert(sw_json_i64(item, &v));
        cr_assert_eq(v, 1);
        cr_assert_null(sw_json_key(item).p);
        cr_assert(sw_str_eq(sw_json_str(sw_json_next(item)), SW_STR("x")));
        cr_assert(sw_json_i64(sw_json_get(j, "n"), &v));
        cr_assert_eq(v, -5);
        cr_assert(sw_str_eq(sw_json_key(sw_json_first(j)), SW_STR("a")));
        cr_assert_null(sw_json_free(j));
}

Test(json, answers_nothing_for_what_is_not_there)
{
        struct sw_json *j = sw_json_parse(SW_STR("{\"s\":\"t\",\"big\":1e300}"));
        int64_t v = 7;

        cr_assert_null(sw_json_get(sw_json_get(j, "no"), "deeper"));
        cr_assert_null(sw_json_get(j, "S"), "keys are exact");
        cr_assert_null(sw_json_str(NULL).p);
        cr_assert_not(sw_json_i64(sw_json_get(j, "s"), &v));
        cr_assert_not(sw_json_i64(sw_json_get(j, "big"), &v));
        cr_assert_eq(v, 7);
        sw_json_free(j);
        sw_json_free(NULL);
}

Test(json, refuses_what_is_not_one_value)
{
        cr_assert_null(sw_json_parse(SW_STR_NULL));
        cr_assert_null(sw_json_parse(SW_STR("")));
        cr_assert_null(sw_json_parse(SW_STR("{\"a\":1")));
        cr_assert_null(sw_json_parse(SW_STR("{} {}")));
        cr_assert_null(sw_json_parse(SW_STR("nonsense")));
}

Test(json, paths_kinds_and_numbers_larger_than_a_double)
{
        struct sw_json *j =
                sw_json_parse(SW_STR("{\"a\":{\"b\":[1,{\"c\":\"x\"}]},\"n\":1e999,\"t\":true,\"z\":null}"));
        double v = 7;

        cr_assert(sw_str_eq(sw_json_str(sw_json_at(j, "a.b[1].c")), SW_STR("x")));
        cr_assert(sw_json_double(sw_json_at(j, "a.b[0]"), &v));
        cr_assert_eq(v, 1);
        cr_assert_null(sw_json_at(j, "a.b[2]"));
        cr_assert_null(sw_json_at(j, "a.x.c"));
        cr_assert_null(sw_json_at(NULL, "a"));
        cr_assert_not(sw_json_double(sw_json_get(j, "n"), &v));
        cr_assert_eq(sw_json_kind(sw_json_get(j, "t")), SW_JSON_TRUE);
        cr_assert_eq(sw_json_kind(sw_json_get(j, "z")), SW_JSON_NULL);
        cr_assert_eq(sw_json_kind(sw_json_get(j, "a")), SW_JSON_OBJECT);
        cr_assert_eq(sw_json_kind(NULL), SW_JSON_NONE);
        sw_json_free(j);
}

static bool reads(const char *text)
{
        struct sw_json *j = sw_json_parse(sw_str_of(text));
        bool is = j != NULL;

        sw_json_free(j);
        return is;
}

Test(json, escapes_are_what_they_stand_for)
{
        struct sw_json *j = sw_json_parse(
                SW_STR("[\"\\\"\\\\\\/\\b\\f\\n\\r\\t|\\u00e4\\u20AC\\ud83d\\ude00\", \"a\\u0000b\", \"\"]"));
        const struct sw_json *item = sw_json_first(j);

        cr_assert(sw_str_eq(sw_json_str(item), SW_STR("\"\\/\b\f\n\r\t|\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80")));
        item = sw_json_next(item);
        cr_assert(sw_str_eq(sw_json_str(item), SW_STR("a")), "a text ends at its first NUL");
        item = sw_json_next(item);
        cr_assert_not_null(sw_json_str(item).p, "an empty text is a text");
        cr_assert_eq(sw_json_str(item).n, 0);
        cr_assert_null(sw_json_next(item));
        sw_json_free(j);
        cr_assert_not(reads("\"\\ud83d\""), "half a pair");
        cr_assert_not(reads("\"\\ude00\""));
        cr_assert_not(reads("\"\\ud83d\\u0041\""));
        cr_assert_not(reads("\"\\u12\""));
        cr_assert_not(reads("\"\\x41\""));
        cr_assert_not(reads("\"\\"));
        cr_assert_not(reads("\"\\u"));
}

Test(json, numbers_are_those_of_the_grammar)
{
        static const char *const wrong[] = { "01", "-", "+1", ".5", "1.", "1e", "1e+", "0x10", "NaN", "-01", "1 2" };
        static const struct {
                const char *text;
                double v;
        } right[] = { { "0", 0 }, { "-7", -7 }, { "123456789012345", 123456789012345 },
                { "9007199254740993", 9007199254740992 }, { "0.1", 0.1 }, { "-2.5E3", -2500 }, { "1e-2", 0.01 },
                { "18446744073709551615", 18446744073709551616.0 } };
        struct sw_json *j;
        size_t i;
        double v;

        for (i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
                cr_assert_not(reads(wrong[i]), "%s", wrong[i]);
        for (i = 0; i < sizeof(right) / sizeof(*right); i++) {
                j = sw_json_parse(sw_str_of(right[i].text));
                cr_assert(sw_json_double(j, &v), "%s", right[i].text);
                cr_assert_eq(v, right[i].v, "%s", right[i].text);
                sw_json_free(j);
        }
}

Test(json, lists_end_where_they_should)
{
        static const char *const wrong[] = { "[1,]", "[,1]", "[1 2]", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}",
                "[1}", "{\"a\":1]", "[", "{", "[1", "{\"a\"", "{\"a\":", "tru", "nul", "[true", "]", "\"a",
                "{\"a\":1 \"b\":2}" };
        struct sw_json *j = sw_json_parse(SW_STR("\t[ ] "));
        size_t i;

        cr_assert_null(sw_json_first(j));
        cr_assert_eq(sw_json_kind(j), SW_JSON_ARRAY);
        sw_json_free(j);
        for (i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
                cr_assert_not(reads(wrong[i]), "%s", wrong[i]);
        j = sw_json_parse(SW_STR("{\"k\":1,\"k\":2}"));
        cr_assert_eq(sw_json_kind(sw_json_next(sw_json_next(sw_json_first(j)))), SW_JSON_NONE);
        sw_json_free(j);
}

Test(json, depth_has_an_end)
{
        char text[2002];

        memset(text, '[', 1000);
        memset(text + 1000, ']', 1000);
        text[2000] = '\0';
        cr_assert(reads(text));
        memset(text, '[', 1001);
        memset(text + 1001, ']', 1000);
        cr_assert_null(sw_json_parse((struct sw_str){ text, 2001 }));
}

Test(json, what_lies_behind_the_text_is_not_read)
{
        /* sanitizers look */
        char *text = malloc(6);

        memcpy(text, "12345\"", 6);
        for (size_t n = 1; n <= 5; n++) {
                struct sw_json *j = sw_json_parse((struct sw_str){ text, n });
                int64_t v;

                cr_assert(sw_json_i64(j, &v));
                sw_json_free(j);
        }
        free(text);
}

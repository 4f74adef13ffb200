/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include <criterion/criterion.h>
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

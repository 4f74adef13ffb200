/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <criterion/criterion.h>
#include <string.h>

Test(err, every_code_has_its_own_text)
{
        int codes[] = {
#define CODE(name, text) SW_ERR_##name,
                SW_ERROR_MAP(CODE)
#undef CODE
        };
        size_t i, k;

        for (i = 0; i < sizeof(codes) / sizeof(*codes); i++) {
                cr_assert_str_neq(sw_error_text(codes[i]), "unknown error");
                cr_assert_eq(sw_error_text(-codes[i]), sw_error_text(codes[i]));
                for (k = 0; k < i; k++)
                        cr_assert_str_neq(sw_error_text(codes[i]), sw_error_text(codes[k]));
        }
        cr_assert_str_eq(sw_error_text(4711), "unknown error");
}

Test(err, words_are_put_in_front_and_never_beyond_the_end)
{
        struct sw_err err = SW_ERR_NULL;
        char much[1000];

        cr_assert_eq(sw_err_set(&err, -SW_ERR_IO, "%s failed", "it"), -SW_ERR_IO);
        cr_assert_eq(sw_err_prefix(&err, "part %d", 7), -SW_ERR_IO);
        cr_assert_str_eq(err.msg, "part 7: it failed");
        memset(much, 'x', sizeof(much) - 1);
        much[sizeof(much) - 1] = '\0';
        cr_assert_eq(sw_err_prefix(&err, "%s", much), -SW_ERR_IO);
        cr_assert_eq(strlen(err.msg), sizeof(err.msg) - 1);
        cr_assert_eq(sw_err_set(&err, -SW_ERR_DATA, "%s", much), -SW_ERR_DATA);
        cr_assert_eq(sw_err_prefix(&err, "a"), -SW_ERR_DATA);
        cr_assert_eq(strlen(err.msg), sizeof(err.msg) - 1);
        cr_assert_eq(strncmp(err.msg, "a: xxx", 6), 0);
        cr_assert_eq(sw_err_set(NULL, -SW_ERR_DATA, "nobody listens"), -SW_ERR_DATA);
        cr_assert_lt(sw_err_prefix(NULL, "nobody"), 0);
}

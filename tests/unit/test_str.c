/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"
#include "base/jsonw.h"

#include <criterion/criterion.h>

Test(str, parses_only_plain_decimal_numbers)
{
        uint64_t v;

        cr_assert(sw_parse_u64(SW_STR("18446744073709551615"), &v) && v == UINT64_MAX);
        cr_assert(sw_parse_u64(SW_STR("0"), &v) && v == 0);
        cr_assert_not(sw_parse_u64(SW_STR("18446744073709551616"), &v));
        cr_assert_not(sw_parse_u64(SW_STR(""), &v));
        cr_assert_not(sw_parse_u64(SW_STR("-1"), &v));
        cr_assert_not(sw_parse_u64(SW_STR("1 "), &v));
}

Test(str, distance_finds_near_misses)
{
        static const char sixty_five[] = "01234567890123456789012345678901234567890123456789012345678901234";

        cr_assert_eq(sw_str_distance(SW_STR("segmnts"), SW_STR("segments")), 1);
        cr_assert_eq(sw_str_distance(SW_STR("abc"), SW_STR("abc")), 0);
        cr_assert_eq(sw_str_distance(SW_STR(""), SW_STR("abc")), 3);
        cr_assert_eq(sw_str_distance(SW_STR("a"), (struct sw_str){ sixty_five, 65 }), 64, "long ones are far");
        cr_assert_eq(sw_str_distance((struct sw_str){ sixty_five, 65 }, SW_STR("a")), 64);
}

Test(str, json_writer_escapes_and_repairs_text)
{
        struct sw_buf b = SW_BUF_NULL;
        struct sw_jsonw w = sw_jsonw_start(&b);

        sw_jsonw_object(&w);
        sw_jsonw_kstr(&w, "a", SW_STR("x\"\\\n\x01\xff\xc3\xa9\x7f"));
        sw_jsonw_key(&w, "b");
        sw_jsonw_array(&w);
        sw_jsonw_i64(&w, INT64_MIN);
        sw_jsonw_bool(&w, true);
        sw_jsonw_end_array(&w);
        sw_jsonw_end_object(&w);
        sw_buf_putc(&b, '\0');
        cr_assert_str_eq(
                b.p, "{\"a\":\"x\\\"\\\\\\n\\u0001\xef\xbf\xbd\xc3\xa9\\u007f\",\"b\":[-9223372036854775808,true]}");
        sw_buf_deinit(&b);
}

Test(str, arena_survives_reset_and_hands_out_aligned_memory)
{
        struct sw_arena a = SW_ARENA_NULL;
        int round, i;

        for (round = 0; round < 3; round++) {
                for (i = 1; i < 2000; i++) {
                        char *p = sw_arena_alloc(&a, (size_t)i);

                        cr_assert(p && (uintptr_t)p % 8 == 0);
                        memset(p, 0xaa, (size_t)i);
                }
                sw_arena_reset(&a);
        }
        sw_arena_deinit(&a);
}

Test(str, a_name_is_looked_for_beside_a_file_unless_it_is_absolute)
{
        static const char *const rows[][3] = { { "/etc/a/b.yaml", "c.yaml", "/etc/a/c.yaml" },
                { "b.yaml", "c.yaml", "c.yaml" }, { "/b", "c/d", "/c/d" }, { "a/b", "/c", "/c" }, { "a/b", "", "a/" } };
        size_t i;

        for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
                struct sw_buf b = SW_BUF_NULL;

                sw_buf_put_beside(&b, rows[i][0], rows[i][1]);
                sw_buf_putc(&b, '\0');
                cr_assert_str_eq(b.p, rows[i][2]);
                sw_buf_deinit(&b);
        }
}

Test(str, order_of_texts_is_without_case_and_the_shorter_comes_first)
{
        cr_assert_eq(sw_str_icmp(SW_STR("ABC"), SW_STR("abc")), 0);
        cr_assert_lt(sw_str_icmp(SW_STR("ab"), SW_STR("ABC")), 0);
        cr_assert_gt(sw_str_icmp(SW_STR("abc"), SW_STR("AB")), 0);
        cr_assert_lt(sw_str_icmp(SW_STR("aba"), SW_STR("ABB")), 0);
        cr_assert_gt(sw_str_icmp(SW_STR("abb"), SW_STR("ABA")), 0);
        cr_assert(sw_str_starts(SW_STR("abc"), SW_STR("")));
        cr_assert(sw_str_starts(SW_STR(""), SW_STR("")));
        cr_assert(sw_str_starts(SW_STR("abc"), SW_STR("ab")));
        cr_assert_not(sw_str_starts(SW_STR("abc"), SW_STR("b")));
        cr_assert_not(sw_str_starts(SW_STR("a"), SW_STR("ab")));
}

Test(str, utf_8_is_cut_between_characters)
{
        const struct sw_str s = SW_STR("a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80");
        static const struct {
                struct sw_str s;
                size_t n;
        } rows[] = { { { "", 0 }, 0 }, { { "a", 1 }, 1 }, { { "\xc3\xa4", 2 }, 2 }, { { "\xc3", 1 }, 0 },
                { { "\xc0\x80", 2 }, 0 }, { { "\xe2\x82\xac", 3 }, 3 }, { { "\xe0\x80\x80", 3 }, 0 },
                { { "\xed\xa0\x80", 3 }, 0 }, { { "\xf0\x9f\x98\x80", 4 }, 4 }, { { "\xf0\x80\x80\x80", 4 }, 0 },
                { { "\xf4\x90\x80\x80", 4 }, 0 }, { { "\xf5\x80\x80\x80", 4 }, 0 }, { { "\xff", 1 }, 0 },
                { { "\xe2\x82", 2 }, 0 }, { { "\xe2\x28\xac", 3 }, 0 } };
        static const size_t cut[] = { 0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 10 };
        size_t i;

        for (i = 0; i < sizeof(rows) / sizeof(*rows); i++)
                cr_expect_eq(sw_utf8_length(rows[i].s), rows[i].n, "row %zu", i);
        for (i = 0; i < sizeof(cut) / sizeof(*cut); i++)
                cr_expect_eq(sw_utf8_cut(s, i).n, cut[i], "at %zu", i);
        cr_expect_eq(sw_utf8_cut(SW_STR("\x80\x80\x80"), 2).n, 0);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "term.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static void check(struct sw_str in, const char *want, bool json)
{
        struct sw_buf b = SW_BUF_NULL;

        (json ? sw_term_put_json : sw_term_put)(&b, in);
        sw_buf_putc(&b, '\0');
        cr_expect_str_eq(b.p, want);
        sw_buf_deinit(&b);
}

Test(term, lets_readable_text_through)
{
        check(SW_STR("plain 10.1.2.3 -> db"), "plain 10.1.2.3 -> db", false);
        check(SW_STR("Z\xc3\xbcrich \xe2\x82\xac \xf0\x9f\x98\x80"), "Z\xc3\xbcrich \xe2\x82\xac \xf0\x9f\x98\x80",
                false);
}

Test(term, escapes_what_drives_a_terminal)
{
        check(SW_STR("a\x1b[2J\x07\n\r\t\x7f"), "a\\x1b[2J\\x07\\x0a\\x0d\\x09\\x7f", false);
        check(SW_STR("\xc2\x9b"
                     "31m"),
                "\\xc2\\x9b31m", false); /* C1 as UTF-8 */
        check(SW_STR("\x9b"
                     "31m"),
                "\\x9b31m", false); /* C1 as a byte */
        check(SW_STR("\xe2\x80\xae"
                     "fdp"),
                "\\xe2\\x80\\xaefdp", false);
}

Test(term, escapes_invalid_utf8)
{
        check(SW_STR("\xc0\xaf"), "\\xc0\\xaf", false);
        check(SW_STR("\xed\xa0\x80"), "\\xed\\xa0\\x80", false);
        check(SW_STR("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80", false);
        check(SW_STR("\xe2\x82"), "\\xe2\\x82", false);
}

Test(term, keeps_json_valid)
{
        check(SW_STR("{\"a\":\"\\u001b \xc2\x9b \x7f \xff\"}"), "{\"a\":\"\\u001b \\u009b \\u007f \\ufffd\"}", true);
}

Test(term, knows_when_colour_is_wanted)
{
        enum sw_color c;

        cr_assert(sw_color_by_name("always", &c));
        cr_assert(sw_color_wanted(c, 99));
        cr_assert(sw_color_by_name("never", &c));
        cr_assert_not(sw_color_wanted(c, 1));
        cr_assert_not(sw_color_by_name("Always", &c));
        cr_assert_not(sw_color_wanted(SW_COLOR_AUTO, 99), "no terminal");
}

/* Nothing that drives a terminal or is not UTF-8 comes through, whatever comes in. */
Test(term, a_million_strings_stay_text)
{
        static const char *const parts[] = { "\x1b[2J", "\xc2\x9b", "\x9b", "\xe2\x80\xae", "\xff", "\x7f", "\r", "\n",
                "ab", "\xf0\x9f\x98\x80", "\xed\xa0\x80", "\xef\xbb\xbf" };
        uint64_t state = 1;
        struct sw_buf b = SW_BUF_NULL;
        unsigned i, k;

        for (i = 0; i < 1000000; i++) {
                char in[32];
                size_t n = 0, at, len;

                for (k = 0; k < 5; k++) {
                        const char *part;

                        state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
                        part = parts[(state >> 33) % (sizeof(parts) / sizeof(*parts))];
                        memcpy(in + n, part, strlen(part));
                        n += strlen(part);
                        in[n++] = (char)(state >> 40);
                }
                sw_buf_reset(&b);
                sw_term_put(&b, (struct sw_str){ in, n });
                for (at = 0; at < b.n; at += len) {
                        unsigned char c = (unsigned char)b.p[at];

                        len = sw_utf8_length((struct sw_str){ b.p + at, b.n - at });
                        cr_assert(len > 0 && c >= 0x20 && c != 0x7f);
                        cr_assert_not(len == 2 && c == 0xc2 && (unsigned char)b.p[at + 1] < 0xa0);
                        cr_assert_not(len == 3 && memcmp(b.p + at, "\xe2\x80\xae", 3) == 0);
                }
        }
        sw_buf_deinit(&b);
}

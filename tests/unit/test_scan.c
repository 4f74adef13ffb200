/* SPDX-License-Identifier: Apache-2.0 */
#include "decode/scan.h"
#include "decode/text.h"

#include <cjson/cJSON.h>
#include <criterion/criterion.h>

static enum sw_scan_result scan(struct sw_str s, size_t step, size_t *ret_at, struct sw_scan *x)
{
        enum sw_scan_result r = SW_SCAN_MORE;
        size_t n = 0;

        *ret_at = 0;
        sw_scan_start(x, false, SW_SCAN_MAX_DEPTH);
        while (r == SW_SCAN_MORE) {
                n = s.n - n < step ? s.n : n + step;
                r = sw_scan_run(x, s.p, n, ret_at, n == s.n);
        }
        return r;
}

Test(scan, takes_json_and_nothing_else)
{
        static const struct {
                const char *text;
                enum sw_scan_result want;
        } rows[] = { { "0", SW_SCAN_DONE }, { "-0.5e+10", SW_SCAN_DONE }, { "1E5", SW_SCAN_DONE }, { "-", SW_SCAN_BAD },
                { "1e", SW_SCAN_BAD }, { ".5", SW_SCAN_BAD }, { "true", SW_SCAN_DONE }, { "tru", SW_SCAN_BAD },
                { "null", SW_SCAN_DONE }, { "\"a\\\"b\"", SW_SCAN_DONE }, { "\"\\u00AF\\/\"", SW_SCAN_DONE },
                { "\"\\u00A\"", SW_SCAN_BAD }, { "\"\t\"", SW_SCAN_BAD }, { "[]", SW_SCAN_DONE },
                { "[1 2]", SW_SCAN_BAD }, { "[1,]", SW_SCAN_BAD }, { "[,1]", SW_SCAN_BAD }, { "{}", SW_SCAN_DONE },
                { "{\"a\":{\"b\":[[]]}}", SW_SCAN_DONE }, { "{\"a\"}", SW_SCAN_BAD }, { "{\"a\":1,}", SW_SCAN_BAD },
                { "{1:1}", SW_SCAN_BAD }, { "[1}", SW_SCAN_BAD }, { "{\"a\":1]", SW_SCAN_BAD }, { "[", SW_SCAN_BAD },
                { "", SW_SCAN_BAD }, { "\v1", SW_SCAN_BAD }, { " \t\r\n1", SW_SCAN_DONE },
                { "\"\xff\xfe\"", SW_SCAN_DONE } };
        size_t i, step, at;
        struct sw_scan x;

        for (i = 0; i < sizeof(rows) / sizeof(*rows); i++)
                for (step = 1; step < 100; step += 33)
                        cr_assert_eq(scan(sw_str_of(rows[i].text), step, &at, &x), rows[i].want, "%s by %zu",
                                rows[i].text, step);
}

static const char *const atoms[] = { "{", "}", "[", "]", ",", ":", "\"\"", "\"a\"", "\"\\u0000\"", "\"\\ud800\"",
        "\"\\ud83d\\ude00\"", "\"\\\\\"", "\"", "\\", "0", "-1", "1.5e3", "01", "1.", "true", "false", "null", "nul",
        " ", "\n", "\"x\":", "\"y\":[", "\"z\":{", "],", "},",
        "1234567890123456789012345678901234567890123456789012345678901234567890" };

/* Whatever the scanner takes, cJSON takes after normalising, to the same end; and bytes one by one change nothing. */
Test(scan, agrees_with_cjson_and_with_itself)
{
        uint64_t x = 88172645463325252u;
        unsigned round, good = 0;

        for (round = 0; round < 200000; round++) {
                char text[2048], plain[2048];
                enum sw_scan_result r, by_one;
                struct sw_scan s, t;
                size_t n = 0, at, at_by_one;
                unsigned i;

                x ^= x << 13, x ^= x >> 7, x ^= x << 17;
                for (i = 0; i < 1 + x % 12; i++) {
                        uint64_t y = (x >> 3) * (i + 1) * 0x9e3779b97f4a7c15u;
                        const char *z = atoms[(y >> 32) % (sizeof(atoms) / sizeof(*atoms))];

                        memcpy(text + n, z, strlen(z));
                        n += strlen(z);
                }
                r = scan((struct sw_str){ text, n }, sizeof(text), &at, &s);
                by_one = scan((struct sw_str){ text, n }, 1, &at_by_one, &t);
                cr_assert_eq(r, by_one, "%.*s", (int)n, text);
                cr_assert_eq(at, at_by_one);
                if (r == SW_SCAN_DONE) {
                        size_t m = sw__normalise((struct sw_str){ text, at }, plain);
                        const char *end = NULL;
                        cJSON *tree = cJSON_ParseWithLengthOpts(plain, m, &end, 0);

                        cr_assert_not_null(tree, "%.*s", (int)n, text);
                        cr_assert_eq(end, plain + m, "%.*s", (int)n, text);
                        if (!s.odd)
                                cr_assert(m == at && memcmp(plain, text, m) == 0);
                        cJSON_Delete(tree);
                        good++;
                }
        }
        cr_assert_gt(good, 5000, "%u", good);
}

Test(scan, unescapes_as_cjson_does)
{
        static const char *const rows[] = { "\"\"", "\"abc\"", "\"\\b\\f\\n\\r\\t\\\"\\\\\\/\"",
                "\"\\u0041\\u00e9\\u20ac\"", "\"\\ud83d\\ude00\"", "\"\\ud83dx\"", "\"\\ude00\"",
                "\"\\ud83d\\ud83d\\ude00\"", "\"a\\u0000b\"", "\"\\uFFFD\"" };
        size_t i;

        for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
                size_t n = strlen(rows[i]), m, k;
                char plain[128], mine[128];
                cJSON *tree;

                m = sw__normalise((struct sw_str){ rows[i], n }, plain);
                tree = cJSON_ParseWithLength(plain, m);
                cr_assert_not_null(tree, "%s", rows[i]);
                k = sw__unescape((struct sw_str){ rows[i] + 1, n - 2 }, mine);
                cr_assert_eq(strlen(tree->valuestring), k, "%s", rows[i]);
                cr_assert(memcmp(tree->valuestring, mine, k) == 0);
                cJSON_Delete(tree);
        }
}

/* Where a long string is looked at in wide steps, every place of a byte in a step counts. */
Test(scan, finds_what_ends_a_string_at_every_place)
{
        static const char ends[] = { '"', '\\', '\n', '\0', 0x1f };
        unsigned n, i;

        for (n = 0; n < 200; n++)
                for (i = 0; i < sizeof(ends); i++) {
                        char text[600] = "[\"";
                        size_t used = 2, at = 0;
                        struct sw_scan s;
                        enum sw_scan_result r;

                        memset(text + used, n % 2 ? 0xc3 : 'x', n);
                        used += n;
                        text[used++] = ends[i];
                        if (ends[i] == '\\')
                                text[used++] = '"';
                        if (ends[i] == '\\')
                                text[used++] = '"';
                        memcpy(text + used, ",\"abc\",\"d\"]", 11);
                        used += 11;
                        memset(text + used, ' ', sizeof(text) - used);
                        sw_scan_start(&s, false, 8);
                        r = sw_scan_run(&s, text, sizeof(text), &at, true);
                        if (i > 1) {
                                cr_assert_eq(r, SW_SCAN_BAD, "%u bytes, then %d", n, ends[i]);
                                cr_assert_eq(at, 2u + n, "a control byte is where it is");
                                continue;
                        }
                        cr_assert_eq(r, SW_SCAN_DONE, "%u bytes, then %d", n, ends[i]);
                        cr_assert_eq(at, used);
                        cr_assert_eq(s.n_values, 4u, "an array of three");
                        cr_assert_eq(s.escaped, false, "the last string is plain");
                }
}

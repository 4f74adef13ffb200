/* SPDX-License-Identifier: Apache-2.0 */
/* What the encoders write is read back by parsers of the formats that know nothing of them. */
#include "encode/enc_escape.h"

#include <criterion/criterion.h>
#include <string.h>

#define N_STRINGS 1000000
#define N_BYTES 28

static uint64_t random_state;

static uint32_t next_random(void)
{
        random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        return (uint32_t)(random_state >> 33);
}

/* Much of what has a meaning somewhere, some of everything. */
static struct sw_str random_string(char buf[N_BYTES])
{
        static const char *const parts[] = { "|", "\\", "=", "\n", "\r", "\"", "]", "[", " ", "'", ",", "\t",
                "\x1b[31m", "src=", " msg=x", "CEF:0|", "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xff",
                "\xc2\x9b", "\xed\xa0\x80", "\x7f", "<14>1 ", "+", "-", "@", "\\n", "\\\\|" };
        size_t n = next_random() % N_BYTES, i = 0;

        while (i < n) {
                const char *part = parts[next_random() % (sizeof(parts) / sizeof(*parts))];
                size_t k = strlen(part);

                if (next_random() % 3 == 0) {
                        buf[i++] = (char)next_random();
                } else if (i + k <= n) {
                        memcpy(buf + i, part, k);
                        i += k;
                } else {
                        buf[i++] = 'a';
                }
        }
        return (struct sw_str){ buf, n };
}

static bool is_clean(const struct sw_buf *b, bool lines)
{
        size_t i, len;

        for (i = 0; i < b->n; i += len) {
                struct sw_str rest = { b->p + i, b->n - i };
                unsigned char c = (unsigned char)*rest.p;

                len = sw_utf8_length(rest);
                if (len == 0 || c == 0x7f || (len == 2 && c == 0xc2 && (unsigned char)rest.p[1] < 0xa0))
                        return false;
                if (c < 0x20 && !(lines && (c == '\n' || c == '\r')))
                        return false;
        }
        return true;
}

static void expect_same(const struct sw_buf *want, const struct sw_buf *got, struct sw_str from, const char *what)
{
        if (want->n == got->n && (want->n == 0 || memcmp(want->p, got->p, want->n) == 0))
                return;
        cr_assert_fail("%s of '%.*s' reads back as '%.*s', not '%.*s'", what, (int)from.n, from.p, (int)got->n,
                got->p ? got->p : "", (int)want->n, want->p ? want->p : "");
}

/* A CEF message of one header field and two extensions, read as a SIEM does: the header ends at the seventh bar that
 * has no backslash, a key is the word before an '=' that has none. */
static bool read_cef(const struct sw_buf *m, struct sw_buf *name, struct sw_buf *value)
{
        size_t i, bars = 0, key = 0, eq = 0, end;

        sw_buf_reset(name);
        sw_buf_reset(value);
        for (i = 0; i < m->n && bars < 7; i++) {
                char c = m->p[i];

                if (c == '\n' || c == '\r')
                        return false;
                if (c == '\\') {
                        c = ++i < m->n ? m->p[i] : '\0';
                        if (c != '\\' && c != '|')
                                return false;
                } else if (c == '|') {
                        bars++;
                        continue;
                }
                if (bars == 5)
                        sw_buf_putc(name, c);
        }
        for (; i < m->n; i++) { /* positions of the keys */
                if (m->p[i] == '\\') {
                        i++;
                        continue;
                }
                if (m->p[i] != '=')
                        continue;
                for (end = i; end > 0 && m->p[end - 1] != ' ' && m->p[end - 1] != '|'; end--)
                        ;
                if (eq && memcmp(m->p + end, "spt", 3) != 0)
                        return false; /* a key that nobody wrote */
                if (!eq)
                        eq = i + 1;
                else
                        key = end;
        }
        if (!eq || !key)
                return false;
        for (i = eq; i + 1 < key; i++) {
                char c = m->p[i];

                if (c == '\n' || c == '\r')
                        return false;
                if (c == '\\') {
                        c = m->p[++i];
                        c = c == 'n' ? '\n' : c == 'r' ? '\r' : c;
                }
                sw_buf_putc(value, c);
        }
        return true;
}

Test(enc_escape, a_million_strings_go_through_cef_and_back)
{
        struct sw_buf m = SW_BUF_NULL, name = SW_BUF_NULL, value = SW_BUF_NULL, want = SW_BUF_NULL;
        char buf[N_BYTES];
        unsigned i;

        random_state = 1;
        for (i = 0; i < N_STRINGS; i++) {
                struct sw_str s = random_string(buf);

                sw_buf_reset(&m);
                sw_buf_puts(&m, "CEF:0|v|p|1|D01|");
                sw_enc_cef_header(&m, s, 100);
                sw_buf_puts(&m, "|5|msg=");
                sw_enc_cef_value(&m, s, 100);
                sw_buf_puts(&m, " spt=1");
                cr_assert(read_cef(&m, &name, &value), "'%.*s'", (int)m.n, m.p);
                sw_buf_reset(&want);
                sw_enc_clean(&want, s, 100, false, false);
                cr_assert(is_clean(&want, false));
                expect_same(&want, &name, s, "CEF header");
                sw_buf_reset(&want);
                sw_enc_clean(&want, s, 100, true, true);
                cr_assert(is_clean(&want, true));
                expect_same(&want, &value, s, "CEF value");
        }
        sw_buf_deinit(&m);
        sw_buf_deinit(&name);
        sw_buf_deinit(&value);
        sw_buf_deinit(&want);
}

static bool read_sd_value(const struct sw_buf *m, struct sw_buf *value)
{
        size_t i;

        sw_buf_reset(value);
        for (i = 0; i < m->n; i++) {
                char c = m->p[i];

                if (c == '"')
                        return i + 1 < m->n && m->p[i + 1] == ']' && i + 2 == m->n;
                if (c == ']' || (unsigned char)c < 0x20)
                        return false;
                if (c == '\\')
                        c = m->p[++i];
                sw_buf_putc(value, c);
        }
        return false;
}

Test(enc_escape, a_million_strings_go_through_syslog_and_back)
{
        struct sw_buf m = SW_BUF_NULL, value = SW_BUF_NULL, want = SW_BUF_NULL;
        char buf[N_BYTES];
        unsigned i;
        size_t k;

        random_state = 2;
        for (i = 0; i < N_STRINGS; i++) {
                struct sw_str s = random_string(buf);

                sw_buf_reset(&m);
                sw_enc_syslog_value(&m, s, 100);
                sw_buf_puts(&m, "\"]");
                cr_assert(read_sd_value(&m, &value), "'%.*s'", (int)m.n, m.p);
                sw_buf_reset(&want);
                sw_enc_clean(&want, s, 100, false, false);
                expect_same(&want, &value, s, "syslog value");
                sw_buf_reset(&m);
                sw_enc_syslog_token(&m, s, 20);
                cr_assert(m.n >= 1 && m.n <= 20);
                for (k = 0; k < m.n; k++)
                        cr_assert(m.p[k] > 0x20 && m.p[k] < 0x7f);
        }
        sw_buf_deinit(&m);
        sw_buf_deinit(&value);
        sw_buf_deinit(&want);
}

/* One field of RFC 4180, alone in its record. */
static bool read_csv(const struct sw_buf *m, struct sw_buf *value)
{
        size_t i;

        sw_buf_reset(value);
        if (m->n < 2 || m->p[0] != '"' || m->p[m->n - 1] != '"')
                return false;
        for (i = 1; i + 1 < m->n; i++) {
                if (m->p[i] == '"' && (i + 2 >= m->n || m->p[++i] != '"'))
                        return false;
                sw_buf_putc(value, m->p[i]);
        }
        return true;
}

Test(enc_escape, a_million_strings_go_through_csv_and_are_never_formulas)
{
        struct sw_buf m = SW_BUF_NULL, value = SW_BUF_NULL, want = SW_BUF_NULL;
        char buf[N_BYTES];
        unsigned i;

        random_state = 3;
        for (i = 0; i < N_STRINGS; i++) {
                struct sw_str s = random_string(buf);

                sw_buf_reset(&m);
                sw_enc_csv_field(&m, s, 100);
                cr_assert(read_csv(&m, &value), "'%.*s'", (int)m.n, m.p);
                cr_assert(value.n == 0 || !strchr("=+-@", value.p[0]), "a formula: '%.*s'", (int)value.n, value.p);
                sw_buf_reset(&want);
                sw_enc_clean(&want, s, 100, true, false);
                if (want.n && strchr("=+-@", want.p[0])) {
                        struct sw_buf prefixed = SW_BUF_NULL;

                        sw_buf_putc(&prefixed, '\'');
                        sw_buf_put(&prefixed, want.p, want.n);
                        expect_same(&prefixed, &value, s, "CSV");
                        sw_buf_deinit(&prefixed);
                } else {
                        expect_same(&want, &value, s, "CSV");
                }
        }
        sw_buf_deinit(&m);
        sw_buf_deinit(&value);
        sw_buf_deinit(&want);
}

Test(enc_escape, the_parsers_of_this_test_see_what_is_not_escaped)
{
        struct sw_buf m = SW_BUF_NULL, a = SW_BUF_NULL, b = SW_BUF_NULL;

        sw_buf_puts(&m, "CEF:0|v|p|1|D01|a|b|5|msg=x dst=1 spt=1");
        cr_assert_not(read_cef(&m, &a, &b));
        sw_buf_reset(&m);
        sw_buf_puts(&m, "a\"x\"]");
        cr_assert_not(read_sd_value(&m, &a));
        sw_buf_reset(&m);
        sw_buf_puts(&m, "\"a\"b\"");
        cr_assert_not(read_csv(&m, &a));
        sw_buf_deinit(&m);
        sw_buf_deinit(&a);
        sw_buf_deinit(&b);
}

Test(enc_escape, a_text_is_cut_between_characters)
{
        struct sw_buf b = SW_BUF_NULL;

        sw_enc_clean(&b, SW_STR("a\xe2\x82\xac\xe2\x82\xac"), 6, false, false);
        cr_assert_eq(b.n, 4);
        sw_buf_reset(&b);
        sw_enc_clean(&b, SW_STR("a\xe2\x82\xac\xe2\x82\xac"), 7, false, false);
        cr_assert_eq(b.n, 7);
        sw_buf_reset(&b);
        sw_enc_cef_value(&b, SW_STR("\xff\xff"), 3);
        cr_assert_eq(b.n, 3);
        sw_buf_deinit(&b);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "encode/enc_escape.h"

#include <string.h>

/* One character of the normal form; *ret_len: bytes of s it stands for. */
static struct sw_str escape_next(struct sw_str s, bool keep_lines, size_t *ret_len)
{
        size_t n = sw_utf8_length(s);
        unsigned char c = (unsigned char)s.p[0];

        *ret_len = n ? n : 1;
        if (n == 0)
                return SW_STR("\xef\xbf\xbd");
        if (c == '\n' || c == '\r')
                return keep_lines ? (struct sw_str){ s.p, 1 } : SW_STR(" ");
        if (c == '\t')
                return SW_STR(" ");
        if (c < 0x20 || c == 0x7f || (n == 2 && c == 0xc2 && (unsigned char)s.p[1] < 0xa0))
                return SW_STR("?");
        return (struct sw_str){ s.p, n };
}

void sw_enc_clean(struct sw_buf *out, struct sw_str s, size_t max, bool keep_lines, bool trim)
{
        size_t from = out->n, len, i;

        for (i = 0; i < s.n; i += len) {
                struct sw_str c = escape_next((struct sw_str){ s.p + i, s.n - i }, keep_lines, &len);

                if (trim && out->n == from && c.n == 1 && strchr(" \n\r", c.p[0]))
                        continue;
                if (out->n - from + c.n > max)
                        break;
                sw_buf_put_str(out, c);
        }
        while (trim && out->n > from && strchr(" \n\r", out->p[out->n - 1]))
                out->n--;
}

static void escape_chars(struct sw_buf *out, struct sw_str clean, const char *special)
{
        size_t i;

        for (i = 0; i < clean.n; i++) {
                char c = clean.p[i];

                if (c == '\n' || c == '\r') {
                        sw_buf_puts(out, c == '\n' ? "\\n" : "\\r");
                        continue;
                }
                if (strchr(special, c))
                        sw_buf_putc(out, '\\');
                sw_buf_putc(out, c);
        }
}

static void escape_with(
        struct sw_buf *out, struct sw_str s, size_t max, const char *special, bool keep_lines, bool trim)
{
        struct sw_buf clean = SW_BUF_NULL;

        sw_enc_clean(&clean, s, max, keep_lines, trim);
        escape_chars(out, (struct sw_str){ clean.p, clean.failed ? 0 : clean.n }, special);
        out->failed = out->failed || clean.failed;
        sw_buf_deinit(&clean);
}

void sw_enc_cef_header(struct sw_buf *out, struct sw_str s, size_t max)
{
        escape_with(out, s, max, "|\\", false, false);
}

void sw_enc_cef_value(struct sw_buf *out, struct sw_str s, size_t max)
{
        escape_with(out, s, max, "=\\", true, true);
}

void sw_enc_syslog_value(struct sw_buf *out, struct sw_str s, size_t max)
{
        escape_with(out, s, max, "\"\\]", false, false);
}

void sw_enc_syslog_token(struct sw_buf *out, struct sw_str s, size_t max)
{
        size_t i;

        for (i = 0; i < s.n && i < max; i++)
                sw_buf_putc(out, s.p[i] > 0x20 && s.p[i] < 0x7f ? s.p[i] : '_');
        if (i == 0)
                sw_buf_putc(out, '-');
}

void sw_enc_csv_field(struct sw_buf *out, struct sw_str s, size_t max)
{
        struct sw_buf clean = SW_BUF_NULL;
        size_t i;

        sw_enc_clean(&clean, s, max, true, false);
        sw_buf_putc(out, '"');
        if (clean.n && strchr("=+-@", clean.p[0]))
                sw_buf_putc(out, '\'');
        for (i = 0; i < clean.n; i++) {
                if (clean.p[i] == '"')
                        sw_buf_putc(out, '"');
                sw_buf_putc(out, clean.p[i]);
        }
        sw_buf_putc(out, '"');
        out->failed = out->failed || clean.failed;
        sw_buf_deinit(&clean);
}

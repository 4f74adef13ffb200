/* SPDX-License-Identifier: Apache-2.0 */
#include "term.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool sw_color_by_name(const char *name, enum sw_color *ret)
{
        static const char *const names[] = { "auto", "always", "never" };
        unsigned i;

        for (i = 0; i < 3; i++)
                if (strcmp(names[i], name) == 0) {
                        *ret = (enum sw_color)i;
                        return true;
                }
        return false;
}

bool sw_term_is(int fd)
{
        const char *term = getenv("TERM");

        return isatty(fd) && !(term && strcmp(term, "dumb") == 0);
}

bool sw_color_wanted(enum sw_color c, int fd)
{
        const char *no = getenv("NO_COLOR");

        if (c != SW_COLOR_AUTO)
                return c == SW_COLOR_ALWAYS;
        return sw_term_is(fd) && !(no && *no);
}

/* Decodes one character; false: invalid UTF-8 at p (RFC 3629), *ret_n is 1 then. */
static bool term_decode(const unsigned char *p, size_t n, uint32_t *ret_c, size_t *ret_n)
{
        static const uint32_t least[5] = { 0, 0, 0x80, 0x800, 0x10000 };
        size_t len = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0, i;
        uint32_t c;

        *ret_n = 1;
        if (len == 0 || len > n)
                return false;
        c = len == 1 ? p[0] : p[0] & (0xffU >> (len + 1));
        for (i = 1; i < len; i++) {
                if ((p[i] & 0xc0) != 0x80)
                        return false;
                c = c << 6 | (p[i] & 0x3f);
        }
        if (c < least[len] || (c >= 0xd800 && c < 0xe000) || c > 0x10ffff)
                return false;
        *ret_c = c;
        *ret_n = len;
        return true;
}

/* Controls and what makes text read otherwise than it is written (bidirectional overrides, line separators). */
static bool term_is_unsafe(uint32_t c)
{
        return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x61c || c == 0x200e || c == 0x200f ||
               (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

void sw_term_put(struct sw_buf *out, struct sw_str s)
{
        const unsigned char *p = (const unsigned char *)s.p;
        size_t i, k, len;
        uint32_t c = 0;

        for (i = 0; i < s.n; i += len) {
                if (term_decode(p + i, s.n - i, &c, &len) && !term_is_unsafe(c))
                        sw_buf_put(out, p + i, len);
                else
                        for (k = 0; k < len; k++)
                                sw_buf_printf(out, "\\x%02x", p[i + k]);
        }
}

void sw_term_put_json(struct sw_buf *out, struct sw_str s)
{
        const unsigned char *p = (const unsigned char *)s.p;
        size_t i, len;
        uint32_t c = 0;

        for (i = 0; i < s.n; i += len) {
                if (!term_decode(p + i, s.n - i, &c, &len))
                        sw_buf_puts(out, "\\ufffd");
                else if (c >= 0x20 && term_is_unsafe(c))
                        sw_buf_printf(out, "\\u%04x", (unsigned)c);
                else if (c >= 0x20 || c == '\t')
                        sw_buf_put(out, p + i, len);
        }
}

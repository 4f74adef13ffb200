/* SPDX-License-Identifier: Apache-2.0 */
#include "base/str.h"

#include "base/alloc.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct sw_str sw_str_of(const char *z)
{
        return z ? (struct sw_str){ z, strlen(z) } : SW_STR_NULL;
}

bool sw_str_eq(struct sw_str a, struct sw_str b)
{
        return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static unsigned char fold(char c)
{
        return (unsigned char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

int sw_str_icmp(struct sw_str a, struct sw_str b)
{
        size_t n = a.n < b.n ? a.n : b.n, i;

        for (i = 0; i < n; i++) {
                unsigned char x = fold(a.p[i]), y = fold(b.p[i]);

                if (x != y)
                        return x < y ? -1 : 1;
        }
        return a.n == b.n ? 0 : a.n < b.n ? -1 : 1;
}

bool sw_str_ieq(struct sw_str a, struct sw_str b)
{
        return a.n == b.n && sw_str_icmp(a, b) == 0;
}

bool sw_str_starts(struct sw_str s, struct sw_str prefix)
{
        return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

size_t sw_utf8_length(struct sw_str s)
{
        const unsigned char *p = (const unsigned char *)s.p;
        unsigned c = s.n ? p[0] : 0x80;
        size_t len = c < 0x80                 ? 1
                     : c >= 0xc2 && c <= 0xdf ? 2
                     : (c & 0xf0) == 0xe0     ? 3
                     : c >= 0xf0 && c <= 0xf4 ? 4
                                              : 0;
        size_t i;

        if (len == 0 || len > s.n)
                return 0;
        for (i = 1; i < len; i++)
                if ((p[i] & 0xc0) != 0x80)
                        return 0;
        if ((c == 0xe0 && p[1] < 0xa0) || (c == 0xed && p[1] > 0x9f) || (c == 0xf0 && p[1] < 0x90) ||
                (c == 0xf4 && p[1] > 0x8f))
                return 0;
        return len;
}

struct sw_str sw_utf8_cut(struct sw_str s, size_t n)
{
        if (s.n <= n)
                return s;
        while (n > 0 && ((unsigned char)s.p[n] & 0xc0) == 0x80)
                n--;
        return (struct sw_str){ s.p, n };
}

size_t sw_utf8_put(uint32_t c, char *out)
{
        if (c < 0x80) {
                out[0] = (char)c;
                return 1;
        }
        if (c < 0x800) {
                out[0] = (char)(0xc0 | c >> 6);
                out[1] = (char)(0x80 | (c & 0x3f));
                return 2;
        }
        if (c < 0x10000) {
                out[0] = (char)(0xe0 | c >> 12);
                out[1] = (char)(0x80 | (c >> 6 & 0x3f));
                out[2] = (char)(0x80 | (c & 0x3f));
                return 3;
        }
        out[0] = (char)(0xf0 | c >> 18);
        out[1] = (char)(0x80 | (c >> 12 & 0x3f));
        out[2] = (char)(0x80 | (c >> 6 & 0x3f));
        out[3] = (char)(0x80 | (c & 0x3f));
        return 4;
}

bool sw_parse_u64(struct sw_str s, uint64_t *ret)
{
        uint64_t v = 0;
        size_t i;

        if (s.n == 0 || s.n > 20)
                return false;
        for (i = 0; i < s.n; i++) {
                unsigned d = (unsigned)(unsigned char)s.p[i] - '0';

                if (d > 9 || __builtin_mul_overflow(v, (uint64_t)10, &v) || __builtin_add_overflow(v, (uint64_t)d, &v))
                        return false;
        }
        *ret = v;
        return true;
}

unsigned sw_str_distance(struct sw_str a, struct sw_str b)
{
        unsigned row[65];
        size_t i, j;

        if (a.n > 64 || b.n > 64)
                return 64;
        for (j = 0; j <= b.n; j++)
                row[j] = (unsigned)j;
        for (i = 1; i <= a.n; i++) {
                unsigned diagonal = row[0];

                row[0] = (unsigned)i;
                for (j = 1; j <= b.n; j++) {
                        unsigned best = diagonal + (fold(a.p[i - 1]) != fold(b.p[j - 1]));

                        diagonal = row[j];
                        if (row[j] + 1 < best)
                                best = row[j] + 1;
                        if (row[j - 1] + 1 < best)
                                best = row[j - 1] + 1;
                        row[j] = best;
                }
        }
        return row[b.n];
}

void sw_buf_deinit(struct sw_buf *b)
{
        sw_free(b->p);
        *b = SW_BUF_NULL;
}

void sw_buf_reset(struct sw_buf *b)
{
        b->n = 0;
        b->failed = false;
}

static bool buf_room(struct sw_buf *b, size_t n)
{
        size_t want, cap = b->cap ? b->cap : 256;
        char *p;

        if (b->failed || __builtin_add_overflow(b->n, n, &want)) {
                b->failed = true;
                return false;
        }
        if (want <= b->cap)
                return true;
        while (cap < want)
                cap = cap > SIZE_MAX / 2 ? want : cap * 2;
        p = sw_realloc_array(b->p, cap, 1);
        if (!p) {
                b->failed = true;
                return false;
        }
        b->p = p;
        b->cap = cap;
        return true;
}

void sw_buf_put(struct sw_buf *b, const void *p, size_t n)
{
        if (n == 0 || !buf_room(b, n))
                return;
        memcpy(b->p + b->n, p, n);
        b->n += n;
}

void sw_buf_putc(struct sw_buf *b, char c)
{
        sw_buf_put(b, &c, 1);
}

void sw_buf_puts(struct sw_buf *b, const char *z)
{
        sw_buf_put(b, z, strlen(z));
}

void sw_buf_put_str(struct sw_buf *b, struct sw_str s)
{
        sw_buf_put(b, s.p, s.n);
}

void sw_buf_put_beside(struct sw_buf *b, const char *file, const char *name)
{
        const char *slash = strrchr(file, '/');

        if (slash && *name != '/')
                sw_buf_put(b, file, (size_t)(slash - file) + 1);
        sw_buf_puts(b, name);
}

void sw_buf_u64(struct sw_buf *b, uint64_t v)
{
        char text[20];
        size_t i = sizeof(text);

        do {
                text[--i] = (char)('0' + v % 10);
                v /= 10;
        } while (v);
        sw_buf_put(b, text + i, sizeof(text) - i);
}

void sw_buf_printf(struct sw_buf *b, const char *fmt, ...)
{
        va_list ap, again;
        int n;

        va_start(ap, fmt);
        va_copy(again, ap);
        n = vsnprintf(NULL, 0, fmt, ap);
        va_end(ap);
        if (n >= 0 && buf_room(b, (size_t)n + 1)) {
                (void)vsnprintf(b->p + b->n, (size_t)n + 1, fmt, again);
                b->n += (size_t)n;
        } else {
                b->failed = true;
        }
        va_end(again);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "decode/text.h"

#include "decode/scan.h"

#include <string.h>

#define REPLACEMENT 0xfffdu
#define LONG_NUMBER_BYTES 60

static uint32_t text_hex4(const char *p)
{
        uint32_t v = 0;
        unsigned i;

        for (i = 0; i < 4; i++) {
                char c = p[i];

                v = v << 4 | (uint32_t)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
        }
        return v;
}

/* raw.p[at] is the backslash of a \u escape. Returns the character, *ret_n its bytes in the text. */
static uint32_t text_code_point(struct sw_str raw, size_t at, size_t *ret_n)
{
        uint32_t c = text_hex4(raw.p + at + 2), low;

        *ret_n = 6;
        if (c == 0 || (c >= 0xdc00 && c < 0xe000))
                return REPLACEMENT;
        if (c < 0xd800 || c >= 0xe000)
                return c;
        if (raw.n - at < 12 || raw.p[at + 6] != '\\' || raw.p[at + 7] != 'u')
                return REPLACEMENT;
        low = text_hex4(raw.p + at + 8);
        if (low < 0xdc00 || low >= 0xe000)
                return REPLACEMENT;
        *ret_n = 12;
        return 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
}

static char text_short_escape(char c)
{
        switch (c) {
        case 'b':
                return '\b';
        case 'f':
                return '\f';
        case 'n':
                return '\n';
        case 'r':
                return '\r';
        case 't':
                return '\t';
        default:
                return c;
        }
}

size_t sw__unescape(struct sw_str raw, char *out)
{
        size_t at = 0, n = 0;

        while (at < raw.n) {
                size_t used;

                if (raw.p[at] != '\\') {
                        out[n++] = raw.p[at++];
                } else if (raw.p[at + 1] != 'u') {
                        out[n++] = text_short_escape(raw.p[at + 1]);
                        at += 2;
                } else {
                        n += sw_utf8_put(text_code_point(raw, at, &used), out + n);
                        at += used;
                }
        }
        return n;
}

/* Copies a string including its quotes; at is on the first one. Returns where it ends. */
static size_t text_normalise_string(struct sw_str json, size_t at, char *out, size_t *n)
{
        out[(*n)++] = json.p[at++];
        while (json.p[at] != '"') {
                size_t used = 1;

                if (json.p[at] == '\\')
                        used = 2;
                if (used == 2 && json.p[at + 1] == 'u' && text_code_point(json, at, &used) == REPLACEMENT)
                        memcpy(out + *n, "\\ufffd", 6);
                else
                        memcpy(out + *n, json.p + at, used);
                *n += used;
                at += used;
        }
        out[(*n)++] = json.p[at++];
        return at;
}

size_t sw__normalise(struct sw_str json, char *out)
{
        size_t at = 0, n = 0;

        while (at < json.n) {
                size_t from = at;

                if (json.p[at] == '"') {
                        at = text_normalise_string(json, at, out, &n);
                        continue;
                }
                while (at < json.n && json.p[at] && strchr("+-.0123456789eE", json.p[at]))
                        at++;
                if (at - from > LONG_NUMBER_BYTES) {
                        memcpy(out + n, "1e999", 5);
                        n += 5;
                } else if (at > from) {
                        memcpy(out + n, json.p + from, at - from);
                        n += at - from;
                } else {
                        out[n++] = json.p[at++];
                }
        }
        return n;
}

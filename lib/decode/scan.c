/* SPDX-License-Identifier: Apache-2.0 */
#include "decode/scan.h"

#include "decode/text.h"

#define MAX_NUMBER_BYTES 4096
#define CJSON_NUMBER_BYTES 60 /* cJSON reads at most 63 */

/* What may come next. */
enum { VALUE, VALUE_OR_CLOSE, KEY, KEY_OR_CLOSE, COLON, COMMA_OR_CLOSE };

void sw_scan_start(struct sw_scan *s, bool envelope, uint32_t max_depth)
{
        *s = (struct sw_scan){ .envelope = envelope, .max_depth = max_depth, .expect = VALUE };
}

static bool scan_is_hex(char c)
{
        return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

/* p[at] is a backslash. DONE: *at is behind the escape. */
static enum sw_scan_result scan_escape(struct sw_scan *s, struct sw_str b, size_t *at, bool final)
{
        size_t i = *at + 1, end;

        s->escaped = true;
        if (i == b.n)
                return final ? SW_SCAN_BAD : SW_SCAN_MORE;
        if (b.p[i] != 'u') {
                if (b.p[i] == '\0' || !strchr("\"\\/bfnrt", b.p[i]))
                        return SW_SCAN_BAD;
                *at = i + 1;
                return SW_SCAN_DONE;
        }
        s->odd = true;
        for (end = i + 5, i++; i < end; i++) {
                if (i == b.n)
                        return final ? SW_SCAN_BAD : SW_SCAN_MORE;
                if (!scan_is_hex(b.p[i]))
                        return SW_SCAN_BAD;
        }
        *at = end;
        return SW_SCAN_DONE;
}

/* Inside a string. DONE: *at is behind the closing quote. */
static enum sw_scan_result scan_string(struct sw_scan *s, struct sw_str b, size_t *at, bool final)
{
        for (;;) {
                enum sw_scan_result r;

                *at = (size_t)(sw_scan_plain(b.p + *at, b.p + b.n) - b.p);
                if (*at == b.n)
                        return final ? SW_SCAN_BAD : SW_SCAN_MORE;
                if (b.p[*at] == '"') {
                        (*at)++;
                        s->in_string = false;
                        return SW_SCAN_DONE;
                }
                if (b.p[*at] != '\\')
                        return SW_SCAN_BAD;
                r = scan_escape(s, b, at, final);
                if (r != SW_SCAN_DONE)
                        return r;
        }
}

static size_t scan_digits(struct sw_str b, size_t i)
{
        while (i < b.n && b.p[i] >= '0' && b.p[i] <= '9')
                i++;
        return i;
}

static enum sw_scan_result scan_number(struct sw_scan *s, struct sw_str b, size_t *at, bool final)
{
        size_t i = *at, from;
        bool good;

        if (b.n - i > MAX_NUMBER_BYTES)
                b.n = i + MAX_NUMBER_BYTES, final = true;
        i += b.p[i] == '-';
        from = i;
        i = scan_digits(b, i);
        good = i > from && (b.p[from] != '0' || i == from + 1);
        if (good && i < b.n && b.p[i] == '.') {
                from = i + 1;
                i = scan_digits(b, from);
                good = i > from;
        }
        if (good && i < b.n && (b.p[i] | 0x20) == 'e') {
                from = i + 1;
                from += from < b.n && (b.p[from] == '+' || b.p[from] == '-');
                i = scan_digits(b, from);
                good = i > from;
        }
        if (i == b.n && !final)
                return SW_SCAN_MORE;
        if (!good || i - *at >= MAX_NUMBER_BYTES) {
                *at = i; /* the bytes up to here are what is wrong: fewer of them may be a number */
                return SW_SCAN_BAD;
        }
        s->odd |= i - *at > CJSON_NUMBER_BYTES;
        *at = i;
        return SW_SCAN_DONE;
}

static enum sw_scan_result scan_literal(struct sw_str b, size_t *at, bool final)
{
        const char *word = b.p[*at] == 't' ? "true" : b.p[*at] == 'f' ? "false" : "null";
        size_t n = strlen(word), there = b.n - *at < n ? b.n - *at : n;

        if (memcmp(b.p + *at, word, there) != 0)
                return SW_SCAN_BAD;
        if (there < n)
                return final ? SW_SCAN_BAD : SW_SCAN_MORE;
        *at += n;
        return SW_SCAN_DONE;
}

static bool scan_is_object(const struct sw_scan *s)
{
        return s->objects >> s->depth & 1;
}

static void scan_after_value(struct sw_scan *s)
{
        s->expect = COMMA_OR_CLOSE;
}

/* A key of the outermost object was read and is followed by a '['. */
static bool scan_key_is_records(const struct sw_scan *s, const char *p, size_t colon)
{
        size_t n = colon - s->string_at;
        char buf[64];

        while (n && p[s->string_at + n - 1] != '"')
                n--;
        if (n == 0 || --n >= sizeof(buf))
                return false;
        if (s->escaped)
                n = sw__unescape((struct sw_str){ p + s->string_at, n }, buf);
        else
                memcpy(buf, p + s->string_at, n);
        return n == 7 && memcmp(buf, "records", 7) == 0;
}

static enum sw_scan_result scan_open(struct sw_scan *s, const char *p, size_t *at)
{
        bool object = p[*at] == '{';

        if (s->depth == s->max_depth)
                return SW_SCAN_DEEP;
        if (!object && s->envelope && s->depth == 1 && scan_is_object(s) && scan_key_is_records(s, p, *at))
                return SW_SCAN_ENVELOPE;
        s->depth++;
        s->objects = (s->objects & ~(UINT64_C(1) << s->depth)) | (uint64_t)object << s->depth;
        s->expect = object ? KEY_OR_CLOSE : VALUE_OR_CLOSE;
        (*at)++;
        return SW_SCAN_DONE;
}

static enum sw_scan_result scan_close(struct sw_scan *s, char c, size_t *at)
{
        if (s->depth == 0 || scan_is_object(s) != (c == '}'))
                return SW_SCAN_BAD;
        s->depth--;
        (*at)++;
        scan_after_value(s);
        return SW_SCAN_DONE;
}

/* A run of array elements "…","…", without escapes, quickly: the shape of nearly all bytes of a flow log. Stops on the
 * quote of the last of them. */
static void scan_plain_strings(struct sw_scan *s, struct sw_str b, size_t *at)
{
        const char *p = b.p + *at, *end = b.p + b.n;

        for (;;) {
                const char *q = sw_scan_plain(p + 1, end);

                if (end - q < 3 || q[0] != '"' || q[1] != ',' || q[2] != '"')
                        break;
                s->n_values++;
                p = q + 2;
        }
        *at = (size_t)(p - b.p);
}

static enum sw_scan_result scan_value(struct sw_scan *s, struct sw_str b, size_t *at, bool final)
{
        enum sw_scan_result r;
        char c = b.p[*at];

        if (c == '{' || c == '[') {
                r = scan_open(s, b.p, at);
                s->n_values += r == SW_SCAN_DONE;
                return r;
        }
        if (c == '"' && !scan_is_object(s) && s->depth > 0)
                scan_plain_strings(s, b, at);
        if (c == '"') {
                s->in_string = true;
                s->is_key = s->escaped = false;
                s->string_at = ++*at;
                s->n_values++;
                r = scan_string(s, b, at, final);
        } else if (c == 't' || c == 'f' || c == 'n') {
                r = scan_literal(b, at, final);
                s->n_values += r == SW_SCAN_DONE;
        } else if (c == '-' || (c >= '0' && c <= '9')) {
                r = scan_number(s, b, at, final);
                s->n_values += r == SW_SCAN_DONE;
        } else {
                return SW_SCAN_BAD;
        }
        if (r == SW_SCAN_DONE)
                scan_after_value(s);
        return r;
}

/* One token at a byte that is not white space. */
static enum sw_scan_result scan_token(struct sw_scan *s, struct sw_str b, size_t *at, bool final)
{
        enum sw_scan_result r;
        char c = b.p[*at];

        switch (s->expect) {
        case COMMA_OR_CLOSE:
                if (c != ',')
                        return c == ']' || c == '}' ? scan_close(s, c, at) : SW_SCAN_BAD;
                s->expect = scan_is_object(s) ? KEY : VALUE;
                (*at)++;
                return SW_SCAN_DONE;
        case COLON:
                if (c != ':')
                        return SW_SCAN_BAD;
                s->expect = VALUE;
                (*at)++;
                return SW_SCAN_DONE;
        case KEY_OR_CLOSE:
        case KEY:
                if (c == '}' && s->expect == KEY_OR_CLOSE)
                        return scan_close(s, c, at);
                if (c != '"')
                        return SW_SCAN_BAD;
                s->in_string = s->is_key = true;
                s->escaped = false;
                s->string_at = ++*at;
                r = scan_string(s, b, at, final);
                if (r == SW_SCAN_DONE)
                        s->expect = COLON;
                return r;
        case VALUE_OR_CLOSE:
                if (c == ']')
                        return scan_close(s, c, at);
                return scan_value(s, b, at, final);
        default:
                return scan_value(s, b, at, final);
        }
}

enum sw_scan_result sw_scan_run(struct sw_scan *s, const char *p, size_t n, size_t *inout_at, bool final)
{
        struct sw_str b = { p, n };
        size_t at = *inout_at;
        enum sw_scan_result r = SW_SCAN_DONE;

        if (s->in_string) {
                r = scan_string(s, b, &at, final);
                if (r == SW_SCAN_DONE)
                        s->expect = s->is_key ? COLON : COMMA_OR_CLOSE;
        }
        while (r == SW_SCAN_DONE) {
                if (s->depth == 0 && s->expect == COMMA_OR_CLOSE)
                        break;
                while (at < n && sw_scan_is_space(p[at]))
                        at++;
                if (at == n)
                        r = final ? SW_SCAN_BAD : SW_SCAN_MORE;
                else
                        r = scan_token(s, b, &at, final);
        }
        *inout_at = at;
        return r;
}

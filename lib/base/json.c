/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include "base/alloc.h"

#include <float.h>
#include <stdlib.h>
#include <string.h>

#define JSON_EXACT 9007199254740992.0 /* 2^53 */
#define JSON_DEPTH_MAX 1000
#define JSON_DIGITS_EXACT 15 /* so many make a double without rounding */

/* Nodes lie in one arena and texts in a copy of the input, unescaped where they stand: an alert line has hundreds of
 * values, and an allocation for each is what reading it would mostly cost. */
struct sw_json {
        const struct sw_json *next, *first;
        struct sw_str key, text; /* each followed by a NUL */
        double number;
        enum sw_json_kind kind;
};

struct json_doc {
        struct sw_json root; /* what the caller has */
        struct sw_arena nodes;
        char text[];
};

struct json_reader {
        char *p, *end; /* *end is a NUL */
        struct sw_arena *nodes;
        unsigned depth;
};

/* ---- texts ---- */

static void json_skip(struct json_reader *r)
{
        while (*r->p == ' ' || *r->p == '\n' || *r->p == '\r' || *r->p == '\t')
                r->p++;
}

static bool json_hex4(const char *p, uint32_t *ret)
{
        uint32_t v = 0;
        unsigned i;

        for (i = 0; i < 4; i++) {
                unsigned char c = (unsigned char)p[i], lower = c | 0x20;

                if (c >= '0' && c <= '9')
                        v = v << 4 | (uint32_t)(c - '0');
                else if (lower >= 'a' && lower <= 'f')
                        v = v << 4 | (uint32_t)(lower - 'a' + 10);
                else
                        return false; /* also at the end: a NUL */
        }
        *ret = v;
        return true;
}

/* After the backslash. What it stands for is never longer than the escape. NULL: not an escape. */
static char *json_unescape(struct json_reader *r, char *to)
{
        static const char from[] = "\"\\/bfnrt", plain[] = "\"\\/\b\f\n\r\t";
        const char *at = *r->p ? strchr(from, *r->p) : NULL;
        uint32_t c, low;

        if (at) {
                *to = plain[at - from];
                r->p++;
                return to + 1;
        }
        if (*r->p != 'u' || !json_hex4(r->p + 1, &c))
                return NULL;
        r->p += 5;
        if (c >= 0xdc00 && c <= 0xdfff)
                return NULL;
        if (c >= 0xd800 && c <= 0xdbff) {
                if (r->p[0] != '\\' || r->p[1] != 'u' || !json_hex4(r->p + 2, &low) || low < 0xdc00 || low > 0xdfff)
                        return NULL;
                c = 0x10000 + ((c & 0x3ff) << 10 | (low & 0x3ff));
                r->p += 6;
        }
        return to + sw_utf8_put(c, to);
}

/* At the quotation mark. */
static bool json_text(struct json_reader *r, struct sw_str *ret)
{
        char *from = ++r->p, *to = from;

        for (;;) {
                char *plain = r->p;

                while (*r->p != '"' && *r->p != '\\' && r->p < r->end)
                        r->p++;
                if (to != plain)
                        memmove(to, plain, (size_t)(r->p - plain));
                to += r->p - plain;
                if (r->p == r->end)
                        return false;
                if (*r->p++ == '"')
                        break;
                to = json_unescape(r, to);
                if (!to)
                        return false;
        }
        *to = '\0'; /* on the mark or before it */
        *ret = (struct sw_str){ from, strnlen(from, (size_t)(to - from)) };
        return true;
}

/* ---- values ---- */

static bool json_digits(struct json_reader *r)
{
        char *from = r->p;

        while (*r->p >= '0' && *r->p <= '9')
                r->p++;
        return r->p > from;
}

static bool json_number(struct json_reader *r, struct sw_json *j)
{
        char *from = r->p, *digits;
        bool whole = true;
        int64_t v = 0;

        r->p += *r->p == '-';
        digits = r->p;
        if (!json_digits(r) || (*digits == '0' && r->p > digits + 1))
                return false;
        if (*r->p == '.') {
                whole = false;
                r->p++;
                if (!json_digits(r))
                        return false;
        }
        if (*r->p == 'e' || *r->p == 'E') {
                whole = false;
                r->p++;
                r->p += *r->p == '+' || *r->p == '-';
                if (!json_digits(r))
                        return false;
        }
        j->kind = SW_JSON_NUMBER;
        if (!whole || r->p - digits > JSON_DIGITS_EXACT) {
                j->number =
                        strtod(from, NULL); /* stops where we did: in the C locale, which the program never leaves */
                return true;
        }
        for (; digits < r->p; digits++)
                v = v * 10 + (*digits - '0');
        j->number = *from == '-' ? -(double)v : (double)v;
        return true;
}

static bool json_word(struct json_reader *r, struct sw_json *j, struct sw_str word, enum sw_json_kind kind)
{
        if ((size_t)(r->end - r->p) < word.n || memcmp(r->p, word.p, word.n) != 0)
                return false;
        r->p += word.n;
        j->kind = kind;
        return true;
}

static bool json_value(struct json_reader *r, struct sw_json *j);

/* Members or items. */
static bool json_list(struct json_reader *r, struct sw_json *j, bool is_object)
{
        const char close = is_object ? '}' : ']';
        const struct sw_json **at = &j->first;
        struct sw_json *child;

        j->kind = is_object ? SW_JSON_OBJECT : SW_JSON_ARRAY;
        if (++r->depth > JSON_DEPTH_MAX)
                return false;
        r->p++;
        json_skip(r);
        while (*r->p != close || j->first) {
                child = sw_arena_alloc(r->nodes, sizeof(*child));
                if (!child)
                        return false;
                *child = (struct sw_json){ 0 };
                if (is_object) {
                        if (*r->p != '"' || !json_text(r, &child->key))
                                return false;
                        json_skip(r);
                        if (*r->p++ != ':')
                                return false;
                        json_skip(r);
                }
                if (!json_value(r, child))
                        return false;
                *at = child;
                at = &child->next;
                json_skip(r);
                if (*r->p != ',')
                        break;
                r->p++;
                json_skip(r);
        }
        r->depth--;
        return *r->p++ == close;
}

static bool json_value(struct json_reader *r, struct sw_json *j)
{
        switch (*r->p) {
        case '{':
        case '[':
                return json_list(r, j, *r->p == '{');
        case '"':
                j->kind = SW_JSON_STRING;
                return json_text(r, &j->text);
        case 't':
                return json_word(r, j, SW_STR("true"), SW_JSON_TRUE);
        case 'f':
                return json_word(r, j, SW_STR("false"), SW_JSON_FALSE);
        case 'n':
                return json_word(r, j, SW_STR("null"), SW_JSON_NULL);
        default:
                return json_number(r, j);
        }
}

struct sw_json *sw_json_parse(struct sw_str text)
{
        struct json_reader r = { 0 };
        struct json_doc *doc;

        if (!text.p || text.n > SIZE_MAX - sizeof(*doc) - 1)
                return NULL;
        doc = sw_alloc(sizeof(*doc) + text.n + 1);
        if (!doc)
                return NULL;
        doc->root = (struct sw_json){ 0 };
        doc->nodes = SW_ARENA_NULL;
        memcpy(doc->text, text.p, text.n);
        doc->text[text.n] = '\0';
        r = (struct json_reader){ .p = doc->text, .end = doc->text + text.n, .nodes = &doc->nodes };
        json_skip(&r);
        if (json_value(&r, &doc->root)) {
                json_skip(&r);
                if (r.p == r.end)
                        return &doc->root;
        }
        return sw_json_free(&doc->root);
}

struct sw_json *sw_json_free(struct sw_json *j)
{
        struct json_doc *doc = (struct json_doc *)j; /* its first member */

        if (!doc)
                return NULL;
        sw_arena_deinit(&doc->nodes);
        sw_free(doc);
        return NULL;
}

/* ---- looking ---- */

static const struct sw_json *json_member(const struct sw_json *j, struct sw_str key)
{
        const struct sw_json *child = j && j->kind == SW_JSON_OBJECT ? j->first : NULL;

        while (child && (child->key.n != key.n || memcmp(child->key.p, key.p, key.n) != 0))
                child = child->next;
        return child;
}

const struct sw_json *sw_json_get(const struct sw_json *j, const char *key)
{
        return json_member(j, sw_str_of(key));
}

const struct sw_json *sw_json_first(const struct sw_json *j)
{
        return j ? j->first : NULL;
}

const struct sw_json *sw_json_next(const struct sw_json *j)
{
        return j ? j->next : NULL;
}

bool sw_json_is_object(const struct sw_json *j)
{
        return sw_json_kind(j) == SW_JSON_OBJECT;
}

enum sw_json_kind sw_json_kind(const struct sw_json *j)
{
        return j ? j->kind : SW_JSON_NONE;
}

const struct sw_json *sw_json_at(const struct sw_json *j, const char *path)
{
        while (j && *path) {
                size_t n = strcspn(path, ".[");

                if (*path == '[') {
                        int index = atoi(path + 1);

                        j = index < 0 ? NULL : j->first;
                        while (j && index-- > 0)
                                j = j->next;
                        n = strcspn(path, "]") + 1;
                } else {
                        j = json_member(j, (struct sw_str){ path, n });
                }
                path += n;
                path += *path == '.';
        }
        return j;
}

struct sw_str sw_json_str(const struct sw_json *j)
{
        return j && j->kind == SW_JSON_STRING ? j->text : SW_STR_NULL;
}

bool sw_json_i64(const struct sw_json *j, int64_t *ret)
{
        if (!j || j->kind != SW_JSON_NUMBER || !(j->number >= -JSON_EXACT && j->number <= JSON_EXACT))
                return false;
        *ret = (int64_t)j->number;
        return true;
}

bool sw_json_double(const struct sw_json *j, double *ret)
{
        if (!j || j->kind != SW_JSON_NUMBER || !(j->number >= -DBL_MAX && j->number <= DBL_MAX)) /* "1e999" */
                return false;
        *ret = j->number;
        return true;
}

struct sw_str sw_json_key(const struct sw_json *j)
{
        return j ? j->key : SW_STR_NULL;
}

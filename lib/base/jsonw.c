/* SPDX-License-Identifier: Apache-2.0 */
#include "base/jsonw.h"

#include <assert.h>
#include <stdio.h>

struct sw_jsonw sw_jsonw_start(struct sw_buf *out)
{
        return (struct sw_jsonw){ .out = out };
}

static void separate(struct sw_jsonw *w)
{
        uint32_t bit = UINT32_C(1) << w->depth;

        if (w->after_key) {
                w->after_key = false;
                return;
        }
        if (w->depth && w->has_item & bit)
                sw_buf_putc(w->out, ',');
        w->has_item |= bit;
}

static void open(struct sw_jsonw *w, char c)
{
        separate(w);
        sw_buf_putc(w->out, c);
        w->depth++;
        assert(w->depth < 32);
        w->has_item &= ~(UINT32_C(1) << w->depth);
}

static void close(struct sw_jsonw *w, char c)
{
        assert(w->depth > 0);
        w->depth--;
        sw_buf_putc(w->out, c);
}

void sw_jsonw_object(struct sw_jsonw *w)
{
        open(w, '{');
}

void sw_jsonw_end_object(struct sw_jsonw *w)
{
        close(w, '}');
}

void sw_jsonw_array(struct sw_jsonw *w)
{
        open(w, '[');
}

void sw_jsonw_end_array(struct sw_jsonw *w)
{
        close(w, ']');
}

void sw_jsonw_key(struct sw_jsonw *w, const char *key)
{
        separate(w);
        sw_buf_putc(w->out, '"');
        sw_buf_puts(w->out, key);
        sw_buf_puts(w->out, "\":");
        w->after_key = true;
}

static void put_escaped(struct sw_buf *out, unsigned char c)
{
        char text[8];

        switch (c) {
        case '"':
                sw_buf_puts(out, "\\\"");
                return;
        case '\\':
                sw_buf_puts(out, "\\\\");
                return;
        case '\n':
                sw_buf_puts(out, "\\n");
                return;
        case '\r':
                sw_buf_puts(out, "\\r");
                return;
        case '\t':
                sw_buf_puts(out, "\\t");
                return;
        default:
                (void)snprintf(text, sizeof(text), "\\u%04x", c);
                sw_buf_puts(out, text);
        }
}

void sw_jsonw_str(struct sw_jsonw *w, struct sw_str s)
{
        const unsigned char *p = (const unsigned char *)s.p;
        size_t i, from;

        separate(w);
        sw_buf_putc(w->out, '"');
        for (i = from = 0; i < s.n;) {
                size_t len = sw_utf8_length((struct sw_str){ s.p + i, s.n - i });

                if (len && p[i] >= 0x20 && p[i] != '"' && p[i] != '\\' && p[i] != 0x7f) {
                        i += len;
                        continue;
                }
                sw_buf_put(w->out, s.p + from, i - from);
                if (len)
                        put_escaped(w->out, p[i]);
                else
                        sw_buf_puts(w->out, "\xef\xbf\xbd");
                from = ++i;
        }
        if (from < i) /* an empty string may have no place */
                sw_buf_put(w->out, s.p + from, i - from);
        sw_buf_putc(w->out, '"');
}

void sw_jsonw_raw(struct sw_jsonw *w, struct sw_str json)
{
        separate(w);
        sw_buf_put_str(w->out, json);
}

void sw_jsonw_key_str(struct sw_jsonw *w, struct sw_str key)
{
        sw_jsonw_str(w, key);
        sw_buf_putc(w->out, ':');
        w->after_key = true;
}

void sw_jsonw_text(struct sw_jsonw *w, const char *z)
{
        sw_jsonw_str(w, sw_str_of(z));
}

void sw_jsonw_u64(struct sw_jsonw *w, uint64_t v)
{
        separate(w);
        sw_buf_u64(w->out, v);
}

void sw_jsonw_i64(struct sw_jsonw *w, int64_t v)
{
        separate(w);
        if (v < 0)
                sw_buf_putc(w->out, '-');
        sw_buf_u64(w->out, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

void sw_jsonw_bool(struct sw_jsonw *w, bool v)
{
        separate(w);
        sw_buf_puts(w->out, v ? "true" : "false");
}

void sw_jsonw_kstr(struct sw_jsonw *w, const char *key, struct sw_str s)
{
        sw_jsonw_key(w, key);
        sw_jsonw_str(w, s);
}

void sw_jsonw_ktext(struct sw_jsonw *w, const char *key, const char *z)
{
        sw_jsonw_key(w, key);
        sw_jsonw_text(w, z);
}

void sw_jsonw_ki64(struct sw_jsonw *w, const char *key, int64_t v)
{
        sw_jsonw_key(w, key);
        sw_jsonw_i64(w, v);
}

void sw_jsonw_ku64(struct sw_jsonw *w, const char *key, uint64_t v)
{
        sw_jsonw_key(w, key);
        sw_jsonw_u64(w, v);
}

void sw_jsonw_kbool(struct sw_jsonw *w, const char *key, bool v)
{
        sw_jsonw_key(w, key);
        sw_jsonw_bool(w, v);
}

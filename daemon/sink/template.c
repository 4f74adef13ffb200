/* SPDX-License-Identifier: Apache-2.0 */
#include "sink/template.h"

#include "base/alloc.h"
#include "base/err.h"
#include "base/jsonw.h"

#include <stdio.h>
#include <string.h>

#define TEMPLATE_PATH_MAX 128
#define TEMPLATE_DEPTH_MAX 24 /* a stranger's object may be deeper than the writer goes */

struct sw_template {
        struct template_field {
                char *key, *text;
        } * items;
        uint32_t n;
};

int sw_template_new(const struct sw_kv_list *fields, struct sw_template **ret)
{
        struct sw_template *t = sw_calloc(1, sizeof(*t));
        uint32_t i;

        if (t)
                t->items = sw_calloc((size_t)fields->n + 1, sizeof(*t->items));
        if (!t || !t->items) {
                sw_free(t);
                return -SW_ERR_NOMEM;
        }
        for (i = 0; i < fields->n; i++) {
                t->items[i].key = sw_strdup(fields->items[i].key);
                t->items[i].text = sw_strdup(fields->items[i].value);
                t->n++;
                if (!t->items[i].key || !t->items[i].text) {
                        sw_template_free(t);
                        return -SW_ERR_NOMEM;
                }
        }
        *ret = t;
        return 0;
}

struct sw_template *sw_template_free(struct sw_template *t)
{
        uint32_t i;

        if (!t)
                return NULL;
        for (i = 0; i < t->n; i++) {
                sw_free(t->items[i].key);
                sw_free(t->items[i].text);
        }
        sw_free(t->items);
        sw_free(t);
        return NULL;
}

/* Length of "{path}" at text, with the path in out; 0: no such thing. */
static size_t template_path(const char *text, char out[TEMPLATE_PATH_MAX])
{
        const char *end = text[0] == '{' && text[1] != '{' ? strchr(text, '}') : NULL;
        size_t n = end ? (size_t)(end - text) - 1 : 0;

        if (n == 0 || n >= TEMPLATE_PATH_MAX)
                return 0;
        memcpy(out, text + 1, n);
        out[n] = '\0';
        return n + 2;
}

const char *sw_template_wrong(const char *text)
{
        char path[TEMPLATE_PATH_MAX];

        while (*text) {
                if (text[0] == '{' && text[1] == '{') {
                        text += 2;
                } else if (*text == '{') {
                        size_t n = template_path(text, path);

                        if (n == 0)
                                return "has a '{' without a path and '}'; a brace itself is '{{'";
                        text += n;
                } else {
                        text++;
                }
        }
        return NULL;
}

static void template_number(struct sw_buf *out, const struct sw_json *v)
{
        int64_t exact;
        double d;

        if (sw_json_i64(v, &exact))
                sw_buf_printf(out, "%lld", (long long)exact);
        else if (sw_json_double(v, &d))
                sw_buf_printf(out, "%.17g", d);
}

/* A value as it stands in the middle of a text; lists as "a, b". */
static void template_text(struct sw_buf *out, const struct sw_json *v, unsigned depth)
{
        const struct sw_json *item;

        switch (sw_json_kind(v)) {
        case SW_JSON_STRING:
                sw_buf_put_str(out, sw_json_str(v));
                return;
        case SW_JSON_NUMBER:
                template_number(out, v);
                return;
        case SW_JSON_TRUE:
        case SW_JSON_FALSE:
                sw_buf_puts(out, sw_json_kind(v) == SW_JSON_TRUE ? "true" : "false");
                return;
        case SW_JSON_ARRAY:
                for (item = depth < TEMPLATE_DEPTH_MAX ? sw_json_first(v) : NULL; item; item = sw_json_next(item)) {
                        template_text(out, item, depth + 1);
                        if (sw_json_next(item))
                                sw_buf_puts(out, ", ");
                }
                return;
        default:
                return;
        }
}

/* Nothing begins at or beyond `limit`, a place in what is written; a text ends there. */
static void template_value(struct sw_jsonw *w, const struct sw_json *v, size_t limit)
{
        size_t at = w->out->n, left = at < limit ? limit - at : 0;
        struct sw_buf number = SW_BUF_NULL;
        const struct sw_json *item;

        switch (w->depth < TEMPLATE_DEPTH_MAX ? sw_json_kind(v) : SW_JSON_NULL) {
        case SW_JSON_STRING:
                sw_jsonw_str(w, sw_utf8_cut(sw_json_str(v), left));
                return;
        case SW_JSON_NUMBER:
                template_number(&number, v);
                sw_jsonw_raw(w, number.n ? (struct sw_str){ number.p, number.n } : SW_STR("null"));
                w->out->failed = w->out->failed || number.failed;
                sw_buf_deinit(&number);
                return;
        case SW_JSON_TRUE:
        case SW_JSON_FALSE:
                sw_jsonw_bool(w, sw_json_kind(v) == SW_JSON_TRUE);
                return;
        case SW_JSON_ARRAY:
                sw_jsonw_array(w);
                for (item = sw_json_first(v); item && w->out->n < limit; item = sw_json_next(item))
                        template_value(w, item, limit);
                sw_jsonw_end_array(w);
                return;
        case SW_JSON_OBJECT:
                sw_jsonw_object(w);
                for (item = sw_json_first(v); item && w->out->n < limit; item = sw_json_next(item)) {
                        sw_jsonw_key_str(w, sw_json_key(item));
                        template_value(w, item, limit);
                }
                sw_jsonw_end_object(w);
                return;
        case SW_JSON_NONE:
        case SW_JSON_NULL:
        default:
                sw_jsonw_raw(w, SW_STR("null"));
        }
}

static void template_render(const char *text, const struct sw_json *finding, struct sw_buf *out)
{
        char path[TEMPLATE_PATH_MAX];
        size_t n;

        while (*text) {
                n = template_path(text, path);
                if (n > 0) {
                        template_text(out, sw_json_at(finding, path), 0);
                        text += n;
                } else {
                        text += text[0] == '{' && text[1] == '{';
                        sw_buf_putc(out, *text++);
                }
        }
}

void sw_template_put(const struct sw_template *t, const struct sw_json *finding, size_t max, struct sw_buf *out)
{
        size_t share = t->n > 0 ? max / t->n : max;
        struct sw_jsonw w = sw_jsonw_start(out);
        char path[TEMPLATE_PATH_MAX];
        uint32_t i;

        sw_jsonw_object(&w);
        for (i = 0; i < t->n; i++) {
                const struct template_field *f = &t->items[i];
                size_t n = template_path(f->text, path);
                struct sw_buf text = SW_BUF_NULL;
                struct sw_str s;

                sw_jsonw_key_str(&w, sw_str_of(f->key));
                if (n > 0 && f->text[n] == '\0') {
                        template_value(
                                &w, sw_json_at(finding, path), share < SIZE_MAX - out->n ? out->n + share : SIZE_MAX);
                        continue;
                }
                template_render(f->text, finding, &text);
                s = (struct sw_str){ text.p, text.failed ? 0 : text.n };
                sw_jsonw_str(&w, sw_utf8_cut(s, share));
                out->failed = out->failed || text.failed;
                sw_buf_deinit(&text);
        }
        sw_jsonw_end_object(&w);
}

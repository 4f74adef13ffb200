/* SPDX-License-Identifier: Apache-2.0 */
#include "config/emit.h"

#include "config/schema.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define WIDTH 118u

void sw_emit_indent(struct sw_buf *out, unsigned indent)
{
        while (indent--)
                sw_buf_putc(out, ' ');
}

static bool emit_is_plain(struct sw_str s)
{
        static const char *const words[] = { "true", "false", "yes", "no", "on", "off", "y", "n", "null" };
        bool letter = false;
        size_t i;

        for (i = 0; i < s.n; i++) {
                char c = s.p[i];
                bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');

                letter = letter || is_letter || c == '/';
                if (!is_letter && !(c >= '0' && c <= '9') && !(c && strchr("_/$", c)) && !(i && c && strchr(".-@+", c)))
                        return false;
        }
        for (i = 0; i < sizeof(words) / sizeof(*words); i++)
                if (sw_str_ieq(s, sw_str_of(words[i])))
                        return false;
        return letter && !sw_str_eq(s, SW_STR("0x"));
}

/* Bytes of the UTF-8 character at p that YAML does not take as it stands, or takes for a line break: the C1 controls,
 * U+2028, U+2029, the byte order mark, U+FFFE and U+FFFF. 0: there is none. */
static size_t emit_unprintable(const unsigned char *p, size_t n, unsigned *ret)
{
        if (n >= 2 && p[0] == 0xc2 && p[1] < 0xa0) {
                *ret = p[1];
                return 2;
        }
        if (n < 3 || (p[0] != 0xe2 && p[0] != 0xef))
                return 0;
        *ret = (unsigned)(p[0] & 0x0f) << 12 | (unsigned)(p[1] & 0x3f) << 6 | (unsigned)(p[2] & 0x3f);
        return *ret == 0x2028 || *ret == 0x2029 || *ret == 0xfeff || *ret == 0xfffe || *ret == 0xffff ? 3 : 0;
}

void sw_emit_text(struct sw_buf *out, struct sw_str s)
{
        const unsigned char *p = (const unsigned char *)s.p;
        size_t i, taken;
        unsigned c;

        if (emit_is_plain(s)) {
                sw_buf_put_str(out, s);
                return;
        }
        sw_buf_putc(out, '"');
        for (i = 0; i < s.n; i += taken ? taken : 1) {
                taken = emit_unprintable(p + i, s.n - i, &c);
                if (taken) {
                        sw_buf_printf(out, "\\u%04x", c);
                        continue;
                }
                if (p[i] == '"' || p[i] == '\\')
                        sw_buf_putc(out, '\\');
                if (p[i] < 0x20 || p[i] == 0x7f)
                        sw_buf_printf(out, "\\x%02x", p[i]);
                else
                        sw_buf_putc(out, s.p[i]);
        }
        sw_buf_putc(out, '"');
}

static void emit_secret(struct sw_buf *out, const struct sw_secret_ref *s)
{
        sw_buf_puts(out, s->file ? "{file: " : "{credential: ");
        sw_emit_text(out, sw_str_of(s->file ? s->file : s->credential));
        sw_buf_putc(out, '}');
}

static void emit_enum(struct sw_buf *out, const struct sw_opt *row, uint32_t value)
{
        const struct sw_opt_name *n = row->names;

        while (n->name && n->value != value)
                n++;
        sw_emit_text(out, sw_str_of(n->name));
}

static void emit_list(struct sw_buf *out, const struct sw_opt *row, const struct sw_list *list, unsigned indent)
{
        uint32_t i;
        size_t from;

        if (list->n == 0)
                sw_buf_puts(out, " []");
        sw_buf_putc(out, '\n');
        for (i = 0; i < list->n; i++) {
                from = out->n;
                sw_emit_yaml(out, row->rows, (const char *)list->items + i * row->item_size, indent + 4);
                if (out->failed)
                        return;
                if (out->n > from)
                        out->p[from + indent + 2] = '-';
                else
                        sw_buf_puts(out, "  - {}\n");
        }
}

static void emit_map(struct sw_buf *out, const struct sw_kv_list *map, unsigned indent)
{
        uint32_t i;

        sw_buf_putc(out, '\n');
        for (i = 0; i < map->n; i++) {
                sw_emit_indent(out, indent + 2);
                sw_emit_text(out, sw_str_of(map->items[i].key));
                sw_buf_puts(out, ": ");
                sw_emit_text(out, sw_str_of(map->items[i].value));
                sw_buf_putc(out, '\n');
        }
}

static bool emit_is_absent(const struct sw_opt *row, const void *field)
{
        const struct sw_secret_ref *secret = field;
        const struct sw_kv_list *map = field;

        switch (row->type) {
        case SW_OPT_STRING:
                return !*(char *const *)field;
        case SW_OPT_SECRET:
                return !secret->file && !secret->credential;
        case SW_OPT_ENUM:
                return *(const uint32_t *)field == UINT32_MAX;
        case SW_OPT_ANY_MAP:
                return map->n == 0;
        case SW_OPT_CUSTOM:
                return !row->emit;
        default:
                return false;
        }
}

/* The value and its line end; `key:` stands already. */
static void emit_value(struct sw_buf *out, const struct sw_opt *row, const void *field, unsigned indent)
{
        char text[32];

        switch (row->type) {
        case SW_OPT_LIST:
                emit_list(out, row, field, indent);
                return;
        case SW_OPT_ANY_MAP:
                emit_map(out, field, indent);
                return;
        case SW_OPT_SECTION:
                sw_buf_putc(out, '\n');
                sw_emit_yaml(out, row->rows, field, indent + 2);
                return;
        default:
                break;
        }
        sw_buf_putc(out, ' ');
        switch (row->type) {
        case SW_OPT_BOOL:
                sw_buf_puts(out, *(const bool *)field ? "true" : "false");
                break;
        case SW_OPT_UINT:
                sw_buf_u64(out, *(const uint64_t *)field);
                break;
        case SW_OPT_DURATION:
                sw_buf_puts(out, sw_schema_duration_format(*(const int64_t *)field, text));
                break;
        case SW_OPT_SIZE:
                sw_buf_puts(out, sw_schema_size_format(*(const uint64_t *)field, text));
                break;
        case SW_OPT_STRING:
                sw_emit_text(out, sw_str_of(*(char *const *)field));
                break;
        case SW_OPT_ENUM:
                emit_enum(out, row, *(const uint32_t *)field);
                break;
        case SW_OPT_SECRET:
                emit_secret(out, field);
                break;
        case SW_OPT_CUSTOM:
                row->emit(out, field);
                break;
        default:
                assert(false && "option row without a type");
        }
        sw_buf_putc(out, '\n');
}

static void emit_block(struct sw_buf *out, const struct sw_opt *row, const void *field)
{
        size_t from = out->n, body;

        sw_buf_printf(out, "%s:\n", row->key);
        body = out->n;
        row->emit(out, field);
        if (out->n == body)
                out->n = from;
}

void sw_emit_yaml(struct sw_buf *out, const struct sw_opt *rows, const void *base, unsigned indent)
{
        const struct sw_opt *o;

        for (o = rows; o->key; o++) {
                const void *field = (const char *)base + o->offset;
                size_t from = out->n, body;

                if (o->flags & SW_OPT_LATER || emit_is_absent(o, field))
                        continue;
                if (o->flags & SW_OPT_BLOCK) {
                        emit_block(out, o, field);
                        continue;
                }
                sw_emit_indent(out, indent);
                sw_buf_printf(out, "%s:", o->key);
                body = out->n;
                emit_value(out, o, field, indent);
                if (o->type == SW_OPT_CUSTOM && out->n == body + 2)
                        out->n = from; /* absent */
        }
}

void sw_emit_doc(struct sw_buf *out, const struct sw_opt *row)
{
        const struct sw_opt_name *n;
        char low[32], high[32];

        sw_buf_puts(out, row->doc ? row->doc : "");
        if (row->type == SW_OPT_ENUM) {
                sw_buf_puts(out, " One of");
                for (n = row->names; n->name; n++)
                        sw_buf_printf(out, "%s%s", n == row->names ? " " : n[1].name ? ", " : " or ", n->name);
                sw_buf_putc(out, '.');
        } else if (row->min || row->max) {
                bool ms = row->type == SW_OPT_DURATION, size = row->type == SW_OPT_SIZE;

                (void)snprintf(low, sizeof(low), "%llu", (unsigned long long)row->min);
                (void)snprintf(high, sizeof(high), "%llu", (unsigned long long)row->max);
                if (ms || size) {
                        (void)(ms ? sw_schema_duration_format((int64_t)row->min, low)
                                  : sw_schema_size_format(row->min, low));
                        (void)(ms ? sw_schema_duration_format((int64_t)row->max, high)
                                  : sw_schema_size_format(row->max, high));
                }
                sw_buf_printf(out, row->max ? " From %s to %s." : " At least %s.", low, high);
        }
}

/* Help and range as comment lines of at most WIDTH columns. */
static void emit_comment(struct sw_buf *out, const struct sw_opt *row, const char *prefix, unsigned indent)
{
        struct sw_buf text = SW_BUF_NULL;
        size_t at = 0, end;

        sw_emit_doc(&text, row);
        while (at < text.n && !text.failed) {
                end = text.n;
                if (end - at > WIDTH - indent - 2) {
                        end = at + (WIDTH - indent - 2);
                        while (end > at && text.p[end] != ' ')
                                end--;
                        if (end == at)
                                end = text.n;
                }
                sw_buf_puts(out, prefix);
                sw_emit_indent(out, indent);
                sw_buf_puts(out, "# ");
                sw_buf_put(out, text.p + at, end - at);
                sw_buf_putc(out, '\n');
                at = end < text.n ? end + 1 : end;
        }
        out->failed = out->failed || text.failed;
        sw_buf_deinit(&text);
}

/* How an item of a list looks, all of it as comment; without the first '#' it is YAML again. */
static void emit_sample_items(struct sw_buf *out, const struct sw_opt *row)
{
        const struct sw_opt *o;

        for (o = row->rows; o->key; o++) {
                if (o->flags & SW_OPT_LATER)
                        continue;
                emit_comment(out, o, "#", 4);
                sw_buf_printf(out, o == row->rows ? "#  - %s: %s\n" : "#    %s: %s\n", o->key,
                        o->def       ? o->def
                        : o->example ? o->example
                                     : "");
        }
}

static void emit_sample_value(struct sw_buf *out, const struct sw_opt *row, unsigned indent)
{
        switch (row->type) {
        case SW_OPT_SECTION:
                sw_emit_indent(out, indent);
                sw_buf_printf(out, "%s:\n", row->key);
                sw_emit_sample(out, row->rows, indent + 2);
                return;
        case SW_OPT_LIST:
                sw_emit_indent(out, indent);
                sw_buf_printf(out, "%s: []\n", row->key);
                emit_sample_items(out, row);
                return;
        default:
                sw_emit_indent(out, indent);
                if (row->def) {
                        sw_buf_printf(out, "%s: ", row->key);
                        if (row->type == SW_OPT_STRING)
                                sw_emit_text(out, sw_str_of(row->def));
                        else
                                sw_buf_puts(out, row->def);
                        sw_buf_putc(out, '\n');
                } else {
                        sw_buf_printf(
                                out, "#%s:%s%s\n", row->key, row->example ? " " : "", row->example ? row->example : "");
                }
        }
}

void sw_emit_sample(struct sw_buf *out, const struct sw_opt *rows, unsigned indent)
{
        const struct sw_opt *o;

        for (o = rows; o->key; o++) {
                if (o->flags & SW_OPT_LATER)
                        continue;
                if (indent == 0 && o != rows)
                        sw_buf_putc(out, '\n');
                emit_comment(out, o, "", indent);
                if (o->flags & SW_OPT_BLOCK && o->emit_sample) {
                        sw_buf_printf(out, "%s:\n", o->key);
                        o->emit_sample(out);
                } else {
                        emit_sample_value(out, o, indent);
                }
        }
}

static void emit_schema_alternatives(struct sw_jsonw *w, const char *pattern, bool any_number)
{
        sw_jsonw_key(w, "anyOf");
        sw_jsonw_array(w);
        sw_jsonw_object(w);
        sw_jsonw_ktext(w, "type", "string");
        sw_jsonw_ktext(w, "pattern", pattern);
        sw_jsonw_end_object(w);
        sw_jsonw_object(w);
        if (any_number) {
                sw_jsonw_ktext(w, "type", "integer");
                sw_jsonw_ku64(w, "minimum", 0);
        } else {
                sw_jsonw_ku64(w, "const", 0);
        }
        sw_jsonw_end_object(w);
        sw_jsonw_end_array(w);
}

static void emit_schema_names(struct sw_jsonw *w, const struct sw_opt *row)
{
        const struct sw_opt_name *n;

        sw_jsonw_key(w, "enum");
        sw_jsonw_array(w);
        for (n = row->names; n->name; n++)
                sw_jsonw_text(w, n->name);
        sw_jsonw_end_array(w);
}

/* Nothing at all after the key counts as absent. */
static void emit_schema_or_null(struct sw_jsonw *w, const char *type)
{
        sw_jsonw_key(w, "type");
        sw_jsonw_array(w);
        sw_jsonw_text(w, type);
        sw_jsonw_text(w, "null");
        sw_jsonw_end_array(w);
}

static void emit_schema_secret(struct sw_jsonw *w)
{
        static const char *const ways[] = { "file", "credential" };
        unsigned i;

        sw_jsonw_ktext(w, "type", "object");
        sw_jsonw_key(w, "properties");
        sw_jsonw_object(w);
        for (i = 0; i < 2; i++) {
                sw_jsonw_key(w, ways[i]);
                sw_jsonw_object(w);
                sw_jsonw_ktext(w, "type", "string");
                sw_jsonw_end_object(w);
        }
        sw_jsonw_end_object(w);
        sw_jsonw_kbool(w, "additionalProperties", false);
        sw_jsonw_ku64(w, "minProperties", 1);
        sw_jsonw_ku64(w, "maxProperties", 1);
}

static void emit_schema_default(struct sw_jsonw *w, const struct sw_opt *row)
{
        uint64_t v;

        if (!row->def || row->type == SW_OPT_CUSTOM)
                return;
        if (row->type == SW_OPT_BOOL)
                sw_jsonw_kbool(w, "default", *row->def == 't');
        else if (row->type == SW_OPT_UINT && sw_parse_u64(sw_str_of(row->def), &v))
                sw_jsonw_ku64(w, "default", v);
        else
                sw_jsonw_ktext(w, "default", row->def);
}

static void emit_schema_type(struct sw_jsonw *w, const struct sw_opt *row)
{
        switch (row->type) {
        case SW_OPT_BOOL:
                sw_jsonw_ktext(w, "type", "boolean");
                return;
        case SW_OPT_UINT:
                sw_jsonw_ktext(w, "type", "integer");
                sw_jsonw_ku64(w, "minimum", row->min);
                if (row->max)
                        sw_jsonw_ku64(w, "maximum", row->max);
                return;
        case SW_OPT_DURATION:
                emit_schema_alternatives(w, "^(0|[0-9]+(ms|s|m|h|d))$", false);
                return;
        case SW_OPT_SIZE:
                emit_schema_alternatives(w, "^[0-9]+(KiB|MiB|GiB|TiB)?$", true);
                return;
        case SW_OPT_STRING:
                sw_jsonw_ktext(w, "type", "string");
                return;
        case SW_OPT_ENUM:
                emit_schema_names(w, row);
                return;
        case SW_OPT_SECRET:
                emit_schema_secret(w);
                return;
        case SW_OPT_ANY_MAP:
                emit_schema_or_null(w, "object");
                return;
        case SW_OPT_LIST:
                emit_schema_or_null(w, "array");
                sw_jsonw_key(w, "items");
                sw_jsonw_object(w);
                sw_emit_schema(w, &row->rows, 1);
                sw_jsonw_end_object(w);
                return;
        case SW_OPT_SECTION:
                sw_emit_schema(w, &row->rows, 1);
                return;
        case SW_OPT_CUSTOM:
                if (row->emit_schema)
                        row->emit_schema(w);
                return;
        case SW_OPT_NONE:
        default:
                assert(false && "option row without a type");
        }
}

static void emit_schema_required(struct sw_jsonw *w, const struct sw_opt *const *tables, unsigned n_tables)
{
        const struct sw_opt *o;
        bool any = false;
        unsigned i;

        for (i = 0; i < n_tables; i++)
                for (o = tables[i]; o->key; o++) {
                        if (!(o->flags & SW_OPT_REQUIRED))
                                continue;
                        if (!any) {
                                sw_jsonw_key(w, "required");
                                sw_jsonw_array(w);
                                any = true;
                        }
                        sw_jsonw_text(w, o->key);
                }
        if (any)
                sw_jsonw_end_array(w);
}

void sw_emit_schema(struct sw_jsonw *w, const struct sw_opt *const *tables, unsigned n_tables)
{
        const struct sw_opt *o;
        unsigned i;

        emit_schema_or_null(w, "object");
        sw_jsonw_key(w, "properties");
        sw_jsonw_object(w);
        for (i = 0; i < n_tables; i++)
                for (o = tables[i]; o->key; o++) {
                        if (o->flags & SW_OPT_LATER)
                                continue;
                        sw_jsonw_key(w, o->key);
                        sw_jsonw_object(w);
                        if (o->doc)
                                sw_jsonw_ktext(w, "description", o->doc);
                        emit_schema_type(w, o);
                        emit_schema_default(w, o);
                        sw_jsonw_end_object(w);
                }
        sw_jsonw_end_object(w);
        emit_schema_required(w, tables, n_tables);
        sw_jsonw_kbool(w, "additionalProperties", false);
}

void sw_emit_pretty(struct sw_buf *out, struct sw_str json)
{
        bool in_string = false;
        unsigned depth = 0;
        size_t i;

        for (i = 0; i < json.n; i++) {
                char c = json.p[i], next = i + 1 < json.n ? json.p[i + 1] : '\0';

                if (in_string) {
                        sw_buf_putc(out, c);
                        if (c == '\\' && next) {
                                sw_buf_putc(out, next);
                                i++;
                        } else if (c == '"') {
                                in_string = false;
                        }
                        continue;
                }
                if ((c == '}' || c == ']') && depth) {
                        depth--;
                        if (i && json.p[i - 1] != '{' && json.p[i - 1] != '[') {
                                sw_buf_putc(out, '\n');
                                sw_emit_indent(out, depth * 2);
                        }
                }
                sw_buf_putc(out, c);
                in_string = c == '"';
                if (c == '{' || c == '[')
                        depth++;
                if (c == ':')
                        sw_buf_putc(out, ' ');
                if (c == ',' || ((c == '{' || c == '[') && next != '}' && next != ']')) {
                        sw_buf_putc(out, '\n');
                        sw_emit_indent(out, depth * 2);
                }
        }
        sw_buf_putc(out, '\n');
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "config/schema.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_TEXT 4096u
#define MAX_MS (INT64_C(1) << 53)
#define MAX_LIST (UINT32_C(1) << 16)

struct schema_unit {
        const char *name;
        uint64_t factor;
};
static const struct schema_unit schema_durations[] = { { "d", 86400000 }, { "h", 3600000 }, { "m", 60000 },
        { "s", 1000 }, { "ms", 1 } };
static const struct schema_unit schema_sizes[] = { { "TiB", UINT64_C(1) << 40 }, { "GiB", 1 << 30 }, { "MiB", 1 << 20 },
        { "KiB", 1 << 10 } };
#define N_DURATIONS (sizeof(schema_durations) / sizeof(*schema_durations))
#define N_SIZES (sizeof(schema_sizes) / sizeof(*schema_sizes))

static void *schema_field(const struct sw_opt *row, void *base)
{
        return (char *)base + row->offset;
}

/* Digits and the unit behind them. */
static bool schema_split(struct sw_str s, uint64_t *ret_number, struct sw_str *ret_unit)
{
        size_t n = 0;

        while (n < s.n && s.p[n] >= '0' && s.p[n] <= '9')
                n++;
        *ret_unit = (struct sw_str){ s.p + n, s.n - n };
        return sw_parse_u64((struct sw_str){ s.p, n }, ret_number);
}

static bool schema_scaled(struct sw_str s, const struct schema_unit *units, size_t n, uint64_t *ret)
{
        struct sw_str unit;
        uint64_t v;
        size_t i;

        if (!schema_split(s, &v, &unit))
                return false;
        for (i = 0; i < n; i++)
                if (sw_str_eq(unit, sw_str_of(units[i].name)))
                        return !__builtin_mul_overflow(v, units[i].factor, ret);
        return false;
}

bool sw_schema_duration(struct sw_str s, int64_t *ret_ms)
{
        uint64_t v = 0;

        if (!sw_str_eq(s, SW_STR("0")) && !schema_scaled(s, schema_durations, N_DURATIONS, &v))
                return false;
        if (v > (uint64_t)MAX_MS)
                return false;
        *ret_ms = (int64_t)v;
        return true;
}

bool sw_schema_size(struct sw_str s, uint64_t *ret_bytes)
{
        return sw_parse_u64(s, ret_bytes) || schema_scaled(s, schema_sizes, N_SIZES, ret_bytes);
}

static char *schema_scaled_format(uint64_t v, const struct schema_unit *units, size_t n, char buf[32])
{
        size_t i;

        for (i = 0; i < n && v; i++)
                if (v % units[i].factor == 0) {
                        (void)snprintf(buf, 32, "%llu%s", (unsigned long long)(v / units[i].factor), units[i].name);
                        return buf;
                }
        (void)snprintf(buf, 32, "%llu", (unsigned long long)v);
        return buf;
}

char *sw_schema_duration_format(int64_t ms, char buf[32])
{
        return schema_scaled_format(ms < 0 ? 0 : (uint64_t)ms, schema_durations, N_DURATIONS, buf);
}

char *sw_schema_size_format(uint64_t bytes, char buf[32])
{
        return schema_scaled_format(bytes, schema_sizes, N_SIZES, buf);
}

bool sw_schema_is(
        struct sw_conf_check *check, const struct sw_conf_node *node, enum sw_node_kind kind, const char *what)
{
        static const char *const kinds[] = { [SW_NODE_SCALAR] = "a single value",
                [SW_NODE_LIST] = "a list, as in [a, b]",
                [SW_NODE_MAP] = "a map of keys, as in {key: value}" };

        if (node->kind == kind && !(kind == SW_NODE_SCALAR && sw_conf_node_is_null(node)))
                return true;
        sw_conf_error(
                check, &node->place, "%s must be %s, this is %s", what, kinds[kind], sw_conf_node_kind_text(node));
        return false;
}

static bool schema_is_boolean_word(struct sw_str s)
{
        static const char *const words[] = { "true", "false", "yes", "no", "on", "off" };
        size_t i;

        for (i = 0; i < sizeof(words) / sizeof(*words); i++)
                if (sw_str_ieq(s, sw_str_of(words[i])))
                        return true;
        return false;
}

bool sw_schema_text(struct sw_conf_check *check, const struct sw_conf_node *node, const char *what, struct sw_str *ret)
{
        char shown[SW_CONF_SHOWN];
        size_t i;

        if (!sw_schema_is(check, node, SW_NODE_SCALAR, what))
                return false;
        if (!node->quoted && schema_is_boolean_word(node->text)) {
                sw_conf_error(check, &node->place, "%s: '%s' without quotes is a boolean to YAML; write \"%s\"", what,
                        node->text.p, node->text.p);
                return false;
        }
        if (node->text.n == 0 || node->text.n > MAX_TEXT) {
                sw_conf_error(check, &node->place, node->text.n ? "%s is longer than %u bytes" : "%s is empty", what,
                        MAX_TEXT);
                return false;
        }
        for (i = 0; i < node->text.n; i++)
                if ((unsigned char)node->text.p[i] < 0x20 || node->text.p[i] == 0x7f) {
                        sw_conf_error(check, &node->place, "%s holds a control character: '%s'", what,
                                sw_conf_show(node->text, shown));
                        return false;
                }
        *ret = node->text;
        return true;
}

static void schema_range(struct sw_conf_check *check, const struct sw_opt *row, const struct sw_conf_node *node,
        uint64_t v, char *(*format)(uint64_t v, char buf[32]))
{
        char low[32], high[32], shown[SW_CONF_SHOWN];

        if ((row->min == 0 && row->max == 0) || (v >= row->min && (row->max == 0 || v <= row->max)))
                return;
        if (row->max == 0)
                sw_conf_error(check, &node->place, "%s: %s is below the minimum of %s", row->key,
                        sw_conf_show(node->text, shown), format(row->min, low));
        else
                sw_conf_error(check, &node->place, "%s: %s is not between %s and %s", row->key,
                        sw_conf_show(node->text, shown), format(row->min, low), format(row->max, high));
}

static char *schema_plain_format(uint64_t v, char buf[32])
{
        (void)snprintf(buf, 32, "%llu", (unsigned long long)v);
        return buf;
}

static char *schema_ms_format(uint64_t v, char buf[32])
{
        return sw_schema_duration_format((int64_t)v, buf);
}

static void schema_bool(
        struct sw_conf_check *check, const struct sw_opt *row, const struct sw_conf_node *node, bool *to)
{
        char shown[SW_CONF_SHOWN];

        if (!sw_schema_is(check, node, SW_NODE_SCALAR, row->key))
                return;
        if (!node->quoted && (sw_str_eq(node->text, SW_STR("true")) || sw_str_eq(node->text, SW_STR("false"))))
                *to = *node->text.p == 't';
        else
                sw_conf_error(check, &node->place, "%s: '%s' is not true or false%s", row->key,
                        sw_conf_show(node->text, shown),
                        node->quoted                         ? " (without quotes)"
                        : schema_is_boolean_word(node->text) ? "; write it out in lower case"
                                                             : "");
}

static void schema_uint(
        struct sw_conf_check *check, const struct sw_opt *row, const struct sw_conf_node *node, uint64_t *to)
{
        char shown[SW_CONF_SHOWN];
        uint64_t v;

        if (!sw_schema_is(check, node, SW_NODE_SCALAR, row->key))
                return;
        if (node->quoted || !sw_parse_u64(node->text, &v)) {
                sw_conf_error(check, &node->place, "%s: '%s' is not a whole number%s", row->key,
                        sw_conf_show(node->text, shown), node->quoted ? " (write it without quotes)" : "");
                return;
        }
        schema_range(check, row, node, v, schema_plain_format);
        *to = v;
}

static void schema_read_duration(
        struct sw_conf_check *check, const struct sw_opt *row, const struct sw_conf_node *node, int64_t *to)
{
        char shown[SW_CONF_SHOWN];
        uint64_t bare;
        int64_t ms;

        if (!sw_schema_is(check, node, SW_NODE_SCALAR, row->key))
                return;
        (void)sw_conf_show(node->text, shown);
        if (sw_schema_duration(node->text, &ms)) {
                schema_range(check, row, node, (uint64_t)ms, schema_ms_format);
                *to = ms;
        } else if (sw_parse_u64(node->text, &bare)) {
                sw_conf_error(check, &node->place,
                        "%s: '%s' has no unit; write %.40sms, %.40ss, %.40sm, %.40sh or "
                        "%.40sd",
                        row->key, shown, shown, shown, shown, shown, shown);
        } else {
                sw_conf_error(check, &node->place,
                        "%s: '%s' is not a duration; a whole number and one of ms, s, m, h, d, as in 90s or 2m",
                        row->key, shown);
        }
}

static void schema_read_size(
        struct sw_conf_check *check, const struct sw_opt *row, const struct sw_conf_node *node, uint64_t *to)
{
        char shown[SW_CONF_SHOWN];
        uint64_t v;

        if (!sw_schema_is(check, node, SW_NODE_SCALAR, row->key))
                return;
        if (!sw_schema_size(node->text, &v)) {
                sw_conf_error(check, &node->place,
                        "%s: '%s' is not a size; a whole number and one of KiB, MiB, GiB, TiB (powers of 1024), as in "
                        "512MiB",
                        row->key, sw_conf_show(node->text, shown));
                return;
        }
        schema_range(check, row, node, v, sw_schema_size_format);
        *to = v;
}

static void schema_string(
        struct sw_conf_check *check, const struct sw_opt *row, const struct sw_conf_node *node, char **to)
{
        struct sw_str s;
        char *copy;

        if (!sw_schema_text(check, node, row->key, &s))
                return;
        copy = sw_strdup(s.p);
        if (!copy) {
                check->no_memory = true;
                return;
        }
        sw_free(*to);
        *to = copy;
}

static void schema_enum(
        struct sw_conf_check *check, const struct sw_opt *row, const struct sw_conf_node *node, uint32_t *to)
{
        char shown[SW_CONF_SHOWN], hint[SW_CONF_HINT], list[200];
        struct sw_conf_guess g = sw_conf_guess_start(node->text);
        const struct sw_opt_name *n;
        size_t used = 0;

        if (!sw_schema_is(check, node, SW_NODE_SCALAR, row->key))
                return;
        *list = '\0';
        for (n = row->names; n->name; n++) {
                if (sw_str_eq(node->text, sw_str_of(n->name))) {
                        *to = n->value;
                        return;
                }
                sw_conf_guess_add(&g, n->name);
                if (used < sizeof(list))
                        used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s", used ? ", " : "", n->name);
        }
        sw_conf_error(check, &node->place, "%s: '%s' is not one of %s%s", row->key, sw_conf_show(node->text, shown),
                list, sw_conf_guess_hint(&g, hint));
}

static bool schema_credential_name_ok(struct sw_str s)
{
        return !memchr(s.p, '/', s.n) && s.p[0] != '.' && s.n <= 255;
}

/* Never shows what stands there: it may be the secret itself. */
static void schema_secret(struct sw_conf_check *check, const struct sw_opt *row, const struct sw_conf_node *node,
        struct sw_secret_ref *to)
{
        const struct sw_conf_node *child = node->first;
        bool file;
        struct sw_str s;
        char *copy;

        if (node->kind != SW_NODE_MAP || node->n != 1) {
                sw_conf_error(check, &node->place,
                        "%s is a secret and does not stand in the configuration; write {credential: NAME} or "
                        "{file: PATH}",
                        row->key);
                return;
        }
        file = sw_str_eq(child->key, SW_STR("file"));
        if (!file && !sw_str_eq(child->key, SW_STR("credential"))) {
                sw_conf_error(check, &child->key_place, "%s: the only ways are {credential: NAME} and {file: PATH}",
                        row->key);
                return;
        }
        if (child->kind != SW_NODE_SCALAR || child->text.n == 0) {
                sw_conf_error(check, &child->place, "%s: %s must be a single %s", row->key, child->key.p,
                        file ? "path" : "name");
                return;
        }
        if (!sw_schema_text(check, child, child->key.p, &s))
                return;
        if (!file && !schema_credential_name_ok(s)) {
                sw_conf_error(check, &child->place, "%s: a credential is named without '/' and leading '.'", row->key);
                return;
        }
        copy = sw_strdup(s.p);
        if (!copy) {
                check->no_memory = true;
                return;
        }
        sw_free(to->file);
        sw_free(to->credential);
        *to = (struct sw_secret_ref){ .file = file ? copy : NULL, .credential = file ? NULL : copy };
}

static void schema_kv_free(struct sw_kv_list *list)
{
        uint32_t i;

        for (i = 0; i < list->n; i++) {
                sw_free(list->items[i].key);
                sw_free(list->items[i].value);
        }
        sw_free(list->items);
        *list = (struct sw_kv_list){ 0 };
}

static void schema_any_map(
        struct sw_conf_check *check, const struct sw_opt *row, const struct sw_conf_node *node, struct sw_kv_list *to)
{
        const struct sw_conf_node *child;
        struct sw_kv *items;

        if (sw_conf_node_is_null(node) || !sw_schema_is(check, node, SW_NODE_MAP, row->key))
                return;
        items = sw_realloc_array(to->items, to->n + (size_t)node->n + 1, sizeof(*items));
        if (!items) {
                check->no_memory = true;
                return;
        }
        to->items = items;
        for (child = node->first; child; child = child->next) {
                if (child->kind != SW_NODE_SCALAR) {
                        (void)sw_schema_is(check, child, SW_NODE_SCALAR, child->key.p);
                        continue;
                }
                items[to->n] = (struct sw_kv){ sw_strdup(child->key.p), sw_strdup(child->text.p), child->key_place };
                if (!items[to->n].key || !items[to->n].value)
                        check->no_memory = true;
                to->n++;
        }
}

struct schema_unique {
        const char *text;
        uint32_t index;
};

static int schema_unique_cmp(const void *pa, const void *pb)
{
        const struct schema_unique *a = pa, *b = pb;
        int r = strcmp(a->text, b->text);

        return r ? r : (a->index > b->index) - (a->index < b->index);
}

static const struct sw_conf_place *schema_item_place(const struct sw_opt *row, const struct sw_list *list, uint32_t i)
{
        return row->place ? (const void *)((const char *)list->items + i * row->item_size + row->place) : NULL;
}

/* Two items with the same value: from item `from` on they are news. */
static void schema_check_unique(struct sw_conf_check *check, const struct sw_opt *row, const struct sw_opt *unique,
        const struct sw_list *list, uint32_t from)
{
        struct schema_unique *all = sw_calloc((size_t)list->n + 1, sizeof(*all));
        char shown[SW_CONF_SHOWN];
        uint32_t n = 0, i;

        if (!all) {
                check->no_memory = true;
                return;
        }
        for (i = 0; i < list->n; i++) {
                const char *item = (const char *)list->items + i * row->item_size;
                const char *text = *(char *const *)(const void *)(item + unique->offset);

                if (text)
                        all[n++] = (struct schema_unique){ text, i };
        }
        if (n)
                qsort(all, n, sizeof(*all), schema_unique_cmp);
        for (i = 1; i < n; i++) {
                const struct sw_conf_place *first = schema_item_place(row, list, all[i - 1].index);
                const char *shown_text;

                if (strcmp(all[i - 1].text, all[i].text) != 0 || all[i].index < from)
                        continue;
                shown_text = sw_conf_show(sw_str_of(all[i].text), shown);
                if (first && first->file)
                        sw_conf_error(check, schema_item_place(row, list, all[i].index),
                                "%s: %s '%s' is given twice, first at %s:%u", row->key, unique->key, shown_text,
                                first->file, first->line);
                else
                        sw_conf_error(check, schema_item_place(row, list, all[i].index), "%s: %s '%s' is given twice",
                                row->key, unique->key, shown_text);
        }
        sw_free(all);
}

static void schema_list(
        struct sw_conf_check *check, const struct sw_opt *row, const struct sw_conf_node *node, struct sw_list *to)
{
        const struct sw_conf_node *child;
        const struct sw_opt *o;
        uint32_t from = to->n;
        void *items;

        if (sw_conf_node_is_null(node) || !sw_schema_is(check, node, SW_NODE_LIST, row->key))
                return;
        if (node->n > MAX_LIST - to->n) {
                sw_conf_error(check, &node->place, "%s: more than %u items", row->key, MAX_LIST);
                return;
        }
        items = sw_realloc_array(to->items, to->n + (size_t)node->n + 1, row->item_size);
        if (!items) {
                check->no_memory = true;
                return;
        }
        to->items = items;
        for (child = node->first; child; child = child->next) {
                char *item = (char *)to->items + to->n * row->item_size;
                struct sw_schema_part part = { .rows = row->rows, .base = item };

                if (!sw_schema_is(check, child, SW_NODE_MAP, "an item of this list"))
                        continue;
                memset(item, 0, row->item_size);
                to->n++;
                if (row->place)
                        memcpy(item + row->place, &child->place, sizeof(child->place));
                if (sw_schema_defaults(row->rows, item) < 0)
                        check->no_memory = true;
                sw_schema_read(&part, 1, child, check);
        }
        for (o = row->rows; o->key; o++)
                if (o->type == SW_OPT_STRING && o->flags & SW_OPT_UNIQUE)
                        schema_check_unique(check, row, o, to, from);
}

static void schema_value(
        struct sw_conf_check *check, const struct sw_opt *row, const struct sw_conf_node *node, void *base)
{
        void *field = schema_field(row, base);

        if (row->place && row->type != SW_OPT_LIST)
                memcpy((char *)base + row->place, &node->place, sizeof(node->place));
        switch (row->type) {
        case SW_OPT_BOOL:
                schema_bool(check, row, node, field);
                return;
        case SW_OPT_UINT:
                schema_uint(check, row, node, field);
                return;
        case SW_OPT_DURATION:
                schema_read_duration(check, row, node, field);
                return;
        case SW_OPT_SIZE:
                schema_read_size(check, row, node, field);
                return;
        case SW_OPT_STRING:
                schema_string(check, row, node, field);
                return;
        case SW_OPT_ENUM:
                schema_enum(check, row, node, field);
                return;
        case SW_OPT_SECRET:
                schema_secret(check, row, node, field);
                return;
        case SW_OPT_ANY_MAP:
                schema_any_map(check, row, node, field);
                return;
        case SW_OPT_LIST:
                schema_list(check, row, node, field);
                return;
        case SW_OPT_SECTION: {
                struct sw_schema_part part = { .rows = row->rows, .base = field };

                sw_schema_read(&part, 1, node, check);
                return;
        }
        case SW_OPT_CUSTOM:
                row->parse(check, node, field);
                return;
        case SW_OPT_NONE:
        default:
                assert(false && "option row without a type");
        }
}

static const struct sw_opt *schema_find(
        const struct sw_schema_part *parts, unsigned n_parts, struct sw_str key, const struct sw_schema_part **ret_part)
{
        const struct sw_opt *o;
        unsigned i;

        for (i = 0; i < n_parts; i++)
                for (o = parts[i].rows; o->key; o++)
                        if (sw_str_eq(key, sw_str_of(o->key))) {
                                *ret_part = &parts[i];
                                return o;
                        }
        return NULL;
}

static void schema_unknown(const struct sw_schema_part *parts, unsigned n_parts, const struct sw_conf_node *node,
        struct sw_conf_check *check)
{
        char shown[SW_CONF_SHOWN], hint[SW_CONF_HINT];
        struct sw_conf_guess g = sw_conf_guess_start(node->key);
        const struct sw_opt *o;
        unsigned i;

        for (i = 0; i < n_parts; i++)
                for (o = parts[i].rows; o->key; o++)
                        sw_conf_guess_add(&g, o->key);
        sw_conf_error(check, &node->key_place, "unknown key '%s'%s", sw_conf_show(node->key, shown),
                sw_conf_guess_hint(&g, hint));
}

static void schema_check_required(
        const struct sw_opt *rows, const struct sw_conf_node *map, struct sw_conf_check *check)
{
        static const struct sw_conf_place nowhere = { 0 };
        const struct sw_opt *o;

        for (o = rows; o->key; o++) {
                const struct sw_conf_node *n = map ? map->first : NULL;

                while (n && !sw_str_eq(n->key, sw_str_of(o->key)))
                        n = n->next;
                if (!n && o->flags & SW_OPT_REQUIRED)
                        sw_conf_error(check, map ? &map->place : &nowhere, "key '%s' is missing here", o->key);
        }
}

void sw_schema_read(const struct sw_schema_part *parts, unsigned n_parts, const struct sw_conf_node *map,
        struct sw_conf_check *check)
{
        const struct sw_conf_node *node;
        unsigned i;

        if (map && sw_conf_node_is_null(map))
                map = NULL;
        if (map && !sw_schema_is(check, map, SW_NODE_MAP, map->key.n ? map->key.p : "this"))
                return;
        for (node = map ? map->first : NULL; node; node = node->next) {
                const struct sw_schema_part *part = NULL;
                const struct sw_opt *row = schema_find(parts, n_parts, node->key, &part);

                if (!row) {
                        schema_unknown(parts, n_parts, node, check);
                        continue;
                }
                if (row->flags & SW_OPT_LATER) {
                        sw_conf_error(check, &node->key_place, "'%s' is not available in this version", row->key);
                        continue;
                }
                if (part->refuse) {
                        sw_conf_error(check, &node->key_place, "'%s' %s", row->key, part->refuse);
                        continue;
                }
                if (row->flags & SW_OPT_DEPRECATED)
                        sw_conf_warn(check, &node->key_place, "'%s' is deprecated: %s", row->key, row->doc);
                schema_value(check, row, node, part->base);
        }
        for (i = 0; i < n_parts; i++)
                schema_check_required(parts[i].rows, map, check);
}

int sw_schema_defaults(const struct sw_opt *rows, void *base)
{
        struct sw_err item;
        struct sw_conf_check check = { .items = &item, .max_items = 1 };
        const struct sw_opt *o;

        for (o = rows; o->key; o++) {
                struct sw_conf_node node = { .kind = SW_NODE_SCALAR, .text = sw_str_of(o->def) };

                if (o->flags & SW_OPT_LATER)
                        continue;
                if (o->type == SW_OPT_SECTION && sw_schema_defaults(o->rows, schema_field(o, base)) < 0)
                        return -SW_ERR_NOMEM;
                if (o->def)
                        schema_value(&check, o, &node, base);
                else if (o->type == SW_OPT_ENUM)
                        *(uint32_t *)schema_field(o, base) = UINT32_MAX;
        }
        assert(check.n_errors == 0 && "a default does not parse");
        return check.no_memory ? -SW_ERR_NOMEM : 0;
}

static void schema_free_value(const struct sw_opt *row, void *field)
{
        struct sw_secret_ref *secret = field;
        struct sw_list *list = field;
        char **text = field;
        uint32_t i;

        switch (row->type) {
        case SW_OPT_STRING:
                sw_free(*text);
                *text = NULL;
                return;
        case SW_OPT_SECRET:
                sw_free(secret->file);
                sw_free(secret->credential);
                *secret = (struct sw_secret_ref){ 0 };
                return;
        case SW_OPT_ANY_MAP:
                schema_kv_free(field);
                return;
        case SW_OPT_LIST:
                for (i = 0; i < list->n; i++)
                        sw_schema_free(row->rows, (char *)list->items + i * row->item_size);
                sw_free(list->items);
                *list = (struct sw_list){ 0 };
                return;
        case SW_OPT_SECTION:
                sw_schema_free(row->rows, field);
                return;
        case SW_OPT_CUSTOM:
                if (row->free_field)
                        row->free_field(field);
                return;
        default:
                return;
        }
}

void sw_schema_free(const struct sw_opt *rows, void *base)
{
        const struct sw_opt *o;

        for (o = rows; o->key; o++)
                if (!(o->flags & SW_OPT_LATER))
                        schema_free_value(o, schema_field(o, base));
}

/* SPDX-License-Identifier: Apache-2.0 */
/* `suppressions:`: a file of its own, or the list in place; rules across it, and the form that the core uses. */
#include "clock.h"
#include "conf_lists.h"
#include "config/emit.h"

#include <string.h>

#define AT(field) .offset = offsetof(struct sw_conf_suppression, field)
static const struct sw_opt suppression_rows[] = {
        { .key = "id",
                .type = SW_OPT_STRING,
                .flags = SW_OPT_REQUIRED | SW_OPT_UNIQUE,
                AT(id),
                .example = "nessus-weekly",
                .doc = "Name that suppressed.jsonl and the counter of what it kept back show." },
        { .key = "reason",
                .type = SW_OPT_STRING,
                .flags = SW_OPT_REQUIRED,
                AT(reason),
                .example = "vulnerability scan, change 4711",
                .doc = "Why nobody needs to hear of it." },
        { .key = "owner",
                .type = SW_OPT_STRING,
                .flags = SW_OPT_REQUIRED,
                AT(owner),
                .example = "netsec@example.com",
                .doc = "Who answers for it." },
        { .key = "expires",
                SW_CONF_CUSTOM(expiry),
                .flags = SW_OPT_REQUIRED,
                AT(expires),
                .example = "2027-06-30",
                .doc = "Day or time (UTC) from which on it does nothing; never." },
        { .key = "detectors",
                SW_CONF_CUSTOM(detector_set),
                AT(detectors),
                .example = "[horizontal_scan, D02]",
                .doc = "Detectors by name or code; all unless given." },
        { .key = "source",
                SW_CONF_CUSTOM(ends),
                AT(source),
                .example = "[10.9.0.5]",
                .doc = "The actor: addresses, ranges or segments." },
        { .key = "destination",
                SW_CONF_CUSTOM(ends),
                AT(destination),
                .example = "[10.1.0.0/16, db]",
                .doc = "Every target must be one of these; a signal with more targets than it lists is never "
                       "suppressed by it." },
        { .key = "services",
                SW_CONF_CUSTOM(services),
                AT(services),
                .example = "[445/tcp, ssh]",
                .doc = "The one port that the signal is about." },
        SW_OPT_END,
};
#undef AT

static const struct sw_opt file_rows[] = {
        { .key = "suppressions",
                .type = SW_OPT_LIST,
                .offset = offsetof(struct sw_conf_suppressions, list),
                .rows = suppression_rows,
                .item_size = sizeof(struct sw_conf_suppression),
                .place = offsetof(struct sw_conf_suppression, place),
                .doc = "Suppressions." },
        SW_OPT_END,
};

/* suppressions */

static void suppressions_read(struct sw_conf_check *check, const struct sw_conf_node *map, void *field)
{
        const struct sw_schema_part part = { .rows = file_rows, .base = field };

        sw_schema_read(&part, 1, map, check);
}

void sw_conf_suppressions_parse(struct sw_conf_check *check, const struct sw_conf_node *node, void *field)
{
        struct sw_conf_suppressions *to = field;
        struct sw_str s;

        if (node->kind == SW_NODE_LIST) {
                struct sw_conf_node item = *node, map = { .kind = SW_NODE_MAP, .place = node->place, .n = 1 };

                item.next = NULL;
                map.first = &item;
                suppressions_read(check, &map, field);
                return;
        }
        if (sw_conf_node_is_null(node) || !sw_schema_text(check, node, "a file, or a list", &s))
                return;
        if (to->file)
                sw_conf_error(check, &node->place, "suppressions: another file was named at %s:%u", to->place.file,
                        to->place.line);
        sw_free(to->file);
        to->file = sw_strdup(s.p);
        to->place = node->place;
        check->no_memory = check->no_memory || !to->file;
}

void sw_conf_suppressions_emit(struct sw_buf *out, const void *field)
{
        const struct sw_conf_suppressions *from = field;
        struct sw_buf text = SW_BUF_NULL;
        const char *body;

        if (from->list.n == 0)
                return;
        sw_emit_yaml(&text, file_rows, from, 0);
        body = text.failed || text.n == 0 ? NULL : memchr(text.p, '\n', text.n);
        out->failed = out->failed || !body;
        if (body)
                sw_buf_put(out, body + 1, text.n - (size_t)(body + 1 - text.p));
        sw_buf_deinit(&text);
}

void sw_conf_suppressions_free(void *field)
{
        struct sw_conf_suppressions *from = field;

        sw_schema_free(file_rows, from);
        sw_free(from->file);
        from->file = NULL;
}

void sw_conf_suppressions_schema(struct sw_jsonw *w)
{
        const struct sw_opt *rows = suppression_rows;

        sw_jsonw_key(w, "anyOf");
        sw_jsonw_array(w);
        sw_jsonw_object(w);
        sw_jsonw_key(w, "type");
        sw_jsonw_array(w);
        sw_jsonw_text(w, "string");
        sw_jsonw_text(w, "null");
        sw_jsonw_end_array(w);
        sw_jsonw_end_object(w);
        sw_jsonw_object(w);
        sw_jsonw_ktext(w, "type", "array");
        sw_jsonw_key(w, "items");
        sw_jsonw_object(w);
        sw_emit_schema(w, &rows, 1);
        sw_jsonw_end_object(w);
        sw_jsonw_end_object(w);
        sw_jsonw_end_array(w);
}

/* expires: 2027-06-30, 2027-06-30T12:00:00Z, never */

void sw_conf_expiry_parse(struct sw_conf_check *check, const struct sw_conf_node *node, void *field)
{
        struct sw_conf_expiry *to = field;
        struct sw_buf day = SW_BUF_NULL;
        char shown[SW_CONF_SHOWN];
        struct sw_str s;

        to->given = true;
        to->time = SW_ETIME_NONE;
        if (!sw_schema_text(check, node, "expires", &s) || sw_str_eq(s, SW_STR("never")))
                return;
        sw_buf_put_str(&day, s);
        sw_buf_puts(&day, "T00:00:00Z");
        if (!sw_etime_parse(s, &to->time) &&
                (s.n != 10 || day.failed || !sw_etime_parse((struct sw_str){ day.p, day.n }, &to->time)))
                sw_conf_error(check, &node->place,
                        "expires: '%s' is not a day like 2027-06-30, a time like 2027-06-30T12:00:00Z, or never",
                        sw_conf_show(s, shown));
        check->no_memory = check->no_memory || day.failed;
        sw_buf_deinit(&day);
}

void sw_conf_expiry_emit(struct sw_buf *out, const void *field)
{
        const struct sw_conf_expiry *e = field;
        char text[SW_ETIME_TEXT];

        if (e->given)
                sw_emit_text(out, sw_str_of(sw_etime_is_none(e->time) ? "never" : sw_etime_format(e->time, text)));
}

void sw_conf_expiry_free(void *field)
{
        (void)field;
}

void sw_conf_expiry_schema(struct sw_jsonw *w)
{
        sw_jsonw_ktext(w, "type", "string");
}

/* detectors: names or codes, one or a list */

static void set_add(struct sw_conf_check *check, const struct sw_conf_node *item, struct sw_conf_detector_set *to)
{
        char shown[SW_CONF_SHOWN], hint[SW_CONF_HINT];
        struct sw_conf_guess g;
        struct sw_str s;
        unsigned i;

        if (!sw_schema_text(check, item, "a detector", &s))
                return;
        g = sw_conf_guess_start(s);
        for (i = 0; i < SW_N_DETECTORS; i++) {
                struct sw_conf_detector d = sw_conf_detector(i);

                if (sw_str_eq(s, sw_str_of(d.name)) || sw_str_ieq(s, sw_str_of(d.code))) {
                        to->bits |= UINT32_C(1) << i;
                        return;
                }
                sw_conf_guess_add(&g, d.name);
        }
        sw_conf_error(check, &item->place, "there is no detector '%s'%s", sw_conf_show(s, shown),
                sw_conf_guess_hint(&g, hint));
}

void sw_conf_detector_set_parse(struct sw_conf_check *check, const struct sw_conf_node *node, void *field)
{
        const struct sw_conf_node *item;

        if (node->kind == SW_NODE_SCALAR && !sw_conf_node_is_null(node)) {
                set_add(check, node, field);
                return;
        }
        if (!sw_schema_is(check, node, SW_NODE_LIST, "detectors"))
                return;
        if (!node->first)
                sw_conf_error(check, &node->place, "detectors: the list is empty");
        for (item = node->first; item; item = item->next)
                set_add(check, item, field);
}

void sw_conf_detector_set_emit(struct sw_buf *out, const void *field)
{
        const struct sw_conf_detector_set *set = field;
        bool first = true;
        unsigned i;

        for (i = 0; i < SW_N_DETECTORS; i++) {
                if (!(set->bits >> i & 1))
                        continue;
                sw_buf_printf(out, "%s%s", first ? "[" : ", ", sw_conf_detector(i).name);
                first = false;
        }
        if (!first)
                sw_buf_putc(out, ']');
}

void sw_conf_detector_set_free(void *field)
{
        (void)field;
}

void sw_conf_detector_set_schema(struct sw_jsonw *w)
{
        sw_conf_cidrs_schema(w); /* a text, or a list of texts */
}

/* source, destination: ranges and names of segments, one or a list */

static bool ends_is_address(struct sw_str s)
{
        return memchr(s.p, ':', s.n) || strspn(s.p, "0123456789./") == s.n;
}

static void ends_add(struct sw_conf_check *check, const struct sw_conf_node *item, struct sw_conf_ends *to)
{
        struct sw_conf_ref *refs;
        struct sw_str s;

        if (!sw_schema_text(check, item, "an address, a range or a segment", &s))
                return;
        if (sw_str_eq(s, SW_STR("any"))) {
                sw_conf_error(check, &item->place, "any: leave the key out instead");
                return;
        }
        if (ends_is_address(s)) {
                sw_conf_cidrs_parse(check, item, &to->cidrs);
                return;
        }
        refs = sw_realloc_array(to->segments, to->n_segments + (size_t)1, sizeof(*refs));
        if (!refs) {
                check->no_memory = true;
                return;
        }
        to->segments = refs;
        refs[to->n_segments] = (struct sw_conf_ref){ 0 };
        sw_conf_ref_parse(check, item, &refs[to->n_segments++]);
}

void sw_conf_ends_parse(struct sw_conf_check *check, const struct sw_conf_node *node, void *field)
{
        const struct sw_conf_node *item;

        if (node->kind == SW_NODE_SCALAR && !sw_conf_node_is_null(node)) {
                ends_add(check, node, field);
                return;
        }
        if (!sw_schema_is(check, node, SW_NODE_LIST, node->key.n ? node->key.p : "source"))
                return;
        if (!node->first)
                sw_conf_error(check, &node->place, "%s: the list is empty", node->key.p);
        for (item = node->first; item; item = item->next)
                ends_add(check, item, field);
}

void sw_conf_ends_emit(struct sw_buf *out, const void *field)
{
        const struct sw_conf_ends *e = field;
        size_t from = out->n;
        uint32_t i;

        sw_conf_cidrs_emit(out, &e->cidrs);
        if (e->n_segments == 0)
                return;
        if (out->n > from)
                out->n--; /* the bracket: more follows */
        for (i = 0; i < e->n_segments; i++) {
                sw_buf_puts(out, out->n > from ? ", " : "[");
                sw_emit_text(out, sw_str_of(e->segments[i].name ? e->segments[i].name : ""));
        }
        sw_buf_putc(out, ']');
}

void sw_conf_ends_free(void *field)
{
        struct sw_conf_ends *e = field;
        uint32_t i;

        sw_conf_cidrs_free(&e->cidrs);
        for (i = 0; i < e->n_segments; i++)
                sw_conf_ref_free(&e->segments[i]);
        sw_free(e->segments);
        *e = (struct sw_conf_ends){ 0 };
}

void sw_conf_ends_schema(struct sw_jsonw *w)
{
        sw_conf_cidrs_schema(w);
}

/* the file */

/* A file beside the main one, unless its path is absolute. */
static const char *suppressions_path(struct sw_conf_lists *lists, const char *main_file)
{
        struct sw_buf path = SW_BUF_NULL;
        const char *ret;

        sw_buf_put_beside(&path, main_file, lists->suppressions.file);
        ret = path.failed ? NULL : sw_arena_copy(&lists->names, path.p, path.n);
        sw_buf_deinit(&path);
        return ret;
}

bool sw_conf_read_suppressions(struct sw_conf_lists *lists, const char *main_file, struct sw_conf_check *check)
{
        struct sw_arena arena = SW_ARENA_NULL;
        struct sw_conf_node *root = NULL;
        struct sw_buf text = SW_BUF_NULL;
        const char *path;
        int r = -SW_ERR_IO;

        if (!lists->suppressions.file)
                return true;
        path = suppressions_path(lists, main_file);
        if (!path) {
                check->no_memory = true;
                return false;
        }
        if (lists->n_files < SW_CONF_MAX_FILES)
                lists->files[lists->n_files++] = path;
        if (sw_conf_read_file(path, check, &text)) {
                r = sw_conf_parse((struct sw_str){ text.p, text.n }, path, &arena, check, &root);
                check->no_memory = check->no_memory || r == -SW_ERR_NOMEM;
                if (r == 0)
                        suppressions_read(check, root, &lists->suppressions);
        }
        sw_arena_deinit(&arena);
        sw_buf_deinit(&text);
        return r == 0;
}

/* rules */

void sw_conf_check_suppressions(const struct sw_conf_lists *lists, struct sw_conf_check *check)
{
        const struct sw_conf_suppression *items = lists->suppressions.list.items;
        int64_t now = sw_clock_wall().ms;
        uint32_t i, k;

        for (i = 0; i < lists->suppressions.list.n; i++) {
                const struct sw_conf_suppression *s = &items[i];
                const struct sw_conf_ends *ends[] = { &s->source, &s->destination };
                char text[SW_ETIME_TEXT];

                if (!sw_conf_name_ok(check, &s->place, "suppression", s->id))
                        continue;
                if (!s->detectors.bits && !s->source.cidrs.n && !s->source.n_segments && !s->destination.cidrs.n &&
                        !s->destination.n_segments && !s->services.n)
                        sw_conf_error(check, &s->place,
                                "suppression '%s' would silence everything: give at least one of detectors, source, "
                                "destination, services",
                                s->id ? s->id : "");
                if (s->expires.given && !sw_etime_is_none(s->expires.time) && s->expires.time.ms <= now)
                        sw_conf_warn(check, &s->place,
                                "suppression '%s' expired at %s: it suppresses nothing newer; renew or remove it",
                                s->id ? s->id : "", sw_etime_format(s->expires.time, text));
                for (k = 0; k < ends[0]->n_segments; k++)
                        sw_conf_check_ref(lists, &ends[0]->segments[k], "source", check);
                for (k = 0; k < ends[1]->n_segments; k++)
                        sw_conf_check_ref(lists, &ends[1]->segments[k], "destination", check);
        }
}

/* building */

static bool build_end(const struct sw_conf *conf, struct sw_arena *arena, const struct sw_conf_ends *from,
        struct sw_suppression_end *to)
{
        struct sw_prefix *prefixes = sw_arena_alloc(arena, (from->cidrs.n + (size_t)1) * sizeof(*prefixes));
        uint32_t *segments = sw_arena_alloc(arena, (from->n_segments + (size_t)1) * sizeof(*segments)), i;

        if (!prefixes || !segments)
                return false;
        for (i = 0; i < from->cidrs.n; i++)
                prefixes[i] = from->cidrs.items[i].prefix;
        for (i = 0; i < from->n_segments; i++)
                segments[i] = sw_segments_by_name(conf->segments, sw_str_of(from->segments[i].name));
        *to = (struct sw_suppression_end){ prefixes, from->cidrs.n, segments, from->n_segments };
        return true;
}

int sw_conf_build_suppressions(struct sw_conf *conf)
{
        const struct sw_conf_suppressions *from = &conf->lists->suppressions;
        const struct sw_conf_suppression *items = from->list.items;
        struct sw_arena *arena = &conf->suppressions_memory;
        struct sw_suppression *to = sw_arena_alloc(arena, (from->list.n + (size_t)1) * sizeof(*to));
        uint32_t i;

        for (i = 0; to && i < from->list.n; i++) {
                to[i] = (struct sw_suppression){ .id = items[i].id,
                        .expires = items[i].expires.time,
                        .detectors = items[i].detectors.bits,
                        .services = items[i].services.items,
                        .n_services = items[i].services.n };
                if (!build_end(conf, arena, &items[i].source, &to[i].source) ||
                        !build_end(conf, arena, &items[i].destination, &to[i].destination))
                        return -SW_ERR_NOMEM;
        }
        conf->suppressions = (struct sw_suppressions){ to, to ? from->list.n : 0 };
        return to ? 0 : -SW_ERR_NOMEM;
}

void sw_conf_free_suppressions(struct sw_conf *conf)
{
        sw_arena_deinit(&conf->suppressions_memory);
        conf->suppressions = (struct sw_suppressions){ 0 };
}

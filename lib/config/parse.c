/* SPDX-License-Identifier: Apache-2.0 */
#include "config/parse.h"

#include <string.h>
#include <yaml.h>

struct parse_frame {
        struct sw_conf_node *container, *last;
        struct sw_str key; /* p == NULL: the next scalar of a map is a key */
        struct sw_conf_place key_place;
};

struct parse_state {
        struct sw_arena *arena;
        struct sw_conf_check *check;
        const char *file;
        struct sw_conf_node *root;
        struct parse_frame frames[SW_CONF_MAX_DEPTH];
        unsigned depth;
        uint32_t n_nodes, n_documents;
        bool stop; /* a bound was hit: no use in going on */
};

bool sw_conf_node_is_null(const struct sw_conf_node *node)
{
        return node->kind == SW_NODE_SCALAR && !node->quoted &&
               (node->text.n == 0 || sw_str_eq(node->text, SW_STR("~")) || sw_str_ieq(node->text, SW_STR("null")));
}

const char *sw_conf_node_kind_text(const struct sw_conf_node *node)
{
        switch (node->kind) {
        case SW_NODE_LIST:
                return "a list";
        case SW_NODE_MAP:
                return "a map";
        case SW_NODE_SCALAR:
        default:
                return sw_conf_node_is_null(node) ? "nothing" : "a single value";
        }
}

static struct sw_conf_place parse_place(const struct parse_state *s, yaml_mark_t mark)
{
        return (struct sw_conf_place){ s->file, (unsigned)mark.line + 1, (unsigned)mark.column + 1 };
}

static const struct sw_conf_node *parse_find_key(const struct sw_conf_node *map, struct sw_str key)
{
        const struct sw_conf_node *n;

        for (n = map->first; n; n = n->next)
                if (sw_str_eq(n->key, key))
                        return n;
        return NULL;
}

/* A scalar in the place of a key. */
static int parse_key(struct parse_state *s, struct parse_frame *f, struct sw_str text, bool quoted,
        const struct sw_conf_place *place)
{
        const struct sw_conf_node *before = parse_find_key(f->container, text);
        char shown[SW_CONF_SHOWN];

        if (before)
                sw_conf_error(s->check, place, "'%s' is given twice, first on line %u", sw_conf_show(text, shown),
                        before->key_place.line);
        if (!quoted && sw_str_eq(text, SW_STR("<<")))
                sw_conf_error(s->check, place, "merge keys (<<) are not supported");
        if (text.n == 0)
                sw_conf_error(s->check, place, "a key is empty");
        if (f->container->n == SW_CONF_MAX_KEYS) {
                sw_conf_error(s->check, place, "a map has more than %d keys", SW_CONF_MAX_KEYS);
                s->stop = true;
        }
        f->key.p = sw_arena_copy(s->arena, text.n ? text.p : "", text.n);
        f->key.n = text.n;
        f->key_place = *place;
        return f->key.p ? 0 : -SW_ERR_NOMEM;
}

/* Appends a node to the container that is open, under the key that waits. NULL: no memory. */
static struct sw_conf_node *parse_add(struct parse_state *s, enum sw_node_kind kind, const struct sw_conf_place *place)
{
        struct sw_conf_node *n = sw_arena_alloc(s->arena, sizeof(*n));
        struct parse_frame *f = s->depth ? &s->frames[s->depth - 1] : NULL;

        if (!n)
                return NULL;
        *n = (struct sw_conf_node){ .kind = kind, .place = *place };
        if (++s->n_nodes > SW_CONF_MAX_NODES) {
                sw_conf_error(s->check, place, "more than %d values in one file", SW_CONF_MAX_NODES);
                s->stop = true;
        }
        if (!f) {
                s->root = n;
                return n;
        }
        n->key = f->key;
        n->key_place = f->key_place;
        f->key = SW_STR_NULL;
        if (f->last)
                f->last->next = n;
        else
                f->container->first = n;
        f->last = n;
        f->container->n++;
        return n;
}

static bool parse_wants_key(const struct parse_state *s)
{
        const struct parse_frame *f = s->depth ? &s->frames[s->depth - 1] : NULL;

        return f && f->container->kind == SW_NODE_MAP && !f->key.p;
}

static void parse_refuse_extras(
        struct parse_state *s, const struct sw_conf_place *place, const yaml_char_t *anchor, const yaml_char_t *tag)
{
        char shown[SW_CONF_SHOWN];

        if (anchor)
                sw_conf_error(s->check, place, "anchors (&%s) are not supported",
                        sw_conf_show(sw_str_of((const char *)anchor), shown));
        if (tag)
                sw_conf_error(s->check, place, "tags (%s) are not supported",
                        sw_conf_show(sw_str_of((const char *)tag), shown));
}

static int parse_scalar(struct parse_state *s, const yaml_event_t *ev)
{
        struct sw_conf_place place = parse_place(s, ev->start_mark);
        struct sw_str text = { (const char *)ev->data.scalar.value, ev->data.scalar.length };
        bool quoted = ev->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
        struct sw_conf_node *n;

        parse_refuse_extras(s, &place, ev->data.scalar.anchor, ev->data.scalar.tag);
        if (memchr(text.p, '\0', text.n)) {
                sw_conf_error(s->check, &place, "text holds a NUL byte");
                text.n = strlen(text.p);
        }
        if (parse_wants_key(s))
                return parse_key(s, &s->frames[s->depth - 1], text, quoted, &place);
        n = parse_add(s, SW_NODE_SCALAR, &place);
        if (!n)
                return -SW_ERR_NOMEM;
        n->quoted = quoted;
        n->text.n = text.n;
        n->text.p = sw_arena_copy(s->arena, text.p, text.n);
        return n->text.p ? 0 : -SW_ERR_NOMEM;
}

/* What stands for a refused value: later checks may copy any scalar's text, so it has one. */
static int parse_placeholder(struct parse_state *s, const struct sw_conf_place *place)
{
        struct sw_conf_node *n = parse_add(s, SW_NODE_SCALAR, place);

        if (!n)
                return -SW_ERR_NOMEM;
        n->text = SW_STR("");
        return 0;
}

static int parse_open(struct parse_state *s, const yaml_event_t *ev)
{
        bool map = ev->type == YAML_MAPPING_START_EVENT;
        struct sw_conf_place place = parse_place(s, ev->start_mark);
        struct sw_conf_node *n;

        if (map)
                parse_refuse_extras(s, &place, ev->data.mapping_start.anchor, ev->data.mapping_start.tag);
        else
                parse_refuse_extras(s, &place, ev->data.sequence_start.anchor, ev->data.sequence_start.tag);
        if (parse_wants_key(s)) {
                sw_conf_error(s->check, &place, "a key must be text, this is a %s", map ? "map" : "list");
                s->stop = true;
                return 0;
        }
        if (s->depth == SW_CONF_MAX_DEPTH) {
                sw_conf_error(s->check, &place, "nested more than %d levels deep", SW_CONF_MAX_DEPTH);
                s->stop = true;
                return 0;
        }
        n = parse_add(s, map ? SW_NODE_MAP : SW_NODE_LIST, &place);
        if (!n)
                return -SW_ERR_NOMEM;
        s->frames[s->depth++] = (struct parse_frame){ .container = n };
        return 0;
}

static int parse_event(struct parse_state *s, const yaml_event_t *ev)
{
        struct sw_conf_place place = parse_place(s, ev->start_mark);
        char shown[SW_CONF_SHOWN];

        switch (ev->type) {
        case YAML_DOCUMENT_START_EVENT:
                if (s->n_documents++) {
                        sw_conf_error(s->check, &place, "a second document (---) in the same file");
                        s->stop = true;
                }
                return 0;
        case YAML_ALIAS_EVENT:
                sw_conf_error(s->check, &place, "aliases (*%s) are not supported",
                        sw_conf_show(sw_str_of((const char *)ev->data.alias.anchor), shown));
                if (parse_wants_key(s))
                        return parse_key(s, &s->frames[s->depth - 1], SW_STR("*"), true, &place);
                return parse_placeholder(s, &place);
        case YAML_SCALAR_EVENT:
                return parse_scalar(s, ev);
        case YAML_SEQUENCE_START_EVENT:
        case YAML_MAPPING_START_EVENT:
                return parse_open(s, ev);
        case YAML_SEQUENCE_END_EVENT:
        case YAML_MAPPING_END_EVENT:
                s->depth--;
                return 0;
        default:
                return 0;
        }
}

/* The reader gives a byte offset only. */
static struct sw_conf_place parse_place_of_offset(const struct parse_state *s, struct sw_str text, size_t offset)
{
        struct sw_conf_place place = { s->file, 1, 1 };
        size_t i;

        for (i = 0; i < offset && i < text.n; i++) {
                if (text.p[i] == '\n') {
                        place.line++;
                        place.column = 1;
                } else if (((unsigned char)text.p[i] & 0xc0) != 0x80) {
                        place.column++;
                }
        }
        return place;
}

static int parse_syntax_error(struct parse_state *s, const yaml_parser_t *p, struct sw_str text)
{
        struct sw_conf_place place = parse_place(s, p->problem_mark);
        const char *problem = p->problem ? p->problem : "cannot be read";

        switch (p->error) {
        case YAML_MEMORY_ERROR:
                return -SW_ERR_NOMEM;
        case YAML_READER_ERROR:
                place = parse_place_of_offset(s, text, p->problem_offset);
                sw_conf_error(s->check, &place, "not UTF-8 text: %s (0x%02X)", problem, (unsigned)p->problem_value);
                return -SW_ERR_CONFIG;
        default:
                if (p->problem_mark.index < text.n && text.p[p->problem_mark.index] == '\t' &&
                        strstr(problem, "cannot start any token"))
                        sw_conf_error(s->check, &place, "not YAML: a tab cannot indent, use spaces");
                else
                        sw_conf_error(s->check, &place, "not YAML: %s%s%s", p->context ? p->context : "",
                                p->context ? ", " : "", problem);
                return -SW_ERR_CONFIG;
        }
}

static int parse_document(struct parse_state *s, yaml_parser_t *p, struct sw_str text)
{
        bool done = false;

        while (!done && !s->stop) {
                yaml_event_t ev;
                int r;

                if (!yaml_parser_parse(p, &ev))
                        return parse_syntax_error(s, p, text);
                done = ev.type == YAML_STREAM_END_EVENT;
                r = parse_event(s, &ev);
                yaml_event_delete(&ev);
                if (r < 0)
                        return r;
        }
        s->check->cut = s->check->cut || s->stop;
        return s->stop ? -SW_ERR_CONFIG : 0;
}

int sw_conf_parse(struct sw_str text, const char *file, struct sw_arena *arena, struct sw_conf_check *check,
        struct sw_conf_node **ret)
{
        struct parse_state s = { .arena = arena, .check = check, .file = file };
        struct sw_conf_place top = { file, 0, 0 };
        yaml_parser_t p;
        int r;

        if (text.n > SW_CONF_MAX_BYTES) {
                sw_conf_error(check, &top, "larger than %d MiB", SW_CONF_MAX_BYTES >> 20);
                return -SW_ERR_CONFIG;
        }
        if (sw_str_starts(text, SW_STR("\xef\xbb\xbf")))
                text = (struct sw_str){ text.p + 3, text.n - 3 };
        if (!yaml_parser_initialize(&p))
                return -SW_ERR_NOMEM;
        yaml_parser_set_encoding(&p, YAML_UTF8_ENCODING);
        yaml_parser_set_input_string(&p, (const unsigned char *)(text.n ? text.p : ""), text.n);
        r = parse_document(&s, &p, text);
        yaml_parser_delete(&p);
        if (r == 0)
                *ret = s.root;
        return r;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "config/parse.h"

#include <criterion/criterion.h>
#include <string.h>

#define MAX_ITEMS 16
static struct sw_err items[MAX_ITEMS];
static struct sw_conf_check check;
static struct sw_arena arena;

static void fresh(void)
{
        sw_arena_deinit(&arena);
        check = (struct sw_conf_check){ .items = items, .max_items = MAX_ITEMS };
        memset(items, 0, sizeof(items));
}

static int parse(struct sw_str text, struct sw_conf_node **ret)
{
        fresh();
        return sw_conf_parse(text, "f.yaml", &arena, &check, ret);
}

static void done(void)
{
        sw_arena_deinit(&arena);
}

TestSuite(parse, .fini = done);

Test(parse, every_node_knows_its_place)
{
        struct sw_conf_node *root = NULL, *list;

        cr_assert_eq(parse(SW_STR("# comment\na: 1\nlist:\n  - {k: \"v\"}\n  - x\n"), &root), 0);
        cr_assert_eq(root->kind, SW_NODE_MAP);
        cr_assert_eq(root->n, 2);
        cr_assert_str_eq(root->first->key.p, "a");
        cr_assert_eq(root->first->key_place.line, 2);
        cr_assert_eq(root->first->key_place.column, 1);
        cr_assert_eq(root->first->place.column, 4);
        cr_assert_str_eq(root->first->place.file, "f.yaml");
        list = root->first->next;
        cr_assert_eq(list->kind, SW_NODE_LIST);
        cr_assert_eq(list->first->kind, SW_NODE_MAP);
        cr_assert_eq(list->first->place.line, 4);
        cr_assert_eq(list->first->place.column, 5);
        cr_assert(list->first->first->quoted);
        cr_assert_str_eq(list->first->next->text.p, "x");
        cr_assert_not(list->first->next->quoted);
}

Test(parse, empty_text_is_an_empty_document)
{
        struct sw_conf_node *root = NULL;

        cr_assert_eq(parse(SW_STR_NULL, &root), 0);
        cr_assert_null(root);
        cr_assert_eq(parse(SW_STR("\xef\xbb\xbf# only a comment\n"), &root), 0);
        cr_assert_null(root);
        cr_assert_eq(check.n_errors, 0);
}

Test(parse, json_is_yaml_too)
{
        struct sw_conf_node *root = NULL;

        cr_assert_eq(parse(SW_STR("{\"a\": [1, true, null]}"), &root), 0);
        cr_assert_eq(root->first->first->next->next->kind, SW_NODE_SCALAR);
        cr_assert(sw_conf_node_is_null(root->first->first->next->next));
}

static const struct {
        const char *text;
        unsigned line, column;
        const char *message;
} bad[] = {
        { "a: 1\na: 2\n", 2, 1, "'a' is given twice, first on line 1" },
        { "a: &x 1\n", 1, 4, "anchors (&x)" },
        { "a: *x\n", 1, 4, "aliases (*x)" },
        { "a: !!str 1\n", 1, 4, "tags (tag:yaml.org,2002:str)" },
        { "a: !foo {}\n", 1, 4, "tags (!foo)" },
        { "<<: {a: 1}\n", 1, 1, "merge keys" },
        { "a: 1\n---\nb: 1\n", 2, 1, "second document" },
        { "a:\n\t- b\n", 2, 1, "tab" },
        { "a: b: c\n", 1, 5, "not YAML" },
        { "a: [1\nb: 2\n", 2, 2, "not YAML" },
        { "a: \"\\0\"\n", 1, 4, "NUL" },
        { "a: \xff\n", 1, 4, "not UTF-8" },
        { "\xc3\xa4: 1\nb: \x01\n", 2, 4, "not UTF-8" },
        { "? [a]\n: b\n", 1, 3, "a key must be text, this is a list" },
        { "\"\": 1\n", 1, 1, "a key is empty" },
};

Test(parse, refuses_what_is_not_strict_yaml_with_its_place)
{
        size_t i;

        for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
                struct sw_conf_node *root = NULL;

                (void)parse(sw_str_of(bad[i].text), &root);
                cr_assert_eq(check.n_errors, 1, "%s: %u errors, first %s", bad[i].text, check.n_errors, items[0].msg);
                cr_assert_not_null(strstr(items[0].msg, bad[i].message), "%s: %s", bad[i].text, items[0].msg);
                cr_assert_eq(items[0].line, bad[i].line, "%s: line %u", bad[i].text, items[0].line);
                cr_assert_eq(items[0].column, bad[i].column, "%s: column %u", bad[i].text, items[0].column);
                cr_assert_eq(items[0].code, -SW_ERR_CONFIG);
        }
}

Test(parse, depth_is_bounded)
{
        static char text[4096];
        struct sw_conf_node *root = NULL;

        memset(text, '[', SW_CONF_MAX_DEPTH);
        memset(text + SW_CONF_MAX_DEPTH, ']', SW_CONF_MAX_DEPTH);
        cr_assert_eq(parse(sw_str_of(text), &root), 0);
        memset(text, '[', sizeof(text) - 1);
        cr_assert_eq(parse(sw_str_of(text), &root), -SW_ERR_CONFIG);
        cr_assert_eq(items[0].column, SW_CONF_MAX_DEPTH + 1);
        cr_assert_not_null(strstr(items[0].msg, "nested more than"));
}

Test(parse, keys_of_a_map_are_bounded)
{
        struct sw_buf text = SW_BUF_NULL;
        struct sw_conf_node *root = NULL;
        unsigned i;

        for (i = 0; i < SW_CONF_MAX_KEYS + 5; i++)
                sw_buf_printf(&text, "k%u: 1\n", i);
        cr_assert_eq(parse((struct sw_str){ text.p, text.n }, &root), -SW_ERR_CONFIG);
        cr_assert_eq(check.n_errors, 1);
        cr_assert_eq(items[0].line, SW_CONF_MAX_KEYS + 1);
        sw_buf_deinit(&text);
}

Test(parse, messages_show_no_control_bytes_and_no_secret)
{
        char shown[SW_CONF_SHOWN];
        static char text[200];

        cr_assert_str_eq(sw_conf_show(SW_STR("a\x1b[31mb"), shown), "a\\x1b[31mb");
        cr_assert_str_eq(sw_conf_show(SW_STR("x;SharedAccessKey=abc"), shown), "(not shown)");
        memset(text, 'x', sizeof(text) - 1);
        cr_assert_lt(strlen(sw_conf_show(sw_str_of(text), shown)), SW_CONF_SHOWN);
        cr_assert_not_null(strstr(shown, "..."));
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "config/schema.h"

#include <criterion/criterion.h>
#include <string.h>

enum { COLOUR_RED = 3, COLOUR_GREEN = 7 };

struct item {
        char *name;
        uint64_t size;
        struct sw_conf_place place;
};
struct conf {
        bool on;
        uint64_t count, bytes;
        int64_t wait;
        char *text;
        uint32_t colour;
        struct sw_secret_ref secret;
        struct sw_kv_list map;
        struct sw_list list;
        struct {
                uint64_t inner;
        } section;
        int custom;
};

static void custom_parse(struct sw_conf_check *check, const struct sw_conf_node *node, void *field)
{
        if (sw_schema_is(check, node, SW_NODE_SCALAR, "custom"))
                *(int *)field = (int)node->text.n;
}

static const struct sw_opt_name colours[] = { { "red", COLOUR_RED }, { "green", COLOUR_GREEN }, { NULL, 0 } };
static const struct sw_opt item_rows[] = {
        { .key = "name",
                .type = SW_OPT_STRING,
                .flags = SW_OPT_REQUIRED | SW_OPT_UNIQUE,
                .offset = offsetof(struct item, name) },
        { .key = "size", .type = SW_OPT_SIZE, .offset = offsetof(struct item, size), .def = "1KiB" },
        SW_OPT_END,
};
static const struct sw_opt section_rows[] = {
        { .key = "inner", .type = SW_OPT_UINT, .offset = 0, .def = "5" },
        SW_OPT_END,
};
static const struct sw_opt rows[] = {
        { .key = "on", .type = SW_OPT_BOOL, .offset = offsetof(struct conf, on), .def = "true" },
        { .key = "count",
                .type = SW_OPT_UINT,
                .offset = offsetof(struct conf, count),
                .min = 1,
                .max = 10,
                .def = "2" },
        { .key = "bytes", .type = SW_OPT_SIZE, .offset = offsetof(struct conf, bytes), .min = 65536, .def = "64KiB" },
        { .key = "wait", .type = SW_OPT_DURATION, .offset = offsetof(struct conf, wait), .max = 3600000, .def = "2m" },
        { .key = "text", .type = SW_OPT_STRING, .offset = offsetof(struct conf, text), .def = "default" },
        { .key = "colour",
                .type = SW_OPT_ENUM,
                .offset = offsetof(struct conf, colour),
                .def = "green",
                .names = colours },
        { .key = "secret", .type = SW_OPT_SECRET, .offset = offsetof(struct conf, secret) },
        { .key = "map", .type = SW_OPT_ANY_MAP, .offset = offsetof(struct conf, map) },
        { .key = "list",
                .type = SW_OPT_LIST,
                .offset = offsetof(struct conf, list),
                .rows = item_rows,
                .item_size = sizeof(struct item),
                .place = offsetof(struct item, place) },
        { .key = "section", .type = SW_OPT_SECTION, .offset = offsetof(struct conf, section), .rows = section_rows },
        { .key = "custom", .type = SW_OPT_CUSTOM, .offset = offsetof(struct conf, custom), .parse = custom_parse },
        { .key = "old",
                .type = SW_OPT_BOOL,
                .flags = SW_OPT_DEPRECATED,
                .offset = offsetof(struct conf, on),
                .doc = "use `on`" },
        { .key = "future", .type = SW_OPT_BOOL, .flags = SW_OPT_LATER },
        SW_OPT_END,
};

#define MAX_ITEMS 16
static struct sw_err items[MAX_ITEMS];
static struct sw_conf_check check;
static struct sw_arena arena;
static struct conf conf;

static void done(void)
{
        sw_schema_free(rows, &conf);
        sw_schema_free(rows, &conf);
        sw_arena_deinit(&arena);
}

TestSuite(schema, .fini = done);

static void read_text(const char *text)
{
        struct sw_conf_node *root = NULL;
        struct sw_schema_part part = { .rows = rows, .base = &conf };

        done();
        memset(&conf, 0, sizeof(conf));
        memset(items, 0, sizeof(items));
        check = (struct sw_conf_check){ .items = items, .max_items = MAX_ITEMS };
        cr_assert_eq(sw_schema_defaults(rows, &conf), 0);
        cr_assert_eq(sw_conf_parse(sw_str_of(text), "f", &arena, &check, &root), 0);
        sw_schema_read(&part, 1, root, &check);
        cr_assert_not(check.no_memory);
}

Test(schema, defaults)
{
        read_text("");
        cr_assert(conf.on);
        cr_assert_eq(conf.count, 2);
        cr_assert_eq(conf.bytes, 65536);
        cr_assert_eq(conf.wait, 120000);
        cr_assert_str_eq(conf.text, "default");
        cr_assert_eq(conf.colour, COLOUR_GREEN);
        cr_assert_eq(conf.section.inner, 5);
        cr_assert_null(conf.secret.file);
        cr_assert_eq(conf.list.n, 0);
}

Test(schema, reads_every_type)
{
        struct item *list;

        read_text("on: false\ncount: 10\nbytes: 1MiB\nwait: 1h\ntext: \"no\"\ncolour: red\n"
                  "secret: {credential: hub}\nmap: {a.b: 1, c: \"x y\"}\n"
                  "list:\n- {name: one}\n- {name: two, size: 2GiB}\nsection: {inner: 9}\ncustom: abc\n");
        cr_assert_eq(check.n_errors, 0, "%s", items[0].msg);
        cr_assert_not(conf.on);
        cr_assert_eq(conf.count, 10);
        cr_assert_eq(conf.bytes, 1 << 20);
        cr_assert_eq(conf.wait, 3600000);
        cr_assert_str_eq(conf.text, "no");
        cr_assert_eq(conf.colour, COLOUR_RED);
        cr_assert_str_eq(conf.secret.credential, "hub");
        cr_assert_eq(conf.map.n, 2);
        cr_assert_str_eq(conf.map.items[0].key, "a.b");
        cr_assert_str_eq(conf.map.items[1].value, "x y");
        cr_assert_eq(conf.list.n, 2);
        list = conf.list.items;
        cr_assert_str_eq(list[0].name, "one");
        cr_assert_eq(list[0].size, 1024);
        cr_assert_eq(list[1].size, UINT64_C(2) << 30);
        cr_assert_eq(list[1].place.line, 11);
        cr_assert_eq(conf.section.inner, 9);
        cr_assert_eq(conf.custom, 3);
}

static const struct {
        const char *text;
        unsigned line, column;
        const char *message;
} bad[] = {
        { "cuont: 1", 1, 1, "unknown key 'cuont'; did you mean 'count'?" },
        { "zzzzzz: 1", 1, 1, "unknown key 'zzzzzz'" },
        { "future: true", 1, 1, "'future' is not available in this version" },
        { "on: yes", 1, 5, "on: 'yes' is not true or false" },
        { "on: \"true\"", 1, 5, "without quotes" },
        { "on: True", 1, 5, "lower case" },
        { "on: [true]", 1, 5, "on must be a single value, this is a list" },
        { "count: 0", 1, 8, "count: 0 is not between 1 and 10" },
        { "count: 11", 1, 8, "not between" },
        { "count: -1", 1, 8, "not a whole number" },
        { "count: \"5\"", 1, 8, "without quotes" },
        { "count: 99999999999999999999999", 1, 8, "not a whole number" },
        { "count:", 1, 7, "count must be a single value, this is nothing" },
        { "bytes: 1", 1, 8, "bytes: 1 is below the minimum of 64KiB" },
        { "bytes: 1MB", 1, 8, "powers of 1024" },
        { "bytes: 99999999999TiB", 1, 8, "not a size" },
        { "wait: 30", 1, 7, "'30' has no unit; write 30ms, 30s, 30m, 30h or 30d" },
        { "wait: 1.5h", 1, 7, "not a duration" },
        { "wait: 2M", 1, 7, "not a duration" },
        { "wait: 61m", 1, 7, "wait: 61m is not between 0 and 1h" },
        { "wait: 999999999999999999d", 1, 7, "not a duration" },
        { "text: no", 1, 7, "write \"no\"" },
        { "text: \"\"", 1, 7, "text is empty" },
        { "text: \"a\\nb\"", 1, 7, "control character" },
        { "colour: rde", 1, 9, "'rde' is not one of red, green; did you mean 'red'?" },
        { "secret: Endpoint=hunter2", 1, 9, "secret is a secret and does not stand" },
        { "secret: {plain: hunter2}", 1, 10, "the only ways" },
        { "secret: {file: a, credential: b}", 1, 9, "does not stand in the configuration" },
        { "secret: {credential: ../x}", 1, 22, "named without '/'" },
        { "map: [a]", 1, 6, "map must be a map" },
        { "map: {a: [b]}", 1, 10, "a must be a single value, this is a list" },
        { "list: {name: a}", 1, 7, "list must be a list" },
        { "list: [a]", 1, 8, "an item of this list must be a map" },
        { "list:\n- {size: 1}", 2, 3, "key 'name' is missing here" },
        { "list:\n- {name: a}\n- {name: b}\n- {name: a}", 4, 3, "name 'a' is given twice, first at f:2" },
        { "section: 5", 1, 10, "section must be a map" },
        { "section: {iner: 5}", 1, 11, "did you mean 'inner'?" },
};

Test(schema, refuses_with_place_and_reason)
{
        size_t i;

        for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
                read_text(bad[i].text);
                cr_assert_eq(check.n_errors, 1, "%s: %u errors", bad[i].text, check.n_errors);
                cr_assert_not_null(strstr(items[0].msg, bad[i].message), "%s: %s", bad[i].text, items[0].msg);
                cr_assert_eq(items[0].line, bad[i].line, "%s: line %u", bad[i].text, items[0].line);
                cr_assert_eq(items[0].column, bad[i].column, "%s: column %u", bad[i].text, items[0].column);
                cr_assert_null(strstr(items[0].msg, "hunter2"));
        }
}

Test(schema, reports_all_errors_and_keeps_the_first)
{
        struct sw_buf text = SW_BUF_NULL;
        unsigned i;

        for (i = 0; i < MAX_ITEMS + 4; i++)
                sw_buf_printf(&text, "unknown%u: 1\n", i);
        sw_buf_putc(&text, '\0');
        read_text(text.p);
        cr_assert_eq(check.n_errors, MAX_ITEMS + 4);
        cr_assert_eq(check.n_items, MAX_ITEMS);
        cr_assert_eq(items[MAX_ITEMS - 1].line, MAX_ITEMS);
        sw_buf_deinit(&text);
}

Test(schema, deprecated_is_a_warning)
{
        read_text("old: false");
        cr_assert_eq(check.n_errors, 0);
        cr_assert_eq(check.n_warnings, 1);
        cr_assert_eq(items[0].code, 0);
        cr_assert_not(conf.on);
}

Test(schema, lists_of_several_files_add_up)
{
        static const char *const files[] = { "a", "b", NULL };
        struct sw_conf_node *one = NULL, *two = NULL;
        struct sw_schema_part part = { .rows = rows, .base = &conf };

        memset(&conf, 0, sizeof(conf));
        check = (struct sw_conf_check){ .items = items, .max_items = MAX_ITEMS };
        cr_assert_eq(sw_conf_parse(SW_STR("list: [{name: x}]"), "a", &arena, &check, &one), 0);
        cr_assert_eq(sw_conf_parse(SW_STR("list: [{name: y}, {name: x}]"), "b", &arena, &check, &two), 0);
        sw_schema_read(&part, 1, one, &check);
        sw_schema_read(&part, 1, two, &check);
        cr_assert_eq(conf.list.n, 3);
        cr_assert_eq(check.n_errors, 1);
        cr_assert_str_eq(items[0].file, "b");
        cr_assert_not_null(strstr(items[0].msg, "first at a:1"));
        sw_conf_error(&check, &(struct sw_conf_place){ "a", 9, 1 }, "later");
        sw_conf_check_sort(&check, files);
        cr_assert_str_eq(items[0].file, "a");
}

Test(schema, two_tables_share_one_map)
{
        static const struct sw_opt more[] = { { .key = "extra", .type = SW_OPT_UINT }, SW_OPT_END };
        struct sw_conf_node *root = NULL;
        uint64_t extra = 0;
        struct sw_schema_part parts[] = { { .rows = rows, .base = &conf }, { .rows = more, .base = &extra } };

        check = (struct sw_conf_check){ .items = items, .max_items = MAX_ITEMS };
        cr_assert_eq(sw_conf_parse(SW_STR("count: 3\nextra: 4\nextrb: 1"), "f", &arena, &check, &root), 0);
        sw_schema_read(parts, 2, root, &check);
        cr_assert_eq(conf.count, 3);
        cr_assert_eq(extra, 4);
        cr_assert_eq(check.n_errors, 1);
        cr_assert_not_null(strstr(items[0].msg, "did you mean 'extra'"));
}

Test(schema, units_are_written_as_they_are_read)
{
        static const struct {
                int64_t ms;
                const char *text;
        } durations[] = { { 0, "0" }, { 1, "1ms" }, { 1500, "1500ms" }, { 1000, "1s" }, { 90000, "90s" },
                { 120000, "2m" }, { 3600000, "1h" }, { 604800000, "7d" } };
        char buf[32];
        size_t i;
        int64_t ms;
        uint64_t bytes;

        for (i = 0; i < sizeof(durations) / sizeof(*durations); i++) {
                cr_assert_str_eq(sw_schema_duration_format(durations[i].ms, buf), durations[i].text);
                cr_assert(sw_schema_duration(sw_str_of(buf), &ms) && ms == durations[i].ms);
        }
        cr_assert_str_eq(sw_schema_size_format(1536, buf), "1536");
        cr_assert_str_eq(sw_schema_size_format(UINT64_C(1) << 40, buf), "1TiB");
        cr_assert(sw_schema_size(SW_STR("3KiB"), &bytes) && bytes == 3072);
        cr_assert_not(sw_schema_size(SW_STR("KiB"), &bytes));
        cr_assert_not(sw_schema_duration(SW_STR(""), &ms));
        cr_assert_not(sw_schema_duration(SW_STR("1"), &ms));
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "config/emit.h"

#include "config/schema.h"

#include <criterion/criterion.h>
#include <string.h>

struct item {
        char *name;
        bool flag;
        struct sw_kv_list more;
};
struct conf {
        bool on;
        uint64_t bytes;
        int64_t wait;
        char *text, *absent;
        uint32_t level;
        struct sw_secret_ref secret;
        struct sw_list list;
        struct {
                uint64_t inner;
                struct sw_kv_list map;
        } section;
};
static const struct sw_opt_name levels[] = { { "low", 0 }, { "high", 1 }, { NULL, 0 } };
static const struct sw_opt item_rows[] = {
        { .key = "name",
                .type = SW_OPT_STRING,
                .offset = offsetof(struct item, name),
                .flags = SW_OPT_REQUIRED,
                .example = "web" },
        { .key = "flag", .type = SW_OPT_BOOL, .offset = offsetof(struct item, flag), .def = "false" },
        { .key = "more", .type = SW_OPT_ANY_MAP, .offset = offsetof(struct item, more), .example = "{}" },
        SW_OPT_END,
};
static const struct sw_opt section_rows[] = {
        { .key = "inner", .type = SW_OPT_UINT, .offset = 0, .def = "5", .min = 1, .max = 9, .doc = "Inner." },
        { .key = "map", .type = SW_OPT_ANY_MAP, .offset = 8 },
        SW_OPT_END,
};
static const struct sw_opt rows[] = {
        { .key = "on", .type = SW_OPT_BOOL, .offset = offsetof(struct conf, on), .def = "true", .doc = "Whether." },
        { .key = "bytes", .type = SW_OPT_SIZE, .offset = offsetof(struct conf, bytes), .def = "64KiB", .min = 1024 },
        { .key = "wait", .type = SW_OPT_DURATION, .offset = offsetof(struct conf, wait), .def = "2m" },
        { .key = "text", .type = SW_OPT_STRING, .offset = offsetof(struct conf, text), .def = "a: b # \"c\"\\" },
        { .key = "absent", .type = SW_OPT_STRING, .offset = offsetof(struct conf, absent), .example = "PATH" },
        { .key = "level",
                .type = SW_OPT_ENUM,
                .offset = offsetof(struct conf, level),
                .def = "high",
                .names = levels,
                .doc = "How much." },
        { .key = "secret", .type = SW_OPT_SECRET, .offset = offsetof(struct conf, secret) },
        { .key = "list",
                .type = SW_OPT_LIST,
                .offset = offsetof(struct conf, list),
                .rows = item_rows,
                .item_size = sizeof(struct item) },
        { .key = "section", .type = SW_OPT_SECTION, .offset = offsetof(struct conf, section), .rows = section_rows },
        { .key = "future", .type = SW_OPT_BOOL, .flags = SW_OPT_LATER },
        SW_OPT_END,
};

static struct sw_str str(const struct sw_buf *b)
{
        cr_assert_not(b->failed);
        return (struct sw_str){ b->p, b->n };
}

/* Reads YAML over the defaults and writes the values again. */
static void dump(struct sw_str text, struct sw_buf *out)
{
        struct sw_err items[4];
        struct sw_conf_check check = { .items = items, .max_items = 4 };
        struct sw_arena arena = SW_ARENA_NULL;
        struct sw_conf_node *root = NULL;
        struct conf conf = { 0 };
        struct sw_schema_part part = { .rows = rows, .base = &conf };

        cr_assert_eq(sw_schema_defaults(rows, &conf), 0);
        cr_assert_eq(sw_conf_parse(text, "f", &arena, &check, &root), 0, "%s\n%.*s", items[0].msg, (int)text.n, text.p);
        sw_schema_read(&part, 1, root, &check);
        cr_assert_eq(check.n_errors, 0, "line %u: %s\n%.*s", items[0].line, items[0].msg, (int)text.n, text.p);
        sw_emit_yaml(out, rows, &conf, 0);
        sw_schema_free(rows, &conf);
        sw_arena_deinit(&arena);
}

Test(emit, values_survive_the_round_trip)
{
        static const char *const texts[] = { "", "on: false\nbytes: 1025\nwait: 1ms\nlevel: low\n",
                "text: \"yes\"\nsecret: {file: /etc/x}\nlist: [{name: \"1\"}, {name: a b, flag: true, more: {k: "
                "\"\"}}]\n",
                "secret: {credential: hub}\nsection: {inner: 9, map: {a.b: \"50\", \"x: y\": \"#\"}}\n",
                "text: \"\\N \\L \\P \\_ \\x80\\x9b \\uFEFF\\uFFFE\\uFFFF\\uFFFD \\U0001F600\"\n",
                "text: \"\xc3\xa4 'single' \\\"double\\\" \\\\ -\"\nlist:\n- {name: \"- x\", more: {a: b}}\n" };
        size_t i;

        for (i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
                struct sw_buf one = SW_BUF_NULL, two = SW_BUF_NULL;

                dump(sw_str_of(texts[i]), &one);
                dump(str(&one), &two);
                cr_assert(sw_str_eq(str(&one), str(&two)), "%.*s\n---\n%.*s", (int)one.n, one.p, (int)two.n, two.p);
                sw_buf_deinit(&one);
                sw_buf_deinit(&two);
        }
}

Test(emit, characters_that_yaml_would_read_as_a_line_break_or_refuse_are_escaped)
{
        struct sw_buf out = SW_BUF_NULL;

        sw_emit_text(&out, SW_STR("/a\xc2\x85\xc2\xa0\xe2\x80\xa7\xe2\x80\xa8\xe2\x80\xa9\xef\xbb\xbf\xef\xbf\xbd\xef"
                                  "\xbf\xbf\x1f"));
        sw_buf_putc(&out, '\0');
        cr_assert_str_eq(out.p, "\"/a\\u0085\xc2\xa0\xe2\x80\xa7\\u2028\\u2029\\ufeff\xef\xbf\xbd\\uffff\\x1f\"");
        sw_buf_deinit(&out);
}

Test(emit, values_are_written_in_their_units)
{
        struct sw_buf out = SW_BUF_NULL;

        dump(SW_STR("bytes: 1048576\nwait: 60s\ntext: plain/text.1\nsecret: {credential: hub}\n"
                    "list: [{name: web, more: {a: \"1\"}}]\n"),
                &out);
        sw_buf_putc(&out, '\0');
        cr_assert_str_eq(out.p, "on: true\nbytes: 1MiB\nwait: 1m\ntext: plain/text.1\nlevel: high\n"
                                "secret: {credential: hub}\nlist:\n  - name: web\n    flag: false\n    more:\n"
                                "      a: \"1\"\nsection:\n  inner: 5\n");
        sw_buf_deinit(&out);
}

Test(emit, sample_reads_back_to_the_defaults)
{
        struct sw_buf sample = SW_BUF_NULL, from_sample = SW_BUF_NULL, defaults = SW_BUF_NULL;

        sw_emit_sample(&sample, rows, 0);
        dump(str(&sample), &from_sample);
        dump(SW_STR_NULL, &defaults);
        cr_assert(sw_str_eq(str(&from_sample), str(&defaults)));
        sw_buf_putc(&sample, '\0');
        cr_assert_not_null(strstr(sample.p, "# Whether.\non: true\n"));
        cr_assert_not_null(strstr(sample.p, "# How much. One of low or high.\nlevel: high\n"));
        cr_assert_not_null(strstr(sample.p, "  # Inner. From 1 to 9.\n  inner: 5\n"));
        cr_assert_not_null(strstr(sample.p, "#absent: PATH\n"));
        cr_assert_not_null(strstr(sample.p, "#  - name: web\n"));
        cr_assert_null(strstr(sample.p, "future"));
        sw_buf_deinit(&sample);
        sw_buf_deinit(&from_sample);
        sw_buf_deinit(&defaults);
}

Test(emit, schema_names_types_and_defaults)
{
        struct sw_buf json = SW_BUF_NULL, pretty = SW_BUF_NULL;
        struct sw_jsonw w = sw_jsonw_start(&json);
        const struct sw_opt *tables[] = { rows };

        sw_jsonw_object(&w);
        sw_emit_schema(&w, tables, 1);
        sw_jsonw_end_object(&w);
        sw_emit_pretty(&pretty, str(&json));
        sw_buf_putc(&json, '\0');
        cr_assert_not_null(
                strstr(json.p, "\"on\":{\"description\":\"Whether.\",\"type\":\"boolean\",\"default\":true}"));
        cr_assert_not_null(strstr(json.p, "\"enum\":[\"low\",\"high\"],\"default\":\"high\""));
        cr_assert_not_null(strstr(json.p, "\"minimum\":1,\"maximum\":9,\"default\":5"));
        cr_assert_not_null(strstr(json.p, "\"required\":[\"name\"],\"additionalProperties\":false"));
        cr_assert_null(strstr(json.p, "future"));
        cr_assert_not_null(memchr(pretty.p, '\n', pretty.n));
        sw_buf_deinit(&json);
        sw_buf_deinit(&pretty);
}

Test(emit, pretty_leaves_strings_and_empty_brackets_alone)
{
        struct sw_buf out = SW_BUF_NULL;

        sw_emit_pretty(&out, SW_STR("{\"a\":[],\"b\":{\"c\":\"{,\\\"}:\"}}"));
        sw_buf_putc(&out, '\0');
        cr_assert_str_eq(out.p, "{\n  \"a\": [],\n  \"b\": {\n    \"c\": \"{,\\\"}:\"\n  }\n}\n");
        sw_buf_deinit(&out);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/args.h"
#include "cmd/help.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <string.h>

static const struct sw_cmd_opt options[] = {
        { "config", 'c', "FILE", "a file" },
        { "dump", 'd', NULL, "a flag" },
        { "since", SW_CMD_LONG, "T", "a long option" },
        { "hidden-ms", SW_CMD_LONG + 1, "MS", "", .hidden = true },
        { 0 },
};
static const struct sw_cmd_sub subs[] = { { "list", "[-n N]", "lists" }, { "show", NULL, "shows" }, { 0 } };
static const struct sw_cmd cmd = { .name = "verb",
        .args = "[options] PATH...",
        .summary = "does it",
        .about = "One. Two.\n\nThree.",
        .subs = subs,
        .options = options,
        .notes = "Exit: 0 ok.",
        .examples = "segwatch verb a\nsegwatch verb b\n" };

static struct sw_cmd_args a;

static void start(char **argv)
{
        int argc = 0;

        while (argv[argc])
                argc++;
        sw_cmd_args_init(&a, &cmd, argc, argv);
}
#define START(...) start((char *[]){ (char[]){ "verb" }, __VA_ARGS__, NULL })
#define W(text)                                                                                                        \
        (char[])                                                                                                       \
        {                                                                                                              \
                text                                                                                                   \
        }

Test(args, options_and_operands_may_be_mixed)
{
        START(W("p1"), W("-c"), W("x"), W("--since=1h"), W("p2"), W("-d"));
        cr_assert_eq(sw_cmd_args_next(&a), 'c');
        cr_assert_str_eq(a.value, "x");
        cr_assert_eq(sw_cmd_args_next(&a), SW_CMD_LONG);
        cr_assert_str_eq(a.value, "1h");
        cr_assert_eq(sw_cmd_args_next(&a), 'd');
        cr_assert_null(a.value);
        cr_assert_eq(sw_cmd_args_next(&a), 0);
        cr_assert_eq(a.n_rest, 2);
        cr_assert_str_eq(a.rest[0], "p1");
        cr_assert_str_eq(a.rest[1], "p2");
}

Test(args, two_dashes_end_the_options)
{
        START(W("-d"), W("--"), W("-c"));
        cr_assert_eq(sw_cmd_args_next(&a), 'd');
        cr_assert_eq(sw_cmd_args_next(&a), 0);
        cr_assert_eq(a.n_rest, 1);
        cr_assert_str_eq(a.rest[0], "-c");
}

Test(args, letters_share_a_word_and_names_may_be_cut)
{
        START(W("-dcfile"), W("--conf"), W("y"));
        cr_assert_eq(sw_cmd_args_next(&a), 'd');
        cr_assert_eq(sw_cmd_args_next(&a), 'c');
        cr_assert_str_eq(a.value, "file");
        cr_assert_eq(sw_cmd_args_next(&a), 'c');
        cr_assert_str_eq(a.value, "y");
        cr_assert_eq(sw_cmd_args_next(&a), 0);
        cr_assert_eq(a.n_rest, 0);
}

Test(args, a_second_scan_begins_anew)
{
        START(W("-d"), W("x"));
        cr_assert_eq(sw_cmd_args_next(&a), 'd');
        START(W("-c"), W("z"));
        cr_assert_eq(sw_cmd_args_next(&a), 'c');
        cr_assert_eq(sw_cmd_args_next(&a), 0);
        cr_assert_eq(a.n_rest, 0);
}

static void read_stderr(char *to, size_t n)
{
        FILE *f = cr_get_redirected_stderr();
        size_t got;

        fflush(stderr);
        got = fread(to, 1, n - 1, f);
        to[got] = '\0';
}

Test(args, wrong_ones_are_named, .init = cr_redirect_stderr)
{
        char text[1024];

        START(W("-dx"));
        cr_assert_eq(sw_cmd_args_next(&a), 'd');
        cr_assert_eq(sw_cmd_args_next(&a), -1);
        START(W("--frob"));
        cr_assert_eq(sw_cmd_args_next(&a), -1);
        START(W("--dump=1"));
        cr_assert_eq(sw_cmd_args_next(&a), -1);
        START(W("--since"));
        cr_assert_eq(sw_cmd_args_next(&a), -1);
        START(W("--since"), W("x"));
        cr_assert_eq(sw_cmd_args_next(&a), SW_CMD_LONG);
        cr_assert_eq(sw_cmd_args_bad_value(&a, SW_CMD_LONG, "a time"), SW_EXIT_USAGE);
        cr_assert_eq(sw_cmd_args_bad_value(&a, SW_CMD_LONG, NULL), SW_EXIT_USAGE);
        read_stderr(text, sizeof(text));
        cr_assert(strstr(text, "verb: unknown option '-x'\n"), "%s", text);
        cr_assert(strstr(text, "verb: unknown option '--frob'\n"));
        cr_assert(strstr(text, "verb: option '--dump=1' takes no value\n"));
        cr_assert(strstr(text, "verb: option '--since' needs a value\n"));
        cr_assert(strstr(text, "verb: --since takes a time, not 'x'\n"));
        cr_assert(strstr(text, "verb: 'x' is not a value of option '--since': "));
}

Test(args, help_shows_the_table_without_what_is_hidden, .init = cr_redirect_stdout)
{
        static const char want[] = "usage: segwatch verb [options] PATH...\n\ndoes it.\n\nOne. Two.\n\nThree.\n\n"
                                   "  list [-n N]         lists\n"
                                   "  show                shows\n\n"
                                   "  -c, --config FILE   a file\n"
                                   "  -d, --dump          a flag\n"
                                   "      --since T       a long option\n\n"
                                   "Exit: 0 ok.\n\nExamples:\n  segwatch verb a\n  segwatch verb b\n";

        cr_assert_eq(sw_cmd_help(&cmd), SW_EXIT_OK);
        fflush(stdout);
        cr_assert_stdout_eq_str(want);
}

Test(args, long_phrases_are_broken_at_the_column, .init = cr_redirect_stdout)
{
        static const struct sw_cmd_opt rows[] = { { "x", 'x', NULL,
                                                          "word word word word word word word word word word word word "
                                                          "word word word word word word word word word" },
                { 0 } };
        static const struct sw_cmd one = { .name = "v", .args = "", .summary = "s", .options = rows };

        cr_assert_eq(sw_cmd_help(&one), SW_EXIT_OK);
        fflush(stdout);
        /* the 18th would end in column 101 */
        cr_assert_stdout_eq_str(
                "usage: segwatch v\n\ns.\n\n"
                "  -x, --x   word word word word word word word word word word word word word word word word word\n"
                "            word word word word\n\n");
}

static const struct sw_cmd *const verbs[] = {
#define ROW(name) &sw_cmd_##name,
        SW_CMD_MAP(ROW)
#undef ROW
};

/* What getopt, the manual and the completion take for granted. */
Test(args, every_verb_has_a_table_in_order)
{
        size_t i;

        for (i = 0; i < sizeof(verbs) / sizeof(*verbs); i++) {
                const struct sw_cmd_opt *o, *p;

                cr_assert(i == 0 || strcmp(verbs[i - 1]->name, verbs[i]->name) < 0, "%s", verbs[i]->name);
                cr_assert(verbs[i]->summary && verbs[i]->args && verbs[i]->run, "%s", verbs[i]->name);
                for (o = verbs[i]->options; o && o->name; o++) {
                        cr_assert(o->hidden || (*o->help && !strchr(o->help, '\n')), "%s", o->name);
                        cr_assert(!o->words || o->value, "%s", o->name);
                        for (p = verbs[i]->options; p < o; p++)
                                cr_assert(p->code != o->code && strcmp(p->name, o->name) != 0, "%s", o->name);
                }
        }
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"
#include "cmd/args.h"
#include "cmd/explain_text.h"
#include "cmd/tail_file.h"
#include "conf.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define EXPLAIN_UID_MIN 6 /* digits that may stand for an id */
#define EXPLAIN_ROTATED 1000

enum { EXPLAIN_FILE = SW_CMD_LONG };

struct explain {
        const char *config, *file;
        struct sw_str uid;
        struct sw_json *found; /* its newest line */
        bool ambiguous;        /* the beginning of several findings' ids */
};

static int explain_each(void *ctx, struct sw_str line)
{
        struct explain *e = ctx;
        struct sw_json *j;

        /* most lines are about others, and parsing costs */
        if (!memmem(line.p, line.n, e->uid.p, e->uid.n))
                return 0;
        j = sw_json_parse(line);
        if (!sw_explain_is(j, e->uid)) {
                sw_json_free(j);
                return 0;
        }
        if (e->found && !sw_str_eq(sw_explain_uid(e->found), sw_explain_uid(j)))
                e->ambiguous = true;
        sw_json_free(e->found);
        e->found = j;
        return 0;
}

static int explain_read(struct explain *e, const char *path)
{
        struct sw_tail_file t = SW_TAIL_FILE_NULL;
        int r = sw_tail_file_open(&t, path, 0);

        if (r == 0)
                r = sw_tail_file_read(&t, true, explain_each, e);
        sw_tail_file_close(&t);
        return r;
}

/* Oldest first, so that the newest line about it is the one that stays. */
static int explain_read_all(struct explain *e)
{
        struct sw_buf path = SW_BUF_NULL;
        unsigned n, i;
        int r = 0;

        for (n = 0; n < EXPLAIN_ROTATED && !path.failed; n++) {
                sw_buf_reset(&path);
                sw_buf_printf(&path, "%s.%u%c", e->file, n + 1, 0);
                if (path.failed || access(path.p, F_OK) != 0)
                        break;
        }
        for (i = n; i >= 1 && r == 0; i--) {
                sw_buf_reset(&path);
                sw_buf_printf(&path, "%s.%u%c", e->file, i, 0);
                r = path.failed ? -SW_ERR_NOMEM : explain_read(e, path.p);
        }
        if (r == 0)
                r = explain_read(e, e->file);
        if (r < 0)
                fprintf(stderr, "segwatch explain: %s: %s\n", e->file,
                        r == -SW_ERR_IO ? strerror(errno) : sw_error_text(r));
        sw_buf_deinit(&path);
        return r;
}

static int explain_print(const struct explain *e)
{
        struct sw_buf out = SW_BUF_NULL;
        int r = SW_EXIT_OK;

        sw_explain(&out, e->found);
        if (out.failed || fwrite(out.p, 1, out.n, stdout) != out.n || fflush(stdout) != 0) {
                fprintf(stderr, "segwatch explain: standard output: %s\n",
                        out.failed ? "out of memory" : strerror(errno));
                r = SW_EXIT_FAILURE;
        }
        sw_buf_deinit(&out);
        return r;
}

static int explain_find(struct explain *e)
{
        if (explain_read_all(e) < 0)
                return SW_EXIT_FAILURE;
        if (!e->found) {
                fprintf(stderr,
                        "segwatch explain: no finding '%s' in %s and its rotated files; `segwatch tail` lists them\n",
                        e->uid.p, e->file);
                return SW_EXIT_FAILURE;
        }
        if (e->ambiguous) {
                fprintf(stderr, "segwatch explain: several findings begin with '%s': give more of the id\n", e->uid.p);
                return SW_EXIT_FAILURE;
        }
        return explain_print(e);
}

static int explain_with_config(struct explain *e)
{
        struct sw_conf_report *report = sw_calloc(1, sizeof(*report));
        struct sw_conf conf = { 0 };
        int r = report ? sw_conf_load(e->config, false, &conf, report) : -SW_ERR_NOMEM, code;

        if (r < 0 && report)
                sw_conf_report_print(report);
        e->file = r == 0 ? conf.alerts.file : NULL;
        code = r == 0 ? explain_find(e) : r == -SW_ERR_CONFIG ? SW_EXIT_CONFIG : SW_EXIT_FAILURE;
        sw_free(report);
        sw_conf_deinit(&conf);
        return code;
}

static int explain_run(int argc, char **argv)
{
        struct explain e = { .config = SW_CMD_CONFIG };
        struct sw_cmd_args a;
        int c;

        sw_cmd_args_init(&a, &sw_cmd_explain, argc, argv);
        while ((c = sw_cmd_args_next(&a)) > 0) {
                if (c == 'c')
                        e.config = a.value;
                else
                        e.file = a.value;
        }
        if (c < 0)
                return SW_EXIT_USAGE;
        if (a.n_rest != 1)
                return sw_cmd_usage(&sw_cmd_explain, "one UID is needed");
        e.uid = sw_str_of(a.rest[0]);
        if (e.uid.n < EXPLAIN_UID_MIN || strspn(e.uid.p, "0123456789abcdef") != e.uid.n)
                return sw_cmd_usage(
                        &sw_cmd_explain, "a UID is hexadecimal in lower case; %d digits of it may do", EXPLAIN_UID_MIN);
        c = e.file ? explain_find(&e) : explain_with_config(&e);
        sw_json_free(e.found);
        return c;
}

static const struct sw_cmd_opt explain_options[] = {
        SW_CMD_OPT_CONFIG,
        { "file", EXPLAIN_FILE, "FILE", "alert file to read instead of the configuration's" },
        { 0 },
};

const struct sw_cmd sw_cmd_explain = {
        .name = "explain",
        .args = "[-c FILE | --file FILE] UID",
        .summary = "a finding in words: evidence, the rule that let it through, what to do",
        .about =
                "UID is finding_info.uid or metadata.uid of a line of the alert file, or the beginning of one. The "
                "newest "
                "line about it is explained, looked for in the rotated files as well. Nothing is changed anywhere: the "
                "deny rules and the suppression are texts to read and to paste.",
        .options = explain_options,
        .notes = "Exit: 0 explained, 1 not found or not readable, 64 usage, 78 configuration.",
        .examples = "segwatch explain 0e9d885619812cfaa97725d644bcb4ed\n"
                    "segwatch explain --file alerts.jsonl 0e9d88\n",
        .run = explain_run,
};

/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/args.h"
#include "cmd/schema_cef.h"
#include "cmd/schema_ocsf.h"
#include "cmd/schema_sentinel.h"
#include "conf.h"

#include <stdio.h>
#include <string.h>

enum { SCHEMA_AS = SW_CMD_LONG };

static const struct sw_cmd_opt schema_options[] = {
        { "as", SCHEMA_AS, "FORM",
                "cef and sentinel: columns (JSON, default), markdown; sentinel: arm, a template to deploy",
                "columns markdown arm" },
        { 0 },
};
static const struct sw_cmd_sub schema_subs[] = {
        { "cef", "[--as FORM]", "fields of a finding in Common Event Format, as a syslog output sends it" },
        { "config", NULL, "JSON schema of the configuration, for editors" },
        { "ocsf", NULL, "JSON schema of a line of the alert file" },
        { "sentinel", "[--as FORM]", "columns of the Sentinel table, or what creates it" },
        { 0 },
};

static const struct {
        const char *sub, *as;
        void (*write)(struct sw_buf *out);
} schema_forms[] = {
        { "cef", NULL, sw_schema_cef_fields },
        { "cef", "columns", sw_schema_cef_fields },
        { "cef", "markdown", sw_schema_cef_markdown },
        { "config", NULL, sw_conf_json_schema },
        { "ocsf", NULL, sw_schema_ocsf },
        { "sentinel", NULL, sw_schema_sentinel_columns },
        { "sentinel", "columns", sw_schema_sentinel_columns },
        { "sentinel", "markdown", sw_schema_sentinel_markdown },
        { "sentinel", "arm", sw_schema_sentinel_arm },
};

static bool schema_same(const char *a, const char *b)
{
        return a == b || (a && b && strcmp(a, b) == 0);
}

static int schema_print(void (*write)(struct sw_buf *out))
{
        struct sw_buf out = SW_BUF_NULL;
        int r = SW_EXIT_OK;

        write(&out);
        if (out.failed) {
                fprintf(stderr, "segwatch schema: out of memory\n");
                r = SW_EXIT_FAILURE;
        } else if (fwrite(out.p, 1, out.n, stdout) != out.n || fflush(stdout) != 0) {
                perror("segwatch schema: standard output");
                r = SW_EXIT_FAILURE;
        }
        sw_buf_deinit(&out);
        return r;
}

static int schema_run(int argc, char **argv)
{
        struct sw_cmd_args a;
        const char *as = NULL;
        size_t i;
        int c;

        sw_cmd_args_init(&a, &sw_cmd_schema, argc, argv);
        while ((c = sw_cmd_args_next(&a)) > 0)
                as = a.value;
        if (c < 0)
                return SW_EXIT_USAGE;
        if (a.n_rest != 1)
                return sw_cmd_usage(&sw_cmd_schema, "one of cef, config, ocsf and sentinel is needed");
        for (i = 0; i < sizeof(schema_forms) / sizeof(*schema_forms); i++)
                if (schema_same(schema_forms[i].sub, a.rest[0]) && schema_same(schema_forms[i].as, as))
                        return schema_print(schema_forms[i].write);
        for (i = 0; schema_subs[i].name && strcmp(schema_subs[i].name, a.rest[0]) != 0;)
                i++;
        if (!schema_subs[i].name)
                return sw_cmd_usage(&sw_cmd_schema, "there is no schema '%s'", a.rest[0]);
        if (!schema_subs[i].args)
                return sw_cmd_usage(&sw_cmd_schema, "--as belongs to cef and sentinel");
        a.value = as;
        return sw_cmd_args_bad_value(
                &a, SCHEMA_AS, strcmp(a.rest[0], "cef") == 0 ? "columns or markdown" : "columns, markdown or arm");
}

const struct sw_cmd sw_cmd_schema = {
        .name = "schema",
        .args = "cef [--as FORM] | config | ocsf | sentinel [--as FORM]",
        .summary = "print what describes the configuration, the alert file, CEF and the Sentinel table",
        .subs = schema_subs,
        .options = schema_options,
        .notes = "Exit: 0 printed, 1 standard output failed, 64 usage.",
        .examples = "segwatch schema cef --as markdown\n"
                    "segwatch schema ocsf > alert.schema.json\n"
                    "segwatch schema sentinel --as markdown\n"
                    "segwatch schema sentinel --as arm > segwatch-table.json\n",
        .run = schema_run,
};

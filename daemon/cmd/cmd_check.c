/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/args.h"
#include "conf_lists.h"
#include "online.h"

#include <stdio.h>

struct check_args {
        const char *file;
        bool dump, online, sample, schema;
};

enum { CHECK_DUMP = SW_CMD_LONG, CHECK_ONLINE, CHECK_SAMPLE, CHECK_SCHEMA };

static const struct sw_cmd_opt check_options[] = {
        { "config", 'c', "FILE", "configuration to check (" SW_CMD_CONFIG ")" },
        { "dump", CHECK_DUMP, NULL, "print the effective configuration, defaults filled in, without secrets" },
        { "sample", CHECK_SAMPLE, NULL, "print a commented configuration with all options and defaults" },
        { "schema", CHECK_SCHEMA, NULL, "print the JSON schema of the configuration, for editors" },
        { "online", CHECK_ONLINE, NULL,
                "also ask brokers, Entra and receivers whether they would take it; nothing is read or sent" },
        { 0 },
};

static int check_parse_args(int argc, char **argv, struct check_args *ret)
{
        struct sw_cmd_args a;
        int c;

        sw_cmd_args_init(&a, &sw_cmd_check, argc, argv);
        while ((c = sw_cmd_args_next(&a)) > 0) {
                switch (c) {
                case 'c':
                        ret->file = a.value;
                        break;
                case CHECK_DUMP:
                        ret->dump = true;
                        break;
                case CHECK_ONLINE:
                        ret->online = true;
                        break;
                case CHECK_SAMPLE:
                        ret->sample = true;
                        break;
                case CHECK_SCHEMA:
                        ret->schema = true;
                        break;
                }
        }
        if (c < 0)
                return SW_EXIT_USAGE;
        if (a.n_rest > 0)
                return sw_cmd_usage(&sw_cmd_check, "unexpected argument '%s'; the file is given with -c", a.rest[0]);
        if (ret->dump + ret->sample + ret->schema > 1)
                return sw_cmd_usage(&sw_cmd_check, "only one of --dump, --sample and --schema can be printed");
        return 0;
}

static int check_print(struct sw_buf *out)
{
        int r = SW_EXIT_OK;

        if (out->failed) {
                fprintf(stderr, "segwatch check: out of memory\n");
                r = SW_EXIT_FAILURE;
        } else if (fwrite(out->p, 1, out->n, stdout) != out->n || fflush(stdout) != 0) {
                perror("segwatch check: standard output");
                r = SW_EXIT_FAILURE;
        }
        sw_buf_deinit(out);
        return r;
}

static const char *check_plural(uint32_t n)
{
        return n == 1 ? "" : "s";
}

static void check_tell(const char *file, const struct sw_conf *conf)
{
        const struct sw_conf_lists *lists = conf->lists;
        uint32_t n_off = 0, n_alert = 0, i;

        for (i = 0; i < SW_N_DETECTORS; i++) {
                n_off += conf->detectors[i].mode == SW_MODE_OFF;
                n_alert += conf->detectors[i].mode == SW_MODE_ALERT;
        }
        fprintf(stderr,
                "%s: ok: %u source%s, %u output%s, %u segment%s, %u policy row%s, %u realm%s, %u host role%s, %u of %d "
                "detectors on "
                "(%u alert), %u file%s\n",
                file, conf->sources.n, check_plural(conf->sources.n), conf->outputs.n, check_plural(conf->outputs.n),
                lists->segments.n, check_plural(lists->segments.n), lists->policy.n, check_plural(lists->policy.n),
                lists->realms.n, check_plural(lists->realms.n), lists->hosts.n, check_plural(lists->hosts.n),
                SW_N_DETECTORS - n_off, SW_N_DETECTORS, n_alert, lists->n_files, check_plural(lists->n_files));
}

static int check_file(const struct check_args *args)
{
        static struct sw_conf_report report; /* 50 KiB: not for the stack */
        struct sw_buf out = SW_BUF_NULL;
        struct sw_conf conf;
        int r, online = SW_EXIT_OK;

        r = sw_conf_load(args->file, false, &conf, &report);
        if (r == 0)
                sw_conf_report_secrets(&conf, &report);
        sw_conf_report_print(&report);
        if (r == -SW_ERR_NOMEM) {
                fprintf(stderr, "segwatch check: out of memory\n");
                return SW_EXIT_FAILURE;
        }
        if (report.n_errors) {
                /* the bound is an error itself */
                if (report.cut && report.n_errors > 1)
                        fprintf(stderr, "%s: more than %u error%s\n", args->file, report.n_errors - 1,
                                check_plural(report.n_errors - 1));
                else
                        fprintf(stderr, "%s: %u error%s\n", args->file, report.n_errors, check_plural(report.n_errors));
                sw_conf_deinit(&conf);
                return SW_EXIT_CONFIG;
        }
        if (conf.sources.n == 0)
                fprintf(stderr, "%s: warning: there are no sources: `segwatch run` needs one\n", args->file);
        check_tell(args->file, &conf);
        if (args->online && sw_online_check(&conf) != 0)
                online = SW_EXIT_FAILURE;
        if (args->dump)
                sw_conf_dump(&conf, &out);
        sw_conf_deinit(&conf);
        if (online != SW_EXIT_OK) {
                sw_buf_deinit(&out);
                return online;
        }
        return args->dump ? check_print(&out) : SW_EXIT_OK;
}

static int check_run(int argc, char **argv)
{
        struct check_args args = { .file = SW_CMD_CONFIG };
        struct sw_buf out = SW_BUF_NULL;
        int r = check_parse_args(argc, argv, &args);

        if (r)
                return r;
        if (args.sample)
                sw_conf_sample(&out);
        else if (args.schema)
                sw_conf_json_schema(&out);
        else
                return check_file(&args);
        return check_print(&out);
}

const struct sw_cmd sw_cmd_check = {
        .name = "check",
        .args = "[-c FILE] [--dump | --sample | --schema | --online]",
        .summary = "check a configuration and name every error with its place",
        .about = "Secrets that systemd keeps can be read only by the service: what needs them is checked as "
                 "`systemd-run "
                 "-p LoadCredential=NAME:PATH --pipe segwatch check --online`.",
        .options = check_options,
        .notes = "Exit: 0 the configuration is valid (with --online: and everything answers), 1 something does not, 78 "
                 "it is not valid, 64 usage.",
        .examples = "segwatch check -c /etc/segwatch/segwatch.yaml\n"
                    "segwatch check -c segwatch.yaml --dump | less\n"
                    "segwatch check --online\n"
                    "segwatch check --sample > segwatch.yaml\n",
        .run = check_run,
};

/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/args.h"
#include "cmd/since.h"
#include "conf_outputs.h"
#include "log.h"
#include "sink/alert_export.h"
#include "state/outbox.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { RESEND_SINCE = SW_CMD_LONG, RESEND_TO };

struct resend {
        const char *file, *to;
        struct sw_etime since;
        bool has_since;
};

static const struct sw_cmd_opt resend_options[] = {
        SW_CMD_OPT_CONFIG,
        { "to", RESEND_TO, "OUTPUT", "name of an output of the configuration, or alerts for the alert file" },
        { "since", RESEND_SINCE, "T", "findings written since T: " SW_SINCE_HELP },
        { 0 },
};

static int resend_parse_args(int argc, char **argv, struct resend *ret)
{
        struct sw_cmd_args a;
        int c;

        sw_cmd_args_init(&a, &sw_cmd_resend, argc, argv);
        while ((c = sw_cmd_args_next(&a)) > 0) {
                switch (c) {
                case 'c':
                        ret->file = a.value;
                        break;
                case RESEND_TO:
                        ret->to = a.value;
                        break;
                case RESEND_SINCE:
                        ret->has_since = true;
                        if (!sw_since_parse(a.value, &ret->since))
                                return sw_cmd_args_bad_value(&a, RESEND_SINCE, NULL);
                        break;
                }
        }
        if (c < 0)
                return SW_EXIT_USAGE;
        if (a.n_rest > 0)
                return sw_cmd_usage(&sw_cmd_resend, "unexpected argument '%s'", a.rest[0]);
        if (!ret->to || !ret->has_since)
                return sw_cmd_usage(&sw_cmd_resend, "--to and --since are both needed");
        return 0;
}

/* Lowest severity that the output takes; -1: there is no such output. */
static int resend_min_severity(const struct sw_conf *conf, const char *to)
{
        const struct sw_conf_output *rows = conf->outputs.items;
        uint32_t i;

        for (i = 0; i < conf->outputs.n; i++)
                if (strcmp(rows[i].name, to) == 0)
                        return (int)rows[i].min_severity;
        return strcmp(to, SW_ALERT_SINK) == 0 ? 0 : -1;
}

static int resend_unknown(const struct sw_conf *conf, const char *to)
{
        const struct sw_conf_output *rows = conf->outputs.items;
        uint32_t i;

        fprintf(stderr, "segwatch resend: there is no output '%s'; there are: " SW_ALERT_SINK, to);
        for (i = 0; i < conf->outputs.n; i++)
                fprintf(stderr, ", %s", rows[i].name);
        fputc('\n', stderr);
        return SW_EXIT_FAILURE;
}

static int resend_tell(const struct resend *args, int r, uint64_t n)
{
        if (r == -SW_ERR_NOENT)
                fprintf(stderr, "segwatch resend: nothing was ever sent to %s: `segwatch run` has not used it yet\n",
                        args->to);
        else if (r < 0)
                fprintf(stderr, "segwatch resend: %s\n", sw_error_text(r));
        else if (r > 0)
                fprintf(stderr, "segwatch resend: the outbox cannot be written now\n");
        else if (n == 0)
                fprintf(stderr, "nothing is sent again: no finding that is kept was written since then, and to %s\n",
                        args->to);
        else
                fprintf(stderr, "%llu finding%s will be sent again to %s\n", (unsigned long long)n, n == 1 ? "" : "s",
                        args->to);
        return r < 0 ? SW_EXIT_FAILURE : r > 0 ? SW_EXIT_TEMPFAIL : SW_EXIT_OK;
}

/* The daemon may run: it looks for rows that were queued again, at the latest with the next finding. */
static int resend_queue(const struct resend *args, const struct sw_conf *conf, uint8_t min_severity)
{
        const atomic_bool stop = true; /* nothing is waited for */
        struct sw_outbox_conf outbox = { .dir = conf->state.dir, .stop = &stop };
        struct sw_err err = SW_ERR_NULL;
        struct sw_outbox *o = NULL;
        struct sw_log *log = NULL;
        char path[4096];
        uint64_t n = 0;
        int r;

        (void)snprintf(path, sizeof(path), "%s/%s", conf->state.dir, SW_OUTBOX_FILE);
        if (access(path, R_OK | W_OK) != 0) {
                fprintf(stderr, "segwatch resend: %s: %s\n", path, strerror(errno));
                return SW_EXIT_FAILURE;
        }
        r = sw_log_new(STDERR_FILENO, SW_LOG_WARNING, SW_LOG_LOGFMT, &log);
        if (r == 0)
                r = sw_outbox_open(&outbox, log, &o, &err);
        if (r < 0) {
                fprintf(stderr, "segwatch resend: %s\n", *err.msg ? err.msg : sw_error_text(r));
                r = r == -SW_ERR_UNAVAIL ? SW_EXIT_TEMPFAIL : SW_EXIT_FAILURE;
        } else {
                r = sw_outbox_sink_severity(o, args->to, min_severity);
                if (r == 0)
                        r = sw_outbox_resend(o, args->to, args->since, &n);
                r = resend_tell(args, r, n);
        }
        sw_outbox_close(o);
        sw_log_free(log);
        return r;
}

static int resend_run(int argc, char **argv)
{
        static struct sw_conf_report report; /* large */
        struct resend args = { .file = SW_CMD_CONFIG };
        struct sw_conf conf;
        int r = resend_parse_args(argc, argv, &args), severity;

        if (r)
                return r;
        r = sw_conf_load(args.file, false, &conf, &report);
        if (r < 0) {
                sw_conf_report_print(&report);
                sw_conf_deinit(&conf);
                return r == -SW_ERR_CONFIG ? SW_EXIT_CONFIG : SW_EXIT_FAILURE;
        }
        severity = resend_min_severity(&conf, args.to);
        r = severity < 0 ? resend_unknown(&conf, args.to) : resend_queue(&args, &conf, (uint8_t)severity);
        sw_conf_deinit(&conf);
        return r;
}

const struct sw_cmd sw_cmd_resend = {
        .name = "resend",
        .args = "[-c FILE] --to OUTPUT --since T",
        .summary = "send findings again to an output that lost or missed them",
        .about = "Queues the findings that are kept (state.retention) and were written since T, also those that were "
                 "given up because the output's queue was full. The daemon sends them, in their order, before newer "
                 "ones; "
                 "it need not run now. What was received before comes twice, with the same metadata.uid.",
        .options = resend_options,
        .notes =
                "Exit: 0 also when there is nothing to send, 1 no such output or no outbox, 64 usage, 75 the outbox is "
                "locked, 78 configuration. Run it as the user that the daemon runs as, or as root.",
        .examples = "segwatch resend --to sentinel --since 6h\n"
                    "segwatch resend --to alerts --since 2026-01-31T08:00:00Z\n",
        .run = resend_run,
};

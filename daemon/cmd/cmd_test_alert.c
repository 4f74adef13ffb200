/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/args.h"
#include "online.h"

#include <signal.h>
#include <stdio.h>

enum { TEST_TO = SW_CMD_LONG };

static const struct sw_cmd_opt test_alert_options[] = {
        SW_CMD_OPT_CONFIG,
        { "to", TEST_TO, "NAME", "only this output" },
        { 0 },
};

static int test_alert_run(int argc, char **argv)
{
        static struct sw_conf_report report; /* too large for the stack */
        const char *file = SW_CMD_CONFIG, *to = NULL;
        struct sw_cmd_args a;
        struct sw_conf conf;
        int c, r;

        sw_cmd_args_init(&a, &sw_cmd_test_alert, argc, argv);
        while ((c = sw_cmd_args_next(&a)) > 0)
                if (c == 'c')
                        file = a.value;
                else
                        to = a.value;
        if (c < 0)
                return SW_EXIT_USAGE;
        if (a.n_rest > 0)
                return sw_cmd_usage(&sw_cmd_test_alert, "unexpected argument '%s'", a.rest[0]);
        r = sw_conf_load(file, false, &conf, &report);
        sw_conf_report_print(&report);
        if (r < 0)
                return r == -SW_ERR_CONFIG ? SW_EXIT_CONFIG : SW_EXIT_FAILURE;
        (void)signal(SIGPIPE, SIG_IGN);
        r = sw_online_test_alert(&conf, to);
        if (r == -SW_ERR_NOENT)
                fprintf(stderr, "segwatch test-alert: %s has no output%s%s\n", file, to ? " named " : "s",
                        to ? to : "");
        else if (r < 0)
                fprintf(stderr, "segwatch test-alert: %s\n", sw_error_text(r));
        sw_conf_deinit(&conf);
        return r == 0 ? SW_EXIT_OK : r == -SW_ERR_NOENT ? SW_EXIT_CONFIG : SW_EXIT_FAILURE;
}

const struct sw_cmd sw_cmd_test_alert = {
        .name = "test-alert",
        .args = "[-c FILE] [--to NAME]",
        .summary = "send an incident that says it is a sample to the outputs",
        .about = "Each output gets one incident at once, past its filters and its queue but through the same encoder "
                 "and "
                 "protocol, and says whether it took it. Its title begins with [SAMPLE], unmapped.is_sample is true "
                 "(in CEF "
                 "flexNumber1=1, in Sentinel the column IsSample), its severity is low and its addresses are those of "
                 "documentation. Its id is printed. "
                 "Secrets that systemd keeps can be read only by the service: run it as "
                 "`systemd-run -p LoadCredential=NAME:PATH --pipe segwatch test-alert`, or name files.",
        .options = test_alert_options,
        .notes = "Exit: 0 all took it, 1 not all did, 78 the configuration is not valid or has no such output, 64 "
                 "usage.",
        .examples = "segwatch test-alert\n"
                    "segwatch test-alert --to sentinel\n",
        .run = test_alert_run,
};

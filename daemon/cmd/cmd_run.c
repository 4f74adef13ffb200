/* SPDX-License-Identifier: Apache-2.0 */
#include "base/str.h"
#include "cmd/cmd.h"
#include "daemon.h"

#include <getopt.h>

#define RUN_DEFAULT_FILE "/etc/segwatch/segwatch.yaml"

/* The options with a time in milliseconds are for tests, which cannot wait for minutes. */
static const struct option run_options[] = {
        { "config", required_argument, NULL, 'c' },
        { "quiet-ms", required_argument, NULL, 'Q' },
        { "stats-ms", required_argument, NULL, 'S' },
        { "offsets-ms", required_argument, NULL, 'O' },
        { NULL, 0, NULL, 0 },
};

static bool run_ms(const char *text, int64_t *ret)
{
        uint64_t v;

        if (!sw_parse_u64(sw_str_of(text), &v) || v < 1 || v > 86400000)
                return false;
        *ret = (int64_t)v;
        return true;
}

static int run_run(int argc, char **argv)
{
        struct sw_daemon_options o = { .config = RUN_DEFAULT_FILE };
        bool ok = true;
        int c;

        optind = 0;
        opterr = 0;
        while ((c = getopt_long(argc, argv, ":c:", run_options, NULL)) != -1) {
                switch (c) {
                case 'c':
                        o.config = optarg;
                        break;
                case 'Q':
                        ok = run_ms(optarg, &o.quiet_ms);
                        break;
                case 'S':
                        ok = run_ms(optarg, &o.stats_ms);
                        break;
                case 'O':
                        ok = run_ms(optarg, &o.offsets_ms);
                        break;
                case ':':
                        return sw_cmd_usage(&sw_cmd_run, "option '%s' needs a value", argv[optind - 1]);
                default:
                        return sw_cmd_usage(&sw_cmd_run, "unknown option '%s'", argv[optind - 1]);
                }
                if (!ok)
                        return sw_cmd_usage(&sw_cmd_run, "'%s' is not a number of milliseconds", optarg);
        }
        if (optind < argc)
                return sw_cmd_usage(&sw_cmd_run, "unexpected argument '%s'; the file is given with -c", argv[optind]);
        return sw_daemon_run(&o);
}

const struct sw_cmd sw_cmd_run = {
        .name = "run",
        .args = "[-c FILE]",
        .summary = "the daemon: read the configured sources until told to stop",
        .help = "  -c, --config FILE   configuration, default " RUN_DEFAULT_FILE "\n\n"
                "Signals: SIGTERM, SIGINT stop (offsets are saved, nothing is lost); SIGHUP reads the configuration\n"
                "again and keeps the old one if it has errors; SIGUSR1 opens the alert file anew (logrotate).\n"
                "Exit codes: 0 stopped, 1 failed, 75 another instance runs on state.dir, 78 configuration.\n\n"
                "Examples:\n"
                "  segwatch run -c /etc/segwatch/segwatch.yaml\n"
                "  segwatch check -c segwatch.yaml && segwatch run -c segwatch.yaml\n",
        .run = run_run,
};

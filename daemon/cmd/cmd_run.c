/* SPDX-License-Identifier: Apache-2.0 */
#include "base/str.h"
#include "cmd/args.h"
#include "daemon.h"

enum { RUN_QUIET_MS = SW_CMD_LONG, RUN_STATS_MS, RUN_CHECKPOINT_MS, RUN_HEALTH_MS, RUN_TAKE_OVER };

/* The options with a time in milliseconds are for tests, which cannot wait for minutes. */
static const struct sw_cmd_opt run_options[] = {
        SW_CMD_OPT_CONFIG,
        { "take-over", RUN_TAKE_OVER, NULL, "read on although another instance reads under the same consumer group" },
        { "quiet-ms", RUN_QUIET_MS, "MS", "", .hidden = true },
        { "stats-ms", RUN_STATS_MS, "MS", "", .hidden = true },
        { "health-ms", RUN_HEALTH_MS, "MS", "", .hidden = true },
        { "checkpoint-ms", RUN_CHECKPOINT_MS, "MS", "", .hidden = true },
        { 0 },
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
        struct sw_daemon_options o = { .config = SW_CMD_CONFIG };
        struct sw_cmd_args a;
        int c;

        sw_cmd_args_init(&a, &sw_cmd_run, argc, argv);
        while ((c = sw_cmd_args_next(&a)) > 0) {
                bool ok = true;

                switch (c) {
                case 'c':
                        o.config = a.value;
                        break;
                case RUN_QUIET_MS:
                        ok = run_ms(a.value, &o.quiet_ms);
                        break;
                case RUN_STATS_MS:
                        ok = run_ms(a.value, &o.stats_ms);
                        break;
                case RUN_HEALTH_MS:
                        ok = run_ms(a.value, &o.health_ms);
                        break;
                case RUN_TAKE_OVER:
                        o.take_over = true;
                        break;
                case RUN_CHECKPOINT_MS:
                        ok = run_ms(a.value, &o.checkpoint_ms);
                        break;
                }
                if (!ok)
                        return sw_cmd_args_bad_value(&a, c, "a number of milliseconds");
        }
        if (c < 0)
                return SW_EXIT_USAGE;
        if (a.n_rest > 0)
                return sw_cmd_usage(&sw_cmd_run, "unexpected argument '%s'; the file is given with -c", a.rest[0]);
        return sw_daemon_run(&o);
}

const struct sw_cmd sw_cmd_run = {
        .name = "run",
        .args = "[-c FILE]",
        .summary = "the daemon: read the configured sources until told to stop",
        .options = run_options,
        .notes = "Signals: SIGTERM, SIGINT stop (offsets are saved, nothing is lost); SIGHUP reads the configuration "
                 "again "
                 "and keeps the old one if it has errors; SIGUSR1 opens the alert file anew (logrotate).\n\n"
                 "Exit codes: 0 stopped, 1 failed, 64 usage, 75 another instance runs, or a disk failed: a fresh start "
                 "is the way out, 78 configuration.",
        .examples = "segwatch run -c /etc/segwatch/segwatch.yaml\n"
                    "segwatch check -c segwatch.yaml && segwatch run -c segwatch.yaml\n",
        .run = run_run,
};

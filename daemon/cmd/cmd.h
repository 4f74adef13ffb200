/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One verb is one file, cmd/cmd_NAME.c, and one line in SW_CMD_MAP. */

/* Exit codes (design.md 7, sysexits.h). */
enum {
        SW_EXIT_OK = 0,
        SW_EXIT_FAILURE = 1,
        SW_EXIT_USAGE = 64,
        SW_EXIT_DATA = 65,
        SW_EXIT_TEMPFAIL = 75,
        SW_EXIT_CONFIG = 78,
};

struct sw_cmd {
        const char *name;
        const char *args;    /* "[-c FILE] PATH..." */
        const char *summary; /* one line of `segwatch help` */
        const char *help;    /* what --help prints after the usage line: options, then examples; ends with \n */
        int (*run)(int argc, char **argv); /* argv[0] is the verb; returns an exit code */
};

/* X(name), alphabetical: order of `segwatch help`. */
#define SW_CMD_MAP(X) X(check) X(demo) X(replay) X(run) X(tail) X(version)

#define SW_CMD_DECLARE(name) extern const struct sw_cmd sw_cmd_##name;
SW_CMD_MAP(SW_CMD_DECLARE)
#undef SW_CMD_DECLARE

/* Prints "segwatch VERB: <message>" and a hint to --help on stderr; returns SW_EXIT_USAGE. */
int sw_cmd_usage(const struct sw_cmd *cmd, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Prints usage and help of a verb on stdout; returns SW_EXIT_OK. */
int sw_cmd_help(const struct sw_cmd *cmd);

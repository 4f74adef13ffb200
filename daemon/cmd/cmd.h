/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One verb is one file, cmd/cmd_NAME.c, and one line in SW_CMD_MAP. Its options, sub-verbs and texts stand once, in its
 * struct sw_cmd: from there come parsing (args.h), --help, the manual page and the completion of the shell. */
#include <stdbool.h>
#include <stdio.h>

/* Exit codes (sysexits.h). */
enum {
        SW_EXIT_OK = 0,
        SW_EXIT_FAILURE = 1,
        SW_EXIT_USAGE = 64,
        SW_EXIT_DATA = 65,
        SW_EXIT_TEMPFAIL = 75,
        SW_EXIT_CONFIG = 78,
};

#define SW_CMD_CONFIG "/etc/segwatch/segwatch.yaml"

/* One option. Tables end with { 0 }. */
struct sw_cmd_opt {
        const char *name; /* --NAME */
        int code; /* what sw_cmd_args_next returns: a letter is the short form too; from SW_CMD_LONG on there is none */
        const char *value; /* name of its value; FILE and DIR are completed as such; NULL: it takes none */
        const char *help;  /* one phrase, without a line break */
        const char *words; /* values to complete, with a space between them; NULL: free */
        bool hidden;       /* for tests: in no help, manual or completion */
};
enum { SW_CMD_LONG = 256, SW_CMD_MAX_OPTIONS = 24 };

/* Rows that several verbs have. */
#define SW_CMD_OPT_CONFIG                                                                                              \
        {                                                                                                              \
                "config", 'c', "FILE", "configuration, default " SW_CMD_CONFIG                                         \
        }
#define SW_CMD_OPT_COLOR                                                                                               \
        {                                                                                                              \
                "color", SW_CMD_COLOR, "WHEN", "auto (default: not in pipes, not with NO_COLOR), always, never",       \
                        "auto always never"                                                                            \
        }
enum { SW_CMD_COLOR = 1000 };

/* A word that may stand first: `segwatch quarantine list`. Tables end with { 0 }. */
struct sw_cmd_sub {
        const char *name;
        const char *args; /* "[-n N]"; NULL: nothing */
        const char *help; /* one phrase, without a line break */
};

struct sw_cmd {
        const char *name;
        const char *args;                  /* "[-c FILE] PATH..." */
        const char *summary;               /* one line of `segwatch help` */
        int (*run)(int argc, char **argv); /* argv[0] is the verb; returns an exit code */
        /* All may be NULL. Texts are broken into lines when printed; an empty line parts paragraphs. */
        const char *about; /* before the options: what it does beyond the summary */
        const struct sw_cmd_sub *subs;
        const struct sw_cmd_opt *options;
        const char *notes;    /* after the options: signals, exit codes */
        const char *examples; /* commands, one a line, each ending with \n */
        const char *operands; /* what arguments are completed to: "FILE", "DIR", or words */
};

/* X(name), alphabetical: order of `segwatch help`. */
#define SW_CMD_MAP(X)                                                                                                  \
        X(check)                                                                                                       \
        X(ctl)                                                                                                         \
        X(demo)                                                                                                        \
        X(explain)                                                                                                     \
        X(quarantine)                                                                                                  \
        X(replay)                                                                                                      \
        X(resend)                                                                                                      \
        X(run)                                                                                                         \
        X(schema)                                                                                                      \
        X(state)                                                                                                       \
        X(tail)                                                                                                        \
        X(test_alert)                                                                                                  \
        X(top)                                                                                                         \
        X(version)

#define SW_CMD_DECLARE(name) extern const struct sw_cmd sw_cmd_##name;
SW_CMD_MAP(SW_CMD_DECLARE)
#undef SW_CMD_DECLARE

/* Prints "segwatch VERB: <message>" and a hint to --help on stderr; returns SW_EXIT_USAGE. */
int sw_cmd_usage(const struct sw_cmd *cmd, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Prints usage and help of a verb on stdout; returns SW_EXIT_OK. */
int sw_cmd_help(const struct sw_cmd *cmd);

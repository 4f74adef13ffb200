/* SPDX-License-Identifier: Apache-2.0 */
/* Verb table and exit codes, nothing else. */
#include "main.h"

#include "cmd/cmd.h"
#include "config/check.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const struct sw_cmd *const commands[] = {
#define SW_CMD_ROW(name) &sw_cmd_##name,
        SW_CMD_MAP(SW_CMD_ROW)
#undef SW_CMD_ROW
};
#define N_COMMANDS (sizeof(commands) / sizeof(*commands))

int sw_cmd_usage(const struct sw_cmd *cmd, const char *fmt, ...)
{
        va_list ap;

        fprintf(stderr, "segwatch %s: ", cmd->name);
        va_start(ap, fmt);
        vfprintf(stderr, fmt, ap);
        va_end(ap);
        fprintf(stderr, "\nTry 'segwatch %s --help'.\n", cmd->name);
        return SW_EXIT_USAGE;
}

static const struct sw_cmd *find_command(const char *name)
{
        size_t i;

        for (i = 0; i < N_COMMANDS; i++)
                if (strcmp(commands[i]->name, name) == 0)
                        return commands[i];
        return NULL;
}

static int overview(FILE *out)
{
        size_t i;

        fprintf(out, "segwatch finds lateral movement in Azure flow logs.\n\n"
                     "usage: segwatch VERB [options]\n\n");
        for (i = 0; i < N_COMMANDS; i++)
                fprintf(out, "  %-10s %s\n", commands[i]->name, commands[i]->summary);
        fprintf(out, "  %-10s %s\n\n", "help", "explain a verb: segwatch help VERB");
        fprintf(out, "Every verb takes --help. Data goes to stdout, messages to stderr.\n");
        return out == stdout ? SW_EXIT_OK : SW_EXIT_USAGE;
}

static int unknown_verb(const char *name)
{
        struct sw_conf_guess g = sw_conf_guess_start(sw_str_of(name));
        char hint[SW_CONF_HINT];
        size_t i;

        for (i = 0; i < N_COMMANDS; i++)
                sw_conf_guess_add(&g, commands[i]->name);
        fprintf(stderr, "segwatch: there is no verb '%s'%s 'segwatch help' lists them.\n", name,
                g.best ? sw_conf_guess_hint(&g, hint) : ".");
        return SW_EXIT_USAGE;
}

static bool asks_help(int argc, char **argv)
{
        int i;

        for (i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
                if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
                        return true;
        return false;
}

/* A disk that is full must not look like success. A verb that failed has said why. */
static int finish_stdout(int code)
{
        bool failed = ferror(stdout);
        int error = 0;

        if (fflush(stdout) != 0)
                error = errno;
        if (code != SW_EXIT_OK || (!failed && !error))
                return code;
        fprintf(stderr, "segwatch: standard output: %s\n", error ? strerror(error) : "it could not be written");
        return SW_EXIT_FAILURE;
}

static int help(const char *name)
{
        const struct sw_cmd *cmd;

        if (!name || strcmp(name, "help") == 0 || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
                return overview(stdout);
        cmd = find_command(name);
        return cmd ? sw_cmd_help(cmd) : unknown_verb(name);
}

static int dispatch(int argc, char **argv)
{
        const struct sw_cmd *cmd;

        if (argc < 2)
                return overview(stderr);
        if (strcmp(argv[1], "--version") == 0)
                return sw_cmd_version.run(1, argv);
        if (strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
                return help(argv[2]);
        cmd = find_command(argv[1]);
        if (!cmd)
                return unknown_verb(argv[1]);
        if (asks_help(argc - 1, argv + 1))
                return sw_cmd_help(cmd);
        return cmd->run(argc - 1, argv + 1);
}

int sw_main(int argc, char **argv)
{
        return finish_stdout(dispatch(argc, argv));
}

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Steps through the options of a verb by its table:
 *
 *         sw_cmd_args_init(&a, &sw_cmd_check, argc, argv);
 *         while ((c = sw_cmd_args_next(&a)) > 0)
 *                 switch (c) { case 'c': file = a.value; break; ... }
 *         if (c < 0)
 *                 return SW_EXIT_USAGE;
 *         ... a.rest[0 .. a.n_rest - 1] are the operands
 *
 * Options and operands may be mixed, long names may be cut short, -- ends the options. Threads: getopt has one state
 * for the process, so one at a time. */
#include "cmd/cmd.h"

#include <getopt.h>

struct sw_cmd_args {
        const char *value; /* of the option that was returned; NULL if it takes none */
        char **rest;       /* operands, once sw_cmd_args_next has returned 0; points into argv */
        int n_rest;
        /* private */
        const struct sw_cmd *cmd;
        int argc;
        char **argv;
        char shorts[2 * SW_CMD_MAX_OPTIONS + 2];
        struct option longs[SW_CMD_MAX_OPTIONS + 1];
};

void sw_cmd_args_init(struct sw_cmd_args *a, const struct sw_cmd *cmd, int argc, char **argv);
/* Code of the next option; 0 at the end; -1 after a wrong one was told on stderr. */
int sw_cmd_args_next(struct sw_cmd_args *a);
/* Tells that a value is wrong; `must` says what it has to be ("a number from 1 to 64") or is NULL where the help does.
 * Returns SW_EXIT_USAGE. */
int sw_cmd_args_bad_value(const struct sw_cmd_args *a, int code, const char *must);

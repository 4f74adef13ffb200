/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The other end of the control socket, for the verbs ctl and top. Messages go to stderr under the verb's name. */
#include "admin/control.h"
#include "base/json.h"
#include "cmd/cmd.h"

struct sw_ctl {
        const struct sw_cmd *cmd;
        char *path;
        int fd; /* -1: not connected */
        struct sw_buf line;
};

/* Where the daemon listens: `socket`, else what the configuration `config` says, else what the file in /etc says, else
 * the default. 0 or an exit code, told. */
int sw_ctl_open(struct sw_ctl *c, const struct sw_cmd *cmd, const char *config, const char *socket);
void sw_ctl_close(struct sw_ctl *c);
/* One question and its answer; connects if need be. SW_EXIT_OK with *ret_line, valid until the next call, and *ret
 * (free it; it may say ok:false), or an exit code, told unless `quiet`. */
int sw_ctl_ask(struct sw_ctl *c, enum sw_control_command command, const char *arg, bool quiet, struct sw_str *ret_line,
        struct sw_json **ret);

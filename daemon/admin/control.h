/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The control protocol: one line of JSON each way over `admin.socket`.
 *
 *   {"command":"set-log-level","level":"debug"}
 *   {"ok":true,"command":"set-log-level","result":{"level":"debug"}}
 *   {"ok":false,"command":"reload","error":{"code":"failed","message":"...","errors":[{"file":...,"line":...}]}}
 *
 * A client may send several lines, one after the other. All functions are pure. */
#include "base/err.h"
#include "base/str.h"

/* X(enum, name, argument or NULL, how the argument is shown, what it does). The order of `segwatch ctl --help`. */
#define SW_CONTROL_MAP(X)                                                                                              \
        X(STATUS, "status", NULL, NULL, "how the daemon is: sources, lag, learning, disk, what is wrong")              \
        X(STATS, "stats", NULL, NULL, "every counter, tables and segment pairs")                                       \
        X(VERSION, "version", NULL, NULL, "version and start time of the daemon")                                      \
        X(RELOAD, "reload", NULL, NULL, "read the configuration again; with an error the old one stays in force")      \
        X(REOPEN, "reopen", NULL, NULL, "open the alert file and those beside it anew (logrotate)")                    \
        X(SET_LOG_LEVEL, "set-log-level", "level", "LEVEL",                                                            \
                "error, warning, info or debug, until the next reload or restart")                                     \
        X(SNAPSHOT, "snapshot", NULL, NULL, "write a snapshot of the state now")                                       \
        X(PAUSE, "pause", NULL, NULL, "take no further messages; what was taken is still worked off")                  \
        X(RESUME, "resume", NULL, NULL, "go on after pause")
enum sw_control_command {
#define SW_CONTROL_ENUM(id, name, arg, value, doc) SW_CONTROL_##id,
        SW_CONTROL_MAP(SW_CONTROL_ENUM)
#undef SW_CONTROL_ENUM
                SW_N_CONTROL_COMMANDS
};
struct sw_control_row {
        const char *name, *arg, *doc;
};
extern const struct sw_control_row sw_control_rows[SW_N_CONTROL_COMMANDS];
bool sw_control_find(struct sw_str name, enum sw_control_command *ret);

#define SW_CONTROL_ARG 64
struct sw_control_request {
        enum sw_control_command command;
        char arg[SW_CONTROL_ARG]; /* "" if the command has none */
};
enum { SW_CONTROL_OK, SW_CONTROL_WRONG };
/* `line` without its newline. SW_CONTROL_WRONG: *ret_why is what to tell the client, *ret_code a word for programs. */
int sw_control_parse(struct sw_str line, struct sw_control_request *ret, const char **ret_code, struct sw_err *ret_why);
/* A request line as a client sends it, with its newline. */
void sw_control_write(struct sw_buf *out, enum sw_control_command command, const char *arg);

/* An error answer with its newline; command may be NULL. */
void sw_control_error(struct sw_buf *out, const char *command, const char *code, const char *message);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Shared by cmd_state.c (looking) and state_move.c (export, import, comparison). Functions return exit codes unless
 * they say otherwise. */
#include "cmd/cmd.h"
#include "conf.h"
#include "state/cover.h"
#include "state/snapshots.h"

struct sw_cmd_state {
        struct sw_conf conf;
        struct sw_core_conf core;
        bool loaded;
        struct sw_log *log;
        struct sw_snapshots *files;
        struct sw_outbox *outbox; /* NULL: there is none */
        struct sw_outbox_release last;
};

int sw__state_open(struct sw_cmd_state *s, const char *file);
int sw__state_open_outbox(struct sw_cmd_state *s);
void sw__state_close(struct sw_cmd_state *s);
/* Reads and verifies one snapshot. 0 or negative. */
int sw__state_load(struct sw_cmd_state *s, uint64_t number, struct sw_engine **ret, struct sw_cover *ret_cover,
        struct sw_err *err);

int sw__state_export(struct sw_cmd_state *s, const char *path);
int sw__state_import(const char *file, const char *path, bool replace);
/* Text to compare two states with: what was seen and what is remembered, nothing that differs by how it got there. */
int sw__state_canonical(struct sw_cmd_state *s);

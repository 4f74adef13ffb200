/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The live daemon: sources, pipeline, files, state and the loop that holds them together. */
#include <stdbool.h>
#include <stdint.h>

struct sw_daemon_options {
        const char *config;    /* file; NULL: all defaults */
        int64_t quiet_ms;      /* a source without flow records says why after this long; 0 = 5 min */
        int64_t stats_ms;      /* between two lines of statistics; 0 = 1 min */
        int64_t health_ms;     /* between two findings about the same loss of sight; 0 = 1 h */
        int64_t checkpoint_ms; /* between two snapshots, whatever they cost; 0: state.checkpoint, paced */
        bool take_over;        /* of the consumer groups, whoever else reads under them */
};

/* Runs until SIGTERM or SIGINT. Returns an exit code (SW_EXIT_x). */
int sw_daemon_run(const struct sw_daemon_options *options);

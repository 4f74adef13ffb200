/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Losses of sight that become findings: a counter that grew beyond a threshold is told once an hour, with what it means
 * and what helps. Threads: the loop's. */
#include "daemon_sight.h"

/* Every second. */
void sw__loss_watch(struct sw_daemon *d, const struct sw__sight *s);
/* Rows that a sink's full queue gave up, ever: the same rules apply. `l` is the sink's own, zeroed at first. */
void sw__loss_sink(struct sw_daemon *d, struct sw__daemon_loss *l, const char *sink, uint64_t given_up);

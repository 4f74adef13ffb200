/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Losses of sight that become findings: a counter that grew beyond a threshold is told once an hour, with what it means
 * and what helps. Threads: the loop's. */
#include "daemon_sight.h"

/* Every second. */
void sw__loss_watch(struct sw_daemon *d, const struct sw__sight *s);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Asks what a configuration names whether it would work: brokers, tokens, receivers. For `check --online` and
 * `test-alert`; each has a loop of its own. Prints one line per source and output on stderr. */
#include "conf.h"

#include <stdint.h>

/* How many do not work. Negative: it could not be asked. */
int sw_online_check(const struct sw_conf *conf);
/* Sends one sample of an incident to the output of that name, NULL: to all; its id goes to stdout. How many did not take
 * it. -SW_ERR_NOENT: there is no such output. */
int sw_online_test_alert(const struct sw_conf *conf, const char *to);

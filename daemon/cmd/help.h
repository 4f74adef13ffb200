/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "cmd/cmd.h"

/* "-c, --config FILE" or "    --dump"; returns its length. */
size_t sw_cmd_opt_text(const struct sw_cmd_opt *o, char *to, size_t n);

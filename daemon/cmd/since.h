/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What people write as a time: "90s", "30m", "1h", "7d" ago, or RFC 3339. */
#include "base/time.h"

#define SW_SINCE_HELP "90s, 30m, 1h, 7d ago, or 2026-01-31T08:00:00Z"

bool sw_since_parse(const char *text, struct sw_etime *ret);

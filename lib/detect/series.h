/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Bytes per minute of one connection, the last 16 minutes that brought any; flat, lives inside a table entry.
 * Two connections of a relay move in step: what comes in goes out. */
#include "base/time.h"

#define SW_SERIES_LENGTH 16

struct sw_series {
        uint32_t n, pad;
        struct sw_series_point {
                uint32_t minute;           /* since 1970 */
                uint32_t forward, reverse; /* bytes; saturating */
        } points[SW_SERIES_LENGTH];
};

void sw_series_add(struct sw_series *s, struct sw_etime t, uint64_t forward, uint64_t reverse);
/* True if the two have at least min_common minutes in common and the correlation (Pearson) of both directions is at
 * least min_pct / 100. A constant series correlates with nothing. */
bool sw_series_in_step(const struct sw_series *a, const struct sw_series *b, unsigned min_common, unsigned min_pct);

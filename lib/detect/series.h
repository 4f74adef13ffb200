/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Bytes per minute of one connection, the last 16 minutes that brought any; flat, lives inside a table entry.
 * Two connections of a relay move in step: what comes in goes out. */
#include "base/time.h"

#define SW_SERIES_LENGTH 16

struct sw_series_point {
        uint32_t minute;           /* since 1970 */
        uint32_t forward, reverse; /* bytes; saturating */
};

struct sw_series {
        uint32_t n, pad;
        struct sw_series_point points[SW_SERIES_LENGTH];
};

/* A series wherever its points are; cap is at most SW_SERIES_LENGTH. */
struct sw_series_ref {
        struct sw_series_point *points;
        uint32_t *n;
        uint32_t cap;
};
static inline struct sw_series_ref sw_series_ref(struct sw_series *s)
{
        return (struct sw_series_ref){ s->points, &s->n, SW_SERIES_LENGTH };
}

/* Whether a minute at t needs another point while all are in use: the oldest would go. */
bool sw_series_is_full(const struct sw_series_ref *s, struct sw_etime t);
void sw_series_add(struct sw_series_ref s, struct sw_etime t, uint64_t forward, uint64_t reverse);
/* True if the two have at least min_common minutes in common and the correlation (Pearson) of both directions is at
 * least min_pct / 100. A constant series correlates with nothing. */
bool sw_series_in_step(
        const struct sw_series_ref *a, const struct sw_series_ref *b, unsigned min_common, unsigned min_pct);

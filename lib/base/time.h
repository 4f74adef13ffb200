/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Event time: when a flow was seen, UTC milliseconds since 1970. The only time the core knows; wall and
 * monotonic clocks have types of their own in daemon/, so that mixing them does not compile. */
#include "base/str.h"

struct sw_etime {
        int64_t ms;
};
#define SW_ETIME_NONE ((struct sw_etime){ INT64_MIN })
#define SW_SECOND INT64_C(1000)
#define SW_MINUTE (60 * SW_SECOND)
#define SW_HOUR (60 * SW_MINUTE)
#define SW_DAY (24 * SW_HOUR)

/* Accepted range of any event time: 2001-01-01 to 2100-01-01 (a time before 2001 is no flow log's). */
#define SW_ETIME_MIN_MS INT64_C(978307200000)
#define SW_ETIME_MAX_MS INT64_C(4102444800000)

static inline bool sw_etime_is_none(struct sw_etime t)
{
        return t.ms == INT64_MIN;
}
static inline int sw_etime_cmp(struct sw_etime a, struct sw_etime b)
{
        return (a.ms > b.ms) - (a.ms < b.ms);
}
static inline struct sw_etime sw_etime_max(struct sw_etime a, struct sw_etime b)
{
        return a.ms > b.ms ? a : b;
}
static inline struct sw_etime sw_etime_min(struct sw_etime a, struct sw_etime b)
{
        return a.ms < b.ms ? a : b;
}
static inline struct sw_etime sw_etime_add(struct sw_etime t, int64_t ms)
{
        return (struct sw_etime){ t.ms + ms };
}
/* Day number since 1970, for day masks; times in range are never negative. */
static inline uint32_t sw_etime_day(struct sw_etime t)
{
        return (uint32_t)(t.ms / SW_DAY);
}

/* RFC 3339 / ISO 8601: "2024-12-12T04:00:53.1234567Z", any number of fraction digits, 'Z' or +hh:mm or
 * -hh:mm, 'T' or a space; no zone means UTC. Fractions below 1 ms are cut. False if not in range. */
bool sw_etime_parse(struct sw_str s, struct sw_etime *ret);

/* Epoch number: below 1e11 seconds, else milliseconds. False if not in range. */
bool sw_etime_from_epoch(uint64_t v, struct sw_etime *ret);

/* "2024-12-12T04:00:53.123Z", NUL-terminated, returned in buf. */
#define SW_ETIME_TEXT 32
char *sw_etime_format(struct sw_etime t, char buf[SW_ETIME_TEXT]);

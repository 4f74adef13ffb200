/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The daemon's clocks, each with a type of its own: monotonic for timers, wall for what is printed. Event time is
 * struct sw_etime and comes from records only. */
#include <stdint.h>
#include <time.h>

struct sw_mono {
        int64_t ms;
};
struct sw_wall {
        int64_t ms;
};

static inline int64_t sw__clock_ms(clockid_t id)
{
        struct timespec ts;

        clock_gettime(id, &ts);
        return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}
static inline struct sw_mono sw_clock_mono(void)
{
        return (struct sw_mono){ sw__clock_ms(CLOCK_MONOTONIC) };
}
static inline struct sw_wall sw_clock_wall(void)
{
        return (struct sw_wall){ sw__clock_ms(CLOCK_REALTIME) };
}

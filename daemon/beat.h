/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The pulse of a thread: since when it has been at one piece of work. Who waits for work is idle and healthy however
 * long it lasts; who is at one piece for minutes hangs. Read by the watchdog. Threads: one writer, any readers. */
#include "clock.h"

#include <stdatomic.h>

struct sw_beat {
        const char *name;             /* "engine" */
        atomic_int_fast64_t since_ms; /* monotonic; 0: idle */
};

/* Begins a piece of work, or the next one. */
static inline void sw_beat_busy(struct sw_beat *b)
{
        atomic_store_explicit(&b->since_ms, sw_clock_mono().ms, memory_order_relaxed);
}
static inline void sw_beat_idle(struct sw_beat *b)
{
        atomic_store_explicit(&b->since_ms, 0, memory_order_relaxed);
}
/* For how long it has been at its piece of work. */
static inline int64_t sw_beat_ms(const struct sw_beat *b, struct sw_mono now)
{
        int64_t since = atomic_load_explicit(&b->since_ms, memory_order_relaxed);

        return since == 0 || now.ms < since ? 0 : now.ms - since;
}

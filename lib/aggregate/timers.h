/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Event-time timers on 32-bit ids: a wheel of 4096 one-second buckets. A timer is one word (millisecond in its second,
 * id) in a chunk of its bucket; there is no cancel: the owner keeps its current deadline and ignores what fires at
 * another time. Order: deadline, then order of arming. Threads: one owner. */
#include "base/err.h"
#include "base/pool.h"
#include "base/time.h"
#include "persist/state.h"

#include <stdbool.h>
#include <stddef.h>

#define SW_TIMERS_BUCKETS 4096u
#define SW_TIMERS_MAX_MS ((int64_t)(SW_TIMERS_BUCKETS - 2) * SW_SECOND)

struct sw_timers {
        struct {
                uint32_t head, tail; /* id + 1 of its chunks */
        } buckets[SW_TIMERS_BUCKETS];
        uint64_t occupied[SW_TIMERS_BUCKETS / 64];
        struct sw_pool chunks;
        int64_t second; /* all buckets before it are empty; `due` holds the ones of this second once it is loaded */
        bool loaded;
        bool failed; /* no memory to sort a second: nothing may be released any more */
        uint64_t *due;
        uint32_t n_due, next_due, cap_due;
        size_t bytes, limit_bytes;
        uint64_t n_armed, n_dropped;
};

struct sw_timers *sw_timers_new(size_t limit_bytes);
struct sw_timers *sw_timers_free(struct sw_timers *t);

/* at: after now, which is never before a timer that fired; beyond SW_TIMERS_MAX_MS it fires earlier, the owner arms
 * again. Returns the deadline that was set. Without memory the timer is lost and counted. */
struct sw_etime sw_timers_arm(struct sw_timers *t, struct sw_etime now, struct sw_etime at, uint32_t id);
/* Second of the next timer, without touching it; false: none. */
bool sw_timers_next_second(const struct sw_timers *t, int64_t *ret);
/* limit must lie in the second that is being processed.
 * Deadline of the next timer at or before `limit`; NONE if there is none, or if it has failed. */
struct sw_etime sw_timers_next(struct sw_timers *t, struct sw_etime limit);
/* Takes the timer that sw_timers_next announced. */
uint32_t sw_timers_pop(struct sw_timers *t);
/* Id of the timer that is n behind the one popped last, to fetch it early; false: not known yet. */
bool sw_timers_peek(const struct sw_timers *t, uint32_t n, uint32_t *ret);

void sw_timers_state(struct sw_timers *t, struct sw_state_io *s);
void sw_timers_forget(struct sw_timers *t); /* none is armed; its chunks are the caller's to empty */
/* After chunks and section were read. 0 | -SW_ERR_DATA. */
int sw_timers_restored(struct sw_timers *t);

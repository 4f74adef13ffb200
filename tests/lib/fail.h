/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The n-th of the calls that a test wraps (-Wl,--wrap=...) fails, or that one and all after it. Calls of all threads
 * count. A walk tries every place of an operation: arm with 1, 2, 3 ... until fail_hit() says that there are no more.
 */
#include <stdatomic.h>
#include <stdbool.h>

static struct {
        atomic_ulong n_calls;
        atomic_bool on, hit;
        unsigned long at;
        bool all_after;
} fail_plan;

static inline void fail_arm(unsigned long at, bool all_after)
{
        fail_plan.at = at;
        fail_plan.all_after = all_after;
        atomic_store(&fail_plan.n_calls, 0);
        atomic_store(&fail_plan.hit, false);
        atomic_store(&fail_plan.on, true);
}

/* Ends it. Whether there was a call to fail. */
static inline bool fail_disarm(void)
{
        atomic_store(&fail_plan.on, false);
        return atomic_load(&fail_plan.hit);
}

/* For the wraps. */
static inline bool fail_now(void)
{
        unsigned long n;

        if (!atomic_load(&fail_plan.on))
                return false;
        n = atomic_fetch_add(&fail_plan.n_calls, 1) + 1;
        if (n != fail_plan.at && !(fail_plan.all_after && n > fail_plan.at))
                return false;
        atomic_store(&fail_plan.hit, true);
        return true;
}

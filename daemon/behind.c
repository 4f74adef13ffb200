/* SPDX-License-Identifier: Apache-2.0 */
#include "behind.h"

void sw_behind_reset(struct sw_behind *b)
{
        *b = (struct sw_behind){ 0 };
}

int64_t sw_behind_step(struct sw_behind *b, int64_t distance_ms, int64_t now_ms)
{
        if (!b->counting || distance_ms < b->least_ms)
                *b = (struct sw_behind){ .counting = true, .least_ms = distance_ms, .since_ms = now_ms };
        return now_ms - b->since_ms;
}

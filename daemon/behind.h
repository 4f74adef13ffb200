/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Whether a partition that is far behind the fastest comes closer to it. One that moves, but not faster than the
 * others, would hold them back for ever as well. No clock of its own. */
#include <stdbool.h>
#include <stdint.h>

struct sw_behind {
        bool counting;
        int64_t least_ms; /* smallest distance since counting began */
        int64_t since_ms; /* monotonic; when it last became smaller */
};

/* Not behind, or there is a reason that nothing moves: count anew from the next step on. */
void sw_behind_reset(struct sw_behind *b);
/* It is distance_ms behind at now_ms. How long it has not come closer, in ms. */
int64_t sw_behind_step(struct sw_behind *b, int64_t distance_ms, int64_t now_ms);

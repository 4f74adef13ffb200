/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/engine.h"

struct sw_etime sw_watermark(const struct sw_partition_fact *facts, uint32_t n, int64_t reorder_ms, bool final)
{
        struct sw_etime newest = SW_ETIME_NONE, smallest = { INT64_MAX };
        bool held = false;
        uint32_t i;

        for (i = 0; i < n; i++) {
                const struct sw_partition_fact *f = &facts[i];

                /* NONE is the smallest time there is. */
                newest = sw_etime_max(newest, f->newest);
                if (f->at_end || f->left_behind || sw_etime_is_none(f->newest))
                        continue;
                held = true;
                smallest = sw_etime_min(smallest, f->newest);
        }
        if (sw_etime_is_none(newest) || final)
                return newest;
        return sw_etime_add(held ? smallest : newest, -reorder_ms);
}

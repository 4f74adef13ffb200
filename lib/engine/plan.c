/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/plan.h"

#include "detect/detector.h"

static const unsigned plan_permille[SW_N_PLAN_ROWS] = {
#define SW_PLAN_PERMILLE(name, permille) [SW_PLAN_##name] = (permille),
        SW_PLAN_MAP(SW_PLAN_PERMILLE)
#undef SW_PLAN_PERMILLE
};

size_t sw_plan_bytes(enum sw_plan_row row, uint64_t memory_limit_bytes)
{
        return (size_t)(memory_limit_bytes / 1000 * plan_permille[row]);
}

unsigned sw_plan_sum(void)
{
        unsigned sum = 0, i, j;

        for (i = 0; i < SW_N_PLAN_ROWS; i++)
                sum += plan_permille[i];
        for (i = 0; i < SW_N_DETECTORS; i++)
                for (j = 0; j < SW_DETECTOR_TABLES && sw_detectors[i]->tables[j].spec.name; j++)
                        sum += sw_detectors[i]->tables[j].permille;
        return sum;
}

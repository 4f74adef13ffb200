/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/engine.h"

void sw_actions_reset(struct sw_actions *a)
{
        sw_lines_reset(&a->findings);
        sw_lines_reset(&a->signals);
        sw_lines_reset(&a->suppressed);
        a->forced = false;
}

void sw_actions_deinit(struct sw_actions *a)
{
        sw_lines_deinit(&a->findings);
        sw_lines_deinit(&a->signals);
        sw_lines_deinit(&a->suppressed);
        a->forced = false;
}

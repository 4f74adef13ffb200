/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/engine.h"

void sw_core_conf_default(struct sw_core_conf *conf)
{
        *conf = (struct sw_core_conf){
                .reorder_ms = 2 * SW_MINUTE,
                .lateness_ms = SW_HOUR,
                .dedupe_ms = 2 * SW_HOUR,
                .future_ms = 5 * SW_MINUTE,
                .ahead_ms = SW_HOUR,
                .learning_ms = 7 * SW_DAY,
                .tcp_idle_ms = 10 * SW_MINUTE,
                .udp_idle_ms = 2 * SW_MINUTE,
                .memory_limit_bytes = UINT64_C(512) << 20,
                .incidents = { .min_severity = SW_SEVERITY_MEDIUM,
                        .update_ms = 15 * SW_MINUTE,
                        .close_ms = SW_DAY,
                        .max_per_hour = 20 },
                .version = "0",
        };
}

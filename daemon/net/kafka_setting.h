/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Settings for librdkafka out of the configuration, for sources and sinks. */

/* NULL if librdkafka knows the setting, takes the value, and it is none of `reserved` (NULL-terminated); else what is
 * wrong, to be put after the setting's name. Threads: any. */
const char *sw_kafka_setting_wrong(const char *key, const char *value, const char *const *reserved);

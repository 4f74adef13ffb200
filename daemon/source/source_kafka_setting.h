/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Settings that a configuration may pass on to librdkafka, judged without a connection. */
#include "config/option.h"

/* NULL if librdkafka knows the setting, takes the value, and segwatch does not need it for itself; else what is wrong,
 * to be put after the setting's name. Threads: any. */
const char *sw_source_kafka_setting_wrong(const char *key, const char *value);
/* Whether segwatch needs it for itself. */
bool sw_source_kafka_setting_reserved(const char *key);
/* Value of a setting; NULL: it is not given. */
const char *sw_source_kafka_setting(const struct sw_kv_list *kv, const char *key);

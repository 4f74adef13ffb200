/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Rules of what is passed on to librdkafka, the same for sources and outputs. Private to daemon/conf*.c. */
#include "config/check.h"
#include "config/option.h"

/* wrong: NULL, or what is wrong with a setting, to be put after its name. password: whether one is kept elsewhere. */
void sw_conf_check_librdkafka(const struct sw_kv_list *settings,
        const char *(*wrong)(const char *key, const char *value), bool password, const struct sw_conf_place *place,
        struct sw_conf_check *check);

/* SPDX-License-Identifier: Apache-2.0 */
#include "source/source_kafka_setting.h"

#include "net/kafka_setting.h"

#include <string.h>

/* Delivery depends on them, or they have an option of their own. */
static const char *const setting_reserved[] = { "auto.offset.reset", "bootstrap.servers", "enable.auto.commit",
        "enable.auto.offset.store", "enable.partition.eof", "group.id", "group.instance.id", "metadata.broker.list",
        "plugin.library.paths", NULL };

bool sw_source_kafka_setting_reserved(const char *key)
{
        size_t i;

        for (i = 0; setting_reserved[i]; i++)
                if (strcmp(key, setting_reserved[i]) == 0)
                        return true;
        return false;
}

const char *sw_source_kafka_setting_wrong(const char *key, const char *value)
{
        return sw_kafka_setting_wrong(key, value, setting_reserved);
}

const char *sw_source_kafka_setting(const struct sw_kv_list *kv, const char *key)
{
        uint32_t i;

        for (i = 0; kv && i < kv->n; i++)
                if (strcmp(kv->items[i].key, key) == 0)
                        return kv->items[i].value;
        return NULL;
}

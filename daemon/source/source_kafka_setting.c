/* SPDX-License-Identifier: Apache-2.0 */
#include "source/source_kafka_setting.h"

#include <librdkafka/rdkafka.h>
#include <string.h>

/* Delivery depends on them, or they have an option of their own. */
static const char *const setting_reserved[] = { "auto.offset.reset", "bootstrap.servers", "enable.auto.commit",
        "enable.auto.offset.store", "enable.partition.eof", "group.id", "group.instance.id", "metadata.broker.list",
        "plugin.library.paths" };

bool sw_source_kafka_setting_reserved(const char *key)
{
        size_t i;

        for (i = 0; i < sizeof(setting_reserved) / sizeof(*setting_reserved); i++)
                if (strcmp(key, setting_reserved[i]) == 0)
                        return true;
        return false;
}

const char *sw_source_kafka_setting_wrong(const char *key, const char *value)
{
        rd_kafka_conf_res_t r;
        rd_kafka_conf_t *conf;
        char why[256];

        if (sw_source_kafka_setting_reserved(key))
                return "is set by segwatch and cannot be changed";
        conf = rd_kafka_conf_new();
        r = rd_kafka_conf_set(conf, key, value, why, sizeof(why));
        rd_kafka_conf_destroy(conf);
        if (r == RD_KAFKA_CONF_UNKNOWN)
                return "is not a setting of librdkafka";
        return r == RD_KAFKA_CONF_OK ? NULL : "does not take this value";
}

const char *sw_source_kafka_setting(const struct sw_kv_list *kv, const char *key)
{
        uint32_t i;

        for (i = 0; kv && i < kv->n; i++)
                if (strcmp(kv->items[i].key, key) == 0)
                        return kv->items[i].value;
        return NULL;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "net/kafka_setting.h"

#include <librdkafka/rdkafka.h>
#include <string.h>

const char *sw_kafka_setting_wrong(const char *key, const char *value, const char *const *reserved)
{
        rd_kafka_conf_res_t r;
        rd_kafka_conf_t *conf;
        char why[256];

        for (; *reserved; reserved++)
                if (strcmp(key, *reserved) == 0)
                        return "is set by segwatch and cannot be changed";
        conf = rd_kafka_conf_new();
        r = rd_kafka_conf_set(conf, key, value, why, sizeof(why));
        rd_kafka_conf_destroy(conf);
        if (r == RD_KAFKA_CONF_UNKNOWN)
                return "is not a setting of librdkafka";
        return r == RD_KAFKA_CONF_OK ? NULL : "does not take this value";
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "conf_kafka.h"

#include "source/source_kafka_setting.h"

#include <string.h>

/* A secret in `librdkafka:` would stand in the configuration, in the dump and in the outbox. */
static const char *const secret_words[] = { "password", "secret", "ssl.key.pem", "jaas", "oauthbearer.config" };

static bool kafka_is_secret(const char *key)
{
        size_t i;

        for (i = 0; i < sizeof(secret_words) / sizeof(*secret_words); i++)
                if (strstr(key, secret_words[i]))
                        return true;
        return false;
}

static void kafka_check_setting(
        const struct sw_kv *kv, const char *(*wrong)(const char *key, const char *value), struct sw_conf_check *check)
{
        char shown[SW_CONF_SHOWN];
        const char *why;

        if (kafka_is_secret(kv->key)) {
                sw_conf_error(check, &kv->place,
                        "librdkafka: this is a secret and does not stand in the configuration%s",
                        strcmp(kv->key, "sasl.password") == 0
                                ? "; write password: {credential: NAME} or {file: PATH} beside librdkafka"
                                : "");
                return;
        }
        why = wrong(kv->key, kv->value);
        if (why)
                sw_conf_error(check, &kv->place, "librdkafka: '%s' %s", sw_conf_show(sw_str_of(kv->key), shown), why);
}

void sw_conf_check_librdkafka(const struct sw_kv_list *settings,
        const char *(*wrong)(const char *key, const char *value), bool password, const struct sw_conf_place *place,
        struct sw_conf_check *check)
{
        /* without these librdkafka would not use it, or use Kerberos */
        static const char *const needed[] = { "security.protocol", "sasl.mechanism", "sasl.username" };
        uint32_t i;

        for (i = 0; i < settings->n; i++)
                kafka_check_setting(&settings->items[i], wrong, check);
        for (i = 0; password && i < sizeof(needed) / sizeof(*needed); i++)
                if (!sw_source_kafka_setting(settings, needed[i]))
                        sw_conf_error(check, place, "a password needs '%s' under librdkafka", needed[i]);
}

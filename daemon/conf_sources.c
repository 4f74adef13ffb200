/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of sources: what each kind needs, and what its secret must fit. */
#include "conf_kafka.h"
#include "conf_lists.h"
#include "config/connection_string.h"
#include "secret.h"
#include "source/source_kafka_setting.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static void sources_check_topic(const struct sw_conf_source *s, struct sw_conf_check *check)
{
        char shown[SW_CONF_SHOWN];
        size_t i, n = s->topic ? strlen(s->topic) : 0;

        for (i = 0; i < n; i++) {
                char c = s->topic[i];

                if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("._-", c)))
                        break;
        }
        if (i < n || n > 249)
                sw_conf_error(check, &s->place, "topic '%s' is not at most 249 letters, digits and . _ -",
                        sw_conf_show(sw_str_of(s->topic), shown));
        if (s->group && strlen(s->group) > 256)
                sw_conf_error(check, &s->place, "group is longer than 256 bytes");
}

struct sources_key {
        const char *name;
        bool set, needed, useless;
};

static void sources_check_keys(const struct sw_conf_source *s, const char *kind, struct sw_conf_check *check)
{
        bool eventhubs = s->kind == SW_SOURCE_EVENTHUBS, kafka = s->kind == SW_SOURCE_KAFKA,
             file = s->kind == SW_SOURCE_FILE, auth = sw_conf_auth_given(&s->auth);
        const struct sources_key keys[] = {
                { "connection_string", s->connection_string.file || s->connection_string.credential, eventhubs && !auth,
                        !eventhubs || auth },
                { "password", s->password.file || s->password.credential, false, !kafka },
                { "auth", auth, false, !eventhubs },
                { "brokers", s->brokers, kafka || auth, file },
                { "topic", s->topic, kafka || auth, file },
                { "group", s->group, false, file },
                { "ca_file", s->ca_file, false, file },
                { "librdkafka", s->librdkafka.n > 0, false, file },
                { "path", s->path, file, !file },
                { "follow", s->follow, false, !file },
        };
        size_t i;

        for (i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
                if (keys[i].needed && !keys[i].set)
                        sw_conf_error(check, &s->place, "a source of kind %s needs '%s'", kind, keys[i].name);
                if (keys[i].useless && keys[i].set)
                        sw_conf_error(check, &s->place, "'%s' has no meaning for a source of kind %s%s", keys[i].name,
                                kind, auth && eventhubs ? " with auth" : "");
        }
}

/* A file that is not there yet may come. */
static void sources_check_path(const struct sw_conf_source *s, struct sw_conf_check *check)
{
        char shown[SW_CONF_SHOWN];
        struct stat st;

        if (s->kind == SW_SOURCE_FILE && s->path && stat(s->path, &st) == 0 && S_ISDIR(st.st_mode))
                sw_conf_error(check, &s->place,
                        "path '%s' is a folder: `run` reads one file; a folder is read by `segwatch replay`",
                        sw_conf_show(sw_str_of(s->path), shown));
}

void sw_conf_check_sources(const struct sw_conf *conf, struct sw_conf_check *check)
{
        static const char *const kinds[] = { "eventhubs", "kafka", "file" };
        const struct sw_conf_source *sources = conf->sources.items;
        char what[96];
        uint32_t i;

        for (i = 0; i < conf->sources.n; i++) {
                const struct sw_conf_source *s = &sources[i];

                (void)sw_conf_name_ok(check, &s->place, "source", s->name);
                if (s->kind > SW_SOURCE_FILE)
                        continue; /* missing or unknown, reported already */
                sources_check_keys(s, kinds[s->kind], check);
                sources_check_topic(s, check);
                sw_conf_check_librdkafka(&s->librdkafka, sw_source_kafka_setting_wrong,
                        s->kind == SW_SOURCE_KAFKA && (s->password.file || s->password.credential), &s->place, check);
                sources_check_path(s, check);
                (void)snprintf(what, sizeof(what), "source '%.60s'", s->name ? s->name : "");
                if (sw_conf_auth_given(&s->auth))
                        sw_conf_check_auth(&s->auth, what, &s->place, check);
        }
}

static void sources_check_connection_string(
        const struct sw_conf_source *s, struct sw_str text, struct sw_conf_check *check)
{
        struct sw_connection_string c;
        struct sw_err err = SW_ERR_NULL;
        char shown[SW_CONF_SHOWN];

        if (sw_connection_string_parse(text, s->brokers != NULL, &c, &err) < 0) {
                sw_conf_error(check, &s->place, "source '%s': %s", s->name, err.msg);
                return;
        }
        if (!s->topic && !*c.entity_path)
                sw_conf_error(check, &s->place,
                        "source '%s' needs 'topic': the connection string has no EntityPath and names no hub", s->name);
        else if (s->topic && *c.entity_path && strcmp(s->topic, c.entity_path) != 0)
                sw_conf_error(check, &s->place,
                        "source '%s': topic '%s' is not the EntityPath '%.80s' of the "
                        "connection string",
                        s->name, sw_conf_show(sw_str_of(s->topic), shown), c.entity_path);
}

void sw_conf_check_secrets(const struct sw_conf *conf, struct sw_conf_check *check)
{
        const struct sw_conf_source *sources = conf->sources.items;
        uint32_t i;

        for (i = 0; i < conf->sources.n; i++) {
                const struct sw_conf_source *s = &sources[i];
                const struct sw_secret_ref *ref = s->kind == SW_SOURCE_KAFKA ? &s->password : &s->connection_string;
                struct sw_secret secret = SW_SECRET_NULL;
                struct sw_err err = SW_ERR_NULL;
                char what[96];
                int r;

                (void)snprintf(what, sizeof(what), "source '%.60s'", s->name);
                sw_conf_check_auth_secret(&s->auth, what, &s->place, check);
                if (s->kind > SW_SOURCE_KAFKA || (!ref->file && !ref->credential))
                        continue;
                r = sw_secret_read(ref, &secret, &err);
                if (r == SW_SECRET_NOT_HERE)
                        sw_conf_warn(check, &s->place, "source '%s': %s", s->name, err.msg);
                else if (r < 0)
                        sw_conf_error(check, &s->place, "source '%s': %s", s->name, err.msg);
                if (r == 0 && secret.world_readable)
                        sw_conf_warn(check, &s->place,
                                "source '%s': the secret's file is readable by everybody; "
                                "chmod 0600 it",
                                s->name);
                if (r == 0 && s->kind == SW_SOURCE_EVENTHUBS)
                        sources_check_connection_string(s, (struct sw_str){ secret.text, secret.n }, check);
                sw_secret_deinit(&secret);
        }
}

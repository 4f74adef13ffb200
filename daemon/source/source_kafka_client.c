/* SPDX-License-Identifier: Apache-2.0 */
#include "source/source_kafka_int.h"

#include "base/alloc.h"
#include "base/hash.h"
#include "clock.h"
#include "config/connection_string.h"
#include "secret.h"
#include "source/source_kafka_setting.h"

#include <stdio.h>
#include <string.h>

struct client_setting {
        const char *key, *value;
};

/* Every source. Positions are our own business, and librdkafka must never choose one for us. */
static const struct client_setting client_base[] = {
        { "client.id", "segwatch" },
        { "enable.auto.commit", "false" },
        { "enable.auto.offset.store", "false" },
        { "auto.offset.reset", "error" },
        { "enable.partition.eof", "true" },
        { "check.crcs", "true" },
        { "queued.max.messages.kbytes", "1024" }, /* of each partition */
        { "fetch.error.backoff.ms", "250" },
        { "topic.metadata.refresh.interval.ms", "60000" },
        { "metadata.max.age.ms", "180000" },
        { "reconnect.backoff.max.ms", "10000" },
        { "socket.keepalive.enable", "true" },
        { "log.connection.close", "false" },
};

/* Azure drops idle connections at 240 s without a word and asks for long request time-outs. */
static const struct client_setting client_eventhubs[] = {
        { "security.protocol", "SASL_SSL" },
        { "sasl.mechanism", "PLAIN" },
        { "sasl.username", "$ConnectionString" },
        { "connections.max.idle.ms", "180000" },
        { "socket.timeout.ms", "60000" },
        { "session.timeout.ms", "30000" },
        { "heartbeat.interval.ms", "3000" },
        { "max.poll.interval.ms", "300000" },
};

static int client_set(
        const struct sw_source_kafka *s, rd_kafka_conf_t *c, const char *key, const char *value, struct sw_err *reterr)
{
        char text[256];

        if (rd_kafka_conf_set(c, key, value, text, sizeof(text)) == RD_KAFKA_CONF_OK)
                return 0;
        return sw_err_set(reterr, -SW_ERR_CONFIG, "sources: %s: librdkafka: %s: %s", s->name, key, text);
}

static int client_set_all(const struct sw_source_kafka *s, rd_kafka_conf_t *c, const struct client_setting *rows,
        size_t n, struct sw_err *reterr)
{
        size_t i;
        int r = 0;

        for (i = 0; i < n && r == 0; i++)
                r = client_set(s, c, rows[i].key, rows[i].value, reterr);
        return r;
}

static int client_set_user(
        const struct sw_source_kafka *s, rd_kafka_conf_t *c, const struct sw_kv_list *kv, struct sw_err *reterr)
{
        uint32_t i;
        int r = 0;

        for (i = 0; kv && i < kv->n && r == 0; i++) {
                if (sw_source_kafka_setting_reserved(kv->items[i].key))
                        return sw_err_set(reterr, -SW_ERR_CONFIG,
                                "sources: %s: librdkafka: %s is set by segwatch and cannot be changed", s->name,
                                kv->items[i].key);
                r = client_set(s, c, kv->items[i].key, kv->items[i].value, reterr);
        }
        return r;
}

static int client_read_secret(const struct sw_source_kafka *s, struct sw_secret *ret, struct sw_err *reterr)
{
        int r = sw_secret_read(&s->secret, ret, reterr);

        if (r == SW_SECRET_NOT_HERE)
                return -SW_ERR_CONFIG;
        if (r < 0)
                return r;
        while (s->eventhubs && ret->n > 0 && strchr("\r\n \t", ret->text[ret->n - 1]))
                ret->text[--ret->n] = '\0';
        return 0;
}

/* The user's name goes with the password when it is changed later. */
static int client_user(struct sw_source_kafka *s, const struct sw_source_kafka_conf *conf, struct sw_err *reterr)
{
        const char *user =
                s->eventhubs ? "$ConnectionString" : sw_source_kafka_setting(conf->librdkafka, "sasl.username");

        if (!user)
                return sw_err_set(reterr, -SW_ERR_CONFIG, "'sasl.username' is missing under librdkafka");
        s->user = sw_strdup(user);
        return s->user ? 0 : sw_err_set(reterr, -SW_ERR_NOMEM, "out of memory");
}

static int client_credentials(struct sw_source_kafka *s, rd_kafka_conf_t *c, const struct sw_source_kafka_conf *conf,
        struct sw_connection_string *cs, struct sw_err *reterr)
{
        struct sw_secret secret = SW_SECRET_NULL;
        int r = client_user(s, conf, reterr);

        if (r == 0)
                r = client_read_secret(s, &secret, reterr);
        if (r == 0 && s->eventhubs)
                r = sw_connection_string_parse(
                        (struct sw_str){ secret.text, secret.n }, conf->brokers != NULL, cs, reterr);
        if (r == 0) {
                r = client_set(s, c, "sasl.password", secret.text, reterr);
                sw_sha256_128(secret.text, secret.n, s->secret_id);
        }
        sw_secret_deinit(&secret);
        if (r < 0)
                sw_err_prefix(reterr, "sources: %s: %s", s->name, s->eventhubs ? "connection_string" : "password");
        return r;
}

/* ---- tokens: librdkafka asks from within a poll on the loop, at 80% of the life of the one it has ---- */

static void client_on_token(void *ctx, const struct sw_token_result *t)
{
        struct sw_source_kafka *s = ctx;
        char text[256];

        if (s->stopped)
                return;
        if (t->code < 0) {
                sw_log(s->log, SW_LOG_ERROR, "kafka_token", s->name, "%s", t->message);
                (void)rd_kafka_oauthbearer_set_token_failure(s->rk, t->message); /* asks again in 10 s */
        } else if (rd_kafka_oauthbearer_set_token(s->rk, t->bearer, t->expires.ms, "segwatch", NULL, 0, text,
                           sizeof(text)) != RD_KAFKA_RESP_ERR_NO_ERROR) {
                sw_log(s->log, SW_LOG_ERROR, "kafka_token", s->name, "librdkafka does not take the token: %s", text);
                (void)rd_kafka_oauthbearer_set_token_failure(s->rk, text);
        }
}

static void client_on_token_wanted(rd_kafka_t *rk, const char *config, void *opaque)
{
        struct sw_source_kafka *s = opaque;

        (void)config;
        if (s->stopped || !s->token)
                return;
        if (sw_token_get(s->token, client_on_token, s) < 0)
                (void)rd_kafka_oauthbearer_set_token_failure(rk, sw_error_text(-SW_ERR_NOMEM));
}

struct sw_wall sw_source_kafka_token_expires(const struct sw_source_kafka *s)
{
        return s->token ? sw_token_expires(s->token) : (struct sw_wall){ 0 };
}

/* "https://" and the name of the first broker: what Event Hubs documents as the audience for Kafka. */
static int client_audience(const char *brokers, char ret[300])
{
        size_t n = strcspn(brokers, ":,");

        return n == 0 || snprintf(ret, 300, "https://%.*s", (int)n, brokers) >= 300 ? -SW_ERR_CONFIG : 0;
}

static int client_tokens(
        struct sw_source_kafka *s, rd_kafka_conf_t *c, const struct sw_source_kafka_conf *conf, struct sw_err *reterr)
{
        struct sw_token_conf token = *conf->auth;
        char audience[300];
        int r = client_set(s, c, "sasl.mechanism", "OAUTHBEARER", reterr);

        if (r < 0)
                return r;
        if (!conf->brokers || client_audience(conf->brokers, audience) < 0)
                return sw_err_set(reterr, -SW_ERR_CONFIG, "sources: %s: `brokers:` is missing", s->name);
        if (!token.audience)
                token.audience = audience;
        if (sw_httpc_new(s->loop, "segwatch/" SW_VERSION, &s->http) < 0 ||
                sw_token_new(&token, s->http, s->log, &s->token) < 0)
                return sw_err_set(reterr, -SW_ERR_NOMEM, "out of memory");
        rd_kafka_conf_set_oauthbearer_token_refresh_cb(c, client_on_token_wanted);
        return 0;
}

/* librdkafka's own log lines repeat what the error callback says; they are for debugging. Any thread. */
static void client_on_log(const rd_kafka_t *rk, int level, const char *fac, const char *buf)
{
        struct sw_source_kafka *s = rd_kafka_opaque(rk);

        (void)level;
        sw_log(s->log, SW_LOG_DEBUG, "librdkafka", s->name, "%s: %s", fac, buf);
}

static void client_on_error(rd_kafka_t *rk, int err, const char *reason, void *opaque)
{
        (void)rk;
        sw__kafka_error(opaque, err, reason);
}

static void client_on_throttle(rd_kafka_t *rk, const char *broker, int32_t id, int ms, void *opaque)
{
        struct sw_source_kafka *s = opaque;

        (void)rk;
        (void)broker;
        (void)id;
        s->throttled_ms += ms > 0 ? (uint64_t)ms : 0;
}

static void client_on_commit(
        rd_kafka_t *rk, rd_kafka_resp_err_t err, rd_kafka_topic_partition_list_t *offsets, void *opaque)
{
        struct sw_source_kafka *s = opaque;

        (void)rk;
        (void)offsets;
        if (err != RD_KAFKA_RESP_ERR_NO_ERROR && err != RD_KAFKA_RESP_ERR__NO_OFFSET && !s->stopped)
                sw_log(s->log, SW_LOG_WARNING, "kafka_commit", s->name,
                        "the group's offsets could not be committed: %s; nothing is lost, but lag tools see old "
                        "numbers",
                        rd_kafka_err2str(err));
}

static int client_configure(
        struct sw_source_kafka *s, rd_kafka_conf_t *c, const struct sw_source_kafka_conf *conf, struct sw_err *reterr)
{
        struct sw_connection_string cs = { 0 };
        char text[512];
        int r;

        r = client_set_all(s, c, client_base, sizeof(client_base) / sizeof(*client_base), reterr);
        if (r == 0 && conf->eventhubs)
                r = client_set_all(
                        s, c, client_eventhubs, sizeof(client_eventhubs) / sizeof(*client_eventhubs), reterr);
        if (r == 0)
                r = client_set_user(s, c, conf->librdkafka, reterr);
        if (r == 0 && conf->auth)
                r = client_tokens(s, c, conf, reterr);
        else if (r == 0 && (s->secret.file || s->secret.credential || conf->eventhubs))
                r = client_credentials(s, c, conf, &cs, reterr);
        if (r < 0)
                return r;
        if (!conf->topic && !*cs.entity_path)
                return sw_err_set(reterr, -SW_ERR_CONFIG,
                        conf->eventhubs
                                ? "sources: %s: the connection string has no EntityPath; name the hub with `topic:`"
                                : "sources: %s: `topic:` is missing",
                        s->name);
        if (!conf->brokers && !conf->eventhubs)
                return sw_err_set(reterr, -SW_ERR_CONFIG, "sources: %s: `brokers:` is missing", s->name);
        s->topic = sw_strdup(conf->topic ? conf->topic : cs.entity_path);
        snprintf(text, sizeof(text), "%s:9093", cs.host);
        s->brokers = sw_strdup(conf->brokers ? conf->brokers : text);
        if (!s->topic || !s->brokers)
                return sw_err_set(reterr, -SW_ERR_NOMEM, "out of memory");
        r = client_set(s, c, "bootstrap.servers", s->brokers, reterr);
        if (r == 0 && conf->ca_file)
                r = client_set(s, c, "ssl.ca.location", conf->ca_file, reterr);
        snprintf(text, sizeof(text), "segwatch-%s", s->topic);
        if (r == 0)
                r = client_set(s, c, "group.id", conf->group ? conf->group : text, reterr);
        return r;
}

/* How often new partitions are looked for: what librdkafka uses to refresh its metadata. */
static int64_t client_discovery_ms(const rd_kafka_conf_t *c)
{
        char value[32];
        size_t n = sizeof(value);
        uint64_t ms;

        if (rd_kafka_conf_get(c, "topic.metadata.refresh.interval.ms", value, &n) != RD_KAFKA_CONF_OK ||
                !sw_parse_u64(sw_str_of(value), &ms) || ms == 0 || ms > 180000)
                return 180000;
        return (int64_t)ms;
}

int sw__kafka_client_new(struct sw_source_kafka *s, const struct sw_source_kafka_conf *conf, struct sw_err *reterr)
{
        rd_kafka_conf_t *c = rd_kafka_conf_new();
        char text[256];
        int r;

        rd_kafka_conf_set_opaque(c, s);
        rd_kafka_conf_set_log_cb(c, client_on_log);
        rd_kafka_conf_set_error_cb(c, client_on_error);
        rd_kafka_conf_set_throttle_cb(c, client_on_throttle);
        rd_kafka_conf_set_offset_commit_cb(c, client_on_commit);
        r = client_configure(s, c, conf, reterr);
        if (r < 0) {
                rd_kafka_conf_destroy(c);
                return r;
        }
        s->discovery_ms = client_discovery_ms(c);
        s->rk = rd_kafka_new(RD_KAFKA_CONSUMER, c, text, sizeof(text));
        if (!s->rk) {
                rd_kafka_conf_destroy(c);
                return sw_err_set(reterr, -SW_ERR_CONFIG, "sources: %s: %s", s->name, text);
        }
        (void)rd_kafka_poll_set_consumer(s->rk);
        return 0;
}

static enum sw__kafka_cause client_cause(rd_kafka_resp_err_t err)
{
        switch ((int)err) {
        case RD_KAFKA_RESP_ERR__AUTHENTICATION:
        case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
                return SW__KAFKA_AUTH;
        case RD_KAFKA_RESP_ERR__SSL:
                return SW__KAFKA_TLS;
        case RD_KAFKA_RESP_ERR__RESOLVE:
                return SW__KAFKA_RESOLVE;
        case RD_KAFKA_RESP_ERR__TRANSPORT:
        case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
        case RD_KAFKA_RESP_ERR__TIMED_OUT:
        case RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE:
                return SW__KAFKA_CONNECT;
        case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
        case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
        case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
                return SW__KAFKA_TOPIC;
        case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
        case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
        case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
                return SW__KAFKA_FORBIDDEN;
        default:
                return SW__KAFKA_OTHER;
        }
}

/* Event name and what to do next. */
static const struct {
        const char *event, *advice;
} client_advice[SW__KAFKA_N_CAUSES] = {
        [SW__KAFKA_AUTH] = { "kafka_auth",
                "the credentials were refused: is the key current, and does its policy have the "
                "right Listen (is the password right, the user known)? The secret is read again at each try, no "
                "restart is needed" },
        [SW__KAFKA_TLS] = { "kafka_tls",
                "TLS failed: if the broker's certificate comes from an authority of your own, name "
                "it with `ca_file:`; a proxy that breaks TLS open looks the same" },
        [SW__KAFKA_RESOLVE] = { "kafka_resolve", "the name of the broker is not known: is the namespace spelt right, "
                                                 "and does DNS (private link) answer?" },
        [SW__KAFKA_CONNECT] = { "kafka_connect",
                "no broker answers: is its port (9093 for Event Hubs) open from here? Trying "
                "on, at least every 10 s" },
        [SW__KAFKA_TOPIC] = { "kafka_topic",
                "there is no such topic: is this the right hub (EntityPath or `topic:`)?" },
        [SW__KAFKA_FORBIDDEN] = { "kafka_forbidden",
                "no right to read this: the policy needs Listen on this hub; a misspelt "
                "hub and the Basic tier, which has no Kafka, look the same" },
        [SW__KAFKA_COMMIT] = { "kafka_commit", "" },
        [SW__KAFKA_OTHER] = { "kafka_error", "trying on" },
};

/* A rotated key must work without a restart: as long as the broker says no the file is read again. */
void sw__kafka_try_new_secret(struct sw_source_kafka *s)
{
        struct sw_err err = SW_ERR_NULL;
        struct sw_secret secret = SW_SECRET_NULL;
        struct sw_connection_string cs;
        int64_t now = sw_clock_mono().ms;
        rd_kafka_error_t *e = NULL;
        char id[33];
        int r;

        if (!s->user || !s->told_ms[SW__KAFKA_AUTH] || now < s->next_secret_ms)
                return;
        s->next_secret_ms = now + 1000;
        r = client_read_secret(s, &secret, &err);
        if (r == 0 && s->eventhubs)
                r = sw_connection_string_parse((struct sw_str){ secret.text, secret.n }, true, &cs, &err);
        if (r < 0) {
                sw_log(s->log, SW_LOG_ERROR, "kafka_secret", s->name, "%s: %s",
                        s->eventhubs ? "connection_string" : "password", err.msg);
        } else {
                sw_sha256_128(secret.text, secret.n, id);
                if (strcmp(id, s->secret_id) != 0) {
                        e = rd_kafka_sasl_set_credentials(s->rk, s->user, secret.text);
                        if (!e) {
                                memcpy(s->secret_id, id, sizeof(id));
                                sw_log(s->log, SW_LOG_INFO, "kafka_secret", s->name,
                                        "the secret has changed; trying with the new one");
                        } else {
                                sw_log(s->log, SW_LOG_ERROR, "kafka_secret", s->name,
                                        "the new secret was not taken: %s", rd_kafka_error_string(e));
                                rd_kafka_error_destroy(e);
                        }
                }
        }
        sw_secret_deinit(&secret);
}

void sw__kafka_error(struct sw_source_kafka *s, rd_kafka_resp_err_t err, const char *reason)
{
        enum sw__kafka_cause cause = client_cause(err);
        int64_t now = sw_clock_mono().ms;

        if (s->stopped)
                return;
        atomic_fetch_add(&s->n_errors, 1);
        s->n_by_cause[cause]++;
        /* a refusal also brings down the connection: its cause was told already */
        s->failing = true;
        if (cause == SW__KAFKA_CONNECT &&
                (s->told_ms[SW__KAFKA_AUTH] || s->told_ms[SW__KAFKA_TLS] || s->told_ms[SW__KAFKA_RESOLVE]))
                return;
        if (s->told_ms[cause] && now - s->told_ms[cause] < SW__KAFKA_TELL_AGAIN_MS)
                return;
        s->told_ms[cause] = now;
        sw_log(s->log, SW_LOG_ERROR, client_advice[cause].event, s->name, "%s on %s: %s: %s", s->topic, s->brokers,
                reason,
                s->token && (cause == SW__KAFKA_AUTH || cause == SW__KAFKA_FORBIDDEN)
                        ? "the identity needs the role Azure Event Hubs Data Receiver on the hub or its namespace; a "
                          "new "
                          "assignment takes a while"
                        : client_advice[cause].advice);
}

void sw__kafka_works(struct sw_source_kafka *s)
{
        if (!s->failing)
                return;
        s->failing = false;
        memset(s->told_ms, 0, sizeof(s->told_ms));
        sw_log(s->log, SW_LOG_INFO, "kafka_works", s->name, "reading %s on %s works again", s->topic, s->brokers);
}

void sw_source_kafka_errors(
        const struct sw_source_kafka *s, void (*each)(void *ctx, const char *code, uint64_t n), void *ctx)
{
        unsigned i;

        for (i = 0; i < SW__KAFKA_N_CAUSES; i++)
                each(ctx, client_advice[i].event + strlen("kafka_"), s->n_by_cause[i]);
}

uint64_t sw_source_kafka_throttled_ms(const struct sw_source_kafka *s)
{
        return s->throttled_ms;
}

const char *sw_source_kafka_version(void)
{
        return rd_kafka_version_str();
}

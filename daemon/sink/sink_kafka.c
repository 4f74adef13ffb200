/* SPDX-License-Identifier: Apache-2.0 */
/* Findings into a Kafka topic or an event hub: the OCSF object, keyed by its incident, so that all lines of one stand
 * in one partition in their order. Event Hubs lets us in by a connection string or by tokens of Entra. The producer is
 * idempotent; a batch counts once every row of it was acknowledged by all replicas. librdkafka's threads do the work
 * and wake the loop for its reports. */
#include "base/alloc.h"
#include "clock.h"
#include "config/connection_string.h"
#include "encode/enc_row.h"
#include "net/kafka_setting.h"
#include "secret.h"
#include "sink/sink.h"

#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <string.h>

#define KAFKA_BODY_MAX ((size_t)4 << 20)
#define KAFKA_MESSAGE_MAX 1000000 /* Event Hubs takes 1 MB, and so does a broker unless told otherwise */
#define KAFKA_ROWS_MAX 500

struct kafka {
        struct sw_sink base;
        struct sw_loop *loop;
        struct sw_log *log;
        char *name, *brokers, *topic, *ca_file;
        struct sw_secret_ref connection, password; /* copies; may be empty */
        struct sw_kv_list settings;                /* of the configuration, which outlives it */
        int64_t timeout_ms;
        bool with_tokens;
        struct sw_token *token;     /* NULL: without, or stopped */
        struct kafka_probe *asking; /* waits for a token */
        rd_kafka_t *rk;             /* NULL: not made yet, or given up after a fatal error */
        rd_kafka_topic_t *rkt;
        rd_kafka_queue_t *reports;
        struct sw_watch *woken;
        bool stopped;
        /* the batch under way */
        uintptr_t batch; /* its number; reports of others are of a batch that was given up */
        uint32_t n_open;
        bool failed, too_large, sending, broken;
        enum sw_courier_cause cause, client_cause;
        char reason[400], client_error[200];
};

struct kafka_setting {
        const char *key, *value;
};

static const struct kafka_setting kafka_base[] = { { "client.id", "segwatch" }, { "enable.idempotence", "true" },
        { "acks", "all" }, { "linger.ms", "5" }, { "reconnect.backoff.max.ms", "10000" },
        { "socket.keepalive.enable", "true" }, { "log.connection.close", "false" },
        { "topic.metadata.refresh.interval.ms", "60000" }, { "metadata.max.age.ms", "180000" },
        { "allow.auto.create.topics", "false" } };

/* Azure drops idle connections at 240 s without a word. */
static const struct kafka_setting kafka_eventhubs[] = { { "security.protocol", "SASL_SSL" },
        { "sasl.mechanism", "PLAIN" }, { "sasl.username", "$ConnectionString" },
        { "connections.max.idle.ms", "180000" } };
static const struct kafka_setting kafka_tokens[] = { { "security.protocol", "SASL_SSL" },
        { "sasl.mechanism", "OAUTHBEARER" } };
#define KAFKA_ROLE "; the identity needs the role Azure Event Hubs Data Sender on the hub or its namespace"

/* They have options of their own, or what is promised depends on them. */
static const char *const kafka_reserved[] = { "acks", "bootstrap.servers", "delivery.report.only.error",
        "delivery.timeout.ms", "enable.idempotence", "message.timeout.ms", "metadata.broker.list",
        "plugin.library.paths", "request.required.acks", "transactional.id", NULL };

/* What an idempotent producer does not start with. */
static const struct {
        const char *key;
        uint64_t min, max;
        const char *wrong;
} kafka_bounds[] = {
        { "max.in.flight", 1, 5, "must be 1 to 5: findings come once and in order" },
        { "max.in.flight.requests.per.connection", 1, 5, "must be 1 to 5: findings come once and in order" },
        { "message.send.max.retries", 1, UINT64_MAX, "must be 1 or more: a finding is sent until it has arrived" },
        { "retries", 1, UINT64_MAX, "must be 1 or more: a finding is sent until it has arrived" },
};

const char *sw_sink_kafka_setting_wrong(const char *key, const char *value)
{
        const char *wrong = sw_kafka_setting_wrong(key, value, kafka_reserved);
        uint64_t v;
        size_t i;

        for (i = 0; i < sizeof(kafka_bounds) / sizeof(*kafka_bounds) && !wrong; i++)
                if (strcmp(key, kafka_bounds[i].key) == 0 && sw_parse_u64(sw_str_of(value), &v) &&
                        (v < kafka_bounds[i].min || v > kafka_bounds[i].max))
                        wrong = kafka_bounds[i].wrong;
        if (!wrong && strcmp(key, "queuing.strategy") == 0 && strcmp(value, "fifo") != 0)
                wrong = "must be fifo: findings come in order";
        if (!wrong && strcmp(key, "partitioner") == 0 && strcmp(value, "random") == 0)
                wrong = "must look at the key: all lines of one finding stand in one partition";
        return wrong;
}

/* ---- client ---- */

static int kafka_set(rd_kafka_conf_t *c, const char *key, const char *value, struct sw_err *reterr)
{
        char text[256];

        if (rd_kafka_conf_set(c, key, value, text, sizeof(text)) == RD_KAFKA_CONF_OK)
                return 0;
        return sw_err_set(reterr, -SW_ERR_CONFIG, "librdkafka: %s: %s", key, text);
}

static int kafka_set_all(rd_kafka_conf_t *c, const struct kafka_setting *rows, size_t n, struct sw_err *reterr)
{
        size_t i;
        int r = 0;

        for (i = 0; i < n && r == 0; i++)
                r = kafka_set(c, rows[i].key, rows[i].value, reterr);
        return r;
}

static bool kafka_has_connection(const struct kafka *s)
{
        return s->connection.file || s->connection.credential;
}

/* The connection string is read anew for each client, so that one that was rotated is found. */
static int kafka_credentials(
        const struct kafka *s, rd_kafka_conf_t *c, struct sw_connection_string *cs, struct sw_err *reterr)
{
        struct sw_secret secret = SW_SECRET_NULL;
        int r = sw_secret_read(&s->connection, &secret, reterr);

        if (r != 0)
                return -SW_ERR_CONFIG;
        while (secret.n > 0 && strchr("\r\n \t", secret.text[secret.n - 1]))
                secret.text[--secret.n] = '\0';
        r = sw_connection_string_parse((struct sw_str){ secret.text, secret.n }, s->brokers != NULL, cs, reterr);
        if (r == 0)
                r = kafka_set_all(c, kafka_eventhubs, sizeof(kafka_eventhubs) / sizeof(*kafka_eventhubs), reterr);
        if (r == 0)
                r = kafka_set(c, "sasl.password", secret.text, reterr);
        sw_secret_deinit(&secret);
        return r;
}

/* Read anew as well. */
static int kafka_password(const struct kafka *s, rd_kafka_conf_t *c, struct sw_err *reterr)
{
        struct sw_secret secret = SW_SECRET_NULL;
        int r;

        if (!s->password.file && !s->password.credential)
                return 0;
        r = sw_secret_read(&s->password, &secret, reterr);
        r = r == 0 ? kafka_set(c, "sasl.password", secret.text, reterr) : -SW_ERR_CONFIG;
        sw_secret_deinit(&secret);
        return r;
}

static int kafka_configure(
        const struct kafka *s, rd_kafka_conf_t *c, char topic[SW_CONNECTION_NAME], struct sw_err *reterr)
{
        struct sw_connection_string cs = { .port = 0 };
        char text[SW_CONNECTION_NAME + 16];
        uint32_t i;
        int r = kafka_set_all(c, kafka_base, sizeof(kafka_base) / sizeof(*kafka_base), reterr);

        if (r == 0 && kafka_has_connection(s))
                r = kafka_credentials(s, c, &cs, reterr);
        if (r == 0 && s->with_tokens)
                r = kafka_set(c, "connections.max.idle.ms", "180000", reterr);
        if (r == 0)
                r = kafka_password(s, c, reterr);
        (void)snprintf(text, sizeof(text), "%s:9093", cs.host);
        if (r == 0)
                r = kafka_set(c, "bootstrap.servers", s->brokers ? s->brokers : text, reterr);
        (void)snprintf(text, sizeof(text), "%lld", (long long)s->timeout_ms);
        if (r == 0)
                r = kafka_set(c, "message.timeout.ms", text, reterr);
        (void)snprintf(text, sizeof(text), "%d", KAFKA_MESSAGE_MAX);
        if (r == 0)
                r = kafka_set(c, "message.max.bytes", text, reterr);
        if (r == 0 && s->ca_file)
                r = kafka_set(c, "ssl.ca.location", s->ca_file, reterr);
        for (i = 0; i < s->settings.n && r == 0; i++)
                r = kafka_set(c, s->settings.items[i].key, s->settings.items[i].value, reterr);
        if (r == 0 && s->with_tokens) /* whatever was set: a token goes nowhere else */
                r = kafka_set_all(c, kafka_tokens, sizeof(kafka_tokens) / sizeof(*kafka_tokens), reterr);
        if (r == 0 && !s->topic && !*cs.entity_path)
                r = sw_err_set(reterr, -SW_ERR_CONFIG, "the connection string has no EntityPath: set 'topic'");
        (void)snprintf(topic, SW_CONNECTION_NAME, "%s", s->topic ? s->topic : cs.entity_path);
        return r;
}

static void kafka_on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
        const struct kafka *s = rd_kafka_opaque(rk);

        sw_log(s->log, level <= 4 ? SW_LOG_WARNING : SW_LOG_DEBUG, "kafka_client", s->name, "%s: %s", facility, text);
}

static enum sw_courier_cause kafka_cause(rd_kafka_resp_err_t err)
{
        switch (err) {
        case RD_KAFKA_RESP_ERR__RESOLVE:
        case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
                return SW_COURIER_CAUSE_CONNECT;
        case RD_KAFKA_RESP_ERR__TRANSPORT:
                return SW_COURIER_CAUSE_BROKEN;
        case RD_KAFKA_RESP_ERR__SSL:
                return SW_COURIER_CAUSE_TLS;
        case RD_KAFKA_RESP_ERR__MSG_TIMED_OUT:
        case RD_KAFKA_RESP_ERR__TIMED_OUT:
        case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
                return SW_COURIER_CAUSE_TIMEOUT;
        case RD_KAFKA_RESP_ERR__AUTHENTICATION:
        case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
        case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
        case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
                return SW_COURIER_CAUSE_AUTH;
        case RD_KAFKA_RESP_ERR_THROTTLING_QUOTA_EXCEEDED:
                return SW_COURIER_CAUSE_THROTTLED;
        default: /* what a broker says has positive numbers */
                return err > 0 ? SW_COURIER_CAUSE_SERVER : SW_COURIER_CAUSE_OTHER;
        }
}

/* A lost connection has one number, whatever was going on; the text ends in "(after 5ms in state CONNECT)". */
static enum sw_courier_cause kafka_client_cause(rd_kafka_resp_err_t err, const char *text)
{
        const char *state = strstr(text, " in state ");

        if (err == RD_KAFKA_RESP_ERR__TRANSPORT && state && strncmp(state, " in state CONNECT", 17) == 0)
                return SW_COURIER_CAUSE_CONNECT;
        if (err == RD_KAFKA_RESP_ERR__TRANSPORT && state && strncmp(state, " in state SSL_HANDSHAKE", 23) == 0)
                return SW_COURIER_CAUSE_TLS;
        return kafka_cause(err);
}

/* In a poll: the loop. */
static void kafka_on_error(rd_kafka_t *rk, int code, const char *text, void *opaque)
{
        struct kafka *s = opaque;

        (void)rk;
        if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN && *s->client_error)
                return; /* the reason was told before */
        s->client_cause = kafka_client_cause((rd_kafka_resp_err_t)code, text);
        (void)snprintf(s->client_error, sizeof(s->client_error), "%s: %.150s",
                rd_kafka_err2str((rd_kafka_resp_err_t)code), text);
}

static void kafka_finish(struct kafka *s);

static void kafka_on_report(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
        struct kafka *s = opaque;

        (void)rk;
        if ((uintptr_t)m->_private != s->batch || s->n_open == 0)
                return;
        s->n_open--;
        if (m->err == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE) {
                s->too_large = true;
        } else if (m->err && !s->failed) {
                s->failed = true;
                /* A message times out whatever the client cannot do. */
                s->cause = m->err == RD_KAFKA_RESP_ERR__MSG_TIMED_OUT && *s->client_error ? s->client_cause
                                                                                          : kafka_cause(m->err);
                (void)snprintf(s->reason, sizeof(s->reason), "%.60s%s%.180s%s", rd_kafka_err2str(m->err),
                        *s->client_error ? "; " : "", s->client_error,
                        s->with_tokens && s->cause == SW_COURIER_CAUSE_AUTH ? KAFKA_ROLE : "");
        }
        if (s->n_open == 0 && !s->sending)
                kafka_finish(s);
}

/* librdkafka's thread. */
static void kafka_on_reports(rd_kafka_t *rk, void *opaque)
{
        struct kafka *s = opaque;

        (void)rk;
        sw_watch_wake(s->woken);
}

static void kafka_poll(void *ctx)
{
        struct kafka *s = ctx;

        while (s->rk && !s->stopped && rd_kafka_poll(s->rk, 0) > 0)
                ;
}

/* ---- tokens: librdkafka asks from within a poll on the loop, at 80% of the life of the one it has ---- */

static void kafka_on_token(void *ctx, const struct sw_token_result *t)
{
        struct kafka *s = ctx;
        char text[256];

        if (!s->rk)
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

static void kafka_on_token_wanted(rd_kafka_t *rk, const char *config, void *opaque)
{
        struct kafka *s = opaque;

        (void)config;
        if (s->token && rk == s->rk && sw_token_get(s->token, kafka_on_token, s) < 0)
                (void)rd_kafka_oauthbearer_set_token_failure(rk, sw_error_text(-SW_ERR_NOMEM));
}

static struct sw_wall kafka_token_expires(const struct sw_sink *sink)
{
        const struct kafka *s = (const struct kafka *)sink;

        return s->token ? sw_token_expires(s->token) : (struct sw_wall){ 0 };
}

/* "https://" and the name of the first broker: what Event Hubs documents as the audience for Kafka. */
static bool kafka_token_new(struct kafka *s, const struct sw_token_conf *conf, struct sw_httpc *http)
{
        struct sw_token_conf token = *conf;
        char audience[300];

        (void)snprintf(audience, sizeof(audience), "https://%.*s", (int)strcspn(s->brokers, ":,"), s->brokers);
        if (!token.audience)
                token.audience = audience;
        s->with_tokens = true;
        s->base.token_expires = kafka_token_expires;
        return sw_token_new(&token, http, s->log, &s->token) == 0;
}

static int kafka_open(struct kafka *s, rd_kafka_t **ret, char topic[SW_CONNECTION_NAME], struct sw_err *reterr)
{
        rd_kafka_conf_t *c = rd_kafka_conf_new();
        char text[256];
        int r = kafka_configure(s, c, topic, reterr);

        if (r < 0) {
                rd_kafka_conf_destroy(c);
                return r;
        }
        rd_kafka_conf_set_opaque(c, s);
        rd_kafka_conf_set_log_cb(c, kafka_on_log);
        rd_kafka_conf_set_error_cb(c, kafka_on_error);
        rd_kafka_conf_set_dr_msg_cb(c, kafka_on_report);
        if (s->with_tokens)
                rd_kafka_conf_set_oauthbearer_token_refresh_cb(c, kafka_on_token_wanted);
        *ret = rd_kafka_new(RD_KAFKA_PRODUCER, c, text, sizeof(text));
        if (*ret)
                return 0;
        rd_kafka_conf_destroy(c);
        return sw_err_set(reterr, -SW_ERR_CONFIG, "%s", text);
}

static int kafka_connect(struct kafka *s, struct sw_err *reterr)
{
        char topic[SW_CONNECTION_NAME];
        int r = 0;

        if (!s->woken)
                r = sw_loop_wakeable(s->loop, kafka_poll, s, &s->woken);
        if (r == 0)
                r = kafka_open(s, &s->rk, topic, reterr);
        if (r < 0)
                return r;
        *s->client_error = '\0';
        s->rkt = rd_kafka_topic_new(s->rk, topic, NULL);
        s->reports = rd_kafka_queue_get_main(s->rk);
        rd_kafka_queue_cb_event_enable(s->reports, kafka_on_reports, s);
        sw_watch_wake(s->woken); /* what is in the queue already, as its wish for a token */
        return s->rkt ? 0 : sw_err_set(reterr, -SW_ERR_CONFIG, "'%.100s' is no name of a topic", topic);
}

struct kafka_end {
        rd_kafka_t *rk;
        rd_kafka_topic_t *rkt;
};

/* Pool, or whoever ends the sink: it joins librdkafka's threads. */
static void kafka_destroy(void *ctx)
{
        struct kafka_end *e = ctx;

        if (e->rkt)
                rd_kafka_topic_destroy(e->rkt);
        rd_kafka_destroy(e->rk);
}

static void kafka_destroyed(void *ctx)
{
        sw_free(ctx);
}

/* Gives up what is under way: nothing is reported any more. */
static void kafka_silence(struct kafka *s)
{
        s->batch++;
        s->n_open = 0;
        if (s->reports) {
                rd_kafka_queue_cb_event_enable(s->reports, NULL, NULL);
                rd_kafka_queue_destroy(s->reports);
                s->reports = NULL;
        }
        if (s->rk)
                (void)rd_kafka_purge(s->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
}

/* A producer that lost count of what it sent is of no more use: the next batch has a new one. */
static void kafka_replace(struct kafka *s)
{
        struct kafka_end *e = sw_calloc(1, sizeof(*e));

        if (!e)
                return;
        kafka_silence(s);
        s->broken = false;
        *e = (struct kafka_end){ s->rk, s->rkt };
        s->rk = NULL;
        s->rkt = NULL;
        if (sw_loop_work(s->loop, kafka_destroy, kafka_destroyed, e) < 0) {
                kafka_destroy(e);
                kafka_destroyed(e);
        }
}

/* ---- courier ---- */

/* KEY, newline, object: neither has one inside. */
static int kafka_encode(
        void *sink, const struct sw_json *finding, struct sw_str line, unsigned squeeze, struct sw_buf *out)
{
        static const uint32_t max[SW_COURIER_SQUEEZE_MAX + 1] = { KAFKA_MESSAGE_MAX - 1000, 200000, 50000, 10000 };
        struct sw_str key = sw_json_str(sw_json_at(finding, "finding_info.uid"));

        (void)sink;
        sw_buf_put_str(out, key);
        sw_buf_putc(out, '\n');
        (void)sw_enc_row_finding(out, finding, line, max[squeeze]);
        return SW_COURIER_OK;
}

/* The rows, one a line. */
static int kafka_pack(void *sink, const struct sw_courier_batch *b, struct sw_buf *out)
{
        uint32_t i;

        (void)sink;
        for (i = 0; i < b->n; i++) {
                sw_buf_put(out, b->text + b->items[i].at, b->items[i].n);
                sw_buf_putc(out, '\n');
        }
        return 0;
}

static void kafka_finish(struct kafka *s)
{
        struct sw_courier_outcome o = { .verdict = SW_COURIER_DELIVERED, .retry_after_ms = -1, .reason = s->reason };
        char fatal[128];

        o.cause = s->cause;
        if (s->failed)
                o.verdict = SW_COURIER_OUTAGE;
        else if (s->too_large)
                o.verdict = SW_COURIER_TOO_LARGE;
        else
                *s->client_error = '\0'; /* what was wrong before is over */
        if (s->failed && s->rk && rd_kafka_fatal_error(s->rk, fatal, sizeof(fatal)))
                s->broken = true; /* not here: this may be a call of its own */
        sw_courier_done(s->base.courier, &o);
}

static void kafka_produce(struct kafka *s, struct sw_str key, struct sw_str value)
{
        void *p;

        memcpy(&p, &value.p, sizeof(p)); /* only read */
        s->n_open++;
        if (rd_kafka_produce(s->rkt, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, p, value.n, key.p, key.n,
                    (void *)s->batch) == 0)
                return;
        s->n_open--;
        if (rd_kafka_last_error() == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE) {
                s->too_large = true;
                return;
        }
        s->failed = true;
        s->cause = kafka_cause(rd_kafka_last_error());
        (void)snprintf(s->reason, sizeof(s->reason), "%s", rd_kafka_err2str(rd_kafka_last_error()));
}

static void kafka_send(void *sink, struct sw_str payload, uint32_t n_rows)
{
        struct kafka *s = sink;
        struct sw_err err = SW_ERR_NULL;
        const char *p = payload.p, *end = payload.p + payload.n, *middle, *stop;

        (void)n_rows;
        s->batch++;
        s->failed = s->too_large = false;
        s->cause = SW_COURIER_CAUSE_OTHER;
        s->n_open = 0;
        *s->reason = '\0';
        if (s->broken)
                kafka_replace(s);
        if (!s->rk && kafka_connect(s, &err) < 0) {
                s->failed = true;
                (void)snprintf(s->reason, sizeof(s->reason), "%.290s", *err.msg ? err.msg : "no client");
                s->broken = s->rk != NULL;
                kafka_finish(s);
                return;
        }
        s->sending = true;
        while (p < end && !s->failed && (middle = memchr(p, '\n', (size_t)(end - p))) != NULL &&
                (stop = memchr(middle + 1, '\n', (size_t)(end - middle - 1))) != NULL) {
                kafka_produce(s, (struct sw_str){ p, (size_t)(middle - p) },
                        (struct sw_str){ middle + 1, (size_t)(stop - middle - 1) });
                p = stop + 1;
        }
        s->sending = false;
        if (s->n_open == 0)
                kafka_finish(s);
}

static void kafka_abort(void *sink)
{
        struct kafka *s = sink;

        s->batch++;
        s->n_open = 0;
        if (s->rk)
                (void)rd_kafka_purge(s->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
}

/* ---- probe ---- */

struct kafka_probe {
        struct kafka *s;
        void (*done)(void *ctx, bool ok, const char *message);
        void *ctx;
        bool ok;
        char message[400];
        char *bearer; /* NULL: it needs none */
        struct sw_wall expires;
};

/* Pool: a client of its own asks for the topic. */
static void kafka_ask(void *ctx)
{
        struct kafka_probe *q = ctx;
        struct kafka *s = q->s;
        const struct rd_kafka_metadata *m = NULL;
        struct sw_err err = SW_ERR_NULL;
        char topic[SW_CONNECTION_NAME];
        rd_kafka_topic_t *rkt = NULL;
        rd_kafka_t *rk = NULL;
        rd_kafka_resp_err_t r;

        if (kafka_open(s, &rk, topic, &err) < 0) {
                (void)snprintf(q->message, sizeof(q->message), "%s", err.msg);
                return;
        }
        if (q->bearer)
                (void)rd_kafka_oauthbearer_set_token(
                        rk, q->bearer, q->expires.ms, "segwatch", NULL, 0, q->message, sizeof(q->message));
        rkt = rd_kafka_topic_new(rk, topic, NULL);
        r = rkt ? rd_kafka_metadata(rk, 0, rkt, &m, (int)s->timeout_ms) : rd_kafka_last_error();
        if (r == RD_KAFKA_RESP_ERR_NO_ERROR && m->topic_cnt == 1)
                r = m->topics[0].err;
        q->ok = r == RD_KAFKA_RESP_ERR_NO_ERROR;
        if (q->ok)
                (void)snprintf(q->message, sizeof(q->message), "topic '%.100s' has %d partitions", topic,
                        m->topics[0].partition_cnt);
        else
                (void)snprintf(q->message, sizeof(q->message), "topic '%.100s': %s", topic, rd_kafka_err2str(r));
        if (m)
                rd_kafka_metadata_destroy(m);
        if (rkt)
                rd_kafka_topic_destroy(rkt);
        rd_kafka_destroy(rk);
}

static void kafka_probe_free(struct kafka_probe *q)
{
        if (q && q->bearer) {
                explicit_bzero(q->bearer, strlen(q->bearer));
                sw_free(q->bearer);
        }
        sw_free(q);
}

static void kafka_asked(void *ctx)
{
        struct kafka_probe *q = ctx;

        if (!q->s->stopped)
                q->done(q->ctx, q->ok, q->message);
        kafka_probe_free(q);
}

static void kafka_probe_with(void *ctx, const struct sw_token_result *t)
{
        struct kafka_probe *q = ctx;

        q->s->asking = NULL;
        if (t->code == 0) {
                q->bearer = sw_strdup(t->bearer);
                q->expires = t->expires;
                if (q->bearer && sw_loop_work(q->s->loop, kafka_ask, kafka_asked, q) == 0)
                        return;
        }
        q->done(q->ctx, false, t->code < 0 ? t->message : "out of memory");
        kafka_probe_free(q);
}

static void kafka_probe(struct sw_sink *sink, void (*done)(void *ctx, bool ok, const char *message), void *ctx)
{
        struct kafka_probe *q = sw_calloc(1, sizeof(*q));

        if (q)
                *q = (struct kafka_probe){ .s = (struct kafka *)sink, .done = done, .ctx = ctx };
        if (q && q->s->with_tokens && !q->s->asking && q->s->token) {
                q->s->asking = q; /* before the call, which may come from within */
                if (sw_token_get(q->s->token, kafka_probe_with, q) == 0)
                        return;
                q->s->asking = NULL;
        } else if (q && !q->s->with_tokens && sw_loop_work(q->s->loop, kafka_ask, kafka_asked, q) == 0) {
                return;
        }
        sw_free(q);
        done(ctx, false, q ? "busy" : "out of memory");
}

/* ---- life ---- */

static void kafka_stop(struct sw_sink *sink)
{
        struct kafka *s = (struct kafka *)sink;

        s->stopped = true;
        kafka_silence(s);
        s->woken = sw_watch_close(s->woken);
        s->token = sw_token_free(s->token); /* nobody is called any more */
        kafka_probe_free(s->asking);
        s->asking = NULL;
}

static struct sw_sink *kafka_free(struct sw_sink *sink)
{
        struct kafka *s = (struct kafka *)sink;
        struct kafka_end e = { s->rk, s->rkt };

        sw_courier_free(s->base.courier);
        if (s->rk)
                kafka_destroy(&e);
        sw_token_free(s->token);
        sw_free(s->name);
        sw_free(s->brokers);
        sw_free(s->topic);
        sw_free(s->ca_file);
        sw_free(s->connection.file);
        sw_free(s->connection.credential);
        sw_free(s->password.file);
        sw_free(s->password.credential);
        sw_free(s);
        return NULL;
}

static const struct sw_courier_ops kafka_ops = {
        .encode = kafka_encode, .pack = kafka_pack, .send = kafka_send, .abort = kafka_abort
};

static char *kafka_copy(const char *text, bool *ok)
{
        char *copy = text ? sw_strdup(text) : NULL;

        *ok = *ok && (!text || copy);
        return copy;
}

static bool kafka_fill(struct kafka *s, const struct sw_sink_kafka_conf *conf, const struct sw_sink_env *env)
{
        struct sw_courier_conf courier = conf->base.courier;
        bool ok = true;

        s->base = (struct sw_sink){ .kind = "kafka", .probe = kafka_probe, .stop = kafka_stop, .free = kafka_free };
        s->loop = env->loop;
        s->log = env->log;
        s->timeout_ms = conf->base.timeout_ms;
        s->name = kafka_copy(courier.name, &ok);
        s->brokers = kafka_copy(conf->brokers, &ok);
        s->topic = kafka_copy(conf->topic, &ok);
        s->ca_file = kafka_copy(conf->base.ca_file, &ok);
        s->connection.file = kafka_copy(conf->connection_string.file, &ok);
        s->connection.credential = kafka_copy(conf->connection_string.credential, &ok);
        s->password.file = kafka_copy(conf->password.file, &ok);
        s->password.credential = kafka_copy(conf->password.credential, &ok);
        s->settings = *conf->settings;
        courier.name = s->name;
        courier.body_max = KAFKA_BODY_MAX;
        courier.overhead = 1;
        if (courier.rows_max == 0 || courier.rows_max > KAFKA_ROWS_MAX)
                courier.rows_max = KAFKA_ROWS_MAX;
        if (ok && conf->auth)
                ok = s->brokers && kafka_token_new(s, conf->auth, env->http);
        return ok && sw_courier_new(&courier, &kafka_ops, s, &env->feed, env->loop, env->log, &s->base.courier) == 0;
}

int sw_sink_kafka_new(const struct sw_sink_kafka_conf *conf, const struct sw_sink_env *env, struct sw_sink **ret,
        struct sw_err *reterr)
{
        struct kafka *s = sw_calloc(1, sizeof(*s));

        if (!s || !kafka_fill(s, conf, env)) {
                if (s)
                        kafka_free(&s->base);
                return sw_err_set(reterr, -SW_ERR_NOMEM, "out of memory");
        }
        *ret = &s->base;
        return 0;
}

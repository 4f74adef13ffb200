/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One remote sink: a protocol behind a courier. A kind is one file sink_NAME.c and one function here.
 * Threads: the loop's, save what sink/courier.h says. */
#include "azure/token.h"
#include "net/http.h"
#include "sink/courier.h"

/* What every kind needs. Texts are copied. */
struct sw_sink_conf {
        struct sw_courier_conf courier; /* name, filters, pauses, rejected; the kind adds its bounds */
        const char *ca_file, *proxy;    /* may be NULL */
        int64_t timeout_ms;             /* of one request */
        const char *version;            /* of the program */
};
struct sw_sink_env {
        struct sw_loop *loop;
        struct sw_httpc *http;
        struct sw_log *log;
        struct sw_courier_feed feed;
};

struct sw_sink {
        const char *kind;
        struct sw_courier *courier;
        /* A question whose answer costs nothing and shows that rows would be taken; done is called once, later. */
        void (*probe)(struct sw_sink *s, void (*done)(void *ctx, bool ok, const char *message), void *ctx);
        /* Of what it shows the server, 0: none at the moment; NULL: it has none. */
        struct sw_wall (*token_expires)(const struct sw_sink *s);
        void (*stop)(struct sw_sink *s); /* what is the kind's own; the courier is stopped before */
        struct sw_sink *(*free)(struct sw_sink *s);
};
enum sw_courier_cause sw_sink_http_cause(enum sw_httpc_error e);
int sw_sink_start(struct sw_sink *s);
void sw_sink_stop(struct sw_sink *s);            /* before the loop and the HTTP client are freed; NULL-safe */
struct sw_sink *sw_sink_free(struct sw_sink *s); /* after them; NULL-safe, returns NULL */

/* Microsoft Sentinel through the Logs Ingestion API. */
struct sw_sink_sentinel_conf {
        struct sw_sink_conf base;
        const char
                *endpoint; /* https://NAME.REGION-1.ingest.monitor.azure.com, of the rule or of a collection endpoint */
        const char *dcr;   /* immutable id of the data collection rule: dcr-... */
        const char *stream; /* Custom-SegwatchFinding */
        struct sw_token_conf auth;
};
int sw_sink_sentinel_new(const struct sw_sink_sentinel_conf *conf, const struct sw_sink_env *env, struct sw_sink **ret,
        struct sw_err *reterr);

/* Syslog: RFC 5424 with CEF or the OCSF line as text, octet counting on TCP and TLS, datagrams or a stream on a Unix
 * socket. */
enum sw_syslog_transport { SW_SYSLOG_TCP, SW_SYSLOG_TLS, SW_SYSLOG_UNIX };
enum sw_syslog_format { SW_SYSLOG_CEF, SW_SYSLOG_JSON };
struct sw_sink_syslog_conf {
        struct sw_sink_conf base;
        uint32_t transport, format;
        const char *host, *port; /* TCP, TLS */
        const char *path;        /* UNIX */
        uint32_t facility;
        const char *hostname;            /* NULL: of this machine */
        struct sw_secret_ref client_pem; /* TLS: key and certificate of ours; may be empty */
};
int sw_sink_syslog_new(const struct sw_sink_syslog_conf *conf, const struct sw_sink_env *env, struct sw_sink **ret,
        struct sw_err *reterr);

/* HTTPS POST of findings as JSON. */
struct sw_sink_webhook_conf {
        struct sw_sink_conf base;
        const char *url;
        bool single;                    /* one object per request instead of an array */
        struct sw_secret_ref signature; /* HMAC-SHA256 of time and body, as X-Segwatch-Signature; may be empty */
        struct sw_secret_ref bearer;    /* Authorization: Bearer; may be empty */
        const struct sw_kv_list
                *fields; /* name: path in the OCSF object, or "text with {paths}"; none: the whole object */
};
int sw_sink_webhook_new(const struct sw_sink_webhook_conf *conf, const struct sw_sink_env *env, struct sw_sink **ret,
        struct sw_err *reterr);

/* A Kafka topic or an event hub: the OCSF object, keyed by finding_info.uid, by an idempotent producer. */
struct sw_sink_kafka_conf {
        struct sw_sink_conf base;
        const char *brokers;                    /* comma list; NULL: from the connection string */
        const char *topic;                      /* NULL: EntityPath of the connection string */
        struct sw_secret_ref connection_string; /* Event Hubs; may be empty */
        struct sw_secret_ref password;          /* of sasl.username among the settings; may be empty */
        const struct sw_token_conf *auth;       /* Event Hubs with tokens, needs brokers and topic; NULL: none.
                                                 * Its audience NULL: of the first broker */
        const struct sw_kv_list *settings;      /* for librdkafka; outlives the sink */
};
int sw_sink_kafka_new(const struct sw_sink_kafka_conf *conf, const struct sw_sink_env *env, struct sw_sink **ret,
        struct sw_err *reterr);
/* NULL if librdkafka knows the setting, takes the value, and it is not ours; else what is wrong, to be put after the
 * setting's name. Threads: any. */
const char *sw_sink_kafka_setting_wrong(const char *key, const char *value);

/* SPDX-License-Identifier: Apache-2.0 */
#include "conf_outputs.h"

#include "base/json.h"
#include "conf_kafka.h"
#include "secret.h"
#include "sink/alert_export.h"
#include "sink/sink.h"
#include "sink/template.h"

#include <stdio.h>
#include <string.h>
#include <sys/un.h>

static const struct sw_opt_name kind_names[] = { { "sentinel", SW_OUTPUT_SENTINEL }, { "syslog", SW_OUTPUT_SYSLOG },
        { "webhook", SW_OUTPUT_WEBHOOK }, { "kafka", SW_OUTPUT_KAFKA }, { NULL, 0 } };
static const struct sw_opt_name severity_names[] = { { "informational", SW_SEVERITY_INFO }, { "low", SW_SEVERITY_LOW },
        { "medium", SW_SEVERITY_MEDIUM }, { "high", SW_SEVERITY_HIGH }, { "critical", SW_SEVERITY_CRITICAL },
        { NULL, 0 } };
static const struct sw_opt_name transport_names[] = { { "tls", SW_SYSLOG_TLS }, { "tcp", SW_SYSLOG_TCP },
        { "unix", SW_SYSLOG_UNIX }, { NULL, 0 } };
static const struct sw_opt_name format_names[] = { { "cef", SW_SYSLOG_CEF }, { "json", SW_SYSLOG_JSON }, { NULL, 0 } };
static const struct sw_opt_name facility_names[] = { { "user", 1 }, { "daemon", 3 }, { "auth", 4 }, { "authpriv", 10 },
        { "local0", 16 }, { "local1", 17 }, { "local2", 18 }, { "local3", 19 }, { "local4", 20 }, { "local5", 21 },
        { "local6", 22 }, { "local7", 23 }, { NULL, 0 } };

#define AT(field) .offset = offsetof(struct sw_conf_output, field)
#define IN_RETRY(field) .offset = offsetof(struct sw_conf_output, retry.field) - offsetof(struct sw_conf_output, retry)
static const struct sw_opt retry_rows[] = {
        { .key = "first",
                .type = SW_OPT_DURATION,
                IN_RETRY(first_ms),
                .min = 10,
                .max = SW_HOUR,
                .def = "1s",
                .doc = "Pause after a first failure; it doubles with each further one, by chance up to that." },
        { .key = "max",
                .type = SW_OPT_DURATION,
                IN_RETRY(max_ms),
                .min = 10,
                .max = SW_HOUR,
                .def = "5m",
                .doc = "Longest pause." },
        SW_OPT_END,
};
const struct sw_opt sw_conf_output_rows[] = {
        { .key = "name",
                .type = SW_OPT_STRING,
                .flags = SW_OPT_REQUIRED | SW_OPT_UNIQUE,
                AT(name),
                .example = "sentinel",
                .doc = "Name in logs and metrics; how far it has got is remembered under this name." },
        { .key = "kind",
                .type = SW_OPT_ENUM,
                .flags = SW_OPT_REQUIRED,
                AT(kind),
                .names = kind_names,
                .example = "sentinel",
                .doc = "Microsoft Sentinel, a syslog server, an HTTPS receiver of JSON, or a Kafka topic or event "
                       "hub." },
        { .key = "min_severity",
                .type = SW_OPT_ENUM,
                AT(min_severity),
                .def = "informational",
                .names = severity_names,
                .doc = "Findings below are not sent." },
        { .key = "detectors",
                SW_CONF_CUSTOM(texts),
                AT(detectors),
                .example = "[segment_policy]",
                .doc = "Only findings of which one of these is part; all unless given." },
        { .key = "queue",
                .type = SW_OPT_SIZE,
                AT(queue),
                .min = 1 << 20,
                .max = UINT64_C(1) << 40,
                .def = "512MiB",
                .doc = "What may wait on the disk for it; beyond, its oldest least severe findings are given up, "
                       "counted." },
        { .key = "rows_per_request",
                .type = SW_OPT_UINT,
                AT(rows_per_request),
                .max = 2000,
                .def = "0",
                .doc = "Findings sent together at most; 0 is what the kind takes: 2000, webhook 100, kafka 500." },
        { .key = "retry",
                .type = SW_OPT_SECTION,
                AT(retry),
                .rows = retry_rows,
                .example = "{first: 1s, max: 5m}",
                .doc = "Pauses in an outage." },
        { .key = "timeout",
                .type = SW_OPT_DURATION,
                AT(timeout_ms),
                .min = 100,
                .max = 10 * SW_MINUTE,
                .def = "30s",
                .doc = "Of one request." },
        { .key = "ca_file",
                .type = SW_OPT_STRING,
                AT(ca_file),
                .example = "/etc/ssl/certs/ca-certificates.crt",
                .doc = "Certificates to trust instead of the system's." },
        { .key = "proxy",
                .type = SW_OPT_STRING,
                AT(proxy),
                .example = "http://proxy.corp:3128",
                .doc = "sentinel, webhook: HTTP proxy; the environment is not looked at." },
        { .key = "endpoint",
                .type = SW_OPT_STRING,
                AT(endpoint),
                .example = "https://segwatch-abcd.westeurope-1.ingest.monitor.azure.com",
                .doc = "sentinel: logs ingestion endpoint of the data collection rule, or of a collection endpoint." },
        { .key = "dcr",
                .type = SW_OPT_STRING,
                AT(dcr),
                .example = "dcr-00000000000000000000000000000000",
                .doc = "sentinel: immutable id of the data collection rule." },
        { .key = "stream",
                .type = SW_OPT_STRING,
                AT(stream),
                .example = "Custom-SegwatchFinding",
                .doc = "sentinel: stream of the rule; Custom-SegwatchFinding unless given." },
        { .key = "auth",
                .type = SW_OPT_SECTION,
                AT(auth),
                .rows = sw_conf_auth_rows,
                .example = "{managed_identity: {}}",
                .doc = "sentinel, or kafka to an event hub: who we are: managed_identity, or tenant and client_id with "
                       "client_secret, "
                       "certificate or federated_token_file." },
        { .key = "address",
                .type = SW_OPT_STRING,
                AT(address),
                .example = "siem.corp:6514",
                .doc = "syslog: HOST:PORT, or the path of a Unix socket." },
        { .key = "transport",
                .type = SW_OPT_ENUM,
                AT(transport),
                .def = "tls",
                .names = transport_names,
                .doc = "syslog: tls or tcp (RFC 5425, octet counting), or unix (datagrams; frames where the socket "
                       "takes "
                       "streams)." },
        { .key = "format",
                .type = SW_OPT_ENUM,
                AT(format),
                .def = "cef",
                .names = format_names,
                .doc = "syslog: text of the RFC 5424 message, CEF or the OCSF object." },
        { .key = "facility",
                .type = SW_OPT_ENUM,
                AT(facility),
                .def = "local4",
                .names = facility_names,
                .doc = "syslog: give CEF one of its own, so that a collector can tell it from the rest." },
        { .key = "hostname",
                .type = SW_OPT_STRING,
                AT(hostname),
                .example = "segwatch-weu",
                .doc = "syslog: name in the messages; this machine's unless given." },
        { .key = "client_certificate",
                .type = SW_OPT_SECRET,
                AT(client_certificate),
                .example = "{credential: syslog-pem}",
                .doc = "syslog over tls: PEM with key and certificate, where the server wants one." },
        { .key = "url",
                .type = SW_OPT_STRING,
                AT(url),
                .example = "https://hooks.corp/segwatch",
                .doc = "webhook: where to POST." },
        { .key = "single",
                .type = SW_OPT_BOOL,
                AT(single),
                .def = "false",
                .doc = "webhook: one object per request instead of an array of up to 100." },
        { .key = "signature",
                .type = SW_OPT_SECRET,
                AT(signature),
                .example = "{credential: webhook-key}",
                .doc = "webhook: key of X-Segwatch-Signature, HMAC-SHA256 of \"TIMESTAMP.BODY\"." },
        { .key = "bearer",
                .type = SW_OPT_SECRET,
                AT(bearer),
                .example = "{credential: webhook-token}",
                .doc = "webhook: sent as Authorization: Bearer." },
        { .key = "fields",
                .type = SW_OPT_ANY_MAP,
                AT(fields),
                .example = "{text: \"{severity}: {message}\", id: \"{finding_info.uid}\"}",
                .doc = "webhook: the object's members instead of the whole finding; {path} stands for a value of it." },
        { .key = "per_minute",
                .type = SW_OPT_UINT,
                AT(per_minute),
                .min = 1,
                .max = 6000,
                .def = "600",
                .doc = "webhook: requests per minute at most." },
        { .key = "brokers",
                SW_CONF_CUSTOM(brokers),
                AT(brokers),
                .example = "[kafka.corp:9092]",
                .doc = "kafka: bootstrap brokers as HOST:PORT; with connection_string instead of its own." },
        { .key = "topic",
                .type = SW_OPT_STRING,
                AT(topic),
                .example = "segwatch-findings",
                .doc = "kafka: topic or event hub, which must be there; not needed with an EntityPath." },
        { .key = "connection_string",
                .type = SW_OPT_SECRET,
                AT(connection_string),
                .example = "{credential: findings-hub}",
                .doc = "kafka: Event Hubs connection string with the right to send; or auth." },
        { .key = "password",
                .type = SW_OPT_SECRET,
                AT(password),
                .example = "{credential: findings-kafka}",
                .doc = "kafka: where the password is kept; sasl.username, sasl.mechanism and security.protocol stand "
                       "under librdkafka." },
        { .key = "librdkafka",
                .type = SW_OPT_ANY_MAP,
                AT(librdkafka),
                .example = "{compression.codec: zstd}",
                .doc = "kafka: further settings of the producer, as named in librdkafka's CONFIGURATION.md." },
        SW_OPT_END,
};
#undef AT

bool sw_conf_host_port(const char *address, char host[256], char port[8])
{
        const char *colon = strrchr(address, ':');
        size_t n = colon ? (size_t)(colon - address) : 0;
        uint64_t v;

        if (n == 0 || n >= 256 || !sw_parse_u64(sw_str_of(colon + 1), &v) || v == 0 || v > 65535)
                return false;
        if (address[0] == '[' && address[n - 1] == ']' && n > 2) {
                address++;
                n -= 2;
        } else if (memchr(address, ':', n) || memchr(address, '[', n)) {
                return false; /* IPv6 without brackets, or brackets around nothing */
        }
        memcpy(host, address, n);
        host[n] = '\0';
        (void)snprintf(port, 8, "%u", (unsigned)v);
        return true;
}

static bool outputs_has(const struct sw_secret_ref *s)
{
        return s->file || s->credential;
}

struct outputs_key {
        const char *name;
        bool set;
        unsigned of; /* bit of the kind it belongs to */
        bool needed;
};

static void outputs_check_keys(const struct sw_conf_output *o, struct sw_conf_check *check)
{
        enum {
                SENTINEL = 1 << SW_OUTPUT_SENTINEL,
                SYSLOG = 1 << SW_OUTPUT_SYSLOG,
                WEBHOOK = 1 << SW_OUTPUT_WEBHOOK,
                KAFKA = 1 << SW_OUTPUT_KAFKA
        };
        const struct outputs_key keys[] = {
                { "endpoint", o->endpoint, SENTINEL, true },
                { "dcr", o->dcr, SENTINEL, true },
                { "stream", o->stream, SENTINEL, false },
                { "auth", sw_conf_auth_given(&o->auth), SENTINEL | KAFKA, o->kind == SW_OUTPUT_SENTINEL },
                { "proxy", o->proxy, SENTINEL | WEBHOOK, false },
                { "address", o->address, SYSLOG, true },
                { "hostname", o->hostname, SYSLOG, false },
                { "client_certificate", outputs_has(&o->client_certificate), SYSLOG, false },
                { "url", o->url, WEBHOOK, true },
                { "signature", outputs_has(&o->signature), WEBHOOK, false },
                { "bearer", outputs_has(&o->bearer), WEBHOOK, false },
                { "fields", o->fields.n > 0, WEBHOOK, false },
                { "brokers", o->brokers, KAFKA, !outputs_has(&o->connection_string) },
                { "topic", o->topic, KAFKA, !outputs_has(&o->connection_string) },
                { "connection_string", outputs_has(&o->connection_string), KAFKA, false },
                { "password", outputs_has(&o->password), KAFKA, false },
                { "librdkafka", o->librdkafka.n > 0, KAFKA, false },
        };
        size_t i;

        for (i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
                bool mine = keys[i].of & 1u << o->kind;

                if (mine && keys[i].needed && !keys[i].set)
                        sw_conf_error(check, &o->place, "an output of kind %s needs '%s'", kind_names[o->kind].name,
                                keys[i].name);
                else if (!mine && keys[i].set)
                        sw_conf_error(check, &o->place, "'%s' has no meaning for an output of kind %s", keys[i].name,
                                kind_names[o->kind].name);
        }
}

static void outputs_check_url(
        const struct sw_conf_output *o, const char *key, const char *url, struct sw_conf_check *check)
{
        char shown[SW_CONF_SHOWN];

        if (!url)
                return;
        if (strncmp(url, "https://", 8) != 0 || !url[8] || strpbrk(url, " #"))
                sw_conf_error(check, &o->place,
                        "%s: '%s' is not an https:// URL: tokens and findings travel encrypted "
                        "only",
                        key, sw_conf_show(sw_str_of(url), shown));
        else if (strchr(url, '@'))
                sw_conf_error(check, &o->place, "%s: no user and password in a URL", key);
}

static void outputs_check_detectors(const struct sw_conf_output *o, struct sw_conf_check *check)
{
        char shown[SW_CONF_SHOWN], hint[SW_CONF_HINT];
        uint32_t i;
        unsigned k;

        for (i = 0; i < o->detectors.n; i++) {
                struct sw_conf_guess g = sw_conf_guess_start(sw_str_of(o->detectors.items[i]));

                for (k = 0; k < SW_N_DETECTORS; k++) {
                        if (strcmp(sw_conf_detector(k).name, o->detectors.items[i]) == 0)
                                break;
                        sw_conf_guess_add(&g, sw_conf_detector(k).name);
                }
                if (k == SW_N_DETECTORS)
                        sw_conf_error(check, &o->place, "detectors: '%s' is no detector%s",
                                sw_conf_show(sw_str_of(o->detectors.items[i]), shown), sw_conf_guess_hint(&g, hint));
        }
}

static void outputs_check_syslog(const struct sw_conf_output *o, struct sw_conf_check *check)
{
        char host[256], port[8], shown[SW_CONF_SHOWN];

        if (!o->address)
                return;
        if (o->transport == SW_SYSLOG_UNIX) {
                if (*o->address != '/' || strlen(o->address) >= sizeof(((struct sockaddr_un *)0)->sun_path))
                        sw_conf_error(check, &o->place, "address '%s' is not the path of a Unix socket",
                                sw_conf_show(sw_str_of(o->address), shown));
        } else if (!sw_conf_host_port(o->address, host, port)) {
                sw_conf_error(check, &o->place, "address '%s' is not HOST:PORT or [ADDRESS]:PORT",
                        sw_conf_show(sw_str_of(o->address), shown));
        }
        if (o->transport != SW_SYSLOG_TLS && outputs_has(&o->client_certificate))
                sw_conf_error(check, &o->place, "client_certificate has no meaning without transport: tls");
}

static void outputs_check_fields(const struct sw_conf_output *o, struct sw_conf_check *check)
{
        uint32_t i;

        for (i = 0; i < o->fields.n; i++) {
                const char *wrong = sw_template_wrong(o->fields.items[i].value);

                if (wrong)
                        sw_conf_error(check, &o->fields.items[i].place, "fields: the text %s", wrong);
        }
}

void sw_conf_check_outputs(const struct sw_conf *conf, struct sw_conf_check *check)
{
        const struct sw_conf_output *outputs = conf->outputs.items;
        char what[96];
        uint32_t i;

        if (conf->outputs.n > SW_CONF_MAX_OUTPUTS)
                sw_conf_error(check, &outputs[SW_CONF_MAX_OUTPUTS].place, "more than %d outputs", SW_CONF_MAX_OUTPUTS);
        for (i = 0; i < conf->outputs.n; i++) {
                const struct sw_conf_output *o = &outputs[i];

                (void)sw_conf_name_ok(check, &o->place, "output", o->name);
                if (o->kind > SW_OUTPUT_KAFKA || !o->name)
                        continue; /* reported already */
                if (strcmp(o->name, SW_ALERT_SINK) == 0)
                        sw_conf_error(check, &o->place, "the name '%s' stands for the alert file", o->name);
                outputs_check_keys(o, check);
                outputs_check_detectors(o, check);
                outputs_check_fields(o, check);
                sw_conf_check_librdkafka(&o->librdkafka, sw_sink_kafka_setting_wrong,
                        o->kind == SW_OUTPUT_KAFKA && outputs_has(&o->password), &o->place, check);
                if (outputs_has(&o->password) && outputs_has(&o->connection_string))
                        sw_conf_error(check, &o->place, "connection_string and password exclude each other");
                if (o->kind == SW_OUTPUT_KAFKA && sw_conf_auth_given(&o->auth) &&
                        (outputs_has(&o->password) || outputs_has(&o->connection_string)))
                        sw_conf_error(check, &o->place, "auth and %s exclude each other",
                                outputs_has(&o->password) ? "password" : "connection_string");
                outputs_check_url(o, "endpoint", o->endpoint, check);
                outputs_check_url(o, "url", o->url, check);
                if (o->retry.max_ms < o->retry.first_ms)
                        sw_conf_error(check, &o->place, "retry: max is less than first");
                if (o->kind == SW_OUTPUT_SYSLOG)
                        outputs_check_syslog(o, check);
                (void)snprintf(what, sizeof(what), "output '%.60s'", o->name);
                /* without a way in, kafka would go on without any */
                if ((o->kind == SW_OUTPUT_SENTINEL && sw_conf_auth_given(&o->auth)) ||
                        (o->kind == SW_OUTPUT_KAFKA &&
                                (sw_conf_auth_given(&o->auth) || o->auth.tenant || o->auth.client_id)))
                        sw_conf_check_auth(&o->auth, what, &o->place, check);
        }
}

static void outputs_check_secret(
        const struct sw_conf_output *o, const struct sw_secret_ref *ref, struct sw_conf_check *check)
{
        struct sw_secret secret = SW_SECRET_NULL;
        struct sw_err err = SW_ERR_NULL;
        int r;

        if (!outputs_has(ref))
                return;
        r = sw_secret_read(ref, &secret, &err);
        if (r == SW_SECRET_NOT_HERE)
                sw_conf_warn(check, &o->place, "output '%s': %s", o->name, err.msg);
        else if (r < 0)
                sw_conf_error(check, &o->place, "output '%s': %s", o->name, err.msg);
        else if (secret.world_readable)
                sw_conf_warn(check, &o->place, "output '%s': the secret's file is readable by everybody; chmod 0600 it",
                        o->name);
        sw_secret_deinit(&secret);
}

void sw_conf_check_output_secrets(const struct sw_conf *conf, struct sw_conf_check *check)
{
        const struct sw_conf_output *outputs = conf->outputs.items;
        char what[96];
        uint32_t i;

        for (i = 0; i < conf->outputs.n; i++) {
                (void)snprintf(what, sizeof(what), "output '%.60s'", outputs[i].name);
                sw_conf_check_auth_secret(&outputs[i].auth, what, &outputs[i].place, check);
                outputs_check_secret(&outputs[i], &outputs[i].client_certificate, check);
                outputs_check_secret(&outputs[i], &outputs[i].signature, check);
                outputs_check_secret(&outputs[i], &outputs[i].bearer, check);
                outputs_check_secret(&outputs[i], &outputs[i].connection_string, check);
                outputs_check_secret(&outputs[i], &outputs[i].password, check);
        }
}

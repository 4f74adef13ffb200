/* SPDX-License-Identifier: Apache-2.0 */
/* Sinks against what answers them: each finding is delivered, or set aside, or waits with the reason. */
#include "sink/sink.h"

#include "http_kit.h"

#include <fcntl.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <signal.h>

#define API_PRODUCE 0
#define OK_200 "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
#define ANSWER(status, body) "HTTP/1.1 " status " X\r\nConnection: close\r\n\r\n" body

/* An outbox in memory and one sink that reads it. */
struct rig {
        struct http_kit kit;
        struct sw_loop *loop;
        struct sw_log *log;
        struct sw_httpc *http;
        struct sw_sink *sink;
        struct sw_watch *look, *end;
        int64_t marked, n_rows;
        size_t pad;
        int peer; /* listens; 0: none */
        bool (*until)(struct rig *r);
        bool late;
        int probed;
        bool probe_ok;
        char probe[512], url[64], dir[64], path[96];
};

static int rig_read(
        void *ctx, int64_t after, uint32_t max, int (*each)(void *to, const struct sw_courier_row *r), void *to)
{
        struct rig *r = ctx;
        int64_t n = after > r->marked ? after : r->marked;
        char *line = malloc(r->pad + 512), uid[33];
        int code = 0;

        for (; n < r->n_rows && max > 0 && code == 0; n++, max--) {
                struct sw_courier_row row = { .number = n + 1, .severity = 4, .uid = uid };

                snprintf(uid, sizeof(uid), "%032d", (int)n);
                snprintf(line, r->pad + 512,
                        "{\"severity_id\":4,\"time\":1767225600000,\"message\":\"%0*d\",\"metadata\":{\"uid\":\"%s\","
                        "\"logged_time\":1767225600000},\"finding_info\":{\"uid\":\"%s\"},\"unmapped\":{\"detectors\":["
                        "]}}",
                        (int)r->pad + 1, 0, uid, uid);
                row.line = sw_str_of(line);
                code = each(to, &row);
        }
        free(line);
        return code;
}

static int rig_mark(void *ctx, int64_t number)
{
        ((struct rig *)ctx)->marked = number;
        return 0;
}

static struct rig *rig_new(int64_t n_rows)
{
        struct rig *r = calloc(1, sizeof(*r));

        r->n_rows = n_rows;
        snprintf(r->dir, sizeof(r->dir), "/tmp/segwatch-sinks-XXXXXX");
        cr_assert(mkdtemp(r->dir));
        cr_assert_eq(sw_loop_new(&r->loop), 0);
        cr_assert_eq(sw_log_new(open("/dev/null", O_WRONLY), SW_LOG_DEBUG, SW_LOG_LOGFMT, &r->log), 0);
        cr_assert_eq(sw_httpc_new(r->loop, "test", &r->http), 0);
        return r;
}

static struct sw_sink_env rig_env(struct rig *r)
{
        return (struct sw_sink_env){ .loop = r->loop,
                .http = r->http,
                .log = r->log,
                .feed = { .ctx = r, .read = rig_read, .mark = rig_mark } };
}

static struct sw_sink_conf rig_base(void)
{
        return (struct sw_sink_conf){
                .courier = { .name = "o", .retry_first_ms = 10, .retry_max_ms = 20, .poll_ms = 1000 },
                .timeout_ms = 5000,
                .version = "1"
        };
}

static void rig_look(void *ctx)
{
        struct rig *r = ctx;

        if (r->until(r))
                sw_loop_stop(r->loop);
}

static void rig_late(void *ctx)
{
        struct rig *r = ctx;

        r->late = true;
        sw_loop_stop(r->loop);
}

static void rig_run(struct rig *r, bool (*until)(struct rig *r), const char *what)
{
        r->until = until;
        r->late = false;
        cr_assert_eq(sw_loop_timer(r->loop, 0, 5, rig_look, r, &r->look), 0);
        cr_assert_eq(sw_loop_timer(r->loop, 20000, 0, rig_late, r, &r->end), 0);
        sw_loop_run(r->loop);
        r->look = sw_watch_close(r->look);
        r->end = sw_watch_close(r->end);
        cr_assert_not(
                r->late, "not within 20 s: %s; %s", what, r->sink ? sw_courier_stats(r->sink->courier).reason : "");
}

#define RUN(r, until) rig_run(r, until, #until)

static void rig_stop(struct rig *r)
{
        sw_sink_stop(r->sink);
        r->http = sw_httpc_free(r->http);
        r->loop = sw_loop_free(r->loop);
        r->sink = sw_sink_free(r->sink);
}

static void rig_free(struct rig *r)
{
        char command[96];

        if (r->loop)
                rig_stop(r);
        sw_log_free(r->log);
        if (r->kit.fd > 0)
                http_kit_stop(&r->kit);
        if (r->peer > 0)
                close(r->peer);
        snprintf(command, sizeof(command), "rm -rf %s", r->dir);
        cr_assert_eq(system(command), 0);
        free(r);
}

static char *rig_file(struct rig *r, const char *name, const char *text)
{
        FILE *f;

        snprintf(r->path, sizeof(r->path), "%s/%s", r->dir, name);
        f = fopen(r->path, "w");
        cr_assert(f);
        fputs(text, f);
        cr_assert_eq(fclose(f), 0);
        return r->path;
}

static bool all_marked(struct rig *r)
{
        return r->marked == r->n_rows;
}

static bool is_failing(struct rig *r)
{
        return sw_courier_stats(r->sink->courier).failing_since_ms > 0;
}

static bool is_probed(struct rig *r)
{
        return r->probed > 0;
}

static const char *reason_of(struct rig *r)
{
        static char text[256];

        snprintf(text, sizeof(text), "%s", sw_courier_stats(r->sink->courier).reason);
        return text;
}

static void on_probe(void *ctx, bool ok, const char *message)
{
        struct rig *r = ctx;

        r->probed++;
        r->probe_ok = ok;
        snprintf(r->probe, sizeof(r->probe), "%s", message);
}

/* ---- webhook ---- */

static struct rig *webhook(int64_t n_rows, const char *const *answers, struct sw_sink_webhook_conf conf)
{
        struct rig *r = rig_new(n_rows);
        struct sw_sink_env env = rig_env(r);
        struct sw_err err = SW_ERR_NULL;

        for (; *answers; answers++)
                http_kit_add(&r->kit, *answers);
        http_kit_start(&r->kit);
        snprintf(r->url, sizeof(r->url), "http://127.0.0.1:%u/hook", r->kit.port);
        conf.base = rig_base();
        conf.url = r->url;
        cr_assert_eq(sw_sink_webhook_new(&conf, &env, &r->sink, &err), 0, "%s", err.msg);
        return r;
}

Test(sinks, a_webhook_gets_all_whatever_happens_before)
{
        static const char *const answers[] = { ANSWER("500", "later"), "", ANSWER("429", ""), ANSWER("301", "go"),
                OK_200, NULL };
        struct rig *r = webhook(3, answers, (struct sw_sink_webhook_conf){ .single = false });
        struct sw_courier_stats s;

        cr_assert_eq(sw_sink_start(r->sink), 0);
        RUN(r, all_marked);
        cr_assert_eq(sw_courier_stats(r->sink->courier).rows, 3);
        s = sw_courier_stats(r->sink->courier);
        cr_assert_eq(s.retries, 4);
        cr_assert_eq(s.retries_by[SW_COURIER_CAUSE_SERVER], 1);
        cr_assert_eq(s.retries_by[SW_COURIER_CAUSE_BROKEN], 1);
        cr_assert_eq(s.retries_by[SW_COURIER_CAUSE_THROTTLED], 1);
        cr_assert_eq(s.retries_by[SW_COURIER_CAUSE_STATUS], 1);
        cr_assert(strstr(r->kit.requests[4], "POST /hook HTTP/1.1\r\n"));
        cr_assert_str_eq(r->kit.requests[0] + strlen(r->kit.requests[0]) - 2, "}]", "an array");
        rig_free(r);
}

Test(sinks, what_a_webhook_does_not_take_is_told)
{
        static const char *const answers[] = { ANSWER("500", "later"), NULL };
        struct rig *r = webhook(3, answers, (struct sw_sink_webhook_conf){ .single = false });

        cr_assert_eq(sw_sink_start(r->sink), 0);
        RUN(r, is_failing);
        cr_assert(strstr(reason_of(r), "status 500: later"), "%s", reason_of(r));
        rig_free(r);
}

Test(sinks, what_a_webhook_refuses_is_set_aside_alone)
{
        static const char *const answers[] = { ANSWER("400", "no"), ANSWER("422", "no"), OK_200, ANSWER("422", "no"),
                NULL };
        struct rig *r = webhook(2, answers, (struct sw_sink_webhook_conf){ .single = false });

        cr_assert_eq(sw_sink_start(r->sink), 0);
        RUN(r, all_marked);
        cr_assert_eq(sw_courier_stats(r->sink->courier).rejected, 1);
        cr_assert_eq(sw_courier_stats(r->sink->courier).rows, 1);
        rig_free(r);
}

Test(sinks, what_is_too_large_for_a_webhook_is_halved_and_cut)
{
        static const char *const answers[] = { ANSWER("413", ""), ANSWER("413", ""), OK_200, OK_200, NULL };
        struct rig *r = webhook(2, answers, (struct sw_sink_webhook_conf){ .single = false });

        cr_assert_eq(sw_sink_start(r->sink), 0);
        RUN(r, all_marked);
        cr_assert_eq(sw_courier_stats(r->sink->courier).rows, 2);
        rig_free(r);
}

Test(sinks, a_webhook_is_signed_and_says_who_it_is)
{
        static const char *const answers[] = { OK_200, OK_200, NULL };
        struct sw_sink_webhook_conf conf = { .single = true };
        char signature[96], bearer[96], wrong[] = "/nonexistent";
        struct rig *r = rig_new(0);

        snprintf(signature, sizeof(signature), "%s", rig_file(r, "signature", "key"));
        snprintf(bearer, sizeof(bearer), "%s", rig_file(r, "bearer", "token\n"));
        conf.signature.file = signature;
        conf.bearer.file = bearer;
        {
                struct rig *w = webhook(2, answers, conf);

                cr_assert_eq(sw_sink_start(w->sink), 0);
                RUN(w, all_marked);
                cr_assert(strstr(w->kit.requests[0], "X-Segwatch-Signature: v1="));
                cr_assert(strstr(w->kit.requests[1], "Authorization: Bearer token\r\n"));
                cr_assert_str_eq(w->kit.requests[0] + strlen(w->kit.requests[0]) - 2, "}}", "one object");
                rig_free(w);
        }
        conf.signature.file = wrong;
        {
                struct rig *w = webhook(1, answers, conf);

                cr_assert_eq(sw_sink_start(w->sink), 0);
                RUN(w, is_failing);
                cr_assert(strstr(reason_of(w), "No such file"), "%s", reason_of(w));
                w->sink->probe(w->sink, on_probe, w);
                cr_assert(w->probed == 1 && !w->probe_ok, "told at once");
                rig_free(w);
        }
        conf.signature = (struct sw_secret_ref){ 0 };
        conf.bearer.file = wrong;
        {
                struct rig *w = webhook(1, answers, conf);

                cr_assert_eq(sw_sink_start(w->sink), 0);
                RUN(w, is_failing);
                cr_assert(strstr(reason_of(w), "No such file"), "%s", reason_of(w));
                rig_free(w);
        }
        rig_free(r);
}

Test(sinks, any_answer_shows_that_a_webhook_is_there)
{
        static const char *const answers[] = { ANSWER("405", "no GET"), "", NULL };
        struct rig *r = webhook(1, answers, (struct sw_sink_webhook_conf){ .single = false });

        r->sink->probe(r->sink, on_probe, r);
        RUN(r, is_probed);
        cr_assert(r->probe_ok);
        r->probed = 0;
        r->sink->probe(r->sink, on_probe, r);
        RUN(r, is_probed);
        cr_assert_not(r->probe_ok);
        r->sink->probe(r->sink, on_probe, r); /* under way when everything ends */
        rig_free(r);
}

/* ---- Sentinel ---- */

#define TOKEN ANSWER("200", "{\"access_token\":\"abc\",\"expires_in\":3600,\"client_id\":\"me\"}")

static struct rig *sentinel(int64_t n_rows, const char *const *answers)
{
        struct sw_sink_sentinel_conf conf = { .dcr = "dcr-1",
                .stream = "Custom-SegwatchFinding",
                .auth = { .name = "o", .kind = SW_AUTH_IMDS, .audience = "https://monitor.azure.com" } };
        struct rig *r = rig_new(n_rows);
        struct sw_sink_env env = rig_env(r);
        struct sw_err err = SW_ERR_NULL;
        char token[96];

        for (; *answers; answers++)
                http_kit_add(&r->kit, *answers);
        http_kit_start(&r->kit);
        snprintf(r->url, sizeof(r->url), "http://127.0.0.1:%u//", r->kit.port);
        snprintf(token, sizeof(token), "http://127.0.0.1:%u/token", r->kit.port);
        conf.base = rig_base();
        conf.endpoint = r->url;
        conf.auth.endpoint = token;
        cr_assert_eq(sw_sink_sentinel_new(&conf, &env, &r->sink, &err), 0, "%s", err.msg);
        return r;
}

/* After these answers nothing more is said: what is wrong stays wrong. */
static void sentinel_says(const char *answer, bool twice, const char *reason)
{
        const char *answers[] = { TOKEN, answer, twice ? TOKEN : NULL, answer, NULL };
        struct rig *r = sentinel(1, answers);

        cr_assert_eq(sw_sink_start(r->sink), 0);
        RUN(r, is_failing);
        cr_expect(strstr(reason_of(r), reason), "'%s' does not say: %s", reason_of(r), reason);
        rig_free(r);
}

Test(sinks, each_refusal_of_azure_comes_with_what_to_do)
{
        sentinel_says(ANSWER("403", "{\"error\":{\"code\":\"Forbidden\",\"message\":\"no\"}}"), false,
                "status 403: Forbidden: no: the identity me needs the role Monitoring Metrics Publisher");
        sentinel_says(ANSWER("404", "{\"error\":{\"code\":\"NotFound\"}}"), false,
                "status 404: NotFound: : are endpoint, dcr");
        sentinel_says(ANSWER("429", ""), false, "status 429: the rule's rate limit is reached");
        sentinel_says(ANSWER("503", "busy"), false, "status 503: busy");
        sentinel_says("", false, "the connection broke");
        sentinel_says(ANSWER("401", "old"), true, "status 401 also with a new token: old: do audience and cloud fit");
}

Test(sinks, azure_gets_rows_with_a_token_and_a_new_one_after_a_refusal)
{
        static const char *const answers[] = { TOKEN, ANSWER("401", "expired"), TOKEN,
                "HTTP/1.1 204 X\r\nConnection: close\r\nDate: Thu, 01 Jan 2015 00:00:30 GMT\r\n\r\n", NULL };
        struct rig *r = sentinel(2, answers);

        cr_assert_eq(sw_sink_start(r->sink), 0);
        RUN(r, all_marked);
        cr_assert(strstr(
                r->kit.requests[3], "POST /dataCollectionRules/dcr-1/streams/Custom-SegwatchFinding?api-version="));
        cr_assert(strstr(r->kit.requests[3], "Authorization: Bearer abc\r\n"));
        cr_assert(strstr(r->kit.requests[3], "Content-Encoding: gzip\r\n"));
        rig_free(r);
}

Test(sinks, rows_that_azure_refuses_are_set_aside)
{
        static const char *const answers[] = { TOKEN, ANSWER("400", "bad"), ANSWER("400", "bad"), ANSWER("204", ""),
                ANSWER("400", "bad"), NULL };
        struct rig *r = sentinel(2, answers);

        cr_assert_eq(sw_sink_start(r->sink), 0);
        RUN(r, all_marked);
        cr_assert_eq(sw_courier_stats(r->sink->courier).rejected, 1);
        cr_assert_eq(sw_courier_stats(r->sink->courier).rows, 1);
        rig_free(r);
}

Test(sinks, azure_is_asked_with_an_empty_array)
{
        static const char *const answers[] = { TOKEN,
                ANSWER("400", "{\"error\":{\"code\":\"InvalidPayload\",\"message\":\"The payload is Empty.\"}}"),
                ANSWER("403", "no"), ANSWER("204", ""),
                ANSWER("400", "{\"error\":{\"code\":\"InvalidStream\",\"message\":\"not configured\"}}"),
                ANSWER("400", "empty, but no word of the service"), ANSWER("413", ""), NULL };
        static const bool ok[] = { true, false, true, false, false, false };
        struct rig *r = sentinel(0, answers);
        int i;

        for (i = 0; i < 6; i++) {
                r->probed = 0;
                r->sink->probe(r->sink, on_probe, r);
                RUN(r, is_probed);
                cr_assert_eq(r->probe_ok, ok[i], "%d: %s", i, r->probe);
        }
        rig_free(r);
}

Test(sinks, without_a_token_nothing_is_sent)
{
        static const char *const answers[] = { ANSWER("400", "{\"error\":\"x\"}"), ANSWER("400", "{\"error\":\"x\"}"),
                NULL };
        struct rig *r = sentinel(1, answers);

        cr_assert_eq(sw_sink_start(r->sink), 0);
        RUN(r, is_failing);
        cr_assert(strstr(reason_of(r), "this machine has no such identity"), "%s", reason_of(r));
        rig_free(r);
}

/* ---- Kafka ---- */

static void quiet(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
        (void)rk, (void)level, (void)facility, (void)text;
}

struct bus {
        rd_kafka_t *rk;
        rd_kafka_mock_cluster_t *cluster;
};

static struct bus bus_new(void)
{
        rd_kafka_conf_t *c = rd_kafka_conf_new();
        struct bus b;
        char text[256];

        rd_kafka_conf_set_log_cb(c, quiet);
        b.rk = rd_kafka_new(RD_KAFKA_PRODUCER, c, text, sizeof(text));
        cr_assert(b.rk);
        b.cluster = rd_kafka_mock_cluster_new(b.rk, 1);
        cr_assert_eq(rd_kafka_mock_topic_create(b.cluster, "t", 2, 1), 0);
        return b;
}

static void bus_free(struct bus *b)
{
        rd_kafka_mock_cluster_destroy(b->cluster);
        rd_kafka_destroy(b->rk);
}

static const struct sw_kv_list no_settings;

static struct rig *kafka(int64_t n_rows, struct sw_sink_kafka_conf conf)
{
        struct rig *r = rig_new(n_rows);
        struct sw_sink_env env = rig_env(r);
        struct sw_err err = SW_ERR_NULL;
        const char *ca_file = conf.base.ca_file;
        int64_t timeout_ms = conf.base.timeout_ms;

        conf.base = rig_base();
        conf.base.ca_file = ca_file;
        conf.base.timeout_ms = timeout_ms ? timeout_ms : conf.base.timeout_ms;
        conf.settings = conf.settings ? conf.settings : &no_settings;
        cr_assert_eq(sw_sink_kafka_new(&conf, &env, &r->sink, &err), 0, "%s", err.msg);
        return r;
}

Test(sinks, a_topic_gets_all)
{
        struct bus b = bus_new();
        struct rig *r = kafka(1200,
                (struct sw_sink_kafka_conf){ .brokers = rd_kafka_mock_cluster_bootstraps(b.cluster), .topic = "t" });

        r->sink->probe(r->sink, on_probe, r);
        RUN(r, is_probed);
        cr_assert(r->probe_ok, "%s", r->probe);
        cr_assert(strstr(r->probe, "topic 't' has 2 partitions"));
        cr_assert_eq(sw_sink_start(r->sink), 0);
        RUN(r, all_marked);
        cr_assert_eq(sw_courier_stats(r->sink->courier).rows, 1200);
        cr_assert_eq(sw_courier_stats(r->sink->courier).rejected, 0);
        rig_free(r);
        bus_free(&b);
}

Test(sinks, a_broker_that_finds_them_too_large_gets_smaller_ones)
{
        struct bus b = bus_new();
        struct rig *r = kafka(
                2, (struct sw_sink_kafka_conf){ .brokers = rd_kafka_mock_cluster_bootstraps(b.cluster), .topic = "t" });

        rd_kafka_mock_push_request_errors(b.cluster, API_PRODUCE, 1, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
        cr_assert_eq(sw_sink_start(r->sink), 0);
        RUN(r, all_marked);
        cr_assert_gt(sw_courier_stats(r->sink->courier).requests, 1);
        rig_free(r);
        bus_free(&b);
}

Test(sinks, a_producer_that_lost_count_is_replaced)
{
        struct bus b = bus_new();
        struct rig *r = kafka(
                3, (struct sw_sink_kafka_conf){ .brokers = rd_kafka_mock_cluster_bootstraps(b.cluster), .topic = "t" });

        rd_kafka_mock_push_request_errors(b.cluster, API_PRODUCE, 1, RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
        cr_assert_eq(sw_sink_start(r->sink), 0);
        RUN(r, all_marked);
        cr_assert_eq(sw_courier_stats(r->sink->courier).rows, 3);
        rig_free(r);
        bus_free(&b);
}

Test(sinks, a_broker_that_refuses_is_an_outage)
{
        struct bus b = bus_new();
        struct rig *r = kafka(
                3, (struct sw_sink_kafka_conf){ .brokers = rd_kafka_mock_cluster_bootstraps(b.cluster), .topic = "t" });
        int i;

        for (i = 0; i < 1000; i++)
                rd_kafka_mock_push_request_errors(
                        b.cluster, API_PRODUCE, 1, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
        cr_assert_eq(sw_sink_start(r->sink), 0);
        RUN(r, is_failing);
        cr_assert_gt(strlen(reason_of(r)), 10);
        rd_kafka_mock_clear_request_errors(b.cluster, API_PRODUCE);
        RUN(r, all_marked);
        rig_free(r);
        bus_free(&b);
}

Test(sinks, nobody_listens_when_everything_ends)
{
        struct rig *r = kafka(3, (struct sw_sink_kafka_conf){ .brokers = "127.0.0.1:1", .topic = "t" });

        cr_assert_eq(sw_sink_start(r->sink), 0);
        r->sink->probe(r->sink, on_probe, r);
        RUN(r, is_probed);
        cr_assert_not(r->probe_ok);
        cr_assert(strstr(r->probe, "topic 't': "), "%s", r->probe);
        r->probed = 0;
        r->sink->probe(r->sink, on_probe, r);
        rig_free(r);
}

/* What is accepted has a producer that starts. */
Test(sinks, settings_that_would_break_what_is_promised_are_not_taken)
{
        static const struct {
                const char *key, *value, *wrong; /* NULL: fine */
        } rows[] = {
                { "enable.idempotence", "false", "is set by segwatch" },
                { "enable.idempotence", "true", "is set by segwatch" },
                { "acks", "1", "is set by segwatch" },
                { "request.required.acks", "1", "is set by segwatch" },
                { "delivery.timeout.ms", "1", "is set by segwatch" },
                { "delivery.report.only.error", "true", "is set by segwatch" },
                { "max.in.flight", "6", "must be 1 to 5" },
                { "max.in.flight", "5", NULL },
                { "max.in.flight.requests.per.connection", "6", "must be 1 to 5" },
                { "max.in.flight.requests.per.connection", "1", NULL },
                { "max.in.flight.requests.per.connection", "many", "does not take this value" },
                { "retries", "0", "must be 1 or more" },
                { "retries", "1", NULL },
                { "message.send.max.retries", "0", "must be 1 or more" },
                { "queuing.strategy", "lifo", "must be fifo" },
                { "queuing.strategy", "fifo", NULL },
                { "partitioner", "random", "must look at the key" },
                { "partitioner", "murmur2", NULL },
                { "linger.ms", "1", NULL },
                { "no.such", "1", "is not a setting" },
        };
        struct sw_kv kv = { 0 };
        const struct sw_kv_list list = { .items = &kv, .n = 1 };
        struct bus b = bus_new();
        const char *wrong;
        struct rig *r;
        size_t i;

        for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
                wrong = sw_sink_kafka_setting_wrong(rows[i].key, rows[i].value);
                cr_expect(rows[i].wrong ? wrong && strncmp(wrong, rows[i].wrong, strlen(rows[i].wrong)) == 0 : !wrong,
                        "%s %s: %s", rows[i].key, rows[i].value, wrong ? wrong : "taken");
                if (wrong)
                        continue;
                kv.key = (char *)(uintptr_t)rows[i].key;
                kv.value = (char *)(uintptr_t)rows[i].value;
                r = kafka(3, (struct sw_sink_kafka_conf){ .brokers = rd_kafka_mock_cluster_bootstraps(b.cluster),
                                     .topic = "t",
                                     .settings = &list });
                cr_assert_eq(sw_sink_start(r->sink), 0);
                RUN(r, all_marked);
                rig_free(r);
        }
        bus_free(&b);
}

static void kafka_cannot(struct sw_sink_kafka_conf conf, const char *why)
{
        struct rig *r = kafka(1, conf);

        r->sink->probe(r->sink, on_probe, r);
        RUN(r, is_probed);
        cr_expect(!r->probe_ok && strstr(r->probe, why), "'%s' does not say: %s", r->probe, why);
        cr_assert_eq(sw_sink_start(r->sink), 0);
        RUN(r, is_failing);
        cr_expect(strstr(reason_of(r), why), "'%s' does not say: %s", reason_of(r), why);
        rig_free(r);
}

Test(sinks, a_client_that_cannot_be_made_says_why)
{
        static char security[] = "security.protocol", ssl[] = "ssl", linger[] = "linger.ms", soon[] = "soon";
        struct sw_kv tls = { .key = security, .value = ssl }, bad = { .key = linger, .value = soon };
        const struct sw_kv_list with_tls = { .items = &tls, .n = 1 }, with_bad = { .items = &bad, .n = 1 };
        struct rig *r = rig_new(0);
        struct sw_sink_kafka_conf conf = { .brokers = NULL };
        char path[96];

        kafka_cannot(
                (struct sw_sink_kafka_conf){
                        .brokers = "h:1", .topic = "t", .settings = &with_tls, .base.ca_file = "/nonexistent.pem" },
                "ca");
        kafka_cannot((struct sw_sink_kafka_conf){ .brokers = "h:1", .topic = "t", .settings = &with_bad }, "linger.ms");
        snprintf(path, sizeof(path), "%s", rig_file(r, "string", "nonsense\n"));
        conf.connection_string.file = path;
        kafka_cannot(conf, "has a part without");
        rig_file(r, "string",
                "Endpoint=sb://h.servicebus.windows.net/;SharedAccessKeyName=a;SharedAccessKey=aHVudGVy \r\n");
        kafka_cannot(conf, "EntityPath");
        unlink(path);
        kafka_cannot(conf, "No such file");
        conf.connection_string = (struct sw_secret_ref){ 0 };
        rig_free(r);
}

/* ---- why it waits: `reason` of segwatch_sink_retries_total ---- */

static void reason_is(struct rig *r, bool (*until)(struct rig *r), enum sw_courier_cause cause)
{
        struct sw_courier_stats s;
        unsigned i;

        cr_assert_eq(sw_sink_start(r->sink), 0);
        RUN(r, until);
        s = sw_courier_stats(r->sink->courier);
        cr_expect_gt(s.retries_by[cause], 0, "not %s: %s", sw_courier_causes[cause], s.reason);
        for (i = 0; i < SW_COURIER_N_CAUSES; i++)
                cr_expect(i == cause || s.retries_by[i] == 0, "%s instead of %s: %s", sw_courier_causes[i],
                        sw_courier_causes[cause], s.reason);
        cr_expect_eq(s.rows, 0);
        rig_free(r);
}

static void broker_says(rd_kafka_resp_err_t err, enum sw_courier_cause cause)
{
        struct bus b = bus_new();
        struct rig *r = kafka(
                3, (struct sw_sink_kafka_conf){ .brokers = rd_kafka_mock_cluster_bootstraps(b.cluster), .topic = "t" });
        int i;

        for (i = 0; i < 1000; i++)
                rd_kafka_mock_push_request_errors(b.cluster, API_PRODUCE, 1, err);
        reason_is(r, is_failing, cause);
        bus_free(&b);
}

static bool failed_twice(struct rig *r)
{
        return sw_courier_stats(r->sink->courier).retries >= 2;
}

Test(sinks, what_a_broker_says_is_the_reason)
{
        broker_says(RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, SW_COURIER_CAUSE_AUTH);
        broker_says(RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED, SW_COURIER_CAUSE_AUTH);
        broker_says(RD_KAFKA_RESP_ERR_THROTTLING_QUOTA_EXCEEDED, SW_COURIER_CAUSE_THROTTLED);
        broker_says(RD_KAFKA_RESP_ERR_POLICY_VIOLATION, SW_COURIER_CAUSE_SERVER);
}

Test(sinks, a_broker_that_cannot_be_reached_is_the_reason)
{
        static char security[] = "security.protocol", ssl[] = "ssl";
        struct sw_kv tls = { .key = security, .value = ssl };
        const struct sw_kv_list with_tls = { .items = &tls, .n = 1 };
        char path[96], none[] = "/nonexistent";
        struct sw_sink_kafka_conf conf = { .topic = "t", .base.timeout_ms = 700 };
        struct bus b = bus_new();

        conf.brokers = "127.0.0.1:1";
        reason_is(kafka(1, conf), failed_twice, SW_COURIER_CAUSE_CONNECT);
        conf.brokers = "nosuch.invalid:9092";
        reason_is(kafka(1, conf), is_failing, SW_COURIER_CAUSE_CONNECT);
        conf.brokers = rd_kafka_mock_cluster_bootstraps(b.cluster); /* plain */
        conf.settings = &with_tls;
        reason_is(kafka(1, conf), is_failing, SW_COURIER_CAUSE_TLS);
        conf.settings = NULL;
        rd_kafka_mock_broker_set_rtt(b.cluster, 1, 5000);
        reason_is(kafka(1, conf), is_failing, SW_COURIER_CAUSE_TIMEOUT);
        conf.brokers = NULL;
        snprintf(path, sizeof(path), "%s", none);
        conf.connection_string.file = path;
        reason_is(kafka(1, conf), is_failing, SW_COURIER_CAUSE_OTHER);
        bus_free(&b);
}

static struct rig *syslog_to(uint32_t transport, const char *host, const char *port)
{
        struct rig *r = rig_new(1);
        struct sw_sink_syslog_conf conf = { .base = rig_base(),
                .transport = transport,
                .format = SW_SYSLOG_JSON,
                .host = host,
                .port = port,
                .path = "/nonexistent/log",
                .facility = 20 };
        struct sw_sink_env env = rig_env(r);
        struct sw_err err = SW_ERR_NULL;
        struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t n = sizeof(a);
        int small = 4096;
        char text[8];

        signal(SIGPIPE, SIG_IGN); /* as the daemon does */
        conf.base.timeout_ms = 300;
        if (!port) {
                r->peer = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
                setsockopt(r->peer, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
                cr_assert_eq(bind(r->peer, (struct sockaddr *)&a, n), 0);
                cr_assert_eq(listen(r->peer, 64), 0);
                cr_assert_eq(getsockname(r->peer, (struct sockaddr *)&a, &n), 0);
                snprintf(text, sizeof(text), "%u", ntohs(a.sin_port));
                conf.port = text;
                r->pad = 8 << 20; /* more than lies in buffers */
        }
        cr_assert_eq(sw_sink_syslog_new(&conf, &env, &r->sink, &err), 0, "%s", err.msg);
        return r;
}

/* The other end takes a connection and ends it at once. */
static bool ended_twice(struct rig *r)
{
        int c = accept(r->peer, NULL, NULL);

        if (c >= 0)
                close(c);
        return failed_twice(r);
}

Test(sinks, why_a_syslog_server_gets_nothing_is_the_reason)
{
        reason_is(syslog_to(SW_SYSLOG_TCP, "127.0.0.1", "1"), failed_twice, SW_COURIER_CAUSE_CONNECT);
        reason_is(syslog_to(SW_SYSLOG_TCP, "nosuch.invalid", "1"), is_failing, SW_COURIER_CAUSE_CONNECT);
        reason_is(syslog_to(SW_SYSLOG_UNIX, NULL, "-"), failed_twice, SW_COURIER_CAUSE_CONNECT);
        reason_is(syslog_to(SW_SYSLOG_TCP, "127.0.0.1", NULL), ended_twice, SW_COURIER_CAUSE_BROKEN);
        reason_is(syslog_to(SW_SYSLOG_TCP, "127.0.0.1", NULL), failed_twice, SW_COURIER_CAUSE_TIMEOUT);
        reason_is(syslog_to(SW_SYSLOG_TLS, "127.0.0.1", NULL), ended_twice, SW_COURIER_CAUSE_TLS);
        reason_is(syslog_to(SW_SYSLOG_TLS, "127.0.0.1", NULL), failed_twice, SW_COURIER_CAUSE_TIMEOUT);
}

Test(sinks, a_client_certificate_that_cannot_be_read_is_a_reason_of_our_own)
{
        static char none[] = "/nonexistent.pem";
        struct rig *r = rig_new(1);
        struct sw_sink_syslog_conf conf = {
                .base = rig_base(), .transport = SW_SYSLOG_TLS, .host = "127.0.0.1", .client_pem.file = none
        };
        struct sw_sink_env env = rig_env(r);
        struct sw_err err = SW_ERR_NULL;

        http_kit_start(&r->kit); /* somebody listens */
        snprintf(r->url, sizeof(r->url), "%u", r->kit.port);
        conf.port = r->url;
        cr_assert_eq(sw_sink_syslog_new(&conf, &env, &r->sink, &err), 0, "%s", err.msg);
        reason_is(r, is_failing, SW_COURIER_CAUSE_OTHER);
}

/* ---- Kafka with tokens; those that are taken: tests/e2e/test_kafka_token.py ---- */

static struct rig *kafka_with_tokens(const char *const *answers, char endpoint[64])
{
        const struct sw_token_conf auth = { .name = "o", .kind = SW_AUTH_IMDS, .endpoint = endpoint };
        struct sw_sink_kafka_conf conf = {
                .base = rig_base(), .brokers = "127.0.0.1:1", .topic = "t", .auth = &auth, .settings = &no_settings
        };
        struct rig *r = rig_new(1);
        struct sw_sink_env env = rig_env(r);
        struct sw_err err = SW_ERR_NULL;

        for (; *answers; answers++)
                http_kit_add(&r->kit, *answers);
        http_kit_start(&r->kit);
        snprintf(endpoint, 64, "http://127.0.0.1:%u/token", r->kit.port);
        conf.base.timeout_ms = 1000;
        cr_assert_eq(sw_sink_kafka_new(&conf, &env, &r->sink, &err), 0, "%s", err.msg);
        return r;
}

Test(sinks, a_topic_asked_with_a_token)
{
        static const char *const answers[] = { TOKEN, NULL };
        char endpoint[64];
        struct rig *r = kafka_with_tokens(answers, endpoint);

        cr_assert_eq(r->sink->token_expires(r->sink).ms, 0);
        r->sink->probe(r->sink, on_probe, r);
        r->sink->probe(r->sink, on_probe, r);
        cr_assert(r->probed == 1 && !r->probe_ok, "one at a time: %s", r->probe);
        cr_assert_str_eq(r->probe, "busy");
        r->probed = 0;
        RUN(r, is_probed);
        cr_assert(!r->probe_ok && strstr(r->probe, "topic 't': "), "%s", r->probe);
        cr_assert(strstr(r->kit.requests[0], "resource=https%3A%2F%2F127.0.0.1"), "%s", r->kit.requests[0]);
        cr_assert_gt(r->sink->token_expires(r->sink).ms, 0);
        rig_free(r);
}

Test(sinks, a_topic_without_a_token_waits)
{
        static const char *const answers[] = { ANSWER("400", "{\"error\":\"x\"}"), ANSWER("400", "{\"error\":\"x\"}"),
                ANSWER("400", "{\"error\":\"x\"}"), NULL };
        char endpoint[64];
        struct rig *r = kafka_with_tokens(answers, endpoint);

        r->sink->probe(r->sink, on_probe, r);
        RUN(r, is_probed);
        cr_assert(!r->probe_ok && strstr(r->probe, "this machine has no such identity"), "%s", r->probe);
        reason_is(r, is_failing, SW_COURIER_CAUSE_AUTH);
}

Test(sinks, everything_ends_while_a_token_is_waited_for)
{
        static const char *const answers[] = { NULL };
        char endpoint[64];
        struct rig *r = kafka_with_tokens(answers, endpoint);

        cr_assert_eq(sw_sink_start(r->sink), 0);
        r->sink->probe(r->sink, on_probe, r);
        rig_free(r);
}

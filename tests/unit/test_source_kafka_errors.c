/* SPDX-License-Identifier: Apache-2.0 */
#include "clock.h"
#include "kafka_kit.h"

/* Numbers of the protocol. */
#define API_FETCH 1
#define API_LIST_OFFSETS 2
#define API_OFFSET_COMMIT 8
#define API_OFFSET_FETCH 9

#define CONNECTION_STRING                                                                                              \
        "Endpoint=sb://weu.servicebus.windows.net/;SharedAccessKeyName=listen;SharedAccessKey=aHVudGVy"

/* ---- configurations ---- */

static void is_refused(struct kit *k, const char *why)
{
        struct sw_err err = SW_ERR_NULL;

        cr_assert_lt(kit_try(k, &err), 0, "should say: %s", why);
        cr_assert(strstr(err.msg, why), "'%s' does not say: %s", err.msg, why);
        cr_assert(strstr(err.msg, "sources: s: "), "%s", err.msg);
        cr_assert_null(strstr(err.msg, "aHVudGVy"), "a secret is shown: %s", err.msg);
        kit_free(k);
}

static struct kit *with_setting(const char *key, const char *value)
{
        struct kit *k = kit_new(0);

        kit_set(k, key, value);
        return k;
}

Test(source_kafka_errors, settings_that_delivery_depends_on_cannot_be_changed)
{
        is_refused(with_setting("group.id", "x"), "librdkafka: group.id is set by segwatch and cannot be changed");
        is_refused(with_setting("auto.offset.reset", "latest"), "auto.offset.reset is set by segwatch");
}

Test(source_kafka_errors, settings_that_are_none)
{
        is_refused(with_setting("no.such.thing", "1"), "librdkafka: no.such.thing: ");
        is_refused(with_setting("fetch.min.bytes", "many"), "librdkafka: fetch.min.bytes: ");
        is_refused(with_setting("security.protocol", "none"), "librdkafka: security.protocol: ");
}

Test(source_kafka_errors, what_is_missing_is_named)
{
        struct kit *k = kit_new(0);

        k->conf.topic = NULL;
        is_refused(k, "`topic:` is missing");
        k = kit_new(0);
        k->conf.brokers = NULL;
        is_refused(k, "`brokers:` is missing");
        k = with_setting("security.protocol", "ssl");
        k->conf.ca_file = "/nonexistent/ca.pem";
        is_refused(k, "ca");
}

static char secret_path[64];

static void write_secret(const char *text)
{
        FILE *f = fopen(secret_path, "w");

        cr_assert(f);
        cr_assert_geq(fputs(text, f), 0);
        cr_assert_eq(fclose(f), 0);
}

static void new_secret(const char *text)
{
        int fd;

        snprintf(secret_path, sizeof(secret_path), "/tmp/segwatch-secret-XXXXXX");
        fd = mkstemp(secret_path);
        cr_assert_geq(fd, 0);
        close(fd);
        write_secret(text);
}

/* Event Hubs as far as credentials go, without TLS. */
static struct kit *eventhubs(void)
{
        struct kit *k = with_setting("security.protocol", "plaintext");

        k->conf.eventhubs = true;
        k->conf.connection_string.file = secret_path;
        return k;
}

Test(source_kafka_errors, connection_strings_of_every_wrong_kind)
{
        static char credential[] = "eventhub";
        struct kit *k;

        new_secret("hunter2");
        is_refused(eventhubs(), "connection_string: ");
        write_secret(CONNECTION_STRING "\n");
        k = eventhubs();
        k->conf.topic = NULL;
        is_refused(k, "has no EntityPath; name the hub with `topic:`");
        unlink(secret_path);
        is_refused(eventhubs(), "No such file");
        k = eventhubs();
        k->conf.connection_string.file = NULL;
        k->conf.connection_string.credential = credential;
        unsetenv("CREDENTIALS_DIRECTORY");
        is_refused(k, "connection_string: ");
}

Test(source_kafka_errors, the_connection_string_names_broker_and_hub)
{
        struct kit *k;

        new_secret(CONNECTION_STRING ";EntityPath=hub \r\n\n");
        k = eventhubs();
        k->conf.brokers = k->conf.topic = NULL;
        kit_start(k);
        cr_assert_str_eq(sw_source_kafka_topic(k->source), "hub");
        cr_assert_str_eq(k->source->brokers, "weu.servicebus.windows.net:9093");
        kit_free(k);
        unlink(secret_path);
}

Test(source_kafka_errors, tokens_need_a_broker_with_a_name)
{
        const struct sw_token_conf auth = { .name = "s", .kind = SW_AUTH_IMDS, .endpoint = "http://127.0.0.1:1/" };
        struct kit *k = eventhubs();

        k->conf.auth = &auth;
        k->conf.brokers = NULL;
        is_refused(k, "`brokers:` is missing");
        k = eventhubs();
        k->conf.auth = &auth;
        k->conf.brokers = ":9093";
        is_refused(k, "`brokers:` is missing");
}

/* ---- what the broker says ---- */

static bool ten(struct kit *k)
{
        return k->n_total == 10;
}

static bool is_failing(struct kit *k)
{
        return k->source->failing;
}

static void works_after(struct kit *k, const char *event)
{
        kit_until(k, is_failing);
        cr_assert(kit_said(k, event), "not told: %s", event);
        rd_kafka_mock_topic_set_error(k->cluster, "t", RD_KAFKA_RESP_ERR_NO_ERROR);
        kit_until(k, ten);
        cr_assert_not(k->source->failing);
        cr_assert(kit_said(k, "event=kafka_works"));
        kit_free(k);
}

static struct kit *with_ten(void)
{
        struct kit *k = kit_new(1);

        kit_produce(k, 0, 10, 0);
        return k;
}

Test(source_kafka_errors, a_topic_that_may_not_be_read)
{
        struct kit *k = with_ten();

        rd_kafka_mock_topic_set_error(k->cluster, "t", RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
        kit_start(k);
        works_after(k, "event=kafka_forbidden");
}

Test(source_kafka_errors, a_topic_that_is_not_there)
{
        struct kit *k = with_ten();

        rd_kafka_mock_topic_set_error(k->cluster, "t", RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
        kit_start(k);
        works_after(k, "event=kafka_topic");
}

Test(source_kafka_errors, a_group_that_may_not_be_read_is_no_hindrance)
{
        struct kit *k = with_ten();

        rd_kafka_mock_push_request_errors(
                k->cluster, API_OFFSET_FETCH, 1, RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED);
        kit_start(k);
        kit_until(k, ten);
        cr_assert_eq(k->starts[0], 0);
        kit_free(k);
}

Test(source_kafka_errors, another_error_of_the_group_is_waited_for)
{
        struct kit *k = with_ten();

        rd_kafka_mock_push_request_errors(k->cluster, API_OFFSET_FETCH, 1, RD_KAFKA_RESP_ERR_INVALID_GROUP_ID);
        kit_start(k);
        works_after(k, "event=kafka_error");
}

static bool failed_twice(struct kit *k)
{
        return atomic_load(&k->source->n_errors) >= 2;
}

Test(source_kafka_errors, pauses_grow_while_offsets_cannot_be_asked_for)
{
        struct kit *k = with_ten();
        struct sw_source_stats stats;
        int i;

        for (i = 0; i < 20; i++)
                rd_kafka_mock_push_request_errors(
                        k->cluster, API_LIST_OFFSETS, 1, RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED);
        kit_start(k);
        kit_until(k, failed_twice);
        cr_assert_geq(k->source->retry_ms, 1000);
        sw_source_kafka_stats(k->source, &stats);
        cr_assert(stats.failing);
        cr_assert_eq(stats.n_partitions, 0);
        cr_assert_eq(stats.lag, -1);
        rd_kafka_mock_clear_request_errors(k->cluster, API_LIST_OFFSETS);
        works_after(k, "event=kafka_forbidden");
}

Test(source_kafka_errors, a_position_out_of_range_is_asked_for_again)
{
        struct kit *k = with_ten();

        rd_kafka_mock_push_request_errors(k->cluster, API_FETCH, 1, RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE);
        kit_start(k);
        kit_until(k, ten);
        cr_assert_eq(k->n_gaps, 0);
        cr_assert_eq(k->n_anew, 0);
        cr_assert_eq(k->offsets[0][9], 9);
        kit_free(k);
}

static bool cannot_commit(struct kit *k)
{
        return kit_said(k, "event=kafka_commit");
}

Test(source_kafka_errors, offsets_that_cannot_be_committed_are_told)
{
        static const uint32_t id = 10;
        static const int64_t next = 10, unknown = -1;
        struct kit *k = with_ten();

        kit_start(k);
        kit_until(k, ten);
        sw_source_kafka_commit(k->source, &id, &unknown, 1, false); /* nothing to say */
        rd_kafka_mock_push_request_errors(
                k->cluster, API_OFFSET_COMMIT, 1, RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED);
        sw_source_kafka_commit(k->source, &id, &next, 1, false);
        kit_until(k, cannot_commit);
        cr_assert(kit_said(k, "nothing is lost, but lag tools see old numbers"));
        kit_free(k);
}

Test(source_kafka_errors, brokers_that_are_gone_are_told_and_tried_again)
{
        static const uint32_t id = 10;
        static const int64_t next = 10;
        struct kit *k = with_ten();
        struct sw_mono began;

        kit_start(k);
        kit_until(k, ten);
        cr_assert_eq(rd_kafka_mock_broker_set_down(k->cluster, 1), 0);
        kit_until(k, is_failing);
        cr_assert(kit_said(k, "event=kafka_connect"));
        sw_source_kafka_commit(k->source, &id, &next, 1, true); /* nobody there: does not wait for them */
        k->n_total = 0;
        cr_assert_eq(rd_kafka_mock_broker_set_up(k->cluster, 1), 0);
        kit_produce(k, 0, 10, 0);
        kit_until(k, ten);
        began = sw_clock_mono();
        kit_free(k);
        cr_assert_lt(sw_clock_mono().ms - began.ms, 5000, "nothing is waited for");
}

Test(source_kafka_errors, nobody_listens)
{
        struct kit *k = kit_new(0);

        k->conf.brokers = "127.0.0.1:1";
        kit_start(k);
        kit_until(k, is_failing);
        cr_assert(kit_said(k, "event=kafka_connect"));
        cr_assert_eq(sw_source_kafka_n_partitions(k->source), -1);
        kit_free(k);
}

/* ---- what it means ---- */

struct seen {
        char text[512];
};

static void each_cause(void *ctx, const char *code, uint64_t n)
{
        struct seen *s = ctx;
        size_t at = strlen(s->text);

        snprintf(s->text + at, sizeof(s->text) - at, "%s=%u ", code, (unsigned)n);
}

Test(source_kafka_errors, each_cause_has_its_event_and_its_advice)
{
        static const struct {
                rd_kafka_resp_err_t err;
                const char *event, *advice;
        } rows[] = {
                { RD_KAFKA_RESP_ERR__AUTHENTICATION, "event=kafka_auth", "read again at each try" },
                { RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED, "event=kafka_auth", "the right Listen" },
                { RD_KAFKA_RESP_ERR__SSL, "event=kafka_tls", "`ca_file:`" },
                { RD_KAFKA_RESP_ERR__RESOLVE, "event=kafka_resolve", "DNS" },
                { RD_KAFKA_RESP_ERR__TRANSPORT, "event=kafka_connect", "9093" },
                { RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, "event=kafka_connect", "no broker answers" },
                { RD_KAFKA_RESP_ERR__TIMED_OUT, "event=kafka_connect", "every 10 s" },
                { RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE, "event=kafka_connect", "Trying on" },
                { RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, "event=kafka_topic", "no such topic" },
                { RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC, "event=kafka_topic", "EntityPath" },
                { RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION, "event=kafka_topic", "the right hub" },
                { RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, "event=kafka_forbidden", "needs Listen" },
                { RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED, "event=kafka_forbidden", "Basic tier" },
                { RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED, "event=kafka_forbidden", "misspelt" },
                { RD_KAFKA_RESP_ERR_INVALID_MSG, "event=kafka_error", "trying on" },
        };
        struct kit *k = kit_new(0);
        struct seen s = { "" };
        size_t i;

        k->conf.brokers = "127.0.0.1:1";
        kit_start(k);
        for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
                kit_forget_log(k);
                sw__kafka_works(k->source);
                sw__kafka_error(k->source, rows[i].err, "so it is");
                cr_assert(kit_said(k, rows[i].event), "%s", rows[i].event);
                cr_assert(kit_said(k, rows[i].advice), "%s", rows[i].advice);
                cr_assert(kit_said(k, "so it is"));
        }
        sw_source_kafka_errors(k->source, each_cause, &s);
        cr_assert_str_eq(s.text, "auth=2 tls=1 resolve=1 connect=4 topic=3 forbidden=3 commit=0 error=1 ");
        kit_free(k);
}

Test(source_kafka_errors, a_cause_is_told_once_and_hides_the_broken_connection_it_brings)
{
        struct kit *k = kit_new(0);
        static const rd_kafka_resp_err_t causes[] = { RD_KAFKA_RESP_ERR__AUTHENTICATION, RD_KAFKA_RESP_ERR__SSL,
                RD_KAFKA_RESP_ERR__RESOLVE };
        size_t i;

        k->conf.brokers = "127.0.0.1:1";
        kit_start(k);
        for (i = 0; i < 3; i++) {
                sw__kafka_works(k->source);
                sw__kafka_error(k->source, causes[i], "first");
                kit_forget_log(k);
                sw__kafka_error(k->source, causes[i], "again");
                sw__kafka_error(k->source, RD_KAFKA_RESP_ERR__TRANSPORT, "closed");
                cr_assert_not(kit_said(k, "again"));
                cr_assert_not(kit_said(k, "closed"));
                k->source->told_ms[causes[i] == RD_KAFKA_RESP_ERR__AUTHENTICATION ? SW__KAFKA_AUTH
                                   : causes[i] == RD_KAFKA_RESP_ERR__SSL          ? SW__KAFKA_TLS
                                                                                  : SW__KAFKA_RESOLVE] -=
                        SW__KAFKA_TELL_AGAIN_MS + 1;
                sw__kafka_error(k->source, causes[i], "a minute later");
                cr_assert(kit_said(k, "a minute later"));
        }
        sw_source_kafka_stop(k->source);
        sw__kafka_error(k->source, RD_KAFKA_RESP_ERR__SSL, "too late");
        cr_assert_not(kit_said(k, "too late"));
        kit_free(k);
}

Test(source_kafka_errors, who_has_tokens_is_told_of_roles)
{
        const struct sw_token_conf auth = { .name = "s", .kind = SW_AUTH_IMDS, .endpoint = "http://127.0.0.1:1/" };
        struct kit *k = kit_new(0);

        k->conf.eventhubs = true;
        k->conf.auth = &auth;
        k->conf.brokers = "localhost:1";
        kit_start(k);
        sw__kafka_error(k->source, RD_KAFKA_RESP_ERR__AUTHENTICATION, "no");
        sw__kafka_error(k->source, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, "no");
        cr_assert(kit_said(k, "the identity needs the role Azure Event Hubs Data Receiver"));
        kit_forget_log(k);
        sw__kafka_error(k->source, RD_KAFKA_RESP_ERR__SSL, "no");
        cr_assert_not(kit_said(k, "Data Receiver"));
        sw__kafka_try_new_secret(k->source); /* has none */
        kit_free(k);
}

/* ---- a key that changes ---- */

Test(source_kafka_errors, a_secret_that_was_refused_is_read_again)
{
        struct kit *k;

        new_secret(CONNECTION_STRING ";EntityPath=t");
        k = eventhubs();
        kit_start(k);
        sw__kafka_try_new_secret(k->source);
        cr_assert_not(kit_said(k, "event=kafka_secret"), "nobody refused it");
        sw__kafka_error(k->source, RD_KAFKA_RESP_ERR__AUTHENTICATION, "no");
        sw__kafka_try_new_secret(k->source);
        cr_assert_not(kit_said(k, "event=kafka_secret"), "it is the same");
        write_secret("Endpoint=sb://x/;SharedAccessKeyName=listen");
        sw__kafka_try_new_secret(k->source);
        cr_assert_not(kit_said(k, "event=kafka_secret"), "within a second");
        k->source->next_secret_ms = 0;
        sw__kafka_try_new_secret(k->source);
        cr_assert(kit_said(k, "connection_string: "));
        kit_forget_log(k);
        unlink(secret_path);
        k->source->next_secret_ms = 0;
        sw__kafka_try_new_secret(k->source);
        cr_assert(kit_said(k, "No such file"));
        new_secret(CONNECTION_STRING "2;EntityPath=t");
        k->source->secret.file = (sw_free(k->source->secret.file), sw_strdup(secret_path));
        k->source->next_secret_ms = 0;
        sw__kafka_try_new_secret(k->source);
        cr_assert(kit_said(k, "the secret has changed; trying with the new one"));
        cr_assert_not(kit_said(k, "aHVudGVy"));
        kit_free(k);
        unlink(secret_path);
}

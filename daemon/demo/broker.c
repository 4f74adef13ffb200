/* SPDX-License-Identifier: Apache-2.0 */
/* The broker child. The mock cluster keeps 5 MiB a partition; compressed, the whole scenario fits into its partitions,
 * so everything is written before the daemon starts and nothing can be overtaken or lost. */
#include "base/alloc.h"
#include "demo/demo.h"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BROKER_TAIL_MS = 12 * 60 * 1000, BROKER_ASK_MS = 150, BROKER_FLUSH_MS = 60000 };

struct broker {
        const struct sw_demo_broker_conf *conf;
        rd_kafka_t *host, *producer, *group;
        rd_kafka_mock_cluster_t *cluster;
        const char *bootstraps;
        int64_t *n_sent, *enough; /* per partition: messages; offset that says that it is behind the daemon */
        unsigned n_failed;
        FILE *keep;
};

static void broker_tell(const struct broker *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void broker_tell(const struct broker *b, const char *fmt, ...)
{
        char text[512];
        va_list ap;
        int n;

        va_start(ap, fmt);
        n = vsnprintf(text, sizeof(text) - 1, fmt, ap);
        va_end(ap);
        if (n < 0)
                return;
        if ((size_t)n > sizeof(text) - 2)
                n = (int)sizeof(text) - 2;
        text[n] = '\n';
        if (write(b->conf->out, text, (size_t)n + 1) < 0)
                _exit(1); /* the parent is gone */
}

static _Noreturn void broker_die(const struct broker *b, const char *what, const char *why)
{
        broker_tell(b, "error %s: %s", what, why);
        _exit(1);
}

/* librdkafka's own words are of no use to who watches a demonstration. */
static void broker_quiet(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
        (void)rk, (void)level, (void)facility, (void)text;
}

static void broker_on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
        struct broker *b = opaque;

        (void)rk;
        b->n_failed += m->err != RD_KAFKA_RESP_ERR_NO_ERROR;
}

static rd_kafka_t *broker_client(struct broker *b, rd_kafka_type_t type, const char *const *settings)
{
        rd_kafka_conf_t *conf = rd_kafka_conf_new();
        char why[256];
        rd_kafka_t *rk;

        rd_kafka_conf_set_log_cb(conf, broker_quiet);
        rd_kafka_conf_set_opaque(conf, b);
        if (type == RD_KAFKA_PRODUCER)
                rd_kafka_conf_set_dr_msg_cb(conf, broker_on_delivery);
        for (; settings[0]; settings += 2)
                if (rd_kafka_conf_set(conf, settings[0], settings[1], why, sizeof(why)) != RD_KAFKA_CONF_OK)
                        broker_die(b, settings[0], why);
        rk = rd_kafka_new(type, conf, why, sizeof(why));
        if (!rk)
                broker_die(b, "librdkafka", why);
        return rk;
}

static void broker_start(struct broker *b)
{
        const int n = (int)b->conf->scenario.n_partitions;

        b->host =
                broker_client(b, RD_KAFKA_PRODUCER, (const char *const[]){ "client.id", "segwatch-demo-broker", NULL });
        b->cluster = rd_kafka_mock_cluster_new(b->host, 1);
        if (!b->cluster || rd_kafka_mock_topic_create(b->cluster, SW_DEMO_TOPIC, n, 1) != RD_KAFKA_RESP_ERR_NO_ERROR)
                broker_die(b, "broker", "the mock cluster cannot be made");
        b->bootstraps = rd_kafka_mock_cluster_bootstraps(b->cluster);
        b->n_sent = sw_calloc((size_t)n, sizeof(*b->n_sent));
        b->enough = sw_calloc((size_t)n, sizeof(*b->enough));
        if (!b->n_sent || !b->enough)
                broker_die(b, "broker", "out of memory");
        b->producer = broker_client(b, RD_KAFKA_PRODUCER,
                (const char *const[]){ "bootstrap.servers", b->bootstraps, "compression.codec", "zstd", "linger.ms",
                        "20", "message.max.bytes", "4000000", "queue.buffering.max.kbytes", "32768",
                        "max.in.flight.requests.per.connection", "1", NULL });
        broker_tell(b, "brokers %s", b->bootstraps);
}

static void broker_send(struct broker *b, const struct sw_scenario_message *m, int64_t end_ms)
{
        rd_kafka_resp_err_t err;

        while ((err = rd_kafka_producev(b->producer, RD_KAFKA_V_TOPIC(SW_DEMO_TOPIC),
                        RD_KAFKA_V_PARTITION((int32_t)m->partition), RD_KAFKA_V_TIMESTAMP(m->time.ms),
                        RD_KAFKA_V_VALUE((void *)(uintptr_t)m->bytes.p, m->bytes.n),
                        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END)) == RD_KAFKA_RESP_ERR__QUEUE_FULL)
                rd_kafka_poll(b->producer, 20);
        if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
                broker_die(b, "produce", rd_kafka_err2str(err));
        rd_kafka_poll(b->producer, 0);
        b->n_sent[m->partition]++;
        if (m->newest.ms < end_ms - BROKER_TAIL_MS)
                b->enough[m->partition] = b->n_sent[m->partition];
        if (b->keep && (fwrite(m->bytes.p, 1, m->bytes.n, b->keep) != m->bytes.n || fputc('\n', b->keep) == EOF))
                broker_die(b, b->conf->keep, "cannot be written");
}

static void broker_fill(struct broker *b)
{
        struct sw_scenario_message m;
        struct sw_scenario_stats st;
        struct sw_err err = SW_ERR_NULL;
        struct sw_scenario *s;
        uint32_t i;
        int r;

        if (sw_scenario_new(&b->conf->scenario, &s, &err) < 0)
                broker_die(b, "scenario", err.msg);
        if (b->conf->keep && !(b->keep = fopen(b->conf->keep, "w")))
                broker_die(b, b->conf->keep, "cannot be written");
        st = sw_scenario_stats(s);
        while ((r = sw_scenario_next(s, &m)) == SW_SCENARIO_OK)
                broker_send(b, &m, st.end.ms);
        if (r < 0)
                broker_die(b, "scenario", "out of memory");
        if (rd_kafka_flush(b->producer, BROKER_FLUSH_MS) != RD_KAFKA_RESP_ERR_NO_ERROR || b->n_failed)
                broker_die(b, "produce", "the broker did not take every message");
        for (i = 0; i < b->conf->scenario.n_partitions; i++) {
                int64_t low = -1, high = -1;

                if (rd_kafka_query_watermark_offsets(
                            b->producer, SW_DEMO_TOPIC, (int32_t)i, &low, &high, BROKER_FLUSH_MS) ||
                        low != 0 || high != b->n_sent[i])
                        broker_die(b, "broker", "a partition did not keep all of its messages");
        }
        if (b->keep && fclose(b->keep) != 0)
                broker_die(b, b->conf->keep, "cannot be written");
        st = sw_scenario_stats(s);
        broker_tell(b, "filled %llu %llu %llu %llu", (unsigned long long)st.messages, (unsigned long long)st.records,
                (unsigned long long)st.tuples, (unsigned long long)st.bytes);
        sw_scenario_free(s);
        rd_kafka_destroy(b->producer);
}

/* What the daemon's consumer group has committed, as any lag tool would ask. True: all but the last minutes. */
static bool broker_ask(struct broker *b, int64_t *last)
{
        uint32_t n = b->conf->scenario.n_partitions, i, n_behind = 0;
        rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)n);
        int64_t done = 0, all = 0;

        for (i = 0; i < n; i++)
                rd_kafka_topic_partition_list_add(list, SW_DEMO_TOPIC, (int32_t)i);
        if (rd_kafka_committed(b->group, list, 2000) == RD_KAFKA_RESP_ERR_NO_ERROR) {
                for (i = 0; i < n; i++) {
                        int64_t offset = list->elems[i].offset > 0 ? list->elems[i].offset : 0;

                        done += offset;
                        all += b->n_sent[i];
                        n_behind += offset >= b->enough[i];
                }
                if (done != *last)
                        broker_tell(b, "progress %lld %lld", (long long)done, (long long)all);
                *last = done;
        }
        rd_kafka_topic_partition_list_destroy(list);
        return n_behind == n;
}

_Noreturn void sw_demo_broker(const struct sw_demo_broker_conf *conf)
{
        struct broker b = { .conf = conf };
        struct pollfd alive = { .fd = conf->alive, .events = POLLIN };
        int64_t last = -1;
        bool done = false;

        broker_start(&b);
        broker_fill(&b);
        b.group = broker_client(&b, RD_KAFKA_CONSUMER,
                (const char *const[]){
                        "bootstrap.servers", b.bootstraps, "group.id", "segwatch-" SW_DEMO_TOPIC, NULL });
        while (poll(&alive, 1, BROKER_ASK_MS) == 0)
                if (!done && (done = broker_ask(&b, &last)))
                        broker_tell(&b, "done");
        _exit(0); /* threads, sockets and memory go with the process */
}

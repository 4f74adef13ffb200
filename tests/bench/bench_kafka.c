/* SPDX-License-Identifier: Apache-2.0 */
/* Two ends of the Kafka measurement, each a process of its own:
 *
 *   bench_kafka broker FILE PARTITIONS   hosts librdkafka's mock cluster and fills the topic "bench" with the lines of
 *                                        FILE (4.5 MB a partition: the mock keeps 5 MiB), prints "BROKERS MESSAGES
 * BYTES" and serves until its stdin ends bench_kafka discard BROKERS PARTITIONS MESSAGES consumes that many messages,
 * does nothing with them, prints nanoseconds and bytes from the first to the last */
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { TOPIC_WAIT_MS = 30000, MAX_PARTITIONS = 256 };

static int kafka_fail(const char *what, const char *why)
{
        fprintf(stderr, "bench_kafka: %s: %s\n", what, why);
        return 1;
}

static rd_kafka_t *kafka_client(rd_kafka_type_t type, const char *const *settings)
{
        rd_kafka_conf_t *conf = rd_kafka_conf_new();
        char why[256];
        rd_kafka_t *rk;

        for (; settings[0]; settings += 2)
                if (rd_kafka_conf_set(conf, settings[0], settings[1], why, sizeof(why)) != RD_KAFKA_CONF_OK) {
                        kafka_fail(settings[0], why);
                        rd_kafka_conf_destroy(conf);
                        return NULL;
                }
        rk = rd_kafka_new(type, conf, why, sizeof(why));
        if (!rk) {
                kafka_fail("client", why);
                rd_kafka_conf_destroy(conf);
        }
        return rk;
}

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
        (void)rk;
        if (m->err)
                ++*(unsigned *)opaque;
}

/* The partition that holds least; the mock drops what goes beyond 5 MiB. */
static int32_t broker_choose(const unsigned long long *held, int n_partitions)
{
        int32_t best = 0, i;

        for (i = 1; i < n_partitions; i++)
                if (held[i] < held[best])
                        best = i;
        return best;
}

static int broker_fill(
        rd_kafka_t *rk, const char *path, int n_partitions, unsigned long long *ret_bytes, unsigned long *ret_n)
{
        FILE *f = fopen(path, "r");
        char *line = NULL;
        size_t cap = 0;
        ssize_t n;
        unsigned long long held[MAX_PARTITIONS] = { 0 };
        unsigned long i = 0;

        if (!f)
                return kafka_fail(path, "cannot be read");
        while ((n = getline(&line, &cap, f)) > 0) {
                int32_t to = broker_choose(held, n_partitions);

                if (line[n - 1] == '\n')
                        n--;
                while (rd_kafka_producev(rk, RD_KAFKA_V_TOPIC("bench"), RD_KAFKA_V_PARTITION(to),
                               RD_KAFKA_V_VALUE(line, (size_t)n), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                               RD_KAFKA_V_END) == RD_KAFKA_RESP_ERR__QUEUE_FULL)
                        rd_kafka_poll(rk, 10);
                rd_kafka_poll(rk, 0);
                held[to] += (unsigned long long)n;
                *ret_bytes += (unsigned long long)n;
                i++;
        }
        free(line);
        fclose(f);
        *ret_n = i;
        return rd_kafka_flush(rk, TOPIC_WAIT_MS) ? kafka_fail("produce", "not delivered in time") : 0;
}

static int broker_run(const char *path, int n_partitions)
{
        static const char *const mock_settings[] = { "client.id", "broker", NULL };
        rd_kafka_t *host = kafka_client(RD_KAFKA_PRODUCER, mock_settings), *rk;
        rd_kafka_mock_cluster_t *cluster = host ? rd_kafka_mock_cluster_new(host, 1) : NULL;
        const char *brokers = cluster ? rd_kafka_mock_cluster_bootstraps(cluster) : NULL;
        unsigned long long bytes = 0;
        unsigned long n = 0;
        unsigned failed = 0;
        rd_kafka_conf_t *conf;
        struct pollfd gone = { .fd = 0, .events = POLLIN };
        char why[256];

        if (!cluster || rd_kafka_mock_topic_create(cluster, "bench", n_partitions, 1) != RD_KAFKA_RESP_ERR_NO_ERROR)
                return kafka_fail("mock cluster", "cannot be made");
        conf = rd_kafka_conf_new();
        rd_kafka_conf_set(conf, "bootstrap.servers", brokers, why, sizeof(why));
        rd_kafka_conf_set(conf, "message.max.bytes", "4194304", why, sizeof(why));
        rd_kafka_conf_set(conf, "linger.ms", "0", why, sizeof(why));
        rd_kafka_conf_set(conf, "queue.buffering.max.kbytes", "65536", why, sizeof(why));
        rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
        rd_kafka_conf_set_opaque(conf, &failed);
        rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof(why));
        if (!rk)
                return kafka_fail("producer", why);
        if (broker_fill(rk, path, n_partitions, &bytes, &n) || failed)
                return kafka_fail("fill", "messages were not taken");
        rd_kafka_destroy(rk);
        printf("%s %lu %llu\n", brokers, n, bytes);
        fflush(stdout);
        while (poll(&gone, 1, -1) >= 0 && !(gone.revents & (POLLHUP | POLLERR | POLLNVAL))) {
                char c;

                if (gone.revents & POLLIN && read(0, &c, 1) <= 0)
                        break;
        }
        rd_kafka_mock_cluster_destroy(cluster);
        rd_kafka_destroy(host);
        return 0;
}

static long long now_ns(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int discard_run(const char *brokers, int n_partitions, unsigned long n_wanted)
{
        const char *const settings[] = { "bootstrap.servers", brokers, "group.id", "discard", "enable.auto.commit",
                "false", "fetch.message.max.bytes", "4194304", "queued.max.messages.kbytes", "65536", "check.crcs",
                "false", NULL };
        rd_kafka_t *rk = kafka_client(RD_KAFKA_CONSUMER, settings);
        rd_kafka_topic_partition_list_t *parts = rd_kafka_topic_partition_list_new(n_partitions);
        unsigned long long bytes = 0;
        unsigned long n = 0;
        long long began = 0;
        int i;

        if (!rk)
                return 1;
        rd_kafka_poll_set_consumer(rk);
        for (i = 0; i < n_partitions; i++)
                rd_kafka_topic_partition_list_add(parts, "bench", i)->offset = RD_KAFKA_OFFSET_BEGINNING;
        rd_kafka_assign(rk, parts);
        rd_kafka_topic_partition_list_destroy(parts);
        while (n < n_wanted) {
                rd_kafka_message_t *m = rd_kafka_consumer_poll(rk, 10000);

                if (!m)
                        return kafka_fail("consume", "nothing came for 10 s");
                if (!began)
                        began = now_ns();
                if (!m->err) {
                        bytes += m->len;
                        n++;
                }
                rd_kafka_message_destroy(m);
        }
        printf("%lld %llu\n", now_ns() - began, bytes);
        rd_kafka_consumer_close(rk);
        rd_kafka_destroy(rk);
        return 0;
}

int main(int argc, char **argv)
{
        if (argc == 4 && atoi(argv[3]) > 0 && atoi(argv[3]) <= MAX_PARTITIONS && strcmp(argv[1], "broker") == 0)
                return broker_run(argv[2], atoi(argv[3]));
        if (argc == 5 && strcmp(argv[1], "discard") == 0)
                return discard_run(argv[2], atoi(argv[3]), strtoul(argv[4], NULL, 10));
        fprintf(stderr, "usage: bench_kafka broker FILE PARTITIONS | discard BROKERS PARTITIONS MESSAGES\n");
        return 64;
}

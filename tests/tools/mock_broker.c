/* SPDX-License-Identifier: Apache-2.0 */
/* librdkafka's mock cluster as a program that tests steer. Not installed.
 *
 *   mock_broker [BROKERS]           prints "brokers HOST:PORT,..." and then reads commands, one a line; each is
 *                                   answered by "ok" or "error TEXT":
 *     topic NAME PARTITIONS
 *     down BROKER | up BROKER       from 1
 *     rtt BROKER MS
 *     leader TOPIC PARTITION BROKER
 *     errors API CODE COUNT         the next COUNT requests of that kind fail with that code (numbers of the protocol)
 *     topic_error TOPIC CODE        0: none any more
 *
 * Ends with its standard input. Keeps 5 MiB a partition, as the library does. */
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static rd_kafka_mock_cluster_t *cluster;

static void quiet(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
        (void)rk, (void)level, (void)facility, (void)text;
}

static rd_kafka_resp_err_t push_errors(int16_t api, rd_kafka_resp_err_t code, int count)
{
        int i;

        for (i = 0; i < count; i++)
                rd_kafka_mock_push_request_errors(cluster, api, 1, code);
        return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static rd_kafka_resp_err_t obey(const char *line)
{
        char topic[256];
        int a, b, c;

        if (sscanf(line, "topic %255s %d", topic, &a) == 2)
                return rd_kafka_mock_topic_create(cluster, topic, a, 1);
        if (sscanf(line, "down %d", &a) == 1)
                return rd_kafka_mock_broker_set_down(cluster, a);
        if (sscanf(line, "up %d", &a) == 1)
                return rd_kafka_mock_broker_set_up(cluster, a);
        if (sscanf(line, "rtt %d %d", &a, &b) == 2)
                return rd_kafka_mock_broker_set_rtt(cluster, a, b);
        if (sscanf(line, "leader %255s %d %d", topic, &a, &b) == 3)
                return rd_kafka_mock_partition_set_leader(cluster, topic, a, b);
        if (sscanf(line, "errors %d %d %d", &a, &b, &c) == 3)
                return push_errors((int16_t)a, (rd_kafka_resp_err_t)b, c);
        if (sscanf(line, "topic_error %255s %d", topic, &a) == 2) {
                rd_kafka_mock_topic_set_error(cluster, topic, (rd_kafka_resp_err_t)a);
                return RD_KAFKA_RESP_ERR_NO_ERROR;
        }
        return RD_KAFKA_RESP_ERR__INVALID_ARG;
}

int main(int argc, char **argv)
{
        rd_kafka_conf_t *conf = rd_kafka_conf_new();
        char text[512];
        rd_kafka_t *rk;

        rd_kafka_conf_set_log_cb(conf, quiet);
        rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof(text));
        cluster = rk ? rd_kafka_mock_cluster_new(rk, argc > 1 ? atoi(argv[1]) : 1) : NULL;
        if (!cluster) {
                fprintf(stderr, "mock_broker: the cluster cannot be made\n");
                return 1;
        }
        printf("brokers %s\n", rd_kafka_mock_cluster_bootstraps(cluster));
        fflush(stdout);
        while (fgets(text, sizeof(text), stdin)) {
                rd_kafka_resp_err_t err = obey(text);

                if (err)
                        printf("error %s\n", rd_kafka_err2str(err));
                else
                        printf("ok\n");
                fflush(stdout);
        }
        _exit(0);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What end-to-end tests do to a Kafka topic:
 *   kafka_tool BROKERS create TOPIC PARTITIONS
 *   kafka_tool BROKERS delete TOPIC
 *   kafka_tool BROKERS grow TOPIC PARTITIONS
 *   kafka_tool BROKERS trim TOPIC PARTITION OFFSET        delete what lies before OFFSET
 *   kafka_tool BROKERS produce TOPIC                      stdin: "PARTITION TIME_MS BYTES\n" and that many bytes, ...
 *   kafka_tool BROKERS committed GROUP TOPIC PARTITION    prints the group's offset
 * Exit 0 when the broker confirmed everything. */
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MS 15000

static void fail(const char *what, const char *why)
{
        fprintf(stderr, "kafka_tool: %s: %s\n", what, why);
        exit(1);
}

static unsigned n_undelivered;

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
        (void)rk, (void)opaque;
        n_undelivered += m->err != RD_KAFKA_RESP_ERR_NO_ERROR;
}

static rd_kafka_t *client(rd_kafka_type_t type, const char *brokers, const char *group)
{
        rd_kafka_conf_t *c = rd_kafka_conf_new();
        rd_kafka_t *rk;
        char text[256];

        if (rd_kafka_conf_set(c, "bootstrap.servers", brokers, text, sizeof(text)) != RD_KAFKA_CONF_OK ||
                rd_kafka_conf_set(c, "message.max.bytes", "8000000", text, sizeof(text)) != RD_KAFKA_CONF_OK ||
                (type == RD_KAFKA_PRODUCER &&
                        rd_kafka_conf_set(c, "linger.ms", "5", text, sizeof(text)) != RD_KAFKA_CONF_OK) ||
                (group && rd_kafka_conf_set(c, "group.id", group, text, sizeof(text)) != RD_KAFKA_CONF_OK))
                fail("configuration", text);
        if (type == RD_KAFKA_PRODUCER)
                rd_kafka_conf_set_dr_msg_cb(c, on_delivery);
        rk = rd_kafka_new(type, c, text, sizeof(text));
        if (!rk)
                fail("client", text);
        return rk;
}

static void admin(rd_kafka_t *rk, int argc, char **argv)
{
        rd_kafka_queue_t *q = rd_kafka_queue_new(rk);
        rd_kafka_event_t *ev;
        const rd_kafka_topic_result_t **topics = NULL;
        char text[256];
        size_t i, n = 0;

        if (strcmp(argv[2], "create") == 0 && argc == 5) {
                rd_kafka_NewTopic_t *t = rd_kafka_NewTopic_new(argv[3], atoi(argv[4]), 1, text, sizeof(text));

                rd_kafka_CreateTopics(rk, &t, 1, NULL, q);
        } else if (strcmp(argv[2], "delete") == 0 && argc == 4) {
                rd_kafka_DeleteTopic_t *t = rd_kafka_DeleteTopic_new(argv[3]);

                rd_kafka_DeleteTopics(rk, &t, 1, NULL, q);
        } else if (strcmp(argv[2], "grow") == 0 && argc == 5) {
                rd_kafka_NewPartitions_t *p =
                        rd_kafka_NewPartitions_new(argv[3], (size_t)atoi(argv[4]), text, sizeof(text));

                rd_kafka_CreatePartitions(rk, &p, 1, NULL, q);
        } else if (strcmp(argv[2], "trim") == 0 && argc == 6) {
                rd_kafka_topic_partition_list_t *l = rd_kafka_topic_partition_list_new(1);
                rd_kafka_DeleteRecords_t *d;

                rd_kafka_topic_partition_list_add(l, argv[3], atoi(argv[4]))->offset = atoll(argv[5]);
                d = rd_kafka_DeleteRecords_new(l);
                rd_kafka_DeleteRecords(rk, &d, 1, NULL, q);
        } else {
                fail("usage", "see the head of kafka_tool.c");
        }
        ev = rd_kafka_queue_poll(q, TIMEOUT_MS);
        if (!ev)
                fail(argv[2], "no answer");
        if (rd_kafka_event_error(ev) != RD_KAFKA_RESP_ERR_NO_ERROR)
                fail(argv[2], rd_kafka_event_error_string(ev));
        if (rd_kafka_event_CreateTopics_result(ev))
                topics = rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(ev), &n);
        else if (rd_kafka_event_DeleteTopics_result(ev))
                topics = rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(ev), &n);
        else if (rd_kafka_event_CreatePartitions_result(ev))
                topics = rd_kafka_CreatePartitions_result_topics(rd_kafka_event_CreatePartitions_result(ev), &n);
        for (i = 0; i < n; i++)
                if (rd_kafka_topic_result_error(topics[i]) != RD_KAFKA_RESP_ERR_NO_ERROR)
                        fail(rd_kafka_topic_result_name(topics[i]), rd_kafka_topic_result_error_string(topics[i]));
}

static void produce(rd_kafka_t *rk, const char *topic)
{
        long long stamp;
        size_t size;
        int partition;

        while (scanf("%d %lld %zu", &partition, &stamp, &size) == 3) {
                char *bytes = malloc(size + 1);
                rd_kafka_resp_err_t err;

                if (!bytes || getchar() != '\n' || fread(bytes, 1, size, stdin) != size)
                        fail("produce", "stdin ended within a message");
                for (;;) {
                        err = rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(partition),
                                RD_KAFKA_V_TIMESTAMP(stamp), RD_KAFKA_V_VALUE(bytes, size),
                                RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_FREE), RD_KAFKA_V_END);
                        if (err != RD_KAFKA_RESP_ERR__QUEUE_FULL)
                                break;
                        rd_kafka_poll(rk, 100);
                }
                if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
                        fail("produce", rd_kafka_err2str(err));
        }
        if (rd_kafka_flush(rk, TIMEOUT_MS) != RD_KAFKA_RESP_ERR_NO_ERROR || rd_kafka_outq_len(rk) > 0 || n_undelivered)
                fail("produce", "the broker did not confirm every message");
}

static void committed(rd_kafka_t *rk, const char *topic, int partition)
{
        rd_kafka_topic_partition_list_t *l = rd_kafka_topic_partition_list_new(1);
        rd_kafka_resp_err_t err;

        rd_kafka_topic_partition_list_add(l, topic, partition);
        err = rd_kafka_committed(rk, l, TIMEOUT_MS);
        if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
                fail("committed", rd_kafka_err2str(err));
        printf("%lld\n", (long long)l->elems[0].offset);
}

int main(int argc, char **argv)
{
        if (argc == 6 && strcmp(argv[2], "committed") == 0) {
                committed(client(RD_KAFKA_CONSUMER, argv[1], argv[3]), argv[4], atoi(argv[5]));
        } else if (argc == 4 && strcmp(argv[2], "produce") == 0) {
                produce(client(RD_KAFKA_PRODUCER, argv[1], NULL), argv[3]);
        } else if (argc >= 4) {
                admin(client(RD_KAFKA_PRODUCER, argv[1], NULL), argc, argv);
        } else {
                fail("usage", "see the head of kafka_tool.c");
        }
        fflush(stdout);
        _Exit(0); /* nothing is left to do: waiting for the client's threads would only cost time */
}

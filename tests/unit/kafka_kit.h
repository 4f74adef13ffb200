/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A Kafka source on librdkafka's mock cluster, in this process: one topic "t", what was delivered, what was told. */
#include "base/alloc.h"
#include "base/hash.h"
#include "source/source_kafka_int.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define KIT_PARTITIONS 4
#define KIT_MAX 512
#define KIT_STAMP INT64_C(1767225600000) /* 2026-01-01, of message 0 of a partition; each one a minute later */

struct kit {
        rd_kafka_t *producer;
        rd_kafka_mock_cluster_t *cluster;
        struct sw_loop *loop;
        struct sw_log *log;
        int log_fd;
        struct sw_source_kafka *source;
        struct sw_watch *look, *end;
        struct sw_source_kafka_conf conf;
        struct sw_kv settings[8];
        char texts[8][2][64];
        struct sw_kv_list list;
        bool (*until)(struct kit *k);
        bool late;

        struct sw_source_place places[KIT_PARTITIONS]; /* what is answered; next 0: SW_SOURCE_NEVER_READ */
        int refuse_partitions, answer;                 /* of on_message */
        /* seen */
        uint32_t n_messages[KIT_PARTITIONS], n_total, n_refused, n_rounds;
        int64_t offsets[KIT_PARTITIONS][KIT_MAX], starts[KIT_PARTITIONS], gap_from, gap_to, expected, anew;
        char first[KIT_PARTITIONS][64];
        bool at_end[KIT_PARTITIONS], has_more[KIT_PARTITIONS];
        struct sw_etime front[KIT_PARTITIONS];
        unsigned n_gaps, n_anew, n_starts;
        char owner[1024];
};

static inline void kit_quiet(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
        (void)rk, (void)level, (void)facility, (void)text;
}

/* A setting of librdkafka. */
static inline void kit_set(struct kit *k, const char *key, const char *value)
{
        uint32_t i = k->list.n++;

        cr_assert_lt(i, 8u);
        snprintf(k->texts[i][0], sizeof(k->texts[i][0]), "%s", key);
        snprintf(k->texts[i][1], sizeof(k->texts[i][1]), "%s", value);
        k->settings[i] = (struct sw_kv){ .key = k->texts[i][0], .value = k->texts[i][1] };
}

static inline struct kit *kit_new(int partitions)
{
        rd_kafka_conf_t *c = rd_kafka_conf_new();
        struct kit *k = calloc(1, sizeof(*k));
        char text[256];
        int i;

        cr_assert(k);
        rd_kafka_conf_set_log_cb(c, kit_quiet);
        cr_assert_eq(rd_kafka_conf_set(c, "linger.ms", "0", text, sizeof(text)), RD_KAFKA_CONF_OK);
        k->producer = rd_kafka_new(RD_KAFKA_PRODUCER, c, text, sizeof(text));
        cr_assert(k->producer, "%s", text);
        k->cluster = rd_kafka_mock_cluster_new(k->producer, 1);
        cr_assert(k->cluster);
        cr_assert_eq(rd_kafka_brokers_add(k->producer, rd_kafka_mock_cluster_bootstraps(k->cluster)), 1);
        if (partitions)
                cr_assert_eq(rd_kafka_mock_topic_create(k->cluster, "t", partitions, 1), 0);
        k->log_fd = memfd_create("log", 0);
        cr_assert_eq(fcntl(k->log_fd, F_SETFL, O_APPEND), 0);
        cr_assert_eq(sw_log_new(k->log_fd, SW_LOG_DEBUG, SW_LOG_LOGFMT, &k->log), 0);
        sw_log_set_interval(k->log, 0);
        for (i = 0; i < KIT_PARTITIONS; i++) {
                k->places[i] = (struct sw_source_place){
                        .next = SW_SOURCE_NEVER_READ, .until = SW_SOURCE_EVERYTHING, .stamp = SW_ETIME_NONE
                };
                k->front[i] = SW_ETIME_NONE;
                k->starts[i] = -100;
        }
        k->conf = (struct sw_source_kafka_conf){ .name = "s",
                .brokers = rd_kafka_mock_cluster_bootstraps(k->cluster),
                .topic = "t",
                .start_time = SW_ETIME_NONE,
                .librdkafka = &k->list };
        k->list.items = k->settings;
        kit_set(k, "topic.metadata.refresh.interval.ms", "100");
        kit_set(k, "reconnect.backoff.max.ms", "200");
        return k;
}

/* n messages of a record each; `size`: as large, 0: as small as they are. */
static inline void kit_produce(struct kit *k, int32_t partition, int n, size_t size)
{
        int64_t at = KIT_STAMP;
        char head[96], *body = calloc(1, size + sizeof(head));
        int i, len;

        for (i = 0; i < n; i++, at += 60000) {
                len = snprintf(head, sizeof(head), "{\"records\":[{\"time\":\"2026-01-01T%02d:%02d:00Z\",\"n\":%d}]}",
                        i / 60 % 24, i % 60, i);
                memset(body, ' ', size);
                memcpy(body, head, (size_t)len);
                cr_assert_eq(rd_kafka_producev(k->producer, RD_KAFKA_V_TOPIC("t"), RD_KAFKA_V_PARTITION(partition),
                                     RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                                     RD_KAFKA_V_VALUE(body, (size_t)len > size ? (size_t)len : size),
                                     RD_KAFKA_V_TIMESTAMP(at), RD_KAFKA_V_END),
                        RD_KAFKA_RESP_ERR_NO_ERROR);
        }
        cr_assert_eq(rd_kafka_flush(k->producer, 10000), RD_KAFKA_RESP_ERR_NO_ERROR);
        free(body);
}

static inline int kit_on_partition(
        void *ctx, const char *topic, int32_t partition, uint32_t *ret_id, struct sw_source_place *ret)
{
        struct kit *k = ctx;

        cr_assert_str_eq(topic, "t");
        if (k->refuse_partitions)
                return -SW_ERR_LIMIT;
        *ret_id = (uint32_t)partition + 10;
        *ret = k->places[partition];
        return 0;
}

static inline void kit_on_start(void *ctx, uint32_t id, const struct sw_source_place *at, bool has_more)
{
        struct kit *k = ctx;

        k->starts[id - 10] = at->next;
        k->has_more[id - 10] = has_more;
        k->n_starts++;
}

static inline int kit_on_message(void *ctx, uint32_t id, const struct sw_source_message *m)
{
        struct kit *k = ctx;
        uint32_t p = id - 10;

        if (k->answer) {
                k->n_refused++;
                return k->answer;
        }
        cr_assert_eq(m->next, m->offset + 1);
        cr_assert_lt(k->n_messages[p], KIT_MAX);
        if (k->n_messages[p] == 0)
                snprintf(
                        k->first[p], sizeof(k->first[p]), "%.*s", (int)(m->bytes.n < 63 ? m->bytes.n : 63), m->bytes.p);
        k->offsets[p][k->n_messages[p]++] = m->offset;
        k->n_total++;
        m->done(m->owner);
        return 0;
}

static inline void kit_on_at_end(void *ctx, uint32_t id, bool at_end)
{
        ((struct kit *)ctx)->at_end[id - 10] = at_end;
}

static inline void kit_on_front(void *ctx, uint32_t id, struct sw_etime front)
{
        ((struct kit *)ctx)->front[id - 10] = front;
}

static inline void kit_on_round(void *ctx)
{
        ((struct kit *)ctx)->n_rounds++;
}

static inline void kit_on_gap(void *ctx, uint32_t id, int64_t from, int64_t to)
{
        struct kit *k = ctx;

        (void)id;
        k->n_gaps++;
        k->gap_from = from;
        k->gap_to = to;
}

static inline void kit_on_recreated(void *ctx, uint32_t id, int64_t expected, int64_t next)
{
        struct kit *k = ctx;

        (void)id;
        k->n_anew++;
        k->expected = expected;
        k->anew = next;
}

static inline void kit_on_owner(void *ctx, const char *text)
{
        struct kit *k = ctx;

        snprintf(k->owner, sizeof(k->owner), "%s", text);
}

static inline int kit_try(struct kit *k, struct sw_err *reterr)
{
        const struct sw_source_hooks hooks = { .ctx = k,
                .on_partition = kit_on_partition,
                .on_start = kit_on_start,
                .on_message = kit_on_message,
                .on_at_end = kit_on_at_end,
                .on_front = kit_on_front,
                .on_round = kit_on_round,
                .on_gap = kit_on_gap,
                .on_recreated = kit_on_recreated,
                .on_owner = kit_on_owner };

        if (!k->loop)
                cr_assert_eq(sw_loop_new(&k->loop), 0);
        return sw_source_kafka_new(&k->conf, k->loop, k->log, &hooks, &k->source, reterr);
}

static inline void kit_start(struct kit *k)
{
        struct sw_err err = SW_ERR_NULL;

        cr_assert_eq(kit_try(k, &err), 0, "%s", err.msg);
}

static inline void kit_stop(struct kit *k)
{
        if (k->source)
                sw_source_kafka_stop(k->source);
        k->loop = sw_loop_free(k->loop);
        k->source = sw_source_kafka_free(k->source);
}

static inline void kit_free(struct kit *k)
{
        kit_stop(k);
        rd_kafka_mock_cluster_destroy(k->cluster);
        rd_kafka_destroy(k->producer);
        sw_log_free(k->log);
        close(k->log_fd);
        free(k);
}

/* Whether the log has this text. */
static inline bool kit_said(struct kit *k, const char *text)
{
        off_t n = lseek(k->log_fd, 0, SEEK_END);
        char *p = calloc(1, (size_t)n + 1);
        bool found;

        cr_assert_eq(pread(k->log_fd, p, (size_t)n, 0), n);
        found = strstr(p, text) != NULL;
        free(p);
        return found;
}

static inline void kit_forget_log(struct kit *k)
{
        cr_assert_eq(ftruncate(k->log_fd, 0), 0);
}

static inline void kit_look(void *ctx)
{
        struct kit *k = ctx;

        if (k->until && k->until(k))
                sw_loop_stop(k->loop);
}

static inline void kit_late(void *ctx)
{
        struct kit *k = ctx;

        k->late = true;
        sw_loop_stop(k->loop);
}

/* Runs the loop until it is so, 20 s at most (NULL: for that many ms). */
static inline bool kit_run(struct kit *k, bool (*until)(struct kit *k), int64_t ms)
{
        k->until = until;
        k->late = false;
        cr_assert_eq(sw_loop_timer(k->loop, 0, 5, kit_look, k, &k->look), 0);
        cr_assert_eq(sw_loop_timer(k->loop, until ? 20000 : ms, 0, kit_late, k, &k->end), 0);
        sw_loop_run(k->loop);
        k->look = sw_watch_close(k->look);
        k->end = sw_watch_close(k->end);
        return !k->late;
}

#define kit_until(k, until) cr_assert(kit_run(k, until, 0), "not within 20 s: " #until)
#define kit_for(k, ms) (void)kit_run(k, NULL, ms)

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One Kafka topic, all of its partitions, read by explicit assignment (design.md 4, 5): no consumer group decides what
 * this process reads, so positions come from our own state. New partitions are found and read from their start.
 *
 * Loop: librdkafka writes to an eventfd when its queue fills; the loop drains the queue without waiting. What a broker
 * has to be asked for (metadata, end offsets) is asked on a thread of the pool, one question at a time.
 * Threads: the loop's; the messages' `done` may be called by any thread, before sw_source_kafka_free. */
#include "base/err.h"
#include "base/time.h"
#include "config/option.h"
#include "log.h"
#include "loop.h"

enum sw_source_kafka_start { SW_SOURCE_KAFKA_EARLIEST, SW_SOURCE_KAFKA_LATEST, SW_SOURCE_KAFKA_TIME };

/* Everything is read during _new only, except the secret, which is read again when the broker refuses it. */
struct sw_source_kafka_conf {
        const char *name;
        bool eventhubs; /* the profile of Azure Event Hubs; connection_string is then needed */
        struct sw_secret_ref connection_string;
        const char *brokers; /* NULL for eventhubs: NAMESPACE:9093 */
        const char *topic;   /* NULL for eventhubs: EntityPath */
        const char *group;   /* of the commits that lag tools see; NULL: "segwatch-<topic>" */
        const char *ca_file; /* NULL: the system's */
        enum sw_source_kafka_start start;
        struct sw_etime start_time;
        const struct sw_kv_list *librdkafka; /* may be NULL */
};

struct sw_source_message {
        struct sw_str bytes;
        int64_t offset;
        struct sw_etime carrier;
        void (*done)(void *owner);
        void *owner;
};

/* Where to read a partition that was just found. */
enum {
        SW_SOURCE_NEVER_READ = -1 /* nor any other of its topic: `start` decides */,
        SW_SOURCE_NEW = -2 /* others were */
};

struct sw_source_hooks {
        void *ctx;
        /* *ret_id: the caller's number of it; *ret_next: the offset to read next or SW_SOURCE_x. 0 | negative: leave
         * it. */
        int (*on_partition)(void *ctx, const char *topic, int32_t partition, uint32_t *ret_id, int64_t *ret_next);
        /* Reading starts here: after the lowest offset and the caller's wish were compared. has_more: it is not at its
         * end, so something will come. */
        void (*on_start)(void *ctx, uint32_t id, int64_t next, bool has_more);
        /* 0: taken, with its owner. Positive: no room; nothing is delivered until sw_source_kafka_room. Negative: stop.
         */
        int (*on_message)(void *ctx, uint32_t id, const struct sw_source_message *m);
        /* Whether the partition is at an end offset asked for after everything before was delivered. */
        void (*on_at_end)(void *ctx, uint32_t id, bool at_end);
        /* What the partition brings next begins at this event time, as far as can be seen without decoding it. May be
         * NULL. */
        void (*on_front)(void *ctx, uint32_t id, struct sw_etime front);
        /* Before every partition gets its next share: the time to call sw_source_kafka_limit. May be NULL. */
        void (*on_round)(void *ctx);
        /* Messages [from, to) are gone: never to be seen. */
        void (*on_gap)(void *ctx, uint32_t id, int64_t from, int64_t to);
};

struct sw_source_kafka;
/* Starts reading; contact with the brokers comes later and its failure is logged, never an error here.
 * -SW_ERR_CONFIG with the reason, -SW_ERR_IO, -SW_ERR_NOMEM. Strings of conf need not outlive the call. */
int sw_source_kafka_new(const struct sw_source_kafka_conf *conf, struct sw_loop *loop, struct sw_log *log,
        const struct sw_source_hooks *hooks, struct sw_source_kafka **ret, struct sw_err *reterr);
/* No hook is called any more. Messages stay valid. */
void sw_source_kafka_stop(struct sw_source_kafka *s);
/* After stop, after the loop was freed, and after every message is done. NULL-safe, returns NULL. */
struct sw_source_kafka *sw_source_kafka_free(struct sw_source_kafka *s);

void sw_source_kafka_room(struct sw_source_kafka *s);
/* Messages that begin later than this event time are not delivered for now (catch-up is aligned); NONE: all are. */
void sw_source_kafka_limit(struct sw_source_kafka *s, struct sw_etime limit);
/* Tells the group what was processed; in the background, a failure only shows in the log. next < 0 is left out. */
void sw_source_kafka_commit(struct sw_source_kafka *s, const uint32_t *ids, const int64_t *next, uint32_t n);

struct sw_source_kafka_stats {
        const char *topic;
        uint32_t n_partitions, n_at_end, n_ahead; /* ahead: beyond the limit */
        uint64_t messages, bytes, gaps, n_errors;
        int64_t lag; /* messages not yet delivered, of partitions whose end is known; -1 = none known */
        bool waiting_for_room;
        bool failing; /* the last thing heard of the brokers was an error */
};
void sw_source_kafka_stats(const struct sw_source_kafka *s, struct sw_source_kafka_stats *ret);

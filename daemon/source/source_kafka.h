/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One Kafka topic, all of its partitions, read by explicit assignment: no consumer group decides what
 * this process reads, so positions come from our own state. New partitions are found and read from their start.
 *
 * Loop: librdkafka writes to an eventfd when its queue fills; the loop drains the queue without waiting. What a broker
 * has to be asked for (metadata, end offsets) is asked on a thread of the pool, one question at a time.
 * Threads: the loop's; the messages' `done` may be called by any thread, before sw_source_kafka_free. */
#include "azure/token.h"
#include "base/err.h"
#include "base/time.h"
#include "config/option.h"
#include "log.h"
#include "loop.h"
#include "source/source.h"

enum sw_source_kafka_start { SW_SOURCE_KAFKA_EARLIEST, SW_SOURCE_KAFKA_LATEST, SW_SOURCE_KAFKA_TIME };

/* Everything is read during _new only, except the secret, which is read again when the broker refuses it. */
struct sw_source_kafka_conf {
        const char *name;
        bool eventhubs;                         /* the profile of Azure Event Hubs */
        struct sw_secret_ref connection_string; /* eventhubs */
        struct sw_secret_ref password;    /* else: sasl.password of sasl.username among librdkafka; may be empty */
        const struct sw_token_conf *auth; /* eventhubs, instead of it: OAUTHBEARER with tokens of Entra; NULL: none */
        const char *brokers;              /* NULL for eventhubs: NAMESPACE:9093 */
        const char *topic;                /* NULL for eventhubs: EntityPath */
        const char *group;                /* of the commits that lag tools see; NULL: "segwatch-<topic>" */
        const char *ca_file;              /* NULL: the system's */
        const char
                *instance; /* id of this state folder: another one that is active under the group is told; NULL: not */
        bool take_over;    /* be the owner, whoever was */
        enum sw_source_kafka_start start;
        struct sw_etime start_time;
        const struct sw_kv_list *librdkafka; /* may be NULL */
};

/* Where to read a partition that was just found. */
enum {
        SW_SOURCE_NEVER_READ = -1 /* nor any other of its topic: `start` decides */,
        SW_SOURCE_NEW = -2 /* others were */
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
/* Where the partitions end is asked again as soon as possible: it has been a while in event time. */
void sw_source_kafka_ask_ends(struct sw_source_kafka *s);
/* Nothing at or beyond this offset is delivered for now; what was fetched already waits, bounded, and holds no other
 * partition up. SW_SOURCE_EVERYTHING: no such limit. */
void sw_source_kafka_until(struct sw_source_kafka *s, uint32_t id, int64_t until);
/* Everything before `until` that there is was delivered. False also as long as the partition was not found. */
bool sw_source_kafka_reached(const struct sw_source_kafka *s, uint32_t id, int64_t until);
int32_t sw_source_kafka_n_partitions(const struct sw_source_kafka *s); /* -1: not known yet */
const char *sw_source_kafka_topic(const struct sw_source_kafka *s);
/* Tells the group what was processed; in the background, a failure only shows in the log. next < 0 is left out. With it
 * goes who we are: "segwatch id=.. term=.. host=.. pid=.. at=MS". leaving: we stop now; waits for the answer, briefly.
 */
void sw_source_kafka_commit(
        struct sw_source_kafka *s, const uint32_t *ids, const int64_t *next, uint32_t n, bool leaving);

void sw_source_kafka_stats(const struct sw_source_kafka *s, struct sw_source_stats *ret);

/* For metrics. Per partition whose end is known: messages not delivered yet. */
void sw_source_kafka_lags(
        const struct sw_source_kafka *s, void (*each)(void *ctx, int32_t partition, int64_t lag), void *ctx);
/* Per kind of error since the start: "auth", "connect" ... */
void sw_source_kafka_errors(
        const struct sw_source_kafka *s, void (*each)(void *ctx, const char *code, uint64_t n), void *ctx);
uint64_t sw_source_kafka_throttled_ms(const struct sw_source_kafka *s);        /* the brokers asked for */
struct sw_wall sw_source_kafka_token_expires(const struct sw_source_kafka *s); /* 0: it has none, or none yet */
const char *sw_source_kafka_version(void);                                     /* of librdkafka */

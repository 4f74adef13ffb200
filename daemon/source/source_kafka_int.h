/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Shared by the files of the Kafka source:
 *   source_kafka.c         life, draining, partitions
 *   source_kafka_part.c    partitions: where each begins, what is gone
 *   source_kafka_same.c    whether the topic is still the one that was read
 *   source_kafka_owner.c   what the group is told, and who else tells it
 *   source_kafka_client.c  client configuration, credentials, what errors mean
 *   source_kafka_ask.c     questions that wait for a broker */
#include "source/source_kafka.h"

#include <librdkafka/rdkafka.h>
#include <stdatomic.h>

#define SW__KAFKA_TELL_AGAIN_MS 60000

enum sw__kafka_cause {
        SW__KAFKA_AUTH,
        SW__KAFKA_TLS,
        SW__KAFKA_RESOLVE,
        SW__KAFKA_CONNECT,
        SW__KAFKA_TOPIC,
        SW__KAFKA_FORBIDDEN,
        SW__KAFKA_COMMIT,
        SW__KAFKA_OTHER,
        SW__KAFKA_N_CAUSES,
};

struct sw__kafka_partition {
        bool known, at_end, started;
        bool reset_wanted;     /* its position is out of range: ask for the range again */
        bool suspect;          /* the topic was away: it may be another one */
        bool verify;           /* the message at `check` is read first: is it the one that was read? */
        bool refilled;         /* it was not */
        int64_t check;         /* a message that was read while the topic was the one we know; -1: none */
        struct sw_etime stamp; /* of it, as it was */
        uint64_t hash;
        int64_t checked_ms;   /* when it was, or when it was chosen */
        uint64_t n_since;     /* bytes that were delivered since */
        int64_t doubted_ms;   /* when time stamps last said that it may be another one; 0: never */
        uint64_t hash_before; /* of the last message of the topic before this one */
        int64_t low, high;    /* as last answered; -1: not yet */
        int64_t until;        /* deliver nothing at or beyond */
        int64_t committed;    /* what the group was last told */
        uint32_t id;
        int64_t next;            /* offset that is expected next */
        rd_kafka_queue_t *queue; /* its own: who is ahead of the others is just not served */
        /* Taken from the queue, not yet delivered, in order. librdkafka stops fetching for a second whenever its queue
         * passes its limit, so what it fetched is moved here as long as this partition has room. */
        struct sw__kafka_waiting {
                struct sw__kafka_waiting *next;
                rd_kafka_message_t *m;
                struct sw_etime time; /* of its first record, else its time stamp; NONE: not known */
        } * first, *last;
        size_t waiting_bytes;
};

/* One question and its answer; owned by the source, handed to the pool while `busy`. */
struct sw__kafka_ask {
        rd_kafka_t *rk;
        rd_kafka_topic_t *topic; /* with metadata */
        const atomic_bool *stop;
        bool metadata, committed;
        struct sw_etime start_time;            /* also ask where this time is; NONE: not */
        int32_t first_new;                     /* metadata: partitions from here on are asked for their range */
        rd_kafka_topic_partition_list_t *list; /* partitions asked for; grows by the new ones */
        /* Each with a time; the answer is the first offset at or after it. NULL: not asked, or not answered. */
        rd_kafka_topic_partition_list_t *after;
        /* answers */
        rd_kafka_resp_err_t err;
        int32_t n_partitions; /* -1: not known */
        rd_kafka_topic_partition_list_t *low, *high, *group, *at_time;
};
void sw__kafka_ask_run(void *ask);                   /* on a pool thread */
void sw__kafka_ask_reset(struct sw__kafka_ask *ask); /* forgets the answers and the list */
/* Offset of a partition in an answer; -1 if it has none. */
int64_t sw__kafka_ask_offset(const rd_kafka_topic_partition_list_t *list, const char *topic, int32_t partition);

struct sw_source_kafka {
        char *name, *topic, *brokers;
        bool eventhubs;
        struct sw_secret_ref secret; /* copies */
        char *user;                  /* whose password it is; NULL: it has none, or tokens */
        struct sw_httpc *http;       /* both NULL unless it has tokens */
        struct sw_token *token;
        enum sw_source_kafka_start start;
        struct sw_etime start_time;
        struct sw_loop *loop;
        struct sw_log *log;
        struct sw_source_hooks hooks;

        rd_kafka_t *rk;
        rd_kafka_queue_t *queue;
        rd_kafka_topic_t *rkt;
        int event_fd;
        struct sw_watch *readable, *again, *tick;
        bool full; /* the pipeline had no room */
        struct sw_etime limit;
        bool draining;

        struct sw__kafka_partition *partitions; /* by number */
        int32_t n_partitions, turn;             /* turn: who is served first next time */
        bool started_once;                      /* the first partitions were assigned: later ones are new */

        struct sw__kafka_ask ask;
        bool busy, stopped;
        bool ends_wanted; /* before their time */
        atomic_bool stop;
        int64_t next_discovery_ms, discovery_ms, retry_ms, next_end_check_ms;

        char secret_id[33]; /* of the credentials in use */
        int64_t next_secret_ms;
        int64_t told_ms[SW__KAFKA_N_CAUSES]; /* 0: not since it last worked */
        bool failing;
        uint64_t messages, bytes, gaps, gap_messages;

        struct sw__kafka_owner {
                char *instance; /* of this state folder; NULL: nobody looks */
                bool take_over, checked;
                uint64_t term; /* of our claim: more than any that was seen; 0: none yet */
                int64_t next_claim_ms;
        } owner;
        atomic_uint_fast64_t n_errors;
        uint64_t n_by_cause[SW__KAFKA_N_CAUSES], throttled_ms;
};

/* ---- source_kafka_part.c ---- */

bool sw__kafka_has(const struct sw_source_kafka *s, int32_t number);
struct sw__kafka_partition *sw__kafka_find(const struct sw_source_kafka *s, uint32_t id, int32_t *ret_number);
void sw__kafka_set_at_end(struct sw_source_kafka *s, struct sw__kafka_partition *p, bool at_end);
/* A partition that the answer just brought: registers it, decides where to start, starts. 0 | 1: ask again. */
int sw__kafka_add(struct sw_source_kafka *s, int32_t number);
int sw__kafka_grow(struct sw_source_kafka *s, int32_t n);
/* Takes what the answer says of its range. */
void sw__kafka_use_range(struct sw_source_kafka *s, int32_t number);
/* (Re)starts fetching of one partition at p->next, or at the message that is compared. */
void sw__kafka_assign(struct sw_source_kafka *s, int32_t number);
void sw__kafka_flush(struct sw__kafka_partition *p); /* drops what waits: it is fetched again, or not wanted */

/* ---- source_kafka_same.c ---- */

/* The topic may be another one: nothing is delivered until every partition was looked at. */
void sw__kafka_suspect(struct sw_source_kafka *s);
/* Whether a message that came is to be delivered: the one that is compared is not. */
bool sw__kafka_verify(struct sw_source_kafka *s, struct sw__kafka_partition *p, const rd_kafka_message_t *m);
/* Whether to ask where the messages begin that are newer than the one that is kept in mind. */
bool sw__kafka_wants_after(const struct sw__kafka_partition *p, int64_t now_ms);
/* Takes the answer. */
void sw__kafka_use_after(struct sw_source_kafka *s, int32_t number);
/* Looks now and then whether the topic is the one that was read. */
void sw__kafka_same_tick(struct sw_source_kafka *s);

/* ---- source_kafka_owner.c ---- */

/* Looks at the group's metadata in the answer. False: another instance is active, and was told. */
bool sw__kafka_owner_check(struct sw_source_kafka *s);
/* Says every now and then that this instance is active. */
void sw__kafka_owner_tick(struct sw_source_kafka *s);

/* ---- source_kafka_client.c ---- */

/* Fills s->rk from the configuration, with name, topic, brokers. */
int sw__kafka_client_new(struct sw_source_kafka *s, const struct sw_source_kafka_conf *conf, struct sw_err *reterr);
/* While the credentials are refused: takes new ones when the secret has changed. Call it now and then. */
void sw__kafka_try_new_secret(struct sw_source_kafka *s);
/* Says once per cause what is wrong and what to do. */
void sw__kafka_error(struct sw_source_kafka *s, rd_kafka_resp_err_t err, const char *reason);
/* Something worked: says so if something was wrong. */
void sw__kafka_works(struct sw_source_kafka *s);

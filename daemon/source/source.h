/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What every kind of source has to say to its owner, on the loop's thread. Each kind has a file of its own; none knows
 * another. */
#include "base/str.h"
#include "base/time.h"

/* Where a partition is to be read on, or was. */
struct sw_source_place {
        int64_t next;          /* Kafka offset or SW_SOURCE_x; byte of a file */
        uint64_t inode;        /* of a file: which; 0: never read */
        int64_t until;         /* nothing at or beyond it is delivered for now; INT64_MAX: everything is */
        struct sw_etime stamp; /* of the Kafka message before `next`; NONE: not known */
        uint64_t hash;         /* sw_checksum of it, to know the topic again; 0: not known */
};
#define SW_SOURCE_EVERYTHING INT64_MAX

struct sw_source_message {
        struct sw_str bytes;
        unsigned flags;            /* SW_DECODE_* */
        int64_t offset, next;      /* of it, and of what comes after it */
        uint64_t base;             /* of bytes[0], for error messages: 0 for Kafka, the byte in the file */
        uint64_t inode;            /* of the file; 0: Kafka */
        int64_t place;             /* of a file: the byte of it that comes next */
        struct sw_etime carrier;   /* Kafka's time stamp, else NONE */
        void (*done)(void *owner); /* any thread */
        void *owner;
};

struct sw_source_hooks {
        void *ctx;
        /* Kafka only. *ret_id: the caller's number of it; *ret: where to go on. 0 | negative: leave it. */
        int (*on_partition)(
                void *ctx, const char *topic, int32_t partition, uint32_t *ret_id, struct sw_source_place *ret);
        /* Kafka only: the newest message of the partition that was wholly taken, to know the topic again. False: none.
         * May be NULL. */
        bool (*on_last)(void *ctx, uint32_t id, struct sw_source_place *ret);
        /* Reading starts here (again): after the lowest offset and the caller's wish were compared. Of `at` only next
         * and inode count. has_more: it is not at its end, so something will come. */
        void (*on_start)(void *ctx, uint32_t id, const struct sw_source_place *at, bool has_more);
        /* 0: taken, with its owner. Positive: no room; nothing is delivered until sw_source_x_room. Negative: stop.
         */
        int (*on_message)(void *ctx, uint32_t id, const struct sw_source_message *m);
        /* Whether the partition is at an end offset asked for after everything before was delivered. */
        void (*on_at_end)(void *ctx, uint32_t id, bool at_end);
        /* Kafka only: it is asked now where the partitions end; a partition has delivered, or will before it is at its
         * end, what was there when that was last asked. May be NULL. */
        void (*on_ask)(void *ctx);
        void (*on_asked)(void *ctx, uint32_t id);
        /* What the partition brings next begins at this event time, as far as can be seen without decoding it. May be
         * NULL. */
        void (*on_front)(void *ctx, uint32_t id, struct sw_etime front);
        /* Before every partition gets its next share: the time to call sw_source_x_limit. May be NULL. */
        void (*on_round)(void *ctx);
        /* Kafka only: messages [from, to) are gone, never to be seen. */
        void (*on_gap)(void *ctx, uint32_t id, int64_t from, int64_t to);
        /* What `expected` pointed into is not there any more: the topic was made anew, or the file is another one. It
         * is read from `next`, and a limit of the old one means nothing: nothing is delivered until the next limit. */
        void (*on_recreated)(void *ctx, uint32_t id, int64_t expected, int64_t next);
        /* Kafka only: another instance reads this topic under the same group. May be NULL. */
        void (*on_owner)(void *ctx, const char *text);
};

struct sw_source_stats {
        const char *topic;                        /* or path */
        uint32_t n_partitions, n_at_end, n_ahead; /* ahead: beyond the limit */
        uint64_t messages, bytes, gaps, n_errors; /* messages of a file: pieces */
        uint64_t gap_messages;
        int64_t lag; /* messages (bytes of a file) not yet delivered, of partitions whose end is known; -1 = none known
                      */
        bool waiting_for_room;
        bool failing; /* the last thing heard of the brokers or the file was an error */
        bool ended;   /* nothing will ever come again: a file that is not followed was read */
};

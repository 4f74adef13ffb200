/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What every kind of source has to say to its owner, on the loop's thread. Each kind has a file of its own; none knows
 * another. */
#include "base/str.h"
#include "base/time.h"

struct sw_source_message {
        struct sw_str bytes;
        unsigned flags;            /* SW_DECODE_* */
        int64_t offset, next;      /* of it, and of what comes after it */
        uint64_t base;             /* of bytes[0], for error messages: 0 for Kafka, the byte in the file */
        struct sw_etime carrier;   /* Kafka's time stamp, else NONE */
        void (*done)(void *owner); /* any thread */
        void *owner;
};

struct sw_source_hooks {
        void *ctx;
        /* Kafka only. *ret_id: the caller's number of it; *ret_next: the offset to read next or SW_SOURCE_x. 0 |
         * negative: leave it. */
        int (*on_partition)(void *ctx, const char *topic, int32_t partition, uint32_t *ret_id, int64_t *ret_next);
        /* Reading starts here: after the lowest offset and the caller's wish were compared. has_more: it is not at its
         * end, so something will come. */
        void (*on_start)(void *ctx, uint32_t id, int64_t next, bool has_more);
        /* 0: taken, with its owner. Positive: no room; nothing is delivered until sw_source_x_room. Negative: stop.
         */
        int (*on_message)(void *ctx, uint32_t id, const struct sw_source_message *m);
        /* Whether the partition is at an end offset asked for after everything before was delivered. */
        void (*on_at_end)(void *ctx, uint32_t id, bool at_end);
        /* What the partition brings next begins at this event time, as far as can be seen without decoding it. May be
         * NULL. */
        void (*on_front)(void *ctx, uint32_t id, struct sw_etime front);
        /* Before every partition gets its next share: the time to call sw_source_x_limit. May be NULL. */
        void (*on_round)(void *ctx);
        /* Kafka only: messages [from, to) are gone, never to be seen. */
        void (*on_gap)(void *ctx, uint32_t id, int64_t from, int64_t to);
};

struct sw_source_stats {
        const char *topic;                        /* or path */
        uint32_t n_partitions, n_at_end, n_ahead; /* ahead: beyond the limit */
        uint64_t messages, bytes, gaps, n_errors; /* messages of a file: pieces */
        int64_t lag; /* messages (bytes of a file) not yet delivered, of partitions whose end is known; -1 = none known
                      */
        bool waiting_for_room;
        bool failing; /* the last thing heard of the brokers or the file was an error */
        bool ended;   /* nothing will ever come again: a file that is not followed was read */
};

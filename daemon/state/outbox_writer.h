/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A thread that commits to the outbox, so that the engine does not wait for fsync: it waits only while the queue is
 * full, as on a full disk. Releases are committed in the order in which they were put; what has queued up meanwhile
 * goes into one transaction. Each put has a ticket: 1, 2, 3 ... Threads: any. */
#include "beat.h"
#include "state/outbox.h"

struct sw_outbox_writer_conf {
        struct sw_outbox *outbox; /* outlives it */
        size_t max_bytes;         /* of findings in the queue; one put is taken in any case; 0 = 16 MiB */
        uint32_t max_entries;     /* 0 = 1024 */
        const atomic_bool *stop;  /* polled while waiting for room; NULL = wait for ever */
        /* On its thread. committed: after each transaction (wake the sinks). failed: once, nothing is committed any
         * more. May be NULL. */
        void (*on_commit)(void *ctx);
        void (*on_fail)(void *ctx, int r);
        void *ctx;
};

struct sw_outbox_writer;
int sw_outbox_writer_new(const struct sw_outbox_writer_conf *conf, struct sw_outbox_writer **ret);
/* Commits what is queued unless the disk is full and *stop, and ends. NULL-safe, returns NULL. */
struct sw_outbox_writer *sw_outbox_writer_free(struct sw_outbox_writer *w);

/* Copies everything. release NULL: findings outside of any. 0 | -SW_ERR_UNAVAIL: *stop while there was no room |
 * -SW_ERR_NOMEM | what the outbox failed with. *ret_ticket may be NULL. */
int sw_outbox_writer_put(struct sw_outbox_writer *w, const struct sw_outbox_release *release,
        const struct sw_lines *findings, uint64_t *ret_ticket);
uint64_t sw_outbox_writer_ticket(struct sw_outbox_writer *w); /* of the newest put */
/* Waits until everything up to the ticket is committed. 0 | -SW_ERR_UNAVAIL: stopped before | what it failed with. */
int sw_outbox_writer_wait(struct sw_outbox_writer *w, uint64_t ticket);
uint64_t sw_outbox_writer_release(
        struct sw_outbox_writer *w); /* number of the newest release committed by it; 0: none */
int sw_outbox_writer_wait_release(struct sw_outbox_writer *w, uint64_t number); /* which was put before */
const struct sw_beat *sw_outbox_writer_beat(const struct sw_outbox_writer *w);  /* "outbox" */

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Shared by courier.c (the loop: outcomes, pauses) and courier_job.c (the pool: rows, bytes, marks). */
#include "sink/courier.h"

#define COURIER_SHOWN 400 /* bytes of an answer that are kept */
/* Rows tried behind a refused one, one after the other, before it is tried further away. */
#define COURIER_NEAR 8
#define COURIER_NEAR_MAX 64 /* when the last ones were rows indeed, and each eighth time */
#define COURIER_FAR 14      /* then up to so many, each about twice as far away as the one before */
#define COURIER_SUSPECTS (1 + COURIER_NEAR_MAX + COURIER_FAR + 1)
#define COURIER_AHEAD 1024 /* numbers; were it ever full, the oldest of them might come twice */

/* A single row was refused. Whether it is the row or the service is known only when the service takes another one.
 *   NORMAL    rows in order, in batches
 *   PROBE     there are suspects: single rows behind them are tried, none of a finding that has a suspect, and none
 *             whose finding may have an earlier row that was not sent: rows of one finding stay in order
 *   CONFIRM   one was taken: each suspect once more. Refused again: set aside; taken: it was the service
 * What was dealt with before its turn is remembered in `ahead` until the mark has passed it. An outage ends PROBE and
 * CONFIRM: what was seen before it proves nothing after it. */
enum courier_mode { COURIER_NORMAL, COURIER_PROBE, COURIER_CONFIRM };

struct courier_suspect {
        int64_t number;
        uint64_t finding; /* hash of finding_info.uid */
};

struct sw_courier {
        struct sw_courier_conf conf;
        const struct sw_courier_ops *ops;
        void *sink;
        struct sw_courier_feed feed;
        struct sw_loop *loop;
        struct sw_log *log;
        struct sw_watch *timer;
        bool stopped, woken;
        enum sw_courier_state state;
        uint64_t random;

        /* the batch: the job's while WORKING */
        struct sw_courier_item *items;
        uint32_t n, cap;
        struct sw_buf text, lines, payload;
        struct sw_etime earliest, latest; /* of its rows */
        int64_t read_upto;                /* last row looked at for this batch */
        uint32_t at, take;                /* sent next: items [at, at + take) */
        uint32_t bad_end;                 /* there is a refused row in [at, bad_end); 0: not known of any */
        uint32_t take_max;                /* after "too large"; 0: none */
        int64_t mark_to;                  /* 0: nothing to mark */
        bool keep;                        /* the payload is sent as it is, once more */
        bool squeeze;                     /* encode item `at` anew, smaller */
        bool reject;                      /* set item `at` aside */
        enum courier_mode mode;
        struct courier_suspect suspects[COURIER_SUSPECTS];
        uint32_t n_suspects, confirm;         /* confirm: the next one to be confirmed */
        uint32_t near, near_left, far;        /* how many to try near by; what is left of them; tried far away */
        int64_t probe_upto;                   /* last row looked at near by */
        int64_t far_upto;                     /* the same far away */
        bool no_probe;                        /* there is no row to try (any more) */
        bool peek;                            /* the job only looks whether there is one now */
        bool lonely;                          /* waits for the first row that can be tried */
        int64_t ahead[COURIER_AHEAD], settle; /* settle: add it; 0: none */
        uint32_t n_ahead;
        int suspect_status; /* what was said about the first suspect */
        char suspect_words[200];
        int reject_status;
        char reject_words[COURIER_SHOWN + 1];
        int work_result;
        bool pack_failed, more;
        struct sw_courier_waiting waiting;
        uint64_t n_filtered, n_rejected; /* the job's; shown when it is over */
        const char *work_what;

        unsigned n_failed; /* in a row */
        uint64_t seq, refused_seq,
                taken_seq;      /* of requests; of the first refusal of [at, bad_end); of the last taken */
        uint32_t n_all_refused; /* rounds */
        int64_t last_send_ms;
        struct sw_courier_stats stats;
};

uint32_t sw__courier_random(struct sw_courier *c);
/* Everything up to item i is dealt with; what was passed over behind it as well. */
int64_t sw__courier_mark_of(const struct sw_courier *c, uint32_t i);
void sw__courier_work(void *ctx); /* pool: what the mode asks for */

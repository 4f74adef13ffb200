/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Carries findings from the outbox to one remote sink, whatever its protocol: reads rows after the sink's mark, makes
 * batches, sends one at a time, marks what was taken. What goes wrong is one of three things:
 *   an outage     nothing is lost: the same bytes again, for ever, with growing pauses (full jitter, Retry-After)
 *   too large     halved; a row alone is encoded smaller, at last set aside
 *   refused       halved until the bad row is alone; it is set aside with the server's words, but only when another
 *                 row was taken between two refusals. When nothing but refusals come, it is not the rows: an outage
 * Delivery is at least once, in order, each row with its id. Reading, encoding, packing and marking happen on a thread
 * of the pool, one job at a time; sending on the loop. */
#include "base/err.h"
#include "base/json.h"
#include "base/time.h"
#include "log.h"
#include "loop.h"
#include "sink/sink_file.h"

/* Where rows come from: the outbox, joined by the daemon. Called on threads of the pool, never at once for one sink. */
struct sw_courier_row {
        int64_t number;
        uint8_t severity;
        const char *uid;
        struct sw_etime time;
        struct sw_str line;
};
struct sw_courier_waiting {
        uint64_t rows, bytes, given_up;
        struct sw_etime oldest; /* NONE: nothing waits */
};
struct sw_courier_feed {
        void *ctx;
        /* Oldest rows first that are not marked; each: 0 goes on, else ends and is returned. */
        int (*read)(void *ctx, int64_t after, uint32_t max, int (*each)(void *to, const struct sw_courier_row *r),
                void *to);
        int (*mark)(void *ctx, int64_t number); /* 0 | negative: the state can no longer be trusted */
        void (*waiting)(void *ctx, struct sw_courier_waiting *ret); /* may be NULL */
};

struct sw_courier_conf {
        const char *name;
        uint8_t min_severity;
        const char *const *detectors; /* findings of which any of these is part; none: all */
        uint32_t n_detectors;
        size_t body_max;       /* bytes of a batch as the rows were encoded */
        uint32_t rows_max;     /* of a batch */
        int64_t spread_max_ms; /* between the times of a batch's rows; 0: any */
        size_t overhead;       /* bytes that packing adds per row */
        int64_t retry_first_ms, retry_max_ms;
        int64_t pace_ms;                                         /* between two requests at least; 0: none */
        int64_t poll_ms;                                         /* how often to look without being woken */
        struct sw_sink_file *rejected;                           /* rows set aside; NULL: told in the log only */
        void (*on_fatal)(void *ctx, int code, const char *what); /* the feed failed; loop's thread */
        void *fatal_ctx;
};

struct sw_courier_item {
        int64_t number;
        struct sw_etime time;
        size_t at, n;           /* encoded, in text */
        size_t line_at, line_n; /* the finding's line, in lines */
        uint64_t finding;       /* hash of finding_info.uid */
        uint8_t severity, squeeze;
        char uid[33];
};
struct sw_courier_batch {
        const struct sw_courier_item *items;
        uint32_t n;
        const char *text, *lines;
};

enum sw_courier_verdict {
        SW_COURIER_DELIVERED,
        SW_COURIER_OUTAGE,
        SW_COURIER_TOO_LARGE,
        SW_COURIER_REFUSED,
};
/* Why it was an outage: a closed list, of metrics. */
#define SW_COURIER_CAUSE_MAP(X)                                                                                        \
        X(OTHER, "other")              /* of this machine: no memory, a secret that cannot be read */                  \
        X(CONNECT, "connect")          /* no name, nobody there */                                                     \
        X(TLS, "tls")                  /* no trust */                                                                  \
        X(BROKEN, "broken")            /* ended within the request or the answer */                                    \
        X(TIMEOUT, "timeout")          /* nobody answered in time */                                                   \
        X(AUTH, "auth")                /* no token, or no right to do that: 401, 403, 407 */                           \
        X(THROTTLED, "throttled")      /* 429 */                                                                       \
        X(SERVER, "server_error")      /* 500 and above */                                                             \
        X(REFUSED, "refused")          /* each row, so it is not the rows */                                           \
        X(STATUS, "unexpected_status") /* any other answer, as 404 */
enum sw_courier_cause {
#define SW_COURIER_CAUSE_ENUM(id, name) SW_COURIER_CAUSE_##id,
        SW_COURIER_CAUSE_MAP(SW_COURIER_CAUSE_ENUM)
#undef SW_COURIER_CAUSE_ENUM
                SW_COURIER_N_CAUSES
};
extern const char *const sw_courier_causes[SW_COURIER_N_CAUSES];

struct sw_courier_outcome {
        enum sw_courier_verdict verdict;
        enum sw_courier_cause cause; /* of an outage without a status, which says it otherwise */
        int status;                  /* of HTTP; 0: none */
        int64_t retry_after_ms;      /* -1: not said */
        const char *reason;          /* for a person, with what to do */
        struct sw_str answer;        /* the server's words */
};

enum { SW_COURIER_OK, SW_COURIER_NOT_A_ROW };
struct sw_courier_ops {
        /* Pool: appends one row. squeeze: how often it was too large alone, 0..SW_COURIER_SQUEEZE_MAX.
         * SW_COURIER_x | -SW_ERR_NOMEM. */
        int (*encode)(
                void *sink, const struct sw_json *finding, struct sw_str line, unsigned squeeze, struct sw_buf *out);
        /* Pool: what is sent for a batch. 0 | negative: tried again later. */
        int (*pack)(void *sink, const struct sw_courier_batch *b, struct sw_buf *out);
        /* Loop: sends, later calls sw_courier_done once. The payload stays until then. */
        void (*send)(void *sink, struct sw_str payload, uint32_t n_rows);
        void (*abort)(void *sink); /* loop: no done any more */
};
#define SW_COURIER_SQUEEZE_MAX 3

/* Bounds of the histograms, inclusive; one count more than bounds. */
#define SW_COURIER_DURATIONS 9
#define SW_COURIER_SIZES 6
extern const int64_t sw_courier_durations_ms[SW_COURIER_DURATIONS];
extern const int64_t sw_courier_sizes[SW_COURIER_SIZES];
#define SW_COURIER_CODES 12 /* of answers that are told apart; the last one: all others */
struct sw_courier_code {
        int status; /* of HTTP; 0: an outage without one, 200 where the protocol has none; -1: all others */
        uint64_t n;
};

enum sw_courier_state { SW_COURIER_IDLE, SW_COURIER_WORKING, SW_COURIER_SENDING, SW_COURIER_WAITING };
struct sw_courier_stats {
        uint64_t rows, rejected, filtered; /* delivered, set aside, not wanted */
        uint64_t requests, retries, bytes; /* bytes: as sent */
        uint64_t retries_by[SW_COURIER_N_CAUSES];
        struct sw_courier_code codes[SW_COURIER_CODES];
        uint32_t n_codes;
        uint64_t durations[SW_COURIER_DURATIONS + 1]; /* from sending to the outcome */
        uint64_t sizes[SW_COURIER_SIZES + 1];
        int64_t durations_ms;              /* sum */
        struct sw_courier_waiting waiting; /* as of the last job, at most a pause ago */
        enum sw_courier_state state;
        int64_t failing_since_ms; /* monotonic; 0: it works */
        int64_t next_try_ms;      /* monotonic, while waiting */
        char reason[256];         /* why it fails */
};

struct sw_courier;
/* Copies conf. 0 | -SW_ERR_NOMEM. */
int sw_courier_new(const struct sw_courier_conf *conf, const struct sw_courier_ops *ops, void *sink,
        const struct sw_courier_feed *feed, struct sw_loop *loop, struct sw_log *log, struct sw_courier **ret);
int sw_courier_start(struct sw_courier *c); /* 0 | negative */
void sw_courier_wake(struct sw_courier *c); /* there may be new rows; loop's thread */
void sw_courier_done(struct sw_courier *c, const struct sw_courier_outcome *o);
void sw_courier_stop(struct sw_courier *c);               /* before the loop is freed */
struct sw_courier *sw_courier_free(struct sw_courier *c); /* after it; NULL-safe, returns NULL */
struct sw_courier_stats sw_courier_stats(const struct sw_courier *c);

/* How long to wait before try n (0: the first again): up to first * 2^n, at most max, by a random number in [0, 2^32).
 */
int64_t sw_courier_backoff(int64_t first_ms, int64_t max_ms, unsigned n, uint32_t random);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The release log and the outbox: one SQLite database (WAL, synchronous=FULL) in state.dir. Each release of
 * the engine is one transaction: the release row (what was consumed, how far time went, under which configuration) and
 * the findings it made. A sink reads findings by row number and marks how far it has delivered; what every sink has
 * taken is kept for a while (resend, explain) and then removed.
 *
 * After a failed write (-SW_ERR_IO) the database is not written again by this process, every further call returns the
 * same: the caller exits 75 and recovers on restart. A full disk (or quota, or file size limit) and a database that
 * another process keeps locked are waited for. -SW_ERR_DATA: the file is damaged; the log says what to do.
 * Threads: any; calls are serialised inside. */
#include "base/err.h"
#include "base/str.h"
#include "base/time.h"
#include "log.h"
#include "model/lines.h"

#include <stdatomic.h>

#define SW_OUTBOX_FILE "outbox.db"
#define SW_OUTBOX_HASH 33 /* hex digits of a configuration's hash, with the NUL */

struct sw_outbox_conf {
        const char *dir;    /* state.dir */
        uint64_t max_bytes; /* of delivered findings kept; undelivered ones of a remote sink have caps of their own */
        int64_t max_age_ms; /* of delivered findings kept */
        const atomic_bool *stop; /* polled while waiting for the disk; NULL = wait for ever */
};

/* How far one partition was consumed when a release was made. */
struct sw_outbox_offset {
        const char *source, *topic; /* topic: path of a file source */
        int32_t partition;
        uint64_t inode;        /* of a file; 0 for Kafka */
        int64_t next;          /* next offset to consume, or byte of the file */
        struct sw_etime stamp; /* of the last message consumed; NONE: none or a file */
        uint64_t hash;         /* of the last message's bytes; 0: none */
};

struct sw_outbox_release {
        uint64_t number; /* 1, 2, 3 ... without holes since the state began */
        struct sw_etime watermark, wall;
        char conf[SW_OUTBOX_HASH]; /* sw_outbox_put_conf'ed before */
        bool cold;
        const struct sw_outbox_offset *offsets;
        uint32_t n_offsets;
};

enum {
        SW_OUTBOX_OK,
        SW_OUTBOX_STOPPED, /* *stop while the disk was full: not committed */
};

struct sw_outbox;
/* Makes the database if there is none. -SW_ERR_IO, -SW_ERR_DATA (damaged, or a newer format: reterr says what to do).
 */
int sw_outbox_open(
        const struct sw_outbox_conf *conf, struct sw_log *log, struct sw_outbox **ret, struct sw_err *reterr);
struct sw_outbox *sw_outbox_close(struct sw_outbox *o); /* NULL-safe, returns NULL */

/* Keeps a configuration's text by its hash (twice is fine). */
int sw_outbox_put_conf(struct sw_outbox *o, const char hash[SW_OUTBOX_HASH], struct sw_str text);
int sw_outbox_get_conf(struct sw_outbox *o, const char hash[SW_OUTBOX_HASH], struct sw_buf *out);

/* One transaction. `findings` get the next row numbers in their order; one whose line id is kept already is counted
 * (sw_outbox_stats) and dropped. SW_OUTBOX_x or -SW_ERR_IO (see above); -SW_ERR_INVAL: not the next number. While the
 * disk is full it waits, and sw_outbox_is_blocked says so. */
int sw_outbox_commit(struct sw_outbox *o, const struct sw_outbox_release *r, const struct sw_lines *findings);
/* Several releases or single findings in one transaction, which costs one wait for the disk: all or none. */
struct sw_outbox_entry {
        const struct sw_outbox_release *release; /* NULL: findings outside of any release */
        const struct sw_lines *findings;         /* may be NULL */
};
int sw_outbox_commit_all(struct sw_outbox *o, const struct sw_outbox_entry *entries, uint32_t n);
/* One finding outside of any release: health, test alerts. Same results. */
int sw_outbox_add(struct sw_outbox *o, const struct sw_line *line, const char *text);
bool sw_outbox_is_blocked(const struct sw_outbox *o);
/* Retention when nothing is committed: call it now and then. Same results as commit. */
int sw_outbox_tend(struct sw_outbox *o);

/* Statistics, these and those of sinks, are as of the last transaction: they never wait for the disk. */
struct sw_outbox_stats {
        int64_t newest;       /* row number; 0: none yet */
        uint64_t rows, bytes; /* of findings kept */
        uint64_t duplicates;  /* dropped since open: their line id was there */
        uint64_t removed;     /* by retention, since open */
};
void sw_outbox_stats(struct sw_outbox *o, struct sw_outbox_stats *ret);

/* Newest release; number 0 if there is none. offsets stay NULL. */
int sw_outbox_last(struct sw_outbox *o, struct sw_outbox_release *ret);
/* Releases after `after`, oldest first, with their offsets and the uids of their findings (as lines without text; those
 * that were dropped as duplicates are not among them). each: 0 goes on, else ends and is returned; it may call the
 * outbox. What it is given is valid during the call. */
int sw_outbox_releases(struct sw_outbox *o, uint64_t after,
        int (*each)(void *ctx, const struct sw_outbox_release *r, const struct sw_line *findings, uint32_t n),
        void *ctx);
/* Both snapshots cover the releases up to here: their rows go (findings stay as long as sinks and retention want). */
int sw_outbox_forget(struct sw_outbox *o, uint64_t upto);

/* ---- sinks ---- */

struct sw_outbox_row {
        int64_t number; /* ascending, never reused */
        uint8_t severity;
        char uid[33];         /* line id */
        struct sw_etime time; /* logged_time of the line */
        struct sw_str line;   /* the OCSF object, without newline */
};

/* Registers a sink by name, so that nothing it has not marked is removed. It starts after the newest row if it was not
 * known. max_bytes: its cap; beyond it its oldest least severe rows are given up and counted; 0 = no cap.
 * -SW_ERR_LIMIT beyond SW_OUTBOX_SINKS. */
#define SW_OUTBOX_SINKS 16
int sw_outbox_sink(struct sw_outbox *o, const char *name, uint64_t max_bytes);
/* It does not want rows below: they are neither read, counted nor kept for it. Of this process, not kept. */
int sw_outbox_sink_severity(struct sw_outbox *o, const char *name, uint8_t min_severity);
int sw_outbox_drop_sink(struct sw_outbox *o, const char *name); /* no longer configured */
/* Drops all that were not registered since open. */
int sw_outbox_drop_others(struct sw_outbox *o);
/* Up to max rows after `after` that the sink has not taken and has not given up, in ascending order. after: 0 begins
 * with the oldest, which rows queued again may be; else the last one in flight. each: 0 goes on, else ends and is
 * returned; it may call the outbox. Texts are valid during the call. */
int sw_outbox_read(struct sw_outbox *o, const char *sink, int64_t after, uint32_t max,
        int (*each)(void *ctx, const struct sw_outbox_row *row), void *ctx);
/* Everything up to `number` that was read is delivered. It may be lost in a power cut: what a sink cannot tell from its
 * own place it sends again. */
int sw_outbox_mark(struct sw_outbox *o, const char *sink, int64_t number);
/* The same with a note of the sink's own, replaced as a whole. durable: survives a power cut. */
int sw_outbox_mark_note(struct sw_outbox *o, const char *sink, int64_t number, struct sw_str note, bool durable);
/* Appends the note; nothing if there is none. */
int sw_outbox_note(struct sw_outbox *o, const char *sink, struct sw_buf *out);
/* How far a sink has marked; 0 = nothing. -SW_ERR_NOENT: no such sink; so do all that are given one. */
int sw_outbox_marked(struct sw_outbox *o, const char *sink, int64_t *ret);
/* Queues rows again that are still kept, logged since `since`, for one sink: also those it had given up. They do not
 * count against its cap. Another process may do this too. */
int sw_outbox_resend(struct sw_outbox *o, const char *sink, struct sw_etime since, uint64_t *ret_n);

struct sw_outbox_sink_stats {
        uint64_t rows, bytes;   /* waiting */
        uint64_t given_up;      /* rows, since the state began */
        struct sw_etime oldest; /* logged_time of the first that waits; NONE: none does */
};
int sw_outbox_sink_stats(struct sw_outbox *o, const char *sink, struct sw_outbox_sink_stats *ret);
/* All of them, also those that are not registered any more. */
void sw_outbox_each_sink(struct sw_outbox *o,
        void (*each)(void *ctx, const char *name, const struct sw_outbox_sink_stats *stats), void *ctx);

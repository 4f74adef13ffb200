/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Shared by the files of the outbox:
 *   outbox_db.c    the file: open, schema, transactions, what errors mean, checkpoints
 *   outbox.c       releases, their findings, configurations
 *   outbox_sink.c  sinks: marks, what waits, what was given up
 *   outbox_read.c  what sinks read, what is sent again
 *   outbox_keep.c  retention
 *
 * Row numbers ascend and are never reused, and each sink gives up its oldest rows of one severity first. So what a sink
 * still wants of severity s is: number > max(marked, floor[s]). Nothing else has to be kept per row and sink. */
#include "state/outbox.h"

#include <pthread.h>
#include <sqlite3.h>

#define OUTBOX_SEVERITIES 8 /* OCSF severity_id; what is above counts as the last */
#define OUTBOX_SINK_NAME 64

#define OUTBOX_SQL_MAP(X)                                                                                              \
        X(BEGIN, "BEGIN IMMEDIATE")                                                                                    \
        X(COMMIT, "COMMIT")                                                                                            \
        X(PUT_CONF, "INSERT OR REPLACE INTO conf(hash, text) VALUES(?1, ?2)")                                          \
        X(GET_CONF, "SELECT text FROM conf WHERE hash = ?1")                                                           \
        X(PUT_RELEASE, "INSERT INTO release(number, watermark, wall, cold, conf, first_finding, last_finding)"         \
                       " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)")                                                          \
        X(LAST_RELEASE, "SELECT number, watermark, wall, cold, conf FROM release ORDER BY number DESC LIMIT 1")        \
        X(NEXT_RELEASE, "SELECT number, watermark, wall, cold, conf, first_finding, last_finding FROM release"         \
                        " WHERE number > ?1 ORDER BY number LIMIT 1")                                                  \
        X(PUT_PLACE, "INSERT INTO place(source, topic, partition) VALUES(?1, ?2, ?3)")                                 \
        X(GET_PLACE, "SELECT id FROM place WHERE source = ?1 AND topic = ?2 AND partition = ?3")                       \
        X(PUT_CONSUMED,                                                                                                \
                "INSERT INTO consumed(release, place, inode, next, stamp, hash) VALUES(?1, ?2, ?3, ?4, ?5, ?6)")       \
        X(GET_CONSUMED, "SELECT source, topic, partition, inode, next, stamp, hash FROM consumed"                      \
                        " JOIN place ON place.id = consumed.place WHERE release = ?1 ORDER BY place")                  \
        X(FORGET_CONSUMED, "DELETE FROM consumed WHERE release <= ?1 AND release < (SELECT max(number) FROM release)") \
        X(FORGET_RELEASE, "DELETE FROM release WHERE number <= ?1 AND number < (SELECT max(number) FROM release)")     \
        X(FORGET_CONF, "DELETE FROM conf WHERE hash NOT IN (SELECT conf FROM release)"                                 \
                       " AND id < (SELECT max(id) FROM conf)")                                                         \
        X(PUT_FINDING, "INSERT OR IGNORE INTO finding(release, severity, logged, bytes, uid, line)"                    \
                       " VALUES(?1, ?2, ?3, ?4, ?5, ?6)")                                                              \
        X(GET_FINDING, "SELECT severity, uid, logged, line FROM finding WHERE number = ?1")                            \
        X(FINDINGS, "SELECT number, severity, uid, logged, line FROM finding WHERE number > ?1 ORDER BY number")       \
        X(UIDS, "SELECT severity, uid FROM finding WHERE number BETWEEN ?1 AND ?2 ORDER BY number")                    \
        X(NEWEST, "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'finding'), 0)")                      \
        X(TOTAL, "SELECT count(*), coalesce(sum(bytes), 0) FROM finding")                                              \
        X(SUM, "SELECT count(*), coalesce(sum(bytes), 0) FROM finding"                                                 \
               " WHERE severity = ?1 AND number > ?2 AND number <= ?3")                                                \
        X(FIRST, "SELECT number, bytes FROM finding WHERE severity = ?1 AND number > ?2 AND number <= ?3"              \
                 " ORDER BY number LIMIT 1")                                                                           \
        X(FIRST_FREE,                                                                                                  \
                "SELECT number, bytes FROM finding WHERE severity = ?1 AND number > ?2 AND number <= ?3"               \
                " AND NOT EXISTS (SELECT 1 FROM resend WHERE resend.number = finding.number) ORDER BY number LIMIT 1") \
        X(LOGGED, "SELECT logged FROM finding WHERE number = ?1")                                                      \
        X(REMOVE, "DELETE FROM finding WHERE number = ?1")                                                             \
        X(PROTECTED, "SELECT coalesce((SELECT first_finding FROM release ORDER BY number LIMIT 1), 0)")                \
        X(SINKS, "SELECT id, name, marked, given_up FROM sink ORDER BY id")                                            \
        X(FLOORS, "SELECT severity, upto FROM floor WHERE sink = ?1")                                                  \
        X(PUT_SINK, "INSERT INTO sink(name, marked, given_up) VALUES(?1, ?2, 0)")                                      \
        X(DROP_SINK, "DELETE FROM sink WHERE id = ?1")                                                                 \
        X(DROP_FLOORS, "DELETE FROM floor WHERE sink = ?1")                                                            \
        X(DROP_RESEND, "DELETE FROM resend WHERE sink = ?1")                                                           \
        X(SET_MARK, "UPDATE sink SET marked = ?2 WHERE id = ?1")                                                       \
        X(SET_NOTE, "UPDATE sink SET marked = ?2, note = ?3 WHERE id = ?1")                                            \
        X(GET_NOTE, "SELECT note FROM sink WHERE id = ?1")                                                             \
        X(SET_GIVEN_UP, "UPDATE sink SET given_up = ?2 WHERE id = ?1")                                                 \
        X(SET_FLOOR, "INSERT OR REPLACE INTO floor(sink, severity, upto) VALUES(?1, ?2, ?3)")                          \
        X(RESEND, "INSERT OR IGNORE INTO resend(number, sink) SELECT number, ?1 FROM finding"                          \
                  " WHERE severity = ?2 AND number <= ?3 AND logged >= ?4 ORDER BY number")                            \
        X(RESENDS, "SELECT id, number FROM resend WHERE sink = ?1 AND number > ?2 ORDER BY number")                    \
        X(RESENT, "DELETE FROM resend WHERE sink = ?1 AND number <= ?2 AND id <= ?3")                                  \
        X(RESEND_SUM, "SELECT count(*), coalesce(sum(bytes), 0), min(resend.number) FROM resend"                       \
                      " JOIN finding ON finding.number = resend.number WHERE sink = ?1")                               \
        X(FREE_PAGES, "PRAGMA freelist_count")                                                                         \
        X(PAGES, "PRAGMA page_count")                                                                                  \
        X(SHRINK, "PRAGMA incremental_vacuum(256)")

enum outbox_sql {
#define OUTBOX_SQL_ENUM(name, text) OUTBOX_##name,
        OUTBOX_SQL_MAP(OUTBOX_SQL_ENUM)
#undef OUTBOX_SQL_ENUM
                OUTBOX_N_SQL
};

struct outbox_sink {
        int64_t id;
        char name[OUTBOX_SINK_NAME];
        int64_t marked, floor[OUTBOX_SEVERITIES];   /* wanted: number > both */
        uint64_t max_bytes, rows, bytes;            /* that wait, without what is sent again */
        uint64_t given_up, again_rows, again_bytes; /* again: sent again */
        struct sw_etime oldest;                     /* logged_time of the first that waits; NONE: none does */
        int64_t served_id, served_number;           /* highest of the rows sent again that were read */
        uint8_t min_severity;
        bool registered;
};

/* What a rollback takes back. */
struct outbox_mem {
        struct outbox_sink sinks[SW_OUTBOX_SINKS];
        uint32_t n_sinks;
        uint64_t last_release;
        struct sw_outbox_stats stats;
        uint64_t since_keep; /* bytes of findings since retention looked */
};

struct sw_outbox {
        struct sw_log *log;
        char *path;
        uint64_t max_bytes;
        int64_t max_age_ms;
        const atomic_bool *stop;
        pthread_mutex_t lock; /* of the two counters: who holds the turn holds all below */
        pthread_cond_t turn;
        uint64_t next_turn, at_turn;
        sqlite3 *db;
        sqlite3_stmt *sql[OUTBOX_N_SQL];
        struct outbox_mem mem;
        const char *why; /* of OUTBOX_AGAIN */
        int failed;      /* negative: not to be written again */
        int wal_pages;
        int64_t kept_at_ms;         /* monotonic: when retention looked */
        pthread_mutex_t shown_lock; /* of shown: mem as of the last transaction, for who must not wait for the disk */
        struct outbox_mem shown;
        bool full_sync, checkpoint; /* whether one is under way: which file it is that fails */
        atomic_int n_blocked;
};

/* ---- outbox_db.c ---- */

/* In the order of asking: the writer, which commits again and again, would else keep the sinks from reading. */
void sw__outbox_lock(struct sw_outbox *o);
void sw__outbox_unlock(struct sw_outbox *o);

enum { OUTBOX_DONE, OUTBOX_ROW, OUTBOX_AGAIN /* no room or locked: roll back, wait, do it all again */ };

/* Of a read by itself: SQLite has waited for whoever holds the file already. */
static inline int sw__outbox_as_error(int r)
{
        return r == OUTBOX_AGAIN ? -SW_ERR_UNAVAIL : r;
}

/* Prepared, reset and without values; NULL: *ret_r says why. */
sqlite3_stmt *sw__outbox_sql(struct sw_outbox *o, enum outbox_sql which, int *ret_r);
/* One step. OUTBOX_x or negative; anything but OUTBOX_ROW resets. */
int sw__outbox_step(struct sw_outbox *o, sqlite3_stmt *s);
/* Runs a statement without results to its end, with integers for its first parameters. 0, OUTBOX_AGAIN, negative. */
int sw__outbox_run(struct sw_outbox *o, enum outbox_sql which, unsigned n, const int64_t *values);
/* First row's first columns as integers, 0 where there is none. */
int sw__outbox_ints(
        struct sw_outbox *o, enum outbox_sql which, unsigned n_in, const int64_t *in, unsigned n, int64_t *ret);
/* One transaction, with the lock taken and given back here. work: 0, OUTBOX_AGAIN or negative, and changes nothing but
 * the database, o->mem and what may be done twice. SW_OUTBOX_x or negative. */
int sw__outbox_transact(struct sw_outbox *o, bool durable, int (*work)(struct sw_outbox *o, void *ctx), void *ctx);
int64_t sw__outbox_mono_ms(void);
int64_t sw__outbox_wall_ms(void);

/* Lets others see o->mem; lock held. */
void sw__outbox_show(struct sw_outbox *o);

/* ---- outbox_sink.c; lock held ---- */

static inline unsigned sw__outbox_severity(uint8_t severity)
{
        return severity < OUTBOX_SEVERITIES ? severity : OUTBOX_SEVERITIES - 1;
}
static inline int64_t sw__outbox_wants_after(const struct outbox_sink *s, unsigned severity)
{
        return severity < s->min_severity ? INT64_MAX : s->marked > s->floor[severity] ? s->marked : s->floor[severity];
}
struct outbox_sink *sw__outbox_find(struct sw_outbox *o, const char *name); /* NULL: no such sink */
/* Looks anew at what is sent again and at the oldest row that waits. 0, OUTBOX_AGAIN, negative. */
int sw__outbox_look(struct sw_outbox *o, struct outbox_sink *s);
int sw__outbox_load_sinks(struct sw_outbox *o);
/* In a transaction: a new row of n bytes; then what is over the caps goes. */
void sw__outbox_count(struct sw_outbox *o, unsigned severity, size_t n, int64_t logged_ms);
int sw__outbox_give_up(struct sw_outbox *o);

/* ---- outbox_keep.c; in a transaction ---- */
int sw__outbox_keep(struct sw_outbox *o, bool now);

/* SPDX-License-Identifier: Apache-2.0 */
/* The file of the outbox: open, schema, transactions, what errors mean, checkpoints. */
#include "base/alloc.h"
#include "state/outbox_int.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define OUTBOX_FORMAT 1
#define OUTBOX_APPLICATION 0x53475758 /* "SGWX", tells it from other databases */
#define OUTBOX_CHECK_BYTES (64 << 20) /* a larger one is checked as it is read, so that the start does not wait */
#define OUTBOX_WAL_PAGES 1000
#define OUTBOX_BUSY_MS 250
#define OUTBOX_RETRY_MS 500
#define OUTBOX_POLL_MS 50

static const char outbox_schema[] =
        "CREATE TABLE conf(id INTEGER PRIMARY KEY, hash TEXT NOT NULL UNIQUE, text BLOB NOT NULL) STRICT;"
        "CREATE TABLE release(number INTEGER PRIMARY KEY, watermark INTEGER NOT NULL, wall INTEGER NOT NULL,"
        " cold INTEGER NOT NULL, conf TEXT NOT NULL, first_finding INTEGER NOT NULL, last_finding INTEGER NOT NULL)"
        " STRICT;"
        "CREATE TABLE place(id INTEGER PRIMARY KEY, source TEXT NOT NULL, topic TEXT NOT NULL,"
        " partition INTEGER NOT NULL, UNIQUE(source, topic, partition)) STRICT;"
        "CREATE TABLE consumed(release INTEGER NOT NULL, place INTEGER NOT NULL, inode INTEGER NOT NULL,"
        " next INTEGER NOT NULL, stamp INTEGER NOT NULL, hash INTEGER NOT NULL, PRIMARY KEY(release, place))"
        " STRICT, WITHOUT ROWID;"
        "CREATE TABLE finding(number INTEGER PRIMARY KEY AUTOINCREMENT, release INTEGER NOT NULL,"
        " severity INTEGER NOT NULL, logged INTEGER NOT NULL, bytes INTEGER NOT NULL, uid TEXT NOT NULL UNIQUE,"
        " line TEXT NOT NULL) STRICT;"
        "CREATE INDEX finding_of_severity ON finding(severity, number, bytes);"
        "CREATE TABLE sink(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, marked INTEGER NOT NULL,"
        " given_up INTEGER NOT NULL, note BLOB) STRICT;"
        "CREATE TABLE floor(sink INTEGER NOT NULL, severity INTEGER NOT NULL, upto INTEGER NOT NULL,"
        " PRIMARY KEY(sink, severity)) STRICT, WITHOUT ROWID;"
        "CREATE TABLE resend(id INTEGER PRIMARY KEY AUTOINCREMENT, number INTEGER NOT NULL, sink INTEGER NOT NULL,"
        " UNIQUE(number, sink)) STRICT;";

static const char *const outbox_texts[] = {
#define OUTBOX_SQL_TEXT(name, text) text,
        OUTBOX_SQL_MAP(OUTBOX_SQL_TEXT)
#undef OUTBOX_SQL_TEXT
};

int64_t sw__outbox_mono_ms(void)
{
        struct timespec ts;

        (void)clock_gettime(CLOCK_MONOTONIC, &ts);
        return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t sw__outbox_wall_ms(void)
{
        struct timespec ts;

        (void)clock_gettime(CLOCK_REALTIME, &ts);
        return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void sw__outbox_lock(struct sw_outbox *o)
{
        uint64_t turn;

        pthread_mutex_lock(&o->lock);
        turn = o->next_turn++;
        while (o->at_turn != turn)
                pthread_cond_wait(&o->turn, &o->lock);
        pthread_mutex_unlock(&o->lock);
}

void sw__outbox_unlock(struct sw_outbox *o)
{
        pthread_mutex_lock(&o->lock);
        o->at_turn++;
        pthread_cond_broadcast(&o->turn);
        pthread_mutex_unlock(&o->lock);
}

void sw__outbox_show(struct sw_outbox *o)
{
        pthread_mutex_lock(&o->shown_lock);
        o->shown = o->mem;
        pthread_mutex_unlock(&o->shown_lock);
}

/* ---- errors ---- */

/* errno of the file that failed: SQLite's own sqlite3_system_errno() knows nothing of a failed commit. */
static int outbox_errno(struct sw_outbox *o, int rc)
{
        sqlite3_file *file = NULL;
        int error = 0;

        if ((rc & 0xff) == SQLITE_IOERR) {
                (void)sqlite3_file_control(
                        o->db, "main", o->checkpoint ? SQLITE_FCNTL_FILE_POINTER : SQLITE_FCNTL_JOURNAL_POINTER, &file);
                assert(file);
                if (file->pMethods) /* it is open */
                        (void)file->pMethods->xFileControl(file, SQLITE_FCNTL_LAST_ERRNO, &error);
        }
        return error ? error : sqlite3_system_errno(o->db);
}

static bool outbox_is_no_room(struct sw_outbox *o, int rc)
{
        int error;

        if ((rc & 0xff) == SQLITE_FULL)
                return true;
        /* a write that was refused, never a failed fsync: after that nobody knows what is on the disk */
        if (rc != SQLITE_IOERR_WRITE && rc != SQLITE_IOERR_SHMSIZE && rc != SQLITE_IOERR_SHMOPEN &&
                (rc & 0xff) != SQLITE_CANTOPEN)
                return false;
        error = outbox_errno(o, rc);
        return error == ENOSPC || error == EDQUOT || error == EFBIG;
}

/* 0, OUTBOX_AGAIN or negative. */
static int outbox_result(struct sw_outbox *o, int rc)
{
        switch (rc & 0xff) {
        case SQLITE_OK:
        case SQLITE_ROW:
        case SQLITE_DONE:
                return 0;
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
                o->why = "another process has locked it";
                return OUTBOX_AGAIN;
        case SQLITE_NOMEM:
                return -SW_ERR_NOMEM;
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB:
                sw_log(o->log, SW_LOG_ERROR, "outbox_damaged", NULL,
                        "%s is damaged (%s); stop segwatch, move %s* away and start it: it begins with an empty outbox",
                        o->path, sqlite3_errmsg(o->db), o->path);
                return o->failed = -SW_ERR_DATA;
        default:
                if (outbox_is_no_room(o, rc)) {
                        o->why = "there is no room on its disk";
                        return OUTBOX_AGAIN;
                }
                sw_log(o->log, SW_LOG_ERROR, "outbox_failed", NULL, "%s: %s: %s (code %d)", o->path,
                        sqlite3_errmsg(o->db), strerror(outbox_errno(o, rc)), rc);
                return o->failed = -SW_ERR_IO;
        }
}

/* ---- statements ---- */

sqlite3_stmt *sw__outbox_sql(struct sw_outbox *o, enum outbox_sql which, int *ret_r)
{
        int rc;

        *ret_r = 0;
        if (o->sql[which]) {
                (void)sqlite3_reset(o->sql[which]);
                (void)sqlite3_clear_bindings(o->sql[which]);
                return o->sql[which];
        }
        rc = sqlite3_prepare_v3(o->db, outbox_texts[which], -1, SQLITE_PREPARE_PERSISTENT, &o->sql[which], NULL);
        if (rc != SQLITE_OK)
                *ret_r = outbox_result(o, rc);
        return o->sql[which];
}

int sw__outbox_step(struct sw_outbox *o, sqlite3_stmt *s)
{
        int rc = sqlite3_step(s), r;

        if (rc == SQLITE_ROW)
                return OUTBOX_ROW;
        r = outbox_result(o, rc);
        (void)sqlite3_reset(s);
        return r;
}

int sw__outbox_run(struct sw_outbox *o, enum outbox_sql which, unsigned n, const int64_t *values)
{
        int r;
        sqlite3_stmt *s = sw__outbox_sql(o, which, &r);
        unsigned i;

        if (!s)
                return r;
        for (i = 0; i < n; i++)
                (void)sqlite3_bind_int64(s, (int)i + 1, values[i]);
        while ((r = sw__outbox_step(o, s)) == OUTBOX_ROW)
                ;
        return r;
}

int sw__outbox_ints(
        struct sw_outbox *o, enum outbox_sql which, unsigned n_in, const int64_t *in, unsigned n, int64_t *ret)
{
        int r;
        sqlite3_stmt *s = sw__outbox_sql(o, which, &r);
        unsigned i;

        memset(ret, 0, n * sizeof(*ret));
        if (!s)
                return r;
        for (i = 0; i < n_in; i++)
                (void)sqlite3_bind_int64(s, (int)i + 1, in[i]);
        r = sw__outbox_step(o, s);
        if (r != OUTBOX_ROW)
                return r;
        for (i = 0; i < n; i++)
                ret[i] = sqlite3_column_int64(s, (int)i);
        (void)sqlite3_reset(s);
        return 0;
}

/* ---- transactions ---- */

/* Checkpoints are ours, because SQLite's own would keep their errors to themselves. */
static int outbox_on_wal(void *ctx, sqlite3 *db, const char *name, int pages)
{
        struct sw_outbox *o = ctx;

        (void)db;
        (void)name;
        o->wal_pages = pages;
        return SQLITE_OK;
}

static int outbox_checkpoint(struct sw_outbox *o)
{
        int r;

        if (o->wal_pages < OUTBOX_WAL_PAGES)
                return 0;
        o->checkpoint = true;
        r = outbox_result(o, sqlite3_wal_checkpoint_v2(o->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL));
        o->checkpoint = false;
        if (o->wal_pages >= OUTBOX_WAL_PAGES * 64)
                sw_log(o->log, SW_LOG_WARNING, "outbox_wal", NULL,
                        "%s-wal grows: another process has been reading the outbox for long, and what it sees is kept",
                        o->path);
        /* no room in the database itself: what was committed is safe in the WAL, and the next commit tries again */
        return r == OUTBOX_AGAIN || r == -SW_ERR_NOMEM ? 0 : r;
}

static int outbox_set_sync(struct sw_outbox *o, bool full)
{
        int rc;

        if (o->full_sync == full)
                return 0;
        rc = sqlite3_exec(o->db, full ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL", NULL, NULL, NULL);
        if (rc == SQLITE_OK)
                o->full_sync = full;
        return outbox_result(o, rc);
}

/* One try. */
static int outbox_try(struct sw_outbox *o, bool durable, int (*work)(struct sw_outbox *o, void *ctx), void *ctx)
{
        struct outbox_mem before = o->mem;
        int r = outbox_set_sync(o, durable);

        if (r == 0)
                r = sw__outbox_run(o, OUTBOX_BEGIN, 0, NULL);
        if (r == 0)
                r = work(o, ctx);
        if (r == 0)
                r = sw__outbox_run(o, OUTBOX_COMMIT, 0, NULL);
        if (r == 0) {
                sw__outbox_show(o);
                return outbox_checkpoint(o);
        }
        o->mem = before;
        if (sqlite3_get_autocommit(o->db) == 0 && sqlite3_exec(o->db, "ROLLBACK", NULL, NULL, NULL) != SQLITE_OK &&
                r == OUTBOX_AGAIN)
                r = o->failed = -SW_ERR_IO;
        return r;
}

/* false: told to stop. */
static bool outbox_wait(struct sw_outbox *o)
{
        const struct timespec step = { .tv_nsec = OUTBOX_POLL_MS * 1000000L };
        int waited;

        for (waited = 0; waited < OUTBOX_RETRY_MS; waited += OUTBOX_POLL_MS) {
                if (o->stop && atomic_load(o->stop))
                        return false;
                nanosleep(&step, NULL);
        }
        return true;
}

int sw__outbox_transact(struct sw_outbox *o, bool durable, int (*work)(struct sw_outbox *o, void *ctx), void *ctx)
{
        bool waited = false;
        int r;

        for (;;) {
                sw__outbox_lock(o);
                r = o->failed ? o->failed : outbox_try(o, durable, work, ctx);
                if (r == OUTBOX_AGAIN && !waited)
                        sw_log(o->log, SW_LOG_ERROR, "outbox_full", NULL,
                                "cannot write %s: %s; no finding is lost, and nothing more is read from the sources "
                                "until it can be written",
                                o->path, o->why);
                sw__outbox_unlock(o);
                if (r != OUTBOX_AGAIN)
                        break;
                if (!waited)
                        atomic_fetch_add(&o->n_blocked, 1);
                waited = true;
                if (!outbox_wait(o)) {
                        r = SW_OUTBOX_STOPPED;
                        break;
                }
        }
        if (waited)
                atomic_fetch_sub(&o->n_blocked, 1);
        if (waited && r == SW_OUTBOX_OK)
                sw_log(o->log, SW_LOG_INFO, "outbox_again", NULL, "%s is written again", o->path);
        return r;
}

bool sw_outbox_is_blocked(const struct sw_outbox *o)
{
        return atomic_load(&o->n_blocked) > 0;
}

/* ---- open and close ---- */

/* The file is made here, not by SQLite, for its mode; its WAL takes the same. */
static int outbox_make_file(struct sw_outbox *o, const char *dir, struct sw_err *reterr)
{
        int fd = open(o->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

        if (fd < 0 && errno == EEXIST)
                return 0;
        if (fd < 0)
                return sw_err_set(reterr, -SW_ERR_IO, "cannot create %s: %s; state.dir must be writable", o->path,
                        strerror(errno));
        (void)fchmod(fd, 0600); /* whatever the umask */
        close(fd);
        fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd >= 0) {
                (void)fsync(fd);
                close(fd);
        }
        return 0;
}

static int outbox_open_fail(struct sw_outbox *o, int rc, struct sw_err *reterr)
{
        switch (rc & 0xff) {
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB:
                return sw_err_set(reterr, -SW_ERR_DATA,
                        "%s is damaged (%s): move %s* away to begin with an empty outbox; findings that no sink has "
                        "taken yet are in the damaged file only",
                        o->path, sqlite3_errmsg(o->db), o->path);
        case SQLITE_NOMEM:
                return sw_err_set(reterr, -SW_ERR_NOMEM, "out of memory");
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
                return sw_err_set(reterr, -SW_ERR_UNAVAIL, "%s is locked by another process", o->path);
        default:
                if (outbox_is_no_room(o, rc))
                        return sw_err_set(
                                reterr, -SW_ERR_UNAVAIL, "no room to open %s: free space on its disk", o->path);
                return sw_err_set(reterr, -SW_ERR_IO, "cannot open %s: %s: %s (code %d)", o->path,
                        sqlite3_errmsg(o->db), strerror(sqlite3_system_errno(o->db)), rc);
        }
}

/* The first column of the first row as a number. */
static int outbox_pragma(struct sw_outbox *o, const char *text, int64_t *ret)
{
        sqlite3_stmt *s = NULL;
        int rc = sqlite3_prepare_v2(o->db, text, -1, &s, NULL);

        if (rc == SQLITE_OK) {
                rc = sqlite3_step(s);
                *ret = rc == SQLITE_ROW ? sqlite3_column_int64(s, 0) : 0;
                rc = sqlite3_finalize(s);
        }
        return rc;
}

static int outbox_create(struct sw_outbox *o)
{
        char version[96];
        int64_t objects;
        int rc;

        snprintf(version, sizeof(version), "PRAGMA application_id=%d; PRAGMA user_version=%d; COMMIT",
                OUTBOX_APPLICATION, OUTBOX_FORMAT);
        /* in this order: how it shrinks is settled with its first page */
        rc = sqlite3_exec(o->db,
                "PRAGMA auto_vacuum=INCREMENTAL; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; "
                "BEGIN IMMEDIATE",
                NULL, NULL, NULL);
        if (rc == SQLITE_OK)
                rc = outbox_pragma(o, "SELECT count(*) FROM sqlite_schema", &objects);
        if (rc == SQLITE_OK && objects > 0) /* another process was quicker */
                return sqlite3_exec(o->db, "COMMIT", NULL, NULL, NULL);
        if (rc == SQLITE_OK)
                rc = sqlite3_exec(o->db, outbox_schema, NULL, NULL, NULL);
        if (rc == SQLITE_OK)
                rc = sqlite3_exec(o->db, version, NULL, NULL, NULL);
        return rc;
}

static int outbox_check(struct sw_outbox *o, struct sw_err *reterr)
{
        const char *answer;
        sqlite3_stmt *s = NULL;
        struct stat st;
        int rc;

        if (stat(o->path, &st) != 0 || st.st_size > OUTBOX_CHECK_BYTES)
                return 0;
        rc = sqlite3_prepare_v2(o->db, "PRAGMA quick_check(1)", -1, &s, NULL);
        if (rc == SQLITE_OK)
                rc = sqlite3_step(s);
        if (rc == SQLITE_ROW) {
                answer = (const char *)sqlite3_column_text(s, 0);
                rc = !answer ? SQLITE_NOMEM : strcmp(answer, "ok") != 0 ? SQLITE_CORRUPT : SQLITE_ROW;
        }
        (void)sqlite3_finalize(s);
        return rc == SQLITE_ROW ? 0 : outbox_open_fail(o, rc, reterr);
}

static int outbox_prepare(struct sw_outbox *o, struct sw_err *reterr)
{
        int64_t version = 0, application = 0, objects = 0;
        int rc;

        (void)sqlite3_extended_result_codes(o->db, 1);
        (void)sqlite3_busy_timeout(o->db, OUTBOX_BUSY_MS);
        (void)sqlite3_db_config(o->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
        (void)sqlite3_db_config(o->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
        rc = outbox_pragma(o, "PRAGMA user_version", &version);
        if (rc == SQLITE_OK)
                rc = outbox_pragma(o, "PRAGMA application_id", &application);
        if (rc == SQLITE_OK)
                rc = outbox_pragma(o, "SELECT count(*) FROM sqlite_schema", &objects);
        if (rc == SQLITE_OK && objects == 0 && version == 0)
                rc = outbox_create(o);
        else if (rc == SQLITE_OK && application != OUTBOX_APPLICATION)
                return sw_err_set(reterr, -SW_ERR_DATA, "%s is a database of another program: move it away", o->path);
        else if (rc == SQLITE_OK && version > OUTBOX_FORMAT)
                return sw_err_set(reterr, -SW_ERR_DATA,
                        "%s was written by a newer segwatch (format %lld, this one knows up to %d): use that one, or "
                        "move %s* away to begin with an empty outbox",
                        o->path, (long long)version, OUTBOX_FORMAT, o->path);
        if (rc == SQLITE_OK)
                rc = sqlite3_exec(o->db,
                        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0;"
                        "PRAGMA journal_size_limit=16777216; PRAGMA temp_store=MEMORY; PRAGMA cell_size_check=ON",
                        NULL, NULL, NULL);
        if (rc != SQLITE_OK)
                return outbox_open_fail(o, rc, reterr);
        o->full_sync = true;
        (void)sqlite3_wal_hook(o->db, outbox_on_wal, o);
        return outbox_check(o, reterr);
}

/* What is kept in memory about the rows. */
static int outbox_load(struct sw_outbox *o)
{
        struct sw_outbox_stats *k = &o->mem.stats;
        int64_t v[2] = { 0 };
        int r;

        r = sw__outbox_ints(o, OUTBOX_NEWEST, 0, NULL, 1, v);
        k->newest = v[0];
        if (r == 0)
                r = sw__outbox_ints(o, OUTBOX_TOTAL, 0, NULL, 2, v);
        k->rows = (uint64_t)v[0];
        k->bytes = (uint64_t)v[1];
        if (r == 0)
                r = sw__outbox_ints(o, OUTBOX_LAST_RELEASE, 0, NULL, 1, v);
        o->mem.last_release = (uint64_t)v[0];
        if (r == 0)
                r = sw__outbox_load_sinks(o);
        sw__outbox_show(o);
        return r;
}

int sw_outbox_open(const struct sw_outbox_conf *conf, struct sw_log *log, struct sw_outbox **ret, struct sw_err *reterr)
{
        struct sw_outbox *o = sw_calloc(1, sizeof(*o));
        struct sw_buf path = SW_BUF_NULL;
        int r, rc;

        sw_buf_printf(&path, "%s/%s", conf->dir, SW_OUTBOX_FILE);
        sw_buf_putc(&path, '\0');
        if (!o || path.failed) {
                sw_free(o);
                sw_buf_deinit(&path);
                return sw_err_set(reterr, -SW_ERR_NOMEM, "out of memory");
        }
        pthread_mutex_init(&o->lock, NULL);
        pthread_cond_init(&o->turn, NULL);
        pthread_mutex_init(&o->shown_lock, NULL);
        o->log = log;
        o->path = path.p;
        o->max_bytes = conf->max_bytes;
        o->max_age_ms = conf->max_age_ms;
        o->stop = conf->stop;
        r = outbox_make_file(o, conf->dir, reterr);
        if (r == 0) {
                rc = sqlite3_open_v2(o->path, &o->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
                r = rc == SQLITE_OK ? outbox_prepare(o, reterr) : outbox_open_fail(o, rc, reterr);
        }
        if (r == 0) {
                r = outbox_load(o);
                if (r != 0)
                        r = outbox_open_fail(o, sqlite3_extended_errcode(o->db), reterr);
        }
        if (r != 0) {
                sw_outbox_close(o);
                return r;
        }
        *ret = o;
        return 0;
}

struct sw_outbox *sw_outbox_close(struct sw_outbox *o)
{
        unsigned i;

        if (!o)
                return NULL;
        for (i = 0; i < OUTBOX_N_SQL; i++)
                (void)sqlite3_finalize(o->sql[i]);
        if (o->failed)
                (void)sqlite3_db_config(o->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        (void)sqlite3_close_v2(o->db);
        pthread_mutex_destroy(&o->shown_lock);
        pthread_cond_destroy(&o->turn);
        pthread_mutex_destroy(&o->lock);
        sw_free(o->path);
        sw_free(o);
        return NULL;
}

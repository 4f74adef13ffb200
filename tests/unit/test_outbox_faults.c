/* SPDX-License-Identifier: Apache-2.0 */
/* Every call of SQLite may fail: each operation of the outbox is tried with its first call failing, then with its
 * second, and so on until it succeeds. What failed must have changed nothing, in the file and in memory. */
#include "../lib/fail.h"
#include "../lib/fail_alloc.h"
#include "base/alloc.h"
#include "state/outbox.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int __real_sqlite3_step(sqlite3_stmt *s);
int __real_sqlite3_finalize(sqlite3_stmt *s);
int __real_sqlite3_prepare_v2(sqlite3 *db, const char *text, int n, sqlite3_stmt **ret, const char **tail);
int __real_sqlite3_prepare_v3(
        sqlite3 *db, const char *text, int n, unsigned flags, sqlite3_stmt **ret, const char **tail);
int __real_sqlite3_exec(sqlite3 *db, const char *text, int (*f)(void *, int, char **, char **), void *ctx, char **err);
int __real_sqlite3_open_v2(const char *path, sqlite3 **ret, int flags, const char *vfs);
int __real_sqlite3_wal_checkpoint_v2(sqlite3 *db, const char *name, int mode, int *log, int *done);
void *__real_sqlite3_wal_hook(sqlite3 *db, int (*f)(void *, sqlite3 *, const char *, int), void *ctx);
int __real_sqlite3_extended_errcode(sqlite3 *db);
int __real_sqlite3_system_errno(sqlite3 *db);
const unsigned char *__real_sqlite3_column_text(sqlite3_stmt *s, int at);
int __wrap_sqlite3_step(sqlite3_stmt *s);
int __wrap_sqlite3_finalize(sqlite3_stmt *s);
int __wrap_sqlite3_prepare_v2(sqlite3 *db, const char *text, int n, sqlite3_stmt **ret, const char **tail);
int __wrap_sqlite3_prepare_v3(
        sqlite3 *db, const char *text, int n, unsigned flags, sqlite3_stmt **ret, const char **tail);
int __wrap_sqlite3_exec(sqlite3 *db, const char *text, int (*f)(void *, int, char **, char **), void *ctx, char **err);
int __wrap_sqlite3_open_v2(const char *path, sqlite3 **ret, int flags, const char *vfs);
int __wrap_sqlite3_wal_checkpoint_v2(sqlite3 *db, const char *name, int mode, int *log, int *done);
void *__wrap_sqlite3_wal_hook(sqlite3 *db, int (*f)(void *, sqlite3 *, const char *, int), void *ctx);
int __wrap_sqlite3_extended_errcode(sqlite3 *db);
int __wrap_sqlite3_system_errno(sqlite3 *db);
const unsigned char *__wrap_sqlite3_column_text(sqlite3_stmt *s, int at);

static int fail_code = SQLITE_NOMEM, fail_errno;
static bool fail_checkpoint = true;
static sqlite3_stmt *failed_step;
static bool race; /* another process makes the file first */
static void make_first(sqlite3 *db);
static int (*wal_hook)(void *, sqlite3 *, const char *, int);
static void *wal_ctx;

int __wrap_sqlite3_step(sqlite3_stmt *s)
{
        if (!fail_now())
                return __real_sqlite3_step(s);
        failed_step = s;
        return fail_code;
}

/* Says again what the last step said. */
int __wrap_sqlite3_finalize(sqlite3_stmt *s)
{
        int rc = __real_sqlite3_finalize(s);

        if (s != failed_step)
                return rc;
        failed_step = NULL;
        return s ? fail_code : rc;
}

int __wrap_sqlite3_prepare_v2(sqlite3 *db, const char *text, int n, sqlite3_stmt **ret, const char **tail)
{
        *ret = NULL;
        return fail_now() ? fail_code : __real_sqlite3_prepare_v2(db, text, n, ret, tail);
}

int __wrap_sqlite3_prepare_v3(
        sqlite3 *db, const char *text, int n, unsigned flags, sqlite3_stmt **ret, const char **tail)
{
        *ret = NULL;
        return fail_now() ? fail_code : __real_sqlite3_prepare_v3(db, text, n, flags, ret, tail);
}

int __wrap_sqlite3_exec(sqlite3 *db, const char *text, int (*f)(void *, int, char **, char **), void *ctx, char **err)
{
        if (race) {
                race = false;
                make_first(db);
        }
        return fail_now() ? fail_code : __real_sqlite3_exec(db, text, f, ctx, err);
}

/* A database that could not be opened has a handle all the same. */
int __wrap_sqlite3_open_v2(const char *path, sqlite3 **ret, int flags, const char *vfs)
{
        int rc = __real_sqlite3_open_v2(path, ret, flags, vfs);

        return fail_now() ? fail_code : rc;
}

int __wrap_sqlite3_wal_checkpoint_v2(sqlite3 *db, const char *name, int mode, int *log, int *done)
{
        return fail_checkpoint && fail_now() ? fail_code : __real_sqlite3_wal_checkpoint_v2(db, name, mode, log, done);
}

int __wrap_sqlite3_extended_errcode(sqlite3 *db)
{
        return atomic_load(&fail_plan.hit) ? fail_code : __real_sqlite3_extended_errcode(db);
}

int __wrap_sqlite3_system_errno(sqlite3 *db)
{
        return atomic_load(&fail_plan.hit) ? fail_errno : __real_sqlite3_system_errno(db);
}

static bool no_memory(void)
{
        return fail_code == SQLITE_NOMEM && fail_now();
}

void *__wrap_sqlite3_wal_hook(sqlite3 *db, int (*f)(void *, sqlite3 *, const char *, int), void *ctx)
{
        wal_hook = f;
        wal_ctx = ctx;
        return __real_sqlite3_wal_hook(db, f, ctx);
}

/* NULL for want of memory: the text has no end yet. */
const unsigned char *__wrap_sqlite3_column_text(sqlite3_stmt *s, int at)
{
        return no_memory() ? NULL : __real_sqlite3_column_text(s, at);
}

FAIL_ALLOC(no_memory())

/* ---- an outbox and what happens to it ---- */

struct fixture {
        char dir[64], path[96];
        struct sw_log *log;
        struct sw_outbox *o;
        atomic_bool stop;
        struct sw_outbox_conf conf;
        uint64_t number; /* of the last release */
        char got[1024];
        unsigned n_got;
        uint8_t severity; /* of the sink "all" */
        size_t much;      /* bytes of a long line */
};

static int try_open(struct fixture *x, struct sw_err *err)
{
        x->o = NULL;
        *err = SW_ERR_NULL;
        return sw_outbox_open(&x->conf, x->log, &x->o, err);
}

static void start(struct fixture *x)
{
        struct sw_err err;

        strcpy(x->dir, "/tmp/segwatch-outbox-XXXXXX");
        cr_assert_not_null(mkdtemp(x->dir));
        snprintf(x->path, sizeof(x->path), "%s/%s", x->dir, SW_OUTBOX_FILE);
        x->much = 600000;
        x->conf = (struct sw_outbox_conf){
                .dir = x->dir, .max_bytes = 700000, .max_age_ms = INT64_C(50) * 366 * 86400000, .stop = &x->stop
        };
        cr_assert_eq(sw_log_new(open("/dev/null", O_WRONLY), SW_LOG_DEBUG, SW_LOG_LOGFMT, &x->log), 0);
        cr_assert_eq(try_open(x, &err), 0, "%s", err.msg);
}

static void end(struct fixture *x)
{
        char command[128];

        x->o = sw_outbox_close(x->o);
        x->log = sw_log_free(x->log);
        snprintf(command, sizeof(command), "rm -rf %s", x->dir);
        cr_assert_eq(system(command), 0);
}

static const struct sw_outbox_offset places[] = {
        { .source = "weu", .topic = "flow", .next = 17, .stamp = { 1700000000123 }, .hash = 5 },
        { .source = "weu", .topic = "flow", .partition = 31, .next = 4, .stamp = { INT64_MIN } },
};

/* A release with lines "Lfrom" ...; severities: a digit each; pad: bytes that make each longer. */
static int put(struct fixture *x, unsigned from, const char *severities, size_t pad)
{
        struct sw_outbox_release r = { .number = x->number + 1,
                .watermark = { 1700000000000 },
                .wall = { 1700000000000 + (int64_t)x->number },
                .conf = "0123456789abcdef0123456789abcdef",
                .offsets = places,
                .n_offsets = 2 };
        struct sw_lines l = { 0 };
        bool on = atomic_exchange(&fail_plan.on, false); /* what follows is the test's */
        char uid[33];
        int e;

        for (; *severities; severities++, from++) {
                size_t at = l.text.n, i;

                snprintf(uid, sizeof(uid), "%032u", from);
                sw_buf_printf(&l.text, "L%u", from);
                for (i = 0; i < pad; i++)
                        sw_buf_putc(&l.text, '.');
                cr_assert_eq(sw_lines_add(&l, at, (uint8_t)(*severities - '0'), uid), 0);
        }
        atomic_store(&fail_plan.on, on);
        e = sw_outbox_commit(x->o, &r, &l);
        x->number += e == SW_OUTBOX_OK;
        sw_lines_deinit(&l);
        return e;
}

static int note_row(void *ctx, const struct sw_outbox_row *row)
{
        struct fixture *x = ctx;

        if (x->n_got++ < 20)
                snprintf(x->got + strlen(x->got), sizeof(x->got) - strlen(x->got), "%.*s:%d:%.3s ",
                        (int)(row->line.n > 3 ? 3 : row->line.n), row->line.p, row->severity, row->uid + 29);
        return 0;
}

static int rows_of(struct fixture *x, const char *sink)
{
        int r;

        *x->got = '\0';
        x->n_got = 0;
        r = sw_outbox_read(x->o, sink, 0, 100, note_row, x);
        return r;
}

static int note_release(void *ctx, const struct sw_outbox_release *r, const struct sw_line *findings, uint32_t n)
{
        struct fixture *x = ctx;

        snprintf(x->got + strlen(x->got), sizeof(x->got) - strlen(x->got), "%llu %.4s %s/%s:%u %.3s ",
                (unsigned long long)r->number, r->conf, r->offsets[0].source, r->offsets[0].topic, n,
                n ? findings[0].uid + 29 : "-");
        return 0;
}

static int op_conf(struct fixture *x)
{
        return sw_outbox_put_conf(x->o, "0123456789abcdef0123456789abcdef", SW_STR("a: 1"));
}

static int op_get_conf(struct fixture *x)
{
        struct sw_buf b = SW_BUF_NULL;
        int r = sw_outbox_get_conf(x->o, "0123456789abcdef0123456789abcdef", &b);

        cr_assert(r != 0 || sw_str_eq((struct sw_str){ b.p, b.n }, SW_STR("a: 1")));
        sw_buf_deinit(&b);
        return r;
}

static int op_sink_all(struct fixture *x)
{
        return sw_outbox_sink(x->o, "all", 0);
}

static int op_sink_small(struct fixture *x)
{
        return sw_outbox_sink(x->o, "small", 40);
}

static int op_sink_other(struct fixture *x)
{
        return sw_outbox_sink(x->o, "other", 0);
}

static int op_first(struct fixture *x)
{
        return put(x, 1, "1345", 0);
}

/* Beyond the cap of one sink; one line is there already. */
static int op_beyond(struct fixture *x)
{
        return put(x, 4, "513", 18);
}

static int op_add(struct fixture *x)
{
        struct sw_line line = { .severity = 2, .n = 2 };

        snprintf(line.uid, sizeof(line.uid), "%032u", 9u);
        return sw_outbox_add(x->o, &line, "L9");
}

static int set_severity(struct fixture *x, uint8_t severity)
{
        int r = sw_outbox_sink_severity(x->o, "all", severity);

        if (r == 0)
                x->severity = severity;
        return r;
}

static int op_severity(struct fixture *x)
{
        return set_severity(x, 3);
}

static int op_severity_back(struct fixture *x)
{
        return set_severity(x, 0);
}

static int op_read(struct fixture *x)
{
        int r = rows_of(x, "all");

        cr_assert(r != 0 || strcmp(x->got, "L1:1:001 L2:3:002 L3:4:003 L4:5:004 L5.:1:005 L6.:3:006 L9:2:009 ") == 0,
                "%s", x->got);
        return r;
}

static int op_read_small(struct fixture *x)
{
        int r = rows_of(x, "small");

        cr_assert(r != 0 || strcmp(x->got, "L2:3:002 L3:4:003 L4:5:004 L6.:3:006 L9:2:009 ") == 0, "%s", x->got);
        return r;
}

static int op_mark(struct fixture *x)
{
        return sw_outbox_mark(x->o, "all", 3);
}

static int op_mark_note(struct fixture *x)
{
        return sw_outbox_mark_note(x->o, "all", 7, SW_STR("here"), true);
}

static int op_note(struct fixture *x)
{
        struct sw_buf b = SW_BUF_NULL;
        int r = sw_outbox_note(x->o, "all", &b);

        cr_assert(r != 0 || sw_str_eq((struct sw_str){ b.p, b.n }, SW_STR("here")));
        sw_buf_deinit(&b);
        return r;
}

static int op_resend(struct fixture *x)
{
        uint64_t n = 0;
        int r = sw_outbox_resend(x->o, "all", (struct sw_etime){ 1700000000001 }, &n);

        cr_assert(r != 0 || n == 2, "%llu", (unsigned long long)n);
        return r;
}

static int op_read_again(struct fixture *x)
{
        int r = rows_of(x, "all");

        cr_assert(r != 0 || strcmp(x->got, "L5.:1:005 L6.:3:006 L9:2:009 ") == 0, "%s", x->got);
        return r;
}

static int op_mark_again(struct fixture *x)
{
        return sw_outbox_mark(x->o, "all", 8);
}

static int op_mark_small(struct fixture *x)
{
        return sw_outbox_mark(x->o, "small", 8);
}

static int op_releases(struct fixture *x)
{
        int r;

        *x->got = '\0';
        r = sw_outbox_releases(x->o, 0, note_release, x);
        cr_assert(r != 0 || strcmp(x->got, "1 0123 weu/flow:4 001 2 0123 weu/flow:2 005 ") == 0, "%s", x->got);
        return r;
}

static int op_last(struct fixture *x)
{
        struct sw_outbox_release last = { 0 };
        int r = sw_outbox_last(x->o, &last);

        cr_assert(r != 0 || (last.number == x->number && strncmp(last.conf, "0123", 4) == 0));
        return r;
}

/* Megabytes, so that there is a checkpoint, and pages to give back once they are removed. */
static int op_much(struct fixture *x)
{
        return put(x, 100, "3333333333", x->much);
}

static int op_forget(struct fixture *x)
{
        return sw_outbox_forget(x->o, x->number - 1);
}

static int op_mark_all(struct fixture *x)
{
        struct sw_outbox_stats k;

        sw_outbox_stats(x->o, &k);
        return sw_outbox_mark(x->o, "all", k.newest);
}

static int op_tend(struct fixture *x)
{
        return sw_outbox_tend(x->o);
}

static int op_resend_all(struct fixture *x)
{
        uint64_t n = 0;
        int r = sw_outbox_resend(x->o, "all", SW_ETIME_NONE, &n);

        cr_assert(r != 0 || n >= 10, "%llu", (unsigned long long)n);
        return r;
}

/* More than is copied out at a time. */
static int op_read_much(struct fixture *x)
{
        int r = rows_of(x, "all");

        cr_assert(r != 0 || x->n_got >= 10, "%u", x->n_got);
        return r;
}

static int op_drop(struct fixture *x)
{
        return sw_outbox_drop_sink(x->o, "small");
}

static int op_drop_others(struct fixture *x)
{
        return sw_outbox_drop_others(x->o);
}

static int (*const story[])(struct fixture *x) = { op_conf, op_get_conf, op_sink_small, op_sink_all, op_first,
        op_beyond, op_add, op_severity, op_severity_back, op_read, op_read_small, op_mark, op_mark_note, op_note,
        op_resend, op_read_again, op_mark_again, op_mark_small, op_releases, op_last, op_much, op_last, op_drop,
        op_sink_other, op_mark_all, op_resend_all, op_read_much, op_mark_all, op_much /* again: all are duplicates */,
        op_forget, op_tend, op_tend, op_drop_others };
#define N_STORY (sizeof(story) / sizeof(*story))

/* ---- what there is ---- */

static void dump_sink(void *ctx, const char *name, const struct sw_outbox_sink_stats *s)
{
        sw_buf_printf(ctx, "%s: %llu rows, %llu bytes, %llu given up, oldest %lld\n", name, (unsigned long long)s->rows,
                (unsigned long long)s->bytes, (unsigned long long)s->given_up, (long long)s->oldest.ms);
}

/* In memory; opened: without what counts since open, and without the newest: a duplicate takes a number, too. */
static char *memory_of(struct fixture *x, bool opened)
{
        struct sw_buf b = SW_BUF_NULL;
        struct sw_outbox_stats k;

        sw_outbox_stats(x->o, &k);
        sw_buf_printf(&b, "%llu rows, %llu bytes\n", (unsigned long long)k.rows, (unsigned long long)k.bytes);
        if (!opened)
                sw_buf_printf(&b, "newest %lld, %llu duplicates, %llu removed\n", (long long)k.newest,
                        (unsigned long long)k.duplicates, (unsigned long long)k.removed);
        sw_outbox_each_sink(x->o, dump_sink, &b);
        sw_buf_putc(&b, '\0');
        cr_assert_not(b.failed);
        return b.p;
}

static void dump_query(struct sw_buf *b, sqlite3 *db, const char *text)
{
        sqlite3_stmt *s;
        int i;

        cr_assert_eq(sqlite3_prepare_v2(db, text, -1, &s, NULL), SQLITE_OK, "%s", sqlite3_errmsg(db));
        while (sqlite3_step(s) == SQLITE_ROW) {
                for (i = 0; i < sqlite3_column_count(s); i++) {
                        const char *z = (const char *)sqlite3_column_text(s, i);

                        sw_buf_printf(b, "%.40s|", z ? z : "NULL");
                }
                sw_buf_putc(b, '\n');
        }
        sqlite3_finalize(s);
}

/* All tables, read by somebody else. What was added by itself has the time of the clock. */
static char *file_of(const struct fixture *x)
{
        struct sw_buf b = SW_BUF_NULL;
        sqlite3 *db;

        cr_assert_eq(sqlite3_open(x->path, &db), SQLITE_OK);
        dump_query(&b, db, "SELECT * FROM conf ORDER BY id");
        dump_query(&b, db, "SELECT * FROM release ORDER BY number");
        dump_query(&b, db, "SELECT * FROM place ORDER BY id");
        dump_query(&b, db, "SELECT * FROM consumed ORDER BY release, place");
        dump_query(&b, db,
                "SELECT number, release, severity, iif(release, logged, 0), bytes, uid, iif(bytes < 1000, line, "
                "'much') FROM finding"
                " ORDER BY number");
        dump_query(&b, db, "SELECT * FROM sink ORDER BY id");
        dump_query(&b, db, "SELECT * FROM floor ORDER BY sink, severity");
        dump_query(&b, db, "SELECT number, sink FROM resend ORDER BY id");
        sqlite3_close(db);
        sw_buf_putc(&b, '\0');
        cr_assert_not(b.failed);
        return b.p;
}

static void dump_name(void *ctx, const char *name, const struct sw_outbox_sink_stats *s)
{
        (void)s;
        sw_buf_printf(ctx, "%s ", name);
}

/* As a process does after its end: opens it, and says which sinks it has. */
static void revive(struct fixture *x)
{
        struct sw_buf names = SW_BUF_NULL;
        char *name, *rest;
        struct sw_err err;

        sw_outbox_close(x->o);
        cr_assert_eq(try_open(x, &err), 0, "%s", err.msg);
        sw_outbox_each_sink(x->o, dump_name, &names);
        sw_buf_putc(&names, '\0');
        for (name = strtok_r(names.p, " ", &rest); name; name = strtok_r(NULL, " ", &rest)) {
                cr_assert_eq(sw_outbox_sink(x->o, name, strcmp(name, "small") == 0 ? 40 : 0), 0);
                if (strcmp(name, "all") == 0)
                        cr_assert_eq(sw_outbox_sink_severity(x->o, name, x->severity), 0);
        }
        sw_buf_deinit(&names);
}

/* ---- walks ---- */

static void same(char *a, char *b, const char *what, size_t op, unsigned long at)
{
        cr_assert_str_eq(a, b, "%s after operation %zu failed at call %lu:\n%s\ninstead of\n%s", what, op, at, b, a);
        sw_free(a);
        sw_free(b);
}

/* One operation at every place; whether it may be tried again with the same handle. Returns the places. */
static unsigned long walk(struct fixture *x, size_t op, int expected, bool again)
{
        unsigned long at, step = again && story[op] == op_much ? 6 : 1;
        int r;

        for (at = 1;; at += step) {
                char *memory = memory_of(x, !again), *file = file_of(x);

                fail_arm(at, false);
                r = story[op](x);
                if (!fail_disarm()) {
                        sw_free(memory);
                        sw_free(file);
                        break;
                }
                if (r == 0) { /* what is tried again with the next commit */
                        sw_free(memory);
                        sw_free(file);
                        return at;
                }
                cr_assert(r == expected || (expected == SW_OUTBOX_STOPPED && r == -SW_ERR_UNAVAIL),
                        "operation %zu at call %lu: %d", op, at, r);
                if (!again) {
                        cr_assert_eq(sw_outbox_tend(x->o), expected, "it is written no more");
                        revive(x);
                }
                same(memory, memory_of(x, !again), "memory", op, at);
                same(file, file_of(x), "file", op, at);
        }
        cr_assert_eq(r, 0, "operation %zu: %d", op, r);
        return at / step;
}

/* All operations. from: what the undisturbed file has, if each may be tried again with the same handle. */
static void walk_all(int code, int expected, const char *from)
{
        struct fixture x = { 0 };
        unsigned long n = 0;
        size_t op;
        char *memory;

        fail_code = code;
        fail_checkpoint = from != NULL; /* else: below */
        start(&x);
        x.much = from ? x.much : 1000;
        if (expected == SW_OUTBOX_STOPPED)
                atomic_store(&x.stop, true);
        for (op = 0; op < N_STORY; op++)
                n += walk(&x, op, expected, from != NULL);
        cr_assert_gt(n, from ? 300 : 80);
        if (from)
                same(sw_strdup(from), file_of(&x), "file", N_STORY, 0);
        memory = memory_of(&x, true);
        revive(&x);
        same(memory, memory_of(&x, true), "memory", N_STORY, 0);
        end(&x);
}

static char *undisturbed(void)
{
        struct fixture x = { 0 };
        size_t op;
        char *file;

        start(&x);
        for (op = 0; op < N_STORY; op++)
                cr_assert_eq(story[op](&x), 0, "operation %zu", op);
        file = file_of(&x);
        end(&x);
        return file;
}

Test(outbox_faults, without_memory_an_operation_changes_nothing_and_may_be_tried_again, .timeout = 120)
{
        char *file = undisturbed();

        walk_all(SQLITE_NOMEM, -SW_ERR_NOMEM, file);
        sw_free(file);
}

Test(outbox_faults, a_lock_of_others_changes_nothing, .timeout = 120)
{
        char *file = undisturbed();

        walk_all(SQLITE_BUSY, SW_OUTBOX_STOPPED, file);
        sw_free(file);
}

Test(outbox_faults, after_an_error_of_the_disk_nothing_is_written_until_it_is_opened_again, .timeout = 120)
{
        walk_all(SQLITE_IOERR_FSYNC, -SW_ERR_IO, NULL);
}

Test(outbox_faults, after_damage_nothing_is_written_until_it_is_opened_again, .timeout = 120)
{
        walk_all(SQLITE_CORRUPT, -SW_ERR_DATA, NULL);
}

/* The transaction before it was committed. */
Test(outbox_faults, a_checkpoint_that_fails_takes_nothing_back)
{
        static const struct {
                int code, expected;
        } t[] = { { SQLITE_NOMEM, 0 }, { SQLITE_BUSY, 0 }, { SQLITE_FULL, 0 }, { SQLITE_IOERR_WRITE, -SW_ERR_IO },
                { SQLITE_CORRUPT, -SW_ERR_DATA } };
        struct sw_outbox_release last;
        unsigned long at;
        size_t i;

        for (i = 0; i < sizeof(t) / sizeof(*t); i++) {
                struct fixture x = { 0 };

                start(&x);
                fail_code = t[i].code;
                fail_arm(ULONG_MAX, false);
                cr_assert_eq(op_much(&x), 0);
                (void)fail_disarm();
                at = atomic_load(&fail_plan.n_calls); /* the checkpoint is the last call */
                end(&x);
                x = (struct fixture){ 0 };
                start(&x);
                fail_errno = EIO;
                fail_arm(at, false);
                cr_assert_eq(op_much(&x), t[i].expected, "code %d", t[i].code);
                cr_assert(fail_disarm());
                revive(&x);
                cr_assert_eq(sw_outbox_last(x.o, &last), 0);
                cr_assert_eq(last.number, 1);
                x.number = 1;
                cr_assert_eq(op_first(&x), 0);
                end(&x);
        }
}

/* What an error means: whether it is waited for, and whether the file is written again. */
Test(outbox_faults, each_error_is_what_its_codes_say)
{
        static const struct {
                int code, error, expected;
        } t[] = {
                { SQLITE_FULL, 0, SW_OUTBOX_STOPPED },
                { SQLITE_LOCKED, 0, SW_OUTBOX_STOPPED },
                { SQLITE_BUSY_SNAPSHOT, 0, SW_OUTBOX_STOPPED },
                { SQLITE_IOERR_WRITE, ENOSPC, SW_OUTBOX_STOPPED },
                { SQLITE_IOERR_WRITE, EDQUOT, SW_OUTBOX_STOPPED },
                { SQLITE_IOERR_WRITE, EFBIG, SW_OUTBOX_STOPPED },
                { SQLITE_IOERR_WRITE, EIO, -SW_ERR_IO },
                { SQLITE_IOERR_SHMSIZE, ENOSPC, SW_OUTBOX_STOPPED },
                { SQLITE_IOERR_SHMOPEN, ENOSPC, SW_OUTBOX_STOPPED },
                { SQLITE_CANTOPEN, ENOSPC, SW_OUTBOX_STOPPED },
                { SQLITE_CANTOPEN, EMFILE, -SW_ERR_IO },
                { SQLITE_IOERR_FSYNC, ENOSPC, -SW_ERR_IO }, /* nobody knows what is on the disk */
                { SQLITE_IOERR_READ, EIO, -SW_ERR_IO },
                { SQLITE_READONLY, EROFS, -SW_ERR_IO },
                { SQLITE_NOTADB, 0, -SW_ERR_DATA },
                { SQLITE_IOERR_NOMEM, 0, -SW_ERR_IO },
        };
        struct fixture x = { 0 };
        struct sw_err err;
        size_t i;

        start(&x);
        atomic_store(&x.stop, true);
        for (i = 0; i < sizeof(t) / sizeof(*t); i++) {
                fail_code = t[i].code;
                fail_errno = t[i].error;
                fail_arm(1, false);
                cr_assert_eq(op_first(&x), t[i].expected, "code %d", t[i].code);
                cr_assert(fail_disarm());
                cr_assert_eq(sw_outbox_tend(x.o), t[i].expected < 0 ? t[i].expected : 0, "code %d", t[i].code);
                sw_outbox_close(x.o);
                cr_assert_eq(try_open(&x, &err), 0, "%s", err.msg);
        }
        end(&x);
}

/* A rollback that fails as well leaves a transaction that nobody may go on with. */
Test(outbox_faults, without_a_rollback_it_is_written_no_more)
{
        struct sw_outbox_release last;
        struct fixture x = { 0 };
        unsigned long at;

        start(&x);
        cr_assert_eq(op_first(&x), 0);
        atomic_store(&x.stop, true);
        for (at = 3;; at++) { /* 1 and 2 begin it */
                int r;

                fail_code = at % 2 ? SQLITE_BUSY : SQLITE_NOMEM;
                fail_arm(at, true);
                r = op_beyond(&x);
                if (!fail_disarm())
                        break;
                cr_assert(r == -SW_ERR_IO || r == (at % 2 ? SW_OUTBOX_STOPPED : -SW_ERR_NOMEM), "call %lu: %d", at, r);
                cr_assert(sw_outbox_tend(x.o) == -SW_ERR_IO || r != -SW_ERR_IO);
                revive(&x);
                cr_assert_eq(sw_outbox_last(x.o, &last), 0);
                cr_assert_eq(last.number, 1);
        }
        cr_assert_gt(at, 20);
        end(&x);
}

/* Opening at every place, of a file that is new and of one that is there. */
static void walk_open(struct fixture *x, int code, int error, int expected)
{
        struct sw_err err;
        unsigned long at;
        int r;

        for (at = 1;; at++) {
                fail_code = code;
                fail_errno = error;
                fail_arm(at, false);
                r = try_open(x, &err);
                if (!fail_disarm())
                        break;
                cr_assert_eq(r, expected, "code %d at call %lu: %d %s", code, at, r, err.msg);
                cr_assert_null(x->o);
                cr_assert_neq(err.msg[0], '\0');
        }
        cr_assert_eq(r, 0, "%s", err.msg);
        cr_assert_gt(at, 10);
}

Test(outbox_faults, opening_fails_with_a_word_and_works_the_next_time)
{
        static const struct {
                int code, error, expected;
        } t[] = { { SQLITE_NOMEM, 0, -SW_ERR_NOMEM }, { SQLITE_BUSY, 0, -SW_ERR_UNAVAIL },
                { SQLITE_LOCKED, 0, -SW_ERR_UNAVAIL }, { SQLITE_FULL, 0, -SW_ERR_UNAVAIL },
                { SQLITE_CORRUPT, 0, -SW_ERR_DATA }, { SQLITE_NOTADB, 0, -SW_ERR_DATA },
                { SQLITE_CANTOPEN, ENOSPC, -SW_ERR_UNAVAIL }, { SQLITE_IOERR_READ, EIO, -SW_ERR_IO },
                { SQLITE_IOERR_WRITE, ENOSPC, -SW_ERR_UNAVAIL } };
        size_t i;

        for (i = 0; i < sizeof(t) / sizeof(*t); i++) {
                struct fixture x = { 0 };

                start(&x);
                x.o = sw_outbox_close(x.o);
                cr_assert_eq(unlink(x.path), 0);
                walk_open(&x, t[i].code, t[i].error, t[i].expected);
                cr_assert_eq(op_sink_all(&x), 0);
                cr_assert_eq(op_sink_small(&x), 0);
                cr_assert_eq(op_first(&x), 0);
                cr_assert_eq(op_beyond(&x), 0);
                sw_outbox_close(x.o);
                walk_open(&x, t[i].code, t[i].error, t[i].expected);
                cr_assert_eq(op_last(&x), 0);
                end(&x);
        }
}

/* ---- what is seldom ---- */

static void make_first(sqlite3 *db)
{
        struct fixture other = { 0 };
        struct sw_err err;

        snprintf(other.dir, sizeof(other.dir), "%s", sqlite3_db_filename(db, "main"));
        *strrchr(other.dir, '/') = '\0';
        other.conf = (struct sw_outbox_conf){ .dir = other.dir };
        cr_assert_eq(sw_log_new(open("/dev/null", O_WRONLY), SW_LOG_DEBUG, SW_LOG_LOGFMT, &other.log), 0);
        cr_assert_eq(try_open(&other, &err), 0, "%s", err.msg);
        cr_assert_eq(op_first(&other), 0);
        sw_outbox_close(other.o);
        sw_log_free(other.log);
}

Test(outbox_faults, another_process_may_make_the_file_first)
{
        struct fixture x = { 0 };
        struct sw_err err;

        start(&x);
        x.o = sw_outbox_close(x.o);
        cr_assert_eq(unlink(x.path), 0);
        race = true;
        cr_assert_eq(try_open(&x, &err), 0, "%s", err.msg);
        cr_assert_not(race);
        x.number = 1;
        cr_assert_eq(op_last(&x), 0);
        end(&x);
}

/* A reader of another process keeps the WAL from being given back. */
Test(outbox_faults, a_wal_that_grows_without_end_is_told)
{
        struct fixture x = { 0 };
        char text[4096] = "", path[96];
        FILE *f;

        start(&x);
        x.log = sw_log_free(x.log);
        sw_outbox_close(x.o);
        snprintf(path, sizeof(path), "%s/log", x.dir);
        cr_assert_eq(sw_log_new(open(path, O_CREAT | O_WRONLY, 0600), SW_LOG_DEBUG, SW_LOG_LOGFMT, &x.log), 0);
        cr_assert_eq(sw_outbox_open(&x.conf, x.log, &x.o, NULL), 0);
        cr_assert_not_null(wal_hook);
        cr_assert_eq(wal_hook(wal_ctx, NULL, "main", 1000 * 64), SQLITE_OK);
        cr_assert_eq(sw_outbox_tend(x.o), 0);
        f = fopen(path, "r");
        cr_assert_gt(fread(text, 1, sizeof(text) - 1, f), 0);
        fclose(f);
        cr_assert_not_null(strstr(text, "outbox_wal"), "%s", text);
        end(&x);
}

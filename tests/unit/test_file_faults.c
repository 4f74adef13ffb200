/* SPDX-License-Identifier: Apache-2.0 */
/* Every call that touches a file may fail: the alert file is written, completed after a crash, found again after it was
 * moved, and snapshots are written, each with its first call failing, then with its second, and so on. */
#include "../lib/fail_files.h"
#include "sink/alert_export.h"
#include "state/outbox_writer.h"
#include "state/read_ahead.h"
#include "state/snapshots.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

FAIL_WRAP(int, fsync, -1, (int fd), (fd))
FAIL_WRAP(int, fdatasync, -1, (int fd), (fd))
FAIL_WRAP(int, fstat64, -1, (int fd, struct stat *st), (fd, st))
FAIL_WRAP(int, fstatat64, -1, (int fd, const char *path, struct stat *st, int flags), (fd, path, st, flags))
FAIL_WRAP(int, renameat, -1, (int from, const char *a, int to, const char *b), (from, a, to, b))
FAIL_WRAP(DIR *, opendir, NULL, (const char *path), (path))
FAIL_WRAP(DIR *, fdopendir, NULL, (int fd), (fd))
FAIL_WRAP(int, pthread_create, EAGAIN, (pthread_t * t, const pthread_attr_t *a, void *(*f)(void *), void *arg),
        (t, a, f, arg))

ssize_t __real_pread64(int fd, void *p, size_t n, off_t at);
ssize_t __wrap_pread64(int fd, void *p, size_t n, off_t at);

ssize_t __wrap_pread64(int fd, void *p, size_t n, off_t at)
{
        if (!refused())
                return __real_pread64(fd, p, n, at);
        return fail_errno ? -1 : __real_pread64(fd, p, (n + 1) / 2, at);
}

static atomic_bool *stop_at_sync; /* set by the first call, if not NULL */

int __real_sync_file_range(int fd, off_t at, off_t n, unsigned flags);
int __wrap_sync_file_range(int fd, off_t at, off_t n, unsigned flags);

int __wrap_sync_file_range(int fd, off_t at, off_t n, unsigned flags)
{
        if (stop_at_sync)
                atomic_store(stop_at_sync, true);
        return refused() ? -1 : __real_sync_file_range(fd, at, n, flags);
}

static void remove_folder(const char *dir)
{
        char command[128];

        snprintf(command, sizeof(command), "rm -rf %s", dir);
        cr_assert_eq(system(command), 0);
}

/* ---- the alert file ---- */

struct fixture {
        char dir[64], path[96], moved[104];
        struct sw_log *log;
        struct sw_outbox *o;
        struct sw_alert_export *e;
        atomic_bool stop;
        atomic_int failure;
        unsigned n_lines;
        char buf[4096];
};

static void note_failure(void *ctx, int r)
{
        struct fixture *x = ctx;

        atomic_store(&x->failure, r);
}

static int try_export(struct fixture *x)
{
        struct sw_alert_export_conf conf = {
                .outbox = x->o, .path = x->path, .keep = 3, .stop = &x->stop, .on_fail = note_failure, .ctx = x
        };

        return sw_alert_export_new(&conf, x->log, &x->e, NULL);
}

static void commit(struct fixture *x, unsigned n)
{
        struct sw_line line = { .severity = 3 };
        char text[32], uid[33];

        while (n--) {
                snprintf(text, sizeof(text), "{%u}", ++x->n_lines);
                snprintf(uid, sizeof(uid), "%032u", x->n_lines);
                memcpy(line.uid, uid, sizeof(uid));
                line.n = strlen(text);
                cr_assert_eq(sw_outbox_add(x->o, &line, text), SW_OUTBOX_OK);
        }
}

static void run_export(struct fixture *x)
{
        cr_assert_eq(try_export(x), 0);
        sw_alert_export_drain(x->e);
        x->e = sw_alert_export_free(x->e);
}

static void write_to(const char *path, const char *text)
{
        FILE *f = fopen(path, "a");

        cr_assert_not_null(f);
        cr_assert_geq(fputs(text, f), 0);
        cr_assert_eq(fclose(f), 0);
}

/* Lines 1 and 2 are marked; 3 stands in the file and 4 half of it, unmarked; 5 waits. moved: the file is FILE.1 now. */
static void start_crashed(struct fixture *x, bool moved)
{
        struct sw_outbox_conf conf = { .dir = x->dir, .stop = &x->stop };

        *x = (struct fixture){ .dir = "/tmp/segwatch-faults-XXXXXX" };
        cr_assert_not_null(mkdtemp(x->dir));
        snprintf(x->path, sizeof(x->path), "%s/alerts.jsonl", x->dir);
        snprintf(x->moved, sizeof(x->moved), "%s.1", x->path);
        cr_assert_eq(sw_log_new(open("/dev/null", O_WRONLY), SW_LOG_DEBUG, SW_LOG_LOGFMT, &x->log), 0);
        cr_assert_eq(sw_outbox_open(&conf, x->log, &x->o, NULL), 0);
        cr_assert_eq(sw_outbox_sink(x->o, SW_ALERT_SINK, 0), 0);
        commit(x, 2);
        run_export(x);
        commit(x, 3);
        write_to(x->path, "{3}\n{4");
        if (moved) {
                char other[112];

                cr_assert_eq(rename(x->path, x->moved), 0);
                snprintf(other, sizeof(other), "%s.0", x->path);
                cr_assert_eq(mkdir(other, 0700), 0);
                snprintf(other, sizeof(other), "%s.2", x->path);
                write_to(other, "{4}\n");
        }
}

static void end_export(struct fixture *x)
{
        x->o = sw_outbox_close(x->o);
        x->log = sw_log_free(x->log);
        remove_folder(x->dir);
}

static const char *content_of(struct fixture *x)
{
        size_t n = 0;
        FILE *f;

        f = fopen(x->moved, "r");
        if (f) {
                n = fread(x->buf, 1, sizeof(x->buf) - 1, f);
                fclose(f);
        }
        f = fopen(x->path, "r");
        if (f) {
                n += fread(x->buf + n, 1, sizeof(x->buf) - 1 - n, f);
                fclose(f);
        }
        x->buf[n] = '\0';
        return x->buf;
}

/* Whatever fails, what the next start finds is completed: each line once and in order. Returns how many ways ended the
 * exporter or kept it from starting. */
static unsigned walk_export(bool moved, int error, bool stop)
{
        static struct fixture x;
        unsigned n_failed = 0;
        unsigned long at;
        bool hit = true;
        int r;

        for (at = 1; hit; at++) {
                start_crashed(&x, moved);
                atomic_store(&x.stop, stop);
                fail_errno = error;
                fail_arm(at, false);
                r = try_export(&x);
                if (r == 0) {
                        sw_alert_export_drain(x.e);
                        x.e = sw_alert_export_free(x.e);
                } else {
                        cr_assert(r == -SW_ERR_IO || r == -SW_ERR_NOMEM, "call %lu: %d", at, r);
                }
                hit = fail_disarm();
                cr_assert(atomic_load(&x.failure) == 0 || atomic_load(&x.failure) == -SW_ERR_IO, "call %lu: %d", at,
                        atomic_load(&x.failure));
                cr_assert(hit || (r == 0 && atomic_load(&x.failure) == 0), "without a fault: %d %d", r,
                        atomic_load(&x.failure));
                n_failed += r != 0 || atomic_load(&x.failure) != 0;
                atomic_store(&x.stop, false);
                run_export(&x);
                cr_assert_str_eq(content_of(&x), "{1}\n{2}\n{3}\n{4}\n{5}\n", "call %lu, errno %d", at, error);
                end_export(&x);
        }
        cr_assert_gt(at, 10);
        return n_failed;
}

Test(file_faults, an_alert_file_that_fails_is_completed_at_the_next_start, .timeout = 120)
{
        cr_assert_gt(walk_export(false, EIO, true), 4);
}

Test(file_faults, a_moved_alert_file_that_fails_is_completed_at_the_next_start, .timeout = 120)
{
        cr_assert_gt(walk_export(true, EIO, true), 4);
}

Test(file_faults, an_alert_file_without_room_is_completed, .timeout = 120)
{
        walk_export(false, ENOSPC, false);
        walk_export(false, EDQUOT, true);
        walk_export(true, EFBIG, true);
}

Test(file_faults, interrupted_and_short_calls_leave_the_alert_file_whole, .timeout = 120)
{
        walk_export(false, EINTR, true);
        walk_export(true, EINTR, true);
        walk_export(false, 0, true);
        walk_export(true, 0, true);
}

/* The path has no folder: its file was moved within the one that the process is in. */
Test(file_faults, a_moved_alert_file_is_found_in_the_working_folder)
{
        static struct fixture x;

        start_crashed(&x, true);
        cr_assert_eq(chdir(x.dir), 0);
        strcpy(x.path, "alerts.jsonl");
        run_export(&x);
        cr_assert_str_eq(content_of(&x), "{1}\n{2}\n{3}\n{4}\n{5}\n");
        cr_assert_eq(chdir("/"), 0);
        end_export(&x);
}

Test(file_faults, a_writer_without_a_thread_is_none)
{
        struct sw_outbox_writer_conf conf = { 0 };
        struct sw_outbox_writer *w = NULL;
        static struct fixture x;

        start_crashed(&x, false);
        conf.outbox = x.o;
        fail_arm(1, false);
        cr_assert_eq(sw_outbox_writer_new(&conf, &w), -SW_ERR_NOMEM);
        cr_assert(fail_disarm());
        cr_assert_null(w);
        end_export(&x);
}

/* The folder cannot be synced: the outbox is made all the same; the file cannot be made: it is not. */
Test(file_faults, an_outbox_needs_its_file_and_no_more)
{
        struct folder {
                char dir[64];
        } f = { "/tmp/segwatch-faults-XXXXXX" };
        struct sw_outbox_conf conf = { .dir = f.dir };
        struct sw_outbox *o = NULL;
        struct sw_err err = SW_ERR_NULL;
        struct sw_log *log;

        cr_assert_not_null(mkdtemp(f.dir));
        cr_assert_eq(sw_log_new(open("/dev/null", O_WRONLY), SW_LOG_DEBUG, SW_LOG_LOGFMT, &log), 0);
        fail_errno = EACCES;
        fail_arm(1, false);
        cr_assert_eq(sw_outbox_open(&conf, log, &o, &err), -SW_ERR_IO);
        cr_assert(fail_disarm());
        cr_assert_not_null(strstr(err.msg, "must be writable"), "%s", err.msg);
        fail_arm(3, false); /* open, close, open of the folder */
        cr_assert_eq(sw_outbox_open(&conf, log, &o, &err), 0, "%s", err.msg);
        cr_assert(fail_disarm());
        sw_outbox_close(o);
        sw_log_free(log);
        remove_folder(f.dir);
}

/* ---- snapshots ---- */

struct folder {
        char dir[64];
        struct sw_snapshots *s;
        uint64_t left;
};

static int give(void *ctx, void *buf, size_t n, size_t *ret_n)
{
        struct folder *f = ctx;

        *ret_n = n < f->left ? n : (size_t)f->left;
        memset(buf, 'x', *ret_n);
        f->left -= *ret_n;
        return 0;
}

#define SNAPSHOT_BYTES 600000

static int op_open(struct folder *f)
{
        f->s = sw_snapshots_close(f->s);
        return sw_snapshots_open(f->dir, &f->s, NULL);
}

static int op_write(struct folder *f)
{
        f->left = SNAPSHOT_BYTES;
        return sw_snapshots_write(f->s, 7, give, f, NULL, NULL);
}

/* Publishing renames: the next try has something to rename. */
static int op_publish(struct folder *f)
{
        uint64_t oldest;

        return sw_snapshots_publish(f->s, 7, &oldest, NULL);
}

static int op_read(struct folder *f)
{
        static char buf[SNAPSHOT_BYTES + 10];
        size_t n = 0;
        int fd, r = sw_snapshots_read(f->s, 7, &fd, NULL);

        if (r != 0)
                return r;
        r = sw_snapshots_pull(&fd, buf, sizeof(buf), &n);
        (void)__real_close(fd);
        cr_assert(r != 0 || (n == SNAPSHOT_BYTES && buf[0] == 'x' && buf[n - 1] == 'x'));
        return r;
}

static int op_read_ahead(struct folder *f)
{
        static char buf[SNAPSHOT_BYTES + 10];
        struct sw_read_ahead *a = NULL;
        size_t n = 0;
        int fd, r = sw_snapshots_read(f->s, 7, &fd, NULL);

        if (r != 0)
                return r;
        memset(buf, 0, sizeof(buf));
        cr_assert_eq(sw_read_ahead_open(fd, &a), 0, "also without a thread");
        r = sw_read_ahead_pull(a, buf, sizeof(buf), &n);
        sw_read_ahead_close(a);
        (void)__real_close(fd);
        cr_assert(r != 0 || (n == SNAPSHOT_BYTES && buf[0] == 'x' && buf[n - 1] == 'x'));
        return r;
}

static bool there(const struct folder *f, const char *name)
{
        char path[128];

        snprintf(path, sizeof(path), "%s/%s", f->dir, name);
        return access(path, F_OK) == 0;
}

/* How many places made it fail; what it left then. */
static unsigned walk_folder(struct folder *f, int (*op)(struct folder *f), int error, int expected)
{
        unsigned n_failed = 0;
        unsigned long at;
        int r;

        for (at = 1;; at++) {
                if (op == op_publish && !there(f, "snapshot.7.tmp"))
                        cr_assert_eq(op_write(f), SW_SNAPSHOTS_OK);
                fail_errno = error;
                fail_arm(at, false);
                r = op(f);
                if (!fail_disarm())
                        break;
                cr_assert(r == 0 || r == expected, "call %lu: %d", at, r);
                n_failed += r != 0;
                cr_assert(r == 0 || !there(f, "snapshot.7.tmp"), "what failed leaves nothing half");
        }
        cr_assert_eq(r, 0);
        return n_failed;
}

Test(file_faults, a_snapshot_that_could_not_be_written_leaves_nothing, .timeout = 60)
{
        static const struct {
                int error, expected;
                unsigned failed;
        } t[] = { { EIO, -SW_ERR_IO, 7 }, { ENOSPC, SW_SNAPSHOTS_FULL, 7 }, { EDQUOT, SW_SNAPSHOTS_FULL, 7 },
                { EFBIG, SW_SNAPSHOTS_FULL, 7 }, { EINTR, -SW_ERR_IO, 3 }, { 0, -SW_ERR_IO, 4 } };
        size_t i;

        for (i = 0; i < sizeof(t) / sizeof(*t); i++) {
                struct folder f = { .dir = "/tmp/segwatch-faults-XXXXXX" };
                unsigned n;

                cr_assert_not_null(mkdtemp(f.dir));
                n = walk_folder(&f, op_open, t[i].error, -SW_ERR_IO);
                cr_assert_geq(n, 3, "the folder, its list: %u", n);
                n = walk_folder(&f, op_write, t[i].error, t[i].expected);
                /* open, three chunks, sync of a step and of all, close; those that are only interrupted or cut go on */
                cr_assert_eq(n, t[i].failed, "errno %d: %u", t[i].error, n);
                if (t[i].error != EINTR) { /* which would be tried again for ever */
                        fail_arm(2, true); /* the first chunk and all after it, also the close */
                        cr_assert_eq(op_write(&f), t[i].expected);
                        cr_assert(fail_disarm());
                }
                n = walk_folder(&f, op_publish, t[i].error, -SW_ERR_IO);
                cr_assert_eq(n, 2, "the name, the folder: %u", n);
                n = walk_folder(&f, op_read, t[i].error, -SW_ERR_IO);
                cr_assert_geq(n, 1);
                n = walk_folder(&f, op_read_ahead, t[i].error, -SW_ERR_IO);
                /* open, and what is read until the end: two blocks, the second one up to its end */
                cr_assert_eq(n, t[i].error == EINTR || t[i].error == 0 ? 1 : 4, "errno %d: %u", t[i].error, n);
                sw_snapshots_close(f.s);
                remove_folder(f.dir);
        }
}

/* A file of three steps: open and 80 chunks come before the first of five calls. */
#define LARGE_BYTES (UINT64_C(20) << 20)
#define FIRST_SYNC 82u
#define N_SYNCS 5u

static int write_large(struct folder *f, const atomic_bool *stop, struct sw_err *err)
{
        f->left = LARGE_BYTES;
        return sw_snapshots_write(f->s, 7, give, f, stop, err);
}

Test(file_faults, a_step_of_the_sync_that_fails_counts_as_a_failed_sync, .timeout = 120)
{
        static const struct {
                int error, expected;
        } t[] = { { EIO, -SW_ERR_IO }, { ENOSPC, SW_SNAPSHOTS_FULL }, { EDQUOT, SW_SNAPSHOTS_FULL },
                { ENOSYS, SW_SNAPSHOTS_OK }, { EINVAL, SW_SNAPSHOTS_OK } };
        struct folder f = { .dir = "/tmp/segwatch-faults-XXXXXX" };
        char path[128];
        struct stat st;
        unsigned long at;
        uint64_t oldest;
        size_t i;

        cr_assert_not_null(mkdtemp(f.dir));
        cr_assert_eq(op_open(&f), 0);
        snprintf(path, sizeof(path), "%s/snapshot.7", f.dir);
        for (i = 0; i < sizeof(t) / sizeof(*t); i++)
                for (at = FIRST_SYNC; at < FIRST_SYNC + N_SYNCS; at++) {
                        struct sw_err err = SW_ERR_NULL;
                        int r;

                        fail_errno = t[i].error;
                        fail_arm(at, false);
                        r = write_large(&f, NULL, &err);
                        cr_assert(fail_disarm());
                        cr_assert_eq(r, t[i].expected, "errno %d at call %lu: %d", t[i].error, at, r);
                        cr_assert_eq(there(&f, "snapshot.7.tmp"), r == 0);
                        cr_assert(r == 0 || strstr(err.msg, strerror(t[i].error)), "%s", err.msg);
                        if (r != 0) /* where there is no such call, the sync of all of it does the work */
                                continue;
                        cr_assert_eq(sw_snapshots_publish(f.s, 7, &oldest, NULL), 0);
                        cr_assert_eq(stat(path, &st), 0);
                        cr_assert_eq(st.st_size, (off_t)LARGE_BYTES);
                }
        sw_snapshots_close(f.s);
        remove_folder(f.dir);
}

Test(file_faults, a_stop_between_two_steps_of_the_sync_leaves_nothing)
{
        struct folder f = { .dir = "/tmp/segwatch-faults-XXXXXX" };
        atomic_bool stop = false;

        cr_assert_not_null(mkdtemp(f.dir));
        cr_assert_eq(op_open(&f), 0);
        stop_at_sync = &stop;
        cr_assert_eq(write_large(&f, &stop, NULL), SW_SNAPSHOTS_STOPPED);
        stop_at_sync = NULL;
        cr_assert_eq(f.left, 0, "all of it was written");
        cr_assert_not(there(&f, "snapshot.7.tmp"));
        stop = false;
        cr_assert_eq(write_large(&f, &stop, NULL), SW_SNAPSHOTS_OK, "the next one is written");
        sw_snapshots_close(f.s);
        remove_folder(f.dir);
}

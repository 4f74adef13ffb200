/* SPDX-License-Identifier: Apache-2.0 */
#include "sink/alert_export.h"

#include "sink/alert_resume.h"
#include "state/outbox_writer.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct fixture {
        char dir[64], path[128];
        struct sw_log *log;
        struct sw_outbox *o;
        struct sw_alert_export *e;
        atomic_bool stop;
        uint64_t rotate;
        unsigned n_lines;
        char buf[65536];
};

static void open_outbox(struct fixture *x)
{
        struct sw_outbox_conf conf = { .dir = x->dir, .stop = &x->stop };

        if (!*x->dir) {
                strcpy(x->dir, "/tmp/segwatch-export-XXXXXX");
                cr_assert_not_null(mkdtemp(x->dir));
        }
        snprintf(x->path, sizeof(x->path), "%s/alerts.jsonl", x->dir);
        cr_assert_eq(sw_log_new(open("/dev/null", O_WRONLY), SW_LOG_DEBUG, SW_LOG_LOGFMT, &x->log), 0);
        cr_assert_eq(sw_outbox_open(&conf, x->log, &x->o, NULL), 0);
}

static void start_export(struct fixture *x)
{
        struct sw_alert_export_conf conf = {
                .outbox = x->o, .path = x->path, .rotate_bytes = x->rotate, .keep = 5, .stop = &x->stop
        };
        struct sw_err err = SW_ERR_NULL;

        cr_assert_eq(sw_alert_export_new(&conf, x->log, &x->e, &err), 0, "%s", err.msg);
}

static void start(struct fixture *x)
{
        open_outbox(x);
        start_export(x);
}

static void stop_export(struct fixture *x)
{
        x->e = sw_alert_export_free(x->e);
}

static void halt(struct fixture *x)
{
        stop_export(x);
        x->o = sw_outbox_close(x->o);
        x->log = sw_log_free(x->log);
}

static void end(struct fixture *x)
{
        char command[128];

        halt(x);
        snprintf(command, sizeof(command), "rm -rf %s", x->dir);
        cr_assert_eq(system(command), 0);
}

/* Lines "{1}", "{2}" ... */
static void commit(struct fixture *x, unsigned n)
{
        char text[32], uid[33];
        struct sw_line line = { .severity = 3 };

        while (n--) {
                snprintf(text, sizeof(text), "{%u}", ++x->n_lines);
                snprintf(uid, sizeof(uid), "%032u", x->n_lines);
                memcpy(line.uid, uid, sizeof(uid));
                line.n = strlen(text);
                cr_assert_eq(sw_outbox_add(x->o, &line, text), SW_OUTBOX_OK);
        }
        if (x->e)
                sw_alert_export_wake(x->e);
}

static const char *content(struct fixture *x, const char *suffix)
{
        char name[160];
        ssize_t n;
        int fd;

        snprintf(name, sizeof(name), "%s%s", x->path, suffix);
        fd = open(name, O_RDONLY);
        n = fd < 0 ? 0 : read(fd, x->buf, sizeof(x->buf) - 1);
        if (fd >= 0)
                close(fd);
        x->buf[n > 0 ? n : 0] = '\0';
        return x->buf;
}

static void append(struct fixture *x, const char *suffix, const char *text)
{
        char name[160];
        FILE *f;

        snprintf(name, sizeof(name), "%s%s", x->path, suffix);
        f = fopen(name, "a");
        cr_assert_not_null(f);
        fputs(text, f);
        fclose(f);
}

/* What it writes now that it has been started again with these rows unmarked. */
static const char *resumed(struct fixture *x)
{
        start_export(x);
        sw_alert_export_drain(x->e);
        return content(x, "");
}

/* Two lines written and marked, the exporter gone, `n` further rows in the outbox. */
static void crashed(struct fixture *x, unsigned n)
{
        start(x);
        commit(x, 2);
        sw_alert_export_drain(x->e);
        stop_export(x);
        commit(x, n);
}

Test(alert_export, writes_each_row_once_in_order_over_restarts)
{
        struct fixture x = { 0 };

        start(&x);
        commit(&x, 2);
        sw_alert_export_drain(x.e);
        cr_assert_str_eq(content(&x, ""), "{1}\n{2}\n");
        commit(&x, 1);
        halt(&x); /* writes what is left */
        cr_assert_str_eq(content(&x, ""), "{1}\n{2}\n{3}\n");
        start(&x);
        commit(&x, 1);
        sw_alert_export_drain(x.e);
        cr_assert_str_eq(content(&x, ""), "{1}\n{2}\n{3}\n{4}\n");
        cr_assert_eq(sw_alert_export_lines(x.e), 1);
        end(&x);
}

Test(alert_export, is_readable_for_its_group)
{
        struct fixture x = { 0 };
        mode_t before = umask(077);
        struct stat st;

        start(&x);
        umask(before);
        cr_assert_eq(stat(x.path, &st), 0);
        cr_assert_eq(st.st_mode & 07777, 0640);
        end(&x);
}

/* The best of five, because others may have the processor; without being woken it would be a second. */
Test(alert_export, a_line_is_there_soon_after_its_commit)
{
        struct fixture x = { 0 };
        struct timespec a, b;
        long ms, best = 1000;
        size_t n;
        int i, k;

        start(&x);
        for (k = 1; k <= 5; k++) {
                sw_alert_export_drain(x.e);
                n = strlen(content(&x, ""));
                clock_gettime(CLOCK_MONOTONIC, &a);
                commit(&x, 1);
                for (i = 0; i < 2000 && strlen(content(&x, "")) == n; i++)
                        usleep(500);
                clock_gettime(CLOCK_MONOTONIC, &b);
                ms = (b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000;
                best = ms < best ? ms : best;
        }
        cr_assert_lt(best, 500); /* 100 ms on an idle machine */
        end(&x);
}

Test(alert_export, whole_lines_beyond_the_mark_are_not_written_again)
{
        struct fixture x = { 0 };

        crashed(&x, 3);
        append(&x, "", "{3}\n{4}\n");
        cr_assert_str_eq(resumed(&x), "{1}\n{2}\n{3}\n{4}\n{5}\n");
        end(&x);
}

Test(alert_export, a_torn_line_is_completed)
{
        static const char *const torn[] = { "{", "{3", "{3}", "{3}\n{", "{3}\n{4}" };
        unsigned i;

        for (i = 0; i < 5; i++) {
                struct fixture x = { 0 };

                crashed(&x, 3);
                append(&x, "", torn[i]);
                cr_assert_str_eq(resumed(&x), "{1}\n{2}\n{3}\n{4}\n{5}\n", "torn at %s", torn[i]);
                end(&x);
        }
}

Test(alert_export, lines_of_others_are_left_alone)
{
        struct fixture x = { 0 };

        crashed(&x, 2);
        append(&x, "", "# note\n");
        cr_assert_str_eq(resumed(&x), "{1}\n{2}\n# note\n{3}\n{4}\n");
        append(&x, "", "# cut");
        commit(&x, 1);
        sw_alert_export_drain(x.e);
        cr_assert_str_eq(content(&x, ""), "{1}\n{2}\n# note\n{3}\n{4}\n# cut\n{5}\n", "ours begins a new line");
        end(&x);
}

Test(alert_export, lines_of_others_do_not_hide_ours_behind_them)
{
        struct fixture x = { 0 };

        crashed(&x, 3);
        append(&x, "", "# note\n{3}\n# {4}\n{4}\n# cut");
        cr_assert_str_eq(resumed(&x), "{1}\n{2}\n# note\n{3}\n# {4}\n{4}\n# cut\n{5}\n");
        end(&x);
}

Test(alert_export, a_torn_line_that_is_not_ours_is_ended)
{
        struct fixture x = { 0 };

        crashed(&x, 1);
        append(&x, "", "{9");
        cr_assert_str_eq(resumed(&x), "{1}\n{2}\n{9\n{3}\n");
        end(&x);
}

Test(alert_export, a_truncated_file_goes_on_at_its_start)
{
        struct fixture x = { 0 };

        crashed(&x, 2);
        cr_assert_eq(truncate(x.path, 0), 0);
        cr_assert_str_eq(resumed(&x), "{3}\n{4}\n");
        cr_assert_eq(truncate(x.path, 0), 0); /* while it runs */
        commit(&x, 1);
        sw_alert_export_drain(x.e);
        cr_assert_str_eq(content(&x, ""), "{5}\n");
        end(&x);
}

Test(alert_export, what_was_written_after_a_truncation_is_found)
{
        struct fixture x = { 0 };

        crashed(&x, 4);
        cr_assert_eq(truncate(x.path, 0), 0);
        append(&x, "", "{3}\n{4}\n{5}\n"); /* larger than at the mark */
        cr_assert_str_eq(resumed(&x), "{3}\n{4}\n{5}\n{6}\n");
        end(&x);
}

Test(alert_export, a_file_moved_meanwhile_is_found_and_completed)
{
        static const char *const names[] = { ".1", "-20260101", ".old" };
        unsigned i;

        for (i = 0; i < 3; i++) {
                struct fixture x = { 0 };
                char moved[160];

                crashed(&x, 3);
                append(&x, "", "{3}\n{4");
                snprintf(moved, sizeof(moved), "%s%s", x.path, names[i]);
                cr_assert_eq(rename(x.path, moved), 0);
                cr_assert_str_eq(resumed(&x), "{5}\n");
                cr_assert_str_eq(content(&x, names[i]), "{1}\n{2}\n{3}\n{4}\n");
                end(&x);
        }
}

Test(alert_export, a_file_that_is_gone_goes_on_in_a_new_one)
{
        struct fixture x = { 0 };

        crashed(&x, 2);
        append(&x, "", "{3}\n");
        cr_assert_eq(unlink(x.path), 0);
        cr_assert_str_eq(resumed(&x), "{3}\n{4}\n", "nobody can say what it held");
        end(&x);
}

Test(alert_export, a_copy_in_place_of_the_file_is_no_reason_to_repeat)
{
        struct fixture x = { 0 };
        char other[128];

        crashed(&x, 2);
        snprintf(other, sizeof(other), "%s/edited", x.dir);
        x.n_lines = 4;
        append(&x, "", "{3}\n");
        cr_assert_eq(rename(x.path, other), 0);
        append(&x, "", "{1}\n{3}\n");
        cr_assert_str_eq(resumed(&x), "{1}\n{3}\n{4}\n");
        end(&x);
}

Test(alert_export, rotates_and_marks_the_new_file)
{
        struct fixture x = { .rotate = 8 };
        char note[SW_ALERT_NOTE];
        struct sw_buf b = SW_BUF_NULL;
        struct stat st;
        int fd;

        start(&x);
        commit(&x, 5);
        sw_alert_export_drain(x.e);
        cr_assert_str_eq(content(&x, ".2"), "{1}\n{2}\n");
        cr_assert_str_eq(content(&x, ".1"), "{3}\n{4}\n");
        cr_assert_str_eq(content(&x, ""), "{5}\n");
        cr_assert_eq(stat(x.path, &st), 0);
        fd = open(x.path, O_RDONLY);
        sw_alert_note(fd, st.st_ino, 4, note);
        close(fd);
        cr_assert_eq(sw_outbox_note(x.o, SW_ALERT_SINK, &b), 0);
        sw_buf_putc(&b, '\0');
        cr_assert_str_eq(b.p, note);
        sw_buf_deinit(&b);
        end(&x);
}

Test(alert_export, reopens_when_told)
{
        struct fixture x = { 0 };
        char moved[160];
        int i;

        start(&x);
        commit(&x, 1);
        sw_alert_export_drain(x.e);
        snprintf(moved, sizeof(moved), "%s.old", x.path);
        cr_assert_eq(rename(x.path, moved), 0);
        sw_alert_export_reopen(x.e);
        for (i = 0; i < 500 && access(x.path, F_OK) != 0; i++)
                usleep(10000);
        cr_assert_eq(access(x.path, F_OK), 0, "at once, not with the next line");
        commit(&x, 1);
        sw_alert_export_drain(x.e);
        cr_assert_str_eq(content(&x, ""), "{2}\n");
        cr_assert_str_eq(content(&x, ".old"), "{1}\n");
        end(&x);
}

Test(alert_export, writes_again_what_is_asked_for)
{
        struct fixture x = { 0 };
        uint64_t n;

        start(&x);
        commit(&x, 3);
        sw_alert_export_drain(x.e);
        cr_assert_eq(sw_outbox_resend(x.o, SW_ALERT_SINK, (struct sw_etime){ 0 }, &n), 0);
        cr_assert_eq(n, 3);
        sw_alert_export_drain(x.e);
        cr_assert_str_eq(content(&x, ""), "{1}\n{2}\n{3}\n{1}\n{2}\n{3}\n");
        end(&x);
}

/* A full disk for real: a small tmpfs, which only root can mount. */
Test(alert_export, a_full_disk_makes_it_wait_and_loses_nothing, .timeout = 60)
{
        struct fixture x = { 0 };
        char disk[96], hog[128], wanted[8192] = "";
        int fd, i;

        if (geteuid() != 0)
                cr_skip_test("mounting a small tmpfs needs root");
        open_outbox(&x);
        snprintf(disk, sizeof(disk), "%s/disk", x.dir);
        cr_assert_eq(mkdir(disk, 0700), 0);
        if (mount("tmpfs", disk, "tmpfs", 0, "size=16k") != 0)
                cr_skip_test("no tmpfs can be mounted here");
        snprintf(x.path, sizeof(x.path), "%s/alerts.jsonl", disk);
        snprintf(hog, sizeof(hog), "%s/hog", disk);
        start_export(&x);
        commit(&x, 1);
        sw_alert_export_drain(x.e);
        fd = open(hog, O_CREAT | O_WRONLY, 0600);
        while (write(fd, x.buf, 4096) > 0)
                ;
        for (i = 0; i < 20; i++)
                commit(&x, 50); /* 5 KB: more than what is left of the page */
        for (i = 0; i < 400 && !sw_alert_export_is_blocked(x.e); i++)
                usleep(10000);
        cr_assert(sw_alert_export_is_blocked(x.e));
        cr_assert_not(sw_outbox_is_blocked(x.o), "the outbox goes on");
        commit(&x, 1);
        cr_assert_eq(ftruncate(fd, 0), 0);
        for (i = 0; i < 1000 && sw_alert_export_lines(x.e) < 1002; i++)
                usleep(10000);
        for (i = 1; i <= 1002; i++)
                snprintf(wanted + strlen(wanted), sizeof(wanted) - strlen(wanted), "{%d}\n", i);
        cr_assert_str_eq(content(&x, ""), wanted);
        close(fd);
        halt(&x);
        cr_assert_eq(umount(disk), 0);
        open_outbox(&x);
        end(&x);
}

/* More than is read at a time. */
Test(alert_export, long_lines_are_written_in_parts)
{
        struct fixture x = { 0 };
        struct sw_line line = { .severity = 3, .n = 600000 };
        char *text = malloc(600000);
        struct stat st;
        int i;

        start(&x);
        for (i = 0; i < 5; i++) {
                memset(text, 'a' + i, 600000);
                snprintf(line.uid, sizeof(line.uid), "%032d", i);
                cr_assert_eq(sw_outbox_add(x.o, &line, text), SW_OUTBOX_OK);
        }
        sw_alert_export_drain(x.e);
        cr_assert_eq(sw_alert_export_lines(x.e), 5);
        cr_assert_eq(stat(x.path, &st), 0);
        cr_assert_eq(st.st_size, 5 * 600001);
        cr_assert_null(sw_alert_export_free(NULL));
        free(text);
        end(&x);
}

/* A line of others that is longer than any of ours, and has no end for long. */
Test(alert_export, an_endless_line_of_others_does_not_hide_ours_behind_it)
{
        struct fixture x = { 0 };
        size_t n = (17 << 20) + 3;
        char *text = malloc(n + 1);
        struct stat st;

        crashed(&x, 2);
        memset(text, 'x', n);
        text[n] = '\0';
        append(&x, "", text);
        append(&x, "", "\n{3}\n");
        start_export(&x);
        sw_alert_export_drain(x.e);
        cr_assert_eq(stat(x.path, &st), 0);
        cr_assert_eq(st.st_size, (off_t)(8 + n + 5 + 4), "{4} alone was missing: %lld", (long long)st.st_size);
        free(text);
        end(&x);
}

Test(alert_export, says_that_the_outbox_takes_no_more_sinks)
{
        struct sw_alert_export_conf conf = { 0 };
        struct fixture x = { 0 };
        struct sw_err err = SW_ERR_NULL;
        char name[8];
        int i;

        open_outbox(&x);
        for (i = 0; i < SW_OUTBOX_SINKS; i++) {
                snprintf(name, sizeof(name), "s%d", i);
                cr_assert_eq(sw_outbox_sink(x.o, name, 0), 0);
        }
        conf.outbox = x.o;
        conf.path = x.path;
        cr_assert_eq(sw_alert_export_new(&conf, x.log, &x.e, &err), -SW_ERR_LIMIT);
        cr_assert_null(x.e);
        cr_assert_not_null(strstr(err.msg, "outbox"), "%s", err.msg);
        end(&x);
}

/* A limit on the size of files stands for a full disk. */
Test(alert_export, whoever_waits_for_it_waits_two_seconds_at_most, .timeout = 60)
{
        struct rlimit before, small;
        struct fixture x = { 0 };
        struct stat st;
        time_t from;

        signal(SIGXFSZ, SIG_IGN);
        crashed(&x, 2);
        cr_assert_eq(stat(x.path, &st), 0);
        cr_assert_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
        small = before;
        small.rlim_cur = (rlim_t)st.st_size;
        cr_assert_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
        start_export(&x);
        from = time(NULL);
        sw_alert_export_drain(x.e);
        cr_assert_leq(time(NULL) - from, 10);
        cr_assert(sw_alert_export_is_blocked(x.e));
        cr_assert_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
        while (sw_alert_export_lines(x.e) < 2)
                usleep(1000);
        cr_assert_str_eq(content(&x, ""), "{1}\n{2}\n{3}\n{4}\n");
        end(&x);
}

/* ---- the writer before it ---- */

static atomic_uint n_commits;

static void count_commit(void *ctx)
{
        (void)ctx;
        atomic_fetch_add(&n_commits, 1);
}

static void put(struct sw_outbox_writer *w, uint64_t number, unsigned *n_lines)
{
        struct sw_outbox_offset offset = { .source = "s", .topic = "t", .next = (int64_t)number };
        struct sw_outbox_release r = { .number = number, .offsets = &offset, .n_offsets = 1 };
        struct sw_lines l = { 0 };
        char uid[33];

        snprintf(uid, sizeof(uid), "%032u", ++*n_lines);
        sw_buf_printf(&l.text, "{%u}", *n_lines);
        cr_assert_eq(sw_lines_add(&l, 0, 3, uid), 0);
        cr_assert_eq(sw_outbox_writer_put(w, &r, &l, NULL), 0);
        sw_lines_deinit(&l);
}

Test(alert_export, a_writer_commits_what_was_put_in_order)
{
        struct fixture x = { 0 };
        struct sw_outbox_writer_conf conf = { .max_bytes = 40, .max_entries = 7, .on_commit = count_commit };
        struct sw_outbox_writer *w = NULL;
        struct sw_outbox_release last;
        uint64_t i;

        start(&x);
        conf.outbox = x.o;
        atomic_store(&n_commits, 0);
        cr_assert_eq(sw_outbox_writer_new(&conf, &w), 0);
        cr_assert_eq(sw_outbox_writer_wait(w, 0), 0);
        for (i = 1; i <= 300; i++)
                put(w, i, &x.n_lines);
        cr_assert_eq(sw_outbox_writer_ticket(w), 300);
        cr_assert_eq(sw_outbox_writer_wait_release(w, 300), 0);
        cr_assert_eq(sw_outbox_writer_release(w), 300);
        cr_assert_geq(atomic_load(&n_commits), 300 / 7, "seven fit at a time");
        put(w, 301, &x.n_lines);
        w = sw_outbox_writer_free(w); /* commits what is queued */
        cr_assert_eq(sw_outbox_last(x.o, &last), 0);
        cr_assert_eq(last.number, 301);
        end(&x);
}

static atomic_int failure;

static void note_failure(void *ctx, int r)
{
        (void)ctx;
        atomic_store(&failure, r);
}

Test(alert_export, a_writer_that_failed_says_so_and_takes_no_more)
{
        struct fixture x = { 0 };
        struct sw_outbox_writer_conf conf = { .on_fail = note_failure };
        struct sw_outbox_writer *w = NULL;
        struct sw_outbox_release wrong = { .number = 7 };

        start(&x);
        conf.outbox = x.o;
        atomic_store(&failure, 0);
        cr_assert_eq(sw_outbox_writer_new(&conf, &w), 0);
        put(w, 1, &x.n_lines);
        cr_assert_eq(sw_outbox_writer_wait(w, 1), 0);
        cr_assert_eq(sw_outbox_writer_put(w, &wrong, NULL, NULL), 0);
        cr_assert_eq(sw_outbox_writer_wait(w, 2), -SW_ERR_INVAL);
        cr_assert_eq(sw_outbox_writer_wait_release(w, 2), -SW_ERR_INVAL);
        cr_assert_eq(sw_outbox_writer_put(w, &wrong, NULL, NULL), -SW_ERR_INVAL);
        cr_assert_eq(sw_outbox_writer_wait(w, 1), 0, "what was committed stays so");
        sw_outbox_writer_free(w);
        cr_assert_eq(atomic_load(&failure), -SW_ERR_INVAL);
        end(&x);
}

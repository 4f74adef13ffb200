/* SPDX-License-Identifier: Apache-2.0 */
#include "base/str.h"
#include "sink/sink_file.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

struct fixture {
        char dir[64], path[80];
        struct sw_log *log;
        struct sw_sink_file *f;
        atomic_bool stop;
};

static void start(struct fixture *x, uint64_t rotate, unsigned keep)
{
        struct sw_sink_file_conf conf = { .path = x->path, .rotate_bytes = rotate, .keep = keep, .stop = &x->stop };

        if (!*x->dir) {
                strcpy(x->dir, "/tmp/segwatch-sink-XXXXXX");
                cr_assert_not_null(mkdtemp(x->dir));
        }
        snprintf(x->path, sizeof(x->path), "%s/alerts.jsonl", x->dir);
        cr_assert_eq(sw_log_new(open("/dev/null", O_WRONLY), SW_LOG_DEBUG, SW_LOG_LOGFMT, &x->log), 0);
        cr_assert_eq(sw_sink_file_open(&conf, x->log, &x->f, NULL), 0);
}

static void stop(struct fixture *x)
{
        char command[128];

        x->f = sw_sink_file_close(x->f);
        x->log = sw_log_free(x->log);
        snprintf(command, sizeof(command), "rm -rf %s", x->dir);
        cr_assert_eq(system(command), 0);
}

static void put(struct fixture *x, const char *text)
{
        cr_assert_eq(sw_sink_file_append(x->f, text, strlen(text)), SW_SINK_FILE_OK);
}

/* Content of a file beside the sink's, "" if it is not there. */
static const char *content(const struct fixture *x, const char *suffix, char *buf, size_t cap)
{
        char name[128];
        ssize_t n;
        int fd;

        snprintf(name, sizeof(name), "%s%s", x->path, suffix);
        fd = open(name, O_RDONLY);
        n = fd < 0 ? 0 : read(fd, buf, cap - 1);
        if (fd >= 0)
                close(fd);
        buf[n > 0 ? n : 0] = '\0';
        return buf;
}

Test(sink_file, is_readable_for_its_group_whatever_the_umask)
{
        struct fixture x = { 0 };
        mode_t before = umask(077);
        struct stat st;

        start(&x, 0, 0);
        umask(before);
        cr_assert_eq(stat(x.path, &st), 0);
        cr_assert_eq(st.st_mode & 07777, 0640);
        stop(&x);
}

Test(sink_file, says_that_the_folder_is_missing)
{
        struct sw_sink_file_conf conf = { .path = "/tmp/segwatch-no-such-folder/alerts.jsonl" };
        struct sw_sink_file *f = NULL;
        struct sw_err err = SW_ERR_NULL;
        struct sw_log *log;

        cr_assert_eq(sw_log_new(2, SW_LOG_ERROR, SW_LOG_LOGFMT, &log), 0);
        cr_assert_eq(sw_sink_file_open(&conf, log, &f, &err), -SW_ERR_IO);
        cr_assert_null(f);
        cr_assert_not_null(strstr(err.msg, "/tmp/segwatch-no-such-folder does not exist"), "%s", err.msg);
        sw_log_free(log);
}

Test(sink_file, rotates_between_lines_and_keeps_n)
{
        struct fixture x = { 0 };
        char buf[256];
        int i;

        start(&x, 10, 2);
        put(&x, "aaaa\nbbbb\ncccc\n"); /* exactly 10 bytes fit; one append goes over the border */
        cr_assert_str_eq(content(&x, "", buf, sizeof(buf)), "cccc\n");
        cr_assert_str_eq(content(&x, ".1", buf, sizeof(buf)), "aaaa\nbbbb\n");
        put(&x, "a line longer than the limit\n");
        cr_assert_str_eq(content(&x, "", buf, sizeof(buf)), "a line longer than the limit\n");
        cr_assert_str_eq(content(&x, ".1", buf, sizeof(buf)), "cccc\n");
        cr_assert_str_eq(content(&x, ".2", buf, sizeof(buf)), "aaaa\nbbbb\n");
        for (i = 0; i < 5; i++)
                put(&x, "x\n");
        put(&x, "y\n");
        cr_assert_str_eq(content(&x, "", buf, sizeof(buf)), "y\n");
        cr_assert_str_eq(content(&x, ".1", buf, sizeof(buf)), "x\nx\nx\nx\nx\n");
        cr_assert_str_eq(content(&x, ".3", buf, sizeof(buf)), "", "only two are kept");
        stop(&x);
}

Test(sink_file, keep_zero_removes_the_old_file)
{
        struct fixture x = { 0 };
        char buf[256];

        start(&x, 4, 0);
        put(&x, "aaa\nbbb\n");
        cr_assert_str_eq(content(&x, "", buf, sizeof(buf)), "bbb\n");
        cr_assert_str_eq(content(&x, ".1", buf, sizeof(buf)), "");
        stop(&x);
}

Test(sink_file, goes_on_at_zero_after_truncation)
{
        struct fixture x = { 0 };
        struct stat st;
        char buf[256];

        start(&x, 0, 0);
        put(&x, "one\ntwo\n");
        cr_assert_eq(truncate(x.path, 0), 0);
        put(&x, "three\n");
        cr_assert_str_eq(content(&x, "", buf, sizeof(buf)), "three\n");
        cr_assert_eq(stat(x.path, &st), 0);
        cr_assert_eq(st.st_size, 6, "no hole before it");
        stop(&x);
}

Test(sink_file, follows_when_moved_or_removed)
{
        struct fixture x = { 0 };
        char buf[256], moved[128];

        start(&x, 0, 0);
        put(&x, "one\n");
        snprintf(moved, sizeof(moved), "%s.old", x.path);
        cr_assert_eq(rename(x.path, moved), 0);
        put(&x, "two\n"); /* without any signal */
        cr_assert_str_eq(content(&x, ".old", buf, sizeof(buf)), "one\n");
        cr_assert_str_eq(content(&x, "", buf, sizeof(buf)), "two\n");
        cr_assert_eq(unlink(x.path), 0);
        sw_sink_file_reopen(x.f);
        cr_assert_eq(access(x.path, F_OK), 0, "reopen makes the file at once");
        put(&x, "three\n");
        cr_assert_str_eq(content(&x, "", buf, sizeof(buf)), "three\n");
        stop(&x);
}

Test(sink_file, ends_a_line_torn_by_a_crash)
{
        struct fixture x = { 0 };
        char buf[256];
        FILE *f;

        strcpy(x.dir, "/tmp/segwatch-sink-XXXXXX");
        cr_assert_not_null(mkdtemp(x.dir));
        snprintf(x.path, sizeof(x.path), "%s/alerts.jsonl", x.dir);
        f = fopen(x.path, "w");
        cr_assert_not_null(f);
        fputs("{\"a\":1}\n{\"b\":", f);
        fclose(f);
        start(&x, 0, 0);
        put(&x, "{\"c\":3}\n");
        cr_assert_str_eq(content(&x, "", buf, sizeof(buf)), "{\"a\":1}\n{\"b\":\n{\"c\":3}\n");
        stop(&x);
}

struct writer {
        struct fixture *x;
        const char *text;
        int result;
};

static void *write_lines(void *arg)
{
        struct writer *w = arg;

        w->result = sw_sink_file_append(w->x->f, w->text, strlen(w->text));
        return NULL;
}

static void wait_blocked(const struct sw_sink_file *f)
{
        int i;

        for (i = 0; i < 200 && !sw_sink_file_is_blocked(f); i++)
                usleep(20000);
        cr_assert(sw_sink_file_is_blocked(f));
}

/* A full disk for real: a small tmpfs, which only root can mount. */
Test(sink_file, waits_for_room_without_losing_or_cutting_a_line)
{
        struct fixture x = { 0 };
        char hog[96], line[3000], *buf = malloc(1 << 20);
        struct writer w;
        pthread_t thread;
        int fd, i;

        if (geteuid() != 0)
                cr_skip_test("mounting a small tmpfs needs root");
        strcpy(x.dir, "/tmp/segwatch-sink-XXXXXX");
        cr_assert_not_null(mkdtemp(x.dir));
        if (mount("tmpfs", x.dir, "tmpfs", 0, "size=64k") != 0)
                cr_skip_test("no tmpfs can be mounted here");
        start(&x, 0, 0);
        snprintf(hog, sizeof(hog), "%s/hog", x.dir);
        fd = open(hog, O_CREAT | O_WRONLY, 0600);
        memset(buf, 0, 1 << 20);
        cr_assert_geq(write(fd, buf, 48 * 1024), 48 * 1024);
        memset(line, 'x', sizeof(line));
        line[sizeof(line) - 2] = '\n';
        line[sizeof(line) - 1] = '\0';
        for (i = 0; i < 5; i++)
                put(&x, line);
        w = (struct writer){ &x, line, -1 };
        pthread_create(&thread, NULL, write_lines, &w);
        wait_blocked(x.f);
        content(&x, "", buf, 1 << 20);
        cr_assert_eq(strlen(buf) % strlen(line), 0, "half a line stands in the file: %zu", strlen(buf));
        cr_assert_eq(ftruncate(fd, 0), 0);
        pthread_join(thread, NULL);
        cr_assert_eq(w.result, SW_SINK_FILE_OK);
        cr_assert_eq(strlen(content(&x, "", buf, 1 << 20)), 6 * strlen(line));

        cr_assert_eq(fallocate(fd, 0, 0, 44 * 1024), 0);
        pthread_create(&thread, NULL, write_lines, &w);
        wait_blocked(x.f);
        atomic_store(&x.stop, true);
        pthread_join(thread, NULL);
        cr_assert_eq(w.result, SW_SINK_FILE_STOPPED);
        close(fd);
        x.f = sw_sink_file_close(x.f);
        cr_assert_eq(umount(x.dir), 0);
        stop(&x);
        free(buf);
}

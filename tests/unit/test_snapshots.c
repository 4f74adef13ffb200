/* SPDX-License-Identifier: Apache-2.0 */
#include "state/snapshots.h"

#include "state/cover.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

struct bytes {
        size_t left;
        int fail_at; /* calls; -1: never */
};

static int give(void *ctx, void *buf, size_t n, size_t *ret_n)
{
        struct bytes *b = ctx;

        if (b->fail_at >= 0 && b->fail_at-- == 0)
                return -SW_ERR_NOMEM;
        *ret_n = n < b->left ? n : b->left;
        memset(buf, 'x', *ret_n);
        b->left -= *ret_n;
        return 0;
}

static struct sw_snapshots *open_in(char dir[64])
{
        struct sw_snapshots *s = NULL;

        strcpy(dir, "/tmp/segwatch-snapshots-XXXXXX");
        cr_assert_not_null(mkdtemp(dir));
        cr_assert_eq(sw_snapshots_open(dir, &s, NULL), 0);
        return s;
}

static void leave(struct sw_snapshots *s, const char *dir)
{
        char command[128];

        sw_snapshots_close(s);
        snprintf(command, sizeof(command), "rm -r %s", dir);
        cr_assert_eq(system(command), 0);
}

static bool there(const char *dir, const char *name)
{
        char path[128];

        snprintf(path, sizeof(path), "%s/%s", dir, name);
        return access(path, F_OK) == 0;
}

static uint64_t put(struct sw_snapshots *s, uint64_t number, size_t n)
{
        struct bytes b = { n, -1 };
        uint64_t oldest = 99;

        cr_assert_eq(sw_snapshots_write(s, number, give, &b, NULL, NULL), SW_SNAPSHOTS_OK);
        cr_assert_eq(sw_snapshots_publish(s, number, &oldest, NULL), 0);
        return oldest;
}

Test(snapshots, the_newest_two_are_kept_and_the_older_one_is_named)
{
        char dir[64];
        struct sw_snapshots *s = open_in(dir);
        const struct sw_snapshots_file *files;
        uint32_t n;

        cr_assert_eq(put(s, 9, 1000), 0, "one: there is no older one");
        cr_assert_eq(put(s, 10, 300000), 9);
        cr_assert_eq(put(s, 200, 1), 10);
        files = sw_snapshots_list(s, &n);
        cr_assert_eq(n, 2);
        cr_assert_eq(files[0].number, 200);
        cr_assert_eq(files[0].bytes, 1);
        cr_assert_eq(files[1].number, 10, "by number, not by name");
        cr_assert_eq(files[1].bytes, 300000);
        cr_assert_not(there(dir, "snapshot.9"));
        leave(s, dir);
}

Test(snapshots, what_is_not_published_does_not_count_and_goes_at_the_next_open)
{
        char dir[64];
        struct sw_snapshots *s = open_in(dir), *again = NULL;
        struct bytes b = { 10, -1 };
        uint32_t n;

        put(s, 1, 5);
        cr_assert_eq(sw_snapshots_write(s, 2, give, &b, NULL, NULL), 0);
        cr_assert(there(dir, "snapshot.2.tmp"));
        cr_assert_eq(sw_snapshots_look(dir, &again, NULL), 0);
        cr_assert(there(dir, "snapshot.2.tmp"), "who only looks removes nothing");
        sw_snapshots_close(again);
        cr_assert_eq(sw_snapshots_open(dir, &again, NULL), 0);
        (void)sw_snapshots_list(again, &n);
        cr_assert_eq(n, 1);
        cr_assert_not(there(dir, "snapshot.2.tmp"));
        sw_snapshots_close(again);
        leave(s, dir);
}

Test(snapshots, a_source_that_fails_or_is_stopped_leaves_nothing)
{
        char dir[64];
        struct sw_snapshots *s = open_in(dir);
        struct bytes b = { 10000000, 3 };
        atomic_bool stop = true;

        cr_assert_eq(sw_snapshots_write(s, 1, give, &b, NULL, NULL), -SW_ERR_NOMEM);
        b.fail_at = -1;
        cr_assert_eq(sw_snapshots_write(s, 1, give, &b, &stop, NULL), SW_SNAPSHOTS_STOPPED);
        cr_assert_not(there(dir, "snapshot.1.tmp"));
        leave(s, dir);
}

/* A limit on the size of files stands for a full disk. */
Test(snapshots, a_full_disk_is_told_apart_and_the_next_one_works)
{
        char dir[64];
        struct sw_snapshots *s = open_in(dir);
        struct rlimit before, small;
        struct bytes b = { 10000000, -1 };
        struct sw_err err = SW_ERR_NULL;

        cr_assert_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
        small = before;
        small.rlim_cur = 1 << 20;
        signal(SIGXFSZ, SIG_IGN);
        cr_assert_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
        cr_assert_eq(sw_snapshots_write(s, 1, give, &b, NULL, &err), SW_SNAPSHOTS_FULL);
        cr_assert_neq(err.msg[0], '\0');
        cr_assert_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
        cr_assert_not(there(dir, "snapshot.1.tmp"));
        put(s, 2, 10);
        leave(s, dir);
}

Test(snapshots, a_damaged_one_is_set_aside_and_read_back_by_nobody)
{
        char dir[64];
        struct sw_snapshots *s = open_in(dir);
        uint32_t n;
        int fd;

        put(s, 1, 5);
        put(s, 2, 5);
        sw_snapshots_set_aside(s, 2);
        (void)sw_snapshots_list(s, &n);
        cr_assert_eq(n, 1);
        cr_assert(there(dir, "snapshot.2.damaged"));
        cr_assert_eq(sw_snapshots_read(s, 2, &fd, NULL), -SW_ERR_NOENT);
        leave(s, dir);
}

Test(snapshots, what_was_written_is_read_to_its_end)
{
        char dir[64], buf[4096];
        struct sw_snapshots *s = open_in(dir);
        size_t n = 1, all = 0;
        int fd;

        put(s, 7, 10000);
        cr_assert_eq(sw_snapshots_read(s, 7, &fd, NULL), 0);
        while (n > 0) {
                cr_assert_eq(sw_snapshots_pull(&fd, buf, sizeof(buf), &n), 0);
                all += n;
        }
        cr_assert_eq(all, 10000);
        close(fd);
        leave(s, dir);
}

static void touch(const char *dir, const char *name, bool folder)
{
        char path[128];
        int fd;

        snprintf(path, sizeof(path), "%s/%s", dir, name);
        if (folder) {
                cr_assert_eq(mkdir(path, 0700), 0);
                return;
        }
        fd = open(path, O_CREAT | O_WRONLY, 0600);
        cr_assert_geq(fd, 0);
        close(fd);
}

Test(snapshots, only_files_with_a_number_are_listed_and_no_more_than_sixty_four)
{
        char dir[64], name[32];
        struct sw_snapshots *s = open_in(dir), *again = NULL;
        const struct sw_snapshots_file *files;
        struct sw_err err = SW_ERR_NULL;
        uint32_t n;
        int i;

        touch(dir, "snapshot.abc", false);
        touch(dir, "snapshot.0", false);
        touch(dir, "snapshot.", false);
        touch(dir, "snapshot.7", true);
        touch(dir, "snapshot.8.damaged", false);
        touch(dir, "other.9", false);
        cr_assert_eq(sw_snapshots_open(dir, &again, NULL), 0);
        (void)sw_snapshots_list(again, &n);
        cr_assert_eq(n, 0);
        sw_snapshots_close(again);
        for (i = 100; i < 170; i++) {
                snprintf(name, sizeof(name), "snapshot.%d", i);
                touch(dir, name, false);
        }
        cr_assert_eq(sw_snapshots_open(dir, &again, NULL), 0);
        files = sw_snapshots_list(again, &n);
        cr_assert_eq(n, 64);
        for (i = 1; i < 64; i++)
                cr_assert_gt(files[i - 1].number, files[i].number);
        cr_assert_null(sw_snapshots_close(again));
        cr_assert_null(sw_snapshots_close(NULL));
        cr_assert_eq(sw_snapshots_open("/tmp/segwatch-no-such", &again, &err), -SW_ERR_NOENT);
        cr_assert_not_null(strstr(err.msg, "/tmp/segwatch-no-such"));
        cr_assert_eq(sw_snapshots_open("/dev/null", &again, &err), -SW_ERR_IO);
        leave(s, dir);
}

Test(snapshots, the_same_number_again_replaces_it)
{
        char dir[64];
        struct sw_snapshots *s = open_in(dir);
        const struct sw_snapshots_file *files;
        struct bytes b = { 30, -1 };
        atomic_bool stop = false;
        uint64_t oldest;
        uint32_t n;

        put(s, 1, 10);
        put(s, 2, 20);
        cr_assert_eq(sw_snapshots_write(s, 1, give, &b, &stop, NULL), SW_SNAPSHOTS_OK);
        cr_assert_eq(sw_snapshots_publish(s, 1, &oldest, NULL), 0);
        files = sw_snapshots_list(s, &n);
        cr_assert_eq(n, 2);
        cr_assert_eq(files[1].number, 1);
        cr_assert_eq(files[1].bytes, 30);
        sw_snapshots_set_aside(s, 99); /* which is not there */
        (void)sw_snapshots_list(s, &n);
        cr_assert_eq(n, 2);
        sw_snapshots_set_aside(s, 1);
        files = sw_snapshots_list(s, &n);
        cr_assert_eq(n, 1);
        cr_assert_eq(files[0].number, 2);
        leave(s, dir);
}

Test(cover, comes_back_as_it_was_printed)
{
        const struct sw_outbox_offset offsets[] = { { .source = "a \"b\"",
                                                            .topic = "t",
                                                            .partition = 3,
                                                            .next = 7,
                                                            .stamp = { 1760000000123 },
                                                            .hash = UINT64_MAX },
                { .source = "f", .topic = "/x", .inode = UINT64_MAX - 1, .next = -1, .stamp = SW_ETIME_NONE } };
        const struct sw_outbox_release r = { .number = UINT64_C(1) << 60,
                .watermark = SW_ETIME_NONE,
                .wall = { 5 },
                .conf = "0123456789abcdef0123456789abcdef",
                .cold = true,
                .offsets = offsets,
                .n_offsets = 2 };
        struct sw_cover c = SW_COVER_NULL;
        struct sw_buf b = SW_BUF_NULL;

        sw_cover_print(&r, &b);
        cr_assert_eq(sw_cover_parse((struct sw_str){ b.p, b.n }, &c), 0);
        cr_assert_eq(c.release.number, r.number);
        cr_assert(sw_etime_is_none(c.release.watermark));
        cr_assert_eq(c.release.wall.ms, 5);
        cr_assert(c.release.cold);
        cr_assert_str_eq(c.release.conf, r.conf);
        cr_assert_eq(c.release.n_offsets, 2);
        cr_assert_str_eq(c.offsets[0].source, "a \"b\"");
        cr_assert_eq(c.offsets[0].hash, UINT64_MAX);
        cr_assert_eq(c.offsets[0].stamp.ms, 1760000000123);
        cr_assert_eq(c.offsets[1].inode, UINT64_MAX - 1);
        cr_assert_eq(c.offsets[1].next, -1);
        cr_assert(sw_etime_is_none(c.offsets[1].stamp));
        sw_cover_deinit(&c);
        sw_cover_deinit(&c);
        sw_buf_deinit(&b);
}

Test(cover, refuses_what_it_does_not_know)
{
        static const char *const wrong[] = { "", "{}", "[1]", "{\"version\":2,\"conf\":\"\",\"places\":[]}",
                "{\"version\":1,\"places\":[]}", "{\"version\":1,\"conf\":\"x\",\"places\":[{\"source\":\"a\"}]}",
                "{\"version\":1,\"conf\":\"0123456789abcdef0123456789abcdef0\",\"places\":[]}",
#define PLACE(text) "{\"version\":1,\"conf\":\"x\",\"places\":[{" text "}]}"
                PLACE("\"topic\":\"t\",\"partition\":1,\"next\":1"),
                PLACE("\"source\":\"s\",\"topic\":5,\"partition\":1,\"next\":1"),
                PLACE("\"source\":\"s\",\"topic\":\"t\",\"next\":1"),
                PLACE("\"source\":\"s\",\"topic\":\"t\",\"partition\":-1,\"next\":1"),
                PLACE("\"source\":\"s\",\"topic\":\"t\",\"partition\":2147483648,\"next\":1"),
                PLACE("\"source\":\"s\",\"topic\":\"t\",\"partition\":1"),
                PLACE("\"source\":\"s\",\"topic\":\"t\",\"partition\":1,\"next\":\"1\"") };
        struct sw_cover c = SW_COVER_NULL;
        size_t i;

        for (i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
                cr_assert_eq(sw_cover_parse(sw_str_of(wrong[i]), &c), -SW_ERR_DATA, "%s", wrong[i]);
        cr_assert_eq(sw_cover_parse(SW_STR("{\"version\":1,\"conf\":\"x\",\"number\":\"no\"}"), &c), 0);
        cr_assert_eq(c.release.number, 0);
        cr_assert_eq(c.release.n_offsets, 0);
        sw_cover_deinit(&c);
        sw_cover_deinit(NULL);
}

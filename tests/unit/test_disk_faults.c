/* SPDX-License-Identifier: Apache-2.0 */
/* Every call that touches a file may fail, the second half: the state folder, what was learned, secrets, and the
 * readers of files that grow. What is read is right or an error; what was there is whole afterwards, old or new. */
#include "../lib/fail_files.h"
#include "cmd/tail_file.h"
#include "secret.h"
#include "source/tail_reader.h"
#include "state/learned.h"
#include "state/state_dir.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

FAIL_WRAP(int, fsync, -1, (int fd), (fd))
FAIL_WRAP(int, fstat64, -1, (int fd, struct stat *st), (fd, st))
FAIL_WRAP(int, renameat, -1, (int from, const char *a, int to, const char *b), (from, a, to, b))
FAIL_WRAP(int, mkdir, -1, (const char *path, mode_t mode), (path, mode))
FAIL_WRAP(int, flock, -1, (int fd, int how), (fd, how))
FAIL_WRAP(int, ftruncate64, -1, (int fd, off_t n), (fd, n))
FAIL_WRAP(ssize_t, pwrite64, -1, (int fd, const void *p, size_t n, off_t at), (fd, p, n, at))
FAIL_WRAP(ssize_t, getrandom, -1, (void *p, size_t n, unsigned flags), (p, n, flags))
FAIL_WRAP(off_t, lseek64, -1, (int fd, off_t at, int from), (fd, at, from))
FAIL_WRAP(int, faccessat, -1, (int fd, const char *path, int mode, int flags), (fd, path, mode, flags))

/* ---- a folder, and a walk over what may fail ---- */

static char dir[64], path[96];

static void begin(void)
{
        snprintf(dir, sizeof(dir), "/tmp/segwatch-faults-XXXXXX");
        cr_assert(mkdtemp(dir));
}

static void end(void)
{
        char command[96];

        snprintf(command, sizeof(command), "rm -rf %s", dir);
        cr_assert_eq(system(command), 0);
}

TestSuite(disk_faults, .init = begin, .fini = end);

static const int errors[] = { EIO, EINTR, 0 };
#define N_ERRORS (sizeof(errors) / sizeof(*errors))

/* Runs `once` with each call failing, alone and with all after it, in each way. */
static void walk(void (*once)(void))
{
        size_t e;
        unsigned long at;
        int all;

        for (e = 0; e < N_ERRORS; e++)
                for (all = 0; all < (errors[e] ? 2 : 1); all++) {
                        if (errors[e] == EINTR && all)
                                continue; /* who is interrupted for ever tries for ever */
                        for (at = 1;; at++) {
                                fail_errno = errors[e];
                                fail_arm(at, all);
                                once();
                                if (!fail_disarm())
                                        break;
                        }
                        cr_assert_gt(at, 1ul, "nothing was tried");
                }
}

static const char *in_dir(const char *name)
{
        snprintf(path, sizeof(path), "%s/%s", dir, name);
        return path;
}

static void put(const char *name, const char *text)
{
        FILE *f = fopen(in_dir(name), "w");

        cr_assert(f);
        fputs(text, f);
        cr_assert_eq(fclose(f), 0);
}

/* Without any fault. */
static bool holds(const char *name, const char *text)
{
        bool armed = atomic_load(&fail_plan.on);
        char is[256] = "";
        FILE *f;

        atomic_store(&fail_plan.on, false);
        f = fopen(in_dir(name), "r");
        if (f) {
                is[fread(is, 1, sizeof(is) - 1, f)] = '\0';
                fclose(f);
        }
        atomic_store(&fail_plan.on, armed);
        return f && strcmp(is, text) == 0;
}

static void pause_faults(bool off)
{
        atomic_store(&fail_plan.on, !off);
}

/* ---- the state folder ---- */

static void state_once(void)
{
        struct sw_state_dir *d = NULL;
        struct sw_hash_key key, again;
        struct sw_err err = SW_ERR_NULL;
        struct sw_buf b = SW_BUF_NULL;
        char instance[33], instance_again[33], state[96];
        bool has_key, has_instance;
        int r;

        snprintf(state, sizeof(state), "%s/state", dir);
        pause_faults(true);
        (void)mkdir(state, 0700);
        unlink(in_dir("state/seed"));
        unlink(in_dir("state/instance"));
        put("state/file", "old");
        pause_faults(false);
        r = sw_state_dir_open(state, &d, &err);
        if (r < 0) {
                cr_assert_neq(*err.msg, '\0');
                cr_assert_null(d);
                return;
        }
        has_key = sw_state_dir_seed(d, &key, &err) == 0;
        has_instance = sw_state_dir_instance(d, instance, &err) == 0;
        err = SW_ERR_NULL;
        r = sw_state_dir_save(d, "file", SW_STR("new and longer"), &err);
        if (r == 0) {
                cr_assert(holds("state/file", "new and longer"));
        } else {
                cr_assert(holds("state/file", "old"), "what could not be replaced is as it was");
                cr_assert(strstr(err.msg, "file"));
        }
        r = sw_state_dir_load(d, "file", &b, &err);
        if (r == 0)
                cr_assert(b.n == 3 || b.n == 14, "%zu bytes", b.n);
        else
                cr_assert_eq(r, -SW_ERR_IO);
        pause_faults(true);
        if (has_key) {
                cr_assert_eq(sw_state_dir_seed(d, &again, NULL), 0);
                cr_assert_eq(memcmp(&key, &again, sizeof(key)), 0, "the same at each start");
        }
        if (has_instance) {
                cr_assert_eq(sw_state_dir_instance(d, instance_again, NULL), 0);
                cr_assert_str_eq(instance, instance_again);
        }
        sw_buf_deinit(&b);
        sw_state_dir_close(d);
        pause_faults(false);
}

Test(disk_faults, the_state_folder)
{
        walk(state_once);
}

/* ---- what was learned ---- */

static int two_blocks(void *ctx, void *buf, size_t n, size_t *ret_n)
{
        int *k = ctx;

        *ret_n = 0;
        if (*k < 2) {
                cr_assert_gt(n, 8);
                memcpy(buf, *k ? "second" : "first ", 6);
                *ret_n = 6;
        }
        ++*k;
        return *k > 100 ? -SW_ERR_LIMIT : 0;
}

static void learned_once(void)
{
        struct sw_err err = SW_ERR_NULL;
        char folder[96], text[32] = "";
        int k = 0, fd = -1, r;

        snprintf(folder, sizeof(folder), "%s/learned", dir);
        pause_faults(true);
        (void)mkdir(folder, 0700);
        put("learned/learned", "before");
        pause_faults(false);
        r = sw_learned_check(folder, &err);
        cr_assert(r == 0 || *err.msg);
        r = sw_learned_save(folder, two_blocks, &k, &err);
        cr_assert(holds("learned/learned", "first second") || (r < 0 && holds("learned/learned", "before")));
        cr_assert_neq(access(in_dir("learned/learned.tmp"), F_OK), 0, "nothing is left over");
        r = sw_learned_open(folder, &fd, &err);
        if (r == SW_LEARNED_OK) {
                cr_assert_gt(__real_read(fd, text, sizeof(text) - 1), 0);
                cr_assert(strcmp(text, "before") == 0 || strcmp(text, "first second") == 0);
                __real_close(fd);
        } else {
                cr_assert(r == -SW_ERR_IO, "%d", r);
        }
}

Test(disk_faults, what_was_learned)
{
        struct sw_err err = SW_ERR_NULL;
        int fd, k = 200;

        walk(learned_once);
        put("here", "no folder");
        cr_assert_eq(sw_learned_check(in_dir("here"), &err), -SW_ERR_IO);
        cr_assert_eq(sw_learned_save(in_dir("here"), two_blocks, &k, &err), -SW_ERR_IO);
        cr_assert_eq(sw_learned_open(in_dir("none"), &fd, &err), -SW_ERR_IO);
        cr_assert_eq(sw_learned_save(in_dir("learned"), two_blocks, &k, &err), -SW_ERR_LIMIT, "what the source says");
        cr_assert(holds("learned/learned", "first second"));
        unlink(in_dir("learned/learned"));
        cr_assert_eq(sw_learned_open(in_dir("learned"), &fd, &err), SW_LEARNED_E_NONE);
}

/* ---- secrets ---- */

static void secret_once(void)
{
        struct sw_secret_ref ref = { 0 };
        struct sw_secret s = SW_SECRET_NULL;
        struct sw_err err = SW_ERR_NULL;
        char name[96];
        int r;

        snprintf(name, sizeof(name), "%s/secret", dir);
        ref.file = name;
        r = sw_secret_read(&ref, &s, &err);
        if (r == 0)
                cr_assert_str_eq(s.text, "hunter2");
        else
                cr_assert(strstr(err.msg, "/secret") && !strstr(err.msg, "hunter"), "%s", err.msg);
        sw_secret_deinit(&s);
}

Test(disk_faults, a_secret_is_whole_or_an_error)
{
        put("secret", "hunter2\n");
        walk(secret_once);
}

/* ---- files that grow ---- */

static int count_line(void *ctx, struct sw_str line)
{
        unsigned *n = ctx;
        char expected[32];

        snprintf(expected, sizeof(expected), "line %u", *n);
        cr_assert(sw_str_eq(line, sw_str_of(expected)), "%.*s is not %s", (int)line.n, line.p, expected);
        ++*n;
        return 0;
}

static void tail_once(void)
{
        struct sw_tail_file t = { .fd = -1 };
        unsigned n = 0;
        char name[96];
        int i, r;

        snprintf(name, sizeof(name), "%s/grows", dir);
        pause_faults(true);
        unlink(in_dir("grows.1"));
        put("grows", "line 0\nline 1\nli");
        pause_faults(false);
        for (i = 0; i < 3; i++) {
                r = t.fd < 0 ? sw_tail_file_open(&t, name, 0) : 0;
                if (r == 0)
                        r = sw_tail_file_read(&t, false, count_line, &n);
                if (r == 0)
                        break;
        }
        pause_faults(true);
        if (t.fd < 0)
                cr_assert_eq(sw_tail_file_open(&t, name, 0), 0);
        cr_assert_eq(rename(name, in_dir("grows.1")), 0);
        {
                FILE *f = fopen(in_dir("grows.1"), "a");

                cr_assert(f);
                fputs("ne 2\n", f);
                fclose(f);
        }
        put("grows", "line 3\n");
        pause_faults(false);
        for (i = 0; i < 4 && n < 4; i++)
                (void)sw_tail_file_follow(&t, count_line, &n);
        pause_faults(true);
        for (i = 0; i < 3 && n < 4; i++)
                cr_assert_eq(sw_tail_file_follow(&t, count_line, &n), 0);
        cr_assert_eq(n, 4u, "all of them, once, in order");
        sw_tail_file_close(&t);
        pause_faults(false);
}

Test(disk_faults, lines_of_a_file_that_is_rotated)
{
        size_t e;
        unsigned long at;

        for (e = 0; e < N_ERRORS; e++)
                for (at = 1; at < 40; at++) {
                        fail_errno = errors[e];
                        fail_arm(at, false);
                        tail_once();
                        if (!fail_disarm())
                                break;
                }
}

/* The bytes of all pieces, one after the other. */
static void take(struct sw_tail_step *s, struct sw_buf *to)
{
        const struct sw_tail_piece *p;

        for (p = s->first; p; p = p->next)
                sw_buf_put(to, p->bytes, p->n);
        sw_tail_step_free(s);
}

static char *records;

static void reader_once(void)
{
        struct sw_tail_conf conf = { .follow = true };
        struct sw_tail_reader *r = NULL;
        struct sw_tail_step s;
        struct sw_err err = SW_ERR_NULL;
        struct sw_buf got = SW_BUF_NULL;
        char name[96];
        int i, rc;

        snprintf(name, sizeof(name), "%s/records", dir);
        conf.path = name;
        cr_assert_eq(sw_tail_reader_new(&conf, &r), 0);
        for (i = 0; i < 20 && got.n < strlen(records); i++) {
                if (i == 10)
                        pause_faults(true); /* from here on the disk is well */
                err = SW_ERR_NULL;
                rc = i == 0 ? sw_tail_reader_open(r, &s, &err) : sw_tail_reader_step(r, &s, &err);
                cr_assert(rc == 0 || *err.msg, "%d", rc);
                take(&s, &got);
        }
        sw_buf_putc(&got, '\0');
        cr_assert_str_eq(got.p, records, "each byte once");
        sw_buf_deinit(&got);
        sw_tail_reader_free(r);
        pause_faults(false);
}

Test(disk_faults, records_of_a_file_that_grows)
{
        struct sw_buf b = SW_BUF_NULL;
        int i;

        for (i = 0; i < 300; i++)
                sw_buf_printf(&b, "{\"records\":[{\"time\":\"2026-01-01T00:%02d:00Z\",\"n\":%d}]}\n", i % 60, i);
        sw_buf_putc(&b, '\0');
        records = b.p;
        put("records", records);
        walk(reader_once);
        sw_buf_deinit(&b);
}

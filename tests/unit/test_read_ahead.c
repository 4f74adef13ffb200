/* SPDX-License-Identifier: Apache-2.0 */
#include "state/read_ahead.h"

#include "base/err.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#define BLOCK ((size_t)512 << 10)
#define TMPFS 0x01021994

static unsigned char byte_at(size_t i)
{
        return (unsigned char)(i * 2654435761u >> 13);
}

/* A file of n bytes, at its begin. */
static int file_of(size_t n)
{
        char path[] = "/tmp/segwatch-ahead-XXXXXX";
        unsigned char *p = malloc(n ? n : 1);
        int fd = mkstemp(path);
        size_t i;

        cr_assert_not_null(p);
        cr_assert_geq(fd, 0);
        (void)unlink(path);
        for (i = 0; i < n; i++)
                p[i] = byte_at(i);
        cr_assert_eq(write(fd, p, n), (ssize_t)n);
        cr_assert_eq(fsync(fd), 0);
        cr_assert_eq(lseek(fd, 0, SEEK_SET), 0);
        free(p);
        return fd;
}

/* Pulled step by step, n bytes come as they stand in the file; then its end, as often as one asks. */
static void same(size_t n, size_t step)
{
        int fd = file_of(n);
        unsigned char *p = malloc(step);
        struct sw_read_ahead *a = NULL;
        size_t at = 0, got = 1, i;

        cr_assert_eq(sw_read_ahead_open(fd, &a), 0);
        while (got) {
                cr_assert_eq(sw_read_ahead_pull(a, p, step, &got), 0);
                cr_assert(got == step || at + got == n, "short only at the end");
                for (i = 0; i < got && p[i] == byte_at(at + i); i++)
                        ;
                cr_assert_eq(i, got, "byte %zu of %zu by %zu", at + i, n, step);
                at += got;
        }
        cr_assert_eq(at, n);
        cr_assert_eq(sw_read_ahead_pull(a, p, step, &got), 0);
        cr_assert_eq(got, 0);
        cr_assert_null(sw_read_ahead_close(a));
        free(p);
        close(fd);
}

Test(read_ahead, a_file_comes_as_it_is_whatever_the_steps)
{
        static const size_t sizes[] = { 0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 8 * BLOCK, 20 * BLOCK + 17, 40 * BLOCK },
                            steps[] = { 4099, BLOCK, 3 * BLOCK + 1 };
        size_t i, k;

        for (i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
                for (k = 0; k < sizeof(steps) / sizeof(*steps); k++)
                        same(sizes[i], steps[k]);
}

Test(read_ahead, it_is_closed_at_any_place, .timeout = 30)
{
        int fd = file_of(30 * BLOCK);
        unsigned char *p = malloc(BLOCK);
        size_t n, k, got;

        for (n = 0; n < 30; n += 3) {
                struct sw_read_ahead *a = NULL;

                cr_assert_eq(lseek(fd, 0, SEEK_SET), 0);
                cr_assert_eq(sw_read_ahead_open(fd, &a), 0);
                for (k = 0; k < n; k++) {
                        cr_assert_eq(sw_read_ahead_pull(a, p, BLOCK, &got), 0);
                        cr_assert_eq(got, BLOCK);
                        cr_assert_eq(p[7], byte_at(k * BLOCK + 7));
                }
                if (n % 2) /* its thread has gone as far as it may, and waits */
                        (void)usleep(20000);
                cr_assert_null(sw_read_ahead_close(a));
        }
        cr_assert_null(sw_read_ahead_close(NULL));
        free(p);
        close(fd);
}

Test(read_ahead, what_cannot_be_read_is_an_error_each_time)
{
        int fd = open("/", O_RDONLY | O_DIRECTORY);
        struct sw_read_ahead *a = NULL;
        size_t got = 99;
        char c;

        cr_assert_geq(fd, 0);
        cr_assert_eq(sw_read_ahead_open(fd, &a), 0);
        cr_assert_eq(sw_read_ahead_pull(a, &c, 1, &got), -SW_ERR_IO);
        cr_assert_eq(sw_read_ahead_pull(a, &c, 1, &got), -SW_ERR_IO);
        cr_assert_eq(got, 99, "set only on success");
        sw_read_ahead_close(a);
        close(fd);
}

static size_t resident(int fd, size_t n)
{
        const size_t pages = (n + 4095) / 4096;
        unsigned char *there = malloc(pages);
        void *p = mmap(NULL, n, PROT_READ, MAP_SHARED, fd, 0);
        size_t i, sum = 0;

        cr_assert_neq(p, MAP_FAILED);
        cr_assert_eq(mincore(p, n, there), 0);
        for (i = 0; i < pages; i++)
                sum += there[i] & 1;
        (void)munmap(p, n);
        free(there);
        return sum * 4096;
}

Test(read_ahead, what_was_read_leaves_the_page_cache)
{
        const size_t n = 64 * BLOCK;
        int fd = file_of(n);
        unsigned char *p = malloc(n);
        struct sw_read_ahead *a = NULL;
        struct statfs fs;
        size_t got, before;

        cr_assert_eq(fstatfs(fd, &fs), 0);
        if (fs.f_type == TMPFS) /* which is a page cache and nothing else */
                cr_skip_test("in memory");
        before = resident(fd, n);
        cr_assert_eq(sw_read_ahead_open(fd, &a), 0);
        cr_assert_eq(sw_read_ahead_pull(a, p, n, &got), 0);
        cr_assert_eq(got, n);
        sw_read_ahead_close(a);
        cr_assert_lt(resident(fd, n), n / 2, "%zu before, %zu now", before, resident(fd, n));
        free(p);
        close(fd);
}

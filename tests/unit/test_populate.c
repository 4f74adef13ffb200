/* SPDX-License-Identifier: Apache-2.0 */
#include "state/populate.h"

#include <criterion/criterion.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)
#define PAGE ((size_t)4096)

static unsigned char *reserved(size_t n)
{
        void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

        cr_assert_neq(p, MAP_FAILED);
        (void)madvise(p, n, MADV_NOHUGEPAGE); /* page by page, to see what was touched */
        return p;
}

static size_t n_backed(unsigned char *p, size_t n)
{
        static unsigned char pages[64 * MIB / PAGE];
        size_t i, k = 0;

        cr_assert_eq(mincore(p, n, pages), 0);
        for (i = 0; i < n / PAGE; i++)
                k += pages[i] & 1;
        return k;
}

static void wait_backed(unsigned char *p, size_t n, size_t want)
{
        const struct timespec pause = { .tv_nsec = 1000000 };
        int i;

        for (i = 0; i < 20000 && n_backed(p, n) < want; i++)
                (void)nanosleep(&pause, NULL);
        cr_assert_eq(n_backed(p, n), want);
}

/* Before Linux 5.14 there is nothing to see. */
static bool is_known(void)
{
        unsigned char *p = reserved(PAGE);
        bool known = madvise(p, PAGE, 23 /* MADV_POPULATE_WRITE */) == 0;

        (void)munmap(p, PAGE);
        return known;
}

Test(populate, whole_pages_are_there_and_nothing_else)
{
        struct sw_populate *m = sw_populate_open();
        unsigned char *p = reserved(64 * MIB);

        cr_assert_not_null(m);
        if (!is_known())
                cr_skip_test("the kernel knows no MADV_POPULATE_WRITE");
        p[3 * MIB] = 7;
        sw_populate_soon(m, p + 1, 31 * MIB);             /* from the second page to the last whole one */
        sw_populate_soon(m, p + 40 * MIB, MIB - 1);       /* not worth it */
        sw_populate_soon(m, p + 50 * MIB, 5 * MIB + 100); /* the rest of a page may be somebody else's */
        wait_backed(p, 64 * MIB, 31 * MIB / PAGE - 1 + 5 * MIB / PAGE);
        cr_assert_eq(p[3 * MIB], 7, "what is there stays");
        cr_assert_eq(p[4 * MIB], 0);
        cr_assert_null(sw_populate_close(m));
        (void)munmap(p, 64 * MIB);
}

Test(populate, is_only_a_hint)
{
        unsigned char *p = reserved(4 * MIB);
        struct sw_populate *m;
        unsigned i;

        sw_populate_soon(NULL, p, 4 * MIB);
        cr_assert_null(sw_populate_close(NULL));
        cr_assert_eq(n_backed(p, 4 * MIB), 0);

        m = sw_populate_open();
        for (i = 0; i < 1000; i++) /* more than it keeps in mind */
                sw_populate_soon(m, p, 4 * MIB);
        sw_populate_close(m);

        m = sw_populate_open();
        (void)munmap(p, 4 * MIB);
        sw_populate_soon(m, p, 4 * MIB); /* nothing there */
        sw_populate_soon(m, p, 4 * MIB);
        sw_populate_close(m);
}

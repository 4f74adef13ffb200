/* SPDX-License-Identifier: Apache-2.0 */
/* What it takes to touch memory for the first time: the kernel zeroes it, and a virtual machine's host may first have
 * to find it. Any program that fills as much pays that.
 *
 * Usage: bench_touch MIB huge|small
 * Prints seconds, in huge pages or in pages of 4 KiB. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define PAGE ((size_t)4096)
#define HUGE_PAGE ((size_t)2 << 20)

static double now_s(void)
{
        struct timespec ts;

        (void)clock_gettime(CLOCK_MONOTONIC, &ts);
        return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
        size_t n, i;
        volatile char *p;
        double began;
        char *base;

        if (argc != 3)
                return 2;
        n = (size_t)strtoull(argv[1], NULL, 10) << 20;
        base = mmap(NULL, n + HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (base == MAP_FAILED)
                return 1;
        base += -(size_t)base & (HUGE_PAGE - 1);
        (void)madvise(base, n, strcmp(argv[2], "huge") == 0 ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
        p = base;
        began = now_s();
        for (i = 0; i < n; i += PAGE)
                p[i] = 1;
        (void)printf("%.3f\n", now_s() - began);
        return 0;
}

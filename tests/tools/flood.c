/* SPDX-License-Identifier: Apache-2.0 */
/* Flow logs that want more memory than there is, on standard output. Not installed.
 *
 *   flood MODE COUNT SEED [MINUTES]
 *
 * normal  the hosts of a network talk to their servers: few keys, again and again
 * keys    every tuple has another public source, destination and port: half denied, half opened and never ended
 * inside  every tuple has another private source, as a spoofed /8 does
 * sweep   one host walks through an IPv6 /64
 * Within keys and inside, 10.1.0.66 scans 40 hosts of 10.3.0.0/24 on 445 in the five minutes around the middle. Time is
 * spread evenly over MINUTES (default 30). */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PER_RECORD = 500, SCANNED = 40 };
static const int64_t start_ms = INT64_C(1772438400000); /* 2026-03-02T08:00:00Z */

static uint64_t mix(uint64_t z)
{
        z += UINT64_C(0x9e3779b97f4a7c15);
        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        return z ^ (z >> 31);
}

static void begin_record(int64_t ms, unsigned mac)
{
        unsigned s = (unsigned)((ms - start_ms) / 1000), m = s / 60;

        printf("{\"records\":[{\"time\":\"2026-03-02T%02u:%02u:%02u.000Z\",\"flowLogGUID\":\"g\",\"flowLogVersion\":4,"
               "\"flowLogResourceID\":\"/SUBSCRIPTIONS/F/FLOOD\",\"macAddress\":\"%012X\",\"category\":"
               "\"FlowLogFlowEvent\",\"targetResourceID\":\"/subscriptions/f/vnet\",\"operationName\":"
               "\"FlowLogFlowEvent\",\"flowRecords\":{\"flows\":[{\"aclID\":\"acl\",\"flowGroups\":[{\"rule\":\"r\","
               "\"flowTuples\":[",
                8 + m / 60, m % 60, s % 60, mac);
}

static void tuple(const char *mode, uint64_t i, uint64_t r, int64_t ms)
{
        unsigned a = (unsigned)(r >> 8), port = (unsigned)(r >> 32) % 64000 + 1;

        if (strcmp(mode, "normal") == 0)
                printf("\"%lld,10.1.%u.%u,10.2.0.%u,%u,443,6,O,%c,NX,%u,%u,%u,%u\"", (long long)ms, a % 16,
                        a / 16 % 250 + 1, a / 4096 % 32 + 1, 40000 + (unsigned)(i / 2 % 5000), i % 2 ? 'E' : 'B',
                        i % 2 ? 9u : 0u, i % 2 ? 3000u : 0u, i % 2 ? 9u : 0u, i % 2 ? 9000u : 0u);
        else if (strcmp(mode, "keys") == 0)
                printf("\"%lld,%u.%u.%u.%u,10.2.%u.%u,%u,%u,6,I,%c,NX,0,0,0,0\"", (long long)ms, 11 + (a & 127),
                        a >> 7 & 255, a >> 15 & 255, (unsigned)(i & 255), (unsigned)(r & 15),
                        (unsigned)(r >> 56) % 250 + 1, 1024 + (unsigned)(i % 60000), port, i % 2 ? 'D' : 'B');
        else if (strcmp(mode, "inside") == 0)
                printf("\"%lld,10.%u.%u.%u,10.2.0.%u,%u,%u,6,O,%c,NX,0,0,0,0\"", (long long)ms, 64 + (a & 127),
                        a >> 7 & 255, a >> 15 & 255, (unsigned)(r >> 56) % 250 + 1, 1024 + (unsigned)(i % 60000), port,
                        i % 2 ? 'D' : 'B');
        else
                printf("\"%lld,fd00:1::66,fd00:2::%x:%x:%x,%u,22,6,O,%c,NX,0,0,0,0\"", (long long)ms,
                        (unsigned)(i >> 32), (unsigned)(i >> 16 & 0xffff), (unsigned)(i & 0xffff),
                        1024 + (unsigned)(i % 60000), i % 2 ? 'D' : 'B');
}

static void scanner(int64_t middle_ms, unsigned n)
{
        int64_t ms = middle_ms + (int64_t)n * 5000;

        begin_record(ms, 0xABCDEF);
        printf("\"%lld,10.1.0.66,10.3.0.%u,%u,445,6,O,D,NX,0,0,0,0\"]}]}]}}]}\n", (long long)ms, n + 1, 50000 + n);
}

int main(int argc, char **argv)
{
        uint64_t n, seed, i;
        int64_t span_ms, middle_ms;
        unsigned scanned = 0;
        const char *mode;

        if (argc < 4) {
                fprintf(stderr, "flood: MODE COUNT SEED [MINUTES]\n");
                return 64;
        }
        mode = argv[1];
        n = strtoull(argv[2], NULL, 10);
        seed = strtoull(argv[3], NULL, 10);
        span_ms = 60000 * (argc > 4 ? strtoll(argv[4], NULL, 10) : 30);
        middle_ms = start_ms + span_ms / 2;
        for (i = 0; i < n; i++) {
                int64_t ms = start_ms + (int64_t)((double)i / (double)n * (double)span_ms);

                if (i % PER_RECORD == 0) {
                        while (strcmp(mode, "sweep") != 0 && strcmp(mode, "normal") != 0 && scanned < SCANNED &&
                                ms >= middle_ms + (int64_t)scanned * 5000)
                                scanner(middle_ms, scanned++);
                        begin_record(ms, 1 + (unsigned)(i / PER_RECORD % 64));
                }
                tuple(mode, i, mix(seed ^ i), ms);
                if (i % PER_RECORD == PER_RECORD - 1 || i == n - 1)
                        printf("]}]}]}}]}\n");
                else
                        putchar(',');
        }
        return fflush(stdout) != 0;
}

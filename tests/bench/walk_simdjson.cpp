/* SPDX-License-Identifier: Apache-2.0 */
/* The yardstick: simdjson's On-Demand parser walks every message of an NDJSON file, in memory, to each flowTuples
 * string, and does nothing with it but add up its bytes. One line on stdout: nanoseconds, bytes, messages, tuples,
 * tuple bytes, nanoseconds of CPU. Reading the file is not timed. */
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>
#include <vector>

#include <simdjson.h>

using namespace simdjson;

static std::vector<char> read_file(const char *path)
{
        FILE *f = fopen(path, "rb");
        std::vector<char> data;

        if (!f || fseek(f, 0, SEEK_END) != 0) {
                perror(path);
                exit(1);
        }
        long n = ftell(f);
        rewind(f);
        data.resize((size_t)n + SIMDJSON_PADDING);
        if (fread(data.data(), 1, (size_t)n, f) != (size_t)n) {
                perror(path);
                exit(1);
        }
        fclose(f);
        return data;
}

struct sums {
        unsigned long long tuples, bytes;
};

static long long cpu_ns()
{
        struct timespec t;

        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
        return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void walk(ondemand::parser &parser, const char *p, size_t n, size_t capacity, sums &s)
{
        ondemand::document doc = parser.iterate(padded_string_view(p, n, capacity));

        for (ondemand::object record : doc["records"])
                for (ondemand::object flow : record["flowRecords"]["flows"])
                        for (ondemand::object group : flow["flowGroups"])
                                for (std::string_view tuple : group["flowTuples"]) {
                                        s.tuples++;
                                        s.bytes += tuple.size();
                                }
}

int main(int argc, char **argv)
{
        if (argc != 2) {
                fprintf(stderr, "usage: walk_simdjson FILE\n");
                return 64;
        }
        std::vector<char> data = read_file(argv[1]);
        size_t total = data.size() - SIMDJSON_PADDING;
        const char *p = data.data(), *end = p + total;
        unsigned long long messages = 0;
        ondemand::parser parser;
        sums s = {};
        long long cpu = cpu_ns();
        auto began = std::chrono::steady_clock::now();

        while (p < end) {
                const char *q = (const char *)memchr(p, '\n', (size_t)(end - p));
                size_t n = (size_t)((q ? q : end) - p);

                if (n) {
                        walk(parser, p, n, (size_t)(end - p) + SIMDJSON_PADDING, s);
                        messages++;
                }
                p += n + 1;
        }
        auto ns = std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - began).count();
        printf("%lld %zu %llu %llu %llu %lld\n", (long long)ns, total, messages, s.tuples, s.bytes, cpu_ns() - cpu);
        return 0;
}

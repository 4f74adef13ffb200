/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The Kafka path of `segwatch run` without its files: event loop, Kafka source, pipeline with one worker. Partitions are
 * not aligned as `run` does. */
#include "base/err.h"
#include "engine/engine.h"
#include "log.h"

#include <time.h>

struct consumer_pass {
        unsigned long long bytes;
        uint64_t tuples_late;
        int64_t ns, cpu_ns; /* from the first message to the end; of the whole process */
};

int64_t consumer_now_ns(clockid_t clock);

/* A new engine reads n messages of the topic "bench", folds and releases them all. */
int consumer_pass(const struct sw_core_conf *core, const char *brokers, unsigned long n, struct sw_log *log,
        struct consumer_pass *ret, struct sw_err *reterr);

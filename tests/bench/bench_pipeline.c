/* SPDX-License-Identifier: Apache-2.0 */
/* Takes N messages of the topic "bench" (consumer.h), prints nanoseconds from the first message to the end, bytes, and
 * late tuples.
 *
 *   bench_pipeline CONFIG BROKERS MESSAGES */
#include "conf.h"
#include "consumer.h"

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
        struct sw_conf_report report = { 0 };
        struct consumer_pass pass;
        struct sw_core_conf core;
        struct sw_err err = SW_ERR_NULL;
        struct sw_conf conf;
        struct sw_log *log;
        int r;

        if (argc != 4) {
                fprintf(stderr, "usage: bench_pipeline CONFIG BROKERS MESSAGES\n");
                return 64;
        }
        if (sw_conf_load(argv[1], false, &conf, &report) < 0 ||
                sw_log_new(2, SW_LOG_WARNING, SW_LOG_LOGFMT, &log) < 0) {
                sw_conf_report_print(&report);
                return 1;
        }
        sw_conf_core(&conf, &core);
        r = consumer_pass(&core, argv[2], strtoul(argv[3], NULL, 10), log, &pass, &err);
        if (r < 0)
                fprintf(stderr, "bench_pipeline: %s\n", err.msg);
        else
                printf("%lld %llu %llu\n", (long long)pass.ns, pass.bytes, (unsigned long long)pass.tuples_late);
        sw_log_free(log);
        sw_conf_deinit(&conf);
        return r < 0;
}

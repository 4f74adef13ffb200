/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/cmd.h"

#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <uv.h>

static int version_run(int argc, char **argv)
{
        if (argc > 1)
                return sw_cmd_usage(&sw_cmd_version, "unexpected argument '%s'", argv[1]);
        printf("segwatch %s\nlibrdkafka %s, libuv %s\n", SW_VERSION, rd_kafka_version_str(), uv_version_string());
        return SW_EXIT_OK;
}

const struct sw_cmd sw_cmd_version = {
        .name = "version",
        .args = "",
        .summary = "print the version of segwatch and of what it was linked with",
        .examples = "segwatch version\n",
        .run = version_run,
};

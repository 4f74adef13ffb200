/* SPDX-License-Identifier: Apache-2.0 */
/* Loading a configuration, also while memory runs out: linked so that any allocation can be made to fail. What the
 * texts of configurations mean is tested through the verb `check` (tests/e2e). */
#include "../lib/fail_alloc.h"
#include "conf.h"

#include "base/alloc.h"
#include "engine/engine.h"

#include <criterion/criterion.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static unsigned left = UINT_MAX; /* allocations until one fails */

static bool fails(void)
{
        return left != UINT_MAX && left-- == 0;
}

FAIL_ALLOC(fails())

static const char text[] =
        "sources:\n"
        "- {name: weu, kind: eventhubs, connection_string: {credential: hub}, brokers: [\"a:1\", \"b:2\"]}\n"
        "- {name: lab, kind: kafka, brokers: \"c:1\", topic: t, librdkafka: {fetch.wait.max.ms: \"50\"}}\n"
        "segments:\n"
        "- {name: web, cidrs: [10.1.0.0/24, \"fd00:1::/64\"], role: app}\n"
        "- {name: db, cidrs: [10.1.2.0/24], realm: b, criticality: 4, isolate: true}\n"
        "policy:\n"
        "- {from: web, to: db, services: [1433/tcp, ssh], require_encryption: true}\n"
        "realms: [{name: b, flow_logs: [/subscriptions/b, /subscriptions/c]}]\n"
        "hosts: {scanner: [10.9.0.5], jump: [10.9.0.10, 10.9.0.11]}\n"
        "learning: 1d\n"
        "detectors: {horizontal_scan: {mode: alert, targets_5m: 12}, pivot_chain: {mode: off}}\n";

static struct sw_conf_report report;

static int load(struct sw_conf *ret)
{
        int fd = memfd_create("configuration", MFD_CLOEXEC), r;
        char path[64];

        cr_assert(fd >= 0 && write(fd, text, sizeof(text) - 1) == (ssize_t)sizeof(text) - 1);
        (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        r = sw_conf_load(path, false, ret, &report);
        (void)close(fd);
        return r;
}

Test(conf, fills_what_the_core_needs)
{
        struct sw_core_conf core;
        struct sw_conf conf;
        struct sw_addr a;

        cr_assert_eq(load(&conf), 0, "%u:%u: %s", report.items[0].line, report.items[0].column, report.items[0].msg);
        sw_conf_core(&conf, &core);
        cr_assert_eq(core.learning_ms, SW_DAY);
        cr_assert_eq(core.reorder_ms, 2 * SW_MINUTE);
        cr_assert_eq(core.tcp_idle_ms, 10 * SW_MINUTE);
        cr_assert_eq(core.incidents.close_ms, SW_DAY);
        cr_assert_eq(core.memory_limit_bytes, UINT64_C(512) << 20);
        cr_assert(core.write_signals);
        cr_assert_eq(core.detectors[SW_DETECTOR_HORIZONTAL_SCAN].mode, SW_MODE_ALERT);
        cr_assert_eq(core.detectors[SW_DETECTOR_PIVOT_CHAIN].mode, SW_MODE_OFF);
        cr_assert_eq(core.detectors[SW_DETECTOR_NEW_ADMIN_EDGE].mode, SW_MODE_SIGNAL);
        cr_assert(sw_addr_parse(SW_STR("10.1.2.3"), &a));
        cr_assert_eq(sw_segments_lookup(core.segments, 0, &a), SW_SEGMENT_UNASSIGNED);
        cr_assert_eq(sw_segments_lookup(core.segments, 1, &a), SW_SEGMENT_FIRST + 1);
        cr_assert_eq(sw_segments_realm(core.segments, SW_STR("/SUBSCRIPTIONS/C/x")), 1);
        sw_conf_deinit(&conf);
        sw_conf_deinit(&conf);
        sw_conf_deinit(NULL);
}

Test(conf, no_file_gives_the_defaults)
{
        struct sw_conf conf;

        cr_assert_eq(sw_conf_load(NULL, false, &conf, &report), 0);
        cr_assert_eq(report.n_errors + report.n_warnings, 0);
        cr_assert_eq(conf.time.idle_ms, 3 * SW_MINUTE);
        cr_assert_str_eq(conf.alerts.quarantine, "/var/log/segwatch/quarantine.jsonl");
        cr_assert_not_null(conf.segments);
        sw_conf_deinit(&conf);
        cr_assert_eq(sw_conf_load(NULL, true, &conf, &report), -SW_ERR_CONFIG, "run needs sources");
        cr_assert_eq(report.n_errors, 1);
        sw_conf_deinit(&conf);
}

Test(conf, every_allocation_may_fail)
{
        struct sw_conf conf;
        unsigned n, n_failed = 0;
        int r = -1;

        for (n = 0; r != 0; n++) {
                cr_assert_lt(n, 5000);
                left = n;
                r = load(&conf);
                left = UINT_MAX;
                n_failed += r < 0;
                cr_assert(r == 0 || r == -SW_ERR_NOMEM, "allocation %u: %d (%s)", n, r, report.items[0].msg);
                sw_conf_deinit(&conf);
        }
        cr_assert_gt(n_failed, 50, "%u", n_failed);
}

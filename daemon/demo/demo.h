/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Parts of `segwatch demo`:
 *
 *   broker child  hosts librdkafka's mock cluster, fills its topic with the scenario, then tells how far the daemon has
 *                 committed; one line per fact on a pipe
 *   run child     this very program with `run -c DIR/segwatch.yaml`: nothing of the daemon is special here
 *   parent        prints findings from the alert file as they come, and judges them against the truth
 *
 * Children are killed by the kernel when the parent dies. */
#include "base/json.h"
#include "base/str.h"
#include "scenario/scenario.h"

#include <sys/types.h>

#define SW_DEMO_TOPIC "flowlogs"

/* In the broker child, which does not return from it. keep: file that gets the messages as NDJSON, or NULL. */
struct sw_demo_broker_conf {
        struct sw_scenario_conf scenario;
        const char *keep;
        int out;   /* facts go here */
        int alive; /* reads end of file when the parent is gone or wants it to end */
};
_Noreturn void sw_demo_broker(const struct sw_demo_broker_conf *conf);
/* Facts, each one line: "brokers HOST:PORT", "filled MESSAGES RECORDS TUPLES BYTES", "progress DONE ALL",
 * "done" (everything but the last minutes is behind the daemon), "error TEXT". */

/* --- what was found, against what was hidden --- */

#define SW_DEMO_STEPS 32

struct sw_demo_incident {
        char uid[33], merged_into[33];
        bool attack, detector; /* about hosts of the attack; a detector's own finding, not an incident */
        uint8_t severity;
        int64_t first, last; /* event time, ms */
        char *message;
};

struct sw_demo_verdict {
        const struct sw_scenario *truth;
        struct sw_demo_incident *items;
        uint32_t n, cap;
        uint32_t n_lines, n_health;
        struct {
                int64_t time;  /* event time of the line that named it first; 0 = not found */
                uint32_t item; /* incident that holds it */
                char detector[32];
        } steps[SW_DEMO_STEPS];
};

void sw_demo_verdict_init(struct sw_demo_verdict *v, const struct sw_scenario *truth);
void sw_demo_verdict_deinit(struct sw_demo_verdict *v);
/* Takes one line of the alert file. 0 | -SW_ERR_NOMEM. Lines that are not findings are left out. */
int sw_demo_verdict_add(struct sw_demo_verdict *v, struct sw_str line);
/* Findings and incidents (after merging) that have nothing to do with the attack. */
uint32_t sw_demo_verdict_false(const struct sw_demo_verdict *v);
/* All steps found, in one incident. */
bool sw_demo_verdict_complete(const struct sw_demo_verdict *v);
/* Tables of truth and findings, as text. */
void sw_demo_verdict_print(const struct sw_demo_verdict *v, struct sw_buf *out);

/* --- children --- */

struct sw_demo_child {
        pid_t pid; /* 0 = none */
        int status;
        bool ended;
};
/* Forks; PR_SET_PDEATHSIG; unblocks signals. 0 in the child, 1 in the parent, negative on failure. */
int sw_demo_fork(struct sw_demo_child *c);
/* True once it has ended. */
bool sw_demo_child_ended(struct sw_demo_child *c);
/* SIGTERM, then SIGKILL after grace_ms; waits. */
void sw_demo_child_stop(struct sw_demo_child *c, int grace_ms);
/* Removes a folder and everything in it. */
void sw_demo_remove(const char *dir);

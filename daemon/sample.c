/* SPDX-License-Identifier: Apache-2.0 */
#include "sample.h"

#include "base/hash.h"
#include "detect/detector.h"

#include <stdio.h>
#include <string.h>

#define SAMPLE_ACTOR 0xc000020a  /* 192.0.2.10 */
#define SAMPLE_TARGET 0xc6336414 /* 198.51.100.20 */
#define SAMPLE_WEB SW_STR("sample-web")
#define SAMPLE_DB SW_STR("sample-db")

static void sample_evidence(struct sw_finding_evidence *e, const struct sw_finding *f)
{
        e->tuple = (struct sw_evidence){ .time = f->first,
                .src = f->actor,
                .dst = f->targets[0],
                .counters = { 24, 4096, 22, 8192 },
                .sport = 50000,
                .dport = 22,
                .proto = SW_PROTO_TCP,
                .outcome = SW_OUTCOME_OK };
        e->detector = f->detectors[0];
        e->src_segment = SAMPLE_WEB;
        e->dst_segment = SAMPLE_DB;
        e->rule = SW_STR("sample-rule");
}

void sw_sample_fill(struct sw_finding *f, struct sw_etime now, int nonce)
{
        const struct sw_detector *d = sw_detectors[SW_DETECTOR_NEW_ADMIN_EDGE];
        const struct sw_technique *t = &d->techniques[0];
        char text[64];

        (void)snprintf(text, sizeof(text), "sample|%lld|%d", (long long)now.ms, nonce);
        sw_sha256_128(text, strlen(text), f->uid);
        sw_sha256_128(f->uid, strlen(f->uid), f->line_uid);
        f->sequence = 1;
        f->kind = SW_FINDING_INCIDENT;
        f->activity = SW_ACTIVITY_CREATE;
        f->severity = SW_SEVERITY_LOW;
        f->risk = 20;
        f->confidence_pct = 100;
        f->is_sample = true;
        f->decided = f->logged = f->first = f->last = f->created = now;
        f->n_signals = 1;
        f->title = SW_STR("[SAMPLE] Lateral movement from 192.0.2.10: first administrative connection");
        f->message = SW_STR(
                "[SAMPLE] This is a test: somebody ran `segwatch test-alert`. Nothing has happened in the network; the "
                "addresses are those of documentation.");
        f->story =
                SW_STR("A sample: 192.0.2.10 (sample-web) would have opened ssh to 198.51.100.20 (sample-db) for the "
                       "first time.\nNobody has to do anything; close it.");
        f->detector = sw_str_of(d->name);
        f->detector_code = sw_str_of(d->code);
        f->actor = sw_addr_v4(SAMPLE_ACTOR);
        f->targets[0] = sw_addr_v4(SAMPLE_TARGET);
        f->compromised[0] = f->actor;
        f->n_compromised = f->n_compromised_total = f->n_targets = f->n_targets_total = 1;
        f->actor_segment = SAMPLE_WEB;
        f->target_segment = SAMPLE_DB;
        f->detectors[0] = d->name;
        f->n_detectors = 1;
        f->techniques[0] = (struct sw_finding_technique){ t->uid, t->name, t->tactic_uid, t->tactic_name };
        f->n_techniques = 1;
        f->rules[0] = SW_STR("sample-rule");
        f->n_rules = 1;
        sample_evidence(&f->evidence[0], f);
        f->n_evidence = f->n_evidence_total = 1;
}

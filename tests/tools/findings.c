/* SPDX-License-Identifier: Apache-2.0 */
/* Prints one line for every kind of finding and signal, with the nastiest texts that may reach the encoder. The
 * alert schema is tested against them (tests/e2e/test_alert_schema.py). */
#include "encode/enc_ocsf.h"

#include <stdio.h>
#include <string.h>

#define T0 INT64_C(1767225600000)

static char long_rule[5000];

static struct sw_addr addr_of(const char *text)
{
        struct sw_addr a = SW_ADDR_NULL;

        (void)sw_addr_parse(sw_str_of(text), &a);
        return a;
}

static void fill_evidence(struct sw_finding *f)
{
        static const char *const ends[][2] = { { "10.1.0.4", "10.2.0.7" }, { "198.51.100.7", "10.1.0.4" },
                { "10.1.0.4", "198.51.100.7" }, { "fd00:1::4", "fd00:1::5" } };
        unsigned i;

        for (i = 0; i < 16; i++) {
                struct sw_finding_evidence *e = &f->evidence[f->n_evidence++];

                e->tuple = (struct sw_evidence){ .time = { T0 + i },
                        .src = addr_of(ends[i % 4][0]),
                        .dst = addr_of(ends[i % 4][1]),
                        .counters = { 1, UINT64_MAX, 2, INT64_MAX },
                        .sport = 50000,
                        .dport = i % 2 ? 445 : 8081,
                        .proto = i % 5 == 4 ? 132
                                 : i % 3    ? SW_PROTO_TCP
                                            : SW_PROTO_UDP,
                        .state = (uint8_t)(i % 4),
                        .direction = i % 2,
                        .encryption = (uint8_t)(i % SW_N_ENCRYPTIONS),
                        .outcome = (uint8_t)(i % 6),
                        .reversed = i % 2 };
                e->detector = "horizontal_scan";
                e->src_segment = SW_STR("web\x01\"\\");
                e->dst_segment = SW_STR("d\xff\xfe"
                                        "b");
                e->acl = SW_STR("/subscriptions/x\n/acl");
                e->rule = i % 2 ? (struct sw_str){ long_rule, sizeof(long_rule) }
                                : SW_STR("UserRule_\xc3\xa4\xed\xa0\x80");
                e->flow_log = SW_STR("/SUBSCRIPTIONS/11111111-2222/RESOURCEGROUPS/RG");
                e->target = i % 3 ? SW_STR("/subscriptions/11111111-2222/virtualNetworks/v") : SW_STR_NULL;
                e->mac = i % 4 ? 0x0022487bc205 : 0;
        }
        f->n_evidence_total = 4000000000u;
}

static void fill_hosts(struct sw_finding *f)
{
        uint32_t i;

        for (i = 0; i < SW_FINDING_HOSTS; i++) {
                f->compromised[i] = sw_addr_v4(0x0a010000 + i);
                f->targets[i] = sw_addr_v4(0x0a020000 + i);
        }
        f->n_compromised = f->n_targets = SW_FINDING_HOSTS;
        f->n_compromised_total = 70;
        f->n_targets_total = UINT32_MAX;
}

static struct sw_finding sample(enum sw_finding_kind kind, enum sw_activity activity)
{
        static const char *const names[] = { "horizontal_scan", "pivot_chain" };
        struct sw_finding f = { .kind = kind,
                .activity = activity,
                .severity = SW_SEVERITY_HIGH,
                .risk = 100,
                .confidence_pct = 67,
                .sequence = 1,
                .decided = { T0 + 5 },
                .logged = { T0 + 6 },
                .first = { T0 },
                .last = { T0 + 4 },
                .created = { T0 + 5 },
                .n_signals = UINT64_MAX,
                .title = SW_STR("Lateral movement from 10.1.0.4: scan \x1b[31m"),
                .message = SW_STR("10.1.0.4 (segment w\x7f"
                                  "eb) did\tit\xf5."),
                .story = SW_STR("one\ntwo\r\n\x00three"),
                .detector = SW_STR("pivot_chain"),
                .detector_code = SW_STR("D08"),
                .actor = addr_of("10.1.0.4"),
                .actor_segment = SW_STR("web"),
                .target_segment = SW_STR("db") };

        memcpy(f.uid, "0123456789abcdef0123456789abcdef", 33);
        memcpy(f.line_uid, "fedcba9876543210fedcba9876543210", 33);
        memcpy(f.detectors, names, sizeof(names));
        f.n_detectors = 2;
        f.techniques[0] = (struct sw_finding_technique){ "T1021.004", "SSH", "TA0008", "Lateral Movement" };
        f.techniques[1] = (struct sw_finding_technique){ "T1046", "Network Service Discovery", "TA0007", "Discovery" };
        f.n_techniques = 2;
        f.rules[0] = SW_STR("AllowVnet");
        f.rules[1] = (struct sw_str){ long_rule, sizeof(long_rule) };
        f.n_rules = 2;
        return f;
}

static void print(const struct sw_finding *f)
{
        struct sw_buf out = SW_BUF_NULL;

        sw_enc_ocsf(&out, f, "0.1.0");
        (void)fwrite(out.p, 1, out.n, stdout);
        (void)putchar('\n');
        sw_buf_deinit(&out);
}

static void print_signal(void)
{
        struct sw_addr targets[2] = { addr_of("10.2.0.1"), addr_of("fd00:1::5") };
        struct sw_signal s = { .time = { T0 },
                .first = { T0 },
                .last = { T0 },
                .n_targets = 2,
                .n_targets_total = 2,
                .value = 10,
                .threshold = 10,
                .window_ms = 300000,
                .confidence_pct = 50,
                .weight_pct = 50,
                .proto = 6,
                .port = 445,
                .service = SW_SERVICE_SMB,
                .n_evidence = 1 };
        struct sw_signal_line l = { .detector = "horizontal_scan",
                .code = "D01",
                .mode = "signal",
                .sentence = SW_STR("scanned 10 hosts \xff"),
                .actor = addr_of("10.1.0.4"),
                .src_segment = SW_STR("web"),
                .dst_segment = SW_STR("db"),
                .targets = targets,
                .signal = &s };
        struct sw_buf out = SW_BUF_NULL;

        memcpy(l.uid, "0123456789abcdef0123456789abcdef", 33);
        sw_enc_signal(&out, &l);
        (void)fwrite(out.p, 1, out.n, stdout);
        (void)putchar('\n');
        sw_buf_deinit(&out);
}

int main(int argc, char **argv)
{
        struct sw_finding f;
        unsigned i;

        if (argc > 1 && strcmp(argv[1], "--signal") == 0) {
                print_signal();
                return 0;
        }
        /* Three bytes a character, so that a cut falls into the middle of one. */
        for (i = 0; i + 3 <= sizeof(long_rule); i += 3)
                memcpy(long_rule + i, "\xe2\x82\xac", 3);
        for (i = SW_ACTIVITY_CREATE; i <= SW_ACTIVITY_CLOSE; i++) {
                f = sample(SW_FINDING_INCIDENT, (enum sw_activity)i);
                fill_evidence(&f);
                fill_hosts(&f);
                if (i == SW_ACTIVITY_CLOSE)
                        memcpy(f.merged_into, "00000000000000000000000000000001", 33);
                print(&f);
        }
        f = sample(SW_FINDING_DETECTOR, SW_ACTIVITY_CREATE);
        f.historic = true;
        f.is_sample = true;
        f.severity = SW_SEVERITY_LOW;
        f.confidence_pct = 0;
        print(&f);
        f = sample(SW_FINDING_HEALTH, SW_ACTIVITY_CREATE);
        f.n_techniques = f.n_detectors = f.n_rules = 0;
        f.severity = SW_SEVERITY_INFO;
        f.detector = f.detector_code = f.actor_segment = f.target_segment = f.story = SW_STR_NULL;
        f.actor = SW_ADDR_NULL;
        f.first = f.last = SW_ETIME_NONE;
        f.created = (struct sw_etime){ 0 };
        print(&f);
        return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_view.h"

#include <criterion/criterion.h>
#include <stdio.h>

struct line {
        char uid[33], line_uid[33], merged_into[33];
        enum sw_activity activity;
        enum sw_severity severity;
        enum sw_finding_kind kind;
        uint8_t risk;
        uint32_t sequence, n_compromised, n_targets;
        int64_t decided_ms;
        char actor[SW_ADDR_TEXT];
        char title[256], message[1024], story[4096];
};

static struct sw_view *v;
static struct sw_correlate *c;
static struct sw_detector_conf modes[SW_N_DETECTORS];
static struct sw_correlate_conf conf = { SW_SEVERITY_MEDIUM, 15 * SW_MINUTE, 24 * SW_HOUR, 0 };
static const struct sw_hash_key key = { 1, 2 };
static struct line lines[64];
static unsigned n_lines;

static void copy(char *to, size_t size, struct sw_str from)
{
        cr_assert_lt(from.n, size);
        memcpy(to, from.p, from.n);
        to[from.n] = '\0';
}

static int take(void *ctx, const struct sw_finding *f)
{
        struct line *l = &lines[n_lines++];

        cr_assert_null(ctx);
        cr_assert_lt(n_lines, 64);
        *l = (struct line){ .activity = f->activity,
                .severity = f->severity,
                .kind = f->kind,
                .risk = f->risk,
                .sequence = f->sequence,
                .n_compromised = f->n_compromised_total,
                .n_targets = f->n_targets_total,
                .decided_ms = f->decided.ms - FAKE_START };
        memcpy(l->uid, f->uid, 33);
        memcpy(l->line_uid, f->line_uid, 33);
        memcpy(l->merged_into, f->merged_into, 33);
        (void)sw_addr_format(&f->actor, l->actor);
        copy(l->title, sizeof(l->title), f->title);
        copy(l->message, sizeof(l->message), f->message);
        copy(l->story, sizeof(l->story), f->story);
        return 0;
}

static void setup(void)
{
        v = fake_view_new();
        cr_assert_eq(sw_correlate_new(&conf, modes, 8 << 20, &key, &c), 0);
}

static void teardown(void)
{
        c = sw_correlate_free(c);
        v = fake_view_free(v);
}

TestSuite(correlate, .init = setup, .fini = teardown);

static struct sw_signal signal_of(
        enum sw_detector_id d, int64_t ms, const char *src, const char *dst, unsigned gain_pct)
{
        struct sw_conn_event ev = fake_event(v, SW_CONN_SUCCEEDED, ms, src, dst, 22);
        struct sw_signal s = { .detector = (uint16_t)d,
                .time = ev.time,
                .first = ev.time,
                .last = ev.time,
                .actor = ev.src,
                .targets = { ev.dst },
                .n_targets = 1,
                .n_targets_total = 1,
                .src_segment = ev.src_segment,
                .dst_segment = ev.dst_segment,
                .proto = SW_PROTO_TCP,
                .port = 22,
                .service = SW_SERVICE_SSH,
                .value = 3,
                .threshold = 3,
                .window_ms = 5 * SW_MINUTE,
                .confidence_pct = 100,
                .weight_pct = (uint8_t)gain_pct,
                .techniques = 1,
                .evidence = { ev.first },
                .n_evidence = 1 };

        return s;
}

static void give(const struct sw_signal *s)
{
        if (s->time.ms > v->now.ms)
                v->now = s->time;
        cr_assert_eq(sw_correlate_signal(c, v, s, take, NULL), 0);
}

static void see(enum sw_detector_id d, int64_t ms, const char *src, const char *dst, unsigned gain_pct)
{
        struct sw_signal s = signal_of(d, ms, src, dst, gain_pct);

        give(&s);
}

static void chain(int64_t ms, const char *a, const char *b, const char *d, unsigned gain_pct)
{
        struct sw_signal s = signal_of(SW_DETECTOR_PIVOT_CHAIN, ms, b, d, gain_pct);

        s.chain[0] = fake_host(v, a);
        s.chain[1] = fake_host(v, b);
        s.chain[2] = fake_host(v, d);
        s.n_chain = 3;
        s.value = 2;
        s.actor = v->hosts[s.chain[0]].segment == SW_SEGMENT_INTERNET ? s.chain[1] : s.chain[0];
        give(&s);
}

static void advance(int64_t ms)
{
        struct sw_etime next;

        while (!sw_etime_is_none(next = sw_correlate_next(c)) && next.ms <= FAKE_START + ms) {
                v->now = next;
                cr_assert_eq(sw_correlate_advance(c, v, next, take, NULL), 0);
        }
        v->now.ms = FAKE_START + ms;
}

#define A "10.1.0.4"
#define B "10.2.0.5"
#define D "10.3.0.6"
#define X "198.51.100.7"

Test(correlate, writes_at_risk_50_and_not_at_49)
{
        see(SW_DETECTOR_HORIZONTAL_SCAN, 0, A, B, 49);
        cr_assert_eq(n_lines, 0);
        see(SW_DETECTOR_HORIZONTAL_SCAN, 0, D, B, 50);
        cr_assert_eq(n_lines, 1);
        cr_assert_eq(lines[0].severity, SW_SEVERITY_MEDIUM);
        cr_assert_eq(lines[0].risk, 50);
        cr_assert_eq(lines[0].activity, SW_ACTIVITY_CREATE);
        cr_assert_eq(lines[0].sequence, 1);
        cr_assert_str_eq(lines[0].actor, D);
        cr_assert_str_eq(lines[0].title, "Reconnaissance from 10.3.0.6: scan to segment db");
}

Test(correlate, takes_the_best_signal_of_a_rule_and_segment_once)
{
        see(SW_DETECTOR_HORIZONTAL_SCAN, 0, A, B, 30);
        see(SW_DETECTOR_HORIZONTAL_SCAN, 0, A, B, 30);
        see(SW_DETECTOR_HORIZONTAL_SCAN, 0, A, B, 30);
        cr_assert_eq(n_lines, 0);
        see(SW_DETECTOR_HORIZONTAL_SCAN, 0, A, D, 30); /* 1 - .7 * .7 = .51 */
        cr_assert_eq(n_lines, 1);
        cr_assert_eq(lines[0].risk, 51);
}

Test(correlate, adds_ten_for_each_further_tactic_and_for_what_matters_most)
{
        see(SW_DETECTOR_HORIZONTAL_SCAN, 0, A, B, 25);
        see(SW_DETECTOR_ADMIN_FANOUT, 0, A, B, 25); /* 44 + 10 */
        cr_assert_eq(n_lines, 1);
        cr_assert_eq(lines[0].risk, 54);
        see(SW_DETECTOR_HORIZONTAL_SCAN, 0, "10.2.0.77", "10.9.0.1", 40); /* criticality 4 */
        cr_assert_eq(n_lines, 2);
        cr_assert_eq(lines[1].risk, 50);
}

Test(correlate, lets_age_halve_what_a_signal_says)
{
        see(SW_DETECTOR_HORIZONTAL_SCAN, 0, A, B, 40);
        see(SW_DETECTOR_DENIED_SCAN, 20 * SW_HOUR, A, B, 40); /* 1 - .6 * (1 - .4 * 2^(-20/24)) = .53 */
        cr_assert_eq(n_lines, 1);
        cr_assert_eq(lines[0].risk, 53);
}

Test(correlate, writes_low_only_when_two_rules_agree)
{
        conf.min_severity = SW_SEVERITY_LOW;
        sw_correlate_set_conf(c, &conf, modes);
        see(SW_DETECTOR_HORIZONTAL_SCAN, 0, A, B, 45);
        cr_assert_eq(n_lines, 0);
        see(SW_DETECTOR_DENIED_SCAN, 0, A, B, 3);
        cr_assert_eq(n_lines, 1);
        cr_assert_eq(lines[0].severity, SW_SEVERITY_LOW);
}

Test(correlate, opens_at_once_for_alone_and_for_mode_alert_and_never_for_shadow)
{
        struct sw_signal s = signal_of(SW_DETECTOR_NEW_ADMIN_EDGE, 0, A, B, 10);

        s.alone = true;
        give(&s);
        cr_assert_eq(n_lines, 1);
        cr_assert_eq(lines[0].severity, SW_SEVERITY_MEDIUM);
        modes[SW_DETECTOR_DENIED_SCAN].mode = SW_MODE_ALERT;
        see(SW_DETECTOR_DENIED_SCAN, 0, D, B, 1);
        cr_assert_eq(n_lines, 2);
        modes[SW_DETECTOR_HORIZONTAL_SCAN].mode = SW_MODE_SHADOW;
        see(SW_DETECTOR_HORIZONTAL_SCAN, 0, "10.1.0.9", B, 100);
        cr_assert_eq(n_lines, 2);
}

Test(correlate, writes_a_rise_at_once_and_coalesces_the_rest)
{
        see(SW_DETECTOR_HORIZONTAL_SCAN, 0, A, B, 50);
        see(SW_DETECTOR_DENIED_SCAN, 1000, A, B, 25); /* 62: news, no rise */
        see(SW_DETECTOR_DENIED_SCAN, 2000, A, D, 5);
        cr_assert_eq(n_lines, 1);
        see(SW_DETECTOR_VERTICAL_SCAN, 3000, A, B, 50); /* 82: High */
        cr_assert_eq(n_lines, 2);
        cr_assert_eq(lines[1].severity, SW_SEVERITY_HIGH);
        cr_assert_eq(lines[1].decided_ms, 3000);
        cr_assert_str_eq(lines[1].uid, lines[0].uid);
        cr_assert_str_neq(lines[1].line_uid, lines[0].line_uid);
        see(SW_DETECTOR_DENIED_SCAN, 60000, A, "10.4.0.1", 1); /* one more segment */
        see(SW_DETECTOR_DENIED_SCAN, 70000, A, "10.4.0.1", 1);
        advance(60000 + 15 * SW_MINUTE - 1);
        cr_assert_eq(n_lines, 2);
        advance(60000 + 15 * SW_MINUTE);
        cr_assert_eq(n_lines, 3);
        cr_assert_eq(lines[2].activity, SW_ACTIVITY_UPDATE);
        cr_assert_eq(lines[2].decided_ms, 60000 + 15 * SW_MINUTE);
        cr_assert_eq(lines[2].sequence, 3);
}

Test(correlate, says_nothing_about_more_of_the_same_until_it_closes)
{
        int i;

        for (i = 0; i < 20; i++)
                see(SW_DETECTOR_HORIZONTAL_SCAN, i * SW_HOUR, A, B, 50);
        advance(43 * SW_HOUR - 1);
        cr_assert_eq(n_lines, 1);
        advance(43 * SW_HOUR);
        cr_assert_eq(n_lines, 2);
        cr_assert_eq(lines[1].activity, SW_ACTIVITY_CLOSE);
        cr_assert(sw_etime_is_none(sw_correlate_next(c)));
        cr_assert_eq(sw_correlate_stats(c).incidents_open, 0);
}

Test(correlate, taints_who_acts_while_the_incident_is_open)
{
        see(SW_DETECTOR_HORIZONTAL_SCAN, 0, A, B, 40);
        cr_assert_eq(v->taints[fake_host(v, A)], 0);
        see(SW_DETECTOR_ADMIN_FANOUT, 0, A, B, 40);
        cr_assert_eq(v->taints[fake_host(v, A)], 1);
        cr_assert_eq(v->taints[fake_host(v, B)], 0);
        see(SW_DETECTOR_HORIZONTAL_SCAN, 1000, B, D, 30); /* reached before: it acts for A's incident now */
        cr_assert_eq(v->taints[fake_host(v, B)], 1);
        advance(30 * SW_HOUR);
        cr_assert_eq(v->taints[fake_host(v, A)], 0);
        cr_assert_eq(v->taints[fake_host(v, B)], 0);
}

Test(correlate, gives_what_a_reached_host_does_to_the_one_who_reached_it)
{
        see(SW_DETECTOR_NEW_ADMIN_EDGE, 0, A, B, 50);
        see(SW_DETECTOR_HORIZONTAL_SCAN, SW_HOUR, B, D, 60);
        cr_assert_eq(lines[n_lines - 1].n_compromised, 1);
        cr_assert_str_eq(lines[n_lines - 1].actor, A);
        cr_assert_eq(sw_correlate_stats(c).incidents_open, 1);
        see(SW_DETECTOR_HORIZONTAL_SCAN, SW_HOUR, "10.2.0.77", D, 60); /* never reached */
        cr_assert_eq(sw_correlate_stats(c).incidents_open, 2);
}

Test(correlate, forgets_a_reached_host_after_a_day)
{
        see(SW_DETECTOR_NEW_ADMIN_EDGE, 0, A, B, 50);
        see(SW_DETECTOR_NEW_ADMIN_EDGE, 20 * SW_HOUR, A, "10.2.0.6", 50);
        see(SW_DETECTOR_HORIZONTAL_SCAN, 24 * SW_HOUR + 1, B, D, 60);
        cr_assert_eq(sw_correlate_stats(c).incidents_open, 2);
}

Test(correlate, merges_the_pivots_incident_into_one_that_is_written_already)
{
        char uid[33];

        see(SW_DETECTOR_HORIZONTAL_SCAN, 0, A, "10.2.0.9", 20);    /* A's, earlier, not written */
        see(SW_DETECTOR_HORIZONTAL_SCAN, 1000, B, "10.2.0.9", 60); /* B's, written */
        memcpy(uid, lines[0].uid, 33);
        chain(2000, A, B, D, 60);
        cr_assert_eq(sw_correlate_stats(c).incidents_open, 1);
        cr_assert_eq(sw_correlate_stats(c).incidents_merged, 1);
        cr_assert_eq(n_lines, 2);
        cr_assert_str_eq(lines[1].uid, uid); /* the id of what was written stays */
        cr_assert_str_eq(lines[1].actor, A); /* who did it changed */
        cr_assert_eq(lines[1].n_compromised, 1);
}

Test(correlate, closes_the_later_of_two_written_incidents_into_the_earlier)
{
        see(SW_DETECTOR_HORIZONTAL_SCAN, 0, A, "10.2.0.9", 60);
        see(SW_DETECTOR_HORIZONTAL_SCAN, 1000, B, "10.2.0.9", 60);
        chain(2000, A, B, D, 60);
        cr_assert_eq(n_lines, 4);
        cr_assert_eq(lines[2].activity, SW_ACTIVITY_CLOSE);
        cr_assert_str_eq(lines[2].uid, lines[1].uid);
        cr_assert_str_eq(lines[2].merged_into, lines[0].uid);
        cr_assert_eq(lines[3].activity, SW_ACTIVITY_UPDATE);
        cr_assert_str_eq(lines[3].uid, lines[0].uid);
        cr_assert_eq(v->taints[fake_host(v, A)], 1);
        cr_assert_eq(v->taints[fake_host(v, B)], 1);
        advance(48 * SW_HOUR);
        cr_assert_eq(v->taints[fake_host(v, A)], 0);
        cr_assert_eq(v->taints[fake_host(v, B)], 0);
}

Test(correlate, makes_one_incident_of_a_whole_attack_from_outside)
{
        struct sw_signal s = signal_of(SW_DETECTOR_EXPOSED_ADMIN, 0, X, A, 45);
        unsigned i, creates = 0;

        s.variant = SW_EXPOSED_ADMIN_SESSION;
        s.value = 90000;
        give(&s);
        see(SW_DETECTOR_HORIZONTAL_SCAN, 5 * SW_MINUTE, A, B, 35);
        see(SW_DETECTOR_ADMIN_FANOUT, 10 * SW_MINUTE, A, B, 40);
        chain(12 * SW_MINUTE, X, A, B, 56);
        chain(20 * SW_MINUTE, A, B, D, 56);
        see(SW_DETECTOR_HORIZONTAL_SCAN, 25 * SW_MINUTE, B, D, 50);
        advance(60 * SW_MINUTE);
        for (i = 0; i < n_lines; i++) {
                creates += lines[i].activity == SW_ACTIVITY_CREATE;
                cr_assert_str_eq(lines[i].uid, lines[0].uid);
        }
        cr_assert_eq(creates, 1);
        cr_assert_str_eq(lines[n_lines - 1].actor, A);
        cr_assert_eq(lines[n_lines - 1].severity, SW_SEVERITY_CRITICAL);
        cr_assert(strstr(lines[n_lines - 1].message, "entered from 198.51.100.7"));
        cr_assert(strncmp(lines[n_lines - 1].story, "2026-01-01T00:00:00.000Z 198.51.100.7 held a session on 10.1.0.4",
                          64) == 0);
        cr_assert_eq(sw_correlate_stats(c).incidents_open, 1);
}

Test(correlate, opens_nothing_for_scans_from_the_internet)
{
        struct sw_signal s = signal_of(SW_DETECTOR_EXPOSED_ADMIN, 0, X, A, 100);
        int i;

        for (i = 0; i < 100; i++)
                see(SW_DETECTOR_HORIZONTAL_SCAN, i, fake_addr("198.51.100.", (unsigned)i + 1), B, 100);
        give(&s); /* merely reachable */
        cr_assert_eq(n_lines, 0);
        cr_assert_eq(sw_correlate_stats(c).incidents_open, 0);
}

Test(correlate, opens_nothing_for_a_jump_host_passing_things_on)
{
        struct sw_signal s = signal_of(SW_DETECTOR_PIVOT_CHAIN, 0, B, D, 0);

        s.variant = SW_PIVOT_CHAIN_JUMP;
        s.actor = s.chain[0] = fake_host(v, A);
        s.chain[1] = fake_host(v, B);
        s.chain[2] = fake_host(v, D);
        s.n_chain = 3;
        conf.min_severity = SW_SEVERITY_INFO;
        sw_correlate_set_conf(c, &conf, modes);
        give(&s);
        cr_assert_eq(n_lines, 0);
        see(SW_DETECTOR_HORIZONTAL_SCAN, 1000, D, "10.2.0.1", 60); /* what he reached acts: it is his incident */
        cr_assert_eq(n_lines, 1);
        cr_assert_str_eq(lines[0].actor, A);
}

Test(correlate, writes_a_broken_policy_row_as_a_finding_of_its_own)
{
        struct sw_signal s = signal_of(SW_DETECTOR_SEGMENT_POLICY, 0, A, B, 35);

        give(&s);
        cr_assert_eq(n_lines, 1);
        cr_assert_eq(lines[0].kind, SW_FINDING_DETECTOR);
        cr_assert_eq(lines[0].severity, SW_SEVERITY_MEDIUM);
        cr_assert_str_eq(lines[0].title, "Segment policy violation: 22/tcp from segment web to segment db");
        s.time.ms += SW_DAY;
        give(&s);
        cr_assert_eq(n_lines, 2);
        cr_assert_str_neq(lines[0].uid, lines[1].uid); /* another day */
        conf.min_severity = SW_SEVERITY_HIGH;
        sw_correlate_set_conf(c, &conf, modes);
        s.time.ms += SW_DAY;
        give(&s);
        cr_assert_eq(n_lines, 2);
}

Test(correlate, gives_the_same_ids_every_time)
{
        char expected[33];
        const char *text = "incident|default|10.1.0.4|1767225600000";

        sw_sha256_128(text, strlen(text), expected);
        see(SW_DETECTOR_HORIZONTAL_SCAN, 0, A, B, 50);
        cr_assert_str_eq(lines[0].uid, expected);
}

Test(correlate, stays_within_its_memory_and_gives_up_the_least)
{
        struct sw_correlate *small;
        char addr[SW_ADDR_TEXT];
        unsigned i;

        cr_assert_eq(sw_correlate_new(&conf, modes, 256 << 10, &key, &small), 0);
        for (i = 0; i < 2000; i++) {
                struct sw_signal s;

                (void)snprintf(addr, sizeof(addr), "10.1.%u.%u", 1 + i / 250, 1 + i % 250);
                s = signal_of(SW_DETECTOR_HORIZONTAL_SCAN, i, addr, B, i == 7 ? 60 : 10);
                cr_assert_eq(sw_correlate_signal(small, v, &s, take, NULL), 0);
                cr_assert_leq(sw_correlate_stats(small).bytes, 256 << 10);
        }
        cr_assert_gt(sw_correlate_stats(small).evicted, 1000);
        cr_assert_eq(n_lines, 1); /* the written one is still open */
        sw_correlate_free(small);
}

Test(correlate, keeps_the_most_telling_of_very_many_signals)
{
        unsigned i;

        see(SW_DETECTOR_PIVOT_CHAIN, 0, A, B, 60);
        for (i = 1; i < 500; i++)
                see(SW_DETECTOR_HORIZONTAL_SCAN, i, A, fake_addr("10.2.3.", i % 200), 20);
        advance(SW_HOUR);
        cr_assert(strstr(lines[n_lines - 1].title, "pivot"));
        cr_assert_lt(strlen(lines[n_lines - 1].story), 4096);
}

/* ---- the budget of an hour ---- */

static void limit(unsigned per_hour)
{
        conf.max_per_hour = per_hour;
        sw_correlate_set_conf(c, &conf, modes);
}

static void storm_of(unsigned n, int64_t ms, unsigned gain_pct)
{
        unsigned i;

        for (i = 0; i < n; i++)
                see(SW_DETECTOR_HORIZONTAL_SCAN, ms, fake_addr("10.1.0.", i + 1), B, gain_pct);
}

static unsigned count(enum sw_activity activity, const char *title)
{
        unsigned i, n = 0;

        for (i = 0; i < n_lines; i++)
                n += lines[i].activity == activity && strstr(lines[i].title, title) != NULL;
        return n;
}

Test(correlate, folds_what_an_hour_brings_beyond_its_budget_into_one_finding)
{
        limit(3);
        storm_of(3, 0, 50);
        cr_assert_eq(n_lines, 3);
        cr_assert_eq(sw_correlate_stats(c).folded, 0);
        storm_of(40, 1000, 55); /* 37 more; three of them are written already */
        cr_assert_eq(n_lines, 4);
        cr_assert_eq(sw_correlate_stats(c).folded, 37);
        cr_assert_str_eq(lines[3].title, "Alert storm: 1 finding from segment web");
        cr_assert_eq(lines[3].kind, SW_FINDING_INCIDENT);
        cr_assert_eq(lines[3].severity, SW_SEVERITY_MEDIUM);
        cr_assert_str_eq(lines[3].actor, "10.1.0.4");
        advance(1000 + 15 * SW_MINUTE - 1);
        cr_assert_eq(n_lines, 4);
        advance(SW_HOUR - 1);
        cr_assert_eq(n_lines, 5);
        cr_assert_eq(lines[4].activity, SW_ACTIVITY_UPDATE);
        cr_assert_str_eq(lines[4].title, "Alert storm: 37 findings from segment web");
        cr_assert_eq(lines[4].risk, 55);
        advance(SW_HOUR);
        cr_assert_eq(n_lines, 6);
        cr_assert_eq(lines[5].activity, SW_ACTIVITY_CLOSE);
        cr_assert_eq(lines[5].decided_ms, SW_HOUR);
        cr_assert_str_eq(lines[5].uid, lines[3].uid);
        cr_assert_eq(lines[5].sequence, 3);
        cr_assert_eq(lines[5].n_compromised, 37);
}

Test(correlate, writes_everything_without_a_budget)
{
        limit(0);
        storm_of(50, 0, 50);
        cr_assert_eq(count(SW_ACTIVITY_CREATE, "Reconnaissance"), 50);
        cr_assert_eq(sw_correlate_stats(c).folded, 0);
}

Test(correlate, never_folds_a_critical_incident_and_noise_does_not_fold_what_is_worse)
{
        limit(2);
        storm_of(10, 0, 50);
        see(SW_DETECTOR_HORIZONTAL_SCAN, 1, "10.1.0.50", B, 75); /* High: its own budget */
        see(SW_DETECTOR_HORIZONTAL_SCAN, 1, "10.1.0.51", B, 75);
        cr_assert_eq(n_lines, 2 + 1 + 2);
        see(SW_DETECTOR_HORIZONTAL_SCAN, 1, "10.1.0.52", B, 75);
        cr_assert_eq(n_lines, 5);
        see(SW_DETECTOR_HORIZONTAL_SCAN, 2, "10.1.0.53", B, 90);
        cr_assert_eq(lines[5].severity, SW_SEVERITY_CRITICAL);
        see(SW_DETECTOR_VERTICAL_SCAN, 3, "10.1.0.52", B, 60); /* a folded one becomes critical */
        cr_assert_eq(lines[6].severity, SW_SEVERITY_CRITICAL);
        cr_assert_str_eq(lines[6].actor, "10.1.0.52");
        cr_assert_eq(lines[6].sequence, 1);
        cr_assert_eq(n_lines, 7);
}

Test(correlate, writes_a_folded_incident_in_a_later_hour_if_it_goes_on)
{
        limit(1);
        storm_of(2, 0, 50);
        cr_assert_eq(n_lines, 2);
        see(SW_DETECTOR_HORIZONTAL_SCAN, 10, "10.1.0.2", B, 52); /* counted once */
        cr_assert_eq(sw_correlate_stats(c).folded, 1);
        advance(SW_HOUR);
        see(SW_DETECTOR_HORIZONTAL_SCAN, SW_HOUR, "10.1.0.2", "10.4.0.1", 50);
        cr_assert_str_eq(lines[n_lines - 1].actor, "10.1.0.2");
        cr_assert_eq(lines[n_lines - 1].activity, SW_ACTIVITY_CREATE);
        cr_assert_eq(v->taints[fake_host(v, "10.1.0.2")], 1);
}

Test(correlate, freezes_the_baseline_of_who_was_folded)
{
        limit(1);
        storm_of(2, 0, 50);
        cr_assert_eq(v->taints[fake_host(v, "10.1.0.2")], 1);
        advance(30 * SW_HOUR);
        cr_assert_eq(v->taints[fake_host(v, "10.1.0.2")], 0);
        cr_assert_eq(count(SW_ACTIVITY_CLOSE, "Reconnaissance"), 1); /* what was never opened is not closed */
}

Test(correlate, keeps_storms_of_many_segments_bounded)
{
        char addr[SW_ADDR_TEXT];
        unsigned i;

        limit(1);
        see(SW_DETECTOR_HORIZONTAL_SCAN, 0, A, B, 50);
        for (i = 0; i < 40; i++) {
                (void)snprintf(addr, sizeof(addr), "10.%u.0.9", 10 + i);
                see(SW_DETECTOR_HORIZONTAL_SCAN, 1, addr, B, 50);
        }
        cr_assert_eq(sw_correlate_stats(c).folded, 40);
        cr_assert_leq(count(SW_ACTIVITY_CREATE, "Alert storm"), 16);
        advance(SW_HOUR);
        cr_assert_eq(count(SW_ACTIVITY_CLOSE, "Alert storm"), count(SW_ACTIVITY_CREATE, "Alert storm"));
        cr_assert_eq(count(SW_ACTIVITY_CLOSE, "several segments"), count(SW_ACTIVITY_CREATE, "several segments"));
}

Test(correlate, folds_a_detectors_own_findings_as_well)
{
        unsigned i;

        limit(2);
        for (i = 0; i < 10; i++)
                see(SW_DETECTOR_SEGMENT_POLICY, 0, fake_addr("10.1.0.", i + 1), B, 35);
        cr_assert_eq(n_lines, 3);
        cr_assert_eq(lines[1].kind, SW_FINDING_DETECTOR);
        cr_assert(strstr(lines[2].title, "Alert storm"));
        cr_assert_eq(sw_correlate_stats(c).folded, 8);
        see(SW_DETECTOR_HORIZONTAL_SCAN, 1, D, B, 50); /* incidents have a budget of their own */
        cr_assert_eq(n_lines, 4);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"
#include "base/hash.h"
#include "model/addr.h"
#include "scenario/scenario.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A tuple of the text, by plain splitting: an opinion independent of any decoder. */
struct row {
        char key[128]; /* src,dst,sport,dport,proto */
        long long time;
        char direction, state;
        unsigned long long counters[4];
};

struct rows {
        struct row *items;
        size_t n, cap;
};

static struct sw_scenario_conf small(const char *attacks)
{
        struct sw_scenario_conf c = sw_scenario_default();

        c.n_hosts = 60;
        c.minutes = 180;
        c.attacks = attacks;
        return c;
}

static void read_tuple(struct rows *rows, const char *p, size_t n)
{
        char text[256], *field[13], *save = NULL, *t;
        struct row r = { 0 };
        unsigned i = 0;

        cr_assert_lt(n, sizeof(text));
        memcpy(text, p, n);
        text[n] = '\0';
        for (t = strtok_r(text, ",", &save); t; t = strtok_r(NULL, ",", &save)) {
                cr_assert_lt(i, 13);
                field[i++] = t;
        }
        cr_assert_eq(i, 13, "%.*s", (int)n, p);
        r.time = atoll(field[0]);
        snprintf(r.key, sizeof(r.key), "%s,%s,%s,%s,%s", field[1], field[2], field[3], field[4], field[5]);
        r.direction = field[6][0];
        r.state = field[7][0];
        for (i = 0; i < 4; i++)
                r.counters[i] = strtoull(field[9 + i], NULL, 10);
        if (rows->n == rows->cap) {
                rows->cap = rows->cap ? rows->cap * 2 : 4096;
                rows->items = sw_realloc_array(rows->items, rows->cap, sizeof(*rows->items));
                cr_assert_not_null(rows->items);
        }
        rows->items[rows->n++] = r;
}

static size_t read_message(struct rows *rows, struct sw_str m)
{
        const char *p = m.p, *end = m.p + m.n, *q;
        size_t before = rows->n;

        while (p < end && (p = memchr(p, '"', (size_t)(end - p)))) {
                q = memchr(p + 1, '"', (size_t)(end - p - 1));
                cr_assert_not_null(q);
                if (p[1] >= '0' && p[1] <= '9' && q - p > 30 && memchr(p, ',', (size_t)(q - p)))
                        read_tuple(rows, p + 1, (size_t)(q - p - 1));
                p = q + 1;
        }
        return rows->n - before;
}

static struct rows run(const struct sw_scenario_conf *conf)
{
        struct sw_scenario_message m;
        struct sw_scenario *s;
        struct rows rows = { 0 };
        int r;

        cr_assert_eq(sw_scenario_new(conf, &s, NULL), 0);
        while ((r = sw_scenario_next(s, &m)) == SW_SCENARIO_OK)
                cr_assert_eq(read_message(&rows, m.bytes), m.n_tuples);
        cr_assert_eq(r, SW_SCENARIO_END);
        cr_assert_eq(sw_scenario_next(s, &m), SW_SCENARIO_END);
        cr_assert_eq(rows.n, sw_scenario_stats(s).tuples);
        sw_scenario_free(s);
        return rows;
}

static int by_key(const void *a, const void *b)
{
        const struct row *x = a, *y = b;
        int c = strcmp(x->key, y->key);

        if (c == 0)
                c = (x->direction > y->direction) - (x->direction < y->direction);
        if (c == 0)
                c = (x->time > y->time) - (x->time < y->time);
        return c ? c
                 : (strchr("BCED", x->state) > strchr("BCED", y->state)) -
                               (strchr("BCED", x->state) < strchr("BCED", y->state));
}

static uint64_t digest(const struct sw_scenario_conf *conf)
{
        static const struct sw_hash_key key = { 1, 2 };
        struct sw_scenario_message m;
        struct sw_scenario *s;
        uint64_t h = 0;

        cr_assert_eq(sw_scenario_new(conf, &s, NULL), 0);
        while (sw_scenario_next(s, &m) == SW_SCENARIO_OK)
                h = h * 31 + sw_siphash(&key, m.bytes.p, m.bytes.n) + m.partition;
        sw_scenario_free(s);
        return h;
}

Test(scenario, same_seed_same_bytes_on_every_machine)
{
        struct sw_scenario_conf a = small("full"), b = a;
        uint64_t first = digest(&a);

        cr_assert_eq(first, digest(&a));
        b.seed = 2;
        cr_assert_neq(first, digest(&b));
}

/* Sums a group of rows of one five-tuple and direction; false if it is still open or was denied. */
static bool sum_life(const struct row *r, size_t n, unsigned long long ret[4])
{
        size_t i, k;

        memset(ret, 0, 4 * sizeof(*ret));
        if (n == 1 && r[0].state == 'E') {
                cr_assert(r[0].counters[0] == 1 && r[0].counters[2] == 0, "%s: only a stray packet has no begin",
                        r[0].key);
                return true;
        }
        for (i = 0; i < n; i++) {
                cr_assert_eq(i == 0, r[i].state == 'B' || r[i].state == 'D', "%s begins once, first", r[i].key);
                cr_assert(i == n - 1 || r[i].state != 'E', "%s ends last", r[i].key);
                for (k = 0; k < 4; k++)
                        ret[k] += r[i].counters[k];
        }
        return r[n - 1].state == 'E';
}

Test(scenario, begin_continue_end_pair_up_and_both_nics_agree)
{
        struct sw_scenario_conf conf = small("full");
        struct rows rows = run(&conf);
        size_t i, j, agree = 0, n_ended = 0, n_open = 0, n_continue = 0;
        unsigned long long in[4], out[4];

        qsort(rows.items, rows.n, sizeof(*rows.items), by_key);
        for (i = 0; i < rows.n; i = j) {
                bool ended, other;
                size_t k;

                for (j = i; j < rows.n && strcmp(rows.items[i].key, rows.items[j].key) == 0 &&
                            rows.items[i].direction == rows.items[j].direction;)
                        n_continue += rows.items[j++].state == 'C';
                ended = sum_life(rows.items + i, j - i, in);
                n_ended += ended;
                n_open += !ended && rows.items[j - 1].state != 'D';
                for (k = j; k < rows.n && strcmp(rows.items[i].key, rows.items[k].key) == 0;)
                        k++;
                if (!ended || k == j || rows.items[j].direction == rows.items[i].direction)
                        continue;
                other = sum_life(rows.items + j, k - j, out);
                cr_assert(!other || memcmp(in, out, sizeof(in)) == 0, "%s", rows.items[i].key);
                agree += other;
        }
        cr_assert_gt(n_continue, 50);
        cr_assert_gt(agree, 500);
        cr_assert_lt(n_open * 20, n_ended);
        sw_free(rows.items);
}

Test(scenario, deltas_sum_up_to_the_payload_that_was_planned)
{
        struct sw_scenario_conf conf = small("exposed_rdp");
        struct rows rows = run(&conf);
        unsigned long long packets = 0, bytes = 0, deltas[64];
        size_t i, n = 0, k, different = 0;

        for (i = 0; i < rows.n; i++) {
                const struct row *r = &rows.items[i];

                if (strncmp(r->key, "203.0.113.67,", 13) != 0 || !strstr(r->key, ",50004,3389,6"))
                        continue;
                packets += r->counters[0];
                bytes += r->counters[1];
                if (r->state == 'C') {
                        for (k = 0; k < n; k++)
                                different += deltas[k] != r->counters[1];
                        deltas[n++] = r->counters[1];
                }
        }
        cr_assert_eq(bytes - 54 * packets, 2400000);
        cr_assert_geq(n, 6, "40 minutes have a C about every five");
        cr_assert_gt(different, n, "a session comes in bursts");
        sw_free(rows.items);
}

Test(scenario, disorder_stays_within_80_seconds_and_the_promise_about_the_future_holds)
{
        struct sw_scenario_conf conf = small("");
        struct sw_scenario_message m;
        struct sw_scenario *s;
        int64_t newest = INT64_MIN / 2, promised = INT64_MIN / 2, worst = 0;

        cr_assert_eq(sw_scenario_new(&conf, &s, NULL), 0);
        while (sw_scenario_next(s, &m) == SW_SCENARIO_OK) {
                cr_assert_geq(m.oldest.ms, promised);
                cr_assert_leq(m.newest.ms, m.time.ms);
                promised = m.future_oldest.ms;
                if (newest - m.oldest.ms > worst)
                        worst = newest - m.oldest.ms;
                if (m.newest.ms > newest)
                        newest = m.newest.ms;
        }
        cr_assert_gt(worst, 30000);
        cr_assert_leq(worst, 82000);
        cr_assert_geq(newest, sw_scenario_stats(s).end.ms - 60000);
        sw_scenario_free(s);
}

static int by_text(const void *a, const void *b)
{
        return memcmp(a, b, sizeof(struct row));
}

Test(scenario, ordinary_traffic_does_not_depend_on_the_attack)
{
        struct sw_scenario_conf without = small(""), with = small("full");
        struct rows a = run(&without), b = run(&with);
        size_t i, k = 0;

        cr_assert_gt(b.n, a.n + 100);
        qsort(a.items, a.n, sizeof(*a.items), by_text);
        qsort(b.items, b.n, sizeof(*b.items), by_text);
        for (i = 0; i < a.n; i++, k++) {
                while (k < b.n && memcmp(&a.items[i], &b.items[k], sizeof(struct row)) != 0)
                        k++;
                cr_assert_lt(k, b.n, "%s %lld is missing beside the attack", a.items[i].key, a.items[i].time);
        }
        sw_free(a.items);
        sw_free(b.items);
}

Test(scenario, truth_names_what_is_in_the_messages)
{
        struct sw_scenario_conf conf = small("full");
        struct rows rows = run(&conf);
        struct sw_scenario *s;
        uint32_t i, k;
        size_t j;

        cr_assert_eq(sw_scenario_new(&conf, &s, NULL), 0);
        cr_assert_eq(sw_scenario_n_steps(s), 5);
        for (i = 0; i < 5; i++) {
                struct sw_scenario_step t = sw_scenario_step(s, i);
                char actor[SW_ADDR_TEXT], host[SW_ADDR_TEXT], prefix[128];

                cr_assert_gt(t.n_hosts, 0);
                cr_assert_geq(t.first.ms, sw_scenario_stats(s).attack.ms);
                for (k = 0; k < t.n_hosts && strcmp(t.name, "pivot") != 0; k++) {
                        snprintf(prefix, sizeof(prefix), "%s,%s,", sw_addr_format(&t.actor, actor),
                                sw_addr_format(&t.hosts[k], host));
                        for (j = 0; j < rows.n; j++)
                                if (rows.items[j].time >= t.first.ms && rows.items[j].time <= t.last.ms + 10 &&
                                        strncmp(rows.items[j].key, prefix, strlen(prefix)) == 0)
                                        break;
                        cr_assert_lt(j, rows.n, "%s: %s", t.name, prefix);
                }
        }
        sw_scenario_free(s);
        sw_free(rows.items);
}

Test(scenario, the_data_segment_is_reached_only_through_the_forgotten_rule)
{
        struct sw_scenario_conf conf = small("full");
        struct rows rows = run(&conf);
        struct sw_scenario *s;
        struct sw_scenario_step pivot, denied;
        char db[SW_ADDR_TEXT], foothold[SW_ADDR_TEXT];
        size_t i, hop = 0, n_denied = 0;

        cr_assert_eq(sw_scenario_new(&conf, &s, NULL), 0);
        denied = sw_scenario_step(s, 2);
        pivot = sw_scenario_step(s, 4);
        sw_addr_format(&pivot.hosts[2], db);
        sw_addr_format(&denied.actor, foothold);
        for (i = 0; i < rows.n; i++) {
                const char *dst = strchr(rows.items[i].key, ',') + 1;

                hop += strncmp(dst, db, strlen(db)) == 0 && strstr(dst, ",3389,6") && rows.items[i].state == 'E' &&
                       strncmp(rows.items[i].key, "10.2.", 5) == 0;
                n_denied += rows.items[i].state == 'D' && strncmp(rows.items[i].key, foothold, strlen(foothold)) == 0 &&
                            rows.items[i].key[strlen(foothold)] == ',';
        }
        cr_assert_eq(hop, 2, "both NICs see its end: %zu", hop);
        cr_assert_eq(n_denied, denied.n_flows);
        sw_scenario_free(s);
        sw_free(rows.items);
}

Test(scenario, listing_has_ends_before_begins_and_strays_of_the_platform)
{
        struct sw_scenario_conf conf = small("");
        struct rows rows = run(&conf);
        size_t i, inverted = 0, stray = 0;

        for (i = 1; i < rows.n; i++)
                inverted += rows.items[i - 1].state == 'E' && rows.items[i].state == 'B' &&
                            rows.items[i - 1].time == rows.items[i].time &&
                            strcmp(rows.items[i - 1].key, rows.items[i].key) == 0;
        for (i = 0; i < rows.n; i++)
                stray += rows.items[i].state == 'E' && rows.items[i].counters[0] == 1 &&
                         rows.items[i].counters[1] == 128;
        cr_assert_gt(inverted, 20);
        cr_assert_gt(stray, 20);
        sw_free(rows.items);
}

Test(scenario, one_sided_logging_shows_each_connection_once)
{
        struct sw_scenario_conf conf = small("full");
        struct rows rows;
        size_t i;

        conf.sides = SW_SCENARIO_ONE;
        rows = run(&conf);
        qsort(rows.items, rows.n, sizeof(*rows.items), by_key);
        for (i = 1; i < rows.n; i++)
                cr_assert(strcmp(rows.items[i].key, rows.items[i - 1].key) != 0 ||
                          rows.items[i].direction == rows.items[i - 1].direction);
        sw_free(rows.items);
}

/* Brackets and quotes match, and nothing stands between messages' records but commas. */
static void balanced(struct sw_str m)
{
        char stack[32];
        unsigned depth = 0;
        bool text = false;
        size_t i;

        for (i = 0; i < m.n; i++) {
                char c = m.p[i];

                cr_assert_neq(c, '\n');
                if (c == '"')
                        text = !text;
                if (text)
                        continue;
                if (c == '{' || c == '[') {
                        cr_assert_lt(depth, sizeof(stack));
                        stack[depth++] = c == '{' ? '}' : ']';
                } else if (c == '}' || c == ']')
                        cr_assert(depth > 0 && stack[--depth] == c);
                cr_assert(i == m.n - 1 || depth > 0);
        }
        cr_assert(depth == 0 && !text);
}

Test(scenario, both_formats_are_well_formed_and_messages_keep_their_size)
{
        static const char *const version[] = { "\"flowLogVersion\":4", "\"Version\":2" };
        unsigned f;

        for (f = SW_SCENARIO_VNET; f <= SW_SCENARIO_NSG2; f++) {
                struct sw_scenario_conf conf = small("full");
                struct sw_scenario_message m;
                struct sw_scenario *s;
                unsigned n = 0;

                conf.format = (uint8_t)f;
                conf.message_min = 2048;
                conf.message_max = 8192;
                cr_assert_eq(sw_scenario_new(&conf, &s, NULL), 0);
                while (sw_scenario_next(s, &m) == SW_SCENARIO_OK && n++ < 200) {
                        balanced(m.bytes);
                        cr_assert_lt(m.bytes.n, 200000);
                        cr_assert_lt(m.partition, conf.n_partitions);
                        cr_assert_not_null(memmem(m.bytes.p, m.bytes.n, version[f], strlen(version[f])));
                }
                sw_scenario_free(s);
        }
}

Test(scenario, segments_of_any_size_are_whole_and_disjoint_ranges)
{
        static const uint32_t sizes[] = { 60, 300, 8000, 100000 };
        size_t i, n, k;

        for (i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
                struct sw_scenario_conf conf = small("");
                struct sw_buf b = SW_BUF_NULL;
                struct sw_prefix seen[32];
                struct sw_scenario *s;
                const char *p;
                bool host_bits;

                conf.n_hosts = sizes[i];
                cr_assert_eq(sw_scenario_new(&conf, &s, NULL), 0);
                sw_scenario_config(s, &b);
                sw_buf_putc(&b, '\0');
                for (n = 0, p = b.p; (p = strstr(p, "cidrs: [")); n++) {
                        p += 8;
                        cr_assert(sw_prefix_parse((struct sw_str){ p, strcspn(p, ",]") }, &seen[n], &host_bits));
                        cr_assert(!host_bits, "%.20s", p);
                        for (k = 0; k < n; k++)
                                cr_assert(!sw_prefix_contains(&seen[k], &seen[n].addr) &&
                                          !sw_prefix_contains(&seen[n], &seen[k].addr));
                }
                cr_assert_eq(n, 12);
                sw_buf_deinit(&b);
                sw_scenario_free(s);
        }
}

Test(scenario, an_unknown_attack_and_bad_numbers_are_refused)
{
        struct sw_scenario_conf conf = small("scan,worm");
        struct sw_err err = SW_ERR_NULL;
        struct sw_scenario *s;

        cr_assert_eq(sw_scenario_new(&conf, &s, &err), -SW_ERR_INVAL);
        cr_assert_not_null(strstr(err.msg, "'worm'"));
        conf = small("");
        conf.n_hosts = 59;
        cr_assert_eq(sw_scenario_new(&conf, &s, &err), -SW_ERR_INVAL);
        conf = small("none");
        cr_assert_eq(sw_scenario_new(&conf, &s, &err), 0);
        cr_assert_eq(sw_scenario_n_steps(s), 0);
        sw_scenario_free(s);
}

static void refused(struct sw_scenario_conf c, const char *why)
{
        struct sw_err err = SW_ERR_NULL;
        struct sw_scenario *s = NULL;

        cr_expect_eq(sw_scenario_new(&c, &s, &err), -SW_ERR_INVAL, "should say: %s", why);
        cr_expect(strstr(err.msg, why), "'%s' does not say: %s", err.msg, why);
        cr_expect_null(s);
}

Test(scenario, what_makes_no_network_is_refused)
{
        struct sw_scenario_conf c;

#define REFUSED(what, value, why)                                                                                      \
        c = small("");                                                                                                 \
        c.what = (value);                                                                                              \
        refused(c, why)
        REFUSED(n_hosts, 59, "hosts: 59");
        REFUSED(n_hosts, 100001, "hosts: 100001");
        REFUSED(minutes, 9, "minutes: 9");
        REFUSED(minutes, 180 * 24 * 60 + 1, "minutes: 259201");
        REFUSED(attack_minute, 180, "after the end");
        REFUSED(load_pct, 0, "load: 0");
        REFUSED(load_pct, 100001, "load: 100001");
        REFUSED(n_partitions, 0, "partitions: 0");
        REFUSED(n_partitions, 257, "partitions: 257");
        REFUSED(message_min, 1023, "message size");
        REFUSED(message_min, (256 << 10) + 1, "message size");
        REFUSED(message_max, (3 << 20) + 1, "message size");
        REFUSED(scan_hosts, 0, "targets of a scan");
        REFUSED(scan_hosts, 4097, "targets of a scan");
        REFUSED(fanout_hosts, 0, "fan-out");
        REFUSED(fanout_hosts, 4097, "fan-out");
        REFUSED(start.ms, SW_ETIME_MIN_MS - SW_MINUTE, "start");
        REFUSED(start.ms, SW_ETIME_MAX_MS, "start");
        REFUSED(start.ms, c.start.ms + 1, "start");
        REFUSED(attacks, "full,nothing", "there is no attack 'nothing'; there are ");
#undef REFUSED
}

Test(scenario, every_attack_alone_and_one_after_the_other)
{
        const char *names = sw_scenario_attack_names();
        struct sw_scenario_message m;
        struct sw_scenario_conf c;
        struct sw_scenario *s;
        struct sw_err err = SW_ERR_NULL;
        char list[256], one[64];
        unsigned n = 0, n_attacks = 0;
        const char *at = names;
        int r;

        while (*at) { /* "a, b and c" or "a, b, c" */
                size_t k = strspn(at, ", "), len = strcspn(at + k, ", ");

                at += k;
                if (len && strncmp(at, "and", len) != 0 && strncmp(at, "none", len) != 0) {
                        snprintf(one, sizeof(one), "%.*s", (int)len, at);
                        c = small(one);
                        c.pooled = n_attacks % 3;
                        cr_assert_eq(sw_scenario_new(&c, &s, &err), 0, "%s: %s", one, err.msg);
                        while ((r = sw_scenario_next(s, &m)) == SW_SCENARIO_OK)
                                n++;
                        cr_assert_eq(r, SW_SCENARIO_END);
                        sw_scenario_free(s);
                        n_attacks++;
                }
                at += len;
        }
        cr_assert_geq(n_attacks, 5, "%s", names);
        cr_assert_geq(n, n_attacks, "each has something to say");
        snprintf(list, sizeof(list), "none,,full,exposed_rdp,%s", one);
        c = small(list);
        cr_assert_eq(sw_scenario_new(&c, &s, &err), 0, "%s", err.msg);
        sw_scenario_free(s);
        cr_assert_null(sw_scenario_free(NULL));
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

static const char *put_time(struct sw_etime t, char buf[32])
{
        int64_t ms = t.ms - SW_FIXTURE_BASE_MS, d = ms / SW_DAY;
        int n = 0;

        ms %= SW_DAY;
        if (d)
                n += snprintf(buf + n, 32 - (size_t)n, "%lldd", (long long)d);
        if (d || ms >= SW_HOUR)
                n += snprintf(buf + n, 32 - (size_t)n, "%lldh", (long long)(ms / SW_HOUR));
        if (d || ms >= SW_MINUTE)
                n += snprintf(buf + n, 32 - (size_t)n, "%lldm", (long long)(ms % SW_HOUR / SW_MINUTE));
        (void)snprintf(
                buf + n, 32 - (size_t)n, "%lld.%03lld", (long long)(ms % SW_MINUTE / 1000), (long long)(ms % 1000));
        return buf;
}

static bool parse_time(const char *p, struct sw_etime *ret)
{
        int64_t ms = SW_FIXTURE_BASE_MS, scale;

        if (!*p)
                return false;
        while (*p) {
                char *end;
                long long v = strtoll(p, &end, 10);

                if (end == p)
                        return false;
                p = end;
                if (*p == 'd' || *p == 'h' || *p == 'm') {
                        ms += v * (*p == 'd' ? SW_DAY : *p == 'h' ? SW_HOUR : SW_MINUTE);
                        p++;
                        continue;
                }
                ms += v * 1000;
                if (*p == '.')
                        for (p++, scale = 100; *p >= '0' && *p <= '9' && scale; p++, scale /= 10)
                                ms += (*p - '0') * scale;
                if (*p == 's')
                        p++;
                if (*p)
                        return false;
        }
        ret->ms = ms;
        return true;
}

struct sw_etime sw_fixture_time(const char *text)
{
        struct sw_etime t = SW_ETIME_NONE;

        cr_assert(parse_time(text, &t), "time: %s", text);
        return t;
}

static void put_end(struct sw_buf *b, const struct sw_addr *a, unsigned port)
{
        char text[SW_ADDR_TEXT];

        sw_buf_printf(b, sw_addr_is_v4(a) ? "%s:%u" : "[%s]:%u", sw_addr_format(a, text), port);
}

static int trace_event(void *ctx, const struct sw_view *v, const struct sw_conn_event *ev)
{
        static const char *const types[] = { "OPENED", "PROGRESSED", "SUCCEEDED", "FAILED", "DENIED", "WITHDRAWN",
                "CLOSED" };
        struct sw_fixture *f = ctx;
        const uint64_t *c = ev->type == SW_CONN_PROGRESSED ? ev->delta : ev->total;
        char time[32], proto[8];

        (void)v;
        if (ev->type == SW_CONN_PROGRESSED && !f->trace_progress)
                return 0;
        sw_buf_printf(&f->trace, "%s %s ", put_time(ev->time, time), types[ev->type]);
        put_end(&f->trace, &ev->first.src, ev->first.sport);
        sw_buf_putc(&f->trace, '>');
        put_end(&f->trace, &ev->first.dst, ev->first.dport);
        sw_buf_printf(&f->trace, "/%s %s %s", sw_proto_text(ev->first.proto, proto), sw_service_text(ev->service),
                sw_outcome_text(ev->outcome));
        if (c[0] || c[1] || c[2] || c[3])
                sw_buf_printf(&f->trace, " %llu/%llu/%llu/%llu", (unsigned long long)c[0], (unsigned long long)c[1],
                        (unsigned long long)c[2], (unsigned long long)c[3]);
        if (ev->late)
                sw_buf_puts(&f->trace, " late");
        if (ev->learning)
                sw_buf_puts(&f->trace, " learning");
        if (ev->tainted)
                sw_buf_puts(&f->trace, " tainted");
        if (ev->first.reversed)
                sw_buf_puts(&f->trace, " reversed");
        sw_buf_putc(&f->trace, '\n');
        return 0;
}

static int trace_signal(void *ctx, const struct sw_view *v, const struct sw_signal *s)
{
        struct sw_fixture *f = ctx;
        const struct sw_host *actor = sw_view_host(v, s->actor), *target;
        char time[32], addr[SW_ADDR_TEXT];
        uint32_t i;

        if (!f->trace_signals)
                return 0;
        sw_buf_printf(&f->trace, "%s SIGNAL %s %s >", put_time(s->time, time), sw_detectors[s->detector]->name,
                actor ? sw_addr_format(&actor->addr, addr) : "-");
        for (i = 0; i < s->n_targets; i++) {
                target = sw_view_host(v, s->targets[i]);
                sw_buf_printf(&f->trace, " %s", target ? sw_addr_format(&target->addr, addr) : "-");
        }
        sw_buf_printf(&f->trace, " %llu/%llu\n", (unsigned long long)s->value, (unsigned long long)s->threshold);
        return 0;
}

void sw_fixture_init(struct sw_fixture *f)
{
        *f = (struct sw_fixture){ .seed = { 1, 2 }, .batch = SW_BATCH_NULL, .trace_progress = true };
        sw_core_conf_default(&f->conf);
        f->conf.learning_ms = 0;
        f->conf.ahead_ms = 1000 * SW_DAY;
        f->conf.write_signals = true;
}

void sw_fixture_deinit(struct sw_fixture *f)
{
        sw_engine_free(f->engine);
        sw_actions_deinit(&f->actions);
        sw_batch_deinit(&f->batch);
        sw_buf_deinit(&f->trace);
}

static void fixture_step(struct sw_fixture *f, const struct sw_event *ev)
{
        const struct sw_engine_tap tap = { trace_event, trace_signal, f };
        struct sw_err err = SW_ERR_NULL;

        if (!f->engine) {
                cr_assert_eq(sw_engine_new(&f->conf, &f->seed, &f->engine, &err), 0, "%s", err.msg);
                sw_engine_set_tap(f->engine, &tap);
        }
        f->result = sw_engine_step(f->engine, ev, &f->actions);
        cr_assert_eq(f->result, 0, "step: %s", sw_error_text(f->result));
}

static void fixture_release(struct sw_fixture *f, struct sw_etime watermark)
{
        const struct sw_event ev = { .type = SW_EVENT_RELEASE,
                .release = { .watermark = watermark, .wall = SW_ETIME_NONE } };

        fixture_step(f, &ev);
}

static void parse_end(const char *text, struct sw_addr *ret_addr, uint16_t *ret_port)
{
        const char *colon = strrchr(text, ':');
        struct sw_str host;
        uint64_t port;

        cr_assert(colon, "end point: %s", text);
        host = (struct sw_str){ text, (size_t)(colon - text) };
        if (host.n > 2 && host.p[0] == '[')
                host = (struct sw_str){ host.p + 1, host.n - 2 };
        cr_assert(sw_addr_parse(host, ret_addr), "address: %s", text);
        cr_assert(sw_parse_u64(sw_str_of(colon + 1), &port) && port <= UINT16_MAX, "port: %s", text);
        *ret_port = (uint16_t)port;
}

static void parse_counters(const char *text, struct sw_tuple *t)
{
        char *end;
        int i;

        if (strcmp(text, "-") == 0)
                return;
        for (i = 0; i < SW_N_COUNTERS; i++) {
                t->counters[i] = strtoull(text, &end, 10);
                cr_assert(end != text && *end == (i < 3 ? '/' : '\0'), "counters: %s", text);
                text = end + 1;
        }
        t->counters_present = 0xf;
}

static uint64_t mac_of(const struct sw_addr *a)
{
        uint64_t mac = 0x02;
        int i;

        for (i = 11; i < 16; i++)
                mac = mac << 8 | a->b[i];
        return mac;
}

static struct sw_str kept(struct sw_fixture *f, const char *text)
{
        return (struct sw_str){ sw_arena_copy(&f->batch.arena, text, strlen(text)), strlen(text) };
}

static void parse_key(struct sw_fixture *f, char *word, struct sw_record *r, struct sw_rule *rule, uint32_t *partition)
{
        char *value = strchr(word, '=');
        struct sw_tuple *t = &f->batch.tuples[0];

        cr_assert(value, "word: %s", word);
        *value++ = '\0';
        if (strcmp(word, "nic") == 0)
                r->mac = strtoull(value, NULL, 10);
        else if (strcmp(word, "log") == 0)
                r->flow_log = kept(f, value);
        else if (strcmp(word, "target") == 0)
                r->target = kept(f, value);
        else if (strcmp(word, "acl") == 0)
                rule->acl = kept(f, value);
        else if (strcmp(word, "rule") == 0)
                rule->name = kept(f, value);
        else if (strcmp(word, "enc") == 0)
                t->encryption = (uint8_t)sw_encryption_parse(sw_str_of(value));
        else if (strcmp(word, "rec") == 0)
                r->fingerprint.hi = strtoull(value, NULL, 10) + 1;
        else if (strcmp(word, "at") == 0)
                r->time = sw_fixture_time(value);
        else if (strcmp(word, "part") == 0)
                *partition = (uint32_t)strtoul(value, NULL, 10);
        else
                cr_assert_fail("key: %s", word);
}

static void feed_tuple(struct sw_fixture *f, char **words, unsigned n)
{
        static const char states[] = "BCED";
        struct sw_event ev = { .type = SW_EVENT_BATCH, .batch = { .batch = &f->batch, .carrier = SW_ETIME_NONE } };
        struct sw_record *r;
        struct sw_rule *rule;
        struct sw_tuple *t;
        const char *state;
        unsigned i;

        cr_assert_geq(n, 6, "a tuple has at least six words: %s", words[0]);
        sw_batch_reset(&f->batch);
        r = sw_batch_add_record(&f->batch);
        t = sw_batch_add_tuple(&f->batch);
        rule = sw_batch_add_rule(&f->batch);
        t->time = sw_fixture_time(words[0]);
        cr_assert(strcmp(words[1], "I") == 0 || strcmp(words[1], "O") == 0, "direction: %s", words[1]);
        t->direction = words[1][0] == 'O' ? SW_OUTBOUND : SW_INBOUND;
        state = words[2][0] == 'S' ? states : strchr(states, words[2][0]);
        cr_assert(state && *state, "state: %s", words[2]);
        t->state = (uint8_t)(state - states);
        t->flags = words[2][0] == 'S' ? SW_TUPLE_STATELESS : 0;
        t->proto = strcmp(words[3], "tcp") == 0    ? SW_PROTO_TCP
                   : strcmp(words[3], "udp") == 0  ? SW_PROTO_UDP
                   : strcmp(words[3], "icmp") == 0 ? SW_PROTO_ICMP
                                                   : (uint8_t)atoi(words[3]);
        parse_end(words[4], &t->src, &t->sport);
        parse_end(words[5], &t->dst, &t->dport);
        r->kind = SW_KIND_VNET;
        r->time = t->time;
        r->n_tuples = 1;
        r->flow_log = SW_STR("/flowlogs/test");
        r->mac = mac_of(t->direction == SW_OUTBOUND ? &t->src : &t->dst);
        r->fingerprint.lo = ++f->n_records;
        for (i = 6; i < n; i++) {
                if (i == 6 && !strchr(words[i], '='))
                        parse_counters(words[i], t);
                else
                        parse_key(f, words[i], r, rule, &ev.batch.partition);
        }
        if (r->fingerprint.hi)
                r->fingerprint.lo = 0;
        f->batch.newest = t->time;
        f->batch.stats.messages = 1;
        fixture_step(f, &ev);
}

static void feed_line(struct sw_fixture *f, char *line)
{
        char *words[24], *save, *w;
        unsigned n = 0;

        for (w = strtok_r(line, " \t", &save); w && n < 24; w = strtok_r(NULL, " \t", &save))
                words[n++] = w;
        if (n == 0 || words[0][0] == '#')
                return;
        if (strcmp(words[0], "release") == 0) {
                cr_assert_eq(n, 2);
                fixture_release(f, sw_fixture_time(words[1]));
        } else if (strcmp(words[0], "final") == 0) {
                struct sw_etime newest = SW_ETIME_NONE;
                uint32_t p;

                for (p = 0; p < 64; p++)
                        newest = sw_etime_max(newest, sw_engine_newest(f->engine, p));
                fixture_release(f, newest);
        } else {
                feed_tuple(f, words, n);
        }
}

void sw_fixture_run(struct sw_fixture *f, const char *story)
{
        char *text = strdup(story), *save, *line;

        for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
                feed_line(f, line);
        free(text);
}

void sw_fixture_line(struct sw_fixture *f, const char *fmt, ...)
{
        char line[512];
        va_list ap;

        va_start(ap, fmt);
        (void)vsnprintf(line, sizeof(line), fmt, ap);
        va_end(ap);
        feed_line(f, line);
}

const char *sw_fixture_trace(struct sw_fixture *f)
{
        sw_buf_putc(&f->trace, '\0');
        sw_buf_reset(&f->trace);
        return f->trace.p;
}

unsigned sw_fixture_count(const struct sw_fixture *f, const char *word)
{
        const char *p = f->trace.p, *end = p + f->trace.n;
        size_t n = strlen(word);
        unsigned count = 0;

        while (p && p < end) {
                const char *eol = memchr(p, '\n', (size_t)(end - p));
                size_t len = (size_t)((eol ? eol : end) - p);

                count += memmem(p, len, word, n) != NULL;
                p = eol ? eol + 1 : end;
        }
        return count;
}

struct sw_engine_stats sw_fixture_stats(const struct sw_fixture *f)
{
        return sw_engine_stats(f->engine);
}

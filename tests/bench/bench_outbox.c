/* SPDX-License-Identifier: Apache-2.0 */
/* What findings cost the reading of flow logs: the Kafka path of `segwatch run` (as bench_pipeline) beside what happens
 * to findings: outbox, alert file, outputs. In turns it is left alone and ROWS findings a second are put into the
 * outbox, as the engine's thread puts them: through the writer, some every 50 ms. The topic "bench" is read again and
 * again, each time by a new engine.
 *
 *   bench_outbox CONFIG BROKERS MESSAGES FINDINGS DIR SECONDS ROUNDS ROWS
 *
 * CONFIG has `outputs:`; FINDINGS is a file of OCSF lines, sent with ids and times of their own; DIR an empty folder;
 * SECONDS the length of a turn. Prints a line for each turn:
 *   without|with BYTES NANOSECONDS CPU_NANOSECONDS   of reading, whole passes
 * and at the end
 *   outbox ROWS UNSENT_AT_ONCE UNSENT_AFTER_A_MINUTE NANOSECONDS_UNTIL_SENT DELIVERED ALERT_LINES
 * The sinks have a loop of their own here; in the daemon they share the one of the sources. */
#include "base/alloc.h"
#include "base/json.h"
#include "conf.h"
#include "conf_outputs.h"
#include "consumer.h"
#include "loop.h"
#include "outputs.h"
#include "sink/alert_export.h"
#include "state/outbox_writer.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FEED_MS = 50, TEMPLATES_MAX = 4096, MINUTE_S = 60 };
#define NS INT64_C(1000000000)

struct template
{
        char *text;
        size_t n;
        char *uid, *logged; /* in it: 32 digits; 13 digits or NULL */
        uint8_t severity;
};

struct bench {
        /* findings */
        struct sw_conf conf;
        struct sw_log *log;
        struct sw_outbox *outbox;
        struct sw_outbox_writer *writer;
        struct sw_alert_export *alerts;
        struct sw_outputs *outputs;
        struct sw_loop *sink_loop;
        struct sw_watch *sink_wake, *sink_end;
        struct template templates[TEMPLATES_MAX];
        unsigned n_templates;
        pthread_t feeder, sinks;
        atomic_bool feeding, leaving, failed;
        atomic_ullong n_rows;
        unsigned rows_per_s;
        /* one pass over the topic */
        struct sw_core_conf core;
        const char *brokers;
        unsigned long n_wanted;
};

static int bench_fail(struct bench *b, const char *what)
{
        fprintf(stderr, "bench_outbox: %s\n", what);
        atomic_store(&b->failed, true);
        return 1;
}

static void bench_pass(struct bench *b, struct consumer_pass *sum)
{
        struct consumer_pass pass = { 0 };
        struct sw_err err = SW_ERR_NULL;

        if (consumer_pass(&b->core, b->brokers, b->n_wanted, b->log, &pass, &err) < 0) {
                bench_fail(b, err.msg);
                return;
        }
        sum->bytes += pass.bytes;
        sum->ns += pass.ns;
        sum->cpu_ns += pass.cpu_ns;
}

/* ---- findings ---- */

static bool bench_template(struct bench *b, const char *line, size_t n)
{
        struct template *t = &b->templates[b->n_templates];
        struct sw_json *j = sw_json_parse((struct sw_str){ line, n });
        struct sw_str uid = sw_json_str(sw_json_at(j, "metadata.uid"));
        int64_t severity = 1, logged = 0;
        char text[40] = "";

        if (uid.n == 32 && b->n_templates < TEMPLATES_MAX) {
                (void)sw_json_i64(sw_json_get(j, "severity_id"), &severity);
                (void)sw_json_i64(sw_json_at(j, "metadata.logged_time"), &logged);
                t->text = sw_alloc(n + 1);
                t->n = n;
                t->severity = (uint8_t)severity;
                if (t->text) {
                        memcpy(t->text, line, n);
                        t->text[n] = '\0';
                }
                memcpy(text, uid.p, 32);
                t->uid = t->text ? strstr(t->text, text) : NULL;
                (void)snprintf(text, sizeof(text), "\"logged_time\":%lld", (long long)logged);
                t->logged = t->text ? strstr(t->text, text) : NULL;
                t->logged = t->logged ? t->logged + strlen("\"logged_time\":") : NULL;
                b->n_templates += t->uid != NULL;
        }
        sw_json_free(j);
        return t->uid != NULL;
}

static int bench_read_templates(struct bench *b, const char *path)
{
        FILE *f = fopen(path, "r");
        char *line = NULL;
        size_t cap = 0;
        ssize_t n;

        while (f && (n = getline(&line, &cap, f)) > 0)
                (void)bench_template(b, line, (size_t)n - (line[n - 1] == '\n'));
        free(line);
        if (f)
                fclose(f);
        return b->n_templates ? 0 : bench_fail(b, "no findings to send");
}

static int feed_some(struct bench *b, struct sw_lines *lines, unsigned n)
{
        int64_t wall = consumer_now_ns(CLOCK_REALTIME) / 1000000;
        char uid[33], logged[16];
        unsigned i;
        int r = 0;

        sw_lines_reset(lines);
        for (i = 0; i < n && r == 0; i++) {
                unsigned long long number = atomic_fetch_add(&b->n_rows, 1);
                struct template *t = &b->templates[number % b->n_templates];
                size_t from = lines->text.n;

                /* spread as ids are */
                (void)snprintf(uid, sizeof(uid), "%016llx%016llx", number * 0x9e3779b97f4a7c15ULL, number);
                (void)snprintf(logged, sizeof(logged), "%013lld", (long long)wall);
                memcpy(t->uid, uid, 32);
                if (t->logged)
                        memcpy(t->logged, logged, 13);
                sw_buf_put(&lines->text, t->text, t->n);
                r = sw_lines_add(lines, from, t->severity, uid);
        }
        return r == 0 ? sw_outbox_writer_put(b->writer, NULL, lines, NULL) : r;
}

static void *feed_main(void *arg)
{
        struct bench *b = arg;
        struct sw_lines lines = { 0 };
        int64_t next = consumer_now_ns(CLOCK_MONOTONIC);

        while (!atomic_load(&b->leaving)) {
                struct timespec until;

                next += FEED_MS * (NS / 1000);
                until = (struct timespec){ next / NS, next % NS };
                (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
                if (atomic_load(&b->feeding) && feed_some(b, &lines, b->rows_per_s * FEED_MS / 1000) < 0)
                        bench_fail(b, "the outbox takes nothing");
        }
        sw_lines_deinit(&lines);
        return NULL;
}

static void sinks_on_wake(void *ctx)
{
        sw_outputs_wake(((struct bench *)ctx)->outputs);
}

static void sinks_on_end(void *ctx)
{
        struct bench *b = ctx;

        sw_outputs_stop(b->outputs);
        sw_loop_stop(b->sink_loop);
}

static void *sinks_main(void *arg)
{
        struct bench *b = arg;

        sw_loop_run(b->sink_loop);
        return NULL;
}

static void sinks_on_commit(void *ctx)
{
        struct bench *b = ctx;

        sw_alert_export_wake(b->alerts);
        sw_watch_wake(b->sink_wake);
}

static void sinks_on_fatal(void *ctx, int code, const char *what)
{
        (void)code;
        bench_fail(ctx, what);
}

static void alerts_on_fail(void *ctx, int r)
{
        bench_fail(ctx, sw_error_text(r));
}

static int bench_open(struct bench *b, const char *dir, struct sw_err *err)
{
        const struct sw_outbox_conf box = {
                .dir = dir, .max_bytes = b->conf.state.retention.size, .max_age_ms = b->conf.state.retention.age_ms
        };
        struct sw_outputs_conf outputs = { .conf = &b->conf, .log = b->log, .on_fatal = sinks_on_fatal, .ctx = b };
        struct sw_outbox_writer_conf writer = { .on_commit = sinks_on_commit, .on_fail = alerts_on_fail, .ctx = b };
        struct sw_alert_export_conf alerts = { .rotate_bytes = b->conf.alerts.rotate.size,
                .keep = (unsigned)b->conf.alerts.rotate.keep,
                .on_fail = alerts_on_fail,
                .ctx = b };
        char path[512];
        int r = sw_outbox_open(&box, b->log, &b->outbox, err);

        (void)snprintf(path, sizeof(path), "%s/alerts.jsonl", dir);
        alerts.path = path;
        alerts.outbox = outputs.outbox = writer.outbox = b->outbox;
        if (r == 0)
                r = sw_alert_export_new(&alerts, b->log, &b->alerts, err);
        if (r == 0)
                r = sw_loop_new(&b->sink_loop);
        outputs.loop = b->sink_loop;
        if (r == 0)
                r = sw_outputs_new(&outputs, &b->outputs, err);
        if (r == 0)
                r = sw_loop_wakeable(b->sink_loop, sinks_on_wake, b, &b->sink_wake);
        if (r == 0)
                r = sw_loop_wakeable(b->sink_loop, sinks_on_end, b, &b->sink_end);
        if (r == 0)
                r = sw_outputs_start(b->outputs);
        if (r == 0)
                r = sw_outbox_writer_new(&writer, &b->writer);
        if (r == 0 && (pthread_create(&b->sinks, NULL, sinks_main, b) != 0 ||
                              pthread_create(&b->feeder, NULL, feed_main, b) != 0))
                r = -SW_ERR_NOMEM;
        return r;
}

static void bench_close(struct bench *b)
{
        unsigned i;

        atomic_store(&b->leaving, true);
        pthread_join(b->feeder, NULL);
        b->writer = sw_outbox_writer_free(b->writer);
        sw_watch_wake(b->sink_end);
        pthread_join(b->sinks, NULL);
        sw_loop_free(b->sink_loop);
        sw_outputs_free(b->outputs);
        sw_alert_export_free(b->alerts);
        sw_outbox_close(b->outbox);
        for (i = 0; i < b->n_templates; i++)
                sw_free(b->templates[i].text);
}

/* Rows that some output still wants. */
static uint64_t bench_unsent(struct bench *b)
{
        struct sw_outbox_sink_stats s;
        uint64_t n = 0;
        uint32_t i;

        for (i = 0; i < sw_outputs_n(b->outputs); i++)
                if (sw_outbox_sink_stats(b->outbox, sw_outputs_row(b->outputs, i)->name, &s) == 0)
                        n += s.rows;
        return n;
}

/* ---- turns ---- */

static void bench_turn(struct bench *b, bool with, int64_t seconds)
{
        int64_t end = consumer_now_ns(CLOCK_MONOTONIC) + seconds * NS;
        struct consumer_pass t = { 0 };

        atomic_store(&b->feeding, with);
        while (consumer_now_ns(CLOCK_MONOTONIC) < end && !atomic_load(&b->failed))
                bench_pass(b, &t);
        atomic_store(&b->feeding, false);
        printf("%s %llu %lld %lld\n", with ? "with" : "without", t.bytes, (long long)t.ns, (long long)t.cpu_ns);
        fflush(stdout);
}

/* What is left when nothing is put any more, so that the next turn has nothing of it. */
static void bench_drain(struct bench *b, uint64_t ret_unsent[2], int64_t *ret_ns)
{
        const struct timespec step = { .tv_nsec = 20000000 };
        int64_t began = consumer_now_ns(CLOCK_MONOTONIC), now;
        uint64_t n;

        (void)sw_outbox_writer_wait(b->writer, sw_outbox_writer_ticket(b->writer));
        n = bench_unsent(b);
        ret_unsent[0] = n > ret_unsent[0] ? n : ret_unsent[0];
        do {
                nanosleep(&step, NULL);
                n = bench_unsent(b);
                now = consumer_now_ns(CLOCK_MONOTONIC);
        } while (n > 0 && now - began < MINUTE_S * NS && !atomic_load(&b->failed));
        ret_unsent[1] = n > ret_unsent[1] ? n : ret_unsent[1];
        *ret_ns = now - began > *ret_ns ? now - began : *ret_ns;
}

static int bench_run(struct bench *b, const char *dir, int64_t seconds, unsigned rounds)
{
        uint64_t unsent[2] = { 0 }, delivered = 0;
        struct sw_err err = SW_ERR_NULL;
        int64_t longest = 0;
        struct consumer_pass warm = { 0 };
        unsigned i;

        if (bench_open(b, dir, &err) != 0)
                return bench_fail(b, err.msg);
        bench_pass(b, &warm);
        for (i = 0; i < rounds && !atomic_load(&b->failed); i++) {
                /* each the first in turn: a machine that gets slower all the time favours nobody */
                bench_turn(b, i % 2, seconds);
                if (i % 2)
                        bench_drain(b, unsent, &longest);
                bench_turn(b, i % 2 == 0, seconds);
                if (i % 2 == 0)
                        bench_drain(b, unsent, &longest);
        }
        sw_alert_export_drain(b->alerts);
        for (i = 0; i < sw_outputs_n(b->outputs); i++)
                delivered += sw_outputs_stats(b->outputs, i).rows;
        printf("outbox %llu %llu %llu %lld %llu %llu\n", (unsigned long long)atomic_load(&b->n_rows),
                (unsigned long long)unsent[0], (unsigned long long)unsent[1], (long long)longest,
                (unsigned long long)delivered, (unsigned long long)sw_alert_export_lines(b->alerts));
        bench_close(b);
        return atomic_load(&b->failed);
}

int main(int argc, char **argv)
{
        static struct sw_conf_report report;
        static struct bench b;
        int r;

        if (argc != 9) {
                fprintf(stderr, "usage: bench_outbox CONFIG BROKERS MESSAGES FINDINGS DIR SECONDS ROUNDS ROWS\n");
                return 64;
        }
        b.brokers = argv[2];
        b.n_wanted = strtoul(argv[3], NULL, 10);
        b.rows_per_s = (unsigned)strtoul(argv[8], NULL, 10);
        if (sw_conf_load(argv[1], false, &b.conf, &report) < 0 ||
                sw_log_new(2, SW_LOG_WARNING, SW_LOG_LOGFMT, &b.log) < 0) {
                sw_conf_report_print(&report);
                return 1;
        }
        sw_conf_core(&b.conf, &b.core);
        r = bench_read_templates(&b, argv[4]);
        if (r == 0)
                r = bench_run(&b, argv[5], atol(argv[6]), (unsigned)strtoul(argv[7], NULL, 10));
        sw_log_free(b.log);
        sw_conf_deinit(&b.conf);
        return r;
}

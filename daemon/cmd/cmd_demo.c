/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"
#include "base/jsonw.h"
#include "clock.h"
#include "cmd/args.h"
#include "cmd/finding_text.h"
#include "cmd/tail_file.h"
#include "demo/demo.h"
#include "term.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEMO_TICK_MS = 100, DEMO_LIMIT_MS = 180000, DEMO_GRACE_MS = 5000, DEMO_PARTITIONS = 16 };

struct demo {
        struct sw_scenario_conf scenario;
        struct sw_scenario *truth;
        const char *keep;
        char dir[PATH_MAX - 64];
        struct sw_demo_child broker, run;
        int facts, alive, signals; /* pipe from the broker, pipe that tells it we live, signalfd */
        struct sw_buf fact;        /* bytes of facts not yet a line */
        struct sw_tail_file tail;
        char alerts[PATH_MAX];
        struct sw_demo_verdict verdict;
        struct sw_finding_style style;
        struct sw_buf out;
        struct sw_mono began, started, first_finding, done_at;
        unsigned long long messages, records, tuples, bytes;
        bool progress; /* on a terminal */
        bool done, failed, interrupted;
};

static int demo_fail(struct demo *d, const char *what, const char *why)
{
        fprintf(stderr, "%ssegwatch demo: %s: %s\n", d->progress ? "\r\x1b[K" : "", what, why);
        d->failed = true;
        return -1;
}

static void demo_flush(struct demo *d)
{
        if (d->progress && d->out.n)
                fputs("\r\x1b[K", stderr);
        fwrite(d->out.p, 1, d->out.n, stdout);
        fflush(stdout);
        sw_buf_reset(&d->out);
}

static int demo_make_dir(struct demo *d)
{
        char path[] = "/tmp/segwatch-demo-XXXXXX", real[PATH_MAX];

        if (!d->keep) {
                if (!mkdtemp(path))
                        return demo_fail(d, path, strerror(errno));
        } else if (mkdir(d->keep, 0755) < 0)
                return demo_fail(d, d->keep, errno == EEXIST ? "is there already; name a new folder" : strerror(errno));
        if (!realpath(d->keep ? d->keep : path, real) || strlen(real) >= sizeof(d->dir))
                return demo_fail(d, "folder", "its path is too long");
        strcpy(d->dir, real);
        return 0;
}

static int demo_write(struct demo *d, const char *name, struct sw_buf *b)
{
        char path[PATH_MAX];
        FILE *f;
        bool ok;

        snprintf(path, sizeof(path), "%s/%s", d->dir, name);
        f = fopen(path, "w");
        ok = f && !b->failed && fwrite(b->p, 1, b->n, f) == b->n;
        if (f && fclose(f) != 0)
                ok = false;
        sw_buf_deinit(b);
        return ok ? 0 : demo_fail(d, path, strerror(errno));
}

static void demo_path(const struct demo *d, struct sw_buf *out, const char *name)
{
        char path[PATH_MAX];
        struct sw_jsonw w = sw_jsonw_start(out);

        snprintf(path, sizeof(path), "%s/%s", d->dir, name);
        sw_jsonw_text(&w, path); /* a JSON string is a YAML one */
}

static int demo_write_config(struct demo *d, const char *brokers)
{
        struct sw_buf b = SW_BUF_NULL;

        sw_buf_puts(&b, "# The network that `segwatch demo` made up, and its embedded broker.\nsources:\n");
        sw_buf_printf(&b,
                "  - {name: demo, kind: kafka, brokers: [\"%s\"], topic: " SW_DEMO_TOPIC ", start: earliest}\n",
                brokers);
        sw_buf_puts(&b, "alerts: {file: ");
        demo_path(d, &b, "alerts.jsonl");
        sw_buf_puts(&b, "}\nstate: {dir: ");
        demo_path(d, &b, "state");
        sw_buf_puts(&b, ", checkpoint: 1s}\n"); /* how far it is shows in the group's offsets, which follow it */
        sw_buf_puts(&b, "admin: {socket: none, http: none}\n"); /* a real one may listen there */
        sw_scenario_config(d->truth, &b);
        return demo_write(d, "segwatch.yaml", &b);
}

static int demo_write_truth(struct demo *d)
{
        struct sw_buf b = SW_BUF_NULL;

        sw_scenario_truth(d->truth, &b);
        sw_buf_putc(&b, '\n');
        return demo_write(d, "truth.json", &b);
}

static int demo_start_broker(struct demo *d)
{
        int facts[2], alive[2], r;
        char keep[PATH_MAX];

        if (pipe2(facts, O_CLOEXEC) < 0 || pipe2(alive, O_CLOEXEC) < 0)
                return demo_fail(d, "pipe", strerror(errno));
        snprintf(keep, sizeof(keep), "%s/messages.ndjson", d->dir);
        r = sw_demo_fork(&d->broker);
        if (r < 0)
                return demo_fail(d, "fork", strerror(errno));
        if (r == 0) {
                struct sw_demo_broker_conf conf = {
                        .scenario = d->scenario, .keep = d->keep ? keep : NULL, .out = facts[1], .alive = alive[0]
                };

                close(facts[0]);
                close(alive[1]);
                sw_demo_broker(&conf);
        }
        close(facts[1]);
        close(alive[0]);
        d->facts = facts[0];
        d->alive = alive[1];
        return 0;
}

/* A real daemon: this program, the verb `run`, a configuration file, its log in a file. */
static int demo_start_daemon(struct demo *d)
{
        char config[PATH_MAX], log[PATH_MAX];
        int r, fd, null;

        snprintf(config, sizeof(config), "%s/segwatch.yaml", d->dir);
        snprintf(log, sizeof(log), "%s/segwatch.log", d->dir);
        r = sw_demo_fork(&d->run);
        if (r < 0)
                return demo_fail(d, "fork", strerror(errno));
        if (r == 0) {
                fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0644);
                null = open("/dev/null", O_RDWR);
                if (fd < 0 || null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(fd, 2) < 0)
                        _exit(126);
                execl("/proc/self/exe", "segwatch", "run", "-c", config, (char *)NULL);
                _exit(127);
        }
        d->started = sw_clock_mono();
        return 0;
}

static void demo_progress(struct demo *d, long long done, long long all)
{
        if (d->progress && all > 0)
                fprintf(stderr, "\r\x1b[K  %lld %% of the topic read", done * 100 / all);
}

static int demo_fact(struct demo *d, const char *line)
{
        char brokers[128];
        long long done, all;

        if (sscanf(line, "brokers %127s", brokers) == 1)
                return demo_write_config(d, brokers);
        if (sscanf(line, "filled %llu %llu %llu %llu", &d->messages, &d->records, &d->tuples, &d->bytes) == 4) {
                sw_buf_printf(&d->out,
                        "Broker   %llu messages with %llu flow tuples, %llu h of a network of %u hosts, %llu MB of "
                        "JSON,\n"
                        "         are in topic " SW_DEMO_TOPIC " of an embedded Kafka broker.\n"
                        "Daemon   segwatch run reads them over the Kafka protocol. Findings:\n\n",
                        d->messages, d->tuples, (unsigned long long)d->scenario.minutes / 60,
                        sw_scenario_stats(d->truth).n_hosts, d->bytes / 1000000);
                demo_flush(d);
                return demo_start_daemon(d);
        }
        if (sscanf(line, "progress %lld %lld", &done, &all) == 2)
                demo_progress(d, done, all);
        else if (strcmp(line, "done") == 0)
                d->done = true;
        else if (strncmp(line, "error ", 6) == 0)
                return demo_fail(d, "broker", line + 6);
        return 0;
}

static int demo_facts(struct demo *d)
{
        char chunk[1024], *newline;
        ssize_t n = read(d->facts, chunk, sizeof(chunk));
        int r = 0;

        if (n == 0)
                return demo_fail(d, "broker", "has gone");
        if (n < 0)
                return errno == EINTR || errno == EAGAIN ? 0 : demo_fail(d, "broker", strerror(errno));
        sw_buf_put(&d->fact, chunk, (size_t)n);
        while (r == 0 && d->fact.n && (newline = memchr(d->fact.p, '\n', d->fact.n))) {
                size_t len = (size_t)(newline - d->fact.p) + 1;

                *newline = '\0';
                r = demo_fact(d, d->fact.p);
                memmove(d->fact.p, d->fact.p + len, d->fact.n - len);
                d->fact.n -= len;
        }
        return r;
}

static int demo_finding(void *ctx, struct sw_str line)
{
        struct demo *d = ctx;

        if (!line.n)
                return 0;
        if (!d->first_finding.ms)
                d->first_finding = sw_clock_mono();
        sw_buf_puts(&d->out, "  ");
        sw_finding_line(&d->out, line, &d->style);
        return sw_demo_verdict_add(&d->verdict, line);
}

static int demo_read_alerts(struct demo *d)
{
        int r;

        if (d->tail.fd < 0 && (access(d->alerts, R_OK) < 0 || sw_tail_file_open(&d->tail, d->alerts, 0) < 0))
                return 0; /* not there yet */
        r = sw_tail_file_follow(&d->tail, demo_finding, d);
        demo_flush(d);
        return r < 0 ? demo_fail(d, d->alerts, "cannot be read") : 0;
}

/* The last lines of the daemon's log say why it ended. */
static void demo_show_log(const struct demo *d)
{
        char path[PATH_MAX], text[2048];
        FILE *f;
        size_t n;

        snprintf(path, sizeof(path), "%s/segwatch.log", d->dir);
        f = fopen(path, "r");
        if (!f)
                return;
        if (fseek(f, -(long)sizeof(text), SEEK_END) < 0)
                rewind(f);
        n = fread(text, 1, sizeof(text), f);
        fclose(f);
        fwrite(text, 1, n, stderr);
}

static int demo_loop(struct demo *d)
{
        struct pollfd fds[2] = { { .fd = d->facts, .events = POLLIN }, { .fd = d->signals, .events = POLLIN } };

        while (!d->done) {
                if (poll(fds, 2, DEMO_TICK_MS) < 0 && errno != EINTR)
                        return demo_fail(d, "poll", strerror(errno));
                if (fds[1].revents) {
                        d->interrupted = true;
                        return -1;
                }
                if (fds[0].revents && demo_facts(d) < 0)
                        return -1;
                if (demo_read_alerts(d) < 0)
                        return -1;
                if (d->run.pid && sw_demo_child_ended(&d->run)) {
                        demo_show_log(d);
                        return demo_fail(d, "segwatch run", "ended before the topic was read; its log is above");
                }
                if (sw_clock_mono().ms - d->began.ms > DEMO_LIMIT_MS)
                        return demo_fail(d, "segwatch run", "has not read the topic within 3 minutes");
        }
        d->done_at = sw_clock_mono();
        sw_demo_child_stop(&d->run, DEMO_GRACE_MS);
        return demo_read_alerts(d);
}

static void demo_next_steps(struct demo *d)
{
        struct sw_buf *o = &d->out;

        sw_buf_puts(o, "\nWhat to do next\n");
        if (d->keep) {
                sw_buf_printf(o, "  read the findings again        segwatch tail --last 100 %s\n", d->alerts);
                sw_buf_printf(o,
                        "  the same from files            segwatch replay -c %s/segwatch.yaml %s/messages.ndjson\n",
                        d->dir, d->dir);
                sw_buf_printf(o, "  what was hidden, as JSON       %s/truth.json\n", d->dir);
                sw_buf_puts(o, "  change a threshold in segwatch.yaml, replay, and see what changes\n");
        } else
                sw_buf_puts(o, "  keep messages and findings     segwatch demo --keep DIR\n");
        sw_buf_puts(o, "  your own logs, from files      segwatch replay PATH...  (PT1H.json blobs, folders, NDJSON)\n"
                       "  your own Event Hub             segwatch run -c FILE  (segwatch check -c FILE first)\n");
}

static bool demo_summary(struct demo *d)
{
        bool complete = sw_demo_verdict_complete(&d->verdict);
        uint32_t n_false = sw_demo_verdict_false(&d->verdict);
        int64_t took = d->done_at.ms - d->started.ms; /* since the daemon was started */
        int64_t first = d->first_finding.ms ? d->first_finding.ms - d->started.ms : 0;
        struct sw_buf *o = &d->out;

        sw_buf_putc(o, '\n');
        sw_demo_verdict_print(&d->verdict, o);
        sw_buf_printf(o,
                "\nProcessed %llu messages, %llu records, %llu tuples, %u h of event time, in %lld.%lld s"
                " (first finding after %lld.%lld s)\n",
                d->messages, d->records, d->tuples, d->scenario.minutes / 60, (long long)(took / 1000),
                (long long)(took % 1000 / 100), (long long)(first / 1000), (long long)(first % 1000 / 100));
        demo_next_steps(d);
        sw_buf_printf(o, "\n%s: the attack was %s, %u false finding%s\n", complete && n_false <= 1 ? "PASS" : "FAIL",
                complete ? "found completely, as one incident" : "not found completely as one incident", n_false,
                n_false == 1 ? "" : "s");
        demo_flush(d);
        return complete && n_false <= 1;
}

static int demo_prepare(struct demo *d)
{
        struct sw_err err = SW_ERR_NULL;
        sigset_t set;

        sigemptyset(&set);
        sigaddset(&set, SIGINT);
        sigaddset(&set, SIGTERM);
        sigaddset(&set, SIGHUP);
        sigprocmask(SIG_BLOCK, &set, NULL);
        signal(SIGPIPE, SIG_IGN);
        d->signals = signalfd(-1, &set, SFD_CLOEXEC);
        if (d->signals < 0)
                return demo_fail(d, "signalfd", strerror(errno));
        if (sw_scenario_new(&d->scenario, &d->truth, &err) < 0)
                return demo_fail(d, "scenario", err.msg);
        sw_demo_verdict_init(&d->verdict, d->truth);
        if (demo_make_dir(d) < 0)
                return -1;
        snprintf(d->alerts, sizeof(d->alerts), "%s/alerts.jsonl", d->dir);
        return demo_write_truth(d);
}

static void demo_close(struct demo *d)
{
        if (d->alive >= 0)
                close(d->alive);
        if (d->facts >= 0)
                close(d->facts);
        sw_demo_child_stop(&d->run, DEMO_GRACE_MS);
        sw_demo_child_stop(&d->broker, DEMO_GRACE_MS);
        if (d->signals >= 0)
                close(d->signals);
        sw_tail_file_close(&d->tail);
        sw_demo_verdict_deinit(&d->verdict);
        sw_scenario_free(d->truth);
        sw_buf_deinit(&d->out);
        sw_buf_deinit(&d->fact);
        if (d->dir[0] && !d->keep)
                sw_demo_remove(d->dir);
}

enum { DEMO_KEEP = SW_CMD_LONG, DEMO_SEED, DEMO_FAST };

static const struct sw_cmd_opt demo_opts[] = {
        { "keep", DEMO_KEEP, "DIR", "leave messages, configuration, findings and truth in a new folder" },
        { "seed", DEMO_SEED, "N", "another network and another attack; default 1" },
        { "fast", DEMO_FAST, NULL, "a network of 100 hosts instead of 300" },
        { 0 },
};

static int demo_options(struct demo *d, int argc, char **argv)
{
        struct sw_cmd_args a;
        int c;

        sw_cmd_args_init(&a, &sw_cmd_demo, argc, argv);
        while ((c = sw_cmd_args_next(&a)) > 0) {
                switch (c) {
                case DEMO_KEEP:
                        d->keep = a.value;
                        break;
                case DEMO_SEED:
                        if (!sw_parse_u64(sw_str_of(a.value), &d->scenario.seed))
                                return sw_cmd_args_bad_value(&a, c, "a number");
                        break;
                case DEMO_FAST:
                        d->scenario.n_hosts = 100;
                        break;
                }
        }
        if (c < 0)
                return SW_EXIT_USAGE;
        if (a.n_rest > 0)
                return sw_cmd_usage(&sw_cmd_demo, "unexpected argument '%s'", a.rest[0]);
        return 0;
}

static int demo_run(int argc, char **argv)
{
        struct demo d = {
                .scenario = sw_scenario_default(), .facts = -1, .alive = -1, .signals = -1, .tail = SW_TAIL_FILE_NULL
        };
        int r;

        d.scenario.attacks = "full";
        d.scenario.n_partitions = DEMO_PARTITIONS;
        r = demo_options(&d, argc, argv);
        if (r)
                return r;
        d.style.color = sw_color_wanted(SW_COLOR_AUTO, STDOUT_FILENO);
        d.style.terminal = sw_term_is(STDOUT_FILENO);
        d.progress = sw_term_is(STDERR_FILENO) && d.style.terminal;
        d.began = sw_clock_mono();
        r = SW_EXIT_FAILURE;
        if (demo_prepare(&d) == 0 && demo_start_broker(&d) == 0 && demo_loop(&d) == 0 && demo_summary(&d))
                r = SW_EXIT_OK;
        if (d.interrupted)
                fprintf(stderr, "%ssegwatch demo: interrupted; everything is cleaned up\n",
                        d.progress ? "\r\x1b[K" : "");
        demo_close(&d);
        return r;
}

const struct sw_cmd sw_cmd_demo = {
        .name = "demo",
        .args = "[--keep DIR] [--seed N] [--fast]",
        .summary = "show an attack being found in a Kafka stream; needs nothing but this program",
        .about =
                "Starts a broker of its own on the loopback interface, writes 30 h of a made-up network's flow logs "
                "into it, "
                "with an attack in the last hours, and a real daemon that reads them. Prints the findings as they come "
                "and then what was hidden and what was found.",
        .options = demo_opts,
        .notes = "Exit 0: the attack was found completely, as one incident, with at most one false finding.",
        .examples = "segwatch demo\n"
                    "segwatch demo --keep /tmp/demo && segwatch replay -c /tmp/demo/segwatch.yaml "
                    "/tmp/demo/messages.ndjson\n",
        .run = demo_run,
};

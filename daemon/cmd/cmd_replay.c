/* SPDX-License-Identifier: Apache-2.0 */
/* The engine over files: time from the records, findings on stdout, byte-identical from run to run. */
#include "cmd/args.h"
#include "cmd/summary.h"
#include "conf.h"
#include "engine/snapshot.h"
#include "pipeline.h"
#include "quarantine.h"
#include "source/source_file.h"
#include "state/learned.h"
#include "state/snapshots.h"
#include "term.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* Waits between threads: about one piece for each. What is read should still be in the cache when it is decoded, and
 * what is decoded when it is folded; more gains nothing, since a file does not keep anybody waiting. */
#define QUEUE_BYTES ((size_t)256 << 10)

#define SHOWN_ERRORS 10u
#define MAX_WORKERS 64u

struct replay_options {
        const char *config, *summary, *signals, *suppressed, *quarantine, *save, *load;
        unsigned n_workers;
        bool quiet, reference;
        char **paths;
        int n_paths;
};

struct replay {
        struct replay_options o;
        struct sw_conf conf;
        struct sw_core_conf core;
        struct sw_files *files;
        struct sw_pipeline *pipeline;
        struct sw_engine *engine; /* the pipeline's, once it released anything: between two steps after its end */
        FILE *signals, *suppressed, *quarantine, *summary; /* opened first: a wrong path is told before hours of work */
        struct sw_buf quarantined;                         /* scratch */
        uint64_t n_errors_shown, n_errors;
        int write_errno;
        bool unreadable; /* some file could not be read (on) */
        bool damaged;    /* some gzip data was */
        int64_t began_ms, shown_ms;
};

static int64_t now_ms(void)
{
        struct timespec ts;

        (void)clock_gettime(CLOCK_MONOTONIC, &ts);
        return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* ---- hooks: engine thread ---- */

/* out: NULL if nobody asked for them. */
static bool write_lines(const struct sw_lines *l, FILE *out)
{
        return !out || l->text.n == 0 || fwrite(l->text.p, 1, l->text.n, out) == l->text.n;
}

static int on_actions(void *ctx, const struct sw_actions *a)
{
        struct replay *r = ctx;

        if (!write_lines(&a->findings, stdout) || !write_lines(&a->signals, r->signals) ||
                !write_lines(&a->suppressed, r->suppressed)) {
                r->write_errno = errno;
                return -SW_ERR_IO;
        }
        return 0;
}

static int on_release(void *ctx, struct sw_engine *e, const struct sw_pipeline_row *row)
{
        struct replay *r = ctx;

        (void)row;
        r->engine = e;
        return 0;
}

/* Only printable ASCII reaches the terminal. */
static void put_excerpt(struct sw_str s)
{
        size_t i;

        for (i = 0; i < s.n && i < 60; i++)
                fputc(s.p[i] >= 0x20 && s.p[i] < 0x7f ? s.p[i] : '.', stderr);
}

static void put_aside(struct replay *r, uint32_t partition, const struct sw_batch *b)
{
        struct sw_quarantine_place place = { .file = sw_files_path(r->files, partition), .time = SW_ETIME_NONE };

        if (!r->quarantine)
                return;
        sw_buf_reset(&r->quarantined);
        sw_quarantine_lines(&r->quarantined, &place, b);
        if (r->quarantined.failed || fwrite(r->quarantined.p, 1, r->quarantined.n, r->quarantine) != r->quarantined.n)
                r->write_errno = r->write_errno ? r->write_errno : errno;
}

static void on_errors(void *ctx, uint32_t partition, int64_t offset, const struct sw_batch *b)
{
        struct replay *r = ctx;
        uint32_t i;

        (void)offset;
        put_aside(r, partition, b);
        for (i = 0; i < b->n_errors; i++) {
                const struct sw_decode_error *e = &b->errors[i];

                r->n_errors++;
                if (r->o.quiet || r->n_errors_shown >= SHOWN_ERRORS)
                        continue;
                r->n_errors_shown++;
                fprintf(stderr, "%s: byte %llu: %s: ", sw_files_path(r->files, partition),
                        (unsigned long long)e->offset, sw_reason_text(e->reason));
                put_excerpt(e->excerpt);
                fputc('\n', stderr);
        }
}

/* ---- reading ---- */

/* On a terminal a line that is rewritten; elsewhere one line in ten seconds. */
static void show_progress(struct replay *r, bool last)
{
        struct sw_pipeline_progress p;
        int64_t now = now_ms(), took = now - r->began_ms;
        bool tty = sw_term_is(STDERR_FILENO);
        uint64_t total = sw_files_bytes(r->files), done = sw_files_bytes_read(r->files);

        if (r->o.quiet || (!last && now - r->shown_ms < (tty ? 200 : 10000)) || (last && !tty))
                return;
        r->shown_ms = now;
        sw_pipeline_progress(r->pipeline, &p);
        fprintf(stderr, "%s%3llu%%  %llu MiB  %llu tuples  %llu k tuples/s  %llu findings%s", tty ? "\r" : "",
                (unsigned long long)(total ? done * 100 / total : 0), (unsigned long long)(done >> 20),
                (unsigned long long)p.engine.tuples,
                (unsigned long long)(took > 0 ? p.engine.tuples / (uint64_t)took : 0),
                (unsigned long long)p.engine.findings, tty && !last ? "\033[K" : "\n");
}

static int send_head(struct replay *r, uint32_t file)
{
        struct sw_fact fact = { .head = SW_ETIME_NONE };

        fact.head = sw_files_head(r->files, file, &fact.at_end);
        return sw_pipeline_fact(r->pipeline, file, &fact);
}

static int submit_piece(struct replay *r, const struct sw_file_piece *piece)
{
        struct sw_input in = { .partition = piece->file, .flags = piece->flags, .bytes = piece->bytes };
        int code;

        in.offset = (int64_t)piece->offset;
        in.base = piece->offset;
        in.carrier = SW_ETIME_NONE;
        in.done = piece->done;
        in.owner = piece->owner;
        code = sw_pipeline_submit(r->pipeline, &in, true);
        if (code < 0) {
                piece->done(piece->owner);
                return code;
        }
        return send_head(r, piece->file);
}

static void tell_unreadable(struct replay *r, const struct sw_err *err)
{
        fprintf(stderr, "segwatch replay: %s\n", err->msg);
        r->damaged = r->damaged || err->code == -SW_ERR_DATA;
        r->unreadable = r->unreadable || err->code != -SW_ERR_DATA;
}

/* Feeds everything; a file that cannot be read is told and left out. 0, or the pipeline's failure or want of memory. */
static int feed(struct replay *r)
{
        struct sw_file_piece piece;
        struct sw_err err = SW_ERR_NULL;
        uint32_t i;
        int code = 0;

        while ((code = sw_files_peek(r->files, &i, &err)) < 0 && code != -SW_ERR_NOMEM)
                tell_unreadable(r, &err);
        if (code < 0)
                return code;
        code = 0;
        for (i = 0; i < sw_files_count(r->files) && code == 0; i++)
                code = send_head(r, i);
        while (code == 0) {
                int what = sw_files_next(r->files, &piece, &err);

                if (what == SW_FILES_END || what == -SW_ERR_NOMEM)
                        return what == SW_FILES_END ? 0 : what;
                if (what < 0) {
                        tell_unreadable(r, &err);
                        what = SW_FILES_HEAD;
                }
                code = what == SW_FILES_PIECE ? submit_piece(r, &piece) : send_head(r, piece.file);
                show_progress(r, false);
        }
        return code;
}

/* ---- set-up and end ---- */

static int open_input(struct replay *r)
{
        struct rlimit files;
        struct sw_err err = SW_ERR_NULL;
        int i;

        /* Thousands of NICs of one hour are read side by side. */
        if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
                files.rlim_cur = files.rlim_max;
                (void)setrlimit(RLIMIT_NOFILE, &files);
        }
        if (sw_files_new(&r->files) < 0) {
                fprintf(stderr, "segwatch replay: out of memory\n");
                return SW_EXIT_FAILURE;
        }
        for (i = 0; i < r->o.n_paths; i++)
                if (sw_files_add(r->files, r->o.paths[i], &err) < 0) {
                        fprintf(stderr, "segwatch replay: %s\n", err.msg);
                        return SW_EXIT_FAILURE;
                }
        if (sw_files_count(r->files) > SW_MAX_PARTITIONS) {
                fprintf(stderr, "segwatch replay: more than %u files; replay them in parts\n",
                        (unsigned)SW_MAX_PARTITIONS);
                return SW_EXIT_FAILURE;
        }
        return SW_EXIT_OK;
}

static void say_dropped(void *ctx, const char *section, const char *why)
{
        (void)ctx;
        fprintf(stderr, "segwatch replay: warning: %s was left out of what was learned: %s\n", section, why);
}

static int load_state(struct replay *r, struct sw_pipeline_conf *conf)
{
        const struct sw_snapshot_hooks hooks = { .on_dropped = say_dropped };
        struct sw_err err = SW_ERR_NULL;
        int fd, code = sw_learned_open(r->o.load, &fd, &err);

        if (code == SW_LEARNED_E_NONE)
                code = sw_err_set(&err, -SW_ERR_NOENT, "%s: nothing was saved there by --save-state", r->o.load);
        if (code == SW_LEARNED_OK) {
                code = sw_engine_load(&r->core, sw_snapshots_pull, &fd, &hooks, NULL, &conf->engine, &err);
                (void)close(fd);
        }
        if (code < 0) {
                fprintf(stderr, "segwatch replay: --load-state: %s\n", err.msg);
                return SW_EXIT_FAILURE;
        }
        conf->seed = sw_engine_seed(conf->engine);
        return SW_EXIT_OK;
}

/* Before hours of work, not after them. */
static int check_save(const struct replay *r)
{
        struct sw_err err = SW_ERR_NULL;

        if (!r->o.save || sw_learned_check(r->o.save, &err) == 0)
                return SW_EXIT_OK;
        fprintf(stderr, "segwatch replay: --save-state: %s\n", err.msg);
        return SW_EXIT_FAILURE;
}

static int read_snapshot(void *snapshot, void *buf, size_t n, size_t *ret_n)
{
        return sw_snapshot_read(snapshot, buf, n, ret_n);
}

static int save_state(struct replay *r)
{
        const struct sw_snapshot_conf conf = { .learned = true };
        struct sw_snapshot *s = NULL;
        struct sw_err err = SW_ERR_NULL;
        int code = -SW_ERR_DATA;

        if (r->engine)
                code = sw_snapshot_begin_as(r->engine, &conf, &s);
        if (code == 0)
                code = sw_learned_save(r->o.save, read_snapshot, s, &err);
        sw_snapshot_end(s);
        if (code == 0)
                return SW_EXIT_OK;
        fprintf(stderr, "segwatch replay: --save-state: %s\n", err.msg[0] ? err.msg : sw_error_text(code));
        return SW_EXIT_FAILURE;
}

static int open_pipeline(struct replay *r)
{
        struct sw_pipeline_conf conf = {
                .core = &r->core, .n_workers = r->o.n_workers, .queue_max_bytes = QUEUE_BYTES * (r->o.n_workers + 2u)
        };
        struct sw_pipeline_hooks hooks = { .ctx = r, .on_actions = on_actions, .on_errors = on_errors };
        struct sw_err err = SW_ERR_NULL;
        uint32_t i, number;

        if (r->o.save)
                hooks.on_release = on_release;
        /* Any seed gives the same findings; a fresh one proves it every time. */
        if (getrandom(&conf.seed, sizeof(conf.seed), 0) != (ssize_t)sizeof(conf.seed))
                conf.seed = (struct sw_hash_key){ 1, 2 };
        if (r->o.load && load_state(r, &conf) != SW_EXIT_OK)
                return SW_EXIT_FAILURE;
        conf.decoder.seed = conf.seed.k0;
        conf.decoder.reference_only = r->o.reference;
        if (sw_pipeline_new(&conf, &hooks, &r->pipeline, &err) < 0) {
                fprintf(stderr, "segwatch replay: %s\n", err.msg);
                return SW_EXIT_FAILURE;
        }
        for (i = 0; i < sw_files_count(r->files); i++)
                if (sw_pipeline_add_partition(r->pipeline, &number) < 0) {
                        fprintf(stderr, "segwatch replay: out of memory\n");
                        return SW_EXIT_FAILURE;
                }
        return SW_EXIT_OK;
}

static int write_summary(struct replay *r, const struct sw_engine_stats *s)
{
        struct sw_buf text = SW_BUF_NULL;
        FILE *f = r->summary ? r->summary : stderr;
        int code = SW_EXIT_OK;

        if (!r->o.summary)
                return SW_EXIT_OK;
        sw_summary_write(&text, s, sw_files_bytes_read(r->files), (uint64_t)(now_ms() - r->began_ms));
        sw_buf_putc(&text, '\n');
        if (text.failed || fwrite(text.p, 1, text.n, f) != text.n || fflush(f) != 0) {
                fprintf(stderr, "segwatch replay: %s: %s\n", r->o.summary,
                        text.failed ? "out of memory" : strerror(errno));
                code = SW_EXIT_FAILURE;
        }
        sw_buf_deinit(&text);
        return code;
}

static void say_evicted(void *ctx, const struct sw_table_info *t)
{
        (void)ctx;
        if (t->evicted)
                fprintf(stderr, "segwatch replay: warning: table %s was full and lost %llu entries (memory.limit)\n",
                        t->name, (unsigned long long)t->evicted);
}

/* What came in an order that no lateness covers was not judged: nothing else in the result would show it. */
static void say_late(const struct sw_engine_stats *s)
{
        if (s->records_old * 100 <= s->records && s->tuples_too_late * 100 <= s->tuples)
                return;
        fprintf(stderr,
                "segwatch replay: warning: %llu records and %llu tuples came too late to be judged: the input is not "
                "in the order "
                "of its time; give the files or their folder as they are, each as a PATH of its own, or "
                "raise time.reorder and time.dedupe\n",
                (unsigned long long)s->records_old, (unsigned long long)s->tuples_too_late);
}

static void say_end(struct replay *r, const struct sw_engine_stats *s)
{
        struct sw_buf text = SW_BUF_NULL;

        if (r->n_errors > r->n_errors_shown && !r->o.quiet)
                fprintf(stderr, "... and %llu more errors in the data (see --summary)\n",
                        (unsigned long long)(r->n_errors - r->n_errors_shown));
        if (s->decode.messages == 0 && !r->damaged && !r->unreadable)
                fprintf(stderr, "segwatch replay: warning: the input is empty\n");
        if (s->records == 0 && s->decode.records_skipped > 0)
                fprintf(stderr,
                        "segwatch replay: warning: %llu record%s no flows (another log category, or notices that a "
                        "blob "
                        "was written)\n",
                        (unsigned long long)s->decode.records_skipped,
                        s->decode.records_skipped == 1 ? " carries" : "s carry");
        if (r->o.quiet)
                return;
        say_late(s);
        sw_engine_tables(sw_pipeline_engine(r->pipeline), say_evicted, NULL);
        if (sw_summary_learning(&text, sw_pipeline_engine(r->pipeline), r->core.detectors))
                fprintf(stderr, "segwatch replay: %.*s; `learning: 0` in the configuration switches it off\n",
                        (int)text.n, text.p);
        sw_buf_deinit(&text);
        fprintf(stderr, "segwatch replay: %llu records, %llu tuples, %llu connections, %llu signals, %llu findings\n",
                (unsigned long long)s->records, (unsigned long long)s->tuples, (unsigned long long)s->connections,
                (unsigned long long)s->signals, (unsigned long long)s->findings);
}

static int finish(struct replay *r, int code)
{
        struct sw_err err = SW_ERR_NULL;
        struct sw_engine_stats s;
        int ended = sw_pipeline_finish(r->pipeline, code == 0, &err);

        if (fflush(stdout) != 0 && !r->write_errno)
                r->write_errno = errno;
        if (r->write_errno == EPIPE) /* the reader has seen enough */
                return SW_EXIT_OK;
        if (r->write_errno)
                (void)sw_err_set(&err, -SW_ERR_IO, "cannot write the findings: %s", strerror(r->write_errno));
        if (code < 0 || ended < 0 || r->write_errno) {
                fprintf(stderr, "segwatch replay: %s\n", err.msg[0] ? err.msg : sw_error_text(code < 0 ? code : ended));
                return SW_EXIT_FAILURE;
        }
        s = sw_engine_stats(sw_pipeline_engine(r->pipeline));
        show_progress(r, true);
        say_end(r, &s);
        code = write_summary(r, &s);
        if (r->o.save && r->unreadable)
                fprintf(stderr, "segwatch replay: --save-state: nothing was saved, because something was not read\n");
        if (code != SW_EXIT_OK || r->unreadable)
                return SW_EXIT_FAILURE;
        if ((s.decode.message_errors || s.decode.record_errors || r->damaged) && s.records == 0 &&
                s.decode.records_skipped == 0) {
                fprintf(stderr, "segwatch replay: nothing in the input could be decoded as a flow log\n");
                return SW_EXIT_DATA;
        }
        if (r->o.save && save_state(r) != SW_EXIT_OK)
                return SW_EXIT_FAILURE;
        return r->damaged ? SW_EXIT_FAILURE : SW_EXIT_OK;
}

static int parse_workers(const char *text, unsigned *ret)
{
        uint64_t n;

        if (!sw_parse_u64(sw_str_of(text), &n) || n == 0 || n > MAX_WORKERS)
                return sw_cmd_usage(&sw_cmd_replay, "-j takes a number from 1 to %u, not '%s'", MAX_WORKERS, text);
        *ret = (unsigned)n;
        return SW_EXIT_OK;
}

enum {
        REPLAY_SUMMARY = SW_CMD_LONG,
        REPLAY_SIGNALS,
        REPLAY_SUPPRESSED,
        REPLAY_QUARANTINE,
        REPLAY_REFERENCE,
        REPLAY_SAVE,
        REPLAY_LOAD,
};

static const struct sw_cmd_opt replay_opts[] = {
        { "config", 'c', "FILE", "configuration (default: built-in defaults, 7 days of learning)" },
        { "summary", REPLAY_SUMMARY, "FILE", "one JSON object of counters at the end; - is stderr" },
        { "signals", REPLAY_SIGNALS, "FILE", "write every signal behind the incidents, one JSON line each" },
        { "suppressed", REPLAY_SUPPRESSED, "FILE", "write the signals that a suppression kept back" },
        { "quarantine", REPLAY_QUARANTINE, "FILE",
                "write what could not be decoded, with its place, one JSON line each" },
        { "jobs", 'j', "N", "decode workers (default: cores - 1)" },
        { "reference", REPLAY_REFERENCE, NULL, "use the slow reference decoder only" },
        { "quiet", 'q', NULL, "no progress, no data errors, no closing line" },
        { "save-state", REPLAY_SAVE, "DIR",
                "save what was learned at the end: baselines, roles, learning clocks; as state.dir of `run` it seeds a "
                "daemon" },
        { "load-state", REPLAY_LOAD, "DIR", "begin with what was saved: flows up to then raise nothing again" },
        { 0 },
};

static int parse_options(int argc, char **argv, struct replay_options *o)
{
        long cores = sysconf(_SC_NPROCESSORS_ONLN);
        struct sw_cmd_args a;
        int c;

        *o = (struct replay_options){ .n_workers = cores > 2 ? (unsigned)cores - 1 : 1 };
        if (o->n_workers > MAX_WORKERS)
                o->n_workers = MAX_WORKERS;
        sw_cmd_args_init(&a, &sw_cmd_replay, argc, argv);
        while ((c = sw_cmd_args_next(&a)) > 0) {
                switch (c) {
                case 'c':
                        o->config = a.value;
                        break;
                case 'j':
                        if (parse_workers(a.value, &o->n_workers) != SW_EXIT_OK)
                                return SW_EXIT_USAGE;
                        break;
                case 'q':
                        o->quiet = true;
                        break;
                case REPLAY_SUMMARY:
                        o->summary = a.value;
                        break;
                case REPLAY_SIGNALS:
                        o->signals = a.value;
                        break;
                case REPLAY_SUPPRESSED:
                        o->suppressed = a.value;
                        break;
                case REPLAY_QUARANTINE:
                        o->quarantine = a.value;
                        break;
                case REPLAY_REFERENCE:
                        o->reference = true;
                        break;
                case REPLAY_SAVE:
                        o->save = a.value;
                        break;
                case REPLAY_LOAD:
                        o->load = a.value;
                        break;
                }
        }
        if (c < 0)
                return SW_EXIT_USAGE;
        o->paths = a.rest;
        o->n_paths = a.n_rest;
        if (o->n_paths == 0)
                return sw_cmd_usage(&sw_cmd_replay, "PATH is missing: give a file, a folder, or - for standard input");
        return SW_EXIT_OK;
}

static int load_config(struct replay *r)
{
        struct sw_conf_report *report = sw_calloc(1, sizeof(*report));
        int code;

        code = report ? sw_conf_load(r->o.config, false, &r->conf, report) : -SW_ERR_NOMEM;
        if (report)
                sw_conf_report_print(report);
        sw_free(report);
        if (code == -SW_ERR_NOMEM) {
                fprintf(stderr, "segwatch replay: out of memory\n");
                return SW_EXIT_FAILURE;
        }
        if (code < 0)
                return SW_EXIT_CONFIG;
        sw_conf_core(&r->conf, &r->core);
        r->core.version = SW_VERSION;
        r->core.write_signals = r->o.signals != NULL;
        return SW_EXIT_OK;
}

static int open_output(const char *path, FILE **ret)
{
        if (!path)
                return SW_EXIT_OK;
        *ret = fopen(path, "we");
        if (*ret)
                return SW_EXIT_OK;
        fprintf(stderr, "segwatch replay: %s: %s\n", path, strerror(errno));
        return SW_EXIT_FAILURE;
}

static int close_output(const char *path, FILE *f, int code)
{
        if (!f || fclose(f) == 0 || code != SW_EXIT_OK)
                return code;
        fprintf(stderr, "segwatch replay: %s: %s\n", path, strerror(errno));
        return SW_EXIT_FAILURE;
}

static int replay_run(int argc, char **argv)
{
        struct replay r = { .began_ms = now_ms() };
        int code = parse_options(argc, argv, &r.o);

        if (code != SW_EXIT_OK)
                return code;
        r.shown_ms = r.began_ms;
        code = load_config(&r);
        if (code == SW_EXIT_OK)
                code = open_input(&r);
        if (code == SW_EXIT_OK)
                code = open_output(r.o.signals, &r.signals);
        if (code == SW_EXIT_OK)
                code = open_output(r.o.suppressed, &r.suppressed);
        if (code == SW_EXIT_OK)
                code = open_output(r.o.quarantine, &r.quarantine);
        if (code == SW_EXIT_OK && r.o.summary && strcmp(r.o.summary, "-") != 0)
                code = open_output(r.o.summary, &r.summary);
        if (code == SW_EXIT_OK)
                code = check_save(&r);
        if (code == SW_EXIT_OK)
                code = open_pipeline(&r);
        if (code == SW_EXIT_OK)
                code = finish(&r, feed(&r));
        sw_pipeline_free(r.pipeline);
        code = close_output(r.o.signals, r.signals, code);
        code = close_output(r.o.suppressed, r.suppressed, code);
        code = close_output(r.o.quarantine, r.quarantine, code);
        code = close_output(r.o.summary, r.summary, code);
        sw_buf_deinit(&r.quarantined);
        sw_files_free(r.files);
        sw_conf_deinit(&r.conf);
        return code;
}

const struct sw_cmd sw_cmd_replay = {
        .name = "replay",
        .args = "[-c FILE] [--summary FILE] [--signals FILE] [--suppressed FILE] [--quarantine FILE] "
                "[--save-state DIR] [--load-state DIR] [-j N] [-q] PATH...",
        .summary = "run the engine over files, folders or stdin (-); findings go to stdout",
        .about = "Time comes from the records; the same input gives the same bytes. A folder of PT1H.json blobs of "
                 "many NICs "
                 "and hours is merged by time. Plain or gzip.",
        .options = replay_opts,
        .notes = "Exit codes: 0 ok, 1 failure or unreadable path, 64 usage, 65 nothing could be decoded, 78 "
                 "configuration.",
        .examples = "segwatch replay insights-logs-flowlogflowevent/\n"
                    "segwatch replay -c segwatch.yaml --summary - PT1H.json | jq .message\n"
                    "segwatch replay -q --save-state /var/lib/segwatch last-month/ >/dev/null\n"
                    "zcat flows.json.gz | segwatch replay -q - | segwatch tail -\n",
        .operands = "FILE",
        .run = replay_run,
};

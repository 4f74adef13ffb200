/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon.h"

#include "base/alloc.h"
#include "base/hash.h"
#include "clock.h"
#include "cmd/cmd.h"
#include "daemon_keeper.h"
#include "service.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <unistd.h>

#define DAEMON_RELEASE_MS 250
#define WATCH_MS 1000
#define DAEMON_QUEUE_BYTES ((size_t)8 << 20)
#define DAEMON_TRIM_MS SW_MINUTE
#define DAEMON_LEAVE_MS 3000 /* after everything is safe on the disk nobody is waited for longer */
#define DAEMON_LEAVE_LEAST_MS 500
#define DAEMON_STOP_MS 4700 /* from the signal on */

/* ---- configuration ---- */

static void daemon_log_report(struct sw_log *log, const struct sw_conf_report *report)
{
        uint32_t i;

        for (i = 0; i < report->n_items; i++) {
                const struct sw_err *e = &report->items[i];
                char place[224] = "";

                if (e->line)
                        snprintf(place, sizeof(place), "%s:%u:%u: ", e->file, e->line, e->column);
                else if (*e->file)
                        snprintf(place, sizeof(place), "%s: ", e->file);
                /* each is another fault */
                sw_log_each(log, e->code ? SW_LOG_ERROR : SW_LOG_WARNING, e->code ? "config_error" : "config_warning",
                        NULL, "%s%s", place, e->msg);
        }
}

static void daemon_free_conf(struct sw__daemon_conf *c)
{
        sw_conf_deinit(&c->conf);
        sw_buf_deinit(&c->text);
        sw_free(c);
}

/* Those that neither the sources, the engine, nor the ring points into; all: every one. True: there was one. */
static bool daemon_free_confs(struct sw_daemon *d, bool all)
{
        uint64_t in_force = atomic_load(&d->conf_in_force);
        struct sw__daemon_conf **at = &d->confs, *c;
        bool freed = false;

        while ((c = *at)) {
                if (!all && (c == d->conf || c == d->boot || c->sequence >= in_force)) {
                        at = &c->next;
                        continue;
                }
                *at = c->next;
                daemon_free_conf(c);
                freed = true;
        }
        if (all)
                d->conf = d->boot = NULL;
        return freed;
}

int sw__daemon_load_conf(
        struct sw_daemon *d, const struct sw_str *text, struct sw__daemon_conf **ret, struct sw_conf_report *report)
{
        struct sw__daemon_conf *c = sw_calloc(1, sizeof(*c));
        int r;

        if (!c)
                return -SW_ERR_NOMEM;
        r = text ? sw_conf_load_text("a former configuration", *text, &c->conf, report)
                 : sw_conf_load(d->options.config, true, &c->conf, report);
        if (r == 0) {
                sw_conf_dump(&c->conf, &c->text);
                r = c->text.failed ? -SW_ERR_NOMEM : 0;
        }
        if (r < 0) {
                daemon_free_conf(c);
                return r;
        }
        sw_sha256_128(c->text.p, c->text.n, c->hash);
        sw_conf_core(&c->conf, &c->core);
        c->sequence = UINT64_MAX; /* not given to the engine yet: it stays */
        c->next = d->confs;
        d->confs = c;
        *ret = c;
        return 0;
}

int sw__daemon_configure(struct sw_daemon *d, struct sw__daemon_conf *c)
{
        uint64_t before = c->sequence;
        int r;

        c->sequence = d->conf_sequence + 1;
        r = sw_pipeline_reconfigure(d->pipeline, &c->core);
        if (r == 0)
                d->conf_sequence = c->sequence;
        else
                c->sequence = before;
        return r;
}

/* What was written but cannot be taken over by a running daemon is named. */
static void daemon_tell_reload(struct sw_daemon *d)
{
        sw_buf_reset(&d->reloads.need_restart);
        sw_conf_need_restart(&d->boot->conf, &d->conf->conf, &d->reloads.need_restart);
        sw_buf_putc(&d->reloads.need_restart, '\0');
        if (d->reloads.need_restart.failed || d->reloads.need_restart.n == 1)
                sw_log(d->log, SW_LOG_INFO, "reload", NULL, "the new configuration is in force");
        else
                sw_log_each(d->log, SW_LOG_WARNING, "reload", NULL,
                        "the new configuration is in force, but these changes need a restart: %s",
                        d->reloads.need_restart.p);
}

int sw__daemon_reload(struct sw_daemon *d, struct sw_conf_report *report)
{
        struct sw__daemon_conf *c = NULL;
        int r;

        sw_service_reloading();
        r = sw__daemon_load_conf(d, NULL, &c, report);
        if (r == 0 && !d->keeper->repeating) /* what is repeated has configurations of its own: it comes after that */
                r = sw__daemon_configure(d, c);
        daemon_log_report(d->log, report);
        d->reloads.n++;
        d->reloads.at = sw_clock_wall();
        d->reloads.failed = r < 0;
        d->reloads.n_errors = report->n_errors;
        if (r < 0) {
                sw_log_each(d->log, SW_LOG_ERROR, "reload", NULL,
                        "the new configuration is not used (%u error%s, see above); the old one stays in force",
                        report->n_errors, report->n_errors == 1 ? "" : "s");
                if (c)
                        c->sequence = 0; /* goes with the next sweep */
        } else {
                d->reloads.ok_at = d->reloads.at;
                d->conf = c;
                sw_log_configure(d->log, c->conf.log.level, c->conf.log.format);
                daemon_tell_reload(d);
        }
        sw_service_notify("READY=1");
        return r;
}

static void daemon_on_reload(void *ctx)
{
        struct sw_daemon *d = ctx;
        struct sw_conf_report *report = sw_calloc(1, sizeof(*report));

        if (report)
                (void)sw__daemon_reload(d, report);
        sw_free(report);
}

/* ---- signals ---- */

/* Those that may come before there is a loop, or after it: they wait then, instead of ending the process. */
static void daemon_hold_signals(int how)
{
        sigset_t set;

        sigemptyset(&set);
        sigaddset(&set, SIGHUP);
        sigaddset(&set, SIGUSR1);
        (void)pthread_sigmask(how, &set, NULL);
}

static void daemon_stop_set(sigset_t *set)
{
        sigemptyset(set);
        sigaddset(set, SIGTERM);
        sigaddset(set, SIGINT);
}

/* A thread of its own: the loop may be waiting for room in the queue, which a full disk keeps full until `stop` makes
 * the files give up. */
static void *daemon_wait_stop(void *arg)
{
        struct sw_daemon *d = arg;
        sigset_t set;
        int signum;

        daemon_stop_set(&set);
        while (sigwait(&set, &signum) != 0)
                ;
        if (!atomic_exchange(&d->stop, true))
                sw_watch_wake(d->stop_asked);
        return NULL;
}

static void daemon_on_stop(void *ctx)
{
        struct sw_daemon *d = ctx;

        sw_log(d->log, SW_LOG_INFO, "stop", NULL, "told to stop");
        sw_loop_stop(d->loop);
}

void sw__daemon_reopen(struct sw_daemon *d)
{
        sw_alert_export_reopen(d->alerts);
        if (d->signals)
                sw_sink_file_reopen(d->signals);
        if (d->stats_file)
                sw_sink_file_reopen(d->stats_file);
        sw_sink_file_reopen(d->suppressed);
        sw_sink_file_reopen(d->quarantine);
        if (d->rejected)
                sw_sink_file_reopen(d->rejected);
}

static void daemon_on_reopen(void *ctx)
{
        sw__daemon_reopen(ctx);
}

/* After a failed write a fresh start, which repeats what is not safe, is the way out. */
static int daemon_exit_code(int code)
{
        return code == -SW_ERR_IO ? SW_EXIT_TEMPFAIL : SW_EXIT_FAILURE;
}

void sw__daemon_fail(struct sw_daemon *d, int code, const char *what)
{
        if (atomic_load(&d->stop) || d->exit_code)
                return;
        sw_log(d->log, SW_LOG_ERROR, "failed", NULL, "%s: %s", what, sw_error_text(code));
        d->exit_code = daemon_exit_code(code);
        sw_loop_stop(d->loop);
}

static void daemon_tick(void *ctx)
{
        struct sw_daemon *d = ctx;
        int r = atomic_load(&d->output_failed);

        if (r < 0) {
                sw__daemon_fail(d, r, "output");
                return;
        }
        r = sw_pipeline_tick(d->pipeline);
        if (r < 0)
                sw__daemon_fail(d, r, "pipeline");
}

static void daemon_second(void *ctx)
{
        struct sw_daemon *d = ctx;

        bool freed = daemon_free_confs(d, false);
        int64_t now = sw_clock_mono().ms;

        /* To read a configuration takes many times its own memory, and so does what a broker sends at once that was
         * away; the allocator would keep it, each thread's share for itself, and a little more each time. */
        if (freed || d->reloads.n != d->reloads.n_trimmed || now - d->trimmed_ms >= DAEMON_TRIM_MS) {
                d->reloads.n_trimmed = d->reloads.n;
                d->trimmed_ms = now;
                (void)malloc_trim(0);
        }
        sw__daemon_watch(d);
}

/* A snapshot counts: what it covers need not be read again by anybody. */
static void daemon_published(void *ctx)
{
        struct sw_daemon *d = ctx;

        sw__daemon_drop_offsets(d);
        sw__daemon_commit(d, false);
}

static int daemon_watches(struct sw_daemon *d)
{
        const struct {
                int64_t ms;
                sw_watch_fn fn;
        } timers[] = { { DAEMON_RELEASE_MS, daemon_tick }, { 50, sw__daemon_align }, { 100, sw__keeper_watch },
                { WATCH_MS, daemon_second }, { 5000, sw__daemon_status }, { d->options.stats_ms, sw__daemon_stats } };
        const struct {
                int signum;
                sw_watch_fn fn;
        } signals[] = { { SIGTERM, daemon_on_stop }, { SIGINT, daemon_on_stop }, { SIGUSR1, daemon_on_reopen },
                { SIGHUP, daemon_on_reload } };
        struct sw_watch *w;
        size_t i;
        int r = 0;

        for (i = 0; i < sizeof(timers) / sizeof(*timers) && r == 0; i++)
                r = sw_loop_timer(d->loop, timers[i].ms, timers[i].ms, timers[i].fn, d, &w);
        for (i = 0; i < sizeof(signals) / sizeof(*signals) && r == 0; i++)
                r = sw_loop_signal(d->loop, signals[i].signum, signals[i].fn, d, &w);
        if (r == 0)
                r = sw_loop_wakeable(d->loop, sw__daemon_room, d, &d->room);
        if (r == 0)
                r = sw_loop_wakeable(d->loop, daemon_on_stop, d, &d->stop_asked);
        if (r == 0)
                r = sw_loop_wakeable(d->loop, daemon_published, d, &d->keeper->published);
        if (r == 0 && pthread_create(&d->stop_thread, NULL, daemon_wait_stop, d) != 0)
                r = -SW_ERR_NOMEM;
        else if (r == 0)
                d->stop_thread_runs = true;
        return r;
}

/* ---- start ---- */

static int daemon_open_pipeline(struct sw_daemon *d, struct sw_err *reterr)
{
        struct sw__keeper *k = d->keeper;
        const struct sw_conf *c = &d->conf->conf;
        /* a short queue: what is in it is not yet known to the alignment of the partitions */
        struct sw_pipeline_conf conf = { .core = &k->engine_conf->core,
                .decoder.message_max_bytes = c->input.message_max,
                .release_ms = DAEMON_RELEASE_MS,
                .queue_max_bytes = DAEMON_QUEUE_BYTES,
                .wall_time = true,
                .cold = k->cold,
                .engine = k->engine,
                .repeat = true };
        struct sw_pipeline_hooks hooks;
        long cores = sysconf(_SC_NPROCESSORS_ONLN);
        int r = sw_state_dir_seed(d->state, &conf.seed, reterr);

        if (r < 0)
                return r;
        d->conf_sequence = 1;
        k->engine_conf->sequence = 1;
        atomic_store(&d->conf_in_force, 1);
        if (k->engine) /* its fingerprints were made with it, whatever became of the file */
                conf.seed = sw_engine_seed(k->engine);
        conf.decoder.seed = conf.seed.k0;
        conf.n_workers = cores > 2 ? (unsigned)cores - 1 : 1;
        sw__daemon_hooks(d, &hooks);
        k->engine = NULL;
        return sw_pipeline_new(&conf, &hooks, &d->pipeline, reterr);
}

static void daemon_first_line(struct sw_daemon *d)
{
        const struct sw_conf *c = &d->conf->conf;
        struct sw_buf sources = SW_BUF_NULL, learners = SW_BUF_NULL;
        uint32_t i;

        for (i = 0; i < d->n_sources; i++)
                sw_buf_printf(&sources, "%s%s", i ? ", " : "", d->sources[i].conf->name);
        sw_buf_putc(&sources, '\0');
        sw__daemon_learners(c, &learners);
        if (!sources.failed && !learners.failed)
                sw_log(d->log, SW_LOG_INFO, "start", NULL, "segwatch %s reads %s; alerts go to %s%s%s", SW_VERSION,
                        sources.p, c->alerts.file,
                        c->learning_ms > 0 && learners.n > 1 ? "; learning, silent until each segment is known: " : "",
                        c->learning_ms > 0 ? learners.p : "");
        sw_buf_deinit(&sources);
        sw_buf_deinit(&learners);
}

/* What fails here is told on the log, which is there from the first line on. Returns an exit code. */
static int daemon_open(struct sw_daemon *d)
{
        struct sw_err err = SW_ERR_NULL;
        int r;

        r = sw_loop_new(&d->loop);
        if (r == 0)
                r = sw_state_dir_open(d->conf->conf.state.dir, &d->state, &err);
        if (r == 0)
                r = sw_state_dir_instance(d->state, d->instance, &err);
        if (r == 0)
                r = sw__daemon_load_offsets(d, &err);
        if (r == 0)
                r = sw__daemon_open_files(d, &err);
        if (r == 0)
                r = sw__daemon_open_outputs(d, &err);
        if (r == 0)
                r = sw__keeper_open(d, &err);
        if (r == 0)
                r = daemon_open_pipeline(d, &err);
        if (r == 0)
                r = daemon_watches(d);
        if (r == 0)
                r = sw__daemon_open_admin(d, &err);
        if (r == 0)
                r = sw__keeper_restore(d, &err);
        if (r == 0)
                r = sw__keeper_start_thread(d, &err);
        if (r == 0)
                r = sw__daemon_open_sources(d, &err);
        if (r == 0)
                return SW_EXIT_OK;
        if (r == -SW_ERR_NOMEM && err.code != r)
                err = SW_ERR_NULL; /* of something that was overcome before */
        sw_log(d->log, SW_LOG_ERROR, "start_failed", NULL, "%s", *err.msg ? err.msg : sw_error_text(r));
        return r == -SW_ERR_UNAVAIL ? SW_EXIT_TEMPFAIL : r == -SW_ERR_CONFIG ? SW_EXIT_CONFIG : SW_EXIT_FAILURE;
}

/* ---- stop ---- */

static void daemon_leave_ok(int signum)
{
        (void)signum;
        _exit(SW_EXIT_OK);
}

static void daemon_leave_failed(int signum)
{
        (void)signum;
        _exit(SW_EXIT_FAILURE);
}

/* What is still waited for from here on, a disk that hardly moves above all, may be cut off. */
static void daemon_leave_in_time(const struct sw_daemon *d)
{
        int64_t ms = d->stop_began.ms ? d->stop_began.ms + DAEMON_STOP_MS - sw_clock_mono().ms : DAEMON_LEAVE_MS;
        struct itimerval t = { 0 };

        ms = ms > DAEMON_LEAVE_MS ? DAEMON_LEAVE_MS : ms < DAEMON_LEAVE_LEAST_MS ? DAEMON_LEAVE_LEAST_MS : ms;
        t.it_value.tv_sec = ms / 1000;
        t.it_value.tv_usec = ms % 1000 * 1000;
        signal(SIGALRM, d->exit_code ? daemon_leave_failed : daemon_leave_ok);
        (void)setitimer(ITIMER_REAL, &t, NULL);
}

/* Everything worth keeping is kept here; what comes after only frees memory. */
static int daemon_finish(struct sw_daemon *d)
{
        struct sw_err err = SW_ERR_NULL;
        int r;

        /* the release under way ends; the reorder buffer is never released early: the last snapshot keeps it, and
         * without one it is read again after the next start */
        sw__keeper_want_last(d);
        r = sw_pipeline_finish(d->pipeline, false, &err);
        if (r < 0 && r != -SW_ERR_UNAVAIL && !d->exit_code) {
                sw_log(d->log, SW_LOG_ERROR, "failed", NULL, "pipeline: %s", err.msg);
                d->exit_code = daemon_exit_code(r);
        }
        r = sw__daemon_flush(d);
        if (r < 0 && r != -SW_ERR_UNAVAIL && !d->exit_code)
                d->exit_code = daemon_exit_code(r);
        if (r == 0) {
                sw_alert_export_drain(d->alerts);
                sw__keeper_wait_last(d);
        }
        sw__daemon_commit(d, true);
        sw__daemon_stats(d);
        return d->exit_code;
}

static void daemon_close(struct sw_daemon *d)
{
        uint32_t i;

        daemon_hold_signals(SIG_BLOCK);
        if (d->stop_thread_runs) { /* it may be waiting still */
                (void)pthread_kill(d->stop_thread, SIGTERM);
                (void)pthread_join(d->stop_thread, NULL);
        }
        daemon_leave_in_time(d);
        for (i = 0; i < d->n_sources; i++)
                if (d->sources[i].kafka)
                        sw_source_kafka_stop(d->sources[i].kafka);
                else if (d->sources[i].tail)
                        sw_source_tail_stop(d->sources[i].tail);
        sw__daemon_close_admin(d);
        sw__daemon_stop_outputs(d);
        sw__keeper_stop_thread(d); /* it wakes the loop */
        d->loop = sw_loop_free(d->loop);
        signal(SIGHUP, SIG_IGN); /* threads of the pool do not hold them */
        signal(SIGUSR1, SIG_IGN);
        if (d->pipeline)
                sw_pipeline_stop(d->pipeline);
        sw__keeper_end(d);
        d->pipeline = sw_pipeline_free(d->pipeline);
        for (i = 0; i < d->n_sources; i++) {
                d->sources[i].kafka = sw_source_kafka_free(d->sources[i].kafka);
                d->sources[i].tail = sw_source_tail_free(d->sources[i].tail);
        }
        sw__keeper_close(d);
        sw__daemon_close_outputs(d);
        sw__daemon_close_files(d);
        d->state = sw_state_dir_close(d->state);
        for (i = 0; i < d->n_parts; i++) {
                sw_free(d->parts[i]->source_name);
                sw_free(d->parts[i]->topic);
                sw_free(d->parts[i]);
        }
        sw_free(d->parts);
        sw_free(d->sources);
        sw_offsets_deinit(&d->offsets);
        sw_buf_deinit(&d->bad_lines);
        sw_buf_deinit(&d->stats_line);
        sw_buf_deinit(&d->reloads.need_restart);
        d->log = sw_log_free(d->log);
        (void)daemon_free_confs(d, true);
        pthread_mutex_destroy(&d->parts_lock);
        pthread_mutex_destroy(&d->tally.lock);
        pthread_mutex_destroy(&d->outputs_lock);
        alarm(0);
}

static int daemon_main(struct sw_daemon *d)
{
        int r = sw_log_new(STDERR_FILENO, d->conf->conf.log.level, d->conf->conf.log.format, &d->log);
        sigset_t stop;

        if (r < 0) {
                fprintf(stderr, "segwatch run: out of memory\n");
                return SW_EXIT_FAILURE;
        }
        daemon_stop_set(&stop);
        (void)pthread_sigmask(SIG_BLOCK, &stop, NULL); /* of all threads: one waits for them */
        d->exit_code = daemon_open(d);
        if (d->exit_code)
                return d->exit_code;
        daemon_first_line(d);
        d->watchdog_ms = sw_service_watchdog_ms();
        d->watchdog_moved_ms = d->stats_at_ms = sw_clock_mono().ms;
        daemon_hold_signals(SIG_UNBLOCK);
        sw_service_notify("READY=1");
        (void)malloc_trim(0); /* what the start took */
        sw_loop_run(d->loop);
        d->stop_began = sw_clock_mono();
        sw_service_notify("STOPPING=1");
        atomic_store(&d->stop, true);
        return daemon_finish(d);
}

int sw_daemon_run(const struct sw_daemon_options *options)
{
        struct sw_conf_report *report = sw_calloc(1, sizeof(*report));
        struct sw_daemon *d = sw_calloc(1, sizeof(*d));
        int r;

        if (!report || !d) {
                fprintf(stderr, "segwatch run: out of memory\n");
                sw_free(report);
                sw_free(d);
                return SW_EXIT_FAILURE;
        }
#ifndef __SANITIZE_ADDRESS__ /* its leak check has to look into the process */
        (void)prctl(PR_SET_DUMPABLE, 0);
#endif
        daemon_hold_signals(SIG_BLOCK);
        signal(SIGPIPE, SIG_IGN);
        d->options = *options;
        if (d->options.quiet_ms <= 0)
                d->options.quiet_ms = 5 * SW_MINUTE;
        if (d->options.stats_ms <= 0)
                d->options.stats_ms = SW_MINUTE;
        if (d->options.health_ms <= 0)
                d->options.health_ms = SW_HOUR;
        d->started = sw_clock_mono();
        d->started_wall = d->reloads.at = d->reloads.ok_at = sw_clock_wall();
        pthread_mutex_init(&d->parts_lock, NULL);
        pthread_mutex_init(&d->tally.lock, NULL);
        pthread_mutex_init(&d->outputs_lock, NULL);
        r = sw__daemon_load_conf(d, NULL, &d->conf, report);
        d->boot = d->conf;
        sw_conf_report_print(report);
        sw_free(report);
        if (r == -SW_ERR_NOMEM)
                fprintf(stderr, "segwatch run: out of memory\n");
        r = r == -SW_ERR_CONFIG ? SW_EXIT_CONFIG : r < 0 ? SW_EXIT_FAILURE : daemon_main(d);
        daemon_close(d);
        sw_free(d);
        return r;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "sink/alert_export.h"

#include "base/alloc.h"
#include "sink/alert_resume.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

#define EXPORT_ROWS 512 /* between two syncs, at most */
#define EXPORT_BYTES ((size_t)1 << 20)
#define EXPORT_IDLE_S 1     /* rows may also be queued again by another process */
#define EXPORT_LEAVE_S 2    /* for what is left when it ends */
#define EXPORT_RETRY_MS 500 /* while the disk is full at the start */

enum { EXPORT_FULL = 1 }; /* ends a batch */

struct export_end {
        int64_t number; /* of the row */
        size_t end;     /* of its line in the text */
};

struct sw_alert_export {
        struct sw_outbox *outbox;
        struct sw_log *log;
        struct sw_sink_file *file;
        char *path;
        const atomic_bool *stop;
        void (*on_fail)(void *ctx, int r);
        void *ctx;
        pthread_t thread;
        bool runs;
        struct sw_beat beat;
        pthread_mutex_t lock; /* of all below */
        pthread_cond_t wake, rest;
        bool woken, reopen, closing, resting, ended;
        int64_t leave_at_ms; /* monotonic; once closing */
        atomic_bool waits;   /* for room, before the first line */
        atomic_uint_fast64_t n_lines;
        /* the thread's */
        struct sw_buf text;
        struct export_end ends[EXPORT_ROWS];
        uint32_t n_ends;
};

/* ---- marks ---- */

static int export_mark(struct sw_alert_export *e, int64_t number, bool durable)
{
        struct sw_sink_file_place place;
        char note[SW_ALERT_NOTE];

        sw_sink_file_place(e->file, &place);
        sw_alert_note(place.fd, place.inode, place.size, note);
        return sw_outbox_mark_note(e->outbox, SW_ALERT_SINK, number, sw_str_of(note), durable);
}

/* The file is another one now: what comes next goes there, and a crash must not look for it in the old one. */
static int export_on_switch(void *ctx, size_t done)
{
        struct sw_alert_export *e = ctx;
        int64_t number = 0;
        uint32_t i;

        for (i = 0; i < e->n_ends && e->ends[i].end <= done; i++)
                number = e->ends[i].number;
        return export_mark(e, number, true);
}

/* ---- rows ---- */

static int export_take(void *ctx, const struct sw_outbox_row *row)
{
        struct sw_alert_export *e = ctx;

        sw_buf_put_str(&e->text, row->line);
        sw_buf_putc(&e->text, '\n');
        if (e->text.failed)
                return -SW_ERR_NOMEM;
        e->ends[e->n_ends++] = (struct export_end){ row->number, e->text.n };
        return e->text.n >= EXPORT_BYTES ? EXPORT_FULL : 0;
}

/* One batch. SW_SINK_FILE_x or negative. *ret_any: there was something. */
static int export_batch(struct sw_alert_export *e, bool *ret_any)
{
        int r;

        sw_buf_reset(&e->text);
        e->n_ends = 0;
        r = sw_outbox_read(e->outbox, SW_ALERT_SINK, 0, EXPORT_ROWS, export_take, e);
        if (r == EXPORT_FULL)
                r = 0;
        *ret_any = e->n_ends > 0;
        if (r == 0 && e->n_ends > 0)
                r = sw_sink_file_append(e->file, e->text.p, e->text.n);
        if (r == 0 && e->n_ends > 0) {
                atomic_fetch_add(&e->n_lines, e->n_ends);
                r = sw_sink_file_sync(e->file);
        }
        /* not fsynced: what a power cut takes back of the mark is found in the file */
        if (r == 0 && e->n_ends > 0)
                r = export_mark(e, e->ends[e->n_ends - 1].number, false);
        e->n_ends = 0;
        return r;
}

/* ---- thread ---- */

static int64_t export_now_ms(void)
{
        struct timespec now;

        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool export_is_late(const struct sw_alert_export *e)
{
        return export_now_ms() >= e->leave_at_ms;
}

/* Waits until there may be something to do. False: it is time to go. idle: there was nothing just now. */
static bool export_wait(struct sw_alert_export *e, bool idle)
{
        struct timespec until;
        bool reopen, go_on;

        (void)clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += EXPORT_IDLE_S;
        pthread_mutex_lock(&e->lock);
        if (idle && !e->woken && !e->reopen && !e->closing) {
                e->resting = true;
                pthread_cond_broadcast(&e->rest);
                (void)pthread_cond_timedwait(&e->wake, &e->lock, &until);
                e->resting = false;
        }
        reopen = e->reopen;
        go_on = !e->closing || (!export_is_late(e) && (!idle || e->woken));
        e->woken = e->reopen = false;
        pthread_mutex_unlock(&e->lock);
        if (reopen)
                sw_sink_file_reopen(e->file);
        return go_on;
}

/* false: told to stop. */
static bool export_pause(struct sw_alert_export *e)
{
        const struct timespec step = { .tv_nsec = EXPORT_RETRY_MS * 1000000L / 10 };
        int i;

        for (i = 0; i < 10; i++) {
                if (e->stop && atomic_load(e->stop))
                        return false;
                nanosleep(&step, NULL);
        }
        return true;
}

/* What a crash left behind. */
static int export_resume(struct sw_alert_export *e)
{
        int64_t number = 0;
        int r;

        while ((r = sw_alert_resume(e->outbox, e->path, e->log, &number)) == SW_ALERT_NO_ROOM || r == -SW_ERR_UNAVAIL) {
                atomic_store(&e->waits, true);
                sw_log(e->log, SW_LOG_ERROR, "file_write", e->path, "%s; findings wait in the outbox, none is lost",
                        r == SW_ALERT_NO_ROOM ? "no room to complete a line"
                                              : "the outbox is locked by another process");
                if (!export_pause(e))
                        return SW_SINK_FILE_STOPPED;
        }
        atomic_store(&e->waits, false);
        if (r < 0)
                return r;
        sw_sink_file_refresh(e->file);
        return export_mark(e, number, true);
}

static void *export_main(void *arg)
{
        struct sw_alert_export *e = arg;
        bool any = true;
        int r;

        (void)pthread_setname_np(pthread_self(), e->beat.name);
        sw_beat_busy(&e->beat);
        r = export_resume(e);
        sw_beat_idle(&e->beat);
        while (r == 0 && export_wait(e, !any)) {
                sw_beat_busy(&e->beat);
                r = export_batch(e, &any);
                sw_beat_idle(&e->beat);
                if (r == -SW_ERR_UNAVAIL) { /* somebody holds the database: soon again */
                        any = false;
                        r = 0;
                }
        }
        pthread_mutex_lock(&e->lock);
        e->ended = true;
        pthread_cond_broadcast(&e->rest);
        pthread_mutex_unlock(&e->lock);
        if (r < 0)
                sw_log(e->log, SW_LOG_ERROR, "alert_export", e->path, "no more findings are written: %s",
                        sw_error_text(r));
        if (r < 0 && e->on_fail)
                e->on_fail(e->ctx, r);
        return NULL;
}

/* ---- outside ---- */

static int export_open(struct sw_alert_export *e, const struct sw_alert_export_conf *conf, struct sw_err *reterr)
{
        struct sw_sink_file_conf file = { .path = conf->path,
                .rotate_bytes = conf->rotate_bytes,
                .keep = conf->keep,
                .stop = conf->stop,
                .when_full = "findings wait in the outbox, none is lost",
                .keep_torn = true,
                .on_switch = export_on_switch,
                .ctx = e };
        int r = sw_outbox_sink(e->outbox, SW_ALERT_SINK, 0);

        if (r != 0)
                return sw_err_set(
                        reterr, r < 0 ? r : -SW_ERR_UNAVAIL, "outbox: %s", sw_error_text(r < 0 ? r : -SW_ERR_UNAVAIL));
        e->path = sw_strdup(conf->path);
        if (!e->path)
                return sw_err_set(reterr, -SW_ERR_NOMEM, "out of memory");
        r = sw_sink_file_open(&file, e->log, &e->file, reterr);
        if (r < 0)
                return r;
        if (pthread_create(&e->thread, NULL, export_main, e) != 0)
                return sw_err_set(reterr, -SW_ERR_NOMEM, "no thread for the alert file");
        e->runs = true;
        return 0;
}

int sw_alert_export_new(const struct sw_alert_export_conf *conf, struct sw_log *log, struct sw_alert_export **ret,
        struct sw_err *reterr)
{
        struct sw_alert_export *e = sw_calloc(1, sizeof(*e));
        pthread_condattr_t monotonic;
        int r;

        if (!e)
                return sw_err_set(reterr, -SW_ERR_NOMEM, "out of memory");
        pthread_mutex_init(&e->lock, NULL);
        pthread_condattr_init(&monotonic);
        (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
        pthread_cond_init(&e->wake, &monotonic);
        pthread_cond_init(&e->rest, &monotonic);
        pthread_condattr_destroy(&monotonic);
        e->beat.name = "alerts";
        e->outbox = conf->outbox;
        e->log = log;
        e->stop = conf->stop;
        e->on_fail = conf->on_fail;
        e->ctx = conf->ctx;
        r = export_open(e, conf, reterr);
        if (r < 0) {
                sw_alert_export_free(e);
                return r;
        }
        *ret = e;
        return 0;
}

const struct sw_beat *sw_alert_export_beat(const struct sw_alert_export *e)
{
        return &e->beat;
}

struct sw_alert_export *sw_alert_export_free(struct sw_alert_export *e)
{
        if (!e)
                return NULL;
        if (e->runs) {
                pthread_mutex_lock(&e->lock);
                e->leave_at_ms = export_now_ms() + EXPORT_LEAVE_S * 1000;
                e->closing = e->woken = true;
                pthread_cond_signal(&e->wake);
                pthread_mutex_unlock(&e->lock);
                pthread_join(e->thread, NULL);
        }
        sw_sink_file_close(e->file);
        pthread_cond_destroy(&e->wake);
        pthread_cond_destroy(&e->rest);
        pthread_mutex_destroy(&e->lock);
        sw_buf_deinit(&e->text);
        sw_free(e->path);
        sw_free(e);
        return NULL;
}

void sw_alert_export_drain(struct sw_alert_export *e)
{
        struct timespec until;

        (void)clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += EXPORT_LEAVE_S;
        pthread_mutex_lock(&e->lock);
        e->woken = true;
        pthread_cond_signal(&e->wake);
        while ((e->woken || !e->resting) && !e->ended)
                if (pthread_cond_timedwait(&e->rest, &e->lock, &until) != 0)
                        break;
        pthread_mutex_unlock(&e->lock);
}

void sw_alert_export_wake(struct sw_alert_export *e)
{
        pthread_mutex_lock(&e->lock);
        e->woken = true;
        pthread_cond_signal(&e->wake);
        pthread_mutex_unlock(&e->lock);
}

void sw_alert_export_reopen(struct sw_alert_export *e)
{
        pthread_mutex_lock(&e->lock);
        e->reopen = true;
        pthread_cond_signal(&e->wake);
        pthread_mutex_unlock(&e->lock);
}

bool sw_alert_export_is_blocked(const struct sw_alert_export *e)
{
        return atomic_load(&e->waits) || sw_sink_file_is_blocked(e->file);
}

uint64_t sw_alert_export_lines(const struct sw_alert_export *e)
{
        return atomic_load(&e->n_lines);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots: begun by the engine thread right after a release, read and written by a thread of their own, counting once
 * the release before them is committed. */
#include "base/alloc.h"
#include "clock.h"
#include "daemon_keeper.h"

#include <time.h>

#define SNAPSHOT_BYTES_PER_S (INT64_C(8) << 20)         /* on average, not more */
#define SNAPSHOT_LAST_MS 2500                           /* the last one of a process has to be through by then */
#define SNAPSHOT_LAST_BYTES_PER_MS (INT64_C(100) << 10) /* of a disk that nothing is known of; it is tried */
#define SNAPSHOT_GIVE_UP_MS 500
#define SNAPSHOT_COMMIT_POLL_NS 5000000
#define SNAPSHOT_MANY_ROWS 100u
#define SNAPSHOT_PAUSE_NS 100000
#define SNAPSHOT_FAILED_TELL 3u
#define SNAPSHOT_FAILED_AGAIN_MS SW_HOUR

/* ---- engine thread ---- */

/* The copy buffers are full: the disk is slower than the engine. To spin would only take the core from the writer. */
static void snapshot_pause(void *ctx)
{
        const struct timespec pause = { .tv_nsec = SNAPSHOT_PAUSE_NS };

        (void)ctx;
        (void)nanosleep(&pause, NULL);
}

void sw__keeper_begin(struct sw_daemon *d, struct sw_engine *e, const struct sw_outbox_release *r)
{
        struct sw__keeper *k = d->keeper;
        struct sw_snapshot_conf conf = { .wait = snapshot_pause };
        struct sw_snapshot *snapshot = NULL;
        struct sw_buf extra = SW_BUF_NULL;
        int code = -SW_ERR_NOMEM;

        if (!atomic_load_explicit(&k->wanted, memory_order_relaxed) || atomic_load(&k->stage) != SW__KEEPER_IDLE)
                return;
        atomic_store(&k->wanted, false);
        sw_cover_print(r, &extra);
        conf.extra = (struct sw_str){ extra.p, extra.n };
        if (!extra.failed)
                code = sw_snapshot_begin_as(e, &conf, &snapshot);
        sw_buf_deinit(&extra);
        if (code != 0) {
                atomic_fetch_add(&k->n_failed, 1);
                sw_log(d->log, SW_LOG_ERROR, "snapshot", NULL, "not taken: %s", sw_error_text(code));
                return;
        }
        pthread_mutex_lock(&k->lock);
        k->snapshot = snapshot;
        k->number = r->number;
        k->began_ms = sw_clock_mono().ms;
        k->working = true;
        atomic_store(&k->stage, SW__KEEPER_READING);
        pthread_cond_broadcast(&k->wake);
        pthread_mutex_unlock(&k->lock);
}

void sw__keeper_end(struct sw_daemon *d)
{
        struct sw__keeper *k = d->keeper;

        if (!k || !k->snapshot)
                return;
        k->snapshot = sw_snapshot_end(k->snapshot);
        atomic_store(&k->stage, SW__KEEPER_IDLE);
}

/* ---- the thread ---- */

struct snapshot_pull {
        struct sw__keeper *keeper;
        uint64_t bytes;
        bool is_over;
};

/* k->snapshot is the engine's again, which is slowed down no more: the disk may take its time. */
static void snapshot_read(struct snapshot_pull *p)
{
        p->is_over = true;
        atomic_store_explicit(&p->keeper->stage, SW__KEEPER_READ, memory_order_release);
}

static int snapshot_pull(void *ctx, void *buf, size_t n, size_t *ret_n)
{
        struct snapshot_pull *p = ctx;
        int r = sw_snapshot_read(p->keeper->snapshot, buf, n, ret_n);

        p->bytes += r == 0 ? *ret_n : 0;
        if (r == 0 && *ret_n == 0)
                snapshot_read(p);
        return r;
}

/* It counts only once the release before it does. */
static bool snapshot_wait_commit(struct sw_daemon *d, uint64_t number)
{
        const struct timespec pause = { .tv_nsec = SNAPSHOT_COMMIT_POLL_NS };

        while (sw__daemon_committed(d) < number) {
                if (atomic_load(&d->keeper->give_up))
                        return false;
                (void)nanosleep(&pause, NULL);
        }
        return true;
}

static void snapshot_failed(struct sw_daemon *d, uint64_t number, int code, const struct sw_err *err)
{
        struct sw__keeper *k = d->keeper;

        if (code == SW_SNAPSHOTS_STOPPED)
                return;
        atomic_fetch_add(&k->n_failed, 1);
        atomic_fetch_add(&k->n_failed_in_a_row, 1);
        sw_log(d->log, SW_LOG_ERROR, "snapshot", NULL,
                code == SW_SNAPSHOTS_FULL
                        ? "snapshot %llu skipped, the disk is full: %s; the next one is tried as usual"
                        : "snapshot %llu failed: %s; the next one goes to a new file. Until one succeeds a restart "
                          "repeats more",
                (unsigned long long)number, err->msg);
}

static void snapshot_publish(struct sw_daemon *d, uint64_t number, const struct snapshot_pull *p)
{
        struct sw__keeper *k = d->keeper;
        struct sw_err err = SW_ERR_NULL;
        uint64_t oldest = 0;
        int r = sw_snapshots_publish(k->files, number, &oldest, &err);

        if (r < 0) {
                snapshot_failed(d, number, r, &err);
                return;
        }
        atomic_store(&k->last_took_ms, (uint64_t)(sw_clock_mono().ms - k->began_ms));
        atomic_store(&k->last_bytes, p->bytes);
        atomic_store(&k->last_wall_ms, sw_clock_wall().ms);
        atomic_store(&k->last_number, number);
        atomic_store(&k->n_failed_in_a_row, 0);
        atomic_fetch_add(&k->n_written, 1);
        sw_log(d->log, SW_LOG_DEBUG, "snapshot", NULL, "snapshot %llu: %llu bytes in %llu ms",
                (unsigned long long)number, (unsigned long long)p->bytes,
                (unsigned long long)atomic_load(&k->last_took_ms));
        /* the row of the older one stays: it names the configuration that it is loaded under */
        if (oldest > 1)
                (void)sw_outbox_forget(d->outbox, oldest - 1);
        sw_watch_wake(k->published);
}

static void snapshot_write(struct sw_daemon *d, uint64_t number)
{
        struct sw__keeper *k = d->keeper;
        struct snapshot_pull p = { .keeper = k };
        struct sw_err err = SW_ERR_NULL;
        int r = sw_snapshots_write(k->files, number, snapshot_pull, &p, &k->give_up, &err);

        if (!p.is_over) {
                sw_snapshot_abandon(k->snapshot); /* the engine must not wait for a reader that is gone */
                snapshot_read(&p);
        }
        if (r != 0)
                snapshot_failed(d, number, r, &err);
        else if (snapshot_wait_commit(d, number))
                snapshot_publish(d, number, &p);
        else
                sw_snapshots_give_up(k->files, number);
}

static void *snapshot_main(void *arg)
{
        struct sw_daemon *d = arg;
        struct sw__keeper *k = d->keeper;

        pthread_mutex_lock(&k->lock);
        for (;;) {
                while (!k->quit && !k->working)
                        pthread_cond_wait(&k->wake, &k->lock);
                if (k->quit)
                        break;
                pthread_mutex_unlock(&k->lock);
                snapshot_write(d, k->number);
                pthread_mutex_lock(&k->lock);
                k->working = false;
                pthread_cond_broadcast(&k->wake);
        }
        pthread_mutex_unlock(&k->lock);
        return NULL;
}

int sw__keeper_start_thread(struct sw_daemon *d, struct sw_err *reterr)
{
        struct sw__keeper *k = d->keeper;

        if (pthread_create(&k->thread, NULL, snapshot_main, d) != 0)
                return sw_err_set(reterr, -SW_ERR_NOMEM, "the thread that writes snapshots cannot be started");
        k->thread_runs = true;
        return 0;
}

void sw__keeper_stop_thread(struct sw_daemon *d)
{
        struct sw__keeper *k = d->keeper;

        if (!k || !k->thread_runs)
                return;
        atomic_store(&k->give_up, true);
        pthread_mutex_lock(&k->lock);
        k->quit = true;
        pthread_cond_broadcast(&k->wake);
        pthread_mutex_unlock(&k->lock);
        (void)pthread_join(k->thread, NULL);
        k->thread_runs = false;
}

/* ---- loop ---- */

static bool snapshot_working(struct sw__keeper *k)
{
        bool working;

        pthread_mutex_lock(&k->lock);
        working = k->working;
        pthread_mutex_unlock(&k->lock);
        return working;
}

static void snapshot_tell_failures(struct sw_daemon *d, int64_t now)
{
        struct sw__keeper *k = d->keeper;

        if (atomic_load(&k->n_failed_in_a_row) < SNAPSHOT_FAILED_TELL ||
                (k->failed_told_ms && now - k->failed_told_ms < SNAPSHOT_FAILED_AGAIN_MS))
                return;
        k->failed_told_ms = now;
        sw__daemon_health(d, "snapshot", "state.dir", sw_clock_wall(), "Snapshots of the state fail",
                "Several snapshots in a row could not be written to state.dir (the log says why): nothing is lost, but "
                "the release log grows, and a restart takes longer with every hour.");
}

/* What the last one cost decides when the next one may begin. */
static int64_t snapshot_interval(const struct sw_daemon *d)
{
        int64_t interval = d->options.checkpoint_ms > 0 ? d->options.checkpoint_ms : d->conf->conf.state.checkpoint_ms;
        int64_t paced = (int64_t)atomic_load(&d->keeper->last_bytes) * 1000 / SNAPSHOT_BYTES_PER_S;

        return d->options.checkpoint_ms > 0 || interval > paced ? interval : paced;
}

void sw__keeper_watch(void *daemon)
{
        struct sw_daemon *d = daemon;
        struct sw__keeper *k = d->keeper;
        int64_t now = sw_clock_mono().ms;
        struct sw_pipeline_progress p;

        snapshot_tell_failures(d, now);
        if (k->repeating || now < k->due_ms || atomic_load(&k->wanted) || snapshot_working(k))
                return;
        if (k->due_ms == 0 &&
                k->n_rows < SNAPSHOT_MANY_ROWS) { /* what took long to repeat should not be repeated again */
                k->due_ms = now + snapshot_interval(d);
                return;
        }
        sw_pipeline_progress(d->pipeline, &p);
        /* nothing happened since the last one */
        if (atomic_load(&k->row) == atomic_load(&k->last_number) && p.items_taken == k->items_at_row)
                return;
        k->items_at_row = p.items_taken;
        k->due_ms = now + snapshot_interval(d);
        atomic_store(&k->wanted, true);
}

int sw__keeper_ask(struct sw_daemon *d, struct sw_err *reterr)
{
        struct sw__keeper *k = d->keeper;

        if (k->repeating)
                return sw_err_set(reterr, -SW_ERR_UNAVAIL,
                        "what came after the last snapshot is being repeated: try again later");
        if (snapshot_working(k))
                return sw_err_set(reterr, -SW_ERR_UNAVAIL, "a snapshot is on its way");
        atomic_store(&k->wanted, true);
        return 0;
}

/* ---- the end of a process ---- */

/* Until none is on its way; false: one still is after that time. */
static bool snapshot_wait(struct sw__keeper *k, int64_t ms)
{
        struct timespec until;
        bool idle;

        (void)clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += (long)(ms % 1000) * 1000000;
        until.tv_sec += ms / 1000 + until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_mutex_lock(&k->lock);
        while (k->working)
                if (pthread_cond_timedwait(&k->wake, &k->lock, &until) != 0)
                        break;
        idle = !k->working;
        pthread_mutex_unlock(&k->lock);
        return idle;
}

void sw__keeper_want_last(struct sw_daemon *d)
{
        struct sw__keeper *k = d->keeper;
        int64_t took = (int64_t)atomic_load(&k->last_took_ms), bytes = (int64_t)atomic_load(&k->last_bytes);
        struct sw_pipeline_progress p;

        if (k->repeating)
                return;
        sw_pipeline_progress(d->pipeline, &p);
        if (took == 0) /* none was written by this process */
                took = (bytes ? bytes : (int64_t)p.engine.bytes) / SNAPSHOT_LAST_BYTES_PER_MS;
        if (took > SNAPSHOT_LAST_MS) {
                sw_log(d->log, SW_LOG_INFO, "snapshot", NULL,
                        "no last one: it would take %lld ms; the next start repeats the releases since the one before",
                        (long long)took);
                return;
        }
        /* one under way gives way: the last one covers more */
        atomic_store(&k->give_up, true);
        if (!snapshot_wait(k, SNAPSHOT_GIVE_UP_MS))
                return;
        atomic_store(&k->give_up, false);
        atomic_store(&k->wanted, true);
}

void sw__keeper_wait_last(struct sw_daemon *d)
{
        if (!snapshot_wait(d->keeper, SNAPSHOT_LAST_MS))
                sw_log(d->log, SW_LOG_WARNING, "snapshot", NULL, "the last one took too long and is dropped");
}

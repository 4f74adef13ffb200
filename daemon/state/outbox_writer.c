/* SPDX-License-Identifier: Apache-2.0 */
#include "state/outbox_writer.h"

#include "base/alloc.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

#define WRITER_BYTES ((size_t)16 << 20)
#define WRITER_ENTRIES 1024
#define WRITER_GROUP 256 /* entries of one transaction, at most */
#define WRITER_POLL_MS 50
#define WRITER_TEND_S 15

struct writer_item {
        struct writer_item *next;
        struct sw_outbox_release release;
        bool has_release;
        struct sw_outbox_offset *offsets;
        struct sw_arena texts;
        struct sw_lines findings;
};

struct sw_outbox_writer {
        struct sw_outbox *outbox;
        size_t max_bytes;
        uint32_t max_entries;
        const atomic_bool *stop;
        void (*on_commit)(void *ctx);
        void (*on_fail)(void *ctx, int r);
        void *ctx;
        pthread_t thread;
        bool runs;
        struct sw_beat beat;
        pthread_mutex_t lock; /* of all below */
        pthread_cond_t work, moved;
        struct writer_item *first, **last;
        size_t bytes;
        uint32_t n;
        uint64_t put, committed; /* tickets */
        uint64_t release;        /* committed */
        bool closing;
        int ended; /* negative: nothing is committed any more */
};

/* ---- items ---- */

static struct writer_item *writer_free_item(struct writer_item *it)
{
        sw_lines_deinit(&it->findings);
        sw_arena_deinit(&it->texts);
        sw_free(it->offsets);
        sw_free(it);
        return NULL;
}

static int writer_copy_release(struct writer_item *it, const struct sw_outbox_release *r)
{
        uint32_t i;

        it->has_release = true;
        it->release = *r;
        it->release.offsets = NULL;
        if (r->n_offsets == 0)
                return 0;
        it->offsets = sw_calloc(r->n_offsets, sizeof(*it->offsets));
        if (!it->offsets)
                return -SW_ERR_NOMEM;
        for (i = 0; i < r->n_offsets; i++) {
                struct sw_outbox_offset *f = &it->offsets[i];

                *f = r->offsets[i];
                f->source = sw_arena_copy(&it->texts, f->source, strlen(f->source));
                f->topic = sw_arena_copy(&it->texts, f->topic, strlen(f->topic));
                if (!f->source || !f->topic)
                        return -SW_ERR_NOMEM;
        }
        it->release.offsets = it->offsets;
        return 0;
}

static int writer_copy_lines(struct writer_item *it, const struct sw_lines *l)
{
        it->findings.items = sw_calloc(l->n, sizeof(*l->items));
        sw_buf_put(&it->findings.text, l->text.p, l->text.n);
        if (!it->findings.items || it->findings.text.failed)
                return -SW_ERR_NOMEM;
        memcpy(it->findings.items, l->items, l->n * sizeof(*l->items));
        it->findings.n = it->findings.cap = l->n;
        return 0;
}

static struct writer_item *writer_make_item(const struct sw_outbox_release *r, const struct sw_lines *findings)
{
        struct writer_item *it = sw_calloc(1, sizeof(*it));

        if (!it)
                return NULL; /* no memory */
        if (r && writer_copy_release(it, r) < 0)
                return writer_free_item(it);
        if (findings && findings->n && writer_copy_lines(it, findings) < 0)
                return writer_free_item(it);
        return it;
}

/* ---- thread ---- */

static void writer_deadline(struct timespec *t, int64_t ms)
{
        (void)clock_gettime(CLOCK_MONOTONIC, t);
        t->tv_sec += ms / 1000;
        t->tv_nsec += (long)(ms % 1000) * 1000000;
        t->tv_sec += t->tv_nsec / 1000000000;
        t->tv_nsec %= 1000000000;
}

/* What goes into one transaction, cut off the queue; its room stays taken until it is committed. */
static struct writer_item *writer_take(struct sw_outbox_writer *w, uint32_t *ret_n, size_t *ret_bytes)
{
        struct writer_item *all = w->first, *it = all;

        *ret_n = 1;
        *ret_bytes = it->findings.text.n;
        for (; it->next && *ret_n < WRITER_GROUP; ++*ret_n) {
                it = it->next;
                *ret_bytes += it->findings.text.n;
        }
        w->first = it->next;
        if (!w->first)
                w->last = &w->first;
        it->next = NULL;
        return all;
}

static int writer_commit(struct sw_outbox_writer *w, struct writer_item *all, uint64_t *ret_release)
{
        struct sw_outbox_entry entries[WRITER_GROUP];
        struct writer_item *it;
        uint32_t n = 0;

        *ret_release = 0;
        for (it = all; it; it = it->next) {
                entries[n++] = (struct sw_outbox_entry){ it->has_release ? &it->release : NULL, &it->findings };
                if (it->has_release)
                        *ret_release = it->release.number;
        }
        return sw_outbox_commit_all(w->outbox, entries, n);
}

/* Called with the lock. False: told to go, or nothing more can be done. */
static bool writer_wait_work(struct sw_outbox_writer *w)
{
        struct timespec until;

        while (!w->first && !w->closing && !w->ended) {
                writer_deadline(&until, WRITER_TEND_S * 1000);
                if (pthread_cond_timedwait(&w->work, &w->lock, &until) == 0 || w->first)
                        continue;
                pthread_mutex_unlock(&w->lock);
                (void)sw_outbox_tend(w->outbox); /* what fails shows with the next commit */
                pthread_mutex_lock(&w->lock);
        }
        return w->first && !w->ended;
}

static void *writer_main(void *arg)
{
        struct sw_outbox_writer *w = arg;
        struct writer_item *all, *next;
        uint64_t release;
        size_t bytes;
        uint32_t n;
        int r;

        (void)pthread_setname_np(pthread_self(), w->beat.name);
        pthread_mutex_lock(&w->lock);
        while (writer_wait_work(w)) {
                all = writer_take(w, &n, &bytes);
                sw_beat_busy(&w->beat);
                pthread_mutex_unlock(&w->lock);
                r = writer_commit(w, all, &release);
                for (; all; all = next) {
                        next = all->next;
                        writer_free_item(all);
                }
                if (r == 0 && w->on_commit)
                        w->on_commit(w->ctx);
                pthread_mutex_lock(&w->lock);
                sw_beat_idle(&w->beat);
                w->n -= n;
                w->bytes -= bytes;
                if (r == 0)
                        w->committed += n;
                if (r == 0 && release)
                        w->release = release;
                if (r != 0)
                        w->ended = r == SW_OUTBOX_STOPPED ? -SW_ERR_UNAVAIL : r;
                pthread_cond_broadcast(&w->moved);
                if (r < 0 && w->on_fail) {
                        pthread_mutex_unlock(&w->lock);
                        w->on_fail(w->ctx, r);
                        pthread_mutex_lock(&w->lock);
                }
        }
        if (!w->ended)
                w->ended = -SW_ERR_UNAVAIL;
        pthread_cond_broadcast(&w->moved);
        pthread_mutex_unlock(&w->lock);
        return NULL;
}

const struct sw_beat *sw_outbox_writer_beat(const struct sw_outbox_writer *w)
{
        return &w->beat;
}

int sw_outbox_writer_new(const struct sw_outbox_writer_conf *conf, struct sw_outbox_writer **ret)
{
        struct sw_outbox_writer *w = sw_calloc(1, sizeof(*w));
        pthread_condattr_t monotonic;

        if (!w)
                return -SW_ERR_NOMEM;
        w->beat.name = "outbox";
        w->outbox = conf->outbox;
        w->max_bytes = conf->max_bytes ? conf->max_bytes : WRITER_BYTES;
        w->max_entries = conf->max_entries ? conf->max_entries : WRITER_ENTRIES;
        w->stop = conf->stop;
        w->on_commit = conf->on_commit;
        w->on_fail = conf->on_fail;
        w->ctx = conf->ctx;
        w->last = &w->first;
        pthread_mutex_init(&w->lock, NULL);
        pthread_condattr_init(&monotonic);
        (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
        pthread_cond_init(&w->work, &monotonic);
        pthread_cond_init(&w->moved, &monotonic);
        pthread_condattr_destroy(&monotonic);
        if (pthread_create(&w->thread, NULL, writer_main, w) != 0) {
                sw_outbox_writer_free(w);
                return -SW_ERR_NOMEM;
        }
        w->runs = true;
        *ret = w;
        return 0;
}

struct sw_outbox_writer *sw_outbox_writer_free(struct sw_outbox_writer *w)
{
        struct writer_item *next;

        if (!w)
                return NULL;
        if (w->runs) {
                pthread_mutex_lock(&w->lock);
                w->closing = true;
                pthread_cond_signal(&w->work);
                pthread_mutex_unlock(&w->lock);
                pthread_join(w->thread, NULL);
        }
        for (; w->first; w->first = next) {
                next = w->first->next;
                writer_free_item(w->first);
        }
        pthread_cond_destroy(&w->work);
        pthread_cond_destroy(&w->moved);
        pthread_mutex_destroy(&w->lock);
        sw_free(w);
        return NULL;
}

/* ---- callers ---- */

/* Called with the lock, which it gives up meanwhile. 0 or negative. */
static int writer_wait_room(struct sw_outbox_writer *w, size_t bytes)
{
        struct timespec until;

        while (!w->ended && w->n > 0 && (w->n >= w->max_entries || w->bytes + bytes > w->max_bytes)) {
                if (w->stop && atomic_load(w->stop) && sw_outbox_is_blocked(w->outbox))
                        return -SW_ERR_UNAVAIL;
                writer_deadline(&until, WRITER_POLL_MS);
                (void)pthread_cond_timedwait(&w->moved, &w->lock, &until);
        }
        return w->ended;
}

int sw_outbox_writer_put(struct sw_outbox_writer *w, const struct sw_outbox_release *release,
        const struct sw_lines *findings, uint64_t *ret_ticket)
{
        struct writer_item *it = writer_make_item(release, findings);
        int r;

        if (!it)
                return -SW_ERR_NOMEM;
        pthread_mutex_lock(&w->lock);
        r = writer_wait_room(w, it->findings.text.n);
        if (r == 0) {
                *w->last = it;
                w->last = &it->next;
                w->n++;
                w->bytes += it->findings.text.n;
                w->put++;
                if (ret_ticket)
                        *ret_ticket = w->put;
                pthread_cond_signal(&w->work);
        }
        pthread_mutex_unlock(&w->lock);
        if (r < 0)
                writer_free_item(it);
        return r;
}

uint64_t sw_outbox_writer_ticket(struct sw_outbox_writer *w)
{
        uint64_t ticket;

        pthread_mutex_lock(&w->lock);
        ticket = w->put;
        pthread_mutex_unlock(&w->lock);
        return ticket;
}

int sw_outbox_writer_wait(struct sw_outbox_writer *w, uint64_t ticket)
{
        int r;

        pthread_mutex_lock(&w->lock);
        while (w->committed < ticket && !w->ended)
                pthread_cond_wait(&w->moved, &w->lock);
        r = w->committed >= ticket ? 0 : w->ended;
        pthread_mutex_unlock(&w->lock);
        return r;
}

uint64_t sw_outbox_writer_release(struct sw_outbox_writer *w)
{
        uint64_t number;

        pthread_mutex_lock(&w->lock);
        number = w->release;
        pthread_mutex_unlock(&w->lock);
        return number;
}

int sw_outbox_writer_wait_release(struct sw_outbox_writer *w, uint64_t number)
{
        int r;

        pthread_mutex_lock(&w->lock);
        while (w->release < number && !w->ended)
                pthread_cond_wait(&w->moved, &w->lock);
        r = w->release >= number ? 0 : w->ended;
        pthread_mutex_unlock(&w->lock);
        return r;
}

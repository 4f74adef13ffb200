/* SPDX-License-Identifier: Apache-2.0 */
#include "loop.h"

#include "base/alloc.h"

#include <assert.h>
#include <uv.h>

struct sw_loop {
        uv_loop_t uv;
};

struct sw_watch {
        union {
                uv_handle_t handle;
                uv_timer_t timer;
                uv_signal_t signal;
                uv_poll_t poll;
                uv_async_t async;
        };
        sw_watch_fn fn;
        sw_poll_fn poll_fn;
        int fd; /* of poll_fn */
        void *ctx;
        int64_t repeat_ms;
};

struct loop_work {
        uv_work_t req;
        sw_watch_fn work, done;
        void *ctx;
};

int sw_loop_new(struct sw_loop **ret)
{
        struct sw_loop *l = sw_calloc(1, sizeof(*l));

        if (!l)
                return -SW_ERR_NOMEM;
        if (uv_loop_init(&l->uv) != 0) {
                sw_free(l);
                return -SW_ERR_IO;
        }
        *ret = l;
        return 0;
}

static void loop_closed(uv_handle_t *h)
{
        sw_free(h->data);
}

static void loop_close_left(uv_handle_t *h, void *arg)
{
        (void)arg;
        if (!uv_is_closing(h))
                uv_close(h, loop_closed);
}

struct sw_loop *sw_loop_free(struct sw_loop *l)
{
        int r;

        if (!l)
                return NULL;
        uv_walk(&l->uv, loop_close_left, NULL);
        while (uv_run(&l->uv, UV_RUN_DEFAULT) != 0) /* returns at once if it was told to stop and has not run since */
                ;
        r = uv_loop_close(&l->uv);
        assert(r == 0);
        (void)r;
        sw_free(l);
        return NULL;
}

void sw_loop_run(struct sw_loop *l)
{
        uv_run(&l->uv, UV_RUN_DEFAULT);
}

void sw_loop_stop(struct sw_loop *l)
{
        uv_stop(&l->uv);
}

static struct sw_watch *loop_watch(sw_watch_fn fn, void *ctx)
{
        struct sw_watch *w = sw_calloc(1, sizeof(*w));

        if (w) {
                w->fn = fn;
                w->ctx = ctx;
        }
        return w;
}

/* The handle is initialised: libuv owns the memory until its close callback. */
static int loop_adopt(struct sw_watch *w, int r, struct sw_watch **ret)
{
        if (r != 0) {
                sw_watch_close(w);
                return -SW_ERR_IO;
        }
        *ret = w;
        return 0;
}

static void loop_on_timer(uv_timer_t *t)
{
        struct sw_watch *w = t->data;

        w->fn(w->ctx);
}

static void loop_on_signal(uv_signal_t *s, int signum)
{
        struct sw_watch *w = s->data;

        (void)signum;
        w->fn(w->ctx);
}

static void loop_on_poll(uv_poll_t *p, int status, int events)
{
        struct sw_watch *w = p->data;

        (void)status;
        (void)events;
        w->fn(w->ctx);
}

static void loop_on_async(uv_async_t *a)
{
        struct sw_watch *w = a->data;

        w->fn(w->ctx);
}

int sw_loop_timer(
        struct sw_loop *l, int64_t first_ms, int64_t repeat_ms, sw_watch_fn fn, void *ctx, struct sw_watch **ret)
{
        struct sw_watch *w = loop_watch(fn, ctx);

        if (!w)
                return -SW_ERR_NOMEM;
        (void)uv_timer_init(&l->uv, &w->timer);
        w->handle.data = w;
        w->repeat_ms = repeat_ms;
        return loop_adopt(w, uv_timer_start(&w->timer, loop_on_timer, (uint64_t)first_ms, (uint64_t)repeat_ms), ret);
}

int sw_loop_signal(struct sw_loop *l, int signum, sw_watch_fn fn, void *ctx, struct sw_watch **ret)
{
        struct sw_watch *w = loop_watch(fn, ctx);

        if (!w)
                return -SW_ERR_NOMEM;
        if (uv_signal_init(&l->uv, &w->signal) != 0) {
                sw_free(w);
                return -SW_ERR_IO;
        }
        w->handle.data = w;
        return loop_adopt(w, uv_signal_start(&w->signal, loop_on_signal, signum), ret);
}

int sw_loop_readable(struct sw_loop *l, int fd, sw_watch_fn fn, void *ctx, struct sw_watch **ret)
{
        struct sw_watch *w = loop_watch(fn, ctx);

        if (!w)
                return -SW_ERR_NOMEM;
        if (uv_poll_init(&l->uv, &w->poll, fd) != 0) {
                sw_free(w);
                return -SW_ERR_IO;
        }
        w->handle.data = w;
        return loop_adopt(w, uv_poll_start(&w->poll, UV_READABLE, loop_on_poll), ret);
}

int sw_loop_socket(struct sw_loop *l, int fd, sw_watch_fn fn, void *ctx, struct sw_watch **ret)
{
        return sw_loop_readable(l, fd, fn, ctx, ret);
}

static void loop_on_ready(uv_poll_t *p, int status, int events)
{
        struct sw_watch *w = p->data;

        w->poll_fn(w->ctx, w->fd, status < 0 || events & UV_READABLE, status < 0 || events & UV_WRITABLE);
}

int sw_loop_poll(struct sw_loop *l, int fd, sw_poll_fn fn, void *ctx, struct sw_watch **ret)
{
        struct sw_watch *w = loop_watch(NULL, ctx);

        if (!w)
                return -SW_ERR_NOMEM;
        if (uv_poll_init(&l->uv, &w->poll, fd) != 0) {
                sw_free(w);
                return -SW_ERR_IO;
        }
        w->handle.data = w;
        w->poll_fn = fn;
        w->fd = fd;
        *ret = w;
        return 0;
}

void sw_watch_want(struct sw_watch *w, bool read, bool write)
{
        int events = (read ? UV_READABLE : 0) | (write ? UV_WRITABLE : 0);

        if (events)
                (void)uv_poll_start(&w->poll, events, w->poll_fn ? loop_on_ready : loop_on_poll);
        else
                (void)uv_poll_stop(&w->poll);
}

int sw_loop_wakeable(struct sw_loop *l, sw_watch_fn fn, void *ctx, struct sw_watch **ret)
{
        struct sw_watch *w = loop_watch(fn, ctx);

        if (!w)
                return -SW_ERR_NOMEM;
        if (uv_async_init(&l->uv, &w->async, loop_on_async) != 0) {
                sw_free(w);
                return -SW_ERR_IO;
        }
        w->handle.data = w;
        *ret = w;
        return 0;
}

void sw_watch_wake(struct sw_watch *w)
{
        if (w)
                (void)uv_async_send(&w->async);
}

void sw_watch_rearm(struct sw_watch *w, int64_t first_ms)
{
        (void)uv_timer_start(&w->timer, loop_on_timer, (uint64_t)first_ms, (uint64_t)w->repeat_ms);
}

struct sw_watch *sw_watch_close(struct sw_watch *w)
{
        if (w && !uv_is_closing(&w->handle))
                uv_close(&w->handle, loop_closed);
        return NULL;
}

static void loop_do_work(uv_work_t *req)
{
        struct loop_work *w = req->data;

        w->work(w->ctx);
}

static void loop_after_work(uv_work_t *req, int status)
{
        struct loop_work *w = req->data;

        (void)status;
        w->done(w->ctx);
        sw_free(w);
}

int sw_loop_work(struct sw_loop *l, sw_watch_fn work, sw_watch_fn done, void *ctx)
{
        struct loop_work *w = sw_calloc(1, sizeof(*w));

        if (!w)
                return -SW_ERR_NOMEM;
        w->req.data = w;
        w->work = work;
        w->done = done;
        w->ctx = ctx;
        if (uv_queue_work(&l->uv, &w->req, loop_do_work, loop_after_work) != 0) {
                sw_free(w);
                return -SW_ERR_IO;
        }
        return 0;
}

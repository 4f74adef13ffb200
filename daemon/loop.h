/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The daemon's event loop: libuv behind watches that all look alike. Everything that may wait (metadata from a broker,
 * a folder on a slow disk) goes through sw_loop_work, which runs it on a thread and comes back to the loop.
 * Threads: one owner, except sw_watch_wake. */
#include "base/err.h"

struct sw_loop;
struct sw_watch;
typedef void (*sw_watch_fn)(void *ctx);

int sw_loop_new(struct sw_loop **ret);
/* Closes what is left; waits for work under way. NULL-safe, returns NULL. */
struct sw_loop *sw_loop_free(struct sw_loop *l);
void sw_loop_run(struct sw_loop *l); /* until stop */
void sw_loop_stop(struct sw_loop *l);

/* A watch lives until it is closed or the loop is freed. 0 | -SW_ERR_NOMEM | -SW_ERR_IO. */
int sw_loop_timer(
        struct sw_loop *l, int64_t first_ms, int64_t repeat_ms, sw_watch_fn fn, void *ctx, struct sw_watch **ret);
int sw_loop_signal(struct sw_loop *l, int signum, sw_watch_fn fn, void *ctx, struct sw_watch **ret);
int sw_loop_readable(struct sw_loop *l, int fd, sw_watch_fn fn, void *ctx, struct sw_watch **ret);
/* The same for a socket; fn finds out by itself what is possible. want: neither = fn is not called for now. Close the
 * watch before the descriptor. */
int sw_loop_socket(struct sw_loop *l, int fd, sw_watch_fn fn, void *ctx, struct sw_watch **ret);
void sw_watch_want(struct sw_watch *w, bool read, bool write);
/* The same, told what is possible (an error is both); waits for nothing until sw_watch_want. */
typedef void (*sw_poll_fn)(void *ctx, int fd, bool readable, bool writable);
int sw_loop_poll(struct sw_loop *l, int fd, sw_poll_fn fn, void *ctx, struct sw_watch **ret);
/* fn runs on the loop some time after sw_watch_wake; several wakes may become one call. */
int sw_loop_wakeable(struct sw_loop *l, sw_watch_fn fn, void *ctx, struct sw_watch **ret);
void sw_watch_wake(struct sw_watch *w);                    /* any thread; NULL-safe */
void sw_watch_rearm(struct sw_watch *w, int64_t first_ms); /* a timer: once more after first_ms, then as before */
struct sw_watch *sw_watch_close(struct sw_watch *w);       /* NULL-safe, returns NULL; fn is not called any more */

/* work runs on a thread of the pool, then done on the loop (also when the loop is being freed). */
int sw_loop_work(struct sw_loop *l, sw_watch_fn work, sw_watch_fn done, void *ctx);

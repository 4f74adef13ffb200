/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A listening socket with a few clients, for protocols of one short request and one answer. Everything is bounded:
 * clients, bytes of a request, and the time for a request or for taking the answer. Whoever finds no place takes that
 * of a client that was silent for a second, or is told so and goes. Threads: the loop's. */
#include "admin/address.h"
#include "base/err.h"
#include "log.h"
#include "loop.h"

#define SW_SERVER_CLIENTS 16u
#define SW_SERVER_REQUEST ((size_t)8 << 10)
#define SW_SERVER_TIMEOUT_MS 5000

enum sw_server_refusal { SW_SERVER_BUSY, SW_SERVER_TOO_LONG, SW_SERVER_TOO_SLOW };

struct sw_server_hooks {
        void *ctx;
        /* What a client has sent so far. 0: more is needed; else how many of the bytes were answered into `out`.
         * *ret_close: the client is let go once it has the answer. */
        size_t (*on_bytes)(void *ctx, struct sw_str sent, struct sw_buf *out, bool *ret_close);
        /* Appends what a client is told that is let go without an answer. */
        void (*on_refused)(void *ctx, enum sw_server_refusal why, struct sw_buf *out);
};

struct sw_server_stats {
        uint64_t requests, refused[3]; /* by enum sw_server_refusal */
        unsigned clients;
};

struct sw_server;
/* A socket of the file system, mode 0600. One that nobody listens on any more is replaced; a living one, or a file of
 * another kind, is an error. -SW_ERR_IO with the reason, -SW_ERR_NOMEM. The path is copied. */
int sw_server_open_unix(const char *path, struct sw_loop *loop, struct sw_log *log, const struct sw_server_hooks *hooks,
        struct sw_server **ret, struct sw_err *reterr);
int sw_server_open_tcp(const struct sw_address *address, struct sw_loop *loop, struct sw_log *log,
        const struct sw_server_hooks *hooks, struct sw_server **ret, struct sw_err *reterr);
/* Also removes the socket's file. NULL-safe, returns NULL. Before the loop is freed. */
struct sw_server *sw_server_close(struct sw_server *s);

struct sw_server_stats sw_server_stats(const struct sw_server *s);
unsigned sw_server_port(const struct sw_server *s); /* that was bound; 0 for a path */

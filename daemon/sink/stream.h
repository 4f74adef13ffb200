/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A connection that takes bytes and never answers (syslog): TCP, TLS over it, or a Unix socket (datagrams, or a stream
 * if that is what listens). It is made when there is something to send, kept, and made anew when it broke. Names are
 * resolved on a thread of the pool; the certificates are read anew for each connection. TLS: 1.2 at least, the name is
 * always verified; a new connection is used once the server has shown, or its silence of 2 s says, that it took our
 * certificate.
 * Threads: the loop's. */
#include "base/err.h"
#include "base/str.h"
#include "config/option.h"
#include "loop.h"
#include "sink/courier.h"

enum sw_stream_kind { SW_STREAM_TCP, SW_STREAM_TLS, SW_STREAM_UNIX };
struct sw_stream_conf { /* texts are copied */
        const char *name;
        enum sw_stream_kind kind;
        const char *host, *port; /* TCP, TLS */
        const char *path;        /* UNIX */
        const char *ca_file;     /* NULL: the system's */
        struct sw_secret_ref client_pem;
        int64_t timeout_ms; /* of one send, from connecting to the last byte */
        /* Once per send, not from within it. DELIVERED: the other end has all of it, as far as its TCP says, and its
         * end is open. TOO_LARGE: a datagram that the socket does not take; nothing was sent. OUTAGE: all else. */
        void (*done)(void *ctx, enum sw_courier_verdict verdict, const char *reason);
        void *ctx;
};

struct sw_stream;
int sw_stream_new(const struct sw_stream_conf *conf, struct sw_loop *loop, struct sw_stream **ret);
/* bytes: stay until done. UNIX: frames "LENGTH TEXT", each becomes a datagram of TEXT; a stream gets them as they are.
 * Nothing: only connects. */
void sw_stream_send(struct sw_stream *s, struct sw_str bytes);
enum sw_courier_cause sw_stream_cause(const struct sw_stream *s); /* why the last one was an outage */
void sw_stream_reset(struct sw_stream *s);                        /* gives up what is under way; no done */
void sw_stream_stop(struct sw_stream *s);                         /* before the loop is freed */
struct sw_stream *sw_stream_free(struct sw_stream *s);            /* after it; NULL-safe, returns NULL */

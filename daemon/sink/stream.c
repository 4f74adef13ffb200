/* SPDX-License-Identifier: Apache-2.0 */
#include "sink/stream.h"

#include "base/alloc.h"
#include "clock.h"
#include "sink/stream_tls.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define STREAM_TICK_MS 10
#define STREAM_CHUNK 16384
#define STREAM_FAR_MS (INT64_C(24) * 3600 * 1000)
/* Under TLS 1.3 the handshake is over for us before the server has judged our certificate, and servers as rsyslog's
 * look at names after it under any version. So nothing is sent before the new connection was quiet for a while: after
 * the server has shown that it goes on, or, where it shows nothing, for longer. */
#define STREAM_SETTLE_MS 250
#define STREAM_QUIET_MS 2000
#define STREAM_DATAGRAM_HEAD 32 /* of SO_SNDBUF; what Linux takes off before it says EMSGSIZE */

enum stream_state {
        STREAM_DOWN,
        STREAM_RESOLVING,
        STREAM_CONNECTING,
        STREAM_HANDSHAKE,
        STREAM_SETTLING, /* TLS: does the server go on with us? */
        STREAM_UP
};

struct sw_stream {
        struct sw_stream_conf conf; /* its texts are owned */
        struct sw_loop *loop;
        enum stream_state state;
        int fd;
        struct sw_watch *io, *timer;
        struct sw_stream_tls *tls;
        bool taken; /* settling: what sw_stream_tls_is_taken said last */
        int64_t quiet_since_ms;
        bool datagrams;                /* UNIX: each frame's text is one; else frames as on TCP */
        struct addrinfo *found, *next; /* addresses; the next one to try */
        int found_error;
        bool resolving, stopped;
        struct sw_str bytes;
        size_t sent;
        bool sending;
        int64_t deadline_ms;
        enum sw_courier_cause cause;
        char last[200]; /* why the last address did not do */
};

static void stream_copy(const char **field, const char *text, bool *ok)
{
        *field = text ? sw_strdup(text) : NULL;
        *ok = *ok && (!text || *field);
}

static void stream_on_tick(void *ctx);

int sw_stream_new(const struct sw_stream_conf *conf, struct sw_loop *loop, struct sw_stream **ret)
{
        struct sw_stream *s = sw_calloc(1, sizeof(*s));
        const char *file, *credential;
        bool ok = true;

        if (!s)
                return -SW_ERR_NOMEM;
        s->conf = *conf;
        stream_copy(&s->conf.name, conf->name, &ok);
        stream_copy(&s->conf.host, conf->host, &ok);
        stream_copy(&s->conf.port, conf->port, &ok);
        stream_copy(&s->conf.path, conf->path, &ok);
        stream_copy(&s->conf.ca_file, conf->ca_file, &ok);
        stream_copy(&file, conf->client_pem.file, &ok);
        stream_copy(&credential, conf->client_pem.credential, &ok);
        s->conf.client_pem = (struct sw_secret_ref){ (void *)(uintptr_t)file, (void *)(uintptr_t)credential };
        s->loop = loop;
        s->fd = -1;
        if (!ok || sw_loop_timer(loop, STREAM_FAR_MS, 0, stream_on_tick, s, &s->timer) < 0) {
                sw_stream_free(s);
                return -SW_ERR_NOMEM;
        }
        *ret = s;
        return 0;
}

static void stream_close(struct sw_stream *s)
{
        s->tls = sw_stream_tls_free(s->tls);
        s->io = sw_watch_close(s->io);
        if (s->fd >= 0)
                (void)close(s->fd);
        s->fd = -1;
        if (s->state != STREAM_RESOLVING)
                s->state = STREAM_DOWN;
}

static void stream_finish(struct sw_stream *s, enum sw_courier_verdict verdict, const char *reason)
{
        s->sending = false;
        if (verdict == SW_COURIER_OUTAGE)
                stream_close(s);
        if (s->fd >= 0)
                sw_watch_want(s->io, !s->datagrams, false); /* to see that the other end closes */
        s->conf.done(s->conf.ctx, verdict, reason);
}

static void stream_fail(struct sw_stream *s, enum sw_courier_cause cause, const char *what, const char *why)
{
        char text[400];

        s->cause = cause;
        if (s->conf.path)
                (void)snprintf(text, sizeof(text), "%s: %s: %s", s->conf.path, what, why);
        else
                (void)snprintf(text, sizeof(text), "%s:%s: %s: %s", s->conf.host, s->conf.port, what, why);
        if (s->sending)
                stream_finish(s, SW_COURIER_OUTAGE, text);
        else
                stream_close(s);
}

/* Nothing is expected from the other end; what comes is its end. False: failed and told. */
static bool stream_still_open(struct sw_stream *s)
{
        struct sw_err err = SW_ERR_NULL;
        char chunk[1024];
        ssize_t n;

        if (s->datagrams)
                return true;
        if (s->tls) {
                if (sw_stream_tls_drain(s->tls, &err) == SW_STREAM_TLS_AGAIN)
                        return true;
                stream_fail(s, sw_stream_tls_is_refused(s->tls) ? SW_COURIER_CAUSE_TLS : SW_COURIER_CAUSE_BROKEN,
                        "connection", err.msg);
                return false;
        }
        while ((n = recv(s->fd, chunk, sizeof(chunk), MSG_DONTWAIT)) > 0)
                ;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
                return true;
        stream_fail(s, SW_COURIER_CAUSE_BROKEN, "connection", n < 0 ? strerror(errno) : "closed by the server");
        return false;
}

/* ---- sending ---- */

/* Bytes taken, 0: again, -1: failed and told. */
static ssize_t stream_write(struct sw_stream *s)
{
        const char *p = s->bytes.p + s->sent;
        size_t n = s->bytes.n - s->sent;
        struct sw_err err = SW_ERR_NULL;
        ssize_t r;

        if (s->datagrams) {
                char *end;
                unsigned long frame = strtoul(p, &end, 10); /* our own framing: digits, a space, so many bytes */

                r = send(s->fd, end + 1, frame, MSG_NOSIGNAL | MSG_DONTWAIT);
                r = r < 0 ? r : (ssize_t)(end + 1 - p + (ssize_t)frame);
        } else if (s->tls) {
                r = sw_stream_tls_write(s->tls, p, n < STREAM_CHUNK ? n : STREAM_CHUNK, &err);
                if (r < 0)
                        stream_fail(s, SW_COURIER_CAUSE_BROKEN, "write", err.msg);
                return r < 0 ? -1 : r;
        } else {
                r = send(s->fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);
        }
        if (r < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR || errno == ENOBUFS))
                return 0;
        if (r < 0 && s->datagrams && errno == EMSGSIZE)
                stream_finish(s, SW_COURIER_TOO_LARGE, "a datagram cannot hold the message");
        else if (r < 0)
                stream_fail(s, SW_COURIER_CAUSE_BROKEN, "write", strerror(errno));
        return r < 0 ? -1 : r;
}

/* Looked at before the first one goes, so that those before a large one do not go twice. */
static bool stream_datagrams_fit(const struct sw_stream *s)
{
        const char *p = s->bytes.p, *end = s->bytes.p + s->bytes.n;
        int room = 0;
        socklen_t n = sizeof(room);
        char *text;
        unsigned long frame;

        if (getsockopt(s->fd, SOL_SOCKET, SO_SNDBUF, &room, &n) < 0 || room <= STREAM_DATAGRAM_HEAD)
                return true; /* then sending says it */
        for (; p < end; p = text + 1 + frame) {
                frame = strtoul(p, &text, 10);
                if (frame > (unsigned long)(room - STREAM_DATAGRAM_HEAD))
                        return false;
        }
        return true;
}

static void stream_push(struct sw_stream *s)
{
        int queued = 0;
        ssize_t n;

        if (s->datagrams && s->sent == 0 && !stream_datagrams_fit(s)) {
                stream_finish(s, SW_COURIER_TOO_LARGE, "a datagram cannot hold the message");
                return;
        }
        while (s->sent < s->bytes.n) {
                n = stream_write(s);
                if (n < 0)
                        return;
                if (n == 0) {
                        sw_watch_want(s->io, !s->datagrams, true);
                        return;
                }
                s->sent += (size_t)n;
        }
        sw_watch_want(s->io, !s->datagrams, false);
        /* a datagram was given over at once; a stream's bytes are safe when the other end's TCP has them, a Unix
         * socket's when they were read */
        if (!s->datagrams && ioctl(s->fd, SIOCOUTQ, &queued) == 0 && queued > 0)
                return;
        if (stream_still_open(s))
                stream_finish(s, SW_COURIER_DELIVERED, "");
}

/* ---- connecting ---- */

static void stream_try(struct sw_stream *s);

static void stream_up(struct sw_stream *s)
{
        s->state = STREAM_UP;
        if (s->sending)
                stream_push(s);
}

static void stream_settle(struct sw_stream *s)
{
        int64_t now = sw_clock_mono().ms;
        int queued = 0;
        bool taken;

        if (!stream_still_open(s))
                return;
        taken = sw_stream_tls_is_taken(s->tls);
        /* it cannot have judged what it does not have */
        if (taken != s->taken || (ioctl(s->fd, SIOCOUTQ, &queued) == 0 && queued > 0))
                s->quiet_since_ms = now;
        s->taken = taken;
        if (now - s->quiet_since_ms >= (taken ? STREAM_SETTLE_MS : STREAM_QUIET_MS))
                stream_up(s);
}

static void stream_shake(struct sw_stream *s)
{
        struct sw_err err = SW_ERR_NULL;
        int r = sw_stream_tls_handshake(s->tls, &err);

        if (r == SW_STREAM_TLS_AGAIN)
                sw_watch_want(s->io, true, sw_stream_tls_wants_write(s->tls));
        else if (r < 0)
                stream_fail(s, SW_COURIER_CAUSE_TLS, "connect", err.msg);
        if (r != SW_STREAM_TLS_OK)
                return;
        sw_watch_want(s->io, true, false);
        s->state = STREAM_SETTLING;
        s->taken = sw_stream_tls_is_taken(s->tls);
        s->quiet_since_ms = sw_clock_mono().ms;
        s->deadline_ms += STREAM_QUIET_MS; /* that is not the server's slowness */
}

static void stream_connected(struct sw_stream *s)
{
        struct sw_err err = SW_ERR_NULL;

        if (s->conf.kind != SW_STREAM_TLS) {
                stream_up(s);
        } else if (sw_stream_tls_new(s->fd, s->conf.host, s->conf.ca_file, &s->conf.client_pem, &s->tls, &err) < 0) {
                stream_fail(s, SW_COURIER_CAUSE_OTHER, "connect", err.msg);
        } else {
                s->state = STREAM_HANDSHAKE;
                stream_shake(s);
        }
}

static void stream_on_io(void *ctx, int fd, bool readable, bool writable)
{
        struct sw_stream *s = ctx;
        int error = 0;
        socklen_t n = sizeof(error);

        (void)fd;
        switch (s->state) {
        case STREAM_CONNECTING:
                if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &n) < 0)
                        error = errno;
                if (error == 0) {
                        stream_connected(s);
                        return;
                }
                (void)snprintf(s->last, sizeof(s->last), "%s", strerror(error));
                stream_close(s);
                stream_try(s);
                return;
        case STREAM_HANDSHAKE:
                stream_shake(s);
                return;
        case STREAM_SETTLING:
                stream_settle(s);
                return;
        case STREAM_UP:
                if (readable && !stream_still_open(s))
                        return;
                if (s->sending && (writable || s->tls))
                        stream_push(s);
                return;
        case STREAM_DOWN:
        case STREAM_RESOLVING:
        default:
                return;
        }
}

static int stream_socket(struct sw_stream *s, int family, int type)
{
        int on = 1;

        s->fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (s->fd < 0)
                return -1;
        if (family != AF_UNIX) {
                (void)setsockopt(s->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
                (void)setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        }
        return sw_loop_poll(s->loop, s->fd, stream_on_io, s, &s->io);
}

/* The next address, until one begins to connect. */
static void stream_try(struct sw_stream *s)
{
        for (; s->next; s->next = s->next->ai_next) {
                const struct addrinfo *a = s->next;
                int r;

                if (stream_socket(s, a->ai_family, SOCK_STREAM) < 0) {
                        (void)snprintf(s->last, sizeof(s->last), "%s", strerror(errno));
                        stream_close(s);
                        continue;
                }
                r = connect(s->fd, a->ai_addr, a->ai_addrlen);
                if (r == 0 || errno == EINPROGRESS) {
                        s->next = a->ai_next;
                        s->state = STREAM_CONNECTING;
                        sw_watch_want(s->io, false, true);
                        return;
                }
                (void)snprintf(s->last, sizeof(s->last), "%s", strerror(errno));
                stream_close(s);
        }
        stream_fail(s, SW_COURIER_CAUSE_CONNECT, "connect", *s->last ? s->last : "no address");
}

static void stream_resolve(void *ctx)
{
        struct sw_stream *s = ctx;
        const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG };

        s->found_error = getaddrinfo(s->conf.host, s->conf.port, &hints, &s->found);
}

static void stream_resolved(void *ctx)
{
        struct sw_stream *s = ctx;

        s->resolving = false;
        if (s->stopped || s->state != STREAM_RESOLVING)
                return;
        s->state = STREAM_DOWN;
        *s->last = '\0';
        s->next = s->found;
        if (!s->sending)
                return;
        if (s->found_error)
                stream_fail(s, SW_COURIER_CAUSE_CONNECT, "name", gai_strerror(s->found_error));
        else
                stream_try(s);
}

static int stream_connect_unix_as(struct sw_stream *s, int type)
{
        struct sockaddr_un un = { .sun_family = AF_UNIX };

        (void)snprintf(un.sun_path, sizeof(un.sun_path), "%s", s->conf.path);
        s->datagrams = type == SOCK_DGRAM;
        return stream_socket(s, AF_UNIX, type) < 0 || connect(s->fd, (struct sockaddr *)&un, sizeof(un)) < 0 ? -1 : 0;
}

/* Datagrams, where nobody wants a stream. */
static void stream_connect_unix(struct sw_stream *s)
{
        int r = stream_connect_unix_as(s, SOCK_DGRAM);

        if (r < 0 && errno == EPROTOTYPE) {
                stream_close(s);
                r = stream_connect_unix_as(s, SOCK_STREAM);
        }
        if (r < 0)
                stream_fail(s, SW_COURIER_CAUSE_CONNECT, "connect", strerror(errno));
        else
                stream_up(s);
}

static void stream_connect(struct sw_stream *s)
{
        if (s->resolving)
                return; /* given up meanwhile, wanted again: its end is waited for */
        if (s->conf.kind == SW_STREAM_UNIX) {
                stream_connect_unix(s);
                return;
        }
        if (s->found)
                freeaddrinfo(s->found);
        s->found = s->next = NULL;
        s->state = STREAM_RESOLVING;
        s->resolving = true;
        if (sw_loop_work(s->loop, stream_resolve, stream_resolved, s) < 0) {
                s->resolving = false;
                s->state = STREAM_DOWN;
                stream_fail(s, SW_COURIER_CAUSE_OTHER, "name", "out of memory");
        }
}

/* While something is sent: begins it, looks whether it has arrived, and at the clock. */
static void stream_on_tick(void *ctx)
{
        struct sw_stream *s = ctx;

        if (!s->sending)
                return;
        sw_watch_rearm(s->timer, STREAM_TICK_MS);
        if (sw_clock_mono().ms >= s->deadline_ms) {
                if (s->state == STREAM_RESOLVING)
                        s->state = STREAM_DOWN;
                stream_fail(s, SW_COURIER_CAUSE_TIMEOUT, "send", "not in time");
        } else if (s->state == STREAM_DOWN) {
                stream_connect(s);
        } else if (s->state == STREAM_SETTLING) {
                stream_settle(s);
        } else if (s->state == STREAM_UP) {
                stream_push(s);
        }
}

void sw_stream_send(struct sw_stream *s, struct sw_str bytes)
{
        s->bytes = bytes;
        s->sent = 0;
        s->sending = true;
        s->deadline_ms = sw_clock_mono().ms + s->conf.timeout_ms;
        sw_watch_rearm(s->timer, 0);
}

void sw_stream_reset(struct sw_stream *s)
{
        s->sending = false;
        stream_close(s);
        if (s->state == STREAM_RESOLVING)
                s->state = STREAM_DOWN;
}

void sw_stream_stop(struct sw_stream *s)
{
        if (!s || s->stopped)
                return;
        s->stopped = true;
        sw_stream_reset(s);
        s->timer = sw_watch_close(s->timer);
}

struct sw_stream *sw_stream_free(struct sw_stream *s)
{
        if (!s)
                return NULL;
        if (s->found)
                freeaddrinfo(s->found);
        sw_free((void *)(uintptr_t)s->conf.name);
        sw_free((void *)(uintptr_t)s->conf.host);
        sw_free((void *)(uintptr_t)s->conf.port);
        sw_free((void *)(uintptr_t)s->conf.path);
        sw_free((void *)(uintptr_t)s->conf.ca_file);
        sw_free(s->conf.client_pem.file);
        sw_free(s->conf.client_pem.credential);
        sw_free(s);
        return NULL;
}

enum sw_courier_cause sw_stream_cause(const struct sw_stream *s)
{
        return s->cause;
}

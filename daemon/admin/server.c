/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/server.h"

#include "base/alloc.h"
#include "clock.h"

#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define SERVER_TICK_MS 250
#define SERVER_SILENT_MS 1000 /* a client that says nothing for this long gives its place up */
#define SERVER_LINGER_MS 1000 /* for the last bytes to arrive before the descriptor goes */
#define SERVER_ACCEPTS 64     /* per wake-up: the loop has other things to do */

struct server_client {
        struct sw_server *server;
        int fd; /* -1: free */
        struct sw_watch *watch;
        char *bytes; /* SW_SERVER_REQUEST + 1 */
        size_t n;
        struct sw_buf out;
        size_t sent;
        bool closing; /* nothing more is read but to be thrown away */
        int64_t since_ms, until_ms;
};

struct sw_server {
        struct sw_server_hooks hooks;
        struct sw_loop *loop;
        struct sw_log *log;
        int fd;
        struct sw_watch *listener, *tick;
        char *path;
        struct server_client clients[SW_SERVER_CLIENTS];
        struct sw_server_stats stats;
};

/* ---- clients ---- */

static void client_drop(struct server_client *c)
{
        if (c->fd < 0)
                return;
        c->watch = sw_watch_close(c->watch);
        (void)close(c->fd);
        c->fd = -1;
        sw_free(c->bytes);
        c->bytes = NULL;
        sw_buf_deinit(&c->out);
        c->out = SW_BUF_NULL;
        c->server->stats.clients--;
}

static void client_timer(struct server_client *c, int64_t ms)
{
        c->since_ms = sw_clock_mono().ms;
        c->until_ms = c->since_ms + ms;
}

/* Sends what there is. False: the client is gone. */
static bool client_send(struct server_client *c)
{
        while (c->sent < c->out.n) {
                ssize_t n = send(c->fd, c->out.p + c->sent, c->out.n - c->sent, MSG_NOSIGNAL | MSG_DONTWAIT);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
                        sw_watch_want(c->watch, false, true);
                        return true;
                }
                if (n <= 0) {
                        client_drop(c);
                        return false;
                }
                c->sent += (size_t)n;
        }
        sw_buf_deinit(&c->out); /* an answer may be large: the next one may not come */
        c->out = SW_BUF_NULL;
        c->sent = 0;
        sw_watch_want(c->watch, true, false);
        if (c->closing) {
                (void)shutdown(c->fd, SHUT_WR);
                client_timer(c, SERVER_LINGER_MS);
        }
        return true;
}

static void client_refuse(struct server_client *c, enum sw_server_refusal why)
{
        struct sw_server *s = c->server;

        s->stats.refused[why]++;
        c->closing = true;
        c->n = 0;
        s->hooks.on_refused(s->hooks.ctx, why, &c->out);
        if (c->out.failed)
                client_drop(c);
        else
                (void)client_send(c);
}

/* Every whole request in turn; while an answer waits for its reader nothing further is looked at. */
static void client_answer(struct server_client *c)
{
        struct sw_server *s = c->server;

        while (c->n > 0 && c->out.n == 0 && !c->closing) {
                bool end = false;
                size_t used = s->hooks.on_bytes(s->hooks.ctx, (struct sw_str){ c->bytes, c->n }, &c->out, &end);

                if (used == 0) {
                        if (c->n > SW_SERVER_REQUEST)
                                client_refuse(c, SW_SERVER_TOO_LONG);
                        return;
                }
                s->stats.requests++;
                c->n -= used;
                memmove(c->bytes, c->bytes + used, c->n);
                c->closing = end;
                client_timer(c, SW_SERVER_TIMEOUT_MS);
                if (c->out.failed) {
                        client_drop(c);
                        return;
                }
                if (!client_send(c))
                        return;
        }
}

/* Returns false when the client is gone or has nothing more for now. */
static bool client_receive(struct server_client *c)
{
        char waste[512];
        size_t room = SW_SERVER_REQUEST + 1 - c->n;
        ssize_t n = c->closing ? recv(c->fd, waste, sizeof(waste), MSG_DONTWAIT)
                               : recv(c->fd, c->bytes + c->n, room, MSG_DONTWAIT);

        if (n < 0 && errno == EINTR)
                return true;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
                return false;
        if (n <= 0) {
                client_drop(c);
                return false;
        }
        if (!c->closing)
                c->n += (size_t)n;
        return true;
}

static void client_ready(void *ctx)
{
        struct server_client *c = ctx;
        unsigned i;

        if (c->out.n > 0 && (!client_send(c) || c->out.n > 0))
                return;
        client_answer(c); /* what came with the request before */
        for (i = 0; i < 16 && c->fd >= 0 && c->out.n == 0; i++) {
                if (!client_receive(c))
                        return;
                client_answer(c);
        }
}

/* ---- listening ---- */

/* A free place, or that of who was silent longest. NULL: nobody was silent for long. */
static struct server_client *server_place(struct sw_server *s)
{
        struct server_client *c, *oldest = NULL;
        int64_t now = sw_clock_mono().ms;

        for (c = s->clients; c < s->clients + SW_SERVER_CLIENTS; c++) {
                if (c->fd < 0)
                        return c;
                if (c->closing && c->out.n == 0) { /* it has its answer */
                        client_drop(c);
                        return c;
                }
                if (c->out.n == 0 && (!oldest || c->since_ms < oldest->since_ms))
                        oldest = c;
        }
        if (!oldest || now - oldest->since_ms < SERVER_SILENT_MS)
                return NULL;
        s->stats.refused[SW_SERVER_TOO_SLOW]++;
        client_drop(oldest);
        return oldest;
}

static void server_turn_away(struct sw_server *s, int fd)
{
        struct sw_buf out = SW_BUF_NULL;
        char waste[512];

        s->stats.refused[SW_SERVER_BUSY]++;
        s->hooks.on_refused(s->hooks.ctx, SW_SERVER_BUSY, &out);
        if (!out.failed)
                (void)send(fd, out.p, out.n, MSG_NOSIGNAL | MSG_DONTWAIT);
        (void)recv(fd, waste, sizeof(waste), MSG_DONTWAIT); /* unread bytes would make it a reset */
        (void)close(fd);
        sw_buf_deinit(&out);
}

static void server_take(struct sw_server *s, int fd)
{
        struct server_client *c = server_place(s);

        if (!c) {
                server_turn_away(s, fd);
                return;
        }
        *c = (struct server_client){ .server = s, .fd = fd, .bytes = sw_alloc(SW_SERVER_REQUEST + 1) };
        if (!c->bytes || sw_loop_socket(s->loop, fd, client_ready, c, &c->watch) < 0) {
                sw_free(c->bytes);
                c->bytes = NULL;
                c->fd = -1;
                (void)close(fd);
                return;
        }
        s->stats.clients++;
        client_timer(c, SW_SERVER_TIMEOUT_MS);
        client_ready(c); /* most have sent their request by now: they need no place for long */
}

static void server_accept(void *ctx)
{
        struct sw_server *s = ctx;
        unsigned i;

        for (i = 0; i < SERVER_ACCEPTS; i++) {
                int fd = accept4(s->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

                if (fd >= 0) {
                        server_take(s, fd);
                        continue;
                }
                if (errno == EINTR || errno == ECONNABORTED)
                        continue;
                if (errno != EAGAIN && errno != EWOULDBLOCK) { /* out of descriptors: not again before the tick */
                        sw_log(s->log, SW_LOG_WARNING, "admin_accept", NULL, "a client cannot be accepted: %s",
                                strerror(errno));
                        sw_watch_want(s->listener, false, false);
                }
                return;
        }
}

static void server_tick(void *ctx)
{
        struct sw_server *s = ctx;
        int64_t now = sw_clock_mono().ms;
        struct server_client *c;

        sw_watch_want(s->listener, true, false);
        for (c = s->clients; c < s->clients + SW_SERVER_CLIENTS; c++) {
                if (c->fd < 0 || now < c->until_ms)
                        continue;
                if (c->closing || c->out.n > 0 || c->n == 0)
                        client_drop(c);
                else
                        client_refuse(c, SW_SERVER_TOO_SLOW);
        }
}

/* ---- opening ---- */

/* Whether a socket that is in the way was left by a process that is gone, and was removed. */
static bool server_remove_stale(const struct sockaddr_un *to, struct sw_err *reterr)
{
        struct stat st;
        int fd, r;

        if (lstat(to->sun_path, &st) != 0 || !S_ISSOCK(st.st_mode)) {
                (void)sw_err_set(reterr, -SW_ERR_IO, "%s is in the way and not a socket", to->sun_path);
                return false;
        }
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        r = fd < 0 ? 0 : connect(fd, (const struct sockaddr *)to, sizeof(*to));
        if (fd < 0 || r == 0 || errno != ECONNREFUSED)
                (void)sw_err_set(
                        reterr, -SW_ERR_IO, "another process listens on %s: name another path, or none", to->sun_path);
        else if (unlink(to->sun_path) == 0)
                r = 1;
        if (fd >= 0)
                (void)close(fd);
        return r == 1;
}

static int server_bind_unix(const char *path, struct sw_err *reterr)
{
        struct sockaddr_un to = { .sun_family = AF_UNIX };
        int fd, r;

        if (strlen(path) >= sizeof(to.sun_path))
                return sw_err_set(reterr, -SW_ERR_IO, "%s is longer than %zu bytes", path, sizeof(to.sun_path) - 1);
        memcpy(to.sun_path, path, strlen(path));
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return sw_err_set(reterr, -SW_ERR_IO, "%s: %s", path, strerror(errno));
        /* the file gets the mode of the socket: there is no moment in which others may connect */
        if (fchmod(fd, S_IRUSR | S_IWUSR) != 0)
                r = sw_err_set(reterr, -SW_ERR_IO, "%s: %s", path, strerror(errno));
        else if (bind(fd, (const struct sockaddr *)&to, sizeof(to)) == 0)
                r = 0;
        else if (errno != EADDRINUSE)
                r = sw_err_set(reterr, -SW_ERR_IO, "%s: %s%s", path, strerror(errno),
                        errno == ENOENT || errno == EACCES || errno == EROFS
                                ? "; its folder must be there and writable: name another path, or none"
                                : "");
        else if (!server_remove_stale(&to, reterr))
                r = -SW_ERR_IO;
        else if (bind(fd, (const struct sockaddr *)&to, sizeof(to)) == 0)
                r = 0;
        else
                r = sw_err_set(reterr, -SW_ERR_IO, "%s: %s", path, strerror(errno));
        if (r < 0) {
                (void)close(fd);
                return r;
        }
        return fd;
}

static int server_bind_tcp(const struct sw_address *a, struct sw_err *reterr)
{
        int fd = socket(a->sockaddr.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1;

        if (fd >= 0) {
                (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
                if (bind(fd, (const struct sockaddr *)&a->sockaddr, a->size) == 0)
                        return fd;
        }
        (void)sw_err_set(reterr, -SW_ERR_IO, "cannot listen: %s%s", strerror(errno),
                errno == EADDRINUSE ? "; another process has this port: name another one, or none" : "");
        if (fd >= 0)
                (void)close(fd);
        return -SW_ERR_IO;
}

/* Takes the descriptor. */
static int server_start(int fd, const char *path, struct sw_loop *loop, struct sw_log *log, struct sw_server **ret)
{
        struct sw_server *s = sw_calloc(1, sizeof(*s));
        unsigned i;
        int r = s ? 0 : -SW_ERR_NOMEM;

        if (!s) {
                (void)close(fd);
                return r;
        }
        s->fd = fd;
        s->loop = loop;
        s->log = log;
        for (i = 0; i < SW_SERVER_CLIENTS; i++)
                s->clients[i].fd = -1;
        if (path && !(s->path = sw_strdup(path)))
                r = -SW_ERR_NOMEM;
        if (r == 0 && listen(fd, 64) != 0)
                r = -SW_ERR_IO;
        if (r == 0)
                r = sw_loop_socket(loop, fd, server_accept, s, &s->listener);
        if (r == 0)
                r = sw_loop_timer(loop, SERVER_TICK_MS, SERVER_TICK_MS, server_tick, s, &s->tick);
        if (r < 0)
                (void)sw_server_close(s);
        else
                *ret = s;
        return r;
}

int sw_server_open_unix(const char *path, struct sw_loop *loop, struct sw_log *log, const struct sw_server_hooks *hooks,
        struct sw_server **ret, struct sw_err *reterr)
{
        int fd = server_bind_unix(path, reterr), r;

        if (fd < 0)
                return fd;
        r = server_start(fd, path, loop, log, ret);
        if (r < 0)
                return sw_err_set(reterr, r, "%s: %s", path, sw_error_text(r));
        (*ret)->hooks = *hooks;
        return 0;
}

int sw_server_open_tcp(const struct sw_address *address, struct sw_loop *loop, struct sw_log *log,
        const struct sw_server_hooks *hooks, struct sw_server **ret, struct sw_err *reterr)
{
        int fd = server_bind_tcp(address, reterr), r;

        if (fd < 0)
                return fd;
        r = server_start(fd, NULL, loop, log, ret);
        if (r < 0)
                return sw_err_set(reterr, r, "%s", sw_error_text(r));
        (*ret)->hooks = *hooks;
        return 0;
}

struct sw_server *sw_server_close(struct sw_server *s)
{
        unsigned i;

        if (!s)
                return NULL;
        for (i = 0; i < SW_SERVER_CLIENTS; i++)
                client_drop(&s->clients[i]);
        s->listener = sw_watch_close(s->listener);
        s->tick = sw_watch_close(s->tick);
        (void)close(s->fd);
        if (s->path)
                (void)unlink(s->path);
        sw_free(s->path);
        sw_free(s);
        return NULL;
}

struct sw_server_stats sw_server_stats(const struct sw_server *s)
{
        return s->stats;
}

unsigned sw_server_port(const struct sw_server *s)
{
        struct sockaddr_storage a = { 0 };
        socklen_t n = sizeof(a);

        if (getsockname(s->fd, (struct sockaddr *)&a, &n) != 0)
                return 0;
        if (a.ss_family == AF_INET)
                return ntohs(((const struct sockaddr_in *)&a)->sin_port);
        return a.ss_family == AF_INET6 ? ntohs(((const struct sockaddr_in6 *)&a)->sin6_port) : 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Clients that misbehave, and calls that fail. The protocol here: a line is answered by "ok LINE"; "end" ends, "big"
 * brings much. */
#include "admin/server.h"

#include "../lib/fail.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BIG ((size_t)4 << 20)

static int fail_errno;

#define WRAP(type, name, parameters, arguments)                                                                        \
        type __real_##name parameters;                                                                                 \
        type __wrap_##name parameters;                                                                                 \
        type __wrap_##name parameters                                                                                  \
        {                                                                                                              \
                if (!fail_now())                                                                                       \
                        return __real_##name arguments;                                                                \
                errno = fail_errno;                                                                                    \
                return -1;                                                                                             \
        }

WRAP(int, accept4, (int fd, struct sockaddr *a, socklen_t *n, int flags), (fd, a, n, flags))
WRAP(ssize_t, recv, (int fd, void *p, size_t n, int flags), (fd, p, n, flags))
WRAP(ssize_t, send, (int fd, const void *p, size_t n, int flags), (fd, p, n, flags))
WRAP(int, listen, (int fd, int n), (fd, n))
WRAP(int, socket, (int family, int type, int proto), (family, type, proto))
WRAP(int, bind, (int fd, const struct sockaddr *a, socklen_t n), (fd, a, n))
WRAP(int, fchmod, (int fd, mode_t mode), (fd, mode))

struct rig {
        char dir[64], path[96];
        struct sw_loop *loop;
        struct sw_log *log;
        struct sw_server *server;
        struct sw_watch *timer;
};

static size_t on_bytes(void *ctx, struct sw_str sent, struct sw_buf *out, bool *ret_close)
{
        const char *end = memchr(sent.p, '\n', sent.n);
        struct sw_str line = { sent.p, end ? (size_t)(end - sent.p) : 0 };
        size_t i;

        (void)ctx;
        if (!end)
                return 0;
        if (sw_str_eq(line, SW_STR("big"))) {
                for (i = 0; i < BIG; i++)
                        sw_buf_putc(out, 'x');
        } else {
                sw_buf_puts(out, "ok ");
                sw_buf_put_str(out, line);
        }
        sw_buf_putc(out, '\n');
        *ret_close = sw_str_eq(line, SW_STR("end"));
        return line.n + 1;
}

static void on_refused(void *ctx, enum sw_server_refusal why, struct sw_buf *out)
{
        (void)ctx;
        sw_buf_printf(out, "refused %d\n", (int)why);
}

static const struct sw_server_hooks hooks = { .on_bytes = on_bytes, .on_refused = on_refused };

static void stop(void *ctx)
{
        sw_loop_stop(ctx);
}

static void run(struct rig *r, int64_t ms)
{
        cr_assert_eq(sw_loop_timer(r->loop, ms, 0, stop, r->loop, &r->timer), 0);
        sw_loop_run(r->loop);
        r->timer = sw_watch_close(r->timer);
}

static void begin(struct rig *r)
{
        *r = (struct rig){ 0 };
        snprintf(r->dir, sizeof(r->dir), "/tmp/segwatch-server-XXXXXX");
        cr_assert(mkdtemp(r->dir));
        snprintf(r->path, sizeof(r->path), "%s/sock", r->dir);
        cr_assert_eq(sw_loop_new(&r->loop), 0);
        cr_assert_eq(sw_log_new(open("/dev/null", O_WRONLY), SW_LOG_DEBUG, SW_LOG_LOGFMT, &r->log), 0);
}

static void serve(struct rig *r)
{
        struct sw_err err = SW_ERR_NULL;

        begin(r);
        cr_assert_eq(sw_server_open_unix(r->path, r->loop, r->log, &hooks, &r->server, &err), 0, "%s", err.msg);
}

static void end(struct rig *r)
{
        char command[96];

        r->server = sw_server_close(r->server);
        cr_assert_neq(access(r->path, F_OK), 0, "its socket goes with it");
        sw_loop_free(r->loop);
        sw_log_free(r->log);
        snprintf(command, sizeof(command), "rm -rf %s", r->dir);
        cr_assert_eq(system(command), 0);
}

static int connect_to(struct rig *r)
{
        struct sockaddr_un to = { .sun_family = AF_UNIX };
        int fd = __real_socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        snprintf(to.sun_path, sizeof(to.sun_path), "%s", r->path);
        cr_assert_eq(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
        return fd;
}

static void say(int fd, const char *text)
{
        cr_assert_eq(__real_send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* What comes next; "" when the other side has closed, or says nothing for 3 s. */
static const char *hear(struct rig *r, int fd)
{
        static char text[16384];
        ssize_t n = -1;
        int i;

        for (i = 0; i < 100 && n < 0; i++) {
                run(r, 30);
                n = __real_recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);
        }
        text[n > 0 ? n : 0] = '\0';
        return text;
}

static bool is_closed(struct rig *r, int fd)
{
        ssize_t n = -1;
        char c;
        int i;

        for (i = 0; i < 100 && n < 0; i++) {
                run(r, 30);
                n = __real_recv(fd, &c, 1, MSG_DONTWAIT | MSG_PEEK);
        }
        return n == 0;
}

/* ---- clients ---- */

Test(server, requests_come_as_they_like)
{
        struct rig r;
        int fd;

        serve(&r);
        fd = connect_to(&r);
        say(fd, "one\ntwo\nthr");
        cr_assert_str_eq(hear(&r, fd), "ok one\nok two\n");
        say(fd, "ee\nend\nnever\n");
        cr_assert_str_eq(hear(&r, fd), "ok three\nok end\n");
        cr_assert(is_closed(&r, fd));
        say(fd, "and more\n");
        run(&r, 20);
        close(fd);
        run(&r, 20);
        cr_assert_eq(sw_server_stats(r.server).requests, 4);
        cr_assert_eq(sw_server_stats(r.server).clients, 0);
        cr_assert_eq(sw_server_port(r.server), 0);
        end(&r);
}

Test(server, a_request_without_end_is_refused)
{
        struct rig r;
        char much[SW_SERVER_REQUEST + 2];
        int fd;

        memset(much, 'x', sizeof(much) - 1);
        much[sizeof(much) - 1] = '\0';
        serve(&r);
        fd = connect_to(&r);
        say(fd, much);
        cr_assert_str_eq(hear(&r, fd), "refused 1\n");
        cr_assert(is_closed(&r, fd));
        cr_assert_eq(sw_server_stats(r.server).refused[SW_SERVER_TOO_LONG], 1);
        close(fd);
        end(&r);
}

Test(server, a_large_answer_waits_for_its_reader_and_what_was_asked_next_for_it)
{
        struct rig r;
        char *text = malloc(BIG + 64);
        size_t n = 0;
        ssize_t got;
        int fd, i;

        serve(&r);
        fd = connect_to(&r);
        say(fd, "big\nnext\n");
        run(&r, 30);
        say(fd, "third\n");
        for (i = 0; i < 2000 && n < BIG + 18; i++) {
                run(&r, 1);
                got = __real_recv(fd, text + n, BIG + 64 - n, MSG_DONTWAIT);
                n += got > 0 ? (size_t)got : 0;
        }
        cr_assert_eq(n, BIG + 1 + 8 + 9);
        cr_assert_eq(memcmp(text + BIG, "\nok next\nok third\n", 18), 0);
        close(fd);
        fd = connect_to(&r);
        say(fd, "big\n");
        run(&r, 30);
        close(fd); /* takes nothing */
        run(&r, 30);
        cr_assert_eq(sw_server_stats(r.server).clients, 0);
        free(text);
        end(&r);
}

Test(server, places_are_few_and_who_is_silent_gives_his_up)
{
        int fds[SW_SERVER_CLIENTS], late;
        struct rig r;
        unsigned i;

        serve(&r);
        for (i = 0; i < SW_SERVER_CLIENTS; i++)
                fds[i] = connect_to(&r);
        run(&r, 50);
        cr_assert_eq(sw_server_stats(r.server).clients, SW_SERVER_CLIENTS);
        late = connect_to(&r);
        cr_assert_str_eq(hear(&r, late), "refused 0\n");
        cr_assert(is_closed(&r, late));
        close(late);
        run(&r, 1000);
        say(fds[0], "here\n");
        cr_assert_str_eq(hear(&r, fds[0]), "ok here\n");
        late = connect_to(&r);
        say(late, "now\n");
        cr_assert_str_eq(hear(&r, late), "ok now\n");
        cr_assert(is_closed(&r, fds[1]), "it was silent longest");
        cr_assert_eq(sw_server_stats(r.server).refused[SW_SERVER_TOO_SLOW], 1);
        say(fds[2], "end\n");
        cr_assert_str_eq(hear(&r, fds[2]), "ok end\n");
        close(late);
        late = connect_to(&r); /* one has its answer, one place is free */
        say(late, "again\n");
        cr_assert_str_eq(hear(&r, late), "ok again\n");
        for (i = 0; i < SW_SERVER_CLIENTS; i++)
                close(fds[i]);
        close(late);
        end(&r);
}

Test(server, who_begins_and_does_not_end_is_told)
{
        struct rig r;
        int half, silent;

        serve(&r);
        half = connect_to(&r);
        silent = connect_to(&r);
        say(half, "half");
        run(&r, SW_SERVER_TIMEOUT_MS + 600);
        cr_assert_str_eq(hear(&r, half), "refused 2\n");
        cr_assert(is_closed(&r, half));
        cr_assert(is_closed(&r, silent));
        close(half);
        close(silent);
        end(&r);
}

/* ---- calls that fail ---- */

static void asked_while(int error, bool answered)
{
        struct rig r;
        unsigned long at;
        int fd, n_answered = 0;

        for (at = 1; at < 12; at++) {
                serve(&r);
                fd = connect_to(&r);
                say(fd, "one\n");
                fail_errno = error;
                fail_arm(at, false);
                run(&r, 40);
                if (!fail_disarm())
                        at = 100;
                run(&r, 300); /* a listener that ran out of descriptors is back by then */
                n_answered += strcmp(hear(&r, fd), "ok one\n") == 0;
                if (answered)
                        cr_assert_eq(n_answered, at > 99 ? n_answered : (int)at, "call %lu", at);
                close(fd);
                fd = connect_to(&r);
                say(fd, "two\n");
                cr_assert_str_eq(hear(&r, fd), "ok two\n", "it goes on whatever failed");
                close(fd);
                end(&r);
        }
        cr_assert_gt(n_answered, 0);
}

Test(server, interruptions_are_nothing)
{
        asked_while(EINTR, true);
}

Test(server, a_client_whose_calls_fail_is_let_go_and_no_other)
{
        asked_while(EIO, false);
        asked_while(EMFILE, false);
        asked_while(EAGAIN, false);
}

Test(server, what_cannot_be_opened_leaves_nothing)
{
        struct sw_err err = SW_ERR_NULL;
        struct sw_address a;
        unsigned long at;
        struct rig r;

        begin(&r);
        cr_assert(sw_address_parse(SW_STR("127.0.0.1:0"), &a));
        fail_errno = EACCES;
        for (at = 1;; at++) {
                fail_arm(at, false);
                (void)sw_server_open_unix(r.path, r.loop, r.log, &hooks, &r.server, &err);
                if (!fail_disarm())
                        break;
                cr_assert_null(r.server);
                cr_assert(strstr(err.msg, r.path), "%s", err.msg);
                cr_assert_neq(access(r.path, F_OK), 0);
        }
        cr_assert_eq(at, 5);
        r.server = sw_server_close(r.server);
        for (at = 1;; at++) {
                fail_arm(at, false);
                (void)sw_server_open_tcp(&a, r.loop, r.log, &hooks, &r.server, &err);
                if (!fail_disarm())
                        break;
                cr_assert_null(r.server);
        }
        cr_assert_eq(at, 4);
        cr_assert_gt(sw_server_port(r.server), 0);
        end(&r);
}

/* ---- what is in the way ---- */

static void cannot(struct rig *r, const char *path, const char *why)
{
        struct sw_server *s = NULL;
        struct sw_err err = SW_ERR_NULL;

        cr_expect_eq(sw_server_open_unix(path, r->loop, r->log, &hooks, &s, &err), -SW_ERR_IO, "%s", path);
        cr_expect(strstr(err.msg, why), "'%s' does not say: %s", err.msg, why);
        cr_expect_null(s);
}

Test(server, sockets_of_the_dead_are_replaced_and_nothing_else)
{
        struct sockaddr_un a = { .sun_family = AF_UNIX };
        struct sw_err err = SW_ERR_NULL;
        char file[128], long_path[200];
        struct rig r;
        struct stat st;
        int fd;

        serve(&r);
        cr_assert_eq(stat(r.path, &st), 0);
        cr_assert_eq(st.st_mode & 0777, 0600);
        cannot(&r, r.path, "another process listens on ");
        snprintf(file, sizeof(file), "%s/file", r.dir);
        fd = open(file, O_CREAT | O_WRONLY, 0600);
        close(fd);
        cannot(&r, file, "is in the way and not a socket");
        snprintf(file, sizeof(file), "%s/none/sock", r.dir);
        cannot(&r, file, "its folder must be there and writable");
        memset(long_path, 'x', sizeof(long_path) - 1);
        long_path[sizeof(long_path) - 1] = '\0';
        cannot(&r, long_path, "is longer than 107 bytes");
        r.server = sw_server_close(r.server);
        fd = __real_socket(AF_UNIX, SOCK_STREAM, 0);
        snprintf(a.sun_path, sizeof(a.sun_path), "%s", r.path);
        cr_assert_eq(__real_bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
        close(fd); /* its process is gone, its file is there */
        cr_assert_eq(sw_server_open_unix(r.path, r.loop, r.log, &hooks, &r.server, &err), 0, "%s", err.msg);
        fd = connect_to(&r);
        say(fd, "x\n");
        cr_assert_str_eq(hear(&r, fd), "ok x\n");
        close(fd);
        end(&r);
}

Test(server, a_port_that_is_taken)
{
        struct sw_server *second = NULL;
        struct sw_err err = SW_ERR_NULL;
        struct sw_address a;
        struct rig r;
        char text[64];

        begin(&r);
        cr_assert(sw_address_parse(SW_STR("[::1]:0"), &a));
        if (sw_server_open_tcp(&a, r.loop, r.log, &hooks, &r.server, &err) < 0) { /* no IPv6 here */
                end(&r);
                return;
        }
        cr_assert_gt(sw_server_port(r.server), 0);
        snprintf(text, sizeof(text), "[::1]:%u", sw_server_port(r.server));
        cr_assert(sw_address_parse(sw_str_of(text), &a));
        cr_assert_eq(sw_server_open_tcp(&a, r.loop, r.log, &hooks, &second, &err), -SW_ERR_IO);
        cr_assert(strstr(err.msg, "another process has this port"), "%s", err.msg);
        end(&r);
}

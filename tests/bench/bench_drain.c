/* SPDX-License-Identifier: Apache-2.0 */
/* The other end of the outbox's measurement: an HTTPS server that hands out tokens and takes every row without looking
 * at it, in C, because the strict one of the tests is Python and would keep a core busy by itself.
 *
 *   bench_drain PEM    listens on a port of 127.0.0.1, prints it, serves until its stdin ends; then prints
 *                      "REQUESTS BYTES" of what it took */
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define DRAIN_HEAD 16384

static SSL_CTX *drain_tls;
static atomic_ullong drain_requests, drain_bytes;

static int drain_fail(const char *what)
{
        fprintf(stderr, "bench_drain: %s\n", what);
        return 1;
}

/* Up to the empty line; what follows it stays in `more`. Length of the head, 0: the client has gone. */
static size_t drain_head(SSL *s, char *head, size_t *ret_n)
{
        size_t n = *ret_n;

        for (;;) {
                char *end = memmem(head, n, "\r\n\r\n", 4);
                int r;

                if (end) {
                        *ret_n = n;
                        return (size_t)(end - head) + 4;
                }
                if (n == DRAIN_HEAD)
                        return 0;
                r = SSL_read(s, head + n, (int)(DRAIN_HEAD - n));
                if (r <= 0)
                        return 0;
                n += (size_t)r;
        }
}

static size_t drain_length(char *head, size_t n)
{
        static const char key[] = "\r\ncontent-length:";
        size_t i;

        for (i = 0; i + sizeof(key) < n; i++)
                if (strncasecmp(head + i, key, sizeof(key) - 1) == 0)
                        return strtoul(head + i + sizeof(key) - 1, NULL, 10);
        return 0;
}

static void drain_answer(SSL *s, bool token)
{
        static const char body[] = "{\"token_type\":\"Bearer\",\"expires_in\":3600,\"access_token\":\"t\"}";
        char text[512];
        int n;

        if (token)
                n = snprintf(text, sizeof(text),
                        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                        sizeof(body) - 1, body);
        else
                n = snprintf(text, sizeof(text), "HTTP/1.1 204 No Content\r\n\r\n");
        (void)SSL_write(s, text, n);
}

static void drain_serve(SSL *s)
{
        static const char token[] = "/oauth2/v2.0/token";
        char head[DRAIN_HEAD];
        size_t n = 0, at, left;

        while ((at = drain_head(s, head, &n)) > 0) {
                bool is_token = memmem(head, at, token, sizeof(token) - 1) != NULL;
                size_t length = drain_length(head, at);

                left = length - (n - at < length ? n - at : length);
                n = 0; /* nobody sends the next request before the answer to this one */
                while (left > 0) {
                        int r = SSL_read(s, head, (int)(left < sizeof(head) ? left : sizeof(head)));

                        if (r <= 0)
                                return;
                        left -= (size_t)r;
                }
                if (!is_token) {
                        atomic_fetch_add(&drain_requests, 1);
                        atomic_fetch_add(&drain_bytes, length);
                }
                drain_answer(s, is_token);
        }
}

static void *drain_connection(void *arg)
{
        int fd = (int)(long)arg;
        SSL *s = SSL_new(drain_tls);

        if (s && SSL_set_fd(s, fd) == 1 && SSL_accept(s) == 1)
                drain_serve(s);
        SSL_free(s);
        close(fd);
        return NULL;
}

static int drain_listen(unsigned *ret_port)
{
        struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
        socklen_t n = sizeof(a);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (fd < 0 || bind(fd, (struct sockaddr *)&a, n) != 0 || listen(fd, 64) != 0 ||
                getsockname(fd, (struct sockaddr *)&a, &n) != 0)
                return -1;
        *ret_port = ntohs(a.sin_port);
        return fd;
}

int main(int argc, char **argv)
{
        struct pollfd fds[2] = { { .events = POLLIN }, { .fd = STDIN_FILENO, .events = POLLIN } };
        unsigned port = 0;
        pthread_t thread;

        if (argc != 2) {
                fprintf(stderr, "usage: bench_drain PEM\n");
                return 64;
        }
        (void)signal(SIGPIPE, SIG_IGN);
        drain_tls = SSL_CTX_new(TLS_server_method());
        if (!drain_tls || SSL_CTX_use_certificate_file(drain_tls, argv[1], SSL_FILETYPE_PEM) != 1 ||
                SSL_CTX_use_PrivateKey_file(drain_tls, argv[1], SSL_FILETYPE_PEM) != 1)
                return drain_fail("the certificate cannot be read");
        fds[0].fd = drain_listen(&port);
        if (fds[0].fd < 0)
                return drain_fail("no port to listen on");
        printf("%u\n", port);
        fflush(stdout);
        while (poll(fds, 2, -1) > 0 && !fds[1].revents) {
                int fd = accept(fds[0].fd, NULL, NULL);

                if (fd < 0)
                        continue;
                if (pthread_create(&thread, NULL, drain_connection, (void *)(long)fd) == 0)
                        pthread_detach(thread);
                else
                        close(fd);
        }
        printf("%llu %llu\n", (unsigned long long)atomic_load(&drain_requests),
                (unsigned long long)atomic_load(&drain_bytes));
        return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A server that knows nothing of HTTP: to the n-th connection it says the n-th text, whatever was asked, and closes. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HTTP_KIT_MAX 16

struct http_kit {
        int fd;
        unsigned port, n, at;
        const char *answers[HTTP_KIT_MAX]; /* "": closes without a word; NULL: says nothing and does not close */
        char requests[HTTP_KIT_MAX][8192];
        pthread_t thread;
};

static inline void *http_kit_serve(void *ctx)
{
        struct http_kit *k = ctx;

        for (; k->at < k->n; k->at++) {
                char *to = k->requests[k->at];
                size_t n = 0, body = 0;
                const char *end, *length;
                ssize_t got;
                int c = accept(k->fd, NULL, NULL);

                if (c < 0)
                        break;
                do {
                        got = recv(c, to + n, sizeof(k->requests[0]) - 1 - n, 0);
                        n += got > 0 ? (size_t)got : 0;
                        to[n] = '\0';
                        end = strstr(to, "\r\n\r\n");
                        length = strstr(to, "Content-Length: ");
                        body = end && length ? strtoul(length + 16, NULL, 10) : 0;
                        if (n > 0 && to[0] == 0x16)
                                break; /* TLS */
                } while (got > 0 && (!end || n < (size_t)(end + 4 - to) + body));
                if (!k->answers[k->at])
                        (void)recv(c, to, 1, 0); /* until the other side gives up */
                else
                        (void)send(c, k->answers[k->at], strlen(k->answers[k->at]), MSG_NOSIGNAL);
                close(c);
        }
        return NULL;
}

static inline void http_kit_add(struct http_kit *k, const char *answer)
{
        cr_assert_lt(k->n, HTTP_KIT_MAX);
        k->answers[k->n++] = answer;
}

static inline void http_kit_start(struct http_kit *k)
{
        struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t n = sizeof(a);

        k->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        cr_assert_eq(bind(k->fd, (struct sockaddr *)&a, n), 0);
        cr_assert_eq(listen(k->fd, 16), 0);
        cr_assert_eq(getsockname(k->fd, (struct sockaddr *)&a, &n), 0);
        k->port = ntohs(a.sin_port);
        cr_assert_eq(pthread_create(&k->thread, NULL, http_kit_serve, k), 0);
}

static inline void http_kit_stop(struct http_kit *k)
{
        (void)shutdown(k->fd, SHUT_RDWR);
        pthread_join(k->thread, NULL);
        close(k->fd);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "service.h"

#include "base/str.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* The protocol is one datagram of a few bytes and is promised to stay: libsystemd would add a dependency for it. */
void sw_service_notify(const char *fmt, ...)
{
        const char *path = getenv("NOTIFY_SOCKET");
        struct sockaddr_un to = { .sun_family = AF_UNIX };
        char text[1024];
        socklen_t size;
        va_list ap;
        int fd;

        if (!path || (*path != '/' && *path != '@') || strlen(path) >= sizeof(to.sun_path))
                return;
        memcpy(to.sun_path, path, strlen(path));
        size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
        if (*path == '@')
                to.sun_path[0] = '\0'; /* abstract name */
        va_start(ap, fmt);
        vsnprintf(text, sizeof(text), fmt, ap);
        va_end(ap);
        fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return;
        (void)sendto(fd, text, strlen(text), MSG_NOSIGNAL, (const struct sockaddr *)&to, size);
        close(fd);
}

void sw_service_reloading(void)
{
        struct timespec ts;

        (void)clock_gettime(CLOCK_MONOTONIC, &ts);
        sw_service_notify("RELOADING=1\nMONOTONIC_USEC=%lld", (long long)ts.tv_sec * 1000000 + ts.tv_nsec / 1000);
}

int64_t sw_service_watchdog_ms(void)
{
        const char *pid = getenv("WATCHDOG_PID"), *us = getenv("WATCHDOG_USEC");
        uint64_t v;

        if (pid && (!sw_parse_u64(sw_str_of(pid), &v) || v != (uint64_t)getpid()))
                return 0;
        if (!us || !sw_parse_u64(sw_str_of(us), &v) || v > INT64_MAX)
                return 0;
        return (int64_t)(v / 1000);
}

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Calls that touch files, wrapped so that the n-th of them fails (fail.h): those that every such test has, and
 * FAIL_WRAP() for its others. */
#include "fail.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <unistd.h>

static int fail_errno; /* 0: read and write do half of it, everything else EIO */

static inline bool refused(void)
{
        if (!fail_now())
                return false;
        errno = fail_errno ? fail_errno : EIO;
        return true;
}

#define FAIL_WRAP(type, name, failed, parameters, arguments)                                                           \
        type __real_##name parameters;                                                                                 \
        type __wrap_##name parameters;                                                                                 \
        type __wrap_##name parameters                                                                                  \
        {                                                                                                              \
                return refused() ? (failed) : __real_##name arguments;                                                 \
        }

int __real_open64(const char *path, int flags, ...);
int __real_openat64(int fd, const char *path, int flags, ...);
int __real_close(int fd);
ssize_t __real_read(int fd, void *p, size_t n);
ssize_t __real_write(int fd, const void *p, size_t n);
int __wrap_open64(const char *path, int flags, ...);
int __wrap_openat64(int fd, const char *path, int flags, ...);
int __wrap_close(int fd);
ssize_t __wrap_read(int fd, void *p, size_t n);
ssize_t __wrap_write(int fd, const void *p, size_t n);

int __wrap_open64(const char *path, int flags, ...)
{
        va_list ap;
        mode_t mode;

        va_start(ap, flags);
        mode = flags & O_CREAT ? va_arg(ap, mode_t) : 0;
        va_end(ap);
        return refused() ? -1 : __real_open64(path, flags, mode);
}

int __wrap_openat64(int fd, const char *path, int flags, ...)
{
        va_list ap;
        mode_t mode;

        va_start(ap, flags);
        mode = flags & O_CREAT ? va_arg(ap, mode_t) : 0;
        va_end(ap);
        return refused() ? -1 : __real_openat64(fd, path, flags, mode);
}

int __wrap_close(int fd)
{
        int r = __real_close(fd);

        return refused() ? -1 : r;
}

ssize_t __wrap_read(int fd, void *p, size_t n)
{
        if (!refused())
                return __real_read(fd, p, n);
        return fail_errno ? -1 : __real_read(fd, p, (n + 1) / 2);
}

ssize_t __wrap_write(int fd, const void *p, size_t n)
{
        if (!refused())
                return __real_write(fd, p, n);
        return fail_errno ? -1 : __real_write(fd, p, (n + 1) / 2);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "secret.h"

#include "base/alloc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void sw_secret_deinit(struct sw_secret *s)
{
        if (!s)
                return;
        if (s->text)
                explicit_bzero(s->text, s->n);
        sw_free(s->text);
        *s = SW_SECRET_NULL;
}

/* Reads one byte more than allowed, to see that there is more. */
static ssize_t secret_read_all(int fd, char *to, size_t n)
{
        size_t have = 0;

        while (have < n) {
                ssize_t r = read(fd, to + have, n - have);

                if (r < 0 && errno == EINTR)
                        continue;
                if (r < 0)
                        return -1;
                if (r == 0)
                        break;
                have += (size_t)r;
        }
        return (ssize_t)have;
}

static int secret_take(int fd, const char *path, struct sw_secret *to, struct sw_err *reterr)
{
        size_t cap = SW_SECRET_MAX_BYTES + 1;
        struct stat st;
        ssize_t n;

        if (fstat(fd, &st) < 0 || !(S_ISREG(st.st_mode) || S_ISFIFO(st.st_mode)))
                return sw_err_set(reterr, -SW_ERR_IO, "secret %s is not a file", path);
        to->world_readable = S_ISREG(st.st_mode) && st.st_mode & S_IROTH;
        to->text = sw_calloc(cap + 1, 1);
        if (!to->text)
                return sw_err_set(reterr, -SW_ERR_NOMEM, "secret %s: %s", path, sw_error_text(-SW_ERR_NOMEM));
        to->n = cap; /* whatever happens next, all of it is wiped */
        n = secret_read_all(fd, to->text, cap);
        if (n < 0)
                return sw_err_set(reterr, -SW_ERR_IO, "secret %s: %s", path, strerror(errno));
        if ((size_t)n == cap)
                return sw_err_set(
                        reterr, -SW_ERR_LIMIT, "secret %s is larger than %zu KiB", path, SW_SECRET_MAX_BYTES / 1024);
        if (n > 0 && to->text[n - 1] == '\n')
                to->text[--n] = '\0';
        if (n > 0 && to->text[n - 1] == '\r')
                to->text[--n] = '\0';
        if (n == 0 || memchr(to->text, '\0', (size_t)n))
                return sw_err_set(reterr, -SW_ERR_INVAL, "secret %s %s", path, n ? "holds a NUL byte" : "is empty");
        to->n = (size_t)n;
        return 0;
}

static int secret_path(const struct sw_secret_ref *ref, char path[4096], struct sw_err *reterr)
{
        const char *folder = getenv("CREDENTIALS_DIRECTORY");
        int n;

        if (ref->file) {
                n = snprintf(path, 4096, "%s", ref->file);
        } else if (!ref->credential) {
                return sw_err_set(reterr, -SW_ERR_INVAL, "no secret is configured");
        } else if (!folder || !*folder) {
                (void)sw_err_set(reterr, -SW_ERR_NOENT,
                        "credential '%.100s' can be read only when systemd starts the service (LoadCredential=)",
                        ref->credential);
                return SW_SECRET_NOT_HERE;
        } else {
                n = snprintf(path, 4096, "%s/%s", folder, ref->credential);
        }
        if (n < 0 || n >= 4096)
                return sw_err_set(reterr, -SW_ERR_LIMIT, "the path of a secret is too long");
        return 0;
}

int sw_secret_read(const struct sw_secret_ref *ref, struct sw_secret *ret, struct sw_err *reterr)
{
        struct sw_secret s = SW_SECRET_NULL;
        char path[4096];
        int r = secret_path(ref, path, reterr), fd;

        if (r != 0)
                return r;
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        if (fd < 0)
                return sw_err_set(reterr, errno == ENOENT ? -SW_ERR_NOENT : -SW_ERR_IO, "secret %.250s: %s", path,
                        strerror(errno));
        r = secret_take(fd, path, &s, reterr);
        (void)close(fd);
        if (r < 0) {
                sw_secret_deinit(&s);
                return r;
        }
        *ret = s;
        return 0;
}

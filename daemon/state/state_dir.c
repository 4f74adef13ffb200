/* SPDX-License-Identifier: Apache-2.0 */
#include "state/state_dir.h"

#include "base/alloc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define STATE_DIR_FILE_MAX (64 * 1024 * 1024)

struct sw_state_dir {
        char *path;
        int dir_fd, lock_fd;
};

int sw_state_dir_own(int folder, int fd)
{
        struct stat above, st;

        if (geteuid() != 0)
                return 0;
        if (fstat(folder, &above) != 0 || fstat(fd, &st) != 0)
                return -SW_ERR_IO;
        if (st.st_uid != 0 || (!S_ISDIR(st.st_mode) && st.st_nlink != 1))
                return 0; /* theirs already, or the owner of the folder has linked a file of root into it */
        return fchown(fd, above.st_uid, above.st_gid) == 0 ? 0 : -SW_ERR_IO;
}

int sw_state_dir_write_all(int fd, const char *p, size_t n)
{
        while (n > 0) {
                ssize_t k = write(fd, p, n);

                if (k < 0 && errno == EINTR)
                        continue;
                if (k <= 0)
                        return -SW_ERR_IO;
                p += k;
                n -= (size_t)k;
        }
        return 0;
}

static int state_dir_denied(const struct sw_state_dir *d, const char *name, struct sw_err *reterr)
{
        int error = errno;
        struct stat st;

        if (error == EACCES && fstatat(d->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_uid != geteuid())
                return sw_err_set(reterr, -SW_ERR_IO,
                        "cannot open %s/%s: it belongs to uid %u, segwatch runs as uid %u; everything in state.dir has "
                        "to belong to one user (chown -R)",
                        d->path, name, (unsigned)st.st_uid, (unsigned)geteuid());
        return sw_err_set(reterr, -SW_ERR_IO, "cannot open %s/%s: %s", d->path, name, strerror(error));
}

static int state_dir_lock(struct sw_state_dir *d, struct sw_err *reterr)
{
        char pid[32] = { 0 };
        ssize_t n;

        d->lock_fd = openat(d->dir_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (d->lock_fd < 0)
                return state_dir_denied(d, "lock", reterr);
        (void)sw_state_dir_own(d->dir_fd, d->lock_fd);
        if (flock(d->lock_fd, LOCK_EX | LOCK_NB) != 0) {
                n = pread(d->lock_fd, pid, sizeof(pid) - 1, 0);
                pid[n > 0 ? strcspn(pid, "\n") : 0] = '\0';
                return sw_err_set(reterr, -SW_ERR_UNAVAIL,
                        "another segwatch%s%s is running on %s; give each its own state.dir, or stop that one",
                        *pid ? " with process id " : "", pid, d->path);
        }
        snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
        if (ftruncate(d->lock_fd, 0) != 0 || pwrite(d->lock_fd, pid, strlen(pid), 0) < 0)
                return sw_err_set(reterr, -SW_ERR_IO, "cannot write %s/lock: %s", d->path, strerror(errno));
        return 0;
}

int sw_state_dir_open(const char *path, struct sw_state_dir **ret, struct sw_err *reterr)
{
        struct sw_state_dir *d = sw_calloc(1, sizeof(*d));
        int r;

        if (!d || !(d->path = sw_strdup(path))) {
                sw_free(d);
                return sw_err_set(reterr, -SW_ERR_NOMEM, "out of memory");
        }
        d->dir_fd = d->lock_fd = -1;
        if (mkdir(path, 0750) != 0 && errno != EEXIST)
                r = sw_err_set(reterr, -SW_ERR_IO,
                        "cannot create the folder state.dir %s: %s; create it, writable for the user that segwatch "
                        "runs as",
                        path, strerror(errno));
        else if ((d->dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
                r = sw_err_set(reterr, -SW_ERR_IO, "cannot open state.dir %s: %s", path, strerror(errno));
        else
                r = state_dir_lock(d, reterr);
        if (r < 0) {
                sw_state_dir_close(d);
                return r;
        }
        *ret = d;
        return 0;
}

struct sw_state_dir *sw_state_dir_close(struct sw_state_dir *d)
{
        if (!d)
                return NULL;
        if (d->lock_fd >= 0)
                close(d->lock_fd); /* the file stays: removing it would let two processes lock two files */
        if (d->dir_fd >= 0)
                close(d->dir_fd);
        sw_free(d->path);
        sw_free(d);
        return NULL;
}

int sw_state_dir_save(const struct sw_state_dir *d, const char *name, struct sw_str content, struct sw_err *reterr)
{
        char tmp[256];
        int fd, error = 0;

        snprintf(tmp, sizeof(tmp), "%s.new", name);
        fd = openat(d->dir_fd, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                return sw_err_set(reterr, -SW_ERR_IO, "cannot create %s/%s: %s", d->path, tmp, strerror(errno));
        if (sw_state_dir_write_all(fd, content.p, content.n) != 0 || fsync(fd) != 0)
                error = errno;
        if (close(fd) != 0 && !error)
                error = errno;
        if (!error && renameat(d->dir_fd, tmp, d->dir_fd, name) != 0)
                error = errno;
        if (error) {
                (void)unlinkat(d->dir_fd, tmp, 0);
                return sw_err_set(reterr, -SW_ERR_IO, "cannot write %s/%s: %s", d->path, name, strerror(error));
        }
        (void)fsync(d->dir_fd);
        return 0;
}

int sw_state_dir_load(const struct sw_state_dir *d, const char *name, struct sw_buf *out, struct sw_err *reterr)
{
        int fd = openat(d->dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        char chunk[4096];
        size_t total = 0;
        ssize_t n;
        int r = 0;

        if (fd < 0 && errno != ENOENT)
                return state_dir_denied(d, name, reterr);
        if (fd < 0)
                return sw_err_set(reterr, -SW_ERR_NOENT, "%s/%s is not there", d->path, name);
        while ((n = read(fd, chunk, sizeof(chunk))) > 0 && (total += (size_t)n) <= STATE_DIR_FILE_MAX)
                sw_buf_put(out, chunk, (size_t)n);
        if (n < 0)
                r = sw_err_set(reterr, -SW_ERR_IO, "cannot read %s/%s: %s", d->path, name, strerror(errno));
        else if (n > 0)
                r = sw_err_set(reterr, -SW_ERR_DATA, "%s/%s is too large", d->path, name);
        else if (out->failed)
                r = sw_err_set(reterr, -SW_ERR_NOMEM, "out of memory");
        close(fd);
        return r;
}

int sw_state_dir_seed(struct sw_state_dir *d, struct sw_hash_key *ret, struct sw_err *reterr)
{
        struct sw_buf b = SW_BUF_NULL;
        int r = sw_state_dir_load(d, "seed", &b, reterr);

        if (r == 0 && b.n == sizeof(*ret)) {
                memcpy(ret, b.p, sizeof(*ret));
        } else if (r == 0 || r == -SW_ERR_NOENT) {
                if (reterr)
                        *reterr = SW_ERR_NULL; /* that it is not there is no error */
                /* a damaged one is replaced: a seed only has to be secret and stay the same from now on */
                if (getrandom(ret, sizeof(*ret), 0) != (ssize_t)sizeof(*ret))
                        r = sw_err_set(reterr, -SW_ERR_IO, "no random bytes: %s", strerror(errno));
                else
                        r = sw_state_dir_save(d, "seed", (struct sw_str){ (const char *)ret, sizeof(*ret) }, reterr);
        }
        sw_buf_deinit(&b);
        return r;
}

void sw_state_dir_remove(const struct sw_state_dir *d, const char *name)
{
        (void)unlinkat(d->dir_fd, name, 0);
}

int sw_state_dir_instance(struct sw_state_dir *d, char ret[33], struct sw_err *reterr)
{
        struct sw_buf b = SW_BUF_NULL;
        unsigned char random[16];
        int r = sw_state_dir_load(d, "instance", &b, reterr);

        if (r == 0 && b.n == 33) {
                memcpy(ret, b.p, 32);
        } else if (r == 0 || r == -SW_ERR_NOENT) {
                if (reterr)
                        *reterr = SW_ERR_NULL; /* that it is not there is no error */
                if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random)) {
                        r = sw_err_set(reterr, -SW_ERR_IO, "no random bytes: %s", strerror(errno));
                } else {
                        sw_sha256_128(random, sizeof(random), ret);
                        sw_buf_reset(&b);
                        sw_buf_printf(&b, "%.32s\n", ret);
                        r = b.failed ? -SW_ERR_NOMEM
                                     : sw_state_dir_save(d, "instance", (struct sw_str){ b.p, b.n }, reterr);
                }
        }
        ret[32] = '\0';
        sw_buf_deinit(&b);
        return r;
}

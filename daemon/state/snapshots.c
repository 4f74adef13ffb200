/* SPDX-License-Identifier: Apache-2.0 */
#include "state/snapshots.h"

#include "base/alloc.h"
#include "base/str.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SNAPSHOTS_CHUNK ((size_t)256 << 10)
#define SNAPSHOTS_SYNC ((off_t)8 << 20) /* a slow disk is not waited for longer at once than these bytes take */
#define SNAPSHOTS_MAX 64u               /* that are listed: more than two are there only if somebody put them there */
#define SNAPSHOTS_NAME 64

struct sw_snapshots {
        char *dir;
        int fd;
        struct sw_snapshots_file files[SNAPSHOTS_MAX];
        uint32_t n;
        char path[4096];
};

static void snapshots_name(uint64_t number, const char *suffix, char ret[SNAPSHOTS_NAME])
{
        snprintf(ret, SNAPSHOTS_NAME, "snapshot.%" PRIu64 "%s", number, suffix);
}

/* "snapshot.N" gives N; anything else 0. */
static uint64_t snapshots_number(const char *name, bool *ret_tmp)
{
        struct sw_str s = sw_str_of(name);
        uint64_t number;

        *ret_tmp = s.n > 4 && strcmp(name + s.n - 4, ".tmp") == 0;
        if (*ret_tmp)
                s.n -= 4;
        if (!sw_str_starts(s, SW_STR("snapshot.")))
                return 0;
        s.p += strlen("snapshot.");
        s.n -= strlen("snapshot.");
        return sw_parse_u64(s, &number) ? number : 0;
}

static int snapshots_newer(const void *a, const void *b)
{
        const struct sw_snapshots_file *x = a, *y = b;

        return (x->number < y->number) - (x->number > y->number);
}

static void snapshots_add(struct sw_snapshots *s, uint64_t number)
{
        char name[SNAPSHOTS_NAME];
        struct stat st;

        snapshots_name(number, "", name);
        if (s->n == SNAPSHOTS_MAX || fstatat(s->fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode))
                return;
        s->files[s->n++] = (struct sw_snapshots_file){ .number = number,
                .bytes = (uint64_t)st.st_size,
                .written_ms = (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000 };
        qsort(s->files, s->n, sizeof(*s->files), snapshots_newer);
}

static int snapshots_scan(struct sw_snapshots *s, bool tidy, struct sw_err *reterr)
{
        int fd = openat(s->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
        const struct dirent *e;

        if (!d) {
                if (fd >= 0)
                        (void)close(fd);
                return sw_err_set(reterr, -SW_ERR_IO, "cannot read the folder %s: %s", s->dir, strerror(errno));
        }
        while ((e = readdir(d))) {
                bool tmp;
                uint64_t number = snapshots_number(e->d_name, &tmp);

                if (number && tmp && tidy)
                        (void)unlinkat(s->fd, e->d_name, 0);
                else if (number && !tmp)
                        snapshots_add(s, number);
        }
        (void)closedir(d);
        return 0;
}

static int snapshots_new(const char *dir, bool tidy, struct sw_snapshots **ret, struct sw_err *reterr)
{
        struct sw_snapshots *s = sw_calloc(1, sizeof(*s));
        int r;

        if (!s || !(s->dir = sw_strdup(dir))) {
                sw_free(s);
                return sw_err_set(reterr, -SW_ERR_NOMEM, "out of memory");
        }
        s->fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (s->fd < 0)
                r = sw_err_set(reterr, errno == ENOENT ? -SW_ERR_NOENT : -SW_ERR_IO, "cannot open the folder %s: %s",
                        dir, strerror(errno));
        else
                r = snapshots_scan(s, tidy, reterr);
        if (r < 0) {
                sw_snapshots_close(s);
                return r;
        }
        *ret = s;
        return 0;
}

int sw_snapshots_open(const char *dir, struct sw_snapshots **ret, struct sw_err *reterr)
{
        return snapshots_new(dir, true, ret, reterr);
}

int sw_snapshots_look(const char *dir, struct sw_snapshots **ret, struct sw_err *reterr)
{
        return snapshots_new(dir, false, ret, reterr);
}

struct sw_snapshots *sw_snapshots_close(struct sw_snapshots *s)
{
        if (!s)
                return NULL;
        if (s->fd >= 0)
                (void)close(s->fd);
        sw_free(s->dir);
        sw_free(s);
        return NULL;
}

const struct sw_snapshots_file *sw_snapshots_list(const struct sw_snapshots *s, uint32_t *ret_n)
{
        *ret_n = s->n;
        return s->files;
}

const char *sw_snapshots_path(struct sw_snapshots *s, uint64_t number)
{
        snprintf(s->path, sizeof(s->path), "%s/snapshot.%" PRIu64, s->dir, number);
        return s->path;
}

static int snapshots_put(int fd, const char *p, size_t n)
{
        while (n > 0) {
                ssize_t done = write(fd, p, n);

                if (done < 0 && errno == EINTR)
                        continue;
                if (done < 0)
                        return errno;
                p += done;
                n -= (size_t)done;
        }
        return 0;
}

static bool snapshots_is_full(int error)
{
        return error == ENOSPC || error == EDQUOT || error == EFBIG;
}

/* Copies until the end. 0, SW_SNAPSHOTS_STOPPED, or negative; *ret_errno: the disk said no. */
static int snapshots_copy(int fd, sw_snapshots_source source, void *ctx, const atomic_bool *stop, int *ret_errno)
{
        char *buf = sw_alloc(SNAPSHOTS_CHUNK);
        size_t n = 0;
        int r;

        *ret_errno = 0;
        if (!buf)
                return -SW_ERR_NOMEM;
        for (;;) {
                if (stop && atomic_load(stop))
                        r = SW_SNAPSHOTS_STOPPED;
                else
                        r = source(ctx, buf, SNAPSHOTS_CHUNK, &n);
                if (r != 0 || n == 0)
                        break;
                *ret_errno = snapshots_put(fd, buf, n);
                if (*ret_errno)
                        break;
        }
        sw_free(buf);
        return r;
}

/* An error is told once for a file, so one from here must count. Where there is no such call, fsync does it all. */
static int snapshots_range(int fd, off_t at, unsigned flags)
{
        if (sync_file_range(fd, at, SNAPSHOTS_SYNC, flags) == 0)
                return 0;
        return errno == EIO || snapshots_is_full(errno) ? errno : 0;
}

/* To the disk, in steps: fsync of all of it at once could not be stopped. The next step is on its way while one is
 * waited for. 0 or SW_SNAPSHOTS_STOPPED; *ret_errno: the disk said no. */
static int snapshots_sync(int fd, const atomic_bool *stop, int *ret_errno)
{
        const unsigned wait = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
        off_t at, size = lseek(fd, 0, SEEK_CUR);

        *ret_errno = 0;
        for (at = 0; at < size && !*ret_errno; at += SNAPSHOTS_SYNC) {
                if (stop && atomic_load(stop))
                        return SW_SNAPSHOTS_STOPPED;
                if (at + SNAPSHOTS_SYNC < size)
                        *ret_errno = snapshots_range(fd, at + SNAPSHOTS_SYNC, SYNC_FILE_RANGE_WRITE);
                if (!*ret_errno)
                        *ret_errno = snapshots_range(fd, at, wait);
        }
        if (!*ret_errno && fsync(fd) != 0)
                *ret_errno = errno;
        return 0;
}

int sw_snapshots_write(struct sw_snapshots *s, uint64_t number, sw_snapshots_source source, void *ctx,
        const atomic_bool *stop, struct sw_err *reterr)
{
        char tmp[SNAPSHOTS_NAME];
        int fd, error = 0, r;

        snapshots_name(number, ".tmp", tmp);
        (void)unlinkat(s->fd, tmp, 0); /* never the file of a failed attempt */
        fd = openat(s->fd, tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0) {
                error = errno;
                r = snapshots_is_full(error) ? SW_SNAPSHOTS_FULL : -SW_ERR_IO;
                (void)sw_err_set(reterr, -SW_ERR_IO, "cannot create %s/%s: %s", s->dir, tmp, strerror(error));
                return r;
        }
        r = snapshots_copy(fd, source, ctx, stop, &error);
        if (r == 0 && !error)
                r = snapshots_sync(fd, stop, &error);
        if (close(fd) != 0 && !error)
                error = errno;
        if (r == 0 && !error)
                return SW_SNAPSHOTS_OK;
        sw_snapshots_give_up(s, number);
        if (r != 0) {
                (void)sw_err_set(reterr, r < 0 ? r : -SW_ERR_UNAVAIL, "%s: %s", tmp, sw_error_text(r));
                return r;
        }
        (void)sw_err_set(reterr, -SW_ERR_IO, "cannot write %s/%s: %s", s->dir, tmp, strerror(error));
        return snapshots_is_full(error) ? SW_SNAPSHOTS_FULL : -SW_ERR_IO;
}

void sw_snapshots_give_up(struct sw_snapshots *s, uint64_t number)
{
        char tmp[SNAPSHOTS_NAME];

        snapshots_name(number, ".tmp", tmp);
        (void)unlinkat(s->fd, tmp, 0);
}

static void snapshots_remove(struct sw_snapshots *s, uint32_t at)
{
        char name[SNAPSHOTS_NAME];

        snapshots_name(s->files[at].number, "", name);
        (void)unlinkat(s->fd, name, 0);
        s->n--;
        memmove(s->files + at, s->files + at + 1, (s->n - at) * sizeof(*s->files));
}

int sw_snapshots_publish(struct sw_snapshots *s, uint64_t number, uint64_t *ret_oldest, struct sw_err *reterr)
{
        char tmp[SNAPSHOTS_NAME], name[SNAPSHOTS_NAME];
        uint32_t i;

        snapshots_name(number, ".tmp", tmp);
        snapshots_name(number, "", name);
        if (renameat(s->fd, tmp, s->fd, name) != 0 || fsync(s->fd) != 0) {
                (void)sw_err_set(reterr, -SW_ERR_IO, "cannot rename %s/%s: %s", s->dir, tmp, strerror(errno));
                sw_snapshots_give_up(s, number);
                return -SW_ERR_IO;
        }
        for (i = 0; i < s->n; i++)
                if (s->files[i].number == number) { /* the same again: after recovery without new work */
                        s->n--;
                        memmove(s->files + i, s->files + i + 1, (s->n - i) * sizeof(*s->files));
                        break;
                }
        snapshots_add(s, number);
        while (s->n > SW_SNAPSHOTS_KEPT)
                snapshots_remove(s, s->n - 1);
        *ret_oldest = s->n == SW_SNAPSHOTS_KEPT ? s->files[s->n - 1].number : 0;
        return 0;
}

void sw_snapshots_set_aside(struct sw_snapshots *s, uint64_t number)
{
        char name[SNAPSHOTS_NAME], damaged[SNAPSHOTS_NAME];
        uint32_t i;

        snapshots_name(number, "", name);
        snapshots_name(number, ".damaged", damaged);
        (void)renameat(s->fd, name, s->fd, damaged);
        for (i = 0; i < s->n; i++)
                if (s->files[i].number == number) {
                        s->n--;
                        memmove(s->files + i, s->files + i + 1, (s->n - i) * sizeof(*s->files));
                        return;
                }
}

int sw_snapshots_read(struct sw_snapshots *s, uint64_t number, int *ret_fd, struct sw_err *reterr)
{
        char name[SNAPSHOTS_NAME];
        int fd;

        snapshots_name(number, "", name);
        fd = openat(s->fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
                return sw_err_set(reterr, errno == ENOENT ? -SW_ERR_NOENT : -SW_ERR_IO, "cannot open %s/%s: %s", s->dir,
                        name, strerror(errno));
        (void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
        *ret_fd = fd;
        return 0;
}

int sw_snapshots_pull(void *ctx, void *buf, size_t n, size_t *ret_n)
{
        const int *fd = ctx;
        char *p = buf;
        size_t have = 0;

        while (have < n) {
                ssize_t got = read(*fd, p + have, n - have);

                if (got < 0 && errno == EINTR)
                        continue;
                if (got < 0)
                        return -SW_ERR_IO;
                if (got == 0)
                        break;
                have += (size_t)got;
        }
        *ret_n = have;
        return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "sink/sink_file.h"

#include "base/alloc.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SINK_FILE_MODE 0640
#define SINK_FILE_CHUNK (1024 * 1024)
#define SINK_FILE_RETRY_MS 500
#define SINK_FILE_POLL_MS 50

struct sw_sink_file {
        struct sw_log *log;
        char *path, *dir;
        uint64_t rotate_bytes;
        unsigned keep;
        const atomic_bool *stop;
        const char *when_full;
        int (*on_switch)(void *ctx, size_t done);
        void *ctx;
        pthread_mutex_t lock; /* of fd */
        int fd;
        dev_t device;
        ino_t inode;
        off_t end;      /* behind what was written last */
        bool end_known; /* false: somebody else's may stand at the end */
        bool switched;  /* on_switch is to be told */
        bool opened, dirty;
        bool lost; /* a sync failed: nobody knows what is on the disk */
        atomic_bool reopen_wanted, blocked;
};

static int sink_file_fail(struct sw_sink_file *f, struct sw_err *reterr, const char *what, int error)
{
        if (error == ENOENT)
                return sw_err_set(reterr, -SW_ERR_IO,
                        "cannot %s %s: the folder %s does not exist; create it, writable "
                        "for the user that segwatch runs as",
                        what, f->path, f->dir);
        if (error == EACCES || error == EROFS)
                return sw_err_set(reterr, -SW_ERR_IO,
                        "cannot %s %s: %s; file and folder must be writable for the user "
                        "that segwatch runs as (uid %u)",
                        what, f->path, strerror(error), (unsigned)geteuid());
        return sw_err_set(reterr, -SW_ERR_IO, "cannot %s %s: %s", what, f->path, strerror(error));
}

/* A crash may have left the start of a line: it must not be glued to the next one. */
static void sink_file_end_torn_line(struct sw_sink_file *f, int fd, off_t size)
{
        char last;

        if (size == 0 || pread(fd, &last, 1, size - 1) != 1 || last == '\n')
                return;
        if (write(fd, "\n", 1) == 1)
                sw_log(f->log, SW_LOG_WARNING, "file_torn_line", f->path,
                        "the file ended within a line, as after a crash; that line was ended with a newline");
}

/* Replaces f->fd only on success. */
static int sink_file_open_path(struct sw_sink_file *f, bool keep_torn, struct sw_err *reterr)
{
        const int flags = O_RDWR | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
        struct stat st;
        int fd, error;

        fd = open(f->path, flags | O_CREAT | O_EXCL, SINK_FILE_MODE);
        if (fd >= 0)
                (void)fchmod(fd, SINK_FILE_MODE); /* whatever the umask: a group reads the alerts */
        else if (errno == EEXIST)
                fd = open(f->path, flags);
        if (fd < 0)
                return sink_file_fail(f, reterr, "open", errno);
        if (fstat(fd, &st) != 0) {
                error = errno;
                close(fd);
                return sink_file_fail(f, reterr, "open", error);
        }
        if (!S_ISREG(st.st_mode)) {
                close(fd);
                return sw_err_set(reterr, -SW_ERR_IO, "%s is not a regular file", f->path);
        }
        if (!keep_torn)
                sink_file_end_torn_line(f, fd, st.st_size);
        if (f->fd >= 0)
                close(f->fd);
        f->fd = fd;
        f->switched = f->switched || (f->opened && (f->device != st.st_dev || f->inode != st.st_ino));
        f->opened = true;
        f->device = st.st_dev;
        f->inode = st.st_ino;
        f->end = st.st_size;
        f->end_known = false;
        return 0;
}

int sw_sink_file_open(
        const struct sw_sink_file_conf *conf, struct sw_log *log, struct sw_sink_file **ret, struct sw_err *reterr)
{
        struct sw_sink_file *f = sw_calloc(1, sizeof(*f));
        char *copy = sw_strdup(conf->path);
        int r;

        if (f) {
                f->fd = -1;
                pthread_mutex_init(&f->lock, NULL);
                f->path = sw_strdup(conf->path);
                f->dir = copy ? sw_strdup(dirname(copy)) : NULL;
        }
        sw_free(copy);
        if (!f || !f->path || !f->dir) {
                sw_sink_file_close(f);
                return sw_err_set(reterr, -SW_ERR_NOMEM, "out of memory");
        }
        f->log = log;
        f->rotate_bytes = conf->rotate_bytes;
        f->keep = conf->keep;
        f->stop = conf->stop;
        f->when_full = conf->when_full ? conf->when_full : "nothing is read from the sources until there is room again";
        f->on_switch = conf->on_switch;
        f->ctx = conf->ctx;
        r = sink_file_open_path(f, conf->keep_torn, reterr);
        if (r < 0) {
                sw_sink_file_close(f);
                return r;
        }
        *ret = f;
        return 0;
}

struct sw_sink_file *sw_sink_file_close(struct sw_sink_file *f)
{
        if (!f)
                return NULL;
        if (f->fd >= 0) {
                sw_sink_file_sync(f);
                close(f->fd);
        }
        pthread_mutex_destroy(&f->lock);
        sw_free(f->path);
        sw_free(f->dir);
        sw_free(f);
        return NULL;
}

static void sink_file_sync_dir(struct sw_sink_file *f)
{
        int fd = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (fd < 0)
                return;
        (void)fsync(fd);
        close(fd);
}

static int sink_file_sync(struct sw_sink_file *f)
{
        if (!f->dirty)
                return 0;
        while (fdatasync(f->fd) != 0) {
                if (errno == EINTR)
                        continue;
                sw_log(f->log, SW_LOG_ERROR, "file_sync", f->path, "the disk did not take what was written: %s",
                        strerror(errno));
                f->lost = true;
                return -SW_ERR_IO;
        }
        f->dirty = false;
        return 0;
}

/* FILE.(keep-1) -> FILE.keep, ... FILE -> FILE.1. A crash in between leaves a gap in the numbers, never a lost file. */
static int sink_file_rotate(struct sw_sink_file *f)
{
        struct sw_err err = SW_ERR_NULL;
        char from[4096], to[4096];
        unsigned i;
        int r;

        r = sink_file_sync(f);
        if (r < 0)
                return r;
        if (f->keep == 0)
                (void)unlink(f->path);
        for (i = f->keep; i > 0; i--) {
                snprintf(to, sizeof(to), "%s.%u", f->path, i);
                if (i > 1)
                        snprintf(from, sizeof(from), "%s.%u", f->path, i - 1);
                else
                        snprintf(from, sizeof(from), "%s", f->path);
                if (rename(from, to) != 0 && errno != ENOENT) {
                        sw_log(f->log, SW_LOG_ERROR, "file_rotate", f->path,
                                "cannot rename %s to %s: %s; the file grows on", from, to, strerror(errno));
                        return 0;
                }
        }
        r = sink_file_open_path(f, false, &err);
        if (r < 0)
                sw_log(f->log, SW_LOG_ERROR, "file_rotate", f->path, "%s; going on with the old file", err.msg);
        sink_file_sync_dir(f);
        return 0;
}

/* Follows the path: whoever moved or removed our file expects the next line in a new one. */
static void sink_file_follow_path(struct sw_sink_file *f)
{
        struct sw_err err = SW_ERR_NULL;
        struct stat st;
        bool same = stat(f->path, &st) == 0 && st.st_dev == f->device && st.st_ino == f->inode;

        if (same && !atomic_exchange(&f->reopen_wanted, false))
                return;
        (void)sink_file_sync(f);
        if (sink_file_open_path(f, false, &err) < 0) {
                sw_log(f->log, SW_LOG_ERROR, "file_reopen", f->path, "%s; going on with the file that is open",
                        err.msg);
                return;
        }
        atomic_store(&f->reopen_wanted, false);
        sw_log(f->log, SW_LOG_INFO, "file_reopen", f->path, "opened anew");
}

/* false: told to stop. */
static bool sink_file_wait(struct sw_sink_file *f)
{
        const struct timespec step = { .tv_nsec = SINK_FILE_POLL_MS * 1000000L };
        int waited;

        for (waited = 0; waited < SINK_FILE_RETRY_MS; waited += SINK_FILE_POLL_MS) {
                if (f->stop && atomic_load(f->stop))
                        return false;
                nanosleep(&step, NULL);
        }
        return true;
}

/* How many bytes of whole lines go into this write: at least one line, at most a chunk, none beyond the rotation. */
static size_t sink_file_portion(
        const struct sw_sink_file *f, const char *text, size_t n, uint64_t size, bool *ret_rotate)
{
        const char *end;
        size_t used = 0, line;

        *ret_rotate = false;
        while (used < n) {
                end = memchr(text + used, '\n', n - used);
                line = end ? (size_t)(end - text) + 1 - used : n - used;
                if (f->rotate_bytes > 0 && size + used > 0 && size + used + line > f->rotate_bytes) {
                        *ret_rotate = used == 0;
                        break;
                }
                if (used > 0 && used + line > SINK_FILE_CHUNK)
                        break;
                used += line;
        }
        return used;
}

/* Room for the whole portion before its first byte, so that a full disk does not cut a line in two. File systems that
 * cannot reserve find out when they write. 0 or errno. */
static int sink_file_reserve(struct sw_sink_file *f, off_t size, size_t n)
{
        if (fallocate(f->fd, FALLOC_FL_KEEP_SIZE, size, (off_t)n) == 0)
                return 0;
        return errno == ENOSPC || errno == EDQUOT ? errno : 0;
}

/* Where to go on after `done` bytes of text when the file below was truncated or replaced: at a line's start. */
static size_t sink_file_line_start(const char *text, size_t done)
{
        while (done > 0 && text[done - 1] != '\n')
                done--;
        return done;
}

/* The end of the file, as the next write will find it: another file, a cut one, or one with somebody else's lines at
 * its end. Goes back to the start of a line that was begun elsewhere. 0 or errno; *ret_r: what on_switch said. */
static int sink_file_settle(struct sw_sink_file *f, const char *text, size_t *done, int *ret_r)
{
        struct stat st;
        char last;

        if (fstat(f->fd, &st) != 0)
                return errno;
        if (!f->switched && f->end_known && st.st_size == f->end)
                return 0;
        if (f->switched || st.st_size != f->end)
                *done = sink_file_line_start(text, *done);
        if (st.st_size < f->end) {
                f->switched = true;
                (void)sink_file_sync(f);
        }
        f->end = st.st_size;
        if (f->switched && f->on_switch) {
                *ret_r = f->lost ? -SW_ERR_IO : f->on_switch(f->ctx, *done);
                if (*ret_r != 0)
                        return 0;
        }
        f->switched = false;
        if (st.st_size > 0 && pread(f->fd, &last, 1, st.st_size - 1) == 1 && last != '\n') {
                if (write(f->fd, "\n", 1) != 1)
                        return errno;
                f->end++;
        }
        f->end_known = true;
        return 0;
}

/* One try. *done moves on. 0 or errno; *ret_r: what on_switch said. */
static int sink_file_put(struct sw_sink_file *f, const char *text, size_t n, size_t *done, int *ret_r)
{
        bool rotate, within;
        size_t portion;
        ssize_t wrote;
        int error;

        sink_file_follow_path(f);
        error = sink_file_settle(f, text, done, ret_r);
        if (error || *ret_r)
                return error;
        within = *done > 0 && text[*done - 1] != '\n';
        portion = sink_file_portion(f, text + *done, n - *done, within ? 0 : (uint64_t)f->end, &rotate);
        if (rotate) {
                if (sink_file_rotate(f) < 0)
                        return EIO;
                error = sink_file_settle(f, text, done, ret_r);
                if (error || *ret_r)
                        return error;
                /* if it could not be rotated the line goes into the old file */
                portion = sink_file_portion(f, text + *done, n - *done, 0, &rotate);
        }
        error = sink_file_reserve(f, f->end, portion);
        if (error)
                return error;
        wrote = write(f->fd, text + *done, portion);
        if (wrote < 0)
                return errno;
        f->dirty = true;
        f->end += wrote;
        *done += (size_t)wrote;
        return 0;
}

int sw_sink_file_append(struct sw_sink_file *f, const char *text, size_t n)
{
        size_t done = 0;
        int r = SW_SINK_FILE_OK, error;

        pthread_mutex_lock(&f->lock);
        while (done < n) {
                error = sink_file_put(f, text, n, &done, &r);
                if (r != 0)
                        break;
                if (error == 0 || error == EINTR)
                        continue;
                atomic_store(&f->blocked, true);
                sw_log(f->log, SW_LOG_ERROR, "file_write", f->path, "cannot write: %s; %s", strerror(error),
                        f->when_full);
                if (!sink_file_wait(f)) {
                        r = SW_SINK_FILE_STOPPED;
                        break;
                }
        }
        if (atomic_exchange(&f->blocked, false) && r == SW_SINK_FILE_OK)
                sw_log(f->log, SW_LOG_INFO, "file_write_again", f->path, "writing again; no line was lost");
        pthread_mutex_unlock(&f->lock);
        return r;
}

int sw_sink_file_sync(struct sw_sink_file *f)
{
        int r;

        pthread_mutex_lock(&f->lock);
        r = sink_file_sync(f);
        pthread_mutex_unlock(&f->lock);
        return r;
}

void sw_sink_file_place(const struct sw_sink_file *f, struct sw_sink_file_place *ret)
{
        *ret = (struct sw_sink_file_place){ .fd = f->fd, .inode = f->inode, .size = (uint64_t)f->end };
}

void sw_sink_file_refresh(struct sw_sink_file *f)
{
        struct stat st;

        pthread_mutex_lock(&f->lock);
        if (fstat(f->fd, &st) == 0)
                f->end = st.st_size;
        f->end_known = false;
        pthread_mutex_unlock(&f->lock);
}

void sw_sink_file_reopen(struct sw_sink_file *f)
{
        int r = 0;

        atomic_store(&f->reopen_wanted, true);
        if (pthread_mutex_trylock(&f->lock) != 0)
                return;
        sink_file_follow_path(f);
        (void)sink_file_settle(f, NULL, &(size_t){ 0 }, &r); /* what fails now is tried again before the next line */
        pthread_mutex_unlock(&f->lock);
}

bool sw_sink_file_is_blocked(const struct sw_sink_file *f)
{
        return atomic_load(&f->blocked);
}

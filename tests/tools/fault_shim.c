/* SPDX-License-Identifier: Apache-2.0 */
/* LD_PRELOAD: makes the disk fail at a chosen call. Not installed.
 *
 *   FAULT_DIR     only files under this folder count (an absolute path)
 *   FAULT_SHARED  a file of at least 4096 bytes that is mapped: see struct shared
 *   FAULT_KIND    exit | enospc | eio | short | powerloss | slow; nothing: only count
 *   FAULT_AT      the call that is hit, counted from 1 over write, pwrite, writev, fsync, fdatasync, ftruncate,
 *                 rename and unlink
 *   FAULT_FOR     enospc: how many calls fail (default 1); 0 = while shared->hold is set. slow: seconds that each sync
 * of a snapshot takes FAULT_SEED    chooses among the ways in which a call can be hit
 *
 * exit: the process ends before the call, after half of what it writes, or after it, as on SIGKILL. powerloss: it ends
 * likewise, and what was not synced is undone first: everything, or of each file all after a certain write. A rename is
 * undone unless its folder was synced. short: half is written. eio, enospc: that error. */
/* Both names of each call are defined here. */
#undef _FILE_OFFSET_BITS

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

enum { SHIM_EXIT = 99, PATH_BYTES = 1024 };
enum kind { COUNT, EXIT, ENOSPC_, EIO_, SHORT, POWERLOSS, SLOW };
enum op { WRITE, SYNC, TRUNCATE, RENAME, UNLINK };

struct shared {
        atomic_ulong n_calls, n_hit;
        atomic_uint hold; /* FAULT_FOR=0: set by the shim when it is hit, cleared by the test */
        char what[64];    /* of the first call that was hit */
};

/* What one call changed since its file (a rename: its folder) was synced. */
struct change {
        struct change *older;
        dev_t dev;
        ino_t ino;
        enum op op;
        off_t offset, size; /* size of the file before */
        size_t n;           /* old bytes at offset */
        bool undo;          /* chosen at the end */
        int fd;             /* of our own */
        char from[PATH_BYTES], to[PATH_BYTES], saved[PATH_BYTES];
        unsigned char old[];
};

static struct {
        const char *dir;
        size_t n_dir;
        enum kind kind;
        unsigned long at, count, seed;
        struct shared *shared;
        pthread_mutex_t lock;
        struct change *changes; /* newest first */
} shim = { .lock = PTHREAD_MUTEX_INITIALIZER };

static unsigned long number(const char *name, unsigned long otherwise)
{
        const char *text = getenv(name);

        return text && *text ? strtoul(text, NULL, 10) : otherwise;
}

__attribute__((constructor)) static void start(void)
{
        static const char *const kinds[] = { "", "exit", "enospc", "eio", "short", "powerloss", "slow" };
        const char *kind = getenv("FAULT_KIND"), *path = getenv("FAULT_SHARED");
        unsigned i;
        int fd;

        shim.dir = getenv("FAULT_DIR");
        if (!shim.dir || !path)
                return;
        shim.n_dir = strlen(shim.dir);
        for (i = 0; kind && i < sizeof(kinds) / sizeof(*kinds); i++)
                if (strcmp(kind, kinds[i]) == 0)
                        shim.kind = (enum kind)i;
        shim.at = number("FAULT_AT", 0);
        shim.count = number("FAULT_FOR", 1);
        shim.seed = number("FAULT_SEED", 1);
        fd = open(path, O_RDWR | O_CLOEXEC);
        if (fd >= 0) {
                void *p = mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

                if (p != MAP_FAILED)
                        shim.shared = p;
                (void)close(fd);
        }
}

static bool under(const char *path)
{
        return shim.shared && strncmp(path, shim.dir, shim.n_dir) == 0 &&
               (path[shim.n_dir] == '/' || !path[shim.n_dir]);
}

static bool watched(int fd, char path[PATH_BYTES])
{
        char link[64];
        ssize_t n;

        if (!shim.shared)
                return false;
        (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        n = readlink(link, path, PATH_BYTES - 1);
        if (n <= 0)
                return false;
        path[n] = '\0';
        return under(path);
}

/* Whether this call is hit. */
static bool hit(const char *what, const char *path)
{
        unsigned long n = atomic_fetch_add(&shim.shared->n_calls, 1) + 1;
        const char *slash = strrchr(path, '/');

        if (shim.kind == COUNT || shim.at == 0 || n < shim.at)
                return false;
        if (n == shim.at) {
                (void)snprintf(shim.shared->what, sizeof(shim.shared->what), "%s %s", what, slash ? slash + 1 : path);
                if (shim.kind == ENOSPC_ && shim.count == 0)
                        atomic_store(&shim.shared->hold, 1);
        } else if (shim.kind != ENOSPC_ ||
                   (shim.count == 0 ? !atomic_load(&shim.shared->hold) : n >= shim.at + shim.count)) {
                return false;
        }
        atomic_fetch_add(&shim.shared->n_hit, 1);
        return true;
}

/* ---- what is lost when the power goes ---- */

static struct change *note(int fd, enum op op, off_t offset, size_t n_write)
{
        struct stat st;
        struct change *c;
        size_t n = 0;
        char link[64];

        if (shim.kind != POWERLOSS || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
                return NULL;
        if (op == TRUNCATE)
                n = st.st_size > offset ? (size_t)(st.st_size - offset) : 0;
        else if (offset < st.st_size)
                n = (size_t)(st.st_size - offset) < n_write ? (size_t)(st.st_size - offset) : n_write;
        c = calloc(1, sizeof(*c) + n);
        if (!c)
                abort();
        c->dev = st.st_dev;
        c->ino = st.st_ino;
        c->op = op;
        c->offset = offset;
        c->size = st.st_size;
        (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        c->fd = (int)syscall(SYS_openat, AT_FDCWD, link, O_RDWR | O_CLOEXEC, 0);
        if (n) {
                ssize_t got = pread(c->fd, c->old, n, offset);

                c->n = got > 0 ? (size_t)got : 0;
        }
        c->older = shim.changes;
        shim.changes = c;
        return c;
}

static void forget(struct change **at)
{
        struct change *c = *at;

        *at = c->older;
        if (c->fd > 0)
                (void)syscall(SYS_close, c->fd);
        if (c->saved[0])
                (void)syscall(SYS_unlink, c->saved);
        free(c);
}

/* The file is safe; the folder: the renames in it. */
static void settle(int fd)
{
        struct change **at = &shim.changes;
        struct stat st;

        if (shim.kind != POWERLOSS || fstat(fd, &st) < 0)
                return;
        while (*at)
                if ((*at)->dev == st.st_dev && (*at)->ino == st.st_ino)
                        forget(at);
                else
                        at = &(*at)->older;
}

static void note_rename(const char *from, const char *to)
{
        struct change *c;
        struct stat st;
        char folder[PATH_BYTES], *slash;

        if (shim.kind != POWERLOSS)
                return;
        c = calloc(1, sizeof(*c));
        if (!c)
                abort();
        (void)snprintf(folder, sizeof(folder), "%s", to);
        slash = strrchr(folder, '/');
        if (slash)
                *slash = '\0';
        if (stat(folder, &st) == 0) {
                c->dev = st.st_dev;
                c->ino = st.st_ino;
        }
        c->op = RENAME;
        (void)snprintf(c->from, sizeof(c->from), "%s", from);
        (void)snprintf(c->to, sizeof(c->to), "%s", to);
        if (snprintf(c->saved, sizeof(c->saved), "%s.before-rename", to) >= (int)sizeof(c->saved) ||
                syscall(SYS_linkat, AT_FDCWD, to, AT_FDCWD, c->saved, 0) != 0)
                c->saved[0] = '\0';
        c->older = shim.changes;
        shim.changes = c;
}

static unsigned long next_random(unsigned long *state)
{
        unsigned long z = (*state += 0x9e3779b97f4a7c15UL);

        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9UL;
        return z ^ (z >> 27);
}

/* Everything, or of each file what came from one of its changes on; renames one by one. */
static void choose(void)
{
        unsigned long random = shim.seed;
        bool all = next_random(&random) % 2;
        struct change *c, *d;

        for (c = shim.changes; c; c = c->older)
                c->undo = all || next_random(&random) % 2;
        for (c = shim.changes; c; c = c->older)
                if (c->undo && c->op != RENAME)
                        for (d = shim.changes; d != c; d = d->older)
                                if (d->op != RENAME && d->ino == c->ino && d->dev == c->dev)
                                        d->undo = true;
}

static void lose(void)
{
        struct change *c;

        choose();
        for (c = shim.changes; c; c = c->older) {
                if (!c->undo)
                        continue;
                if (c->op == RENAME) {
                        (void)syscall(SYS_renameat2, AT_FDCWD, c->to, AT_FDCWD, c->from, 0);
                        if (c->saved[0])
                                (void)syscall(SYS_renameat2, AT_FDCWD, c->saved, AT_FDCWD, c->to, 0);
                        continue;
                }
                if (c->n)
                        (void)syscall(SYS_pwrite64, c->fd, c->old, c->n, c->offset);
                (void)syscall(SYS_ftruncate, c->fd, c->size);
        }
        for (c = shim.changes; c; c = c->older)
                if (c->saved[0])
                        (void)syscall(SYS_unlink, c->saved);
}

static _Noreturn void end(void)
{
        if (shim.kind == POWERLOSS)
                lose();
        _exit(SHIM_EXIT);
}

/* ---- the calls ---- */

static int refuse(void)
{
        errno = shim.kind == EIO_ ? EIO : ENOSPC;
        return -1;
}

/* How much of a write happens before the process ends: 0 nothing, 1 half, 2 all. */
static unsigned torn(void)
{
        return (unsigned)(shim.seed % 3);
}

static ssize_t put(int fd, const void *p, size_t n, off_t offset)
{
        if (offset < 0)
                return syscall(SYS_write, fd, p, n);
        return syscall(SYS_pwrite64, fd, p, n, offset);
}

static ssize_t any_write(int fd, const void *p, size_t n, off_t offset)
{
        char path[PATH_BYTES];
        off_t at = offset;
        ssize_t r;
        bool is_hit;

        if (!watched(fd, path))
                return put(fd, p, n, offset);
        (void)pthread_mutex_lock(&shim.lock);
        is_hit = hit("write", path);
        if (is_hit && (shim.kind == ENOSPC_ || shim.kind == EIO_)) {
                (void)pthread_mutex_unlock(&shim.lock);
                return refuse();
        }
        if (at < 0)
                at = (fcntl(fd, F_GETFL) & O_APPEND) ? lseek(fd, 0, SEEK_END) : lseek(fd, 0, SEEK_CUR);
        if (!is_hit || torn())
                (void)note(fd, WRITE, at, n);
        if (is_hit && shim.kind == SHORT)
                n = n > 1 ? n / 2 : n;
        if (is_hit && (shim.kind == EXIT || shim.kind == POWERLOSS)) {
                if (torn())
                        (void)put(fd, p, torn() == 1 ? n / 2 : n, offset);
                end();
        }
        r = put(fd, p, n, offset);
        (void)pthread_mutex_unlock(&shim.lock);
        return r;
}

EXPORT ssize_t write(int fd, const void *p, size_t n)
{
        return any_write(fd, p, n, -1);
}

EXPORT ssize_t pwrite(int fd, const void *p, size_t n, off_t offset)
{
        return any_write(fd, p, n, offset);
}

EXPORT ssize_t pwrite64(int fd, const void *p, size_t n, off64_t offset);
ssize_t pwrite64(int fd, const void *p, size_t n, off64_t offset)
{
        return any_write(fd, p, n, offset);
}

EXPORT ssize_t writev(int fd, const struct iovec *v, int n)
{
        char path[PATH_BYTES];
        size_t all = 0, at = 0;
        unsigned char *p;
        ssize_t r;
        int i;

        if (!watched(fd, path))
                return syscall(SYS_writev, fd, v, n);
        for (i = 0; i < n; i++)
                all += v[i].iov_len;
        p = malloc(all ? all : 1);
        if (!p)
                abort();
        for (i = 0; i < n; i++) {
                memcpy(p + at, v[i].iov_base, v[i].iov_len);
                at += v[i].iov_len;
        }
        r = any_write(fd, p, all, -1);
        free(p);
        return r;
}

static int any_sync(int fd, long number_of_call)
{
        char path[PATH_BYTES];

        if (!watched(fd, path))
                return (int)syscall(number_of_call, fd);
        if (shim.kind == SLOW && strstr(path, "/snapshot.")) {
                atomic_fetch_add(&shim.shared->n_hit, 1);
                (void)sleep((unsigned)shim.count);
        }
        (void)pthread_mutex_lock(&shim.lock);
        if (hit("sync", path)) {
                if (shim.kind == EIO_) {
                        (void)pthread_mutex_unlock(&shim.lock);
                        return refuse();
                }
                if (shim.kind == EXIT || shim.kind == POWERLOSS) {
                        if (torn() == 2)
                                settle(fd);
                        end();
                }
        }
        /* What stays in the page cache is as good as synced for a process that is killed; real syncs cost time. */
        settle(fd);
        (void)pthread_mutex_unlock(&shim.lock);
        return 0;
}

EXPORT int fsync(int fd)
{
        return any_sync(fd, SYS_fsync);
}

EXPORT int fdatasync(int fd)
{
        return any_sync(fd, SYS_fdatasync);
}

static int any_truncate(int fd, off_t size)
{
        char path[PATH_BYTES];
        int r;

        if (!watched(fd, path))
                return (int)syscall(SYS_ftruncate, fd, size);
        (void)pthread_mutex_lock(&shim.lock);
        if (hit("truncate", path)) {
                if (shim.kind == EIO_ || shim.kind == ENOSPC_) {
                        (void)pthread_mutex_unlock(&shim.lock);
                        return refuse();
                }
                if (shim.kind == EXIT || shim.kind == POWERLOSS) {
                        if (torn() == 2) {
                                (void)note(fd, TRUNCATE, size, 0);
                                (void)syscall(SYS_ftruncate, fd, size);
                        }
                        end();
                }
        }
        (void)note(fd, TRUNCATE, size, 0);
        r = (int)syscall(SYS_ftruncate, fd, size);
        (void)pthread_mutex_unlock(&shim.lock);
        return r;
}

EXPORT int ftruncate(int fd, off_t size)
{
        return any_truncate(fd, size);
}

EXPORT int ftruncate64(int fd, off64_t size);
int ftruncate64(int fd, off64_t size)
{
        return any_truncate(fd, size);
}

static void absolute(const char *path, char ret[PATH_BYTES])
{
        char folder[PATH_BYTES];

        if (path[0] == '/') {
                (void)snprintf(ret, PATH_BYTES, "%s", path);
                return;
        }
        if (!getcwd(folder, sizeof(folder)))
                folder[0] = '\0';
        (void)snprintf(ret, PATH_BYTES, "%.500s/%.500s", folder, path);
}

EXPORT int rename(const char *from, const char *to)
{
        char a[PATH_BYTES], b[PATH_BYTES];
        int r;

        absolute(from, a);
        absolute(to, b);
        if (!under(b))
                return (int)syscall(SYS_rename, from, to);
        (void)pthread_mutex_lock(&shim.lock);
        if (hit("rename", b)) {
                if (shim.kind == EIO_ || shim.kind == ENOSPC_) {
                        (void)pthread_mutex_unlock(&shim.lock);
                        return refuse();
                }
                if (shim.kind == EXIT || shim.kind == POWERLOSS) {
                        if (torn() == 2) {
                                note_rename(a, b);
                                (void)syscall(SYS_rename, from, to);
                        }
                        end();
                }
        }
        note_rename(a, b);
        r = (int)syscall(SYS_rename, from, to);
        (void)pthread_mutex_unlock(&shim.lock);
        return r;
}

EXPORT int renameat(int from_at, const char *from, int to_at, const char *to)
{
        if (from_at == AT_FDCWD && to_at == AT_FDCWD)
                return rename(from, to);
        if (shim.shared) {
                char a[PATH_BYTES], b[PATH_BYTES], x[2 * PATH_BYTES], y[2 * PATH_BYTES];

                if (watched(from_at, a) && watched(to_at, b)) {
                        (void)snprintf(x, sizeof(x), "%s/%s", a, from);
                        (void)snprintf(y, sizeof(y), "%s/%s", b, to);
                        return rename(x, y);
                }
        }
        return (int)syscall(SYS_renameat2, from_at, from, to_at, to, 0);
}

EXPORT int unlink(const char *path)
{
        char a[PATH_BYTES];
        bool is_hit;

        absolute(path, a);
        if (!under(a))
                return (int)syscall(SYS_unlink, path);
        (void)pthread_mutex_lock(&shim.lock);
        is_hit = hit("unlink", a);
        if (is_hit && (shim.kind == EXIT || shim.kind == POWERLOSS)) {
                if (torn() == 2)
                        (void)syscall(SYS_unlink, path);
                end();
        }
        (void)pthread_mutex_unlock(&shim.lock);
        if (is_hit && shim.kind == EIO_)
                return refuse();
        return (int)syscall(SYS_unlink, path);
}

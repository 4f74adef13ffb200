/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/tail_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TAIL_ROTATED_MAX 1000 /* more rotated files than anybody keeps */

int sw_tail_file_open(struct sw_tail_file *t, const char *path, int64_t from)
{
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        struct stat st;

        if (fd < 0)
                return -SW_ERR_IO;
        if (fstat(fd, &st) != 0 || S_ISDIR(st.st_mode) || (from > 0 && lseek(fd, from - 1, SEEK_SET) < 0)) {
                close(fd);
                errno = S_ISDIR(st.st_mode) ? EISDIR : ESPIPE;
                return -SW_ERR_IO;
        }
        if (t->fd >= 0)
                close(t->fd);
        t->path = path;
        t->fd = fd;
        t->skipping = from > 0;
        sw_buf_reset(&t->line);
        return 0;
}

void sw_tail_file_close(struct sw_tail_file *t)
{
        if (t->fd >= 0 && t->path)
                close(t->fd);
        sw_buf_deinit(&t->line);
        *t = SW_TAIL_FILE_NULL;
}

static int tail_file_take(struct sw_tail_file *t, struct sw_str part, sw_tail_each each, void *ctx)
{
        const char *end;
        size_t n;
        int r = 0;

        while (part.n > 0 && r == 0) {
                end = memchr(part.p, '\n', part.n);
                n = end ? (size_t)(end - part.p) : part.n;
                if (!t->skipping && t->line.n + n > SW_TAIL_LINE_MAX) {
                        fprintf(stderr, "segwatch: a line is longer than %d MiB; skipped\n", SW_TAIL_LINE_MAX >> 20);
                        t->skipping = true;
                }
                if (!t->skipping)
                        sw_buf_put(&t->line, part.p, n);
                if (t->line.failed)
                        return -SW_ERR_NOMEM;
                if (end) {
                        if (!t->skipping)
                                r = each(ctx, (struct sw_str){ t->line.p, t->line.n });
                        t->skipping = false;
                        sw_buf_reset(&t->line);
                        n++;
                }
                part.p += n;
                part.n -= n;
        }
        return r;
}

int sw_tail_file_feed(struct sw_tail_file *t, struct sw_str bytes, bool at_end, sw_tail_each each, void *ctx)
{
        int r = tail_file_take(t, bytes, each, ctx);

        if (r != 0 || !at_end || t->line.n == 0 || t->skipping)
                return r;
        r = each(ctx, (struct sw_str){ t->line.p, t->line.n });
        sw_buf_reset(&t->line);
        return r;
}

int sw_tail_file_read(struct sw_tail_file *t, bool at_end, sw_tail_each each, void *ctx)
{
        char chunk[65536];
        ssize_t n;
        int r;

        for (;;) {
                n = read(t->fd, chunk, sizeof(chunk));
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -SW_ERR_IO;
                if (n == 0)
                        break;
                r = tail_file_take(t, (struct sw_str){ chunk, (size_t)n }, each, ctx);
                if (r != 0)
                        return r;
        }
        return sw_tail_file_feed(t, SW_STR_NULL, at_end, each, ctx);
}

/* Files rotated since: our old file is FILE.k now; what came after it stands in FILE.(k-1) ... FILE.1. */
static int tail_file_between(struct sw_tail_file *t, const struct stat *old, sw_tail_each each, void *ctx)
{
        struct sw_tail_file between = SW_TAIL_FILE_NULL;
        char name[4096];
        struct stat st;
        unsigned k;
        int r = 0;

        for (k = 1; k < TAIL_ROTATED_MAX; k++) {
                snprintf(name, sizeof(name), "%s.%u", t->path, k);
                if (stat(name, &st) != 0)
                        return 0; /* ours was renamed otherwise or removed: nothing can be known */
                if (st.st_dev == old->st_dev && st.st_ino == old->st_ino)
                        break;
        }
        while (--k > 0 && r == 0) {
                snprintf(name, sizeof(name), "%s.%u", t->path, k);
                if (sw_tail_file_open(&between, name, 0) == 0)
                        r = sw_tail_file_read(&between, true, each, ctx);
        }
        sw_tail_file_close(&between);
        return r;
}

int sw_tail_file_follow(struct sw_tail_file *t, sw_tail_each each, void *ctx)
{
        struct stat now, ours;
        off_t at;
        int r;

        if (t->fd < 0) {
                if (sw_tail_file_open(t, t->path, 0) < 0)
                        return errno == ENOENT ? 0 : -SW_ERR_IO;
        }
        at = lseek(t->fd, 0, SEEK_CUR);
        if (fstat(t->fd, &ours) == 0 && ours.st_size < at) {
                (void)lseek(t->fd, 0, SEEK_SET);
                sw_buf_reset(&t->line);
                t->skipping = false;
        }
        /* the path first: what is written into the old file before it is replaced is then surely read */
        r = stat(t->path, &now) == 0 ? 1 : 0;
        if (r == 0 || (now.st_dev == ours.st_dev && now.st_ino == ours.st_ino))
                return sw_tail_file_read(t, false, each, ctx);
        r = sw_tail_file_read(t, true, each, ctx);
        if (r == 0)
                r = tail_file_between(t, &ours, each, ctx);
        if (r != 0)
                return r;
        if (sw_tail_file_open(t, t->path, 0) < 0)
                return errno == ENOENT ? 0 : -SW_ERR_IO;
        return sw_tail_file_read(t, false, each, ctx);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "sink/alert_resume.h"

#include "base/alloc.h"
#include "base/hash.h"
#include "sink/alert_export.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define RESUME_TAIL 256 /* bytes of the end that are hashed */
#define RESUME_CHUNK 65536
#define RESUME_LINE (1 << 24) /* none of ours is longer */

struct resume {
        struct sw_outbox *outbox;
        const char *path;
        struct sw_log *log;
        uint64_t inode, size;
        char hash[17]; /* of the end at that size */
        /* the row that comes next */
        struct sw_buf row; /* its line with the newline; empty: no more rows */
        int64_t number, written;
        uint64_t n_found;
        bool completed;
};

/* ---- notes ---- */

static void resume_hash(int fd, uint64_t size, char ret[17])
{
        static const struct sw_hash_key key = { 0 }; /* tells ends apart, guards nothing */
        unsigned char tail[RESUME_TAIL];
        size_t n = size < sizeof(tail) ? size : sizeof(tail);
        ssize_t got = n ? pread(fd, tail, n, (off_t)(size - n)) : 0;

        if (got != (ssize_t)n)
                n = 0;
        snprintf(ret, 17, "%016llx", (unsigned long long)sw_siphash(&key, tail, n));
}

void sw_alert_note(int fd, uint64_t inode, uint64_t size, char ret[SW_ALERT_NOTE])
{
        char hash[17];

        resume_hash(fd, size, hash);
        snprintf(ret, SW_ALERT_NOTE, "1 %llu %llu %s", (unsigned long long)inode, (unsigned long long)size, hash);
}

static int resume_load_note(struct resume *s, bool *ret_any)
{
        unsigned long long inode, size;
        struct sw_buf b = SW_BUF_NULL;
        int r = sw_outbox_note(s->outbox, SW_ALERT_SINK, &b);

        sw_buf_putc(&b, '\0');
        *ret_any = r == 0 && !b.failed && sscanf(b.p, "1 %llu %llu %16s", &inode, &size, s->hash) == 3;
        if (*ret_any) {
                s->inode = inode;
                s->size = size;
        }
        if (r == 0 && b.failed)
                r = -SW_ERR_NOMEM;
        sw_buf_deinit(&b);
        return r;
}

/* ---- rows ---- */

static int resume_take(void *ctx, const struct sw_outbox_row *row)
{
        struct resume *s = ctx;

        s->number = row->number;
        sw_buf_put_str(&s->row, row->line);
        sw_buf_putc(&s->row, '\n');
        return s->row.failed ? -SW_ERR_NOMEM : 0;
}

static int resume_next(struct resume *s)
{
        sw_buf_reset(&s->row);
        return sw_outbox_read(s->outbox, SW_ALERT_SINK, s->written, 1, resume_take, s);
}

static int resume_matched(struct resume *s)
{
        s->written = s->number;
        s->n_found++;
        return resume_next(s);
}

/* ---- the file ---- */

/* Writes what is missing of the row's line. */
static int resume_complete(struct resume *s, int fd, size_t have)
{
        while (have < s->row.n) {
                ssize_t n = write(fd, s->row.p + have, s->row.n - have);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && (errno == ENOSPC || errno == EDQUOT || errno == EFBIG))
                        return SW_ALERT_NO_ROOM;
                if (n < 0) {
                        sw_log(s->log, SW_LOG_ERROR, "file_write", s->path, "cannot complete a line: %s",
                                strerror(errno));
                        return -SW_ERR_IO;
                }
                have += (size_t)n;
        }
        s->completed = true;
        return resume_matched(s);
}

/* One line of the file; the last may lack its newline. Lines of others are passed over. */
static int resume_line(struct resume *s, int fd, struct sw_str line, bool whole)
{
        if (line.n > s->row.n || memcmp(line.p, s->row.p, line.n) != 0)
                return 0;
        assert(!whole || line.n == s->row.n); /* a row has no newline but the last */
        return whole ? resume_matched(s) : resume_complete(s, fd, line.n);
}

static int resume_walk_buffer(struct resume *s, int fd, struct sw_buf *b, bool at_end)
{
        size_t from = 0;
        int r = 0;

        while (r == 0 && from < b->n) {
                const char *end = memchr(b->p + from, '\n', b->n - from);

                if (!end && !at_end && b->n - from < RESUME_LINE)
                        break;
                r = resume_line(s, fd,
                        (struct sw_str){ b->p + from, end ? (size_t)(end - b->p) + 1 - from : b->n - from },
                        end != NULL);
                from = end ? (size_t)(end - b->p) + 1 : b->n;
        }
        if (from > 0 && from < b->n)
                memmove(b->p, b->p + from, b->n - from);
        b->n -= from;
        return r;
}

/* The lines from there on, as long as there are rows they could be. */
static int resume_walk(struct resume *s, int fd, uint64_t from)
{
        char *chunk = sw_alloc(RESUME_CHUNK);
        struct sw_buf b = SW_BUF_NULL;
        ssize_t n = 1;
        int r = chunk ? 0 : -SW_ERR_NOMEM;

        while (r == 0 && n > 0 && s->row.n > 0) {
                n = pread(fd, chunk, RESUME_CHUNK, (off_t)from);
                if (n < 0 && errno == EINTR) {
                        n = 1;
                        continue;
                }
                if (n < 0) {
                        sw_log(s->log, SW_LOG_ERROR, "file_read", s->path, "cannot read it: %s", strerror(errno));
                        r = -SW_ERR_IO;
                        break;
                }
                sw_buf_put(&b, chunk, (size_t)n);
                from += (uint64_t)n;
                r = b.failed ? -SW_ERR_NOMEM : resume_walk_buffer(s, fd, &b, n == 0);
        }
        if (r == 0 && s->n_found > 0 && fdatasync(fd) != 0) /* it was written, but was it synced? */
                r = -SW_ERR_IO;
        sw_buf_deinit(&b);
        sw_free(chunk);
        return r;
}

/* The marked file from the mark on, or from its start if it is not what the mark saw. */
static int resume_marked_file(struct resume *s, int fd, const struct stat *st)
{
        bool same = (uint64_t)st->st_size >= s->size;
        char hash[17];

        if (same) {
                resume_hash(fd, s->size, hash);
                same = strcmp(hash, s->hash) == 0;
        }
        if (!same)
                sw_log(s->log, SW_LOG_INFO, "alert_file_cut", s->path,
                        "the file was truncated or replaced while nothing was written; going on at its end");
        return resume_walk(s, fd, same ? s->size : 0);
}

/* Opens the one that has the inode if it is among FILE.1, FILE-20260101 ...; *ret_fd -1: none is. Whatever else fails
 * is an error: without having looked, what stands there would be written again. */
static int resume_open_moved(const struct resume *s, DIR *d, const char *base, struct stat *st, int *ret_fd)
{
        size_t n = strlen(base);
        struct dirent *entry;

        *ret_fd = -1;
        while ((errno = 0, entry = readdir(d)) != NULL) {
                if (strncmp(entry->d_name, base, n) != 0 || !entry->d_name[n])
                        continue;
                if (fstatat(dirfd(d), entry->d_name, st, AT_SYMLINK_NOFOLLOW) != 0) {
                        if (errno == ENOENT) /* gone meanwhile */
                                continue;
                        return -SW_ERR_IO;
                }
                if (!S_ISREG(st->st_mode) || st->st_ino != s->inode)
                        continue;
                *ret_fd = openat(dirfd(d), entry->d_name, O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
                return *ret_fd < 0 ? -SW_ERR_IO : 0;
        }
        return errno ? -SW_ERR_IO : 0;
}

static int resume_find_moved(const struct resume *s, struct stat *st, int *ret_fd)
{
        const char *slash = strrchr(s->path, '/');
        struct sw_buf dir = SW_BUF_NULL;
        DIR *d;
        int r;

        if (slash)
                sw_buf_put(&dir, s->path, (size_t)(slash - s->path) + 1);
        else
                sw_buf_puts(&dir, ".");
        sw_buf_putc(&dir, '\0');
        if (dir.failed) {
                sw_buf_deinit(&dir);
                return -SW_ERR_NOMEM;
        }
        d = opendir(dir.p);
        r = d ? resume_open_moved(s, d, slash ? slash + 1 : s->path, st, ret_fd) : -SW_ERR_IO;
        if (r < 0)
                sw_log(s->log, SW_LOG_ERROR, "file_open", s->path,
                        "cannot look for the file that was moved from there: %s", strerror(errno));
        if (d)
                closedir(d);
        sw_buf_deinit(&dir);
        return r;
}

static int resume_files(struct resume *s)
{
        int current = open(s->path, O_RDWR | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), moved = -1, r;
        struct stat st;

        if (current < 0 || fstat(current, &st) != 0) {
                sw_log(s->log, SW_LOG_ERROR, "file_open", s->path, "cannot open it: %s", strerror(errno));
                r = -SW_ERR_IO;
        } else if (st.st_ino == s->inode) {
                r = resume_marked_file(s, current, &st);
        } else {
                r = resume_find_moved(s, &st, &moved);
                if (r == 0 && moved >= 0)
                        r = resume_marked_file(s, moved, &st);
                if (r == 0) /* whoever made it new may have copied what was there */
                        r = resume_walk(s, current, 0);
        }
        if (moved >= 0)
                close(moved);
        if (current >= 0)
                close(current);
        return r;
}

int sw_alert_resume(struct sw_outbox *o, const char *path, struct sw_log *log, int64_t *ret_number)
{
        struct resume s = { .outbox = o, .path = path, .log = log };
        bool any;
        int r = resume_load_note(&s, &any);

        if (r == 0 && any)
                r = resume_next(&s);
        if (r == 0 && any && s.row.n > 0)
                r = resume_files(&s);
        if (r == 0 && s.n_found > 0)
                sw_log(log, SW_LOG_INFO, "alert_file_resumed", path,
                        "%llu findings stood in the file beyond the last mark%s", (unsigned long long)s.n_found,
                        s.completed ? ", the last of them was torn and is complete now" : "");
        if (r == 0)
                *ret_number = s.written;
        sw_buf_deinit(&s.row);
        return r;
}

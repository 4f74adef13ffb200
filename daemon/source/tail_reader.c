/* SPDX-License-Identifier: Apache-2.0 */
#include "source/tail_reader.h"

#include "base/alloc.h"
#include "decode/decoder.h"
#include "decode/framer.h"
#include "decode/inflate.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TAIL_STEP_BYTES ((size_t)1 << 20)
#define TAIL_READ_BYTES ((size_t)64 << 10)
#define TAIL_READ_GZIP_BYTES ((size_t)8 << 10) /* inflates to at most 200 times as much */
#define TAIL_PIECE_BYTES ((size_t)64 << 10)
#define TAIL_MOVED_STEPS 2u /* without a byte before a renamed file counts as left by its writer */

struct sw_tail_reader {
        char *path;
        bool follow;
        size_t record_max;
        uint64_t want_inode; /* until the first file was opened */
        int64_t want_next;

        int fd; /* -1: none */
        struct stat st;
        struct sw_framer *framer;
        struct sw_inflate *inflate; /* NULL: plain */
        int64_t base;               /* position in the stream of the file's first byte */
        int64_t origin;             /* byte of the file the framer began at */
        int64_t at;                 /* byte of the (inflated) file up to which the framer has it */
        int64_t skip;               /* gzip: inflated bytes to pass over, read before */
        int64_t n_read;             /* bytes of the file itself */
        unsigned moved_steps;       /* at its end, with another file in its place */
        bool ended;
        struct sw_tail_limit limit;
        char buffer[TAIL_READ_BYTES];
};

int sw_tail_reader_new(const struct sw_tail_conf *conf, struct sw_tail_reader **ret)
{
        struct sw_tail_reader *r = sw_calloc(1, sizeof(*r));

        if (!r)
                return -SW_ERR_NOMEM;
        r->fd = -1;
        r->path = sw_strdup(conf->path);
        if (!r->path) {
                sw_free(r);
                return -SW_ERR_NOMEM;
        }
        r->follow = conf->follow;
        r->record_max = conf->record_max;
        r->want_inode = conf->inode;
        r->want_next = conf->next > 0 ? conf->next : 0;
        *ret = r;
        return 0;
}

void sw_tail_reader_limit(struct sw_tail_reader *r, const struct sw_tail_limit *limit)
{
        r->limit = *limit;
}

/* Bytes that may be read of the open file. Of gzip it is all or nothing: its pieces are cut where they were cut before,
 * and what lies beyond is not delivered. */
static size_t tail_allowed(const struct sw_tail_reader *r, size_t want)
{
        const struct sw_tail_limit *l = &r->limit;

        if (!l->set || (r->st.st_ino == l->from_inode && l->from_inode != l->inode))
                return want;
        if (r->st.st_ino != l->inode || r->at >= l->until)
                return 0;
        return r->inflate || l->until - r->at > (int64_t)want ? want : (size_t)(l->until - r->at);
}

static void tail_close(struct sw_tail_reader *r)
{
        if (r->fd >= 0)
                (void)close(r->fd);
        r->fd = -1;
        r->framer = sw_framer_free(r->framer);
        r->inflate = sw_inflate_free(r->inflate);
}

struct sw_tail_reader *sw_tail_reader_free(struct sw_tail_reader *r)
{
        if (!r)
                return NULL;
        tail_close(r);
        sw_free(r->path);
        sw_free(r);
        return NULL;
}

void sw_tail_step_free(struct sw_tail_step *s)
{
        struct sw_tail_piece *p;

        while ((p = s->first)) {
                s->first = p->next;
                sw_free(p);
        }
        s->last = NULL;
}

static void tail_say(struct sw_tail_step *s, const char *event, bool warning, const char *fmt, ...)
        __attribute__((format(printf, 4, 5)));

static void tail_say(struct sw_tail_step *s, const char *event, bool warning, const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        (void)vsnprintf(s->text, sizeof(s->text), fmt, ap);
        va_end(ap);
        s->event = event;
        s->warning = warning;
}

static int tail_error(const struct sw_tail_reader *r, int code, const char *what, struct sw_err *reterr)
{
        return sw_err_set(reterr, code, "%s: %s", r->path, what);
}

/* ---- opening ---- */

/* A file of this inode in the folder of the path: what was renamed. -1: there is none. */
static int tail_find_moved(const struct sw_tail_reader *r)
{
        const char *slash = strrchr(r->path, '/');
        char folder[4096];
        const struct dirent *e;
        struct stat st;
        int fd = -1;
        DIR *d;

        if (snprintf(folder, sizeof(folder), "%.*s", slash ? (int)(slash - r->path) + 1 : 1, slash ? r->path : ".") >=
                (int)sizeof(folder))
                return -1;
        d = opendir(folder);
        while (d && fd < 0 && (e = readdir(d))) {
                if (e->d_ino != r->want_inode)
                        continue;
                fd = openat(dirfd(d), e->d_name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
                if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size < r->want_next)) {
                        (void)close(fd);
                        fd = -1;
                }
        }
        if (d)
                (void)closedir(d);
        return fd;
}

/* Takes an open file to be read from byte `from` on. Owns fd. */
static int tail_take(struct sw_tail_reader *r, int fd, int64_t from, struct sw_tail_step *s, struct sw_err *reterr)
{
        struct sw_framer_conf conf = { .piece_bytes = TAIL_PIECE_BYTES, .record_max = r->record_max };
        char magic[2];
        int code = 0;

        r->fd = fd;
        if (fstat(fd, &r->st) < 0)
                return tail_error(r, -SW_ERR_IO, strerror(errno), reterr);
        r->origin = r->at = from;
        r->skip = r->n_read = 0;
        r->moved_steps = 0;
        if (pread(fd, magic, sizeof(magic), 0) == sizeof(magic) &&
                sw_inflate_is_gzip((struct sw_str){ magic, sizeof(magic) })) {
                if (r->follow)
                        return tail_error(r, -SW_ERR_IO, "is gzip, which cannot be followed (follow: true)", reterr);
                code = sw_inflate_new(&r->inflate);
                r->skip = from;
        } else {
                if (from > 0 && lseek(fd, from, SEEK_SET) < 0)
                        return tail_error(r, -SW_ERR_IO, strerror(errno), reterr);
                r->n_read = from;
        }
        if (code == 0)
                code = sw_framer_new(&conf, &r->framer);
        if (code < 0)
                return tail_error(r, code, sw_error_text(code), reterr);
        s->begin = (struct sw_tail_begin){
                .happened = true, .gone = s->begin.gone, .inode = r->st.st_ino, .position = r->base
        };
        return 0;
}

/* Where to begin in the file at the path, which is open. */
static int64_t tail_resume(const struct sw_tail_reader *r, int fd, struct sw_tail_step *s)
{
        struct stat st;
        char magic[2];

        if (r->want_inode == 0 || fstat(fd, &st) < 0)
                return 0;
        if (st.st_ino != r->want_inode) {
                tail_say(s, "tail_restart", true,
                        "%.100s is another file than the one that was read up to byte %" PRId64 "; from its start",
                        r->path, r->want_next);
                return 0;
        }
        if (st.st_size < r->want_next && !(pread(fd, magic, sizeof(magic), 0) == sizeof(magic) &&
                                                 sw_inflate_is_gzip((struct sw_str){ magic, sizeof(magic) }))) {
                tail_say(s, "tail_restart", true,
                        "%.100s has %" PRId64 " bytes and was read up to byte %" PRId64 ": cut off; from its start",
                        r->path, (int64_t)st.st_size, r->want_next);
                return 0;
        }
        return r->want_next;
}

static int tail_open(struct sw_tail_reader *r, struct sw_tail_step *s, struct sw_err *reterr)
{
        /* O_NONBLOCK: a FIFO must not make this wait; it is refused */
        int fd = open(r->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), code, old = -1;
        int64_t from = 0;
        struct stat st;

        if (fd < 0 && errno != ENOENT)
                return tail_error(r, -SW_ERR_IO, strerror(errno), reterr);
        if (r->follow && r->want_inode && (fd < 0 || fstat(fd, &st) < 0 || st.st_ino != r->want_inode))
                old = tail_find_moved(r);
        if (old >= 0) {
                if (fd >= 0)
                        (void)close(fd);
                fd = old;
                from = r->want_next;
                tail_say(s, "tail_moved", false, "%.100s was renamed: its rest first, from byte %" PRId64, r->path,
                        from);
        } else if (fd < 0) {
                return tail_error(r, -SW_ERR_NOENT, strerror(ENOENT), reterr);
        } else if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
                (void)close(fd);
                return tail_error(r, -SW_ERR_IO, "is not a regular file", reterr);
        } else {
                from = tail_resume(r, fd, s);
        }
        code = tail_take(r, fd, from, s, reterr);
        if (code < 0) {
                tail_close(r);
                return code;
        }
        r->want_inode = 0;
        return 0;
}

/* The next file of the stream begins where this one's bytes end. */
static void tail_leave(struct sw_tail_reader *r)
{
        r->base += r->at;
        tail_close(r);
}

/* ---- reading ---- */

static int tail_add(struct sw_tail_reader *r, const struct sw_piece *piece, struct sw_tail_step *s)
{
        struct sw_tail_piece *p = sw_alloc(sizeof(*p) + piece->bytes.n);

        if (!p)
                return -SW_ERR_NOMEM;
        *p = (struct sw_tail_piece){ .offset = (uint64_t)r->origin + piece->offset,
                .flags = piece->flags,
                .inode = r->st.st_ino,
                .time = piece->time,
                .n = piece->bytes.n };
        memcpy(p->bytes, piece->bytes.p, piece->bytes.n);
        p->position = r->base + (int64_t)p->offset;
        /* nothing of a record that was too long may look like a record: it is passed over again */
        p->end = p->flags & SW_DECODE_OVERSIZE ? p->position : p->position + (int64_t)p->n;
        if (s->last)
                s->last->next = p;
        else
                s->first = p;
        s->last = p;
        return 0;
}

/* Everything the framer has. whole: also what it would keep to fill a piece. */
static int tail_frame(struct sw_tail_reader *r, bool whole, struct sw_tail_step *s)
{
        struct sw_piece piece;
        int code;

        for (;;) {
                code = sw_framer_next(r->framer, &piece);
                if (code == SW_FRAMER_MORE && whole)
                        code = sw_framer_flush(r->framer, &piece);
                if (code != SW_FRAMER_OK)
                        return code < 0 ? code : 0;
                code = tail_add(r, &piece, s);
                if (code < 0)
                        return code;
        }
}

static int tail_feed(struct sw_tail_reader *r, const char *p, size_t n, struct sw_tail_step *s)
{
        size_t skipped = r->skip < (int64_t)n ? (size_t)r->skip : n;
        int code;

        r->skip -= (int64_t)skipped;
        if (n == skipped)
                return 0;
        r->at += (int64_t)(n - skipped);
        code = sw_framer_feed(r->framer, p + skipped, n - skipped);
        return code < 0 ? code : tail_frame(r, false, s);
}

/* What the inflater has. *ret_bytes: how much it was. */
static int tail_inflate(struct sw_tail_reader *r, struct sw_tail_step *s, size_t *ret_bytes)
{
        struct sw_str out;
        int code;

        while ((code = sw_inflate_next(r->inflate, &out)) == SW_INFLATE_OK) {
                *ret_bytes += out.n;
                code = tail_feed(r, out.p, out.n, s);
                if (code < 0)
                        return code;
        }
        return code == SW_INFLATE_DAMAGED ? -SW_ERR_DATA : code < 0 ? code : 0;
}

static int tail_finish(struct sw_tail_reader *r, struct sw_tail_step *s)
{
        sw_framer_finish(r->framer);
        return tail_frame(r, false, s);
}

/* The end of a file that is not followed. */
static int tail_end(struct sw_tail_reader *r, struct sw_tail_step *s, struct sw_err *reterr)
{
        size_t bytes = 0;
        int code = 0, last;

        if (r->inflate) {
                sw_inflate_finish(r->inflate);
                code = tail_inflate(r, s, &bytes);
        }
        if (code == 0 && r->skip > 0) { /* shorter than what was read before */
                tail_say(
                        s, "tail_restart", true, "%.100s is shorter than what was read of it: from its start", r->path);
                tail_close(r);
                s->begin.gone = true;
                return tail_open(r, s, reterr);
        }
        last = tail_finish(r, s);
        s->at_end = s->ended = r->ended = true;
        if (code == -SW_ERR_DATA)
                return tail_error(r, code, "the gzip data is damaged or cut off", reterr);
        code = code ? code : last;
        return code < 0 ? tail_error(r, code, sw_error_text(code), reterr) : 0;
}

static int tail_cut_off(struct sw_tail_reader *r, int64_t size, struct sw_tail_step *s, struct sw_err *reterr)
{
        int fd = r->fd, code;

        tail_say(s, "tail_cut_off", true,
                "%.100s was cut off at byte %" PRId64 " after it was read up to byte %" PRId64 ": from its start",
                r->path, size, r->at);
        r->fd = -1;
        tail_leave(r);
        s->begin.gone = true;
        code = lseek(fd, 0, SEEK_SET) < 0 ? -SW_ERR_IO : 0;
        if (code < 0) {
                (void)close(fd);
                return tail_error(r, code, strerror(errno), reterr);
        }
        code = tail_take(r, fd, 0, s, reterr);
        if (code < 0)
                tail_close(r);
        return code;
}

/* The end, for now, of a file that is followed: has it grown shorter, or is another one in its place? */
static int tail_wait(struct sw_tail_reader *r, bool any, struct sw_tail_step *s, struct sw_err *reterr)
{
        struct stat here, there;
        int code;

        if (fstat(r->fd, &here) < 0)
                return tail_error(r, -SW_ERR_IO, strerror(errno), reterr);
        if (here.st_size < r->n_read && !s->first) /* pieces belong before the beginning of another file */
                return tail_cut_off(r, here.st_size, s, reterr);
        code = tail_frame(r, true, s);
        if (code < 0)
                return tail_error(r, code, sw_error_text(code), reterr);
        s->at_end = here.st_size >= r->n_read;
        if (any || stat(r->path, &there) < 0 || (there.st_ino == here.st_ino && there.st_dev == here.st_dev)) {
                r->moved_steps = 0;
                return 0;
        }
        if (++r->moved_steps < TAIL_MOVED_STEPS)
                return 0;
        code = tail_finish(r, s); /* an incomplete last line is an error now */
        tail_say(s, "tail_rotated", false, "%.100s is a new file; the old one was read up to byte %" PRId64, r->path,
                r->at);
        tail_leave(r);
        s->at_end = false;
        return code < 0 ? tail_error(r, code, sw_error_text(code), reterr) : 0;
}

static int tail_read(struct sw_tail_reader *r, struct sw_tail_step *s, struct sw_err *reterr)
{
        size_t taken = 0, want = r->inflate ? TAIL_READ_GZIP_BYTES : TAIL_READ_BYTES;
        bool any = false;

        while (taken < TAIL_STEP_BYTES) {
                size_t allowed = tail_allowed(r, want);
                ssize_t n = allowed ? read(r->fd, r->buffer, allowed) : 0;
                int code;

                if (!allowed) { /* a record that is not whole here waits for its rest */
                        code = tail_frame(r, true, s);
                        return code < 0 ? tail_error(r, code, sw_error_text(code), reterr) : 0;
                }

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return tail_error(r, -SW_ERR_IO, strerror(errno), reterr);
                if (n == 0)
                        return r->follow ? tail_wait(r, any, s, reterr) : tail_end(r, s, reterr);
                any = true;
                r->n_read += n;
                taken += (size_t)n;
                if (r->inflate) {
                        sw_inflate_feed(r->inflate, r->buffer, (size_t)n);
                        code = tail_inflate(r, s, &taken);
                } else {
                        code = tail_feed(r, r->buffer, (size_t)n, s);
                }
                if (code == -SW_ERR_DATA)
                        return tail_end(r, s, reterr); /* says so again */
                if (code < 0)
                        return tail_error(r, code, sw_error_text(code), reterr);
        }
        return 0;
}

static void tail_state(struct sw_tail_reader *r, struct sw_tail_step *s)
{
        struct stat st;

        s->next = r->base + (r->fd >= 0 ? r->at : 0);
        s->left = 0;
        s->ended = r->ended;
        if (r->ended)
                s->at_end = true;
        if (r->fd >= 0 && !r->ended && fstat(r->fd, &st) == 0 && st.st_size > r->n_read)
                s->left = (uint64_t)(st.st_size - r->n_read);
}

int sw_tail_reader_open(struct sw_tail_reader *r, struct sw_tail_step *ret, struct sw_err *reterr)
{
        int code;

        *ret = (struct sw_tail_step){ 0 };
        code = r->fd < 0 && !r->ended ? tail_open(r, ret, reterr) : 0;
        tail_state(r, ret);
        return code;
}

int sw_tail_reader_step(struct sw_tail_reader *r, struct sw_tail_step *ret, struct sw_err *reterr)
{
        int code = sw_tail_reader_open(r, ret, reterr);

        if (code == 0 && !r->ended)
                code = tail_read(r, ret, reterr);
        tail_state(r, ret);
        return code;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* A min-heap of files by head time. The smallest is served one piece, its next piece is framed to learn the new head,
 * and it goes back. So at any time the watermark's holder is the file that is served next. */
#include "source/source_file.h"

#include "base/alloc.h"
#include "decode/decoder.h"
#include "decode/framer.h"
#include "decode/inflate.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_BYTES ((size_t)128 << 10)
#define PIECE_BYTES ((size_t)256 << 10)
#define PIECE_BYTES_MANY ((size_t)32 << 10) /* with many files open side by side */
#define MANY_FILES 32u
#define PEEK_BYTES ((size_t)1 << 20) /* of a file without an hour in its path, to find its first record */
#define MAX_FOLDER_DEPTH 32u

/* Buffers that go round between the reader and the engine thread, so that a piece costs no page faults. */
struct pool {
        pthread_mutex_t lock;
        struct buffer *free;
        uint32_t n_out;
        bool orphan; /* the reader is gone: the last buffer frees the pool */
};

struct buffer {
        struct buffer *next;
        struct pool *pool;
        size_t cap;
        char bytes[];
};

struct file {
        char *path;
        struct sw_etime head;
        bool head_known, at_end;
        int fd;
        struct sw_framer *framer;
        struct sw_inflate *inflate; /* NULL: plain */
        bool begun, eof, has_piece;
        struct sw_piece piece; /* framed, not served yet; lives in the framer */
};

struct sw_files {
        struct file *files;
        uint32_t n_files, cap_files;
        uint32_t *heap; /* of file numbers */
        uint32_t n_heap;
        bool started;
        uint64_t bytes, bytes_read;
        struct pool *pool;
        char *read_buffer;
        /* found while looking ahead: told by the next call */
        struct sw_err pending;
        uint32_t pending_file;
};

/* ---- buffers ---- */

static void pool_free(struct pool *pool)
{
        struct buffer *b;

        while ((b = pool->free)) {
                pool->free = b->next;
                sw_free(b);
        }
        (void)pthread_mutex_destroy(&pool->lock);
        sw_free(pool);
}

static void buffer_done(void *owner)
{
        struct buffer *b = owner;
        struct pool *pool = b->pool;
        bool last;

        pthread_mutex_lock(&pool->lock);
        b->next = pool->free;
        pool->free = b;
        pool->n_out--;
        last = pool->orphan && pool->n_out == 0;
        pthread_mutex_unlock(&pool->lock);
        if (last)
                pool_free(pool);
}

static struct buffer *buffer_take(struct pool *pool, size_t n)
{
        struct buffer *b;

        pthread_mutex_lock(&pool->lock);
        b = pool->free;
        if (b)
                pool->free = b->next;
        pthread_mutex_unlock(&pool->lock);
        if (b && b->cap < n) {
                sw_free(b);
                b = NULL;
        }
        if (!b) {
                size_t cap = n <= PIECE_BYTES + PIECE_BYTES / 4 ? PIECE_BYTES + PIECE_BYTES / 4 : n + n / 4;

                b = sw_alloc(sizeof(*b) + cap);
                if (!b)
                        return NULL;
                *b = (struct buffer){ .pool = pool, .cap = cap };
        }
        pthread_mutex_lock(&pool->lock);
        pool->n_out++;
        pthread_mutex_unlock(&pool->lock);
        return b;
}

/* ---- heads ---- */

/* The hour in ".../y=2024/m=12/d=12/h=04/m=00/...": what Azure's blob names say. */
static bool head_of_path(const char *path, struct sw_etime *ret)
{
        static const char *const keys[] = { "/y=", "/m=", "/d=", "/h=" };
        static const size_t digits[] = { 4, 2, 2, 2 };
        struct sw_buf text = SW_BUF_NULL;
        const char *at = path;
        bool found = false;
        size_t i;

        for (i = 0; i < 4; i++) {
                at = strstr(at, keys[i]);
                if (!at)
                        goto out;
                at += strlen(keys[i]);
                if (strspn(at, "0123456789") != digits[i])
                        goto out;
                sw_buf_put(&text, at, digits[i]);
                sw_buf_putc(&text, "--T:"[i]);
        }
        sw_buf_puts(&text, "00:00Z");
        found = !text.failed && sw_etime_parse((struct sw_str){ text.p, text.n }, ret);
out:
        sw_buf_deinit(&text);
        return found;
}

static bool head_before(const struct sw_files *f, uint32_t a, uint32_t b)
{
        const struct file *x = &f->files[a], *y = &f->files[b];

        /* A file whose head is not known yet comes first: only reading it can tell. */
        if (x->head.ms != y->head.ms)
                return x->head.ms < y->head.ms;
        return a < b;
}

static void heap_down(struct sw_files *f, uint32_t i)
{
        for (;;) {
                uint32_t least = i, left = 2 * i + 1, swap;

                if (left < f->n_heap && head_before(f, f->heap[left], f->heap[least]))
                        least = left;
                if (left + 1 < f->n_heap && head_before(f, f->heap[left + 1], f->heap[least]))
                        least = left + 1;
                if (least == i)
                        return;
                swap = f->heap[i];
                f->heap[i] = f->heap[least];
                f->heap[least] = swap;
                i = least;
        }
}

/* ---- one file ---- */

static bool is_stdin(const struct file *x)
{
        return strcmp(x->path, "-") == 0;
}

static void file_close(struct file *x)
{
        if (x->fd >= 0 && !is_stdin(x))
                (void)close(x->fd);
        x->fd = -1;
        x->framer = sw_framer_free(x->framer);
        x->inflate = sw_inflate_free(x->inflate);
        x->has_piece = x->begun = x->eof = false;
}

static int file_error(const struct file *x, int code, const char *what, struct sw_err *reterr)
{
        return sw_err_set(reterr, code, "%s: %s", is_stdin(x) ? "stdin" : x->path, what);
}

static int file_open(struct file *x, size_t piece_bytes, struct sw_err *reterr)
{
        struct sw_framer_conf conf = { .piece_bytes = piece_bytes };
        int r;

        x->fd = is_stdin(x) ? STDIN_FILENO : open(x->path, O_RDONLY | O_CLOEXEC);
        if (x->fd < 0 && errno == EMFILE)
                return file_error(x, -SW_ERR_LIMIT, "too many open files: raise the limit with `ulimit -n`", reterr);
        if (x->fd < 0)
                return file_error(x, errno == ENOENT ? -SW_ERR_NOENT : -SW_ERR_IO, strerror(errno), reterr);
        r = sw_framer_new(&conf, &x->framer);
        return r < 0 ? file_error(x, r, sw_error_text(r), reterr) : 0;
}

/* Fills READ_BYTES at p; the first time at least two bytes, to see the magic. Returns the bytes read. */
static ssize_t file_fill(struct file *x, char *p, bool *ret_eof)
{
        size_t want = x->begun ? 1 : 2, have = 0;
        ssize_t n;

        *ret_eof = false;
        while (have < want) {
                n = read(x->fd, p + have, READ_BYTES - have);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -1;
                *ret_eof = n == 0;
                if (n == 0)
                        break;
                have += (size_t)n;
        }
        return (ssize_t)have;
}

/* Moves what the inflater has into the framer. */
static int file_inflate(struct file *x)
{
        struct sw_str out;
        int r;

        while ((r = sw_inflate_next(x->inflate, &out)) == SW_INFLATE_OK) {
                r = sw_framer_feed(x->framer, out.p, out.n);
                if (r < 0)
                        return r;
        }
        return r == SW_INFLATE_DAMAGED ? -SW_ERR_DATA : r < 0 ? r : 0;
}

static int file_feed(struct file *x, const char *p, size_t n, bool eof)
{
        int r = 0;

        if (!x->inflate) {
                r = n ? sw_framer_feed(x->framer, p, n) : 0;
        } else if (n) {
                sw_inflate_feed(x->inflate, p, n);
                r = file_inflate(x);
        }
        if (r == 0 && eof && x->inflate) {
                sw_inflate_finish(x->inflate);
                r = file_inflate(x);
        }
        return r;
}

/* Reads one block into the framer. */
static int file_read(struct sw_files *f, struct file *x, struct sw_err *reterr)
{
        bool eof, direct = x->begun && !x->inflate; /* plain text goes straight into the framer */
        char *p = direct ? sw_framer_room(x->framer, READ_BYTES) : f->read_buffer;
        ssize_t n;
        int r = 0;

        if (!p)
                return file_error(x, -SW_ERR_NOMEM, sw_error_text(-SW_ERR_NOMEM), reterr);
        n = file_fill(x, p, &eof);
        if (n < 0)
                return file_error(x, -SW_ERR_IO, strerror(errno), reterr);
        f->bytes_read += (uint64_t)n;
        if (!x->begun && sw_inflate_is_gzip((struct sw_str){ f->read_buffer, (size_t)n }))
                r = sw_inflate_new(&x->inflate);
        x->begun = true;
        if (direct)
                sw_framer_fed(x->framer, (size_t)n);
        else if (r == 0)
                r = file_feed(x, f->read_buffer, (size_t)n, eof);
        if (r < 0 && r != -SW_ERR_DATA)
                return file_error(x, r, sw_error_text(r), reterr);
        if (r == -SW_ERR_DATA) { /* what came before the damage is good */
                f->pending_file = (uint32_t)(x - f->files);
                (void)file_error(x, r, "the gzip data is damaged or cut off", &f->pending);
                eof = true;
        }
        if (eof) {
                x->eof = true;
                sw_framer_finish(x->framer);
        }
        return 0;
}

/* Frames the next piece: 1 = there is one, 0 = the file is drained. */
static int file_frame(struct sw_files *f, struct file *x, struct sw_err *reterr)
{
        int r;

        x->has_piece = false;
        for (;;) {
                r = sw_framer_next(x->framer, &x->piece);
                if (r == SW_FRAMER_OK) {
                        x->has_piece = true;
                        return 1;
                }
                if (r < 0)
                        return file_error(x, r, sw_error_text(r), reterr);
                if (r == SW_FRAMER_END || x->eof)
                        return 0;
                r = file_read(f, x, reterr);
                if (r < 0)
                        return r;
        }
}

static size_t piece_bytes(const struct sw_files *f)
{
        return f->n_files > MANY_FILES ? PIECE_BYTES_MANY : PIECE_BYTES;
}

/* Reads just enough of a file to know its first record's time, and closes it again. */
static int file_peek(struct sw_files *f, struct file *x, struct sw_err *reterr)
{
        uint64_t before = f->bytes_read;
        int r = file_open(x, 1, reterr);

        while (r == 0) {
                r = sw_framer_next(x->framer, &x->piece);
                if (r == SW_FRAMER_OK)
                        x->head = x->piece.time;
                if (r != SW_FRAMER_MORE || x->eof || f->bytes_read - before > PEEK_BYTES) {
                        r = 1;
                        break;
                }
                r = file_read(f, x, reterr);
        }
        file_close(x);
        f->bytes_read = before;
        f->pending = SW_ERR_NULL; /* it is told when the file is read for good */
        return r < 0 ? r : 0;
}

/* ---- the set ---- */

int sw_files_new(struct sw_files **ret)
{
        struct sw_files *f = sw_calloc(1, sizeof(*f));

        if (!f)
                return -SW_ERR_NOMEM;
        f->pool = sw_calloc(1, sizeof(*f->pool));
        f->read_buffer = sw_alloc(READ_BYTES);
        if (!f->pool || !f->read_buffer) {
                sw_free(f->pool);
                sw_free(f->read_buffer);
                sw_free(f);
                return -SW_ERR_NOMEM;
        }
        (void)pthread_mutex_init(&f->pool->lock, NULL);
        *ret = f;
        return 0;
}

struct sw_files *sw_files_free(struct sw_files *f)
{
        bool last;
        uint32_t i;

        if (!f)
                return NULL;
        for (i = 0; i < f->n_files; i++) {
                file_close(&f->files[i]);
                sw_free(f->files[i].path);
        }
        pthread_mutex_lock(&f->pool->lock);
        f->pool->orphan = true;
        last = f->pool->n_out == 0;
        pthread_mutex_unlock(&f->pool->lock);
        if (last)
                pool_free(f->pool);
        sw_free(f->files);
        sw_free(f->heap);
        sw_free(f->read_buffer);
        sw_free(f);
        return NULL;
}

static int add_file(struct sw_files *f, const char *path, uint64_t size, struct sw_err *reterr)
{
        struct file *x;

        if (f->n_files == f->cap_files) {
                uint32_t cap = f->cap_files ? f->cap_files * 2 : 16;

                x = sw_realloc_array(f->files, cap, sizeof(*x));
                if (!x)
                        return sw_err_set(reterr, -SW_ERR_NOMEM, "out of memory");
                f->files = x;
                f->cap_files = cap;
        }
        x = &f->files[f->n_files];
        *x = (struct file){ .path = sw_strdup(path), .head = SW_ETIME_NONE, .fd = -1 };
        if (!x->path)
                return sw_err_set(reterr, -SW_ERR_NOMEM, "out of memory");
        x->head_known = head_of_path(path, &x->head);
        f->n_files++;
        f->bytes += size;
        return 0;
}

static int add_folder(struct sw_files *f, const char *path, unsigned depth, struct sw_err *reterr);

/* What cannot be looked at is listed all the same: reading it will tell why, and the others are read. Links to folders
 * are not followed, since they may lead back. */
static int add_entry(struct sw_files *f, const char *path, unsigned depth, struct sw_err *reterr)
{
        struct stat st, link;

        if (stat(path, &st) < 0)
                return add_file(f, path, 0, reterr);
        if (S_ISDIR(st.st_mode) && depth < MAX_FOLDER_DEPTH) {
                if (lstat(path, &link) == 0 && S_ISLNK(link.st_mode))
                        return 0;
                return access(path, R_OK | X_OK) == 0 ? add_folder(f, path, depth + 1, reterr)
                                                      : add_file(f, path, 0, reterr);
        }
        return S_ISREG(st.st_mode) ? add_file(f, path, (uint64_t)st.st_size, reterr) : 0;
}

static int add_folder(struct sw_files *f, const char *path, unsigned depth, struct sw_err *reterr)
{
        struct dirent **names = NULL;
        struct sw_buf child = SW_BUF_NULL;
        int n = scandir(path, &names, NULL, alphasort), i, r = 0;

        if (n < 0)
                return sw_err_set(reterr, -SW_ERR_IO, "%s: %s", path, strerror(errno));
        for (i = 0; i < n; i++) {
                if (r == 0 && names[i]->d_name[0] != '.') {
                        sw_buf_reset(&child);
                        sw_buf_printf(&child, "%s/%s", path, names[i]->d_name);
                        sw_buf_putc(&child, '\0');
                        r = child.failed ? sw_err_set(reterr, -SW_ERR_NOMEM, "out of memory")
                                         : add_entry(f, child.p, depth, reterr);
                }
                free(names[i]);
        }
        free(names);
        sw_buf_deinit(&child);
        return r;
}

int sw_files_add(struct sw_files *f, const char *path, struct sw_err *reterr)
{
        struct stat st;

        if (strcmp(path, "-") == 0)
                return add_file(f, path, 0, reterr);
        if (stat(path, &st) < 0)
                return sw_err_set(reterr, errno == ENOENT || errno == ENOTDIR ? -SW_ERR_NOENT : -SW_ERR_IO, "%s: %s",
                        path, strerror(errno));
        if (S_ISDIR(st.st_mode))
                return add_folder(f, path, 0, reterr);
        return add_file(f, path, S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0, reterr);
}

uint32_t sw_files_count(const struct sw_files *f)
{
        return f->n_files;
}

const char *sw_files_path(const struct sw_files *f, uint32_t file)
{
        return is_stdin(&f->files[file]) ? "stdin" : f->files[file].path;
}

uint64_t sw_files_bytes(const struct sw_files *f)
{
        return f->bytes;
}

uint64_t sw_files_bytes_read(const struct sw_files *f)
{
        return f->bytes_read;
}

struct sw_etime sw_files_head(const struct sw_files *f, uint32_t file, bool *ret_at_end)
{
        *ret_at_end = f->files[file].at_end;
        return f->files[file].at_end ? SW_ETIME_NONE : f->files[file].head;
}

/* Heads of files that must be peeked at; a single file needs none, and stdin cannot be read twice. */
int sw_files_peek(struct sw_files *f, uint32_t *ret_file, struct sw_err *reterr)
{
        uint32_t i;

        if (f->started)
                return 0;

        if (!f->heap)
                f->heap = sw_calloc(f->n_files, sizeof(*f->heap));
        if (!f->heap)
                return sw_err_set(reterr, -SW_ERR_NOMEM, "out of memory");
        while (f->n_heap < f->n_files) {
                struct file *x = &f->files[f->n_heap];
                int r = 0;

                f->heap[f->n_heap] = f->n_heap;
                f->n_heap++;
                if (!x->head_known && f->n_files > 1 && !is_stdin(x))
                        r = file_peek(f, x, reterr);
                if (r < 0) {
                        x->at_end = true;
                        *ret_file = f->n_heap - 1;
                        return r;
                }
        }
        for (i = f->n_heap; i-- > 0;)
                heap_down(f, i);
        f->started = true;
        return 0;
}

static void drop_top(struct sw_files *f)
{
        struct file *x = &f->files[f->heap[0]];

        file_close(x);
        x->at_end = true;
        f->heap[0] = f->heap[--f->n_heap];
        heap_down(f, 0);
}

/* Frames the next piece of the file on top and puts the file where its new head belongs. */
static int advance_top(struct sw_files *f, struct sw_err *reterr)
{
        struct file *x = &f->files[f->heap[0]];
        int r = x->framer ? 0 : file_open(x, piece_bytes(f), reterr);

        if (r == 0)
                r = file_frame(f, x, reterr);
        if (r <= 0) {
                drop_top(f);
                return r;
        }
        if (!sw_etime_is_none(x->piece.time))
                x->head = sw_etime_max(x->head, x->piece.time);
        heap_down(f, 0);
        return 0;
}

/* The piece is good whatever follows it: an error is told by the next call. */
static void look_ahead(struct sw_files *f, uint32_t file)
{
        struct sw_err err = SW_ERR_NULL;

        if (advance_top(f, &err) < 0) {
                f->pending = err;
                f->pending_file = file;
        }
}

static int serve_top(struct sw_files *f, struct sw_file_piece *ret, struct sw_err *reterr)
{
        struct file *x = &f->files[ret->file];
        struct buffer *b = buffer_take(f->pool, x->piece.bytes.n);

        if (!b)
                return sw_err_set(reterr, -SW_ERR_NOMEM, "out of memory");
        memcpy(b->bytes, x->piece.bytes.p, x->piece.bytes.n);
        ret->bytes = (struct sw_str){ b->bytes, x->piece.bytes.n };
        ret->flags = x->piece.flags;
        ret->offset = x->piece.offset;
        ret->done = buffer_done;
        ret->owner = b;
        look_ahead(f, ret->file);
        return SW_FILES_PIECE;
}

int sw_files_next(struct sw_files *f, struct sw_file_piece *ret, struct sw_err *reterr)
{
        int r;

        *ret = (struct sw_file_piece){ 0 };
        if (f->pending.code < 0) {
                ret->file = f->pending_file;
                *reterr = f->pending;
                f->pending = SW_ERR_NULL;
                return reterr->code;
        }
        if (!f->started) {
                r = sw_files_peek(f, &ret->file, reterr);
                if (r < 0)
                        return r;
        }
        if (f->n_heap == 0)
                return SW_FILES_END;
        ret->file = f->heap[0];
        if (f->files[ret->file].at_end) {
                drop_top(f);
                return SW_FILES_HEAD;
        }
        if (f->files[ret->file].has_piece)
                return serve_top(f, ret, reterr);
        r = advance_top(f, reterr);
        return r < 0 ? r : SW_FILES_HEAD;
}

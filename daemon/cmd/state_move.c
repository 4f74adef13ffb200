/* SPDX-License-Identifier: Apache-2.0 */
/* A state as one file, and as text to compare.
 *
 * The file: a line "segwatch-state 1", then for each member a line "NAME BYTES SHA256" (32 hex digits of the hash) and
 * so many bytes, then a line "end". Members: the newest valid snapshot, outbox.db, seed. Not the instance: two machines
 * are two instances. */
#include "base/alloc.h"
#include "base/hash.h"
#include "cmd/cmd_state.h"
#include "state/state_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOVE_MAGIC "segwatch-state 1\n"
#define MOVE_WORD "segwatch-state "
#define MOVE_END "end\n"
#define MOVE_LINE 256
#define MOVE_STAGE "import.tmp" /* within state.dir, which may be a file system of its own */
#define MOVE_ASIDE "replaced"

static int move_fail(const char *what, const char *why)
{
        fprintf(stderr, "segwatch state: %s: %s\n", what, why);
        return SW_EXIT_FAILURE;
}

/* The daemon's lock, so that nothing changes meanwhile. */
static int move_lock(const char *dir, struct sw_state_dir **ret)
{
        struct sw_err err = SW_ERR_NULL;
        int r = sw_state_dir_open(dir, ret, &err);

        if (r == 0)
                return SW_EXIT_OK;
        fprintf(stderr, "segwatch state: %s\n", err.msg);
        return r == -SW_ERR_UNAVAIL ? SW_EXIT_TEMPFAIL : SW_EXIT_FAILURE;
}

/* ---- export ---- */

static int move_put(FILE *out, const char *dir, const char *name)
{
        char path[4096], hash[33];
        struct stat st;
        void *p = NULL;
        int fd, r = SW_EXIT_OK;

        snprintf(path, sizeof(path), "%s/%s", dir, name);
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0 || fstat(fd, &st) != 0) {
                r = move_fail(path, strerror(errno));
        } else if (st.st_size > 0) {
                p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
                if (p == MAP_FAILED)
                        r = move_fail(path, strerror(errno));
        }
        if (r == SW_EXIT_OK) {
                sw_sha256_128(p ? p : "", (size_t)st.st_size, hash);
                fprintf(out, "%s %lld %s\n", name, (long long)st.st_size, hash);
                if (p && fwrite(p, 1, (size_t)st.st_size, out) != (size_t)st.st_size)
                        r = move_fail(name, strerror(errno));
        }
        if (p && p != MAP_FAILED)
                (void)munmap(p, (size_t)st.st_size);
        if (fd >= 0)
                (void)close(fd);
        return r;
}

/* The newest snapshot that can be read; 0: there is none. */
static int move_newest(struct sw_cmd_state *s, uint64_t *ret)
{
        const struct sw_snapshots_file *files;
        uint32_t n, i;

        *ret = 0;
        files = sw_snapshots_list(s->files, &n);
        for (i = 0; i < n && *ret == 0; i++) {
                struct sw_cover cover = SW_COVER_NULL;
                struct sw_err err = SW_ERR_NULL;
                struct sw_engine *e = NULL;

                if (sw__state_load(s, files[i].number, &e, &cover, &err) < 0)
                        fprintf(stderr, "segwatch state: snapshot %" PRIu64 " is left out: %s\n", files[i].number,
                                err.msg);
                else
                        *ret = files[i].number;
                sw_engine_free(e);
                sw_cover_deinit(&cover);
        }
        return SW_EXIT_OK;
}

static int move_export_to(struct sw_cmd_state *s, FILE *out, uint64_t newest, bool outbox)
{
        const char *dir = s->conf.state.dir;
        char name[64];
        int r;

        fputs(MOVE_MAGIC, out);
        snprintf(name, sizeof(name), "snapshot.%" PRIu64, newest);
        r = newest ? move_put(out, dir, name) : SW_EXIT_OK;
        if (r == SW_EXIT_OK && outbox)
                r = move_put(out, dir, SW_OUTBOX_FILE);
        if (r == SW_EXIT_OK)
                r = move_put(out, dir, "seed");
        fputs(MOVE_END, out);
        return r;
}

int sw__state_export(struct sw_cmd_state *s, const char *path)
{
        struct sw_state_dir *lock = NULL;
        struct sw_buf tmp = SW_BUF_NULL;
        uint64_t newest = 0;
        FILE *out = NULL;
        bool outbox;
        int fd, r = move_lock(s->conf.state.dir, &lock);

        if (r == SW_EXIT_OK)
                r = sw__state_open_outbox(s);
        outbox = s->outbox != NULL;
        s->outbox = sw_outbox_close(s->outbox); /* what lies in its journal goes into the file */
        if (r == SW_EXIT_OK)
                r = move_newest(s, &newest);
        sw_buf_printf(&tmp, "%s.new%c", path, 0);
        if (r == SW_EXIT_OK && !newest && !outbox)
                r = move_fail(s->conf.state.dir, "there is no state to export");
        if (r == SW_EXIT_OK) {
                fd = tmp.failed ? -1 : open(tmp.p, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
                out = fd >= 0 ? fdopen(fd, "wb") : NULL;
                r = out ? move_export_to(s, out, newest, outbox) : move_fail(path, strerror(errno));
        }
        if (out && (fflush(out) != 0 || ferror(out) || fsync(fileno(out)) != 0) && r == SW_EXIT_OK)
                r = move_fail(path, strerror(errno));
        if (out && fclose(out) != 0 && r == SW_EXIT_OK)
                r = move_fail(path, strerror(errno));
        if (r == SW_EXIT_OK && rename(tmp.p, path) != 0)
                r = move_fail(path, strerror(errno));
        if (r != SW_EXIT_OK && out)
                (void)unlink(tmp.p);
        sw_buf_deinit(&tmp);
        sw_state_dir_close(lock);
        return r;
}

/* ---- import ---- */

/* Names that may be in such a file: nothing of it decides where it goes. */
static bool move_is_member(const char *name)
{
        uint64_t number;

        if (strcmp(name, SW_OUTBOX_FILE) == 0 || strcmp(name, "seed") == 0)
                return true;
        return strncmp(name, "snapshot.", 9) == 0 && sw_parse_u64(sw_str_of(name + 9), &number) && number > 0;
}

static int move_put_member(const char *dir, const char *name, const char *p, size_t n)
{
        int folder = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd = -1;
        bool ok = false;

        if (folder >= 0)
                fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd >= 0) {
                ok = sw_state_dir_own(folder, fd) == 0 && sw_state_dir_write_all(fd, p, n) == 0 && fsync(fd) == 0;
                ok = close(fd) == 0 && ok;
        }
        if (folder >= 0)
                (void)close(folder);
        return ok ? SW_EXIT_OK : move_fail(name, strerror(errno));
}

static int move_get(FILE *in, const char *line, const char *dir)
{
        char name[64], hash[33], is[33];
        unsigned long long n;
        char *p;
        int r;

        if (sscanf(line, "%63s %llu %32s", name, &n, hash) != 3 || !move_is_member(name))
                return move_fail("import", "the file is damaged, or of a newer version");
        p = n < SIZE_MAX / 2 ? malloc((size_t)n + 1) : NULL;
        if (!p || fread(p, 1, (size_t)n, in) != n) {
                r = move_fail(name, p ? "the file ends within it" : "out of memory");
                free(p);
                return r;
        }
        sw_sha256_128(p, (size_t)n, is);
        r = strcmp(is, hash) == 0 ? move_put_member(dir, name, p, (size_t)n)
                                  : move_fail(name, "its checksum is wrong: nothing was imported");
        free(p);
        return r;
}

static int move_read(FILE *in, const char *dir)
{
        char line[MOVE_LINE];
        int r = SW_EXIT_OK;

        if (!fgets(line, sizeof(line), in) || strncmp(line, MOVE_WORD, strlen(MOVE_WORD)) != 0)
                return move_fail("import", "this is no exported state");
        if (strcmp(line, MOVE_MAGIC) != 0)
                return move_fail("import", "it was written by a newer version: import it there, or with that version");
        while (r == SW_EXIT_OK) {
                if (!fgets(line, sizeof(line), in))
                        return move_fail("import", "the file ends too early");
                if (strcmp(line, MOVE_END) == 0)
                        return SW_EXIT_OK;
                r = move_get(in, line, dir);
        }
        return r;
}

static void move_clear(const char *dir)
{
        static const char *const names[] = { SW_OUTBOX_FILE, SW_OUTBOX_FILE "-wal", SW_OUTBOX_FILE "-shm", "seed" };
        struct sw_snapshots *files = NULL;
        const struct sw_snapshots_file *list;
        char path[4096];
        uint32_t n = 0, i;

        for (i = 0; i < sizeof(names) / sizeof(*names); i++) {
                snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
                (void)unlink(path);
        }
        if (sw_snapshots_look(dir, &files, NULL) < 0)
                return;
        list = sw_snapshots_list(files, &n);
        for (i = 0; i < n; i++)
                (void)unlink(sw_snapshots_path(files, list[i].number));
        sw_snapshots_close(files);
}

/* "DIR/NAME", made if it is not there, and empty of members. */
static int move_folder(const char *dir, const char *name, char ret[static 4096])
{
        int above, fd;

        if (snprintf(ret, 4096, "%s/%s", dir, name) >= 4096)
                return move_fail(dir, strerror(ENAMETOOLONG));
        if (mkdir(ret, 0700) != 0 && errno != EEXIST)
                return move_fail(ret, strerror(errno));
        above = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        fd = open(ret, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (above >= 0 && fd >= 0)
                (void)sw_state_dir_own(above, fd);
        if (above >= 0)
                (void)close(above);
        if (fd < 0)
                return move_fail(ret, strerror(errno));
        (void)close(fd);
        move_clear(ret);
        return SW_EXIT_OK;
}

static void move_sync(const char *dir)
{
        int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (fd < 0)
                return;
        (void)fsync(fd);
        (void)close(fd);
}

/* Members of `from` become those of `to`, which has none. */
static int move_members(const char *from, const char *to)
{
        static const char *const names[] = { SW_OUTBOX_FILE "-wal", SW_OUTBOX_FILE, "seed" };
        struct sw_snapshots *files = NULL;
        const struct sw_snapshots_file *list;
        char a[4096], b[4096];
        uint32_t n = 0, i;
        int r = SW_EXIT_OK;

        for (i = 0; i < sizeof(names) / sizeof(*names); i++) {
                snprintf(a, sizeof(a), "%s/%s", from, names[i]);
                snprintf(b, sizeof(b), "%s/%s", to, names[i]);
                if (rename(a, b) != 0 && errno != ENOENT)
                        return move_fail(b, strerror(errno));
        }
        if (sw_snapshots_look(from, &files, NULL) < 0)
                return move_fail(from, "cannot be read");
        list = sw_snapshots_list(files, &n);
        for (i = 0; i < n && r == SW_EXIT_OK; i++) {
                snprintf(b, sizeof(b), "%s/snapshot.%" PRIu64, to, list[i].number);
                if (rename(sw_snapshots_path(files, list[i].number), b) != 0)
                        r = move_fail(b, strerror(errno));
        }
        sw_snapshots_close(files);
        move_sync(to);
        move_sync(from);
        return r;
}

/* Into a folder of its own first: what cannot be read to its end changes nothing. */
static int move_import_locked(const char *dir, const char *path, bool aside)
{
        char stage[4096], old[4096];
        FILE *in = fopen(path, "rbe");
        int r;

        if (!in)
                return move_fail(path, strerror(errno));
        r = move_folder(dir, MOVE_STAGE, stage);
        if (r == SW_EXIT_OK) {
                r = move_read(in, stage);
                if (r == SW_EXIT_OK && aside)
                        r = move_folder(dir, MOVE_ASIDE, old);
                if (r == SW_EXIT_OK && aside)
                        r = move_members(dir, old);
                if (r == SW_EXIT_OK && aside)
                        fprintf(stderr, "segwatch state: what was there is in %s now\n", old);
                if (r == SW_EXIT_OK) {
                        move_clear(dir); /* a journal that is left would be taken for that of the new outbox */
                        r = move_members(stage, dir);
                }
                move_clear(stage);
                (void)rmdir(stage);
        }
        (void)fclose(in);
        return r;
}

static bool move_has_state(const char *dir)
{
        struct sw_snapshots *files = NULL;
        char path[4096];
        uint32_t n = 0;

        snprintf(path, sizeof(path), "%s/%s", dir, SW_OUTBOX_FILE);
        if (access(path, F_OK) == 0)
                return true;
        if (sw_snapshots_look(dir, &files, NULL) < 0)
                return false;
        (void)sw_snapshots_list(files, &n);
        sw_snapshots_close(files);
        return n > 0;
}

int sw__state_import(const char *file, const char *path, bool replace)
{
        static struct sw_conf_report report;
        struct sw_state_dir *lock = NULL;
        struct sw_conf conf;
        bool there;
        int r = sw_conf_load(file, false, &conf, &report);

        sw_conf_report_print(&report);
        if (r < 0)
                return r == -SW_ERR_CONFIG ? SW_EXIT_CONFIG : SW_EXIT_FAILURE;
        r = move_lock(conf.state.dir, &lock);
        there = r == SW_EXIT_OK && move_has_state(conf.state.dir);
        if (there && !replace)
                r = move_fail(conf.state.dir, "there is a state already; --replace moves it aside");
        if (r == SW_EXIT_OK)
                r = move_import_locked(conf.state.dir, path, there);
        sw_state_dir_close(lock);
        sw_conf_deinit(&conf);
        return r;
}

/* ---- comparison ---- */

struct canonical {
        char **lines;
        uint32_t n, cap;
        bool failed;
};

static void canonical_add(struct canonical *c, struct sw_buf *line)
{
        if (c->n == c->cap) {
                uint32_t cap = c->cap ? 2 * c->cap : 64;
                char **lines = sw_realloc_array(c->lines, cap, sizeof(*lines));

                if (lines) {
                        c->lines = lines;
                        c->cap = cap;
                }
        }
        sw_buf_putc(line, '\0');
        c->failed = c->failed || line->failed || c->n == c->cap;
        if (!c->failed)
                c->lines[c->n++] = line->p;
        else
                sw_buf_deinit(line);
}

static void canonical_pair(void *ctx, const struct sw_pair_info *p)
{
        struct sw_buf b = SW_BUF_NULL;
        int i;

        sw_buf_printf(&b, "pair %s -> %s: %" PRIu64 " allowed, %" PRIu64 " denied, %u sources, %u destinations, totals",
                p->from, p->to, p->flows_allowed, p->flows_denied, p->n_sources, p->n_destinations);
        for (i = 0; i < SW_N_COUNTERS; i++)
                sw_buf_printf(&b, " %" PRIu64, p->totals[i]);
        canonical_add(ctx, &b);
}

static void canonical_table(void *ctx, const struct sw_table_info *t)
{
        struct sw_buf b = SW_BUF_NULL;

        sw_buf_printf(&b, "table %s: %" PRIu64 " entries, %" PRIu64 " evicted", t->name, t->entries, t->evicted);
        canonical_add(ctx, &b);
}

static void canonical_learning(void *ctx, const char *segment, struct sw_etime until)
{
        struct sw_buf b = SW_BUF_NULL;
        char text[SW_ETIME_TEXT];

        sw_buf_printf(&b, "learning %s until %s", segment, sw_etime_format(until, text));
        canonical_add(ctx, &b);
}

static void canonical_stats(struct canonical *c, const struct sw_engine_stats *s)
{
        const struct {
                const char *name;
                uint64_t v;
        } rows[] = { { "messages", s->decode.messages }, { "message_errors", s->decode.message_errors },
                { "records", s->records }, { "records_duplicate", s->records_duplicate },
                { "records_old", s->records_old }, { "tuples", s->tuples }, { "tuples_begin", s->tuples_begin },
                { "tuples_continue", s->tuples_continue }, { "tuples_end", s->tuples_end },
                { "tuples_denied", s->tuples_denied }, { "tuples_stateless", s->tuples_stateless },
                { "tuples_late", s->tuples_late }, { "tuples_too_late", s->tuples_too_late },
                { "tuples_clamped", s->tuples_clamped }, { "tuples_held", s->tuples_held },
                { "connections", s->connections }, { "edges", s->edges }, { "hosts", s->hosts },
                { "signals", s->signals }, { "findings", s->findings }, { "evicted", s->evicted },
                { "waiting", s->reorder_tuples } };
        size_t i;

        for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
                struct sw_buf b = SW_BUF_NULL;

                sw_buf_printf(&b, "count %s: %" PRIu64, rows[i].name, rows[i].v);
                canonical_add(c, &b);
        }
}

static int canonical_order(const void *a, const void *b)
{
        return strcmp(*(char *const *)a, *(char *const *)b);
}

int sw__state_canonical(struct sw_cmd_state *s)
{
        struct sw_cover cover = SW_COVER_NULL;
        const struct sw_snapshots_file *files;
        struct sw_err err = SW_ERR_NULL;
        struct sw_engine_stats stats;
        struct canonical c = { 0 };
        struct sw_engine *e = NULL;
        char text[SW_ETIME_TEXT];
        uint32_t n, i;
        int r;

        files = sw_snapshots_list(s->files, &n);
        if (n == 0)
                return move_fail(s->conf.state.dir, "there is no snapshot");
        r = sw__state_load(s, files[0].number, &e, &cover, &err);
        if (r < 0)
                return move_fail("the newest snapshot", err.msg);
        stats = sw_engine_stats(e);
        canonical_stats(&c, &stats);
        sw_engine_pairs(e, canonical_pair, &c);
        sw_engine_tables(e, canonical_table, &c);
        sw_engine_learning(e, canonical_learning, &c);
        if (c.n > 0)
                qsort(c.lines, c.n, sizeof(*c.lines), canonical_order);
        printf("watermark %s\n",
                sw_etime_is_none(cover.release.watermark) ? "none" : sw_etime_format(cover.release.watermark, text));
        for (i = 0; i < c.n; i++) {
                printf("%s\n", c.lines[i]);
                sw_free(c.lines[i]);
        }
        sw_free(c.lines);
        sw_engine_free(e);
        sw_cover_deinit(&cover);
        return c.failed ? move_fail("comparison", "out of memory") : SW_EXIT_OK;
}

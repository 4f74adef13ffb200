/* SPDX-License-Identifier: Apache-2.0 */
#include "state/outbox.h"
#include "state/outbox_writer.h"

#include "base/alloc.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct fixture {
        char dir[64], path[80];
        struct sw_log *log;
        struct sw_outbox *o;
        atomic_bool stop;
        struct sw_outbox_conf conf;
        uint64_t number; /* of the last release */
        unsigned n_lines;
        size_t pad; /* bytes that make each line longer */
        char got[4096];
};

static void start(struct fixture *x)
{
        struct sw_err err = SW_ERR_NULL;

        if (!*x->dir) {
                strcpy(x->dir, "/tmp/segwatch-outbox-XXXXXX");
                cr_assert_not_null(mkdtemp(x->dir));
                snprintf(x->path, sizeof(x->path), "%s/%s", x->dir, SW_OUTBOX_FILE);
        }
        x->conf.dir = x->dir;
        x->conf.stop = &x->stop;
        cr_assert_eq(sw_log_new(open("/dev/null", O_WRONLY), SW_LOG_DEBUG, SW_LOG_LOGFMT, &x->log), 0);
        cr_assert_eq(sw_outbox_open(&x->conf, x->log, &x->o, &err), 0, "%s", err.msg);
}

static void halt(struct fixture *x)
{
        x->o = sw_outbox_close(x->o);
        x->log = sw_log_free(x->log);
}

static void again(struct fixture *x)
{
        halt(x);
        start(x);
}

static void end(struct fixture *x)
{
        char command[128];

        halt(x);
        snprintf(command, sizeof(command), "rm -rf %s", x->dir);
        cr_assert_eq(system(command), 0);
}

static void add_line(struct fixture *x, struct sw_lines *l, uint8_t severity)
{
        size_t from = l->text.n, i;
        char uid[33];

        snprintf(uid, sizeof(uid), "%032u", ++x->n_lines);
        sw_buf_printf(&l->text, "L%u", x->n_lines);
        for (i = 0; i < x->pad; i++)
                sw_buf_putc(&l->text, '.');
        cr_assert_eq(sw_lines_add(l, from, severity, uid), 0);
}

static const struct sw_outbox_offset somewhere[] = {
        { .source = "weu",
                .topic = "flow",
                .partition = 0,
                .next = 17,
                .stamp = { 1700000000123 },
                .hash = UINT64_MAX },
        { .source = "weu", .topic = "flow", .partition = 31, .next = 4, .stamp = { INT64_MIN } },
        { .source = "lab", .topic = "/f", .inode = UINT64_C(1) << 63 | 7, .next = INT64_MAX, .stamp = { INT64_MIN } },
};

/* One release with one finding per digit of `severities`. */
static int commit_at(struct fixture *x, const char *severities, int64_t wall_ms)
{
        struct sw_outbox_release r = { .number = x->number + 1,
                .watermark = { 1700000000000 + (int64_t)x->number },
                .wall = { wall_ms },
                .conf = "0123456789abcdef0123456789abcdef",
                .offsets = somewhere,
                .n_offsets = 3 };
        struct sw_lines l = { 0 };
        int e;

        for (; *severities; severities++)
                add_line(x, &l, (uint8_t)(*severities - '0'));
        e = sw_outbox_commit(x->o, &r, &l);
        x->number += e == SW_OUTBOX_OK;
        sw_lines_deinit(&l);
        return e;
}

static int64_t now_ms(void)
{
        struct timespec ts;

        clock_gettime(CLOCK_REALTIME, &ts);
        return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void commit(struct fixture *x, const char *severities)
{
        cr_assert_eq(commit_at(x, severities, now_ms()), SW_OUTBOX_OK);
}

static int note_line(void *ctx, const struct sw_outbox_row *row)
{
        struct fixture *x = ctx;
        const char *pad = memchr(row->line.p, '.', row->line.n);
        size_t n = pad ? (size_t)(pad - row->line.p) : row->line.n;

        snprintf(x->got + strlen(x->got), sizeof(x->got) - strlen(x->got), "%.*s ", (int)n, row->line.p);
        return 0;
}

/* "L1 L2 " : what a sink gets. */
static const char *lines_of(struct fixture *x, const char *sink, int64_t after, uint32_t max)
{
        *x->got = '\0';
        cr_assert_eq(sw_outbox_read(x->o, sink, after, max, note_line, x), 0);
        return x->got;
}

static int note_number(void *ctx, const struct sw_outbox_row *row)
{
        struct fixture *x = ctx;

        cr_assert_eq(row->uid[32], '\0');
        snprintf(x->got + strlen(x->got), sizeof(x->got) - strlen(x->got), "%lld:%.*s:%u ", (long long)row->number,
                (int)row->line.n, row->line.p, row->severity);
        return 0;
}

/* ---- the file ---- */

Test(outbox, is_readable_by_its_owner_alone)
{
        struct fixture x = { 0 };
        mode_t before = umask(0);
        char wal[96];
        struct stat st;

        start(&x);
        commit(&x, "3");
        umask(before);
        cr_assert_eq(stat(x.path, &st), 0);
        cr_assert_eq(st.st_mode & 07777, 0600);
        snprintf(wal, sizeof(wal), "%s-wal", x.path);
        cr_assert_eq(stat(wal, &st), 0);
        cr_assert_eq(st.st_mode & 07777, 0600);
        end(&x);
}

static void run_sql(const struct fixture *x, const char *text)
{
        sqlite3 *db;

        cr_assert_eq(sqlite3_open(x->path, &db), SQLITE_OK);
        cr_assert_eq(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK, "%s", sqlite3_errmsg(db));
        sqlite3_close(db);
}

static void refuses(struct fixture *x, const char *why)
{
        struct sw_outbox *o = NULL;
        struct sw_err err = SW_ERR_NULL;

        cr_assert_eq(sw_outbox_open(&x->conf, x->log, &o, &err), -SW_ERR_DATA, "%s", err.msg);
        cr_assert_null(o);
        cr_assert_not_null(strstr(err.msg, why), "%s", err.msg);
        cr_assert_not_null(strstr(err.msg, x->path), "%s", err.msg);
}

Test(outbox, refuses_a_newer_format_and_says_what_to_do)
{
        struct fixture x = { 0 };

        start(&x);
        commit(&x, "3");
        x.o = sw_outbox_close(x.o);
        run_sql(&x, "PRAGMA user_version=99");
        refuses(&x, "newer segwatch (format 99");
        end(&x);
}

Test(outbox, refuses_a_database_of_another_program)
{
        struct fixture x = { 0 };

        start(&x);
        x.o = sw_outbox_close(x.o);
        cr_assert_eq(unlink(x.path), 0);
        run_sql(&x, "CREATE TABLE t(a); INSERT INTO t VALUES(1)");
        refuses(&x, "another program");
        end(&x);
}

Test(outbox, refuses_what_is_no_database_or_damaged)
{
        struct fixture x = { 0 };
        char junk[4096];
        int fd;

        start(&x);
        x.pad = 3000;
        commit(&x, "33333333333333333333");
        x.o = sw_outbox_close(x.o);
        fd = open(x.path, O_WRONLY);
        memset(junk, 0xa5, sizeof(junk));
        cr_assert_eq(pwrite(fd, junk, sizeof(junk), 4096 * 9), (ssize_t)sizeof(junk));
        refuses(&x, "damaged");
        cr_assert_eq(pwrite(fd, junk, sizeof(junk), 0), (ssize_t)sizeof(junk));
        close(fd);
        refuses(&x, "damaged");
        end(&x);
}

Test(outbox, says_that_the_folder_is_missing)
{
        struct sw_outbox_conf conf = { .dir = "/tmp/segwatch-no-such-folder" };
        struct sw_outbox *o = NULL;
        struct sw_err err = SW_ERR_NULL;

        cr_assert_eq(sw_outbox_open(&conf, NULL, &o, &err), -SW_ERR_IO);
        cr_assert_not_null(strstr(err.msg, "/tmp/segwatch-no-such-folder/outbox.db"), "%s", err.msg);
}

/* ---- releases ---- */

struct seen {
        unsigned n;
        uint64_t last;
        unsigned findings[8];
        char uids[8][4][33];
};

static int see(void *ctx, const struct sw_outbox_release *r, const struct sw_line *findings, uint32_t n)
{
        struct seen *s = ctx;
        uint32_t i;

        cr_assert_eq(r->n_offsets, 3);
        for (i = 0; i < 3; i++) {
                cr_assert_str_eq(r->offsets[i].source, somewhere[i].source);
                cr_assert_str_eq(r->offsets[i].topic, somewhere[i].topic);
                cr_assert_eq(r->offsets[i].partition, somewhere[i].partition);
                cr_assert_eq(r->offsets[i].inode, somewhere[i].inode);
                cr_assert_eq(r->offsets[i].next, somewhere[i].next);
                cr_assert_eq(r->offsets[i].stamp.ms, somewhere[i].stamp.ms);
                cr_assert_eq(r->offsets[i].hash, somewhere[i].hash);
        }
        cr_assert_eq(r->watermark.ms, 1700000000000 + (int64_t)r->number - 1);
        cr_assert_str_eq(r->conf, "0123456789abcdef0123456789abcdef");
        s->findings[s->n] = n;
        for (i = 0; i < n && i < 4; i++)
                strcpy(s->uids[s->n][i], findings[i].uid);
        s->last = r->number;
        s->n++;
        return s->n == 8 ? -SW_ERR_LIMIT : 0;
}

Test(outbox, keeps_releases_with_offsets_and_findings_over_a_restart)
{
        struct fixture x = { 0 };
        struct sw_outbox_release last;
        struct seen seen = { 0 };

        start(&x);
        cr_assert_eq(sw_outbox_last(x.o, &last), 0);
        cr_assert_eq(last.number, 0);
        cr_assert(sw_etime_is_none(last.watermark));
        commit(&x, "35");
        commit(&x, "");
        commit(&x, "1");
        again(&x);
        cr_assert_eq(sw_outbox_last(x.o, &last), 0);
        cr_assert_eq(last.number, 3);
        cr_assert_eq(sw_outbox_releases(x.o, 0, see, &seen), 0);
        cr_assert_eq(seen.n, 3);
        cr_assert_eq(seen.findings[0], 2);
        cr_assert_str_eq(seen.uids[0][1], "00000000000000000000000000000002");
        cr_assert_eq(seen.findings[1], 0);
        cr_assert_eq(seen.findings[2], 1);
        cr_assert_str_eq(seen.uids[2][0], "00000000000000000000000000000003");
        seen = (struct seen){ 0 };
        cr_assert_eq(sw_outbox_releases(x.o, 2, see, &seen), 0);
        cr_assert_eq(seen.n, 1);
        cr_assert_eq(seen.last, 3);
        end(&x);
}

Test(outbox, takes_releases_without_holes_only)
{
        struct fixture x = { 0 };
        struct sw_outbox_stats stats;

        start(&x);
        commit(&x, "3");
        x.number = 5;
        cr_assert_eq(commit_at(&x, "3", 1), -SW_ERR_INVAL);
        x.number = 0;
        cr_assert_eq(commit_at(&x, "3", 1), -SW_ERR_INVAL);
        sw_outbox_stats(x.o, &stats);
        cr_assert_eq(stats.rows, 1, "a refused release leaves nothing behind");
        x.number = 1;
        commit(&x, "3");
        end(&x);
}

Test(outbox, forgets_releases_but_never_the_last)
{
        struct fixture x = { 0 };
        struct sw_outbox_release last;
        struct seen seen = { 0 };
        int i;

        start(&x);
        for (i = 0; i < 4; i++)
                commit(&x, "");
        cr_assert_eq(sw_outbox_forget(x.o, 2), 0);
        cr_assert_eq(sw_outbox_releases(x.o, 0, see, &seen), 0);
        cr_assert_eq(seen.n, 2);
        cr_assert_eq(sw_outbox_forget(x.o, UINT64_MAX), 0);
        cr_assert_eq(sw_outbox_last(x.o, &last), 0);
        cr_assert_eq(last.number, 4);
        commit(&x, "");
        end(&x);
}

Test(outbox, several_releases_are_one_transaction)
{
        struct fixture x = { 0 };
        struct sw_outbox_release r[3] = { { .number = 1 }, { .number = 2 }, { .number = 4 } };
        struct sw_outbox_entry entries[3] = { { .release = &r[0] }, { .release = &r[1] }, { .release = &r[2] } };
        struct sw_outbox_release last;

        start(&x);
        cr_assert_eq(sw_outbox_commit_all(x.o, entries, 3), -SW_ERR_INVAL);
        cr_assert_eq(sw_outbox_last(x.o, &last), 0);
        cr_assert_eq(last.number, 0, "all or none");
        r[2].number = 3;
        cr_assert_eq(sw_outbox_commit_all(x.o, entries, 3), SW_OUTBOX_OK);
        cr_assert_eq(sw_outbox_last(x.o, &last), 0);
        cr_assert_eq(last.number, 3);
        end(&x);
}

Test(outbox, a_line_id_is_kept_once)
{
        struct fixture x = { 0 };
        struct sw_outbox_stats stats;

        start(&x);
        cr_assert_eq(sw_outbox_sink(x.o, "s", 0), 0);
        commit(&x, "34");
        x.n_lines = 1; /* the second comes again, with a third */
        commit(&x, "45");
        cr_assert_str_eq(lines_of(&x, "s", 0, 10), "L1 L2 L3 ");
        sw_outbox_stats(x.o, &stats);
        cr_assert_eq(stats.duplicates, 1);
        cr_assert_eq(stats.rows, 3);
        end(&x);
}

Test(outbox, keeps_configurations_by_hash_while_a_release_needs_them)
{
        struct fixture x = { 0 };
        const char *a = "0123456789abcdef0123456789abcdef", *b = "fedcba9876543210fedcba9876543210";
        struct sw_buf text = SW_BUF_NULL;

        start(&x);
        cr_assert_eq(sw_outbox_get_conf(x.o, a, &text), -SW_ERR_NOENT);
        cr_assert_eq(sw_outbox_put_conf(x.o, a, SW_STR("one")), 0);
        commit(&x, "");
        cr_assert_eq(sw_outbox_put_conf(x.o, b, SW_STR("two")), 0);
        cr_assert_eq(sw_outbox_put_conf(x.o, a, SW_STR("one")), 0, "twice is fine");
        again(&x);
        cr_assert_eq(sw_outbox_get_conf(x.o, a, &text), 0);
        cr_assert_eq(text.n, 3);
        cr_assert_eq(memcmp(text.p, "one", 3), 0);
        cr_assert_eq(sw_outbox_forget(x.o, 1), 0);
        cr_assert_eq(sw_outbox_get_conf(x.o, b, &text), -SW_ERR_NOENT, "nobody needs it");
        cr_assert_eq(sw_outbox_get_conf(x.o, a, &text), 0);
        sw_buf_deinit(&text);
        end(&x);
}

/* ---- sinks ---- */

Test(outbox, a_sink_reads_what_came_after_it_in_order_and_goes_on_at_its_mark)
{
        struct fixture x = { 0 };
        int64_t marked = -1;

        start(&x);
        commit(&x, "3");
        cr_assert_eq(sw_outbox_sink(x.o, "s", 0), 0);
        cr_assert_eq(sw_outbox_marked(x.o, "s", &marked), 0);
        cr_assert_eq(marked, 1, "it begins after the newest row");
        commit(&x, "35");
        commit(&x, "1");
        cr_assert_str_eq(lines_of(&x, "s", 0, 10), "L2 L3 L4 ");
        cr_assert_str_eq(lines_of(&x, "s", 2, 1), "L3 ");
        cr_assert_eq(sw_outbox_mark(x.o, "s", 3), 0);
        again(&x);
        cr_assert_eq(sw_outbox_sink(x.o, "s", 0), 0);
        cr_assert_str_eq(lines_of(&x, "s", 0, 10), "L4 ");
        cr_assert_eq(sw_outbox_mark(x.o, "s", 2), 0, "a mark never goes back");
        cr_assert_str_eq(lines_of(&x, "s", 0, 10), "L4 ");
        cr_assert_eq(sw_outbox_mark(x.o, "s", 5), -SW_ERR_INVAL, "there is no such row");
        cr_assert_eq(sw_outbox_mark(x.o, "t", 4), -SW_ERR_NOENT);
        end(&x);
}

Test(outbox, rows_carry_number_severity_and_line)
{
        struct fixture x = { 0 };
        struct sw_line line = { .n = 3, .severity = 2, .uid = "health" };

        start(&x);
        cr_assert_eq(sw_outbox_sink(x.o, "s", 0), 0);
        commit(&x, "5");
        cr_assert_eq(sw_outbox_add(x.o, &line, "{h}\n"), SW_OUTBOX_OK);
        commit(&x, "4");
        cr_assert_eq(sw_outbox_read(x.o, "s", 0, 10, note_number, &x), 0);
        cr_assert_str_eq(x.got, "1:L1:5 2:{h}:2 3:L2:4 ");
        end(&x);
}

static int stop_at_two(void *ctx, const struct sw_outbox_row *row)
{
        (void)ctx;
        return row->number == 2 ? 7 : 0;
}

Test(outbox, a_reader_may_end_early_and_call_the_outbox)
{
        struct fixture x = { 0 };

        start(&x);
        cr_assert_eq(sw_outbox_sink(x.o, "s", 0), 0);
        commit(&x, "333");
        cr_assert_eq(sw_outbox_read(x.o, "s", 0, 10, stop_at_two, NULL), 7);
        end(&x);
}

Test(outbox, a_note_is_replaced_with_the_mark)
{
        struct fixture x = { 0 };
        struct sw_buf b = SW_BUF_NULL;
        int64_t marked;

        start(&x);
        cr_assert_eq(sw_outbox_sink(x.o, "s", 0), 0);
        commit(&x, "33");
        cr_assert_eq(sw_outbox_note(x.o, "s", &b), 0);
        cr_assert_eq(b.n, 0);
        cr_assert_eq(sw_outbox_mark_note(x.o, "s", 1, SW_STR("first"), false), 0);
        cr_assert_eq(sw_outbox_mark_note(x.o, "s", 2, SW_STR("2nd"), true), 0);
        again(&x);
        cr_assert_eq(sw_outbox_note(x.o, "s", &b), 0);
        cr_assert_eq(b.n, 3);
        cr_assert_eq(memcmp(b.p, "2nd", 3), 0);
        cr_assert_eq(sw_outbox_marked(x.o, "s", &marked), 0);
        cr_assert_eq(marked, 2);
        sw_buf_deinit(&b);
        end(&x);
}

Test(outbox, beyond_its_cap_a_sink_loses_its_oldest_least_severe_rows)
{
        struct fixture x = { 0 };
        struct sw_outbox_sink_stats k;

        start(&x);
        x.pad = 98; /* 100 bytes each, while numbers have one digit */
        cr_assert_eq(sw_outbox_sink(x.o, "alerts", 0), 0);
        cr_assert_eq(sw_outbox_sink(x.o, "far", 400), 0);
        commit(&x, "3151");
        cr_assert_eq(sw_outbox_sink_stats(x.o, "far", &k), 0);
        cr_assert_eq(k.rows, 4);
        cr_assert_eq(k.bytes, 400);
        cr_assert_eq(k.given_up, 0, "full is not beyond");
        commit(&x, "5");
        cr_assert_str_eq(lines_of(&x, "far", 0, 10), "L1 L3 L4 L5 ");
        commit(&x, "11");
        cr_assert_str_eq(lines_of(&x, "far", 0, 10), "L1 L3 L5 L7 ");
        commit(&x, "55");
        cr_assert_str_eq(
                lines_of(&x, "far", 0, 10), "L3 L5 L8 L9 ", "the newest of the least severe goes, then the next");
        cr_assert_eq(sw_outbox_sink_stats(x.o, "far", &k), 0);
        cr_assert_eq(k.rows, 4);
        cr_assert_eq(k.given_up, 5);
        again(&x);
        cr_assert_eq(sw_outbox_sink(x.o, "far", 400), 0);
        cr_assert_str_eq(lines_of(&x, "far", 0, 10), "L3 L5 L8 L9 ");
        cr_assert_str_eq(lines_of(&x, "alerts", 0, 20), "L1 L2 L3 L4 L5 L6 L7 L8 L9 ", "others lose nothing");
        cr_assert_eq(sw_outbox_mark(x.o, "far", 8), 0);
        cr_assert_eq(sw_outbox_sink_stats(x.o, "far", &k), 0);
        cr_assert_eq(k.rows, 1);
        cr_assert_eq(k.bytes, 100);
        cr_assert_eq(k.given_up, 5);
        end(&x);
}

Test(outbox, a_sink_that_wants_severe_rows_only_is_not_charged_for_others)
{
        struct fixture x = { 0 };
        struct sw_outbox_sink_stats k;

        start(&x);
        cr_assert_eq(sw_outbox_sink(x.o, "far", 4), 0);
        cr_assert_eq(sw_outbox_sink_severity(x.o, "far", 4), 0);
        commit(&x, "3333");
        commit(&x, "53");
        cr_assert_eq(sw_outbox_sink_stats(x.o, "far", &k), 0);
        cr_assert_eq(k.rows, 1);
        cr_assert_eq(k.given_up, 0);
        cr_assert_str_eq(lines_of(&x, "far", 0, 10), "L5 ");
        cr_assert_eq(sw_outbox_sink_severity(x.o, "far", 0), 0);
        cr_assert_eq(sw_outbox_sink_stats(x.o, "far", &k), 0);
        cr_assert_eq(k.rows, 6, "what is still kept counts again");
        end(&x);
}

Test(outbox, stats_tell_the_oldest_that_waits)
{
        struct fixture x = { 0 };
        struct sw_outbox_sink_stats k;

        start(&x);
        cr_assert_eq(sw_outbox_sink(x.o, "s", 0), 0);
        cr_assert_eq(sw_outbox_sink_stats(x.o, "s", &k), 0);
        cr_assert(sw_etime_is_none(k.oldest));
        cr_assert_eq(commit_at(&x, "5", 1000), 0);
        cr_assert_eq(commit_at(&x, "1", 2000), 0);
        cr_assert_eq(sw_outbox_sink_stats(x.o, "s", &k), 0);
        cr_assert_eq(k.oldest.ms, 1000);
        cr_assert_eq(sw_outbox_mark(x.o, "s", 1), 0);
        cr_assert_eq(sw_outbox_sink_stats(x.o, "s", &k), 0);
        cr_assert_eq(k.oldest.ms, 2000);
        end(&x);
}

Test(outbox, resends_what_is_kept_once_and_in_order)
{
        struct fixture x = { 0 };
        struct sw_outbox_sink_stats k;
        uint64_t n = 0;

        start(&x);
        cr_assert_eq(sw_outbox_sink(x.o, "s", 0), 0);
        cr_assert_eq(commit_at(&x, "3", 1000), 0);
        cr_assert_eq(commit_at(&x, "33", 2000), 0);
        cr_assert_eq(commit_at(&x, "33", 3000), 0);
        cr_assert_eq(sw_outbox_mark(x.o, "s", 4), 0);
        cr_assert_eq(sw_outbox_resend(x.o, "s", (struct sw_etime){ 2000 }, &n), 0);
        cr_assert_eq(n, 3);
        cr_assert_eq(sw_outbox_sink_stats(x.o, "s", &k), 0);
        cr_assert_eq(k.rows, 4);
        cr_assert_eq(k.oldest.ms, 2000);
        cr_assert_str_eq(lines_of(&x, "s", 0, 2), "L2 L3 ");
        cr_assert_eq(sw_outbox_mark(x.o, "s", 2), 0);
        again(&x);
        cr_assert_str_eq(lines_of(&x, "s", 0, 10), "L3 L4 L5 ");
        cr_assert_eq(sw_outbox_mark(x.o, "s", 5), 0);
        cr_assert_str_eq(lines_of(&x, "s", 0, 10), "");
        end(&x);
}

Test(outbox, a_mark_of_rows_in_flight_does_not_end_a_resend_that_was_not_read)
{
        struct fixture x = { 0 };

        start(&x);
        cr_assert_eq(sw_outbox_sink(x.o, "s", 0), 0);
        commit(&x, "333");
        cr_assert_str_eq(lines_of(&x, "s", 0, 2), "L1 L2 ");
        cr_assert_eq(sw_outbox_mark(x.o, "s", 2), 0);
        cr_assert_str_eq(lines_of(&x, "s", 2, 2), "L3 ");
        cr_assert_eq(sw_outbox_resend(x.o, "s", (struct sw_etime){ 0 }, NULL), 0);
        cr_assert_eq(sw_outbox_mark(x.o, "s", 3), 0);
        cr_assert_str_eq(lines_of(&x, "s", 0, 1), "L1 ");
        cr_assert_eq(sw_outbox_mark(x.o, "s", 3), 0, "only the first was read");
        cr_assert_str_eq(lines_of(&x, "s", 0, 10), "L2 ");
        cr_assert_eq(sw_outbox_mark(x.o, "s", 3), 0);
        cr_assert_str_eq(lines_of(&x, "s", 0, 10), "");
        cr_assert_eq(sw_outbox_resend(x.o, "s", (struct sw_etime){ 0 }, NULL), 0);
        cr_assert_eq(sw_outbox_mark(x.o, "s", 3), 0, "a second one was not read at all");
        cr_assert_str_eq(lines_of(&x, "s", 0, 10), "L1 L2 L3 ");
        end(&x);
}

Test(outbox, resends_what_was_given_up)
{
        struct fixture x = { 0 };
        uint64_t n = 0;

        start(&x);
        cr_assert_eq(sw_outbox_sink(x.o, "alerts", 0), 0);
        cr_assert_eq(sw_outbox_sink(x.o, "s", 4), 0);
        commit(&x, "3231"); /* 8 bytes */
        cr_assert_str_eq(lines_of(&x, "s", 0, 10), "L1 L3 ");
        cr_assert_eq(sw_outbox_resend(x.o, "s", (struct sw_etime){ 0 }, &n), 0);
        cr_assert_eq(n, 2);
        cr_assert_str_eq(lines_of(&x, "s", 0, 10), "L1 L2 L3 L4 ");
        cr_assert_str_eq(lines_of(&x, "s", 0, 3), "L1 L2 L3 ");
        cr_assert_str_eq(lines_of(&x, "s", 3, 3), "L4 ");
        cr_assert_eq(sw_outbox_mark(x.o, "s", 4), 0);
        cr_assert_str_eq(lines_of(&x, "s", 0, 10), "");
        end(&x);
}

Test(outbox, drops_sinks_that_are_no_longer_configured)
{
        struct fixture x = { 0 };
        int64_t marked;

        start(&x);
        cr_assert_eq(sw_outbox_sink(x.o, "a", 0), 0);
        cr_assert_eq(sw_outbox_sink(x.o, "b", 0), 0);
        cr_assert_eq(sw_outbox_sink(x.o, "c", 0), 0);
        cr_assert_eq(sw_outbox_drop_sink(x.o, "a"), 0);
        cr_assert_eq(sw_outbox_drop_sink(x.o, "a"), -SW_ERR_NOENT);
        again(&x);
        cr_assert_eq(sw_outbox_sink(x.o, "c", 0), 0);
        cr_assert_eq(sw_outbox_drop_others(x.o), 0);
        cr_assert_eq(sw_outbox_marked(x.o, "b", &marked), -SW_ERR_NOENT);
        cr_assert_eq(sw_outbox_marked(x.o, "c", &marked), 0);
        end(&x);
}

Test(outbox, sixteen_sinks_and_no_more)
{
        struct fixture x = { 0 };
        char name[16];
        int i;

        start(&x);
        for (i = 0; i < SW_OUTBOX_SINKS; i++) {
                snprintf(name, sizeof(name), "s%d", i);
                cr_assert_eq(sw_outbox_sink(x.o, name, 0), 0);
        }
        cr_assert_eq(sw_outbox_sink(x.o, "more", 0), -SW_ERR_LIMIT);
        cr_assert_eq(sw_outbox_sink(x.o, "s3", 0), 0, "known ones still");
        end(&x);
}

/* ---- retention ---- */

Test(outbox, removes_what_every_sink_has_taken_beyond_its_size)
{
        struct fixture x = { .conf = { .max_bytes = 1000 } };
        struct sw_outbox_stats k;
        int i;

        start(&x);
        x.pad = 198;
        cr_assert_eq(sw_outbox_sink(x.o, "a", 0), 0);
        cr_assert_eq(sw_outbox_sink(x.o, "b", 0), 0);
        for (i = 0; i < 9; i++)
                commit(&x, "3");
        cr_assert_eq(sw_outbox_forget(x.o, 9), 0);
        cr_assert_eq(sw_outbox_mark(x.o, "a", 9), 0);
        cr_assert_eq(sw_outbox_mark(x.o, "b", 2), 0);
        cr_assert_eq(sw_outbox_tend(x.o), 0);
        cr_assert_str_eq(lines_of(&x, "b", 0, 10), "L3 L4 L5 L6 L7 L8 L9 ");
        sw_outbox_stats(x.o, &k);
        cr_assert_eq(k.rows, 9, "400 bytes that all have taken may stay");
        cr_assert_eq(sw_outbox_mark(x.o, "b", 9), 0);
        cr_assert_eq(sw_outbox_tend(x.o), 0);
        sw_outbox_stats(x.o, &k);
        cr_assert_eq(k.rows, 5);
        cr_assert_eq(k.bytes, 1000);
        cr_assert_eq(k.removed, 4);
        again(&x);
        sw_outbox_stats(x.o, &k);
        cr_assert_eq(k.rows, 5);
        cr_assert_eq(k.newest, 9);
        end(&x);
}

Test(outbox, removes_what_is_old)
{
        struct fixture x = { .conf = { .max_age_ms = 3600 * 1000 } };
        struct sw_outbox_stats k;

        start(&x);
        cr_assert_eq(sw_outbox_sink(x.o, "a", 0), 0);
        cr_assert_eq(commit_at(&x, "3", now_ms() - 3700 * 1000), 0);
        cr_assert_eq(commit_at(&x, "3", now_ms() - 3500 * 1000), 0);
        cr_assert_eq(sw_outbox_forget(x.o, 2), 0);
        cr_assert_eq(sw_outbox_tend(x.o), 0);
        sw_outbox_stats(x.o, &k);
        cr_assert_eq(k.rows, 2, "nobody has taken it");
        cr_assert_eq(sw_outbox_mark(x.o, "a", 2), 0);
        cr_assert_eq(sw_outbox_tend(x.o), 0);
        sw_outbox_stats(x.o, &k);
        cr_assert_eq(k.rows, 1);
        end(&x);
}

Test(outbox, never_reuses_a_number_after_everything_is_gone)
{
        struct fixture x = { .conf = { .max_bytes = 1 } };
        struct sw_outbox_stats k;

        start(&x);
        commit(&x, "333");
        commit(&x, "");
        cr_assert_eq(sw_outbox_forget(x.o, 2), 0);
        cr_assert_eq(sw_outbox_tend(x.o), 0);
        sw_outbox_stats(x.o, &k);
        cr_assert_eq(k.rows, 0);
        again(&x);
        cr_assert_eq(sw_outbox_sink(x.o, "s", 0), 0);
        commit(&x, "3");
        cr_assert_eq(sw_outbox_read(x.o, "s", 0, 10, note_number, &x), 0);
        cr_assert_str_eq(x.got, "4:L4:3 ");
        end(&x);
}

Test(outbox, keeps_findings_of_releases_that_may_be_repeated)
{
        struct fixture x = { .conf = { .max_bytes = 1 } };
        struct seen seen = { 0 };

        start(&x);
        commit(&x, "33");
        commit(&x, "3");
        cr_assert_eq(sw_outbox_forget(x.o, 1), 0);
        cr_assert_eq(sw_outbox_tend(x.o), 0);
        cr_assert_eq(sw_outbox_releases(x.o, 0, see, &seen), 0);
        cr_assert_eq(seen.n, 1);
        cr_assert_eq(seen.findings[0], 1);
        end(&x);
}

Test(outbox, a_severe_row_that_waits_does_not_keep_what_was_given_up)
{
        struct fixture x = { .conf = { .max_bytes = 500 } };
        struct sw_outbox_stats k;
        int i;

        start(&x);
        x.pad = 98;
        cr_assert_eq(sw_outbox_sink(x.o, "far", 300), 0);
        commit(&x, "5");
        for (i = 0; i < 40; i++)
                commit(&x, "1");
        cr_assert_eq(sw_outbox_forget(x.o, x.number), 0);
        cr_assert_eq(sw_outbox_tend(x.o), 0);
        sw_outbox_stats(x.o, &k);
        cr_assert_leq(k.bytes, 900, "%llu", (unsigned long long)k.bytes);
        cr_assert_eq(memcmp(lines_of(&x, "far", 0, 10), "L1 ", 3), 0);
        end(&x);
}

Test(outbox, keeps_what_is_to_be_sent_again)
{
        struct fixture x = { .conf = { .max_bytes = 1 } };
        struct sw_outbox_stats k;

        start(&x);
        cr_assert_eq(sw_outbox_sink(x.o, "s", 0), 0);
        commit(&x, "333");
        commit(&x, "");
        cr_assert_eq(sw_outbox_mark(x.o, "s", 3), 0);
        cr_assert_eq(sw_outbox_resend(x.o, "s", (struct sw_etime){ 0 }, NULL), 0);
        cr_assert_eq(sw_outbox_forget(x.o, 2), 0);
        cr_assert_eq(sw_outbox_tend(x.o), 0);
        cr_assert_str_eq(lines_of(&x, "s", 0, 2), "L1 L2 ");
        cr_assert_eq(sw_outbox_mark(x.o, "s", 2), 0);
        cr_assert_eq(sw_outbox_tend(x.o), 0);
        sw_outbox_stats(x.o, &k);
        cr_assert_eq(k.rows, 1);
        end(&x);
}

static int64_t size_of(const char *path)
{
        struct stat st;

        return stat(path, &st) == 0 ? st.st_size : -1;
}

Test(outbox, the_file_shrinks)
{
        struct fixture x = { .conf = { .max_bytes = 100 * 1000 } };
        int64_t large, i;

        start(&x);
        x.pad = 4000;
        cr_assert_eq(sw_outbox_sink(x.o, "s", 0), 0);
        for (i = 0; i < 400; i++)
                commit(&x, "3333333333");
        x.o = sw_outbox_close(x.o); /* writes the WAL back */
        large = size_of(x.path);
        cr_assert_gt(large, 16000000);
        cr_assert_eq(sw_outbox_open(&x.conf, x.log, &x.o, NULL), 0);
        cr_assert_eq(sw_outbox_mark(x.o, "s", 4000), 0);
        cr_assert_eq(sw_outbox_forget(x.o, 400), 0);
        for (i = 0; i < 40; i++)
                cr_assert_eq(sw_outbox_tend(x.o), 0);
        halt(&x);
        cr_assert_lt(size_of(x.path), large / 2);
        start(&x);
        end(&x);
}

/* ---- a full disk ---- */

static void limit_files(rlim_t bytes)
{
        struct rlimit l;

        cr_assert_eq(getrlimit(RLIMIT_FSIZE, &l), 0);
        l.rlim_cur = bytes;
        cr_assert_eq(setrlimit(RLIMIT_FSIZE, &l), 0);
}

static void *free_space_later(void *arg)
{
        struct fixture *x = arg;
        const struct timespec step = { .tv_nsec = 10 * 1000000 };

        while (!sw_outbox_is_blocked(x->o))
                nanosleep(&step, NULL);
        limit_files(RLIM_INFINITY);
        return NULL;
}

Test(outbox, waits_while_the_disk_is_full_and_loses_nothing, .timeout = 30)
{
        struct fixture x = { 0 };
        pthread_t thread;
        char wal[96];

        signal(SIGXFSZ, SIG_IGN);
        start(&x);
        cr_assert_eq(sw_outbox_sink(x.o, "s", 0), 0);
        commit(&x, "3");
        snprintf(wal, sizeof(wal), "%s-wal", x.path);
        x.pad = 20000;
        limit_files((rlim_t)size_of(wal) + 8192);
        cr_assert_eq(pthread_create(&thread, NULL, free_space_later, &x), 0);
        commit(&x, "33");
        pthread_join(thread, NULL);
        cr_assert_not(sw_outbox_is_blocked(x.o));
        commit(&x, "3");
        again(&x);
        cr_assert_str_eq(lines_of(&x, "s", 0, 10), "L1 L2 L3 L4 ");
        end(&x);
}

Test(outbox, gives_up_waiting_when_told_to_stop, .timeout = 30)
{
        struct fixture x = { 0 };
        struct sw_outbox_release last;
        char wal[96];

        signal(SIGXFSZ, SIG_IGN);
        start(&x);
        commit(&x, "3");
        snprintf(wal, sizeof(wal), "%s-wal", x.path);
        x.pad = 20000;
        limit_files((rlim_t)size_of(wal));
        atomic_store(&x.stop, true);
        cr_assert_eq(commit_at(&x, "3", 1), SW_OUTBOX_STOPPED);
        limit_files(RLIM_INFINITY);
        again(&x);
        cr_assert_eq(sw_outbox_last(x.o, &last), 0);
        cr_assert_eq(last.number, 1);
        end(&x);
}

Test(outbox, a_database_that_is_locked_is_waited_for, .timeout = 30)
{
        struct fixture x = { 0 };
        sqlite3 *db;

        start(&x);
        commit(&x, "3");
        cr_assert_eq(sqlite3_open(x.path, &db), SQLITE_OK);
        cr_assert_eq(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
        atomic_store(&x.stop, true);
        cr_assert_eq(commit_at(&x, "3", 1), SW_OUTBOX_STOPPED);
        atomic_store(&x.stop, false);
        sqlite3_close(db);
        commit(&x, "3");
        end(&x);
}

/* A write that fails for another reason than room: the file is closed below SQLite. */
Test(outbox, is_not_written_again_after_a_failed_write, .timeout = 30)
{
        struct fixture x = { 0 };
        struct sw_outbox_release last;
        char wal[96], link[64], name[128];
        ssize_t n;
        int fd;

        start(&x);
        commit(&x, "3");
        snprintf(wal, sizeof(wal), "%s-wal", x.path);
        for (fd = 3; fd < 64; fd++) {
                snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
                n = readlink(link, name, sizeof(name) - 1);
                if (n > 0 && (name[n] = '\0', strcmp(name, wal) == 0))
                        break;
        }
        cr_assert_lt(fd, 64);
        close(fd);
        cr_assert_eq(open("/dev/full", O_RDONLY), fd); /* not open for writing: EBADF */
        cr_assert_eq(commit_at(&x, "3", 1), -SW_ERR_IO);
        cr_assert_eq(commit_at(&x, "3", 1), -SW_ERR_IO);
        cr_assert_eq(sw_outbox_tend(x.o), -SW_ERR_IO);
        again(&x);
        cr_assert_eq(sw_outbox_last(x.o, &last), 0);
        cr_assert_eq(last.number, 1);
        commit(&x, "3");
        end(&x);
}

struct unlock {
        sqlite3 *db;
        const struct sw_outbox *o;
        unsigned ms;
};

static void *unlock_later(void *arg)
{
        struct unlock *u = arg;

        while (!sw_outbox_is_blocked(u->o))
                usleep(1000);
        usleep(u->ms * 1000);
        sqlite3_close(u->db);
        return NULL;
}

static struct unlock lock_outbox(struct fixture *x)
{
        struct unlock u = { .o = x->o };

        cr_assert_eq(sqlite3_open(x->path, &u.db), SQLITE_OK);
        cr_assert_eq(sqlite3_exec(u.db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
        return u;
}

Test(outbox, waits_as_often_as_it_takes_if_nobody_can_stop_it, .timeout = 30)
{
        struct fixture x = { 0 };
        struct sw_outbox_release last;
        struct unlock u;
        pthread_t thread;

        start(&x);
        x.o = sw_outbox_close(x.o);
        x.conf.stop = NULL;
        cr_assert_eq(sw_outbox_open(&x.conf, x.log, &x.o, NULL), 0);
        u = lock_outbox(&x);
        u.ms = 1200;
        cr_assert_eq(pthread_create(&thread, NULL, unlock_later, &u), 0);
        commit(&x, "3");
        pthread_join(thread, NULL);
        cr_assert_eq(sw_outbox_last(x.o, &last), 0);
        cr_assert_eq(last.number, 1);
        end(&x);
}

/* ---- what is seldom ---- */

Test(outbox, says_that_a_sink_is_not_there)
{
        struct sw_outbox_sink_stats stats;
        struct sw_buf b = SW_BUF_NULL;
        struct fixture x = { 0 };
        char long_name[200];
        int64_t marked;

        start(&x);
        commit(&x, "3");
        cr_assert_eq(sw_outbox_read(x.o, "no", 0, 9, note_line, &x), -SW_ERR_NOENT);
        cr_assert_eq(sw_outbox_mark(x.o, "no", 1), -SW_ERR_NOENT);
        cr_assert_eq(sw_outbox_mark_note(x.o, "no", 1, SW_STR("x"), true), -SW_ERR_NOENT);
        cr_assert_eq(sw_outbox_note(x.o, "no", &b), -SW_ERR_NOENT);
        cr_assert_eq(sw_outbox_marked(x.o, "no", &marked), -SW_ERR_NOENT);
        cr_assert_eq(sw_outbox_sink_stats(x.o, "no", &stats), -SW_ERR_NOENT);
        cr_assert_eq(sw_outbox_sink_severity(x.o, "no", 3), -SW_ERR_NOENT);
        cr_assert_eq(sw_outbox_resend(x.o, "no", SW_ETIME_NONE, NULL), -SW_ERR_NOENT);
        cr_assert_eq(sw_outbox_drop_sink(x.o, "no"), -SW_ERR_NOENT);
        cr_assert_eq(sw_outbox_sink(x.o, "", 0), -SW_ERR_INVAL);
        memset(long_name, 'n', sizeof(long_name) - 1);
        long_name[sizeof(long_name) - 1] = '\0';
        cr_assert_eq(sw_outbox_sink(x.o, long_name, 0), -SW_ERR_INVAL);
        cr_assert_eq(sw_outbox_sink(x.o, "s", 0), 0);
        cr_assert_eq(sw_outbox_mark(x.o, "s", 2), -SW_ERR_INVAL, "there is no such row");
        cr_assert_eq(sw_outbox_mark_note(x.o, "s", 1, SW_STR(""), false), 0);
        cr_assert_eq(sw_outbox_note(x.o, "s", &b), 0);
        cr_assert_eq(b.n, 0);
        sw_buf_deinit(&b);
        end(&x);
}

Test(outbox, takes_what_is_empty)
{
        const char *hash = "ffffffffffffffffffffffffffffffff";
        struct sw_buf b = SW_BUF_NULL;
        struct fixture x = { 0 };

        start(&x);
        cr_assert_eq(sw_outbox_commit_all(x.o, NULL, 0), SW_OUTBOX_OK);
        cr_assert_eq(sw_outbox_put_conf(x.o, hash, SW_STR("")), 0);
        cr_assert_eq(sw_outbox_get_conf(x.o, hash, &b), 0);
        cr_assert_eq(b.n, 0);
        cr_assert_eq(commit_at(&x, "3", INT64_MIN), SW_OUTBOX_OK, "a release without a wall time has the clock's");
        cr_assert_null(sw_outbox_close(NULL));
        sw_buf_deinit(&b);
        end(&x);
}

Test(outbox, of_several_releases_none_is_taken_if_one_is_wrong)
{
        struct sw_outbox_release wrong = { .number = 9 }, right = { .number = 2 }, last;
        const struct sw_outbox_entry entries[] = { { &right, NULL }, { &wrong, NULL }, { &right, NULL } };
        struct fixture x = { 0 };

        start(&x);
        commit(&x, "3");
        cr_assert_eq(sw_outbox_commit_all(x.o, entries, 3), -SW_ERR_INVAL);
        cr_assert_eq(sw_outbox_last(x.o, &last), 0);
        cr_assert_eq(last.number, 1);
        end(&x);
}

static int end_with_7(void *ctx, const struct sw_outbox_release *r, const struct sw_line *findings, uint32_t n)
{
        unsigned *seen = ctx;

        cr_assert_eq(r->n_offsets, 150);
        cr_assert_eq(r->offsets[149].partition, 149);
        cr_assert_eq(n, 150);
        cr_assert_eq(atoi(findings[149].uid), 150);
        ++*seen;
        return 7;
}

Test(outbox, a_release_may_have_many_places_and_findings)
{
        struct sw_outbox_offset places[150];
        struct sw_outbox_release r = { .number = 1, .wall = { 1700000000000 }, .offsets = places, .n_offsets = 150 };
        struct fixture x = { 0 };
        struct sw_lines l = { 0 };
        unsigned seen = 0;
        int32_t i;

        start(&x);
        for (i = 0; i < 150; i++) {
                places[i] = (struct sw_outbox_offset){ .source = "s", .topic = "t", .partition = i, .next = i };
                add_line(&x, &l, 3);
        }
        cr_assert_eq(sw_outbox_commit(x.o, &r, &l), SW_OUTBOX_OK);
        r.number = 2;
        sw_lines_deinit(&l);
        cr_assert_eq(sw_outbox_commit(x.o, &r, NULL), SW_OUTBOX_OK);
        cr_assert_eq(sw_outbox_releases(x.o, 0, end_with_7, &seen), 7, "it ends when told to");
        cr_assert_eq(seen, 1);
        end(&x);
}

Test(outbox, passes_over_what_somebody_else_wrote_into_it)
{
        struct sw_outbox_sink_stats stats;
        struct fixture x = { 0 };
        char text[256];
        int i;

        start(&x);
        cr_assert_eq(sw_outbox_sink(x.o, "s", 0), 0);
        commit(&x, "33");
        x.o = sw_outbox_close(x.o);
        run_sql(&x, "INSERT INTO floor SELECT id, 99, 5 FROM sink; INSERT INTO floor SELECT id, -1, 5 FROM sink");
        for (i = 0; i < 20; i++) {
                snprintf(text, sizeof(text), "INSERT INTO sink(name, marked, given_up) VALUES('x%d', 0, 0)", i);
                run_sql(&x, text);
        }
        cr_assert_eq(sw_outbox_open(&x.conf, x.log, &x.o, NULL), 0);
        cr_assert_eq(sw_outbox_sink_stats(x.o, "s", &stats), 0);
        cr_assert_eq(stats.rows, 2);
        cr_assert_eq(sw_outbox_sink_stats(x.o, "x14", &stats), 0);
        cr_assert_eq(sw_outbox_sink_stats(x.o, "x15", &stats), -SW_ERR_NOENT, "beyond sixteen");
        end(&x);
}

Test(outbox, a_numbered_file_without_tables_is_not_ours)
{
        struct fixture x = { 0 };

        start(&x);
        x.o = sw_outbox_close(x.o);
        cr_assert_eq(unlink(x.path), 0);
        run_sql(&x, "PRAGMA user_version=5");
        refuses(&x, "another program");
        end(&x);
}

Test(outbox, a_large_file_is_not_read_through_at_the_start)
{
        struct sw_outbox_release last;
        struct fixture x = { 0 };

        start(&x);
        commit(&x, "3");
        x.o = sw_outbox_close(x.o);
        cr_assert_eq(truncate(x.path, 65 << 20), 0); /* what follows the last page is not looked at */
        cr_assert_eq(sw_outbox_open(&x.conf, x.log, &x.o, NULL), 0);
        cr_assert_eq(sw_outbox_last(x.o, &last), 0);
        cr_assert_eq(last.number, 1);
        end(&x);
}

/* ---- the writer before it ---- */

static int put_one(struct fixture *x, struct sw_outbox_writer *w, uint64_t number, uint64_t *ret_ticket)
{
        struct sw_outbox_release r = { .number = number };
        struct sw_lines l = { 0 };
        int e;

        add_line(x, &l, 3);
        e = sw_outbox_writer_put(w, number ? &r : NULL, &l, ret_ticket);
        sw_lines_deinit(&l);
        return e;
}

/* What queues up while the file is locked is more than one transaction takes. */
Test(outbox, a_writer_commits_a_long_queue_in_parts, .timeout = 30)
{
        struct sw_outbox_writer_conf conf = { 0 };
        struct sw_outbox_writer *w = NULL;
        struct fixture x = { 0 };
        struct sw_outbox_stats k;
        struct unlock u;
        uint64_t i, ticket = 0;

        start(&x);
        conf.outbox = x.o;
        u = lock_outbox(&x);
        cr_assert_eq(sw_outbox_writer_new(&conf, &w), 0);
        cr_assert_eq(put_one(&x, w, 1, &ticket), 0);
        unlock_later(&u); /* once it is blocked */
        cr_assert_eq(sw_outbox_writer_wait(w, 1), 0);
        u = lock_outbox(&x);
        cr_assert_eq(put_one(&x, w, 2, &ticket), 0);
        while (!sw_outbox_is_blocked(x.o))
                usleep(1000);
        for (i = 0; i < 600; i++)
                cr_assert_eq(put_one(&x, w, i % 2 ? 3 + i / 2 : 0, &ticket), 0);
        unlock_later(&u);
        cr_assert_eq(ticket, 602);
        cr_assert_eq(sw_outbox_writer_wait(w, ticket), 0);
        cr_assert_eq(sw_outbox_writer_release(w), 302);
        cr_assert_null(sw_outbox_writer_free(w));
        cr_assert_null(sw_outbox_writer_free(NULL));
        sw_outbox_stats(x.o, &k);
        cr_assert_eq(k.rows, 602);
        end(&x);
}

struct last_put {
        struct fixture *x;
        struct sw_outbox_writer *w;
        int r;
};

static void *put_last(void *arg)
{
        struct last_put *p = arg;

        p->r = put_one(p->x, p->w, 3, NULL);
        return NULL;
}

Test(outbox, a_writer_that_is_stopped_while_there_is_no_room_lets_go, .timeout = 30)
{
        struct sw_outbox_writer_conf conf = { .max_entries = 2 };
        struct fixture x = { 0 };
        struct last_put p = { .x = &x };
        struct sw_outbox_release last;
        struct unlock u;
        pthread_t thread;

        start(&x);
        conf.outbox = x.o;
        conf.stop = &x.stop;
        u = lock_outbox(&x);
        cr_assert_eq(sw_outbox_writer_new(&conf, &p.w), 0);
        cr_assert_eq(put_one(&x, p.w, 1, NULL), 0);
        cr_assert_eq(put_one(&x, p.w, 2, NULL), 0);
        cr_assert_eq(pthread_create(&thread, NULL, put_last, &p), 0);
        while (!sw_outbox_is_blocked(x.o))
                usleep(1000);
        usleep(100000);
        atomic_store(&x.stop, true);
        pthread_join(thread, NULL);
        cr_assert_eq(p.r, -SW_ERR_UNAVAIL);
        cr_assert_eq(sw_outbox_writer_wait(p.w, 2), -SW_ERR_UNAVAIL);
        cr_assert_eq(sw_outbox_writer_wait_release(p.w, 1), -SW_ERR_UNAVAIL);
        sw_outbox_writer_free(p.w);
        sqlite3_close(u.db);
        atomic_store(&x.stop, false);
        cr_assert_eq(sw_outbox_last(x.o, &last), 0);
        cr_assert_eq(last.number, 0);
        end(&x);
}

/* What is queued behind a failure is not committed, and nobody need be told. */
Test(outbox, a_writer_leaves_what_stands_behind_a_failure, .timeout = 30)
{
        struct sw_outbox_writer_conf conf = { 0 };
        struct sw_outbox_writer *w = NULL;
        struct sw_outbox_release last;
        struct fixture x = { 0 };
        struct unlock u;
        uint64_t i;

        start(&x);
        conf.outbox = x.o;
        u = lock_outbox(&x);
        cr_assert_eq(sw_outbox_writer_new(&conf, &w), 0);
        cr_assert_eq(put_one(&x, w, 1, NULL), 0);
        while (!sw_outbox_is_blocked(x.o))
                usleep(1000);
        cr_assert_eq(put_one(&x, w, 9, NULL), 0);
        for (i = 0; i < 300; i++)
                cr_assert_eq(put_one(&x, w, 0, NULL), 0);
        unlock_later(&u);
        cr_assert_eq(sw_outbox_writer_wait(w, 2), -SW_ERR_INVAL);
        sw_outbox_writer_free(w);
        cr_assert_eq(sw_outbox_last(x.o, &last), 0);
        cr_assert_eq(last.number, 1);
        end(&x);
}

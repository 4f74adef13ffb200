/* SPDX-License-Identifier: Apache-2.0 */
#include "source/source_file.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

/* A folder that is removed at the end. */
static char *folder(void)
{
        static char path[] = "/tmp/segwatch-test-XXXXXX";

        cr_assert_not_null(mkdtemp(path));
        return path;
}

static void cleanup(const char *path)
{
        char command[200];

        snprintf(command, sizeof(command), "rm -rf '%s'", path);
        cr_assert_eq(system(command), 0);
}

static void put(const char *dir, const char *name, const char *text)
{
        char path[300], command[400], *slash;
        FILE *f;

        snprintf(path, sizeof(path), "%s/%s", dir, name);
        slash = strrchr(path, '/');
        *slash = '\0';
        snprintf(command, sizeof(command), "mkdir -p '%s'", path);
        cr_assert_eq(system(command), 0);
        *slash = '/';
        f = fopen(path, "w");
        cr_assert_not_null(f);
        fputs(text, f);
        fclose(f);
}

static const char *record(char buf[200], const char *time, const char *mark)
{
        snprintf(buf, 200, "{\"time\":\"%s\",\"category\":\"FlowLogFlowEvent\",\"mark\":\"%s\"}", time, mark);
        return buf;
}

/* Reads everything; appends the marks in the order in which they came. */
static void drain(struct sw_files *f, char *marks, size_t size)
{
        struct sw_file_piece piece;
        struct sw_err err;
        size_t n = 0;
        int r;

        marks[0] = '\0';
        while ((r = sw_files_next(f, &piece, &err)) != SW_FILES_END) {
                const char *p, *end;

                cr_assert_geq(r, 0, "%s", err.msg);
                if (r != SW_FILES_PIECE)
                        continue;
                end = piece.bytes.p + piece.bytes.n;
                for (p = piece.bytes.p; (p = memmem(p, (size_t)(end - p), "\"mark\":\"", 8)); p += 8) {
                        cr_assert_lt(n + 1, size);
                        marks[n++] = p[8];
                        marks[n] = '\0';
                }
                piece.done(piece.owner);
        }
}

Test(source_file, merges_the_hours_of_many_nics_by_time)
{
        char *dir = folder(), marks[32], a[200], b[200], text[500];
        struct sw_files *f;
        struct sw_err err;

        snprintf(text, sizeof(text), "{\"records\":[%s,%s]}", record(a, "2026-01-01T05:00:10Z", "c"),
                record(b, "2026-01-01T05:30:10Z", "d"));
        put(dir, "x/y=2026/m=01/d=01/h=05/m=00/macAddress=A/PT1H.json", text);
        snprintf(text, sizeof(text), "{\"records\":[%s]}", record(a, "2026-01-01T04:10:10Z", "a"));
        put(dir, "x/y=2026/m=01/d=01/h=04/m=00/macAddress=B/PT1H.json", text);
        snprintf(text, sizeof(text), "{\"records\":[%s]}", record(a, "2026-01-01T04:59:10Z", "b"));
        put(dir, "z/plain.json", text);
        put(dir, "z/.hidden", "not read");
        put(dir, "z/empty.json", "");
        cr_assert_eq(sw_files_new(&f), 0);
        cr_assert_eq(sw_files_add(f, dir, &err), 0);
        cr_assert_eq(sw_files_count(f), 4);
        drain(f, marks, sizeof(marks));
        cr_assert_str_eq(marks, "abcd");
        sw_files_free(f);
        cleanup(dir);
}

Test(source_file, reads_gzip_by_its_magic)
{
        char *dir = folder(), marks[32], a[200], path[300];
        struct sw_files *f;
        struct sw_err err;
        gzFile gz;

        snprintf(path, sizeof(path), "%s/blob", dir);
        gz = gzopen(path, "wb");
        gzputs(gz, record(a, "2026-01-01T04:10:10Z", "g"));
        gzclose(gz);
        cr_assert_eq(sw_files_new(&f), 0);
        cr_assert_eq(sw_files_add(f, path, &err), 0);
        drain(f, marks, sizeof(marks));
        cr_assert_str_eq(marks, "g");
        sw_files_free(f);
        cleanup(dir);
}

Test(source_file, names_a_missing_path_and_goes_on_after_a_broken_file)
{
        char *dir = folder(), a[200], path[300];
        struct sw_file_piece piece;
        struct sw_files *f;
        struct sw_err err;
        int r, n_errors = 0, n_pieces = 0;

        cr_assert_eq(sw_files_new(&f), 0);
        cr_assert_eq(sw_files_add(f, "/nonexistent/flow", &err), -SW_ERR_NOENT);
        cr_assert_not_null(strstr(err.msg, "/nonexistent/flow"));
        put(dir, "a.gz", "\x1f\x8b\x08 this is no gzip");
        put(dir, "b.json", record(a, "2026-01-01T04:10:10Z", "b"));
        snprintf(path, sizeof(path), "%s", dir);
        cr_assert_eq(sw_files_add(f, path, &err), 0);
        while ((r = sw_files_next(f, &piece, &err)) != SW_FILES_END) {
                n_errors += r < 0;
                if (r < 0)
                        cr_assert_not_null(strstr(err.msg, "a.gz"), "%s", err.msg);
                if (r == SW_FILES_PIECE) {
                        n_pieces++;
                        piece.done(piece.owner);
                }
        }
        cr_assert_geq(n_errors, 1);
        cr_assert_eq(n_pieces, 1);
        sw_files_free(f);
        cleanup(dir);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/tail_file.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char dir[64], path[80], seen[4096];

static int each(void *ctx, struct sw_str line)
{
        (void)ctx;
        snprintf(seen + strlen(seen), sizeof(seen) - strlen(seen), "%.*s|", (int)line.n, line.p);
        return 0;
}

static void begin(void)
{
        strcpy(dir, "/tmp/segwatch-tail-XXXXXX");
        cr_assert_not_null(mkdtemp(dir));
        snprintf(path, sizeof(path), "%s/a", dir);
        seen[0] = '\0';
}

static void put(const char *text)
{
        int fd = open(path, O_WRONLY | O_APPEND | O_CREAT, 0600);

        cr_assert_geq(fd, 0);
        cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
        close(fd);
}

static void move(const char *from, const char *to)
{
        char a[128], b[128];

        snprintf(a, sizeof(a), "%s%s", path, from);
        snprintf(b, sizeof(b), "%s%s", path, to);
        cr_assert_eq(rename(a, b), 0);
}

static void end(struct sw_tail_file *t)
{
        char command[128];

        sw_tail_file_close(t);
        snprintf(command, sizeof(command), "rm -rf %s", dir);
        cr_assert_eq(system(command), 0);
}

Test(tail_file, waits_for_the_end_of_a_line)
{
        struct sw_tail_file t = SW_TAIL_FILE_NULL;

        begin();
        t.path = path;
        cr_assert_eq(sw_tail_file_follow(&t, each, NULL), 0, "not there yet");
        put("one\ntw");
        cr_assert_eq(sw_tail_file_follow(&t, each, NULL), 0);
        cr_assert_str_eq(seen, "one|");
        put("o\n");
        cr_assert_eq(sw_tail_file_follow(&t, each, NULL), 0);
        cr_assert_str_eq(seen, "one|two|");
        end(&t);
}

Test(tail_file, follows_truncation)
{
        struct sw_tail_file t = SW_TAIL_FILE_NULL;

        begin();
        put("one\ntwo\n");
        cr_assert_eq(sw_tail_file_open(&t, path, 0), 0);
        cr_assert_eq(sw_tail_file_follow(&t, each, NULL), 0);
        cr_assert_eq(truncate(path, 0), 0);
        put("new\n");
        cr_assert_eq(sw_tail_file_follow(&t, each, NULL), 0);
        cr_assert_str_eq(seen, "one|two|new|");
        end(&t);
}

Test(tail_file, follows_several_rotations_at_once_without_losing_a_line)
{
        struct sw_tail_file t = SW_TAIL_FILE_NULL;

        begin();
        put("one\n");
        cr_assert_eq(sw_tail_file_open(&t, path, 0), 0);
        cr_assert_eq(sw_tail_file_follow(&t, each, NULL), 0);
        put("two\n");
        move("", ".1");
        put("three\n");
        move(".1", ".2");
        move("", ".1");
        put("four\n");
        cr_assert_eq(sw_tail_file_follow(&t, each, NULL), 0);
        cr_assert_str_eq(seen, "one|two|three|four|");
        end(&t);
}

Test(tail_file, survives_removal_until_a_new_file_comes)
{
        struct sw_tail_file t = SW_TAIL_FILE_NULL;

        begin();
        put("one\n");
        cr_assert_eq(sw_tail_file_open(&t, path, 0), 0);
        cr_assert_eq(unlink(path), 0);
        cr_assert_eq(sw_tail_file_follow(&t, each, NULL), 0);
        put("two\n");
        cr_assert_eq(sw_tail_file_follow(&t, each, NULL), 0);
        cr_assert_str_eq(seen, "one|two|");
        end(&t);
}

Test(tail_file, starts_at_a_line_within_the_file)
{
        struct sw_tail_file t = SW_TAIL_FILE_NULL;

        begin();
        put("one\ntwo\nlast without newline");
        cr_assert_eq(sw_tail_file_open(&t, path, 4), 0);
        cr_assert_eq(sw_tail_file_read(&t, true, each, NULL), 0);
        cr_assert_str_eq(seen, "two|last without newline|");
        seen[0] = '\0';
        cr_assert_eq(sw_tail_file_open(&t, path, 5), 0);
        cr_assert_eq(sw_tail_file_read(&t, false, each, NULL), 0);
        cr_assert_str_eq(seen, "", "within two; the last line has no end yet");
        end(&t);
}

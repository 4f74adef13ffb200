/* SPDX-License-Identifier: Apache-2.0 */
#include "log.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int fd;
static char text[8192];

static struct sw_log *start(enum sw_log_format format, bool journal)
{
        char name[] = "/tmp/segwatch-log-XXXXXX", stream[64];
        struct sw_log *log = NULL;
        struct stat st;

        fd = mkstemp(name);
        cr_assert_geq(fd, 0);
        unlink(name);
        cr_assert_eq(fstat(fd, &st), 0);
        snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
                (unsigned long long)st.st_ino + (journal ? 0 : 1));
        setenv("JOURNAL_STREAM", stream, 1);
        cr_assert_eq(sw_log_new(fd, SW_LOG_INFO, format, &log), 0);
        return log;
}

static const char *finish(struct sw_log *log)
{
        ssize_t n;

        sw_log_free(log);
        n = pread(fd, text, sizeof(text) - 1, 0);
        cr_assert_geq(n, 0);
        text[n] = '\0';
        close(fd);
        return text;
}

Test(log, writes_logfmt_that_cannot_be_forged)
{
        struct sw_log *log = start(SW_LOG_LOGFMT, false);
        const char *out;

        sw_log(log, SW_LOG_INFO, "start", "weu 1", "value \"%s\"", "a\nlevel=error msg=forged\x1b[31m");
        sw_log(log, SW_LOG_DEBUG, "hidden", NULL, "below the level");
        out = finish(log);
        cr_assert_eq(strncmp(out, "time=20", 7), 0);
        cr_assert_not_null(strstr(out, " level=info event=start subject=\"weu 1\" msg=\"value \\\"a\\nlevel=error "
                                       "msg=forged\\u001b[31m\\\"\"\n"),
                "%s", out);
        cr_assert_eq(strchr(out, '\n'), strrchr(out, '\n'), "one line");
}

Test(log, gives_the_journal_priorities_instead_of_times)
{
        struct sw_log *log = start(SW_LOG_LOGFMT, true);

        sw_log(log, SW_LOG_ERROR, "e", NULL, "bad");
        sw_log(log, SW_LOG_INFO, "i", NULL, "fine");
        cr_assert_str_eq(finish(log), "<3>level=error event=e msg=\"bad\"\n<6>level=info event=i msg=\"fine\"\n");
}

Test(log, writes_json)
{
        struct sw_log *log = start(SW_LOG_JSON, true);

        sw_log(log, SW_LOG_WARNING, "w", "s", "x%d", 1);
        cr_assert_str_eq(finish(log), "<4>{\"level\":\"warning\",\"event\":\"w\",\"subject\":\"s\",\"msg\":\"x1\"}\n");
}

Test(log, limits_repeats_per_event_and_subject_and_tells_how_many)
{
        struct sw_log *log = start(SW_LOG_LOGFMT, true);
        int i;

        sw_log_set_interval(log, 100);
        for (i = 0; i < 5; i++)
                sw_log(log, SW_LOG_ERROR, "down", "a", "try %d", i);
        sw_log(log, SW_LOG_ERROR, "down", "b", "another subject");
        for (i = 0; i < 3; i++)
                sw_log(log, SW_LOG_INFO, "info", "a", "never limited");
        usleep(120000);
        sw_log(log, SW_LOG_ERROR, "down", "a", "try again");
        sw_log(log, SW_LOG_ERROR, "down", "a", "and again");
        usleep(120000);
        sw_log_flush(log);
        cr_assert_str_eq(finish(log), "<3>level=error event=down subject=a msg=\"try 0\"\n"
                                      "<3>level=error event=down subject=b msg=\"another subject\"\n"
                                      "<6>level=info event=info subject=a msg=\"never limited\"\n"
                                      "<6>level=info event=info subject=a msg=\"never limited\"\n"
                                      "<6>level=info event=info subject=a msg=\"never limited\"\n"
                                      "<3>level=error event=down subject=a msg=\"try again\" suppressed=4\n"
                                      "<3>level=error event=down subject=a msg=\"repeated 1 times\"\n");
}

Test(log, long_paths_that_end_differently_are_not_repeats)
{
        struct sw_log *log = start(SW_LOG_LOGFMT, false);
        const char *out;

        sw_log(log, SW_LOG_ERROR, "file_write", "/var/log/a-folder-whose-name-is-longer-than-most/alerts.jsonl", "one");
        sw_log(log, SW_LOG_ERROR, "file_write", "/var/log/a-folder-whose-name-is-longer-than-most/signals.jsonl",
                "two");
        out = finish(log);
        cr_assert_not_null(strstr(out, "msg=\"one\""), "%s", out);
        cr_assert_not_null(strstr(out, "msg=\"two\""), "%s", out);
}

Test(log, what_is_not_a_repeat_is_not_limited)
{
        struct sw_log *log = start(SW_LOG_LOGFMT, true);

        sw_log_set_interval(log, 1000000);
        sw_log_each(log, SW_LOG_ERROR, "config_error", NULL, "x:1:1: bad");
        sw_log_each(log, SW_LOG_ERROR, "config_error", NULL, "x:1:1: bad");
        sw_log_each(log, SW_LOG_DEBUG, "config_error", NULL, "below the level");
        cr_assert_str_eq(finish(log), "<3>level=error event=config_error msg=\"x:1:1: bad\"\n"
                                      "<3>level=error event=config_error msg=\"x:1:1: bad\"\n");
}

Test(log, survives_more_causes_than_it_has_room_for)
{
        struct sw_log *log = start(SW_LOG_LOGFMT, true);
        char subject[32];
        int i;

        for (i = 0; i < 80; i++) {
                snprintf(subject, sizeof(subject), "s%d", i);
                sw_log(log, SW_LOG_ERROR, "down", subject, "x");
        }
        sw_log(log, SW_LOG_ERROR, "down", "s79", "x");
        finish(log);
        cr_assert_not_null(strstr(text, "subject=s79 msg=\"x\"\n"));
        cr_assert_not_null(strstr(text, "subject=s79 msg=\"repeated 1 times\"\n"), "held back, told at the end");
}

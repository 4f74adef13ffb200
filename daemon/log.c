/* SPDX-License-Identifier: Apache-2.0 */
#include "log.h"

#include "base/alloc.h"
#include "base/jsonw.h"
#include "base/time.h"
#include "clock.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOG_CAUSES 64
#define LOG_LINE_BYTES 4096
#define LOG_EVENT 48
#define LOG_SUBJECT 256 /* a path that is cut would be taken for another */
#define LOG_TEXT 2048

struct log_cause {
        char event[LOG_EVENT], subject[LOG_SUBJECT];
        enum sw_log_level level;
        int64_t since_ms; /* monotonic; of the last line written */
        uint64_t n_held;
        bool used;
};

struct sw_log {
        pthread_mutex_t lock;
        int fd;
        enum sw_log_level level;
        enum sw_log_format format;
        bool journal;
        int64_t interval_ms;
        struct log_cause causes[LOG_CAUSES];
        struct sw_buf line;
};

/* systemd sets JOURNAL_STREAM to device:inode of the stream; a redirected stderr no longer matches it. */
static bool log_is_journal(int fd)
{
        const char *text = getenv("JOURNAL_STREAM");
        unsigned long long device, inode;
        struct stat st;

        if (!text || sscanf(text, "%llu:%llu", &device, &inode) != 2 || fstat(fd, &st) != 0)
                return false;
        return st.st_dev == device && st.st_ino == inode;
}

int sw_log_new(int fd, enum sw_log_level level, enum sw_log_format format, struct sw_log **ret)
{
        struct sw_log *log = sw_calloc(1, sizeof(*log));

        if (!log)
                return -SW_ERR_NOMEM;
        pthread_mutex_init(&log->lock, NULL);
        log->fd = fd;
        log->level = level;
        log->format = format;
        log->journal = log_is_journal(fd);
        log->interval_ms = 10 * SW_SECOND;
        /* Room for a line from the start: that memory is out has to be told when it is. */
        sw_buf_printf(&log->line, "%*s", LOG_LINE_BYTES, "");
        if (log->line.failed) {
                sw_log_free(log);
                return -SW_ERR_NOMEM;
        }
        *ret = log;
        return 0;
}

static const char *const log_names[] = { "error", "warning", "info", "debug" };
bool sw_log_level_by_name(const char *name, enum sw_log_level *ret)
{
        unsigned i;

        for (i = 0; i < sizeof(log_names) / sizeof(*log_names); i++)
                if (strcmp(log_names[i], name) == 0) {
                        *ret = (enum sw_log_level)i;
                        return true;
                }
        return false;
}

static const char log_priority[] = { '3', '4', '6', '7' };

static void log_quote(struct sw_buf *b, const char *z)
{
        struct sw_jsonw w = sw_jsonw_start(b);

        sw_jsonw_text(&w, z);
}

/* Whether a logfmt value can stand without quotes. */
static bool log_is_plain(const char *z)
{
        const char *p;

        for (p = z; *p; p++)
                if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
                            strchr("_-./:[]", *p)))
                        return false;
        return *z != '\0';
}

static void log_field(struct sw_buf *b, const char *key, const char *value)
{
        if (b->n > 0 && b->p[b->n - 1] != '>')
                sw_buf_putc(b, ' ');
        sw_buf_puts(b, key);
        sw_buf_putc(b, '=');
        if (log_is_plain(value))
                sw_buf_puts(b, value);
        else
                log_quote(b, value);
}

static void log_logfmt(struct sw_log *log, const struct log_cause *c, const char *time, const char *text)
{
        struct sw_buf *b = &log->line;

        if (time)
                log_field(b, "time", time);
        log_field(b, "level", log_names[c->level]);
        log_field(b, "event", c->event);
        if (*c->subject)
                log_field(b, "subject", c->subject);
        sw_buf_puts(b, " msg=");
        log_quote(b, text);
        if (c->n_held > 0)
                sw_buf_printf(b, " suppressed=%llu", (unsigned long long)c->n_held);
}

static void log_json(struct sw_log *log, const struct log_cause *c, const char *time, const char *text)
{
        struct sw_jsonw w = sw_jsonw_start(&log->line);

        sw_jsonw_object(&w);
        if (time)
                sw_jsonw_ktext(&w, "time", time);
        sw_jsonw_ktext(&w, "level", log_names[c->level]);
        sw_jsonw_ktext(&w, "event", c->event);
        if (*c->subject)
                sw_jsonw_ktext(&w, "subject", c->subject);
        sw_jsonw_ktext(&w, "msg", text);
        if (c->n_held > 0)
                sw_jsonw_ku64(&w, "suppressed", c->n_held);
        sw_jsonw_end_object(&w);
}

/* One write per line, so that lines of several processes do not mix. A log that cannot be written is not worth dying.
 */
static void log_write(struct sw_log *log, const struct log_cause *c, const char *text)
{
        char time[SW_ETIME_TEXT], *stamp = NULL;
        size_t at = 0;
        ssize_t n;

        sw_buf_reset(&log->line);
        if (log->journal)
                sw_buf_printf(&log->line, "<%c>", log_priority[c->level]);
        else
                stamp = sw_etime_format((struct sw_etime){ sw_clock_wall().ms }, time);
        if (log->format == SW_LOG_JSON)
                log_json(log, c, stamp, text);
        else
                log_logfmt(log, c, stamp, text);
        sw_buf_putc(&log->line, '\n');
        if (log->line.failed)
                return;
        while (at < log->line.n) {
                n = write(log->fd, log->line.p + at, log->line.n - at);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return;
                at += (size_t)n;
        }
}

static void log_tell_held(struct sw_log *log, struct log_cause *c)
{
        char text[64];

        snprintf(text, sizeof(text), "repeated %llu times", (unsigned long long)c->n_held);
        c->n_held = 0;
        log_write(log, c, text);
}

/* The slot of (event, subject); the longest unused one is given up when all are taken. */
static struct log_cause *log_find(struct sw_log *log, const char *event, const char *subject)
{
        struct log_cause *oldest = &log->causes[0], *c;

        for (c = log->causes; c < log->causes + LOG_CAUSES && c->used; c++) {
                if (strncmp(c->event, event, sizeof(c->event) - 1) == 0 &&
                        strncmp(c->subject, subject, sizeof(c->subject) - 1) == 0)
                        return c;
                if (c->since_ms < oldest->since_ms)
                        oldest = c;
        }
        if (c == log->causes + LOG_CAUSES)
                c = oldest;
        if (c->used && c->n_held > 0)
                log_tell_held(log, c);
        *c = (struct log_cause){ .used = true, .since_ms = INT64_MIN };
        snprintf(c->event, sizeof(c->event), "%s", event);
        snprintf(c->subject, sizeof(c->subject), "%s", subject);
        return c;
}

/* Called with the lock. */
static void log_event(struct sw_log *log, struct log_cause *c, const char *fmt, va_list ap)
{
        char text[LOG_TEXT];
        int64_t now = sw_clock_mono().ms;

        if (c->since_ms != INT64_MIN && now - c->since_ms < log->interval_ms) {
                c->n_held++;
                return;
        }
        vsnprintf(text, sizeof(text), fmt, ap);
        log_write(log, c, text);
        c->n_held = 0;
        c->since_ms = now;
}

/* A cause that is not remembered. */
static struct log_cause *log_once(struct log_cause *c, const char *event, const char *subject)
{
        snprintf(c->event, sizeof(c->event), "%s", event);
        snprintf(c->subject, sizeof(c->subject), "%s", subject ? subject : "");
        c->since_ms = INT64_MIN;
        return c;
}

void sw_log(struct sw_log *log, enum sw_log_level level, const char *event, const char *subject, const char *fmt, ...)
{
        struct log_cause once = { 0 }, *c;
        va_list ap;

        pthread_mutex_lock(&log->lock);
        if (level <= log->level) {
                if (level <= SW_LOG_WARNING && log->interval_ms > 0)
                        c = log_find(log, event, subject ? subject : "");
                else
                        c = log_once(&once, event, subject);
                c->level = level;
                va_start(ap, fmt);
                log_event(log, c, fmt, ap);
                va_end(ap);
        }
        pthread_mutex_unlock(&log->lock);
}

void sw_log_each(
        struct sw_log *log, enum sw_log_level level, const char *event, const char *subject, const char *fmt, ...)
{
        struct log_cause once = { .level = level };
        va_list ap;

        pthread_mutex_lock(&log->lock);
        if (level <= log->level) {
                va_start(ap, fmt);
                log_event(log, log_once(&once, event, subject), fmt, ap);
                va_end(ap);
        }
        pthread_mutex_unlock(&log->lock);
}

static void log_flush_since(struct sw_log *log, int64_t at_most_ms)
{
        struct log_cause *c;

        for (c = log->causes; c < log->causes + LOG_CAUSES; c++)
                if (c->used && c->n_held > 0 && c->since_ms <= at_most_ms) {
                        log_tell_held(log, c);
                        c->since_ms = sw_clock_mono().ms;
                }
}

void sw_log_flush(struct sw_log *log)
{
        pthread_mutex_lock(&log->lock);
        log_flush_since(log, sw_clock_mono().ms - log->interval_ms);
        pthread_mutex_unlock(&log->lock);
}

void sw_log_configure(struct sw_log *log, enum sw_log_level level, enum sw_log_format format)
{
        pthread_mutex_lock(&log->lock);
        log->level = level;
        log->format = format;
        pthread_mutex_unlock(&log->lock);
}

void sw_log_set_interval(struct sw_log *log, int64_t interval_ms)
{
        pthread_mutex_lock(&log->lock);
        log->interval_ms = interval_ms;
        pthread_mutex_unlock(&log->lock);
}

struct sw_log *sw_log_free(struct sw_log *log)
{
        if (!log)
                return NULL;
        log_flush_since(log, INT64_MAX);
        pthread_mutex_destroy(&log->lock);
        sw_buf_deinit(&log->line);
        sw_free(log);
        return NULL;
}

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Log of the daemon: one line per event on stderr, logfmt or JSON. Where systemd's journal reads stderr
 * (JOURNAL_STREAM) each line starts with its priority "<N>" and carries no time of its own. `event` is a short constant
 * name of what happened ("kafka_auth"): people and tools search for it. An event of level warning or error is written
 * once per 10 s; what was held back meanwhile is told as suppressed=N by the next line. Never given secrets; control
 * bytes are escaped. Threads: any. */
#include "base/err.h"
#include "base/str.h"

enum sw_log_level { SW_LOG_ERROR, SW_LOG_WARNING, SW_LOG_INFO, SW_LOG_DEBUG };
enum sw_log_format { SW_LOG_LOGFMT, SW_LOG_JSON };

struct sw_log;

/* fd: where to, not owned (2). Reads JOURNAL_STREAM. 0 | -SW_ERR_NOMEM. */
int sw_log_new(int fd, enum sw_log_level level, enum sw_log_format format, struct sw_log **ret);
struct sw_log *sw_log_free(struct sw_log *log); /* tells what is still held back; NULL-safe, returns NULL */
bool sw_log_level_by_name(const char *name, enum sw_log_level *ret);
/* After a reload. */
void sw_log_configure(struct sw_log *log, enum sw_log_level level, enum sw_log_format format);
/* Limit of repeats, for tests; default 10 s, 0 = none. */
void sw_log_set_interval(struct sw_log *log, int64_t interval_ms);

/* subject: which source, file or sink it is about ("weu"), NULL = none; repeats are limited per (event, subject). */
void sw_log(struct sw_log *log, enum sw_log_level level, const char *event, const char *subject, const char *fmt, ...)
        __attribute__((format(printf, 5, 6)));
/* The same without a limit of repeats: for what is not a repeat though it looks like one (errors of one configuration).
 */
void sw_log_each(struct sw_log *log, enum sw_log_level level, const char *event, const char *subject, const char *fmt,
        ...) __attribute__((format(printf, 5, 6)));
/* Writes "repeated N times" for events whose interval is over; call it now and then. */
void sw_log_flush(struct sw_log *log);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Answers of the daemon as people want to read them. Text of the answers is escaped: it comes from logs and files. */
#include "base/json.h"

/* "3 d 4 h", "2 m 10 s", "0.3 s" */
void sw_ctl_duration(struct sw_buf *out, int64_t ms);
/* "12.3 MiB" */
void sw_ctl_bytes(struct sw_buf *out, int64_t bytes);
/* Numbers with a space between thousands are hard to copy: plain digits, or "-" where there is none. */
void sw_ctl_number(struct sw_buf *out, const struct sw_json *j);
int64_t sw_ctl_int(const struct sw_json *object, const char *key, int64_t none);
/* The text of a member, escaped; `none` if it is not there. */
void sw_ctl_put(struct sw_buf *out, const struct sw_json *object, const char *key, const char *none);
/* Appends spaces until the line that began at `from` has `column` characters; at least one. Bytes that continue a UTF-8
 * character do not count. */
void sw_ctl_column(struct sw_buf *out, size_t from, size_t column);

void sw_ctl_status(struct sw_buf *out, const struct sw_json *result);
void sw_ctl_stats(struct sw_buf *out, const struct sw_json *result);
/* The table of sources that both begin with. */
void sw_ctl_sources(struct sw_buf *out, const struct sw_json *result);
/* Lines of the newest findings, at most max. */
void sw_ctl_recent(struct sw_buf *out, const struct sw_json *result, unsigned max);
/* Rows of segment pairs, at most max. */
void sw_ctl_pairs(struct sw_buf *out, const struct sw_json *result, unsigned max);

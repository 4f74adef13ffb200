/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Text from logs inside of other formats: nothing that stands in a name can end a field, a line or a message.
 * Every form first takes the same normal form: bytes that are not UTF-8 become U+FFFD, control characters (C0, DEL, C1)
 * become '?', save line ends where the form has an escape for them. `max` bounds the bytes taken of the normal form,
 * never cutting within a character. What is written is read back by tests/unit/test_enc_escape.c. */
#include "base/str.h"

/* The normal form itself; keep_lines leaves \n and \r, else each becomes a space, as does a tab. Spaces at both ends go
 * if `trim`. */
void sw_enc_clean(struct sw_buf *out, struct sw_str s, size_t max, bool keep_lines, bool trim);

void sw_enc_cef_header(struct sw_buf *out, struct sw_str s, size_t max); /* '|' and '\' escaped, one line */
void sw_enc_cef_value(struct sw_buf *out, struct sw_str s, size_t max);  /* '=', '\', \n and \r escaped, trimmed */
/* RFC 5424 PARAM-VALUE without its quotes: '"', '\' and ']' escaped, one line. */
void sw_enc_syslog_value(struct sw_buf *out, struct sw_str s, size_t max);
/* RFC 5424 HOSTNAME and the like: printable ASCII without spaces, others become '_'; "-" if nothing is left. */
void sw_enc_syslog_token(struct sw_buf *out, struct sw_str s, size_t max);
/* RFC 4180 field, always in quotes; what a spreadsheet would take for a formula (= + - @ first) gets a ' in front. */
void sw_enc_csv_field(struct sw_buf *out, struct sw_str s, size_t max);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A finding in words, and what could be done about it: for `segwatch explain`. Takes the line as hostile: nothing of it
 * reaches the terminal unescaped, and nothing but addresses, numbers and plain names gets into the commands. */
#include "base/json.h"

/* Whether the line is about the finding that uid names: its id or the line's, or the beginning of one. */
bool sw_explain_is(const struct sw_json *finding, struct sw_str uid);
/* The finding's own id; p NULL: not a finding. */
struct sw_str sw_explain_uid(const struct sw_json *finding);
void sw_explain(struct sw_buf *out, const struct sw_json *finding);

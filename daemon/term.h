/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What is shown on a terminal: text from logs must not be able to drive it. */
#include "base/str.h"

enum sw_color { SW_COLOR_AUTO, SW_COLOR_ALWAYS, SW_COLOR_NEVER };
bool sw_color_by_name(const char *name, enum sw_color *ret);
/* A terminal that can be controlled: TERM is not "dumb". */
bool sw_term_is(int fd);
/* AUTO: fd is a terminal, TERM is not "dumb" and NO_COLOR is not set (no-color.org). */
bool sw_color_wanted(enum sw_color c, int fd);

/* Appends s. Control bytes (C0, DEL, C1 in either form), invalid UTF-8 and characters that turn the reading direction
 * are written as \xNN. */
void sw_term_put(struct sw_buf *out, struct sw_str s);
/* The same, but as \u00NN and only for what may stand raw within JSON strings: DEL, C1, direction, invalid bytes stay
 * valid JSON. For whole JSON lines. */
void sw_term_put_json(struct sw_buf *out, struct sw_str s);

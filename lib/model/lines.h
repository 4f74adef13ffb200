/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Lines for a file in one buffer, each with what the file's keeper must know of it. Threads: one owner. */
#include "base/err.h"
#include "base/str.h"

/* A line for a file, in the order in which they were decided. */
struct sw_line {
        size_t offset, n; /* in the buffer beside; without the newline that follows it there */
        uint8_t severity;
        char uid[33];
};
struct sw_lines {
        struct sw_buf text; /* each line ends with \n */
        struct sw_line *items;
        uint32_t n, cap;
};
void sw_lines_reset(struct sw_lines *l);
void sw_lines_deinit(struct sw_lines *l);
/* Marks what was appended to l->text since `from` as one line and adds the newline. 0 | -SW_ERR_NOMEM. */
int sw_lines_add(struct sw_lines *l, size_t from, uint8_t severity, const char uid[33]);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Two lanes of error, the same in every room:
 *   0         done
 *   negative  -SW_ERR_x: fatal to the caller's task; forwarded unchanged, never matched on
 *   positive  a condition named in the callee's own header; its direct caller handles it, never forwards it
 * Where a person will read it, the callee also fills a struct sw_err (last parameter, `reterr`, may be NULL). */
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

#define SW_ERROR_MAP(X)                                                                                                \
        X(OK, "success")                                                                                               \
        X(NOMEM, "out of memory")                                                                                      \
        X(INVAL, "invalid argument or value")                                                                          \
        X(LIMIT, "a configured limit was reached")                                                                     \
        X(IO, "input or output failed")                                                                                \
        X(NOENT, "no such file or object")                                                                             \
        X(CONFIG, "the configuration is not valid")                                                                    \
        X(DATA, "nothing in the input could be decoded")                                                               \
        X(UNAVAIL, "temporarily not available")                                                                        \
        X(VERSION, "written by another version")                                                                       \
        X(INTERNAL, "internal error")

enum sw_error {
#define SW_ERROR_ENUM(name, text) SW_ERR_##name,
        SW_ERROR_MAP(SW_ERROR_ENUM)
#undef SW_ERROR_ENUM
};

/* One message for a person. `file`, `line`, `column` are set where the fault has a place in a text. */
struct sw_err {
        int code; /* -SW_ERR_x */
        char msg[360];
        char file[160];
        unsigned line, column; /* from 1; 0 = unknown */
        bool retriable;
};
#define SW_ERR_NULL ((struct sw_err){ 0 })

/* Fixed text of an error code, negative or positive. Never NULL. */
const char *sw_error_text(int code);

/* Fills *reterr (may be NULL) and returns `code` (negative), so that `return sw_err_set(...)` works. */
int sw_err_set(struct sw_err *reterr, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Puts words in front of the message on its way out: "config: detect: ...". Returns reterr->code. */
int sw_err_prefix(struct sw_err *reterr, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

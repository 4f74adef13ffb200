/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Collects everything that is wrong with a configuration, with its place. Values are shown escaped and cut, and
 * never where they look like a secret. Threads: one owner. */
#include "base/err.h"
#include "config/option.h"

struct sw_conf_check {
        struct sw_err *items; /* the caller's; errors have code -SW_ERR_CONFIG, warnings 0 */
        uint32_t max_items;   /* further ones are only counted */
        uint32_t n_items;     /* kept */
        uint32_t n_errors, n_warnings;
        bool cut;       /* reading stopped at a bound: there may be more errors */
        bool no_memory; /* what was read is incomplete: fail with -SW_ERR_NOMEM */
};

/* place may be NULL: the message then stands without one. */
void sw_conf_error(struct sw_conf_check *check, const struct sw_conf_place *place, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));
void sw_conf_warn(struct sw_conf_check *check, const struct sw_conf_place *place, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));

/* Orders the kept items by file (in order of first use in `files`, a NULL-terminated list), line and column. */
void sw_conf_check_sort(struct sw_conf_check *check, const char *const *files);

/* Text of a configuration for a message: cut, control bytes as \xNN, "(not shown)" if it looks like a secret. */
#define SW_CONF_SHOWN 84
char *sw_conf_show(struct sw_str s, char buf[SW_CONF_SHOWN]);

/* The candidate closest to `s`, or NULL if none is close enough to be meant. */
struct sw_conf_guess {
        struct sw_str wanted;
        const char *best;
        unsigned distance;
};
struct sw_conf_guess sw_conf_guess_start(struct sw_str wanted);
void sw_conf_guess_add(struct sw_conf_guess *g, const char *candidate); /* may be NULL */

/* "; did you mean 'x'?" or "" */
#define SW_CONF_HINT 120
char *sw_conf_guess_hint(const struct sw_conf_guess *g, char buf[SW_CONF_HINT]);

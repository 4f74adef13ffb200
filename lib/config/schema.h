/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Walks option tables over a parsed tree: every error with its place, not only the first. Threads: one owner. */
#include "config/parse.h"

/* Gives every option of `rows` its default. `base` is zeroed memory. 0 | -SW_ERR_NOMEM. A default that does not parse
 * is our own bug: an assert. */
int sw_schema_defaults(const struct sw_opt *rows, void *base);

/* Releases what the options own and zeroes it; twice is fine. */
void sw_schema_free(const struct sw_opt *rows, void *base);

/* One table over one struct; the keys of a map may be spread over several. */
struct sw_schema_part {
        const struct sw_opt *rows;
        void *base;
        const char *refuse; /* not NULL: these keys may not stand here, and why */
};

/* Reads a map over structs that hold their defaults; lists append to what is there. A NULL or empty node is a map
 * without keys. Look at check->n_errors and check->no_memory afterwards. */
void sw_schema_read(const struct sw_schema_part *parts, unsigned n_parts, const struct sw_conf_node *map,
        struct sw_conf_check *check);

/* Reports and returns false unless the node is of that kind; `what` names it in the message. */
bool sw_schema_is(
        struct sw_conf_check *check, const struct sw_conf_node *node, enum sw_node_kind kind, const char *what);

/* Text of a scalar that is to be free text: refuses other kinds, nothing, control bytes, and plain words that other
 * YAML readers take for a boolean. False after an error; *ret points into the node. */
bool sw_schema_text(struct sw_conf_check *check, const struct sw_conf_node *node, const char *what, struct sw_str *ret);

/* "250ms", "30s", "2m", "1h", "7d" or "0"; false otherwise (also beyond 2^53 ms). */
bool sw_schema_duration(struct sw_str s, int64_t *ret_ms);
/* "64KiB", "512MiB", "1GiB", "1TiB", or plain bytes. */
bool sw_schema_size(struct sw_str s, uint64_t *ret_bytes);
char *sw_schema_duration_format(int64_t ms, char buf[32]);
char *sw_schema_size_format(uint64_t bytes, char buf[32]);

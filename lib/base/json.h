/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Reading small JSON documents into a tree. For what the program itself wrote: alert lines, state
 * files; and servers' answers. Strict (RFC 8259), but for control characters within texts, which are taken as they are,
 * and for lists deeper than 1000. A text or key ends at its first NUL. Every accessor takes NULL and answers NULL or
 * false, so that a chain needs one check at its end. */
#include "base/str.h"

struct sw_json;

/* The text must be one whole JSON value (white space around it is fine). NULL: not valid, or no memory. */
struct sw_json *sw_json_parse(struct sw_str text);
struct sw_json *sw_json_free(struct sw_json *j); /* of the root only; NULL-safe, returns NULL */

/* First member of an object with exactly this key. */
const struct sw_json *sw_json_get(const struct sw_json *j, const char *key);
const struct sw_json *sw_json_first(const struct sw_json *j);                /* of an object or array; NULL: empty */
const struct sw_json *sw_json_next(const struct sw_json *j);                 /* sibling */
bool sw_json_is_object(const struct sw_json *j);

enum sw_json_kind {
        SW_JSON_NONE, /* also for a NULL pointer */
        SW_JSON_NULL,
        SW_JSON_FALSE,
        SW_JSON_TRUE,
        SW_JSON_NUMBER,
        SW_JSON_STRING,
        SW_JSON_ARRAY,
        SW_JSON_OBJECT,
};
enum sw_json_kind sw_json_kind(const struct sw_json *j);
/* "a.b[2].c" from j on; NULL where a step is missing. */
const struct sw_json *sw_json_at(const struct sw_json *j, const char *path);

struct sw_str sw_json_str(const struct sw_json *j);        /* p NULL if it is not a string; valid as long as the root */
bool sw_json_i64(const struct sw_json *j, int64_t *ret);   /* exact within +-2^53 */
bool sw_json_double(const struct sw_json *j, double *ret); /* false also where it is larger than a double */
struct sw_str sw_json_key(const struct sw_json *j);        /* of a member; p NULL in arrays */

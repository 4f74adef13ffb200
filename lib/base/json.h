/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Reading small JSON documents into a tree (cJSON behind it). For what the program itself wrote: alert lines, state
 * files. Every accessor takes NULL and answers NULL or false, so that a chain needs one check at its end. */
#include "base/str.h"

struct sw_json;

/* The text must be one whole JSON value (white space around it is fine). NULL: not valid, or no memory. */
struct sw_json *sw_json_parse(struct sw_str text);
struct sw_json *sw_json_free(struct sw_json *j); /* of the root only; NULL-safe, returns NULL */

const struct sw_json *sw_json_get(const struct sw_json *j, const char *key); /* member of an object, exact key */
const struct sw_json *sw_json_first(const struct sw_json *j);                /* of an object or array; NULL: empty */
const struct sw_json *sw_json_next(const struct sw_json *j);                 /* sibling */
bool sw_json_is_object(const struct sw_json *j);

struct sw_str sw_json_str(const struct sw_json *j);      /* p NULL if it is not a string; valid as long as the root */
bool sw_json_i64(const struct sw_json *j, int64_t *ret); /* exact within +-2^53 */
struct sw_str sw_json_key(const struct sw_json *j);      /* of a member; p NULL in arrays */

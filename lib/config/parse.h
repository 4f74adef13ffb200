/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* YAML to a tree of nodes with line and column, from libyaml's events. Strict: no anchors, aliases, tags, merge keys,
 * second documents or duplicate keys, UTF-8 only; bounded in size, depth and number of nodes.
 * The tree and its text live in the caller's arena. */
#include "base/alloc.h"
#include "config/check.h"

enum {
        SW_CONF_MAX_BYTES = 16 << 20, /* of one file */
        SW_CONF_MAX_DEPTH = 32,
        SW_CONF_MAX_NODES = 1 << 20,
        SW_CONF_MAX_KEYS = 512, /* of one map */
};

enum sw_node_kind { SW_NODE_SCALAR, SW_NODE_LIST, SW_NODE_MAP };

struct sw_conf_node {
        enum sw_node_kind kind;
        bool quoted;                    /* SCALAR: in quotes or a block, so never a boolean or a number */
        struct sw_conf_place place;     /* of the value */
        struct sw_conf_place key_place; /* of its key, if the parent is a map */
        struct sw_str key;              /* NUL-terminated */
        struct sw_str text;             /* SCALAR; NUL-terminated, holds no NUL */
        uint32_t n;                     /* children */
        struct sw_conf_node *first;     /* in file order */
        struct sw_conf_node *next;      /* sibling */
};

/* file: name for messages, kept by reference. *ret is NULL for an empty document. What is wrong is reported and, where
 * that makes sense, reading goes on, so look at check->n_errors too. 0 | -SW_ERR_CONFIG: not YAML | -SW_ERR_NOMEM. */
int sw_conf_parse(struct sw_str text, const char *file, struct sw_arena *arena, struct sw_conf_check *check,
        struct sw_conf_node **ret);

/* Nothing was written after the key: absent, "~" or "null", not quoted. */
bool sw_conf_node_is_null(const struct sw_conf_node *node);
const char *sw_conf_node_kind_text(const struct sw_conf_node *node); /* "a list", "a map", "a single value" */

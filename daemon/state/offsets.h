/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Where to go on reading after a restart, per source: the next offset of each Kafka partition, or the next byte of a
 * file and which file it was. Kept as one small JSON document (offsets.json). Threads: one owner. */
#include "base/err.h"
#include "base/str.h"

struct sw_offset_key {
        const char *source, *topic; /* topic: path of a file source */
        int32_t partition;          /* 0 for files */
};

struct sw_offset {
        char *source, *topic;
        int32_t partition;
        uint64_t inode; /* 0 for Kafka */
        int64_t next;
};

struct sw_offsets {
        struct sw_offset *items;
        uint32_t n, cap;
};
#define SW_OFFSETS_NULL ((struct sw_offsets){ 0 })

void sw_offsets_deinit(struct sw_offsets *o);
/* NULL: never read. Valid until the next set. */
const struct sw_offset *sw_offsets_get(const struct sw_offsets *o, const struct sw_offset_key *key);
/* Copies what it is given. 0 | -SW_ERR_NOMEM. */
int sw_offsets_set(struct sw_offsets *o, const struct sw_offset_key *key, uint64_t inode, int64_t next);
/* 0 | -SW_ERR_DATA: not such a document (o is empty then) | -SW_ERR_NOMEM. */
int sw_offsets_parse(struct sw_str text, struct sw_offsets *o);
void sw_offsets_print(const struct sw_offsets *o, struct sw_buf *out);

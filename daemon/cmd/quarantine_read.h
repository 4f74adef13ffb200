/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Entries of quarantine.jsonl and its rotated files, oldest first. */
#include "base/err.h"
#include "base/str.h"

struct sw_quarantine_entry { /* texts have p NULL where the line has none; valid during the call */
        struct sw_str time, source, topic, file, reason, text, excerpt, message;
        int64_t partition, offset, byte, bytes; /* -1: not there */
        bool whole;                             /* nothing of the message was used */
        struct sw_str place;                    /* names it: "SOURCE:PARTITION:OFFSET", or "FILE:BYTE" */
        struct sw_str where;                    /* the same without offset or byte */
};

/* 0, or not 0: stop, handed through. */
typedef int (*sw_quarantine_each)(void *ctx, const struct sw_quarantine_entry *e);

/* path "-": standard input. Lines that are no entries are counted in *ret_bad. 0 | -SW_ERR_IO, errno set: the file
 * itself cannot be read (a rotated one that went away meanwhile is no error) | -SW_ERR_NOMEM | what `each` returned. */
int sw_quarantine_read(const char *path, sw_quarantine_each each, void *ctx, uint64_t *ret_bad);

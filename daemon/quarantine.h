/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One JSON line per thing that could not be decoded, for quarantine.jsonl: where it was (source, topic, partition,
 * offset; or file and byte), why, and at most 256 bytes of it; the first line of a Kafka message also has the whole
 * message if it may be kept. Bounded: of one batch at most the errors it keeps. Shared by `run`, `replay` and
 * `quarantine`. */
#include "model/flow.h"

/* Where a batch came from. Either topic and partition with the message's offset, or a file: then the errors' own byte
 * offsets say where. */
struct sw_quarantine_place {
        const char *source; /* name in the configuration; NULL = left out */
        const char *topic;  /* NULL: a file */
        int32_t partition;
        int64_t offset;
        const char *file;
        struct sw_etime time; /* when it was put aside: wall time; NONE = left out (replay) */
        uint64_t keep_bytes;  /* messages up to this size are kept whole; 0 = none */
};

/* Whole messages are kept at most at a rate, so that a flood of garbage cannot keep the disk busy. */
#define SW_QUARANTINE_KEEP_BURST (UINT64_C(16) << 20)
#define SW_QUARANTINE_KEEP_PER_SECOND (UINT64_C(256) << 10)
struct sw_quarantine_budget {
        uint64_t left_bytes;
        int64_t filled_ms; /* a steady clock */
};
#define SW_QUARANTINE_BUDGET_INIT ((struct sw_quarantine_budget){ .left_bytes = SW_QUARANTINE_KEEP_BURST })
/* Whether a message of n bytes may be kept now; takes them off. */
bool sw_quarantine_budget_take(struct sw_quarantine_budget *b, int64_t now_ms, uint64_t n);

/* Appends one line per error of the batch, each ending with \n. */
void sw_quarantine_lines(struct sw_buf *out, const struct sw_quarantine_place *place, const struct sw_batch *b);

/* The message of a line's "message_base64", appended to *out. False: not base64, or no memory. */
bool sw_quarantine_message(struct sw_str base64, struct sw_buf *out);

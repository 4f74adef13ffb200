/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One JSON line per thing that could not be decoded, for quarantine.jsonl: where it was (source, topic, partition,
 * offset; or file and byte), why, and at most 256 bytes of it. Bounded: of one batch at most the errors it keeps.
 * Shared by `run` and `replay`. */
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
};

/* Appends one line per error of the batch, each ending with \n. */
void sw_quarantine_lines(struct sw_buf *out, const struct sw_quarantine_place *place, const struct sw_batch *b);

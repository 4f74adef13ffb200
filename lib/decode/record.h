/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What both decoders share: the decoder's own memory, and the end of a record. Nothing outside this room uses it. */
#include "decode/decoder.h"

struct sw_decoder {
        struct sw_decoder_conf conf;
        struct sw_fingerprint *fingerprint;
        struct sw_buf text;     /* folded names on their way into the fingerprint */
        struct sw_buf plain;    /* a record made ready for cJSON, or a tuple without its escapes */
        struct sw_buf inflated; /* a gzip payload before it moves to the batch */

        bool avx2;                    /* the machine has what fast_tuple.h wants */
        uint64_t n_fast, n_reference; /* records that each decoder took, for tests */

        /* of the running call */
        struct sw_batch *b;
        struct sw_str raw;
        uint64_t base_offset;
        bool no_memory;
};

/* Kept in step with the batch while a record is being read; its tuples count their rules from first_rule. */
struct sw_record_at {
        uint32_t first_tuple, first_rule;
};

void sw__record_error(struct sw_decoder *d, enum sw_reason reason, size_t at, struct sw_str excerpt);
void sw__tuple_error(struct sw_decoder *d, enum sw_reason reason, size_t at, struct sw_str excerpt);

/* Completes r, whose tuples and rules are the last ones of the batch: counts, fingerprint, newest time. r is copied
 * into the batch. Sets d->no_memory on failure. */
void sw__record_finish(struct sw_decoder *d, const struct sw_record *r, struct sw_record_at from);

bool sw__fast_has_avx2(void);

/* The fast decoder: the object at raw.p[at]. Returns its end, or 0 with the batch as before: not mine. */
size_t sw__fast_record(struct sw_decoder *d, size_t at);

/* The reference decoder: raw.p[at..end) is one scanned object of n_values values. odd: see sw_scan. */
void sw__reference_record(struct sw_decoder *d, size_t at, size_t end, uint64_t n_values, bool odd);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* From bytes to a batch. Two decoders with one meaning:
 *   fast       nested VNet v4 and NSG v1/v2 records, any key order and white space; no tree, no allocation per tuple
 *   reference  every shape of design.md 3.1, on cJSON; the oracle of the fast one
 * sw_decode() tries the fast one per record and hands what it does not know to the reference one.
 * Threads: one decoder per thread. */
#include "base/err.h"
#include "model/flow.h"

struct sw_decoder_conf {
        uint64_t message_max_bytes; /* input.message_max, also after inflating; 0 = no limit (pieces of files) */
        uint64_t seed;              /* of record fingerprints; the same for all decoders of an engine */
        bool reference_only;        /* tests and --reference */
};

struct sw_decoder;
int sw_decoder_new(const struct sw_decoder_conf *conf, struct sw_decoder **ret);
struct sw_decoder *sw_decoder_free(struct sw_decoder *d); /* NULL-safe, returns NULL */

/* What the bytes are. A piece comes from the framer: whole records of a longer message. */
enum {
        SW_DECODE_MESSAGE_START = 1 << 0, /* counts in stats.messages; may begin with a BOM or gzip magic */
        SW_DECODE_MESSAGE_END = 1 << 1,
};
#define SW_DECODE_MESSAGE (SW_DECODE_MESSAGE_START | SW_DECODE_MESSAGE_END)

/* Appends to *b (reset by the caller). Bad input is never an error of the call: it is counted and described in
 * b->stats and b->errors, offsets counted from base_offset. b->raw is set to `value` (not copied): both must stay
 * valid until the batch is reset. 0 | -SW_ERR_NOMEM. */
int sw_decode(struct sw_decoder *d, struct sw_str value, unsigned flags, uint64_t base_offset, struct sw_batch *b);

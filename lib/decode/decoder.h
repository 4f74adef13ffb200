/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* From bytes to a batch. Two decoders with one meaning:
 *   fast       nested VNet v4 and NSG v1/v2 records, any key order and white space; no tree, no allocation per tuple
 *   reference  every shape, on cJSON; the oracle of the fast one
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
        /* Several whole messages of a file, one after the other: each counts. A message is a run of values held
         * together by nesting or commas; a value that follows another without a comma begins the next one. Without
         * this flag a call is one message whatever it holds, as a Kafka message is. */
        SW_DECODE_LINES = 1 << 2,
        /* The beginning of a record that the framer skipped because it is too long: counted, not read. */
        SW_DECODE_OVERSIZE = 1 << 3,
};
#define SW_DECODE_MESSAGE (SW_DECODE_MESSAGE_START | SW_DECODE_MESSAGE_END)

/* A message of which nothing was used counts in stats.message_errors, and its first error says whole_message; of a
 * piece that is not a whole message only the records count, since nobody knows the other pieces here. Lone surrogates
 * and U+0000 in escapes read as U+FFFD; of equal keys the last one wins; JSON is RFC 8259 without a check of UTF-8,
 * records may nest 32 levels.
 *
 * Appends to *b (reset by the caller). Bad input is never an error of the call: it is counted and described in
 * b->stats and b->errors, offsets counted from base_offset. b->raw is set to `value` (not copied): both must stay
 * valid until the batch is reset. 0 | -SW_ERR_NOMEM. */
int sw_decode(struct sw_decoder *d, struct sw_str value, unsigned flags, uint64_t base_offset, struct sw_batch *b);

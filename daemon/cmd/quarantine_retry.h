/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Kept messages, decoded again: by a newer program, or under a larger input.message_max. */
#include "cmd/quarantine_read.h"

#include "decode/decoder.h"

struct sw_quarantine_retry {
        struct sw_decoder *decoder;
        struct sw_batch batch;
        struct sw_buf message, inflated;
        uint64_t n_entries, n_partly; /* messages put aside; those of which a part was used at once */
        uint64_t n_kept;              /* of the wholly refused ones: still there as a whole */
        uint64_t n_now, n_fragments;  /* of these: decode without an error now; those that cannot stand in a line */
        uint64_t n_records, n_tuples; /* in those that do */
        uint64_t n_still[SW_N_REASONS];
};

int sw_quarantine_retry_init(struct sw_quarantine_retry *r, uint64_t message_max); /* 0 | -SW_ERR_NOMEM */
void sw_quarantine_retry_deinit(struct sw_quarantine_retry *r);
/* One entry. A message that decodes now is appended to *out, as one line of JSON. 0 | -SW_ERR_NOMEM. */
int sw_quarantine_retry_add(struct sw_quarantine_retry *r, const struct sw_quarantine_entry *e, struct sw_buf *out);

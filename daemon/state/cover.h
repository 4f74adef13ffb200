/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What a snapshot covers: the release it was taken after, with the places up to which every partition was consumed
 * then. It rides in the snapshot's own section as one JSON object. The order of the places is the engine's numbering of
 * the partitions. Threads: one owner. */
#include "base/err.h"
#include "base/json.h"
#include "state/outbox.h"

struct sw_cover {
        struct sw_outbox_release release; /* strings live in `json` */
        struct sw_outbox_offset *offsets; /* release.offsets */
        struct sw_json *json;
};
#define SW_COVER_NULL ((struct sw_cover){ 0 })

void sw_cover_print(const struct sw_outbox_release *r, struct sw_buf *out);
/* 0 | -SW_ERR_DATA: it is none, or of a newer version | -SW_ERR_NOMEM. */
int sw_cover_parse(struct sw_str text, struct sw_cover *ret);
void sw_cover_deinit(struct sw_cover *c); /* NULL-safe, twice is fine */

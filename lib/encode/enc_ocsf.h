/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* OCSF 1.8.0 Detection Finding (class 2004), one JSON object, no newline. */
#include "base/jsonw.h"
#include "model/finding.h"

/* Appends to *out. version: of the program. */
void sw_enc_ocsf(struct sw_buf *out, const struct sw_finding *f, const char *version);

/* One line of signals.jsonl: the signal with its texts resolved by the caller. */
struct sw_signal_line {
        const char *detector, *code;
        const char *mode;
        const char *suppression; /* its id, if the signal was suppressed; NULL: left out */
        struct sw_str sentence;  /* the detector's tell() */
        struct sw_addr actor;
        struct sw_str src_segment, dst_segment;
        const struct sw_addr *targets;
        const struct sw_signal *signal;
        char uid[33]; /* line id */
};
void sw_enc_signal(struct sw_buf *out, const struct sw_signal_line *l);

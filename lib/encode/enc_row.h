/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A finding as one flat row of the Sentinel table SegwatchFinding_CL: columns with the names of ASIM's AlertEvent 0.1
 * and NetworkSession, and the whole OCSF object in the column Finding. A row is a projection of the line that the alert
 * file holds, made from that line alone. One table says what the columns are; rows, deployment templates, documents and
 * `segwatch schema sentinel` are written from it. */
#include "base/json.h"
#include "base/jsonw.h"

#define SW_ROW_TABLE "SegwatchFinding_CL"
#define SW_ROW_STREAM "Custom-SegwatchFinding"

enum sw_row_type { SW_ROW_STRING, SW_ROW_INT, SW_ROW_LONG, SW_ROW_BOOLEAN, SW_ROW_DATETIME, SW_ROW_DYNAMIC };
const char *sw_row_type_text(enum sw_row_type t); /* as a data collection rule spells it */

struct sw_row_column {
        const char *name; /* at most 45 letters, digits and _; no reserved name */
        enum sw_row_type type;
        uint32_t max; /* bytes of a text or of the JSON of a dynamic column; longer ones are cut; 0: cannot be long */
        const char *from; /* path in the OCSF object, or the constant itself */
        bool (*put)(struct sw_jsonw *w, const struct sw_json *finding, const struct sw_row_column *c); /* private */
        const char *doc;
};
/* All columns, in the order of a row. */
const struct sw_row_column *sw_row_columns(uint32_t *ret_n);

/* Azure shows at most 64 KiB of a field and takes at most 1 MiB per request. */
#define SW_ROW_FINDING_MAX 60000u

enum {
        SW_ROW_OK,
        SW_ROW_NO_FINDING /* not an object with metadata.logged_time and finding_info.uid: nothing appended */
};
/* Appends the row as one JSON object. line: the text that `finding` was parsed from. finding_max: bytes that the column
 * Finding may take (at most SW_ROW_FINDING_MAX counts): of a larger object evidence, lists and texts are left out until
 * it fits, metadata.is_truncated says so and the column RowTruncated is true. */
int sw_enc_row(struct sw_buf *out, const struct sw_json *finding, struct sw_str line, uint32_t finding_max);
/* The object itself in at most max bytes, cut in the same way. True: it was cut. */
bool sw_enc_row_finding(struct sw_buf *out, const struct sw_json *finding, struct sw_str line, uint32_t max);

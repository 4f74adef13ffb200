/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/schema_ocsf.h"

/* The build makes one literal of config/alert.schema.json: no file has to be found at run time. */
#pragma GCC diagnostic ignored "-Woverlength-strings"
static const char schema_ocsf[] =
#include "alert_schema.inc"
        ;

void sw_schema_ocsf(struct sw_buf *out)
{
        sw_buf_put(out, schema_ocsf, sizeof(schema_ocsf) - 1);
}

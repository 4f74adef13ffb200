/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What has to be created in Azure for the Sentinel sink, written from the one table of columns. */
#include "base/str.h"

void sw_schema_sentinel_columns(struct sw_buf *out);  /* JSON: [{name, type, max, from, doc}] */
void sw_schema_sentinel_markdown(struct sw_buf *out); /* the same for docs/SENTINEL.md */
/* ARM template: table, data collection rule, and the role of who writes to it. */
void sw_schema_sentinel_arm(struct sw_buf *out);

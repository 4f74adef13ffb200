/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What stands in a line of CEF, written from the one table that the lines are written from. */
#include "base/str.h"

void sw_schema_cef_fields(struct sw_buf *out);   /* JSON: [{key, type, max, label, from, description}] */
void sw_schema_cef_markdown(struct sw_buf *out); /* the same to read */

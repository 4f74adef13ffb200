/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "base/str.h"

/* config/alert.schema.json as it was when the program was built: what a line of the alert file may hold. */
void sw_schema_ocsf(struct sw_buf *out);

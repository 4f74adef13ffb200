/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What could be done about a finding: texts to read and to paste. The line is taken as hostile: nothing but addresses,
 * numbers and plain names gets into a command or a stanza. */
#include "base/json.h"

void sw_explain_denies(struct sw_buf *out, const struct sw_json *finding);
/* One stanza for each detector that spoke of the actor, over the segments and ports of its evidence. */
void sw_explain_suppression(struct sw_buf *out, const struct sw_json *finding);

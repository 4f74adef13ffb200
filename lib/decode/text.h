/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Escapes of JSON strings. Lone surrogates and U+0000 read as U+FFFD, in both decoders: the one is no character, the
 * other would end a text in half of the programs that get to see it. */
#include "base/str.h"

/* raw: what stands between the quotes, already scanned. out: room for raw.n bytes; returns how many were written.
 * out may be raw.p. */
size_t sw__unescape(struct sw_str raw, char *out);

/* Copies scanned JSON so that cJSON reads it as sw__unescape does: \u0000 and lone surrogates become \ufffd, and
 * numbers longer than its buffer 1e999. out: room for json.n bytes; returns how many were written. */
size_t sw__normalise(struct sw_str json, char *out);

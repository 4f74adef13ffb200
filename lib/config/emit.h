/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Writes out what option tables know: values as YAML that reads back to the same values, a commented sample and
 * a JSON schema. Never a secret, only where it is kept. Check out->failed once at the end. */
#include "base/jsonw.h"
#include "config/option.h"

/* One "key: value" per option that is set, each line indented by `indent` spaces. */
void sw_emit_yaml(struct sw_buf *out, const struct sw_opt *rows, const void *base, unsigned indent);

/* Every option with its default, its help as comment; what has no default is shown as a comment. */
void sw_emit_sample(struct sw_buf *out, const struct sw_opt *rows, unsigned indent);

/* Help of one option as one text: what it is, then its choices or its range. */
void sw_emit_doc(struct sw_buf *out, const struct sw_opt *row);

/* Members of a JSON schema (draft 2020-12) of a map: type, properties, required, additionalProperties. The object is
 * opened and closed by the caller. Several tables may share one map. */
void sw_emit_schema(struct sw_jsonw *w, const struct sw_opt *const *tables, unsigned n_tables);

/* Indents JSON by two spaces per level. */
void sw_emit_pretty(struct sw_buf *out, struct sw_str json);

/* Text as a YAML scalar, in quotes where plain text would mean something else. */
void sw_emit_text(struct sw_buf *out, struct sw_str s);
void sw_emit_indent(struct sw_buf *out, unsigned indent);

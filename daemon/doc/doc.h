/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What is made of the tables of verbs and options at build time: two manual pages and the completion of bash. A program
 * of the build, not installed. */
#include "base/str.h"
#include "cmd/cmd.h"

extern const struct sw_cmd *const sw_doc_verbs[];
extern const unsigned sw_doc_n_verbs;

void sw_doc_man(struct sw_buf *out);  /* segwatch.1 */
void sw_doc_conf(struct sw_buf *out); /* segwatch.yaml.5 */
void sw_doc_bash(struct sw_buf *out);

/* Pieces of man(7). Text is escaped; a line never begins with a control character. */
void sw_roff_head(struct sw_buf *out, const char *title, unsigned section, const char *manual);
void sw_roff_section(struct sw_buf *out, const char *title);
void sw_roff_subsection(struct sw_buf *out, const char *title);
void sw_roff_text(struct sw_buf *out, const char *text);       /* within a line */
void sw_roff_paragraphs(struct sw_buf *out, const char *text); /* an empty line parts them; begins with .PP */
void sw_roff_item(struct sw_buf *out, const char *bold, const char *italic, const char *text); /* italic may be NULL */
void sw_roff_example(struct sw_buf *out, const char *lines);

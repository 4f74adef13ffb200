/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* An object of the receiver's own making: members with texts in which {path} stands for a value of the finding. A text
 * that is one {path} and nothing else becomes that value, whatever its type; within other text values stand as text.
 * What a finding does not have is null, or nothing within text. "{{" is a brace. Threads: any, once made. */
#include "base/json.h"
#include "config/option.h"

struct sw_template;
int sw_template_new(const struct sw_kv_list *fields, struct sw_template **ret); /* copies; 0 | -SW_ERR_NOMEM */
struct sw_template *sw_template_free(struct sw_template *t);
/* max: bytes of the values at about, shared by the members: texts are cut, lists and objects end earlier. */
void sw_template_put(const struct sw_template *t, const struct sw_json *finding, size_t max, struct sw_buf *out);
/* NULL, or what is wrong with a text. */
const char *sw_template_wrong(const char *text);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Streaming JSON writer into a sw_buf: commas and escapes are its business, order is the caller's.
 * Text that is not valid UTF-8 is written with U+FFFD in place of each bad byte; control bytes are escaped.
 * Depth at most 32 (an assert: our own bug). Keys are literals and need no escape. */
#include "base/str.h"

struct sw_jsonw {
        struct sw_buf *out;
        uint32_t has_item; /* bit per depth */
        unsigned depth;
        bool after_key;
};

struct sw_jsonw sw_jsonw_start(struct sw_buf *out);
void sw_jsonw_object(struct sw_jsonw *w);
void sw_jsonw_end_object(struct sw_jsonw *w);
void sw_jsonw_array(struct sw_jsonw *w);
void sw_jsonw_end_array(struct sw_jsonw *w);
void sw_jsonw_key(struct sw_jsonw *w, const char *key);
void sw_jsonw_str(struct sw_jsonw *w, struct sw_str s);
void sw_jsonw_raw(struct sw_jsonw *w, struct sw_str json);     /* a value that is JSON already */
void sw_jsonw_key_str(struct sw_jsonw *w, struct sw_str key); /* a key that is not a literal: escaped */
void sw_jsonw_text(struct sw_jsonw *w, const char *z);
void sw_jsonw_i64(struct sw_jsonw *w, int64_t v);
void sw_jsonw_u64(struct sw_jsonw *w, uint64_t v);
void sw_jsonw_bool(struct sw_jsonw *w, bool v);

/* key and value in one call */
void sw_jsonw_kstr(struct sw_jsonw *w, const char *key, struct sw_str s);
void sw_jsonw_ktext(struct sw_jsonw *w, const char *key, const char *z);
void sw_jsonw_ki64(struct sw_jsonw *w, const char *key, int64_t v);
void sw_jsonw_ku64(struct sw_jsonw *w, const char *key, uint64_t v);
void sw_jsonw_kbool(struct sw_jsonw *w, const char *key, bool v);

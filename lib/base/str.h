/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Slices of text (never assumed NUL-terminated) and a growable byte buffer. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sw_str {
        const char *p;
        size_t n;
};
#define SW_STR_NULL ((struct sw_str){ 0 })
#define SW_STR(literal) ((struct sw_str){ (literal), sizeof(literal) - 1 })
struct sw_str sw_str_of(const char *z); /* NULL gives an empty slice */
bool sw_str_eq(struct sw_str a, struct sw_str b);
bool sw_str_ieq(struct sw_str a, struct sw_str b); /* ASCII case folded */
int sw_str_icmp(struct sw_str a, struct sw_str b); /* ASCII case folded, then by length */
bool sw_str_starts(struct sw_str s, struct sw_str prefix);

/* Length of the valid UTF-8 sequence that s begins with (RFC 3629: no overlongs, no surrogates), 0 if there is none. */
size_t sw_utf8_length(struct sw_str s);
/* At most n bytes of s, not cut within a character. */
struct sw_str sw_utf8_cut(struct sw_str s, size_t n);
/* Writes a code point, at most 0x10ffff; returns its bytes, 1 to 4. */
size_t sw_utf8_put(uint32_t c, char *out);

/* Decimal digits only, no sign, no space; false on empty text, other bytes or overflow. */
bool sw_parse_u64(struct sw_str s, uint64_t *ret);

/* Edit distance for "did you mean", capped: returns at most 64. */
unsigned sw_str_distance(struct sw_str a, struct sw_str b);

/* Growable bytes. After a failed append `failed` stays set and the content is incomplete: check once at the end. */
struct sw_buf {
        char *p;
        size_t n, cap;
        bool failed;
};
#define SW_BUF_NULL ((struct sw_buf){ 0 })
void sw_buf_deinit(struct sw_buf *b);
void sw_buf_reset(struct sw_buf *b); /* empties, keeps memory */
void sw_buf_put(struct sw_buf *b, const void *p, size_t n);
void sw_buf_putc(struct sw_buf *b, char c);
void sw_buf_puts(struct sw_buf *b, const char *z);
void sw_buf_put_str(struct sw_buf *b, struct sw_str s);
/* Path of `name` as seen from the folder of `file`; an absolute name stands for itself. Adds no NUL. */
void sw_buf_put_beside(struct sw_buf *b, const char *file, const char *name);
void sw_buf_u64(struct sw_buf *b, uint64_t v);
void sw_buf_printf(struct sw_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

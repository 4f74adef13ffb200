/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Values of one section of a snapshot. The same function writes and reads them, so that both sides agree by
 * construction: `sw_state_u32(s, &x->n)` appends x->n, or sets it. Reading never goes beyond the section: what is
 * missing or out of range sets `failed`, values are zero from then on, and the caller asks once at the end.
 *
 * A section that grows raises its version and reads the new values only where `s->version` says that they are there.
 * Numbers are little-endian as in memory: a snapshot names its byte order and is refused elsewhere. */
#include "base/str.h"
#include "base/time.h"

struct sw_state_io {
        struct sw_buf *out; /* writing; NULL: reading */
        const unsigned char *p;
        size_t n;         /* left to read */
        uint32_t version; /* of the section that is read; writing: the newest */
        bool failed, no_memory;
};

static inline bool sw_state_reads(const struct sw_state_io *s)
{
        return s->out == NULL;
}
void sw_state_fail(struct sw_state_io *s);
void sw_state_no_memory(struct sw_state_io *s); /* fails as well, but the section is not to blame */
/* Everything was there and nothing is left over (reading), or memory sufficed (writing). */
bool sw_state_ok(const struct sw_state_io *s);

void sw_state_raw(struct sw_state_io *s, void *v, size_t n);
void sw_state_u8(struct sw_state_io *s, uint8_t *v);
void sw_state_u32(struct sw_state_io *s, uint32_t *v);
void sw_state_u64(struct sw_state_io *s, uint64_t *v);
void sw_state_i64(struct sw_state_io *s, int64_t *v);
void sw_state_size(struct sw_state_io *s, size_t *v);
void sw_state_bool(struct sw_state_io *s, bool *v);
void sw_state_etime(struct sw_state_io *s, struct sw_etime *v);
/* A number of things that follow, at least min_bytes each: at most max, and no more than the section can hold. */
uint32_t sw_state_count(struct sw_state_io *s, uint32_t n, uint32_t max, size_t min_bytes);
/* Writing: the text. Reading: a slice of the section, valid as long as that; at most max bytes. */
void sw_state_text(struct sw_state_io *s, struct sw_str *v, size_t max);

/* SPDX-License-Identifier: Apache-2.0 */
#include "persist/state.h"

#include <string.h>

void sw_state_fail(struct sw_state_io *s)
{
        s->failed = true;
}

void sw_state_no_memory(struct sw_state_io *s)
{
        s->failed = s->no_memory = true;
}

bool sw_state_ok(const struct sw_state_io *s)
{
        return !s->failed && (s->out ? !s->out->failed : s->n == 0);
}

void sw_state_raw(struct sw_state_io *s, void *v, size_t n)
{
        if (s->out) {
                sw_buf_put(s->out, v, n);
                return;
        }
        if (s->failed || s->n < n) {
                s->failed = true;
                memset(v, 0, n);
                return;
        }
        memcpy(v, s->p, n);
        s->p += n;
        s->n -= n;
}

void sw_state_u8(struct sw_state_io *s, uint8_t *v)
{
        sw_state_raw(s, v, sizeof(*v));
}

void sw_state_u32(struct sw_state_io *s, uint32_t *v)
{
        sw_state_raw(s, v, sizeof(*v));
}

void sw_state_u64(struct sw_state_io *s, uint64_t *v)
{
        sw_state_raw(s, v, sizeof(*v));
}

void sw_state_i64(struct sw_state_io *s, int64_t *v)
{
        sw_state_raw(s, v, sizeof(*v));
}

void sw_state_size(struct sw_state_io *s, size_t *v)
{
        uint64_t wide = *v;

        sw_state_u64(s, &wide);
        *v = (size_t)wide;
}

void sw_state_bool(struct sw_state_io *s, bool *v)
{
        uint8_t b = *v;

        sw_state_u8(s, &b);
        if (b > 1)
                s->failed = true;
        *v = b == 1;
}

void sw_state_etime(struct sw_state_io *s, struct sw_etime *v)
{
        sw_state_i64(s, &v->ms);
}

uint32_t sw_state_count(struct sw_state_io *s, uint32_t n, uint32_t max, size_t min_bytes)
{
        sw_state_u32(s, &n);
        if (s->out)
                return n;
        if (n > max || (min_bytes && n > s->n / min_bytes)) {
                s->failed = true;
                return 0;
        }
        return n;
}

void sw_state_text(struct sw_state_io *s, struct sw_str *v, size_t max)
{
        uint32_t n = sw_state_count(s, (uint32_t)v->n, max < UINT32_MAX ? (uint32_t)max : UINT32_MAX, 1);

        if (s->out) {
                sw_buf_put(s->out, v->p, v->n);
                return;
        }
        *v = (struct sw_str){ (const char *)s->p, n };
        s->p += n;
        s->n -= n;
}

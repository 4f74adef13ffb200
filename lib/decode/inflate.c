/* SPDX-License-Identifier: Apache-2.0 */
#include "decode/inflate.h"

#include "base/alloc.h"
#include "base/err.h"

#include <libdeflate.h>
#include <string.h>
#include <zlib.h>

/* Flow logs shrink by 10 to 30; a bomb reaches 1000. Small payloads may be as repetitive as they like. */
#define MAX_RATIO 200
#define RATIO_FREE_BYTES ((size_t)64 * 1024)
#define FIRST_BYTES ((size_t)64 * 1024)
#define WINDOW_BYTES ((size_t)256 * 1024)
#define GZIP_WINDOW_BITS (15 + 16)

static bool inflate_room(struct sw_buf *out, size_t want)
{
        char *p;

        if (want <= out->cap)
                return true;
        p = sw_realloc_array(out->p, want, 1);
        if (!p) /* out of memory */
                return false;
        out->p = p;
        out->cap = want;
        return true;
}

/* One member from gz on, appended to *out, which grows up to cap. */
static int inflate_member(
        struct libdeflate_decompressor *z, struct sw_str gz, size_t cap, struct sw_buf *out, size_t *ret_used)
{
        for (;;) {
                size_t room = (out->cap < cap ? out->cap : cap) - out->n, got;
                enum libdeflate_result r =
                        libdeflate_gzip_decompress_ex(z, gz.p, gz.n, out->p + out->n, room, ret_used, &got);

                if (r == LIBDEFLATE_SUCCESS) {
                        out->n += got;
                        return SW_INFLATE_OK;
                }
                if (r != LIBDEFLATE_INSUFFICIENT_SPACE)
                        return SW_INFLATE_DAMAGED;
                if (out->cap >= cap)
                        return SW_INFLATE_TOO_LARGE;
                if (!inflate_room(out, out->cap > cap / 4 ? cap : out->cap * 4))
                        return -SW_ERR_NOMEM;
        }
}

static bool inflate_is_padding(struct sw_str s)
{
        size_t i;

        for (i = 0; i < s.n; i++)
                if (s.p[i])
                        return false;
        return true;
}

int sw_inflate_whole(struct sw_str gz, size_t max_bytes, struct sw_buf *out)
{
        size_t by_ratio = gz.n > SIZE_MAX / MAX_RATIO ? SIZE_MAX : gz.n * MAX_RATIO, cap;
        struct libdeflate_decompressor *z;
        int r = SW_INFLATE_OK;

        if (by_ratio < RATIO_FREE_BYTES)
                by_ratio = RATIO_FREE_BYTES;
        cap = by_ratio < max_bytes ? by_ratio : max_bytes;
        sw_buf_reset(out);
        z = libdeflate_alloc_decompressor();
        if (!z)
                return -SW_ERR_NOMEM;
        if (!inflate_room(out, cap < FIRST_BYTES ? cap + 1 : FIRST_BYTES))
                r = -SW_ERR_NOMEM;
        while (r == SW_INFLATE_OK && gz.n && !(out->n && inflate_is_padding(gz))) {
                size_t used = 0;

                r = inflate_member(z, gz, cap, out, &used);
                if (r == SW_INFLATE_OK) {
                        gz.p += used;
                        gz.n -= used;
                }
        }
        libdeflate_free_decompressor(z);
        return r == SW_INFLATE_TOO_LARGE && by_ratio < max_bytes ? SW_INFLATE_DAMAGED : r;
}

struct sw_inflate {
        z_stream z;
        unsigned char *window;
        const unsigned char *in;
        size_t n_in;
        uint64_t members;
        bool in_member, finished, damaged;
};

int sw_inflate_new(struct sw_inflate **ret)
{
        struct sw_inflate *z = sw_calloc(1, sizeof(*z));

        if (!z)
                return -SW_ERR_NOMEM;
        z->window = sw_alloc(WINDOW_BYTES);
        if (!z->window || inflateInit2(&z->z, GZIP_WINDOW_BITS) != Z_OK) { /* out of memory */
                sw_free(z->window);
                sw_free(z);
                return -SW_ERR_NOMEM;
        }
        *ret = z;
        return 0;
}

struct sw_inflate *sw_inflate_free(struct sw_inflate *z)
{
        if (!z)
                return NULL;
        (void)inflateEnd(&z->z);
        sw_free(z->window);
        sw_free(z);
        return NULL;
}

void sw_inflate_feed(struct sw_inflate *z, const void *p, size_t n)
{
        z->in = p;
        z->n_in = n;
}

void sw_inflate_finish(struct sw_inflate *z)
{
        z->finished = true;
}

/* Between members: zeros are padding. False: nothing is left. */
static bool inflate_begin_member(struct sw_inflate *z)
{
        while (z->members && z->n_in && *z->in == 0) {
                z->in++;
                z->n_in--;
        }
        if (z->n_in == 0)
                return false;
        if (z->members)
                (void)inflateReset(&z->z);
        z->members++;
        z->in_member = true;
        return true;
}

int sw_inflate_next(struct sw_inflate *z, struct sw_str *ret)
{
        size_t got = 0;

        if (z->damaged)
                return SW_INFLATE_DAMAGED;
        while (got == 0) {
                uInt in;
                int r;

                if (!z->in_member && !inflate_begin_member(z))
                        return z->finished ? SW_INFLATE_END : SW_INFLATE_MORE;
                in = z->n_in > UINT32_MAX / 2 ? UINT32_MAX / 2 : (uInt)z->n_in;
                z->z.next_in = (z_const Bytef *)(uintptr_t)z->in;
                z->z.avail_in = in;
                z->z.next_out = z->window;
                z->z.avail_out = (uInt)WINDOW_BYTES;
                r = inflate(&z->z, Z_NO_FLUSH);
                z->in += in - z->z.avail_in;
                z->n_in -= in - z->z.avail_in;
                got = WINDOW_BYTES - z->z.avail_out;
                if (r == Z_STREAM_END) {
                        z->in_member = false;
                } else if (r == Z_MEM_ERROR) {
                        return -SW_ERR_NOMEM;
                } else if (r != Z_OK && r != Z_BUF_ERROR) {
                        z->damaged = true;
                } else if (got == 0 && z->n_in == 0) {
                        if (!z->finished)
                                return SW_INFLATE_MORE;
                        z->damaged = true; /* cut off */
                }
                if (z->damaged && got == 0)
                        return SW_INFLATE_DAMAGED;
        }
        *ret = (struct sw_str){ (const char *)z->window, got };
        return SW_INFLATE_OK;
}

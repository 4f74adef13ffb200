/* SPDX-License-Identifier: Apache-2.0 */
#include "decode/inflate.h"

#include <criterion/criterion.h>
#include <libdeflate.h>
#include <string.h>

static size_t pack(const void *p, size_t n, char *out, size_t size)
{
        struct libdeflate_compressor *z = libdeflate_alloc_compressor(6);
        size_t r = libdeflate_gzip_compress(z, p, n, out, size);

        libdeflate_free_compressor(z);
        cr_assert_gt(r, 0);
        return r;
}

/* Inflates by the stream, `step` bytes at a time; returns the last code. */
static int stream(struct sw_str gz, size_t step, struct sw_buf *out)
{
        struct sw_inflate *z = NULL;
        struct sw_str s;
        size_t at = 0;
        int r;

        cr_assert_eq(sw_inflate_new(&z), 0);
        while ((r = sw_inflate_next(z, &s)) == SW_INFLATE_OK || r == SW_INFLATE_MORE) {
                size_t n = gz.n - at < step ? gz.n - at : step;

                if (r == SW_INFLATE_OK) {
                        sw_buf_put(out, s.p, s.n);
                        continue;
                }
                if (n == 0)
                        sw_inflate_finish(z);
                sw_inflate_feed(z, gz.p + at, n);
                at += n;
        }
        sw_inflate_free(z);
        return r;
}

static void fill(char *p, size_t n)
{
        uint32_t x = 1;
        size_t i;

        for (i = 0; i < n; i++) {
                x = x * 1664525 + 1013904223;
                p[i] = (char)('a' + (x >> 28));
        }
}

Test(inflate, reads_members_one_after_the_other_and_padding)
{
        static char text[700000], gz[1500000];
        struct sw_buf out = SW_BUF_NULL;
        size_t n, step;

        fill(text, sizeof(text));
        n = pack(text, 500000, gz, sizeof(gz));
        n += pack(text + 500000, 200000, gz + n, sizeof(gz) - n);
        memset(gz + n, 0, 512);
        n += 512;
        cr_assert_eq(sw_inflate_whole((struct sw_str){ gz, n }, 1 << 20, &out), SW_INFLATE_OK);
        cr_assert_eq(out.n, sizeof(text));
        cr_assert(memcmp(out.p, text, sizeof(text)) == 0);
        for (step = 1; step < 1000000; step = step * 50 + 3) {
                sw_buf_reset(&out);
                cr_assert_eq(stream((struct sw_str){ gz, n }, step, &out), SW_INFLATE_END);
                cr_assert_eq(out.n, sizeof(text));
                cr_assert(memcmp(out.p, text, sizeof(text)) == 0);
        }
        sw_buf_deinit(&out);
}

Test(inflate, damage_is_told_and_what_came_before_is_kept)
{
        static char text[600000], gz[600000];
        struct sw_buf out = SW_BUF_NULL;
        size_t n;

        fill(text, sizeof(text));
        n = pack(text, sizeof(text), gz, sizeof(gz));
        cr_assert_eq(stream((struct sw_str){ gz, n - 9 }, 4096, &out), SW_INFLATE_DAMAGED);
        cr_assert_gt(out.n, 500000);
        cr_assert(memcmp(out.p, text, out.n) == 0);
        gz[n - 6] = (char)(gz[n - 6] + 1); /* checksum */
        sw_buf_reset(&out);
        cr_assert_eq(stream((struct sw_str){ gz, n }, 4096, &out), SW_INFLATE_DAMAGED);
        cr_assert_eq(sw_inflate_whole((struct sw_str){ gz, n }, 1 << 20, &out), SW_INFLATE_DAMAGED);
        cr_assert_eq(sw_inflate_whole(SW_STR("\x1f\x8b"), 1 << 20, &out), SW_INFLATE_DAMAGED);
        cr_assert_eq(stream(SW_STR("hello"), 4096, &out), SW_INFLATE_DAMAGED);
        sw_buf_deinit(&out);
}

Test(inflate, size_and_ratio_are_limited)
{
        static char text[8 << 20], gz[100000];
        struct sw_buf out = SW_BUF_NULL;
        size_t n;

        n = pack(text, sizeof(text), gz, sizeof(gz));
        cr_assert_eq(sw_inflate_whole((struct sw_str){ gz, n }, SIZE_MAX, &out), SW_INFLATE_DAMAGED, "1000 to 1");
        n = pack(text, 60000, gz, sizeof(gz));
        cr_assert_eq(sw_inflate_whole((struct sw_str){ gz, n }, SIZE_MAX, &out), SW_INFLATE_OK, "small ones may");
        cr_assert_eq(sw_inflate_whole((struct sw_str){ gz, n }, 60000, &out), SW_INFLATE_OK);
        cr_assert_eq(sw_inflate_whole((struct sw_str){ gz, n }, 59999, &out), SW_INFLATE_TOO_LARGE);
        sw_buf_deinit(&out);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Inflating whole and as a stream, bounded. First byte: size of the steps; the rest: the gzip data. */
#include "decode/decoder.h"
#include "decode/inflate.h"
#include "fuzz.h"

#include <string.h>

#define MAX_BYTES ((size_t)1 << 20)

static int stream(struct sw_str gz, size_t step, struct sw_buf *out)
{
        struct sw_inflate *z = NULL;
        struct sw_str s;
        size_t at = 0;
        int r;

        FUZZ_CHECK(sw_inflate_new(&z) == 0, "memory");
        while ((r = sw_inflate_next(z, &s)) == SW_INFLATE_OK || r == SW_INFLATE_MORE) {
                size_t n = step < gz.n - at ? step : gz.n - at;

                if (r == SW_INFLATE_OK) {
                        if (out->n > 4 * MAX_BYTES)
                                break;
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct sw_str gz = { (const char *)data + 1, size - 1 };
        struct sw_decoder_conf conf = { .message_max_bytes = 1 << 16, .seed = 3 };
        struct sw_buf a = SW_BUF_NULL, b = SW_BUF_NULL;
        struct sw_batch batch = SW_BATCH_NULL;
        struct sw_decoder *d = NULL;
        int r, s;

        if (size < 2)
                return 0;
        r = sw_inflate_whole(gz, MAX_BYTES, &a);
        FUZZ_CHECK(r >= 0 && a.n <= MAX_BYTES, "beyond the limit");
        s = stream(gz, 1 + data[0], &b);
        if (r == SW_INFLATE_OK && s == SW_INFLATE_END)
                FUZZ_CHECK(a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0), "two ways, two results");
        FUZZ_CHECK(sw_decoder_new(&conf, &d) == 0, "memory");
        FUZZ_CHECK(sw_decode(d, gz, SW_DECODE_MESSAGE, 0, &batch) == 0, "memory");
        FUZZ_CHECK(batch.stats.messages == 1, "one message");
        sw_decoder_free(d);
        sw_batch_deinit(&batch);
        sw_buf_deinit(&a);
        sw_buf_deinit(&b);
        return 0;
}

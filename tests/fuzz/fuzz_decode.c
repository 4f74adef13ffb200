/* SPDX-License-Identifier: Apache-2.0 */
/* Both decoders over any bytes: no fault, and one meaning. First byte: flags of the call; the rest: the message. */
#include "../diff/batch_diff.h"
#include "decode/record.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct sw_decoder_conf conf = { .message_max_bytes = 1 << 20, .seed = 3 };
        struct sw_batch a = SW_BATCH_NULL, b = SW_BATCH_NULL;
        struct sw_decoder *fast = NULL, *reference = NULL;
        struct sw_str s = { (const char *)data + 1, size - 1 };
        const char *what;

        if (size == 0)
                return 0;
        FUZZ_CHECK(sw_decoder_new(&conf, &fast) == 0, "memory");
        fast->avx2 &= !(data[0] & 16); /* both ways of fast_tuple.h */
        conf.reference_only = true;
        FUZZ_CHECK(sw_decoder_new(&conf, &reference) == 0, "memory");
        FUZZ_CHECK(sw_decode(fast, s, data[0] & 15, 1000, &a) == 0, "memory");
        FUZZ_CHECK(sw_decode(reference, s, data[0] & 15, 1000, &b) == 0, "memory");
        what = batch_difference(&a, &b);
        FUZZ_CHECK(!what, "difference in %s", what);
        FUZZ_CHECK(!(data[0] & SW_DECODE_MESSAGE_START) || a.stats.messages >= 1, "a message that is not counted");
        sw_decoder_free(fast);
        sw_decoder_free(reference);
        sw_batch_deinit(&a);
        sw_batch_deinit(&b);
        return 0;
}

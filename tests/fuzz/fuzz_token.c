/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of a token service: a token that goes into a header is one word of bounded length, and a failure has words
 * that hold nothing of a token. The first byte chooses the status. */
#include "azure/token_int.h"
#include "fuzz.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static const int statuses[] = { 200, 200, 400, 401, 403, 404, 429, 500 };
        const struct sw_token_conf conf = { .kind = SW_AUTH_IMDS, .name = "fuzz" };
        struct sw_httpc_answer a = {
                .status = size ? statuses[data[0] % 8] : 200, .retry_after_ms = -1, .challenge = ""
        };
        struct sw__token_answer got = { .bearer = SW_BUF_NULL };
        struct sw_err err = SW_ERR_NULL;
        char *text = malloc(size + 1);
        size_t i;
        int r;

        if (!text || size == 0) {
                free(text);
                return 0;
        }
        memcpy(text, data + 1, size - 1);
        text[size - 1] = '\0';
        a.body = (struct sw_str){ text, size - 1 };
        r = sw__token_answer_read(&conf, &a, &got, &err);
        if (r == 0) {
                FUZZ_CHECK(a.status == 200 && got.bearer.n > 1 && got.bearer.n < 40000, "%zu bytes", got.bearer.n);
                FUZZ_CHECK(got.life_ms > 0, "a life of %lld ms", (long long)got.life_ms);
                for (i = 0; i + 1 < got.bearer.n; i++)
                        FUZZ_CHECK(got.bearer.p[i] > 0x20 && got.bearer.p[i] < 0x7f, "byte %d", got.bearer.p[i]);
        } else {
                FUZZ_CHECK(*err.msg, "no words");
        }
        sw_buf_deinit(&got.bearer);
        free(text);
        return 0;
}

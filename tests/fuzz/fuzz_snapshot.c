/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a snapshot: an engine or an error, never a fault. First byte: bit 0: checksums are made right first. */
#include "../lib/heal.h"
#include "engine/snapshot.h"
#include "fuzz.h"

struct input {
        const unsigned char *p;
        size_t n;
};

static int fuzz_source(void *ctx, void *buf, size_t n, size_t *ret_n)
{
        struct input *in = ctx;

        *ret_n = n < in->n ? n : in->n;
        if (*ret_n)
                memcpy(buf, in->p, *ret_n);
        in->p += *ret_n;
        in->n -= *ret_n;
        return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct sw_core_conf conf;
        struct sw_err err = SW_ERR_NULL;
        struct sw_engine *e = NULL;
        struct sw_buf extra = SW_BUF_NULL;
        struct input in;
        unsigned char *copy;
        int r;

        if (size == 0)
                return 0;
        copy = malloc(size);
        FUZZ_CHECK(copy, "memory");
        memcpy(copy, data + 1, size - 1);
        if (data[0] & 1)
                heal(copy, size - 1);
        in = (struct input){ copy, size - 1 };
        sw_core_conf_default(&conf);
        conf.memory_limit_bytes = 32 << 20;
        r = sw_engine_load(&conf, fuzz_source, &in, NULL, &extra, &e, &err);
        FUZZ_CHECK(r == 0 || err.msg[0], "an error without a word: %d", r);
        sw_engine_free(r == 0 ? e : NULL);
        sw_buf_deinit(&extra);
        free(copy);
        return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"

#include "base/alloc.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <xxhash.h>

struct sw_fingerprint {
        XXH3_state_t *xxh;
        uint64_t seed;
};

struct sw_fingerprint *sw_fingerprint_new(uint64_t seed)
{
        struct sw_fingerprint *f = sw_calloc(1, sizeof(*f));

        if (!f)
                return NULL;
        f->seed = seed;
        f->xxh = XXH3_createState();
        if (!f->xxh)
                return sw_fingerprint_free(f);
        sw_fingerprint_reset(f);
        return f;
}

struct sw_fingerprint *sw_fingerprint_free(struct sw_fingerprint *f)
{
        if (!f)
                return NULL;
        if (f->xxh)
                (void)XXH3_freeState(f->xxh);
        sw_free(f);
        return NULL;
}

void sw_fingerprint_reset(struct sw_fingerprint *f)
{
        (void)XXH3_128bits_reset_withSeed(f->xxh, f->seed);
}

void sw_fingerprint_put(struct sw_fingerprint *f, const void *p, size_t n)
{
        (void)XXH3_128bits_update(f->xxh, p, n);
}

struct sw_u128 sw_fingerprint_get(const struct sw_fingerprint *f)
{
        XXH128_hash_t h = XXH3_128bits_digest(f->xxh);

        return (struct sw_u128){ .hi = h.high64, .lo = h.low64 };
}

uint64_t sw_checksum(const void *p, size_t n, uint64_t seed)
{
        return XXH3_64bits_withSeed(p, n, seed);
}

void sw_sha256_128(const void *p, size_t n, char ret_hex[33])
{
        static const char hex[] = "0123456789abcdef";
        unsigned char md[EVP_MAX_MD_SIZE];
        unsigned len = 0;
        int i;

        /* Fails only where OpenSSL has no SHA-256 at all: an id made of nothing would be worse than none. */
        if (EVP_Digest(p, n, md, &len, EVP_sha256(), NULL) != 1 || len < 16)
                abort();
        for (i = 0; i < 16; i++) {
                ret_hex[2 * i] = hex[md[i] >> 4];
                ret_hex[2 * i + 1] = hex[md[i] & 15];
        }
        ret_hex[32] = '\0';
}

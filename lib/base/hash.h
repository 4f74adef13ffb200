/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Three hashes, each for one use:
 *   sw_siphash       keyed, for every table whose keys a sender can choose (SipHash-1-3, Aumasson & Bernstein 2012)
 *   sw_fingerprint   128 bits of XXH3, streaming, for telling records apart (seeded with the same secret)
 *   sw_sha256_128    first 128 bits of SHA-256, for ids that people and other systems keep */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct sw_hash_key {
        uint64_t k0, k1;
};

#define SW_SIP_ROUND(v0, v1, v2, v3)                                                                                   \
        do {                                                                                                           \
                v0 += v1;                                                                                              \
                v2 += v3;                                                                                              \
                v1 = v1 << 13 | v1 >> 51;                                                                              \
                v3 = v3 << 16 | v3 >> 48;                                                                              \
                v1 ^= v0;                                                                                              \
                v3 ^= v2;                                                                                              \
                v0 = v0 << 32 | v0 >> 32;                                                                              \
                v2 += v1;                                                                                              \
                v0 += v3;                                                                                              \
                v1 = v1 << 17 | v1 >> 47;                                                                              \
                v3 = v3 << 21 | v3 >> 43;                                                                              \
                v1 ^= v2;                                                                                              \
                v3 ^= v0;                                                                                              \
                v2 = v2 << 32 | v2 >> 32;                                                                              \
        } while (0)

/* Inline because it sits on every table look-up and n is a constant there. */
static inline __attribute__((always_inline)) uint64_t sw_siphash(
        const struct sw_hash_key *key, const void *data, size_t n)
{
        const unsigned char *p = data;
        uint64_t v0 = key->k0 ^ UINT64_C(0x736f6d6570736575), v1 = key->k1 ^ UINT64_C(0x646f72616e646f6d);
        uint64_t v2 = key->k0 ^ UINT64_C(0x6c7967656e657261), v3 = key->k1 ^ UINT64_C(0x7465646279746573);
        uint64_t w, last = (uint64_t)n << 56;
        size_t i;

        for (i = 0; i + 8 <= n; i += 8) {
                memcpy(&w, p + i, 8);
                v3 ^= w;
                SW_SIP_ROUND(v0, v1, v2, v3);
                v0 ^= w;
        }
        w = 0;
        memcpy(&w, p + i, n - i);
        last |= w;
        v3 ^= last;
        SW_SIP_ROUND(v0, v1, v2, v3);
        v0 ^= last;
        v2 ^= 0xff;
        SW_SIP_ROUND(v0, v1, v2, v3);
        SW_SIP_ROUND(v0, v1, v2, v3);
        SW_SIP_ROUND(v0, v1, v2, v3);
        return v0 ^ v1 ^ v2 ^ v3;
}

struct sw_u128 {
        uint64_t hi, lo;
};

/* Streaming fingerprint. The state is large (XXH3's): one per worker, reused. */
struct sw_fingerprint;
struct sw_fingerprint *sw_fingerprint_new(uint64_t seed);             /* NULL: no memory */
struct sw_fingerprint *sw_fingerprint_free(struct sw_fingerprint *f); /* returns NULL */
void sw_fingerprint_reset(struct sw_fingerprint *f);
void sw_fingerprint_put(struct sw_fingerprint *f, const void *p, size_t n);
struct sw_u128 sw_fingerprint_get(const struct sw_fingerprint *f);

/* ret: 32 lower-case hex digits and a NUL. */
void sw_sha256_128(const void *p, size_t n, char ret_hex[33]);

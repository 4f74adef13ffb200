/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Five hashes, each for one use:
 *   sw_siphash       keyed, for digests that stand for a text (SipHash-1-3, Aumasson & Bernstein 2012)
 *   sw_keyhash       keyed and five times cheaper, for the slots of tables whose keys a sender can choose
 *   sw_fingerprint   128 bits of XXH3, streaming, for telling records apart (seeded with the same secret)
 *   sw_checksum      64 bits of XXH3: damage in what was written
 *   sw_sha256_128    first 128 bits of SHA-256, for ids that people and other systems keep */
#include "base/inline.h"

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
SW_INLINE uint64_t sw_siphash(
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

__extension__ typedef unsigned __int128 sw_hash_wide;

SW_INLINE uint64_t sw_hash_fold(uint64_t a, uint64_t b)
{
        sw_hash_wide product = (sw_hash_wide)a * b;

        return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Folded multiplication of 16 bytes at a time under a 128-bit secret. Not a PRF, but the secret is never shown and a
 * table answers nobody, so a sender has nothing to learn it from; what is needed is that keys cannot be aimed. */
SW_INLINE uint64_t sw_keyhash(
        const struct sw_hash_key *key, const void *data, size_t n)
{
        const unsigned char *p = data;
        uint64_t h = key->k0 ^ (uint64_t)n * UINT64_C(0x9e3779b97f4a7c15), a, b;
        size_t i;

        for (i = 0; i + 16 <= n; i += 16) {
                memcpy(&a, p + i, 8);
                memcpy(&b, p + i + 8, 8);
                h = sw_hash_fold(h ^ a, key->k1 ^ b ^ UINT64_C(0x8bb84b93962eacc9)) + (h << 1 | 1);
        }
        if (i + 8 <= n) {
                memcpy(&a, p + i, 8);
                h = sw_hash_fold(h ^ a, key->k1 ^ UINT64_C(0xd6e8feb86659fd93));
                i += 8;
        }
        if (i < n) {
                a = 0;
                memcpy(&a, p + i, n - i);
                h = sw_hash_fold(h ^ a, key->k1 ^ UINT64_C(0xa0761d6478bd642f));
        }
        return sw_hash_fold(h ^ key->k1, key->k0 ^ UINT64_C(0xe7037ed1a0b428db));
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

uint64_t sw_checksum(const void *p, size_t n, uint64_t seed);

/* ret: 32 lower-case hex digits and a NUL. */
void sw_sha256_128(const void *p, size_t n, char ret_hex[33]);

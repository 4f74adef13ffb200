/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The usual spelling of a tuple, quickly; anything else (escapes, odd lengths, faults) is refused and parsed again by
 * tuple.c, which also knows what is wrong. A tuple is taken in two windows of 64 bytes whose commas are counted first,
 * so that every field has a known length; numbers are read eight digits at a time (Lemire's SWAR method). */
#include "base/inline.h"
#include "decode/tuple.h"

#include <string.h>
#if defined(__SSE2__)
#include <immintrin.h>
#endif

#define FAST_INLINE SW_INLINE
#define FAST_TUPLE_WINDOW 128 /* bytes that must be readable behind the opening quote */
#define FAST_TUPLE_BEFORE 16  /* and in front of it */

#if defined(__SSE2__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define FAST_TUPLE 1

#define FAST_AVX2 __attribute__((target("avx2,bmi,bmi2,popcnt")))

/* Bit per byte of the two windows. */
struct fast_masks {
        uint64_t commas[2], dots[2], quotes[2];
};

FAST_INLINE void fast_masks_sse2(const char *p, struct fast_masks *m)
{
        const __m128i comma = _mm_set1_epi8(','), quote = _mm_set1_epi8('"'), dot = _mm_set1_epi8('.');
        unsigned w, i;

        for (w = 0; w < 2; w++) {
                uint64_t commas = 0, quotes = 0, dots = 0;

                for (i = 0; i < 4; i++) {
                        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(p + 64 * w + 16 * i));

                        commas |= (uint64_t)(unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(v, comma)) << 16 * i;
                        quotes |= (uint64_t)(unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(v, quote)) << 16 * i;
                        dots |= (uint64_t)(unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(v, dot)) << 16 * i;
                }
                m->commas[w] = commas;
                m->quotes[w] = quotes;
                m->dots[w] = dots;
        }
}

FAST_AVX2 static inline void fast_masks_avx2(const char *p, struct fast_masks *m)
{
        const __m256i comma = _mm256_set1_epi8(','), quote = _mm256_set1_epi8('"'), dot = _mm256_set1_epi8('.');
        unsigned w;

        for (w = 0; w < 2; w++) {
                __m256i a = _mm256_loadu_si256((const __m256i *)(const void *)(p + 64 * w));
                __m256i b = _mm256_loadu_si256((const __m256i *)(const void *)(p + 64 * w + 32));

                m->commas[w] = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(a, comma)) |
                               (uint64_t)(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(b, comma)) << 32;
                m->quotes[w] = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(a, quote)) |
                               (uint64_t)(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(b, quote)) << 32;
                m->dots[w] = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(a, dot)) |
                             (uint64_t)(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(b, dot)) << 32;
        }
}

/* Digits in [p, p + n), 1 <= n <= 8; the 8 bytes before p + n are readable. */
FAST_INLINE bool fast_digits(const char *p, size_t n, uint64_t *ret)
{
        uint64_t w;

        memcpy(&w, p + n - 8, 8);
        w = (w ^ UINT64_C(0x3030303030303030)) & UINT64_MAX << (64 - 8 * n);
        if (((w + UINT64_C(0x7676767676767676)) | w) & UINT64_C(0x8080808080808080))
                return false;
        w = w * 10 + (w >> 8);
        *ret = ((w & UINT64_C(0x000000ff000000ff)) * UINT64_C(0x000f424000000064) +
                       (w >> 16 & UINT64_C(0x000000ff000000ff)) * UINT64_C(0x0000271000000001)) >>
               32;
        return true;
}

FAST_INLINE bool fast_number(const char *p, size_t n, uint64_t *ret)
{
        uint64_t high, low;

        if (n - 1 < 8)
                return fast_digits(p, n, ret);
        if (n - 1 >= 16 || !fast_digits(p, n - 8, &high) || !fast_digits(p + n - 8, 8, &low))
                return false;
        *ret = high * UINT64_C(100000000) + low;
        return true;
}

FAST_INLINE bool fast_port(const char *p, size_t n, uint16_t *ret)
{
        uint64_t v;

        if (n - 1 >= 8 || !fast_digits(p, n, &v) || v > UINT16_MAX)
                return false;
        *ret = (uint16_t)v;
        return true;
}

/* Dotted IPv4 without leading zeros; everything else is left to sw_addr_parse. */
FAST_INLINE bool fast_v4(const char *p, size_t n, struct sw_addr *ret)
{
        const char *end = p + n;
        uint32_t v = 0;
        unsigned part;

        for (part = 0; part < 4; part++) {
                unsigned d = (unsigned)(unsigned char)*p++ - '0', next;

                if (d > 9)
                        return false;
                next = (unsigned)(unsigned char)*p - '0';
                if (next <= 9) {
                        if (d == 0)
                                return false;
                        d = d * 10 + next;
                        next = (unsigned)(unsigned char)*++p - '0';
                        if (next <= 9) {
                                d = d * 10 + next;
                                p++;
                        }
                }
                if (d > 255)
                        return false;
                v = v << 8 | d;
                if (part < 3 && *p++ != '.')
                        return false;
        }
        if (p != end)
                return false;
        ret->b[10] = ret->b[11] = 0xff;
        v = __builtin_bswap32(v);
        memcpy(ret->b + 12, &v, 4);
        return true;
}

/* The same without a branch per digit: the digits of each number are shuffled to the right of a lane of their own
 * (hundreds, tens, ones), then multiplied and added. dots: bit per byte of the text from p on. */
FAST_AVX2 static inline bool fast_v4_avx2(const char *p, size_t n, uint64_t dots, struct sw_addr *ret)
{
        const __m128i spread = _mm_setr_epi8(0, 0, 0, -1, 1, 1, 1, -1, 2, 2, 2, -1, 3, 3, 3, -1);
        const __m128i back = _mm_setr_epi8(3, 2, 1, 0, 3, 2, 1, 0, 3, 2, 1, 0, 3, 2, 1, 0);
        const __m128i least =
                _mm_setr_epi8(127, 0, 10, 100, 127, 127, 127, 127, 127, 127, 127, 127, 127, 127, 127, 127);
        __m128i text, first, digits, value, bad;
        uint32_t ends, starts, lengths, v;
        unsigned d1, d2, d3;

        dots &= _bzhi_u64(UINT64_MAX, (unsigned)n);
        if (n - 7 > 8 || _mm_popcnt_u64(dots) != 3)
                return false;
        d1 = (unsigned)_tzcnt_u64(dots);
        dots = _blsr_u64(dots);
        d2 = (unsigned)_tzcnt_u64(dots);
        d3 = (unsigned)_tzcnt_u64(_blsr_u64(dots));
        ends = d1 | d2 << 8 | d3 << 16 | (uint32_t)n << 24;
        starts = (ends << 8) + 0x01010100u;
        lengths = ends - starts; /* no borrow: an end is never before its start, and at least 0 */
        text = _mm_sub_epi8(_mm_loadu_si128((const __m128i *)(const void *)p), _mm_set1_epi8('0'));
        first = _mm_shuffle_epi8(_mm_cvtsi32_si128((int)starts), spread);
        digits = _mm_sub_epi8(_mm_shuffle_epi8(_mm_cvtsi32_si128((int)ends), spread), back);
        digits = _mm_or_si128(digits, _mm_cmpgt_epi8(first, digits)); /* before its number: nothing */
        digits = _mm_or_si128(
                digits, _mm_setr_epi32((int)0xff000000, (int)0xff000000, (int)0xff000000, (int)0xff000000));
        digits = _mm_shuffle_epi8(text, digits);
        value = _mm_maddubs_epi16(digits, _mm_set1_epi32(0x00010a64));
        value = _mm_madd_epi16(value, _mm_set1_epi16(1));
        bad = _mm_cmpgt_epi32(_mm_cvtepi8_epi32(_mm_shuffle_epi8(least, _mm_cvtsi32_si128((int)lengths))), value);
        bad = _mm_or_si128(bad, _mm_cmpgt_epi32(value, _mm_set1_epi32(255)));
        bad = _mm_or_si128(bad, _mm_xor_si128(_mm_cmpeq_epi8(_mm_max_epu8(digits, _mm_set1_epi8(9)), _mm_set1_epi8(9)),
                                        _mm_set1_epi8(-1)));
        if (!_mm_testz_si128(bad, bad) || (lengths & 0xfcfcfcfcu))
                return false;
        v = (uint32_t)_mm_cvtsi128_si32(_mm_packus_epi16(_mm_packus_epi32(value, value), value));
        ret->b[10] = ret->b[11] = 0xff;
        memcpy(ret->b + 12, &v, 4);
        return true;
}

/* Four numbers of at most 8 digits at once; from[i] and n[i] say where; the 8 bytes before their ends are readable.
 * An empty one is 0. */
FAST_AVX2 static inline bool fast_four(const char *const end[4], const uint64_t n[4], uint64_t ret[4])
{
        const __m256i zero = _mm256_set1_epi8('0');
        __m256i w, length, keep;
        uint64_t x[4];

        memcpy(&x[0], end[0] - 8, 8);
        memcpy(&x[1], end[1] - 8, 8);
        memcpy(&x[2], end[2] - 8, 8);
        memcpy(&x[3], end[3] - 8, 8);
        if ((n[0] | n[1] | n[2] | n[3]) > 15 || n[0] > 8 || n[1] > 8 || n[2] > 8 || n[3] > 8)
                return false;
        w = _mm256_set_epi64x((long long)x[3], (long long)x[2], (long long)x[1], (long long)x[0]);
        length = _mm256_set_epi64x((long long)n[3], (long long)n[2], (long long)n[1], (long long)n[0]);
        keep = _mm256_sllv_epi64(
                _mm256_set1_epi8(-1), _mm256_sub_epi64(_mm256_set1_epi64x(64), _mm256_slli_epi64(length, 3)));
        w = _mm256_and_si256(_mm256_sub_epi8(w, zero), keep);
        if (_mm256_movemask_epi8(_mm256_cmpeq_epi8(_mm256_max_epu8(w, _mm256_set1_epi8(9)), _mm256_set1_epi8(9))) != -1)
                return false;
        w = _mm256_maddubs_epi16(w, _mm256_set1_epi16(0x010a));
        w = _mm256_madd_epi16(w, _mm256_set1_epi32(0x00010064));
        w = _mm256_packus_epi32(w, w); /* each lane of 128 bits: four numbers of four digits, twice */
        w = _mm256_madd_epi16(w, _mm256_set1_epi32(0x00012710));
        ret[0] = (uint32_t)_mm256_extract_epi32(w, 0);
        ret[1] = (uint32_t)_mm256_extract_epi32(w, 1);
        ret[2] = (uint32_t)_mm256_extract_epi32(w, 4);
        ret[3] = (uint32_t)_mm256_extract_epi32(w, 5);
        return true;
}

FAST_INLINE bool fast_addr(
        const char *p, unsigned from, size_t n, bool avx2, const struct fast_masks *m, struct sw_addr *ret)
{
        uint64_t dots = from >= 64 ? m->dots[1] >> (from - 64) : m->dots[0] >> from | (m->dots[1] << 1) << (63 - from);

        return (avx2 ? fast_v4_avx2(p + from, n, dots, ret) : fast_v4(p + from, n, ret)) ||
               sw_addr_parse((struct sw_str){ p + from, n }, ret);
}

FAST_INLINE bool fast_time(uint64_t v, struct sw_etime *ret)
{
        if (v < UINT64_C(100000000000))
                v *= 1000;
        if (v < (uint64_t)SW_ETIME_MIN_MS || v >= (uint64_t)SW_ETIME_MAX_MS)
                return false;
        ret->ms = (int64_t)v;
        return true;
}

/* Only known tokens: whatever else there is might be an escape. */
FAST_INLINE bool fast_encryption(const char *p, size_t n, uint8_t *ret)
{
        if (n == 2 && p[0] == 'N' && p[1] == 'X')
                *ret = SW_ENCRYPTION_NX;
        else if (n == 1 && p[0] == 'X')
                *ret = SW_ENCRYPTION_ENCRYPTED;
        else
                *ret = (uint8_t)sw_encryption_parse((struct sw_str){ p, n });
        return *ret != SW_ENCRYPTION_OTHER;
}

FAST_INLINE bool fast_flow_state(char c, uint8_t *ret)
{
        *ret = c == 'B' ? SW_STATE_BEGIN : c == 'C' ? SW_STATE_CONTINUE : c == 'E' ? SW_STATE_END : SW_STATE_DENIED;
        return c == 'B' || c == 'C' || c == 'E' || c == 'D';
}

FAST_INLINE bool fast_proto(const char *p, size_t n, uint8_t *ret)
{
        uint64_t v;

        if (n == 1 && p[0] == '6')
                *ret = 6;
        else if (n == 2 && p[0] == '1' && p[1] == '7')
                *ret = 17;
        else if (n - 1 < 8 && fast_digits(p, n, &v) && v <= 255)
                *ret = (uint8_t)v;
        else
                return false;
        return true;
}

/* Fields 5 to 8; at[i] is where field i begins. All of direction, decision and state are one letter. */
FAST_INLINE bool fast_vnet_middle(const char *p, const uint8_t *at, struct sw_tuple *t)
{
        if (at[7] - at[6] != 2 || at[8] - at[7] != 2 || (p[at[6]] != 'I' && p[at[6]] != 'O'))
                return false;
        t->direction = p[at[6]] == 'I' ? SW_INBOUND : SW_OUTBOUND;
        return fast_proto(p + at[5], at[6] - at[5] - 1u, &t->proto) && fast_flow_state(p[at[7]], &t->state) &&
               fast_encryption(p + at[8], at[9] - at[8] - 1u, &t->encryption);
}

FAST_INLINE bool fast_nsg_middle(const char *p, const uint8_t *at, bool v1, struct sw_tuple *t)
{
        const char *x = p + at[5];

        if (at[6] - at[5] != 2 || at[7] - at[6] != 2 || at[8] - at[7] != 2)
                return false;
        if ((x[0] != 'T' && x[0] != 'U') || (x[2] != 'I' && x[2] != 'O') || (x[4] != 'A' && x[4] != 'D'))
                return false;
        t->proto = x[0] == 'T' ? 6 : 17;
        t->direction = x[2] == 'I' ? SW_INBOUND : SW_OUTBOUND;
        if (x[4] == 'D') { /* whatever the state, but see fast_encryption */
                t->state = SW_STATE_DENIED;
                return v1 || at[9] - at[8] == 1 || (at[9] - at[8] == 2 && x[6] >= 'A' && x[6] <= 'Z');
        }
        if (v1) {
                t->state = SW_STATE_BEGIN;
                t->flags = SW_TUPLE_STATELESS;
                return true;
        }
        return at[9] - at[8] == 2 && x[6] != 'D' && fast_flow_state(x[6], &t->state);
}

/* Time and ports. */
FAST_INLINE bool fast_head(const char *p, const uint8_t *at, bool avx2, struct sw_tuple *t)
{
        uint64_t v;

        if (avx2 && at[1] == 14) {
                const char *const end[4] = { p + 5, p + 13, p + at[4] - 1, p + at[5] - 1 };
                const uint64_t n[4] = { 5, 8, at[4] - at[3] - 1u, at[5] - at[4] - 1u };
                uint64_t x[4];

                if (!fast_four(end, n, x) || n[2] == 0 || n[3] == 0 || x[2] > UINT16_MAX || x[3] > UINT16_MAX)
                        return false;
                t->sport = (uint16_t)x[2];
                t->dport = (uint16_t)x[3];
                return fast_time(x[0] * UINT64_C(100000000) + x[1], &t->time);
        }
        return fast_number(p, at[1] - 1u, &v) && fast_time(v, &t->time) &&
               fast_port(p + at[3], at[4] - at[3] - 1u, &t->sport) &&
               fast_port(p + at[4], at[5] - at[4] - 1u, &t->dport);
}

FAST_INLINE bool fast_counters(const char *p, const uint8_t *at, bool avx2, struct sw_tuple *t)
{
        unsigned i;

        if (avx2) {
                const char *const end[4] = { p + at[10] - 1, p + at[11] - 1, p + at[12] - 1, p + at[13] - 1 };
                const uint64_t n[4] = { at[10] - at[9] - 1u, at[11] - at[10] - 1u, at[12] - at[11] - 1u,
                        at[13] - at[12] - 1u };

                if (fast_four(end, n, t->counters)) {
                        t->counters_present =
                                (uint8_t)((n[0] > 0) | (n[1] > 0) << 1 | (n[2] > 0) << 2 | (n[3] > 0) << 3);
                        return true;
                }
        }
        for (i = 0; i < SW_N_COUNTERS; i++) {
                size_t n = at[10 + i] - at[9 + i] - 1u;

                if (n == 0)
                        continue;
                if (!fast_number(p + at[9 + i], n, &t->counters[i]))
                        return false;
                t->counters_present |= (uint8_t)(1u << i);
        }
        return true;
}

/* Where fields begin, at[0..n), and one behind the end of the last, at[n]. Returns n, 0 if the tuple is too long or has
 * too many commas. The first window is taken apart in full, which costs less than to guess how many commas it has. */
FAST_INLINE unsigned fast_fields(struct fast_masks *m, uint8_t at[32])
{
        uint64_t low = m->commas[0], high = m->commas[1];
        unsigned end, n_low, n, i;

        if (m->quotes[0]) {
                end = (unsigned)__builtin_ctzll(m->quotes[0]);
                low &= (m->quotes[0] & (0 - m->quotes[0])) - 1;
                high = 0;
        } else if (m->quotes[1]) {
                end = 64 + (unsigned)__builtin_ctzll(m->quotes[1]);
                high &= (m->quotes[1] & (0 - m->quotes[1])) - 1;
        } else {
                return 0;
        }
        n_low = (unsigned)__builtin_popcountll(low);
        n = 1 + n_low + (unsigned)__builtin_popcountll(high);
        if (n > 13)
                return 0;
        at[0] = 0;
        for (i = 0; i < 12; i++) {
                at[1 + i] = (uint8_t)(__builtin_ctzll(low | UINT64_C(1) << 63) + 1);
                low &= low - 1;
        }
        for (i = 1 + n_low; high; i++, high &= high - 1)
                at[i] = (uint8_t)(__builtin_ctzll(high) + 65);
        at[n] = (uint8_t)(end + 1);
        return n;
}

/* p: behind the opening quote. *t is zeroed. Returns what is behind the closing quote, or NULL: refused. */
FAST_INLINE const char *fast_tuple(
        enum sw_tuple_format format, const char *p, bool avx2, struct fast_masks *m, struct sw_tuple *t)
{
        uint8_t at[32];
        unsigned n = fast_fields(m, at);
        bool v1 = format == SW_TUPLE_NSG && n == 8;

        if (n != 13 && !v1)
                return NULL;
        if (!fast_head(p, at, avx2, t) || !fast_addr(p, at[1], at[2] - at[1] - 1u, avx2, m, &t->src) ||
                !fast_addr(p, at[2], at[3] - at[2] - 1u, avx2, m, &t->dst))
                return NULL;
        if (format == SW_TUPLE_VNET ? !fast_vnet_middle(p, at, t) : !fast_nsg_middle(p, at, v1, t))
                return NULL;
        if (!v1 && !fast_counters(p, at, avx2, t))
                return NULL;
        return p + at[n];
}
#endif

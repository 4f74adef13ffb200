/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The usual spelling of a tuple, quickly; anything else (escapes, odd lengths, faults) is refused and parsed again by
 * tuple.c, which also knows what is wrong. A tuple is taken in two windows of 64 bytes whose commas are counted first,
 * so that every field has a known length; numbers are read eight digits at a time (Lemire's SWAR method). */
#include "decode/tuple.h"

#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#define FAST_TUPLE_WINDOW 128 /* bytes that must be readable behind the opening quote */
#define FAST_TUPLE_BEFORE 16  /* and in front of it */

#if defined(__SSE2__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define FAST_TUPLE 1

/* Bit per byte: commas, and what ends or interrupts the string. */
static inline void fast_masks(const char *p, uint64_t *ret_commas, uint64_t *ret_stops)
{
        const __m128i comma = _mm_set1_epi8(','), quote = _mm_set1_epi8('"'), back = _mm_set1_epi8('\\');
        const __m128i control = _mm_set1_epi8(0x1f);
        uint64_t commas = 0, stops = 0;
        unsigned i;

        for (i = 0; i < 4; i++) {
                __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(p + 16 * i));
                __m128i stop = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, back)),
                        _mm_cmpeq_epi8(_mm_min_epu8(v, control), v));

                commas |= (uint64_t)(unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(v, comma)) << 16 * i;
                stops |= (uint64_t)(unsigned)_mm_movemask_epi8(stop) << 16 * i;
        }
        *ret_commas = commas;
        *ret_stops = stops;
}

/* Digits in [p, p + n), 1 <= n <= 8; the 8 bytes before p + n are readable. */
static inline bool fast_digits(const char *p, size_t n, uint64_t *ret)
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

static inline bool fast_number(const char *p, size_t n, uint64_t *ret)
{
        uint64_t high, low;

        if (n - 1 < 8)
                return fast_digits(p, n, ret);
        if (n - 1 >= 16 || !fast_digits(p, n - 8, &high) || !fast_digits(p + n - 8, 8, &low))
                return false;
        *ret = high * UINT64_C(100000000) + low;
        return true;
}

static inline bool fast_port(const char *p, size_t n, uint16_t *ret)
{
        uint64_t v;

        if (n - 1 >= 8 || !fast_digits(p, n, &v) || v > UINT16_MAX)
                return false;
        *ret = (uint16_t)v;
        return true;
}

/* Dotted IPv4 without leading zeros; everything else is left to sw_addr_parse. */
static inline bool fast_v4(const char *p, size_t n, struct sw_addr *ret)
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

static inline bool fast_addr(const char *p, size_t n, struct sw_addr *ret)
{
        return fast_v4(p, n, ret) || sw_addr_parse((struct sw_str){ p, n }, ret);
}

static inline bool fast_time(const char *p, size_t n, struct sw_etime *ret)
{
        uint64_t v;

        if (!fast_number(p, n, &v))
                return false;
        if (v < UINT64_C(100000000000))
                v *= 1000;
        if (v < (uint64_t)SW_ETIME_MIN_MS || v >= (uint64_t)SW_ETIME_MAX_MS)
                return false;
        ret->ms = (int64_t)v;
        return true;
}

static inline bool fast_encryption(const char *p, size_t n, uint8_t *ret)
{
        if (n == 2 && p[0] == 'N' && p[1] == 'X')
                *ret = SW_ENCRYPTION_NX;
        else if (n == 1 && p[0] == 'X')
                *ret = SW_ENCRYPTION_ENCRYPTED;
        else
                *ret = (uint8_t)sw_encryption_parse((struct sw_str){ p, n });
        return true;
}

static inline bool fast_flow_state(char c, uint8_t *ret)
{
        *ret = c == 'B' ? SW_STATE_BEGIN : c == 'C' ? SW_STATE_CONTINUE : c == 'E' ? SW_STATE_END : SW_STATE_DENIED;
        return c == 'B' || c == 'C' || c == 'E' || c == 'D';
}

static inline bool fast_proto(const char *p, size_t n, uint8_t *ret)
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
static inline bool fast_vnet_middle(const char *p, const uint8_t *at, struct sw_tuple *t)
{
        if (at[7] - at[6] != 2 || at[8] - at[7] != 2 || (p[at[6]] != 'I' && p[at[6]] != 'O'))
                return false;
        t->direction = p[at[6]] == 'I' ? SW_INBOUND : SW_OUTBOUND;
        return fast_proto(p + at[5], at[6] - at[5] - 1u, &t->proto) && fast_flow_state(p[at[7]], &t->state) &&
               fast_encryption(p + at[8], at[9] - at[8] - 1u, &t->encryption);
}

static inline bool fast_nsg_middle(const char *p, const uint8_t *at, bool v1, struct sw_tuple *t)
{
        const char *x = p + at[5];

        if (at[6] - at[5] != 2 || at[7] - at[6] != 2 || at[8] - at[7] != 2)
                return false;
        if ((x[0] != 'T' && x[0] != 'U') || (x[2] != 'I' && x[2] != 'O') || (x[4] != 'A' && x[4] != 'D'))
                return false;
        t->proto = x[0] == 'T' ? 6 : 17;
        t->direction = x[2] == 'I' ? SW_INBOUND : SW_OUTBOUND;
        if (x[4] == 'D') {
                t->state = SW_STATE_DENIED;
                return true;
        }
        if (v1) {
                t->state = SW_STATE_BEGIN;
                t->flags = SW_TUPLE_STATELESS;
                return true;
        }
        return at[9] - at[8] == 2 && x[6] != 'D' && fast_flow_state(x[6], &t->state);
}

static inline bool fast_counters(const char *p, const uint8_t *at, struct sw_tuple *t)
{
        unsigned i;

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

/* p: behind the opening quote. *t is zeroed. Returns what is behind the closing quote, or NULL: refused. */
static inline const char *fast_tuple(enum sw_tuple_format format, const char *p, struct sw_tuple *t)
{
        uint64_t commas, stops;
        uint8_t at[16];
        unsigned n = 1, length;
        bool v1;

        at[0] = 0;
        fast_masks(p, &commas, &stops);
        if (stops)
                commas &= (stops & (0 - stops)) - 1;
        for (; commas && n < 15; commas &= commas - 1)
                at[n++] = (uint8_t)(__builtin_ctzll(commas) + 1);
        length = stops ? (unsigned)__builtin_ctzll(stops) : 64;
        if (!stops) {
                fast_masks(p + 64, &commas, &stops);
                if (!stops)
                        return NULL;
                commas &= (stops & (0 - stops)) - 1;
                for (; commas && n < 15; commas &= commas - 1)
                        at[n++] = (uint8_t)(__builtin_ctzll(commas) + 65);
                length = 64 + (unsigned)__builtin_ctzll(stops);
        }
        at[n] = (uint8_t)(length + 1);
        v1 = format == SW_TUPLE_NSG && n == 8;
        if (p[length] != '"' || (n != 13 && !v1))
                return NULL;
        if (!fast_time(p, at[1] - 1u, &t->time) || !fast_addr(p + at[1], at[2] - at[1] - 1u, &t->src) ||
                !fast_addr(p + at[2], at[3] - at[2] - 1u, &t->dst))
                return NULL;
        if (!fast_port(p + at[3], at[4] - at[3] - 1u, &t->sport) ||
                !fast_port(p + at[4], at[5] - at[4] - 1u, &t->dport))
                return NULL;
        if (format == SW_TUPLE_VNET ? !fast_vnet_middle(p, at, t) : !fast_nsg_middle(p, at, v1, t))
                return NULL;
        if (!v1 && !fast_counters(p, at, t))
                return NULL;
        return p + length + 1;
}
#endif

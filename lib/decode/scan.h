/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Strict JSON scanner that can stop at any byte and go on when more bytes are there (RFC 8259; UTF-8 is not checked,
 * numbers end at 4096 bytes). It decides for the whole room what is valid JSON and where a value ends: cJSON would
 * take more (control bytes in strings, leading zeros) and sees a value only after this has seen it.
 * Memory: none beside the struct. No recursion. Threads: one owner. */
#include "base/str.h"

#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#define SW_SCAN_MAX_DEPTH 32

enum sw_scan_result {
        SW_SCAN_DONE,     /* *at is behind the value */
        SW_SCAN_MORE,     /* call again with more bytes and the same *at */
        SW_SCAN_ENVELOPE, /* *at is on the '[' of a "records" member of the outermost object */
        SW_SCAN_BAD,      /* not JSON from *at on */
        SW_SCAN_DEEP,     /* deeper than max_depth at *at */
};

struct sw_scan {
        uint64_t objects; /* bit per depth: an object, not an array */
        uint64_t n_values;
        size_t string_at; /* first byte in the string that is open or was read last */
        uint32_t depth, max_depth;
        uint8_t expect;
        bool in_string, is_key;
        bool escaped;  /* the string that is open or was read last has a backslash */
        bool envelope; /* stop at a "records" array */
        bool odd;      /* has \u escapes or long numbers, which cJSON does not read as this project does */
};

void sw_scan_start(struct sw_scan *s, bool envelope, uint32_t max_depth);
/* p[0..n) are the bytes there are, *inout_at where to go on. final: no more will come. */
enum sw_scan_result sw_scan_run(struct sw_scan *s, const char *p, size_t n, size_t *inout_at, bool final);

/* The first byte that ends or interrupts a JSON string: quote, backslash or control; end if there is none. */
static inline const char *sw_scan_plain(const char *p, const char *end)
{
#if defined(__SSE2__)
        const __m128i quote = _mm_set1_epi8('"'), back = _mm_set1_epi8('\\'), control = _mm_set1_epi8(0x1f);

        for (; end - p >= 16; p += 16) {
                __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
                __m128i hit = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, back)),
                        _mm_cmpeq_epi8(_mm_min_epu8(v, control), v));
                unsigned mask = (unsigned)_mm_movemask_epi8(hit);

                if (mask)
                        return p + __builtin_ctz(mask);
        }
#endif
        while (p < end && *p != '"' && *p != '\\' && (unsigned char)*p >= 0x20)
                p++;
        return p;
}

static inline bool sw_scan_is_space(char c)
{
        return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Makes the checksums of a changed snapshot right again, so that what lies behind them is tested as well. */
#include "base/hash.h"
#include "persist/section.h"

#include <string.h>

/* The n-th section, whose head stands at *inout_at; false behind the last whole one. */
static inline bool heal_next(unsigned char *p, size_t n, size_t *inout_at, uint64_t *ret_n)
{
        size_t left = n - *inout_at;

        if (*inout_at > n || left < SW_SECTION_HEAD + SW_SECTION_TAIL)
                return false;
        memcpy(ret_n, p + *inout_at + SW_SECTION_NAME + 8, sizeof(*ret_n));
        if (*ret_n > left - SW_SECTION_HEAD - SW_SECTION_TAIL)
                *ret_n = left - SW_SECTION_HEAD - SW_SECTION_TAIL;
        return true;
}

static inline void heal(unsigned char *p, size_t n)
{
        size_t at = SW_FILE_HEAD;
        uint64_t number = 0, length, check;
        char name[SW_SECTION_NAME + 1] = { 0 };
        uint32_t version;

        if (n < SW_FILE_HEAD)
                return;
        check = sw_checksum(p, SW_FILE_HEAD - 8, 0);
        memcpy(p + SW_FILE_HEAD - 8, &check, sizeof(check));
        while (heal_next(p, n, &at, &length)) {
                memcpy(name, p + at, SW_SECTION_NAME);
                memcpy(&version, p + at + SW_SECTION_NAME, sizeof(version));
                sw_section_seal(p + at, name, version, (size_t)length, number++);
                at += SW_SECTION_HEAD + (size_t)length + SW_SECTION_TAIL;
        }
}

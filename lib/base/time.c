/* SPDX-License-Identifier: Apache-2.0 */
#include "base/time.h"

#include <stdio.h>

/* Days from 1970-01-01 of a proleptic Gregorian date (era arithmetic, years from March). */
static int64_t days_from_civil(int64_t y, unsigned m, unsigned d)
{
        int64_t era;
        unsigned yoe, doy, doe;

        y -= m <= 2;
        era = (y >= 0 ? y : y - 399) / 400;
        yoe = (unsigned)(y - era * 400);
        doy = (153 * (m > 2 ? m - 3 : m + 9) + 2) / 5 + d - 1;
        doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
        return era * 146097 + (int64_t)doe - 719468;
}

static void civil_from_days(int64_t z, int64_t *ret_y, unsigned *ret_m, unsigned *ret_d)
{
        int64_t era;
        unsigned doe, yoe, doy, mp;

        z += 719468;
        era = (z >= 0 ? z : z - 146096) / 146097;
        doe = (unsigned)(z - era * 146097);
        yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
        doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
        mp = (5 * doy + 2) / 153;
        *ret_d = doy - (153 * mp + 2) / 5 + 1;
        *ret_m = mp < 10 ? mp + 3 : mp - 9;
        *ret_y = (int64_t)yoe + era * 400 + (*ret_m <= 2);
}

/* Reads exactly n digits at *at. */
static bool digits(struct sw_str s, size_t *at, size_t n, unsigned *ret)
{
        unsigned v = 0;
        size_t i;

        if (s.n < *at || s.n - *at < n)
                return false;
        for (i = 0; i < n; i++) {
                unsigned d = (unsigned)(unsigned char)s.p[*at + i] - '0';

                if (d > 9)
                        return false;
                v = v * 10 + d;
        }
        *at += n;
        *ret = v;
        return true;
}

static bool literal(struct sw_str s, size_t *at, char c)
{
        if (*at >= s.n || s.p[*at] != c)
                return false;
        (*at)++;
        return true;
}

static bool parse_fraction(struct sw_str s, size_t *at, unsigned *ret_ms)
{
        unsigned ms = 0, scale = 100;
        size_t start;

        *ret_ms = 0;
        if (!literal(s, at, '.'))
                return true;
        for (start = *at; *at < s.n && s.p[*at] >= '0' && s.p[*at] <= '9'; (*at)++) {
                ms += (unsigned)(s.p[*at] - '0') * scale;
                scale /= 10;
        }
        *ret_ms = ms;
        return *at > start;
}

static bool parse_zone(struct sw_str s, size_t *at, int64_t *ret_offset_ms)
{
        unsigned h, m;
        bool minus;

        *ret_offset_ms = 0;
        if (*at == s.n || literal(s, at, 'Z') || literal(s, at, 'z'))
                return *at == s.n;
        minus = s.p[*at] == '-';
        if (!minus && s.p[*at] != '+')
                return false;
        (*at)++;
        if (!digits(s, at, 2, &h) || !literal(s, at, ':') || !digits(s, at, 2, &m) || h > 23 || m > 59)
                return false;
        *ret_offset_ms = (h * SW_HOUR + m * SW_MINUTE) * (minus ? -1 : 1);
        return *at == s.n;
}

bool sw_etime_parse(struct sw_str s, struct sw_etime *ret)
{
        static const unsigned char days_in[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
        unsigned y, mo, d, h, mi, sec, ms;
        int64_t zone, t;
        size_t at = 0;

        if (!digits(s, &at, 4, &y) || !literal(s, &at, '-') || !digits(s, &at, 2, &mo) || !literal(s, &at, '-') ||
                !digits(s, &at, 2, &d))
                return false;
        if (!literal(s, &at, 'T') && !literal(s, &at, 't') && !literal(s, &at, ' '))
                return false;
        if (!digits(s, &at, 2, &h) || !literal(s, &at, ':') || !digits(s, &at, 2, &mi) || !literal(s, &at, ':') ||
                !digits(s, &at, 2, &sec))
                return false;
        if (!parse_fraction(s, &at, &ms) || !parse_zone(s, &at, &zone))
                return false;
        if (mo < 1 || mo > 12 || d < 1 || d > days_in[mo - 1] || h > 23 || mi > 59 || sec > 60)
                return false;
        if (mo == 2 && d == 29 && !(y % 4 == 0 && (y % 100 != 0 || y % 400 == 0)))
                return false;
        t = days_from_civil(y, mo, d) * SW_DAY + h * SW_HOUR + mi * SW_MINUTE + sec * SW_SECOND + ms - zone;
        if (t < SW_ETIME_MIN_MS || t >= SW_ETIME_MAX_MS)
                return false;
        ret->ms = t;
        return true;
}

bool sw_etime_from_epoch(uint64_t v, struct sw_etime *ret)
{
        if (v < UINT64_C(100000000000))
                v *= 1000;
        if (v < (uint64_t)SW_ETIME_MIN_MS || v >= (uint64_t)SW_ETIME_MAX_MS)
                return false;
        ret->ms = (int64_t)v;
        return true;
}

char *sw_etime_format(struct sw_etime t, char buf[SW_ETIME_TEXT])
{
        int64_t ms = t.ms < 0 ? 0 : t.ms >= SW_ETIME_MAX_MS ? SW_ETIME_MAX_MS : t.ms, y, rest;
        unsigned m, d;

        civil_from_days(ms / SW_DAY, &y, &m, &d);
        rest = ms % SW_DAY;
        (void)snprintf(buf, SW_ETIME_TEXT, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ", (unsigned)y % 10000u, m % 100u,
                d % 100u, (unsigned)(rest / SW_HOUR) % 100u, (unsigned)(rest / SW_MINUTE % 60),
                (unsigned)(rest / SW_SECOND % 60), (unsigned)(rest % SW_SECOND));
        return buf;
}

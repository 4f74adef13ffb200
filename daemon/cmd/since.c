/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/since.h"

#include "clock.h"

#include <string.h>

bool sw_since_parse(const char *text, struct sw_etime *ret)
{
        static const char units[] = "smhd";
        static const int64_t ms[] = { SW_SECOND, SW_MINUTE, SW_HOUR, SW_DAY };
        struct sw_str s = sw_str_of(text);
        const char *unit = s.n > 1 ? strchr(units, s.p[s.n - 1]) : NULL;
        uint64_t n;

        if (unit && sw_parse_u64((struct sw_str){ s.p, s.n - 1 }, &n) && n < 1000000) {
                ret->ms = sw_clock_wall().ms - (int64_t)n * ms[unit - units];
                return true;
        }
        return sw_etime_parse(s, ret);
}

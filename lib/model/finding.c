/* SPDX-License-Identifier: Apache-2.0 */
#include "model/finding.h"

static const struct {
        enum sw_severity severity;
        const char *text;
} severities[] = {
#define SEVERITY_ROW(name, text, id) { SW_SEVERITY_##name, (text) },
        SW_SEVERITY_MAP(SEVERITY_ROW)
#undef SEVERITY_ROW
};
#define N_SEVERITIES (sizeof(severities) / sizeof(*severities))

const char *sw_severity_text(enum sw_severity s)
{
        size_t i;

        for (i = 0; i < N_SEVERITIES; i++)
                if (severities[i].severity == s)
                        return severities[i].text;
        return severities[0].text;
}

bool sw_severity_by_name(struct sw_str s, enum sw_severity *ret)
{
        size_t i;

        for (i = 0; i < N_SEVERITIES; i++)
                if (sw_str_ieq(s, sw_str_of(severities[i].text))) {
                        *ret = severities[i].severity;
                        return true;
                }
        /* What people write in configuration files. */
        if (sw_str_ieq(s, SW_STR("info"))) {
                *ret = SW_SEVERITY_INFO;
                return true;
        }
        return false;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "model/finding.h"

#include <criterion/criterion.h>

Test(finding, severities_are_read_in_any_case_and_as_people_write_them)
{
        static const struct {
                const char *text;
                enum sw_severity severity;
        } rows[] = {
                { "low", SW_SEVERITY_LOW },
                { "Medium", SW_SEVERITY_MEDIUM },
                { "HIGH", SW_SEVERITY_HIGH },
                { "critical", SW_SEVERITY_CRITICAL },
                { "informational", SW_SEVERITY_INFO },
                { "info", SW_SEVERITY_INFO },
        };
        enum sw_severity s = SW_SEVERITY_UNKNOWN;
        size_t i;

        for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
                cr_assert(sw_severity_by_name(sw_str_of(rows[i].text), &s), "%s", rows[i].text);
                cr_assert_eq(s, rows[i].severity);
        }
        cr_assert_not(sw_severity_by_name(SW_STR("mediu"), &s));
        cr_assert_not(sw_severity_by_name(SW_STR(""), &s));
        cr_assert_eq(s, SW_SEVERITY_INFO, "a failure leaves the result alone");
}

Test(finding, severities_have_the_names_and_numbers_of_ocsf)
{
        cr_assert_eq(SW_SEVERITY_CRITICAL, 5);
        cr_assert_str_eq(sw_severity_text(SW_SEVERITY_INFO), "Informational");
        cr_assert_str_eq(sw_severity_text((enum sw_severity)77), "Unknown");
}

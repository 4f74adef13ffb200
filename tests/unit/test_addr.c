/* SPDX-License-Identifier: Apache-2.0 */
#include "model/addr.h"

#include <criterion/criterion.h>

static struct sw_addr addr(const char *z)
{
        struct sw_addr a;

        cr_assert(sw_addr_parse(sw_str_of(z), &a), "%s", z);
        return a;
}

Test(addr, reads_both_families_and_writes_them_back)
{
        static const char *const rows[][2] = { { "10.1.2.3", "10.1.2.3" }, { "2001:DB8:0::1", "2001:db8::1" },
                { "::ffff:10.0.0.1", "10.0.0.1" }, { "fd00:1::", "fd00:1::" } };
        char text[SW_ADDR_TEXT];
        size_t i;

        for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
                struct sw_addr a = addr(rows[i][0]);

                cr_assert_str_eq(sw_addr_format(&a, text), rows[i][1]);
        }
}

Test(addr, refuses_other_text)
{
        static const char *const bad[] = { "", "10.1.2", "10.1.2.3.4", "256.1.1.1", "01.2.3.4", "1.2.3.4 ",
                "fe80::1%eth0", "[::1]", "::g", "1.2.3.4/8" };
        struct sw_addr a;
        size_t i;

        for (i = 0; i < sizeof(bad) / sizeof(*bad); i++)
                cr_assert_not(sw_addr_parse(sw_str_of(bad[i]), &a), "%s", bad[i]);
}

Test(addr, knows_the_classes_of_azure)
{
        static const struct {
                const char *text;
                enum sw_addr_class class;
        } rows[] = { { "10.0.0.1", SW_ADDR_PRIVATE }, { "172.31.0.1", SW_ADDR_PRIVATE },
                { "172.32.0.1", SW_ADDR_PUBLIC }, { "168.63.129.16", SW_ADDR_PLATFORM },
                { "169.254.169.254", SW_ADDR_PLATFORM }, { "169.254.1.1", SW_ADDR_SPECIAL },
                { "100.64.0.1", SW_ADDR_SPECIAL }, { "224.0.0.1", SW_ADDR_SPECIAL },
                { "255.255.255.255", SW_ADDR_SPECIAL }, { "fd00::1", SW_ADDR_PRIVATE }, { "fe80::1", SW_ADDR_SPECIAL },
                { "ff02::1", SW_ADDR_SPECIAL }, { "2001:db8::1", SW_ADDR_PUBLIC }, { "8.8.8.8", SW_ADDR_PUBLIC },
                { "0.1.2.3", SW_ADDR_SPECIAL }, { "127.0.0.1", SW_ADDR_SPECIAL }, { "169.253.0.1", SW_ADDR_PUBLIC },
                { "100.63.0.1", SW_ADDR_PUBLIC }, { "100.128.0.1", SW_ADDR_PUBLIC }, { "223.0.0.1", SW_ADDR_PUBLIC },
                { "192.168.0.1", SW_ADDR_PRIVATE }, { "192.169.0.1", SW_ADDR_PUBLIC }, { "172.15.0.1", SW_ADDR_PUBLIC },
                { "168.63.129.17", SW_ADDR_PUBLIC }, { "::", SW_ADDR_SPECIAL }, { "::1", SW_ADDR_SPECIAL },
                { "::2", SW_ADDR_PUBLIC }, { "fec0::1", SW_ADDR_PUBLIC }, { "fc00::1", SW_ADDR_PRIVATE } };
        size_t i;

        for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
                struct sw_addr a = addr(rows[i].text);

                cr_assert_eq(sw_addr_class(&a), rows[i].class, "%s", rows[i].text);
        }
}

Test(addr, prefixes_keep_their_family)
{
        struct sw_prefix p;
        struct sw_addr in = addr("10.1.0.255"), out = addr("10.1.1.0");
        char text[SW_PREFIX_TEXT];
        bool host_bits;

        cr_assert(sw_prefix_parse(SW_STR("10.1.0.7/24"), &p, &host_bits));
        cr_assert(host_bits);
        cr_assert_str_eq(sw_prefix_format(&p, text), "10.1.0.0/24");
        cr_assert(sw_prefix_contains(&p, &in) && !sw_prefix_contains(&p, &out));
        cr_assert(sw_prefix_parse(SW_STR("fd00:1::/64"), &p, &host_bits) && !host_bits && p.bits == 64);
        cr_assert_not(sw_prefix_parse(SW_STR("10.0.0.0/33"), &p, NULL));
        cr_assert_not(sw_prefix_parse(SW_STR("10.0.0.0/"), &p, NULL));
        cr_assert_not(sw_prefix_parse(SW_STR("10.0.0.0/0008"), &p, NULL));
        cr_assert_not(sw_prefix_parse(SW_STR("10.0.0.0/8x"), &p, NULL));
        cr_assert_not(sw_prefix_parse(SW_STR("fd00::/129"), &p, NULL));
        cr_assert_not(sw_prefix_parse(SW_STR(""), &p, NULL));
        cr_assert_not(sw_prefix_parse(SW_STR("/8"), &p, NULL));
        cr_assert(sw_prefix_parse(SW_STR("10.1.2.3"), &p, &host_bits) && !host_bits);
        cr_assert_str_eq(sw_prefix_format(&p, text), "10.1.2.3/32");
        cr_assert(sw_prefix_parse(SW_STR("::ffff:10.1.2.3/104"), &p, NULL), "mapped, with the bits of IPv6");
        cr_assert_str_eq(sw_prefix_format(&p, text), "10.0.0.0/8");
        cr_assert(sw_prefix_parse(SW_STR("::ffff:0.0.0.0/80"), &p, NULL));
        cr_assert_str_eq(sw_prefix_format(&p, text), "::/80");
        p = sw_prefix_of(&in, 300);
        cr_assert_eq(p.bits, 128);
}

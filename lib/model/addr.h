/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Addresses and prefixes. IPv4 is kept v4-mapped (::ffff:a.b.c.d), so that one 16-byte form serves both and
 * memcmp is the canonical order: IPv4 before IPv6. */
#include "base/str.h"

#include <string.h>

struct sw_addr {
        uint8_t b[16];
};
#define SW_ADDR_NULL ((struct sw_addr){ { 0 } })
#define SW_ADDR_TEXT 46

struct sw_prefix {
        struct sw_addr addr; /* host bits are zero */
        uint8_t bits;        /* 0..128, counted in the 128-bit form: 10.0.0.0/8 is 104 */
};

/* What an address means in an Azure network. */
enum sw_addr_class {
        SW_ADDR_PUBLIC,
        SW_ADDR_PRIVATE,  /* RFC 1918, RFC 4193 */
        SW_ADDR_PLATFORM, /* 168.63.129.16, 169.254.169.254: the Azure host itself */
        SW_ADDR_SPECIAL,  /* shared 100.64/10, link-local, multicast, broadcast, loopback, unspecified */
};

static inline bool sw_addr_is_v4(const struct sw_addr *a)
{
        static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

        return memcmp(a->b, mapped, 12) == 0;
}
static inline int sw_addr_cmp(const struct sw_addr *a, const struct sw_addr *b)
{
        return memcmp(a->b, b->b, 16);
}
struct sw_addr sw_addr_v4(uint32_t host_order);

/* Dotted IPv4 (no leading zeros needed, none harmful: "010" is refused) or any IPv6 text form without zone,
 * brackets or port. False otherwise. */
bool sw_addr_parse(struct sw_str s, struct sw_addr *ret);
char *sw_addr_format(const struct sw_addr *a, char buf[SW_ADDR_TEXT]); /* RFC 5952; IPv4 dotted */
enum sw_addr_class sw_addr_class(const struct sw_addr *a);

/* "10.1.0.0/24", "fd00::/64", or a bare address (full length). *ret_host_bits: whether host bits were set
 * (they are cleared in *ret); may be NULL. */
bool sw_prefix_parse(struct sw_str s, struct sw_prefix *ret, bool *ret_host_bits);
bool sw_prefix_contains(const struct sw_prefix *p, const struct sw_addr *a);
struct sw_prefix sw_prefix_of(const struct sw_addr *a, unsigned bits);
#define SW_PREFIX_TEXT (SW_ADDR_TEXT + 4)
char *sw_prefix_format(const struct sw_prefix *p, char buf[SW_PREFIX_TEXT]);

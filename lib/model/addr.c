/* SPDX-License-Identifier: Apache-2.0 */
#include "model/addr.h"

#include <arpa/inet.h>
#include <stdio.h>

struct sw_addr sw_addr_v4(uint32_t host_order)
{
        return (struct sw_addr){ { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, (uint8_t)(host_order >> 24),
                (uint8_t)(host_order >> 16), (uint8_t)(host_order >> 8), (uint8_t)host_order } };
}

static bool parse_v4(struct sw_str s, struct sw_addr *ret)
{
        uint32_t v = 0;
        size_t at = 0;
        unsigned part;

        for (part = 0; part < 4; part++) {
                unsigned n = 0;
                size_t start;

                if (part && (at >= s.n || s.p[at++] != '.'))
                        return false;
                for (start = at; at < s.n && at - start < 3 && s.p[at] >= '0' && s.p[at] <= '9'; at++)
                        n = n * 10 + (unsigned)(s.p[at] - '0');
                if (at == start || n > 255 || (at - start > 1 && s.p[start] == '0'))
                        return false;
                v = v << 8 | n;
        }
        if (at != s.n)
                return false;
        *ret = sw_addr_v4(v);
        return true;
}

bool sw_addr_parse(struct sw_str s, struct sw_addr *ret)
{
        char z[INET6_ADDRSTRLEN];

        if (s.n == 0 || s.n >= sizeof(z))
                return false;
        if (!memchr(s.p, ':', s.n))
                return parse_v4(s, ret);
        if (memchr(s.p, '\0', s.n))
                return false;
        memcpy(z, s.p, s.n);
        z[s.n] = '\0';
        return inet_pton(AF_INET6, z, ret->b) == 1;
}

/* A number below 1000 and what follows it; returns the end. A flood names a subnet for each new host: printf is a tenth
 * of that. */
static char *put_number(char *p, unsigned v, char after)
{
        if (v >= 100)
                *p++ = (char)('0' + v / 100);
        if (v >= 10)
                *p++ = (char)('0' + v / 10 % 10);
        *p++ = (char)('0' + v % 10);
        *p++ = after;
        return p;
}

static void format_v4(const uint8_t *b, char *buf)
{
        buf = put_number(buf, b[0], '.');
        buf = put_number(buf, b[1], '.');
        buf = put_number(buf, b[2], '.');
        (void)put_number(buf, b[3], '\0');
}

char *sw_addr_format(const struct sw_addr *a, char buf[SW_ADDR_TEXT])
{
        if (sw_addr_is_v4(a))
                format_v4(a->b + 12, buf);
        else if (!inet_ntop(AF_INET6, a->b, buf, SW_ADDR_TEXT))
                (void)snprintf(buf, SW_ADDR_TEXT, "::");
        return buf;
}

static enum sw_addr_class class_v4(const uint8_t *b)
{
        static const uint8_t wire[4] = { 168, 63, 129, 16 }, imds[4] = { 169, 254, 169, 254 };

        if (memcmp(b, wire, 4) == 0 || memcmp(b, imds, 4) == 0)
                return SW_ADDR_PLATFORM;
        if (b[0] == 10 || (b[0] == 172 && (b[1] & 0xf0) == 16) || (b[0] == 192 && b[1] == 168))
                return SW_ADDR_PRIVATE;
        if (b[0] == 0 || b[0] == 127 || (b[0] == 169 && b[1] == 254) || (b[0] == 100 && (b[1] & 0xc0) == 64) ||
                b[0] >= 224)
                return SW_ADDR_SPECIAL;
        return SW_ADDR_PUBLIC;
}

enum sw_addr_class sw_addr_class(const struct sw_addr *a)
{
        static const uint8_t zero[15] = { 0 };

        if (sw_addr_is_v4(a))
                return class_v4(a->b + 12);
        if ((a->b[0] & 0xfe) == 0xfc)
                return SW_ADDR_PRIVATE;
        if (a->b[0] == 0xff || (a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80))
                return SW_ADDR_SPECIAL;
        if (memcmp(a->b, zero, 15) == 0 && a->b[15] <= 1)
                return SW_ADDR_SPECIAL;
        return SW_ADDR_PUBLIC;
}

struct sw_prefix sw_prefix_of(const struct sw_addr *a, unsigned bits)
{
        struct sw_prefix p = { .bits = (uint8_t)(bits > 128 ? 128 : bits) };
        unsigned whole = p.bits / 8;

        memcpy(p.addr.b, a->b, whole);
        if (p.bits % 8)
                p.addr.b[whole] = (uint8_t)(a->b[whole] & (0xff << (8 - p.bits % 8)));
        return p;
}

bool sw_prefix_contains(const struct sw_prefix *p, const struct sw_addr *a)
{
        struct sw_prefix q = sw_prefix_of(a, p->bits);

        return sw_addr_cmp(&q.addr, &p->addr) == 0;
}

bool sw_prefix_parse(struct sw_str s, struct sw_prefix *ret, bool *ret_host_bits)
{
        const char *slash = s.n ? memchr(s.p, '/', s.n) : NULL;
        struct sw_str host = { s.p, slash ? (size_t)(slash - s.p) : s.n };
        struct sw_addr a;
        uint64_t bits;
        bool v4;

        if (!sw_addr_parse(host, &a))
                return false;
        v4 = sw_addr_is_v4(&a) && !memchr(host.p, ':', host.n);
        bits = v4 ? 32 : 128;
        if (slash) {
                struct sw_str tail = { slash + 1, s.n - host.n - 1 };

                if (tail.n > 3 || !sw_parse_u64(tail, &bits) || bits > (v4 ? 32 : 128))
                        return false;
        }
        *ret = sw_prefix_of(&a, (unsigned)bits + (v4 ? 96 : 0));
        if (ret_host_bits)
                *ret_host_bits = sw_addr_cmp(&ret->addr, &a) != 0;
        return true;
}

char *sw_prefix_format(const struct sw_prefix *p, char buf[SW_PREFIX_TEXT])
{
        bool v4 = sw_addr_is_v4(&p->addr) && p->bits >= 96;
        char *end = strchr(sw_addr_format(&p->addr, buf), '\0');

        *end++ = '/';
        (void)put_number(end, (v4 ? p->bits - 96u : p->bits) % 1000u, '\0');
        return buf;
}

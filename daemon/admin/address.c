/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

static bool address_host(const char *host, bool v6, in_port_t port, struct sw_address *ret)
{
        struct sockaddr_in6 *six = (struct sockaddr_in6 *)&ret->sockaddr;
        struct sockaddr_in *four = (struct sockaddr_in *)&ret->sockaddr;

        if (v6) {
                *six = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = port };
                ret->size = sizeof(*six);
                if (inet_pton(AF_INET6, host, &six->sin6_addr) != 1)
                        return false;
                ret->loopback = IN6_IS_ADDR_LOOPBACK(&six->sin6_addr) ||
                                (IN6_IS_ADDR_V4MAPPED(&six->sin6_addr) && six->sin6_addr.s6_addr[12] == 127);
                return true;
        }
        *four = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = port };
        ret->size = sizeof(*four);
        if (inet_pton(AF_INET, host, &four->sin_addr) != 1)
                return false;
        ret->loopback = ntohl(four->sin_addr.s_addr) >> 24 == 127;
        return true;
}

bool sw_address_parse(struct sw_str text, struct sw_address *ret)
{
        const char *colon = text.n ? memrchr(text.p, ':', text.n) : NULL;
        struct sw_str host, port;
        char name[INET6_ADDRSTRLEN];
        uint64_t number;
        bool v6;

        if (!colon)
                return false;
        host = (struct sw_str){ text.p, (size_t)(colon - text.p) };
        port = (struct sw_str){ colon + 1, text.n - host.n - 1 };
        v6 = host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']';
        if (v6)
                host = (struct sw_str){ host.p + 1, host.n - 2 };
        if (!sw_parse_u64(port, &number) || number > UINT16_MAX || port.n > 5 || host.n == 0 ||
                host.n >= sizeof(name) || memchr(host.p, '\0', host.n))
                return false;
        memcpy(name, host.p, host.n);
        name[host.n] = '\0';
        *ret = (struct sw_address){ 0 };
        return address_host(name, v6, htons((in_port_t)number), ret);
}

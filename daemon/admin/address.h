/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* "127.0.0.1:9477" or "[::1]:9477": numbers only, so that nothing is looked up and what is checked is what is bound. */
#include "base/str.h"

#include <sys/socket.h>

struct sw_address {
        struct sockaddr_storage sockaddr;
        socklen_t size;
        bool loopback; /* 127.0.0.0/8, ::1, and the former written as IPv6 */
};
/* False if it is not an address with a port; port 0 is any free one. */
bool sw_address_parse(struct sw_str text, struct sw_address *ret);

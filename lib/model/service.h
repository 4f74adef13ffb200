/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Service classes: what a destination port is for. Edges and baselines remember classes, not ports.
 * Administrative classes (the ways from one host to the next) come first. */
#include "base/str.h"

/* X(enum, name for people and configuration, ports as text for the manual, administrative?) */
#define SW_SERVICE_MAP(X)                                                                                              \
        X(OTHER, "other", "", false)                                                                                   \
        X(SSH, "ssh", "22", true)                                                                                      \
        X(RDP, "rdp", "3389", true)                                                                                    \
        X(SMB, "smb", "139, 445", true)                                                                                \
        X(WINRM, "winrm", "5985, 5986", true)                                                                          \
        X(RPC, "rpc", "135, and dynamic ports to the same host after 135 or 445", true)                                \
        X(KRB, "kerberos", "88, 464", true)                                                                            \
        X(LDAP, "ldap", "389, 636, 3268, 3269, 9389", true)                                                            \
        X(DB, "database", "1433, 1521, 3306, 5432, 6379, 9200, 27017", true)                                           \
        X(VNC, "vnc", "5900-5903", true)                                                                               \
        X(TELNET, "telnet", "23", true)                                                                                \
        X(ORCH, "orchestration", "2375, 2376, 2379, 6443, 10250", true)                                                \
        X(MGMT, "management", "161, 623, 8443, 10000", true)                                                           \
        X(HTTP, "http", "80, 8080", false)                                                                             \
        X(HTTPS, "https", "443", false)                                                                                \
        X(DNS, "dns", "53, 853", false)                                                                                \
        X(NTP, "ntp", "123", false)
enum sw_service {
#define SW_SERVICE_ENUM(name, text, ports, admin) SW_SERVICE_##name,
        SW_SERVICE_MAP(SW_SERVICE_ENUM)
#undef SW_SERVICE_ENUM
                SW_N_SERVICES
};

enum {
        SW_PROTO_ICMP = 1,
        SW_PROTO_TCP = 6,
        SW_PROTO_UDP = 17,
        SW_PROTO_ESP = 50,
        SW_PROTO_AH = 51,
        SW_PROTO_ICMPV6 = 58,
        SW_PROTO_SCTP = 132
};

/* By port alone; the RPC dynamic range needs history and is decided in lib/aggregate. */
enum sw_service sw_service_of(uint8_t proto, uint16_t dport);
bool sw_service_is_admin(enum sw_service s);
const char *sw_service_text(enum sw_service s);
bool sw_service_by_name(struct sw_str name, enum sw_service *ret); /* case folded */
const char *sw_proto_text(uint8_t proto, char buf[8]);             /* "tcp", "udp", "icmp", else the number */

/* Ports of a class, for policy rows: the nth range [lo, hi]; proto 0 = tcp and udp. False after the last. */
struct sw_port_range {
        uint8_t proto;
        uint16_t lo, hi;
};
bool sw_service_port(enum sw_service s, unsigned nth, struct sw_port_range *ret);

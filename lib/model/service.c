/* SPDX-License-Identifier: Apache-2.0 */
#include "model/service.h"

#include <stdio.h>

struct service_row {
        enum sw_service service;
        struct sw_port_range ports;
};

#define PORT(service, proto, lo, hi)                                                                                   \
        {                                                                                                              \
                SW_SERVICE_##service,                                                                                  \
                {                                                                                                      \
                        (proto), (lo), (hi)                                                                            \
                }                                                                                                      \
        }
static const struct service_row rows[] = {
        PORT(SSH, SW_PROTO_TCP, 22, 22),
        PORT(RDP, 0, 3389, 3389),
        PORT(SMB, SW_PROTO_TCP, 139, 139),
        PORT(SMB, SW_PROTO_TCP, 445, 445),
        PORT(WINRM, SW_PROTO_TCP, 5985, 5986),
        PORT(RPC, SW_PROTO_TCP, 135, 135),
        PORT(KRB, 0, 88, 88),
        PORT(KRB, 0, 464, 464),
        PORT(LDAP, 0, 389, 389),
        PORT(LDAP, SW_PROTO_TCP, 636, 636),
        PORT(LDAP, SW_PROTO_TCP, 3268, 3269),
        PORT(LDAP, SW_PROTO_TCP, 9389, 9389),
        PORT(DB, SW_PROTO_TCP, 1433, 1433),
        PORT(DB, SW_PROTO_TCP, 1521, 1521),
        PORT(DB, SW_PROTO_TCP, 3306, 3306),
        PORT(DB, SW_PROTO_TCP, 5432, 5432),
        PORT(DB, SW_PROTO_TCP, 6379, 6379),
        PORT(DB, SW_PROTO_TCP, 9200, 9200),
        PORT(DB, SW_PROTO_TCP, 27017, 27017),
        PORT(VNC, SW_PROTO_TCP, 5900, 5903),
        PORT(TELNET, SW_PROTO_TCP, 23, 23),
        PORT(ORCH, SW_PROTO_TCP, 2375, 2376),
        PORT(ORCH, SW_PROTO_TCP, 2379, 2379),
        PORT(ORCH, SW_PROTO_TCP, 6443, 6443),
        PORT(ORCH, SW_PROTO_TCP, 10250, 10250),
        PORT(MGMT, 0, 161, 161),
        PORT(MGMT, 0, 623, 623),
        PORT(MGMT, SW_PROTO_TCP, 8443, 8443),
        PORT(MGMT, SW_PROTO_TCP, 10000, 10000),
        PORT(HTTP, SW_PROTO_TCP, 80, 80),
        PORT(HTTP, SW_PROTO_TCP, 8080, 8080),
        PORT(HTTPS, 0, 443, 443),
        PORT(DNS, 0, 53, 53),
        PORT(DNS, SW_PROTO_TCP, 853, 853),
        PORT(NTP, SW_PROTO_UDP, 123, 123),
};
#undef PORT
#define N_ROWS (sizeof(rows) / sizeof(*rows))

static const struct {
        const char *name;
        bool admin;
} services[] = {
#define SW_SERVICE_ROW(name, text, ports, admin) [SW_SERVICE_##name] = { (text), (admin) },
        SW_SERVICE_MAP(SW_SERVICE_ROW)
#undef SW_SERVICE_ROW
};

enum sw_service sw_service_of(uint8_t proto, uint16_t dport)
{
        size_t i;

        /* A few dozen compares on 8 bytes each; the common ports are asked for through the edge, not here. */
        for (i = 0; i < N_ROWS; i++) {
                const struct sw_port_range *p = &rows[i].ports;

                if (dport >= p->lo && dport <= p->hi &&
                        (p->proto ? proto == p->proto : proto == SW_PROTO_TCP || proto == SW_PROTO_UDP))
                        return rows[i].service;
        }
        return SW_SERVICE_OTHER;
}

bool sw_service_is_admin(enum sw_service s)
{
        return (unsigned)s < SW_N_SERVICES && services[s].admin;
}

const char *sw_service_text(enum sw_service s)
{
        return (unsigned)s < SW_N_SERVICES ? services[s].name : "other";
}

bool sw_service_by_name(struct sw_str name, enum sw_service *ret)
{
        unsigned s;

        for (s = SW_SERVICE_SSH; s < SW_N_SERVICES; s++)
                if (sw_str_ieq(name, sw_str_of(services[s].name))) {
                        *ret = (enum sw_service)s;
                        return true;
                }
        return false;
}

const char *sw_proto_text(uint8_t proto, char buf[8])
{
        switch (proto) {
        case SW_PROTO_TCP:
                return "tcp";
        case SW_PROTO_UDP:
                return "udp";
        case SW_PROTO_ICMP:
                return "icmp";
        default:
                (void)snprintf(buf, 8, "%u", proto);
                return buf;
        }
}

bool sw_service_port(enum sw_service s, unsigned nth, struct sw_port_range *ret)
{
        size_t i;

        for (i = 0; i < N_ROWS; i++)
                if (rows[i].service == s && nth-- == 0) {
                        *ret = rows[i].ports;
                        return true;
                }
        return false;
}

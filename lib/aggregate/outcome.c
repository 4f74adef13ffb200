/* SPDX-License-Identifier: Apache-2.0 */
#include "aggregate/outcome.h"

#include "aggregate/conns.h"

static uint64_t header_bytes(const struct sw_conn_key *key)
{
        uint64_t header = key->proto == SW_PROTO_TCP ? SW_CONN_TCP_HEADER : SW_CONN_UDP_HEADER;

        return sw_addr_is_v4(&key->dst) ? header : header + SW_CONN_IPV6_MORE;
}

static uint64_t less_headers(uint64_t bytes, uint64_t packets, uint64_t header)
{
        uint64_t headers;

        if (__builtin_mul_overflow(packets, header, &headers) || headers >= bytes)
                return 0;
        return bytes - headers;
}

struct sw_payload sw_outcome_payload(const struct sw_conn_key *key, const uint64_t counters[SW_N_COUNTERS])
{
        uint64_t header = header_bytes(key);

        return (struct sw_payload){
                .fwd = less_headers(counters[SW_BYTES_FWD], counters[SW_PACKETS_FWD], header),
                .rev = less_headers(counters[SW_BYTES_REV], counters[SW_PACKETS_REV], header),
        };
}

static bool is_refused(const struct sw_conn_key *key, const uint64_t counters[SW_N_COUNTERS])
{
        uint64_t header = header_bytes(key);

        return key->proto == SW_PROTO_TCP && counters[SW_PACKETS_FWD] <= SW_CONN_REFUSED_PACKETS &&
               less_headers(counters[SW_BYTES_REV], counters[SW_PACKETS_REV], header) == 0 &&
               less_headers(counters[SW_BYTES_FWD], counters[SW_PACKETS_FWD], header + SW_CONN_TCP_OPTIONS) == 0;
}

enum sw_outcome sw_outcome_final(const struct sw_conn_key *key, const uint64_t counters[SW_N_COUNTERS], bool known)
{
        if (!known)
                return SW_OUTCOME_UNKNOWN;
        if (counters[SW_PACKETS_REV] == 0)
                return SW_OUTCOME_NOREPLY;
        return is_refused(key, counters) ? SW_OUTCOME_REFUSED : SW_OUTCOME_OK;
}

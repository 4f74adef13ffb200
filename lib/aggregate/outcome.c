/* SPDX-License-Identifier: Apache-2.0 */
#include "aggregate/outcome.h"

#include "aggregate/conns.h"

static uint64_t less_headers(uint64_t bytes, uint64_t packets, uint64_t header)
{
        uint64_t headers;

        if (__builtin_mul_overflow(packets, header, &headers) || headers >= bytes)
                return 0;
        return bytes - headers;
}

struct sw_payload sw_outcome_payload(uint8_t proto, const uint64_t counters[SW_N_COUNTERS])
{
        uint64_t header = proto == SW_PROTO_TCP ? SW_CONN_TCP_HEADER : SW_CONN_UDP_HEADER;

        return (struct sw_payload){
                .fwd = less_headers(counters[SW_BYTES_FWD], counters[SW_PACKETS_FWD], header),
                .rev = less_headers(counters[SW_BYTES_REV], counters[SW_PACKETS_REV], header),
        };
}

enum sw_outcome sw_outcome_final(uint8_t proto, const uint64_t counters[SW_N_COUNTERS], bool known)
{
        struct sw_payload payload;

        if (!known)
                return SW_OUTCOME_UNKNOWN;
        if (counters[SW_PACKETS_REV] == 0)
                return SW_OUTCOME_NOREPLY;
        payload = sw_outcome_payload(proto, counters);
        if (payload.fwd == 0 && payload.rev == 0 && proto == SW_PROTO_TCP &&
                counters[SW_PACKETS_FWD] <= SW_CONN_REFUSED_PACKETS)
                return SW_OUTCOME_REFUSED;
        return SW_OUTCOME_OK;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "sink/sink.h"

int sw_sink_start(struct sw_sink *s)
{
        return sw_courier_start(s->courier);
}

void sw_sink_stop(struct sw_sink *s)
{
        if (!s)
                return;
        sw_courier_stop(s->courier);
        s->stop(s);
}

struct sw_sink *sw_sink_free(struct sw_sink *s)
{
        return s ? s->free(s) : NULL;
}

enum sw_courier_cause sw_sink_http_cause(enum sw_httpc_error e)
{
        switch (e) {
        case SW_HTTPC_DNS:
        case SW_HTTPC_CONNECT:
                return SW_COURIER_CAUSE_CONNECT;
        case SW_HTTPC_TLS:
                return SW_COURIER_CAUSE_TLS;
        case SW_HTTPC_TIMEOUT:
                return SW_COURIER_CAUSE_TIMEOUT;
        case SW_HTTPC_BROKEN:
                return SW_COURIER_CAUSE_BROKEN;
        case SW_HTTPC_OK:
        case SW_HTTPC_OTHER:
        default:
                return SW_COURIER_CAUSE_OTHER;
        }
}

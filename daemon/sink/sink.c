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

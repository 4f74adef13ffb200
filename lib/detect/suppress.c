/* SPDX-License-Identifier: Apache-2.0 */
#include "detect/suppress.h"

_Static_assert(SW_N_DETECTORS <= 32, "a bit per detector");

static bool suppress_end(const struct sw_suppression_end *end, const struct sw_view *v, uint32_t host)
{
        const struct sw_host *h;
        uint32_t i, segment;

        if (end->n_prefixes == 0 && end->n_segments == 0)
                return true;
        h = sw_view_host(v, host);
        if (!h)
                return false;
        for (i = 0; i < end->n_prefixes; i++)
                if (sw_prefix_contains(&end->prefixes[i], &h->addr))
                        return true;
        segment = h->segment >= SW_SEGMENT_IMPLICIT ? SW_SEGMENT_UNASSIGNED : h->segment;
        for (i = 0; i < end->n_segments; i++)
                if (end->segments[i] == segment)
                        return true;
        return false;
}

static bool suppress_targets(const struct sw_suppression_end *end, const struct sw_view *v, const struct sw_signal *s)
{
        uint32_t i;

        if (end->n_prefixes == 0 && end->n_segments == 0)
                return true;
        if (s->n_targets == 0 || s->n_targets_total > s->n_targets)
                return false;
        for (i = 0; i < s->n_targets; i++)
                if (!suppress_end(end, v, s->targets[i]))
                        return false;
        return true;
}

static bool suppress_service(const struct sw_suppression *x, const struct sw_signal *s)
{
        uint32_t i;

        if (x->n_services == 0)
                return true;
        for (i = 0; i < x->n_services && s->port; i++) {
                const struct sw_port_range *p = &x->services[i];
                bool proto = p->proto ? p->proto == s->proto : s->proto == SW_PROTO_TCP || s->proto == SW_PROTO_UDP;

                if (proto && s->port >= p->lo && s->port <= p->hi)
                        return true;
        }
        return false;
}

const struct sw_suppression *sw_suppress(
        const struct sw_suppressions *s, const struct sw_view *v, const struct sw_signal *signal)
{
        uint32_t i;

        for (i = 0; s && i < s->n; i++) {
                const struct sw_suppression *x = &s->items[i];

                if (x->detectors && !(x->detectors >> signal->detector & 1u))
                        continue;
                if (!sw_etime_is_none(x->expires) && signal->time.ms >= x->expires.ms)
                        continue;
                if (suppress_service(x, signal) && suppress_end(&x->source, v, signal->actor) &&
                        suppress_targets(&x->destination, v, signal))
                        return x;
        }
        return NULL;
}

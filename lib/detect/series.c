/* SPDX-License-Identifier: Apache-2.0 */
#include "detect/series.h"

#include <math.h>
#include <string.h>

static uint32_t series_sum(uint32_t a, uint64_t b)
{
        return b > UINT32_MAX - a ? UINT32_MAX : a + (uint32_t)b;
}

static uint32_t series_minute(struct sw_etime t)
{
        return (uint32_t)(t.ms / SW_MINUTE);
}

static bool series_begins(const struct sw_series_ref *s, uint32_t minute)
{
        return *s->n == 0 || s->points[*s->n - 1].minute < minute;
}

bool sw_series_is_full(const struct sw_series_ref *s, struct sw_etime t)
{
        return *s->n == s->cap && series_begins(s, series_minute(t));
}

void sw_series_add(struct sw_series_ref s, struct sw_etime t, uint64_t forward, uint64_t reverse)
{
        uint32_t minute = series_minute(t);
        struct sw_series_point *p;

        if (series_begins(&s, minute)) {
                if (*s.n == s.cap) {
                        memmove(s.points, s.points + 1, (s.cap - 1) * sizeof(s.points[0]));
                        (*s.n)--;
                }
                s.points[(*s.n)++] = (struct sw_series_point){ .minute = minute };
        }
        p = &s.points[*s.n - 1];
        if (p->minute != minute)
                return; /* late: not worth keeping */
        p->forward = series_sum(p->forward, forward);
        p->reverse = series_sum(p->reverse, reverse);
}

static bool series_correlates(const double *x, const double *y, unsigned n, unsigned min_pct)
{
        double mx = 0, my = 0, xx = 0, yy = 0, xy = 0;
        unsigned i;

        for (i = 0; i < n; i++) {
                mx += x[i] / n;
                my += y[i] / n;
        }
        for (i = 0; i < n; i++) {
                xx += (x[i] - mx) * (x[i] - mx);
                yy += (y[i] - my) * (y[i] - my);
                xy += (x[i] - mx) * (y[i] - my);
        }
        return xx > 0 && yy > 0 && xy * 100 >= min_pct * sqrt(xx) * sqrt(yy);
}

bool sw_series_in_step(
        const struct sw_series_ref *a, const struct sw_series_ref *b, unsigned min_common, unsigned min_pct)
{
        double af[SW_SERIES_LENGTH], ar[SW_SERIES_LENGTH], bf[SW_SERIES_LENGTH], br[SW_SERIES_LENGTH];
        unsigned i = 0, j = 0, n = 0;

        while (i < *a->n && j < *b->n) {
                const struct sw_series_point *p = &a->points[i], *q = &b->points[j];

                if (p->minute == q->minute) {
                        af[n] = p->forward;
                        ar[n] = p->reverse;
                        bf[n] = q->forward;
                        br[n++] = q->reverse;
                }
                i += p->minute <= q->minute;
                j += q->minute <= p->minute;
        }
        return n >= min_common && series_correlates(af, bf, n, min_pct) && series_correlates(ar, br, n, min_pct);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "detect/incident.h"

#include <math.h>
#include <stdlib.h>

#define BEST_PER_RULE 3
#define HALF_LIFE_MS (24 * SW_HOUR)

uint8_t sw__risk_gain(const struct sw_signal *s)
{
        return (uint8_t)((s->confidence_pct * s->weight_pct + 50) / 100);
}

static unsigned risk_tactic_bit(const char *uid)
{
        /* "TA0001" ... "TA0043": distinct bits are enough */
        return 1u << (strtoul(uid + 2, NULL, 10) % 32);
}

unsigned sw__risk_tactics(const struct sw_incident *in)
{
        unsigned bits = 0;
        uint32_t i, t;

        for (i = 0; i < in->n_kept; i++) {
                const struct sw_signal *s = &in->kept[i].s;
                const struct sw_technique *list = sw_detectors[s->detector]->techniques;

                if (s->weight_pct == 0)
                        continue;
                /* Its first technique counts: one signal is no proof of two tactics. */
                for (t = 0; list[t].uid && t < 16; t++)
                        if (s->techniques & (1u << t)) {
                                bits |= risk_tactic_bit(list[t].tactic_uid);
                                break;
                        }
        }
        return bits;
}

unsigned sw__risk_detectors(const struct sw_incident *in)
{
        unsigned bits = 0;
        uint32_t i;

        for (i = 0; i < in->n_kept; i++)
                if (in->kept[i].s.weight_pct > 0)
                        bits |= 1u << in->kept[i].s.detector;
        return bits;
}

unsigned sw__risk_segments(const struct sw_incident *in)
{
        unsigned n = 0;
        uint32_t i, k;

        for (i = 0; i < in->n_kept; i++) {
                for (k = 0; k < i && in->kept[k].s.dst_segment != in->kept[i].s.dst_segment;)
                        k++;
                n += k == i;
        }
        return n;
}

static double risk_of(const struct sw_signal *s, struct sw_etime now)
{
        int64_t age = now.ms - s->time.ms;

        return sw__risk_gain(s) / 100.0 * exp2(-(double)(age < 0 ? 0 : age) / HALF_LIFE_MS);
}

/* The chance that all signals are wrong, taking the best signal of each (rule, target segment) and the three best
 * segments of each rule: more of the same is no new evidence. */
static double risk_all_wrong(const struct sw_incident *in, struct sw_etime now)
{
        double wrong = 1;
        unsigned d, pick;

        for (d = 0; d < SW_N_DETECTORS; d++) {
                uint32_t used[BEST_PER_RULE];

                for (pick = 0; pick < BEST_PER_RULE; pick++) {
                        uint32_t i, k, best = UINT32_MAX;
                        double gain = 0;

                        for (i = 0; i < in->n_kept; i++) {
                                const struct sw_signal *s = &in->kept[i].s;

                                for (k = 0; k < pick && used[k] != s->dst_segment;)
                                        k++;
                                if (s->detector == d && k == pick && risk_of(s, now) > gain) {
                                        best = i;
                                        gain = risk_of(s, now);
                                }
                        }
                        if (best == UINT32_MAX)
                                break;
                        used[pick] = in->kept[best].s.dst_segment;
                        wrong *= 1 - gain;
                }
        }
        return wrong;
}

uint8_t sw__risk_score(const struct sw_view *v, const struct sw_incident *in, struct sw_etime now)
{
        long risk = lround(100 * (1 - risk_all_wrong(in, now)));
        int tactics = __builtin_popcount(sw__risk_tactics(in));
        uint32_t i;

        if (tactics > 1)
                risk += 10 * (tactics - 1);
        for (i = 0; i < in->n_kept; i++)
                if (in->kept[i].s.weight_pct > 0 && sw_view_segment(v, in->kept[i].s.dst_segment)->criticality >= 4) {
                        risk += 10;
                        break;
                }
        return (uint8_t)(risk > 100 ? 100 : risk);
}

enum sw_severity sw__risk_severity(const struct sw_incident *in, uint8_t risk, const struct sw_detector_conf *detectors)
{
        enum sw_severity severity = SW_SEVERITY_INFO;
        uint32_t i;

        if (risk >= 85)
                return SW_SEVERITY_CRITICAL;
        if (risk >= 70)
                return SW_SEVERITY_HIGH;
        if (risk >= 50)
                return SW_SEVERITY_MEDIUM;
        if (risk >= 40 && __builtin_popcount(sw__risk_detectors(in)) >= 2)
                severity = SW_SEVERITY_LOW;
        for (i = 0; i < in->n_kept; i++)
                if (in->kept[i].s.alone || detectors[in->kept[i].s.detector].mode == SW_MODE_ALERT)
                        return SW_SEVERITY_MEDIUM;
        return severity;
}

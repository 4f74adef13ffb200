/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Suppressions: signals that somebody has looked at and does not want to hear of again, with a reason and an end. They
 * act on signals, before correlation, and are judged in event time, so that a replay agrees.
 *
 * A suppression matches when every condition that it states holds; a condition that cannot be known holds never:
 * `destination` wants every target to match, so a signal with more targets than it lists is not suppressed by it, and
 * `services` wants one known port. Rather heard once too often than not at all. Threads: read-only. */
#include "detect/detector.h"

/* One end of the traffic: ranges, or segments by id; none of both: any. */
struct sw_suppression_end {
        const struct sw_prefix *prefixes;
        uint32_t n_prefixes;
        const uint32_t *segments; /* fixed or configured ids; UNASSIGNED stands for implicit ones as well */
        uint32_t n_segments;
};

struct sw_suppression {
        const char *id;
        struct sw_etime expires; /* from here on it does nothing; NONE: never */
        uint32_t detectors;      /* bit per enum sw_detector_id; 0 = all */
        struct sw_suppression_end source, destination;
        const struct sw_port_range *services; /* proto 0 = tcp and udp */
        uint32_t n_services;                  /* 0 = all */
};

struct sw_suppressions {
        struct sw_suppression *items;
        uint32_t n;
};

/* The first that matches, in the order of the file; NULL if none does. `s` may be NULL. */
const struct sw_suppression *sw_suppress(
        const struct sw_suppressions *s, const struct sw_view *v, const struct sw_signal *signal);

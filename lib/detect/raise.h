/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What detectors share: who is who, evidence kept beside a window, when to speak again, and the signal itself. */
#include "detect/detector.h"
#include "detect/window.h"

static inline bool sw_raise_is_internet(uint32_t segment)
{
        return segment == SW_SEGMENT_INTERNET;
}
/* Neither the Internet nor the Azure platform, nor multicast and the like. */
bool sw_raise_is_internal(uint32_t segment, const struct sw_host *h);
/* Let through by the platform's own rule, which is not somebody's decision to let the Internet in. */
bool sw_raise_is_platform(const struct sw_view *v, const struct sw_conn_event *ev);
bool sw_raise_has_role(const struct sw_host *h, uint32_t roles);
/* Administrators come through it: by its own role or its segment's (Azure Bastion has no hosts of a name). */
bool sw_raise_is_jump(const struct sw_view *v, uint32_t segment, const struct sw_host *h);
/* VNet encryption dropped it: both ends could not agree, or one was starting. Nobody's rule, nobody's probing. */
static inline bool sw_raise_is_encryption_drop(const struct sw_conn_event *ev)
{
        return ev->type == SW_CONN_DENIED && !sw_encryption_passed((enum sw_encryption)ev->first.encryption);
}

/* Percent of what is new about ev's source that counts: hosts whose work it is to reach others make new edges all the
 * time, jump hosts most of all. */
unsigned sw_raise_novelty_pct(const struct sw_view *v, const struct sw_conn_event *ev);

/* Up to five tuples: the canonically smallest of the last five minutes, else the newest ones. */
struct sw_raise_evidence {
        uint32_t n;
        uint32_t oldest_ms; /* low 32 bits of the smallest one's time while all places are taken; 0: not known */
        struct sw_evidence e[SW_SIGNAL_EVIDENCE];
};
#define SW_RAISE_FRESH_MS (5 * SW_MINUTE)
void sw_raise_keep(struct sw_raise_evidence *k, const struct sw_conn_event *ev);

/* When one ongoing thing is told again: when it doubled, reached a new segment, or after a quiet time. */
#define SW_RAISE_SEGMENTS 8
struct sw_raise_ladder {
        int64_t raised_ms; /* 0 = never */
        uint64_t raised_value;
        uint32_t segments[SW_RAISE_SEGMENTS];
        uint32_t n_segments, pad;
};
enum sw_raise_step { SW_RAISE_NOT, SW_RAISE_FIRST, SW_RAISE_AGAIN, SW_RAISE_MORE };
/* FIRST: never raised. AGAIN: the quiet time is over. MORE: doubled or a new segment. Records nothing. */
enum sw_raise_step sw_raise_due(
        const struct sw_raise_ladder *l, struct sw_etime now, uint64_t value, int64_t quiet_ms, uint32_t segment);
void sw_raise_done(struct sw_raise_ladder *l, struct sw_etime now, uint64_t value, uint32_t segment, bool again);

/* Confidence times 100: 50 at the threshold, 100 at four times of it; halved for shared addresses,
 * x 0.7 while the actor's segment learns, x 1.15 for a target of criticality 4. */
uint8_t sw_raise_confidence(
        const struct sw_view *v, const struct sw_conn_event *ev, uint64_t value, uint64_t threshold);
uint8_t sw_raise_scale(uint8_t pct, unsigned by_pct); /* pct * by / 100, at most 100 */

/* Appends a signal about ev's source, with ev's destination as target, port, service and times. NULL: no memory. */
struct sw_signal *sw_raise(struct sw_signals *out, enum sw_detector_id detector, const struct sw_conn_event *ev);
/* ATT&CK's remote services, shared by the detectors of administrative connections, and the bit of a service. */
extern const struct sw_technique sw_raise_admin_techniques[];
uint16_t sw_raise_admin_technique(enum sw_service service);
/* Whether a connection of this service gives control of its destination. Databases and management consoles are used
 * by programs all day long; what comes in there and goes out again is their work. */
bool sw_raise_controls(enum sw_service service);
/* Kerberos or LDAP to a domain controller: everybody does that. */
bool sw_raise_is_directory(const struct sw_view *v, const struct sw_conn_event *ev);

/* Evidence within the span before now, canonically sorted; first and last times follow from it. */
void sw_raise_add_evidence(struct sw_signal *s, const struct sw_raise_evidence *k, int64_t span_ms);
void sw_raise_add_tuple(struct sw_signal *s, const struct sw_conn_event *ev);
/* Replaces the targets by the hosts of the window's items within the span (keys are host ids). */
void sw_raise_add_targets(
        struct sw_signal *s, const struct sw_view *v, const struct sw_window *w, int64_t span_ms, uint16_t flags);

/* Texts for tell(). */
void sw_say_span(struct sw_buf *out, int64_t ms);                              /* "5 min", "2 h", "3 days" */
void sw_say_port(struct sw_buf *out, uint8_t proto, uint16_t port);            /* "445/tcp", "icmp" */
void sw_say_segment(struct sw_buf *out, const struct sw_view *v, uint32_t id); /* "segment db", "the Internet" */
/* "segment db", or "3 segments" if the listed targets are in several. */
void sw_say_target_segments(struct sw_buf *out, const struct sw_view *v, const struct sw_signal *s);
void sw_say_host(struct sw_buf *out, const struct sw_view *v, uint32_t host); /* address, or "a host" */
void sw_say_bytes(struct sw_buf *out, uint64_t n);                            /* "17 kB" */
void sw_say_count(struct sw_buf *out, uint64_t n, const char *one, const char *many);

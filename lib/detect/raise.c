/* SPDX-License-Identifier: Apache-2.0 */
#include "detect/raise.h"

#include <math.h>
#include <stdlib.h>

#define LATE_MS (2 * SW_HOUR) /* stamps of 32 bits: what seems older than all others by less than this is late */

bool sw_raise_is_internal(uint32_t segment, const struct sw_host *h)
{
        if (segment == SW_SEGMENT_INTERNET || segment == SW_SEGMENT_PLATFORM)
                return false;
        /* 100.64/10 may be a customer's own space; multicast, broadcast and link-local are nobody's host. */
        if (segment == SW_SEGMENT_UNASSIGNED || segment >= SW_SEGMENT_IMPLICIT)
                return sw_addr_class(&h->addr) == SW_ADDR_PRIVATE;
        return true;
}

bool sw_raise_is_platform(const struct sw_view *v, const struct sw_conn_event *ev)
{
        return sw_str_ieq(sw_view_rule(v, ev->first.rule).name, SW_STR("PlatformRule"));
}

bool sw_raise_has_role(const struct sw_host *h, uint32_t roles)
{
        return (sw_host_roles(h) & roles) != 0;
}

bool sw_raise_is_jump(const struct sw_view *v, uint32_t segment, const struct sw_host *h)
{
        enum sw_segment_role role = sw_view_segment(v, segment)->role;

        return sw_raise_has_role(h, SW_HOST_ROLE(JUMP)) || role == SW_SEGMENT_ROLE_BASTION ||
               role == SW_SEGMENT_ROLE_JUMPBOX;
}

unsigned sw_raise_novelty_pct(const struct sw_view *v, const struct sw_conn_event *ev)
{
        if (sw_raise_is_jump(v, ev->src_segment, ev->src_host))
                return 15;
        return sw_raise_has_role(ev->src_host, SW_HOST_ROLE(DEPLOY) | SW_HOST_ROLE(PATCH) | SW_HOST_ROLE(BACKUP)) ? 30
                                                                                                                  : 100;
}

void sw_raise_keep(struct sw_raise_evidence *k, const struct sw_conn_event *ev)
{
        uint32_t i, now_ms = (uint32_t)(uint64_t)ev->first.time.ms;
        struct sw_evidence *place;

        if (k->n > SW_SIGNAL_EVIDENCE)
                k->n = 0; /* nobody wrote that */
        /* Most of a long scan ends here, with one line of memory. */
        if (k->oldest_ms && now_ms - k->oldest_ms + LATE_MS < SW_RAISE_FRESH_MS + LATE_MS)
                return;
        for (i = 0; i < k->n; i++)
                if (sw_evidence_cmp(&k->e[i], &ev->first) == 0)
                        return;
        if (k->n < SW_SIGNAL_EVIDENCE) {
                place = &k->e[k->n++];
        } else {
                place = &k->e[0];
                for (i = 1; i < k->n; i++)
                        if (sw_evidence_cmp(&k->e[i], place) < 0)
                                place = &k->e[i];
                k->oldest_ms = (uint32_t)(uint64_t)place->time.ms;
                if (ev->first.time.ms - place->time.ms < SW_RAISE_FRESH_MS)
                        return;
        }
        *place = ev->first;
        place->outcome = (uint8_t)ev->outcome;
        k->oldest_ms = 0; /* another one is */
}

enum sw_raise_step sw_raise_due(
        const struct sw_raise_ladder *l, struct sw_etime now, uint64_t value, int64_t quiet_ms, uint32_t segment)
{
        uint32_t i, n = l->n_segments < SW_RAISE_SEGMENTS ? l->n_segments : SW_RAISE_SEGMENTS;

        if (l->raised_ms == 0)
                return SW_RAISE_FIRST;
        if (now.ms - l->raised_ms >= quiet_ms)
                return SW_RAISE_AGAIN;
        if (value >= 2 * l->raised_value)
                return SW_RAISE_MORE;
        for (i = 0; i < n; i++)
                if (l->segments[i] == segment)
                        return SW_RAISE_NOT;
        return n < SW_RAISE_SEGMENTS ? SW_RAISE_MORE : SW_RAISE_NOT;
}

void sw_raise_done(struct sw_raise_ladder *l, struct sw_etime now, uint64_t value, uint32_t segment, bool again)
{
        uint32_t i;

        if (again || l->n_segments > SW_RAISE_SEGMENTS)
                l->n_segments = 0;
        l->raised_value = again || value > l->raised_value ? value : l->raised_value;
        l->raised_ms = now.ms;
        for (i = 0; i < l->n_segments; i++)
                if (l->segments[i] == segment)
                        return;
        if (l->n_segments < SW_RAISE_SEGMENTS)
                l->segments[l->n_segments++] = segment;
}

uint8_t sw_raise_scale(uint8_t pct, unsigned by_pct)
{
        unsigned scaled = (pct * by_pct + 50) / 100;

        return (uint8_t)(scaled > 100 ? 100 : scaled);
}

uint8_t sw_raise_confidence(const struct sw_view *v, const struct sw_conn_event *ev, uint64_t value, uint64_t threshold)
{
        double c = 50;
        uint8_t pct;

        if (threshold > 0 && value > threshold)
                c += 25 * log2((double)value / (double)threshold);
        pct = (uint8_t)(c > 100 ? 100 : lround(c));
        if (sw_raise_has_role(ev->src_host, SW_HOST_ROLE(SHARED)))
                pct = sw_raise_scale(pct, 50);
        if (ev->learning)
                pct = sw_raise_scale(pct, 70);
        if (sw_view_segment(v, ev->dst_segment)->criticality >= 4)
                pct = sw_raise_scale(pct, 115);
        return pct;
}

struct sw_signal *sw_raise(struct sw_signals *out, enum sw_detector_id detector, const struct sw_conn_event *ev)
{
        struct sw_signal *s = sw_signals_add(out);

        if (!s)
                return NULL;
        s->detector = (uint16_t)detector;
        s->time = ev->time;
        s->first = ev->first.time;
        s->last = ev->time;
        s->actor = ev->src;
        s->targets[0] = ev->dst;
        s->n_targets = s->n_targets_total = 1;
        s->src_segment = ev->src_segment;
        s->dst_segment = ev->dst_segment;
        s->proto = ev->first.proto;
        s->port = ev->first.dport;
        s->service = (uint8_t)ev->service;
        s->techniques = 1;
        return s;
}

static int raise_cmp_evidence(const void *a, const void *b)
{
        return sw_evidence_cmp(a, b);
}

void sw_raise_add_tuple(struct sw_signal *s, const struct sw_conn_event *ev)
{
        struct sw_evidence *e;

        if (s->n_evidence == SW_SIGNAL_EVIDENCE)
                return;
        e = &s->evidence[s->n_evidence++];
        *e = ev->first;
        e->outcome = (uint8_t)ev->outcome;
}

void sw_raise_add_evidence(struct sw_signal *s, const struct sw_raise_evidence *k, int64_t span_ms)
{
        uint32_t i;

        /* A failure is known up to a connection's idle time after the tuple that opened it. */
        for (i = 0; i < k->n; i++)
                if (s->time.ms - k->e[i].time.ms < span_ms + 15 * SW_MINUTE && s->n_evidence < SW_SIGNAL_EVIDENCE)
                        s->evidence[s->n_evidence++] = k->e[i];
        qsort(s->evidence, s->n_evidence, sizeof(s->evidence[0]), raise_cmp_evidence);
        if (s->n_evidence > 0)
                s->first = s->evidence[0].time;
}

struct raise_target {
        struct sw_addr addr;
        uint32_t id;
};

static int raise_cmp_target(const void *a, const void *b)
{
        const struct raise_target *x = a, *y = b;
        int c = sw_addr_cmp(&x->addr, &y->addr);

        return c ? c : (x->id > y->id) - (x->id < y->id);
}

void sw_raise_add_targets(
        struct sw_signal *s, const struct sw_view *v, const struct sw_window *w, int64_t span_ms, uint16_t flags)
{
        struct raise_target found[SW_WINDOW_CAP];
        uint32_t i, n = 0, distinct = 0;

        for (i = 0; i < w->n; i++) {
                const struct sw_host *h;

                if ((w->items[i].flags & flags) != flags || !sw_window_in(&w->items[i], s->time, span_ms))
                        continue;
                h = sw_view_host(v, w->items[i].key);
                if (h)
                        found[n++] = (struct raise_target){ h->addr, w->items[i].key };
        }
        if (n == 0)
                return;
        qsort(found, n, sizeof(found[0]), raise_cmp_target);
        s->n_targets = 0;
        for (i = 0; i < n; i++) {
                if (i > 0 && found[i].id == found[i - 1].id)
                        continue;
                distinct++;
                if (s->n_targets < SW_SIGNAL_TARGETS)
                        s->targets[s->n_targets++] = found[i].id;
        }
        s->n_targets_total = distinct;
}

const struct sw_technique sw_raise_admin_techniques[] = {
        { "T1021", "Remote Services", "TA0008", "Lateral Movement" },
        { "T1021.001", "Remote Desktop Protocol", "TA0008", "Lateral Movement" },
        { "T1021.002", "SMB/Windows Admin Shares", "TA0008", "Lateral Movement" },
        { "T1021.003", "Distributed Component Object Model", "TA0008", "Lateral Movement" },
        { "T1021.004", "SSH", "TA0008", "Lateral Movement" },
        { "T1021.005", "VNC", "TA0008", "Lateral Movement" },
        { "T1021.006", "Windows Remote Management", "TA0008", "Lateral Movement" },
        { "T1047", "Windows Management Instrumentation", "TA0002", "Execution" },
        { NULL, NULL, NULL, NULL },
};

uint16_t sw_raise_admin_technique(enum sw_service service)
{
        switch (service) {
        case SW_SERVICE_RDP:
                return 1 << 1;
        case SW_SERVICE_SMB:
                return 1 << 2;
        case SW_SERVICE_RPC:
                return 1 << 3 | 1 << 7; /* DCOM or WMI: the flow looks the same */
        case SW_SERVICE_SSH:
                return 1 << 4;
        case SW_SERVICE_VNC:
                return 1 << 5;
        case SW_SERVICE_WINRM:
                return 1 << 6;
        default:
                return 1 << 0;
        }
}

bool sw_raise_controls(enum sw_service service)
{
        switch (service) {
        case SW_SERVICE_SSH:
        case SW_SERVICE_RDP:
        case SW_SERVICE_SMB:
        case SW_SERVICE_WINRM:
        case SW_SERVICE_RPC:
        case SW_SERVICE_VNC:
        case SW_SERVICE_TELNET:
        case SW_SERVICE_ORCH:
                return true;
        default:
                return false;
        }
}

bool sw_raise_is_directory(const struct sw_view *v, const struct sw_conn_event *ev)
{
        return (ev->service == SW_SERVICE_KRB || ev->service == SW_SERVICE_LDAP) &&
               (sw_raise_has_role(ev->dst_host, SW_HOST_ROLE(DC)) ||
                       sw_view_segment(v, ev->dst_segment)->role == SW_SEGMENT_ROLE_IDENTITY);
}

void sw_say_count(struct sw_buf *out, uint64_t n, const char *one, const char *many)
{
        sw_buf_u64(out, n);
        sw_buf_putc(out, ' ');
        sw_buf_puts(out, n == 1 ? one : many);
}

void sw_say_span(struct sw_buf *out, int64_t ms)
{
        uint64_t s = (uint64_t)(ms < 0 ? 0 : ms) / 1000;

        if (s < 120)
                sw_buf_printf(out, "%llu s", (unsigned long long)s);
        else if (s < 2 * 3600)
                sw_buf_printf(out, "%llu min", (unsigned long long)(s / 60));
        else if (s < 48 * 3600)
                sw_buf_printf(out, "%llu h", (unsigned long long)(s / 3600));
        else
                sw_buf_printf(out, "%llu days", (unsigned long long)(s / 86400));
}

void sw_say_port(struct sw_buf *out, uint8_t proto, uint16_t port)
{
        char text[8];

        if (proto == SW_PROTO_TCP || proto == SW_PROTO_UDP || proto == SW_PROTO_SCTP)
                sw_buf_printf(out, "%u/", port);
        sw_buf_puts(out, sw_proto_text(proto, text));
}

void sw_say_segment(struct sw_buf *out, const struct sw_view *v, uint32_t id)
{
        if (id == SW_SEGMENT_INTERNET) {
                sw_buf_puts(out, "the Internet");
                return;
        }
        sw_buf_puts(out, "segment ");
        sw_buf_puts(out, sw_view_segment(v, id)->name);
}

void sw_say_target_segments(struct sw_buf *out, const struct sw_view *v, const struct sw_signal *s)
{
        uint32_t seen[SW_SIGNAL_TARGETS], n = 0, i, k;

        for (i = 0; i < s->n_targets; i++) {
                const struct sw_host *h = sw_view_host(v, s->targets[i]);

                for (k = 0; h && k < n && seen[k] != h->segment;)
                        k++;
                if (h && k == n)
                        seen[n++] = h->segment;
        }
        if (n > 1)
                sw_say_count(out, n, "segment", "segments");
        else
                sw_say_segment(out, v, s->dst_segment);
}

void sw_say_host(struct sw_buf *out, const struct sw_view *v, uint32_t host)
{
        const struct sw_host *h = sw_view_host(v, host);
        char text[SW_ADDR_TEXT];

        sw_buf_puts(out, h ? sw_addr_format(&h->addr, text) : "a host");
}

void sw_say_bytes(struct sw_buf *out, uint64_t n)
{
        if (n < 1000)
                sw_buf_printf(out, "%llu B", (unsigned long long)n);
        else if (n < 1000000)
                sw_buf_printf(out, "%llu kB", (unsigned long long)(n / 1000));
        else
                sw_buf_printf(out, "%llu MB", (unsigned long long)(n / 1000000));
}

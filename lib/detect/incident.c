/* SPDX-License-Identifier: Apache-2.0 */
#include "detect/incident.h"

#include "base/alloc.h"

#include <stdio.h>

/* By the realm's name: its number follows the order of the configuration. */
static void incident_name(struct sw_incident *in, const char *realm)
{
        char text[512], addr[SW_ADDR_TEXT];
        int n = snprintf(text, sizeof(text), "incident|%.300s|%s|%lld", realm, sw_addr_format(&in->opener, addr),
                (long long)in->opened.ms);

        sw_sha256_128(text, (size_t)n, in->uid);
}

struct sw_incident *sw__incident_new(
        struct sw_etime opened, const struct sw_host *actor, uint32_t host, const char *realm)
{
        struct sw_incident *in = sw_calloc(1, sizeof(*in));

        if (!in)
                return NULL;
        in->opened = in->last_signal = opened;
        in->due = in->created = in->written = in->first_evidence = SW_ETIME_NONE;
        in->opener = actor->addr;
        incident_name(in, realm);
        in->bytes = sizeof(*in);
        if (sw__incident_add_member(in, actor, host, SW_MEMBER_ACTOR, opened) < 0)
                return sw__incident_free(in);
        return in;
}

struct sw_incident *sw__incident_free(struct sw_incident *in)
{
        uint32_t i;

        if (!in)
                return NULL;
        for (i = 0; i < in->n_kept; i++)
                sw_free(in->kept[i].sentence);
        sw_free(in->kept);
        sw_free(in->members);
        sw_free(in);
        return NULL;
}

void sw__incident_uid(const struct sw_incident *in, char ret[33])
{
        memcpy(ret, in->uid, sizeof(in->uid));
}

struct sw_member *sw__incident_member(struct sw_incident *in, const struct sw_addr *a, uint16_t realm)
{
        uint32_t i;

        for (i = 0; i < in->n_members; i++)
                if (in->members[i].realm == realm && sw_addr_cmp(&in->members[i].addr, a) == 0)
                        return &in->members[i];
        return NULL;
}

/* The place for one more host: grown, or taken from a mere target when the list is full. */
static int incident_member_place(struct sw_incident *in, enum sw_member_role role, struct sw_member **ret)
{
        uint32_t i, cap;
        struct sw_member *p;

        *ret = NULL;
        if (in->n_members < in->cap_members) {
                *ret = &in->members[in->n_members++];
                return 0;
        }
        if (in->n_members == SW_INCIDENT_MEMBERS) {
                for (i = 0; i < in->n_members && role > SW_MEMBER_TARGET; i++)
                        if (in->members[i].role == SW_MEMBER_TARGET) {
                                *ret = &in->members[i];
                                return 0;
                        }
                return 0;
        }
        cap = in->cap_members ? in->cap_members * 2 : 8;
        p = sw_realloc_array(in->members, cap, sizeof(*p));
        if (!p)
                return -SW_ERR_NOMEM;
        in->bytes += (cap - in->cap_members) * sizeof(*p);
        in->members = p;
        in->cap_members = cap;
        *ret = &in->members[in->n_members++];
        return 0;
}

int sw__incident_add_member(
        struct sw_incident *in, const struct sw_host *h, uint32_t host, enum sw_member_role role, struct sw_etime since)
{
        struct sw_member *m = sw__incident_member(in, &h->addr, h->realm);
        int r;

        if (m) {
                if (role > m->role) {
                        m->role = (uint8_t)role;
                        m->since = since;
                }
                if (!m->tainted)
                        m->host = host;
                return 0;
        }
        r = incident_member_place(in, role, &m);
        if (r < 0 || !m)
                return r;
        *m = (struct sw_member){
                .addr = h->addr, .realm = h->realm, .host = host, .role = (uint8_t)role, .since = since
        };
        return 0;
}

void sw__incident_set_actor(struct sw_incident *in, struct sw_member *m)
{
        uint32_t i;

        for (i = 0; i < in->n_members; i++)
                if (in->members[i].role == SW_MEMBER_ACTOR)
                        in->members[i].role = SW_MEMBER_COMPROMISED;
        m->role = SW_MEMBER_ACTOR;
}

/* Whether a kept signal (other than `except`) of the same detector and target segment says at least as much. */
static bool incident_has_kind(const struct sw_incident *in, const struct sw_signal *s, const struct sw_kept *except)
{
        uint32_t i;

        for (i = 0; i < in->n_kept; i++) {
                const struct sw_kept *k = &in->kept[i];

                if (k != except && k->s.detector == s->detector && k->s.dst_segment == s->dst_segment &&
                        sw__risk_gain(&k->s) >= sw__risk_gain(s))
                        return true;
        }
        return false;
}

/* What can go first: the latest of those that only repeat what another one says, else the least telling. */
static struct sw_kept *incident_least(struct sw_incident *in)
{
        struct sw_kept *least = NULL;
        bool least_repeats = false;
        uint32_t i;

        for (i = 0; i < in->n_kept; i++) {
                struct sw_kept *k = &in->kept[i];
                bool repeats = incident_has_kind(in, &k->s, k);

                if (!least || repeats > least_repeats ||
                        (repeats == least_repeats && sw__risk_gain(&k->s) <= sw__risk_gain(&least->s))) {
                        least = k;
                        least_repeats = repeats;
                }
        }
        return least;
}

/* The place of a new signal; its old content is freed. NULL: it tells less than all that are there. */
static int incident_kept_place(struct sw_incident *in, const struct sw_signal *s, struct sw_kept **ret)
{
        struct sw_kept *p, *least;
        uint32_t cap;

        *ret = NULL;
        if (in->n_kept < in->cap_kept) {
                *ret = &in->kept[in->n_kept++];
                return 0;
        }
        if (in->n_kept == SW_INCIDENT_SIGNALS) {
                least = incident_least(in);
                if (sw__risk_gain(s) <= sw__risk_gain(&least->s) && incident_has_kind(in, s, NULL))
                        return 0;
                in->bytes -= strlen(least->sentence) + 1;
                sw_free(least->sentence);
                memmove(least, least + 1, (size_t)(&in->kept[in->n_kept - 1] - least) * sizeof(*least));
                *ret = &in->kept[in->n_kept - 1];
                return 0;
        }
        cap = in->cap_kept ? in->cap_kept * 2 : 2;
        if (cap > SW_INCIDENT_SIGNALS)
                cap = SW_INCIDENT_SIGNALS;
        p = sw_realloc_array(in->kept, cap, sizeof(*p));
        if (!p)
                return -SW_ERR_NOMEM;
        in->bytes += (cap - in->cap_kept) * sizeof(*p);
        in->kept = p;
        in->cap_kept = cap;
        *ret = &in->kept[in->n_kept++];
        return 0;
}

int sw__incident_keep(struct sw_incident *in, const struct sw_signal *s, const struct sw_addr *actor, char *sentence)
{
        struct sw_kept *k;
        int r = incident_kept_place(in, s, &k);

        if (r < 0 || !k) {
                sw_free(sentence);
                return r;
        }
        *k = (struct sw_kept){ .s = *s, .actor = *actor, .sentence = sentence };
        in->bytes += strlen(sentence) + 1;
        return 0;
}

static struct sw_etime incident_earlier(struct sw_etime a, struct sw_etime b)
{
        if (sw_etime_is_none(a))
                return b;
        return sw_etime_is_none(b) ? a : sw_etime_min(a, b);
}

int sw__incident_merge(struct sw_incident *to, struct sw_incident *from)
{
        uint32_t i;
        int r;

        for (i = 0; i < from->n_members; i++) {
                struct sw_member *m = &from->members[i], *own;
                struct sw_host h = { .addr = m->addr, .realm = m->realm };
                enum sw_member_role role = m->role == SW_MEMBER_ACTOR ? SW_MEMBER_COMPROMISED : m->role;

                r = sw__incident_add_member(to, &h, m->host, role, m->since);
                if (r < 0)
                        return r;
                own = sw__incident_member(to, &m->addr, m->realm);
                if (own && m->tainted && !own->tainted) {
                        own->tainted = true; /* the pin moves along */
                        own->host = m->host;
                        m->tainted = false;
                }
        }
        for (i = 0; i < from->n_kept; i++) {
                char *sentence = from->kept[i].sentence;

                from->kept[i].sentence = NULL;
                r = sw__incident_keep(to, &from->kept[i].s, &from->kept[i].actor, sentence);
                if (r < 0)
                        return r;
        }
        from->n_kept = 0;
        to->n_signals += from->n_signals;
        to->first_evidence = incident_earlier(to->first_evidence, from->first_evidence);
        to->last_signal = sw_etime_max(to->last_signal, from->last_signal);
        if (from->severity > to->severity && !to->is_written)
                to->severity = from->severity;
        if (from->risk > to->risk)
                to->risk = from->risk;
        return 0;
}

void sw__incident_taint(struct sw_incident *in, struct sw_view *v, bool on)
{
        uint32_t i;

        for (i = 0; i < in->n_members; i++) {
                struct sw_member *m = &in->members[i];
                const struct sw_host *h;

                if (m->tainted == on || (on && m->role != SW_MEMBER_ACTOR && m->role != SW_MEMBER_COMPROMISED))
                        continue;
                h = sw_view_host(v, m->host);
                if (on && (!h || h->realm != m->realm || sw_addr_cmp(&h->addr, &m->addr) != 0))
                        continue; /* the id went to another host before the incident was written */
                sw_view_taint(v, m->host, on);
                m->tainted = on;
        }
}

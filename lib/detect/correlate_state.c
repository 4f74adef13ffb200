/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"
#include "detect/correlate_int.h"

#define MAX_SENTENCE 65536u
#define MAX_DETECTORS 256u

/* Numbers of detectors in the section and now; SW_N_DETECTORS: gone. */
struct numbers {
        uint32_t n;
        uint16_t now[MAX_DETECTORS];
};

static void numbers_state(struct numbers *m, struct sw_state_io *s)
{
        uint32_t i, k;

        m->n = sw_state_count(s, SW_N_DETECTORS, MAX_DETECTORS, 4);
        for (i = 0; i < m->n; i++) {
                struct sw_str name = sw_state_reads(s) ? SW_STR_NULL : sw_str_of(sw_detectors[i]->name);

                sw_state_text(s, &name, 256);
                for (k = 0; k < SW_N_DETECTORS && !sw_str_eq(name, sw_str_of(sw_detectors[k]->name));)
                        k++;
                m->now[i] = (uint16_t)k;
        }
}

/* Copied as they lie in memory: of another size they cannot be read. */
static void size_state(struct sw_state_io *s, size_t size)
{
        uint32_t n = (uint32_t)size;

        sw_state_u32(s, &n);
        if (n != size)
                sw_state_fail(s);
}

static void budget_state(struct sw_budget *b, struct sw_state_io *s)
{
        uint32_t i;

        sw_state_i64(s, &b->hour);
        for (i = 0; i < SW_SEVERITY_CRITICAL; i++)
                sw_state_u32(s, &b->used[i]);
        sw_state_u64(s, &b->n_folded);
        b->n_storms = sw_state_count(s, b->n_storms, SW_BUDGET_STORMS, sizeof(struct sw_storm));
        for (i = 0; i < b->n_storms; i++)
                sw_state_raw(s, &b->storms[i], sizeof(b->storms[i]));
}

static void facts_state(struct sw_incident *in, struct sw_state_io *s)
{
        uint32_t severity = in->severity;

        sw_state_u64(s, &in->number);
        sw_state_etime(s, &in->opened);
        sw_state_etime(s, &in->created);
        sw_state_etime(s, &in->last_signal);
        sw_state_etime(s, &in->first_evidence);
        sw_state_etime(s, &in->due);
        sw_state_etime(s, &in->written);
        sw_state_raw(s, &in->opener, sizeof(in->opener));
        sw_state_raw(s, in->uid, sizeof(in->uid));
        in->uid[sizeof(in->uid) - 1] = '\0';
        sw_state_bool(s, &in->is_written);
        sw_state_i64(s, &in->folded_hour);
        sw_state_u32(s, &in->sequence);
        sw_state_u32(s, &severity);
        in->severity = (enum sw_severity)severity;
        sw_state_u8(s, &in->risk);
        sw_state_u8(s, &in->risk_written);
        sw_state_u64(s, &in->n_signals);
        sw_state_u32(s, &in->tactics_written);
        sw_state_u32(s, &in->detectors_written);
        sw_state_u32(s, &in->n_compromised_written);
        sw_state_u32(s, &in->n_segments_written);
        if (severity > SW_SEVERITY_CRITICAL)
                sw_state_fail(s);
}

static void *reserve(struct sw_state_io *s, uint32_t n, uint32_t cap, size_t size)
{
        void *p = !s->failed && cap && n <= cap ? sw_calloc(cap, size) : NULL;

        if (cap && !p && !s->failed)
                sw_state_no_memory(s);
        return p;
}

static void members_state(struct sw_incident *in, struct sw_state_io *s)
{
        uint32_t i, actors = 0;

        in->cap_members = sw_state_count(s, in->cap_members, SW_INCIDENT_MEMBERS, 0);
        in->n_members = sw_state_count(s, in->n_members, in->cap_members, sizeof(*in->members));
        if (sw_state_reads(s)) {
                in->members = reserve(s, in->n_members, in->cap_members, sizeof(*in->members));
                in->n_members = in->members ? in->n_members : 0;
        }
        for (i = 0; i < in->n_members; i++) {
                struct sw_member *m = &in->members[i];

                sw_state_raw(s, &m->addr, sizeof(m->addr));
                sw_state_u32(s, &m->host);
                sw_state_raw(s, &m->realm, sizeof(m->realm));
                sw_state_u8(s, &m->role);
                sw_state_bool(s, &m->tainted);
                sw_state_etime(s, &m->since);
                actors += m->role == SW_MEMBER_ACTOR;
                if (m->role > SW_MEMBER_ACTOR)
                        sw_state_fail(s);
        }
        if (actors != 1)
                sw_state_fail(s);
}

static void kept_one_state(struct sw_incident *in, struct sw_state_io *s, const struct numbers *m)
{
        struct sw_kept *k = &in->kept[in->n_kept];
        struct sw_str sentence = sw_str_of(k->sentence);
        uint16_t detector;

        sw_state_raw(s, &k->s, sizeof(k->s));
        sw_state_raw(s, &k->actor, sizeof(k->actor));
        sw_state_text(s, &sentence, MAX_SENTENCE);
        if (!sw_state_reads(s)) {
                in->n_kept++;
                return;
        }
        detector = s->failed || k->s.detector >= m->n ? SW_N_DETECTORS : m->now[k->s.detector];
        if (k->s.n_targets > SW_SIGNAL_TARGETS || k->s.n_chain > SW_SIGNAL_CHAIN ||
                k->s.n_evidence > SW_SIGNAL_EVIDENCE || k->s.service >= SW_N_SERVICES)
                sw_state_fail(s);
        if (s->failed || detector == SW_N_DETECTORS)
                return;
        k->s.detector = detector;
        k->sentence = sw_alloc(sentence.n + 1);
        if (!k->sentence) {
                sw_state_no_memory(s);
                return;
        }
        memcpy(k->sentence, sentence.p, sentence.n);
        k->sentence[sentence.n] = '\0';
        in->n_kept++;
}

static void kept_state(struct sw_incident *in, struct sw_state_io *s, const struct numbers *m)
{
        uint32_t i, n;

        in->cap_kept = sw_state_count(s, in->cap_kept, SW_INCIDENT_SIGNALS, 0);
        n = sw_state_count(s, in->n_kept, in->cap_kept, sizeof(struct sw_signal));
        in->n_kept = 0;
        if (sw_state_reads(s)) {
                in->kept = reserve(s, n, in->cap_kept, sizeof(*in->kept));
                n = in->kept ? n : 0;
        }
        for (i = 0; i < n; i++)
                kept_one_state(in, s, m);
}

static uint64_t incident_bytes(const struct sw_incident *in)
{
        uint64_t n = sizeof(*in) + in->cap_members * sizeof(*in->members) + in->cap_kept * sizeof(*in->kept);
        uint32_t i;

        for (i = 0; i < in->n_kept; i++)
                n += strlen(in->kept[i].sentence) + 1;
        return n;
}

/* More open incidents than anybody has: a damaged file must not take 128 MiB for none. */
#define SLOTS_MAX (1u << 20)

static void incidents_state(struct sw_correlate *c, struct sw_state_io *s, const struct numbers *m)
{
        uint32_t i, n = 0, slot;

        for (i = 0; i < c->n_slots; i++)
                n += c->list[i] != NULL;
        c->n_slots = sw_state_count(s, c->n_slots, SLOTS_MAX, 0);
        n = sw_state_count(s, n, c->n_slots, 64);
        if (sw_state_reads(s)) {
                c->list = reserve(s, n, c->n_slots, sizeof(struct sw_incident *));
                c->n_slots = c->list ? c->n_slots : 0;
        }
        for (i = 0, slot = 0; i < n && !s->failed; i++, slot++) {
                while (!sw_state_reads(s) && !c->list[slot])
                        slot++;
                sw_state_u32(s, &slot);
                if (sw_state_reads(s)) {
                        if (slot >= c->n_slots || c->list[slot]) {
                                sw_state_fail(s);
                                return;
                        }
                        c->list[slot] = sw_calloc(1, sizeof(struct sw_incident));
                        if (!c->list[slot]) {
                                sw_state_no_memory(s);
                                return;
                        }
                        c->list[slot]->slot = slot;
                }
                facts_state(c->list[slot], s);
                members_state(c->list[slot], s);
                kept_state(c->list[slot], s, m);
                if (sw_state_reads(s))
                        c->list[slot]->bytes = incident_bytes(c->list[slot]);
        }
}

struct sw_region sw_correlate_region(struct sw_correlate *c)
{
        return sw_region_table(&c->hosts);
}

void sw_correlate_state(struct sw_correlate *c, struct sw_state_io *s)
{
        struct sw_correlate_stats *t = &c->stats;
        struct numbers m;

        size_state(s, sizeof(struct sw_signal));
        size_state(s, sizeof(struct sw_storm));
        numbers_state(&m, s);
        sw_state_u64(s, &c->n_numbers);
        sw_state_u64(s, &t->incidents_open);
        sw_state_u64(s, &t->incidents_created);
        sw_state_u64(s, &t->incidents_closed);
        sw_state_u64(s, &t->incidents_merged);
        sw_state_u64(s, &t->evicted);
        budget_state(&c->budget, s);
        incidents_state(c, s, &m);
}

void sw_correlate_forget(struct sw_correlate *c)
{
        uint32_t i;

        for (i = 0; i < c->n_slots; i++)
                sw__incident_free(c->list[i]);
        sw_free(c->list);
        c->list = NULL;
        c->n_slots = 0;
        c->n_numbers = 0;
        c->stats = (struct sw_correlate_stats){ 0 };
        memset(&c->budget, 0, sizeof(c->budget));
        c->next = SW_ETIME_NONE;
}

/* What is read as text or used as an index. */
static bool budget_is_sound(const struct sw_budget *b)
{
        uint32_t i;

        if (b->n_storms > SW_BUDGET_STORMS)
                return false;
        for (i = 0; i < b->n_storms; i++) {
                const struct sw_storm *x = &b->storms[i];

                if (!memchr(x->segment, '\0', sizeof(x->segment)) || !memchr(x->uid, '\0', sizeof(x->uid)) ||
                        x->n_hosts > SW_FINDING_HOSTS || x->severity > SW_SEVERITY_CRITICAL)
                        return false;
        }
        return true;
}

int sw_correlate_restored(struct sw_correlate *c)
{
        const struct sw_correlate_host *h;
        uint64_t n = 0;
        uint32_t id;

        for (id = 0; (h = sw_table_next(&c->hosts, &id)); id++)
                if (h->slot >= c->n_slots || !c->list[h->slot] || h->role > SW_MEMBER_ACTOR)
                        return -SW_ERR_DATA;
        for (id = 0; id < c->n_slots; id++)
                n += c->list[id] != NULL;
        if (n != c->stats.incidents_open || !budget_is_sound(&c->budget))
                return -SW_ERR_DATA;
        sw__correlate_plan(c);
        return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "detect/correlate.h"

#include "base/alloc.h"
#include "detect/correlate_int.h"

#include <stdio.h>

#define LINK_MS (24 * SW_HOUR) /* a host that was reached acts for the incident that reached it this long */

int sw_correlate_new(const struct sw_correlate_conf *conf, const struct sw_detector_conf *detectors,
        uint64_t limit_bytes, const struct sw_hash_key *key, struct sw_correlate **ret)
{
        static const struct sw_table_spec spec = { "incident_hosts", 1, sizeof(struct sw_correlate_host),
                sizeof(struct sw_correlate_host_key), NULL };
        struct sw_correlate *c = sw_calloc(1, sizeof(*c));
        int r;

        if (!c)
                return -SW_ERR_NOMEM;
        c->conf = *conf;
        c->detectors = detectors;
        r = sw_table_init(&c->hosts, &spec, (size_t)(limit_bytes / 8), key, NULL);
        if (r < 0) {
                sw_free(c);
                return r;
        }
        c->limit_bytes = limit_bytes - limit_bytes / 8;
        c->next = SW_ETIME_NONE;
        *ret = c;
        return 0;
}

static void correlate_drop(struct sw_correlate *c, struct sw_incident *in)
{
        struct sw_correlate_host *h;
        uint32_t id;

        for (id = 0; (h = sw_table_next(&c->hosts, &id)); id++)
                if (h->slot == in->slot)
                        sw_table_remove_id(&c->hosts, id);
        c->list[in->slot] = NULL;
        c->stats.incidents_open--;
        sw__incident_free(in);
}

struct sw_correlate *sw_correlate_free(struct sw_correlate *c)
{
        uint32_t i;

        if (!c)
                return NULL;
        for (i = 0; i < c->n_slots; i++)
                sw__incident_free(c->list[i]);
        sw_free(c->list);
        sw_table_deinit(&c->hosts);
        sw_buf_deinit(&c->text.title);
        sw_buf_deinit(&c->text.message);
        sw_buf_deinit(&c->text.story);
        sw_buf_deinit(&c->sentence);
        sw_free(c);
        return NULL;
}

static struct sw_etime correlate_due(const struct sw_correlate *c, const struct sw_incident *in)
{
        struct sw_etime close = sw_etime_add(in->last_signal, c->conf.close_ms);

        return sw_etime_is_none(in->due) ? close : sw_etime_min(in->due, close);
}

static struct sw_incident *correlate_first(const struct sw_correlate *c)
{
        struct sw_incident *first = NULL;
        uint32_t i;

        for (i = 0; i < c->n_slots; i++) {
                struct sw_incident *in = c->list[i];
                int64_t a, b;

                if (!in)
                        continue;
                if (!first) {
                        first = in;
                        continue;
                }
                a = correlate_due(c, in).ms;
                b = correlate_due(c, first).ms;
                if (a < b || (a == b && in->number < first->number))
                        first = in;
        }
        return first;
}

void sw__correlate_plan(struct sw_correlate *c)
{
        const struct sw_incident *first = correlate_first(c);

        struct sw_etime storm = sw__budget_next(&c->budget);

        c->next = first ? correlate_due(c, first) : storm;
        if (first && !sw_etime_is_none(storm))
                c->next = sw_etime_min(c->next, storm);
}

void sw_correlate_set_conf(
        struct sw_correlate *c, const struct sw_correlate_conf *conf, const struct sw_detector_conf *detectors)
{
        c->conf = *conf;
        c->detectors = detectors;
        sw__correlate_plan(c);
}

static struct sw_correlate_host_key correlate_key(const struct sw_host *h)
{
        struct sw_correlate_host_key key = { .addr = h->addr, .realm = h->realm };

        return key;
}

/* The incident a host acts for, and as what; NULL if none. */
static struct sw_incident *correlate_find(
        struct sw_correlate *c, const struct sw_host *h, struct sw_etime now, enum sw_member_role *ret_role)
{
        struct sw_correlate_host_key key = correlate_key(h);
        struct sw_correlate_host *e = sw_table_find(&c->hosts, &key);

        if (!e || (e->role == SW_MEMBER_REACHED && now.ms - e->since_ms > LINK_MS))
                return NULL;
        *ret_role = (enum sw_member_role)e->role;
        return c->list[e->slot];
}

/* Enters the incident's acting hosts. One that acts for another incident keeps that one. */
static void correlate_map(struct sw_correlate *c, const struct sw_incident *in)
{
        uint32_t i;

        for (i = 0; i < in->n_members; i++) {
                const struct sw_member *m = &in->members[i];
                struct sw_correlate_host_key key = { .addr = m->addr, .realm = m->realm };
                struct sw_correlate_host *e;
                bool created;

                if (m->role == SW_MEMBER_TARGET)
                        continue;
                e = sw_table_insert(&c->hosts, &key, &created);
                if (!e)
                        continue;
                if (!created && e->slot != in->slot &&
                        (e->role > m->role || (e->role == m->role && e->since_ms >= m->since.ms)))
                        continue;
                e->slot = in->slot;
                e->role = m->role;
                e->since_ms = m->since.ms;
        }
}

/* ---- lines ---- */

static int correlate_send(struct sw_correlate *c, const char *uid, uint32_t sequence, struct sw_etime now)
{
        struct sw_finding *f = &c->finding;
        char text[64];
        int n;

        if (c->text.title.failed || c->text.message.failed || c->text.story.failed)
                return -SW_ERR_NOMEM;
        memcpy(f->uid, uid, sizeof(f->uid));
        f->sequence = sequence;
        n = snprintf(text, sizeof(text), "%s|%u", uid, (unsigned)sequence);
        sw_sha256_128(text, (size_t)n, f->line_uid);
        f->decided = f->logged = now;
        return c->emit(c->ctx, f);
}

static int correlate_write(struct sw_correlate *c, struct sw_view *v, struct sw_incident *in, enum sw_activity activity,
        struct sw_etime now, const char *merged_into)
{
        if (!in->is_written) {
                in->is_written = true;
                in->created = now;
        }
        if (activity != SW_ACTIVITY_CLOSE)
                sw__incident_taint(in, v, true);
        c->finding = (struct sw_finding){ .activity = activity };
        if (merged_into)
                memcpy(c->finding.merged_into, merged_into, sizeof(c->finding.merged_into));
        sw__story_incident(&c->finding, &c->text, v, in);
        in->written = now;
        in->due = SW_ETIME_NONE;
        in->risk_written = in->risk;
        in->tactics_written = sw__risk_tactics(in);
        in->detectors_written = sw__risk_detectors(in);
        in->n_segments_written = sw__risk_segments(in);
        in->n_compromised_written = c->finding.n_compromised_total;
        return correlate_send(c, in->uid, ++in->sequence, now);
}

static uint32_t correlate_n_compromised(const struct sw_incident *in)
{
        uint32_t i, n = 0;

        for (i = 0; i < in->n_members; i++)
                n += in->members[i].role == SW_MEMBER_COMPROMISED;
        return n;
}

/* Worth an update within the coalescing time: more of the same waits for the close. */
static bool correlate_has_news(const struct sw_incident *in)
{
        return in->risk >= in->risk_written + 10 || (sw__risk_tactics(in) & ~in->tactics_written) ||
               (sw__risk_detectors(in) & ~in->detectors_written) || sw__risk_segments(in) > in->n_segments_written ||
               correlate_n_compromised(in) > in->n_compromised_written;
}

static int correlate_storm(struct sw_correlate *c, struct sw_storm *s, struct sw_etime now, bool ends)
{
        sw__budget_tell(s, c->conf.max_per_hour, &c->finding, &c->text);
        if (ends)
                c->finding.activity = SW_ACTIVITY_CLOSE;
        s->n_told = s->n_folded;
        s->due = SW_ETIME_NONE;
        return correlate_send(c, s->uid, ++s->sequence, now);
}

static int correlate_fold(struct sw_correlate *c, const struct sw_budget_fold *what)
{
        struct sw_storm *s = sw__budget_fold(&c->budget, what, c->conf.update_ms);

        return s->sequence == 0 ? correlate_storm(c, s, what->now, false) : 0;
}

/* The hour has brought enough: the incident lives on and may be written in a later hour, or when it is critical. */
static int correlate_fold_incident(
        struct sw_correlate *c, struct sw_view *v, struct sw_incident *in, struct sw_etime now)
{
        const struct sw_member *actor = sw__incident_actor(in);
        struct sw_budget_fold what = { .segment = sw_str_of(sw__story_segment(v, in)->name),
                .actor = actor->addr,
                .severity = in->severity,
                .risk = in->risk,
                .first = in->first_evidence,
                .now = now,
                .again = in->folded_hour == sw__budget_hour(now) };

        in->folded_hour = sw__budget_hour(now);
        sw__incident_taint(in, v, true);
        return correlate_fold(c, &what);
}

/* Scores the incident anew and writes what must not wait. */
static int correlate_reconsider(struct sw_correlate *c, struct sw_view *v, struct sw_incident *in, struct sw_etime now)
{
        enum sw_severity before = in->severity, severity;
        uint8_t risk = sw__risk_score(v, in, now);

        if (risk > in->risk)
                in->risk = risk;
        severity = sw__risk_severity(in, in->risk, c->detectors);
        if (severity > in->severity)
                in->severity = severity;
        if (!in->is_written) {
                /* Risk 0: only says who sits at a jump host. */
                if (in->severity < c->conf.min_severity || in->risk == 0)
                        return 0;
                if (!sw__budget_take(&c->budget, c->conf.max_per_hour, in->severity, now))
                        return correlate_fold_incident(c, v, in, now);
                return correlate_write(c, v, in, SW_ACTIVITY_CREATE, now, NULL);
        }
        if (in->severity > before)
                return correlate_write(c, v, in, SW_ACTIVITY_UPDATE, now, NULL);
        if (sw_etime_is_none(in->due) && correlate_has_news(in)) {
                in->due = sw_etime_add(now, c->conf.update_ms);
        }
        return 0;
}

static int correlate_close(
        struct sw_correlate *c, struct sw_view *v, struct sw_incident *in, struct sw_etime now, const char *merged_into)
{
        int r = 0;

        if (in->is_written)
                r = correlate_write(c, v, in, SW_ACTIVITY_CLOSE, now, merged_into);
        sw__incident_taint(in, v, false);
        c->stats.incidents_closed++;
        correlate_drop(c, in);
        return r;
}

/* ---- one signal ---- */

static uint64_t correlate_bytes(const struct sw_correlate *c)
{
        uint64_t n = 0;
        uint32_t i;

        for (i = 0; i < c->n_slots; i++)
                n += c->list[i] ? c->list[i]->bytes : 0;
        return n;
}

/* Makes room: those not written yet go first, then the least risk, then the oldest; never `spare`. */
static int correlate_evict(
        struct sw_correlate *c, struct sw_view *v, const struct sw_incident *spare, struct sw_etime now)
{
        uint64_t bytes = correlate_bytes(c);
        int r;

        while (bytes > c->limit_bytes) {
                struct sw_incident *victim = NULL;
                uint32_t i;

                for (i = 0; i < c->n_slots; i++) {
                        struct sw_incident *in = c->list[i];

                        if (!in || in == spare)
                                continue;
                        if (!victim || in->is_written < victim->is_written ||
                                (in->is_written == victim->is_written &&
                                        (in->risk < victim->risk ||
                                                (in->risk == victim->risk && in->number < victim->number))))
                                victim = in;
                }
                if (!victim)
                        return 0;
                bytes -= victim->bytes;
                c->stats.evicted++;
                r = correlate_close(c, v, victim, now, NULL);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int correlate_open(struct sw_correlate *c, const struct sw_view *v, const struct sw_signal *s, uint32_t host,
        struct sw_incident **ret)
{
        const struct sw_host *h = sw_view_host(v, host);
        struct sw_incident **list;
        uint32_t slot = 0;

        while (slot < c->n_slots && c->list[slot])
                slot++;
        if (slot == c->n_slots) {
                uint32_t n = c->n_slots ? c->n_slots * 2 : 16, i;

                list = sw_realloc_array(c->list, n, sizeof(*list));
                if (!list)
                        return -SW_ERR_NOMEM;
                for (i = c->n_slots; i < n; i++)
                        list[i] = NULL;
                c->list = list;
                c->n_slots = n;
        }
        *ret = sw__incident_new(s->time, h, host, sw_segments_realm_name(sw_view_segments(v), h->realm));
        if (!*ret)
                return -SW_ERR_NOMEM;
        c->list[slot] = *ret;
        (*ret)->slot = slot;
        (*ret)->number = c->n_numbers++;
        c->stats.incidents_open++;
        c->stats.incidents_created++;
        return 0;
}

/* Emitted beats not yet emitted, then earlier opening, then smaller id. */
static bool correlate_survives(const struct sw_incident *a, const struct sw_incident *b)
{
        char x[33], y[33];

        if (a->is_written != b->is_written)
                return a->is_written;
        if (a->opened.ms != b->opened.ms)
                return a->opened.ms < b->opened.ms;
        sw__incident_uid(a, x);
        sw__incident_uid(b, y);
        return strcmp(x, y) < 0;
}

/* *inout is the incident of the chain's root: its actor stays the actor, whoever survives. */
static int correlate_merge(struct sw_correlate *c, struct sw_view *v, struct sw_incident **inout,
        struct sw_incident *other, struct sw_etime now)
{
        const struct sw_member actor = *sw__incident_actor(*inout);
        struct sw_incident *to = *inout, *from = other;
        struct sw_member *m;
        char uid[33];
        int r;

        if (correlate_survives(other, *inout)) {
                to = other;
                from = *inout;
        }
        if (from->is_written) { /* then the survivor is written too, and its id is fixed */
                sw__incident_uid(to, uid);
                r = correlate_write(c, v, from, SW_ACTIVITY_CLOSE, now, uid);
                if (r < 0)
                        return r;
        }
        r = sw__incident_merge(to, from);
        if (r < 0)
                return r;
        m = sw__incident_member(to, &actor.addr, actor.realm);
        if (m)
                sw__incident_set_actor(to, m);
        sw__incident_taint(from, v, false);
        c->stats.incidents_merged++;
        c->stats.incidents_closed++;
        correlate_drop(c, from);
        *inout = to;
        return 0;
}

/* Whose incident a signal feeds. The Internet scans everybody all day: a public address has no incident of its own.
 * What it enters is the subject, and the address its entry. False: nothing inside was touched. */
static bool correlate_subject(const struct sw_view *v, const struct sw_signal *s, uint32_t *ret)
{
        const struct sw_host *h = sw_view_host(v, s->actor);

        *ret = s->actor;
        if (!h)
                return false;
        if (h->segment != SW_SEGMENT_INTERNET)
                return true;
        *ret = s->targets[0];
        return s->detector == SW_DETECTOR_EXPOSED_ADMIN && s->n_targets > 0 && s->variant >= SW_EXPOSED_ADMIN_ANSWERS &&
               sw_view_host(v, *ret) != NULL;
}

static bool correlate_acts(const struct sw_signal *s)
{
        return s->detector != SW_DETECTOR_SEGMENT_POLICY && s->detector != SW_DETECTOR_EXPOSED_ADMIN;
}

static bool correlate_reaches(const struct sw_signal *s)
{
        return s->detector == SW_DETECTOR_ADMIN_FANOUT || s->detector == SW_DETECTOR_NEW_ADMIN_EDGE ||
               s->detector == SW_DETECTOR_PIVOT_CHAIN;
}

static int correlate_add_id(
        struct sw_incident *in, const struct sw_view *v, uint32_t host, enum sw_member_role role, struct sw_etime since)
{
        const struct sw_host *h = sw_view_host(v, host);

        return h ? sw__incident_add_member(in, h, host, role, since) : 0;
}

/* Takes the signal's hosts into the incident; a chain joins the incidents of its pivots. */
static int correlate_members(struct sw_correlate *c, struct sw_view *v, struct sw_incident **inout,
        const struct sw_signal *s, uint32_t subject)
{
        struct sw_incident *in = *inout;
        uint32_t i;
        int r = 0;

        if (subject != s->actor) { /* from the Internet */
                r = correlate_add_id(in, v, s->actor, SW_MEMBER_ENTRY, s->time);
                return r;
        }
        for (i = 0; i < s->n_targets && r == 0; i++)
                r = correlate_add_id(
                        in, v, s->targets[i], correlate_reaches(s) ? SW_MEMBER_REACHED : SW_MEMBER_TARGET, s->time);
        for (i = 0; i < s->n_chain && r == 0; i++) {
                const struct sw_host *h = sw_view_host(v, s->chain[i]);
                enum sw_member_role role;
                struct sw_incident *other;

                if (!h || s->chain[i] == s->actor || i + 1 == s->n_chain)
                        continue;
                if (h->segment == SW_SEGMENT_INTERNET) {
                        r = correlate_add_id(in, v, s->chain[i], SW_MEMBER_ENTRY, s->time);
                        continue;
                }
                if (s->variant == SW_PIVOT_CHAIN_JUMP)
                        continue; /* a declared jump host is nobody's victim for passing things on */
                other = correlate_find(c, h, s->time, &role);
                if (other && other != in && role >= SW_MEMBER_COMPROMISED) {
                        r = correlate_merge(c, v, inout, other, sw_etime_max(sw_view_now(v), s->time));
                        in = *inout;
                }
                if (r == 0)
                        r = correlate_add_id(in, v, s->chain[i], SW_MEMBER_COMPROMISED, s->time);
        }
        return r;
}

static char *correlate_sentence(struct sw_correlate *c, const struct sw_view *v, const struct sw_signal *s)
{
        sw_buf_reset(&c->sentence);
        sw_detectors[s->detector]->tell(&c->sentence, v, s);
        sw_buf_putc(&c->sentence, '\0');
        return c->sentence.failed ? NULL : sw_strdup(c->sentence.p);
}

/* A policy row that was broken is a finding of its own, once a UTC day. */
static int correlate_own_finding(
        struct sw_correlate *c, const struct sw_view *v, const struct sw_signal *s, const char *sentence)
{
        const struct sw_host *h = sw_view_host(v, s->actor);
        struct sw_etime now = sw_etime_max(sw_view_now(v), s->time);
        char addr[SW_ADDR_TEXT], uid[33];
        struct sw_buf text = SW_BUF_NULL;

        if (c->conf.min_severity > SW_SEVERITY_MEDIUM || !h)
                return 0;
        sw_buf_printf(&text, "%s|%u|%s|", sw_detectors[s->detector]->name, (unsigned)h->realm,
                sw_addr_format(&h->addr, addr));
        sw_buf_puts(&text, sw_view_segment(v, s->src_segment)->name);
        sw_buf_putc(&text, '>');
        sw_buf_puts(&text, sw_view_segment(v, s->dst_segment)->name);
        sw_buf_printf(&text, ":%u/%u|%u", s->port, s->proto, (unsigned)sw_etime_day(s->time));
        if (text.failed) {
                sw_buf_deinit(&text);
                return -SW_ERR_NOMEM;
        }
        sw_sha256_128(text.p, text.n, uid);
        sw_buf_deinit(&text);
        if (!sw__budget_take(&c->budget, c->conf.max_per_hour, SW_SEVERITY_UNKNOWN, now))
                return correlate_fold(
                        c, &(struct sw_budget_fold){ .segment = sw_str_of(sw_view_segment(v, s->src_segment)->name),
                                   .actor = h->addr,
                                   .severity = SW_SEVERITY_MEDIUM,
                                   .risk = sw__risk_gain(s),
                                   .first = s->first,
                                   .now = now });
        c->finding = (struct sw_finding){ .activity = SW_ACTIVITY_CREATE, .severity = SW_SEVERITY_MEDIUM };
        sw__story_signal(&c->finding, &c->text, v, s, sentence);
        c->finding.created = now;
        return correlate_send(c, uid, 1, now);
}

static int correlate_feed(
        struct sw_correlate *c, struct sw_view *v, const struct sw_signal *s, uint32_t subject, char *sentence)
{
        const struct sw_host *h = sw_view_host(v, subject), *actor = sw_view_host(v, s->actor);
        enum sw_member_role role = SW_MEMBER_ACTOR;
        struct sw_incident *in = correlate_find(c, h, s->time, &role);
        struct sw_etime now = sw_etime_max(sw_view_now(v), s->time);
        int r = 0;

        if (in && role == SW_MEMBER_REACHED) {
                if (correlate_acts(s))
                        r = sw__incident_add_member(in, h, subject, SW_MEMBER_COMPROMISED, s->time);
                else
                        in = NULL;
        }
        if (!in)
                r = correlate_open(c, v, s, subject, &in);
        if (r == 0)
                r = correlate_members(c, v, &in, s, subject);
        if (r < 0) {
                sw_free(sentence);
                return r;
        }
        r = sw__incident_keep(in, s, &actor->addr, sentence);
        if (r < 0)
                return r;
        in->n_signals++;
        in->last_signal = sw_etime_max(in->last_signal, s->time);
        if (sw_etime_is_none(in->first_evidence) || s->first.ms < in->first_evidence.ms)
                in->first_evidence = s->first;
        correlate_map(c, in);
        if (in->is_written)
                sw__incident_taint(in, v, true);
        r = correlate_reconsider(c, v, in, now);
        return r < 0 ? r : correlate_evict(c, v, in, now);
}

int sw_correlate_signal(
        struct sw_correlate *c, struct sw_view *v, const struct sw_signal *s, sw_finding_sink emit, void *ctx)
{
        enum sw_detector_mode mode = c->detectors[s->detector].mode;
        uint32_t subject;
        char *sentence;
        int r = 0;

        if (mode == SW_MODE_SHADOW || mode == SW_MODE_OFF)
                return 0;
        c->emit = emit;
        c->ctx = ctx;
        sentence = correlate_sentence(c, v, s);
        if (!sentence)
                return -SW_ERR_NOMEM;
        if (s->detector == SW_DETECTOR_SEGMENT_POLICY && s->variant == SW_SEGMENT_POLICY_FINDING)
                r = correlate_own_finding(c, v, s, sentence);
        if (r < 0 || !correlate_subject(v, s, &subject)) {
                sw_free(sentence);
                return r;
        }
        r = correlate_feed(c, v, s, subject, sentence);
        sw__correlate_plan(c);
        return r;
}

/* ---- timers ---- */

struct sw_etime sw_correlate_next(const struct sw_correlate *c)
{
        return c->next;
}

static int correlate_storm_due(struct sw_correlate *c, struct sw_etime at)
{
        bool ends;
        struct sw_storm *s = sw__budget_due(&c->budget, at, &ends);
        int r = correlate_storm(c, s, at, ends);

        if (ends)
                sw__budget_drop(&c->budget, s);
        return r;
}

int sw_correlate_advance(
        struct sw_correlate *c, struct sw_view *v, struct sw_etime now, sw_finding_sink emit, void *ctx)
{
        int r = 0;

        c->emit = emit;
        c->ctx = ctx;
        for (;;) {
                struct sw_incident *in;
                struct sw_etime at;

                sw__correlate_plan(c);
                at = c->next;
                if (sw_etime_is_none(at) || at.ms > now.ms)
                        break;
                if (sw__budget_next(&c->budget).ms == at.ms) {
                        r = correlate_storm_due(c, at);
                        if (r < 0)
                                break;
                        continue;
                }
                in = correlate_first(c);
                if (at.ms >= in->last_signal.ms + c->conf.close_ms)
                        r = correlate_close(c, v, in, at, NULL);
                else
                        r = correlate_write(c, v, in, SW_ACTIVITY_UPDATE, at, NULL);
                if (r < 0)
                        break;
        }
        return r;
}

struct sw_correlate_stats sw_correlate_stats(const struct sw_correlate *c)
{
        struct sw_correlate_stats s = c->stats;

        s.folded = c->budget.n_folded;
        s.bytes = correlate_bytes(c) + c->hosts.bytes;
        return s;
}

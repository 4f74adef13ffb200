/* SPDX-License-Identifier: Apache-2.0 */
#include "detect/incident.h"
#include "detect/raise.h"

#include <stdlib.h>

#define STORY_LINES 24u
#define TITLE_NOUNS 5u

const struct sw_member *sw__incident_actor(const struct sw_incident *in)
{
        uint32_t i;

        for (i = 0; i < in->n_members; i++)
                if (in->members[i].role == SW_MEMBER_ACTOR)
                        return &in->members[i];
        return NULL;
}

static uint32_t story_best(const struct sw_incident *in)
{
        uint32_t i, best = 0;

        for (i = 1; i < in->n_kept; i++)
                if (sw__risk_gain(&in->kept[i].s) > sw__risk_gain(&in->kept[best].s))
                        best = i;
        return best;
}

/* Kept signals by time; equal times in order of arrival (the list is never reordered, so indexes tell). */
static uint32_t story_order(const struct sw_incident *in, uint32_t order[SW_INCIDENT_SIGNALS])
{
        uint32_t i, k;

        for (i = 0; i < in->n_kept; i++) {
                for (k = i; k > 0 && in->kept[order[k - 1]].s.time.ms > in->kept[i].s.time.ms; k--)
                        order[k] = order[k - 1];
                order[k] = i;
        }
        return in->n_kept;
}

static void story_technique(struct sw_finding *f, const struct sw_technique *t)
{
        uint32_t i;

        for (i = 0; i < f->n_techniques; i++)
                if (strcmp(f->techniques[i].uid, t->uid) == 0)
                        return;
        if (f->n_techniques < SW_FINDING_TECHNIQUES)
                f->techniques[f->n_techniques++] =
                        (struct sw_finding_technique){ t->uid, t->name, t->tactic_uid, t->tactic_name };
}

static void story_signal_facts(struct sw_finding *f, const struct sw_signal *s)
{
        const struct sw_detector *d = sw_detectors[s->detector];
        uint32_t i;

        for (i = 0; d->techniques[i].uid && i < 16; i++)
                if (s->techniques & (1u << i))
                        story_technique(f, &d->techniques[i]);
        for (i = 0; i < f->n_detectors && strcmp(f->detectors[i], d->name) != 0;)
                i++;
        if (i == f->n_detectors && i < sizeof(f->detectors) / sizeof(f->detectors[0]))
                f->detectors[f->n_detectors++] = d->name;
}

static void story_rule(struct sw_finding *f, struct sw_str rule)
{
        uint32_t i;

        if (rule.n == 0)
                return;
        for (i = 0; i < f->n_rules; i++)
                if (sw_str_eq(f->rules[i], rule))
                        return;
        if (f->n_rules < SW_FINDING_RULES)
                f->rules[f->n_rules++] = rule;
}

static void story_evidence(
        struct sw_finding *f, const struct sw_view *v, const struct sw_evidence *e, const struct sw_detector *d)
{
        struct sw_finding_evidence *to;
        struct sw_rule rule = sw_view_rule(v, e->rule);
        struct sw_sensor sensor = sw_view_sensor(v, e->sensor);

        if (e->outcome != SW_OUTCOME_DENIED)
                story_rule(f, rule.name);
        if (f->n_evidence == SW_FINDING_EVIDENCE)
                return;
        to = &f->evidence[f->n_evidence++];
        *to = (struct sw_finding_evidence){
                .tuple = *e,
                .detector = d->name,
                .src_segment = sw_str_of(sw_view_segment(v, e->src_segment)->name),
                .dst_segment = sw_str_of(sw_view_segment(v, e->dst_segment)->name),
                .acl = rule.acl,
                .rule = rule.name,
                .flow_log = sensor.flow_log,
                .target = sensor.target,
                .mac = sensor.mac,
        };
}

/* The first tuple of each of the 16 best signals, in order of time. */
static void story_add_evidence(
        struct sw_finding *f, const struct sw_view *v, const struct sw_incident *in, const uint32_t *order, uint32_t n)
{
        uint32_t i, k;

        for (i = 0; i < n; i++) {
                const struct sw_kept *kept = &in->kept[order[i]];
                uint32_t better = 0;

                f->n_evidence_total += kept->s.n_evidence;
                for (k = 0; k < n; k++) {
                        uint8_t mine = sw__risk_gain(&kept->s), its = sw__risk_gain(&in->kept[order[k]].s);

                        better += its > mine || (its == mine && k < i);
                }
                if (better < SW_FINDING_EVIDENCE && kept->s.n_evidence > 0)
                        story_evidence(f, v, &kept->s.evidence[0], sw_detectors[kept->s.detector]);
        }
}

static int story_cmp_addr(const void *a, const void *b)
{
        return sw_addr_cmp(a, b);
}

static void story_add_hosts(struct sw_finding *f, const struct sw_incident *in)
{
        uint32_t i;

        for (i = 0; i < in->n_members; i++) {
                const struct sw_member *m = &in->members[i];

                if (m->role == SW_MEMBER_COMPROMISED) {
                        if (f->n_compromised < SW_FINDING_HOSTS)
                                f->compromised[f->n_compromised++] = m->addr;
                        f->n_compromised_total++;
                } else if (m->role == SW_MEMBER_TARGET || m->role == SW_MEMBER_REACHED) {
                        if (f->n_targets < SW_FINDING_HOSTS)
                                f->targets[f->n_targets++] = m->addr;
                        f->n_targets_total++;
                }
        }
        for (i = 0; i < in->n_kept; i++)
                if (in->kept[i].s.n_targets_total > f->n_targets_total)
                        f->n_targets_total = in->kept[i].s.n_targets_total;
        qsort(f->compromised, f->n_compromised, sizeof(f->compromised[0]), story_cmp_addr);
        qsort(f->targets, f->n_targets, sizeof(f->targets[0]), story_cmp_addr);
}

static void story_addr(struct sw_buf *out, const struct sw_addr *a)
{
        char text[SW_ADDR_TEXT];

        sw_buf_puts(out, sw_addr_format(a, text));
}

static uint32_t story_segment_of(const struct sw_view *v, const struct sw_member *m, uint32_t otherwise)
{
        const struct sw_host *h = sw_view_host(v, m->host);

        return h && sw_addr_cmp(&h->addr, &m->addr) == 0 ? h->segment : otherwise;
}

static void story_title(
        struct sw_buf *out, const struct sw_view *v, const struct sw_incident *in, const uint32_t *order, uint32_t n)
{
        unsigned tactics = sw__risk_tactics(in), seen = 0;
        uint32_t i, n_nouns = 0;

        sw_buf_puts(out, tactics & (1u << 8)   ? "Lateral movement from "
                         : tactics & (1u << 7) ? "Reconnaissance from "
                                               : "Suspicious access to ");
        story_addr(out, &sw__incident_actor(in)->addr);
        for (i = 0; i < n; i++) {
                const struct sw_signal *s = &in->kept[order[i]].s;

                if ((seen & (1u << s->detector)) || s->weight_pct == 0 || n_nouns == TITLE_NOUNS)
                        continue;
                seen |= 1u << s->detector;
                sw_buf_puts(out, n_nouns++ == 0 ? ": " : ", ");
                sw_buf_puts(out, sw_detectors[s->detector]->noun);
        }
        sw_buf_puts(out, " to ");
        sw_say_segment(out, v, in->kept[story_best(in)].s.dst_segment);
}

static bool story_is_entry(const struct sw_incident *in, const struct sw_addr *a)
{
        uint32_t i;

        for (i = 0; i < in->n_members; i++)
                if (in->members[i].role == SW_MEMBER_ENTRY && sw_addr_cmp(&in->members[i].addr, a) == 0)
                        return true;
        return false;
}

static void story_entry(struct sw_buf *out, const struct sw_incident *in)
{
        uint32_t i;

        for (i = 0; i < in->n_members; i++)
                if (in->members[i].role == SW_MEMBER_ENTRY) {
                        sw_buf_puts(out, ", entered from ");
                        story_addr(out, &in->members[i].addr);
                        return;
                }
}

static void story_message(
        struct sw_buf *out, const struct sw_view *v, const struct sw_incident *in, const struct sw_finding *f)
{
        const struct sw_kept *best = &in->kept[story_best(in)];
        const struct sw_member *actor = sw__incident_actor(in);

        if (sw_addr_cmp(&best->actor, &actor->addr) == 0 || !story_is_entry(in, &best->actor)) {
                story_addr(out, &actor->addr);
                sw_buf_puts(out, " (");
                sw_say_segment(out, v, story_segment_of(v, actor, best->s.src_segment));
                story_entry(out, in);
                sw_buf_puts(out, ") ");
                if (sw_addr_cmp(&best->actor, &actor->addr) != 0) {
                        sw_buf_puts(out, "acts through ");
                        story_addr(out, &best->actor);
                        sw_buf_puts(out, ", which ");
                }
        } else {
                story_addr(out, &best->actor);
                sw_buf_putc(out, ' ');
        }
        sw_buf_puts(out, best->sentence);
        if (in->n_signals > 1) {
                sw_buf_puts(out, "; in all ");
                sw_say_count(out, in->n_signals, "signal", "signals");
                sw_buf_puts(out, " of ");
                sw_say_count(out, f->n_detectors, "kind", "kinds");
                sw_buf_puts(out, " within ");
                sw_say_span(out, f->last.ms - f->first.ms);
                sw_buf_puts(out, " against ");
                sw_say_count(out, f->n_targets_total, "host", "hosts");
                if (f->n_compromised_total > 0) {
                        sw_buf_puts(out, ", and ");
                        sw_say_count(out, f->n_compromised_total, "host", "hosts");
                        sw_buf_puts(out, " that it seems to control");
                }
        }
        sw_buf_putc(out, '.');
}

static void story_lines(struct sw_buf *out, const struct sw_incident *in, const uint32_t *order, uint32_t n)
{
        uint32_t i, from = n > STORY_LINES ? n - STORY_LINES / 2 : n;
        char when[SW_ETIME_TEXT];

        for (i = 0; i < n; i++) {
                const struct sw_kept *k = &in->kept[order[i]];

                if (n > STORY_LINES && i == STORY_LINES / 2) {
                        sw_buf_printf(out, "... %u more ...\n", (unsigned)(from - i));
                        i = from;
                        k = &in->kept[order[i]];
                }
                sw_buf_puts(out, sw_etime_format(k->s.time, when));
                sw_buf_putc(out, ' ');
                story_addr(out, &k->actor);
                sw_buf_putc(out, ' ');
                sw_buf_puts(out, k->sentence);
                sw_buf_puts(out, i + 1 < n ? ".\n" : ".");
        }
}

static struct sw_str story_text(const struct sw_buf *b)
{
        return b->failed ? SW_STR_NULL : (struct sw_str){ b->p, b->n };
}

static void story_texts(struct sw_finding *f, const struct sw_story_text *text)
{
        f->title = story_text(&text->title);
        f->message = story_text(&text->message);
        f->story = story_text(&text->story);
}

const struct sw_segment *sw__story_segment(const struct sw_view *v, const struct sw_incident *in)
{
        return sw_view_segment(v, story_segment_of(v, sw__incident_actor(in), in->kept[story_best(in)].s.src_segment));
}

void sw__story_incident(
        struct sw_finding *f, struct sw_story_text *text, const struct sw_view *v, const struct sw_incident *in)
{
        const struct sw_member *actor = sw__incident_actor(in);
        const struct sw_signal *best = &in->kept[story_best(in)].s;
        uint32_t order[SW_INCIDENT_SIGNALS], n = story_order(in, order), i;

        f->kind = SW_FINDING_INCIDENT;
        f->severity = in->severity;
        f->risk = in->risk;
        f->confidence_pct = best->confidence_pct;
        f->first = in->first_evidence;
        f->last = in->last_signal;
        f->created = in->created;
        f->n_signals = in->n_signals;
        f->detector = sw_str_of(sw_detectors[best->detector]->name);
        f->detector_code = sw_str_of(sw_detectors[best->detector]->code);
        f->actor = actor->addr;
        f->actor_segment = sw_str_of(sw_view_segment(v, story_segment_of(v, actor, best->src_segment))->name);
        f->target_segment = sw_str_of(sw_view_segment(v, best->dst_segment)->name);
        for (i = 0; i < n; i++)
                story_signal_facts(f, &in->kept[order[i]].s);
        story_add_hosts(f, in);
        story_add_evidence(f, v, in, order, n);
        sw_buf_reset(&text->title);
        sw_buf_reset(&text->message);
        sw_buf_reset(&text->story);
        story_title(&text->title, v, in, order, n);
        story_message(&text->message, v, in, f);
        story_lines(&text->story, in, order, n);
        story_texts(f, text);
}

void sw__story_signal(struct sw_finding *f, struct sw_story_text *text, const struct sw_view *v,
        const struct sw_signal *s, const char *sentence)
{
        const struct sw_host *actor = sw_view_host(v, s->actor);
        char when[SW_ETIME_TEXT];
        uint32_t i;

        f->kind = SW_FINDING_DETECTOR;
        f->risk = sw__risk_gain(s);
        f->confidence_pct = s->confidence_pct;
        f->first = s->first;
        f->last = s->last;
        f->n_signals = 1;
        f->detector = sw_str_of(sw_detectors[s->detector]->name);
        f->detector_code = sw_str_of(sw_detectors[s->detector]->code);
        f->actor = actor ? actor->addr : SW_ADDR_NULL;
        f->actor_segment = sw_str_of(sw_view_segment(v, s->src_segment)->name);
        f->target_segment = sw_str_of(sw_view_segment(v, s->dst_segment)->name);
        story_signal_facts(f, s);
        for (i = 0; i < s->n_targets; i++) {
                const struct sw_host *h = sw_view_host(v, s->targets[i]);

                if (h)
                        f->targets[f->n_targets++] = h->addr;
        }
        f->n_targets_total = s->n_targets_total;
        for (i = 0; i < s->n_evidence; i++)
                story_evidence(f, v, &s->evidence[i], sw_detectors[s->detector]);
        f->n_evidence_total = s->n_evidence;
        sw_buf_reset(&text->title);
        sw_buf_reset(&text->message);
        sw_buf_reset(&text->story);
        sw_buf_puts(&text->title, sw_detectors[s->detector]->title);
        sw_buf_puts(&text->title, ": ");
        sw_say_port(&text->title, s->proto, s->port);
        sw_buf_puts(&text->title, " from ");
        sw_say_segment(&text->title, v, s->src_segment);
        sw_buf_puts(&text->title, " to ");
        sw_say_segment(&text->title, v, s->dst_segment);
        story_addr(&text->message, &f->actor);
        sw_buf_putc(&text->message, ' ');
        sw_buf_puts(&text->message, sentence);
        sw_buf_putc(&text->message, '.');
        sw_buf_puts(&text->story, sw_etime_format(s->time, when));
        sw_buf_putc(&text->story, ' ');
        sw_buf_put(&text->story, text->message.p, text->message.n);
        story_texts(f, text);
}

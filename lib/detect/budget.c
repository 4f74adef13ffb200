/* SPDX-License-Identifier: Apache-2.0 */
#include "detect/budget.h"

#include "detect/raise.h"

#include <stdio.h>

bool sw__budget_take(struct sw_budget *b, uint32_t per_hour, enum sw_severity severity, struct sw_etime now)
{
        int64_t hour = sw__budget_hour(now);
        unsigned i;
        uint64_t n = 0;

        if (severity >= SW_SEVERITY_CRITICAL)
                return true;
        if (hour != b->hour) {
                memset(b->used, 0, sizeof(b->used));
                b->hour = hour;
        }
        for (i = severity; i < SW_SEVERITY_CRITICAL; i++) {
                n += b->used[i];
                if (i == SW_SEVERITY_UNKNOWN)
                        break;
        }
        if (per_hour != 0 && n >= per_hour)
                return false;
        b->used[severity]++;
        return true;
}

static void budget_name(struct sw_str segment, char ret[SW_BUDGET_SEGMENT])
{
        size_t n = segment.n < SW_BUDGET_SEGMENT - 1 ? segment.n : SW_BUDGET_SEGMENT - 1;

        /* cut between characters */
        while (n < segment.n && n > 0 && ((unsigned char)segment.p[n] & 0xc0) == 0x80)
                n--;
        memset(ret, 0, SW_BUDGET_SEGMENT);
        if (n)
                memcpy(ret, segment.p, n);
}

static struct sw_storm *budget_storm(struct sw_budget *b, struct sw_str segment, int64_t hour, struct sw_etime now)
{
        char name[SW_BUDGET_SEGMENT], text[SW_BUDGET_SEGMENT + 48];
        struct sw_storm *s;
        uint32_t i;
        int n;

        budget_name(segment, name);
        for (i = 0; i < b->n_storms; i++)
                if (b->storms[i].hour == hour && strcmp(b->storms[i].segment, name) == 0)
                        return &b->storms[i];
        if (b->n_storms >= SW_BUDGET_STORMS - 1) {
                memset(name, 0, sizeof(name));
                for (i = 0; i < b->n_storms; i++)
                        if (b->storms[i].hour == hour && b->storms[i].segment[0] == '\0')
                                return &b->storms[i];
        }
        /* Time does not go back, so a full list holds storms that are over; their last line is lost, not their count.
         */
        if (b->n_storms == SW_BUDGET_STORMS)
                sw__budget_drop(b, &b->storms[0]);
        s = &b->storms[b->n_storms++];
        *s = (struct sw_storm){ .hour = hour, .created = now, .first = now, .last = now, .due = SW_ETIME_NONE };
        memcpy(s->segment, name, sizeof(name));
        n = snprintf(text, sizeof(text), "alert_storm|%s|%lld", name, (long long)hour);
        sw_sha256_128(text, (size_t)n, s->uid);
        return s;
}

static void budget_host(struct sw_storm *s, const struct sw_addr *a)
{
        uint32_t i;

        for (i = 0; i < s->n_hosts; i++)
                if (sw_addr_cmp(&s->hosts[i], a) == 0)
                        return;
        if (s->n_hosts < SW_FINDING_HOSTS)
                s->hosts[s->n_hosts++] = *a;
}

struct sw_storm *sw__budget_fold(struct sw_budget *b, const struct sw_budget_fold *what, int64_t update_ms)
{
        struct sw_storm *s = budget_storm(b, what->segment, sw__budget_hour(what->now), what->now);

        if (!what->again) {
                s->n_folded++;
                b->n_folded++;
        }
        budget_host(s, &what->actor);
        if (what->severity > s->severity)
                s->severity = what->severity;
        if (what->risk > s->risk)
                s->risk = what->risk;
        if (!sw_etime_is_none(what->first))
                s->first = sw_etime_min(s->first, what->first);
        s->last = sw_etime_max(s->last, what->now);
        if (s->sequence > 0 && sw_etime_is_none(s->due) && s->n_folded > s->n_told)
                s->due = sw_etime_add(what->now, update_ms);
        return s;
}

static struct sw_etime budget_end(const struct sw_storm *s)
{
        return (struct sw_etime){ (s->hour + 1) * SW_HOUR };
}

static struct sw_etime budget_due_at(const struct sw_storm *s)
{
        struct sw_etime end = budget_end(s);

        return sw_etime_is_none(s->due) ? end : sw_etime_min(s->due, end);
}

struct sw_etime sw__budget_next(const struct sw_budget *b)
{
        struct sw_etime next = SW_ETIME_NONE;
        uint32_t i;

        for (i = 0; i < b->n_storms; i++) {
                struct sw_etime t = budget_due_at(&b->storms[i]);

                next = sw_etime_is_none(next) ? t : sw_etime_min(next, t);
        }
        return next;
}

struct sw_storm *sw__budget_due(struct sw_budget *b, struct sw_etime now, bool *ret_ends)
{
        struct sw_etime next = sw__budget_next(b);
        uint32_t i;

        if (sw_etime_is_none(next) || next.ms > now.ms)
                return NULL;
        for (i = 0; i < b->n_storms; i++)
                if (budget_due_at(&b->storms[i]).ms == next.ms) {
                        *ret_ends = budget_end(&b->storms[i]).ms == next.ms;
                        return &b->storms[i];
                }
        return NULL;
}

void sw__budget_drop(struct sw_budget *b, struct sw_storm *s)
{
        uint32_t i = (uint32_t)(s - b->storms);

        memmove(s, s + 1, (size_t)(b->n_storms - i - 1) * sizeof(*s));
        b->n_storms--;
}

static void budget_where(struct sw_buf *out, const struct sw_storm *s)
{
        if (s->segment[0])
                sw_buf_printf(out, "segment %s", s->segment);
        else
                sw_buf_puts(out, "several segments");
}

void sw__budget_tell(const struct sw_storm *s, uint32_t per_hour, struct sw_finding *f, struct sw_story_text *text)
{
        char from[SW_ETIME_TEXT], addr[SW_ADDR_TEXT];
        struct sw_buf *m = &text->message;

        sw_buf_reset(&text->title);
        sw_buf_reset(m);
        sw_buf_reset(&text->story);
        sw_buf_puts(&text->title, "Alert storm: ");
        sw_say_count(&text->title, s->n_folded, "finding", "findings");
        sw_buf_puts(&text->title, " from ");
        budget_where(&text->title, s);
        sw_buf_puts(m, "Since ");
        sw_buf_puts(m, sw_etime_format(s->created, from));
        sw_buf_putc(m, ' ');
        budget_where(m, s);
        sw_buf_puts(m, " brought ");
        sw_say_count(m, s->n_folded, "new finding", "new findings");
        sw_buf_printf(m,
                " beyond the %u an hour that incidents.max_per_hour allows, the worst with risk %u, the first about ",
                (unsigned)per_hour, (unsigned)s->risk);
        sw_buf_puts(m, sw_addr_format(&s->hosts[0], addr));
        sw_buf_puts(m, "; they are folded into this one, none of them is critical, and signals.jsonl has all of their "
                       "signals.");
        sw_buf_put(&text->story, m->p, m->n);
        *f = (struct sw_finding){ .kind = SW_FINDING_INCIDENT,
                .severity = (enum sw_severity)s->severity,
                .risk = (uint8_t)s->risk,
                .confidence_pct = 50,
                .first = s->first,
                .last = s->last,
                .created = s->created,
                .n_signals = s->n_folded,
                .title = { text->title.p, text->title.n },
                .message = { m->p, m->n },
                .story = { text->story.p, text->story.n },
                .detector = SW_STR("alert_storm"),
                .detector_code = SW_STR("D00"),
                .actor = s->hosts[0],
                .actor_segment = sw_str_of(s->segment),
                .n_compromised = s->n_hosts,
                .n_compromised_total = s->n_folded > UINT32_MAX ? UINT32_MAX : (uint32_t)s->n_folded };
        memcpy(f->compromised, s->hosts, s->n_hosts * sizeof(*s->hosts));
        f->activity = s->sequence == 0 ? SW_ACTIVITY_CREATE : SW_ACTIVITY_UPDATE;
}

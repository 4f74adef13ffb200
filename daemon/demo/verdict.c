/* SPDX-License-Identifier: Apache-2.0 */
/* Reads what a SOC reads, the lines of the alert file, and compares it with what the scenario hid. */
#include "demo/demo.h"

#include "base/alloc.h"
#include "base/time.h"
#include "model/finding.h"
#include "term.h"

#include <stdio.h>
#include <string.h>

void sw_demo_verdict_init(struct sw_demo_verdict *v, const struct sw_scenario *truth)
{
        *v = (struct sw_demo_verdict){ .truth = truth };
}

void sw_demo_verdict_deinit(struct sw_demo_verdict *v)
{
        uint32_t i;

        for (i = 0; i < v->n; i++)
                sw_free(v->items[i].message);
        sw_free(v->items);
        *v = (struct sw_demo_verdict){ 0 };
}

static uint32_t verdict_n_steps(const struct sw_demo_verdict *v)
{
        uint32_t n = sw_scenario_n_steps(v->truth);

        return n < SW_DEMO_STEPS ? n : SW_DEMO_STEPS;
}

/* An address that acted in the attack: an actor of a step, or a host that a pivot went through. */
static bool verdict_guilty(const struct sw_demo_verdict *v, struct sw_str text)
{
        struct sw_addr a;
        uint32_t i, k;

        if (!text.p || !sw_addr_parse(text, &a))
                return false;
        for (i = 0; i < sw_scenario_n_steps(v->truth); i++) {
                struct sw_scenario_step s = sw_scenario_step(v->truth, i);

                if (sw_addr_cmp(&a, &s.actor) == 0)
                        return true;
                for (k = 0; strcmp(s.name, "pivot") == 0 && k < s.n_hosts; k++)
                        if (sw_addr_cmp(&a, &s.hosts[k]) == 0)
                                return true;
        }
        return false;
}

static bool verdict_about_attack(const struct sw_demo_verdict *v, const struct sw_json *own)
{
        const struct sw_json *i;

        if (verdict_guilty(v, sw_json_str(sw_json_get(own, "actor"))))
                return true;
        for (i = sw_json_first(sw_json_get(own, "compromised")); i; i = sw_json_next(i))
                if (verdict_guilty(v, sw_json_str(i)))
                        return true;
        return false;
}

static struct sw_demo_incident *verdict_item(struct sw_demo_verdict *v, struct sw_str uid)
{
        uint32_t i;

        for (i = 0; i < v->n; i++)
                if (sw_str_eq(uid, sw_str_of(v->items[i].uid)))
                        return &v->items[i];
        if (v->n == v->cap) {
                uint32_t cap = v->cap ? v->cap * 2 : 16;
                void *p = sw_realloc_array(v->items, cap, sizeof(*v->items));

                if (!p)
                        return NULL;
                v->items = p;
                v->cap = cap;
        }
        v->items[v->n] = (struct sw_demo_incident){ 0 };
        memcpy(v->items[v->n].uid, uid.p, uid.n);
        return &v->items[v->n++];
}

/* "a,b" names the word. */
static bool verdict_names(const char *list, struct sw_str word)
{
        for (;; list++) {
                size_t n = strcspn(list, ",");

                if (n == word.n && memcmp(list, word.p, n) == 0)
                        return true;
                list += n;
                if (*list == '\0')
                        return false;
        }
}

static bool verdict_hits(const struct sw_scenario_step *s, struct sw_str text)
{
        struct sw_addr a;
        uint32_t k = strcmp(s->name, "pivot") == 0 ? s->n_hosts - 1 : 0; /* a pivot is found at its last hop */

        if (!text.p || !sw_addr_parse(text, &a))
                return false;
        for (; k < s->n_hosts; k++)
                if (sw_addr_cmp(&a, &s->hosts[k]) == 0)
                        return true;
        return false;
}

/* The one of the step's detectors that contributed to the finding; NULL: none did. */
static struct sw_str verdict_detector(const struct sw_json *own, const char *detectors)
{
        const struct sw_json *i;

        for (i = sw_json_first(sw_json_get(own, "detectors")); i; i = sw_json_next(i))
                if (verdict_names(detectors, sw_json_str(i)))
                        return sw_json_str(i);
        return SW_STR_NULL;
}

/* A tuple of the step is in evidence: to one of its hosts, within its time. */
static bool verdict_has_tuple(const struct sw_scenario_step *s, const struct sw_json *j)
{
        const struct sw_json *i;
        int64_t at;

        for (i = sw_json_first(sw_json_get(j, "evidences")); i; i = sw_json_next(i))
                if (sw_json_i64(sw_json_get(sw_json_get(i, "data"), "time"), &at) && at >= s->first.ms &&
                        at <= s->last.ms + SW_SECOND &&
                        verdict_hits(s, sw_json_str(sw_json_get(sw_json_get(i, "dst_endpoint"), "ip"))))
                        return true;
        return false;
}

static bool verdict_has_host(const struct sw_scenario_step *s, const struct sw_json *own)
{
        static const char *const lists[] = { "targets", "compromised" };
        const struct sw_json *i;
        unsigned k;

        for (k = 0; k < 2; k++)
                for (i = sw_json_first(sw_json_get(own, lists[k])); i; i = sw_json_next(i))
                        if (verdict_hits(s, sw_json_str(i)))
                                return true;
        return false;
}

/* A finding names a step if the step's detector contributed to it and either a tuple of the step is in evidence (that
 * list is short), or the line was decided after the step began and one of its hosts is named. */
static void verdict_steps(struct sw_demo_verdict *v, uint32_t item, const struct sw_json *j, int64_t time)
{
        const struct sw_json *own = sw_json_get(j, "unmapped");
        uint32_t i;

        for (i = 0; i < verdict_n_steps(v); i++) {
                struct sw_scenario_step s = sw_scenario_step(v->truth, i);
                struct sw_str detector = verdict_detector(own, s.detectors);

                if (v->steps[i].time || !detector.p)
                        continue;
                if (!verdict_has_tuple(&s, j) && (time < s.first.ms || !verdict_has_host(&s, own)))
                        continue;
                v->steps[i].time = time;
                v->steps[i].item = item;
                snprintf(v->steps[i].detector, sizeof(v->steps[i].detector), "%.*s", (int)detector.n, detector.p);
        }
}

static int verdict_line(struct sw_demo_verdict *v, const struct sw_json *j)
{
        const struct sw_json *info = sw_json_get(j, "finding_info"), *own = sw_json_get(j, "unmapped");
        struct sw_str uid = sw_json_str(sw_json_get(info, "uid")), kind = sw_json_str(sw_json_get(own, "kind")), text;
        struct sw_demo_incident *item;
        int64_t time = 0, severity = 0;

        if (!uid.p || uid.n == 0 || uid.n > 32)
                return 0;
        v->n_lines++;
        if (sw_str_eq(kind, SW_STR("health"))) {
                v->n_health++;
                return 0;
        }
        item = verdict_item(v, uid);
        if (!item)
                return -SW_ERR_NOMEM;
        if (!sw_json_i64(sw_json_get(info, "modified_time"), &time))
                sw_json_i64(sw_json_get(j, "time"), &time);
        sw_json_i64(sw_json_get(j, "severity_id"), &severity);
        item->severity = (uint8_t)severity;
        item->detector = sw_str_eq(kind, SW_STR("detector"));
        item->attack = item->attack || verdict_about_attack(v, own);
        item->first = item->first ? item->first : time;
        item->last = time;
        text = sw_json_str(sw_json_get(own, "merged_into"));
        if (text.p && text.n <= 32)
                memcpy(item->merged_into, text.p, text.n);
        text = sw_json_str(sw_json_get(j, "message"));
        sw_free(item->message);
        item->message = sw_alloc(text.n + 1);
        if (!item->message)
                return -SW_ERR_NOMEM;
        if (text.n)
                memcpy(item->message, text.p, text.n);
        item->message[text.n] = '\0';
        if (!item->attack)
                return 0;
        verdict_steps(v, (uint32_t)(item - v->items), j, time);
        return 0;
}

int sw_demo_verdict_add(struct sw_demo_verdict *v, struct sw_str line)
{
        struct sw_json *j = sw_json_parse(line);
        int r = j ? verdict_line(v, j) : 0;

        sw_json_free(j);
        return r;
}

/* The incident that an incident ended up in. */
static uint32_t verdict_root(const struct sw_demo_verdict *v, uint32_t i)
{
        uint32_t k, hops;

        for (hops = 0; hops < v->n && v->items[i].merged_into[0]; hops++) {
                for (k = 0; k < v->n && strcmp(v->items[k].uid, v->items[i].merged_into) != 0; k++)
                        ;
                if (k == v->n)
                        break;
                i = k;
        }
        return i;
}

uint32_t sw_demo_verdict_false(const struct sw_demo_verdict *v)
{
        uint32_t i, n = 0;

        for (i = 0; i < v->n; i++)
                n += !v->items[i].attack && !v->items[verdict_root(v, i)].attack;
        return n;
}

bool sw_demo_verdict_complete(const struct sw_demo_verdict *v)
{
        uint32_t i, n = verdict_n_steps(v);

        for (i = 0; i < n; i++)
                if (!v->steps[i].time || verdict_root(v, v->steps[i].item) != verdict_root(v, v->steps[0].item))
                        return false;
        return n > 0;
}

/* "09:40" of an event time */
static const char *verdict_clock(int64_t ms, char buf[SW_ETIME_TEXT])
{
        sw_etime_format((struct sw_etime){ ms }, buf);
        buf[16] = '\0';
        return buf + 11;
}

static void verdict_print_step(const struct sw_demo_verdict *v, uint32_t i, struct sw_buf *out)
{
        struct sw_scenario_step s = sw_scenario_step(v->truth, i);
        char actor[SW_ADDR_TEXT], host[SW_ADDR_TEXT], from[SW_ETIME_TEXT], at[SW_ETIME_TEXT];

        sw_buf_printf(out, "  %u. %-8s %s  %s -> %s", i + 1, s.name, verdict_clock(s.first.ms, from),
                sw_addr_format(&s.actor, actor), s.n_hosts ? sw_addr_format(&s.hosts[0], host) : "?");
        if (s.n_hosts > 1)
                sw_buf_printf(out, " and %u more", s.n_hosts - 1);
        sw_buf_printf(out, "\n     %s\n     ", s.what);
        if (v->steps[i].time)
                sw_buf_printf(out, "found by %s, written at %s, incident %.8s\n", v->steps[i].detector,
                        verdict_clock(v->steps[i].time, at), v->items[verdict_root(v, v->steps[i].item)].uid);
        else
                sw_buf_printf(out, "NOT found (looked for %s)\n", s.detectors);
}

void sw_demo_verdict_print(const struct sw_demo_verdict *v, struct sw_buf *out)
{
        char at[SW_ETIME_TEXT];
        uint32_t i, n_shown = 0;

        sw_buf_puts(out, "What was hidden, and what was found (event time, UTC):\n\n");
        for (i = 0; i < verdict_n_steps(v); i++)
                verdict_print_step(v, i, out);
        sw_buf_printf(out, "\nFalse findings: %u\n", sw_demo_verdict_false(v));
        for (i = 0; i < v->n && n_shown < 10; i++) {
                if (v->items[i].attack || v->items[verdict_root(v, i)].attack)
                        continue;
                n_shown++;
                sw_buf_printf(out, "  %s %.8s ", verdict_clock(v->items[i].first, at), v->items[i].uid);
                sw_term_put(out, sw_str_of(v->items[i].message));
                sw_buf_putc(out, '\n');
        }
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Counts findings by rule, severity and activity, and how long after its time each was written. A line says all of that
 * itself, whoever wrote it; findings are few. */
#include "base/json.h"
#include "daemon_int.h"
#include "detect/detector.h"

#include <string.h>

const int64_t sw__tally_bounds_ms[SW__DAEMON_LATENCIES] = { 10 * SW_SECOND, 30 * SW_SECOND, SW_MINUTE, 2 * SW_MINUTE,
        5 * SW_MINUTE, 10 * SW_MINUTE, 20 * SW_MINUTE, SW_HOUR, 6 * SW_HOUR };

const char *sw__tally_rule(unsigned rule)
{
        return rule < SW_N_DETECTORS ? sw_detectors[rule]->name : rule == SW_N_DETECTORS ? "incident" : "health";
}

static unsigned tally_rule_of(const struct sw_json *line)
{
        struct sw_str kind = sw_json_str(sw_json_at(line, "unmapped.kind")),
                      name = sw_json_str(sw_json_at(line, "finding_info.analytic.name"));
        unsigned i;

        if (sw_str_eq(kind, SW_STR("health")))
                return SW_N_DETECTORS + 1;
        for (i = 0; i < SW_N_DETECTORS && !sw_str_eq(kind, SW_STR("incident")); i++)
                if (sw_str_eq(name, sw_str_of(sw_detectors[i]->name)))
                        return i;
        return SW_N_DETECTORS;
}

static void tally_latency(struct sw__daemon_tally *t, const struct sw_json *line)
{
        int64_t logged, decided, ms;
        unsigned i;

        if (!sw_json_i64(sw_json_at(line, "metadata.logged_time"), &logged) ||
                !sw_json_i64(sw_json_at(line, "finding_info.modified_time"), &decided))
                return;
        ms = logged > decided ? logged - decided : 0;
        for (i = 0; i < SW__DAEMON_LATENCIES && ms > sw__tally_bounds_ms[i]; i++)
                ;
        atomic_fetch_add_explicit(&t->latency[i], 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&t->latency_sum_ms, ms, memory_order_relaxed);
}

/* Cut between characters. */
static void tally_text(char *to, size_t size, struct sw_str s)
{
        size_t n = s.n < size - 1 ? s.n : size - 1;

        while (n < s.n && n > 0 && ((unsigned char)s.p[n] & 0xc0) == 0x80)
                n--;
        if (n)
                memcpy(to, s.p, n);
        to[n] = '\0';
}

static void tally_keep(struct sw__daemon_tally *t, const struct sw_json *line, const char *rule)
{
        struct sw__daemon_recent *r;
        int64_t v;

        pthread_mutex_lock(&t->lock);
        r = &t->recent[t->n_recent++ % SW__DAEMON_RECENT];
        r->severity = sw_json_i64(sw_json_get(line, "severity_id"), &v) && v >= 0 && v <= SW_SEVERITY_CRITICAL
                              ? (uint8_t)v
                              : SW_SEVERITY_UNKNOWN;
        r->activity =
                sw_json_i64(sw_json_get(line, "activity_id"), &v) && v >= 0 && v <= SW_ACTIVITY_CLOSE ? (uint8_t)v : 0;
        r->logged.ms = sw_json_i64(sw_json_at(line, "metadata.logged_time"), &v) ? v : INT64_MIN;
        tally_text(r->rule, sizeof(r->rule), sw_str_of(rule));
        tally_text(r->uid, sizeof(r->uid), sw_json_str(sw_json_at(line, "finding_info.uid")));
        tally_text(r->message, sizeof(r->message), sw_json_str(sw_json_get(line, "message")));
        pthread_mutex_unlock(&t->lock);
}

unsigned sw__tally_recent(struct sw_daemon *d, struct sw__daemon_recent *ret, unsigned max)
{
        struct sw__daemon_tally *t = &d->tally;
        unsigned n = max < SW__DAEMON_RECENT ? max : SW__DAEMON_RECENT, i;

        pthread_mutex_lock(&t->lock);
        if (t->n_recent < n)
                n = (unsigned)t->n_recent;
        for (i = 0; i < n; i++)
                ret[i] = t->recent[(t->n_recent - 1 - i) % SW__DAEMON_RECENT];
        pthread_mutex_unlock(&t->lock);
        return n;
}

static void tally_line(struct sw__daemon_tally *t, struct sw_str text)
{
        struct sw_json *line = sw_json_parse(text);
        unsigned rule = tally_rule_of(line);
        int64_t severity, activity;

        if (sw_json_i64(sw_json_get(line, "severity_id"), &severity) &&
                sw_json_i64(sw_json_get(line, "activity_id"), &activity) && severity >= 0 &&
                severity <= SW_SEVERITY_CRITICAL && activity >= 0 && activity <= SW_ACTIVITY_CLOSE)
                atomic_fetch_add_explicit(&t->findings[rule][severity][activity], 1, memory_order_relaxed);
        if (line)
                tally_keep(t, line, sw__tally_rule(rule));
        if (line && rule != SW_N_DETECTORS + 1) /* health has no event time */
                tally_latency(t, line);
        sw_json_free(line);
}

/* Calls back for each line of a text. */
static void tally_each(
        struct sw__daemon_tally *t, struct sw_str lines, void (*each)(struct sw__daemon_tally *t, struct sw_str line))
{
        while (lines.n > 0) {
                const char *end = memchr(lines.p, '\n', lines.n);
                size_t n = end ? (size_t)(end - lines.p) : lines.n;

                each(t, (struct sw_str){ lines.p, n });
                n += end != NULL;
                lines = (struct sw_str){ lines.p + n, lines.n - n };
        }
}

void sw__daemon_tally(struct sw_daemon *d, struct sw_str lines)
{
        tally_each(&d->tally, lines, tally_line);
}

/* ---- suppressed signals ---- */

static void tally_suppressed_line(struct sw__daemon_tally *t, struct sw_str text)
{
        struct sw_json *line = sw_json_parse(text);
        char id[sizeof(t->suppressed[0].id)];
        unsigned i;

        tally_text(id, sizeof(id), sw_json_str(sw_json_get(line, "suppression")));
        sw_json_free(line);
        pthread_mutex_lock(&t->lock);
        for (i = 0; i < t->n_suppressed && strcmp(t->suppressed[i].id, id) != 0;)
                i++;
        if (i == t->n_suppressed && i < SW__DAEMON_SUPPRESSIONS) {
                memcpy(t->suppressed[i].id, id, sizeof(id));
                t->n_suppressed++;
        }
        t->suppressed[i].n++;
        pthread_mutex_unlock(&t->lock);
}

void sw__tally_suppressed(struct sw_daemon *d, struct sw_str lines)
{
        tally_each(&d->tally, lines, tally_suppressed_line);
}

unsigned sw__tally_suppressions(struct sw_daemon *d, struct sw__daemon_suppressed *ret)
{
        struct sw__daemon_tally *t = &d->tally;
        unsigned n;

        pthread_mutex_lock(&t->lock);
        n = t->n_suppressed + (t->suppressed[SW__DAEMON_SUPPRESSIONS].n > 0);
        memcpy(ret, t->suppressed, n * sizeof(*ret));
        pthread_mutex_unlock(&t->lock);
        return n;
}

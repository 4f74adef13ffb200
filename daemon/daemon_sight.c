/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon_sight.h"

#include "daemon_keeper.h"

#include "base/alloc.h"
#include "clock.h"

#include <string.h>
#include <sys/statvfs.h>

#define SIGHT_RATE_S 10u                 /* rates are of the last seconds */
#define SIGHT_BEHIND_MS (15 * SW_MINUTE) /* flow logs come minutes late by themselves */
#define SIGHT_HANG_MS (60 * SW_SECOND)
#define SIGHT_DISK_MS (2 * SW_SECOND)

const char *const sw_sight_trouble_names[SW_SIGHT_N_TROUBLES] = {
#define SW_SIGHT_TROUBLE_NAME(id, name) name,
        SW_SIGHT_TROUBLE_MAP(SW_SIGHT_TROUBLE_NAME)
#undef SW_SIGHT_TROUBLE_NAME
};

/* ---- once a second ---- */

static void sight_sample_source(struct sw__daemon_source *s, int64_t now)
{
        struct sw__daemon_count c = sw__daemon_count(s->daemon, s->index);
        struct sw_source_stats k;

        sw__daemon_source_stats(s, &k);
        s->samples[s->n_samples++ % SW__DAEMON_SAMPLES] =
                (struct sw__daemon_sample){ .at_ms = now, .messages = k.messages, .records = c.records, .lag = k.lag };
}

/* Pool thread. */
static void sight_disk_work(void *ctx)
{
        struct sw_daemon *d = ctx;
        struct sw__daemon_disk *k = &d->disk_next;
        const struct sw_conf *c = &d->boot->conf;
        struct statvfs v;

        k->known = statvfs(c->state.dir, &v) == 0;
        if (k->known) {
                k->state_free = (uint64_t)v.f_bavail * v.f_frsize;
                k->state_size = (uint64_t)v.f_blocks * v.f_frsize;
                k->known = statvfs(c->alerts.file, &v) == 0;
        }
        if (k->known) {
                k->alerts_free = (uint64_t)v.f_bavail * v.f_frsize;
                k->alerts_size = (uint64_t)v.f_blocks * v.f_frsize;
        }
}

static void sight_disk_done(void *ctx)
{
        struct sw_daemon *d = ctx;

        d->disk = d->disk_next;
        d->disk.looking = false;
}

void sw__sight_sample(struct sw_daemon *d)
{
        int64_t now = sw_clock_mono().ms;
        uint32_t i;

        for (i = 0; i < d->n_sources; i++)
                sight_sample_source(&d->sources[i], now);
        if (!d->disk.looking &&
                (!d->disk.known || (now - d->started.ms) / SW_SECOND % (SIGHT_DISK_MS / SW_SECOND) == 0))
                d->disk.looking = sw_loop_work(d->loop, sight_disk_work, sight_disk_done, d) == 0;
        if (d->n_findings_at == 0 || now - d->findings_at_ms >= SW_MINUTE) {
                d->findings_at[d->n_findings_at++ % 60] = atomic_load(&d->n_findings);
                d->findings_at_ms = now;
        }
}

/* ---- one look ---- */

static const struct sw__daemon_sample *sight_back(const struct sw__daemon_source *s, unsigned seconds)
{
        unsigned have = s->n_samples < SW__DAEMON_SAMPLES ? s->n_samples : SW__DAEMON_SAMPLES;

        if (have < 2)
                return NULL;
        if (seconds > have - 1)
                seconds = have - 1;
        return &s->samples[(s->n_samples - 1 - seconds) % SW__DAEMON_SAMPLES];
}

static int64_t sight_rate(uint64_t before, uint64_t now, int64_t ms)
{
        return ms > 0 && now > before ? (int64_t)((now - before) * 1000 / (uint64_t)ms) : 0;
}

static int64_t sight_eta(const struct sw__daemon_source *s)
{
        const struct sw__daemon_sample *now = sight_back(s, 0), *then = sight_back(s, SW__DAEMON_SAMPLES - 1);
        int64_t ms, gone;

        if (!now || now->lag < 0 || then->lag <= now->lag)
                return -1;
        ms = now->at_ms - then->at_ms;
        gone = then->lag - now->lag;
        return (int64_t)((double)now->lag / (double)gone * (double)ms);
}

static void sight_source(struct sw__daemon_source *s, struct sw_wall now, struct sw__sight_source *ret)
{
        const struct sw__daemon_sample *newest = sight_back(s, 0), *then = sight_back(s, SIGHT_RATE_S);
        const struct sw_daemon *d = s->daemon;
        uint32_t i;

        *ret = (struct sw__sight_source){
                .conf = s->conf, .kafka = s->kafka, .last_record = s->last_record, .eta_ms = -1
        };
        sw__daemon_source_stats(s, &ret->stats);
        ret->count = sw__daemon_count(d, s->index);
        for (i = 0; i < d->n_parts; i++)
                ret->n_left_behind += d->parts[i]->source == s->index && d->parts[i]->left_behind;
        if (newest) {
                ret->messages_per_s = sight_rate(then->messages, newest->messages, newest->at_ms - then->at_ms);
                ret->records_per_s = sight_rate(then->records, newest->records, newest->at_ms - then->at_ms);
        }
        ret->catching_up = !d->paused && ret->stats.lag > 0 && ret->stats.n_at_end < ret->stats.n_partitions &&
                           !sw_etime_is_none(ret->count.newest) && now.ms - ret->count.newest.ms > SIGHT_BEHIND_MS;
        if (ret->catching_up)
                ret->eta_ms = sight_eta(s);
}

/* Nothing was heard of any source yet. */
static bool sight_is_starting(const struct sw__sight *s)
{
        uint32_t i;

        for (i = 0; i < s->n_sources; i++)
                if (s->sources[i].stats.n_partitions > 0 || s->sources[i].stats.failing)
                        return false;
        return true;
}

static void sight_troubles(const struct sw_daemon *d, struct sw__sight *s)
{
        uint32_t i;

        s->hangs = sw__daemon_hangs(d, d->watchdog_ms ? d->watchdog_ms : SIGHT_HANG_MS);
        s->trouble[SW_SIGHT_HANGS] = s->hangs != NULL;
        s->trouble[SW_SIGHT_DISK] = sw__daemon_is_blocked(d) || sw_alert_export_is_blocked(d->alerts);
        s->trouble[SW_SIGHT_STARTING] = sight_is_starting(s);
        s->trouble[SW_SIGHT_PAUSED] = d->paused;
        s->trouble[SW_SIGHT_RECOVERING] = d->keeper->repeating;
        for (i = 0; i < s->n_sources; i++) {
                const struct sw__sight_source *k = &s->sources[i];

                s->trouble[SW_SIGHT_BROKER] |= k->stats.failing;
                if (!k->catching_up)
                        continue;
                s->eta_ms = k->eta_ms < 0 || (s->trouble[SW_SIGHT_CATCHING_UP] && s->eta_ms < 0) ? -1
                            : s->eta_ms > k->eta_ms                                              ? s->eta_ms
                                                                                                 : k->eta_ms;
                s->trouble[SW_SIGHT_CATCHING_UP] = true;
        }
}

uint64_t sw__sight_hour(const struct sw_daemon *d)
{
        return atomic_load(&d->n_findings) - (d->n_findings_at < 60 ? 0 : d->findings_at[d->n_findings_at % 60]);
}

int sw__sight_look(struct sw_daemon *d, struct sw__sight *ret)
{
        uint32_t i;

        *ret = (struct sw__sight){ .now = sw_clock_wall(), .eta_ms = -1, .n_sources = d->n_sources };
        ret->sources = sw_calloc(d->n_sources + 1, sizeof(*ret->sources));
        if (!ret->sources)
                return -SW_ERR_NOMEM;
        ret->up_ms = sw_clock_mono().ms - d->started.ms;
        sw_pipeline_progress(d->pipeline, &ret->progress);
        sw_pipeline_look(d->pipeline, &ret->engine);
        for (i = 0; i < d->n_sources; i++)
                sight_source(&d->sources[i], ret->now, &ret->sources[i]);
        ret->findings = atomic_load(&d->n_findings);
        ret->quarantined = atomic_load(&d->n_quarantined);
        ret->findings_hour = sw__sight_hour(d);
        ret->n_recent = sw__tally_recent(d, ret->recent, SW__DAEMON_RECENT);
        ret->n_suppressed = sw__tally_suppressions(d, ret->suppressed);
        sight_troubles(d, ret);
        return 0;
}

void sw__sight_deinit(struct sw__sight *s)
{
        sw_free(s->sources);
        s->sources = NULL;
        s->n_sources = 0;
}

/* ---- words ---- */

static void sight_names(const struct sw__sight *s, bool (*is)(const struct sw__sight_source *), struct sw_buf *out)
{
        bool first = true;
        uint32_t i;

        for (i = 0; i < s->n_sources; i++)
                if (is(&s->sources[i])) {
                        sw_buf_printf(out, "%s%s", first ? "" : ", ", s->sources[i].conf->name);
                        first = false;
                }
}

static bool sight_fails(const struct sw__sight_source *s)
{
        return s->stats.failing;
}

static bool sight_catches_up(const struct sw__sight_source *s)
{
        return s->catching_up;
}

void sw__sight_tell(const struct sw_daemon *d, const struct sw__sight *s, enum sw_sight_trouble t, struct sw_buf *out)
{
        switch (t) {
        case SW_SIGHT_HANGS:
                sw_buf_printf(out, "the thread '%s' has not moved for more than %lld s", s->hangs,
                        (long long)((d->watchdog_ms ? d->watchdog_ms : SIGHT_HANG_MS) / SW_SECOND));
                break;
        case SW_SIGHT_DISK:
                sw_buf_printf(out, "a disk is full (%s, %s): %s", d->boot->conf.state.dir, d->boot->conf.alerts.file,
                        sw__daemon_is_blocked(d) ? "reading waits for it" : "findings wait in the outbox");
                break;
        case SW_SIGHT_STARTING:
                sw_buf_puts(out, "starting: nothing was heard of any source yet");
                break;
        case SW_SIGHT_BROKER:
                sw_buf_puts(out, "cannot be read, the log says why: ");
                sight_names(s, sight_fails, out);
                break;
        case SW_SIGHT_CATCHING_UP:
                sw_buf_puts(out, "catching up: ");
                sight_names(s, sight_catches_up, out);
                if (s->eta_ms >= 0)
                        sw_buf_printf(out, ", about %lld s to go", (long long)(s->eta_ms / SW_SECOND));
                else
                        sw_buf_puts(out, ", and not known how long");
                break;
        case SW_SIGHT_PAUSED:
                sw_buf_puts(out, "paused: `segwatch ctl resume` goes on");
                break;
        case SW_SIGHT_RECOVERING:
                sw__keeper_repeat_text(d, out);
                break;
        case SW_SIGHT_N_TROUBLES:
                break;
        }
}

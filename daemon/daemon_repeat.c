/* SPDX-License-Identifier: Apache-2.0 */
/* After a start: the releases that came after the snapshot are made again. Each partition is consumed exactly to the
 * place that the row names, and waits there (its source parks it) until the others are there as well; then the row goes
 * into the ring behind what was consumed, and the next one is prepared. Nobody waits for the engine. */
#include "clock.h"
#include "daemon_keeper.h"

#include <string.h>

#define REPEAT_PATIENCE_MS (10 * SW_MINUTE)
#define REPEAT_FILE_PATIENCE_MS (5 * SW_SECOND) /* a file that is not there does not come back like a broker */

static bool repeat_is_same(const struct sw_consumed *a, const struct sw_consumed *b)
{
        return a->next == b->next && a->inode == b->inode;
}

static const struct sw_consumed *repeat_place(const struct sw__keeper_row *row, uint32_t id)
{
        return id < row->n_places && row->places[id].next >= 0 ? &row->places[id] : NULL;
}

int64_t sw__keeper_until(const struct sw_daemon *d, uint32_t id)
{
        const struct sw__keeper *k = d->keeper;
        const struct sw_consumed *place;

        if (!k->repeating)
                return SW_SOURCE_EVERYTHING;
        place = k->at_row < k->n_rows && id < k->n_places && !k->lost[id] ? repeat_place(&k->rows[k->at_row], id)
                                                                          : NULL;
        return place ? place->next : id < k->n_places && k->places[id].next >= 0 ? k->places[id].next : 0;
}

int64_t sw__keeper_seen(const struct sw_daemon *d, uint32_t id)
{
        const struct sw__keeper *k = d->keeper;
        const struct sw_consumed *place = NULL;

        if (k->repeating && k->n_rows > 0)
                place = repeat_place(&k->rows[k->n_rows - 1], id);
        return place ? place->next : -1;
}

static void repeat_park(struct sw_daemon *d, uint32_t id)
{
        const struct sw_consumed nothing = { .next = 0 };

        sw__daemon_until(d, id, &nothing, 0);
}

void sw__keeper_lost(struct sw_daemon *d, uint32_t id)
{
        struct sw__keeper *k = d->keeper;
        const struct sw__daemon_part *p = d->parts[id];

        if (!k->repeating || id >= k->n_places || k->lost[id])
                return;
        k->lost[id] = true;
        repeat_park(d, id);
        sw_log_each(d->log, SW_LOG_WARNING, "recovery", p->source_name,
                "what was read of partition %d of %s after the snapshot cannot be read again: its tuples are missing "
                "in what is repeated",
                p->number, p->topic);
}

/* Lets every partition go to where the row has it. */
static int repeat_prepare(struct sw_daemon *d, const struct sw__keeper_row *row)
{
        struct sw__keeper *k = d->keeper;
        struct sw__daemon_conf *c = sw__keeper_conf(d, row->conf);
        uint32_t i;
        int r = 0;

        if (c && c->sequence != d->conf_sequence)
                r = sw__daemon_configure(d, c);
        for (i = 0; i < k->n_places && r == 0; i++) {
                const struct sw_consumed *to = repeat_place(row, i), *from = &k->places[i];

                if (!to)
                        continue;
                if (d->parts[i]->source == SW__DAEMON_NO_SOURCE)
                        sw__keeper_lost(d, i);
                /* it was made anew while we ran, too: from here on it is the one that is there */
                if (k->lost[i] && d->parts[i]->source != SW__DAEMON_NO_SOURCE && from->next >= 0 &&
                        (to->inode != from->inode || to->next < from->next))
                        k->lost[i] = false;
                if (!k->lost[i])
                        sw__daemon_until(d, i, to, from->inode);
        }
        return r;
}

static bool repeat_reached(struct sw_daemon *d, const struct sw__keeper_row *row)
{
        struct sw__keeper *k = d->keeper;
        uint32_t i;

        for (i = 0; i < k->n_places; i++) {
                const struct sw_consumed *to = repeat_place(row, i);

                if (to && !k->lost[i] && !repeat_is_same(to, &k->places[i]) && !sw__daemon_reached(d, i, to))
                        return false;
        }
        return true;
}

static int64_t repeat_patience(const struct sw_daemon *d, uint32_t id)
{
        const struct sw__daemon_source *s = &d->sources[d->parts[id]->source];
        struct sw_source_stats stats;

        if (!s->tail)
                return REPEAT_PATIENCE_MS;
        sw__daemon_source_stats(s, &stats);
        return stats.failing || stats.ended ? REPEAT_FILE_PATIENCE_MS : REPEAT_PATIENCE_MS;
}

/* Who cannot be reached for long is gone on without. */
static void repeat_lose_patience(struct sw_daemon *d, const struct sw__keeper_row *row)
{
        struct sw__keeper *k = d->keeper;
        int64_t now = sw_clock_mono().ms;
        uint32_t i;

        if (d->n_submitted != k->repeat_submitted) {
                k->repeat_submitted = d->n_submitted;
                k->repeat_moved_ms = now;
        }
        for (i = 0; i < k->n_places; i++) {
                const struct sw_consumed *to = repeat_place(row, i);
                struct sw_buf text = SW_BUF_NULL;

                if (!to || k->lost[i] || repeat_is_same(to, &k->places[i]) || sw__daemon_reached(d, i, to) ||
                        now - k->repeat_moved_ms < repeat_patience(d, i))
                        continue;
                sw_buf_printf(
                        &text, "%s/%s/%d%c", d->parts[i]->source_name, d->parts[i]->topic, d->parts[i]->number, 0);
                sw__keeper_lost(d, i);
                if (!text.failed)
                        sw__daemon_health(d, "recovery", text.p, sw_clock_wall(), "A partition was missing at recovery",
                                "After a restart a partition could not be read to where it had been read before: the "
                                "state was restored without it, and what it brings later counts as new or late.");
                sw_buf_deinit(&text);
        }
}

static void repeat_advance(struct sw__keeper *k, const struct sw__keeper_row *row)
{
        uint32_t i;

        for (i = 0; i < k->n_places; i++)
                if (repeat_place(row, i))
                        k->places[i] = row->places[i];
        k->at_row++;
        k->prepared = false;
        k->repeat_moved_ms = sw_clock_mono().ms;
}

/* 1: go on, 0: wait, or negative. */
static int repeat_row(struct sw_daemon *d)
{
        struct sw__keeper *k = d->keeper;
        const struct sw__keeper_row *row = &k->rows[k->at_row];
        const struct sw_pipeline_row p = {
                .number = row->number, .watermark = row->watermark, .wall = row->wall, .cold = row->cold
        };
        int r;

        if (!k->prepared) {
                r = repeat_prepare(d, row);
                if (r < 0)
                        return r;
                k->prepared = true;
        }
        if (!repeat_reached(d, row)) {
                repeat_lose_patience(d, row);
                return 0;
        }
        r = sw_pipeline_repeat(d->pipeline, &p);
        if (r != SW_PIPELINE_OK)
                return r < 0 ? r : 0;
        repeat_advance(k, row);
        return 1;
}

static int repeat_finish(struct sw_daemon *d)
{
        struct sw__keeper *k = d->keeper;
        int r = 0;

        if (d->conf->sequence != d->conf_sequence)
                r = sw__daemon_configure(d, d->conf);
        if (r == 0)
                r = sw_pipeline_live(d->pipeline);
        if (r < 0)
                return r;
        k->repeating = false;
        k->repeat_took_ms = sw_clock_mono().ms - k->repeat_began_ms;
        sw__daemon_unpark(d);
        return 0;
}

/* Once the engine has made the last row. */
static void repeat_tell(struct sw_daemon *d)
{
        struct sw__keeper *k = d->keeper;

        if (k->repeat_told || atomic_load(&k->n_repeated) < k->n_rows)
                return;
        k->repeat_told = true;
        if (k->n_rows > 0)
                sw_log(d->log, SW_LOG_INFO, "recovered", NULL,
                        "%u releases repeated in %lld ms, %llu findings compared, %llu differ", k->n_rows,
                        (long long)k->repeat_took_ms, (unsigned long long)atomic_load(&k->n_compared),
                        (unsigned long long)atomic_load(&k->n_mismatches));
}

void sw__keeper_repeat(struct sw_daemon *d)
{
        struct sw__keeper *k = d->keeper;
        int r = 1;

        if (!k->repeating)
                repeat_tell(d);
        if (!k->repeating || k->stepping)
                return;
        k->stepping = true;
        while (r > 0 && k->at_row < k->n_rows)
                r = repeat_row(d);
        if (r > 0)
                r = repeat_finish(d);
        k->stepping = false;
        if (r < 0)
                sw__daemon_fail(d, r, "recovery");
}

bool sw__keeper_repeat_text(const struct sw_daemon *d, struct sw_buf *out)
{
        const struct sw__keeper *k = d->keeper;

        if (!k || !k->repeating)
                return false;
        sw_buf_printf(out, "repeating release %u of %u after the snapshot", k->at_row + 1, k->n_rows);
        return true;
}

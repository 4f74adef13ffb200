/* SPDX-License-Identifier: Apache-2.0 */
/* Retention: what every sink has taken or given up goes when it is old or too much, oldest first, a little with each
 * commit. Findings of releases that may have to be repeated stay: recovery compares with them. */
#include "state/outbox_int.h"

#define OUTBOX_KEEP_MS 10000           /* looks at least so often */
#define OUTBOX_KEEP_BYTES (256 * 1024) /* and after so much */
#define OUTBOX_KEEP_ROWS 2000          /* goes at a time */
#define OUTBOX_SLACK_PAGES 1024        /* free pages that are left to be used again */

/* Up to where rows of a severity are wanted by nobody. */
static int64_t outbox_free_upto(const struct sw_outbox *o, unsigned severity, int64_t protected_from)
{
        int64_t upto = o->mem.stats.newest;
        uint32_t i;

        if (protected_from > 0 && protected_from <= upto)
                upto = protected_from - 1;
        for (i = 0; i < o->mem.n_sinks; i++) {
                int64_t after = sw__outbox_wants_after(&o->mem.sinks[i], severity);

                upto = after < upto ? after : upto;
        }
        return upto;
}

/* What is kept beyond the sinks' need, at least: rows that two sinks wait for are counted once. */
static uint64_t outbox_delivered(const struct sw_outbox *o)
{
        uint64_t waiting = 0;
        uint32_t i;

        for (i = 0; i < o->mem.n_sinks; i++)
                if (o->mem.sinks[i].bytes > waiting)
                        waiting = o->mem.sinks[i].bytes;
        return o->mem.stats.bytes > waiting ? o->mem.stats.bytes - waiting : 0;
}

struct outbox_candidate {
        int64_t number, bytes, upto; /* number 0: no more of this severity */
};

static int outbox_next(struct sw_outbox *o, unsigned severity, int64_t after, struct outbox_candidate *c)
{
        int64_t v[2] = { 0 };
        int r = 0;

        if (after < c->upto)
                r = sw__outbox_ints(
                        o, OUTBOX_FIRST_FREE, 3, (const int64_t[]){ (int64_t)severity, after, c->upto }, 2, v);
        c->number = v[0];
        c->bytes = v[1];
        return r;
}

/* Whether the oldest candidate goes. */
static int outbox_is_over(struct sw_outbox *o, int64_t number, bool *ret)
{
        int64_t logged;
        int r;

        *ret = o->max_bytes > 0 && outbox_delivered(o) > o->max_bytes;
        if (*ret || o->max_age_ms <= 0)
                return 0;
        r = sw__outbox_ints(o, OUTBOX_LOGGED, 1, &number, 1, &logged);
        *ret = logged < sw__outbox_wall_ms() - o->max_age_ms;
        return r;
}

static int outbox_remove_old(struct sw_outbox *o)
{
        struct outbox_candidate c[OUTBOX_SEVERITIES];
        int64_t protected_from;
        unsigned severity, oldest, n;
        bool over;
        int r = sw__outbox_ints(o, OUTBOX_PROTECTED, 0, NULL, 1, &protected_from);

        for (severity = 0; severity < OUTBOX_SEVERITIES && r == 0; severity++) {
                c[severity].upto = outbox_free_upto(o, severity, protected_from);
                r = outbox_next(o, severity, 0, &c[severity]);
        }
        for (n = 0; n < OUTBOX_KEEP_ROWS && r == 0; n++) {
                oldest = OUTBOX_SEVERITIES;
                for (severity = 0; severity < OUTBOX_SEVERITIES; severity++)
                        if (c[severity].number != 0 &&
                                (oldest == OUTBOX_SEVERITIES || c[severity].number < c[oldest].number))
                                oldest = severity;
                if (oldest == OUTBOX_SEVERITIES)
                        return 0;
                r = outbox_is_over(o, c[oldest].number, &over);
                if (r != 0 || !over)
                        return r;
                r = sw__outbox_run(o, OUTBOX_REMOVE, 1, &c[oldest].number);
                if (r != 0)
                        return r;
                o->mem.stats.rows--;
                o->mem.stats.bytes -= (uint64_t)c[oldest].bytes;
                o->mem.stats.removed++;
                r = outbox_next(o, oldest, c[oldest].number, &c[oldest]);
        }
        if (r == 0)
                o->kept_at_ms = 0; /* there may be more: with the next commit */
        return r;
}

/* Gives pages back once many are free, a few at a time; some stay, because the next findings will want them. */
static int outbox_shrink(struct sw_outbox *o)
{
        int64_t free_pages, pages;
        int r = sw__outbox_ints(o, OUTBOX_FREE_PAGES, 0, NULL, 1, &free_pages);

        if (r == 0)
                r = sw__outbox_ints(o, OUTBOX_PAGES, 0, NULL, 1, &pages);
        if (r != 0 || free_pages < OUTBOX_SLACK_PAGES || free_pages < pages / 8)
                return r;
        return sw__outbox_run(o, OUTBOX_SHRINK, 0, NULL);
}

int sw__outbox_keep(struct sw_outbox *o, bool now)
{
        int64_t at = sw__outbox_mono_ms();
        int r;

        if (!now && o->mem.since_keep < OUTBOX_KEEP_BYTES && at - o->kept_at_ms < OUTBOX_KEEP_MS)
                return 0;
        o->kept_at_ms = at;
        o->mem.since_keep = 0;
        r = outbox_remove_old(o);
        return r == 0 ? outbox_shrink(o) : r;
}

static int outbox_tend(struct sw_outbox *o, void *ctx)
{
        (void)ctx;
        return sw__outbox_keep(o, true);
}

int sw_outbox_tend(struct sw_outbox *o)
{
        return sw__outbox_transact(o, false, outbox_tend, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Sinks: how far each has taken the findings, what waits for it, what was given up. */
#include "base/alloc.h"
#include "state/outbox_int.h"

#include <string.h>

struct outbox_sink *sw__outbox_find(struct sw_outbox *o, const char *name)
{
        uint32_t i;

        for (i = 0; i < o->mem.n_sinks; i++)
                if (strcmp(o->mem.sinks[i].name, name) == 0)
                        return &o->mem.sinks[i];
        return NULL;
}

/* ---- what waits ---- */

/* Rows of one severity within (after, upto]. */
static int outbox_sum(struct sw_outbox *o, unsigned severity, int64_t after, int64_t upto, int64_t ret[2])
{
        ret[0] = ret[1] = 0;
        if (after >= upto)
                return 0;
        return sw__outbox_ints(o, OUTBOX_SUM, 3, (const int64_t[]){ (int64_t)severity, after, upto }, 2, ret);
}

int sw__outbox_look(struct sw_outbox *o, struct outbox_sink *s)
{
        int64_t v[3], first;
        unsigned severity;
        int r = sw__outbox_ints(o, OUTBOX_RESEND_SUM, 1, &s->id, 3, v);

        if (r != 0)
                return r;
        s->again_rows = (uint64_t)v[0];
        s->again_bytes = (uint64_t)v[1];
        s->oldest = SW_ETIME_NONE;
        first = v[2];
        for (severity = s->min_severity; severity < OUTBOX_SEVERITIES && r == 0; severity++) {
                int64_t after = sw__outbox_wants_after(s, severity);

                if (after >= o->mem.stats.newest)
                        continue;
                r = sw__outbox_ints(o, OUTBOX_FIRST, 3, (const int64_t[]){ (int64_t)severity, after, INT64_MAX }, 2, v);
                if (v[0] != 0 && (first == 0 || v[0] < first))
                        first = v[0];
        }
        if (r == 0 && first != 0) {
                r = sw__outbox_ints(o, OUTBOX_LOGGED, 1, &first, 1, v);
                s->oldest.ms = v[0];
        }
        return r;
}

static int outbox_recount(struct sw_outbox *o, struct outbox_sink *s)
{
        int64_t v[2];
        unsigned severity;
        int r;

        s->rows = s->bytes = 0;
        for (severity = s->min_severity; severity < OUTBOX_SEVERITIES; severity++) {
                r = outbox_sum(o, severity, sw__outbox_wants_after(s, severity), INT64_MAX, v);
                if (r != 0)
                        return r;
                s->rows += (uint64_t)v[0];
                s->bytes += (uint64_t)v[1];
        }
        return sw__outbox_look(o, s);
}

void sw__outbox_count(struct sw_outbox *o, unsigned severity, size_t n, int64_t logged_ms)
{
        uint32_t i;

        o->mem.stats.rows++;
        o->mem.stats.bytes += n;
        o->mem.since_keep += n;
        for (i = 0; i < o->mem.n_sinks; i++) {
                struct outbox_sink *s = &o->mem.sinks[i];

                if (severity >= s->min_severity) {
                        if (sw_etime_is_none(s->oldest))
                                s->oldest.ms = logged_ms;
                        s->rows++;
                        s->bytes += n;
                }
        }
}

/* The oldest of the least severe that wait, until the rest fits. */
static int outbox_give_up(struct sw_outbox *o, struct outbox_sink *s)
{
        uint64_t before = s->given_up;
        int64_t v[2];
        unsigned severity = s->min_severity;
        bool moved = false;
        int r = 0;

        while (s->bytes > s->max_bytes && severity < OUTBOX_SEVERITIES && r == 0) {
                r = sw__outbox_ints(o, OUTBOX_FIRST, 3,
                        (const int64_t[]){ (int64_t)severity, sw__outbox_wants_after(s, severity), INT64_MAX }, 2, v);
                if (r == 0 && v[0] != 0) {
                        s->floor[severity] = v[0];
                        s->rows -= s->rows > 0;
                        s->bytes -= s->bytes < (uint64_t)v[1] ? s->bytes : (uint64_t)v[1];
                        s->given_up++;
                        moved = true;
                        continue;
                }
                if (r == 0 && moved)
                        r = sw__outbox_run(o, OUTBOX_SET_FLOOR, 3,
                                (const int64_t[]){ s->id, (int64_t)severity, s->floor[severity] });
                moved = false;
                severity++;
        }
        if (r == 0 && moved)
                r = sw__outbox_run(
                        o, OUTBOX_SET_FLOOR, 3, (const int64_t[]){ s->id, (int64_t)severity, s->floor[severity] });
        if (r == 0 && s->given_up != before)
                r = sw__outbox_run(o, OUTBOX_SET_GIVEN_UP, 2, (const int64_t[]){ s->id, (int64_t)s->given_up });
        if (r == 0 && s->given_up != before)
                sw_log(o->log, SW_LOG_WARNING, "outbox_given_up", s->name,
                        "what waits for it is beyond its cap of %llu bytes: its oldest least severe findings are given "
                        "up, %llu so far; the alert file has them",
                        (unsigned long long)s->max_bytes, (unsigned long long)s->given_up);
        return r == 0 ? sw__outbox_look(o, s) : r;
}

int sw__outbox_give_up(struct sw_outbox *o)
{
        uint32_t i;
        int r = 0;

        for (i = 0; i < o->mem.n_sinks && r == 0; i++)
                if (o->mem.sinks[i].max_bytes > 0 && o->mem.sinks[i].bytes > o->mem.sinks[i].max_bytes)
                        r = outbox_give_up(o, &o->mem.sinks[i]);
        return r;
}

/* ---- which there are ---- */

static int outbox_load_floors(struct sw_outbox *o, struct outbox_sink *sink)
{
        int r;
        sqlite3_stmt *s = sw__outbox_sql(o, OUTBOX_FLOORS, &r);

        if (!s)
                return r;
        (void)sqlite3_bind_int64(s, 1, sink->id);
        while ((r = sw__outbox_step(o, s)) == OUTBOX_ROW) {
                int64_t severity = sqlite3_column_int64(s, 0);

                if (severity >= 0 && severity < OUTBOX_SEVERITIES)
                        sink->floor[severity] = sqlite3_column_int64(s, 1);
        }
        return r;
}

int sw__outbox_load_sinks(struct sw_outbox *o)
{
        uint32_t i;
        int r;
        sqlite3_stmt *s = sw__outbox_sql(o, OUTBOX_SINKS, &r);

        if (!s)
                return r;
        while ((r = sw__outbox_step(o, s)) == OUTBOX_ROW) {
                struct outbox_sink *sink = &o->mem.sinks[o->mem.n_sinks];
                const char *name = (const char *)sqlite3_column_text(s, 1);

                if (!name) {
                        (void)sqlite3_reset(s);
                        return -SW_ERR_NOMEM;
                }
                if (o->mem.n_sinks == SW_OUTBOX_SINKS)
                        continue;
                *sink = (struct outbox_sink){ .id = sqlite3_column_int64(s, 0),
                        .marked = sqlite3_column_int64(s, 2),
                        .given_up = (uint64_t)sqlite3_column_int64(s, 3),
                        .oldest = SW_ETIME_NONE };
                memcpy(sink->name, name, strnlen(name, sizeof(sink->name) - 1));
                o->mem.n_sinks++;
        }
        for (i = 0; i < o->mem.n_sinks && r == 0; i++) {
                r = outbox_load_floors(o, &o->mem.sinks[i]);
                if (r == 0)
                        r = outbox_recount(o, &o->mem.sinks[i]);
        }
        return r;
}

struct outbox_sink_job {
        const char *name;
        uint64_t max_bytes;
        int64_t number;
        const struct sw_str *note;
};

static int outbox_add_sink(struct sw_outbox *o, void *ctx)
{
        const struct outbox_sink_job *job = ctx;
        struct outbox_sink *sink = sw__outbox_find(o, job->name);
        sqlite3_stmt *s;
        int r;

        if (!sink) {
                if (o->mem.n_sinks == SW_OUTBOX_SINKS)
                        return -SW_ERR_LIMIT;
                s = sw__outbox_sql(o, OUTBOX_PUT_SINK, &r);
                if (!s)
                        return r;
                (void)sqlite3_bind_text(s, 1, job->name, -1, SQLITE_STATIC);
                (void)sqlite3_bind_int64(s, 2, o->mem.stats.newest);
                r = sw__outbox_step(o, s);
                if (r != 0)
                        return r;
                sink = &o->mem.sinks[o->mem.n_sinks++];
                *sink = (struct outbox_sink){
                        .id = sqlite3_last_insert_rowid(o->db), .marked = o->mem.stats.newest, .oldest = SW_ETIME_NONE
                };
                strcpy(sink->name, job->name);
        }
        sink->max_bytes = job->max_bytes;
        sink->registered = true;
        return sw__outbox_give_up(o);
}

int sw_outbox_sink(struct sw_outbox *o, const char *name, uint64_t max_bytes)
{
        struct outbox_sink_job job = { .name = name, .max_bytes = max_bytes };

        if (!*name || strlen(name) >= OUTBOX_SINK_NAME)
                return -SW_ERR_INVAL;
        return sw__outbox_transact(o, true, outbox_add_sink, &job);
}

int sw_outbox_sink_severity(struct sw_outbox *o, const char *name, uint8_t min_severity)
{
        struct outbox_sink *sink, before;
        int r = -SW_ERR_NOENT;

        sw__outbox_lock(o);
        sink = sw__outbox_find(o, name);
        if (sink) {
                before = *sink;
                sink->min_severity = (uint8_t)sw__outbox_severity(min_severity);
                r = outbox_recount(o, sink);
                if (r != 0)
                        *sink = before;
                sw__outbox_show(o);
        }
        sw__outbox_unlock(o);
        return sw__outbox_as_error(r);
}

static int outbox_remove_sink(struct sw_outbox *o, struct outbox_sink *sink)
{
        static const enum outbox_sql all[] = { OUTBOX_DROP_RESEND, OUTBOX_DROP_FLOORS, OUTBOX_DROP_SINK };
        unsigned i;
        int r = 0;

        for (i = 0; i < 3 && r == 0; i++)
                r = sw__outbox_run(o, all[i], 1, &sink->id);
        if (r == 0) {
                size_t at = (size_t)(sink - o->mem.sinks);

                memmove(sink, sink + 1, (--o->mem.n_sinks - at) * sizeof(*sink));
        }
        return r;
}

static int outbox_drop_sink(struct sw_outbox *o, void *ctx)
{
        const struct outbox_sink_job *job = ctx;
        struct outbox_sink *sink = sw__outbox_find(o, job->name);

        return sink ? outbox_remove_sink(o, sink) : -SW_ERR_NOENT;
}

int sw_outbox_drop_sink(struct sw_outbox *o, const char *name)
{
        struct outbox_sink_job job = { .name = name };

        return sw__outbox_transact(o, true, outbox_drop_sink, &job);
}

static int outbox_drop_others(struct sw_outbox *o, void *ctx)
{
        uint32_t i = 0;
        int r = 0;

        (void)ctx;
        while (i < o->mem.n_sinks && r == 0)
                if (o->mem.sinks[i].registered)
                        i++;
                else
                        r = outbox_remove_sink(o, &o->mem.sinks[i]);
        return r;
}

int sw_outbox_drop_others(struct sw_outbox *o)
{
        return sw__outbox_transact(o, true, outbox_drop_others, NULL);
}

/* ---- marks ---- */

static int outbox_mark_rows(struct sw_outbox *o, struct outbox_sink *sink, int64_t number)
{
        int64_t v[2];
        unsigned severity;
        int r;

        for (severity = sink->min_severity; severity < OUTBOX_SEVERITIES; severity++) {
                r = outbox_sum(o, severity, sw__outbox_wants_after(sink, severity), number, v);
                if (r != 0)
                        return r;
                sink->rows -= sink->rows < (uint64_t)v[0] ? sink->rows : (uint64_t)v[0];
                sink->bytes -= sink->bytes < (uint64_t)v[1] ? sink->bytes : (uint64_t)v[1];
        }
        sink->marked = number;
        return 0;
}

static int outbox_mark(struct sw_outbox *o, void *ctx)
{
        const struct outbox_sink_job *job = ctx;
        struct outbox_sink *sink = sw__outbox_find(o, job->name);
        int64_t number = job->number;
        sqlite3_stmt *s;
        int r = 0;

        if (!sink)
                return -SW_ERR_NOENT;
        if (number > o->mem.stats.newest)
                return -SW_ERR_INVAL;
        if (sink->served_id > 0)
                r = sw__outbox_run(o, OUTBOX_RESENT, 3,
                        (const int64_t[]){ sink->id, number < sink->served_number ? number : sink->served_number,
                                sink->served_id });
        if (r == 0 && number > sink->marked)
                r = outbox_mark_rows(o, sink, number);
        if (r != 0)
                return r;
        s = sw__outbox_sql(o, job->note ? OUTBOX_SET_NOTE : OUTBOX_SET_MARK, &r);
        if (!s)
                return r;
        (void)sqlite3_bind_int64(s, 1, sink->id);
        (void)sqlite3_bind_int64(s, 2, sink->marked);
        if (job->note)
                (void)sqlite3_bind_blob64(s, 3, job->note->n ? job->note->p : "", job->note->n, SQLITE_STATIC);
        r = sw__outbox_step(o, s);
        return r == 0 ? sw__outbox_look(o, sink) : r;
}

int sw_outbox_mark(struct sw_outbox *o, const char *name, int64_t number)
{
        struct outbox_sink_job job = { .name = name, .number = number };

        return sw__outbox_transact(o, false, outbox_mark, &job);
}

int sw_outbox_mark_note(struct sw_outbox *o, const char *name, int64_t number, struct sw_str note, bool durable)
{
        struct outbox_sink_job job = { .name = name, .number = number, .note = &note };

        return sw__outbox_transact(o, durable, outbox_mark, &job);
}

int sw_outbox_note(struct sw_outbox *o, const char *name, struct sw_buf *out)
{
        struct outbox_sink *sink;
        sqlite3_stmt *s = NULL;
        int r = -SW_ERR_NOENT;

        sw__outbox_lock(o);
        sink = sw__outbox_find(o, name);
        if (sink)
                s = sw__outbox_sql(o, OUTBOX_GET_NOTE, &r);
        if (s) {
                (void)sqlite3_bind_int64(s, 1, sink->id);
                r = sw__outbox_step(o, s);
                if (r == OUTBOX_ROW) {
                        sw_buf_put(out, sqlite3_column_blob(s, 0), (size_t)sqlite3_column_bytes(s, 0));
                        (void)sqlite3_reset(s);
                        r = out->failed ? -SW_ERR_NOMEM : 0;
                }
        }
        sw__outbox_unlock(o);
        return sw__outbox_as_error(r);
}

/* ---- what others may know without waiting ---- */

static const struct outbox_sink *outbox_find_shown(const struct sw_outbox *o, const char *name)
{
        uint32_t i;

        for (i = 0; i < o->shown.n_sinks; i++)
                if (strcmp(o->shown.sinks[i].name, name) == 0)
                        return &o->shown.sinks[i];
        return NULL;
}

int sw_outbox_marked(struct sw_outbox *o, const char *name, int64_t *ret)
{
        const struct outbox_sink *sink;

        pthread_mutex_lock(&o->shown_lock);
        sink = outbox_find_shown(o, name);
        if (sink)
                *ret = sink->marked;
        pthread_mutex_unlock(&o->shown_lock);
        return sink ? 0 : -SW_ERR_NOENT;
}

static struct sw_outbox_sink_stats outbox_sink_stats(const struct outbox_sink *s)
{
        return (struct sw_outbox_sink_stats){ .rows = s->rows + s->again_rows,
                .bytes = s->bytes + s->again_bytes,
                .given_up = s->given_up,
                .oldest = s->oldest };
}

int sw_outbox_sink_stats(struct sw_outbox *o, const char *name, struct sw_outbox_sink_stats *ret)
{
        const struct outbox_sink *sink;

        pthread_mutex_lock(&o->shown_lock);
        sink = outbox_find_shown(o, name);
        if (sink)
                *ret = outbox_sink_stats(sink);
        pthread_mutex_unlock(&o->shown_lock);
        return sink ? 0 : -SW_ERR_NOENT;
}

void sw_outbox_each_sink(struct sw_outbox *o,
        void (*each)(void *ctx, const char *name, const struct sw_outbox_sink_stats *stats), void *ctx)
{
        struct sw_outbox_sink_stats stats[SW_OUTBOX_SINKS];
        char names[SW_OUTBOX_SINKS][OUTBOX_SINK_NAME];
        uint32_t i, n;

        pthread_mutex_lock(&o->shown_lock);
        n = o->shown.n_sinks;
        for (i = 0; i < n; i++) {
                stats[i] = outbox_sink_stats(&o->shown.sinks[i]);
                memcpy(names[i], o->shown.sinks[i].name, OUTBOX_SINK_NAME);
        }
        pthread_mutex_unlock(&o->shown_lock);
        for (i = 0; i < n; i++)
                each(ctx, names[i], &stats[i]);
}

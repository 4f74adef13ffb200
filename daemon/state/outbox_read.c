/* SPDX-License-Identifier: Apache-2.0 */
/* What sinks read: the rows they have not taken yet, and those that are sent again. */
#include "base/alloc.h"
#include "state/outbox_int.h"

#include <string.h>

#define OUTBOX_READ_BYTES ((size_t)1 << 20) /* copied out under the lock at a time */

/* ---- reading ---- */

struct outbox_chunk {
        struct sw_buf text;
        struct sw_outbox_row *rows; /* .line.p is not set: the text may move while it grows */
        uint32_t n, cap;
        bool any_again;
};

static int outbox_chunk_add(struct outbox_chunk *c, int64_t number, sqlite3_stmt *s, int at)
{
        struct sw_outbox_row *row;
        const char *uid = (const char *)sqlite3_column_text(s, at + 1);
        const char *line = (const char *)sqlite3_column_text(s, at + 3);
        size_t n = (size_t)sqlite3_column_bytes(s, at + 3);

        if (!uid || !line)
                return -SW_ERR_NOMEM;
        if (c->n == c->cap) {
                uint32_t cap = c->cap ? c->cap * 2 : 64;

                row = sw_realloc_array(c->rows, cap, sizeof(*row));
                if (!row)
                        return -SW_ERR_NOMEM;
                c->rows = row;
                c->cap = cap;
        }
        row = &c->rows[c->n];
        *row = (struct sw_outbox_row){ .number = number,
                .severity = (uint8_t)sqlite3_column_int(s, at),
                .time = { sqlite3_column_int64(s, at + 2) },
                .line = { NULL, n } };
        memcpy(row->uid, uid, strnlen(uid, sizeof(row->uid) - 1));
        sw_buf_put(&c->text, line, n);
        if (c->text.failed)
                return -SW_ERR_NOMEM;
        c->n++;
        return 0;
}

/* The next row that is sent again. *ret_number 0: none. */
static int outbox_next_resend(struct sw_outbox *o, const struct outbox_sink *sink, int64_t after, int64_t ret[2])
{
        int r;
        sqlite3_stmt *s = sw__outbox_sql(o, OUTBOX_RESENDS, &r);

        ret[0] = ret[1] = 0;
        if (!s)
                return r;
        (void)sqlite3_bind_int64(s, 1, sink->id);
        (void)sqlite3_bind_int64(s, 2, after);
        r = sw__outbox_step(o, s);
        if (r == OUTBOX_ROW) {
                ret[0] = sqlite3_column_int64(s, 0);
                ret[1] = sqlite3_column_int64(s, 1);
                (void)sqlite3_reset(s);
                r = 0;
        }
        return r;
}

static int outbox_take_resend(struct sw_outbox *o, struct outbox_sink *sink, struct outbox_chunk *c, int64_t next[2])
{
        int r;
        sqlite3_stmt *s = sw__outbox_sql(o, OUTBOX_GET_FINDING, &r);

        if (!s)
                return r;
        (void)sqlite3_bind_int64(s, 1, next[1]);
        r = sw__outbox_step(o, s);
        if (r == OUTBOX_ROW) {
                r = outbox_chunk_add(c, next[1], s, 0);
                (void)sqlite3_reset(s);
        }
        if (r != 0)
                return r;
        c->any_again = true;
        sink->served_id = next[0] > sink->served_id ? next[0] : sink->served_id;
        sink->served_number = next[1] > sink->served_number ? next[1] : sink->served_number;
        return outbox_next_resend(o, sink, next[1], next);
}

/* Both streams of a sink, merged by number: what is sent again, and what is new. */
static int outbox_fill(
        struct sw_outbox *o, struct outbox_sink *sink, int64_t after, uint32_t max, struct outbox_chunk *c)
{
        int64_t again[2], number;
        int r = outbox_next_resend(o, sink, after, again), e = 0;
        sqlite3_stmt *s;

        if (r != 0)
                return r;
        s = sw__outbox_sql(o, OUTBOX_FINDINGS, &r);
        if (!s)
                return r;
        (void)sqlite3_bind_int64(s, 1, after > sink->marked ? after : sink->marked);
        while (c->n < max && c->text.n < OUTBOX_READ_BYTES && (r = sw__outbox_step(o, s)) == OUTBOX_ROW) {
                unsigned severity = sw__outbox_severity((uint8_t)sqlite3_column_int(s, 1));

                number = sqlite3_column_int64(s, 0);
                while (again[1] != 0 && again[1] <= number && c->n < max && e == 0) {
                        if (again[1] == number)
                                number = 0;
                        e = outbox_take_resend(o, sink, c, again);
                }
                if (e == 0 && number > sw__outbox_wants_after(sink, severity) && c->n < max)
                        e = outbox_chunk_add(c, number, s, 1);
                if (e != 0)
                        break;
        }
        if (r == OUTBOX_ROW)
                r = 0;
        (void)sqlite3_reset(s);
        while (again[1] != 0 && c->n < max && c->text.n < OUTBOX_READ_BYTES && r == 0 && e == 0)
                e = outbox_take_resend(o, sink, c, again);
        return e ? e : r;
}

int sw_outbox_read(struct sw_outbox *o, const char *name, int64_t after, uint32_t max,
        int (*each)(void *ctx, const struct sw_outbox_row *row), void *ctx)
{
        struct outbox_chunk c = { .text = SW_BUF_NULL };
        struct outbox_sink *sink;
        uint32_t i, done = 0;
        int r = 0;

        while (done < max && r == 0) {
                size_t at = 0;

                c.n = 0;
                sw_buf_reset(&c.text);
                sw__outbox_lock(o);
                sink = sw__outbox_find(o, name);
                r = !sink ? -SW_ERR_NOENT : outbox_fill(o, sink, after, max - done, &c);
                if (r == 0 && c.any_again && sink->again_rows == 0) { /* queued by another process */
                        r = sw__outbox_look(o, sink);
                        sw__outbox_show(o);
                }
                sw__outbox_unlock(o);
                r = sw__outbox_as_error(r);
                if (r != 0 || c.n == 0)
                        break;
                for (i = 0; i < c.n && r == 0; i++) {
                        c.rows[i].line.p = c.text.p + at;
                        at += c.rows[i].line.n;
                        after = c.rows[i].number;
                        r = each(ctx, &c.rows[i]);
                }
                done += c.n;
        }
        sw_buf_deinit(&c.text);
        sw_free(c.rows);
        return r;
}

/* ---- again ---- */

struct outbox_again_job {
        const char *name;
        struct sw_etime since;
        uint64_t n;
};

static int outbox_resend(struct sw_outbox *o, void *ctx)
{
        struct outbox_again_job *job = ctx;
        struct outbox_sink *sink = sw__outbox_find(o, job->name);
        unsigned severity;
        int r = 0;

        if (!sink)
                return -SW_ERR_NOENT;
        job->n = 0;
        for (severity = sink->min_severity; severity < OUTBOX_SEVERITIES && r == 0; severity++) {
                r = sw__outbox_run(o, OUTBOX_RESEND, 4,
                        (const int64_t[]){
                                sink->id, (int64_t)severity, sw__outbox_wants_after(sink, severity), job->since.ms });
                job->n += r == 0 ? (uint64_t)sqlite3_changes64(o->db) : 0;
        }
        return r == 0 ? sw__outbox_look(o, sink) : r;
}

int sw_outbox_resend(struct sw_outbox *o, const char *name, struct sw_etime since, uint64_t *ret_n)
{
        struct outbox_again_job job = { .name = name, .since = since };
        int r = sw__outbox_transact(o, true, outbox_resend, &job);

        if (r == 0 && ret_n)
                *ret_n = job.n;
        return r;
}

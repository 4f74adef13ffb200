/* SPDX-License-Identifier: Apache-2.0 */
/* Releases, their findings, and the configurations they were made under. */
#include "base/alloc.h"
#include "state/outbox_int.h"

#include <assert.h>
#include <string.h>

static void outbox_bind_text(sqlite3_stmt *s, int at, const char *z)
{
        (void)sqlite3_bind_text(s, at, z, -1, SQLITE_STATIC);
}

static int outbox_column_hash(sqlite3_stmt *s, int at, char ret[SW_OUTBOX_HASH])
{
        const char *z = (const char *)sqlite3_column_text(s, at);

        if (!z)
                return -SW_ERR_NOMEM;
        memset(ret, 0, SW_OUTBOX_HASH);
        memcpy(ret, z, strnlen(z, SW_OUTBOX_HASH - 1));
        return 0;
}

/* ---- configurations ---- */

struct outbox_conf_text {
        const char *hash;
        struct sw_str text;
};

static int outbox_put_conf(struct sw_outbox *o, void *ctx)
{
        const struct outbox_conf_text *c = ctx;
        int r;
        sqlite3_stmt *s = sw__outbox_sql(o, OUTBOX_PUT_CONF, &r);

        if (!s)
                return r;
        outbox_bind_text(s, 1, c->hash);
        (void)sqlite3_bind_blob64(s, 2, c->text.n ? c->text.p : "", c->text.n, SQLITE_STATIC);
        return sw__outbox_step(o, s);
}

int sw_outbox_put_conf(struct sw_outbox *o, const char hash[SW_OUTBOX_HASH], struct sw_str text)
{
        struct outbox_conf_text c = { hash, text };

        return sw__outbox_transact(o, true, outbox_put_conf, &c);
}

int sw_outbox_get_conf(struct sw_outbox *o, const char hash[SW_OUTBOX_HASH], struct sw_buf *out)
{
        sqlite3_stmt *s;
        int r;

        sw__outbox_lock(o);
        s = sw__outbox_sql(o, OUTBOX_GET_CONF, &r);
        if (s) {
                outbox_bind_text(s, 1, hash);
                r = sw__outbox_step(o, s);
                if (r == OUTBOX_ROW) {
                        sw_buf_put(out, sqlite3_column_blob(s, 0), (size_t)sqlite3_column_bytes(s, 0));
                        (void)sqlite3_reset(s);
                        r = out->failed ? -SW_ERR_NOMEM : 0;
                } else if (r == 0) {
                        r = -SW_ERR_NOENT;
                }
        }
        sw__outbox_unlock(o);
        return sw__outbox_as_error(r);
}

/* ---- commit ---- */

static int outbox_put_finding(struct sw_outbox *o, const struct sw_line *line, const char *text, const int64_t *about)
{
        int r;
        sqlite3_stmt *s = sw__outbox_sql(o, OUTBOX_PUT_FINDING, &r);

        if (!s)
                return r;
        (void)sqlite3_bind_int64(s, 1, about[0]);
        (void)sqlite3_bind_int64(s, 2, (int64_t)sw__outbox_severity(line->severity));
        (void)sqlite3_bind_int64(s, 3, about[1]);
        (void)sqlite3_bind_int64(s, 4, (int64_t)line->n);
        outbox_bind_text(s, 5, line->uid);
        (void)sqlite3_bind_text64(s, 6, text, line->n, SQLITE_STATIC, SQLITE_UTF8);
        r = sw__outbox_step(o, s);
        if (r != 0)
                return r;
        if (sqlite3_changes(o->db) == 0) {
                o->mem.stats.duplicates++;
                return 0;
        }
        o->mem.stats.newest = sqlite3_last_insert_rowid(o->db);
        sw__outbox_count(o, sw__outbox_severity(line->severity), line->n, about[1]);
        return 0;
}

static int outbox_place(struct sw_outbox *o, const struct sw_outbox_offset *f, int64_t *ret)
{
        static const enum outbox_sql both[] = { OUTBOX_GET_PLACE, OUTBOX_PUT_PLACE };
        unsigned i;
        int r;

        for (i = 0; i < 2; i++) {
                sqlite3_stmt *s = sw__outbox_sql(o, both[i], &r);

                if (!s)
                        return r;
                outbox_bind_text(s, 1, f->source);
                outbox_bind_text(s, 2, f->topic);
                (void)sqlite3_bind_int(s, 3, f->partition);
                r = sw__outbox_step(o, s);
                if (r == OUTBOX_ROW) {
                        *ret = sqlite3_column_int64(s, 0);
                        (void)sqlite3_reset(s);
                        return 0;
                }
                if (r != 0)
                        return r;
        }
        *ret = sqlite3_last_insert_rowid(o->db);
        return 0;
}

static int outbox_put_release(struct sw_outbox *o, const struct sw_outbox_release *r, int64_t first)
{
        int64_t v[] = { (int64_t)r->number, r->watermark.ms, r->wall.ms, r->cold, 0, first, o->mem.stats.newest };
        int64_t place = 0;
        uint32_t i;
        int e;
        sqlite3_stmt *s = sw__outbox_sql(o, OUTBOX_PUT_RELEASE, &e);

        if (!s)
                return e;
        for (i = 0; i < 7; i++)
                (void)sqlite3_bind_int64(s, (int)i + 1, v[i]);
        outbox_bind_text(s, 5, r->conf);
        e = sw__outbox_step(o, s);
        for (i = 0; i < r->n_offsets && e == 0; i++) {
                const struct sw_outbox_offset *f = &r->offsets[i];

                e = outbox_place(o, f, &place);
                if (e == 0)
                        e = sw__outbox_run(o, OUTBOX_PUT_CONSUMED, 6,
                                (const int64_t[]){ (int64_t)r->number, place, (int64_t)f->inode, f->next, f->stamp.ms,
                                        (int64_t)f->hash });
        }
        if (e == 0)
                o->mem.last_release = r->number;
        return e;
}

struct outbox_entries {
        const struct sw_outbox_entry *items;
        uint32_t n;
};

static int outbox_put_entry(struct sw_outbox *o, const struct sw_outbox_entry *entry)
{
        const struct sw_outbox_release *r = entry->release;
        int64_t first = o->mem.stats.newest + 1;
        int64_t about[2] = { r ? (int64_t)r->number : 0,
                r && !sw_etime_is_none(r->wall) ? r->wall.ms : sw__outbox_wall_ms() };
        uint32_t i, n = entry->findings ? entry->findings->n : 0;
        int e = 0;

        if (r && o->mem.last_release && r->number != o->mem.last_release + 1)
                return -SW_ERR_INVAL;
        for (i = 0; i < n && e == 0; i++) {
                const struct sw_line *line = &entry->findings->items[i];

                e = outbox_put_finding(o, line, entry->findings->text.p + line->offset, about);
        }
        return e == 0 && r ? outbox_put_release(o, r, first) : e;
}

static int outbox_put_entries(struct sw_outbox *o, void *ctx)
{
        const struct outbox_entries *all = ctx;
        uint32_t i;
        int r = 0;

        for (i = 0; i < all->n && r == 0; i++)
                r = outbox_put_entry(o, &all->items[i]);
        if (r == 0)
                r = sw__outbox_give_up(o);
        return r == 0 ? sw__outbox_keep(o, false) : r;
}

int sw_outbox_commit_all(struct sw_outbox *o, const struct sw_outbox_entry *entries, uint32_t n)
{
        struct outbox_entries all = { entries, n };

        return n ? sw__outbox_transact(o, true, outbox_put_entries, &all) : SW_OUTBOX_OK;
}

int sw_outbox_commit(struct sw_outbox *o, const struct sw_outbox_release *r, const struct sw_lines *findings)
{
        return sw_outbox_commit_all(o, &(struct sw_outbox_entry){ r, findings }, 1);
}

int sw_outbox_add(struct sw_outbox *o, const struct sw_line *line, const char *text)
{
        struct sw_line one = *line;
        struct sw_buf shown = { .n = line->n, .cap = line->n };
        struct sw_lines lines = { .items = &one, .n = 1, .cap = 1 };

        memcpy(&shown.p, &text, sizeof(text)); /* only read */
        one.offset = 0;
        lines.text = shown;
        return sw_outbox_commit(o, NULL, &lines);
}

void sw_outbox_stats(struct sw_outbox *o, struct sw_outbox_stats *ret)
{
        pthread_mutex_lock(&o->shown_lock);
        *ret = o->shown.stats;
        pthread_mutex_unlock(&o->shown_lock);
}

/* ---- what was released ---- */

static int outbox_get_release(sqlite3_stmt *s, struct sw_outbox_release *ret)
{
        *ret = (struct sw_outbox_release){ .number = (uint64_t)sqlite3_column_int64(s, 0),
                .watermark = { sqlite3_column_int64(s, 1) },
                .wall = { sqlite3_column_int64(s, 2) },
                .cold = sqlite3_column_int(s, 3) };
        return outbox_column_hash(s, 4, ret->conf);
}

int sw_outbox_last(struct sw_outbox *o, struct sw_outbox_release *ret)
{
        sqlite3_stmt *s;
        int r;

        sw__outbox_lock(o);
        s = sw__outbox_sql(o, OUTBOX_LAST_RELEASE, &r);
        assert(s); /* prepared when it was opened */
        r = sw__outbox_step(o, s);
        if (r == OUTBOX_ROW) {
                r = outbox_get_release(s, ret);
                (void)sqlite3_reset(s);
        } else if (r == 0) {
                *ret = (struct sw_outbox_release){ .watermark = SW_ETIME_NONE, .wall = SW_ETIME_NONE };
        }
        sw__outbox_unlock(o);
        return sw__outbox_as_error(r);
}

/* One release read back; its texts in an arena. */
struct outbox_past {
        struct sw_outbox_release release;
        struct sw_arena texts;
        struct sw_outbox_offset *offsets;
        struct sw_line *lines;
        uint32_t n_offsets, cap_offsets, n_lines, cap_lines;
};

static int outbox_past_offset(struct outbox_past *p, sqlite3_stmt *s)
{
        const char *source = (const char *)sqlite3_column_text(s, 0), *topic = (const char *)sqlite3_column_text(s, 1);
        struct sw_outbox_offset *f;

        if (!source || !topic)
                return -SW_ERR_NOMEM;
        if (p->n_offsets == p->cap_offsets) {
                uint32_t cap = p->cap_offsets ? p->cap_offsets * 2 : 64;

                f = sw_realloc_array(p->offsets, cap, sizeof(*f));
                if (!f)
                        return -SW_ERR_NOMEM;
                p->offsets = f;
                p->cap_offsets = cap;
        }
        f = &p->offsets[p->n_offsets];
        *f = (struct sw_outbox_offset){
                .source = sw_arena_copy(&p->texts, source, (size_t)sqlite3_column_bytes(s, 0)),
                .topic = sw_arena_copy(&p->texts, topic, (size_t)sqlite3_column_bytes(s, 1)),
                .partition = sqlite3_column_int(s, 2),
                .inode = (uint64_t)sqlite3_column_int64(s, 3),
                .next = sqlite3_column_int64(s, 4),
                .stamp = { sqlite3_column_int64(s, 5) },
                .hash = (uint64_t)sqlite3_column_int64(s, 6),
        };
        if (!f->source || !f->topic)
                return -SW_ERR_NOMEM;
        p->n_offsets++;
        return 0;
}

static int outbox_past_line(struct outbox_past *p, sqlite3_stmt *s)
{
        struct sw_line *line;

        if (p->n_lines == p->cap_lines) {
                uint32_t cap = p->cap_lines ? p->cap_lines * 2 : 64;

                line = sw_realloc_array(p->lines, cap, sizeof(*line));
                if (!line)
                        return -SW_ERR_NOMEM;
                p->lines = line;
                p->cap_lines = cap;
        }
        line = &p->lines[p->n_lines++];
        *line = (struct sw_line){ .severity = (uint8_t)sqlite3_column_int(s, 0) };
        return outbox_column_hash(s, 1, line->uid);
}

/* All rows of a statement with integer parameters. */
static int outbox_past_rows(struct sw_outbox *o, struct outbox_past *p, enum outbox_sql which, const int64_t in[2],
        int (*take)(struct outbox_past *p, sqlite3_stmt *s))
{
        int r;
        sqlite3_stmt *s = sw__outbox_sql(o, which, &r);

        if (!s)
                return r;
        (void)sqlite3_bind_int64(s, 1, in[0]);
        if (sqlite3_bind_parameter_count(s) > 1)
                (void)sqlite3_bind_int64(s, 2, in[1]);
        while ((r = sw__outbox_step(o, s)) == OUTBOX_ROW) {
                int e = take(p, s);

                if (e < 0) {
                        (void)sqlite3_reset(s);
                        return e;
                }
        }
        return r;
}

/* The release after `after`; number 0: there is none. */
static int outbox_past_load(struct sw_outbox *o, struct outbox_past *p, uint64_t after)
{
        int64_t range[2];
        int r;
        sqlite3_stmt *s;

        p->release.number = 0;
        p->n_offsets = p->n_lines = 0;
        sw_arena_reset(&p->texts);
        s = sw__outbox_sql(o, OUTBOX_NEXT_RELEASE, &r);
        if (!s)
                return r;
        (void)sqlite3_bind_int64(s, 1, (int64_t)after);
        r = sw__outbox_step(o, s);
        if (r != OUTBOX_ROW)
                return r;
        r = outbox_get_release(s, &p->release);
        range[0] = sqlite3_column_int64(s, 5);
        range[1] = sqlite3_column_int64(s, 6);
        (void)sqlite3_reset(s);
        if (r == 0)
                r = outbox_past_rows(o, p, OUTBOX_GET_CONSUMED, (const int64_t[]){ (int64_t)p->release.number, 0 },
                        outbox_past_offset);
        if (r == 0)
                r = outbox_past_rows(o, p, OUTBOX_UIDS, range, outbox_past_line);
        p->release.offsets = p->offsets;
        p->release.n_offsets = p->n_offsets;
        return r;
}

int sw_outbox_releases(struct sw_outbox *o, uint64_t after,
        int (*each)(void *ctx, const struct sw_outbox_release *r, const struct sw_line *findings, uint32_t n),
        void *ctx)
{
        struct outbox_past p = { .texts = SW_ARENA_NULL };
        int r;

        for (;;) {
                sw__outbox_lock(o);
                r = outbox_past_load(o, &p, after);
                sw__outbox_unlock(o);
                r = sw__outbox_as_error(r);
                if (r != 0 || p.release.number == 0)
                        break;
                after = p.release.number;
                r = each(ctx, &p.release, p.lines, p.n_lines);
                if (r != 0)
                        break;
        }
        sw_arena_deinit(&p.texts);
        sw_free(p.offsets);
        sw_free(p.lines);
        return r;
}

static int outbox_forget(struct sw_outbox *o, void *ctx)
{
        int r = sw__outbox_run(o, OUTBOX_FORGET_CONSUMED, 1, ctx);

        if (r == 0)
                r = sw__outbox_run(o, OUTBOX_FORGET_RELEASE, 1, ctx);
        return r == 0 ? sw__outbox_run(o, OUTBOX_FORGET_CONF, 0, NULL) : r;
}

int sw_outbox_forget(struct sw_outbox *o, uint64_t upto)
{
        int64_t v = upto > INT64_MAX ? INT64_MAX : (int64_t)upto;

        return sw__outbox_transact(o, false, outbox_forget, &v);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The start: the newest snapshot that is valid, and the releases after it. */
#include "base/alloc.h"
#include "clock.h"
#include "daemon_keeper.h"
#include "state/learned.h"
#include "state/populate.h"
#include "state/read_ahead.h"

#include <string.h>
#include <unistd.h>

struct sw__daemon_conf *sw__keeper_conf(struct sw_daemon *d, const char *hash)
{
        struct sw_conf_report *report;
        struct sw_buf text = SW_BUF_NULL;
        struct sw__daemon_conf *c;
        int r;

        for (c = d->confs; c; c = c->next)
                if (strcmp(c->hash, hash) == 0)
                        return c;
        r = sw_outbox_get_conf(d->outbox, hash, &text);
        report = sw_calloc(1, sizeof(*report));
        if (r == 0 && report && !text.failed) {
                const struct sw_str s = { text.p, text.n };

                r = sw__daemon_load_conf(d, &s, &c, report);
                if (r == 0)
                        memcpy(c->hash, hash, sizeof(c->hash)); /* this version may print it differently */
        }
        if (r != 0 || !report || text.failed) {
                sw_log_each(d->log, SW_LOG_WARNING, "recovery", hash,
                        "a configuration that was in force is not there or not valid for this version any more%s%s: "
                        "what was found under it is repeated under the present one, and may differ",
                        report && report->n_items ? ": " : "", report && report->n_items ? report->items[0].msg : "");
                c = NULL;
        }
        sw_free(report);
        sw_buf_deinit(&text);
        return c;
}

/* ---- snapshots ---- */

struct loading {
        struct sw_daemon *daemon;
        struct sw_populate *memory; /* NULL: nobody backs it ahead */
};

static void restore_room(void *ctx, void *p, size_t n_bytes)
{
        const struct loading *l = ctx;

        sw_populate_soon(l->memory, p, n_bytes);
}

static void restore_dropped(void *ctx, const char *section, const char *why)
{
        const struct loading *l = ctx;

        sw_log_each(l->daemon->log, SW_LOG_WARNING, "snapshot", section, "left out of the snapshot: %s", why);
}

/* Which configuration it is to be loaded under, only the snapshot says: its head is read first. */
static int restore_cover(struct sw_daemon *d, uint64_t number, struct sw_err *err)
{
        struct sw__keeper *k = d->keeper;
        struct sw_buf extra = SW_BUF_NULL;
        int fd, r = sw_snapshots_read(k->files, number, &fd, err);

        if (r < 0)
                return r;
        r = sw_snapshot_extra(sw_snapshots_pull, &fd, &extra, err);
        (void)close(fd);
        if (r == 0)
                r = sw_cover_parse((struct sw_str){ extra.p, extra.n }, &k->cover);
        sw_buf_deinit(&extra);
        if (r == 0 && k->cover.release.number != number)
                r = sw_err_set(err, -SW_ERR_DATA, "it says that it is number %llu",
                        (unsigned long long)k->cover.release.number);
        return r;
}

static int restore_load(struct sw_daemon *d, const struct sw__daemon_conf *conf, uint64_t number, struct sw_err *err)
{
        struct loading loading = { .daemon = d };
        const struct sw_snapshot_hooks hooks = {
                .on_dropped = restore_dropped, .on_room = restore_room, .ctx = &loading
        };
        struct sw__keeper *k = d->keeper;
        struct sw_core_conf core = conf->core;
        struct sw_read_ahead *ahead = NULL;
        int fd, r = sw_snapshots_read(k->files, number, &fd, err);

        if (r < 0)
                return r;
        /* sizes are what the file says now: they need a restart, and this is one */
        core.memory_limit_bytes = d->conf->core.memory_limit_bytes;
        core.dedupe_ms = d->conf->core.dedupe_ms;
        loading.memory = sw_populate_open();
        r = sw_read_ahead_open(fd, &ahead);
        if (r == 0)
                r = sw_engine_load(&core, sw_read_ahead_pull, ahead, &hooks, NULL, &k->engine, err);
        sw_read_ahead_close(ahead);
        sw_populate_close(loading.memory);
        (void)close(fd);
        return r;
}

/* Loads one. 0, or negative with the reason. */
static int restore_one(struct sw_daemon *d, uint64_t number, uint64_t committed, struct sw_err *err)
{
        struct sw__keeper *k = d->keeper;
        struct sw__daemon_conf *conf = d->conf;
        int r;

        if (committed && number > committed)
                return sw_err_set(err, -SW_ERR_DATA, "its release was never committed (the outbox ends at %llu)",
                        (unsigned long long)committed);
        r = restore_cover(d, number, err);
        if (r == 0 && strcmp(k->cover.release.conf, conf->hash) != 0)
                conf = sw__keeper_conf(d, k->cover.release.conf);
        k->engine_conf = conf ? conf : d->conf;
        if (r == 0)
                r = restore_load(d, k->engine_conf, number, err);
        if (r < 0) {
                k->engine = sw_engine_free(k->engine);
                sw_cover_deinit(&k->cover);
        }
        return r;
}

static int restore_snapshot(struct sw_daemon *d, uint64_t committed, struct sw_err *reterr)
{
        struct sw__keeper *k = d->keeper;
        const struct sw_snapshots_file *files;
        uint32_t n, i;
        int r;

        files = sw_snapshots_list(k->files, &n);
        for (i = 0; i < n;) {
                const struct sw_snapshots_file f = files[i];
                struct sw_err err = SW_ERR_NULL;
                int64_t began = sw_clock_mono().ms;

                r = restore_one(d, f.number, committed, &err);
                if (r == 0) {
                        sw_log(d->log, SW_LOG_INFO, "snapshot", NULL,
                                "state of release %llu loaded: %llu bytes in %lld ms", (unsigned long long)f.number,
                                (unsigned long long)f.bytes, (long long)(sw_clock_mono().ms - began));
                        atomic_store(&k->last_number, f.number);
                        atomic_store(&k->last_bytes, f.bytes);
                        return 0;
                }
                if (r == -SW_ERR_NOMEM)
                        return r;
                if (r == -SW_ERR_LIMIT) /* nothing is wrong with it: to begin anew is not ours to decide */
                        return sw_err_set(
                                reterr, r, "%s: raise it again, or move the state away to begin anew", err.msg);
                sw_log_each(d->log, SW_LOG_ERROR, "snapshot_damaged", NULL, "snapshot %llu cannot be used: %s; %s",
                        (unsigned long long)f.number, *err.msg ? err.msg : sw_error_text(r),
                        i + 1 < n ? "the one before it is tried" : "there is none before it");
                if (r == -SW_ERR_VERSION)
                        i++; /* a newer version may want it */
                else
                        sw_snapshots_set_aside(k->files, f.number);
                files = sw_snapshots_list(k->files, &n);
        }
        return 0;
}

/* A folder with nothing but what `replay --save-state` put there. */
static int restore_learned(struct sw_daemon *d, struct sw_err *reterr)
{
        struct loading loading = { .daemon = d };
        const struct sw_snapshot_hooks hooks = { .on_dropped = restore_dropped, .ctx = &loading };
        struct sw__keeper *k = d->keeper;
        char until[SW_ETIME_TEXT];
        int fd, r = sw_learned_open(d->conf->conf.state.dir, &fd, reterr);

        if (r != SW_LEARNED_OK)
                return r < 0 ? r : 0;
        r = sw_engine_load(&d->conf->core, sw_snapshots_pull, &fd, &hooks, NULL, &k->engine, reterr);
        (void)close(fd);
        if (r < 0)
                return sw_err_prefix(reterr, "%s/learned", d->conf->conf.state.dir);
        sw_log(d->log, SW_LOG_INFO, "learned", NULL,
                "baselines learned until %s loaded: flows up to then raise nothing and are not learned again",
                sw_etime_format(sw_engine_learned_until(k->engine), until));
        return 0;
}

/* ---- rows ---- */

static void restore_free_rows(struct sw__keeper *k)
{
        uint32_t i;

        for (i = 0; i < k->n_rows; i++) {
                sw_free(k->rows[i].places);
                sw_free(k->rows[i].uids);
        }
        sw_free(k->rows);
        k->rows = NULL;
        k->n_rows = k->cap_rows = 0;
}

static int restore_places(struct sw_daemon *d, const struct sw_outbox_release *r, struct sw__keeper_row *row)
{
        uint32_t i, id, cap;
        int code;

        for (i = 0; i < r->n_offsets; i++) {
                const struct sw_outbox_offset *o = &r->offsets[i];

                code = sw__daemon_part(d, o->source, o->topic, o->partition, &id);
                if (code < 0)
                        return code;
        }
        cap = d->n_parts ? d->n_parts : 1;
        row->places = sw_calloc(cap, sizeof(*row->places));
        if (!row->places)
                return -SW_ERR_NOMEM;
        for (row->n_places = 0; row->n_places < d->n_parts; row->n_places++)
                row->places[row->n_places] = SW_CONSUMED_NONE;
        for (i = 0; i < r->n_offsets; i++) {
                const struct sw_outbox_offset *o = &r->offsets[i];

                (void)sw__daemon_part(d, o->source, o->topic, o->partition, &id);
                row->places[id] =
                        (struct sw_consumed){ .next = o->next, .inode = o->inode, .stamp = o->stamp, .hash = o->hash };
        }
        return 0;
}

static int restore_row(void *ctx, const struct sw_outbox_release *r, const struct sw_line *findings, uint32_t n)
{
        struct sw_daemon *d = ctx;
        struct sw__keeper *k = d->keeper;
        struct sw__keeper_row *row;
        uint32_t i;

        if (k->n_rows == k->cap_rows) {
                uint32_t cap = k->cap_rows ? 2 * k->cap_rows : 64;

                row = sw_realloc_array(k->rows, cap, sizeof(*row));
                if (!row)
                        return -SW_ERR_NOMEM;
                k->rows = row;
                k->cap_rows = cap;
        }
        row = &k->rows[k->n_rows++];
        *row = (struct sw__keeper_row){
                .number = r->number, .watermark = r->watermark, .wall = r->wall, .cold = r->cold, .n_uids = n
        };
        memcpy(row->conf, r->conf, sizeof(row->conf));
        row->uids = sw_calloc(n ? n : 1, sizeof(*row->uids));
        if (!row->uids)
                return -SW_ERR_NOMEM;
        for (i = 0; i < n; i++)
                memcpy(row->uids[i], findings[i].uid, sizeof(row->uids[i]));
        return restore_places(d, r, row);
}

/* What was consumed when the first row that is repeated began. */
static int restore_start(struct sw_daemon *d)
{
        struct sw__keeper *k = d->keeper;
        uint32_t i, id;
        int r;

        for (i = 0; i < k->cover.release.n_offsets; i++) {
                const struct sw_outbox_offset *o = &k->cover.offsets[i];
                const struct sw_consumed c = { .next = o->next, .inode = o->inode, .stamp = o->stamp, .hash = o->hash };

                r = sw__daemon_part(d, o->source, o->topic, o->partition, &id);
                if (r == 0)
                        r = sw__daemon_place(d, id, &c);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* A version before this one kept them in a file. */
static int restore_offsets(struct sw_daemon *d)
{
        uint32_t i, id;
        int r = 0;

        for (i = 0; i < d->offsets.n && r == 0; i++) {
                const struct sw_offset *o = &d->offsets.items[i];
                const struct sw_consumed c = { .next = o->next, .inode = o->inode, .stamp = SW_ETIME_NONE };

                r = sw__daemon_part(d, o->source, o->topic, o->partition, &id);
                if (r == 0)
                        r = sw__daemon_place(d, id, &c);
        }
        return r;
}

/* The tables are lost, but not how far everything was read: the oldest row that is known says it. What the rows before
 * it had found is in the outbox. */
static int restore_without_snapshot(struct sw_daemon *d)
{
        struct sw__keeper *k = d->keeper;
        struct sw__keeper_row *first = k->n_rows ? &k->rows[0] : NULL;
        uint32_t i;
        int r = 0;

        if (!first || first->number == 1 || k->cover.json)
                return 0;
        sw_log(d->log, SW_LOG_ERROR, "state_lost", NULL,
                "there is no valid snapshot, and the releases before %llu were forgotten: baselines, incidents and "
                "what was waiting are gone; reading goes on where it was",
                (unsigned long long)first->number);
        sw__daemon_health(d, "state_lost", "state.dir", sw_clock_wall(), "The state was lost",
                "No snapshot of the state could be used: baselines and open incidents are gone and are learned again. "
                "What flows were waiting for their order at the time was not seen.");
        for (i = 0; i < first->n_places && r == 0; i++)
                if (first->places[i].next >= 0)
                        r = sw__daemon_place(d, i, &first->places[i]);
        sw_free(first->places);
        sw_free(first->uids);
        memmove(k->rows, k->rows + 1, --k->n_rows * sizeof(*k->rows));
        return r;
}

/* By partition: where the first row to be repeated begins. One that the snapshot did not know began where the first row
 * has it that knows it. */
static int restore_before(struct sw_daemon *d)
{
        struct sw__keeper *k = d->keeper;
        uint32_t i, n;
        int r = 0;

        k->n_places = d->n_parts;
        k->places = sw_calloc(k->n_places ? k->n_places : 1, sizeof(*k->places));
        k->lost = sw_calloc(k->n_places ? k->n_places : 1, sizeof(*k->lost));
        if (!k->places || !k->lost)
                return -SW_ERR_NOMEM;
        for (i = 0; i < k->n_places; i++) {
                for (n = 0; n < k->n_rows && r == 0 && d->parts[i]->at.next < 0; n++)
                        if (i < k->rows[n].n_places && k->rows[n].places[i].next >= 0)
                                r = sw__daemon_place(d, i, &k->rows[n].places[i]);
                k->places[i] = d->parts[i]->at;
        }
        return r;
}

int sw__keeper_restore(struct sw_daemon *d, struct sw_err *reterr)
{
        struct sw__keeper *k = d->keeper;
        int r = restore_start(d);

        if (r == 0)
                r = sw_outbox_releases(d->outbox, k->cover.release.number, restore_row, d);
        if (r == 0)
                r = restore_without_snapshot(d);
        if (r == 0 && !k->cover.json && k->last_row == 0)
                r = restore_offsets(d);
        if (r == 0)
                r = restore_before(d);
        if (r != 0)
                return sw_err_set(reterr, r < 0 ? r : -SW_ERR_DATA, "the releases in the outbox cannot be read: %s",
                        sw_error_text(r));
        k->repeating = true; /* also if there is none: it ends with the first step */
        k->repeat_began_ms = k->repeat_moved_ms = sw_clock_mono().ms;
        return 0;
}

/* ---- life ---- */

int sw__keeper_open(struct sw_daemon *d, struct sw_err *reterr)
{
        struct sw__keeper *k = d->keeper = sw_calloc(1, sizeof(*k));
        struct sw_outbox_release last = { 0 };
        int r;

        if (!k)
                return sw_err_set(reterr, -SW_ERR_NOMEM, "out of memory");
        k->daemon = d;
        pthread_mutex_init(&k->lock, NULL);
        pthread_cond_init(&k->wake, NULL);
        r = sw_outbox_last(d->outbox, &last);
        if (r == 0)
                r = sw_outbox_put_conf(d->outbox, d->conf->hash, (struct sw_str){ d->conf->text.p, d->conf->text.n });
        if (r < 0)
                return sw_err_set(reterr, r, "the outbox cannot be used: %s", sw_error_text(r));
        if (r == 0)
                r = sw_snapshots_open(d->conf->conf.state.dir, &k->files, reterr);
        if (r == 0)
                r = restore_snapshot(d, last.number, reterr);
        if (r == 0 && !k->engine && last.number == 0)
                r = restore_learned(d, reterr);
        if (r < 0)
                return r;
        if (k->cover.json && last.number == 0) {
                sw_log(d->log, SW_LOG_WARNING, "recovery", NULL,
                        "the outbox is new, the snapshot is not: the findings that were in it are gone");
                last = k->cover.release;
        }
        k->last_row = last.number;
        atomic_store(&k->row, k->last_row);
        k->cold = last.number == 0 || (last.cold && last.watermark.ms < last.wall.ms - SW_HOUR);
        if (!k->engine_conf)
                k->engine_conf = d->conf;
        memcpy(k->conf_hash, k->engine_conf->hash, sizeof(k->conf_hash));
        return 0;
}

void sw__keeper_close(struct sw_daemon *d)
{
        struct sw__keeper *k = d->keeper;

        if (!k)
                return;
        restore_free_rows(k);
        sw_free(k->places);
        sw_free(k->lost);
        sw_cover_deinit(&k->cover);
        sw_engine_free(k->engine);
        sw_snapshots_close(k->files);
        sw_lines_deinit(&k->pending);
        sw_free(k->offsets);
        pthread_mutex_destroy(&k->lock);
        pthread_cond_destroy(&k->wake);
        sw_free(k);
        d->keeper = NULL;
}

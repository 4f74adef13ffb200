/* SPDX-License-Identifier: Apache-2.0 */
/* Engine thread: every release becomes a row of the outbox, together with the findings made since the last one. */
#include "daemon_keeper.h"
#include "base/alloc.h"

#include <string.h>

int sw__keeper_on_findings(struct sw_daemon *d, const struct sw_lines *findings)
{
        struct sw_lines *to = &d->keeper->pending;
        uint32_t i;
        int r = 0;

        for (i = 0; i < findings->n && r == 0; i++) {
                const struct sw_line *l = &findings->items[i];
                size_t from = to->text.n;

                sw_buf_put(&to->text, findings->text.p + l->offset, l->n);
                r = to->text.failed ? -SW_ERR_NOMEM : sw_lines_add(to, from, l->severity, l->uid);
        }
        return r;
}

/* The places as the outbox wants them. A partition that was never started has none. */
static int keeper_offsets(struct sw_daemon *d, const struct sw_pipeline_row *row, uint32_t *ret_n)
{
        struct sw__keeper *k = d->keeper;
        struct sw_outbox_offset *offsets;
        uint32_t i;

        if (row->n_consumed > k->cap_offsets) {
                offsets = sw_realloc_array(k->offsets, row->n_consumed, sizeof(*offsets));
                if (!offsets)
                        return -SW_ERR_NOMEM;
                k->offsets = offsets;
                k->cap_offsets = row->n_consumed;
        }
        pthread_mutex_lock(&d->parts_lock);
        for (i = 0; i < row->n_consumed; i++) {
                const struct sw__daemon_part *p = d->parts[i];
                const struct sw_consumed *c = &row->consumed[i];

                k->offsets[i] = (struct sw_outbox_offset){ .source = p->source_name,
                        .topic = p->topic,
                        .partition = p->number,
                        .inode = c->inode,
                        .next = c->next,
                        .stamp = c->stamp,
                        .hash = c->hash };
        }
        pthread_mutex_unlock(&d->parts_lock);
        *ret_n = row->n_consumed;
        return 0;
}

/* What a repeated row found is in the outbox already. */
static void keeper_compare(struct sw_daemon *d, uint64_t number)
{
        struct sw__keeper *k = d->keeper;
        const struct sw__keeper_row *row = &k->rows[number - k->rows[0].number];
        uint32_t i, n = k->pending.n < row->n_uids ? k->pending.n : row->n_uids;
        uint32_t differ = k->pending.n > row->n_uids ? k->pending.n - row->n_uids : row->n_uids - k->pending.n;
        const char *first = differ == 0 ? NULL : k->pending.n > row->n_uids ? k->pending.items[n].uid : row->uids[n];

        for (i = 0; i < n; i++)
                if (strcmp(k->pending.items[i].uid, row->uids[i]) != 0) {
                        first = k->pending.items[i].uid;
                        differ++;
                }
        atomic_fetch_add(&k->n_compared, row->n_uids);
        if (differ > 0) {
                atomic_fetch_add(&k->n_mismatches, differ);
                sw_log(d->log, SW_LOG_WARNING, "recovery_mismatch", NULL,
                        "release %llu: %u of %u findings differ from what was found the first time (%s); those of the "
                        "first time stay",
                        (unsigned long long)number, differ, row->n_uids, first);
        }
        sw_lines_reset(&k->pending);
}

int sw__keeper_on_release(void *daemon, struct sw_engine *e, const struct sw_pipeline_row *row)
{
        struct sw_daemon *d = daemon;
        struct sw__keeper *k = d->keeper;
        struct sw_outbox_release release = { .watermark = row->watermark, .wall = row->wall, .cold = row->cold };
        uint32_t n = k->pending.n;
        int r;

        if (row->number) {
                keeper_compare(d, row->number);
                atomic_fetch_add(&k->n_repeated, 1);
                return 0;
        }
        r = keeper_offsets(d, row, &release.n_offsets);
        if (r < 0)
                return r;
        release.number = k->last_row + 1;
        release.offsets = k->offsets;
        memcpy(release.conf, k->conf_hash, sizeof(release.conf));
        r = sw__daemon_put_release(d, &release, &k->pending);
        if (r != 0)
                return r;
        atomic_fetch_add(&d->n_findings, n);
        sw__daemon_tally(d, (struct sw_str){ k->pending.text.p, k->pending.text.n });
        atomic_store(&k->row, ++k->last_row);
        sw_lines_reset(&k->pending);
        sw__keeper_begin(d, e, &release);
        return 0;
}

int sw__keeper_on_turn(void *daemon, struct sw_engine *e)
{
        struct sw_daemon *d = daemon;
        struct sw__keeper *k = d->keeper;

        (void)e;
        if (atomic_load_explicit(&k->stage, memory_order_acquire) == SW__KEEPER_READ)
                sw__keeper_end(d);
        if (!atomic_load_explicit(&k->wanted, memory_order_relaxed) || atomic_load(&k->stage) != SW__KEEPER_IDLE)
                return SW_PIPELINE_GO_ON;
        return SW_PIPELINE_ROW; /* a snapshot is taken right after a row */
}

void sw__keeper_on_config(void *daemon, const struct sw_core_conf *core)
{
        struct sw_daemon *d = daemon;
        const struct sw__daemon_conf *c =
                (const struct sw__daemon_conf *)(const void *)((const char *)core -
                                                               offsetof(struct sw__daemon_conf, core));

        memcpy(d->keeper->conf_hash, c->hash, sizeof(c->hash));
        /* a row may name it from now on; the disk may make this wait */
        if (sw_outbox_put_conf(d->outbox, c->hash, (struct sw_str){ c->text.p, c->text.n }) < 0)
                sw_log(d->log, SW_LOG_ERROR, "outbox", NULL, "the configuration could not be kept");
        atomic_store(&d->conf_in_force, c->sequence);
}

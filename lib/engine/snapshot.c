/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/snapshot.h"

#include "engine/engine_int.h"

#include <assert.h>

#define PIECES_BYTES ((size_t)256 * 1024)

/* The file in the order in which it is read: small parts, encoded at begin; pieces of tables; the end. */
struct sw_snapshot {
        struct sw_engine *engine;
        struct sw_guard *guard;
        struct sw_buf small;
        unsigned char *block; /* one section of pieces, or the end */
        const unsigned char *next;
        size_t n_next; /* bytes that wait to be read */
        uint64_t number;
        uint64_t bytes;
        bool is_over;
};

struct begin {
        struct sw_snapshot *s;
        struct sw_buf payload;
        bool learned;
};

static void put_section(struct begin *b, const char *name, uint32_t version)
{
        sw_section_put(&b->s->small, name, version, &b->payload, b->s->number++);
        sw_buf_reset(&b->payload);
}

static void put_head(struct begin *b, struct sw_engine *e, struct sw_str extra)
{
        struct sw_state_io io = { .out = &b->payload };
        struct sw_etime until = sw_etime_max(sw_etime_max(e->view.now, e->released), e->view.learned_until);

        sw_section_begin_file(&b->s->small);
        sw_state_bool(&io, &b->learned);
        sw_state_u64(&io, &e->seed.k0);
        sw_state_u64(&io, &e->seed.k1);
        sw_state_etime(&io, &until);
        put_section(b, "snapshot", 1);
        sw_buf_put_str(&b->payload, extra);
        put_section(b, "extra", 1);
}

static int put_region(void *ctx, const struct sw_region *r, enum sw_group group)
{
        struct begin *b = ctx;
        struct sw_state_io io = { .out = &b->payload };
        char name[SW_SECTION_NAME + 1] = "table:";
        size_t n = strlen(r->name);
        int e;

        if (b->learned && !sw__engine_is_learned(group))
                return 0;
        assert(n + 6 <= SW_SECTION_NAME);
        memcpy(name + 6, r->name, n);
        e = sw_region_save(r, b->s->guard, &io);
        if (e == 0)
                put_section(b, name, r->version);
        return e;
}

static void put_parts(struct begin *b, struct sw_engine *e)
{
        struct sw_state_io io = { .out = &b->payload };
        unsigned i;

        for (i = 0; i < sw__engine_n_parts; i++) {
                const struct sw_engine_part *p = &sw__engine_parts[i];

                if (b->learned && !p->learned)
                        continue;
                p->state(e, &io);
                put_section(b, p->name, p->version);
        }
}

static int begin_all(struct begin *b, struct sw_engine *e, const struct sw_snapshot_conf *conf)
{
        size_t ring =
                conf->buffer_bytes ? conf->buffer_bytes : sw_plan_bytes(SW_PLAN_SNAPSHOT, e->conf.memory_limit_bytes);
        int r = sw_guard_new(ring, conf->wait, conf->ctx, &b->s->guard);

        if (r < 0)
                return r;
        b->s->block = sw_alloc(SW_SECTION_HEAD + PIECES_BYTES + SW_SECTION_TAIL);
        if (!b->s->block)
                return -SW_ERR_NOMEM;
        sw_reorder_recycle(&e->reorder);
        put_head(b, e, conf->extra);
        r = sw__engine_each(e, put_region, b);
        if (r < 0)
                return r;
        put_parts(b, e);
        return b->s->small.failed ? -SW_ERR_NOMEM : sw_guard_open(b->s->guard);
}

int sw_snapshot_begin_as(struct sw_engine *e, const struct sw_snapshot_conf *conf, struct sw_snapshot **ret)
{
        struct begin b = { .learned = conf->learned };
        int r;

        if (e->snapshot)
                return -SW_ERR_UNAVAIL;
        b.s = sw_calloc(1, sizeof(*b.s));
        if (!b.s)
                return -SW_ERR_NOMEM;
        r = begin_all(&b, e, conf);
        sw_buf_deinit(&b.payload);
        if (r < 0) {
                sw_snapshot_end(b.s);
                return r;
        }
        b.s->next = (const unsigned char *)b.s->small.p;
        b.s->n_next = b.s->small.n;
        b.s->engine = e;
        e->snapshot = b.s;
        *ret = b.s;
        return 0;
}

int sw_snapshot_begin(struct sw_engine *e, struct sw_str extra, struct sw_snapshot **ret)
{
        const struct sw_snapshot_conf conf = { .extra = extra };

        return sw_snapshot_begin_as(e, &conf, ret);
}

/* The next section into the block. */
static void read_block(struct sw_snapshot *s)
{
        size_t n = sw_guard_read(s->guard, s->block + SW_SECTION_HEAD, PIECES_BYTES);
        const char *name = n ? "pieces" : "end";

        if (n == 0) {
                memcpy(s->block + SW_SECTION_HEAD, &s->number, sizeof(s->number));
                memcpy(s->block + SW_SECTION_HEAD + sizeof(s->number), &s->bytes, sizeof(s->bytes));
                n = sizeof(s->number) + sizeof(s->bytes);
                s->is_over = true;
        }
        sw_section_seal(s->block, name, 1, n, s->number++);
        s->next = s->block;
        s->n_next = SW_SECTION_HEAD + n + SW_SECTION_TAIL;
}

int sw_snapshot_read(struct sw_snapshot *s, void *buf, size_t n, size_t *ret_n)
{
        unsigned char *to = buf;
        size_t out = 0, step;

        while (out < n) {
                if (s->n_next == 0) {
                        if (s->is_over)
                                break;
                        read_block(s);
                        if (sw_guard_is_abandoned(s->guard))
                                return -SW_ERR_UNAVAIL;
                }
                step = s->n_next < n - out ? s->n_next : n - out;
                memcpy(to + out, s->next, step);
                s->next += step;
                s->n_next -= step;
                s->bytes += step;
                out += step;
        }
        if (sw_guard_is_abandoned(s->guard))
                return -SW_ERR_UNAVAIL;
        *ret_n = out;
        return 0;
}

void sw_snapshot_abandon(struct sw_snapshot *s)
{
        sw_guard_abandon(s->guard);
}

struct sw_snapshot *sw_snapshot_end(struct sw_snapshot *s)
{
        if (!s)
                return NULL;
        sw_guard_free(s->guard);
        if (s->engine)
                s->engine->snapshot = NULL;
        sw_buf_deinit(&s->small);
        sw_free(s->block);
        sw_free(s);
        return NULL;
}

struct sw_snapshot_stats sw_snapshot_stats(const struct sw_snapshot *s)
{
        struct sw_guard_stats g = sw_guard_stats(s->guard);

        return (struct sw_snapshot_stats){
                .bytes = s->bytes,
                .chunks_copied_ahead = g.copied_ahead,
                .waits = g.waits,
                .buffer_bytes = g.ring_bytes,
        };
}

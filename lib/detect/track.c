/* SPDX-License-Identifier: Apache-2.0 */
#include "detect/track.h"

#include "base/fetch.h"

#include <assert.h>

#define SLEPT_MS (20 * SW_DAY) /* stamps of 32 bits mean nothing any more */
#define AGED_MS (10 * SW_DAY)  /* a tuple that opened longer ago is not packed */
#define SWEEP 4u               /* places looked at for each new track */

enum { HEADS, MIDDLE, LARGE };
_Static_assert(sizeof(struct sw_track) == 160 && sizeof(struct sw_track_tuple) == 40, "nothing between the fields");

static const uint8_t track_caps[] = { SW_TRACK_INSIDE, SW_TRACK_MIDDLE };
static const uint8_t track_tuple_caps[] = { SW_TRACK_INSIDE, SW_SIGNAL_EVIDENCE };

static bool track_same_key(const void *a, const void *b)
{
        return memcmp(a, b, sizeof(((struct sw_track *)0)->key)) == 0;
}

bool sw_track_migrate_large(uint32_t version, uint32_t size, const void *old, void *entry)
{
        return version == 1 && sw_window_migrate(old, size, entry, sizeof(struct sw_track_large),
                                       offsetof(struct sw_track_large, window));
}

/* Where its things are. False: its body is gone. */
static bool track_open(struct sw_table *t, struct sw_track *h, struct sw_track_ref *ret)
{
        struct sw_track_middle *m;
        struct sw_track_large *l;

        if (h->size == SW_TRACK_IS_INSIDE) {
                *ret = (struct sw_track_ref){ .head = h, .items = h->items, .tuples = h->tuples, .n = h->n };
                return h->n <= SW_TRACK_INSIDE && h->n_tuples <= SW_TRACK_INSIDE;
        }
        if (h->size == SW_TRACK_IS_MIDDLE) {
                m = sw_table_use(&t[MIDDLE], h->body - 1);
                if (!m || !track_same_key(m, h))
                        return false;
                *ret = (struct sw_track_ref){ .head = h, .items = m->items, .tuples = m->tuples, .n = h->n };
                return h->n <= SW_TRACK_MIDDLE && h->n_tuples <= SW_SIGNAL_EVIDENCE;
        }
        l = h->size == SW_TRACK_IS_LARGE ? sw_table_use(&t[LARGE], h->body - 1) : NULL;
        if (!l || !track_same_key(l, h))
                return false;
        *ret = (struct sw_track_ref){ .head = h, .items = l->window.items, .large = l, .n = l->window.n };
        return l->window.n <= SW_WINDOW_CAP;
}

static void track_drop_body(struct sw_table *t, const struct sw_track *h)
{
        const void *body = NULL;

        if (h->size == SW_TRACK_IS_MIDDLE || h->size == SW_TRACK_IS_LARGE)
                body = sw_table_peek(&t[h->size], h->body - 1);
        if (body && track_same_key(body, h))
                sw_table_remove_id(&t[h->size], h->body - 1);
}

void sw_track_on_evict(void *ctx, void *entry)
{
        struct sw_tables *own = ctx;
        unsigned i;

        for (i = 0; i + LARGE < own->n; i += SW_TRACK_TABLES)
                if (sw_table_id(&own->t[i], entry) != SW_TABLE_NO_ID)
                        track_drop_body(&own->t[i], entry);
}

/* ---- time ---- */

static bool track_is_over(const struct sw_track *h, const struct sw_track_what *what, struct sw_etime now)
{
        int64_t age;

        if (h->last_ms < 0 || h->last_ms > INT64_MAX / 2)
                return true; /* out of a damaged snapshot */
        age = now.ms - h->last_ms - h->late_ms;
        return age >= (h->stage == SW_TRACK_FIRST ? what->first_ms : what->keep_ms);
}

struct track_sweep {
        struct sw_table *t;
        const struct sw_track_what *what;
        struct sw_etime now;
};

static bool track_sweep_one(void *ctx, const void *entry)
{
        const struct track_sweep *s = ctx;

        if (!track_is_over(entry, s->what, s->now))
                return false;
        track_drop_body(s->t, entry);
        return true;
}

/* Empty, as if it had just been made. */
static void track_begin(struct sw_table *t, struct sw_track *h, const struct sw_conn_event *ev)
{
        struct sw_track empty = { .src_serial = ev->src_host->serial, .src_segment = ev->first.src_segment };

        track_drop_body(t, h);
        memcpy(empty.key, h->key, sizeof(empty.key));
        *h = empty;
}

static void track_date(struct sw_track *h, const struct sw_view *v, const struct sw_conn_event *ev)
{
        int64_t late = sw_view_now(v).ms - ev->time.ms;

        if (ev->time.ms < h->last_ms)
                return;
        h->last_ms = ev->time.ms;
        h->late_ms = late <= 0 ? 0 : late > UINT32_MAX ? UINT32_MAX : (uint32_t)late;
}

/* ---- tuples ---- */

static bool track_fits(const struct sw_track *h, const struct sw_conn_event *ev)
{
        const struct sw_evidence *e = &ev->first;
        int64_t age = ev->time.ms - e->time.ms;
        unsigned i;

        for (i = 0; i < SW_N_COUNTERS; i++)
                if (e->counters[i] > UINT16_MAX)
                        return false;
        return e->state < 16 && e->direction < 2 && e->reversed < 2 && age >= 0 && age < AGED_MS &&
               ev->src_host->serial == h->src_serial && e->src_segment == h->src_segment &&
               sw_addr_cmp(&e->src, &ev->src_host->addr) == 0 && sw_addr_cmp(&e->dst, &ev->dst_host->addr) == 0;
}

static struct sw_track_tuple track_pack(const struct sw_conn_event *ev)
{
        const struct sw_evidence *e = &ev->first;
        struct sw_track_tuple p = {
                .time_ms = (uint32_t)(uint64_t)e->time.ms,
                .dst = ev->dst,
                .dst_serial = ev->dst_host->serial,
                .dst_segment = e->dst_segment,
                .rule = e->rule,
                .sensor = e->sensor,
                .sport = e->sport,
                .dport = e->dport,
                .proto = e->proto,
                .outcome = (uint8_t)ev->outcome,
                .state = (uint8_t)(e->state | e->direction << 4 | e->reversed << 5),
                .encryption = e->encryption,
        };
        unsigned i;

        for (i = 0; i < SW_N_COUNTERS; i++)
                p.counters[i] = (uint16_t)e->counters[i];
        return p;
}

/* Tuples are older than the newest event, or not much younger (late ones came before it). */
static struct sw_etime track_time(const struct sw_track *h, const struct sw_track_tuple *p)
{
        uint32_t age = (uint32_t)(uint64_t)h->last_ms - p->time_ms;

        return (struct sw_etime){ h->last_ms - (int32_t)age };
}

/* False: one of its hosts is not known any more. */
static bool track_unpack(
        const struct sw_track *h, const struct sw_view *v, const struct sw_track_tuple *p, struct sw_evidence *ret)
{
        const struct sw_host *src = sw_view_host(v, h->key[0]), *dst = sw_view_host(v, p->dst);

        if (!src || !dst || src->serial != h->src_serial || dst->serial != p->dst_serial)
                return false;
        *ret = (struct sw_evidence){
                .time = track_time(h, p),
                .src = src->addr,
                .dst = dst->addr,
                .counters = { p->counters[0], p->counters[1], p->counters[2], p->counters[3] },
                .src_segment = h->src_segment,
                .dst_segment = p->dst_segment,
                .rule = p->rule,
                .sensor = p->sensor,
                .sport = p->sport,
                .dport = p->dport,
                .proto = p->proto,
                .state = p->state & 15,
                .direction = p->state >> 4 & 1,
                .encryption = p->encryption,
                .outcome = p->outcome,
                .reversed = p->state >> 5 & 1,
        };
        return true;
}

/* What sw_evidence_cmp compares. */
static bool track_same_tuple(const struct sw_track_tuple *a, const struct sw_track_tuple *b)
{
        return a->time_ms == b->time_ms && a->dst == b->dst && a->dst_serial == b->dst_serial && a->sport == b->sport &&
               a->dport == b->dport && a->proto == b->proto && (a->state & 31) == (b->state & 31) &&
               a->encryption == b->encryption && memcmp(a->counters, b->counters, sizeof(a->counters)) == 0;
}

/* ---- growing ---- */

static bool track_to_middle(struct sw_table *t, struct sw_track *h)
{
        struct sw_track_middle *m;
        uint32_t id;
        bool created;

        m = sw_table_insert_id(&t[MIDDLE], h->key, &created, &id);
        if (!m)
                return false;
        memcpy(m->items, h->items, sizeof(h->items));
        memcpy(m->tuples, h->tuples, sizeof(h->tuples));
        h->size = SW_TRACK_IS_MIDDLE;
        h->body = id + 1;
        return true;
}

static bool track_to_large(struct sw_table *t, const struct sw_view *v, const struct sw_track_ref *r)
{
        struct sw_track *h = r->head;
        struct sw_track_large *l;
        uint32_t id, i;
        bool created;

        l = sw_table_insert_id(&t[LARGE], h->key, &created, &id);
        if (!l)
                return false;
        if (!created) { /* of a head that was lost */
                memset(&l->window, 0, sizeof(*l) - offsetof(struct sw_track_large, window));
        }
        l->window.last_ms = h->last_ms;
        l->window.burst_ms = h->last_ms - (int64_t)((uint32_t)(uint64_t)h->last_ms - h->burst_ms);
        l->window.n = r->n;
        memcpy(l->window.items, r->items, r->n * sizeof(*r->items));
        for (i = 0; i < r->n; i++) {
                const struct sw_host *host = sw_view_host(v, r->items[i].key);

                if (host)
                        sw_window_note(&l->window, &r->items[i], sw_window_hash(&host->addr, r->items[i].port));
        }
        for (i = 0; i < h->n_tuples; i++)
                l->evidence.n += track_unpack(h, v, &r->tuples[i], &l->evidence.e[l->evidence.n]);
        track_drop_body(t, h);
        h->size = SW_TRACK_IS_LARGE;
        h->body = id + 1;
        return true;
}

/* The next size, or large at once; *r is opened again. */
static bool track_grow(struct sw_table *t, const struct sw_view *v, struct sw_track_ref *r, bool large)
{
        struct sw_track *h = r->head;

        if (r->large)
                return true;
        if (large || h->size == SW_TRACK_IS_MIDDLE ? !track_to_large(t, v, r) : !track_to_middle(t, h))
                return false;
        return track_open(t, h, r);
}

bool sw_track_grow_large(struct sw_table *t, const struct sw_view *v, struct sw_track_ref *r)
{
        return track_grow(t, v, r, true);
}

/* ---- adding ---- */

static void track_add_large(const struct sw_track_what *what, const struct sw_view *v, const struct sw_conn_event *ev,
        struct sw_track_ref *r)
{
        const struct sw_host *host = what->item.key == ev->dst ? ev->dst_host : sw_view_host(v, what->item.key);
        struct sw_window *w = &r->large->window;

        (void)sw_window_add(
                w, ev->time, what->item, host ? sw_window_hash(&host->addr, what->item.port) : 0, what->keep_ms);
        r->n = w->n;
        track_date(r->head, v, ev);
}

/* As sw_window_add. */
static void track_add_item(struct sw_table *t, const struct sw_track_what *what, const struct sw_view *v,
        const struct sw_conn_event *ev, struct sw_track_ref *r)
{
        struct sw_track *h = r->head;
        struct sw_etime at = ev->time;

        if (!r->large) {
                at.ms = at.ms > h->last_ms ? at.ms : h->last_ms;
                r->n = at.ms - h->last_ms >= SLEPT_MS ? 0 : sw_window_keep_items(r->items, r->n, at, what->keep_ms);
                h->n = (uint8_t)r->n;
                if (r->n == track_caps[h->size] && !sw_window_find_item(r->items, r->n, &what->item))
                        (void)track_grow(t, v, r, false);
        }
        if (r->large) {
                track_add_large(what, v, ev, r);
                return;
        }
        if (h->last_ms == 0 || at.ms - h->last_ms >= SW_WINDOW_BURST_MS)
                h->burst_ms = (uint32_t)(uint64_t)at.ms;
        track_date(h, v, ev);
        /* Without room to grow the oldest gives way. */
        (void)sw_window_put_item(r->items, &r->n, track_caps[h->size], ev->time, what->item);
        h->n = (uint8_t)r->n;
}

/* In place of the canonically smallest one, if that is old, as sw_raise_keep. */
static void track_replace_tuple(const struct sw_view *v, const struct sw_track_ref *r, const struct sw_track_tuple *p)
{
        const struct sw_track *h = r->head;
        struct sw_evidence e[SW_SIGNAL_EVIDENCE];
        uint32_t i, n = h->n_tuples, smallest = 0;

        for (i = 1; i < n; i++)
                if (track_time(h, &r->tuples[i]).ms < track_time(h, &r->tuples[smallest]).ms)
                        smallest = i;
        if (track_time(h, p).ms - track_time(h, &r->tuples[smallest]).ms < SW_RAISE_FRESH_MS)
                return;
        for (i = 0; i < n; i++)
                if (!track_unpack(h, v, &r->tuples[i], &e[i])) {
                        r->tuples[i] = *p;
                        return;
                }
        for (smallest = 0, i = 1; i < n; i++)
                if (sw_evidence_cmp(&e[i], &e[smallest]) < 0)
                        smallest = i;
        r->tuples[smallest] = *p;
}

/* As sw_raise_keep. */
static void track_add_tuple(
        struct sw_table *t, const struct sw_view *v, const struct sw_conn_event *ev, struct sw_track_ref *r)
{
        struct sw_track *h = r->head;
        struct sw_track_tuple p;
        uint32_t i;

        if (!r->large && !track_fits(h, ev) && !track_grow(t, v, r, true))
                return;
        if (r->large) {
                sw_raise_keep(&r->large->evidence, ev);
                return;
        }
        p = track_pack(ev);
        for (i = 0; i < h->n_tuples; i++)
                if (track_same_tuple(&r->tuples[i], &p))
                        return;
        if (h->n_tuples == SW_TRACK_INSIDE && h->size == SW_TRACK_IS_INSIDE && !track_grow(t, v, r, false))
                return;
        if (h->n_tuples < track_tuple_caps[h->size])
                r->tuples[h->n_tuples++] = p;
        else
                track_replace_tuple(v, r, &p);
}

/* A single thing: whatever was there before is replaced. */
static void track_single(struct sw_table *t, const struct sw_track_what *what, const struct sw_view *v,
        const struct sw_conn_event *ev, struct sw_track *h)
{
        struct sw_track_ref r;

        track_begin(t, h, ev);
        (void)track_open(t, h, &r);
        track_add_item(t, what, v, ev, &r);
        if (!what->bare)
                track_add_tuple(t, v, ev, &r);
}

bool sw_track_second(struct sw_table *t, const struct sw_track_what *what, const struct sw_view *v,
        const struct sw_conn_event *ev, struct sw_track_ref *r)
{
        struct sw_track *h = r->head;

        if (r->n && sw_window_find_item(r->items, r->n, &what->item)) {
                if (ev->time.ms > h->last_ms)
                        track_single(t, what, v, ev, h);
                return false;
        }
        h->stage = SW_TRACK_WINDOW;
        return true;
}

void sw_track_fetch(const struct sw_table *t, uint64_t hash)
{
        const struct sw_track *h = sw_table_guess(&t[HEADS], hash);
        const char *body;
        unsigned i;

        if (!h || (h->size != SW_TRACK_IS_MIDDLE && h->size != SW_TRACK_IS_LARGE))
                return;
        body = sw_table_peek(&t[h->size], h->body - 1);
        if (!body)
                return;
        for (i = 0; i < 4; i++)
                sw_fetch(body + 64 * i);
        if (h->size == SW_TRACK_IS_LARGE)
                sw_fetch(&((const struct sw_track_large *)(const void *)body)->evidence);
}

bool sw_track_add(struct sw_table *t, const struct sw_track_what *what, const struct sw_view *v,
        const struct sw_conn_event *ev, struct sw_track_ref *ret)
{
        struct track_sweep sweep = { t, what, sw_view_now(v) };
        struct sw_track *h;
        bool created;

        h = sw_table_insert(&t[HEADS], what->key, &created);
        if (!h)
                return false;
        if (created || track_is_over(h, what, sweep.now) || !track_open(t, h, ret)) {
                track_single(t, what, v, ev, h);
                h->stage = what->first_ms ? SW_TRACK_FIRST : SW_TRACK_WINDOW;
                if (created)
                        sw_table_sweep(&t[HEADS], SWEEP, track_sweep_one, &sweep);
                return h->stage == SW_TRACK_WINDOW && track_open(t, h, ret);
        }
        if (h->stage == SW_TRACK_FIRST && !sw_track_second(t, what, v, ev, ret))
                return false;
        track_add_item(t, what, v, ev, ret);
        if (!what->bare)
                track_add_tuple(t, v, ev, ret);
        return true;
}

bool sw_track_find(
        struct sw_table *t, const struct sw_track_what *what, const struct sw_view *v, struct sw_track_ref *ret)
{
        struct sw_track *h = sw_table_find(&t[HEADS], what->key);

        return h && !track_is_over(h, what, sw_view_now(v)) && track_open(t, h, ret);
}

void sw_track_forget(struct sw_table *t, const struct sw_track_what *what, const struct sw_view *v)
{
        struct sw_track_ref r;

        if (!sw_track_find(t, what, v, &r) || r.head->stage == SW_TRACK_FIRST)
                return;
        if (r.large)
                (void)sw_window_remove(&r.large->window, what->item.key, what->item.port);
        else if (sw_window_remove_item(r.items, &r.n, &what->item))
                r.head->n = (uint8_t)r.n;
}

uint32_t sw_track_count(
        const struct sw_track_ref *r, struct sw_etime now, int64_t span_ms, uint16_t mask, uint16_t want)
{
        if (now.ms - r->head->last_ms >= span_ms)
                return 0;
        return sw_window_count_items(r->items, r->n, now, span_ms, mask, want);
}

uint64_t sw_track_value(const struct sw_track_ref *r, struct sw_etime now, int64_t span_ms)
{
        return r->large ? sw_window_value(&r->large->window, now, span_ms) : sw_track_count(r, now, span_ms, 0, 0);
}

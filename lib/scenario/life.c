/* SPDX-License-Identifier: Apache-2.0 */
/* Connections from begin to end, and the timers that drive everything.
 *
 *   1. Each logged side of a connection writes B, then C about every five minutes, then E, at its own instants.
 *   2. Counters are deltas; the sum over C and E of a side is the connection's total, on both sides the same.
 *   3. A connection that an NSG denies: D at the destination; at the source, which let it out, B and an E without
 * reply.
 *   4. A connection that ends in the millisecond in which it begins may be listed end first, as Azure does.
 *   5. Order of timers: time, then order of creation. */
#include "scenario/scenario_int.h"

#include <string.h>

enum { LIFE_SEQUENCE_BITS = 30, LIFE_C_PERIOD_MS = 300000, LIFE_SHAPE_BUCKET_MS = 60000 };

static int life_grow(void **items, uint32_t *cap, size_t size)
{
        uint32_t n = *cap ? *cap * 2 : 1024;
        void *p = sw_realloc_array(*items, n, size);

        if (!p)
                return -SW_ERR_NOMEM;
        *items = p;
        *cap = n;
        return 0;
}

int sw__scn_timer(struct sw_scenario *s, int64_t at, uint32_t what, uint32_t index)
{
        struct scn_item item = { .what = what, .index = index };
        uint32_t i, up;

        if (s->n_heap == s->cap_heap && life_grow((void **)&s->heap, &s->cap_heap, sizeof(*s->heap)) < 0)
                return -SW_ERR_NOMEM;
        item.key = (uint64_t)(at - s->conf.start.ms) << LIFE_SEQUENCE_BITS |
                   (s->sequence++ & ((UINT64_C(1) << LIFE_SEQUENCE_BITS) - 1));
        for (i = s->n_heap++; i; i = up) {
                up = (i - 1) / 4;
                if (s->heap[up].key <= item.key)
                        break;
                s->heap[i] = s->heap[up];
        }
        s->heap[i] = item;
        return 0;
}

static struct scn_item life_pop(struct sw_scenario *s)
{
        struct scn_item top = s->heap[0], item = s->heap[--s->n_heap];
        uint32_t i = 0, n = s->n_heap;

        for (;;) {
                uint32_t c = i * 4 + 1, best = c, k;

                if (c >= n)
                        break;
                for (k = c + 1; k < n && k < c + 4; k++)
                        if (s->heap[k].key < s->heap[best].key)
                                best = k;
                if (s->heap[best].key >= item.key)
                        break;
                s->heap[i] = s->heap[best];
                i = best;
        }
        if (n)
                s->heap[i] = item;
        return top;
}

static uint8_t life_encryption(const struct scn_net *net, const struct scn_flow *f)
{
        const struct scn_end *a = &net->ends[f->src], *b = &net->ends[f->dst];
        uint64_t h = sw__scn_mix((uint64_t)f->src << 32 | f->dst);

        if (a->nic == SCN_NO_NIC || b->nic == SCN_NO_NIC || a->segment > SCN_ERP_DB || b->segment > SCN_ERP_DB)
                return SW_ENCRYPTION_NX;
        return h % 32 == 0 ? SW_ENCRYPTION_NX_LOCAL_DST : SW_ENCRYPTION_ENCRYPTED;
}

/* Headers are in the counters: 54 bytes a TCP segment, 28 a UDP datagram; 66 what begins or accepts a connection. */
static void life_totals(const struct scn_flow *f, uint64_t ret[SW_N_COUNTERS])
{
        uint64_t header = f->proto == SW_PROTO_TCP ? 54 : 28, extra = f->proto == SW_PROTO_TCP ? 4 : 0;

        memset(ret, 0, sizeof(uint64_t) * SW_N_COUNTERS);
        if (f->result == SCN_OK) {
                ret[SW_PACKETS_FWD] = 1 + extra + f->fwd / 1200 + f->rev / 2600;
                ret[SW_PACKETS_REV] = 1 + extra + f->rev / 1300 + f->fwd / 2400;
                ret[SW_BYTES_FWD] = f->fwd + header * ret[SW_PACKETS_FWD];
                ret[SW_BYTES_REV] = f->rev + header * ret[SW_PACKETS_REV];
                return;
        }
        ret[SW_PACKETS_FWD] = f->proto == SW_PROTO_TCP ? 3 : 1;
        ret[SW_BYTES_FWD] = ret[SW_PACKETS_FWD] * (f->proto == SW_PROTO_TCP ? 66 : header + 40);
        if (f->result == SCN_STRAY) {
                ret[SW_PACKETS_FWD] = 1;
                ret[SW_BYTES_FWD] = 128;
        }
        if (f->result == SCN_REFUSED) {
                ret[SW_PACKETS_REV] = 3;
                ret[SW_BYTES_REV] = 3 * 54;
        }
}

/* Payload a denied or unanswered attempt was meant to carry does not matter. */
static int64_t life_duration(const struct scn_flow *f, uint8_t result)
{
        if (result == SCN_STRAY)
                return 0;
        if (result == SCN_REFUSED)
                return 1500;
        if (result == SCN_NOREPLY)
                return f->proto == SW_PROTO_TCP ? 21000 : 0;
        return f->duration;
}

int sw__scn_open(struct sw_scenario *s, const struct scn_flow *f)
{
        const struct scn_net *net = &s->net;
        bool src = net->ends[f->src].nic != SCN_NO_NIC, dst = net->ends[f->dst].nic != SCN_NO_NIC;
        struct scn_flow flow = *f;
        struct scn_conn *c;
        uint32_t i;
        int r;

        if (dst && s->conf.sides == SW_SCENARIO_ONE)
                src = false;
        if (!src && !dst)
                return 0;
        if (s->free_conn) {
                i = s->free_conn - 1;
                s->free_conn = s->conns[i].next_free;
        } else {
                if (s->n_conns == s->cap_conns && life_grow((void **)&s->conns, &s->cap_conns, sizeof(*s->conns)) < 0)
                        return -SW_ERR_NOMEM;
                i = s->n_conns++;
        }
        c = &s->conns[i];
        *c = (struct scn_conn){ .start = f->start,
                .src = f->src,
                .dst = f->dst,
                .shape = f->shape,
                .sport = f->sport,
                .dport = f->dport,
                .proto = f->proto,
                .encryption = life_encryption(net, f),
                .n_sides = (uint8_t)(src + dst) };
        c->denied = sw__scn_decide(net, f, &c->rule_out, &c->rule_in);
        if (f->result == SCN_STRAY) {
                c->stray = 1;
                c->denied = 0;
                c->rule_in = SCN_RULE_PLATFORM;
        } else if (c->denied)
                flow.result = SCN_NOREPLY;
        c->end = c->start + life_duration(f, flow.result);
        life_totals(&flow, c->total);
        s->stats.connections++;
        if (++s->stats.open_connections > s->stats.max_open_connections)
                s->stats.max_open_connections = s->stats.open_connections;
        r = src ? sw__scn_timer(s, c->start, SCN_TIMER_SOURCE, i) : 0;
        if (r == 0 && dst)
                r = sw__scn_timer(s, c->start + (src ? (int64_t)(f->sport % 4) : 0), SCN_TIMER_DESTINATION, i);
        return r;
}

/* Share of a shaped connection's volume up to `at`, in parts of *ret_all: bursts that differ from minute to minute. */
static uint64_t life_weight(const struct scn_conn *c, int64_t at, uint64_t *ret_all)
{
        uint64_t sum = 0, all = 0;
        int64_t t = c->start, next;

        for (; t < c->end; t = next) {
                uint64_t h = sw__scn_mix((uint64_t)(t / LIFE_SHAPE_BUCKET_MS) * 977 + c->shape),
                         w = 1 + h % 8 * (h >> 8 & 3);

                next = (t / LIFE_SHAPE_BUCKET_MS + 1) * LIFE_SHAPE_BUCKET_MS;
                if (next > c->end)
                        next = c->end;
                all += w * (uint64_t)(next - t);
                if (at > t)
                        sum += w * (uint64_t)((at < next ? at : next) - t);
        }
        *ret_all = all ? all : 1;
        return sum;
}

static int life_emit(struct sw_scenario *s, struct scn_conn *c, unsigned side, int64_t now, uint8_t state)
{
        struct scn_nic *nic = &s->net.nics[s->net.ends[side ? c->dst : c->src].nic];
        struct scn_pending *p;
        uint32_t i, k;

        if (s->free_pending) {
                i = s->free_pending - 1;
                s->free_pending = s->pending[i].next;
        } else {
                if (s->n_pending == s->cap_pending &&
                        life_grow((void **)&s->pending, &s->cap_pending, sizeof(*s->pending)) < 0)
                        return -SW_ERR_NOMEM;
                i = s->n_pending++;
        }
        p = &s->pending[i];
        *p = (struct scn_pending){ .time = now,
                .src = c->src,
                .dst = c->dst,
                .sport = c->sport,
                .dport = c->dport,
                .proto = c->proto,
                .direction = side ? SW_INBOUND : SW_OUTBOUND,
                .state = state,
                .encryption = c->encryption,
                .rule = side ? c->rule_in : c->rule_out };
        if (state == SW_STATE_CONTINUE || state == SW_STATE_END) {
                uint64_t all = (uint64_t)(c->end - c->start), part = all;

                if (state == SW_STATE_CONTINUE)
                        part = c->shape ? life_weight(c, now, &all) : (uint64_t)(now - c->start);
                for (k = 0; k < SW_N_COUNTERS; k++) {
                        uint64_t sum = part == all ? c->total[k] : (uint64_t)((scn_u128)c->total[k] * part / all);

                        p->counters[k] = sum - c->sent[side][k];
                        c->sent[side][k] = sum;
                }
        }
        if (nic->tail)
                s->pending[nic->tail - 1].next = i + 1;
        else
                nic->head = i + 1;
        nic->tail = i + 1;
        return 0;
}

static void life_leave(struct sw_scenario *s, uint32_t index)
{
        struct scn_conn *c = &s->conns[index];

        if (--c->n_sides)
                return;
        c->next_free = s->free_conn;
        s->free_conn = index + 1;
        s->stats.open_connections--;
}

/* Next instant at which a side writes: C on its own five-minute clock, else E. */
static int64_t life_next(const struct scn_conn *c, unsigned side, int64_t now)
{
        int64_t skew = side ? c->dport % 3 : 0, phase = (int64_t)(c->sport * 7u + side * 31013u) % 60000;
        int64_t next =
                now == c->start || !c->begun[side] ? c->start + LIFE_C_PERIOD_MS - phase : now + LIFE_C_PERIOD_MS;

        return next < c->end - 1000 ? next : c->end + skew;
}

/* Too short to have an end of its own. */
static int life_short(struct sw_scenario *s, struct scn_conn *c, unsigned side, int64_t now)
{
        bool end_first = c->sport % 4 == 1;
        int r = end_first || c->stray ? 0 : life_emit(s, c, side, now, SW_STATE_BEGIN);

        if (r == 0)
                r = life_emit(s, c, side, now, SW_STATE_END);
        return r == 0 && end_first && !c->stray ? life_emit(s, c, side, now, SW_STATE_BEGIN) : r;
}

static int life_side(struct sw_scenario *s, uint32_t index, unsigned side, int64_t now)
{
        struct scn_conn *c = &s->conns[index];
        int64_t next;
        int r;

        if (side == 1 && c->denied) {
                r = life_emit(s, c, side, now, SW_STATE_DENIED);
                life_leave(s, index);
                return r;
        }
        if (!c->begun[side] && c->end <= now) {
                r = life_short(s, c, side, now);
                life_leave(s, index);
                return r;
        }
        if (!c->begun[side]) {
                r = life_emit(s, c, side, now, SW_STATE_BEGIN);
                next = life_next(c, side, now);
                c->begun[side] = 1;
        } else if (now >= c->end) {
                r = life_emit(s, c, side, now, SW_STATE_END);
                life_leave(s, index);
                return r;
        } else {
                r = life_emit(s, c, side, now, SW_STATE_CONTINUE);
                next = life_next(c, side, now);
        }
        return r < 0 ? r : sw__scn_timer(s, next, side ? SCN_TIMER_DESTINATION : SCN_TIMER_SOURCE, index);
}

int sw__scn_run(struct sw_scenario *s, int64_t until)
{
        uint64_t limit = (uint64_t)(until - s->conf.start.ms) << LIFE_SEQUENCE_BITS;

        while (s->n_heap && s->heap[0].key < limit) {
                struct scn_item item = life_pop(s);
                int64_t now = s->conf.start.ms + (int64_t)(item.key >> LIFE_SEQUENCE_BITS);
                int r = 0;

                switch (item.what) {
                case SCN_TIMER_SOURCE:
                case SCN_TIMER_DESTINATION:
                        r = life_side(s, item.index, item.what == SCN_TIMER_DESTINATION, now);
                        break;
                case SCN_TIMER_HABIT:
                        r = sw__scn_habit_fire(s, item.index, now);
                        break;
                case SCN_TIMER_PLAN:
                        r = sw__scn_open(s, &s->plan[item.index]);
                        break;
                }
                if (r < 0)
                        return r;
        }
        return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "source/source_tail.h"

#include "base/alloc.h"
#include "source/tail_reader.h"

#include <string.h>

#define TAIL_TICK_MS 500
#define TAIL_SHARE_BYTES ((size_t)256 << 10) /* before other sources have their turn */

struct sw_source_tail {
        char *name, *path;
        uint32_t id;
        struct sw_loop *loop;
        struct sw_log *log;
        struct sw_source_hooks hooks;
        struct sw_watch *tick, *again;
        struct sw_etime limit;
        bool stopped, started, full, delivering, at_end, ended, failing;

        bool busy; /* reader, step, code and err are the pool's */
        struct sw_tail_reader *reader;
        struct sw_tail_step step;
        int code;
        struct sw_err err;

        struct sw_tail_piece *first, *last; /* read, not delivered */
        size_t waiting_bytes;
        bool step_at_end; /* of the newest step, which brought nothing */
        uint64_t left;

        struct sw_source_place want; /* where to go on, until the first file was opened */
        uint64_t inode;              /* of the file read now, */
        int64_t next;                /* and the byte of it that is delivered next */
        struct sw_tail_limit limit_at;
        uint64_t messages, bytes, n_errors;
};

/* ---- delivery ---- */

static void tail_set_at_end(struct sw_source_tail *s, bool at_end)
{
        if (s->at_end == at_end)
                return;
        s->at_end = at_end;
        s->hooks.on_at_end(s->hooks.ctx, s->id, at_end);
}

static bool tail_is_ahead(const struct sw_source_tail *s)
{
        return s->first && !sw_etime_is_none(s->limit) && !sw_etime_is_none(s->first->time) &&
               sw_etime_cmp(s->first->time, s->limit) > 0;
}

/* Beyond the byte to be delivered up to, or in a file that is not the one meant. */
static bool tail_is_parked(const struct sw_source_tail *s)
{
        const struct sw_tail_limit *l = &s->limit_at;

        if (!l->set)
                return false;
        if (!s->first)
                return s->inode == l->inode && s->next >= l->until;
        return s->first->inode == l->inode ? (int64_t)s->first->offset >= l->until : s->first->inode != l->from_inode;
}

static void tail_tell_front(const struct sw_source_tail *s)
{
        if (s->first && s->hooks.on_front && !sw_etime_is_none(s->first->time))
                s->hooks.on_front(s->hooks.ctx, s->id, s->first->time);
}

/* Hands the first piece over. False: there is no room, or no further delivery. */
static bool tail_deliver(struct sw_source_tail *s)
{
        struct sw_tail_piece *p = s->first;
        const struct sw_source_message m = { .bytes = { p->bytes, p->n },
                .flags = p->flags,
                .offset = p->position,
                .next = p->end,
                .inode = p->inode,
                .place = (int64_t)p->offset + p->end - p->position,
                .base = p->offset,
                .carrier = SW_ETIME_NONE,
                .done = sw_free,
                .owner = p };
        struct sw_tail_piece *next = p->next;
        struct sw_source_place after = { .inode = p->inode, .next = m.place };
        size_t n = p->n; /* before: p may be gone when the hook returns */
        int r;

        tail_set_at_end(s, false);
        r = s->hooks.on_message(s->hooks.ctx, s->id, &m);
        s->full = r > 0;
        s->stopped = s->stopped || r < 0;
        if (r != 0)
                return false;
        s->first = next;
        if (!next)
                s->last = NULL;
        s->inode = after.inode;
        s->next = after.next;
        s->waiting_bytes -= n;
        s->messages++;
        s->bytes += n;
        tail_tell_front(s);
        return true;
}

static void tail_next_step(struct sw_source_tail *s);

static void tail_pump(void *ctx)
{
        struct sw_source_tail *s = ctx;
        uint64_t until = s->bytes + TAIL_SHARE_BYTES;

        if (s->delivering || s->stopped || s->full)
                return;
        s->delivering = true;
        if (s->first && s->hooks.on_round)
                s->hooks.on_round(s->hooks.ctx);
        while (s->first && s->bytes < until && !s->stopped && !tail_is_ahead(s) && !tail_is_parked(s) &&
                tail_deliver(s))
                ;
        s->delivering = false;
        if (s->stopped || s->full)
                return;
        if (tail_is_parked(s) && s->hooks.on_round)
                s->hooks.on_round(s->hooks.ctx); /* it may be let on at once */
        if (s->first && !tail_is_ahead(s) && !tail_is_parked(s))
                sw_watch_wake(s->again);
        if (!s->first && s->step_at_end)
                tail_set_at_end(s, s->left == 0);
        else if (!s->first)
                tail_next_step(s);
}

/* ---- reading ---- */

/* Pool thread. */
static void tail_step(void *ctx)
{
        struct sw_source_tail *s = ctx;

        s->code = sw_tail_reader_step(s->reader, &s->step, &s->err);
}

static void tail_tell(struct sw_source_tail *s, int code, const struct sw_tail_step *step, const struct sw_err *err)
{
        if (step->event)
                sw_log(s->log, step->warning ? SW_LOG_WARNING : SW_LOG_INFO, step->event, s->name, "%s", step->text);
        if (code < 0) {
                s->n_errors++;
                sw_log(s->log, SW_LOG_ERROR, "tail_read", s->name, "%s%s", err->msg,
                        s->failing || step->ended ? "" : "; it is tried again");
        } else if (s->failing) {
                sw_log(s->log, SW_LOG_INFO, "tail_read", s->name, "%s can be read again", s->path);
        }
        s->failing = code < 0;
}

/* What open or step found, but for the pieces. */
static void tail_take_step(struct sw_source_tail *s)
{
        const struct sw_tail_step *step = &s->step;
        struct sw_source_place at;

        tail_tell(s, s->code, step, &s->err);
        if (step->begin.happened) {
                s->inode = step->begin.inode;
                s->next = step->first ? (int64_t)step->first->offset : step->next - step->begin.position;
        }
        s->left = step->left;
        s->ended = step->ended;
        if (s->started || !step->begin.happened)
                return;
        s->started = true;
        sw_log(s->log, SW_LOG_INFO, "tail_open", s->name, "reading %s from byte %lld, %llu bytes are there", s->path,
                (long long)(step->first ? step->first->position : step->next), (unsigned long long)step->left);
        if (s->want.inode && (s->want.inode != s->inode || s->want.next != s->next) && s->hooks.on_recreated)
                s->hooks.on_recreated(s->hooks.ctx, s->id, s->want.next, s->next);
        at = (struct sw_source_place){ .inode = s->inode, .next = s->next, .until = SW_SOURCE_EVERYTHING };
        s->hooks.on_start(s->hooks.ctx, s->id, &at, step->left > 0 || step->first);
}

static void tail_stepped(void *ctx)
{
        struct sw_source_tail *s = ctx;
        bool had_none = s->first == NULL;
        struct sw_tail_piece *p;

        s->busy = false;
        if (s->stopped) {
                sw_tail_step_free(&s->step);
                return;
        }
        tail_take_step(s);
        for (p = s->step.first; p; p = p->next)
                s->waiting_bytes += p->n;
        if (s->step.first && s->last)
                s->last->next = s->step.first;
        else if (s->step.first)
                s->first = s->step.first;
        if (s->step.last)
                s->last = s->step.last;
        /* the end counts if it was seen after everything before it was delivered */
        s->step_at_end = s->step.ended || (s->code == 0 && s->step.at_end && !s->step.first);
        if (had_none)
                tail_tell_front(s);
        if (s->code < 0 && !s->step.ended && !s->first)
                return; /* the next tick tries again */
        tail_pump(s);
}

static void tail_next_step(struct sw_source_tail *s)
{
        if (s->busy || s->stopped || s->ended || (s->started && tail_is_parked(s)))
                return;
        sw_tail_reader_limit(s->reader, &s->limit_at);
        s->step_at_end = false;
        s->err = SW_ERR_NULL;
        s->busy = sw_loop_work(s->loop, tail_step, tail_stepped, s) == 0;
}

static void tail_tick(void *ctx)
{
        struct sw_source_tail *s = ctx;

        tail_pump(s);
        if (!s->first)
                tail_next_step(s);
}

void sw_source_tail_room(struct sw_source_tail *s)
{
        s->full = false;
        tail_pump(s);
}

void sw_source_tail_limit(struct sw_source_tail *s, struct sw_etime limit)
{
        bool was_ahead = tail_is_ahead(s);

        s->limit = limit;
        if (was_ahead && !tail_is_ahead(s) && !s->stopped)
                sw_watch_wake(s->again);
}

void sw_source_tail_until(struct sw_source_tail *s, const struct sw_source_place *at, uint64_t from_inode)
{
        s->limit_at = (struct sw_tail_limit){ .set = at->until != SW_SOURCE_EVERYTHING,
                .inode = at->inode,
                .until = at->until,
                .from_inode = from_inode };
        if (!s->stopped)
                sw_watch_wake(s->again);
}

bool sw_source_tail_reached(const struct sw_source_tail *s)
{
        const struct sw_tail_limit *l = &s->limit_at;

        if (!s->started || !l->set)
                return s->started;
        if (s->inode == l->inode)
                return s->next >= l->until || s->ended;
        return s->inode != l->from_inode || s->ended; /* the file that is meant was missed, or will never come */
}

void sw_source_tail_stats(const struct sw_source_tail *s, struct sw_source_stats *ret)
{
        *ret = (struct sw_source_stats){ .topic = s->path,
                .n_partitions = 1,
                .n_at_end = s->at_end,
                .n_ahead = tail_is_ahead(s),
                .messages = s->messages,
                .bytes = s->bytes,
                .n_errors = s->n_errors,
                .lag = s->started ? (int64_t)(s->left + s->waiting_bytes) : -1,
                .waiting_for_room = s->full,
                .failing = s->failing,
                .ended = s->ended && !s->first };
}

/* ---- life ---- */

int sw_source_tail_new(const struct sw_source_tail_conf *conf, struct sw_loop *loop, struct sw_log *log,
        const struct sw_source_hooks *hooks, struct sw_source_tail **ret, struct sw_err *reterr)
{
        const struct sw_tail_conf reader = { .path = conf->path,
                .follow = conf->follow,
                .record_max = conf->record_max,
                .inode = conf->inode,
                .next = conf->next };
        struct sw_source_tail *s = sw_calloc(1, sizeof(*s));
        int r;

        if (!s)
                return sw_err_set(reterr, -SW_ERR_NOMEM, "out of memory");
        s->id = conf->id;
        s->want = (struct sw_source_place){ .inode = conf->inode, .next = conf->next };
        if (conf->parked)
                s->limit_at = (struct sw_tail_limit){
                        .set = true, .inode = conf->inode, .from_inode = conf->inode, .until = conf->next
                };
        s->loop = loop;
        s->log = log;
        s->hooks = *hooks;
        s->limit = SW_ETIME_NONE;
        s->name = sw_strdup(conf->name);
        s->path = sw_strdup(conf->path);
        r = s->name && s->path ? sw_tail_reader_new(&reader, &s->reader) : -SW_ERR_NOMEM;
        if (r == 0)
                r = sw_loop_wakeable(loop, tail_pump, s, &s->again);
        if (r == 0)
                r = sw_loop_timer(loop, TAIL_TICK_MS, TAIL_TICK_MS, tail_tick, s, &s->tick);
        if (r == 0) {
                sw_tail_reader_limit(s->reader, &s->limit_at);
                s->code = sw_tail_reader_open(s->reader, &s->step, &s->err);
                tail_take_step(s);
        }
        if (r < 0) {
                sw_source_tail_stop(s);
                sw_source_tail_free(s);
                return sw_err_set(reterr, r, "sources: %s: %s", conf->name, sw_error_text(r));
        }
        sw_watch_wake(s->again);
        *ret = s;
        return 0;
}

void sw_source_tail_stop(struct sw_source_tail *s)
{
        s->stopped = true;
        s->again = sw_watch_close(s->again);
        s->tick = sw_watch_close(s->tick);
}

struct sw_source_tail *sw_source_tail_free(struct sw_source_tail *s)
{
        struct sw_tail_piece *p;

        if (!s)
                return NULL;
        while ((p = s->first)) {
                s->first = p->next;
                sw_free(p);
        }
        sw_tail_reader_free(s->reader);
        sw_free(s->name);
        sw_free(s->path);
        sw_free(s);
        return NULL;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Decode workers: each takes the next undecoded items of the ring and leaves them ready. */
#include "base/hash.h"
#include "pipeline_int.h"

#define TAKE_BYTES ((size_t)64 << 10)

/* Takes consecutive items up to TAKE_BYTES; false: nothing to take now. Called with the lock. */
static bool take_items(struct sw_pipeline *p, uint64_t *ret_from, uint64_t *ret_to)
{
        size_t bytes = 0;

        if (p->taken < p->head) /* the engine has passed items that need no decoding */
                p->taken = p->head;
        for (; p->taken < p->tail; p->taken++) {
                if (sw__pipeline_slot(p, p->taken)->type == ITEM_INPUT)
                        break;
        }
        *ret_from = p->taken;
        for (; p->taken < p->tail && bytes < TAKE_BYTES && p->n_free_batches > 0; p->taken++) {
                struct sw_item *it = sw__pipeline_slot(p, p->taken);

                if (it->type != ITEM_INPUT)
                        continue;
                it->batch = p->free_batches[--p->n_free_batches];
                bytes += it->input.bytes.n;
        }
        *ret_to = p->taken;
        return *ret_to > *ret_from;
}

static int decode_items(struct sw_pipeline *p, struct sw_decoder *d, uint64_t from, uint64_t to)
{
        uint64_t i;
        int r;

        for (i = from; i < to; i++) {
                struct sw_item *it = sw__pipeline_slot(p, i);

                if (it->type != ITEM_INPUT)
                        continue;
                sw_batch_reset(it->batch);
                r = sw_decode(d, it->input.bytes, it->input.flags, it->input.base, it->batch);
                if (r < 0)
                        return r;
                if (p->conf.release_ms > 0) /* a replay has no rows */
                        it->hash = sw_checksum(it->input.bytes.p, it->input.bytes.n, 0);
        }
        return 0;
}

void *sw__pipeline_worker_main(void *arg)
{
        struct sw_pipeline *p = arg;
        struct sw_decoder *d = NULL;
        struct sw_beat *beat;
        uint64_t from, to, i;
        int r = sw_decoder_new(&p->conf.decoder, &d);

        (void)pthread_setname_np(pthread_self(), "worker");
        pthread_mutex_lock(&p->lock);
        beat = &p->beats[++p->n_beats];
        while (!p->stop) {
                int code;

                if (!take_items(p, &from, &to)) {
                        pthread_cond_wait(&p->work, &p->lock);
                        continue;
                }
                sw_beat_busy(beat);
                pthread_mutex_unlock(&p->lock);
                code = r < 0 ? r : decode_items(p, d, from, to);
                sw_beat_idle(beat);
                pthread_mutex_lock(&p->lock);
                if (code < 0)
                        sw__pipeline_fail(p, code, "decoder");
                for (i = from; i < to; i++)
                        sw__pipeline_slot(p, i)->ready = true;
                pthread_cond_signal(&p->ready);
        }
        pthread_mutex_unlock(&p->lock);
        sw_decoder_free(d);
        return NULL;
}

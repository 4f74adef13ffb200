/* SPDX-License-Identifier: Apache-2.0 */
#include "state/read_ahead.h"

#include "base/alloc.h"
#include "base/err.h"
#include "state/snapshots.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>

#define AHEAD_BYTES ((size_t)512 << 10) /* of a block */
#define AHEAD_BLOCKS 8u
#define AHEAD_DROP ((off_t)8 << 20) /* left in the page cache behind the reader */

struct ahead_block {
        size_t n; /* less than AHEAD_BYTES: the file ends in it */
        int error;
};

struct sw_read_ahead {
        int fd;
        pthread_t thread;
        bool has_thread;
        pthread_mutex_t lock;
        pthread_cond_t wake;
        uint64_t n_filled, n_emptied; /* blocks, under the lock */
        bool stop;                    /* the same */
        struct ahead_block blocks[AHEAD_BLOCKS];
        unsigned char *bytes; /* of all blocks */
        off_t read, dropped;  /* the reader's */
        uint64_t n_seen;      /* the puller's: blocks that it knows to be filled */
        size_t at;            /* in the block that it empties */
};

/* Fills the next block. Whether another one follows. */
static bool ahead_fill(struct sw_read_ahead *a, uint64_t number)
{
        struct ahead_block *b = &a->blocks[number % AHEAD_BLOCKS];

        b->n = 0;
        b->error = sw_snapshots_pull(&a->fd, a->bytes + number % AHEAD_BLOCKS * AHEAD_BYTES, AHEAD_BYTES, &b->n);
        a->read += (off_t)b->n;
        if (a->read - a->dropped >= AHEAD_DROP) {
                (void)posix_fadvise(a->fd, 0, a->read, POSIX_FADV_DONTNEED);
                a->dropped = a->read;
        }
        return b->error == 0 && b->n == AHEAD_BYTES;
}

static void *ahead_main(void *ctx)
{
        struct sw_read_ahead *a = ctx;
        uint64_t number;
        bool more = true;

        pthread_mutex_lock(&a->lock);
        for (number = 0; more; number++) {
                while (number - a->n_emptied == AHEAD_BLOCKS && !a->stop)
                        pthread_cond_wait(&a->wake, &a->lock);
                if (a->stop)
                        break;
                pthread_mutex_unlock(&a->lock);
                more = ahead_fill(a, number);
                pthread_mutex_lock(&a->lock);
                a->n_filled = number + 1;
                pthread_cond_signal(&a->wake);
        }
        pthread_mutex_unlock(&a->lock);
        return NULL;
}

int sw_read_ahead_open(int fd, struct sw_read_ahead **ret)
{
        struct sw_read_ahead *a = sw_calloc(1, sizeof(*a));

        if (!a)
                return -SW_ERR_NOMEM;
        a->bytes = sw_alloc(AHEAD_BLOCKS * AHEAD_BYTES);
        if (!a->bytes) {
                sw_free(a);
                return -SW_ERR_NOMEM;
        }
        a->fd = fd;
        pthread_mutex_init(&a->lock, NULL);
        pthread_cond_init(&a->wake, NULL);
        a->has_thread = pthread_create(&a->thread, NULL, ahead_main, a) == 0;
        *ret = a;
        return 0;
}

struct sw_read_ahead *sw_read_ahead_close(struct sw_read_ahead *a)
{
        if (!a)
                return NULL;
        pthread_mutex_lock(&a->lock);
        a->stop = true;
        pthread_cond_signal(&a->wake);
        pthread_mutex_unlock(&a->lock);
        if (a->has_thread)
                (void)pthread_join(a->thread, NULL);
        pthread_cond_destroy(&a->wake);
        pthread_mutex_destroy(&a->lock);
        sw_free(a->bytes);
        sw_free(a);
        return NULL;
}

/* Until the block that is to be emptied is there. */
static void ahead_wait(struct sw_read_ahead *a)
{
        if (a->n_seen > a->n_emptied)
                return;
        if (!a->has_thread) {
                (void)ahead_fill(a, a->n_seen++);
                return;
        }
        pthread_mutex_lock(&a->lock);
        while (a->n_filled == a->n_emptied)
                pthread_cond_wait(&a->wake, &a->lock);
        a->n_seen = a->n_filled;
        pthread_mutex_unlock(&a->lock);
}

static void ahead_give_back(struct sw_read_ahead *a)
{
        a->at = 0;
        pthread_mutex_lock(&a->lock);
        a->n_emptied++;
        pthread_cond_signal(&a->wake);
        pthread_mutex_unlock(&a->lock);
}

int sw_read_ahead_pull(void *ctx, void *buf, size_t n, size_t *ret_n)
{
        struct sw_read_ahead *a = ctx;
        unsigned char *to = buf;
        size_t have = 0, step;

        while (have < n) {
                const uint64_t slot = a->n_emptied % AHEAD_BLOCKS; /* which only this thread changes */
                const struct ahead_block *b = &a->blocks[slot];

                ahead_wait(a);
                if (b->error)
                        return b->error;
                step = b->n - a->at < n - have ? b->n - a->at : n - have;
                memcpy(to + have, a->bytes + slot * AHEAD_BYTES + a->at, step);
                have += step;
                a->at += step;
                if (a->at < b->n)
                        continue;
                if (b->n < AHEAD_BYTES)
                        break;
                ahead_give_back(a);
        }
        *ret_n = have;
        return 0;
}

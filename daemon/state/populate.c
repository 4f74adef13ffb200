/* SPDX-License-Identifier: Apache-2.0 */
#include "state/populate.h"

#include "base/alloc.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>

#define POPULATE_THREADS 2
#define POPULATE_RANGES 256
#define POPULATE_STEP ((size_t)4 << 20)
#define POPULATE_MIN ((size_t)1 << 20) /* less is not worth a call */
#define POPULATE_PAGE ((size_t)4096)

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

struct sw_populate {
        pthread_mutex_t lock;
        pthread_cond_t wake;
        pthread_t threads[POPULATE_THREADS];
        unsigned n_threads;
        /* under the lock */
        bool stop;
        unsigned n_ranges, n_taken;
        struct populate_range {
                char *p;
                size_t n;
        } ranges[POPULATE_RANGES];
};

/* The next step. False: the end. */
static bool populate_take(struct sw_populate *m, struct populate_range *ret)
{
        struct populate_range *r;

        pthread_mutex_lock(&m->lock);
        while (!m->stop && m->n_taken == m->n_ranges)
                pthread_cond_wait(&m->wake, &m->lock);
        if (m->stop) {
                pthread_mutex_unlock(&m->lock);
                return false;
        }
        r = &m->ranges[m->n_taken];
        *ret = (struct populate_range){ r->p, r->n < POPULATE_STEP ? r->n : POPULATE_STEP };
        r->p += ret->n;
        r->n -= ret->n;
        m->n_taken += r->n == 0;
        pthread_mutex_unlock(&m->lock);
        return true;
}

static void *populate_main(void *ctx)
{
        struct populate_range step;

        while (populate_take(ctx, &step))
                if (madvise(step.p, step.n, MADV_POPULATE_WRITE) < 0)
                        break; /* unknown here, or no memory: who writes it will see */
        return NULL;
}

struct sw_populate *sw_populate_open(void)
{
        struct sw_populate *m = sw_calloc(1, sizeof(*m));
        unsigned i;

        if (!m)
                return NULL;
        pthread_mutex_init(&m->lock, NULL);
        pthread_cond_init(&m->wake, NULL);
        for (i = 0; i < POPULATE_THREADS; i++) {
                if (pthread_create(&m->threads[i], NULL, populate_main, m) != 0)
                        break;
                m->n_threads++;
        }
        return m;
}

/* Whole pages that hold nothing else. */
void sw_populate_soon(void *populate, void *p, size_t n_bytes)
{
        struct sw_populate *m = populate;
        size_t head = (size_t)(-(uintptr_t)p & (POPULATE_PAGE - 1));

        if (!m || n_bytes < POPULATE_MIN)
                return;
        pthread_mutex_lock(&m->lock);
        if (m->n_ranges < POPULATE_RANGES) {
                m->ranges[m->n_ranges++] =
                        (struct populate_range){ (char *)p + head, (n_bytes - head) & ~(POPULATE_PAGE - 1) };
                pthread_cond_broadcast(&m->wake);
        }
        pthread_mutex_unlock(&m->lock);
}

struct sw_populate *sw_populate_close(struct sw_populate *m)
{
        unsigned i;

        if (!m)
                return NULL;
        pthread_mutex_lock(&m->lock);
        m->stop = true;
        pthread_cond_broadcast(&m->wake);
        pthread_mutex_unlock(&m->lock);
        for (i = 0; i < m->n_threads; i++)
                (void)pthread_join(m->threads[i], NULL);
        pthread_cond_destroy(&m->wake);
        pthread_mutex_destroy(&m->lock);
        sw_free(m);
        return NULL;
}

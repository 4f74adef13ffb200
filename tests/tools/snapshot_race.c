/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots read by one thread while another plays a network to the engine; each must say what was there when it began.
 * Meant for ThreadSanitizer.
 *
 * Usage: snapshot_race [ROUNDS] */
#include "../lib/play.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>

struct reader {
        struct sw_snapshot *s;
        struct play_bytes b;
        unsigned round;
};

/* At different speeds, and one in four gives up half way. */
static void *race_read(void *ctx)
{
        struct reader *r = ctx;
        size_t cap = 1 << 20, n, step = 1000 + r->round * 7777;
        unsigned i;

        r->b.p = malloc(cap);
        for (;;) {
                if (cap - r->b.n < step)
                        r->b.p = realloc(r->b.p, cap = cap * 2 + step);
                PLAY_CHECK(sw_snapshot_read(r->s, r->b.p + r->b.n, step, &n) == 0, "read");
                r->b.n += n;
                if (n == 0)
                        return NULL;
                if (r->round % 4 == 3 && r->b.n > 500000) {
                        sw_snapshot_abandon(r->s);
                        r->b.n = 0;
                        return NULL;
                }
                for (i = 0; i < r->round % 3 * 50; i++)
                        (void)sched_yield();
        }
}

int main(int argc, char **argv)
{
        unsigned rounds = argc > 1 ? (unsigned)atoi(argv[1]) : 6, i;
        struct sw_actions out = { 0 };
        struct sw_engine *e, *loaded;
        uint64_t ahead = 0, waits = 0, checked = 0;
        struct play p;

        play_init(&p, 3, 5);
        e = play_fresh(&p);
        play_run(&p, e, &out, 0, p.n / 3);
        for (i = 0; i < rounds; i++) {
                uint32_t from = p.n / 3 + p.n * 2 / 3 / rounds * i;
                const struct sw_snapshot_conf conf = { .buffer_bytes = i % 2 ? 1 : 0 };
                struct reader r = { .round = i };
                struct play_bytes once = play_save(e, ""), again;
                struct sw_snapshot_stats stats;
                pthread_t thread;

                PLAY_CHECK(sw_snapshot_begin_as(e, &conf, &r.s) == 0, "begin");
                PLAY_CHECK(pthread_create(&thread, NULL, race_read, &r) == 0, "thread");
                play_run(&p, e, &out, from, from + p.n * 2 / 3 / rounds);
                (void)pthread_join(thread, NULL);
                stats = sw_snapshot_stats(r.s);
                ahead += stats.chunks_copied_ahead;
                waits += stats.waits;
                sw_snapshot_end(r.s);
                if (r.b.n) {
                        loaded = play_load(&p, &r.b);
                        again = play_save(loaded, "");
                        PLAY_CHECK(again.n == once.n && memcmp(again.p, once.p, once.n) == 0, "round %u differs", i);
                        sw_engine_free(loaded);
                        free(again.p);
                        checked++;
                }
                free(once.p);
                free(r.b.p);
        }
        (void)printf("%llu snapshots, %llu grains copied ahead, %llu waits\n", (unsigned long long)checked,
                (unsigned long long)ahead, (unsigned long long)waits);
        PLAY_CHECK(checked && ahead, "nothing raced");
        sw_engine_free(e);
        sw_actions_deinit(&out);
        play_deinit(&p);
        return 0;
}

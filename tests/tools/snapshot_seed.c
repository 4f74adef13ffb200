/* SPDX-License-Identifier: Apache-2.0 */
/* Writes the seeds of tests/fuzz/fuzz_snapshot.c, to be renewed when the format of a part changes.
 *
 * Usage: snapshot_seed DIR   (tests/corpus/snapshot) */
#include "../lib/play.h"

static void seed_write(const char *dir, const char *name, char first, struct play_bytes b)
{
        char path[4096];
        FILE *f;

        (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
        f = fopen(path, "w");
        PLAY_CHECK(f, "%s", path);
        (void)fputc(first, f);
        PLAY_CHECK(fwrite(b.p, 1, b.n, f) == b.n && fclose(f) == 0, "%s", path);
        free(b.p);
}

int main(int argc, char **argv)
{
        const struct sw_snapshot_conf learned = { .learned = true };
        struct sw_actions out = { 0 };
        struct sw_snapshot *s;
        struct sw_engine *e;
        struct play p;

        PLAY_CHECK(argc == 2, "usage: snapshot_seed DIR");
        play_init(&p, 4, 1);
        p.conf.memory_limit_bytes = 12 << 20;
        e = play_fresh(&p);
        seed_write(argv[1], "empty", 0, play_save(e, ""));
        play_run(&p, e, &out, 0, 3);
        seed_write(argv[1], "some", 1, play_save(e, "extra"));
        PLAY_CHECK(sw_snapshot_begin_as(e, &learned, &s) == 0, "begin");
        seed_write(argv[1], "learned", 1, play_read(s));
        sw_engine_free(e);
        sw_actions_deinit(&out);
        play_deinit(&p);
        return 0;
}

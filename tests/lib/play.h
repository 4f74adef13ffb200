/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A generated network played to an engine message by message, so that it can be stopped at any place and gone on with
 * by another engine. Now and then a clock runs two hours ahead, a message comes twice, or one comes late. */
#include "decode/decoder.h"
#include "engine/engine.h"
#include "engine/snapshot.h"
#include "scenario/scenario.h"

#include <stdio.h>
#include <stdlib.h>

#define PLAY_CHECK(condition, ...)                                                                                     \
        do {                                                                                                           \
                if (!(condition)) {                                                                                    \
                        (void)fprintf(stderr, "%s:%d: ", __FILE__, __LINE__);                                          \
                        (void)fprintf(stderr, __VA_ARGS__);                                                            \
                        (void)fputc('\n', stderr);                                                                     \
                        abort();                                                                                       \
                }                                                                                                      \
        } while (0)

struct play {
        struct sw_core_conf conf;
        struct sw_batch *batches; /* decoded once */
        struct sw_arena messages; /* that the batches point into */
        uint32_t *partitions;
        uint32_t n, cap;
        bool odd; /* with wrong clocks, repeated and late messages */
};
/* The same seed gives the same messages. Attacks of the whole catalogue. */
void play_init(struct play *p, uint64_t seed, uint32_t hours);
void play_deinit(struct play *p);
struct sw_engine *play_fresh(const struct play *p);
/* Messages [from, to); to == p->n: and the end. */
void play_run(struct play *p, struct sw_engine *e, struct sw_actions *out, uint32_t from, uint32_t to);

/* The same, but ends with the first step that fails, and returns what it returned. */
int play_try(struct play *p, struct sw_engine *e, struct sw_actions *out, uint32_t from, uint32_t to);

struct play_bytes {
        unsigned char *p;
        size_t n, at;
};
/* All bytes of a snapshot that has begun; ends it. */
struct play_bytes play_read(struct sw_snapshot *s);
struct play_bytes play_save(struct sw_engine *e, const char *extra);
int play_source(void *ctx, void *buf, size_t n, size_t *ret_n); /* ctx: struct play_bytes, read on from .at */
struct sw_engine *play_load(const struct play *p, struct play_bytes *b);
/* Statistics and tables as text; freed by the caller. */
char *play_stats(struct sw_engine *e);

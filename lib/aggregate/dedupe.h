/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Fingerprints of the records of the last dedupe_ms of event time, in minute buckets. At the limit the
 * oldest go first, counted by the table. Threads: one owner. */
#include "base/err.h"
#include "base/table.h"
#include "base/time.h"
#include "persist/state.h"

struct sw_dedupe {
        struct sw_table table;
        uint32_t *heads; /* per minute modulo n_heads: id + 1 of the first fingerprint */
        uint32_t n_heads;
        int64_t base_minute; /* older minutes are empty; -1 = nothing yet */
        int64_t keep_ms;
        uint32_t *saved_heads; /* while a snapshot is loaded */
        uint32_t n_saved_heads;
};

int sw_dedupe_init(struct sw_dedupe *d, int64_t keep_ms, size_t limit_bytes, const struct sw_hash_key *key);
void sw_dedupe_deinit(struct sw_dedupe *d);

enum { SW_DEDUPE_NEW, SW_DEDUPE_DUPLICATE, SW_DEDUPE_OLD /* before the window: not remembered */ };
/* time: of the record; watermark: last released, NONE before the first. */
void sw_dedupe_prefetch(const struct sw_dedupe *d, const struct sw_u128 *fingerprint); /* some records ahead */
int sw_dedupe_check(struct sw_dedupe *d, struct sw_u128 fingerprint, struct sw_etime time, struct sw_etime watermark);
/* Forgets what is older than watermark - keep_ms. */
void sw_dedupe_expire(struct sw_dedupe *d, struct sw_etime watermark);
size_t sw_dedupe_bytes(const struct sw_dedupe *d);

void sw_dedupe_forget(struct sw_dedupe *d); /* no list has anything; its table is the caller's to empty */
void sw_dedupe_state(struct sw_dedupe *d, struct sw_state_io *s);
/* After table and section were read: checks the lists, or makes them anew if the window has another length now.
 * 0 | -SW_ERR_DATA | -SW_ERR_NOMEM. */
int sw_dedupe_restored(struct sw_dedupe *d);

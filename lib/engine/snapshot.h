/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A consistent copy of everything the engine knows, taken while it goes on working.
 *
 * begin  engine's thread, between two steps: small parts are encoded at once; tables are only marked.
 * read   a helper thread pulls the file's bytes. A chunk of a table is copied by whoever needs it first: the reader
 * when it gets there, or the engine just before its first change, into copy buffers of bounded size (a row of the
 *        memory plan); when these are full the engine waits for the reader.
 * end    engine's thread, after the reader got everything or gave up.
 *
 * The format is one stream of sections, each with a name, a version and a checksum; a table whose version or entry size
 * changed is dropped alone (or migrated), a newer format is refused. One snapshot at a time per engine. */
#include "base/guard.h"
#include "engine/engine.h"
#include "persist/section.h"

struct sw_snapshot;

/* extra: the daemon's own section (offsets covered, names of partitions), copied. 0 | -SW_ERR_NOMEM | -SW_ERR_UNAVAIL
 * (one is under way). */
int sw_snapshot_begin(struct sw_engine *e, struct sw_str extra, struct sw_snapshot **ret);
struct sw_snapshot_conf {
        struct sw_str extra;
        bool learned;        /* only what was learned: see sw_engine_learned_until */
        size_t buffer_bytes; /* of the copy buffers; 0 = the row of the memory plan */
        sw_guard_wait wait;  /* called by the engine's thread while it waits for the reader: may sleep a little;
                                NULL: it yields */
        void *ctx;
};
int sw_snapshot_begin_as(struct sw_engine *e, const struct sw_snapshot_conf *conf, struct sw_snapshot **ret);
/* The next bytes of the file; *ret_n = 0 at its end. 0 | -SW_ERR_NOMEM | -SW_ERR_UNAVAIL (abandoned). Helper thread. */
int sw_snapshot_read(struct sw_snapshot *s, void *buf, size_t n, size_t *ret_n);
/* Any thread: what was read is worthless, read says so from now on and the engine waits no more. For a reader that
 * cannot go on (a full disk), and for a stop; end must follow. */
void sw_snapshot_abandon(struct sw_snapshot *s);
/* Gives up or ends: the engine is not slowed down any more. NULL-safe, returns NULL. Not while read is under way. */
struct sw_snapshot *sw_snapshot_end(struct sw_snapshot *s);
/* Bytes read, grains that the engine copied itself, times it had to wait for the reader, and the most of the copy
 * buffers that was in use. After the last read. */
struct sw_snapshot_stats {
        uint64_t bytes, chunks_copied_ahead, waits, buffer_bytes;
};
struct sw_snapshot_stats sw_snapshot_stats(const struct sw_snapshot *s);

/* Where a snapshot is read from: fills buf completely unless the file ends. 0 or negative. */
typedef sw_section_source sw_snapshot_source;

/* What a load says. */
struct sw_snapshot_hooks {
        /* What it left behind, for the log. */
        void (*on_dropped)(void *ctx, const char *section, const char *why);
        /* May be NULL. Memory that it will fill, or mostly; it stays until the load is over. */
        void (*on_room)(void *ctx, void *p, size_t n_bytes);
        void *ctx;
};

/* Only the daemon's section, from the head of the file, appended to extra: what has to be known before a load. The rest
 * is not looked at. -SW_ERR_DATA | -SW_ERR_VERSION | -SW_ERR_NOMEM | -SW_ERR_IO. */
int sw_snapshot_extra(sw_snapshot_source source, void *source_ctx, struct sw_buf *extra, struct sw_err *reterr);

/* An engine as it was at begin, under `conf` (segments are resolved again). *extra is appended to. -SW_ERR_DATA:
 * damaged or of a newer format, reterr says which; -SW_ERR_NOMEM; -SW_ERR_IO. The seed is the snapshot's. */
int sw_engine_load(const struct sw_core_conf *conf, sw_snapshot_source source, void *source_ctx,
        const struct sw_snapshot_hooks *hooks, struct sw_buf *extra, struct sw_engine **ret, struct sw_err *reterr);

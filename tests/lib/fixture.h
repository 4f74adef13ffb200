/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Stories for the engine: tuples as lines of text go in, events and signals come out as lines of text.
 *
 *   TIME DIR STATE PROTO SRC:PORT DST:PORT [COUNTERS] [key=value ...]
 *   0.5 O B tcp 10.0.1.1:50000 10.0.2.1:445
 *   1d2h3m4.5 I E tcp 10.0.1.1:50000 10.0.2.1:445 9/4000/7/2000 rule=UserRule_allow
 *
 * TIME counts from 2026-01-05T00:00:00Z (a Monday): any of `Nd`, `Nh`, `Nm`, then seconds with up to 3 digits after the
 * point. DIR is I or O, STATE is B, C, E, D, or S (NSG v1: allowed, stateless). COUNTERS are packets and bytes forward,
 * packets and bytes back; `-` or nothing: absent. IPv6 stands in brackets. Keys:
 *   nic=N     sensor: MAC number N; default: made from the address of the local end
 *   log=TEXT target=TEXT acl=TEXT rule=TEXT enc=TOKEN
 *   rec=N     record number: the same number twice is the same record delivered twice; default: all differ
 *   at=TIME   time of the record; default: of the tuple
 *   part=N    partition
 * Each line is one record in one batch. Other lines: `release TIME`, `final` (release up to the newest), `# remark`.
 * Out, per event: TIME TYPE SRC:PORT>DST:PORT/PROTO CLASS OUTCOME COUNTERS [flags], where COUNTERS are the delta of
 * PROGRESSED and the total of the others; per signal: TIME SIGNAL DETECTOR ACTOR > TARGETS VALUE/THRESHOLD. */
#include "engine/engine.h"

#define SW_FIXTURE_BASE_MS INT64_C(1767571200000)

struct sw_fixture {
        struct sw_core_conf conf; /* change it between _init and the first line */
        struct sw_hash_key seed;
        struct sw_engine *engine;
        struct sw_actions actions; /* everything so far */
        struct sw_buf trace;       /* NUL-terminated */
        struct sw_batch batch;
        uint64_t n_records;
        bool trace_progress; /* default true */
        bool trace_signals;  /* default false: stories about connections do not depend on detectors */
        int result;          /* of the last step; 0 = fine */
};

/* Defaults of sw_core_conf_default, but: no learning, nothing held back, signals written. */
void sw_fixture_init(struct sw_fixture *f);
void sw_fixture_deinit(struct sw_fixture *f);
/* Feeds a story. Aborts the test on a line it cannot read or a step that fails. */
void sw_fixture_run(struct sw_fixture *f, const char *story);
void sw_fixture_line(struct sw_fixture *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* What came out since the last call; the text stays valid until the next line is fed. */
const char *sw_fixture_trace(struct sw_fixture *f);
/* Number of trace lines that contain `word`. */
unsigned sw_fixture_count(const struct sw_fixture *f, const char *word);
struct sw_engine_stats sw_fixture_stats(const struct sw_fixture *f);
struct sw_etime sw_fixture_time(const char *text);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The detectors of one engine with their tables, and their configuration. */
#include "detect/detector.h"
#include "persist/region.h"

struct sw_detector_conf {
        enum sw_detector_mode mode;
        void *conf; /* the detector's own struct, NULL = defaults; owned by the configuration */
};

struct sw_detect {
        const struct sw_detector_conf *conf; /* SW_N_DETECTORS rows; valid while set */
        struct sw_tables tables[SW_N_DETECTORS];
        void *defaults[SW_N_DETECTORS]; /* filled from the option tables where conf is NULL */
        uint64_t n_signals[SW_N_DETECTORS];
        /* Who is asked, by type and kind: detectors in their order, ended by SW_N_DETECTORS. */
        uint8_t soon[SW_N_DETECTORS + 1]; /* those that have it, ended likewise */
        uint8_t asked[SW_CONN_EVENT_TYPES][SW_CONN_KINDS][SW_N_DETECTORS + 1];
};

/* Takes the tables' limits as permille of memory_limit_bytes. */
int sw_detect_init(struct sw_detect *d, const struct sw_detector_conf *conf, uint64_t memory_limit_bytes,
        const struct sw_hash_key *key, struct sw_err *reterr);
void sw_detect_deinit(struct sw_detect *d);
/* Switches thresholds between two releases; tables stay. */
void sw_detect_set_conf(struct sw_detect *d, const struct sw_detector_conf *conf);

/* Runs every detector that is not off; signals are appended to *out. 0 or negative. */
int sw_detect_event(
        struct sw_detect *d, const struct sw_view *v, const struct sw_conn_event *ev, struct sw_signals *out);
/* Asks for the memory of an event that may come: the three steps of struct sw_ahead. */
void sw_detect_soon(const struct sw_detect *d, const struct sw_conn_soon *ev, struct sw_ahead *ret);
void sw_detect_fetch(const struct sw_ahead *a);
void sw_detect_fetch_more(const struct sw_ahead *a);
int sw_detect_minute(struct sw_detect *d, const struct sw_view *v, struct sw_etime now, struct sw_signals *out);
uint64_t sw_detect_evicted(const struct sw_detect *d);
uint64_t sw_detect_bytes(const struct sw_detect *d);
/* Whether a detector that runs is asked about events of that kind (sw_conn_kind) at all. */
bool sw_detector_is_asked(const struct sw_detector *det, unsigned kind);
/* Fills a detector's conf struct with the defaults of its option table. */
int sw_detector_conf_default(const struct sw_detector *det, void *conf);

/* ---- snapshots: whatever detectors declare is in there ---- */
/* Calls back for each table until one returns another value than 0, which is returned. */
int sw_detect_each(struct sw_detect *d, int (*each)(void *ctx, struct sw_table *t), void *ctx);
void sw_detect_state(struct sw_detect *d, struct sw_state_io *s);

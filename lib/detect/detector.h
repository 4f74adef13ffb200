/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One detector is one file, det_NAME.c, that fills one struct sw_detector; SW_DETECTOR_MAP is the register.
 * A detector owns no memory: it declares its options and tables, the engine owns, bounds, evicts (and, with the
 * state format, saves) them. It sees one connection event at a time, in canonical event-time order. */
#include "aggregate/view.h"
#include "base/table.h"
#include "config/option.h"

#ifndef SW_DETECTOR_MAP_EXTRA /* a test adds one */
#define SW_DETECTOR_MAP_EXTRA(X)
#endif
/* X(enum, name = configuration key = metric label = det_<name>.c, id). Alphabetical. */
#define SW_DETECTOR_MAP(X)                                                                                             \
        X(ADMIN_FANOUT, admin_fanout, "D06")                                                                           \
        X(DENIED_SCAN, denied_scan, "D04")                                                                             \
        X(EXPOSED_ADMIN, exposed_admin, "D18")                                                                         \
        X(HORIZONTAL_SCAN, horizontal_scan, "D01")                                                                     \
        X(NEW_ADMIN_EDGE, new_admin_edge, "D07")                                                                       \
        X(PIVOT_CHAIN, pivot_chain, "D08")                                                                             \
        X(SEGMENT_POLICY, segment_policy, "D09")                                                                       \
        X(VERTICAL_SCAN, vertical_scan, "D02")                                                                         \
        SW_DETECTOR_MAP_EXTRA(X)
enum sw_detector_id {
#define SW_DETECTOR_ENUM(id, name, code) SW_DETECTOR_##id,
        SW_DETECTOR_MAP(SW_DETECTOR_ENUM)
#undef SW_DETECTOR_ENUM
                SW_N_DETECTORS
};

/* signal: feeds incidents only. alert: opens the actor's incident at once. shadow: side log only. */
enum sw_detector_mode { SW_MODE_SIGNAL, SW_MODE_ALERT, SW_MODE_SHADOW, SW_MODE_OFF };

/* Variants that correlation must tell apart; all others are the detector's own business. */
enum {
        SW_SEGMENT_POLICY_FINDING = 0, /* writes a finding of its own */
        SW_EXPOSED_ADMIN_ANSWERS = 1,  /* payload both ways: the target may have been entered */
        SW_EXPOSED_ADMIN_SESSION = 2,
        SW_PIVOT_CHAIN_JUMP = 1, /* through a declared jump host: weight 0, only says whose activity it is */
};

#define SW_ON(type) (1u << SW_CONN_##type)

#define SW_DETECTOR_TABLES 6

struct sw_table_decl {
        struct sw_table_spec spec; /* ends the list with spec.name == NULL; on_evict gets the struct sw_tables */
        unsigned permille;         /* of memory.limit */
};

struct sw_technique {
        const char *uid, *name;               /* "T1046", "Network Service Discovery" */
        const char *tactic_uid, *tactic_name; /* "TA0007", "Discovery" */
};

struct sw_tables {
        struct sw_table t[SW_DETECTOR_TABLES];
        unsigned n;
};

/* Entries that a detector will look up soon. Asked for in three steps, a few tuples apart: the index, the entry, and
 * what a track (track.h) points to. */
#define SW_AHEAD_LOOKS 4
struct sw_ahead {
        uint32_t n;
        uint32_t tracks; /* bit per look */
        struct {
                const struct sw_table *t;
                uint64_t hash;
        } looks[SW_AHEAD_LOOKS];
};
static inline void sw_ahead_look(struct sw_ahead *a, const struct sw_table *t, const void *key)
{
        if (a->n == SW_AHEAD_LOOKS)
                return;
        a->looks[a->n].t = t;
        a->looks[a->n++].hash = sw_table_look_ahead(t, key);
}

struct sw_detector {
        const char *name, *code, *summary;
        const char *title;                     /* of its findings: "Horizontal scan" */
        const char *noun;                      /* in an incident's title: "scan" */
        const struct sw_opt *options;          /* without `mode`, which every detector has; ends with SW_OPT_END */
        size_t conf_size;                      /* of the struct the options fill */
        const struct sw_technique *techniques; /* ends with uid == NULL; at most 16 */
        struct sw_table_decl tables[SW_DETECTOR_TABLES + 1];
        bool needs_baseline; /* named in "learning until": silent while the source's segment learns */
        bool handles_late;   /* does not depend on order: late events are given to it as well */
        bool admin_only;     /* wants events of administrative services only */
        bool many_ports;     /* its signals name no single port */
        bool internet_only;  /* wants events of sources on the Internet only */
        unsigned events;     /* SW_ON(type) bits it wants; others never reach on_event */
        unsigned outcomes;   /* of CLOSED: bit per enum sw_outcome without which it has no use for it; 0 = wants all */
        int (*check)(const void *conf, struct sw_err *reterr); /* rules across options; may be NULL */
        int (*on_event)(struct sw_tables *own, const void *conf, const struct sw_view *v,
                const struct sw_conn_event *ev, struct sw_signals *out);
        /* Such an event may come soon: says what it will look up. Changes nothing; may be NULL. */
        void (*soon)(const struct sw_tables *own, const struct sw_conn_soon *ev, struct sw_ahead *a);
        /* Called at every whole minute of event time, before the tuples of that millisecond; may be NULL. */
        int (*on_minute)(struct sw_tables *own, const void *conf, const struct sw_view *v, struct sw_etime now,
                struct sw_signals *out);
        /* One sentence for the incident's story, without a full stop, after the actor's name:
         * "scanned 37 hosts in segment db on 445/tcp in 5 min (threshold 10)". */
        void (*tell)(struct sw_buf *out, const struct sw_view *v, const struct sw_signal *s);
};

#define SW_DETECTOR_DECLARE(id, name, code) extern const struct sw_detector sw_det_##name;
SW_DETECTOR_MAP(SW_DETECTOR_DECLARE)
#undef SW_DETECTOR_DECLARE

extern const struct sw_detector *const sw_detectors[SW_N_DETECTORS]; /* by enum sw_detector_id */

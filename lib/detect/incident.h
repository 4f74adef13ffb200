/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One incident as correlate.c, risk.c and storyline.c share it; nobody else includes this. */
#include "detect/correlate.h"

#define SW_INCIDENT_SIGNALS 48  /* kept; more are counted, the least telling one gives way */
#define SW_INCIDENT_MEMBERS 256 /* hosts that take part; more are counted */

/* A host that takes part. Addresses are kept because ids may be reused before the incident is written. */
enum sw_member_role {
        SW_MEMBER_TARGET,      /* looked at */
        SW_MEMBER_REACHED,     /* reached by an administrative connection: what it does next belongs to the story */
        SW_MEMBER_COMPROMISED, /* acted itself, or was a pivot */
        SW_MEMBER_ENTRY,       /* a public address that came in */
        SW_MEMBER_ACTOR,
};

struct sw_member {
        struct sw_addr addr;
        uint32_t host;
        uint16_t realm;
        uint8_t role; /* enum sw_member_role */
        bool tainted;
        struct sw_etime since;
};

struct sw_kept {
        struct sw_signal s;
        struct sw_addr actor;
        char *sentence; /* tell() at the time, owned */
};

struct sw_incident {
        uint32_t slot;   /* in the correlator's list */
        uint64_t number; /* by opening order: the tie-break of everything */
        struct sw_etime opened, created, last_signal, first_evidence;
        struct sw_etime due;     /* held-back update; NONE */
        struct sw_etime written; /* last line */
        struct sw_addr opener;   /* actor when it was opened: part of the id */
        char uid[33];
        bool is_written;     /* CREATE was emitted: the id is fixed */
        int64_t folded_hour; /* last hour whose storm counts it (budget.h); 0 = never */
        uint32_t sequence;
        enum sw_severity severity; /* never falls */
        uint8_t risk, risk_written;
        uint64_t n_signals;
        uint32_t tactics_written, detectors_written, n_compromised_written, n_segments_written;
        struct sw_member *members;
        uint32_t n_members, cap_members;
        struct sw_kept *kept;
        uint32_t n_kept, cap_kept;
        uint64_t bytes;
};

/* incident.c: one incident's own data. `bytes` follows what it holds. */
/* realm: name of the actor's. NULL: memory. */
struct sw_incident *sw__incident_new(
        struct sw_etime opened, const struct sw_host *actor, uint32_t host, const char *realm);
struct sw_incident *sw__incident_free(struct sw_incident *in);
/* The id it has or would have, fixed when it is opened. */
void sw__incident_uid(const struct sw_incident *in, char ret[33]);
/* Finds or adds; a role only rises, but there is one actor: see sw__incident_set_actor. 0 | -SW_ERR_NOMEM. */
int sw__incident_add_member(struct sw_incident *in, const struct sw_host *h, uint32_t host, enum sw_member_role role,
        struct sw_etime since);
struct sw_member *sw__incident_member(struct sw_incident *in, const struct sw_addr *a, uint16_t realm);
/* The former actor becomes compromised. */
void sw__incident_set_actor(struct sw_incident *in, struct sw_member *m);
/* Copies the signal; takes sentence. A full list gives up its least telling signal. 0 | -SW_ERR_NOMEM. */
int sw__incident_keep(struct sw_incident *in, const struct sw_signal *s, const struct sw_addr *actor, char *sentence);
/* Moves everything of `from` into `to`, whose actor stays. 0 | -SW_ERR_NOMEM. */
int sw__incident_merge(struct sw_incident *to, struct sw_incident *from);
/* Freezes (or frees) the baselines of the hosts that act. */
void sw__incident_taint(struct sw_incident *in, struct sw_view *v, bool on);

/* risk.c: the score at `now`, and its band. */
uint8_t sw__risk_score(const struct sw_view *v, const struct sw_incident *i, struct sw_etime now);
enum sw_severity sw__risk_severity(const struct sw_incident *i, uint8_t risk, const struct sw_detector_conf *detectors);
unsigned sw__risk_tactics(const struct sw_incident *i);   /* bit set of distinct tactics, numbered by their ids */
unsigned sw__risk_detectors(const struct sw_incident *i); /* bit set of detectors that count */
uint8_t sw__risk_gain(const struct sw_signal *s);         /* c * w, 0..100 */
unsigned sw__risk_segments(const struct sw_incident *i);  /* distinct target segments */

/* storyline.c: fills f from the incident; texts live in *text, which must outlive the use of f. */
struct sw_story_text {
        struct sw_buf title, message, story;
};
void sw__story_incident(
        struct sw_finding *f, struct sw_story_text *text, const struct sw_view *v, const struct sw_incident *i);
/* A finding of one signal's own. */
void sw__story_signal(struct sw_finding *f, struct sw_story_text *text, const struct sw_view *v,
        const struct sw_signal *s, const char *sentence);
/* Of the actor. Never NULL. */
const struct sw_segment *sw__story_segment(const struct sw_view *v, const struct sw_incident *i);
const struct sw_member *sw__incident_actor(const struct sw_incident *i); /* NULL only while it is being made */

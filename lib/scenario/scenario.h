/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Synthetic hub-and-spoke network, its ordinary traffic, and attacks in it, as the flow log messages that Azure would
 * have written: for the demo, end-to-end tests and benchmarks.
 *
 * The same configuration gives the same bytes on every machine: integers only, a seeded generator of its own, no clock.
 * Ordinary traffic does not depend on the attacks, so that runs with and without one can be compared.
 * Streaming: memory grows with hosts and open connections, never with hours. Threads: one owner. */
#include "base/err.h"
#include "base/str.h"
#include "base/time.h"
#include "model/addr.h"

enum sw_scenario_sides { SW_SCENARIO_BOTH, SW_SCENARIO_ONE }; /* ONE: the destination's NIC, else the source's */
enum sw_scenario_format { SW_SCENARIO_VNET, SW_SCENARIO_NSG2 };

struct sw_scenario_conf {
        uint64_t seed;
        struct sw_etime start;
        uint32_t n_hosts;       /* 60..100000 */
        uint32_t minutes;       /* of event time, at least 10 */
        uint32_t attack_minute; /* after start; 0 = chosen from `minutes` */
        uint32_t load_pct;      /* 100 = about 0.6 connections per host and minute */
        uint32_t pooled;        /* connections that each host keeps open for hours (pools, agents); default 0 */
        uint32_t n_partitions;  /* 1..256; a NIC always writes to the same one */
        uint32_t message_min;   /* a message is closed at a size drawn from [min, max] bytes, ... */
        uint32_t message_max;   /* ... by its next record at the latest, or after 20 s of event time */
        uint32_t scan_hosts;    /* targets of `scan` */
        uint32_t scan_gap_ms;   /* between two of its probes */
        uint32_t fanout_hosts;  /* targets of `admin_fanout` */
        bool single_records;    /* one record per message: for folder trees by NIC and hour */
        uint8_t sides;          /* enum sw_scenario_sides */
        uint8_t format;         /* enum sw_scenario_format */
        const char *attacks;    /* comma list of names, "" or NULL = none; read by sw_scenario_new only */
};
/* 300 hosts, 30 h from a Monday 06:00 UTC, both sides, VNet v4, no attack. */
struct sw_scenario_conf sw_scenario_default(void);

struct sw_scenario;
/* 0 | -SW_ERR_INVAL (a value out of range, an unknown attack: names are listed) | -SW_ERR_NOMEM */
int sw_scenario_new(const struct sw_scenario_conf *conf, struct sw_scenario **ret, struct sw_err *reterr);
struct sw_scenario *sw_scenario_free(struct sw_scenario *s); /* NULL-safe, returns NULL */

struct sw_scenario_message {
        uint32_t partition;
        struct sw_str bytes;            /* {"records":[...]}, no newline; valid until the next call */
        struct sw_etime time;           /* when the last record of it was flushed: the broker's time stamp */
        struct sw_etime oldest, newest; /* tuple times in it */
        struct sw_etime future_oldest;  /* no later message has a tuple before this */
        uint32_t n_records, n_tuples;
        uint64_t mac; /* of its first record */
};
enum { SW_SCENARIO_OK, SW_SCENARIO_END /* nothing more; *ret is not set */ };
int sw_scenario_next(struct sw_scenario *s, struct sw_scenario_message *ret);

struct sw_scenario_stats {
        uint64_t messages, records, tuples, bytes, connections;
        uint32_t open_connections, max_open_connections, n_hosts, learning_minutes;
        struct sw_etime start, end, attack;
};
struct sw_scenario_stats sw_scenario_stats(const struct sw_scenario *s);

/* The part of a segwatch configuration that describes this network: segments, policy, hosts, learning. */
void sw_scenario_config(const struct sw_scenario *s, struct sw_buf *out);

/* What was hidden. A step is found if one of `detectors` says so about its actor. Texts live as long as s. */
struct sw_scenario_step {
        const char *attack, *name, *what; /* "full", "scan", one sentence */
        const char *detectors;            /* comma list of detector names, any of which names the step */
        const char *technique;            /* "T1046" */
        struct sw_addr actor;
        const struct sw_addr *hosts; /* targets */
        uint32_t n_hosts, n_flows;
        struct sw_etime first, last;
};
uint32_t sw_scenario_n_steps(const struct sw_scenario *s);
struct sw_scenario_step sw_scenario_step(const struct sw_scenario *s, uint32_t i);
/* The same as one JSON object. */
void sw_scenario_truth(const struct sw_scenario *s, struct sw_buf *out);
/* "admin_fanout, denied_probe, ..." for help texts. */
const char *sw_scenario_attack_names(void);

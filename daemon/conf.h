/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The whole option tree of the program, filled from YAML. Strings and lists are owned by the struct.
 * Rows: daemon/conf_options.c for the tree; each detector brings its own. Threads: read-only once loaded. */
#include "conf_auth.h"
#include "config/option.h"
#include "engine/engine.h"

enum sw_source_kind { SW_SOURCE_EVENTHUBS, SW_SOURCE_KAFKA, SW_SOURCE_FILE };
enum sw_start { SW_START_EARLIEST, SW_START_LATEST, SW_START_TIME };

struct sw_conf_source {
        char *name;
        uint32_t kind; /* enum sw_source_kind */
        struct sw_secret_ref connection_string;
        struct sw_secret_ref password; /* kafka: of sasl.username among librdkafka */
        struct sw_conf_auth auth;      /* eventhubs: instead of it */
        char *brokers; /* comma list, from a YAML list; NULL for eventhubs: from the connection string */
        char *topic;   /* NULL for eventhubs: EntityPath of the connection string */
        char *group;   /* NULL: "segwatch-<topic>" */
        char *ca_file;
        struct {
                uint32_t kind; /* enum sw_start */
                struct sw_etime time;
        } start;
        char *path;
        bool follow;
        struct sw_kv_list librdkafka;
        struct sw_conf_place place;
};

#define SW_CONF_MAX_OUTPUTS 12 /* the outbox keeps 16 sinks, some of our own */

struct sw_conf {
        struct sw_list sources; /* of struct sw_conf_source */
        struct sw_list outputs; /* of struct sw_conf_output (conf_outputs.h) */
        struct {
                uint64_t message_max;
        } input;
        struct {
                int64_t reorder_ms, lateness_ms, dedupe_ms;
                int64_t idle_ms; /* never less than reorder + 1 min unless reorder is 0 */
                struct sw_conf_place idle_place;
        } time;
        struct {
                uint32_t min_severity; /* enum sw_severity */
                uint64_t max_per_hour;
        } incidents;
        int64_t learning_ms;
        struct {
                uint64_t limit;
        } memory;
        struct {
                char *dir;
                struct {
                        int64_t age_ms;
                        uint64_t size;
                } retention; /* of findings that every output has taken */
                int64_t checkpoint_ms;
        } state;
        struct {
                char *file;
                struct {
                        uint64_t size, keep;
                } rotate;
                bool signals;     /* write signals.jsonl beside it */
                bool stats;       /* write stats.jsonl beside it */
                char *quarantine; /* file; default quarantine.jsonl beside the alert file */
                struct sw_conf_place file_place, quarantine_place;
        } alerts;
        struct {
                uint64_t size, keep; /* of quarantine.jsonl and its rotated files */
                uint64_t message_max;
        } quarantine;
        struct {
                char *socket, *http; /* "none": not opened */
                bool allow_remote;
                struct sw_secret_ref token;
                struct sw_conf_place socket_place, http_place; /* file NULL: nobody wrote it down */
        } admin;
        struct {
                uint32_t level, format; /* enum sw_log_level, enum sw_log_format */
        } log;
        struct sw_segments *segments;        /* built from segments, policy, hosts, realms */
        struct sw_suppressions suppressions; /* built, points into lists */
        struct sw_arena suppressions_memory;
        struct sw_detector_conf detectors[SW_N_DETECTORS]; /* .conf owned */
        struct sw_conf_lists *lists;                       /* as written: conf_lists.h */
};

/* Every problem found, in file order; the first SW_CONF_MAX_ERRORS are kept, all are counted. */
#define SW_CONF_MAX_ERRORS 100
struct sw_conf_report {
        struct sw_err items[SW_CONF_MAX_ERRORS];
        uint32_t n_items, n_errors, n_warnings; /* warnings have code 0 */
        bool cut;                               /* reading stopped at a bound: there may be more errors */
};

/* path NULL: all defaults. 0 | -SW_ERR_CONFIG with the report filled | -SW_ERR_NOMEM; warnings are in the report in
 * either case. need_sources: `run`, which also looks into the secrets of its sources. *ret is set in every case. */
int sw_conf_load(const char *path, bool need_sources, struct sw_conf *ret, struct sw_conf_report *report);
/* The same from a text that sw_conf_dump made; it includes nothing and needs no sources. name: for messages. */
int sw_conf_load_text(const char *name, struct sw_str text, struct sw_conf *ret, struct sw_conf_report *report);
void sw_conf_deinit(struct sw_conf *conf); /* NULL-safe, twice is fine */
/* Looks into the secrets of a loaded configuration's sources and adds what is wrong to its report. What systemd alone
 * can give is a warning. */
void sw_conf_report_secrets(const struct sw_conf *conf, struct sw_conf_report *report);
/* Effective configuration as YAML, secrets as their reference only. */
void sw_conf_dump(const struct sw_conf *conf, struct sw_buf *out);
/* Appends the names of options that differ and that a reload cannot change: "memory.limit, sources". */
void sw_conf_need_restart(const struct sw_conf *old, const struct sw_conf *new, struct sw_buf *names);
/* The core's share; points into conf, which must outlive the engine. */
void sw_conf_core(const struct sw_conf *conf, struct sw_core_conf *ret);
/* Prints "file:line:column: message" per item on stderr, warnings with "warning: " before the message. */
void sw_conf_report_print(const struct sw_conf_report *report);

/* What is written out of the option tables: a commented configuration with all defaults, and the JSON schema. */
void sw_conf_sample(struct sw_buf *out);
void sw_conf_json_schema(struct sw_buf *out);

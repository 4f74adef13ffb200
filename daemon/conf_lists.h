/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The parts of a configuration that are lists, as they were written and with their places, and the types of values
 * that only the configuration file knows. Private to daemon/conf*.c and the verb `check`. */
#include "conf.h"
#include "config/schema.h"
#include "segment/segments.h"

struct sw_conf_texts {
        char **items;
        uint32_t n;
};

struct sw_conf_cidr {
        struct sw_prefix prefix;
        struct sw_conf_place place;
};
struct sw_conf_cidrs {
        struct sw_conf_cidr *items;
        uint32_t n;
};

struct sw_conf_services {
        struct sw_port_range *items; /* none: any */
        uint32_t n;
};

/* The name of something else, and where it is named. */
struct sw_conf_ref {
        char *name;
        struct sw_conf_place place;
};

struct sw_conf_hosts {
        struct sw_conf_host {
                unsigned role_bit;
                struct sw_prefix prefix;
        } * items;
        uint32_t n;
};

struct sw_conf_segment {
        char *name;
        struct sw_conf_place place;
        struct sw_conf_cidrs cidrs;
        uint32_t role;
        uint64_t criticality;
        bool isolate;
        struct sw_conf_ref realm;
};

struct sw_conf_policy {
        struct sw_conf_ref from, to;
        struct sw_conf_services services;
        bool require_encryption;
        struct sw_conf_place place;
};

struct sw_conf_realm {
        char *name;
        struct sw_conf_place place;
        struct sw_conf_texts flow_logs;
};

struct sw_conf_detector_set {
        uint32_t bits; /* per enum sw_detector_id; 0 = all */
};

/* Addresses, ranges and names of segments. */
struct sw_conf_ends {
        struct sw_conf_cidrs cidrs;
        struct sw_conf_ref *segments;
        uint32_t n_segments;
};

struct sw_conf_expiry {
        struct sw_etime time; /* NONE: never */
        bool given;
};

struct sw_conf_suppression {
        char *id, *reason, *owner;
        struct sw_conf_expiry expires;
        struct sw_conf_detector_set detectors;
        struct sw_conf_ends source, destination;
        struct sw_conf_services services;
        struct sw_conf_place place;
};

/* `suppressions:` names a file, or is the list itself (so that --dump stands alone). */
struct sw_conf_suppressions {
        char *file;
        struct sw_conf_place place;
        struct sw_list list; /* of struct sw_conf_suppression */
};

#define SW_CONF_MAX_FILES 256
struct sw_conf_lists {
        struct sw_list segments; /* of struct sw_conf_segment */
        struct sw_list policy;   /* of struct sw_conf_policy */
        struct sw_list realms;   /* of struct sw_conf_realm */
        struct sw_conf_hosts hosts;
        struct sw_conf_suppressions suppressions;
        struct sw_conf_texts include;
        struct sw_conf_place include_place;
        struct sw_arena names;                    /* of files, for the places */
        const char *files[SW_CONF_MAX_FILES + 1]; /* read, in order; NULL-terminated */
        uint32_t n_files;
};

/* Tables of options by what they fill (conf_options.c): sources and settings are fields of struct sw_conf, lists and
 * include of struct sw_conf_lists. Only sources and lists may stand in included files. */
enum { SW_CONF_SOURCES, SW_CONF_LISTS, SW_CONF_SETTINGS, SW_CONF_INCLUDE, SW_CONF_N_TABLES };
extern const struct sw_opt *const sw_conf_tables[SW_CONF_N_TABLES];

/* Values of SW_OPT_CUSTOM (conf_types.c). */
#define SW_CONF_CUSTOM(name)                                                                                           \
        .type = SW_OPT_CUSTOM, .parse = sw_conf_##name##_parse, .emit = sw_conf_##name##_emit,                         \
        .free_field = sw_conf_##name##_free, .emit_schema = sw_conf_##name##_schema
#define SW_CONF_TYPE_DECLARE(name)                                                                                     \
        void sw_conf_##name##_parse(struct sw_conf_check *check, const struct sw_conf_node *node, void *field);        \
        void sw_conf_##name##_emit(struct sw_buf *out, const void *field);                                             \
        void sw_conf_##name##_free(void *field);                                                                       \
        void sw_conf_##name##_schema(struct sw_jsonw *w);
SW_CONF_TYPE_DECLARE(texts)     /* struct sw_conf_texts */
SW_CONF_TYPE_DECLARE(cidrs)     /* struct sw_conf_cidrs */
SW_CONF_TYPE_DECLARE(services)  /* struct sw_conf_services */
SW_CONF_TYPE_DECLARE(ref)       /* struct sw_conf_ref */
SW_CONF_TYPE_DECLARE(hosts)     /* struct sw_conf_hosts */
SW_CONF_TYPE_DECLARE(brokers)   /* char *, comma list */
SW_CONF_TYPE_DECLARE(start)     /* start of struct sw_conf_source */
SW_CONF_TYPE_DECLARE(detectors) /* detectors of struct sw_conf (conf_detectors.c) */
SW_CONF_TYPE_DECLARE(detector_set) /* struct sw_conf_detector_set (conf_suppressions.c, like the next three) */
SW_CONF_TYPE_DECLARE(ends)         /* struct sw_conf_ends */
SW_CONF_TYPE_DECLARE(expiry)       /* struct sw_conf_expiry */
SW_CONF_TYPE_DECLARE(suppressions) /* struct sw_conf_suppressions */
#undef SW_CONF_TYPE_DECLARE
/* Reads the file that `suppressions:` names, then looks at them all. */
bool sw_conf_read_suppressions(struct sw_conf_lists *lists, const char *main_file, struct sw_conf_check *check);
void sw_conf_check_suppressions(const struct sw_conf_lists *lists, struct sw_conf_check *check);
/* Fills conf->suppressions from lists without errors; points into them. 0 | -SW_ERR_NOMEM. */
int sw_conf_build_suppressions(struct sw_conf *conf);
void sw_conf_free_suppressions(struct sw_conf *conf);
void sw_conf_detectors_sample(struct sw_buf *out);
/* Name ("horizontal_scan"), code ("D01") and tables of options of a detector. */
struct sw_conf_detector {
        const char *name, *code;
        const struct sw_opt *tables[2];
};
struct sw_conf_detector sw_conf_detector(unsigned id);
int sw_conf_detectors_default(struct sw_detector_conf *detectors); /* 0 | -SW_ERR_NOMEM */

/* Letters, digits and . _ - / only, at most 63 bytes; reports otherwise. NULL is fine. */
bool sw_conf_name_ok(
        struct sw_conf_check *check, const struct sw_conf_place *place, const char *what, const char *name);

/* Rules across options. They report; the caller looks at check->n_errors. */
void sw_conf_check_sources(const struct sw_conf *conf, struct sw_conf_check *check);
void sw_conf_check_admin(const struct sw_conf *conf, struct sw_conf_check *check);
void sw_conf_check_secrets(const struct sw_conf *conf, struct sw_conf_check *check);
void sw_conf_check_lists(const struct sw_conf_lists *lists, struct sw_conf_check *check);
/* The segment that a name stands for must be there (or be one of the fixed names). */
void sw_conf_check_ref(
        const struct sw_conf_lists *lists, const struct sw_conf_ref *ref, const char *key, struct sw_conf_check *check);
/* Builds conf->segments from lists without errors. 0 | -SW_ERR_NOMEM | -SW_ERR_CONFIG, reported. */
int sw_conf_build_segments(struct sw_conf *conf, struct sw_conf_check *check);

/* Reads a file of at most SW_CONF_MAX_BYTES; *ret is freed by the caller. False after it was reported. */
bool sw_conf_read_file(const char *path, struct sw_conf_check *check, struct sw_buf *ret);
/* Paths that the patterns of `include` name, in order; relative ones start at the folder of `main_file`. They are
 * copied to `names` and appended to lists->files. False: no memory. */
bool sw_conf_expand_includes(struct sw_conf_lists *lists, const char *main_file, struct sw_conf_check *check);

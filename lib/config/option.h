/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One row declares one option once: name, type, default, range, help, reload class. From the rows come
 * validation with line and column, `check --dump`, the sample, the JSON schema and the manual page.
 * A row's value lives at `offset` in the caller's struct. Tables end with SW_OPT_END; write rows with designated
 * initialisers, fields are added at the end. Defaults into a struct: sw_schema_defaults (lib/config/schema.h). */
#include "base/str.h"

enum sw_opt_type {
        SW_OPT_NONE,     /* end of table */
        SW_OPT_BOOL,     /* bool */
        SW_OPT_UINT,     /* uint64_t, within [min, max] */
        SW_OPT_DURATION, /* int64_t milliseconds; text "250ms", "30s", "2m", "1h", "7d", or 0 */
        SW_OPT_SIZE,     /* uint64_t bytes; text "64KiB", "512MiB", "1GiB", or plain bytes */
        SW_OPT_STRING,   /* char *, heap, owned by the struct; NULL when absent */
        SW_OPT_ENUM,     /* uint32_t, one of `names`; UINT32_MAX while not given, if it has no default */
        SW_OPT_SECRET,   /* struct sw_secret_ref: {file: PATH} or {credential: NAME} only */
        SW_OPT_ANY_MAP,  /* struct sw_kv_list: free key: "text" pairs (librdkafka:) */
        SW_OPT_LIST,     /* struct sw_list of structs of `item_size`, each by `rows` */
        SW_OPT_SECTION,  /* nested table `rows`, whose offsets are relative to `offset` */
        SW_OPT_CUSTOM,   /* parsed by `parse` (cidrs, services, roles ...) */
};

enum {
        SW_OPT_RELOAD = 1 << 0, /* may change at a reload; others need a restart */
        SW_OPT_REQUIRED = 1 << 1,
        SW_OPT_DEPRECATED = 1 << 2, /* accepted with a warning */
        SW_OPT_UNIQUE = 1 << 3,     /* STRING within its list: two items with the same value are an error */
        SW_OPT_LATER = 1 << 4,      /* part of the format, not yet of the program: an error says so; has no field */
        SW_OPT_BLOCK = 1 << 5,      /* CUSTOM: `emit` and `emit_sample` write whole lines, indented by two */
};

struct sw_opt_name {
        const char *name;
        uint32_t value;
};

struct sw_secret_ref {
        char *file, *credential; /* exactly one is set; both NULL: not configured */
};

struct sw_list {
        void *items;
        uint32_t n;
};

/* Where something stands in the configuration. `file` lives as long as the configuration. */
struct sw_conf_place {
        const char *file;
        unsigned line, column; /* from 1 */
};

struct sw_kv_list {
        struct sw_kv {
                char *key, *value;
                struct sw_conf_place place; /* of the key */
        } * items;
        uint32_t n;
};

struct sw_conf_node;  /* parsed YAML with positions: lib/config/parse.h */
struct sw_conf_check; /* collects errors: lib/config/check.h */
struct sw_jsonw;

struct sw_opt {
        const char *key;
        enum sw_opt_type type;
        unsigned flags;
        size_t offset;
        uint64_t min, max;               /* UINT, DURATION (ms), SIZE; both 0 = no limit */
        const char *def;                 /* default as text; NULL = absent / zero */
        const char *doc;                 /* one sentence for the manual and the sample */
        const struct sw_opt_name *names; /* ENUM; ends with {NULL, 0} */
        const struct sw_opt *rows;       /* SECTION, LIST */
        size_t item_size;                /* LIST */
        /* CUSTOM: reads `node` into *field (zero, its default, or what an earlier file set), reports through `check`;
         * `emit` writes it back for --dump, nothing if it is absent; `free_field` may be NULL */
        void (*parse)(struct sw_conf_check *check, const struct sw_conf_node *node, void *field);
        void (*emit)(struct sw_buf *out, const void *field);
        void (*free_field)(void *field);
        const char *example;                     /* YAML shown in the sample where there is no default; may be NULL */
        void (*emit_schema)(struct sw_jsonw *w); /* CUSTOM: members of its JSON schema; NULL: anything */
        void (*emit_sample)(struct sw_buf *out); /* CUSTOM with SW_OPT_BLOCK */
        size_t place; /* offset of a struct sw_conf_place that gets where the value stands, beside it; LIST: in the
                       * item, for the item; 0 = none */
};
#define SW_OPT_END                                                                                                     \
        {                                                                                                              \
                .key = NULL                                                                                            \
        }

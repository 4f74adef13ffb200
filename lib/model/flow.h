/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The struct everybody shares: flow records and tuples as decoded, before any state.
 * A batch is what one message (or one piece of a file) decodes to; its arrays are reused from message to message
 * and its slices live in its arena, so everything is valid until the batch is reset. */
#include "base/alloc.h"
#include "base/hash.h"
#include "base/time.h"
#include "model/addr.h"

/* Canonical order of states at one instant: begin, continue, end, denied. */
enum sw_state { SW_STATE_BEGIN, SW_STATE_CONTINUE, SW_STATE_END, SW_STATE_DENIED };

enum sw_direction { SW_INBOUND, SW_OUTBOUND };

/* X(enum, token in the log, packet passed?). NONE: the format has no such field (NSG). OTHER: unknown token. */
#define SW_ENCRYPTION_MAP(X)                                                                                           \
        X(NONE, "", true)                                                                                              \
        X(ENCRYPTED, "X", true)                                                                                        \
        X(NX, "NX", true)                                                                                              \
        X(NX_HW_NOT_SUPPORTED, "NX_HW_NOT_SUPPORTED", true)                                                            \
        X(NX_SW_NOT_READY, "NX_SW_NOT_READY", false)                                                                   \
        X(NX_NOT_ACCEPTED, "NX_NOT_ACCEPTED", false)                                                                   \
        X(NX_NOT_SUPPORTED, "NX_NOT_SUPPORTED", false)                                                                 \
        X(NX_LOCAL_DST, "NX_LOCAL_DST", true)                                                                          \
        X(NX_FALLBACK, "NX_FALLBACK", true)                                                                            \
        X(OTHER, "other", true)
enum sw_encryption {
#define SW_ENCRYPTION_ENUM(name, token, passed) SW_ENCRYPTION_##name,
        SW_ENCRYPTION_MAP(SW_ENCRYPTION_ENUM)
#undef SW_ENCRYPTION_ENUM
                SW_N_ENCRYPTIONS
};
const char *sw_encryption_text(enum sw_encryption e); /* token as logged */
bool sw_encryption_passed(enum sw_encryption e);      /* false: VNet encryption dropped the packet, no rule did */
enum sw_encryption sw_encryption_parse(struct sw_str token); /* exact; OTHER if unknown, NONE if empty */

/* Index of the four counters of a tuple, source to destination first. */
enum { SW_PACKETS_FWD, SW_BYTES_FWD, SW_PACKETS_REV, SW_BYTES_REV, SW_N_COUNTERS };

enum {
        SW_TUPLE_STATELESS = 1 << 0, /* NSG v1 allowed tuple: no state, no counters; its state reads BEGIN */
};

struct sw_tuple {
        struct sw_etime time;
        struct sw_addr src, dst;
        uint64_t counters[SW_N_COUNTERS]; /* deltas since the flow's previous tuple; absent ones are 0 */
        uint16_t sport, dport;
        uint8_t proto;            /* IANA number */
        uint8_t state;            /* enum sw_state */
        uint8_t direction;        /* enum sw_direction, relative to the NIC that logged */
        uint8_t encryption;       /* enum sw_encryption */
        uint8_t counters_present; /* bit per counter: empty text is absent, "0" is present */
        uint8_t flags;
        uint16_t pad;
        uint32_t rule; /* index into the batch's rules */
};

struct sw_rule {
        struct sw_str acl, name; /* as logged, unescaped */
};

/* Which shape a record came in. */
#define SW_KIND_MAP(X)                                                                                                 \
        X(VNET, "vnet")           /* nested VNet v4 */                                                                 \
        X(NSG, "nsg")             /* nested NSG v1, v2 */                                                              \
        X(CONNECTOR, "connector") /* Microsoft connector, one tuple per object */                                      \
        X(FLAT_VNET, "flat_vnet") /* "flow.0" object, VNet fields */                                                   \
        X(FLAT_NSG, "flat_nsg")   /* "flow.0" object, NSG fields */
enum sw_kind {
#define SW_KIND_ENUM(name, text) SW_KIND_##name,
        SW_KIND_MAP(SW_KIND_ENUM)
#undef SW_KIND_ENUM
                SW_N_KINDS
};

struct sw_record {
        enum sw_kind kind;
        uint32_t version;     /* flowLogVersion or properties.Version; 0 = absent */
        struct sw_etime time; /* of the record; NONE if absent or unreadable */
        struct sw_str
                flow_log;     /* flowLogResourceID, else the NSG's resourceId, else flowLogGUID or systemId, else "" */
        struct sw_str target; /* targetResourceID or "" */
        uint64_t mac;         /* 48 bits; 0 = absent or unreadable */
        struct sw_u128 fingerprint;     /* of what it says, case-folded: the same if it is sent again */
        uint32_t first_tuple, n_tuples; /* accepted tuples, contiguous in the batch */
        uint64_t offset;                /* of the record's first byte in its message (file: in the file) */
};

/* Why something could not be decoded: closed list, also the metric label. */
#define SW_REASON_MAP(X)                                                                                               \
        X(JSON, "not valid JSON")                                                                                      \
        X(DEPTH, "nested too deeply")                                                                                  \
        X(TOO_LARGE, "larger than input.message_max")                                                                  \
        X(GZIP, "gzip data is damaged or inflates beyond the limit")                                                   \
        X(SHAPE, "no known flow log shape")                                                                            \
        X(RECORD, "a record lacks what its kind needs")                                                                \
        X(TUPLE_FIELDS, "wrong number of tuple fields")                                                                \
        X(TUPLE_TIME, "tuple time is not a number or out of range")                                                    \
        X(TUPLE_ADDRESS, "tuple address is not an IP address")                                                         \
        X(TUPLE_PORT, "tuple port is not 0..65535")                                                                    \
        X(TUPLE_PROTOCOL, "tuple protocol is unknown")                                                                 \
        X(TUPLE_STATE, "tuple direction, decision or state is unknown")                                                \
        X(TUPLE_COUNTER, "tuple counter is not a number")                                                              \
        X(EMPTY, "the message is empty")
enum sw_reason {
#define SW_REASON_ENUM(name, text) SW_REASON_##name,
        SW_REASON_MAP(SW_REASON_ENUM)
#undef SW_REASON_ENUM
                SW_N_REASONS
};
const char *sw_reason_name(enum sw_reason r); /* lower case, for labels: "tuple_port" */
const char *sw_reason_text(enum sw_reason r); /* for people */

struct sw_decode_error {
        enum sw_reason reason;
        uint64_t offset;       /* byte in the message (file: in the file) */
        struct sw_str excerpt; /* at most 256 bytes of the input, raw */
        bool whole_message;    /* nothing of the message was used: it goes to quarantine */
};

/* Counters of the --summary that the decoder knows; the rest is the engine's. */
struct sw_decode_stats {
        uint64_t messages, message_errors, records_skipped, record_errors, tuple_errors;
        uint64_t unknown_versions;
};

#define SW_BATCH_MAX_ERRORS 16 /* kept with their place; the counters count all */

struct sw_batch {
        struct sw_tuple *tuples;
        struct sw_record *records;
        struct sw_rule *rules; /* per (acl, name) run, not unique */
        uint32_t n_tuples, n_records, n_rules;
        uint32_t cap_tuples, cap_records, cap_rules;
        struct sw_decode_error errors[SW_BATCH_MAX_ERRORS];
        uint32_t n_errors;
        struct sw_decode_stats stats;
        struct sw_etime newest; /* newest tuple time of the batch, NONE if it has none */
        struct sw_arena arena;
        struct sw_str raw; /* the bytes it was decoded from, owned by whoever filled the batch; for quarantine */
};
#define SW_BATCH_NULL ((struct sw_batch){ .newest = SW_ETIME_NONE })
void sw_batch_reset(struct sw_batch *b); /* empties, keeps memory */
void sw_batch_deinit(struct sw_batch *b);

/* Appends; NULL: no memory. The result is valid until the next add of its kind. */
struct sw_tuple *sw_batch_add_tuple(struct sw_batch *b);
struct sw_record *sw_batch_add_record(struct sw_batch *b);
struct sw_rule *sw_batch_add_rule(struct sw_batch *b);
/* Keeps the first SW_BATCH_MAX_ERRORS; copies at most 256 bytes of the excerpt. */
void sw_batch_add_error(
        struct sw_batch *b, enum sw_reason r, uint64_t offset, struct sw_str excerpt, bool whole_message);

/* "0022-48-7b..." in any usual spelling to 48 bits; 0 if unreadable. */
uint64_t sw_mac_parse(struct sw_str s);
#define SW_MAC_TEXT 18
char *sw_mac_format(uint64_t mac, char buf[SW_MAC_TEXT]); /* "00:22:48:7b:c2:05" */

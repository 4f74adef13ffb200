/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Directory of texts behind ids: sensors and rules. An id stands for the text exactly as logged (that is what evidence
 * prints); sensors that differ only in case share a `fold`, which is the identity that counting uses. Nothing is ever
 * evicted, since ids live in the state; when the limit is reached, new texts get the id of the empty text and are
 * counted. Threads: one owner. */
#include "aggregate/view.h"
#include "base/pool.h"
#include "base/table.h"

struct sw_directory_sensor {
        uint64_t key[2];
        uint32_t flow_log, target; /* texts: sw_directory_text */
        uint32_t n_flow_log, n_target;
        uint64_t mac;
        uint32_t fold; /* same for every spelling of (flow log, MAC) */
        uint16_t realm;
        uint8_t kind;
        uint8_t has_subnet; /* target names a subnet */
};

struct sw_directory_rule {
        uint64_t key[2];
        uint32_t acl, name;
        uint32_t n_acl, n_name;
};

/* Powers of two. Each sensor speaks once a minute, in turns: a memory for fewer of them than there are helps nobody. */
#define SW_DIRECTORY_RECENT_SENSORS 65536u
#define SW_DIRECTORY_RECENT_RULES 4096u

struct sw_directory {
        struct sw_table sensors, folds, rules;
        struct sw_table text_ids; /* a text is kept once: thousands of NICs share a flow log and a target */
        struct sw_texts texts;
        struct sw_buf scratch;
        struct sw_hash_key keys[2];
        /* ids by a cheap hash of what was asked for lately; checked against the text, so a miss only costs time */
        uint32_t recent_sensors[SW_DIRECTORY_RECENT_SENSORS], recent_rules[SW_DIRECTORY_RECENT_RULES];
        size_t text_limit_bytes;
        bool full;
        uint64_t n_refused;
};

/* 0 | -SW_ERR_NOMEM | -SW_ERR_INVAL (limit too small). */
int sw_directory_init(struct sw_directory *d, size_t limit_bytes, const struct sw_hash_key *key);
void sw_directory_deinit(struct sw_directory *d);

/* segments: for the realm of a sensor seen for the first time. Id 0 is the empty text. */
uint32_t sw_directory_sensor(struct sw_directory *d, const struct sw_record *r, const struct sw_segments *segments);
uint32_t sw_directory_rule(struct sw_directory *d, const struct sw_rule *r);
/* Realms again, after a change of configuration. */
void sw_directory_set_segments(struct sw_directory *d, const struct sw_segments *segments);

/* Valid as long as the directory. */
static inline struct sw_str sw_directory_text(const struct sw_directory *d, uint32_t ref, uint32_t n)
{
        return (struct sw_str){ n ? sw_texts_at(&d->texts, ref) : "", n };
}
const struct sw_directory_sensor *sw_directory_sensor_at(const struct sw_directory *d, uint32_t id);
struct sw_rule sw_directory_rule_at(const struct sw_directory *d, uint32_t id);
/* Case folded first, then exact: 0 only for the same text. */
int sw_directory_sensor_cmp(const struct sw_directory *d, uint32_t a, uint32_t b);
int sw_directory_rule_cmp(const struct sw_directory *d, uint32_t a, uint32_t b);
size_t sw_directory_bytes(const struct sw_directory *d);
/* "vnet/subnet" of ".../virtualNetworks/{vnet}/subnets/{subnet}"; false if the target names no subnet. */
bool sw_directory_subnet(struct sw_str target, struct sw_str *ret_vnet, struct sw_str *ret_subnet);
/* Whether all texts are there that entries refer to. */
bool sw_directory_is_whole(const struct sw_directory *d);

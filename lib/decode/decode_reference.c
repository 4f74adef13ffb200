/* SPDX-License-Identifier: Apache-2.0 */
/* Every shape that forwarders send, from a cJSON tree of one record. Written to be read against the format, not to be
 * fast: it is the oracle of the fast decoder. Equal keys: the last one wins. */
#include "decode/record.h"
#include "decode/text.h"
#include "decode/tuple.h"

#include <cjson/cJSON.h>
#include <stdio.h>

/* A tree takes about 144 bytes per value beside its text: 80 for the node, 32 each for a short key and a short text. */
#define TREE_MAX_BYTES (UINT64_C(64) * 1024 * 1024)
#define TREE_VALUE_BYTES 144

struct reference {
        struct sw_decoder *d;
        struct sw_str bytes; /* the record as it stands in the input */
        size_t at;
        const cJSON *object;
        struct sw_record r;
        struct sw_record_at from;
};

static const cJSON *ref_member(const cJSON *object, const char *key)
{
        const cJSON *found = NULL, *c;

        if (!cJSON_IsObject(object))
                return NULL;
        for (c = object->child; c; c = c->next)
                if (strcmp(c->string, key) == 0)
                        found = c;
        return found;
}

/* NULL slice if it is not text. */
static struct sw_str ref_text(const cJSON *object, const char *key)
{
        const cJSON *c = ref_member(object, key);

        return cJSON_IsString(c) ? sw_str_of(c->valuestring) : SW_STR_NULL;
}

static bool ref_text_is(const cJSON *object, const char *key, const char *want)
{
        return sw_str_eq(ref_text(object, key), sw_str_of(want)); /* which is never empty */
}

static struct sw_str ref_keep(struct reference *ref, struct sw_str s)
{
        char *copy;

        if (s.n == 0)
                return SW_STR("");
        copy = sw_arena_copy(&ref->d->b->arena, s.p, s.n);
        if (!copy) {
                ref->d->no_memory = true;
                return SW_STR("");
        }
        return (struct sw_str){ copy, s.n };
}

static struct sw_str ref_keep_first(struct reference *ref, struct sw_str a, struct sw_str b)
{
        return ref_keep(ref, a.n ? a : b);
}

/* 4, 4.0, "4", "2.0"; anything else is 0. */
static uint32_t ref_version(const cJSON *c)
{
        uint64_t v;
        struct sw_str s;
        size_t i;

        if (cJSON_IsNumber(c))
                return c->valuedouble >= 1 && c->valuedouble <= 1e9 &&
                                       c->valuedouble == (double)(uint32_t)c->valuedouble
                               ? (uint32_t)c->valuedouble
                               : 0;
        if (!cJSON_IsString(c))
                return 0;
        s = sw_str_of(c->valuestring);
        for (i = s.n; i > 0 && s.p[i - 1] == '0'; i--)
                ;
        if (i > 1 && i < s.n && s.p[i - 1] == '.')
                s.n = i - 1;
        return sw_parse_u64(s, &v) && v <= 1000000000 ? (uint32_t)v : 0;
}

static void ref_count_version(struct reference *ref, const cJSON *c, bool vnet)
{
        uint32_t v = ref_version(c);

        ref->r.version = v;
        if (c && !(vnet ? v == 4 : v == 1 || v == 2))
                ref->d->b->stats.unknown_versions++;
}

/* Where the text stands in the record, for the error's place; its beginning if escapes hide it. */
static size_t ref_place(const struct reference *ref, struct sw_str s)
{
        const char *p = NULL;

        if (s.n && ref->d->b->n_errors < SW_BATCH_MAX_ERRORS)
                p = memmem(ref->bytes.p, ref->bytes.n, s.p, s.n);
        return ref->at + (p ? (size_t)(p - ref->bytes.p) : 0);
}

static void ref_record_error(struct reference *ref, enum sw_reason reason)
{
        sw__record_error(ref->d, reason, ref->at, ref->bytes);
}

/* ------------------------------------------------------------ tuples and rules ---- */

static bool ref_add_rule(struct reference *ref, struct sw_str acl, struct sw_str name)
{
        struct sw_rule *rule = sw_batch_add_rule(ref->d->b);

        if (!rule) {
                ref->d->no_memory = true;
                return false;
        }
        rule->acl = ref_keep(ref, acl);
        rule->name = ref_keep(ref, name);
        return true;
}

static void ref_add_tuple(struct reference *ref, const struct sw_tuple *t)
{
        struct sw_tuple *kept = sw_batch_add_tuple(ref->d->b);

        if (!kept) {
                ref->d->no_memory = true;
                return;
        }
        *kept = *t;
        kept->rule = ref->d->b->n_rules - 1 - ref->from.first_rule;
}

/* A rule that no accepted tuple carries leaves no trace. */
static void ref_tuples(struct reference *ref, const cJSON *array, enum sw_tuple_format format, struct sw_rule names)
{
        const cJSON *c;
        bool have_rule = false;

        if (!array)
                return;
        if (!cJSON_IsArray(array)) {
                ref_record_error(ref, SW_REASON_RECORD);
                return;
        }
        for (c = array->child; c && !ref->d->no_memory; c = c->next) {
                struct sw_str text = cJSON_IsString(c) ? sw_str_of(c->valuestring) : SW_STR_NULL;
                struct sw_tuple t;
                int reason = cJSON_IsString(c) ? sw__tuple_parse(format, text, &t) : 1 + SW_REASON_TUPLE_FIELDS;

                if (reason) {
                        sw__tuple_error(ref->d, (enum sw_reason)(reason - 1), ref_place(ref, text), text);
                        continue;
                }
                if (!have_rule && !ref_add_rule(ref, names.acl, names.name)) /* no_memory */
                        return;
                have_rule = true;
                ref_add_tuple(ref, &t);
        }
}

/* Calls each for the objects of an array; other elements and no array at all are faults of the record. */
static void ref_each(struct reference *ref, const cJSON *array,
        void (*each)(struct reference *ref, const cJSON *c, struct sw_rule names), struct sw_rule names)
{
        const cJSON *c;

        if (!array)
                return;
        if (!cJSON_IsArray(array)) {
                ref_record_error(ref, SW_REASON_RECORD);
                return;
        }
        for (c = array->child; c; c = c->next) {
                if (cJSON_IsObject(c))
                        each(ref, c, names);
                else
                        ref_record_error(ref, SW_REASON_RECORD);
        }
}

/* ------------------------------------------------------------ the shapes ---- */

static void ref_vnet_group(struct reference *ref, const cJSON *group, struct sw_rule names)
{
        names.name = ref_text(group, "rule");
        ref_tuples(ref, ref_member(group, "flowTuples"), SW_TUPLE_VNET, names);
}

static void ref_vnet_flow(struct reference *ref, const cJSON *flow, struct sw_rule names)
{
        names.acl = ref_text(flow, "aclID");
        ref_each(ref, ref_member(flow, "flowGroups"), ref_vnet_group, names);
}

static void ref_nsg_flow(struct reference *ref, const cJSON *flow, struct sw_rule names)
{
        if (ref->r.mac == 0)
                ref->r.mac = sw_mac_parse(ref_text(flow, "mac"));
        ref_tuples(ref, ref_member(flow, "flowTuples"), SW_TUPLE_NSG, names);
}

static void ref_nsg_rule(struct reference *ref, const cJSON *rule, struct sw_rule names)
{
        names.name = ref_text(rule, "rule");
        ref_each(ref, ref_member(rule, "flows"), ref_nsg_flow, names);
}

static void ref_time(struct reference *ref)
{
        struct sw_str s = ref_text(ref->object, "time");

        if (!ref_member(ref->object, "time"))
                s = ref_text(ref->object, "TimeGenerated");
        (void)sw_etime_parse(s, &ref->r.time);
}

static struct sw_str ref_resource(const cJSON *o)
{
        struct sw_str s = ref_text(o, "resourceId");

        return s.n ? s : ref_text(o, "resourceid");
}

static void ref_vnet_head(struct reference *ref, enum sw_kind kind)
{
        const cJSON *o = ref->object;

        ref->r.kind = kind;
        ref_count_version(ref, ref_member(o, "flowLogVersion"), true);
        ref->r.mac = sw_mac_parse(ref_text(o, "macAddress"));
        ref->r.flow_log = ref_keep_first(ref, ref_text(o, "flowLogResourceID"), ref_text(o, "flowLogGUID"));
        ref->r.target = ref_keep(ref, ref_text(o, "targetResourceID"));
}

static void ref_nsg_head(struct reference *ref, enum sw_kind kind, const cJSON *version)
{
        const cJSON *o = ref->object;

        ref->r.kind = kind;
        ref_count_version(ref, version, false);
        ref->r.mac = sw_mac_parse(ref_text(o, "macAddress"));
        ref->r.flow_log = ref_keep_first(ref, ref_resource(o), ref_text(o, "systemId"));
        ref->r.target = SW_STR("");
}

static void ref_vnet(struct reference *ref)
{
        const cJSON *flows = ref_member(ref_member(ref->object, "flowRecords"), "flows");

        if (!cJSON_IsArray(flows)) {
                ref_record_error(ref, SW_REASON_RECORD);
                return;
        }
        ref_vnet_head(ref, SW_KIND_VNET);
        ref_each(ref, flows, ref_vnet_flow, (struct sw_rule){ 0 });
        sw__record_finish(ref->d, &ref->r, ref->from);
}

static void ref_nsg(struct reference *ref)
{
        const cJSON *properties = ref_member(ref->object, "properties");
        const cJSON *version = ref_member(properties, "Version");

        ref_nsg_head(ref, SW_KIND_NSG, version ? version : ref_member(properties, "version"));
        ref_each(ref, ref_member(properties, "flows"), ref_nsg_rule, (struct sw_rule){ 0 });
        sw__record_finish(ref->d, &ref->r, ref->from);
}

static void ref_one_tuple(
        struct reference *ref, int reason, struct sw_tuple *t, struct sw_rule names, struct sw_str text)
{
        if (reason)
                sw__tuple_error(ref->d, (enum sw_reason)(reason - 1), ref_place(ref, text), text);
        else if (ref_add_rule(ref, names.acl, names.name)) /* else no_memory */
                ref_add_tuple(ref, t);
        sw__record_finish(ref->d, &ref->r, ref->from);
}

/* Text of a member that may be a string or a whole number; buf holds the number. */
static struct sw_str ref_field(const cJSON *o, const char *key, char buf[32])
{
        const cJSON *c = ref_member(o, key);

        if (!cJSON_IsNumber(c))
                return cJSON_IsString(c) ? sw_str_of(c->valuestring) : SW_STR_NULL;
        if (c->valuedouble < 0 || c->valuedouble > 9007199254740992.0 ||
                c->valuedouble != (double)(uint64_t)c->valuedouble)
                return SW_STR("?");
        (void)snprintf(buf, 32, "%llu", (unsigned long long)c->valuedouble);
        return sw_str_of(buf);
}

static void ref_connector(struct reference *ref)
{
        static const char *const counters[] = { "packetsStoD", "bytesStoD", "packetsDtoS", "bytesDtoS" };
        const cJSON *o = ref->object;
        char buf[8][32];
        struct sw_tuple_text x = { .time = ref_field(o, "startTime", buf[0]),
                .src = ref_text(o, "sourceAddress"),
                .dst = ref_text(o, "destinationAddress"),
                .sport = ref_field(o, "sourcePort", buf[1]),
                .dport = ref_field(o, "destinationPort", buf[2]),
                .proto = ref_text(o, "transportProtocol"),
                .direction = ref_text(o, "deviceDirection"),
                .decision = ref_text(o, "deviceAction"),
                .state = ref_text(o, "flowState") };
        struct sw_tuple t;
        unsigned i;

        for (i = 0; i < SW_N_COUNTERS; i++)
                x.counters[i] = ref_field(o, counters[i], buf[3 + i]);
        if (x.state.n == 0)
                x.state = SW_STR_NULL;
        ref_nsg_head(ref, SW_KIND_CONNECTOR, ref_member(o, "version"));
        if (ref->r.mac == 0)
                ref->r.mac = sw_mac_parse(ref_text(o, "mac"));
        ref_one_tuple(ref, sw__tuple_from_text(SW_TUPLE_NSG, &x, &t), &t,
                (struct sw_rule){ .name = ref_text(o, "nsgRuleName") }, x.src);
}

static bool ref_flat_is_vnet(const cJSON *o)
{
        if (ref_text_is(o, "operationName", "NetworkSecurityGroupFlowEvents") ||
                ref_text_is(o, "category", "NetworkSecurityGroupFlowEvent"))
                return false;
        return ref_text_is(o, "operationName", "FlowLogFlowEvent") || ref_text_is(o, "category", "FlowLogFlowEvent") ||
               ref_member(o, "flowLogVersion") || ref_member(o, "flowLogGUID") || ref_member(o, "aclID");
}

static void ref_flat(struct reference *ref)
{
        const cJSON *o = ref->object, *version = ref_member(o, "version");
        bool vnet = ref_flat_is_vnet(o);
        struct sw_str text = ref_text(o, "flow.0");
        struct sw_rule names = { .acl = ref_text(o, "aclID"), .name = ref_text(o, "rule") };
        struct sw_tuple t;

        if (vnet)
                ref_vnet_head(ref, SW_KIND_FLAT_VNET);
        else
                ref_nsg_head(ref, SW_KIND_FLAT_NSG, version ? version : ref_member(o, "Version"));
        ref_one_tuple(ref, sw__tuple_parse(vnet ? SW_TUPLE_VNET : SW_TUPLE_NSG, text, &t), &t, names, text);
}

/* ------------------------------------------------------------ telling shapes apart ---- */

/* Recognised, but carries no flows: exports of Traffic Analytics, Event Grid notices, NSG diagnostic logs. */
static bool ref_is_skipped(const cJSON *o)
{
        struct sw_str subject = ref_text(o, "subject"), tail = SW_STR("PT1H.json");

        if (ref_text_is(o, "Type", "NTANetAnalytics") || ref_member(o, "FaSchemaVersion"))
                return true;
        if (ref_text_is(o, "eventType", "Microsoft.Storage.BlobCreated") ||
                ref_text_is(o, "type", "Microsoft.Storage.BlobCreated"))
                return true;
        if (subject.n >= tail.n && memcmp(subject.p + subject.n - tail.n, tail.p, tail.n) == 0)
                return true;
        return ref_text_is(o, "category", "NetworkSecurityGroupEvent") ||
               ref_text_is(o, "category", "NetworkSecurityGroupRuleCounter");
}

static void ref_dispatch(struct reference *ref)
{
        const cJSON *o = ref->object, *category = ref_member(o, "category");
        bool vnet = ref_text_is(o, "category", "FlowLogFlowEvent");
        bool nsg = ref_text_is(o, "category", "NetworkSecurityGroupFlowEvent");

        if (cJSON_IsObject(ref_member(o, "flowRecords")) && (!category || vnet))
                ref_vnet(ref);
        else if (cJSON_IsArray(ref_member(ref_member(o, "properties"), "flows")) && (!category || nsg))
                ref_nsg(ref);
        else if (cJSON_IsString(ref_member(o, "nsgRuleName")) && ref_member(o, "sourceAddress"))
                ref_connector(ref);
        else if (cJSON_IsString(ref_member(o, "flow.0")) && ref_member(o, "rule"))
                ref_flat(ref);
        else if (ref_is_skipped(o))
                ref->d->b->stats.records_skipped++;
        else
                ref_record_error(ref, vnet || nsg ? SW_REASON_RECORD : SW_REASON_SHAPE);
}

/* cJSON reads \u0000, lone surrogates and long numbers in ways of its own: hand it a copy without them. */
static bool ref_normalise(struct sw_decoder *d, struct sw_str *inout)
{
        struct sw_str in = *inout;

        if (in.n > d->plain.cap) {
                char *p = sw_realloc_array(d->plain.p, in.n, 1);

                if (!p) {
                        d->no_memory = true;
                        return false;
                }
                d->plain.p = p;
                d->plain.cap = in.n;
        }
        *inout = (struct sw_str){ d->plain.p, sw__normalise(in, d->plain.p) };
        return true;
}

void sw__reference_record(struct sw_decoder *d, size_t at, size_t end, uint64_t n_values, bool odd)
{
        struct reference ref = { .d = d, .bytes = { d->raw.p + at, end - at }, .at = at };
        struct sw_str json = ref.bytes;
        cJSON *tree;

        if (json.n > TREE_MAX_BYTES || n_values > (TREE_MAX_BYTES - json.n) / TREE_VALUE_BYTES) {
                ref_record_error(&ref, SW_REASON_SHAPE);
                return;
        }
        if (odd && !ref_normalise(d, &json)) /* no_memory */
                return;
        tree = cJSON_ParseWithLength(json.p, json.n);
        if (!tree) {
                /* Scanned bytes fail only for want of memory, or where cJSON and the scanner differ. */
                ref_record_error(&ref, SW_REASON_JSON);
                return;
        }
        ref.object = tree;
        ref.from = (struct sw_record_at){ d->b->n_tuples, d->b->n_rules };
        ref.r.time = SW_ETIME_NONE;
        ref.r.offset = d->base_offset + at;
        ref_time(&ref);
        ref_dispatch(&ref);
        cJSON_Delete(tree);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Nested VNet v4 and NSG v1, v2 records, straight from the bytes into the batch: one pass, no tree, any key order and
 * white space. It is as strict about JSON as scan.c, and wherever something is unusual (other shapes, escapes in keys,
 * equal keys, wrong types, bytes that are no JSON) it gives the record back as "not mine" with the batch as before. So
 * it never has to explain a fault, except in a tuple. */
#include "decode/fast_tuple.h"
#include "decode/record.h"
#include "decode/scan.h"
#include "decode/text.h"

#include <assert.h>

struct fast {
        struct sw_decoder *d;
        struct sw_batch *b;
        const char *p, *end;
        struct sw_record r;
        struct sw_record_at from;
        uint32_t seen; /* keys of the record */
        struct sw_str resource, flow_log_guid, system_id;
};

enum {
        SEEN_TIME = 1 << 0,
        SEEN_VERSION = 1 << 1,
        SEEN_GUID = 1 << 2,
        SEEN_SYSTEM = 1 << 3,
        SEEN_MAC = 1 << 4,
        SEEN_CATEGORY = 1 << 5,
        SEEN_CATEGORY_VNET = 1 << 6,
        SEEN_CATEGORY_NSG = 1 << 7,
        SEEN_RESOURCE = 1 << 8,
        SEEN_FLOW_LOG = 1 << 9,
        SEEN_TARGET = 1 << 10,
        SEEN_RECORDS = 1 << 11,
        SEEN_PROPERTIES = 1 << 12,
        SEEN_FLOWS = 1 << 13,
        SEEN_NSG_VERSION = 1 << 14,
        SEEN_UNKNOWN_VERSION = 1 << 15,
};

/* Key of a member while its name is still raw bytes. */
/* The first where the length is known. */
#define FAST_KEY_BYTES(key, literal) (memcmp((key).p, literal, sizeof(literal) - 1) == 0)
#define FAST_KEY_IS(key, literal) ((key).n == sizeof(literal) - 1 && FAST_KEY_BYTES(key, literal))

/* Next byte that is not white space; '\0' at the end, which is never valid. */
FAST_INLINE char fast_peek(struct fast *f)
{
        while (f->p < f->end) {
                if ((unsigned char)*f->p > ' ')
                        return *f->p;
                if (!sw_scan_is_space(*f->p))
                        return '\0';
                f->p++;
        }
        return '\0';
}

FAST_INLINE bool fast_eat(struct fast *f, char c)
{
        if (fast_peek(f) != c)
                return false;
        f->p++;
        return true;
}

static bool fast_once(uint32_t *seen, uint32_t key)
{
        if (*seen & key)
                return false;
        *seen |= key;
        return true;
}

/* f->p is on the opening quote. *ret: raw text between the quotes. */
static bool fast_raw_string(struct fast *f, struct sw_str *ret, bool *ret_escaped)
{
        const char *from = f->p + 1, *p = from;

        *ret_escaped = false;
        for (;;) {
                p = sw_scan_plain(p, f->end);
                if (p == f->end || (*p != '"' && *p != '\\'))
                        return false;
                if (*p == '"')
                        break;
                *ret_escaped = true;
                if (f->end - p < 2)
                        return false;
                if (p[1] == 'u') {
                        unsigned i;

                        if (f->end - p < 6)
                                return false;
                        for (i = 2; i < 6; i++)
                                if (!((p[i] >= '0' && p[i] <= '9') || ((p[i] | 0x20) >= 'a' && (p[i] | 0x20) <= 'f')))
                                        return false;
                        p += 6;
                } else {
                        if (p[1] == '\0' || !strchr("\"\\/bfnrt", p[1]))
                                return false;
                        p += 2;
                }
        }
        *ret = (struct sw_str){ from, (size_t)(p - from) };
        f->p = p + 1;
        return true;
}

/* A string value as the batch will keep it: a slice of the input, or unescaped in the arena. */
static bool fast_string(struct fast *f, struct sw_str *ret)
{
        struct sw_str raw;
        bool escaped;
        char *out;

        if (fast_peek(f) != '"' || !fast_raw_string(f, &raw, &escaped))
                return false;
        *ret = raw;
        if (!escaped)
                return true;
        out = sw_arena_alloc(&f->b->arena, raw.n);
        if (!out)
                return false;
        *ret = (struct sw_str){ out, sw__unescape(raw, out) };
        return true;
}

/* A key and its colon. False also for keys with escapes. */
static inline bool fast_key(struct fast *f, struct sw_str *ret)
{
        bool escaped;

        return fast_peek(f) == '"' && fast_raw_string(f, ret, &escaped) && !escaped && fast_eat(f, ':');
}

/* After a member or element: true and *ret_more if a comma follows, true if it was the last. */
FAST_INLINE bool fast_more(struct fast *f, char closer, bool *ret_more)
{
        char c = fast_peek(f);

        *ret_more = c == ',';
        if (c != ',' && c != closer)
                return false;
        f->p++;
        return true;
}

/* Passes over a value that means nothing here, `depth` levels inside the record. */
static bool fast_skip(struct fast *f, uint32_t depth)
{
        struct sw_scan s;
        size_t at = 0;

        sw_scan_start(&s, false, SW_SCAN_MAX_DEPTH - depth);
        if (sw_scan_run(&s, f->p, (size_t)(f->end - f->p), &at, true) != SW_SCAN_DONE)
                return false;
        f->p += at;
        return true;
}

/* ------------------------------------------------------------ tuples ---- */

/* The way of tuple.c: for what the quick one refused. */
static bool fast_slow_tuple(struct fast *f, enum sw_tuple_format format, struct sw_tuple *t, bool *ret_good)
{
        size_t at = (size_t)(f->p - f->d->raw.p) + 1;
        struct sw_str raw, text;
        bool escaped;
        int reason;

        assert(*f->p == '"');
        if (!fast_raw_string(f, &raw, &escaped))
                return false;
        text = raw;
        if (escaped) {
                sw_buf_reset(&f->d->plain);
                sw_buf_put(&f->d->plain, raw.p, raw.n);
                if (f->d->plain.failed)
                        return false;
                text = (struct sw_str){ f->d->plain.p, sw__unescape(raw, f->d->plain.p) };
        }
        reason = sw__tuple_parse(format, text, t);
        *ret_good = reason == 0;
        if (reason)
                sw__tuple_error(f->d, (enum sw_reason)(reason - 1), at, text);
        return true;
}

FAST_INLINE bool fast_one_tuple(
        struct fast *f, enum sw_tuple_format format, bool avx2, struct sw_tuple *t, bool *ret_good)
{
#if defined(FAST_TUPLE)
        if (f->end - f->p > FAST_TUPLE_WINDOW + 1 && f->p - f->d->raw.p >= FAST_TUPLE_BEFORE) {
                struct fast_masks m;
                const char *behind;

                if (avx2)
                        fast_masks_avx2(f->p + 1, &m);
                else
                        fast_masks_sse2(f->p + 1, &m);
                behind = fast_tuple(format, f->p + 1, avx2, &m, t);
                if (behind) {
                        f->p = behind;
                        *ret_good = true;
                        return true;
                }
                memset(t, 0, sizeof(*t));
        }
#else
        (void)avx2;
#endif
        return fast_slow_tuple(f, format, t, ret_good);
}

/* Room for one more tuple behind the last, zeroed but not counted. */
FAST_INLINE struct sw_tuple *fast_next_tuple(struct sw_batch *b)
{
        if (b->n_tuples == b->cap_tuples) {
                if (!sw_batch_add_tuple(b))
                        return NULL;
                b->n_tuples--;
        }
        return memset(&b->tuples[b->n_tuples], 0, sizeof(struct sw_tuple));
}

/* f->p is on the '[' of flowTuples. The first accepted tuple makes the rule; *ret_rule says whether there is one. */
FAST_INLINE bool fast_tuples_body(struct fast *f, enum sw_tuple_format format, bool avx2, bool *ret_rule)
{
        struct sw_batch *b = f->b;
        bool more = true;

        *ret_rule = false;
        if (!fast_eat(f, '['))
                return false;
        if (fast_eat(f, ']'))
                return true;
        while (more) {
                struct sw_tuple *t = fast_next_tuple(b);
                bool good;

                if (!t || fast_peek(f) != '"' || !fast_one_tuple(f, format, avx2, t, &good))
                        return false;
                if (good) {
                        if (!*ret_rule && !sw_batch_add_rule(b))
                                return false;
                        *ret_rule = true;
                        t->rule = b->n_rules - 1 - f->from.first_rule;
                        b->n_tuples++;
                }
                if (!fast_more(f, ']', &more))
                        return false;
        }
        return true;
}

static bool fast_tuples_plain(struct fast *f, enum sw_tuple_format format, bool *ret_rule)
{
        return format == SW_TUPLE_VNET ? fast_tuples_body(f, SW_TUPLE_VNET, false, ret_rule)
                                       : fast_tuples_body(f, SW_TUPLE_NSG, false, ret_rule);
}

#if defined(FAST_TUPLE)
FAST_AVX2 static bool fast_tuples_avx2(struct fast *f, enum sw_tuple_format format, bool *ret_rule)
{
        return format == SW_TUPLE_VNET ? fast_tuples_body(f, SW_TUPLE_VNET, true, ret_rule)
                                       : fast_tuples_body(f, SW_TUPLE_NSG, true, ret_rule);
}
#endif

static bool fast_tuples(struct fast *f, enum sw_tuple_format format, bool *ret_rule)
{
#if defined(FAST_TUPLE)
        if (f->d->avx2)
                return fast_tuples_avx2(f, format, ret_rule);
#endif
        return fast_tuples_plain(f, format, ret_rule);
}

/* ------------------------------------------------------------ VNet ---- */

static bool fast_vnet_group(struct fast *f)
{
        struct sw_str key, name = SW_STR("");
        bool more = true, has_rule = false;
        uint32_t seen = 0;

        if (!fast_eat(f, '{'))
                return false;
        if (fast_eat(f, '}'))
                return true;
        while (more) {
                bool good;

                if (!fast_key(f, &key))
                        return false;
                if (FAST_KEY_IS(key, "flowTuples"))
                        good = fast_once(&seen, 1) && fast_tuples(f, SW_TUPLE_VNET, &has_rule);
                else if (FAST_KEY_IS(key, "rule"))
                        good = fast_once(&seen, 2) && fast_string(f, &name);
                else
                        good = fast_skip(f, 6);
                if (!good || !fast_more(f, '}', &more))
                        return false;
        }
        if (has_rule)
                f->b->rules[f->b->n_rules - 1].name = name;
        return true;
}

/* Calls each for the elements of an array. */
static inline bool fast_array(struct fast *f, bool (*each)(struct fast *f))
{
        bool more = true;

        if (!fast_eat(f, '['))
                return false;
        if (fast_eat(f, ']'))
                return true;
        while (more)
                if (!each(f) || !fast_more(f, ']', &more))
                        return false;
        return true;
}

static bool fast_vnet_flow(struct fast *f)
{
        struct sw_str key, acl = SW_STR("");
        uint32_t first = f->b->n_rules, seen = 0;
        bool more = true;

        if (!fast_eat(f, '{'))
                return false;
        if (fast_eat(f, '}'))
                return true;
        while (more) {
                bool good;

                if (!fast_key(f, &key))
                        return false;
                if (FAST_KEY_IS(key, "flowGroups"))
                        good = fast_once(&seen, 1) && fast_array(f, fast_vnet_group);
                else if (FAST_KEY_IS(key, "aclID"))
                        good = fast_once(&seen, 2) && fast_string(f, &acl);
                else
                        good = fast_skip(f, 4);
                if (!good || !fast_more(f, '}', &more))
                        return false;
        }
        for (; first < f->b->n_rules; first++)
                f->b->rules[first].acl = acl;
        return true;
}

static bool fast_flow_records(struct fast *f)
{
        struct sw_str key;
        bool more = true;

        if (!fast_eat(f, '{') || fast_peek(f) == '}')
                return false;
        while (more) {
                bool good;

                if (!fast_key(f, &key))
                        return false;
                if (FAST_KEY_IS(key, "flows"))
                        good = fast_once(&f->seen, SEEN_FLOWS) && fast_array(f, fast_vnet_flow);
                else
                        good = fast_skip(f, 2);
                if (!good || !fast_more(f, '}', &more))
                        return false;
        }
        return true;
}

/* ------------------------------------------------------------ NSG ---- */

static bool fast_nsg_flow(struct fast *f)
{
        bool more = true, has_rule;
        uint32_t seen = 0;
        struct sw_str key, mac;

        if (!fast_eat(f, '{'))
                return false;
        if (fast_eat(f, '}'))
                return true;
        while (more) {
                bool good;

                if (!fast_key(f, &key))
                        return false;
                if (FAST_KEY_IS(key, "flowTuples"))
                        good = fast_once(&seen, 1) && fast_tuples(f, SW_TUPLE_NSG, &has_rule);
                else if (FAST_KEY_IS(key, "mac"))
                        good = fast_once(&seen, 2) && fast_string(f, &mac);
                else
                        good = fast_skip(f, 6);
                if (!good || !fast_more(f, '}', &more))
                        return false;
        }
        /* The record's own address wins over those of its flows; which is known at its end. */
        if ((seen & 2) && f->r.mac == 0)
                f->r.mac = sw_mac_parse(mac);
        return true;
}

static bool fast_nsg_rule(struct fast *f)
{
        struct sw_str key, name = SW_STR("");
        uint32_t first = f->b->n_rules, seen = 0;
        bool more = true;

        if (!fast_eat(f, '{'))
                return false;
        if (fast_eat(f, '}'))
                return true;
        while (more) {
                bool good;

                if (!fast_key(f, &key))
                        return false;
                if (FAST_KEY_IS(key, "flows"))
                        good = fast_once(&seen, 1) && fast_array(f, fast_nsg_flow);
                else if (FAST_KEY_IS(key, "rule"))
                        good = fast_once(&seen, 2) && fast_string(f, &name);
                else
                        good = fast_skip(f, 4);
                if (!good || !fast_more(f, '}', &more))
                        return false;
        }
        for (; first < f->b->n_rules; first++)
                f->b->rules[first].name = name;
        return true;
}

/* Plain 1 to 9 digits, also "2" and 2.0; the rest of the numbers is the reference decoder's. */
static bool fast_version(struct fast *f, bool vnet)
{
        uint32_t v = 0;
        bool quoted = fast_peek(f) == '"';
        const char *from;

        f->p += quoted;
        for (from = f->p; f->p < f->end && *f->p >= '0' && *f->p <= '9'; f->p++) {
                if (f->p - from >= 9)
                        return false;
                v = v * 10 + (uint32_t)(*f->p - '0');
        }
        if (f->p == from || *from == '0')
                return false;
        if (f->end - f->p > 2 && f->p[0] == '.' && f->p[1] == '0')
                f->p += 2;
        if (quoted && (f->p == f->end || *f->p++ != '"'))
                return false;
        f->r.version = v;
        if (!(vnet ? v == 4 : v == 1 || v == 2))
                f->seen |= SEEN_UNKNOWN_VERSION;
        return true;
}

static bool fast_properties(struct fast *f)
{
        struct sw_str key;
        bool more = true;

        if (!fast_eat(f, '{') || fast_peek(f) == '}')
                return false;
        while (more) {
                bool good;

                if (!fast_key(f, &key))
                        return false;
                if (FAST_KEY_IS(key, "flows"))
                        good = fast_once(&f->seen, SEEN_FLOWS) && fast_array(f, fast_nsg_rule);
                else if (FAST_KEY_IS(key, "Version"))
                        good = fast_once(&f->seen, SEEN_NSG_VERSION) && fast_version(f, false);
                else
                        good = !FAST_KEY_IS(key, "version") && fast_skip(f, 2);
                if (!good || !fast_more(f, '}', &more))
                        return false;
        }
        return true;
}

/* ------------------------------------------------------------ record ---- */

static bool fast_category(struct fast *f)
{
        struct sw_str s;

        if (!fast_once(&f->seen, SEEN_CATEGORY) || !fast_string(f, &s))
                return false;
        if (FAST_KEY_IS(s, "FlowLogFlowEvent"))
                f->seen |= SEEN_CATEGORY_VNET;
        else if (FAST_KEY_IS(s, "NetworkSecurityGroupFlowEvent"))
                f->seen |= SEEN_CATEGORY_NSG;
        else
                return false;
        return true;
}

static bool fast_record_time(struct fast *f)
{
        struct sw_str s;

        if (!fast_once(&f->seen, SEEN_TIME) || !fast_string(f, &s))
                return false;
        (void)sw_etime_parse(s, &f->r.time);
        return true;
}

static bool fast_text(struct fast *f, uint32_t key, struct sw_str *ret)
{
        return fast_once(&f->seen, key) && fast_string(f, ret);
}

/* A flow's "mac" may have come before: then it stands in r.mac and gives way, unless this one is unreadable. */
static bool fast_mac(struct fast *f)
{
        struct sw_str s;
        uint64_t mac;

        if (!fast_text(f, SEEN_MAC, &s))
                return false;
        mac = sw_mac_parse(s);
        if (mac)
                f->r.mac = mac;
        return true;
}

static bool fast_member(struct fast *f, struct sw_str key)
{
        switch (key.n) {
        case 4:
                if (FAST_KEY_BYTES(key, "time"))
                        return fast_record_time(f);
                break;
        case 7:
                if (FAST_KEY_BYTES(key, "records"))
                        return false;
                break;
        case 8:
                if (FAST_KEY_BYTES(key, "category"))
                        return fast_category(f);
                if (FAST_KEY_BYTES(key, "systemId"))
                        return fast_text(f, SEEN_SYSTEM, &f->system_id);
                break;
        case 10:
                if (FAST_KEY_BYTES(key, "macAddress"))
                        return fast_mac(f);
                if (FAST_KEY_BYTES(key, "resourceId"))
                        return fast_text(f, SEEN_RESOURCE, &f->resource);
                if (FAST_KEY_BYTES(key, "properties"))
                        return fast_once(&f->seen, SEEN_PROPERTIES) && fast_properties(f);
                if (FAST_KEY_BYTES(key, "resourceid"))
                        return false;
                break;
        case 11:
                if (FAST_KEY_BYTES(key, "flowLogGUID"))
                        return fast_text(f, SEEN_GUID, &f->flow_log_guid);
                if (FAST_KEY_BYTES(key, "flowRecords"))
                        return fast_once(&f->seen, SEEN_RECORDS) && fast_flow_records(f);
                break;
        case 13:
                if (FAST_KEY_BYTES(key, "TimeGenerated"))
                        return false;
                break;
        case 14:
                if (FAST_KEY_BYTES(key, "flowLogVersion"))
                        return fast_once(&f->seen, SEEN_VERSION) && fast_version(f, true);
                break;
        case 16:
                if (FAST_KEY_BYTES(key, "targetResourceID"))
                        return fast_text(f, SEEN_TARGET, &f->r.target);
                break;
        case 17:
                if (FAST_KEY_BYTES(key, "flowLogResourceID"))
                        return fast_text(f, SEEN_FLOW_LOG, &f->r.flow_log);
                break;
        default:
                break;
        }
        return fast_skip(f, 1);
}

/* What was read is one of the two shapes, entirely. */
static bool fast_is_mine(struct fast *f)
{
        bool vnet = (f->seen & SEEN_RECORDS) != 0, nsg = (f->seen & SEEN_PROPERTIES) != 0;

        if (vnet == nsg || !(f->seen & SEEN_FLOWS))
                return false;
        if (vnet) {
                f->r.kind = SW_KIND_VNET;
                if (f->r.flow_log.n == 0)
                        f->r.flow_log = f->flow_log_guid;
                return !(f->seen & SEEN_CATEGORY_NSG);
        }
        f->r.kind = SW_KIND_NSG;
        f->r.flow_log = f->resource.n ? f->resource : f->system_id;
        f->r.target = SW_STR("");
        return !(f->seen & (SEEN_CATEGORY_VNET | SEEN_VERSION));
}

static bool fast_object(struct fast *f)
{
        struct sw_str key;
        bool more = true;

        f->p++;
        while (more) {
                if (!fast_key(f, &key) || !fast_member(f, key) || !fast_more(f, '}', &more))
                        return false;
        }
        return fast_is_mine(f);
}

bool sw__fast_has_avx2(void)
{
#if defined(FAST_TUPLE)
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
               __builtin_cpu_supports("popcnt");
#else
        return false;
#endif
}

size_t sw__fast_record(struct sw_decoder *d, size_t at)
{
        struct sw_batch *b = d->b;
        struct sw_decode_stats stats = b->stats;
        uint32_t n_errors = b->n_errors;
        struct fast f = { .d = d, .b = b, .p = d->raw.p + at, .end = d->raw.p + d->raw.n };

        f.r.time = SW_ETIME_NONE;
        f.r.offset = d->base_offset + at;
        f.r.flow_log = f.r.target = f.resource = f.flow_log_guid = f.system_id = SW_STR("");
        f.from = (struct sw_record_at){ b->n_tuples, b->n_rules };
        if (!fast_object(&f)) {
                b->n_tuples = f.from.first_tuple;
                b->n_rules = f.from.first_rule;
                b->n_errors = n_errors;
                b->stats = stats;
                return 0;
        }
        if (f.seen & SEEN_UNKNOWN_VERSION)
                b->stats.unknown_versions++;
        sw__record_finish(d, &f.r, f.from);
        return (size_t)(f.p - d->raw.p);
}

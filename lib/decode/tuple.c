/* SPDX-License-Identifier: Apache-2.0 */
#include "decode/tuple.h"

#define MAX_FIELDS 13
#define NSG_V1_FIELDS 8

static bool tuple_number(struct sw_str s, uint64_t max, uint64_t *ret)
{
        return sw_parse_u64(s, ret) && *ret <= max;
}

static bool tuple_letter(struct sw_str s, char c)
{
        return s.n == 1 && s.p[0] == c;
}

static bool tuple_proto(enum sw_tuple_format format, struct sw_str s, uint8_t *ret)
{
        uint64_t v;

        if (format == SW_TUPLE_VNET) {
                if (!tuple_number(s, 255, &v))
                        return false;
                *ret = (uint8_t)v;
                return true;
        }
        if (!tuple_letter(s, 'T') && !tuple_letter(s, 'U'))
                return false;
        *ret = s.p[0] == 'T' ? 6 : 17;
        return true;
}

static bool tuple_flow_state(struct sw_str s, bool denied_too, uint8_t *ret)
{
        switch (s.n == 1 ? s.p[0] : 0) {
        case 'B':
                *ret = SW_STATE_BEGIN;
                return true;
        case 'C':
                *ret = SW_STATE_CONTINUE;
                return true;
        case 'E':
                *ret = SW_STATE_END;
                return true;
        case 'D':
                *ret = SW_STATE_DENIED;
                return denied_too;
        default:
                return false;
        }
}

/* A denied NSG tuple is DENIED whatever its flow state says ("D,B,,,," is usual). */
static bool tuple_state(enum sw_tuple_format format, const struct sw_tuple_text *x, struct sw_tuple *t)
{
        if (tuple_letter(x->direction, 'I'))
                t->direction = SW_INBOUND;
        else if (tuple_letter(x->direction, 'O'))
                t->direction = SW_OUTBOUND;
        else
                return false;
        if (format == SW_TUPLE_VNET)
                return tuple_flow_state(x->state, true, &t->state);
        if (tuple_letter(x->decision, 'D')) {
                t->state = SW_STATE_DENIED;
                return true;
        }
        if (!tuple_letter(x->decision, 'A'))
                return false;
        if (x->state.p)
                return tuple_flow_state(x->state, false, &t->state);
        t->state = SW_STATE_BEGIN;
        t->flags |= SW_TUPLE_STATELESS;
        return true;
}

static bool tuple_counters(const struct sw_tuple_text *x, struct sw_tuple *t)
{
        unsigned i;

        for (i = 0; i < SW_N_COUNTERS; i++) {
                if (x->counters[i].n == 0)
                        continue;
                if (!sw_parse_u64(x->counters[i], &t->counters[i]))
                        return false;
                t->counters_present |= (uint8_t)(1u << i);
        }
        return true;
}

int sw__tuple_from_text(enum sw_tuple_format format, const struct sw_tuple_text *x, struct sw_tuple *ret)
{
        struct sw_tuple t = { 0 };
        uint64_t v;

        if (!sw_parse_u64(x->time, &v) || !sw_etime_from_epoch(v, &t.time))
                return 1 + SW_REASON_TUPLE_TIME;
        if (!sw_addr_parse(x->src, &t.src) || !sw_addr_parse(x->dst, &t.dst))
                return 1 + SW_REASON_TUPLE_ADDRESS;
        if (!tuple_number(x->sport, UINT16_MAX, &v))
                return 1 + SW_REASON_TUPLE_PORT;
        t.sport = (uint16_t)v;
        if (!tuple_number(x->dport, UINT16_MAX, &v))
                return 1 + SW_REASON_TUPLE_PORT;
        t.dport = (uint16_t)v;
        if (!tuple_proto(format, x->proto, &t.proto))
                return 1 + SW_REASON_TUPLE_PROTOCOL;
        if (!tuple_state(format, x, &t))
                return 1 + SW_REASON_TUPLE_STATE;
        t.encryption = (uint8_t)sw_encryption_parse(x->encryption);
        if (!tuple_counters(x, &t))
                return 1 + SW_REASON_TUPLE_COUNTER;
        *ret = t;
        return 0;
}

/* Returns how many fields there are; at most MAX_FIELDS are stored. */
static unsigned tuple_split(struct sw_str text, struct sw_str fields[MAX_FIELDS])
{
        const char *p = text.p, *end = text.p + text.n;
        unsigned n = 0;

        for (;;) {
                const char *comma = p < end ? memchr(p, ',', (size_t)(end - p)) : NULL;

                if (n < MAX_FIELDS)
                        fields[n] = (struct sw_str){ p, (size_t)((comma ? comma : end) - p) };
                n++;
                if (!comma)
                        return n;
                p = comma + 1;
        }
}

int sw__tuple_parse(enum sw_tuple_format format, struct sw_str text, struct sw_tuple *ret)
{
        struct sw_str f[MAX_FIELDS];
        struct sw_tuple_text x = { 0 };
        unsigned n = tuple_split(text, f), i;

        if (n != MAX_FIELDS && !(format == SW_TUPLE_NSG && n == NSG_V1_FIELDS))
                return 1 + SW_REASON_TUPLE_FIELDS;
        x = (struct sw_tuple_text){
                .time = f[0], .src = f[1], .dst = f[2], .sport = f[3], .dport = f[4], .proto = f[5], .direction = f[6]
        };
        if (format == SW_TUPLE_VNET) {
                x.state = f[7];
                x.encryption = f[8];
        } else {
                x.decision = f[7];
                if (n == MAX_FIELDS)
                        x.state = f[8];
        }
        for (i = 0; n == MAX_FIELDS && i < SW_N_COUNTERS; i++)
                x.counters[i] = f[9 + i];
        return sw__tuple_from_text(format, &x, ret);
}

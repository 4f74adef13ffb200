/* SPDX-License-Identifier: Apache-2.0 */
/* Differential test of the two decoders. Makes messages from a seed (every shape, any key order and white space,
 * escapes, faults in tuples, wrong types, equal keys, then damaged bytes), decodes each with both and compares every
 * field of the batch. Where nothing but the known was put in, the numbers of records and tuples are also those that the
 * generator counted, so that both cannot be wrong alike.
 *
 *   diff_decode [--count N] [--seed S] [--corrupt]
 *
 * --corrupt is the negative control: now and then it changes one bit of what the fast decoder said, and succeeds if
 * that is noticed. Exit 1 with the message on a difference. */
#include "batch_diff.h"

#include "base/alloc.h"
#include "decode/decoder.h"
#include "decode/record.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MESSAGE_MAX 65536

struct gen {
        uint64_t x; /* state of the random numbers */
        char text[MESSAGE_MAX];
        size_t n;
        bool exact; /* the counters below must be met */
        bool spaces, escapes, faults;
        uint64_t records, tuples, tuple_errors, skipped;
};

static uint64_t rnd(struct gen *g)
{
        uint64_t z = (g->x += UINT64_C(0x9e3779b97f4a7c15));

        z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
        return z ^ z >> 31;
}

static unsigned below(struct gen *g, unsigned n)
{
        return (unsigned)(rnd(g) >> 32) % n;
}

static bool one_in(struct gen *g, unsigned n)
{
        return below(g, n) == 0;
}

static void put(struct gen *g, const char *z)
{
        size_t n = strlen(z);

        if (n > sizeof(g->text) - g->n) {
                g->exact = false;
                return;
        }
        memcpy(g->text + g->n, z, n);
        g->n += n;
}

__attribute__((format(printf, 2, 3))) static void putf(struct gen *g, const char *fmt, ...)
{
        char buf[512];
        va_list ap;

        va_start(ap, fmt);
        (void)vsnprintf(buf, sizeof(buf), fmt, ap);
        va_end(ap);
        put(g, buf);
}

#define PICK(g, ...)                                                                                                   \
        ((const char *const[]){ __VA_ARGS__ }[below(g, sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *))])

static void space(struct gen *g)
{
        if (g->spaces && one_in(g, 3))
                put(g, PICK(g, " ", "\n", "\t", "\r\n", "  ", "\n        "));
}

/* Text as a JSON string, some of its characters as escapes. */
static void string(struct gen *g, const char *z)
{
        put(g, "\"");
        for (; *z; z++) {
                if (*z == '\\') { /* escapes of the text itself stay together */
                        size_t n = z[1] == 'u' ? 6 : 2;

                        putf(g, "%.*s", (int)n, z);
                        z += n - 1;
                } else if (g->escapes && one_in(g, 12))
                        putf(g, one_in(g, 2) ? "\\u%04x" : "\\u%04X", (unsigned)(unsigned char)*z);
                else if (g->escapes && *z == '/' && one_in(g, 3))
                        put(g, "\\/");
                else
                        put(g, (char[]){ *z, 0 });
        }
        put(g, "\"");
}

static const char *name(struct gen *g)
{
        return PICK(g, "DefaultRule_AllowInternetOutBound", "UserRule_x", "userrule_X", "PlatformRule", "unspecified",
                "", "/subscriptions/A/resourceGroups/b/providers/Microsoft.Network/networkSecurityGroups/nsg-app",
                "00000000-0000-0000-0000-000000000000", "\\ud83d\\ude00", "\\u0000x", "\\udc00", "\\n\\t\\\"\\\\",
                "a b,c", "UserRule_MicrosoftDefenderForCloud-JITRule_-1234567890_ABCDEF0123456789ABCDEF0123456789");
}

static const char *number(struct gen *g)
{
        return PICK(g, "0", "1", "-1", "4", "2.0", "1.50", "1e3", "12345678901234567890", "-0.0E-7",
                "1111111111222222222233333333334444444444555555555566666666667777777777");
}

static void value(struct gen *g, unsigned depth)
{
        unsigned i, n;

        switch (below(g, depth > 4 ? 6 : 9)) {
        case 0:
                put(g, "null");
                break;
        case 1:
                put(g, PICK(g, "true", "false"));
                break;
        case 2:
        case 3:
                put(g, number(g));
                break;
        case 4:
        case 5:
                string(g, name(g));
                break;
        case 6:
                put(g, "[");
                for (i = 0, n = below(g, 4); i < n; i++) {
                        put(g, i ? "," : "");
                        space(g);
                        value(g, depth + 1);
                }
                put(g, "]");
                break;
        default:
                put(g, "{");
                for (i = 0, n = below(g, 4); i < n; i++) {
                        put(g, i ? "," : "");
                        space(g);
                        string(g, PICK(g, "", "a", "rule", "flows", "records", "time", "x\\u0041"));
                        put(g, ":");
                        value(g, depth + 1);
                }
                space(g);
                put(g, "}");
                break;
        }
}

/* ------------------------------------------------------------ tuples ---- */

static void address(struct gen *g, char *buf, size_t size)
{
        static const char *const v6[] = { "fd00:db8:1::4", "2001:DB8:0:0:0:0:0:99", "::ffff:10.1.1.4",
                "::", "fd00:1111:2222:3333:4444:5555:6666:7777" };

        if (one_in(g, 8))
                (void)snprintf(buf, size, "%s", v6[below(g, 5)]);
        else
                (void)snprintf(buf, size, "%u.%u.%u.%u", below(g, 256), below(g, 256), below(g, 12), below(g, 256));
}

static void counters(struct gen *g, char *buf, size_t size)
{
        unsigned i;
        size_t n = 0;

        for (i = 0; i < 4; i++) {
                uint64_t v = rnd(g) >> (below(g, 60) + 4);

                if (one_in(g, 4))
                        n += (size_t)snprintf(buf + n, size - n, ",");
                else
                        n += (size_t)snprintf(buf + n, size - n, ",%llu", (unsigned long long)v);
        }
}

static void good_tuple(struct gen *g, bool vnet, char *buf, size_t size)
{
        char src[64], dst[64], tail[128];
        unsigned long long t = one_in(g, 4) ? 1663146003 + below(g, 100000) : 1663146003599 + below(g, 100000000);
        bool v1 = !vnet && one_in(g, 3);

        address(g, src, sizeof(src));
        address(g, dst, sizeof(dst));
        counters(g, tail, sizeof(tail));
        if (vnet)
                (void)snprintf(buf, size, "%llu,%s,%s,%u,%u,%s,%s,%s,%s%s", t, src, dst, below(g, 65536),
                        below(g, 65536), PICK(g, "6", "6", "6", "17", "1", "50", "58", "132", "0", "255"),
                        PICK(g, "I", "O"), PICK(g, "B", "C", "E", "D"),
                        PICK(g, "NX", "NX", "X", "", "NX_HW_NOT_SUPPORTED", "NX_SW_NOT_READY", "NX_NOT_ACCEPTED",
                                "NX_NOT_SUPPORTED", "NX_LOCAL_DST", "NX_FALLBACK", "NX_ALL", "x"),
                        tail);
        else
                (void)snprintf(buf, size, "%llu,%s,%s,%u,%u,%s,%s,%s%s%s", t, src, dst, below(g, 65536),
                        below(g, 65536), PICK(g, "T", "U"), PICK(g, "I", "O"), PICK(g, "A", "A", "D"),
                        v1 ? "" : PICK(g, ",B", ",C", ",E"), v1 ? "" : tail);
}

/* Replaces one field by something wrong for it. */
static void spoil(struct gen *g, char *buf, size_t size)
{
        char copy[512];
        unsigned commas = 0, which;
        char *p, *end;

        for (p = buf; *p; p++)
                commas += *p == ',';
        which = below(g, commas + 1);
        for (p = buf; which; p++)
                which -= *p == ',';
        end = p + strcspn(p, ",");
        (void)snprintf(copy, sizeof(copy), "%s", end);
        (void)snprintf(p, size - (size_t)(p - buf), "%s%s",
                PICK(g, "", "x", "-1", "65536", "256", "99999999999999999999999", "1.2.3", "01.2.3.4", "1.2.3.4.5", "T",
                        "D", "1,2", " 1", "1 ", "fe80::1%eth0", "978307199", "4102444800000", "9007199254740993", "Z",
                        "\\n"),
                copy);
}

static void tuple(struct gen *g, bool vnet)
{
        char buf[512];

        good_tuple(g, vnet, buf, sizeof(buf));
        if (g->faults && one_in(g, 6)) {
                spoil(g, buf, sizeof(buf));
                if (one_in(g, 4))
                        spoil(g, buf, sizeof(buf));
                g->exact = false; /* a spoilt field may still be right */
        }
        g->tuples++;
        string(g, buf);
}

static void tuples(struct gen *g, bool vnet)
{
        unsigned i, n = one_in(g, 8) ? 0 : 1 + below(g, 5);

        put(g, "[");
        for (i = 0; i < n; i++) {
                put(g, i ? "," : "");
                space(g);
                if (g->faults && one_in(g, 40)) {
                        g->exact = false;
                        value(g, 3);
                } else {
                        tuple(g, vnet);
                }
        }
        space(g);
        put(g, "]");
}

/* ------------------------------------------------------------ records ---- */

/* Members of an object in random order. Each says how to write its value; an argument may steer it. */
struct member {
        const char *key;
        void (*write)(struct gen *g, bool vnet);
};

static void object(struct gen *g, const struct member *members, unsigned n, bool vnet)
{
        unsigned order[16], i, k = 0;

        for (i = 0; i < n; i++)
                if (!one_in(g, 14) || !members[i].key)
                        order[k++] = i;
                else if (members[i].key[0] == 'f' || members[i].key[0] == 'p')
                        order[k++] = i; /* flows, flowGroups, flowRecords, properties: rarely left out */
        for (i = k; i > 1; i--) {
                unsigned j = below(g, i), t = order[i - 1];

                order[i - 1] = order[j];
                order[j] = t;
        }
        if (g->faults && k && one_in(g, 30)) {
                order[k] = order[below(g, k)]; /* an equal key */
                k++;
                g->exact = false;
        }
        put(g, "{");
        for (i = 0; i < k; i++) {
                const struct member *m = &members[order[i]];

                put(g, i ? "," : "");
                space(g);
                if (!m->key) {
                        putf(g, "\"extra%u\":", below(g, 3));
                        value(g, 2);
                        continue;
                }
                string(g, m->key);
                space(g);
                put(g, ":");
                space(g);
                if (g->faults && one_in(g, 60)) {
                        g->exact = false;
                        value(g, 3);
                } else {
                        m->write(g, vnet);
                }
                space(g);
        }
        put(g, "}");
}

static void w_name(struct gen *g, bool vnet)
{
        (void)vnet;
        string(g, name(g));
}

static void w_mac(struct gen *g, bool vnet)
{
        (void)vnet;
        string(g, PICK(g, "0022487BC205", "0022487bC205", "00-22-48-7B-C2-05", "00:22:48:7b:c2:05", "000D124564789", "",
                          "x"));
}

static void w_time(struct gen *g, bool vnet)
{
        (void)vnet;
        string(g, PICK(g, "2024-12-12T04:02:24.7518798Z", "2025-04-30T09:07:40.986182+00:00", "2024-12-12 04:02:24",
                          "never", ""));
}

static void w_version(struct gen *g, bool vnet)
{
        put(g, vnet ? PICK(g, "4", "4", "4.0", "\"4\"", "5", "0", "4e0", "\"x\"", "1000000000")
                    : PICK(g, "1", "2", "2.0", "\"2\"", "\"2.0\"", "3", "-1", "2.5"));
}

static void w_category(struct gen *g, bool vnet)
{
        string(g, vnet ? "FlowLogFlowEvent" : "NetworkSecurityGroupFlowEvent");
        if (g->faults && one_in(g, 30)) {
                g->n--;
                put(g, "x\"");
                g->exact = false;
        }
}

static void w_operation(struct gen *g, bool vnet)
{
        string(g, vnet ? "FlowLogFlowEvent" : "NetworkSecurityGroupFlowEvents");
}

static void list(struct gen *g, const struct member *members, unsigned n, bool vnet)
{
        unsigned i, k = one_in(g, 10) ? 0 : 1 + below(g, 2);

        put(g, "[");
        for (i = 0; i < k; i++) {
                put(g, i ? "," : "");
                space(g);
                if (g->faults && one_in(g, 60)) {
                        g->exact = false;
                        value(g, 3);
                } else {
                        object(g, members, n, vnet);
                }
        }
        space(g);
        put(g, "]");
}

static void w_groups(struct gen *g, bool vnet)
{
        static const struct member m[] = { { "rule", w_name }, { "flowTuples", tuples }, { NULL, NULL } };

        list(g, m, 2 + one_in(g, 10), vnet);
}

static void w_vnet_flows(struct gen *g, bool vnet)
{
        static const struct member m[] = { { "aclID", w_name }, { "flowGroups", w_groups }, { NULL, NULL } };

        list(g, m, 2 + one_in(g, 10), vnet);
}

static void w_flow_records(struct gen *g, bool vnet)
{
        static const struct member m[] = { { "flows", w_vnet_flows }, { NULL, NULL } };

        object(g, m, 1 + one_in(g, 10), vnet);
}

static void w_nsg_inner(struct gen *g, bool vnet)
{
        static const struct member m[] = { { "mac", w_mac }, { "flowTuples", tuples }, { NULL, NULL } };

        list(g, m, 2 + one_in(g, 10), vnet);
}

static void w_nsg_flows(struct gen *g, bool vnet)
{
        static const struct member m[] = { { "rule", w_name }, { "flows", w_nsg_inner }, { NULL, NULL } };

        list(g, m, 2 + one_in(g, 10), vnet);
}

static void w_properties(struct gen *g, bool vnet)
{
        static const struct member m[] = { { "flows", w_nsg_flows }, { "Version", w_version }, { NULL, NULL } };

        object(g, m, 2 + one_in(g, 10), vnet);
}

static void w_flow_0(struct gen *g, bool vnet)
{
        tuple(g, vnet);
}

static void w_rule(struct gen *g, bool vnet)
{
        (void)vnet;
        string(g, "r");
}

static void vnet_record(struct gen *g)
{
        static const struct member m[] = { { "flowRecords", w_flow_records }, { "time", w_time },
                { "macAddress", w_mac }, { "flowLogVersion", w_version }, { "flowLogGUID", w_name },
                { "category", w_category }, { "flowLogResourceID", w_name }, { "targetResourceID", w_name },
                { "operationName", w_operation }, { "resourceId", w_name }, { NULL, NULL } };

        g->records++;
        object(g, m, 10 + one_in(g, 4), true);
}

static void nsg_record(struct gen *g)
{
        static const struct member m[] = { { "properties", w_properties }, { "time", w_time }, { "systemId", w_name },
                { "macAddress", w_mac }, { "category", w_category }, { "resourceId", w_name },
                { "operationName", w_operation }, { NULL, NULL } };

        g->records++;
        object(g, m, 7 + one_in(g, 4), false);
}

/* "rule" decides whether it is one: without it nothing is promised. */
static void flat_record(struct gen *g)
{
        static const struct member vnet[] = { { "flow.0", w_flow_0 }, { "flowLogVersion", w_version },
                { "time", w_time }, { "flowLogGUID", w_name }, { "macAddress", w_mac },
                { "operationName", w_operation }, { "aclID", w_name }, { "rule", w_rule } };
        static const struct member nsg[] = { { "flow.0", w_flow_0 }, { "time", w_time }, { "macAddress", w_mac },
                { "operationName", w_operation }, { "resourceId", w_name }, { "version", w_version },
                { "rule", w_rule } };

        g->exact = false;
        if (one_in(g, 2))
                object(g, vnet, 8, true);
        else
                object(g, nsg, 7, false);
}

static void connector_record(struct gen *g)
{
        char src[64];

        g->exact = false;
        address(g, src, sizeof(src));
        putf(g, "{\"time\":\"2021-09-10T20:02:30.0094229Z\",\"version\":%s,\"nsgRuleName\":",
                PICK(g, "2.0", "1.0", "\"2\"", "7"));
        string(g, name(g));
        putf(g,
                ",\"mac\":\"000D3A3CECED\",\"startTime\":%s,\"sourceAddress\":\"%s\",\"destinationAddress\":\"172.16.0."
                "11\",",
                PICK(g, "\"1631304101\"", "1631304101", "\"\"", "1e9", "-1"), src);
        putf(g, "\"sourcePort\":%s,\"destinationPort\":\"80\",\"transportProtocol\":\"%s\",\"deviceDirection\":\"I\",",
                PICK(g, "\"61914\"", "61914", "70000", "1.5", "null"), PICK(g, "T", "U", "X"));
        putf(g, "\"deviceAction\":\"%s\"%s%s}", PICK(g, "A", "D"),
                PICK(g, "", ",\"flowState\":\"B\"", ",\"flowState\":\"E\""),
                PICK(g, "", ",\"packetsStoD\":\"0\",\"bytesStoD\":\"5\"", ",\"bytesDtoS\":7", ",\"bytesDtoS\":\"x\""));
}

static void skipped_record(struct gen *g)
{
        g->skipped++;
        put(g, PICK(g, "{\"category\":\"NetworkSecurityGroupRuleCounter\",\"properties\":{\"matchedConnections\":1}}",
                       "{\"eventType\":\"Microsoft.Storage.BlobCreated\",\"subject\":\"x\"}",
                       "{\"Type\":\"NTANetAnalytics\",\"SrcIp\":\"10.0.0.1\"}", "{\"subject\":\"a/PT1H.json\"}"));
}

static void record(struct gen *g)
{
        switch (below(g, 12)) {
        case 0:
                flat_record(g);
                break;
        case 1:
                connector_record(g);
                break;
        case 2:
                skipped_record(g);
                break;
        case 3:
                if (one_in(g, 3)) {
                        g->exact = false;
                        value(g, 0);
                        break;
                }
                nsg_record(g);
                break;
        case 4:
        case 5:
        case 6:
                nsg_record(g);
                break;
        default:
                vnet_record(g);
                break;
        }
}

/* ------------------------------------------------------------ messages ---- */

static void damage(struct gen *g)
{
        unsigned times = 1 + below(g, 3);

        g->exact = false;
        while (times-- && g->n > 1) {
                size_t at = below(g, (unsigned)g->n), k = 1 + below(g, 20);

                switch (below(g, 6)) {
                case 0:
                        g->text[at] = (char)below(g, 256);
                        break;
                case 1:
                        g->text[at] = *PICK(g, "\"", "\\", "{", "}", "[", "]", ",", ":", "\n", "0", "e", " ");
                        break;
                case 2:
                        g->n = at;
                        break;
                case 3:
                        k = k < g->n - at ? k : g->n - at;
                        memmove(g->text + at, g->text + at + k, g->n - at - k);
                        g->n -= k;
                        break;
                case 4:
                        k = k < g->n - at ? k : g->n - at;
                        if (g->n + k > sizeof(g->text))
                                break;
                        memmove(g->text + at + k, g->text + at, g->n - at);
                        g->n += k;
                        break;
                default:
                        g->text[at] = (char)(g->text[at] ^ 1 << below(g, 8));
                        break;
                }
        }
}

static void message(struct gen *g)
{
        const char *open = PICK(g, "{\"records\":[", "{\"records\":[", "{\"records\":[", "[", "", ",",
                "\xef\xbb\xbf{\"records\":[", "{\"a\":{\"records\":[1]},\"records\" : [",
                "{\"records\":[{\"records\":[");
        unsigned i, n = 1 + below(g, 3);
        const char *between = *open ? "," : PICK(g, "\n", ",", "", "\r\n");

        g->n = 0;
        g->exact = true;
        g->records = g->tuples = g->tuple_errors = g->skipped = 0;
        g->spaces = one_in(g, 3);
        g->escapes = one_in(g, 5);
        g->faults = one_in(g, 3);
        put(g, open);
        for (i = 0; i < n; i++) {
                put(g, i ? between : "");
                space(g);
                record(g);
        }
        put(g, PICK(g, "]}", "]}", "]}", "", "]}]}", "],\"b\":[1,{}]}", "\n"));
        if (one_in(g, 2)) /* so that the last tuple, too, has bytes behind it */
                putf(g, "%200s", "");
        if (one_in(g, 3))
                damage(g);
}

/* ------------------------------------------------------------ comparison ---- */

static const char *wrong_count(const struct gen *g, const struct sw_batch *b)
{
        if (b->n_records != g->records)
                return "number of records, against the generator's";
        if (b->n_tuples != g->tuples || b->stats.tuple_errors)
                return "number of tuples, against the generator's";
        if (b->stats.records_skipped != g->skipped)
                return "number of skipped records, against the generator's";
        return b->stats.record_errors ? "errors where the generator made none" : NULL;
}

struct seen {
        uint64_t exact, records, tuples, messages_bad;
        uint64_t reasons[SW_N_REASONS], kinds[SW_N_KINDS];
};

static void look(struct seen *s, const struct sw_batch *b, bool exact)
{
        uint32_t i;

        s->exact += exact;
        s->records += b->n_records;
        s->tuples += b->n_tuples;
        s->messages_bad += b->stats.message_errors;
        for (i = 0; i < b->n_errors; i++)
                s->reasons[b->errors[i].reason]++;
        for (i = 0; i < b->n_records; i++)
                s->kinds[b->records[i].kind]++;
}

/* The generator has to reach every corner, or a green run says nothing. */
static bool reached(const struct seen *s, const struct sw_decoder *fast, uint64_t count)
{
        static const enum sw_reason never[] = { SW_REASON_TOO_LARGE, SW_REASON_GZIP, SW_REASON_DEPTH, SW_REASON_EMPTY };
        bool good = true;
        unsigned i, j;

        printf("exact messages %llu, records %llu (fast %llu, handed over %llu), tuples %llu, bad messages %llu\n",
                (unsigned long long)s->exact, (unsigned long long)s->records, (unsigned long long)fast->n_fast,
                (unsigned long long)fast->n_reference, (unsigned long long)s->tuples,
                (unsigned long long)s->messages_bad);
        for (i = 0; i < SW_N_REASONS; i++) {
                bool skip = false;

                for (j = 0; j < sizeof(never) / sizeof(*never); j++)
                        skip |= never[j] == (enum sw_reason)i;
                printf("%s %llu, ", sw_reason_name((enum sw_reason)i), (unsigned long long)s->reasons[i]);
                good &= skip || s->reasons[i] > count / 10000;
        }
        for (i = 0; i < SW_N_KINDS; i++) {
                printf("kind %u %llu%s", i, (unsigned long long)s->kinds[i], i + 1 < SW_N_KINDS ? ", " : "\n");
                good &= s->kinds[i] > count / 1000;
        }
        return good && s->exact > count / 10 && fast->n_fast > count / 4 && fast->n_reference > count / 10;
}

static void fail(const struct gen *g, uint64_t nth, uint64_t seed, const char *what)
{
        printf("message %llu of seed %llu: difference in %s\n", (unsigned long long)nth, (unsigned long long)seed,
                what);
        (void)fwrite(g->text, 1, g->n, stdout);
        printf("\n");
}

int main(int argc, char **argv)
{
        struct sw_decoder_conf conf = { .message_max_bytes = 4 << 20, .seed = 42 };
        struct sw_decoder *fast = NULL, *reference = NULL;
        struct sw_batch a = SW_BATCH_NULL, b = SW_BATCH_NULL;
        uint64_t count = 1000000, seed = 1, nth;
        struct seen seen = { 0 };
        static struct gen g;
        bool corrupt = false;
        int i, code = 0;

        for (i = 1; i < argc; i++) {
                if (strcmp(argv[i], "--corrupt") == 0)
                        corrupt = true;
                else if (strcmp(argv[i], "--count") == 0 && i + 1 < argc)
                        count = strtoull(argv[++i], NULL, 10);
                else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
                        seed = strtoull(argv[++i], NULL, 10);
                else
                        return fprintf(stderr, "usage: diff_decode [--count N] [--seed S] [--corrupt]\n"), 64;
        }
        if (sw_decoder_new(&conf, &fast))
                return 1;
        conf.reference_only = true;
        if (sw_decoder_new(&conf, &reference))
                return 1;
        printf("seed %llu, %llu messages%s\n", (unsigned long long)seed, (unsigned long long)count,
                corrupt ? ", negative control" : "");
        for (nth = 0; nth < count && code == 0; nth++) {
                struct sw_str s;
                const char *what;
                char *copy;

                g.x = seed * UINT64_C(0x2545f4914f6cdd1d) + nth;
                message(&g);
                copy = sw_alloc(g.n); /* of its own, so that a sanitizer sees reads beyond it */
                if (!copy)
                        return 1;
                memcpy(copy, g.text, g.n);
                s = (struct sw_str){ copy, g.n };
                fast->avx2 = nth % 3 != 0 && sw__fast_has_avx2(); /* both ways of fast_tuple.h */
                sw_batch_reset(&a);
                sw_batch_reset(&b);
                if (sw_decode(fast, s, SW_DECODE_MESSAGE, 0, &a) || sw_decode(reference, s, SW_DECODE_MESSAGE, 0, &b))
                        return 1;
                if (corrupt && nth % 1000 == 999 && a.n_tuples)
                        a.tuples[a.n_tuples - 1].dport ^= 1;
                what = batch_difference(&a, &b);
                if (!what && g.exact)
                        what = wrong_count(&g, &a);
                look(&seen, &a, g.exact);
                if (what) {
                        fail(&g, nth, seed, what);
                        code = 1;
                }
                sw_free(copy);
        }
        if (code == 0 && !reached(&seen, fast, count)) {
                printf("the generator did not reach everything it should\n");
                code = 1;
        }
        if (corrupt) {
                code = !code;
                printf("negative control: %s\n", code ? "a corrupted result went unnoticed" : "noticed");
        }
        sw_decoder_free(fast);
        sw_decoder_free(reference);
        sw_batch_deinit(&a);
        sw_batch_deinit(&b);
        return code;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Tuples to text. A NIC's tuples of a minute become one record, grouped by rule as Azure does: one entry of `flows` per
 * direction, the all-zero ACL for the platform's own rule. Records of a partition follow each other until the message
 * has its size or its age. */
#include "scenario/scenario_int.h"

#include <string.h>

enum { WRITER_TUPLE_MAX = 256 };

static const char zero_acl[] = "00000000-0000-0000-0000-000000000000";
static const char subscription[] = "5e9a7c1d-2b4f-4c3e-9d8a-6f1b0e2c7a55";
static const char subscription_upper[] = "5E9A7C1D-2B4F-4C3E-9D8A-6F1B0E2C7A55";

static char *write_u64(char *p, uint64_t v)
{
        char digits[20];
        unsigned n = 0;

        do
                digits[n++] = (char)('0' + v % 10);
        while (v /= 10);
        while (n)
                *p++ = digits[--n];
        return p;
}

static char *write_text(char *p, const char *text, size_t n)
{
        memcpy(p, text, n);
        return p + n;
}

static char *write_counters(char *p, const struct scn_pending *t, bool empty)
{
        unsigned k;

        for (k = 0; k < SW_N_COUNTERS; k++) {
                *p++ = ',';
                if (!empty)
                        p = write_u64(p, t->counters[k]);
        }
        return p;
}

static char *write_tuple(char *p, const struct sw_scenario *s, const struct scn_pending *t)
{
        const struct scn_end *src = &s->net.ends[t->src], *dst = &s->net.ends[t->dst];
        bool nsg = s->conf.format == SW_SCENARIO_NSG2, denied = t->state == SW_STATE_DENIED;
        const char *encryption;

        *p++ = '"';
        p = write_u64(p, (uint64_t)(nsg ? t->time / 1000 : t->time));
        *p++ = ',';
        p = write_text(p, src->text, src->n_text);
        *p++ = ',';
        p = write_text(p, dst->text, dst->n_text);
        *p++ = ',';
        p = write_u64(p, t->sport);
        *p++ = ',';
        p = write_u64(p, t->dport);
        *p++ = ',';
        if (nsg)
                *p++ = t->proto == SW_PROTO_TCP ? 'T' : 'U';
        else
                p = write_u64(p, t->proto);
        *p++ = ',';
        *p++ = t->direction == SW_INBOUND ? 'I' : 'O';
        *p++ = ',';
        if (nsg) {
                *p++ = denied ? 'D' : 'A';
                *p++ = ',';
                *p++ = denied ? 'B' : "BCED"[t->state];
                p = write_counters(p, t, t->state == SW_STATE_BEGIN || denied);
        } else {
                *p++ = "BCED"[t->state];
                *p++ = ',';
                encryption = sw_encryption_text(t->encryption);
                p = write_text(p, encryption, strlen(encryption));
                p = write_counters(p, t, false);
        }
        *p++ = '"';
        return p;
}

/* "2026-03-02T06:01:00.1234567Z" */
static void write_time(struct sw_buf *b, int64_t ms, unsigned fraction)
{
        char text[SW_ETIME_TEXT], tail[6] = { 0 };
        unsigned i;

        sw_etime_format((struct sw_etime){ ms }, text);
        sw_buf_put(b, text, strlen(text) - 1);
        for (i = 4; i-- > 0; fraction /= 10)
                tail[i] = (char)('0' + fraction % 10);
        sw_buf_put(b, tail, 4);
        sw_buf_putc(b, 'Z');
}

static void write_mac(struct sw_buf *b, uint32_t nic)
{
        static const char hex[] = "0123456789ABCDEF";
        char text[12] = { '0', '0', '2', '2', '4', '8' };
        unsigned i;

        for (i = 0; i < 6; i++)
                text[6 + i] = hex[(0x700000 + nic) >> (4 * (5 - i)) & 15];
        sw_buf_put(b, text, 12);
}

static const char *write_spoke(unsigned segment)
{
        switch (segment) {
        case SCN_WEB:
        case SCN_APP:
        case SCN_DB:
                return "shop";
        case SCN_ERP_APP:
        case SCN_ERP_DB:
                return "erp";
        case SCN_FILES:
                return "files";
        case SCN_AVD:
                return "avd";
        default:
                return "hub";
        }
}

static void write_acl(struct sw_buf *b, unsigned segment, bool upper)
{
        sw_buf_puts(b, upper ? "/SUBSCRIPTIONS/" : "/subscriptions/");
        sw_buf_puts(b, upper ? subscription_upper : subscription);
        sw_buf_puts(b, upper ? "/RESOURCEGROUPS/RG-NET/PROVIDERS/MICROSOFT.NETWORK/NETWORKSECURITYGROUPS/NSG-"
                             : "/resourceGroups/rg-net/providers/Microsoft.Network/networkSecurityGroups/nsg-");
        sw_buf_puts(b, sw__scn_segment_text(segment));
}

static void write_header_vnet(struct sw_buf *b, const struct scn_nic *nic, uint32_t n, int64_t time)
{
        const char *spoke = write_spoke(nic->segment), *p;

        sw_buf_puts(b, "{\"time\":\"");
        write_time(b, time, n * 7919 % 10000);
        sw_buf_puts(b,
                "\",\"flowLogVersion\":4,\"flowLogGUID\":\"8d2f3b60-71c4-4e0a-b5d9-3c6a9f0e1b27\",\"macAddress\":\"");
        write_mac(b, n);
        sw_buf_puts(b, "\",\"category\":\"FlowLogFlowEvent\",\"flowLogResourceID\":\"/SUBSCRIPTIONS/");
        sw_buf_puts(b, subscription_upper);
        sw_buf_puts(b, "/RESOURCEGROUPS/NETWORKWATCHERRG/PROVIDERS/MICROSOFT.NETWORK/NETWORKWATCHERS/"
                       "NETWORKWATCHER_WESTEUROPE/FLOWLOGS/VNET-");
        for (p = spoke; *p; p++)
                sw_buf_putc(b, (char)(*p - 'a' + 'A'));
        sw_buf_puts(b, "\",\"targetResourceID\":\"/subscriptions/");
        sw_buf_puts(b, subscription);
        sw_buf_puts(b, "/resourceGroups/rg-net/providers/Microsoft.Network/virtualNetworks/vnet-");
        sw_buf_puts(b, spoke);
        sw_buf_puts(b, "\",\"operationName\":\"FlowLogFlowEvent\",\"flowRecords\":{\"flows\":[");
}

static void write_header_nsg(struct sw_buf *b, const struct scn_nic *nic, uint32_t n, int64_t time)
{
        sw_buf_puts(b, "{\"time\":\"");
        write_time(b, time, n * 7919 % 10000);
        sw_buf_puts(b, "\",\"systemId\":\"8d2f3b60-71c4-4e0a-b5d9-3c6a9f0e1b");
        sw_buf_putc(b, (char)('a' + nic->segment % 6));
        sw_buf_putc(b, (char)('0' + nic->segment / 6));
        sw_buf_puts(b, "\",\"macAddress\":\"");
        write_mac(b, n);
        sw_buf_puts(b, "\",\"category\":\"NetworkSecurityGroupFlowEvent\",\"resourceId\":\"");
        write_acl(b, nic->segment, true);
        sw_buf_puts(
                b, "\",\"operationName\":\"NetworkSecurityGroupFlowEvents\",\"properties\":{\"Version\":2,\"flows\":[");
}

/* One rule's tuples, in the order they happened. */
static void write_group(struct sw_buf *b, const struct sw_scenario *s, uint32_t n, unsigned rule)
{
        bool nsg = s->conf.format == SW_SCENARIO_NSG2, comma = false;
        uint32_t i;

        sw_buf_puts(b, "{\"rule\":\"");
        sw_buf_puts(b, sw__scn_rule_text(rule));
        if (nsg) {
                sw_buf_puts(b, "\",\"flows\":[{\"mac\":\"");
                write_mac(b, n);
        }
        sw_buf_puts(b, "\",\"flowTuples\":[");
        for (i = s->net.nics[n].head; i; i = s->pending[i - 1].next) {
                char text[WRITER_TUPLE_MAX], *p = text;

                if (s->pending[i - 1].rule != rule)
                        continue;
                if (comma)
                        *p++ = ',';
                comma = true;
                p = write_tuple(p, s, &s->pending[i - 1]);
                sw_buf_put(b, text, (size_t)(p - text));
        }
        sw_buf_puts(b, nsg ? "]}]}" : "]}");
}

static void write_flows(struct sw_buf *b, const struct sw_scenario *s, uint32_t n, uint32_t rules)
{
        static const uint32_t out = 1u << SCN_RULE_VNET_OUT | 1u << SCN_RULE_INTERNET_OUT,
                              own = 1u << SCN_RULE_PLATFORM;
        const uint32_t parts[3] = { rules & out, rules & ~(out | own), rules & own };
        bool nsg = s->conf.format == SW_SCENARIO_NSG2, first = true;
        unsigned part, rule;

        for (part = 0; part < 3; part++) {
                bool comma = false;

                if (!parts[part])
                        continue;
                if (!first)
                        sw_buf_putc(b, ',');
                first = false;
                if (!nsg) {
                        sw_buf_puts(b, "{\"aclID\":\"");
                        if (part == 2)
                                sw_buf_puts(b, zero_acl);
                        else
                                write_acl(b, s->net.nics[n].segment, false);
                        sw_buf_puts(b, "\",\"flowGroups\":[");
                }
                for (rule = 0; rule < SCN_N_RULES; rule++) {
                        if (!(parts[part] >> rule & 1))
                                continue;
                        if (comma)
                                sw_buf_putc(b, ',');
                        comma = true;
                        write_group(b, s, n, rule);
                }
                if (!nsg)
                        sw_buf_puts(b, "]}");
        }
}

/* Frees the pending tuples of a NIC; which rules they fall under, their number and span. */
static uint32_t write_survey(
        const struct sw_scenario *s, const struct scn_nic *nic, struct scn_partition *p, uint32_t *ret_n)
{
        uint32_t rules = 0, i, n = 0;

        for (i = nic->head; i; i = s->pending[i - 1].next, n++) {
                const struct scn_pending *t = &s->pending[i - 1];

                rules |= 1u << t->rule;
                if (t->time < p->oldest)
                        p->oldest = t->time;
                if (t->time > p->newest)
                        p->newest = t->time;
        }
        *ret_n = n;
        return rules;
}

static void write_open_message(struct sw_scenario *s, struct scn_partition *p, int64_t now, uint64_t mac)
{
        uint32_t span = s->conf.message_max - s->conf.message_min + 1;

        sw_buf_puts(&p->buf, "{\"records\":[");
        p->opened = now;
        p->oldest = INT64_MAX;
        p->newest = INT64_MIN;
        p->mac = mac;
        p->n_records = p->n_tuples = 0;
        p->target = s->conf.message_min + sw__scn_below(&s->rng_sizes, span);
}

int sw__scn_flush(struct sw_scenario *s, uint32_t n, int64_t now)
{
        struct scn_nic *nic = &s->net.nics[n];
        struct scn_partition *p = &s->partitions[nic->partition];
        bool nsg = s->conf.format == SW_SCENARIO_NSG2;
        uint32_t rules, n_tuples;

        if (!nic->head)
                return 0;
        if (!p->buf.n)
                write_open_message(s, p, now, UINT64_C(0x002248700000) + n);
        else
                sw_buf_putc(&p->buf, ',');
        rules = write_survey(s, nic, p, &n_tuples);
        if (nsg)
                write_header_nsg(&p->buf, nic, n, now + nic->lag_ms);
        else
                write_header_vnet(&p->buf, nic, n, now + nic->lag_ms);
        write_flows(&p->buf, s, n, rules);
        sw_buf_puts(&p->buf, "]}}");
        p->n_records++;
        p->n_tuples += n_tuples;
        p->time = now + nic->lag_ms;
        s->pending[nic->tail - 1].next = s->free_pending;
        s->free_pending = nic->head;
        nic->head = nic->tail = 0;
        if (p->buf.n >= p->target || s->conf.single_records)
                sw__scn_close_message(s, p);
        return p->buf.failed ? -SW_ERR_NOMEM : 0;
}

void sw__scn_close_message(struct sw_scenario *s, struct scn_partition *p)
{
        sw_buf_puts(&p->buf, "]}");
        p->ready = true;
        s->stats.messages++;
        s->stats.records += p->n_records;
        s->stats.tuples += p->n_tuples;
        s->stats.bytes += p->buf.n;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/explain_text.h"

#include "base/time.h"
#include "model/addr.h"
#include "term.h"

#include <stdio.h>
#include <string.h>

#define EXPLAIN_RULES 4u     /* deny rules proposed */
#define EXPLAIN_MEMBERS 16u  /* addresses or ports in one rule */
#define EXPLAIN_EVIDENCE 16u /* lines of evidence */
#define EXPLAIN_KEEP_MS (90 * SW_DAY)

static void explain_put(struct sw_buf *out, const struct sw_json *j, const char *path)
{
        sw_term_put(out, sw_json_str(sw_json_at(j, path)));
}

static int64_t explain_i64(const struct sw_json *j, const char *path)
{
        int64_t v = 0;

        (void)sw_json_i64(sw_json_at(j, path), &v);
        return v;
}

static void explain_time(struct sw_buf *out, int64_t ms)
{
        char text[SW_ETIME_TEXT];

        if (ms >= SW_ETIME_MIN_MS && ms <= SW_ETIME_MAX_MS)
                sw_buf_puts(out, sw_etime_format((struct sw_etime){ ms - ms % SW_SECOND }, text));
}

static bool explain_same(const struct sw_json *j, const char *path, struct sw_str uid)
{
        struct sw_str s = sw_json_str(sw_json_at(j, path));

        return uid.n && s.n >= uid.n && sw_str_ieq((struct sw_str){ s.p, uid.n }, uid);
}

bool sw_explain_is(const struct sw_json *finding, struct sw_str uid)
{
        return explain_same(finding, "finding_info.uid", uid) || explain_same(finding, "metadata.uid", uid);
}

struct sw_str sw_explain_uid(const struct sw_json *finding)
{
        return sw_json_str(sw_json_at(finding, "finding_info.uid"));
}

/* ---- what happened ---- */

static void explain_list(struct sw_buf *out, const struct sw_json *j, const char *label, const char *path)
{
        const struct sw_json *i = sw_json_first(sw_json_at(j, path));
        unsigned n = 0;

        if (!i)
                return;
        sw_buf_printf(out, "%-13s", label);
        for (; i && n < EXPLAIN_MEMBERS; i = sw_json_next(i), n++) {
                sw_buf_puts(out, n ? ", " : "");
                sw_term_put(out, sw_json_str(i));
        }
        sw_buf_puts(out, i ? ", ...\n" : "\n");
}

static void explain_head(struct sw_buf *out, const struct sw_json *f)
{
        explain_put(out, f, "finding_info.title");
        sw_buf_puts(out, "\n\nFinding      ");
        explain_put(out, f, "finding_info.uid");
        sw_buf_puts(out, " (");
        explain_put(out, f, "activity_name");
        sw_buf_printf(out, ", line %lld)\nSeverity     ", (long long)explain_i64(f, "metadata.sequence"));
        explain_put(out, f, "severity");
        sw_buf_printf(out, ", risk %lld of 100, confidence %lld of 100\nTime         ",
                (long long)explain_i64(f, "risk_score"), (long long)explain_i64(f, "confidence_score"));
        explain_time(out, explain_i64(f, "start_time"));
        sw_buf_puts(out, " to ");
        explain_time(out, explain_i64(f, "end_time"));
        sw_buf_puts(out, "\nActor        ");
        explain_put(out, f, "unmapped.actor");
        sw_buf_puts(out, " in segment ");
        explain_put(out, f, "unmapped.segment_src");
        sw_buf_putc(out, '\n');
        explain_list(out, f, "Compromised", "unmapped.compromised");
        explain_list(out, f, "Targets", "unmapped.targets");
        explain_list(out, f, "Detectors", "unmapped.detectors");
        sw_buf_puts(out, "\nWhat happened, and what is normal there\n  ");
        explain_put(out, f, "message");
        sw_buf_puts(out, "\n\nStep by step\n");
}

static void explain_story(struct sw_buf *out, const struct sw_json *f)
{
        struct sw_str desc = sw_json_str(sw_json_at(f, "finding_info.desc"));

        while (desc.n) {
                const char *end = memchr(desc.p, '\n', desc.n);
                size_t n = end ? (size_t)(end - desc.p) : desc.n;

                sw_buf_puts(out, "  ");
                sw_term_put(out, (struct sw_str){ desc.p, n });
                sw_buf_putc(out, '\n');
                n += end ? 1 : 0;
                desc = (struct sw_str){ desc.p + n, desc.n - n };
        }
}

static void explain_end_point(struct sw_buf *out, const struct sw_json *e, const char *ip, const char *port)
{
        explain_put(out, e, ip);
        sw_buf_printf(out, " port %lld", (long long)explain_i64(e, port));
}

static void explain_evidence_line(struct sw_buf *out, const struct sw_json *e)
{
        sw_buf_puts(out, "  ");
        explain_time(out, explain_i64(e, "data.time"));
        sw_buf_putc(out, ' ');
        explain_end_point(out, e, "src_endpoint.ip", "src_endpoint.port");
        sw_buf_puts(out, " -> ");
        explain_end_point(out, e, "dst_endpoint.ip", "dst_endpoint.port");
        sw_buf_putc(out, ' ');
        explain_put(out, e, "connection_info.protocol_name");
        sw_buf_puts(out, ", ");
        explain_put(out, e, "data.outcome");
        sw_buf_printf(out, ", %lld bytes there, %lld back; ", (long long)explain_i64(e, "data.bytes_out"),
                (long long)explain_i64(e, "data.bytes_in"));
        explain_put(out, e, "data.detector");
        sw_buf_puts(out, "; rule ");
        explain_put(out, e, "data.rule");
        sw_buf_putc(out, '\n');
}

/* Signals may share a tuple: a line is written once. */
static void explain_evidence(struct sw_buf *out, const struct sw_json *f)
{
        const struct sw_json *e = sw_json_first(sw_json_at(f, "evidences"));
        struct sw_buf line = SW_BUF_NULL;
        size_t begin;
        unsigned n = 0;

        sw_buf_puts(out, "\nEvidence\n");
        begin = out->n;
        for (; e && n < EXPLAIN_EVIDENCE; e = sw_json_next(e)) {
                sw_buf_reset(&line);
                explain_evidence_line(&line, e);
                if (out->failed || memmem(out->p + begin, out->n - begin, line.p, line.n))
                        continue;
                sw_buf_put_str(out, (struct sw_str){ line.p, line.n });
                n++;
        }
        if (e)
                sw_buf_puts(out, "  ... more in the line itself\n");
        out->failed = out->failed || line.failed;
        sw_buf_deinit(&line);
}

/* ---- what could be done ---- */

/* A deny rule for one NSG and direction, out of the evidence that it let through. */
struct explain_deny {
        struct sw_str acl, rule;
        bool outbound;
        struct sw_addr src[EXPLAIN_MEMBERS], dst[EXPLAIN_MEMBERS];
        int64_t ports[EXPLAIN_MEMBERS], proto; /* proto -1: several */
        unsigned n_src, n_dst, n_ports;
};

static void explain_add_addr(struct sw_addr *list, unsigned *n, const struct sw_addr *a)
{
        unsigned i;

        for (i = 0; i < *n; i++)
                if (sw_addr_cmp(&list[i], a) == 0)
                        return;
        if (*n < EXPLAIN_MEMBERS)
                list[(*n)++] = *a;
}

static void explain_add(
        struct explain_deny *d, const struct sw_addr *src, const struct sw_addr *dst, int64_t port, int64_t proto)
{
        unsigned i;

        explain_add_addr(d->src, &d->n_src, src);
        explain_add_addr(d->dst, &d->n_dst, dst);
        d->proto = d->n_ports && d->proto != proto ? -1 : proto;
        for (i = 0; i < d->n_ports; i++)
                if (d->ports[i] == port)
                        return;
        if (d->n_ports < EXPLAIN_MEMBERS)
                d->ports[d->n_ports++] = port;
}

static unsigned explain_collect(const struct sw_json *f, struct explain_deny *denies)
{
        const struct sw_json *e = sw_json_first(sw_json_at(f, "evidences"));
        unsigned n = 0, i;

        for (; e; e = sw_json_next(e)) {
                struct sw_str acl = sw_json_str(sw_json_at(e, "data.acl_id"));
                bool outbound = sw_str_eq(sw_json_str(sw_json_at(e, "data.logged")), SW_STR("outbound"));
                int64_t port = explain_i64(e, "dst_endpoint.port"),
                        proto = explain_i64(e, "connection_info.protocol_num");
                struct sw_addr src, dst;

                if (sw_str_eq(sw_json_str(sw_json_at(e, "data.outcome")), SW_STR("denied")) || port < 0 ||
                        port > 65535 || !sw_addr_parse(sw_json_str(sw_json_at(e, "src_endpoint.ip")), &src) ||
                        !sw_addr_parse(sw_json_str(sw_json_at(e, "dst_endpoint.ip")), &dst))
                        continue;
                for (i = 0; i < n; i++)
                        if (denies[i].outbound == outbound && sw_str_ieq(denies[i].acl, acl))
                                break;
                if (i == EXPLAIN_RULES)
                        continue;
                if (i == n)
                        denies[n++] = (struct explain_deny){
                                .acl = acl, .rule = sw_json_str(sw_json_at(e, "data.rule")), .outbound = outbound
                        };
                explain_add(&denies[i], &src, &dst, port, proto);
        }
        return n;
}

/* The part of a resource id after "/KEY/"; p NULL where there is none or it is no plain name. */
static struct sw_str explain_part(struct sw_str id, const char *key)
{
        struct sw_str k = sw_str_of(key), part = { NULL, 0 };
        size_t i;

        for (i = 0; i + k.n < id.n; i++) {
                if (!sw_str_ieq((struct sw_str){ id.p + i, k.n }, k))
                        continue;
                part = (struct sw_str){ id.p + i + k.n, 0 };
                while (i + k.n + part.n < id.n && part.p[part.n] != '/')
                        part.n++;
                break;
        }
        for (i = 0; i < part.n; i++) {
                char c = part.p[i];

                if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                            c == '_' || c == '.'))
                        return (struct sw_str){ NULL, 0 };
        }
        return part.n ? part : (struct sw_str){ NULL, 0 };
}

static void explain_name(struct sw_buf *out, struct sw_str part, const char *placeholder)
{
        if (part.p)
                sw_buf_put_str(out, part);
        else
                sw_buf_puts(out, placeholder);
}

/* The k-th address begins with " " (an argument), or is an item of a Bicep array. */
static void explain_addrs(struct sw_buf *out, const struct sw_addr *list, unsigned n, bool bicep)
{
        char text[SW_ADDR_TEXT];
        unsigned i;

        for (i = 0; i < n; i++)
                sw_buf_printf(out, bicep ? "%s'%s'" : "%s%s",
                        !bicep ? " "
                        : i    ? ", "
                               : "",
                        sw_addr_format(&list[i], text));
}

static const char *explain_proto(int64_t proto)
{
        return proto == 6 ? "Tcp" : proto == 17 ? "Udp" : proto == 1 ? "Icmp" : "*";
}

static void explain_az(struct sw_buf *out, const struct explain_deny *d, const char *name)
{
        unsigned i;

        sw_buf_puts(out, "  az network nsg rule create --resource-group ");
        explain_name(out, explain_part(d->acl, "/resourceGroups/"), "RESOURCE_GROUP");
        sw_buf_puts(out, " --nsg-name ");
        explain_name(out, explain_part(d->acl, "/networkSecurityGroups/"), "NSG");
        sw_buf_printf(out,
                " \\\n    --name %s --priority 100 --direction %s --access Deny --protocol '%s' \\\n    "
                "--source-address-prefixes",
                name, d->outbound ? "Outbound" : "Inbound", explain_proto(d->proto));
        explain_addrs(out, d->src, d->n_src, false);
        sw_buf_puts(out, " --source-port-ranges '*' \\\n    --destination-address-prefixes");
        explain_addrs(out, d->dst, d->n_dst, false);
        sw_buf_puts(out, " --destination-port-ranges");
        for (i = 0; i < d->n_ports; i++)
                sw_buf_printf(out, " %lld", (long long)d->ports[i]);
        sw_buf_putc(out, '\n');
}

static void explain_bicep(struct sw_buf *out, const struct explain_deny *d, const char *name)
{
        unsigned i;

        sw_buf_puts(out, "  resource deny 'Microsoft.Network/networkSecurityGroups/securityRules@2023-11-01' = {\n"
                         "    name: '");
        explain_name(out, explain_part(d->acl, "/networkSecurityGroups/"), "NSG");
        sw_buf_printf(out,
                "/%s'\n    properties: {\n      priority: 100\n      direction: '%s'\n      access: 'Deny'\n"
                "      protocol: '%s'\n      sourceAddressPrefixes: [",
                name, d->outbound ? "Outbound" : "Inbound", explain_proto(d->proto));
        explain_addrs(out, d->src, d->n_src, true);
        sw_buf_puts(out, "]\n      sourcePortRange: '*'\n      destinationAddressPrefixes: [");
        explain_addrs(out, d->dst, d->n_dst, true);
        sw_buf_puts(out, "]\n      destinationPortRanges: [");
        for (i = 0; i < d->n_ports; i++)
                sw_buf_printf(out, "%s'%lld'", i ? ", " : "", (long long)d->ports[i]);
        sw_buf_puts(out, "]\n    }\n  }\n");
}

static void explain_denies(struct sw_buf *out, const struct sw_json *f)
{
        struct explain_deny denies[EXPLAIN_RULES];
        unsigned n = explain_collect(f, denies), i;
        char name[32];

        if (n == 0) {
                sw_buf_puts(out, "\nThe network let nothing of it through.\n");
                return;
        }
        sw_buf_puts(out, "\nWhat let it through, and how to deny it (choose a free priority below that of the rule; "
                         "read before running)\n");
        for (i = 0; i < n; i++) {
                struct sw_str uid = sw_explain_uid(f);

                (void)snprintf(
                        name, sizeof(name), "segwatch-%.*s-%u", uid.n < 8 ? (int)uid.n : 8, uid.p ? uid.p : "", i + 1);
                if (strspn(name, "segwatch-0123456789abcdef") != strlen(name))
                        (void)snprintf(name, sizeof(name), "segwatch-%u", i + 1);
                sw_buf_puts(out, "\n  Rule ");
                sw_term_put(out, denies[i].rule);
                sw_buf_puts(out, " of ");
                sw_term_put(out, denies[i].acl.n ? denies[i].acl : SW_STR("(none named)"));
                sw_buf_puts(out, "\n\n");
                explain_az(out, &denies[i], name);
                sw_buf_putc(out, '\n');
                explain_bicep(out, &denies[i], name);
        }
}

static void explain_suppression(struct sw_buf *out, const struct sw_json *f)
{
        const struct sw_json *i = sw_json_first(sw_json_at(f, "unmapped.detectors"));
        struct sw_str uid = explain_part(sw_explain_uid(f), "");
        struct sw_etime end = { explain_i64(f, "end_time") }, last = { SW_ETIME_MAX_MS - EXPLAIN_KEEP_MS };
        struct sw_addr actor;
        char text[SW_ADDR_TEXT];
        bool first = true;

        if (!sw_addr_parse(sw_json_str(sw_json_at(f, "unmapped.actor")), &actor) || !i)
                return;
        sw_buf_puts(out, "\nIf this is known and wanted: for the file that `suppressions:` names\n\n  - id: known-");
        sw_buf_put_str(out, uid.n > 8 ? (struct sw_str){ uid.p, 8 } : uid);
        sw_buf_puts(out, "\n    reason: WHY NOBODY NEEDS TO HEAR OF IT\n    owner: WHO ANSWERS FOR IT\n    expires: ");
        end = sw_etime_min(sw_etime_max(end, (struct sw_etime){ SW_ETIME_MIN_MS }), last);
        (void)sw_etime_format(sw_etime_add(end, EXPLAIN_KEEP_MS), text);
        sw_buf_printf(out, "%.10s\n    detectors: [", text);
        for (; i; i = sw_json_next(i), first = false) {
                sw_buf_puts(out, first ? "" : ", ");
                explain_name(out, explain_part(sw_json_str(i), ""), "DETECTOR");
        }
        sw_buf_printf(out, "]\n    source: [\"%s\"]\n", sw_addr_format(&actor, text));
}

void sw_explain(struct sw_buf *out, const struct sw_json *f)
{
        explain_head(out, f);
        explain_story(out, f);
        explain_evidence(out, f);
        if (sw_str_eq(sw_json_str(sw_json_at(f, "unmapped.kind")), SW_STR("health")))
                return;
        explain_denies(out, f);
        explain_suppression(out, f);
}

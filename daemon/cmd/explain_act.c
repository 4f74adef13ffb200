/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/explain_act.h"

#include "base/time.h"
#include "detect/detector.h"
#include "term.h"

#include <stdio.h>
#include <string.h>

#define EXPLAIN_RULES 8u    /* deny rules proposed */
#define EXPLAIN_MEMBERS 16u /* addresses, ports or names in one rule */
#define EXPLAIN_STANZAS 8u
#define EXPLAIN_KEEP_MS (30 * SW_DAY)
#define EXPLAIN_NAME 128u /* bytes of a segment's name */

static int64_t explain_i64(const struct sw_json *j, const char *path)
{
        int64_t v = 0;

        (void)sw_json_i64(sw_json_at(j, path), &v);
        return v;
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

static void explain_more(struct sw_buf *out, unsigned n, const char *what)
{
        if (n)
                sw_buf_printf(out, "  (%u more %s than fit: see the line itself)\n", n, what);
}

/* ---- what a tuple of evidence says ---- */

struct explain_tuple {
        struct sw_addr src, dst;
        int64_t port, proto;
        struct sw_str acl, rule, detector, zone;
        bool outbound, denied;
};

static bool explain_tuple(const struct sw_json *e, struct explain_tuple *t)
{
        *t = (struct explain_tuple){ .port = explain_i64(e, "dst_endpoint.port"),
                .proto = explain_i64(e, "connection_info.protocol_num"),
                .acl = sw_json_str(sw_json_at(e, "data.acl_id")),
                .rule = sw_json_str(sw_json_at(e, "data.rule")),
                .detector = sw_json_str(sw_json_at(e, "data.detector")),
                .zone = sw_json_str(sw_json_at(e, "dst_endpoint.zone")),
                .outbound = sw_str_eq(sw_json_str(sw_json_at(e, "data.logged")), SW_STR("outbound")),
                .denied = sw_str_eq(sw_json_str(sw_json_at(e, "data.outcome")), SW_STR("denied")) };
        return t->port >= 0 && t->port <= 65535 && t->proto >= 0 && t->proto <= 255 &&
               sw_addr_parse(sw_json_str(sw_json_at(e, "src_endpoint.ip")), &t->src) &&
               sw_addr_parse(sw_json_str(sw_json_at(e, "dst_endpoint.ip")), &t->dst) &&
               sw_addr_is_v4(&t->src) == sw_addr_is_v4(&t->dst);
}

static bool explain_has_ports(int64_t proto)
{
        return proto == SW_PROTO_TCP || proto == SW_PROTO_UDP;
}

/* ---- deny rules ---- */

/* A deny rule for one NSG and direction, out of the evidence that it let through. Azure takes no rule over IPv4 and
 * IPv6 together, and one over two protocols would be one over all. */
struct explain_deny {
        struct sw_str acl, rules[EXPLAIN_MEMBERS];
        bool outbound, v4;
        int64_t proto;
        struct sw_addr src[EXPLAIN_MEMBERS], dst[EXPLAIN_MEMBERS];
        int64_t ports[EXPLAIN_MEMBERS];
        unsigned n_rules, n_src, n_dst, n_ports, n_left_out; /* tuples that did not fit */
};

struct explain_denies {
        struct explain_deny items[EXPLAIN_RULES];
        unsigned n, n_left_out;
};

static bool explain_add_addr(struct sw_addr *list, unsigned *n, const struct sw_addr *a)
{
        unsigned i;

        for (i = 0; i < *n; i++)
                if (sw_addr_cmp(&list[i], a) == 0)
                        return true;
        if (*n == EXPLAIN_MEMBERS)
                return false;
        list[(*n)++] = *a;
        return true;
}

static bool explain_add_port(int64_t *list, unsigned *n, int64_t port)
{
        unsigned i;

        for (i = 0; i < *n; i++)
                if (list[i] == port)
                        return true;
        if (*n == EXPLAIN_MEMBERS)
                return false;
        list[(*n)++] = port;
        return true;
}

static bool explain_add_str(struct sw_str *list, unsigned *n, struct sw_str s)
{
        unsigned i;

        for (i = 0; i < *n; i++)
                if (sw_str_eq(list[i], s))
                        return true;
        if (*n == EXPLAIN_MEMBERS)
                return false;
        list[(*n)++] = s;
        return true;
}

static void explain_deny_add(struct explain_deny *d, const struct explain_tuple *t)
{
        bool all = explain_add_addr(d->src, &d->n_src, &t->src);

        all = explain_add_addr(d->dst, &d->n_dst, &t->dst) && all;
        if (explain_has_ports(t->proto))
                all = explain_add_port(d->ports, &d->n_ports, t->port) && all;
        if (t->rule.n)
                all = explain_add_str(d->rules, &d->n_rules, t->rule) && all;
        d->n_left_out += !all;
}

static void explain_collect(const struct sw_json *f, struct explain_denies *to)
{
        const struct sw_json *e = sw_json_first(sw_json_at(f, "evidences"));
        struct explain_tuple t;
        unsigned i;

        for (; e; e = sw_json_next(e)) {
                bool v4;

                if (!explain_tuple(e, &t) || t.denied)
                        continue;
                v4 = sw_addr_is_v4(&t.src);
                for (i = 0; i < to->n; i++)
                        if (to->items[i].outbound == t.outbound && to->items[i].v4 == v4 &&
                                to->items[i].proto == t.proto && sw_str_ieq(to->items[i].acl, t.acl))
                                break;
                if (i == EXPLAIN_RULES) {
                        to->n_left_out++;
                        continue;
                }
                if (i == to->n)
                        to->items[to->n++] = (struct explain_deny){
                                .acl = t.acl, .outbound = t.outbound, .v4 = v4, .proto = t.proto
                        };
                explain_deny_add(&to->items[i], &t);
        }
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

/* Azure knows these by name; any other is covered by the rule over all. */
static const char *explain_proto(const struct explain_deny *d)
{
        switch (d->proto) {
        case SW_PROTO_TCP:
                return "Tcp";
        case SW_PROTO_UDP:
                return "Udp";
        case SW_PROTO_ICMP:
                return "Icmp";
        case SW_PROTO_ESP:
                return "Esp";
        case SW_PROTO_AH:
                return "Ah";
        default:
                return "*";
        }
}

static void explain_ports(struct sw_buf *out, const struct explain_deny *d, bool bicep)
{
        unsigned i;

        if (d->n_ports == 0)
                sw_buf_puts(out, bicep ? "'*'" : " '*'");
        for (i = 0; i < d->n_ports; i++)
                sw_buf_printf(out, bicep ? "%s'%lld'" : "%s%lld", !bicep ? " " : i ? ", " : "", (long long)d->ports[i]);
}

static void explain_az(struct sw_buf *out, const struct explain_deny *d, const char *name, unsigned priority)
{
        sw_buf_puts(out, "  az network nsg rule create --resource-group ");
        explain_name(out, explain_part(d->acl, "/resourceGroups/"), "RESOURCE_GROUP");
        sw_buf_puts(out, " --nsg-name ");
        explain_name(out, explain_part(d->acl, "/networkSecurityGroups/"), "NSG");
        sw_buf_printf(out,
                " \\\n    --name %s --priority %u --direction %s --access Deny --protocol '%s' \\\n    "
                "--source-address-prefixes",
                name, priority, d->outbound ? "Outbound" : "Inbound", explain_proto(d));
        explain_addrs(out, d->src, d->n_src, false);
        sw_buf_puts(out, " --source-port-ranges '*' \\\n    --destination-address-prefixes");
        explain_addrs(out, d->dst, d->n_dst, false);
        sw_buf_puts(out, " --destination-port-ranges");
        explain_ports(out, d, false);
        sw_buf_putc(out, '\n');
}

/* A single port or '*' has a property of its own. */
static void explain_bicep(
        struct sw_buf *out, const struct explain_deny *d, const char *name, unsigned number, unsigned priority)
{
        sw_buf_printf(out,
                "  resource deny%u 'Microsoft.Network/networkSecurityGroups/securityRules@2023-11-01' = {\n"
                "    name: '",
                number);
        explain_name(out, explain_part(d->acl, "/networkSecurityGroups/"), "NSG");
        sw_buf_printf(out,
                "/%s'\n    properties: {\n      priority: %u\n      direction: '%s'\n      access: 'Deny'\n"
                "      protocol: '%s'\n      sourceAddressPrefixes: [",
                name, priority, d->outbound ? "Outbound" : "Inbound", explain_proto(d));
        explain_addrs(out, d->src, d->n_src, true);
        sw_buf_puts(out, "]\n      sourcePortRange: '*'\n      destinationAddressPrefixes: [");
        explain_addrs(out, d->dst, d->n_dst, true);
        sw_buf_puts(out, d->n_ports ? "]\n      destinationPortRanges: [" : "]\n      destinationPortRange: ");
        explain_ports(out, d, true);
        sw_buf_puts(out, d->n_ports ? "]\n    }\n  }\n" : "\n    }\n  }\n");
}

static void explain_deny(struct sw_buf *out, const struct explain_deny *d, struct sw_str uid, unsigned number)
{
        unsigned i, priority = 99 + number;
        char name[48];

        (void)snprintf(name, sizeof(name), "segwatch-%.*s-%u", uid.n < 8 ? (int)uid.n : 8, uid.p ? uid.p : "", number);
        if (strspn(name, "segwatch-0123456789abcdef") != strlen(name))
                (void)snprintf(name, sizeof(name), "segwatch-%u", number);
        sw_buf_puts(out, d->n_rules > 1 ? "\n  Rules " : "\n  Rule ");
        sw_buf_puts(out, d->n_rules ? "" : "(none named)");
        for (i = 0; i < d->n_rules; i++) {
                sw_buf_puts(out, i ? ", " : "");
                sw_term_put(out, d->rules[i]);
        }
        sw_buf_puts(out, " of ");
        sw_term_put(out, d->acl.n ? d->acl : SW_STR("(none named)"));
        sw_buf_puts(out, "\n");
        explain_more(out, d->n_left_out, d->n_left_out == 1 ? "connection" : "connections");
        if (strcmp(explain_proto(d), "*") == 0)
                sw_buf_printf(out, "  (Azure has no rule for protocol %lld alone: this one is over all protocols)\n",
                        (long long)d->proto);
        sw_buf_putc(out, '\n');
        explain_az(out, d, name, priority);
        sw_buf_putc(out, '\n');
        explain_bicep(out, d, name, number, priority);
}

void sw_explain_denies(struct sw_buf *out, const struct sw_json *f)
{
        struct explain_denies denies = { .n = 0 };
        struct sw_str uid = sw_json_str(sw_json_at(f, "finding_info.uid"));
        unsigned i;

        explain_collect(f, &denies);
        if (denies.n == 0) {
                sw_buf_puts(out, "\nThe network let nothing of it through.\n");
                return;
        }
        sw_buf_puts(out, "\nWhat let it through, and how to deny it (choose free priorities below that of the rule; "
                         "read before running)\n");
        for (i = 0; i < denies.n; i++)
                explain_deny(out, &denies.items[i], uid, i + 1);
        if (denies.n_left_out)
                sw_buf_puts(out, "\n");
        explain_more(out, denies.n_left_out, "connections let through by other rules");
}

/* ---- suppressions ---- */

/* What one detector said of the actor: to suppress that, and nothing else of it. */
struct explain_stanza {
        const struct sw_detector *detector;
        struct sw_str ends[EXPLAIN_MEMBERS]; /* segments, ranges or, n 0, the address beside */
        struct sw_addr addrs[EXPLAIN_MEMBERS];
        int64_t ports[EXPLAIN_MEMBERS];
        uint8_t protos[EXPLAIN_MEMBERS];
        unsigned n_ends, n_ports;
        bool any_end, any_service; /* it cannot be said narrowly */
};

static const struct sw_detector *explain_detector(struct sw_str name)
{
        unsigned i;

        for (i = 0; i < SW_N_DETECTORS; i++)
                if (sw_str_eq(name, sw_str_of(sw_detectors[i]->name)))
                        return sw_detectors[i];
        return NULL;
}

/* The name of a segment of the configuration, or the range of an implicit one; else the address itself: nobody wants
 * all of the Internet suppressed. */
static struct sw_str explain_end(struct sw_str zone)
{
        struct sw_prefix p;
        bool host_bits;

        if (zone.n > EXPLAIN_NAME || sw_str_eq(zone, SW_STR("internet")) || sw_str_eq(zone, SW_STR("unassigned")))
                return SW_STR_NULL;
        if (sw_prefix_parse(zone, &p, &host_bits) && !host_bits)
                return zone;
        return explain_part(zone, "").n == zone.n ? zone : SW_STR_NULL;
}

static void explain_stanza_add(struct explain_stanza *s, const struct explain_tuple *t)
{
        struct sw_str end = explain_end(t->zone);
        unsigned i;

        for (i = 0; i < s->n_ends; i++)
                if (end.n ? sw_str_eq(s->ends[i], end) : s->ends[i].n == 0 && sw_addr_cmp(&s->addrs[i], &t->dst) == 0)
                        break;
        if (i == EXPLAIN_MEMBERS) {
                s->any_end = true;
        } else if (i == s->n_ends) {
                s->ends[s->n_ends] = end;
                s->addrs[s->n_ends++] = t->dst;
        }
        for (i = 0; i < s->n_ports; i++)
                if (s->ports[i] == t->port && s->protos[i] == t->proto)
                        return;
        if (i == EXPLAIN_MEMBERS || t->port == 0 || !explain_has_ports(t->proto) || s->detector->many_ports) {
                s->any_service = true;
                return;
        }
        s->ports[s->n_ports] = t->port;
        s->protos[s->n_ports++] = (uint8_t)t->proto;
}

static unsigned explain_stanzas(const struct sw_json *f, const struct sw_addr *actor, struct explain_stanza *stanzas)
{
        const struct sw_json *e = sw_json_first(sw_json_at(f, "evidences"));
        struct explain_tuple t;
        unsigned n = 0, i;

        for (; e; e = sw_json_next(e)) {
                const struct sw_detector *d;

                if (!explain_tuple(e, &t) || sw_addr_cmp(&t.src, actor) != 0)
                        continue;
                d = explain_detector(t.detector);
                for (i = 0; i < n && stanzas[i].detector != d;)
                        i++;
                if (!d || i == EXPLAIN_STANZAS)
                        continue;
                if (i == n)
                        stanzas[n++] = (struct explain_stanza){ .detector = d };
                explain_stanza_add(&stanzas[i], &t);
        }
        return n;
}

static void explain_stanza(struct sw_buf *out, const struct explain_stanza *s, const char *actor)
{
        char text[SW_ADDR_TEXT];
        unsigned i;

        sw_buf_printf(out, "    detectors: [%s]\n    source: [\"%s\"]\n", s->detector->name, actor);
        if (!s->any_end) {
                sw_buf_puts(out, "    destination: [");
                for (i = 0; i < s->n_ends; i++) {
                        sw_buf_puts(out, i ? ", \"" : "\"");
                        if (s->ends[i].n)
                                sw_buf_put_str(out, s->ends[i]);
                        else
                                sw_buf_puts(out, sw_addr_format(&s->addrs[i], text));
                        sw_buf_putc(out, '"');
                }
                sw_buf_puts(out, "]\n");
        }
        if (!s->any_service && s->n_ports) {
                sw_buf_puts(out, "    services: [");
                for (i = 0; i < s->n_ports; i++)
                        sw_buf_printf(out, "%s%lld/%s", i ? ", " : "", (long long)s->ports[i],
                                s->protos[i] == SW_PROTO_TCP ? "tcp" : "udp");
                sw_buf_puts(out, "]\n");
        }
}

void sw_explain_suppression(struct sw_buf *out, const struct sw_json *f)
{
        struct explain_stanza stanzas[EXPLAIN_STANZAS];
        struct sw_str uid = explain_part(sw_json_str(sw_json_at(f, "finding_info.uid")), "");
        struct sw_etime end = { explain_i64(f, "end_time") }, last = { SW_ETIME_MAX_MS - EXPLAIN_KEEP_MS };
        struct sw_addr actor;
        char expires[SW_ETIME_TEXT], text[SW_ADDR_TEXT];
        unsigned n, i;

        if (!sw_addr_parse(sw_json_str(sw_json_at(f, "unmapped.actor")), &actor))
                return;
        n = explain_stanzas(f, &actor, stanzas);
        if (n == 0)
                return;
        end = sw_etime_min(sw_etime_max(end, (struct sw_etime){ SW_ETIME_MIN_MS }), last);
        (void)sw_etime_format(sw_etime_add(end, EXPLAIN_KEEP_MS), expires);
        sw_buf_printf(out,
                "\nIf this is known and wanted: for the file that `suppressions:` names, those that are meant. They "
                "keep back what the\nevidence shows of this actor and nothing else. `destination` never covers a "
                "signal of more than %u hosts: take that\nline out for a scanner.\n\n",
                (unsigned)SW_SIGNAL_TARGETS);
        for (i = 0; i < n; i++) {
                sw_buf_puts(out, "  - id: known-");
                sw_buf_put_str(out, uid.n > 8 ? (struct sw_str){ uid.p, 8 } : uid);
                sw_buf_printf(out,
                        "-%u\n    reason: WHY NOBODY NEEDS TO HEAR OF IT\n    owner: WHO ANSWERS FOR IT\n"
                        "    expires: %.10s\n",
                        i + 1, expires);
                explain_stanza(out, &stanzas[i], sw_addr_format(&actor, text));
        }
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What verbs print about findings and answers of the daemon. */
#include "base/json.h"
#include "cmd/ctl_text.h"
#include "cmd/explain_text.h"
#include "cmd/finding_text.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Single quotes become double ones. */
static char *quoted(const char *z)
{
        char *p = strdup(z), *q;

        for (q = p; *q; q++)
                *q = *q == '\'' ? '"' : *q;
        return p;
}

static struct sw_json *json(const char *z)
{
        char *p = quoted(z);
        struct sw_json *j = sw_json_parse(sw_str_of(p));

        cr_assert(j, "no JSON: %s", p);
        free(p);
        return j;
}

static const char *text_of(struct sw_buf *b)
{
        sw_buf_putc(b, '\0');
        cr_assert_not(b->failed);
        return b->p;
}

/* ---- lines of findings ---- */

#define LINE                                                                                                           \
        "{'class_uid':2004,'time':1767225600123,'severity_id':4,'risk_score':81,'activity_id':1,'message':'Ten "       \
        "hosts',"                                                                                                      \
        "'finding_info':{'uid':'0123456789abcdef','title':'Scan','attacks':[{'technique':{'uid':'T1046'}},{},"         \
        "{'technique':{'uid':'T1021'}}]},'unmapped':{'actor':'10.1.0.5','segment_src':'web','segment_dst':'db',"       \
        "'compromised':['10.1.0.6']},'evidences':[{'src_endpoint':{'ip':'10.1.0.7'}}]}"

static const char *shown(struct sw_buf *b, const char *line, enum sw_finding_format format, bool color)
{
        const struct sw_finding_style style = { .format = format, .color = color, .terminal = color };
        char *p = quoted(line);

        sw_buf_reset(b);
        sw_finding_line(b, sw_str_of(p), &style);
        free(p);
        return text_of(b);
}

Test(cmd_text, a_finding_in_one_line)
{
        struct sw_buf b = SW_BUF_NULL;

        cr_assert_str_eq(shown(&b, LINE, SW_FINDING_COMPACT, false),
                "2026-01-01T00:00:00Z HIGH      81 new    Ten hosts (web -> db) [T1046 T1021] 01234567\n");
        cr_assert(strstr(shown(&b, LINE, SW_FINDING_COMPACT, true), "\x1b[1;31mHIGH    \x1b[0m"));
        cr_assert_str_eq(
                shown(&b,
                        "{'class_uid':2004,'severity_id':9,'activity_id':7,'finding_info':{'title':'only a title',"
                        "'uid':'abc'}}",
                        SW_FINDING_COMPACT, false),
                "2001-01-01T00:00:00Z OTHER      0 other  only a title () abc\n");
        cr_assert(strstr(
                shown(&b, "{'severity_id':-1,'activity_id':2}", SW_FINDING_COMPACT, false), "OTHER      0 update"));
        cr_assert(strstr(shown(&b, "{'severity_id':0,'activity_id':3}", SW_FINDING_COMPACT, true),
                "UNKNOWN \x1b[0m   0 closed"));
        cr_assert(strstr(shown(&b, "{'severity_id':77,'unmapped':{'segment_src':'a','segment_dst':'a'}}",
                                 SW_FINDING_COMPACT, true),
                "(a)"));
        cr_assert(strstr(shown(&b, "{'finding_info':{'modified_time':99999999999999}}", SW_FINDING_COMPACT, false),
                          "2001-01-01T00:00:00Z "),
                "a time that cannot be is shown as the lowest");
        sw_buf_deinit(&b);
}

Test(cmd_text, findings_as_a_table)
{
        const struct sw_finding_style table = { .format = SW_FINDING_TABLE },
                                      compact = { .format = SW_FINDING_COMPACT };
        struct sw_buf b = SW_BUF_NULL;

        sw_finding_header(&b, &compact);
        cr_assert_eq(b.n, 0);
        sw_finding_header(&b, &table);
        cr_assert(strstr(text_of(&b), "TIME                  SEVERITY  RISK  STATE   ACTOR            SEGMENTS"));
        cr_assert_str_eq(shown(&b, LINE, SW_FINDING_TABLE, false),
                "2026-01-01T00:00:00Z  HIGH        81  new     10.1.0.5         web -> db                 Scan\n");
        cr_assert(strstr(shown(&b, LINE, SW_FINDING_TABLE, true), "\x1b[1;31m2026-"));
        cr_assert(strstr(shown(&b, "{'unmapped':{'actor':7}}", SW_FINDING_TABLE, false), "UNKNOWN      0  other"));
        sw_buf_deinit(&b);
}

Test(cmd_text, json_for_a_terminal_is_escaped_and_for_a_pipe_as_it_is)
{
        struct sw_buf b = SW_BUF_NULL;

        cr_assert_str_eq(shown(&b, "{'a':'\x7f'}", SW_FINDING_JSON, false), "{\"a\":\"\x7f\"}\n");
        cr_assert_null(strchr(shown(&b, "{'a':'\x7f'}", SW_FINDING_JSON, true), 0x7f));
        sw_buf_deinit(&b);
}

static int match(const char *line, const struct sw_finding_filter *f)
{
        char *p = quoted(line);
        int r = sw_finding_match(sw_str_of(p), f);

        free(p);
        return r;
}

Test(cmd_text, filters_of_findings)
{
        struct sw_finding_filter f = { .since = SW_ETIME_NONE };

        cr_assert_eq(match(LINE, &f), SW_FINDING_MATCHES);
        cr_assert_eq(match("nonsense", &f), SW_FINDING_INVALID);
        cr_assert_eq(match("{'class_uid':2005}", &f), SW_FINDING_INVALID);
        cr_assert_eq(match("{'class_uid':'2004'}", &f), SW_FINDING_INVALID);
        f.since.ms = INT64_C(1767225600123);
        cr_assert_eq(match(LINE, &f), SW_FINDING_MATCHES, "at that time, which is within");
        f.since.ms++;
        cr_assert_eq(match(LINE, &f), SW_FINDING_NO_MATCH);
        f.since = SW_ETIME_NONE;
        f.severity = SW_SEVERITY_HIGH;
        cr_assert_eq(match(LINE, &f), SW_FINDING_MATCHES);
        f.severity = SW_SEVERITY_CRITICAL;
        cr_assert_eq(match(LINE, &f), SW_FINDING_NO_MATCH);
        f.severity = SW_SEVERITY_INFO;
        f.has_src = true;
        cr_assert(sw_prefix_parse(SW_STR("10.1.0.5/32"), &f.src, NULL));
        cr_assert_eq(match(LINE, &f), SW_FINDING_MATCHES, "the actor");
        cr_assert(sw_prefix_parse(SW_STR("10.1.0.6"), &f.src, NULL));
        cr_assert_eq(match(LINE, &f), SW_FINDING_MATCHES, "a compromised host");
        cr_assert(sw_prefix_parse(SW_STR("10.1.0.7"), &f.src, NULL));
        cr_assert_eq(match(LINE, &f), SW_FINDING_MATCHES, "a source of the evidence");
        cr_assert(sw_prefix_parse(SW_STR("10.2.0.0/16"), &f.src, NULL));
        cr_assert_eq(match(LINE, &f), SW_FINDING_NO_MATCH);
}

Test(cmd_text, names_of_severities)
{
        enum sw_severity s;

        cr_assert(sw_finding_severity(SW_STR("LOW"), &s) && s == SW_SEVERITY_LOW);
        cr_assert(sw_finding_severity(SW_STR("medium"), &s) && s == SW_SEVERITY_MEDIUM);
        cr_assert(sw_finding_severity(SW_STR("High"), &s) && s == SW_SEVERITY_HIGH);
        cr_assert(sw_finding_severity(SW_STR("critical"), &s) && s == SW_SEVERITY_CRITICAL);
        cr_assert(sw_finding_severity(SW_STR("info"), &s) && s == SW_SEVERITY_INFO);
        cr_assert_not(sw_finding_severity(SW_STR("hihg"), &s));
        cr_assert_not(sw_finding_severity(SW_STR(""), &s));
}

/* ---- a finding explained ---- */

static const char *explained(struct sw_buf *b, const char *finding)
{
        struct sw_json *j = json(finding);

        sw_buf_reset(b);
        sw_explain(b, j);
        sw_json_free(j);
        return text_of(b);
}

#define EVIDENCE(src, dst, port, proto, more)                                                                          \
        "{'src_endpoint':{'ip':'" src "','port':50000},'dst_endpoint':{'ip':'" dst "','port':" port "},"               \
        "'connection_info':{'protocol_num':" proto ",'protocol_name':'p'},'data':{" more "}}"
#define NSG "'acl_id':'/subscriptions/s/resourceGroups/rg-1/providers/Microsoft.Network/networkSecurityGroups/nsg_web'"

Test(cmd_text, what_let_it_through_becomes_one_rule_per_group_direction_family_and_protocol)
{
        struct sw_buf b = SW_BUF_NULL;
        const char
                *t =
                        explained(&b,
                                "{'finding_info':{'uid':'0123456789abcdef','title':'T','desc':'first\\nsecond\\n'},'"
                                "evidences':"
                                "[" EVIDENCE("10.1.0.5", "10.2.0.1", "22", "6",
                                        NSG ",'rule':'allow-all','outcome':'ok','logged':'inbound','detector':'pivot_"
                                            "chain'") "," EVIDENCE("10.1.0.5", "10.2.0.2", "22", "17",
                                        NSG
                                        ",'rule':'allow-all','outcome':'ok','logged':'inbound'") "," EVIDENCE("10.1.0."
                                                                                                              "5",
                                        "10.2.0.3", "22", "6",
                                        NSG ",'rule':'other','outcome':'ok','logged':'inbound','detector':'pivot;"
                                            "chain'") "," EVIDENCE("10.1.0.5", "10.2.0.2", "3389", "6",
                                        NSG ",'rule':'out','outcome':'ok','logged':'outbound'") "," EVIDENCE("10.1.0.5",
                                        "10.2.0.3", "445", "6", NSG ",'outcome':'denied'") "," EVIDENCE("10.1.0.5",
                                        "10.2.0.3", "99999", "6", NSG ",'outcome':'ok'") "," EVIDENCE("10.1.0.5",
                                        "10.2.0.3", "-1", "6", NSG ",'outcome':'ok'") "," EVIDENCE("nowhere",
                                        "10.2.0.3", "22", "6", NSG ",'outcome':'ok'") "," EVIDENCE("10.1.0.5", "", "22",
                                        "6", NSG ",'outcome':'ok'") "," EVIDENCE("10.1.0.5", "fd00::6", "22", "6",
                                        NSG ",'outcome':'ok'") "," EVIDENCE("fd00::5", "fd00::6", "8", "1",
                                        "'outcome':'ok'") "],"
                                                          "'unmapped':{'actor':'10.1.0.5','detectors':['pivot_chain','"
                                                          "pivot;chain']"
                                                          ",'compromised':['10.1.0.5']},"
                                                          "'end_time':1767225600000}");

        cr_assert(strstr(t, "\n  first\n  second\n\nEvidence\n"));
        cr_assert(strstr(t, "--resource-group rg-1 --nsg-name nsg_web"));
        cr_assert(strstr(t, "\n  Rules allow-all, other of /subscriptions/s/"));
        cr_assert(strstr(
                t, "--name segwatch-01234567-1 --priority 100 --direction Inbound --access Deny --protocol 'Tcp'"));
        cr_assert(strstr(t, "--source-address-prefixes 10.1.0.5 --source-port-ranges '*'"));
        cr_assert(strstr(t, "--destination-address-prefixes 10.2.0.1 10.2.0.3 --destination-port-ranges 22\n"));
        cr_assert(strstr(
                t, "--name segwatch-01234567-2 --priority 101 --direction Inbound --access Deny --protocol 'Udp'"));
        cr_assert(strstr(
                t, "--name segwatch-01234567-3 --priority 102 --direction Outbound --access Deny --protocol 'Tcp'"));
        cr_assert(strstr(t, "--resource-group RESOURCE_GROUP --nsg-name NSG"), "an evidence that names no group");
        cr_assert(strstr(t, "--protocol 'Icmp'"));
        cr_assert(strstr(t, "--destination-address-prefixes fd00::6 --destination-port-ranges '*'\n"));
        cr_assert(strstr(t, "\n  Rule (none named) of (none named)\n"));
        cr_assert(strstr(t, "resource deny1 ") && strstr(t, "resource deny4 "));
        cr_assert(strstr(t, "name: 'nsg_web/segwatch-01234567-1'"));
        cr_assert(strstr(t, "destinationAddressPrefixes: ['10.2.0.1', '10.2.0.3']"));
        cr_assert(strstr(t, "destinationPortRanges: ['22']"));
        cr_assert(strstr(t, "destinationPortRange: '*'\n"));
        cr_assert_null(strstr(t, "segwatch-01234567-5"));
        cr_assert(strstr(t, "  - id: known-01234567-1\n"));
        cr_assert(strstr(t, "expires: 2026-01-31\n"));
        cr_assert(
                strstr(t, "    detectors: [pivot_chain]\n    source: [\"10.1.0.5\"]\n    destination: [\"10.2.0.1\"]\n"
                          "    services: [22/tcp]\n"));
        cr_assert_null(strstr(t, "known-01234567-2"), "what is no detector is not copied into a file");
        sw_buf_deinit(&b);
}

Test(cmd_text, names_that_could_break_out_of_a_command_are_left_out)
{
        struct sw_buf b = SW_BUF_NULL;
        const char *t = explained(
                &b, "{'finding_info':{'uid':'$(reboot)'},'evidences':[" EVIDENCE("10.1.0.5", "10.2.0.1", "53", "17",
                            "'acl_id':'/resourceGroups/a b/networkSecurityGroups/x;y','outcome':'ok'") "]}");

        cr_assert(strstr(t, "--resource-group RESOURCE_GROUP --nsg-name NSG"));
        cr_assert(strstr(t, "--name segwatch-1 "));
        cr_assert(strstr(t, "--protocol 'Udp'"));
        cr_assert_null(strstr(t, "If this is known and wanted"), "without an actor nothing to suppress");
        sw_buf_deinit(&b);
}

/* More of everything than is shown. */
Test(cmd_text, what_is_too_much_to_show_is_cut)
{
        struct sw_buf f = SW_BUF_NULL, b = SW_BUF_NULL;
        unsigned i, n_rules = 0;
        const char *t, *at;

        sw_buf_puts(&f, "{'finding_info':{'uid':'abc'},'unmapped':{'targets':[");
        for (i = 0; i < 20; i++)
                sw_buf_printf(&f, "%s'10.3.0.%u'", i ? "," : "", i);
        sw_buf_puts(&f, "]},'evidences':[");
        for (i = 0; i < 20; i++)
                sw_buf_printf(&f,
                        "%s{'src_endpoint':{'ip':'10.1.0.%u'},'dst_endpoint':{'ip':'10.2.0.1','port':%u},"
                        "'connection_info':{'protocol_num':6},'data':{'acl_id':'/networkSecurityGroups/one','outcome':'ok'}}",
                        i ? "," : "", i, 1000 + i);
        for (i = 0; i < 10; i++)
                sw_buf_printf(&f,
                        ",{'src_endpoint':{'ip':'10.1.0.1'},'dst_endpoint':{'ip':'10.2.0.1','port':1},"
                        "'data':{'acl_id':'/networkSecurityGroups/n%u','outcome':'ok'}}",
                        i);
        sw_buf_puts(&f, "]}");
        t = explained(&b, text_of(&f));
        cr_assert(strstr(t, "10.3.0.15, ...\n"));
        cr_assert_null(strstr(t, "10.3.0.16"));
        cr_assert(strstr(t, "  ... more in the line itself\n"));
        cr_assert(strstr(t, " 1015\n"));
        cr_assert_null(strstr(t, "1016\n"));
        for (at = t; (at = strstr(at, "az network nsg rule create")); at++)
                n_rules++;
        cr_assert_eq(n_rules, 8);
        cr_assert(strstr(t, "(4 more connections than fit: see the line itself)"));
        cr_assert(strstr(t, "(3 more connections let through by other rules than fit: see the line itself)"));
        sw_buf_deinit(&f);
        sw_buf_deinit(&b);
}

Test(cmd_text, nothing_let_through_and_health)
{
        struct sw_buf b = SW_BUF_NULL;

        cr_assert(strstr(explained(&b, "{'unmapped':{'actor':'10.0.0.1'}}"), "The network let nothing of it through."));
        cr_assert_null(strstr(explained(&b, "{'unmapped':{'kind':'health'}}"), "let nothing of it through"));
        cr_assert(strstr(explained(&b, "{'start_time':1,'end_time':99999999999999999}"), "Time          to \n"),
                "times that cannot be are left out");
        sw_buf_deinit(&b);
}

Test(cmd_text, which_finding_an_id_names)
{
        struct sw_json *j = json("{'finding_info':{'uid':'0123abcd'},'metadata':{'uid':'ffff0000'}}");

        cr_assert(sw_explain_is(j, SW_STR("0123")));
        cr_assert(sw_explain_is(j, SW_STR("0123ABCD")));
        cr_assert(sw_explain_is(j, SW_STR("ffff")));
        cr_assert_not(sw_explain_is(j, SW_STR("123a")));
        cr_assert_not(sw_explain_is(j, SW_STR("0123abcd0")));
        cr_assert_not(sw_explain_is(j, SW_STR("")));
        cr_assert_null(sw_explain_uid(NULL).p);
        sw_json_free(j);
}

/* ---- answers of the daemon ---- */

static const char *duration(struct sw_buf *b, int64_t ms)
{
        sw_buf_reset(b);
        sw_ctl_duration(b, ms);
        return text_of(b);
}

static const char *bytes(struct sw_buf *b, int64_t n)
{
        sw_buf_reset(b);
        sw_ctl_bytes(b, n);
        return text_of(b);
}

Test(cmd_text, durations_and_sizes_at_their_edges)
{
        struct sw_buf b = SW_BUF_NULL;

        cr_assert_str_eq(duration(&b, -1), "unknown");
        cr_assert_str_eq(duration(&b, 0), "0.0 s");
        cr_assert_str_eq(duration(&b, 9999), "9.9 s");
        cr_assert_str_eq(duration(&b, 10000), "10 s");
        cr_assert_str_eq(duration(&b, 59999), "59 s");
        cr_assert_str_eq(duration(&b, 60000), "1 m 0 s");
        cr_assert_str_eq(duration(&b, 3599999), "59 m 59 s");
        cr_assert_str_eq(duration(&b, 3600000), "1 h 0 m");
        cr_assert_str_eq(duration(&b, 86399999), "23 h 59 m");
        cr_assert_str_eq(duration(&b, 86400000), "1 d 0 h");
        cr_assert_str_eq(bytes(&b, -1), "unknown");
        cr_assert_str_eq(bytes(&b, 0), "0 B");
        cr_assert_str_eq(bytes(&b, 1023), "1023 B");
        cr_assert_str_eq(bytes(&b, 1024), "1.0 KiB");
        cr_assert_str_eq(bytes(&b, 1536), "1.5 KiB");
        cr_assert_str_eq(bytes(&b, INT64_C(1) << 40), "1.0 TiB");
        cr_assert_str_eq(bytes(&b, INT64_C(5000) << 40), "5000.0 TiB");
        cr_assert(strstr(bytes(&b, INT64_MAX), " TiB"));
        sw_buf_deinit(&b);
}

static const char *status(struct sw_buf *b, const char *answer)
{
        struct sw_json *j = json(answer);

        sw_buf_reset(b);
        sw_ctl_status(b, j);
        sw_json_free(j);
        return text_of(b);
}

Test(cmd_text, a_status_with_everything_that_can_be_wrong)
{
        struct sw_buf b = SW_BUF_NULL;
        const char *t = status(&b,
                "{'version':'1','pid':7,'uptime_ms':90000,'state':'degraded','reasons':['disk','\\u001b[31m'],"
                "'watermark':'2026','sources':[{'name':'a','state':'reading','lag_bytes':2048,'behind_ms':61000,"
                "'partitions_left_behind':2,'partitions':4,'partitions_at_end':1,'records_per_s':9,'errors':0,"
                "'last_record':'x'},{'lag_messages':5},{'name':'c'}],"
                "'learning':{'segments':2,'until':'2027','silent':['D06','D07']},"
                "'sinks':[{'name':'s','state':'up','waiting_rows':3},{'name':'t','state':'down','reason':'no \\u0007',"
                "'failing_ms':1000}],'disk':{'state_free_bytes':1},'memory':{'used_bytes':1,'evicting':['hosts']},"
                "'findings':{'total':3,'last_hour':2,'incidents_open':1,'quarantined':4,'recent':[{'time':'t1'},"
                "{'time':'t2','severity':'high','activity':'new','message':'m'}]},"
                "'config':{'last_reload_ok':false,'last_reload_errors':2,'needs_restart':'memory.limit'},"
                "'snapshot':{'age_ms':5000,'bytes':1048576}}");

        cr_assert(strstr(t, "segwatch 1, pid 7, up 1 m 30 s: degraded\n  ! disk\n"));
        cr_assert_null(strchr(t, 0x1b));
        cr_assert_null(strchr(t, 0x07));
        cr_assert(strstr(t, "2.0 KiB"));
        cr_assert(strstr(t, "1/4 (2 left)"));
        cr_assert(strstr(t, "2 segments until 2027; silent there: D06, D07\n"));
        cr_assert(strstr(t, "s up (3 wait), t down\n"));
        cr_assert(strstr(t, "  ! t takes nothing since 1.0 s: no "));
        cr_assert(strstr(t, "entries lost from: hosts\n"));
        cr_assert(strstr(t, "THE LAST RELOAD FAILED with 2 errors; a restart is needed for memory.limit"));
        cr_assert(strstr(t, "snapshot   5.0 s old, 1.0 MiB"));
        cr_assert(strstr(t, "NEWEST FINDINGS\n"));
        sw_buf_deinit(&b);
}

Test(cmd_text, a_status_with_nothing_in_it)
{
        struct sw_buf b = SW_BUF_NULL;
        const char *t = status(&b, "{'learning':{'segments':1,'silent':[]},'config':{'last_reload_ok':true}}");

        cr_assert(strstr(t, "segwatch ?, pid 0, up unknown\n"));
        cr_assert(strstr(t, "1 segment until ?; silent there: nobody\n"));
        cr_assert(strstr(t, "entries lost from: no table\n"));
        cr_assert(strstr(t, "snapshot   none yet"));
        cr_assert_null(strstr(t, "RELOAD"));
        cr_assert_null(strstr(t, "NEWEST"));
        cr_assert(strstr(status(&b, "{}"), "no segment\n"));
        sw_buf_deinit(&b);
}

Test(cmd_text, statistics_of_tables_and_pairs)
{
        struct sw_buf b = SW_BUF_NULL;
        struct sw_json *j =
                json("{'engine':{'records':5,'odd':'x'},'tables':[{'name':'hosts','entries':3,'bytes':10,"
                     "'limit_bytes':20,'evicted':1},{}],'top_pairs':[{'from':'a-name-that-is-wider-than-its-"
                     "column','to':'\xc3\xa4','flows_allowed':1,'sources':2},{},{},{}]}");
        const char *t;

        sw_ctl_stats(&b, j);
        t = text_of(&b);
        cr_assert(strstr(t, "  records                  5\n"));
        cr_assert(strstr(t, "  odd                      -\n"));
        cr_assert(strstr(t, "a-name-that-is-wider-than-its-column \xc3\xa4 "));
        sw_buf_reset(&b);
        sw_ctl_pairs(&b, j, 1);
        t = text_of(&b);
        cr_assert_eq(strchr(strchr(t, '\n') + 1, '\n')[1], '\0', "one row");
        sw_json_free(j);
        sw_buf_deinit(&b);
}

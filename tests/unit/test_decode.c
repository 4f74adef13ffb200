/* SPDX-License-Identifier: Apache-2.0 */
#include "decode/record.h"
#include "decode_kit.h"

#include <libdeflate.h>

#define GOOD "'1663146003599,10.0.0.6,192.0.2.180,23956,443,6,O,B,NX,0,0,0,0'"

Test(decode, reads_every_field_of_a_vnet_tuple)
{
        struct kit k;

        KIT_BOTH(k)
        {
                struct sw_tuple *t;

                kit_decode(
                        &k, "{'records':[" VNET(
                                    "'1663146003606,10.0.0.6,fd00::1,23956,443,6,O,E,NX_FALLBACK,3,767,,1580'") "]}");
                cr_assert_eq(k.b.n_records, 1);
                cr_assert_eq(k.b.n_tuples, 1);
                t = k.b.tuples;
                cr_assert_eq(t->time.ms, 1663146003606);
                cr_assert_eq(t->src.b[15], 6);
                cr_assert_eq(t->dst.b[0], 0xfd);
                cr_assert_eq(t->sport, 23956);
                cr_assert_eq(t->dport, 443);
                cr_assert_eq(t->proto, 6);
                cr_assert_eq(t->direction, SW_OUTBOUND);
                cr_assert_eq(t->state, SW_STATE_END);
                cr_assert_eq(t->encryption, SW_ENCRYPTION_NX_FALLBACK);
                cr_assert_eq(t->counters[SW_PACKETS_FWD], 3);
                cr_assert_eq(t->counters[SW_BYTES_FWD], 767);
                cr_assert_eq(t->counters[SW_PACKETS_REV], 0);
                cr_assert_eq(t->counters[SW_BYTES_REV], 1580);
                cr_assert_eq(t->counters_present, 0xb);
                cr_assert(sw_str_eq(k.b.rules[t->rule].acl, SW_STR("/nsg")));
                cr_assert(sw_str_eq(k.b.rules[t->rule].name, SW_STR("UserRule_x")));
                cr_assert_eq(k.b.newest.ms, 1663146003606);
        }
}

Test(decode, reads_the_head_of_a_record)
{
        struct kit k;

        KIT_BOTH(k)
        {
                struct sw_record *r;

                kit_decode(&k, "  " VNET(GOOD));
                cr_assert_eq(k.b.n_records, 1);
                r = k.b.records;
                cr_assert_eq(r->kind, SW_KIND_VNET);
                cr_assert_eq(r->version, 4);
                cr_assert_eq(r->mac, 0x0022487bc205);
                cr_assert_eq(r->offset, 2);
                cr_assert(sw_str_eq(r->flow_log, SW_STR("/SUB/FL")));
                cr_assert(sw_str_eq(r->target, SW_STR("/sub/vnet")));
                cr_assert_eq(r->time.ms, 1733976053123);
                cr_assert_eq(r->n_tuples, 1);
        }
}

Test(decode, empty_counter_text_is_absent_and_zero_is_present)
{
        struct kit k;

        KIT_BOTH(k)
        {
                kit_decode(&k, VNET("'1708978215,203.0.113.105,10.0.0.5,35370,23,6,I,B,NX,,,,',"
                                    "'1708978215000,203.0.113.105,10.0.0.5,35370,23,6,I,B,NX,0,0,0,0'"));
                cr_assert_eq(k.b.n_tuples, 2);
                cr_assert_eq(k.b.tuples[0].counters_present, 0);
                cr_assert_eq(k.b.tuples[1].counters_present, 0xf);
                cr_assert_eq(k.b.tuples[0].time.ms, k.b.tuples[1].time.ms, "seconds and milliseconds");
        }
}

/* The bandwidth example of both Microsoft articles. */
Test(decode, adds_up_the_bandwidth_example)
{
        struct kit k;
        static const char *const messages[] = {
                VNET("'1708978215,203.0.113.105,10.0.0.5,35370,23,6,I,B,NX,,,,',"
                     "'1708978215,203.0.113.105,10.0.0.5,35370,23,6,I,C,NX,1021,588096,8005,4610880',"
                     "'1708978215,203.0.113.105,10.0.0.5,35370,23,6,I,E,NX,52,29952,47,27072'"),
                NSG("2", "'1708978215,203.0.113.105,10.0.0.5,35370,443,T,I,A,B,,,,',"
                         "'1708978215,203.0.113.105,10.0.0.5,35370,443,T,I,A,C,1021,588096,8005,4610880',"
                         "'1708978215,203.0.113.105,10.0.0.5,35370,443,T,I,A,E,52,29952,47,27072'"),
        };

        KIT_BOTH(k)
        {
                unsigned m, i;

                for (m = 0; m < 2; m++) {
                        uint64_t packets = 0, bytes = 0;

                        kit_decode(&k, messages[m]);
                        cr_assert_eq(k.b.n_tuples, 3);
                        for (i = 0; i < 3; i++) {
                                packets +=
                                        k.b.tuples[i].counters[SW_PACKETS_FWD] + k.b.tuples[i].counters[SW_PACKETS_REV];
                                bytes += k.b.tuples[i].counters[SW_BYTES_FWD] + k.b.tuples[i].counters[SW_BYTES_REV];
                        }
                        cr_assert_eq(packets, 9125);
                        cr_assert_eq(bytes, 5256000);
                }
        }
}

Test(decode, knows_the_states_of_nsg_logs)
{
        struct kit k;

        KIT_BOTH(k)
        {
                kit_decode(&k, NSG("2", "'1724090369,35.203.211.209,10.1.0.4,55740,38405,T,I,D,B,,,,',"
                                        "'1724090369,35.203.211.209,10.1.0.4,55740,53,U,O,A,C,1,99,1,167',"
                                        "'1724090369,35.203.211.209,10.1.0.4,55740,53,U,O,D,,,,,'"));
                cr_assert_eq(k.b.n_tuples, 3);
                cr_assert_eq(k.b.tuples[0].state, SW_STATE_DENIED);
                cr_assert_eq(k.b.tuples[0].flags, 0);
                cr_assert_eq(k.b.tuples[1].state, SW_STATE_CONTINUE);
                cr_assert_eq(k.b.tuples[1].proto, 17);
                cr_assert_eq(k.b.tuples[1].direction, SW_OUTBOUND);
                cr_assert_eq(k.b.tuples[1].encryption, SW_ENCRYPTION_NONE);
                cr_assert_eq(k.b.tuples[2].state, SW_STATE_DENIED);
                cr_assert_eq(k.b.records[0].mac, 0x6045bdec2532);
                kit_decode(&k, NSG("1", "'1487282421,192.0.2.95,10.1.0.4,51529,5358,T,I,D',"
                                        "'1487282370,192.0.2.17,10.1.0.4,61771,3389,T,I,A'"));
                cr_assert_eq(k.b.n_tuples, 2);
                cr_assert_eq(k.b.tuples[0].state, SW_STATE_DENIED);
                cr_assert_eq(k.b.tuples[0].flags, 0);
                cr_assert_eq(k.b.tuples[1].state, SW_STATE_BEGIN);
                cr_assert_eq(k.b.tuples[1].flags, SW_TUPLE_STATELESS);
        }
}

Test(decode, knows_every_encryption_token)
{
        static const struct {
                const char *token;
                enum sw_encryption want;
        } rows[] = { { "X", SW_ENCRYPTION_ENCRYPTED }, { "NX", SW_ENCRYPTION_NX },
                { "NX_HW_NOT_SUPPORTED", SW_ENCRYPTION_NX_HW_NOT_SUPPORTED },
                { "NX_SW_NOT_READY", SW_ENCRYPTION_NX_SW_NOT_READY },
                { "NX_NOT_ACCEPTED", SW_ENCRYPTION_NX_NOT_ACCEPTED },
                { "NX_NOT_SUPPORTED", SW_ENCRYPTION_NX_NOT_SUPPORTED }, { "NX_LOCAL_DST", SW_ENCRYPTION_NX_LOCAL_DST },
                { "NX_FALLBACK", SW_ENCRYPTION_NX_FALLBACK }, { "NX_ALL", SW_ENCRYPTION_OTHER },
                { "nx", SW_ENCRYPTION_OTHER }, { "", SW_ENCRYPTION_NONE } };
        struct kit k;

        KIT_BOTH(k)
        {
                size_t i;

                for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
                        char z[1024];

                        (void)snprintf(z, sizeof(z), VNET("'1663146003599,10.0.0.6,10.0.0.7,1,2,6,O,B,%s,,,,'"),
                                rows[i].token);
                        kit_decode(&k, z);
                        cr_assert_eq(k.b.n_tuples, 1);
                        cr_assert_eq(k.b.tuples[0].encryption, rows[i].want, "%s", rows[i].token);
                }
        }
}

Test(decode, a_bad_tuple_is_counted_and_its_siblings_live)
{
        static const struct {
                const char *tuple;
                enum sw_reason reason;
        } rows[] = {
                { "", SW_REASON_TUPLE_FIELDS },
                { "1663146003599,10.0.0.6,192.0.2.180,23956,443,6,O,B,NX,0,0,0", SW_REASON_TUPLE_FIELDS },
                { "1663146003599,10.0.0.6,192.0.2.180,23956,443,6,O,B,NX,0,0,0,0,0", SW_REASON_TUPLE_FIELDS },
                { "1663146003599,10.0.0.6,192.0.2.180,23956,443,6,O,B", SW_REASON_TUPLE_FIELDS },
                { ",10.0.0.6,192.0.2.180,23956,443,6,O,B,NX,0,0,0,0", SW_REASON_TUPLE_TIME },
                { "978307199,10.0.0.6,192.0.2.180,23956,443,6,O,B,NX,0,0,0,0", SW_REASON_TUPLE_TIME },
                { "4102444800000,10.0.0.6,192.0.2.180,23956,443,6,O,B,NX,0,0,0,0", SW_REASON_TUPLE_TIME },
                { "16631460035x9,10.0.0.6,192.0.2.180,23956,443,6,O,B,NX,0,0,0,0", SW_REASON_TUPLE_TIME },
                { "-663146003599,10.0.0.6,192.0.2.180,23956,443,6,O,B,NX,0,0,0,0", SW_REASON_TUPLE_TIME },
                { "1663146003599,10.0.0.256,192.0.2.180,23956,443,6,O,B,NX,0,0,0,0", SW_REASON_TUPLE_ADDRESS },
                { "1663146003599,10.0.0.06,192.0.2.180,23956,443,6,O,B,NX,0,0,0,0", SW_REASON_TUPLE_ADDRESS },
                { "1663146003599,10.0.0.6,,23956,443,6,O,B,NX,0,0,0,0", SW_REASON_TUPLE_ADDRESS },
                { "1663146003599,10.0.0.6,[fd00::1],23956,443,6,O,B,NX,0,0,0,0", SW_REASON_TUPLE_ADDRESS },
                { "1663146003599,10.0.0.6,192.0.2.180,65536,443,6,O,B,NX,0,0,0,0", SW_REASON_TUPLE_PORT },
                { "1663146003599,10.0.0.6,192.0.2.180,1,,6,O,B,NX,0,0,0,0", SW_REASON_TUPLE_PORT },
                { "1663146003599,10.0.0.6,192.0.2.180,1,2,256,O,B,NX,0,0,0,0", SW_REASON_TUPLE_PROTOCOL },
                { "1663146003599,10.0.0.6,192.0.2.180,1,2,T,O,B,NX,0,0,0,0", SW_REASON_TUPLE_PROTOCOL },
                { "1663146003599,10.0.0.6,192.0.2.180,1,2,6,X,B,NX,0,0,0,0", SW_REASON_TUPLE_STATE },
                { "1663146003599,10.0.0.6,192.0.2.180,1,2,6,O,b,NX,0,0,0,0", SW_REASON_TUPLE_STATE },
                { "1663146003599,10.0.0.6,192.0.2.180,1,2,6,O,,NX,0,0,0,0", SW_REASON_TUPLE_STATE },
                { "1663146003599,10.0.0.6,192.0.2.180,1,2,6,O,B,NX,0,0,0,x", SW_REASON_TUPLE_COUNTER },
                { "1663146003599,10.0.0.6,192.0.2.180,1,2,6,O,B,NX,-1,0,0,0", SW_REASON_TUPLE_COUNTER },
                { "1663146003599,10.0.0.6,192.0.2.180,1,2,6,O,B,NX,18446744073709551616,0,0,0",
                        SW_REASON_TUPLE_COUNTER },
        };
        struct kit k;

        KIT_BOTH(k)
        {
                size_t i;

                for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
                        char z[2048];

                        (void)snprintf(z, sizeof(z), "{'records':[" VNET(GOOD ",'%s'," GOOD) "]}", rows[i].tuple);
                        kit_decode(&k, z);
                        cr_assert_eq(k.b.n_tuples, 2, "%s", rows[i].tuple);
                        cr_assert_eq(k.b.stats.tuple_errors, 1, "%s", rows[i].tuple);
                        cr_assert_eq(k.b.n_errors, 1);
                        cr_assert_eq(k.b.errors[0].reason, rows[i].reason, "%s: %s", rows[i].tuple,
                                sw_reason_name(k.b.errors[0].reason));
                        cr_assert_not(k.b.errors[0].whole_message);
                        cr_assert_eq(k.b.stats.message_errors, 0);
                }
        }
}

Test(decode, counters_reach_64_bits)
{
        struct kit k;

        KIT_BOTH(k)
        {
                kit_decode(&k, VNET("'1663146003599,10.0.0.6,192.0.2.180,0,65535,255,I,C,X,18446744073709551615,"
                                    "12345678901234567,1234567890123456,123456789'"));
                cr_assert_eq(k.b.n_tuples, 1);
                cr_assert_eq(k.b.tuples[0].counters[0], UINT64_MAX);
                cr_assert_eq(k.b.tuples[0].counters[1], 12345678901234567);
                cr_assert_eq(k.b.tuples[0].counters[2], 1234567890123456);
                cr_assert_eq(k.b.tuples[0].counters[3], 123456789);
                cr_assert_eq(k.b.tuples[0].dport, 65535);
                cr_assert_eq(k.b.tuples[0].proto, 255);
        }
}

Test(decode, accepts_every_envelope)
{
        static const struct {
                const char *text;
                unsigned records;
        } rows[] = {
                { "{'records':[@]}", 1 },
                { "\xef\xbb\xbf{'records':[@]}", 1 },
                { " \r\n\t{ 'records' : [ @ , @ ] } ", 2 },
                { "{'a':{'records':[1]},'b':[{}],'records':[@],'c':'x','d':{'e':1}}", 1 },
                { "{'rec\\u006frds':[@]}", 1 },
                { "{'records':[{'records':[@,@]},@]}", 3 },
                { "[@,@]", 2 },
                { "[[@],[@]]", 2 },
                { "@", 1 },
                { "@\n@\r\n@\n", 3 },
                { "@@", 2 },
                { ",@,@", 2 },
                { ",@,@]}", 2 },
                { "@]}]}", 1 },
                { "{'records':[@,@", 2 },
                { "{'records':[@],'more':1", 1 },
                { "{'records':[]}", 0 },
                { "{'records':[", 0 },
                { "]}", 0 },
                { "[]", 0 },
        };
        struct kit k;

        KIT_BOTH(k)
        {
                size_t i;

                for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
                        char z[8192];

                        kit_decode(&k, kit_expand(rows[i].text, VNET(GOOD), z, sizeof(z)));
                        cr_assert_eq(k.b.n_records, rows[i].records, "%s: %u", rows[i].text, k.b.n_records);
                        cr_assert_eq(k.b.n_tuples, rows[i].records, "%s", rows[i].text);
                        cr_assert_eq(k.b.stats.messages, 1);
                        cr_assert_eq(k.b.stats.message_errors + k.b.stats.record_errors, 0, "%s", rows[i].text);
                }
        }
}

Test(decode, what_cannot_be_used_is_counted_with_its_reason)
{
        static const struct {
                const char *text;
                enum sw_reason reason;
                unsigned record_errors, message_errors, records;
        } rows[] = {
                { "", SW_REASON_EMPTY, 0, 1, 0 },
                { " \n ", SW_REASON_EMPTY, 0, 1, 0 },
                { "{}", SW_REASON_SHAPE, 1, 1, 0 },
                { "1", SW_REASON_SHAPE, 1, 1, 0 },
                { "'x'", SW_REASON_SHAPE, 1, 1, 0 },
                { "null", SW_REASON_SHAPE, 1, 1, 0 },
                { "[1,'a',true]", SW_REASON_SHAPE, 3, 1, 0 },
                { "{'category':'Other','flowRecords':{'flows':[]}}", SW_REASON_SHAPE, 1, 1, 0 },
                { "{'category':'FlowLogFlowEvent'}", SW_REASON_RECORD, 1, 1, 0 },
                { "{'category':'FlowLogFlowEvent','flowRecords':{'flows':1}}", SW_REASON_RECORD, 1, 1, 0 },
                { "{'category':'NetworkSecurityGroupFlowEvent','properties':{}}", SW_REASON_RECORD, 1, 1, 0 },
                { "{'records':[{},@]}", SW_REASON_SHAPE, 1, 0, 1 },
                { "{'records':[@,{'time':'2024", SW_REASON_JSON, 1, 0, 1 },
                { "hello", SW_REASON_JSON, 1, 1, 0 },
                { "{'a':1,}", SW_REASON_JSON, 1, 1, 0 },
                { "{'a':01}", SW_REASON_JSON, 1, 1, 0 },
                { "{'a':1.}", SW_REASON_JSON, 1, 1, 0 },
                { "{'a':+1}", SW_REASON_JSON, 1, 1, 0 },
                { "{'a':nul}", SW_REASON_JSON, 1, 1, 0 },
                { "{'a':'\\x'}", SW_REASON_JSON, 1, 1, 0 },
                { "{'a':'\\u12g4'}", SW_REASON_JSON, 1, 1, 0 },
                { "{'a':'\n'}", SW_REASON_JSON, 1, 1, 0 },
                { "{'a' 1}", SW_REASON_JSON, 1, 1, 0 },
                { "{a:1}", SW_REASON_JSON, 1, 1, 0 },
                { "{'a':[1}", SW_REASON_JSON, 1, 1, 0 },
                { "{'a':1\n@", SW_REASON_JSON, 1, 0, 1 },
                { "@\n{'a':'b\n@", SW_REASON_JSON, 1, 0, 2 },
                { "{'a':[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}", SW_REASON_DEPTH, 1, 1, 0 },
                { "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]", SW_REASON_DEPTH, 1, 1, 0 },
        };
        struct kit k;

        KIT_BOTH(k)
        {
                size_t i;

                for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
                        char z[8192];

                        kit_decode(&k, kit_expand(rows[i].text, VNET(GOOD), z, sizeof(z)));
                        cr_assert_eq(k.b.stats.messages, 1);
                        cr_assert_eq(k.b.stats.record_errors, rows[i].record_errors, "%s: %d", rows[i].text,
                                (int)k.b.stats.record_errors);
                        cr_assert_eq(k.b.stats.message_errors, rows[i].message_errors, "%s", rows[i].text);
                        cr_assert_eq(k.b.n_records, rows[i].records, "%s", rows[i].text);
                        cr_assert_geq(k.b.n_errors, 1);
                        cr_assert_eq(k.b.errors[0].reason, rows[i].reason, "%s: %s", rows[i].text,
                                sw_reason_name(k.b.errors[0].reason));
                        cr_assert_eq(k.b.errors[0].whole_message, rows[i].message_errors == 1, "%s", rows[i].text);
                }
        }
}

Test(decode, depth_32_is_accepted)
{
        struct kit k;

        KIT_BOTH(k)
        {
                kit_decode(&k, "{'x':[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]],"
                               "'flowRecords':{'flows':[]}}");
                cr_assert_eq(k.b.n_records, 1);
                kit_decode(&k,
                        "{'flowRecords':{'flows':[{'x':[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]}]}}");
                cr_assert_eq(k.b.n_records, 1);
                kit_decode(&k, "{'flowRecords':{'flows':[{'x':[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]"
                               "]]}]}}");
                cr_assert_eq(k.b.n_records, 0);
                cr_assert_eq(k.b.errors[0].reason, SW_REASON_DEPTH);
        }
}

Test(decode, recognises_what_carries_no_flows)
{
        static const char *const rows[] = {
                "{'topic':'/subscriptions/x','subject':'/blobServices/default/containers/c/blobs/PT1H.json',"
                "'eventType':'Microsoft.Storage.BlobCreated','data':{'api':'PutBlockList'}}",
                "{'type':'Microsoft.Storage.BlobCreated','subject':'x'}",
                "{'subject':'/a/b/PT1H.json'}",
                "{'category':'NetworkSecurityGroupEvent','properties':{'subnetPrefix':'10.0.0.0/24'}}",
                "{'category':'NetworkSecurityGroupRuleCounter','properties':{'matchedConnections':1}}",
                "{'Type':'NTANetAnalytics','SrcIp':'10.0.0.1'}",
                "{'FaSchemaVersion':'3'}",
        };
        struct kit k;

        KIT_BOTH(k)
        {
                size_t i;

                for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
                        kit_decode(&k, rows[i]);
                        cr_assert_eq(k.b.stats.records_skipped, 1, "%s", rows[i]);
                        cr_assert_eq(
                                k.b.stats.record_errors + k.b.stats.message_errors + k.b.n_records, 0, "%s", rows[i]);
                }
        }
}

Test(decode, reads_the_connector_object)
{
        struct kit k;

        KIT_BOTH(k)
        {
                kit_decode(&k,
                        "{'records':[{'time':'2021-09-10T20:02:30.0094229Z','category':'NetworkSecurityGroupFlowEvent',"
                        "'resourceId':'/"
                        "NSG','version':2.0,'nsgRuleName':'DefaultRule_AllowVnetInBound','mac':'000D3A3CECED',"
                        "'startTime':'1631304101','sourceAddress':'172.16.0.9','destinationAddress':'172.16.0.11',"
                        "'sourcePort':'61914','destinationPort':'80','transportProtocol':'T','deviceDirection':'I',"
                        "'deviceAction':'A','flowState':'E','packetsStoD':'0','bytesStoD':'7','packetsDtoS':2,'"
                        "bytesDtoS':''},"
                        "{'version':'2','nsgRuleName':'r','startTime':1631304101,'sourceAddress':'172.16.0.9',"
                        "'destinationAddress':'172.16.0.11','sourcePort':61914,'destinationPort':80,"
                        "'transportProtocol':'U','deviceDirection':'O','deviceAction':'D'},"
                        "{'version':1,'nsgRuleName':'r','startTime':'1631304101','sourceAddress':'172.16.0.9',"
                        "'destinationAddress':'172.16.0.11','sourcePort':'61914','destinationPort':'80.5',"
                        "'transportProtocol':'U','deviceDirection':'O','deviceAction':'A'}]}");
                cr_assert_eq(k.b.n_records, 3);
                cr_assert_eq(k.b.n_tuples, 2);
                cr_assert_eq(k.b.records[0].kind, SW_KIND_CONNECTOR);
                cr_assert_eq(k.b.records[0].version, 2);
                cr_assert_eq(k.b.records[0].mac, 0x000d3a3ceced);
                cr_assert_eq(k.b.records[1].version, 2);
                cr_assert_eq(k.b.tuples[0].state, SW_STATE_END);
                cr_assert_eq(k.b.tuples[0].counters_present, 7);
                cr_assert_eq(k.b.tuples[0].counters[SW_BYTES_FWD], 7);
                cr_assert_eq(k.b.tuples[1].state, SW_STATE_DENIED);
                cr_assert_eq(k.b.stats.tuple_errors, 1);
                cr_assert_eq(k.b.errors[0].reason, SW_REASON_TUPLE_PORT);
                cr_assert_eq(k.b.stats.unknown_versions, 0);
        }
}

Test(decode, reads_flow_0_objects_of_both_kinds)
{
        struct kit k;

        KIT_BOTH(k)
        {
                kit_decode(&k,
                        "{'time':'2025-04-30T09:07:40.986182+00:00','flowLogVersion':4,'flowLogGUID':'G','macAddress':'"
                        "112233445566',"
                        "'operationName':'FlowLogFlowEvent','aclID':'a','rule':'r','flow.0':" GOOD "}\n"
                        "{'operationName':'NetworkSecurityGroupFlowEvents','resourceId':'/N','version':'2','rule':'r',"
                        "'flow.0':'1493763938,1.2.3.4,5.6.7.8,35370,23,T,I,A,B,,,,'}\n"
                        "{'operationName':'NetworkSecurityGroupFlowEvents','rule':'r','macAddress':'000D124564789',"
                        "'flow.0':'1616583277,1.2.3.4,5.6.7.8,55486,443,T,O,A'}");
                cr_assert_eq(k.b.n_records, 3);
                cr_assert_eq(k.b.n_tuples, 3);
                cr_assert_eq(k.b.records[0].kind, SW_KIND_FLAT_VNET);
                cr_assert(sw_str_eq(k.b.records[0].flow_log, SW_STR("G")));
                cr_assert_eq(k.b.records[1].kind, SW_KIND_FLAT_NSG);
                cr_assert_eq(k.b.tuples[1].state, SW_STATE_BEGIN);
                cr_assert_eq(k.b.tuples[1].flags, 0);
                cr_assert_eq(k.b.tuples[2].flags, SW_TUPLE_STATELESS);
                cr_assert_eq(k.b.records[2].mac, 0, "13 digits are no MAC");
        }
}

Test(decode, an_unknown_version_is_parsed_and_counted)
{
        struct kit k;

        KIT_BOTH(k)
        {
                kit_decode(&k,
                        "{'flowLogVersion':5,'flowRecords':{'flows':[{'flowGroups':[{'flowTuples':[" GOOD "]}]}]}}");
                cr_assert_eq(k.b.n_tuples, 1);
                cr_assert_eq(k.b.stats.unknown_versions, 1);
                cr_assert_eq(k.b.records[0].version, 5);
                kit_decode(&k, NSG("'2.0'", "'1724090369,35.203.211.209,10.1.0.4,55740,38405,T,I,D,B,,,,'"));
                cr_assert_eq(k.b.records[0].version, 2);
                cr_assert_eq(k.b.stats.unknown_versions, 0);
                kit_decode(&k, NSG("3", "'1724090369,35.203.211.209,10.1.0.4,55740,38405,T,I,D,B,,,,'"));
                cr_assert_eq(k.b.n_tuples, 1);
                cr_assert_eq(k.b.stats.unknown_versions, 1);
        }
}

Test(decode, equal_keys_last_one_wins)
{
        struct kit k;

        KIT_BOTH(k)
        {
                kit_decode(&k,
                        "{'macAddress':'000000000001','macAddress':'000000000002','flowRecords':{'flows':[{'flowGroups'"
                        ":"
                        "[{'flowTuples':[" GOOD "],'rule':'a','rule':'b','flowTuples':[" GOOD "," GOOD "]}]}]}}");
                cr_assert_eq(k.b.n_records, 1);
                cr_assert_eq(k.b.records[0].mac, 2);
                cr_assert_eq(k.b.n_tuples, 2);
                cr_assert(sw_str_eq(k.b.rules[0].name, SW_STR("b")));
        }
}

Test(decode, escapes_are_read_in_names_and_tuples)
{
        struct kit k;

        KIT_BOTH(k)
        {
                kit_decode(&k,
                        "{'flowRecords':{'flows':[{'aclID':'\\/"
                        "a\\u00e9','flowGroups':[{'rule':'\\ud83d\\ude00\\ud800\\u0000',"
                        "'flowTuples':['1663146003599\\u002c10.0.0.6,192.0.2.180,23956,443,6,O,B,NX,0,0,0,0']}]}]}}");
                cr_assert_eq(k.b.n_tuples, 1);
                cr_assert(sw_str_eq(k.b.rules[0].acl, SW_STR("/a\xc3\xa9")));
                cr_assert(sw_str_eq(k.b.rules[0].name, SW_STR("\xf0\x9f\x98\x80\xef\xbf\xbd\xef\xbf\xbd")));
                cr_assert_eq(k.b.tuples[0].dport, 443);
        }
}

Test(decode, a_record_written_again_has_the_same_fingerprint)
{
        static const char *const same[] = {
                VNET(GOOD ",'1663146003606,10.0.0.6,fd00::1,23956,443,6,O,E,NX,3,767,2,1580'"),
                "{'flowRecords' : {'flows':[{'flowGroups':[{'flowTuples':[ "
                "'1663146003599,10.0.0.6,::ffff:192.0.2.180,23956,443,6,O,B,NX,0,0,0,0' ,\n"
                "'1663146003606,10.0.0.6,FD00:0:0:0:0:0:0:1,23956,443,6,O,E,NX,3,767,2,1580'],'rule':'userrule_x'}],'"
                "aclID':'\\/NSG'}]},"
                "'targetResourceID':'/other/spelling','macAddress':'0022487BC205','flowLogResourceID':'/sub/"
                "fl','extra':[1,2,{'a':null}],"
                "'time':'2024-12-12T04:00:53.123Z','category':'FlowLogFlowEvent'}",
        };
        static const char *const others[] = {
                VNET(GOOD ",'1663146003606,10.0.0.6,fd00::1,23956,443,6,O,E,NX,3,767,2,1581'"),
                VNET(GOOD ",'1663146003606,10.0.0.6,fd00::1,23956,443,6,O,E,NX,3,767,2,'"),
                VNET("'1663146003606,10.0.0.6,fd00::1,23956,443,6,O,E,NX,3,767,2,1580'," GOOD),
                VNET(GOOD),
        };
        struct sw_u128 want = { 0 }, seen[8];
        struct kit k;
        size_t i, n = 0;

        KIT_BOTH(k)
        {
                for (i = 0; i < 2; i++) {
                        kit_decode(&k, same[i]);
                        cr_assert_eq(k.b.n_tuples, 2);
                        if (want.hi == 0)
                                want = k.b.records[0].fingerprint;
                        cr_assert_eq(k.b.records[0].fingerprint.hi, want.hi);
                        cr_assert_eq(k.b.records[0].fingerprint.lo, want.lo);
                }
                for (i = 0; i < 4; i++) {
                        kit_decode(&k, others[i]);
                        seen[n] = k.b.records[0].fingerprint;
                        cr_assert(seen[n].hi != want.hi || seen[n].lo != want.lo);
                        n++;
                }
        }
        for (i = 0; i < 4; i++)
                cr_assert(seen[i].hi == seen[i + 4].hi && seen[i].lo == seen[i + 4].lo, "both decoders agree");
}

Test(decode, sizes_and_gzip_are_bounded)
{
        static char big[4 * 1024 * 1024 + 1];
        struct libdeflate_compressor *z = libdeflate_alloc_compressor(9);
        static char gz[65536];
        struct kit k;
        size_t n;

        memset(big, ' ', sizeof(big));
        KIT_BOTH(k)
        {
                struct sw_str text;

                kit_bytes(&k, (struct sw_str){ big, sizeof(big) });
                cr_assert_eq(k.b.errors[0].reason, SW_REASON_TOO_LARGE);
                cr_assert(k.b.errors[0].whole_message);
                text = kit_json("\xef\xbb\xbf{'records':[" VNET(GOOD) "]}", k.text, sizeof(k.text));
                n = libdeflate_gzip_compress(z, text.p, text.n, gz, sizeof(gz));
                kit_bytes(&k, (struct sw_str){ gz, n });
                cr_assert_eq(k.b.n_tuples, 1);
                cr_assert_eq(k.b.raw.n, n, "raw is what came");
                kit_bytes(&k, (struct sw_str){ gz, n - 5 });
                cr_assert_eq(k.b.errors[0].reason, SW_REASON_GZIP);
                n = libdeflate_gzip_compress(z, big, sizeof(big), gz, sizeof(gz));
                kit_bytes(&k, (struct sw_str){ gz, n });
                cr_assert(k.b.errors[0].reason == SW_REASON_GZIP || k.b.errors[0].reason == SW_REASON_TOO_LARGE);
                cr_assert_eq(k.b.stats.message_errors, 1);
        }
        libdeflate_free_compressor(z);
}

/* A tree of these would take 40 and 22 times their size. */
Test(decode, bombs_are_refused_before_a_tree_is_built)
{
        static char big[4 * 1024 * 1024];
        struct kit k;

        KIT_BOTH(k)
        {
                size_t i;

                memcpy(big, "{\"a\":[0", 7);
                for (i = 7; i + 4 < sizeof(big); i += 2)
                        memcpy(big + i, ",0", 2);
                memset(big + i, ' ', sizeof(big) - i);
                memcpy(big + sizeof(big) - 2, "]}", 2);
                kit_bytes(&k, (struct sw_str){ big, sizeof(big) });
                cr_assert_eq(k.b.errors[0].reason, SW_REASON_SHAPE);
                cr_assert_eq(k.b.stats.message_errors, 1);
                memcpy(big, "{\"a\":0", 6);
                for (i = 6; i + 5 < sizeof(big); i += 5)
                        memcpy(big + i, ",\"\":0", 5);
                memset(big + i, ' ', sizeof(big) - i);
                big[sizeof(big) - 1] = '}';
                kit_bytes(&k, (struct sw_str){ big, sizeof(big) });
                cr_assert_eq(k.b.errors[0].reason, SW_REASON_SHAPE);
                memset(big, '[', sizeof(big));
                kit_bytes(&k, (struct sw_str){ big, sizeof(big) });
                cr_assert_eq(k.b.errors[0].reason, SW_REASON_DEPTH);
        }
}

Test(decode, lines_of_a_file_are_messages)
{
        struct kit k;

        KIT_BOTH(k)
        {
                struct sw_str s = kit_json(VNET(GOOD) "\n{}\n," VNET(GOOD) "]}\n" VNET(GOOD) VNET(GOOD) "\n[]\nx\n{}",
                        k.text, sizeof(k.text));

                sw_batch_reset(&k.b);
                cr_assert_eq(sw_decode(k.decoder, s, SW_DECODE_MESSAGE | SW_DECODE_LINES, 100, &k.b), 0);
                /* record | {} , record ]} | record | record | [] | x | {} */
                cr_assert_eq(k.b.n_records, 4);
                cr_assert_eq(k.b.stats.messages, 7, "%d", (int)k.b.stats.messages);
                cr_assert_eq(k.b.stats.message_errors, 2);
                cr_assert_eq(k.b.records[0].offset, 100);
        }
}

/* Kafka's tombstone has no value at all. */
Test(decode, no_value_is_an_empty_message)
{
        struct kit k;

        KIT_BOTH(k)
        {
                kit_bytes(&k, SW_STR_NULL);
                cr_assert_eq(k.b.stats.messages, 1);
                cr_assert_eq(k.b.stats.message_errors, 1);
                cr_assert_eq(k.b.errors[0].reason, SW_REASON_EMPTY);
        }
}

/* The fast decoder says "not mine" and the record is decoded all the same. */
Test(decode, what_the_fast_one_does_not_know_is_handed_over)
{
        static const struct {
                const char *text;
                unsigned fast;
        } rows[] = {
                { VNET(GOOD), 1 },
                { NSG("2", "'1724090369,35.203.211.209,10.1.0.4,55740,38405,T,I,D,B,,,,'"), 1 },
                { "{'flowRecords':{'flows':[{'flowGroups':[{'rule':'\\u0041','flowTuples':[" GOOD "]}]}]}}", 1 },
                { "{'flow\\u0052ecords':{'flows':[{'flowGroups':[{'flowTuples':[" GOOD "]}]}]}}", 0 },
                { "{'time':1,'flowRecords':{'flows':[{'flowGroups':[{'flowTuples':[" GOOD "]}]}]}}", 0 },
                { "{'time':'','time':'','flowRecords':{'flows':[{'flowGroups':[{'flowTuples':[" GOOD "]}]}]}}", 0 },
                { "{'flowRecords':{'flows':[{'flowGroups':[{'rule':null,'flowTuples':[" GOOD "]}]}]}}", 0 },
                { "{'flowLogVersion':4e0,'flowRecords':{'flows':[{'flowGroups':[{'flowTuples':[" GOOD "]}]}]}}", 0 },
                { "{'operationName':'FlowLogFlowEvent','aclID':'a','rule':'r','flow.0':" GOOD "}", 0 },
                { "{'TimeGenerated':'2024','flowRecords':{'flows':[{'flowGroups':[{'flowTuples':[" GOOD "]}]}]}}", 0 },
                { "{'TimeGenerate_':'2024','flowRecords':{'flows':[{'flowGroups':[{'flowTuples':[" GOOD "]}]}]}}", 1 },
                { "{'recordz':[],'tide':1,'flowRecords':{'flows':[{'flowGroups':[{'flowTuples':[" GOOD "]}]}]}}", 1 },
        };
        struct kit k;
        size_t i;

        kit_init(&k, false);
        for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
                uint64_t before = k.decoder->n_fast;

                kit_decode(&k, rows[i].text);
                cr_assert_eq(k.b.n_tuples, 1, "%s", rows[i].text);
                cr_assert_eq(k.b.n_rules, 1);
                cr_assert_eq(k.b.n_records, 1);
                cr_assert_eq(k.decoder->n_fast - before, rows[i].fast, "%s", rows[i].text);
        }
        kit_deinit(&k);
}

Test(decode, the_kind_of_a_flat_object_follows_from_what_it_says)
{
        static const struct {
                const char *text;
                enum sw_kind kind;
        } rows[] = {
                { "{'category':'FlowLogFlowEvent','rule':'r','flow.0':" GOOD "}", SW_KIND_FLAT_VNET },
                { "{'flowLogGUID':'g','rule':'r','flow.0':" GOOD "}", SW_KIND_FLAT_VNET },
                { "{'flowLogVersion':4,'rule':'r','flow.0':" GOOD "}", SW_KIND_FLAT_VNET },
                { "{'aclID':'a','rule':'r','flow.0':" GOOD "}", SW_KIND_FLAT_VNET },
                { "{'category':'NetworkSecurityGroupFlowEvent','aclID':'a','rule':'r',"
                  "'flow.0':'1493763938,1.2.3.4,5.6.7.8,35370,23,T,I,A,B,,,,'}",
                        SW_KIND_FLAT_NSG },
                { "{'operationName':'NetworkSecurityGroupFlowEvents','aclID':'a','rule':'r',"
                  "'flow.0':'1493763938,1.2.3.4,5.6.7.8,35370,23,T,I,A,B,,,,'}",
                        SW_KIND_FLAT_NSG },
                { "{'rule':'r','flow.0':'1493763938,1.2.3.4,5.6.7.8,35370,23,T,I,A,B,,,,'}", SW_KIND_FLAT_NSG },
        };
        struct kit k;
        size_t i;

        KIT_BOTH(k)
        for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
                kit_decode(&k, rows[i].text);
                cr_assert_eq(k.b.n_tuples, 1, "%s", rows[i].text);
                cr_assert_eq(k.b.records[0].kind, rows[i].kind, "%s", rows[i].text);
        }
}

#define CONNECTOR(more)                                                                                                \
        "{'version':2,'nsgRuleName':'r','startTime':1631304101,'sourceAddress':'172.16.0.9',"                          \
        "'destinationAddress':'172.16.0.11','transportProtocol':'T','deviceDirection':'I','deviceAction':'A'," more    \
        "}"

Test(decode, numbers_of_the_connector_are_whole_and_exact)
{
        static const struct {
                const char *text;
                enum sw_reason reason;
        } bad[] = {
                { CONNECTOR("'sourcePort':-1,'destinationPort':80,'flowState':'B'"), SW_REASON_TUPLE_PORT },
                { CONNECTOR("'sourcePort':1,'destinationPort':80.5,'flowState':'B'"), SW_REASON_TUPLE_PORT },
                { CONNECTOR("'sourcePort':1,'destinationPort':65536,'flowState':'B'"), SW_REASON_TUPLE_PORT },
                { CONNECTOR("'sourcePort':1,'destinationPort':80,'flowState':'E','bytesStoD':1e17"),
                        SW_REASON_TUPLE_COUNTER },
        };
        struct kit k;
        size_t i;

        KIT_BOTH(k)
        {
                for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
                        kit_decode(&k, bad[i].text);
                        cr_assert_eq(k.b.n_tuples, 0, "%s", bad[i].text);
                        cr_assert_eq(k.b.errors[0].reason, bad[i].reason, "%s: %s", bad[i].text,
                                sw_reason_name(k.b.errors[0].reason));
                }
                kit_decode(&k,
                        CONNECTOR("'sourcePort':1,'destinationPort':80,'flowState':'E','bytesStoD':9007199254740992,"
                                  "'mac':'000D3A3CECED','macAddress':'00-22-48-7B-C2-05'"));
                cr_assert_eq(k.b.n_tuples, 1);
                cr_assert_eq(k.b.tuples[0].counters[SW_BYTES_FWD], UINT64_C(9007199254740992));
                cr_assert_eq(k.b.records[0].mac, 0x0022487bc205, "the common name comes first");
        }
}

Test(decode, a_version_beyond_a_milliard_is_unknown)
{
        struct kit k;

        KIT_BOTH(k)
        {
                kit_decode(&k, "{'flowLogVersion':'1000000001','flowRecords':{'flows':[{'flowGroups':[{'rule':'r',"
                               "'flowTuples':[" GOOD "]}]}]}}");
                cr_assert_eq(k.b.n_tuples, 1);
                cr_assert_eq(k.b.records[0].version, 0);
                cr_assert_eq(k.b.stats.unknown_versions, 1);
        }
}

Test(decode, only_the_first_errors_keep_their_place_and_all_are_counted)
{
        char z[512] = "", one[1024];
        struct kit k;
        int i;

        for (i = 0; i < 20; i++)
                strcat(z, i ? ",'bad'" : "'bad'");
        (void)snprintf(
                one, sizeof(one), "{'flowRecords':{'flows':[{'flowGroups':[{'rule':null,'flowTuples':[%s]}]}]}}", z);
        z[0] = '\0';
        for (i = 0; i < 20; i++)
                strcat(z, "{}\n");
        KIT_BOTH(k)
        {
                kit_decode(&k, one);
                cr_assert_eq(k.b.stats.tuple_errors, 20);
                cr_assert_eq(k.b.n_errors, SW_BATCH_MAX_ERRORS);
                sw_batch_reset(&k.b);
                cr_assert_eq(sw_decode(k.decoder, sw_str_of(z), SW_DECODE_MESSAGE | SW_DECODE_LINES, 0, &k.b), 0);
                cr_assert_eq(k.b.stats.message_errors, 20);
                cr_assert_eq(k.b.n_errors, SW_BATCH_MAX_ERRORS);
                for (i = 0; i < SW_BATCH_MAX_ERRORS; i++)
                        cr_assert(k.b.errors[i].whole_message);
        }
}

Test(decode, a_limit_of_what_is_inflated_is_told_apart_from_damage)
{
        struct sw_decoder_conf conf = { .message_max_bytes = 60000 };
        struct libdeflate_compressor *z = libdeflate_alloc_compressor(9);
        static char text[100000], gz[100000];
        struct kit k = { .b = SW_BATCH_NULL };
        uint32_t x = 1;
        size_t i, n;

        for (i = 0; i < sizeof(text); i++) {
                x = x * 1664525 + 1013904223;
                text[i] = (char)(i % 2 ? ' ' : 'a' + (x >> 29));
        }
        n = libdeflate_gzip_compress(z, text, sizeof(text), gz, sizeof(gz));
        cr_assert_lt(n, 60000);
        cr_assert_eq(sw_decoder_new(&conf, &k.decoder), 0);
        kit_bytes(&k, (struct sw_str){ gz, n });
        cr_assert_eq(k.b.errors[0].reason, SW_REASON_TOO_LARGE);
        sw_decoder_free(k.decoder);
        for (i = 0; i < 2; i++) { /* no limit: that of what is inflated */
                conf.message_max_bytes = i ? UINT64_MAX : 0;
                cr_assert_eq(sw_decoder_new(&conf, &k.decoder), 0);
                kit_bytes(&k, (struct sw_str){ gz, n });
                cr_assert_eq(k.b.errors[0].reason, SW_REASON_JSON, "%s", sw_reason_name(k.b.errors[0].reason));
                sw_decoder_free(k.decoder);
        }
        sw_batch_deinit(&k.b);
        libdeflate_free_compressor(z);
}

/* A piece of a message may hold nothing but what stands between its records. */
Test(decode, a_piece_of_white_space_is_no_error)
{
        struct kit k;

        KIT_BOTH(k)
        {
                sw_batch_reset(&k.b);
                cr_assert_eq(sw_decode(k.decoder, SW_STR(" \n"), 0, 5, &k.b), 0);
                cr_assert_eq(k.b.stats.message_errors + k.b.stats.record_errors + k.b.stats.messages, 0);
                cr_assert_eq(k.b.n_errors, 0);
        }
}

Test(decode, odd_keys_and_escapes_are_read_alike)
{
        char z[4096];
        struct kit k;

        KIT_BOTH(k)
        {
                /* a key longer than any that is known, before an array */
                kit_decode(&k,
                        kit_expand("{'kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk':[1],"
                                   "'records':[@]}",
                                VNET(GOOD), z, sizeof(z)));
                cr_assert_eq(k.b.n_tuples, 1);
                /* the first half of a pair, followed by another escape */
                kit_decode(&k, "{'flowRecords':{'flows':[{'flowGroups':[{'rule':'\\ud83d\\nabcdef','flowTuples':[" GOOD
                               "]}]}]}}");
                cr_assert_eq(k.b.n_tuples, 1);
                cr_assert(sw_str_eq(k.b.rules[k.b.tuples[0].rule].name, SW_STR("\xef\xbf\xbd\nabcdef")));
                /* a backslash before the byte zero */
                kit_bytes(&k, SW_STR("{\"a\":\"\\\0\"}"));
                cr_assert_eq(k.b.errors[0].reason, SW_REASON_JSON);
        }
}

Test(decode, envelopes_are_entered_to_the_depth_that_is_allowed)
{
        char z[8192], open[2048] = "", close[256] = "";
        unsigned depth;
        struct kit k;

        KIT_BOTH(k)
        for (depth = 1; depth <= 20; depth++) {
                unsigned i;

                open[0] = close[0] = '\0';
                for (i = 0; i < depth; i++) {
                        strcat(open, "{'records':[");
                        strcat(close, "]}");
                }
                (void)snprintf(z, sizeof(z), "%s%s%s", open, "7", close);
                kit_decode(&k, z);
                cr_assert_eq(k.b.n_errors, 1);
                cr_assert_eq(k.b.errors[0].reason, depth <= 16 ? SW_REASON_SHAPE : SW_REASON_DEPTH, "%u: %s", depth,
                        sw_reason_name(k.b.errors[0].reason));
        }
}

Test(decode, numbers_may_be_long_but_not_endless)
{
        static char z[12000];
        struct kit k;
        size_t n;

        KIT_BOTH(k)
        for (n = 4090; n < 4100; n++) {
                size_t at = (size_t)snprintf(z, sizeof(z), "{\"x\":");

                memset(z + at, '1', n);
                (void)snprintf(z + at + n, sizeof(z) - at - n,
                        ",\"flowRecords\":{\"flows\":[{\"flowGroups\":[{\"rule\":\"r\",\"flowTuples\":"
                        "[\"1663146003599,10.0.0.6,192.0.2.180,23956,443,6,O,B,NX,0,0,0,0\"]}]}]}}");
                kit_bytes(&k, sw_str_of(z));
                cr_assert_eq(k.b.n_tuples, n < 4096, "%zu", n);
                cr_assert(n < 4096 || k.b.errors[0].reason == SW_REASON_JSON);
        }
}

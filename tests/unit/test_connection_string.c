/* SPDX-License-Identifier: Apache-2.0 */
#include "config/connection_string.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define HOST "weu.servicebus.windows.net"
#define KEY "c2VjcmV0LWtleQ=="

static const struct {
        const char *text;
        bool any_host;
        const char *host, *key_name, *entity_path;
        unsigned port;
} good[] = {
        { "Endpoint=sb://" HOST "/;SharedAccessKeyName=listen;SharedAccessKey=" KEY, false, HOST, "listen", "", 0 },
        { "Endpoint=sb://" HOST "/;SharedAccessKeyName=listen;SharedAccessKey=" KEY ";EntityPath=hub", false, HOST,
                "listen", "hub", 0 },
        { "entitypath=hub;SHAREDACCESSKEY=" KEY ";sharedAccessKeyName=a=b;endpoint=SB://WEU.servicebus.windows.net;",
                false, HOST, "a=b", "hub", 0 },
        { "  Endpoint = sb://" HOST ":5671/ ; SharedAccessKeyName = l ; SharedAccessKey = " KEY " ;;\r\n", false, HOST,
                "l", "", 5671 },
        { "Endpoint=sb://a.servicebus.usgovcloudapi.net/;SharedAccessKeyName=l;SharedAccessKey=" KEY, false,
                "a.servicebus.usgovcloudapi.net", "l", "", 0 },
        { "Endpoint=sb://a.servicebus.chinacloudapi.cn/;SharedAccessKeyName=l;SharedAccessKey=" KEY, false,
                "a.servicebus.chinacloudapi.cn", "l", "", 0 },
        { "Endpoint=sb://localhost:9093/;SharedAccessKeyName=l;SharedAccessKey=" KEY
          ";TransportType=AmqpWebSockets;UseDevelopmentEmulator=false",
                true, "localhost", "l", "", 9093 },
};

Test(connection_string, reads_every_form)
{
        size_t i;

        for (i = 0; i < sizeof(good) / sizeof(*good); i++) {
                struct sw_connection_string c;
                struct sw_err err = SW_ERR_NULL;

                cr_assert_eq(sw_connection_string_parse(sw_str_of(good[i].text), good[i].any_host, &c, &err), 0,
                        "%s: %s", good[i].text, err.msg);
                cr_assert_str_eq(c.host, good[i].host);
                cr_assert_str_eq(c.key_name, good[i].key_name);
                cr_assert_str_eq(c.entity_path, good[i].entity_path);
                cr_assert_eq(c.port, good[i].port);
                cr_assert_eq(c.is_azure, !good[i].any_host);
        }
}

#define REST ";SharedAccessKeyName=l;SharedAccessKey=" KEY
static const char *const bad[][2] = {
        { "", "empty" },
        { " \n", "empty" },
        { "Endpoint", "without '='" },
        { KEY "x", "no Endpoint" }, /* a bare key has a '=' in it */
        { "SharedAccessKeyName=l;SharedAccessKey=" KEY, "no Endpoint" },
        { "Endpoint=;SharedAccessKeyName=l;SharedAccessKey=" KEY, "no Endpoint" },
        { "Endpoint=sb://" HOST "/;SharedAccessKey=" KEY, "no SharedAccessKeyName" },
        { "Endpoint=sb://" HOST "/;SharedAccessKeyName=l", "no SharedAccessKey" },
        { "Endpoint=sb://" HOST "/;SharedAccessKeyName=l;SharedAccessKey=", "no SharedAccessKey" },
        { "Endpoint=sb://" HOST "/;SharedAccessSignature=SharedAccessSignature sr=x&sig=" KEY "&se=1&skn=l",
                "SharedAccessSignature; the Kafka endpoint" },
        { "Endpoint=sb://localhost;SharedAccessKeyName=l;SharedAccessKey=" KEY ";UseDevelopmentEmulator=true",
                "emulator" },
        { "Endpoint=https://" HOST "/" REST, "sb://" },
        { "Endpoint=sb:///" REST, "no host name" },
        { "Endpoint=sb://" HOST ":0/" REST, "port" },
        { "Endpoint=sb://" HOST ":65536/" REST, "port" },
        { "Endpoint=sb://" HOST ":x/" REST, "port" },
        { "Endpoint=sb://we_u.servicebus.windows.net/" REST, "not a host name" },
        { "Endpoint=sb://weu.example.com/" REST, "not an Event Hubs namespace" },
        { "Endpoint=sb://.servicebus.windows.net.evil.example/" REST, "not an Event Hubs namespace" },
        { "Endpoint=sb://servicebus.windows.net/" REST, "not an Event Hubs namespace" },
        { "Endpoint=sb://" HOST "/" REST ";EntityPath=a b", "EntityPath" },
        { "Endpoint=sb://" HOST "/" REST REST, "twice" },
        { "Endpoint=sb://" HOST "/" REST "\nEndpoint=sb://" HOST, "more than one line" },
};

Test(connection_string, refuses_with_the_reason_and_without_the_key)
{
        size_t i;

        for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
                struct sw_connection_string c;
                struct sw_err err = SW_ERR_NULL;

                cr_assert_eq(sw_connection_string_parse(sw_str_of(bad[i][0]), false, &c, &err), -SW_ERR_CONFIG, "%s",
                        bad[i][0]);
                cr_assert_not_null(strstr(err.msg, bad[i][1]), "%s: %s", bad[i][0], err.msg);
                cr_assert_null(strstr(err.msg, "c2Vjcm"), "%s", err.msg);
        }
}

/* That a message does not contain the key cannot be asked of every key: this one is a part of a word of the message. */
Test(connection_string, what_is_said_does_not_depend_on_the_key)
{
        static const char *const texts[][2] = {
                { "Endpoint=sb://x.servicebus.windows.net;SharedAccessKey=edAccessKEy",
                        "Endpoint=sb://x.servicebus.windows.net;SharedAccessKey=c2VjcmV0LWt" },
                { "SharedAccessKey=a;SharedAccessKey=edAccessKEy", "SharedAccessKey=b;SharedAccessKey=c2VjcmV0LWt" },
                { "SharedAccessKey", "c2VjcmV0LWtleQ" },
                { "SharedAccessKeyName==", "c2VjcmV0LWtleQ==" },
        };
        struct sw_connection_string c;
        size_t i;

        for (i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
                struct sw_err one = SW_ERR_NULL, two = SW_ERR_NULL;

                cr_assert_eq(sw_connection_string_parse(sw_str_of(texts[i][0]), false, &c, &one), -SW_ERR_CONFIG);
                cr_assert_eq(sw_connection_string_parse(sw_str_of(texts[i][1]), false, &c, &two), -SW_ERR_CONFIG);
                cr_assert_str_eq(one.msg, two.msg);
        }
}

Test(connection_string, bounds_its_parts)
{
        static char text[9000], name[300];
        struct sw_connection_string c;
        struct sw_err err;

        memset(name, 'a', sizeof(name) - 1);
        (void)snprintf(text, sizeof(text), "Endpoint=sb://%s.servicebus.windows.net" REST, name);
        cr_assert_eq(sw_connection_string_parse(sw_str_of(text), false, &c, &err), -SW_ERR_CONFIG);
        (void)snprintf(text, sizeof(text), "Endpoint=sb://" HOST REST ";EntityPath=%s", name);
        cr_assert_eq(sw_connection_string_parse(sw_str_of(text), false, &c, &err), -SW_ERR_CONFIG);
        memset(text, 'a', sizeof(text) - 1);
        cr_assert_eq(sw_connection_string_parse(sw_str_of(text), false, &c, &err), -SW_ERR_CONFIG);
        cr_assert_not_null(strstr(err.msg, "longer than"));
}

/* SPDX-License-Identifier: Apache-2.0 */
/* One mistake a row: what is said of it. tests/e2e/test_wrong_inputs.py has more, with lines and columns. */
#include "clock.h"
#include "conf.h"
#include "conf_auth.h"
#include "conf_lists.h"
#include "conf_outputs.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64];

static void in_a_folder(void)
{
        (void)umask(077);
        snprintf(dir, sizeof(dir), "/tmp/segwatch-conf-XXXXXX");
        cr_assert(mkdtemp(dir));
        cr_assert_eq(chdir(dir), 0);
        unsetenv("CREDENTIALS_DIRECTORY");
}

static void remove_folder(void)
{
        char command[96];

        snprintf(command, sizeof(command), "rm -rf %s", dir);
        cr_assert_eq(system(command), 0);
}

TestSuite(conf_rows, .init = in_a_folder, .fini = remove_folder);

static void write_file(const char *name, const char *text)
{
        FILE *f = fopen(name, "w");

        cr_assert(f, "%s", name);
        fputs(text, f);
        cr_assert_eq(fclose(f), 0);
}

static struct sw_conf_report report;

static bool reported(const char *what)
{
        uint32_t i;

        for (i = 0; i < report.n_items; i++)
                if (strstr(report.items[i].msg, what))
                        return true;
        return false;
}

static const char *all_reported(void)
{
        static char text[4096];
        uint32_t i;

        text[0] = '\0';
        for (i = 0; i < report.n_items; i++)
                snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s\n", report.items[i].msg);
        return text;
}

struct row {
        const char *text, *said; /* NULL: nothing, it is right */
};

static void check_rows(const struct row *rows, size_t n, bool secrets)
{
        struct sw_conf conf;
        size_t i;
        int r;

        for (i = 0; i < n; i++) {
                write_file("segwatch.yaml", rows[i].text);
                r = sw_conf_load("segwatch.yaml", false, &conf, &report);
                if (r == 0 && secrets)
                        sw_conf_report_secrets(&conf, &report);
                if (rows[i].said)
                        cr_expect(reported(rows[i].said), "row %zu: not said: %s\nbut: %s", i, rows[i].said,
                                all_reported());
                else
                        cr_expect(r == 0 && report.n_items == 0, "row %zu: %s", i, all_reported());
                sw_conf_deinit(&conf);
        }
}

#define CHECK(rows) check_rows(rows, sizeof(rows) / sizeof(*(rows)), false)
#define CHECK_SECRETS(rows) check_rows(rows, sizeof(rows) / sizeof(*(rows)), true)

#define HUB(auth) "sources:\n- {name: s, kind: eventhubs, brokers: ['h:9093'], topic: t, auth: " auth "}\n"
#define SENTINEL(auth) "outputs:\n- {name: s, kind: sentinel, endpoint: 'https://h', dcr: d, auth: " auth "}\n"
#define OUT(more) "outputs:\n- {name: o, " more "}\n"
#define SUPPRESS(more)                                                                                                 \
        "segments:\n- {name: web, cidrs: [10.1.0.0/16]}\nsuppressions:\n- {id: one, reason: r, owner: o, expires: "    \
        "never, " more "}\n"

Test(conf_rows, ways_to_log_in)
{
        static const struct row rows[] = {
                { HUB("{managed_identity: {}}"), NULL },
                { HUB("{managed_identity: }"), "needs 'connection_string'" },
                { HUB("{managed_identity: yes}"), "managed_identity must be a map" },
                { SENTINEL("{client_secret: {credential: c}}"), "output 's': auth needs 'tenant'" },
                { SENTINEL("{tenant: t, client_secret: {credential: c}}"), "output 's': auth needs 'client_id'" },
                { SENTINEL("{client_id: c, federated_token_file: /x}"), "auth needs 'tenant'" },
                { SENTINEL("{managed_identity: {}, certificate: {file: /x}}"), "auth needs only one of" },
                { SENTINEL("{tenant: t}"), "needs 'auth'" },
                { SENTINEL("{managed_identity: {client_id: a, object_id: b}}"),
                        "named by one of client_id, object_id and resource_id" },
                { SENTINEL("{managed_identity: {client_id: a, resource_id: b}}"), "named by one of" },
                { SENTINEL("{managed_identity: {endpoint: 'ftp://h'}}"), "endpoint is not a URL" },
                { SENTINEL("{managed_identity: {endpoint: 'https://h/x'}}"), NULL },
                { SENTINEL("{managed_identity: {endpoint: 'http://h/x'}}"), NULL },
                { SENTINEL("{managed_identity: {}, authority: 'http://h'}"), "authority is not a URL" },
                { SENTINEL("{managed_identity: {}, authority: 'https://'}"), "authority is not a URL" },
                { SENTINEL("{managed_identity: {}, authority: 'https://h?x'}"), "authority is not a URL" },
                { SENTINEL("{managed_identity: {}, authority: 'https://h'}"), NULL },
                { SENTINEL("{managed_identity: {}, audience: 'monitor'}"), "audience is not a URL" },
                { SENTINEL("{managed_identity: {}, audience: 'https://monitor.azure.com'}"), NULL },
        };

        CHECK(rows);
}

Test(conf_rows, what_the_client_of_tokens_is_told)
{
        static const struct {
                const char *text;
                enum sw_auth_kind kind;
                const char *key, *authority;
        } rows[] = {
                { "{managed_identity: {}}", SW_AUTH_IMDS, "msi_res_id", "https://login.microsoftonline.com" },
                { "{managed_identity: {via: arc, object_id: x}}", SW_AUTH_ARC, "object_id",
                        "https://login.microsoftonline.com" },
                { "{managed_identity: {via: app-service, client_id: x}}", SW_AUTH_APP_SERVICE, "client_id",
                        "https://login.microsoftonline.com" },
                { "{managed_identity: {resource_id: x}, cloud: usgov}", SW_AUTH_IMDS, "msi_res_id",
                        "https://login.microsoftonline.us" },
                { "{tenant: t, client_id: x, client_secret: {file: /x}, cloud: china}", SW_AUTH_SECRET, NULL,
                        "https://login.chinacloudapi.cn" },
                { "{tenant: t, client_id: x, certificate: {file: /x}, authority: 'https://a'}", SW_AUTH_CERTIFICATE,
                        NULL, "https://a" },
                { "{tenant: t, client_id: x, federated_token_file: /x}", SW_AUTH_FEDERATED, NULL,
                        "https://login.microsoftonline.com" },
        };
        struct sw_buf dump = SW_BUF_NULL;
        struct sw_token_conf token;
        struct sw_conf conf;
        char text[512];
        size_t i;

        for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
                snprintf(text, sizeof(text),
                        "outputs:\n- {name: s, kind: sentinel, endpoint: 'https://h', dcr: d, auth: %s}\n",
                        rows[i].text);
                write_file("segwatch.yaml", text);
                cr_assert_eq(sw_conf_load("segwatch.yaml", false, &conf, &report), 0, "%s: %s", rows[i].text,
                        all_reported());
                sw_conf_auth_token(&((const struct sw_conf_output *)conf.outputs.items)->auth, "s", &token);
                cr_assert_eq(token.kind, rows[i].kind, "%s", rows[i].text);
                cr_assert_str_eq(token.authority, rows[i].authority);
                cr_assert_eq(!token.identity_key, !rows[i].key);
                if (rows[i].key)
                        cr_assert_str_eq(token.identity_key, rows[i].key, "%s", rows[i].text);
                sw_buf_reset(&dump);
                sw_conf_dump(&conf, &dump);
                sw_conf_deinit(&conf);
                cr_assert_eq(sw_conf_load_text("dump", (struct sw_str){ dump.p, dump.n }, &conf, &report), 0, "%s",
                        all_reported());
                sw_conf_deinit(&conf);
        }
        sw_buf_deinit(&dump);
}

Test(conf_rows, secrets_that_cannot_be_used)
{
        static const struct row rows[] = {
                { SENTINEL("{tenant: t, client_id: c, client_secret: {file: none}}"), "none: No such file" },
                { SENTINEL("{tenant: t, client_id: c, client_secret: {credential: c}}"), "output 's': " },
                { SENTINEL("{tenant: t, client_id: c, client_secret: {file: open}}"),
                        "readable by everybody; chmod 0600" },
                { SENTINEL("{tenant: t, client_id: c, client_secret: {file: good}}"), NULL },
                { SENTINEL("{tenant: t, client_id: c, certificate: {file: good}}"), "output 's': " },
                { OUT("kind: webhook, url: 'https://h', signature: {file: none}"), "output 'o': secret none" },
                { OUT("kind: webhook, url: 'https://h', bearer: {credential: c}"), "output 'o': " },
                { OUT("kind: webhook, url: 'https://h', bearer: {file: open}"), "readable by everybody" },
                { OUT("kind: webhook, url: 'https://h', bearer: {file: good}"), NULL },
                { OUT("kind: kafka, connection_string: {file: empty}"), "empty is empty" },
                { "sources:\n- {name: s, kind: eventhubs, connection_string: {credential: c}}\n", "source 's': " },
                { "sources:\n- {name: s, kind: eventhubs, connection_string: {file: open}}\n",
                        "readable by everybody" },
                { HUB("{tenant: t, client_id: c, client_secret: {file: none}}"), "source 's': secret none" },
        };

        write_file("good", "hunter2\n");
        write_file("open", "hunter2\n");
        write_file("empty", "");
        cr_assert_eq(chmod("open", 0644), 0);
        CHECK_SECRETS(rows);
}

Test(conf_rows, outputs)
{
        static const struct row rows[] = {
                { OUT("kind: syslog, address: 'h:0'"), "not HOST:PORT" },
                { OUT("kind: syslog, address: 'h:65536'"), "not HOST:PORT" },
                { OUT("kind: syslog, address: 'h'"), "not HOST:PORT" },
                { OUT("kind: syslog, address: ':514'"), "not HOST:PORT" },
                { OUT("kind: syslog, address: '[]:514'"), "not HOST:PORT" },
                { OUT("kind: syslog, address: '[fd00::1:514'"), "not HOST:PORT" },
                { OUT("kind: syslog, address: '[host:514'"), "not HOST:PORT" },
                { OUT("kind: syslog, address: '[fd00::1]:514'"), NULL },
                { OUT("kind: syslog, transport: tcp, address: 'h:514', client_certificate: {file: /x}"),
                        "client_certificate has no meaning without transport: tls" },
                { OUT("kind: syslog, transport: unix, address: 'h:514'"), "is not the path of a Unix socket" },
                { OUT("kind: syslog, transport: unix, address: '/dev/log'"), NULL },
                { OUT("kind: syslog, transport: unix, address: "
                      "'/0123456789012345678901234567890123456789012345678901234567890123456789"
                      "0123456789012345678901234567890123456789'"),
                        "is not the path of a Unix socket" },
                { OUT("kind: syslog"), "needs 'address'" },
                { OUT("kind: webhook, url: 'https://'"), "is not an https:// URL" },
                { OUT("kind: webhook, url: 'https://a b'"), "is not an https:// URL" },
                { OUT("kind: webhook, url: 'https://u:p@h/'"), "no user and password in a URL" },
                { OUT("kind: webhook, url: 'https://h', fields: {a: '{'}"), "fields: the text" },
                { OUT("kind: webhook, url: 'https://h', fields: {a: '{severity}'}"), NULL },
                { OUT("kind: webhook, url: 'https://h', retry: {first: 2m, max: 1m}"),
                        "retry: max is less than first" },
                { OUT("kind: webhook, url: 'https://h', detectors: [pivot_chain, nobody]"), "'nobody' is no detector" },
                { OUT("kind: kafka, brokers: ['h:1'], topic: t, librdkafka: {bootstrap.servers: x}"), "librdkafka: " },
                { OUT("kind: kafka, brokers: ['h:1'], topic: t, librdkafka: {linger.ms: soon}"),
                        "does not take this value" },
                { OUT("kind: kafka, brokers: ['h:1'], topic: t, librdkafka: {no.such: 1}"), "librdkafka: 'no.such'" },
                { OUT("kind: kafka, brokers: ['h:1'], topic: t, librdkafka: {linger.ms: 5}"), NULL },
                { OUT("kind: kafka"), "needs 'brokers'" },
                { "outputs:\n- {kind: syslog, address: 'h:1'}\n", "key 'name' is missing" },
                { "outputs:\n- {name: 'a b', kind: syslog, address: 'h:1'}\n", "has at most 63 letters" },
                { "outputs:\n- {name: a123456789012345678901234567890123456789012345678901234567890123, kind: syslog, "
                  "address: 'h:1'}\n",
                        "has at most 63 letters" },
                { "outputs:\n- {name: a, kind: syslog, address: 'h:1'}\n- {name: a, kind: syslog, address: 'h:2'}\n",
                        "given twice" },
                { "outputs: {a: b}\n", "outputs must be a list" },
        };

        CHECK(rows);
}

Test(conf_rows, more_outputs_than_the_outbox_keeps)
{
        struct sw_buf b = SW_BUF_NULL;
        struct row row = { NULL, "more than 12 outputs" };
        int i;

        sw_buf_puts(&b, "outputs:\n");
        for (i = 0; i < 13; i++)
                sw_buf_printf(&b, "- {name: o%d, kind: syslog, address: 'h:1'}\n", i);
        sw_buf_putc(&b, '\0');
        row.text = b.p;
        check_rows(&row, 1, false);
        sw_buf_deinit(&b);
}

Test(conf_rows, suppressions)
{
        static const struct row rows[] = {
                { SUPPRESS("detectors: horizontal_scan"), NULL },
                { SUPPRESS("detectors: [D01, pivot_chain]"), NULL },
                { SUPPRESS("detectors: []"), "detectors: the list is empty" },
                { SUPPRESS("detectors: {a: b}"), "detectors must be" },
                { SUPPRESS("detectors: [[a]]"), "a detector must be" },
                { SUPPRESS("detectors: [pivot_chian]"), "did you mean 'pivot_chain'" },
                { SUPPRESS("source: any"), "any: leave the key out instead" },
                { SUPPRESS("source: []"), "source: the list is empty" },
                { SUPPRESS("source: {a: b}"), "source must be" },
                { SUPPRESS("source: [[a]]"), "an address, a range or a segment must be" },
                { SUPPRESS("source: [wbe]"), "there is no segment 'wbe'" },
                { SUPPRESS("destination: [web, wbe]"), "destination: there is no segment 'wbe'" },
                { SUPPRESS("source: [10.0.0.0/99]"), "is not an address range" },
                { SUPPRESS("source: [10.0.0.1, 'fd00::/16', web]"), NULL },
                { SUPPRESS("source: 10.0.0.1"), NULL },
                { SUPPRESS("services: [ssh, 53/udp]"), NULL },
                { SUPPRESS("services: [[x]]"), "a service must be" },
                { SUPPRESS("services: []"), "services: the list is empty" },
                { "suppressions:\n- {id: one, reason: r, owner: o, expires: never}\n", "would silence everything" },
                { "suppressions:\n- {id: 'o ne', reason: r, owner: o, expires: never, detectors: D01}\n",
                        "the name of a suppression has" },
                { "suppressions:\n- {id: one, reason: r, owner: o, expires: 2020-01-01, detectors: D01}\n",
                        "suppression 'one' expired at 2020-01-01" },
                { "suppressions:\n- {id: one, reason: r, owner: o, expires: soon, detectors: D01}\n", "expires" },
                { "suppressions:\n- {id: one, reason: r, owner: o, expires: [1], detectors: D01}\n",
                        "expires must be" },
                { "suppressions: no.yaml\n", "cannot be read: No such file" },
                { "suppressions: good.yaml\n", NULL },
                { "suppressions: bad.yaml\n", "not YAML" },
                { "suppressions: {a: b}\n", "a file, or a list must be" },
                { "suppressions:\n", NULL },
                { "include: [more.yaml]\nsuppressions: good.yaml\n", "another file was named at" },
        };

        write_file("good.yaml", "suppressions:\n- {id: one, reason: r, owner: o, expires: never, detectors: D01}\n");
        write_file("bad.yaml", "suppressions: [\n");
        write_file("more.yaml", "suppressions: other.yaml\n");
        write_file("other.yaml", "");
        CHECK(rows);
}

Test(conf_rows, suppressions_are_dumped_as_they_are_read)
{
        struct sw_buf dump = SW_BUF_NULL, again = SW_BUF_NULL;
        struct sw_conf conf;

        write_file(
                "segwatch.yaml", SUPPRESS("source: [10.0.0.1, web], destination: web, services: ssh, "
                                          "detectors: [D01, pivot_chain]") "- {id: two, reason: r, owner: o, expires: "
                                                                           "2099-01-01, source: 10.0.0.0/8}\n");
        cr_assert_eq(sw_conf_load("segwatch.yaml", false, &conf, &report), 0, "%s", all_reported());
        cr_assert_eq(conf.suppressions.n, 2);
        cr_assert_eq(conf.suppressions.items[0].source.n_prefixes, 1);
        cr_assert_eq(conf.suppressions.items[0].source.n_segments, 1);
        sw_conf_dump(&conf, &dump);
        sw_conf_deinit(&conf);
        sw_buf_putc(&dump, '\0');
        cr_assert(strstr(dump.p, "source: [10.0.0.1, web]"), "%s", dump.p);
        cr_assert(strstr(dump.p, "expires: never"));
        cr_assert_eq(sw_conf_load_text("dump", sw_str_of(dump.p), &conf, &report), 0, "%s", all_reported());
        sw_conf_dump(&conf, &again);
        sw_conf_deinit(&conf);
        sw_buf_putc(&again, '\0');
        cr_assert_str_eq(dump.p, again.p);
        sw_buf_deinit(&dump);
        sw_buf_deinit(&again);
}

Test(conf_rows, lists_of_texts_hosts_and_starts)
{
        static const struct row rows[] = {
                { "hosts:\n", NULL },
                { "hosts: [a]\n", "hosts must be a map" },
                { "hosts: {scanner: []}\n", "scanner: the list is empty" },
                { "hosts: {scanner: {a: b}}\n", "scanner must be" },
                { "hosts: {scanner: 10.0.0.1}\n", NULL },
                { "segments:\n- {name: a, cidrs: [[x]]}\n", "must be" },
                { "segments:\n- {name: a, cidrs: {x: y}}\n", "cidrs must be" },
                { "segments:\n- {name: [a], cidrs: [10.0.0.0/8]}\n", "name must be" },
                { "policy:\n- {from: [a], to: internet}\n", "from must be" },
                { "policy:\n- {from: any, to: internet, services: {a: b}}\n", "services must be" },
                { "policy:\n- {from: any, to: internet, services: 1-65536}\n", "is not a port" },
                { "policy:\n- {from: any, to: internet, services: 10-x}\n", "is not a port" },
                { "sources:\n- {name: s, kind: file, path: /x, start: [a]}\n", "start must be" },
                { "sources:\n- {name: s, kind: file, path: /x, start: latest}\n", NULL },
                { "sources:\n- {name: s, kind: kafka, topic: t, brokers: []}\n", "brokers: the list is empty" },
                { "sources:\n- {name: s, kind: kafka, topic: t, brokers: [[a]]}\n", "a broker must be" },
                { "sources:\n- {name: s, kind: kafka, topic: t, brokers: {a: b}}\n", "brokers must be" },
                { "sources:\n- {name: s, kind: kafka, topic: t, brokers: ['a b:1']}\n", "is not HOST:PORT" },
                { "sources:\n- {name: s, kind: kafka, topic: t, brokers: ['a,b:1']}\n", "is not HOST:PORT" },
                { "sources:\n- {name: s, kind: kafka, topic: t, brokers: ['a:0']}\n", "is not HOST:PORT" },
                { "sources:\n- {name: s, kind: kafka, topic: t, brokers: ['a:65536']}\n", "is not HOST:PORT" },
                { "sources:\n- {name: s, kind: kafka, topic: t, brokers: [\"a\\x7f:1\"]}\n", "control character" },
                { "sources:\n- {name: s, kind: kafka, topic: '', brokers: ['a:1']}\n", "topic is empty" },
                { "sources:\n- {name: s, kind: file, path: /tmp}\n", "is a folder" },
                { "sources:\n- {name: 'a b', kind: file, path: /x}\n", "the name of a source has" },
                { "outputs:\n- {name: o, kind: syslog, address: 'h:1', detectors: [[a]]}\n",
                        "an item of this list must be" },
                { "outputs:\n- {name: o, kind: syslog, address: 'h:1', detectors: []}\n",
                        "detectors: the list is empty" },
                { "realms:\n- {name: r}\n", "key 'flow_logs' is missing" },
                { "realms:\n- {name: r, flow_logs: [/subscriptions/a]}\n- {name: r, flow_logs: [/subscriptions/b]}\n",
                        "given twice" },
                { "realms:\n- {name: r, flow_logs: [/subscriptions/a]}\nsegments:\n- {name: a, cidrs: [10.0.0.0/8], "
                  "realm: r}\n"
                  "- {name: b, cidrs: [10.0.0.0/8]}\n",
                        NULL },
                { "segments:\n- {name: a, cidrs: ['2000::/3']}\n", "covers much of the Internet" },
                { "segments:\n- {name: a, cidrs: ['fd00::/8']}\n", NULL },
                { "segments:\n- {name: a, cidrs: [10.1.0.0/16]}\npolicy:\n- {from: any, to: any}\n",
                        "allows everything" },
                { "segments:\n- {name: a, cidrs: [10.1.0.0/16]}\npolicy:\n- {from: any, to: any, services: ssh}\n",
                        NULL },
                { "segments:\n- {name: a, cidrs: [10.1.0.0/16]}\npolicy:\n- {from: any, to: a}\n", NULL },
                { "segments:\n- {cidrs: [0.0.0.0/0]}\n", "key 'name' is missing" },
        };

        CHECK(rows);
}

Test(conf_rows, the_admin_doors)
{
        static const struct row rows[] = {
                { "admin: {http: none, socket: none}\n", NULL },
                { "admin: {http: '127.0.0.1:9477'}\n", NULL },
                { "admin: {http: '[::1]:9477'}\n", NULL },
                { "admin: {http: '[::ffff:127.0.0.1]:9477'}\n", NULL },
                { "admin: {http: localhost}\n", "http" },
                { "admin: {http: '10.0.0.1:99999'}\n", "http" },
                { "admin: {http: '[::]:9477'}\n", "can be reached by others" },
                { "admin: {http: '0.0.0.0:9477', allow_remote: true}\n", "token" },
                { "admin: {http: '0.0.0.0:9477', allow_remote: true, token: {file: /x}}\n", NULL },
                { "admin: {socket: relative}\n", "socket" },
                { "admin: {socket: /0123456789012345678901234567890123456789012345678901234567890123456789"
                  "0123456789012345678901234567890123456789}\n",
                        "socket" },
        };

        CHECK(rows);
}

Test(conf_rows, files)
{
        static const struct row rows[] = {
                { "include: [loop]\n", "cannot be read: Too many levels" },
                { "include: [secret.yaml]\n", "cannot be read: Permission denied" },
                { "include: ['d/*.yaml']\n", NULL },
        };

        cr_assert_eq(symlink("loop", "loop"), 0);
        write_file("secret.yaml", "");
        cr_assert_eq(chmod("secret.yaml", 0), 0);
        cr_assert_eq(mkdir("d", 0700), 0);
        write_file("d/a.yaml", "hosts: {dc: 10.0.0.1}\n");
        check_rows(rows, 1, false);
        if (geteuid() != 0)
                check_rows(rows + 1, 1, false);
        check_rows(rows + 2, 1, false);
}

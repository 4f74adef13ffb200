/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/address.h"
#include "admin/control.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static const char *refused(const char *line)
{
        static struct sw_err why;
        struct sw_control_request req;
        const char *code = NULL;

        why = SW_ERR_NULL;
        if (sw_control_parse(sw_str_of(line), &req, &code, &why) == SW_CONTROL_OK)
                return NULL;
        cr_assert_not_null(code);
        cr_assert_gt(strlen(why.msg), 5);
        return code;
}

Test(control, every_command_is_read_as_it_is_written)
{
        unsigned i;

        for (i = 0; i < SW_N_CONTROL_COMMANDS; i++) {
                struct sw_buf b = SW_BUF_NULL;
                struct sw_control_request req;
                struct sw_err why;
                const char *code;

                sw_control_write(&b, (enum sw_control_command)i, "debug");
                cr_assert_eq(b.p[b.n - 1], '\n');
                cr_assert_eq(sw_control_parse((struct sw_str){ b.p, b.n - 1 }, &req, &code, &why), SW_CONTROL_OK);
                cr_assert_eq(req.command, i);
                cr_assert_str_eq(req.arg, sw_control_rows[i].arg ? "debug" : "");
                sw_buf_deinit(&b);
        }
}

Test(control, what_is_no_request_is_refused)
{
        static const char *const bad[] = { "", " ", "status", "[]", "\"status\"", "{", "{}", "{\"command\":1}",
                "{\"command\":null}", "{\"command\":\"status\"} x", "{\"command\":\"status\",\"level\":\"x\"}",
                "{\"command\":\"status\",\"command\":\"stats\"}", "{\"command\":\"set-log-level\"}",
                "{\"command\":\"set-log-level\",\"level\":1}", "{\"command\":\"set-log-level\",\"level\":\"\"}",
                "{\"command\":\"set-log-level\",\"level\":\"a\",\"level\":\"b\"}", "GET / HTTP/1.1", "\x16\x03\x01",
                "{\"command\":\"set-log-level\",\"level\":\"de\xd2\xd2\"}",
                "{\"command\":\"set-log-level\",\"level\":\"de\\u0007\"}" };
        size_t i;

        for (i = 0; i < sizeof(bad) / sizeof(*bad); i++)
                cr_assert_str_eq(refused(bad[i]) ? refused(bad[i]) : "taken", "bad_request", "%s", bad[i]);
        cr_assert_str_eq(refused("{\"command\":\"stauts\"}"), "unknown_command");
        cr_assert_str_eq(refused("{\"command\":\"STATUS\"}"), "unknown_command", "names are exact");
}

Test(control, an_argument_of_64_bytes_is_too_long_and_63_fit)
{
        char line[160], arg[80];

        memset(arg, 'x', sizeof(arg));
        arg[63] = '\0';
        snprintf(line, sizeof(line), "{\"command\":\"set-log-level\",\"level\":\"%s\"}", arg);
        cr_assert_null(refused(line));
        arg[63] = 'x';
        arg[64] = '\0';
        snprintf(line, sizeof(line), "{\"command\":\"set-log-level\",\"level\":\"%s\"}", arg);
        cr_assert_str_eq(refused(line), "bad_request");
}

Test(control, nesting_without_end_is_refused)
{
        char line[8000];

        memset(line, '[', sizeof(line));
        line[sizeof(line) - 1] = '\0';
        cr_assert_str_eq(refused(line), "bad_request");
}

Test(control, an_error_is_one_line_whatever_the_message)
{
        struct sw_buf b = SW_BUF_NULL;

        sw_control_error(&b, NULL, "failed", "a\n\"b\"\x1b[0m");
        sw_buf_putc(&b, '\0');
        cr_assert_str_eq(
                b.p, "{\"ok\":false,\"error\":{\"code\":\"failed\",\"message\":\"a\\n\\\"b\\\"\\u001b[0m\"}}\n");
        sw_buf_deinit(&b);
}

Test(address, loopback_is_told_from_the_rest)
{
        static const struct {
                const char *text;
                bool loopback;
        } good[] = { { "127.0.0.1:9477", true }, { "127.255.255.254:1", true }, { "[::1]:80", true },
                { "[::ffff:127.0.0.1]:80", true }, { "128.0.0.1:80", false }, { "0.0.0.0:9477", false },
                { "[::]:9477", false }, { "[::ffff:10.0.0.1]:80", false }, { "10.0.0.1:65535", false },
                { "126.255.255.255:0", false } };
        static const char *const bad[] = { "", ":", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1",
                "127.0.0.1:80 ", "localhost:80", "::1:80", "[::1]", "[]:80", "[127.0.0.1]:80", "127.1:80",
                "127.0.0.1:000080", "[::1%lo]:80", ":80" };
        struct sw_address a;
        size_t i;

        for (i = 0; i < sizeof(good) / sizeof(*good); i++) {
                cr_assert(sw_address_parse(sw_str_of(good[i].text), &a), "%s", good[i].text);
                cr_assert_eq(a.loopback, good[i].loopback, "%s", good[i].text);
        }
        for (i = 0; i < sizeof(bad) / sizeof(*bad); i++)
                cr_assert_not(sw_address_parse(sw_str_of(bad[i]), &a), "%s", bad[i]);
}

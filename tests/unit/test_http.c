/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/http.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define HOST "Host: a\r\n"

static int parse(const char *text, struct sw_http_request *ret)
{
        return sw_http_parse(sw_str_of(text), ret);
}

Test(http, a_request_of_a_scraper_is_read)
{
        static const char text[] =
                "GET /metrics?x=1 HTTP/1.1\r\nHost: localhost:9477\r\nUser-Agent: Prometheus/2.42.0\r\n"
                "Accept: text/plain;q=0.5,*/*;q=0.1\r\nAuthorization: Bearer abc\r\n\r\nrest";
        struct sw_http_request r;

        cr_assert_eq(parse(text, &r), (int)(sizeof(text) - 1 - 4));
        cr_assert_eq(r.method, SW_HTTP_GET);
        cr_assert(sw_str_eq(r.path, SW_STR("/metrics")));
        cr_assert(sw_http_bearer_is(r.authorization, SW_STR("abc")));
        cr_assert_not(sw_http_bearer_is(r.authorization, SW_STR("abd")));
        cr_assert_not(sw_http_bearer_is(r.authorization, SW_STR("ab")));
        cr_assert_not(sw_http_bearer_is(SW_STR("Bearer "), SW_STR("")), "no token opens nothing");
        cr_assert_not(sw_http_bearer_is(SW_STR("Basic abc"), SW_STR("abc")));
        cr_assert_not(sw_http_bearer_is(SW_STR_NULL, SW_STR("abc")));
}

Test(http, every_beginning_of_a_request_wants_more)
{
        static const char text[] = "HEAD / HTTP/1.0\r\nA: b\r\n\r\n";
        struct sw_http_request r;
        size_t n;

        for (n = 0; n < sizeof(text) - 1; n++)
                cr_assert_eq(sw_http_parse((struct sw_str){ text, n }, &r), 0, "%zu", n);
        cr_assert_eq(sw_http_parse((struct sw_str){ text, n }, &r), (int)n);
        cr_assert_eq(r.method, SW_HTTP_HEAD);
}

Test(http, what_is_strange_is_refused)
{
        static const struct {
                const char *text;
                int status;
        } bad[] = {
                { "\r\n\r\n", 400 },
                { "GET\r\n\r\n", 400 },
                { "GET /\r\n\r\n", 400 },
                { "GET  / HTTP/1.1\r\n" HOST "\r\n", 400 },
                { "GET / HTTP/1.1 \r\n" HOST "\r\n", 505 },
                { "GET / HTTP/2.0\r\n" HOST "\r\n", 505 },
                { "GET / HTTP\r\n" HOST "\r\n", 400 },
                { "GET http://a/ HTTP/1.1\r\n" HOST "\r\n", 400 },
                { "GET /\x80 HTTP/1.1\r\n" HOST "\r\n", 400 },
                { "GET / HTTP/1.1\n" HOST "\n", 400 },
                { "GET / HTTP/1.1\r\n\r\n", 400 },              /* no host */
                { "GET / HTTP/1.1\r\n" HOST HOST "\r\n", 400 }, /* two */
                { "GET / HTTP/1.1\r\n" HOST " folded\r\n\r\n", 400 },
                { "GET / HTTP/1.1\r\n" HOST "A : b\r\n\r\n", 400 },
                { "GET / HTTP/1.1\r\n" HOST "A\r\n\r\n", 400 },
                { "GET / HTTP/1.1\r\n" HOST "A: \x01\r\n\r\n", 400 },
                { "GET / HTTP/1.1\r\n" HOST "A: b\rc\r\n\r\n", 400 },
                { "GET / HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\n", 400 },
                { "GET / HTTP/1.1\r\n" HOST "Content-Length: -0\r\n\r\n", 400 },
                { "GET / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n", 400 },
                { "GET / HTTP/1.1\r\n" HOST "Authorization: a\r\nAuthorization: b\r\n\r\n", 400 },
                { "\x16\x03\x01\r\n", 400 },
                { "{\"command\":\"status\"}\n", 400 },
        };
        struct sw_http_request r;
        size_t i;

        for (i = 0; i < sizeof(bad) / sizeof(*bad); i++)
                cr_assert_eq(
                        parse(bad[i].text, &r), -bad[i].status, "%zu: %s: %d", i, bad[i].text, parse(bad[i].text, &r));
        cr_assert_gt(parse("GET / HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n", &r), 0);
        cr_assert_gt(parse("POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello", &r), 0);
        cr_assert_eq(r.method, SW_HTTP_OTHER, "answered with 405, whatever its body");
}

Test(http, a_target_of_1024_bytes_and_63_headers_are_the_bound)
{
        struct sw_buf b = SW_BUF_NULL;
        struct sw_http_request r;
        int extra, i;

        for (extra = 0; extra < 2; extra++) {
                sw_buf_reset(&b);
                sw_buf_puts(&b, "GET /");
                for (i = 1; i < 1024 + extra; i++)
                        sw_buf_putc(&b, 'a');
                sw_buf_puts(&b, " HTTP/1.1\r\n" HOST "\r\n");
                cr_assert_eq(sw_http_parse((struct sw_str){ b.p, b.n }, &r) > 0, extra == 0);
                sw_buf_reset(&b);
                sw_buf_puts(&b, "GET / HTTP/1.1\r\n" HOST);
                for (i = 0; i < 62 + extra; i++)
                        sw_buf_puts(&b, "A: b\r\n");
                sw_buf_puts(&b, "\r\n");
                cr_assert_eq(sw_http_parse((struct sw_str){ b.p, b.n }, &r), extra ? -431 : (int)b.n);
        }
        sw_buf_deinit(&b);
}

Test(http, head_has_the_length_and_not_the_body)
{
        struct sw_http_answer a = { .status = 200, .body = SW_STR("hello\n"), .head_only = true };
        struct sw_buf b = SW_BUF_NULL;

        sw_http_write(&b, &a);
        sw_buf_putc(&b, '\0');
        cr_assert_not_null(strstr(b.p, "HTTP/1.1 200 OK\r\n"));
        cr_assert_not_null(strstr(b.p, "Content-Length: 6\r\n"));
        cr_assert_null(strstr(b.p, "hello"));
        sw_buf_reset(&b);
        a = (struct sw_http_answer){ .status = 405, .body = SW_STR("no\n") };
        sw_http_write(&b, &a);
        sw_buf_putc(&b, '\0');
        cr_assert_not_null(strstr(b.p, "\r\nAllow: GET, HEAD\r\n"));
        cr_assert_not_null(strstr(b.p, "\r\n\r\nno\n"));
        sw_buf_deinit(&b);
}

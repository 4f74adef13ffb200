/* SPDX-License-Identifier: Apache-2.0 */
#include "net/http.h"

#include "http_kit.h"

#include <criterion/criterion.h>
#include <string.h>

static int64_t after(const char *text)
{
        return sw_httpc_retry_after(sw_str_of(text), (struct sw_wall){ INT64_C(1767225600000) }); /* 2026-01-01 */
}

Test(net_http, retry_after_is_seconds_or_a_date)
{
        cr_assert_eq(after("0"), 0);
        cr_assert_eq(after("10"), 10000);
        cr_assert_eq(after("10 "), 10000);
        cr_assert_eq(after("99999999999"), 86400000, "a day at most");
        cr_assert_eq(after("Thu, 01 Jan 2026 00:00:30 GMT"), 30000);
        cr_assert_eq(after("Wed, 31 Dec 2025 23:59:59 GMT"), 0, "never negative");
        cr_assert_eq(after(""), -1);
        cr_assert_eq(after("soon"), -1);
        cr_assert_eq(after("-5"), -1);
}

Test(net_http, encodes_all_but_the_unreserved)
{
        struct sw_buf b = SW_BUF_NULL;

        sw_httpc_put_encoded(&b, SW_STR("aZ09-._~ /:&=+%\xc3\xa4\0x"));
        sw_buf_putc(&b, '\0');
        cr_assert_str_eq(b.p, "aZ09-._~%20%2F%3A%26%3D%2B%25%C3%A4%00x");
        sw_buf_deinit(&b);
}

static int n_answers;
static enum sw_httpc_error last_error;

static void on_answer(void *ctx, const struct sw_httpc_answer *a)
{
        n_answers++;
        last_error = a->error;
        cr_assert_eq(a->status, 0);
        cr_assert_str_neq(a->text, "");
        sw_loop_stop(ctx);
}

Test(net_http, nobody_there_is_an_answer_too_and_cancelled_calls_are_silent)
{
        struct sw_httpc_request q = { .method = "POST", .url = "http://127.0.0.1:1/x", .body = SW_STR("{}") };
        struct sw_httpc_call *call, *gone;
        struct sw_httpc *h;
        struct sw_loop *loop;

        cr_assert_eq(sw_loop_new(&loop), 0);
        cr_assert_eq(sw_httpc_new(loop, "test", &h), 0);
        cr_assert_eq(sw_httpc_start(h, &q, on_answer, loop, &gone), 0);
        cr_assert_eq(sw_httpc_start(h, &q, on_answer, loop, &call), 0);
        sw_httpc_cancel(gone);
        sw_loop_run(loop);
        cr_assert_eq(n_answers, 1);
        cr_assert_eq(last_error, SW_HTTPC_CONNECT);
        cr_assert_eq(sw_httpc_start(h, &q, on_answer, loop, &call), 0); /* under way when everything ends */
        sw_httpc_free(h);
        sw_loop_free(loop);
        cr_assert_eq(n_answers, 1);
}

/* ---- what a server may say ---- */

struct heard {
        struct sw_loop *loop;
        enum sw_httpc_error error;
        int status;
        size_t n_body;
        int64_t retry_after_ms, date_ms;
        char body[256], challenge[512], text[256];
};

static void on_heard(void *ctx, const struct sw_httpc_answer *a)
{
        struct heard *h = ctx;

        h->error = a->error;
        h->status = a->status;
        h->n_body = a->body.n;
        h->retry_after_ms = a->retry_after_ms;
        h->date_ms = a->date.ms;
        snprintf(h->body, sizeof(h->body), "%s", a->body.p);
        snprintf(h->challenge, sizeof(h->challenge), "%s", a->challenge);
        snprintf(h->text, sizeof(h->text), "%s", a->text);
        sw_loop_stop(h->loop);
}

/* Asks a server that says this; url NULL: the server's. */
static struct heard ask(struct http_kit *k, const char *answer, struct sw_httpc_request q)
{
        struct heard h = { 0 };
        struct sw_httpc_call *call;
        struct sw_httpc *c;
        char url[64];

        *k = (struct http_kit){ 0 };
        http_kit_add(k, answer);
        http_kit_start(k);
        snprintf(url, sizeof(url), "http://127.0.0.1:%u/x", k->port);
        q.url = q.url ? q.url : url;
        q.method = q.method ? q.method : "GET";
        cr_assert_eq(sw_loop_new(&h.loop), 0);
        cr_assert_eq(sw_httpc_new(h.loop, "test", &c), 0);
        cr_assert_eq(sw_httpc_start(c, &q, on_heard, &h, &call), 0);
        sw_loop_run(h.loop);
        sw_httpc_free(c);
        sw_loop_free(h.loop);
        http_kit_stop(k);
        return h;
}

static struct http_kit kit;
#define ASK(answer, ...) ask(&kit, answer, (struct sw_httpc_request){ .n_headers = 0, __VA_ARGS__ })

Test(net_http, what_stands_in_the_head_of_an_answer)
{
        struct heard h = ASK("HTTP/1.1 429 Slow\r\nRetry-After:   7  \r\nDate: Thu, 01 Jan 2026 00:00:30 GMT\r\n"
                             "WWW-Authenticate: Basic realm=x\r\nContent-Length: 2\r\n\r\nno");

        cr_assert_eq(h.error, SW_HTTPC_OK);
        cr_assert_eq(h.status, 429);
        cr_assert_eq(h.retry_after_ms, 7000);
        cr_assert_eq(h.date_ms, INT64_C(1767225630000));
        cr_assert_str_eq(h.challenge, "Basic realm=x");
        cr_assert_str_eq(h.body, "no");
        cr_assert(strstr(kit.requests[0], "GET /x HTTP/1.1\r\n"));
        cr_assert_null(strstr(kit.requests[0], "Expect"));
        h = ASK("HTTP/1.1 200 OK\r\nRetry-After:\r\nDate: yesterday\r\nWWW-Authenticate:\r\nDated: "
                "x\r\nContent-Length: 0\r\n\r\n");
        cr_assert_eq(h.status, 200);
        cr_assert_eq(h.retry_after_ms, -1);
        cr_assert_eq(h.date_ms, 0);
        cr_assert_str_eq(h.challenge, "");
        cr_assert_eq(h.n_body, 0);
}

Test(net_http, heads_that_are_too_long_are_left_out)
{
        char answer[4096];
        struct heard h;

        snprintf(answer, sizeof(answer), "HTTP/1.1 401 No\r\nDate: %0500d\r\nWWW-Authenticate: %03000d\r\n\r\n", 1, 2);
        h = ask(&kit, answer, (struct sw_httpc_request){ 0 });
        cr_assert_eq(h.status, 401);
        cr_assert_eq(h.date_ms, 0);
        cr_assert_str_eq(h.challenge, "");
}

Test(net_http, a_body_is_sent_and_an_answer_is_cut)
{
        struct heard h = ASK("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789", .method = "POST",
                .body = SW_STR("hello"), .answer_max = 4, .timeout_ms = 5000, .connect_ms = 5000);

        cr_assert_eq(h.error, SW_HTTPC_OK);
        cr_assert_eq(h.n_body, 4);
        cr_assert_str_eq(h.body, "0123");
        cr_assert(strstr(kit.requests[0], "POST /x"));
        cr_assert(strstr(kit.requests[0], "\r\n\r\nhello"));
}

Test(net_http, redirects_are_answers)
{
        struct heard h = ASK("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n");

        cr_assert_eq(h.error, SW_HTTPC_OK);
        cr_assert_eq(h.status, 302);
}

Test(net_http, what_breaks_on_the_way_is_named)
{
        cr_assert_eq(ASK("").error, SW_HTTPC_BROKEN, "closed without a word");
        cr_assert_eq(ASK("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n012").error, SW_HTTPC_BROKEN, "closed within");
        cr_assert_eq(ASK("220 mail ready\r\n").error, SW_HTTPC_OTHER, "another protocol");
        cr_assert_eq(ASK(NULL, .timeout_ms = 200).error, SW_HTTPC_TIMEOUT);
        cr_assert_eq(ASK("", .url = "http://nosuch.invalid/").error, SW_HTTPC_DNS);
        cr_assert_eq(ASK("", .proxy = "http://nosuch.invalid:1").error, SW_HTTPC_DNS);
        cr_assert_eq(ASK("", .proxy = "http://127.0.0.1:1").error, SW_HTTPC_CONNECT);
        cr_assert_eq(ASK("", .url = "ftp://127.0.0.1/").error, SW_HTTPC_OTHER, "no other protocols");
        cr_assert_eq(ASK("", .url = "http://").error, SW_HTTPC_OTHER);
}

Test(net_http, tls_that_fails_is_named)
{
        struct http_kit k = { 0 };
        struct heard h;
        char url[64];

        http_kit_add(&k, "220 mail ready\r\n");
        http_kit_add(&k, "220 mail ready\r\n");
        http_kit_start(&k);
        snprintf(url, sizeof(url), "https://127.0.0.1:%u/", k.port);
        h = ASK("", .url = url);
        cr_assert_eq(h.error, SW_HTTPC_TLS, "%s", h.text);
        h = ASK("", .url = url, .ca_file = "/nonexistent.pem");
        cr_assert_eq(h.error, SW_HTTPC_TLS, "%s", h.text);
        http_kit_stop(&k);
        cr_assert_str_eq(sw_httpc_error_text(SW_HTTPC_TLS), "TLS failed");
}

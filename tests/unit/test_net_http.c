/* SPDX-License-Identifier: Apache-2.0 */
#include "net/http.h"

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

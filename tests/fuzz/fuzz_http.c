/* SPDX-License-Identifier: Apache-2.0 */
/* Heads of HTTP requests: no bytes crash the parser; what it returns lies within them; the answer does not depend on
 * what follows, nor on the pieces in which the bytes came. */
#include "admin/http.h"
#include "fuzz.h"

#include <string.h>

static void check_part(struct sw_str part, struct sw_str whole)
{
        FUZZ_CHECK(!part.p || (part.p >= whole.p && part.n <= whole.n && part.p + part.n <= whole.p + whole.n),
                "a part outside of the request");
}

/* The first prefix that has an answer has the whole's. */
static void check_prefixes(struct sw_str s, int r)
{
        struct sw_http_request req;
        size_t n;
        int early;

        for (n = 0; n < s.n; n++) {
                early = sw_http_parse((struct sw_str){ s.p, n }, &req);
                FUZZ_CHECK(early == 0 || early == r, "%d after %zu bytes, %d after all", early, n, r);
                if (early)
                        return;
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct sw_str s = { (const char *)data, size };
        struct sw_http_request req = { 0 };
        struct sw_http_answer a = { .status = 200 };
        struct sw_buf out = SW_BUF_NULL;
        int r;

        if (size > 8192)
                return 0;
        r = sw_http_parse(s, &req);
        FUZZ_CHECK(r <= (int)size && (r >= 0 || (r >= -599 && r <= -400)), "%d", r);
        if (size < 512)
                check_prefixes(s, r);
        if (r <= 0)
                return 0;
        check_part(req.path, s);
        check_part(req.authorization, s);
        FUZZ_CHECK(req.path.n > 0 && req.path.p[0] == '/' && !memchr(req.path.p, ' ', req.path.n), "path");
        (void)sw_http_bearer_is(req.authorization, SW_STR("token"));
        a.body = req.path;
        a.head_only = req.method == SW_HTTP_HEAD;
        sw_http_write(&out, &a);
        FUZZ_CHECK(!out.failed && memmem(out.p, out.n, "\r\n\r\n", 4), "answer");
        sw_buf_deinit(&out);
        return 0;
}

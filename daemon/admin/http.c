/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/http.h"

#include <string.h>

#define HTTP_TARGET_MAX 1024
#define HTTP_HEADERS_MAX 64
#define HTTP_TYPE "text/plain; charset=utf-8"

/* token of RFC 9110, 5.6.2 */
static bool http_is_token(struct sw_str s)
{
        size_t i;

        for (i = 0; i < s.n; i++) {
                char c = s.p[i];

                if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                            (c && strchr("!#$%&'*+-.^_`|~", c))))
                        return false;
        }
        return s.n > 0;
}

/* Visible ASCII; a path begins with a slash. */
static bool http_is_target(struct sw_str s)
{
        size_t i;

        for (i = 0; i < s.n; i++)
                if (s.p[i] <= ' ' || s.p[i] > '~')
                        return false;
        return s.n > 0 && s.p[0] == '/';
}

static bool http_is_value(struct sw_str s)
{
        size_t i;

        for (i = 0; i < s.n; i++) {
                unsigned char c = (unsigned char)s.p[i];

                if ((c < ' ' && c != '\t') || c == 0x7f)
                        return false;
        }
        return true;
}

static int http_version(struct sw_str v)
{
        if (sw_str_eq(v, SW_STR("HTTP/1.1")))
                return 1;
        if (sw_str_eq(v, SW_STR("HTTP/1.0")))
                return 0;
        return sw_str_starts(v, SW_STR("HTTP/")) ? -505 : -400;
}

/* Minor version, or -status. */
static int http_request_line(struct sw_str line, struct sw_http_request *ret)
{
        const char *a = line.n ? memchr(line.p, ' ', line.n) : NULL, *b, *query;
        struct sw_str method, target, version;

        if (!a)
                return -400;
        b = memchr(a + 1, ' ', line.n - (size_t)(a + 1 - line.p));
        if (!b)
                return -400;
        method = (struct sw_str){ line.p, (size_t)(a - line.p) };
        target = (struct sw_str){ a + 1, (size_t)(b - a - 1) };
        version = (struct sw_str){ b + 1, line.n - (size_t)(b + 1 - line.p) };
        if (!http_is_token(method) || !http_is_target(target))
                return -400;
        if (target.n > HTTP_TARGET_MAX)
                return -414;
        query = memchr(target.p, '?', target.n);
        ret->path = (struct sw_str){ target.p, query ? (size_t)(query - target.p) : target.n };
        ret->method = sw_str_eq(method, SW_STR("GET"))    ? SW_HTTP_GET
                      : sw_str_eq(method, SW_STR("HEAD")) ? SW_HTTP_HEAD
                                                          : SW_HTTP_OTHER;
        return http_version(version);
}

struct http_seen {
        unsigned hosts;
        bool body; /* announced */
};

static struct sw_str http_trim(struct sw_str s)
{
        while (s.n && (s.p[0] == ' ' || s.p[0] == '\t'))
                s = (struct sw_str){ s.p + 1, s.n - 1 };
        while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
                s.n--;
        return s;
}

/* 0 or -status */
static int http_header(struct sw_str line, struct http_seen *seen, struct sw_http_request *ret)
{
        const char *colon = memchr(line.p, ':', line.n);
        struct sw_str name, value;

        if (!colon)
                return -400;
        name = (struct sw_str){ line.p, (size_t)(colon - line.p) };
        value = http_trim((struct sw_str){ colon + 1, line.n - name.n - 1 });
        if (!http_is_token(name) || !http_is_value(value)) /* a folded line begins with a space: no token */
                return -400;
        if (sw_str_ieq(name, SW_STR("host"))) {
                seen->hosts++;
        } else if (sw_str_ieq(name, SW_STR("transfer-encoding"))) {
                seen->body = true;
        } else if (sw_str_ieq(name, SW_STR("content-length"))) {
                uint64_t length;

                if (!sw_parse_u64(value, &length))
                        return -400;
                seen->body = seen->body || length > 0;
        } else if (sw_str_ieq(name, SW_STR("authorization"))) {
                if (ret->authorization.p)
                        return -400;
                ret->authorization = value;
        }
        return 0;
}

int sw_http_parse(struct sw_str bytes, struct sw_http_request *ret)
{
        struct sw_http_request out = { 0 };
        struct http_seen seen = { 0 };
        size_t at = 0, n_lines = 0;
        int minor = 0, r;

        for (;;) {
                const char *end = bytes.n > at ? memchr(bytes.p + at, '\n', bytes.n - at) : NULL;
                struct sw_str line = { bytes.p + at, end ? (size_t)(end - bytes.p) - at : 0 };

                if (!end)
                        return 0;
                if (line.n == 0 || line.p[line.n - 1] != '\r')
                        return -400; /* a bare line feed */
                line.n--;
                at = (size_t)(end - bytes.p) + 1;
                if (line.n == 0 && n_lines > 0)
                        break;
                r = n_lines == 0 ? http_request_line(line, &out) : http_header(line, &seen, &out);
                if (r < 0)
                        return r;
                if (n_lines == 0)
                        minor = r;
                if (++n_lines > HTTP_HEADERS_MAX)
                        return -431;
        }
        if (seen.hosts > 1 || (minor == 1 && seen.hosts == 0))
                return -400;
        if (seen.body && out.method != SW_HTTP_OTHER)
                return -400;
        *ret = out;
        return (int)at;
}

bool sw_http_bearer_is(struct sw_str authorization, struct sw_str token)
{
        static const struct sw_str scheme = { "Bearer ", 7 };
        unsigned char different = 0;
        struct sw_str given;
        size_t i;

        if (authorization.n < scheme.n || !sw_str_ieq((struct sw_str){ authorization.p, scheme.n }, scheme))
                return false;
        given = http_trim((struct sw_str){ authorization.p + scheme.n, authorization.n - scheme.n });
        if (given.n != token.n || token.n == 0)
                return false;
        for (i = 0; i < token.n; i++)
                different = (unsigned char)(different | (given.p[i] ^ token.p[i]));
        return different == 0;
}

const char *sw_http_reason(int status)
{
        static const struct {
                int status;
                const char *reason;
        } reasons[] = { { 200, "OK" }, { 400, "Bad Request" }, { 401, "Unauthorized" }, { 404, "Not Found" },
                { 405, "Method Not Allowed" }, { 408, "Request Timeout" }, { 414, "URI Too Long" },
                { 431, "Request Header Fields Too Large" }, { 500, "Internal Server Error" },
                { 503, "Service Unavailable" }, { 505, "HTTP Version Not Supported" } };
        size_t i;

        for (i = 0; i < sizeof(reasons) / sizeof(*reasons); i++)
                if (reasons[i].status == status)
                        return reasons[i].reason;
        return "Unknown";
}

void sw_http_write(struct sw_buf *out, const struct sw_http_answer *a)
{
        sw_buf_printf(out,
                "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nConnection: close\r\n"
                "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n",
                a->status, sw_http_reason(a->status), a->type ? a->type : HTTP_TYPE, a->body.n);
        if (a->status == 405)
                sw_buf_puts(out, "Allow: GET, HEAD\r\n");
        if (a->status == 401)
                sw_buf_puts(out, "WWW-Authenticate: Bearer\r\n");
        if (a->status == 503)
                sw_buf_puts(out, "Retry-After: 5\r\n");
        sw_buf_puts(out, "\r\n");
        if (!a->head_only)
                sw_buf_put_str(out, a->body);
}

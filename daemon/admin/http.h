/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The little of HTTP/1.1 (RFC 9112) that scrapers and health checks need, and nothing that is not needed: GET and HEAD
 * without a body, one request per connection, CR LF line ends, no folding, no absolute form, no percent escapes in
 * paths. All functions are pure. */
#include "base/str.h"

enum sw_http_method { SW_HTTP_GET, SW_HTTP_HEAD, SW_HTTP_OTHER };

struct sw_http_request {
        enum sw_http_method method;
        struct sw_str path;          /* up to '?' */
        struct sw_str authorization; /* p NULL: none */
};

/* 0: more is needed. Positive: length of the head; *ret points into `bytes`. Negative: -status to answer with. */
int sw_http_parse(struct sw_str bytes, struct sw_http_request *ret);

/* "Bearer TOKEN" against the token, in a time that does not depend on where they differ. */
bool sw_http_bearer_is(struct sw_str authorization, struct sw_str token);

const char *sw_http_reason(int status); /* "Not Found" */
/* A whole answer; `head_only` leaves the body out but not its length. */
struct sw_http_answer {
        int status;
        const char *type; /* NULL: plain text */
        struct sw_str body;
        bool head_only;
};
void sw_http_write(struct sw_buf *out, const struct sw_http_answer *a);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* HTTP client on the daemon's loop: libcurl's multi interface, so that nothing waits. TLS 1.2 at least, peers always
 * verified, no redirects, no proxy from the environment, answers bounded. Threads: the loop's. */
#include "base/str.h"
#include "clock.h"
#include "loop.h"

struct sw_httpc;
struct sw_httpc_call;

struct sw_httpc_request {
        const char *method, *url;   /* method: GET or POST */
        const char *const *headers; /* "Name: value"; copied */
        uint32_t n_headers;
        struct sw_str body;  /* POST; kept by the caller until `fn` was called or the call is cancelled */
        const char *ca_file; /* NULL: the system's */
        const char *proxy;   /* NULL: none */
        int64_t timeout_ms;  /* of the whole call; 0: 30 s */
        int64_t connect_ms;  /* 0: 10 s */
        size_t answer_max;   /* bytes of the answer that are kept; 0: 64 KiB */
};

enum sw_httpc_error {
        SW_HTTPC_OK,      /* there is a whole answer, whatever its status */
        SW_HTTPC_DNS,     /* nothing was sent */
        SW_HTTPC_CONNECT, /* nothing was sent */
        SW_HTTPC_TLS,     /* nothing was sent */
        SW_HTTPC_TIMEOUT,
        SW_HTTPC_BROKEN, /* ended within the request or the answer */
        SW_HTTPC_OTHER,
};
const char *sw_httpc_error_text(enum sw_httpc_error e); /* "no connection" */

struct sw_httpc_answer {
        enum sw_httpc_error error;
        int status;             /* 0 unless error is OK */
        struct sw_str body;     /* NUL-terminated; cut at answer_max */
        int64_t retry_after_ms; /* from seconds or from a date; -1: not given */
        struct sw_wall date;    /* of the server; 0: not given */
        const char *challenge;  /* WWW-Authenticate; "" if there is none */
        char text[256];         /* what libcurl says about an error */
};
/* The answer and its texts are valid during the call. New calls may be started from it. */
typedef void (*sw_httpc_fn)(void *ctx, const struct sw_httpc_answer *a);

/* 0 | -SW_ERR_NOMEM | -SW_ERR_IO. user_agent: kept by reference. */
int sw_httpc_new(struct sw_loop *loop, const char *user_agent, struct sw_httpc **ret);
/* Before the loop is freed. Calls under way are cancelled. NULL-safe, returns NULL. */
struct sw_httpc *sw_httpc_free(struct sw_httpc *h);
/* fn is called later, never from within. 0 | -SW_ERR_NOMEM | -SW_ERR_INVAL (libcurl refuses an option). */
int sw_httpc_start(
        struct sw_httpc *h, const struct sw_httpc_request *r, sw_httpc_fn fn, void *ctx, struct sw_httpc_call **ret);
/* fn is not called any more. NULL-safe, returns NULL. Not from within fn of the same call. */
struct sw_httpc_call *sw_httpc_cancel(struct sw_httpc_call *c);

/* "10" or "Wed, 21 Oct 2026 07:28:00 GMT" as milliseconds from `now`; -1: neither. Never negative otherwise. */
int64_t sw_httpc_retry_after(struct sw_str value, struct sw_wall now);
/* Appends s with everything but letters, digits and -._~ as %XX. */
void sw_httpc_put_encoded(struct sw_buf *out, struct sw_str s);

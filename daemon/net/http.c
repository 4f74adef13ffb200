/* SPDX-License-Identifier: Apache-2.0 */
#include "net/http.h"

#include "base/alloc.h"

#include <curl/curl.h>
#include <string.h>

#define HTTP_TIMEOUT_MS 30000
#define HTTP_CONNECT_MS 10000
#define HTTP_ANSWER_MAX ((size_t)64 << 10)
#define HTTP_ANSWER_ABORT ((size_t)16 << 20) /* an answer without an end */
#define HTTP_FAR_MS (INT64_C(24) * 3600 * 1000)

struct sw_httpc {
        struct sw_loop *loop;
        const char *user_agent;
        CURLM *multi;
        struct sw_watch *timer;
        struct sw_httpc_call *calls;
};

struct sw_httpc_call {
        struct sw_httpc *http;
        struct sw_httpc_call *next, **link;
        CURL *easy;
        struct curl_slist *headers;
        sw_httpc_fn fn;
        void *ctx;
        struct sw_buf body;
        size_t answer_max, n_seen;
        int64_t retry_after_ms;
        struct sw_wall date;
        char challenge[512];
        char error[CURL_ERROR_SIZE];
};

const char *sw_httpc_error_text(enum sw_httpc_error e)
{
        static const char *const texts[] = { "answered", "the name is not known", "no connection", "TLS failed",
                "no answer in time", "the connection broke", "failed" };

        return texts[e];
}

static enum sw_httpc_error http_error(CURLcode r)
{
        switch ((int)r) {
        case CURLE_OK:
                return SW_HTTPC_OK;
        case CURLE_COULDNT_RESOLVE_HOST:
        case CURLE_COULDNT_RESOLVE_PROXY:
                return SW_HTTPC_DNS;
        case CURLE_COULDNT_CONNECT:
                return SW_HTTPC_CONNECT;
        case CURLE_PEER_FAILED_VERIFICATION:
        case CURLE_SSL_CONNECT_ERROR:
        case CURLE_SSL_CERTPROBLEM:
        case CURLE_SSL_CIPHER:
        case CURLE_SSL_CACERT_BADFILE:
        case CURLE_SSL_ISSUER_ERROR:
        case CURLE_SSL_INVALIDCERTSTATUS:
                return SW_HTTPC_TLS;
        case CURLE_OPERATION_TIMEDOUT:
                return SW_HTTPC_TIMEOUT;
        case CURLE_GOT_NOTHING:
        case CURLE_SEND_ERROR:
        case CURLE_RECV_ERROR:
        case CURLE_PARTIAL_FILE:
        case CURLE_WEIRD_SERVER_REPLY:
                return SW_HTTPC_BROKEN;
        default:
                return SW_HTTPC_OTHER;
        }
}

int64_t sw_httpc_retry_after(struct sw_str value, struct sw_wall now)
{
        char text[64];
        uint64_t seconds;
        time_t at;

        while (value.n && (value.p[value.n - 1] == ' ' || value.p[value.n - 1] == '\r'))
                value.n--;
        if (sw_parse_u64(value, &seconds))
                return seconds > 86400 ? 86400 * INT64_C(1000) : (int64_t)seconds * 1000;
        if (value.n == 0 || value.n >= sizeof(text))
                return -1;
        memcpy(text, value.p, value.n);
        text[value.n] = '\0';
        at = curl_getdate(text, NULL);
        if (at < 0)
                return -1;
        return (int64_t)at * 1000 > now.ms ? (int64_t)at * 1000 - now.ms : 0;
}

void sw_httpc_put_encoded(struct sw_buf *out, struct sw_str s)
{
        size_t i;

        for (i = 0; i < s.n; i++) {
                char c = s.p[i];

                if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                        (c && strchr("-._~", c)))
                        sw_buf_putc(out, c);
                else
                        sw_buf_printf(out, "%%%02X", (unsigned char)c);
        }
}

/* ---- one call ---- */

static size_t http_on_body(char *p, size_t size, size_t n, void *ctx)
{
        struct sw_httpc_call *c = ctx;
        size_t room = c->answer_max > c->body.n ? c->answer_max - c->body.n : 0;

        n *= size;
        c->n_seen += n;
        sw_buf_put(&c->body, p, n < room ? n : room);
        return c->body.failed || c->n_seen > HTTP_ANSWER_ABORT ? 0 : n;
}

static bool http_header(struct sw_str line, const char *name, struct sw_str *ret)
{
        size_t n = strlen(name);

        if (line.n <= n || line.p[n] != ':' || !sw_str_ieq((struct sw_str){ line.p, n }, sw_str_of(name)))
                return false;
        line.p += n + 1;
        line.n -= n + 1;
        while (line.n && *line.p == ' ') {
                line.p++;
                line.n--;
        }
        while (line.n && strchr("\r\n ", line.p[line.n - 1]))
                line.n--;
        *ret = line;
        return true;
}

static size_t http_on_header(char *p, size_t size, size_t n, void *ctx)
{
        struct sw_httpc_call *c = ctx;
        struct sw_str line = { p, size * n }, value;
        char text[64];

        if (http_header(line, "Retry-After", &value)) {
                c->retry_after_ms = sw_httpc_retry_after(value, sw_clock_wall());
        } else if (http_header(line, "Date", &value) && value.n < sizeof(text)) {
                time_t at;

                memcpy(text, value.p, value.n);
                text[value.n] = '\0';
                at = curl_getdate(text, NULL);
                c->date.ms = at > 0 ? (int64_t)at * 1000 : 0;
        } else if (http_header(line, "WWW-Authenticate", &value) && value.n < sizeof(c->challenge)) {
                memcpy(c->challenge, value.p, value.n);
                c->challenge[value.n] = '\0';
        }
        return line.n;
}

static void http_call_free(struct sw_httpc_call *c)
{
        struct curl_slist *s;

        if (c->easy) {
                (void)curl_multi_remove_handle(c->http->multi, c->easy);
                curl_easy_cleanup(c->easy);
        }
        for (s = c->headers; s; s = s->next) /* tokens */
                explicit_bzero(s->data, strlen(s->data));
        curl_slist_free_all(c->headers);
        if (c->body.p)
                explicit_bzero(c->body.p, c->body.n);
        sw_buf_deinit(&c->body);
        if (c->link) {
                *c->link = c->next;
                if (c->next)
                        c->next->link = c->link;
        }
        sw_free(c);
}

static void http_finish(struct sw_httpc_call *c, CURLcode code)
{
        struct sw_httpc_answer a = { .error = http_error(code),
                .retry_after_ms = c->retry_after_ms,
                .date = c->date,
                .challenge = c->challenge };
        long status = 0;

        if (a.error == SW_HTTPC_OK) {
                (void)curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
                a.status = (int)status;
        } else {
                (void)snprintf(a.text, sizeof(a.text), "%s", *c->error ? c->error : curl_easy_strerror(code));
        }
        sw_buf_putc(&c->body, '\0');
        if (!c->body.failed)
                a.body = (struct sw_str){ c->body.p, c->body.n - 1 };
        else
                a.body = SW_STR("");
        (void)curl_multi_remove_handle(c->http->multi, c->easy);
        c->fn(c->ctx, &a);
        http_call_free(c);
}

static void http_collect(struct sw_httpc *h)
{
        CURLMsg *m;
        int left;

        while ((m = curl_multi_info_read(h->multi, &left)) != NULL) {
                struct sw_httpc_call *c = NULL;
                CURLcode code = m->data.result;

                if (m->msg != CURLMSG_DONE)
                        continue;
                (void)curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&c);
                http_finish(c, code);
        }
}

static int http_set(struct sw_httpc_call *c, const struct sw_httpc_request *r)
{
        struct sw_httpc *h = c->http;
        CURL *e = c->easy;
        bool post = strcmp(r->method, "POST") == 0;
        unsigned bad = CURLE_OK;

#define SET(option, value) bad |= (unsigned)curl_easy_setopt(e, option, value)
        SET(CURLOPT_PRIVATE, (void *)c);
        SET(CURLOPT_URL, r->url);
        SET(CURLOPT_PROTOCOLS_STR, "http,https");
        SET(CURLOPT_NOSIGNAL, 1L);
        SET(CURLOPT_QUICK_EXIT, 1L); /* never wait for a resolver when the program ends */
        SET(CURLOPT_FOLLOWLOCATION, 0L);
        SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
        SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
        SET(CURLOPT_SSL_VERIFYPEER, 1L);
        SET(CURLOPT_SSL_VERIFYHOST, 2L);
        if (r->ca_file)
                SET(CURLOPT_CAINFO, r->ca_file);
        SET(CURLOPT_PROXY, r->proxy ? r->proxy : "");
        SET(CURLOPT_USERAGENT, h->user_agent);
        SET(CURLOPT_HTTPHEADER, c->headers);
        SET(CURLOPT_TCP_KEEPALIVE, 1L);
        SET(CURLOPT_TIMEOUT_MS, (long)(r->timeout_ms ? r->timeout_ms : HTTP_TIMEOUT_MS));
        SET(CURLOPT_CONNECTTIMEOUT_MS, (long)(r->connect_ms ? r->connect_ms : HTTP_CONNECT_MS));
        SET(CURLOPT_ERRORBUFFER, c->error);
        SET(CURLOPT_WRITEFUNCTION, http_on_body);
        SET(CURLOPT_WRITEDATA, (void *)c);
        SET(CURLOPT_HEADERFUNCTION, http_on_header);
        SET(CURLOPT_HEADERDATA, (void *)c);
        if (post) {
                SET(CURLOPT_POST, 1L);
                SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body.n);
                SET(CURLOPT_POSTFIELDS, r->body.p);
        }
#undef SET
        return bad ? -SW_ERR_INVAL : 0;
}

static int http_add_headers(struct sw_httpc_call *c, const struct sw_httpc_request *r)
{
        uint32_t i;

        for (i = 0; i <= r->n_headers; i++) {
                /* "Expect: 100-continue" would cost a round trip each */
                struct curl_slist *s = curl_slist_append(c->headers, i < r->n_headers ? r->headers[i] : "Expect:");

                if (!s)
                        return -SW_ERR_NOMEM;
                c->headers = s;
        }
        return 0;
}

int sw_httpc_start(
        struct sw_httpc *h, const struct sw_httpc_request *r, sw_httpc_fn fn, void *ctx, struct sw_httpc_call **ret)
{
        struct sw_httpc_call *c = sw_calloc(1, sizeof(*c));
        int rc;

        if (!c)
                return -SW_ERR_NOMEM;
        c->http = h;
        c->fn = fn;
        c->ctx = ctx;
        c->answer_max = r->answer_max ? r->answer_max : HTTP_ANSWER_MAX;
        c->retry_after_ms = -1;
        c->easy = curl_easy_init();
        rc = c->easy ? http_add_headers(c, r) : -SW_ERR_NOMEM;
        if (rc == 0)
                rc = http_set(c, r);
        if (rc == 0 && curl_multi_add_handle(h->multi, c->easy) != CURLM_OK)
                rc = -SW_ERR_NOMEM;
        if (rc < 0) {
                http_call_free(c);
                return rc;
        }
        c->next = h->calls;
        c->link = &h->calls;
        if (c->next)
                c->next->link = &c->next;
        h->calls = c;
        *ret = c;
        return 0;
}

struct sw_httpc_call *sw_httpc_cancel(struct sw_httpc_call *c)
{
        if (c)
                http_call_free(c);
        return NULL;
}

/* ---- libcurl on the loop ---- */

static void http_on_socket_event(void *ctx, int fd, bool readable, bool writable)
{
        struct sw_httpc *h = ctx;
        int running;

        (void)curl_multi_socket_action(
                h->multi, fd, (readable ? CURL_CSELECT_IN : 0) | (writable ? CURL_CSELECT_OUT : 0), &running);
        http_collect(h);
}

static void http_on_timeout(void *ctx)
{
        struct sw_httpc *h = ctx;
        int running;

        (void)curl_multi_socket_action(h->multi, CURL_SOCKET_TIMEOUT, 0, &running);
        http_collect(h);
}

static int http_on_timer_wanted(CURLM *multi, long ms, void *ctx)
{
        struct sw_httpc *h = ctx;

        (void)multi;
        if (h->timer)
                sw_watch_rearm(h->timer, ms < 0 ? HTTP_FAR_MS : ms);
        return 0;
}

static int http_on_socket_wanted(CURL *easy, curl_socket_t fd, int what, void *ctx, void *watch)
{
        struct sw_httpc *h = ctx;
        struct sw_watch *w = watch;

        (void)easy;
        if (what == CURL_POLL_REMOVE) {
                sw_watch_close(w);
                (void)curl_multi_assign(h->multi, fd, NULL);
                return 0;
        }
        if (!w) {
                if (sw_loop_poll(h->loop, fd, http_on_socket_event, h, &w) < 0)
                        return -1;
                (void)curl_multi_assign(h->multi, fd, w);
        }
        sw_watch_want(w, what != CURL_POLL_OUT, what != CURL_POLL_IN);
        return 0;
}

int sw_httpc_new(struct sw_loop *loop, const char *user_agent, struct sw_httpc **ret)
{
        struct sw_httpc *h = sw_calloc(1, sizeof(*h));

        if (!h)
                return -SW_ERR_NOMEM;
        h->loop = loop;
        h->user_agent = user_agent;
        if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
                sw_free(h);
                return -SW_ERR_IO;
        }
        h->multi = curl_multi_init();
        if (!h->multi || sw_loop_timer(loop, HTTP_FAR_MS, 0, http_on_timeout, h, &h->timer) < 0) {
                sw_httpc_free(h);
                return -SW_ERR_NOMEM;
        }
        (void)curl_multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, http_on_socket_wanted);
        (void)curl_multi_setopt(h->multi, CURLMOPT_SOCKETDATA, (void *)h);
        (void)curl_multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, http_on_timer_wanted);
        (void)curl_multi_setopt(h->multi, CURLMOPT_TIMERDATA, (void *)h);
        *ret = h;
        return 0;
}

struct sw_httpc *sw_httpc_free(struct sw_httpc *h)
{
        if (!h)
                return NULL;
        while (h->calls)
                http_call_free(h->calls);
        if (h->multi)
                (void)curl_multi_cleanup(h->multi); /* closes idle connections, whose watches go first */
        sw_watch_close(h->timer);
        curl_global_cleanup();
        sw_free(h);
        return NULL;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "azure/token.h"

#include "azure/token_int.h"
#include "base/alloc.h"

#include <string.h>

#define TOKEN_RETRY_MS 5000              /* between two tries while the old token still serves */
#define TOKEN_REFUSED_MS (5 * 60 * 1000) /* how long a refusal of a fresh token is believed */
#define TOKEN_RETRY_AFTER_MAX_MS (10 * 60 * 1000)
#define TOKEN_LEFT_MS 2000 /* a token with less is not given out: the request takes time too */

struct token_waiter {
        struct token_waiter *next;
        sw_token_fn fn;
        void *ctx;
};

struct sw_token {
        struct sw_token_conf conf; /* its texts are owned */
        struct sw_httpc *http;
        struct sw_log *log;
        struct sw__token_answer token; /* bearer.n == 0: none */
        int64_t got_ms, life_ms;       /* monotonic; of the token in use */
        uint64_t generation;
        bool refused; /* the token in use must not be given out any more */
        int64_t refused_ms;
        bool refused_since_accepted;
        struct sw__token_request request;
        struct sw_httpc_call *call;
        bool challenged;
        int64_t next_try_ms;   /* of a refresh ahead of time */
        int64_t not_before_ms; /* the service said so; 0: it did not */
        struct sw_err said;    /* with that */
        struct token_waiter *first, **last;
        uint64_t n_requests;
};

static const char *token_copy(const char *s, bool *ok)
{
        char *copy = s ? sw_strdup(s) : NULL;

        *ok = *ok && (!s || copy);
        return copy;
}

int sw_token_new(const struct sw_token_conf *conf, struct sw_httpc *http, struct sw_log *log, struct sw_token **ret)
{
        struct sw_token *t = sw_calloc(1, sizeof(*t));
        struct sw_token_conf *c = t ? &t->conf : NULL;
        bool ok = true;

        if (!t)
                return -SW_ERR_NOMEM;
        *c = *conf;
        c->name = token_copy(conf->name, &ok);
        c->tenant = token_copy(conf->tenant, &ok);
        c->client_id = token_copy(conf->client_id, &ok);
        c->secret.file = (void *)(uintptr_t)token_copy(conf->secret.file, &ok);
        c->secret.credential = (void *)(uintptr_t)token_copy(conf->secret.credential, &ok);
        c->token_file = token_copy(conf->token_file, &ok);
        c->authority = token_copy(conf->authority, &ok);
        c->audience = token_copy(conf->audience, &ok);
        c->identity_key = token_copy(conf->identity_key, &ok);
        c->identity = token_copy(conf->identity, &ok);
        c->endpoint = token_copy(conf->endpoint, &ok);
        c->arc_dir = token_copy(conf->arc_dir, &ok);
        c->ca_file = token_copy(conf->ca_file, &ok);
        c->proxy = token_copy(conf->proxy, &ok);
        t->http = http;
        t->log = log;
        t->last = &t->first;
        if (!ok) {
                sw_token_free(t);
                return -SW_ERR_NOMEM;
        }
        *ret = t;
        return 0;
}

static void token_drop(struct sw_token *t)
{
        if (t->token.bearer.p)
                explicit_bzero(t->token.bearer.p, t->token.bearer.n);
        sw_buf_deinit(&t->token.bearer);
}

struct sw_token *sw_token_free(struct sw_token *t)
{
        const struct sw_token_conf *c = t ? &t->conf : NULL;
        const char *texts[14];
        size_t i;

        if (!t)
                return NULL;
        sw_httpc_cancel(t->call);
        sw__token_request_deinit(&t->request);
        while (t->first) {
                struct token_waiter *w = t->first;

                t->first = w->next;
                sw_free(w);
        }
        token_drop(t);
        texts[0] = c->name;
        texts[1] = c->tenant;
        texts[2] = c->client_id;
        texts[3] = c->secret.file;
        texts[4] = c->secret.credential;
        texts[5] = c->token_file;
        texts[6] = c->authority;
        texts[7] = c->audience;
        texts[8] = c->identity_key;
        texts[9] = c->identity;
        texts[10] = c->endpoint;
        texts[11] = c->arc_dir;
        texts[12] = c->ca_file;
        texts[13] = c->proxy;
        for (i = 0; i < sizeof(texts) / sizeof(*texts); i++)
                sw_free((void *)(uintptr_t)texts[i]);
        sw_free(t);
        return NULL;
}

static int64_t token_age(const struct sw_token *t)
{
        return sw_clock_mono().ms - t->got_ms;
}

/* Short-lived tokens get less: what is kept back is never more than a tenth. */
static bool token_serves(const struct sw_token *t)
{
        int64_t left = t->life_ms / 10 < TOKEN_LEFT_MS ? t->life_ms / 10 : TOKEN_LEFT_MS;

        return t->token.bearer.n > 0 && !t->refused && token_age(t) < t->life_ms - left;
}

static bool token_is_due(const struct sw_token *t)
{
        return !token_serves(t) || (token_age(t) >= t->life_ms / 5 * 4 && sw_clock_mono().ms >= t->next_try_ms);
}

static void token_result(const struct sw_token *t, struct sw_token_result *ret)
{
        *ret = (struct sw_token_result){ .bearer = t->token.bearer.p,
                .generation = t->generation,
                .expires = { sw_clock_wall().ms + t->life_ms - token_age(t) },
                .client_id = t->token.client_id,
                .retry_after_ms = -1,
                .message = "" };
}

/* Those who ask from within an answer wait for the next one. */
static void token_tell(struct sw_token *t, const struct sw_token_result *r)
{
        struct token_waiter *w = t->first;

        t->first = NULL;
        t->last = &t->first;
        while (w) {
                struct token_waiter *next = w->next;

                w->fn(w->ctx, r);
                sw_free(w);
                w = next;
        }
}

/* retry_after_ms: -1: not said */
static void token_failed(struct sw_token *t, int code, const struct sw_err *err, int64_t retry_after_ms)
{
        struct sw_token_result r = { .code = code == -SW_ERR_CONFIG ? code : -SW_ERR_UNAVAIL,
                .client_id = "",
                .retry_after_ms = retry_after_ms < TOKEN_RETRY_AFTER_MAX_MS ? retry_after_ms : TOKEN_RETRY_AFTER_MAX_MS,
                .message = err->msg };
        int64_t now = sw_clock_mono().ms;

        if (r.retry_after_ms > 0) {
                t->not_before_ms = now + r.retry_after_ms;
                t->said = *err;
                t->said.code = r.code;
        }
        if (token_serves(t)) {
                t->next_try_ms = now + (r.retry_after_ms > TOKEN_RETRY_MS ? r.retry_after_ms : TOKEN_RETRY_MS);
                sw_log(t->log, SW_LOG_WARNING, "token", t->conf.name, "%s; the token in use serves for %lld s more",
                        err->msg, (long long)((t->life_ms - token_age(t)) / 1000));
                token_result(t, &r);
        }
        token_tell(t, &r);
}

static void token_on_answer(void *ctx, const struct sw_httpc_answer *a);

static int token_send(struct sw_token *t)
{
        const struct sw__token_request *r = &t->request;
        struct sw_httpc_request q = { .method = r->post ? "POST" : "GET",
                .url = r->url.p,
                .headers = r->lines,
                .n_headers = r->n_headers,
                .body = { r->body.p ? r->body.p : "", r->body.n },
                .ca_file = t->conf.ca_file,
                .proxy = r->direct ? NULL : t->conf.proxy,
                .connect_ms = r->direct ? 2000 : 0,
                .timeout_ms = r->direct ? 10000 : 0 };

        t->n_requests++;
        return sw_httpc_start(t->http, &q, token_on_answer, t, &t->call);
}

static void token_on_answer(void *ctx, const struct sw_httpc_answer *a)
{
        struct sw_token *t = ctx;
        struct sw_err err = SW_ERR_NULL;
        struct sw_token_result result;
        struct sw__token_answer got = { .bearer = SW_BUF_NULL };
        int r;

        t->call = NULL;
        if (t->conf.kind == SW_AUTH_ARC && a->status == 401 && !t->challenged) {
                t->challenged = true;
                r = sw__token_request_arc(&t->conf, a->challenge, &t->request, &err);
                if (r == 0)
                        r = token_send(t);
                if (r == 0)
                        return;
        } else {
                r = sw__token_answer_read(&t->conf, a, &got, &err);
        }
        sw__token_request_deinit(&t->request);
        if (r < 0) {
                sw_buf_deinit(&got.bearer);
                token_failed(t, r, &err, a->error == SW_HTTPC_OK ? a->retry_after_ms : -1);
                return;
        }
        token_drop(t);
        t->token = got;
        t->got_ms = sw_clock_mono().ms;
        t->life_ms = got.life_ms;
        t->next_try_ms = t->not_before_ms = 0;
        t->refused = false;
        t->generation++;
        sw_log(t->log, SW_LOG_DEBUG, "token", t->conf.name, "new token for %s, good for %lld s", t->conf.audience,
                (long long)(got.life_ms / 1000));
        token_result(t, &result);
        token_tell(t, &result);
}

static void token_fetch(struct sw_token *t)
{
        struct sw_err err = SW_ERR_NULL;
        int r;

        if (t->call)
                return;
        t->challenged = false;
        r = sw__token_request_make(&t->conf, &t->request, &err);
        if (r == 0) {
                r = token_send(t);
                if (r < 0)
                        (void)sw_err_set(&err, r, "no token: %s", sw_error_text(r));
        }
        if (r < 0) {
                sw__token_request_deinit(&t->request);
                token_failed(t, r, &err, -1);
        }
}

/* The service wants to be left alone: what it said, without asking it. */
static bool token_is_too_early(const struct sw_token *t, struct sw_token_result *ret)
{
        int64_t left = t->not_before_ms ? t->not_before_ms - sw_clock_mono().ms : 0;

        if (left <= 0 || t->call)
                return false;
        *ret = (struct sw_token_result){
                .code = t->said.code, .client_id = "", .retry_after_ms = left, .message = t->said.msg
        };
        return true;
}

int sw_token_get(struct sw_token *t, sw_token_fn fn, void *ctx)
{
        struct sw_token_result r;
        struct token_waiter *w;

        if (token_serves(t)) {
                token_result(t, &r);
                fn(ctx, &r); /* a waiter is told once; the refresh below has none */
                if (token_is_due(t))
                        token_fetch(t);
                return 0;
        }
        if (token_is_too_early(t, &r)) {
                fn(ctx, &r);
                return 0;
        }
        w = sw_calloc(1, sizeof(*w));
        if (!w)
                return -SW_ERR_NOMEM;
        w->fn = fn;
        w->ctx = ctx;
        *t->last = w;
        t->last = &w->next;
        token_fetch(t);
        return 0;
}

void sw_token_forget(struct sw_token *t, void *ctx)
{
        struct token_waiter **at = &t->first;

        while (*at) {
                struct token_waiter *w = *at;

                if (w->ctx == ctx) {
                        *at = w->next;
                        sw_free(w);
                } else {
                        at = &w->next;
                }
        }
        t->last = at;
}

bool sw_token_refused(struct sw_token *t, uint64_t generation)
{
        int64_t now = sw_clock_mono().ms;

        if (generation != t->generation)
                return true; /* a newer one is there already */
        if (t->refused)
                return true;
        if (t->refused_since_accepted && now - t->refused_ms < TOKEN_REFUSED_MS)
                return false;
        t->refused = t->refused_since_accepted = true;
        t->refused_ms = now;
        return true;
}

void sw_token_accepted(struct sw_token *t)
{
        t->refused_since_accepted = false;
}

struct sw_wall sw_token_expires(const struct sw_token *t)
{
        return (struct sw_wall){ t->token.bearer.n ? sw_clock_wall().ms + t->life_ms - token_age(t) : 0 };
}

uint64_t sw_token_requests(const struct sw_token *t)
{
        return t->n_requests;
}

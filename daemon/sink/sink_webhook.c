/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"
#include "base/jsonw.h"
#include "encode/enc_row.h"
#include "secret.h"
#include "sink/sink.h"
#include "sink/template.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>

#define WEBHOOK_BODY_MAX 1000000
#define WEBHOOK_ROWS_MAX 100

struct webhook {
        struct sw_sink base;
        char *name, *url, *ca_file, *proxy;
        struct sw_httpc *http;
        int64_t timeout_ms;
        bool single;
        struct sw_secret_ref signature, bearer; /* copies */
        struct sw_template *template;           /* NULL: the whole finding */
        struct sw_httpc_call *call;
        void (*probe_done)(void *ctx, bool ok, const char *message);
        void *probe_ctx;
};

static int webhook_encode(
        void *sink, const struct sw_json *finding, struct sw_str line, unsigned squeeze, struct sw_buf *out)
{
        static const uint32_t max[SW_COURIER_SQUEEZE_MAX + 1] = { UINT32_MAX, 20000, 5000, 1000 };
        const struct webhook *s = sink;

        if (s->template)
                sw_template_put(s->template, finding, squeeze ? max[squeeze] : SIZE_MAX, out);
        else
                (void)sw_enc_row_finding(out, finding, line, max[squeeze]);
        return SW_COURIER_OK;
}

static int webhook_pack(void *sink, const struct sw_courier_batch *b, struct sw_buf *out)
{
        const struct webhook *s = sink;
        uint32_t i;

        if (!s->single)
                sw_buf_putc(out, '[');
        for (i = 0; i < b->n; i++) {
                if (i)
                        sw_buf_putc(out, ',');
                sw_buf_put(out, b->text + b->items[i].at, b->items[i].n);
        }
        if (!s->single)
                sw_buf_putc(out, ']');
        return 0;
}

static void webhook_done(struct webhook *s, const struct sw_courier_outcome *o)
{
        void (*done)(void *, bool, const char *) = s->probe_done;

        if (!done) {
                sw_courier_done(s->base.courier, o);
                return;
        }
        s->probe_done = NULL;
        done(s->probe_ctx, o->status > 0, o->status > 0 ? "the server answers" : o->reason);
}

static void webhook_on_answer(void *ctx, const struct sw_httpc_answer *a)
{
        struct webhook *s = ctx;
        char reason[400];
        struct sw_courier_outcome o = { .verdict = SW_COURIER_OUTAGE,
                .cause = sw_sink_http_cause(a->error),
                .status = a->status,
                .retry_after_ms = a->retry_after_ms,
                .answer = a->body,
                .reason = reason };

        s->call = NULL;
        if (a->error != SW_HTTPC_OK)
                (void)snprintf(reason, sizeof(reason), "%s: %.250s", sw_httpc_error_text(a->error), a->text);
        else
                (void)snprintf(reason, sizeof(reason), "status %d: %.200s", a->status, a->body.p);
        if (a->status >= 200 && a->status < 300)
                o.verdict = SW_COURIER_DELIVERED;
        else if (a->status == 413)
                o.verdict = SW_COURIER_TOO_LARGE;
        else if (a->status == 400 || a->status == 422)
                o.verdict = SW_COURIER_REFUSED;
        webhook_done(s, &o);
}

struct webhook_headers {
        struct sw_buf texts[4];
        const char *lines[4];
        uint32_t n;
};

static struct sw_buf *webhook_header(struct webhook_headers *h, const char *name)
{
        struct sw_buf *b = &h->texts[h->n++];

        sw_buf_puts(b, name);
        sw_buf_puts(b, ": ");
        return b;
}

/* "v1=" and the hex digits of HMAC-SHA256 over "TIMESTAMP.BODY". */
static int webhook_sign(const struct webhook *s, struct webhook_headers *h, struct sw_str body, struct sw_err *reterr)
{
        struct sw_secret key = SW_SECRET_NULL;
        struct sw_buf text = SW_BUF_NULL, *b;
        unsigned char mac[EVP_MAX_MD_SIZE];
        long long now = sw_clock_wall().ms / 1000;
        unsigned n = 0, i;
        int r = sw_secret_read(&s->signature, &key, reterr);

        if (r != 0)
                return -SW_ERR_CONFIG;
        sw_buf_printf(&text, "%lld.", now);
        sw_buf_put_str(&text, body);
        sw_buf_printf(webhook_header(h, "X-Segwatch-Timestamp"), "%lld", now);
        b = webhook_header(h, "X-Segwatch-Signature");
        sw_buf_puts(b, "v1=");
        if (text.failed || !HMAC(EVP_sha256(), key.text, (int)key.n, (const unsigned char *)text.p, text.n, mac, &n))
                r = sw_err_set(reterr, -SW_ERR_NOMEM, "the signature cannot be made");
        for (i = 0; i < n; i++)
                sw_buf_printf(b, "%02x", mac[i]);
        sw_buf_deinit(&text);
        sw_secret_deinit(&key);
        return r;
}

static int webhook_bearer(const struct webhook *s, struct webhook_headers *h, struct sw_err *reterr)
{
        struct sw_secret token = SW_SECRET_NULL;
        struct sw_buf *b;
        int r = sw_secret_read(&s->bearer, &token, reterr);

        if (r != 0)
                return -SW_ERR_CONFIG;
        b = webhook_header(h, "Authorization");
        sw_buf_puts(b, "Bearer ");
        sw_buf_puts(b, token.text);
        sw_secret_deinit(&token);
        return 0;
}

static bool webhook_has(const struct sw_secret_ref *r)
{
        return r->file || r->credential;
}

static int webhook_start(struct webhook *s, const char *method, struct sw_str body, struct sw_err *reterr)
{
        struct webhook_headers h = { .n = 0 };
        struct sw_httpc_request q = { .method = method,
                .url = s->url,
                .headers = h.lines,
                .body = body,
                .ca_file = s->ca_file,
                .proxy = s->proxy,
                .timeout_ms = s->timeout_ms };
        uint32_t i;
        int r = 0;

        sw_buf_puts(webhook_header(&h, "Content-Type"), "application/json");
        if (webhook_has(&s->signature))
                r = webhook_sign(s, &h, body, reterr);
        if (r == 0 && webhook_has(&s->bearer))
                r = webhook_bearer(s, &h, reterr);
        for (i = 0; i < h.n; i++) {
                sw_buf_putc(&h.texts[i], '\0');
                h.lines[i] = h.texts[i].p;
                r = r == 0 && h.texts[i].failed ? sw_err_set(reterr, -SW_ERR_NOMEM, "out of memory") : r;
        }
        q.n_headers = h.n;
        if (r == 0) {
                r = sw_httpc_start(s->http, &q, webhook_on_answer, s, &s->call);
                if (r < 0)
                        (void)sw_err_set(reterr, r, "%s", sw_error_text(r));
        }
        for (i = 0; i < h.n; i++) {
                if (h.texts[i].p)
                        explicit_bzero(h.texts[i].p, h.texts[i].n);
                sw_buf_deinit(&h.texts[i]);
        }
        return r;
}

static void webhook_send(void *sink, struct sw_str payload, uint32_t n_rows)
{
        struct webhook *s = sink;
        struct sw_err err = SW_ERR_NULL;

        (void)n_rows;
        if (webhook_start(s, "POST", payload, &err) < 0) {
                const struct sw_courier_outcome o = {
                        .verdict = SW_COURIER_OUTAGE, .retry_after_ms = -1, .reason = err.msg
                };

                webhook_done(s, &o);
        }
}

static void webhook_abort(void *sink)
{
        struct webhook *s = sink;

        s->call = sw_httpc_cancel(s->call);
}

/* Any answer to GET shows that name, way and TLS are right; what a POST would do is not tried. */
static void webhook_probe(struct sw_sink *sink, void (*done)(void *ctx, bool ok, const char *message), void *ctx)
{
        struct webhook *s = (struct webhook *)sink;
        struct sw_err err = SW_ERR_NULL;

        s->probe_done = done;
        s->probe_ctx = ctx;
        if (webhook_start(s, "GET", SW_STR(""), &err) < 0) {
                s->probe_done = NULL;
                done(ctx, false, err.msg);
        }
}

static void webhook_stop(struct sw_sink *sink)
{
        webhook_abort(sink);
}

static struct sw_sink *webhook_free(struct sw_sink *sink)
{
        struct webhook *s = (struct webhook *)sink;

        sw_courier_free(s->base.courier);
        sw_template_free(s->template);
        sw_free(s->name);
        sw_free(s->url);
        sw_free(s->ca_file);
        sw_free(s->proxy);
        sw_free(s->signature.file);
        sw_free(s->signature.credential);
        sw_free(s->bearer.file);
        sw_free(s->bearer.credential);
        sw_free(s);
        return NULL;
}

static const struct sw_courier_ops webhook_ops = {
        .encode = webhook_encode, .pack = webhook_pack, .send = webhook_send, .abort = webhook_abort
};

static char *webhook_copy(const char *text, bool *ok)
{
        char *copy = text ? sw_strdup(text) : NULL;

        *ok = *ok && (!text || copy);
        return copy;
}

static bool webhook_fill(struct webhook *s, const struct sw_sink_webhook_conf *conf, const struct sw_sink_env *env)
{
        struct sw_courier_conf courier = conf->base.courier;
        bool ok = true;

        s->base = (struct sw_sink){
                .kind = "webhook", .probe = webhook_probe, .stop = webhook_stop, .free = webhook_free
        };
        s->http = env->http;
        s->timeout_ms = conf->base.timeout_ms;
        s->single = conf->single;
        s->name = webhook_copy(courier.name, &ok);
        s->url = webhook_copy(conf->url, &ok);
        s->ca_file = webhook_copy(conf->base.ca_file, &ok);
        s->proxy = webhook_copy(conf->base.proxy, &ok);
        s->signature.file = webhook_copy(conf->signature.file, &ok);
        s->signature.credential = webhook_copy(conf->signature.credential, &ok);
        s->bearer.file = webhook_copy(conf->bearer.file, &ok);
        s->bearer.credential = webhook_copy(conf->bearer.credential, &ok);
        courier.name = s->name;
        courier.body_max = WEBHOOK_BODY_MAX;
        if (courier.rows_max == 0 || courier.rows_max > WEBHOOK_ROWS_MAX)
                courier.rows_max = WEBHOOK_ROWS_MAX;
        if (s->single)
                courier.rows_max = 1;
        courier.overhead = 1;
        if (ok && conf->fields && conf->fields->n > 0)
                ok = sw_template_new(conf->fields, &s->template) == 0;
        return ok && sw_courier_new(&courier, &webhook_ops, s, &env->feed, env->loop, env->log, &s->base.courier) == 0;
}

int sw_sink_webhook_new(const struct sw_sink_webhook_conf *conf, const struct sw_sink_env *env, struct sw_sink **ret,
        struct sw_err *reterr)
{
        struct webhook *s = sw_calloc(1, sizeof(*s));

        if (!s || !webhook_fill(s, conf, env)) {
                if (s)
                        webhook_free(&s->base);
                return sw_err_set(reterr, -SW_ERR_NOMEM, "out of memory");
        }
        *ret = &s->base;
        return 0;
}

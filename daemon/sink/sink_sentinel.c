/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"
#include "base/time.h"
#include "encode/enc_row.h"
#include "sink/sink.h"

#include <libdeflate.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define SENTINEL_API "2023-01-01"
#define SENTINEL_BODY_MAX 1000000 /* the limit is 1 MiB, of the body before and after compression */
#define SENTINEL_ROWS_MAX 2000
#define SENTINEL_SPREAD_MS (29 * SW_MINUTE) /* RecordsTimeRangeIsMoreThan30Minutes */
#define SENTINEL_SKEW_MS (60 * SW_SECOND)

struct sentinel {
        struct sw_sink base;
        char *name, *url, *ca_file, *proxy;
        struct sw_httpc *http;
        struct sw_log *log;
        struct sw_token *token;
        int64_t timeout_ms;
        struct sw_str payload; /* the courier's */
        uint64_t generation;   /* of the token it goes with */
        char identity[64];     /* client id it is for, as far as known */
        struct sw_httpc_call *call;
        /* packing, one batch at a time */
        struct libdeflate_compressor *gzip;
        struct sw_buf plain;
        char *room;
        size_t room_n;
        /* a question of its own */
        void (*probe_done)(void *ctx, bool ok, const char *message);
        void *probe_ctx;
        struct sw_buf probe_body;
};

/* ---- rows: threads of the pool ---- */

static int sentinel_encode(
        void *sink, const struct sw_json *finding, struct sw_str line, unsigned squeeze, struct sw_buf *out)
{
        static const uint32_t max[SW_COURIER_SQUEEZE_MAX + 1] = { SW_ROW_FINDING_MAX, 20000, 5000, 1000 };

        (void)sink;
        return sw_enc_row(out, finding, line, max[squeeze]) == SW_ROW_OK ? SW_COURIER_OK : SW_COURIER_NOT_A_ROW;
}

/* Level 1: findings shrink to a tenth anyway. */
static int sentinel_gzip(struct sentinel *s, struct sw_buf *out, struct sw_str plain)
{
        size_t n;

        if (!s->gzip)
                s->gzip = libdeflate_alloc_compressor(1);
        if (!s->gzip)
                return -SW_ERR_NOMEM;
        n = libdeflate_gzip_compress_bound(s->gzip, plain.n);
        if (n > s->room_n) {
                sw_free(s->room);
                s->room = sw_alloc(n);
                s->room_n = s->room ? n : 0;
        }
        if (!s->room)
                return -SW_ERR_NOMEM;
        n = libdeflate_gzip_compress(s->gzip, plain.p, plain.n, s->room, s->room_n);
        sw_buf_put(out, s->room, n);
        return n > 0 && !out->failed ? 0 : -SW_ERR_NOMEM;
}

static int sentinel_pack(void *sink, const struct sw_courier_batch *b, struct sw_buf *out)
{
        struct sentinel *s = sink;
        uint32_t i;

        sw_buf_reset(&s->plain);
        sw_buf_putc(&s->plain, '[');
        for (i = 0; i < b->n; i++) {
                if (i)
                        sw_buf_putc(&s->plain, ',');
                sw_buf_put(&s->plain, b->text + b->items[i].at, b->items[i].n);
        }
        sw_buf_putc(&s->plain, ']');
        return s->plain.failed ? -SW_ERR_NOMEM : sentinel_gzip(s, out, (struct sw_str){ s->plain.p, s->plain.n });
}

/* ---- answers ---- */

static void sentinel_words(const struct sw_httpc_answer *a, char out[200])
{
        struct sw_json *j = sw_json_parse(a->body);
        struct sw_str code = sw_json_str(sw_json_at(j, "error.code")),
                      text = sw_json_str(sw_json_at(j, "error.message"));

        if (code.n)
                (void)snprintf(out, 200, "%.60s: %.130s", code.p, text.p ? text.p : "");
        else
                (void)snprintf(out, 200, "%.190s", a->body.p);
        sw_json_free(j);
}

static void sentinel_judge(
        const struct sentinel *s, const struct sw_httpc_answer *a, struct sw_courier_outcome *o, char reason[400])
{
        char words[200];

        *o = (struct sw_courier_outcome){ .verdict = SW_COURIER_OUTAGE,
                .cause = sw_sink_http_cause(a->error),
                .status = a->status,
                .retry_after_ms = a->retry_after_ms,
                .answer = a->body,
                .reason = reason };
        if (a->error != SW_HTTPC_OK) {
                (void)snprintf(reason, 400, "%s: %.250s", sw_httpc_error_text(a->error), a->text);
                return;
        }
        sentinel_words(a, words);
        switch (a->status) {
        case 400:
                if (strncmp(words, "InvalidStream:", 14) == 0) {
                        (void)snprintf(reason, 400,
                                "status 400: %s: is stream declared in the data collection rule, and dcr the right "
                                "one? A change of the rule takes some minutes",
                                words);
                        return;
                }
                o->verdict = SW_COURIER_REFUSED;
                (void)snprintf(reason, 400, "status 400");
                return;
        case 401:
                (void)snprintf(reason, 400,
                        "status 401 also with a new token: %s: do audience and cloud fit the endpoint?", words);
                return;
        case 403:
                (void)snprintf(reason, 400,
                        "status 403: %s: the identity%s%s needs the role Monitoring Metrics Publisher on the data "
                        "collection rule; a new assignment takes up to 30 min",
                        words, *s->identity ? " " : "", s->identity);
                return;
        case 404:
                (void)snprintf(
                        reason, 400, "status 404: %s: are endpoint, dcr (immutable id) and stream right?", words);
                return;
        case 413:
                o->verdict = SW_COURIER_TOO_LARGE;
                (void)snprintf(reason, 400, "status 413");
                return;
        case 429:
                (void)snprintf(reason, 400, "status 429: the rule's rate limit is reached");
                return;
        default:
                if (a->status >= 200 && a->status < 300)
                        o->verdict = SW_COURIER_DELIVERED;
                (void)snprintf(reason, 400, "status %d: %s", a->status, words);
        }
}

static void sentinel_check_clock(const struct sentinel *s, const struct sw_httpc_answer *a)
{
        int64_t skew = a->date.ms ? sw_clock_wall().ms - a->date.ms : 0;

        if (skew > SENTINEL_SKEW_MS || skew < -SENTINEL_SKEW_MS)
                sw_log(s->log, SW_LOG_WARNING, "clock_skew", s->name,
                        "this machine's clock differs by %lld s from Azure's: tokens and times of findings suffer",
                        (long long)(skew / 1000));
}

/* ---- one request ---- */

static void sentinel_request(struct sentinel *s);
static void sentinel_probe_answer(struct sentinel *s, const struct sw_courier_outcome *o);

static void sentinel_done(struct sentinel *s, const struct sw_courier_outcome *o)
{
        if (s->probe_done)
                sentinel_probe_answer(s, o);
        else
                sw_courier_done(s->base.courier, o);
}

static void sentinel_on_answer(void *ctx, const struct sw_httpc_answer *a)
{
        struct sentinel *s = ctx;
        struct sw_courier_outcome o;
        char reason[400] = "";

        s->call = NULL;
        if (a->error == SW_HTTPC_OK)
                sentinel_check_clock(s, a);
        if (a->status == 401 && sw_token_refused(s->token, s->generation)) {
                sentinel_request(s); /* once, with a new token */
                return;
        }
        if (a->error == SW_HTTPC_OK && a->status != 401)
                sw_token_accepted(s->token);
        sentinel_judge(s, a, &o, reason);
        sentinel_done(s, &o);
}

static void sentinel_guid(char out[37])
{
        unsigned char b[16] = { 0 };

        (void)!getrandom(b, sizeof(b), 0);
        b[6] = (b[6] & 0x0f) | 0x40;
        b[8] = (b[8] & 0x3f) | 0x80;
        (void)snprintf(out, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1],
                b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}

/* retry_after_ms: -1: not said */
static void sentinel_no_request(
        struct sentinel *s, enum sw_courier_cause cause, int64_t retry_after_ms, const char *why)
{
        const struct sw_courier_outcome o = {
                .verdict = SW_COURIER_OUTAGE, .cause = cause, .retry_after_ms = retry_after_ms, .reason = why
        };

        sentinel_done(s, &o);
}

static void sentinel_on_token(void *ctx, const struct sw_token_result *t)
{
        struct sentinel *s = ctx;
        struct sw_buf auth = SW_BUF_NULL;
        char id[64] = "x-ms-client-request-id: ";
        const char *headers[] = { NULL, "Content-Type: application/json", "Content-Encoding: gzip", id };
        struct sw_httpc_request q = { .method = "POST",
                .url = s->url,
                .headers = headers,
                .n_headers = 4,
                .body = s->payload,
                .ca_file = s->ca_file,
                .proxy = s->proxy,
                .timeout_ms = s->timeout_ms };
        int r;

        if (t->code < 0) {
                sentinel_no_request(s, SW_COURIER_CAUSE_AUTH, t->retry_after_ms, t->message);
                return;
        }
        s->generation = t->generation;
        if (*t->client_id)
                (void)snprintf(s->identity, sizeof(s->identity), "%s", t->client_id);
        sentinel_guid(id + strlen(id));
        sw_buf_puts(&auth, "Authorization: Bearer ");
        sw_buf_puts(&auth, t->bearer);
        sw_buf_putc(&auth, '\0');
        headers[0] = auth.p;
        r = auth.failed ? -SW_ERR_NOMEM : sw_httpc_start(s->http, &q, sentinel_on_answer, s, &s->call);
        if (auth.p)
                explicit_bzero(auth.p, auth.n);
        sw_buf_deinit(&auth);
        if (r < 0)
                sentinel_no_request(s, SW_COURIER_CAUSE_OTHER, -1, sw_error_text(r));
}

static void sentinel_request(struct sentinel *s)
{
        if (sw_token_get(s->token, sentinel_on_token, s) < 0)
                sentinel_no_request(s, SW_COURIER_CAUSE_OTHER, -1, sw_error_text(-SW_ERR_NOMEM));
}

static void sentinel_send(void *sink, struct sw_str payload, uint32_t n_rows)
{
        struct sentinel *s = sink;

        (void)n_rows;
        s->payload = payload;
        sentinel_request(s);
}

static void sentinel_abort(void *sink)
{
        struct sentinel *s = sink;

        sw_token_forget(s->token, s);
        s->call = sw_httpc_cancel(s->call);
}

/* ---- a question: an empty array is taken, or refused as empty, without a row being made, but only after the rights
 * and the stream were looked at ---- */

/* Any other refusal says nothing of rule and stream: the service may not have come to look at them. */
static bool sentinel_says_empty(const struct sw_courier_outcome *o)
{
        static const char *const paths[] = { "error.code", "error.message" };
        struct sw_json *j = sw_json_parse(o->answer);
        bool found = false;
        size_t i;

        for (i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
                struct sw_str s = sw_json_str(sw_json_at(j, paths[i]));

                found = found || (s.n && strcasestr(s.p, "empty"));
        }
        sw_json_free(j);
        return found;
}

static void sentinel_probe_answer(struct sentinel *s, const struct sw_courier_outcome *o)
{
        void (*done)(void *, bool, const char *) = s->probe_done;
        bool ok = o->verdict == SW_COURIER_DELIVERED || (o->verdict == SW_COURIER_REFUSED && sentinel_says_empty(o));
        char text[512];

        s->probe_done = NULL;
        if (ok)
                (void)snprintf(text, sizeof(text), "token and rule work (status %d to an empty array)", o->status);
        else if (o->verdict != SW_COURIER_OUTAGE)
                (void)snprintf(
                        text, sizeof(text), "%s to an empty array: %.300s", o->reason, o->answer.p ? o->answer.p : "");
        else
                (void)snprintf(text, sizeof(text), "%s", o->reason);
        done(s->probe_ctx, ok, text);
}

static void sentinel_probe(struct sw_sink *sink, void (*done)(void *ctx, bool ok, const char *message), void *ctx)
{
        struct sentinel *s = (struct sentinel *)sink;

        s->probe_done = done;
        s->probe_ctx = ctx;
        sw_buf_reset(&s->probe_body);
        if (sentinel_gzip(s, &s->probe_body, SW_STR("[]")) < 0) {
                sentinel_no_request(s, SW_COURIER_CAUSE_OTHER, -1, sw_error_text(-SW_ERR_NOMEM));
                return;
        }
        s->payload = (struct sw_str){ s->probe_body.p, s->probe_body.n };
        sentinel_request(s);
}

/* ---- life ---- */

static struct sw_wall sentinel_token_expires(const struct sw_sink *sink)
{
        const struct sentinel *s = (const struct sentinel *)sink;

        return s->token ? sw_token_expires(s->token) : (struct sw_wall){ 0 };
}

static void sentinel_stop(struct sw_sink *sink)
{
        struct sentinel *s = (struct sentinel *)sink;

        s->call = sw_httpc_cancel(s->call);
        s->token = sw_token_free(s->token);
}

static struct sw_sink *sentinel_free(struct sw_sink *sink)
{
        struct sentinel *s = (struct sentinel *)sink;

        sw_courier_free(s->base.courier);
        sw_token_free(s->token);
        sw_free(s->name);
        sw_free(s->url);
        sw_free(s->ca_file);
        sw_free(s->proxy);
        sw_buf_deinit(&s->probe_body);
        sw_buf_deinit(&s->plain);
        sw_free(s->room);
        if (s->gzip)
                libdeflate_free_compressor(s->gzip);
        sw_free(s);
        return NULL;
}

static const struct sw_courier_ops sentinel_ops = {
        .encode = sentinel_encode, .pack = sentinel_pack, .send = sentinel_send, .abort = sentinel_abort
};

static char *sentinel_url(const struct sw_sink_sentinel_conf *conf)
{
        struct sw_str endpoint = sw_str_of(conf->endpoint);
        struct sw_buf url = SW_BUF_NULL;

        while (endpoint.n && endpoint.p[endpoint.n - 1] == '/')
                endpoint.n--;
        sw_buf_put_str(&url, endpoint);
        sw_buf_puts(&url, "/dataCollectionRules/");
        sw_httpc_put_encoded(&url, sw_str_of(conf->dcr));
        sw_buf_puts(&url, "/streams/");
        sw_httpc_put_encoded(&url, sw_str_of(conf->stream));
        sw_buf_puts(&url, "?api-version=" SENTINEL_API);
        sw_buf_putc(&url, '\0');
        if (url.failed)
                sw_buf_deinit(&url);
        return url.p;
}

int sw_sink_sentinel_new(const struct sw_sink_sentinel_conf *conf, const struct sw_sink_env *env, struct sw_sink **ret,
        struct sw_err *reterr)
{
        struct sentinel *s = sw_calloc(1, sizeof(*s));
        struct sw_courier_conf courier = conf->base.courier;
        bool ok = s != NULL;

        if (ok) {
                s->base = (struct sw_sink){ .kind = "sentinel",
                        .probe = sentinel_probe,
                        .token_expires = sentinel_token_expires,
                        .stop = sentinel_stop,
                        .free = sentinel_free };
                s->http = env->http;
                s->log = env->log;
                s->timeout_ms = conf->base.timeout_ms;
                s->name = sw_strdup(courier.name);
                if (conf->auth.client_id)
                        (void)snprintf(s->identity, sizeof(s->identity), "%s", conf->auth.client_id);
                s->url = sentinel_url(conf);
                s->ca_file = conf->base.ca_file ? sw_strdup(conf->base.ca_file) : NULL;
                s->proxy = conf->base.proxy ? sw_strdup(conf->base.proxy) : NULL;
                courier.name = s->name;
                courier.body_max = SENTINEL_BODY_MAX;
                courier.rows_max = courier.rows_max ? courier.rows_max : SENTINEL_ROWS_MAX;
                courier.spread_max_ms = SENTINEL_SPREAD_MS;
                courier.overhead = 1;
                ok = s->name && s->url && (!conf->base.ca_file || s->ca_file) && (!conf->base.proxy || s->proxy) &&
                     sw_token_new(&conf->auth, env->http, env->log, &s->token) == 0 &&
                     sw_courier_new(&courier, &sentinel_ops, s, &env->feed, env->loop, env->log, &s->base.courier) == 0;
        }
        if (!ok) {
                if (s)
                        sentinel_free(&s->base);
                return sw_err_set(reterr, -SW_ERR_NOMEM, "out of memory");
        }
        *ret = &s->base;
        return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Syslog has no answers. A row counts as delivered when the other end's TCP has it (the socket's send queue is empty)
 * and the connection still stands; what was under way when it broke is sent again on the next one. Over TLS a new
 * connection is used only once the server has taken our certificate (sink/stream.h). */
#include "base/alloc.h"
#include "encode/enc_cef.h"
#include "encode/enc_row.h"
#include "encode/enc_syslog.h"
#include "secret.h"
#include "sink/sink.h"
#include "sink/stream.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SYSLOG_BODY_MAX 262144
#define SYSLOG_ROWS_MAX 2000
#define SYSLOG_FRAME_HEAD 12

struct syslog {
        struct sw_sink base;
        char *name, *hostname, *version;
        uint32_t format, facility;
        struct sw_stream *stream;
        void (*probe_done)(void *ctx, bool ok, const char *message);
        void *probe_ctx;
};

/* Streams take any size; datagrams do not (Linux: 208 KiB unless told otherwise). A CEF line is short by itself. */
static int syslog_encode(
        void *sink, const struct sw_json *finding, struct sw_str line, unsigned squeeze, struct sw_buf *out)
{
        const struct syslog *s = sink;
        const struct sw_syslog_head head = { s->facility, sw_str_of(s->hostname), SW_STR("segwatch"),
                sw_str_of(s->version) };
        static const uint32_t max[SW_COURIER_SQUEEZE_MAX + 1] = { UINT32_MAX, 200000, 60000, 8000 };
        struct sw_buf text = SW_BUF_NULL, message = SW_BUF_NULL;
        int r = 0;

        if (s->format == SW_SYSLOG_CEF)
                r = sw_enc_cef(&text, finding) == SW_CEF_OK ? SW_COURIER_OK : SW_COURIER_NOT_A_ROW;
        else
                (void)sw_enc_row_finding(&text, finding, line, max[squeeze]);
        if (r == 0) {
                sw_enc_syslog(&message, &head, finding, (struct sw_str){ text.p, text.n });
                sw_enc_syslog_frame(out, (struct sw_str){ message.p, message.n });
        }
        if (text.failed || message.failed)
                r = -SW_ERR_NOMEM;
        sw_buf_deinit(&text);
        sw_buf_deinit(&message);
        return r;
}

static int syslog_pack(void *sink, const struct sw_courier_batch *b, struct sw_buf *out)
{
        uint32_t i;

        (void)sink;
        for (i = 0; i < b->n; i++)
                sw_buf_put(out, b->text + b->items[i].at, b->items[i].n);
        return 0;
}

static void syslog_send(void *sink, struct sw_str payload, uint32_t n_rows)
{
        struct syslog *s = sink;

        (void)n_rows;
        sw_stream_send(s->stream, payload);
}

static void syslog_abort(void *sink)
{
        struct syslog *s = sink;

        sw_stream_reset(s->stream);
}

static void syslog_on_done(void *ctx, enum sw_courier_verdict verdict, const char *reason)
{
        struct syslog *s = ctx;
        void (*done)(void *, bool, const char *) = s->probe_done;
        const struct sw_courier_outcome o = {
                .verdict = verdict, .cause = sw_stream_cause(s->stream), .retry_after_ms = -1, .reason = reason
        };

        if (!done) {
                sw_courier_done(s->base.courier, &o);
                return;
        }
        s->probe_done = NULL;
        done(s->probe_ctx, verdict == SW_COURIER_DELIVERED, verdict == SW_COURIER_DELIVERED ? "connected" : reason);
}

static void syslog_probe(struct sw_sink *sink, void (*done)(void *ctx, bool ok, const char *message), void *ctx)
{
        struct syslog *s = (struct syslog *)sink;

        s->probe_done = done;
        s->probe_ctx = ctx;
        sw_stream_send(s->stream, SW_STR(""));
}

static void syslog_stop(struct sw_sink *sink)
{
        struct syslog *s = (struct syslog *)sink;

        sw_stream_stop(s->stream);
}

static struct sw_sink *syslog_free(struct sw_sink *sink)
{
        struct syslog *s = (struct syslog *)sink;

        sw_courier_free(s->base.courier);
        sw_stream_free(s->stream);
        sw_free(s->name);
        sw_free(s->hostname);
        sw_free(s->version);
        sw_free(s);
        return NULL;
}

static const struct sw_courier_ops syslog_ops = {
        .encode = syslog_encode, .pack = syslog_pack, .send = syslog_send, .abort = syslog_abort
};

static bool syslog_fill(struct syslog *s, const struct sw_sink_syslog_conf *conf, const struct sw_sink_env *env)
{
        struct sw_courier_conf courier = conf->base.courier;
        const struct sw_stream_conf stream = { .name = courier.name,
                .kind = conf->transport == SW_SYSLOG_UNIX  ? SW_STREAM_UNIX
                        : conf->transport == SW_SYSLOG_TLS ? SW_STREAM_TLS
                                                           : SW_STREAM_TCP,
                .host = conf->host,
                .port = conf->port,
                .path = conf->path,
                .ca_file = conf->base.ca_file,
                .client_pem = conf->client_pem,
                .timeout_ms = conf->base.timeout_ms,
                .done = syslog_on_done,
                .ctx = s };
        char here[256] = "";

        (void)gethostname(here, sizeof(here) - 1);
        s->base = (struct sw_sink){ .kind = "syslog", .probe = syslog_probe, .stop = syslog_stop, .free = syslog_free };
        s->format = conf->format;
        s->facility = conf->facility;
        s->name = sw_strdup(courier.name);
        s->hostname = sw_strdup(conf->hostname ? conf->hostname : here);
        s->version = sw_strdup(conf->base.version);
        courier.name = s->name;
        courier.body_max = SYSLOG_BODY_MAX;
        courier.rows_max = courier.rows_max ? courier.rows_max : SYSLOG_ROWS_MAX;
        courier.overhead = SYSLOG_FRAME_HEAD;
        return s->name && s->hostname && s->version && sw_stream_new(&stream, env->loop, &s->stream) == 0 &&
               sw_courier_new(&courier, &syslog_ops, s, &env->feed, env->loop, env->log, &s->base.courier) == 0;
}

int sw_sink_syslog_new(const struct sw_sink_syslog_conf *conf, const struct sw_sink_env *env, struct sw_sink **ret,
        struct sw_err *reterr)
{
        struct syslog *s = sw_calloc(1, sizeof(*s));

        if (!s || !syslog_fill(s, conf, env)) {
                if (s)
                        syslog_free(&s->base);
                return sw_err_set(reterr, -SW_ERR_NOMEM, "out of memory");
        }
        *ret = &s->base;
        return 0;
}

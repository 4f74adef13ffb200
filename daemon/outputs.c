/* SPDX-License-Identifier: Apache-2.0 */
#include "outputs.h"

#include "base/alloc.h"
#include "conf_outputs.h"
#include "encode/enc_row.h"

#include <stdio.h>
#include <string.h>

#define OUTPUTS_POLL_MS 1000
#define OUTPUTS_AGENT "segwatch/" SW_VERSION

struct outputs_item {
        struct sw_outbox *outbox;
        const struct sw_conf_output *row;
        struct sw_sink *sink;
};

struct sw_outputs {
        struct sw_httpc *http;
        struct outputs_item *items;
        uint32_t n;
};

/* ---- one row ---- */

static void outputs_monitor_token(const struct sw_conf_output *o, struct sw_token_conf *ret)
{
        sw_conf_auth_token(&o->auth, o->name, ret);
        if (!ret->audience)
                ret->audience = sw_conf_auth_monitor(&o->auth);
        if (!ret->ca_file)
                ret->ca_file = o->ca_file;
        if (!ret->proxy)
                ret->proxy = o->proxy;
}

int sw_outputs_make(const struct sw_conf_output *o, const struct sw_sink_env *env, const struct sw_courier_conf *base,
        struct sw_sink **ret, struct sw_err *reterr)
{
        struct sw_sink_conf c = { .courier = *base,
                .ca_file = o->ca_file,
                .proxy = o->proxy,
                .timeout_ms = o->timeout_ms,
                .version = SW_VERSION };
        struct sw_sink_sentinel_conf sentinel;
        struct sw_token_conf token;
        char host[256] = "", port[8] = "";

        c.courier.name = o->name;
        c.courier.min_severity = (uint8_t)o->min_severity;
        c.courier.detectors = (const char *const *)o->detectors.items;
        c.courier.n_detectors = o->detectors.n;
        c.courier.rows_max = (uint32_t)o->rows_per_request;
        c.courier.retry_first_ms = o->retry.first_ms;
        c.courier.retry_max_ms = o->retry.max_ms;
        c.courier.poll_ms = OUTPUTS_POLL_MS;
        switch (o->kind) {
        case SW_OUTPUT_SENTINEL:
                sentinel = (struct sw_sink_sentinel_conf){ .base = c,
                        .endpoint = o->endpoint,
                        .dcr = o->dcr,
                        .stream = o->stream ? o->stream : SW_ROW_STREAM };
                outputs_monitor_token(o, &sentinel.auth);
                return sw_sink_sentinel_new(&sentinel, env, ret, reterr);
        case SW_OUTPUT_SYSLOG:
                (void)sw_conf_host_port(o->address, host, port);
                return sw_sink_syslog_new(&(const struct sw_sink_syslog_conf){ .base = c,
                                                  .transport = o->transport,
                                                  .format = o->format,
                                                  .host = o->transport == SW_SYSLOG_UNIX ? NULL : host,
                                                  .port = o->transport == SW_SYSLOG_UNIX ? NULL : port,
                                                  .path = o->transport == SW_SYSLOG_UNIX ? o->address : NULL,
                                                  .facility = o->facility,
                                                  .hostname = o->hostname,
                                                  .client_pem = o->client_certificate },
                        env, ret, reterr);
        case SW_OUTPUT_KAFKA:
                sw_conf_auth_token(&o->auth, o->name, &token);
                return sw_sink_kafka_new(&(const struct sw_sink_kafka_conf){ .base = c,
                                                 .brokers = o->brokers,
                                                 .topic = o->topic,
                                                 .connection_string = o->connection_string,
                                                 .password = o->password,
                                                 .auth = sw_conf_auth_given(&o->auth) ? &token : NULL,
                                                 .settings = &o->librdkafka },
                        env, ret, reterr);
        case SW_OUTPUT_WEBHOOK:
        default:
                c.courier.pace_ms = (int64_t)((SW_MINUTE + o->per_minute - 1) / o->per_minute);
                return sw_sink_webhook_new(&(const struct sw_sink_webhook_conf){ .base = c,
                                                   .url = o->url,
                                                   .single = o->single,
                                                   .signature = o->signature,
                                                   .bearer = o->bearer,
                                                   .fields = &o->fields },
                        env, ret, reterr);
        }
}

/* ---- all ---- */

struct outputs_reading {
        int (*each)(void *to, const struct sw_courier_row *r);
        void *to;
};

static int outputs_each(void *ctx, const struct sw_outbox_row *row)
{
        struct outputs_reading *r = ctx;
        const struct sw_courier_row c = {
                .number = row->number, .severity = row->severity, .uid = row->uid, .time = row->time, .line = row->line
        };

        return r->each(r->to, &c);
}

static int outputs_read(
        void *ctx, int64_t after, uint32_t max, int (*each)(void *to, const struct sw_courier_row *r), void *to)
{
        struct outputs_item *i = ctx;
        struct outputs_reading r = { each, to };

        return sw_outbox_read(i->outbox, i->row->name, after, max, outputs_each, &r);
}

static int outputs_mark(void *ctx, int64_t number)
{
        struct outputs_item *i = ctx;

        return sw_outbox_mark(i->outbox, i->row->name, number);
}

static void outputs_waiting(void *ctx, struct sw_courier_waiting *ret)
{
        struct outputs_item *i = ctx;
        struct sw_outbox_sink_stats s;

        if (sw_outbox_sink_stats(i->outbox, i->row->name, &s) == 0)
                *ret = (struct sw_courier_waiting){ s.rows, s.bytes, s.given_up, s.oldest };
}

static int outputs_open(struct sw_outputs *o, const struct sw_outputs_conf *conf, uint32_t i, struct sw_err *reterr)
{
        const struct sw_conf_output *row = (const struct sw_conf_output *)conf->conf->outputs.items + i;
        struct outputs_item *item = &o->items[i];
        const struct sw_sink_env env = { .loop = conf->loop,
                .http = o->http,
                .log = conf->log,
                .feed = { item, outputs_read, outputs_mark, outputs_waiting } };
        const struct sw_courier_conf base = {
                .rejected = conf->rejected, .on_fatal = conf->on_fatal, .fatal_ctx = conf->ctx
        };
        int r = sw_outbox_sink(conf->outbox, row->name, row->queue);

        if (r == 0)
                r = sw_outbox_sink_severity(conf->outbox, row->name, (uint8_t)row->min_severity);
        if (r != 0)
                return sw_err_set(
                        reterr, r < 0 ? r : -SW_ERR_UNAVAIL, "output '%s': outbox: %s", row->name, sw_error_text(r));
        item->outbox = conf->outbox;
        item->row = row;
        return sw_outputs_make(row, &env, &base, &item->sink, reterr);
}

int sw_outputs_new(const struct sw_outputs_conf *conf, struct sw_outputs **ret, struct sw_err *reterr)
{
        struct sw_outputs *o = sw_calloc(1, sizeof(*o));
        int r = 0;

        if (o)
                o->items = sw_calloc((size_t)conf->conf->outputs.n + 1, sizeof(*o->items));
        if (!o || !o->items)
                r = sw_err_set(reterr, -SW_ERR_NOMEM, "out of memory");
        if (r == 0 && sw_httpc_new(conf->loop, OUTPUTS_AGENT, &o->http) < 0)
                r = sw_err_set(reterr, -SW_ERR_IO, "outputs: libcurl cannot be started");
        for (; r == 0 && o->n < conf->conf->outputs.n; o->n += r == 0)
                r = outputs_open(o, conf, o->n, reterr);
        if (r < 0) {
                sw_outputs_stop(o);
                sw_outputs_free(o);
                return r;
        }
        *ret = o;
        return 0;
}

int sw_outputs_start(struct sw_outputs *o)
{
        uint32_t i;
        int r = 0;

        for (i = 0; i < o->n && r == 0; i++)
                r = sw_sink_start(o->items[i].sink);
        return r;
}

void sw_outputs_wake(struct sw_outputs *o)
{
        uint32_t i;

        for (i = 0; o && i < o->n; i++)
                sw_courier_wake(o->items[i].sink->courier);
}

void sw_outputs_stop(struct sw_outputs *o)
{
        uint32_t i;

        if (!o)
                return;
        for (i = 0; o->items && i < o->n; i++)
                sw_sink_stop(o->items[i].sink);
        o->http = sw_httpc_free(o->http);
}

struct sw_outputs *sw_outputs_free(struct sw_outputs *o)
{
        uint32_t i;

        if (!o)
                return NULL;
        for (i = 0; o->items && i < o->n; i++)
                sw_sink_free(o->items[i].sink);
        sw_free(o->items);
        sw_free(o);
        return NULL;
}

uint32_t sw_outputs_n(const struct sw_outputs *o)
{
        return o ? o->n : 0;
}

const struct sw_conf_output *sw_outputs_row(const struct sw_outputs *o, uint32_t i)
{
        return o->items[i].row;
}

struct sw_wall sw_outputs_token_expires(const struct sw_outputs *o, uint32_t i)
{
        const struct sw_sink *s = o->items[i].sink;

        return s->token_expires ? s->token_expires(s) : (struct sw_wall){ 0 };
}

struct sw_courier_stats sw_outputs_stats(const struct sw_outputs *o, uint32_t i)
{
        return sw_courier_stats(o->items[i].sink->courier);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "online.h"

#include "base/alloc.h"
#include "clock.h"
#include "conf_outputs.h"
#include "encode/enc_ocsf.h"
#include "outputs.h"
#include "sample.h"
#include "source/source_kafka.h"
#include "term.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ONLINE_SOURCE_MS 10000
#define ONLINE_TICK_MS 20
#define ONLINE_SETTLE_MS 300 /* after the first partition was found: the others come with it */

struct online;

struct online_item {
        struct online *all;
        const char *what; /* "source" or "output" */
        const char *name;
        bool done, ok;
        /* a source */
        struct sw_source_kafka *kafka;
        uint32_t n_partitions;
        int64_t settle_ms;
        /* an output */
        struct sw_conf_output row; /* a copy without filters; its texts are the configuration's */
        struct sw_sink *sink;
        const struct sw_line *line;
        const char *text;
        atomic_bool marked;
};

struct online {
        struct sw_loop *loop;
        struct sw_log *log;
        struct sw_httpc *http;
        struct online_item *items;
        uint32_t n;
        int64_t began_ms, limit_ms;
};

static void online_tell(struct online_item *i, bool ok, const char *message)
{
        struct sw_buf text = SW_BUF_NULL;

        if (i->done)
                return;
        i->done = true;
        i->ok = ok;
        sw_term_put(&text, sw_str_of(message));
        fprintf(stderr, "%s %s: %s: %.*s\n", i->what, i->name, ok ? "ok" : "FAILED", (int)text.n, text.p ? text.p : "");
        sw_buf_deinit(&text);
}

static void online_on_probe(void *ctx, bool ok, const char *message)
{
        online_tell(ctx, ok, message);
}

/* ---- sources ---- */

static int online_on_partition(
        void *ctx, const char *topic, int32_t partition, uint32_t *ret_id, struct sw_source_place *ret)
{
        struct online_item *i = ctx;

        (void)topic;
        (void)partition;
        *ret_id = i->n_partitions++;
        *ret = (struct sw_source_place){
                .next = SW_SOURCE_NEVER_READ, .until = SW_SOURCE_EVERYTHING, .stamp = SW_ETIME_NONE
        };
        return 0;
}

static void online_on_start(void *ctx, uint32_t id, const struct sw_source_place *at, bool has_more)
{
        struct online_item *i = ctx;

        (void)id;
        (void)at;
        (void)has_more;
        i->settle_ms = sw_clock_mono().ms;
}

/* Nothing is read: the group and the hub stay as they are. */
static int online_on_message(void *ctx, uint32_t id, const struct sw_source_message *m)
{
        (void)ctx;
        (void)id;
        (void)m;
        return 1;
}

static void online_on_at_end(void *ctx, uint32_t id, bool at_end)
{
        (void)ctx;
        (void)id;
        (void)at_end;
}

static void online_on_gap(void *ctx, uint32_t id, int64_t from, int64_t to)
{
        (void)ctx;
        (void)id;
        (void)from;
        (void)to;
}

static void online_open_file(struct online_item *i, const struct sw_conf_source *s)
{
        int fd = open(s->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

        online_tell(i, fd >= 0, fd >= 0 ? "can be read" : "cannot be read");
        if (fd >= 0)
                (void)close(fd);
}

static void online_open_source(struct online_item *i, const struct sw_conf_source *s)
{
        struct sw_token_conf token;
        const struct sw_source_hooks hooks = { .ctx = i,
                .on_partition = online_on_partition,
                .on_start = online_on_start,
                .on_message = online_on_message,
                .on_at_end = online_on_at_end,
                .on_gap = online_on_gap };
        const struct sw_source_kafka_conf conf = { .name = s->name,
                .eventhubs = s->kind == SW_SOURCE_EVENTHUBS,
                .connection_string = s->connection_string,
                .password = s->password,
                .auth = sw_conf_auth_given(&s->auth) ? &token : NULL,
                .brokers = s->brokers,
                .topic = s->topic,
                .group = s->group,
                .ca_file = s->ca_file,
                .start = SW_SOURCE_KAFKA_LATEST,
                .librdkafka = &s->librdkafka };
        struct sw_err err = SW_ERR_NULL;

        i->what = "source";
        i->name = s->name;
        sw_conf_auth_token(&s->auth, s->name, &token);
        if (s->kind == SW_SOURCE_FILE)
                online_open_file(i, s);
        else if (sw_source_kafka_new(&conf, i->all->loop, i->all->log, &hooks, &i->kafka, &err) < 0)
                online_tell(i, false, err.msg);
}

static void online_look_at_source(struct online_item *i, int64_t now)
{
        char text[96];

        if (i->settle_ms && now - i->settle_ms >= ONLINE_SETTLE_MS) {
                (void)snprintf(text, sizeof(text), "%u partition%s can be read", i->n_partitions,
                        i->n_partitions == 1 ? "" : "s");
                online_tell(i, true, text);
        } else if (now - i->all->began_ms >= ONLINE_SOURCE_MS) {
                online_tell(i, false, "no answer in time; see above for what the broker said");
        }
}

/* ---- outputs ---- */

static int online_read(
        void *ctx, int64_t after, uint32_t max, int (*each)(void *to, const struct sw_courier_row *r), void *to)
{
        struct online_item *i = ctx;
        const struct sw_courier_row row = { .number = 1,
                .severity = i->line->severity,
                .uid = i->line->uid,
                .line = { i->text + i->line->offset, i->line->n } };
        int r;

        if (after > 0 || max == 0 || atomic_load(&i->marked))
                return 0;
        r = each(to, &row);
        return r < 0 ? r : 0;
}

static int online_mark(void *ctx, int64_t number)
{
        struct online_item *i = ctx;

        (void)number;
        atomic_store(&i->marked, true);
        return 0;
}

static void online_open_output(struct online_item *i, const struct sw_conf_output *o)
{
        const struct sw_sink_env env = { .loop = i->all->loop,
                .http = i->all->http,
                .log = i->all->log,
                .feed = { i, online_read, online_mark, NULL } };
        const struct sw_courier_conf base = { 0 };
        struct sw_err err = SW_ERR_NULL;

        i->what = "output";
        i->name = o->name;
        i->row = *o;
        i->row.min_severity = SW_SEVERITY_UNKNOWN; /* a test is for everybody */
        i->row.detectors.n = 0;
        if (sw_outputs_make(&i->row, &env, &base, &i->sink, &err) < 0)
                online_tell(i, false, err.msg);
        else if (!i->line)
                i->sink->probe(i->sink, online_on_probe, i);
        else if (sw_sink_start(i->sink) < 0)
                online_tell(i, false, "cannot be started");
}

static void online_look_at_output(struct online_item *i)
{
        struct sw_courier_stats s = sw_courier_stats(i->sink->courier);

        if (!i->line)
                return;
        if (s.rejected > 0)
                online_tell(i, false, "refused; see above");
        else if (s.rows > 0 && atomic_load(&i->marked))
                online_tell(i, true, "delivered");
        else if (s.failing_since_ms)
                online_tell(i, false, s.reason);
}

/* ---- all ---- */

static void online_on_tick(void *ctx)
{
        struct online *o = ctx;
        int64_t now = sw_clock_mono().ms;
        uint32_t i, n_open = 0;

        for (i = 0; i < o->n; i++) {
                struct online_item *item = &o->items[i];

                if (!item->done && item->kafka)
                        online_look_at_source(item, now);
                if (!item->done && item->sink)
                        online_look_at_output(item);
                if (!item->done && now - o->began_ms >= o->limit_ms)
                        online_tell(item, false, "no answer in time");
                n_open += !item->done;
        }
        if (n_open == 0)
                sw_loop_stop(o->loop);
}

static int online_open(struct online *o, uint32_t cap)
{
        struct sw_watch *w;

        o->began_ms = sw_clock_mono().ms;
        o->limit_ms = 120000;
        o->items = sw_calloc((size_t)cap + 1, sizeof(*o->items));
        if (!o->items || sw_loop_new(&o->loop) < 0 ||
                sw_log_new(STDERR_FILENO, SW_LOG_ERROR, SW_LOG_LOGFMT, &o->log) < 0 ||
                sw_httpc_new(o->loop, "segwatch/" SW_VERSION, &o->http) < 0 ||
                sw_loop_timer(o->loop, ONLINE_TICK_MS, ONLINE_TICK_MS, online_on_tick, o, &w) < 0)
                return -SW_ERR_NOMEM;
        return 0;
}

static struct online_item *online_add(struct online *o)
{
        struct online_item *i = &o->items[o->n++];

        i->all = o;
        return i;
}

static int online_close(struct online *o)
{
        uint32_t i;
        int n_failed = 0;

        for (i = 0; i < o->n; i++) {
                if (o->items[i].kafka)
                        sw_source_kafka_stop(o->items[i].kafka);
                sw_sink_stop(o->items[i].sink);
                n_failed += !o->items[i].ok;
        }
        o->http = sw_httpc_free(o->http);
        o->loop = sw_loop_free(o->loop);
        for (i = 0; i < o->n; i++) {
                o->items[i].kafka = sw_source_kafka_free(o->items[i].kafka);
                o->items[i].sink = sw_sink_free(o->items[i].sink);
        }
        o->log = sw_log_free(o->log);
        sw_free(o->items);
        return n_failed;
}

int sw_online_check(const struct sw_conf *conf)
{
        const struct sw_conf_source *sources = conf->sources.items;
        const struct sw_conf_output *outputs = conf->outputs.items;
        struct online o = { 0 };
        uint32_t i;
        int r = online_open(&o, conf->sources.n + conf->outputs.n), n_failed;

        for (i = 0; r == 0 && i < conf->sources.n; i++)
                online_open_source(online_add(&o), &sources[i]);
        for (i = 0; r == 0 && i < conf->outputs.n; i++)
                online_open_output(online_add(&o), &outputs[i]);
        if (r == 0)
                sw_loop_run(o.loop);
        n_failed = online_close(&o);
        return r < 0 ? r : n_failed;
}

static int online_test_line(struct sw_lines *lines)
{
        struct sw_finding *f = sw_calloc(1, sizeof(*f)); /* too large for a stack */
        int r;

        if (!f)
                return -SW_ERR_NOMEM;
        sw_sample_fill(f, (struct sw_etime){ sw_clock_wall().ms }, (int)getpid());
        printf("%s\n", f->uid);
        sw_enc_ocsf(&lines->text, f, SW_VERSION);
        r = sw_lines_add(lines, 0, (uint8_t)f->severity, f->line_uid);
        sw_free(f);
        return r;
}

int sw_online_test_alert(const struct sw_conf *conf, const char *to)
{
        const struct sw_conf_output *outputs = conf->outputs.items;
        struct online o = { 0 };
        struct sw_lines lines = { .text = SW_BUF_NULL };
        uint32_t i;
        int r = online_test_line(&lines), n_failed;

        if (r == 0)
                r = online_open(&o, conf->outputs.n);
        for (i = 0; r == 0 && i < conf->outputs.n; i++) {
                struct online_item *item;

                if (to && strcmp(to, outputs[i].name) != 0)
                        continue;
                item = online_add(&o);
                item->line = &lines.items[0];
                item->text = lines.text.p;
                online_open_output(item, &outputs[i]);
        }
        if (r == 0 && o.n == 0)
                r = -SW_ERR_NOENT;
        if (r == 0)
                sw_loop_run(o.loop);
        n_failed = online_close(&o);
        sw_lines_deinit(&lines);
        return r < 0 ? r : n_failed;
}

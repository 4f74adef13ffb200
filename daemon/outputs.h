/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* `outputs:` in being: one sink per row, each reading the outbox behind its own mark. Threads: the loop's. */
#include "conf.h"
#include "log.h"
#include "loop.h"
#include "net/http.h"
#include "sink/sink.h"
#include "state/outbox.h"

struct sw_conf_output;

/* Makes the sink of one row. 0 | negative. */
int sw_outputs_make(const struct sw_conf_output *o, const struct sw_sink_env *env, const struct sw_courier_conf *base,
        struct sw_sink **ret, struct sw_err *reterr);

struct sw_outputs;
struct sw_outputs_conf {
        const struct sw_conf *conf; /* outlives it */
        struct sw_outbox *outbox;
        struct sw_loop *loop;
        struct sw_log *log;
        struct sw_sink_file *rejected;                           /* rows that a sink refuses for good; may be NULL */
        void (*on_fatal)(void *ctx, int code, const char *what); /* the outbox can no longer be trusted */
        void *ctx;
};
/* Registers the sinks with the outbox; nothing is sent yet. */
int sw_outputs_new(const struct sw_outputs_conf *conf, struct sw_outputs **ret, struct sw_err *reterr);
int sw_outputs_start(struct sw_outputs *o);
void sw_outputs_wake(struct sw_outputs *o);               /* something was committed; NULL-safe */
void sw_outputs_stop(struct sw_outputs *o);               /* before the loop is freed; NULL-safe */
struct sw_outputs *sw_outputs_free(struct sw_outputs *o); /* after it, before the outbox is closed; returns NULL */

uint32_t sw_outputs_n(const struct sw_outputs *o); /* NULL: 0 */
const struct sw_conf_output *sw_outputs_row(const struct sw_outputs *o, uint32_t i);
struct sw_courier_stats sw_outputs_stats(const struct sw_outputs *o, uint32_t i);
struct sw_wall sw_outputs_token_expires(const struct sw_outputs *o, uint32_t i); /* 0: it has none */

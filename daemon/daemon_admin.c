/* SPDX-License-Identifier: Apache-2.0 */
/* What the control socket and the HTTP port do with what they are asked. */
#include "admin/control.h"
#include "admin/http.h"
#include "admin/server.h"
#include "base/alloc.h"
#include "base/jsonw.h"
#include "clock.h"
#include "daemon_sight.h"
#include "secret.h"

#include <stdio.h>
#include <string.h>

struct sw__daemon_admin {
        struct sw_server *control, *http;
        struct sw_secret token; /* no text: none */
};

/* ---- commands: each writes the members of `result` ---- */

struct admin_failure {
        const char *code;
        struct sw_err err;
        struct sw_conf_report *report; /* or NULL */
};

static int admin_look(struct sw_daemon *d, struct sw_jsonw *w,
        void (*write)(const struct sw_daemon *d, const struct sw__sight *s, struct sw_jsonw *w),
        struct admin_failure *ret_why)
{
        struct sw__sight *s = sw_calloc(1, sizeof(*s));
        int r = s ? sw__sight_look(d, s) : -SW_ERR_NOMEM;

        if (r == 0)
                write(d, s, w);
        else
                (void)sw_err_set(&ret_why->err, r, "%s", sw_error_text(r));
        if (s)
                sw__sight_deinit(s);
        sw_free(s);
        return r;
}

static int admin_do_status(struct sw_daemon *d, const char *arg, struct sw_jsonw *w, struct admin_failure *ret_why)
{
        (void)arg;
        return admin_look(d, w, sw__status_write, ret_why);
}

static int admin_do_stats(struct sw_daemon *d, const char *arg, struct sw_jsonw *w, struct admin_failure *ret_why)
{
        (void)arg;
        return admin_look(d, w, sw__stats_write, ret_why);
}

static int admin_do_version(struct sw_daemon *d, const char *arg, struct sw_jsonw *w, struct admin_failure *ret_why)
{
        char text[SW_ETIME_TEXT];

        (void)arg;
        (void)ret_why;
        sw_jsonw_ktext(w, "version", SW_VERSION);
        sw_jsonw_ktext(w, "started", sw_etime_format((struct sw_etime){ d->started_wall.ms }, text));
        return 0;
}

static int admin_do_reload(struct sw_daemon *d, const char *arg, struct sw_jsonw *w, struct admin_failure *ret_why)
{
        struct sw_conf_report *report = sw_calloc(1, sizeof(*report));
        int r = report ? sw__daemon_reload(d, report) : -SW_ERR_NOMEM;

        (void)arg;
        ret_why->report = report; /* the caller frees it */
        if (r == 0)
                sw_jsonw_ku64(w, "warnings", report->n_warnings);
        else
                (void)sw_err_set(&ret_why->err, r, "the new configuration is not used: %s; the old one stays in force",
                        sw_error_text(r));
        return r;
}

static int admin_do_reopen(struct sw_daemon *d, const char *arg, struct sw_jsonw *w, struct admin_failure *ret_why)
{
        (void)arg;
        (void)w;
        (void)ret_why;
        sw__daemon_reopen(d);
        return 0;
}

static int admin_do_set_log_level(
        struct sw_daemon *d, const char *arg, struct sw_jsonw *w, struct admin_failure *ret_why)
{
        enum sw_log_level level;

        if (!sw_log_level_by_name(arg, &level)) {
                ret_why->code = "bad_request";
                return sw_err_set(&ret_why->err, -SW_ERR_INVAL, "the level is one of error, warning, info, debug");
        }
        sw_log_configure(d->log, level, (enum sw_log_format)d->conf->conf.log.format);
        sw_jsonw_ktext(w, "level", arg);
        return 0;
}

static int admin_do_snapshot(struct sw_daemon *d, const char *arg, struct sw_jsonw *w, struct admin_failure *ret_why)
{
        (void)arg;
        if (!d->snapshot) {
                ret_why->code = "not_available";
                return sw_err_set(&ret_why->err, -SW_ERR_UNAVAIL, "snapshots are not available in this version");
        }
        sw_jsonw_ktext(w, "snapshot", "begun");
        return d->snapshot(d, &ret_why->err);
}

static int admin_pause(struct sw_daemon *d, bool paused, struct sw_jsonw *w)
{
        sw_jsonw_kbool(w, "was_paused", d->paused);
        if (d->paused != paused) {
                sw__daemon_pause(d, paused);
                sw_log(d->log, SW_LOG_INFO, paused ? "paused" : "resumed", NULL,
                        paused ? "told to take no further messages" : "told to go on");
        }
        sw_jsonw_kbool(w, "paused", d->paused);
        return 0;
}

static int admin_do_pause(struct sw_daemon *d, const char *arg, struct sw_jsonw *w, struct admin_failure *ret_why)
{
        (void)arg;
        (void)ret_why;
        return admin_pause(d, true, w);
}

static int admin_do_resume(struct sw_daemon *d, const char *arg, struct sw_jsonw *w, struct admin_failure *ret_why)
{
        (void)arg;
        (void)ret_why;
        return admin_pause(d, false, w);
}

typedef int (*admin_fn)(struct sw_daemon *d, const char *arg, struct sw_jsonw *w, struct admin_failure *ret_why);
static const admin_fn admin_commands[SW_N_CONTROL_COMMANDS] = {
        [SW_CONTROL_STATUS] = admin_do_status,
        [SW_CONTROL_STATS] = admin_do_stats,
        [SW_CONTROL_VERSION] = admin_do_version,
        [SW_CONTROL_RELOAD] = admin_do_reload,
        [SW_CONTROL_REOPEN] = admin_do_reopen,
        [SW_CONTROL_SET_LOG_LEVEL] = admin_do_set_log_level,
        [SW_CONTROL_SNAPSHOT] = admin_do_snapshot,
        [SW_CONTROL_PAUSE] = admin_do_pause,
        [SW_CONTROL_RESUME] = admin_do_resume,
};

/* ---- the control socket ---- */

static void admin_report(struct sw_jsonw *w, const struct sw_conf_report *report)
{
        uint32_t i;

        sw_jsonw_key(w, "errors");
        sw_jsonw_array(w);
        for (i = 0; i < report->n_items; i++) {
                const struct sw_err *e = &report->items[i];

                if (e->code == 0) /* a warning */
                        continue;
                sw_jsonw_object(w);
                sw_jsonw_ktext(w, "file", e->file);
                sw_jsonw_ku64(w, "line", e->line);
                sw_jsonw_ku64(w, "column", e->column);
                sw_jsonw_ktext(w, "message", e->msg);
                sw_jsonw_end_object(w);
        }
        sw_jsonw_end_array(w);
}

static void admin_failed(struct sw_buf *out, const char *command, const struct admin_failure *why)
{
        struct sw_jsonw w = sw_jsonw_start(out);

        sw_jsonw_object(&w);
        sw_jsonw_kbool(&w, "ok", false);
        sw_jsonw_ktext(&w, "command", command);
        sw_jsonw_key(&w, "error");
        sw_jsonw_object(&w);
        sw_jsonw_ktext(&w, "code", why->code);
        sw_jsonw_ktext(&w, "message", why->err.msg);
        if (why->report)
                admin_report(&w, why->report);
        sw_jsonw_end_object(&w);
        sw_jsonw_end_object(&w);
        sw_buf_putc(out, '\n');
}

static void admin_run(struct sw_daemon *d, const struct sw_control_request *req, struct sw_buf *out)
{
        struct admin_failure why = { .code = "failed" };
        const char *name = sw_control_rows[req->command].name;
        struct sw_buf answer = SW_BUF_NULL;
        struct sw_jsonw w = sw_jsonw_start(&answer);
        int r;

        sw_jsonw_object(&w);
        sw_jsonw_kbool(&w, "ok", true);
        sw_jsonw_ktext(&w, "command", name);
        sw_jsonw_key(&w, "result");
        sw_jsonw_object(&w);
        r = admin_commands[req->command](d, req->arg, &w, &why);
        sw_jsonw_end_object(&w);
        sw_jsonw_end_object(&w);
        sw_buf_putc(&answer, '\n');
        if (r == 0)
                sw_buf_put_str(out, (struct sw_str){ answer.p, answer.n });
        else
                admin_failed(out, name, &why);
        out->failed = out->failed || answer.failed;
        sw_buf_deinit(&answer);
        sw_free(why.report);
}

static size_t admin_on_line(void *ctx, struct sw_str sent, struct sw_buf *out, bool *ret_close)
{
        const char *end = memchr(sent.p, '\n', sent.n), *code = "";
        struct sw_control_request req;
        struct sw_err why = SW_ERR_NULL;

        if (!end || (size_t)(end - sent.p) > SW_SERVER_REQUEST)
                return 0;
        if (sw_control_parse((struct sw_str){ sent.p, (size_t)(end - sent.p) }, &req, &code, &why) == SW_CONTROL_OK) {
                admin_run(ctx, &req, out);
        } else {
                sw_control_error(out, NULL, code, why.msg);
                *ret_close = true; /* what follows may be the rest of what it was */
        }
        return (size_t)(end - sent.p) + 1;
}

static void admin_control_refused(void *ctx, enum sw_server_refusal why, struct sw_buf *out)
{
        (void)ctx;
        switch (why) {
        case SW_SERVER_BUSY:
                sw_control_error(out, NULL, "busy", "too many clients: try again in a second");
                break;
        case SW_SERVER_TOO_LONG:
                sw_control_error(out, NULL, "too_long", "a request is one line of at most 8 KiB");
                break;
        case SW_SERVER_TOO_SLOW:
                sw_control_error(out, NULL, "too_slow", "a request has to be there within 5 s");
                break;
        }
}

/* ---- opening ---- */

static bool admin_is_none(const char *text)
{
        return strcmp(text, "none") == 0;
}

/* What nobody asked for must not keep the daemon from its work. */
static int admin_settle(
        struct sw_daemon *d, int r, const struct sw_conf_place *place, const char *what, struct sw_err *reterr)
{
        if (r >= 0)
                return 0;
        if (place->file)
                return sw_err_prefix(reterr, "admin.%s", what);
        sw_log(d->log, SW_LOG_WARNING, "admin", what, "not opened: %s", reterr->msg);
        *reterr = SW_ERR_NULL;
        return 0;
}

int sw__daemon_open_admin(struct sw_daemon *d, struct sw_err *reterr)
{
        const struct sw_conf *c = &d->conf->conf;
        const struct sw_server_hooks control = { d, admin_on_line, admin_control_refused };
        int r = 0;

        d->admin = sw_calloc(1, sizeof(*d->admin));
        if (!d->admin)
                return sw_err_set(reterr, -SW_ERR_NOMEM, "out of memory");
        if (!admin_is_none(c->admin.socket))
                r = admin_settle(d,
                        sw_server_open_unix(c->admin.socket, d->loop, d->log, &control, &d->admin->control, reterr),
                        &c->admin.socket_place, "socket", reterr);
        return r;
}

void sw__daemon_close_admin(struct sw_daemon *d)
{
        if (!d->admin)
                return;
        d->admin->control = sw_server_close(d->admin->control);
        d->admin->http = sw_server_close(d->admin->http);
        sw_secret_deinit(&d->admin->token);
        sw_free(d->admin);
        d->admin = NULL;
}

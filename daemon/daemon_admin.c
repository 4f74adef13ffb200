/* SPDX-License-Identifier: Apache-2.0 */
/* What the control socket and the HTTP port do with what they are asked. */
#include "daemon_admin.h"
#include "admin/control.h"
#include "admin/http.h"
#include "base/alloc.h"
#include "base/jsonw.h"
#include "daemon_keeper.h"
#include "daemon_sight.h"
#include "secret.h"

#include <limits.h>
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
        if (r == 0) {
                sw_jsonw_ku64(w, "warnings", report->n_warnings);
                sw_jsonw_ktext(w, "needs_restart", d->reloads.need_restart.n ? d->reloads.need_restart.p : "");
        }
        if (r < 0)
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
        sw_jsonw_ktext(w, "snapshot", "wanted");
        ret_why->code = "busy";
        return sw__keeper_ask(d, &ret_why->err);
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

/* ---- HTTP ---- */

typedef int (*admin_route_fn)(const struct sw_daemon *d, const struct sw__sight *s, struct sw_buf *body);

static int admin_get_metrics(const struct sw_daemon *d, const struct sw__sight *s, struct sw_buf *body)
{
        sw__metrics_write(d, s, body);
        return 200;
}

/* One reason a line; those in `mask` count. */
static int admin_get_troubles(const struct sw_daemon *d, const struct sw__sight *s, struct sw_buf *body, unsigned mask)
{
        unsigned i;

        for (i = 0; i < SW_SIGHT_N_TROUBLES; i++)
                if (s->trouble[i] && mask & 1u << i) {
                        sw__sight_tell(d, s, (enum sw_sight_trouble)i, body);
                        sw_buf_putc(body, '\n');
                }
        if (body->n > 0)
                return 503;
        sw_buf_puts(body, "ok\n");
        return 200;
}

/* Whether restarting would help. */
static int admin_get_healthz(const struct sw_daemon *d, const struct sw__sight *s, struct sw_buf *body)
{
        return admin_get_troubles(d, s, body, 1u << SW_SIGHT_HANGS);
}

/* Whether everything is seen as it happens. */
static int admin_get_readyz(const struct sw_daemon *d, const struct sw__sight *s, struct sw_buf *body)
{
        return admin_get_troubles(d, s, body, UINT_MAX);
}

static int admin_get_root(const struct sw_daemon *d, const struct sw__sight *s, struct sw_buf *body);

static const struct admin_route {
        const char *path, *type;
        admin_route_fn get;
} admin_routes[] = {
        { "/", NULL, admin_get_root },
        { "/metrics", "text/plain; version=0.0.4; charset=utf-8", admin_get_metrics },
        { "/healthz", NULL, admin_get_healthz },
        { "/readyz", NULL, admin_get_readyz },
};
#define ADMIN_N_ROUTES (sizeof(admin_routes) / sizeof(*admin_routes))

static int admin_get_root(const struct sw_daemon *d, const struct sw__sight *s, struct sw_buf *body)
{
        size_t i;

        (void)d;
        (void)s;
        sw_buf_puts(body, "segwatch " SW_VERSION "\n");
        for (i = 1; i < ADMIN_N_ROUTES; i++)
                sw_buf_printf(body, "%s\n", admin_routes[i].path);
        return 200;
}

static const struct admin_route *admin_find_route(struct sw_str path)
{
        size_t i;

        for (i = 0; i < ADMIN_N_ROUTES; i++)
                if (sw_str_eq(path, sw_str_of(admin_routes[i].path)))
                        return &admin_routes[i];
        return NULL;
}

static int admin_serve(struct sw_daemon *d, const struct admin_route *route, struct sw_buf *body)
{
        struct sw__sight *s = sw_calloc(1, sizeof(*s));
        int status = 500;

        if (s && sw__sight_look(d, s) == 0) {
                status = route->get(d, s, body);
                sw__sight_deinit(s);
        }
        sw_free(s);
        return body->failed ? 500 : status;
}

static void admin_plain(struct sw_buf *out, int status, bool head_only)
{
        struct sw_http_answer a = { .status = status, .head_only = head_only };
        struct sw_buf body = SW_BUF_NULL;

        sw_buf_printf(&body, "%d %s\n", status, sw_http_reason(status));
        a.body = (struct sw_str){ body.p, body.n };
        sw_http_write(out, &a);
        sw_buf_deinit(&body);
}

static void admin_answer(struct sw_daemon *d, const struct sw_http_request *req, struct sw_buf *out)
{
        const struct sw_secret *token = &d->admin->token;
        const struct admin_route *route = admin_find_route(req->path);
        struct sw_http_answer a = { .head_only = req->method == SW_HTTP_HEAD };
        struct sw_buf body = SW_BUF_NULL;

        if (token->text && !sw_http_bearer_is(req->authorization, (struct sw_str){ token->text, token->n })) {
                admin_plain(out, 401, a.head_only);
                return;
        }
        if (!route || req->method == SW_HTTP_OTHER) {
                admin_plain(out, route ? 405 : 404, a.head_only);
                return;
        }
        a.status = admin_serve(d, route, &body);
        a.type = route->type;
        if (a.status == 500) {
                admin_plain(out, 500, a.head_only);
        } else {
                a.body = (struct sw_str){ body.p, body.n };
                sw_http_write(out, &a);
        }
        sw_buf_deinit(&body);
}

static size_t admin_on_http(void *ctx, struct sw_str sent, struct sw_buf *out, bool *ret_close)
{
        struct sw_http_request req;
        int n = sw_http_parse(sent, &req);

        if (n == 0 || n > (int)SW_SERVER_REQUEST)
                return 0;
        *ret_close = true;
        if (n > 0)
                admin_answer(ctx, &req, out);
        else
                admin_plain(out, -n, false);
        return n > 0 ? (size_t)n : sent.n;
}

static void admin_http_refused(void *ctx, enum sw_server_refusal why, struct sw_buf *out)
{
        static const int statuses[] = {
                [SW_SERVER_BUSY] = 503, [SW_SERVER_TOO_LONG] = 431, [SW_SERVER_TOO_SLOW] = 408
        };

        (void)ctx;
        admin_plain(out, statuses[why], false);
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

static int admin_open_http(struct sw_daemon *d, struct sw_err *reterr)
{
        const struct sw_server_hooks hooks = { d, admin_on_http, admin_http_refused };
        const struct sw_conf *c = &d->conf->conf;
        struct sw_address address;
        int r = 0;

        if (!sw_address_parse(sw_str_of(c->admin.http), &address))
                return sw_err_set(reterr, -SW_ERR_CONFIG, "not an address");
        if (c->admin.token.file || c->admin.token.credential) {
                r = sw_secret_read(&c->admin.token, &d->admin->token, reterr);
                if (r == SW_SECRET_NOT_HERE) /* without its token the port stays shut */
                        r = -SW_ERR_NOENT;
        }
        if (r == 0)
                r = sw_server_open_tcp(&address, d->loop, d->log, &hooks, &d->admin->http, reterr);
        if (r < 0)
                (void)sw_err_prefix(reterr, "%s", c->admin.http);
        else
                sw_log(d->log, SW_LOG_INFO, "admin", "http", "listening, port %u", sw_server_port(d->admin->http));
        return r;
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
        if (r == 0 && !admin_is_none(c->admin.http))
                r = admin_settle(d, admin_open_http(d, reterr), &c->admin.http_place, "http", reterr);
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

void sw__admin_servers(const struct sw_daemon *d,
        void (*each)(void *ctx, const char *socket, const struct sw_server_stats *s), void *ctx)
{
        struct sw_server_stats stats;

        if (d->admin->control) {
                stats = sw_server_stats(d->admin->control);
                each(ctx, "control", &stats);
        }
        if (d->admin->http) {
                stats = sw_server_stats(d->admin->http);
                each(ctx, "http", &stats);
        }
}

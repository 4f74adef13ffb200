/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/args.h"
#include "cmd/ctl_client.h"
#include "cmd/ctl_text.h"
#include "config/check.h"
#include "term.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct sw_cmd_opt ctl_options[] = {
        { "config", 'c', "FILE", "whose admin.socket is used, default " SW_CMD_CONFIG },
        { "socket", 's', "FILE", "the socket itself" },
        { "output", 'o', "FORM", "text for people (default), or json, one line", "text json" },
        { 0 },
};

struct ctl_wish {
        const char *config, *socket, *arg;
        bool json;
        enum sw_control_command command;
};

/* "file:line:column: message" as `check` prints it, so that editors find the place. */
static void ctl_tell_errors(const struct sw_json *error)
{
        const struct sw_json *e = sw_json_first(sw_json_get(error, "errors"));
        struct sw_buf b = SW_BUF_NULL;

        for (; e; e = sw_json_next(e)) {
                int64_t line = sw_ctl_int(e, "line", 0);

                sw_ctl_put(&b, e, "file", "");
                if (line > 0)
                        sw_buf_printf(&b, ":%lld:%lld", (long long)line, (long long)sw_ctl_int(e, "column", 0));
                if (b.n > 0)
                        sw_buf_puts(&b, ": ");
                sw_ctl_put(&b, e, "message", "");
                fprintf(stderr, "%.*s\n", (int)b.n, b.p);
                sw_buf_reset(&b);
        }
        sw_buf_deinit(&b);
}

static int ctl_failed(const struct sw_json *answer)
{
        const struct sw_json *error = sw_json_get(answer, "error");
        struct sw_str code = sw_json_str(sw_json_get(error, "code"));
        struct sw_buf b = SW_BUF_NULL;

        ctl_tell_errors(error);
        sw_ctl_put(&b, error, "message", "the daemon did not say why");
        fprintf(stderr, "segwatch ctl: %.*s\n", (int)b.n, b.p);
        sw_buf_deinit(&b);
        if (sw_str_eq(code, SW_STR("busy")))
                return SW_EXIT_TEMPFAIL;
        if (sw_str_eq(code, SW_STR("bad_request")) || sw_str_eq(code, SW_STR("unknown_command")))
                return SW_EXIT_USAGE;
        return sw_json_first(sw_json_get(error, "errors")) ? SW_EXIT_CONFIG : SW_EXIT_FAILURE;
}

/* Short answers: "paused: true" per line. */
static void ctl_members(struct sw_buf *out, const struct sw_json *result)
{
        const struct sw_json *m;

        for (m = sw_json_first(result); m; m = sw_json_next(m)) {
                int64_t v;

                sw_term_put(out, sw_json_key(m));
                sw_buf_puts(out, ": ");
                if (sw_json_str(m).p)
                        sw_term_put(out, sw_json_str(m).n ? sw_json_str(m) : SW_STR("none"));
                else if (sw_json_i64(m, &v))
                        sw_buf_printf(out, "%lld", (long long)v);
                else
                        sw_buf_puts(out, sw_json_kind(m) == SW_JSON_TRUE ? "yes" : "no");
                sw_buf_putc(out, '\n');
        }
        if (out->n == 0)
                sw_buf_puts(out, "done\n");
}

static void ctl_show(const struct ctl_wish *wish, struct sw_str line, const struct sw_json *answer)
{
        const struct sw_json *result = sw_json_get(answer, "result");
        struct sw_buf out = SW_BUF_NULL;

        if (wish->json) {
                if (isatty(STDOUT_FILENO))
                        sw_term_put_json(&out, (struct sw_str){ line.p, line.n - 1 });
                else
                        sw_buf_put_str(&out, (struct sw_str){ line.p, line.n - 1 });
                sw_buf_putc(&out, '\n');
        } else if (wish->command == SW_CONTROL_STATUS) {
                sw_ctl_status(&out, result);
        } else if (wish->command == SW_CONTROL_STATS) {
                sw_ctl_stats(&out, result);
        } else {
                ctl_members(&out, result);
        }
        (void)fwrite(out.p, 1, out.n, stdout);
        sw_buf_deinit(&out);
}

static int ctl_ask(const struct ctl_wish *wish)
{
        struct sw_ctl c;
        struct sw_json *answer = NULL;
        struct sw_str line;
        int r = sw_ctl_open(&c, &sw_cmd_ctl, wish->config, wish->socket);

        if (r == SW_EXIT_OK)
                r = sw_ctl_ask(&c, wish->command, wish->arg, false, &line, &answer);
        if (r == SW_EXIT_OK) {
                bool ok = sw_json_kind(sw_json_get(answer, "ok")) == SW_JSON_TRUE;

                if (ok || wish->json)
                        ctl_show(wish, line, answer);
                if (!ok)
                        r = ctl_failed(answer);
        }
        sw_json_free(answer);
        sw_ctl_close(&c);
        return r;
}

static int ctl_unknown(const char *name)
{
        struct sw_conf_guess g = sw_conf_guess_start(sw_str_of(name));
        char hint[SW_CONF_HINT];
        unsigned i;

        for (i = 0; i < SW_N_CONTROL_COMMANDS; i++)
                sw_conf_guess_add(&g, sw_control_rows[i].name);
        return sw_cmd_usage(&sw_cmd_ctl, "there is no command '%s'%s", name, sw_conf_guess_hint(&g, hint));
}

static int ctl_operands(const struct sw_cmd_args *a, struct ctl_wish *wish)
{
        const struct sw_control_row *row;
        int n;

        if (a->n_rest == 0)
                return sw_cmd_usage(&sw_cmd_ctl, "which command? One of those that --help lists");
        if (!sw_control_find(sw_str_of(a->rest[0]), &wish->command))
                return ctl_unknown(a->rest[0]);
        row = &sw_control_rows[wish->command];
        n = row->arg ? 2 : 1;
        if (a->n_rest < n)
                return sw_cmd_usage(&sw_cmd_ctl, "%s needs a %s", row->name, row->arg);
        if (a->n_rest > n)
                return sw_cmd_usage(&sw_cmd_ctl, "unexpected argument '%s'", a->rest[n]);
        if (row->arg)
                wish->arg = a->rest[1];
        return SW_EXIT_OK;
}

static int ctl_run(int argc, char **argv)
{
        struct ctl_wish wish = { 0 };
        struct sw_cmd_args a;
        int c, r;

        sw_cmd_args_init(&a, &sw_cmd_ctl, argc, argv);
        while ((c = sw_cmd_args_next(&a)) > 0) {
                switch (c) {
                case 'c':
                        wish.config = a.value;
                        break;
                case 's':
                        wish.socket = a.value;
                        break;
                case 'o':
                        wish.json = strcmp(a.value, "json") == 0;
                        if (!wish.json && strcmp(a.value, "text") != 0)
                                return sw_cmd_args_bad_value(&a, c, NULL);
                        break;
                }
        }
        if (c < 0)
                return SW_EXIT_USAGE;
        if (wish.config && wish.socket)
                return sw_cmd_usage(&sw_cmd_ctl, "give a file or a socket, not both");
        r = ctl_operands(&a, &wish);
        return r == SW_EXIT_OK ? ctl_ask(&wish) : r;
}

static const struct sw_cmd_sub ctl_subs[] = {
#define CTL_SUB(id, name, arg, value, doc) { name, value, doc },
        SW_CONTROL_MAP(CTL_SUB)
#undef CTL_SUB
                { 0 },
};

const struct sw_cmd sw_cmd_ctl = {
        .name = "ctl",
        .args = "COMMAND [-c FILE | --socket PATH] [-o text|json]",
        .summary = "ask the running daemon, or tell it something",
        .subs = ctl_subs,
        .options = ctl_options,
        .notes = "Exit codes: 0 done, 1 the daemon could not do it, 64 usage, 75 the daemon cannot be reached or is "
                 "busy, 78 the configuration has errors.",
        .examples = "segwatch ctl status\n"
                    "segwatch ctl reload || journalctl -u segwatch -n 20\n"
                    "segwatch ctl set-log-level debug\n"
                    "segwatch ctl stats -o json | jq .result.tables\n",
        .run = ctl_run,
};

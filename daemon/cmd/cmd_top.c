/* SPDX-License-Identifier: Apache-2.0 */
#include "base/time.h"
#include "cmd/args.h"
#include "cmd/ctl_client.h"
#include "cmd/ctl_text.h"
#include "term.h"

#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define TOP_LINES 24u /* of a terminal that does not say */
#define TOP_PAIRS 12u
#define TOP_FINDINGS 6u
#define TOP_TABLES 6u

enum { TOP_ONCE = SW_CMD_LONG };

static const struct sw_cmd_opt top_options[] = {
        { "config", 'c', "FILE", "whose admin.socket is used, default " SW_CMD_CONFIG },
        { "socket", 's', "FILE", "the socket itself" },
        { "interval", 'n', "SECONDS", "between two looks, 1 to 3600, default 1" },
        { "once", TOP_ONCE, NULL, "one look, without control of the terminal; what a pipe gets in any case" },
        SW_CMD_OPT_COLOR,
        { 0 },
};

struct top_wish {
        const char *config, *socket;
        uint64_t interval_s;
        bool once;
        enum sw_color color;
};

/* Counters of the look before, for rates. */
struct top_before {
        bool any;
        int64_t uptime_ms, tuples, findings, signals;
};

struct top {
        struct top_wish wish;
        struct sw_ctl ctl;
        struct top_before before;
        bool color;
};

static volatile sig_atomic_t top_ended;

static void top_end(int signum)
{
        (void)signum;
        top_ended = 1;
}

static const char *top_paint(const struct top *t, const char *code)
{
        return t->color ? code : "";
}

static void top_rate(struct sw_buf *out, const char *name, int64_t now, int64_t before, int64_t ms)
{
        sw_buf_printf(out, "%s %lld", name, (long long)now);
        if (ms > 0 && now >= before)
                sw_buf_printf(out, " (%lld/s)", (long long)((now - before) * 1000 / ms));
}

static void top_engine(struct top *t, struct sw_buf *out, const struct sw_json *stats)
{
        const struct sw_json *e = sw_json_get(stats, "engine");
        struct top_before now = { true, sw_ctl_int(stats, "uptime_ms", 0), sw_ctl_int(e, "tuples", 0),
                sw_ctl_int(e, "findings", 0), sw_ctl_int(e, "signals", 0) };
        int64_t ms = t->before.any ? now.uptime_ms - t->before.uptime_ms : 0;

        sw_buf_puts(out, "  ");
        top_rate(out, "tuples", now.tuples, t->before.tuples, ms);
        top_rate(out, ", signals", now.signals, t->before.signals, ms);
        top_rate(out, ", findings", now.findings, t->before.findings, ms);
        sw_buf_printf(out,
                "\n  connections %lld, hosts %lld, edges %lld; waiting %lld, late %lld, too late %lld, quarantined "
                "%lld, evicted %lld\n",
                (long long)sw_ctl_int(e, "connections", 0), (long long)sw_ctl_int(e, "hosts", 0),
                (long long)sw_ctl_int(e, "edges", 0), (long long)sw_ctl_int(e, "tuples_waiting", 0),
                (long long)sw_ctl_int(e, "tuples_late", 0), (long long)sw_ctl_int(e, "tuples_too_late", 0),
                (long long)sw_ctl_int(e, "quarantined", 0), (long long)sw_ctl_int(e, "evicted", 0));
        t->before = now;
}

/* Those that are nearest to their limit. */
static void top_tables(struct sw_buf *out, const struct sw_json *stats)
{
        const struct sw_json *x, *best[TOP_TABLES] = { NULL };
        double share, shares[TOP_TABLES] = { 0 };
        unsigned n = 0, i;

        for (x = sw_json_first(sw_json_get(stats, "tables")); x; x = sw_json_next(x)) {
                share = (double)sw_ctl_int(x, "bytes", 0) / (double)sw_ctl_int(x, "limit_bytes", INT64_MAX);
                if (n == TOP_TABLES && share <= shares[n - 1])
                        continue;
                i = n < TOP_TABLES ? n++ : n - 1;
                for (; i > 0 && share > shares[i - 1]; i--) {
                        shares[i] = shares[i - 1];
                        best[i] = best[i - 1];
                }
                shares[i] = share;
                best[i] = x;
        }
        sw_buf_puts(out, "  fullest tables: ");
        for (i = 0; i < n; i++) {
                sw_buf_puts(out, i ? ", " : "");
                sw_ctl_put(out, best[i], "name", "?");
                sw_buf_printf(out, " %.0f%%", shares[i] * 100);
        }
        sw_buf_putc(out, '\n');
}

static void top_head(const struct top *t, struct sw_buf *out, const struct sw_json *status)
{
        struct sw_str state = sw_json_str(sw_json_get(status, "state"));
        const struct sw_json *why;
        bool ok = sw_str_eq(state, SW_STR("ok"));

        sw_buf_printf(out, "%ssegwatch ", top_paint(t, "\x1b[1m"));
        sw_ctl_put(out, status, "version", "?");
        sw_buf_printf(out, "%s  up ", top_paint(t, "\x1b[0m"));
        sw_ctl_duration(out, sw_ctl_int(status, "uptime_ms", -1));
        sw_buf_printf(out, "  %s", top_paint(t, ok ? "\x1b[32m" : "\x1b[31m"));
        sw_term_put(out, state);
        sw_buf_printf(out, "%s  watermark ", top_paint(t, "\x1b[0m"));
        sw_ctl_put(out, status, "watermark", "none yet");
        sw_buf_putc(out, '\n');
        for (why = sw_json_first(sw_json_get(status, "reasons")); why; why = sw_json_next(why)) {
                sw_buf_printf(out, "  %s! ", top_paint(t, "\x1b[31m"));
                sw_term_put(out, sw_json_str(why));
                sw_buf_printf(out, "%s\n", top_paint(t, "\x1b[0m"));
        }
}

static void top_findings(struct sw_buf *out, const struct sw_json *status)
{
        const struct sw_json *f = sw_json_get(status, "findings");

        sw_buf_printf(out, "  findings in the last hour %lld; incidents open %lld; learning %lld segments; memory ",
                (long long)sw_ctl_int(f, "last_hour", 0), (long long)sw_ctl_int(f, "incidents_open", 0),
                (long long)sw_ctl_int(sw_json_get(status, "learning"), "segments", 0));
        sw_ctl_bytes(out, sw_ctl_int(sw_json_get(status, "memory"), "used_bytes", -1));
        sw_buf_puts(out, " of ");
        sw_ctl_bytes(out, sw_ctl_int(sw_json_get(status, "memory"), "limit_bytes", -1));
        sw_buf_putc(out, '\n');
}

/* An exit code; quiet: the screen says it instead of stderr. */
static int top_ask(struct top *t, enum sw_control_command command, bool quiet, struct sw_json **ret)
{
        struct sw_str line;
        int r = sw_ctl_ask(&t->ctl, command, NULL, quiet, &line, ret);

        if (r != SW_EXIT_OK || sw_json_kind(sw_json_get(*ret, "ok")) == SW_JSON_TRUE)
                return r;
        *ret = sw_json_free(*ret);
        if (!quiet)
                fprintf(stderr, "segwatch top: the daemon is busy\n");
        return SW_EXIT_TEMPFAIL;
}

static int top_look(struct top *t, bool quiet, struct sw_buf *out)
{
        struct sw_json *status = NULL, *stats = NULL;
        int r = top_ask(t, SW_CONTROL_STATUS, quiet, &status);

        if (r == SW_EXIT_OK)
                r = top_ask(t, SW_CONTROL_STATS, quiet, &stats);
        if (r == SW_EXIT_OK) {
                top_head(t, out, sw_json_get(status, "result"));
                sw_ctl_sources(out, sw_json_get(status, "result"));
                top_engine(t, out, sw_json_get(stats, "result"));
                top_findings(out, sw_json_get(status, "result"));
                top_tables(out, sw_json_get(stats, "result"));
                sw_ctl_recent(out, sw_json_get(status, "result"), TOP_FINDINGS);
                sw_ctl_pairs(out, sw_json_get(stats, "result"), TOP_PAIRS);
        }
        sw_json_free(status);
        sw_json_free(stats);
        return r;
}

/* The screen from its upper left corner, each line cut at the terminal's width and its rest erased, so that nothing
 * flickers. Escapes that colour have no width. */
static void top_draw(const struct sw_buf *text)
{
        struct winsize size = { 0 };
        struct sw_buf out = SW_BUF_NULL;
        unsigned lines, column = 0, line = 1;
        bool escape = false;
        size_t i;

        if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row == 0 || size.ws_col == 0)
                size = (struct winsize){ .ws_row = TOP_LINES, .ws_col = 80 };
        lines = size.ws_row;
        sw_buf_puts(&out, "\x1b[H");
        for (i = 0; i < text->n && line < lines; i++) {
                char c = text->p[i];

                if (c == '\n') {
                        sw_buf_puts(&out, "\x1b[K\r\n");
                        column = 0;
                        line++;
                        continue;
                }
                escape = escape || c == '\x1b';
                if (!escape && ((unsigned char)c & 0xc0) != 0x80)
                        column++;
                if (escape || column < size.ws_col)
                        sw_buf_putc(&out, c);
                if (escape && c == 'm')
                        escape = false;
        }
        sw_buf_puts(&out, "\x1b[J");
        (void)fwrite(out.p, 1, out.n, stdout);
        (void)fflush(stdout);
        sw_buf_deinit(&out);
}

static void top_sleep(uint64_t seconds)
{
        const struct timespec step = { .tv_nsec = 100000000 };
        uint64_t i;

        for (i = 0; i < seconds * 10 && !top_ended; i++)
                (void)nanosleep(&step, NULL);
}

/* Until it is interrupted. A daemon that is away may come back. */
static int top_watch(struct top *t)
{
        struct sw_buf text = SW_BUF_NULL;

        (void)signal(SIGINT, top_end);
        (void)signal(SIGTERM, top_end);
        (void)fputs("\x1b[?1049h\x1b[?25l", stdout); /* another screen, no cursor */
        while (!top_ended && !ferror(stdout)) {
                sw_buf_reset(&text);
                if (top_look(t, true, &text) != SW_EXIT_OK) {
                        t->before.any = false;
                        sw_buf_reset(&text);
                        sw_buf_puts(&text, "segwatch top: the daemon cannot be reached at ");
                        sw_term_put(&text, sw_str_of(t->ctl.path));
                        sw_buf_puts(&text, "; trying on\n");
                }
                top_draw(&text);
                top_sleep(t->wish.interval_s);
        }
        (void)fputs("\x1b[?25h\x1b[?1049l", stdout);
        (void)fflush(stdout);
        sw_buf_deinit(&text);
        return SW_EXIT_OK;
}

static int top_once(struct top *t)
{
        struct sw_buf text = SW_BUF_NULL;
        int r = top_look(t, false, &text);

        if (r == SW_EXIT_OK)
                (void)fwrite(text.p, 1, text.n, stdout);
        sw_buf_deinit(&text);
        return r;
}

static int top_parse(int argc, char **argv, struct top_wish *ret)
{
        struct sw_cmd_args a;
        int c;

        *ret = (struct top_wish){ .interval_s = 1 };
        sw_cmd_args_init(&a, &sw_cmd_top, argc, argv);
        while ((c = sw_cmd_args_next(&a)) > 0) {
                bool ok = true;

                switch (c) {
                case 'c':
                        ret->config = a.value;
                        break;
                case 's':
                        ret->socket = a.value;
                        break;
                case 'n':
                        ok = sw_parse_u64(sw_str_of(a.value), &ret->interval_s) && ret->interval_s >= 1 &&
                             ret->interval_s <= 3600;
                        break;
                case TOP_ONCE:
                        ret->once = true;
                        break;
                case SW_CMD_COLOR:
                        ok = sw_color_by_name(a.value, &ret->color);
                        break;
                }
                if (!ok)
                        return sw_cmd_args_bad_value(&a, c, c == 'n' ? "a number from 1 to 3600" : NULL);
        }
        if (c < 0)
                return SW_EXIT_USAGE;
        if (a.n_rest > 0)
                return sw_cmd_usage(&sw_cmd_top, "unexpected argument '%s'", a.rest[0]);
        if (ret->config && ret->socket)
                return sw_cmd_usage(&sw_cmd_top, "give a file or a socket, not both");
        return SW_EXIT_OK;
}

static int top_run(int argc, char **argv)
{
        struct top t = { .ctl.fd = -1 };
        int r = top_parse(argc, argv, &t.wish);

        if (r != SW_EXIT_OK)
                return r;
        t.color = sw_color_wanted(t.wish.color, STDOUT_FILENO);
        r = sw_ctl_open(&t.ctl, &sw_cmd_top, t.wish.config, t.wish.socket);
        if (r == SW_EXIT_OK)
                r = t.wish.once || !sw_term_is(STDOUT_FILENO) ? top_once(&t) : top_watch(&t);
        sw_ctl_close(&t.ctl);
        return r;
}

const struct sw_cmd sw_cmd_top = {
        .name = "top",
        .args = "[-c FILE | --socket PATH] [-n SECONDS] [--once]",
        .summary = "watch the running daemon: sources, rates, tables, segment pairs",
        .options = top_options,
        .notes = "Ctrl-C ends it. Exit codes: 0 ended, 64 usage, 75 the daemon cannot be reached.",
        .examples = "segwatch top\n"
                    "segwatch top --once | head -20\n",
        .run = top_run,
};

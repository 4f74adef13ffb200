/* SPDX-License-Identifier: Apache-2.0 */
/* The outputs of a configuration without the rest of the daemon: findings come line by line from standard input into an
 * outbox, the sinks deliver them. Ends when the input has ended and nothing waits any more (exit 0) or when the time is
 * over (exit 1), with one JSON object of what happened on standard output.
 *
 * Usage: sink_tool CONFIG STATE_DIR SECONDS */
#include "base/alloc.h"
#include "base/json.h"
#include "base/jsonw.h"
#include "conf_outputs.h"
#include "outputs.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct tool {
        struct sw_loop *loop;
        struct sw_log *log;
        struct sw_conf conf;
        struct sw_outbox *outbox;
        struct sw_outputs *outputs;
        struct sw_sink_file *rejected;
        struct sw_watch *input;
        struct sw_buf text;
        struct sw_lines lines;
        int64_t end_ms;
        uint64_t added;
        bool ended, failed;
};

static void tool_fail(struct tool *t, const char *what)
{
        fprintf(stderr, "sink_tool: %s\n", what);
        t->failed = true;
        sw_loop_stop(t->loop);
}

static void tool_fatal(void *ctx, int code, const char *what)
{
        fprintf(stderr, "sink_tool: %s\n", sw_error_text(code));
        tool_fail(ctx, what);
}

static int tool_line(struct tool *t, struct sw_str line)
{
        struct sw_json *j = sw_json_parse(line);
        struct sw_str uid = sw_json_str(sw_json_at(j, "metadata.uid"));
        size_t from = t->lines.text.n;
        char id[33] = "";
        int64_t severity = 1;
        int r;

        (void)sw_json_i64(sw_json_get(j, "severity_id"), &severity);
        if (uid.n < sizeof(id))
                memcpy(id, uid.p, uid.n);
        sw_json_free(j);
        sw_buf_put_str(&t->lines.text, line);
        r = sw_lines_add(&t->lines, from, (uint8_t)severity, id);
        t->added += r == 0;
        return r;
}

static void tool_commit(struct tool *t)
{
        const struct sw_outbox_entry e = { NULL, &t->lines };

        if (t->lines.n == 0)
                return;
        if (sw_outbox_commit_all(t->outbox, &e, 1) != 0)
                tool_fail(t, "commit");
        sw_lines_reset(&t->lines);
        sw_outputs_wake(t->outputs);
}

static void tool_on_input(void *ctx)
{
        struct tool *t = ctx;
        static char chunk[1 << 18];
        ssize_t n = read(STDIN_FILENO, chunk, sizeof(chunk));
        char *newline;

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        if (n <= 0) {
                t->ended = true;
                t->input = sw_watch_close(t->input);
                return;
        }
        sw_buf_put(&t->text, chunk, (size_t)n);
        while ((newline = memchr(t->text.p, '\n', t->text.n)) != NULL) {
                size_t used = (size_t)(newline - t->text.p);

                if (tool_line(t, (struct sw_str){ t->text.p, used }) < 0)
                        tool_fail(t, "line");
                memmove(t->text.p, newline + 1, t->text.n - used - 1);
                t->text.n -= used + 1;
        }
        tool_commit(t);
}

static void tool_on_tick(void *ctx)
{
        struct tool *t = ctx;
        struct sw_outbox_sink_stats s;
        uint64_t waiting = 0;
        uint32_t i;

        for (i = 0; i < sw_outputs_n(t->outputs); i++) {
                if (sw_outbox_sink_stats(t->outbox, sw_outputs_row(t->outputs, i)->name, &s) != 0)
                        tool_fail(t, "stats");
                waiting += s.rows;
        }
        if (t->ended && waiting == 0) {
                sw_loop_stop(t->loop);
        } else if (sw_clock_mono().ms > t->end_ms) {
                tool_fail(t, "not delivered in time");
        }
}

static void tool_print(struct tool *t)
{
        struct sw_buf out = SW_BUF_NULL;
        struct sw_jsonw w = sw_jsonw_start(&out);
        struct sw_outbox_sink_stats box;
        uint32_t i;

        sw_jsonw_object(&w);
        sw_jsonw_ku64(&w, "added", t->added);
        sw_jsonw_key(&w, "sinks");
        sw_jsonw_object(&w);
        for (i = 0; i < sw_outputs_n(t->outputs); i++) {
                struct sw_courier_stats s = sw_outputs_stats(t->outputs, i);

                (void)sw_outbox_sink_stats(t->outbox, sw_outputs_row(t->outputs, i)->name, &box);
                sw_jsonw_key(&w, sw_outputs_row(t->outputs, i)->name);
                sw_jsonw_object(&w);
                sw_jsonw_ku64(&w, "rows", s.rows);
                sw_jsonw_ku64(&w, "rejected", s.rejected);
                sw_jsonw_ku64(&w, "filtered", s.filtered);
                sw_jsonw_ku64(&w, "requests", s.requests);
                sw_jsonw_ku64(&w, "retries", s.retries);
                sw_jsonw_ku64(&w, "bytes", s.bytes);
                sw_jsonw_ku64(&w, "waiting", box.rows);
                sw_jsonw_ku64(&w, "waiting_bytes", box.bytes);
                sw_jsonw_ku64(&w, "given_up", box.given_up);
                sw_jsonw_ktext(&w, "reason", s.reason);
                sw_jsonw_end_object(&w);
        }
        sw_jsonw_end_object(&w);
        sw_jsonw_end_object(&w);
        printf("%.*s\n", (int)out.n, out.p);
        sw_buf_deinit(&out);
}

static int tool_open(struct tool *t, char **argv)
{
        static struct sw_conf_report report;
        struct sw_outbox_conf box = { .dir = argv[2], .max_bytes = 1 << 30, .max_age_ms = SW_DAY };
        struct sw_outputs_conf outputs = { .conf = &t->conf, .on_fatal = tool_fatal, .ctx = t };
        struct sw_sink_file_conf file = { .keep = 1 };
        struct sw_err err = SW_ERR_NULL;
        struct sw_watch *w;
        char path[512];
        int r = sw_conf_load(argv[1], false, &t->conf, &report);

        sw_conf_report_print(&report);
        (void)snprintf(path, sizeof(path), "%s/rejected.jsonl", argv[2]);
        file.path = path;
        if (r == 0)
                r = sw_log_new(STDERR_FILENO, t->conf.log.level, SW_LOG_LOGFMT, &t->log);
        if (r == 0)
                r = sw_loop_new(&t->loop);
        if (r == 0)
                r = sw_outbox_open(&box, t->log, &t->outbox, &err);
        if (r == 0)
                r = sw_sink_file_open(&file, t->log, &t->rejected, &err);
        outputs.outbox = t->outbox;
        outputs.loop = t->loop;
        outputs.log = t->log;
        outputs.rejected = t->rejected;
        if (r == 0)
                r = sw_outputs_new(&outputs, &t->outputs, &err);
        if (r == 0)
                r = sw_outputs_start(t->outputs);
        (void)fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
        if (r == 0)
                r = sw_loop_readable(t->loop, STDIN_FILENO, tool_on_input, t, &t->input);
        if (r == 0)
                r = sw_loop_timer(t->loop, 20, 20, tool_on_tick, t, &w);
        if (r != 0)
                fprintf(stderr, "sink_tool: %s: %s\n", sw_error_text(r), err.msg);
        t->end_ms = sw_clock_mono().ms + atol(argv[3]) * 1000;
        return r;
}

int main(int argc, char **argv)
{
        struct tool t = { .text = SW_BUF_NULL };

        if (argc != 4) {
                fprintf(stderr, "usage: sink_tool CONFIG STATE_DIR SECONDS\n");
                return 64;
        }
        (void)signal(SIGPIPE, SIG_IGN);
        t.failed = tool_open(&t, argv) != 0;
        if (!t.failed) {
                sw_loop_run(t.loop);
                tool_print(&t);
        }
        sw_outputs_stop(t.outputs);
        t.loop = sw_loop_free(t.loop);
        sw_outputs_free(t.outputs);
        sw_sink_file_close(t.rejected);
        sw_outbox_close(t.outbox);
        sw_conf_deinit(&t.conf);
        sw_log_free(t.log);
        sw_buf_deinit(&t.text);
        sw_lines_deinit(&t.lines);
        return t.failed;
}

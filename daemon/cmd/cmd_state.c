/* SPDX-License-Identifier: Apache-2.0 */
/* `segwatch state`: what the daemon keeps, whether it is whole, and carrying it to another machine. */
#include "cmd/cmd_state.h"

#include "base/alloc.h"
#include "base/jsonw.h"
#include "clock.h"
#include "cmd/args.h"
#include "engine/snapshot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STATE_CANONICAL = SW_CMD_LONG, STATE_REPLACE };

static const struct sw_cmd_opt state_options[] = {
        SW_CMD_OPT_CONFIG,
        { "output", 'o', "FORM", "info: text (default) or json", "text json" },
        { "canonical", STATE_CANONICAL, NULL,
                "export: what the state says, as text to compare, instead of a file to import" },
        { "replace", STATE_REPLACE, NULL, "import: although there is a state, which is moved to state.dir/replaced" },
        { 0 },
};

/* ---- opening ---- */

int sw__state_open(struct sw_cmd_state *s, const char *file)
{
        static struct sw_conf_report report; /* 50 KiB: not for the stack */
        struct sw_err err = SW_ERR_NULL;
        int r = sw_conf_load(file, false, &s->conf, &report);

        sw_conf_report_print(&report);
        if (r < 0)
                return r == -SW_ERR_CONFIG ? SW_EXIT_CONFIG : SW_EXIT_FAILURE;
        s->loaded = true;
        sw_conf_core(&s->conf, &s->core);
        r = sw_snapshots_look(s->conf.state.dir, &s->files, &err);
        if (r < 0) {
                fprintf(stderr, "segwatch state: %s\n", err.msg);
                return SW_EXIT_FAILURE;
        }
        return SW_EXIT_OK;
}

/* The outbox, if there is one; never makes it. */
int sw__state_open_outbox(struct sw_cmd_state *s)
{
        const struct sw_outbox_conf conf = {
                .dir = s->conf.state.dir, .max_bytes = UINT64_MAX, .max_age_ms = INT64_MAX
        };
        struct sw_err err = SW_ERR_NULL;
        struct sw_buf path = SW_BUF_NULL;
        bool there;
        int r;

        sw_buf_printf(&path, "%s/%s%c", s->conf.state.dir, SW_OUTBOX_FILE, 0);
        there = !path.failed && access(path.p, F_OK) == 0;
        sw_buf_deinit(&path);
        if (!there)
                return SW_EXIT_OK;
        r = sw_log_new(STDERR_FILENO, SW_LOG_WARNING, s->conf.log.format, &s->log);
        if (r == 0)
                r = sw_outbox_open(&conf, s->log, &s->outbox, &err);
        if (r == 0)
                r = sw_outbox_last(s->outbox, &s->last);
        if (r < 0) {
                fprintf(stderr, "segwatch state: %s\n", *err.msg ? err.msg : sw_error_text(r));
                return SW_EXIT_FAILURE;
        }
        return SW_EXIT_OK;
}

void sw__state_close(struct sw_cmd_state *s)
{
        sw_outbox_close(s->outbox);
        sw_log_free(s->log);
        sw_snapshots_close(s->files);
        if (s->loaded)
                sw_conf_deinit(&s->conf);
}

static void state_dropped(void *ctx, const char *section, const char *why)
{
        fprintf(stderr, "snapshot %llu: %s: %s\n", *(unsigned long long *)ctx, section, why);
}

int sw__state_load(
        struct sw_cmd_state *s, uint64_t number, struct sw_engine **ret, struct sw_cover *ret_cover, struct sw_err *err)
{
        unsigned long long shown = number;
        const struct sw_snapshot_hooks hooks = { .on_dropped = state_dropped, .ctx = &shown };
        struct sw_buf extra = SW_BUF_NULL;
        int fd, r = sw_snapshots_read(s->files, number, &fd, err);

        if (r < 0)
                return r;
        r = sw_engine_load(&s->core, sw_snapshots_pull, &fd, &hooks, &extra, ret, err);
        (void)close(fd);
        if (r == 0) {
                r = sw_cover_parse((struct sw_str){ extra.p, extra.n }, ret_cover);
                if (r < 0) {
                        (void)sw_err_set(err, r, "what it covers cannot be read");
                        *ret = sw_engine_free(*ret);
                }
        }
        sw_buf_deinit(&extra);
        return r;
}

/* ---- info ---- */

static void info_table(void *ctx, const struct sw_table_info *t)
{
        struct sw_jsonw *w = ctx;

        sw_jsonw_object(w);
        sw_jsonw_ktext(w, "name", t->name);
        sw_jsonw_ku64(w, "entries", t->entries);
        sw_jsonw_ku64(w, "bytes", t->bytes);
        sw_jsonw_ku64(w, "evicted", t->evicted);
        sw_jsonw_end_object(w);
}

static void info_time(struct sw_jsonw *w, const char *key, struct sw_etime t)
{
        char text[SW_ETIME_TEXT];

        if (!sw_etime_is_none(t))
                sw_jsonw_ktext(w, key, sw_etime_format(t, text));
}

static void info_snapshots(struct sw_cmd_state *s, struct sw_jsonw *w)
{
        const struct sw_snapshots_file *files;
        uint32_t n, i;

        files = sw_snapshots_list(s->files, &n);
        sw_jsonw_key(w, "snapshots");
        sw_jsonw_array(w);
        for (i = 0; i < n; i++) {
                sw_jsonw_object(w);
                sw_jsonw_ku64(w, "number", files[i].number);
                sw_jsonw_ku64(w, "bytes", files[i].bytes);
                sw_jsonw_ki64(w, "age_s", (sw_clock_wall().ms - files[i].written_ms) / 1000);
                sw_jsonw_ktext(w, "file", sw_snapshots_path(s->files, files[i].number));
                sw_jsonw_end_object(w);
        }
        sw_jsonw_end_array(w);
}

static void info_place(struct sw_jsonw *w, const struct sw_outbox_offset *o)
{
        sw_jsonw_object(w);
        sw_jsonw_ktext(w, "source", o->source);
        sw_jsonw_ktext(w, o->inode ? "path" : "topic", o->topic);
        sw_jsonw_ki64(w, "partition", o->partition);
        sw_jsonw_ki64(w, "next", o->next);
        if (o->inode)
                sw_jsonw_ku64(w, "inode", o->inode);
        info_time(w, "stamp", o->stamp);
        sw_jsonw_end_object(w);
}

static int info_places(void *ctx, const struct sw_outbox_release *r, const struct sw_line *findings, uint32_t n)
{
        struct sw_jsonw *w = ctx;
        uint32_t i;

        (void)findings, (void)n;
        sw_jsonw_key(w, "places");
        sw_jsonw_array(w);
        for (i = 0; i < r->n_offsets; i++)
                info_place(w, &r->offsets[i]);
        sw_jsonw_end_array(w);
        return 1; /* the newest only: a release that was made meanwhile is the next look's */
}

static void info_outbox(struct sw_cmd_state *s, struct sw_jsonw *w)
{
        struct sw_outbox_stats stats;

        if (!s->outbox)
                return;
        sw_outbox_stats(s->outbox, &stats);
        sw_jsonw_key(w, "outbox");
        sw_jsonw_object(w);
        sw_jsonw_ku64(w, "release", s->last.number);
        info_time(w, "watermark", s->last.watermark);
        info_time(w, "made", s->last.wall);
        sw_jsonw_ktext(w, "configuration", s->last.conf);
        sw_jsonw_ku64(w, "findings", stats.rows);
        sw_jsonw_ku64(w, "finding_bytes", stats.bytes);
        if (s->last.number > 0)
                (void)sw_outbox_releases(s->outbox, s->last.number - 1, info_places, w);
        sw_jsonw_end_object(w);
}

static int info_newest(struct sw_cmd_state *s, struct sw_jsonw *w)
{
        struct sw_cover cover = SW_COVER_NULL;
        const struct sw_snapshots_file *files;
        struct sw_err err = SW_ERR_NULL;
        struct sw_engine *e = NULL;
        uint32_t n;
        int r;

        files = sw_snapshots_list(s->files, &n);
        if (n == 0)
                return SW_EXIT_OK;
        r = sw__state_load(s, files[0].number, &e, &cover, &err);
        if (r == -SW_ERR_NOENT)
                return SW_EXIT_OK; /* the daemon runs, and has a newer one */
        if (r < 0) {
                fprintf(stderr, "segwatch state: snapshot %llu: %s\n", (unsigned long long)files[0].number, err.msg);
                return SW_EXIT_FAILURE;
        }
        info_time(w, "snapshot_watermark", cover.release.watermark);
        sw_jsonw_key(w, "tables");
        sw_jsonw_array(w);
        sw_engine_tables(e, info_table, w);
        sw_jsonw_end_array(w);
        sw_engine_free(e);
        sw_cover_deinit(&cover);
        return SW_EXIT_OK;
}

static const struct sw_json *info_text_list(const struct sw_json *j, const char *key, const char *title)
{
        const struct sw_json *first = sw_json_first(sw_json_get(j, key));

        if (first)
                printf("%s\n", title);
        return first;
}

static long long info_number(const struct sw_json *j, const char *key)
{
        int64_t v = 0;

        (void)sw_json_i64(sw_json_get(j, key), &v);
        return v;
}

static const char *info_word(const struct sw_json *j, const char *key)
{
        struct sw_str s = sw_json_str(sw_json_get(j, key));

        return s.p ? s.p : "-";
}

/* The same, for people. */
static void info_text(const struct sw_json *j)
{
        const struct sw_json *i, *outbox = sw_json_get(j, "outbox");

        printf("state       %s\n", info_word(j, "dir"));
        if (outbox)
                printf("releases    %lld, watermark %s, made %s\nfindings    %lld kept, %lld bytes\n",
                        info_number(outbox, "release"), info_word(outbox, "watermark"), info_word(outbox, "made"),
                        info_number(outbox, "findings"), info_number(outbox, "finding_bytes"));
        else
                printf("releases    none\n");
        for (i = info_text_list(j, "snapshots", "snapshots"); i; i = sw_json_next(i))
                printf("  %-10lld %12lld bytes, %lld s old\n", info_number(i, "number"), info_number(i, "bytes"),
                        info_number(i, "age_s"));
        for (i = info_text_list(outbox, "places", "places"); i; i = sw_json_next(i))
                printf("  %s %s/%lld: %lld\n", info_word(i, "source"),
                        sw_json_get(i, "topic") ? info_word(i, "topic") : info_word(i, "path"),
                        info_number(i, "partition"), info_number(i, "next"));
        for (i = info_text_list(j, "tables", "tables of the newest snapshot"); i; i = sw_json_next(i))
                printf("  %-20s %10lld entries %12lld bytes %10lld evicted\n", info_word(i, "name"),
                        info_number(i, "entries"), info_number(i, "bytes"), info_number(i, "evicted"));
}

static int state_info(struct sw_cmd_state *s, bool json)
{
        struct sw_buf out = SW_BUF_NULL;
        struct sw_jsonw w = sw_jsonw_start(&out);
        struct sw_json *j;
        int r = sw__state_open_outbox(s);

        if (r != SW_EXIT_OK)
                return r;
        sw_jsonw_object(&w);
        sw_jsonw_ktext(&w, "dir", s->conf.state.dir);
        info_snapshots(s, &w);
        info_outbox(s, &w);
        r = info_newest(s, &w);
        sw_jsonw_end_object(&w);
        if (out.failed)
                r = SW_EXIT_FAILURE;
        else if (json)
                printf("%.*s\n", (int)out.n, out.p);
        else if ((j = sw_json_parse((struct sw_str){ out.p, out.n }))) {
                info_text(j);
                sw_json_free(j);
        }
        sw_buf_deinit(&out);
        return r;
}

/* ---- check ---- */

static int state_check(struct sw_cmd_state *s)
{
        const struct sw_snapshots_file *files;
        uint32_t n, i, bad = 0;
        int r = sw__state_open_outbox(s);

        if (r != SW_EXIT_OK)
                return r;
        printf("outbox: %s\n", s->outbox ? "ok" : "none");
        files = sw_snapshots_list(s->files, &n);
        for (i = 0; i < n; i++) {
                struct sw_cover cover = SW_COVER_NULL;
                struct sw_err err = SW_ERR_NULL;
                struct sw_engine *e = NULL;

                r = sw__state_load(s, files[i].number, &e, &cover, &err);
                if (r == 0 && cover.release.number != files[i].number)
                        r = sw_err_set(&err, -SW_ERR_DATA, "it says that it is number %llu",
                                (unsigned long long)cover.release.number);
                if (r == 0 && s->outbox && s->last.number && cover.release.number > s->last.number)
                        r = sw_err_set(&err, -SW_ERR_DATA, "its release was never committed");
                if (r != -SW_ERR_NOENT) { /* the daemon runs, and has a newer one */
                        printf("snapshot %llu: %s\n", (unsigned long long)files[i].number, r == 0 ? "ok" : err.msg);
                        bad += r != 0;
                }
                sw_engine_free(e);
                sw_cover_deinit(&cover);
        }
        if (n == 0)
                printf("snapshots: none\n");
        return bad ? SW_EXIT_FAILURE : SW_EXIT_OK;
}

/* ---- the verb ---- */

static int state_run(int argc, char **argv)
{
        struct sw_cmd_state s = { 0 };
        const char *file = SW_CMD_CONFIG, *sub, *path;
        const struct sw_cmd_sub *known = sw_cmd_state.subs;
        bool json = false, canonical = false, replace = false;
        struct sw_cmd_args a;
        int c, r, wanted;

        sw_cmd_args_init(&a, &sw_cmd_state, argc, argv);
        while ((c = sw_cmd_args_next(&a)) > 0) {
                switch (c) {
                case 'c':
                        file = a.value;
                        break;
                case 'o':
                        json = strcmp(a.value, "json") == 0;
                        if (!json && strcmp(a.value, "text") != 0)
                                return sw_cmd_args_bad_value(&a, c, NULL);
                        break;
                case STATE_CANONICAL:
                        canonical = true;
                        break;
                case STATE_REPLACE:
                        replace = true;
                        break;
                }
        }
        if (c < 0)
                return SW_EXIT_USAGE;
        if (a.n_rest == 0)
                return sw_cmd_usage(&sw_cmd_state, "what to do with it is missing: info, check, export or import");
        sub = a.rest[0];
        while (known->name && strcmp(known->name, sub) != 0)
                known++;
        if (!known->name)
                return sw_cmd_usage(&sw_cmd_state, "unknown word '%s'", sub);
        wanted = strcmp(sub, "import") == 0 || (strcmp(sub, "export") == 0 && !canonical);
        if (a.n_rest != 1 + wanted)
                return sw_cmd_usage(&sw_cmd_state, wanted ? "%s needs one FILE" : "%s takes no argument", sub);
        path = wanted ? a.rest[1] : NULL;
        if (strcmp(sub, "import") == 0)
                return sw__state_import(file, path, replace);
        r = sw__state_open(&s, file);
        if (r != SW_EXIT_OK)
                ;
        else if (strcmp(sub, "info") == 0)
                r = state_info(&s, json);
        else if (strcmp(sub, "check") == 0)
                r = state_check(&s);
        else
                r = canonical ? sw__state_canonical(&s) : sw__state_export(&s, path);
        sw__state_close(&s);
        return r;
}

static const struct sw_cmd_sub state_subs[] = {
        { "info", "[-o text|json]", "snapshots, releases, how far every source was read, tables" },
        { "check", NULL, "read all of it and verify its checksums" },
        { "export", "FILE", "write it into one file, for another machine; the daemon must not run" },
        { "import", "FILE [--replace]", "make it the state of this machine; the daemon must not run" },
        { 0 },
};

const struct sw_cmd sw_cmd_state = {
        .name = "state",
        .args = "info|check|export|import [-c FILE] [FILE]",
        .summary = "what outlives a restart: look, verify, carry over",
        .subs = state_subs,
        .options = state_options,
        .notes = "info and check also work while the daemon runs.\n\n"
                 "Exit codes: 0 ok, 1 failed or damaged, 64 usage, 75 the daemon runs, 78 configuration.",
        .examples = "segwatch state info\n"
                    "segwatch state check && echo whole\n"
                    "systemctl stop segwatch && segwatch state export /tmp/segwatch.state\n",
        .run = state_run,
        .operands = "FILE",
};

/* SPDX-License-Identifier: Apache-2.0 */
#include "conf.h"

#include "conf_lists.h"
#include "conf_outputs.h"
#include "config/emit.h"

#include <stdio.h>
#include <string.h>

#define MIN_IDLE_MS SW_MINUTE /* beyond time.reorder */

static void conf_parts(struct sw_conf *conf, bool included, struct sw_schema_part ret[SW_CONF_N_TABLES])
{
        unsigned i;

        for (i = 0; i < SW_CONF_N_TABLES; i++) {
                bool lists = i == SW_CONF_LISTS || i == SW_CONF_INCLUDE;

                ret[i] = (struct sw_schema_part){ .rows = sw_conf_tables[i],
                        .base = lists ? (void *)conf->lists : (void *)conf };
                if (included && (i == SW_CONF_SETTINGS || i == SW_CONF_INCLUDE))
                        ret[i].refuse = "belongs in the main file, not in an included one";
        }
}

static int conf_defaults(struct sw_conf *conf)
{
        struct sw_schema_part parts[SW_CONF_N_TABLES];
        unsigned i;

        conf->lists = sw_calloc(1, sizeof(*conf->lists));
        if (!conf->lists)
                return -SW_ERR_NOMEM;
        conf_parts(conf, false, parts);
        for (i = 0; i < SW_CONF_N_TABLES; i++)
                if (sw_schema_defaults(parts[i].rows, parts[i].base) < 0)
                        return -SW_ERR_NOMEM;
        conf->time.idle_ms = -1;
        return sw_conf_detectors_default(conf->detectors);
}

void sw_conf_deinit(struct sw_conf *conf)
{
        struct sw_schema_part parts[SW_CONF_N_TABLES];
        unsigned i;

        if (!conf || !conf->lists)
                return;
        conf_parts(conf, false, parts);
        for (i = 0; i < SW_CONF_N_TABLES; i++)
                sw_schema_free(parts[i].rows, parts[i].base);
        conf->segments = sw_segments_free(conf->segments);
        sw_conf_free_suppressions(conf);
        sw_arena_deinit(&conf->lists->names);
        sw_free(conf->lists);
        *conf = (struct sw_conf){ 0 };
}

/* The nodes are gone afterwards, what they said is in conf. false: not all that it says is known. */
static bool conf_read_text(
        struct sw_conf *conf, const char *file, struct sw_str text, bool included, struct sw_conf_check *check)
{
        struct sw_schema_part parts[SW_CONF_N_TABLES];
        struct sw_arena arena = SW_ARENA_NULL;
        struct sw_conf_node *root = NULL;
        int r;

        conf_parts(conf, included, parts);
        r = sw_conf_parse(text, file, &arena, check, &root);
        check->no_memory = check->no_memory || r == -SW_ERR_NOMEM;
        if (r == 0)
                sw_schema_read(parts, SW_CONF_N_TABLES, root, check);
        if (root && root->kind == SW_NODE_MAP) {
                const struct sw_conf_node *n = root->first;

                for (; n; n = n->next)
                        if (!included && sw_str_eq(n->key, SW_STR("include")))
                                conf->lists->include_place = n->place;
        }
        sw_arena_deinit(&arena);
        return r == 0;
}

static bool conf_read_one(struct sw_conf *conf, const char *file, bool included, struct sw_conf_check *check)
{
        struct sw_buf text = SW_BUF_NULL;
        bool ok = sw_conf_read_file(file, check, &text) &&
                  conf_read_text(conf, file, (struct sw_str){ text.p, text.n }, included, check);

        sw_buf_deinit(&text);
        return ok;
}

static bool conf_read_files(struct sw_conf *conf, const char *path, struct sw_conf_check *check)
{
        struct sw_conf_lists *lists = conf->lists;
        bool ok;
        uint32_t i;

        lists->files[0] = sw_arena_copy(&lists->names, path, strlen(path));
        if (!lists->files[0]) {
                check->no_memory = true;
                return false;
        }
        lists->n_files = 1;
        ok = conf_read_one(conf, lists->files[0], false, check);
        if (!sw_conf_expand_includes(lists, path, check))
                return false;
        for (i = 1; i < lists->n_files; i++)
                ok = conf_read_one(conf, lists->files[i], true, check) && ok;
        ok = sw_conf_read_suppressions(lists, path, check) && ok;
        return ok;
}

/* "NAME" in the folder of `beside`. */
static char *conf_beside(const char *beside, const char *name)
{
        struct sw_buf b = SW_BUF_NULL;

        sw_buf_put_beside(&b, beside, name);
        sw_buf_putc(&b, '\0');
        if (b.failed)
                sw_buf_deinit(&b);
        return b.p;
}

/* Files beside the alert file whose names are fixed. */
static void conf_check_fixed(struct sw_conf *conf, const char *name, const char *what, struct sw_conf_check *check)
{
        char *fixed = conf_beside(conf->alerts.file, name);

        if (!fixed)
                check->no_memory = true;
        else if (strcmp(conf->alerts.file, fixed) == 0)
                sw_conf_error(check, &conf->alerts.file_place, "alerts: %s is the file of %s", name, what);
        else if (strcmp(conf->alerts.quarantine, fixed) == 0)
                sw_conf_error(check, &conf->alerts.quarantine_place, "alerts: %s is the file of %s", name, what);
        sw_free(fixed);
}

static void conf_check_alerts(struct sw_conf *conf, struct sw_conf_check *check)
{
        if (!conf->alerts.quarantine)
                conf->alerts.quarantine = conf_beside(conf->alerts.file, "quarantine.jsonl");
        if (!conf->alerts.quarantine) {
                check->no_memory = true;
                return;
        }
        if (strcmp(conf->alerts.file, conf->alerts.quarantine) == 0)
                sw_conf_error(check, &conf->alerts.quarantine_place, "alerts: file and quarantine are the same file");
        if (conf->alerts.signals)
                conf_check_fixed(conf, "signals.jsonl", "signals", check);
        if (conf->alerts.stats)
                conf_check_fixed(conf, "stats.jsonl", "statistics", check);
        conf_check_fixed(conf, "suppressed.jsonl", "suppressed signals", check);
}

static void conf_check_time(struct sw_conf *conf, struct sw_conf_check *check)
{
        int64_t least = conf->time.reorder_ms + MIN_IDLE_MS;
        char a[32], b[32];

        if (conf->time.idle_ms < 0)
                conf->time.idle_ms = least;
        else if (conf->time.reorder_ms > 0 && conf->time.idle_ms < least)
                sw_conf_error(check, &conf->time.idle_place,
                        "time: idle is %s, it must be at least reorder + 1m, which is %s",
                        sw_schema_duration_format(conf->time.idle_ms, a), sw_schema_duration_format(least, b));
}

static void conf_check_all_secrets(const struct sw_conf *conf, struct sw_conf_check *check)
{
        sw_conf_check_secrets(conf, check);
        sw_conf_check_output_secrets(conf, check);
}

static void conf_check_all(struct sw_conf *conf, bool need_sources, struct sw_conf_check *check)
{
        const struct sw_conf_place whole = { conf->lists->files[0], 0, 0 };

        conf_check_time(conf, check);
        conf_check_alerts(conf, check);
        sw_conf_check_admin(conf, check);
        sw_conf_check_sources(conf, check);
        sw_conf_check_outputs(conf, check);
        sw_conf_check_lists(conf->lists, check);
        sw_conf_check_suppressions(conf->lists, check);
        if (need_sources && conf->sources.n == 0)
                sw_conf_error(check, &whole, "there are no sources: nothing to read from");
        if (need_sources && check->n_errors == 0)
                conf_check_all_secrets(conf, check);
        if (check->n_errors == 0 &&
                (sw_conf_build_segments(conf, check) == -SW_ERR_NOMEM || sw_conf_build_suppressions(conf) < 0))
                check->no_memory = true;
}

static bool conf_read_named(struct sw_conf *conf, const char *name, struct sw_str text, struct sw_conf_check *check)
{
        struct sw_conf_lists *lists = conf->lists;

        lists->files[0] = sw_arena_copy(&lists->names, name, strlen(name));
        lists->n_files = 1;
        check->no_memory = check->no_memory || !lists->files[0];
        return lists->files[0] && conf_read_text(conf, lists->files[0], text, false, check);
}

/* text.p: what path, then only a name, holds. */
static int conf_load(
        const char *path, struct sw_str text, bool need_sources, struct sw_conf *ret, struct sw_conf_report *report)
{
        struct sw_conf_check check = { .items = report->items, .max_items = SW_CONF_MAX_ERRORS };
        bool complete = true;
        int r = 0;

        *ret = (struct sw_conf){ 0 };
        report->n_items = report->n_errors = report->n_warnings = 0;
        if (conf_defaults(ret) < 0)
                check.no_memory = true;
        if (path && text.p && !check.no_memory)
                complete = conf_read_named(ret, path, text, &check);
        else if (path && !check.no_memory)
                complete = conf_read_files(ret, path, &check);
        /* what could not be read would be missed everywhere */
        if (complete && !check.no_memory)
                conf_check_all(ret, need_sources, &check);
        if (ret->lists)
                sw_conf_check_sort(&check, ret->lists->files);
        report->n_items = check.n_items;
        report->n_errors = check.n_errors;
        report->n_warnings = check.n_warnings;
        report->cut = check.cut;
        if (check.n_errors)
                r = -SW_ERR_CONFIG;
        if (check.no_memory)
                r = -SW_ERR_NOMEM;
        if (r < 0)
                sw_conf_deinit(ret);
        return r;
}

int sw_conf_load(const char *path, bool need_sources, struct sw_conf *ret, struct sw_conf_report *report)
{
        return conf_load(path, (struct sw_str){ 0 }, need_sources, ret, report);
}

int sw_conf_load_text(const char *name, struct sw_str text, struct sw_conf *ret, struct sw_conf_report *report)
{
        return conf_load(name, text, false, ret, report);
}

void sw_conf_report_secrets(const struct sw_conf *conf, struct sw_conf_report *report)
{
        struct sw_conf_check check = { .items = report->items,
                .max_items = SW_CONF_MAX_ERRORS,
                .n_items = report->n_items,
                .n_errors = report->n_errors,
                .n_warnings = report->n_warnings };

        conf_check_all_secrets(conf, &check);
        sw_conf_check_sort(&check, conf->lists->files);
        report->n_items = check.n_items;
        report->n_errors = check.n_errors;
        report->n_warnings = check.n_warnings;
}

void sw_conf_dump(const struct sw_conf *conf, struct sw_buf *out)
{
        sw_emit_yaml(out, sw_conf_tables[SW_CONF_SOURCES], conf, 0);
        sw_emit_yaml(out, sw_conf_tables[SW_CONF_LISTS], conf->lists, 0);
        sw_emit_yaml(out, sw_conf_tables[SW_CONF_SETTINGS], conf, 0);
}

void sw_conf_sample(struct sw_buf *out)
{
        unsigned i;

        sw_buf_puts(out, "# Configuration of segwatch: every option with its default. Times and sizes carry units.\n");
        for (i = 0; i < SW_CONF_N_TABLES; i++) {
                sw_buf_putc(out, '\n');
                sw_emit_sample(out, sw_conf_tables[i], 0);
        }
}

void sw_conf_json_schema(struct sw_buf *out)
{
        struct sw_buf json = SW_BUF_NULL;
        struct sw_jsonw w = sw_jsonw_start(&json);

        sw_jsonw_object(&w);
        sw_jsonw_ktext(&w, "$schema", "https://json-schema.org/draft/2020-12/schema");
        sw_jsonw_ktext(&w, "title", "Configuration of segwatch");
        sw_emit_schema(&w, sw_conf_tables, SW_CONF_N_TABLES);
        sw_jsonw_end_object(&w);
        sw_emit_pretty(out, (struct sw_str){ json.p, json.n });
        out->failed = out->failed || json.failed;
        sw_buf_deinit(&json);
}

void sw_conf_core(const struct sw_conf *conf, struct sw_core_conf *ret)
{
        *ret = (struct sw_core_conf){ 0 };
        sw_core_conf_default(ret);
        ret->reorder_ms = conf->time.reorder_ms;
        ret->lateness_ms = conf->time.lateness_ms;
        ret->dedupe_ms = conf->time.dedupe_ms;
        ret->learning_ms = conf->learning_ms;
        ret->memory_limit_bytes = conf->memory.limit;
        ret->incidents.min_severity = (enum sw_severity)conf->incidents.min_severity;
        ret->incidents.max_per_hour = (uint32_t)conf->incidents.max_per_hour;
        memcpy(ret->detectors, conf->detectors, sizeof(ret->detectors));
        ret->segments = conf->segments;
        ret->suppressions = &conf->suppressions;
        ret->version = SW_VERSION;
        ret->write_signals = conf->alerts.signals;
}

void sw_conf_report_print(const struct sw_conf_report *report)
{
        uint32_t i;

        for (i = 0; i < report->n_items; i++) {
                const struct sw_err *e = &report->items[i];

                if (*e->file)
                        fprintf(stderr, "%s:", e->file);
                if (e->line)
                        fprintf(stderr, "%u:%u:", e->line, e->column);
                fprintf(stderr, "%s%s%s\n", *e->file || e->line ? " " : "", e->code ? "" : "warning: ", e->msg);
        }
        if (report->n_errors + report->n_warnings > report->n_items)
                fprintf(stderr, "%u more are not shown\n", report->n_errors + report->n_warnings - report->n_items);
}

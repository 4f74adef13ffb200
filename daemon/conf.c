/* SPDX-License-Identifier: Apache-2.0 */
#include "conf.h"

#include "conf_lists.h"
#include "config/emit.h"
#include "log.h"

#include <stdio.h>
#include <string.h>

/* clang-format off: one option per block, the columns do not help */
static const struct sw_opt_name kind_names[] = { { "eventhubs", SW_SOURCE_EVENTHUBS }, { "kafka", SW_SOURCE_KAFKA },
        { "file", SW_SOURCE_FILE }, { NULL, 0 } };
static const struct sw_opt_name severity_names[] = { { "informational", SW_SEVERITY_INFO }, { "low", SW_SEVERITY_LOW },
        { "medium", SW_SEVERITY_MEDIUM }, { "high", SW_SEVERITY_HIGH }, { "critical", SW_SEVERITY_CRITICAL },
        { NULL, 0 } };
static const struct sw_opt_name level_names[] = { { "error", SW_LOG_ERROR }, { "warning", SW_LOG_WARNING },
        { "info", SW_LOG_INFO }, { "debug", SW_LOG_DEBUG }, { NULL, 0 } };
static const struct sw_opt_name format_names[] = { { "logfmt", SW_LOG_LOGFMT }, { "json", SW_LOG_JSON }, { NULL, 0 } };
static const struct sw_opt_name role_names[] = {
#define SW_SEGMENT_ROLE_NAME(name, text) { text, SW_SEGMENT_ROLE_##name },
        SW_SEGMENT_ROLE_MAP(SW_SEGMENT_ROLE_NAME)
#undef SW_SEGMENT_ROLE_NAME
                { NULL, 0 }
};

#define AT(field) .offset = offsetof(struct sw_conf_source, field)
static const struct sw_opt source_rows[] = {
        { .key = "name",
                .type = SW_OPT_STRING,
                .flags = SW_OPT_REQUIRED | SW_OPT_UNIQUE,
                AT(name),
                .example = "weu",
                .doc = "Name in messages and statistics." },
        { .key = "kind",
                .type = SW_OPT_ENUM,
                .flags = SW_OPT_REQUIRED,
                AT(kind),
                .names = kind_names,
                .example = "eventhubs",
                .doc = "Where messages come from." },
        { .key = "connection_string",
                .type = SW_OPT_SECRET,
                AT(connection_string),
                .example = "{credential: eventhub}",
                .doc = "eventhubs: where the connection string is kept; brokers, TLS and SASL follow from it." },
        { .key = "brokers",
                SW_CONF_CUSTOM(brokers),
                AT(brokers),
                .example = "[127.0.0.1:9092]",
                .doc = "kafka: bootstrap brokers as HOST:PORT. eventhubs: instead of those of the connection string." },
        { .key = "topic",
                .type = SW_OPT_STRING,
                AT(topic),
                .example = "flowlogs",
                .doc = "Topic or event hub; not needed where the connection string has an EntityPath." },
        { .key = "group",
                .type = SW_OPT_STRING,
                AT(group),
                .example = "segwatch-flowlogs",
                .doc = "Consumer group, unique in the namespace; segwatch-TOPIC unless given." },
        { .key = "ca_file",
                .type = SW_OPT_STRING,
                AT(ca_file),
                .example = "/etc/ssl/certs/ca-certificates.crt",
                .doc = "Certificates to trust instead of the system's (tests, private link)." },
        { .key = "start",
                SW_CONF_CUSTOM(start),
                AT(start),
                .def = "earliest",
                .doc = "Where partitions never read before begin: earliest, latest or a time." },
        { .key = "path",
                .type = SW_OPT_STRING,
                AT(path),
                .example = "/var/spool/flowlogs",
                .doc = "file: file or folder to read." },
        { .key = "follow",
                .type = SW_OPT_BOOL,
                AT(follow),
                .def = "false",
                .doc = "file: whether to wait for more at the end." },
        { .key = "librdkafka",
                .type = SW_OPT_ANY_MAP,
                AT(librdkafka),
                .example = "{fetch.wait.max.ms: \"500\"}",
                .doc = "Further settings of librdkafka, as named in its CONFIGURATION.md." },
        SW_OPT_END,
};
#undef AT

#define AT(field) .offset = offsetof(struct sw_conf, field)
static const struct sw_opt head_rows[] = {
        { .key = "sources",
                .type = SW_OPT_LIST,
                AT(sources),
                .rows = source_rows,
                .item_size = sizeof(struct sw_conf_source),
                .place = offsetof(struct sw_conf_source, place),
                .doc = "Where flow logs are read from; `run` needs at least one." },
        SW_OPT_END,
};
#undef AT

#define AT(field) .offset = offsetof(struct sw_conf_segment, field)
static const struct sw_opt segment_rows[] = {
        { .key = "name",
                .type = SW_OPT_STRING,
                .flags = SW_OPT_REQUIRED | SW_OPT_UNIQUE,
                AT(name),
                .example = "web",
                .doc = "Name in findings and policy." },
        { .key = "cidrs",
                SW_CONF_CUSTOM(cidrs),
                .flags = SW_OPT_REQUIRED,
                AT(cidrs),
                .example = "[10.1.0.0/24, \"fd00:1::/64\"]",
                .doc = "Address ranges; the longest prefix wins." },
        { .key = "role",
                .type = SW_OPT_ENUM,
                AT(role),
                .def = "none",
                .names = role_names,
                .doc = "What the segment is for." },
        { .key = "criticality",
                .type = SW_OPT_UINT,
                AT(criticality),
                .min = 1,
                .max = 4,
                .def = "2",
                .doc = "Weight of what happens to its hosts; 4 is the crown jewels." },
        { .key = "isolate",
                .type = SW_OPT_BOOL,
                AT(isolate),
                .def = "false",
                .doc = "Whether traffic inside the segment needs a policy row too." },
        { .key = "realm",
                SW_CONF_CUSTOM(ref),
                AT(realm),
                .example = "default",
                .doc = "Address space the ranges belong to." },
        SW_OPT_END,
};
#undef AT
#define AT(field) .offset = offsetof(struct sw_conf_policy, field)
static const struct sw_opt policy_rows[] = {
        { .key = "from",
                SW_CONF_CUSTOM(ref),
                .flags = SW_OPT_REQUIRED,
                AT(from),
                .example = "web",
                .doc = "Segment that opens the connection, or internet, unassigned, any." },
        { .key = "to",
                SW_CONF_CUSTOM(ref),
                .flags = SW_OPT_REQUIRED,
                AT(to),
                .example = "db",
                .doc = "Segment that is reached; once named here, it denies everything else." },
        { .key = "services",
                SW_CONF_CUSTOM(services),
                AT(services),
                .def = "any",
                .doc = "Ports (443, 1433/tcp, 1000-2000/udp), names (ssh, rdp, smb), or any." },
        { .key = "require_encryption",
                .type = SW_OPT_BOOL,
                AT(require_encryption),
                .def = "false",
                .doc = "Whether VNet encryption must have been in use." },
        SW_OPT_END,
};
#undef AT
#define AT(field) .offset = offsetof(struct sw_conf_realm, field)
static const struct sw_opt realm_rows[] = {
        { .key = "name",
                .type = SW_OPT_STRING,
                .flags = SW_OPT_REQUIRED | SW_OPT_UNIQUE,
                AT(name),
                .example = "tenant-b",
                .doc = "Name of the address space." },
        { .key = "flow_logs",
                SW_CONF_CUSTOM(texts),
                .flags = SW_OPT_REQUIRED,
                AT(flow_logs),
                .example = "[/subscriptions/00000000-0000-0000-0000-000000000000]",
                .doc = "Beginnings of the flow logs' resource ids, at a slash; the longest wins." },
        SW_OPT_END,
};
#undef AT

#define AT(field) .offset = offsetof(struct sw_conf_lists, field)
static const struct sw_opt list_rows[] = {
        { .key = "segments",
                .type = SW_OPT_LIST,
                .flags = SW_OPT_RELOAD,
                AT(segments),
                .rows = segment_rows,
                .item_size = sizeof(struct sw_conf_segment),
                .place = offsetof(struct sw_conf_segment, place),
                .doc = "Named address ranges. Other private addresses are grouped by subnet." },
        { .key = "policy",
                .type = SW_OPT_LIST,
                .flags = SW_OPT_RELOAD,
                AT(policy),
                .rows = policy_rows,
                .item_size = sizeof(struct sw_conf_policy),
                .place = offsetof(struct sw_conf_policy, place),
                .doc = "Allowed traffic between segments: least privilege, written down." },
        { .key = "realms",
                .type = SW_OPT_LIST,
                AT(realms),
                .rows = realm_rows,
                .item_size = sizeof(struct sw_conf_realm),
                .place = offsetof(struct sw_conf_realm, place),
                .doc = "Address spaces of their own, for flow logs whose private ranges overlap." },
        { .key = "hosts",
                SW_CONF_CUSTOM(hosts),
                .flags = SW_OPT_RELOAD,
                AT(hosts),
                .example = "{scanner: [10.9.0.5], jump: [10.9.0.10]}",
                .doc = "Roles of single hosts or ranges: scanner, jump, monitor, backup, patch, deploy, resolver, dc, "
                       "proxy, file-server, shared." },
        SW_OPT_END,
};
static const struct sw_opt include_rows[] = {
        { .key = "include",
                SW_CONF_CUSTOM(texts),
                AT(include),
                .example = "[conf.d/*.yaml]",
                .doc = "Further files with sources, segments, policy, realms and hosts; relative to this one." },
        SW_OPT_END,
};
#undef AT

#define AT(field) .offset = offsetof(struct sw_conf, field)
#define IN(section, field) (offsetof(struct sw_conf, section.field) - offsetof(struct sw_conf, section))
#define INSIDE(section, field) .offset = IN(section, field)
static const struct sw_opt input_rows[] = {
        { .key = "message_max",
                .type = SW_OPT_SIZE,
                INSIDE(input, message_max),
                .min = 4096,
                .max = 64 << 20,
                .def = "4MiB",
                .doc = "Larger Kafka messages, also after inflating, go to the quarantine unparsed." },
        SW_OPT_END,
};
static const struct sw_opt time_rows[] = {
        { .key = "reorder",
                .type = SW_OPT_DURATION,
                .flags = SW_OPT_RELOAD,
                INSIDE(time, reorder_ms),
                .max = SW_HOUR,
                .def = "2m",
                .doc = "How far records may arrive out of order without changing a finding." },
        { .key = "lateness",
                .type = SW_OPT_DURATION,
                .flags = SW_OPT_RELOAD,
                INSIDE(time, lateness_ms),
                .max = 7 * SW_DAY,
                .def = "1h",
                .doc = "How late a record may be and still count." },
        { .key = "dedupe",
                .type = SW_OPT_DURATION,
                INSIDE(time, dedupe_ms),
                .max = 7 * SW_DAY,
                .def = "2h",
                .doc = "How long a record is remembered, so that its repetition does not count." },
        { .key = "idle",
                .type = SW_OPT_DURATION,
                .flags = SW_OPT_RELOAD,
                INSIDE(time, idle_ms),
                .max = SW_DAY,
                .place = IN(time, idle_place),
                .example = "3m",
                .doc = "After how long a silence everything that waits is released; reorder + 1m unless given." },
        SW_OPT_END,
};
static const struct sw_opt incident_rows[] = {
        { .key = "min_severity",
                .type = SW_OPT_ENUM,
                .flags = SW_OPT_RELOAD,
                INSIDE(incidents, min_severity),
                .def = "medium",
                .names = severity_names,
                .doc = "Incidents below are not written." },
        SW_OPT_END,
};
static const struct sw_opt memory_rows[] = {
        { .key = "limit",
                .type = SW_OPT_SIZE,
                INSIDE(memory, limit),
                .min = 64 << 20,
                .max = UINT64_C(1) << 40,
                .def = "512MiB",
                .doc = "Bound of all tables together; beyond it the oldest entries are dropped, counted." },
        SW_OPT_END,
};
static const struct sw_opt state_rows[] = {
        { .key = "dir",
                .type = SW_OPT_STRING,
                INSIDE(state, dir),
                .def = "/var/lib/segwatch",
                .doc = "Folder of the daemon's own files." },
        { .key = "checkpoint", .type = SW_OPT_DURATION, .flags = SW_OPT_LATER },
        SW_OPT_END,
};
static const struct sw_opt rotate_rows[] = {
        { .key = "size",
                .type = SW_OPT_SIZE,
                .flags = SW_OPT_RELOAD,
                INSIDE(alerts.rotate, size),
                .def = "256MiB",
                .doc = "A file that would grow beyond is rotated; 0 leaves that to logrotate (SIGUSR1 reopens)." },
        { .key = "keep",
                .type = SW_OPT_UINT,
                .flags = SW_OPT_RELOAD,
                INSIDE(alerts.rotate, keep),
                .min = 1,
                .max = 1000,
                .def = "10",
                .doc = "Rotated files that are kept." },
        SW_OPT_END,
};
static const struct sw_opt alert_rows[] = {
        { .key = "file",
                .type = SW_OPT_STRING,
                INSIDE(alerts, file),
                .def = "/var/log/segwatch/alerts.jsonl",
                .place = IN(alerts, file_place),
                .doc = "One OCSF Detection Finding per line." },
        { .key = "rotate",
                .type = SW_OPT_SECTION,
                INSIDE(alerts, rotate),
                .rows = rotate_rows,
                .doc = "Rotation of the alert file and those beside it." },
        { .key = "signals",
                .type = SW_OPT_BOOL,
                INSIDE(alerts, signals),
                .def = "true",
                .doc = "Whether every signal is written to signals.jsonl beside it." },
        { .key = "quarantine",
                .type = SW_OPT_STRING,
                INSIDE(alerts, quarantine),
                .place = IN(alerts, quarantine_place),
                .example = "/var/log/segwatch/quarantine.jsonl",
                .doc = "File for messages that could not be decoded; quarantine.jsonl beside the alert file unless "
                       "given." },
        SW_OPT_END,
};
static const struct sw_opt log_rows[] = {
        { .key = "level",
                .type = SW_OPT_ENUM,
                .flags = SW_OPT_RELOAD,
                INSIDE(log, level),
                .def = "info",
                .names = level_names,
                .doc = "Least severe line on stderr." },
        { .key = "format",
                .type = SW_OPT_ENUM,
                .flags = SW_OPT_RELOAD,
                INSIDE(log, format),
                .def = "logfmt",
                .names = format_names,
                .doc = "Form of the lines." },
        SW_OPT_END,
};
static const struct sw_opt setting_rows[] = {
        { .key = "input", .type = SW_OPT_SECTION, AT(input), .rows = input_rows, .doc = "What is accepted." },
        { .key = "time",
                .type = SW_OPT_SECTION,
                AT(time),
                .rows = time_rows,
                .doc = "Event time: order, lateness, repetition." },
        { .key = "incidents",
                .type = SW_OPT_SECTION,
                AT(incidents),
                .rows = incident_rows,
                .doc = "Which incidents become findings." },
        { .key = "learning",
                .type = SW_OPT_DURATION,
                .flags = SW_OPT_RELOAD,
                AT(learning_ms),
                .max = 90 * SW_DAY,
                .def = "7d",
                .doc = "How long a segment is watched before baselines of it count; 0 for hunts." },
        { .key = "memory", .type = SW_OPT_SECTION, AT(memory), .rows = memory_rows, .doc = "Memory." },
        { .key = "state", .type = SW_OPT_SECTION, AT(state), .rows = state_rows, .doc = "What survives a restart." },
        { .key = "alerts", .type = SW_OPT_SECTION, AT(alerts), .rows = alert_rows, .doc = "Files of findings." },
        { .key = "detectors",
                SW_CONF_CUSTOM(detectors),
                .emit_sample = sw_conf_detectors_sample,
                .flags = SW_OPT_RELOAD | SW_OPT_BLOCK,
                AT(detectors),
                .doc = "Detectors by name." },
        { .key = "log", .type = SW_OPT_SECTION, AT(log), .rows = log_rows, .doc = "The daemon's own log." },
        { .key = "packs", .type = SW_OPT_ANY_MAP, .flags = SW_OPT_LATER },
        { .key = "outputs", .type = SW_OPT_ANY_MAP, .flags = SW_OPT_LATER },
        { .key = "suppressions", .type = SW_OPT_ANY_MAP, .flags = SW_OPT_LATER },
        { .key = "admin", .type = SW_OPT_ANY_MAP, .flags = SW_OPT_LATER },
        SW_OPT_END,
};
#undef AT
#undef INSIDE
#undef IN
/* clang-format on */

#define N_PARTS 4
#define MIN_IDLE_MS SW_MINUTE /* beyond time.reorder */

static const struct sw_opt *const tables[N_PARTS] = { head_rows, list_rows, setting_rows, include_rows };

static void conf_parts(struct sw_conf *conf, bool included, struct sw_schema_part ret[N_PARTS])
{
        unsigned i;

        for (i = 0; i < N_PARTS; i++) {
                bool lists = tables[i] == list_rows || tables[i] == include_rows;

                ret[i] = (struct sw_schema_part){ .rows = tables[i],
                        .base = lists ? (void *)conf->lists : (void *)conf };
                if (included && (tables[i] == setting_rows || tables[i] == include_rows))
                        ret[i].refuse = "belongs in the main file, not in an included one";
        }
}

static int conf_defaults(struct sw_conf *conf)
{
        struct sw_schema_part parts[N_PARTS];
        unsigned i;

        conf->lists = sw_calloc(1, sizeof(*conf->lists));
        if (!conf->lists)
                return -SW_ERR_NOMEM;
        conf_parts(conf, false, parts);
        for (i = 0; i < N_PARTS; i++)
                if (sw_schema_defaults(parts[i].rows, parts[i].base) < 0)
                        return -SW_ERR_NOMEM;
        conf->time.idle_ms = -1;
        return sw_conf_detectors_default(conf->detectors);
}

void sw_conf_deinit(struct sw_conf *conf)
{
        struct sw_schema_part parts[N_PARTS];
        unsigned i;

        if (!conf || !conf->lists)
                return;
        conf_parts(conf, false, parts);
        for (i = 0; i < N_PARTS; i++)
                sw_schema_free(parts[i].rows, parts[i].base);
        conf->segments = sw_segments_free(conf->segments);
        sw_arena_deinit(&conf->lists->names);
        sw_free(conf->lists);
        *conf = (struct sw_conf){ 0 };
}

/* One file: the nodes are gone afterwards, what they said is in conf. */
static void conf_read_one(struct sw_conf *conf, const char *file, bool included, struct sw_conf_check *check)
{
        struct sw_schema_part parts[N_PARTS];
        struct sw_arena arena = SW_ARENA_NULL;
        struct sw_conf_node *root = NULL;
        struct sw_buf text = SW_BUF_NULL;
        int r;

        conf_parts(conf, included, parts);
        if (sw_conf_read_file(file, check, &text)) {
                r = sw_conf_parse((struct sw_str){ text.p, text.n }, file, &arena, check, &root);
                check->no_memory = check->no_memory || r == -SW_ERR_NOMEM;
                if (r == 0)
                        sw_schema_read(parts, N_PARTS, root, check);
                if (root && root->kind == SW_NODE_MAP) {
                        const struct sw_conf_node *n = root->first;

                        for (; n; n = n->next)
                                if (!included && sw_str_eq(n->key, SW_STR("include")))
                                        conf->lists->include_place = n->place;
                }
        }
        sw_arena_deinit(&arena);
        sw_buf_deinit(&text);
}

static void conf_read_files(struct sw_conf *conf, const char *path, struct sw_conf_check *check)
{
        struct sw_conf_lists *lists = conf->lists;
        uint32_t i;

        lists->files[0] = sw_arena_copy(&lists->names, path, strlen(path));
        if (!lists->files[0]) {
                check->no_memory = true;
                return;
        }
        lists->n_files = 1;
        conf_read_one(conf, lists->files[0], false, check);
        if (!sw_conf_expand_includes(lists, path, check))
                return;
        for (i = 1; i < lists->n_files; i++)
                conf_read_one(conf, lists->files[i], true, check);
}

/* "NAME" in the folder of `beside`. */
static char *conf_beside(const char *beside, const char *name)
{
        const char *slash = strrchr(beside, '/');
        struct sw_buf b = SW_BUF_NULL;

        if (slash)
                sw_buf_put(&b, beside, (size_t)(slash - beside) + 1);
        sw_buf_puts(&b, name);
        sw_buf_putc(&b, '\0');
        return b.failed ? NULL : b.p;
}

static void conf_check_alerts(struct sw_conf *conf, struct sw_conf_check *check)
{
        char *signals = conf_beside(conf->alerts.file, "signals.jsonl");

        if (!conf->alerts.quarantine)
                conf->alerts.quarantine = conf_beside(conf->alerts.file, "quarantine.jsonl");
        if (!signals || !conf->alerts.quarantine)
                check->no_memory = true;
        else if (strcmp(conf->alerts.file, conf->alerts.quarantine) == 0)
                sw_conf_error(check, &conf->alerts.quarantine_place, "alerts: file and quarantine are the same file");
        else if (conf->alerts.signals && strcmp(conf->alerts.file, signals) == 0)
                sw_conf_error(check, &conf->alerts.file_place, "alerts: signals.jsonl is the file of signals");
        else if (conf->alerts.signals && strcmp(conf->alerts.quarantine, signals) == 0)
                sw_conf_error(check, &conf->alerts.quarantine_place, "alerts: signals.jsonl is the file of signals");
        sw_free(signals);
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

static void conf_check_all(struct sw_conf *conf, bool need_sources, struct sw_conf_check *check)
{
        const struct sw_conf_place whole = { conf->lists->files[0], 0, 0 };

        conf_check_time(conf, check);
        conf_check_alerts(conf, check);
        sw_conf_check_sources(conf, check);
        sw_conf_check_lists(conf->lists, check);
        if (need_sources && conf->sources.n == 0)
                sw_conf_error(check, &whole, "there are no sources: nothing to read from");
        if (need_sources && check->n_errors == 0)
                sw_conf_check_secrets(conf, check);
        if (check->n_errors == 0 && sw_conf_build_segments(conf, check) == -SW_ERR_NOMEM)
                check->no_memory = true;
}

int sw_conf_load(const char *path, bool need_sources, struct sw_conf *ret, struct sw_conf_report *report)
{
        struct sw_conf_check check = { .items = report->items, .max_items = SW_CONF_MAX_ERRORS };
        int r = 0;

        *ret = (struct sw_conf){ 0 };
        report->n_items = report->n_errors = report->n_warnings = 0;
        if (conf_defaults(ret) < 0)
                check.no_memory = true;
        if (path && !check.no_memory)
                conf_read_files(ret, path, &check);
        if (!check.no_memory)
                conf_check_all(ret, need_sources, &check);
        if (ret->lists)
                sw_conf_check_sort(&check, ret->lists->files);
        report->n_items = check.n_items;
        report->n_errors = check.n_errors;
        report->n_warnings = check.n_warnings;
        if (check.n_errors)
                r = -SW_ERR_CONFIG;
        if (check.no_memory)
                r = -SW_ERR_NOMEM;
        if (r < 0)
                sw_conf_deinit(ret);
        return r;
}

void sw_conf_report_secrets(const struct sw_conf *conf, struct sw_conf_report *report)
{
        struct sw_conf_check check = { .items = report->items,
                .max_items = SW_CONF_MAX_ERRORS,
                .n_items = report->n_items,
                .n_errors = report->n_errors,
                .n_warnings = report->n_warnings };

        sw_conf_check_secrets(conf, &check);
        sw_conf_check_sort(&check, conf->lists->files);
        report->n_items = check.n_items;
        report->n_errors = check.n_errors;
        report->n_warnings = check.n_warnings;
}

void sw_conf_dump(const struct sw_conf *conf, struct sw_buf *out)
{
        sw_emit_yaml(out, head_rows, conf, 0);
        sw_emit_yaml(out, list_rows, conf->lists, 0);
        sw_emit_yaml(out, setting_rows, conf, 0);
}

void sw_conf_sample(struct sw_buf *out)
{
        unsigned i;

        sw_buf_puts(out, "# Configuration of segwatch: every option with its default. Times and sizes carry units.\n");
        for (i = 0; i < N_PARTS; i++) {
                sw_buf_putc(out, '\n');
                sw_emit_sample(out, tables[i], 0);
        }
}

void sw_conf_json_schema(struct sw_buf *out)
{
        struct sw_buf json = SW_BUF_NULL;
        struct sw_jsonw w = sw_jsonw_start(&json);

        sw_jsonw_object(&w);
        sw_jsonw_ktext(&w, "$schema", "https://json-schema.org/draft/2020-12/schema");
        sw_jsonw_ktext(&w, "title", "Configuration of segwatch");
        sw_emit_schema(&w, tables, N_PARTS);
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
        memcpy(ret->detectors, conf->detectors, sizeof(ret->detectors));
        ret->segments = conf->segments;
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

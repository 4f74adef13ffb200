/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/args.h"
#include "cmd/quarantine_groups.h"
#include "cmd/quarantine_retry.h"
#include "conf.h"
#include "quarantine.h"
#include "term.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SHOWN_BYTES 4096u
#define FLUSH_BYTES (1u << 20)

enum { QUARANTINE_FILE = SW_CMD_LONG, QUARANTINE_RAW, QUARANTINE_ENTRIES };

static const struct sw_cmd_opt quarantine_options[] = {
        { "config", 'c', "FILE", "configuration, default " SW_CMD_CONFIG " if it is there" },
        { "file", QUARANTINE_FILE, "FILE", "the quarantine file itself; - is standard input" },
        { "entries", QUARANTINE_ENTRIES, NULL, "list: each entry with its place, not counts" },
        { "output", 'o', "FORM", "list: text for people (default), or json, one object a line", "text json" },
        { "raw", QUARANTINE_RAW, NULL, "show: the bytes of the message that was kept; not onto a terminal" },
        { 0 },
};

static const struct sw_cmd_sub quarantine_subs[] = {
        { "list", NULL, "count what was put aside, by reason, source and partition" },
        { "show", "PLACE", "everything about the entries of one message" },
        { "retry", "[PLACE...]",
                "decode kept messages again and print those that are flow logs now, one JSON line each" },
        { 0 },
};

struct quarantine {
        const char *config, *file;
        bool entries, json, raw;
        char **places;
        int n_places;
        struct sw_conf conf;
        struct sw_quarantine_groups groups;
        struct sw_quarantine_retry retry;
        struct sw_buf out, message;
        uint64_t n_seen;
        bool raw_kept;
};

static int quarantine_flush(struct quarantine *q)
{
        if (q->out.failed)
                return -SW_ERR_NOMEM;
        if (q->out.n && fwrite(q->out.p, 1, q->out.n, stdout) != q->out.n)
                return -SW_ERR_IO;
        sw_buf_reset(&q->out);
        return 0;
}

static bool quarantine_is_wanted(const struct quarantine *q, const struct sw_quarantine_entry *e)
{
        int i;

        for (i = 0; i < q->n_places; i++)
                if (sw_str_eq(e->place, sw_str_of(q->places[i])))
                        return true;
        return q->n_places == 0;
}

/* ---- list ---- */

static int list_entry(void *ctx, const struct sw_quarantine_entry *e)
{
        struct quarantine *q = ctx;

        q->n_seen++;
        if (!q->entries)
                return sw_quarantine_groups_add(&q->groups, e);
        if (e->time.p) {
                sw_term_put(&q->out, e->time);
                sw_buf_putc(&q->out, ' ');
        }
        sw_term_put(&q->out, e->place);
        sw_buf_putc(&q->out, ' ');
        sw_term_put(&q->out, e->reason);
        sw_buf_puts(&q->out, e->message.p ? " kept\n" : "\n");
        return q->out.n < FLUSH_BYTES ? 0 : quarantine_flush(q);
}

static int list_end(struct quarantine *q)
{
        sw_quarantine_groups_sort(&q->groups);
        if (q->json)
                sw_quarantine_groups_json(&q->groups, &q->out);
        else if (q->groups.n)
                sw_quarantine_groups_print(&q->groups, &q->out);
        if (q->n_seen == 0)
                fprintf(stderr, "segwatch quarantine: %s: nothing was put aside\n", q->file);
        return SW_EXIT_OK;
}

/* ---- show ---- */

static void show_row(struct sw_buf *out, const char *name, struct sw_str value)
{
        if (!value.p)
                return;
        sw_buf_printf(out, "  %-9s ", name);
        sw_term_put(out, value);
        sw_buf_putc(out, '\n');
}

static void show_message(struct quarantine *q, const struct sw_quarantine_entry *e)
{
        struct sw_str m;

        sw_buf_reset(&q->message);
        if (!e->message.p || !sw_quarantine_message(e->message, &q->message))
                return;
        m = (struct sw_str){ q->message.p, q->message.n };
        sw_buf_printf(&q->out, "  kept      %zu bytes:\n\n", m.n);
        if (m.n > SHOWN_BYTES)
                m = sw_utf8_cut(m, SHOWN_BYTES);
        sw_term_put(&q->out, m);
        if (m.n < q->message.n)
                sw_buf_printf(&q->out, "\n\n  (%zu bytes more: --raw)", q->message.n - m.n);
        sw_buf_putc(&q->out, '\n');
}

static int show_entry(void *ctx, const struct sw_quarantine_entry *e)
{
        struct quarantine *q = ctx;
        struct sw_buf *o = &q->out;

        if (!quarantine_is_wanted(q, e))
                return 0;
        q->n_seen++;
        if (q->raw) {
                if (!e->message.p || !sw_quarantine_message(e->message, o))
                        return 0;
                q->raw_kept = true;
                return 1; /* enough */
        }
        if (q->n_seen > 1)
                sw_buf_putc(o, '\n');
        sw_term_put(o, e->place);
        sw_buf_putc(o, '\n');
        show_row(o, "time", e->time);
        show_row(o, "topic", e->topic);
        show_row(o, "file", e->file);
        show_row(o, "reason", e->reason);
        show_row(o, "", e->text);
        if (e->byte >= 0)
                sw_buf_printf(o, "  at byte   %lld\n", (long long)e->byte);
        if (e->bytes >= 0)
                sw_buf_printf(o, "  message   %lld bytes\n", (long long)e->bytes);
        sw_buf_printf(o, "  used      %s\n", e->whole ? "nothing of it" : "the rest of the message");
        show_row(o, "excerpt", e->excerpt);
        show_message(q, e);
        return 0;
}

static int show_end(struct quarantine *q)
{
        if (q->n_seen > 0 && (!q->raw || q->raw_kept))
                return SW_EXIT_OK;
        fprintf(stderr,
                q->n_seen ? "segwatch quarantine: %s: the message was not kept as a whole (quarantine.message_max)\n"
                          : "segwatch quarantine: %s: there is no such entry; `list --entries` names them\n",
                q->places[0]);
        return SW_EXIT_FAILURE;
}

/* ---- retry ---- */

static int retry_entry(void *ctx, const struct sw_quarantine_entry *e)
{
        struct quarantine *q = ctx;
        int r;

        if (!quarantine_is_wanted(q, e))
                return 0;
        q->n_seen++;
        r = sw_quarantine_retry_add(&q->retry, e, &q->out);
        return r < 0 || q->out.n < FLUSH_BYTES ? r : quarantine_flush(q);
}

static int retry_end(struct quarantine *q)
{
        const struct sw_quarantine_retry *r = &q->retry;
        unsigned i;

        fprintf(stderr, "segwatch quarantine: %llu of %llu kept messages decode now: %llu records, %llu tuples\n",
                (unsigned long long)r->n_now, (unsigned long long)r->n_kept, (unsigned long long)r->n_records,
                (unsigned long long)r->n_tuples);
        for (i = 0; i < SW_N_REASONS; i++)
                if (r->n_still[i])
                        fprintf(stderr, "  %llu still: %s (%s)\n", (unsigned long long)r->n_still[i],
                                sw_reason_name((enum sw_reason)i), sw_reason_text((enum sw_reason)i));
        if (r->n_fragments)
                fprintf(stderr, "  %llu decode, but are pieces of a block and not printed: `show --raw PLACE`\n",
                        (unsigned long long)r->n_fragments);
        if (r->n_entries > r->n_kept)
                fprintf(stderr, "  %llu were not kept as a whole (quarantine.message_max, or they came too fast)\n",
                        (unsigned long long)(r->n_entries - r->n_kept));
        if (r->n_partly)
                fprintf(stderr, "  %llu were used but for a part, and are not tried again\n",
                        (unsigned long long)r->n_partly);
        if (q->n_places > 0 && q->n_seen == 0) {
                fprintf(stderr, "segwatch quarantine: %s: there is no such entry\n", q->places[0]);
                return SW_EXIT_FAILURE;
        }
        return r->n_kept > 0 && r->n_now == 0 ? SW_EXIT_DATA : SW_EXIT_OK;
}

/* ---- all ---- */

static const struct {
        const char *name;
        sw_quarantine_each each;
        int (*end)(struct quarantine *q);
        int min_places, max_places;
} quarantine_verbs[] = {
        { "list", list_entry, list_end, 0, 0 },
        { "show", show_entry, show_end, 1, 1 },
        { "retry", retry_entry, retry_end, 0, 1000 },
};
#define N_VERBS (sizeof(quarantine_verbs) / sizeof(*quarantine_verbs))

/* Index of the sub-verb, or -1 after an error was told. */
static int quarantine_parse(struct quarantine *q, int argc, char **argv)
{
        struct sw_cmd_args a;
        size_t i = 0;
        int c;

        sw_cmd_args_init(&a, &sw_cmd_quarantine, argc, argv);
        while ((c = sw_cmd_args_next(&a)) > 0) {
                switch (c) {
                case 'c':
                        q->config = a.value;
                        break;
                case QUARANTINE_FILE:
                        q->file = a.value;
                        break;
                case QUARANTINE_ENTRIES:
                        q->entries = true;
                        break;
                case QUARANTINE_RAW:
                        q->raw = true;
                        break;
                case 'o':
                        q->json = strcmp(a.value, "json") == 0;
                        if (!q->json && strcmp(a.value, "text") != 0)
                                return sw_cmd_args_bad_value(&a, c, "text or json"), -1;
                        break;
                }
        }
        if (c < 0)
                return -1;
        while (i < N_VERBS && a.n_rest > 0 && strcmp(a.rest[0], quarantine_verbs[i].name) != 0)
                i++;
        if (a.n_rest == 0 || i == N_VERBS)
                return sw_cmd_usage(&sw_cmd_quarantine,
                               a.n_rest ? "there is no '%s'; list, show or retry" : "%slist, show or retry?",
                               a.n_rest ? a.rest[0] : ""),
                       -1;
        q->places = a.rest + 1;
        q->n_places = a.n_rest - 1;
        if (q->n_places < quarantine_verbs[i].min_places)
                return sw_cmd_usage(&sw_cmd_quarantine, "show needs a PLACE, as `list --entries` names it"), -1;
        if (q->n_places > quarantine_verbs[i].max_places)
                return sw_cmd_usage(&sw_cmd_quarantine, "unexpected argument '%s'",
                               q->places[quarantine_verbs[i].max_places]),
                       -1;
        if (q->raw && isatty(STDOUT_FILENO))
                return sw_cmd_usage(&sw_cmd_quarantine, "--raw writes bytes as they came; redirect it into a file"), -1;
        return (int)i;
}

static int quarantine_load(struct quarantine *q)
{
        struct sw_conf_report *report = sw_calloc(1, sizeof(*report));
        int r;

        if (!report)
                return SW_EXIT_FAILURE;
        if (!q->config && access(SW_CMD_CONFIG, R_OK) == 0)
                q->config = SW_CMD_CONFIG;
        r = sw_conf_load(q->config, false, &q->conf, report);
        if (r < 0)
                sw_conf_report_print(report);
        if (!q->file)
                q->file = q->conf.alerts.quarantine;
        sw_free(report);
        return r == 0 ? SW_EXIT_OK : SW_EXIT_CONFIG;
}

static int quarantine_go(struct quarantine *q, int verb)
{
        uint64_t n_bad = 0;
        int r = sw_quarantine_retry_init(&q->retry, q->conf.input.message_max);

        if (r == 0)
                r = sw_quarantine_read(q->file, quarantine_verbs[verb].each, q, &n_bad);
        if (r == -SW_ERR_IO && !ferror(stdout)) {
                fprintf(stderr, "segwatch quarantine: %s: %s\n", q->file, strerror(errno));
                return SW_EXIT_FAILURE;
        }
        if (r >= 0) {
                int code = quarantine_verbs[verb].end(q);

                if (n_bad)
                        fprintf(stderr, "segwatch quarantine: %s: %llu lines are no entries\n", q->file,
                                (unsigned long long)n_bad);
                r = quarantine_flush(q);
                if (r == 0)
                        return code;
        }
        fprintf(stderr, "segwatch quarantine: %s\n", r == -SW_ERR_NOMEM ? "out of memory" : "standard output failed");
        return SW_EXIT_FAILURE;
}

static int quarantine_run(int argc, char **argv)
{
        struct quarantine q = { 0 };
        int verb = quarantine_parse(&q, argc, argv), code;

        if (verb < 0)
                return SW_EXIT_USAGE;
        code = quarantine_load(&q);
        if (code == SW_EXIT_OK)
                code = quarantine_go(&q, verb);
        sw_quarantine_retry_deinit(&q.retry);
        sw_quarantine_groups_deinit(&q.groups);
        sw_buf_deinit(&q.out);
        sw_buf_deinit(&q.message);
        sw_conf_deinit(&q.conf);
        return code;
}

const struct sw_cmd sw_cmd_quarantine = {
        .name = "quarantine",
        .args = "list | show PLACE | retry [PLACE...]",
        .summary = "look at what could not be decoded, and try it again",
        .about = "Reads the quarantine file and its rotated files. PLACE is SOURCE:PARTITION:OFFSET, or FILE:BYTE. "
                 "Kafka messages "
                 "up to quarantine.message_max are kept whole, while they do not come too fast.",
        .subs = quarantine_subs,
        .options = quarantine_options,
        .notes = "Exit codes: 0 ok, 1 failure or no such entry, 64 usage, 65 none of the kept messages decodes, 78 "
                 "configuration.",
        .examples = "segwatch quarantine list\n"
                    "segwatch quarantine show weu:3:1042\n"
                    "segwatch quarantine retry | segwatch replay -c /etc/segwatch/segwatch.yaml -\n",
        .run = quarantine_run,
};

/* SPDX-License-Identifier: Apache-2.0 */
/* segwatch.1: a section per verb out of its table, and what belongs to none of them. */
#include "doc/doc.h"

#include <string.h>

static void man_options(struct sw_buf *out, const struct sw_cmd *cmd)
{
        const struct sw_cmd_opt *o;
        const struct sw_cmd_sub *s;
        char name[128];

        for (s = cmd->subs; s && s->name; s++)
                sw_roff_item(out, s->name, s->args, s->help);
        for (o = cmd->options; o && o->name; o++) {
                bool has_short = o->code > ' ' && o->code < 0x7f;

                if (o->hidden)
                        continue;
                (void)snprintf(name, sizeof(name), "-%c, --%s", has_short ? o->code : ' ', o->name);
                sw_roff_item(out, has_short ? name : name + 4, o->value, o->help);
        }
}

static void man_verb(struct sw_buf *out, const struct sw_cmd *cmd)
{
        char title[512];

        (void)snprintf(title, sizeof(title), "%s %s", cmd->name, cmd->args);
        sw_roff_subsection(out, title);
        sw_roff_text(out, cmd->summary);
        sw_buf_puts(out, ".\n");
        if (cmd->about)
                sw_roff_paragraphs(out, cmd->about);
        man_options(out, cmd);
        if (cmd->notes)
                sw_roff_paragraphs(out, cmd->notes);
        if (cmd->examples) {
                sw_roff_paragraphs(
                        out, strchr(cmd->examples, '\n') == strrchr(cmd->examples, '\n') ? "Example:" : "Examples:");
                sw_roff_example(out, cmd->examples);
        }
}

static const char *const man_exits[][2] = {
        { "0", "Done, also for empty input." },
        { "1", "Something failed: a path is missing, a disk is full." },
        { "64", "The command line is wrong." },
        { "65", "Nothing of the input could be decoded." },
        { "75", "A temporary failure: another instance owns the state folder, the daemon does not answer." },
        { "78", "The configuration has errors." },
};

static const char *const man_environment[][2] = {
        { "NO_COLOR", "No colours, whatever the terminal. --color always wins." },
        { "CREDENTIALS_DIRECTORY",
                "Where systemd puts credentials; {credential: NAME} in the configuration is a file in it." },
        { "NOTIFY_SOCKET, WATCHDOG_USEC", "Readiness, reloads, state and pings of the watchdog for systemd." },
};

static const char *const man_files[][2] = {
        { SW_CMD_CONFIG, "The configuration, segwatch.yaml(5)." },
        { "/var/log/segwatch/alerts.jsonl", "Findings, one OCSF Detection Finding per line. Beside it signals.jsonl, "
                                            "the signals behind them, and quarantine.jsonl, what could not be decoded. "
                                            "Readable for the group segwatch." },
        { "/var/lib/segwatch", "State of the daemon: outbox, snapshots, offsets. It survives upgrades." },
        { "/run/segwatch/segwatch.sock", "Control socket of the daemon, for ctl and top; for the group segwatch." },
        { "/usr/share/segwatch", "JSON schemas of the alert file and of the configuration." },
};

static void man_table(struct sw_buf *out, const char *title, const char *const (*rows)[2], size_t n)
{
        size_t i;

        sw_roff_section(out, title);
        for (i = 0; i < n; i++)
                sw_roff_item(out, rows[i][0], NULL, rows[i][1]);
}
#define MAN_TABLE(out, title, rows) man_table(out, title, rows, sizeof(rows) / sizeof(*(rows)))

void sw_doc_man(struct sw_buf *out)
{
        unsigned i;

        sw_roff_head(out, "segwatch", 1, "User Commands");
        sw_buf_puts(out, ".SH NAME\nsegwatch \\- find lateral movement in Azure flow logs\n.SH SYNOPSIS\n");
        sw_buf_puts(out, ".B segwatch\n.I VERB\n[options]\n");
        sw_roff_section(out, "DESCRIPTION");
        sw_roff_text(out, "segwatch reads Azure flow logs (VNet v4, NSG v1 and v2) from Event Hubs over the Kafka "
                          "protocol, from a Kafka "
                          "broker or from files, folds them into hosts, connections and network segments in the order "
                          "of event time, "
                          "and writes findings about lateral movement, one JSON line each. Data goes to standard "
                          "output, messages to "
                          "standard error.");
        sw_buf_putc(out, '\n');
        sw_roff_section(out, "VERBS");
        for (i = 0; i < sw_doc_n_verbs; i++)
                man_verb(out, sw_doc_verbs[i]);
        sw_roff_subsection(out, "help [VERB]");
        sw_roff_text(out, "list the verbs, or explain one; every verb takes --help as well.");
        sw_buf_putc(out, '\n');
        MAN_TABLE(out, "EXIT STATUS", man_exits);
        MAN_TABLE(out, "ENVIRONMENT", man_environment);
        MAN_TABLE(out, "FILES", man_files);
        sw_buf_puts(out, ".SH SEE ALSO\n.BR segwatch.yaml (5),\n.BR segwatch.service (8),\n.BR systemd\\-creds (1)\n");
}

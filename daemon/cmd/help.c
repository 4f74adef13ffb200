/* SPDX-License-Identifier: Apache-2.0 */
/* What --help prints, from the table of a verb. */
#include "cmd/help.h"

#include <string.h>

#define HELP_WIDTH 100u
#define HELP_COLUMN_MAX 28u

static void help_spaces(FILE *f, size_t n)
{
        while (n-- > 0)
                fputc(' ', f);
}

/* Words of a text, each line after the first indented; `column` is where the first line goes on. */
static void help_wrap(FILE *f, const char *text, size_t column, size_t indent)
{
        bool first = true;

        while (*text) {
                size_t n = strcspn(text, " \n");
                bool paragraph = text[n] == '\n' && text[n + 1] == '\n';

                if (n && !first && column + 1 + n > HELP_WIDTH) {
                        fputc('\n', f);
                        help_spaces(f, indent);
                        column = indent;
                        first = true;
                }
                if (n) {
                        fprintf(f, "%s%.*s", first ? "" : " ", (int)n, text);
                        column += n + !first;
                        first = false;
                }
                text += n + (text[n] != '\0');
                if (!paragraph)
                        continue;
                fputs("\n\n", f);
                help_spaces(f, indent);
                column = indent;
                first = true;
                text++;
        }
        fputc('\n', f);
}

size_t sw_cmd_opt_text(const struct sw_cmd_opt *o, char *to, size_t n)
{
        bool has_short = o->code > ' ' && o->code < 0x7f;
        int r;

        r = snprintf(to, n, "%c%c%s--%s%s%s", has_short ? '-' : ' ', has_short ? o->code : ' ', has_short ? ", " : "  ",
                o->name, o->value ? " " : "", o->value ? o->value : "");
        return r > 0 ? (size_t)r : 0;
}

static void help_row(FILE *f, const char *left, size_t column, const char *right)
{
        fprintf(f, "  %-*s", (int)column - 2, left);
        if (strlen(left) + 4 > column) {
                fputc('\n', f);
                help_spaces(f, column);
        }
        help_wrap(f, right, column, column);
}

static void help_sub_text(const struct sw_cmd_sub *s, char *to, size_t n)
{
        (void)snprintf(to, n, "%s%s%s", s->name, s->args ? " " : "", s->args ? s->args : "");
}

static void help_rows(FILE *f, const struct sw_cmd *cmd)
{
        const struct sw_cmd_sub *s;
        const struct sw_cmd_opt *o;
        size_t column = 0, n;
        char left[128];

        for (s = cmd->subs; s && s->name; s++) {
                help_sub_text(s, left, sizeof(left));
                n = strlen(left);
                column = n > column && n <= HELP_COLUMN_MAX ? n : column;
        }
        for (o = cmd->options; o && o->name; o++) {
                n = sw_cmd_opt_text(o, left, sizeof(left));
                column = n > column && n <= HELP_COLUMN_MAX && !o->hidden ? n : column;
        }
        column += 5;
        for (s = cmd->subs; s && s->name; s++) {
                help_sub_text(s, left, sizeof(left));
                help_row(f, left, column, s->help);
        }
        if (cmd->subs)
                fputc('\n', f);
        for (o = cmd->options; o && o->name; o++) {
                (void)sw_cmd_opt_text(o, left, sizeof(left));
                if (!o->hidden)
                        help_row(f, left, column, o->help);
        }
        if (cmd->options)
                fputc('\n', f);
}

static void help_examples(FILE *f, const char *text)
{
        bool many = strchr(text, '\n') != strrchr(text, '\n');

        fprintf(f, "Example%s:\n", many ? "s" : "");
        while (*text) {
                size_t n = strcspn(text, "\n");

                fprintf(f, "  %.*s\n", (int)n, text);
                text += n + (text[n] == '\n');
        }
}

int sw_cmd_help(const struct sw_cmd *cmd)
{
        FILE *f = stdout;

        fprintf(f, "usage: segwatch %s%s%s\n\n", cmd->name, *cmd->args ? " " : "", cmd->args);
        fprintf(f, "%s.\n\n", cmd->summary);
        if (cmd->about) {
                help_wrap(f, cmd->about, 0, 0);
                fputc('\n', f);
        }
        help_rows(f, cmd);
        if (cmd->notes) {
                help_wrap(f, cmd->notes, 0, 0);
                fputc('\n', f);
        }
        if (cmd->examples)
                help_examples(f, cmd->examples);
        return SW_EXIT_OK;
}

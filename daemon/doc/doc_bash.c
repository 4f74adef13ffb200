/* SPDX-License-Identifier: Apache-2.0 */
/* Completion for bash. Needs nothing of the package bash-completion but to be loaded by it. */
#include "doc/doc.h"

#include <string.h>

static void bash_action(struct sw_buf *out, const char *what)
{
        if (!what)
                sw_buf_puts(out, "return ;;\n");
        else if (strcmp(what, "FILE") == 0)
                sw_buf_puts(out, "_segwatch_paths -f; return ;;\n");
        else if (strcmp(what, "DIR") == 0)
                sw_buf_puts(out, "_segwatch_paths -d; return ;;\n");
        else
                sw_buf_printf(out, "_segwatch_words '%s'; return ;;\n", what);
}

/* After an option that takes a value. */
static void bash_values(struct sw_buf *out, const struct sw_cmd *cmd)
{
        const struct sw_cmd_opt *o;

        for (o = cmd->options; o && o->name; o++) {
                if (o->hidden || !o->value)
                        continue;
                sw_buf_printf(out, "    %s:--%s", cmd->name, o->name);
                if (o->code > ' ' && o->code < 0x7f)
                        sw_buf_printf(out, " | %s:-%c", cmd->name, o->code);
                sw_buf_puts(out, ") ");
                bash_action(out, o->words                                                        ? o->words
                                 : strcmp(o->value, "FILE") == 0 || strcmp(o->value, "DIR") == 0 ? o->value
                                                                                                 : NULL);
        }
}

static void bash_options(struct sw_buf *out, const struct sw_cmd *cmd)
{
        const struct sw_cmd_opt *o;

        sw_buf_printf(out, "    %s:-*) _segwatch_words '--help", cmd->name);
        for (o = cmd->options; o && o->name; o++)
                if (!o->hidden)
                        sw_buf_printf(out, " --%s", o->name);
        sw_buf_puts(out, "'; return ;;\n");
}

static void bash_operands(struct sw_buf *out, const struct sw_cmd *cmd)
{
        const struct sw_cmd_sub *s;

        if (cmd->subs) {
                sw_buf_printf(out, "    %s)\n        [[ ! \" ${COMP_WORDS[*]:2:COMP_CWORD-2} \" =~ \\ (", cmd->name);
                for (s = cmd->subs; s->name; s++)
                        sw_buf_printf(out, "%s%s", s == cmd->subs ? "" : "|", s->name);
                sw_buf_puts(out, ")\\  ]] && { _segwatch_words '");
                for (s = cmd->subs; s->name; s++)
                        sw_buf_printf(out, "%s%s", s == cmd->subs ? "" : " ", s->name);
                sw_buf_puts(out, "'; return; }\n        ");
                bash_action(out, cmd->operands);
        } else if (cmd->operands) {
                sw_buf_printf(out, "    %s) ", cmd->name);
                bash_action(out, cmd->operands);
        }
}

static void bash_verbs(struct sw_buf *out)
{
        unsigned i;

        for (i = 0; i < sw_doc_n_verbs; i++)
                sw_buf_printf(out, "%s ", sw_doc_verbs[i]->name);
        sw_buf_puts(out, "help");
}

void sw_doc_bash(struct sw_buf *out)
{
        unsigned i;

        sw_buf_puts(out,
                "# bash completion for segwatch, made from its tables of verbs and options\n\n"
                "_segwatch_words()\n{\n"
                "    mapfile -t COMPREPLY < <(compgen -W \"$1\" -- \"$cur\")\n}\n\n"
                "_segwatch_paths()\n{\n"
                "    compopt -o filenames 2>/dev/null\n"
                "    mapfile -t COMPREPLY < <(compgen \"$1\" -- \"$cur\")\n}\n\n"
                "_segwatch()\n{\n"
                "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} verb=${COMP_WORDS[1]}\n\n"
                "    COMPREPLY=()\n"
                "    if [[ $COMP_CWORD -eq 1 ]]; then\n        _segwatch_words '");
        bash_verbs(out);
        sw_buf_puts(out, " --help --version'\n        return\n    fi\n"
                         "    # --option=value comes as three words\n"
                         "    [[ $prev == = ]] && prev=${COMP_WORDS[COMP_CWORD-2]}\n"
                         "    [[ $cur == = ]] && cur=\n"
                         "    case $verb:$prev in\n");
        for (i = 0; i < sw_doc_n_verbs; i++)
                bash_values(out, sw_doc_verbs[i]);
        sw_buf_puts(out, "    esac\n    case $verb:$cur in\n");
        for (i = 0; i < sw_doc_n_verbs; i++)
                bash_options(out, sw_doc_verbs[i]);
        sw_buf_puts(out, "    esac\n    case $verb in\n    help) _segwatch_words '");
        bash_verbs(out);
        sw_buf_puts(out, "'; return ;;\n");
        for (i = 0; i < sw_doc_n_verbs; i++)
                bash_operands(out, sw_doc_verbs[i]);
        sw_buf_puts(out, "    esac\n} &&\n    complete -F _segwatch segwatch\n");
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/args.h"

#include <assert.h>
#include <string.h>

static bool args_has_short(const struct sw_cmd_opt *o)
{
        return o->code > ' ' && o->code < 0x7f;
}

void sw_cmd_args_init(struct sw_cmd_args *a, const struct sw_cmd *cmd, int argc, char **argv)
{
        const struct sw_cmd_opt *o;
        unsigned n = 0, at = 1;

        *a = (struct sw_cmd_args){ .cmd = cmd, .argc = argc, .argv = argv, .shorts = ":" };
        for (o = cmd->options; o && o->name; o++, n++) {
                assert(n < SW_CMD_MAX_OPTIONS && o->code > ' ');
                a->longs[n] = (struct option){ o->name, o->value ? required_argument : no_argument, NULL, o->code };
                if (!args_has_short(o))
                        continue;
                a->shorts[at++] = (char)o->code;
                if (o->value)
                        a->shorts[at++] = ':';
        }
        optind = 0; /* getopt keeps state between calls: start anew */
        opterr = 0;
}

int sw_cmd_args_next(struct sw_cmd_args *a)
{
        int c = getopt_long(a->argc, a->argv, a->shorts, a->longs, NULL);
        const char *word;

        a->value = NULL;
        if (c == -1) {
                a->rest = a->argv + optind;
                a->n_rest = a->argc - optind;
                return 0;
        }
        word = optind > 0 && optind <= a->argc ? a->argv[optind - 1] : "";
        if (c == ':') {
                (void)sw_cmd_usage(a->cmd, "option '%s' needs a value", word);
                return -1;
        }
        if (c == '?') {
                /* a letter among others of one word is named alone; --dump=x is known but takes nothing */
                if (optopt > ' ' && optopt < 0x7f && strncmp(word, "--", 2) != 0)
                        (void)sw_cmd_usage(a->cmd, "unknown option '-%c'", optopt);
                else
                        (void)sw_cmd_usage(a->cmd, optopt ? "option '%s' takes no value" : "unknown option '%s'", word);
                return -1;
        }
        a->value = optarg;
        return c;
}

int sw_cmd_args_bad_value(const struct sw_cmd_args *a, int code, const char *must)
{
        const struct sw_cmd_opt *o = a->cmd->options;
        const char *value = a->value ? a->value : "";

        while (o->name && o->code != code)
                o++;
        assert(o->name);
        if (!must && o->words)
                return sw_cmd_usage(a->cmd, "--%s takes one of: %s; not '%s'", o->name, o->words, value);
        if (!must)
                return sw_cmd_usage(a->cmd, "'%s' is not a value of option '--%s': %s", value, o->name, o->help);
        return sw_cmd_usage(a->cmd, "--%s takes %s, not '%s'", o->name, must, value);
}

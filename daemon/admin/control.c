/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/control.h"

#include "base/json.h"
#include "base/jsonw.h"

#include <string.h>

const struct sw_control_row sw_control_rows[SW_N_CONTROL_COMMANDS] = {
#define SW_CONTROL_ROW(id, name, arg, value, doc) { name, arg, doc },
        SW_CONTROL_MAP(SW_CONTROL_ROW)
#undef SW_CONTROL_ROW
};

bool sw_control_find(struct sw_str name, enum sw_control_command *ret)
{
        unsigned i;

        for (i = 0; i < SW_N_CONTROL_COMMANDS; i++)
                if (sw_str_eq(sw_str_of(sw_control_rows[i].name), name)) {
                        *ret = (enum sw_control_command)i;
                        return true;
                }
        return false;
}

static int control_wrong(struct sw_err *ret_why, const char **ret_code, const char *code, const char *why)
{
        *ret_code = code;
        (void)sw_err_set(ret_why, -SW_ERR_INVAL, "%s", why);
        return SW_CONTROL_WRONG;
}

static int control_command(
        struct sw_str name, struct sw_control_request *ret, const char **ret_code, struct sw_err *ret_why)
{
        unsigned i, distance, least = 4;
        const char *near = NULL;

        if (sw_control_find(name, &ret->command))
                return SW_CONTROL_OK;
        for (i = 0; i < SW_N_CONTROL_COMMANDS && name.n < 32; i++) {
                distance = sw_str_distance(name, sw_str_of(sw_control_rows[i].name));
                if (distance < least) {
                        least = distance;
                        near = sw_control_rows[i].name;
                }
        }
        *ret_code = "unknown_command";
        (void)sw_err_set(ret_why, -SW_ERR_INVAL, "there is no command of that name%s%s%s",
                near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
        return SW_CONTROL_WRONG;
}

/* What is taken must stay as long when it is written out again: no control bytes, no invalid UTF-8. */
static bool control_is_text(struct sw_str s)
{
        size_t n = 0, step;

        for (; n < s.n; n += step) {
                step = sw_utf8_length((struct sw_str){ s.p + n, s.n - n });
                if (step == 0 || (unsigned char)s.p[n] < 0x20)
                        return false;
        }
        return n > 0;
}

/* Every member is known, has the right type, and comes once. */
static int control_members(
        const struct sw_json *root, struct sw_control_request *ret, const char **ret_code, struct sw_err *ret_why)
{
        const char *arg = sw_control_rows[ret->command].arg;
        const struct sw_json *m;
        unsigned n_commands = 0, n_args = 0;

        for (m = sw_json_first(root); m; m = sw_json_next(m)) {
                struct sw_str key = sw_json_key(m), value = sw_json_str(m);

                if (sw_str_eq(key, SW_STR("command"))) {
                        n_commands++;
                        continue;
                }
                if (!arg || !sw_str_eq(key, sw_str_of(arg)))
                        return control_wrong(ret_why, ret_code, "bad_request", "this command knows no such argument");
                if (!value.p || value.n >= SW_CONTROL_ARG || !control_is_text(value))
                        return control_wrong(ret_why, ret_code, "bad_request", "the argument is not a short text");
                memcpy(ret->arg, value.p, value.n);
                n_args++;
        }
        if (n_commands > 1 || n_args > 1)
                return control_wrong(ret_why, ret_code, "bad_request", "a member comes twice");
        if (arg && n_args == 0)
                return control_wrong(ret_why, ret_code, "bad_request", "this command needs an argument");
        return SW_CONTROL_OK;
}

int sw_control_parse(struct sw_str line, struct sw_control_request *ret, const char **ret_code, struct sw_err *ret_why)
{
        struct sw_json *root = sw_json_parse(line);
        struct sw_str name = sw_json_str(sw_json_get(root, "command"));
        int r;

        *ret = (struct sw_control_request){ 0 };
        if (!sw_json_is_object(root))
                r = control_wrong(ret_why, ret_code, "bad_request", "the request is not a JSON object");
        else if (!name.p)
                r = control_wrong(ret_why, ret_code, "bad_request", "the request has no text 'command'");
        else
                r = control_command(name, ret, ret_code, ret_why);
        if (r == SW_CONTROL_OK)
                r = control_members(root, ret, ret_code, ret_why);
        sw_json_free(root);
        return r;
}

void sw_control_write(struct sw_buf *out, enum sw_control_command command, const char *arg)
{
        const struct sw_control_row *row = &sw_control_rows[command];
        struct sw_jsonw w = sw_jsonw_start(out);

        sw_jsonw_object(&w);
        sw_jsonw_ktext(&w, "command", row->name);
        if (row->arg && arg)
                sw_jsonw_ktext(&w, row->arg, arg);
        sw_jsonw_end_object(&w);
        sw_buf_putc(out, '\n');
}

void sw_control_error(struct sw_buf *out, const char *command, const char *code, const char *message)
{
        struct sw_jsonw w = sw_jsonw_start(out);

        sw_jsonw_object(&w);
        sw_jsonw_kbool(&w, "ok", false);
        if (command)
                sw_jsonw_ktext(&w, "command", command);
        sw_jsonw_key(&w, "error");
        sw_jsonw_object(&w);
        sw_jsonw_ktext(&w, "code", code);
        sw_jsonw_ktext(&w, "message", message);
        sw_jsonw_end_object(&w);
        sw_jsonw_end_object(&w);
        sw_buf_putc(out, '\n');
}

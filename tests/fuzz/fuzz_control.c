/* SPDX-License-Identifier: Apache-2.0 */
/* Request lines of the control socket: no bytes crash the parser, what is refused has a reason that is one line, and
 * what is taken is taken again when it is written out. */
#include "admin/control.h"
#include "fuzz.h"

#include <string.h>

static void check_refusal(const char *code, const struct sw_err *why)
{
        struct sw_buf b = SW_BUF_NULL;
        size_t i;

        FUZZ_CHECK(code && *code && *why->msg, "a refusal without a reason");
        sw_control_error(&b, NULL, code, why->msg);
        FUZZ_CHECK(!b.failed && b.n > 2 && b.p[b.n - 1] == '\n', "no line");
        for (i = 0; i + 1 < b.n; i++)
                FUZZ_CHECK((unsigned char)b.p[i] >= 0x20, "control byte in %.*s", (int)b.n, b.p);
        sw_buf_deinit(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct sw_control_request req, again;
        struct sw_err why = SW_ERR_NULL;
        struct sw_buf b = SW_BUF_NULL;
        const char *code = NULL;

        if (size > 8192)
                return 0;
        if (sw_control_parse((struct sw_str){ (const char *)data, size }, &req, &code, &why) != SW_CONTROL_OK) {
                check_refusal(code, &why);
                return 0;
        }
        FUZZ_CHECK(req.command < SW_N_CONTROL_COMMANDS && strlen(req.arg) < SW_CONTROL_ARG, "command %u", req.command);
        FUZZ_CHECK((*req.arg != '\0') == (sw_control_rows[req.command].arg != NULL), "argument '%s'", req.arg);
        sw_control_write(&b, req.command, req.arg);
        FUZZ_CHECK(sw_control_parse((struct sw_str){ b.p, b.n - 1 }, &again, &code, &why) == SW_CONTROL_OK, "%.*s: %s",
                (int)b.n, b.p, why.msg);
        FUZZ_CHECK(again.command == req.command, "%u became %u", req.command, again.command);
        sw_buf_deinit(&b);
        return 0;
}

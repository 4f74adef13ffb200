/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <stdio.h>
#include <string.h>

const char *sw_error_text(int code)
{
        switch (code < 0 ? -code : code) {
#define SW_ERROR_CASE(name, text)                                                                                      \
        case SW_ERR_##name:                                                                                            \
                return text;
                SW_ERROR_MAP(SW_ERROR_CASE)
#undef SW_ERROR_CASE
        default:
                return "unknown error";
        }
}

int sw_err_set(struct sw_err *reterr, int code, const char *fmt, ...)
{
        va_list ap;

        if (!reterr)
                return code;
        *reterr = SW_ERR_NULL;
        reterr->code = code;
        va_start(ap, fmt);
        (void)vsnprintf(reterr->msg, sizeof(reterr->msg), fmt, ap);
        va_end(ap);
        return code;
}

int sw_err_prefix(struct sw_err *reterr, const char *fmt, ...)
{
        char tail[sizeof(reterr->msg)];
        va_list ap;
        int n;

        if (!reterr)
                return -SW_ERR_INTERNAL;
        memcpy(tail, reterr->msg, sizeof(tail));
        va_start(ap, fmt);
        n = vsnprintf(reterr->msg, sizeof(reterr->msg), fmt, ap);
        va_end(ap);
        if (n < 0 || (size_t)n >= sizeof(reterr->msg))
                return reterr->code;
        (void)snprintf(reterr->msg + n, sizeof(reterr->msg) - (size_t)n, ": %s", tail);
        return reterr->code;
}

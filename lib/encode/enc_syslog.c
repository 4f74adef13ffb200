/* SPDX-License-Identifier: Apache-2.0 */
#include "encode/enc_syslog.h"

#include "base/time.h"
#include "encode/enc_escape.h"

/* RFC 5424 6.2.1: 2 critical, 3 error, 4 warning, 5 notice, 6 informational. */
static unsigned syslog_severity(const struct sw_json *f)
{
        static const unsigned to[] = { 6, 6, 5, 4, 3, 2, 2 };
        int64_t id;

        if (!sw_json_i64(sw_json_get(f, "severity_id"), &id) || id < 0 || id > 6)
                return 6;
        return to[id];
}

void sw_enc_syslog(
        struct sw_buf *out, const struct sw_syslog_head *head, const struct sw_json *finding, struct sw_str text)
{
        char time[SW_ETIME_TEXT];
        int64_t ms;

        sw_buf_printf(out, "<%u>1 ", (head->facility & 31) * 8 + syslog_severity(finding));
        if (sw_json_i64(sw_json_at(finding, "metadata.logged_time"), &ms) && ms >= SW_ETIME_MIN_MS &&
                ms <= SW_ETIME_MAX_MS)
                sw_buf_puts(out, sw_etime_format((struct sw_etime){ ms }, time));
        else
                sw_buf_putc(out, '-');
        sw_buf_putc(out, ' ');
        sw_enc_syslog_token(out, head->host, 255);
        sw_buf_putc(out, ' ');
        sw_enc_syslog_token(out, head->app_name, 48);
        sw_buf_puts(out, " - ");
        sw_enc_syslog_token(out, sw_json_str(sw_json_at(finding, "unmapped.kind")), 32);
        sw_buf_puts(out, " [origin software=\"segwatch\" swVersion=\"");
        sw_enc_syslog_value(out, head->version, 32);
        sw_buf_puts(out, "\"] ");
        sw_buf_put_str(out, text);
}

void sw_enc_syslog_frame(struct sw_buf *out, struct sw_str message)
{
        sw_buf_u64(out, message.n);
        sw_buf_putc(out, ' ');
        sw_buf_put_str(out, message);
}

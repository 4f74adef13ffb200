/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One syslog message (RFC 5424) around a text, and its frame on a stream (RFC 6587, RFC 5425: octet counting). */
#include "base/json.h"

struct sw_syslog_head {
        unsigned facility;            /* 0..23; 16 is local0 */
        struct sw_str host, app_name; /* any text: what may not stand there becomes '_' */
        struct sw_str version;        /* of the program, for SD-ID origin */
};

/* Appends "<PRI>1 TIME HOST APP - KIND [origin ...] TEXT"; time and severity are those of the finding. */
void sw_enc_syslog(
        struct sw_buf *out, const struct sw_syslog_head *head, const struct sw_json *finding, struct sw_str text);
/* "LENGTH MESSAGE" */
void sw_enc_syslog_frame(struct sw_buf *out, struct sw_str message);

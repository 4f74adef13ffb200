/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A finding as one line of ArcSight's Common Event Format (CEF:0), for SIEMs that take nothing else. A projection of
 * the OCSF object. CEF's src and dst hold IPv4 only: IPv6 goes to c6a2 and c6a3. One table says what the fields are;
 * the lines and `segwatch schema cef` are written from it. */
#include "base/json.h"

enum sw_cef_type {
        SW_CEF_HEADER, /* a place between bars, always there */
        SW_CEF_STRING,
        SW_CEF_LONG,
        SW_CEF_TIME, /* milliseconds since 1970 */
        SW_CEF_IPV4,
        SW_CEF_IPV6
};
const char *sw_cef_type_text(enum sw_cef_type t);

struct sw_cef_field {
        const char *key; /* of the extension; of the header the specification's name of the place */
        enum sw_cef_type type;
        uint32_t max;      /* bytes of a text before escaping; longer ones are cut; 0: cannot be long */
        const char *label; /* value of KEYLabel, which follows a value; or NULL */
        const char *from;  /* path in the OCSF object */
        void (*put)(struct sw_buf *out, const struct sw_json *finding, const struct sw_cef_field *c); /* private */
        const char *doc;
};
/* All fields, in the order of a line. A key without a value is left out. */
const struct sw_cef_field *sw_cef_fields(uint32_t *ret_n);

enum { SW_CEF_OK, SW_CEF_NO_FINDING /* nothing appended */ };
int sw_enc_cef(struct sw_buf *out, const struct sw_json *finding);

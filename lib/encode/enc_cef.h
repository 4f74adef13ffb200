/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A finding as one line of ArcSight's Common Event Format (CEF:0), for SIEMs that take nothing else. A projection of
 * the OCSF object. CEF's src and dst hold IPv4 only: IPv6 goes to c6a2 and c6a3. */
#include "base/json.h"

enum { SW_CEF_OK, SW_CEF_NO_FINDING /* nothing appended */ };
int sw_enc_cef(struct sw_buf *out, const struct sw_json *finding);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The finding of `test-alert`: an incident like any other, so that all that hangs on incidents can be tried, between
 * addresses that documentation may use and that no network has (RFC 5737). Its title begins with [SAMPLE], and
 * unmapped.is_sample is true. */
#include "model/finding.h"

/* f: all zero. nonce: what else makes its ids differ from those of another sample of the same millisecond. */
void sw_sample_fill(struct sw_finding *f, struct sw_etime now, int nonce);

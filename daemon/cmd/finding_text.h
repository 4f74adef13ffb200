/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A line of the alert file (OCSF Detection Finding) as people want to read it. Lines are taken as hostile: nothing of
 * them reaches the terminal unescaped. */
#include "base/time.h"
#include "model/addr.h"
#include "model/finding.h"

enum sw_finding_format { SW_FINDING_COMPACT, SW_FINDING_JSON, SW_FINDING_TABLE };

struct sw_finding_style {
        enum sw_finding_format format;
        bool color;
        bool terminal; /* JSON lines then get their raw C1 and DEL escaped too */
};

struct sw_finding_filter {
        struct sw_etime since; /* NONE: any */
        enum sw_severity severity;
        bool has_src;
        struct sw_prefix src; /* of the actor, a compromised host or a source in the evidence */
};

enum { SW_FINDING_NO_MATCH, SW_FINDING_MATCHES, SW_FINDING_INVALID /* not a finding */ };
int sw_finding_match(struct sw_str line, const struct sw_finding_filter *filter);

/* "info" and the names of SW_SEVERITY_MAP, case folded. */
bool sw_finding_severity(struct sw_str name, enum sw_severity *ret);

/* Append one text line. */
void sw_finding_header(struct sw_buf *out, const struct sw_finding_style *style);
void sw_finding_line(struct sw_buf *out, struct sw_str line, const struct sw_finding_style *style);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What `quarantine list` shows: entries counted by reason, source and partition (or file). */
#include "cmd/quarantine_read.h"

#include "base/alloc.h"

#define SW_QUARANTINE_GROUPS_MAX 4096 /* further ones are one group "(others)" */

struct sw_quarantine_group {
        char *reason, *where;
        uint64_t n, n_kept; /* entries; those with their whole message */
        char first[32], last[32];
};

struct sw_quarantine_groups {
        struct sw_quarantine_group *items;
        uint32_t n, cap;
};
#define SW_QUARANTINE_GROUPS_NULL ((struct sw_quarantine_groups){ 0 })

int sw_quarantine_groups_add(
        struct sw_quarantine_groups *g, const struct sw_quarantine_entry *e); /* 0 | -SW_ERR_NOMEM */
void sw_quarantine_groups_sort(struct sw_quarantine_groups *g);               /* most first, then by reason and place */
void sw_quarantine_groups_print(const struct sw_quarantine_groups *g, struct sw_buf *out); /* a table */
void sw_quarantine_groups_json(const struct sw_quarantine_groups *g, struct sw_buf *out);  /* an object per line */
void sw_quarantine_groups_deinit(struct sw_quarantine_groups *g);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What two decoders said about the same bytes, compared field by field. */
#include "model/flow.h"

#include <string.h>

/* NULL: no difference, else what differs. Places of errors are not compared: a tree does not know them exactly. */
static inline const char *batch_difference(const struct sw_batch *a, const struct sw_batch *b)
{
        uint32_t i;

        if (a->n_tuples != b->n_tuples)
                return "number of tuples";
        if (a->n_records != b->n_records)
                return "number of records";
        if (a->n_rules != b->n_rules)
                return "number of rules";
        if (a->n_tuples && memcmp(a->tuples, b->tuples, a->n_tuples * sizeof(*a->tuples)) != 0)
                return "a tuple";
        for (i = 0; i < a->n_rules; i++)
                if (!sw_str_eq(a->rules[i].acl, b->rules[i].acl) || !sw_str_eq(a->rules[i].name, b->rules[i].name))
                        return "a rule";
        for (i = 0; i < a->n_records; i++) {
                const struct sw_record *x = &a->records[i], *y = &b->records[i];

                if (x->kind != y->kind || x->version != y->version || x->time.ms != y->time.ms || x->mac != y->mac)
                        return "a record's head";
                if (!sw_str_eq(x->flow_log, y->flow_log) || !sw_str_eq(x->target, y->target))
                        return "a record's names";
                if (x->first_tuple != y->first_tuple || x->n_tuples != y->n_tuples || x->offset != y->offset)
                        return "a record's place";
                if (x->fingerprint.hi != y->fingerprint.hi || x->fingerprint.lo != y->fingerprint.lo)
                        return "a fingerprint";
        }
        if (memcmp(&a->stats, &b->stats, sizeof(a->stats)) != 0)
                return "the counters";
        if (a->newest.ms != b->newest.ms)
                return "the newest time";
        if (a->n_errors != b->n_errors)
                return "number of errors";
        for (i = 0; i < a->n_errors; i++)
                if (a->errors[i].reason != b->errors[i].reason ||
                        !sw_str_eq(a->errors[i].excerpt, b->errors[i].excerpt) ||
                        a->errors[i].whole_message != b->errors[i].whole_message)
                        return "an error";
        return NULL;
}

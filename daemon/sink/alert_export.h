/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Writes the findings of the outbox into the alert file, each exactly once and in order, on a thread of its own.
 *
 * A line is written, then the file is synced, then the outbox is told: the mark is the last row together
 * with the file's inode, its size and a hash of its end. After a crash what stands in the file beyond the mark is
 * compared with the rows that come next: whole lines count as written, a torn one is completed, never cut. Lines of
 * others are left alone. A file that is smaller than the mark or ends otherwise was truncated by someone: it is
 * compared from its start. If the file was moved meanwhile it is looked for among FILE.1, FILE-20260101 and so on.
 *
 * A full disk makes it wait; the findings wait in the outbox. The file itself behaves as sink_file.h says. */
#include "beat.h"
#include "sink/sink_file.h"
#include "state/outbox.h"

#define SW_ALERT_SINK "alerts" /* its name in the outbox */

struct sw_alert_export_conf {
        struct sw_outbox *outbox; /* outlives it */
        const char *path;         /* copied */
        uint64_t rotate_bytes;
        unsigned keep;
        const atomic_bool *stop;           /* polled while waiting for the disk */
        void (*on_fail)(void *ctx, int r); /* on its thread, once: it has ended; may be NULL */
        void *ctx;
};

struct sw_alert_export;
/* Opens or creates the file and starts the thread. -SW_ERR_IO with what to do in reterr, -SW_ERR_NOMEM, or what the
 * outbox says. */
int sw_alert_export_new(const struct sw_alert_export_conf *conf, struct sw_log *log, struct sw_alert_export **ret,
        struct sw_err *reterr);
/* Writes what is committed, for at most two seconds, and ends. NULL-safe, returns NULL. */
struct sw_alert_export *sw_alert_export_free(struct sw_alert_export *e);
/* Waits until everything that is committed is written, for at most two seconds or until it has ended. */
void sw_alert_export_drain(struct sw_alert_export *e);
void sw_alert_export_wake(struct sw_alert_export *e);   /* there are new rows; any thread */
void sw_alert_export_reopen(struct sw_alert_export *e); /* opens the path anew; any thread */
bool sw_alert_export_is_blocked(const struct sw_alert_export *e);
uint64_t sw_alert_export_lines(const struct sw_alert_export *e);             /* written since it began */
const struct sw_beat *sw_alert_export_beat(const struct sw_alert_export *e); /* "alerts" */

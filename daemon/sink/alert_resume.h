/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Where the alert file and the outbox met last, and what a crash left in the file behind it. Threads: one owner. */
#include "log.h"
#include "state/outbox.h"

#define SW_ALERT_NOTE 96

/* The note that goes with a mark: inode and size of the file, hash of its last bytes. */
void sw_alert_note(int fd, uint64_t inode, uint64_t size, char ret[SW_ALERT_NOTE]);

enum { SW_ALERT_RESUMED, SW_ALERT_NO_ROOM /* to complete a line; try again */ };
/* Compares what stands in the file (wherever it was moved) beyond the mark with the rows that come next and completes a
 * torn line. *ret_number: the last row that is written, 0: none beyond the mark. SW_ALERT_x, -SW_ERR_IO, -SW_ERR_NOMEM,
 * or what the outbox says. */
int sw_alert_resume(struct sw_outbox *o, const char *path, struct sw_log *log, int64_t *ret_number);

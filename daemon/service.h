/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What systemd is told (sd_notify(3)): a datagram of text to NOTIFY_SOCKET. Without that variable nothing happens, so
 * callers never ask. Threads: one owner. */
#include <stdbool.h>
#include <stdint.h>

/* "READY=1", "STOPPING=1", "STATUS=..."; several lines may be joined with \n. */
void sw_service_notify(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* RELOADING=1 with the time that it needs (sd_notify(3)); READY=1 ends it. */
void sw_service_reloading(void);
/* Interval of the watchdog that systemd expects of this process; 0 = none. */
int64_t sw_service_watchdog_ms(void);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What others of the daemon may ask of the control socket and the HTTP port. */
#include "admin/server.h"
#include "daemon_int.h"

/* Each socket that is open, "control" and "http", with its counters. */
void sw__admin_servers(const struct sw_daemon *d,
        void (*each)(void *ctx, const char *socket, const struct sw_server_stats *s), void *ctx);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Secrets from files or systemd credentials: at most 64 KiB, one trailing newline cut, wiped when released.
 * Threads: any. */
#include "base/err.h"
#include "config/option.h"

#define SW_SECRET_MAX_BYTES ((size_t)64 * 1024)

struct sw_secret {
        char *text; /* NUL-terminated */
        size_t n;
        bool world_readable; /* its file can be read by everybody: worth a warning */
};
#define SW_SECRET_NULL ((struct sw_secret){ 0 })

enum { SW_SECRET_OK, SW_SECRET_NOT_HERE /* a credential, but this process was given none: not started by systemd */ };
/* 0 | SW_SECRET_NOT_HERE with *reterr | -SW_ERR_NOENT, -SW_ERR_IO, -SW_ERR_LIMIT, -SW_ERR_INVAL (empty, NUL byte,
 * nothing configured), -SW_ERR_NOMEM. Messages name the place, never the content. */
int sw_secret_read(const struct sw_secret_ref *ref, struct sw_secret *ret, struct sw_err *reterr);
void sw_secret_deinit(struct sw_secret *s); /* wipes; NULL-safe, twice is fine */

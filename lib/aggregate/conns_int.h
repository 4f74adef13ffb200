/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Shared by conns.c and conns_ahead.c. */
#include "aggregate/conns.h"

enum { LIFE_OPEN, LIFE_ENDED, LIFE_LINGER };

enum {
        FLAG_REVERSED = 1 << 0,
        FLAG_KNOWN = 1 << 1,     /* some C or E carried counters */
        FLAG_FAILED = 1 << 2,    /* an early NOREPLY was told */
        FLAG_SUCCEEDED = 1 << 3, /* OK was told */
        FLAG_RESPONDER = 1 << 4, /* evidence rule and sensor are the destination's */
        FLAG_ALLOWED = 1 << 5,   /* counted as allowed in its segment pair */
};

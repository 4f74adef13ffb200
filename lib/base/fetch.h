/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "base/inline.h"
/* Asks for a cache line that will be read or written soon.
 *
 * Never __builtin_prefetch by itself: gcc (12 at least) takes a function that does nothing else for one without effect
 * and drops the calls of it; which ones depends on what it inlines. The empty asm is an effect and costs nothing. */
SW_INLINE void sw_fetch(const void *p)
{
        __builtin_prefetch(p);
        __asm__ volatile("");
}

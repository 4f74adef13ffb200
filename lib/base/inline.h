/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* For what is so short or so often called that every caller gets its own copy. A build that measures coverage has one
 * copy only: a branch is counted where it stands. */
#if defined(SW_COVERAGE)
#define SW_INLINE static inline
#else
#define SW_INLINE static inline __attribute__((always_inline))
#endif

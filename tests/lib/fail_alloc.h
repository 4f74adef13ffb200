/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The allocations of lib/base as a test wraps them (-Wl,--wrap=sw_alloc and so on). Which one fails is told by the test:
 * FAIL_ALLOC(condition), asked once per allocation. FAIL_RESERVE(condition): sw_reserve as well. */
#include <stddef.h>

void *__real_sw_alloc(size_t n);
void *__real_sw_calloc(size_t n, size_t size);
void *__real_sw_realloc_array(void *p, size_t n, size_t size);
char *__real_sw_strdup(const char *s);
void *__real_sw_reserve(size_t n);
void *__wrap_sw_alloc(size_t n);
void *__wrap_sw_calloc(size_t n, size_t size);
void *__wrap_sw_realloc_array(void *p, size_t n, size_t size);
char *__wrap_sw_strdup(const char *s);
void *__wrap_sw_reserve(size_t n);

/* clang-format off */
#define FAIL_WRAP_ALLOC(type, name, parameters, arguments, condition)                                                  \
        type __wrap_##name parameters                                                                                  \
        {                                                                                                              \
                return (condition) ? NULL : __real_##name arguments;                                                   \
        }

#define FAIL_ALLOC(condition)                                                                                          \
        FAIL_WRAP_ALLOC(void *, sw_alloc, (size_t n), (n), condition)                                                  \
        FAIL_WRAP_ALLOC(void *, sw_calloc, (size_t n, size_t size), (n, size), condition)                              \
        FAIL_WRAP_ALLOC(void *, sw_realloc_array, (void *p, size_t n, size_t size), (p, n, size), condition)           \
        FAIL_WRAP_ALLOC(char *, sw_strdup, (const char *s), (s), condition)

#define FAIL_RESERVE(condition) FAIL_WRAP_ALLOC(void *, sw_reserve, (size_t n), (n), condition)
/* clang-format on */

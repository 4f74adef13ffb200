/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Backs memory that will be written soon, by threads of its own. The first touch of a page waits for the kernel to zero
 * it, and in a virtual machine for the host to find it: a loader that did so alone would mostly wait. A hint: without
 * threads, or where the kernel knows no MADV_POPULATE_WRITE (before 5.14), whoever writes touches it first. */
#include <stddef.h>

struct sw_populate;
/* NULL: no memory, which every function here takes. */
struct sw_populate *sw_populate_open(void);
/* The caller's thread; the memory must stay until close. Too many at once: the rest is left out. */
void sw_populate_soon(void *populate, void *p, size_t n_bytes);
struct sw_populate *sw_populate_close(struct sw_populate *m); /* what is left is left; returns NULL */

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A file that is read once, from its begin to its end, by a thread of its own that is some blocks ahead: the disk and
 * the copy out of the page cache cost who works on the bytes no time. What was read leaves the page cache behind it: a
 * snapshot of a gigabyte is not read again, and the memory that it lay in is what its reader needs next.
 *
 * Threads: pull and close belong to one. */
#include <stddef.h>

struct sw_read_ahead;
/* fd stays the caller's and is nobody else's until close. Where no thread is to be had it is read in place. 0 |
 * -SW_ERR_NOMEM. */
int sw_read_ahead_open(int fd, struct sw_read_ahead **ret);
/* A source of a snapshot: fills buf completely unless the file ends. 0 | -SW_ERR_IO. */
int sw_read_ahead_pull(void *ahead, void *buf, size_t n, size_t *ret_n);
struct sw_read_ahead *sw_read_ahead_close(
        struct sw_read_ahead *a); /* at any place of the file. NULL-safe, returns NULL */

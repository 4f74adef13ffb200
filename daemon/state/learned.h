/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What was learned from history, in one file DIR/learned: written by `replay --save-state`, read by `replay
 * --load-state` and by a daemon whose state.dir has nothing else yet. What is in it is its writer's business. */
#include "base/err.h"

#include <stddef.h>

/* Where the bytes come from: *ret_n = 0 at the end. 0 or negative. */
typedef int (*sw_learned_source)(void *ctx, void *buf, size_t n, size_t *ret_n);

/* Makes the folder if it is not there, and looks whether something can be saved in it that will be read: not where a
 * daemon has a state already. 0 | -SW_ERR_IO | -SW_ERR_INVAL. */
int sw_learned_check(const char *dir, struct sw_err *reterr);
/* Makes the folder if it is not there. The file is replaced as a whole once everything is on the platter.
 * 0 | -SW_ERR_IO | what the source returned. */
int sw_learned_save(const char *dir, sw_learned_source source, void *ctx, struct sw_err *reterr);
enum { SW_LEARNED_OK, SW_LEARNED_E_NONE /* there is no such file */ };
/* *ret_fd is the caller's to close. SW_LEARNED_ | -SW_ERR_IO. */
int sw_learned_open(const char *dir, int *ret_fd, struct sw_err *reterr);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The `--summary` object: integers only; keys are added, never renamed. */
#include "base/str.h"
#include "engine/engine.h"

void sw_summary_write(struct sw_buf *out, const struct sw_engine_stats *s, uint64_t bytes_read, uint64_t wall_ms);

/* "learning until 2026-01-02T03:04:05.000Z: D07, D08 (segment web and 3 more)" or nothing if no segment learns.
 * Without newline. Returns whether something was appended. */
bool sw_summary_learning(struct sw_buf *out, const struct sw_engine *e, const struct sw_detector_conf *detectors);

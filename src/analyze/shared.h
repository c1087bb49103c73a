/* SPDX-License-Identifier: MIT */
/* shared.h - shared memory that its makers have left behind. */
#ifndef HG_ANALYZE_SHARED_H
#define HG_ANALYZE_SHARED_H

#include "analyze/memory_map.h"

/*
 * This user's files in /dev/shm that no process has mapped or open, and System V
 * segments that nobody is attached to and whose maker has ended.  Processes that
 * may not be looked at may have them: only those of this user are asked.  The array
 * is the caller's.  HG_ENOMEM.
 */
hg_status shared_left(struct map_left **left, size_t *count);

#endif

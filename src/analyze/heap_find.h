/* SPDX-License-Identifier: MIT */
/* heap_find.h - the heaps of a process that keeps no ledger to tell of them. */
#ifndef HG_ANALYZE_HEAP_FIND_H
#define HG_ANALYZE_HEAP_FIND_H

#include "analyze/peer.h"

/* At `at` there may be a struct heap_anatomy: its magic is there. */
typedef void heap_found(void *arg, uint64_t at);

/*
 * Look for heaps in the data of the process's programs and libraries: the one under
 * its malloc, and others that it embeds.  0, or why some of it could not be read
 * (errno).
 */
int heap_find_all(const struct peer *peer, const struct regions *regions,
                  heap_found *call, void *arg);

#endif

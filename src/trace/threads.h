/* SPDX-License-Identifier: MIT */
/* threads.h - which thread am I, in the ledger's words. */
#ifndef HG_TRACE_THREADS_H
#define HG_TRACE_THREADS_H

#include "base/base.h"

#include <stdint.h>

/* The session has begun: the calling thread takes slot 0. */
hg_status threads_start(void);

/*
 * The node of the calling thread, which takes a slot if it has none yet.  The
 * caller holds the interpreter's lock, for a node may have to be made.
 */
uint32_t threads_node(void);

/* The same without the lock: the node of all threads that never had it, if so. */
uint32_t threads_node_unlocked(void);

/* A forked child: all threads but this one are gone. */
void threads_after_fork(void);

#endif

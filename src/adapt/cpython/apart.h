/* SPDX-License-Identifier: MIT */
/* apart.h - which node am I, when interpreters run at the same time. */
#ifndef HG_ADAPT_CPYTHON_APART_H
#define HG_ADAPT_CPYTHON_APART_H

#include "base/base.h"
#include "trace/shares.h"

#include <stdint.h>

/*
 * Since 3.12 an interpreter may have a lock of its own.  Before the first such one
 * begins, all that frames.h remembers for the one lock's holder is given up for
 * good, and each thread remembers for itself (shares_on tells).  The same goes for
 * the heap.  Any thread; whoever has the one lock's turn may be in the middle of an
 * allocation, and ends it as it began.
 */
void apart_begin(void);

/* Until the main interpreter's next turn has put away what the last one left. */
extern bool apart_unsettled HG_HIDDEN;
void apart_settle(void) HG_COLD;

/* The node of the calling thread's stack; of the thread where it has no state of an
   interpreter.  LEDGER_NO_NODE: no accounts are kept. */
uint32_t apart_node(void);

/* Where the calling thread keeps its part of the totals; NULL: nowhere. */
struct share *apart_share(void);

/* All that threads remember of code and frames is to be forgotten.  The caller
   holds the lock of the interpreter whose code or frames these are. */
void apart_forget(void);

#endif

/* SPDX-License-Identifier: MIT */
/* collector.h - the interpreter's own collector, watched. */
#ifndef HG_ADAPT_CPYTHON_COLLECTOR_H
#define HG_ADAPT_CPYTHON_COLLECTOR_H

/*
 * Have each collection of the main interpreter written down from now on.  Where it
 * cannot be proved where the collector keeps its things, nothing is done.  With the
 * lock, where objects may be made, no exception set; runs no collection.
 */
void collector_watch(void);

/* Have the interpreter make a full collection, whether its collector is enabled or
   not.  With the lock, at a safe point; of *answer, what a collection has is added.
 */
struct ledger_answer;
void collector_collect(struct ledger_answer *answer);

#endif

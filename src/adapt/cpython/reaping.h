/* SPDX-License-Identifier: MIT */
/* reaping.h - what the collector frees while it works: whose it was, and what. */
#ifndef HG_ADAPT_CPYTHON_REAPING_H
#define HG_ADAPT_CPYTHON_REAPING_H

/*
 * Between the two calls, blocks of MEM and OBJ that the calling thread frees, and
 * that were there before, are written down as the collector's: by the node that
 * allocated them, objects also by their type.  What finalizers allocate and free in
 * between is not.  With the interpreter's lock; nothing is done on the fast path
 * otherwise, for other functions are installed meanwhile.
 */
void reaping_begin(void);
void reaping_end(void);

/* A forked child: what is known of types is known of another ledger. */
void reaping_forked(void);

#endif

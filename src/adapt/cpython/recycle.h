/* SPDX-License-Identifier: MIT */
/*
 * recycle.h - CPython's free lists, switched off, so that each creation of an
 * object is a malloc and each death a free.
 *
 * CPython keeps dead floats, tuples, lists, dicts, keys of dicts, contexts, slices
 * and the helpers of asynchronous generators for the next of their kind.  An
 * allocator does not hear of such a second life, and would charge it to the line of
 * the first.
 */
#ifndef HG_ADAPT_CPYTHON_RECYCLE_H
#define HG_ADAPT_CPYTHON_RECYCLE_H

#include "base/base.h"

#include <stdbool.h>
#include <stddef.h>

struct recycle_result {
    bool watched;  /* all lists that this version is known to have are off */
    char how[160]; /* "free lists off (28 of 28)", or which are not and why */
};

/*
 * Called when the collector begins a full collection, and now and then for nothing:
 * in a young collection, or when a program asks who refers to what.  Never called
 * when everything has been frozen (gc.freeze) and no module was imported since.
 * Runs inside the collector: must not touch objects.  Set before recycle_off();
 * NULL: nobody asks.
 */
extern void (*recycle_collection_began)(void);

/*
 * Switch the lists off in the main interpreter, and say in `*out` how that went.
 *
 * Call with the GIL, where objects may be made and no exception is set (a pending
 * call), after Py_Initialize.  Makes and drops a few hundred objects, runs no
 * Python code and no collection, and leaves nothing behind.  What cannot be proved
 * is left on.
 *
 * From then on PyObject_Free must ask recycle_freed() before it looks at a block
 * that it does not know.
 */
void recycle_off(struct recycle_result *out);

/*
 * True if `block`, which PyObject_Free was given, is not memory but a bell that we
 * left in a free list: nothing is to be freed.  False for all other addresses.  Our
 * bells are in our own data: only blocks that are not the allocator's own need be
 * asked about.
 */
bool recycle_freed(const void *block);

/*
 * Up to 3.12 a dict that outgrows its first table recycles it, and nobody who could
 * free it hears of that.  But it asks for the larger table just before.  So, with
 * the GIL and before the heap is touched, the hook of PyObject_Malloc calls
 * recycle_asked() if
 *
 *     bytes - 1 >= recycle_quiet_bytes
 *
 * which is SMALL_MAX when nothing is to be told, less when tables are, and 0 until
 * the next call after one was asked for.  recycle_asked() may call PyObject_Malloc.
 * Without it, the next small dict is charged to the line that made the one that
 * grew.
 *
 * While it is 0, the hook of PyObject_Free may call recycle_asked(1).  That is for
 * the rare dict that was made before, and gets its first key just now: without it,
 * its table is one that was charged to the line of another such dict.
 */
extern size_t recycle_quiet_bytes HG_HIDDEN;

void recycle_asked(size_t bytes);

/* False: while recycle_quiet_bytes is not 0, recycle_asked() has no use for it. */
static inline bool recycle_may_be_table(size_t bytes)
{
    return bytes == 208 || bytes == 288 || bytes - 1 >= 399;
}

/*
 * Put back what a full collection switched on; free what was pushed meanwhile.
 * False: the collection is still under way, ask again at the next allocation.
 *
 * Call with the GIL.  To be called in some allocation soon after
 * recycle_collection_began and, as a net, whenever the allocator is on a slow path.
 * Costs some loads when there is nothing to do.
 */
bool recycle_resume(void);

/*
 * Undo recycle_off(); at the latest when the interpreter begins to finalize.  Call
 * with the GIL; may be called in recycle_collection_began.  Needs no recycle_off()
 * before.
 */
void recycle_on(void);

/* How it stands now: what recycle_off() said, less what was disproved since (the
   helpers of asynchronous generators are proved when the first of them dies). */
void recycle_state(struct recycle_result *out);

#endif

/* SPDX-License-Identifier: MIT */
/* guard.h - where the interpreter would stumble over our marks, they are taken
 * away. */
#ifndef HG_ADAPT_CPYTHON_GUARD_H
#define HG_ADAPT_CPYTHON_GUARD_H

#include "adapt/cpython/layout.h"

#include <stdbool.h>

/*
 * A debugger can assign f_lineno of a frame whose callees still run, so that it
 * moves though our mark is there; from now on we hear of it.  And 3.11 asks in two
 * places whether a frame's owner is the thread: there, and in frame.clear(), which
 * refuses to clear a frame that runs; both find the frame as it was.  True if marks
 * may be used; with the lock, where code may run, once.
 */
bool guard_marks(const struct py_layout *layout);

#endif

/* SPDX-License-Identifier: MIT */
/* guard.h - where the interpreter would stumble over our marks, they are taken
 * away. */
#ifndef HG_ADAPT_CPYTHON_GUARD_H
#define HG_ADAPT_CPYTHON_GUARD_H

#include "adapt/cpython/layout.h"

#include <stdbool.h>

/*
 * 3.11 asks in two places whether a frame's owner is the thread: frame.clear(),
 * which refuses to clear a frame that runs, and the setter of f_lineno.  From now
 * on both find the frame as it was.  True if marks may be used; with the lock,
 * where code may run, once.  For layouts with other marks there is nothing to
 * guard.
 */
bool guard_marks(const struct py_layout *layout);

#endif

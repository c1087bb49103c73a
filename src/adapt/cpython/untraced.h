/* SPDX-License-Identifier: MIT */
/* untraced.h - CPython's allocators without accounts; hardened ones too. */
#ifndef HG_ADAPT_CPYTHON_UNTRACED_H
#define HG_ADAPT_CPYTHON_UNTRACED_H

#include "adapt/cpython/python.h"

/* One for each domain, for heaps as they are: hardened or not. */
const struct py_allocator *untraced_hooks(void);

#endif

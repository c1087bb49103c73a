/* SPDX-License-Identifier: MIT */
/* hooks.h - the allocator that CPython calls. */
#ifndef HG_ADAPT_CPYTHON_HOOKS_H
#define HG_ADAPT_CPYTHON_HOOKS_H

#include "adapt/cpython/python.h"

#include <stdbool.h>

/*
 * Take the place of CPython's allocators in the domains RAW, MEM and OBJ, with
 * functions for the session's mode.  Before the interpreter starts; blocks that
 * the allocators before us handed out are recognised and given back to them.
 */
void hooks_install(void);

/* From now on malloc's blocks belong to lines of Python, too. */
void hooks_trace_native(void);

/* Whether frames are read; they are not before a glance has found them as expected.
 */
bool hooks_sighted(void);

/* Whether CPython has asked us for an object since there was an interpreter: if
   not, the program has chosen another allocator. */
bool hooks_served(void);

/* Read no frames any more: they are not what we thought. */
void hooks_blind(void);

/* And ask CPython's public functions for the stack of each block; not of those of
   the domain RAW, which may be allocated where nothing may be asked. */
void hooks_ask(void);

/* From now on allocate without accounts: they are closed.  Any moment. */
void hooks_untrace(void);

/* Whether somebody else has taken our place in a domain since, or wrapped us there.
 */
bool hooks_displaced(enum py_domain domain);

#endif

/* SPDX-License-Identifier: MIT */
/* displaced.h - when the user has chosen another allocator, there is still RSS to
 * show. */
#ifndef HG_ADAPT_CPYTHON_DISPLACED_H
#define HG_ADAPT_CPYTHON_DISPLACED_H

#include <stdbool.h>

/*
 * PYTHONMALLOC, -X dev and PYTHONDEVMODE make CPython install allocators of its own
 * over ours, without a word.  If the environment or the arguments hint at it, look
 * once the interpreter is up, note in the ledger what displaced us, and keep the
 * timeline going.  Before the interpreter starts and before hooks_install(). False:
 * nothing hints at it.  Otherwise malloc is traced once it is known, if it is to
 * be.
 */
bool displaced_expect(int count, char **arguments);

#endif

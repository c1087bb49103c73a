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

/*
 * A program in C may have chosen another allocator for the interpreter in it, by
 * its configuration.  Once that can run code and has a lock: if so, the same is
 * noted, and true is returned.  Frames and code objects then come and go where we
 * do not see it, so none may be read.
 */
bool displaced_look(void);

#endif

/* SPDX-License-Identifier: MIT */
/* displaced.h - when the user has chosen another allocator, there is still RSS to
 * show. */
#ifndef HG_ADAPT_CPYTHON_DISPLACED_H
#define HG_ADAPT_CPYTHON_DISPLACED_H

/*
 * PYTHONMALLOC, -X dev and PYTHONDEVMODE make CPython install allocators of its own
 * over ours, without a word.  If the environment or the arguments hint at it, look
 * once the interpreter is up, note in the ledger what displaced us, and keep the
 * timeline going.  Before the interpreter starts and before hooks_install().
 */
void displaced_expect(int count, char **arguments);

#endif

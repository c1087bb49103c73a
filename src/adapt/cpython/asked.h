/* SPDX-License-Identifier: MIT */
/* asked.h - the stack as CPython's public functions tell it, where frames cannot be
 * read. */
#ifndef HG_ADAPT_CPYTHON_ASKED_H
#define HG_ADAPT_CPYTHON_ASKED_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Whether there are such functions: since 3.9.  They make a frame object for each
 * frame, so they are slower by far, they allocate, and that may fail.
 */
bool asked_find(void);

/*
 * Show the calling thread's frames, innermost first, until `visit` returns false;
 * `code` is a loan.  False if not all could be shown.  With the lock; in an
 * allocation of the domains MEM and OBJ, or where code may run.  What it allocates
 * itself comes to our hooks, where asked_busy() tells.
 */
bool asked_walk(bool (*visit)(void *code, int line, void *arg), void *arg);

/* This thread is in asked_walk(). */
bool asked_busy(void);

/* The node of the calling thread's stack, or of its innermost line, below `base`.
 */
uint32_t asked_node(uint32_t base);

#endif

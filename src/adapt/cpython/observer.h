/* SPDX-License-Identifier: MIT */
/* observer.h - what is to be done now and then, under the interpreter's lock. */
#ifndef HG_ADAPT_CPYTHON_OBSERVER_H
#define HG_ADAPT_CPYTHON_OBSERVER_H

#include "base/base.h"

#include <stdbool.h>

/* Something is waiting for observer_attend(), or our own proof is running. */
extern bool observer_attention HG_HIDDEN;

void observer_attend(void) HG_COLD;

/* On every slow path of the frames, under the interpreter's lock. */
static inline void observer_slow_path(void)
{
    if (HG_UNLIKELY(observer_attention))
        observer_attend();
}

/* Our own proof is running: its blocks are nobody's line's. */
bool observer_is_proving(void);

/* A thread allocates with no Python frame under way: the interpreter starts or
 * ends. */
void observer_no_frame(void) HG_COLD;

/* A block that is not the heap's is freed as an object.  True: it is a sign of ours
   that lay in one of CPython's free lists, and there is nothing to free. */
bool observer_foreign_block(const void *block) HG_COLD;

/* Somebody asks something of the program: it is served when the main thread is
   between two instructions.  Any thread; false: not now. */
bool observer_asked(void);

/* The accounts are closed: leave the interpreter as it was. */
void observer_stopped(void);

/* Collections so far, by generation; any thread, a torn value does no harm. */
void observer_collections(uint64_t counts[3]);

#endif

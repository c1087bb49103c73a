/* SPDX-License-Identifier: MIT */
/* native.h - malloc and its relatives, for the whole process. */
#ifndef HG_ADAPT_NATIVE_NATIVE_H
#define HG_ADAPT_NATIVE_NATIVE_H

#include "trace/block.h"

#include <stdbool.h>

/* Who serves malloc. */
enum native_mode {
    NATIVE_UNDECIDED, /* nobody has asked yet */
    NATIVE_EARLY,     /* we do; blocks get tags that name nobody */
    NATIVE_PLAIN,     /* we do, without accounts */
    NATIVE_TRACED,    /* we do, with accounts */
    NATIVE_OFF        /* the C library does; what we handed out is still ours */
};

/* Decide by the environment, if no malloc has done so before. */
void native_begin(void);

/* Who the calling thread is, which holds no lock of ours and no block without a
   tag; is_away() for who only frees.  After either or both, when the accounts are
   written, comes leave(), which may be NULL.  What is allocated until then is
   nobody's. */
struct native_tracer {
    struct owner (*owner)(void);
    bool (*is_away)(void);
    struct share *(*share)(void); /* the calling thread's, while shares_on */
    void (*leave)(void);
    /* A block is freed whose tag says "watched", which only the tracer makes it
       say.  True: the tracer keeps it, and gives it back to the heap later. */
    bool (*died)(void *block, size_t bytes);
};

/* The session has begun: from now on blocks have owners. */
void native_trace(const struct native_tracer *tracer);
/* Accounts are closed. */
void native_untrace(void);
/* This program is not to be watched: leave malloc alone from now on. */
void native_leave(void);

#endif

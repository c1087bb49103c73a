/* SPDX-License-Identifier: MIT */
/* reaping.h - what the collector frees while it works: whose it was, and what. */
#ifndef HG_ADAPT_CPYTHON_REAPING_H
#define HG_ADAPT_CPYTHON_REAPING_H

#include "base/base.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Between the two calls, blocks of MEM and OBJ that the calling thread frees, and
 * that were there before, are written down as the collector's: by the node that
 * allocated them, objects also by their type.  What finalizers allocate and free in
 * between is not.  With the interpreter's lock; nothing is done on the fast path
 * otherwise, for other functions are installed meanwhile.
 */
void reaping_begin(void);
void reaping_end(void);

/*
 * Malloc tells, too, while this is set, for what C code frees for garbage, often
 * after it has let go of the interpreter's lock: only the thread that collects
 * writes. Of a block that it hands out, resizes or gets back.
 */
extern __thread bool reaping_now __attribute__((tls_model("initial-exec")))
HG_HIDDEN;
void reaping_note_born(const void *block) HG_COLD;
void reaping_note_moved(const void *from, const void *to) HG_COLD;
void reaping_note_freed(const void *block, uint32_t tag, size_t bytes) HG_COLD;

/* A forked child: what is known of types is known of another ledger. */
void reaping_forked(void);

#endif

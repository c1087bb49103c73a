/* SPDX-License-Identifier: MIT */
/* chunks.h - where the interpreter's own frames lie, for readers of our memory. */
#ifndef HG_ADAPT_CPYTHON_CHUNKS_H
#define HG_ADAPT_CPYTHON_CHUNKS_H

#include "ledger/layout.h"

/* Note all chunks from now on; before the interpreter starts. */
void chunks_install(void);

extern struct ledger_chunks chunks;

#endif
